"""Softmax, sums and functions of int8 in gemmlowp fixed point, as TensorFlow Lite prepares their constants."""

import math
from typing import Any

import numpy as np
from scipy.special import ndtr

from intref.profiles.keys import ONCE
from intref.quantize.scales import Array, dyadic
from intref.quantize.sites.linear import from_zero, requantized, rescaled, widened
from intref.quantize.sites.lowering import Lowering, Value, container, lowers

ANGLE = 2.0**27  # of a fixed-point argument of 4 integer bits
FARTHEST = 2.0**31 - 1


def _factor(real: float) -> dict[str, int]:
    """multiplier and shift, to the left, of an argument in fixed point; what needs a right shift has shift 0."""
    multiplier, shift = dyadic(min(real, FARTHEST))
    right = max(int(shift[0]), 0)
    lost = max(right - 31, 0)
    return {"multiplier": max(int(multiplier[0]) >> lost, 1), "shift": max(31 - right, 0)}


def _require_int8(low: Lowering, x: Value, site: str, kind: str) -> None:
    known = low.build.tensors[x.tensor].dtype == "int8" and np.ndim(x.scale) == 0
    low.require(known, site, f"this op needs int8 of one scale: site '{kind}_input' must be rescale to 8 bits")


@lowers("softmax", "softmax_gemmlowp")
def softmax_gemmlowp(low: Lowering, x: Value, mask: str, site: str) -> Value:
    """Probabilities of 8 bits at scale 2**-8 and zero point -128, moved to 0 .. 255."""
    _require_int8(low, x, site, "softmax")
    attrs = {**_factor(float(x.scale) * 2.0**26), "output": "int8"}
    axes = low.build.axes(x.tensor)
    made = low.build.node("softmax_gemmlowp", f"{site}.int8", {"x": x.tensor, "mask": mask}, attrs, p=axes)["p"]
    return from_zero(low, Value(made, 2.0**-8, zero_point=-128), site)


@lowers("residual", "add_gemmlowp")
def residual_gemmlowp(low: Lowering, acc: Value, x: Value, site: str) -> Value:
    """ADD of 16 bits: accumulator and stream, each rescaled to the sum's scale, then added at half of it."""
    at = low.site("residual")
    if "multiplier_bits" in at:
        return added_once(low, acc, x, site)
    scale = low.wide_scale(site, 16)
    given = {"clamp": "symmetric", **at, "rounding": low.site("attention_input").get("rounding", at["rounding"])}
    left = rescaled(low, acc, f"{site}.acc", scale, 16, given)
    right = rescaled(low, Value(x.tensor, x.scale, x.offset), f"{site}.stream", scale, 16, given)
    half, twice = dyadic(0.5), dyadic(2.0 / (1 << 15))
    attrs: dict[str, Any] = dict.fromkeys(("a_zero_point", "b_zero_point", "output_zero_point"), 0)
    attrs |= {"left_shift": 15, "rounding": at["rounding"], "output": container(16)}
    for name, (multiplier, shift) in (("a_", half), ("b_", half), ("", twice)):
        attrs |= {f"{name}multiplier": int(multiplier[0]), f"{name}shift": int(shift[0])}
    axes = low.build.axes(acc.tensor)
    made = low.build.node("add_gemmlowp", f"{site}.int16", {"a": left.tensor, "b": right.tensor}, attrs, y=axes)["y"]
    return widened(low, Value(made, np.float64(scale)), site, "int32")


def added_once(low: Lowering, acc: Value, x: Value, site: str) -> Value:
    """XNNPACK's ADD of 8 bits: integer factors of multiplier_bits, whose products are exact; the sum is rounded."""
    at, scale = low.site("residual"), low.scale_of(site, 8)
    given = {"clamp": "full", **low.site("attention_input")}
    left = rescaled(low, acc, f"{site}.acc", scale, 8, given)
    few, bits = low.build.tensors[x.tensor].dtype == "int8", low.recipe.residual_bits
    low.require(few, site, f"this sum needs a stream of 8 bits, not the recipe's residual_bits of {bits}")
    attrs: dict[str, Any] = dict.fromkeys(("a_zero_point", "b_zero_point", "output_zero_point"), 0)
    attrs |= {"rounding": at["rounding"], "output": "int8"}
    attrs |= factors_once(left.scale, x.scale, scale, at["multiplier_bits"])
    axes = low.build.axes(acc.tensor)
    made = low.build.node("add_gemmlowp", f"{site}.int8", {"a": left.tensor, "b": x.tensor}, attrs, y=axes)["y"]
    return widened(low, Value(made, np.float64(scale)), site, "int32")


def factors_once(a: Any, b: Any, y: Any, bits: int = ONCE) -> dict[str, int]:
    """Attributes of add_gemmlowp for scales a, b and y: factors of `bits` bits over a power of two, the larger in full.

    Shifted left by `bits`, then by 31 - bits, a term times its factor is whole at 2**-31.
    """
    ratios = [np.float32(v) / np.float32(y) for v in (a, b)]
    shift = bits - math.frexp(max(ratios))[1]
    factors = [min(round(math.ldexp(float(r), shift)), (1 << bits) - 1) for r in ratios]
    attrs = {"left_shift": bits, "multiplier": 1 << max(31 - shift, 0), "shift": max(shift, 31)}
    for name, factor in zip("ab", factors):
        attrs |= {f"{name}_multiplier": factor << 31 - bits, f"{name}_shift": 31}
    return attrs


@lowers("activation", "table")
def gelu_entries(low: Lowering, x: Value, site: str) -> Value:
    """GELU of int8: round(GELU(S * x) / scale), ties away from zero, for each of the 256."""
    _require_int8(low, x, site, "activation")
    out, zero_point = low.at_few_bits(site, low.site("activation"))
    y = gelu(np.arange(-128, 128) * float(x.scale)) / float(out)
    entries = np.clip(np.trunc(y + np.copysign(0.5, y)) + zero_point, -128, 127)
    inputs = {"x": x.tensor, "entries": low.build.constant(f"{site}.table", entries, "int8")}
    name = low.build.node("table", site, inputs, y=low.build.axes(x.tensor))["y"]
    return low.told(Value(name, np.float64(out), zero_point=zero_point))


def gelu(x: Array) -> Array:
    """x * Phi(x)."""
    return np.asarray(x * ndtr(x))


@lowers("pooler", "tanh_gemmlowp")
def pooler_tanh(low: Lowering, acc: Value, site: str) -> Value:
    """tanh in fixed point, scale 2**-7."""
    at = low.site("pooler")
    pre = requantized(low, acc, f"{site}.pre", low.int8_scale(f"{site}.pre"), 8, at)
    attrs = {"input_zero_point": 0, **_factor(float(pre.scale) * ANGLE)}
    name = low.build.node("tanh_gemmlowp", site, {"x": pre.tensor}, attrs, y=low.build.axes(pre.tensor))["y"]
    low.build.scale(name, 2.0**-7)
    return Value(name, np.float64(2.0**-7))
