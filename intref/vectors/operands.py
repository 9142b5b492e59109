"""Operands solved from the result that they are to give, and the call of rescale that takes them."""

from typing import Any

import numpy as np

from intref.vectors.case import Case

M31 = (1 << 31) - 1
ODD = (-7, -5, -3, -1, 1, 3, 5, 7)


def rescale_case(
    why: str,
    flags: str,
    x: Any,
    multiplier: Any,
    shift: Any,
    rounding: str = "half_even",
    dtype: str = "int32",
    output: str = "int8",
    zero: tuple[int, int] = (0, 0),
    **attrs: int,
) -> Case:
    tensors = {
        "x": np.array(x, dtype),
        "multiplier": np.array(multiplier, np.int32).reshape(-1),
        "shift": np.array(shift, np.int8).reshape(-1),
    }
    zeros = {"input_zero_point": zero[0], "output_zero_point": zero[1]}
    return Case(why, tensors, {"rounding": rounding, **zeros, "output": output, **attrs}, (*flags.split(),))


def ties(multiplier: int, shift: int) -> list[int]:
    """x with x * multiplier / 2**shift an exact tie, both signs and parities, and the neighbours of each."""
    step = (1 << shift - 1) // (multiplier & -multiplier)  # odd multiples of step leave half a unit
    return [k * step + d for k in ODD for d in (-1, 0, 1)]


def clips(multiplier: int, shift: int, zero: tuple[int, int], low: int, high: int) -> list[int]:
    """x whose result lands on, or one off, each clip."""
    goals = [end + d - zero[1] for end in (low, high) for d in (-1, 0, 1)]
    return [(goal << shift) // multiplier + zero[0] + d for goal in goals for d in (0, 1)]


def fp32(significand: int, exponent: int, sign: int = 0) -> int:
    """The int32 bit pattern of (-1)**sign * significand * 2**exponent, 2**23 <= significand < 2**24."""
    return (exponent + 150 << 23) + significand - (1 << 23) - (sign << 31)
