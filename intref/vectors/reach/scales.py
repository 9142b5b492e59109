"""Reaching cases of the rescales, of sums of two terms, and of the token-wise scales."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from intref.ops.op import INTS, dtype_range
from intref.ops.rescale import RULES
from intref.vectors.case import Case, Generator
from intref.vectors.operands import M31, fp32, rescale_case
from intref.vectors.reach.requantize import requantize
from intref.vectors.reach.sweeps import clips, fill, lengths, tails

EXACT = RULES[:-3]
TIES = [*range(-9, 10)]


def _rescaled(why: str, flags: str, goals: list[int], output: str, **clip: Any) -> Case:
    return rescale_case(why, flags, [2 * v for v in goals], 1, 1, "half_even", "int64", output, **clip)


def rescale() -> Iterator[Case]:
    yield from clips(_rescaled)
    x: Any = lengths(-(1 << 62), 1 << 62)
    given: Any
    make: Callable[..., Case] = rescale_case
    yield make("an x of every bit length", "wide", x, 1, 1, "half_up", "int64", "int64")
    factors = lengths(-(1 << 31), M31)
    x = [3] * len(factors)
    yield make("a multiplier of every bit length", "wide extreme", x, factors, 1, "half_away", output="int32")
    x = [(1 - 2 * (s % 2)) * 1234567891 for s in range(95)]
    factors = [3 if s < 32 else (1 << 30) + 1 for s in range(95)]
    for rule, shifts in (("half_even", range(95)), ("gemmlowp_double", range(95)), ("tosa_double", range(2, 63))):
        given = (x[: len(shifts)], factors[: len(shifts)], [*shifts], rule)
        yield make(f"{rule}: every shift", "extreme", *given, output="int32")
    for dtype in (*INTS, "uint8"):
        for output in INTS:
            x = TIES if dtype != "uint8" else range(19)
            given = (x, 1, 1, "half_even", dtype, output)
            yield make(f"ties, {dtype} to {output}", "tie dtype", *given, zero=(0, 1))
    for rule in EXACT:
        yield make(f"{rule}: every quarter", "tie", TIES, 1, 2, rule)
    yield make(
        "gemmlowp_double: below int32 after the zero point",
        "wide",
        [-(1 << 31)],
        1,
        31,
        "gemmlowp_double",
        output="int32",
        zero=(9, 0),
    )
    yield make("tosa_double: every quarter", "tie", TIES, 1, 2, "tosa_double")
    for what, tail in (("above", 1), ("on", 0), ("below", -1)):
        pattern = fp32((3 << 22) + tail, -23)  # 1.5 and its neighbours
        x = [1, -1]
        yield make(f"fp32_half_even: a product just {what} a tie", "tie", x, pattern, 0, "fp32_half_even")
    x = [s * ((1 << 26) + d) for d in range(-9, 10) for s in (1, -1)]
    given = (x, fp32(1 << 23, -23), 0, "fp32_half_even")
    yield make("fp32_half_even: every eighth of the last kept bit", "wide tie", *given, output="int32")
    for axis in range(-8, 8):
        shape = [2 if i == axis % 8 else 1 for i in range(8)]
        x = np.array([700, -900]).reshape(shape)
        yield make(f"eight axes, axis {axis}", "axes", x, [3, -5], [2, 4], axis=axis)
    for ends in ((M31, -(1 << 31)), (-(1 << 31), M31)):
        given = ([1, -1, 9], 1, 1, "half_up", "int16", "int64")
        yield make(f"zero points {ends[0]} and {ends[1]}", "extreme", *given, zero=ends)
    yield from tails("rescale", "C")
    yield from requantize()


def _sum(why: str, flags: str, a: Any, b: Any, output: Any = "int64", rule: Any = "half_even", **given: Any) -> Case:
    """given: a_multiplier and the like, default 1 and 0; dtypes; clip."""
    tensors = {
        "a": np.array(a, given.pop("a_dtype", "int32")),
        "b": np.array(b, given.pop("b_dtype", "int32")),
    }
    for name in ("a_multiplier", "a_shift", "b_multiplier", "b_shift"):
        value = given.pop(name, 1 if "multiplier" in name else 0)
        tensors[name] = np.array(value, "int8" if "shift" in name else "int32").reshape(-1)
    return Case(why, tensors, {"rounding": rule, "output": output, **given}, (*flags.split(),))


def _summed(why: str, flags: str, goals: list[int], output: str, **clip: Any) -> Case:
    return _sum(why, flags, [v - 3 for v in goals], [3] * len(goals), output, **clip)


def add() -> Iterator[Case]:
    yield from clips(_summed)
    ends = lengths(-M31, M31)
    none = [0] * len(ends)
    yield _sum("terms of every bit length", "wide", ends, ends[::-1])
    factors = lengths(-(1 << 31), M31)
    x = [3] * len(factors)
    for name in ("a_multiplier", "b_multiplier"):
        yield _sum(f"{name} of every bit length", "wide extreme", x, x, **{name: factors})
    x = [(1 - 2 * (s % 2)) * 1234567891 for s in range(95)]
    factors = [3 if s < 32 else (1 << 30) + 1 for s in range(95)]
    for term in "ab":
        scaled: dict[str, Any] = {f"{term}_multiplier": factors, f"{term}_shift": [*range(95)]}
        yield _sum(f"every shift of {term}", "extreme", x, x[::-1], **scaled)
    for rule in EXACT:
        for term in "ab":
            quarters: dict[str, Any] = {"a": [0] * 19, "b": [0] * 19, term: TIES}
            yield _sum(f"{rule}: every quarter of {term}", "tie", **quarters, rule=rule, **{f"{term}_shift": 2})
    for a_dtype, b_dtype in (("int8", "int8"), ("int16", "int16"), ("int8", "int32")):
        low, high = dtype_range(a_dtype)
        for output in INTS:
            given: dict[str, Any] = {"a_dtype": a_dtype, "b_dtype": b_dtype, "a_shift": 1}
            why = f"{a_dtype} and {b_dtype} to {output}, ends and halves"
            yield _sum(why, "dtype tie", [low, high, 1, -1], [1, -1, high, low], output, **given)
    yield _sum("int32 and int8 to int16", "dtype", ends, [v % 100 for v in range(len(none))], "int16", b_dtype="int8")
    yield _sum("int32 and int32 to int32", "dtype", ends, none, "int32")
    yield from tails("add", "D")


def _biased(why: str, flags: str, goals: list[int], output: str, **clip: int) -> Case:
    tensors = {"x": np.array([7] * len(goals), np.int32), "bias": np.array([v - 7 for v in goals], np.int32)}
    return Case(why, tensors, {"output": output, **clip}, (*flags.split(),))


def add_bias() -> Iterator[Case]:
    yield from clips(_biased)
    ends = lengths(-(1 << 31), M31)
    tensors = {"x": np.array(ends, np.int32), "bias": np.array(ends[::-1], np.int32)}
    yield Case("x and bias of every bit length", tensors, {"output": "int64"}, ("wide",))
    for dtype in ("int8", "int16"):
        for output in INTS:
            tensors = {"x": np.array([-1, 0, 1, 5], dtype), "bias": np.array([-3, 9, 0, -5], np.int32)}
            yield Case(f"small values, {dtype} to {output}", tensors, {"output": output}, ("dtype",))
    yield from tails("add_bias", "D")


def clamp() -> Iterator[Case]:
    x = np.array(lengths(-(1 << 62), 1 << 62))
    for low, high in ((-(1 << 62), 1 << 62), (-1000, 999), (-(1 << 62), -(1 << 62)), (1 << 62, 1 << 62), (-9, -3)):
        why = f"an x of every bit length to [{low}, {high}]"
        yield Case(why, {"x": x}, {"low": low, "high": high}, ("clip", "wide"))


def _divided(why: str, flags: str, goals: list[int], output: str, **clip: int) -> Case:
    return _quotient(why, flags, [[goals]], output=output, **clip)


def _quotient(why: str, flags: str, x: Any, total: Any = 1, multiplier: Any = 2, shift: Any = 1, **attrs: Any) -> Case:
    """x [... H Q D]; total, multiplier and shift repeated to their shapes."""
    x = np.array(x, np.int32)
    tensors = {
        "x": x,
        "total": fill(total, (*x.shape[:-1], 1), "int32"),
        "multiplier": fill(multiplier, x.shape[-3:-2], "int32"),
        "shift": fill(shift, x.shape[-3:-2], "int8"),
    }
    return Case(why, tensors, {"output": "int64", **attrs}, (*flags.split(),))


def rescale_quotient() -> Iterator[Case]:
    yield from clips(_divided)
    x: Any = lengths(-(1 << 30), 1 << 30)
    yield _quotient("an x of every bit length", "wide", [[x]])
    totals = np.array(lengths(0, 1 << 24))[:, None]
    x = fill([12345, -54321, 1 << 30], (1, len(totals), 3), "int32")
    yield _quotient("a total of every bit length", "wide", x, totals, 1 << 23)
    factors = lengths(0, 1 << 24)
    yield _quotient(
        "a multiplier of every bit length", "wide", fill([7, -9], (len(factors), 1, 2), "int32"), 3, factors
    )
    heads = fill([1 << 30, -(1 << 30), 777], (38, 1, 3), "int32")
    yield _quotient("every shift", "extreme", heads, 3, 1 << 24, range(1, 39))
    for output in INTS:
        yield _quotient(f"every third, to {output}", "tie", [[TIES]], 3, 1, 1, output=output)
    yield _quotient("two leading axes", "axes", np.arange(-12, 12).reshape(2, 2, 3, 1, 2), 3, [1, 2, 3], [1, 2, 1])
    yield from tails("rescale_quotient", "H Q D")


def quantize_token() -> Iterator[Case]:
    for dtype, bits in (("int16", 15), ("int32", 23)):
        rows = [[s << k, 5, (1 << k) // 3, -((1 << k) // 2)] for k in range(bits + 1) for s in (1, -1)]
        rows = [[min(max(v, -(1 << bits)), (1 << bits) - (bits == 15)) for v in row] for row in rows]
        tensors = {"x": np.array(rows).astype(dtype)}
        yield Case(f"{dtype} peaks of every bit length", tensors, {}, ("extreme",))
    odd = [[(1 << k) + d, 77, -((1 << k) // 5)] for k in range(14, 23) for d in (1, 3, 2**3 + 1, 129, 513)]
    yield Case("peaks that lose bits, of every remainder", {"x": np.array(odd, np.int32)}, {}, ("extreme",))
    yield from tails("quantize_token", "D")


def _token(residual: bool, /, why: str, flags: str, x: Any, output: str = "int64", **given: Any) -> Case:
    """A call with every constant repeated to its shape; the weights of a residual are as given, it is 0."""
    x = np.array(x, np.int32)
    rows, width = (*x.shape[:-1], 1), x.shape[-1:]
    shapes = {
        "mantissa": (1, rows, "int16"),
        "exponent": (0, rows, "int8"),
        "multiplier": (1, width, "int32"),
        "shift": (0, width, "int8"),
        "bias": (0, width, "int64"),
    }
    if residual:
        shapes |= {
            "residual": (0, x.shape, "int32"),
            "residual_multiplier": (1, (1,), "int32"),
            "residual_shift": (0, (1,), "int8"),
        }
    tensors = {"x": x}
    tensors |= {name: fill(given.pop(name, value), shape, dtype) for name, (value, shape, dtype) in shapes.items()}
    return Case(why, tensors, {"output": output, **given}, (*flags.split(),))


def rescale_token(residual: bool = False) -> Iterator[Case]:
    case: Callable[..., Case] = partial(_token, residual)

    def goal(why: str, flags: str, goals: list[int], output: str, **clip: int) -> Case:
        return case(why, flags, [[0] * len(goals)], output, bias=[256 * v for v in goals], **clip)

    yield from clips(goal)
    yield case("an x of every bit length", "wide", [lengths(-(1 << 31), M31)], mantissa=77, multiplier=55, shift=2)
    bias = lengths(-(1 << 40), 1 << 40)
    yield case("a bias of every bit length", "wide", [[1] * len(bias)], bias=bias)
    factors = lengths(0, (1 << 16) - 1)
    yield case("a multiplier of every bit length", "wide", [[-7] * len(factors)], multiplier=factors)
    mantissas = [[v] for v in lengths(1, (1 << 15) - 1)]
    yield case("a mantissa of every bit length", "wide", [[-7, 7777]] * len(mantissas), mantissa=mantissas)
    x = [[(1 - 2 * (s % 2)) * 2123456789 for s in range(63)]]
    for exponent in (0, 9):
        shifts = range(exponent, exponent + 63)
        scaled = {"mantissa": 32767, "exponent": exponent, "multiplier": 65535, "shift": shifts}
        yield case(f"every shift, exponent {exponent}", "extreme", x, **scaled)
    exponents = [[e] for e in range(10)]
    yield case(
        "every exponent", "extreme", [[1000003, -1000003]] * 10, exponent=exponents, multiplier=777, shift=[9, 33]
    )
    yield case("every quarter of a guard bit", "tie", [TIES], shift=2, bias=[128 * (v % 3) for v in range(19)])
    yield case(
        "products of every length", "wide", [[s << k for k in range(31) for s in (1, -1)]], mantissa=3, multiplier=5
    )
    for output in INTS:
        yield case(f"ties to {output}", "tie dtype", [[128 * v + d for v in TIES for d in (-1, 0, 1)]], output)
    yield from tails("rescale_token_residual" if residual else "rescale_token", "N")


def rescale_token_residual() -> Iterator[Case]:
    yield from rescale_token(True)
    case: Callable[..., Case] = partial(_token, True)
    residual = lengths(-(1 << 23), 1 << 23)
    none = [[0] * len(residual)]
    yield case("a residual of every bit length", "wide", none, residual=[residual], residual_multiplier=3)
    for factor in lengths(0, M31):
        given = {"residual": [[5, -5]], "residual_multiplier": factor, "residual_shift": factor.bit_length()}
        yield case(f"residual multiplier {factor}", "wide extreme", [[1, 1]], **given)
    for shift in range(63):
        given = {"residual": [[8388607, -8388607]], "residual_multiplier": M31, "residual_shift": shift}
        yield case(f"residual shift {shift}", "extreme", [[1, -1]], **given)
    yield case("every quarter of the residual", "tie", [[0] * 19], residual=[TIES], residual_shift=2)


REACH: dict[str, Generator] = {
    "rescale": rescale,
    "add": add,
    "add_bias": add_bias,
    "clamp": clamp,
    "rescale_quotient": rescale_quotient,
    "quantize_token": quantize_token,
    "rescale_token": rescale_token,
    "rescale_token_residual": rescale_token_residual,
}
