"""ITA: accumulators go back to int8 at once, by a multiplier of 8 bits; the softmax takes them at the scale ln 2."""

import math

import numpy as np

from intref.quantize.sites.linear import rescaled
from intref.quantize.sites.lowering import Lowering, Value, lowers

FINEST = 0.01455  # the smallest scale whose constant c fits int16


def gelu_constants(scale: float) -> tuple[dict[str, int], float]:
    """b and c of gelu_ita for an input of this scale, rounded half up, and the scale of its output."""
    k = scale / math.sqrt(2)
    b, c = (math.floor(v + 0.5) for v in (-1.769 / k, 1 / (-0.2888 * k * k)))
    return {"b": b, "c": c}, scale * -0.2888 * k * k / 2


@lowers("softmax", "softmax_ita")
def softmax_ita(low: Lowering, x: Value, mask: str, site: str) -> Value:
    """Probabilities at scale 2**-8."""
    fits = low.build.tensors[x.tensor].dtype == "int8" and math.isclose(x.scale, math.log(2), rel_tol=1e-6)
    low.require(fits, site, "softmax_ita needs int8 at the scale ln 2: site 'softmax_input' must say so")
    name = low.build.node("softmax_ita", site, {"x": x.tensor, "mask": mask}, {}, p=low.build.axes(x.tensor))["p"]
    low.build.scale(name, 2.0**-8)
    return Value(name, 2.0**-8)


@lowers("softmax", "softmax_itamax")
def softmax_itamax(low: Lowering, x: Value, mask: str, site: str) -> Value:
    """Probabilities at scale 1 / 255 from int8 scores, of which 32 are a halving."""
    fits = low.build.tensors[x.tensor].dtype == "int8" and math.isclose(x.scale, math.log(2) / 32, rel_tol=1e-6)
    low.require(fits, site, "softmax_itamax needs int8 at the scale ln 2 / 32: site 'softmax_input' must say so")
    inputs, attrs = {"x": x.tensor, "mask": mask}, {"output": "uint8"}
    name = low.build.node("softmax_itamax", site, inputs, attrs, p=low.build.axes(x.tensor))["p"]
    low.build.scale(name, 1 / 255)
    return Value(name, 1 / 255)


@lowers("activation", "gelu_ita")
def gelu_ita(low: Lowering, x: Value, site: str) -> Value:
    """The polynomial, then int8 of minus the activation: the multiplier has no sign, and the polynomial's scale has.

    The Value says so by a scale below 0, which the next product takes in; the tensor by its name.
    """
    fits, at = low.build.tensors[x.tensor].dtype == "int8", low.site("activation")
    low.require(fits, site, "gelu_ita needs int8: site 'activation_input' must be given")
    if x.scale < FINEST:
        x = rescaled(low, x, f"{site}.in", np.float32(FINEST), 8, at)
    constants, scale = gelu_constants(float(x.scale))
    name = low.build.node("gelu_ita", f"{site}.raw", {"x": x.tensor}, constants, y=low.build.axes(x.tensor))["y"]
    out = low.int8_scale(site)
    made = rescaled(low, Value(name, -scale), f"{site}.negated", out, low.recipe.activation_bits, at)
    return Value(made.tensor, -made.scale)
