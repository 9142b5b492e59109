"""I-LLM: softmax by shifts on the scores as they are, and the norm over its rms; both at scales m / 2**k."""

import numpy as np

from intref.quantize.scales import Array, dyadic
from intref.quantize.sites.lowering import Lowering, Value, lowers

MANTISSA = 8  # bits of m, as in the paper
TOP, FRACTION = 25, 20  # of the norm: the paper leaves them open
FINEST, COARSEST = 2.0**-31, 0.99  # scales of scores: finer ones are nearly constant, coarser ones leave C5


@lowers("softmax", "softmax_illm")
def softmax_illm(low: Lowering, x: Value, mask: str, site: str) -> Value:
    """Probabilities at scale 2**(1 - bits), from scores of one scale for every head."""
    at = low.site("softmax")
    heads = np.full(low.heads, float(x.scale)) if x.heads is None else x.heads
    low.require(heads.max() <= COARSEST, site, f"softmax_illm needs scores of a scale of at most {COARSEST}")
    m, k = dyadic(np.maximum(heads, FINEST), MANTISSA)
    attrs = {"clip": int(at["clip"]), "bits": int(at["bits"])}
    inputs = {"x": x.tensor, "mask": mask, "m": m, "k": k}
    name = low.build.node("softmax_illm", site, inputs, attrs, p=low.build.axes(x.tensor))["p"]
    scale = 2.0 ** (1 - attrs["bits"])
    low.build.scale(name, scale)
    return Value(name, scale)


@lowers("norm", "layernorm_illm")
def norm_illm(low: Lowering, x: Value, site: str, weight: Array, bias: Array, eps: float) -> Value:
    """No epsilon; gamma is the scale, channel by channel, and beta is added at the scale of what comes next."""
    attrs = {"top": TOP, "fraction": FRACTION}
    name = low.build.node("layernorm_illm", f"{site}.raw", {"x": x.tensor}, attrs, y=low.build.axes(x.tensor))["y"]
    return Value(name, weight.astype(np.float64) * 2.0**-FRACTION, offset=bias.astype(np.float64))
