"""Twins of ops/softmax.py."""

# numba infers the types of the compiled functions.
# mypy: allow-untyped-defs, no-check-untyped-defs

import numpy as np

from intref.kernels.arrays import empty, plain, rows
from intref.kernels.intmath import mul_shift, wide_terms
from intref.kernels.jit import jit
from intref.kernels.threads import over_rows


def row_masks(mask: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The distinct masks [M, K], and for every row of x [B H Q K] which of them is its own."""
    batch, heads, queries, keys = shape
    index = np.arange(batch if mask.ndim == 2 else batch * queries).reshape(batch, 1, -1)
    return plain(mask).reshape(-1, keys), plain(np.broadcast_to(index, (batch, heads, queries))).reshape(-1)


def softmax_ibert(
    x: np.ndarray, mask: np.ndarray, *, ln2: int, b: int, c: int, multiplier: int, shift: int
) -> dict[str, np.ndarray]:
    masks, own = row_masks(mask, x.shape)
    x_rows = rows(x)
    terms = tuple(int(t[0]) for t in wide_terms("half_even", np.array([multiplier]), np.array([shift])))
    p = empty(x_rows.shape, np.int16)
    over_rows(lambda i, j: _ibert(x_rows[i:j], masks, own[i:j], ln2, b, c, terms, p[i:j]), len(p), 8 * p.size)
    return {"p": p.reshape(x.shape)}


@jit
def _ibert(x, masks, own, ln2, b, c, terms, p):
    m, shift, always_high, always, negative_high, negative, odd_high, odd = terms
    keys = x.shape[1]
    # For u <= 30 * ln2 and ln2 <= 2**23, u * reciprocal / 2**52 exceeds u / ln2 by at most u / 2**52 < 1 / ln2.
    reciprocal = (np.int64(1) << 52) // ln2 + 1
    for t in range(x.shape[0]):
        mask = masks[own[t]]
        top = np.int64(-(1 << 31))
        for k in range(keys):
            if mask[k]:
                top = max(top, np.int64(x[t, k]))
        total = np.int64(0)
        for k in range(keys):
            e16 = np.int64(0)
            if mask[k]:
                u = min(top - x[t, k], 30 * ln2)
                q = u * reciprocal >> 52
                r = q * ln2 - u
                e = ((r + b) * r + c) << (30 - q)
                scaled = mul_shift(e, m, shift, always_high, always, negative_high, negative, odd_high, odd)
                e16 = min(scaled, (1 << 15) - 1)
            p[t, k] = e16
            total += e16
        f = (np.int64(1) << 32) // max(total, 1)
        for k in range(keys):
            p[t, k] = p[t, k] * f >> 24


def softmax_exp2(
    x: np.ndarray, mask: np.ndarray, multiplier: np.ndarray, shift: np.ndarray, table: np.ndarray
) -> dict[str, np.ndarray]:
    _, heads, queries, _ = x.shape
    masks, own = row_masks(mask, x.shape)
    x_rows = rows(x)
    head = np.arange(len(x_rows)) // queries % heads
    m, s, entries = multiplier.astype(np.int64)[head], shift.astype(np.int64)[head], plain(table)
    p, total = empty(x_rows.shape, np.uint8), empty(len(x_rows), np.int32)
    over_rows(
        lambda i, j: _exp2(x_rows[i:j], masks, own[i:j], m[i:j], s[i:j], entries, p[i:j], total[i:j]),
        len(p),
        4 * p.size,
    )
    return {"p": p.reshape(x.shape), "total": total.reshape(*x.shape[:-1], 1)}


@jit
def _exp2(x, masks, own, multiplier, shift, table, p, total):
    keys = x.shape[1]
    for t in range(x.shape[0]):
        mask = masks[own[t]]
        top = np.int64(-(1 << 30))
        for k in range(keys):
            if mask[k]:
                top = max(top, np.int64(x[t, k]))
        count = np.int64(0)
        for k in range(keys):
            attend = np.int64(mask[k])
            u = attend * (top - x[t, k]) * multiplier[t] >> shift[t]
            i, r = u >> 8 & 255, u & 255
            mantissa = (table[np.uint64(i)] * (256 - r) + table[np.uint64(i + 1)] * r) >> 8
            v = attend * ((255 * (mantissa >> min(u >> 16, 31)) + (1 << 29)) >> 30)
            p[t, k] = v
            count += v
        total[t] = count


def mask_add(x: np.ndarray, mask: np.ndarray, *, value: int) -> dict[str, np.ndarray]:
    attend = mask[:, None, None] if mask.ndim == 2 else mask[:, None]
    return {"y": np.maximum(x + np.where(attend, 0, np.int64(value)), -(1 << 31)).astype(np.int32, order="C")}


KERNELS = (softmax_ibert, softmax_exp2, mask_add)
