"""What no call of the ops of ops/wide.py can show, each with the reason."""

_ANY_BUT_0 = "where takes its first value for anything but 0"
_SHIFTED = "only differences of x count"
_BELOW = "any fill at or below every x leaves the maximum alone; a masked key counts for nothing"
_ATTEND = "attend = mask[:, None, None] if len(mask.shape) == 2 else mask[:, None]"
_SEEN = "seen = where(attend, x, -WIDE)"
_E = "e = where(attend, within(shift_half_up(mantissa, minimum(n, 62)), 0, 1 << 48), 0)"
_U = "u = mul_shift(within(max_along(seen, -1) - seen, 0, 2 * WIDE), multiplier, shift, 'floor')"
_P = "return {'p': within(mul_shift(e, r, 49 + s, 'half_up'), 0, WIDE)}"
_MISS = "miss = within((1 << 46) - mul_shift(v >> 14, mul_shift(h, h, 48, 'floor'), 48, 'floor'), -(1 << 18), 1 << 18)"
_LEAST = "they part where all attended are -WIDE: of a distance of 1 u is 0 as of 0, for multiplier < 2**shift"
_POSITIVE = "never negative"
_MAGNITUDE = "a magnitude has no sign"
_FULL = "a row's largest has 48 bits, so its square alone is 2**46; a row of zeros stays one"
_SQUARED = "a square has no sign"
_MIDDLE = "middle = 2 * sum_along(high * low, -1) + (sum_along(square(low), -1) >> BITS)"
_LIMBS = "high, low = (n >> BITS, n & LOW)"
_EPSILON = "epsilon = within(shift_half_up(eps, minimum(2 * within(most - k, 0, 48), 62)), 0, 1 << 52)"
_NO_EPSILON = "eps <= 2**52: 0 either way"
_SUMS_OF_SQUARES = {
    f"_squares: low -> -low in {_MIDDLE} #2": _SQUARED,
    "_squares: high -> -high in return within(sum_along(square(high), -1) + (middle >> BITS), 0, 1 << 60)": _SQUARED,
    "_over_root: v -> v - 1 in j = 62 - bitlen(v) >> 1": (
        "j differs for a power of 4 alone, whose root, inverse and product are exact at either j"
    ),
}
EQUIVALENT: dict[str, dict[str, str]] = {
    "linear_wide": {
        "-1 -> 1 in return {'y': saturate(_dot(x, swap(weight, -1, -2), shift) + bias, -WIDE, WIDE)}": (
            "weight has two axes: the last is axis 1"
        ),
    },
    "softmax_wide": {
        f"mask -> -mask in {_ATTEND}": _ANY_BUT_0,
        f"mask -> -mask in {_ATTEND} #2": _ANY_BUT_0,
        f"attend -> -attend in {_SEEN}": _ANY_BUT_0,
        f"attend -> -attend in {_E}": _ANY_BUT_0,
        f"x -> x + 1 in {_SEEN}": _SHIFTED,
        f"WIDE -> WIDE + 1 in {_SEEN}": _BELOW,
        f"62 -> 61 in {_E}": "mantissa <= 2**48: 0 either way",
        f"x -> x - 1 in {_SEEN}": _LEAST,
        f"WIDE -> WIDE - 1 in {_SEEN}": _LEAST,
        f"'floor' -> 'toward_zero' in {_U}": _POSITIVE,
        "_reciprocal: 'floor' -> 'toward_zero' in miss = within((1 << 47) - mul_shift(v, g << 16, 48, 'floor'), "
        "-(1 << 18), 1 << 18)": _POSITIVE,
        f"'half_up' -> 'half_away' in {_P}": _POSITIVE,
        "_piecewise: 0 -> -1 in return where(cell < cells, y, 0)": "a mantissa below 0 is clamped to 0",
    },
    "gelu_wide": {
        "x -> -x in tail = shift_half_up(_piecewise(absolute(x), coefficients, fraction), 48 - fraction)": _MAGNITUDE,
        "_piecewise: 0 -> -1 in return where(cell < cells, y, 0)": "half_up of -1/2 and of less is 0",
    },
    "tanh_wide": {
        "x -> -x in y = (1 << 46) - shift_half_up(_piecewise(absolute(x), coefficients, fraction), 2)": _MAGNITUDE,
        "_piecewise: 0 -> 1 in return where(cell < cells, y, 0)": "half_up of 1/4 is 0",
        "_piecewise: 0 -> -1 in return where(cell < cells, y, 0)": "half_up of -1/4 is 0",
    },
    "l2_normalize_wide": {
        "x -> -x in n = within(x << _room(x), 1 - (1 << 48), (1 << 48) - 1) #2": _MAGNITUDE,
        "n -> -n in return {'y': _over_root(n, maximum(_squares(n), 1 << 46))} #2": "a square has no sign",
        "1 << 46 -> 1 in return {'y': _over_root(n, maximum(_squares(n), 1 << 46))}": _FULL,
        "1 << 46 -> 46 in return {'y': _over_root(n, maximum(_squares(n), 1 << 46))}": _FULL,
        "1 << 46 -> 46 << 1 in return {'y': _over_root(n, maximum(_squares(n), 1 << 46))}": _FULL,
        "46 -> 45 in return {'y': _over_root(n, maximum(_squares(n), 1 << 46))}": _FULL,
        "_room: c -> -c in return 48 - bitlen(max_along(absolute(c), -1))": _MAGNITUDE,
        f"_inverse_root: 'floor' -> 'toward_zero' in {_MISS}": _POSITIVE,
        f"_inverse_root: 'floor' -> 'toward_zero' in {_MISS} #2": _POSITIVE,
        **_SUMS_OF_SQUARES,
        f"_squares: n -> n + 1 in {_LIMBS}": "n is even",
        f"_squares: LOW -> LOW - 1 in {_LIMBS}": "n is even",
        f"_inverse_root: v -> v + 1 in {_MISS}": "v is a multiple of 4",
    },
    "layernorm_wide": {
        "c -> -c in k = minimum(_room(c), most)": _MAGNITUDE,
        "n -> -n in unit = _over_root(n, maximum(_squares(n) + epsilon, 1 << 46)) #2": "a square has no sign",
        "_room: c -> -c in return 48 - bitlen(max_along(absolute(c), -1))": _MAGNITUDE,
        f"_inverse_root: 'floor' -> 'toward_zero' in {_MISS}": _POSITIVE,
        f"_inverse_root: 'floor' -> 'toward_zero' in {_MISS} #2": _POSITIVE,
        **_SUMS_OF_SQUARES,
        f"minimum(2 * within(most - k, 0, 48), 62) -> 2 * within(most - k, 0, 48) in {_EPSILON}": _NO_EPSILON,
        f"62 -> 61 in {_EPSILON}": _NO_EPSILON,
    },
    "mean_pool_wide": {
        "0 -> -1 in return {'y': within(mean, -WIDE, WIDE)[..., 0, :]}": "the axis that was summed has one element",
        "seen -> -seen in mean = div_half_up(sum_along(where(seen, x, 0), -2), "
        "maximum(sum_along(seen, -2), 1))": _ANY_BUT_0,
    },
}
_ABOVE_0 = ("half_away", "half_up by a division toward zero")
_MISSES = "the miss is within 2**18"
HARMLESS: dict[str, dict[str, str]] = {
    "layernorm_wide": {
        "rule toward_zero at rounding [34] of 6": _POSITIVE,
        "rule half_away at rounding 2 of 6": _POSITIVE,
        "rule half_up by a division toward zero at rounding 2 of 6": _POSITIVE,
        "difference 5 of 6: * to 32 bits": _MISSES,
    },
    "softmax_wide": {
        "rule toward_zero at rounding [19] of 10": _POSITIVE,
        **{f"rule {rule} at rounding {n} of 10": _POSITIVE for rule in _ABOVE_0 for n in (8, 10)},
        "difference 6 of 6: * to 32 bits": _MISSES,
    },
    "l2_normalize_wide": {
        "rule toward_zero at rounding [12] of 3": _POSITIVE,
        "difference 3 of 4: * to 32 bits": _MISSES,
    },
}
_SEVEN = {r"axis J: (1|2 modulo 4|4 modulo 8|8 modulo 16|16 modulo 32|a multiple of 32|odd, above 32)": "C5: J = 7"}
_DOUBLED = "twice a number is even"
_G = "g >= 2**30: what is not 0 has 31 bits or more"
_PRIMES = "2**61 - 1 is a prime, 2**61 + 1 is 3 times a prime: neither has a divisor in [2**30, 2**31)"
_ROOT = "the root is in [2**30, 2**31): only 2**30 divides 2**61, and leaves 2**31, which is even"
_INVERSE_ROOT = {
    r"_inverse_root: \(1 << 61\) // .* \| exact and odd, not negative": _ROOT,
    r"_inverse_root: \(1 << 61\) // .* \| one (above|below) exact, not negative": _PRIMES,
    r"_inverse_root: g \* miss \| (positive|negative), 1 to 24 bits": _G,
    r"_inverse_root: mul_shift\(h, h, 48, 'floor'\) \| floor: tie above (even|odd), not negative": (
        "h * h has an even number of twos, no 47"
    ),
    r"_over_root: v << 2 \* j \| shift \d*[13579]": _DOUBLED,
}
_SUM = "the largest |n| is 2**47 or more, so its high limb is 2**23 or more, or -2**23 or less"
_LESS = "the sum of squares is below 2**60: j is 1 or more"
_EVEN = "|x| < 2**47 is shifted left once or more: n and its low limb are even"
_HALVES = "the numbers sum to about 0: those of one sign and a full low limb sum to less than 2**59"
UNREACHABLE: dict[str, dict[str, str]] = {
    "gelu_wide": _SEVEN,
    "tanh_wide": _SEVEN,
    "softmax_wide": {
        **_SEVEN,
        r"axis C: odd, above 32": "C <= 32",
        r"_reciprocal: \(1 << 62\) // .* \| exact and odd, not negative": (
            "v >> 17 is in [2**30, 2**31): only 2**30 divides 2**62, and leaves 2**32, which is even"
        ),
        r"_reciprocal: g \* miss \| (positive|negative), (1 to 24|25 to 31) bits": (
            "g > 2**31: what is not 0 has 32 bits or more"
        ),
        r"(total >> s \| shift 13|mul_shift\(e, r, 49 \+ s, 'half_up'\) \| shift 62)": (
            "only 4096 keys of 2**48 sum to 2**60: nothing is dropped"
        ),
        r"shift_half_up\(mantissa, .* \| shift (5\d|6[012])": "2**48 is less than a half of 2**50",
    },
    "layernorm_wide": {
        **_INVERSE_ROOT,
        r"minimum\(2 \* within\(most - k, 0, 48\), 62\) \| (left is one (less|more)|result \d*[13579])": _DOUBLED,
        r"shift_half_up\(eps, .* \| shift \d*[13579]": _DOUBLED,
        r"shift_half_up\(eps, .* \| shift (5[468]|6[02])": "eps <= 2**52 is less than a half of 2**54",
        r"_squares: sum_along\(high \* low, -1\) \| (positive|negative), 60 bits": _HALVES,
        r"_squares: sum_along\(square\(high\), -1\) \| positive, 61 bits": (
            "the numbers sum to about 0, so they are not all -2**48 or so"
        ),
    },
    "l2_normalize_wide": {
        **_INVERSE_ROOT,
        r"_squares: sum_along\(square\(high\), -1\) \| positive, ([1-9]|[123]\d|4[0-6]) bits": _SUM,
        r"maximum\(_squares\(n\), 1 << 46\) \| left is one less": "the largest |n| is 2**47 or more, or all are 0",
        r"_over_root: (2 \* j \| zero|62 - bitlen\(v\) >> 1 \| result 0|bitlen\(v\) \| result 61)": _LESS,
        r"_over_root: (mul_shift\(n, r, 56 - j, 'half_up'\) \| shift 56|v << 2 \* j \| shift 0)": _LESS,
        r"_inverse_root: (v >> 14 \| one (above|below) exact|isqrt\(v\) \| one above a square, root of 31 bits).*": (
            "v is a multiple of 4, which n**2 + 1 never is"
        ),
        r"_squares: (n|sum_along\(square\(low\), -1\)) >> BITS \| one (above|below) exact, .*": _EVEN,
        r"_squares: sum_along\(high \* low, -1\) \| ((positive|negative), 1 bits|odd (above|below) .*)": _EVEN,
        r"_squares: sum_along\(square\(low\), -1\) \| (positive, [12] bits|odd above .*)": _EVEN,
    },
}
