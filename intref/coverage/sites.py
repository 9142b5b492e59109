"""The bins of one expression of a body: what may happen there that a device can get wrong.

A bin is a label and conditions (value, low, high): it is hit where every value lies in its range, and possible where
every interval meets it. One description serves both, because the values are computed with operators that int64
arrays and Intervals share; what an interval cannot know (the remainder of a division) is anything.
"""

# The vocabulary of op bodies is not typed.
# mypy: allow-untyped-calls

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from intref.coverage.body import Site
from intref.coverage.roundings import FAR, SHIFTED, Bin, Condition, anything, floored, rounded, unknown
from intref.intmath import bitlen
from intref.numbertypes import Interval

FEW = 64  # results, if there are no more, have a bin each
SHIFTS = 128  # shifts: the same
ENTRIES = 1024  # of a table: the same

DISTANCES = (("less by more", -FAR, -2), ("one less", -1, -1), ("equal", 0, 0), ("one more", 1, 1), ("more", 2, FAR))
WIDTHS = ((1, 24), (25, 31), (32, 53), (54, 128))  # float32, int32, float64
# Lemmas whose ends a device meets as values: remainders and results at their extremes.
ENDS = {
    "within(d + q * ln2, 1 - ln2, 0)",
    "within((127 * x + (scale >> 1)) // scale, -127, 127)",
    "within(c << k, -sigma, sigma)",
    "within(x << k, -sigma, sigma)",
    "within(-(-peak >> e), 1, 1 << 15)",
}


def bins(site: Site, args: tuple[Any, ...], result: Any) -> Iterator[Bin]:
    """Every bin of a site, for arrays or for Intervals."""
    if site.inner and site.kind != "round":
        return
    if describe := KINDS.get(site.kind):
        yield from describe(site, args, result)


def numbers(site: Site, args: tuple[Any, ...], result: Any) -> Iterator[tuple[str, Any, int]]:
    """(word, value, how many values at most) for what has a bin for each of its values, where they are few."""
    if site.inner:
        return
    if site.kind in VALUED:
        yield "result", result, FEW
    if site.kind in SHIFTED and not isinstance(args[SHIFTED[site.kind]], int):
        yield "shift", args[SHIFTED[site.kind]], SHIFTS
    if site.kind == "index" and args[0].shape[0] > 1:
        yield "index", args[1], ENTRIES


def few(value: Any, most: int) -> list[int]:
    """The values that an interval may have, or that an array has, if they are no more than `most`."""
    if isinstance(value, Interval) and not value.exact:
        low, high = value.min(), value.max()
        return [*range(low, high + 1)] if high - low < most else []
    found = np.unique(value.lo if isinstance(value, Interval) else value)
    return [int(v) for v in found] if len(found) <= most else []


def holds(conditions: tuple[Condition, ...]) -> int:
    """How many elements lie in every range."""
    mask: Any = True
    for value, low, high in conditions:
        mask = mask & (np.asarray(value) >= max(low, -(1 << 63))) & (np.asarray(value) <= min(high, (1 << 63) - 1))
    return int(np.count_nonzero(mask))


def impossible(conditions: tuple[Condition, ...]) -> str:
    """Why no element can lie in every range, by bounds; empty where one may."""
    for value, low, high in conditions:
        held = Interval.of(np.asarray(value) if isinstance(value, int) else value)
        least, most = held.min(), held.max()
        if most < low or least > high:
            return f"bounds: it lies in [{least}, {most}]"
    return ""


def _gap(a: Any, b: Any) -> Any:
    """a - b; of arrays, cut to [-2, 2], so that nothing wraps."""
    if unknown(a, b):
        return Interval.of(np.asarray(a) if isinstance(a, int) else a) - b
    a, b = (np.ascontiguousarray(v, np.int64).reshape(-1) for v in np.broadcast_arrays(a, b))
    larger, smaller = np.maximum(a, b).view(np.uint64), np.minimum(a, b).view(np.uint64)
    return np.minimum(larger - smaller, np.uint64(2)).astype(np.int64) * np.where(a < b, -1, 1)


