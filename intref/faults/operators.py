"""The operators of a body as a device gets them wrong, one use at a time: widths, signs, shift amounts, quotients."""

# The vocabulary of op bodies is not typed.
# mypy: allow-untyped-calls

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from intref import intmath
from intref.faults.bodies import Arrays, run_changed, size, vocabulary, watched
from intref.faults.proofs import Wrong, fits, operand
from intref.faults.widths import saturated, wrapped
from intref.ops.op import Op

Lazy = tuple[str, Callable[[], Arrays]]
Operands = tuple[Any, ...]
LARGEST = 1 << 20  # elements of a call; every fault here is one more run of its body
WORD = 32


def faults(op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any]) -> Iterator[Lazy]:
    """(what was done instead, a function that makes the outputs), for every use of every operator in WRONG."""
    if "product" in vocabulary(op) or size(tensors) > LARGEST:
        return  # no operator of a product of matrices is wide, and one more of them takes long
    counts: Counter[Any] = Counter()

    def counted(ufunc: Any, operands: Operands, made: Any) -> Any:
        counts[ufunc] += 1
        return made

    run_changed(op, tensors, attrs, {}, {}, watched(counted))
    for ufunc, (name, wrong) in WRONG.items():
        for i in range(counts[ufunc]):
            place = f" {i + 1} of {counts[ufunc]}" if counts[ufunc] > 1 else ""
            for one in wrong:
                yield f"{name}{place}: {one.words}", partial(_run, op, tensors, attrs, ufunc, i, one.change)


def _run(
    op: Op,
    tensors: Mapping[str, np.ndarray],
    attrs: dict[str, Any],
    wanted: Any,
    place: int,
    changed: Callable[[Operands, Any], Any],
) -> Arrays:
    uses = iter(range(1 << 30))

    def answer(ufunc: Any, operands: Operands, made: Any) -> Any:
        return changed(operands, made) if ufunc is wanted and next(uses) == place else made

    return run_changed(op, tensors, attrs, {}, {}, watched(answer))


def _logical(operands: Operands, made: Any) -> Any:
    return (operands[0] & (1 << WORD) - 1) >> operands[1]


def _by_reciprocal(operands: Operands, made: Any) -> Any:
    """n * floor(2**32 / d) / 2**32, one too low where the quotient is exact or nearly so."""
    n, d = (np.asarray(x, np.int64) for x in operands)
    fits = (d > 1) & (d < 1 << WORD)
    return np.where(fits, intmath.mul_shift(n, (1 << WORD) // np.where(fits, d, 2), WORD, "floor"), made)


_FITS = fits(WORD)
_NARROW = (
    Wrong(f"wrapped to {WORD} bits", lambda operands, made: wrapped(made, WORD), _FITS),
    Wrong(f"saturated to {WORD} bits", lambda operands, made: saturated(made, WORD), _FITS),
)


def _shifted(shift: Callable[[Any, Any], Any], amount: Callable[[Any], Any]) -> Callable[[Operands, Any], Any]:
    return lambda operands, made: shift(operands[0], amount(np.asarray(operands[1])))


def _amounts(shift: Callable[[Any, Any], Any]) -> tuple[Wrong, ...]:
    short = operand(1, 0, 31)
    return (
        Wrong("by at most 31", _shifted(shift, lambda amount: np.minimum(amount, 31)), short),
        Wrong("by the low 5 bits of the amount", _shifted(shift, lambda amount: amount & 31), short),
        Wrong("by one more", _shifted(shift, lambda amount: amount + 1)),
        Wrong("by one less", _shifted(shift, lambda amount: np.maximum(amount - 1, 0))),
    )


WRONG: dict[Any, tuple[str, tuple[Wrong, ...]]] = {
    np.multiply: ("product", _NARROW),
    np.add: ("addition", _NARROW),
    np.subtract: ("difference", _NARROW),
    np.square: ("square", _NARROW),
    np.left_shift: ("left shift", (*_NARROW, *_amounts(np.left_shift))),
    np.right_shift: (
        "right shift",
        (
            Wrong(f"logical, of {WORD} bits", _logical, operand(0, 0, (1 << WORD) - 1)),
            Wrong("rounded up", lambda operands, made: -(-operands[0] >> operands[1])),
            *_amounts(np.right_shift),
        ),
    ),
    np.floor_divide: (
        "quotient",
        (
            Wrong("one too high", lambda operands, made: made + 1),
            Wrong("one too low", lambda operands, made: made - 1),
            Wrong("rounded up", lambda operands, made: -(-operands[0] // operands[1])),
            Wrong(f"by a reciprocal of {WORD} bits", _by_reciprocal),
            Wrong("saturated to 16 bits", lambda operands, made: saturated(made, 16), fits(16)),
        ),
    ),
}
