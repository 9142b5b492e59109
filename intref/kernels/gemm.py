"""Twins of ops/gemm.py: what surely fits int32 by `panels.py`, the rest in blocks of k that do, summed in int64."""

# numba infers the types of the compiled functions.
# mypy: allow-untyped-defs, no-check-untyped-defs

from collections.abc import Mapping

import numpy as np

from intref.kernels.arrays import empty, plain
from intref.kernels.jit import jit
from intref.kernels.panels import FAST, Panels, packed, product
from intref.kernels.threads import over_rows

ROWS, COLUMNS = 128, 64  # of a tile: its operands stay in the second-level cache
PEAK = {"int8": 128, "uint8": 255, "int16": 1 << 15}
# The longest k for which a sum of |x| * 128 stays below 2**31.
LONGEST = {"int8": (1 << 17) - 1, "uint8": 65793, "int16": 511}


def linear(
    x: np.ndarray, weight: np.ndarray | Panels, bias: np.ndarray, *, x_zero_point: int, weight_zero_point: int,
    accumulator: int, overflow: str, every: int, output: str,
) -> dict[str, np.ndarray]:  # fmt: skip
    rows = x.reshape(1, -1, x.shape[-1])
    operands = rows, weight if isinstance(weight, Panels) else plain(weight)[None], plain(bias)
    y = _accumulated(*operands, (x_zero_point, weight_zero_point), accumulator, overflow, every, output)
    return {"y": y.reshape(*x.shape[:-1], y.shape[-1])}


def matmul(
    a: np.ndarray, b: np.ndarray, *, a_zero_point: int, b_zero_point: int,
    accumulator: int, overflow: str, every: int, output: str,
) -> dict[str, np.ndarray]:  # fmt: skip
    batches = a.reshape(-1, *a.shape[-2:])
    columns = np.swapaxes(b, -1, -2).reshape(-1, b.shape[-1], b.shape[-2])
    operands = batches, columns, np.zeros(b.shape[-1], np.int32)
    y = _accumulated(*operands, (a_zero_point, b_zero_point), accumulator, overflow, every, output)
    return {"y": y.reshape(*a.shape[:-1], b.shape[-1])}


def linear_int4(
    x: np.ndarray, weight: np.ndarray, scale: np.ndarray, bias: np.ndarray, *, group_size: int
) -> dict[str, np.ndarray]:
    rows, n = plain(x, np.int16).reshape(-1, x.shape[-1]), len(weight)
    y = empty((len(rows), n), np.int32)
    args = plain(weight), plain(scale), plain(bias), min(group_size, x.shape[-1])
    ends = over_rows(lambda a, b: _int4_columns(rows, *args, a, b, y), n, rows.size * n >> 3)
    _require(ends, 1 << 31)
    return {"y": y.reshape(*x.shape[:-1], n)}


def _accumulated(
    x: np.ndarray, weight: np.ndarray | Panels, bias: np.ndarray, zeros: tuple[int, int],
    accumulator: int, overflow: str, every: int, output: str,
) -> np.ndarray:  # fmt: skip
    """x [B M K], weight [B N K], bias int32 [N] -> [B M N]; OverflowError for a refused result."""
    end = 1 << min(accumulator, 62) - 1
    raw = weight.weight if isinstance(weight, Panels) else weight
    if FAST and not every and not zeros[1] and raw.dtype == np.int8 and (most := _most(x, bias, zeros[0])) < 1 << 31:
        y = empty((*x.shape[:2], len(bias)), np.int32)
        product(x, weight if isinstance(weight, Panels) else packed(weight), bias, zeros[0], y)
        if most < end:
            return y.astype(output, copy=False)
        y = y.astype(np.int64)
    else:
        y = _wide(plain(x, np.int16), plain(raw), bias, LONGEST[str(x.dtype)], zeros, every, end, overflow)
    if overflow == "saturate":
        y = np.clip(y, -end, end - 1)
    elif overflow == "wrap":
        y = ((y + end) & (2 * end - 1)) - end
    else:
        _require([(int(y.min()), int(y.max()))], end)
    return y.astype(output, copy=False)


