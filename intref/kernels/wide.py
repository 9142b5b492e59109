"""Twins of ops/wide.py."""

# numba infers the types of the compiled functions.
# mypy: allow-untyped-defs, no-check-untyped-defs

import numpy as np

from intref.kernels.arrays import empty, plain, rows
from intref.kernels.intmath import bitlen, isqrt, shift_half_up
from intref.kernels.jit import jit
from intref.kernels.softmax import row_masks
from intref.kernels.threads import over_rows

WIDE = (1 << 47) - 1
LOW = (1 << 24) - 1


@jit
def _times(x, m, shift):
    """half_up(x * m / 2**shift), shift >= 48."""
    x_high, x_low, m_high, m_low = x >> 24, x & LOW, m >> 24, m & LOW
    middle = x_high * m_low + x_low * m_high + (x_low * m_low >> 24)
    return shift_half_up(2 * x_high * m_high + (middle >> 23), shift - 47)


@jit
def _floor48(x, m):
    """floor(x * m / 2**48)."""
    x_high, x_low, m_high, m_low = x >> 24, x & LOW, m >> 24, m & LOW
    return x_high * m_high + ((x_high * m_low + x_low * m_high + (x_low * m_low >> 24)) >> 24)


def _limbs(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The upper limb and the lower one, each in int32, so that their products are of 32 bits by 32."""
    return (x >> 24).astype(np.int32), (x & LOW).astype(np.int32)


def linear_wide(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, *, shift: int) -> dict[str, np.ndarray]:
    x_rows, w_rows, bias = rows(x), rows(weight), plain(bias)
    w_high, w_low = _limbs(w_rows)
    y = empty((len(x_rows), len(w_rows)), np.int64)

    def task(i: int, j: int) -> None:
        _linear(*_limbs(x_rows[i:j]), w_high, w_low, bias, shift, y[i:j])

    over_rows(task, len(y), x_rows.size * len(w_rows))
    return {"y": y.reshape(*x.shape[:-1], -1)}


@jit
def _linear(x_high, x_low, w_high, w_low, bias, shift, y):
    for n in range(w_high.shape[0]):
        for t in range(x_high.shape[0]):
            v = _dot(x_high[t], x_low[t], w_high[n], w_low[n], shift) + bias[n]
            y[t, n] = min(max(v, -WIDE), WIDE)


@jit
def _dot(a_high, a_low, b_high, b_low, shift):
    high, middle, low = np.int64(0), np.int64(0), np.int64(0)
    for k in range(a_high.shape[0]):
        ah, al, bh, bl = np.int64(a_high[k]), np.int64(a_low[k]), np.int64(b_high[k]), np.int64(b_low[k])
        high += ah * bh
        middle += ah * bl + al * bh
        low += al * bl
    return shift_half_up(2 * high + ((middle + (low >> 24)) >> 23), shift - 47)


def matmul_wide(a: np.ndarray, b: np.ndarray, *, shift: int) -> dict[str, np.ndarray]:
    *lead, _, terms = a.shape
    left, right = plain(a).reshape(-1, *a.shape[-2:]), plain(np.swapaxes(b, -1, -2)).reshape(-1, b.shape[-1], terms)
    y = empty((len(left), a.shape[-2], b.shape[-1]), np.int64)
    zero = np.zeros(b.shape[-1], np.int64)

    def task(i: int, j: int) -> None:
        for each in range(i, j):
            _linear(*_limbs(left[each]), *_limbs(right[each]), zero, shift, y[each])

    over_rows(task, len(y), y.size * terms)
    return {"y": y.reshape(*lead, *y.shape[1:])}


def add_wide(a: np.ndarray, b: np.ndarray, *, a_shift: int, b_shift: int, shift: int) -> dict[str, np.ndarray]:
    total = (plain(a) << a_shift) + (plain(b) << b_shift)
    return {"y": np.clip((total + (1 << shift >> 1)) >> shift, -WIDE, WIDE)}


@jit
def _piecewise(x, coefficients, fraction):
    """The polynomial of x's cell of 1/32, 0 beyond the last cell."""
    width = fraction - 5
    cell = x >> width
    if cell >= coefficients.shape[0]:
        return np.int64(0)
    t = ((x - (cell << width)) << (48 - width)) - (np.int64(1) << 47)
    y = coefficients[cell, 6]
    for back in range(6):
        y = _times(y, t, 48) + coefficients[cell, 5 - back]
    return y


@jit
def _reciprocal(v):
    """2**95 / v, 2**47 <= v < 2**48."""
    g = (np.int64(1) << 62) // (v >> 17)
    return (g << 16) + (g * ((np.int64(1) << 47) - _floor48(v, g << 16)) >> 31)


@jit
def _inverse_root(v):
    """2**78 / sqrt(v), 2**60 <= v < 2**62."""
    g = (np.int64(1) << 61) // isqrt(v)
    h = g << 17
    return h + (g * ((np.int64(1) << 46) - _floor48(v >> 14, _floor48(h, h))) >> 30)


def softmax_wide(
    x: np.ndarray, mask: np.ndarray, coefficients: np.ndarray, *, multiplier: int, shift: int, fraction: int
) -> dict[str, np.ndarray]:
    masks, own = row_masks(mask, x.shape)
    x_rows, entries = rows(x), plain(coefficients)
    p = empty(x_rows.shape, np.int64)

    def task(i: int, j: int) -> None:
        _softmax(x_rows[i:j], masks, own[i:j], entries, multiplier, shift, fraction, p[i:j])

    over_rows(task, len(p), 32 * p.size)
    return {"p": p.reshape(x.shape)}


@jit
def _softmax(x, masks, own, coefficients, multiplier, shift, fraction, p):
    keys = x.shape[1]
    for row in range(x.shape[0]):
        mask = masks[own[row]]
        top = np.int64(-WIDE)
        for k in range(keys):
            if mask[k]:
                top = max(top, x[row, k])
        total = np.int64(0)
        for k in range(keys):
            e = np.int64(0)
            if mask[k]:
                u = _floor48(top - x[row, k], np.int64(multiplier)) >> (shift - 48)
                n = u >> fraction
                mantissa = _piecewise(u - (n << fraction), coefficients, fraction)
                e = shift_half_up(min(max(mantissa, 0), np.int64(1) << 48), min(n, 62))
            p[row, k] = e
            total += e
        total = max(total, np.int64(1) << 47)
        s = bitlen(total) - 48
        r = _reciprocal(total >> s)
        for k in range(keys):
            p[row, k] = _times(p[row, k], r, 49 + s)


@jit
def _unit(c, eps, most):
    """A row times 2**46 / sqrt(sum of squares + epsilon), in place."""
    peak, high, middle, low = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for d in range(c.shape[0]):
        peak = max(peak, abs(c[d]))
    k = min(48 - bitlen(peak), most)
    for d in range(c.shape[0]):
        c[d] <<= k
        upper, lower = c[d] >> 24, c[d] & LOW
        high += upper * upper
        middle += upper * lower
        low += lower * lower
    v = high + ((2 * middle + (low >> 24)) >> 24) + shift_half_up(np.int64(eps), min(2 * (most - k), 62))
    v = max(v, np.int64(1) << 46)
    j = (62 - bitlen(v)) >> 1
    r = _inverse_root(v << 2 * j)
    for d in range(c.shape[0]):
        c[d] = _times(c[d], r, 56 - j)


def layernorm_wide(
    x: np.ndarray, gain: np.ndarray, bias: np.ndarray, *, eps: int, most: int, shift: int
) -> dict[str, np.ndarray]:
    x_rows, gain, bias = rows(x), plain(gain), plain(bias)
    y = empty(x_rows.shape, np.int64)
    over_rows(lambda i, j: _layernorm(x_rows[i:j], gain, bias, eps, most, shift, y[i:j]), len(y), 16 * y.size)
    return {"y": y.reshape(x.shape)}


@jit
def _layernorm(x, gain, bias, eps, most, shift, y):
    width = x.shape[1]
    for t in range(x.shape[0]):
        total = np.int64(0)
        for d in range(width):
            total += x[t, d]
        mean = (2 * total + width) // (2 * width)
        for d in range(width):
            y[t, d] = x[t, d] - mean
        _unit(y[t], eps, most)
        for d in range(width):
            y[t, d] = min(max(_times(y[t, d], gain[d], shift) + bias[d], -WIDE), WIDE)


def gelu_wide(x: np.ndarray, coefficients: np.ndarray, *, fraction: int) -> dict[str, np.ndarray]:
    x_rows, entries = rows(x), plain(coefficients)
    y = empty(x_rows.shape, np.int64)
    over_rows(lambda i, j: _gelu(x_rows[i:j], entries, fraction, y[i:j]), len(y), 32 * y.size)
    return {"y": y.reshape(x.shape)}


@jit
def _gelu(x, coefficients, fraction, y):
    for t in range(x.shape[0]):
        for d in range(x.shape[1]):
            v = x[t, d]
            v = max(v, 0) - shift_half_up(_piecewise(abs(v), coefficients, fraction), 48 - fraction)
            y[t, d] = min(max(v, -WIDE), WIDE)


def tanh_wide(x: np.ndarray, coefficients: np.ndarray, *, fraction: int) -> dict[str, np.ndarray]:
    x_rows, entries = rows(x), plain(coefficients)
    y = empty(x_rows.shape, np.int64)
    over_rows(lambda i, j: _tanh(x_rows[i:j], entries, fraction, y[i:j]), len(y), 32 * y.size)
    return {"y": y.reshape(x.shape)}


@jit
def _tanh(x, coefficients, fraction, y):
    for t in range(x.shape[0]):
        for d in range(x.shape[1]):
            v = (np.int64(1) << 46) - shift_half_up(_piecewise(abs(x[t, d]), coefficients, fraction), 2)
            y[t, d] = -v if x[t, d] < 0 else v


def mean_pool_wide(x: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
    total = np.add.reduce(np.where(mask[..., None], plain(x), 0), axis=-2)
    count = np.maximum(np.add.reduce(mask, axis=-1, dtype=np.int64, keepdims=True), 1)
    return {"y": (2 * total + count) // (2 * count)}


def l2_normalize_wide(x: np.ndarray) -> dict[str, np.ndarray]:
    y = np.array(rows(x))
    over_rows(lambda i, j: _l2(y[i:j]), len(y), 16 * y.size)
    return {"y": y.reshape(x.shape)}


@jit
def _l2(y):
    for t in range(y.shape[0]):
        _unit(y[t], 0, 48)


KERNELS = (
    linear_wide,
    matmul_wide,
    add_wide,
    softmax_wide,
    layernorm_wide,
    gelu_wide,
    tanh_wide,
    mean_pool_wide,
    l2_normalize_wide,
)
