"""Every op again, written from SPEC.md alone: what check.py compares the stored results with.

The ops of dialects are in the files beside it. Exact integers: arrays hold int64 where a product is seen to fit,
Python's own integers (dtype object) elsewhere, and float32 only where the op is defined by it. Needs NumPy alone.
"""

import numpy as np
import recompute_accelerators
import recompute_deeploy
import recompute_fp32
import recompute_gemmlowp
import recompute_graphs
import recompute_illm
import recompute_vision
import recompute_wide
from words import along, bits, clamp, divided, isqrt, keys_of, power, relative, rounded, times

VERSION = 1  # of each op below


def rescale(x, multiplier, shift, a):
    multiplier, shift = (along(v, a["axis"], x.ndim) for v in (multiplier, shift))
    y = rounded(x - a["input_zero_point"], multiplier, shift, a["rounding"])
    return clamp(y + a["output_zero_point"], a["low"], a["high"])


def add(a, b, a_multiplier, a_shift, b_multiplier, b_shift, attrs):
    y = rounded(a, a_multiplier, a_shift, attrs["rounding"]) + rounded(b, b_multiplier, b_shift, attrs["rounding"])
    return clamp(y, attrs["low"], attrs["high"])


def rescale_quotient(x, total, multiplier, shift, a):
    multiplier, shift = along(multiplier, -3, x.ndim), along(shift, -3, x.ndim)
    y = divided(times(x, multiplier), times(np.maximum(total, 1), power(shift)), "half_up")
    return clamp(y, a["low"], a["high"])


def accumulated(x, y, start, a):
    """start + x @ y in a register of so many bits: refused or not, wrapped, or saturated block by block."""
    end = 1 << min(a["accumulator"], 62) - 1
    if a["overflow"] == "saturate":
        block = a["every"] or x.shape[-1]
        for k in range(0, x.shape[-1], block):
            start = clamp(start + x[..., k : k + block] @ y[..., k : k + block, :], -end, end - 1)
        return start
    whole = start + x @ y
    return (whole + end) % (2 * end) - end if a["overflow"] == "wrap" else whole


def linear(x, weight, bias, a):
    return accumulated(x - a["x_zero_point"], (weight - a["weight_zero_point"]).T, bias, a)


