"""Random calls of ops/ivit.py."""

from collections.abc import Callable
from typing import Any

import numpy as np

from intref.ops.op import dtype_range
from intref.vectors.drawn.chance import Chance
from intref.vectors.drawn.products import Call
from intref.vectors.drawn.rows import _rows

M31 = (1 << 31) - 1


def _exponential(c: Chance, most: int = M31) -> dict[str, Any]:
    """Constants with one * 2**halvings <= most; those of the authors' code as often as others."""
    halvings = c.pick((1, 2, 15, 16, 23, c.number(1, 30)))
    halvings = min(halvings, most.bit_length() - 1)
    one = c.wide(1, min(most >> halvings, 1 << 24))
    bits = c.pick((2, 8, 16, c.number(2, 16)))
    return {"one": one, "halvings": halvings, "bits": bits, "form": c.pick(("torch", "tvm"))}


def _around(c: Chance, shape: tuple[int, ...], dtype: str, reach: int, top: int) -> np.ndarray:
    """Values at most `reach` below `top`, clipped to the dtype; one call in four is of anything."""
    low, high = dtype_range(dtype)
    if c.word() % 4 == 0:
        return c.filled(dtype, shape)
    return np.clip(top + c.filled("int64", shape, -reach, 0), low, high).astype(dtype)


def softmax_ivit(c: Chance) -> Call:
    """Distances of up to every halving; sums that saturate."""
    wide = c.pick("BHQKK")  # one axis may be long
    b, h, q, k = (c.size(axis, 65 if axis == wide else 3) for axis in "BHQK")
    attrs = _exponential(c, M31 if k > 1 << 14 else M31 // k)
    if attrs["form"] == "torch" and c.word() % 2:
        attrs["one"] = min(attrs["one"] * k, M31 >> attrs["halvings"], 1 << 24)
    reach = min((attrs["halvings"] + 2) * attrs["one"], 1 << 31)
    x = _around(c, (b, h, q, k), c.pick(("int8", "int16", "int32")), reach, c.pick((0, 127, -9, 1 << 20)))
    return {"x": x, "mask": c.mask((b, q, k) if c.word() % 2 else (b, k))}, attrs


def gelu_ivit(c: Chance) -> Call:
    """Rows whose maximum has either sign: the exponential of its negative underflows, or saturates."""
    attrs, dtype = _exponential(c), c.pick(("int8", "int16"))
    shape = (*c.lead(), c.size("D"))
    top = c.wide(-(1 << 15), M31 >> 16) if c.word() % 2 else c.number(-3, 3) * attrs["one"] + c.number(-2, 2)
    return {"x": _around(c, shape, dtype, (attrs["halvings"] + 2) * attrs["one"], top)}, attrs


def layernorm_ivit(c: Chance) -> Call:
    """Sums of squares of every length, around 2**32 among them; biases of 32 bits and of more."""
    x, form = _rows(c, 25), c.pick(("torch", "tvm"))
    if c.word() % 2:
        x >>= c.number(0, 20)
    if x.shape[-1] > 1024:
        x >>= 1  # or C5 refuses the sum of squares
    while form == "tvm" and x.shape[-1] * int(np.abs(x).max()) > M31:
        x >>= 1
    bias = c.widely(-(1 << 60), 1 << 60, x.shape[-1]) if c.word() % 2 else c.widely(-(1 << 31), M31, x.shape[-1])
    return {"x": x, "bias": bias}, {"form": form}


DRAWS: dict[str, Callable[[Chance], Call]] = {f.__name__: f for f in (softmax_ivit, gelu_ivit, layernorm_ivit)}
AXES: dict[str, str] = {"softmax_ivit": "K Q H B", "gelu_ivit": "D", "layernorm_ivit": "D"}
