"""Twins of ops/gemmlowp.py. What takes an int8 is computed once for each of the 256."""

# numba infers the types of the compiled functions.
# mypy: allow-untyped-defs, no-check-untyped-defs

from typing import Any

import numpy as np

from intref.kernels.activation import table
from intref.kernels.arrays import empty, plain, rows
from intref.kernels.intmath import bitlen, shift_half_up
from intref.kernels.jit import jit
from intref.kernels.softmax import row_masks
from intref.kernels.threads import over_rows

MOST = (1 << 31) - 1
HALVINGS = np.array([1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242])
RULES = {"half_up": 0, "half_away": 1, "gemmlowp_double": 2}
BYTES = np.arange(-128, 128)


@jit
def _product(a, b):
    return (a * b + (1 << 30)) >> 31


@jit
def _divided(x, bits):
    half = np.int64(1) << bits >> 1
    return (x + half + (x >> 63 & -min(half, 1))) >> bits


@jit
def _scaled(x, multiplier, shift, rule):
    if rule == 2:
        return _divided(_product(x << max(31 - shift, 0), multiplier), max(shift, 31) - 31)
    return (x * multiplier + (np.int64(1) << (shift - 1)) + (x >> 63 & -rule)) >> shift


@jit
def _exp(a, whole, halvings):
    if a == 0:
        return np.int64((1 << 31) - 1)
    quarter = np.int64(1) << (29 - whole)
    part = (a & (quarter - 1)) - quarter
    x = (part << whole) + (1 << 28)
    x2 = _product(x, x)
    tail = _product(_divided(_product(x2, x2), 2) + _product(x2, x), 715827883) + x2
    y = 1895147668 + _product(1895147668, x + _divided(tail, 1))
    rest = part - a
    for bit in range(whole + 2):
        if rest >> (29 - whole + bit) & 1:
            y = _product(y, halvings[bit])
    return y


@jit
def _inverse(a):
    d = (a + (np.int64(1) << 31)) >> 1
    x = 1515870810 + _product(d, -1010580540)
    for _ in range(3):
        x += _product(x, (1 << 29) - _product(d, x)) << 2
    return x


def softmax_gemmlowp(
    x: np.ndarray, mask: np.ndarray, *, multiplier: int, shift: int, output: str
) -> dict[str, np.ndarray]:
    masks, own = row_masks(mask, x.shape)
    x_rows = rows(x)
    p = empty(x_rows.shape, output)
    by_distance = empty(256, np.int64)
    _exps(multiplier, shift, HALVINGS, by_distance)
    bits = 8 * p.itemsize
    over_rows(lambda i, j: _softmax(x_rows[i:j], masks, own[i:j], by_distance, bits, p[i:j]), len(p), 4 * p.size)
    return {"p": p.reshape(x.shape)}


@jit
def _exps(multiplier, shift, halvings, e):
    """e[d] for keys that lie d below the maximum."""
    far = np.int64(31 << 26) >> shift
    for d in range(256):
        e[d] = 0 if d > far else _exp(_product(np.int64(-d) << shift, multiplier), 5, halvings)


@jit
def _softmax(x, masks, own, by_distance, bits, p):
    keys = x.shape[1]
    zero = -(1 << (bits - 1))
    for t in range(x.shape[0]):
        mask = masks[own[t]]
        top = np.int64(-128)
        for k in range(keys):
            if mask[k]:
                top = max(top, np.int64(x[t, k]))
        total = np.int64(0)
        for k in range(keys):
            if mask[k]:
                total += _divided(by_distance[np.uint64(top - x[t, k])], 12)
        total = max(total, 1 << 19)
        length = bitlen(total)
        inverse = min(2 * _inverse((total << (32 - length)) - (np.int64(1) << 31)), (1 << 31) - 1)
        for k in range(keys):
            e = by_distance[np.uint64(top - x[t, k])] if mask[k] else 0
            p[t, k] = min(_divided(_product(inverse, e), length + 11 - bits) + zero, -zero - 1)


