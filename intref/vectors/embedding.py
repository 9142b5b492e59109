"""Directed cases of table rows, positions and pooling."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref.ops.op import dtype_range
from intref.vectors.asked import asked
from intref.vectors.case import Broken, Case, Generator, SplitMix64

_ANY_BUT_0 = "where takes its first value for anything but 0"
EQUIVALENT: dict[str, dict[str, str]] = {
    "positions": {
        "mask -> -mask in return {'positions': where(mask, running_sum(mask, -1) - 1, -1) + start}": _ANY_BUT_0,
    },
    "mean_pool": {
        "0 -> -1 in return {'y': mean[..., 0, :]}": "the axis that was summed has one element",
        "seen -> -seen in total = sum_along(where(seen, x, 0), -2)": _ANY_BUT_0,
    },
}


def _rows(why: str, flags: str, ids: Any, table: Any, dtype: str = "int8") -> Case:
    return Case(why, {"ids": np.array(ids, np.int32), "table": np.array(table, dtype)}, {}, (*flags.split(),))


def embedding() -> Iterator[Case]:
    """Every row, repeated rows, every dtype, no and two leading axes."""
    rows = [[1, -2, 3], [-4, 5, -6], [7, -8, 9], [10, 11, -12]]
    yield _rows("every row, out of order and repeated", "axes", [[2, 0, 3], [3, 3, 1]], rows)
    yield _rows("one row of one element", "degenerate axes", [0], [[-5]])
    yield _rows("no leading axis", "axes", 2, rows)
    for dtype in ("int8", "int16", "int32"):
        low, high = dtype_range(dtype)
        yield _rows(f"extremes of {dtype}", "dtype extreme", [1, 0], [[low, high], [high, low]], dtype)
    stream = SplitMix64(10)
    for dtype in ("int16", "int32"):
        table = stream.integers(-30000, 30000, (300, 5), dtype)
        yield _rows(f"random, {dtype}", "random", stream.integers(0, 299, (2, 2, 7), "int32"), table, dtype)
    yield from asked("embedding")
    least, most = dtype_range("int64")
    yield _rows("extremes of int64", "dtype extreme", [1, 0], [[least, most], [most, least]], "int64")
    powers = [1 << bit for bit in range(63)]
    yield _rows("every bit length of int64", "dtype wide", [1, 0], [powers, [-v for v in powers]], "int64")


def _positions(why: str, flags: str, mask: Any, form: str, start: int) -> Case:
    return Case(why, {"mask": np.array(mask, np.int8)}, {"form": form, "start": start}, (*flags.split(),))


def positions() -> Iterator[Case]:
    """Both forms of every place that padding can have."""
    rows = {
        "padding on the right": [1, 1, 1, 0, 0],
        "padding on the left": [0, 0, 1, 1, 1],
        "a hole": [0, 1, 0, 1, 1],
        "only the last token attended": [0, 0, 0, 0, 1],
        "no padding": [1, 1, 1, 1, 1],
        "no token attended": [0, 0, 0, 0, 0],
    }
    for form in ("offset", "count"):
        yield _positions(f"{form}: rows with different padding", "mask axes", [*rows.values()], form, 2)
        for why, row in rows.items():
            yield _positions(f"{form}: {why}", "mask", row, form, 1)
        yield _positions(f"{form}: one token", "degenerate", [[1], [0]], form, 3)
        yield _positions(f"{form}: the largest start", "extreme", [0, 1, 1], form, 1 << 20)
        mask = SplitMix64(11).integers(0, 1, (2, 3, 9), "int8")
        yield _positions(f"{form}: random", "random", mask, form, 1)
    yield _positions("offset: start 0", "extreme", [0, 1, 1], "offset", 0)
    yield from asked("positions")


def _pool(why: str, flags: str, x: Any, mask: Any, dtype: str = "int32") -> Case:
    return Case(why, {"x": np.array(x, dtype), "mask": np.array(mask, np.int8)}, {}, (*flags.split(),))


def mean_pool() -> Iterator[Case]:
    """Ties of both signs, every dtype's ends, rows without a token."""
    halves = [[1, -1, 3, -3, 5, -5], [0, 0, 0, 0, 0, 0]]
    yield _pool("ties of both signs and parities", "tie", halves, [1, 1])
    for d in (-1, 1):
        near = [[3 * h + d for h in halves[0]], *[[0] * 6] * 5]
        yield _pool(f"a sixth {'above' if d > 0 else 'below'} a tie", "tie", near, [1] * 6)
    yield _pool("a masked token leaves the mean", "mask", [[9, -9], [100, 100], [4, -4]], [1, 0, 1])
    yield _pool("no token attended: 0", "mask degenerate", [[[7, -7]], [[7, -7]]], [[0], [1]])
    yield _pool("one token", "degenerate", [[5, -128]], [1], "int8")
    yield _pool("unequal lengths", "mask axes", [[[3], [9], [27]]] * 4, [[1, 0, 0], [1, 1, 0], [1, 1, 1], [0, 0, 1]])
    for dtype in ("int8", "int16", "int32"):
        low, high = dtype_range(dtype)
        yield _pool(
            f"extremes of {dtype}", "dtype extreme", [[low, high, low]] * 3 + [[low, high, high]], [1] * 4, dtype
        )
    yield _pool("the sum of a long row leaves int32", "wide", np.full((1024, 2), (1 << 31) - 1), [1] * 1024)
    stream = SplitMix64(12)
    x, mask = (
        stream.integers(-(1 << 31), (1 << 31) - 1, (2, 2, 7, 3), "int32"),
        stream.integers(0, 1, (2, 2, 7), "int8"),
    )
    yield _pool("random, two leading axes", "random axes", x, mask)
    yield from asked("mean_pool")


CASES: dict[str, Generator] = {"embedding": embedding, "positions": positions, "mean_pool": mean_pool}
REFUSED: dict[str, dict[str, list[Broken]]] = {
    "embedding": {
        "C1": [{"ids": np.zeros(2, np.int64)}, {"table": np.zeros((4, 3), np.uint8)}],
        "C2": [{"table": np.zeros(4, np.int8)}, {"ids": np.zeros((2, 0), np.int32)}],
        "C3": [{"ids": np.array([0, -1], np.int32)}],
        "C4": [{"axis": 0}],
        "C5": [{"ids": np.array([4], np.int32)}],
    },
    "positions": {
        "C1": [{"mask": np.ones(3, np.int32)}],
        "C2": [{"mask": np.array(1, np.int8)}, {"mask": np.ones((1 << 20) + 1, np.int8)}],
        "C3": [{"mask": np.array([2], np.int8)}, {"mask": np.array([-1], np.int8)}],
        "C4": [{"form": "learned"}, {"start": -1}, {"start": (1 << 20) + 1}, {"start": True}],
        "C5": [{"form": "count", "start": 0}],
    },
    "mean_pool": {
        "C1": [{"mask": np.ones(2, bool)}, {"x": np.zeros((2, 6), np.uint16)}],
        "C2": [{"mask": np.ones(3, np.int8)}, {"mask": np.ones((1, 2), np.int8)}, {"x": np.zeros(2, np.int8)}],
        "C3": [{"mask": np.array([1, 2], np.int8)}],
        "C4": [{"axis": 1}],
    },
}
