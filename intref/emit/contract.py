"""What a call must be for an op's C to take it, gathered while its body is read: sizes, dtypes, ranges, indices."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from intref.emit.arithmetic import infix
from intref.emit.nodes import (
    MAX_SIZE,
    Axis,
    Copies,
    Node,
    Tensor,
    const,
    index,
    interval,
    load,
    size,
    substituted,
    within,
)
from intref.errors import Unsupported
from intref.ops import Op
from intref.ops.op import dtype_range

LEAD = "rows"  # the axis that stands for all leading ones, flattened: the same for all ports that have them


@dataclass
class Contract:
    """An op with some attributes fixed, and what reading its body asks of a call.

    axes: by name, those of the ports and those that a reshape makes. joined: an axis of size 1 or of that of another
    -> the other. splits: pairs of sizes that must be equal. reaches: (index, size), where the index must be less.
    lengths: of new axes, by id, that must be at least 1 -> what is known of them then.
    spread: axis of a vector -> the attribute that names the axis it lies along, and the input whose axis that is.
    """

    op: Op
    fixed: Mapping[str, Any]
    axes: dict[str, Axis] = field(default_factory=dict)
    joined: dict[Axis, Axis] = field(default_factory=dict)
    splits: list[tuple[Node, Node]] = field(default_factory=list)
    reaches: list[tuple[Node, Node]] = field(default_factory=list)
    spread: dict[Axis, tuple[Node, str]] = field(default_factory=dict)
    lengths: dict[int, tuple[Node, Node]] = field(default_factory=dict)
    _copies: dict[Axis, Copies] = field(default_factory=dict)

    def axis(self, name: str) -> Axis:
        """The axis of that name, made when first asked for."""
        if name not in self.axes:
            self.axes[name] = Axis(name, self.op.limits.get(name, MAX_SIZE))
        return self.axes[name]

    def form(self, text: str) -> tuple[Axis | None, ...]:
        """The axes of one form of a port."""
        names = [LEAD if name == "..." else name for name in text.split()]
        return tuple(None if name == "1" else self.axis(name) for name in names)

    def forms(self, port: str) -> dict[int, Tensor]:
        """Number of dimensions -> the input so laid out."""
        declared = self.op.inputs[port]
        ranges = [declared.range(dtype) for dtype in declared.dtype.split()]
        low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
        forms = [self.form(text) for text in declared.axes.split("|")]
        return {len(f): Tensor(load(port, map(_at, f), low, high), f) for f in forms}

    def attribute(self, name: str) -> Node:
        """The node of an integer attribute."""
        attr = self.op.attrs[name]
        if name in self.fixed:
            return const(self.fixed[name])
        return Node("attr", (), name, interval(attr.low, attr.high))

    def align(self, *tensors: Tensor) -> list[Tensor]:
        """The tensors with every axis that may have size 1 read as the axis that it meets."""
        given = list(tensors)
        for place in range(1, max(len(t.places) for t in given) + 1):
            met = {a for t in given if len(t.places) >= place and (a := t.places[-place])}
            if len(met) > 1 and all(a.as_long_as(b) for a in met for b in met):
                main = min(met, key=lambda a: a.name)
                given = [self._same(t, met - {main}, main) for t in given]
            elif len(met) > 1:
                main = self._main(met)
                given = [self._join(t, met - {main}, main) for t in given]
        return given

    def length(self, node: Node) -> Node:
        """The length of an axis: one that is not proved to be positive will be checked."""
        if node.low >= 1:
            return node
        known = Node(node.kind, node.args, node.data, interval(1, MAX_SIZE))
        return self.lengths.setdefault(id(node), (node, known))[1]

    def _same(self, tensor: Tensor, axes: set[Axis], main: Axis) -> Tensor:
        """A tensor with other axes of the same length read as main."""
        for axis in axes & {a for a in tensor.places if a}:
            places = tuple(main if a is axis else a for a in tensor.places)
            tensor = Tensor(substituted(tensor.node, {axis: index(main)}), places)
        return tensor

    def _main(self, met: set[Axis]) -> Axis:
        outputs = {name for port in self.op.outputs.values() for name in port.axes.replace("...", LEAD).split()}
        main = [a for a in met if a.name in outputs]
        if len(main) != 1:
            raise Unsupported(f"axes {sorted(a.name for a in met)} meet")
        return main[0]

    def _join(self, tensor: Tensor, axes: set[Axis], main: Axis) -> Tensor:
        for axis in axes & {a for a in tensor.places if a}:
            if self.joined.setdefault(axis, main) is not main:
                raise Unsupported(f"axis {axis.name} meets {self.joined[axis].name} and {main.name}")
            tensor = Tensor(
                substituted(tensor.node, {axis: self._along(axis, main)}, self._copies.setdefault(axis, {})),
                tuple(main if a is axis else a for a in tensor.places),
            )
        return tensor

    def _along(self, axis: Axis, main: Axis) -> Node:
        """The index along an axis that is as long as main, or 1."""
        at = index(main)
        if axis in self.spread:
            inner = Node("size", (), ("inner", *self.spread[axis]), interval(1, MAX_SIZE))
            at = infix("%", infix("//", at, inner), size(axis))
        elif main.name == LEAD:
            raise Unsupported(f"axis {axis.name} meets the leading axes")
        alone = infix("==", size(axis), const(1))
        return Node("ternary", (alone, const(0), at), None, interval(0, axis.limit - 1))

    def spread_along(self, vector: Tensor, along: Node, port: str) -> None:
        """Notes that a vector lies along the axis of an input [...] that an attribute names."""
        if len(vector.places) != 1 or vector.places[0] is None:
            raise Unsupported("a spread of what is no vector")
        self.spread[vector.places[0]] = (along, port)

    def checked(self, at: Node, axis: Axis) -> Node:
        """An index that is known to lie on the axis: by a check of sizes once, or of every index."""
        if at.low >= 0 and (highest := _highest(at)) is not None:
            self.reaches.append((highest, size(axis)))
            return at
        if at.kind == "within" and at.args[1].low >= 0 and _is_last(at.args[2], axis):
            return at
        if at.low >= 0 and at.high < axis.limit < MAX_SIZE:
            self.reaches.append((const(at.high), size(axis)))
            return at
        return within(at, const(0), infix("-", size(axis), const(1)))

    def dtypes(self, port: str, side: str = "input") -> list[str]:
        """What dtypes a port may have, the attributes being fixed as they are."""
        declared = (self.op.inputs if side == "input" else self.op.outputs)[port].dtype
        if declared.startswith("="):
            return self.dtypes(declared[1:])
        if declared in self.op.attrs:
            return [self.fixed[declared]] if declared in self.fixed else [*self.op.attrs[declared].choices]
        return declared.split()

    def range(self, port: str) -> tuple[int, int] | None:
        """The range that every element of an input must be checked for; None if its dtypes hold nothing else."""
        declared = self.op.inputs[port]
        own = [dtype_range(dtype) for dtype in self.dtypes(port)]
        allowed = [declared.range(dtype) for dtype in self.dtypes(port)]
        if own == allowed:
            return None
        return min(low for low, _ in allowed), max(high for _, high in allowed)


def _at(axis: Axis | None) -> Node:
    return const(0) if axis is None else index(axis)


def _is_last(node: Node, axis: Axis) -> bool:
    """Whether a node is the length of the axis, minus a positive constant."""
    return node.kind == "infix" and node.data == "-" and node.args[0].data is axis and node.args[1].low > 0


def _highest(at: Node) -> Node | None:
    """The largest an index gets, where it only grows with the loops it depends on; None for any other."""
    if not at.axes:
        return at if _grows(at) else None
    last = {axis: infix("-", size(axis), const(1)) for axis in at.axes}
    return substituted(at, last) if _grows(at) else None


def _grows(at: Node) -> bool:
    if at.kind in ("const", "attr", "size", "index"):
        return at.low >= 0
    grows = at.kind == "infix" and at.data in ("+", "*", "/") and _grows(at.args[0])
    return grows and (_grows(at.args[1]) if at.data != "/" else not at.args[1].axes)
