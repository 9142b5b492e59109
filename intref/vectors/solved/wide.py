"""Solved cases of ops/wide.py: sums and limbs of every length, sums of squares beside squares, totals beside ties."""

from collections.abc import Iterator
from math import isqrt
from typing import Any

import numpy as np

from intref.ops.wide import WIDE
from intref.vectors.case import Case, Generator

LIMB = 1 << 24
ONE = 1 << 48
MOST_TERMS = 1 << 12


def _int64(values: Any) -> np.ndarray:
    return np.asarray(values, np.int64)


def _balanced(terms: int, sign: int) -> list[int]:
    """A row that sums to 0: `terms` numbers whose low limb is full once they are doubled, as many whose is empty."""
    full = WIDE if sign > 0 else LIMB - 1 - (1 << 47)
    empty = -sign * ((1 << 47) - (LIMB >> 1))
    return [full] * terms + [empty] * terms + [-terms * (full + empty)]


def _full(terms: int) -> list[int]:
    """A row that sums to 0: twice `terms` numbers whose low limb is full once they are doubled."""
    high = (1 << 23) - 3 << 23
    full, below = high + (LIMB >> 1) - 1, (LIMB >> 1) - 1 - high - LIMB
    return [full] * terms + [below] * terms + [-terms * (full + below)]


def _limbs(k: int) -> list[list[int]]:
    """Rows that, shifted left by k, have products of limbs +-2**k and squares of the low limb 4**k and 2 * 4**k."""
    one = LIMB >> k
    rows = [[one + 1, -one], [1 - one, one], [one + 1, one + 1, -2 * one], [1 - one, 1 - one, 2 * one]]
    return [row + [0] * (8 - len(row)) for row in rows]


def _squares_below() -> list[int]:
    """A row of numbers that sum to 0, whose squares sum to 2**24 - 1."""
    left, row = LIMB // 2 - 1, [1]  # each number comes with its negative; 1 stands alone
    while left:
        root = isqrt(left)
        left -= root * root
        row += [root, -root]
    return [*row, *[0] * 8]


