"""ONNX's quantized operators: a product of integers, then the float32 epilogue that ONNX Runtime has, in integers.

A product from DequantizeLinear to QuantizeLinear is what ONNX Runtime makes of it from ORT_ENABLE_EXTENDED on (QGemm,
QLinearConv, QLinearMatMul); below that it adds float32 products, which its own integers may differ from. Of int8
activations it does so on x86 where the session's entry session.qdqisint8allowed is 1.

QLinear operators, and DequantizeLinear .. QuantizeLinear around a product, become the product and a rescale by
fp32_half_even with s = fl32(fl32(sa * sb) / sy). A model ends before a last DequantizeLinear and begins behind a first
QuantizeLinear: its inputs and outputs are the integers there.
"""

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from intref.errors import FormatError
from intref.importing.arithmetic import combined, product
from intref.importing.graph import DTYPES, Array, Call
from intref.importing.importer import (
    FLOAT32,
    HANDLERS,
    MICROSOFT,
    STANDARD,
    Importer,
    constant,
    imports,
    not_of_float32,
)
from intref.importing.values import Dequantized, Floats, Quantized, Real, Tensor, Value, is_float32, narrowest, patterns
from intref.importing.windows import convolved
from intref.ops.op import dtype_range
from intref.quantize.scales import softmax_entries

QUANTIZED = ("int8", "uint8", "int16", "int32")


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

    def __str__(self) -> str:
        first, more = (f"{self.scales[0]!s}", self.scales.size - 1)
        return f"scale {first}{f' and {more} more' * bool(more)}, zero point {self.zero}"


def scale_of(
    net: Importer, call: Call, of: str, scale: Value, zero: Value | None,
    data: Value | None = None, usual: str = "uint8", most: int = 1,
) -> Scale:  # fmt: skip
    """of: what they are of, for messages; data: what is quantized so; most: how many there may be, if not one."""
    scales = constant(call, scale, f"scale of {of}")
    zeros = np.zeros(1, usual) if zero is None else _zeros(net, call, of, zero, data, most)
    if scales.dtype != np.float32:
        raise net.refuse(f"a scale of {of} of float32", scales.dtype)
    if scales.size not in (1, most) or prod(scales.shape[-1:]) != scales.size or zeros.size not in (1, scales.size):
        raise net.refuse(f"scales of {of}: {_one_or(most)}, and as many zero points", [*scales.shape])
    if zeros.dtype.name not in QUANTIZED:
        raise net.refuse(f"{of} of {', '.join(QUANTIZED)}", zeros.dtype.name)
    scales = scales.reshape(-1)
    if not np.all(np.isfinite(scales) & (scales > 0)):
        raise FormatError(f"{call.at}: scale: expected finite and positive, found {scales[0]}")
    return Scale(scales, zeros.astype(np.int64), zeros.dtype.name)


def _zeros(net: Importer, call: Call, of: str, value: Value | None, data: Value | None, most: int = 1) -> Array:
    """The zero points of `data`, flat: one, or as many as there may be; of the dtype that it has."""
    zeros = np.zeros(1, np.int64) if value is None else constant(call, value, f"zero point of {of}")
    if zeros.size not in (1, most) or prod(zeros.shape[-1:]) != zeros.size:
        raise net.refuse(f"zero points of {of}: {_one_or(most)}", [*zeros.shape])
    if value is not None and zeros.dtype.name not in QUANTIZED:
        raise net.refuse(f"a zero point of {of} of {', '.join(QUANTIZED)}", zeros.dtype.name)
    held = None if data is None or value is None else data.dtype if isinstance(data, Tensor) else data.dtype.name
    if held not in (None, zeros.dtype.name):
        raise net.refuse(f"a zero point of {of} of its dtype, {held}", zeros.dtype.name)
    return zeros.reshape(-1)


def _one_or(most: int) -> str:
    return "one" if most == 1 else f"one or {most}"


def _columns(b: Value) -> int:
    """How many scales a right side may have: one for each column of a constant matrix."""
    return 1 if isinstance(b, Tensor) or len(b.shape) != 2 else b.shape[1]


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
    """(a - za) @ (b - zb) + bias: a constant matrix takes its zero point in, that of the other side goes to a bias.

    A matrix that int8 then does not hold keeps its zero point, both less 128 if it is of uint8.
    """
    if isinstance(a, Tensor) and not isinstance(b, Tensor) and len(b.shape) == 2:
        weight = np.asarray(_centered(net, call, b, zb.reshape(-1), "int8"))
        start = -int(za.ravel()[0]) * weight.sum(axis=0) + (0 if bias is None else bias)
        beyond = weight.size and narrowest(weight) != "int8" and np.all(zb == zb.ravel()[0])
        zero = int(zb.ravel()[0]) - (128 if b.dtype == np.uint8 else 0) if beyond else 0
        held: dict[str, Any] = {"x": a, "weight": (weight.T + zero, "int8"), "bias": (start, "int32")}
        return net.op("linear", held, **({"weight_zero_point": zero} if zero else {}))
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


