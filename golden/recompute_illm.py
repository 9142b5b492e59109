"""The ops of I-LLM again, written from SPEC.md alone: a part of recompute.py's table. Python's own integers."""

import numpy as np
from words import bits, divided, isqrt, keys_of, relative


def two_to(n):
    return 2 ** n.astype(object)


def decayed(d, m, k):
    """e of d <= 0, and t."""
    t = divided(two_to(k), (m + m // 2 - m // 16).astype(object), "half_up")
    q = -d // t
    r = d + q * t
    return (r // 2 + t) // two_to(np.minimum(q, 31)), t


def by_head(v):
    return v[:, None, None] if v.ndim == 1 else v


def softmax_illm(x, mask, m, k, a):
    seen, m, k = keys_of(mask), by_head(m), by_head(k)
    furthest = divided(a["clip"] * two_to(k), m.astype(object), "half_up")
    e, _ = decayed(np.maximum(relative(x, seen), -furthest), m, k)
    e = np.where(seen, e, 0)
    return divided(e * 2 ** (a["bits"] - 1), np.maximum(e.sum(-1, keepdims=True), 1), "half_up")


def swiglu_illm(gate, up, m, k, a):
    e, t = decayed(-np.abs(gate), m, k)
    return gate * divided(np.where(gate >= 0, t, e) * 2 ** (a["bits"] - 1), t + e, "half_up") * up


def rmsnorm_illm(x, a):
    x = x.astype(object)
    lift = a["top"] + 1 - bits(np.abs(x).max(-1, keepdims=True))
    s = divided(x * two_to(np.maximum(lift, 0)), two_to(np.maximum(-lift, 0)), "half_up")
    v = divided((s * s).sum(-1, keepdims=True), x.shape[-1], "half_up")
    return divided(s * 2 ** a["fraction"], np.maximum(isqrt(v), 1), "half_away")


def layernorm_illm(x, a):
    return rmsnorm_illm(x.shape[-1] * x - x.sum(-1, keepdims=True), a)


def requantize_illm(x, m, k, a):
    x, n = x.astype(object), 2 ** a["bits"] - 1
    low = x.min(-1, keepdims=True)
    span = np.maximum(x.max(-1, keepdims=True) - low, 1)

    def mantissa(e):
        return divided(span * m * two_to(np.maximum(e, 0)), n * two_to(np.maximum(-e, 0)), "half_up")

    first = 7 + a["bits"] - bits(span * m)
    b = first + (mantissa(first) < 128)
    y = divided((x - low) * n, span, "half_up")
    return y, divided(-low * n, span, "half_away"), mantissa(b), k + b


# op -> its inputs in order, its outputs in order, a function of the inputs (int64) and the attributes
OPS = {
    "softmax_illm": ("x mask m k", "p", softmax_illm),
    "swiglu_illm": ("gate up m k", "y", swiglu_illm),
    "rmsnorm_illm": ("x", "y", rmsnorm_illm),
    "layernorm_illm": ("x", "y", layernorm_illm),
    "requantize_illm": ("x m k", "y zero_point m_y k_y", requantize_illm),
}
