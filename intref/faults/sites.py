"""Constants of a site in the wrong place: a zero point after the clip, a bias after the rescale, one scale for all."""

# The vocabulary of op bodies is not typed.
# mypy: allow-untyped-calls

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from intref import intmath
from intref.faults.bodies import ROUNDINGS, Arrays, kept_product, run_changed, size, vocabulary
from intref.faults.widths import wrapped
from intref.ops.op import Op

Lazy = tuple[str, Callable[[], Arrays]]
Change = tuple[str, dict[str, Any], dict[str, Any]]  # words, changed tensors and attributes, changed vocabulary
Tensors = Mapping[str, np.ndarray]
LARGEST = 1 << 22  # elements of a call
OTHER_SIGN = {"int8": "uint8", "uint8": "int8", "int16": "uint16", "int32": "uint32"}
TABLES = ("table", "entries")
WIDTHS = (8, 16, 24, 32)


def faults(op: Op, tensors: Tensors, attrs: dict[str, Any]) -> Iterator[Lazy]:
    """(what was done instead, a function that makes the outputs), for constants, operands and variances."""
    if size(tensors) > LARGEST:
        return
    product = kept_product(op)
    for words, changed, swaps in (
        *_signs(op, tensors),
        *_narrow(op, tensors),
        *_one_for_all(op, tensors),
        *_zero_points(attrs),
        *_uncentred(op, tensors),
    ):
        same = {} if changed.keys() - {"bias"} else product  # the operands of a product of matrices are as they were
        yield words, partial(run_changed, op, tensors, attrs, changed, {**same, **swaps})
    yield from _late(op, tensors, attrs)
    if "square" in vocabulary(op) and op.reduces == ("D",):
        for words, value in (("0", 0), ("the largest value", None)):
            yield f"{words} for a row of equal elements", partial(_flat_rows, op, tensors, attrs, value)


def _signs(op: Op, tensors: Tensors) -> Iterator[Change]:
    for port, t in tensors.items():
        if t.dtype.name in OTHER_SIGN and port != "mask" and op.inputs[port].range(t.dtype.name)[0] < 0:
            other = OTHER_SIGN[t.dtype.name]
            yield f"{port} read as {other}", {port: t.view(other).astype(np.int64)}, {}
        elif t.dtype == np.uint8:
            yield f"{port} read as int8", {port: t.view(np.int8).astype(np.int64)}, {}


def _narrow(op: Op, tensors: Tensors) -> Iterator[Change]:
    """Operands of which only the low bits arrive."""
    for port, t in tensors.items():
        low, high = op.inputs[port].range(t.dtype.name)
        for bits in WIDTHS:
            if 1 << bits - 1 <= max(-1 - low, high) and not (port == "multiplier" and bits == 32):
                narrow = wrapped(t.astype(np.int64), bits)
                if not np.array_equal(narrow, t):
                    yield f"{port} of {bits} bits", {port: narrow}, {}


def _one_for_all(op: Op, tensors: Tensors) -> Iterator[Change]:
    """Constants of a channel (a head, a token) of which the first is used for all, or the order is turned round."""
    dimensions = 1 if "product" in vocabulary(op) else 2  # a matrix of weights is no constant
    for port, t in tensors.items():
        if port in (*TABLES, "mask", "ids") or t.size < 2 or t.shape == next(iter(tensors.values())).shape:
            continue
        constant = t.astype(np.int64)
        for axis in range(t.ndim):
            if t.shape[axis] > 1 and t.ndim <= dimensions:
                name = f" along axis {axis}" if t.ndim > 1 else ""
                first, last = (np.repeat(constant.take([i], axis), t.shape[axis], axis) for i in (0, -1))
                yield f"the first {port} for all{name}", {port: first}, {}
                yield f"the last {port} for all{name}", {port: last}, {}
                yield f"{port} in reverse{name}", {port: np.flip(constant, axis)}, {}


def _zero_points(attrs: dict[str, Any]) -> Iterator[Change]:
    for name, value in attrs.items():
        if name.endswith("_zero_point") and value:
            yield f"{name} with the other sign", {name: -value}, {}
    if zero := attrs.get("output_zero_point"):
        after = {"saturate": lambda x, low, high: intmath.saturate(x, low, high) + zero}
        yield "output_zero_point added after the clip", {"output_zero_point": 0}, after
        held = {"saturate": lambda x, low, high: intmath.saturate(intmath.saturate(x, low, high) + zero, low, high)}
        yield "clipped before output_zero_point is added, and again", {"output_zero_point": 0}, held


def _uncentred(op: Op, tensors: Tensors) -> Iterator[Change]:
    if {"square", "sum_along"} <= vocabulary(op) and "bias" in tensors and op.reduces == ("D",):
        x = tensors["x"].astype(np.int64)
        yield "squares of x, not of its distance from the mean", {}, {"square": lambda c: np.square(x)}
        yield "mean not subtracted", {}, {"sum_along": _all_but_the_first(intmath.sum_along)}


def _all_but_the_first(reduced: Callable[..., Any]) -> Callable[..., Any]:
    """0 the first time, and every other time of a second run: a body uses the word twice."""
    uses = iter(range(1 << 30))
    return lambda x, axis: reduced(x, axis) * (next(uses) % 2)


def _late(op: Op, tensors: Tensors, attrs: dict[str, Any]) -> Iterator[Lazy]:
    """A bias with fraction bits that is rounded by itself, after the rescale."""
    if "bias" in tensors and "saturate" in vocabulary(op) and {*ROUNDINGS} & vocabulary(op):
        for rule in ("half_up", "floor"):
            yield f"bias added after the rescale, rounded by {rule}", partial(_bias_apart, op, tensors, attrs, rule)


def _bias_apart(op: Op, tensors: Tensors, attrs: dict[str, Any], rule: str) -> Arrays:
    bias, shifts = tensors["bias"].astype(np.int64), [0]

    def listened(x: Any, shift: Any) -> Any:
        shifts.append(shift)
        return intmath.shift_half_up(x, shift)

    def clip(x: Any, low: Any, high: Any) -> Any:
        return intmath.saturate(x + intmath.mul_shift(bias, 1, shifts[-1], rule), low, high)

    return run_changed(op, tensors, attrs, {"bias": 0 * bias}, {"shift_half_up": listened, "saturate": clip})


def _flat_rows(op: Op, tensors: Tensors, attrs: dict[str, Any], value: int | None) -> Arrays:
    made = run_changed(op, tensors, attrs, {}, {})
    x = tensors["x"]
    flat = (x == x[..., :1]).all(axis=-1, keepdims=True)
    for port, y in made.items():
        made[port] = np.where(flat, attrs.get("high", np.iinfo(y.dtype).max) if value is None else value, y)
        made[port] = made[port].astype(y.dtype)
    return made
