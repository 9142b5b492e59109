"""Faults of ops/gemmlowp.py that no call can show, each with the reason."""

from collections.abc import Iterator

_AND = "& 1 takes a bit below the 32nd, which both have"
_BITS = "the products of a far exponential: y is at its end long before"
_C5 = "C5 keeps what is shifted within 32 bits"
_C5B = "a distance below 2**16 and a shift to the left by at most 15, or a sum and its bits: 31 bits"
_CELL = "the table has cells for 16 bits, and both leave the same"
_CLIPPED = "what leaves 32 bits is cut to the range of output as well"
_CUT = "the minimum cuts it as well"
_EVEN = "total is shifted left at least once: what is halved is even"
_EVERY = "tried for each of the 255 c: the root, to the nearest, is the same"
_FAR = "where c is far the outer choices answer, whatever a is; elsewhere |c| < far"
_FARD = "where d < -far, e is 0 whatever a is; elsewhere -d * 2**shift <= 31 * 2**26"
_MULT = "the product is never negative"
_NEAR = "within a unit of a = 0 both branches round to the same y"
_NEVER = "s is never positive, and below zero the two rules agree"
_NONE = "table, places and sums are never negative"
_NORMAL = "total << 32 - n lies in [2**31, 2**32)"
_ODD = "half_away rounds magnitudes"
_POSITIVE = "nothing negative is divided there, or no tie of it is met"
_ROOM = "|product| < 2**31 - 2**20: the zero point has room"
_SAME = (
    "no tie is met, nothing negative is rounded, or the next steps take the unit back: tried for every part and every d"
)
_SHIFT31 = "shift is at least 31: there is no left shift"
_SMALL = "2 * r reaches 2**31 for exp below 8 units alone, and exp(-15) has 656"
_STOP = "a shift beyond 31 needs 512 keys and int8, where the published kernels stop: no case asks for it"
_TINY = "e below 2**8 counts for nothing in total, nor in p"
_TOP = "2**31 - 1 and 2**31 both give 128 less what is subtracted, or 128, which is cut to 127"
_UNIT = "its few units of 2**-31 move no y: tried for every argument within 48 units of a tie of y"
_WHOLE = "part - a is a multiple of the least bit that is asked for"
_ZERO = "a = 0 is answered apart, and exp of it is not asked for"


def _rules(many: int, why: str, **places: str) -> Iterator[tuple[str, str]]:
    """The wrong rules at some of `many` roundings."""
    for rule, numbers in places.items():
        name = rule.replace("truncated", "half_up by a division toward zero")
        yield from ((f"rule {name} at rounding {number} of {many}", why) for number in numbers.split())


