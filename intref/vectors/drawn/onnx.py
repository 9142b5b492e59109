"""Random calls of ops/onnx.py: patterns of every kind, quotients near ties, sums that cancel."""

from collections.abc import Callable
from typing import Any

import numpy as np

from intref.ops.onnx import QUANTIZED, fp32_from_int, fp32_multiply, nearest_fp32, pack_fp32
from intref.ops.op import dtype_range
from intref.vectors.drawn.chance import Chance
from intref.vectors.drawn.products import Call

SIGN = 1 << 31
ORDERS = ("token_first", "channel_first", "scales_first")
CONTRACTS = ("off", "fma")


def _patterns(c: Chance, shape: Any, least: int, most: int, signed: bool = True) -> np.ndarray:
    """float32s with biased exponents in [least, most], significands of few bits, of many, and all ones."""
    fraction = c.widely(0, (1 << 23) - 1, shape)
    kept = c.uniform(0, 23, shape)
    fraction = np.where(c.uniform(0, 1, shape) > 0, fraction, fraction & -(1 << kept))
    fraction = np.where(c.uniform(0, 7, shape) > 0, fraction, (1 << 23) - 1 - (fraction & 1))
    pattern = (c.uniform(least, most, shape) << 23) + fraction
    return pattern - (c.uniform(0, 1, shape) << 31) if signed else pattern


def _near(c: Chance, pattern: np.ndarray) -> np.ndarray:
    """A neighbour of each finite number that is not 0, or itself."""
    moved = pattern + c.uniform(-1, 1, pattern.shape)
    inside = (moved >> 31 == pattern >> 31) & (moved >> 23 & 255 < 255)
    return np.where(inside, moved, pattern)


def _float(n: Any, exponent: Any = 0) -> np.ndarray:
    n = np.asarray(n, np.int64)
    return np.asarray(pack_fp32(np.where(n < 0, -1, 1), np.abs(n), np.asarray(exponent, np.int64)))


def _finite(c: Chance, x: np.ndarray) -> np.ndarray:
    return np.where(x >> 23 & 255 < 255, x, _patterns(c, x.shape, 0, 254))


