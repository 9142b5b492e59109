"""The ops of 48 bits again, from SPEC.md alone: every number a Python integer (dtype object), so that nothing wraps."""

import numpy as np
from words import bits, clamp, isqrt, keys_of, relative

TOP = (1 << 47) - 1


def exact(*arrays):
    return tuple(array.astype(object) for array in arrays)


def half_up(v, s):
    return (v + 2**s // 2) // 2**s


def symmetric(y):
    return clamp(y, -TOP, TOP)


def mean(total, count):
    return (2 * total + count) // (2 * count)


def linear_wide(x, weight, bias, a):
    x, weight, bias = exact(x, weight, bias)
    return symmetric(half_up(x @ weight.T, a["shift"]) + bias)


def matmul_wide(a, b, attrs):
    a, b = exact(a, b)
    return symmetric(half_up(a @ b, attrs["shift"]))


def add_wide(a, b, attrs):
    a, b = exact(a, b)
    return symmetric(half_up(a * 2 ** attrs["a_shift"] + b * 2 ** attrs["b_shift"], attrs["shift"]))


def by_cells(v, coefficients, fraction):
    """The polynomial of the cell, 1/32 wide, that each v >= 0 lies in, at its offset there; 0 beyond the last cell."""
    w, cells = 2 ** (fraction - 5), len(coefficients)
    i = v // w
    t = (v - i * w) * 2**48 // w - 2**47
    cell = coefficients[np.minimum(i, cells - 1).astype(np.int64)]
    m = cell[..., 6]
    for p in range(5, -1, -1):
        m = half_up(m * t, 48) + cell[..., p]
    return np.where(i < cells, m, 0)


def softmax_wide(x, mask, coefficients, a):
    seen = keys_of(mask)
    d, coefficients = exact(-relative(x, seen), coefficients)
    u = d * a["multiplier"] // 2 ** a["shift"]
    n = u // 2 ** a["fraction"]
    m = by_cells(u - n * 2 ** a["fraction"], coefficients, a["fraction"])
    e = np.where(seen, half_up(clamp(m, 0, 2**48), np.minimum(n, 62)), 0)
    total = np.maximum(e.sum(-1, keepdims=True), 2**47)
    s = bits(total).astype(object) - 48
    v = total // 2**s
    g = 2**62 // (v // 2**17)
    miss = 2**47 - v * g * 2**16 // 2**48
    return half_up(e * (g * 2**16 + g * miss // 2**31), 49 + s)


def over_root(n, v):
    """n of each element over the root of its row's v."""
    v = np.maximum(v, 2**46)
    j = (62 - bits(v).astype(object)) // 2
    radicand = v * 4**j
    g = 2**61 // isqrt(radicand).astype(object)
    h = g * 2**17
    miss = 2**46 - (radicand // 2**14) * (h * h // 2**48) // 2**48
    return half_up(n * (h + g * miss // 2**30), 56 - j)


def headroom(x):
    """How far the largest of each row can go up before it needs more than 48 bits."""
    return 48 - bits(np.abs(x).max(-1, keepdims=True)).astype(object)


def layernorm_wide(x, gain, bias, a):
    x, gain, bias = exact(x, gain, bias)
    c = x - mean(x.sum(-1, keepdims=True), x.shape[-1])
    k = np.minimum(headroom(c), a["most"])
    n = c * 2**k
    v = (n * n).sum(-1, keepdims=True) // 2**48 + half_up(a["eps"], np.minimum(2 * (a["most"] - k), 62))
    return symmetric(half_up(over_root(n, v) * gain, a["shift"]) + bias)


def l2_normalize_wide(x, a):
    (x,) = exact(x)
    n = x * 2 ** headroom(x)
    return over_root(n, (n * n).sum(-1, keepdims=True) // 2**48)


def gelu_wide(x, coefficients, a):
    x, coefficients = exact(x, coefficients)
    m = by_cells(np.abs(x), coefficients, a["fraction"])
    return symmetric(np.maximum(x, 0) - half_up(m, 48 - a["fraction"]))


def tanh_wide(x, coefficients, a):
    x, coefficients = exact(x, coefficients)
    y = 2**46 - half_up(by_cells(np.abs(x), coefficients, a["fraction"]), 2)
    return np.where(x < 0, -y, y)


def mean_pool_wide(x, mask, a):
    x, mask = exact(x, mask)
    count = np.maximum(mask.sum(-1), 1)[..., None]
    return mean((x * mask[..., None]).sum(-2), count)


OPS = {
    "linear_wide": ("x weight bias", "y", linear_wide),
    "matmul_wide": ("a b", "y", matmul_wide),
    "add_wide": ("a b", "y", add_wide),
    "softmax_wide": ("x mask coefficients", "p", softmax_wide),
    "layernorm_wide": ("x gain bias", "y", layernorm_wide),
    "gelu_wide": ("x coefficients", "y", gelu_wide),
    "tanh_wide": ("x coefficients", "y", tanh_wide),
    "mean_pool_wide": ("x mask", "y", mean_pool_wide),
    "l2_normalize_wide": ("x", "y", l2_normalize_wide),
}
