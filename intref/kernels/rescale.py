"""Twins of the multiplier-and-shift ops in ops/rescale.py."""

# numba infers the types of the compiled functions.
# mypy: allow-untyped-defs, no-check-untyped-defs

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from intref.kernels.arrays import along, empty, plain, rows
from intref.kernels.intmath import (
    Terms,
    mul_shift,
    mul_shift_narrow,
    narrow_terms,
    scale_fp32,
    shift_half_up,
    wide_terms,
    wrap_int32,
)
from intref.kernels.jit import jit
from intref.kernels.threads import over_rows

WIDTH = 4096  # elements of a row where all share one multiplier

Plan = tuple[Callable[..., Any], Terms, str]  # compiled function, its terms, the dtype it takes x in


def rescale(
    x: np.ndarray, multiplier: np.ndarray, shift: np.ndarray, *, rounding: str, input_zero_point: int,
    output_zero_point: int, output: str, low: int, high: int, axis: int,
) -> dict[str, np.ndarray]:  # fmt: skip
    shared = multiplier.size == shift.size == 1
    moved = x if shared else np.moveaxis(x, axis, -1)
    size = 1 if shared else moved.shape[-1]
    compiled, terms, working = _plan(x.dtype, along(multiplier, size), along(shift, size), rounding, input_zero_point)
    y = empty(moved.shape, output)
    for x_rows, y_rows, columns in _pieces(plain(moved), y, terms):
        task = _task(compiled, working, x_rows, y_rows, (columns, input_zero_point, output_zero_point, low, high))
        over_rows(task, len(x_rows), x_rows.size)
    return {"y": y if shared else plain(np.moveaxis(y, -1, axis))}


def _task(
    compiled: Callable[..., Any], working: str, x: np.ndarray, y: np.ndarray, settings: tuple[Any, ...]
) -> Callable[[int, int], None]:
    """Rows start..stop: those in int32 straight into y, the rarer ones in int64 through an int64 result."""

    def task(start: int, stop: int) -> None:
        part = plain(x[start:stop], working)
        out = y[start:stop] if working == "int32" else empty(part.shape, np.int64)
        compiled(part, *settings, out)
        y[start:stop] = out

    return task


def _pieces(x: np.ndarray, y: np.ndarray, terms: Terms) -> Iterator[tuple[np.ndarray, np.ndarray, Terms]]:
    """x and y as rows with terms for every column; a shared term is repeated."""
    if len(terms[0]) > 1:
        yield rows(x), rows(y), terms
        return
    whole = x.size - x.size % WIDTH
    x, y = x.reshape(-1), y.reshape(-1)
    for start, stop, width in ((0, whole, WIDTH), (whole, x.size, x.size - whole)):
        if start < stop:
            columns = tuple(along(t, width) for t in terms)
            yield x[start:stop].reshape(-1, width), y[start:stop].reshape(-1, width), columns


def _plan(dtype: Any, multiplier: np.ndarray, shift: np.ndarray, rounding: str, zero: int) -> Plan:
    if rounding == "fp32_half_even":
        return _fp32, _split_fp32(multiplier), "int64"
    if rounding == "gemmlowp_double":
        # An int32 rounds to 0 from a right shift of 33 on, so 40 stands for all beyond.
        return _gemmlowp, (multiplier, np.maximum(31 - shift, 0), np.clip(shift - 31, 0, 40)), "int64"
    if rounding == "tosa_double":
        # The nudge's sign is that of x; for multiplier 0 neither sign changes the result.
        nudge = np.where(shift > 31, 1 << 30, 0)
        return _narrow, (multiplier, shift, (np.int64(1) << shift - 1) + nudge, -2 * nudge, 0 * nudge), "int32"
    peak = max(abs(int(np.iinfo(dtype).min) - zero), abs(int(np.iinfo(dtype).max) - zero))
    if peak * max(abs(int(multiplier.min())), abs(int(multiplier.max()))) < 1 << 62:
        return _narrow, narrow_terms(rounding, multiplier, shift), "int32"
    return _wide, wide_terms(rounding, multiplier, shift), "int64"


def _split_fp32(pattern: np.ndarray) -> Terms:
    biased = pattern >> 23 & 255
    significand = (pattern & (1 << 23) - 1) + (np.minimum(biased, 1) << 23)
    return 1 - 2 * (pattern >> 31 & 1), significand, np.maximum(biased, 1) - 150


@jit
def _narrow(x, terms, zero, out_zero, low, high, y):
    m, shift, always, negative, odd = terms
    for t in range(x.shape[0]):
        for i in range(x.shape[1]):
            v = mul_shift_narrow(np.int64(x[t, i]) - zero, m[i], shift[i], always[i], negative[i], odd[i])
            y[t, i] = min(max(v + out_zero, low), high)


@jit
def _wide(x, terms, zero, out_zero, low, high, y):
    m, shift, a_high, a, n_high, n, o_high, o = terms
    for t in range(x.shape[0]):
        for i in range(x.shape[1]):
            v = mul_shift(x[t, i] - zero, m[i], shift[i], a_high[i], a[i], n_high[i], n[i], o_high[i], o[i])
            y[t, i] = min(max(v + out_zero, low), high)


@jit
def _gemmlowp(x, terms, zero, out_zero, low, high, y):
    m, left, right = terms
    for t in range(x.shape[0]):
        for i in range(x.shape[1]):
            doubled = wrap_int32(wrap_int32(x[t, i] - zero) << left[i])
            v = shift_half_up(doubled * m[i], 31)
            half = np.int64(1) << right[i] >> 1
            v = (v + half + (v >> 63 & -min(half, 1))) >> right[i]
            y[t, i] = min(max(v + out_zero, low), high)


@jit
def _fp32(x, terms, zero, out_zero, low, high, y):
    sign, significand, exponent = terms
    for t in range(x.shape[0]):
        for i in range(x.shape[1]):
            v = scale_fp32(x[t, i] - zero, sign[i], significand[i], exponent[i])
            y[t, i] = min(max(v + out_zero, low), high)


def rescale_quotient(
    x: np.ndarray, total: np.ndarray, multiplier: np.ndarray, shift: np.ndarray, *, output: str, low: int, high: int
) -> dict[str, np.ndarray]:
    heads, queries, _ = x.shape[-3:]
    head = np.arange(x.size // x.shape[-1]) // queries % heads
    m, s = multiplier.astype(np.int64)[head], shift.astype(np.int64)[head]
    x_rows, den = rows(x), np.maximum(total.reshape(-1), 1).astype(np.int64)
    y = empty(x_rows.shape, output)
    over_rows(
        lambda a, b: _quotient(x_rows[a:b], den[a:b], m[a:b], s[a:b], low, high, y[a:b]), len(x_rows), 4 * x_rows.size
    )
    return {"y": y.reshape(x.shape)}


@jit
def _quotient(x, den, multiplier, shift, low, high, y):
    for t in range(x.shape[0]):
        # floor(n / (den * 2**shift)) = floor(floor(n / 2**shift) / den)
        for i in range(x.shape[1]):
            n = np.int64(x[t, i]) * multiplier[t] + (den[t] << (shift[t] - 1))
            y[t, i] = min(max((n >> shift[t]) // den[t], low), high)


KERNELS = (rescale, rescale_quotient)
