"""Requantizers: legal pairs of a multiplier and a shift."""

from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from intref.intmath import split_fp32
from intref.ops import OPS
from intref.ops.op import dtype_range
from intref.testing.integers import Draw, filled, multipliers, near_shifts
from intref.testing.legal.shared import Attrs, Fit, Fixed, Tensors, along_axis


def _rescale(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    rule = attrs["rounding"]
    if not tensors["x"].ndim:
        tensors["x"] = tensors["x"].reshape(1)
    if rule.endswith("_double") and tensors["x"].dtype == np.int64:
        tensors["x"] = filled(draw, tensors["x"].shape, *dtype_range("int32"), "int32")
    beyond = rule == "tosa_double" and _peak(tensors["x"], attrs["input_zero_point"]) > 1 << 31
    for k in ("input_zero_point", "output_zero_point"):
        if k not in fixed and (draw(st.booleans()) or (beyond and k == "input_zero_point")):
            attrs[k] = 0
    shape = tensors["x"].shape
    if "axis" not in fixed:
        attrs["axis"] = draw(st.integers(-len(shape), len(shape) - 1))
    if -len(shape) <= attrs["axis"] < len(shape):
        _rescale_pairs(draw, rule, draw(st.sampled_from([1, shape[attrs["axis"]]])), tensors, attrs)


def _rescale_pairs(draw: Draw, rule: str, length: int, tensors: Tensors, attrs: Attrs) -> None:
    """A few pairs drawn, and repeated: every shift brings x times its multiplier below 2**62."""
    zero = attrs["input_zero_point"]
    peak, first = _peak(tensors["x"], zero), int(tensors["x"].flat[0]) - zero
    low, high = (2, 62) if rule == "tosa_double" else (0, 94)

    def pair(m: int) -> st.SearchStrategy[tuple[int, int]]:
        if rule == "fp32_half_even":
            return st.just((_finite(m, peak), 0))
        least = max((peak * abs(m)).bit_length() - 62, low)
        return near_shifts(m, least, high, first).map(lambda s: (m, s))

    drawn = multipliers(0 if rule.endswith("_double") else -(1 << 31)).flatmap(pair)
    m, s = zip(*draw(st.lists(drawn, min_size=1, max_size=8)))
    tensors["multiplier"] = np.resize(np.array(m, np.int32), length)
    tensors["shift"] = np.resize(np.array(s, np.int8), length)


def _peak(x: np.ndarray, zero: int) -> int:
    return max(abs(int(x.min()) - zero), abs(int(x.max()) - zero))


def _finite(pattern: int, peak: int) -> int:
    """The float32 pattern with the exponent lowered until peak times it is below 2**62."""
    if pattern >> 23 & 255 == 255:
        pattern &= ~(1 << 30)
    while True:
        _, significand, exponent = (int(v) for v in split_fp32(pattern))
        if peak * significand * Fraction(2) ** exponent < 1 << 62:
            return pattern
        pattern -= 1 << 23


def _rescale_token(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    exponent = tensors["exponent"]
    low, high = int(exponent.max()), min(62 + int(exponent.min()), 71)
    tensors["shift"] = filled(draw, tensors["shift"].shape, low, high, "int8")


def _requant_shift(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    along_axis(draw, tensors, attrs, fixed, "mul", "add")


def _add_gemmlowp(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    holds = OPS["add_gemmlowp"].constraints["C5"][1]
    while "left_shift" not in fixed and attrs["left_shift"] and not holds(tensors, attrs):
        attrs["left_shift"] -= 1


def _mul_gemmlowp(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    holds = OPS["mul_gemmlowp"].constraints["C5"][1]
    while "shift" not in fixed and attrs["shift"] < 31 and not holds(tensors, attrs):
        attrs["shift"] += 1


FIT: dict[str, Fit] = {
    "add_gemmlowp": _add_gemmlowp,
    "mul_gemmlowp": _mul_gemmlowp,
    "requant_shift": _requant_shift,
    "rescale": _rescale,
    "rescale_token": _rescale_token,
    "rescale_token_residual": _rescale_token,
}
MADE: dict[str, set[str]] = {
    "requant_shift": {"mul", "add"},
    "rescale": {"multiplier", "shift"},
    "rescale_token": {"shift"},
    "rescale_token_residual": {"shift"},
}
