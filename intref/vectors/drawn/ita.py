"""Random calls of ops/ita.py."""

from collections.abc import Callable

import numpy as np

from intref.ops.ita import MAX_KEYS
from intref.vectors.drawn.chance import Chance
from intref.vectors.drawn.products import Call


def softmax_ita(c: Chance) -> Call:
    """Rows around one another by every distance, maxima that rise and fall from group to group."""
    b, h, q, k = c.size("B", 3), c.size("H", 5), c.size("Q", 5), min(c.size("K", 65), MAX_KEYS)
    span = c.pick((1, 3, 9, 20, 60, 255))
    x = c.uniform(0, span, (b, h, q, k)) + c.number(-128, 127 - span)
    if c.word() % 2:  # group after group a little higher, or lower
        slope = np.arange(k) * c.number(-3, 3) // c.number(1, 16)
        x = np.clip(x + slope, -128, 127)
    mask = c.mask((b, q, k) if c.word() % 2 else (b, k))
    group = {} if c.word() % 4 == 0 else {"group": c.number(1, 64) if c.word() % 2 else c.number(1, 5)}
    return {"x": x.astype(np.int8), "mask": mask}, group


def gelu_ita(c: Chance) -> Call:
    """Constants as a scale gives them, and any; x near the cut at -b."""
    b = -c.wide(0, 443) if c.word() % 4 else -c.number(0, 127)
    constant = c.wide(-(1 << 15), (1 << 15) - 1) if c.word() % 2 else max(-(b * b) - c.number(0, 20), -(1 << 15))
    shape = (*c.lead(), c.size("D"))
    near = (-b + c.uniform(-2, 2, shape)) * np.where(c.uniform(0, 1, shape) > 0, 1, -1)
    x = np.where(c.uniform(0, 1, shape) > 0, np.clip(near, -128, 127), c.filled("int8", shape))
    lowest = {"lowest": c.number(-128, -127)} if c.word() % 2 else {}
    return {"x": x.astype(np.int8)}, {"b": b, "c": constant, **lowest}


DRAWS: dict[str, Callable[[Chance], Call]] = {f.__name__: f for f in (softmax_ita, gelu_ita)}
AXES: dict[str, str] = {"softmax_ita": "K Q", "gelu_ita": "D"}
