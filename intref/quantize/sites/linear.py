"""Linear layers: their inputs, their accumulators, and every way back from an accumulator."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from intref.ops.token import GUARD
from intref.quantize import scales
from intref.quantize.scales import Array, dyadic, fitted, rounded
from intref.quantize.sites.lowering import FIXED, FIXED_BITS, Lowering, Value, clip, container, lowers, moved, register

STATIC = "this op needs an accumulator of static scale: site 'linear_input' must be rescale"
PLAIN_EPILOGUE = {"order": "token_first", "contract": "off"}  # in float32, where site 'linear' says nothing
TOKEN = "this op needs a token-wise accumulator: site 'linear_input' must be quantize_token"


def rescaled(
    low: Lowering,
    value: Value,
    site: str,
    scale: Any,
    bits: int,
    at: Mapping[str, Any],
    axis: int = -1,
    zero_point: int = 0,
) -> Value:
    """value at a new static scale, by the op rescale; add_bias for channels whose scale cannot carry their offset."""
    low.require(value.token is None, site, STATIC)
    low.require("rounding" in at, site, "a requantizer is needed before this op: give the site of its input a rounding")
    low.require(not _unlike(at), site, "fp32_half_even has no integer multiplier for 'steps' or 'multiplier_bits'")
    build, axes = low.build, low.build.axes(value.tensor)
    ratio = np.asarray(value.scale if value.heads is None else value.heads, np.float64) / np.float64(scale)
    multiplier, shift = scales.rescaling(ratio, at["rounding"], at.get("multiplier_bits", 31))
    offset = None if value.offset is None or not value.offset.any() else rounded(value.offset / scale, -FIXED, FIXED)
    attrs = {"rounding": at["rounding"], "output": container(bits), **clip(bits, at.get("clamp", "full"))}
    inner = site if offset is None else f"{site}.scaled"
    inputs = {"x": value.tensor, "multiplier": multiplier, "shift": shift}
    if at.get("steps") == 2:
        inputs = _first_step(low, f"{inner}.first", inputs, axis, at["rounding"])
    placed = attrs | {"axis": axis} | ({"output_zero_point": zero_point} if zero_point else {})
    name = build.node("rescale", inner, inputs, placed, y=axes)["y"]
    if offset is not None:
        del attrs["rounding"]
        name = build.node("add_bias", site, {"x": name, "bias": offset}, attrs, y=axes)["y"]
    return low.told(Value(name, np.float64(scale), zero_point=zero_point))


def few_bits(low: Lowering, value: Value, name: str, site: str, at: Mapping[str, Any]) -> Value:
    """value as an activation of few bits at its calibrated scale, and with its zero point where the profile has one."""
    scale, zero_point = low.at_few_bits(site, at)
    return rescaled(low, value, name, scale, low.recipe.activation_bits, at, zero_point=zero_point)


def from_zero(low: Lowering, x: Value, site: str) -> Value:
    """x without its zero point, exactly: 8 bits and a zero point fit 16."""
    return widened(low, x, site, "int16") if x.zero_point else x


def widened(low: Lowering, x: Value, site: str, output: str) -> Value:
    """x in a wider dtype and without its zero point: a rescale by 1."""
    one = {"multiplier": np.array([1]), "shift": np.array([0])}
    attrs = {"rounding": "half_up", "output": output} | moved(input=x)
    name = low.build.node("rescale", site, {"x": x.tensor, **one}, attrs, y=low.build.axes(x.tensor))["y"]
    return low.told(replace(x, tensor=name, zero_point=0))


def _unlike(at: Mapping[str, Any]) -> bool:
    """Whether a requantizer in float32 is given what integer multipliers have."""
    return at["rounding"] == "fp32_half_even" and (at.get("steps") == 2 or "multiplier_bits" in at)


def _first_step(low: Lowering, site: str, inputs: dict[str, Any], axis: int, rounding: str) -> dict[str, Any]:
    """The product rounded at 2**-31, as int32; what the second step is then given: a power of two."""
    now, left = scales.two_steps(inputs["shift"])
    first = {**inputs, "shift": now}
    attrs = {"rounding": rounding, "output": "int32", "axis": axis}
    name = low.build.node("rescale", site, first, attrs, y=low.build.axes(inputs["x"]))["y"]
    return {"x": name, "multiplier": np.ones(len(left), np.int64), "shift": left}


def token_rescaled(
    low: Lowering, acc: Value, site: str, scale: Any, bits: int, form: str, residual: Value | None = None
) -> Value:
    """The accumulator of a token-wise product at a static scale (a number, or per channel [N]), bias added."""
    low.require(acc.token is not None, site, TOKEN)
    assert acc.token is not None and acc.bias is not None
    width = len(acc.bias)
    out = np.broadcast_to(np.asarray(scale, np.float64), (width,))
    if len(acc.token) == 1:
        return fp32_rescaled(low, acc, site, out if np.ndim(scale) else out[:1], bits, form, residual)
    multiplier, shift = dyadic(acc.scale / out, bits=16, max_shift=62 + GUARD)
    inputs: dict[str, Any] = {
        "x": acc.tensor,
        **dict(zip(("mantissa", "exponent"), acc.token)),
        "multiplier": multiplier,
        "shift": shift.astype(np.int64) - GUARD,
        "bias": fitted(acc.bias / out * 2.0**GUARD, 40),
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


def fp32_rescaled(
    low: Lowering, acc: Value, site: str, scale: Array, bits: int, form: str, residual: Value | None
) -> Value:
    """The same in float32, then as integers of scale [1] or [N]; a residual is added to those."""
    assert acc.token is not None and acc.bias is not None
    axes, out = low.build.axes(acc.tensor), np.float64(scale[0]) if len(scale) == 1 else scale
    inputs = {"x": acc.tensor, "token": acc.token[0], "channel": pattern(acc.scale), "bias": pattern(acc.bias)}
    how = {key: low.site("linear").get(key, plain) for key, plain in PLAIN_EPILOGUE.items()}
    value = low.build.node("epilogue_fp32", f"{site}.fp32", inputs, how, y=axes)["y"]
    inner = site if residual is None else f"{site}.scaled"
    inputs = {"x": value, "scale": pattern(scale), "zero_point": np.zeros(1, np.int32)}
    made = low.build.node("quantize_fp32", inner, inputs, {"output": container(bits), **clip(bits, form)}, y=axes)["y"]
    if residual is not None:
        at = {"rounding": "half_even", "clamp": form}
        return added(low, Value(made, out), residual, site, float(scale[0]), bits, at)
    if len(scale) == 1:
        low.build.scale(made, float(scale[0]))
    return Value(made, out)


def pattern(value: Any) -> Array:
    """The bit patterns of the nearest float32s, int32 [N]."""
    return np.atleast_1d(np.asarray(value, np.float64)).astype(np.float32).view(np.int32)


def requantized(low: Lowering, acc: Value, site: str, scale: Any, bits: int, at: Mapping[str, Any]) -> Value:
    """An accumulator of either style at a static scale."""
    if acc.token is None:
        return rescaled(low, acc, site, scale, bits, at)
    low.require(not at.keys() & {"rounding", "steps"}, site, "a token-wise accumulator has no 'rounding', no 'steps'")
    return token_rescaled(low, acc, site, scale, bits, "symmetric")


# An op -> how many tensors the scale of a token has that it takes, and what site 'linear_input' must then be.
STYLES = {
    "rescale": (0, "rescale"),
    "epilogue_fp32": (1, "quantize_token_fp32"),
    "rescale_token": (2, "quantize_token"),
    "rescale_token_residual": (2, "quantize_token"),
}


def require_style(low: Lowering, acc: Value, site: str, kind: str) -> None:
    """Unsupported where the op that the profile names at a site is not the one for such an accumulator."""
    op = str(low.site(kind)["op"])
    tensors, wanted = STYLES[op]
    fits = len(acc.token or ()) == tensors
    low.require(fits, site, f"{op} needs another accumulator: site 'linear_input' must be {wanted}")


def added(
    low: Lowering, a: Value, b: Value, site: str, scale: Any, bits: int, at: Mapping[str, Any], spare: int = 0
) -> Value:
    inputs: dict[str, Any] = {"a": a.tensor, "b": b.tensor}
    for port, value in (("a", a), ("b", b)):
        low.require(value.token is None and value.offset is None, site, STATIC)
        ratio = np.asarray(value.scale, np.float64) / np.float64(scale)
        inputs[f"{port}_multiplier"], inputs[f"{port}_shift"] = dyadic(ratio)
    most = bits + spare
    low.require(most <= 32, site, f"this sum takes at most 32 bits, not {most}: fewer of the recipe, or spare_bits")
    attrs = {"rounding": at["rounding"], "output": "int32", **clip(most, at.get("clamp", "full"))}
    name = low.build.node("add", site, inputs, attrs, y=low.build.axes(a.tensor))["y"]
    low.build.scale(name, float(scale))
    return Value(name, np.float64(scale))


LOGARITHMS = {"ln 2": np.float32(math.log(2)), "ln 2 / 32": np.float32(math.log(2) / 32)}


@lowers("linear_input", "rescale")
def static_input(low: Lowering, x: Value, site: str) -> Value:
    """A static int8 scale, from calibration."""
    if low.build.tensors[x.tensor].dtype == "int8" and x.offset is None:
        return x
    name = f"{site}.q"
    if name not in low.made:
        low.made[name] = few_bits(low, x, name, site, low.site("linear_input"))
    return low.made[name]


def _narrowed(low: Lowering, x: Value, site: str, kind: str) -> Value:
    at = low.site(kind)
    low.require(x.token is None, site, STATIC)
    bits = int(at.get("bits", low.recipe.activation_bits))
    scale = LOGARITHMS.get(str(at.get("scale"))) or low.scale_of(site, bits)
    made = rescaled(low, replace(x, heads=None), f"{site}.in", scale, bits, at)
    return replace(made, heads=None if x.heads is None else np.full(low.heads, float(scale)))


@lowers("softmax_input", "rescale")
def softmax_input(low: Lowering, x: Value, site: str) -> Value:
    """Scores at one static scale."""
    low.require(x.heads is None or len({*x.heads}) == 1, site, "rescale needs scores of one scale for all heads")
    return _narrowed(low, x, site, "softmax_input")


@lowers("activation_input", "rescale")
def activation_input(low: Lowering, x: Value, site: str) -> Value:
    """The input of the activation at one static scale."""
    return _narrowed(low, x, site, "activation_input")


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
    few = max(low.recipe.weight_bits, low.recipe.activation_bits) <= 8
    low.require(few, site, "linear takes weights and activations of at most 8 bits, not those of this recipe")
    static, at = x.token is None, low.site("linear")
    alone = "only the float32 epilogue has 'order' and 'contract': site 'linear_input' must be quantize_token_fp32"
    low.require(not at.keys() & PLAIN_EPILOGUE.keys() or len(x.token or ()) == 1, site, alone)
    low.require(static or "bias_bits" not in at, site, "a bias beside token-wise inputs is no integer of 'bias_bits'")
    most = 2.0 ** (int(at.get("bias_bits", 32)) - 2)
    least = np.maximum(np.abs(bias) / most, floor) / np.abs(np.float64(x.scale)) if static else 0.0
    scale = np.maximum(scales.weight_scale(weight, low.recipe.weight_bits), least).astype(np.float32)
    q = scales.quantized_weight(weight, scale[:, None], low.recipe.weight_bits, low.recipe.weight_form)
    product = (
        (np.float32(x.scale) * scale).astype(np.float32) if static else np.float64(x.scale) * scale.astype(np.float64)
    )
    integer = scales.ibert_bias(bias, product) if static else np.zeros(len(bias), np.int32)
    axes = (*low.build.axes(x.tensor)[:-1], len(bias))
    inputs = {"x": x.tensor, "weight": q, "bias": integer}
    attrs = register(at) | moved(x=x)
    name = low.build.node("linear", f"{site}.linear", inputs, attrs, y=axes)["y"]
    return Value(name, product, bias=None if static else bias.astype(np.float64), token=x.token)


@lowers("residual", "add")
def residual_add(low: Lowering, acc: Value, x: Value, site: str) -> Value:
    """Accumulator and residual stream, each rescaled by itself, at the scale of a norm's input."""
    at = low.site("residual")
    bits = int(at.get("bits", low.recipe.sum_bits))
    return added(low, acc, x, site, low.wide_scale(site, bits), bits, at, int(at.get("spare_bits", 0)))


@lowers("residual", "epilogue_fp32")
@lowers("residual", "rescale_token_residual")
def residual_token(low: Lowering, acc: Value, x: Value, site: str) -> Value:
    """Product and residual at one fixed point: with one rounding for both, or in float32 the product by itself."""
    require_style(low, acc, site, "residual")
    return token_rescaled(low, acc, site, low.fixed_scale(site), FIXED_BITS, "symmetric", residual=x)
