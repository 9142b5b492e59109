"""Directed cases of ops/ita.py."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref.vectors.case import Broken, Case, Generator, SplitMix64
from intref.vectors.reach.sweeps import tails


def _softmax(why: str, flags: str, x: Any, mask: Any = None, **attrs: int) -> Case:
    """x of fewer axes is [Q K]; without a mask every key is attended."""
    x = np.array(x, np.int8)
    x = x.reshape((1,) * (4 - x.ndim) + x.shape)
    mask = np.ones((x.shape[0], x.shape[3]), np.int8) if mask is None else np.array(mask, np.int8)
    return Case(why, {"x": x, "mask": mask}, dict(attrs), (*flags.split(),))


def softmax_ita() -> Iterator[Case]:
    """Rows of every kind, every shift, floors that the running total nests, groups and masks."""
    yield _softmax("all equal", "degenerate", [[5, 5, 5, 5]])
    yield _softmax("one key: 255", "degenerate", [[-9]])
    yield _softmax("all at the minimum", "degenerate extreme", [[-128] * 5])
    yield _softmax("minimum and maximum", "extreme", [[-128, 127], [127, -128]])
    yield _softmax("every shift, then none is left", "extreme", [[-k for k in range(20)]])
    yield _softmax("255 equal keys: the largest total with a quotient", "extreme", np.zeros((1, 255), np.int8))
    yield _softmax("1000 equal keys", "extreme wide", np.full((1, 1000), 3, np.int8))
    yield _softmax("a total of 65279: the quotient leaves 1", "tie", [[0] * 254 + [*range(-1, -9, -1)]], group=1)
    yield _softmax("a total above 65280: all 0", "extreme", np.zeros((1, 256), np.int8))
    yield _softmax("longest row: 19 bits of total", "extreme wide", np.full((1, 2047), 127, np.int8))
    yield from _softmax_groups()
    yield from _softmax_masks()
    stream = SplitMix64(31)
    for keys, span in ((16, 12), (33, 20), (80, 255)):
        x = stream.integers(127 - span, 127, (2, 2, 3, keys), "int8")
        yield _softmax(f"random, {keys} keys", "random axes", x)
        mask = stream.integers(0, 1, (2, 3, keys), "int8")
        yield _softmax(f"random, {keys} keys, masks", "random mask axes", x, mask, group=7)
    x = stream.integers(-128, 127, (35, 67), "int8")
    yield _softmax("35 rows of 67: no tile of 4, 8, 16 or 32 fits", "axes random", x)
    yield from tails("softmax_ita", "B H Q K")


def _peak(group: int, width: int, at: int) -> list[int]:
    """A total of 256 + 1 / 2: each further key of the second group, all 9 below its top, would add 1 / 2 if it did not
    see that top."""
    return [0] + [-128] * (group - 1) + [9 if k == at else 0 for k in range(width)]


def _carried(below: int) -> list[list[int]]:
    """1 / 2 + 1 / 4 + .. twice the last one is 1; without one of the two last it is just below."""
    first = 127 - below
    stairs = [*range(first, 119)]
    return [[first, *stairs, 127], [-128, *stairs, 127], [*stairs[:1], *stairs[:1], *stairs[2:], 126, 127]]


def _softmax_groups() -> Iterator[Case]:
    for group in range(1, 65):
        yield _softmax(
            f"two groups of {group}, the second one's top last", "tie", [_peak(group, group, group - 1)], group=group
        )
    for group, width, at in ((16, 16, 7), (16, 9, 8), (64, 64, 40), (63, 50, 49)):
        why = f"the top of a group of {group} is key {at} of its {width}"
        yield _softmax(why, "tie", [_peak(group, width, at)], group=group)
    for below in (255, 220, 190, 160, 150, 125, 90, 60, 30):
        why = f"a total of 257, carried by terms up to {below} shifts below, and just less"
        yield _softmax(why, "tie", _carried(below), group=1)
    yield _softmax("31 keys, a total of 257 carried from 37 shifts below", "tie", _carried(37)[:1], group=1)
    stairs = [v for n in range(9) for v in (n, n - 8)]
    yield _softmax("floors of floors, group after group", "tie", [stairs, stairs[::-1]], group=2)
    for rise in (1, 8, 9, 16, 31, 32, 33, 63, 64, 65, 127, 128, 255):
        row = [-128] * 600 + [rise - 128]
        yield _softmax(f"the maximum rises by {rise} behind 600 keys", "extreme", [row], group=1)
    yield _softmax("one key, 32 to 63 below the other", "extreme wide", [[0, n] for n in range(32, 64)], group=1)
    rows = [[0] * (1000 - n) + [99] * n for n in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)]
    yield _softmax("so many keys at the top", "extreme wide", rows, group=1)
    rows = [[0] * n + [32] * (2047 - n) for n in (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2046)]
    yield _softmax("so many keys 32 below the others", "extreme wide", rows, group=1)
    stairs = [k - 128 for k in range(256) for _ in range(3)]
    yield _softmax("a maximum that rises 255 times", "extreme", [stairs], group=3)


def _softmax_masks() -> Iterator[Case]:
    yield _softmax("mask: the maximum is not attended", "mask", [[9, 90, 8, 7]], [[1, 0, 1, 1]])
    yield _softmax(
        "mask per query, one row without a key", "mask degenerate", [[1, 2, 3], [4, 5, 6]], [[[0, 0, 0], [1, 0, 1]]]
    )
    yield _softmax("mask per batch: B = H = 2", "mask axes", np.arange(8).reshape(2, 2, 1, 2), [[0, 1], [1, 0]])
    lengths = [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    yield _softmax("mask per batch, unequal lengths", "mask axes", np.zeros((3, 1, 2, 3), np.int8), lengths)
    yield _softmax("mask per query: H = Q = 2", "mask axes", np.zeros((1, 2, 2, 2), np.int8), [[[1, 0], [1, 1]]])
    yield _softmax(
        "a group without a key", "mask", [[3] * 4 + [9] * 4 + [4] * 4], [[1] * 4 + [0] * 4 + [1] * 4], group=4
    )
    yield _softmax("one key, at the minimum, beside a masked one", "mask extreme", [[-128, -128], [-128, 5]], [[1, 0]])
    yield _softmax("attended at the minimum, masked at the minimum", "mask extreme", [[-128, -128, -128]], [[1, 0, 1]])


def _gelu(why: str, flags: str, x: Any, b: int, c: int, **attrs: int) -> Case:
    return Case(why, {"x": np.array(x, np.int8)}, {"b": b, "c": c, **attrs}, (*flags.split(),))


SCALES = ((-25, -692), (-50, -2770), (-100, -11080), (-172, -32768))  # b and c of S = 0.1, 0.05, 0.025 and the finest


def gelu_ita() -> Iterator[Case]:
    """Every input at scales of the device, both sides of the cut at -b, the ends of the constants."""
    every = np.arange(-128, 128)
    for b, c in SCALES:
        yield _gelu(f"every input, b = {b}", "extreme", every, b, c)
        yield _gelu(f"every input, b = {b}, as the Python model", "clip", every, b, c, lowest=-127)
    yield _gelu("either side of the cut at 9", "tie", [[8, 9, 10], [-8, -9, -10], [0, 1, -1]], -9, -90)
    yield _gelu("b = 0: the cut is at 0", "degenerate", [-128, -1, 0, 1, 127], 0, -5)
    ends = [-128, -127, -1, 0, 1, 126, 127]
    for b in (-443, -442, -128, -127, -1):
        for c in (-(1 << 15), (1 << 15) - 1, 1, 0, -1):
            yield _gelu(f"ends of the constants, b = {b}, c = {c}", "extreme", ends, b, c)
    yield _gelu("one element", "degenerate", [3], -25, -692)
    yield _gelu("three leading axes", "axes", np.arange(24).reshape(2, 2, 3, 2) - 12, -25, -692)
    x = SplitMix64(32).integers(-128, 127, (35, 67), "int8")
    yield _gelu("35 rows of 67: no tile of 4, 8, 16 or 32 fits", "axes random", x, -50, -2770)


CASES: dict[str, Generator] = {"softmax_ita": softmax_ita, "gelu_ita": gelu_ita}
_LONG = {"x": np.zeros((1, 1, 1, 2048), np.int8), "mask": np.ones((1, 2048), np.int8)}
REFUSED: dict[str, dict[str, list[Broken]]] = {
    "softmax_ita": {
        "C1": [{"mask": np.ones((1, 4), bool)}, {"x": np.zeros((1, 1, 1, 4), np.int32)}],
        "C2": [_LONG, {"mask": np.ones((1, 5), np.int8)}, {"mask": np.ones((1, 2, 4), np.int8)}],
        "C3": [{"mask": np.full((1, 4), 2, np.int8)}, {"mask": np.full((1, 4), -1, np.int8)}],
        "C4": [{"group": 0}, {"group": 65}],
    },
    "gelu_ita": {
        "C1": [{"x": np.zeros(3, np.int32)}, {"x": np.zeros(3, np.uint8)}],
        "C2": [{"x": np.zeros(0, np.int8)}, {"x": np.int8(3)}],
        "C4": [{"b": 1}, {"b": -444}, {"c": 1 << 15}, {"c": -(1 << 15) - 1}, {"lowest": -126}],
    },
}
_ATTEND = "attend = mask[:, None, None] if len(mask.shape) == 2 else mask[:, None]"
_SEEN = "seen = where(attend, x, -128)"
_FAR = "within(max_along(seen, -1) - seen, 0, 255)"
_E = "e = where(attend, 256 >> minimum(within(top - seen, 0, 255), 9), 0)"
_P = "return {'p': where(attend, inverse >> minimum(within(max_along(seen, -1) - seen, 0, 255), 8), 0)}"
_ANY_BUT_0 = "where takes its first value for anything but 0"
_SHIFT = "NumPy gives 0 for a shift above 63, too; the limit keeps it defined"
EQUIVALENT: dict[str, dict[str, str]] = {
    "softmax_ita": {
        f"mask -> -mask in {_ATTEND}": _ANY_BUT_0,
        f"mask -> -mask in {_ATTEND} #2": _ANY_BUT_0,
        f"attend -> -attend in {_SEEN}": _ANY_BUT_0,
        f"attend -> -attend in {_E}": _ANY_BUT_0,
        f"attend -> -attend in {_P}": _ANY_BUT_0,
        f"x -> x + 1 in {_SEEN}": "only differences of x count",
        f"128 -> 129 in {_SEEN}": "a fill below every x leaves the maximum alone; a masked key counts for nothing",
        f"minimum(within(top - seen, 0, 255), 9) -> within(top - seen, 0, 255) in {_E}": _SHIFT,
        f"minimum({_FAR}, 8) -> {_FAR} in {_P}": _SHIFT,
        f"9 -> 10 in {_E}": "256 >> 10 is 0, as 256 >> 9 is",
        f"8 -> 9 in {_P}": "inverse <= 255 where a key is attended: 0 either way",
        "below & 31 -> below in total = total + sum_along(left << 32 - (below & 31), -1) >> 32": (
            "left is 0 where below is 32 and more"
        ),
        "0 -> 1 in total, left = (0, e)": "after 256 shifts it is less than the smallest term",
        "256 -> 255 in inverse = 65280 // maximum(total, 256)": "a row without a key has a total below 256, and p = 0",
    },
    "gelu_ita": {
        "v -> -v in poly = sign * (square(minimum(absolute(v), -b) + b) + c)": "v and -v are of one magnitude"
    },
}
_LAST = "the top of the last key is the row's maximum: it counts in the last sum"
_FEW = "they are 2**-24 at most, and carry only if 20 keys behind them or 2048 of their like fill the bits above"
_DEEP = "they are 2**-56 at most, and carry only if more than 40 keys behind them fill the bits above"
HARMLESS: dict[str, dict[str, str]] = {
    "softmax_ita": {
        "half_even at floor 1 of *": "of the quotients of 256 only 1 / 2 is inexact: 0 by either rule",
        "sum [1-7] of 8: without the last term": _LAST,
        **{f"sum [1-7] of 8: without the terms past the last whole {n}": _FEW for n in (4, 8, 16)},
        "sum [1-6] of 8: without the terms past the last whole 32": _DEEP,
    },
}
_TOP = "where any key is attended the top's own e is among the terms: 256 << 1 and more, 256 << 32 in the last sum"
UNREACHABLE: dict[str, dict[str, str]] = {
    "softmax_ita": {
        r"256 >> minimum.* \| (less than half is dropped|one (above|below) exact|shift [1-8]\b).*": (
            "256 over a power of 2 is whole, or 1 / 2 by a shift of 9"
        ),
        r"maximum\(total, 256\) \| left is one less": "a total is 0, or 256 and more",
        r"sum_along\(.* \| odd above .*": "every term is shifted left by 1 and more",
        r"sum_along\(part, -1\) \| positive, [1-9] bits": _TOP,
        r"sum_along\(left.* \| positive, ([1-9]|[123]\d|40) bits": _TOP,
    },
    "gelu_ita": {r"v \* \(poly.* \| negative, 25 to 31 bits": "y >= 0 for v < 0, and 254 * c > -2**23 else"},
}
