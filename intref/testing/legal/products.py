"""Products and sums: a register that output has, and sums that it holds."""

import numpy as np
from hypothesis import strategies as st

from intref.ops import OPS
from intref.ops.op import dtype_range
from intref.testing.integers import Draw, filled
from intref.testing.legal.shared import Attrs, Fit, Fixed, Tensors

GROUP_SIZES = (2, 4, 32, 128, 1 << 20)


def _register(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    """A width that output has, blocks where they saturate, a bias that fits; half of the calls are plain."""
    if draw(st.booleans()):
        defaults = OPS["matmul" if "a" in tensors else "linear"].complete({})
        attrs.update({name: value for name, value in defaults.items() if name not in fixed})
    if "output" not in fixed and attrs["accumulator"] > 32:
        attrs["output"] = "int64"
    if "accumulator" not in fixed and attrs["output"] == "int32":
        attrs["accumulator"] = min(attrs["accumulator"], 32)
    if "every" not in fixed:
        attrs["every"] = draw(st.integers(0, 40)) if attrs["overflow"] == "saturate" else 0
    if "bias" in tensors:
        tensors["bias"] >>= max(32 - attrs["accumulator"], 0)


def _linear_int4(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    n, k = len(tensors["weight"]), tensors["x"].shape[-1]
    if "group_size" not in fixed:
        attrs["group_size"] = draw(
            st.one_of(st.integers(1, 40).map(lambda half: 2 * half), st.sampled_from(GROUP_SIZES))
        )
    tensors["weight"] = filled(draw, (n, -(-k // 2)), 0, 255, "uint8")
    if k % 2:
        tensors["weight"][:, -1] &= 15
    tensors["scale"] = filled(draw, (n, -(-k // attrs["group_size"])), *dtype_range("int16"), "int16")


def _halved(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    """No sum, and no product, of what is left leaves int32."""
    for name in tensors:
        tensors[name] >>= 16 if tensors[name].dtype == np.int32 else 0


FIT: dict[str, Fit] = {
    "elementwise": _halved,
    "linear": _register,
    "linear_int4": _linear_int4,
    "matmul": _register,
    "sum_rows": _halved,
}
MADE: dict[str, set[str]] = {"linear_int4": {"weight", "scale"}}
