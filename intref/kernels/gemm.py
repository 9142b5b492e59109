"""Twins of ops/gemm.py: integer products in blocks of k that an int32 accumulator holds, summed in int64."""

# numba infers the types of the compiled functions.
# mypy: allow-untyped-defs, no-check-untyped-defs

import numpy as np

from intref.kernels.arrays import plain
from intref.kernels.jit import jit
from intref.kernels.threads import over_rows

ROWS, COLUMNS = 128, 64  # of a tile: its operands stay in the second-level cache
INT32 = (-(1 << 31), (1 << 31) - 1)
# The longest k for which a sum of |x| * 128 stays below 2**31.
LONGEST = {"int8": (1 << 17) - 1, "uint8": 65793, "int16": 511}


def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> dict[str, np.ndarray]:
    rows = plain(x, np.int16).reshape(1, -1, x.shape[-1])
    y = _product(rows, plain(weight)[None], plain(bias), LONGEST[str(x.dtype)])
    return {"y": y.reshape(*x.shape[:-1], len(weight))}


def matmul(a: np.ndarray, b: np.ndarray) -> dict[str, np.ndarray]:
    batches = plain(a, np.int16).reshape(-1, *a.shape[-2:])
    columns = plain(np.swapaxes(b, -1, -2)).reshape(-1, b.shape[-1], b.shape[-2])
    y = _product(batches, columns, np.zeros(b.shape[-1], np.int32), LONGEST[str(a.dtype)])
    return {"y": y.reshape(*a.shape[:-1], b.shape[-1])}


def linear_int4(
    x: np.ndarray, weight: np.ndarray, scale: np.ndarray, bias: np.ndarray, *, group_size: int
) -> dict[str, np.ndarray]:
    rows, n = plain(x, np.int16).reshape(-1, x.shape[-1]), len(weight)
    y = np.empty((len(rows), n), np.int32)
    args = plain(weight), plain(scale), plain(bias), min(group_size, x.shape[-1])
    ends = over_rows(lambda a, b: _int4_columns(rows, *args, a, b, y), n, rows.size * n >> 3)
    _require_int32(ends)
    return {"y": y.reshape(*x.shape[:-1], n)}


