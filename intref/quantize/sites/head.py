"""What a model gives out: logits, mean pooling, unit length."""

import numpy as np

from intref.quantize import scales
from intref.quantize.sites.linear import requantized, require_style
from intref.quantize.sites.lowering import Lowering, Value, lowers


@lowers("logits", "rescale")
@lowers("logits", "epilogue_fp32")
@lowers("logits", "rescale_token")
def logits(low: Lowering, acc: Value, site: str) -> Value:
    """One scale for all classes, so that integers can be compared."""
    require_style(low, acc, site, "logits")
    bits = low.recipe.output_bits
    scale = scales.power_of_two(2 * low.ranges.peak(site), bits)
    return requantized(low, acc, site, scale, bits, low.site("logits"))


@lowers("pooling", "mean_pool")
def mean_pool(low: Lowering, x: Value, mask: str, site: str) -> Value:
    """The mean over attended tokens, with some fraction bits more than its input."""
    fraction = low.site("pooling")["fraction_bits"]
    build, (_, _, width) = low.build, low.build.axes(x.tensor)
    name, scale = x.tensor, float(x.scale)
    if fraction:
        attrs = {"rounding": "half_even", "output": "int32"}
        inputs = {"x": name, "multiplier": np.array([1 << fraction]), "shift": np.array([0])}
        name = build.node("rescale", f"{site}.widened", inputs, attrs, y=build.axes(name))["y"]
        scale /= 1 << fraction
    pooled = build.node("mean_pool", site, {"x": name, "mask": mask}, y=("B", width))["y"]
    build.scale(pooled, scale)
    return Value(pooled, np.float64(scale))


@lowers("unit_length", "l2_normalize")
def l2_normalize(low: Lowering, x: Value, site: str) -> Value:
    """A row divided by its length: the scale of x cancels."""
    fraction = low.recipe.output_bits - 1
    name = low.build.node("l2_normalize", site, {"x": x.tensor}, {"fraction": fraction}, y=low.build.axes(x.tensor))[
        "y"
    ]
    low.build.scale(name, 2.0**-fraction)
    return Value(name, 2.0**-fraction)
