"""Faults, and mutants of the vocabulary, that no call of any op can show, each with the reason.

What running a body on intervals can prove (`proofs.harmless`) is not listed here. The mutants of op bodies that
survive are listed beside the vectors of their family.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase

_WIDTH = "y is as wide as what was read: modulo that width the two readings agree"
_MOVED = {f"{port} read as *": _WIDTH for port in ("x", "table", "entries")}
_MODULO = "y is int32: modulo 2**32 the two agree, and a y that does not fit is refused"
_NORMALIZED = "|x * 2**k| <= sigma < 2**31 for every term"
FAULTS: dict[str, dict[str, str]] = {
    **{name: _MOVED for name in ("embedding", "split_heads", "merge_heads", "transpose", "select_token", "table")},
    "linear_int4": {
        "bias read as uint32": _MODULO,
        "accumulator wrapped to 32 bits": _MODULO,
        "weight read as int8": "& 15 leaves the same nibbles of either reading",
        "weight of 8 bits": "& 15 leaves the same nibbles of either reading",
    },
    "rescale": {
        "gemmlowp_double -> rule gemmlowp_double at rounding 1 of 2": (
            "that rounding is by a shift of 31, for which the double rule is half_up"
        ),
        "scaling 1 of 2: |multiplier|": "C8: gemmlowp_double has no negative multiplier",
        "scaling 2 of 2: rounded twice, half_up at 31 bits and half_even after it": (
            "beyond a shift of 31 what is rounded is below 2**31: 0 either way, for the second rounding of 1/2 is even"
        ),
        "scaling 2 of 2: the product wrapped to 32 bits": "the first scaling gives |a * multiplier / 2**31| < 2**31",
        "scaling 2 of 2: shift at most 62": "an int32 over 2**62 or 2**63 is 0 either way",
        "scaling 2 of 2: of a magnitude, the sign put back": "half_away rounds magnitudes",
        "wrap 1 of 2: not done": "the low 32 bits of a left shift depend on the low 32 bits alone",
        "difference 1 of 3: wrapped to 32 bits": "gemmlowp_double wraps it to 32 bits itself",
        "left shift: wrapped to 32 bits": "gemmlowp_double wraps it to 32 bits itself",
    },
    "rescale_quotient": {
        "multiplier * to 24 bits": "only 2**24 has more than 24 bits, and those that go are 0",
    },
    "quantize_token": {
        "half_* at floor 3 of 3": "the shift is 1 for a = 2**15 alone, which is even: nothing is rounded",
        "right shift 3 of 3: rounded up": "the shift is 1 for a = 2**15 alone, which is even: nothing is rounded",
    },
    "softmax_ibert": {
        "sum: saturated to 24 bits": "a sum of 2**23 or more has f <= 2**9, and e16 * f < 2**24: p = 0 either way",
        "difference 1 of 2: saturated to 32 bits": "what is below -2**31 is below -30 * ln2 >= -2**21 and cut there",
        "quotient 1 of 2: saturated to 16 bits": "q <= 30, for d >= -30 * ln2",
        "quotient 2 of 2: by a reciprocal of 32 bits": "2**32 times a reciprocal of 32 bits is that reciprocal",
    },
    "softmax_exp2": {
        "rule half_even": "255 * e is a tie for e = 2**29 alone, and 127.5 is 128 by both",
        "right shift 2 of 5: logical, of 32 bits": "& 255 leaves bits 8 to 15, which both have",
    },
    "mask_add": {"addition: saturated to 32 bits": "y is at least -2**31 itself, and value is below 0"},
    "layernorm_ibert": {
        "left shift: * to 32 bits": "sigma <= sqrt(D) * max |x| <= 2**30, by C5",
        "quotient: by a reciprocal of 32 bits": "floor(floor(2**32 / sigma) / 2) is floor(2**31 / sigma)",
    },
    "layernorm_fixed": {"left shift 2 of 2: * to 32 bits": _NORMALIZED},
    "l2_normalize": {"left shift 2 of 2: * to 32 bits": _NORMALIZED},
    "gelu_table": {
        "rule half_away": "table, 2**k - r and r are never negative",
        "rule half_up by a division toward zero": "table, 2**k - r and r are never negative",
        "choice 1 of 2: the first value everywhere": "outside, g is replaced by 0",
        "difference 1 of 3: * to 32 bits": "a mod 2**k is below 2**17",
        "left shift: * to 32 bits": "floor(a / 2**k) * 2**k <= a <= 2**23",
    },
}

_SIGN = "they part at +-0, whose sign sets no bit, and at patterns that are no number"
_EVEN = "2 * first and one are even, but for a shift of 0, which leaves nothing to round"
_PARITY = "q and -q have the same parity"
_ZERO = "no op asks for the bits of 0 where one bit more matters"
_STEP = "they part where the number of bits is a step, which is then added either way, and nothing is left"
# Which of two exact ways a product takes: in int64 limbs, or, for a multiplier beyond int32, in Python's integers.
_WAYS = (
    "-(1 << 31) -> 1 << 31",
    "m < -(1 << 31) -> m <= -(1 << 31)",
    "m -> m + 1",
    "m -> m - 1",
    "1 << 31 -> 1 >> 31",
    "1 << 31 -> 1",
    "1 << 31 -> 31",
    "1 << 31 -> 31 << 1",
    "1 -> 2",
    "1 -> 0",
    "31 -> 32",
    "31 -> 30",
    "m > 1 << 31 -> m >= 1 << 31",
    "m -> m + 1|#2",
    "m -> m - 1|#2",
    "1 << 31 -> 1 >> 31|#2",
    "1 << 31 -> 1|#2",
    "1 << 31 -> 31|#2",
    "1 << 31 -> 31 << 1|#2",
    "1 -> 2|#2",
    "1 -> 0|#2",
    "31 -> 32|#2",
    "31 -> 30|#2",
)
_WAY = "in if np.any((m < -(1 << 31)) | (m > 1 << 31)):"
VOCABULARY: dict[str, dict[str, str]] = {
    "accumulate": {
        "terms -> terms + 1 in *": "a block past the last term is empty: what was saturated is saturated again",
    },
    "ROUNDS_UP[[]floor]": {
        pattern: "what is anded with False is False"
        for pattern in ("inexact & False -> False in *", "inexact -> inexact ? 1 in *")
    },
    "ROUNDS_UP[[]odd]": {"q -> -q in *": _PARITY},
    "ROUNDS_UP[[]half_even]": {"q -> -q in *": _PARITY},
    "split_fp32": {
        "pattern -> pattern + 1 in return *": _SIGN,
        "31 -> 32 in return *": "an int32 in int64 has its sign in bit 32, too",
    },
    "mul_shift": {
        **{
            f"{change.partition('|')[0]} {_WAY}{' #2' * change.endswith('#2')}": "both ways are exact; one is slower"
            for change in _WAYS
        },
        "(2 * first == one) & (below == 0) -> 2 * first == one in *": "above is true there, and no rule asks further",
        "below -> -below in half = *": "0 is 0",
        "one -> one + 1 in above = *> 0)": _EVEN,
    },
    "scale_fp32": {
        "x -> -x in xs, xe = _significand24(absolute(x))": "|-x| is |x|",
        "62 -> 61 in *": "ps < 2**25: 26 dropped bits leave 0",
        "minimum(maximum(exponent, 0), 39) -> maximum(exponent, 0) in *": "C7: the result is below 2**62",
        "39 -> 40 in *": "C7: the result is below 2**62",
        "x < 0 -> x <= 0 in *": "0 has no sign",
        "x -> x - 1 in return *": "0 has no sign",
        "0 -> 1 in return *": "0 has no sign",
    },
    "_significand24": {"x -> x - 1 in exponent = *": "a power of two as 2**24 * 2**(e - 1) has the same value"},
    "bitlen": {
        "x -> *x* in length = *": "only the shape is taken",
        "32 -> 31 in *": "31 and the steps below it sum up to 62, all that there is",
        "x > 0 -> x >= 0 in *": _ZERO,
        "x -> x + 1 in return *": _ZERO,
        "0 -> -1 in return *": _ZERO,
        "x -> x + 1 in big = *": _STEP,
        "step -> step - 1 in big = *": _STEP,
    },
    "spread": {"1 -> 2 in *])": "NumPy takes any negative size for the one that it is to find"},
}


def why_equivalent(name: str, words: str, table: Mapping[str, Mapping[str, str]]) -> str | None:
    """The reason why no call shows a fault of an op, or a mutant of a word; None if it must be found."""
    for pattern, reasons in table.items():
        if fnmatchcase(name, pattern):
            for known, reason in reasons.items():
                if fnmatchcase(words, known):
                    return reason
    return None