HARMLESS: dict[str, dict[str, str]] = {
    "logistic_gemmlowp": {
        **dict.fromkeys(
            (
                "right shift 1 of 7: logical, of 32 bits",
                "right shift 2 of 7: logical, of 32 bits",
                "right shift 3 of 7: logical, of 32 bits",
                "right shift 4 of 7: logical, of 32 bits",
                "right shift 5 of 7: logical, of 32 bits",
                "right shift 6 of 7: logical, of 32 bits",
            ),
            _AND,
        ),
        **dict.fromkeys(
            (
                "product 12 of 20: wrapped to 32 bits",
                "product 12 of 20: saturated to 32 bits",
            ),
            _BITS,
        ),
        **dict.fromkeys(
            (
                "no saturation (the result wraps)",
                "clip: no low side",
                "clip: no high side",
                "clip: low one too high",
                "clip: low one too low",
                "clip: high one too low",
                "clip: high one too high",
                "clip: the wrong side",
                "clip: 0 beyond either side",
                "clip: high for every value outside",
                "left shift 1 of 5: wrapped to 32 bits",
                "left shift 1 of 5: saturated to 32 bits",
            ),
            _FAR,
        ),
        "choice 8 of 11: the first value everywhere": _NEAR,
        **dict.fromkeys(
            (
                "scaling 1 of 3: of a magnitude, the sign put back",
                "scaling 2 of 3: of a magnitude, the sign put back",
            ),
            _ODD,
        ),
        **dict.fromkeys(
            (
                "product 20 of 20: wrapped to 32 bits",
                "product 20 of 20: saturated to 32 bits",
            ),
            _SMALL,
        ),
        **dict(
            _rules(
                22,
                _UNIT,
                half_down="2 3 4 6 8 9 10 11 12 13 14 15 16 17 18 19 20 21",
                half_away="2 3 4 6 8 9 10 11 12 13 14 15 16 17 18 19 20 21",
                half_to_zero="2 3 4 6 8 9 10 11 12 13 14 15 16 17 18 19 20 21",
                half_even="2 3 4 5 6 8 9 10 11 12 13 14 15 16 17 18 19 20 21",
                truncated="2 4 5 7 9 10 11 12 13 14 16 18 19 20 21 22",
                floor="3 4 14",
                odd="3 4 14",
                toward_zero="4 14",
                half_up="5 7 22",
                fp32_half_even="5",
                ceil="7 14",
            )
        ),
        "rule half_up at every rounding": _UNIT,
        **dict.fromkeys(
            (
                "half_up at floor 1 of 7",
                "half_even at floor 1 of 7",
                "right shift 1 of 7: rounded up",
            ),
            _WHOLE,
        ),
        **dict.fromkeys(
            (
                "toward_zero at floor 1 of 7",
                "toward_zero at floor 2 of 7",
                "toward_zero at floor 3 of 7",
                "toward_zero at floor 4 of 7",
                "toward_zero at floor 5 of 7",
                "toward_zero at floor 6 of 7",
                "toward_zero at every floor",
                "choice 7 of 11: the first value everywhere",
            ),
            _ZERO,
        ),
    },
    "tanh_gemmlowp": {
        **dict.fromkeys(
            (
                "right shift 1 of 8: logical, of 32 bits",
                "right shift 2 of 8: logical, of 32 bits",
                "right shift 3 of 8: logical, of 32 bits",
                "right shift 4 of 8: logical, of 32 bits",
                "right shift 5 of 8: logical, of 32 bits",
                "right shift 6 of 8: logical, of 32 bits",
                "right shift 7 of 8: logical, of 32 bits",
            ),
            _AND,
        ),
        **dict.fromkeys(
            (
                "product 12 of 20: wrapped to 32 bits",
                "product 12 of 20: saturated to 32 bits",
                "product 13 of 20: wrapped to 32 bits",
                "product 13 of 20: saturated to 32 bits",
            ),
            _BITS,
        ),
        **dict.fromkeys(
            (
                "no saturation (the result wraps)",
                "clip: no low side",
                "clip: no high side",
                "clip: low one too high",
                "clip: low one too low",
                "clip: high one too low",
                "clip: high one too high",
                "clip: the wrong side",
                "clip: 0 beyond either side",
                "clip: high for every value outside",
                "left shift 1 of 6: wrapped to 32 bits",
                "left shift 1 of 6: saturated to 32 bits",
            ),
            _FAR,
        ),
        "choice 9 of 12: the first value everywhere": _NEAR,
        **dict.fromkeys(
            (
                "scaling 1 of 3: of a magnitude, the sign put back",
                "scaling 2 of 3: of a magnitude, the sign put back",
                "scaling 3 of 3: of a magnitude, the sign put back",
            ),
            _ODD,
        ),
        "left shift 6 of 6: saturated to 32 bits": _TOP,
        **dict(
            _rules(
                23,
                _UNIT,
                half_down="2 3 4 5 6 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22",
                half_away="2 3 4 6 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22",
                half_to_zero="2 3 4 5 6 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22",
                half_even="2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22",
                truncated="2 4 5 7 9 10 11 12 13 14 15 17 19 20 21 22",
                floor="3 4 5 6 14 15",
                odd="3 4 14 15",
                toward_zero="4 5 14 15",
                half_up="5 7",
                fp32_half_even="5 7",
                ceil="7 14 15",
            )
        ),
        **dict.fromkeys(
            (
                "half_up at floor 7 of 8",
                "half_even at floor 7 of 8",
            ),
            _UNIT,
        ),
        **dict.fromkeys(
            (
                "half_up at floor 1 of 8",
                "half_even at floor 1 of 8",
                "right shift 1 of 8: rounded up",
            ),
            _WHOLE,
        ),
        **dict.fromkeys(
            (
                "toward_zero at floor 1 of 8",
                "toward_zero at floor 2 of 8",
                "toward_zero at floor 3 of 8",
                "toward_zero at floor 4 of 8",
                "toward_zero at floor 5 of 8",
                "toward_zero at floor 6 of 8",
                "toward_zero at floor 7 of 8",
                "toward_zero at every floor",
                "choice 8 of 12: the first value everywhere",
            ),
            _ZERO,
        ),
    },
    "rsqrt_gemmlowp": {
        **dict.fromkeys(
            (
                "half_up at floor 1 of 2",
                "half_even at floor 1 of 2",
                "root: 4 Newton steps from half of the bits",
                "root: 5 Newton steps from half of the bits",
                "root: 10 Newton steps from 2**16",
                "root: 10 Newton steps from half of the bits",
                "root: in floats of 53 bits",
                "quotient: one too high",
                "quotient: one too low",
                "quotient: rounded up",
                "quotient: by a reciprocal of 32 bits",
            ),
            _EVERY,
        ),
        **dict(_rules(2, _MULT, half_away="1", truncated="1 2", half_up="2")),
        **dict.fromkeys(
            (
                "rule half_up at every rounding",
                "rule half_away at every rounding",
                "rule half_up by a division toward zero at every rounding",
            ),
            _MULT,
        ),
    },
    "add_gemmlowp": {
        **dict.fromkeys(
            (
                "left shift 1 of 2: wrapped to 32 bits",
                "left shift 1 of 2: saturated to 32 bits",
                "left shift 2 of 2: wrapped to 32 bits",
                "left shift 2 of 2: saturated to 32 bits",
                "left shift 1 of 5: wrapped to 32 bits",
                "left shift 1 of 5: saturated to 32 bits",
                "left shift 2 of 5: wrapped to 32 bits",
                "left shift 2 of 5: saturated to 32 bits",
            ),
            _C5,
        ),
        "addition 2 of 2: saturated to 32 bits": _CLIPPED,
        **dict.fromkeys(
            (
                "left shift 3 of 5: by one less",
                "left shift 4 of 5: by one less",
                "left shift 5 of 5: by one less",
            ),
            _SHIFT31,
        ),
    },
    "mul_gemmlowp": {
        **dict.fromkeys(
            (
                "left shift: wrapped to 32 bits",
                "left shift: saturated to 32 bits",
            ),
            _C5,
        ),
        **dict.fromkeys(
            (
                "addition: wrapped to 32 bits",
                "addition: saturated to 32 bits",
            ),
            _ROOM,
        ),
    },
    "softmax_int16": {
        "maximum: the first element": "a maximum that is none reads beyond the table, or changes nothing",
        "maximum: without the last element": "a maximum that is none reads beyond the table, or changes nothing",
        **dict.fromkeys(
            (
                "left shift: wrapped to 32 bits",
                "left shift: saturated to 32 bits",
                "left shift 2 of 2: wrapped to 32 bits",
                "left shift 2 of 2: saturated to 32 bits",
            ),
            _C5B,
        ),
        **dict.fromkeys(
            (
                "right shift 1 of 2: logical, of 32 bits",
                "right shift 2 of 2: logical, of 32 bits",
            ),
            _CELL,
        ),
        **dict.fromkeys(
            (
                "half_away -> rule half_down at rounding 1 of 5",
                "half_up -> rule half_to_zero at rounding 1 of 5",
                "gemmlowp_double -> rule half_to_zero at rounding 1 of 6",
                "gemmlowp_double -> rule half_down at rounding 2 of 6",
            ),
            _NEVER,
        ),
        **dict.fromkeys(
            (
                "half_away -> rule half_away at rounding 3 of 5",
                "half_away -> rule half_up by a division toward zero at rounding 3 of 5",
                "half_away -> rule half_away at rounding 5 of 5",
                "half_away -> rule half_up by a division toward zero at rounding 5 of 5",
                "half_up -> rule half_away at rounding 3 of 5",
                "half_up -> rule half_up by a division toward zero at rounding 3 of 5",
                "half_up -> rule half_away at rounding 5 of 5",
                "half_up -> rule half_up by a division toward zero at rounding 5 of 5",
                "gemmlowp_double -> rule half_away at rounding 4 of 6",
                "gemmlowp_double -> rule half_up by a division toward zero at rounding 4 of 6",
                "gemmlowp_double -> rule half_away at rounding 6 of 6",
                "gemmlowp_double -> rule half_up by a division toward zero at rounding 6 of 6",
            ),
            _NONE,
        ),
    },
    "softmax_gemmlowp": {
        **dict.fromkeys(
            (
                "right shift 1 of 8: logical, of 32 bits",
                "right shift 2 of 8: logical, of 32 bits",
                "right shift 3 of 8: logical, of 32 bits",
                "right shift 4 of 8: logical, of 32 bits",
                "right shift 5 of 8: logical, of 32 bits",
                "right shift 6 of 8: logical, of 32 bits",
                "right shift 7 of 8: logical, of 32 bits",
            ),
            _AND,
        ),
        "product 21 of 22: saturated to 32 bits": _CUT,
        **dict.fromkeys(
            (
                "half_up at floor 8 of 8",
                "half_even at floor 8 of 8",
                "right shift 8 of 8: rounded up",
            ),
            _EVEN,
        ),
        **dict.fromkeys(
            (
                "left shift 1 of 6: wrapped to 32 bits",
                "left shift 1 of 6: saturated to 32 bits",
            ),
            _FARD,
        ),
        **dict.fromkeys(
            (
                "difference 5 of 10: wrapped to 32 bits",
                "difference 5 of 10: saturated to 32 bits",
            ),
            _NORMAL,
        ),
        **dict.fromkeys(
            (
                "scaling 1 of 4: of a magnitude, the sign put back",
                "scaling 2 of 4: of a magnitude, the sign put back",
            ),
            _ODD,
        ),
        "rule half_up at every rounding": _POSITIVE,
        **dict(
            _rules(
                25,
                _SAME,
                half_to_zero="1 3 4 6 8 9 10 11 12 13 14 17 18 19 20 21",
                half_away="2 3 4 6 8 9 10 11 12 13 14 18 19 20 21 22 24",
                truncated="2 4 5 7 9 10 11 12 13 14 16 18 20 22 24 25",
                half_down="3 4 6 8 9 10 11 12 13 14 18 19 20 21",
                half_even="3 4 6 8 9 10 11 12 13 14 18 19 20 21 22 24",
                half_up="5 7 16 25",
                ceil="7",
            )
        ),
        **dict.fromkeys(
            (
                "scaling 4 of 4: rounded twice, half_up at 31 bits and half_up after it",
                "scaling 4 of 4: rounded twice, half_up at 31 bits and half_even after it",
                "scaling 4 of 4: rounded twice, half_up at 31 bits and half_away after it",
                "scaling 4 of 4: rounded twice, half_up at 31 bits and floor after it",
                "scaling 4 of 4: shift at most 31",
                "scaling 4 of 4: the low 5 bits of shift",
            ),
            _STOP,
        ),
        **dict(
            _rules(
                25,
                _TINY,
                floor="15",
                ceil="15",
                toward_zero="15",
                odd="15",
                half_down="15",
                half_away="15",
                half_to_zero="15",
                half_even="15",
                truncated="15",
            )
        ),
        **dict.fromkeys(
            (
                "product 13 of 22: wrapped to 32 bits",
                "product 13 of 22: saturated to 32 bits",
            ),
            _TINY,
        ),
        **dict.fromkeys(
            (
                "half_up at floor 1 of 8",
                "half_even at floor 1 of 8",
                "right shift 1 of 8: rounded up",
            ),
            _WHOLE,
        ),
        **dict.fromkeys(
            (
                "toward_zero at floor 1 of 8",
                "toward_zero at floor 2 of 8",
                "toward_zero at floor 3 of 8",
                "toward_zero at floor 4 of 8",
                "toward_zero at floor 5 of 8",
                "toward_zero at floor 6 of 8",
                "toward_zero at floor 7 of 8",
                "toward_zero at every floor",
            ),
            _ZERO,
        ),
    },
}
