"""From a call of an op, or a whole model, to an ONNX graph."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from intref.errors import Unsupported
from intref.golden.onnx.arithmetic import INT64
from intref.golden.onnx.graph import CODES, Array, Graph
from intref.golden.onnx.value import Value, whole
from intref.model import Model
from intref.ops import OPS
from intref.ops.op import Op, dtype_range

BYTES = ("int8", "uint8")


@dataclass(frozen=True)
class Tensor:
    """A tensor of a graph in its own dtype, and the range of its elements."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    low: int
    high: int


Operand = Tensor | Array  # computed, or a constant
Made = dict[str, Tensor]
Form = Callable[[Graph, Mapping[str, Any], dict[str, Any]], Made | None]


@dataclass(frozen=True)
class Lowered:
    """model: a checked ModelProto. inputs, outputs: names in the graph's order. kinds: the operators it has."""

    model: Any
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    kinds: tuple[str, ...]


def is_data(op: Op, port: str) -> bool:
    """Whether a port takes what is computed at run time; others take constants of a model."""
    return bool({"...", "B"} & {*op.inputs[port].axes.split()})


def lower_call(op_name: str, tensors: Mapping[str, Array], attrs: dict[str, Any], text: str = "") -> Lowered:
    """One call: graph inputs are its data under their ports' names, constants are initializers, outputs are ports.

    attrs: complete. Unsupported, with the reason, where no exact form is known.
    """
    op, graph = OPS[op_name], Graph(op_name)
    operands: dict[str, Operand] = {
        port: _input(graph, port, t) if is_data(op, port) else t for port, t in tensors.items()
    }
    made = lower_op(graph, op, operands, attrs)
    for port in op.outputs:
        graph.output(port, made[port].name, made[port].dtype, made[port].shape)
    data = tuple(port for port in tensors if is_data(op, port))
    return Lowered(graph.model(text), data, tuple(op.outputs), tuple(graph.kinds()))


def _input(graph: Graph, name: str, tensor: Array) -> Tensor:
    dtype = tensor.dtype.name
    return Tensor(graph.input(name, dtype, tensor.shape), dtype, tensor.shape, *dtype_range(dtype))


def lower_model(model: Model, inputs: Mapping[str, Array], taps: Iterable[str] = (), text: str = "") -> Lowered:
    """A whole model at the sizes of these inputs: outputs by their public names, then the tensors that taps names.

    Unsupported where an output is called as an input or another output is.
    """
    graph, known = Graph("model"), dict[str, Operand](model.constants)
    for name in sorted(inputs):
        tensor = inputs[name]
        graph.input(name, tensor.dtype.name, tensor.shape)
        known[name] = Tensor(name, tensor.dtype.name, tensor.shape, *model.tensors[name].range)
    for node, attrs in zip(model.nodes, model.attrs):
        made = lower_op(graph, OPS[node.op], {port: known[name] for port, name in node.inputs.items()}, attrs)
        known.update({node.outputs[port]: _declared(model, node.outputs[port], made[port]) for port in node.outputs})
    public = set(model.outputs.values())
    outputs = {**model.outputs, **{name: name for name in taps if name not in public}}
    if len({*outputs, *inputs}) < len(outputs) + len(inputs):
        raise Unsupported(f"ONNX: outputs {sorted({*outputs} & {*inputs})} are called as inputs are")
    for name, tensor_name in outputs.items():
        found = _tensor(graph, known[tensor_name])
        graph.output(name, found.name, found.dtype, found.shape)
    return Lowered(graph.model(text), tuple(sorted(inputs)), tuple(outputs), tuple(graph.kinds()))


def _declared(model: Model, name: str, made: Tensor) -> Tensor:
    """A tensor with the range that the model's proof gives it."""
    low, high = model.tensors[name].range
    return replace(made, low=max(low, made.low), high=min(high, made.high))


def _tensor(graph: Graph, operand: Operand) -> Tensor:
    if isinstance(operand, Tensor):
        return operand
    low, high = int(operand.min()), int(operand.max())
    return Tensor(graph.constant(operand), operand.dtype.name, operand.shape, low, high)


def lower_op(graph: Graph, op: Op, operands: Mapping[str, Operand], attrs: dict[str, Any]) -> Made:
    """The op's outputs by port: its idiomatic form if there is one for this call, else its body on int64 nodes."""
    operands = {port: _tensor(graph, t) if is_data(op, port) else t for port, t in operands.items()}
    form = FORMS.get(op.name)
    return (form and form(graph, operands, attrs)) or _by_body(graph, op, operands, attrs)


