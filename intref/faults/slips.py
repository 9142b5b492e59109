"""Slips of a device that no rounding explains: a narrow accumulator, an operand misread, a channel too early."""

# The vocabulary of op bodies is not typed.
# mypy: allow-untyped-calls

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from intref.faults.bodies import Arrays, kept_product, run_body, run_changed, vocabulary
from intref.intmath import absolute, bitlen, maximum
from intref.ops.op import Op, dtype_range

Lazy = tuple[str, Callable[[], Arrays]]
Tensors = Mapping[str, np.ndarray]
Attrs = dict[str, Any]
MULTIPLIER_BITS = (8, 15, 16, 24)
TABLES = ("table", "entries")


def slips(op: Op, tensors: Tensors, attrs: Attrs) -> Iterator[Lazy]:
    """(what was done instead, a function that makes the outputs), for everything that applies to the call."""
    product = kept_product(op)
    for words, changed, swaps in (
        *_scales(tensors, attrs),
        *_channels(op, tensors, product),
        *_twice(tensors, product),
        *_operands(op, tensors),
    ):
        yield words, partial(run_changed, op, tensors, attrs, changed, swaps)
    yield from _narrow_outputs(op, tensors, attrs, product)


Slip = tuple[str, dict[str, Any], dict[str, Any]]  # words, changed tensors and attributes, changed vocabulary


def _scales(tensors: Tensors, attrs: Attrs) -> Iterator[Slip]:
    for name, value in {**{k: t.astype(np.int64) for k, t in tensors.items()}, **attrs}.items():
        if "shift" in name:
            for words, step in (("+ 1", 1), ("- 1", -1)):
                yield f"{name} {words}", {name: value + step}, {}
        elif "multiplier" in name and name in tensors and attrs.get("rounding") != "fp32_half_even":
            for bits in MULTIPLIER_BITS:
                drop = maximum(bitlen(absolute(value)) - bits, 0)
                if (drop > 0).any():
                    yield f"{name} cut to {bits} bits", {name: value >> drop << drop}, {}
                    nearest = (value + (1 << drop >> 1)) >> drop << drop
                    yield f"{name} rounded to {bits} bits", {name: nearest}, {}
            yield f"{name} + 1", {name: value + 1}, {}
            yield f"{name} - 1", {name: value - 1}, {}


def _channels(op: Op, tensors: Tensors, product: dict[str, Any]) -> Iterator[Slip]:
    """Constants of a channel taken from its neighbour: each, and all together. Tables have entries, not channels."""
    sizes = {size for t in tensors.values() if t.ndim > 1 for size in t.shape}
    constants = {p for p in tensors if "..." not in op.inputs[p].axes and p not in TABLES}
    ports = [p for p, t in tensors.items() if p in constants and t.ndim == 1 and len(t) > 1 and len(t) in sizes]
    for words, step in (("n - 1", 1), ("n + 1", -1)):
        rolled = {p: np.roll(tensors[p].astype(np.int64), step) for p in ports}
        for port, value in rolled.items():
            yield f"{port} of channel {words}", {port: value}, product
        if product and "weight" in tensors:  # its rows are the channels: a row earlier is a column of the product
            moved = {"product": lambda a, b, step=step: np.roll(product["product"](a, b), step, axis=-1)}
            yield f"weight of channel {words}", {}, moved
            yield f"constants of channel {words}", rolled, moved
        elif len(rolled) > 1:
            yield f"constants of channel {words}", rolled, product


def _twice(tensors: Tensors, product: dict[str, Any]) -> Iterator[Slip]:
    for name in ("bias", "residual"):
        if name in tensors:
            yield f"{name} added twice", {name: 2 * tensors[name].astype(np.int64)}, product


def _operands(op: Op, tensors: Tensors) -> Iterator[Slip]:
    for port in {"weight", "b"} & tensors.keys() if "product" in vocabulary(op) else ():
        if tensors[port].shape[-1] == tensors[port].shape[-2]:
            yield f"{port} transposed", {port: tensors[port].swapaxes(-1, -2).astype(np.int64)}, {}


def _narrow_outputs(op: Op, tensors: Tensors, attrs: Attrs, product: dict[str, Any]) -> Iterator[Lazy]:
    """All outputs that are wider than 8 or 16 bits, cut to that width at the very end."""
    dtypes = op.output_dtypes({port: t.dtype.name for port, t in tensors.items()}, attrs)
    for dtype in ("int8", "int16"):
        wider = [p for p, d in dtypes.items() if np.dtype(d).itemsize > np.dtype(dtype).itemsize]
        if wider:
            whole = partial(run_body, op, tensors, attrs, product)
            yield f"output saturated to {dtype}", partial(_narrowed, whole, wider, dtype, True)
            yield f"output wrapped to {dtype}", partial(_narrowed, whole, wider, dtype, False)


def _narrowed(whole: Callable[[], Arrays], ports: list[str], dtype: str, saturated: bool) -> Arrays:
    made = whole()
    low, high = dtype_range(dtype)
    for port in ports:
        value = made[port].astype(np.int64)
        narrow = np.clip(value, low, high) if saturated else value.astype(dtype)
        made[port] = narrow.astype(made[port].dtype)
    return made
