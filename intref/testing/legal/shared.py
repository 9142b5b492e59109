"""What the functions of every family share: their types, and values that fit a clip or a constraint."""

from collections.abc import Callable, Container
from typing import Any

import numpy as np
from hypothesis import strategies as st

from intref.ops import OPS
from intref.testing.integers import Draw

Tensors = dict[str, np.ndarray]
Attrs = dict[str, Any]
Fixed = Container[str]
Fit = Callable[[Draw, Tensors, Attrs, Fixed], None]
LARGEST = (1 << 31) - 1


def clip(draw: Draw, attrs: Attrs, fixed: Fixed, low: int, high: int) -> None:
    """low and high inside [low, high], in order."""
    first, last = (attrs[k] if k in fixed else default for k, default in (("low", low), ("high", high)))
    if "low" not in fixed:
        attrs["low"] = draw(st.integers(low, last))
    if "high" not in fixed:
        attrs["high"] = draw(st.integers(attrs["low"] if "low" not in fixed else first, high))


def narrowed(op: str, tensors: Tensors, attrs: Attrs) -> None:
    """x halved until the op's constraints hold."""
    holds = [test for _, test in OPS[op].constraints.values()]
    for _ in range(32):
        if all(test(tensors, attrs) for test in holds):
            break
        tensors["x"] >>= 1
