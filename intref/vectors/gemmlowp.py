"""Directed cases of the softmaxes of ops/gemmlowp.py; those of the other ops are in gemmlowp_elements.py."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref.vectors import gemmlowp_elements as elements
from intref.vectors.case import Broken, Case, Generator, SplitMix64
from intref.vectors.gemmlowp_equivalent import EQUIVALENT
from intref.vectors.gemmlowp_harmless import HARMLESS
from intref.vectors.gemmlowp_rows import ROWS
from intref.vectors.gemmlowp_unreachable import UNREACHABLE

__all__ = ["CASES", "EQUIVALENT", "HARMLESS", "REFUSED", "UNREACHABLE"]

M31 = (1 << 31) - 1
UNIT = {"multiplier": 1 << 30, "shift": 22, "output": "int8"}  # S = 1/32: the row reaches 992 below its maximum
STEEP = {"multiplier": 1 << 30, "shift": 27, "output": "int8"}  # S = 1: 31 below the maximum is the last that counts
FINE = {"multiplier": 1518500250, "shift": 18, "output": "int8"}  # S is 2**-8 / sqrt(2)


def _row(x: Any, dtype: Any) -> np.ndarray:
    x = np.array(x, dtype)
    return x.reshape((1,) * (4 - x.ndim) + x.shape)


def _soft(why: str, flags: str, x: Any, mask: Any = None, **attrs: Any) -> Case:
    x = _row(x, np.int8)
    mask = np.ones((x.shape[0], x.shape[3]), np.int8) if mask is None else np.array(mask, np.int8)
    return Case(why, {"x": x, "mask": mask}, {**UNIT, **attrs}, (*flags.split(),))


def softmax_gemmlowp() -> Iterator[Case]:
    """Rows of every kind, every distance, the cut, every length of the sum, masks, both outputs."""
    yield _soft("all equal", "degenerate", [[5, 5, 5, 5]])
    yield _soft("one key: 255 of 256 and not 256", "degenerate clip", [[-9]])
    yield _soft("one key, int16", "degenerate clip", [[-9]], output="int16")
    yield _soft("one dominant", "extreme", [[0, 100, -100, 3]])
    every = np.arange(-128, 128)[None]
    for name, attrs in (("1/32", UNIT), ("1", STEEP), ("2**-8.5", FINE)):
        for output in ("int8", "int16"):
            yield _soft(f"every distance, S = {name}, {output}", "extreme", every, **{**attrs, "output": output})
    near = [[100, 70, 69, 68, 101]]
    yield _soft("either side of the cut", "extreme", near, **STEEP)
    yield _soft("either side of the cut, int16", "extreme", near, **{**STEEP, "output": "int16"})
    for shift in (29, 30, 31):
        yield _soft(f"the last distances that count, shift {shift}", "extreme", [[9, 8, 7, 6, 5, 2, 1]], shift=shift)
    yield _soft("shift 0: all count alike", "extreme degenerate", every, shift=0, output="int16")
    yield _soft("multiplier 1", "extreme", every, multiplier=1, shift=31)
    yield _soft("the largest multiplier", "extreme", every, multiplier=M31, shift=21, output="int16")
    for keys in (2, 3, 4, 5, 7, 8, 9, 16, 17, 31, 32, 33, 64, 127, 128, 129, 256, 257, 511):
        yield _soft(f"{keys} equal keys: a sum of another length", "extreme", np.zeros((1, keys), np.int8))
    yield _soft("longest row, int16: a sum of 31 bits", "extreme wide", np.zeros((1, 4095), np.int8), output="int16")
    yield _soft(
        "the minimum attended, a far key not", "mask extreme", [[-128, 127]], [[1, 0]], **{**STEEP, "output": "int16"}
    )
    few = [[127, 127 - 30, 127 - 31, 127 - 32]]
    yield _soft("multiplier 1: the cut is not far down", "extreme", few, multiplier=1, shift=26, output="int16")
    for multiplier, shift, rows in ROWS:
        constants = {"multiplier": multiplier, "shift": shift, "output": "int16"}
        yield _soft(f"a unit from ties of p: {multiplier}, {shift}", "tie wide", [rows], **constants)
    wide = SplitMix64(48).integers(-128, 127, (1, 2, 3, 101), "int8")
    yield _soft("random, 101 keys", "random axes", wide, output="int16")
    yield from _soft_masks()
    stream = SplitMix64(41)
    for keys, attrs in ((3, UNIT), (31, STEEP), (64, FINE)):
        for output in ("int8", "int16"):
            x, mask = stream.integers(-128, 127, (2, 2, 3, keys), "int8"), stream.integers(0, 1, (2, 3, keys), "int8")
            yield _soft(f"random, {keys} keys, {output}", "random mask axes", x, mask, **{**attrs, "output": output})
    each = "each term of the sum is rounded, and not the sum"
    yield _soft(each, "tie", [[104, 113, 116, 93, 97]], multiplier=1074006966, shift=19)
    yield _soft(f"{each}, int16", "tie", [[125, 102, 115]], multiplier=2021198396, shift=25, output="int16")


def _soft_masks() -> Iterator[Case]:
    yield _soft("mask: the maximum is not attended", "mask", [[9, 90, 8, 7]], [[1, 0, 1, 1]])
    nobody = [[[0, 0, 0], [1, 0, 1]]]
    yield _soft("mask per query, one row without a key", "mask degenerate", [[1, 2, 3], [4, 5, 6]], nobody)
    yield _soft("a row without a key, int16", "mask degenerate", [[1, 2, 3]], [[0, 0, 0]], output="int16")
    yield _soft("mask per batch: B = H = 2", "mask axes", np.arange(8).reshape(2, 2, 1, 2), [[0, 1], [1, 0]])
    lengths = [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    yield _soft("mask per batch, unequal lengths", "mask axes", np.zeros((3, 1, 2, 3), np.int8), lengths)
    yield _soft("mask across heads", "mask axes", [[[1, 2, 3]], [[9, 9, 1]]], [[1, 1, 0]])
    yield _soft("mask per query: H = Q = 2", "mask axes", np.zeros((1, 2, 2, 2), np.int8), [[[1, 0], [1, 1]]])
    yield _soft("the minimum attended", "mask extreme", [[-128, -128, 127]], [[1, 1, 0]])


def exp_table() -> np.ndarray:
    """exp(-10 + 10 * i / 512) * 2**15 by Horner's rule in 40 bits, for i = 0..512, the last one 32767."""
    made = [1 << 40]
    step = (1 << 40) - ((10 << 40) // 512) + ((100 << 40) // (2 * 512**2)) - ((1000 << 40) // (6 * 512**3))
    for _ in range(512):
        made.append(made[-1] * step >> 40)
    return np.array([min(v >> 25, 32767) for v in reversed(made)], np.int16)


def inverse_table() -> np.ndarray:
    """2**15 / (1 + i / 512) to nearest, the first one 32767."""
    return np.array([min((2 * (512 << 15) + 512 + i) // (2 * (512 + i)), 32767) for i in range(513)], np.int16)


def _soft16(why: str, flags: str, x: Any, mask: Any = None, tables: Any = None, **attrs: Any) -> Case:
    """multiplier 2**30 and shift 30 make s = d."""
    x = _row(x, np.int16)
    mask = np.ones((x.shape[0], x.shape[3]), np.int8) if mask is None else np.array(mask, np.int8)
    first, second = (exp_table(), inverse_table()) if tables is None else tables
    tensors = {
        "x": x,
        "mask": mask,
        "exp_table": np.array(first, np.int16),
        "inverse_table": np.array(second, np.int16),
    }
    return Case(
        why, tensors, {"multiplier": 1 << 30, "shift": 30, "rounding": "gemmlowp_double", **attrs}, (*flags.split(),)
    )


def softmax_int16() -> Iterator[Case]:
    """Rows of every kind, every cell of both tables, ties of the line, three roundings, masks."""
    yield _soft16("all equal", "degenerate", [[5, 5, 5, 5]])
    yield _soft16("one key", "degenerate clip", [[-9]])
    yield _soft16("one dominant", "extreme", [[0, 30000, -30000, 3]])
    yield _soft16("every cell of the table of exp", "extreme", [[32767 - 128 * i for i in range(512)] + [-32768]])
    yield _soft16("every place in the first cells", "tie", [[32767 - i for i in range(300)]])
    yield _soft16("distances beyond the table", "extreme clip", [[32767, 0, -1, -2, -32767, -32768]], shift=29)
    for keys in (2, 3, 5, 7, 9, 12, 31, 33, 100, 511):
        yield _soft16(
            f"{keys} equal keys: another cell of the table of 1 / (1 + x)", "extreme", np.zeros((1, keys), np.int8)
        )
    for rounding in ("half_up", "half_away", "gemmlowp_double"):
        for shift in (31, 32, 33, 62):
            falling = [[*range(20, -20, -1)]]
            yield _soft16(f"ties of s: {rounding}, shift {shift}", "tie", falling, shift=shift, rounding=rounding)
        yield _soft16(f"the largest multiplier, {rounding}", "extreme", [[9, 0, -9]], multiplier=M31, rounding=rounding)
    ends = [[32767, -32768, 32766, 0]]
    yield _soft16("the least shift and the largest multiplier", "extreme wide", ends, multiplier=M31, shift=16)
    yield _soft16("multiplier 0: all equal", "degenerate", ends, multiplier=0)
    steep: Any = ([0, 32767] * 256 + [0], [32767, 0] * 256 + [32767])
    yield _soft16("steep tables", "extreme tie", [[7, 6, 5, 0, -1, -120, -121, -122, -300]], tables=steep)
    yield _soft16("rows below 0", "extreme", [[-500, -501, -900], [-130, -131, -700]], tables=steep)
    yield _soft16("a sum of 0", "degenerate", [[7, 6]], tables=([0] * 513, inverse_table()))
    yield _soft16("a sum of 1", "degenerate", [[7, 6]], tables=([0] * 510 + [0, 1, 1], inverse_table()))
    largest: Any = ([32767] * 513, [32767] * 513)
    below: Any = ([7] * 256 + [32767] * 257, [*range(513)])
    x = [[0] * 8 + [-32768]]
    yield _soft16("a sum of 2**18 - 1: the cell of 1 / (1 + x) saturates", "clip wide", x, tables=below, shift=29)
    yield _soft16(
        "a sum of 2**18 - 7",
        "clip wide",
        [[0] * 8 + [-32767]],
        tables=([1] * 256 + [32767] * 257, below[1]),
        shift=29,
    )
    for rounding in ("half_up", "half_away", "gemmlowp_double"):
        for least in ((1 << 30) - 1, 1 << 30, (1 << 30) + 1):
            attrs = {"multiplier": least, "shift": 31, "rounding": rounding}
            yield _soft16(f"beside a tie of s: {rounding}, {least}", "tie", [[0, -1, -3]], tables=steep, **attrs)
    yield _soft16("p saturates", "clip", [[1]], tables=largest)
    yield _soft16("the largest sum", "extreme wide", np.zeros((1, 1 << 15), np.int8), tables=largest)
    yield from _soft16_masks()
    stream = SplitMix64(42)
    rows = stream.integers(-900, 900, (1, 1, 67, 5), "int16")
    yield _soft16("random, 67 queries", "random axes", rows, stream.integers(0, 1, (1, 67, 5), "int8"))
    for keys, rounding in ((3, "half_up"), (31, "half_away"), (64, "gemmlowp_double")):
        rows, mask = (
            stream.integers(-32768, 32767, (2, 2, 3, keys), "int16"),
            stream.integers(0, 1, (2, 3, keys), "int8"),
        )
        yield _soft16(f"random, {keys} keys", "random mask axes", rows, mask, multiplier=1518500250, rounding=rounding)


def _soft16_masks() -> Iterator[Case]:
    yield _soft16("mask: the maximum is not attended", "mask", [[9, 9000, 8, 7]], [[1, 0, 1, 1]])
    nobody = [[[0, 0, 0], [1, 0, 1]]]
    yield _soft16("mask per query, one row without a key", "mask degenerate", [[1, 2, 3], [400, 5, 6]], nobody)
    yield _soft16("mask per batch: B = H = 2", "mask axes", np.arange(8).reshape(2, 2, 1, 2) << 9, [[0, 1], [1, 0]])
    lengths = [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    yield _soft16("mask per batch, unequal lengths", "mask axes", np.zeros((3, 1, 2, 3), np.int8), lengths)
    yield _soft16("mask across heads", "mask axes", [[[1, 200, 3]], [[9, 9, 1]]], [[1, 1, 0]])
    yield _soft16("mask per query: H = Q = 2", "mask axes", np.zeros((1, 2, 2, 2), np.int8), [[[1, 0], [1, 1]]])
    yield _soft16("the minimum attended", "mask extreme", [[-32768, -32768, 0]], [[1, 1, 0]])


_KEYS = np.ones((1, 4), np.int8)
_MASKS: list[Broken] = [{"mask": np.ones((1, 5), np.int8)}, {"mask": np.ones((2, 4), np.int8)}]
_NO_MASKS: list[Broken] = [{"mask": 2 * _KEYS}, {"mask": -_KEYS}]
_X8, _X16 = np.zeros((1, 1, 1, 4), np.int8), np.zeros((1, 1, 1, 4), np.int16)
_LONG = {"x": np.zeros((1, 1, 1, 4096), np.int8), "mask": np.ones((1, 4096), np.int8)}
REFUSED: dict[str, dict[str, list[Broken]]] = {
    "softmax_gemmlowp": {
        "C1": [{"mask": _KEYS.astype(bool)}, {"x": _X16}],
        "C2": [*_MASKS, _LONG, {"x": _X8[0]}],
        "C3": _NO_MASKS,
        "C4": [{"multiplier": 0}, {"multiplier": 1 << 31}, {"shift": -1}, {"shift": 32}, {"output": "int32"}],
    },
    "softmax_int16": {
        "C1": [{"mask": _KEYS.astype(bool)}, {"x": _X8}],
        "C2": [*_MASKS, {"x": _X16[0]}, {"exp_table": np.zeros(514, np.int16)}],
        "C3": [*_NO_MASKS, {"exp_table": np.full(513, -1, np.int16)}, {"inverse_table": np.full(513, -1, np.int16)}],
        "C4": [{"multiplier": -1}, {"multiplier": 1 << 31}, {"shift": 15}, {"shift": 63}, {"rounding": "floor"}],
        "C5": [{"exp_table": np.zeros(512, np.int16), "inverse_table": np.zeros(512, np.int16)}],
    },
    **elements.REFUSED,
}
CASES: dict[str, Generator] = {
    "softmax_gemmlowp": softmax_gemmlowp,
    "softmax_int16": softmax_int16,
    **elements.CASES,
}
