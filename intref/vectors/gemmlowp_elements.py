"""Directed cases of those ops of ops/gemmlowp.py that compute element by element."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref.vectors.case import Broken, Case, Generator, SplitMix64

M31 = (1 << 31) - 1
ROUNDINGS = ("half_up", "half_away", "gemmlowp_double")
EVERY = np.arange(-128, 128).astype(np.int8)
HALF = 1 << 30
# (x, multiplier) at shift 27, and (c, multiplier, shift): a unit more or less inside gives another y.
BESIDE_LOGISTIC = (
    (14, 173349627),
    (14, 344503466),
    (-14, 270344407),
    (-14, 656309060),
    (-14, 787487698),
    (-14, 295765458),
    (14, 290429009),
    (-14, 56969452),
    (-14, 226898434),
    (14, 455479500),
    (14, 42207331),
    (14, 290429010),
    (-14, 105873847),
)
BESIDE_TANH = (
    (14, 86674814),
    (14, 28484726),
    (14, 135172203),
    (-14, 393743849),
    (-14, 234449094),
    (-14, 48930476),
    (14, 33476817),
    (-14, 393743848),
    (14, 128209294),
    (14, 107640524),
    (-14, 147882729),
    (-14, 175778422),
    (14, 227739747),
)
BESIDE_ROOT = (
    (1, 171965440, 43),
    (2, 17793505, 43),
    (8, 35586962, 43),
    (131, 144006306, 43),
    (255, 468826410, 43),
    (251, 199333181, 43),
    (7, 1342746224, 43),
    (130, 1960711929, 43),
    (233, 192054178, 43),
    (255, 937676312, 44),
)


def _angle(why: str, flags: str, x: Any, **attrs: int) -> Case:
    given = {"input_zero_point": 0, "multiplier": HALF, "shift": 24, **attrs}  # S = 2**-4
    return Case(why, {"x": np.array(x, np.int8)}, given, (*flags.split(),))


def _angles() -> Iterator[Case]:
    """Every int8 at several scales and zero points; the ends of the constants."""
    yield _angle("every int8, S = 2**-4", "extreme", EVERY)
    yield _angle("a scalar: half", "degenerate axes", 0)
    yield _angle("three axes", "axes", EVERY[::16].reshape(2, 2, 4), shift=25)
    for shift in (17, 20, 22, 23, 26, 27, 28):
        yield _angle(f"every int8, S = 2**{shift - 28}", "extreme clip", EVERY, shift=shift)
    yield _angle("every int8, a mantissa of 31 bits", "extreme", EVERY, multiplier=1518500250)
    yield _angle("the largest multiplier", "extreme", EVERY, multiplier=M31)
    for zero in (-128, -3, 127):
        yield _angle(f"zero point {zero}", "extreme", EVERY, input_zero_point=zero, multiplier=1362877568)
    yield _angle("zero point -128, fine", "extreme", EVERY, input_zero_point=-128, shift=21)
    for shift in (29, 30, 31):
        yield _angle(f"few values are not far, shift {shift}", "clip", EVERY[112:144], shift=shift)
    yield _angle("shift 0: all is half", "degenerate", EVERY[::9], shift=0)
    yield _angle("shift 0: 1 or -1", "tie", EVERY[::9], shift=0, multiplier=1 << 23)
    yield _angle("multiplier 1", "extreme", EVERY[::9], multiplier=1, shift=31)
    yield _angle("multiplier 1: far is not large", "extreme", EVERY[112:144], multiplier=1, shift=28)


def _beside(pairs: tuple[tuple[int, int], ...]) -> Iterator[Case]:
    stream = SplitMix64(46)
    yield _angle("random", "random axes", stream.integers(-128, 127, (2, 37), "int8"), shift=25)
    for x, multiplier in pairs:
        yield _angle(f"a unit from a tie of y: {x}, {multiplier}", "tie wide", [x], multiplier=multiplier, shift=27)


def logistic_gemmlowp() -> Iterator[Case]:
    yield from _angles()
    yield from _beside(BESIDE_LOGISTIC)


def tanh_gemmlowp() -> Iterator[Case]:
    yield from _angles()
    yield from _beside(BESIDE_TANH)


def _table(why: str, flags: str, x: Any, entries: Any) -> Case:
    tensors = {"x": np.array(x, np.int16), "entries": np.array(entries, np.int16)}
    return Case(why, tensors, {}, (*flags.split(),))


def table_int16() -> Iterator[Case]:
    """Every cell, every place of a cell, the steepest entries."""
    places = np.arange(513)
    yield _table("every cell's first place", "extreme", 128 * np.arange(-256, 256), (places - 256) ** 2 >> 2)
    yield _table("every cell's last place", "extreme", 128 * np.arange(-256, 256) + 127, (places - 256) * 77 + 13)
    for first, second in ((0, 1), (1, 0), (0, -1), (-1, 0), (0, 63), (0, 64), (63, 0), (0, 32767), (-1, -32768)):
        entries = np.where(places % 2, second, first)
        yield _table(f"every place between {first} and {second}", "tie", np.arange(-128, 256), entries)
    yield _table("the steepest line", "extreme wide", [-128, -127, -64, -1, 0], [-16384, 16383] * 256 + [-16384])
    yield _table("the steepest line down", "extreme wide", [-128, -127, -64, -1], [16384, -16384, 0] * 171)
    yield _table("the largest entries", "extreme", [-32768, 32767, 0], [32767] * 513)
    yield _table("the least entries", "extreme", [-32768, 32767, 0], [-32768] * 513)
    yield _table("a scalar", "axes", -12345, places * 50 - 9999)
    stream = SplitMix64(43)
    for shape in ((2, 3, 5), (64,)):
        x, entries = stream.integers(-32768, 32767, shape, "int16"), stream.integers(-16384, 16383, 513, "int16")
        yield _table(f"random, {len(shape)} axes", "random axes", x, entries)


def _rsqrt(why: str, flags: str, x: Any, **attrs: int) -> Case:
    """shift 43 makes y = 128 / sqrt(c)."""
    given = {"input_zero_point": -128, "output_zero_point": 0, "multiplier": HALF, "shift": 43}
    return Case(why, {"x": np.array(x, np.int8)}, {**given, **attrs}, (*flags.split(),))


def rsqrt_gemmlowp() -> Iterator[Case]:
    """Every int8 at several scales, zero points, the ends of the constants, roots that are one less."""
    yield _rsqrt("0 and 1", "degenerate", [0, 1, 2], input_zero_point=0)
    yield _rsqrt("every int8", "square", EVERY)
    yield _rsqrt("every int8, fine", "square tie", EVERY, shift=47)
    yield _rsqrt("every int8, coarse", "square clip", EVERY, shift=41, output_zero_point=-128)
    yield _rsqrt("powers of four are ties", "tie", [1, 4, 16, 64], input_zero_point=0, shift=51, multiplier=3 << 29)
    yield _rsqrt("the least shift", "extreme wide", EVERY[::7], shift=21, multiplier=M31)
    yield _rsqrt("the largest shift", "extreme", EVERY[::7], shift=62, multiplier=M31, output_zero_point=-7)
    for zero in (-128, 127):
        yield _rsqrt(f"output zero point {zero}", "clip", EVERY, output_zero_point=zero, multiplier=1518500250)
    yield _rsqrt("multiplier 0", "degenerate", EVERY[::7], multiplier=0)
    yield _rsqrt("one element, zero point 127", "extreme", [127], input_zero_point=127, output_zero_point=5)
    yield _rsqrt("two axes", "axes", EVERY[::8].reshape(4, 8))
    for c, multiplier, shift in BESIDE_ROOT:
        given = {"multiplier": multiplier, "shift": shift}
        yield _rsqrt(f"a root one off shows: {c}, {multiplier}, {shift}", "tie wide", [c - 128], **given)
    for k in (1, 3, 5):
        yield _rsqrt(f"ties of the first rounding: {k}/2", "tie", [-127, -124, -112], multiplier=k << 10, shift=31)
    for shift in range(22, 31):
        yield _rsqrt(
            f"a left shift by {31 - shift}", "extreme", [-127, -126, -124], multiplier=3 << shift - 21, shift=shift
        )
    yield _rsqrt("random", "random axes", SplitMix64(47).integers(-128, 127, (2, 37), "int8"))


def _add(why: str, flags: str, a: Any, b: Any, dtype: str = "int8", **attrs: Any) -> Case:
    """Without attributes: y = a + b, each at half of the terms' scale."""
    left = 20 if dtype == "int8" else 15
    given = {"a_zero_point": 0, "b_zero_point": 0, "left_shift": left, "a_multiplier": HALF, "a_shift": 31}
    given |= {"b_multiplier": HALF, "b_shift": 31, "multiplier": HALF, "shift": 29 + left, "output_zero_point": 0}
    tensors = {"a": np.array(a, dtype), "b": np.array(b, dtype)}
    return Case(why, tensors, {**given, "rounding": "gemmlowp_double", "output": dtype, **attrs}, (*flags.split(),))


