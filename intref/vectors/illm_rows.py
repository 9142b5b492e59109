"""Directed cases of the norms of ops/illm.py, and of its ranges found row by row."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref.vectors.case import Case, SplitMix64

M31 = (1 << 31) - 1
LOWEST = -(1 << 31)
M16, E16 = 40000, 26  # a scale of 2**-10.7, and a mantissa of 16 bits: one is 1167


def column(value: Any, rows: tuple[int, ...], dtype: str) -> np.ndarray:
    """One number for each row."""
    return np.array(np.broadcast_to(np.array(value, dtype), rows)).reshape(*rows, 1)


def _norm(why: str, flags: str, x: Any, top: int = 25, fraction: int = 20) -> Case:
    return Case(why, {"x": np.array(x, np.int32)}, {"top": top, "fraction": fraction}, (*flags.split(),))


def _near_squares(length: int) -> list[list[int]]:
    """Pairs whose mean square is n**2, n**2 + 1 and n**2 - 1, for roots n of that many bits."""
    # (n + u)**2 + (n - u - 2)**2 = 2 * n**2 + 2 for 2 * n = (u + 1)**2, and 2 * n**2 - 2 for 2 * n = (u + 1)**2 + 2.
    pairs = [[(3 << length) // 4] * 2]
    for more in (0, 1):
        odd = range(1, 1 << 14, 2)
        known = (((u + 1) ** 2 // 2 + more, u) for u in odd)
        fits = ([n + u, n - u - 2] for n, u in known if n.bit_length() == (n + u).bit_length() == length)
        pairs += [*fits][:1]
    return pairs


def _norms(centred: bool) -> Iterator[Case]:
    """Rows of either norm: ties of s, of the mean square and of y, roots around squares, every shift."""
    both = [[3, -1, 1, -5], [1, 2, 4, 8], [-7, 7, 7, -7], [5, -3, 0, 0]]
    for top in (0, 1, 2, 3, 10, 24, 25):
        for fraction in (0, 1, 5, 20, 30):
            yield _norm(f"small rows, top {top}, fraction {fraction}", "tie", both, top, fraction)
    for drop in (1, 2, 3, 6):
        rows = [[1 << drop + 2, d, -d, 0, 3 * d, -(1 << drop + 2)] for d in range(1, 1 << drop)]
        yield _norm(f"ties of a shift down by {drop}", "tie", rows, 2, 8)
    yield _norm(
        "a peak that rounds up to the next power of two", "clip tie", [[127, -127, 1, 0], [-127, 1, 0, 126]], 2, 3
    )
    yield _norm(
        "ties of y, both signs", "tie", [[3, -3, 1, -1, 1, -1, 3, -3, 5, -5], [1, 1, 1, 1, 1, -1, -1, 1, 1, 9]], 2, 0
    )
    yield _norm("a row of zeros", "degenerate", [[0, 0, 0], [0, 1, 0]])
    yield _norm("D = 1, no leading axis", "degenerate axes", [-5])
    yield _norm("a row that is constant", "degenerate", [[7, 7, 7], [-9, -9, -9], [1, 1, 1]], 25, 30)
    yield _norm("int32 extremes", "extreme wide", [[M31, LOWEST, 0], [LOWEST, LOWEST, M31], [LOWEST, 1, -1]], 25, 30)
    yield _norm("one outlier", "extreme", [[M31, *[0] * 63], [LOWEST, *[1] * 63]], 25, 30)
    yield _norm("largest sum of squares", "extreme wide", [[LOWEST, M31] * (1 << 9)], 25, 30)
    for u in (0, 1, 2, 3, 12, 88):  # (n + u)**2 + (n - u - 1)**2 = 2 * n**2 - 1 for n = u**2 + u + 1
        n = u * u + u + 1
        top = (n + u).bit_length() - 1
        row = [n + u, -(n - u - 1)]
        row += [-v for v in row] if centred else row
        yield _norm(f"mean square {n}**2 - 1/2", "square tie", [row], top, 30)
    for length in range(2, 27):
        rows = [[*pair, *(-v for v in pair)] for pair in _near_squares(length)]
        yield _norm(f"mean squares about one of a root of {length} bits", "square", rows, length - 1, length + 3)
    for k in range(7, 15):
        v = (1 << 26) - 8191  # v**2 is almost 2**26 modulo 2**26
        yield _norm(f"both parts of squares, D = 2**{k}", "extreme wide", [[v, -v] * (1 << k - 1)])
    yield _norm("the largest sum of squares, D = 2**14", "extreme wide", [[M31, -M31] * (1 << 13)])
    for peak in (8192, 11586, 16383, 32768):
        yield _norm(f"a square of {peak}", "extreme", [[peak, -peak]], peak.bit_length() - 1)
    for k in (29, 30):
        yield _norm(f"2**{k}", "extreme", [[1 << k, -5, 3]])
    for top in range(26):
        yield _norm(f"top {top}", "extreme", [[5, -3, 77], [1 << 30, 9, -(1 << 20)]], top, top)
    for k in (1, 2, 5, 40):  # sums of four squares around four squares
        rows = [[k, k, -k, -k], [k + 1, k, -k, -k - 1], [k + 1, k - 1, -k, -k]]
        yield _norm(f"mean squares around {k}**2", "square", rows, (k + 1).bit_length() - 1, 12)
    yield _norm("two leading axes", "axes", [[[1, 2, 4], [8, -16, 32]], [[3, 3, -3], [0, 5, 9]]])
    stream = SplitMix64(83 + centred)
    yield _norm("19 rows", "random axes", stream.integers(-(1 << 20), 1 << 20, (19, 3), "int32"))
    for width in (2, 3, 64):
        x = stream.integers(-(1 << 20), 1 << 20, (2, 2, width), "int32")
        yield _norm(f"random, D = {width}", "random", x)
        yield _norm(f"random, D = {width}, shifted down", "random tie", x, 6, 9)
        yield _norm(
            f"random small values, D = {width}", "random tie", stream.integers(-3, 3, (8, width), "int32"), 4, 2
        )


def rmsnorm_illm() -> Iterator[Case]:
    """Ties of every quotient, roots around squares, every shift, the ends of the ranges."""
    yield from _norms(False)
    # Each root is 2**25, and the second element 16 * an odd number: 2**20 / 2**25 of it is a tie.
    rows = [[47453132, 16], [47453132, -16], [47453132, 48], [47453132, -48], [47453132, 80]]
    yield _norm("ties of y at the published constants", "tie wide", rows)


def layernorm_illm() -> Iterator[Case]:
    """As rmsnorm_illm, for the rows less their mean; means that are no integers; sums of one sign."""
    yield from _norms(True)
    yield _norm(
        "means of halves and thirds", "tie", [[0, 1, 1, 4, 0, 0], [0, 0, 1, 0, 0, 1], [-1, 0, 0, -1, -1, 0]], 9, 9
    )
    for k in range(6, 15):
        rows = [[M31, *[LOWEST] * ((1 << k) - 1)], [LOWEST, *[M31] * ((1 << k) - 1)]]
        yield _norm(f"the largest sums, D = 2**{k}", "extreme wide", rows, 0)
    yield _norm("the least sum", "degenerate wide", [[LOWEST] * (1 << 14)])
    yield _norm("neighbours", "extreme", [[1, 0], [0, 1]])
    yield _norm("far from 0", "extreme wide", [[M31, M31, M31 - 1], [LOWEST, LOWEST + 1, LOWEST]])


def _requantize(why: str, flags: str, x: Any, bits: int = 8, m: Any = 255, k: Any = 20) -> Case:
    x = np.array(x, np.int32)
    pair = {"m": column(m, x.shape[:-1], "int32"), "k": column(k, x.shape[:-1], "int8")}
    return Case(why, {"x": x, **pair}, {"bits": bits}, (*flags.split(),))


def requantize_illm() -> Iterator[Case]:
    """Ties of y and of the zero point, mantissas around every power of two, constant rows, the ends of the ranges."""
    for bits in (2, 4, 8):
        n = (1 << bits) - 1
        yield _requantize(f"ties of y, {bits} bits", "tie", [[0, *range(1, 2 * n), 2 * n]], bits)
        yield _requantize(f"ties of y, {bits} bits, from below 0", "tie", [[-n, *range(1 - n, n), n]], bits)
        rows = [[low, low + 2 * n, low + 1] for low in (-5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5)]
        yield _requantize(f"ties of the zero point, {bits} bits", "tie", rows, bits)
    for bits in range(2, 9):
        yield _requantize(f"{bits} bits", "extreme", [[-300, 5, 77, 1000], [3, 3, 4, 900]], bits, 77, 9)
    spans = [*range(1, 40), 63, 64, 65, 127, 128, 129, 254, 255, 256, 257, 510, 511, 512, 65535, 65536, M31]
    for bits, m in ((2, 1), (3, 5), (8, 1), (8, 255), (7, 128), (5, 21)):
        yield _requantize(f"every short span, {bits} bits, m = {m}", "tie", [[0, s] for s in spans], bits, m)
    near = [(128 * 255 + d) for d in range(-130, 131, 5)]
    yield _requantize("mantissas about 128", "tie", [[0, s] for s in near], 8, 1)
    rows = [[v, v + 510, v + 1] for v in range(-12, 13)] + [[1 << 30, 1 << 29]]
    yield _requantize("ties of the zero point of both signs", "tie extreme", [[*row[:2], row[-1]] for row in rows], 8)
    yield _requantize("mantissas of halves", "tie", [[0, s] for s in range(1027, 2046, 2)], 2, 3)
    yield _requantize("constant rows", "degenerate", [[7, 7], [0, 0], [-9, -9], [M31, M31], [LOWEST, LOWEST]], 8)
    yield _requantize("a zero point one above a tie, negative", "tie", [[1, 3], [3, 5], [128, 130], [129, 131]], 2)
    yield _requantize("D = 1, no leading axis", "degenerate axes", [5], 4)
    rows = [[LOWEST, M31, 0, -1], [M31, M31 - 1, M31, M31], [LOWEST, LOWEST + 1, LOWEST, LOWEST], [0, M31, 1, 2]]
    for m, k in ((1, 0), (1 << 16, 0), (1 << 16, 48), (1, 48)):
        yield _requantize(f"int32 extremes, m = {m}, k = {k}", "extreme wide", rows, 8, m, k)
    yield _requantize("the shortest span, finest scale", "extreme", [[0, 1], [0, 0]], 8, 1, 48)
    yield _requantize("a scale for every row", "axes", [[0, 9], [0, 9], [0, 9]], 8, [3, 11, 40], [5, 8, 9])
    yield _requantize("two leading axes", "axes", [[[1, 2], [3, 5]], [[5, 9], [7, 15]]], 8, [[3, 11], [40, 9]], 8)
    stream = SplitMix64(85)
    for width in (3, 64):
        x = stream.integers(-(1 << 20), 1 << 20, (4, width), "int32")
        yield _requantize(f"random, D = {width}", "random", x, 8, [200, 3000, 41, 1 << 15], [10, 20, 0, 33])
