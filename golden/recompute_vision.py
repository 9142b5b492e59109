"""The ops of I-ViT and FQ-ViT again, written from SPEC.md alone: a part of recompute.py's table.

Exact integers: what SPEC.md bounds below 2**63 is int64. An attribute that a model leaves out has its default here.
"""

import numpy as np
from words import bits, clamp, divided, keys_of, power, relative, wrap32

FULL = (1 << 31) - 1


def shiftexp(d, a, quotient):
    """2**(d * log2(e) / one), one * 2**halvings for d = 0, as each form of I-ViT has it."""
    one, halvings = a["one"], a["halvings"]
    t = np.maximum(d + d // 2 - d // 16, -halvings * one)
    q = divided(-t, one, quotient)
    r = t + q * one
    k = np.minimum(halvings - q, 31)
    return (2 * one + r) * power(k) // 2 if a["form"] == "torch" else (one + r // 2) * power(k)


def softmax_ivit(x, mask, a):
    seen = keys_of(mask)
    e = np.where(seen, shiftexp(relative(x, seen), a, "floor"), 0)
    f = FULL // clamp(e.sum(-1, keepdims=True), 1, FULL)
    return e * f // (1 << 32 - a["bits"])


def gelu_ivit(x, a):
    quotient = "floor" if a["form"] == "torch" else "toward_zero"
    m = x.max(-1, keepdims=True)
    e = shiftexp(x - m, a, quotient)
    s = np.minimum(e + shiftexp(-m, a, quotient), FULL)
    return x * (e * (FULL // s) // (1 << 32 - a["bits"]))


def layernorm_ivit(x, bias, a):
    torch = a["form"] == "torch"
    c = x - divided(x.sum(-1, keepdims=True), x.shape[-1], "half_even" if torch else "toward_zero")
    v = (c**2).sum(-1, keepdims=True)
    v = v if torch else v % (1 << 32)
    sigma = np.full_like(v, 1 << 16)
    for _ in range(10):
        sigma = (sigma + v // sigma) // 2
    f = FULL // sigma
    return c * f // 2 + bias if torch else wrap32(divided(wrap32(c * f), 2, "toward_zero") + bias)


def softmax_log2_fqvit(x, mask, a):
    seen = keys_of(mask)
    d = np.maximum(relative(x, seen), -30 * a["ln2"])
    q = -d // a["ln2"]
    r = d + q * a["ln2"]
    e = (((r + a["b"]) * r + a["c"]) * power(30 - q)).astype(object)
    n = divided(np.where(seen, e, 0).sum(-1, keepdims=True), e, "half_even")
    n = clamp(n, 1, 1 << 16).astype(np.int64)  # below 1 only where mask is 0
    k = bits(n) - 1
    return np.where(seen, k + (2 * n >= 3 * power(k)), 16)


def matmul_shift_fqvit(k, v, a):
    return np.where(k < 16, power(15 - np.minimum(k, 15)), 0) @ v


# op -> its inputs in order, its outputs in order, a function of the inputs (int64) and the attributes
OPS = {
    "softmax_ivit": ("x mask", "p", softmax_ivit),
    "gelu_ivit": ("x", "y", gelu_ivit),
    "layernorm_ivit": ("x bias", "y", layernorm_ivit),
    "softmax_log2_fqvit": ("x mask", "k", softmax_log2_fqvit),
    "matmul_shift_fqvit": ("k v", "y", matmul_shift_fqvit),
}
