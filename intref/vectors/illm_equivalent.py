"""Mutants and faults of ops/illm.py that no call can tell, and bins of its coverage that none reaches: why."""

_ANY_BUT_0 = "where takes its first value for anything but 0"
_BELOW = "any fill at or below every x leaves the maximum alone; a masked key counts for nothing"
_ATTEND = "attend = mask[:, None, None] if len(mask.shape) == 2 else mask[:, None]"
_SEEN = "seen = where(attend, x, -(1 << 31))"
_D = "d = maximum(within(seen - max_along(seen, -1), -(1 << 32), 0), -divide(clip << k, m, 'half_up'))"
_NO_TIE = "half a unit needs m = clip * 2**(k + 1) / n for an odd n that divides clip: m >= 2**(k + 1), refused by C5"
_POSITIVE = "what is rounded is never negative"
_HALVED = "return within((r >> 1) + t, 1, t) >> minimum(q, 31)"
_NOTHING_LEFT = "q * t <= 2**32: from q = 29 on t is below 2**q"
_ONE = "return within(divide(1 << k, within(_log2e(m), 1, 1 << 17), 'half_up'), 1, MAX_T)"
_EXP: dict[str, str] = {
    f"_exp: minimum(q, 31) -> q in {_HALVED}": _NOTHING_LEFT,
    f"_exp: 31 -> 32 in {_HALVED}": _NOTHING_LEFT,
    f"_exp: 31 -> 30 in {_HALVED}": _NOTHING_LEFT,
    f"_one: 'half_up' -> 'half_away' in {_ONE}": _POSITIVE,
}
_S = "s = within(div_half_up(where(gate >= 0, t, e) << bits - 1, t + e), 0, 1 << bits - 1)"
_TIMES_0 = "they part where gate is 0, and y with it"
_LIFT = "lift = top + 1 - bitlen(max_along(absolute(c), -1))"
_PARTS = "high, low = (sum_along(square(s) >> 26, -1), sum_along(square(s) & (1 << 26) - 1, -1))"
_WHOLE = "whole = high // width"
_MADE_GOOD = "rest takes what whole leaves, so their sum is the same quotient"
_NO_SIGN = "a square has no sign"
_NORM = {
    f"_over_rms: c -> -c in {_LIFT}": "the absolute value has no sign",
    f"_over_rms: s -> -s in {_PARTS}": _NO_SIGN,
    f"_over_rms: s -> -s in {_PARTS} #2": _NO_SIGN,
    f"_over_rms: high -> high + 1 in {_WHOLE}": _MADE_GOOD,
    f"_over_rms: high -> high - 1 in {_WHOLE}": _MADE_GOOD,
    f"_over_rms: width -> width + 1 in {_WHOLE}": _MADE_GOOD,
    "_over_rms: 'half_up' -> 'half_away' in mean = (whole << 26) + divide(rest, width, 'half_up')": _POSITIVE,
}
EQUIVALENT: dict[str, dict[str, str]] = {
    "softmax_illm": {
        f"mask -> -mask in {_ATTEND}": _ANY_BUT_0,
        f"mask -> -mask in {_ATTEND} #2": _ANY_BUT_0,
        "m[:, :] -> m in m = m[:, None, None] if len(m.shape) == 1 else m[:, :]": "all of m is m",
        "k[:, :] -> k in k = k[:, None, None] if len(k.shape) == 1 else k[:, :]": "all of k is k",
        f"attend -> -attend in {_SEEN}": _ANY_BUT_0,
        f"x -> x + 1 in {_SEEN}": "only differences of x count",
        f"x -> x - 1 in {_SEEN}": "only differences of x count",
        f"1 -> 2 in {_SEEN}": _BELOW,
        f"31 -> 32 in {_SEEN}": _BELOW,
        **{f"'half_up' -> '{rule}' in {_D}": _NO_TIE for rule in ("half_down", "half_to_zero", "half_even")},
        f"'half_up' -> 'half_away' in {_D}": _POSITIVE,
        "attend -> -attend in e = where(attend, _exp(d, _one(m, k)), 0)": _ANY_BUT_0,
        **_EXP,
    },
    "swiglu_illm": {
        "gate -> -gate in e = _exp(-absolute(gate), t)": "the absolute value has no sign",
        f"gate >= 0 -> gate > 0 in {_S}": _TIMES_0,
        f"gate -> gate - 1 in {_S}": _TIMES_0,
        f"0 -> 1 in {_S}": _TIMES_0,
        "_exp: x -> x + 1 in q = -x // t": (
            "they part at multiples of t, where q is one less and r is -t: half of t, by one halving less; at 0 y is 0"
        ),
        **_EXP,
    },
    "rmsnorm_illm": _NORM,
    "layernorm_illm": _NORM,
    "requantize_illm": {
        "_scaled: 'half_up' -> 'half_away' in "
        "return divide(within(num << maximum(e, 0), 0, 1 << 48), den << maximum(-e, 0), 'half_up')": _POSITIVE,
    },
}
_LEMMA = "the end of a lemma, 1 - t, that no device computes"
_SHORT = "a multiple of t no larger than |gate|, and what is left of it"
_QUOTIENT = (
    *("half_even at floor 2 of 2", "half_up at floor 2 of 2", "quotient: by a reciprocal of 32 bits"),
    *("quotient: one too *", "quotient: rounded up"),
)
_NORM_FAULTS = {
    **dict.fromkeys(_QUOTIENT, _MADE_GOOD),
    "root: in floats of 53 bits": "the mean is at most 2**52",
    "rule half_away at rounding 2 of 3": _POSITIVE,
    "rule half_up by a division toward zero at rounding 2 of 3": _POSITIVE,
    "square 2 of 2: wrapped to 32 bits": "its low 26 bits are kept",
}
_REST = "a rest of a division by D"
HARMLESS: dict[str, dict[str, str]] = {
    "softmax_illm": {
        "difference 3 of 3: * to 32 bits": _LEMMA,
        "quotient: saturated to 16 bits": _NOTHING_LEFT,
        "rule half_away at *": _POSITIVE,
        "rule half_up by a division toward zero at *": _POSITIVE,
        **{f"rule {rule} at rounding 1 of 3": _NO_TIE for rule in ("half_down", "half_even", "half_to_zero")},
    },
    "swiglu_illm": {
        "addition 2 of 4: * to 32 bits": _SHORT,
        "product 1 of 3: * to 32 bits": _SHORT,
        "difference 2 of 2: * to 32 bits": _LEMMA,
        "right shift 4 of 4: logical, of 32 bits": "it is 2**32 where gate is 0 alone, and y with it",
        "rule half_away at *": _POSITIVE,
        "rule half_up by a division toward zero at *": _POSITIVE,
    },
    "rmsnorm_illm": {
        "difference 2 of 2: * to 32 bits": _REST,
        "left shift 1 of 4: * to 32 bits": "an x that is shifted stays below 2**26",
        **_NORM_FAULTS,
    },
    "layernorm_illm": {
        "0 for a row of equal elements": "it is 0",
        "difference 3 of 3: * to 32 bits": _REST,
        **_NORM_FAULTS,
    },
    "requantize_illm": {
        "rule half_away at *": "the zero point is rounded so itself; what else is rounded is never negative",
        "rule half_up by a division toward zero at rounding [123] of 4": _POSITIVE,
        "rule half_even at rounding 2 of 4": "only 127.5 would count, and 128 is even",
    },
}
_AT_MOST_0 = {r"_exp: r >> 1 \| (exact and odd|half or more.*|one .* exact), not negative": "r <= 0"}
_ONLY_TIE = {r"_one: divide\(.* \| half_up: tie above odd, .*": "t >= 1, and 2**(k + 1) / m_f is odd for t = 1/2 alone"}
_NO_SQUARE = {
    r"_over_rms: isqrt\(mean\) \| one .* a square, root of 27 bits": "the mean is at most 2**52",
    r"_over_rms: square\(s\) >> 26 \| one below exact, .*": "no square is 3 modulo 4",
}
_SHIFT = r"_exp: within\(\(r >> 1\) \+ t, 1, t\) >> minimum\(q, 31\) \| shift "
UNREACHABLE: dict[str, dict[str, str]] = {
    "softmax_illm": {
        r"_exp: q \* t \| positive, 54 bits or more": "q * t <= 2**32",
        _SHIFT + "(29|3[01])": "2**(q - 1) * q > 2**32 >= q * t: less than half is left",
        r"divide\(clip << k, .* \| half_up: tie .*": _NO_TIE,
        **_AT_MOST_0,
        **_ONLY_TIE,
    },
    "swiglu_illm": {
        r"_exp: q \* t \| positive, (25 to 31|32 to 53|54) bits.*": "q * t <= |gate| <= 2**23",
        _SHIFT + r"(2\d|3[01])": "2**(q - 1) * q > 2**23 >= q * t: less than half is left",
        **_AT_MOST_0,
        **_ONLY_TIE,
    },
    "rmsnorm_illm": _NO_SQUARE,
    "layernorm_illm": _NO_SQUARE,
    "requantize_illm": {
        r"maximum\(max_along\(x, -1\) - low, 1\) \| left is less by more": "no row's maximum is below its minimum",
    },
}
