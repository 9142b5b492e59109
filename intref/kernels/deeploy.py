"""Twins of ops/deeploy.py."""

# numba infers the types of the compiled functions.
# mypy: allow-untyped-defs, no-check-untyped-defs

from collections.abc import Callable

import numpy as np

from intref.kernels.arrays import along, empty, plain, rows
from intref.kernels.intmath import isqrt, wrap_int32
from intref.kernels.jit import jit
from intref.kernels.softmax import row_masks
from intref.kernels.threads import over_rows


@jit
def trunc(a, b):
    """a / b toward zero, for b > 0."""
    return a // b if a >= 0 else -(-a // b)


@jit
def nearest(a, b):
    """a / b to nearest, ties away from zero, for b > 0 and |a| < 2**63."""
    q, rest = abs(a) // b, abs(a) % b
    q += np.int64(rest >= b - rest)
    return q if a >= 0 else -q


@jit
def wrap_int8(x):
    return ((x + 128) & 255) - 128


def requant_shift(
    x: np.ndarray, mul: np.ndarray, add: np.ndarray, *, input_offset: int, shift: int, rounding: str,
    output_offset: int, output: str, low: int, high: int, axis: int,
) -> dict[str, np.ndarray]:  # fmt: skip
    shared = mul.size == add.size == 1
    moved = rows(x if shared else np.moveaxis(x, axis, -1), np.int32)
    mul, add = along(mul, moved.shape[1]), along(add, moved.shape[1])
    half = 1 << shift >> 1 if rounding == "half_up" else 0
    y = empty(moved.shape, output)
    settings = (input_offset, half, shift, output_offset, low, high)
    over_rows(lambda i, j: _requant(moved[i:j], mul, add, settings, y[i:j]), len(y), y.size)
    if shared:
        return {"y": y.reshape(x.shape)}
    y = y.reshape(np.moveaxis(x, axis, -1).shape)
    return {"y": plain(np.moveaxis(y, -1, axis))}


@jit
def _requant(x, mul, add, settings, y):
    input_offset, half, shift, output_offset, low, high = settings
    for t in range(x.shape[0]):
        for i in range(x.shape[1]):
            p = wrap_int32(wrap_int32(x[t, i] + input_offset) * mul[i] + add[i])
            y[t, i] = min(max(wrap_int32((wrap_int32(p + half) >> shift) + output_offset), low), high)