def _clipped(site: Site, args: tuple[Any, ...], result: Any) -> Iterator[Bin]:
    x, low, high = args
    from_low, from_high = _gap(x, low), _gap(x, high)
    yield "far below low", ((from_low, -FAR, -2),)
    yield "one below low", ((from_low, -1, -1),)
    yield "at low", ((from_low, 0, 0),)
    yield "inside", ((from_low, 1, FAR), (from_high, -FAR, -1))
    yield "at high", ((from_high, 0, 0),)
    yield "one above high", ((from_high, 1, 1),)
    yield "far above high", ((from_high, 2, FAR),)


def _ordered(site: Site, args: tuple[Any, ...], result: Any) -> Iterator[Bin]:
    gap = _gap(*args)
    for word, low, high in DISTANCES:
        yield f"left is {word}", ((gap, low, high),)


def _signed(site: Site, args: tuple[Any, ...], result: Any) -> Iterator[Bin]:
    for word, low, high in (("negative", -FAR, -1), ("zero", 0, 0), ("positive", 1, FAR)):
        yield word, ((args[0], low, high),)


def _wrapped(site: Site, args: tuple[Any, ...], result: Any) -> Iterator[Bin]:
    x, bits = args[0], (*args[1:], 32)[0]
    end, word = 1 << bits - 1, "int32" if len(args) == 1 else "its bits"
    yield f"below {word}", ((_gap(x, -end), -FAR, -1),)
    yield "inside", ((_gap(x, -end), 0, FAR), (_gap(x, end), -FAR, -1))
    yield f"above {word}", ((_gap(x, end), 0, FAR),)


def _registered(site: Site, args: tuple[Any, ...], result: Any) -> Iterator[Bin]:
    """Where a saturating register ends, and whether saturation on the way there set it."""
    a, b, start, low, high, _ = args
    late: Any = anything(-FAR, FAR)
    if not unknown(a, b, low):
        late = np.ravel(result - np.minimum(np.maximum(start + np.matmul(a, b), low), high))
    yield "at low", ((_gap(result, low), 0, 0), (late, 0, 0))
    yield "inside", ((_gap(result, low), 1, FAR), (_gap(result, high), -FAR, -1), (late, 0, 0))
    yield "at high", ((_gap(result, high), 0, 0), (late, 0, 0))
    yield "lower than one saturation at the end gives", ((late, -FAR, -1),)
    yield "higher than one saturation at the end gives", ((late, 1, FAR),)


def magnitudes(value: Any, lengths: tuple[tuple[int, int], ...]) -> Iterator[Bin]:
    """Zero, and both signs of every range of bit lengths."""
    yield "zero", ((value, 0, 0),)
    for first, last in lengths:
        low, high = 1 << first - 1, (1 << last) - 1
        bits = (
            f"{first} bits" if first == last else f"{first} to {last} bits" if last < 128 else f"{first} bits or more"
        )
        yield f"positive, {bits}", ((value, low, high),)
        yield f"negative, {bits}", ((value, -high, -low),)


def _multiplied(site: Site, args: tuple[Any, ...], result: Any) -> Iterator[Bin]:
    yield from magnitudes(result, WIDTHS)


def _summed(site: Site, args: tuple[Any, ...], result: Any) -> Iterator[Bin]:
    """The headroom of an accumulator: each bit length, and what float32 does not hold."""
    yield from magnitudes(result, tuple((bits, bits) for bits in range(1, 64)))
    odd = anything(0, 1) if unknown(result) else result & 1
    yield "odd above 2**24", ((result, (1 << 24) + 1, FAR), (odd, 1, 1))
    yield "odd below -2**24", ((result, -FAR, -(1 << 24) - 1), (odd, 1, 1))


def _chosen(site: Site, args: tuple[Any, ...], result: Any) -> Iterator[Bin]:
    yield "the first", ((args[0], 1, FAR),)
    yield "the second", ((args[0], 0, 0),)


