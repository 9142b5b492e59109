"""Directed cases of ops/ivit.py."""

from collections.abc import Iterator
from math import isqrt
from typing import Any

import numpy as np

from intref.vectors.case import Broken, Case, Generator, SplitMix64
from intref.vectors.ivit_argued import EQUIVALENT, HARMLESS, UNREACHABLE

__all__ = ["CASES", "EQUIVALENT", "HARMLESS", "REFUSED", "UNREACHABLE"]

M31 = (1 << 31) - 1
EXACT: dict[str, Any] = {
    "one": 16,
    "halvings": 15,
    "bits": 8,
    "form": "torch",
}  # S = 2**-4, as the authors' PyTorch code has it
TVM: dict[str, Any] = {"one": 17, "halvings": 16, "bits": 8, "form": "tvm"}  # the same S in their TVM graph
STEPS = (*range(0, -34, -1), -176, -177, -178, -185, -999)  # every remainder, then the cut


def _softmax(why: str, flags: str, x: Any, mask: Any = None, dtype: str = "int32", **attrs: Any) -> Case:
    x = np.array(x, dtype)
    x = x.reshape((1,) * (4 - x.ndim) + x.shape)
    mask = np.ones((x.shape[0], x.shape[3]), np.int8) if mask is None else np.array(mask, np.int8)
    return Case(why, {"x": x, "mask": mask}, {**EXACT, **attrs}, (*flags.split(),))


def softmax_ivit() -> Iterator[Case]:
    """Every remainder and halving in both forms, sums that saturate, masks, the ends of the attributes."""
    yield _softmax("all equal", "degenerate", [[5, 5, 5, 5]])
    for form in (EXACT, TVM):
        name = form["form"]
        yield _softmax(f"{name}: one key: the largest p", "degenerate", [[-9]], **form)
        yield _softmax(f"{name}: every remainder, then the cut", "tie extreme", [[*STEPS]], **{**form, "bits": 16})
        yield _softmax(f"{name}: two keys, every distance", "tie", [[0, d] for d in STEPS], **{**form, "bits": 16})
        yield _softmax(
            f"{name}: an odd one", "tie", [[0, -1, -2, -3, -4, -5, -6, -7]], **{**form, "one": 3, "bits": 16}
        )
        yield _softmax(
            f"{name}: one = 1", "extreme", [[0, -1, -2, -9, -10, -11, -12]], **{**form, "one": 1, "bits": 16}
        )
        yield _softmax(f"{name}: int8, one dominant", "extreme dtype", [[127, -128, 126, 0]], dtype="int8", **form)
        yield _softmax(f"{name}: int16 extremes", "extreme dtype", [[32767, -32768, 32766]], dtype="int16", **form)
    yield _softmax("the shifts of d, not of one another", "tie", [[0, -16, -17, -31, -32, -33, -47]], bits=16, one=64)
    yield _softmax("int32 extremes", "extreme wide", [[M31, -(1 << 31), 0, M31 - 1]], bits=16)
    yield _softmax("all at the int32 minimum", "extreme degenerate", [[-(1 << 31)] * 3])
    for keys in (2, 3):  # 2**30 each
        yield _softmax(
            f"{keys} equal exponentials of 2**30: the sum saturates", "clip", [[7] * keys], one=1 << 15, bits=16
        )
    yield _softmax("a sum one either side of 2**31 - 1", "clip", [[0, 0, -1], [0, 0, -99]], one=1 << 15, bits=16)
    yield _softmax(
        "the largest one", "extreme wide", [[0, -1, -(1 << 24), -(1 << 25)]], one=1 << 24, halvings=6, bits=16
    )
    yield _softmax("the most halvings", "extreme wide", [[0, -1, -9, -20, -21, -22]], one=1, halvings=30, bits=16)
    yield _softmax("one halving", "extreme", [[0, -5, -11, -12, -99]], halvings=1, bits=16)
    yield _softmax("two bits", "extreme", [[0, -1, -9], [0, -99, -99]], bits=2)
    for keys in (140, 300, 600, 1100, 2100, 4200, 8300, 16400, 1 << 15):
        x = np.zeros((1, keys), np.int8)
        yield _softmax(f"{keys} equal keys: a sum of many bits", "extreme", x, None, "int8", one=1 << 15, bits=16)
    for total in (M31 - 1, M31, M31 + 1):
        yield _softmax(f"a sum of {total}", "clip", [_summing(total)], one=1, halvings=30, bits=16)
    yield _softmax("an x of 2**30", "extreme", [[1 << 30, (1 << 30) - 5]], one=4, bits=16)
    yield from _masks()
    stream = SplitMix64(61)
    for keys in (2, 31, 64):
        mask = stream.integers(0, 1, (2, 3, keys), "int8")
        x = stream.integers(-150, 0, (2, 2, 3, keys), "int32")
        yield _softmax(f"torch: random, {keys} keys", "random mask", x, mask, bits=16)
        yield _softmax(f"tvm: random, {keys} keys", "random mask", x, mask, **TVM)


