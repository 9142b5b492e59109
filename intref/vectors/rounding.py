"""Directed cases of the rules that round more than once: of rescale's gemmlowp_double, tosa_double, fp32_half_even."""

from collections.abc import Iterator

from intref.vectors.case import Case, SplitMix64
from intref.vectors.operands import M31, ODD, fp32, rescale_case

ONE = fp32(1 << 23, -23)


def gemmlowp_double() -> Iterator[Case]:
    """Both roundings at their ties; both wraps to int32; the longest shift."""
    for why, flags, x, shift, zero in (
        ("-1/2 -> 0, then -> -1", "tie", [-1, 1, -2, 2, -3, 3, -4, 4], 32, 0),
        ("the left shift wraps", "wide", [1 << 20, 5, -(1 << 30)], 16, 0),
        ("the zero point leaves int32 and wraps", "wide", [M31, -(1 << 31)], 40, -5),
    ):
        given = (x, 1 << 30, shift, "gemmlowp_double")
        yield rescale_case(f"gemmlowp_double: {why}", flags, *given, output="int32", zero=(zero, 0))
    given = ([-(1 << 31), M31], M31, 94, "gemmlowp_double")
    yield rescale_case("gemmlowp_double: shift 94", "extreme", *given, output="int32")


def tosa_double() -> Iterator[Case]:
    """Results that only the nudge moves; where it begins; the ends of the operands."""
    near = [k * 8 + d for k in ODD for d in (-2, -1, 0, 1)]  # a nudge of 1 in units of x moves k * 8 over its tie
    nearer = [k * 16 + d for k in ODD for d in (-3, -2, -1, 0, 1, 2)]
    for why, flags, x, multiplier, shift, zero in (
        ("only the nudge crosses the tie", "tie", near, 1 << 30, 34, 1),
        ("a nudge of two units of x", "tie", nearer, 1 << 29, 34, 0),
        ("the last shift without a nudge", "extreme tie", [*range(-3, 4)], M31, 31, 0),
        ("the first shift with a nudge", "extreme tie", [*range(-3, 4)], M31, 32, 0),
        ("the second shift with a nudge", "extreme tie", [*range(-3, 4)], M31, 33, 0),
        ("+-2**31 after the zero point", "extreme wide", [M31, 0], M31, 62, -1),
        ("shift 2", "extreme", [-(1 << 31), M31, 6, -6], 1, 2, 0),
    ):
        given = (x, multiplier, shift, "tosa_double")
        yield rescale_case(f"tosa_double: {why}", flags, *given, output="int32", zero=(zero, 0))


def fp32_half_even() -> Iterator[Case]:
    """Ties of the conversion, of the product and of the last rounding; scales of every kind; 62-bit operands."""
    lost = [s * ((1 << k) + d) for k in (24, 25, 26) for d in (1, 2, 3, 5, 6, 7, 9, 10) for s in (-1, 1)]
    moved = [s * ((1 << 23) + d) for d in (1, 3, 5, 7, 9) for s in (-1, 1)]
    for why, flags, x, pattern in (
        ("ties", "tie", [*range(-9, 10)], fp32(1 << 23, -24)),
        ("accumulators above 2**24 lose bits, ties to even", "wide tie", lost, ONE),
        ("a product ties, the significand is 2**23 + 1", "tie", [3, -3, 5, -5, 7, 9], fp32((1 << 23) + 1, 0)),
        ("a product ties, the significand is 2**23 + 3", "tie", [3, -3, 5, -5, 7, 9], fp32((1 << 23) + 3, 0)),
        ("the float product lands on a tie, the exact one does not", "wide tie", moved, fp32((1 << 23) + 1, -24)),
        ("the largest scale, of 0", "extreme", [0, 0], fp32((1 << 24) - 1, 104)),
    ):
        yield rescale_case(
            f"fp32_half_even: {why}", flags, x, pattern, 0, "fp32_half_even", output="int32", zero=(0, 3)
        )
    yield from _scales()
    top = (1 << 62) - 1
    for why, x, pattern in (
        ("a huge scale", [1, -1], fp32((1 << 24) - 1, 37)),
        ("62-bit operands", [top, -top, (1 << 62) - (1 << 37)], fp32((1 << 24) - 1, -25)),
        ("the conversion rounds up to 2**62", [top, -top], ONE),
    ):
        yield rescale_case(f"fp32_half_even: {why}", "wide extreme", x, pattern, 0, "fp32_half_even", "int64", "int64")
    stream = SplitMix64(6)
    accumulators = stream.integers(-(1 << 28), 1 << 28, (6, 8), "int32")
    patterns = stream.integers(fp32(1 << 23, -46), fp32(1 << 23, -44), 8, "int32")
    given = (accumulators, patterns, 0, "fp32_half_even")
    yield rescale_case("fp32_half_even: random channels", "random axes", *given, zero=(-77, 5))


def _scales() -> Iterator[Case]:
    ends = [M31, -(1 << 31), (1 << 24) - 1, 1 - (1 << 24), 1, -1, 0]
    for why, pattern in {
        "one": ONE,
        "zero": 0,
        "minus zero": -(1 << 31),
        "the least subnormal": 1,
        "the largest subnormal": (1 << 23) - 1,
        "2**-24, negative": fp32(1 << 23, -47, 1),
        "nearly 1, significand all ones": fp32((1 << 24) - 1, -24),
    }.items():
        given = (ends, pattern, 0, "fp32_half_even")
        yield rescale_case(f"fp32_half_even: scale {why}", "extreme", *given, output="int32", zero=(0, -1))
