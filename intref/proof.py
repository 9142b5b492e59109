"""Bounds over a whole graph, with the actual constants and the largest sizes: what is not proved is refused."""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from intref.errors import BoundError, SpecError
from intref.model import Model, Node, TensorInfo, info
from intref.numbertypes import Interval, Tracer
from intref.ops import OPS
from intref.ops.op import Op, dtype_range

INT64 = 63  # bits of a magnitude that int64 holds
MAX_ELEMENTS = 1 << 28  # of one tensor at the largest sizes: what a header may make us allocate

Axes = tuple[int | str, ...]


@dataclass(frozen=True)
class Proof:
    """ranges: tensor -> (low, high), proved. widest: node index -> (bits of its widest intermediate, its text)."""

    ranges: dict[str, tuple[int, int]]
    widest: tuple[tuple[int, str], ...]


class Prover:
    """Bounds of a graph that grows node by node; lowering declares each tensor by what this returns."""

    def __init__(self, dims: dict[str, int]):
        self.dims = dims
        self.intervals: dict[str, Interval] = {}
        self.axes: dict[str, Axes] = {}
        self.widest: list[tuple[int, str]] = []

    def constant(self, name: str, value: np.ndarray) -> None:
        self.intervals[name] = Interval(value, dtype=value.dtype.name)
        self.axes[name] = value.shape

    def given(self, name: str, declared: TensorInfo) -> None:
        """An input: anything in its declared range, symbolic axes at size 1."""
        shape = [1 if isinstance(a, str) else a for a in declared.axes]
        low, high = declared.range
        self.intervals[name] = Interval(np.full(shape, low), np.full(shape, high), declared.dtype)
        self.axes[name] = declared.axes

    def node(self, node: Node, axes: dict[str, Axes] | None = None) -> dict[str, TensorInfo]:
        """Declarations of the node's outputs; BoundError names node, tensor and numbers.

        axes: those of each output, by port; None where no size of the graph is symbolic.
        """
        op = OPS[node.op]
        at = f"node {node.site or node.op} (op {node.op})"
        largest = self._outputs(op, node, at, expand=True)
        axes = axes or {port: value.shape for port, value in largest.items()}
        bound = self._bound_axes(op, node, at)
        for port, value in largest.items():
            self._check_axes(op, port, node, axes[port], bound, value, at)
        results = {port: value.hull(_symbolic(axes[port], value)) for port, value in largest.items()}
        if any(isinstance(a, str) for name in node.inputs.values() for a in self.axes[name]) and op.reduces:
            for port, value in self._outputs(op, node, at, expand=False).items():
                results[port] = _union(results[port], value)
        return {port: self._declare(node.outputs[port], value, axes[port]) for port, value in results.items()}

    def rename(self, name: str, new: str) -> None:
        """Know a tensor by another name."""
        self.intervals[new], self.axes[new] = self.intervals.pop(name), self.axes.pop(name)

    def _bound_axes(self, op: Op, node: Node, at: str) -> dict[str, int | str]:
        """The op's names of axes -> what they are here; BoundError if one is two things, such as T and 1."""
        bound: dict[str, int | str] = {}
        for port, name in node.inputs.items():
            for named, axis in zip(op.inputs[port].form(len(self.axes[name])) or [], self.axes[name]):
                if bound.setdefault(named, axis) != axis:
                    raise BoundError(f"{at}: tensor {name!r} has {axis} where another input has {bound[named]}")
        return bound

    def _check_axes(
        self, op: Op, port: str, node: Node, axes: Axes, bound: dict[str, int | str], value: Interval, at: str
    ) -> None:
        """A symbol taken for a size, or for another symbol, would leave sums over it unproved: axes are inferred."""
        names = op.outputs[port].form(len(value.shape)) or []
        new = {n for n in names if n != "1" and n not in bound}  # made by the op: fixed, if what it is made of is
        lost = [a for n, a in bound.items() if n not in names and n not in op.reduces and isinstance(a, str)]
        made = [1 if n == "1" else bound.get(n, size) for n, size in zip(names, value.shape)]
        if list(axes) != made or (new and lost):
            name = node.outputs[port]
            raise BoundError(f"{at}: tensor {name!r} is declared with axes {list(axes)}, but the op makes {made}")

    def _declare(self, name: str, value: Interval, axes: Axes) -> TensorInfo:
        self.intervals[name], self.axes[name] = value, axes
        return info(value.dtype, axes, value.min(), value.max())

    def _outputs(self, op: Op, node: Node, at: str, expand: bool) -> dict[str, Interval]:
        tensors = {port: self._input(op, port, name, at, expand) for port, name in node.inputs.items()}
        for port, name in node.inputs.items():
            if not tensors[port].exact and not {"...", "B"} & {*op.inputs[port].axes.split()}:
                raise BoundError(f"{at}: input {port!r} must be a constant to be proved, tensor {name!r} is computed")
        try:
            attrs = op.check(tensors, node.attrs)
            values, log = op.trace(tensors, attrs)
        except (BoundError, SpecError) as error:
            ranges = ", ".join(f"{p} {n!r} in [{tensors[p].min()}, {tensors[p].max()}]" for p, n in node.inputs.items())
            raise BoundError(f"{at} is not proved free of overflow: {error}; inputs {ranges}") from None
        if expand:
            self.widest.append(_widest(log, at, node))
        dtypes = op.output_dtypes({port: t.dtype for port, t in tensors.items()}, attrs)
        return {
            port: _narrowed(values[port].value, dtype, op.output_range(port, dtype, attrs), at, node.outputs[port])
            for port, dtype in dtypes.items()
        }

    def _input(self, op: Op, port: str, name: str, at: str, expand: bool) -> Interval:
        """The interval of an input, symbolic axes that the op reduces at their largest size if expand."""
        value, axes = self.intervals[name], self.axes[name]
        form = op.inputs[port].form(len(axes)) or []
        shape = [
            self.dims[a] if expand and isinstance(a, str) and named in op.reduces else size
            for a, named, size in zip(axes, form, value.shape)
        ]
        if prod(shape) > MAX_ELEMENTS:
            raise BoundError(f"{at}: tensor {name!r} is too large to be proved at its largest size {shape}")
        return value if tuple(shape) == value.shape or not form else value.broadcast(shape)


