"""ONNX's quantized operators: a product of integers, then the float32 epilogue that ONNX Runtime has, in integers.

QLinear operators, and DequantizeLinear .. QuantizeLinear around a product, become the product and a rescale by
fp32_half_even with s = fl32(fl32(sa * sb) / sy). A model ends before a last DequantizeLinear and begins behind a first
QuantizeLinear: its inputs and outputs are the integers there.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from intref.errors import FormatError
from intref.importing.arithmetic import product
from intref.importing.graph import Array, Call
from intref.importing.importer import HANDLERS, Importer, constant, imports
from intref.importing.values import Dequantized, Tensor, Value, narrowest
from intref.importing.windows import convolved
from intref.ops.op import dtype_range


@dataclass(frozen=True)
class Scale:
    """The constants of a quantized tensor: float32 scales, integer zero points, its dtype, the axis they run along."""

    scales: Array
    zeros: Array
    dtype: str
    axis: int = -1

    @property
    def zero(self) -> int:
        return int(self.zeros.ravel()[0])


def _scale(net: Importer, call: Call, scale: Value, zero: Value | None, axis: int = -1, usual: str = "uint8") -> Scale:
    scales = constant(call, scale, "scale").astype(np.float32).reshape(-1)
    zeros = np.zeros(1, usual) if zero is None else constant(call, zero, "zero point").reshape(-1)
    if not np.all(np.isfinite(scales) & (scales > 0)):
        raise FormatError(f"{call.at}: scale: expected finite and positive, found {scales[0]}")
    return Scale(scales, zeros.astype(np.int64), zeros.dtype.name, axis)


def _centered(net: Importer, call: Call, value: Value, zeros: Array, dtype: str) -> Value:
    """value - zero point, in a dtype that products take: int8 for constants, else int8 or int16."""
    if not isinstance(value, Tensor):
        return np.asarray(net.integers(call, value)) - zeros
    if not zeros.any():
        return value
    low, high = (end - int(zeros.ravel()[0]) for end in net.range(value))
    held = narrowest(np.array([low, high]))
    one = {"multiplier": (np.ones(1, np.int64), "int32"), "shift": (np.zeros(1, np.int64), "int8")}
    attrs = {"input_zero_point": int(zeros.ravel()[0]), "output_zero_point": 0, "rounding": "floor"}
    return net.op("rescale", {"x": value, **one}, **attrs, output="int16" if held == "uint8" else held)


def _product(net: Importer, call: Call, a: Value, za: Array, b: Value, zb: Array, bias: Array | None) -> Tensor:
    """(a - za) @ (b - zb) + bias: a constant matrix takes its zero point in, that of the other side goes to a bias."""
    if isinstance(a, Tensor) and not isinstance(b, Tensor) and len(b.shape) == 2:
        weight = np.asarray(_centered(net, call, b, zb.reshape(-1), "int8"))
        start = -int(za.ravel()[0]) * weight.sum(axis=0) + (0 if bias is None else bias)
        return net.op("linear", {"x": a, "weight": (weight.T, "int8"), "bias": (start, "int32")})
    if bias is not None:
        raise net.refuse("a bias beside a constant matrix alone", "a computed one")
    made = product(net, _centered(net, call, a, za, "int16"), _centered(net, call, b, zb, "int8"))
    return net.tensor(made)


def _rescaled(net: Importer, call: Call, y: Tensor, sa: Array, sb: Array, out: Scale, axis: int) -> Value:
    """y * fl32(fl32(sa * sb) / sy), rounded half to even in float32, + zero point, clamped."""
    factors = (sa * sb).astype(np.float32) / out.scales
    bits = factors.astype(np.float32).view(np.int32).astype(np.int64)
    low, high = dtype_range(out.dtype)
    wide = "int16" if out.dtype == "uint8" else out.dtype
    made = net.op(
        "rescale",
        {"x": y, "multiplier": (bits, "int32"), "shift": (np.zeros(len(bits), np.int64), "int8")},
        rounding="fp32_half_even",
        input_zero_point=0,
        output_zero_point=out.zero,
        output=wide,
        low=low,
        high=high,
        axis=axis if len(bits) > 1 else -1,
    )
    return net.cast(made, out.dtype)


def _zeros(net: Importer, call: Call, value: Value | None) -> Array:
    return (
        np.zeros(1, np.int64) if value is None else np.asarray(net.integers(call, constant(call, value, "zero point")))
    )


@imports("MatMulInteger")
def matmul_integer(
    net: Importer, call: Call, a: Value, b: Value, za: Value | None = None, zb: Value | None = None
) -> Value:
    return _product(net, call, a, _zeros(net, call, za), b, _zeros(net, call, zb), None)


@imports("QLinearMatMul")
def qlinear_matmul(
    net: Importer, call: Call, a: Value, sa: Value, za: Value, b: Value, sb: Value, zb: Value, sy: Value, zy: Value
) -> Value:
    left, right, out = (_scale(net, call, s, z) for s, z in ((sa, za), (sb, zb), (sy, zy)))
    y = _product(net, call, a, left.zeros, b, right.zeros, None)
    return _rescaled(net, call, y, left.scales, right.scales, out, -1)


@imports("QGemm")
def qgemm(
    net: Importer, call: Call, a: Value, sa: Value, za: Value, b: Value, sb: Value, zb: Value, c: Value | None = None,
    sy: Value | None = None, zy: Value | None = None,
) -> Value:  # fmt: skip
    """alpha 1; the bias at the scale sa * sb."""
    if call.attrs.get("alpha", 1) != 1 or call.attrs.get("transA") or sy is None:
        raise net.refuse("alpha 1, transA 0 and an output scale", dict(call.attrs))
    left, right, out = (_scale(net, call, s, z) for s, z in ((sa, za), (sb, zb), (sy, zy)))
    matrix = net.permute(b, (1, 0)) if call.attrs.get("transB") else b
    bias = None if c is None else np.asarray(net.integers(call, constant(call, c, "bias"))).reshape(-1)
    y = _product(net, call, a, left.zeros, matrix, right.zeros, bias)
    return _rescaled(net, call, y, left.scales, right.scales, out, -1)


@imports("ConvInteger")
def conv_integer(
    net: Importer, call: Call, x: Tensor, w: Value, zx: Value | None = None, zw: Value | None = None
) -> Value:
    taps = np.asarray(_centered(net, call, constant(call, w, "weight"), _per_filter(w, _zeros(net, call, zw)), "int8"))
    return convolved(net, call, x, taps, np.zeros(len(taps), np.int64), int(_zeros(net, call, zx).ravel()[0]))


def _per_filter(w: Value, zeros: Array) -> Array:
    return zeros.reshape(-1, *(1,) * (len(w.shape) - 1))


@imports("QLinearConv")
def qlinear_conv(
    net: Importer, call: Call, x: Tensor, sx: Value, zx: Value, w: Value, sw: Value, zw: Value, sy: Value, zy: Value,
    bias: Value | None = None,
) -> Value:  # fmt: skip
    image, filters, out = (_scale(net, call, s, z) for s, z in ((sx, zx), (sw, zw), (sy, zy)))
    taps = np.asarray(_centered(net, call, constant(call, w, "weight"), _per_filter(w, filters.zeros), "int8"))
    start = (
        np.zeros(len(taps), np.int64) if bias is None else np.asarray(net.integers(call, constant(call, bias, "bias")))
    )
    y = net.tensor(convolved(net, call, x, taps, start, image.zero))
    return _rescaled(net, call, y, image.scales, filters.scales, out, 1)


@imports("DequantizeLinear")
def dequantize(net: Importer, call: Call, x: Value, scale: Value, zero: Value | None = None) -> Dequantized:
    """Nothing yet: what a product of such values needs to know."""
    kind = x.dtype if isinstance(x, Tensor) else x.dtype.name
    return Dequantized(x, _scale(net, call, scale, zero, call.attrs.get("axis", 1), kind))


@imports("QuantizeLinear")
def quantize(net: Importer, call: Call, x: Any, scale: Value, zero: Value | None = None) -> Value:
    """A product is rescaled; a value at the same scale is itself."""
    out = _scale(net, call, scale, zero)
    if isinstance(x, Tensor) and x.name in net.graph.inputs:  # the first: what is quantized is not ours
        return net.given_as(x, out.dtype)
    if not isinstance(x, Dequantized):
        raise net.refuse("what DequantizeLinear made, or a product of it", getattr(x, "name", "a constant"))
    own = x.scale
    if not x.product and (own.dtype, own.zero) == (out.dtype, out.zero) and np.array_equal(own.scales, out.scales):
        return x.value
    if not x.product:
        raise net.refuse("a product, or the same scale and zero point", "a change of scale, that float32 rounds twice")
    return _rescaled(net, call, net.tensor(x.value), own.scales, np.ones(1, np.float32), out, own.axis)


def _over_dequantized(op_type: str) -> None:
    """Let the function of a product take what DequantizeLinear made."""
    plain = HANDLERS[op_type]

    def handler(net: Importer, call: Call, *inputs: Any) -> Any:
        if not any(isinstance(v, Dequantized) for v in inputs):
            return plain(net, call, *inputs)
        if not all(isinstance(v, Dequantized) for v in inputs[:2]):
            raise net.refuse("both sides from DequantizeLinear", "one of them")
        return _dequantized_product(net, call, op_type, *inputs)

    HANDLERS[op_type] = handler


def _dequantized_product(net: Importer, call: Call, op_type: str, a: Any, b: Any, c: Any = None) -> Dequantized:
    """A product in int32, at the scale fl32(sa * sb), the bias at that very scale."""
    scales = (a.scale.scales * b.scale.scales).astype(np.float32)
    bias = None if c is None else _bias(call, c, scales)
    if op_type == "Conv":
        taps = np.asarray(
            _centered(net, call, constant(call, b.value, "weight"), _per_filter(b.value, b.scale.zeros), "")
        )
        start = np.zeros(len(taps), np.int64) if bias is None else bias
        y: Value = convolved(net, call, a.value, taps, start, a.scale.zero)
        return Dequantized(y, Scale(scales, np.zeros(1, np.int64), "int32", 1), True)
    if call.attrs.get("transA") or any(call.attrs.get(name, 1) != 1 for name in ("alpha", "beta")):
        raise net.refuse("alpha 1, beta 1 and transA 0", dict(call.attrs))
    matrix = net.permute(b.value, (1, 0)) if call.attrs.get("transB") else b.value
    zeros = b.scale.zeros if b.scale.zeros.size == 1 else b.scale.zeros.reshape(1, -1)
    y = _product(net, call, a.value, a.scale.zeros, matrix, zeros, bias)
    return Dequantized(y, Scale(scales, np.zeros(1, np.int64), "int32"), True)


def _bias(call: Call, c: Any, scales: Array) -> Array:
    if not isinstance(c, Dequantized) or isinstance(c.value, Tensor) or c.scale.zeros.any():
        raise FormatError(f"{call.at}: bias: expected a constant from DequantizeLinear, zero point 0, found another")
    if not np.array_equal(np.broadcast_to(c.scale.scales, scales.shape), scales):
        raise FormatError(
            f"{call.at}: bias: expected the scale {scales[0]!s} of the product, found {c.scale.scales[0]!s}"
        )
    return np.asarray(c.value).astype(np.int64).reshape(-1)


for _name in ("MatMul", "Gemm", "Conv"):
    _over_dequantized(_name)
for _name in ("Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Relu", "MaxPool", "Identity"):

    def _moved(net: Importer, call: Call, x: Any, *others: Any, plain: Any = HANDLERS[_name], name: str = _name) -> Any:
        """What moves elements, or keeps the largest, moves the integers."""
        if not isinstance(x, Dequantized):
            return plain(net, call, x, *others)
        if x.scale.scales.size > 1 or (name == "Relu" and x.scale.zero != 0):
            raise net.refuse("one scale, and zero point 0 for Relu", f"{x.scale.scales.size} scales")
        return Dequantized(plain(net, call, x.value, *others), x.scale, x.product)

    HANDLERS[_name] = _moved