def logistic_gemmlowp(x: np.ndarray, *, input_zero_point: int, multiplier: int, shift: int) -> dict[str, np.ndarray]:
    entries = empty(256, np.int8)
    _logistic(BYTES - input_zero_point, multiplier, shift, HALVINGS, entries)
    return table(x, entries)


@jit
def _logistic(c, multiplier, shift, halvings, y):
    far = np.int64(15 << 27) >> shift
    for i in range(256):
        if c[i] <= -far or c[i] >= far:
            y[i] = -128 if c[i] <= -far else 127
            continue
        a = _product(c[i] << shift, multiplier)
        v = np.int64(1 << 30)
        if a != 0:
            v = min(2 * _inverse(_exp(-abs(a), 4, halvings)), (1 << 31) - 1)
        v = v if a >= 0 else (1 << 31) - 1 - v
        y[i] = min(_divided(v, 23) - 128, 127)


def tanh_gemmlowp(x: np.ndarray, *, input_zero_point: int, multiplier: int, shift: int) -> dict[str, np.ndarray]:
    entries = empty(256, np.int8)
    _tanh(BYTES - input_zero_point, multiplier, shift, HALVINGS, entries)
    return table(x, entries)


@jit
def _tanh(c, multiplier, shift, halvings, y):
    far = np.int64(15 << 27) >> shift
    for i in range(256):
        if c[i] <= -far or c[i] >= far:
            y[i] = -128 if c[i] <= -far else 127
            continue
        a = _product(c[i] << shift, multiplier)
        v = np.int64(0)
        if a != 0:
            v = min((_inverse(_exp(-abs(a), 5, halvings)) - (1 << 29)) << 2, (1 << 31) - 1)
        y[i] = min(_divided(v if a >= 0 else -v, 24), 127)


@jit
def _interpolated(x, table):
    cell = np.uint64((x >> 7) + 256)
    base = np.int64(table[cell])
    return base + (((table[cell + np.uint64(1)] - base) * (x & 127) + 64) >> 7)


def softmax_int16(
    x: np.ndarray, mask: np.ndarray, exp_table: np.ndarray, inverse_table: np.ndarray, *, multiplier: int, shift: int,
    rounding: str,
) -> dict[str, np.ndarray]:  # fmt: skip
    masks, own = row_masks(mask, x.shape)
    x_rows = rows(x)
    p = empty(x_rows.shape, np.int16)
    settings = (plain(exp_table), plain(inverse_table), multiplier, shift, RULES[rounding])
    over_rows(lambda i, j: _softmax16(x_rows[i:j], masks, own[i:j], *settings, p[i:j]), len(p), 8 * p.size)
    return {"p": p.reshape(x.shape)}


@jit
def _softmax16(x, masks, own, exp_table, inverse_table, multiplier, shift, rule, p):
    keys = x.shape[1]
    for t in range(x.shape[0]):
        mask = masks[own[t]]
        top = np.int64(-(1 << 15))
        for k in range(keys):
            if mask[k]:
                top = max(top, np.int64(x[t, k]))
        total = np.int64(0)
        for k in range(keys):
            e = np.int64(0)
            if mask[k]:
                s = _scaled(x[t, k] - top, multiplier, shift, rule) + 32767
                e = _interpolated(max(s, -(1 << 15)), exp_table)
            p[t, k] = e
            total += e
        total = max(total, 1)
        length = bitlen(total)
        w = shift_half_up(total << (31 - length), 14)
        r = _interpolated(min(w - 3 * (1 << 15), (1 << 15) - 1), inverse_table)
        for k in range(keys):
            p[t, k] = min(shift_half_up(p[t, k] * r, length - 1), (1 << 15) - 1)


def table_int16(x: np.ndarray, entries: np.ndarray) -> dict[str, np.ndarray]:
    flat, known = plain(x).reshape(-1), plain(entries)
    y = empty(flat.shape, np.int16)
    over_rows(lambda i, j: _table(flat[i:j], known, y[i:j]), len(y), 2 * y.size)
    return {"y": y.reshape(x.shape)}


@jit
def _table(x, entries, y):
    for i in range(x.shape[0]):
        y[i] = _interpolated(np.int64(x[i]), entries)


