"""Legal bit patterns of float32s: for the ops of ops/onnx.py."""

import numpy as np
from hypothesis import strategies as st

from intref.ops.onnx import LEAST_PEAK, MAGNITUDE
from intref.ops.op import dtype_range
from intref.testing.integers import Draw, filled
from intref.testing.legal.shared import Attrs, Fit, Fixed, Tensors, along_axis


def _below(pattern: np.ndarray, exponent: int) -> np.ndarray:
    """The patterns, those with this biased exponent or a higher one with the next lower."""
    return pattern - (np.maximum((pattern >> 23 & 255) - (exponent - 1), 0) << 23)


def _dequantize(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    along_axis(draw, tensors, attrs, fixed, "scale", "zero_point")
    tensors["scale"] = _below(tensors["scale"], 255)


def _quantize(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    _dequantize(draw, tensors, attrs, fixed)
    tensors["x"] = _below(tensors["x"], 255)
    tensors["scale"] = np.where(tensors["scale"] & MAGNITUDE, tensors["scale"], 1).astype(np.int32)


def _add(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    tensors["a"], tensors["b"] = _below(tensors["a"], 255), _below(tensors["b"], 255)


def _rows(exponent: int) -> Fit:
    """Rows below 2**(exponent - 127), 0 where they have no peak of a normal scale."""

    def fit(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
        x = _below(tensors["x"], exponent)
        peak = (x & MAGNITUDE).max(axis=-1, keepdims=True)
        tensors["x"] = np.where(peak >= LEAST_PEAK, x, 0).astype(np.int32)

    return fit


def _epilogue(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    tensors["channel"], tensors["bias"] = _below(tensors["channel"], 159), _below(tensors["bias"], 254)


def _qlinear_softmax(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    """output as x has it, a zero point that it holds, entries that may be summed."""
    if "output" not in fixed:
        attrs["output"] = str(tensors["x"].dtype)
    tensors["x"] = tensors["x"].astype(attrs["output"])
    low, high = dtype_range(attrs["output"])
    if "zero_point" not in fixed:
        attrs["zero_point"] = draw(st.integers(low, high))
    most = (254 - (tensors["x"].shape[-1] - 1).bit_length() << 23) - 1
    tensors["table"] = filled(draw, (256,), 0, min(most, 253 << 23), "int32")


def _qlinear_add(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    """One dtype of both and of the output, zero points that it holds."""
    if "output" not in fixed:
        attrs["output"] = str(tensors["a"].dtype)
    for name in ("a", "b"):
        tensors[name] = tensors[name].astype(attrs["output"])
    for name in ("a_zero_point", "b_zero_point", "y_zero_point"):
        if name not in fixed:
            attrs[name] = draw(st.integers(*dtype_range(attrs["output"])))


FIT: dict[str, Fit] = {
    "quantize_fp32": _quantize,
    "dequantize_fp32": _dequantize,
    "add_fp32": _add,
    "dynamic_quantize": _rows(254),
    "quantize_token_fp32": _rows(165),
    "epilogue_fp32": _epilogue,
    "qlinear_softmax": _qlinear_softmax,
    "qlinear_add": _qlinear_add,
}
MADE: dict[str, set[str]] = {name: {"scale", "zero_point"} for name in ("quantize_fp32", "dequantize_fp32")}
