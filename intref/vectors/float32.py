"""Mutants and faults of ops/onnx.py that no call can show: the same float32, or none that sets a bit."""

from collections.abc import Mapping

Reasons = dict[str, str]
_UP = "up = 50 - bitlen(size)"
_DROP = "drop = maximum(up - exponent - 149, 26)"
_KEPT = "kept = within(mul_shift(within(size << up, 0, (1 << 50) - 1), 1, minimum(drop, 51), 'half_even'), 0, 1 << 24)"
_PATTERN = "pattern = kept + where(size > 0, exponent - up + drop + 149 << 23, 0)"
_INFINITE = "pattern = within(minimum(pattern, INFINITY), 0, INFINITY)"
_SIGNED = "return where(sign < 0, pattern - (1 << 31), pattern)"
_TO_INT = "return sign * mul_shift(size << 16, 1, saturate(16 - exponent, 0, 41), 'half_even')"
_UP_A = "up = 50 - bitlen(a_size)"
_DIVIDED = "return pack_fp32(a_sign * b_sign, quotient, a_exponent - b_exponent - up)"
_MULTIPLIED = "return pack_fp32(a_sign * b_sign, a_size * b_size, a_exponent + b_exponent)"
_UP_49 = "up = 49 - bitlen(size)"
_ABOVE = "above = where(size > 0, a_exponent + b_exponent - up - exponent, 0)"
_LOWER = "lower = mul_shift(where(above > 0, addend, product), 1, minimum(absolute(above), 49), 'odd')"
_LEFT = "left = absolute(total)"
_SUM = "return pack_fp32(where(left > 0, total, maximum(sign, c_sign)), left, exponent + maximum(above, 0))"
_LARGER = "larger = a & MAGNITUDE >= b & MAGNITUDE"
_BELOW = "below = mul_shift(b_size << 3, 1, within(minimum(exponent - b_exponent, 26), 0, 26), 'odd')"
_ADDED = "return pack_fp32(where(total > 0, sign, maximum(sign, b_sign)), total, exponent - 3)"
_SPANNED = "below = mul_shift(b_size << 2, 1, within(minimum(exponent - b_exponent, 25), 0, 25), 'odd')"
_SPAN = "return pack_fp32(1, (size << 2) + below, exponent - 2)"

_CARRY = "they part at a power of two, for which 2**24 is kept at one exponent less: the same pattern"
_ONES = "they part at 2**k - 1, which 23 bits round up to 2**k as 24 do: a quotient, or an odd sum, has 26 or more"
_NOTHING = "beyond that nothing is left, however far"
_HALF = "less than a half as well"
_SAME = "the same int32"
_NEGATIVE = "of a sign only < 0 is asked, and it is 1 or -1"
_SMALL = "a subnormal number is 0 as an integer, and no output shows it"
_NORMAL = "what sets a bit is normal: less than 26 either way"
_ZERO = "0 becomes a number below 2**-40, which is 0 as an integer"
_SIZE = "no quotient and no sum that is not 0 has a size of 1"
_FINITE = "every number is finite, or multiplied by 0"
_TIES = "a quotient of float32s is never halfway between two, but for subnormal ones, which are 0 as integers"
_BEYOND = "beyond every output either way"
_FEW = "|v| < 2**8: the shift is at least 32"
_POSITIVE = "the other factor is positive, and of a sign only < 0 is asked"
_BITS = "one bit more of the numerator: rounding to odd needs none"
_EQUAL = "they part where the magnitudes are equal: either may come first"
_ENOUGH = "2**k - 1 over what is no larger leaves 26 bits; over what is larger it is seen as 0 or 1 alone"
_EXACT_SUM = "a sum is a multiple of 2**-149: where it is subnormal, nothing is dropped"
_FAR = "further apart, all that is left is whether it is 0"
_OTHER_WIDTH = "one bit fewer does for a product of 47 bits, one more for a power of two"
_ZERO_PRODUCT = "0 has the exponent -149: its product is below c, or above it by less than the 25 bits c has to spare"


def _mutants(part: str, statement: str, changes: Mapping[str, str]) -> Reasons:
    """change -> why, of one statement of a function; a change of the second such place ends in #2."""
    where = f"{part}: " if part else ""
    found = {}
    for change, why in changes.items():
        what, second, _ = change.partition(" #2")
        found[f"{where}{what} in {statement}{second}"] = why
    return found


