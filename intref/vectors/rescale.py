"""Directed cases of rescale, solved from the result back to the operands; of clamp and of the sums of two terms."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref.ops.op import dtype_range
from intref.ops.rescale import RULES
from intref.vectors.case import Broken, Case, Generator, SplitMix64

FIXED = RULES[:-1]  # by a multiplier and a shift; fp32_half_even takes the bit pattern of a float32
EXACT = RULES[:-3]  # rounded once
M31 = (1 << 31) - 1
ODD = (-7, -5, -3, -1, 1, 3, 5, 7)


def _case(
    why: str, flags: str, x: Any, multiplier: Any, shift: Any, rounding: str = "half_even", dtype: str = "int32",
    output: str = "int8", zero: tuple[int, int] = (0, 0), **attrs: int,
) -> Case:  # fmt: skip
    tensors = {
        "x": np.array(x, dtype),
        "multiplier": np.array(multiplier, np.int32).reshape(-1),
        "shift": np.array(shift, np.int8).reshape(-1),
    }
    zeros = {"input_zero_point": zero[0], "output_zero_point": zero[1]}
    return Case(why, tensors, {"rounding": rounding, **zeros, "output": output, **attrs}, (*flags.split(),))


def ties(multiplier: int, shift: int) -> list[int]:
    """x with x * multiplier / 2**shift an exact tie, both signs and parities, and the neighbours of each."""
    step = (1 << shift - 1) // (multiplier & -multiplier)  # odd multiples of step leave half a unit
    return [k * step + d for k in ODD for d in (-1, 0, 1)]


def clips(multiplier: int, shift: int, zero: tuple[int, int], low: int, high: int) -> list[int]:
    """x whose result lands on, or one off, each clip."""
    goals = [end + d - zero[1] for end in (low, high) for d in (-1, 0, 1)]
    return [(goal << shift) // multiplier + zero[0] + d for goal in goals for d in (0, 1)]


def fp32(significand: int, exponent: int, sign: int = 0) -> int:
    """The int32 bit pattern of (-1)**sign * significand * 2**exponent, 2**23 <= significand < 2**24."""
    return (exponent + 150 << 23) + significand - (1 << 23) - (sign << 31)


def rescale() -> Iterator[Case]:
    """Every rule at its ties, its clips and the ends of its operands; then axes, dtypes and random channels."""
    for rule in FIXED:
        yield from _rule(rule)
    for rule in EXACT:
        yield from _wide(rule)
    yield from _gemmlowp()
    yield from _tosa()
    yield from _fp32()
    yield from _sites()
    yield from _axes()
    stream = SplitMix64(1)
    for rule in FIXED:
        x = stream.integers(-(1 << 24), 1 << 24, (4, 16), "int32")
        multiplier = stream.integers(1 << 30, M31, 16, "int32")
        shift = stream.integers(44, 52, 16, "int8")
        yield _case(f"{rule}: random channels", "random axes", x, multiplier, shift, rule, zero=(11, -4))


def _rule(rule: str) -> Iterator[Case]:
    yield _case(f"{rule}: ties", "tie", ties(2, 2), 2, 2, rule)
    yield _case(f"{rule}: ties of a wide multiplier", "tie", ties(5 << 24, 33), 5 << 24, 33, rule, zero=(0, 3))
    yield _case(f"{rule}: ties where a double rounding acts twice", "tie", ties(1 << 30, 34), 1 << 30, 34, rule,
                output="int16")  # fmt: skip
    x = clips(0x5A5A5A5B, 38, (-3, 7), -128, 127)
    yield _case(f"{rule}: either side of each clip", "clip", x, 0x5A5A5A5B, 38, rule, zero=(-3, 7))
    x = [*dtype_range("int32"), 1, -1, 0]
    for multiplier in (M31, 1 << 30, 1):
        yield _case(f"{rule}: shift 62, multiplier {multiplier}", "extreme", x, multiplier, 62, rule, output="int32")
    yield _case(f"{rule}: multiplier 0", "degenerate", x, 0, 40, rule, output="int32", zero=(0, -9))
    small = [[-3, 5, -9], [9, -70, 7]]
    shifts = [2, 30, 31] if rule == "tosa_double" else [0, 30, 31]
    yield _case(f"{rule}: shifts up to 31", "extreme", small, [1, 1 << 30, 3 << 29], shifts, rule, output="int16")


def _wide(rule: str) -> Iterator[Case]:
    """Products of more than 62 bits: two limbs."""
    x = [1 << 62, -(1 << 62), (1 << 62) - 1, 1 - (1 << 62), (1 << 48) - 1, 1 - (1 << 48), 1, -1, 0]
    for multiplier, shift in ((-(1 << 31), 62), (M31, 63), (-(1 << 31), 64), (M31, 65), (-M31, 93), (M31, 94)):
        yield _case(f"{rule}: 62 bits times {multiplier} over 2**{shift}", "wide extreme", x, multiplier, shift, rule,
                    "int64", "int64")  # fmt: skip
    for multiplier, shift in ((1 << 30, 90), (-(1 << 30), 64), (1 << 30, 63), (-3, 32)):
        yield _case(f"{rule}: ties of {multiplier} over 2**{shift}", "wide tie", ties(multiplier, shift), multiplier,
                    shift, rule, "int64")  # fmt: skip
    yield _case(f"{rule}: shift 94 leaves less than a half", "extreme", [1 << 60, -(1 << 60)], 1 << 30, 94, rule, "int64")


def _gemmlowp() -> Iterator[Case]:
    rule = "gemmlowp_double"
    yield _case("gemmlowp_double: the left shift wraps", "wide", [1 << 20, 5, -(1 << 30)], 1 << 30, 16, rule,
                output="int32")  # fmt: skip
    yield _case("gemmlowp_double: the zero point leaves int32 and wraps", "wide", [M31, -(1 << 31)], 1 << 30, [40], rule,
                output="int32", zero=(-5, 0))  # fmt: skip
    yield _case("gemmlowp_double: -1/2 -> 0, then -> -1", "tie", [-1, 1, -2, 2, -3, 3, -4, 4], 1 << 30, 32, rule)
    yield _case("gemmlowp_double: shift 94", "extreme", [-(1 << 31), M31], M31, 94, rule, output="int32")


def _tosa() -> Iterator[Case]:
    rule = "tosa_double"
    near = [k * 8 + d for k in ODD for d in (-2, -1, 0, 1)]  # a nudge of 1 in units of x moves k * 8 over its tie
    yield _case("tosa_double: only the nudge crosses the tie", "tie", near, 1 << 30, 34, rule, zero=(1, 0))
    near = [k * 16 + d for k in ODD for d in (-3, -2, -1, 0, 1, 2)]
    yield _case("tosa_double: a nudge of two units of x", "tie", near, 1 << 29, 34, rule)
    for shift in (31, 32, 33):
        yield _case(f"tosa_double: shift {shift}, where the nudge begins", "extreme tie", [-3, -2, -1, 0, 1, 2, 3],
                    M31, shift, rule)  # fmt: skip
    yield _case("tosa_double: +-2**31 after the zero point", "extreme wide", [M31, 0], M31, [62], rule, output="int32",
                zero=(-1, 0))  # fmt: skip
    yield _case("tosa_double: shift 2", "extreme", [-(1 << 31), M31, 6, -6], 1, 2, rule, output="int32")


def _fp32() -> Iterator[Case]:
    rule, one = "fp32_half_even", fp32(1 << 23, -23)
    yield _case("fp32_half_even: ties", "tie", [*range(-9, 10)], fp32(1 << 23, -24), 0, rule, zero=(0, 3))
    near = [s * ((1 << k) + d) for k in (24, 25, 26) for d in (1, 2, 3, 5, 6, 7, 9, 10) for s in (-1, 1)]
    yield _case("fp32_half_even: accumulators above 2**24 lose bits, ties to even", "wide tie", near, one, 0, rule,
                output="int32")  # fmt: skip
    for low in (1, 3):
        yield _case(f"fp32_half_even: a product ties, significand 2**23 + {low}", "tie", [3, -3, 5, -5, 7, 9],
                    fp32((1 << 23) + low, 0), 0, rule, output="int32")  # fmt: skip
    odd = [s * ((1 << 23) + d) for d in (1, 3, 5, 7, 9) for s in (-1, 1)]
    yield _case("fp32_half_even: the float product lands on a tie that the exact one misses", "wide tie", odd,
                fp32((1 << 23) + 1, -24), 0, rule, output="int32")  # fmt: skip
    ends = [M31, -(1 << 31), (1 << 24) - 1, 1 - (1 << 24), 1, -1, 0]
    for why, pattern in {"one": one, "zero": 0, "minus zero": -(1 << 31), "the least subnormal": 1,
                         "the largest subnormal": (1 << 23) - 1, "2**-24, negative": fp32(1 << 23, -47, 1),
                         "nearly 1, significand all ones": fp32((1 << 24) - 1, -24)}.items():  # fmt: skip
        yield _case(f"fp32_half_even: scale {why}", "extreme", ends, pattern, 0, rule, output="int32", zero=(0, -1))
    yield _case("fp32_half_even: a huge scale", "extreme wide", [1, -1], fp32((1 << 24) - 1, 37), 0, rule, "int8",
                "int64")  # fmt: skip
    yield _case("fp32_half_even: the largest scale of 0", "extreme", [0, 0], fp32((1 << 24) - 1, 104), 0, rule, zero=(0, 3))
    yield _case("fp32_half_even: 62-bit operands", "wide extreme", [(1 << 62) - 1, 1 - (1 << 62), (1 << 62) - (1 << 37)],
                fp32((1 << 24) - 1, -25), 0, rule, "int64", "int64")  # fmt: skip
    stream = SplitMix64(6)
    x = stream.integers(-(1 << 28), 1 << 28, (6, 8), "int32")
    pattern = stream.integers(fp32(1 << 23, -46), fp32(1 << 23, -44), 8, "int32")
    yield _case("fp32_half_even: random channels", "random axes", x, pattern, 0, rule, zero=(-77, 5))


def _sites() -> Iterator[Case]:
    """What a site declares beside its rule: ranges, zero points, dtypes."""
    for x in ([-128, 127], [-128, 0]):
        yield _case(f"int8 {x} to int4", "clip dtype", x, 1 << 30, 34, dtype="int8", low=-8, high=7)
        yield _case(f"symmetric range, {x}", "clip", x, 1 << 30, 30, dtype="int8", low=-127)
        yield _case(f"ReLU: low is the zero point, {x}", "clip", x, 1 << 30, 30, dtype="int8", zero=(0, -128), high=0)
    yield _case("uint8 with zero point 128", "dtype", [0, 127, 128, 129, 255], 3, 1, dtype="uint8", zero=(128, 0))
    yield _case("int16 to int16", "dtype clip", [*dtype_range("int16"), 77], 3, 1, "half_up", "int16", "int16")
    yield _case("int32 zero points at their ends", "extreme wide", [1 << 62, -(1 << 62)], 1, 1, "floor", "int64", "int64",
                (-(1 << 31), M31))  # fmt: skip
    yield _case("to int64", "dtype wide", [1 << 60, -(1 << 60)], M31, 31, dtype="int64", output="int64", zero=(0, 5))
    yield _case("a range of one value", "clip degenerate", [-9, 0, 9], 1, 0, low=5, high=5)


def _axes() -> Iterator[Case]:
    x = [[[1000, -1000, 64], [77, 5, -5]]]
    yield _case("one pair per middle channel", "axes", x, [1 << 30, 3 << 28], [33, 31], axis=1)
    yield _case("the same, counted from the end", "axes", x, [1 << 30, 3 << 28], [33, 31], axis=-2)
    yield _case("one multiplier, a shift per last channel", "axes", x, 1 << 30, [33, 32, 31])
    yield _case("a multiplier per first channel, one shift", "axes", np.transpose(x), [1 << 30, 1 << 29, 3 << 28], 32, axis=0)
    square = np.arange(-8, 8).reshape(4, 4) * 30
    for axis in (-2, -1, 0, 1):
        yield _case(f"a square, axis {axis}", "axes", square, [1, 2, 3, -4], [1, 2, 3, 4], axis=axis)
    heads = np.arange(48).reshape(2, 3, 2, 4) * 40 - 900
    yield _case("heads of a four-dimensional tensor", "axes", heads, [1, 3, 5], [2, 4, 3], axis=-3)


CASES: dict[str, Generator] = {"rescale": rescale}
_NUDGE = "nudge = where(shift > 31, where(centered >= 0, 1 << 30, -(1 << 30)), 0)"
_ZERO = "they part at centered = 0 alone, where a nudge of either sign is rounded to 0"
EQUIVALENT: dict[str, dict[str, str]] = {
    "rescale": {
        "wrap_int32(centered) -> centered in doubled = wrap_int32(wrap_int32(centered) << maximum(31 - shift, 0))": (
            "the low 32 bits of a left shift depend on the low 32 bits only; the inner wrap keeps int64 from overflowing"
        ),
        f"centered >= 0 -> centered > 0 in {_NUDGE}": _ZERO,
        f"centered -> centered - 1 in {_NUDGE}": _ZERO,
        f"0 -> 1 in {_NUDGE}": _ZERO,
    },
}
_INT64: Broken = {"x": np.array([1]), "multiplier": np.array([1], np.int32), "shift": np.array([2], np.int8)}
REFUSED: dict[str, dict[str, list[Broken]]] = {
    "rescale": {
        "C1": [{"x": np.zeros(3, np.uint16)}, {"shift": np.zeros(1, np.int32)}],
        "C2": [{"shift": np.zeros((1, 1), np.int8)}, {"x": np.zeros(0, np.int8)}],
        "C3": [{"shift": np.array([95], np.int8)}, {"shift": np.array([-1], np.int8)}, {"x": np.array([(1 << 62) + 1])}],
        "C4": [{"rounding": "nearest"}, {"output": "uint8"}, {"axis": 8}, {"input_zero_point": 1 << 31}],
        "C5": [{"shift": np.zeros(2, np.int8)}, {"axis": 1}, {"multiplier": np.ones(2, np.int32)}],
        "C6": [{"low": 1, "high": 0}, {"high": 128}, {"low": -129}],
        "C7": [
            {"x": np.array([1 << 61]), "shift": np.zeros(1, np.int8), "multiplier": np.array([2], np.int32)},
            {"x": np.array([1]), "rounding": "fp32_half_even", "multiplier": np.array([fp32(1 << 23, 39)], np.int32),
             "shift": np.zeros(1, np.int8)},
        ],
        "C8": [{"rounding": r, "multiplier": np.array([-1], np.int32)} for r in ("gemmlowp_double", "tosa_double")]
        + [_INT64 | {"rounding": r} for r in ("gemmlowp_double", "tosa_double")],
        "C9": [
            {"rounding": "tosa_double", "shift": np.array([1], np.int8)},
            {"rounding": "tosa_double", "shift": np.array([63], np.int8)},
            {"rounding": "tosa_double", "x": np.array([M31], np.int32), "input_zero_point": -2},
        ],
        "C10": [
            {"rounding": "fp32_half_even", "shift": np.ones(1, np.int8)},
            {"rounding": "fp32_half_even", "multiplier": np.array([fp32(1 << 23, 105)], np.int32),
             "x": np.array([0], np.int32), "shift": np.zeros(1, np.int8)},
        ],
    },
}  # fmt: skip
