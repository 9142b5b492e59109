"""Twins of ops/onnx.py: float32 arithmetic on bit patterns, scalar by scalar."""

# numba infers the types of the compiled functions.
# mypy: allow-untyped-defs, no-check-untyped-defs

import numpy as np

from intref.kernels.arrays import along, plain, rows
from intref.kernels.intmath import bitlen, half_even_shift
from intref.kernels.jit import jit
from intref.kernels.softmax import row_masks
from intref.kernels.threads import over_rows

COST = 32  # elementary steps of one float32 operation


@jit
def _split(pattern):
    """(sign, significand, exponent), sign 0 or 1."""
    biased = pattern >> 23 & 255
    return pattern >> 31 & 1, (pattern & 0x7FFFFF) + (min(biased, 1) << 23), max(biased, 1) - 150


@jit
def _pack(sign, size, exponent):
    """The float32 nearest size * 2**exponent, 0 <= size < 2**50."""
    if size == 0:
        return -sign << 31
    drop = max(bitlen(size) - 24, -149 - exponent)
    kept = half_even_shift(size, min(drop, 51)) if drop > 0 else size << -drop
    return min(kept + (exponent + drop + 149 << 23), 0x7F800000) - (sign << 31)


@jit
def _from_int(x):
    return _pack(x >> 63 & 1, abs(x), np.int64(0))


@jit
def _to_int(pattern):
    sign, size, exponent = _split(pattern)
    if exponent >= 0:
        size <<= min(exponent, 16)
    else:
        size = half_even_shift(size, min(-exponent, 25))
    return -size if sign else size


@jit
def _multiply(a, b):
    a_sign, a_size, a_exponent = _split(a)
    b_sign, b_size, b_exponent = _split(b)
    return _pack(a_sign ^ b_sign, a_size * b_size, a_exponent + b_exponent)


@jit
def _divide(a, b):
    a_sign, a_size, a_exponent = _split(a)
    b_sign, b_size, b_exponent = _split(b)
    up = 50 - bitlen(a_size)
    numerator = a_size << up
    quotient = numerator // b_size
    if quotient * b_size != numerator:
        quotient |= 1
    return _pack(a_sign ^ b_sign, quotient, a_exponent - b_exponent - up)


@jit
def _add(a, b):
    if a & 0x7FFFFFFF < b & 0x7FFFFFFF:
        a, b = b, a
    sign, size, exponent = _split(a)
    b_sign, b_size, b_exponent = _split(b)
    gap = min(exponent - b_exponent, 27)
    b_size <<= 3
    below = b_size >> gap
    if below << gap != b_size:
        below |= 1
    total = (size << 3) + (below if sign == b_sign else -below)
    return _pack(sign if total else sign & b_sign, total, exponent - 3)


@jit
def _odd_shift(x, shift):
    """x / 2**shift for x >= 0 to an integer, which is odd where anything is dropped."""
    shift = min(shift, 62)
    kept = x >> shift
    return kept | np.int64(kept << shift != x)


@jit
def _multiply_add(a, b, c):
    """The float32 nearest a * b + c, rounded once."""
    a_sign, a_size, a_exponent = _split(a)
    b_sign, b_size, b_exponent = _split(b)
    sign, size = a_sign ^ b_sign, a_size * b_size
    if size == 0:
        return _add(-sign << 31, c)
    c_sign, c_size, exponent = _split(c)
    up = 49 - bitlen(size)
    size, c_size = size << up, c_size << 25
    exponent -= 25
    above = a_exponent + b_exponent - up - exponent
    if above > 0:
        c_size, exponent = _odd_shift(c_size, above), exponent + above
    else:
        size = _odd_shift(size, -above)
    total = (-size if sign else size) + (-c_size if c_sign else c_size)
    return _pack(np.int64(total < 0), abs(total), exponent)


@jit
def _place(x):
    return -(np.int64(1) << 31) - x if x < 0 else x


def quantize_fp32(
    x: np.ndarray, scale: np.ndarray, zero_point: np.ndarray, *, output: str, low: int, high: int, axis: int
) -> dict[str, np.ndarray]:
    moved = np.moveaxis(x, axis, -1)
    x_rows, s, z = rows(moved), along(scale, moved.shape[-1]), along(zero_point, moved.shape[-1])
    y = np.empty(x_rows.shape, output)
    over_rows(lambda i, j: _quantize(x_rows[i:j], s, z, low, high, y[i:j]), len(y), COST * y.size)
    return {"y": plain(np.moveaxis(y.reshape(moved.shape), -1, axis))}


