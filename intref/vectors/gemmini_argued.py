"""What no call of the ops of ops/gemmini.py can show, each with the reason."""

_ATTEND = "attend = mask[:, None, None] if len(mask.shape) == 2 else mask[:, None]"
_ANY_BUT_0 = "where takes its first value for anything but 0"
_D = "d = within(where(attend, top, x) - x, 0, M31)"
_E = "e = where(attend, poly >> minimum(z, 31), 0)"
_TOP = "top = max_along(where(attend, x, -(1 << 31)), -1)"
_MORE = "more = where(den > 127 << 18, 42, 41)"
_SIGNIFICAND = "significand = within(divide(127 << more, den, 'half_even'), 1 << 23, (1 << 24) - 1)"
_BELOW = "any fill at or below every x leaves the maximum alone"
_MASKED = "the d of a masked key counts for nothing"
_FAR = "poly < 2**30 where there is a second key, by C6, and so 0 by a shift of 30 as well; a single key has z = 0"
_NO_TIE = "127 * 2**43 / den is no odd integer: den < 2**25"
_SAME = "at den = 127 * 2**18 either quotient is the same power of 2; no other den is meant, for it is even"
EQUIVALENT: dict[str, dict[str, str]] = {
    "softmax_gemmini": {
        f"mask -> -mask in {_ATTEND}": _ANY_BUT_0,
        f"mask -> -mask in {_ATTEND} #2": _ANY_BUT_0,
        f"attend -> -attend in {_TOP}": _ANY_BUT_0,
        f"1 -> 2 in {_TOP}": _BELOW,
        f"31 -> 32 in {_TOP}": _BELOW,
        f"where(attend, top, x) -> top in {_D}": _MASKED,
        f"attend -> attend + 1 in {_D}": _MASKED,
        f"attend -> -attend in {_D}": _ANY_BUT_0,
        **{f"x -> {other} in {_D}": _MASKED for other in ("x + 1", "x - 1", "-x")},
        "65536 -> 65537 in z = within(d * (65536 // ln2), 0, M31) >> 16": (
            "65537 is a prime: only ln2 = 1 could tell, with d < 2**15 by C5"
        ),
        "root -> -root in poly = within(square(root) + c, 1, M31)": "it is squared",
        f"attend -> -attend in {_E}": _ANY_BUT_0,
        f"minimum(z, 31) -> z in {_E}": "NumPy gives 0 for a shift above 63, too; the limit keeps it defined",
        f"31 -> 32 in {_E}": _FAR,
        f"31 -> 30 in {_E}": _FAR,
        "reciprocal_fp32: n -> n - 1 in drop = maximum(bitlen(n) - 24, 0)": "only powers of 2 are a bit shorter: exact",
        "reciprocal_fp32: m -> m - 1 in up = 25 - bitlen(m)": "2**25 and 42 give what 2**24 and 41 do",
        f"reciprocal_fp32: den > 127 << 18 -> den >= 127 << 18 in {_MORE}": _SAME,
        f"reciprocal_fp32: den -> den + 1 in {_MORE}": _SAME,
        f"reciprocal_fp32: den -> den - 1 in {_MORE}": _SAME,
        **{
            f"reciprocal_fp32: 'half_even' -> 'half_{rule}' in {_SIGNIFICAND}": _NO_TIE
            for rule in ("up", "down", "away", "to_zero")
        },
    },
    "gelu_gemmini": {
        "x -> -x in poly = sign * (square(minimum(absolute(x), -b) + b) + c)": "x and -x are of one magnitude"
    },
    "layernorm_gemmini": {"centered -> -centered in v = sum_along(square(centered), -1) // width": "it is squared"},
}
HARMLESS: dict[str, dict[str, str]] = {
    "softmax_gemmini": {
        "rule half_* at rounding 2 of 2": _NO_TIE,
        "rule fp32_half_even at rounding 1 of 2": "fl32 is what it does, half_even to 24 bits",
        "sum: * to 32 bits": "C6",
        "product 1 of 2: * to 32 bits": "C5",
        "addition 2 of 4: * to 32 bits": "C6",
        "difference 1 of 7: * to 32 bits": "C5",
        "left shift 1 of 3: * to 32 bits": "den < 2**25",
        "choice 2 of 4: the first value everywhere": _MASKED,
    },
    "layernorm_gemmini": {
        "sum [12] of 2: * to 32 bits": "C5 and C6",
        "difference: * to 32 bits": "C6",
        "root: of 32 bits": "v < 2**31",
        "root: in floats of 53 bits": "v < 2**31, and n - 1 / 2n is no float64 beside n before 2**26",
        "0 for a row of equal elements": "its deviations are 0",
        "output * to int*": "|y| <= 64, by |deviation| <= 32 * sqrt(v + 1)",
        "root: Newton from 2**16, stopped where it does not fall": "exact below 2**32",
    },
    "gelu_gemmini": {"product *: * to 32 bits": "C5", "addition *: * to 32 bits": "C5"},
}
_EVEN = "den is even: m has 24 bits at most"
_ROUNDED = "a magnitude is rounded"
_WIDE = "(32|33|34|35|36|37|38|39|40|41|32 to 53) bits|(positive|negative), 54 bits or more"
UNREACHABLE: dict[str, dict[str, str]] = {
    "softmax_gemmini": {
        r"65536 // ln2 \| one below exact.*": "65537 is a prime",
        rf"d \* \(65536.* \| .*({_WIDE})": "C5",
        rf"sum_along\(e.* \| .*({_WIDE})": "C6",
        r"poly >> minimum.* \| shift 31": _FAR,
        r"reciprocal_fp32: den > .* \| left is one (more|less)": _EVEN,
        r"reciprocal_fp32: divide.* tie above (even|odd).*": _NO_TIE,
        r"reciprocal_fp32: divide.* one (above|below) a tie.*": (
            "den / 2 would divide 127 * 2**41 -+ 1, or 127 * 2**42 -+ 1 where it is above 127 * 2**17: none does"
        ),
        r"(scale_fp32|_significand24): .*, negative": _ROUNDED,
    },
    "gelu_gemmini": {rf".* \| .*({_WIDE})": "C5"},
    "layernorm_gemmini": {
        rf"sum_along\(x.* \| .*({_WIDE})": "C5",
        rf"sum_along\(square.* \| .*({_WIDE}|3[01] bits)": "at most D * range**2 / 4 + D, and C6",
        r"isqrt\(v\) \| .* root of 1[56] bits": "v is at most range**2 / 4 + 1, and C6",
    },
}
