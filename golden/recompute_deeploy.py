"""The ops of Deeploy again, written from SPEC.md alone: a part of recompute.py's table.

Exact integers: what may pass 2**60 is Python's own. An attribute that a model leaves out has its default here.
"""

import numpy as np
from words import along, clamp, divided, isqrt, keys_of, power, relative, times, wrap32


def wrap8(x):
    return (x + 128) % 256 - 128


def narrowed(z, a):
    return clamp(z, -128, 127) if a["overflow"] == "clamp" else wrap8(z)


def levelled(u, a):
    """The levels 0 .. of a softmax: from 0 in uint8, from as far below 0 as half of them in int8."""
    return u % 256 if a["output"] == "uint8" else wrap8(u - a.get("levels", 256) // 2)


def requant_shift(x, mul, add, a):
    mul, add = (along(v, a.get("axis", -1), x.ndim) for v in (mul, add))
    p = wrap32(times(x + a.get("input_offset", 0), mul) + add)
    if a["rounding"] == "half_up":
        p = wrap32(p + 2 ** a["shift"] // 2)
    return clamp(wrap32(p // 2 ** a["shift"] + a.get("output_offset", 0)), a["low"], a["high"])


def softmax_deeploy(x, mask, a):
    seen = keys_of(mask)
    d = -relative(x, seen)
    z = np.minimum(d // a["ln2"], 31)
    r = z * a["ln2"] - d
    e = np.where(seen, (a["a"] * (r + a["b"]) ** 2 + a["c"]) // power(z), 0)
    total = np.maximum(e.sum(-1, keepdims=True) % (1 << 32), 1)
    return levelled(e * (a.get("levels", 256) - 1) % (1 << 32) // total, a)


def softmax_itamax(x, mask, a):
    seen = keys_of(mask)
    s = (16 - relative(x, seen)) // 32
    total = np.where(seen, power(8 - s), 0).sum(-1, keepdims=True)
    inverse = (a.get("levels", 256) - 1) * 256 // np.maximum(total, 256)
    return levelled(np.where(seen, inverse // power(s), 0), a)


def steps(top, x):
    return (top - x + 16) // 32


def softmax_itamax_partial(x, mask, a):
    seen = keys_of(mask) & np.full(x.shape, True)
    top, total = np.full((*x.shape[:-1], 1), -129), np.zeros((*x.shape[:-1], 1), np.int64)
    for g in range(0, x.shape[-1], a["group"]):
        keys, here = x[..., g : g + a["group"]], seen[..., g : g + a["group"]]
        last, top = top, np.maximum(top, np.where(here, keys, -129).max(-1, keepdims=True))
        climb = steps(top, last) if g else np.zeros_like(top)
        own = np.where(here, power(8 - steps(top, np.where(here, keys, top))), 0)
        total = total // power(climb) + own.sum(-1, keepdims=True)
    inverse = (a.get("levels", 256) // 2 - 1) * 256 // np.maximum(total, 256)
    return levelled(np.where(seen, inverse // power(steps(top, np.where(seen, x, top))), 0), a)


def deviation(c):
    return isqrt((c**2).sum(-1, keepdims=True) // c.shape[-1] + 1)


def layernorm_deeploy(x, weight, bias, a):
    v = x + a.get("input_offset", 0)
    c = v - divided(v.sum(-1, keepdims=True), v.shape[-1], "toward_zero")
    return narrowed((divided(c * weight, deviation(c), "toward_zero") + bias) // 2 ** a["shift"], a)


def rmsnorm_deeploy(x, weight, a):
    v = x + a.get("input_offset", 0)
    return clamp(divided(wrap32(v * weight), deviation(v), "toward_zero") // 2 ** a["shift"], -128, 127)


def nonorm_deeploy(x, weight, bias, a):
    return narrowed(wrap32((x * weight + bias).astype(object) * a["mul"]) // 2 ** a["shift"], a)


def gelu_deeploy(x, a):
    v = x + a.get("input_offset", 0)
    erf = np.sign(v) * (a["one"] - (np.minimum(np.abs(v), -a["b"]) + a["b"]) ** 2)
    return v * ((a["one"] + erf) // 2)


def hardswish_deeploy(x, a):
    return wrap32(x * clamp(x + a.get("input_offset", 0) + a["three"], 0, a["six"]) * a["one_over_six"])


def divide_deeploy(x, den, a):
    return wrap32(divided(x.astype(object) * a["delta"] * a["eta"], den * a["eta"] + a["eps"], a["rounding"]))


def mean_deeploy(x, a):
    return divided(x.sum(-2), x.shape[-2], a["rounding"])


# op -> its inputs in order, its outputs in order, a function of the inputs (int64) and the attributes
OPS = {
    "requant_shift": ("x mul add", "y", requant_shift),
    "softmax_deeploy": ("x mask", "p", softmax_deeploy),
    "softmax_itamax": ("x mask", "p", softmax_itamax),
    "softmax_itamax_partial": ("x mask", "p", softmax_itamax_partial),
    "layernorm_deeploy": ("x weight bias", "y", layernorm_deeploy),
    "rmsnorm_deeploy": ("x weight", "y", rmsnorm_deeploy),
    "nonorm_deeploy": ("x weight bias", "y", nonorm_deeploy),
    "gelu_deeploy": ("x", "y", gelu_deeploy),
    "hardswish_deeploy": ("x", "y", hardswish_deeploy),
    "divide_deeploy": ("x den", "y", divide_deeploy),
    "mean_deeploy": ("x", "y", mean_deeploy),
}
