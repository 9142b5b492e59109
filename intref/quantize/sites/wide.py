"""Wide fixed point: every scale is a power of two, chosen so that 48 bits hold the calibrated range with headroom."""

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from intref.errors import BoundError
from intref.ops.wide import DEGREE, WIDE
from intref.quantize import cells
from intref.quantize.scales import Array, power_of_two
from intref.quantize.sites import lowering
from intref.quantize.sites.attention import heads_apart, merged
from intref.quantize.sites.lowering import Lowering, Value

UNIT = 2.0**-46  # the scale of probabilities, of tanh and of rows of length 1
FINEST = 2.0**-47  # whose fraction bits gelu_wide and tanh_wide still take
# What is observed of a linear layer whose own result the float graph does not show: what it is added into, or becomes.
OBSERVED = {"attn.out": "attn.sum", "ffn.down": "ffn.sum", "pooler": "pooler.pre", "classifier": "logits"}


def lowers(kind: str, op: str) -> Callable[[Callable[..., Value]], Callable[..., Value]]:
    """Enter a function into SITES that takes wide numbers only."""

    def enter(function: Callable[..., Value]) -> Callable[..., Value]:
        @wraps(function)
        def checked(low: Lowering, *args: Any, **kwargs: Any) -> Value:
            site = [arg for arg in args if isinstance(arg, str)][-1]
            wide = all(_is_wide(low, arg) for arg in args if isinstance(arg, Value))
            low.require(
                wide, site, f"{op} takes 48-bit numbers at one scale, a power of two: so must all sites before it"
            )
            return function(low, *args, **kwargs)

        lowering.lowers(kind, op)(checked)
        return function

    return enter


def _is_wide(low: Lowering, x: Value) -> bool:
    alone = x.token is None and np.ndim(x.scale) == 0 and low.build.tensors[x.tensor].dtype == "int64"
    return alone and math.frexp(float(x.scale))[0] == 0.5


def _scale(low: Lowering, site: str, least: float = 0.0) -> float:
    """A power of two that gives a site its headroom, and holds least."""
    return max(power_of_two(max(low.ranges.peak(site) * low.recipe.headroom, least), 48), FINEST)


def _log2(ratio: float) -> int:
    """The exponent of a power of two."""
    return math.frexp(ratio)[1] - 1


def _integers(x: Array, scale: float) -> Array:
    """x at a scale that is a power of two: int64, exact as far as 48 bits reach."""
    value = np.rint(np.asarray(x, np.float64) / scale)
    if np.abs(value).max() > WIDE:
        raise BoundError(f"a constant of {np.abs(x).max():.4g} does not fit 48 bits at scale 2**{_log2(scale)}")
    return value.astype(np.int64)


def _shift(product: float, out: float) -> tuple[int, float]:
    """shift from the scale of a product to `out`, and the scale that it gives: coarser where 48 bits are the least."""
    shift = min(max(_log2(out / product), 48), 64)
    return shift, product * 2.0**shift


def _made(low: Lowering, name: str, scale: float) -> Value:
    low.build.scale(name, scale)
    return Value(name, np.float64(scale))


@lowers("linear_input", "linear_wide")
@lowers("attention_input", "linear_wide")
@lowers("logits", "linear_wide")
def as_it_is(low: Lowering, x: Value, site: str) -> Value:
    """Nothing is done: a linear layer gives and takes wide numbers."""
    return Value(x.tensor, x.scale)


@lowers("linear", "linear_wide")
def linear(low: Lowering, x: Value, site: str, weight: Array, bias: Array, floor: float = 0.0) -> Value:
    """One rounding, at the scale of the observed result."""
    prefix, _, layer = site.partition(".")
    observed = OBSERVED.get(site) or f"{prefix}.{OBSERVED.get(layer, layer)}"
    wanted = _scale(low, observed, float(np.abs(bias).max()))
    # Weights whose products reach 2**-64 of the result's unit are fine enough.
    weight_scale = max(power_of_two(float(np.abs(weight).max()), 48), wanted / float(x.scale) * 2.0**-64)
    shift, out = _shift(float(x.scale) * weight_scale, wanted)
    inputs = {"x": x.tensor, "weight": _integers(weight, weight_scale), "bias": _integers(bias, out)}
    axes = (*low.build.axes(x.tensor)[:-1], len(bias))
    return _made(low, low.build.node("linear_wide", f"{site}.linear", inputs, {"shift": shift}, y=axes)["y"], out)


@lowers("scores", "matmul_wide")
def scores(low: Lowering, q: Value, k: Value, site: str, head_width: int) -> Value:
    """q * k for every head; 1 / sqrt(d) goes into the scale."""
    left, turned = heads_apart(low, q, k, site, head_width)
    root = math.sqrt(head_width)
    wanted = max(power_of_two(low.ranges.peak(site) * root * low.recipe.headroom, 48), FINEST)
    shift, out = _shift(float(q.scale) * float(k.scale), wanted)
    axes = ("B", low.heads, "T", "T")
    name = low.build.node("matmul_wide", site, {"a": left, "b": turned}, {"shift": shift}, y=axes)["y"]
    return _made(low, name, out / root)


