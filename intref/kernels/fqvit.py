"""Twins of ops/fqvit.py."""

# numba infers the types of the compiled functions.
# mypy: allow-untyped-defs, no-check-untyped-defs

import numpy as np

from intref.kernels.arrays import empty, plain, rows
from intref.kernels.intmath import bitlen
from intref.kernels.jit import jit
from intref.kernels.softmax import row_masks
from intref.kernels.threads import over_rows

NONE = 16


def softmax_log2_fqvit(x: np.ndarray, mask: np.ndarray, *, ln2: int, b: int, c: int) -> dict[str, np.ndarray]:
    masks, own = row_masks(mask, x.shape)
    x_rows = rows(x.astype(np.int32, copy=False))
    k = empty(x_rows.shape, np.int8)
    over_rows(lambda i, j: _log2(x_rows[i:j], masks, own[i:j], ln2, b, c, NONE, k[i:j]), len(k), 16 * k.size)
    return {"k": k.reshape(x.shape)}


@jit
def _log2(x, masks, own, ln2, b, c, none, k):
    keys = x.shape[1]
    e = np.empty(keys, np.int64)
    for t in range(x.shape[0]):
        mask = masks[own[t]]
        top = np.int64(-(1 << 31))
        for j in range(keys):
            if mask[j]:
                top = max(top, np.int64(x[t, j]))
        total = np.int64(0)
        for j in range(keys):
            if mask[j]:
                u = min(top - x[t, j], 30 * ln2)
                q = u // ln2
                r = q * ln2 - u
                e[j] = ((r + b) * r + c) << (30 - q)
                total += e[j]
        for j in range(keys):
            k[t, j] = _exponent(total, e[j], none) if mask[j] else none


@jit
def _exponent(total, e, none):
    """-log2 of e / total to the nearest integer; none or more for what is too small."""
    n = total // e
    rest = 2 * (total - n * e)
    n = min(n + np.int64(rest > e or (rest == e and n & 1 == 1)), np.int64(1) << none)
    floor = bitlen(n) - 1
    return floor + np.int64(2 * n >= np.int64(3) << floor)


def matmul_shift_fqvit(k: np.ndarray, v: np.ndarray) -> dict[str, np.ndarray]:
    batches, values = plain(k).reshape(-1, *k.shape[-2:]), plain(v).reshape(-1, *v.shape[-2:])
    y = empty((*batches.shape[:2], v.shape[-1]), np.int64)
    over_rows(lambda i, j: _shifted(batches, values, NONE, i, j, y), batches.shape[0] * batches.shape[1], y.size)
    return {"y": y.reshape(*k.shape[:-1], v.shape[-1])}


@jit
def _shifted(k, v, none, start, stop, y):
    """Rows start..stop of all batches together."""
    queries, width = y.shape[1], y.shape[2]
    for row in range(start, stop):
        batch, t = row // queries, row % queries
        for d in range(width):
            y[batch, t, d] = 0
        for j in range(k.shape[2]):
            power = np.int64(k[batch, t, j])
            if power < none:
                for d in range(width):
                    y[batch, t, d] += np.int64(v[batch, j, d]) << (none - 1 - power)


KERNELS = (softmax_log2_fqvit, matmul_shift_fqvit)
