"""Float32s between integers: products of activations that are quantized at run time, and sums.

What ONNX Runtime's dynamic quantizer writes is
DynamicQuantizeLinear -> MatMulInteger -> Cast -> Mul by both scales -> Add of a bias. A float32 travels as its bit
pattern, an int32: such a model takes patterns and gives patterns. Every step rounds in the order of the graph. What
DequantizeLinear made is added so as well: a residual of a quantized network.
"""

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from intref.importing.graph import Array, Call
from intref.importing.importer import FLOAT32, HANDLERS, Importer, constant, imports, not_of_float32
from intref.importing.values import Dequantized, Floats, Real, Tensor, is_float32, patterns
from intref.ops.onnx import TWO_32


@dataclass(frozen=True)
class Scales:
    """The float32 scale of a tensor, found at run time, perhaps times constant ones."""

    token: Tensor
    channel: Array | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.token.shape if self.channel is None else self.channel.shape


@imports("DynamicQuantizeLinear")
def dynamic_quantize(net: Importer, call: Call, x: Any) -> list[Any]:
    """By the least and the greatest of the whole tensor. Scales of 2**32 and more are held there."""
    x = float32s(net, x)
    y, scale, zero = net.every("dynamic_quantize", {"x": net.reshape(x, (prod(x.shape),))})
    held = net.op("clamp", {"x": scale}, low=0, high=TWO_32 - 1)
    return [net.reshape(y, x.shape), Scales(held), zero]


def float32s(net: Importer, x: Any) -> Tensor:
    """Bit patterns: of an input of the model, or made by an epilogue."""
    if isinstance(x, (Floats, Real)):
        return net.epilogue(x)
    if isinstance(x, Tensor) and x.name in net.graph.inputs:
        return net.as_patterns(x)
    found = getattr(x, "name", type(x).__name__.lower())
    raise net.refuse(
        "float32s: an input of the graph, what DequantizeLinear made, a sum, or a product by scales", found
    )


def _vector(net: Importer, call: Call, value: Any, width: int, what: str) -> Array:
    """Constant float32s: one, or one for each column."""
    given = constant(call, value, what)
    if given.dtype != np.float32 or given.size not in (1, width) or prod(given.shape[:-1]) != 1:
        raise net.refuse(f"{what} of float32, one or {width}", f"{given.dtype} {[*given.shape]}")
    return np.asarray(given)


def _multiplied(net: Importer, call: Call, a: Any, b: Any) -> Any:
    """scale * scales, accumulator * scale(s), or a product * the scale that is left."""
    if isinstance(b, Scales) and not isinstance(a, Scales):
        a, b = b, a
    if isinstance(a, Scales) and not isinstance(b, (Scales, Tensor, Real)):
        if a.channel is not None:
            raise net.refuse("one constant scale", "two")
        return replace(a, channel=_vector(net, call, b, np.asarray(b).size, "scale"))
    if isinstance(a, Scales) and isinstance(b, Tensor) and b.dtype == "int32":
        order = "token_first" if a.channel is None else "scales_first"
        return Real(b, a.token, order, a.channel)
    if isinstance(b, Real):
        a, b = b, a
    if isinstance(a, Real) and a.order == "token_first" and a.channel is None and a.bias is None:
        return replace(a, channel=_vector(net, call, b, a.shape[-1], "scale"))
    raise net.refuse("an integer product times the scale of DynamicQuantizeLinear and constant ones", "other factors")


def _added(net: Importer, call: Call, a: Any, b: Any) -> Floats | Real:
    """A constant vector to a product by scales is its bias; any other two are added as they are."""
    product, other = (a, b) if isinstance(a, Real) else (b, a)
    if not isinstance(product, Real) or not isinstance(other, np.ndarray) or product.bias is not None:
        return _sum(net, a, b)
    return replace(product, bias=_vector(net, call, other, product.shape[-1], "bias"))


def _sum(net: Importer, a: Any, b: Any) -> Floats:
    """Two tensors in float32, as ONNX says.

    ONNX Runtime adds so while it leaves the graph as it is; from ORT_ENABLE_EXTENDED on it puts QLinearAdd in the place
    of DequantizeLinear, Add, QuantizeLinear, whose results differ from this where the scales make ties.
    """
    sizes = np.broadcast_shapes(a.shape, b.shape) or (1,)
    net.hold(net.site, sizes)
    terms = {port: net.broadcast(_float32s_of(net, value), sizes) for port, value in (("a", a), ("b", b))}
    return Floats(net.op("add_fp32", {port: net.tensor(value, "int32") for port, value in terms.items()}))


def _float32s_of(net: Importer, x: Any) -> Tensor | Array:
    """The bit patterns of one side of a sum: a constant's, those that a tensor stands for, or that it is."""
    if isinstance(x, np.ndarray) and x.dtype == np.float32:
        return patterns(x).reshape(x.shape)
    if isinstance(x, np.ndarray):
        raise net.refuse("a constant of float32", x.dtype)
    return net.floats(x) if isinstance(x, Dequantized) else float32s(net, x)


def _with_floats(op_type: str, floats: Any) -> None:
    """Let the function of an operator take float32s."""
    plain = HANDLERS[op_type]

    def handler(net: Importer, call: Call, *inputs: Any) -> Any:
        if any(isinstance(v, (Real, Scales)) for v in inputs) or (op_type == "Add" and any(map(is_float32, inputs))):
            return floats(net, call, *inputs)
        if any(isinstance(v, Floats) for v in inputs):
            raise not_of_float32(call, inputs)
        if any(isinstance(v, Dequantized) for v in inputs):
            raise net.refuse("integers", f"float32s from DequantizeLinear: no op here has the float32 {op_type} of two")
        return plain(net, call, *inputs)

    HANDLERS[op_type] = handler
    FLOAT32.add(op_type)


_with_floats("Mul", _multiplied)
_with_floats("Add", _added)
FLOAT32.add("DynamicQuantizeLinear")
