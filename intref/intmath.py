"""The vocabulary of op bodies. One body runs on every number type:

int64 arrays (the reference), object arrays of Python ints (no wrap-around), Interval (bounds),
Tracer (every intermediate, of any of the others). All operators and functions here are NumPy
ufuncs underneath, so a number type is one `__array_ufunc__`. No floats, no numba.
"""

import math

import numpy as np

from intref.errors import BoundError

maximum, minimum, square, absolute = np.maximum, np.minimum, np.square, np.absolute
MASK32 = (1 << 32) - 1
INFINITY_FP32 = 255 << 23
MAX_SHIFT = 94  # a 63-bit value times a 31-bit multiplier has 94 bits

# Does q + fraction, 0 <= fraction < 1, round to q + 1? `half` is fraction == 1/2, `above` is > 1/2.
ROUNDS_UP = {
    "floor": lambda q, inexact, half, above: inexact & False,
    "ceil": lambda q, inexact, half, above: inexact,
    "toward_zero": lambda q, inexact, half, above: inexact & (q < 0),
    "odd": lambda q, inexact, half, above: inexact & (q % 2 == 0),
    "half_up": lambda q, inexact, half, above: half | above,
    "half_down": lambda q, inexact, half, above: above,
    "half_away": lambda q, inexact, half, above: above | half & (q >= 0),
    "half_to_zero": lambda q, inexact, half, above: above | half & (q < 0),
    "half_even": lambda q, inexact, half, above: above | half & (q % 2 == 1),
}


def _round(q, remainder, one, rule: str):
    return q + ROUNDS_UP[rule](q, remainder > 0, 2 * remainder == one, 2 * remainder > one)


def _mul_shift_ufunc(rule: str):
    def mul_shift(x, m, shift):
        q, remainder = divmod(x * m, 1 << shift)
        return _round(q, remainder, 1 << shift, rule)

    return np.frompyfunc(mul_shift, 3, 1)


def _divide_ufunc(rule: str):
    def divide(num, den):
        q, remainder = divmod(num, den)
        return _round(q, remainder, den, rule)

    return np.frompyfunc(divide, 2, 1)


def _round_to_24_bits(x: int) -> tuple[int, int]:
    """(significand, exponent) of the float32 nearest x >= 0, ties to even."""
    exponent = max(x.bit_length() - 24, 0)
    return _round(*divmod(x, 1 << exponent), 1 << exponent, "half_even"), exponent


def split_fp32(pattern):
    """(sign, significand, exponent) of the float32 with this bit pattern: sign * significand * 2**exponent."""
    biased = pattern >> 23 & 255
    significand = (pattern & (1 << 23) - 1) + (minimum(biased, 1) << 23)
    return 1 - 2 * (pattern >> 31 & 1), significand, maximum(biased, 1) - 150


def _scale_fp32(x: int, pattern: int) -> int:
    sign, significand, exponent = (int(v) for v in split_fp32(pattern))
    xs, xe = _round_to_24_bits(abs(x))
    ps, pe = _round_to_24_bits(xs * significand)
    exponent += xe + pe
    one = 1 << max(-exponent, 0)
    magnitude = _round(*divmod(ps << max(exponent, 0), one), one, "half_even")
    return magnitude * sign if x >= 0 else -magnitude * sign


def _add_fp32(a: int, b: int) -> int:
    low, high = sorted((int(a), int(b)))
    _, size, exponent = (int(v) for v in split_fp32(high))
    _, low_size, least = (int(v) for v in split_fp32(low))
    total = (size << exponent - least) + low_size
    drop = max(total.bit_length() - 24, 0)
    kept = _round(*divmod(total, 1 << drop), 1 << drop, "half_even")
    return min(kept + (least + drop + 149 << 23 if kept else 0), INFINITY_FP32)


def _wrap_int32(x):
    return ((x & MASK32) ^ (1 << 31)) - (1 << 31)


def _wrap(x, bits):
    return ((x & (1 << bits) - 1) ^ (1 << bits - 1)) - (1 << bits - 1)


def _bitlen(x):
    return int(x).bit_length()


def _where(mask, a, b):
    return a if mask else b


