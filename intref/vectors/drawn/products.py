"""Random calls of the products, the look-ups and the ops that only move elements."""

from typing import Any

import numpy as np

from intref.ops.op import INTS
from intref.vectors.drawn.chance import Chance

Call = tuple[dict[str, np.ndarray], dict[str, Any]]
ANY = (*INTS, "uint8")
MOST = (1 << 31) - 1


def _fitting(a: np.ndarray, b: np.ndarray, bias: np.ndarray | None = None) -> bool:
    """Whether a product of matrices, and its bias, fit int32."""
    y = np.matmul(a.astype(np.int64), b.astype(np.int64))
    y = y if bias is None else y + bias
    return bool(y.min() >= -MOST - 1 and y.max() <= MOST)


def linear(c: Chance) -> Call:
    """Every dtype, accumulators of every length; a bias that would leave int32 is drawn smaller."""
    k, n, dtype = c.size("K"), c.size("N"), c.pick(("int8", "uint8", "int16"))
    x, weight = c.filled(dtype, (*c.lead(), k)), c.filled("int8", (n, k))
    bias = c.filled("int32", n)
    while not _fitting(x, weight.T, bias):
        bias, x = bias // 2, x // 2 if not bias.any() else x
    tensors = {"x": x, "weight": weight, "bias": bias.astype(np.int32)}
    if c.fixed:
        return tensors, {}
    attrs, bias = _register(c, x, weight.T, bias, ("x_zero_point", "weight_zero_point"))
    return {**tensors, "bias": bias}, attrs


def matmul(c: Chance) -> Call:
    """As linear; an operand for every leading index."""
    lead, m, k, n = c.lead(), c.size("M", 33), c.size("K"), c.size("N", 33)
    a, b = c.filled(c.pick(("int8", "uint8", "int16")), (*lead, m, k)), c.filled("int8", (*lead, k, n))
    while not _fitting(a, b):
        a = a // 2
    if c.fixed:
        return {"a": a, "b": b}, {}
    b = c.filled("int16", b.shape) if c.word() % 2 else b
    attrs, _ = _register(c, a, b, np.zeros(1, np.int32), ("a_zero_point", "b_zero_point"))
    return {"a": a, "b": b}, attrs


def _register(
    c: Chance, a: np.ndarray, b: np.ndarray, bias: np.ndarray, zeros: tuple[str, str]
) -> tuple[dict[str, Any], np.ndarray]:
    """Zero points, and an accumulator near what the sums need: attributes, and a bias that fits it."""
    points = [c.pick((0, 0, c.wide(-128, 127), c.wide(-(1 << 15), (1 << 15) - 1))) for _ in zeros]
    y = np.matmul(a.astype(np.int64) - points[0], b.astype(np.int64) - points[1])
    overflow = c.pick(("refuse", "wrap", "saturate", "saturate"))
    needed = max(_bits(y + bias), _bits(bias), 8)
    bits = needed + c.pick((0, 0, 1, 9)) if overflow == "refuse" else needed - c.pick((-1, 0, 1, 2, 3, 5))
    accumulator = c.pick((*[min(max(bits, 8), 64)] * 4, c.number(max(needed, 8), 64)))
    attrs: dict[str, Any] = {"overflow": overflow, "accumulator": accumulator}
    if overflow == "saturate":
        attrs["every"] = c.pick((0, 1, 1, 2, 3, 4, 5, 8, 16, 31, 300, a.shape[-1], 1 << 20))
    if accumulator <= 32 and c.word() % 2:
        attrs["output"] = "int64"
    while _bits(bias) > accumulator:
        bias = bias // 2
    return {**dict(zip(zeros, points)), **attrs}, bias.astype(np.int32)


def _bits(x: np.ndarray) -> int:
    """Of a two's complement number that holds every element."""
    return max(int(x.max()).bit_length(), int(-1 - x.min()).bit_length()) + 1


