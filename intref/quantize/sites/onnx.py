"""Linear inputs of GPU kernels: int8 with a float32 scale for each token, found at run time."""

import numpy as np

from intref.quantize.sites.linear import pattern
from intref.quantize.sites.lowering import Lowering, Value, lowers


@lowers("linear_input", "quantize_token_fp32")
def token_input_fp32(low: Lowering, x: Value, site: str) -> Value:
    """Fixed point of 24 bits is float32 without loss; the token's scale carries all that is real."""
    low.require(np.ndim(x.scale) == 0 and x.offset is None, site, "a token-wise input needs one scale for all channels")
    axes = low.build.axes(x.tensor)
    inputs = {"x": x.tensor, "scale": pattern(x.scale), "zero_point": np.zeros(1, np.int32)}
    value = low.build.node("dequantize_fp32", f"{site}.fp32", inputs, y=axes)["y"]
    by = {"by": low.site("linear_input").get("by", "quotient")}
    made = low.build.node("quantize_token_fp32", f"{site}.q", {"x": value}, by, q=axes, scale=(*axes[:-1], 1))
    return Value(made["q"], np.float64(1), token=(made["scale"],))
