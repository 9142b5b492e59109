"""The standard operators of ONNX that compute with integers: sums, products, and what clips."""

from math import prod
from typing import Any

import numpy as np

from intref.errors import BoundError
from intref.importing.graph import Call
from intref.importing.importer import Importer, axes_of, imports
from intref.importing.values import Tensor, Value
from intref.ops.op import dtype_range

NARROW = ("int8", "uint8", "int16")


@imports("Relu")
def relu(net: Importer, call: Call, x: Tensor) -> Value:
    return net.op("clamp", {"x": x}, low=0, high=dtype_range(x.dtype)[1])


@imports("Clip", attrs="min max")
def clip(net: Importer, call: Call, x: Tensor, low: Value | None = None, high: Value | None = None) -> Value:
    least, most = dtype_range(x.dtype)
    ends = [call.attrs.get(name, value) for name, value in (("min", low), ("max", high))]
    given = [None if v is None else int(np.asarray(net.integers(call, np.asarray(v))).ravel()[0]) for v in ends]
    bounds = [min(max(end if v is None else v, least), most) for v, end in zip(given, (least, most))]
    return net.op("clamp", {"x": x}, low=bounds[0], high=bounds[1])


@imports("Add", "Sub", "Mul")
def elementwise(net: Importer, call: Call, a: Value, b: Value) -> Value:
    """In int32; where that cannot be proved to hold every result, it wraps, as C does."""
    operation = {"Add": "add", "Sub": "subtract", "Mul": "multiply"}[call.op]
    a, b = net.integers(call, a), net.integers(call, b)
    net.hold(call.outputs[0], np.broadcast_shapes(a.shape, b.shape))
    if not isinstance(a, Tensor) and not isinstance(b, Tensor):
        return {"add": np.add, "subtract": np.subtract, "multiply": np.multiply}[operation](a, b)
    return combined(net, operation, a, b)


def combined(net: Importer, operation: str, a: Value, b: Value) -> Tensor:
    """a operation b."""
    if operation == "add" and not isinstance(a, Tensor):
        a, b = b, a
    if operation == "add" and isinstance(a, Tensor) and not isinstance(b, Tensor) and a.dtype != "uint8":
        low, high = net.range(a)
        fits = -(1 << 31) <= low + int(b.min()) and high + int(b.max()) < 1 << 31  # beyond, add_bias would saturate
        if fits and (prod(b.shape),) == b.shape[-1:] == a.shape[-1:] and len(b.shape) <= len(a.shape):
            return net.op("add_bias", {"x": a, "bias": (b.reshape(-1), "int32")}, output="int32")
    sizes = np.broadcast_shapes(a.shape, b.shape)
    inputs: dict[str, Any] = {}
    for port, value in (("a", a), ("b", b)):
        wide = net.broadcast(value, sizes)
        inputs[port] = wide if isinstance(wide, Tensor) else (wide, "int32")
    try:
        return net.op("elementwise", inputs, operation=operation, overflow="refuse")
    except BoundError:
        return net.op("elementwise", inputs, operation=operation, overflow="wrap")


@imports("MatMul")
def matmul(net: Importer, call: Call, a: Value, b: Value) -> Value:
    """linear where b is a constant matrix, matmul otherwise."""
    return product(net, net.integers(call, a), net.integers(call, b))


def product(net: Importer, a: Value, b: Value) -> Value:
    """a @ b in int32."""
    if min(len(a.shape), len(b.shape)) < 2 or a.shape[-1] != b.shape[-2]:
        raise net.refuse("matrices of [.. M K] and [.. K N]", f"{[*a.shape]} and {[*b.shape]}")
    if isinstance(a, Tensor) and not isinstance(b, Tensor) and len(b.shape) == 2:
        zero = np.zeros(b.shape[1], np.int64), "int32"
        return net.op("linear", {"x": a, "weight": (b.T, "int8"), "bias": zero})
    sizes = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = (net.broadcast(v, (*sizes, *v.shape[-2:])) for v in (a, b))
    left, right = net.tensor(a), net.tensor(b)
    if right.dtype in ("int8", "int16"):
        return net.op("matmul", {"a": left, "b": right})
    if left.dtype not in NARROW or right.dtype not in NARROW:
        raise net.refuse("sides of int8, uint8 or int16", f"{left.dtype} and {right.dtype}")
    if left.dtype != "int8":
        return _product_of_bytes(net, left, right)
    flipped = net.op("matmul", {"a": net.op("transpose", {"x": right}), "b": net.op("transpose", {"x": left})})
    return net.op("transpose", {"x": flipped})