def linear_int4(x, weight, scale, bias, a):
    nibbles = np.stack([weight % 16, weight // 16], -1).reshape(len(weight), -1)[:, : x.shape[-1]]
    w = nibbles - 16 * (nibbles > 7)
    y = bias + np.zeros((*x.shape[:-1], 1), np.int64)
    for g in range(scale.shape[1]):
        group = slice(g * a["group_size"], (g + 1) * a["group_size"])
        y = y + scale[:, g] * (x[..., group] @ w[:, group].T)
    return y


def positions(mask, a):
    if a["form"] == "count":
        return np.where(mask == 1, np.cumsum(mask, -1) - 1, -1) + a["start"]
    return np.maximum(np.cumsum(np.maximum.accumulate(mask, -1), -1) - 1, 0) + a["start"]


def mean_pool(x, mask, a):
    return divided((x * mask[..., None]).sum(-2), np.maximum(mask.sum(-1), 1)[..., None], "half_up")


def quantize_token(x, a):
    largest = np.maximum(np.abs(x).max(-1, keepdims=True), 1)
    exponent = np.maximum(bits(largest) - 15, 0)
    mantissa = divided(largest, power(exponent), "ceil")
    full = mantissa == 1 << 15
    mantissa, exponent = np.where(full, 1 << 14, mantissa), exponent + full
    scale = mantissa * power(exponent)
    return (127 * x + scale // 2) // scale, mantissa, exponent


def rescale_token(x, mantissa, exponent, multiplier, shift, bias, a, residual=0):
    t = times(times(x, mantissa), multiplier) // power(shift - exponent) + bias + residual
    return clamp(divided(t, 1 << 8, "half_up"), a["low"], a["high"])


def rescale_token_residual(x, mantissa, exponent, multiplier, shift, bias, residual, r_multiplier, r_shift, a):
    term = times(residual, r_multiplier) // power(r_shift)
    return rescale_token(x, mantissa, exponent, multiplier, shift, bias, a, term)


def softmax_ibert(x, mask, a):
    seen = keys_of(mask)
    d = np.maximum(relative(x, seen), -30 * a["ln2"])
    q = -d // a["ln2"]
    r = d + q * a["ln2"]
    e = ((r + a["b"]) * r + a["c"]).astype(object) * power(30 - q)
    e16 = np.minimum(divided(e * a["multiplier"], 2 ** a["shift"], "half_even"), (1 << 15) - 1)
    e16 = np.where(seen, e16, 0).astype(np.int64)
    return e16 * ((1 << 32) // np.maximum(e16.sum(-1, keepdims=True), 1)) // (1 << 24)


def softmax_exp2(x, mask, multiplier, shift, table, a):
    seen = keys_of(mask)
    u = times(-relative(x, seen), along(multiplier, 1, x.ndim)) // power(along(shift, 1, x.ndim))
    n, i, r = np.minimum(u // (1 << 16), 31), (u // 256 % 256).astype(np.int64), u % 256
    e = np.where(seen, (table[i] * (256 - r) + table[i + 1] * r) // 256 // 2**n, 0)
    p = (255 * e + (1 << 29)) // (1 << 30)
    return p, p.sum(-1, keepdims=True)


def mask_add(x, mask, a):
    return np.where(keys_of(mask), x, np.maximum(x + a["value"], -(1 << 31)))


def layernorm_ibert(x, bias, a):
    c = x - divided(x.sum(-1, keepdims=True), x.shape[-1], "half_even")
    v = ((c // 2 ** a["shift"]) ** 2).sum(-1, keepdims=True)
    sigma = isqrt(v) << a["shift"]
    return c * np.where(sigma > 0, (1 << 31) // np.maximum(sigma, 1), 0) // 2 + bias


def layernorm_fixed(x, gain, bias, a):
    c = x - divided(x.sum(-1, keepdims=True), x.shape[-1], "half_up")
    v = np.maximum((c**2).sum(-1, keepdims=True) + a["eps"], 1)
    k = (62 - bits(v)) // 2
    sigma = isqrt(v * power(2 * k))
    z = divided(times(c * power(k), (1 << 61) // sigma), 1 << 31, "half_up")
    return clamp(divided(times(z, gain) + bias, 1 << a["shift"], "half_up"), a["low"], a["high"])


def l2_normalize(x, a):
    v = np.maximum((x**2).sum(-1, keepdims=True), 1)
    k = (62 - bits(v)) // 2
    product = times(x * power(k), (1 << 61) // isqrt(v * power(2 * k)))
    return divided(product, 1 << 61 - a["fraction"], "half_up")


def gelu_ibert(x, b, c, one, a):
    poly = np.sign(x) * ((np.minimum(np.abs(x), -b) + b) ** 2 + c) // (1 << 14)
    return times(x, poly + one)


def gelu_table(x, table, a):
    step = 1 << a["fraction"] - 6
    size = np.abs(x)
    i, r = np.minimum(size // step, 511), size % step
    g = divided(table[i] * (step - r) + table[i + 1] * r, 1 << 18, "half_up")
    return np.maximum(x, 0) - np.where(size < 8 << a["fraction"], g, 0)


def split_heads(x, a):
    return np.moveaxis(x.reshape(*x.shape[:-1], a["heads"], -1), -2, -3)


def merge_heads(x, a):
    moved = np.moveaxis(x, -3, -2)
    return moved.reshape(*moved.shape[:-2], -1)


# op -> its inputs in order, its outputs in order, a function of the inputs (int64) and the attributes
RESCALED = "x mantissa exponent multiplier shift bias"
OPS = {
    "embedding": ("ids table", "y", lambda ids, table, a: table[ids]),
    "positions": ("mask", "positions", positions),
    "mean_pool": ("x mask", "y", mean_pool),
    "split_heads": ("x", "y", split_heads),
    "merge_heads": ("x", "y", merge_heads),
    "transpose": ("x", "y", lambda x, a: np.swapaxes(x, -1, -2)),
    "select_token": ("x", "y", lambda x, a: x[..., a["index"], :]),
    "linear": ("x weight bias", "y", linear),
    "matmul": ("a b", "y", lambda x, y, a: accumulated(x - a["a_zero_point"], y - a["b_zero_point"], 0, a)),
    "linear_int4": ("x weight scale bias", "y", linear_int4),
    "rescale": ("x multiplier shift", "y", rescale),
    "rescale_quotient": ("x total multiplier shift", "y", rescale_quotient),
    "add": ("a b a_multiplier a_shift b_multiplier b_shift", "y", add),
    "add_bias": ("x bias", "y", lambda x, bias, a: clamp(x + bias, a["low"], a["high"])),
    "clamp": ("x", "y", lambda x, a: clamp(x, a["low"], a["high"])),
    "quantize_token": ("x", "q mantissa exponent", quantize_token),
    "rescale_token": (RESCALED, "y", rescale_token),
    "rescale_token_residual": (f"{RESCALED} residual residual_multiplier residual_shift", "y", rescale_token_residual),
    "softmax_ibert": ("x mask", "p", softmax_ibert),
    "softmax_exp2": ("x mask multiplier shift table", "p total", softmax_exp2),
    "mask_add": ("x mask", "y", mask_add),
    "layernorm_ibert": ("x bias", "y", layernorm_ibert),
    "layernorm_fixed": ("x gain bias", "y", layernorm_fixed),
    "l2_normalize": ("x", "y", l2_normalize),
    "gelu_ibert": ("x b c one", "y", gelu_ibert),
    "gelu_table": ("x table", "y", gelu_table),
    "table": ("x entries", "y", lambda x, entries, a: entries[x + 128]),
}
for dialect in (
    *(recompute_gemmlowp, recompute_fp32, recompute_vision, recompute_accelerators, recompute_deeploy),
    *(recompute_graphs, recompute_wide, recompute_illm),
):
    OPS |= dialect.OPS


def complete(attrs):
    """Attributes with their defaults, and integers that came as text."""
    attrs = {k: int(v) if isinstance(v, str) and v.lstrip("-").isdigit() else v for k, v in attrs.items()}
    ends = np.iinfo(attrs.get("output", "int64"))
    defaults = {"low": int(ends.min), "high": int(ends.max), "axis": -1}
    defaults |= {f"{of}_zero_point": 0 for of in ("input", "output", "x", "weight", "a", "b")}
    return {**defaults, "accumulator": 32, "overflow": "refuse", "every": 0, **attrs}


def call(op, inputs, attrs):
    """{output port: array} of one op; inputs: port -> integer array."""
    ports, results, function = OPS[op]
    made = function(*(inputs[port].astype(np.int64) for port in ports.split()), complete(attrs))
    return dict(zip(results.split(), made if isinstance(made, tuple) else (made,)))
