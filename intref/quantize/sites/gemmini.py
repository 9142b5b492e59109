"""Gemmini: constants as its C code computes them, in float32 and float64; nothing may wrap int32."""

import math

import numpy as np

from intref.ops.gemmini import M31
from intref.quantize.scales import F32, Array
from intref.quantize.sites.linear import few_bits, rescaled
from intref.quantize.sites.lowering import Lowering, Value, lowers

FINEST_SCORES = 2.0**-10  # the sum of 512 exponentials fits int32
FINEST_GELU = 2.0**-8.5  # |x| <= 2**9 times the polynomial fits int32


def softmax_constants(scale: float) -> dict[str, int]:
    """ln2, b and c of softmax_gemmini for scores of this scale."""
    s = F32(scale)
    return {"ln2": int(0.693147 / float(s)), "b": int(F32(1.353) / s), "c": int(F32(0.344) / (F32(0.3585) * s * s))}


def gelu_constants(scale: float) -> tuple[dict[str, int], float]:
    """b, c and one of gelu_gemmini for an input of this scale, and the scale of its output."""
    k = float(F32(scale) / F32(math.sqrt(2)))
    unit = -0.2888 * k * k
    return {"b": int(-1.769 / k), "c": int(1.0 / unit), "one": int(F32(1) / F32(unit))}, float(scale) * unit / 2


@lowers("softmax", "softmax_gemmini")
def softmax_gemmini(low: Lowering, x: Value, mask: str, site: str) -> Value:
    """Probabilities at scale 1 / 127."""
    one = x.heads is None or len({*x.heads}) == 1
    low.require(one, site, "softmax_gemmini needs scores of one scale for all heads")
    low.require(x.scale < 0.693, site, "softmax_gemmini needs scores of a scale below ln 2")
    if x.scale < FINEST_SCORES:
        x = rescaled(low, Value(x.tensor, x.scale), f"{site}.in", FINEST_SCORES, 10, low.site("softmax_input"))
    name, axes = x.tensor, low.build.axes(x.tensor)
    attrs = softmax_constants(float(x.scale))
    name = low.build.node("softmax_gemmini", site, {"x": name, "mask": mask}, attrs, p=axes)["p"]
    low.build.scale(name, 1 / 127)
    return Value(name, 1 / 127)


@lowers("activation", "gelu_gemmini")
def gelu_gemmini(low: Lowering, x: Value, site: str) -> Value:
    """The polynomial, then int8."""
    low.require(np.ndim(x.scale) == 0, site, "gelu_gemmini needs one scale for all channels: give 'activation_input'")
    if x.scale < FINEST_GELU:
        x = rescaled(low, x, f"{site}.in", FINEST_GELU, 10, low.site("activation"))
    constants, scale = gelu_constants(float(x.scale))
    name = low.build.node("gelu_gemmini", f"{site}.raw", {"x": x.tensor}, constants, y=low.build.axes(x.tensor))["y"]
    return few_bits(low, Value(name, scale), site, site, low.site("activation"))


@lowers("norm", "layernorm_gemmini")
def norm_gemmini(low: Lowering, x: Value, site: str, weight: Array, bias: Array, eps: float) -> Value:
    """Whole standard deviations, at the scale gamma; its input has few enough bits for 32 of the sum of squares."""
    bits = math.floor(math.log2(math.sqrt(M31 / len(weight))))
    narrow = low.scale_of(site.replace(".norm", ".sum"), bits)
    x = rescaled(low, x, f"{site}.in", narrow, bits, low.site("norm"))
    name = low.build.node("layernorm_gemmini", f"{site}.raw", {"x": x.tensor}, {}, y=low.build.axes(x.tensor))["y"]
    return Value(name, weight.astype(np.float64), offset=bias.astype(np.float64))
