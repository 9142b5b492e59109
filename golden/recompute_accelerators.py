"""The ops of ITA and Gemmini again, written from SPEC.md alone: a part of recompute.py's table.

Exact integers, and float32 where an op is defined by it. An attribute that a model leaves out has its default here.
"""

import numpy as np
from words import divided, isqrt, keys_of, power, relative


def softmax_ita(x, mask, a):
    seen, group, size = keys_of(mask), a.get("group", 16), x.shape[-1]
    x = np.where(seen, x, -128)
    last = np.minimum(np.arange(size) // group * group + group, size) - 1
    top = np.maximum.accumulate(x, -1)[..., last]
    highest = x.max(-1, keepdims=True)
    e = np.where(seen, 256 // power(top - x), 0).astype(object)
    total = (e * power(255 - (highest - top))).sum(-1, keepdims=True) // 2**255  # the exact sum over 2**255
    inverse = 65280 // np.maximum(total, 256)
    return np.where(seen, inverse // power(highest - x), 0)


def erf(v, b, c):
    return np.sign(v) * ((np.minimum(np.abs(v), -b) + b) ** 2 + c)


def gelu_ita(x, a):
    v = np.maximum(x, a.get("lowest", -128))
    return v * (erf(v, a["b"], a["c"]) + a["c"])


def softmax_gemmini(x, mask, a):
    seen = keys_of(mask)
    d = -relative(x, seen)
    z = d * (65536 // a["ln2"]) // 65536
    r = z * a["ln2"] - d
    e = np.where(seen, ((r + a["b"]) ** 2 + a["c"]) // power(np.minimum(z, 31)), 0)
    s = np.float32(127) / np.maximum(e.sum(-1, keepdims=True), 1).astype(np.float32)
    return np.rint(e.astype(np.float32) * s).astype(np.int64)


def gelu_gemmini(x, a):
    return x * (erf(x, a["b"], a["c"]) + a["one"])


def layernorm_gemmini(x, a):
    c = x - divided(x.sum(-1, keepdims=True), x.shape[-1], "toward_zero")
    v = (c**2).sum(-1, keepdims=True) // x.shape[-1]
    return divided(c, np.maximum(isqrt(v), 1), "half_even")


# op -> its inputs in order, its outputs in order, a function of the inputs (int64) and the attributes
OPS = {
    "softmax_ita": ("x mask", "p", softmax_ita),
    "gelu_ita": ("x", "y", gelu_ita),
    "softmax_gemmini": ("x mask", "p", softmax_gemmini),
    "gelu_gemmini": ("x", "y", gelu_gemmini),
    "layernorm_gemmini": ("x", "y", layernorm_gemmini),
}