def _channels(c: Chance, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """(axis, scales, zero points)."""
    axis = c.number(-len(shape), len(shape) - 1)
    return axis, c.pick((1, shape[axis])), c.pick((1, shape[axis]))


def _along(v: np.ndarray, axis: int, ndim: int) -> np.ndarray:
    return v.reshape([-1 if i == axis % ndim else 1 for i in range(ndim)])


def quantize_fp32(c: Chance) -> Call:
    """x solved from half integers, integers at the clips, and anything."""
    shape = (*c.lead(), c.size("D", 33))
    axis, scales, zeros = _channels(c, shape)
    middle = c.pick((1, 30, 110, 127, 127, 140, 254))
    scale = _patterns(c, scales, max(middle - 9, 0), min(middle + 9, 254))
    scale = np.where(scale & SIGN - 1, scale, 1)
    output = c.pick(QUANTIZED)
    bits = {"int8": 9, "uint8": 9, "int16": 17, "int32": 33}[output]
    goal = _float(c.widely(-(1 << bits), 1 << bits, shape), -1)
    goal = goal if output != "int32" or c.word() % 2 else _patterns(c, shape, 127 + 19, 127 + 24)
    x = _near(c, np.asarray(fp32_multiply(goal, _along(scale, axis, len(shape)))))
    x = np.where(c.uniform(0, 7, shape) > 0, _finite(c, x), _patterns(c, shape, 0, 254))
    zero = c.widely(-(1 << bits - 1), 1 << bits - 2, zeros) * c.number(0, 1)
    tensors = {"x": x, "scale": scale, "zero_point": np.clip(zero, -SIGN, SIGN - 1)}
    return {k: v.astype(np.int32) for k, v in tensors.items()}, {"output": output, "axis": axis, **c.clip(output)}


def dequantize_fp32(c: Chance) -> Call:
    """Integers of every length by scales of every exponent: subnormal and infinite products, ties."""
    shape = (*c.lead(), c.size("D", 33))
    axis, scales, zeros = _channels(c, shape)
    x = c.filled(c.pick(QUANTIZED), shape)
    least = c.pick((0, 0, 100, 118, 223, 245))
    scale = _patterns(c, scales, least, min(least + c.number(0, 30), 254))
    zero = c.widely(-SIGN, SIGN - 1, zeros) >> c.number(0, 31)
    return {"x": x, "scale": scale.astype(np.int32), "zero_point": zero.astype(np.int32)}, {"axis": axis}


def add_fp32(c: Chance) -> Call:
    """Numbers of every distance, those that nearly cancel, subnormal ones, and those that go beyond the largest."""
    shape = (*c.lead(), c.size("D", 33))
    least = c.pick((0, 0, 1, 100, 127, 200, 225, 253))
    a = _patterns(c, shape, least, min(least + c.pick((1, 2, 8, 30)), 254))
    far = _patterns(c, shape, max(least - 28, 0), min(least + 28, 254))
    near = _near(c, np.where(c.uniform(0, 3, shape) > 0, a ^ -SIGN, a))
    b = np.where(c.uniform(0, 2, shape) > 0, far, near)
    b = np.where(c.uniform(0, 15, shape) > 0, b, b & -SIGN)
    a = np.where(c.uniform(0, 15, shape) > 0, a, a & -SIGN)
    if c.word() % 2:
        a, b = b, a
    return {"a": a.astype(np.int32), "b": b.astype(np.int32)}, {}


def dynamic_quantize(c: Chance) -> Call:
    """Rows whose scale is a power of two, with ties; rows of one sign; anything."""
    shape = (*c.lead(), c.size("D", 65))
    rows = (*shape[:-1], 1)
    least = c.number(0, 509)
    row = np.clip(c.uniform(-509, 0, shape), -least, 509 - least)
    row = np.where(c.uniform(0, 1, shape) > 0, row, c.uniform(-least, 510 - least, shape))
    row[..., :1], row[..., -1:] = -least, 510 - least
    even = _float(row, c.uniform(-80, 80, rows) - 1)
    middle = c.uniform(40, 220, rows)
    any_ = _patterns(c, shape, 0, 0) + (np.clip(middle + c.uniform(-c.number(0, 30), 0, shape), 0, 253) << 23)
    any_[..., :1] = any_[..., :1] & ~(255 << 23) | middle << 23
    one = np.where(np.arange(shape[-1]) == shape[-1] - 1, any_ - (c.uniform(0, 30, shape) << 23), any_ & SIGN - 1)
    sign = c.uniform(0, 3, rows)
    alike = np.where(sign == 1, any_ & SIGN - 1, any_ | -SIGN)
    any_ = np.where(sign == 0, any_, np.where(sign == 3, one, alike))
    scale = _patterns(c, rows, 60, 180, signed=False)
    solved = _near(c, np.asarray(fp32_multiply(_float(row, -1), scale)))
    kind = c.uniform(0, 2, rows)
    x = np.where(kind == 0, even, np.where(kind == 1, any_, solved))
    x = np.where(c.uniform(0, 9, rows) > 0, x, x & -SIGN)
    x = np.where((x >> 23 & 255) < 254, x, 0)
    return {"x": x.astype(np.int32)}, {}


def quantize_token_fp32(c: Chance) -> Call:
    """Rows whose scale is a power of two, with ties; x solved from half integers; anything below a peak."""
    shape = (*c.lead(), c.size("D", 65))
    rows = (*shape[:-1], 1)
    half = c.uniform(-254, 254, shape)
    half[..., :1] = np.where(half[..., :1] < 0, -254, 254)
    scale = _patterns(c, rows, 20, 156, signed=False)
    even = _float(half, c.uniform(-80, 30, rows) - 1)
    solved = _near(c, np.asarray(fp32_multiply(_float(half, -1), scale)))
    middle = c.uniform(20, 164, rows)
    any_ = _patterns(c, shape, 0, 0) + (np.clip(middle + c.uniform(-c.number(0, 12), 0, shape), 0, 164) << 23)
    any_[..., :1] = any_[..., :1] & ~(255 << 23) | middle << 23
    kind = c.uniform(0, 2, rows)
    x = np.where(kind == 0, even, np.where(kind == 1, solved, any_))
    x = np.where(c.uniform(0, 9, rows) > 0, x, x & -SIGN)
    return {"x": x.astype(np.int32)}, {"by": c.pick(("quotient", "reciprocal"))}


def epilogue_fp32(c: Chance) -> Call:
    """Scales of every exponent, products that are subnormal, biases that cancel and those far away."""
    shape = (*(c.lead() or (1,)), c.size("N", 33))
    x = c.filled("int32", shape)
    token = c.pick((1, 40, 110, 127, 150))
    channel = min(c.pick((1, 40, 110, 127, 150, max(104 - token, 1))), 150)
    tokens = _patterns(c, (*shape[:-1], 1), max(token - 8, 0), token + 8, signed=False)
    channels = _patterns(c, shape[-1], max(channel - 8, 0), channel + 8)
    product = np.asarray(fp32_multiply(fp32_multiply(fp32_from_int(x.astype(np.int64)), tokens), channels))
    row = product.reshape(-1, shape[-1])[c.number(0, 1000) % (product.size // shape[-1])]
    other = np.asarray(fp32_multiply(row, _float(c.widely(-99, 99, shape[-1]), c.uniform(-40, 40, shape[-1]))))
    opposite = np.where(row < 0, row + SIGN, row - SIGN)
    bias = np.where(c.uniform(0, 1, shape[-1]) > 0, _near(c, opposite), other)
    bias = np.where(c.uniform(0, 7, shape[-1]) > 0, bias, _patterns(c, shape[-1], 0, 253))
    bias = np.where(bias >> 23 & 255 < 254, bias, -SIGN)
    tensors = {"x": x, "token": tokens, "channel": channels, "bias": bias}
    attrs = {"order": c.pick(ORDERS), "contract": c.pick(CONTRACTS)}
    if attrs["contract"] == "fma" and c.word() % 4 == 0:
        tensors = _beside_ties(c, tensors)
    return {k: v.astype(np.int32) for k, v in tensors.items()}, attrs


def _beside_ties(c: Chance, tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Products at a tie or one beside it, which biases far below decide, or do not."""
    token, channel, x = tensors["token"] | 1, tensors["channel"], tensors["x"].astype(np.int64)
    count = len(channel)
    factor = token.reshape(-1)[c.uniform(0, 1000, count) % token.size] & (1 << 23) - 1 | 1 << 23
    inverse = factor  # modulo 2**3, and with each step twice as many bits
    for _ in range(3):
        inverse = inverse * (2 - factor * inverse & (1 << 24) - 1) & (1 << 24) - 1
    ends = np.array([0, 1, -1, 1 << 22, (1 << 22) + 1, (1 << 22) - 1])  # of a product of 48 bits, or of 47
    solved = inverse * (ends[c.uniform(0, 5, count)] & (1 << 23) - 1) & (1 << 23) - 1
    channel = channel & ~((1 << 23) - 1) | solved
    power = np.where(x < 0, -1, 1) << c.uniform(0, 30, x.shape)
    return {"x": power, "token": token, "channel": channel, "bias": _patterns(c, count, 0, c.pick((0, 40, 80, 120)))}


def qlinear_softmax(c: Chance) -> Call:
    """Tables that fall steeply and slowly, whose sums lose bits in some orders; factors that make ties."""
    b, h, q, k = c.size("B", 3), c.size("H", 5), c.size("Q", 5), c.size("K", 65)
    dtype, span = c.pick(("int8", "uint8")), c.pick((1, 2, 4, 12, 60, 255))
    low, high = dtype_range(dtype)
    x = high - c.uniform(0, span, (b, h, q, k)) - c.number(0, 255 - span)
    most = 253 - (k - 1).bit_length()  # of the exponents that C8 allows
    first = c.pick((126, 127, 150, min(200, most), min(238, most), most)) << 23
    first += c.pick((0, 1, 0x400000, 0x7FFFFF, c.number(0, 0x7FFFFF))) * (k > 1)
    falls = _falls(c)
    table = np.maximum(first - np.concatenate([[0], np.cumsum(falls)]), 0)
    factor = c.pick((256, 255, 1 << 16, c.number(0, 1 << 16), c.number(0, 1024), c.number(0, 9)))
    tensors = {"x": x.astype(dtype), "mask": c.mask((b, q, k) if c.word() % 2 else (b, k))}
    tensors["table"] = table.astype(np.int32)
    return tensors, {"factor": factor, "zero_point": c.pick((low, high, 0, c.number(low, high))), "output": dtype}


def _falls(c: Chance) -> np.ndarray:
    """From each entry to the next: halvings, steps near 24 of them, of any number of patterns."""
    kind = c.word() % 4
    if kind == 0:
        return c.uniform(0, 1, 255) << 23
    if kind == 1:
        return (c.uniform(20, 26, 255) << 23) + c.uniform(-1, 1, 255)
    return c.uniform(0, c.pick((1, 1 << 20, 1 << 22, 1 << 23)), 255)


def qlinear_add(c: Chance) -> Call:
    """Scales that are small fractions, of any length, at their ends; zero points at ends and anywhere."""
    shape, dtype = (*c.lead(), c.size("D", 33)), c.pick(("int8", "uint8"))
    low, high = dtype_range(dtype)
    zeros = [c.pick((low, high, 0, low + 128, c.number(low, high))) for _ in range(3)]
    attrs = dict(zip(("a_scale", "b_scale", "a_zero_point", "b_zero_point", "y_zero_point"), (*_ratios(c), *zeros)))
    return {"a": c.filled(dtype, shape), "b": c.filled(dtype, shape)}, {**attrs, "output": dtype}


def _ratios(c: Chance) -> list[int]:
    """Times 2**37: two over one number, two of one length, or any two."""
    kind, length = c.word() % 4, c.number(24, 43)
    if kind == 0:
        over = c.number(1, 40)
        return [int(nearest_fp32(np.array([(c.number(1, 2 * over) << 37) // over]))[0]) for _ in "ab"]
    if kind == 1:
        return [c.number(1 << length - 1, (1 << length) - 1) >> length - 24 << length - 24 for _ in "ab"]
    return [c.number(1 << n - 1, (1 << n) - 1) for n in (c.number(24, 44), c.number(24, 44))]


DRAWS: dict[str, Callable[[Chance], Call]] = {
    f.__name__: f
    for f in (
        quantize_fp32,
        dequantize_fp32,
        add_fp32,
        dynamic_quantize,
        quantize_token_fp32,
        epilogue_fp32,
        qlinear_softmax,
        qlinear_add,
    )
}
AXES: dict[str, str] = {
    **dict.fromkeys(("quantize_fp32", "dequantize_fp32", "add_fp32", "dynamic_quantize", "quantize_token_fp32"), "D"),
    "epilogue_fp32": "N",
    "qlinear_softmax": "K",
    "qlinear_add": "D",
}
