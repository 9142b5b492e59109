"""The exact values that an op rounds, before any rule: fractions of Python integers."""

# The vocabulary of op bodies is not typed.
# mypy: allow-untyped-calls

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from intref.errors import IntrefError
from intref.faults.bodies import Rounding, observed
from intref.intmath import split_fp32
from intref.ops.op import Op

Arrays = Mapping[str, np.ndarray]
Exact = tuple[np.ndarray, np.ndarray]  # numerators and denominators, Python integers
DIGITS = 6


def listened(op: Op, inputs: Arrays, attrs: dict[str, Any]) -> tuple[list[Rounding], list[Any]]:
    """Every rounding of a call and every value before it was clipped; none where the call breaks a proof."""
    try:
        return observed(op, inputs, attrs)
    except IntrefError:  # inputs that a device made may lie outside of what the op is proved for
        return [], []


def exact_values(
    op: Op, inputs: Arrays, attrs: dict[str, Any], where: np.ndarray, roundings: list[Rounding] | None = None
) -> list[Exact]:
    """The values that were rounded last, of the first output's elements in `where` (bool of its shape).

    One value, or two for a sum of two rounded terms; none where the op rounds no value of its own for each output.
    """
    steps = listened(op, inputs, attrs)[0] if roundings is None else roundings
    if op.name == "rescale":
        steps = [_rescale_value(inputs, attrs)]
    last = steps if op.name == "add" else steps[-1:]
    found = ((step, *_gathered(step, where)) for step in last)
    return [_fraction(step, parts) for step, *parts in found if parts[0] is not None]


def _rescale_value(inputs: Arrays, attrs: dict[str, Any]) -> Rounding:
    """The value that rescale rounds, whatever its rule makes of it on the way."""
    ndim, axis = inputs["x"].ndim, attrs["axis"]
    m, s = (inputs[k].astype(np.int64) for k in ("multiplier", "shift"))
    if attrs["rounding"] == "fp32_half_even":
        sign, significand, exponent = split_fp32(m)
        m, s = sign * significand, -exponent
    laid = [1] * ndim
    laid[axis] = -1
    centered = inputs["x"].astype(np.int64) - attrs["input_zero_point"]
    return Rounding((centered, m.reshape(laid)), s.reshape(laid), True, attrs["rounding"])


def _gathered(step: Rounding, where: np.ndarray) -> list[Any]:
    """Each part of a rounding at some outputs, as Python integers; [None] if its shape is not the output's."""
    parts: Sequence[np.ndarray] = np.broadcast_arrays(*step.numerator, step.denominator)
    if parts[0].size != where.size:
        try:
            parts = [np.broadcast_to(part, where.shape) for part in parts]
        except ValueError:
            return [None]
    return [part.reshape(where.shape)[where].astype(object) for part in parts]


def _fraction(step: Rounding, parts: list[Any]) -> Exact:
    numerator, denominator = parts[0], parts[-1]
    for factor in parts[1:-1]:
        numerator = numerator * factor
    if step.shifted:
        numerator, denominator = numerator << np.maximum(-denominator, 0), 1 << np.maximum(denominator, 0)
    return numerator, denominator


def decimal(num: int, den: int) -> str:
    """num / den, exact when it has few digits; else cut, with dots, after enough to be told from a tie."""
    sign, (whole, rest) = "-" if num < 0 else "", divmod(abs(num), den)
    digits = DIGITS
    while (rest * 10**digits) % den and (rest * 10**digits // den) in (0, 5 * 10 ** (digits - 1)) and digits < 40:
        digits += DIGITS
    exact = not (rest * 10**digits) % den
    return f"{sign}{whole}.{rest * 10**digits // den:0{digits}d}{'' if exact else '..'}"


def are_ties(value: Exact) -> np.ndarray:
    """bool: which values lie in the middle between two integers."""
    num, den = value
    return np.asarray(2 * (num % den) == den, bool)