def linear_int4(c: Chance) -> Call:
    """Odd K, partial groups, every nibble; a sum that would leave int32 has its scales halved."""
    k, n = c.size("K"), c.size("N", 33)
    group = 2 * c.number(1, max(k // 2, 1)) if c.word() % 4 else 2 * c.number(1, 3)
    x, weight = c.filled("int8", (*c.lead(), k)), c.filled("uint8", (n, -(-k // 2)))
    if k % 2:
        weight[:, -1] &= 15
    scale, bias = c.filled("int16", (n, -(-k // group))), c.filled("int32", n)
    at = np.arange(k)
    w = ((weight[:, at // 2].astype(np.int64) >> at % 2 * 4) + 8 & 15) - 8
    while not _fitting(x, (w * scale[:, at // group]).T, bias):
        bias, scale = bias // 2, scale // 2
    return {"x": x, "weight": weight, "scale": scale, "bias": bias}, {"group_size": group}


def embedding(c: Chance) -> Call:
    """Tables of every dtype."""
    rows, dtype = c.size("V"), c.pick(("int8", "int16", "int32"))
    ids = c.uniform(0, rows - 1, (*c.lead(), c.size("T", 33)), "int32")
    return {"ids": ids, "table": c.filled(dtype, (rows, c.size("D")))}, {}


def positions(c: Chance) -> Call:
    """Both forms of every padding."""
    return {"mask": c.mask((*c.lead(), c.size("T")))}, {
        "form": c.pick(("offset", "count")),
        "start": c.wide(1, 1 << 20),
    }


def mean_pool(c: Chance) -> Call:
    """Every dtype under masks of every pattern."""
    lead, t = c.lead(), c.size("T", 33)
    x = c.filled(c.pick(("int8", "int16", "int32")), (*lead, t, c.size("D", 33)))
    return {"x": x, "mask": c.mask((*lead, t))}, {}


def split_heads(c: Chance) -> Call:
    heads = c.number(1, 6)
    channels = c.fixed.get("C") or heads * c.size("D", 17)
    heads = heads if channels % heads == 0 else 1
    return {"x": c.filled(c.pick(ANY), (*c.lead(), c.size("T", 33), channels), -LIMIT, LIMIT)}, {"heads": heads}


def merge_heads(c: Chance) -> Call:
    shape = (*c.lead(), c.size("H", 33), c.size("T", 33), c.size("D", 33))
    return {"x": c.filled(c.pick(ANY), shape, -LIMIT, LIMIT)}, {}


def transpose(c: Chance) -> Call:
    return {"x": c.filled(c.pick(ANY), (*c.lead(), c.size("M"), c.size("N")), -LIMIT, LIMIT)}, {}


def select_token(c: Chance) -> Call:
    rows = c.size("T")
    x = c.filled(c.pick(ANY), (*c.lead(), rows, c.size("D", 33)), -LIMIT, LIMIT)
    return {"x": x}, {"index": c.number(0, rows - 1)}


def reshape(c: Chance) -> Call:
    """Some sizes, and others of the same product."""
    sizes = [c.size("R", 5) for _ in range(c.number(0, 5))] + [c.size("C", 97 if c.word() % 4 else 5)]
    x = c.filled(c.pick(ANY), c.shuffled(sizes), -LIMIT, LIMIT)
    rank, left, made = c.number(1, 6), int(x.size), []
    for _ in range(rank - 1):
        made.append(c.pick([n for n in range(1, 33) if left % n == 0]))
        left //= made[-1]
    return {"x": x}, {"rank": str(rank), **{f"d{i}": n for i, n in enumerate(c.shuffled([*made, left]))}}


def swap_axes(c: Chance) -> Call:
    shape = (*c.lead(), c.size("M", 33), c.size("N", 33), c.size("D", 33))
    return {"x": c.filled(c.pick(ANY), shape, -LIMIT, LIMIT)}, {}


def slice_rows(c: Chance) -> Call:
    rows = c.size("T")
    x = c.filled(c.pick(ANY), (*c.lead(), rows, c.size("D", 33)), -LIMIT, LIMIT)
    start, step = c.number(0, rows - 1), c.pick((0, 0, 1, 1, 2, 3, 5, 17))
    last = (rows - 1 - start) // step if step else c.number(0, 33)
    return {"x": x}, {"start": start, "step": step, "count": 1 + c.pick((last, c.number(0, last)))}


def concat_rows(c: Chance) -> Call:
    lead, width, dtype = c.lead(), c.size("D", 33), c.pick(ANY)
    a, b = (c.filled(dtype, (*lead, c.size(axis, 33), width), -LIMIT, LIMIT) for axis in "TU")
    return {"a": a, "b": b}, {}


LIMIT = 1 << 62
_DRAWN = (linear, matmul, linear_int4, embedding, positions, mean_pool, split_heads, merge_heads, transpose)
DRAWS = {draw.__name__: draw for draw in (*_DRAWN, select_token, reshape, swap_axes, slice_rows, concat_rows)}
