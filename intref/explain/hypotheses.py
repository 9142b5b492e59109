"""One hypothesis for all calls of an op: a rule that explains one case of a device may fail its next one."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from intref.comparison import mismatches
from intref.explain.findings import EVERYWHERE, NAMED_RULES, UNKNOWN, Finding, Where
from intref.faults import pairs
from intref.faults.variants import CHOICES, SLIPS, SLOW_CHOICES, Part, tried
from intref.ops import OPS
from intref.ops.op import Op

Arrays = Mapping[str, np.ndarray]
Masks = Mapping[str, np.ndarray | None]
Scores = dict[str, int | None]  # words -> outputs of a call that they reproduce; None: the call does not allow them
ALL_PARTS = (*CHOICES, *SLOW_CHOICES, *SLIPS)
FEW = 8  # calls that pairs are looked for in


@dataclass(eq=False)
class Observation:
    """What a device answered to one call: outputs that golden has as well, all of golden's dtypes and shapes.

    valid: port -> bool of the output's shape, None or absent where every element counts. scores: filled when first
    needed, or by whoever has scored the catalogue already.
    """

    id: str
    op: Op
    inputs: Arrays
    attrs: dict[str, Any]  # complete
    golden: Arrays
    dut: Arrays
    valid: Masks = field(default_factory=dict)
    scores: Scores = field(default_factory=dict)
    designed: set[str] = field(default_factory=set)  # of the words scored, what a designer may have chosen
    tried_parts: set[Part] = field(default_factory=set)

    @cached_property
    def total(self) -> int:
        """Outputs that count."""
        masks = (self.valid.get(p) for p in self.dut)
        return sum(t.size if m is None else int(np.count_nonzero(m)) for t, m in zip(self.dut.values(), masks))

    @cached_property
    def differing(self) -> int:
        return self.total - self.agreeing(self.golden)

    def agreeing(self, made: Arrays) -> int:
        """How many outputs of the device are these."""
        wrong = (mismatches(t, made[p], self.valid.get(p)) for p, t in self.dut.items())
        return self.total - sum(int(np.count_nonzero(w)) for w in wrong)

    def score(self, parts: Iterable[Part], only: Container[str] | None = None) -> None:
        """Score some parts of the catalogue; only: these words of them."""
        for part in parts:
            if part in self.tried_parts:
                continue
            for words, runs in part(self.op, self.inputs, self.attrs):
                if words not in self.scores and (only is None or words in only):
                    made = tried(runs)
                    self.scores[words] = None if made is None else self.agreeing(made)
                    if part not in SLIPS:
                        self.designed.add(words)
            if only is None:
                self.tried_parts.add(part)

    def reproduced(self, words: str) -> int | None:
        """Outputs that a hypothesis reproduces; one that changes nothing here answers as the reference does, and a pair
        of which one part changes nothing as the other part."""
        applies = pairs.applying(words, self.scores)
        return self.scores.get(applies) if applies else self.total - self.differing

    def reproduces(self, words: str) -> bool:
        return self.reproduced(words) == self.total

    def reproducing(self) -> list[str]:
        """The words scored that reproduce every output."""
        return [words for words, equal in self.scores.items() if equal == self.total]

    def allows(self, words: str) -> bool:
        """False if the hypothesis has an answer here and it is another one; a call that it is not defined for decides
        nothing where the device is right."""
        return self.reproduces(words) or (not self.differing and self.reproduced(words) is None)


@dataclass(frozen=True)
class Explained:
    """What explains a device's answers to all calls of one op together.

    cases, differing: of the op. outputs: those compared; wrong: of them, those that differ. findings: several if a
    different rule holds per value of an attribute or dtype; one of them may be UNKNOWN; empty if no rule explains even
    a part. closest: (words, outputs that they reproduce), where not all are explained.
    """

    op: str
    cases: int
    differing: int
    outputs: int
    wrong: int
    findings: tuple[Finding, ...] = ()
    closest: tuple[tuple[str, int], ...] = ()

    @property
    def known(self) -> bool:
        """Whether every output is explained."""
        return bool(self.findings) and not any(UNKNOWN in finding.rules for finding in self.findings)

    @property
    def undecided(self) -> int:
        """Cases that the rules are not defined for."""
        return sum(finding.undecided for finding in self.findings)

    @property
    def sentence(self) -> str:
        """The answer, in one line."""
        head = f"{self.op}: {self.differing} of {self.cases} cases differ: "
        told = "; ".join(finding.words for finding in self.findings)
        if self.known:
            sure = f" (but for {self.undecided} that it is not defined for)" if self.undecided else ""
            return f"{head}{told} explains 100.000 % of {self.outputs} outputs of all cases{sure}"
        near = " or ".join(words for words, _ in self.closest[:NAMED_RULES])
        share = f" (closest: {near}, {percent(self.closest[0][1], self.outputs)} %)" if self.closest else ""
        return f"{head}{UNKNOWN} reproduces all {self.outputs} outputs{share}{told and '; in parts: '}{told}"


def percent(part: int, whole: int) -> str:
    """Rounded down, so that 100.000 means all."""
    thousandths = 100_000 * part // max(whole, 1)
    return f"{thousandths // 1000}.{thousandths % 1000:03d}"


def explain_op(op_name: str, observations: Sequence[Observation]) -> Explained:
    """Explain what a device answered to several calls of one op, of which at least one differs from golden."""
    wrong = [seen for seen in observations if seen.differing]
    head = (op_name, len(observations), len(wrong), sum(o.total for o in observations), sum(o.differing for o in wrong))
    findings = _everywhere(observations, wrong) or _together(observations, wrong)
    if not findings:
        _score(observations, wrong)
        findings = _somewhere(OPS[op_name], observations)
    whole = bool(findings) and not any(UNKNOWN in finding.rules for finding in findings)
    return Explained(*head, findings, () if whole else _closest(observations))


def _score(observations: Sequence[Observation], wrong: Sequence[Observation]) -> None:
    """All that applies where the device is wrong; where it is right, what explains one of those, or comes close."""
    for seen in wrong:
        seen.score(ALL_PARTS)
    some = _shortlist(wrong)
    for seen in observations:
        if not seen.differing:
            seen.score(ALL_PARTS, only=some)


def _shortlist(wrong: Sequence[Observation]) -> set[str]:
    """What reproduces a differing call, and what comes close to all of them."""
    whole = {words for seen in wrong for words in seen.scores if seen.reproduces(words)}
    return whole | {*_ranked(wrong)[:NAMED_RULES]}


def _ranked(observations: Sequence[Observation]) -> list[str]:
    """All words scored, those that reproduce most outputs first."""
    known = dict.fromkeys(words for seen in observations for words in seen.scores)
    return sorted(known, key=lambda words: -sum(seen.reproduced(words) or 0 for seen in observations))


def _everywhere(observations: Sequence[Observation], wrong: Sequence[Observation]) -> tuple[Finding, ...]:
    """What explains all calls explains the smallest wrong one too: only that is tried on the others."""
    least = min(wrong, key=lambda seen: seen.total)
    for parts in ((*CHOICES, *SLIPS), SLOW_CHOICES):
        least.score(parts)
        some = {*least.reproducing()}
        for seen in observations if some else ():
            seen.score((*CHOICES, *SLIPS, *parts), only=some)
        if findings := _finding(observations):
            return findings
    return ()


def _together(observations: Sequence[Observation], wrong: Sequence[Observation]) -> tuple[Finding, ...]:
    """Two choices at once: those that give a call which no single one explains, tried on all calls."""
    small = sorted(wrong, key=lambda seen: seen.total)[: FEW * FEW]
    for seen in small:
        seen.score(CHOICES)
    some: set[str] = set()
    for seen in ([seen for seen in small if not seen.reproducing()] or small)[:FEW]:
        seen.score((pairs.faults,))
        some |= {words for words in seen.reproducing() if len(pairs.parts(words)) > 1}
    single = {part for words in some for part in pairs.parts(words)}
    for seen in observations if some else ():
        seen.score((*CHOICES, pairs.faults), only=some | single)
    return _finding(observations) if some else ()


def _finding(observations: Sequence[Observation]) -> tuple[Finding, ...]:
    """The rules that explain every one of these calls."""
    wrong = [seen for seen in observations if seen.differing]
    known = dict.fromkeys(words for seen in wrong for words in seen.scores if seen.reproduces(words))
    whole = [words for words in known if all(seen.allows(words) for seen in observations)]
    if not whole:
        return ()
    designed = set().union(*(seen.designed for seen in wrong))
    rules = tuple(words for words in whole if words in designed) or tuple(whole)
    undecided = sum(all(seen.reproduced(words) is None for words in rules) for seen in observations)
    return (Finding(EVERYWHERE, rules, tuple(words for words in whole if words not in rules), undecided),)


def _somewhere(op: Op, observations: Sequence[Observation]) -> tuple[Finding, ...]:
    """Rules that each hold for one value of one attribute or dtype, all else being as in the reference.

    Where no key splits the device whole, the one that leaves fewest wrong outputs unexplained, those as UNKNOWN.
    """
    best: tuple[int, int, tuple[Finding, ...]] | None = None
    for key, groups in conditions(op, observations):
        wrong = {value: group for value, group in groups.items() if any(seen.differing for seen in group)}
        found = {value: _finding(group) for value, group in wrong.items()}
        merged = _merged(key, (*groups,), [(value, finding[0]) for value, finding in found.items() if finding])
        left = [value for value, finding in found.items() if not finding]
        lost = sum(seen.differing for value in left for seen in wrong[value])
        if left:
            merged = (*merged, Finding(Where(key, tuple(left), (*groups,)), (UNKNOWN,)))
        # What explains the lesser part of a device may do so by chance.
        if 2 * lost <= sum(seen.differing for seen in observations) and (
            best is None or (lost, len(merged)) < best[:2]
        ):
            best = (lost, len(merged), merged)
    return best[2] if best else ()


def _merged(key: str, known: tuple[str, ...], found: Sequence[tuple[str, Finding]]) -> tuple[Finding, ...]:
    """Values of one key that share a rule, told together."""
    kept: list[tuple[list[str], Finding]] = []
    for value, finding in found:
        for i, (values, other) in enumerate(kept):
            if common := tuple(words for words in other.rules if words in finding.rules):
                both = Finding(EVERYWHERE, common, (), other.undecided + finding.undecided)
                kept[i] = ([*values, value], both)
                break
        else:
            kept.append(([value], finding))
    return tuple(replace(finding, where=Where(key, tuple(values), known)) for values, finding in kept)


def conditions(op: Op, observations: Sequence[Observation]) -> Iterator[tuple[str, dict[str, list[Observation]]]]:
    """(attribute or dtype, value -> the calls that have it), for all that varies and has fewer values than calls."""
    choices = [name for name, attr in op.attrs.items() if attr.choices]
    keys = [(name, [str(seen.attrs[name]) for seen in observations]) for name in choices]
    keys += [(f"dtype of {p}", [seen.inputs[p].dtype.name for seen in observations]) for p in op.inputs]
    for key, values in keys:
        if 1 < len({*values}) < len(values):
            groups: dict[str, list[Observation]] = {}
            for value, seen in zip(values, observations):
                groups.setdefault(value, []).append(seen)
            yield key, groups


def _closest(observations: Sequence[Observation]) -> tuple[tuple[str, int], ...]:
    """What reproduces most of all outputs, if it is more than the reference does."""
    some = _shortlist([seen for seen in observations if seen.differing])
    sums = {words: sum(seen.reproduced(words) or 0 for seen in observations) for words in some}
    right = sum(seen.total - seen.differing for seen in observations)
    most = max(sums.values(), default=0)
    return tuple((words, n) for words, n in sorted(sums.items()) if n == most) if most > right else ()
