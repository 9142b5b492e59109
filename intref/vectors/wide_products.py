"""Directed cases of the products and the sum of ops/wide.py: limbs that are full, empty or borrow, ties, clips."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref.ops.wide import WIDE
from intref.vectors.case import Case
from intref.vectors.wide_numbers import CORNERS, LIMB, case, random, ties


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
    yield case("every pair of corners", "wide extreme", {"shift": 48}, x=pairs[:, :1], weight=[[WIDE]], bias=[0])
    x, weight = pairs[:, :1], np.array(CORNERS)[:, None]
    yield case("products of corners", "wide extreme", {"shift": 52}, x=x[::12], weight=weight, bias=[0] * 12)
    every = _lengths()[:, None]
    yield case(
        "a sum of every length", "wide", {"shift": 48}, x=every, weight=[[WIDE], [LIMB], [1], [-1]], bias=[0] * 4
    )
    yield case(
        "a weight and a bias of every length",
        "wide",
        {"shift": 49},
        x=[[WIDE], [LIMB - 1], [1]],
        weight=every,
        bias=_lengths(),
    )
    near = np.array(ties(48))
    yield case(
        "ties: 2**24 times 2**24 and a rest",
        "tie",
        {"shift": 49},
        x=np.stack([near >> 24, near & LIMB - 1], 1),
        weight=[[LIMB, 1], [LIMB << 1, 2]],
        bias=[0, 1],
    )
    yield case(
        "ties between terms",
        "tie",
        {"shift": 48},
        x=[[1 << 47 >> 1, 1], [-(1 << 46), 1]],
        weight=[[2, 0], [2, 1], [2, -1]],
        bias=[0, 5, -5],
    )
    full = np.full((1, 1 << 12), WIDE)
    yield case("the longest sum of the largest", "extreme wide", {"shift": 59}, x=full, weight=full, bias=[0])
    low = np.full((1, 99), LIMB - 1)
    yield case("a long sum, signs against", "extreme wide", {"shift": 54}, x=low - WIDE, weight=WIDE - low, bias=[0])
    yield case("a sum of low limbs", "extreme wide", {"shift": 48}, x=low, weight=low, bias=[7])
    yield case("a sum of low limbs below 0", "wide", {"shift": 48}, x=low - WIDE, weight=low, bias=[-7])
    for n in range(13):
        yield case(f"sums of 2**{n} terms", "extreme wide", {"shift": 48 + n}, **_ends(1 << n), bias=[0, 0])
    clip = [[WIDE], [WIDE - 1], [-WIDE], [1 - WIDE]]
    yield case("both clips, by the bias", "clip", {"shift": 48}, x=clip, weight=[[1 << 46], [0]], bias=[WIDE, -WIDE])
    edge = [[1 << 46], [-(1 << 46)]]
    yield case(
        "one either side of each clip",
        "clip extreme",
        {"shift": 48},
        x=edge,
        weight=[[4], [-4], [4], [8], [-8]],
        bias=[WIDE - 1, WIDE, 1 - WIDE, 1 - WIDE, 1 - WIDE],
    )
    yield case(
        "far beyond both clips",
        "clip",
        {"shift": 48},
        x=np.full((1, 9), WIDE),
        weight=np.full((2, 9), WIDE) * [[1], [-1]],
        bias=[0, 0],
    )
    yield case("largest shift", "extreme", {"shift": 64}, x=low - WIDE, weight=low, bias=[3])
    yield case(
        "no leading axis, one term", "axes degenerate", {"shift": 48}, x=[-5 << 40], weight=[[7 << 30]], bias=[1]
    )
    for k, shift in ((3, 50), (33, 52)):
        yield case(
            f"random, K = {k}",
            "random axes",
            {"shift": shift},
            x=random(k, (2, 2, k)),
            weight=random(k + 1, (5, k)),
            bias=random(k + 2, 5, 40),
        )


def matmul_wide() -> Iterator[Case]:
    """As linear_wide, without a bias."""
    column, row = np.array(CORNERS)[:, None], np.array(CORNERS)[None]
    yield case("products of corners", "wide extreme", {"shift": 48}, a=column, b=row)
    yield case("products of corners, clipped less", "wide extreme clip", {"shift": 47 + 3}, a=column, b=row)
    every = _lengths()[:, None]
    yield case("a sum of every length", "wide", {"shift": 48}, a=every, b=[[WIDE, LIMB, 1, -1]])
    yield case("a sum of every length of b", "wide", {"shift": 49}, a=[[WIDE], [LIMB - 1], [1]], b=every.T)
    near = np.array(ties(48))
    a = np.stack([near >> 24, near & LIMB - 1], 1)
    yield case("ties", "tie", {"shift": 48}, a=a, b=[[LIMB, LIMB >> 1], [1, 0]])
    yield case("ties of a larger shift", "tie", {"shift": 49}, a=a, b=[[LIMB, LIMB << 1], [1, 2]])
    full = np.full((1, 1 << 12), WIDE)
    yield case("the longest sum", "extreme wide", {"shift": 59}, a=full, b=full.T)
    low = np.full((1, 99), LIMB - 1)
    yield case("a sum of low limbs", "extreme wide", {"shift": 48}, a=low, b=low.T)
    yield case("a sum of mixed limbs", "wide", {"shift": 53}, a=low - WIDE, b=low.T - LIMB)
    for n in range(13):
        x, weight = _ends(1 << n).values()
        yield case(f"sums of 2**{n} terms", "extreme wide", {"shift": 48 + n}, a=x, b=weight.T)
    eight = np.full((8, 3), 1 << 46)
    near = np.concatenate([np.concatenate([eight, eight], 1), LIMB * np.array([[0, -1, -2, 1, 2, 3]])])
    yield case("one either side of the high clip", "clip", {"shift": 48}, a=[[1 << 46] * 8 + [LIMB]], b=near)
    yield case("one either side of the low clip", "clip", {"shift": 48}, a=[[-1 << 46] * 8 + [-LIMB]], b=near)
    yield case("far beyond both clips", "clip", {"shift": 48}, a=[[WIDE] * 9], b=np.full((9, 2), WIDE) * [1, -1])
    yield case("largest shift", "extreme", {"shift": 64}, a=low - WIDE, b=low.T)
    yield case("one term", "degenerate", {"shift": 48}, a=[[-5 << 40]], b=[[7 << 30]])
    for k, shift in ((2, 49), (17, 51)):
        lead = (2, 3) if k == 2 else (2,)
        a, b = random(k, (*lead, 3, k)), random(k + 1, (*lead, k, 2))
        yield case(f"random, K = {k}", "random axes", {"shift": shift}, a=a, b=b)


def add_wide() -> Iterator[Case]:
    """Terms of other scales, ties of their sum, both clips."""

    def added(why: str, flags: str, a: Any, b: Any, a_shift: int = 0, b_shift: int = 0, shift: int = 0) -> Case:
        return case(why, flags, {"a_shift": a_shift, "b_shift": b_shift, "shift": shift}, a=a, b=b)

    corners = [WIDE, WIDE, -WIDE, -WIDE, WIDE, 0, 1]
    others = [WIDE, 1, -WIDE, -1, -WIDE, WIDE, WIDE - 1]
    yield added("both clips", "clip", corners, others)
    yield added("the largest terms", "extreme wide", corners, others, 14, 14, 15)
    yield added("the largest terms and the largest shift", "extreme wide", corners, others, 14, 14, 28)
    yield added("one term far finer", "tie", [1, 3, -1, -3, 5, -5, 0], [0, 0, 0, 0, 1, -1, -1], 0, 3, 1)
    yield added("the other far finer", "tie", [0, 0, 0, 0, 1, -1, -1], [1, 3, -1, -3, 5, -5, 0], 3, 0, 1)
    yield added("ties of 2**28", "tie", ties(28), [0] * 12, 0, 0, 28)
    yield added(
        "ties of 4, two leading axes", "tie axes", np.array(ties(2)).reshape(2, 1, 6), np.full((2, 1, 6), 4), 0, 0, 2
    )
    yield added("2**30", "extreme", [1 << 30, 0], [0, 1 << 30])
    yield added("one element, no leading axis", "degenerate axes", [5], [-7], 2, 1, 1)
    yield added("random", "random", random(1, (3, 9)), random(2, (3, 9)), 3, 5, 7)
