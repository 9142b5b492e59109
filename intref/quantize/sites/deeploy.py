"""Deeploy: int8 between all ops, the polynomials of I-BERT with constants for 8 bits."""

import math

import numpy as np

from intref.quantize.scales import Array, fitted
from intref.quantize.sites.linear import few_bits, rescaled
from intref.quantize.sites.lowering import Lowering, Value, lowers

COARSEST_SCORES = math.log(2) / 2  # ln2 is 2 at least
FINEST_GELU = 1.769 * math.sqrt(2) / 128  # b fits int8, and with it `one` int16
NORM_SHIFT = 14  # of the weights and biases of a norm: that of Deeploy's CCT


def softmax_constants(scale: float) -> dict[str, int]:
    """The constants of softmax_deeploy for scores of this scale: exp(x) is about 0.3585 * (x + 1.353)**2 + 0.344."""
    s = float(scale)
    return {
        "a": 1,
        "b": math.floor(1.353 / s),
        "c": math.floor(0.344 / 0.3585 / (s * s)),
        "ln2": math.floor(math.log(2) / s),
        "levels": 256,
    }


def gelu_constants(scale: float) -> tuple[dict[str, int], float]:
    """b and one of gelu_deeploy for an input of this scale, and the scale of its output."""
    k = scale / math.sqrt(2)
    one = math.floor(1 / (0.2888 * k * k))
    return {"b": math.ceil(-1.769 / k), "one": one}, scale / one


def int8_scores(low: Lowering, x: Value, site: str, op: str) -> None:
    """Unsupported unless the scores are int8, of one scale for all heads."""
    fits = low.build.tensors[x.tensor].dtype == "int8" and (x.heads is None or len({*x.heads}) == 1)
    low.require(fits, site, f"{op} needs int8 scores of one scale: site 'softmax_input' must say so")


@lowers("softmax", "softmax_deeploy")
def softmax_deeploy(low: Lowering, x: Value, mask: str, site: str) -> Value:
    """Probabilities at scale 1 / 255."""
    int8_scores(low, x, site, "softmax_deeploy")
    finest = 1 / 64  # of a finer scale, the squares of the constants would leave 16 bits
    if not finest <= x.scale <= COARSEST_SCORES:
        scale = min(max(float(x.scale), finest), COARSEST_SCORES)
        x = rescaled(low, Value(x.tensor, x.scale), f"{site}.in", np.float32(scale), 8, low.site("softmax_input"))
    attrs = {**softmax_constants(float(x.scale)), "output": "uint8"}
    inputs, axes = {"x": x.tensor, "mask": mask}, low.build.axes(x.tensor)
    name = low.build.node("softmax_deeploy", site, inputs, attrs, p=axes)["p"]
    low.build.scale(name, 1 / 255)
    return Value(name, 1 / 255)


@lowers("activation", "gelu_deeploy")
def gelu_deeploy(low: Lowering, x: Value, site: str) -> Value:
    """The polynomial, then int8."""
    fits, at = low.build.tensors[x.tensor].dtype == "int8", low.site("activation")
    low.require(fits, site, "gelu_deeploy needs int8: site 'activation_input' must be given")
    if x.scale < FINEST_GELU:
        x = rescaled(low, x, f"{site}.in", np.float32(FINEST_GELU), 8, at)
    constants, scale = gelu_constants(float(x.scale))
    name = low.build.node("gelu_deeploy", f"{site}.raw", {"x": x.tensor}, constants, y=low.build.axes(x.tensor))["y"]
    return few_bits(low, Value(name, scale), site, site, at)


@lowers("norm", "layernorm_deeploy")
def norm_deeploy(low: Lowering, x: Value, site: str, weight: Array, bias: Array, eps: float) -> Value:
    """int8 in and out: gamma and beta are divided by the scale of the output."""
    x = rescaled(low, x, f"{site}.in", low.scale_of(site.replace(".norm", ".sum"), 8), 8, low.site("norm"))
    out = low.int8_scale(site)
    gain, offset = (fitted(v.astype(np.float64) / float(out) * 2.0**NORM_SHIFT, 31) for v in (weight, bias))
    attrs = {"shift": NORM_SHIFT, "overflow": "clamp"}
    inputs = {
        "x": x.tensor,
        "weight": low.build.constant(f"{site}.weight", gain, "int32"),
        "bias": low.build.constant(f"{site}.bias", offset, "int32"),
    }
    name = low.build.node("layernorm_deeploy", site, inputs, attrs, y=low.build.axes(x.tensor))["y"]
    low.build.scale(name, float(out))
    return Value(name, out)
