"""Where in an op a device goes wrong: its operands, the accumulation, the scale, a rounding, the clip, the output.

A rule that explains the device says so itself. Without one, the outputs do: each test below holds for every output of
every call, or says nothing.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from intref.comparison import mismatches
from intref.errors import IntrefError
from intref.explain.exact import Exact, are_ties, exact_values, listened
from intref.explain.hypotheses import Explained, Observation
from intref.faults.bodies import ROUNDINGS, count_floors, floored, run_body, vocabulary
from intref.faults.pairs import parts
from intref.faults.variants import by_rule, tried

OPERANDS, ACCUMULATE, SCALE, ROUND, CLIP, OUTPUT = "operands", "accumulate", "scale", "round", "clip", "output"
# The first that a rule's words match.
WORDS = (
    (ACCUMULATE, re.compile(r"accumulat|\bsum\b|\bbias\b|added|per step|K tail|terms|pairs")),
    (CLIP, re.compile(r"saturation|^output (saturated|wrapped)|\bclip")),
    (ROUND, re.compile(r"^rule |^(order|contract|by) |rounding|floor|truncated")),
    (SCALE, re.compile(r"multiplier|shift|scale|mantissa|exponent|zero_point")),
)
OFF = 2  # units that an output may be off a factor
WIDE = 8  # low bits that a lost carry or a narrow register leaves right
OTHERS = "between ties"
LARGEST = 1 << 18  # outputs that are looked at as exact fractions


def stage_of(words: str) -> str:
    """The stage that a rule of the catalogue changes; of a pair, both."""
    found = [next((s for s, pattern in WORDS if pattern.search(part)), OPERANDS) for part in parts(words)]
    return " and ".join(dict.fromkeys(found))


def located(explained: Explained, observations: Sequence[Observation]) -> tuple[str, str]:
    """(stage, why); ("", "") if nothing tells."""
    if explained.known:
        stages = {stage_of(words) for finding in explained.findings for words in finding.rules}
        return (stages.pop(), "by the rule") if len(stages) == 1 else ("", "")
    wrong = [seen for seen in observations if seen.differing]
    return next((found for test in TESTS for found in test(wrong)), ("", ""))


def _first(seen: Observation) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first output: the device's, golden's, and where they differ."""
    port = next(iter(seen.dut))
    return seen.dut[port], seen.golden[port], mismatches(seen.dut[port], seen.golden[port], seen.valid.get(port))


def _unclipped(seen: Observation) -> np.ndarray | None:
    """The value before the last clip, if the op has limits of its own and clips each output."""
    if not {"low", "high"} <= seen.attrs.keys():
        return None
    values = listened(seen.op, seen.inputs, seen.attrs)[1]
    return np.asarray(values[-1]) if values and np.shape(values[-1]) == _first(seen)[1].shape else None


def _beyond(seen: Observation) -> np.ndarray | None:
    value = _unclipped(seen)
    return None if value is None else (value < seen.attrs["low"]) | (value > seen.attrs["high"])


def _at_clips(wrong: Sequence[Observation]) -> Iterator[tuple[str, str]]:
    beyond = [_beyond(seen) for seen in wrong]
    if not any(b is not None and (b & _first(seen)[2]).any() for seen, b in zip(wrong, beyond)):
        return  # what only lies on an end may have been rounded to it
    ends = [(seen, seen.attrs["low"], seen.attrs["high"]) for seen, b in zip(wrong, beyond) if b is not None]
    on_end = [
        not (w & (g != low) & (g != high)).any() for (_, g, w), low, high in ((_first(s), a, b) for s, a, b in ends)
    ]
    if len(on_end) == len(wrong) and all(on_end):
        yield CLIP, "wrong only where the result is clipped"


def _exact(wrong: Sequence[Observation]) -> list[tuple[Observation, Exact]] | None:
    """The values rounded last, of every call; None where the op has none for each output, or there are too many."""
    if sum(seen.total for seen in wrong) > LARGEST:
        return None
    found = [
        (seen, exact_values(seen.op, seen.inputs, seen.attrs, np.ones(_first(seen)[1].shape, bool))) for seen in wrong
    ]
    kept = [(seen, values[0]) for seen, values in found if len(values) == 1]
    return kept if len(kept) == len(wrong) else None


def _at_ties(wrong: Sequence[Observation]) -> Iterator[tuple[str, str]]:
    if known := _exact(wrong):
        ties = [are_ties(value) for _, value in known]
        if all(t[_first(seen)[2].ravel()].all() for (seen, _), t in zip(known, ties)):
            yield ROUND, "wrong only on exact ties"


