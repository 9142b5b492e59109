"""Mutants of ops/gemmlowp.py that no call can show, each with the reason."""

# ruff: noqa: E501 (a mutant is named by the statement that it changes)

_ABS = "|-a| is |a|"
_ANY = "where takes its first value for anything but 0"
_BELOW = "any fill at or below every x leaves the maximum alone; a masked key counts for nothing"
_BIT31 = "|a| < 15 * 2**27: bit 31 of part - a is 0"
_DISTANCE = "only whether c is that number counts"
_ENDS = "what lies beyond the last cell is cut to its last place either way"
_EVEN = "total is shifted left at least once: what is halved is even"
_FLAT = (
    "a is -1 only where every |a| < 2**9: each e is within 2**-17 of 1, so p is 2**16 / keys and 3/8 of 1 / keys at most "
    "above, and a tie is 1/2 of 1 / keys away or more"
)
_FAR = "where c is far the outer choices answer, whatever a is; elsewhere |c| < far"
_FARD = "where d < -far, e is 0 whatever a is; elsewhere -d * 2**shift <= 31 * 2**26"
_INT8 = "128 in int8 is -128"
_KEYLESS = "a row with a key has total >= 2**19; without one every e is 0"
_MULT = "the product is never negative"
_NEAR = "within a unit of a = 0 both branches round to the same y"
_NEVER = "s is never positive, and below zero the two rules agree"
_NOBODY = "where the sum is 0, so is every e"
_PARTS = "tried for each of the 2**24 parts: y is the same"
_POSITIVE = "nothing negative is divided there, or no tie of it is met"
_SHIFT31 = "shift is at least 31: there is no left shift"
_SHIFTED = "only differences of x count"
_TINY = "e below 2**8 counts for nothing in total, nor in p"
_TOP = "2**31 - 1 and 2**31 both give 128 less what is subtracted, or 128, which is cut to 127"
_TWICE = "terms and sum are negated both, and half_away is odd"
_UNIT = "its few units of 2**-31 move no y: tried for every argument within 48 units of a tie of y"
_WHOLE = "part - a is a multiple of the least bit that is asked for"
_ZERO = "a = 0 is answered apart, and exp of it is not asked for"