@imports("MatMulInteger")
def matmul_integer(
    net: Importer, call: Call, a: Value, b: Value, za: Value | None = None, zb: Value | None = None
) -> Value:
    if isinstance(za, Tensor):  # found at run time, with a
        a, za = _moved_to_zero(net, a, za), None
    left, right = _zeros(net, call, "a", za, a), _zeros(net, call, "b", zb, b, _columns(b))
    return _product(net, call, a, left.astype(np.int64), b, right.astype(np.int64), None)


def _moved_to_zero(net: Importer, a: Value, zero: Tensor) -> Tensor:
    """a - zero, of 9 bits."""
    spread = net.broadcast(net.reshape(zero, (1,) * len(a.shape)), a.shape)
    one = {"low": -255, "high": 255}
    return net.cast(net.op("clamp", {"x": combined(net, "subtract", a, spread)}, **one), "int16")


@imports("QLinearSoftmax", attrs="axis opset", domains=MICROSOFT)
def qlinear_softmax(
    net: Importer, call: Call, x: Tensor, sx: Value, zx: Value, sy: Value, zy: Value | None = None
) -> Value:
    """Along one axis, or of all from one on before opset 13; the entries are those of that many keys."""
    given, out = scale_of(net, call, "x", sx, zx, x), scale_of(net, call, "y", sy, zy, x, x.dtype)
    rank, opset = len(x.shape), call.attrs.get("opset", 0)
    axis = call.attrs.get("axis", -1 if opset >= 13 else 1) % rank
    last = net.permute(x, _exchanged(rank, axis)) if opset >= 13 else x
    keys = last.shape[-1] if opset >= 13 else prod(x.shape[axis:])
    rows = net.reshape(last, (1, 1, prod(x.shape) // keys, keys))
    table = softmax_entries(float(given.scales[0]), keys)
    made = net.op(
        "qlinear_softmax",
        {"x": rows, "mask": (np.ones((1, keys), np.int64), "int8"), "table": (table.astype(np.int64), "int32")},
        factor=int(np.floor(np.float32(1) / out.scales[0])),
        zero_point=out.zero,
        output=x.dtype,
    )
    y = net.reshape(made, last.shape)
    return net.permute(y, _exchanged(rank, axis)) if opset >= 13 else y


def _exchanged(rank: int, axis: int) -> list[int]:
    """The axes with one and the last exchanged."""
    order = [*range(rank)]
    order[axis], order[-1] = order[-1], order[axis]
    return order


@imports("QLinearMatMul")
def qlinear_matmul(
    net: Importer, call: Call, a: Value, sa: Value, za: Value, b: Value, sb: Value, zb: Value, sy: Value, zy: Value
) -> Value:
    left, right = scale_of(net, call, "a", sa, za, a), scale_of(net, call, "b", sb, zb, b, most=_columns(b))
    out = scale_of(net, call, "y", sy, zy)
    y = _product(net, call, a, left.zeros, b, right.zeros, None)
    return _rescaled(net, call, y, left.scales, right.scales, out, -1)


@imports("QGemm", attrs="alpha transA transB", domains=MICROSOFT)
def qgemm(
    net: Importer, call: Call, a: Value, sa: Value, za: Value, b: Value, sb: Value, zb: Value, c: Value | None = None,
    sy: Value | None = None, zy: Value | None = None,
) -> Value:  # fmt: skip
    """alpha 1; the bias at the scale sa * sb."""
    if call.attrs.get("alpha", 1) != 1 or call.attrs.get("transA") or sy is None:
        raise net.refuse("alpha 1, transA 0 and an output scale", dict(call.attrs))
    matrix = net.permute(b, (1, 0)) if call.attrs.get("transB") else b
    left, right = scale_of(net, call, "a", sa, za, a), scale_of(net, call, "b", sb, zb, b, most=_columns(matrix))
    out = scale_of(net, call, "y", sy, zy)
    bias = None if c is None else _one_row(net, net.integers(call, constant(call, c, "bias")))
    y = _product(net, call, a, left.zeros, matrix, right.zeros, bias)
    return _rescaled(net, call, y, left.scales, right.scales, out, -1)


@imports("MatMulNBits", attrs="K N bits block_size accuracy_level", domains=MICROSOFT)
def matmul_nbits(
    net: Importer, call: Call, x: Tensor, w: Value, scale: Value, zero: Value | None = None, *others: Value
) -> Value | Dequantized:
    """4 bits around 8, integer x, and sums that float32 holds exactly, so that no order of its own decides a bit."""
    k, n, block = (int(call.attrs[name]) for name in ("K", "N", "block_size"))
    if (
        call.attrs.get("bits", 4) != 4
        or call.attrs.get("accuracy_level", 0) not in (0, 1)
        or any(v is not None for v in others)
    ):
        raise net.refuse("bits 4, accuracy_level 0 or 1, no g_idx and no bias", dict(call.attrs))
    if zero is not None and np.any(constant(call, zero, "zero points") != 0x88):
        raise net.refuse("zero points of 8: int4 weights", "others")
    packed = constant(call, w, "weight").reshape(n, -1)
    weight = np.stack([packed & 15, packed >> 4], -1).reshape(n, -1)[:, :k].astype(np.int64) - 8
    scales, exponent = _whole(net, constant(call, scale, "scale").reshape(n, -1))
    peak = max(abs(end) for end in net.range(x))
    most = (np.abs(weight * np.repeat(scales, block, 1)[:, :k]).sum(1) * peak).max()
    if most >= 1 << 24:
        raise net.refuse("sums below 2**24, which float32 holds in any order", f"up to {most}")
    codes = np.pad(weight & 15, ((0, 0), (0, k % 2)))
    y = net.op(
        "linear_int4",
        {
            "x": x,
            "weight": (codes[:, ::2] | codes[:, 1::2] << 4, "uint8"),
            "scale": (scales, "int16"),
            "bias": (np.zeros(n, np.int64), "int32"),
        },
        group_size=block,
    )
    if exponent == 0:
        return y
    return Dequantized(y, Scale(np.array([2.0**exponent], np.float32), np.zeros(1, np.int64), "int32"))


def _whole(net: Importer, scales: Array) -> tuple[Array, int]:
    """Float32s as int16 integers times one power of two."""
    exponent = int(min(np.frexp(v)[1] for v in scales.ravel() if v) if scales.any() else 0)
    for lower in range(min(exponent, 0), min(exponent, 0) - 16, -1):
        whole = scales.astype(np.float64) * 2.0**-lower
        if np.array_equal(whole, np.rint(whole)) and np.abs(whole).max() < 1 << 15:
            return whole.astype(np.int64), lower
    raise net.refuse("scales that are int16 integers times one power of two", f"{scales.ravel()[0]!s}")


@imports("ConvInteger", attrs="auto_pad dilations group kernel_shape pads strides")
def conv_integer(
    net: Importer, call: Call, x: Tensor, w: Value, zx: Value | None = None, zw: Value | None = None
) -> Value:
    filters = _zeros(net, call, "w", zw, constant(call, w, "weight"), w.shape[0]).astype(np.int64)
    taps = np.asarray(_centered(net, call, w, _per_filter(w, filters), "int8"))
    return convolved(net, call, x, taps, np.zeros(len(taps), np.int64), int(_zeros(net, call, "x", zx, x)[0]))


def _per_filter(w: Value, zeros: Array) -> Array:
    return zeros.reshape(-1, *(1,) * (len(w.shape) - 1))


@imports("QLinearConv", attrs="auto_pad dilations group kernel_shape pads strides")
def qlinear_conv(
    net: Importer, call: Call, x: Tensor, sx: Value, zx: Value, w: Value, sw: Value, zw: Value, sy: Value, zy: Value,
    bias: Value | None = None,
) -> Value:  # fmt: skip
    image, out = scale_of(net, call, "x", sx, zx, x), scale_of(net, call, "y", sy, zy)
    filters = scale_of(net, call, "w", sw, zw, constant(call, w, "weight"), most=w.shape[0])
    taps = np.asarray(_centered(net, call, w, _per_filter(w, filters.zeros), "int8"))
    start = (
        np.zeros(len(taps), np.int64) if bias is None else np.asarray(net.integers(call, constant(call, bias, "bias")))
    )
    y = net.tensor(convolved(net, call, x, taps, start, image.zero))
    return _rescaled(net, call, y, image.scales, filters.scales, out, 1)


@imports("DequantizeLinear", attrs="axis", domains=(*STANDARD, *MICROSOFT))
def dequantize(net: Importer, call: Call, x: Value, scale: Value, zero: Value | None = None) -> Dequantized:
    """Nothing yet: what a product of such values needs to know."""
    if is_float32(x) or is_float32(scale):
        raise not_of_float32(call, [x])
    kind, rank = x.dtype if isinstance(x, Tensor) else x.dtype.name, len(x.shape)
    many = constant(call, scale, "scale of x").size != 1
    axis = call.attrs.get("axis", 1)
    if many and not -rank <= axis < rank:
        raise net.refuse(f"an axis in [{-rank}, {rank - 1}]", axis)
    found = scale_of(net, call, "x", scale, zero, x, kind, x.shape[axis] if many else 1)
    return Dequantized(x, replace(found, axis=axis % rank if many else 0))


@imports("QuantizeLinear", attrs="axis output_dtype", domains=(*STANDARD, *MICROSOFT))
def quantize(net: Importer, call: Call, x: Any, scale: Value, zero: Value | None = None) -> Value:
    """A product is rescaled; a value at the same scale is itself."""
    out = scale_of(net, call, "y", scale, zero, usual=_made(net, call, zero))
    if isinstance(x, Quantized) or (
        isinstance(x, Tensor) and x.name in net.graph.inputs
    ):  # the first: what is quantized is not ours
        return net.quantized_before(x, out)
    if isinstance(x, (Floats, Real)):
        return _quantized(net, net.epilogue(x), out)
    if not isinstance(x, Dequantized):
        raise net.refuse("what DequantizeLinear made, or a product of it", getattr(x, "name", "a constant"))
    own = x.scale
    if not x.product and (own.dtype, own.zero) == (out.dtype, out.zero) and np.array_equal(own.scales, out.scales):
        return x.value
    if not x.product:
        return _quantized(net, net.floats(x), out)
    return _rescaled(net, call, net.tensor(x.value), own.scales, np.ones(1, np.float32), out, own.axis)


def _made(net: Importer, call: Call, zero: Value | None) -> str:
    """The dtype that QuantizeLinear makes: that of its zero point, else the one it names, else uint8."""
    named = call.attrs.get("output_dtype", 0)
    held = "uint8" if zero is None else zero.dtype if isinstance(zero, Tensor) else zero.dtype.name
    if named == 0:
        return held
    dtype = DTYPES.get(named, "another")
    if dtype == "another" or (zero is not None and dtype != held):
        raise net.refuse(
            f"output_dtype {held if zero is not None else 'of int8, uint8 or int16'}", f"{named} ({dtype})"
        )
    return dtype


def _quantized(net: Importer, x: Tensor, out: Scale) -> Value:
    """Bit patterns over one scale, as integers."""
    given: dict[str, Any] = {"x": x, "scale": (patterns(out.scales), "int32"), "zero_point": (out.zeros, "int32")}
    return net.op("quantize_fp32", given, output=out.dtype)


def _over_dequantized(op_type: str) -> None:
    """Let the function of a product take what DequantizeLinear made."""
    plain = HANDLERS[op_type]

    def handler(net: Importer, call: Call, *inputs: Any) -> Any:
        if not any(map(is_float32, inputs)):
            return plain(net, call, *inputs)
        if not any(isinstance(v, Dequantized) for v in inputs):
            raise not_of_float32(call, inputs)
        if not all(isinstance(v, Dequantized) for v in inputs[:2]):
            raise net.refuse("both sides from DequantizeLinear", "one of them")
        return _dequantized_product(net, call, op_type, *inputs)

    HANDLERS[op_type] = handler
    FLOAT32.add(op_type)


def _dequantized_product(net: Importer, call: Call, op_type: str, a: Any, b: Any, c: Any = None) -> Dequantized:
    """A product in int32, at the scale fl32(sa * sb), the bias at that very scale."""
    turned = bool(call.attrs.get("transB"))
    _along_outputs(net, a, b, 0 if op_type == "Conv" or turned else 1, 2 if op_type != "Conv" else len(b.shape))
    scales = (a.scale.scales * b.scale.scales).astype(np.float32)
    bias = None if c is None else _bias(net, call, c, scales)
    if op_type == "Conv":
        taps = np.asarray(
            _centered(net, call, constant(call, b.value, "weight"), _per_filter(b.value, b.scale.zeros), "")
        )
        start = np.zeros(len(taps), np.int64) if bias is None else bias
        y: Value = convolved(net, call, a.value, taps, start, a.scale.zero)
        return Dequantized(y, Scale(scales, np.zeros(1, np.int64), "int32", 1), True)
    if call.attrs.get("transA") or any(call.attrs.get(name, 1) != 1 for name in ("alpha", "beta")):
        raise net.refuse("alpha 1, beta 1 and transA 0", dict(call.attrs))
    matrix = net.permute(b.value, (1, 0)) if turned else b.value
    zeros = b.scale.zeros if b.scale.zeros.size == 1 else b.scale.zeros.reshape(1, -1)
    y = _product(net, call, a.value, a.scale.zeros, matrix, zeros, bias)
    return Dequantized(y, Scale(scales, np.zeros(1, np.int64), "int32"), True)


def _along_outputs(net: Importer, a: Any, b: Any, axis: int, rank: int) -> None:
    """One scale of activations; of constant weights one, or one for each output."""
    if a.product or b.product:
        raise net.refuse("sides that DequantizeLinear made", "a product that is not quantized")
    if a.scale.scales.size > 1:
        raise net.refuse("one scale of the left side", f"{a.scale.scales.size} along axis {a.scale.axis}")
    if b.scale.scales.size > 1 and (isinstance(b.value, Tensor) or len(b.shape) != rank or b.scale.axis != axis):
        what = f"{b.scale.scales.size} along axis {b.scale.axis} of {[*b.shape]}"
        raise net.refuse(f"one scale of the right side, or one for each output: constant weights, axis {axis}", what)


def _one_row(net: Importer, c: Value) -> Array:
    """A bias of one number for each column; a column of numbers is another sum."""
    if prod(c.shape) != prod(c.shape[-1:]):
        raise net.refuse("a bias of one row", f"{[*c.shape]}")
    return np.asarray(c).astype(np.int64).reshape(-1)


def _bias(net: Importer, call: Call, c: Any, scales: Array) -> Array:
    if not isinstance(c, Dequantized) or isinstance(c.value, Tensor) or c.scale.zeros.any():
        raise FormatError(f"{call.at}: bias: expected a constant from DequantizeLinear, zero point 0, found another")
    if c.scale.scales.size > scales.size or not np.all(c.scale.scales == scales):
        raise FormatError(
            f"{call.at}: bias: expected the scale {scales[0]!s} of the product, found {c.scale.scales[0]!s}"
        )
    return _one_row(net, c.value)


for _name in ("MatMul", "Gemm", "Conv"):
    _over_dequantized(_name)
FLOAT32.update(("DequantizeLinear", "QuantizeLinear"))


def _over_moved(op_type: str, patterns: bool) -> None:
    """What moves elements moves the integers, or the bit patterns (which have no order that MaxPool could go by)."""
    plain = HANDLERS[op_type]

    def handler(net: Importer, call: Call, x: Any, *others: Any) -> Any:
        if isinstance(x, (Floats, Real)) and patterns:
            return Floats(net.tensor(plain(net, call, net.epilogue(x), *others)))
        if isinstance(x, (Floats, Real)):
            raise not_of_float32(call, [x])
        if not isinstance(x, Dequantized):
            return plain(net, call, x, *others)
        if x.scale.scales.size > 1:
            raise net.refuse("one scale", f"{x.scale.scales.size} scales")
        return Dequantized(plain(net, call, x.value, *others), x.scale, x.product)

    HANDLERS[op_type] = handler
    FLOAT32.add(op_type)


for _name in ("Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze"):
    _over_moved(_name, patterns=True)
_over_moved("MaxPool", patterns=False)
_plain_relu = HANDLERS["Relu"]


@imports("Relu")
def dequantized_relu(net: Importer, call: Call, x: Any) -> Any:
    """The greater of x and its zero point, at the same scale: the real 0 is the zero point.

    Of bit patterns the greater of each and 0, as int32: those of numbers below 0 are negative.
    """
    if isinstance(x, (Floats, Real)):
        return Floats(net.op("clamp", {"x": net.epilogue(x)}, low=0, high=dtype_range("int32")[1]))
    if not isinstance(x, Dequantized):
        return _plain_relu(net, call, x)
    if np.unique(x.scale.zeros).size > 1:
        raise net.refuse("one zero point before Relu", f"{x.scale.zeros.size}")
    y = net.op("clamp", {"x": net.tensor(x.value)}, low=x.scale.zero, high=dtype_range(net.tensor(x.value).dtype)[1])
    return Dequantized(y, x.scale, x.product)


FLOAT32.add("Relu")
