"""Scalar twins of intref.intmath."""

# numba infers the types of the compiled functions.
# mypy: allow-untyped-defs, no-check-untyped-defs

import numpy as np

from intref.kernels.jit import jit

RULES = ("floor", "ceil", "toward_zero", "odd", "half_up", "half_down", "half_away", "half_to_zero", "half_even")

Terms = tuple[np.ndarray, ...]  # one int64 vector for each argument, one element for each channel
_LIMBS: dict[str, np.ndarray] = {}


def addends(rule: str, shift: int) -> tuple[int, int, int]:
    """(always, where_negative, where_odd): rounding v / 2**shift by rule is flooring it after these are added to v.

    where_negative is for v < 0, where_odd for an odd floor(v / 2**shift). `odd` adds almost one to an even quotient:
    to every one, and takes it back from the odd ones. Half minus one keeps a tie down, half sends it up.
    """
    if shift == 0:
        return 0, 0, 0
    half, rest = 1 << shift - 1, (1 << shift) - 1
    return {
        "floor": (0, 0, 0),
        "ceil": (rest, 0, 0),
        "toward_zero": (0, rest, 0),
        "odd": (rest, 0, -rest),
        "half_up": (half, 0, 0),
        "half_down": (half - 1, 0, 0),
        "half_away": (half, -1, 0),
        "half_to_zero": (half - 1, 1, 0),
        "half_even": (half - 1, 0, 1),
    }[rule]


def _limbs(rule: str) -> np.ndarray:
    """int64 [95, 6]: the addends of every shift, each as a high limb and a low one of 32 bits."""
    if rule not in _LIMBS:
        _LIMBS[rule] = np.array(
            [[limb for a in addends(rule, s) for limb in divmod(a, 1 << 32)] for s in range(95)], np.int64
        )
    return _LIMBS[rule]


def wide_terms(rule: str, multiplier: np.ndarray, shift: np.ndarray) -> Terms:
    """The arguments of `mul_shift` after x, for every channel."""
    return _vectors(multiplier, shift, *_limbs(rule)[shift].T)


def narrow_terms(rule: str, multiplier: np.ndarray, shift: np.ndarray) -> Terms:
    """The arguments of `mul_shift_narrow` after x, for every channel.

    |x * m| < 2**62, so beyond a shift of 62 the quotient lies within 1/2 of 0: a rule to nearest gives 0, another sees
    only its sign, as at 62.
    """
    multiplier = np.where((shift > 62) & rule.startswith("half"), 0, multiplier)
    shift = np.minimum(shift, 62)
    limbs = _limbs(rule)[shift].T
    return _vectors(multiplier, shift, *((limbs[0::2] << 32) + limbs[1::2]))


def _vectors(*columns: np.ndarray) -> Terms:
    return tuple(np.array(column, np.int64) for column in columns)


@jit
def mul_shift_narrow(x, m, shift, always, negative, odd):
    """x * m / 2**shift rounded as the addends say, for |x * m| < 2**62 and shift <= 62."""
    v = x * m
    return (v + always + (negative & (v >> 63)) + (odd & -((v >> shift) & 1))) >> shift


@jit
def mul_shift(x, m, shift, always_high, always, negative_high, negative, odd_high, odd):
    """x * m / 2**shift rounded as the addends say, through limbs: the product is high * 2**32 + low."""
    low = m * (x & 0xFFFFFFFF)
    high = m * (x >> 32) + (low >> 32)
    low &= 0xFFFFFFFF
    low_shift, high_shift = min(shift, 32), max(shift, 32) - 32
    sign = high >> 63
    parity = -(((high >> high_shift << (32 - low_shift)) + (low >> low_shift)) & 1)
    low += always + (negative & sign) + (odd & parity)
    high += always_high + (negative_high & sign) + (odd_high & parity) + (low >> 32)
    low &= 0xFFFFFFFF
    return (high >> high_shift << (32 - low_shift)) + (low >> low_shift)


@jit
def wrap_int32(x):
    return np.int64(np.int32(x & 0xFFFFFFFF))


@jit
def shift_half_up(x, shift):
    return (x + (np.int64(1) << shift >> 1)) >> shift


@jit
def bitlen(x):
    """The number of bits of x >= 0."""
    length = np.int64(0)
    for step in (32, 16, 8, 4, 2, 1):
        if x >> step:
            length += step
            x >>= step
    return length + x


@jit
def isqrt(x):
    """floor(sqrt(x)) for 0 <= x < 2**63, bit by bit."""
    root = np.int64(0)
    bit = np.int64(1) << 62
    while bit:
        if x - root >= bit:
            x -= root + bit
            root = (root >> 1) + bit
        else:
            root >>= 1
        bit >>= 2
    return root


@jit
def half_even_shift(x, shift):
    """x / 2**shift for x >= 0, ties to even."""
    if shift == 0:
        return x
    return (x + (np.int64(1) << (shift - 1)) - 1 + (x >> shift & 1)) >> shift


@jit
def scale_fp32(x, sign, significand, exponent):
    """RNE(fl32(fl32(x) * s)), s = sign * significand * 2**exponent a float32."""
    magnitude = abs(x)
    x_exponent = max(bitlen(magnitude) - 24, 0)
    product = half_even_shift(magnitude, x_exponent) * significand
    p_exponent = max(bitlen(product) - 24, 0)
    product = half_even_shift(product, p_exponent)
    exponent += x_exponent + p_exponent
    whole = product << min(max(exponent, 0), 39)
    rounded = half_even_shift(whole, min(max(-exponent, 0), 62)) * sign
    return -rounded if x < 0 else rounded
