"""How many wrong devices the vectors of an op tell from a right one: mutants of its body, the catalogue of faults."""

# The vocabulary of op bodies is not typed.
# mypy: allow-untyped-calls

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from intref.faults.equivalent import FAULTS, VOCABULARY, why_equivalent
from intref.faults.mechanical import mutants, reached, rebound, vocabulary_mutants
from intref.faults.operators import WRONG as OPERATORS
from intref.faults.primitives import WRONG as PRIMITIVES
from intref.faults.proofs import harmless
from intref.faults.slips import Lazy
from intref.faults.variants import lazily, tried
from intref.ops import OPS
from intref.ops.op import Op
from intref.vectors import Case, cases, equivalent, still_open
from intref.vectors import harmless as argued

CRASHES = (ArithmeticError, ValueError, TypeError, LookupError, AttributeError, NameError, MemoryError)
PROVED = "changes no value in any call that the contract allows: the body on intervals proves it"
VOCABULARY_ROW = "vocabulary"
Body = Callable[..., Any]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Tally:
    """Wrong devices of one kind. total: all but the equivalent ones, which no call can tell from the op.

    crashed: of those killed, the ones that only ever raise an error. equivalents: what -> why.
    """

    killed: int
    total: int
    crashed: int = 0
    equivalents: Mapping[str, str] = field(default_factory=dict)

    @property
    def equivalent(self) -> int:
        return len(self.equivalents)


@dataclass(frozen=True)
class OpScore:
    """survivors: what no case shows and no reason excuses. stale: reasons for what a case does show. open: survivors
    that are known and published as such."""

    op: str
    cases: int
    mutants: Tally
    faults: Tally
    survivors: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()
    open: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return not self.survivors and not self.stale

    def json(self) -> dict[str, Any]:
        tallies = {"mutants": self.mutants, "faults": self.faults}
        counts = {k: {"killed": t.killed, "total": t.total, "equivalent": t.equivalent} for k, t in tallies.items()}
        return {"cases": self.cases, **counts, "open": len(self.open)}


class _Bench:
    """The cases of an op and its right answers; what killed most so far, and is small, is asked first."""

    def __init__(self, op: Op, given: Sequence[Case]):
        self.op, self.kills = op, [0] * len(given)
        self.cases = [(case.tensors, op.check(case.tensors, case.attrs)) for case in given]
        self.sizes = [sum(t.size for t in case.tensors.values()) for case in given]
        self.broad = ["random" in case.flags for case in given]
        self.golden = [op.run(tensors, attrs) for tensors, attrs in self.cases]
        self.wide = [{k: t.astype(np.int64) for k, t in tensors.items()} for tensors, _ in self.cases]

    def broad_first(self) -> list[int]:
        """The cases of random values first, each of which shows most faults; then the rest, the small ones first."""
        return sorted(range(len(self.cases)), key=lambda i: (not self.broad[i], self.sizes[i]))

    def order(self) -> list[int]:
        return sorted(range(len(self.cases)), key=lambda i: (-self.kills[i], self.sizes[i]))

    def differs(self, place: int, made: Mapping[str, Any]) -> bool:
        """Whether any output has another shape, or another value in its dtype."""
        return any(_differ(made[k], y) for k, y in self.golden[place].items())

    def verdict(self, body: Body) -> str:
        """bits: a case's output differs; error: all that ever shows is an exception; empty: it survives.

        A division by 0 counts as an exception only if its 0, which NumPy gives as a device may, leaves all bits alone.
        """
        crashed = False
        for place in self.order():
            try:
                if self.differs(place, self._run(body, place, "raise")):
                    self.kills[place] += 1
                    return "bits"
            except CRASHES:
                crashed = True
                if self._differs_anyway(body, place):
                    self.kills[place] += 1
                    return "bits"
        return "error" if crashed else ""

    def _run(self, body: Body, place: int, zero_divide: Literal["raise", "ignore"]) -> Mapping[str, Any]:
        with np.errstate(divide=zero_divide, invalid=zero_divide):
            made: Mapping[str, Any] = body(**self.wide[place], **self.cases[place][1])
            return made

    def _differs_anyway(self, body: Body, place: int) -> bool:
        try:
            return self.differs(place, self._run(body, place, "ignore"))
        except CRASHES:
            return False


def _differ(made: Any, y: np.ndarray) -> bool:
    return np.shape(made) != y.shape or bool((np.asarray(made).astype(y.dtype) != y).any())


