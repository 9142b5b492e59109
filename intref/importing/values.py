"""Values on their way through a graph: tensors of the model under construction, and constants that are not in it yet.

The helpers move elements with the few ops there are: reshape, transpose, swap_axes, slice_rows, concat_rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from intref.builder import Builder
from intref.errors import FormatError, Unsupported
from intref.ops.layout import MAX_RANK
from intref.ops.op import dtype_range
from intref.tensorfile import shown

Array = np.ndarray[Any, Any]
ONE = 127 << 23  # the float32 1
MINUS_ZERO = -(1 << 31)  # a bias that changes nothing
MAX_ELEMENTS = 1 << 25  # of a tensor that the file does not hold itself: a run takes 2 GB for one of so many
NARROWEST = ("int8", "uint8", "int16", "int32", "int64")


@dataclass(frozen=True)
class Tensor:
    """A tensor of the model."""

    name: str
    shape: tuple[int, ...]
    dtype: str


Value = Tensor | Array


@dataclass(frozen=True)
class Dequantized:
    """Integers that stand for real numbers at a scale; product: the sums of a product, not yet rescaled."""

    value: Value
    scale: Any
    product: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape


@dataclass(frozen=True)
class Floats:
    """float32s, as bit patterns."""

    value: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape


@dataclass(frozen=True)
class Quantized:
    """An input of float32s that the graph quantizes first: its integers are given instead, as line says."""

    value: Tensor
    line: str

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape


@dataclass(frozen=True)
class Real:
    """float32s that an accumulator stands for: its products by scales, and a sum, that are still to be made.

    token: the bit pattern of one scale, found at run time. channel, bias: constant float32s, for every column or one.
    """

    value: Tensor
    token: Tensor
    order: str
    channel: Array | None = None
    bias: Array | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape


def patterns(values: Array) -> Array:
    """Of float32s, int64."""
    return np.ascontiguousarray(values, np.float32).reshape(-1).view(np.int32).astype(np.int64)


def is_float32(value: Any) -> bool:
    """Is it what a graph has as float32s, which no op of integers may take for integers?"""
    return not (value is None or isinstance(value, (Tensor, np.ndarray, np.generic)))


def narrowest(values: Array) -> str:
    """The first of int8, uint8, int16, int32 and int64 that holds all values."""
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    return next(d for d in NARROWEST if dtype_range(d)[0] <= low and high <= dtype_range(d)[1])


def integers(at: str, values: Array) -> Array:
    """The values as int64; FormatError, naming the place, if one is no integer of 32 bits."""
    given = np.asarray(values)
    if given.dtype.kind not in "iufb":
        raise FormatError(f"{at}: expected integers, found {given.dtype}")
    wide = given.astype(np.float64) if given.dtype.kind == "f" else given
    wrong = ~(np.abs(wide) <= 1 << 32) if wide.dtype.kind == "f" else np.zeros(given.shape, bool)
    wrong = wrong | (wide != np.round(np.where(wrong, 0, wide))) if wide.dtype.kind == "f" else wrong
    if np.any(wrong):
        raise FormatError(f"{at}: expected integers of at most 32 bits, found {wide[wrong].ravel()[0]}")
    return wide.astype(np.int64)


class Values:
    """The model under construction, and what its tensors are."""

    def __init__(self) -> None:
        self.builder = Builder({})
        self.site = ""
        self.at = ""
        self._parts = 0

    def begin(self, site: str, at: str) -> None:
        """What follows belongs to one node of the graph: its tensor, and where it is."""
        self.site, self.at, self._parts = site, at, 0

    def refuse(self, expected: str, found: object) -> Unsupported:
        """The error for what a node has and no op here can do."""
        return Unsupported(f"{self.at}: expected {expected}, found {found}")

    def hold(self, name: str, shape: Sequence[int]) -> None:
        """Refuse a tensor of more elements than a model may have, before any of it is made."""
        if prod(shape) > MAX_ELEMENTS:
            raise self.refuse(f"a tensor {shown(name)} of at most {MAX_ELEMENTS} elements", f"{list(shape)}")

    def input(self, name: str, dtype: str, shape: tuple[int, ...]) -> Tensor:
        """An input, of anything that its dtype holds."""
        self.builder.input(name, dtype, *dtype_range(dtype), None, shape)
        return Tensor(name, shape, dtype)

    def op(self, op: str, inputs: dict[str, Value | tuple[Array, str]], **attrs: Any) -> Tensor:
        """The first output of one call."""
        return self.every(op, inputs, **attrs)[0]

    def every(self, op: str, inputs: dict[str, Value | tuple[Array, str]], **attrs: Any) -> list[Tensor]:
        """The outputs of one call. A constant is given as an array, or with the dtype it must have."""
        self._parts += 1
        site = f"{self.site}#{self._parts}"
        ports = {port: self._port(f"{site}.{port}", value) for port, value in inputs.items()}
        made = [self._tensor(name) for name in self.builder.node(op, site, ports, attrs).values()]
        for tensor in made:
            self.hold(self.site, tensor.shape)
        return made

    def floats(self, x: "Dequantized") -> Tensor:
        """The bit patterns of what integers stand for at one scale."""
        if x.product or x.scale.scales.size > 1:
            raise self.refuse("integers of one scale from DequantizeLinear", "a product, or more scales")
        scale, zero = (patterns(x.scale.scales), "int32"), (x.scale.zeros, "int32")
        value = self.tensor(x.value, x.scale.dtype)
        return self.op("dequantize_fp32", {"x": value, "scale": scale, "zero_point": zero})

    def epilogue(self, x: "Floats | Real") -> Tensor:
        """The bit patterns of float32s: products and sums that are left are made, in the graph's order."""
        if isinstance(x, Floats):
            return x.value
        width, rows = x.shape[-1], (*x.shape[:-1], 1)
        channel = np.broadcast_to(ONE if x.channel is None else patterns(x.channel), width)
        bias = np.broadcast_to(MINUS_ZERO if x.bias is None else patterns(x.bias), width)
        token = self.broadcast(self.reshape(x.token, (1,) * len(rows)), rows)
        given: dict[str, Any] = {"x": x.value, "token": token, "channel": (channel, "int32"), "bias": (bias, "int32")}
        return self.op("epilogue_fp32", given, order=x.order)

    def named(self, value: Value) -> Value:
        """The value that a node of the graph makes: the last call's tensor takes the name it has in the graph."""
        last = self.builder.nodes[-1] if self.builder.nodes else None
        made = [*last.outputs.values()] if last else []
        if not isinstance(value, Tensor) or value.name != f"{self.site}#{self._parts}" or value.name not in made:
            return value
        self.builder.rename(value.name, self.site)
        return Tensor(self.site, value.shape, value.dtype)

    def _port(self, name: str, value: Value | tuple[Array, str]) -> str:
        if isinstance(value, Tensor):
            return value.name
        values, dtype = value if isinstance(value, tuple) else (value, narrowest(value))
        low, high = dtype_range(dtype)
        if values.min() < low or values.max() > high:
            raise self.refuse(f"a constant that {dtype} holds", f"[{values.min()}, {values.max()}]")
        return self.builder.constant(name, values, dtype)

    def _tensor(self, name: str) -> Tensor:
        declared = self.builder.tensors[name]
        return Tensor(name, tuple(int(a) for a in declared.axes), declared.dtype)

    def tensor(self, value: Value, dtype: str | None = None) -> Tensor:
        """The value in the model: a constant becomes one of its tensors."""
        if isinstance(value, Tensor):
            return value
        self._parts += 1
        name = self.builder.constant(f"{self.site}#{self._parts}", value, dtype or narrowest(value))
        return self._tensor(name)

    def range(self, value: Value) -> tuple[int, int]:
        """What its elements are proved to lie in."""
        if isinstance(value, Tensor):
            interval = self.builder.prover.intervals[value.name]
            return interval.min(), interval.max()
        return int(value.min()), int(value.max())

    def cast(self, value: Tensor, dtype: str) -> Tensor:
        """The same values in another dtype that holds them."""
        low, high = self.range(value)
        if value.dtype == dtype:
            return value
        if low < dtype_range(dtype)[0] or high > dtype_range(dtype)[1]:
            raise self.refuse(f"values that {dtype} holds", f"{value.name} in [{low}, {high}]")
        one = {"mul": (np.ones(1, np.int64), "int32"), "add": (np.zeros(1, np.int64), "int32")}
        return self.op("requant_shift", {"x": value, **one}, shift=0, rounding="floor", output=dtype)

    def reshape(self, x: Value, shape: Sequence[int]) -> Value:
        """Other sizes of the same elements in the same order."""
        shape = tuple(int(n) for n in shape)
        if prod(shape) != prod(x.shape):
            raise FormatError(f"{self.at}: expected {prod(x.shape)} elements, found sizes {list(shape)}")
        if not isinstance(x, Tensor):
            return x.reshape(shape)
        if shape == x.shape:
            return x
        if not 1 <= len(shape) <= MAX_RANK:
            raise self.refuse(f"1 to {MAX_RANK} axes", f"sizes {list(shape)}")
        return self.op("reshape", {"x": x}, rank=str(len(shape)), **{f"d{i}": n for i, n in enumerate(shape)})

    def permute(self, x: Value, order: Sequence[int]) -> Value:
        """y[i[order[0]], i[order[1]], ..] = x[i[0], i[1], ..]: one exchange of neighbouring blocks after another."""
        if not isinstance(x, Tensor):
            return np.transpose(x, order)
        final = tuple(x.shape[i] for i in order)
        y: Value = x
        left, last = [i for i in order if x.shape[i] > 1], len(order) - 1
        if list(order) == [*range(last - 1), last, last - 1]:
            return self.op("transpose", {"x": x})
        if last > 1 and list(order) == [*range(last - 2), last - 1, last - 2, last]:
            return self.op("swap_axes", {"x": x})
        now = sorted(left)
        for place, axis in enumerate(left):
            if (at := now.index(axis)) > place:
                sizes = [prod(x.shape[i] for i in part) for part in (now[:place], now[place:at], [axis], now[at + 1 :])]
                y = self._exchanged(y, sizes)
                now.insert(place, now.pop(at))
        return self.reshape(y, final)

    def _exchanged(self, x: Value, sizes: list[int]) -> Value:
        """x as [A M N D], then [A N M D]."""
        lead, m, n, inner = sizes
        y = self.reshape(x, (lead, m, n) if inner == 1 else (lead, m, n, inner))
        return self.op("transpose" if inner == 1 else "swap_axes", {"x": y})

    def by_rows(self, x: Value, axis: int) -> tuple[Value, tuple[int, ...], tuple[int, ...]]:
        """x with `axis` as its last axis but one, and the sizes before and behind it."""
        axis %= len(x.shape)
        before, behind = x.shape[:axis], x.shape[axis + 1 :]
        if len(behind) == 1:
            return x, before, behind
        return self.reshape(x, (prod(before), x.shape[axis], prod(behind))), before, behind

    def slice(self, x: Value, axis: int, start: int, step: int, count: int) -> Value:
        """count of the elements along an axis: every step-th from start on."""
        if not isinstance(x, Tensor):
            return np.take(x, start + step * np.arange(count), axis)
        if (start, step, count) == (0, 1, x.shape[axis]):
            return x
        rows, before, behind = self.by_rows(x, axis)
        return self.reshape(
            self.op("slice_rows", {"x": rows}, start=start, step=step, count=count), (*before, count, *behind)
        )

    def concat(self, parts: Sequence[Value], axis: int) -> Value:
        """The parts one after another along an axis; empty ones are left out."""
        parts = [p for p in parts if prod(p.shape)] or [*parts][:1]
        self.hold(self.site, [sum(prod(p.shape) for p in parts)])
        if not any(isinstance(p, Tensor) for p in parts):
            return np.concatenate([np.asarray(p) for p in parts], axis)
        first = next(p.dtype for p in parts if isinstance(p, Tensor))
        ends = [dtype_range(p.dtype) if isinstance(p, Tensor) else self.range(p) for p in parts]
        least, most = min(low for low, _ in ends), max(high for _, high in ends)
        fits = dtype_range(first)[0] <= least and most <= dtype_range(first)[1]
        widest = first if fits else narrowest(np.array([least, most]))
        made = parts[0]
        for part in parts[1:]:
            made = self._joined(made, part, axis, widest)
        return made

    def _joined(self, a: Value, b: Value, axis: int, dtype: str) -> Value:
        same = [(self.cast(v, dtype) if isinstance(v, Tensor) else self.tensor(v, dtype)) for v in (a, b)]
        (left, before, behind), (right, _, _) = (self.by_rows(v, axis) for v in same)
        sizes = (*before, a.shape[axis] + b.shape[axis], *behind)
        return self.reshape(self.op("concat_rows", {"a": left, "b": right}), sizes)

    def broadcast(self, x: Value, shape: tuple[int, ...]) -> Value:
        """x repeated along the axes where it has size 1."""
        self.hold(self.site, shape)
        if not isinstance(x, Tensor):
            return np.broadcast_to(x, shape)
        y = self.reshape(x, (*(1,) * (len(shape) - len(x.shape)), *x.shape))
        for axis, (size, wanted) in enumerate(zip(y.shape, shape)):
            if size != wanted:
                y = self.slice(y, axis, 0, 0, wanted)
        return y
