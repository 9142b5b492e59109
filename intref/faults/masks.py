"""Masks that are one off, turned round, of another row, or that stop one stage too early."""

# The vocabulary of op bodies is not typed.
# mypy: allow-untyped-calls

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from intref import intmath
from intref.faults.bodies import Arrays, run_changed, size, vocabulary
from intref.ops.op import Op

Lazy = tuple[str, Callable[[], Arrays]]
LARGEST = 1 << 22  # elements of a call


def faults(op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any]) -> Iterator[Lazy]:
    """(what was done instead, a function that makes the outputs), for every op with a mask."""
    if "mask" not in tensors or size(tensors) > LARGEST:
        return
    mask = tensors["mask"].astype(np.int64)
    for words, changed in _masks(mask):
        yield f"mask {words}", partial(run_changed, op, tensors, attrs, {"mask": changed}, {})
    if {"where", "sum_along"} <= vocabulary(op):
        yield "masked elements counted in the sum", partial(_counted, op, tensors, attrs, mask)
    if {"where", "max_along"} <= vocabulary(op) and "x" in tensors and op.inputs["x"].axes.endswith(" K"):
        yield "masked elements counted in the maximum", partial(_maximum, op, tensors, attrs)
        yield "masked elements count as 0 in the maximum", partial(_zeros, op, tensors, attrs)


def _masks(mask: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    yield "ignored", np.ones_like(mask)
    yield "turned round", 1 - mask
    count = mask.sum(axis=-1, keepdims=True)
    place = np.arange(mask.shape[-1])
    yield "one element late", np.roll(mask, 1, -1)
    yield "one element early", np.roll(mask, -1, -1)
    yield "one element longer", np.maximum(mask, np.concatenate([mask[..., :1], mask[..., :-1]], -1))
    yield "one element shorter", np.minimum(mask, np.concatenate([mask[..., 1:], 0 * mask[..., :1]], -1))
    yield "taken for a length", (place < count).astype(np.int64)
    yield "of the first row for all rows", np.broadcast_to(mask[:1], mask.shape)
    if mask.ndim > 1:
        yield "of the row before", np.roll(mask, 1, 0)
    if mask.ndim > 2:
        yield "of the query before", np.roll(mask, 1, -2)
        yield "of the first query for all queries", np.broadcast_to(mask[:, :1], mask.shape)


def _counted(op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any], mask: np.ndarray) -> Arrays:
    """Masked elements stay in the sum, though not in the maximum; their own output is 0 as it must be."""
    masked: list[Any] = []

    def where(chosen: Any, a: Any, b: Any) -> Any:
        masked.append(intmath.where(chosen, a, b))
        return np.broadcast_arrays(chosen, a)[1]

    def max_along(x: Any, axis: int) -> Any:
        return intmath.max_along(masked[-1] if masked else x, axis)

    made = run_changed(op, tensors, attrs, {}, {"where": where, "max_along": max_along})
    for port, y in made.items():
        if op.outputs[port].axes.endswith(" K"):
            seen = mask[:, None, None] if mask.ndim == 2 else mask[:, None]
            made[port] = np.where(seen, y, 0).astype(y.dtype)
    return made


def _maximum(op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any]) -> Arrays:
    """The maximum over all keys, attended or not."""
    whole = tensors["x"].astype(np.int64)
    return run_changed(op, tensors, attrs, {}, {"max_along": lambda x, axis: intmath.max_along(whole, axis)})


def _zeros(op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any]) -> Arrays:
    """Masked keys enter the maximum as 0, the value of an empty register."""
    fills = iter(range(1 << 30))

    def where(chosen: Any, a: Any, b: Any) -> Any:
        return intmath.where(chosen, a, 0 if next(fills) == 0 else b)

    return run_changed(op, tensors, attrs, {}, {"where": where})