def _most(x: np.ndarray, bias: np.ndarray, zero: int) -> int:
    """No |result| of `product` with int8 weights is above it; where the dtype says too little, int16s are looked at."""
    most, extra = (x.shape[-1] * 128 * (p + abs(zero)) for p in (PEAK[str(x.dtype)], 0))
    offset = max(abs(int(bias.min())), abs(int(bias.max())))
    if x.dtype == np.int16 and most + offset >= 1 << 31:
        most = extra + x.shape[-1] * 128 * max(abs(int(x.min())), abs(int(x.max())))
    return most + offset


def _wide(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, longest: int, zeros: tuple[int, int],
    every: int, end: int, overflow: str,
) -> np.ndarray:  # fmt: skip
    """x int16 [B M K], weight int8 or int16 [B N K] -> int64 [B M N], of any size."""
    if every or weight.dtype == np.int16:
        return _in_blocks(x, weight, bias, zeros, every or x.shape[-1], end if overflow == "saturate" else 1 << 62)
    y = _product(x, weight, bias, longest, empty((*x.shape[:2], weight.shape[1]), np.int64))
    _add_zero_points(x, weight, zeros, y)
    return y


def _require(ends: list[tuple[int, int]], end: int) -> None:
    low, high = min(e[0] for e in ends), max(e[1] for e in ends)
    if low < -end or high >= end:
        raise OverflowError(f"values in [{low}, {high}] do not lie in [{-end}, {end - 1}]")


def _add_zero_points(x: np.ndarray, weight: np.ndarray, zeros: tuple[int, int], y: np.ndarray) -> None:
    """(x - a) * (w - b) = x * w - a * w - b * x + a * b, summed over k."""
    a, b = zeros
    if a:
        y -= a * (weight.sum(axis=-1, dtype=np.int64) - b * x.shape[-1])[:, None, :]
    if b:
        y -= b * x.sum(axis=-1, dtype=np.int64)[:, :, None]


def _in_blocks(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, zeros: tuple[int, int], every: int, end: int
) -> np.ndarray:
    """Sums in the order of k, clamped to [-end, end - 1] after each block."""
    batch, m, k = x.shape
    n = weight.shape[1]
    y = empty((batch, m, n), np.int64)
    operands = x, plain(weight, np.int16), bias, *zeros, every, end
    over_rows(lambda start, stop: _block_rows(*operands, start, stop, y), batch * m, batch * m * n * k)
    return y


@jit
def _block_rows(x, weight, bias, x_zero, weight_zero, every, end, start, stop, y):
    m, depth = x.shape[1], x.shape[2]
    for row in range(start, stop):
        b, i = row // m, row % m
        for j in range(weight.shape[1]):
            total = np.int64(bias[j])
            for k in range(0, depth, every):
                for t in range(k, min(k + every, depth)):
                    total += (np.int64(x[b, i, t]) - x_zero) * (np.int64(weight[b % len(weight), j, t]) - weight_zero)
                total = min(max(total, -end), end - 1)
            y[b, i, j] = total


def _product(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, longest: int, y: np.ndarray) -> np.ndarray:
    """x @ weight.T + bias into y."""
    batch, m, k = x.shape
    n = weight.shape[1]
    tiles = batch * -(-m // ROWS) * -(-n // COLUMNS)
    over_rows(lambda a, b: _tiles(x, weight, bias, longest, a, b, y), tiles, batch * m * n * k >> 4)
    return y


@jit
def _tiles(x, weight, bias, longest, start, stop, y):
    """Tiles start..stop of all batches."""
    m, n = x.shape[1], weight.shape[1]
    down, across = (m + ROWS - 1) // ROWS, (n + COLUMNS - 1) // COLUMNS
    for tile in range(start, stop):
        b, i, j = tile // (down * across), tile // across % down * ROWS, tile % across * COLUMNS
        rows, columns = slice(i, min(i + ROWS, m)), slice(j, min(j + COLUMNS, n))
        _tile(x[b, rows], weight[b % len(weight), columns], bias[columns], longest, y[b, rows, columns])


@jit
def _tile(x, weight, bias, longest, y):
    m, n, depth = x.shape[0], weight.shape[0], x.shape[1]
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


def prepared_linear(constants: Mapping[str, np.ndarray]) -> dict[str, Panels]:
    """Weights that stay the same from call to call, packed once."""
    weight = constants.get("weight")
    return {} if weight is None or not FAST else {"weight": packed(plain(weight)[None])}


KERNELS = (linear, matmul, linear_int4)
PREPARE = {"linear": prepared_linear}
