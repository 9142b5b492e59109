"""Coefficients of the wide functions: Taylor polynomials of degree 6 about the middle of every cell of 1/32.

In decimal arithmetic of 40 digits; rounded to 2**-48 at the end. Each row's t runs from -1/2 to 1/2 of the cell, so
what is left out is below max |f(7)| / 7! / 64**7 = max |f(7)| * 2**-54.3: 2**-57 of 2**-v, 2**-48 of v * Phi(-v), and
2**-46 of 1 - tanh(v).
"""

from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from functools import cache
from typing import Any

import numpy as np

from intref.ops.wide import DEGREE

Array = np.ndarray[Any, Any]
Taylor = Callable[[Decimal], list[Decimal]]  # about a point: the coefficients of powers 0..6
CELL = 32
DIGITS = 40
PI = Decimal("3.14159265358979323846264338327950288419716939937510582")


def _table(taylor: Taylor, cells: int) -> Array:
    """int64 [cells 7] at scale 2**-48."""
    with localcontext() as context:
        context.prec = DIGITS
        rows = [taylor(Decimal(2 * i + 1) / (2 * CELL)) for i in range(cells)]
        return np.array([[_rounded(c / CELL**power) for power, c in enumerate(row)] for row in rows], np.int64)


def _rounded(x: Decimal) -> int:
    return int((x * (1 << 48)).to_integral_value(ROUND_HALF_EVEN))


@cache
def exp2() -> Array:
    """2**-v for v in [0, 1)."""
    return _table(_exp2, CELL)


def _exp2(v: Decimal) -> list[Decimal]:
    ln2 = Decimal(2).ln()
    row = [(-v * ln2).exp()]
    for power in range(1, DEGREE + 1):
        row.append(row[-1] * -ln2 / power)
    return row


@cache
def gelu() -> Array:
    """v * Phi(-v) for v in [0, 8.5); beyond it is below 2**-51."""
    return _table(_gelu, 17 * CELL // 2)


def _gelu(v: Decimal) -> list[Decimal]:
    """D = v * Phi(-v), D' = Phi(-v) - v * phi(v), D'' = (v**2 - 2) * phi(v), whose own series are multiplied."""
    phi = [(-v * v / 2).exp() / (2 * PI).sqrt()]
    for n in range(DEGREE):  # phi' = -v * phi
        phi.append(-(v * phi[n] + (phi[n - 1] if n else 0)) / (n + 1))
    tail = _tail(v, phi[0])
    row = [v * tail, tail - v * phi[0]]
    for n in range(DEGREE - 1):
        second = (v * v - 2) * phi[n] + (2 * v * phi[n - 1] if n else 0) + (phi[n - 2] if n > 1 else 0)
        row.append(second / ((n + 1) * (n + 2)))
    return row


def _tail(v: Decimal, phi: Decimal) -> Decimal:
    """Phi(-v) = 1/2 - phi(v) * (v + v**3 / 3 + v**5 / 15 + ..): all terms are positive."""
    term, total, n = v, v, 1
    while term > Decimal(10) ** -DIGITS:
        n += 2
        term *= v * v / n
        total += term
    return Decimal("0.5") - phi * total


@cache
def tanh() -> Array:
    """1 - tanh(v) for v in [0, 18); beyond it is below 2**-50."""
    return _table(_tanh, 18 * CELL)


def _tanh(v: Decimal) -> list[Decimal]:
    """By tanh' = 1 - tanh**2 = E * (2 - E) of E = 1 - tanh, so E' = E**2 - 2 * E."""
    row = [2 / ((2 * v).exp() + 1)]
    for n in range(DEGREE):
        square = sum((row[i] * row[n - i] for i in range(n + 1)), Decimal(0))
        row.append((square - 2 * row[n]) / (n + 1))
    return row
