"""Directed cases of qlinear_add: scales are 2**37 times a quotient."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref.ops.onnx import nearest_fp32
from intref.ops.op import dtype_range
from intref.vectors.case import Case, SplitMix64


def _fixed(numerator: int, denominator: int = 1) -> int:
    """A quotient of scales, of 24 bits, times 2**37."""
    return int(nearest_fp32(np.array([(numerator << 37) // denominator]))[0])


LEAST, MOST = 1 << 23, (1 << 44) - (1 << 20)
HALF, THIRD, TWO_THIRDS = _fixed(1, 2), _fixed(1, 3), _fixed(2, 3)


def _pair(
    why: str, flags: str, a: Any, b: Any, scales: Any, zeros: Any = (0, 0, 0), dtype: str = "int8"
) -> Case:  # fmt: skip
    left, right = np.broadcast_arrays(np.array(a, dtype, ndmin=1), np.array(b, dtype, ndmin=1))
    given = dict(zip(("a_scale", "b_scale"), scales))
    given |= dict(zip(("a_zero_point", "b_zero_point", "y_zero_point"), zeros))
    return Case(why, {"a": left.copy(), "b": right.copy()}, {**given, "output": dtype}, (*flags.split(),))


def qlinear_add() -> Iterator[Case]:
    """Ties exact and made by rounding, clips, scales and zero points at their ends, sums that cancel."""
    small, one = np.arange(-9, 10), _fixed(1)
    yield _pair("halves: ties of both signs and parities", "tie", small[:, None], small, (HALF, HALF))
    yield _pair("halves, zero points that make ties", "tie", small[:, None], small, (HALF, one), (3, -5, 2))
    for dtype, low in (("int8", -128), ("uint8", 0)):
        ends, run = np.array([0, 1, 127, 128, 254, 255]) + low, np.arange(low, low + 256, 3)
        yield _pair(f"{dtype}: the ends of both", "extreme clip dtype", ends[:, None], ends, (one, one), dtype=dtype)
        for zero in (low, low + 1, low + 128, low + 254, low + 255):
            why = f"{dtype}: zero points {zero}"
            yield _pair(why, "clip dtype", run, run[::-1], (TWO_THIRDS, THIRD), (zero, low + 100, zero), dtype)
            yield _pair(f"{why} of b", "clip dtype", run, run, (_fixed(3, 2), one), (low + 9, zero, low + 77), dtype)
    wide = np.arange(-125, 126, 10)
    pairs = [(THIRD, TWO_THIRDS), (TWO_THIRDS, THIRD), (_fixed(1, 10), _fixed(3, 10)), (_fixed(1, 2), _fixed(3, 2))]
    for scales in (*pairs, (_fixed(7, 6), _fixed(1, 6)), (HALF + (1 << 13), HALF - (1 << 12))):
        for zeros in ((0, 0, 0), (-7, 100, 3), (127, -128, -1)):
            name = f"scales {scales[0]:#x} and {scales[1]:#x}, zero points {zeros}"
            yield _pair(name, "tie", wide[:, None], wide, scales, zeros)
    for scales in (
        (LEAST, LEAST),
        (MOST, MOST),
        (LEAST, MOST),
        (MOST, LEAST),
        (LEAST, (1 << 44) - 1),
        ((1 << 44) - 1, LEAST),
    ):
        for zeros in ((0, 0, 0), (127, 127, -128), (-128, -128, 127), (-1, 1, 0), (1, -1, 0)):
            name = f"scales {scales[0]:#x} and {scales[1]:#x}, zero points {zeros}"
            yield _pair(name, "extreme clip", ends[:4] - 1, ends[3::-1] - 1, scales, zeros)
    yield _pair("uint8: the largest sum, and the least", "extreme clip", [255, 0], [255, 0], (MOST, MOST), (0, 0, 255),
                "uint8")  # fmt: skip
    yield _pair("uint8: the least of all", "extreme clip", [0, 1], [0, 1], (MOST, MOST), (255, 255, 0), "uint8")
    for k in range(1, 14):
        scales = (_fixed(1, 1 << k), _fixed((1 << 23) + 1, (1 << 23) << k))
        yield _pair(f"scales near 2**-{k} that cancel", "tie", wide, -wide[::-1], scales, (0, 0, 1 << min(k, 6)))
    yield from _last_bits()
    stream = SplitMix64(18)
    for dtype in ("int8", "uint8"):
        a, b = (stream.integers(*dtype_range(dtype), (3, 2, 17), dtype) for _ in "ab")
        zeros = tuple(stream.integers(*dtype_range(dtype), 3, dtype).tolist())
        yield _pair(f"random {dtype}", "random axes", a, b, (_fixed(5, 9), _fixed(4, 11)), zeros, dtype)


def _last_bits() -> Iterator[Case]:
    """Sums at 2**36 + 2**12, the tie that goes down to 1/2 and 0, and one place above, to 1: what shows a last bit."""
    tie = (1 << 36) + (1 << 12)
    for above, what in ((0, "at"), (128, "above")):
        scales = (tie + 127 * LEAST + above, LEAST)
        yield _pair(f"the product of b's zero point, {what} a tie", "tie", 1, 0, scales, (0, 127, 0))
    for n in (1, 2, 5, 8, 16):
        scales = (tie, (1 << 28) + n)
        yield _pair(f"a first sum of {n}, left by rounding the offset", "tie wide", 1, 1, scales, (0, 1, 0))
    full = (1 << 24) - 1
    yield _pair("a first sum of 2**24 - 1", "tie", 1, 1, (tie - full, full))
    yield _pair("a first sum of 1 - 2**24", "tie", 1, -1, (tie + full + 1, full))
    yield _pair("a zero point below 0, its product rounded", "tie", 2, 0, (tie - (1 << 35), ((1 << 35) + 126) // 127),
                (1, -127, 0))  # fmt: skip
    for sign in (1, -1):
        for steps, rounded, above in ((1, 0, 0), (3, 1 << 13, 1)):  # of 2**11, half of the last place
            scales = (tie + above - (1 << 35) - rounded, (1 << 29) + (steps << 5))
            why = f"{64 * sign} times b's scale at a tie, {steps} halves"
            yield _pair(why, "tie", 2 * sign, 0, scales, (sign, -64 * sign, 0))
    scales = (LEAST + 1, tie + 1 + (1 << 37) + LEAST)
    yield _pair("an offset below 0 that is rounded", "tie", 0, 1, scales, (1, 0, -1))
    scales = ((1 << 29) + (1 << 5), (1 << 35) + (1 << 12))
    yield _pair("the product of a's zero point at a tie", "tie", 0, 1, scales, (-64, 0, 0))
