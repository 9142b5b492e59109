"""Twins of ops/ita.py."""

# numba infers the types of the compiled functions.
# mypy: allow-untyped-defs, no-check-untyped-defs

import numpy as np

from intref.kernels.arrays import empty, rows
from intref.kernels.jit import jit
from intref.kernels.softmax import row_masks
from intref.kernels.threads import over_rows


def softmax_ita(x: np.ndarray, mask: np.ndarray, *, group: int) -> dict[str, np.ndarray]:
    masks, own = row_masks(mask, x.shape)
    x_rows = rows(x)
    p = empty(x_rows.shape, np.uint8)
    over_rows(lambda i, j: _softmax(x_rows[i:j], masks, own[i:j], group, p[i:j]), len(p), 4 * p.size)
    return {"p": p.reshape(x.shape)}


@jit
def _softmax(x, masks, own, group, p):
    keys = x.shape[1]
    for t in range(x.shape[0]):
        mask = masks[own[t]]
        top, total = np.int64(-128), np.int64(0)
        for start in range(0, keys, group):
            stop = min(start + group, keys)
            before = top
            for k in range(start, stop):
                if mask[k]:
                    top = max(top, np.int64(x[t, k]))
            total >>= min(top - before, 63)
            for k in range(start, stop):
                if mask[k]:
                    total += 256 >> min(top - x[t, k], 9)
        inverse = 65280 // max(total, 256)
        for k in range(keys):
            p[t, k] = inverse >> min(top - x[t, k], 8) if mask[k] else 0


def gelu_ita(x: np.ndarray, *, b: int, c: int, lowest: int) -> dict[str, np.ndarray]:
    x_rows = rows(x)
    y = empty(x_rows.shape, np.int32)
    over_rows(lambda i, j: _gelu(x_rows[i:j], b, c, lowest, y[i:j]), len(y), y.size)
    return {"y": y.reshape(x.shape)}


@jit
def _gelu(x, b, c, lowest, y):
    for t in range(x.shape[0]):
        for i in range(x.shape[1]):
            v = max(np.int64(x[t, i]), lowest)
            root = min(abs(v), -b) + b
            poly = root * root + c
            y[t, i] = v * ((poly if v > 0 else -poly) + c)  # v = 0 gives 0 whatever the polynomial


KERNELS = (softmax_ita, gelu_ita)