MUL_SHIFT = {rule: _mul_shift_ufunc(rule) for rule in ROUNDS_UP}
DIVIDE = {rule: _divide_ufunc(rule) for rule in ROUNDS_UP}
SCALE_FP32 = np.frompyfunc(_scale_fp32, 2, 1)
ADD_FP32 = np.frompyfunc(_add_fp32, 2, 1)
ISQRT = np.frompyfunc(math.isqrt, 1, 1)
BITLEN = np.frompyfunc(_bitlen, 1, 1)
WRAP_INT32 = np.frompyfunc(_wrap_int32, 1, 1)
WRAP = np.frompyfunc(_wrap, 2, 1)
WHERE = np.frompyfunc(_where, 3, 1)


def _is_int64(*xs) -> bool:
    """Whether a vectorised int64 path may be taken: all are int64 (or bool) arrays or Python ints, one an array."""
    arrays = [x for x in xs if not isinstance(x, int)]
    return bool(arrays) and all(isinstance(x, (np.ndarray, np.generic)) and x.dtype in (np.int64, bool) for x in arrays)


def mul_shift(x, m, shift, rule: str):
    """x * m / 2**shift rounded by `rule`, exact: |x| and |m| < 2**63, shift 0..94, result < 2**63.

    The limbs below hold the product by an int32; a wider m is multiplied in Python's integers.
    """
    if not _is_int64(x, m, shift):
        return MUL_SHIFT[rule](x, m, shift)
    if np.any((m < -(1 << 31)) | (m > 1 << 31)):
        return np.int64(MUL_SHIFT[rule](x, m, shift))
    low = m * (x & MASK32)  # |m| <= 2**31, so both limbs' products fit int64
    high = m * (x >> 32) + (low >> 32)  # x * m = high * 2**32 + low
    low = low & MASK32
    s_low, s_high = minimum(shift, 32), maximum(shift, 32) - 32
    q = (high >> s_high << 32 - s_low) + (low >> s_low)
    # The dropped bits: `first` holds the highest of them, `below` those under it that do not fit beside it.
    wide = s_high > 0
    first = np.where(wide, high & (1 << s_high) - 1, low & (1 << s_low) - 1)
    below = np.where(wide, low, 0)
    one = np.where(wide, 1 << s_high, 1 << s_low)
    half = (2 * first == one) & (below == 0)
    above = (2 * first > one) | (2 * first == one) & (below > 0)
    return q + ROUNDS_UP[rule](q, (first | below) > 0, half, above)


def divide(num, den, rule: str):
    """num / den rounded by `rule`, exact, for 0 < den < 2**62."""
    if not _is_int64(num, den):
        return DIVIDE[rule](num, den)
    q = num // den
    return _round(q, num - q * den, den, rule)


def scale_fp32(x, pattern):
    """RNE(fl32(fl32(x) * s)), s the float32 with this bit pattern: the float32 epilogue, in integers.

    Conversion, product and rounding to an integer each round half to even, on 24-bit significands. A subnormal s
    gives 0 for every |x| < 2**63, as it must. Result < 2**62 by contract; s is finite.
    """
    if not _is_int64(x, pattern):
        return SCALE_FP32(x, pattern)
    sign, significand, exponent = split_fp32(pattern)
    xs, xe = _significand24(absolute(x))
    ps, pe = _significand24(xs * significand)
    exponent = exponent + xe + pe
    drop = minimum(maximum(-exponent, 0), 62)  # ps < 2**25, so 26 dropped bits already leave 0
    whole = ps << minimum(maximum(exponent, 0), 39)  # 2**62 is 2**23 << 39
    return _round(whole >> drop, whole & (1 << drop) - 1, 1 << drop, "half_even") * sign * np.where(x < 0, -1, 1)


def _significand24(x):
    """Vectorised `_round_to_24_bits` for 0 <= x < 2**62."""
    exponent = maximum(bitlen(x) - 24, 0)
    return _round(x >> exponent, x & (1 << exponent) - 1, 1 << exponent, "half_even"), exponent


def shift_half_up(x, shift):
    """floor(x / 2**shift + 1/2): arithmetic right shift, ties toward +infinity."""
    return (x + (1 << shift >> 1)) >> shift