@jit
def _quantize(x, scale, zero_point, low, high, y):
    for t in range(x.shape[0]):
        for i in range(x.shape[1]):
            whole = _to_int(_divide(np.int64(x[t, i]), scale[i]))
            y[t, i] = min(max(whole + zero_point[i], low), high)


def dequantize_fp32(x: np.ndarray, scale: np.ndarray, zero_point: np.ndarray, *, axis: int) -> dict[str, np.ndarray]:
    moved = np.moveaxis(x, axis, -1)
    x_rows, s, z = rows(moved, np.int32), along(scale, moved.shape[-1]), along(zero_point, moved.shape[-1])
    y = np.empty(x_rows.shape, np.int32)
    over_rows(lambda i, j: _dequantize(x_rows[i:j], s, z, y[i:j]), len(y), COST * y.size)
    return {"y": plain(np.moveaxis(y.reshape(moved.shape), -1, axis))}


@jit
def _dequantize(x, scale, zero_point, y):
    for t in range(x.shape[0]):
        for i in range(x.shape[1]):
            y[t, i] = _multiply(_from_int(np.int64(x[t, i]) - zero_point[i]), scale[i])


def add_fp32(a: np.ndarray, b: np.ndarray) -> dict[str, np.ndarray]:
    left, right = rows(a), rows(b)
    y = np.empty(left.shape, np.int32)
    over_rows(lambda i, j: _sums(left[i:j], right[i:j], y[i:j]), len(y), COST * y.size)
    return {"y": y.reshape(a.shape)}


@jit
def _sums(a, b, y):
    for t in range(a.shape[0]):
        for i in range(a.shape[1]):
            y[t, i] = _add(np.int64(a[t, i]), np.int64(b[t, i]))


def dynamic_quantize(x: np.ndarray) -> dict[str, np.ndarray]:
    x_rows = rows(x)
    y, scale, zero_point = (
        np.empty(x_rows.shape, np.uint8),
        np.empty(len(x_rows), np.int32),
        np.empty(len(x_rows), np.uint8),
    )
    over_rows(lambda i, j: _dynamic(x_rows[i:j], y[i:j], scale[i:j], zero_point[i:j]), len(y), COST * y.size)
    one = (*x.shape[:-1], 1)
    return {"y": y.reshape(x.shape), "scale": scale.reshape(one), "zero_point": zero_point.reshape(one)}


@jit
def _dynamic(x, y, scale, zero_point):
    for t in range(x.shape[0]):
        least, most = np.int64(0), np.int64(0)
        for i in range(x.shape[1]):
            place = _place(np.int64(x[t, i]))
            least, most = min(least, place), max(most, place)
        span = _add(most, -least)
        s = _divide(span, np.int64(0x437F0000)) if span else np.int64(0x3F800000)
        zero = min(_to_int(_divide(-least, s)), 255)
        for i in range(x.shape[1]):
            y[t, i] = min(max(_to_int(_divide(np.int64(x[t, i]), s)) + zero, 0), 255)
        scale[t], zero_point[t] = s, zero


def quantize_token_fp32(x: np.ndarray, *, by: str) -> dict[str, np.ndarray]:
    x_rows = rows(x)
    q, scale = np.empty(x_rows.shape, np.int8), np.empty(len(x_rows), np.int32)
    over_rows(lambda i, j: _token(x_rows[i:j], by == "quotient", q[i:j], scale[i:j]), len(q), COST * q.size)
    return {"q": q.reshape(x.shape), "scale": scale.reshape(*x.shape[:-1], 1)}


@jit
def _token(x, by_quotient, q, scale):
    for t in range(x.shape[0]):
        peak = np.int64(0)
        for i in range(x.shape[1]):
            peak = max(peak, np.int64(x[t, i]) & 0x7FFFFFFF)
        s = _divide(peak, np.int64(0x42FE0000))
        scale[t] = s
        reciprocal = _divide(np.int64(0x42FE0000), peak) if peak else np.int64(0)
        for i in range(x.shape[1]):
            if peak == 0:
                q[t, i] = 0
            elif by_quotient:
                q[t, i] = _to_int(_divide(np.int64(x[t, i]), s))
            else:
                q[t, i] = _to_int(_multiply(np.int64(x[t, i]), reciprocal))


