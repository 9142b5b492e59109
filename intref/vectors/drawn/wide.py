"""Random calls of ops/wide.py."""

from collections.abc import Callable
from typing import Any

import numpy as np

from intref.ops.wide import WIDE
from intref.vectors.drawn.chance import Chance
from intref.vectors.drawn.products import Call


def _numbers(c: Chance, shape: Any) -> np.ndarray:
    """48-bit numbers; half of the time with limbs that are all ones or all zeros."""
    x = c.filled("int64", shape, -WIDE, WIDE)
    if c.word() % 2:
        return x
    limbs = np.array([-1 << 23, -1, 0, 1, (1 << 23) - 1], np.int64)[c.uniform(0, 4, shape)]
    low = np.array([0, 1, 1 << 23, (1 << 24) - 1], np.int64)[c.uniform(0, 3, shape)]
    return np.clip((limbs << 24) + low, -WIDE, WIDE)


def _spread(c: Chance, x: np.ndarray) -> np.ndarray:
    """Half of the time, every row at a magnitude of its own."""
    return x >> c.uniform(0, 47, (*x.shape[:-1], 1)) if c.word() % 2 else x


def _shift(c: Chance, *peaks: int) -> dict[str, int]:
    """A shift that brings results near 48 bits, or any."""
    near = sum(peak.bit_length() for peak in peaks) - 47
    return {"shift": c.number(48, 64) if c.word() % 4 == 0 else min(max(near + c.number(-2, 3), 48), 64)}


def _peak(x: np.ndarray) -> int:
    return max(abs(int(x.min())), abs(int(x.max())))


def linear_wide(c: Chance) -> Call:
    k, n = c.size("K"), c.size("N", c.pick((5, 17, 97)))
    x, weight = _spread(c, _numbers(c, (*c.lead(), k))), _spread(c, _numbers(c, (n, k)))
    bias = _numbers(c, n) if c.word() % 2 else c.widely(-9, 9, n)
    return {"x": x, "weight": weight, "bias": bias}, _shift(c, _peak(x), _peak(weight), k)


def matmul_wide(c: Chance) -> Call:
    lead, m, k, n = c.lead(), c.size("M", c.pick((5, 5, 97))), c.size("K", 97), c.size("N", c.pick((5, 5, 97)))
    a, b = _spread(c, _numbers(c, (*lead, m, k))), _numbers(c, (*lead, k, n))
    return {"a": a, "b": b}, _shift(c, _peak(a), _peak(b), k)


def add_wide(c: Chance) -> Call:
    shape = (*c.lead(), c.size("D"))
    attrs = {"a_shift": c.number(0, 14), "b_shift": c.number(0, 14), "shift": c.number(0, 28)}
    return {"a": _numbers(c, shape), "b": _numbers(c, shape)}, attrs


def _coefficients(c: Chance, most: int = 5) -> np.ndarray:
    """Cells of any size, or of polynomials whose terms fall."""
    shape = (c.number(1, most), 7)
    table = c.filled("int64", shape, -(1 << 48), 1 << 48)
    return table >> 6 * np.arange(7) if c.word() % 2 else table


def softmax_wide(c: Chance) -> Call:
    b, h, q, k = c.size("B", 2), c.size("H", 2), c.size("Q", 2), c.size("K", 33)
    mask, fraction = c.mask((b, q, k) if c.word() % 2 else (b, k)), c.number(24, 44)
    falling = (1 << 48) - np.arange(32, dtype=np.int64)[:, None] * (1 << 42) >> 8 * np.arange(7)
    x = _numbers(c, (b, h, q, k)) >> c.number(0, 6)
    attrs = {"multiplier": c.wide(0, WIDE), "shift": c.pick((48, c.number(48, 64))), "fraction": fraction}
    if c.word() % 2:  # distances at the edges of cells
        attrs |= {"multiplier": 1 << 46, "shift": 48}
        edges = (c.uniform(0, 40, x.shape) << fraction - 3) + c.uniform(-1, 1, x.shape) * 4
        x = np.clip(-edges, -WIDE, WIDE)
    coefficients = falling if c.word() % 2 else _coefficients(c, 32)
    if c.word() % 2:  # so small that a sum is at its least
        coefficients = coefficients >> c.number(8, 30)
    return {"x": x, "mask": mask, "coefficients": coefficients}, attrs


def _rows(c: Chance) -> np.ndarray:
    """Rows of one magnitude each, some around a mean."""
    lead, width = (c.lead() or (1,)), c.size("D", 33)
    x = _numbers(c, (*lead, width)) >> c.uniform(0, 47, (*lead, 1))
    mean = c.widely(-WIDE, WIDE, (*lead, 1)) * c.uniform(0, 1, (*lead, 1))
    return np.clip(x + mean, -WIDE, WIDE)


def layernorm_wide(c: Chance) -> Call:
    x = _rows(c)
    gain, bias = _numbers(c, x.shape[-1]), _numbers(c, x.shape[-1]) >> c.number(0, 47)
    attrs = {"eps": c.wide(0, 1 << 52), "most": c.number(0, 48), "shift": c.pick((48, c.number(48, 64)))}
    return {"x": x, "gain": gain, "bias": bias}, attrs


def _function(c: Chance) -> Call:
    """x inside the table, at the edges of its cells and beyond it."""
    table, fraction = _coefficients(c), c.number(6, 47)
    shape = (*c.lead(), c.size("D", 33))
    width = fraction - 5
    edges = (c.uniform(0, len(table) + 1, shape) << width) + c.uniform(-2, 2, shape)
    inside = c.widely(-min((len(table) + 2) << width, WIDE), min((len(table) + 2) << width, WIDE), shape)
    x = np.where(c.uniform(0, 2, shape) == 0, edges, np.where(c.uniform(0, 5, shape) > 0, inside, _numbers(c, shape)))
    return {"x": np.clip(x * np.where(inside < 0, -1, 1), -WIDE, WIDE), "coefficients": table}, {"fraction": fraction}


def gelu_wide(c: Chance) -> Call:
    return _function(c)


def tanh_wide(c: Chance) -> Call:
    return _function(c)


def mean_pool_wide(c: Chance) -> Call:
    shape = (*c.lead(), c.size("T"))
    return {"x": _numbers(c, (*shape, c.size("D", c.pick((5, 5, 97))))), "mask": c.mask(shape)}, {}


def l2_normalize_wide(c: Chance) -> Call:
    return {"x": _rows(c)}, {}


DRAWS: dict[str, Callable[[Chance], Call]] = {
    f.__name__: f
    for f in (
        linear_wide,
        matmul_wide,
        add_wide,
        softmax_wide,
        layernorm_wide,
        gelu_wide,
        tanh_wide,
        mean_pool_wide,
        l2_normalize_wide,
    )
}
AXES: dict[str, str] = {
    "linear_wide": "K",
    "matmul_wide": "K",
    "add_wide": "D",
    "gelu_wide": "D",
    "tanh_wide": "D",
    "softmax_wide": "K",
    "layernorm_wide": "D",
    "mean_pool_wide": "T",
    "l2_normalize_wide": "D",
}
