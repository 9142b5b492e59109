"""What no call of the ops of ops/ivit.py can show, each with the reason."""

_BELOW = "any fill at or below every x leaves the maximum alone; a masked key counts for nothing"
_ANY_BUT_0 = "where takes its first value for anything but 0"
_ATTEND = "attend = mask[:, None, None] if len(mask.shape) == 2 else mask[:, None]"
_SEEN = "seen = where(attend, x, -(1 << 31))"
_E = "e = where(attend, within(_power(r, within(halvings - q, 0, halvings), one, form), 0, MAX31), 0)"
_F = "f = MAX31 // maximum(minimum(sum_along(e, -1), MAX31), 1)"
_ZERO = "zero = within(_power(r, minimum(within(halvings - q, 0, 1 << 17), 31), one, form), 1, 1 << 56)"
_SIGMOID = "sigmoid = within(e * (MAX31 // minimum(e + zero, MAX31)), 0, MAX31) >> 32 - bits"
_ONE_BELOW = "a sum of 2**31 - 2, or more, has the quotient 1 either way"
_TIES = "over 2 what is dropped is a half or nothing: both rules take the half toward zero"
EQUIVALENT: dict[str, dict[str, str]] = {
    "softmax_ivit": {
        f"mask -> -mask in {_ATTEND}": _ANY_BUT_0,
        f"mask -> -mask in {_ATTEND} #2": _ANY_BUT_0,
        f"attend -> -attend in {_SEEN}": _ANY_BUT_0,
        f"attend -> -attend in {_E}": _ANY_BUT_0,
        f"x -> x + 1 in {_SEEN}": "only differences of x count",
        f"1 -> 2 in {_SEEN}": _BELOW,
        f"31 -> 32 in {_SEEN}": _BELOW,
        f"MAX31 -> MAX31 - 1 in {_F} #2": _ONE_BELOW,
        f"1 -> 2 in {_F} #2": "the largest key has e = one * 2**halvings >= 2; a row without a key has p = 0",
    },
    "gelu_ivit": {
        f"31 -> 32 in {_ZERO}": "exp(-m) >= 2**31 either way: the sum saturates",
        f"31 -> 30 in {_ZERO}": "exp(-m) >= 2**30 either way, so the sum is above 2**30 and its quotient is 1",
        f"MAX31 -> MAX31 - 1 in {_SIGMOID} #2": _ONE_BELOW,
    },
    "layernorm_ivit": {
        "c -> -c in v = within(sum_along(square(c), -1), 0, 1 << 62)": "a square has no sign",
        "'toward_zero' -> 'half_to_zero' in "
        "return {'y': wrap_int32(divide(wrap_int32(scaled), 2, 'toward_zero') + bias)}": _TIES,
    },
}
_SMALL = "t >= -halvings * one > -2**28, and r and one are below 2**25"
_CUT = "what is below -2**31 is below -halvings * one > -2**28, and cut there"
_AT_MOST_31 = "no shift is above 31"
_POSITIVE = "what is rounded is never negative"
_TOKEN = "x has 16 bits: t lies within 2**17, and one within 2**24"
HARMLESS: dict[str, dict[str, str]] = {
    "softmax_ivit": {
        "addition 1 of 3: saturated to 32 bits": _CUT,
        "addition [23] of 3: * to 32 bits": _SMALL,
        "difference [12] of 3: saturated to 32 bits": _CUT,
        "difference 3 of 3: * to 32 bits": "0 <= halvings - q <= 30",
        "left shift: by [at]*": _AT_MOST_31,
        "right shift * of 4: by [at]*": _AT_MOST_31,
        "right shift 4 of 4: logical, of 32 bits": "0 <= e * f < 2**31",
        "product 2 of 2: * to 32 bits": "0 <= e * f < 2**31",
        "quotient 1 of 2: saturated to 16 bits": "q <= halvings",
        "sum: saturated to 32 bits": "it saturates there itself",
        "toward_zero at floor [356] of 6": _POSITIVE,
    },
    "gelu_ivit": {
        "addition [1-6] of 7: * to 32 bits": _TOKEN,
        "addition 7 of 7: saturated to 32 bits": "it saturates there itself",
        "difference * of 5: * to 32 bits": _TOKEN,
        "left shift * of 2: by [at]*": _AT_MOST_31,
        "left shift 2 of 2: saturated to 32 bits": (
            "exp(-m) is 2**30 - 1 instead, in tvm 2**31 - 1: the sum is above 2**30 - 1, and its quotient is 1"
        ),
        "product [23] of 4: * to 32 bits": "|q * one| < 2**18 + one; a sigmoid is below 2**31 before its shift",
        "quotient 1 of 2: saturated to 16 bits": "q <= halvings",
        "right shift * of 7: by [at]*": _AT_MOST_31,
        "right shift 7 of 7: logical, of 32 bits": "0 <= e * f < 2**31",
        "toward_zero at floor [389] of 9": _POSITIVE,
    },
    "layernorm_ivit": {
        "product: wrapped to 32 bits": "no step ends below the root: |c| <= sigma, so |c * f| < 2**31; tvm wraps",
        "quotient 1 of 11: by a reciprocal of 32 bits": "the first divisor is 2**16, whose reciprocal is exact",
        "rule half_to_zero at rounding 2 of 2": _TIES,
    },
}
_PRIME = "2**31 - 1 is a prime: it is divided exactly by 1 and by itself, to odd quotients, or the quotient is 0"
_D = "d <= 0 and r <= 0: of what is not negative there is only 0"
_EVEN = "k is 0 only where t is cut, and r is 0 there: what is halved is even"
_BELOW_31 = "e <= the sum, or the sum saturates and its quotient is 1: below 2**31"
_SQUARES = "sum_d c**2 <= D * max x**2 <= 2**60, by C5"
_SUMS = "|sum_d x| <= D * max |x| <= 2**37: by C5, and D <= 2**14"
_FAR = "an odd sum, or one twice odd, has exp(x - m) below 2**18 with one above 2**13: 12 halvings away, beyond 16 bits"
_CLOSE = "q * one lies within one of -t, and |t| < 2**17 in 16 bits"
_HALVED = r"_power: within\(.*\) << k >> 1 \| (half or more is dropped|one (above|below) exact), not negative"
UNREACHABLE: dict[str, dict[str, str]] = {
    "softmax_ivit": {
        r"MAX31 // .* \| exact and even, not negative": _PRIME,
        r"(_log2e: x|_power: r) >> [14] \| (exact and odd|.* dropped|one .* exact), not negative": _D,
        _HALVED: _EVEN,
        r"e \* f \| positive, (32 to 53 bits|54 bits or more)": _BELOW_31,
        r"maximum\(minimum\(sum.* \| left is equal": "the largest key has e = one * 2**halvings >= 2",
        r"sum_along\(e, -1\) \| positive, 1 bits": "the largest key has e = one * 2**halvings >= 2",
    },
    "gelu_ivit": {
        r"MAX31 // .* \| exact and even, not negative": _PRIME,
        _HALVED: _EVEN,
        r"e \* \(MAX31.* \| positive, (32 to 53 bits|54 bits or more)": _BELOW_31,
        r"minimum\(e \+ zero, MAX31\) \| left is (equal|one less)": _FAR,
        r"q \* one( #2)? \| (negative, 32 to 53|positive, 25 to 31) bits": _CLOSE,
    },
    "layernorm_ivit": {
        r"MAX31 // sigma \| exact and even, not negative": _PRIME,
        r"sum_along\(square.* \| positive, (62|63) bits": _SQUARES,
        r"sum_along\(x, -1\) \| (positive|negative), (39|40) bits": _SUMS,
    },
}