EQUIVALENT: dict[str, dict[str, str]] = {
    "logistic_gemmlowp": {
        "a -> -a in upper = minimum(2 * _inverse(_exp(-absolute(a), 4)), MOST)": _ABS,
        **dict.fromkeys(
            (
                "_exp: whole -> whole + 1 in for bit in range(whole + 2):",
                "_exp: 2 -> 3 in for bit in range(whole + 2):",
            ),
            _BIT31,
        ),
        **dict.fromkeys(
            (
                "saturate(c, -far, far) -> maximum(c, -far) in a = _product(within(saturate(c, -far, far) << shift, -(15 << 27), 15 << 27), multiplier)",
                "saturate(c, -far, far) -> minimum(c, far) in a = _product(within(saturate(c, -far, far) << shift, -(15 << 27), 15 << 27), multiplier)",
                "saturate(c, -far, far) -> c in a = _product(within(saturate(c, -far, far) << shift, -(15 << 27), 15 << 27), multiplier)",
                "far -> far + 1 in a = _product(within(saturate(c, -far, far) << shift, -(15 << 27), 15 << 27), multiplier)",
                "far -> far - 1 in a = _product(within(saturate(c, -far, far) << shift, -(15 << 27), 15 << 27), multiplier)",
                "far -> far + 1 in a = _product(within(saturate(c, -far, far) << shift, -(15 << 27), 15 << 27), multiplier) #2",
                "far -> far - 1 in a = _product(within(saturate(c, -far, far) << shift, -(15 << 27), 15 << 27), multiplier) #2",
            ),
            _FAR,
        ),
        "-128 -> 128 in return {'y': where(c <= -far, -128, where(c >= far, 127, y))}": _INT8,
        **dict.fromkeys(
            (
                "a > 0 -> a >= 0 in v = where(a > 0, upper, where(a < 0, MOST - upper, 1 << 30))",
                "a -> a + 1 in v = where(a > 0, upper, where(a < 0, MOST - upper, 1 << 30))",
                "a -> a - 1 in v = where(a > 0, upper, where(a < 0, MOST - upper, 1 << 30))",
                "0 -> 1 in v = where(a > 0, upper, where(a < 0, MOST - upper, 1 << 30))",
                "0 -> -1 in v = where(a > 0, upper, where(a < 0, MOST - upper, 1 << 30))",
                "where(a < 0, MOST - upper, 1 << 30) -> MOST - upper in v = where(a > 0, upper, where(a < 0, MOST - upper, 1 << 30))",
                "a < 0 -> a <= 0 in v = where(a > 0, upper, where(a < 0, MOST - upper, 1 << 30))",
                "a -> a + 1 in v = where(a > 0, upper, where(a < 0, MOST - upper, 1 << 30)) #2",
                "a -> a - 1 in v = where(a > 0, upper, where(a < 0, MOST - upper, 1 << 30)) #2",
                "0 -> 1 in v = where(a > 0, upper, where(a < 0, MOST - upper, 1 << 30)) #2",
                "0 -> -1 in v = where(a > 0, upper, where(a < 0, MOST - upper, 1 << 30)) #2",
            ),
            _NEAR,
        ),
        "_divided: 'half_away' -> 'half_up' in return mul_shift(x, 1, bits, 'half_away')": _POSITIVE,
        **dict.fromkeys(
            (
                "minimum(2 * _inverse(_exp(-absolute(a), 4)), MOST) -> 2 * _inverse(_exp(-absolute(a), 4)) in upper = minimum(2 * _inverse(_exp(-absolute(a), 4)), MOST)",
                "MOST -> MOST + 1 in upper = minimum(2 * _inverse(_exp(-absolute(a), 4)), MOST)",
                "MOST -> MOST - 1 in upper = minimum(2 * _inverse(_exp(-absolute(a), 4)), MOST)",
            ),
            _TOP,
        ),
        **dict.fromkeys(
            (
                "upper -> upper + 1 in v = where(a > 0, upper, where(a < 0, MOST - upper, 1 << 30))",
                "MOST -> MOST - 1 in v = where(a > 0, upper, where(a < 0, MOST - upper, 1 << 30))",
                "upper -> upper + 1 in v = where(a > 0, upper, where(a < 0, MOST - upper, 1 << 30)) #2",
                "_inverse: x -> x + 1 in x = within(x + (_product(x, (1 << 29) - _product(d, x)) << 2), 1 << 28, 1 << 30) #2",
                "_inverse: x -> x - 1 in x = within(x + (_product(x, (1 << 29) - _product(d, x)) << 2), 1 << 28, 1 << 30) #2",
                "_exp: x -> x - 1 in x2 = _product(x, x)",
                "_exp: x -> x - 1 in x2 = _product(x, x) #2",
                "_exp: x2 -> x2 + 1 in x3 = _product(x2, x)",
                "_exp: x2 -> x2 - 1 in x3 = _product(x2, x)",
                "_exp: x -> x + 1 in x3 = _product(x2, x)",
                "_exp: x -> x - 1 in x3 = _product(x2, x)",
                "_exp: x2 -> x2 + 1 in x4 = _product(x2, x2)",
                "_exp: x2 -> x2 - 1 in x4 = _product(x2, x2)",
                "_exp: x2 -> x2 + 1 in x4 = _product(x2, x2) #2",
                "_exp: x2 -> x2 - 1 in x4 = _product(x2, x2) #2",
                "_exp: ONE_THIRD -> ONE_THIRD + 1 in tail = _product(_divided(x4, 2) + x3, ONE_THIRD) + x2",
                "_exp: ONE_THIRD -> ONE_THIRD - 1 in tail = _product(_divided(x4, 2) + x3, ONE_THIRD) + x2",
                "_exp: ONE_EIGHTH -> ONE_EIGHTH + 1 in y = ONE_EIGHTH + _product(ONE_EIGHTH, x + _divided(tail, 1)) #2",
                "_exp: ONE_EIGHTH -> ONE_EIGHTH - 1 in y = ONE_EIGHTH + _product(ONE_EIGHTH, x + _divided(tail, 1)) #2",
            ),
            _UNIT,
        ),
        **dict.fromkeys(
            (
                "_exp: part -> part + 1 in rest = part - a",
                "_exp: a -> a - 1 in rest = part - a",
                "_exp: rest -> rest + 1 in y = where(rest >> 29 - whole + bit & 1, _product(y, HALVINGS[bit]), y)",
            ),
            _WHOLE,
        ),
        **dict.fromkeys(
            (
                "_exp: where(a < 0, y, MOST) -> y in return where(a < 0, y, MOST)",
                "_exp: a < 0 -> a <= 0 in return where(a < 0, y, MOST)",
                "_exp: a -> a + 1 in return where(a < 0, y, MOST)",
                "_exp: a -> a - 1 in return where(a < 0, y, MOST)",
                "_exp: 0 -> 1 in return where(a < 0, y, MOST)",
                "_exp: 0 -> -1 in return where(a < 0, y, MOST)",
                "_exp: MOST -> MOST + 1 in return where(a < 0, y, MOST)",
                "_exp: MOST -> MOST - 1 in return where(a < 0, y, MOST)",
                "_exp: MOST -> -MOST in return where(a < 0, y, MOST)",
            ),
            _ZERO,
        ),
    },
    "tanh_gemmlowp": {
        "a -> -a in size = minimum(_inverse(_exp(-absolute(a), 5)) - (1 << 29) << 2, MOST)": _ABS,
        **dict.fromkeys(
            (
                "saturate(c, -far, far) -> maximum(c, -far) in a = _product(within(saturate(c, -far, far) << shift, -(15 << 27), 15 << 27), multiplier)",
                "saturate(c, -far, far) -> minimum(c, far) in a = _product(within(saturate(c, -far, far) << shift, -(15 << 27), 15 << 27), multiplier)",
                "saturate(c, -far, far) -> c in a = _product(within(saturate(c, -far, far) << shift, -(15 << 27), 15 << 27), multiplier)",
                "far -> far + 1 in a = _product(within(saturate(c, -far, far) << shift, -(15 << 27), 15 << 27), multiplier)",
                "far -> far - 1 in a = _product(within(saturate(c, -far, far) << shift, -(15 << 27), 15 << 27), multiplier)",
                "far -> far + 1 in a = _product(within(saturate(c, -far, far) << shift, -(15 << 27), 15 << 27), multiplier) #2",
                "far -> far - 1 in a = _product(within(saturate(c, -far, far) << shift, -(15 << 27), 15 << 27), multiplier) #2",
            ),
            _FAR,
        ),
        "-128 -> 128 in return {'y': where(c <= -far, -128, where(c >= far, 127, y))}": _INT8,
        **dict.fromkeys(
            (
                "a > 0 -> a >= 0 in v = where(a > 0, size, where(a < 0, -size, 0))",
                "a -> a + 1 in v = where(a > 0, size, where(a < 0, -size, 0))",
                "a -> a - 1 in v = where(a > 0, size, where(a < 0, -size, 0))",
                "0 -> 1 in v = where(a > 0, size, where(a < 0, -size, 0))",
                "0 -> -1 in v = where(a > 0, size, where(a < 0, -size, 0))",
                "where(a < 0, -size, 0) -> -size in v = where(a > 0, size, where(a < 0, -size, 0))",
                "a < 0 -> a <= 0 in v = where(a > 0, size, where(a < 0, -size, 0))",
                "a -> a + 1 in v = where(a > 0, size, where(a < 0, -size, 0)) #2",
                "a -> a - 1 in v = where(a > 0, size, where(a < 0, -size, 0)) #2",
                "0 -> 1 in v = where(a > 0, size, where(a < 0, -size, 0)) #2",
                "0 -> -1 in v = where(a > 0, size, where(a < 0, -size, 0)) #2",
                "0 -> 1 in v = where(a > 0, size, where(a < 0, -size, 0)) #3",
                "0 -> -1 in v = where(a > 0, size, where(a < 0, -size, 0)) #3",
            ),
            _NEAR,
        ),
        **dict.fromkeys(
            (
                "minimum(_inverse(_exp(-absolute(a), 5)) - (1 << 29) << 2, MOST) -> _inverse(_exp(-absolute(a), 5)) - (1 << 29) << 2 in size = minimum(_inverse(_exp(-absolute(a), 5)) - (1 << 29) << 2, MOST)",
                "MOST -> MOST + 1 in size = minimum(_inverse(_exp(-absolute(a), 5)) - (1 << 29) << 2, MOST)",
                "MOST -> MOST - 1 in size = minimum(_inverse(_exp(-absolute(a), 5)) - (1 << 29) << 2, MOST)",
            ),
            _TOP,
        ),
        **dict.fromkeys(
            (
                "size -> size + 1 in v = where(a > 0, size, where(a < 0, -size, 0))",
                "size -> size + 1 in v = where(a > 0, size, where(a < 0, -size, 0)) #2",
                "_inverse: x -> x + 1 in x = within(x + (_product(x, (1 << 29) - _product(d, x)) << 2), 1 << 28, 1 << 30) #2",
                "_inverse: x -> x - 1 in x = within(x + (_product(x, (1 << 29) - _product(d, x)) << 2), 1 << 28, 1 << 30) #2",
                "_exp: x -> x + 1 in x2 = _product(x, x)",
                "_exp: x -> x - 1 in x2 = _product(x, x)",
                "_exp: x -> x + 1 in x2 = _product(x, x) #2",
                "_exp: x -> x - 1 in x2 = _product(x, x) #2",
                "_exp: x2 -> x2 + 1 in x3 = _product(x2, x)",
                "_exp: x2 -> x2 - 1 in x3 = _product(x2, x)",
                "_exp: x -> x + 1 in x3 = _product(x2, x)",
                "_exp: x -> x - 1 in x3 = _product(x2, x)",
                "_exp: x2 -> x2 + 1 in x4 = _product(x2, x2)",
                "_exp: x2 -> x2 - 1 in x4 = _product(x2, x2)",
                "_exp: x2 -> x2 + 1 in x4 = _product(x2, x2) #2",
                "_exp: x2 -> x2 - 1 in x4 = _product(x2, x2) #2",
                "_exp: x4 -> x4 - 1 in tail = _product(_divided(x4, 2) + x3, ONE_THIRD) + x2",
                "_exp: x3 -> x3 - 1 in tail = _product(_divided(x4, 2) + x3, ONE_THIRD) + x2",
                "_exp: ONE_THIRD -> ONE_THIRD + 1 in tail = _product(_divided(x4, 2) + x3, ONE_THIRD) + x2",
                "_exp: ONE_THIRD -> ONE_THIRD - 1 in tail = _product(_divided(x4, 2) + x3, ONE_THIRD) + x2",
                "_exp: ONE_EIGHTH -> ONE_EIGHTH + 1 in y = ONE_EIGHTH + _product(ONE_EIGHTH, x + _divided(tail, 1)) #2",
                "_exp: ONE_EIGHTH -> ONE_EIGHTH - 1 in y = ONE_EIGHTH + _product(ONE_EIGHTH, x + _divided(tail, 1)) #2",
            ),
            _UNIT,
        ),
        **dict.fromkeys(
            (
                "_exp: part -> part + 1 in rest = part - a",
                "_exp: a -> a - 1 in rest = part - a",
                "_exp: rest -> rest + 1 in y = where(rest >> 29 - whole + bit & 1, _product(y, HALVINGS[bit]), y)",
            ),
            _WHOLE,
        ),
        **dict.fromkeys(
            (
                "_exp: where(a < 0, y, MOST) -> y in return where(a < 0, y, MOST)",
                "_exp: a < 0 -> a <= 0 in return where(a < 0, y, MOST)",
                "_exp: a -> a + 1 in return where(a < 0, y, MOST)",
                "_exp: a -> a - 1 in return where(a < 0, y, MOST)",
                "_exp: 0 -> 1 in return where(a < 0, y, MOST)",
                "_exp: 0 -> -1 in return where(a < 0, y, MOST)",
                "_exp: MOST -> MOST + 1 in return where(a < 0, y, MOST)",
                "_exp: MOST -> MOST - 1 in return where(a < 0, y, MOST)",
                "_exp: MOST -> -MOST in return where(a < 0, y, MOST)",
            ),
            _ZERO,
        ),
    },
    "rsqrt_gemmlowp": {
        **dict.fromkeys(
            (
                "c - 2 -> 2 - c in exact = minimum(absolute(c - 2), 1) * minimum(absolute(c - 8), 1) * minimum(absolute(c - 131), 1)",
                "c - 8 -> 8 - c in exact = minimum(absolute(c - 2), 1) * minimum(absolute(c - 8), 1) * minimum(absolute(c - 131), 1)",
                "c - 131 -> 131 - c in exact = minimum(absolute(c - 2), 1) * minimum(absolute(c - 8), 1) * minimum(absolute(c - 131), 1)",
            ),
            _DISTANCE,
        ),
        "_divided: 'half_away' -> 'half_up' in return mul_shift(x, 1, bits, 'half_away')": _MULT,
    },
    "add_gemmlowp": {
        **dict.fromkeys(
            (
                "_scaled_twice: x << maximum(31 - shift, 0) -> x >> maximum(31 - shift, 0) in doubled = within(x << maximum(31 - shift, 0), -(1 << 31), MOST)",
                "_scaled_twice: x << maximum(31 - shift, 0) -> x in doubled = within(x << maximum(31 - shift, 0), -(1 << 31), MOST)",
                "_scaled_twice: maximum(31 - shift, 0) -> 0 in doubled = within(x << maximum(31 - shift, 0), -(1 << 31), MOST)",
                "_scaled_twice: 31 -> 30 in doubled = within(x << maximum(31 - shift, 0), -(1 << 31), MOST)",
                "_scaled_twice: shift -> shift + 1 in doubled = within(x << maximum(31 - shift, 0), -(1 << 31), MOST)",
                "_scaled_twice: maximum(shift, 31) -> shift in return _divided(_product(doubled, multiplier), maximum(shift, 31) - 31)",
                "_scaled_twice: 31 -> 30 in return _divided(_product(doubled, multiplier), maximum(shift, 31) - 31)",
            ),
            _SHIFT31,
        ),
        **dict.fromkeys(
            (
                "_scaled: x -> -x in return mul_shift(x, multiplier, shift, 'half_away')",
                "_scaled: multiplier -> -multiplier in return mul_shift(x, multiplier, shift, 'half_away')",
            ),
            _TWICE,
        ),
    },
    "softmax_int16": {
        **dict.fromkeys(
            (
                "mask -> -mask in attend = mask[:, None, None] if len(mask.shape) == 2 else mask[:, None]",
                "mask -> -mask in attend = mask[:, None, None] if len(mask.shape) == 2 else mask[:, None] #2",
                "attend -> -attend in seen = where(attend, x, -(1 << 15))",
                "attend -> -attend in e = where(attend, within(line, 0, (1 << 15) - 1), 0)",
            ),
            _ANY,
        ),
        **dict.fromkeys(
            (
                "1 -> 2 in seen = where(attend, x, -(1 << 15))",
                "15 -> 16 in seen = where(attend, x, -(1 << 15))",
            ),
            _BELOW,
        ),
        "1 -> 2 in r = within(_interpolated(minimum(w - 3 * (1 << 15), (1 << 15) - 1), inverse_table), 0, (1 << 15) - 1) #3": _ENDS,
        **dict.fromkeys(
            (
                "_scaled: 'half_up' -> 'half_to_zero' in return mul_shift(x, multiplier, shift, 'half_up')",
                "_scaled: 'half_away' -> 'half_down' in return mul_shift(x, multiplier, shift, 'half_away')",
                "_divided: 'half_away' -> 'half_down' in return mul_shift(x, 1, bits, 'half_away')",
            ),
            _NEVER,
        ),
        **dict.fromkeys(
            (
                "maximum(sum_along(e, -1), 1) -> sum_along(e, -1) in total = maximum(sum_along(e, -1), 1)",
                "1 -> 0 in total = maximum(sum_along(e, -1), 1) #2",
            ),
            _NOBODY,
        ),
        "x -> x + 1 in seen = where(attend, x, -(1 << 15))": _SHIFTED,
    },
    "softmax_gemmlowp": {
        **dict.fromkeys(
            (
                "mask -> -mask in attend = mask[:, None, None] if len(mask.shape) == 2 else mask[:, None]",
                "mask -> -mask in attend = mask[:, None, None] if len(mask.shape) == 2 else mask[:, None] #2",
                "attend -> -attend in seen = where(attend, x, -128)",
                "attend -> -attend in e = where(attend, where(d >= -far, _exp(a, 5), 0), 0)",
            ),
            _ANY,
        ),
        "128 -> 129 in seen = where(attend, x, -128)": _BELOW,
        "_exp: a -> a + 1 in return where(a < 0, y, MOST)": _FLAT,
        "_exp: 0 -> -1 in return where(a < 0, y, MOST)": _FLAT,
        "_inverse: a -> a + 1 in d = a + (1 << 31) >> 1": _EVEN,
        **dict.fromkeys(
            (
                "maximum(d, -far) -> d in a = _product(within(maximum(d, -far) << shift, -(31 << 26), 0), multiplier)",
                "far -> far + 1 in a = _product(within(maximum(d, -far) << shift, -(31 << 26), 0), multiplier)",
            ),
            _FARD,
        ),
        **dict.fromkeys(
            (
                "1 << 19 -> 19 in total = within(maximum(sum_along(_divided(e, 12), -1), 1 << 19), 1 << 19, MOST)",
                "1 << 19 -> 19 << 1 in total = within(maximum(sum_along(_divided(e, 12), -1), 1 << 19), 1 << 19, MOST)",
                "19 -> 18 in total = within(maximum(sum_along(_divided(e, 12), -1), 1 << 19), 1 << 19, MOST)",
            ),
            _KEYLESS,
        ),
        **dict.fromkeys(
            (
                "_exp: ONE_THIRD -> ONE_THIRD + 1 in tail = _product(_divided(x4, 2) + x3, ONE_THIRD) + x2",
                "_exp: ONE_THIRD -> ONE_THIRD - 1 in tail = _product(_divided(x4, 2) + x3, ONE_THIRD) + x2",
            ),
            _PARTS,
        ),
        "_divided: 'half_away' -> 'half_up' in return mul_shift(x, 1, bits, 'half_away')": _POSITIVE,
        "x -> x + 1 in seen = where(attend, x, -128)": _SHIFTED,
        **dict.fromkeys(
            (
                "0 -> 1 in e = where(attend, where(d >= -far, _exp(a, 5), 0), 0)",
                "0 -> -1 in e = where(attend, where(d >= -far, _exp(a, 5), 0), 0)",
                "0 -> 1 in e = where(attend, where(d >= -far, _exp(a, 5), 0), 0) #2",
                "0 -> -1 in e = where(attend, where(d >= -far, _exp(a, 5), 0), 0) #2",
            ),
            _TINY,
        ),
        **dict.fromkeys(
            (
                "_exp: part -> part + 1 in rest = part - a",
                "_exp: a -> a - 1 in rest = part - a",
                "_exp: rest -> rest + 1 in y = where(rest >> 29 - whole + bit & 1, _product(y, HALVINGS[bit]), y)",
            ),
            _WHOLE,
        ),
    },
}
