"""ITA: every accumulator goes back to int8 at once, by a multiplier of 8 bits; the softmax takes it at the scale ln 2."""

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
    """Probabilities at scale 2**-8, of scores that are int8 at the scale ln 2."""
    low.require(x.heads is None or len({*x.heads}) == 1, site, "softmax_ita needs scores of one scale for all heads")
    x = rescaled(low, Value(x.tensor, x.scale), f"{site}.in", np.float32(math.log(2)), 8, low.site("softmax"))
    name = low.build.node("softmax_ita", site, {"x": x.tensor, "mask": mask}, {}, p=low.build.axes(x.tensor))["p"]
    low.build.scale(name, 2.0**-8)
    return Value(name, 2.0**-8)


@lowers("activation", "gelu_ita")
def gelu_ita(low: Lowering, acc: Value, site: str) -> Value:
    """int8 in, the polynomial, int8 out: of the sign that the polynomial gives it, so that the multiplier is positive."""
    up, at = site.replace(".act", ".up"), low.site("activation")
    inner = np.maximum(low.int8_scale(up), np.float32(FINEST))
    x = rescaled(low, acc, f"{up}.in", inner, 8, at)
    constants, scale = gelu_constants(float(inner))
    name = low.build.node("gelu_ita", f"{site}.raw", {"x": x.tensor}, constants, y=low.build.axes(x.tensor))["y"]
    return rescaled(low, Value(name, scale), site, -low.int8_scale(site), low.recipe.activation_bits, at)
