"""Why a device's outputs differ: where first, on which exact values, and which changed rule gives all its outputs."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from intref.comparison import Difference, compare, mismatches
from intref.explain.exact import are_ties, decimal, exact_values, listened
from intref.explain.findings import NAMED_RULES, UNKNOWN
from intref.explain.hypotheses import ALL_PARTS, Arrays, Explained, Masks, Observation, explain_op, percent
from intref.explain.stages import OTHERS, located, tie_counts
from intref.faults import pairs
from intref.faults.bodies import elementwise, vocabulary
from intref.faults.variants import CHOICES, SLIPS, SLOW_CHOICES
from intref.ops import OPS
from intref.ops.op import Op

MANY = 1 << 16  # outputs of one call, from which on it takes time to try everything


@dataclass(frozen=True)
class Explanation:
    """lines: for people. port: the first output that differs. rules: each of them reproduces every output, the
    simplest first. also: what does so as well, but is less likely. seen: the call, with everything scored on it."""

    lines: tuple[str, ...]
    port: str
    difference: Difference
    rules: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    seen: Observation | None = None


def explain(
    op_name: str,
    inputs: Arrays,
    attrs: dict[str, Any],
    golden: Arrays,
    dut: Arrays,
    valid: Masks | None = None,
    likely: Container[str] = (),
) -> Explanation:
    """Explain a device's outputs, at least one of which differs from golden; attrs complete, inputs as the device had.

    likely: rules that are tried first, and are enough where one of them explains a call of many outputs. valid: port ->
    bool of the output's shape, None or absent where every element counts. Outputs absent from dut are not looked at.
    """
    op, masks = OPS[op_name], {port: (valid or {}).get(port) for port in dut}
    differences = {port: compare(dut[port], golden[port], masks[port]) for port in dut}
    port = next(port for port, difference in differences.items() if difference.differing)
    first, wrong = differences[port], mismatches(dut[port], golden[port], masks[port])
    roundings, unclipped = listened(op, inputs, attrs)
    values = exact_values(op, inputs, attrs, wrong, roundings) if port == next(iter(op.outputs)) else []
    seen = Observation(op_name, op, inputs, attrs, golden, dut, masks)
    rules, also, verdict = _scored(seen, likely)
    count = f"{f'output {port!r}: ' if len(op.outputs) > 1 else ''}{first.count}, {first.sizes}"
    place = "  ".join([f"{first.place} ", *_intermediates(op, inputs, values, unclipped, golden[port], first)])
    found = [*_ties(op, inputs, values, wrong), *_clipped(attrs, unclipped, wrong), *_pattern(inputs, dut[port], wrong)]
    lines = (count, place.rstrip(), "; ".join([*found, verdict]))
    return Explanation(lines, port, first, rules, also, seen)


def outline(
    op_name: str, inputs: Arrays, attrs: dict[str, Any], golden: Arrays, dut: Arrays, valid: Masks | None = None
) -> Explanation:
    """`explain` without reasons, for outputs whose inputs were already wrong: counts and the first mismatch."""
    differences = {port: compare(dut[port], golden[port], (valid or {}).get(port)) for port in dut}
    port = next(port for port, difference in differences.items() if difference.differing)
    first = differences[port]
    return Explanation((f"{first.count}, {first.sizes}", first.place), port, first)


def _intermediates(
    op: Op, inputs: Arrays, values: list[Any], unclipped: list[Any], golden: np.ndarray, first: Difference
) -> list[str]:
    """What made the first mismatch: the operands that stand at its own place, the exact value that was rounded and
    the result before the clip; or the terms of a sum of products."""
    if "product" in vocabulary(op):
        return _sum(op, inputs, golden, first)
    words = [
        f"{'acc' if port == 'x' and values else port} {int(t[first.first])}"
        for port, t in inputs.items()
        if t.shape == golden.shape and elementwise(op, port)
    ]
    if values:
        words.append("scaled " + " + ".join(decimal(int(num[0]), int(den[0])) for num, den in values))
    if unclipped and np.shape(unclipped[-1]) == golden.shape:
        words.append(f"unclipped {int(unclipped[-1][first.first])}")
    return words


def _sum(op: Op, inputs: Arrays, golden: np.ndarray, first: Difference) -> list[str]:
    """The number of terms, their sum, and the bias beside it."""
    terms, bias = next(iter(inputs.values())).shape[-1], inputs.get("bias")
    if "weight" in inputs and inputs["weight"].ndim > 2:
        terms = inputs["weight"][0].size
    added = 0 if bias is None else int(bias[first.first[_axis_of_bias(op, golden)]])
    words = [f"{terms} terms", f"sum {int(golden[first.first]) - added}"]
    return words if bias is None else [*words, f"bias {added}"]


def _axis_of_bias(op: Op, golden: np.ndarray) -> int:
    """The axis of the output that the bias runs along."""
    form = next(iter(op.outputs.values())).form(golden.ndim) or []
    return form.index(op.inputs["bias"].axes) if op.inputs["bias"].axes in form else -1


def _ties(op: Op, inputs: Arrays, values: list[Any], wrong: np.ndarray) -> list[str]:
    """How many of the wrong outputs are exact ties, and on which side of zero."""
    if not values:
        return []
    ties = np.zeros(len(values[0][0]), bool)
    for value in values:
        ties |= are_ties(value)
    if not ties.any():
        return ["none on exact ties"]
    if not ties.all():
        return [f"{np.count_nonzero(ties)} of {ties.size} on exact ties"]
    if len(values) > 1:
        return ["all on exact ties of a term"]
    signs = np.sign(values[0][0].astype(object))
    side = next((s for s, sign in (("< 0", -1), ("> 0", 1)) if (signs == sign).all()), "of both signs")
    name = "scaled"
    if "x" in inputs and elementwise(op, "x") and (np.sign(inputs["x"][wrong]) == signs).all():
        name = "acc"
    return [f"all on exact ties with {name} {side}"]


def _clipped(attrs: dict[str, Any], unclipped: list[Any], wrong: np.ndarray) -> list[str]:
    if not unclipped or np.shape(unclipped[-1]) != wrong.shape or "low" not in attrs:
        return []
    value = np.asarray(unclipped[-1])[wrong]
    for side, beyond in (("high", value > attrs["high"]), ("low", value < attrs["low"])):
        if beyond.all():
            return [f"all where the result is clipped to {side} = {attrs[side]}"]
    return ["all where the result is clipped"] if ((value > attrs["high"]) | (value < attrs["low"])).all() else []


def _pattern(inputs: Arrays, dut: np.ndarray, wrong: np.ndarray) -> list[str]:
    """What a device that did not compute leaves behind, and differences that keep to one place."""
    if dut.size > 1 and (dut == dut.flat[0]).all():
        return [f"every output of the device is {int(dut.flat[0])}: it may not have run"]
    for port, t in inputs.items():
        if t.shape == dut.shape and t.dtype == dut.dtype and np.array_equal(t, dut):
            return [f"the output is the input {port!r}, unchanged: it may not have run"]
    places = np.argwhere(wrong)
    if len(places) < 2:
        return []
    kept = [a for a in range(wrong.ndim) if wrong.shape[a] > 1 and (places[:, a] == places[0, a]).all()]
    return [f"all at index {int(places[0, axis])} of axis {axis}" for axis in kept]


def _scored(seen: Observation, likely: Container[str]) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """(what reproduces every output of the device, what less likely does, the sentence that says so), scored on all
    outputs, never on the mismatches alone, where wrong rules would look right as well."""
    if seen.total >= MANY:
        seen.score(ALL_PARTS, only=likely)
    if not seen.reproducing():
        seen.score(CHOICES)
        if not seen.reproducing():
            seen.score(SLOW_CHOICES)  # slow to compute, and needed only where nothing has explained the device
        seen.score(SLIPS)
        if not seen.reproducing() and seen.total < MANY:
            seen.score((pairs.faults,))
    if whole := seen.reproducing():
        rules = tuple(words for words in whole if words in seen.designed) or tuple(whole)
        also = tuple(words for words in whole if words not in rules)
        return rules, also, f"{' or '.join(rules[:NAMED_RULES])} explains 100.000 % of {seen.total} outputs"
    best = max((equal or 0 for equal in seen.scores.values()), default=0)
    nearest = [words for words, equal in seen.scores.items() if equal == best > seen.total - seen.differing]
    close = f" (closest: {' or '.join(nearest[:NAMED_RULES])}, {percent(best, seen.total)} %)" if nearest else ""
    return (), (), f"{UNKNOWN} reproduces it{close}"


@dataclass(frozen=True)
class OpExplanation:
    """Every answer of a device to one op, explained together.

    stage: operands, accumulate, scale, round or clip; empty if nothing tells; why: what tells it. ties: kind of exact
    value -> (wrong outputs, outputs); empty where no value is rounded for each output.
    """

    explained: Explained
    stage: str
    why: str
    ties: Mapping[str, tuple[int, int]]

    @property
    def op(self) -> str:
        return self.explained.op

    @property
    def lines(self) -> tuple[str, ...]:
        """For people, the answer first."""
        where = [f"stage: {self.stage} ({self.why})"] if self.stage else ["stage: not told by these outputs"]
        kinds = [f"{kind} {wrong} of {total}" for kind, (wrong, total) in self.ties.items() if total]
        ties = [f"wrong: {', '.join(kinds)}"] if any(kind != OTHERS for kind in self.ties) and kinds else []
        return (self.explained.sentence, *where, *ties)

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        found = self.explained
        return {
            "op": found.op,
            "sentence": found.sentence,
            "lines": [*self.lines],
            "known": found.known,
            "cases": found.cases,
            "differing_cases": found.differing,
            "outputs": found.outputs,
            "differing": found.wrong,
            "findings": [
                {"where": f.where.text.strip(), "rules": [*f.rules], "also": [*f.also]} for f in found.findings
            ],
            "undecided_cases": found.undecided,
            "closest": [{"rule": words, "reproduces": equal} for words, equal in found.closest],
            "stage": self.stage,
            "why": self.why,
            "ties": {kind: {"wrong": wrong, "of": total} for kind, (wrong, total) in self.ties.items()},
        }


def explain_cases(op_name: str, observations: Sequence[Observation]) -> OpExplanation:
    """Explain what a device answered to several calls of one op, of which at least one differs from golden.

    One rule has to give every output of every call, equal ones too.
    """
    found = explain_op(op_name, observations)
    stage, why = located(found, observations)
    return OpExplanation(found, stage, why, tie_counts(observations))
