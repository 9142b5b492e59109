"""FQ-ViT: probabilities of 4 bits that are powers of two, and the context by shifts."""

import numpy as np

from intref.quantize import scales
from intref.quantize.sites.attention import merged
from intref.quantize.sites.linear import rescaled
from intref.quantize.sites.lowering import Lowering, Value, lowers

POWER = 2.0**-15  # the scale of a product with the smallest probability


@lowers("softmax", "softmax_log2_fqvit")
def softmax_log2(low: Lowering, x: Value, mask: str, site: str) -> Value:
    """The exponents of the probabilities; I-BERT's constants."""
    low.require(x.heads is None or len({*x.heads}) == 1, site, "this softmax needs scores of one scale for all heads")
    made = scales.softmax_constants(float(x.scale), low.site("softmax").get("constants", "code"))
    attrs = {name: made[name] for name in ("ln2", "b", "c")}
    inputs = {"x": x.tensor, "mask": mask}
    name = low.build.node("softmax_log2_fqvit", site, inputs, attrs, k=low.build.axes(x.tensor))["k"]
    return Value(name, POWER)


@lowers("context", "matmul_shift_fqvit")
def shifted_context(low: Lowering, p: Value, v: Value, site: str) -> Value:
    """P * V by shifts, then int8 at a static scale."""
    low.require(p.scale == POWER, site, "matmul_shift_fqvit needs the exponents that softmax_log2_fqvit makes")
    low.require(np.ndim(v.scale) == 0, site, "matmul_shift_fqvit needs values of one scale for all heads")
    axes = ("B", low.heads, "T", int(low.build.axes(v.tensor)[-1]) // low.heads)
    split = low.build.node("split_heads", f"{site}.v", {"x": v.tensor}, {"heads": low.heads}, y=axes)["y"]
    acc = low.build.node("matmul_shift_fqvit", f"{site}.pv", {"k": p.tensor, "v": split}, y=axes)["y"]
    bits, value = low.recipe.activation_bits, Value(acc, POWER * float(v.scale))
    made = rescaled(low, value, f"{site}.heads", low.int8_scale(site), bits, low.site("context"))
    name = merged(low, made.tensor, site)
    low.build.scale(name, float(made.scale))
    return Value(name, made.scale)
