"""Accumulators too narrow: at the end, at every step in k order, after every block, or in pairs of products."""

# The vocabulary of op bodies is not typed.
# mypy: allow-untyped-calls

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from intref.faults.bodies import Arrays, run_changed, size, vocabulary
from intref.ops.op import Op

Lazy = tuple[str, Callable[[], Arrays]]
Narrow = Callable[[Any, int], Any]
BITS = range(16, 33)  # widths at the end of the sum
STEP_BITS = (16, 24, 32)
BLOCKS = (4, 8, 16, 32)
LARGEST = 1 << 22  # products of an accumulation in steps
MAX_STEPS = 1 << 14


def saturated(x: Any, bits: int) -> Any:
    """x held in a register that saturates."""
    return np.clip(x, -(1 << bits - 1), (1 << bits - 1) - 1)


def wrapped(x: Any, bits: int) -> Any:
    """The low bits of x, as two's complement."""
    return ((x & (1 << bits) - 1) ^ (1 << bits - 1)) - (1 << bits - 1)


HOW: tuple[tuple[str, Narrow], ...] = (("saturated", saturated), ("wrapped", wrapped))


def faults(op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any]) -> Iterator[Lazy]:
    """(what was done instead, a function that makes the outputs). Widths that the call does not exceed are left out."""
    if "product" in vocabulary(op):
        yield from _products(op, tensors, attrs)
    elif "x" in tensors and tensors["x"].dtype == np.int32 and "multiplier" in tensors:
        x = tensors["x"].astype(np.int64)
        for words, narrow, bits in _narrowed(x):
            yield f"accumulator {words}", partial(_given, op, tensors, attrs, x, narrow, bits)


def _given(
    op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any], x: Any, narrow: Narrow, bits: int
) -> Arrays:
    return run_changed(op, tensors, attrs, {"x": narrow(x, bits)}, {})


def _narrowed(x: Any) -> Iterator[tuple[str, Narrow, int]]:
    for bits in BITS:
        if not np.array_equal(x, saturated(x, bits)):
            for how, narrow in HOW:
                yield f"{how} to {bits} bits", narrow, bits


def _products(op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any]) -> Iterator[Lazy]:
    """The product is computed once; what is narrowed is that, with the bias beside it or in it."""
    operands: list[Any] = []

    def keep(a: Any, b: Any) -> Any:
        operands[:] = [a, b, np.matmul(a, b)]
        return operands[2]

    golden = run_changed(op, tensors, attrs, {}, {"product": keep})
    if not operands:
        return  # the sum is made by another word: its faults are that word's
    a, b, whole = operands

    def lazily(made: Callable[[], Any]) -> Callable[[], Arrays]:
        return lambda: run_changed(op, tensors, attrs, {}, {"product": lambda *_: made()})

    for words, narrow, bits in _narrowed(whole):
        yield f"accumulator {words}", lazily(partial(narrow, whole, bits))
    if "bias" in tensors:
        for words, narrow, bits in _narrowed(golden["y"].astype(np.int64)):
            yield f"accumulator {words}, the bias in it", partial(_result, golden, narrow, bits)
    if whole.size * a.shape[-1] <= LARGEST and size(tensors) <= LARGEST and a.shape[-1] <= MAX_STEPS:
        for words, made in _in_steps(a, b):
            yield words, lazily(made)
        if "bias" in tensors and "every" in attrs:  # an accumulator that may saturate on its way begins with the bias
            for words, made in _saturating(a, b, tensors["bias"].astype(np.int64)):
                yield f"{words}, from the bias on", partial(_as, golden, made)


def _result(golden: Arrays, narrow: Narrow, bits: int) -> Arrays:
    return {port: narrow(y.astype(np.int64), bits).astype(y.dtype) for port, y in golden.items()}


def _as(golden: Arrays, made: Callable[[], Any]) -> Arrays:
    return {port: made().astype(y.dtype) for port, y in golden.items()}


def _saturating(a: Any, b: Any, start: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    for bits in STEP_BITS:
        yield f"accumulator saturated to {bits} bits at every step", partial(_stepwise, a, b, 1, saturated, bits, start)
        for block in BLOCKS:
            words = f"accumulator saturated to {bits} bits after every {block} terms"
            yield words, partial(_stepwise, a, b, block, saturated, bits, start)


def _in_steps(a: Any, b: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    yield from _saturating(a, b, 0)
    for words, terms in (("pairs", 2), ("fours", 4)):
        yield f"{words} of products saturated to 16 bits", partial(_grouped, a, b, terms, saturated)
        yield f"{words} of products wrapped to 16 bits", partial(_grouped, a, b, terms, wrapped)
    for how, narrow in HOW:
        yield f"every product {how} to 16 bits", partial(_grouped, a, b, 1, narrow)


def _parts(a: Any, b: Any, block: int) -> Iterator[Any]:
    for start in range(0, a.shape[-1], block):
        yield np.matmul(a[..., start : start + block], b[..., start : start + block, :])


def _stepwise(a: Any, b: Any, block: int, narrow: Narrow, bits: int, start: Any) -> Any:
    total = start
    for part in _parts(a, b, block):
        total = narrow(total + part, bits)
    return total


def _grouped(a: Any, b: Any, terms: int, narrow: Narrow) -> Any:
    return sum(narrow(part, 16) for part in _parts(a, b, terms))
