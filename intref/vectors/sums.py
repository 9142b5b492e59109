"""Directed cases of sums of two terms, of clamp, and of the late division."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref.ops.op import INTS, dtype_range
from intref.vectors.asked import asked
from intref.vectors.case import Broken, Case, Generator, SplitMix64
from intref.vectors.operands import M31, ODD, ties
from intref.vectors.rescale import EXACT

EQUIVALENT: dict[str, dict[str, str]] = {}


def _add(
    why: str,
    flags: str,
    a: Any,
    b: Any,
    by_a: tuple[Any, Any],
    by_b: tuple[Any, Any],
    rounding: str = "half_even",
    dtypes: tuple[str, str] = ("int32", "int32"),
    output: str = "int8",
    **attrs: int,
) -> Case:
    tensors = {"a": np.array(a, dtypes[0]), "b": np.array(b, dtypes[1])}
    for name, (multiplier, shift) in (("a", by_a), ("b", by_b)):
        tensors[f"{name}_multiplier"] = np.array(multiplier, np.int32).reshape(-1)
        tensors[f"{name}_shift"] = np.array(shift, np.int8).reshape(-1)
    return Case(why, tensors, {"rounding": rounding, "output": output, **attrs}, (*flags.split(),))


def add() -> Iterator[Case]:
    """Ties of one term, of both at once, and the one clip after the sum."""
    for rule in EXACT:
        x = ties(3, 4)
        yield _add(f"{rule}: ties of a", "tie", x, [0] * len(x), (3, 4), (1, 1), rule)
        yield _add(f"{rule}: ties of b", "tie", [0] * len(x), x, (1, 1), (-3, 4), rule)
        yield _add(f"{rule}: halves of both terms, rounded apart", "tie", [*ODD], [*ODD[::-1]], (1, 1), (1, 1), rule)
        yield _add(f"{rule}: shift 94", "extreme", [M31, -M31], [-M31, M31], (-(1 << 31), 94), (M31, 94), rule)
    one = (1, 0)
    edge = [-129, -128, -127, 126, 127, 128]
    yield _add("either side of each clip", "clip", edge, [0] * 6, one, one)
    yield _add("two terms beyond the clip that cancel", "clip", [1000, -1000], [-999, 999], one, one)
    yield _add("a range of the site's own", "clip", [-9, -8, 7, 8], [0] * 4, one, one, low=-8, high=7)
    ends = [M31, -M31]
    yield _add(
        "the largest sum, nearly 2**63", "extreme wide", ends, ends, (-(1 << 31), 0), (-(1 << 31), 0), output="int64"
    )
    yield _add("terms of int64 that cancel", "wide", ends, ends, (M31, 0), (-(1 << 31), 0), output="int64")
    yield _add(
        "int8 and int16 to int16",
        "dtype extreme",
        [-128, 127],
        [1 << 14, -(1 << 15)],
        (3, 1),
        (1, 0),
        "floor",
        ("int8", "int16"),
        "int16",
    )
    yield _add(
        "int16 and int8 to int32",
        "dtype extreme",
        [-(1 << 15), 1],
        [127, -128],
        (M31, 20),
        (1, 0),
        "ceil",
        ("int16", "int8"),
        "int32",
    )
    rows = [[[10, 20, 30], [-40, 50, -60]]]
    yield _add(
        "each of the four constants per channel", "axes", rows, rows, ([1, 2, 3], [0, 1, 2]), ([3, 1, -2], [2, 1, 0])
    )
    yield _add("multipliers per channel, shifts alone", "axes", rows, rows, ([1, 2, 3], 1), ([-1, 5, 7], 2))
    yield _add("shifts per channel, multipliers alone", "axes", rows, rows, (3, [1, 2, 3]), (5, [3, 2, 1]))
    yield _add("one element", "degenerate", [5], [-7], (3, 1), (3, 1))
    stream = SplitMix64(4)
    for rule in EXACT:
        a, b = (stream.integers(-(1 << 24), 1 << 24, (4, 8), "int32") for _ in "ab")
        by_a, by_b = ((stream.integers(1 << 29, M31, 8, "int32"), stream.integers(46, 50, 8, "int8")) for _ in "ab")
        yield _add(f"{rule}: random", "random axes", a, b, by_a, by_b, rule)
    yield from asked("add")


def _bias(why: str, flags: str, x: Any, bias: Any, dtype: str = "int32", output: str = "int32", **attrs: int) -> Case:
    tensors = {"x": np.array(x, dtype), "bias": np.array(bias, np.int32)}
    return Case(why, tensors, {"output": output, **attrs}, (*flags.split(),))


def add_bias() -> Iterator[Case]:
    """Each dtype's ends, each output's clip."""
    yield _bias("a bias per element", "axes", [[1, 2, 3], [-4, -5, -6]], [10, -20, 30])
    for dtype in ("int8", "int16", "int32"):
        low, high = dtype_range(dtype)
        for output in INTS:
            yield _bias(
                f"ends of {dtype} to {output}",
                "dtype extreme clip",
                [low, low, high, high],
                [-(1 << 31), M31, -(1 << 31), M31],
                dtype,
                output,
            )
    yield _bias(
        "either side of each clip", "clip", [-128, -128, -128, 127, 127, 127], [-1, 0, 1, -1, 0, 1], output="int8"
    )
    yield _bias("a range of the site's own", "clip", [-8, -8, 7, 7], [-1, 0, 0, 1], output="int8", low=-8, high=7)
    yield _bias("one element, two leading axes", "degenerate axes", [[[3]]], [-5])
    stream = SplitMix64(7)
    x, bias = stream.integers(-(1 << 31), M31, (2, 3, 5), "int32"), stream.integers(-(1 << 31), M31, 5, "int32")
    yield _bias("random", "random", x, bias)
    yield from asked("add_bias")


def _clamp(why: str, flags: str, x: Any, low: int, high: int, dtype: str = "int8") -> Case:
    return Case(why, {"x": np.array(x, dtype)}, {"low": low, "high": high}, (*flags.split(),))


def clamp() -> Iterator[Case]:
    """Either side of each end, in every dtype."""
    yield _clamp("either side of each end", "clip", [[-9, -8, -7], [6, 7, 8]], -8, 7)
    yield _clamp("no leading axis", "axes", -9, -8, 7)
    yield _clamp("low = high", "clip degenerate", [-1, 0, 1], 0, 0)
    yield _clamp("an even range above zero", "clip", [3, 4, 5, 8, 9, 10], 4, 9)
    for dtype in ("int8", "uint8", "int16", "int32", "int64"):
        low, high = (0, 255) if dtype == "uint8" else dtype_range(dtype)
        low, high = max(low, -(1 << 62)), min(high, 1 << 62)
        yield _clamp(f"ends of {dtype}, not cut", "dtype extreme", [low, high], low, high, dtype)
        yield _clamp(f"ends of {dtype}, one cut", "dtype clip", [low, high], low + 1, high - 1, dtype)
    yield from asked("clamp")


def _quotient(
    why: str, flags: str, x: Any, total: Any, multiplier: Any, shift: Any, output: str = "int8", **attrs: int
) -> Case:
    tensors: dict[str, np.ndarray] = {
        "x": np.array(x, np.int32),
        "total": np.expand_dims(np.array(total, np.int32), -1),
        "multiplier": np.array(multiplier, np.int32).reshape(-1),
        "shift": np.array(shift, np.int8).reshape(-1),
    }
    return Case(why, tensors, {"output": output, **attrs}, (*flags.split(),))


def rescale_quotient() -> Iterator[Case]:
    """Ties of odd and even divisors, both signs; rows without a key; a pair per head; the ends."""
    near = [k * 3 + d for k in ODD for d in (-1, 0, 1)]
    yield _quotient("ties of the divisor 6", "tie", [[near]], [[3]], 1, 1)
    yield _quotient("ties of the divisor 2", "tie", [[[*range(-9, 10)]]], [[1]], 1, 1)
    yield _quotient(
        "ties of the divisor 2**38", "tie", [[[(k << 14) + d for k in ODD for d in (-1, 0, 1)]]], [[1]], 1 << 23, 38
    )
    yield _quotient("a row without a key is divided by 1", "degenerate mask", [[[0, 0], [40, -40]]], [[0, 1]], 3, 1)
    yield _quotient("a total of 1 and of 2", "degenerate", [[[9, -9], [9, -9]]], [[1, 2]], 1, 1)
    clip = [[[-129, -128, -127, 126, 127, 128]]]
    yield _quotient("either side of each clip", "clip", clip, [[1]], 2, 1)
    yield _quotient("a range of the site's own", "clip", [[[-9, -8, 7, 8]]], [[1]], 2, 1, low=-8, high=7)
    ends = [[[1 << 30, -(1 << 30)]]]
    for output in INTS:
        yield _quotient(f"the largest product, to {output}", "extreme wide dtype", ends, [[1]], 1 << 24, 1, output)
    yield _quotient("the largest divisor, 2**62", "extreme wide", ends, [[1 << 24]], 1 << 24, 38)
    yield _quotient("multiplier 0", "degenerate", ends, [[5]], 0, 7)
    heads = [[[10, -11], [12, 13]], [[10, -11], [12, 13]], [[10, -11], [12, 13]]]
    yield _quotient("a pair per head, a total per query", "axes", heads, [[1, 2], [3, 4], [5, 6]], [4, 6, 7], [1, 2, 3])
    stream = SplitMix64(5)
    x = stream.integers(-(1 << 30), 1 << 30, (2, 3, 4, 5), "int32")
    total, multiplier = stream.integers(1, 1 << 24, (2, 3, 4), "int32"), stream.integers(1 << 20, 1 << 24, 3, "int32")
    yield _quotient("random, a leading axis", "random axes", x, total, multiplier, stream.integers(20, 26, 3, "int8"))
    yield from asked("rescale_quotient")


CASES: dict[str, Generator] = {"add": add, "add_bias": add_bias, "clamp": clamp, "rescale_quotient": rescale_quotient}
_CLIP: list[Broken] = [
    {"low": 1, "high": 0},
    {"output": "int8", "high": 128},
    {"output": "int16", "low": -(1 << 15) - 1},
]
REFUSED: dict[str, dict[str, list[Broken]]] = {
    "add": {
        "C1": [{"a": np.zeros(24, np.int64)}, {"b": np.zeros(24, np.uint8)}, {"a_shift": np.zeros(1, np.int32)}],
        "C2": [
            {"b": np.zeros(3, np.int32)},
            {"b_shift": np.zeros((1, 1), np.int8)},
            {"a": np.zeros((1, 24), np.int32)},
        ],
        "C3": [{"a": np.full(24, -(1 << 31), np.int32)}, {"b_shift": np.array([95], np.int8)}],
        "C4": [{"rounding": "gemmlowp_double"}, {"output": "uint8"}],
        "C5": [{"a_shift": np.zeros(2, np.int8)}, {"b_multiplier": np.ones(23, np.int32)}],
        "C6": _CLIP,
    },
    "add_bias": {
        "C1": [{"x": np.zeros((2, 3), np.int64)}, {"bias": np.zeros(3, np.int64)}],
        "C2": [{"bias": np.zeros(1, np.int32)}, {"x": np.array(3, np.int32)}],
        "C4": [{"output": "uint8"}, {"rounding": "floor"}],
        "C5": _CLIP,
    },
    "clamp": {
        "C1": [{"x": np.zeros(3, bool)}],
        "C2": [{"x": np.zeros((2, 0), np.int8)}],
        "C3": [{"x": np.array([-(1 << 62) - 1])}, {"x": np.array([(1 << 62) + 1])}],
        "C4": [{"low": -(1 << 62) - 1}, {"high": (1 << 62) + 1}],
        "C5": [{"low": 8}, {"high": 128}, {"low": -129}, {"x": np.array([1], np.uint8), "low": -1, "high": 255}],
    },
    "rescale_quotient": {
        "C1": [{"x": np.zeros((1, 1, 24), np.int64)}, {"total": np.ones((1, 1, 1), np.int64)}],
        "C2": [{"total": np.ones((1, 1, 24), np.int32)}, {"multiplier": np.ones(2, np.int32)}],
        "C3": [
            {"total": np.full((1, 1, 1), -1, np.int32)},
            {"total": np.full((1, 1, 1), (1 << 24) + 1, np.int32)},
            {"multiplier": np.array([-1], np.int32)},
            {"shift": np.array([0], np.int8)},
            {"shift": np.array([39], np.int8)},
            {"x": np.full((1, 1, 24), -(1 << 30) - 1, np.int32)},
        ],
        "C4": [{"output": "uint8"}],
        "C5": _CLIP,
    },
}
