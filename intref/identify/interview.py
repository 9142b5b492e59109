"""The questions that one op of a device was asked, and what each hypothesis would have answered."""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from intref.devices.device import DeviceError
from intref.explain.hypotheses import Observation
from intref.faults import pairs
from intref.faults.variants import CHOICES, SLIPS, SLOW_CHOICES, tried
from intref.identify.findings import AS_REFERENCE, Value
from intref.identify.pool import TEMPLATES, Question, others, with_value
from intref.ops.op import Op

SURE = 2  # refusals of a value that are believed
MAX_CRASHES = 3  # in one op; after that it is not asked again
RUNS = 2048  # of the catalogue, that are spent on the choice of one question
Answer = dict[str, np.ndarray] | None  # None: not supported
Runs = Callable[[], dict[str, np.ndarray]]
Ask = Callable[[Question], Answer]  # DeviceError if the device failed


def _digest(outputs: Mapping[str, np.ndarray]) -> bytes:
    whole = hashlib.blake2b(digest_size=16)
    for port in sorted(outputs):
        whole.update(np.ascontiguousarray(outputs[port]).tobytes())
    return whole.digest()


@dataclass
class Interview:
    """The questions that one op of a device was asked, and what each hypothesis would have answered.

    A hypothesis that a question is outside of survives the reference's answer to it, and no other.
    """

    op: Op
    pool: list[Question]
    ask: Ask
    limit: int
    same: Callable[[str, Collection[str]], str]  # of words and roundings: why no call shows them, empty if one should
    runs: list[dict[str, Runs]] = field(default_factory=list)  # by question: words -> what makes the answer
    predicted: dict[tuple[str, int], bytes | None] = field(default_factory=dict)
    right: list[bytes] = field(default_factory=list)
    words: dict[str, bool] = field(default_factory=dict)  # hypothesis -> whether a designer may have chosen it
    partial: dict[str, tuple[str, Value]] = field(default_factory=dict)  # of those: words that hold for one value only
    probed: dict[Value, int] = field(default_factory=dict)  # refusals of a value that alone was changed
    answers: dict[int, bytes | None] = field(default_factory=dict)
    seen: list[Observation] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    asked: int = 0
    confirming: int = 0
    checked: int = 0  # calls after all was told apart, which do not count for the limit
    killed: dict[str, int] = field(default_factory=dict)  # words -> a question whose answer they do not give
    roundings: dict[str, set[str]] = field(default_factory=dict)  # words -> of the questions that they apply to

    def __post_init__(self) -> None:
        self.words[AS_REFERENCE] = True
        for question in self.pool:
            self.take(question)
        for key, value in sorted(
            {v for one in self.pool for v in one.values if v[0] in self.op.attrs.keys() - {"output"}}
        ):
            for words in [words for words, designed in self.words.items() if designed and words not in self.partial]:
                if words != AS_REFERENCE:
                    self.partial[f"{words} where {key} is {value}"] = (words, (key, value))
        self.words |= dict.fromkeys(self.partial, True)

    def take(self, question: Question) -> None:
        """Take up what the catalogue has to say of a question; it is run when it is first needed."""
        listed: dict[str, Runs] = {}
        for part in (*CHOICES, *SLOW_CHOICES, *SLIPS):
            for words, runs in part(self.op, question.tensors, question.attrs):
                listed.setdefault(words, runs)
                self.words.setdefault(words, part not in SLIPS)
                self.roundings.setdefault(words, set()).add(str(question.attrs.get("rounding")))
        self.runs.append(listed)
        self.right.append(_digest(question.golden))

    def applies(self, words: str, i: int) -> bool:
        """Whether the catalogue has an answer of a hypothesis to a question."""
        words, value = self.partial.get(words, (words, None))
        return words in self.runs[i] and (value is None or value in self.pool[i].values)

    def prediction(self, words: str, i: int) -> bytes | None:
        """The digest of a hypothesis' answer; None where it is not defined."""
        if words in self.partial:
            words, value = self.partial[words]
            if value not in self.pool[i].values:
                return self.right[i]
        words = pairs.applying(words, self.runs[i])
        if not words:
            return self.right[i]
        if (words, i) not in self.predicted:
            outputs = tried(self.runs[i][words]) if words in self.runs[i] else None
            self.predicted[words, i] = None if outputs is None else _digest(outputs)
        return self.predicted[words, i]

    def survivors(self, questions: Iterable[int]) -> list[str]:
        """The hypotheses that agree with every answer to these questions, likeliest first, partial ones last."""
        among = {i: None for i in questions if self.answers.get(i) is not None}
        left = [w for w in self.words if self.killed.get(w) not in among and self._survives(w, among)]
        return sorted(left, key=lambda w: (w != AS_REFERENCE, w in self.partial, not self.words[w]))

    def _survives(self, words: str, among: Iterable[int]) -> bool:
        for i in among:
            if not self.agrees(words, i):
                self.killed[words] = i
                return False
        return True

    def differs(self, i: int) -> bool:
        """Whether a question was answered, and not as the reference does."""
        return self.answers.get(i) not in (None, self.right[i])

    def agrees(self, words: str, i: int) -> bool:
        """Whether a question was answered as a hypothesis does."""
        predicted = self.prediction(words, i)
        return self.answers[i] == (self.right[i] if predicted is None else predicted)

    def put(self, i: int, confirming: bool = False) -> bool:
        """Ask a question; whether it was answered. confirming: beyond the limit, to confirm what was found."""
        self.asked += not confirming
        self.checked += confirming
        self.answers[i] = None
        answer = self._answer(i)
        if answer is not None:
            self.answers[i] = _digest(answer)
            one = self.pool[i]
            self.seen.append(Observation(one.id, self.op, one.tensors, one.attrs, one.golden, answer))
        return answer is not None

    def again(self, i: int) -> bytes | None:
        """The digest of what is answered to a question now; nothing of it is kept."""
        self.checked += 1
        answer = self._answer(i)
        return None if answer is None else _digest(answer)

    def _answer(self, i: int) -> Answer:
        try:
            return self.ask(self.pool[i])
        except DeviceError as error:
            self.crashes.append(f"{error.kind.replace('_', ' ')}: {error.detail}")
            return None

    @property
    def over(self) -> bool:
        return self.asked >= self.limit or len(self.crashes) >= MAX_CRASHES

    def open(self, among: Iterable[int]) -> list[int]:
        """Questions not asked that have no value which the device refuses."""
        refused = self.refused()
        return [i for i in among if i not in self.answers and not refused & {*self.pool[i].values}]

    @property
    def taken(self) -> set[Value]:
        """The values of all questions that were answered."""
        return {v for i, a in self.answers.items() if a is not None for v in self.pool[i].values}

    def refused(self) -> set[Value]:
        """Values that an answered call was refused with, nothing else being changed; where there is no such call, those
        for which alone questions were refused, all else of them being taken: twice, or as often as can be."""
        taken = self.taken
        probed = {value for value, count in self.probed.items() if count and value not in taken}
        rests = [{*self.pool[i].values} - taken for i, answer in self.answers.items() if answer is None]
        alone = Counter(value for rest in rests if len(rest) == 1 for value in rest)
        sure = {v for v, n in alone.items() if self.probed.get(v) == 0 and (n >= SURE or not self._alone(v, taken))}
        return probed | sure

    def _alone(self, value: Value, taken: set[Value]) -> list[int]:
        """Questions not asked that have this value beside others that are taken; the smallest first."""
        found = [i for i, one in enumerate(self.pool) if {*one.values} - taken == {value} and i not in self.answers]
        return sorted(found, key=lambda i: (self.pool[i].elements, i))

    def survey(self) -> None:
        """Where the device refused anything: ask for each value that it has not taken, in a call that it answered and
        that differs in nothing else; where the contract allows no such call, beside others that it takes."""
        if None not in self.answers.values():
            return
        for value in sorted({v for one in self.pool for v in one.values} - self.probed.keys()):
            if value in self.taken or self.over:
                continue
            self.probed[value] = self._probe(value)
            if self.probed[value]:
                continue
            while value not in self.taken | self.refused() and not self.over:
                if not (alone := self._alone(value, self.taken)):
                    break
                self.put(alone[0])

    def _probe(self, value: Value) -> int:
        """How often calls were refused that the device answered before this value of theirs was changed; 0 if one was
        answered, or if there is no such call."""
        refusals = 0
        answered = [self.pool[i] for i, answer in self.answers.items() if answer is not None]
        for one in with_value(self.op.name, sorted(answered, key=lambda one: one.elements)[:TEMPLATES], value):
            self.pool.append(one)
            self.take(one)
            if self.put(len(self.pool) - 1):
                return 0
            refusals += 1
            if refusals == SURE or self.over:
                break
        return refusals

    @property
    def others(self) -> int:
        """Questions refused though all their values are supported."""
        taken = self.taken
        return sum(answer is None and {*self.pool[i].values} <= taken for i, answer in self.answers.items())

    def split(self, among: Sequence[int]) -> list[str]:
        """Ask until no question tells the remaining hypotheses apart; what is left of them."""
        while not self.over:
            left = self.survivors(among)
            best = min(((*self._left(left, i), i) for i in self._window(left, self.open(among))), default=None)
            if best is None or best[0] >= len(left) ** 2 or len(left) < 2:
                best = self._any_split(left, among)
            if best is None:
                break
            if not self.put(best[2]):
                self.survey()
        return self.survivors(among)

    def _any_split(self, left: Sequence[str], among: Iterable[int]) -> tuple[int, int, int] | None:
        """The first of all open questions that splits what is left; None if none does."""
        ways = ((*self._left(left, i), i) for i in self.open(among)) if len(left) > 1 else ()
        return next((way for way in ways if way[0] < len(left) ** 2), None)

    def _window(self, left: Sequence[str], asking: Sequence[int]) -> Sequence[int]:
        """Of many hypotheses, a few questions that most is known of are enough to find a good one."""
        count = max(len(left), 1)
        if count * len(asking) <= RUNS:
            return asking
        return sorted(asking, key=lambda i: (-len(self.runs[i]), self.pool[i].elements, i))[: max(RUNS // count, 8)]

    def _left(self, left: Sequence[str], i: int) -> tuple[int, int]:
        """Hypotheses left after a question, on average, times all; and how much there is to compute."""
        counts = Counter(self.prediction(words, i) for words in left)
        wild = counts.pop(None, 0)
        return sum(n * (n + wild) for n in counts.values()) + wild * len(left), self.pool[i].elements

    def confirm(self, among: Sequence[int], most: int) -> list[str]:
        """Ask what separates most of all hypotheses, so that a device outside of the catalogue shows itself."""
        ranked = sorted(self.open(among), key=lambda i: (-len(self.runs[i]), self.pool[i].elements))
        for i in ranked[:most]:
            if self.over or not self.survivors(among):
                break
            if not ({*self.pool[i].values} & self.refused()):
                self.confirming += 1
                self.put(i)
        return self.survivors(among)

    def settle(self, among: Sequence[int], most: int) -> list[str]:
        """Split, confirm, and split again what the confirming has changed."""
        left = self.split(among)
        while left:
            before, asked = left, self.confirming
            left = self.confirm(among, most)
            most -= self.confirming - asked
            if left == before:
                break
            left = self.split(among)
        return left

    def draw(self, among: Sequence[int]) -> list[str]:
        """Where no directed question tells the rest apart, ask others until all that is left is known to be alike."""
        left = self.survivors(among)
        for question in others(self.op.name, [self.pool[i] for i in among]) if self._doubtful(left) else ():
            self.pool.append(question)
            self.take(question)
            i = len(self.pool) - 1
            if self.open([i]) and self._left(left, i)[0] < len(left) ** 2 and not self.over:
                self.put(i)
                among = [*among, i]
                left = self.survivors(among)
                if not self._doubtful(left):
                    break
        return left

    def _doubtful(self, left: Sequence[str]) -> bool:
        """Whether more than one hypothesis is left that is not known to be as the reference."""
        return sum(not self.why_same(words) for words in left) > 1

    def why_same(self, words: str) -> str:
        """Why a hypothesis cannot be told from the reference; empty if it can."""
        words, value = self.partial.get(words, (words, ("", "")))
        known = self.roundings.get(words, set())
        return self.same(words, known & {value[1]} if value[0] == "rounding" else known)

    def pair_up(self) -> None:
        """Take up what two choices at once would answer."""
        for one, listed in zip(self.pool, self.runs):
            for words, runs in pairs.faults(self.op, one.tensors, one.attrs):
                listed.setdefault(words, runs)
                self.words.setdefault(words, True)