def _at_neighbours(wrong: Sequence[Observation]) -> Iterator[tuple[str, str]]:
    """Every wrong output is the other neighbour of the exact value."""
    if not (known := _exact(wrong)):
        return
    for seen, (num, den) in known:
        dut, golden, differs = (a.ravel() for a in _first(seen))
        value, offset = _unclipped(seen), seen.attrs.get("output_zero_point", 0)
        made = (golden if value is None else value.ravel()).astype(object) - offset
        floor = num // den
        other = 2 * floor + 1 - made
        if value is not None:
            other = np.minimum(np.maximum(other + offset, seen.attrs["low"]), seen.attrs["high"])
        right = np.asarray((other == dut.astype(object)) & (num % den != 0), bool)
        if not right[differs].all():
            return
    yield ROUND, "each wrong output is the other neighbour of the exact value"


def _at_inner_rounding(wrong: Sequence[Observation]) -> Iterator[tuple[str, str]]:
    """One unit more or less at one rounding of the body gives every wrong output."""
    places: set[str] | None = None
    for seen in wrong:
        places = {place for place in _places(seen) if (places is None or place in places) and _one_off(seen, place)}
    if places:
        yield ROUND, f"one unit at {' or '.join(sorted(places)[:3])} gives every wrong output"


def _places(seen: Observation) -> list[str]:
    steps = len(listened(seen.op, seen.inputs, seen.attrs)[0])
    try:
        floors = 0 if "product" in vocabulary(seen.op) else count_floors(seen.op, seen.inputs, seen.attrs)
    except IntrefError:
        floors = 0
    named = [f"rounding {i + 1} of {steps}" for i in range(steps)]
    return [*named, *(f"floor {i + 1} of {floors}" for i in range(floors))]


def _one_off(seen: Observation, place: str) -> bool:
    kind, number, _, _ = place.split()
    less, more = (tried(partial(_nudged, seen, kind == "floor", int(number) - 1, by)) for by in (-1, 1))
    if less is None or more is None:
        return False
    return all(
        not (mismatches(t, seen.golden[p], seen.valid.get(p)) & (t != less[p]) & (t != more[p])).any()
        for p, t in seen.dut.items()
    )


