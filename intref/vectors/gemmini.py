"""Directed cases of ops/gemmini.py."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref.vectors.case import Broken, Case, Generator, SplitMix64
from intref.vectors.gemmini_argued import EQUIVALENT, HARMLESS, UNREACHABLE

__all__ = ["CASES", "EQUIVALENT", "HARMLESS", "REFUSED", "UNREACHABLE"]
from intref.vectors.reach.sweeps import tails

M31 = (1 << 31) - 1
COARSE = {"ln2": 13, "b": 27, "c": 383}  # S = 0.05, that of the demonstrations
FINE = {"ln2": 709, "b": 1385, "c": 1005366}  # S = 2**-10


def _softmax(why: str, flags: str, x: Any, mask: Any = None, **attrs: int) -> Case:
    """x of fewer axes is [Q K]; without a mask every key is attended."""
    x = np.array(x, np.int32)
    x = x.reshape((1,) * (4 - x.ndim) + x.shape)
    mask = np.ones((x.shape[0], x.shape[3]), np.int8) if mask is None else np.array(mask, np.int8)
    return Case(why, {"x": x, "mask": mask}, {**COARSE, **attrs}, (*flags.split(),))


def softmax_gemmini() -> Iterator[Case]:
    """Rows of every kind, every halving, the float32 quotient on both sides of its rounding, masks, the ends."""
    yield _softmax("all equal", "degenerate", [[5, 5, 5, 5]])
    yield _softmax("one key: 127", "degenerate", [[-9]])
    yield _softmax("every remainder of ln2", "tie", [[*range(0, -28, -1)]])
    yield _softmax("each halving, and beyond", "extreme", [[-13 * k for k in range(40)]])
    yield _softmax(
        "either side of a halving", "tie", [[-13 * k - r for k in (0, 1, 2, 30, 31, 32) for r in (-1, 0, 1)]]
    )
    yield _softmax(
        "a reciprocal of ln2 that is too small: the remainder grows", "extreme", [[0, -9999, -20000]], **FINE
    )
    yield _softmax("ln2 = 1: the reciprocal is 2**16", "extreme", [[0, -1, -2, -32767]], ln2=1, b=0, c=1)
    yield _softmax("ln2 = 2**16: the reciprocal is 1", "extreme", [[0], [-9]], ln2=1 << 16, b=32768, c=1)
    ends = [[0, -1], [0, -64999], [0, -65000], [0, -65001]]
    yield _softmax("two keys of the largest ln2", "extreme wide", ends, ln2=65000, b=32766, c=1)
    for dtype in ("int8", "int16"):
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        x = np.array([[low, high, high - 20], [low, low + 9, low + 30]], dtype)[None, None]
        yield Case(f"{dtype} at its ends", {"x": x, "mask": np.ones((1, 3), np.int8)}, COARSE, ("dtype", "extreme"))
    yield _softmax("at the ends of int32", "extreme wide", [[M31, M31 - 1], [M31 - 99, M31 - 12]])
    yield _softmax("at the low end of int32", "extreme wide", [[-M31 - 1, -M31], [-M31 + 99, -M31 + 12]])
    yield _softmax("the largest c", "extreme wide", [[0]], b=0, c=1 << 30, ln2=9)
    yield _softmax("the largest b", "extreme wide", [[0]], b=46340, c=1)
    yield _softmax("the largest sum", "extreme wide", [[0]], b=32767, c=1 << 30)
    yield _softmax("the longest row", "extreme", np.zeros((1, 1024), np.int32))
    yield _softmax(
        "differences that fill 31 bits of the product", "extreme wide", [[0, -32767, -32766]], ln2=1, b=1, c=9
    )
    for k in range(31):
        most = min((1 << k) + (k > 2), (1 << 30) - 170)
        yield _softmax(f"a sum of {k + 1} bits", "wide tie", [[0, -1000]], b=0, c=most, ln2=13)
    for c in (17054503, 28327435, 27020497, 23720981, 22658221, 31310551, 21998975, 105816382, 79428708, 421097424):
        yield _softmax(f"127 / 2 is a tie: it shows how fl32 rounds a sum of {2 * c}", "tie wide", [[0, 0]], b=0, c=c)
    row = [[0, 0, -1362]]
    yield _softmax("a sum of 2**24 - 1 and a p near a tie", "tie wide", row, ln2=2000, b=2342, c=1615629)
    row = [[0, -(1 << 24), -(1 << 24) - 1, -(1 << 25) + 9]]
    yield _softmax("differences of 25 bits", "wide", row, ln2=1024, b=2000, c=99)
    for c in (456675556, 490032008, 341966573):
        yield _softmax(f"127 / 2 of float32s, beside a tie or at it, c = {c}", "tie wide", [[0, 0]], b=0, c=c)
    yield _softmax("a tie above 0: 254 equal keys", "tie", np.zeros((1, 254), np.int32), b=0, c=1 << 10)
    yield _softmax("just above a tie: 254 equal keys", "tie", np.zeros((1, 254), np.int32), b=0, c=3977404)
    yield _softmax("a sum of 127", "tie", [[3]], b=0, c=127)
    yield _softmax("65536 / 21845 leaves 1, a difference of 21845", "tie", [[0, -21845]], ln2=21845, b=10923, c=5)
    lengths = [[v >> k] for k in range(31) for v in (M31, 1 << 30)]
    for sign, name in ((1, "positive"), (-1, "negative")):
        x = np.array(lengths) * sign
        yield _softmax(f"a {name} x of every bit length", "wide", x, ln2=1 << 16, b=32768, c=1)
    for low, high in ((1, 2), (3, 2), (5, 2), (127, 127), (63, 64), (254, 254)):
        row = [[0] * low + [-13] * high]
        yield _softmax(f"{low} keys and {high} of half their weight", "tie", row, b=0, c=1 << 10, ln2=13)
    yield from _softmax_masks()
    stream = SplitMix64(41)
    for keys in (2, 31, 64):
        mask = stream.integers(0, 1, (2, 3, keys), "int8")
        x = stream.integers(-200, 0, (2, 2, 3, keys), "int32")
        yield _softmax(f"random, {keys} keys", "random mask", x, mask)
        x = stream.integers(-9000, 9999, (2, 2, 3, keys), "int32")
        yield _softmax(f"random, {keys} keys, fine scale", "random mask", x, mask, **FINE)
    x = stream.integers(-99, 99, (35, 67), "int32")
    yield _softmax("35 rows of 67: no tile of 4, 8, 16 or 32 fits", "axes random", x)
    yield from tails("softmax_gemmini", "B H Q K")


def _softmax_masks() -> Iterator[Case]:
    yield _softmax("mask: the maximum is not attended", "mask", [[9, 90, 8, 7]], [[1, 0, 1, 1]])
    rows = [[1, 2, 3], [4, 5, 6]]
    yield _softmax("mask per query, one row without a key", "mask degenerate", rows, [[[0, 0, 0], [1, 0, 1]]])
    yield _softmax("mask per batch: B = H = 2", "mask axes", np.arange(8).reshape(2, 2, 1, 2), [[0, 1], [1, 0]])
    lengths = [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    yield _softmax("mask per batch, unequal lengths", "mask axes", np.zeros((3, 1, 2, 3), np.int32), lengths)
    yield _softmax("mask per query: H = Q = 2", "mask axes", np.zeros((1, 2, 2, 2), np.int32), [[[1, 0], [1, 1]]])
    far = {"ln2": 16, "b": 30, "c": 500}
    yield _softmax("the int32 minimum attended", "mask extreme", [[-M31 - 1, -M31 - 1]], [[1, 0]], **far)


def _gelu(why: str, flags: str, x: Any, **attrs: int) -> Case:
    return Case(why, {"x": np.array(x, np.int32)}, {"b": -50, "c": -2770, "one": -2770, **attrs}, (*flags.split(),))


def gelu_gemmini() -> Iterator[Case]:
    """Both sides of the cut at -b, the ends of the operands and of what the contract allows."""
    yield _gelu("around 0", "degenerate", [-3, -2, -1, 0, 1, 2, 3])
    yield _gelu("either side of the cut", "tie", [49, 50, 51, -49, -50, -51])
    lengths = [s * (v >> k) for k in range(31) for v in (M31, 1 << 30) for s in (-1, 1)]
    yield _gelu("an x of every bit length", "wide", lengths, b=0, c=1, one=0)
    yield _gelu("one differs from c", "tie", [49, 50, 51, -49, -50, -51, 0], one=-2771)
    yield _gelu("b = 0: the cut is at 0", "degenerate", [-9, -1, 0, 1, 9], b=0)
    yield _gelu("the largest b", "extreme wide", [-1, 0, 1], b=-46340, c=-80, one=9)
    yield _gelu("the largest c", "extreme wide", [-1, 0, 1], b=0, c=M31, one=0)
    yield _gelu("the smallest c", "extreme wide", [-1, 0, 1], b=0, c=-M31, one=0)
    yield _gelu("the largest one", "extreme wide", [-1, 0, 1], b=0, c=0, one=M31)
    yield _gelu("the smallest one", "extreme wide", [-1, 0, 1], b=0, c=0, one=-M31)
    yield _gelu("the largest x", "extreme wide", [M31, -M31, 0], b=0, c=1, one=0)
    yield _gelu("the largest x, one alone", "extreme wide", [M31, -M31, 0], b=0, c=0, one=-1)
    for dtype in ("int8", "int16"):
        x = np.array([np.iinfo(dtype).min, np.iinfo(dtype).max, -3, 4], dtype)
        yield Case(f"{dtype} at its ends", {"x": x}, {"b": -50, "c": -2770, "one": -2769}, ("dtype", "extreme"))
    yield _gelu("one element", "degenerate", [7])
    yield _gelu("three leading axes", "axes", np.arange(24).reshape(2, 2, 3, 2) * 9 - 99)
    yield _gelu(
        "35 rows of 67: no tile of 4, 8, 16 or 32 fits",
        "axes random",
        SplitMix64(42).integers(-99, 99, (35, 67), "int32"),
    )
    yield from tails("gelu_gemmini", "D")


# n, a, b, r: 2 * ((n / 2)**2 + a**2 + b**2) = 6 * (n**2 - 1) + r
BESIDE = (
    *((2, 2, 2, 0), (8, 13, 2, 0), (4096, 4955, 4646, 0), (7720, 9059, 9046, 0)),
    *((2, 3, 0, 2), (6, 9, 4, 2), (4102, 6600, 1647, 2), (7882, 9375, 9108, 2)),
    *((2, 3, 1, 4), (6, 7, 7, 4), (4098, 6047, 3101, 4), (7858, 9291, 9137, 4)),
)


# n, a, b, c: 2 * (a**2 + b**2 + c**2) = 6 * (n**2 - 1), for an n of every bit length
ROOTS = (
    *(
        (2, 1, 2, 2),
        (3, 2, 2, 4),
        (5, 6, 0, 6),
        (8, 8, 5, 10),
        (13, 18, 6, 12),
        (21, 32, 10, 14),
        (33, 56, 8, 8),
        (70, 112, 28, 37),
    ),
    *((150, 202, 113, 118), (300, 496, 109, 110), (600, 742, 512, 517), (1200, 1963, 478, 488)),
    *((2500, 4315, 236, 274), (5000, 6477, 4062, 4068), (9000, 9437, 9322, 8188)),
)


def _small(value: int) -> np.ndarray:
    return np.array([value], np.int16 if abs(value) < 1 << 16 else np.int32)


def _norm(why: str, flags: str, x: Any) -> Case:
    return Case(why, {"x": np.array(x, np.int32)}, {}, (*flags.split(),))


def layernorm_gemmini() -> Iterator[Case]:
    """Means and quotients at ties of both signs, roots beside squares, no variance, the ends."""
    yield _norm("no variance", "degenerate", [[7, 7, 7], [0, 0, 0], [-5, -5, -5]])
    yield _norm("one element", "degenerate", [[7], [-7], [0]])
    yield _norm("a variance below 1 counts as 1", "degenerate", [[0, 0, 0, 1], [0, 0, 0, -1]])
    yield _norm("means toward zero", "tie", [[1, 2], [-1, -2], [0, 1], [0, -1], [5, 6], [-5, -6]])
    for k in range(31):
        for value in (1 << k, -(1 << k)):
            yield _norm(f"one element, {value}", "wide", [value])
    for value in (M31, -M31, 32767, -32768):
        yield Case(f"one element at an end, {value}", {"x": _small(value)}, {}, ("dtype", "extreme"))
    for n in range(1, 14):
        yield _norm(
            f"a sum of squares of {2 * n} and {2 * n + 1} bits",
            "extreme",
            [[1 << n - 1, -(1 << n - 1)], [3 << n - 1, -(3 << n - 1)]],
        )
    for n, a, b, c in ROOTS:
        row = [s * v for v in (a, b, c) for s in (1, -1)]
        yield _norm(f"a variance of {n}**2 - 1", "square", [row])
        row = [n + 1, -n - 1, n - 1, 1 - n]
        yield _norm(f"a variance of {n}**2 and {n}**2 + 1", "square", [row, [n, -n, n, -n]])
    yield _norm("the largest root", "square extreme", [[16383, -16383]])
    yield _norm("one outlier", "extreme", [[0] * 15 + [1000], [0] * 15 + [-1000]])
    yield _norm("alternating extremes", "extreme", [[16383, -16384], [-16384, 16383]])
    for sigma in (2, 4, 6, 8):  # deviations of half sigmas among whole ones
        row = [s * k * sigma // 2 for k in (1, 3, 5) for s in (1, -1)] + [0] * 11
        yield _norm(f"quotients at ties, sigma {sigma}", "tie", [row, [v + 1 for v in row], [v - 4 for v in row]])
    for n in (2, 3, 9, 100, 1000):  # v = n**2 - 1, n**2, n**2 + 1 of two elements: squares add up to twice that
        yield _norm(f"roots beside {n}", "square", [[n, -n], [n + 1, -n], [n, 1 - n], [n + 1, 1 - n]])
    for dtype, low, high in (("int8", -128, 127), ("int16", -16384, 16383)):
        x = np.array([[low, high], [high, 0], [3, -3]], dtype)
        yield Case(f"{dtype} at its ends", {"x": x}, {}, ("dtype", "extreme"))
    for n, a, b, more in BESIDE:
        row = [s * v for v in (n // 2, a, b) for s in (1, -1)]
        yield _norm(f"a variance of {n}**2 - 1 and {more} / 6, a deviation of {n} / 2", "square tie wide", [row])
    for n in (2, 6, 100, 4000):
        row = [s * n * v // 2 for v in (1, 2, 3) for s in (1, -1)] + [0]
        yield _norm(f"a variance of {n}**2, a deviation of {n} / 2", "square tie wide", [row])
    for middle in (1 << 15, -(1 << 15), 1 << 16, -(1 << 16), 1 << 23, -(1 << 23), 1 << 24, -(1 << 24)):
        yield _norm(f"either side of {middle}", "wide", [[middle - 9, middle + 9, middle, middle + 2]])
    yield _norm("the largest sum", "extreme wide", [[M31 // 2, M31 // 2 - 9]])
    yield _norm("the smallest sum", "extreme wide", [[-(M31 // 2), 9 - M31 // 2]])
    yield _norm("the largest sum of squares", "extreme wide", [[32767, 0], [0, 32767]])
    yield _norm("the longest row", "extreme wide", [[700, -700] * 512])
    yield _norm("three leading axes", "axes", np.arange(24).reshape(2, 2, 3, 2) ** 2)
    stream = SplitMix64(43)
    for width, span in ((2, 9), (5, 20), (16, 99), (64, 2500), (768, 800)):
        yield _norm(f"random, {width} wide", "random", stream.integers(-span, span, (6, width), "int32"))
    yield _norm(
        "35 rows of 67: no tile of 4, 8, 16 or 32 fits", "axes random", stream.integers(-99, 99, (35, 67), "int32")
    )
    yield from tails("layernorm_gemmini", "D")


CASES: dict[str, Generator] = {f.__name__: f for f in (softmax_gemmini, gelu_gemmini, layernorm_gemmini)}
_LONG = {"x": np.zeros((1, 1, 1, 1025), np.int32), "mask": np.ones((1, 1025), np.int8)}
REFUSED: dict[str, dict[str, list[Broken]]] = {
    "softmax_gemmini": {
        "C1": [{"mask": np.ones((1, 4), bool)}, {"x": np.zeros((1, 1, 1, 4), np.int64)}],
        "C2": [_LONG, {"mask": np.ones((1, 5), np.int8)}, {"mask": np.ones((1, 2, 4), np.int8)}],
        "C3": [{"mask": np.full((1, 4), 2, np.int8)}, {"mask": np.full((1, 4), -1, np.int8)}],
        "C4": [{"ln2": 0}, {"ln2": 65537}, {"b": -1}, {"b": 46341}, {"c": 0}, {"c": (1 << 30) + 1}],
        "C5": [{"x": np.array([0, 1, 2, 426010], np.int32).reshape(1, 1, 1, 4)}],
        "C6": [{"b": 23170, "c": 1 << 20}, {"c": 1 << 29}, {"ln2": 40000, "b": 9}],
    },
    "gelu_gemmini": {
        "C1": [{"x": np.zeros(3, np.int64)}],
        "C2": [{"x": np.zeros(0, np.int32)}, {"x": np.int32(3)}],
        "C3": [{"x": np.array([-M31 - 1], np.int32)}],
        "C4": [{"b": 1}, {"b": -46341}, {"c": 1 << 31}, {"one": -(1 << 31)}],
        "C5": [{"one": M31}, {"x": np.array([268000], np.int32)}],
    },
    "layernorm_gemmini": {
        "C1": [{"x": np.zeros((1, 3), np.int64)}],
        "C2": [{"x": np.zeros((1, 1025), np.int32)}, {"x": np.int32(3)}],
        "C3": [{"x": np.array([-M31 - 1], np.int32)}],
        "C4": [{"shift": 0}],
        "C5": [{"x": np.full((1, 2), 1 << 30, np.int32)}],
        "C6": [{"x": np.array([0, 32768], np.int32)}],
    },
}
