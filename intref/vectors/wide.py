"""Directed cases of ops/wide.py: limbs that are full, empty or borrow, ties, clips, and the edges of every cell."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref.ops.wide import WIDE
from intref.vectors.case import Broken, Case, Generator, SplitMix64

LIMB = 1 << 24
_ONE = np.array([[1, 0, 0, 0, 0, 0, 0]])  # a cell of a constant
# Both ends, limbs of all ones and all zeros of either sign, and the neighbours of a limb's edge.
CORNERS = (WIDE, -WIDE, LIMB - 1, LIMB, LIMB + 1, 1 - LIMB, -LIMB, -LIMB - 1, WIDE - LIMB + 1, 1, -1, 0)


def _case(why: str, flags: str, attrs: dict[str, Any], **tensors: Any) -> Case:
    dtypes = {"mask": "int8"}
    made = {k: np.array(v, dtypes.get(k, "int64")) for k, v in tensors.items()}
    return Case(why, made, attrs, (*flags.split(),))


def _random(state: int, shape: Any, bits: int = 47) -> np.ndarray:
    return SplitMix64(state).integers(-(1 << bits) + 1, (1 << bits) - 1, shape, "int64")


def _ties(shift: int) -> list[int]:
    """Numbers at, above and below halves of 2**shift, of both signs and parities."""
    half = 1 << shift - 1
    return [sign * (odd * half + near) for sign in (1, -1) for odd in (1, 3) for near in (-1, 0, 1)]


def _ends(terms: int) -> dict[str, np.ndarray]:
    """x and weight whose limbs' sums are the largest of their length, of every sign."""
    ends = np.array([WIDE, LIMB - 1 - (1 << 47)])[:, None]
    return {"x": np.repeat(ends, terms, 1), "weight": np.repeat(ends, terms, 1)}


def _lengths() -> np.ndarray:
    """Powers of 2 of either sign, and one less: a number of every length."""
    return np.array([sign * ((1 << n) - less) for n in range(1, 47) for sign in (1, -1) for less in (0, 1)])


def linear_wide() -> Iterator[Case]:
    """Every pair of limbs, ties of the one rounding, the longest sum, both clips."""
    pairs = np.array([(a, b) for a in CORNERS for b in CORNERS])
    yield _case("every pair of corners", "wide extreme", {"shift": 48}, x=pairs[:, :1], weight=[[WIDE]], bias=[0])
    x, weight = pairs[:, :1], np.array(CORNERS)[:, None]
    yield _case("products of corners", "wide extreme", {"shift": 52}, x=x[::12], weight=weight, bias=[0] * 12)
    every = _lengths()[:, None]
    yield _case(
        "a sum of every length", "wide", {"shift": 48}, x=every, weight=[[WIDE], [LIMB], [1], [-1]], bias=[0] * 4
    )
    yield _case(
        "a weight and a bias of every length",
        "wide",
        {"shift": 49},
        x=[[WIDE], [LIMB - 1], [1]],
        weight=every,
        bias=_lengths(),
    )
    ties = np.array(_ties(48))
    yield _case(
        "ties: 2**24 times 2**24 and a rest",
        "tie",
        {"shift": 49},
        x=np.stack([ties >> 24, ties & LIMB - 1], 1),
        weight=[[LIMB, 1], [LIMB << 1, 2]],
        bias=[0, 1],
    )
    yield _case(
        "ties between terms",
        "tie",
        {"shift": 48},
        x=[[1 << 47 >> 1, 1], [-(1 << 46), 1]],
        weight=[[2, 0], [2, 1], [2, -1]],
        bias=[0, 5, -5],
    )
    full = np.full((1, 1 << 12), WIDE)
    yield _case("the longest sum of the largest", "extreme wide", {"shift": 59}, x=full, weight=full, bias=[0])
    low = np.full((1, 99), LIMB - 1)
    yield _case("a long sum, signs against", "extreme wide", {"shift": 54}, x=low - WIDE, weight=WIDE - low, bias=[0])
    yield _case("a sum of low limbs", "extreme wide", {"shift": 48}, x=low, weight=low, bias=[7])
    yield _case("a sum of low limbs below 0", "wide", {"shift": 48}, x=low - WIDE, weight=low, bias=[-7])
    for n in range(13):
        yield _case(f"sums of 2**{n} terms", "extreme wide", {"shift": 48 + n}, **_ends(1 << n), bias=[0, 0])
    clip = [[WIDE], [WIDE - 1], [-WIDE], [1 - WIDE]]
    yield _case("both clips, by the bias", "clip", {"shift": 48}, x=clip, weight=[[1 << 46], [0]], bias=[WIDE, -WIDE])
    edge = [[1 << 46], [-(1 << 46)]]
    yield _case(
        "one either side of each clip",
        "clip extreme",
        {"shift": 48},
        x=edge,
        weight=[[4], [-4], [4], [8], [-8]],
        bias=[WIDE - 1, WIDE, 1 - WIDE, 1 - WIDE, 1 - WIDE],
    )
    yield _case(
        "far beyond both clips",
        "clip",
        {"shift": 48},
        x=np.full((1, 9), WIDE),
        weight=np.full((2, 9), WIDE) * [[1], [-1]],
        bias=[0, 0],
    )
    yield _case("largest shift", "extreme", {"shift": 64}, x=low - WIDE, weight=low, bias=[3])
    yield _case(
        "no leading axis, one term", "axes degenerate", {"shift": 48}, x=[-5 << 40], weight=[[7 << 30]], bias=[1]
    )
    for k, shift in ((3, 50), (33, 52)):
        yield _case(
            f"random, K = {k}",
            "random axes",
            {"shift": shift},
            x=_random(k, (2, 2, k)),
            weight=_random(k + 1, (5, k)),
            bias=_random(k + 2, 5, 40),
        )


