"""Attention: q, k and v, scores, probabilities, context."""

import math
from dataclasses import replace

import numpy as np

from intref.quantize import scales
from intref.quantize.scales import dyadic, symmetric_range
from intref.quantize.sites.linear import few_bits, require_style, rescaled, token_rescaled
from intref.quantize.sites.lowering import FIXED, Lowering, Value, lowers, moved, register

FINEST = 2.0**-15  # the smallest scale of scores whose constants softmax_ibert holds


@lowers("attention_input", "rescale")
def static_attention_input(low: Lowering, acc: Value, site: str) -> Value:
    """q, k or v: int8, one static scale."""
    made = few_bits(low, acc, site, site, low.site("attention_input"))
    return replace(made, heads=np.full(low.heads, float(made.scale)))


@lowers("attention_input", "epilogue_fp32")
@lowers("attention_input", "rescale_token")
def token_attention_input(low: Lowering, acc: Value, site: str) -> Value:
    """q, k or v: int8, one static scale for each head, so that no token scale meets P * V's sum over tokens."""
    require_style(low, acc, site, "attention_input")
    bits, at = low.recipe.activation_bits, low.site("attention_input")
    peaks = low.ranges.heads(site, low.heads)
    if at["scale"] == "tensor":
        peaks = np.full(low.heads, peaks.max())
    heads = np.maximum(peaks, float(scales.TINY)) / symmetric_range(bits)
    width = low.build.axes(acc.tensor)[-1]
    made = token_rescaled(low, acc, site, np.repeat(heads, int(width) // low.heads), bits, at["clamp"])
    return Value(made.tensor, made.scale, heads=heads)


def heads_apart(low: Lowering, q: Value, k: Value, site: str, head_width: int) -> tuple[str, str]:
    """q [B H T d] and k transposed [B H d T]."""
    build, axes = low.build, ("B", low.heads, "T", head_width)
    left = build.node("split_heads", f"{site}.q", {"x": q.tensor}, {"heads": low.heads}, y=axes)["y"]
    right = build.node("split_heads", f"{site}.k", {"x": k.tensor}, {"heads": low.heads}, y=axes)["y"]
    return left, build.node("transpose", f"{site}.kt", {"x": right}, y=("B", low.heads, head_width, "T"))["y"]


@lowers("scores", "matmul")
def scores(low: Lowering, q: Value, k: Value, site: str, head_width: int) -> Value:
    """q * k for every head; 1 / sqrt(d) goes into the scale."""
    left, turned = heads_apart(low, q, k, site, head_width)
    attrs, axes = register(low.site("scores")) | moved(a=q, b=k), ("B", low.heads, "T", "T")
    name = low.build.node("matmul", site, {"a": left, "b": turned}, attrs, y=axes)["y"]
    assert q.heads is not None and k.heads is not None
    scale = np.float32(np.float32(q.heads.max()) * np.float32(k.heads.max())) / np.float32(math.sqrt(head_width))
    return Value(name, scale, heads=q.heads * k.heads / math.sqrt(head_width))


@lowers("softmax", "softmax_ibert")
def softmax_ibert(low: Lowering, x: Value, mask: str, site: str) -> Value:
    """Probabilities at scale 2**-8."""
    low.require(x.heads is None or len({*x.heads}) == 1, site, "softmax_ibert needs scores of one scale for all heads")
    if x.scale < FINEST:  # nearly constant scores: a coarser scale loses nothing that a probability of 8 bits shows
        at = {"rounding": low.site("context").get("rounding", "half_even")}
        x = rescaled(low, Value(x.tensor, x.scale), f"{site}.scores", FINEST, 32, at)
    attrs = scales.softmax_constants(float(x.scale), low.site("softmax").get("constants", "code"))
    name = low.build.node("softmax_ibert", site, {"x": x.tensor, "mask": mask}, attrs, p=low.build.axes(x.tensor))["p"]
    low.build.scale(name, 2.0**-8)
    return Value(name, 2.0**-8)


@lowers("softmax", "softmax_exp2")
def softmax_exp2(low: Lowering, x: Value, mask: str, site: str) -> Value:
    """Unnormalised probabilities of 8 bits, and each row's sum, by which the context is divided."""
    assert x.heads is not None
    multiplier, shift = dyadic(x.heads * math.log2(math.e) * 2.0**16, max_shift=62)
    table = low.build.constant("exp2.table", scales.exp2_table(), "int32")
    inputs = {"x": x.tensor, "mask": mask, "multiplier": multiplier, "shift": shift, "table": table}
    axes = low.build.axes(x.tensor)
    made = low.build.node("softmax_exp2", site, inputs, p=axes, total=(*axes[:-1], 1))
    return Value(made["p"], 1.0, total=made["total"])


def weighted_values(low: Lowering, p: Value, v: Value, site: str) -> str:
    """P * V for every head: the accumulator [B H T D]."""
    width = int(low.build.axes(v.tensor)[-1]) // low.heads
    axes = ("B", low.heads, "T", width)
    split = low.build.node("split_heads", f"{site}.v", {"x": v.tensor}, {"heads": low.heads}, y=axes)["y"]
    attrs = register(low.site("context")) | moved(b=v)
    return low.build.node("matmul", f"{site}.pv", {"a": p.tensor, "b": split}, attrs, y=axes)["y"]


def merged(low: Lowering, x: str, site: str) -> str:
    """Heads side by side again: [B T C]."""
    _, heads, _, width = low.build.axes(x)
    return low.build.node("merge_heads", site, {"x": x}, y=("B", "T", int(heads) * int(width)))["y"]


@lowers("context", "rescale")
def static_context(low: Lowering, p: Value, v: Value, site: str) -> Value:
    """int8 at a static scale: the input of the output projection."""
    low.require(
        p.total is None, site, "rescale needs normalised probabilities; those of softmax_exp2 go to rescale_quotient"
    )
    low.require(np.ndim(v.scale) == 0, site, "rescale needs values of one scale for all heads")
    acc = Value(weighted_values(low, p, v, site), float(p.scale) * float(v.scale))
    made = few_bits(low, acc, f"{site}.heads", site, low.site("context"))
    return low.told(replace(made, tensor=merged(low, made.tensor, site)))


@lowers("context", "rescale_quotient")
def quotient_context(low: Lowering, p: Value, v: Value, site: str) -> Value:
    """Fixed point, divided by the row's sum only now."""
    low.require(p.total is not None, site, "rescale_quotient needs the sums that softmax_exp2 makes")
    acc, out = weighted_values(low, p, v, site), low.fixed_scale(site)
    assert v.heads is not None
    multiplier, shift = dyadic(v.heads / out, bits=24, max_shift=38)
    inputs = {"x": acc, "total": p.total, "multiplier": multiplier, "shift": shift}
    attrs = {"output": "int32", "low": -FIXED, "high": FIXED}
    made = low.build.node("rescale_quotient", f"{site}.heads", inputs, attrs, y=low.build.axes(acc))["y"]
    name = merged(low, made, site)
    low.build.scale(name, out)
    return Value(name, out)
