"""TOSA: GELU by a TABLE of 16 bits, between two RESCALEs."""

import numpy as np
from scipy.special import ndtr

from intref.quantize.sites.linear import STATIC, few_bits, rescaled
from intref.quantize.sites.lowering import Lowering, Value, lowers

CELLS, STEP = 512, 128  # between entries, and of x between two of them
HIGHEST = (1 << 15) - 1


@lowers("activation", "table_tosa")
def activation(low: Lowering, acc: Value, site: str) -> Value:
    """int16 in, the table's 7 bits more out, then int8: entries have the scale of x, since |GELU(x)| <= |x|."""
    low.require(acc.token is None, site, STATIC)
    at = low.site("activation")
    x = rescaled(low, acc, f"{site}.in", low.wide_scale(site.replace(".act", ".up"), 16), 16, at)
    steps = np.arange(-CELLS // 2, CELLS // 2 + 1) * STEP
    entries = np.floor(steps * ndtr(steps * float(x.scale)) + 0.5)
    table = low.build.constant(f"{site}.table", np.clip(entries, -HIGHEST - 1, HIGHEST).astype(np.int64), "int16")
    inputs = {"x": x.tensor, "entries": table}
    name = low.build.node("table_tosa", f"{site}.fine", inputs, y=low.build.axes(x.tensor))["y"]
    fine = Value(name, np.float64(x.scale) / STEP)
    return few_bits(low, fine, site, site, at)
