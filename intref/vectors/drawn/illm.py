"""Random calls of ops/illm.py."""

from collections.abc import Callable

import numpy as np

from intref.vectors.drawn.chance import Chance
from intref.vectors.drawn.products import Call

M31 = (1 << 31) - 1


def _slope(m: int) -> int:
    return m + (m >> 1) - (m >> 4)


def _scale(c: Chance, shape: tuple[int, ...], k_shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, int]:
    """m and k with 1 <= t <= 2**32 for any pair of them, and about how far exp falls by one halving."""
    top = c.wide(1, 1 << 16)
    m = np.maximum(c.uniform(0, 3, shape) * top >> c.number(0, 2), 1).clip(max(top // 2, 1), min(2 * top, 1 << 16))
    low, high = _slope(int(m.min())), _slope(int(m.max()))
    least = max(high.bit_length() - 2, 0)
    least += 2 << least < high
    most = min(48, 31 + low.bit_length())
    first = min(least + c.pick((0, 0, 1, 2, 4, 8, c.number(0, 40))), most)
    last = min(first + c.pick((0, 0, 1, 3)), most)
    return m.astype(np.int32), c.uniform(first, last, k_shape, "int8"), (1 << last) // low + 1


def _reaching(c: Chance, shape: tuple[int, ...], halving: int, ends: int) -> np.ndarray:
    """Distances of some halvings, or anything, within ends."""
    if c.word() % 8 == 0:
        return c.filled("int32", shape, -ends, ends)
    reach = min(halving * c.pick((1, 2, 5, 23, 70)) + c.number(0, 3), ends)
    return c.filled("int32", shape, -reach, reach)


def softmax_illm(c: Chance) -> Call:
    """Scales of rows and of heads; distances about the clip and far beyond."""
    wide = c.pick("BHQKK")  # one axis may be long
    b, h, q, k = (c.size(axis, 65 if axis == wide else 3) for axis in "BHQK")
    forms: tuple[tuple[int, ...], ...] = ((b, h, q, 1), (h,))
    m, e, halving = _scale(c, c.pick(forms), c.pick(forms))
    x = _reaching(c, (b, h, q, k), halving, M31)
    clip = c.pick((1, 2, 15, 63, c.number(1, 63)))
    if c.word() % 4 == 0:  # about the clip of one of the scales
        at = min((clip << int(e.flat[0])) // int(m.flat[0]), M31 - 2)
        x = np.where(c.uniform(0, 2, x.shape) > 0, c.uniform(-at - 2, -max(at - 2, 0), x.shape), 0).astype(np.int32)
    tensors = {"x": x, "mask": c.mask((b, q, k) if c.word() % 2 else (b, k)), "m": m, "k": e}
    return tensors, {"clip": clip, "bits": c.pick((2, 8, 15, c.number(2, 15)))}


def swiglu_illm(c: Chance) -> Call:
    shape = (*c.lead(), c.size("D"))
    m, k, halving = _scale(c, (*shape[:-1], 1), (*shape[:-1], 1))
    dtype = c.pick(("int8", "int16", "int32", "int32"))
    most = min(np.iinfo(dtype).max, 1 << 23)
    gate = _reaching(c, shape, halving, int(most)).astype(dtype)
    up = c.filled(c.pick(("int8", "int16", "int32")), shape, -(1 << 23), 1 << 23)
    return {"gate": gate, "up": up, "m": m, "k": k}, {"bits": c.pick((2, 8, 15, c.number(2, 15)))}


def _rows(c: Chance) -> np.ndarray:
    """Rows of one magnitude each, about a mean or about 0; some of a few values only."""
    lead, width = (c.lead() or (1,)), c.size("D")
    x = c.filled("int64", (*lead, width), -(1 << 31), M31) >> c.uniform(0, 31, (*lead, 1))
    if c.word() % 4 == 0:
        x = c.uniform(-3, 3, x.shape) << c.number(0, 20)
    mean = c.widely(-(1 << 31), M31, (*lead, 1)) * c.uniform(0, 1, (*lead, 1))
    return np.clip(x + mean, -(1 << 31), M31).astype(np.int32)


def rmsnorm_illm(c: Chance) -> Call:
    return {"x": _rows(c)}, {
        "top": c.pick((25, 25, 0, 2, c.number(0, 25))),
        "fraction": c.pick((20, 30, 0, 1, c.number(0, 30))),
    }


def layernorm_illm(c: Chance) -> Call:
    return rmsnorm_illm(c)


def requantize_illm(c: Chance) -> Call:
    """Spans of every length; ties of y where the span is twice the levels, or four times."""
    x, bits = _rows(c), c.number(2, 8)
    if c.word() % 2:
        span, low = ((1 << bits) - 1) * c.pick((1, 2, 4, 6)) >> c.number(0, 1), c.wide(-(1 << 20), 1 << 20)
        x = np.abs(x.astype(np.int64)) % (span + 1)
        x = (np.concatenate([x, 0 * x[..., :1], 0 * x[..., :1] + span], -1) + low).astype(np.int32)
    one = (*x.shape[:-1], 1)
    return {"x": x, "m": c.filled("int32", one, 1, 1 << 16), "k": c.filled("int8", one, 0, 48)}, {"bits": bits}


DRAWS: dict[str, Callable[[Chance], Call]] = {
    f.__name__: f for f in (softmax_illm, swiglu_illm, rmsnorm_illm, layernorm_illm, requantize_illm)
}
AXES: dict[str, str] = {
    "softmax_illm": "K Q H B",
    "swiglu_illm": "D",
    "rmsnorm_illm": "D",
    "layernorm_illm": "D",
    "requantize_illm": "D",
}
