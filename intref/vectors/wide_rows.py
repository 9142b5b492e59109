"""Directed cases of the ops of ops/wide.py that reduce a row: the softmax, the norms and the mean."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref.ops.wide import WIDE
from intref.vectors.case import Case, SplitMix64
from intref.vectors.wide_numbers import LIMB, ONE, case, random, signed


def softmax_wide() -> Iterator[Case]:
    """Distances in every halving, cells and their edges, sums at their ends, masks."""

    def rows(why: str, flags: str, x: Any, mask: Any = None, table: Any = None, **attrs: int) -> Case:
        x = np.array(x, np.int64)
        x = x.reshape((1,) * (4 - x.ndim) + x.shape)
        mask = np.ones((x.shape[0], x.shape[3]), np.int64) if mask is None else mask
        attrs = {"multiplier": 1 << 46, "shift": 48, "fraction": 40, **attrs}
        return case(why, flags, attrs, x=x, mask=mask, coefficients=signed(32) if table is None else table)

    step = 1 << 37  # a cell, where the multiplier is 1/4 and the fraction 40 bits
    edges = [0, *(-n * step + d for n in (1, 2, 31, 32, 33, 64) for d in (-4, 0, 4))]
    yield rows("edges of cells and of halvings", "extreme", edges)
    yield rows("halvings to nothing", "extreme", [0, *(-(n << 42) for n in range(16))])
    yield rows("halvings, few fraction bits", "extreme", [0, *(-(n << 26) - n for n in range(0, 70, 3))], fraction=24)
    yield rows(
        "more than 62 halvings",
        "clip extreme",
        [0, *(-(n << 26) for n in (47, 48, 49, 61, 62, 63, 64, 99))],
        fraction=24,
    )
    yield rows("44 fraction bits", "extreme", [0, -1, -2, -3, -(1 << 45), 1 - (1 << 45), -WIDE], fraction=44)
    yield rows("ties of the distance", "tie", [0, -1, -2, -3, -4, -5, -6, -7, -9, -10])
    yield rows("every distance rounds to 0", "degenerate", [WIDE, -WIDE, 0], shift=64)
    yield rows("the largest distance", "extreme wide", [WIDE, -WIDE, WIDE - 1], multiplier=WIDE)
    yield rows("multiplier 0: all equal", "degenerate", [[WIDE, -WIDE, 5]], multiplier=0)
    yield rows("one key", "degenerate", [[[[-9]], [[WIDE]]]])
    yield rows("the longest row, all equal: the largest sum", "extreme", np.zeros((1, 1, 1, 1 << 12), np.int64))
    small = random(13, (32, 7), 20) + (np.arange(7) == 0) * (1 << 24)
    near = np.add.outer([0, *(-n * step for n in range(1, 32))], [0, -4, -8])
    yield rows("cells at their edge: every product a half", "tie", near[:, None, None, :1].T, table=small)
    yield rows("cells near their edge", "tie", near.reshape(1, -1), table=small, fraction=44, multiplier=1 << 46)
    halves = random(14, (32, 7), 44) + (np.arange(7) == 0) * (1 << 46)
    yield rows(
        "larger cells at their edge", "tie", near[:, 0].reshape(16, 1, 1, 2), np.ones((16, 2), np.int64), table=halves
    )
    totals = random(19, 32, 46) + (3 << 46)
    totals[1:16] |= (1 << 17) - 1
    totals[0], totals[16:20] = 0, [(1 << 48) - 1, (1 << 47) + 1, 1 << 47, (1 << 48) - 2]
    pairs = np.stack([np.zeros_like(near[:, 0]), near[:, 0]], -1).reshape(32, 1, 1, 2)
    yield rows("sums of every kind", "random", pairs, table=ONE * totals[:, None])
    yield rows("x of 2**30", "extreme", [1 << 30, 0])
    queries = -np.abs(random(20, (1, 1, 99, 3), 42))
    yield rows("99 queries", "random axes", queries, table=halves)
    ones = ONE
    for name, row in {
        "above 1": 1 << 48,
        "1 below 1": (1 << 48) - 1,
        "a half": 1 << 47,
        "1 below a half": (1 << 47) - 1,
        "below 0": -1,
    }.items():
        yield rows(f"cells of a constant, {name}", "clip", [[0, 0, 0], [0, -(1 << 42), -(1 << 43)]], table=ones * row)
    big = np.full((2, 7), 1 << 48)
    yield rows("cells of the largest coefficients", "extreme wide clip", edges, table=big)
    yield rows(
        "cells of the least coefficients", "extreme wide clip", edges, table=-big * np.array([-1, 1, 1, 1, 1, 1, 1])
    )
    yield rows("beyond a table of two cells", "degenerate", edges, table=signed(2))
    yield rows("probabilities at 1", "clip", [[0, -WIDE, -WIDE], [5, 0, -WIDE]], multiplier=WIDE, fraction=24)
    yield rows("mask: the maximum is not attended", "mask", [[9, 1 << 45, 8, 7 << 40]], [[1, 0, 1, 1]])
    yield rows(
        "mask per query, one row without a key",
        "mask degenerate axes",
        [[0, 1 << 42, 9], [1 << 42, 5, 0]],
        [[[0] * 3, [1, 0, 1]]],
    )
    yield rows("mask per batch: B = H = 2", "mask axes", np.arange(8).reshape(2, 2, 1, 2) << 41, [[0, 1], [1, 0]])
    yield rows("the least attended", "mask extreme", [[-WIDE, -WIDE, 0]], [[1, 1, 0]])
    yield rows("random", "random", random(5, (2, 2, 2, 9), 45), [[1] * 9, [1] * 5 + [0] * 4], multiplier=WIDE - 5)


def _norms() -> Iterator[tuple[str, str, Any]]:
    """Rows that every norm must bear."""
    yield "no variance, zeros", "degenerate", [[7, 7, 7, 7], [0, 0, 0, 0], [-WIDE] * 4]
    yield "one element", "degenerate axes", [-5]
    yield "alternating extremes", "extreme wide", np.tile([WIDE, -WIDE], (1, 1 << 11))
    yield "one outlier", "extreme", [[WIDE, *[0] * 40], [-WIDE, *[1] * 40], [1, *[0] * 40]]
    yield "every length of the largest deviation", "extreme", [[1 << n, -(1 << n), 0] for n in range(0, 47, 3)]
    yield "one below every length", "extreme", [[(1 << n) - 1, 1 - (1 << n), 1] for n in range(1, 48, 3)]
    yield "sums at powers of 4", "square", [[n, -n, n, -n] for n in (1 << 20, (1 << 20) + 1, 3 << 20, WIDE)]
    yield "low limbs all ones", "wide", [[LIMB - 1, 1 - LIMB, WIDE - LIMB, LIMB - WIDE], [LIMB, -LIMB, LIMB + 1, 0]]
    lengths = SplitMix64(15).integers(10, 46, (64, 1), "int64")
    yield (
        "64 rows of a negative power of 2",
        "random",
        np.concatenate([-1 << lengths, random(16, (64, 5)) >> 48 - lengths], 1),
    )
    yield "64 rows of anything", "random", random(17, (64, 7)) >> SplitMix64(18).integers(0, 40, (64, 1), "int64")
    yield "random, two leading axes", "random axes", random(6, (2, 2, 5))
    yield "random, a long row", "random", random(7, (2, 65), 44)


def layernorm_wide() -> Iterator[Case]:
    """The rows of a norm; epsilons that do and do not matter; gains, biases and both clips."""

    def rows(why: str, flags: str, x: Any, gain: Any = 1 << 47 >> 1, bias: Any = 0, **attrs: int) -> Case:
        x = np.array(x, np.int64)
        wide = {"gain": gain, "bias": bias}
        each = {k: np.broadcast_to(np.array(v, np.int64), x.shape[-1:]) for k, v in wide.items()}
        return case(why, flags, {"eps": 0, "most": 48, "shift": 48, **attrs}, x=x, **each)

    yield rows("ties of the mean", "tie", [[0, 1], [1, 2], [0, -1], [-1, -2], [0, 3], [0, -3]])
    yield rows("means of quarters", "tie", [[0, 0, 0, 1], [0, 0, 1, 1], [0, 1, 1, 1], [0, 0, 0, -1], [0, 0, -1, -1]])
    for why, flags, x in _norms():
        yield rows(why, flags, x)
        if np.array(x).size < 999:
            yield rows(
                f"{why}, with epsilon",
                flags,
                x,
                [1 << 45, *[-WIDE] * (np.array(x).shape[-1] - 1)],
                5,
                eps=3 << 49,
                most=20,
            )
    small = [[1, -1, 0], [2, -2, 1], [300, -300, 7], [1 << 30, 0, -(1 << 30)]]
    for most in (0, 1, 23, 24, 47):
        yield rows(f"epsilon, most {most}", "extreme", small, eps=(1 << 52) - most, most=most)
    yield rows("epsilon below one", "degenerate", [[0, 0], [WIDE, -WIDE], [1 << 30, -(1 << 30)]], eps=1, most=48)
    yield rows("both clips", "clip", [[9, -9], [WIDE, 0]], [WIDE, -WIDE], [WIDE, -WIDE])
    yield rows(
        "gain and bias of every element", "axes", [[1, 2, 4], [8, -16, 32]], [1 << 44, -(1 << 45), 9], [100, -200, 300]
    )
    yield rows("largest shift", "extreme", [[5, -9, 2]], WIDE, 1, shift=64)
    yield rows("ties of the gain", "tie", [[1 << 40, -(1 << 40)]], [4, -4], shift=49)
    yield rows(
        "ties of the gain, its low limb", "tie", [[1 << 40, -(1 << 40)], [1, -1]], [LIMB + 1, LIMB - 1], shift=50
    )
    # Rows in which one unit of the rounded epsilon is seen in y.
    tie = [2088781670325, 11938096303, 1678081429917, 1735587745363]
    yield rows("a tie of epsilon, above an even number", "tie", tie, WIDE, eps=2498560, most=14)
    tie = [-42139565129, -8674001466, 1033420930, 61900704709, 48709684804]
    yield rows("a tie of epsilon, above an odd number", "tie", tie, WIDE, eps=11374952448, most=25)
    below = [457414358, -176198871, 3938682577, -1569571401, -841087510]
    yield rows("epsilon one below a tie", "tie", below, WIDE, eps=645922815, most=28)


def l2_normalize_wide() -> Iterator[Case]:
    """The rows of a norm."""
    for why, flags, x in _norms():
        yield case(why, flags, {}, x=x)
    yield case("of length 1", "degenerate", {}, x=[[3 << 40, 4 << 40], [-(3 << 20), 4 << 20], [0, -1]])


def mean_pool_wide() -> Iterator[Case]:
    """Means on ties, none attended, extremes."""
    x = [[1, -1, 5], [2, -2, 6], [2, -2, -7], [9, 9, 9]]
    yield case("halves and thirds", "tie", {}, x=[x, x, x], mask=[[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 1]])
    yield case("none attended", "mask degenerate", {}, x=[[WIDE, -WIDE]], mask=[0])
    yield case("one token, two leading axes", "axes", {}, x=[[[[WIDE, -WIDE, 7]]]], mask=[[[1]]])
    wide = np.tile([[WIDE, -WIDE]], (1 << 12, 1))
    yield case("the longest sum", "extreme wide", {}, x=wide, mask=np.ones(1 << 12, np.int64))
    for n in range(12):
        ends = np.tile([[WIDE, -WIDE]], (1 << n, 1))
        yield case(f"2**{n} tokens of the most", "extreme wide", {}, x=ends, mask=np.ones(1 << n, np.int64))
    yield case("x of 2**30", "extreme", {}, x=[[1 << 30]], mask=[1])
    yield case("a mask in the middle", "mask", {}, x=np.arange(12).reshape(6, 2) << 40, mask=[0, 1, 0, 1, 1, 0])
    yield case("random", "random", {}, x=random(3, (2, 7, 3)), mask=[[1] * 7, [0, 1, 1, 0, 1, 0, 1]])