def matmul_wide() -> Iterator[Case]:
    """As linear_wide, without a bias."""
    column, row = np.array(CORNERS)[:, None], np.array(CORNERS)[None]
    yield _case("products of corners", "wide extreme", {"shift": 48}, a=column, b=row)
    yield _case("products of corners, clipped less", "wide extreme clip", {"shift": 47 + 3}, a=column, b=row)
    every = _lengths()[:, None]
    yield _case("a sum of every length", "wide", {"shift": 48}, a=every, b=[[WIDE, LIMB, 1, -1]])
    yield _case("a sum of every length of b", "wide", {"shift": 49}, a=[[WIDE], [LIMB - 1], [1]], b=every.T)
    ties = np.array(_ties(48))
    a = np.stack([ties >> 24, ties & LIMB - 1], 1)
    yield _case("ties", "tie", {"shift": 48}, a=a, b=[[LIMB, LIMB >> 1], [1, 0]])
    yield _case("ties of a larger shift", "tie", {"shift": 49}, a=a, b=[[LIMB, LIMB << 1], [1, 2]])
    full = np.full((1, 1 << 12), WIDE)
    yield _case("the longest sum", "extreme wide", {"shift": 59}, a=full, b=full.T)
    low = np.full((1, 99), LIMB - 1)
    yield _case("a sum of low limbs", "extreme wide", {"shift": 48}, a=low, b=low.T)
    yield _case("a sum of mixed limbs", "wide", {"shift": 53}, a=low - WIDE, b=low.T - LIMB)
    for n in range(13):
        x, weight = _ends(1 << n).values()
        yield _case(f"sums of 2**{n} terms", "extreme wide", {"shift": 48 + n}, a=x, b=weight.T)
    eight = np.full((8, 3), 1 << 46)
    near = np.concatenate([np.concatenate([eight, eight], 1), LIMB * np.array([[0, -1, -2, 1, 2, 3]])])
    yield _case("one either side of the high clip", "clip", {"shift": 48}, a=[[1 << 46] * 8 + [LIMB]], b=near)
    yield _case("one either side of the low clip", "clip", {"shift": 48}, a=[[-1 << 46] * 8 + [-LIMB]], b=near)
    yield _case("far beyond both clips", "clip", {"shift": 48}, a=[[WIDE] * 9], b=np.full((9, 2), WIDE) * [1, -1])
    yield _case("largest shift", "extreme", {"shift": 64}, a=low - WIDE, b=low.T)
    yield _case("one term", "degenerate", {"shift": 48}, a=[[-5 << 40]], b=[[7 << 30]])
    for k, shift in ((2, 49), (17, 51)):
        lead = (2, 3) if k == 2 else (2,)
        a, b = _random(k, (*lead, 3, k)), _random(k + 1, (*lead, k, 2))
        yield _case(f"random, K = {k}", "random axes", {"shift": shift}, a=a, b=b)


