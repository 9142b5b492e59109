"""Slips of a device that no rounding explains: a narrow accumulator, an operand misread, a channel too early."""

# The vocabulary of op bodies is not typed.
# mypy: allow-untyped-calls

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from intref.faults.bodies import Arrays, run_body, vocabulary
from intref.intmath import absolute, bitlen, maximum
from intref.ops.op import Op, dtype_range

Lazy = tuple[str, Callable[[], Arrays]]
Tensors = Mapping[str, np.ndarray]
Attrs = dict[str, Any]
OTHER_SIGN = {"int8": "uint8", "uint8": "int8"}
MULTIPLIER_BITS = 16
TABLES = ("table", "entries")


def slips(op: Op, tensors: Tensors, attrs: Attrs) -> Iterator[Lazy]:
    """(what was done instead, a function that makes the outputs), for everything that applies to the call."""
    product = _kept_product(op, tensors)
    for words, changed, swaps in (
        *_scales(tensors, attrs),
        *_channels(tensors, product),
        *_twice(tensors, product),
        *_accumulators(tensors, product),
        *_operands(op, tensors),
    ):
        yield words, partial(_changed, op, tensors, attrs, changed, swaps)
    yield from _narrow_outputs(op, tensors, attrs, product)


Slip = tuple[str, dict[str, Any], dict[str, Any]]  # words, changed tensors and attributes, changed vocabulary


def _changed(op: Op, tensors: Tensors, attrs: Attrs, changed: dict[str, Any], swaps: dict[str, Any]) -> Arrays:
    ports = {k: v for k, v in changed.items() if k in tensors}
    given = {**attrs, **{k: v for k, v in changed.items() if k not in tensors}}
    return run_body(op, tensors, given, {"within": lambda x, low, high: x, **swaps}, ports)


def _kept_product(op: Op, tensors: Tensors) -> dict[str, Any]:
    """For a body that multiplies matrices: the product computed once, on the first use, in the product's place."""
    kept: list[np.ndarray] = []

    def product(a: Any, b: Any) -> Any:
        if not kept:
            kept.append(np.matmul(a, b))
        return kept[0]

    return {"product": product} if "product" in vocabulary(op) else {}


def _scales(tensors: Tensors, attrs: Attrs) -> Iterator[Slip]:
    for name, value in {**{k: t.astype(np.int64) for k, t in tensors.items()}, **attrs}.items():
        if "shift" in name:
            for words, step in (("+ 1", 1), ("- 1", -1)):
                yield f"{name} {words}", {name: value + step}, {}
        elif "multiplier" in name and name in tensors and attrs.get("rounding") != "fp32_half_even":
            drop = maximum(bitlen(absolute(value)) - MULTIPLIER_BITS, 0)
            if (drop > 0).any():
                yield f"{name} cut to {MULTIPLIER_BITS} bits", {name: value >> drop << drop}, {}
                nearest = (value + (1 << drop >> 1)) >> drop << drop
                yield f"{name} rounded to {MULTIPLIER_BITS} bits", {name: nearest}, {}
            yield f"{name} + 1", {name: value + 1}, {}
            yield f"{name} - 1", {name: value - 1}, {}


def _channels(tensors: Tensors, product: dict[str, Any]) -> Iterator[Slip]:
    """Constants of a channel taken from its neighbour: each, and all together. Tables have entries, not channels."""
    sizes = {size for t in tensors.values() if t.ndim > 1 for size in t.shape}
    ports = [p for p, t in tensors.items() if t.ndim == 1 and len(t) > 1 and len(t) in sizes and p not in TABLES]
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


def _accumulators(tensors: Tensors, product: dict[str, Any]) -> Iterator[Slip]:
    """The sum of products, or the accumulator that a rescale is given, in fewer bits."""
    narrowed: tuple[tuple[str, Callable[..., Any], int], ...] = (
        ("saturated to 16 bits", _saturated, 16),
        ("wrapped to 16 bits", _wrapped, 16),
        ("wrapped to 24 bits", _wrapped, 24),
    )
    for words, narrow, bits in narrowed:
        if product:
            made = {"product": lambda a, b, narrow=narrow, bits=bits: narrow(product["product"](a, b), bits)}
            yield f"accumulator {words}", {}, made
        elif "x" in tensors and tensors["x"].dtype == np.int32 and "multiplier" in tensors:
            yield f"accumulator {words}", {"x": narrow(tensors["x"].astype(np.int64), bits)}, {}


def _saturated(x: Any, bits: int) -> Any:
    return np.clip(x, -(1 << bits - 1), (1 << bits - 1) - 1)


def _wrapped(x: Any, bits: int) -> Any:
    return ((x & (1 << bits) - 1) ^ (1 << bits - 1)) - (1 << bits - 1)


def _operands(op: Op, tensors: Tensors) -> Iterator[Slip]:
    for port, t in tensors.items():
        if t.ndim > 1 and t.dtype.name in OTHER_SIGN and port != "mask":
            other = OTHER_SIGN[t.dtype.name]
            yield f"{port} read as {other}", {port: t.view(other).astype(np.int64)}, {}
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
