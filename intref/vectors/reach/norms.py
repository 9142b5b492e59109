"""Reaching cases of the norms: sums of squares solved from their roots."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref.vectors.case import Case, Generator
from intref.vectors.reach.sweeps import fill, lengths, tails

M31 = (1 << 31) - 1
ROUND = [
    [1, 0],
    [3, 2],
    [-1, -2],
    [0, -3],
    [1, 0, 0],
    [1, 1, 0],
    [-1, -1, 0],
    [2, 1, 1, 1],
    [3, 2, 2, 2],
    [-7, -8, -8, -8],
]


def squares(total: int, most: int) -> list[int]:
    """Powers of two up to 2**most whose squares sum to total, with signs that keep their sum near 0."""
    powers = []
    for k in range(most, -1, -1):
        powers += [1 << k] * (total >> 2 * k)
        total &= (1 << 2 * k) - 1
    row, reached = [], 0
    for power in powers:
        row.append(power if reached <= 0 else -power)
        reached += row[-1]
    return row


def _balanced(total: int) -> list[int]:
    """As `squares`, with so many halves of the largest that the mean rounds to 0."""
    most = 25
    row = squares(total, most)
    while abs(2 * sum(row)) >= len(row) and most:
        most = max(max(map(abs, row)).bit_length() - 2, 0)
        row = squares(total, most)
    return row


def _around(bits: int) -> Iterator[tuple[str, list[int]]]:
    """Rows with a sum of squares that is a square, or one off it, its root (rounded down) of so many bits."""
    for root, off, word in (
        (1 << bits - 1, 0, "a square"),
        (1 << bits - 1, 1, "one above a square"),
        (1 << bits if bits < 30 else 3 << 28, -1, "one below a square"),
    ):
        row = _balanced(root * root + off)
        if len(row) > 1 and abs(2 * sum(row)) < len(row):
            yield f"{word}, the root of {bits} bits", row


def _ibert(why: str, flags: str, x: Any, bias: Any = 0, shift: int = 0) -> Case:
    x = np.array(x, np.int32)
    return Case(why, {"x": x, "bias": fill(bias, x.shape[-1:], "int64")}, {"shift": shift}, (*flags.split(),))


def layernorm_ibert() -> Iterator[Case]:
    for bits in range(1, 31):
        for why, row in _around(bits):
            yield _ibert(f"a sum of squares that is {why}", "square", [row, [-v for v in row]])
    for why, total in _totals():
        row = _balanced(total)
        yield _ibert(f"a sum of squares of {why}", "extreme wide", [row])
    bias = lengths(-(1 << 60), 1 << 60)
    yield _ibert("a bias of every bit length", "wide", [[*range(len(bias))]], bias)
    yield from _sums(_ibert, 25, ((1 << 10, 25),))
    for shift in range(17):
        rows = [[3 << 20, -(3 << 20), 12345, -12345], [(1 << 17) + 1, -(1 << 17) - 1, 1 << shift, -(1 << shift)]]
        yield _ibert(f"{shift} bits dropped", "extreme", rows, 0, shift)
    yield _ibert("means just off a tie", "tie", [[0, 0, 0, 0, 3], [0, 0, 0, 0, 2], [0, 0, 0, 0, -2], [0, 0, 0, 0, -3]])
    for row in ROUND:
        yield _ibert(f"the mean of {row}", "tie", [row])
    yield from tails("layernorm_ibert", "D")


def _totals() -> Iterator[tuple[str, int]]:
    for k in range(1, 61):
        yield f"{k + 1} bits", (1 << k) + (k < 30)


def _sums(case: Any, most: int, long: tuple[tuple[int, int], ...]) -> Iterator[Case]:
    """Rows of one value: a sum of every bit length; then long rows at the end of the range."""
    rows = [[s << k] * 5 for k in range(most + 1) for s in (1, -1)]
    yield case("sums of every bit length, no variance", "wide degenerate", rows)
    odd = [[s << most - 1, s << most - 1, s << most - 1, s << most - 1, s] for s in (1, -1)]
    yield case("odd sums above 2**24", "wide", odd)
    for k in range(3, 10):
        ends = [[s << most] * (1 << k) for s in (1, -1)]
        yield case(f"{1 << k} values at one end", "wide degenerate", ends)
    for width, bits in long:
        yield case(
            f"{width} values of {bits + 1} bits at one end", "wide extreme", [[s << bits] * width for s in (1, -1)]
        )


def _fixed(
    why: str, flags: str, x: Any, gain: Any = 1 << 20, bias: Any = 0, eps: int = 0, shift: int = 20, **ends: int
) -> Case:
    x = np.array(x, np.int32)
    tensors = {"x": x, "gain": fill(gain, x.shape[-1:], "int32"), "bias": fill(bias, x.shape[-1:], "int64")}
    attrs = {"eps": eps, "shift": shift, "low": -(1 << 31), "high": M31, **ends}
    return Case(why, tensors, attrs, (*flags.split(),))


PAIR = [[1, -1]]  # sum of squares 2
ENDS = ((0, 5), (-5, 0), (3, 9), (-9, -3), (M31, M31), (-(1 << 31), -(1 << 31)))


def layernorm_fixed() -> Iterator[Case]:
    for k in range(2, 61):
        yield _fixed(f"a sum of squares and eps of 2**{k}, shift {k}", "extreme", PAIR, M31, 1 << k, (1 << k) - 2, k)
        yield _fixed(f"a sum of squares and eps of 2**{k} - 1", "extreme square", PAIR, 3, 0, (1 << k) - 3, 30)
    for k in (1, 30):
        row = [[1 << 15, -(1 << 15)], [3, -5]]
        yield _fixed(f"shift {k}, odd sums", "extreme", row, 1 << 20, 77, 5, k)
    for why, eps in (("one above a square", (1 << 60) - 1), ("one below a square", (1 << 30) - 3)):
        yield _fixed(f"a sum of squares that is {why}, its root of 31 bits", "square", PAIR, M31, 0, eps, 30)
    for part in (16, 100, 1000):
        eps = (1 << 60) // part * (part - 1)
        yield _fixed(f"eps one part in {part} below 2**60", "square", PAIR, 9, 0, eps, 30)
    for squares_at in (15, 20):
        outlier = [1 << squares_at, -(1 << squares_at), 1, -1]
        yield _fixed(
            f"eps of 2**60 and a sum of squares of {2 * squares_at + 2} bits",
            "extreme wide",
            [outlier],
            5,
            0,
            1 << 60,
            1,
        )
    yield from _near_ties_of_z()
    yield from _sums(_fixed, 23, ((1 << 10, 23), (1 << 11, 23)))
    for why, total in _totals():
        if total <= 1 << 58:
            yield _fixed(f"a sum of squares of {why}", "wide", [_rows_below(total, 23)])
    bias = lengths(-(1 << 60), 1 << 60)
    yield _fixed("a bias of every bit length", "wide", [[*range(len(bias))]], 1, bias)
    gain = lengths(-(1 << 31), M31)
    yield _fixed("a gain of every bit length", "wide", [[*range(len(gain))]], gain)
    for rows in ROUND:
        yield _fixed(f"the mean of {rows}", "tie", [rows])
    for low, high in ENDS:
        goals = [v << 20 for v in (low - 1, low, low + 1, high - 1, high, high + 1, 0)]
        yield _fixed(f"clipped to [{low}, {high}]", "clip", [[0] * 7], 0, goals, low=low, high=high)
    quarters = [v for v in range(-9, 10)]
    yield _fixed("every quarter of y", "tie", [[0] * 19], 0, quarters, shift=2)
    yield from tails("layernorm_fixed", "D")


def _rows_below(total: int, most: int) -> list[int]:
    row = _balanced(total)
    return row if max(map(abs, row)) <= 1 << most else squares(total, most)


def _near_ties_of_z() -> Iterator[Case]:
    """c * f one off an odd multiple of 2**30: solved from the root, which eps sets."""
    found = 0
    for root in range((1 << 30) + 23170, (1 << 30) + (1 << 16)):  # below, f is even
        f = (1 << 61) // root
        if f % 2 == 0 or found == 2:
            continue
        c = ((1 << 30) - 1) * pow(f, -1, 1 << 31) % (1 << 31)
        c = min(c, (1 << 31) - c)
        eps = root * root - 2 * c * c
        if c < 1 << 23 and 0 <= eps <= 1 << 60:
            found += 1
            yield _fixed(f"z one off a tie, root {root}", "tie wide", [[c, -c]], [1, 1], 0, eps, 1)


def _unit(why: str, flags: str, x: Any, fraction: int = 15, dtype: str = "int32") -> Case:
    return Case(why, {"x": np.array(x, np.int64).astype(dtype)}, {"fraction": fraction}, (*flags.split(),))


def l2_normalize() -> Iterator[Case]:
    for fraction in range(1, 31):
        yield _unit(f"{fraction} fraction bits", "extreme", [[3, -4, 12, 84, 5, 1], [1, 0, 0, 0, 0, 0]], fraction)
    for k in range(24):
        yield _unit(f"2**{k} once and twice", "extreme", [[1 << k, 0], [1 << k, -(1 << k)], [(1 << k) - 1, 1]])
    for k in range(2, 14):
        yield _unit(f"2**23, {1 << k} times", "extreme wide", [[1 - 2 * (i % 2) << 23 for i in range(1 << k)]], 30)
    row = squares((1 << 30) - 1, 23)
    yield _unit("a sum of squares of 2**30 - 1: one below a square", "square", [row, [-v for v in row]], 30)
    halves = [3, 7, 2, 1, 1]
    for fraction in (1, 2, 3):
        yield _unit(f"ties of three halves, fraction {fraction}", "tie", [halves, [-v for v in halves]], fraction)
    for why, total in _totals():
        if total < 1 << 52:
            yield _unit(f"a sum of squares of {why}", "wide", [squares(total, 23)], 30)
    yield _unit("int16 extremes", "dtype extreme", [[(1 << 15) - 1, -(1 << 15)]], 20, "int16")
    yield from tails("l2_normalize", "D")


REACH: dict[str, Generator] = {
    "layernorm_ibert": layernorm_ibert,
    "layernorm_fixed": layernorm_fixed,
    "l2_normalize": l2_normalize,
}