def softmax_deeploy(
    x: np.ndarray, mask: np.ndarray, *, a: int, b: int, c: int, ln2: int, levels: int, output: str
) -> dict[str, np.ndarray]:
    d = np.arange(256)
    halvings = np.minimum(d // ln2, 31)
    exp = a * (halvings * ln2 - d + b) ** 2 + c >> halvings  # of every distance from the maximum
    return _eight_bits(x, mask, output, levels, lambda *block: _softmax(*block, exp, levels - 1))


def _eight_bits(
    x: np.ndarray, mask: np.ndarray, output: str, levels: int, compiled: Callable[..., None]
) -> dict[str, np.ndarray]:
    """Runs compiled(x, masks, own, p) over the rows; p [rows, keys] are probabilities as bytes."""
    masks, own = row_masks(mask, x.shape)
    x_rows = rows(x)
    p = empty(x_rows.shape, np.uint8)
    over_rows(lambda i, j: compiled(x_rows[i:j], masks, own[i:j], p[i:j]), len(p), 4 * p.size)
    p = p.reshape(x.shape)
    return {"p": p if output == "uint8" else (p - np.uint8(levels >> 1)).view(np.int8)}


@jit
def _top(x, mask):
    """The largest x that is attended."""
    top = np.int64(-128)
    for k in range(x.shape[0]):
        if mask[k]:
            top = max(top, np.int64(x[k]))
    return top


@jit
def _softmax(x, masks, own, p, exp, most):
    for t in range(x.shape[0]):
        mask = masks[own[t]]
        top = _top(x[t], mask)
        total = np.int64(0)
        for k in range(x.shape[1]):
            if mask[k]:
                total += exp[top - x[t, k]]
        total = max(total & 0xFFFFFFFF, 1)
        for k in range(x.shape[1]):
            p[t, k] = ((exp[top - x[t, k]] * most & 0xFFFFFFFF) // total) & 255 if mask[k] else 0


def softmax_itamax(x: np.ndarray, mask: np.ndarray, *, levels: int, output: str) -> dict[str, np.ndarray]:
    return _eight_bits(x, mask, output, levels, lambda *block: _itamax(*block, x.shape[-1], (levels - 1) << 8))


def softmax_itamax_partial(
    x: np.ndarray, mask: np.ndarray, *, group: int, levels: int, output: str
) -> dict[str, np.ndarray]:
    return _eight_bits(x, mask, output, levels, lambda *block: _itamax(*block, group, ((levels >> 1) - 1) << 8))


@jit
def _itamax(x, masks, own, p, group, one):
    keys = x.shape[1]
    for t in range(x.shape[0]):
        mask = masks[own[t]]
        top, total = np.int64(-128), np.int64(0)
        for start in range(0, keys, group):
            stop = start + group
            highest = max(top, _top(x[t, start:stop], mask[start:stop]))
            total >>= (highest - top + 16) >> 5
            top = highest
            for k in range(start, stop):
                if mask[k]:
                    total += 256 >> ((top - x[t, k] + 16) >> 5)
        inverse = one // max(total, 256)
        for k in range(keys):
            p[t, k] = inverse >> ((top - x[t, k] + 16) >> 5) if mask[k] else 0


def layernorm_deeploy(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, *, input_offset: int, shift: int, overflow: str
) -> dict[str, np.ndarray]:
    x_rows, weight, bias = rows(x, np.int16), plain(weight), plain(bias)
    y, wrap = empty(x_rows.shape, np.int8), overflow == "wrap"
    over_rows(lambda i, j: _layernorm(x_rows[i:j], weight, bias, input_offset, shift, wrap, y[i:j]), len(y), 4 * y.size)
    return {"y": y.reshape(x.shape)}


@jit
def _layernorm(x, weight, bias, offset, shift, wrap, y):
    width = x.shape[1]
    for t in range(x.shape[0]):
        total = np.int64(0)
        for i in range(width):
            total += x[t, i] + offset
        mean = trunc(total, width) - offset
        squares = np.int64(0)
        for i in range(width):
            squares += (x[t, i] - mean) * (x[t, i] - mean)
        sigma = isqrt(squares // width + 1)
        for i in range(width):
            z = (trunc((x[t, i] - mean) * weight[i], sigma) + bias[i]) >> shift
            y[t, i] = wrap_int8(z) if wrap else min(max(z, -128), 127)


def rmsnorm_deeploy(x: np.ndarray, weight: np.ndarray, *, input_offset: int, shift: int) -> dict[str, np.ndarray]:
    x_rows, weight = rows(x, np.int16), plain(weight)
    y = empty(x_rows.shape, np.int8)
    over_rows(lambda i, j: _rmsnorm(x_rows[i:j], weight, input_offset, shift, y[i:j]), len(y), 4 * y.size)
    return {"y": y.reshape(x.shape)}


@jit
def _rmsnorm(x, weight, offset, shift, y):
    width = x.shape[1]
    for t in range(x.shape[0]):
        squares = np.int64(0)
        for i in range(width):
            squares += (x[t, i] + offset) * (x[t, i] + offset)
        sigma = isqrt(squares // width + 1)
        for i in range(width):
            product = wrap_int32((x[t, i] + offset) * weight[i])
            y[t, i] = min(max(trunc(product, sigma) >> shift, -128), 127)


def nonorm_deeploy(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, *, mul: int, shift: int, overflow: str
) -> dict[str, np.ndarray]:
    cell = x.shape[-2:]
    weight, bias = (plain(np.broadcast_to(v, cell)).reshape(-1) for v in (weight, bias))
    x_rows = plain(x).reshape(-1, cell[0] * cell[1])
    y, wrap = empty(x_rows.shape, np.int8), overflow == "wrap"
    over_rows(lambda i, j: _nonorm(x_rows[i:j], weight, bias, mul, shift, wrap, y[i:j]), len(y), y.size)
    return {"y": y.reshape(x.shape)}


@jit
def _nonorm(x, weight, bias, mul, shift, wrap, y):
    for t in range(x.shape[0]):
        for i in range(x.shape[1]):
            v = wrap_int32(np.int64(x[t, i]) * weight[i] + bias[i])
            z = wrap_int32(v * mul) >> shift
            y[t, i] = wrap_int8(z) if wrap else min(max(z, -128), 127)


def gelu_deeploy(x: np.ndarray, *, b: int, one: int, input_offset: int) -> dict[str, np.ndarray]:
    flat = plain(x, np.int16).reshape(-1)
    y = empty(flat.shape, np.int32)
    over_rows(lambda i, j: _gelu(flat[i:j], b, one, input_offset, y[i:j]), len(y), y.size)
    return {"y": y.reshape(x.shape)}


@jit
def _gelu(x, b, one, offset, y):
    for i in range(x.shape[0]):
        v = x[i] + offset
        root = min(abs(v), -b) + b
        poly = one - root * root
        y[i] = v * ((one + (poly if v > 0 else -poly)) >> 1)  # v = 0 gives 0 whatever the polynomial


def hardswish_deeploy(
    x: np.ndarray, *, one_over_six: int, three: int, six: int, input_offset: int
) -> dict[str, np.ndarray]:
    flat = plain(x, np.int16).reshape(-1)
    y = empty(flat.shape, np.int32)
    over_rows(lambda i, j: _hardswish(flat[i:j], one_over_six, input_offset + three, six, y[i:j]), len(y), y.size)
    return {"y": y.reshape(x.shape)}


@jit
def _hardswish(x, factor, added, six, y):
    for i in range(x.shape[0]):
        v = np.int64(x[i])
        y[i] = wrap_int32(v * min(max(v + added, 0), six) * factor)


def divide_deeploy(
    x: np.ndarray, den: np.ndarray, *, delta: int, eta: int, eps: int, rounding: str
) -> dict[str, np.ndarray]:
    x_rows, den = rows(x), plain(den).reshape(-1)
    y, away = empty(x_rows.shape, np.int32), rounding == "half_away"
    over_rows(lambda i, j: _divide(x_rows[i:j], den[i:j], delta * eta, eta, eps, away, y[i:j]), len(y), 4 * y.size)
    return {"y": y.reshape(x.shape)}


@jit
def _divide(x, den, scale, eta, eps, away, y):
    for t in range(x.shape[0]):
        d = eta * den[t] + eps
        for i in range(x.shape[1]):
            y[t, i] = wrap_int32(nearest(x[t, i] * scale, d) if away else x[t, i] * scale // d)


def mean_deeploy(x: np.ndarray, *, rounding: str) -> dict[str, np.ndarray]:
    *lead, count, width = x.shape
    blocks = plain(x, np.int16).reshape(-1, count, width)
    y, away = empty((len(blocks), width), x.dtype), rounding == "half_away"
    over_rows(lambda i, j: _mean(blocks[i:j], away, y[i:j]), len(y), blocks.size)
    return {"y": y.reshape((*lead, width))}


@jit
def _mean(x, away, y):
    count = x.shape[1]
    for t in range(x.shape[0]):
        for i in range(x.shape[2]):
            total = np.int64(0)
            for n in range(count):
                total += x[t, n, i]
            y[t, i] = nearest(total, count) if away else (2 * total + count) // (2 * count)


KERNELS = (
    requant_shift,
    softmax_deeploy,
    softmax_itamax,
    softmax_itamax_partial,
    layernorm_deeploy,
    rmsnorm_deeploy,
    nonorm_deeploy,
    gelu_deeploy,
    hardswish_deeploy,
    divide_deeploy,
    mean_deeploy,
)
