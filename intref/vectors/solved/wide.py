"""Solved cases of ops/wide.py: sums and limbs of every length, sums of squares beside squares, totals beside ties."""

from collections.abc import Iterator
from math import isqrt
from typing import Any

import numpy as np

from intref.ops.wide import WIDE
from intref.vectors.case import Case, Generator, SplitMix64

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


# Rows with their gains in which one unit more or less, somewhere inside, gives another y.
NORMS: tuple[tuple[str, tuple[int, ...], tuple[int, ...], dict[str, int]], ...] = (
    (
        "an epsilon at a tie",
        (99096516926931, -99096516926931, 100363544950204, -100363544950204),
        (110647988080327, 106129309085999, 129908042002764, 95990035831466),
        {"eps": 32, "most": 4},
    ),
    (
        "a sum of squares of 4**26 - 1",
        (130994824919117, -130994824919117, 109009430781955, -109009430781955),
        (93542993416928, 80613406648689, 132288989086971, 131200173244377),
        {"eps": 3678156442490851, "most": 1},
    ),
    (
        "a sum of squares of 4**25 - 1",
        (102404567797491, -102404567797491, 76966995616414, -76966995616414),
        (110937176787299, 132166180617385, 71525609317300, 110661008513324),
        {"eps": 659482206433612, "most": 1},
    ),
    (
        "a sum of squares one below a square",
        (130625238101258, -130625238101258, 118976130186603, -118976130186603),
        (75050423390653, 116554650413473, 132444616857359, 101112956592326),
        {"eps": 788829207398524, "most": 1},
    ),
    (
        "another sum of squares one below a square",
        (101686416269995, -101686416269995, 110511535644824, -110511535644824),
        (81803588007109, 90186374754406, 106405988256326, 121665753437304),
        {"eps": 521820544430261, "most": 1},
    ),
    (
        "full low limbs, not shifted",
        (106165518204927, -106165512605088, 86377379135487, -86377376688170, 133650268636641, -133650276683797),
        (82128337345241, 127744119993848, 76588339751442, 73224831961642, 139701538145951, 71772597124904),
        {"eps": 1 << 40, "most": 0},
    ),
    (
        "odd low limbs, not shifted",
        (87486353113087, -87486346945142, 135127163504669, -135127169672614),
        (137799537952239, 139693964616465, 134493505642676, 93657296648618),
        {"eps": 0, "most": 0},
    ),
    (
        "g * miss one above a multiple of 2**30, below 0",
        (65995152051142, -65995152051142),
        (79004524841568, 119454044933546),
        {"eps": 127388920966950, "most": 0},
    ),
    (
        "a middle sum one below a limb",
        (24210933853326, 33846336902002, 27570040995841, -1, -85627311751168),
        (98480740416588, 70882681479260, 138109649605989, 96616742701336, 106398213526344),
        {"eps": 0, "most": 1},
    ),
    (
        "another middle sum one below a limb",
        (34166467724843, 20327708228053, 16167045431297, -1, -70661221384192),
        (123807986553761, 138723188655338, 70928256247918, 91686939698776, 95573342087417),
        {"eps": 0, "most": 1},
    ),
    (
        "a power of two below 0 the largest",
        (-70368744177664, 43846392954268, 26522351223396),
        (80086445562275, 94630737088002, 86937344637142),
        {"eps": 120156274996729, "most": 2},
    ),
    (
        "times h * h just below a multiple of 2**48",
        (44848730038517, -44848730038517),
        (104063440753896, 114446156912989),
        {"eps": 254211381075748, "most": 0},
    ),
    (
        "n * r just below a tie",
        (59707331465681, -59707331465681),
        (120489767638139, 104661549276137),
        {"eps": 100317090961293, "most": 0},
    ),
    (
        "half of a limb and more is dropped of the low squares",
        (34266527320783, 12238229321009, 30771578404865, -1, -77276335046656),
        (123377942951624, 77461277669820, 90722853352972, 102726682309475, 104432181827989),
        {"eps": 0, "most": 1},
    ),
)


