"""Directed cases of the matrix products."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref.vectors.case import Broken, Case, Generator, SplitMix64

EQUIVALENT: dict[str, dict[str, str]] = {
    "linear": {
        "-1 -> 1 in return {'y': product(x, swap(weight, -1, -2)) + bias}": "weight has two axes: the last is axis 1",
    },
}
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


CASES: dict[str, Generator] = {"linear": linear, "matmul": matmul}
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
        "C4": [{"axis": 0}],
        "BoundError": [{"bias": np.array([(1 << 31) - 320, 0], np.int32)}],
    },
    "matmul": {
        "C1": [{"a": np.zeros((2, 3), np.int64)}, {"b": np.zeros((3, 4), np.uint8)}],
        "C2": [{"a": np.zeros((2, 4), np.int8)}, {"a": np.zeros((1, 2, 3), np.int8)}, {"b": np.zeros(3, np.int8)}],
        "C4": [{"axis": 0}],
        "BoundError": [{"a": np.full((1, 1024), -(1 << 15), np.int16), "b": np.full((1024, 1), -64, np.int8)}],
    },
}
