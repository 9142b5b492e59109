"""Integer expressions over named axes, as the body of an op makes them: what loops in C are written from.

A node is one scalar for each setting of its axes' indices. It knows its proved range, so that what is written for it
can be plain C where no overflow, negative shift or division by zero is possible, and a total function where one is.
"""

# The number types are not typed.
# mypy: allow-untyped-calls

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from intref.errors import Unsupported
from intref.intmath import INFINITY_FP32
from intref.numbertypes import Interval

INT64 = (-(1 << 63), (1 << 63) - 1)
MAX_SIZE = 1 << 40  # of any axis, and of a whole tensor: larger ones are refused before anything is computed


@dataclass(eq=False)
class Axis:
    """A loop. size: the node of its length, None for one that a tensor's shape tells. limit: the largest length."""

    name: str
    limit: int = MAX_SIZE
    size: "Node | None" = None

    def as_long_as(self, other: "Axis | None") -> bool:
        """Whether it is the other axis, or one made with the very same length."""
        return self is other or (other is not None and self.size is not None and self.size is other.size)


@dataclass(eq=False)
class Node:
    """One value. kind: const, attr, size, index, load, infix, call, ternary, within, reduce or scan; data says which.

    axes: the loops it depends on. name: the variable of the body that held it, None where it had none. share: (axis,
    low, high) where the node divided by the length of that axis is known to lie in [low, high]: a mean has the range of
    its terms, which the range of their sum does not tell.
    """

    kind: str
    args: tuple["Node", ...] = ()
    data: Any = None
    range: Interval = field(default_factory=lambda: interval(*INT64))
    name: str | None = None
    axes: frozenset[Axis] = frozenset()
    share: tuple[Axis, int, int] | None = None

    def __post_init__(self) -> None:
        if not self.axes:
            self.axes = frozenset().union(*(a.axes for a in self.args))

    @property
    def low(self) -> int:
        return self.range.min()

    @property
    def high(self) -> int:
        return self.range.max()

    def inside(self, low: int, high: int) -> bool:
        """Whether it is proved to lie in [low, high]."""
        return low <= self.low and self.high <= high


@dataclass(eq=False)
class Tensor:
    """A node laid out: the axis at each position, None where the size is 1. A scalar has no positions."""

    node: Node
    places: tuple[Axis | None, ...] = ()


def interval(low: int, high: int) -> Interval:
    """The range [low, high] as the number type that op bodies are proved with."""
    return Interval(np.full(1, low, object), None if low == high else np.full(1, high, object))


def const(value: int) -> Node:
    return Node("const", data=int(value), range=interval(value, value))


def size(axis: Axis) -> Node:
    """The length of an axis."""
    return axis.size or Node("size", data=axis, range=interval(1, axis.limit), share=(axis, 1, 1))


def index(axis: Axis) -> Node:
    """The loop variable of an axis."""
    return Node("index", data=axis, range=interval(0, size(axis).high - 1), axes=frozenset([axis]))


def load(port: str, indices: Iterable[Node], low: int, high: int) -> Node:
    """One element of an input."""
    return Node("load", tuple(indices), port, interval(low, high))


def reduction(kind: str, operation: str, x: Node, axis: Axis) -> Node:
    """Sum or maximum (operation) of x along an axis: of all of it (reduce), or up to each element (scan)."""
    if axis not in x.axes:
        raise Unsupported(f"a {operation} along {axis.name} of what does not depend on it")
    low, high = x.low, x.high
    if operation == "sum":
        low, high = min(low, low * axis.limit), max(high, high * axis.limit)
    elif operation == "add_fp32":
        high = INFINITY_FP32
    axes = x.axes - {axis} if kind == "reduce" else x.axes
    fits = INT64[0] <= low and high <= INT64[1]
    node = Node(kind, (x,), (operation, axis), interval(low, high) if fits else interval(*INT64))
    node.axes = axes
    if kind == "reduce" and operation == "sum":
        node.share = axis, x.low, x.high
    return node


def saturating(product: Node, start: Node, low: Node, high: Node, every: Node) -> Node:
    """A sum from `start` on, clamped to [low, high] after every so many of its terms."""
    _, axis = product.data
    node = Node("reduce", (*product.args, start, low, high, every), ("saturate", axis), interval(low.low, high.high))
    node.axes -= {axis}
    return node


def within(x: Node, low: Node, high: Node) -> Node:
    """x, declared to lie in [low, high]: nothing more than x where that is proved already."""
    if x.inside(low.high, high.low):
        return x
    return Node("within", (x, low, high), range=x.range.within(low.range, high.range))


Copies = dict[int, tuple[Node, Node]]  # id of a node -> the node, and what replaces it


def substituted(node: Node, indices: Mapping[Axis, Node], copies: Copies | None = None) -> Node:
    """The node with other indices along some axes. copies: what earlier calls with these indices made."""
    made: Copies = {} if copies is None else copies

    def copied(n: Node) -> Node:
        if not n.axes & indices.keys():
            return n
        if id(n) not in made:
            made[id(n)] = n, _copy(n, indices, tuple(map(copied, n.args)))
        return made[id(n)][1]

    return copied(node)


def _copy(node: Node, indices: Mapping[Axis, Node], args: tuple[Node, ...]) -> Node:
    if node.kind == "index":
        return indices[node.data]
    if node.kind == "scan" and node.data[1] in indices:
        raise Unsupported(f"elements of a running {node.data[0]} out of order")
    if node.kind == "reduce" and any(node.data[1] in n.axes for n in indices.values()):
        raise Unsupported(f"a {node.data[0]} along {node.data[1].name} inside a loop along it")
    copy = Node(node.kind, args, node.data, node.range, node.name, share=node.share)
    if node.kind == "reduce":
        copy.axes -= {node.data[1]}
    return copy


def aligned(*tensors: Tensor) -> tuple[list[Node], tuple[Axis | None, ...]]:
    """Nodes and the places they share, as NumPy broadcasts. Axes that meet must be one axis: see Contract.join."""
    ndim = max(len(t.places) for t in tensors)
    padded = [(None,) * (ndim - len(t.places)) + t.places for t in tensors]
    places: list[Axis | None] = []
    for met in zip(*padded):
        named = {a for a in met if a is not None}
        if len(named) > 1:
            raise Unsupported(f"axes {sorted(a.name for a in named)} meet")
        places.append(named.pop() if named else None)
    return [t.node for t in tensors], tuple(places)
