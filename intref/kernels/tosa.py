"""Twins of ops/tosa.py."""

# numba infers the types of the compiled functions.
# mypy: allow-untyped-defs, no-check-untyped-defs

import numpy as np

from intref.kernels.arrays import empty, plain
from intref.kernels.jit import jit
from intref.kernels.threads import over_rows


def table_tosa(x: np.ndarray, entries: np.ndarray) -> dict[str, np.ndarray]:
    flat, table = plain(x).reshape(-1), plain(entries, np.int32)
    y = empty(flat.shape, np.int32)
    over_rows(lambda i, j: _interpolate(flat[i:j], table, y[i:j]), len(y), 2 * y.size)
    return {"y": y.reshape(x.shape)}


@jit
def _interpolate(x, table, y):
    for t in range(x.shape[0]):
        v = np.int32(x[t]) + np.int32(1 << 15)
        i = np.uint64(v >> 7)
        base = table[i]
        y[t] = (base << 7) + (table[i + np.uint64(1)] - base) * (v & 127)


KERNELS = (table_tosa,)