def score(op_name: str, given: Sequence[Case] | None = None) -> OpScore:
    """The score of an op's vectors; given: other cases than its directed ones, of level 1.

    Whatever is given, the faults that apply to a directed case all count: what is never asked for survives.
    """
    op, asked = OPS[op_name], cases(op_name) if given is None else given
    bench = _Bench(op, asked)
    texts = {name for name, attr in op.attrs.items() if attr.choices}
    verdicts = {name: bench.verdict(body) for name, body in mutants(op.reference, texts)}
    reasons = dict(equivalent(op_name))
    by_mutants, alive, stale = _tally(verdicts, reasons)
    found = fault_verdicts(op, bench)
    idle = () if given is None else _unasked(op, found)
    found |= dict.fromkeys(idle, "")
    reasons = {}
    if not all(found.values()):
        proved = harmless(op, {**OPERATORS, **PRIMITIVES})
        reasons = {words: PROVED for words, verdict in found.items() if words in proved and not verdict}
    known = {**FAULTS, op_name: {**FAULTS.get(op_name, {}), **argued(op_name)}}
    listed = {words: why_equivalent(op_name, words, known) for words in found}
    by_faults, alive_too, stale_too = _tally(found, {k: v for k, v in listed.items() if v} | reasons)
    survivors = (*(f"mutant: {name}" for name in alive), *(_fault(words, words in idle) for words in alive_too))
    known_open = still_open(op_name) if given is None else frozenset[str]()
    stale += [f"listed as open, but killed: {what}" for what in sorted(known_open - {*survivors}) if what[:3] != "bin"]
    unknown = tuple(what for what in survivors if what not in known_open)
    left = tuple(what for what in survivors if what in known_open)
    return OpScore(op_name, len(asked), by_mutants, by_faults, unknown, (*stale, *stale_too), left)


def _tally(verdicts: Mapping[str, str], reasons: Mapping[str, str]) -> tuple[Tally, list[str], list[str]]:
    """(counts, what survives, reasons that are wrong or name nothing)."""
    alive = [name for name, verdict in verdicts.items() if not verdict and name not in reasons]
    stale = [f"listed as equivalent, but killed: {name}" for name in reasons if verdicts.get(name)]
    stale += [f"listed as equivalent, but there is no such mutant: {name}" for name in reasons if name not in verdicts]
    excused = {name: why for name, why in reasons.items() if not verdicts.get(name, "none")}
    killed = sum(map(bool, verdicts.values()))
    crashed = sum(verdict == "error" for verdict in verdicts.values())
    return Tally(killed, len(verdicts) - len(excused), crashed, excused), alive, stale


def fault_verdicts(op: Op, bench: _Bench) -> dict[str, str]:
    """Fault, in words -> bits or empty, for every fault of the catalogue that applies to any case."""
    found: dict[str, str] = {}
    for place in bench.broad_first():
        for words, runs in named_faults(op, *bench.cases[place]):
            if not found.get(words):
                made = tried(runs)
                if made is not None:
                    found[words] = "bits" if bench.differs(place, made) else ""
    return found


def _unasked(op: Op, found: Container[str]) -> list[str]:
    """The faults that apply to a directed case and are not among those found."""
    lost: dict[str, None] = {}
    for case in sorted(cases(op.name), key=lambda case: sum(t.size for t in case.tensors.values())):
        for words, runs in named_faults(op, case.tensors, op.check(case.tensors, case.attrs)):
            if words not in found and words not in lost and tried(runs) is not None:
                lost[words] = None
    return [*lost]


def _fault(words: str, idle: bool) -> str:
    return f"fault: {words}{' (applies to no case)' if idle else ''}"


def named_faults(op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any]) -> Iterator[Lazy]:
    """The catalogue, its rules told apart by the rule that they stand for: every rule for every other."""
    for words, runs in lazily(op, tensors, attrs):
        if words.startswith("rule ") and "rounding" in attrs:
            yield f"{attrs['rounding']} -> {words}", runs
        else:
            yield words, runs


def score_vocabulary(progress: Progress | None = None, given: Mapping[str, Sequence[Case]] | None = None) -> OpScore:
    """The score of all vectors together on the words that bodies are made of: the rules' table, shifts, roots, ...

    A mutant of a word is killed if any op's case shows it.
    """
    benches = {
        name: _Bench(op, cases(name) if given is None else given[name])
        for name, op in OPS.items()
        if given is None or name in given
    }
    verdicts: dict[str, str] = {}
    reasons: dict[str, str] = {}
    killers: dict[str, list[str]] = {}
    every = [*vocabulary_mutants()]
    for i, (word, name, space) in enumerate(every):
        users = [n for n in benches if word.partition("[")[0] in reached(OPS[n].reference)]
        order = [*killers.get(word, ()), *(n for n in users if n not in killers.get(word, ()))]
        verdict, by = _killed_by_any(order, benches, space, word)
        if by and by not in killers.setdefault(word, []):
            killers[word].append(by)
        key = f"{word}: {name}"
        verdicts[key] = verdict
        if why := why_equivalent(word, name, VOCABULARY):
            reasons[key] = why
        if progress is not None:
            progress(VOCABULARY_ROW, i + 1, len(every))
    tally, alive, stale = _tally(verdicts, reasons)
    total = sum(len(bench.cases) for bench in benches.values())
    return OpScore(VOCABULARY_ROW, total, tally, Tally(0, 0), tuple(f"mutant: {name}" for name in alive), tuple(stale))


def _killed_by_any(
    order: Sequence[str], benches: Mapping[str, _Bench], space: dict[str, Any], word: str
) -> tuple[str, str]:
    """(verdict, the op whose cases gave it)."""
    best = ("", "")
    for name in order:
        verdict = benches[name].verdict(rebound(OPS[name].reference, space))
        if verdict == "bits":
            return verdict, name
        if verdict:
            best = (verdict, name)
    return best