_OF_SIGN = ("sign < 0 -> sign <= 0", "sign -> sign - 1", "0 -> 1")
_EVERY = {
    **_mutants("pack_fp32", _UP, {"size -> size - 1": _CARRY}),
    **_mutants("pack_fp32", _KEPT, {"51 -> 52": _HALF}),
    **_mutants("pack_fp32", _SIGNED, {"pattern - (1 << 31) -> pattern + (1 << 31)": _SAME}),
}
_NOT_KEPT = _mutants("pack_fp32", _KEPT, {"minimum(drop, 51) -> drop": _NOTHING})
_FINITE_ONLY = _mutants(
    "pack_fp32",
    _INFINITE,
    dict.fromkeys(
        ("minimum(pattern, INFINITY) -> pattern", "INFINITY -> INFINITY + 1", "INFINITY -> INFINITY - 1"), _FINITE
    ),
)
# Where only integers are seen of quotients and products, and their signs are never those of an integer.
_INTEGERS = {
    **_EVERY,
    **_NOT_KEPT,
    **_mutants("pack_fp32", _UP, {"size -> size + 1": _ONES}),
    **_mutants("pack_fp32", _KEPT, {"51 -> 50": _SMALL}),
    **_mutants(
        "pack_fp32",
        _PATTERN,
        {
            "where(size > 0, exponent - up + drop + 149 << 23, 0) -> exponent - up + drop + 149 << 23": _ZERO,
            **dict.fromkeys(("size > 0 -> size >= 0", "size -> size + 1", "0 -> -1"), _ZERO),
            **dict.fromkeys(("size -> size - 1", "0 -> 1"), _SIZE),
        },
    ),
    **_mutants("pack_fp32", _SIGNED, dict.fromkeys(_OF_SIGN, _NEGATIVE)),
    **_mutants("fp32_to_int", _TO_INT, {"41 -> 42": _HALF, **dict.fromkeys(("0 -> 1", "0 -> -1"), _BEYOND)}),
    **_mutants("fp32_divide", _UP_A, {"a_size -> a_size + 1": _ENOUGH}),
}
# Rows by a scale that is normal and positive, integers of 8 bits.
_NORMAL_DROP = (
    *(f"up - exponent -> {other}" for other in ("up + exponent", "up", "exponent", "exponent - up")),
    *(f"up -> {other}" for other in ("up + 1", "up - 1", "-up")),
    *(f"exponent -> {other}" for other in ("exponent + 1", "exponent - 1", "-exponent")),
    *("maximum(up - exponent - 149, 26) -> 26", "149 -> 150", "149 -> 148"),
)
_ROWS = {
    **_INTEGERS,
    **_FINITE_ONLY,
    **_mutants(
        "fp32_to_int",
        _TO_INT,
        {
            "saturate(16 - exponent, 0, 41) -> minimum(16 - exponent, 41)": _FEW,
            **dict.fromkeys(("0 -> 1", "0 -> -1"), _FEW),
        },
    ),
    **_mutants("fp32_divide", _UP_A, dict.fromkeys(("50 -> 51", "a_size -> a_size - 1"), _BITS)),
    **_mutants(
        "fp32_divide",
        _DIVIDED,
        dict.fromkeys(("a_sign * b_sign -> a_sign", "a_sign -> a_sign - 1", "b_sign -> b_sign + 1"), _POSITIVE),
    ),
}
_ADDING = {
    **_mutants(
        "fp32_add",
        _LARGER,
        dict.fromkeys(
            (f"{_LARGER[9:]} -> a & MAGNITUDE > b & MAGNITUDE", "MAGNITUDE -> MAGNITUDE - 1", "b -> b + 1"), _EQUAL
        ),
    ),
    **_mutants(
        "fp32_add", _BELOW, {"minimum(exponent - b_exponent, 26) -> exponent - b_exponent": _FAR, "26 -> 27": _FAR}
    ),
    **_mutants(
        "fp32_add",
        _ADDED,
        {
            **dict.fromkeys(("total -> total - 1", "0 -> 1"), "no sum is 1: what cancels is a multiple of 4"),
            **dict.fromkeys(("sign -> sign - 1", "sign -> sign - 1 #2", "b_sign -> b_sign - 1"), _NEGATIVE),
        },
    ),
}
EQUIVALENT: dict[str, Reasons] = {
    "quantize_fp32": {
        **_INTEGERS,
        **_mutants(
            "pack_fp32", _DROP, dict.fromkeys(("up -> up + 1", "exponent -> exponent - 1", "149 -> 148"), _SMALL)
        ),
        **_mutants(
            "pack_fp32",
            _KEPT,
            dict.fromkeys(
                (f"'half_even' -> '{rule}'" for rule in ("half_up", "half_down", "half_away", "half_to_zero")), _TIES
            ),
        ),
        **_mutants("pack_fp32", _PATTERN, {"0 -> 1 #2": _ZERO}),
        **_mutants(
            "pack_fp32", _INFINITE, dict.fromkeys(("INFINITY -> INFINITY + 1", "INFINITY -> INFINITY - 1"), _BEYOND)
        ),
    },
    "dequantize_fp32": {
        **_EVERY,
        **_mutants("fp32_from_int", "return pack_fp32(x, absolute(x), 0)", {"x -> -x #2": "|-x| = |x|"}),
        **_mutants("pack_fp32", _KEPT, {"51 -> 50": "a product is a multiple of 2**-149: if not 0, it keeps a bit"}),
        **_mutants(
            "pack_fp32",
            _SIGNED,
            {
                "where(sign < 0, pattern - (1 << 31), pattern) -> where(sign < 0, pattern, pattern - (1 << 31))": (
                    "x is rounded once and its product once: two turns of the sign are none"
                ),
            },
        ),
    },
    "add_fp32": {
        **_EVERY,
        **_NOT_KEPT,
        **_ADDING,
        **_mutants("pack_fp32", _UP, {"size -> size + 1": _ONES}),
        **_mutants("pack_fp32", _KEPT, {"51 -> 50": _EXACT_SUM}),
        **_mutants("pack_fp32", _PATTERN, dict.fromkeys(("size -> size - 1", "0 -> 1"), _SIZE)),
        **_mutants("pack_fp32", _SIGNED, dict.fromkeys(_OF_SIGN, _NEGATIVE)),
    },
    "dynamic_quantize": {
        **_ROWS,
        **_mutants(
            "",
            "below = absolute(minimum(-max_along(-place, -1), 0))",
            {
                "0 -> 1": "2**-149 beside a span of 2**-117 or more adds nothing",
            },
        ),
        **_mutants(
            "",
            "above = maximum(max_along(place, -1), 0)",
            {
                "0 -> -1": "as a summand the pattern -1 is shifted by less than 0, which leaves nothing",
            },
        ),
        **_mutants(
            "pack_fp32", _DROP, dict.fromkeys(("up -> up + 1", "exponent -> exponent - 1", "149 -> 148"), _NORMAL)
        ),
        **_mutants(
            "pack_fp32", _PATTERN, {"0 -> -1 #2": "0 / scale is then a multiple of 256, which uint8 does not see"}
        ),
        **_mutants(
            "",
            "scale = where(span > 0, fp32_divide(span, P255), ONE)",
            dict.fromkeys(("span -> span - 1", "0 -> 1"), "C6: no span is the least float32"),
        ),
        **_mutants(
            "fp32_ordered",
            "return where(x < 0, -(1 << 31) - x, x)",
            dict.fromkeys(("x -> x + 1", "0 -> -1"), "the pattern -1 is no number"),
        ),
        **_mutants(
            "fp32_span",
            _SPANNED,
            {"minimum(exponent - b_exponent, 25) -> exponent - b_exponent": _FAR, "25 -> 26": _FAR},
        ),
        **_mutants("fp32_span", _SPAN, dict.fromkeys(("1 -> 2", "1 -> 0"), "of a sign only < 0 is asked")),
    },
    "quantize_token_fp32": {
        **_ROWS,
        **_mutants("", "v = fp32_divide(x, maximum(scale, 1))", {"1 -> 2": "0 over either is 0"}),
        **_mutants("", "v = fp32_multiply(x, fp32_divide(P127, maximum(peak, 1)))", {"1 -> 2": "0 times either is 0"}),
        **_mutants(
            "fp32_multiply",
            _MULTIPLIED,
            dict.fromkeys(("a_sign * b_sign -> a_sign", "a_sign -> a_sign - 1", "b_sign -> b_sign + 1"), _POSITIVE),
        ),
        **_mutants("pack_fp32", _DROP, dict.fromkeys(_NORMAL_DROP, _NORMAL)),
    },
    "epilogue_fp32": {
        **_EVERY,
        **_FINITE_ONLY,
        **_mutants("fp32_from_int", "return pack_fp32(x, absolute(x), 0)", {"x -> -x #2": "|-x| = |x|"}),
        **_mutants(
            "fp32_multiply_add",
            _UP_49,
            dict.fromkeys(("size -> size + 1", "size -> size - 1"), _OTHER_WIDTH),
        ),
        **_mutants(
            "fp32_multiply_add",
            _ABOVE,
            dict.fromkeys(
                (
                    f"{_ABOVE[8:]} -> a_exponent + b_exponent - up - exponent",
                    *("size > 0 -> size >= 0", "size -> size + 1", "0 -> -1", "0 -> 1 #2", "0 -> -1 #2"),
                ),
                _ZERO_PRODUCT,
            ),
        ),
        **_mutants(
            "fp32_multiply_add",
            _LOWER,
            {
                **dict.fromkeys(("minimum(absolute(above), 49) -> absolute(above)", "49 -> 50", "49 -> 48"), _FAR),
                "above -> -above #2": "|-x| = |x|",
            },
        ),
        **_mutants("fp32_multiply_add", _LEFT, {"total -> -total": "|-x| = |x|"}),
        **_mutants(
            "fp32_multiply_add",
            _SUM,
            dict.fromkeys(("total -> total - 1", "sign -> sign - 1", "c_sign -> c_sign - 1"), _NEGATIVE),
        ),
    },
}
_ATTEND = "attend = mask[:, None, None] if len(mask.shape) == 2 else mask[:, None]"
_ANY_BUT_0 = "where takes its first value for anything but 0"
_FILL = "a masked key counts for nothing, and only where no other is attended is it the maximum"
EQUIVALENT["qlinear_softmax"] = {
    f"mask -> -mask in {_ATTEND}": _ANY_BUT_0,
    f"mask -> -mask in {_ATTEND} #2": _ANY_BUT_0,
    "attend -> -attend in seen = where(attend, x, lowest)": _ANY_BUT_0,
    "attend -> -attend in e = where(attend, take(table, d), 0)": _ANY_BUT_0,
    "0 -> 1 in e = where(attend, take(table, d), 0)": "2**-149 beside 1 or more adds nothing, nor leaves anything",
    "18 -> 19 in below = within(minimum(total_exponent - exponent, 18), 0, 18)": "less than 1 / 2 as well",
}
EQUIVALENT["qlinear_add"] = {
    "nearest_fp32: x -> -x in drop = maximum(bitlen(absolute(x)) - 24, 0)": "|-x| = |x|",
}
_FLOAT = "float32 rounds to 24 bits as this does, and 24 bits to an integer; a subnormal number is exact, or not seen"
_WORD = "the same 32 bits"
_CHOSEN = "below 2**31 for what is finite; for 0 another value is chosen"
_LONG = "a size below 2**19 is 0, or that of a product that is 0 as a float32"
_EXACT = "a shift beyond 31 is of a subnormal number, which is exact"
_IN_32_BITS = "twice the largest has the exponent 254, and what is infinite is below 2**31 as well"
_TOO_LARGE = "infinite either way"
_RULES = ("half_up", "half_down", "half_away", "half_to_zero", "half_up by a division toward zero")
_SHORT = "a quotient by a normal scale has 26 or 27 bits"
_SEEN = "more than 31 is for a size below 2**19, or of a subnormal number: 0, or seen as 0"
_CUT = "of two terms of 24 bits, what is dropped takes the sum to no tie but one that goes to the larger term"
_FAR_BELOW = "more than 31 places below, a term of 24 bits is less than a quarter of the last place, rounded or not"
_ODD = "rounding to odd is the same for either sign"
_TINY = "more than 31 is for the product of two subnormal numbers, of which only whether it is 0 is seen"
_MULTIPLE = "a product of 24 bits by 1, and what cancels of it, is a multiple of 2**23, or 0"
_AMOUNTS = ("at most 31", "the low 5 bits of the amount")
_SHIFTS = ("rounded twice, *", "shift at most 31", "the low 5 bits of shift")
_TWICE = "scaling {} of {}: rounded twice, *"
_53_BITS = "every sum is below 2**53: the shift is at most 29"
HARMLESS: dict[str, Reasons] = {
    "qlinear_add": {
        "rule fp32_half_even at *": _FLOAT,
        "magnitude ? of 5: by complement, one too low below 0": _CARRY,
        "magnitude 1 of 5: not taken": "of two attributes, a Python integer, whose sign bitlen does not see",
        "scaling ? of 6: of a magnitude, the sign put back": "half_even is the same on either side of 0",
        "scaling 5 of 6: rounded twice, *": _53_BITS,
        "scaling 5 of 6: shift at most 31": _53_BITS,
        "scaling 5 of 6: the low 5 bits of shift": _53_BITS,
        "left shift 5 of 5: by at most 31": _53_BITS,
        "left shift 5 of 5: by the low 5 bits of the amount": _53_BITS,
    },
    "epilogue_fp32": {
        "rule fp32_half_even at rounding 1 of 4": _FLOAT,
        "rule fp32_half_even at rounding [15] of 5": _FLOAT,
        **{f"rule {rule} at rounding 4 of 5": _CUT for rule in (*_RULES[:4], "floor", "ceil", "toward_zero")},
        **{f"rule {rule} at rounding 4 of 5": _CUT for rule in ("half_even", "fp32_half_even")},
        "channel read as uint32": _WORD,
        "bias read as uint32": _WORD,
        "bit length 1 of [45]: at most 31": (
            "only 2**31 has 32 bits: 2**24 is kept at one exponent less, the same pattern"
        ),
        "bit length 4 of 5: one more": _OTHER_WIDTH,
        "choice 3 of 1[02]: the first value everywhere": "a zero has the exponent -149: its product is subnormal",
        "choice 5 of 10: the first value everywhere": _ZERO_PRODUCT,
        "choice 7 of 12: the first value everywhere": _ZERO_PRODUCT,
        "scaling 3 of 4: of a magnitude, the sign put back": _ODD,
        "scaling 4 of 5: of a magnitude, the sign put back": _ODD,
        _TWICE.format(4, 5): _FAR_BELOW,
        _TWICE.format(5, 5): _EXACT,
        "scaling 4 of 5: shift at most 31": _FAR_BELOW,
        **{f"addition {places}: * to 32 bits": _CHOSEN for places in ("7 of 1[37]", "13 of 13", "1[17] of 17")},
        **{f"left shift {places}: by {how}": _LONG for places in ("3 of 8", "[35] of 10") for how in _AMOUNTS},
        **{f"left shift 5 of 8: by {how}": _TINY for how in _AMOUNTS},
        **{f"left shift [79] of 10: by {how}": _MULTIPLE for how in _AMOUNTS},
        "left shift [48] of 8: * to 32 bits": _CHOSEN,
        "left shift [46] of 10: * to 32 bits": _CHOSEN,
        "left shift 10 of 10: * to 32 bits": _CHOSEN,
    },
    "quantize_fp32": {
        **{f"rule {rule} at rounding 2 of 3": _TIES for rule in _RULES},
        "rule fp32_half_even at rounding [23] of 3": _FLOAT,
        "x read as uint32": _WORD,
        "scale read as uint32": _WORD,
        "choice 1 of 2: the first value everywhere": _ZERO,
        "clip 1 of 2: low one too *": _BEYOND,
        "clip 1 of 2: high one too high": _HALF,
        _TWICE.format(1, 2): _SMALL,
        "scaling 1 of 2: shift at most 31": _SMALL,
        "addition [34] of 4: saturated to 32 bits": _BEYOND,
        "left shift 2 of 4: by at most 31": _LONG,
        "left shift 2 of 4: by the low 5 bits of the amount": _LONG,
        "left shift 3 of 4: saturated to 32 bits": _BEYOND,
    },
    "dequantize_fp32": {
        "rule fp32_half_even at *": _FLOAT,
        "scale read as uint32": _WORD,
        _TWICE.format(2, 2): _EXACT,
        "addition 7 of 7: saturated to 32 bits": _TOO_LARGE,
        "left shift 3 of 4: by at most 31": _LONG,
        "left shift 3 of 4: by the low 5 bits of the amount": _LONG,
        "left shift 4 of 4: saturated to 32 bits": _TOO_LARGE,
    },
    "add_fp32": {
        "a read as uint32": _WORD,
        "b read as uint32": _WORD,
        "rule fp32_half_even at rounding 2 of 2": _FLOAT,
        _TWICE.format(2, 2): _EXACT,
        "addition 4 of 4: * to 32 bits": _IN_32_BITS,
        "left shift 4 of 4: * to 32 bits": _IN_32_BITS,
    },
    "dynamic_quantize": {
        **{f"rule {rule} at rounding [469] of 10": _TIES for rule in _RULES},
        "rule fp32_half_even at rounding [24679] of 10": _FLOAT,
        "rule fp32_half_even at rounding 10 of 10": _FLOAT,
        "bit length [246] of 7: one less": _BITS,
        "bit length [57] of 7: of the low 32 bits": _SHORT,
        "bit length [57] of 7: at most 31": _SHORT,
        "maximum ? of 2: at least 0": "0 is among the numbers of which it is the greatest",
        "choice [2479] of 10: the first value everywhere": _ZERO,
        "choice [358] of 10: the second value everywhere": "never negative",
        "clip ? of 2: no low side": _FEW,
        "clip ? of 2: low one too *": _FEW,
        "clip ? of 2: high one too high": _HALF,
        "clip ? of 2: high for every value outside": _FEW,
        **{_TWICE.format(place, 7): _SEEN for place in (2, 3, 4, 6)},
        "scaling [2346] of 7: shift at most 31": _SEEN,
        "scaling [23] of 7: the low 5 bits of shift": _SEEN,
        "product [35] of 5: * to 32 bits": "|v| < 2**8",
        "addition [47] of 14: * to 32 bits": _CHOSEN,
        "addition 1[03] of 14: * to 32 bits": _CHOSEN,
        "addition 14 of 14: * to 32 bits": "|v| < 2**8",
        "difference 1 of 34: * to 32 bits": "for x >= 0 another value is chosen",
        **{f"left shift {places} of 15: by {how}": _SEEN for places in ("[35689]", "1[23]") for how in _AMOUNTS},
        "left shift [47] of 15: * to 32 bits": _CHOSEN,
        "left shift 1[04] of 15: * to 32 bits": _CHOSEN,
    },
    "quantize_token_fp32": {
        **{f"rule {rule} at rounding [24] of {count}": _TIES for rule in _RULES for count in (5, 6)},
        "rule fp32_half_even at rounding [245] of 5": _FLOAT,
        "rule fp32_half_even at rounding [2456] of 6": _FLOAT,
        "x read as uint32": _WORD,
        "bit length [13] of [45]: one less": _BITS,
        "bit length 4 of [45]: of the low 32 bits": _SHORT,
        "bit length 4 of [45]: at most 31": _SHORT,
        "choice [13] of 4: the first value everywhere": _ZERO,
        "choice [135] of 6: the first value everywhere": _ZERO,
        "choice 2 of 4: the second value everywhere": "never negative",
        "choice [24] of 6: the second value everywhere": "never negative",
        "clip: no low side": _FEW,
        "clip: low one too *": _FEW,
        "clip: high one too high": _HALF,
        "clip: high for every value outside": _FEW,
        "clip: the wrong side": "beyond is a multiple of 2**16, of which int8 sees 0",
        "clip: 0 beyond either side": "beyond is a multiple of 2**16, of which int8 sees 0",
        **{f"scaling {places}: {how}": _SEEN for places in ("[12] of 3", "1 of 4") for how in _SHIFTS},
        **{f"scaling 3 of 4: {how}": _SEEN for how in _SHIFTS[:2]},
        "product 3 of 3: * to 32 bits": "|v| < 2**8",
        "product 5 of 5: * to 32 bits": "|v| < 2**8",
        "addition [36] of 6: * to 32 bits": _CHOSEN,
        "addition [36] of 10: * to 32 bits": _CHOSEN,
        "addition 10 of 10: * to 32 bits": _CHOSEN,
        **{f"left shift {places}: by {how}": _SEEN for places in ("[1245] of 7", "[127] of 9") for how in _AMOUNTS},
        "left shift [36] of 7: * to 32 bits": _CHOSEN,
        "left shift [368] of 9: * to 32 bits": _CHOSEN,
    },
}
_NO_NUMBER = "these patterns are no finite numbers"
_NEVER = r"(negative, ([1-9]|1\d|2[0-3]) bits|-1|int32 at its high end)"
_SIGN = "a sign is 1 or -1"
_SIGNS = {r"fp32_\w+: \w*sign \* b_sign \| zero": _SIGN}
_UNSIGNED = {
    r"pack_fp32: size > 0 \| left is one more": _SIZE,
    r"pack_fp32: sign < 0 \| left is equal": _SIGN,
}
_PACKED = r"pack_fp32: mul_shift\(.* \| "
_DIVIDING = r"fp32_divide: divide\(.* \| odd: tie above (even|odd), not negative"
_TO_INTEGER = r"fp32_to_int: mul_shift\(.* \| "
_OF_PACKING = {  # of every op
    rf"{_PACKED}half_even: one (above|below) a tie, not negative": (
        "no size has more than 48 bits, so what is rounded is a multiple of 4, and so is a tie of 2**26 or more"
    ),
    rf"{_PACKED}shift 51": "less than 2**50 over 2**51 is less than a half: no result depends on it",
}
_EXACT_PRODUCT = "a product with a scale is a multiple of 2**-149: where it is subnormal, nothing is dropped"
_NO_TIE = "a quotient at a tie needs an even divisor: one of 24 bits has 23 twos at most, and the numerator 26 or more"
_LATER = "saturate(16 - exponent, 0, 41) cuts it off: an element below a quarter is 0, whatever the shift"
_EXACT_INTEGER = "size << 16 is a multiple of 2**16: nothing is dropped"
_LONG_QUOTIENT = "a quotient of 50 bits by 24 that is not 0 has 26 bits or more"
_QUOTIENTS = {
    **_OF_PACKING,
    _DIVIDING: _NO_TIE,
    rf"{_TO_INTEGER}shift ([1-9]|1[0-6])": _EXACT_INTEGER,
    rf"{_TO_INTEGER}shift 41": "below 2**40 over 2**41 is less than a half: no result depends on it",
}
_BELOW_256 = {
    rf"{_TO_INTEGER}shift (0|1[7-9]|2\d|3[01])": "|v| < 2**8: the exponent is -16 at most, the shift 32 at least",
    r"fp32_to_int: sign \* mul_shift\(.* \| (positive|negative), (25 to 31|32 to 53) bits": "|v| < 2**8",
    rf"{_TO_INTEGER}half_even: one (above|below) a tie, not negative": (
        "|v| < 2**8: size << 16 and the tie are multiples of 2**16"
    ),
}
_ENDS = {r"(low|high): at its (low|high) end": "C6: low and high lie in the range of an output of 32 bits at most"}
_NO_AXIS = {r"x: axes \[\.\.\.\], none leading": "C5: axis must exist"}
_SHORT_SIZES = "a quotient by a normal number, or the span under a normal peak, has 26 or 27 bits, or is 0"
_TOKEN_SIZES = (
    "a quotient has 26 or 27 bits, or 50 by the least float32; a product of k bits by 24 has 23 + k or 24 + k"
)
_SUMS = {
    r"fp32_add: mul_shift\(.* \| shift [123]": "b_size << 3 is a multiple of 8: nothing is dropped",
    r"fp32_add: total > 0 \| left is one more": "no sum is 1: what cancels is a multiple of 4",
    r"fp32_add: maximum\(sign, b_sign\) \| (left is one (less|more)|result 0)": _SIGN,
}
UNREACHABLE: dict[str, Reasons] = {
    "quantize_fp32": {
        rf"(x|scale): {_NEVER}": _NO_NUMBER,
        **_SIGNS,
        **_UNSIGNED,
        **_QUOTIENTS,
        **_ENDS,
        **_NO_AXIS,
        r"scale: (zero|negative, 32 bits|int32 at its low end)": "C8: scale is not 0, nor -0",
        r"pack_fp32: bitlen\(size\) \| result ([1-9]|1\d|2[0-5])": _LONG_QUOTIENT,
        r"pack_fp32: size << up \| shift (2[5-9]|3\d|4\d)": _LONG_QUOTIENT,
        r"(pack_fp32: size|fp32_divide: a_size) << up \| shift 50": f"of a 0; {_LATER}",
        rf"{_PACKED}shift (2[7-9]|3\d|4\d|50)": f"of a subnormal quotient; {_LATER}",
        rf"{_TO_INTEGER}shift 0": "|v| >= 2**39, and no zero point brings it back within an output of 32 bits",
    },
    "dequantize_fp32": {
        rf"scale: {_NEVER}": _NO_NUMBER,
        **_SIGNS,
        **_NO_AXIS,
        **_OF_PACKING,
        rf"{_PACKED}shift (2[7-9]|3\d|4\d|50)": _EXACT_PRODUCT,
    },
    "add_fp32": {
        rf"(a|b): {_NEVER}": _NO_NUMBER,
        **_SIGNS,
        **_UNSIGNED,
        **_OF_PACKING,
        **_SUMS,
        rf"{_PACKED}shift (2[7-9]|3\d|4\d|50)": _EXACT_SUM,
        r"pack_fp32: bitlen\(size\) \| result [12]": "what cancels is a multiple of 4",
        r"pack_fp32: size << up \| shift 4[89]": "what cancels is a multiple of 4",
    },
    "dynamic_quantize": {
        rf"x: {_NEVER}": _NO_NUMBER,
        r"x: negative, 24 bits": "C5: a negative number below 2**127 has a pattern below -2**24",
        **_SIGNS,
        **_UNSIGNED,
        **_QUOTIENTS,
        **_BELOW_256,
        r"fp32_ordered: x < 0 \| left is one less": _NO_NUMBER,
        r"pack_fp32: minimum\(pattern, INFINITY\) \| left is (equal|one more|more)": "every number is finite",
        r"span > 0 \| left is one more": "C6: no span is the least float32",
        r"fp32_to_int: saturate\(16 - exponent, 0, 41\) \| (far below|one below|at) low": _FEW,
        r"pack_fp32: bitlen\(size\) \| result ([1-9]|1\d|2[0-5]|2[89]|[34]\d|50)": _SHORT_SIZES,
        r"pack_fp32: size << up \| shift (\d|1\d|2[0-2]|2[5-9]|[34]\d)": _SHORT_SIZES,
        r"pack_fp32: size << up \| shift 50": f"of a 0; {_LATER}",
        rf"{_PACKED}shift (2[7-9]|3\d|4\d|50)": f"span and scale are normal; of a subnormal quotient, {_LATER}",
        r"fp32_divide: a_size << up \| shift (2[89]|[34]\d|50)": (
            f"of a number below 2**-127, less than a quarter of any scale; {_LATER}"
        ),
        r"fp32_span: mul_shift\(.* \| shift [12]": "b_size << 2 is a multiple of 4: nothing is dropped",
        r"minimum\(.* \+ zero_point, 255\) \| left is more": (
            "before they are rounded the two sum to 255 and less than a half more, and either is rounded by a half "
            "at most: 256 at most"
        ),
    },
    "quantize_token_fp32": {
        rf"x: {_NEVER}": _NO_NUMBER,
        r"x: negative, 2[4-9] bits": "C5: a negative number below 2**38 has a pattern below -2**29",
        **_SIGNS,
        **_UNSIGNED,
        **_QUOTIENTS,
        **_BELOW_256,
        rf"{_TO_INTEGER}shift 32": "|v| < 2**7",
        r"fp32_to_int: saturate\(16 - exponent, 0, 41\) \| (far below|one below|at) low": _FEW,
        r"maximum\((scale|peak), 1\) \| left is (equal|one more)": "C6: none is so small but 0",
        r"pack_fp32: minimum\(pattern, INFINITY\) \| left is (equal|one less|one more)": (
            "127 / peak is 2**124 at most, but for a row that is all 0, where it is 127 * 2**149"
        ),
        r"pack_fp32: bitlen\(size\) \| result ([1-9]|1\d|2[0-3]|49)": _TOKEN_SIZES,
        r"pack_fp32: size << up \| shift (1|[4-9]|1\d|2[0-2]|2[5-9]|[34]\d)": (
            f"{_TOKEN_SIZES}; of a subnormal x, {_LATER}"
        ),
        rf"{_PACKED}shift (2[7-9]|3\d|4\d|50)": f"scale and 127 / peak are normal; of a subnormal v, {_LATER}",
        r"fp32_divide: a_size << up \| shift (2[7-9]|[34]\d)": (
            f"of a number below 2**-126, less than a quarter of any scale; {_LATER}"
        ),
    },
    "qlinear_add": {
        r"(a|b): (int8 to uint8|uint8 to int8)": "C5 and C6: output is the dtype of both",
        r"mul_shift\(v, 1, 37, 'half_even'\) \| half_even: one (above|below) a tie, (not )?negative": (
            "v has 24 bits: one beside a tie of 2**36 or more has 37"
        ),
        r"nearest_fp32: bitlen\(absolute\(x\)\) \| result 5[4-9]": _53_BITS,
        r"nearest_fp32: maximum\(.*\) \| result 3\d": _53_BITS,
        r"nearest_fp32: (mul_shift|within)\(.*\| shift 3\d": _53_BITS,
    },
    "qlinear_softmax": {r"x: (int8 to uint8|uint8 to int8)": "C5: output is the dtype of x"},
    "epilogue_fp32": {
        rf"(channel|bias): {_NEVER}": _NO_NUMBER,
        r"channel: negative, 2[4-9] bits": "C5: a negative number below 2**32 has a pattern below -2**29",
        r"bias: negative, 24 bits": "C6: a negative number below 2**127 has a pattern below -2**24",
        **_SIGNS,
        **_OF_PACKING,
        r"pack_fp32: minimum\(pattern, INFINITY\) \| left is (equal|one more|more)": "every number is finite",
        r"pack_fp32: minimum\(pattern, INFINITY\) \| left is one less": "|y| <= 2**127 + 2**95, half of the largest",
        r"fp32_multiply_add: mul_shift\(.* \| shift 1": "either term is even: nothing is dropped",
        r"fp32_multiply_add: maximum\(sign, c_sign\) \| (left is one (less|more)|result 0)": _SIGN,
        r"fp32_multiply_add: c_sign \* \(c_size << 25\) \| (negative|positive), 1 to 24 bits": "a multiple of 2**25",
        r"fp32_multiply_add: sign \* within.* \| (negative|positive), (1 to 24|25 to 31) bits": "49 bits, or 0",
    },
}
