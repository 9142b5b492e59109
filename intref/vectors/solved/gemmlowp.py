"""Solved cases of ops/gemmlowp.py: every shift that a result depends on, sums of every length, products beside ties."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref.vectors.case import Case, Generator

M31 = (1 << 31) - 1
HALF = 1 << 30
MANY = 2037117807  # of many bits
ROUNDINGS = ("half_up", "half_away", "gemmlowp_double")
FLAT = 513


def _add(why: str, flags: str, a: Any, b: Any, dtype: str, **attrs: Any) -> Case:
    given = {"a_zero_point": 0, "b_zero_point": 0, "output_zero_point": 0, "left_shift": 20, "output": "int16", **attrs}
    return Case(why, {"a": np.array(a, dtype), "b": np.array(b, dtype)}, given, (*flags.split(),))


def add_gemmlowp() -> Iterator[Case]:
    """Terms of 30 bits by each longer shift, their sum by each; multipliers of 0; no axes."""
    a, b = [1023, -1023, 1021], [1022, -1022, 1023]
    for rounding in ROUNDINGS:
        for by in range(35, 62):
            attrs: dict[str, Any] = {
                "a_multiplier": MANY,
                "b_multiplier": MANY,
                "a_shift": by,
                "b_shift": by,
                "multiplier": M31,
            }
            attrs |= {"shift": max(31, 79 - by), "rounding": rounding}
            yield _add(f"both terms by shift {by}, {rounding}", "extreme", a, b, "int16", **attrs)
        for by in range(55, 63):
            attrs = {"a_multiplier": M31, "b_multiplier": M31, "a_shift": 31, "b_shift": 31, "multiplier": M31}
            attrs |= {"shift": by, "rounding": rounding}
            yield _add(f"the sum by shift {by}, {rounding}", "extreme", a, b, "int16", **attrs)
    attrs = {"a_multiplier": HALF, "a_shift": 62, "b_shift": 62, "shift": 50, "rounding": "half_up"}
    yield _add("multipliers of 0, no axes", "degenerate", 5, -7, "int8", b_multiplier=0, multiplier=0, **attrs)
    for by in (36, 33):
        attrs = {"a_multiplier": HALF + 1, "a_shift": 31, "b_multiplier": HALF - 1, "b_shift": 31, "shift": by}
        attrs |= {"multiplier": M31, "rounding": "gemmlowp_double", "left_shift": 0}
        x = [1, -1, 1, -1, 3]
        yield _add(f"products one off a tie, shift {by}", "tie", x, x[::-1], "int8", **attrs)


def _mul(why: str, flags: str, a: Any, b: Any, dtype: str, **attrs: Any) -> Case:
    given = {"a_zero_point": 0, "b_zero_point": 0, "output_zero_point": 0, "output": "int16", **attrs}
    return Case(why, {"a": np.array(a, dtype), "b": np.array(b, dtype)}, given, (*flags.split(),))


def mul_gemmlowp() -> Iterator[Case]:
    """Products of the size that each shift needs; one off a tie; no axes."""
    for rounding in ROUNDINGS:
        for by in (*range(17, 31), *range(50, 63)):
            attrs = {"shift": by, "rounding": rounding, "a_zero_point": 127, "b_zero_point": 127}
            if by < 31:
                attrs |= {"multiplier": (1 << by - 2) + 1, "a_zero_point": 0, "b_zero_point": 0}
                yield _mul(f"shift {by}, {rounding}", "tie", [1, -3, 5, 7], [3, 5, 5, -9], "int8", **attrs)
            else:
                large = [-32768, -32768, -32767], [-32768, 32767, -32768]
                yield _mul(f"shift {by}, {rounding}", "extreme", *large, "int16", multiplier=M31, **attrs)
    attrs = {"shift": 31, "rounding": "gemmlowp_double"}
    for off in (-1, 1):
        yield _mul(f"{off} beside a tie", "tie", [1, -1], [1, 1], "int8", multiplier=HALF + off, **attrs)
    yield _mul("no axes", "axes", -5, 7, "int8", multiplier=HALF, shift=33, rounding="half_up")


def rsqrt_gemmlowp() -> Iterator[Case]:
    """Products with the root of 5 that are one off a tie."""
    root = 468937  # 2**20 / sqrt(5)
    for off in (-1, 1):
        multiplier = (HALF + off) * pow(root, -1, 1 << 31) % (1 << 31)
        attrs = {"input_zero_point": 0, "output_zero_point": -100, "multiplier": multiplier, "shift": 44}
        yield Case(f"{off} beside a tie", {"x": np.array([5], np.int8)}, attrs, ("tie",))


def _angle(x: Any, **attrs: int) -> Case:
    given = {"input_zero_point": 0, "shift": 0, **attrs}
    return Case(f"products beside a tie, {attrs}", {"x": np.array(x, np.int8)}, given, ("tie",))


def logistic_gemmlowp() -> Iterator[Case]:
    """Products one off a tie."""
    yield from (_angle([1, -1], multiplier=HALF + off) for off in (-1, 1))


def tanh_gemmlowp() -> Iterator[Case]:
    """Products one off a tie; quotients that are exact, and at a tie, of either sign."""
    yield from (_angle([1, -1], multiplier=HALF + off) for off in (-1, 1))
    for angle in (5245549, 1572931):
        yield _angle([2, -2], multiplier=2 * angle, shift=29)


# (sum of exp, multiplier, distances of the keys): exp of the second key is an odd multiple of 2**15, or about one.
SUMS = (
    ("2**20 - 1", 345864761, (0, 17, 19, 96, 116)),
    ("2**20", 255639171, (0, 23, 42, 63, 97)),
    ("2**20, one more", 534376526, (0, 11, 22, 23, 100)),
    ("2**20, three quarters and more", 492941206, (0, 5, 27, 58, 117)),
)


def softmax_gemmlowp() -> Iterator[Case]:
    """Sums of 29, 30 and 31 bits; an odd one; products one off a tie."""
    for keys in (516, 1030, 2055):  # of int16: for int8 the published kernels stop at 512
        x = np.full((1, 1, 1, keys), 3, np.int8)
        x[..., :3] = (0, 1, 2)
        why = f"a sum of {(keys - 3).bit_length() + 19} bits"
        attrs = {"multiplier": HALF, "shift": 26, "output": "int16"}
        yield Case(why, {"x": x, "mask": np.ones((1, keys), np.int8)}, attrs, ("wide",))
    for off in (-1, 1):
        x, mask = np.array([[[[0, -1]]]], np.int8), np.ones((1, 2), np.int8)
        attrs = {"multiplier": HALF + off, "shift": 0, "output": "int16"}
        yield Case(f"a product {off} beside a tie", {"x": x, "mask": mask}, attrs, ("tie",))
    # (keys at the maximum, how far below it is another, 26 bits of fraction): sums of 2612 * 2**19 + 40587, 2**29 + 1.
    for keys, below in ((2612, 171704292), (1024, 883810077)):
        x = np.array([0] * keys + [-1], np.int8).reshape(1, 1, 1, -1)
        attrs = {"multiplier": 2 * below, "shift": 30, "output": "int16"}
        yield Case(f"{keys} keys and one", {"x": x, "mask": np.ones((1, keys + 1), np.int8)}, attrs, ("wide", "tie"))
    for total, multiplier, distances in SUMS:
        x = 127 - np.array(distances).reshape(1, 1, 1, -1)
        tensors = {"x": x.astype(np.int8), "mask": np.ones((1, len(distances)), np.int8)}
        attrs = {"multiplier": multiplier, "shift": 24, "output": "int16"}
        yield Case(f"a sum of {total}, a key at a tie", tensors, attrs, ("tie",))


def _soft16(why: str, flags: str, x: Any, tables: tuple[Any, Any], **attrs: Any) -> Case:
    x = np.array(x, np.int16).reshape(1, 1, 1, -1)
    tensors = {"x": x, "mask": np.ones((1, x.size), np.int8)}
    tensors |= dict(zip(("exp_table", "inverse_table"), (np.array(table, np.int16) for table in tables)))
    return Case(why, tensors, {"multiplier": HALF, "shift": 30, "rounding": "half_up", **attrs}, (*flags.split(),))


def softmax_int16() -> Iterator[Case]:
    """Every shift that a result depends on, sums of 23 bits and of 25 to 29, the ends of w and p."""
    rising: Any = ([*range(0, 513 * 60, 60)], [*range(32767, 32767 - 513 * 60, -60)])
    for rounding in ROUNDINGS:
        for by in (*range(16, 29), *range(37, 48)):
            multiplier = (1 << by - 2) + 1 if by < 31 else M31
            x = [3, 0, -2, -4] if by < 31 else [32767, -32768, -32766, -32755]
            attrs = {"multiplier": multiplier, "shift": by, "rounding": rounding}
            yield _soft16(f"shift {by}, {rounding}", "tie", x, rising, **attrs)
        for by in (49, 51, 53, 58, 59):
            attrs = {"multiplier": M31, "shift": by, "rounding": rounding}
            yield _soft16(f"shift {by} leaves nothing, {rounding}", "degenerate", [9, -9], rising, **attrs)
    largest: Any = ([32767] * FLAT, [32767] * FLAT)
    for keys in (150, 1023, 2047, 4095, 8191, 16383):
        sum_bits = (keys * 32767).bit_length()
        yield _soft16(f"a sum of {sum_bits} bits", "wide", [0] * keys, largest)
    below: Any = ([3] * 256 + [32767] * 257, [*range(FLAT)])
    yield _soft16("a sum of 2**17 - 1: w at the end of its table", "clip", [0] * 4 + [-32768], below, shift=29)
    yield _soft16("p one below its end", "clip", [1], ([16384] * FLAT, [32766] * FLAT))


SOLVED: dict[str, Generator] = {
    f.__name__: f
    for f in (
        add_gemmlowp,
        mul_gemmlowp,
        rsqrt_gemmlowp,
        logistic_gemmlowp,
        tanh_gemmlowp,
        softmax_gemmlowp,
        softmax_int16,
    )
}
