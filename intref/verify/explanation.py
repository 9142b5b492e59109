"""Why a device's outputs differ: where first, on which exact values, and which changed rule gives all its outputs."""

# The vocabulary of op bodies is not typed.
# mypy: allow-untyped-calls

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from intref.comparison import Difference, compare, mismatches
from intref.errors import IntrefError
from intref.faults.bodies import Rounding, elementwise, observed, vocabulary
from intref.faults.variants import CHOICES, SLIPS, SLOW_CHOICES, variants
from intref.intmath import split_fp32
from intref.ops import OPS
from intref.ops.op import Op

Arrays = Mapping[str, np.ndarray]
Masks = Mapping[str, np.ndarray | None]
DIGITS = 6
NAMED_RULES = 4  # of those that reproduce a device, the simplest


@dataclass(frozen=True)
class Explanation:
    """lines: for people. port: the first output that differs. rules: each of them reproduces every output, the
    simplest first. also: what does so as well, but is less likely."""

    lines: tuple[str, ...]
    port: str
    difference: Difference
    rules: tuple[str, ...] = ()
    also: tuple[str, ...] = ()


def explain(
    op_name: str, inputs: Arrays, attrs: dict[str, Any], golden: Arrays, dut: Arrays, valid: Masks | None = None
) -> Explanation:
    """Explain a device's outputs, at least one of which differs from golden; attrs complete, inputs as the device had.

    valid: port -> bool of the output's shape, None or absent where every element counts. Outputs absent from dut are
    not looked at.
    """
    op, masks = OPS[op_name], {port: (valid or {}).get(port) for port in dut}
    differences = {port: compare(dut[port], golden[port], masks[port]) for port in dut}
    port = next(port for port, difference in differences.items() if difference.differing)
    first, wrong = differences[port], mismatches(dut[port], golden[port], masks[port])
    roundings, unclipped = _observed(op, inputs, attrs)
    values = _exact(op, inputs, attrs, roundings, wrong) if port == next(iter(op.outputs)) else []
    rules, also, verdict = _scored(op, inputs, attrs, golden, dut, masks)
    count = f"{f'output {port!r}: ' if len(op.outputs) > 1 else ''}{first.count}, {first.sizes}"
    place = "  ".join([f"{first.place} ", *_intermediates(op, inputs, values, unclipped, golden[port], first)])
    found = [*_ties(op, inputs, values, wrong), *_clipped(attrs, unclipped, wrong), *_pattern(inputs, dut[port], wrong)]
    lines = (count, place.rstrip(), "; ".join([*found, verdict]))
    return Explanation(lines, port, first, rules, also)


def outline(
    op_name: str, inputs: Arrays, attrs: dict[str, Any], golden: Arrays, dut: Arrays, valid: Masks | None = None
) -> Explanation:
    """`explain` without reasons, for outputs whose inputs were already wrong: counts and the first mismatch."""
    differences = {port: compare(dut[port], golden[port], (valid or {}).get(port)) for port in dut}
    port = next(port for port, difference in differences.items() if difference.differing)
    first = differences[port]
    return Explanation((f"{first.count}, {first.sizes}", first.place), port, first)


def _observed(op: Op, inputs: Arrays, attrs: dict[str, Any]) -> tuple[list[Rounding], list[Any]]:
    try:
        return observed(op, inputs, attrs)
    except IntrefError:  # inputs that a device made may lie outside of what the op is proved for
        return [], []


