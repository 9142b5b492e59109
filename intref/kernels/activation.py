"""Twins of ops/activation.py."""

# numba infers the types of the compiled functions.
# mypy: allow-untyped-defs, no-check-untyped-defs

import numpy as np

from intref.kernels.arrays import along, empty, plain, rows
from intref.kernels.jit import jit
from intref.kernels.threads import over_rows


def gelu_ibert(x: np.ndarray, b: np.ndarray, c: np.ndarray, one: np.ndarray) -> dict[str, np.ndarray]:
    x_rows = rows(x)
    channels = tuple(along(v, x.shape[-1]) for v in (b, c, one))
    y = empty(x_rows.shape, np.int64)
    over_rows(lambda i, j: _ibert(x_rows[i:j], channels, y[i:j]), len(y), 2 * y.size)
    return {"y": y.reshape(x.shape)}


@jit
def _ibert(x, channels, y):
    b, c, one = channels
    for t in range(x.shape[0]):
        for i in range(x.shape[1]):
            v = np.int64(x[t, i])
            root = min(abs(v), -b[i]) + b[i]
            poly = root * root + c[i]
            poly = (poly if v > 0 else -poly) >> 14  # v = 0 gives 0 whatever the polynomial
            y[t, i] = v * (poly + one[i])


def gelu_table(x: np.ndarray, table: np.ndarray, *, fraction: int) -> dict[str, np.ndarray]:
    flat, entries = plain(x).reshape(-1), plain(table)
    y = empty(flat.shape, np.int32)
    over_rows(lambda i, j: _interpolate(flat[i:j], entries, fraction, y[i:j]), len(y), 2 * y.size)
    return {"y": y.reshape(x.shape)}


@jit
def _interpolate(x, table, fraction, y):
    k = fraction - 6
    last = (np.int64(8) << fraction) - 1
    for i in range(x.shape[0]):
        v = np.int64(x[i])
        a = min(abs(v), last)
        cell = a >> k
        r = a - (cell << k)
        g = table[np.uint64(cell)] * ((np.int64(1) << k) - r) + table[np.uint64(cell + 1)] * r
        y[i] = max(v, 0) - ((g + (1 << 17)) >> 18 if abs(v) <= last else 0)


def table(x: np.ndarray, entries: np.ndarray) -> dict[str, np.ndarray]:
    flat, by_byte = plain(x).reshape(-1).view(np.uint8), np.concatenate([entries[128:], entries[:128]])
    y = empty(flat.shape, entries.dtype)
    over_rows(lambda i, j: _look_up(flat[i:j], by_byte, y[i:j]), len(y), y.size)
    return {"y": y.reshape(x.shape)}


@jit
def _look_up(x, entries, y):
    for i in range(x.shape[0]):
        y[i] = entries[x[i]]


KERNELS = (gelu_ibert, gelu_table, table)
