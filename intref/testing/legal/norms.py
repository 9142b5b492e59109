"""Norms and quotients: rows whose squares have room."""

from hypothesis import strategies as st

from intref.ops.op import dtype_range
from intref.testing.integers import Draw
from intref.testing.legal.shared import Attrs, Fit, Fixed, Tensors, clip, narrowed


def _layernorm_fixed(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    clip(draw, attrs, fixed, *dtype_range("int32"))


def _layernorm_ibert(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    tensors["x"] >>= 1 if tensors["x"].shape[-1] <= 256 else 3


def _layernorm_ivit(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    tensors["x"] >>= draw(st.integers(2, 24)) if attrs["form"] == "torch" else draw(st.integers(9, 24))


def _byte_offset(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    """x and its offset in [-128, 255]."""
    low, high = -128 - int(tensors["x"].min()), 255 - int(tensors["x"].max())
    if "input_offset" not in fixed:
        attrs["input_offset"] = min(max(attrs["input_offset"], low), high)


def _layernorm_gemmini(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    narrowed("layernorm_gemmini", tensors, attrs)


def _divide_deeploy(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    for name, other in (("delta", "eta"), ("eta", "delta")):
        if name not in fixed:
            attrs[name] = min(attrs[name], ((1 << 32) - 1) // attrs[other])


FIT: dict[str, Fit] = {
    "divide_deeploy": _divide_deeploy,
    "layernorm_deeploy": _byte_offset,
    "layernorm_fixed": _layernorm_fixed,
    "layernorm_gemmini": _layernorm_gemmini,
    "layernorm_ibert": _layernorm_ibert,
    "layernorm_ivit": _layernorm_ivit,
    "rmsnorm_deeploy": _byte_offset,
}
MADE: dict[str, set[str]] = {}
