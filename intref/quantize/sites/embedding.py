"""Embeddings and their sum."""

from typing import Any

import numpy as np

from intref.quantize import scales
from intref.quantize.scales import Array, fitted
from intref.quantize.sites.linear import added
from intref.quantize.sites.lowering import FIXED_BITS, Lowering, Value, lowers


@lowers("embedding", "embedding")
def embed(low: Lowering, ids: str, table: Array, site: str, peak: float) -> Value:
    """Rows of a table: int8 at its own scale, or fixed point of 24 or 48 bits at the scale of the sum.

    peak: the largest entry of all tables, for a row that calibration never met must not be clipped.
    """
    if low.site("embedding")["scale"] == "sum":
        scale: Any = low.fixed_scale("emb.sum", peak)
        entries, dtype = fitted(table / scale, FIXED_BITS - 1), "int32"
    elif low.site("embedding")["scale"] == "wide":
        scale = scales.power_of_two(max(low.ranges.peak("emb.sum") * low.recipe.headroom, peak), 48)
        entries, dtype = fitted(table.astype(np.float64) / scale, 47), "int64"
    else:
        bits = low.recipe.weight_bits
        low.require(bits <= 8, site, f"a table of int8 takes weights of at most 8 bits, not the recipe's {bits}")
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
        return added(low, a, b, site, a.scale, FIXED_BITS, low.site("embedding_sum"))
    bits = low.recipe.embedding_bits
    return added(low, a, b, site, low.wide_scale("emb.sum", bits), bits, low.site("embedding_sum"))
