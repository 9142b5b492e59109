"""Directed cases of GELU and of tables."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref.ops.op import dtype_range
from intref.vectors.asked import asked
from intref.vectors.case import Broken, Case, Generator, SplitMix64

_OUTSIDE = "outside, g is replaced by 0; the cell need only lie in the table"
EQUIVALENT: dict[str, dict[str, str]] = {
    "gelu_ibert": {
        "x -> -x in poly = sign * (square(minimum(absolute(x), -b) + b) + c) >> 14": "|-x| is |x|",
    },
    "gelu_table": {
        "x -> -x in a = absolute(x)": "|-x| is |x|",
        "0 -> 1 in cell = within(where(inside, a >> k, 0), 0, 511)": _OUTSIDE,
        "0 -> -1 in cell = within(where(inside, a >> k, 0), 0, 511)": _OUTSIDE,
    },
    "table": {
        "x + 128 -> x - 128 in return {'y': take(entries, x + 128)}": (
            "NumPy counts an index below 0 from the end, which is the same entry of 256"
        ),
    },
}
M31 = (1 << 31) - 1
SCALE_10 = (-2562, -7261451, -444)  # b, c and one for S = 2**-10, by the formulas of gelu_ibert's docstring


def _ibert(why: str, flags: str, x: Any, b: Any = SCALE_10[0], c: Any = SCALE_10[1], one: Any = SCALE_10[2]) -> Case:
    tensors: dict[str, np.ndarray] = {"x": np.array(x, np.int32)}
    for name, value in (("b", b), ("c", c), ("one", one)):
        tensors[name] = np.array(value, np.int64).reshape(-1)
    return Case(why, tensors, {}, (*flags.split(),))


def gelu_ibert() -> Iterator[Case]:
    """The sign, the cut at -b, floors of both signs, constants per channel and at their ends."""
    yield _ibert("the sign: -1, 0 and 1", "tie", [-1, 0, 1])
    yield _ibert("either side of the cut", "clip", [[2561, 2562, 2563, 9999], [-2561, -2562, -2563, -9999]])
    steps = [-v for v in range(0, 2600, 100)]
    yield _ibert("floors of both signs", "tie", [steps, [-v for v in steps]])
    floors = [s * (k << 14) + d for k in (1, 2) for s in (-1, 1) for d in (-1, 0, 1)]
    yield _ibert("L either side of an integer", "tie", [[1] * 12, [-1] * 12], [0] * 12, floors, [0] * 12)
    yield _ibert("b = 0: no polynomial", "degenerate", [5, -5, 0], 0, 1 << 14, 3)
    yield _ibert("b = -1: the square is 0 from 1 on", "degenerate", [0, 1, -1, 2, -2], -1, 1 << 14, 0)
    yield _ibert("the largest x", "extreme wide", [M31, -M31], c=-(1 << 30), one=1 << 16)
    yield _ibert(
        "the largest product, 2**62", "extreme wide", [1 << 26, -(1 << 26)], b=-(1 << 24), c=1 << 44, one=1 << 30
    )
    yield _ibert(
        "the ends of c and one", "extreme wide", [1 << 28, -(1 << 28)], [0, -1], [-(1 << 44), 1 << 44], [-(1 << 30)] * 2
    )
    rows = [[[100, 100, 100], [-100, -100, -100]]]
    yield _ibert("constants per channel", "axes", rows, [-50, -200, -101], [-9000, 5000, -70000], [-1, 3, -4])
    yield _ibert("one element", "degenerate", [77], [-200], [-40000], [-2])
    stream = SplitMix64(50)
    yield _ibert("random", "random", stream.integers(-4000, 4000, (2, 3, 16), "int32"))
    b, c = stream.integers(-(1 << 20), 0, 8, "int64"), stream.integers(-(1 << 40), 1 << 40, 8, "int64")
    x = stream.integers(-(1 << 21), 1 << 21, (5, 8), "int32")
    yield _ibert("random, constants per channel", "random axes", x, b, c, stream.integers(-(1 << 26), 0, 8, "int64"))
    yield from asked("gelu_ibert")


FALLING = [(512 - i) ** 2 << 4 for i in range(513)]  # 2**22 down to 0: the shape of the real table, not its values


def _table(why: str, flags: str, x: Any, fraction: int, table: Any = FALLING) -> Case:
    tensors = {"x": np.array(x, np.int32), "table": np.array(table, np.int32)}
    return Case(why, tensors, {"fraction": fraction}, (*flags.split(),))


def gelu_table() -> Iterator[Case]:
    """Every cell, ties of the interpolation, the cut at 8, the largest and smallest fractions."""
    yield _table("every cell, no remainder", "extreme", [*range(-513, 514)], 6)
    yield _table("no leading axis", "axes degenerate", 100, 16)
    stream = SplitMix64(51)
    uneven = stream.integers(0, 1 << 22, 513, "int32")
    yield _table(
        "every cell with its last remainder, an uneven table", "tie", [(i << 10) + 1023 for i in range(512)], 16, uneven
    )
    yield _table("every remainder of two cells, an uneven table", "tie", [*range(-2049, 2050)], 16, uneven)
    odd = [(k << 17) + d for k in (1, 2, 3, 30, 31) for d in (-1, 0, 1)]
    odd = [v for v in odd if v <= 1 << 22] + [0] * 500
    yield _table("ties: odd multiples of half a unit, and neighbours", "tie", [*range(-13, 14)], 6, odd[:513])
    steep = [0, 1 << 22] * 256 + [0]
    for fraction in (7, 16, 20):
        cut = 8 << fraction
        near = [s * (cut + d) for s in (-1, 1) for d in (-(1 << 23 - 6), -2, -1, 0, 1) if abs(cut + d) <= 1 << 23]
        for why, entries in (("falling", FALLING), ("steep", steep), ("all at the largest", [1 << 22] * 513)):
            yield _table(f"either side of 8, fraction {fraction}, {why}", "clip", near, fraction, entries)
    for fraction in (21, 22, 23):
        ends = [s * ((1 << 23) - d) for s in (-1, 1) for d in (0, 1, 77)]
        yield _table(f"fraction {fraction}: 8 is beyond every x", "extreme wide", ends, fraction, uneven)
    yield _table("zero, and the signs", "degenerate", [0, 1, -1], 16, [1 << 22] * 513)
    yield _table("the ends of x", "extreme", [1 << 23, -(1 << 23)], 6)
    for fraction in (6, 11, 23):
        x = stream.integers(-(1 << fraction), 9 << fraction, (3, 4, 5), "int32") if fraction < 20 else None
        x = stream.integers(-(1 << 23), 1 << 23, (3, 4, 5), "int32") if x is None else x
        yield _table(f"random, fraction {fraction}", "random", x, fraction, stream.integers(0, 1 << 22, 513, "int32"))
    yield from asked("gelu_table")


def _lookup(why: str, flags: str, x: Any, entries: Any, dtype: str = "int8") -> Case:
    return Case(why, {"x": np.array(x, np.int8), "entries": np.array(entries, dtype)}, {}, (*flags.split(),))


def table() -> Iterator[Case]:
    """Every index, every dtype, no leading axis."""
    every = [*range(-128, 128)]
    yield _lookup("every index, upside down", "extreme axes", [every], every[::-1])
    yield _lookup("no leading axis", "degenerate", -128, every)
    for dtype in ("int8", "int16", "int32"):
        low, high = dtype_range(dtype)
        yield _lookup(
            f"extremes of {dtype}",
            "dtype extreme",
            [[-128, 127], [0, -1]],
            [low, *[7] * 127, high, *[3] * 126, high],
            dtype,
        )
    stream = SplitMix64(52)
    for dtype in ("int16", "int32"):
        entries = stream.integers(-30000, 30000, 256, dtype)
        yield _lookup(f"random, {dtype}", "random", stream.integers(-128, 127, (2, 3, 9), "int8"), entries, dtype)
    yield from asked("table")


CASES: dict[str, Generator] = {"gelu_ibert": gelu_ibert, "gelu_table": gelu_table, "table": table}
_TWO = np.zeros(2, np.int64)
REFUSED: dict[str, dict[str, list[Broken]]] = {
    "gelu_ibert": {
        "C1": [{"x": np.zeros(3, np.int8)}, {"b": np.zeros(1, np.int32)}],
        "C2": [{"x": np.array(1, np.int32)}, {"c": np.zeros(2, np.int64)}],
        "C3": [
            {"x": np.array([-(1 << 31)], np.int32)},
            {"b": np.array([1])},
            {"b": np.array([-(1 << 24) - 1])},
            {"c": np.array([(1 << 44) + 1])},
            {"one": np.array([-(1 << 30) - 1])},
        ],
        "C4": [{"form": "tanh"}],
        "C5": [{"b": _TWO, "c": _TWO, "one": _TWO}],
        "C6": [
            {"x": np.array([1 << 28], np.int32), "b": np.array([-(1 << 24)])},
            {"x": np.array([M31], np.int32), "c": np.array([1 << 44]), "one": np.array([1 << 30])},
        ],
    },
    "gelu_table": {
        "C1": [{"x": np.zeros(3, np.int64)}, {"table": np.zeros(513, np.int16)}],
        "C2": [{"table": np.zeros(514, np.int32)}, {"x": np.zeros(0, np.int32)}],
        "C3": [{"x": np.array([(1 << 23) + 1], np.int32)}, {"table": np.full(513, (1 << 22) + 1, np.int32)}],
        "C4": [{"fraction": 5}, {"fraction": 24}],
        "C5": [{"table": np.zeros(512, np.int32)}],
    },
    "table": {
        "C1": [{"x": np.zeros(3, np.uint8)}, {"entries": np.zeros(256, np.int64)}],
        "C2": [{"entries": np.zeros(257, np.int8)}, {"x": np.zeros((0, 3), np.int8)}],
        "C4": [{"axis": 0}],
        "C5": [{"entries": np.zeros(255, np.int8)}],
    },
}
