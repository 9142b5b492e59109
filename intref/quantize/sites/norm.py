"""Norms: I-BERT's, with a scale for every channel, and fixed point."""

import math
from typing import Any

import numpy as np

from intref.ops import OPS
from intref.quantize.scales import Array, fitted, norm_shift, symmetric_range
from intref.quantize.sites.linear import STATIC, rescaled
from intref.quantize.sites.lowering import FIXED, Lowering, Value, lowers

MAX_BIAS = 1 << 46  # beyond it a bias leaves the accumulator and is added at the output's scale


@lowers("norm", "layernorm_ibert")
def norm_ibert(low: Lowering, x: Value, site: str, weight: Array, bias: Array, eps: float) -> Value:
    """No epsilon; a shift where the calibrated sum of squares reaches 2**32."""
    x = narrowed(low, x, site, "layernorm_ibert")
    squares = low.ranges.squares(site.replace(".norm", ".sum")) / float(x.scale) ** 2
    return raw_norm(low, x, site, weight, bias, "layernorm_ibert", {"shift": norm_shift(squares)})


def narrowed(low: Lowering, x: Value, site: str, op: str) -> Value:
    """A norm's input brought to `bits` bits where the profile says so, every channel with a power-of-two factor.

    Channel d has the scale s * 2**a[d], a[d] in 0 .. doublings the least that holds its calibrated range; shifting it
    left by a[d] gives all channels the scale s again, so that the norm's sums stay integers (FQ-ViT, section 3.2).
    """
    at = low.site("norm")
    if "doublings" not in at:
        reach, most = low.build.tensors[x.tensor].range[1], OPS[op].inputs["x"].high
        named = f"sum_bits of the recipe ({low.recipe.sum_bits}), or what site 'residual' says, must be less"
        low.require(most is None or reach <= most, site, f"{op} takes sums up to {most}, not {reach}: {named}")
        return x
    low.require(np.ndim(x.scale) == 0 and x.token is None, site, STATIC)
    before, bits, most = site.replace(".norm", ".sum"), int(at["bits"]), int(at["doublings"])
    scale = low.scale_of(before, bits) / np.float32(1 << most)
    doubled = factors(low.ranges.sites[before].channels, float(scale) * symmetric_range(bits), most)
    small = rescaled(low, x, f"{site}.in", scale * (1 << doubled), bits, at)
    inputs = {"x": small.tensor, "multiplier": 1 << doubled, "shift": np.array([0])}
    attrs = {"rounding": "half_even", "output": "int32"}
    name = low.build.node("rescale", f"{site}.shifted", inputs, attrs, y=low.build.axes(x.tensor))["y"]
    low.build.scale(name, float(scale))
    return Value(name, np.float64(scale))


def factors(peaks: Array, reach: float, most: int) -> Array:
    """a[d]: how often `reach` has to be doubled, at most `most` times, to hold the peak of channel d."""
    return (peaks > reach * 2.0 ** np.arange(most)[:, None]).sum(axis=0, dtype=np.int64)


def raw_norm(
    low: Lowering, x: Value, site: str, weight: Array, bias: Array, op: str, attrs: dict[str, Any], most: int = MAX_BIAS
) -> Value:
    """A norm whose result has the scale gamma * sqrt(D) / 2**30, channel by channel; its bias at most `most`."""
    unit = np.float32(math.sqrt(len(weight))) / np.float32(2.0**30)
    with np.errstate(all="ignore"):  # each quotient in fp32, as in the published code
        integer = np.floor(((bias / weight).astype(np.float32) / unit).astype(np.float64))
    carried = np.abs(integer) <= most  # false for gamma = 0 as well
    inputs = {"x": x.tensor, "bias": np.where(carried, integer, 0).astype(np.int64)}
    name = low.build.node(op, f"{site}.raw", inputs, attrs, y=low.build.axes(x.tensor))["y"]
    scale = (weight * unit).astype(np.float64)
    return Value(name, np.where(carried, scale, 0.0), offset=np.where(carried, 0.0, bias.astype(np.float64)))


@lowers("norm", "layernorm_fixed")
def norm_fixed(low: Lowering, x: Value, site: str, weight: Array, bias: Array, eps: float) -> Value:
    """Fixed point in and out."""
    x = narrowed(low, x, site, "layernorm_fixed")
    out = low.fixed_scale(site)
    width = len(weight)
    gain = weight.astype(np.float64) * math.sqrt(width) / 2.0**30 / out
    beta = bias.astype(np.float64) / out
    top = max(float(np.abs(gain).max()), 2.0**-28)
    shift = 31 - math.frexp(top)[1]
    shift -= math.floor(math.ldexp(top, shift) + 0.5) == 1 << 31  # a mantissa that rounds up to the next power of two
    shift = max(1, min(shift, 60, 59 - math.ceil(math.log2(float(np.abs(beta).max()) + 1))))
    inputs = {
        "x": x.tensor,
        "gain": fitted(gain * 2.0**shift, 31),
        "bias": fitted(beta * 2.0**shift, 60),
    }
    attrs = {"eps": round(width * eps / float(x.scale) ** 2), "shift": shift, "low": -FIXED, "high": FIXED}
    name = low.build.node("layernorm_fixed", site, inputs, attrs, y=low.build.axes(x.tensor))["y"]
    low.build.scale(name, out)
    return Value(name, out)
