"""Views, look-ups and folds of tensors: what only moves indices about costs nothing, and becomes an index in C."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from intref.emit.arithmetic import infix
from intref.emit.contract import LEAD, Contract
from intref.emit.nodes import (
    MAX_SIZE,
    Axis,
    Node,
    Tensor,
    aligned,
    const,
    index,
    interval,
    reduction,
    saturating,
    size,
    substituted,
)
from intref.emit.values import tensor
from intref.errors import Unsupported

ARANGE = np.arange


class Shape(list[Any]):
    """The sizes of a tensor, as scalar tensors; the axis of all leading sizes is the Axis itself."""

    def __init__(self, of: Tensor):
        super().__init__(_size(axis) for axis in of.places)
        self.of, self.leads = of, leads(of)

    def __getitem__(self, at: Any) -> Any:
        if self.leads and isinstance(at, int) and (at >= 0 or at == -len(self)):
            raise Unsupported("the size of one of the leading axes")
        return super().__getitem__(at)


def leads(x: Tensor) -> bool:
    """Whether the first place stands for any number of leading axes."""
    return bool(x.places) and x.places[0] is not None and x.places[0].name == LEAD


def shape(x: Tensor) -> Shape:
    return Shape(x)


def _size(axis: Axis | None) -> Any:
    if axis is None:
        return 1
    return axis if axis.name == LEAD else Tensor(size(axis))


def _place(x: Tensor, axis: int) -> int:
    """A position among the places, from 0; Unsupported where it falls into the leading axes."""
    at = axis % len(x.places)
    if not -len(x.places) <= axis < len(x.places) or (leads(x) and (at == 0 or axis >= 0)):
        raise Unsupported(f"axis {axis} of a tensor with leading axes")
    return at


def indices(contract: Contract, length: Any) -> Tensor:
    """0, 1, .. up to the size of an axis, of an input or made by a reshape, or up to a length that makes a new one."""
    node = length.node if isinstance(length, Tensor) else None
    axis = next((a for a in contract.axes.values() if node is not None and a.size is node), None)
    if axis is None:
        known = node is not None and node.kind == "size" and isinstance(node.data, Axis)
        axis = node.data if node is not None and known else _new_axis(contract, length)
    return Tensor(index(axis), (axis,))


def swap(contract: Contract, x: Tensor, axis: int, other: int) -> Tensor:
    """x with two axes exchanged."""
    places = [*x.places]
    a, b = _place(x, axis), _place(x, other)
    places[a], places[b] = places[b], places[a]
    return Tensor(x.node, tuple(places))


def spread(contract: Contract, x: Tensor, axis: Any, ndim: Any) -> Tensor:
    """A vector along one axis of ndim."""
    if isinstance(axis, int):
        behind = -axis - 1 if axis < 0 else ndim - axis - 1
        return Tensor(x.node, (*x.places, *(None,) * behind))
    of = getattr(ndim, "of", None)
    if not isinstance(of, Tensor) or len(of.places) != 1 or of.node.kind != "load":
        raise Unsupported("a spread along an attribute's axis of anything but an input [...]")
    contract.spread_along(x, axis.node, of.node.data)
    return x


def take(contract: Contract, table: Tensor, at: Tensor) -> Tensor:
    """table[at] along the first axis."""
    return element(table, [at, Ellipsis], contract)


def matmul(contract: Contract, a: Tensor, b: Tensor) -> Tensor:
    """a [... M K] @ b [... K N]."""
    axis = a.places[-1]
    if axis is None or len(b.places) < 2 or not axis.as_long_as(b.places[-2]):
        raise Unsupported("a matrix product along two different axes")
    if b.places[-2] is not None and b.places[-2] is not axis:
        b = Tensor(substituted(b.node, {b.places[-2]: index(axis)}), (*b.places[:-2], axis, b.places[-1]))
    left = Tensor(a.node, (*a.places[:-1], None))
    right = Tensor(b.node, (*b.places[:-2], None, b.places[-1]))
    (x, y), places = aligned(*contract.align(left, right))
    return Tensor(reduction("reduce", "sum", infix("*", x, y), axis), places)


def accumulate(contract: Contract, a: Tensor, b: Tensor, start: Any, low: Any, high: Any, every: Any) -> Tensor:
    """A matrix product whose sum starts at a value and saturates on its way."""
    given = (matmul(contract, a, b), *map(tensor, (start, low, high, every)))
    (product, *rest), places = aligned(*contract.align(*given))
    return Tensor(saturating(product, *rest), places)


def folded(kind: str, operation: str, x: Tensor, axis: int) -> Tensor:
    """A sum or maximum along an axis: of all (it stays with size 1), or up to each element."""
    at = _place(x, axis)
    along = x.places[at]
    if along is None:
        return x
    places = x.places if kind == "scan" else (*x.places[:at], None, *x.places[at + 1 :])
    return Tensor(reduction(kind, operation, x.node, along), places)


def element(x: Tensor, keys: Sequence[Any], contract: Contract) -> Tensor:
    """x[keys]: new axes, whole axes, and along others one index or a vector of them."""
    places: list[Axis | None] = []
    chosen: dict[Axis, Node] = {}
    used = iter(x.places)
    for key in _expanded(x, keys):
        if key is None:
            places.append(None)
        elif isinstance(key, slice):
            if key != slice(None):
                raise Unsupported("a slice of part of an axis")
            places.append(next(used))
        else:
            places += _chosen(next(used), key, chosen, contract)
    return Tensor(substituted(x.node, chosen), tuple(places))


def _expanded(x: Tensor, keys: Sequence[Any]) -> list[Any]:
    """Keys with ... and what is missing at the end written out as whole axes."""
    taken = sum(key is not None and key is not Ellipsis for key in keys)
    whole = [slice(None)] * (len(x.places) - taken)
    at = next((i for i, key in enumerate(keys) if key is Ellipsis), None)
    if leads(x) and (at is None or any(key is not None for key in keys[:at])):
        raise Unsupported("an index into the leading axes")
    return [*keys, *whole] if at is None else [*keys[:at], *whole, *keys[at + 1 :]]


def _chosen(axis: Axis | None, key: Any, chosen: dict[Axis, Node], contract: Contract) -> list[Axis | None]:
    """Notes the index along an axis; the axes that it brings with it."""
    tensor = key if isinstance(key, Tensor) else Tensor(const(key))
    if axis is None:
        return []
    node = tensor.node
    if node.kind == "const" and node.data < 0:
        node = infix("+", size(axis), node)
    chosen[axis] = contract.checked(node, axis)
    return [*tensor.places]


def reshape(x: Tensor, sizes: Sequence[Any], contract: Contract) -> Tensor:
    """x with other axes in the same order of elements: equal ones at both ends stay, those between are cut anew."""
    old, new = [*x.places], [*sizes]
    head = 0
    while head < min(len(old), len(new)) and _same(old[head], new[head]):
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and _same(old[-1 - tail], new[-1 - tail]):
        tail += 1
    cut, made = old[head : len(old) - tail], new[head : len(new) - tail]
    axes: list[Axis] = []
    for length in made:
        axes.append(_known_axis(contract, x, axes, length) or _new_axis(contract, length))
    whole = [a for a in cut if a is not None]
    if len(axes) > 1:
        contract.splits.append((_product(axes), _product(whole)))
    node = substituted(x.node, _recut(whole, _flat(axes)))
    return Tensor(node, (*old[:head], *axes, *old[len(old) - tail :]))


def _same(axis: Axis | None, length: Any) -> bool:
    if isinstance(length, Axis) or axis is None:
        return axis is length or (axis is None and length == 1)
    return isinstance(length, Tensor) and (length.node.data is axis or length.node is axis.size)


def _known_axis(contract: Contract, x: Tensor, taken: Sequence[Axis], length: Any) -> Axis | None:
    """The axis whose size is given as a length, if x does not depend on it: what meets it is one with it."""
    if not isinstance(length, Tensor):
        return None
    node = length.node
    free = (a for a in contract.axes.values() if a not in taken and a not in x.node.axes and a not in x.places)
    return next((a for a in free if a.size is node or (node.kind == "size" and node.data is a)), None)


def _new_axis(contract: Contract, length: Any) -> Axis:
    """An axis of that length, named as an output names it where one is left to name."""
    if not isinstance(length, Tensor) and length < 1:
        raise Unsupported(f"a reshape to a size of {length}")
    node = contract.length(_sized(length.node if isinstance(length, Tensor) else const(length)))
    outputs = [name for port in contract.op.outputs.values() for form in port.forms() for name in form if name != "..."]
    name = next((n for n in outputs if n not in contract.axes), f"N{len(contract.axes)}")
    contract.axes[name] = Axis(name, MAX_SIZE, node)
    return contract.axes[name]


def _sized(node: Node) -> Node:
    """A product of sizes is no more than a tensor holds."""
    if node.kind == "call" and node.data == "wrap_multiply":
        return Node("infix", node.args, "*", interval(1, MAX_SIZE))
    return node


def _product(axes: Sequence[Axis]) -> Node:
    product = const(1)
    for axis in axes:
        product = size(axis) if product.kind == "const" else _sized(infix("*", product, size(axis)))
    return product


def _flat(axes: Sequence[Axis]) -> Node:
    """The index of an element among all those along some axes."""
    flat = const(0)
    for axis in axes:
        at = index(axis)
        flat = at if flat.kind == "const" else infix("+", infix("*", flat, size(axis)), at)
    return flat


def _recut(axes: Sequence[Axis], flat: Node) -> dict[Axis, Node]:
    """The index along each of some axes, from the index among all."""
    found: dict[Axis, Node] = {}
    for i, axis in enumerate(axes):
        behind = _product(axes[i + 1 :])
        at = flat if behind.kind == "const" else infix("//", flat, behind)
        found[axis] = at if i == 0 else infix("%", at, size(axis))
    return found