def rsqrt_gemmlowp(
    x: np.ndarray, *, input_zero_point: int, output_zero_point: int, multiplier: int, shift: int
) -> dict[str, np.ndarray]:
    entries = empty(256, np.int8)
    _rsqrt(BYTES - input_zero_point, output_zero_point, multiplier, shift, entries)
    return table(x, entries)


@jit
def root(c):
    """2**20 / sqrt(c) by five Newton steps from 1, for 1 <= c < 2**29."""
    if c == 1:
        return np.int64(1 << 20)
    pairs = ((31 - bitlen(c)) >> 1) - 1
    half = _divided(c << 2 * pairs >> 1, 1)
    z = np.int64(1 << 28)
    for _ in range(5):
        z = (_product(3 << 27, z) - _product(half, _product(_product(z, z), z) << 6)) << 3
    z = _product(z, 1518500250) << max(pairs - 11, 0)
    return _product(np.int64(1) << (20 - max(11 - pairs, 0)), z)


@jit
def _rsqrt(values, zero, multiplier, shift, y):
    for i in range(256):
        c = values[i]
        # The reference refuses what is negative.
        y[i] = 127 if c <= 0 else min(_scaled(root(c), multiplier, shift, 2) + zero, 127)


def add_gemmlowp(
    a: np.ndarray, b: np.ndarray, *, a_zero_point: int, b_zero_point: int, left_shift: int, a_multiplier: int,
    a_shift: int, b_multiplier: int, b_shift: int, multiplier: int, shift: int, rounding: str, output_zero_point: int,
    output: str, low: int, high: int,
) -> dict[str, np.ndarray]:  # fmt: skip
    left, right = (a_zero_point, a_multiplier, a_shift), (b_zero_point, b_multiplier, b_shift)
    terms = (left, right, left_shift, RULES[rounding], (multiplier, shift, output_zero_point, low, high))
    return _of_pairs(_add, a, b, terms, output)


def _of_pairs(
    compiled: Any, a: np.ndarray, b: np.ndarray, terms: tuple[Any, ...], output: str
) -> dict[str, np.ndarray]:
    """A function of two elements of one dtype."""
    first, second = plain(a).reshape(-1), plain(b).reshape(-1)
    y = empty(first.shape, output)
    over_rows(lambda i, j: compiled(first[i:j], second[i:j], *terms, y[i:j]), len(y), 4 * y.size)
    return {"y": y.reshape(a.shape)}


@jit
def _add(a, b, left, right, left_shift, rule, out, y):
    a_zero, a_multiplier, a_shift = left
    b_zero, b_multiplier, b_shift = right
    multiplier, shift, zero, low, high = out
    for i in range(a.shape[0]):
        total = _scaled((a[i] - a_zero) << left_shift, a_multiplier, a_shift, rule)
        total += _scaled((b[i] - b_zero) << left_shift, b_multiplier, b_shift, rule)
        y[i] = min(max(_scaled(total, multiplier, shift, rule) + zero, low), high)


def mul_gemmlowp(
    a: np.ndarray, b: np.ndarray, *, a_zero_point: int, b_zero_point: int, multiplier: int, shift: int, rounding: str,
    output_zero_point: int, output: str, low: int, high: int,
) -> dict[str, np.ndarray]:  # fmt: skip
    terms = ((a_zero_point, b_zero_point), RULES[rounding], (multiplier, shift, output_zero_point, low, high))
    return _of_pairs(_mul, a, b, terms, output)


@jit
def _mul(a, b, zeros, rule, out, y):
    multiplier, shift, zero, low, high = out
    for i in range(a.shape[0]):
        product = (a[i] - zeros[0]) * (b[i] - zeros[1])
        y[i] = min(max(_scaled(product, multiplier, shift, rule) + zero, low), high)


KERNELS = (
    softmax_gemmlowp,
    logistic_gemmlowp,
    tanh_gemmlowp,
    softmax_int16,
    table_int16,
    rsqrt_gemmlowp,
    add_gemmlowp,
    mul_gemmlowp,
)