def epilogue_fp32(
    x: np.ndarray, token: np.ndarray, channel: np.ndarray, bias: np.ndarray, *, order: str, contract: str
) -> dict[str, np.ndarray]:
    x_rows, tokens = rows(x), plain(token, np.int64).reshape(-1)
    c, b = plain(channel, np.int64), plain(bias, np.int64)
    y = np.empty(x_rows.shape, np.int32)
    code, fused = ("token_first", "channel_first", "scales_first").index(order), contract == "fma"
    over_rows(lambda i, j: _epilogue(x_rows[i:j], tokens[i:j], c, b, code, fused, y[i:j]), len(y), 3 * COST * y.size)
    return {"y": y.reshape(x.shape)}


@jit
def _epilogue(x, token, channel, bias, order, fused, y):
    for t in range(x.shape[0]):
        for i in range(x.shape[1]):
            p, q = _from_int(np.int64(x[t, i])), channel[i]
            if order == 0:
                p = _multiply(p, token[t])
            elif order == 1:
                p, q = _multiply(p, q), token[t]
            else:
                q = _multiply(token[t], q)
            y[t, i] = _multiply_add(p, q, bias[i]) if fused else _add(_multiply(p, q), bias[i])


def qlinear_softmax(
    x: np.ndarray, mask: np.ndarray, table: np.ndarray, *, factor: int, zero_point: int, output: str
) -> dict[str, np.ndarray]:
    masks, own = row_masks(mask, x.shape)
    x_rows, entries, highest = rows(x), plain(table, np.int64), np.iinfo(output).max
    y = np.empty(x_rows.shape, output)
    over_rows(
        lambda i, j: _softmax(x_rows[i:j], masks, own[i:j], entries, factor, zero_point, highest, y[i:j]),
        len(y),
        COST * y.size,
    )
    return {"y": y.reshape(x.shape)}


@jit
def _softmax(x, masks, own, table, factor, zero_point, highest, y):
    keys = x.shape[1]
    codes = np.empty(256, np.int64)
    for t in range(x.shape[0]):
        mask = masks[own[t]]
        top = np.int64(-128)
        for k in range(keys):
            if mask[k]:
                top = max(top, np.int64(x[t, k]))
        total = np.int64(0)
        for k in range(keys):
            if mask[k]:
                total = _add(total, table[np.uint64(top - x[t, k])])
        total = max(total, np.int64(0x3F800000))
        for d in range(256):
            codes[d] = -1  # not known yet
        for k in range(keys):
            if mask[k]:
                d = np.uint64(top - x[t, k])
                if codes[d] < 0:
                    codes[d] = _share(table[d], total, factor)
                y[t, k] = min(codes[d] + zero_point, highest)
            else:
                y[t, k] = zero_point


@jit
def _share(e, total, factor):
    """e * factor / total to the nearest integer, ties to even; 0 <= e <= total, total at least 1."""
    _, size, exponent = _split(e)
    _, total_size, total_exponent = _split(total)
    numerator = size * factor
    denominator = total_size << min(total_exponent - exponent, 18)
    q = numerator // denominator
    twice = 2 * (numerator - q * denominator)
    return q + (twice > denominator or (twice == denominator and q & 1 == 1))


def qlinear_add(
    a: np.ndarray,
    b: np.ndarray,
    *,
    a_scale: int,
    b_scale: int,
    a_zero_point: int,
    b_zero_point: int,
    y_zero_point: int,
    output: str,
) -> dict[str, np.ndarray]:
    left, right, ends = rows(a), rows(b), np.iinfo(output)
    zeros = np.array([a_zero_point, b_zero_point, y_zero_point])
    y = np.empty(left.shape, output)
    over_rows(
        lambda i, j: _fused(left[i:j], right[i:j], a_scale, b_scale, zeros, ends.min, ends.max, y[i:j]),
        len(y),
        COST * y.size,
    )
    return {"y": y.reshape(a.shape)}


@jit
def _fused(a, b, a_scale, b_scale, zeros, low, high, y):
    zero = _nearest(a_scale * zeros[0] + _nearest(b_scale * zeros[1]))
    offset = _nearest((zeros[2] << 37) - zero)
    for t in range(a.shape[0]):
        for i in range(a.shape[1]):
            v = _nearest(a_scale * np.int64(a[t, i]) + _nearest(b_scale * np.int64(b[t, i]) + offset))
            y[t, i] = min(max(half_even_shift(v, 37), low), high)


@jit
def _nearest(x):
    """The nearest integer of 24 bits and zeros."""
    drop = bitlen(abs(x)) - 24
    return half_even_shift(x, drop) << drop if drop > 0 else x


KERNELS = (
    quantize_fp32,
    dequantize_fp32,
    add_fp32,
    dynamic_quantize,
    quantize_token_fp32,
    epilogue_fp32,
    qlinear_softmax,
    qlinear_add,
)