def _nudged(seen: Observation, floor: bool, index: int, by: int) -> Any:
    calls = iter(range(1 << 30))

    def more() -> int:
        return by if next(calls) == index else 0

    def divided(a: Any, b: Any, shifted: bool) -> Any:
        return (a >> b if shifted else a // b) + more()

    def swap(name: str) -> Callable[..., Any]:
        def rounded(*args: Any) -> Any:
            step = ROUNDINGS[name](*args)
            return by_rule(step, step.rule) + more()

        return rounded

    swaps = {"within": lambda x, low, high: x} | ({} if floor else {name: swap(name) for name in ROUNDINGS})
    return run_body(seen.op, seen.inputs, seen.attrs, swaps, kind=floored(divided) if floor else np.ndarray)


def _by_factor(wrong: Sequence[Observation]) -> Iterator[tuple[str, str]]:
    """Outputs that are the exact values times one factor, to within two units: the device rounds somewhere too."""
    if not (known := _exact(wrong)):
        return
    low, high = None, None
    for seen, (num, den) in known:
        dut, free = _first(seen)[0].ravel(), _beyond(seen)
        offset = seen.attrs.get("output_zero_point", 0)
        for i in np.flatnonzero(np.ones(dut.shape, bool) if free is None else ~(free.ravel() | _on_end(dut, seen))):
            made = int(dut[i]) - offset
            if num[i]:
                ends = sorted(Fraction((made + d) * int(den[i]), int(num[i])) for d in (-OFF, OFF))
                low = ends[0] if low is None else max(low, ends[0])
                high = ends[1] if high is None else min(high, ends[1])
    if low is not None and high is not None and low <= high and not low <= 1 <= high:
        yield SCALE, f"the outputs are the exact values times a factor between {_short(low)} and {_short(high)}"


def _on_end(dut: np.ndarray, seen: Observation) -> np.ndarray:
    """bool: which outputs the device may have clipped."""
    return (dut == seen.attrs["low"]) | (dut == seen.attrs["high"])


def _short(value: Fraction) -> str:
    thousandths = abs(value.numerator) * 1000 // value.denominator
    return f"{'-' if value < 0 else ''}{thousandths // 1000}.{thousandths % 1000:03d}"


def _by_constant(wrong: Sequence[Observation]) -> Iterator[tuple[str, str]]:
    found: set[int] = set()
    count = 0
    for seen in wrong:
        dut, golden, _ = _first(seen)
        free = _beyond(seen)
        kept = np.ones(dut.shape, bool) if free is None else ~free
        found.update(int(gap) for gap in np.unique(_gaps(dut[kept], golden[kept])))
        count += int(np.count_nonzero(kept))
    if len(found) == 1 and count > 1 and 0 not in found:
        yield ACCUMULATE, f"every output is {found.pop():+d} off"


def _gaps(dut: np.ndarray, golden: np.ndarray) -> np.ndarray:
    """The device's values minus golden's, int64, modulo the width of the dtype: outputs may have wrapped."""
    gaps = np.asarray(dut.astype(np.int64) - golden.astype(np.int64))
    if golden.dtype.itemsize < 8:
        half = 1 << 8 * golden.dtype.itemsize - 1
        gaps = ((gaps + half) & 2 * half - 1) - half
    return gaps


def _by_width(wrong: Sequence[Observation]) -> Iterator[tuple[str, str]]:
    together = 0
    for dut, golden, differs in map(_first, wrong):
        for gap in np.unique(_gaps(dut[differs], golden[differs])):
            together |= int(gap)
    bits = (together & -together).bit_length() - 1
    if bits >= WIDE:
        yield ACCUMULATE, f"every difference is a multiple of 2**{bits}"


def _by_bits(wrong: Sequence[Observation]) -> Iterator[tuple[str, str]]:
    """The same bits of every wrong output are the other way round, and the same way: a line that is stuck."""
    changed: set[int] = set()
    made: set[int] = set()
    for seen in wrong:
        dut, golden, differs = _first(seen)
        d, g = dut[differs].astype(np.int64), golden[differs].astype(np.int64)
        changed.update(int(bits) for bits in np.unique(d ^ g)[:2])
        made.update(int(bits) for bits in np.unique(d & (d ^ g))[:2])
    bits = changed.pop() if len(changed) == 1 == len(made) else 0
    if bits > 0 and not bits & bits - 1 and sum(seen.differing for seen in wrong) > 1:
        yield OUTPUT, f"bit {bits.bit_length() - 1} of every wrong output is {int(made != {0})}"


def _by_size(wrong: Sequence[Observation]) -> Iterator[tuple[str, str]]:
    """Wrong exactly from some size of an operand on."""
    for port in wrong[0].inputs:
        sizes: list[tuple[np.ndarray, np.ndarray]] = []
        for seen in wrong:
            _, golden, differs = _first(seen)
            if seen.inputs[port].shape != golden.shape:
                break
            sizes.append((np.abs(seen.inputs[port].astype(np.int64)), differs))
        if len(sizes) == len(wrong):
            right = max((int(x[~w].max()) for x, w in sizes if not w.all()), default=0)
            least = min(int(x[w].min()) for x, w in sizes)
            if least > right > 0:
                yield ACCUMULATE, f"wrong exactly where |{port}| >= {least}, right up to {right}"


def _by_op(wrong: Sequence[Observation]) -> Iterator[tuple[str, str]]:
    words = vocabulary(wrong[0].op)
    if "product" in words and not words & {*ROUNDINGS, "saturate"}:
        yield ACCUMULATE, "the op does nothing else"


TESTS = (
    _at_clips,
    _at_ties,
    _at_neighbours,
    _by_constant,
    _by_factor,
    _by_bits,
    _by_width,
    _by_size,
    _at_inner_rounding,
    _by_op,
)


def tie_counts(observations: Sequence[Observation]) -> dict[str, tuple[int, int]]:
    """Kind of exact value -> (wrong outputs, outputs), of all calls, right ones too: exact ties by their sign and by
    the parity of the integer below, and all others. Clipped outputs do not count."""
    counts: dict[str, tuple[int, int]] = {}
    for seen, value in _exact(observations) or ():
        _, golden, differs = _first(seen)
        beyond, valid = _beyond(seen), seen.valid.get(next(iter(seen.dut)))
        kept = np.ones(golden.shape, bool) if valid is None else valid
        kept = (kept if beyond is None else kept & ~beyond).ravel()
        for kind, which in _kinds(value):
            wrong, total = (int(np.count_nonzero(which & mask)) for mask in (kept & differs.ravel(), kept))
            before = counts.get(kind, (0, 0))
            counts[kind] = (before[0] + wrong, before[1] + total)
    return counts


def _kinds(value: Exact) -> Iterator[tuple[str, np.ndarray]]:
    num, den = value
    ties, above, odd = are_ties(value), np.asarray(num > 0, bool), np.asarray((num // den) % 2 == 1, bool)
    for sign, signed in ((">", above), ("<", ~above)):
        for parity, even in (("even", ~odd), ("odd", odd)):
            yield f"ties {sign} 0 above an {parity} integer", ties & signed & even
    yield OTHERS, ~ties
