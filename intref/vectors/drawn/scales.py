"""Random calls of the rescales and sums: operands solved from results near ties and clips, and any others."""

from typing import Any

import numpy as np

from intref.ops.op import INTS, dtype_range
from intref.ops.rescale import RULES
from intref.vectors.drawn.chance import Chance
from intref.vectors.drawn.products import LIMIT, Call

EXACT = RULES[:-3]
M31 = (1 << 31) - 1


def _near(c: Chance, multiplier: int, shift: int, low: int, high: int, offset: int, count: int) -> list[int]:
    """x whose results lie on a tie, at a clip or anywhere, and neighbours of such x."""
    goals = [*map(int, c.widely(low, high, count)), low, high]
    found = []
    for _ in range(count):
        goal = c.pick(goals) + c.number(-1, 1) - offset
        exact = (2 * goal + c.pick((-1, 0, 1)) << shift) // 2
        found.append(exact // (multiplier or 1) + c.number(-1, 1))
    return found


def _inside(values: list[int], low: int, high: int) -> list[int]:
    return [min(max(v, low), high) for v in values]


def rescale(c: Chance) -> Call:
    """Each rule on each dtype: one multiplier and shift, or one of each per channel of any axis."""
    rule, output = c.pick(RULES), c.pick(INTS)
    attrs: dict[str, Any] = {"rounding": rule, "output": output, **c.clip(output)}
    if rule == "fp32_half_even":
        return _by_scale(c, attrs)
    double = rule in ("gemmlowp_double", "tosa_double")
    dtype = c.pick(("int8", "uint8", "int16", "int32") + (() if double else ("int64",)))
    multiplier = c.wide(0 if double else -(1 << 31), M31)
    shift = c.number(2, 62) if rule == "tosa_double" else c.number(0, 94)
    ends = (-(1 << 30), 1 << 30) if rule == "tosa_double" else dtype_range("int8")  # x on either side of its zero point
    zero = c.wide(*ends) if c.word() % 2 else 0
    offset = c.wide(*dtype_range("int16")) if c.word() % 2 else 0
    low, high = (max(v, -LIMIT) if v < 0 else min(v, LIMIT) for v in dtype_range(output))
    bound = _bound(dtype, multiplier, shift, zero, rule)
    ends = dtype_range(dtype) if dtype != "uint8" else (0, 255)
    x = [v + zero for v in _near(c, multiplier, shift, attrs.get("low", low), attrs.get("high", high), offset, 32)]
    x += [*map(int, c.widely(max(-bound, ends[0]), min(bound, ends[1]), 32))]
    x = _inside(_inside(x, zero - bound, zero + bound), *ends)
    tensors: dict[str, Any] = {"multiplier": np.array([multiplier], np.int32), "shift": np.array([shift], np.int8)}
    if any(abs(v - zero) * abs(multiplier) >> shift >= LIMIT for v in x):
        x = _inside([0] * len(x), *ends)
    attrs |= {"input_zero_point": zero, "output_zero_point": offset}
    if c.word() % 8 == 0:
        attrs = {k: v for k, v in attrs.items() if k not in ("low", "high")} | {"output": "uint8"}
    return {"x": np.array(x, dtype).reshape(c.pick(((64,), (8, 8), (2, 4, 8)))), **tensors}, attrs


def _bound(dtype: str, multiplier: int, shift: int, zero: int, rule: str) -> int:
    """The largest |x - zero| that the contract allows."""
    quotient = ((LIMIT - 1 << shift) // abs(multiplier)) if multiplier else LIMIT
    least = (1 << 31) if rule == "tosa_double" else LIMIT - abs(zero)
    return min(quotient, least)


def _by_scale(c: Chance, attrs: dict[str, Any]) -> Call:
    """By the bit pattern of a float32 of any exponent that keeps the result below 2**62."""
    dtype = c.pick(("int8", "int16", "int32", "int64"))
    exponent, fraction = c.number(1, 127 + 29), c.number(0, (1 << 23) - 1)
    pattern = (exponent << 23) + fraction - (c.word() % 2 << 31)
    bound = min(dtype_range(dtype)[1], (1 << max(min(61 - (exponent - 127) - 1, 61), 0)) - 1)
    x = c.widely(-bound, bound, (8, 8), dtype)
    tensors = {"x": x, "multiplier": np.array([pattern], np.int32), "shift": np.zeros(1, np.int8)}
    return tensors, {**attrs, "output_zero_point": c.wide(-999, 999)}


def channels(c: Chance) -> Call:
    """rescale with a multiplier and a shift for each channel of an axis."""
    shape = (c.size("A", 5), c.size("C", 97), c.size("B", 3))
    axis = 1 if c.fixed else c.number(0, 2)
    many = shape[axis]
    x = c.filled(c.pick(("int8", "int16", "int32")), shape)
    multiplier, shift = c.filled("int32", many), c.uniform(0, 94, many, "int8")
    multiplier, shift = ((t if c.fixed or c.word() % 4 else t[:1]) for t in (multiplier, shift))
    output = c.pick(INTS)
    attrs = {"rounding": c.pick(EXACT), "output": output, "axis": axis - c.pick((0, 3)), **c.clip(output)}
    x = np.clip(x, -(1 << 30), 1 << 30)
    return {"x": x, "multiplier": multiplier, "shift": shift}, attrs


def any_rescale(c: Chance) -> Call:
    """One in four by channels."""
    return channels(c) if c.fixed or c.word() % 4 == 0 else rescale(c)


def add(c: Chance) -> Call:
    """Two terms of any dtype, constants alone or per channel, shifts near enough that both terms count."""
    width, output = c.size("D"), c.pick(INTS)
    shape = (*c.lead(), width)
    tensors: dict[str, np.ndarray] = {}
    for term in "ab":
        tensors[term] = c.filled(c.pick(("int8", "int16", "int32")), shape, -M31)
        for name, dtype, low, high in (("multiplier", "int32", None, None), ("shift", "int8", 0, 94)):
            count = width if c.fixed or c.word() % 2 else 1
            tensors[f"{term}_{name}"] = c.filled(dtype, count, low, high)
    return tensors, {"rounding": c.pick(EXACT), "output": output, **c.clip(output)}


def add_bias(c: Chance) -> Call:
    width, output = c.size("D"), c.pick(INTS)
    x = c.filled(c.pick(("int8", "int16", "int32")), (*c.lead(), width))
    return {"x": x, "bias": c.filled("int32", width)}, {"output": output, **c.clip(output)}


def clamp(c: Chance) -> Call:
    dtype = c.pick((*INTS, "uint8"))
    low, high = (0, 255) if dtype == "uint8" else dtype_range(dtype)
    ends = sorted(int(v) for v in c.widely(max(low, -LIMIT), min(high, LIMIT), 2))
    shape = (*c.lead(), c.size("D"))
    x = c.widely(max(low, -LIMIT), min(high, LIMIT), shape, dtype)
    return {"x": x}, {"low": ends[0], "high": ends[1]}


def rescale_quotient(c: Chance) -> Call:
    """Totals and shifts of every length, x near the ties of its divisor."""
    h, q, d, lead, output = c.size("H", 33), c.size("Q", 17), c.size("D", 17), c.lead(), c.pick(INTS)
    total = c.widely(0, 1 << 24, (*lead, h, q, 1), "int32")
    multiplier, shift = c.widely(0, 1 << 24, h, "int32"), c.uniform(1, 38, h, "int8")
    x = c.filled("int32", (*lead, h, q, d), -(1 << 30), 1 << 30)
    divisor = np.maximum(total.astype(np.int64), 1) << shift[:, None, None].astype(np.int64)
    factor = np.maximum(multiplier[:, None, None].astype(np.int64), 1)
    near = (2 * c.uniform(-200, 200, x.shape) + 1) * (divisor >> 1) // factor
    near = np.where(np.abs(near) <= 1 << 30, near, x)
    x = np.where(c.uniform(0, 1, x.shape) > 0, near, x).astype(np.int32)
    return {"x": x, "total": total, "multiplier": multiplier, "shift": shift}, {"output": output, **c.clip(output)}


def quantize_token(c: Chance) -> Call:
    """Rows of every peak."""
    lead, width = c.lead(), c.size("D")
    dtype = c.pick(("int16", "int32"))
    drop = c.uniform(0, 23, (*lead, 1))
    x = c.filled("int32", (*lead, width), -(1 << 23), 1 << 23).astype(np.int64) >> drop
    low, high = dtype_range(dtype)
    return {"x": np.clip(x, low, high).astype(dtype)}, {}


def rescale_token(c: Chance) -> Call:
    """Products of every length, floors and ties at the guard bits."""
    lead, width, output = c.lead(), c.size("N"), c.pick(INTS)
    tensors = {
        "x": c.filled("int32", (*lead, width)),
        "mantissa": c.filled("int16", (*lead, 1), 1),
        "exponent": c.uniform(0, 9, (*lead, 1), "int8"),
        "multiplier": c.filled("int32", width, 0, (1 << 16) - 1),
        "shift": c.uniform(9, 62, width, "int8"),
        "bias": c.widely(-(1 << 40), 1 << 40, width),
    }
    return tensors, {"output": output, **c.clip(output)}


def rescale_token_residual(c: Chance) -> Call:
    tensors, attrs = rescale_token(c)
    tensors["residual"] = c.filled("int32", tensors["x"].shape, -(1 << 23), 1 << 23)
    tensors["residual_multiplier"] = c.filled("int32", 1, 0)
    tensors["residual_shift"] = c.uniform(0, 62, 1, "int8")
    return tensors, attrs


DRAWS = {
    "rescale": any_rescale,
    **{
        f.__name__: f
        for f in (add, add_bias, clamp, rescale_quotient, quantize_token, rescale_token, rescale_token_residual)
    },
}
