"""The questions that one op of a device was asked, and what each hypothesis would have answered."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from intref.devices.device import DeviceError
from intref.explain.hypotheses import Observation
from intref.faults.variants import CHOICES, SLIPS, SLOW_CHOICES, tried
from intref.identify.findings import AS_REFERENCE, Value
from intref.identify.pool import Question, drawn
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
    runs: list[dict[str, Runs]] = field(default_factory=list)  # by question: words -> what makes the answer
    predicted: dict[tuple[str, int], bytes | None] = field(default_factory=dict)
    right: list[bytes] = field(default_factory=list)
    words: dict[str, bool] = field(default_factory=dict)  # hypothesis -> whether a designer may have chosen it
    partial: dict[str, tuple[str, Value]] = field(default_factory=dict)  # of those: words that hold for one value only
    answers: dict[int, bytes | None] = field(default_factory=dict)
    seen: list[Observation] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    asked: int = 0
    confirming: int = 0

    def __post_init__(self) -> None:
        self.words[AS_REFERENCE] = True
        for question in self.pool:
            self.take(question)
        for key, value in sorted({v for one in self.pool for v in one.values if self._is_rule(v[0])}):
            for words in [words for words, designed in self.words.items() if designed and words not in self.partial]:
                if words != AS_REFERENCE:
                    self.partial[f"{words} where {key} is {value}"] = (words, (key, value))
        self.words |= dict.fromkeys(self.partial, True)

    def _is_rule(self, key: str) -> bool:
        """Whether an attribute chooses what is computed, not only a dtype."""
        return key in self.op.attrs and key != "output"

    def take(self, question: Question) -> None:
        """Take up what the catalogue has to say of a question; it is run when it is first needed."""
        listed: dict[str, Runs] = {}
        for part in (*CHOICES, *SLOW_CHOICES, *SLIPS):
            for words, runs in part(self.op, question.tensors, question.attrs):
                listed.setdefault(words, runs)
                self.words.setdefault(words, part not in SLIPS)
        self.runs.append(listed)
        self.right.append(_digest(question.golden))

    def prediction(self, words: str, i: int) -> bytes | None:
        """The digest of a hypothesis' answer; None where it is not defined."""
        if words in self.partial:
            words, value = self.partial[words]
            if value not in self.pool[i].values:
                return self.right[i]
        if words not in self.runs[i]:
            return self.right[i]
        if (words, i) not in self.predicted:
            outputs = tried(self.runs[i][words])
            self.predicted[words, i] = None if outputs is None else _digest(outputs)
        return self.predicted[words, i]

    def survivors(self, questions: Iterable[int]) -> list[str]:
        """The hypotheses that agree with every answer to these questions, likeliest first, partial ones last."""
        answers = [(i, self.answers[i]) for i in questions if self.answers.get(i) is not None]
        left = [w for w in self.words if all(self._agrees(self.prediction(w, i), i, a) for i, a in answers)]
        return sorted(left, key=lambda w: (w != AS_REFERENCE, w in self.partial, not self.words[w]))

    def _agrees(self, predicted: bytes | None, i: int, answer: bytes | None) -> bool:
        return predicted == answer or (predicted is None and answer == self.right[i])

    def differs(self, i: int) -> bool:
        """Whether a question was answered, and not as the reference does."""
        return self.answers.get(i) not in (None, self.right[i])

    def put(self, i: int) -> bool:
        """Ask a question; whether it was answered."""
        self.asked += 1
        self.answers[i] = None
        try:
            answer = self.ask(self.pool[i])
        except DeviceError as error:
            self.crashes.append(f"{error.kind}: {error.detail}")
            return False
        if answer is not None:
            self.answers[i] = _digest(answer)
            one = self.pool[i]
            self.seen.append(Observation(one.id, self.op, one.tensors, one.attrs, one.golden, answer))
        return answer is not None

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
        """Values for which alone questions were refused, all else of them being taken: twice, or as often as can be."""
        taken = self.taken
        rests = [{*self.pool[i].values} - taken for i, answer in self.answers.items() if answer is None]
        alone = Counter(value for rest in rests if len(rest) == 1 for value in rest)
        return {value for value, count in alone.items() if count >= SURE or not self._alone(value, taken)}

    def _alone(self, value: Value, taken: set[Value]) -> list[int]:
        """Questions not asked that have this value beside others that are taken; the smallest first."""
        found = [i for i, one in enumerate(self.pool) if {*one.values} - taken == {value} and i not in self.answers]
        return sorted(found, key=lambda i: (self.pool[i].elements, i))

    def survey(self) -> None:
        """Where the device refused anything: ask for each value beside others that it takes."""
        if None not in self.answers.values():
            return
        for value in sorted({v for one in self.pool for v in one.values}):
            while value not in self.taken | self.refused() and not self.over:
                if not (alone := self._alone(value, self.taken)):
                    break
                self.put(alone[0])

    def split(self, among: Sequence[int]) -> list[str]:
        """Ask until no question tells the remaining hypotheses apart; what is left of them."""
        while not self.over:
            left = self.survivors(among)
            best = min(((*self._left(left, i), i) for i in self._window(left, self.open(among))), default=None)
            if best is None or best[0] >= len(left) ** 2 or len(left) < 2:
                break
            self.put(best[2])
        return self.survivors(among)

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
        """Ask what is drawn at random where no directed question tells the rest apart."""
        left = self.survivors(among)
        for question in drawn(self.op.name, [self.pool[i] for i in among]) if 1 < len(left) else ():
            self.pool.append(question)
            self.take(question)
            i = len(self.pool) - 1
            if self.open([i]) and self._left(left, i)[0] < len(left) ** 2 and not self.over:
                self.put(i)
                among = [*among, i]
                left = self.survivors(among)
        return left
