"""One lowering for each op that a profile may put at a site: real scales in, nodes and integer constants out.

A Value is an integer tensor and what it stands for. Two styles meet here: static scales of few bits (I-BERT), and
fixed point with token-wise inputs (ours). Which one a model gets is the profile's choice, site by site.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from intref.errors import BoundError, Unsupported
from intref.ops.token import GUARD
from intref.profiles import Profile
from intref.quantize import scales
from intref.quantize.builder import Axes, Builder
from intref.quantize.observe import Ranges
from intref.quantize.recipe import Recipe
from intref.quantize.scales import Array, dyadic, rounded, symmetric_range

FIXED_BITS = 24
FIXED = symmetric_range(FIXED_BITS)
MAX_EPSILON = 1 << 52  # an attribute stays below 2**53
MAX_BIAS = 1 << 46  # beyond it a norm's bias leaves the accumulator: see layernorm_ibert
STATIC = "this op needs an accumulator of static scale: site 'linear_input' must be rescale"
TOKEN = "this op needs a token-wise accumulator: site 'linear_input' must be quantize_token"
SPREAD = 20  # an accumulator feeding gelu_ibert has a scale of at least 2**-20, so that its constants fit


@dataclass(frozen=True)
class Value:
    """An integer tensor. scale: real value of 1, a number or per last-axis channel [D] (of either sign).

    offset: real values [D] still to be added where scale cannot carry them. bias: likewise, of a product. token: the
    tensors (mantissa, exponent) that the scale is multiplied by, row by row. heads: scale per head [H].
    """

    tensor: str
    scale: Any
    offset: Array | None = None
    bias: Array | None = None
    token: tuple[str, str] | None = None
    heads: Array | None = None


@dataclass(frozen=True)
class Lowering:
    """All that a site's lowering may look at."""

    build: Builder
    ranges: Ranges
    recipe: Recipe
    profile: Profile
    heads: int
    epsilon: float  # of a norm, times its width
    made: dict[str, Value] = field(default_factory=dict)  # static inputs that more than one site reads

    def site(self, kind: str) -> Mapping[str, Any]:
        return self.profile.sites[kind]

    def __call__(self, kind: str, *args: Any, **kwargs: Any) -> Value:
        """Lower one site of this kind with the op that the profile names."""
        op = str(self.site(kind)["op"])
        if (kind, op) not in SITES:
            known = ", ".join(o for k, o in SITES if k == kind)
            raise Unsupported(f"profile {self.profile.name}: site {kind!r} cannot be lowered to {op!r}, only to {known}")
        try:
            return SITES[kind, op](self, *args, **kwargs)
        except BoundError as error:
            if str(error).startswith("node "):
                raise
            site = [arg for arg in args if isinstance(arg, str)][-1]  # the last text of every site's arguments
            raise BoundError(f"node {site} (op {op}): {error}") from None

    def require(self, holds: bool, site: str, needs: str) -> None:
        """Unsupported where a profile joins sites that do not understand each other: never a model that is wrong."""
        if not holds:
            raise Unsupported(f"profile {self.profile.name}: node {site}: {needs}")

    def int8_scale(self, site: str) -> np.float32:
        """fp32 scale of an activation of few bits."""
        return self._scale(self.recipe.clip(self.ranges, site), self.recipe.activation_bits)

    def wide_scale(self, site: str, bits: int) -> np.float32:
        """fp32 scale of an activation of many bits."""
        return self._scale(self.ranges.peak(site) * self.recipe.headroom, bits)

    def fixed_scale(self, site: str) -> float:
        """A power of two that gives a fixed-point site its headroom; a norm's input has room for epsilon as well."""
        scale = scales.power_of_two(self.ranges.peak(site) * self.recipe.headroom, FIXED_BITS)
        while site.endswith(".sum") and self.epsilon / scale**2 > MAX_EPSILON:
            scale *= 2
        return scale

    @staticmethod
    def _scale(peak: float, bits: int) -> np.float32:
        return np.float32(max(np.float32(peak), scales.TINY) / np.float32(symmetric_range(bits)))


