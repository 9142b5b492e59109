"""Bins of ops/gemmlowp.py that no call can hit, and why."""

Reasons = dict[str, str]
_MANY_TWOS = "{} is a multiple of 2**{}: nothing is dropped"
_ONES = "what is dropped of {} are ones alone, two or more below the unit"
_REST = "rest is a multiple of 2**(29 - whole), the least that any bit drops"
_FIRST_BIT = "rest is 0 or more, but for a = 0, where it is -1 in the unit of the first bit: half or more is dropped"
_EVEN = "twice a number, beside an odd one"
_TAIL = "|t| <= 2**28: t . t outweighs a third of the rest; {} is not negative either"
_SMALL_INVERSE = "|a| <= 15 * 2**27: for none of them is _inverse above 1073741494, which is below 2**30"
_ENDS = {r"(low|high): at its (low|high) end": "C6: low and high lie in the range of an output of 16 bits at most"}


def _far(units: int, twos: int) -> Reasons:
    said = f"{units} * 2**{twos}"
    return {
        rf"{units} << {twos} >> shift \| shift ([1-9]|1\d|2[0-{twos - 20}])": _MANY_TWOS.format(said, twos),
        rf"{units} << {twos} >> shift \| (less than half is dropped|one (above|below) exact), not negative": (
            _ONES.format(said)
        ),
    }


_EXP = {
    r"_exp: rest >> .* \| one (above|below) exact, .*": _REST,
    r"_exp: rest >> .* \| (exact and even|less than half is dropped), negative": _FIRST_BIT,
}
_NEGATIVE = r"_divided: mul_shift\(.* \| half_away: .*, negative"
_SCALED = r"_scaled: mul_shift\(.* \| "
UNREACHABLE: dict[str, Reasons] = {
    "softmax_gemmlowp": {
        **_far(31, 26),
        **_EXP,
        _NEGATIVE: _TAIL.format("p"),
        r"sum_along\(.* \| positive, ([1-9]|1\d) bits": "the maximum alone gives 2**19",
        r"maximum\(sum_along\(.* \| left is one less": "the maximum alone gives 2**19; without a key the sum is 0",
        r"_divided: mul_shift\(.* \| shift (32|33|34)": "below 2**31 over 2**32 is less than a half",
        r"_inverse: .* >> 1 \| (half or more is dropped|one (above|below) exact), .*": (
            "total has 31 bits at most, so it is shifted left once or more"
        ),
        r"minimum\(2 \* _inverse.* \| left is equal": _EVEN,
        r"_product: shift_half_up\(.* \| one above a tie, not negative": (
            "none of exp and inverse, tried one by one; inverse . e would need an odd inverse, 2**31 - 1, and an e of "
            "2**30 - 1, which exp never is"
        ),
    },
    "logistic_gemmlowp": {
        **_far(15, 27),
        **_EXP,
        _NEGATIVE: _TAIL.format("v"),
        r"minimum\(2 \* _inverse.* \| left is (equal|one less|one more)": _SMALL_INVERSE,
        r"2 \* _inverse.* \| positive, 32 to 53 bits": _SMALL_INVERSE,
    },
    "tanh_gemmlowp": {
        **_far(15, 27),
        **_EXP,
        r"_divided: mul_shift\(.* \| half_away: one (above|below) a tie, negative": (
            "the only negative number to be divided is v, a multiple of 4, or 1 - 2**31"
        ),
        r"minimum\(_inverse.* \| left is (equal|one less)": "a multiple of 4, beside 2**31 - 1",
    },
    "rsqrt_gemmlowp": {
        r"_divided: mul_shift\(.* \| shift (2[2-9]|30|31)": "u . multiplier <= 2**20, less than a half of 2**22",
        r"\(1 << 42\) // maximum\(c, 1\) \| exact and odd, not negative": "only 2**42 itself would be odd",
        r"isqrt\(.* \| ([26] Newton steps|a square, root of 18 bits|one (above|below) a square, .*)": (
            "so each of the 255 c says"
        ),
    },
    "add_gemmlowp": {**_ENDS},
    "mul_gemmlowp": {**_ENDS},
    "softmax_int16": {
        rf"{_SCALED}half_(up|away): (above the tie|below the tie|tie above (even|odd)), not negative": (
            "d <= 0: what is not negative is 0, and exact"
        ),
        r"_divided: mul_shift\(.* \| half_away: (above the tie|below the tie|tie above (even|odd)), not negative": (
            "d <= 0: what is not negative is 0, and exact"
        ),
        r"_product: shift_half_up\(.* \| (above the tie|below the tie|one (above|below) a tie|tie above (even|odd)), "
        "not negative": "d <= 0: what is not negative is 0, and exact",
        rf"{_SCALED}shift (4[89]|5\d|6[012])": "|d * multiplier| < 2**47, less than a half of 2**48",
        r"_divided: mul_shift\(.* \| shift (1[7-9]|2\d|30|31)": "|d . multiplier| < 2**16, less than a half of 2**17",
        r"shift_half_up\(total << 31 - length, 14\) \| one (above|below) a tie, not negative": (
            "total is below 2**30, and so shifted left once or more: even, as is a tie"
        ),
    },
}