def _indexed(site: Site, args: tuple[Any, ...], result: Any) -> Iterator[Bin]:
    table, index = args
    last = table.shape[0] - 1
    if unknown(*args):  # of a table of any length: its bounds were taken with one entry
        last, index = (last, index) if last else (2, anything(0, 2))
    for word, low, high in (("first entry", 0, 0), ("an inner entry", 1, last - 1), ("last entry", last, last)):
        yield word, ((index, low, high),)


def _rooted(site: Site, args: tuple[Any, ...], result: Any) -> Iterator[Bin]:
    """Arguments at, and one off, a square of every length; the steps that Newton's iteration takes to the root."""
    v = args[0]
    off, until = (anything(0, 4), anything(0, 4)) if unknown(v) else (v - result * result, _until_next(v, result))
    for bits in range(1, 33):
        root = (result, 1 << bits - 1, (1 << bits) - 1)
        yield f"a square, root of {bits} bits", (root, (off, 0, 0))
        yield f"one above a square, root of {bits} bits", (root, (off, 1, 1))
        yield f"one below a square, root of {bits} bits", (root, (until, 1, 1))
    steps = anything(2, 6) if unknown(v) else newton_steps(v)
    for count in range(2, 7):
        yield f"{count} Newton steps", ((steps, count, count),)


def _until_next(v: Any, root: Any) -> Any:
    return (root + 1) * (root + 1) - v


def newton_steps(v: Any) -> Any:
    """Steps of x -> floor((x + floor(v / x)) / 2) from 2**ceil(bits / 2) until x no longer falls; 0 for v = 0.

    The start lies above the root, so the first step always falls and a second one is needed to see the end.
    """
    x = 1 << (bitlen(v) + 1 >> 1)
    steps, falling = 0 * v, v > 0
    while np.any(falling):
        following = x + v // x >> 1
        steps = steps + falling
        falling = falling & (following < x)
        x = np.where(falling, following, x)
    return steps


def _peaked(site: Site, args: tuple[Any, ...], result: Any) -> Iterator[Bin]:
    """Where a row has its maximum, and how often."""
    x, axis = args
    size: Any = anything(1, 9)
    count: Any = anything(1, 9)
    if unknown(x):
        first: Any = anything(0, 8)
        from_end: Any = first
    else:
        peak = np.asarray(x == result)
        size = np.full(result.shape, x.shape[axis])
        count, first = (np.expand_dims(v, axis) for v in (peak.astype(np.int64).sum(axis=axis), peak.argmax(axis=axis)))
        from_end = size - 1 - first
    yield "a row of one", ((size, 1, 1),)
    yield "several maxima", ((size, 2, FAR), (count, 2, FAR))
    for word, place in (("first", (first, 0, 0)), ("last", (from_end, 0, 0))):
        yield f"one maximum, the {word}", ((size, 2, FAR), (count, 1, 1), place)
    yield "one maximum, inside", ((count, 1, 1), (first, 1, FAR), (from_end, 1, FAR))


def _lemma(site: Site, args: tuple[Any, ...], result: Any) -> Iterator[Bin]:
    if site.text in ENDS:
        x, low, high = args
        yield "at its low end", ((_gap(x, low), 0, 0),)
        yield "at its high end", ((_gap(x, high), 0, 0),)


KINDS: dict[str, Callable[[Site, tuple[Any, ...], Any], Iterator[Bin]]] = {
    **dict.fromkeys(("mul_shift", "divide", "shift_half_up", "div_half_up", "round"), rounded),
    **dict.fromkeys(("shift_down", "divide_down"), floored),
    "clip": _clipped,
    "order": _ordered,
    "compare": _ordered,
    "sign": _signed,
    "wrap": _wrapped,
    "register": _registered,
    "product": _multiplied,
    "sum": _summed,
    "choice": _chosen,
    "index": _indexed,
    "root": _rooted,
    "peak": _peaked,
    "lemma": _lemma,
}
VALUED = {"value", "lemma", "shift_down", "divide_down", "order"}  # kinds whose few results are bins