def _by_body(graph: Graph, op: Op, operands: Mapping[str, Operand], attrs: dict[str, Any]) -> Made:
    values = {port: _int64(graph, op, port, operand) for port, operand in operands.items()}
    dtypes = op.output_dtypes({port: _dtype(operand) for port, operand in operands.items()}, attrs)
    made = op.reference(**values, **attrs)
    return {port: _narrowed(graph, made[port], dtypes[port]) for port in op.outputs}


def _dtype(operand: Operand) -> str:
    return operand.dtype if isinstance(operand, Tensor) else operand.dtype.name


def _int64(graph: Graph, op: Op, port: str, operand: Operand) -> Any:
    if not isinstance(operand, Tensor):
        return operand.astype(np.int64)
    low, high = op.inputs[port].range(operand.dtype)
    span = whole(max(low, operand.low), min(high, operand.high))
    name = operand.name if operand.dtype == "int64" else graph.node("Cast", [operand.name], to=INT64)
    return Value(graph, name, operand.shape, span)


def _narrowed(graph: Graph, value: Value, dtype: str) -> Tensor:
    low, high = dtype_range(dtype)
    name = value.name if dtype == "int64" else graph.node("Cast", [value.name], to=CODES[dtype])
    return Tensor(name, dtype, value.shape, max(low, value.span.min()), min(high, value.span.max()))


def _made(name: str, dtype: str, shape: tuple[int, ...], low: int | None = None, high: int | None = None) -> Made:
    ends = dtype_range(dtype)
    return {"y": Tensor(name, dtype, tuple(shape), ends[0] if low is None else low, ends[1] if high is None else high)}


def _name(graph: Graph, operand: Operand) -> str:
    return operand.name if isinstance(operand, Tensor) else graph.constant(operand)


def _product(
    graph: Graph, a: Operand, b: Operand, zeros: tuple[int, int], attrs: Mapping[str, Any]
) -> tuple[str, tuple[int, ...]] | None:
    """MatMulInteger, for operands of a byte and two axes or more, and the accumulator that it has."""
    if _dtype(a) not in BYTES or _dtype(b) not in BYTES or len(a.shape) < 2 or len(b.shape) < 2:
        return None
    ends = [dtype_range(_dtype(x)) for x in (a, b)]
    held = all(low <= zero <= high for zero, (low, high) in zip(zeros, ends))
    if not held or (attrs["accumulator"], attrs["overflow"], attrs["output"]) != (32, "refuse", "int32"):
        return None
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    points = [graph.constant(np.array(zero, _dtype(x))) for zero, x in zip(zeros, (a, b))] if any(zeros) else []
    name = graph.node("MatMulInteger", [_name(graph, a), _name(graph, b), *points])
    return name, (*lead, a.shape[-2], b.shape[-1])


def _linear(graph: Graph, operands: Mapping[str, Any], attrs: dict[str, Any]) -> Made | None:
    weight = np.asarray(operands["weight"].T, order="C")
    found = _product(graph, operands["x"], weight, (attrs["x_zero_point"], attrs["weight_zero_point"]), attrs)
    if found is None:
        return None
    return _made(graph.node("Add", [found[0], graph.constant(operands["bias"])]), "int32", found[1])


def _matmul(graph: Graph, operands: Mapping[str, Any], attrs: dict[str, Any]) -> Made | None:
    zeros = (attrs["a_zero_point"], attrs["b_zero_point"])
    found = _product(graph, operands["a"], operands["b"], zeros, attrs)
    return found and _made(found[0], "int32", found[1])


def _embedding(graph: Graph, operands: Mapping[str, Any], _: dict[str, Any]) -> Made:
    ids, table = operands["ids"], operands["table"]
    name = graph.node("Gather", [graph.constant(table), ids.name], axis=0)
    return _made(name, table.dtype.name, ids.shape + table.shape[1:], int(table.min()), int(table.max()))


def _table(graph: Graph, operands: Mapping[str, Any], _: dict[str, Any]) -> Made:
    x, entries = operands["x"], operands["entries"]
    wide = graph.node("Cast", [x.name], to=CODES["int32"])
    index = graph.node("Add", [wide, graph.constant(np.array(128, np.int32))])
    name = graph.node("Gather", [graph.constant(entries), index], axis=0)
    return _made(name, entries.dtype.name, x.shape, int(entries.min()), int(entries.max()))