SITES: dict[tuple[str, str], Callable[..., Value]] = {}


def lowers(kind: str, op: str) -> Callable[[Callable[..., Value]], Callable[..., Value]]:
    """Enter a function into SITES."""

    def enter(function: Callable[..., Value]) -> Callable[..., Value]:
        SITES[kind, op] = function
        return function

    return enter


def container(bits: int) -> str:
    """The smallest signed dtype of at least `bits` bits."""
    return next(f"int{n}" for n in (8, 16, 32, 64) if bits <= n)


def clip(bits: int, form: str) -> dict[str, int]:
    """low and high of a site: all of `bits` bits, or the symmetric range."""
    n = symmetric_range(bits)
    return {"low": -n - (form == "full"), "high": n}


def rescaled(
    low: Lowering, value: Value, site: str, scale: float, bits: int, at: Mapping[str, Any], axis: int = -1
) -> Value:
    """value at a new static scale, by the op rescale, and add_bias for channels whose scale cannot carry their offset."""
    low.require(value.token is None, site, STATIC)
    build, axes = low.build, low.build.axes(value.tensor)
    ratio = np.asarray(value.scale if value.heads is None else value.heads, np.float64) / np.float64(scale)
    multiplier, shift = dyadic(ratio)
    offset = None if value.offset is None or not value.offset.any() else rounded(value.offset / scale, -FIXED, FIXED)
    attrs = {"rounding": at["rounding"], "output": container(bits), **clip(bits, at.get("clamp", "full"))}
    inner = site if offset is None else f"{site}.scaled"
    inputs = {"x": value.tensor, "multiplier": multiplier, "shift": shift}
    name = build.node("rescale", inner, inputs, {**attrs, "axis": axis}, y=axes)["y"]
    if offset is not None:
        del attrs["rounding"]
        name = build.node("add_bias", site, {"x": name, "bias": offset}, attrs, y=axes)["y"]
    build.scale(name, float(scale))
    return Value(name, np.float64(scale))


# --- embeddings ------------------------------------------------------------------------------------------------------


@lowers("embedding", "embedding")
def embed(low: Lowering, ids: str, table: Array, site: str) -> Value:
    """Rows of a table: int8 at its own scale, or fixed point at the scale of the sum."""
    if low.site("embedding")["scale"] == "sum":
        scale: Any = low.fixed_scale("emb.sum")
        entries = rounded(table / scale, -FIXED, FIXED)
        dtype = "int32"
    else:
        bits = low.recipe.weight_bits
        scale = scales.weight_scale(table.reshape(1, -1), bits)[0]
        entries, dtype = scales.quantized_weight(table, scale, bits, low.recipe.weight_form), "int8"
    build = low.build
    rows = build.constant(f"{site}.table", entries, dtype)
    name = build.node("embedding", site, {"ids": ids, "table": rows}, y=("B", "T", table.shape[1]))["y"]
    return Value(name, np.float64(scale))


@lowers("embedding_sum", "add")
def add_embeddings(low: Lowering, a: Value, b: Value, site: str) -> Value:
    """The sum of two embeddings."""
    if low.site("embedding")["scale"] == "sum":
        return _added(low, a, b, site, a.scale, FIXED_BITS, low.site("embedding_sum"))
    bits = low.recipe.embedding_bits
    return _added(low, a, b, site, low.wide_scale("emb.sum", bits), bits, low.site("embedding_sum"))


def _added(
    low: Lowering, a: Value, b: Value, site: str, scale: Any, bits: int, at: Mapping[str, Any], spare: int = 0
) -> Value:
    inputs: dict[str, Any] = {"a": a.tensor, "b": b.tensor}
    for port, value in (("a", a), ("b", b)):
        low.require(value.token is None and value.offset is None, site, STATIC)
        ratio = np.asarray(value.scale, np.float64) / np.float64(scale)
        inputs[f"{port}_multiplier"], inputs[f"{port}_shift"] = dyadic(ratio)
    attrs = {"rounding": at["rounding"], "output": "int32", **clip(bits + spare, at.get("clamp", "full"))}
    name = low.build.node("add", site, inputs, attrs, y=low.build.axes(a.tensor))["y"]
    low.build.scale(name, float(scale))
    return Value(name, np.float64(scale))


