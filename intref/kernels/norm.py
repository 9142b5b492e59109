"""Twins of ops/norm.py."""

# numba infers the types of the compiled functions.
# mypy: allow-untyped-defs, no-check-untyped-defs

import numpy as np

from intref.kernels.arrays import empty, plain, rows
from intref.kernels.intmath import bitlen, isqrt, shift_half_up
from intref.kernels.jit import jit
from intref.kernels.threads import over_rows


def layernorm_ibert(x: np.ndarray, bias: np.ndarray, *, shift: int) -> dict[str, np.ndarray]:
    x_rows, bias = rows(x), plain(bias)
    y = empty(x_rows.shape, np.int64)
    over_rows(lambda a, b: _ibert(x_rows[a:b], bias, shift, y[a:b]), len(y), 2 * y.size)
    return {"y": y.reshape(x.shape)}


@jit
def _ibert(x, bias, shift, y):
    width = x.shape[1]
    for t in range(x.shape[0]):
        total = np.int64(0)
        for i in range(width):
            total += x[t, i]
        mean = total // width
        rest = 2 * (total - mean * width)
        mean += np.int64(rest > width or (rest == width and mean & 1 == 1))
        squares = np.int64(0)
        for i in range(width):
            c = (x[t, i] - mean) >> shift
            squares += c * c
        sigma = isqrt(squares) << shift
        f = (np.int64(1) << 31) // sigma if sigma > 0 else np.int64(0)
        for i in range(width):
            y[t, i] = ((x[t, i] - mean) * f >> 1) + bias[i]


def layernorm_fixed(
    x: np.ndarray, gain: np.ndarray, bias: np.ndarray, *, eps: int, shift: int, low: int, high: int
) -> dict[str, np.ndarray]:
    x_rows, gain, bias = rows(x), plain(gain, np.int64), plain(bias)
    y = empty(x_rows.shape, np.int32)
    over_rows(lambda a, b: _fixed(x_rows[a:b], gain, bias, eps, shift, low, high, y[a:b]), len(y), 2 * y.size)
    return {"y": y.reshape(x.shape)}


@jit
def _fixed(x, gain, bias, eps, shift, low, high, y):
    width = x.shape[1]
    for t in range(x.shape[0]):
        total = np.int64(0)
        for i in range(width):
            total += x[t, i]
        mean = (2 * total + width) // (2 * width)
        squares = np.int64(eps)
        for i in range(width):
            c = x[t, i] - mean
            squares += c * c
        v = max(squares, 1)
        k = (62 - bitlen(v)) >> 1
        f = (np.int64(1) << 61) // isqrt(v << 2 * k)
        for i in range(width):
            z = shift_half_up(((x[t, i] - mean) << k) * f, 31)
            y[t, i] = min(max(shift_half_up(z * gain[i] + bias[i], shift), low), high)


def l2_normalize(x: np.ndarray, *, fraction: int) -> dict[str, np.ndarray]:
    x_rows = rows(x.astype(np.int32, copy=False))
    y = empty(x_rows.shape, np.int32)
    over_rows(lambda a, b: _l2(x_rows[a:b], 61 - fraction, y[a:b]), len(y), 2 * y.size)
    return {"y": y.reshape(x.shape)}


@jit
def _l2(x, shift, y):
    width = x.shape[1]
    for t in range(x.shape[0]):
        squares = np.int64(0)
        for i in range(width):
            squares += np.int64(x[t, i]) * np.int64(x[t, i])
        v = max(squares, 1)
        k = (62 - bitlen(v)) >> 1
        f = (np.int64(1) << 61) // isqrt(v << 2 * k)
        for i in range(width):
            y[t, i] = shift_half_up((np.int64(x[t, i]) << k) * f, shift)


KERNELS = (layernorm_ibert, layernorm_fixed, l2_normalize)