def _moved(graph: Graph, x: Tensor, shape: tuple[int, ...]) -> str:
    return graph.node("Reshape", [x.name, graph.constant(np.asarray(shape, np.int64))])


def _swapped(graph: Graph, name: str, ndim: int, axis: int, other: int) -> str:
    order = [*range(ndim)]
    order[axis], order[other] = order[other], order[axis]
    return graph.node("Transpose", [name], perm=order)


def _split_heads(graph: Graph, operands: Mapping[str, Any], attrs: dict[str, Any]) -> Made:
    x, heads = operands["x"], attrs["heads"]
    *lead, rows, width = x.shape
    name = _moved(graph, x, (*lead, rows, heads, width // heads))
    name = _swapped(graph, name, len(x.shape) + 1, -2, -3)
    return _made(name, x.dtype, (*lead, heads, rows, width // heads), x.low, x.high)


def _merge_heads(graph: Graph, operands: Mapping[str, Any], _: dict[str, Any]) -> Made:
    x = operands["x"]
    *lead, heads, rows, width = x.shape
    turned = Tensor(_swapped(graph, x.name, len(x.shape), -2, -3), x.dtype, x.shape, x.low, x.high)
    shape = (*lead, rows, heads * width)
    return _made(_moved(graph, turned, shape), x.dtype, shape, x.low, x.high)


def _transpose(graph: Graph, operands: Mapping[str, Any], _: dict[str, Any]) -> Made:
    x = operands["x"]
    *lead, m, n = x.shape
    return _made(_swapped(graph, x.name, len(x.shape), -1, -2), x.dtype, (*lead, n, m), x.low, x.high)


def _select_token(graph: Graph, operands: Mapping[str, Any], attrs: dict[str, Any]) -> Made:
    x = operands["x"]
    axis = len(x.shape) - 2
    name = graph.node("Gather", [x.name, graph.constant(np.array(attrs["index"], np.int64))], axis=axis)
    return _made(name, x.dtype, (*x.shape[:-2], x.shape[-1]), x.low, x.high)


def _clamp(graph: Graph, operands: Mapping[str, Any], attrs: dict[str, Any]) -> Made | None:
    x, ends = operands["x"], (attrs["low"], attrs["high"])
    if x.dtype in ("int16", "int64"):  # ONNX Runtime has no Clip of the one, and a wrong one of the other
        return None
    name = graph.node("Clip", [x.name, *(graph.constant(np.array(end, x.dtype)) for end in ends)])
    return _made(name, x.dtype, x.shape, *ends)


def _rescale(graph: Graph, operands: Mapping[str, Any], attrs: dict[str, Any]) -> Made | None:
    """DequantizeLinear, QuantizeLinear: fl32(fl32(x - zero) * scale) half to even, to the whole range of int8."""
    x, multiplier, axis = operands["x"], operands["multiplier"], attrs["axis"]
    zeros, shape = (attrs["input_zero_point"], attrs["output_zero_point"]), x.shape
    own = dtype_range(x.dtype) if x.dtype in BYTES else (0, 0)
    fits = x.dtype in (*BYTES, "int32") and own[0] <= zeros[0] <= own[1] and -128 <= zeros[1] <= 127
    standard = attrs["rounding"] == "fp32_half_even" and (attrs["output"], attrs["low"], attrs["high"]) == STANDARD
    if not (fits and standard) or (multiplier < 0).any() or (len(multiplier) == 1 and not shape):
        return None
    scale = graph.constant_fp32(multiplier if len(multiplier) > 1 else multiplier[0])
    more = {"axis": axis % len(shape)} if len(multiplier) > 1 else {}
    zero = np.full(np.shape(multiplier) if more else (), zeros[0], x.dtype)
    wide = graph.node("DequantizeLinear", [x.name, scale, graph.constant(zero)], **more)
    one = graph.constant_fp32(np.array(0x3F800000, np.int32))
    made = graph.node("QuantizeLinear", [wide, one, graph.constant(np.array(zeros[1], np.int8))])
    return _made(made, "int8", shape)


STANDARD = ("int8", -128, 127)
FORMS: dict[str, Form] = {
    "linear": _linear,
    "matmul": _matmul,
    "embedding": _embedding,
    "table": _table,
    "split_heads": _split_heads,
    "merge_heads": _merge_heads,
    "transpose": _transpose,
    "select_token": _select_token,
    "clamp": _clamp,
    "rescale": _rescale,
}
