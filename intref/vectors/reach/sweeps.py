"""What the cases of several ops are made of: values of every bit length, axes of every tail, clips of every output."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from intref.ops.op import INTS, dtype_range
from intref.vectors.case import Case
from intref.vectors.drawn import drawn

TAIL_SIZES = (1, 2, 4, 8, 16, 32, 33)  # of tiles of 4, 8, 16 and 32 lanes: none, exact and every remainder's kind
Goals = Callable[..., Case]  # (why, flags, results before the clip, output, **clip)


def lengths(low: int, high: int) -> list[int]:
    """A value of every bit length and either sign in [low, high], both ends, and zero."""
    powers = [s << k for k in range(64) for s in (1, -1)]
    inside = [v for v in (0, *powers) if low <= v <= high]
    return [*inside, *(v for v in (low, high) if v not in inside)]


def tails(op_name: str, axes: str, sizes: tuple[int, ...] = TAIL_SIZES, **others: int) -> Iterator[Case]:
    """A random call for each size of each axis, other axes 2 long."""
    names = axes.split()
    for i, axis in enumerate(names):
        for size in sizes:
            fixed = {**dict.fromkeys(names, 2), **others, axis: size}
            case = drawn(op_name, 1000 * i + size, fixed=fixed)
            yield case._replace(why=f"axis {axis} of {size}", flags=("axes", "random"))


def clips(make: Goals, most: int = 1 << 62) -> Iterator[Case]:
    """Results at, one off and beyond both ends of a range, for each output; ranges on either side of zero."""
    for output, (low, high) in zip(INTS, ((-100, 99), (-30000, 29999), (-(1 << 29), (1 << 29) - 3), (-1000, 999))):
        goals = [end + d for end in (low, high) for d in (-9, -1, 0, 1, 9)]
        yield make(f"either side of a range of the site's own, to {output}", "clip", goals, output, low=low, high=high)
    yield make("a range above zero", "clip", [4, 5, 6, 89, 90, 91], "int16", low=5, high=90)
    yield make("a range below zero", "clip", [-91, -90, -89, -6, -5, -4], "int16", low=-90, high=-5)
    yield make("a range from zero", "clip", [-1, 0, 1, 126, 127, 128], "int8", low=0, high=127)
    yield make("a range to zero", "clip", [-129, -128, -127, -1, 0, 1], "int8", low=-128, high=0)
    low, high = dtype_range("int64")
    yield make("a range of one value, the highest", "clip extreme degenerate", [0, -1, 5], "int64", low=high, high=high)
    yield make("a range of one value, the lowest", "clip extreme degenerate", [0, -1, 5], "int64", low=low, high=low)


def digits(values: list[int], weights: list[int], most: int) -> np.ndarray:
    """Rows of factors in [-most - 1, most] whose products with the weights, largest last, sum to the values."""
    rows = np.zeros((len(values), len(weights)), np.int64)
    for row, goal in zip(rows, values):
        left = goal
        for place in range(len(weights) - 1, -1, -1):
            factor = (2 * left + abs(weights[place])) // (2 * weights[place])
            row[place] = min(max(factor, -most - 1), most)
            left -= int(row[place]) * weights[place]
        assert left == 0
    return rows


def fill(value: Any, shape: Any, dtype: str) -> np.ndarray:
    """A value, or values, repeated to a shape."""
    return np.array(np.broadcast_to(np.array(value, np.int64), shape)).astype(dtype)