def prove(model: Model) -> Proof:
    """Bounds of every tensor; BoundError if an intermediate may leave int64, or a tensor what is declared of it."""
    prover = Prover(model.dims)
    for name, value in model.constants.items():
        prover.constant(name, value)
    for name in model.inputs:
        prover.given(name, model.tensors[name])
    for node in model.nodes:
        prover.node(node, {port: model.tensors[name].axes for port, name in node.outputs.items()})
        for name in node.outputs.values():
            _check_declared(node, name, prover.intervals[name], model.tensors[name])
    ranges = {name: (value.min(), value.max()) for name, value in prover.intervals.items()}
    return Proof(ranges, tuple(prover.widest))


def _check_declared(node: Node, name: str, proved: Interval, declared: TensorInfo) -> None:
    low, high = declared.range
    if proved.min() < low or proved.max() > high:
        raise BoundError(
            f"node {node.site or node.op} (op {node.op}): tensor {name!r} is declared in [{low}, {high}], "
            f"but [{proved.min()}, {proved.max()}] is what can be proved"
        )


def _symbolic(axes: Axes, value: Interval) -> tuple[int, ...]:
    return tuple(i for i, a in enumerate(axes[: value.ndim]) if isinstance(a, str))


def _union(a: Interval, b: Interval) -> Interval:
    return Interval(np.minimum(a.lo, b.lo), np.maximum(a.hi, b.hi), a.dtype)


def _narrowed(value: Any, dtype: str, holds: tuple[int, int], at: str, name: str) -> Interval:
    low, high = holds
    if value.min() < low or value.max() > high:
        what = dtype if holds == dtype_range(dtype) else f"of {high.bit_length() + 1} bits"
        raise BoundError(f"{at}: tensor {name!r} is {what}, but may reach [{value.min()}, {value.max()}]")
    value.dtype = dtype
    return value


def _widest(log: list[Tracer], at: str, node: Node) -> tuple[int, str]:
    """(bits, text) of the widest intermediate, sign not counted; BoundError if int64 does not hold it."""
    peaks = ((max(-1 - int(t.value.min()), int(t.value.max())), t.text) for t in log)
    peak, text = max(peaks, key=lambda found: found[0])
    bits = peak.bit_length()
    if bits > INT64:
        raise BoundError(
            f"{at} is not proved free of overflow: intermediate {text} may need {bits + 1} bits, int64 has 64"
        )
    return bits, text
