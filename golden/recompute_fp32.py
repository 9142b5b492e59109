"""The ops that are defined by float32 again, from SPEC.md alone.

NumPy's float32 is the one of the text: each operation rounds once, half to even, and keeps subnormals.
"""

import numpy as np
from words import along, clamp


def floats(pattern):
    return pattern.astype(np.int32).view(np.float32)


def patterns(x):
    return x.astype(np.float32, casting="no").view(np.int32).astype(np.int64)


def integers(x):
    """The nearest integer, half to even; what is beyond 2**40, or infinite, as 2**40."""
    return np.clip(np.rint(x), np.float32(-(2**40)), np.float32(2**40)).astype(np.int64)


def quantize_fp32(x, scale, zero_point, a):
    scale, zero_point = along(scale, a["axis"], x.ndim), along(zero_point, a["axis"], x.ndim)
    with np.errstate(over="ignore", under="ignore"):
        q = floats(x) / floats(scale)
    return clamp(integers(q) + zero_point, a["low"], a["high"])


def dequantize_fp32(x, scale, zero_point, a):
    scale, zero_point = along(scale, a["axis"], x.ndim), along(zero_point, a["axis"], x.ndim)
    with np.errstate(over="ignore", under="ignore"):
        return patterns((x - zero_point).astype(np.float32) * floats(scale))


def add_fp32(a, b, _):
    with np.errstate(over="ignore"):
        return patterns(floats(a) + floats(b))


def dynamic_quantize(x, a):
    x = floats(x)
    low = np.minimum(x.min(-1, keepdims=True), np.float32(0))
    high = np.maximum(x.max(-1, keepdims=True), np.float32(0))
    scale = np.where(low == high, np.float32(1), (high - low) / np.float32(255))
    zero_point = integers(-low / scale)
    return np.minimum(integers(x / scale) + zero_point, 255), patterns(scale), zero_point


def quantize_token_fp32(x, a):
    x = floats(x)
    peak = np.abs(x).max(-1, keepdims=True)
    scale = peak / np.float32(127)
    some = peak > 0
    if a["by"] == "reciprocal":
        v = x * (np.float32(127) / np.where(some, peak, np.float32(1)))
    else:
        v = x / np.where(some, scale, np.float32(1))
    return np.where(some, integers(v), 0), patterns(scale)


def epilogue_fp32(x, token, channel, bias, a):
    x, token, channel, bias = x.astype(np.float32), floats(token), floats(channel), floats(bias)
    if a["order"] == "token_first":
        p, q = x * token, channel
    elif a["order"] == "channel_first":
        p, q = x * channel, token
    else:
        p, q = x, token * channel
    return patterns(fused(p, q, bias) if a["contract"] == "fma" else p * q + bias)


def fused(p, q, bias):
    """fl32(p * q + bias): float64 holds the product, and its sum is made odd where it is not exact, then rounded."""
    product, bias = np.float64(p) * np.float64(q), np.float64(bias)
    total = product + bias
    back = total - product
    error = product - (total - back) + (bias - back)
    odd = total.view(np.int64) & 1 > 0
    beside = np.nextafter(total, np.where(error > 0, np.inf, -np.inf))
    return np.where(odd | (error == 0), total, beside).astype(np.float32)


def qlinear_softmax(x, mask, table, a):
    attend = (mask[:, None, None] if mask.ndim == 2 else mask[:, None]) > 0
    top = np.where(attend, x, -999).max(-1, keepdims=True)
    e = np.where(attend, floats(table)[np.where(attend, top - x, 0)], np.float32(0))
    total = np.zeros_like(e[..., :1])
    for k in range(e.shape[-1]):
        total = total + e[..., k : k + 1]
    q = e.astype(np.float64) * a["factor"] / np.maximum(total, np.float32(1))
    return np.minimum(integers(q) + a["zero_point"], 127 if a["output"] == "int8" else 255)


def qlinear_add(a, b, attrs):
    sa, sb = (np.float64(attrs[name]) / 2**37 for name in ("a_scale", "b_scale"))
    za, zb, zy = (np.array([attrs[name]]) for name in ("a_zero_point", "b_zero_point", "y_zero_point"))
    offset = fused(-1, fused(za, sa, fused(zb, sb, 0)), zy)
    v = fused(a, sa, fused(b, sb, offset))
    low, high = (-128, 127) if attrs["output"] == "int8" else (0, 255)
    return clamp(integers(v), low, high)


# op -> its inputs in order, its outputs in order, a function of the inputs (int64) and the attributes
OPS = {
    "quantize_fp32": ("x scale zero_point", "y", quantize_fp32),
    "dequantize_fp32": ("x scale zero_point", "y", dequantize_fp32),
    "add_fp32": ("a b", "y", add_fp32),
    "dynamic_quantize": ("x", "y scale zero_point", dynamic_quantize),
    "quantize_token_fp32": ("x", "q scale", quantize_token_fp32),
    "epilogue_fp32": ("x token channel bias", "y", epilogue_fp32),
    "qlinear_softmax": ("x mask table", "y", qlinear_softmax),
    "qlinear_add": ("a b", "y", qlinear_add),
}
