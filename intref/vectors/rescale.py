"""Directed cases of rescale."""

from collections.abc import Iterator

import numpy as np

from intref.ops.op import dtype_range
from intref.ops.rescale import RULES
from intref.vectors.asked import asked
from intref.vectors.case import Broken, Case, Generator, SplitMix64
from intref.vectors.operands import M31, clips, fp32, rescale_case, ties
from intref.vectors.rounding import fp32_half_even, gemmlowp_double, tosa_double

FIXED = RULES[:-1]  # by a multiplier and a shift; fp32_half_even takes the bit pattern of a float32
EXACT = RULES[:-3]  # rounded once


def rescale() -> Iterator[Case]:
    """Every rule at its ties, its clips and the ends of its operands; then axes, dtypes and random channels."""
    for rule in FIXED:
        yield from _rule(rule)
    for rule in EXACT:
        yield from _wide(rule)
    yield from gemmlowp_double()
    yield from tosa_double()
    yield from fp32_half_even()
    yield from _sites()
    yield from _axes()
    stream = SplitMix64(1)
    for rule in FIXED:
        x = stream.integers(-(1 << 24), 1 << 24, (4, 16), "int32")
        multiplier = stream.integers(1 << 30, M31, 16, "int32")
        shift = stream.integers(44, 52, 16, "int8")
        yield rescale_case(f"{rule}: random channels", "random axes", x, multiplier, shift, rule, zero=(11, -4))
    yield from asked("rescale")


def _rule(rule: str) -> Iterator[Case]:
    yield rescale_case(f"{rule}: ties", "tie", ties(2, 2), 2, 2, rule)
    yield rescale_case(f"{rule}: ties of a wide multiplier", "tie", ties(5 << 24, 33), 5 << 24, 33, rule, zero=(0, 3))
    yield rescale_case(
        f"{rule}: ties where a double rounding acts twice", "tie", ties(1 << 30, 34), 1 << 30, 34, rule, output="int16"
    )
    x = clips(0x5A5A5A5B, 38, (-3, 7), -128, 127)
    yield rescale_case(f"{rule}: either side of each clip", "clip", x, 0x5A5A5A5B, 38, rule, zero=(-3, 7))
    x = [*dtype_range("int32"), 1, -1, 0]
    for multiplier in (M31, 1 << 30, 1):
        yield rescale_case(
            f"{rule}: shift 62, multiplier {multiplier}", "extreme", x, multiplier, 62, rule, output="int32"
        )
    yield rescale_case(f"{rule}: multiplier 0", "degenerate", x, 0, 40, rule, output="int32", zero=(0, -9))
    small = [[-3, 5, -9], [9, -70, 7]]
    shifts = [2, 30, 31] if rule == "tosa_double" else [0, 30, 31]
    yield rescale_case(
        f"{rule}: shifts up to 31", "extreme", small, [1, 1 << 30, 3 << 29], shifts, rule, output="int16"
    )


def _wide(rule: str) -> Iterator[Case]:
    """Products of more than 62 bits: two limbs."""
    x = [1 << 62, -(1 << 62), (1 << 62) - 1, 1 - (1 << 62), (1 << 48) - 1, 1 - (1 << 48), 1, -1, 0]
    for multiplier, shift in ((-(1 << 31), 62), (M31, 63), (-(1 << 31), 64), (M31, 65), (-M31, 93), (M31, 94)):
        yield rescale_case(
            f"{rule}: 62 bits times {multiplier} over 2**{shift}",
            "wide extreme",
            x,
            multiplier,
            shift,
            rule,
            "int64",
            "int64",
        )
    for multiplier, shift in ((1 << 30, 90), (-(1 << 30), 64), (1 << 30, 63), (-3, 32), (1, 40), (-1, 60)):
        yield rescale_case(
            f"{rule}: ties of {multiplier} over 2**{shift}",
            "wide tie",
            ties(multiplier, shift),
            multiplier,
            shift,
            rule,
            "int64",
        )
    yield rescale_case(
        f"{rule}: shift 94 leaves less than a half", "extreme", [1 << 60, -(1 << 60)], 1 << 30, 94, rule, "int64"
    )


def _sites() -> Iterator[Case]:
    """What a site declares beside its rule: ranges, zero points, dtypes."""
    for x in ([-128, 127], [-128, 0]):
        yield rescale_case(f"int8 {x} to int4", "clip dtype", x, 1 << 30, 34, dtype="int8", low=-8, high=7)
        yield rescale_case(f"symmetric range, {x}", "clip", x, 1 << 30, 30, dtype="int8", low=-127)
        yield rescale_case(
            f"ReLU: low is the zero point, {x}", "clip", x, 1 << 30, 30, dtype="int8", zero=(0, -128), high=0
        )
    yield rescale_case(
        "uint8 with zero point 128", "dtype", [0, 127, 128, 129, 255], 3, 1, dtype="uint8", zero=(128, 0)
    )
    yield rescale_case("int16 to int16", "dtype clip", [*dtype_range("int16"), 77], 3, 1, "half_up", "int16", "int16")
    yield rescale_case(
        "int32 zero points at their ends",
        "extreme wide",
        [1 << 62, -(1 << 62)],
        1,
        1,
        "floor",
        "int64",
        "int64",
        (-(1 << 31), M31),
    )
    yield rescale_case(
        "to int64", "dtype wide", [1 << 60, -(1 << 60)], M31, 31, dtype="int64", output="int64", zero=(0, 5)
    )
    for dtype in ("int8", "uint8", "int16", "int32", "int64"):
        low, high = dtype_range(dtype)
        x = [max(low, -(1 << 20)), -1, 0, 1, 63, min(high, 1 << 20)] if low else [0, 1, 63, 64, 255]
        yield rescale_case(
            f"{dtype} to uint8", "dtype clip", x, 1 << 30, 30, dtype=dtype, output="uint8", zero=(0, 128)
        )
    ends = [-9, -1, 0, 1, 99, 254, 255, 256, 264]
    yield rescale_case("either side of both ends of uint8", "clip", ends, 1, 0, "floor", "int64", "uint8")
    ends = [1, 9, 10, 11, 99, 199, 200, 201, 999]
    yield rescale_case("inside uint8", "clip", ends, 1, 0, "floor", "int64", "uint8", low=10, high=200)
    yield rescale_case("a range of one value", "clip degenerate", [-9, 0, 9], 1, 0, low=5, high=5)


