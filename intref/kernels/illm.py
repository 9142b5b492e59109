"""Twins of ops/illm.py."""

# numba infers the types of the compiled functions.
# mypy: allow-untyped-defs, no-check-untyped-defs

import numpy as np

from intref.kernels.arrays import empty, plain, rows
from intref.kernels.intmath import bitlen, isqrt, shift_half_up
from intref.kernels.jit import jit
from intref.kernels.softmax import row_masks
from intref.kernels.threads import over_rows


@jit
def _nearest(num, den):
    """num / den for num >= 0, ties up."""
    q = num // den
    return q + np.int64(2 * (num - q * den) >= den)


@jit
def _one(m, k):
    """The integer that stands for exp(0), and for one halving."""
    return _nearest(np.int64(1) << k, m + (m >> 1) - (m >> 4))


@jit
def _exp(u, t):
    """t * exp(-u), u >= 0 in units of the scale that t stands for."""
    q = u // t
    return (((q * t - u) >> 1) + t) >> min(q, 31)


def softmax_illm(
    x: np.ndarray, mask: np.ndarray, m: np.ndarray, k: np.ndarray, *, clip: int, bits: int
) -> dict[str, np.ndarray]:
    masks, own = row_masks(mask, x.shape)
    x_rows = rows(x)
    mantissa, exponent = (_by_row(v, x.shape) for v in (m, k))
    p = empty(x_rows.shape, np.int16)
    over_rows(
        lambda i, j: _softmax(x_rows[i:j], masks, own[i:j], mantissa[i:j], exponent[i:j], clip, bits - 1, p[i:j]),
        len(p),
        16 * p.size,
    )
    return {"p": p.reshape(x.shape)}


def _by_row(v: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """v [B H Q 1] or [H] for every row of [B H Q K]."""
    laid = v if v.ndim == 4 else v[:, None, None]
    return plain(np.broadcast_to(laid, (*shape[:3], 1)), np.int64).reshape(-1)


@jit
def _softmax(x, masks, own, m, k, clip, fraction, p):
    keys = x.shape[1]
    e = np.empty(keys, np.int64)
    for i in range(x.shape[0]):
        mask = masks[own[i]]
        top = np.int64(-(1 << 31))
        for j in range(keys):
            if mask[j]:
                top = max(top, np.int64(x[i, j]))
        t, furthest = _one(m[i], k[i]), _nearest(np.int64(clip) << k[i], m[i])
        total = np.int64(0)
        for j in range(keys):
            e[j] = _exp(min(top - x[i, j], furthest), t) if mask[j] else 0
            total += e[j]
        for j in range(keys):
            p[i, j] = _nearest(e[j] << fraction, max(total, 1))


def swiglu_illm(gate: np.ndarray, up: np.ndarray, m: np.ndarray, k: np.ndarray, *, bits: int) -> dict[str, np.ndarray]:
    x, by = rows(gate, np.int32), rows(up, np.int32)
    mantissa, exponent = plain(m, np.int64).reshape(-1), plain(k, np.int64).reshape(-1)
    y = empty(x.shape, np.int64)
    over_rows(lambda i, j: _swiglu(x[i:j], by[i:j], mantissa[i:j], exponent[i:j], bits - 1, y[i:j]), len(y), 8 * y.size)
    return {"y": y.reshape(gate.shape)}


@jit
def _swiglu(gate, up, m, k, fraction, y):
    for i in range(gate.shape[0]):
        t = _one(m[i], k[i])
        for d in range(gate.shape[1]):
            x = np.int64(gate[i, d])
            e = _exp(abs(x), t)
            y[i, d] = x * _nearest((t if x >= 0 else e) << fraction, t + e) * up[i, d]


def rmsnorm_illm(x: np.ndarray, *, top: int, fraction: int) -> dict[str, np.ndarray]:
    return _norm(x, 1, 0, top, fraction)


def layernorm_illm(x: np.ndarray, *, top: int, fraction: int) -> dict[str, np.ndarray]:
    return _norm(x, x.shape[-1], 1, top, fraction)


def _norm(x: np.ndarray, times: int, centred: int, top: int, fraction: int) -> dict[str, np.ndarray]:
    """Rows of times * x, less their sum where centred is 1, over their rms."""
    x_rows = rows(x)
    y = empty(x_rows.shape, np.int64)
    over_rows(lambda i, j: _over_rms(x_rows[i:j], times, centred, top, fraction, y[i:j]), len(y), 8 * y.size)
    return {"y": y.reshape(x.shape)}


@jit
def _over_rms(x, times, centred, top, fraction, y):
    width = x.shape[1]
    for i in range(x.shape[0]):
        total = np.int64(0)
        for d in range(width):
            total += centred * x[i, d]
        peak = np.int64(0)
        for d in range(width):
            y[i, d] = times * np.int64(x[i, d]) - total
            peak = max(peak, abs(y[i, d]))
        lift = top + 1 - bitlen(peak)
        high = low = np.int64(0)  # of the sum of the squares, high * 2**26 + low, which may pass 2**63
        for d in range(width):
            y[i, d] = shift_half_up(y[i, d] << max(lift, 0), max(-lift, 0))
            high += y[i, d] * y[i, d] >> 26
            low += y[i, d] * y[i, d] & ((1 << 26) - 1)
        whole = high // width
        rms = max(isqrt((whole << 26) + _nearest(((high - whole * width) << 26) + low, width)), 1)
        for d in range(width):
            size = _nearest(abs(y[i, d]) << fraction, rms)
            y[i, d] = size if y[i, d] >= 0 else -size


def requantize_illm(x: np.ndarray, m: np.ndarray, k: np.ndarray, *, bits: int) -> dict[str, np.ndarray]:
    x_rows = rows(x)
    mantissa, exponent = plain(m, np.int64).reshape(-1), plain(k, np.int64).reshape(-1)
    y, zero = empty(x_rows.shape, np.uint8), empty(len(x_rows), np.int64)
    m_y, k_y = empty(len(x_rows), np.int32), empty(len(x_rows), np.int8)
    over_rows(
        lambda i, j: _requantize(
            x_rows[i:j], mantissa[i:j], exponent[i:j], bits, y[i:j], zero[i:j], m_y[i:j], k_y[i:j]
        ),
        len(y),
        4 * y.size,
    )
    of_row = (*x.shape[:-1], 1)
    outputs: dict[str, np.ndarray] = {"zero_point": zero, "m_y": m_y, "k_y": k_y}
    return {"y": y.reshape(x.shape), **{name: v.reshape(of_row) for name, v in outputs.items()}}


@jit
def _requantize(x, m, k, bits, y, zero, m_y, k_y):
    n = (np.int64(1) << bits) - 1
    for i in range(x.shape[0]):
        low = high = np.int64(x[i, 0])
        for d in range(x.shape[1]):
            low, high = min(low, np.int64(x[i, d])), max(high, np.int64(x[i, d]))
        span = max(high - low, 1)
        for d in range(x.shape[1]):
            y[i, d] = _nearest((x[i, d] - low) * n, span)
        size = _nearest(abs(low) * n, span)
        zero[i] = -size if low > 0 else size
        e = 7 + bits - bitlen(span * m[i])
        e += np.int64(_scaled(span * m[i], n, e) < 128)
        m_y[i], k_y[i] = _scaled(span * m[i], n, e), k[i] + e


@jit
def _scaled(num, den, e):
    """num * 2**e / den to the nearest integer."""
    return _nearest(num << max(e, 0), den << max(-e, 0))


KERNELS = (softmax_illm, swiglu_illm, rmsnorm_illm, layernorm_illm, requantize_illm)
