"""The operators that Deeploy's networks have of their own: see ops/deeploy.py for what they compute."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from intref.errors import FormatError
from intref.importing.arithmetic import combined, without
from intref.importing.graph import Array, Call
from intref.importing.importer import STANDARD, Importer, axes_of, constant, imports
from intref.importing.values import Tensor, Value

OWN = (*STANDARD, "PACTOps", "ai.onnx.contrib")  # as its networks have them


def _number(net: Importer, call: Call, *names: str, usual: int | None = None) -> int:
    """An attribute that is one integer, under the first of its names that is there."""
    found = next((call.attrs[name] for name in names if name in call.attrs), usual)
    if found is None:
        raise FormatError(f"{call.at}: expected attribute {names[0]!r}, found {', '.join(call.attrs) or 'none'}")
    return int(np.asarray(net.integers(call, np.asarray(found))).ravel()[0])


def _shift(net: Importer, call: Call, *names: str) -> int:
    """The logarithm of a divisor that must be a power of two."""
    divisor = _number(net, call, *names)
    if divisor < 1 or divisor & (divisor - 1):
        raise FormatError(f"{call.at}: attribute {names[0]!r}: expected a power of two, found {divisor}")
    return divisor.bit_length() - 1


@imports("RequantShift", attrs="div n_levels n_levels_out signed", domains=OWN)
def requant_shift(net: Importer, call: Call, x: Tensor, mul: Value, add: Value) -> Value:
    """Constants for all, or along one axis: that which NumPy would lay them along, else the channels."""
    constants = [np.asarray(net.integers(call, constant(call, v, name))) for name, v in (("mul", mul), ("add", add))]
    axis = _axis(call, x, constants)
    levels, signed = _number(net, call, "n_levels_out", "n_levels", usual=256), _number(net, call, "signed", usual=1)
    low = -(levels // 2) * bool(signed)
    return net.op(
        "requant_shift",
        {"x": x, "mul": (constants[0].reshape(-1), "int32"), "add": (constants[1].reshape(-1), "int32")},
        shift=_shift(net, call, "div"),
        rounding=net.requant_rounding,
        output=_holding(low, low + levels - 1),
        low=low,
        high=low + levels - 1,
        axis=axis,
    )


def _holding(low: int, high: int) -> str:
    ends = (("int8", -128, 127), ("uint8", 0, 255), ("int16", -(1 << 15), (1 << 15) - 1))
    return next((dtype for dtype, least, most in ends if least <= low and high <= most), "int32")


def _axis(call: Call, x: Tensor, constants: Sequence[Array]) -> int:
    """The one axis that vectors run along; the last where there is none."""
    rank, axes = len(x.shape), set()
    for values in constants:
        sizes = values.shape
        if len(sizes) > rank or prod(sizes) != max((*sizes, 1)):
            raise FormatError(f"{call.at}: expected constants along one axis of {[*x.shape]}, found {[*sizes]}")
        long = [i + rank - len(sizes) for i, n in enumerate(sizes) if n > 1]
        if long and x.shape[long[0]] != prod(sizes):
            long = [1]
        if long and (rank < 2 or x.shape[long[0]] != prod(sizes)):
            raise FormatError(f"{call.at}: expected constants along one axis of {[*x.shape]}, found {[*sizes]}")
        axes.update(long)
    if len(axes) > 1:
        raise FormatError(f"{call.at}: expected mul and add along one axis, found axes {sorted(axes)}")
    return axes.pop() if axes else -1


def _rows(net: Importer, op: str, x: Tensor, **attrs: Any) -> Value:
    """A softmax over the last axis, nothing masked."""
    lead = (1,) * max(4 - len(x.shape), 0) + x.shape
    four = net.reshape(x, (prod(lead[:-3]), *lead[-3:]))
    mask = np.ones((four.shape[0], four.shape[-1]), np.int64), "int8"
    return net.reshape(net.op(op, {"x": four, "mask": mask}, **attrs), x.shape)


@imports("iSoftmax", attrs="coeffA coeffB coeffC log2 n_levels", domains=OWN)
def softmax(net: Importer, call: Call, x: Tensor) -> Value:
    names = {"a": "coeffA", "b": "coeffB", "c": "coeffC", "ln2": "log2"}
    numbers = {name: _number(net, call, given) for name, given in names.items()}
    return _rows(net, "softmax_deeploy", x, **numbers, levels=_number(net, call, "n_levels", usual=256), output="uint8")


@imports("ITAMax", attrs="n_levels", domains=OWN)
def itamax(net: Importer, call: Call, x: Tensor) -> Value:
    return _rows(net, "softmax_itamax", x, levels=_number(net, call, "n_levels", usual=256), output="uint8")


@imports("ITAPartialMax", attrs="n_levels group_width", domains=OWN)
def itamax_partial(net: Importer, call: Call, x: Tensor) -> Value:
    levels, group = _number(net, call, "n_levels", usual=256), _number(net, call, "group_width")
    return _rows(net, "softmax_itamax_partial", x, group=group, levels=levels, output="uint8")


def _vector(net: Importer, call: Call, value: Value, name: str) -> Array:
    return np.asarray(net.integers(call, constant(call, value, name)))


@imports("iLayerNorm", attrs="D n_levels=256", domains=OWN)
def layernorm(net: Importer, call: Call, x: Tensor, weight: Value, bias: Value) -> Value:
    """Clamped, as in the networks; the C kernel wraps."""
    constants = {
        "weight": (_vector(net, call, weight, "weight"), "int32"),
        "bias": (_vector(net, call, bias, "bias"), "int32"),
    }
    return net.op("layernorm_deeploy", {"x": x, **constants}, shift=_shift(net, call, "D"), overflow="clamp")


@imports("iRMSNorm", attrs="D n_levels=256", domains=OWN)
def rmsnorm(net: Importer, call: Call, x: Tensor, weight: Value) -> Value:
    constants = {"weight": (_vector(net, call, weight, "weight"), "int32")}
    return net.op("rmsnorm_deeploy", {"x": x, **constants}, shift=_shift(net, call, "D"))


@imports("iNoNorm", attrs="D mul n_levels=256", domains=OWN)
def nonorm(net: Importer, call: Call, x: Tensor, weight: Value, bias: Value) -> Value:
    constants = {
        "weight": (_vector(net, call, weight, "weight"), "int8"),
        "bias": (_vector(net, call, bias, "bias"), "int32"),
    }
    attrs = {"mul": _number(net, call, "mul"), "shift": _shift(net, call, "D"), "overflow": "clamp"}
    return net.op("nonorm_deeploy", {"x": x, **constants}, **attrs)


@imports("iGELU", attrs="b one", domains=OWN)
def gelu(net: Importer, call: Call, x: Tensor) -> Value:
    return net.op("gelu_deeploy", {"x": x}, b=_number(net, call, "b"), one=_number(net, call, "one"))


@imports("iHardswish", attrs="one_over_six three six", domains=OWN)
def hardswish(net: Importer, call: Call, x: Tensor) -> Value:
    return net.op("hardswish_deeploy", {"x": x}, **{n: _number(net, call, n) for n in ("one_over_six", "three", "six")})


@imports("TrueIntegerDiv", attrs="Delta eta eps y", domains=OWN)
def divide_by_constant(net: Importer, call: Call, x: Tensor) -> Value:
    """x * floor(Delta * eta / (eta * y + eps)): what the networks' recordings hold, not what the C kernel rounds."""
    delta, eta, eps, y = (_number(net, call, name) for name in ("Delta", "eta", "eps", "y"))
    if eta * y + eps < 1:
        raise FormatError(f"{call.at}: eta * y + eps: expected at least 1, found {eta * y + eps}")
    return combined(net, "multiply", x, np.asarray([delta * eta // (eta * y + eps)]))


@imports("IntegerDiv", attrs="Delta eta eps", domains=OWN)
def divide(net: Importer, call: Call, x: Tensor, y: Tensor) -> Value:
    """By a denominator for each row."""
    den = net.broadcast(net.cast(y, "int32"), (*np.broadcast_shapes(x.shape[:-1], y.shape[:-1]), 1))
    numbers = {name.lower(): _number(net, call, name) for name in ("Delta", "eta", "eps")}
    return net.op("divide_deeploy", {"x": net.cast(x, "int32"), "den": den}, **numbers, rounding="floor")


@imports("IntegerMean", attrs="axes keepdims", domains=OWN)
@imports("ReduceMean", attrs="axes keepdims")
def mean(net: Importer, call: Call, x: Tensor, axes: Value | None = None) -> Value:
    """Over one axis, or several neighbouring ones."""
    rank = len(x.shape)
    gone = axes_of(call, axes, rank)
    if gone != [*range(gone[0], gone[-1] + 1)]:
        raise net.refuse("neighbouring axes", gone)
    before, behind = x.shape[: gone[0]], x.shape[gone[-1] + 1 :]
    count = prod(x.shape[i] for i in gone)
    rows = net.reshape(x, (*before, count, prod(behind)))
    y = net.op("mean_deeploy", {"x": rows}, rounding="half_up")
    return without(net, call, net.reshape(y, [1 if i in gone else n for i, n in enumerate(x.shape)]), axes)
