"""Random calls of ops/image.py."""

from collections.abc import Callable

import numpy as np

from intref.ops.op import INTS
from intref.vectors.drawn.chance import Chance
from intref.vectors.drawn.products import Call

ANY = (*INTS, "uint8")
NARROW = ("int8", "uint8", "int16", "int32")
MOST = (1 << 31) - 1


def _edges(c: Chance, span: int, window: int, most: int) -> tuple[int, int]:
    """What is before and behind an axis of that size, enough for a window."""
    before, after = (c.number(0, min(most, 3)) if c.word() % 2 else 0 for _ in range(2))
    lacking = max(window - span - before - after, 0)
    return before + lacking // 2, after + lacking - lacking // 2


def conv2d(c: Chance) -> Call:
    """Few channels in few groups; a sum that would leave int32 has its image halved."""
    groups, depth, share = c.pick((1, 1, 2, 3)), c.pick((1, 1, 2, 3, 5)), c.pick((1, 2, 3))
    if c.fixed:
        depth = c.fixed.get("I") or c.fixed.get("C") or depth
        groups, share = max(c.fixed.get("C", depth) // depth, 1), c.fixed.get("O") or share
        share = max(share // groups, 1) if "O" in c.fixed else share
    span = [c.fixed.get(axis) or c.number(1, 9) for axis in "YX"]
    taps = [min(c.fixed.get(axis, 0), 16) or (c.number(1, 3) if c.word() % 8 else c.number(1, 9)) for axis in "UV"]
    dilation = [c.pick((1, 1, 2, 3)) for _ in "UV"]
    dtype = c.pick(("int8", "uint8", "int16"))
    x = c.filled(dtype, (c.fixed.get("B") or c.pick((1, 2)), groups * depth, *span))
    weight = c.filled("int8", (groups * share, depth, *taps))
    bias = c.filled("int32", groups * share) >> c.number(0, 24)
    zero_point = c.pick((0, 0, c.number(-128, 255), 128, -128, 255))
    bias = np.clip(bias, -(1 << 29), 1 << 29).astype(np.int32) if c.word() % 8 else bias
    while (
        depth * taps[0] * taps[1] * 128 * (int(abs(x.astype(np.int64)).max()) + 255)
        + int(abs(bias.astype(np.int64)).max())
        > MOST
    ):
        x, bias = x // 2, bias // 2
    attrs = {"zero_point": zero_point}
    for axis, size, count, gap, ends in zip("yx", span, taps, dilation, (("top", "bottom"), ("left", "right"))):
        attrs[f"stride_{axis}"], attrs[f"dilation_{axis}"] = c.pick((1, 1, 2, 3)), gap
        attrs |= dict(zip(ends, _edges(c, size, gap * (count - 1) + 1, 3)))
    return {"x": x, "weight": weight, "bias": bias}, attrs


def max_pool(c: Chance) -> Call:
    """Windows over every edge, of every dtype."""
    span = [c.fixed.get(axis) or c.number(1, 11) for axis in "YX"]
    window = [min(c.number(1, 4), 2 * size - 1) for size in span]
    x = c.filled(c.pick(ANY), (*c.lead(), *span))
    attrs = {"height": window[0], "width": window[1]}
    for axis, size, length, ends in zip("yx", span, window, (("top", "bottom"), ("left", "right"))):
        before, after = _edges(c, size, length, length - 1)
        attrs[f"stride_{axis}"] = c.pick((1, 1, 2, 3, 5))
        attrs |= {ends[0]: min(before, length - 1), ends[1]: min(after, length - 1)}
    return {"x": x}, attrs


def sum_rows(c: Chance) -> Call:
    """Sums of every length; one that would leave int32 has its rows halved."""
    x = c.filled(c.pick(NARROW), (*c.lead(), c.size("T", 65), c.size("D", 33)))
    while abs(x.astype(np.int64).sum(axis=-2)).max() > MOST:
        x = x // 2
    return {"x": x}, {}


def elementwise(c: Chance) -> Call:
    """Every pair of dtypes; where a result would leave int32 and must not, both are halved."""
    shape = (*c.lead(), c.size("D"))
    a, b = c.filled(c.pick(NARROW), shape), c.filled(c.pick(NARROW), shape)
    operation, overflow = c.pick(("add", "subtract", "multiply")), c.pick(("refuse", "wrap"))
    whole = {"add": np.add, "subtract": np.subtract, "multiply": np.multiply}[operation]
    while overflow == "refuse" and abs(whole(a.astype(np.int64), b)).max() > MOST:
        a, b = a // 2, b // 2
    return {"a": a, "b": b}, {"operation": operation, "overflow": overflow}


DRAWS: dict[str, Callable[[Chance], Call]] = {f.__name__: f for f in (conv2d, max_pool, sum_rows, elementwise)}
AXES: dict[str, str] = {"conv2d": "C Y X", "max_pool": "Y X", "sum_rows": "T D", "elementwise": "D"}
