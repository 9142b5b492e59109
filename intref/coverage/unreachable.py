"""Bins that no call can hit, and why, where bounds alone do not show it."""

import re
from collections.abc import Mapping

from intref.vectors import unreachable

BEYOND = "size: "  # how the reason begins for a bin that a call can hit, though one too large to store
_SIZE = BEYOND + "it takes an axis of more than 2**{} elements, which no stored case has"
_FITS = "y fits int32, and so the sum before the bias lies within 2**32"
_POSITIVE = "C8: 0 <= multiplier < 2**31, so the product is below 2**62 and, over 2**31, below 2**31"
_ROUNDED = "the magnitude is rounded; the sign is put back after"
_EVEN = "2 * k is even"
_SIGMA = "sigma lies in [2**30, 2**31): only 2**30 divides 2**61, and leaves 2**31, which is even"
_PRIMES = "2**61 - 1 is a prime, 2**61 + 1 is 3 times a prime: neither has a divisor in [2**30, 2**31)"
_HALF = "the product is less than half a unit at any such shift, and no result depends on it"
_TABLE = "the entries are not negative and r < 2**k"


def _bits(first: int, last: int) -> str:
    """A pattern for bit lengths."""
    return f"{_any(first, last)} bits"


def _any(first: int, last: int) -> str:
    """A pattern for numbers."""
    return f"({'|'.join(str(number) for number in range(first, last + 1))})"


