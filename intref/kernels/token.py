"""Twins of ops/token.py."""

# numba infers the types of the compiled functions.
# mypy: allow-untyped-defs, no-check-untyped-defs

import numpy as np

from intref.kernels.arrays import empty, plain, rows
from intref.kernels.intmath import bitlen
from intref.kernels.jit import jit
from intref.kernels.threads import over_rows


def quantize_token(x: np.ndarray) -> dict[str, np.ndarray]:
    x_rows = rows(x, np.int32)
    q = empty(x_rows.shape, np.int8)
    mantissa, exponent = empty(len(q), np.int16), empty(len(q), np.int8)
    over_rows(lambda a, b: _quantize(x_rows[a:b], q[a:b], mantissa[a:b], exponent[a:b]), len(q), q.size)
    scale_shape = (*x.shape[:-1], 1)
    return {
        "q": q.reshape(x.shape),
        "mantissa": mantissa.reshape(scale_shape),
        "exponent": exponent.reshape(scale_shape),
    }


@jit
def _quantize(x, q, mantissa, exponent):
    for t in range(x.shape[0]):
        peak = np.int64(1)
        for i in range(x.shape[1]):
            peak = max(peak, abs(np.int64(x[t, i])))
        e = max(bitlen(peak) - 15, 0)
        a = (peak + (np.int64(1) << e) - 1) >> e
        over = a >> 15
        scale = a << e
        mantissa[t], exponent[t] = a >> over, e + over
        # n = 127 * x + scale // 2 + 127 * scale is in [0, 254.5 * scale], and reciprocal * scale exceeds 2**54 by at
        # most scale: the quotient is too large by at most 254.5 * scale / 2**54 < 1 / scale, since scale <= 2**23.
        reciprocal = (np.int64(1) << 54) // scale + 1
        offset = (scale >> 1) + 127 * scale
        for i in range(x.shape[1]):
            q[t, i] = ((127 * np.int64(x[t, i]) + offset) * reciprocal >> 54) - 127


def rescale_token(
    x: np.ndarray, mantissa: np.ndarray, exponent: np.ndarray, multiplier: np.ndarray, shift: np.ndarray,
    bias: np.ndarray, *, output: str, low: int, high: int,
) -> dict[str, np.ndarray]:  # fmt: skip
    x_rows, m, e = rows(x), plain(mantissa, np.int64).reshape(-1), plain(exponent, np.int64).reshape(-1)
    channels = tuple(plain(v, np.int64) for v in (multiplier, shift, bias))
    y = empty(x_rows.shape, output)
    over_rows(lambda a, b: _rescale(x_rows[a:b], m[a:b], e[a:b], channels, low, high, y[a:b]), len(y), y.size)
    return {"y": y.reshape(x.shape)}


@jit
def _rescale(x, mantissa, exponent, channels, low, high, y):
    multiplier, shift, bias = channels
    for t in range(x.shape[0]):
        for i in range(x.shape[1]):
            v = (x[t, i] * mantissa[t] * multiplier[i] >> (shift[i] - exponent[t])) + bias[i]
            y[t, i] = min(max((v + 128) >> 8, low), high)


def rescale_token_residual(
    x: np.ndarray, mantissa: np.ndarray, exponent: np.ndarray, multiplier: np.ndarray, shift: np.ndarray,
    bias: np.ndarray, residual: np.ndarray, residual_multiplier: np.ndarray, residual_shift: np.ndarray,
    *, output: str, low: int, high: int,
) -> dict[str, np.ndarray]:  # fmt: skip
    x_rows, m, e = rows(x), plain(mantissa, np.int64).reshape(-1), plain(exponent, np.int64).reshape(-1)
    channels = tuple(plain(v, np.int64) for v in (multiplier, shift, bias))
    other, scale = rows(residual), (int(residual_multiplier[0]), int(residual_shift[0]))
    y = empty(x_rows.shape, output)
    over_rows(
        lambda a, b: _rescale_residual(x_rows[a:b], m[a:b], e[a:b], channels, other[a:b], *scale, low, high, y[a:b]),
        len(y),
        2 * y.size,
    )
    return {"y": y.reshape(x.shape)}


@jit
def _rescale_residual(x, mantissa, exponent, channels, other, other_multiplier, other_shift, low, high, y):
    multiplier, shift, bias = channels
    for t in range(x.shape[0]):
        for i in range(x.shape[1]):
            v = (x[t, i] * mantissa[t] * multiplier[i] >> (shift[i] - exponent[t])) + bias[i]
            v += other[t, i] * other_multiplier >> other_shift
            y[t, i] = min(max((v + 128) >> 8, low), high)


KERNELS = (quantize_token, rescale_token, rescale_token_residual)