def layernorm_wide() -> Iterator[Case]:
    """Limbs of every length, long sums, epsilons that alone decide the root."""

    def rows(why: str, flags: str, x: Any, gain: Any = 1 << 46, bias: int = 0, **attrs: int) -> Case:
        x = _int64(x)
        tensors = {"x": x, "gain": np.full(x.shape[-1], gain, np.int64), "bias": np.full(x.shape[-1], bias)}
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
    stream = SplitMix64(51)
    half = WIDE - stream.integers(0, 1 << 20, MOST_TERMS // 2, "int64")
    longest = np.stack([half, -half], -1).ravel()
    gains = stream.integers(1 << 46, WIDE, MOST_TERMS, "int64")
    sum_of_squares = sum((2 * int(v)) ** 2 for v in longest) >> 48
    root = (1 << 30) + (63 << 7)
    for off in (-1, 1):
        eps = root**2 + off - sum_of_squares
        yield rows(
            f"a sum of squares of 61 bits, {off} beside a square", "extreme wide", longest, gains, eps=eps, most=1
        )
    yield rows("low squares one below 2**24", "wide", _squares_below(), eps=1 << 46, most=0)
    x = [[1 - LIMB, LIMB - 1]]
    yield rows("one beside a limb", "wide", x, eps=1 << 46, most=0)
    for sign in (1, -1):
        yield rows(f"a middle sum one below a limb, {sign}", "wide", _middle(sign), eps=1 << 46, most=1)
    yield rows("one below the lowest", "clip", [1, -1], 4, -WIDE)
    yield rows("gain and bias 2**30", "extreme", [5, -5, 1], 1 << 30, 1 << 30)
    for why, sum_ in SUMS.items():
        yield rows(f"epsilon alone: {why}", "tie", [7, 7, 7], eps=sum_)
    for end, place in (("first", 0), ("last", 511)):
        yield rows(f"the {end} is the outlier of 512", "extreme", WIDE * (np.arange(512) == place))
    for why, row, gain, attrs in NORMS:
        tensors = {"x": _int64(row), "gain": _int64(gain), "bias": np.zeros(len(row), np.int64)}
        yield Case(why, tensors, {"shift": 48, **attrs}, ("tie",))


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


# Rows in which one unit more or less, somewhere inside, gives another y.
LENGTHS = {
    "one below a square": (-70368744177664, 60124486855864),
    "another one below a square": (-70368744177664, 38852200286554),
    "one below a square, a power of two below 0 the largest": (-70368744177664, 25857676911640),
    "a sum of squares of 4**25 - 1": (
        130554877906431,
        136456465025763,
        129008183790078,
        134035147262153,
        94629209736594,
    ),
    "the middle sum one below a limb": (7939643753104, -3798884237968, 27393452408833, -1, 83569384882176),
    "another middle sum one below a limb": (-26271903355450, 26609830040122, 8669970300929, -1, 115793719197696),
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
    for why, row in LENGTHS.items():
        yield rows(why, "tie", row)


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


# Exponentials, one for each key, in which one unit more or less in the reciprocal gives another p.
KEYS = {
    "a total of 2**49 - 1": (267668876688378, 146755626840810, 148525449892123),
    "g * miss one below a multiple of 2**31": (142030386939922, 69082497913041),
    "the product of the first just below a tie": (14645859654188, 71538082387330, 71538082387330),
}


def _cells(why: str, exponentials: tuple[int, ...]) -> Case:
    """Each key in a cell of its own, which holds its exponential."""
    table = np.zeros((len(exponentials), 7), np.int64)
    table[:, 0] = exponentials
    x = -np.arange(len(table)).reshape(1, 1, 1, -1) << 21
    tensors = {"x": x, "mask": np.ones((1, len(table)), np.int8), "coefficients": table}
    return Case(why, tensors, {"multiplier": 1 << 46, "shift": 48, "fraction": 24}, ("tie",))


def softmax_wide() -> Iterator[Case]:
    """Totals of every length, distances of every power of two, totals that were solved for."""

    def rows(why: str, flags: str, x: Any, coefficients: Any, **attrs: int) -> Case:
        x = _int64(x).reshape(1, 1, 1, -1)
        table = np.zeros((1, 7), np.int64)
        table[0, : len(coefficients)] = coefficients
        tensors = {"x": x, "mask": np.ones((1, x.size), np.int8), "coefficients": table}
        return Case(why, tensors, {"multiplier": 1 << 46, "shift": 48, "fraction": 24, **attrs}, (*flags.split(),))

    for keys in (300, 600, 1200, 2400):
        yield rows(f"{keys} keys of 2**48 - 1", "extreme wide", [0] * keys, [ONE - 1])
    for most in (ONE, ONE - 1):
        yield rows(f"{most} halved up to 62 times", "extreme", [-n << 26 for n in range(63)], [most])
    for least in (4, 16):
        yield rows(f"a sum of {least}", "extreme", [0], [least])
    yield rows("a mantissa one above the most", "clip", [0], [ONE, -2])
    yield rows("a sum one below the least", "tie", [0], [(1 << 47) - 1])
    for why, total in TOTALS.items():
        yield rows(f"one key: {why}", "tie", [0], [total])
    for why, exponentials in KEYS.items():
        yield _cells(why, exponentials)


def _tables(rows: int) -> Case:
    x = _int64([5, -(1 << 20), 1 << 41, (rows - 1) << 39])
    coefficients = np.arange(7 * rows).reshape(rows, 7) << 30
    return Case(f"{rows} cells", {"x": x, "coefficients": coefficients}, {"fraction": 44}, ("axes",))


def gelu_wide() -> Iterator[Case]:
    """Tables of other sizes; a tie below 0 of the first product, which the last one still shows."""
    yield from map(_tables, (33, 48))
    coefficients = _int64([[1724864, -1545547, -1031111, -1725703, -1269245, -127277, 1483911]])
    yield Case("a first product at a tie", {"x": _int64([0]), "coefficients": coefficients}, {"fraction": 47}, ("tie",))


def tanh_wide() -> Iterator[Case]:
    """Tables of other sizes."""
    yield from map(_tables, (33, 48))


SOLVED: dict[str, Generator] = {
    f.__name__: f for f in (layernorm_wide, l2_normalize_wide, softmax_wide, gelu_wide, tanh_wide)
}
