"""Integers in real units, for people. Nothing that is computed here is ever read by a model."""

from typing import Any

import numpy as np


def dequantized(values: np.ndarray[Any, Any], mantissa: int, exponent: int) -> np.ndarray[Any, Any]:
    """values * mantissa * 2**exponent: float64."""
    return values.astype(np.float64) * np.ldexp(float(mantissa), exponent)
