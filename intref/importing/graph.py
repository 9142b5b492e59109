"""An ONNX file as plain values: nodes in an order that can be run, constants as arrays. Nothing of it is believed."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from intref.atomic import StrPath
from intref.errors import FormatError
from intref.tensorfile import opened, shown

MAX_BYTES = (1 << 31) - 1  # what a protobuf message can be
DTYPES: dict[int, str] = {
    onnx.TensorProto.INT8: "int8",
    onnx.TensorProto.UINT8: "uint8",
    onnx.TensorProto.INT16: "int16",
    onnx.TensorProto.INT32: "int32",
}
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Call:
    """One node of the graph. at: where it is, for messages. attrs: integers, text, arrays, and lists of them."""

    op: str
    domain: str
    at: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Mapping[str, Any]


@dataclass(frozen=True)
class Given:
    """What the graph says of an input: an integer dtype or none, and its sizes, None where they are not said."""

    dtype: str | None
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True)
class Graph:
    """An ONNX graph. opset: the version of the standard operators."""

    path: str
    calls: tuple[Call, ...]
    constants: dict[str, Array]
    inputs: dict[str, Given]
    outputs: tuple[str, ...]
    opset: int
    producer: str


def read_graph(path: StrPath) -> Graph:
    """The graph of an ONNX file; FormatError, one line, for anything else."""
    proto = _proto(path)
    where, graph = str(path), proto.graph
    if not graph.node:
        raise FormatError(f"{where}: expected an ONNX graph of nodes, found none")
    if graph.sparse_initializer:
        raise FormatError(f"{where}: expected dense constants, found a sparse one")
    constants = {_text(t.name): array(f"{where}: constant {shown(_text(t.name))}", t) for t in graph.initializer}
    inputs = {_text(i.name): _given(i) for i in graph.input if _text(i.name) not in constants}
    calls = [_call(where, i, node) for i, node in enumerate(graph.node)]
    outputs = tuple(_text(o.name) for o in graph.output)
    if not outputs:
        raise FormatError(f"{where}: expected at least one output, found none")
    opset = max((o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")), default=1)
    ordered = tuple(_ordered(where, calls, {*constants, *inputs, ""}))
    return Graph(where, ordered, constants, inputs, outputs, opset, _text(proto.producer_name))


def _text(name: Any) -> str:
    """A name that a line can show; protobuf gives bytes where they are no UTF-8."""
    text = name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else str(name)
    return text if text.isprintable() else "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def _proto(path: StrPath) -> Any:
    with opened(Path(path)) as file:
        size = file.seek(0, 2)
        file.seek(0)
        if size > MAX_BYTES:
            raise FormatError(f"{path}: expected an ONNX file of at most {MAX_BYTES} bytes, found {size}")
        data = file.read()
    try:
        return onnx.load_model_from_string(data)
    except Exception as error:  # whatever the parser raises on what is no message
        raise FormatError(f"{path}: expected an ONNX model, found {shown(str(error))}") from None


def array(at: str, tensor: Any) -> Array:
    """The values of a stored tensor."""
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
        place = next((e.value for e in tensor.external_data if e.key == "location"), "")
        raise FormatError(f"{at}: expected its values in the file, found external data in {shown(place)}")
    count = prod(tensor.dims)
    held = tensor.ByteSize()
    if any(d < 0 for d in tensor.dims) or count > 64 * held:  # packed int4 and varints are no denser
        raise FormatError(f"{at}: expected {list(tensor.dims)} values, found {held} bytes")
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except Exception as error:  # a dtype that does not exist, too few values
        raise FormatError(f"{at}: expected {list(tensor.dims)} values, found {shown(str(error))}") from None


def _given(value: Any) -> Given:
    if not value.type.HasField("tensor_type"):
        return Given(None, None)
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return Given(DTYPES.get(tensor.elem_type), None)
    shape = tuple(d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim)
    return Given(DTYPES.get(tensor.elem_type), shape)


def _call(where: str, index: int, node: Any) -> Call:
    op, name = _text(node.op_type), _text(node.name) or f"#{index}"
    at = f"{where}: node {shown(name)} ({op if op.isidentifier() else shown(op)})"
    attrs = {_text(a.name): _attribute(f"{at}: attribute {shown(_text(a.name))}", a) for a in node.attribute}
    outputs = tuple(map(_text, node.output))
    if not any(outputs):
        raise FormatError(f"{at}: expected an output, found none")
    return Call(op, _text(node.domain), at, tuple(map(_text, node.input)), outputs, attrs)


def _attribute(at: str, attribute: Any) -> Any:
    if attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS):
        raise FormatError(f"{at}: expected a value, found a graph: control flow is not supported")
    if attribute.type == onnx.AttributeProto.TENSOR:
        return array(at, attribute.t)
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return _text(value)
    return value if isinstance(value, (int, float)) else [*value] if hasattr(value, "__iter__") else None


def _ordered(where: str, calls: list[Call], known: set[str]) -> Iterator[Call]:
    """The calls, each after those that make its inputs; FormatError where there is no such order."""
    made: set[str] = set()
    for call in calls:
        for name in call.outputs:
            if name and (name in made or name in known):
                raise FormatError(f"{call.at}: output {shown(name)}: expected a new name, found one made already")
            made.add(name)
    lacking = [{name for name in call.inputs if name not in known} for call in calls]
    takers: dict[str, list[int]] = defaultdict(list)
    for index, names in enumerate(lacking):
        for name in names:
            takers[name].append(index)
    for place in range(len(calls)):
        ready = [] if lacking[place] else [place]
        while ready:  # in the order of the file; what had to wait comes as soon as it can
            yield calls[index := ready.pop()]
            for name in calls[index].outputs:
                for taker in takers.pop(name, ()):
                    lacking[taker].discard(name)
                    if taker < place and not lacking[taker]:
                        ready.append(taker)
    if left := [index for index, names in enumerate(lacking) if names]:
        first = next((index for index in left if lacking[index] - made), left[0])
        call, names = calls[first], lacking[first]
        missing = next(name for name in call.inputs if name in (names - made or names))
        why = "a cycle" if missing in made else "nothing that makes it"
        raise FormatError(f"{call.at}: input {shown(missing)}: expected an earlier tensor, found {why}")
