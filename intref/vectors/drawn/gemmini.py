"""Random calls of ops/gemmini.py."""

from collections.abc import Callable
from math import isqrt

import numpy as np

from intref.ops.gemmini import M31, MAX_KEYS, ROOT
from intref.ops.op import dtype_range
from intref.vectors.drawn.chance import Chance
from intref.vectors.drawn.products import Call


def _narrowest(c: Chance, x: np.ndarray) -> np.ndarray:
    """x as int32, or as the narrowest dtype that holds it."""
    kept = [d for d in ("int8", "int16", "int32") if dtype_range(d)[0] <= x.min() and x.max() <= dtype_range(d)[1]]
    return x.astype(c.pick((kept[0], "int32")))


def softmax_gemmini(c: Chance) -> Call:
    """Constants of every scale, distances up to what they allow."""
    b, h, q, k = c.size("B", 3), c.size("H", 5), c.size("Q", 5), min(c.size("K", 65), MAX_KEYS)
    most = M31 // k  # of one exponential
    ln2 = c.wide(1, min(1 << 16, isqrt(most) // 2))
    root = c.number(0, isqrt(most) - 1) if c.word() % 2 else min(2 * ln2, isqrt(most) - 1)
    constant = c.wide(1, max(min(most - root * root, 1 << 30), 1))
    span = min(M31 // (65536 // ln2), 40 * ln2 if c.word() % 4 else M31)
    while k * (max(root, ln2 + (span * (65536 % ln2) >> 16) - root) ** 2 + constant) > M31 and span:
        span = span * 3 // 4
    if not span and k * (max(root, ln2 - root) ** 2 + constant) > M31:
        ln2, root, constant = 1, 0, 1
    low = c.wide(-M31 - 1, M31 - span) if c.word() % 2 else -(span // 2)
    x = low + c.filled("int64", (b, h, q, k), 0, span)
    mask = c.mask((b, q, k) if c.word() % 2 else (b, k))
    return {"x": _narrowest(c, x), "mask": mask}, {"ln2": ln2, "b": root, "c": constant}


def gelu_gemmini(c: Chance) -> Call:
    """Constants of every size, x up to what they allow and near the cut at -b."""
    b = -c.wide(0, ROOT) if c.word() % 2 else -c.number(0, 300)
    left = M31 - b * b
    constant = c.wide(-left, left) if c.word() % 2 else -min(b * b + c.number(0, 99), left)
    left -= abs(constant)
    one = c.wide(-left, left) if c.word() % 2 else max(-left, min(left, constant + c.number(-1, 1)))
    peak = M31 // max(b * b + abs(constant) + abs(one), 1)
    shape = (*c.lead(), c.size("D"))
    near = np.clip(-b + c.uniform(-2, 2, shape), -peak, peak) * np.where(c.uniform(0, 1, shape) > 0, 1, -1)
    x = np.where(c.uniform(0, 1, shape) > 0, near, c.filled("int32", shape, -peak, peak))
    return {"x": _narrowest(c, x)}, {"b": b, "c": constant, "one": one}


def layernorm_gemmini(c: Chance) -> Call:
    """Rows of every spread around every mean."""
    shape = (*c.lead(), min(c.size("D"), MAX_KEYS))
    span = min(c.wide(0, isqrt(M31 // shape[-1])), isqrt(M31 // shape[-1]))
    most = M31 // shape[-1]
    low = c.wide(-most, most - span) if c.word() % 2 else max(-most, -(span // 2) + c.number(-3, 3))
    low = min(low, most - span)
    x = low + c.filled("int64", shape, 0, span)
    return {"x": _narrowest(c, x)}, {}


DRAWS: dict[str, Callable[[Chance], Call]] = {f.__name__: f for f in (softmax_gemmini, gelu_gemmini, layernorm_gemmini)}
AXES: dict[str, str] = {"softmax_gemmini": "K Q", "gelu_gemmini": "D", "layernorm_gemmini": "D"}
