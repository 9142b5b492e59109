"""Random calls of ops/fqvit.py."""

from collections.abc import Callable
from math import isqrt

import numpy as np

from intref.ops.op import dtype_range
from intref.vectors.drawn.chance import Chance
from intref.vectors.drawn.products import Call


def softmax_log2_fqvit(c: Chance) -> Call:
    """Rows of few keys and of many, at distances of up to every halving; n of every power of two."""
    wide = c.pick("BHQKK")  # one axis may be long
    b, h, q, k = (c.size(axis, 65 if axis == wide else 3) for axis in "BHQK")
    most = min((1 << 32) // k, (1 << 32) - 1)
    ln2 = c.wide(1, min(1 << 14, isqrt(most) // 2 or 1))
    slope = max(min(ln2 * c.number(1, 3) + c.number(0, 3), most // ln2, 1 << 25), ln2)
    constant = min(slope * ln2 + c.wide(0, slope * ln2 + 9), most)
    dtype = c.pick(("int8", "int16", "int32"))
    low, high = dtype_range(dtype)
    reach = c.pick((2, 5, 18, 33)) * ln2
    near = c.filled("int64", (b, h, q, k), -reach, 0) + c.pick((0, 127, -9, 1 << 20))
    x = np.clip(near, low, high) if c.word() % 4 else c.filled(dtype, (b, h, q, k))
    mask = c.mask((b, q, k) if c.word() % 2 else (b, k))
    return {"x": x.astype(dtype), "mask": mask}, {"ln2": ln2, "b": slope, "c": constant}


def matmul_shift_fqvit(c: Chance) -> Call:
    lead, q, j, d = c.lead(), c.size("Q", 17), c.size("K", 65), c.size("D", 17)
    return {"k": c.filled("int8", (*lead, q, j), 0, 16), "v": c.filled("int8", (*lead, j, d))}, {}


DRAWS: dict[str, Callable[[Chance], Call]] = {f.__name__: f for f in (softmax_log2_fqvit, matmul_shift_fqvit)}
AXES: dict[str, str] = {"softmax_log2_fqvit": "K Q H B", "matmul_shift_fqvit": "K D Q"}
