"""Functions of one element: GELU by polynomial or table, tanh by table."""

import math

import numpy as np

from intref.quantize import scales
from intref.quantize.sites.linear import STATIC, few_bits, requantized, token_rescaled
from intref.quantize.sites.lowering import FIXED_BITS, Lowering, Value, lowers


@lowers("activation", "gelu_ibert")
def activation_ibert(low: Lowering, acc: Value, site: str) -> Value:
    """The polynomial on the raw accumulator, then int8."""
    low.require(acc.token is None, site, STATIC)
    low.require(np.ndim(acc.scale) == 1, site, "gelu_ibert takes the accumulator: leave out 'activation_input'")
    constants, scale = scales.gelu_constants(np.asarray(acc.scale), low.site("activation").get("constants", "code"))
    axes = low.build.axes(acc.tensor)
    name = low.build.node("gelu_ibert", f"{site}.raw", {"x": acc.tensor, **constants}, y=axes)["y"]
    return few_bits(low, Value(name, scale), site, site, low.site("activation"))


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