# op -> pattern of bins (a whole regular expression) -> the argument.
ARGUED: Mapping[str, Mapping[str, str]] = {
    "embedding": {
        f"ids: positive, {_bits(18, 31)}": _SIZE.format(17),
        "ids: int32 at its high end": _SIZE.format(17),
        r"ids: 2\*\*30": _SIZE.format(17),
    },
    "positions": {rf"running_sum\(.* \| positive, {_bits(14, 21)}": _SIZE.format(12)},
    "mean_pool": {
        rf"sum_along\(where.* \| (positive|negative), {_bits(46, 63)}": _SIZE.format(14),
        rf"sum_along\(seen.* \| positive, {_bits(17, 21)}": _SIZE.format(16),
    },
    "linear": {rf".*product.* \| (positive|negative), {_bits(45, 52)}": _SIZE.format(12)},
    "linear_int4": {rf"product.* \| (positive|negative), {_bits(33, 63)}": _FITS},
    "matmul": {rf".*product.* \| (positive|negative), {_bits(45, 52)}": _SIZE.format(12)},
    "rescale": {
        r"x: axes \[\.\.\.\], none leading": "C5: axis must exist",
        r"mul_shift\(doubled, .* \| half_up: a product of 2\*\*62 or more": _POSITIVE,
        rf"mul_shift\(mul_shift\(doubled, .* \| shift {_any(32, 63)}": _HALF,
        r"mul_shift\(mul_shift\(doubled, .* \| half_away: a product below 2\*\*62": _POSITIVE,
        r"(scale_fp32|_significand24): _round\(.*, negative": _ROUNDED,
    },
    "add": {rf"mul_shift\(.* \| shift {_any(63, 94)}": _HALF},
    "rescale_token_residual": {rf"residual \* .* \| shift {_any(55, 62)}": _HALF},
    "quantize_token": {
        r"a >> 15 \| exact and even, not negative": "1 <= a <= 2**15: the only multiple of 2**15 is 2**15 itself",
        r"a >> over \| (shift 1|(one below exact|one above exact|half or more is dropped), .*)": (
            "over is 1 only for a = 2**15, which it divides"
        ),
        r"-peak >> e \| shift 9": "e is 9 only for a peak of 2**23, which 2**9 divides",
        r"mantissa << exponent \| shift 10": "a peak of 2**23 has e = 9 and a = 2**14, so nothing is carried over",
    },
    "softmax_ibert": {
        r"mul_shift\(.* \| shift 94": _HALF,
        r"\(r \+ b\) \* r \| positive, .*": "r <= 0 and b >= ln2 > -r",
        r"\(1 << 32\) // .* \| exact and odd, not negative": (
            "only powers of two divide 2**32; the sum is at most 2**30, so the quotient is at least 4"
        ),
    },
    "softmax_exp2": {
        r"shift_half_up\(255 \* e, 30\) \| tie above even, not negative": (
            "255 is odd, so 255 * e is an odd multiple of 2**29 only for e = 2**29, where it is 127.5, above an odd 127"
        ),
    },
    "layernorm_ibert": {
        rf"sum_along\(x, -1\) \| (positive|negative), {_bits(39, 63)}": "C5: |sum x| <= sqrt(D * 2**60) <= 2**37",
        r"sum_along\(x, -1\) \| (positive|negative), (37|38) bits": _SIZE.format(11),
        rf"sum_along\(square.* \| positive, {_bits(62, 63)}": "C5: the sum of squares is at most 2**60",
        r"isqrt\(v\) \| (one above|one below) a square, root of 31 bits": (
            "C5: v <= 2**60, whose root alone has 31 bits, and 2**60 is a square"
        ),
        r"isqrt\(v\) \| .*, root of 32 bits": "C5: v <= 2**60",
        r"\(1 << 31\) // .* \| exact and odd, not negative": "only powers of two divide 2**31, and sigma < 2**31",
        r"\(1 << 31\) // .* \| one above exact, not negative": (
            "2**31 - 1 is a prime, which sigma does not reach, and sigma = 1 divides 2**31"
        ),
        r"c \* f \| (positive|negative), 54 bits or more": "|c * f| <= 2**33, since |c| < (isqrt(v) + 1) * 2**shift",
    },
    "layernorm_fixed": {
        rf"sum_along\(x, -1\) \| (positive|negative), {_bits(36, 38)}": _SIZE.format(11),
        rf"sum_along\(square.* \| positive, {_bits(61, 63)}": "C5: the sum of squares is below 2**60",
        r"bitlen\(v\) \| result 62": "C5: the sum of squares is below 2**60 and eps is at most 2**60",
        r"v << 2 \* k \| shift \d*[13579]": _EVEN,
        r"\(1 << 61\) // sigma \| exact and odd, not negative": _SIGMA,
        r"\(1 << 61\) // sigma \| one (above|below) exact, not negative": _PRIMES,
        r"within\(c << k, -sigma, sigma\) \* f \| (positive|negative), 1 to 24 bits": "f >= 2**30, and c is 0 or more",
    },
    "l2_normalize": {
        r"v << 2 \* k \| shift \d*[13579]": _EVEN,
        r"\(1 << 61\) // sigma \| exact and odd, not negative": _SIGMA,
        r"\(1 << 61\) // sigma \| one (above|below) exact, not negative": _PRIMES,
        r"within\(x << k, -sigma, sigma\) \* f \| (positive|negative), (1 to 24|25 to 31) bits": (
            "k = 0 only for v = 2**60, where f = 2**31; else |x << k| >= 2 and f >= 2**30: 2**31 or more"
        ),
        r"isqrt\(.* \| one above a square, root of 31 bits": (
            "k = 0 only for v = 2**60, a square; else v * 4**k is a multiple of 4, and n**2 + 1 never is"
        ),
        r"shift_half_up\(unit, .* \| one (above|below) a tie, .*": "unit is even, and so is a tie of it",
    },
    "gelu_table": {
        r"take\(table, cell\) \* .* \| negative, .*": _TABLE,
        r"shift_half_up\(.* \| .*, negative": _TABLE,
    },
}


def argued(op_name: str, name: str) -> str:
    """Why a bin of an op cannot be hit; empty where nothing says so."""
    patterns = {**ARGUED.get(op_name, {}), **unreachable(op_name)}
    found = (why for pattern, why in patterns.items() if re.fullmatch(pattern, name))
    return next(found, "")