def _product(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, longest: int) -> np.ndarray:
    """x int16 [B M K], weight int8 [B N K], bias int32 [N] -> int32 [B M N]; OverflowError if one does not fit."""
    batch, m, k = x.shape
    n = weight.shape[1]
    y = np.empty((batch, m, n), np.int32)
    tiles = batch * -(-m // ROWS) * -(-n // COLUMNS)
    ends = over_rows(lambda a, b: _tiles(x, weight, bias, longest, a, b, y), tiles, batch * m * n * k >> 4)
    _require_int32(ends)
    return y


def _require_int32(ends: list[tuple[int, int]]) -> None:
    low, high = min(e[0] for e in ends), max(e[1] for e in ends)
    if low < INT32[0] or high > INT32[1]:
        raise OverflowError(f"values in [{low}, {high}] do not lie in [{INT32[0]}, {INT32[1]}]")


@jit
def _tiles(x, weight, bias, longest, start, stop, y):
    """Tiles start..stop of all batches; the lowest and highest result."""
    m, n = x.shape[1], weight.shape[1]
    down, across = (m + ROWS - 1) // ROWS, (n + COLUMNS - 1) // COLUMNS
    low, high = np.int64(1) << 62, -(np.int64(1) << 62)
    for tile in range(start, stop):
        b, i, j = tile // (down * across), tile // across % down * ROWS, tile % across * COLUMNS
        rows, columns = slice(i, min(i + ROWS, m)), slice(j, min(j + COLUMNS, n))
        ends = _tile(x[b, rows], weight[b % len(weight), columns], bias[columns], longest, y[b, rows, columns])
        low, high = min(low, ends[0]), max(high, ends[1])
    return low, high


@jit
def _tile(x, weight, bias, longest, y):
    m, n, depth = x.shape[0], weight.shape[0], x.shape[1]
    low, high = np.int64(1) << 62, -(np.int64(1) << 62)
    for i in range(0, m, 2):
        i1 = min(i + 1, m - 1)  # past the edge, the last row or column is computed again
        for j in range(0, n, 4):
            j1, j2, j3 = min(j + 1, n - 1), min(j + 2, n - 1), min(j + 3, n - 1)
            s00, s01, s02, s03 = np.int64(bias[j]), np.int64(bias[j1]), np.int64(bias[j2]), np.int64(bias[j3])
            s10, s11, s12, s13 = s00, s01, s02, s03
            for k in range(0, depth, longest):
                part = slice(k, min(k + longest, depth))
                d = _dot(x[i, part], x[i1, part], weight[j, part], weight[j1, part], weight[j2, part], weight[j3, part])
                s00, s01, s02, s03 = s00 + d[0], s01 + d[1], s02 + d[2], s03 + d[3]
                s10, s11, s12, s13 = s10 + d[4], s11 + d[5], s12 + d[6], s13 + d[7]
            y[i, j], y[i, j1], y[i, j2], y[i, j3] = s00, s01, s02, s03
            y[i1, j], y[i1, j1], y[i1, j2], y[i1, j3] = s10, s11, s12, s13
            low = min(low, s00, s01, s02, s03, s10, s11, s12, s13)
            high = max(high, s00, s01, s02, s03, s10, s11, s12, s13)
    return low, high


@jit
def _dot(x0, x1, w0, w1, w2, w3):
    """The int32 products of two rows and four columns. Plain int32 sums become multiply-add instructions of pairs."""
    a = b = c = d = e = f = g = h = np.int32(0)
    for k in range(x0.shape[0]):
        p, q = np.int32(x0[k]), np.int32(x1[k])
        r, s, t, u = np.int32(w0[k]), np.int32(w1[k]), np.int32(w2[k]), np.int32(w3[k])
        a, b = np.int32(a + np.int32(p * r)), np.int32(b + np.int32(p * s))
        c, d = np.int32(c + np.int32(p * t)), np.int32(d + np.int32(p * u))
        e, f = np.int32(e + np.int32(q * r)), np.int32(f + np.int32(q * s))
        g, h = np.int32(g + np.int32(q * t)), np.int32(h + np.int32(q * u))
    return a, b, c, d, e, f, g, h


@jit
def _int4_columns(x, weight, scale, bias, group_size, start, stop, y):
    """Columns start..stop of y, a row of weights unpacked for each; the lowest and highest result."""
    m, depth = x.shape
    w = np.zeros(depth + 1, np.int16)  # an odd depth has one nibble over
    low, high = np.int64(1) << 62, -(np.int64(1) << 62)
    for n in range(start, stop):
        _unpack(weight[n], w)
        for i in range(m):
            total = np.int64(bias[n])
            for g in range(scale.shape[1]):
                part = slice(g * group_size, min((g + 1) * group_size, depth))
                total += np.int64(scale[n, g]) * _dot_int4(x[i, part], w[part])
            y[i, n] = total
            low, high = min(low, total), max(high, total)
    return low, high


@jit
def _unpack(packed, w):
    for p in range(len(packed)):
        byte = np.int32(packed[p])
        w[2 * p] = ((byte + 8) & 15) - 8
        if 2 * p + 1 < len(w):
            w[2 * p + 1] = (((byte >> 4) + 8) & 15) - 8


@jit
def _dot_int4(x, w):
    """The sum of a group: at most 2**30, so int32 holds it."""
    total = np.int32(0)
    for k in range(len(x)):
        total = np.int32(total + np.int32(np.int32(x[k]) * np.int32(w[k])))
    return total


KERNELS = (linear, matmul, linear_int4)
