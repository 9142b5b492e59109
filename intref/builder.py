"""Grows an integer model node by node, proving the bounds of every tensor as it is made."""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from intref.errors import BoundError
from intref.model import Model, Node, TensorInfo, info
from intref.ops import OPS
from intref.proof import Prover

Axes = tuple[int | str, ...]
Array = np.ndarray[Any, Any]


class Builder:
    """Nodes, constants and declarations of a model under construction; BoundError at the first node not proved."""

    def __init__(self, dims: dict[str, int]):
        self.dims = dims
        self.prover = Prover(dims)
        self.nodes: list[Node] = []
        self.tensors: dict[str, TensorInfo] = {}
        self.constants: dict[str, Array] = {}
        self.inputs: dict[str, int | None] = {}
        self.outputs: dict[str, str] = {}
        self.scales: dict[str, tuple[int, int]] = {}

    def input(self, name: str, dtype: str, low: int, high: int, default: int | None, axes: Axes = ("B", "T")) -> str:
        """A model input."""
        self.inputs[name] = default
        self.tensors[name] = info(dtype, axes, low, high)
        self.prover.given(name, self.tensors[name])
        return name

    def constant(self, name: str, value: Any, dtype: str) -> str:
        """A constant; one of the same name must hold the same values. BoundError: its dtype does not hold a value."""
        value, held = np.asarray(value), np.iinfo(dtype)
        if value.size and not held.min <= value.min() <= value.max() <= held.max:
            found = f"{int(value.min())} .. {int(value.max())}"
            raise BoundError(f"{name}: a constant of {dtype} would have to be {found}")
        array = np.ascontiguousarray(value.astype(dtype))
        assert np.array_equal(array, np.atleast_1d(value)), f"{name} holds what is no integer"
        if name not in self.constants:
            self.constants[name] = array
            self.tensors[name] = info(dtype, array.shape, int(array.min()), int(array.max()))
            self.prover.constant(name, array)
        assert np.array_equal(self.constants[name], array), f"{name} is given twice"
        return name

    def node(
        self, op: str, site: str, inputs: dict[str, Any], attrs: dict[str, Any] | None = None, **axes: Axes
    ) -> dict[str, str]:
        """Append a node. inputs: port -> tensor name, or the value of a constant, which is named site.port.

        axes: output port -> axes, none where no size of the model is symbolic. The tensor of the first output is named
        as the site, others site.port.
        """
        ports = {port: self._tensor(op, site, port, given) for port, given in inputs.items()}
        outputs = {port: site if i == 0 else f"{site}.{port}" for i, port in enumerate(OPS[op].outputs)}
        node = Node(op, ports, outputs, dict(attrs or {}), site, version=OPS[op].version)
        declared = self.prover.node(node, axes or None)
        self.tensors.update({outputs[port]: d for port, d in declared.items()})
        self.nodes.append(node)
        return outputs

    def rename(self, name: str, new: str) -> None:
        """Give the first output of the last node another name: its site's as well."""
        node = self.nodes[-1]
        self.nodes[-1] = replace(node, site=new, outputs={p: new if t == name else t for p, t in node.outputs.items()})
        self.tensors[new] = self.tensors.pop(name)
        self.prover.rename(name, new)

    def _tensor(self, op: str, site: str, port: str, given: Any) -> str:
        if isinstance(given, str):
            return given
        return self.constant(f"{site}.{port}", given, OPS[op].inputs[port].dtype.split()[0])

    def axes(self, name: str) -> Axes:
        return self.tensors[name].axes

    def scale(self, name: str, scale: float) -> None:
        """Note the scale of a tensor, for people; BoundError unless it is a positive number, as in the model file."""
        if not 0 < scale < math.inf:
            raise BoundError(f"{name}: a scale must be positive and finite, not {scale}")
        numerator, denominator = float(scale).as_integer_ratio()
        twos = (numerator & -numerator).bit_length() - 1
        self.scales[name] = numerator >> twos, twos - (denominator.bit_length() - 1)

    def model(self, about: dict[str, Any]) -> Model:
        """The finished model, validated."""
        graph = tuple(self.nodes), self.tensors, self.constants, self.inputs, self.outputs, self.dims
        model = Model(*graph, self.scales, about=about)
        model.validate()
        return model
