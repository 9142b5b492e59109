"""Linear inputs of GPU kernels, int8 with a float32 scale for each token; the softmax of ONNX Runtime."""

import numpy as np

from intref.quantize.scales import softmax_entries
from intref.quantize.sites.linear import from_zero, pattern
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


@lowers("softmax", "qlinear_softmax")
def qlinear_softmax(low: Lowering, x: Value, mask: str, site: str) -> Value:
    """Probabilities of 8 bits at scale 2**-8 and zero point -128, moved to 0 .. 255.

    Entries for the longest row: ONNX Runtime makes them anew for each length, all larger by one factor.
    """
    known = low.build.tensors[x.tensor].dtype == "int8" and np.ndim(x.scale) == 0
    low.require(known, site, "this op needs int8 of one scale: site 'softmax_input' must be rescale to 8 bits")
    axes = low.build.axes(x.tensor)
    keys = low.build.dims.get(str(axes[-1]), axes[-1])
    table = low.build.constant(f"{site}.table", softmax_entries(float(x.scale), int(keys)), "int32")
    attrs = {"factor": 256, "zero_point": -128, "output": "int8"}
    inputs = {"x": x.tensor, "mask": mask, "table": table}
    made = low.build.node("qlinear_softmax", f"{site}.int8", inputs, attrs, y=axes)["y"]
    return from_zero(low, Value(made, 2.0**-8, zero_point=-128), site)
