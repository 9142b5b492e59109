"""Directed cases of ops/deeploy.py."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref.vectors import deeploy_rows, deeploy_softmax
from intref.vectors.case import Broken, Case, Generator, SplitMix64
from intref.vectors.operands import M31, clips, ties

MIN31 = -(1 << 31)


def _requant(
    why: str, flags: str, x: Any, mul: Any, add: Any = 0, shift: int = 0, rounding: str = "half_up",
    dtype: str = "int32", output: str = "int8", **attrs: Any,
) -> Case:  # fmt: skip
    tensors = {
        "x": np.array(x, dtype),
        "mul": np.array(mul, np.int32).reshape(-1),
        "add": np.array(add, np.int32).reshape(-1),
    }
    return Case(why, tensors, {"shift": shift, "rounding": rounding, "output": output, **attrs}, (*flags.split(),))


def requant_shift() -> Iterator[Case]:
    """Both rules at their ties, at the clips of every output and at each wrap; then axes, dtypes, random channels."""
    for rule in ("half_up", "floor"):
        yield from _rule(rule)
    yield from _sites()
    for axis in range(-3, 3):
        mul, add = [100, -70, 31], [5, -900, 77]
        cube = SplitMix64(41).integers(-300, 300, (3, 3, 3), "int32")
        yield _requant(f"along axis {axis}", "axes", cube, mul, add, 8, axis=axis, output="int16")
    x = SplitMix64(42).integers(-300, 300, (2, 3, 4), "int32")
    yield _requant("one multiplier, a sum per channel", "axes", x, 9, [1, -200, 3000], 4, axis=1, output="int16")
    yield _requant("a multiplier per channel, one sum", "axes", x, [9, -4, 30], 77, 4, axis=1, output="int16")
    yield _requant("along the first of four axes", "axes", x[None].repeat(2, 0), [9, -4], [3, 4], 4, axis=-4)
    for dtype in ("int8", "uint8", "int16"):
        info = np.iinfo(dtype)
        yield _requant(
            f"ends of {dtype}", "extreme dtype", [info.min, 0, info.max], 77, 3, 9, dtype=dtype, output="int16"
        )
    stream = SplitMix64(43)
    x, scale = stream.integers(-(1 << 20), 1 << 20, (4, 16), "int32"), stream.integers(1, 2000, 16, "int32")
    yield _requant("random channels", "random axes", x, scale, stream.integers(-99999, 99999, 16, "int32"), 22)


def _rule(rule: str) -> Iterator[Case]:
    for shift, mul in ((1, 1), (4, 3), (16, 1 << 8), (31, 1 << 24)):
        x = ties(mul, shift)
        yield _requant(f"{rule}: ties, shift {shift}", "tie", x, mul, 0, shift, rule)
    yield _requant(f"{rule}: ties made by the sum", "tie", [*range(-9, 10)], 1, [2], 2, rule)
    for output, low, high in (("int8", -128, 127), ("uint8", 0, 255), ("int16", -(1 << 15), (1 << 15) - 1)):
        x = clips(0x5A5B, 18, (0, 0), low, high)
        yield _requant(f"{rule}: either side of {output}'s clips", "clip", x, 0x5A5B, 0, 18, rule, output=output)
    inner: dict[str, Any] = {"low": -3, "high": 9}
    yield _requant(f"{rule}: clips of its own", "clip", [*range(-12, 30)], 1, 0, 1, rule, **inner)
    ends = [M31, MIN31, M31 - 1, MIN31 + 1, 1, -1, 0]
    wide: dict[str, Any] = {"rounding": rule, "output": "int32"}
    for shift in (0, 1, 30, 31):
        yield _requant(f"{rule}: a product of 1, shift {shift}", "extreme wide", ends, 1, 0, shift, **wide)
        yield _requant(
            f"{rule}: the largest products wrap, shift {shift}", "extreme wide", ends, M31, M31, shift, **wide
        )
        yield _requant(
            f"{rule}: the least products wrap, shift {shift}", "extreme wide", ends, MIN31, MIN31, shift, **wide
        )
    yield _requant(f"{rule}: multiplier 0", "degenerate", ends, 0, [-77], 3, **wide)


def _sites() -> Iterator[Case]:
    """Offsets, and what wraps at each step."""
    wide: dict[str, Any] = {"output": "int32"}
    x = [M31, M31 - 3, 4, -4, MIN31 + 3, MIN31]
    yield _requant("the input offset wraps", "wide extreme", x, 1, 0, 2, input_offset=7, **wide)
    yield _requant("the input offset wraps downward", "wide extreme", x, 3, 0, 2, input_offset=-7, **wide)
    yield _requant("the largest input offset", "wide extreme", x, M31, 0, 2, input_offset=1 << 15, **wide)
    yield _requant("the least input offset", "wide extreme", x, MIN31, 0, 2, input_offset=-(1 << 15), **wide)
    yield _requant("operands of a single bit", "extreme wide", [1 << 30, -(1 << 30)], 1 << 30, 1 << 30, 3, **wide)
    for low, high in ((MIN31, MIN31), (M31, M31)):
        yield _requant(f"all clipped to {low}", "clip extreme", x, 1, 0, 0, low=low, high=high, **wide)
    yield _requant(
        "the half wraps: a large result turns negative", "wide tie", [M31 - 9, M31 - 8, M31 - 7], 1, 0, 4, **wide
    )
    yield _requant("the half does not wrap where it is not added", "wide", [M31 - 7], 1, 0, 4, "floor", **wide)
    yield _requant("the sum wraps", "wide extreme", [1 << 20, -(1 << 20)], 2047, [M31 - (1 << 20)], 8, **wide)
    yield _requant("the output offset wraps", "wide extreme", [M31, MIN31], 1, 0, 0, output_offset=5, **wide)
    yield _requant("the output offset wraps downward", "wide extreme", [M31, MIN31], 1, 0, 0, output_offset=-5, **wide)
    offsets: dict[str, Any] = {"input_offset": 128, "output_offset": -128}
    yield _requant(
        "bytes moved as the generic kernels do", "extreme", [-128, 0, 127], 255, 0, 8, dtype="int8", **offsets
    )


CASES: dict[str, Generator] = {"requant_shift": requant_shift, **deeploy_softmax.CASES, **deeploy_rows.CASES}
REFUSED: dict[str, dict[str, list[Broken]]] = {
    "requant_shift": {
        "C1": [{"x": np.zeros(3, np.int64)}, {"mul": np.ones(1, np.int16)}],
        "C2": [{"mul": np.ones((1, 1), np.int32)}, {"add": np.zeros(0, np.int32)}],
        "C4": [
            {"shift": 32},
            {"shift": -1},
            {"rounding": "half_even"},
            {"axis": 4},
            {"axis": -5},
            {"input_offset": (1 << 15) + 1},
        ],
        "C5": [{"axis": 1}, {"mul": np.ones(2, np.int32)}, {"add": np.ones(5, np.int32)}],
        "C6": [{"low": -129}, {"low": 5, "high": 4}],
    },
    **deeploy_softmax.REFUSED,
    **deeploy_rows.REFUSED,
}
_MODULO = "the wrap to int32 leaves the low 32 bits, which both have"
EQUIVALENT: dict[str, dict[str, str]] = {**deeploy_softmax.EQUIVALENT, **deeploy_rows.EQUIVALENT}
HARMLESS: dict[str, dict[str, str]] = {
    "requant_shift": {
        **dict.fromkeys(("x read as uint32", "mul read as uint32", "add read as uint32"), _MODULO),
        "product: wrapped to 32 bits": _MODULO,
        "addition * of *: wrapped to 32 bits": _MODULO,
        "wrap 1 of 3: not done": "the sum with the half is wrapped as well",
    },
    **deeploy_softmax.HARMLESS,
    **deeploy_rows.HARMLESS,
}
UNREACHABLE: dict[str, dict[str, str]] = {
    "requant_shift": {r"x: axes \[\.\.\.\], none leading": "C5: axis must exist"},
    **deeploy_softmax.UNREACHABLE,
    **deeploy_rows.UNREACHABLE,
}
