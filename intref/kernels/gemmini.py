"""Twins of ops/gemmini.py."""

# numba infers the types of the compiled functions.
# mypy: allow-untyped-defs, no-check-untyped-defs

import numpy as np

from intref.kernels.arrays import empty, rows
from intref.kernels.intmath import bitlen, half_even_shift, isqrt, scale_fp32
from intref.kernels.jit import jit
from intref.kernels.softmax import row_masks
from intref.kernels.threads import over_rows


def softmax_gemmini(x: np.ndarray, mask: np.ndarray, *, ln2: int, b: int, c: int) -> dict[str, np.ndarray]:
    masks, own = row_masks(mask, x.shape)
    x_rows = rows(x, np.int32)
    p = empty(x_rows.shape, np.int8)
    over_rows(lambda i, j: _softmax(x_rows[i:j], masks, own[i:j], ln2, b, c, p[i:j]), len(p), 16 * p.size)
    return {"p": p.reshape(x.shape)}


@jit
def _exponential(d, ln2, b, c):
    z = d * (65536 // ln2) >> 16
    root = z * ln2 - d + b
    return (root * root + c) >> min(z, 31)


@jit
def _softmax(x, masks, own, ln2, b, c, p):
    keys = x.shape[1]
    for t in range(x.shape[0]):
        mask = masks[own[t]]
        top = np.int64(-(1 << 31))
        for k in range(keys):
            if mask[k]:
                top = max(top, np.int64(x[t, k]))
        total = np.int64(0)
        for k in range(keys):
            if mask[k]:
                total += _exponential(top - x[t, k], ln2, b, c)
        significand, exponent = _reciprocal(max(total, 1))
        for k in range(keys):
            p[t, k] = scale_fp32(_exponential(top - x[t, k], ln2, b, c), 1, significand, exponent) if mask[k] else 0


@jit
def _reciprocal(n):
    """127 / n as a float32's significand and exponent."""
    drop = max(bitlen(n) - 24, 0)
    m = half_even_shift(n, drop)
    up = 25 - bitlen(m)
    den = m << up
    more = 42 if den > 127 << 18 else 41
    whole = np.int64(127) << more
    q = whole // den
    rest = 2 * (whole - q * den)
    q += np.int64(rest > den or (rest == den and q & 1 == 1))
    return q, up - drop - more


def gelu_gemmini(x: np.ndarray, *, b: int, c: int, one: int) -> dict[str, np.ndarray]:
    x_rows = rows(x, np.int32)
    y = empty(x_rows.shape, np.int32)
    over_rows(lambda i, j: _gelu(x_rows[i:j], b, c, one, y[i:j]), len(y), y.size)
    return {"y": y.reshape(x.shape)}


@jit
def _gelu(x, b, c, one, y):
    for t in range(x.shape[0]):
        for i in range(x.shape[1]):
            v = np.int64(x[t, i])
            root = min(abs(v), -b) + b
            poly = root * root + c
            y[t, i] = v * ((poly if v > 0 else -poly) + one)  # v = 0 gives 0 whatever the polynomial


def layernorm_gemmini(x: np.ndarray) -> dict[str, np.ndarray]:
    x_rows = rows(x, np.int32)
    y = empty(x_rows.shape, np.int8)
    over_rows(lambda i, j: _layernorm(x_rows[i:j], y[i:j]), len(y), 8 * y.size)
    return {"y": y.reshape(x.shape)}


@jit
def _layernorm(x, y):
    width = x.shape[1]
    for t in range(x.shape[0]):
        total = np.int64(0)
        for i in range(width):
            total += x[t, i]
        mean = total // width if total >= 0 else -(-total // width)
        squares = np.int64(0)
        for i in range(width):
            squares += (x[t, i] - mean) * (x[t, i] - mean)
        sigma = max(isqrt(squares // width), 1)
        for i in range(width):
            centered = x[t, i] - mean
            q = centered // sigma
            rest = 2 * (centered - q * sigma)
            y[t, i] = q + np.int64(rest > sigma or (rest == sigma and q & 1 == 1))


KERNELS = (softmax_gemmini, gelu_gemmini, layernorm_gemmini)
