"""A number type whose operators append ONNX nodes: op bodies run on it as they run on arrays.

A Value is an int64 tensor of a graph, with the interval that all of its elements lie in. Booleans are 0 and 1.
"""

from math import prod
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from intref.errors import BoundError
from intref.golden.onnx.graph import Array, Graph
from intref.numbertypes import Interval


def whole(low: int, high: int) -> Interval:
    """An interval as one element."""
    end = np.array([low], object)
    return Interval(end) if low == high else Interval(end, np.array([high], object))


FULL = whole(-(1 << 63), (1 << 63) - 1)


class Value(NDArrayOperatorsMixin):
    """An int64 tensor of a graph: its name, its shape, its range, its elements where it is a constant."""

    dtype = "int64"

    def __init__(
        self, graph: Graph, name: str, shape: tuple[int, ...], span: Interval = FULL, known: Array | None = None
    ):
        self.graph, self.name, self.shape, self.span, self.known = graph, name, tuple(shape), span, known

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def _made(self, kind: str, shape: tuple[int, ...], *others: str, **attributes: Any) -> "Value":
        return Value(self.graph, self.graph.node(kind, [self.name, *others], **attributes), shape, self.span)

    def _indices(self, values: Any) -> str:
        return self.graph.constant(np.asarray(values, np.int64))

    def within(self, low: Any, high: Any) -> "Value":
        """The same tensor; a lemma narrows its range."""
        ends = constant(self.graph, low).span.min(), constant(self.graph, high).span.max()
        return Value(self.graph, self.name, self.shape, self.span.within(*map(int, ends)))

    def reshape(self, shape: Any) -> "Value":
        sizes = [int(n) for n in shape]
        if -1 in sizes:
            sizes[sizes.index(-1)] = prod(self.shape) // -prod(sizes)
        return self._made("Reshape", tuple(sizes), self._indices(sizes))

    def transpose(self, order: Any) -> "Value":
        return self._made("Transpose", tuple(self.shape[i] for i in order), perm=[*order])

    def taken_from(self, table: Any) -> "Value":
        rows = constant(self.graph, table)
        name = self.graph.node("Gather", [rows.name, self.name], axis=0)
        return Value(self.graph, name, self.shape + rows.shape[1:], rows.span)

    def __getitem__(self, index: Any) -> "Value":
        items = index if isinstance(index, tuple) else (index,)
        value, axis = self, 0
        named = sum(item is not None and item is not Ellipsis for item in items)
        for item in items:
            if item is Ellipsis:
                axis += self.ndim - named
            else:
                value, axis = value._indexed(item, axis)
        return value

    def _indexed(self, item: Any, axis: int) -> "tuple[Value, int]":
        """The tensor with one axis indexed, and the axis that the next index is for."""
        before, after = self.shape[:axis], self.shape[axis + 1 :]
        if item is None:
            return self._made("Unsqueeze", (*before, 1, *self.shape[axis:]), self._indices([axis])), axis + 1
        if isinstance(item, slice):
            rows = np.arange(self.shape[axis])[item]
            return (self if len(rows) == self.shape[axis] else self._gathered(rows, axis)), axis + 1
        chosen = np.asarray(item, np.int64)
        made = self._made("Gather", (*before, *chosen.shape, *after), self._indices(chosen), axis=axis)
        return made, axis + chosen.ndim

    def _gathered(self, rows: Array, axis: int) -> "Value":
        shape = (*self.shape[:axis], len(rows), *self.shape[axis + 1 :])
        return self._made("Gather", shape, self._indices(rows), axis=axis)

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **kwargs: Any) -> "Value":
        from intref.golden.onnx.arithmetic import called, reduced

        values = [constant(self.graph, a) for a in args]
        made = called(ufunc, values) if method == "__call__" else reduced(ufunc, method, values[0], **kwargs)
        made.span = _span(ufunc, method, values, kwargs.get("axis"))
        return made


def constant(graph: Graph, x: Any) -> Value:
    """A Value as it is; integers and their arrays as a constant."""
    if isinstance(x, Value):
        return x
    array = np.asarray(x).astype(np.int64)
    return Value(graph, graph.constant(array), array.shape, whole(int(array.min()), int(array.max())), array)


def _span(ufunc: Any, method: str, values: list[Value], axis: int | None) -> Interval:
    """The range of a result, by the rules of intervals; everything where they have none."""
    spans = [value.span for value in values]
    try:
        if ufunc is np.matmul:
            return _fitting(spans[0] * spans[1] * values[0].shape[-1])
        if method == "__call__":
            return _fitting(ufunc(*spans))
        if ufunc is np.add and axis is not None:
            times = whole(1, values[0].shape[axis])
            return _fitting(spans[0] * times)
        return spans[0]
    except BoundError:
        return FULL


def _fitting(span: Interval) -> Interval:
    """What the op's own proof shows to fit int64 is cut to it where one interval for all elements is too coarse."""
    return span.within(FULL.min(), FULL.max())