def add_wide() -> Iterator[Case]:
    """Terms of other scales, ties of their sum, both clips."""

    def added(why: str, flags: str, a: Any, b: Any, a_shift: int = 0, b_shift: int = 0, shift: int = 0) -> Case:
        return _case(why, flags, {"a_shift": a_shift, "b_shift": b_shift, "shift": shift}, a=a, b=b)

    corners = [WIDE, WIDE, -WIDE, -WIDE, WIDE, 0, 1]
    others = [WIDE, 1, -WIDE, -1, -WIDE, WIDE, WIDE - 1]
    yield added("both clips", "clip", corners, others)
    yield added("the largest terms", "extreme wide", corners, others, 14, 14, 15)
    yield added("the largest terms and the largest shift", "extreme wide", corners, others, 14, 14, 28)
    yield added("one term far finer", "tie", [1, 3, -1, -3, 5, -5, 0], [0, 0, 0, 0, 1, -1, -1], 0, 3, 1)
    yield added("the other far finer", "tie", [0, 0, 0, 0, 1, -1, -1], [1, 3, -1, -3, 5, -5, 0], 3, 0, 1)
    yield added("ties of 2**28", "tie", _ties(28), [0] * 12, 0, 0, 28)
    yield added(
        "ties of 4, two leading axes", "tie axes", np.array(_ties(2)).reshape(2, 1, 6), np.full((2, 1, 6), 4), 0, 0, 2
    )
    yield added("2**30", "extreme", [1 << 30, 0], [0, 1 << 30])
    yield added("one element, no leading axis", "degenerate axes", [5], [-7], 2, 1, 1)
    yield added("random", "random", _random(1, (3, 9)), _random(2, (3, 9)), 3, 5, 7)


def _falling(cells: int) -> np.ndarray:
    """Something like 2**-v: every cell a little lower, every power 2**-8 of the one before, signs alternating."""
    start = (1 << 48) - np.arange(cells)[:, None] * (1 << 48 - max(cells, 64).bit_length())
    return start >> 8 * np.arange(7)


def _signed(cells: int) -> np.ndarray:
    return _falling(cells) * np.array([1, -1] * 3 + [1])


def softmax_wide() -> Iterator[Case]:
    """Distances in every halving, cells and their edges, sums at their ends, masks."""

    def rows(why: str, flags: str, x: Any, mask: Any = None, table: Any = None, **attrs: int) -> Case:
        x = np.array(x, np.int64)
        x = x.reshape((1,) * (4 - x.ndim) + x.shape)
        mask = np.ones((x.shape[0], x.shape[3]), np.int64) if mask is None else mask
        attrs = {"multiplier": 1 << 46, "shift": 48, "fraction": 40, **attrs}
        return _case(why, flags, attrs, x=x, mask=mask, coefficients=_signed(32) if table is None else table)

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
    small = _random(13, (32, 7), 20) + (np.arange(7) == 0) * (1 << 24)
    near = np.add.outer([0, *(-n * step for n in range(1, 32))], [0, -4, -8])
    yield rows("cells at their edge: every product a half", "tie", near[:, None, None, :1].T, table=small)
    yield rows("cells near their edge", "tie", near.reshape(1, -1), table=small, fraction=44, multiplier=1 << 46)
    halves = _random(14, (32, 7), 44) + (np.arange(7) == 0) * (1 << 46)
    yield rows(
        "larger cells at their edge", "tie", near[:, 0].reshape(16, 1, 1, 2), np.ones((16, 2), np.int64), table=halves
    )
    totals = _random(19, 32, 46) + (3 << 46)
    totals[1:16] |= (1 << 17) - 1
    totals[0], totals[16:20] = 0, [(1 << 48) - 1, (1 << 47) + 1, 1 << 47, (1 << 48) - 2]
    pairs = np.stack([np.zeros_like(near[:, 0]), near[:, 0]], -1).reshape(32, 1, 1, 2)
    yield rows("sums of every kind", "random", pairs, table=_ONE * totals[:, None])
    yield rows("x of 2**30", "extreme", [1 << 30, 0])
    queries = -np.abs(_random(20, (1, 1, 99, 3), 42))
    yield rows("99 queries", "random axes", queries, table=halves)
    ones = _ONE
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
    yield rows("beyond a table of two cells", "degenerate", edges, table=_signed(2))
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
    yield rows("random", "random", _random(5, (2, 2, 2, 9), 45), [[1] * 9, [1] * 5 + [0] * 4], multiplier=WIDE - 5)


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
        np.concatenate([-1 << lengths, _random(16, (64, 5)) >> 48 - lengths], 1),
    )
    yield "64 rows of anything", "random", _random(17, (64, 7)) >> SplitMix64(18).integers(0, 40, (64, 1), "int64")
    yield "random, two leading axes", "random axes", _random(6, (2, 2, 5))
    yield "random, a long row", "random", _random(7, (2, 65), 44)


def layernorm_wide() -> Iterator[Case]:
    """The rows of a norm; epsilons that do and do not matter; gains, biases and both clips."""

    def rows(why: str, flags: str, x: Any, gain: Any = 1 << 47 >> 1, bias: Any = 0, **attrs: int) -> Case:
        x = np.array(x, np.int64)
        wide = {"gain": gain, "bias": bias}
        each = {k: np.broadcast_to(np.array(v, np.int64), x.shape[-1:]) for k, v in wide.items()}
        return _case(why, flags, {"eps": 0, "most": 48, "shift": 48, **attrs}, x=x, **each)

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