# --- norms -----------------------------------------------------------------------------------------------------------


@lowers("norm", "layernorm_ibert")
def norm_ibert(low: Lowering, x: Value, site: str, weight: Array, bias: Array, eps: float) -> Value:
    """No epsilon; the scale of the result is gamma * sqrt(D) / 2**30, channel by channel."""
    width = len(weight)
    unit = math.sqrt(width) / 2.0**30
    squares = low.ranges.squares(site.replace(".norm", ".sum")) / float(x.scale) ** 2
    shift = 0 if squares < 2.0**32 else math.ceil(math.log2(math.sqrt(squares / 2.0**32)))
    gamma, beta = weight.astype(np.float64), bias.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        integer = np.floor(beta / gamma / unit)
    carried = np.abs(integer) <= MAX_BIAS  # false for gamma = 0 as well
    inputs = {"x": x.tensor, "bias": np.where(carried, integer, 0).astype(np.int64)}
    attrs = {"shift": min(shift, 16)}
    name = low.build.node("layernorm_ibert", f"{site}.raw", inputs, attrs, y=low.build.axes(x.tensor))["y"]
    return Value(name, np.where(carried, gamma * unit, 0.0), offset=np.where(carried, 0.0, beta))


@lowers("norm", "layernorm_fixed")
def norm_fixed(low: Lowering, x: Value, site: str, weight: Array, bias: Array, eps: float) -> Value:
    """Fixed point in and out."""
    out = low.fixed_scale(site)
    width = len(weight)
    gain = weight.astype(np.float64) * math.sqrt(width) / 2.0**30 / out
    beta = bias.astype(np.float64) / out
    shift = 31 - math.frexp(max(float(np.abs(gain).max()), 2.0**-28))[1]
    shift = max(1, min(shift, 60, 59 - math.ceil(math.log2(float(np.abs(beta).max()) + 1))))
    inputs = {
        "x": x.tensor,
        "gain": rounded(gain * 2.0**shift, -(2**31) + 1, 2**31 - 1),
        "bias": rounded(beta * 2.0**shift, -(1 << 60), 1 << 60),
    }
    attrs = {"eps": round(width * eps / float(x.scale) ** 2), "shift": shift, "low": -FIXED, "high": FIXED}
    name = low.build.node("layernorm_fixed", site, inputs, attrs, y=low.build.axes(x.tensor))["y"]
    low.build.scale(name, out)
    return Value(name, out)


# --- linear layers ---------------------------------------------------------------------------------------------------


@lowers("linear_input", "rescale")
def static_input(low: Lowering, x: Value, site: str) -> Value:
    """A static int8 scale, from calibration."""
    if low.build.tensors[x.tensor].dtype == "int8":
        return x
    name, bits = f"{site}.q", low.recipe.activation_bits
    if name not in low.made:
        low.made[name] = rescaled(low, x, name, low.int8_scale(site), bits, low.site("linear_input"))
    return low.made[name]


@lowers("linear_input", "quantize_token")
def token_input(low: Lowering, x: Value, site: str) -> Value:
    """A scale for each token, found at run time: an integer."""
    low.require(np.ndim(x.scale) == 0 and x.offset is None, site, "a token-wise input needs one scale for all channels")
    axes = low.build.axes(x.tensor)
    one = (*axes[:-1], 1)
    made = low.build.node("quantize_token", f"{site}.q", {"x": x.tensor}, q=axes, mantissa=one, exponent=one)
    return Value(made["q"], np.float64(x.scale) / 127, token=(made["mantissa"], made["exponent"]))


