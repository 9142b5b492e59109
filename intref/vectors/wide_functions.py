"""Directed cases of the functions of ops/wide.py: the edges of every cell, both signs, both clips."""

from collections.abc import Iterator

import numpy as np

from intref.ops.wide import WIDE
from intref.vectors.case import Case
from intref.vectors.wide_numbers import LIMB, ONE, case, random, signed, ties


def _function(extra: int) -> Iterator[Case]:
    """Both signs, edges of cells, beyond the table, the largest and least coefficients, every fraction."""
    for fraction in (6, 7, 20, 40, 46, 47):
        width = fraction - 5
        near = [(n << width) + d for n in (0, 1, 2, 3, 4) for d in (-2, -1, 0, 1, (1 << width - 1) - 1, 1 << width - 1)]
        x = [sign * min(abs(v), WIDE) for v in near for sign in (1, -1)]
        yield case(
            f"edges of cells, fraction {fraction}", "extreme", {"fraction": fraction}, x=x, coefficients=signed(3)
        )
    for fraction in (11, 47):
        x = [WIDE, -WIDE, 0, 1, -1, 1 << fraction - 6, -(3 << fraction - 6)]
        big = np.full((2, 7), 1 << 48)
        yield case(
            f"largest coefficients, fraction {fraction}", "extreme wide", {"fraction": fraction}, x=x, coefficients=big
        )
        yield case(
            f"least coefficients, fraction {fraction}", "extreme wide", {"fraction": fraction}, x=x, coefficients=-big
        )
        signs = big * np.array([1, -1, 1, -1, 1, -1, 1])
        yield case(
            f"alternating coefficients, fraction {fraction}",
            "extreme wide",
            {"fraction": fraction},
            x=x,
            coefficients=signs,
        )
    constants = ONE * np.array(ties(48 - 20 if extra else 2))[:, None]
    for row in constants:
        yield case(f"a tie, or beside it: {row[0]}", "tie", {"fraction": 20}, x=[[0, 5], [-3, 9]], coefficients=[row])
    lines = np.array([[0, 1, 0, 0, 0, 0, 0], [0, 3, 1 << 40, 0, 0, 0, 0], [5, -7, LIMB, -LIMB, 9, 1 << 30, -(1 << 47)]])
    t = [[v << 13 for v in (0, 1, 2, 3, 31)], [(v << 13) + (1 << 18) for v in (1, 7, 15, 17, 31)]]
    yield case("ties of t, two leading axes", "tie axes", {"fraction": 23}, x=[t], coefficients=lines)
    edges = np.arange(64)
    anything, small = random(11, (64, 7), 48), random(12, (64, 7), 20)
    yield case(
        "cells at their edge: every product a half", "tie", {"fraction": 47}, x=edges[:32] << 42, coefficients=anything
    )
    yield case("cells at their quarters", "tie", {"fraction": 40}, x=(edges << 35) + (1 << 33), coefficients=anything)
    yield case(
        "cells near their edge",
        "tie",
        {"fraction": 47},
        x=np.add.outer(edges[:32] << 42, [-1, 0, 1]).ravel()[1:],
        coefficients=small,
    )
    yield case(
        "cells near their edge, to 44 bits",
        "tie",
        {"fraction": 44},
        x=np.add.outer(edges << 39, [0, 1, 2, 3]).ravel(),
        coefficients=small,
    )
    table = random(9, (40, 7)) >> 5 * np.arange(7)
    yield case("random, beyond 40 cells", "random", {"fraction": 30}, x=random(8, (3, 11), 31), coefficients=table)
    yield case("every cell of the most", "extreme", {"fraction": 12}, x=np.arange(1026) << 7, coefficients=signed(1024))


def gelu_wide() -> Iterator[Case]:
    """Those of a function, and both clips."""
    yield from _function(1)
    big = ONE * (1 << 48)
    yield case("both clips", "clip", {"fraction": 47}, x=[WIDE, -5, 0, 1 << 41], coefficients=-big)
    yield case("the low clip", "clip", {"fraction": 47}, x=[0, 1, -1, 1 << 40], coefficients=big)


def tanh_wide() -> Iterator[Case]:
    """Those of a function."""
    yield from _function(0)
