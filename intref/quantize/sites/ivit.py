"""I-ViT: softmax and GELU by shifts, on int8 of one static scale; the norm whose root takes ten steps."""

import math
from typing import Any

import numpy as np

from intref.quantize.scales import F32, Array
from intref.quantize.sites.linear import few_bits, rescaled
from intref.quantize.sites.lowering import Lowering, Value, lowers
from intref.quantize.sites.norm import MAX_BIAS, raw_norm

MAX_BIAS32 = 1 << 29  # a normalized value is at most 2**30


def one_of(scale: Any, form: str) -> int:
    """The integer that stands for 1: torch divides in fp32 and rounds up, TVM adds 1 and truncates, in double."""
    if form == "tvm":
        return math.floor(1.0 / float(scale) + 1)
    return math.ceil(F32(1) / F32(scale))


@lowers("softmax", "softmax_ivit")
def softmax_ivit(low: Lowering, x: Value, mask: str, site: str) -> Value:
    """Probabilities at scale 2**(1 - bits). TVM's int32 sum bounds 1 / S: a coarser scale loses little there."""
    low.require(x.heads is None or len({*x.heads}) == 1, site, "softmax_ivit needs scores of one scale for all heads")
    at = low.site("softmax")
    form, halvings, bits = str(at["form"]), int(at["halvings"]), int(at["bits"])
    keys = low.build.dims["T"] if form == "tvm" else 1
    most = ((1 << 31) - 1) // keys >> halvings
    if one_of(x.scale, form) > most:
        again = {"rounding": low.site("softmax_input")["rounding"]}
        x = rescaled(low, Value(x.tensor, x.scale), f"{site}.scores", 1 / max(most - 1, 1), 8, again)
    attrs = {"one": one_of(x.scale, form), "halvings": halvings, "bits": bits, "form": form}
    name = low.build.node("softmax_ivit", site, {"x": x.tensor, "mask": mask}, attrs, p=low.build.axes(x.tensor))["p"]
    low.build.scale(name, 2.0 ** (1 - bits))
    return Value(name, 2.0 ** (1 - bits))


@lowers("activation", "gelu_ivit")
def gelu_ivit(low: Lowering, x: Value, site: str) -> Value:
    """x times a sigmoid of 8 bits, then int8."""
    low.require(
        low.build.tensors[x.tensor].dtype == "int8", site, "gelu_ivit needs int8: site 'activation_input' must be given"
    )
    at = low.site("activation")
    form, halvings, bits = str(at["form"]), int(at["halvings"]), 8
    inner = float(x.scale) * 1.702 if form == "tvm" else F32(x.scale) * F32(1.702)
    attrs = {"one": one_of(inner, form), "halvings": halvings, "bits": bits, "form": form}
    name = low.build.node("gelu_ivit", f"{site}.raw", {"x": x.tensor}, attrs, y=low.build.axes(x.tensor))["y"]
    made = Value(name, np.float64(x.scale) * 2.0 ** (1 - bits))
    return few_bits(low, made, site, site, at)


@lowers("norm", "layernorm_ivit")
def norm_ivit(low: Lowering, x: Value, site: str, weight: Array, bias: Array, eps: float) -> Value:
    """As I-BERT's, but for the root; the bias of TVM's int32 keeps clear of its ends."""
    form = low.site("norm")["form"]
    most = MAX_BIAS32 if form == "tvm" else MAX_BIAS
    return raw_norm(low, x, site, weight, bias, "layernorm_ivit", {"form": form}, most)
