"""The ops of TensorFlow Lite again, in gemmlowp fixed point or by tables of 513 entries, from SPEC.md alone.

Exact integers: every factor of a product below has at most 32 bits, so that all fit int64.
"""

import numpy as np
from words import bits, clamp, divided, isqrt, keys_of, power, relative, rounded

TOP = (1 << 31) - 1
FACTORS = 1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242  # of exp, by the bits of its argument


def dot(a, b):
    """a . b of the text: half_up(a * b / 2**31)."""
    return divided(a * b, 1 << 31, "half_up")


def halved(x, n):
    """x / 2**n of the text: half_away."""
    return divided(x, power(np.asarray(n)), "half_away")


def scaled(x, multiplier, shift, rule):
    return rounded(x, np.int64(multiplier), np.int64(shift), rule)


def exp(a, fraction):
    """exp of a <= 0 with so many bits of fraction, to 31 bits of fraction."""
    quarter = fraction - 2
    part = a % (1 << quarter) - (1 << quarter)
    t = part * 2 ** (31 - fraction) + (1 << 28)
    t2 = dot(t, t)
    tail = dot(halved(dot(t2, t2), 2) + dot(t2, t), 715827883) + t2
    y = 1895147668 + dot(1895147668, t + halved(tail, 1))
    for i in range(33 - fraction):
        y = np.where((part - a) >> (quarter + i) & 1 == 1, dot(y, FACTORS[i]), y)
    return np.where(a == 0, TOP, y)


def reciprocal(v):
    """r of the text: Newton's three steps to 2**60 / v, for v in [2**30, 2**31]."""
    r = 1515870810 + dot(v, -1010580540)
    for _ in range(3):
        r = r + 4 * dot(r, (1 << 29) - dot(v, r))
    return r


def softmax_gemmlowp(x, mask, a):
    seen = keys_of(mask)
    width = np.iinfo(a["output"]).bits
    d = relative(x, seen)
    near = seen & (d >= -(31 * 2**26 // 2 ** a["shift"]))
    e = np.where(near, exp(dot(np.where(near, d, 0) * 2 ** a["shift"], a["multiplier"]), 26), 0)
    total = np.maximum(halved(e, 12).sum(-1, keepdims=True), 1 << 19)
    n = bits(total)
    inverse = np.minimum(2 * reciprocal(total * power(31 - n)), TOP)
    zero_point = -(1 << width - 1)
    return clamp(halved(dot(inverse, e), n + 11 - width) + zero_point, zero_point, -zero_point - 1)


def sigmoidal(x, a, inner):
    """-128 and 127 far from the zero point; inner(the argument, 27 bits of fraction) between."""
    far = 15 * 2**27 // 2 ** a["shift"]
    c = x - a["input_zero_point"]
    near = np.where(abs(c) < far, c, 0)
    y = inner(dot(near * 2 ** a["shift"], a["multiplier"]))
    return np.where(c <= -far, -128, np.where(c >= far, 127, y))


def logistic(a):
    u = np.minimum(2 * reciprocal((exp(-abs(a), 27) + (1 << 31)) // 2), TOP)
    v = np.where(a > 0, u, np.where(a < 0, TOP - u, 1 << 30))
    return np.minimum(halved(v, 23) - 128, 127)


def tanh(a):
    u = np.minimum(4 * (reciprocal((exp(-abs(a), 26) + (1 << 31)) // 2) - (1 << 29)), TOP)
    return clamp(halved(np.sign(a) * u, 24), -128, 127)


def line(x, entries):
    """The table at x / 2**7 + 256, between two entries on a line."""
    i = x // 128 + 256
    return entries[i] + ((entries[i + 1] - entries[i]) * (x % 128) + 64) // 128


def softmax_int16(x, mask, exp_table, inverse_table, a):
    seen = keys_of(mask)
    s = scaled(relative(x, seen), a["multiplier"], a["shift"], a["rounding"])
    e = np.where(seen, line(np.maximum(s + 32767, -(1 << 15)).astype(np.int64), exp_table), 0)
    total = np.maximum(e.sum(-1, keepdims=True), 1)
    n = bits(total)
    w = (total * power(31 - n) + (1 << 13)) // (1 << 14)
    r = line(np.minimum(w - 3 * (1 << 15), (1 << 15) - 1), inverse_table)
    return np.minimum((e * r + power(n - 1) // 2) // power(n - 1), (1 << 15) - 1)


def rsqrt_gemmlowp(x, a):
    c = np.maximum(x - a["input_zero_point"], 1)
    u = (isqrt((1 << 42) // c) + 1) // 2 - np.isin(c, (2, 8, 131))  # 2**20 / sqrt(c) to the nearest
    y = scaled(u, a["multiplier"], a["shift"], "gemmlowp_double") + a["output_zero_point"]
    return np.where(x == a["input_zero_point"], 127, np.minimum(y, 127))


def add_gemmlowp(a, b, attrs):
    both = 0
    for name, x in (("a", a), ("b", b)):
        moved = (x - attrs[f"{name}_zero_point"]) * 2 ** attrs["left_shift"]
        both = both + scaled(moved, attrs[f"{name}_multiplier"], attrs[f"{name}_shift"], attrs["rounding"])
    y = scaled(both, attrs["multiplier"], attrs["shift"], attrs["rounding"])
    return clamp(y + attrs["output_zero_point"], attrs["low"], attrs["high"])


def mul_gemmlowp(a, b, attrs):
    product = (a - attrs["a_zero_point"]) * (b - attrs["b_zero_point"])
    y = scaled(product, attrs["multiplier"], attrs["shift"], attrs["rounding"])
    return clamp(y + attrs["output_zero_point"], attrs["low"], attrs["high"])


def table_tosa(x, entries, a):
    i = x // 128 + 256
    return entries[i] * 128 + (entries[i + 1] - entries[i]) * (x % 128)


# op -> its inputs in order, its outputs in order, a function of the inputs (int64) and the attributes
OPS = {
    "softmax_gemmlowp": ("x mask", "p", softmax_gemmlowp),
    "logistic_gemmlowp": ("x", "y", lambda x, a: sigmoidal(x, a, logistic)),
    "tanh_gemmlowp": ("x", "y", lambda x, a: sigmoidal(x, a, tanh)),
    "softmax_int16": ("x mask exp_table inverse_table", "p", softmax_int16),
    "table_int16": ("x entries", "y", lambda x, entries, a: line(x, entries)),
    "rsqrt_gemmlowp": ("x", "y", rsqrt_gemmlowp),
    "add_gemmlowp": ("a b", "y", add_gemmlowp),
    "mul_gemmlowp": ("a b", "y", mul_gemmlowp),
    "table_tosa": ("x entries", "y", table_tosa),
}