@lowers("softmax", "softmax_wide")
def softmax(low: Lowering, x: Value, mask: str, site: str) -> Value:
    """As many fraction bits of an exponent as a multiplier of 47 bits below 1/2 gives."""
    factor = float(x.scale) * math.log2(math.e)
    fraction = min(-1 - math.frexp(factor)[1], 44)
    if fraction < 24:
        raise BoundError(f"scores of scale {float(x.scale):.4g} are too coarse")
    exponent = math.frexp(factor)[1] + fraction
    shift = min(47 - exponent, 64)
    attrs = {"multiplier": min(round(math.ldexp(factor, fraction + shift)), WIDE), "shift": shift, "fraction": fraction}
    inputs = {"x": x.tensor, "mask": mask, "coefficients": _cells(low, "exp2", cells.exp2())}
    return _made(low, low.build.node("softmax_wide", site, inputs, attrs, p=low.build.axes(x.tensor))["p"], UNIT)


def _cells(low: Lowering, name: str, table: Array) -> str:
    assert table.shape[1] == DEGREE + 1
    return low.build.constant(f"{name}.cells", table, "int64")


@lowers("context", "matmul_wide")
def context(low: Lowering, p: Value, v: Value, site: str) -> Value:
    """P * V."""
    width = int(low.build.axes(v.tensor)[-1]) // low.heads
    axes = ("B", low.heads, "T", width)
    split = low.build.node("split_heads", f"{site}.v", {"x": v.tensor}, {"heads": low.heads}, y=axes)["y"]
    shift, out = _shift(float(p.scale) * float(v.scale), _scale(low, site))
    heads = low.build.node("matmul_wide", f"{site}.heads", {"a": p.tensor, "b": split}, {"shift": shift}, y=axes)["y"]
    return _made(low, merged(low, heads, site), out)


@lowers("embedding_sum", "add_wide")
@lowers("residual", "add_wide")
def add(low: Lowering, a: Value, b: Value, site: str) -> Value:
    """One rounding, at the scale of the sum."""
    scale = _scale(low, "emb.sum" if site == "emb.typed" else site)
    finest = min(float(a.scale), float(b.scale), scale)
    attrs = {port: _log2(float(v) / finest) for port, v in (("a_shift", a.scale), ("b_shift", b.scale))}
    inputs, attrs = {"a": a.tensor, "b": b.tensor}, {**attrs, "shift": _log2(scale / finest)}
    if max(attrs["a_shift"], attrs["b_shift"]) > 14 or attrs["shift"] > 28:
        raise BoundError(f"terms of scales {float(a.scale):.4g} and {float(b.scale):.4g} are too far apart")
    return _made(low, low.build.node("add_wide", site, inputs, attrs, y=low.build.axes(a.tensor))["y"], scale)


@lowers("norm", "layernorm_wide")
def norm(low: Lowering, x: Value, site: str, weight: Array, bias: Array, eps: float) -> Value:
    """gain and bias at the result's scale; epsilon where the fullest shift of a row leaves it 52 bits."""
    width = len(weight)
    epsilon = width * eps / float(x.scale) ** 2
    most = min(48, math.floor((100 - math.log2(epsilon)) / 2)) if epsilon else 48
    if most < 0:
        raise BoundError(f"epsilon {eps:.4g} does not fit beside a scale of {float(x.scale):.4g}")
    gamma = weight.astype(np.float64) * math.sqrt(width) * UNIT
    top = max(float(np.abs(gamma).max()), 2.0**-110)
    out = max(_scale(low, site, float(np.abs(bias).max())), 2.0 ** (math.frexp(top)[1] + 1))
    shift = min(47 - math.frexp(top / out)[1], 64)
    gain = np.minimum(np.rint(gamma / out * 2.0**shift), WIDE).astype(np.int64)
    attrs = {"eps": round(epsilon * 4.0**most / 2.0**48), "most": most, "shift": shift}
    inputs = {"x": x.tensor, "gain": np.maximum(gain, -WIDE), "bias": _integers(bias, out)}
    return _made(low, low.build.node("layernorm_wide", site, inputs, attrs, y=low.build.axes(x.tensor))["y"], out)


@lowers("activation", "gelu_wide")
def gelu(low: Lowering, acc: Value, site: str) -> Value:
    """At the scale of its input."""
    return _function(low, "gelu_wide", acc, site, _cells(low, "gelu", cells.gelu()), float(acc.scale))


@lowers("pooler", "tanh_wide")
def tanh(low: Lowering, acc: Value, site: str) -> Value:
    """At the scale of 1."""
    return _function(low, "tanh_wide", acc, site, _cells(low, "tanh", cells.tanh()), UNIT)


def _function(low: Lowering, op: str, acc: Value, site: str, table: str, scale: float) -> Value:
    attrs: dict[str, Any] = {"fraction": -_log2(float(acc.scale))}
    inputs = {"x": acc.tensor, "coefficients": table}
    return _made(low, low.build.node(op, site, inputs, attrs, y=low.build.axes(acc.tensor))["y"], scale)


@lowers("pooling", "mean_pool_wide")
def mean_pool(low: Lowering, x: Value, mask: str, site: str) -> Value:
    """At the scale of its input."""
    axes = ("B", low.build.axes(x.tensor)[-1])
    name = low.build.node("mean_pool_wide", site, {"x": x.tensor, "mask": mask}, y=axes)["y"]
    return _made(low, name, float(x.scale))


@lowers("unit_length", "l2_normalize_wide")
def l2_normalize(low: Lowering, x: Value, site: str) -> Value:
    """A row divided by its length: the scale of x cancels."""
    return _made(low, low.build.node("l2_normalize_wide", site, {"x": x.tensor}, y=low.build.axes(x.tensor))["y"], UNIT)