@lowers("linear", "linear")
def linear(low: Lowering, x: Value, site: str, weight: Array, bias: Array, floor: float = 0.0) -> Value:
    """The raw int32 accumulator. A static input takes the bias in; a token-wise one leaves it to the requantizer.

    floor: the least scale the accumulator may have.
    """
    static = x.token is None
    least = np.maximum(np.abs(bias) / 2.0**30, floor) / np.float64(x.scale) if static else 0.0
    scale = np.maximum(scales.weight_scale(weight, low.recipe.weight_bits), least).astype(np.float32)
    q = scales.quantized_weight(weight, scale[:, None], low.recipe.weight_bits, low.recipe.weight_form)
    product = (np.float32(x.scale) * scale).astype(np.float32) if static else np.float64(x.scale) * scale.astype(np.float64)
    integer = scales.ibert_bias(bias, product) if static else np.zeros(len(bias), np.int32)
    axes = (*low.build.axes(x.tensor)[:-1], len(bias))
    inputs = {"x": x.tensor, "weight": q, "bias": integer}
    name = low.build.node("linear", f"{site}.linear", inputs, y=axes)["y"]
    return Value(name, product, bias=None if static else bias.astype(np.float64), token=x.token)


def token_rescaled(
    low: Lowering, acc: Value, site: str, scale: Any, bits: int, form: str, residual: Value | None = None
) -> Value:
    """The accumulator of a token-wise product at a static scale (a number, or per channel [N]), bias added."""
    low.require(acc.token is not None, site, TOKEN)
    assert acc.token is not None and acc.bias is not None
    width = len(acc.bias)
    out = np.broadcast_to(np.asarray(scale, np.float64), (width,))
    multiplier, shift = dyadic(acc.scale / out, bits=16, max_shift=62 + GUARD)
    inputs: dict[str, Any] = {
        "x": acc.tensor,
        **dict(zip(("mantissa", "exponent"), acc.token)),
        "multiplier": multiplier,
        "shift": shift.astype(np.int64) - GUARD,
        "bias": rounded(acc.bias / out * 2.0**GUARD, -(1 << 40), 1 << 40),
    }
    op = "rescale_token"
    if residual is not None:
        op = "rescale_token_residual"
        m, s = dyadic(float(residual.scale) / float(scale), max_shift=62 + GUARD)
        inputs |= {"residual": residual.tensor, "residual_multiplier": m, "residual_shift": s.astype(np.int64) - GUARD}
    attrs = {"output": container(bits), **clip(bits, form)}
    name = low.build.node(op, site, inputs, attrs, y=low.build.axes(acc.tensor))["y"]
    if np.ndim(scale) == 0:
        low.build.scale(name, float(scale))
    return Value(name, np.float64(scale) if np.ndim(scale) == 0 else out)


# --- attention -------------------------------------------------------------------------------------------------------


@lowers("attention_input", "rescale")
def static_attention_input(low: Lowering, acc: Value, site: str) -> Value:
    """q, k or v: int8, one static scale."""
    made = rescaled(low, acc, site, low.int8_scale(site), low.recipe.activation_bits, low.site("attention_input"))
    return Value(made.tensor, made.scale, heads=np.full(low.heads, float(made.scale)))