def _product_of_bytes(net: Importer, a: Tensor, b: Tensor) -> Value:
    """a @ b for uint8 b, of which matmul has none: a @ (b - 128) + 2 * (a @ 64). The clamp changes nothing."""
    one = {"multiplier": (np.ones(1, np.int64), "int32"), "shift": (np.zeros(1, np.int64), "int8")}
    attrs = {"rounding": "floor", "input_zero_point": 128, "output_zero_point": 0, "output": "int8"}
    half = net.op("matmul", {"a": a, "b": (np.full(b.shape, 64), "int8")})
    offset = combined(net, "add", half, half)
    shifted = net.op("matmul", {"a": a, "b": net.op("rescale", {"x": b, **one}, **attrs)})
    low, high = net.range(a)
    ends = sorted(a.shape[-1] * 255 * v for v in (min(low, 0), max(high, 0)))  # what the parts' ranges do not tell
    return net.op("clamp", {"x": combined(net, "add", shifted, offset)}, low=ends[0], high=ends[1])


@imports("Gemm", attrs="alpha beta transA transB")
def gemm(net: Importer, call: Call, a: Value, b: Value, c: Value | None = None) -> Value:
    """alpha * a @ b + beta * c, alpha and beta integers: linear where b is constant and c a vector."""
    a, b = net.integers(call, a), net.integers(call, b)
    alpha, beta = (int(np.asarray(net.integers(call, np.asarray(call.attrs.get(n, 1))))) for n in ("alpha", "beta"))
    a = net.permute(a, (1, 0)) if call.attrs.get("transA") else a
    b = net.permute(b, (1, 0)) if call.attrs.get("transB") else b
    c = None if c is None else net.integers(call, c)
    if alpha == 1 and isinstance(a, Tensor) and not isinstance(b, Tensor) and not isinstance(c, Tensor):
        if c is None or prod(c.shape) == c.shape[-1]:
            bias = np.broadcast_to(0 if c is None else c.reshape(-1) * beta, (b.shape[1],))
            return net.op("linear", {"x": a, "weight": (b.T, "int8"), "bias": (bias, "int32")})
    y = product(net, a, b)
    if alpha != 1:
        y = combined(net, "multiply", y, np.asarray([alpha]))
    if c is None or beta == 0:
        return y
    scaled = c if beta == 1 else combined(net, "multiply", c, np.asarray([beta])) if isinstance(c, Tensor) else c * beta
    return combined(net, "add", y, scaled)


@imports("ReduceSum", attrs="axes keepdims noop_with_empty_axes")
def reduce_sum(net: Importer, call: Call, x: Value, axes: Value | None = None) -> Value:
    if axes is None and "axes" not in call.attrs and call.attrs.get("noop_with_empty_axes"):
        return x
    for axis in axes_of(call, axes, len(x.shape)):
        rows, before, behind = net.by_rows(x, axis)
        x = net.reshape(net.op("sum_rows", {"x": rows}), (*before, 1, *behind))
    return without(net, call, x, axes)


def without(net: Importer, call: Call, x: Value, axes: Value | None) -> Value:
    """x without the axes that were reduced to 1, unless they are to stay."""
    if call.attrs.get("keepdims", 1):
        return x
    gone = axes_of(call, axes, len(x.shape))
    return net.reshape(x, [n for i, n in enumerate(x.shape) if i not in gone] or [1])
