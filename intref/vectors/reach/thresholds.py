"""Reaching cases of softmax_ibert in which one bit of a product, a constant or a reciprocal moves a probability."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref.vectors.case import Case

FULL = (1 << 15) - 1
PATTERN = 0x155555555


def _case(why: str, flags: str, rows: Any, **attrs: int) -> Case:
    """rows: [Q K], all attended."""
    x = np.array(rows, np.int32).reshape(1, 1, len(rows), -1)
    mask = np.ones((1, x.shape[-1]), np.int8)
    return Case(why, {"x": x, "mask": mask}, attrs, (*flags.split(),))


def thresholds() -> Iterator[Case]:
    yield from _products()
    yield from _reciprocals()
    rows = [
        [s * base, s * base + 1] for k in range(1, 31) for base in (1 << k, PATTERN & (1 << k) - 2) for s in (1, -1)
    ]
    yield _case("a key one above the maximum so far", "extreme", rows, ln2=1, b=1, c=1, multiplier=1, shift=16)
    yield from _halvings()
    yield from _slopes()


def _least(p: int) -> int:
    """The least e16 that has probability p beside a key at its limit."""
    return next(e for e in range(1, FULL + 1) if e * ((1 << 32) // (FULL + e)) >> 24 == p)


def _products() -> Iterator[Case]:
    """The second key's product is half a unit above an even number, one below the least e16 of its p; without one bit
    more it is rounded down, with it up."""
    even = [e for e in map(_least, range(2, 127)) if e % 2 and e > 4096]
    for i in range(90):
        halvings, power, place = 30 - i % 29, i * 7 % 31, i % 16
        c = (even[i % len(even)] - 1 << 17) + (1 << 16) + (1 << place if i < 60 else 0)
        shift = 17 + 30 - halvings + power
        why = f"e16 rounded up by bit {place} of {shift} dropped, at the least of its p"
        if i >= 60:
            why = f"a tie of e16 {halvings} halvings down, just below the least of its p, shift {shift}"
        yield _case(why, "tie wide", [[0, -halvings]], ln2=1, b=1, c=c, multiplier=1 << power, shift=shift)


def _reciprocals() -> Iterator[Case]:
    """Sums 2**32 is not a multiple of, and keys whose p a reciprocal one smaller or larger would change."""
    for c in (30011, 17449, 9973):
        rows = [
            [0, -d, -e] for d in range(1, 64) for e in range(d, 64) if _is_close([c - (64 - v) * v for v in (0, d, e)])
        ]
        yield _case(f"a reciprocal one off shows, c = {c}", "tie", rows[:24], ln2=64, b=64, c=c, multiplier=1, shift=30)


def _is_close(e16: list[int]) -> bool:
    f = (1 << 32) // sum(e16)
    return any(e * f >> 24 != e * (f + off) >> 24 for e in e16[1:] for off in (1, -1))


def _halvings() -> Iterator[Case]:
    """Distances on and one off a multiple of ln2, for ln2 of every length in bits."""
    for k in range(2, 17):
        for ln2 in (1 << k, (PATTERN & (1 << k) - 1) | 1 << k - 1):
            c = ln2 * ln2
            shift = 2 * ln2.bit_length() + 14
            rows = [[0, -q * ln2 + off, -ln2 // 2] for q in (1, 2, 3, 4, 7, 8) for off in (-1, 0, 1)]
            why = f"either side of a halving, ln2 = {ln2}"
            yield _case(why, "tie", rows, ln2=ln2, b=ln2, c=c, multiplier=1, shift=shift)


def _slopes() -> Iterator[Case]:
    """Polynomials whose slope is of every length in bits."""
    for k in range(6, 26):
        for b in (1 << k, (1 << k) + (PATTERN & (1 << k) - 1)):
            if b <= 1 << 25:
                rows = [[0, -d, -d - 1] for d in range(1, 63, 6)]
                shift = (64 * b).bit_length() + 15
                yield _case(f"b = {b}", "extreme", rows, ln2=64, b=b, c=64 * b, multiplier=1, shift=shift)
