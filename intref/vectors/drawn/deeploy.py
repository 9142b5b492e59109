"""Random calls of ops/deeploy.py."""

from collections.abc import Callable

import numpy as np

from intref.ops.op import dtype_range
from intref.vectors.drawn.chance import Chance
from intref.vectors.drawn.products import Call

M31 = (1 << 31) - 1


def _offset(c: Chance, x: np.ndarray) -> int:
    """An input offset that keeps x in [-128, 255]."""
    low, high = max(-128 - int(x.min()), -128), min(255 - int(x.max()), 128)
    return c.pick((0, 0, low, high, c.number(low, high)))


def _clamps(c: Chance, output: str) -> dict[str, int]:
    """The output's own range, that of its levels, or anything."""
    low, high = dtype_range(output)
    return c.pick(({}, {"low": max(low, -128), "high": min(high, 127)}, c.clip(output)))


def requant_shift(c: Chance) -> Call:
    """Results near ties and clips, sums that wrap, and a constant along any axis."""
    dtype, output, shift = c.pick(("int8", "uint8", "int16", "int32")), c.pick(("int8", "uint8", "int16", "int32")), 0
    shift, shape = c.number(0, 31), (*c.pick((c.lead(), (2, 1, 3))), c.size("C"))
    axis = -1 if c.fixed else c.number(-len(shape), len(shape) - 1)
    channels = shape[axis]
    attrs = {
        "shift": shift,
        "rounding": c.pick(("half_up", "floor")),
        "output": output,
        "axis": axis,
        **_clamps(c, output),
    }
    for name in ("input_offset", "output_offset"):
        if c.word() % 2:
            attrs[name] = c.pick((128, -128, c.wide(-(1 << 15), 1 << 15), c.wide(-300, 300)))
    mul, add = (c.filled("int32", c.pick((1, channels, channels))) for _ in range(2))
    if c.word() % 2:  # products whose results are of few bits
        mul = (c.widely(-(1 << 16), 1 << 16, len(mul))).astype(np.int32)
        add = (c.widely(-(1 << 8), 1 << 8, len(add)) << max(shift - 1, 0) & M31).astype(np.int32)
    if c.word() % 4 == 0:  # the sum one either side of a wrap
        mul = np.where(c.uniform(0, 1, len(mul)) > 0, 1, -1).astype(np.int32)
        add = (np.where(c.uniform(0, 1, len(add)) > 0, M31, -(1 << 31)) + c.uniform(-9, 9, len(add))).clip(
            -(1 << 31), M31
        )
    return {"x": c.filled(dtype, shape), "mul": mul, "add": add.astype(np.int32)}, attrs


def _scores(c: Chance, keys: int = 0) -> dict[str, np.ndarray]:
    """x and mask of a softmax: rows of one value, of any, that climb or that crowd together."""
    b, h, q, k = c.size("B", 3), c.size("H", 4), c.size("Q", 5), keys or c.size("K", 65)
    x = c.filled("int8", (b, h, q, k))
    x = x >> c.uniform(0, 7, (b, h, q, 1)).astype(np.int8)
    kinds = c.uniform(0, 5, (b, h, q, 1))
    x = np.where(kinds == 0, np.maximum.accumulate(x, axis=-1), np.where(kinds == 1, x[..., :1], x))
    return {"x": x.astype(np.int8), "mask": c.mask((b, q, k) if c.word() % 2 else (b, k))}


def _levels(c: Chance) -> int:
    return c.pick((256, 256, 256, 255, 128, c.number(2, 256)))