@lowers("attention_input", "rescale_token")
def token_attention_input(low: Lowering, acc: Value, site: str) -> Value:
    """q, k or v: int8, one static scale for each head, so that no token scale meets P * V's sum over tokens."""
    bits, at = low.recipe.activation_bits, low.site("attention_input")
    peaks = low.ranges.heads(site, low.heads)
    if at["scale"] == "tensor":
        peaks = np.full(low.heads, peaks.max())
    heads = np.maximum(peaks, float(scales.TINY)) / symmetric_range(bits)
    width = low.build.axes(acc.tensor)[-1]
    made = token_rescaled(low, acc, site, np.repeat(heads, int(width) // low.heads), bits, at["clamp"])
    return Value(made.tensor, made.scale, heads=heads)


@lowers("scores", "matmul")
def scores(low: Lowering, q: Value, k: Value, site: str, head_width: int) -> Value:
    """q * k for every head; 1 / sqrt(d) goes into the scale."""
    build, axes = low.build, ("B", low.heads, "T", head_width)
    left = build.node("split_heads", f"{site}.q", {"x": q.tensor}, {"heads": low.heads}, y=axes)["y"]
    right = build.node("split_heads", f"{site}.k", {"x": k.tensor}, {"heads": low.heads}, y=axes)["y"]
    turned = build.node("transpose", f"{site}.kt", {"x": right}, y=("B", low.heads, head_width, "T"))["y"]
    name = build.node("matmul", site, {"a": left, "b": turned}, y=("B", low.heads, "T", "T"))["y"]
    assert q.heads is not None and k.heads is not None
    heads = q.heads * k.heads / math.sqrt(head_width)
    return Value(name, float(heads.max()), heads=heads)


@lowers("softmax", "softmax_ibert")
def softmax_ibert(low: Lowering, x: Value, mask: str, site: str) -> tuple[Value, None]:
    """Probabilities at scale 2**-8."""
    low.require(x.heads is None or len({*x.heads}) == 1, site, "softmax_ibert needs scores of one scale for all heads")
    attrs = scales.softmax_constants(float(x.scale))
    name = low.build.node("softmax_ibert", site, {"x": x.tensor, "mask": mask}, attrs, p=low.build.axes(x.tensor))["p"]
    low.build.scale(name, 2.0**-8)
    return Value(name, 2.0**-8), None


@lowers("softmax", "softmax_exp2")
def softmax_exp2(low: Lowering, x: Value, mask: str, site: str) -> tuple[Value, str]:
    """Unnormalised probabilities of 8 bits, and each row's sum, by which the context is divided."""
    assert x.heads is not None
    multiplier, shift = dyadic(x.heads * math.log2(math.e) * 2.0**16, max_shift=62)
    table = low.build.constant("exp2.table", scales.exp2_table(), "int32")
    inputs = {"x": x.tensor, "mask": mask, "multiplier": multiplier, "shift": shift, "table": table}
    axes = low.build.axes(x.tensor)
    made = low.build.node("softmax_exp2", site, inputs, p=axes, total=(*axes[:-1], 1))
    return Value(made["p"], 1.0), made["total"]


def weighted_values(low: Lowering, p: Value, v: Value, site: str) -> str:
    """P * V for every head: the accumulator [B H T D]."""
    width = int(low.build.axes(v.tensor)[-1]) // low.heads
    axes = ("B", low.heads, "T", width)
    split = low.build.node("split_heads", f"{site}.v", {"x": v.tensor}, {"heads": low.heads}, y=axes)["y"]
    return low.build.node("matmul", f"{site}.pv", {"a": p.tensor, "b": split}, y=axes)["y"]


def merged(low: Lowering, x: str, site: str) -> str:
    """Heads side by side again: [B T C]."""
    _, heads, _, width = low.build.axes(x)
    return low.build.node("merge_heads", site, {"x": x}, y=("B", "T", int(heads) * int(width)))["y"]


@lowers("context", "rescale")
def static_context(low: Lowering, p: Value, total: str | None, v: Value, site: str) -> Value:
    """int8 at a static scale: the input of the output projection."""
    low.require(total is None, site, "rescale needs normalised probabilities; those of softmax_exp2 go to rescale_quotient")
    low.require(np.ndim(v.scale) == 0, site, "rescale needs values of one scale for all heads")
    acc = Value(weighted_values(low, p, v, site), float(p.scale) * float(v.scale))
    made = rescaled(low, acc, f"{site}.heads", low.int8_scale(site), low.recipe.activation_bits, low.site("context"))
    name = merged(low, made.tensor, site)
    low.build.scale(name, float(made.scale))
    return Value(name, made.scale)


@lowers("context", "rescale_quotient")
def quotient_context(low: Lowering, p: Value, total: str | None, v: Value, site: str) -> Value:
    """Fixed point, divided by the row's sum only now."""
    low.require(total is not None, site, "rescale_quotient needs the sums that softmax_exp2 makes")
    acc, out = weighted_values(low, p, v, site), low.fixed_scale(site)
    assert v.heads is not None
    multiplier, shift = dyadic(v.heads / out, bits=24, max_shift=38)
    inputs = {"x": acc, "total": total, "multiplier": multiplier, "shift": shift}
    attrs = {"output": "int32", "low": -FIXED, "high": FIXED}
    made = low.build.node("rescale_quotient", f"{site}.heads", inputs, attrs, y=low.build.axes(acc))["y"]
    name = merged(low, made, site)
    low.build.scale(name, out)
    return Value(name, out)


# --- residual, activation --------------------------------------------------------------------------------------------


@lowers("residual", "add")
def residual_add(low: Lowering, acc: Value, x: Value, site: str) -> Value:
    """Accumulator and residual stream, each rescaled by itself, at the scale of a norm's input."""
    bits, at = low.recipe.sum_bits, low.site("residual")
    return _added(low, acc, x, site, low.wide_scale(site, bits), bits, at, int(at.get("spare_bits", 0)))


@lowers("residual", "rescale_token_residual")
def residual_token(low: Lowering, acc: Value, x: Value, site: str) -> Value:
    """One rounding for both terms."""
    return token_rescaled(low, acc, site, low.fixed_scale(site), FIXED_BITS, "symmetric", residual=x)


@lowers("activation", "gelu_ibert")
def activation_ibert(low: Lowering, acc: Value, site: str) -> Value:
    """The polynomial on the raw accumulator, then int8."""
    low.require(acc.token is None, site, STATIC)
    constants, scale = scales.gelu_constants(np.asarray(acc.scale))
    axes = low.build.axes(acc.tensor)
    name = low.build.node("gelu_ibert", f"{site}.raw", {"x": acc.tensor, **constants}, y=axes)["y"]
    out = low.int8_scale(site)
    return rescaled(low, Value(name, scale), site, out, low.recipe.activation_bits, low.site("activation"))


@lowers("activation", "gelu_table")
def activation_table(low: Lowering, acc: Value, site: str) -> Value:
    """Fixed point through a table with interpolation."""
    up = site.replace(".act", ".up")
    scale = min(max(low.fixed_scale(up), 2.0**-23), 2.0**-6)
    h = token_rescaled(low, acc, up, scale, FIXED_BITS, "symmetric")
    table = low.build.constant("gelu.table", scales.gelu_entries(), "int32")
    attrs = {"fraction": -int(math.log2(scale))}
    name = low.build.node("gelu_table", site, {"x": h.tensor, "table": table}, attrs, y=low.build.axes(acc.tensor))["y"]
    low.build.scale(name, scale)
    return Value(name, scale)


# --- heads -----------------------------------------------------------------------------------------------------------


def requantized(low: Lowering, acc: Value, site: str, scale: Any, bits: int, at: Mapping[str, Any]) -> Value:
    """An accumulator of either style at a static scale."""
    if acc.token is not None:
        return token_rescaled(low, acc, site, scale, bits, "symmetric")
    return rescaled(low, acc, site, scale, bits, {"rounding": "half_even", **at})


@lowers("pooler", "table")
def tanh_table(low: Lowering, acc: Value, site: str) -> Value:
    """tanh by a table of 256 entries."""
    at = low.site("pooler")
    pre = requantized(low, acc, f"{site}.pre", low.int8_scale(f"{site}.pre"), 8, at)
    entries, scale = scales.tanh_entries(float(pre.scale), at["output"])
    inputs = {"x": pre.tensor, "entries": low.build.constant(f"{site}.table", entries, at["output"])}
    name = low.build.node("table", site, inputs, y=low.build.axes(pre.tensor))["y"]
    low.build.scale(name, scale)
    return Value(name, np.float64(scale))


@lowers("logits", "rescale")
@lowers("logits", "rescale_token")
def logits(low: Lowering, acc: Value, site: str) -> Value:
    """One scale for all classes, so that integers can be compared."""
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
