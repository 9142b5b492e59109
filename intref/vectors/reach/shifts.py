"""Every shift, one by one: small, inexact results that no clip hides, at ties of both signs and parities and beside.

Shifts lie along the channels where the op has a shift for each of them; where it has one alone, it has a case for each.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from intref.ops.rescale import RULES
from intref.vectors.case import Case, Generator
from intref.vectors.operands import M31, rescale_case
from intref.vectors.reach.norms import squares
from intref.vectors.reach.sweeps import fill
from intref.vectors.uneven import STEEP

EXACT = RULES[:-3]
HALVES = (-5, -3, -2, -1, 0, 1, 2, 3, 5)  # results, in half units
LOWEST = -(1 << 31)
END = 1 << 62
ENDS = tuple(s << p for p in (60, 61) for s in (1, -1))  # half of 2**61, and 2**61
TOP = (1 << 15) - 1  # of e16


def _case(why: str, flags: str, attrs: dict[str, Any], **tensors: tuple[Any, str]) -> Case:
    made = {name: np.array(value, np.int64).astype(dtype) for name, (value, dtype) in tensors.items()}
    return Case(why, made, attrs, (*flags.split(),))


def _grid(shifts: Sequence[int], factors: Sequence[int], end: int, unit: int = 1) -> list[list[int]]:
    """[rows shifts]: x with x * factor / 2**shift a number of half units, and the x beside it, inside [-end, end].

    unit: what the quotient is divided by beyond that.
    """
    return [
        [min(max((half * unit << shift >> 1) // factor + d, -end), end) for shift, factor in zip(shifts, factors)]
        for half in HALVES
        for d in (-1, 0, 1)
    ]


def _powers(shifts: Sequence[int], whole: int) -> list[int]:
    """The power of two above 2**whole that a multiplier takes, so that x keeps to `whole` bits of a half unit."""
    found = [max(shift - 1 - whole, 0) for shift in shifts]
    return [1 << power if power <= 30 else LOWEST for power in found]


def rescale() -> Iterator[Case]:
    narrow = [*range(62), *range(2, 31)]  # by a multiplier as large as the shift allows, then by 1: parts of a half
    factors = [1 << min(30, max(shift - 1, 0)) for shift in range(62)] + [1] * 29
    for i, rule in enumerate(EXACT):
        zero = (11 - 6 * (i % 4), 5 * (i % 3) - 7)
        x = np.array(_grid(narrow, factors, M31 - 20)) + zero[0]
        yield rescale_case(f"{rule}, int32: every shift seen", "tie", x, factors, narrow, rule, zero=zero)
        wide = _powers(range(31, 95), 60)
        x = np.array(_grid(range(31, 95), wide, END))
        yield rescale_case(f"{rule}, int64: every shift seen", "tie wide", x, wide, range(31, 95), rule, "int64")
        ends = [base + d * (1 << p) for p in range(60) for base in ENDS for d in (1, -1)]
        yield rescale_case(f"{rule}: one dropped bit at every place", "tie wide", ends, 1, 61, rule, "int64")
    yield from _doubles(narrow, factors)


def _doubles(narrow: Sequence[int], factors: list[int]) -> Iterator[Case]:
    for rule, first in (("gemmlowp_double", 0), ("tosa_double", 2)):
        x = np.array([row[first:62] for row in _grid(narrow, factors, M31 - 20)]) + 9
        why = f"{rule}: every shift seen"
        yield rescale_case(why, "tie", x, factors[first:62], narrow[first:62], rule, zero=(9, -3))
    shifts = [*range(32, 63)]
    for s in (1, -1):
        zero = s * (1 << 30) + s
        row = [zero - s * (1 << shift - 31) if shift < 62 else zero for shift in shifts]
        why = f"tosa_double: x {'above' if s > 0 else 'below'} zero on the other side of the zero point, ties"
        yield rescale_case(why, "tie extreme", row, 1 << 30, shifts, "tosa_double", zero=(zero, 0))


def add() -> Iterator[Case]:
    shifts = range(95)
    factors = _powers(shifts, 27)
    a = np.array(_grid(shifts, factors, M31 - 1))
    for rule in EXACT:
        yield _case(
            f"{rule}: every shift of either term seen",
            "tie",
            {"rounding": rule, "output": "int8"},
            a=(a, "int32"),
            b=(a[::-1, ::-1], "int32"),
            a_multiplier=(factors, "int32"),
            a_shift=(shifts, "int8"),
            b_multiplier=(factors[::-1], "int32"),
            b_shift=(shifts[::-1], "int8"),
        )


GUARDS = (126, 129)  # a bias that a quotient of 2, or one of -1, takes to half a unit


def _tokens(residual: bool) -> Iterator[Case]:
    for exponent, mantissa, power, first, last in ((0, 1, 0, 0, 31), (5, 1 << 14, 15, 29, 63)):
        shifts = [k for k in range(first, last) for _ in GUARDS]
        factors = [mantissa << power] * len(shifts)
        x = np.array(_grid([s + 1 for s in shifts], [2 * f for f in factors], M31))
        tensors: dict[str, tuple[Any, str]] = {
            "x": (x, "int32"),
            "mantissa": (np.full((len(x), 1), mantissa), "int16"),
            "exponent": (np.full((len(x), 1), exponent), "int8"),
            "multiplier": (np.full(len(shifts), 1 << power), "int32"),
            "shift": ([s + exponent for s in shifts], "int8"),
            "bias": ([*GUARDS] * (len(shifts) // 2), "int64"),
        }
        if residual:
            tensors |= {"residual": (0 * x, "int32"), "residual_multiplier": ([1], "int32")}
            tensors |= {"residual_shift": ([0], "int8")}
        yield _case(f"every shift from {first} to {last - 1} seen", "tie", {"output": "int8"}, **tensors)


def rescale_token() -> Iterator[Case]:
    yield from _tokens(False)


def rescale_token_residual() -> Iterator[Case]:
    yield from _tokens(True)
    for shift in range(54):
        power = max(shift - 22, 0)
        factor = 1 << power if power < 31 else M31
        column = np.array(_grid([shift], [factor], 1 << 23)).ravel()
        residual = np.repeat(column, 2)[None]
        none, width = np.zeros_like(residual), residual.shape[1]
        yield _case(
            f"residual shift {shift} seen",
            "tie",
            {"output": "int8"},
            x=(none, "int32"),
            mantissa=([[1]], "int16"),
            exponent=([[0]], "int8"),
            multiplier=(np.ones(width, np.int64), "int32"),
            shift=(np.zeros(width, np.int64), "int8"),
            bias=([*GUARDS] * (width // 2), "int64"),
            residual=(residual, "int32"),
            residual_multiplier=([factor], "int32"),
            residual_shift=([shift], "int8"),
        )


def rescale_quotient() -> Iterator[Case]:
    shifts = range(1, 39)
    factors = [1 << min(shift - 1, 24) for shift in shifts]
    totals = (1, 3, 1000)
    x = np.array([_grid(shifts, factors, 1 << 30, total) for total in totals]).transpose(2, 0, 1)
    yield _case(
        "every shift seen",
        "tie",
        {"output": "int8"},
        x=(x, "int32"),
        total=(fill(totals, (38, 3), "int32")[..., None], "int32"),
        multiplier=(factors, "int32"),
        shift=(shifts, "int8"),
    )


def softmax_ibert() -> Iterator[Case]:
    for shift in range(1, 94):
        for halves in (5, 7) if shift > 30 else (24693, 24695):
            row, c, multiplier = _small(shift, halves) if shift > 30 else ([0, shift - 31, -31], _beside(halves), 1)
            x, mask = np.array(row).reshape(1, 1, 1, 3), np.ones((1, 3), np.int64)
            attrs = {"ln2": 1, "b": 1, "c": c, "multiplier": multiplier, "shift": shift}
            yield _case(f"shift {shift} seen, {halves} halves", "tie", attrs, x=(x, "int32"), mask=(mask, "int8"))


def _small(shift: int, halves: int) -> tuple[list[int], int, int]:
    """Keys, c and a multiplier: a first e16 of so many halves before it is rounded, less where c reaches no further."""
    if shift > 91:
        return [0, -1, -2], 1 << 32, halves - 4 << 29 if shift == 92 else M31 - (halves == 5)
    return [0, -1, -2], 1 << min(shift - 31, 32), halves << max(shift - 63, 0)


def softmax_exp2() -> Iterator[Case]:
    factors = [min(1 << max(shift - 20, 0), 1 << 30) if shift < 62 else M31 for shift in range(63)]
    heads = [
        [min((u << shift) // factor + d, 1 << 31) for u in (1, 2, 300, 301) for d in (-1, 0, 1)]
        for shift, factor in enumerate(factors)
    ]
    x = (1 << 30) - np.array([[0, *row] for row in heads])
    yield _case(
        "every shift seen",
        "tie",
        {},
        x=(x[None, :, None], "int32"),
        mask=(np.ones((1, x.shape[1]), np.int64), "int8"),
        multiplier=(factors, "int32"),
        shift=(range(63), "int8"),
        table=(STEEP, "int32"),
    )
    row = [0, *(-(n << 16) - (n < 31 and 256) for n in range(32))]  # 2**30 first and at 31 halvings
    yield _case(
        "an odd mantissa halved up to 31 times",
        "tie",
        {},
        x=([[[row]]], "int32"),
        mask=(np.ones((1, len(row)), np.int64), "int8"),
        multiplier=([1], "int32"),
        shift=([0], "int8"),
        table=([1 << 30, *[(1 << 30) - 1] * 256], "int32"),
    )


def _beside(halves: int) -> int:
    """An odd number of half units near `halves`, whose half above is the least e16 of its p beside one at its limit."""
    e16 = halves + 1 >> 1
    while _p(e16) == _p(e16 - 1):
        e16 += 2
    return 2 * e16 - 1


def _p(e16: int) -> int:
    """The probability of a key beside one at its limit."""
    return e16 * ((1 << 32) // (TOP + e16)) >> 24


def layernorm_fixed() -> Iterator[Case]:
    for shift in range(1, 61):
        bias = np.ravel(_grid([shift], [1], 1 << 60)).tolist()
        x = [[0] * len(bias), [(1 - 2 * (i % 2)) * (i * 37 + 5) for i in range(len(bias))]]
        attrs = {"eps": 0, "shift": shift, "low": LOWEST, "high": M31}
        gain = [1 << max(shift - 27, 0)] * len(bias)
        gain[-1] = M31
        yield _case(f"shift {shift} seen", "tie", attrs, x=(x, "int32"), gain=(gain, "int32"), bias=(bias, "int64"))


def layernorm_ibert() -> Iterator[Case]:
    for shift in range(17):
        rows = [[v << shift, -v << shift] for v in (1, 2, 3, 5)]
        given: dict[str, tuple[Any, str]] = {"x": (rows, "int32"), "bias": (np.zeros(2, np.int64), "int64")}
        yield _case(f"{shift} bits dropped, a small root", "square", {"shift": shift}, **given)


def gelu_table() -> Iterator[Case]:
    for fraction in range(6, 24):
        k = fraction - 6
        entries = [((i % 32) << max(18 - k, 0) >> 1) + (i // 32 % 3 - 1 if k < 17 else 0) for i in range(513)]
        entries = [min(max(v, 0), 1 << 22) for v in entries]
        x = [s * ((i << k) + r) for i in range(63) for r in {0, (1 << k) - 1} for s in (1, -1)]
        attrs = {"fraction": fraction}
        yield _case(f"{fraction} fraction bits, ties", "tie", attrs, x=(x, "int32"), table=(entries, "int32"))


def l2_normalize() -> Iterator[Case]:
    for fraction in range(1, 27):
        total, odd = 4 << 2 * fraction, list[int]()
        for v in (1, -3, 5, -7, 9, -1, 3):
            if v * v <= total:
                odd, total = [*odd, v], total - v * v
        row = [*odd, *squares(total, 23)]
        attrs = {"fraction": fraction}
        yield _case(f"{fraction} fraction bits, ties", "tie", attrs, x=([row, [-v for v in row]], "int32"))


_MADE = (rescale, add, rescale_token, rescale_token_residual, rescale_quotient, softmax_ibert, softmax_exp2)
REACH: dict[str, Generator] = {
    f.__name__: f for f in (*_MADE, layernorm_fixed, layernorm_ibert, gelu_table, l2_normalize)
}