def _exact(
    op: Op, inputs: Arrays, attrs: dict[str, Any], roundings: list[Rounding], wrong: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """(numerators, denominators), Python integers, of the values that were rounded last, where outputs are wrong."""
    if op.name == "rescale":
        roundings = [_rescale_value(inputs, attrs)]
    last = roundings if op.name == "add" else roundings[-1:]
    found = ((step, *_gathered(step, wrong)) for step in last)
    return [_fraction(step, parts) for step, *parts in found if parts[0] is not None]


def _rescale_value(inputs: Arrays, attrs: dict[str, Any]) -> Rounding:
    """The value that rescale rounds, whatever its rule makes of it on the way."""
    ndim, axis = inputs["x"].ndim, attrs["axis"]
    m, s = (inputs[k].astype(np.int64) for k in ("multiplier", "shift"))
    if attrs["rounding"] == "fp32_half_even":
        sign, significand, exponent = split_fp32(m)
        m, s = sign * significand, -exponent
    laid = [1] * ndim
    laid[axis] = -1
    centered = inputs["x"].astype(np.int64) - attrs["input_zero_point"]
    return Rounding((centered, m.reshape(laid)), s.reshape(laid), True, attrs["rounding"])


def _gathered(step: Rounding, wrong: np.ndarray) -> list[Any]:
    """Each part of a rounding at the wrong outputs, as Python integers; [None] if its shape is not the output's."""
    parts: Sequence[np.ndarray] = np.broadcast_arrays(*step.numerator, step.denominator)
    if parts[0].size != wrong.size:
        try:
            parts = [np.broadcast_to(part, wrong.shape) for part in parts]
        except ValueError:
            return [None]
    return [part.reshape(wrong.shape)[wrong].astype(object) for part in parts]


def _fraction(step: Rounding, parts: list[Any]) -> tuple[np.ndarray, np.ndarray]:
    numerator, denominator = parts[0], parts[-1]
    for factor in parts[1:-1]:
        numerator = numerator * factor
    if step.shifted:
        numerator, denominator = numerator << np.maximum(-denominator, 0), 1 << np.maximum(denominator, 0)
    return numerator, denominator


def _intermediates(
    op: Op, inputs: Arrays, values: list[Any], unclipped: list[Any], golden: np.ndarray, first: Difference
) -> list[str]:
    """What made the first mismatch: the operands that stand at its own place, the exact value that was rounded and
    the result before the clip; or the terms of a sum of products."""
    if "product" in vocabulary(op):
        return _sum(inputs, golden, first)
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


def _sum(inputs: Arrays, golden: np.ndarray, first: Difference) -> list[str]:
    """The number of terms, their sum, and the bias beside it."""
    terms, bias = next(iter(inputs.values())).shape[-1], inputs.get("bias")
    added = 0 if bias is None else int(bias[first.first[-1]])
    words = [f"{terms} terms", f"sum {int(golden[first.first]) - added}"]
    return words if bias is None else [*words, f"bias {added}"]


def decimal(num: int, den: int) -> str:
    """num / den, exact when it has few digits; else cut, with dots, after enough to be told from a tie."""
    sign, (whole, rest) = "-" if num < 0 else "", divmod(abs(num), den)
    digits = DIGITS
    while (rest * 10**digits) % den and (rest * 10**digits // den) in (0, 5 * 10 ** (digits - 1)) and digits < 40:
        digits += DIGITS
    exact = not (rest * 10**digits) % den
    return f"{sign}{whole}.{rest * 10**digits // den:0{digits}d}{'' if exact else '..'}"


def _ties(op: Op, inputs: Arrays, values: list[Any], wrong: np.ndarray) -> list[str]:
    """How many of the wrong outputs are exact ties, and on which side of zero."""
    if not values:
        return []
    ties = np.zeros(len(values[0][0]), bool)
    for num, den in values:
        ties |= np.asarray(2 * (num % den) == den, bool)
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


def _scored(
    op: Op, inputs: Arrays, attrs: dict[str, Any], golden: Arrays, dut: Arrays, masks: Masks
) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """(what reproduces every output of the device, what less likely does, the sentence that says so), scored on all
    outputs, never on the mismatches alone, where wrong rules would look right as well."""
    counts = [compare(dut[p], golden[p], masks[p]) for p in dut]
    total = sum(d.compared for d in counts)
    whole: dict[str, bool] = {}
    nearest, best = [], total - sum(d.differing for d in counts)
    for words, made, chosen in _catalogue(op, inputs, attrs, whole):
        equal = total - sum(int(np.count_nonzero(mismatches(dut[p], made[p], masks[p]))) for p in dut)
        if equal == total:
            whole.setdefault(words, chosen)
        elif equal > best:
            best, nearest = equal, [words]
        elif equal == best and nearest:
            nearest.append(words)
    if whole:
        rules = tuple(words for words, chosen in whole.items() if chosen) or tuple(whole)
        also = tuple(words for words in whole if words not in rules)
        return rules, also, f"{' or '.join(rules[:NAMED_RULES])} explains 100.000 % of {total} outputs"
    close = f" (closest: {' or '.join(nearest[:NAMED_RULES])}, {_percent(best, total)} %)" if nearest else ""
    return (), (), f"no known rule reproduces it{close}"


def _catalogue(
    op: Op, inputs: Arrays, attrs: dict[str, Any], explained: Container[str]
) -> Iterator[tuple[str, Arrays, bool]]:
    """(words, outputs, whether a designer may have chosen it) of everything that a device may have done instead.

    What is slow to compute is tried only while nothing has explained the device.
    """
    for parts in (CHOICES, SLOW_CHOICES, SLIPS):
        if parts is not SLOW_CHOICES or not explained:
            yield from ((words, made, parts is not SLIPS) for words, made in variants(op, inputs, attrs, parts))


def _percent(part: int, whole: int) -> str:
    """Rounded down, so that 100.000 means all."""
    thousandths = 100_000 * part // max(whole, 1)
    return f"{thousandths // 1000}.{thousandths % 1000:03d}"
