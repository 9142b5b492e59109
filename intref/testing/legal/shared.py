"""What the functions of every family share: their types, and values that fit a clip or a constraint."""

from collections.abc import Callable, Container
from typing import Any

import numpy as np
from hypothesis import strategies as st

from intref.ops import OPS
from intref.ops.op import dtype_range
from intref.testing.integers import Draw, filled

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


def along_axis(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed, *names: str) -> None:
    """An axis of x, and the named int32 tensors of length 1 or its size."""
    if not tensors["x"].ndim:
        tensors["x"] = tensors["x"].reshape(1)
    shape = tensors["x"].shape
    if "axis" not in fixed:
        attrs["axis"] = draw(st.integers(-len(shape), len(shape) - 1))
    known = -len(shape) <= attrs["axis"] < len(shape)
    lengths = st.sampled_from([1, shape[attrs["axis"]] if known else 1])
    for name in names:
        tensors[name] = filled(draw, (draw(lengths),), *dtype_range("int32"), "int32")


def narrowed(op: str, tensors: Tensors, attrs: Attrs) -> None:
    """x halved until the op's constraints hold."""
    holds = [test for _, test in OPS[op].constraints.values()]
    for _ in range(32):
        if all(test(tensors, attrs) for test in holds):
            break
        tensors["x"] >>= 1