def _summing(total: int) -> list[int]:
    """x whose exponentials, of one = 1 and 30 halvings, sum to `total`: powers of two, the largest first."""
    row: list[int] = []
    for d in range(0, -40, -1):
        power = 1 << 30 + max(d + (d >> 1) - (d >> 4), -30)
        count = total // power if power > 1 or d == -39 else 0
        row += [d] * count
        total -= count * power
    return row


def _masks() -> Iterator[Case]:
    yield _softmax("mask: the maximum is not attended", "mask", [[9, 90, 8, 7]], [[1, 0, 1, 1]])
    yield _softmax(
        "mask per query, one row without a key", "mask degenerate", [[1, 2, 3], [4, 5, 6]], [[[0, 0, 0], [1, 0, 1]]]
    )
    x = np.arange(8).reshape(2, 2, 1, 2)
    yield _softmax("mask per batch: B = H = 2", "mask axes", x, [[0, 1], [1, 0]])
    yield _softmax("mask per query: H = Q = 2", "mask axes", np.zeros((1, 2, 2, 2), np.int32), [[[1, 0], [1, 1]]])
    rows = [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    yield _softmax("mask per batch, unequal lengths", "mask axes", np.zeros((3, 1, 2, 3), np.int32), rows)
    yield _softmax("int32 minimum attended", "mask extreme", [[-(1 << 31), -(1 << 31), 5]], [[1, 0, 0]])


GELU: dict[str, Any] = {"one": 10, "halvings": 23, "bits": 8, "form": "torch"}  # S = 2**-4
ENDS = (-128, -127, -100, -50, -17, -16, -15, -8, -7, -2, -1, 0, 1, 2, 7, 8, 15, 16, 17, 50, 100, 126, 127)


def _gelu(why: str, flags: str, x: Any, dtype: str = "int8", **attrs: Any) -> Case:
    return Case(why, {"x": np.array(x, dtype)}, {**GELU, **attrs}, (*flags.split(),))


def gelu_ivit() -> Iterator[Case]:
    """A row of every maximum, whose exp(-m) underflows, or saturates; remainders of both signs."""
    yield _gelu("a zero row", "degenerate", [[0, 0, 0]])
    for form in ("torch", "tvm"):
        yield _gelu(f"{form}: every value beside the largest", "extreme", [[*range(-128, 128)]], form=form)
        yield _gelu(f"{form}: alone, every maximum", "degenerate", [[v] for v in range(-128, 128)], form=form)
        yield _gelu(f"{form}: 16 bits, alone", "tie", [[v] for v in range(-40, 60)], form=form, bits=16)
        yield _gelu(f"{form}: 16 bits, pairs", "tie", [[v, w] for v in ENDS for w in (-30, -1, 3)], form=form, bits=16)
        low = [[-1] * 2, [-2, -3], [-7, -20], [-9, -8], [-60, -61]]
        yield _gelu(f"{form}: all negative, one = 3", "tie", low, form=form, one=3, bits=16)
        yield _gelu(f"{form}: one = 1", "extreme", [[v, 0] for v in range(-9, 9)], form=form, one=1, bits=16)
        alone = [[v] for v in range(-12, 3)]
        yield _gelu(f"{form}: one = 1, alone", "extreme", alone, form=form, one=1, bits=16, halvings=29)
        yield _gelu(f"{form}: int16 extremes", "extreme dtype", [[32767, -32768], [-32768, -32767]], "int16", form=form)
        near = [[v] for v in range(-12500, -11200, 97)]
        yield _gelu(f"{form}: int16, exp(-m) around 2**31", "clip", near, "int16", form=form, one=255, halvings=23)
    yield _gelu(
        "the sum saturates: its quotient is 1", "clip", [[-1, -2], [-40, -41], [0, 0]], one=1 << 15, halvings=15
    )
    yield _gelu("the largest one", "extreme wide", [[3, -3, 127, -128]], one=1 << 24, halvings=6, bits=16)
    yield _gelu("the most halvings", "extreme wide", [[v, 0] for v in (0, 1, -1, 5, -20)], one=1, halvings=30, bits=16)
    yield _gelu("one halving, two bits", "extreme", [[9, 3, -3, -12, -99]], halvings=1, bits=2)
    yield _gelu("no leading axis; the maximum comes last", "axes", [-5, 3, 90])
    yield _gelu("a maximum for every row, two leading axes", "axes", [[[1, 20], [-30, 4]], [[90, -90], [0, -1]]])
    stream = SplitMix64(62)
    for width in (2, 33, 64):
        x = stream.integers(-128, 127, (2, 3, width), "int64")
        yield _gelu(f"torch: random, D = {width}", "random", x, bits=16)
        yield _gelu(f"tvm: random, D = {width}", "random", x - 60 >> 1, form="tvm", bits=16)


HALVES = [[0, 1], [1, 2], [2, 3], [0, -1], [-1, -2], [-2, -3], [0, 3], [0, -3]]  # means that are ties, both parities
THIRDS = [[0, 0, 1], [0, 1, 1], [0, 0, -1], [0, -1, -1], [1, 1, 2], [-1, -2, -2]]


# Sums of squares at which one step of Newton's method, rounded otherwise, changes the result: from the last one back.
STEPPED = (128, 129, 192, 384, 387, 780, 1584, 3264, 6336, 12561, 21780888, 21790223, 441630224, 1585154595)
# Those at which a quotient that saturates to 16 bits, or is multiplied by a reciprocal of 32, does.
_NARROW = (2385150243, 1443924000, 1122719048, 1074331728, 1107558399, 1073676288, 1584756480, 441546168, 438190488)
NARROW = (*_NARROW, 100942208, 55517400, 4295360520, 4294967295, 4294836224)


def _with_squares(v: int, width: int = 16) -> list[int]:
    """A row whose mean rounds to 0, and whose squares sum to v."""
    row, half = [1] * (v % 2), v // 2
    while half:
        root = min(isqrt(half), 1 << 25)
        row += [root, -root]
        half -= root**2
    return row + [0] * (width - len(row))


def _norm(why: str, flags: str, x: Any, bias: Any = 0, form: str = "torch") -> Case:
    x = np.array(x, np.int32)
    bias = np.array(np.broadcast_to(np.array(bias, np.int64), x.shape[-1:]))
    return Case(why, {"x": x, "bias": bias}, {"form": form}, (*flags.split(),))


def layernorm_ivit() -> Iterator[Case]:
    """Means on ties, roots that ten steps do and do not reach, sums around 2**32, products and biases that wrap."""
    yield _norm("ties of the mean", "tie", HALVES)
    yield _norm("a root of 10 ends at 64", "square", [[5, -5, 5, -5], [50, -50, 50, -50]])
    for form in ("torch", "tvm"):
        yield _norm(f"{form}: means of halves", "tie", HALVES, [1, -1], form)
        yield _norm(f"{form}: means of thirds", "tie", THIRDS, 0, form)
        yield _norm(f"{form}: no variance: the bias", "degenerate", [[7, 7, 7], [0, 0, 0]], [5, -6, 0], form)
        yield _norm(f"{form}: D = 1, no leading axis", "degenerate axes", [-5], 9, form)
        yield _norm(f"{form}: odd products of both signs", "tie", [[3, -3, 1, -1, 5, -5]], [0, 0, 1, 1, -1, -1], form)
        rows = [[1 << k, -(1 << k), (1 << k) - 1, 1 - (1 << k)] for k in range(1, 24)]
        yield _norm(f"{form}: sums of squares of every length", "square extreme", rows, 0, form)
        rows = [_with_squares(v) for v in STEPPED]
        yield _norm(f"{form}: every rounding of every step", "square tie", rows, 0, form)
        rows = [_with_squares(v) for v in NARROW]
        yield _norm(f"{form}: quotients of more than 16 bits", "wide", rows, 0, form)
        near = [[1 << 15, -(1 << 15), 1 << 15, -(1 << 15) + d] for d in (-5, -1, 0, 1, 5)]
        yield _norm(f"{form}: sums of squares around 2**32", "wide", near, 0, form)
        ends = [M31, -(1 << 31), 1 << 30, -(1 << 30)]
        yield _norm(f"{form}: biases at the ends of int32", "wide", [[9, -9, 9, -9], [-9, 9, -9, 9]], ends, form)
        yield _norm(f"{form}: biases beyond", "extreme wide", [[3, -3, 1, 0]], [1 << 60, -(1 << 60), 1 << 32, -1], form)
        yield _norm(f"{form}: one outlier", "extreme", [[1 << 24, *[0] * 31], [-(1 << 24), *[1] * 31]], range(32), form)
    x = np.tile(np.array([1 << 23, -(1 << 23)], np.int32), (1, 1 << 13))
    yield _norm("alternating extremes, D = 2**14", "extreme wide", x)
    x = np.tile(np.array([1 << 25, -(1 << 25)], np.int32), (1, 1 << 9))
    yield _norm("alternating extremes, D = 2**10", "extreme wide", x)
    rows = [_with_squares(v, 160) for v in (71773275227172469, 142617140447281152)]
    yield _norm("the step before the last is above 2**32; a root of 2**31 - 1", "extreme wide", rows)
    x = np.tile(np.array([[1], [-1]], np.int32), (16, 1 << 9)) * ((1 << 25) >> np.arange(32).reshape(-1, 1) // 4)
    yield _norm("sums of every length", "extreme wide", x)
    x = np.tile(np.array([1, -1], np.int32), (4, 1 << 9)) * np.array([[31], [22], [15], [11]], np.int32) << 20
    yield _norm("sums of squares of 57 to 60 bits", "extreme wide", x)
    x = np.tile(np.array([[1 << 23], [-(1 << 23)], [1 << 22], [-(1 << 22)], [3 << 20], [-3 << 20]]), (1, 1 << 14))
    yield _norm("sums of 36 to 38 bits", "extreme wide", x)
    yield _norm("all at one end", "extreme degenerate", [[1 << 25] * 5, [-(1 << 25)] * 5], 1)
    yield _norm("tvm: products that wrap", "wide", [[1 << 16, -(1 << 16), 7, -7]], 0, "tvm")
    yield _norm("a bias per element, two leading axes", "axes", [[[1, 2, 4], [8, -16, 32]]], [100, -200, 300])
    stream = SplitMix64(63)
    for width in (2, 3, 64):
        x = stream.integers(-(1 << 15), (1 << 15) - 1, (2, 2, width), "int32")
        bias = stream.integers(-(1 << 31), M31, width, "int64")
        for form in ("torch", "tvm"):
            yield _norm(f"{form}: random, D = {width}", "random", x, bias, form)
            yield _norm(f"{form}: random small values, D = {width}", "random tie", x >> 12, bias, form)


CASES: dict[str, Generator] = {
    "softmax_ivit": softmax_ivit,
    "gelu_ivit": gelu_ivit,
    "layernorm_ivit": layernorm_ivit,
}
_X, _LONG = np.zeros((1, 1, 1, 4), np.int32), np.zeros((1, 1, 1, (1 << 15) + 1), np.int32)
_ATTRS: list[Broken] = [
    {"one": 0},
    {"one": (1 << 24) + 1},
    {"halvings": 0},
    {"halvings": 31},
    {"bits": 1},
    {"bits": 17},
    {"form": "paper"},
]
_ROWS = np.zeros((8, 2), np.int32)
REFUSED: dict[str, dict[str, list[Broken]]] = {
    "softmax_ivit": {
        "C1": [{"mask": np.ones((1, 4), bool)}, {"x": _X.astype(np.int64)}],
        "C2": [
            {"x": _LONG, "mask": np.ones((1, (1 << 15) + 1), np.int8)},
            {"mask": np.ones((1, 5), np.int8)},
            {"mask": np.ones((1, 2, 4), np.int8)},
            {"x": _X[0]},
        ],
        "C3": [{"mask": np.full((1, 4), 2, np.int8)}, {"mask": np.full((1, 4), -1, np.int8)}],
        "C4": _ATTRS,
        "C5": [{"one": 1 << 16}, {"one": 2, "halvings": 30}],
        "C6": [{"form": "tvm", "one": 1 << 14}],
    },
    "gelu_ivit": {
        "C1": [{"x": np.zeros((1, 3), np.int32)}],
        "C2": [{"x": np.zeros((1, (1 << 16) + 1), np.int8)}, {"x": np.zeros((1, 0), np.int8)}],
        "C4": _ATTRS,
        "C5": [{"one": 256}, {"one": 2, "halvings": 30}],
    },
    "layernorm_ivit": {
        "C1": [{"x": _ROWS.astype(np.int16)}, {"bias": _ROWS[0]}],
        "C2": [
            {"x": np.zeros((1, (1 << 14) + 1), np.int32), "bias": np.zeros((1 << 14) + 1, np.int64)},
            {"bias": np.zeros(1, np.int64)},
        ],
        "C3": [{"x": _ROWS - (1 << 25) - 1}, {"bias": np.full(2, (1 << 60) + 1)}],
        "C4": [{"form": "paper"}, {"shift": 1}],
        "C5": [{"x": np.full((1, 1025), 1 << 25, np.int32), "bias": np.zeros(1025, np.int64)}],
        "C6": [{"x": np.full((1, 64), -(1 << 25), np.int32), "bias": np.zeros(64, np.int64), "form": "tvm"}],
    },
}