def l2_normalize_wide() -> Iterator[Case]:
    """The rows of a norm."""
    for why, flags, x in _norms():
        yield _case(why, flags, {}, x=x)
    yield _case("of length 1", "degenerate", {}, x=[[3 << 40, 4 << 40], [-(3 << 20), 4 << 20], [0, -1]])


def _function(extra: int) -> Iterator[Case]:
    """Both signs, edges of cells, beyond the table, the largest and least coefficients, every fraction."""
    for fraction in (6, 7, 20, 40, 46, 47):
        width = fraction - 5
        near = [(n << width) + d for n in (0, 1, 2, 3, 4) for d in (-2, -1, 0, 1, (1 << width - 1) - 1, 1 << width - 1)]
        x = [sign * min(abs(v), WIDE) for v in near for sign in (1, -1)]
        yield _case(
            f"edges of cells, fraction {fraction}", "extreme", {"fraction": fraction}, x=x, coefficients=_signed(3)
        )
    for fraction in (11, 47):
        x = [WIDE, -WIDE, 0, 1, -1, 1 << fraction - 6, -(3 << fraction - 6)]
        big = np.full((2, 7), 1 << 48)
        yield _case(
            f"largest coefficients, fraction {fraction}", "extreme wide", {"fraction": fraction}, x=x, coefficients=big
        )
        yield _case(
            f"least coefficients, fraction {fraction}", "extreme wide", {"fraction": fraction}, x=x, coefficients=-big
        )
        signs = big * np.array([1, -1, 1, -1, 1, -1, 1])
        yield _case(
            f"alternating coefficients, fraction {fraction}",
            "extreme wide",
            {"fraction": fraction},
            x=x,
            coefficients=signs,
        )
    constants = _ONE * np.array(_ties(48 - 20 if extra else 2))[:, None]
    for row in constants:
        yield _case(f"a tie, or beside it: {row[0]}", "tie", {"fraction": 20}, x=[[0, 5], [-3, 9]], coefficients=[row])
    lines = np.array([[0, 1, 0, 0, 0, 0, 0], [0, 3, 1 << 40, 0, 0, 0, 0], [5, -7, LIMB, -LIMB, 9, 1 << 30, -(1 << 47)]])
    t = [[v << 13 for v in (0, 1, 2, 3, 31)], [(v << 13) + (1 << 18) for v in (1, 7, 15, 17, 31)]]
    yield _case("ties of t, two leading axes", "tie axes", {"fraction": 23}, x=[t], coefficients=lines)
    edges = np.arange(64)
    anything, small = _random(11, (64, 7), 48), _random(12, (64, 7), 20)
    yield _case(
        "cells at their edge: every product a half", "tie", {"fraction": 47}, x=edges[:32] << 42, coefficients=anything
    )
    yield _case("cells at their quarters", "tie", {"fraction": 40}, x=(edges << 35) + (1 << 33), coefficients=anything)
    yield _case(
        "cells near their edge",
        "tie",
        {"fraction": 47},
        x=np.add.outer(edges[:32] << 42, [-1, 0, 1]).ravel()[1:],
        coefficients=small,
    )
    yield _case(
        "cells near their edge, to 44 bits",
        "tie",
        {"fraction": 44},
        x=np.add.outer(edges << 39, [0, 1, 2, 3]).ravel(),
        coefficients=small,
    )
    table = _random(9, (40, 7)) >> 5 * np.arange(7)
    yield _case("random, beyond 40 cells", "random", {"fraction": 30}, x=_random(8, (3, 11), 31), coefficients=table)
    yield _case(
        "every cell of the most", "extreme", {"fraction": 12}, x=np.arange(1026) << 7, coefficients=_signed(1024)
    )


def gelu_wide() -> Iterator[Case]:
    """Those of a function, and both clips."""
    yield from _function(1)
    big = _ONE * (1 << 48)
    yield _case("both clips", "clip", {"fraction": 47}, x=[WIDE, -5, 0, 1 << 41], coefficients=-big)
    yield _case("the low clip", "clip", {"fraction": 47}, x=[0, 1, -1, 1 << 40], coefficients=big)


def tanh_wide() -> Iterator[Case]:
    """Those of a function."""
    yield from _function(0)


