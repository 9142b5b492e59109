"""An ONNX graph under construction: nodes, constants, inputs and outputs, and the bytes of tensors."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from intref import __version__

Array = NDArray[Any]
OPSET, IR = 18, 8  # BitwiseAnd is new in opset 18
CODES = {
    "int8": TensorProto.INT8,
    "uint8": TensorProto.UINT8,
    "int16": TensorProto.INT16,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
}
REAL = TensorProto.FLOAT  # of 32 bits


class Graph:
    """Nodes in order; each result has a name of its own."""

    def __init__(self, name: str):
        self.name = name
        self.nodes: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._initializers: list[Any] = []
        self._count = 0

    def node(self, kind: str, inputs: Iterable[str], **attributes: Any) -> str:
        """Append a node with one output; the name of it."""
        name = self._fresh("t")
        self.nodes.append(helper.make_node(kind, [*inputs], [name], **attributes))
        return name

    def constant(self, array: Array) -> str:
        """The name of an initializer with these integers; the same one for the same tensor."""
        plain = np.asarray(array, order="C")
        key = plain.dtype.name, plain.shape, plain.tobytes()
        if key not in self._constants:
            self._constants[key] = self._initializer(tensor_proto(self._fresh("c"), plain))
        return self._constants[key]

    def constant_fp32(self, patterns: Array) -> str:
        """The name of an initializer of float32 numbers, given by their bits, int32."""
        key = "fp32", patterns.shape, patterns.tobytes()
        if key not in self._constants:
            data = np.ascontiguousarray(patterns, "<i4").tobytes()
            made = TensorProto(name=self._fresh("c"), data_type=REAL, dims=patterns.shape, raw_data=data)
            self._constants[key] = self._initializer(made)
        return self._constants[key]

    def input(self, name: str, dtype: str, shape: Sequence[int]) -> str:
        """A graph input under its own name."""
        self.inputs.append(helper.make_tensor_value_info(name, CODES[dtype], [*shape]))
        return name

    def output(self, name: str, source: str, dtype: str, shape: Sequence[int]) -> None:
        """A graph output under its own name."""
        self.nodes.append(helper.make_node("Identity", [source], [name]))
        self.outputs.append(helper.make_tensor_value_info(name, CODES[dtype], [*shape]))

    def model(self, text: str) -> Any:
        """The whole as a checked ModelProto; text: what it is."""
        nodes = self._live()
        used = {name for node in nodes for name in node.input}
        constants = [proto for proto in self._initializers if proto.name in used]
        graph = helper.make_graph(nodes, self.name, self.inputs, self.outputs, constants, text)
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR, producer_name="intref")
        model.producer_version = __version__
        onnx.checker.check_model(model, full_check=True)
        return model

    def kinds(self) -> list[str]:
        """The kinds of nodes, sorted."""
        return sorted({node.op_type for node in self._live()} - {"Identity"})

    def _live(self) -> list[Any]:
        """The nodes that an output depends on: a body also computes what only a range is wanted of."""
        wanted, live = {output.name for output in self.outputs}, []
        for node in reversed(self.nodes):
            if wanted.intersection(node.output):
                wanted.update(node.input)
                live.append(node)
        return live[::-1]

    def _fresh(self, letter: str) -> str:
        self._count += 1
        return f"{letter}{self._count}.{self.name}"

    def _initializer(self, proto: Any) -> str:
        self._initializers.append(proto)
        return str(proto.name)


def tensor_proto(name: str, array: Array) -> Any:
    """A tensor as ONNX stores it, the same bytes each time."""
    data = np.asarray(array, array.dtype.newbyteorder("<"), order="C").tobytes()
    return TensorProto(name=name, data_type=CODES[array.dtype.name], dims=array.shape, raw_data=data)
