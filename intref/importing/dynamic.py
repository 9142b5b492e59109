"""Products whose activations are quantized at run time: what ONNX Runtime's dynamic quantizer writes.

DynamicQuantizeLinear -> MatMulInteger -> Cast -> Mul by both scales -> Add of a bias. A float32 travels as its bit
pattern, an int32: such a model takes patterns and gives patterns. Every step rounds in the order of the graph.
"""

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from intref.importing.graph import Array, Call
from intref.importing.importer import HANDLERS, Importer, constant, imports
from intref.importing.values import Real, Tensor, Value

MINUS_ZERO = np.int32(-(1 << 31))  # the bias that changes nothing
ONE = np.float32(1).view(np.int32)


@dataclass(frozen=True)
class Scales:
    """The float32 scale of a tensor, found at run time, perhaps times constant ones."""

    token: Tensor
    channel: Array | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.token.shape if self.channel is None else self.channel.shape


def patterns(values: Any) -> Array:
    return np.asarray(values, np.float32).reshape(-1).view(np.int32).astype(np.int64)


@imports("DynamicQuantizeLinear")
def dynamic_quantize(net: Importer, call: Call, x: Any) -> list[Any]:
    """By the least and the greatest of the whole tensor."""
    x = float32s(net, x)
    net.op("dynamic_quantize", {"x": net.reshape(x, (prod(x.shape),))})
    made = [*net.builder.nodes[-1].outputs.values()]
    y, scale, zero = (net.tensor_named(name) for name in made)
    return [net.reshape(y, x.shape), Scales(scale), zero]


def float32s(net: Importer, x: Any) -> Tensor:
    """Bit patterns: of an input of the model, or made by an epilogue."""
    if isinstance(x, Real):
        return realized(net, x)
    if isinstance(x, Tensor) and x.name in net.graph.inputs:
        return x if x.dtype == "int32" else net.given_as(x, "int32")
    raise net.refuse("float32s: an input of the graph, or products by scales found at run time", x)


def realized(net: Importer, x: Real) -> Tensor:
    """The epilogue made, in the graph's order."""
    if not x.order:
        return x.value
    width = x.value.shape[-1]
    token = net.broadcast(net.reshape(x.token, (1,) * len(x.shape)), (*x.shape[:-1], 1)) if x.token else None
    channel = np.broadcast_to(ONE if x.channel is None else patterns(x.channel), width)
    bias = np.broadcast_to(MINUS_ZERO if x.bias is None else patterns(x.bias), width)
    given = {"x": x.value, "token": token, "channel": (channel, "int32"), "bias": (bias, "int32")}
    return net.op("epilogue_fp32", given, order=x.order)


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
        return Real(b, a.token, a.channel, None, order)
    if isinstance(a, Scales) and isinstance(b, Real) and b.order == "channel_first" and b.token is None:
        return replace(b, token=a.token)
    if isinstance(b, Real):
        a, b = b, a
    if isinstance(a, Real) and a.order == "token_first" and a.channel is None and a.bias is None:
        return replace(a, channel=_vector(net, call, b, a.shape[-1], "scale"))
    raise net.refuse("an integer product times the scale of DynamicQuantizeLinear and constant ones", "other factors")


def _added(net: Importer, call: Call, a: Any, b: Any) -> Real:
    """A constant vector to a product by scales."""
    product, other = (a, b) if isinstance(a, Real) else (b, a)
    if not product.order or product.bias is not None:
        raise net.refuse("one bias behind the scales of a product", "another sum of float32s")
    return replace(product, bias=_vector(net, call, other, product.shape[-1], "bias"))


def _with_floats(op_type: str, floats: Any) -> None:
    """Let the function of an operator take float32s."""
    plain = HANDLERS[op_type]

    def handler(net: Importer, call: Call, *inputs: Any) -> Any:
        if any(isinstance(v, (Real, Scales)) for v in inputs):
            return floats(net, call, *inputs)
        return plain(net, call, *inputs)

    HANDLERS[op_type] = handler


_with_floats("Mul", _multiplied)
_with_floats("Add", _added)
