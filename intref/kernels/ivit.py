"""Twins of ops/ivit.py."""

# numba infers the types of the compiled functions.
# mypy: allow-untyped-defs, no-check-untyped-defs

import numpy as np

from intref.kernels.arrays import empty, plain, rows
from intref.kernels.intmath import wrap_int32
from intref.kernels.jit import jit
from intref.kernels.softmax import row_masks
from intref.kernels.threads import over_rows

MAX31 = (1 << 31) - 1
STEPS = 10


def _narrow(x: np.ndarray) -> np.ndarray:
    """Rows of int32, so that one function is compiled for every dtype."""
    return rows(x.astype(np.int32, copy=False))


@jit
def _power(d, q, k, one, tvm):
    r = d + q * one
    return ((r >> 1) + one) << k if tvm else (r + 2 * one) << k >> 1


@jit
def _exponential(d, one, halvings, tvm):
    """exp(d) for d <= 0."""
    t = max(d + (d >> 1) - (d >> 4), -halvings * one)
    q = -t // one
    return _power(t, q, halvings - q, one, tvm)


def softmax_ivit(
    x: np.ndarray, mask: np.ndarray, *, one: int, halvings: int, bits: int, form: str
) -> dict[str, np.ndarray]:
    masks, own = row_masks(mask, x.shape)
    x_rows, tvm = _narrow(x), form == "tvm"
    p = empty(x_rows.shape, np.int16)
    over_rows(
        lambda i, j: _softmax(x_rows[i:j], masks, own[i:j], one, halvings, bits, tvm, MAX31, p[i:j]), len(p), 8 * p.size
    )
    return {"p": p.reshape(x.shape)}


@jit
def _softmax(x, masks, own, one, halvings, bits, tvm, most, p):
    keys = x.shape[1]
    e = np.empty(keys, np.int64)
    for t in range(x.shape[0]):
        mask = masks[own[t]]
        top = np.int64(-(1 << 31))
        for k in range(keys):
            if mask[k]:
                top = max(top, np.int64(x[t, k]))
        total = np.int64(0)
        for k in range(keys):
            e[k] = _exponential(x[t, k] - top, one, halvings, tvm) if mask[k] else 0
            total += e[k]
        f = most // max(min(total, most), 1)
        for k in range(keys):
            p[t, k] = e[k] * f >> (32 - bits)


def gelu_ivit(x: np.ndarray, *, one: int, halvings: int, bits: int, form: str) -> dict[str, np.ndarray]:
    x_rows, tvm = _narrow(x), form == "tvm"
    y = empty(x_rows.shape, np.int32)
    over_rows(lambda i, j: _gelu(x_rows[i:j], one, halvings, bits, tvm, MAX31, y[i:j]), len(y), 8 * y.size)
    return {"y": y.reshape(x.shape)}


@jit
def _gelu(x, one, halvings, bits, tvm, most, y):
    for t in range(x.shape[0]):
        top = np.int64(x[t, 0])
        for i in range(x.shape[1]):
            top = max(top, np.int64(x[t, i]))
        d = max(-top + (-top >> 1) - (-top >> 4), -halvings * one)
        q = -(d // one) if tvm and d > 0 else -d // one
        zero = _power(d, q, min(halvings - q, 31), one, tvm)
        for i in range(x.shape[1]):
            e = _exponential(x[t, i] - top, one, halvings, tvm)
            y[t, i] = x[t, i] * (e * (most // min(e + zero, most)) >> (32 - bits))


def layernorm_ivit(x: np.ndarray, bias: np.ndarray, *, form: str) -> dict[str, np.ndarray]:
    x_rows, bias, norm = rows(x), plain(bias), _tvm_norm if form == "tvm" else _norm
    y = empty(x_rows.shape, np.int64)
    over_rows(lambda a, b: norm(x_rows[a:b], bias, MAX31, STEPS, y[a:b]), len(y), 2 * y.size)
    return {"y": y.reshape(x.shape)}


@jit
def _quotient(v, most, steps):
    """most over the root of v, as far as Newton's method gets."""
    sigma = np.int64(1 << 16)
    for _ in range(steps):
        sigma = (sigma + v // sigma) >> 1
    return most // sigma


@jit
def _norm(x, bias, most, steps, y):
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
            c = x[t, i] - mean
            squares += c * c
        f = _quotient(squares, most, steps)
        for i in range(width):
            y[t, i] = ((x[t, i] - mean) * f >> 1) + bias[i]


@jit
def _tvm_norm(x, bias, most, steps, y):
    width = x.shape[1]
    for t in range(x.shape[0]):
        total = np.int64(0)
        for i in range(width):
            total += x[t, i]
        mean = total // width + np.int64(total < 0 and total % width != 0)
        squares = np.int64(0)
        for i in range(width):
            c = x[t, i] - mean
            squares += c * c
        f = _quotient(squares & 0xFFFFFFFF, most, steps)
        for i in range(width):
            scaled = wrap_int32((x[t, i] - mean) * f)
            y[t, i] = wrap_int32(((scaled + (scaled < 0)) >> 1) + bias[i])


KERNELS = (softmax_ivit, gelu_ivit, layernorm_ivit)