def softmax_deeploy(c: Chance) -> Call:
    """Constants of a real scale, constants of anything, and sums that wrap."""
    tensors, ln2 = _scores(c), c.pick((2, 3, c.number(2, 40), c.number(2, 300), c.wide(2, 1 << 15)))
    b, const = c.pick(((min(2 * ln2, 1 << 15), 2 * ln2 * ln2), (c.wide(0, 1 << 15), c.wide(0, M31))))
    a = min(c.pick((1, c.wide(1, 1 << 15))), M31 // max(b, 255) ** 2)
    if c.word() % 6 == 0:  # whose sums are about 2**32
        a, b, const = 1, c.number(0, 3), M31 - c.number(0, 20)
    attrs = {
        "a": a,
        "b": b,
        "c": min(const, M31),
        "ln2": ln2,
        "levels": _levels(c),
        "output": c.pick(("int8", "uint8")),
    }
    return tensors, attrs


def softmax_itamax(c: Chance) -> Call:
    return _scores(c), {"levels": _levels(c), "output": c.pick(("int8", "uint8"))}


def softmax_itamax_partial(c: Chance) -> Call:
    """Maxima that climb from group to group."""
    if "K" in c.fixed:
        keys = c.fixed["K"]
        group = next(g for g in (16, 12, 7, 5, 3, 1) if keys % g == 0)
    else:
        group = c.pick((1, 2, 3, 4, 8, 16, 16))
        keys = group * c.number(1, 40 // group + 1)
    tensors = _scores(c, keys)
    if c.word() % 3 == 0:
        tensors["x"] = np.maximum.accumulate(tensors["x"], axis=-1)
    if c.word() % 2 == 0:  # climbs about a halving each, and keys below them
        steps = np.arange(keys) // group * c.number(14, 40) + c.uniform(-2, 2, tensors["x"].shape)
        steps = steps - np.where(c.uniform(0, 3, tensors["x"].shape) == 0, c.uniform(0, 90, tensors["x"].shape), 0)
        tensors["x"] = np.clip(steps - 128 + c.number(0, 60), -128, 127).astype(np.int8)
    return tensors, {"group": group, "levels": _levels(c), "output": c.pick(("int8", "uint8"))}


def _bytes(c: Chance) -> np.ndarray:
    """Rows of eight bits: any, small ones, around a mean, all equal."""
    dtype = c.pick(("int8", "uint8"))
    low, high = dtype_range(dtype)
    shape = (*c.lead(), c.size("D"))
    x = c.filled(dtype, shape).astype(np.int64) >> c.uniform(0, 8, (*shape[:-1], 1))
    x = x + np.where(c.uniform(0, 3, (*shape[:-1], 1)) == 0, c.uniform(low, high, (*shape[:-1], 1)), 0)
    return np.clip(x, low, high).astype(dtype)


def _weight(c: Chance, shift: int, width: int) -> np.ndarray:
    """Weights of any size, and those that leave 8 bits after the shift."""
    if c.word() % 2:
        return c.filled("int32", width)
    most = min(200 << shift, M31)
    return c.widely(-most, most, width, "int32")


def layernorm_deeploy(c: Chance) -> Call:
    x, shift = _bytes(c), c.pick((0, 1, 14, 16, c.number(0, 31)))
    tensors = {"x": x, "weight": _weight(c, shift, x.shape[-1]), "bias": _weight(c, shift, x.shape[-1])}
    return tensors, {"input_offset": _offset(c, x), "shift": shift, "overflow": c.pick(("clamp", "wrap"))}


def rmsnorm_deeploy(c: Chance) -> Call:
    x, shift = _bytes(c), c.pick((0, 1, 14, 16, c.number(0, 31)))
    return {"x": x, "weight": _weight(c, shift, x.shape[-1])}, {"input_offset": _offset(c, x), "shift": shift}


def nonorm_deeploy(c: Chance) -> Call:
    """Sums and products inside int32 and beyond."""
    cell, shift = (c.size("T", 9), c.size("D", 33)), c.number(0, 31)
    mul = c.pick((c.wide(-(1 << 31), M31), c.wide(-(1 << 12), 1 << 12), 1))
    tensors = {
        "x": c.filled("int8", (*c.lead(), *cell)),
        "weight": c.filled("int8", c.pick((cell, cell[1:]))),
        "bias": c.filled("int32", cell[1]) if c.word() % 2 else c.widely(-9000, 9000, cell[1], "int32"),
    }
    return tensors, {"mul": mul, "shift": shift, "overflow": c.pick(("clamp", "wrap"))}


def gelu_deeploy(c: Chance) -> Call:
    b = c.wide(-128, 0)
    one = c.pick((b * b + c.number(0, 400), c.wide(-(1 << 15), (1 << 15) - 1)))
    x = _bytes(c)
    return {"x": x}, {"b": b, "one": one, "input_offset": c.pick((0, 0, 128, -128, c.number(-128, 128)))}


def hardswish_deeploy(c: Chance) -> Call:
    three = c.wide(0, 1 << 16) if c.word() % 3 == 0 else c.number(0, 300)
    six = c.pick((min(2 * three, 1 << 16), c.wide(0, 1 << 16)))
    attrs = {"one_over_six": c.wide(0, 1 << 16), "three": three, "six": six}
    return {"x": _bytes(c)}, {**attrs, "input_offset": c.pick((0, 0, 128, -128, c.number(-128, 128)))}


def divide_deeploy(c: Chance) -> Call:
    """Quotients of every size, and exact ties."""
    shape = (*c.lead(), c.size("D"))
    delta = c.wide(1, 1 << 24)
    eta = min(c.wide(1, 1 << 24), M31 * 2 // delta)
    eps = c.pick((1, c.wide(1, M31)))
    x, den = c.filled("int32", shape), c.filled("int32", (*shape[:-1], 1), 0)
    if c.word() % 2:
        delta, eta, eps, den = c.pick((1, 2, 3)), 1, 2, den >> c.number(1, 31) << 1
        x = ((2 * c.uniform(-20, 20, shape) + 1) * (den + 2) // (2 * delta)).clip(-M31, M31).astype(np.int32)
    attrs = {"delta": delta, "eta": eta, "eps": eps, "rounding": c.pick(("half_away", "floor"))}
    return {"x": x, "den": den.astype(np.int32)}, attrs


def mean_deeploy(c: Chance) -> Call:
    """Sums near a tie as well."""
    dtype = c.pick(("int8", "uint8", "int16"))
    x = c.filled(dtype, (*c.lead(), c.size("N", 33), c.size("D", 33)))
    if c.word() % 2:
        x = (x >> c.number(0, 7)).astype(dtype)
    return {"x": x}, {"rounding": c.pick(("half_up", "half_away"))}


DRAWS: dict[str, Callable[[Chance], Call]] = {
    f.__name__: f
    for f in (
        requant_shift,
        softmax_deeploy,
        softmax_itamax,
        softmax_itamax_partial,
        layernorm_deeploy,
        rmsnorm_deeploy,
        nonorm_deeploy,
        gelu_deeploy,
        hardswish_deeploy,
        divide_deeploy,
        mean_deeploy,
    )
}
AXES: dict[str, str] = {
    "requant_shift": "C",
    **dict.fromkeys(("softmax_deeploy", "softmax_itamax", "softmax_itamax_partial"), "K Q"),
    **dict.fromkeys(
        ("layernorm_deeploy", "rmsnorm_deeploy", "gelu_deeploy", "hardswish_deeploy", "divide_deeploy"), "D"
    ),
    "nonorm_deeploy": "T D",
    "mean_deeploy": "N D",
}