def mean_pool_wide() -> Iterator[Case]:
    """Means on ties, none attended, extremes."""
    x = [[1, -1, 5], [2, -2, 6], [2, -2, -7], [9, 9, 9]]
    yield _case("halves and thirds", "tie", {}, x=[x, x, x], mask=[[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 1]])
    yield _case("none attended", "mask degenerate", {}, x=[[WIDE, -WIDE]], mask=[0])
    yield _case("one token, two leading axes", "axes", {}, x=[[[[WIDE, -WIDE, 7]]]], mask=[[[1]]])
    wide = np.tile([[WIDE, -WIDE]], (1 << 12, 1))
    yield _case("the longest sum", "extreme wide", {}, x=wide, mask=np.ones(1 << 12, np.int64))
    for n in range(12):
        ends = np.tile([[WIDE, -WIDE]], (1 << n, 1))
        yield _case(f"2**{n} tokens of the most", "extreme wide", {}, x=ends, mask=np.ones(1 << n, np.int64))
    yield _case("x of 2**30", "extreme", {}, x=[[1 << 30]], mask=[1])
    yield _case("a mask in the middle", "mask", {}, x=np.arange(12).reshape(6, 2) << 40, mask=[0, 1, 0, 1, 1, 0])
    yield _case("random", "random", {}, x=_random(3, (2, 7, 3)), mask=[[1] * 7, [0, 1, 1, 0, 1, 0, 1]])


CASES: dict[str, Generator] = {
    f.__name__: f
    for f in (
        linear_wide,
        matmul_wide,
        add_wide,
        softmax_wide,
        layernorm_wide,
        gelu_wide,
        tanh_wide,
        mean_pool_wide,
        l2_normalize_wide,
    )
}
_FAR, _SHORT = np.array([WIDE + 1]), np.ones((1, 7), np.int32)
_J6 = np.zeros((1, 6), np.int64)


def _long(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.int64)


