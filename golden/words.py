"""The words that the recomputations share: exact integer arithmetic on NumPy arrays, from SPEC.md alone.

Arrays hold int64 where a product is seen to fit, Python's own integers (dtype object) elsewhere.
"""

import math

import numpy as np


def peak(x):
    return max(abs(int(x.min())), abs(int(x.max())))


def times(x, y):
    return x * y if peak(x) * peak(y) < 1 << 60 else x.astype(object) * y.astype(object)


def power(shift):
    return np.left_shift(1, shift) if shift.max() <= 60 else 2 ** shift.astype(object)


def divided(num, den, rule):
    """num / den, den > 0, to the integer that the rule names."""
    down = num // den
    twice = 2 * (num - down * den)
    inexact, tie, over = twice > 0, twice == den, twice > den
    up = {
        "floor": over & False,
        "ceil": inexact,
        "toward_zero": inexact & (num < 0),
        "odd": inexact & (down % 2 == 0),
        "half_up": over | tie,
        "half_down": over,
        "half_away": over | tie & (num > 0),
        "half_to_zero": over | tie & (num < 0),
        "half_even": over | tie & (down % 2 == 1),
    }[rule]
    return down + up


def clamp(x, low, high):
    return np.minimum(np.maximum(x, low), high)


def wrap32(x):
    return (x + (1 << 31)) % (1 << 32) - (1 << 31)


def along(vector, axis, ndim):
    shape = [1] * ndim
    shape[axis] = -1
    return vector.reshape(shape)


isqrt = np.vectorize(math.isqrt, otypes=[np.int64])
bits = np.vectorize(lambda n: int(n).bit_length(), otypes=[np.int64])


def rounded(x, multiplier, shift, rule):
    if rule == "fp32_half_even":
        return np.rint(x.astype(np.float32) * multiplier.astype(np.int32).view(np.float32)).astype(np.int64)
    if rule == "gemmlowp_double":
        doubled = wrap32(wrap32(x) * power(np.maximum(31 - shift, 0)))
        high = divided(times(doubled, multiplier), 1 << 31, "half_up")
        return divided(high, power(np.maximum(shift - 31, 0)), "half_away")
    if rule == "tosa_double":
        nudge = np.where(shift > 31, np.where(x >= 0, 1 << 30, -(1 << 30)), 0)
        return divided((times(x, multiplier) + nudge), power(shift), "half_up")
    return divided(times(x, multiplier), power(shift), rule)


def keys_of(mask):
    return (mask[:, None, None] if mask.ndim == 2 else mask[:, None]) == 1


def relative(x, seen):
    """x less the maximum of what is seen in its row, 0 in a row where nothing is."""
    top = np.where(seen, x, -(1 << 62)).max(-1, keepdims=True)
    return np.where(seen, x - top, 0)