def div_half_up(num, den):
    """floor(num / den + 1/2) for den > 0, ties toward +infinity."""
    return (2 * num + den) // (2 * den)


def isqrt(x):
    """floor(sqrt(x)) for x >= 0, exact."""
    return ISQRT(x).astype(np.int64) if _is_int64(x) else ISQRT(x)


def bitlen(x):
    """The number of bits of x >= 0: 0 for 0, k for 2**(k-1) <= x < 2**k."""
    if not _is_int64(x):
        return BITLEN(x)
    length = np.zeros(np.shape(x), np.int64)
    for step in (32, 16, 8, 4, 2, 1):
        big = x >> step > 0
        length, x = length + step * big, np.where(big, x >> step, x)
    return length + (x > 0)


def wrap_int32(x):
    """The int32 with x's low 32 bits."""
    return _wrap_int32(x) if _is_int64(x) else WRAP_INT32(x)


def wrap(x, bits):
    """The two's complement number with x's low bits, 1 <= bits <= 62."""
    return _wrap(x, bits) if _is_int64(x, bits) else WRAP(x, bits)


def where(mask, a, b):
    """a where mask is 1, b where it is 0."""
    return np.where(mask != 0, a, b) if _is_int64(mask, a, b) else WHERE(mask, a, b)


def take(table, index):
    """table[index] along the first axis, index in range."""
    return index.taken_from(table) if hasattr(index, "taken_from") else table[np.asarray(index, np.int64)]


def matmul(a, b):
    """a [... M K] @ b [... K N]: an exact integer sum of products."""
    return np.matmul(a, b)


def accumulate(a, b, start, low, high, every: int):
    """start + a [... M K] @ b [... K N] in a register that saturates after every so many terms, in the order of k.

    Once more after the last term; every = 0: then alone.
    """
    if hasattr(a, "accumulate"):
        return a.accumulate(b, start, low, high, every)
    terms = a.shape[-1]
    for k in range(0, terms, every or terms):
        block = slice(k, k + (every or terms))
        start = saturate(start + matmul(a[..., block], b[..., block, :]), low, high)
    return start


def sum_along(x, axis: int):
    """Sum along an axis, which stays with size 1."""
    return np.add.reduce(x, axis=axis, keepdims=True)


def sum_fp32(x, axis: int):
    """Sum along an axis of float32s given as bit patterns, none negative: one after another, each sum rounded."""
    total = ADD_FP32.reduce(x, axis=axis, keepdims=True)
    return total.astype(np.int64) if _is_int64(x) else total


def max_along(x, axis: int):
    """Maximum along an axis, which stays with size 1."""
    return np.maximum.reduce(x, axis=axis, keepdims=True)


def running_sum(x, axis: int):
    """Sum of the elements up to and including each one."""
    return np.add.accumulate(x, axis=axis)


def running_max(x, axis: int):
    """Maximum of the elements up to and including each one."""
    return np.maximum.accumulate(x, axis=axis)


def spread(x, axis: int, ndim: int):
    """A vector laid along one axis of ndim, to broadcast."""
    return x.reshape([-1 if i == axis % ndim else 1 for i in range(ndim)])


def swap(x, axis: int, other: int):
    """x with two axes exchanged."""
    order = list(range(len(x.shape)))
    order[axis], order[other] = order[other], order[axis]
    return x.transpose(order)


def saturate(x, low, high):
    """Clamp to [low, high]."""
    return minimum(maximum(x, low), high)


def narrow(x, dtype: str, ends: tuple[int, int] | None = None):
    """Cast to dtype; raise BoundError if any value leaves it, or a narrower range."""
    info = np.iinfo(dtype)
    return within(x, *(ends or (int(info.min), int(info.max)))).astype(dtype)


def within(x, low, high):
    """x, declared to lie in [low, high] for a reason intervals cannot see: arrays are checked, intervals cut."""
    if hasattr(x, "within"):
        return x.within(low, high)
    if np.any((x < low) | (x > high)):
        raise BoundError(f"values in [{x.min()}, {x.max()}] do not lie in [{low}, {high}]")
    return x