_FUNCTION: dict[str, list[Broken]] = {
    "C1": [{"x": np.zeros(3, np.int32)}, {"coefficients": _SHORT}],
    "C2": [{"x": np.array(5)}, {"coefficients": _long(1025, 7)}, {"coefficients": _long(7)}],
    "C3": [{"x": _FAR}, {"coefficients": np.full((1, 7), (1 << 48) + 1)}],
    "C4": [{"fraction": 5}, {"fraction": 48}, {"fraction": None}],
    "C5": [{"coefficients": _J6}],
}
_SHIFTS: list[Broken] = [{"shift": 47}, {"shift": 65}, {"shift": None}]
REFUSED: dict[str, dict[str, list[Broken]]] = {
    "linear_wide": {
        "C1": [{"x": np.zeros((1, 1), np.int32)}],
        "C2": [
            {"x": _long(1, 2)},
            {"bias": _long(2)},
            {"x": _long(1, (1 << 12) + 1), "weight": _long(1, (1 << 12) + 1)},
        ],
        "C3": [{"x": _FAR[None]}, {"weight": -_FAR[None]}, {"bias": _FAR}],
        "C4": _SHIFTS,
    },
    "matmul_wide": {
        "C1": [{"a": np.zeros((1, 1), np.int32)}],
        "C2": [{"a": _long(1, 2)}, {"a": _long(1, (1 << 12) + 1), "b": _long((1 << 12) + 1, 1)}, {"b": _long(1, 1, 1)}],
        "C3": [{"a": _FAR[None]}, {"b": -_FAR[None]}],
        "C4": _SHIFTS,
    },
    "add_wide": {
        "C1": [{"a": np.zeros(7, np.int32)}],
        "C2": [{"a": _long(2)}],
        "C3": [{"a": np.repeat(_FAR, 7)}, {"b": -np.repeat(_FAR, 7)}],
        "C4": [{"a_shift": 15}, {"a_shift": -1}, {"b_shift": 15}, {"b_shift": -1}, {"shift": 29}, {"shift": -1}],
    },
    "softmax_wide": {
        "C1": [{"x": np.zeros((1, 1, 1, 19), np.int32)}, {"mask": np.ones((1, 19), bool)}, {"coefficients": _SHORT}],
        "C2": [
            {"x": _long(1, 1, 19)},
            {"mask": np.ones((1, 18), np.int8)},
            {"x": _long(1, 1, 1, 4097), "mask": np.ones((1, 4097), np.int8)},
            {"coefficients": _long(33, 7)},
        ],
        "C3": [
            {"x": np.full((1, 1, 1, 19), WIDE + 1)},
            {"mask": np.full((1, 19), 2, np.int8)},
            {"coefficients": np.full((1, 7), (1 << 48) + 1)},
        ],
        "C4": [*_SHIFTS, {"multiplier": -1}, {"multiplier": 1 << 47}, {"fraction": 23}, {"fraction": 45}],
        "C5": [{"coefficients": _J6}],
    },
    "layernorm_wide": {
        "C1": [{"x": np.zeros((1, 2), np.int32)}],
        "C2": [{"gain": _long(3)}, {"bias": _long(3)}, {"x": _long(1, 4097), "gain": _long(4097), "bias": _long(4097)}],
        "C3": [{"x": np.repeat(_FAR, 2)}, {"gain": np.repeat(_FAR, 2)}, {"bias": -np.repeat(_FAR, 2)}],
        "C4": [*_SHIFTS, {"eps": -1}, {"eps": (1 << 52) + 1}, {"most": -1}, {"most": 49}],
    },
    "gelu_wide": _FUNCTION,
    "tanh_wide": _FUNCTION,
    "mean_pool_wide": {
        "C1": [{"x": np.zeros((3, 4, 3), np.int32)}],
        "C2": [{"mask": np.ones((3, 3), np.int8)}, {"x": _long(4097, 1), "mask": np.ones(4097, np.int8)}],
        "C3": [{"x": np.full((3, 4, 3), WIDE + 1)}, {"mask": np.full((3, 4), 2, np.int8)}],
        "C4": [{"fraction": 1}],
    },
    "l2_normalize_wide": {
        "C1": [{"x": np.zeros(3, np.int32)}],
        "C2": [{"x": np.array(5)}, {"x": _long(4097)}],
        "C3": [{"x": _FAR}],
        "C4": [{"fraction": 1}],
    },
}
_ANY_BUT_0 = "where takes its first value for anything but 0"
_SHIFTED = "only differences of x count"
_BELOW = "any fill at or below every x leaves the maximum alone; a masked key counts for nothing"
_ATTEND = "attend = mask[:, None, None] if len(mask.shape) == 2 else mask[:, None]"
_SEEN = "seen = where(attend, x, -WIDE)"
_E = "e = where(attend, within(shift_half_up(mantissa, minimum(n, 62)), 0, 1 << 48), 0)"
_U = "u = mul_shift(within(max_along(seen, -1) - seen, 0, 2 * WIDE), multiplier, shift, 'floor')"
_P = "return {'p': within(mul_shift(e, r, 49 + s, 'half_up'), 0, WIDE)}"
_MISS = "miss = within((1 << 46) - mul_shift(v >> 14, mul_shift(h, h, 48, 'floor'), 48, 'floor'), -(1 << 18), 1 << 18)"
_LEAST = "they part where all attended are -WIDE: of a distance of 1 u is 0 as of 0, for multiplier < 2**shift"
_POSITIVE = "never negative"
_MAGNITUDE = "a magnitude has no sign"
_FULL = "a row's largest has 48 bits, so its square alone is 2**46; a row of zeros stays one"
_SQUARED = "a square has no sign"
_MIDDLE = "middle = 2 * sum_along(high * low, -1) + (sum_along(square(low), -1) >> BITS)"
_LIMBS = "high, low = (n >> BITS, n & LOW)"
_EPSILON = "epsilon = within(shift_half_up(eps, minimum(2 * within(most - k, 0, 48), 62)), 0, 1 << 52)"
_NO_EPSILON = "eps <= 2**52: 0 either way"
_SUMS_OF_SQUARES = {
    f"_squares: low -> -low in {_MIDDLE} #2": _SQUARED,
    "_squares: high -> -high in return within(sum_along(square(high), -1) + (middle >> BITS), 0, 1 << 60)": _SQUARED,
    "_over_root: v -> v - 1 in j = 62 - bitlen(v) >> 1": (
        "j differs for a power of 4 alone, whose root, inverse and product are exact at either j"
    ),
}
EQUIVALENT: dict[str, dict[str, str]] = {
    "linear_wide": {
        "-1 -> 1 in return {'y': saturate(_dot(x, swap(weight, -1, -2), shift) + bias, -WIDE, WIDE)}": (
            "weight has two axes: the last is axis 1"
        ),
    },
    "softmax_wide": {
        f"mask -> -mask in {_ATTEND}": _ANY_BUT_0,
        f"mask -> -mask in {_ATTEND} #2": _ANY_BUT_0,
        f"attend -> -attend in {_SEEN}": _ANY_BUT_0,
        f"attend -> -attend in {_E}": _ANY_BUT_0,
        f"x -> x + 1 in {_SEEN}": _SHIFTED,
        f"WIDE -> WIDE + 1 in {_SEEN}": _BELOW,
        f"62 -> 61 in {_E}": "mantissa <= 2**48: 0 either way",
        f"x -> x - 1 in {_SEEN}": _LEAST,
        f"WIDE -> WIDE - 1 in {_SEEN}": _LEAST,
        f"'floor' -> 'toward_zero' in {_U}": _POSITIVE,
        "_reciprocal: 'floor' -> 'toward_zero' in miss = within((1 << 47) - mul_shift(v, g << 16, 48, 'floor'), "
        "-(1 << 18), 1 << 18)": _POSITIVE,
        f"'half_up' -> 'half_away' in {_P}": _POSITIVE,
        "_piecewise: 0 -> -1 in return where(cell < cells, y, 0)": "a mantissa below 0 is clamped to 0",
    },
    "gelu_wide": {
        "x -> -x in tail = shift_half_up(_piecewise(absolute(x), coefficients, fraction), 48 - fraction)": _MAGNITUDE,
        "_piecewise: 0 -> -1 in return where(cell < cells, y, 0)": "half_up of -1/2 and of less is 0",
    },
    "tanh_wide": {
        "x -> -x in y = (1 << 46) - shift_half_up(_piecewise(absolute(x), coefficients, fraction), 2)": _MAGNITUDE,
        "_piecewise: 0 -> 1 in return where(cell < cells, y, 0)": "half_up of 1/4 is 0",
        "_piecewise: 0 -> -1 in return where(cell < cells, y, 0)": "half_up of -1/4 is 0",
    },
    "l2_normalize_wide": {
        "x -> -x in n = within(x << _room(x), 1 - (1 << 48), (1 << 48) - 1) #2": _MAGNITUDE,
        "n -> -n in return {'y': _over_root(n, maximum(_squares(n), 1 << 46))} #2": "a square has no sign",
        "1 << 46 -> 1 in return {'y': _over_root(n, maximum(_squares(n), 1 << 46))}": _FULL,
        "1 << 46 -> 46 in return {'y': _over_root(n, maximum(_squares(n), 1 << 46))}": _FULL,
        "1 << 46 -> 46 << 1 in return {'y': _over_root(n, maximum(_squares(n), 1 << 46))}": _FULL,
        "46 -> 45 in return {'y': _over_root(n, maximum(_squares(n), 1 << 46))}": _FULL,
        "_room: c -> -c in return 48 - bitlen(max_along(absolute(c), -1))": _MAGNITUDE,
        f"_inverse_root: 'floor' -> 'toward_zero' in {_MISS}": _POSITIVE,
        f"_inverse_root: 'floor' -> 'toward_zero' in {_MISS} #2": _POSITIVE,
        **_SUMS_OF_SQUARES,
        f"_squares: n -> n + 1 in {_LIMBS}": "n is even",
        f"_squares: LOW -> LOW - 1 in {_LIMBS}": "n is even",
        f"_inverse_root: v -> v + 1 in {_MISS}": "v is a multiple of 4",
    },
    "layernorm_wide": {
        "c -> -c in k = minimum(_room(c), most)": _MAGNITUDE,
        "n -> -n in unit = _over_root(n, maximum(_squares(n) + epsilon, 1 << 46)) #2": "a square has no sign",
        "_room: c -> -c in return 48 - bitlen(max_along(absolute(c), -1))": _MAGNITUDE,
        f"_inverse_root: 'floor' -> 'toward_zero' in {_MISS}": _POSITIVE,
        f"_inverse_root: 'floor' -> 'toward_zero' in {_MISS} #2": _POSITIVE,
        **_SUMS_OF_SQUARES,
        f"minimum(2 * within(most - k, 0, 48), 62) -> 2 * within(most - k, 0, 48) in {_EPSILON}": _NO_EPSILON,
        f"62 -> 61 in {_EPSILON}": _NO_EPSILON,
    },
    "mean_pool_wide": {
        "0 -> -1 in return {'y': within(mean, -WIDE, WIDE)[..., 0, :]}": "the axis that was summed has one element",
        "seen -> -seen in mean = div_half_up(sum_along(where(seen, x, 0), -2), "
        "maximum(sum_along(seen, -2), 1))": _ANY_BUT_0,
    },
}
_ABOVE_0 = ("half_away", "half_up by a division toward zero")
_MISSES = "the miss is within 2**18"
HARMLESS: dict[str, dict[str, str]] = {
    "layernorm_wide": {
        "rule toward_zero at rounding [34] of 6": _POSITIVE,
        "rule half_away at rounding 2 of 6": _POSITIVE,
        "rule half_up by a division toward zero at rounding 2 of 6": _POSITIVE,
        "difference 5 of 6: * to 32 bits": _MISSES,
    },
    "softmax_wide": {
        "rule toward_zero at rounding [19] of 10": _POSITIVE,
        **{f"rule {rule} at rounding {n} of 10": _POSITIVE for rule in _ABOVE_0 for n in (8, 10)},
        "difference 6 of 6: * to 32 bits": _MISSES,
    },
    "l2_normalize_wide": {
        "rule toward_zero at rounding [12] of 3": _POSITIVE,
        "difference 3 of 4: * to 32 bits": _MISSES,
    },
}
_SEVEN = {r"axis J: (1|2 modulo 4|4 modulo 8|8 modulo 16|16 modulo 32|a multiple of 32|odd, above 32)": "C5: J = 7"}
_DOUBLED = "twice a number is even"
_G = "g >= 2**30: what is not 0 has 31 bits or more"
_PRIMES = "2**61 - 1 is a prime, 2**61 + 1 is 3 times a prime: neither has a divisor in [2**30, 2**31)"
_ROOT = "the root is in [2**30, 2**31): only 2**30 divides 2**61, and leaves 2**31, which is even"
_INVERSE_ROOT = {
    r"_inverse_root: \(1 << 61\) // .* \| exact and odd, not negative": _ROOT,
    r"_inverse_root: \(1 << 61\) // .* \| one (above|below) exact, not negative": _PRIMES,
    r"_inverse_root: g \* miss \| (positive|negative), 1 to 24 bits": _G,
    r"_inverse_root: mul_shift\(h, h, 48, 'floor'\) \| floor: tie above (even|odd), not negative": (
        "h * h has an even number of twos, no 47"
    ),
    r"_over_root: v << 2 \* j \| shift \d*[13579]": _DOUBLED,
}
_SUM = "the largest |n| is 2**47 or more, so its high limb is 2**23 or more, or -2**23 or less"
_LESS = "the sum of squares is below 2**60: j is 1 or more"
_EVEN = "|x| < 2**47 is shifted left once or more: n and its low limb are even"
_HALVES = "the numbers sum to about 0: those of one sign and a full low limb sum to less than 2**59"
UNREACHABLE: dict[str, dict[str, str]] = {
    "gelu_wide": _SEVEN,
    "tanh_wide": _SEVEN,
    "softmax_wide": {
        **_SEVEN,
        r"axis C: odd, above 32": "C <= 32",
        r"_reciprocal: \(1 << 62\) // .* \| exact and odd, not negative": (
            "v >> 17 is in [2**30, 2**31): only 2**30 divides 2**62, and leaves 2**32, which is even"
        ),
        r"_reciprocal: g \* miss \| (positive|negative), (1 to 24|25 to 31) bits": (
            "g > 2**31: what is not 0 has 32 bits or more"
        ),
        r"(total >> s \| shift 13|mul_shift\(e, r, 49 \+ s, 'half_up'\) \| shift 62)": (
            "only 4096 keys of 2**48 sum to 2**60: nothing is dropped"
        ),
        r"shift_half_up\(mantissa, .* \| shift (5\d|6[012])": "2**48 is less than a half of 2**50",
    },
    "layernorm_wide": {
        **_INVERSE_ROOT,
        r"minimum\(2 \* within\(most - k, 0, 48\), 62\) \| (left is one (less|more)|result \d*[13579])": _DOUBLED,
        r"shift_half_up\(eps, .* \| shift \d*[13579]": _DOUBLED,
        r"shift_half_up\(eps, .* \| shift (5[468]|6[02])": "eps <= 2**52 is less than a half of 2**54",
        r"_squares: sum_along\(high \* low, -1\) \| (positive|negative), 60 bits": _HALVES,
        r"_squares: sum_along\(square\(high\), -1\) \| positive, 61 bits": (
            "the numbers sum to about 0, so they are not all -2**48 or so"
        ),
    },
    "l2_normalize_wide": {
        **_INVERSE_ROOT,
        r"_squares: sum_along\(square\(high\), -1\) \| positive, ([1-9]|[123]\d|4[0-6]) bits": _SUM,
        r"maximum\(_squares\(n\), 1 << 46\) \| left is one less": "the largest |n| is 2**47 or more, or all are 0",
        r"_over_root: (2 \* j \| zero|62 - bitlen\(v\) >> 1 \| result 0|bitlen\(v\) \| result 61)": _LESS,
        r"_over_root: (mul_shift\(n, r, 56 - j, 'half_up'\) \| shift 56|v << 2 \* j \| shift 0)": _LESS,
        r"_inverse_root: (v >> 14 \| one (above|below) exact|isqrt\(v\) \| one above a square, root of 31 bits).*": (
            "v is a multiple of 4, which n**2 + 1 never is"
        ),
        r"_squares: (n|sum_along\(square\(low\), -1\)) >> BITS \| one (above|below) exact, .*": _EVEN,
        r"_squares: sum_along\(high \* low, -1\) \| ((positive|negative), 1 bits|odd (above|below) .*)": _EVEN,
        r"_squares: sum_along\(square\(low\), -1\) \| (positive, [12] bits|odd above .*)": _EVEN,
    },
}