def add_gemmlowp() -> Iterator[Case]:
    """Ties of each of the three roundings, zero points, clips, both dtypes, the ends of the constants."""
    yield _add("the sum", "axes", [3, -4, 100], [5, -6, -90])
    yield _add("one element", "axes", [7], [-9])
    zeros = np.zeros(256, np.int8)
    for rounding in ROUNDINGS:
        halves: dict[str, Any] = {"rounding": rounding, "shift": 50}
        yield _add(f"ties of the sum: {rounding}", "tie", EVERY, EVERY // 3, **halves)
        for shift in (52, 54):
            yield _add(f"ties of the sum: {rounding}, shift {shift}", "tie", EVERY, zeros, **{**halves, "shift": shift})
        yield _add(f"ties of the first term: {rounding}", "tie", EVERY, zeros, left_shift=0, a_shift=33, shift=31,
                   multiplier=M31, rounding=rounding)  # fmt: skip
        yield _add(f"ties of the second term: {rounding}", "tie", zeros, EVERY, left_shift=0, b_shift=33, shift=31,
                   multiplier=M31, rounding=rounding)  # fmt: skip
        yield _add(f"clips on both sides: {rounding}", "clip", EVERY, EVERY, low=-100, high=90, rounding=rounding)
        yield _add(f"the largest shifts: {rounding}", "extreme", EVERY[::5], EVERY[::-5], a_shift=62, b_shift=62,
                   rounding=rounding)  # fmt: skip
        ends: dict[str, Any] = {"a_multiplier": M31, "b_multiplier": M31, "multiplier": M31, "rounding": rounding}
        yield _add(f"the largest multipliers, int16: {rounding}", "extreme wide", [32767, -32768, 32767, -32768],
                   [32767, -32768, -32768, -32767], "int16", **ends)  # fmt: skip
    zero: Any = {"a_zero_point": -128, "b_zero_point": 127, "output_zero_point": -5}
    yield _add("zero points", "extreme", EVERY, EVERY[::-1], **zero)
    zero = {"a_zero_point": 127, "b_zero_point": -128, "output_zero_point": 127}
    yield _add("other zero points", "extreme clip", EVERY, EVERY, **zero)
    yield _add("zero points at the ends: the largest terms", "extreme wide", [127, -128], [127, -128],
               a_zero_point=-128, b_zero_point=-128, shift=50, a_multiplier=M31, b_multiplier=M31)  # fmt: skip
    yield _add("the zero point below the least int32", "extreme wide", [-32768], [-32768], "int16", shift=31,
               a_multiplier=M31, b_multiplier=M31, multiplier=M31, output_zero_point=-128)  # fmt: skip
    yield _add("int16 clips", "clip dtype", [32767, -32768, 20000], [1, -1, 20000], "int16")
    yield _add("int8 to int16", "dtype", EVERY[::9], EVERY[::-9], output="int16")
    yield _add("int16 to int8", "dtype clip", [300, -300, 5], [1, 2, 3], "int16", output="int8")
    yield _add("multipliers 0", "degenerate", EVERY[::9], EVERY[::9], a_multiplier=0, output_zero_point=3)
    stream = SplitMix64(44)
    for dtype, reach in (("int8", 127), ("int16", 32767)):
        a, b = (stream.integers(-reach - 1, reach, (3, 4, 5), dtype) for _ in range(2))
        odd: dict[str, Any] = {
            "a_multiplier": 1362877568,
            "b_multiplier": 1518500250,
            "b_shift": 32,
            "multiplier": 1200000001,
        }
        yield _add(f"random, {dtype}", "random axes", a, b, dtype, **odd)
    # As XNNPACK adds: factors of 21 bits, 2**20 and 3 * 2**19, whose products are exact; the sum is rounded once.
    once: dict[str, Any] = {"left_shift": 21, "a_multiplier": 1 << 30, "b_multiplier": 3 << 29, "multiplier": 1 << 11}
    yield _add("one rounding", "tie", EVERY, EVERY[::-1] // 2, **once, shift=32, rounding="half_up")
    ends = {"left_shift": 21, "a_multiplier": M31, "b_multiplier": M31, "multiplier": 1 << 10, "shift": 31}
    yield _add("the largest left shift and terms", "extreme wide clip", [127, -128], [127, -128], a_zero_point=-128,
               b_zero_point=-128, rounding="half_up", **ends)  # fmt: skip


def _mul(why: str, flags: str, a: Any, b: Any, dtype: str = "int8", **attrs: Any) -> Case:
    """Without attributes: y = a * b / 2**7."""
    given = {"a_zero_point": 0, "b_zero_point": 0, "multiplier": HALF, "shift": 37, "output_zero_point": 0}
    tensors = {"a": np.array(a, dtype), "b": np.array(b, dtype)}
    return Case(why, tensors, {**given, "rounding": "gemmlowp_double", "output": dtype, **attrs}, (*flags.split(),))


def mul_gemmlowp() -> Iterator[Case]:
    """Ties, left shifts, zero points, clips, both dtypes, the ends of the constants."""
    yield _mul("the product", "axes", [30, -40, 100], [50, 60, -90])
    yield _mul("one element", "axes", [70], [-99])
    for rounding in ROUNDINGS:
        for shift in (30, 31, 32, 34):
            yield _mul(f"ties: {rounding}, shift {shift}", "tie", EVERY[96:160], np.ones(64, np.int8), shift=shift,
                       rounding=rounding)  # fmt: skip
        yield _mul(f"the least shift: {rounding}", "extreme clip", [1, -1, 127, -128], [1, 1, 127, 127], shift=16,
                   a_zero_point=-128, b_zero_point=-128, multiplier=1, rounding=rounding)  # fmt: skip
        yield _mul(f"the least shift and largest multiplier: {rounding}", "extreme clip wide", [127, -128],
                   [127, 127], shift=16, a_zero_point=-128, b_zero_point=-128, multiplier=M31,
                   rounding=rounding)  # fmt: skip
        yield _mul(f"clips on both sides: {rounding}", "clip", EVERY, EVERY[::-1], low=-50, high=40, rounding=rounding)
        yield _mul(f"the largest shift: {rounding}", "extreme", EVERY[::5], EVERY[::-5], shift=62, rounding=rounding)
        yield _mul(f"the largest products, int16: {rounding}", "extreme wide", [32767, -32768, 32767],
                   [32767, -32768, -32768], "int16", multiplier=M31, shift=46, rounding=rounding)  # fmt: skip
    zero: Any = {"a_zero_point": -128, "b_zero_point": 127, "output_zero_point": -5}
    yield _mul("zero points", "extreme", EVERY, EVERY[::-1], **zero)
    zero = {"a_zero_point": 127, "b_zero_point": -128, "output_zero_point": 127}
    yield _mul("other zero points", "extreme clip", EVERY, EVERY, **zero)
    yield _mul("int8 to int16", "dtype", EVERY[::9], EVERY[::-9], output="int16", shift=31)
    yield _mul("int16 to int8", "dtype clip", [300, -300, 5], [100, 200, 300], "int16", output="int8")
    yield _mul("int16 without a shift beyond 31", "extreme clip", [32767, 2, -3], [32767, 3, 5], "int16", shift=31)
    yield _mul("multiplier 0", "degenerate", EVERY[::9], EVERY[::9], multiplier=0, output_zero_point=3)
    stream = SplitMix64(45)
    for dtype, reach, shift in (("int8", 127, 38), ("int16", 32767, 45)):
        a, b = (stream.integers(-reach - 1, reach, (3, 4, 5), dtype) for _ in range(2))
        yield _mul(f"random, {dtype}", "random axes", a, b, dtype, multiplier=1362877568, shift=shift)


_ZERO: list[Broken] = [{"input_zero_point": -129}, {"input_zero_point": 128}]
_ANGLE: dict[str, list[Broken]] = {
    "C1": [{"x": np.zeros(3, np.int16)}],
    "C2": [{"x": np.zeros((0, 3), np.int8)}],
    "C4": [*_ZERO, {"multiplier": 0}, {"multiplier": 1 << 31}, {"shift": -1}, {"shift": 32}],
}
_WIDE: Broken = {"a": np.full(3, 32767, np.int16), "b": np.full(3, -32768, np.int16)}
_FAR: Broken = {"a": np.full(3, -32768, np.int16), "b": np.full(3, -32768, np.int16), "shift": 30}
_PAIR: dict[str, list[Broken]] = {
    "C1": [{"a": np.zeros(3, np.int32)}],
    "C2": [{"a": np.zeros(4, np.int8)}, {"b": np.zeros((1, 3), np.int8)}],
    "C6": [{"low": 5, "high": 4}, {"low": -129}, {"high": 128}],
}
_CONSTANTS: list[Broken] = [
    {"a_zero_point": -129},
    {"b_zero_point": 128},
    {"multiplier": -1},
    {"shift": 63},
    {"rounding": "floor"},
]
REFUSED: dict[str, dict[str, list[Broken]]] = {
    "logistic_gemmlowp": _ANGLE,
    "tanh_gemmlowp": _ANGLE,
    "table_int16": {
        "C1": [{"x": np.zeros(3, np.int8)}, {"entries": np.zeros(513, np.int32)}],
        "C2": [{"entries": np.zeros(514, np.int16)}, {"x": np.zeros(0, np.int16)}],
        "C4": [{"axis": 0}],
        "C5": [{"entries": np.zeros(512, np.int16)}],
        "C6": [{"entries": np.array([-16385, 16383] + [0] * 511, np.int16)}],
    },
    "rsqrt_gemmlowp": {
        "C1": [{"x": np.zeros(3, np.int16)}],
        "C2": [{"x": np.zeros(0, np.int8)}],
        "C4": [*_ZERO, {"output_zero_point": 128}, {"multiplier": -1}, {"shift": 20}],
        "C5": [{"x": np.array([-1], np.int8)}],
    },
    "add_gemmlowp": {
        **_PAIR,
        "C4": [*_CONSTANTS, {"left_shift": 22}, {"a_shift": 30}, {"b_shift": 30}, {"shift": 30}],
        "C5": [{**_WIDE, "left_shift": 16}, {**_WIDE, "left_shift": 15, "a_zero_point": -1}],
    },
    "mul_gemmlowp": {
        **_PAIR,
        "C4": [*_CONSTANTS, {"shift": 15}],
        "C5": [{**_WIDE, "shift": 29}, {**_FAR, "a_zero_point": 127, "b_zero_point": 127}],
    },
}
CASES: dict[str, Generator] = {
    "logistic_gemmlowp": logistic_gemmlowp,
    "tanh_gemmlowp": tanh_gemmlowp,
    "table_int16": table_int16,
    "rsqrt_gemmlowp": rsqrt_gemmlowp,
    "add_gemmlowp": add_gemmlowp,
    "mul_gemmlowp": mul_gemmlowp,
}
