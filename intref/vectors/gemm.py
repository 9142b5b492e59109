"""Directed cases of the matrix products."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref.vectors import registers
from intref.vectors.asked import asked
from intref.vectors.case import Broken, Case, Generator, SplitMix64

_WIDE = "no sum needs more than 54 bits: registers of 59 bits and more hold them all"
_REGISTER = {
    "_accumulated: 60 -> 61 in bits = minimum(accumulator, 60)": _WIDE,
    "_accumulated: 60 -> 59 in bits = minimum(accumulator, 60)": _WIDE,
    "_accumulated: wrap(y, bits) if overflow == 'wrap' else y -> wrap(y, bits) in "
    "return wrap(y, bits) if overflow == 'wrap' else y": "refuse: what fits does not wrap, what does not is refused",
}
_FROM_ZERO = "a matmul starts from 0"
EQUIVALENT: dict[str, dict[str, str]] = {
    "linear": {
        **_REGISTER,
        "-1 -> 1 in right = swap(weight - weight_zero_point, -1, -2)": "weight has two axes: the last is axis 1",
    },
    "matmul": {
        **_REGISTER,
        "_accumulated: start + product(a, b) -> product(a, b) in y = start + product(a, b)": _FROM_ZERO,
        "_accumulated: start -> -start in y = start + product(a, b)": _FROM_ZERO,
        "_accumulated: start -> -start in "
        "return accumulate(a, b, start, -(1 << bits - 1), (1 << bits - 1) - 1, every)": _FROM_ZERO,
    },
    "linear_int4": {
        "k -> -k in w = ((weight[:, k // 2] >> k % 2 * 4) + 8 & 15) - 8 #2": "-k is odd where k is",
        "(weight[:, k // 2] >> k % 2 * 4) + 8 -> (weight[:, k // 2] >> k % 2 * 4) - 8 "
        "in w = ((weight[:, k // 2] >> k % 2 * 4) + 8 & 15) - 8": "8 and -8 are the same modulo 16, which & 15 leaves",
        "-1 -> 1 in return {'y': product(x, swap(w * scale[:, k // group_size], -1, -2)) + bias}": "two axes: -1 is 1",
    },
}
HARMLESS = {"matmul": {"register: from 0 on, the start added last": _FROM_ZERO}}
ENDS = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-(1 << 15), (1 << 15) - 1)}


def _linear(why: str, flags: str, x: Any, weight: Any, bias: Any, dtype: str = "int8") -> Case:
    tensors = {"x": np.array(x, dtype), "weight": np.array(weight, np.int8), "bias": np.array(bias, np.int32)}
    return Case(why, tensors, {}, (*flags.split(),))


def linear() -> Iterator[Case]:
    """Sums whose every product counts, at the ends of every dtype and of the accumulator."""
    yield _linear("every element has its own weight", "axes", [[1, 2, 3]], [[1, 10, 100], [-1, -2, -4]], [5, -7])
    yield _linear("K = 1, N = 1", "degenerate", [[-128], [127]], [[-128]], [1])
    yield _linear("no leading axis", "axes", [3, -4], [[5, 6], [7, 8], [9, 10]], [0, 1, -1])
    yield _linear("a zero row gives the bias", "degenerate", [[0, 0]], [[127, -128]], [-(1 << 31)])
    for dtype, (low, high) in ENDS.items():
        ends = [[low, low, low, low], [high, high, high, high]]
        yield _linear(f"extremes of {dtype}", "dtype extreme", ends, [[-128] * 4, [127] * 4], [-1, 1], dtype)
    full = np.full((1, 1024), -(1 << 15))
    yield _linear("the lowest accumulator, -2**31", "extreme wide", full, np.full((1, 1024), 64), [0], "int16")
    yield _linear("the highest, 2**31 - 1", "extreme wide", full, np.full((1, 1024), -64), [-1], "int16")
    yield _linear("odd accumulators above 2**24", "wide", np.full((1, 1041), 127), np.full((2, 1041), 127), [0, 1])
    yield _linear(
        "pairs of products that saturate 16 bits",
        "wide",
        [[255, 255, 255, 255]],
        [[127] * 4, [-128] * 4],
        [0, 0],
        "uint8",
    )
    stream = SplitMix64(20)
    for dtype, shape in (("int8", (2, 3, 67)), ("uint8", (2, 2, 1, 33)), ("int16", (5, 16))):
        x = stream.integers(*ENDS[dtype], shape, dtype)
        weight, bias = stream.integers(-128, 127, (9, shape[-1]), "int8"), stream.integers(-999, 999, 9, "int32")
        yield _linear(f"random, {dtype}", "random axes", x, weight, bias, dtype)
    yield from asked("linear")
    yield from registers.linear()


def _matmul(why: str, flags: str, a: Any, b: Any, dtype: str = "int8") -> Case:
    return Case(why, {"a": np.array(a, dtype), "b": np.array(b, np.int8)}, {}, (*flags.split(),))


def matmul() -> Iterator[Case]:
    """As linear, with a second operand per leading index."""
    yield _matmul("M, K and N differ", "axes", [[1, 2, 3], [4, 5, 6]], [[1, -1, 2, 0], [10, 3, -4, 1], [100, 7, 9, -8]])
    yield _matmul("M = K = N = 1", "degenerate", [[-128]], [[-128]])
    yield _matmul("an own b for each leading index", "axes", [[[1, 2]], [[1, 2]]], [[[3], [4]], [[-5], [6]]])
    for dtype, (low, high) in ENDS.items():
        yield _matmul(f"extremes of {dtype}", "dtype extreme", [[low] * 4, [high] * 4], [[-128, 127]] * 4, dtype)
    full = np.full((1, 1024), -(1 << 15))
    yield _matmul("the lowest accumulator, -2**31", "extreme wide", full, np.full((1024, 1), 64), "int16")
    edge = np.full((1025, 1), -64)
    edge[-1] = 1
    highest = np.full((1, 1025), -(1 << 15))
    highest[0, -1] = -1
    yield _matmul("the highest accumulator, 2**31 - 1", "extreme wide", highest, edge, "int16")
    yield _matmul("odd accumulators above 2**24", "wide", np.full((2, 1041), 127), np.full((1041, 1), 127))
    stream = SplitMix64(21)
    for dtype, lead in (("int8", (2, 3)), ("uint8", ()), ("int16", (2,))):
        a = stream.integers(*ENDS[dtype], (*lead, 5, 17), dtype)
        yield _matmul(f"random, {dtype}", "random axes", a, stream.integers(-128, 127, (*lead, 17, 6), "int8"), dtype)
    yield from asked("matmul")
    yield from registers.matmul()


def packed(w: Any) -> np.ndarray:
    """Rows of w in -8..7 as bytes: even k in the low nibble, a last odd one with 0 above it."""
    rows = np.asarray(w, np.int64)
    rows = np.concatenate([rows, np.zeros((len(rows), rows.shape[1] % 2), np.int64)], axis=1) & 15
    return (rows[:, 0::2] | rows[:, 1::2] << 4).astype(np.uint8)


def _unit_rows(size: int) -> np.ndarray:
    """Row i has its 1 at i."""
    return np.equal.outer(np.arange(size), np.arange(size)).astype(np.int8)


def _int4(why: str, flags: str, x: Any, w: Any, scale: Any, bias: Any, group_size: int) -> Case:
    tensors = {
        "x": np.array(x, np.int8),
        "weight": packed(w),
        "scale": np.array(scale, np.int16),
        "bias": np.array(bias, np.int32),
    }
    return Case(why, tensors, {"group_size": group_size}, (*flags.split(),))


def linear_int4() -> Iterator[Case]:
    """Every nibble in every lane, both sides of every edge of a group, sums that no 32 bits hold on the way."""
    yield _int4(
        "odd K, groups of 2, the last of 1",
        "axes",
        [[10, 20, 30, 40, 50]],
        [[2, -1, 3, -8, 7], [1, 2, -3, 4, -5]],
        [[5, 2, -1], [100, -10, 1]],
        [100, -7],
        2,
    )
    yield _int4("every byte", "dtype", [[1, 16]], [[b & 15, b >> 4] for b in range(256)], [[1]] * 256, [0] * 256, 2)
    lanes = _unit_rows(19)
    yield _int4("one weight in each lane", "axes", [range(1, 20)], lanes, [[1, 1]] * 19, [0] * 19, 16)
    yield _int4("-8 in each lane", "axes dtype", [range(-9, 10)], -8 * lanes, [[1, 100, -1]] * 19, [0] * 19, 8)
    powers = [[1, 10, 100, 1000], [-1000, 7, -10, 1]]
    yield _int4("each k of three groups of 4 and one of 1", "axes", _unit_rows(13), [[1] * 13] * 2, powers, [0, 1], 4)
    yield _int4("groups of 6, K a multiple", "axes", _unit_rows(12), [[-3] * 12] * 2, [[1, 10], [3, -1]], [0, 0], 6)
    yield _int4("K = 1, N = 1", "degenerate", [[-128], [127]], [[-8]], [[-(1 << 15)]], [1], 2)
    yield _int4("K = 2 in one byte", "degenerate axes", [[1, -100]], [[7, -8], [-8, 7]], [[3], [5]], [0, 0], 2)
    yield _int4("a group longer than K", "degenerate", [[1, 2, 3]], [[1, 2, 3]], [[-2]], [4], 1 << 20)
    yield _int4("no leading axis", "axes", [3, -4, 5], [[5, 6, 7], [-7, -8, 1]], [[1, 2], [-2, -1]], [0, 1], 2)
    yield _int4("zero x gives the bias", "degenerate", [[0] * 4], [[7, -8, 7, -8]], [[9, 9]], [-(1 << 31)], 2)
    yield _int4("a scale of 0 hides its group", "degenerate", [[1, 2, 3, 4]], [[7] * 4], [[0, 1]], [0], 2)
    ends = [[-128] * 4, [127] * 4]
    low, high = -(1 << 15), (1 << 15) - 1
    yield _int4("extremes of x, w and scale", "extreme dtype", ends, [[-8] * 4, [7] * 4], [[low], [high]], [0, 1], 4)
    full = np.full((1, 64), -128)
    yield _int4("the lowest accumulator, -2**31", "extreme wide", full, np.full((1, 64), -8), [[low, low]], [0], 32)
    full = np.full((1, 128), -128)
    yield _int4("the highest, 2**31 - 1", "extreme wide", full, np.full((1, 128), -8), [[1 << 14]], [-1], 128)
    full = np.full((1, 256), 127)
    yield _int4("groups beyond int32 that cancel", "wide", full, np.full((1, 256), 7), [[high, -high]], [5], 128)
    yield _int4("a group's sum beyond 16 bits", "wide", full[:, :254], np.full((1, 254), 7), [[3]], [0], 254)
    full = np.full((1, 65), 127)
    yield _int4("odd accumulators above 2**24", "wide", full, np.full((2, 65), 7), [[999, 1001]] * 2, [0, 1], 64)
    stream = SplitMix64(22)
    for lead, k, n, group_size in (((2, 3), 67, 9, 32), ((2, 2, 1), 33, 5, 8), ((5,), 128, 3, 128), ((4,), 31, 7, 2)):
        x, w = stream.integers(-128, 127, (*lead, k), "int8"), stream.integers(-8, 7, (n, k), "int8")
        scale = stream.integers(-999, 999, (n, -(-k // group_size)), "int16")
        bias = stream.integers(-99999, 99999, n, "int32")
        yield _int4(f"random, K = {k}, groups of {group_size}", "random axes", x, w, scale, bias, group_size)
    yield from asked("linear_int4")


CASES: dict[str, Generator] = {"linear": linear, "matmul": matmul, "linear_int4": linear_int4}
_LOW_BIAS = np.array([0, -(1 << 30) - 1], np.int32)
_NOT_A_REGISTER = ({"accumulator": 7}, {"accumulator": 65}, {"overflow": "clip"}, {"every": -1}, {"output": "int16"})
REFUSED: dict[str, dict[str, list[Broken]]] = {
    "linear": {
        "C1": [
            {"x": np.zeros((1, 3), np.int32)},
            {"weight": np.zeros((2, 3), np.int16)},
            {"bias": np.zeros(2, np.int8)},
        ],
        "C2": [
            {"x": np.zeros((1, 4), np.int8)},
            {"bias": np.zeros(1, np.int32)},
            {"weight": np.zeros(3, np.int8)},
            {"x": np.zeros((1, (1 << 20) + 1), np.int8)},
        ],
        "C4": [{"axis": 0}, *_NOT_A_REGISTER, {"x_zero_point": 1 << 15}, {"weight_zero_point": -(1 << 15) - 1}],
        "C5": [{"accumulator": 33, "output": "int32"}],
        "C6": [{"every": 1}, {"every": 2, "overflow": "wrap"}],
        "C7": [{"accumulator": 8, "bias": np.array([128, 0], np.int32)}, {"accumulator": 31, "bias": _LOW_BIAS}],
        "BoundError": [{"bias": np.array([(1 << 31) - 320, 0], np.int32)}, {"accumulator": 9}],
    },
    "matmul": {
        "C1": [{"a": np.zeros((2, 3), np.int64)}, {"b": np.zeros((3, 4), np.uint8)}, {"b": np.zeros((3, 4), np.int32)}],
        "C2": [{"a": np.zeros((2, 4), np.int8)}, {"a": np.zeros((1, 2, 3), np.int8)}, {"b": np.zeros(3, np.int8)}],
        "C4": [{"axis": 0}, *_NOT_A_REGISTER, {"a_zero_point": 1 << 15}, {"b_zero_point": -(1 << 15) - 1}],
        "C5": [{"accumulator": 64, "output": "int32"}],
        "C6": [{"every": 1}, {"every": 2, "overflow": "wrap"}],
        "BoundError": [
            {"a": np.full((1, 1024), -(1 << 15), np.int16), "b": np.full((1024, 1), -64, np.int8)},
            {"accumulator": 8},
        ],
    },
    "linear_int4": {
        "C1": [
            {"x": np.zeros((1, 5), np.uint8)},
            {"weight": np.zeros((2, 3), np.int8)},
            {"scale": np.zeros((2, 3), np.int32)},
            {"bias": np.zeros(2, np.int16)},
        ],
        "C2": [
            {"bias": np.zeros(1, np.int32)},
            {"scale": np.zeros((1, 3), np.int16)},
            {"weight": np.zeros(3, np.uint8)},
            {"x": np.zeros((1, (1 << 20) + 1), np.int8)},
        ],
        "C4": [{"group_size": 0}, {"group_size": (1 << 20) + 1}, {"axis": 0}],
        "C5": [{"group_size": 3}],
        "C6": [
            {"x": np.zeros((1, 4), np.int8)},
            {"x": np.zeros((1, 7), np.int8)},
            {"weight": np.zeros((2, 5), np.uint8)},
            {"scale": np.zeros((2, 2), np.int16)},
            {"group_size": 4},
        ],
        "C7": [{"weight": np.array([[0, 0, 0], [0, 0, 16]], np.uint8)}],
        "BoundError": [{"bias": np.array([-(1 << 31), 0], np.int32), "x": np.full((1, 5), 4, np.int8)}],
    },
}