def _middle(sign: int) -> list[int]:
    """High limbs and low ones of numbers that sum to 0, whose middle sum is one below a multiple of 2**24."""
    for low in range(2, 1 << 16, 2):
        squares = low**2 + (LIMB - low) ** 2 + 4 + (LIMB - 2) ** 2 >> 24
        a, b = sign << 20, sign << 19
        left = (-1 - squares - 2 * low * (a - b + 1) - 4) % LIMB
        if left % 4 == 0:
            c = left // 4
            n = [(a << 24) + low, (b << 24) - low, (c << 24) + 2, -2]
            return [v // 2 for v in (*n, -sum(n))]
    raise AssertionError


def layernorm_wide() -> Iterator[Case]:
    """Limbs of every length, long sums, epsilons that alone decide the root."""

    def rows(why: str, flags: str, x: Any, gain: int = 1 << 46, bias: int = 0, **attrs: int) -> Case:
        x = _int64(x)
        tensors = {"x": x, "gain": np.full(x.shape[-1], gain), "bias": np.full(x.shape[-1], bias)}
        return Case(why, tensors, {"eps": 0, "most": 48, "shift": 48, **attrs}, (*flags.split(),))

    for k in range(24):
        yield rows(f"limbs of {k + 1} bits", "wide", _limbs(k), eps=1 << 46, most=k)
    for terms in (16, 32, 64, 128, 256, 512, 1024):
        x = [_balanced(terms, 1), _balanced(terms, -1)]
        if terms == 1024:
            x += [[v >> down for v in [WIDE] * (2 * terms + 1)] for down in (0, 1, 3)]
            x += [[-WIDE] * (2 * terms + 1)]
        yield rows(f"{terms} full limbs", "extreme wide", x)
    yield rows("4094 full limbs", "extreme wide", [_balanced(2047, -1), _full(2047)])
    yield rows("the sum of squares is of a row's epsilon alone", "tie", [7, 7], eps=(1 << 46) - 1)
    yield rows("an epsilon one above the least", "tie", [7, 7], eps=(1 << 46) + 1)
    longest = np.tile([WIDE, -WIDE], MOST_TERMS // 2)
    sum_of_squares = MOST_TERMS * (2 * WIDE) ** 2 >> 48
    root = (1 << 30) + (1 << 13)
    for off in (-1, 1):
        eps = root**2 + off - sum_of_squares
        yield rows(f"a sum of squares of 61 bits, {off} beside a square", "extreme wide", longest, eps=eps, most=1)
    yield rows("low squares one below 2**24", "wide", _squares_below(), eps=1 << 46, most=0)
    x = [[1 - LIMB, LIMB - 1]]
    yield rows("one beside a limb", "wide", x, eps=1 << 46, most=0)
    for sign in (1, -1):
        yield rows(f"a middle sum one below a limb, {sign}", "wide", _middle(sign), eps=1 << 46, most=1)
    yield rows("one below the lowest", "clip", [1, -1], 4, -WIDE)
    yield rows("gain and bias 2**30", "extreme", [5, -5, 1], 1 << 30, 1 << 30)
    for why, sum_ in SUMS.items():
        yield rows(f"epsilon alone: {why}", "tie", [7, 7, 7], eps=sum_)


def _of_sum(v: int) -> list[int]:
    """A row, of even numbers halved, whose squares sum to v * 2**48 rounded down; v >= 2**46."""
    first = isqrt(v << 48) & -2
    second = isqrt((v << 48) - first**2) + 2 & -2  # above the root: the floor of the sum is v
    return [first >> 1, second >> 1]


# Sums of squares, times 2**14 in the root, that random ones do not meet.
SUMS = {
    "g * miss is one above a multiple of 2**30": 158333359318225,
    "g * miss is one above a multiple of 2**30, below 0": 158335615732861,
    "g * miss is one below a multiple of 2**30": 158337489147883,
    "g * miss is one below a multiple of 2**30, below 0": 158333359608252,
    "g * miss is an odd multiple of 2**30, below 0": 125099989765687,
    "times h * h one below a tie": 125099989590935,
    "times h * h a tie above odd": 125099989590936,
    "times h * h a tie above even": 125099989590952,
}


def l2_normalize_wide() -> Iterator[Case]:
    """Limbs of every length, long sums of both signs, sums of squares that were solved for."""

    def rows(why: str, flags: str, x: Any) -> Case:
        return Case(why, {"x": _int64(x)}, {}, (*flags.split(),))

    low = 1 << np.arange(23)
    for sign in (1, -1):
        x = np.stack([np.full(23, 1 << 46), sign * (LIMB >> 1) + low, low * (sign < 0)], -1)
        yield rows(f"limbs of every length, {sign}", "wide", x)
    x = np.full((2, MOST_TERMS), WIDE)
    x[1] = -x[1]
    yield rows("4096 of the most", "extreme wide", x)
    for bits in (10, 11, 12):
        yield rows(f"2**{bits} full limbs below 0", "extreme wide", np.full(1 << bits, LIMB - 1 - (1 << 47)))
    for sign in (1, -1):
        yield rows(f"a middle sum one below a limb, {sign}", "wide", [*_middle(sign), 1 << 46, -(1 << 46)])
    yield rows("times 2**14 the square of 3 * 2**29 + 1, less 1", "square", [(3 << 45) + (1 << 16)])
    for why, sum_ in SUMS.items():
        yield rows(why, "tie", _of_sum(sum_))


# Totals of 48 bits, whose reciprocals random ones do not meet.
TOTALS = {
    "an odd multiple of 2**17": ((1 << 30) + 1) << 17,
    "its upper bits divide 2**62 + 1": 2147418113 << 17,
    "g * miss is one above a multiple of 2**31": 211114310260712,
    "g * miss is one above a multiple of 2**31, below 0": 211112884948171,
    "g * miss is one below a multiple of 2**31": 211112884852963,
    "g * miss is one below a multiple of 2**31, below 0": 211113369233169,
    "g * miss is an odd multiple of 2**31": 211109453783041,
    "g * miss is an odd multiple of 2**31, below 0": 211107037940737,
    "times g at a tie above even": 211107037904896,
    "times g one below a tie": 211107037904895,
    "times g at a tie above odd": 211109453807616,
}


def softmax_wide() -> Iterator[Case]:
    """Totals of every length, distances of every power of two, totals that were solved for."""

    def rows(why: str, flags: str, x: Any, coefficients: Any, **attrs: int) -> Case:
        x = _int64(x).reshape(1, 1, 1, -1)
        table = np.zeros((1, 7), np.int64)
        table[0, : len(coefficients)] = coefficients
        tensors = {"x": x, "mask": np.ones((1, x.size), np.int8), "coefficients": table}
        return Case(why, tensors, {"multiplier": 1 << 46, "shift": 48, "fraction": 24, **attrs}, (*flags.split(),))

    for keys in (300, 600, 1200, 2400):
        x = np.zeros(keys)
        yield rows(f"{keys} keys of 2**48 - 1", "extreme wide", x, [ONE - 1])
    for most in (ONE, ONE - 1):
        yield rows(f"{most} halved up to 62 times", "extreme", [-n << 26 for n in range(63)], [most])
    for least in (4, 16):
        yield rows(f"a sum of {least}", "extreme", [0], [least])
    yield rows("a mantissa one above the most", "clip", [0], [ONE, -2])
    yield rows("a sum one below the least", "tie", [0], [(1 << 47) - 1])
    for why, total in TOTALS.items():
        yield rows(f"one key: {why}", "tie", [0], [total])


def _tables(rows: int) -> Case:
    x = _int64([5, -(1 << 20), 1 << 41, (rows - 1) << 39])
    coefficients = np.arange(7 * rows).reshape(rows, 7) << 30
    return Case(f"{rows} cells", {"x": x, "coefficients": coefficients}, {"fraction": 44}, ("axes",))


def gelu_wide() -> Iterator[Case]:
    """Tables of other sizes."""
    yield from map(_tables, (33, 48))


def tanh_wide() -> Iterator[Case]:
    """Tables of other sizes."""
    yield from map(_tables, (33, 48))


SOLVED: dict[str, Generator] = {
    f.__name__: f for f in (layernorm_wide, l2_normalize_wide, softmax_wide, gelu_wide, tanh_wide)
}
