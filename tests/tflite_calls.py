"""Calls of ops of the gemmlowp family, each with the .tflite model that computes the same: for the oracles.

A call is (op, tensors, attributes, model, the model's inputs). Scales are powers of two, so that ties are many, or
anything; directed operands come first.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from intref.vectors import SplitMix64
from tflite_models import Quantized, exp_table, float32, inverse_table, multiplier, one_op, table8, table16

EVERY = np.arange(-128, 128).astype(np.int8)[None]


class Call(NamedTuple):
    """One call of ours and the model of theirs."""

    op: str
    tensors: dict[str, np.ndarray]
    attrs: dict[str, Any]
    model: bytes
    given: tuple[np.ndarray, ...]
    attrs_beside: dict[str, Any] | None = None  # of the op that computes in fixed point what this one looks up


class Draw:
    """Scales, zero points and tensors from a frozen stream."""

    def __init__(self, seed: int):
        self.stream = SplitMix64(seed)

    def between(self, low: int, high: int) -> int:
        return int(self.stream.integers(low, high, 1, "int64")[0])

    def scale(self, low: int, high: int) -> float:
        """2**low .. 2**high: a power of two, or anything between two of them."""
        power = 2.0 ** self.between(low, high - 1)
        return float32(power * (1 + (self.between(0, 1) and self.between(0, 1 << 20) / (1 << 20))))

    def tensor(self, dtype: str, shape: Any) -> np.ndarray:
        """Half of it small, half of it anything."""
        info = np.iinfo(dtype)
        wide = self.stream.integers(int(info.min), int(info.max), shape, "int64")
        return np.where(self.stream.integers(0, 1, shape, "int64") > 0, wide, wide >> 3).astype(dtype)


def linear(draw: Draw, weight: str = "int8", channels: bool = True) -> Call:
    """FULLY_CONNECTED, then the rescale of its accumulator."""
    batch, depth, width = 64, draw.between(9, 33), 24
    n = width if channels else 1
    scale, out = 2.0 ** draw.between(-6, -2), 2.0 ** draw.between(-4, -1)
    steps = [draw.scale(-8, -4) for _ in range(n)]
    x_zero, y_zero = draw.between(-128, 127), draw.between(-128, 127)
    x = draw.tensor("int8", (batch, depth))
    w = draw.tensor("int8", (width, depth)) >> (4 if weight == "int4" else 0)
    bias = draw.stream.integers(-3000, 3000, width, "int32")
    products = [float32(scale) * s for s in steps]
    inputs = [
        Quantized(x.shape, "int8", [scale], [x_zero]),
        Quantized(w.shape, weight, steps, [0] * n, w),
        Quantized(bias.shape, "int32", products, [0] * n, bias),
    ]
    model = one_op("FULLY_CONNECTED", inputs, Quantized((batch, width), "int8", [out], [y_zero]))
    acc = (x.astype(np.int64) - x_zero) @ w.T.astype(np.int64) + bias
    return _rescale(acc, [p / float32(out) for p in products], y_zero, model, (x,))


def _rescale(acc: np.ndarray, ratios: list[float], zero: int, model: bytes, given: tuple[np.ndarray, ...]) -> Call:
    pairs = [multiplier(r) for r in ratios]
    tensors = {"x": acc.astype(np.int32), "multiplier": np.array([m for m, _ in pairs], np.int32)}
    tensors["shift"] = np.array([s for _, s in pairs], np.int8)
    return Call("rescale", tensors, {"output": "int8", "output_zero_point": zero}, model, given)


def beyond() -> Call:
    """FULLY_CONNECTED whose accumulators, given as biases, lie at and beside ties beyond what float32 holds."""
    ties = np.array([(2 * k + 1) * (1 << 17) + d for k in range(64, 127) for d in (-1, 0, 1)])
    bias = np.concatenate([ties, -ties]).astype(np.int32)
    x, w = np.zeros((2, 8), np.int8), np.ones((len(bias), 8), np.int8)
    scales = [2.0**-9] * len(bias)
    inputs = [
        Quantized(x.shape, "int8", [2.0**-9]),
        Quantized(w.shape, "int8", scales, [0] * len(bias), w),
        Quantized(bias.shape, "int32", [2.0**-18] * len(bias), [0] * len(bias), bias),
    ]
    model = one_op("FULLY_CONNECTED", inputs, Quantized((2, len(bias)), "int8", [1.0]))
    return _rescale(np.stack([bias, bias]), [2.0**-18], 0, model, (x,))


def product(draw: Draw) -> Call:
    """BATCH_MATMUL, then the rescale of its accumulator."""
    a, b = draw.tensor("int8", (3, 16, 24)), draw.tensor("int8", (3, 24, 20))
    scales = [draw.scale(-6, -3), draw.scale(-6, -3), 2.0 ** draw.between(-4, -1)]
    zeros = [draw.between(-128, 127) for _ in range(3)]
    inputs = [Quantized(t.shape, "int8", [s], [z]) for t, s, z in zip((a, b), scales, zeros)]
    model = one_op("BATCH_MATMUL", inputs, Quantized((3, 16, 20), "int8", scales[2:], zeros[2:]))
    acc = np.matmul(a.astype(np.int64) - zeros[0], b.astype(np.int64) - zeros[1])
    return _rescale(acc, [scales[0] * scales[1] / scales[2]], zeros[2], model, (a, b))


def softmax(draw: Draw, output: str = "int8") -> Call:
    keys = (2, 3, 7, 16, 33, 64, 128, 300, 511)[draw.between(0, 8)]
    scale = draw.scale(-10, 2)
    x = draw.tensor("int8", (64, keys))
    x[0], x[1], x[2] = 5, -128, np.where(np.arange(keys) == 1, 127, -128)
    bits = 8 if output == "int8" else 16
    out = Quantized(x.shape, output, [2.0**-bits], [-(1 << bits - 1)])
    model = one_op("SOFTMAX", [Quantized(x.shape, "int8", [scale])], out, beta=1.0)
    m, s = multiplier(min(scale * 2.0**26, 2.0**31 - 1))
    tensors = {"x": x[None, None], "mask": np.ones((1, keys), np.int8)}
    return Call("softmax_gemmlowp", tensors, {"multiplier": m, "shift": 31 - s, "output": output}, model, (x,))


def softmax16(draw: Draw, real: Any = np.float32) -> Call:
    """real: the float type that the tables are made in."""
    keys, scale = (2, 3, 16, 33, 100)[draw.between(0, 4)], draw.scale(-18, -8)
    x = draw.tensor("int16", (64, keys))
    model = one_op("SOFTMAX", [Quantized(x.shape, "int16", [scale])], Quantized(x.shape, "int16", [2.0**-15]), beta=1.0)
    m, s = multiplier(scale / (10.0 / 65535.0))
    tensors = {"x": x[None, None], "mask": np.ones((1, keys), np.int8)}
    tensors |= {"exp_table": exp_table(real), "inverse_table": inverse_table(real)}
    return Call("softmax_int16", tensors, {"multiplier": m, "shift": s}, model, (x,))


def angle(draw: Draw, kind: str) -> Call:
    """LOGISTIC or TANH of every int8."""
    scale, zero = draw.scale(-9, 0), draw.between(-128, 127)
    out = ([2.0**-8], [-128]) if kind == "LOGISTIC" else ([2.0**-7], [0])
    model = one_op(kind, [Quantized(EVERY.shape, "int8", [scale], [zero])], Quantized(EVERY.shape, "int8", *out))
    m, s = multiplier(scale * 2.0**27)
    attrs = {"input_zero_point": zero, "multiplier": m, "shift": 31 - s}
    return Call(f"{kind.lower()}_gemmlowp", {"x": EVERY}, attrs, model, (EVERY,))


@np.errstate(over="ignore")
def _logistic(x: np.ndarray) -> np.ndarray:
    return np.float32(1) / (np.float32(1) + np.exp(-x))


def angle_table(draw: Draw, kind: str) -> Call:
    """LOGISTIC or TANH of every int8, by a table made in floats."""
    function, out, y_zero = {"LOGISTIC": (_logistic, 2.0**-8, -128), "TANH": (np.tanh, 2.0**-7, 0)}[kind]
    scale, zero = draw.scale(-9, 3), draw.between(-128, 127)
    model = one_op(
        kind, [Quantized(EVERY.shape, "int8", [scale], [zero])], Quantized(EVERY.shape, "int8", [out], [y_zero])
    )
    m, s = multiplier(scale * 2.0**27)
    beside = {"input_zero_point": zero, "multiplier": m, "shift": 31 - s}
    tensors = {"x": EVERY, "entries": table8(function, scale, zero, out, y_zero)}
    return Call("table", tensors, {}, model, (EVERY,), beside)


def exponential16(draw: Draw) -> Call:
    """EXP of every int16, by its table."""
    x, scale = np.arange(-32768, 32768).astype(np.int16)[None], 2.0 ** draw.between(-15, -12)
    model = one_op("EXP", [Quantized(x.shape, "int16", [scale])], Quantized(x.shape, "int16", [2.0**-11]))
    return Call("table_int16", {"x": x, "entries": table16(np.exp, scale, 0, 2.0**-11)}, {}, model, (x,))


def inverse_root(draw: Draw) -> Call:
    scale, out, zero, y_zero = draw.scale(-10, 3), draw.scale(-6, -3), draw.between(-128, -100), draw.between(-128, 127)
    x = EVERY[:, EVERY[0] >= zero]
    model = one_op("RSQRT", [Quantized(x.shape, "int8", [scale], [zero])], Quantized(x.shape, "int8", [out], [y_zero]))
    m, s = multiplier(1.0 / float(np.sqrt(np.float32(scale)) * np.float32(out)))
    attrs = {"input_zero_point": zero, "output_zero_point": y_zero, "multiplier": m, "shift": s + 20}
    return Call("rsqrt_gemmlowp", {"x": x}, attrs, model, (x,))


def pair(draw: Draw, kind: str, dtype: str = "int8") -> Call:
    """ADD or MUL of every pair of int8, or of as many of int16."""
    grid = np.meshgrid(EVERY[0], EVERY[0])
    a, b = (g.reshape(1, -1) if dtype == "int8" else draw.tensor(dtype, (1, 1 << 16)) for g in grid)
    s, t = draw.scale(-6, -1), draw.scale(-6, -1)
    zeros = [draw.between(-128, 127) if dtype == "int8" else 0 for _ in range(3)]
    attrs: dict[str, Any] = dict(zip(("a_zero_point", "b_zero_point", "output_zero_point"), zeros), output=dtype)
    if kind == "ADD":
        out, left = float32(max(s, t) * (1.0, 1.5, 2.0)[draw.between(0, 2)]), 20 if dtype == "int8" else 15
        twice = 2 * max(s, t)
        for name, real in (("a_", s / twice), ("b_", t / twice), ("", twice / ((1 << left) * out))):
            attrs[f"{name}multiplier"], attrs[f"{name}shift"] = multiplier(real)
        attrs["left_shift"] = left
    else:
        out = draw.scale(-6, -1) if dtype == "int8" else float32(s * t * 2.0**15)
        attrs["multiplier"], attrs["shift"] = multiplier(s * t / out)
    inputs = [Quantized(x.shape, dtype, [r], [z]) for x, r, z in zip((a, b), (s, t), zeros)]
    options = {"potScaleInt16": False} if kind == "ADD" else {}
    model = one_op(kind, inputs, Quantized(a.shape, dtype, [out], zeros[2:]), **options)
    return Call(f"{kind.lower()}_gemmlowp", {"a": a, "b": b}, attrs, model, (a, b))


def many(make: Any, count: int, *args: Any) -> Iterator[Call]:
    """`count` calls of one kind."""
    draw = Draw(sum(map(ord, make.__name__)))
    return (make(draw, *args) for _ in range(count))