def _axes() -> Iterator[Case]:
    x = [[[1000, -1000, 64], [77, 5, -5]]]
    yield rescale_case("one pair per middle channel", "axes", x, [1 << 30, 3 << 28], [33, 31], axis=1)
    yield rescale_case("the same, counted from the end", "axes", x, [1 << 30, 3 << 28], [33, 31], axis=-2)
    yield rescale_case("one multiplier, a shift per last channel", "axes", x, 1 << 30, [33, 32, 31])
    yield rescale_case(
        "a multiplier per first channel, one shift", "axes", np.transpose(x), [1 << 30, 1 << 29, 3 << 28], 32, axis=0
    )
    square = np.arange(-8, 8).reshape(4, 4) * 30
    for axis in (-2, -1, 0, 1):
        yield rescale_case(f"a square, axis {axis}", "axes", square, [1, 2, 3, -4], [1, 2, 3, 4], axis=axis)
    heads = np.arange(48).reshape(2, 3, 2, 4) * 40 - 900
    yield rescale_case("heads of a four-dimensional tensor", "axes", heads, [1, 3, 5], [2, 4, 3], axis=-3)


CASES: dict[str, Generator] = {"rescale": rescale}
_NUDGE = "nudge = where(shift > 31, where(centered >= 0, 1 << 30, -(1 << 30)), 0)"
_ZERO = "they part at centered = 0 alone, where a nudge of either sign is rounded to 0"
EQUIVALENT: dict[str, dict[str, str]] = {
    "rescale": {
        "wrap_int32(centered) -> centered in doubled = wrap_int32(wrap_int32(centered) << maximum(31 - shift, 0))": (
            "the low 32 bits of a left shift depend on the low 32 bits alone; the inner wrap keeps int64 from wrapping"
        ),
        f"centered >= 0 -> centered > 0 in {_NUDGE}": _ZERO,
        f"centered -> centered - 1 in {_NUDGE}": _ZERO,
        f"0 -> 1 in {_NUDGE}": _ZERO,
    },
}
_LONG: Broken = {"x": np.array([1], np.int64), "multiplier": np.array([1], np.int32), "shift": np.array([2], np.int8)}
REFUSED: dict[str, dict[str, list[Broken]]] = {
    "rescale": {
        "C1": [{"x": np.zeros(3, np.uint16)}, {"shift": np.zeros(1, np.int32)}],
        "C2": [{"shift": np.zeros((1, 1), np.int8)}, {"x": np.zeros(0, np.int8)}],
        "C3": [
            {"shift": np.array([95], np.int8)},
            {"shift": np.array([-1], np.int8)},
            {"x": np.array([(1 << 62) + 1])},
        ],
        "C4": [{"rounding": "nearest"}, {"output": "uint16"}, {"axis": 8}, {"input_zero_point": 1 << 31}],
        "C5": [{"shift": np.zeros(2, np.int8)}, {"axis": 1}, {"multiplier": np.ones(2, np.int32)}],
        "C6": [{"low": 1, "high": 0}, {"high": 128}, {"low": -129}],
        "C7": [
            {"x": np.array([1 << 61]), "shift": np.zeros(1, np.int8), "multiplier": np.array([2], np.int32)},
            {
                "x": np.array([1]),
                "rounding": "fp32_half_even",
                "multiplier": np.array([fp32(1 << 23, 39)], np.int32),
                "shift": np.zeros(1, np.int8),
            },
        ],
        "C8": [
            {**broken, "rounding": rule}
            for rule in ("gemmlowp_double", "tosa_double")
            for broken in ({"multiplier": np.array([-1], np.int32)}, _LONG)
        ],
        "C9": [
            {"rounding": "tosa_double", "shift": np.array([1], np.int8)},
            {"rounding": "tosa_double", "shift": np.array([63], np.int8)},
            {"rounding": "tosa_double", "x": np.array([M31], np.int32), "input_zero_point": -2},
        ],
        "C10": [
            {"rounding": "fp32_half_even", "shift": np.ones(1, np.int8)},
            {
                "rounding": "fp32_half_even",
                "multiplier": np.array([fp32(1 << 23, 105)], np.int32),
                "x": np.array([0], np.int32),
                "shift": np.zeros(1, np.int8),
            },
        ],
    },
}
