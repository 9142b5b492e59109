"""Twins of the sums and the clamp in ops/rescale.py."""

# numba infers the types of the compiled functions.
# mypy: allow-untyped-defs, no-check-untyped-defs

import numpy as np

from intref.kernels.arrays import along, empty, rows
from intref.kernels.intmath import mul_shift_narrow, narrow_terms
from intref.kernels.jit import jit
from intref.kernels.threads import over_rows


def add(
    a: np.ndarray, b: np.ndarray, a_multiplier: np.ndarray, a_shift: np.ndarray, b_multiplier: np.ndarray,
    b_shift: np.ndarray, *, rounding: str, output: str, low: int, high: int,
) -> dict[str, np.ndarray]:  # fmt: skip
    width = a.shape[-1]
    left = narrow_terms(rounding, along(a_multiplier, width), along(a_shift, width))
    right = narrow_terms(rounding, along(b_multiplier, width), along(b_shift, width))
    a_rows, b_rows = rows(a, np.int32), rows(b, np.int32)
    y = empty(a_rows.shape, output)
    over_rows(lambda i, j: _add(a_rows[i:j], b_rows[i:j], left, right, low, high, y[i:j]), len(y), 2 * y.size)
    return {"y": y.reshape(a.shape)}


@jit
def _add(a, b, left, right, low, high, y):
    am, a_shift, a_always, a_negative, a_odd = left
    bm, b_shift, b_always, b_negative, b_odd = right
    for t in range(a.shape[0]):
        for i in range(a.shape[1]):
            v = mul_shift_narrow(np.int64(a[t, i]), am[i], a_shift[i], a_always[i], a_negative[i], a_odd[i])
            v += mul_shift_narrow(np.int64(b[t, i]), bm[i], b_shift[i], b_always[i], b_negative[i], b_odd[i])
            y[t, i] = min(max(v, low), high)


def add_bias(x: np.ndarray, bias: np.ndarray, *, output: str, low: int, high: int) -> dict[str, np.ndarray]:
    total = np.add(x, bias, dtype=np.int64, order="C")
    return {"y": np.clip(total, low, high, out=total).astype(output)}


def clamp(x: np.ndarray, *, low: int, high: int) -> dict[str, np.ndarray]:
    y = empty(x.shape, x.dtype)
    return {"y": np.clip(x, low, high, out=y)}


KERNELS = (add, add_bias, clamp)
