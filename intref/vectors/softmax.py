"""Directed cases of the softmaxes."""

from collections.abc import Iterator
from math import isqrt
from typing import Any

import numpy as np

from intref.vectors.asked import asked
from intref.vectors.case import Broken, Case, Generator, SplitMix64

M31 = (1 << 31) - 1
# S = 2**-3 and 2**-12 by the formulas of softmax_ibert's docstring; then the ends of the declared ranges.
SCALE_3 = {"ln2": 6, "b": 21, "c": 178, "multiplier": 1544210777, "shift": 53}
SCALE_12 = {"ln2": 2839, "b": 11089, "c": 46843912, "multiplier": 3004301, "shift": 62}
LARGEST = {"ln2": 1 << 7, "b": 1 << 25, "c": 1 << 32, "multiplier": 1 << 16, "shift": 63}
FINEST = {"ln2": 1 << 16, "b": 1 << 16, "c": 1 << 32, "multiplier": M31, "shift": 78}


def _ibert(why: str, flags: str, x: Any, mask: Any = None, **attrs: int) -> Case:
    x = np.array(x, np.int32)
    x = x.reshape((1,) * (4 - x.ndim) + x.shape)
    mask = np.ones((x.shape[0], x.shape[3]), np.int8) if mask is None else np.array(mask, np.int8)
    return Case(why, {"x": x, "mask": mask}, {**SCALE_3, **attrs}, (*flags.split(),))


def softmax_ibert() -> Iterator[Case]:
    """Rows of every kind, halvings, ties of e16, saturation, masks and the ends of the constants."""
    yield _ibert("all equal", "degenerate", [[5, 5, 5, 5]])
    yield _ibert("one key: its probability is 255", "degenerate", [[-9]])
    yield _ibert("one dominant", "extreme", [[0, 100, -100, 3]])
    yield _ibert(
        "every remainder of ln2, then the cut", "tie extreme", [[*range(0, -14, -1), -178, -179, -180, -181, -999]]
    )
    yield _ibert("each halving", "extreme", [[-6 * k for k in range(33)]])
    for scale in (SCALE_3, SCALE_12):
        ln2 = scale["ln2"]
        steps = [[0, 1 - ln2, -ln2, -1 - ln2, -15 * ln2, -16 * ln2, 1 - 17 * ln2], [0, -1, -2, -3, -4, -5, -7]]
        yield _ibert(f"either side of a halving, ln2 = {ln2}", "tie", steps, **scale)
    yield from _ibert_masks()
    yield from _ibert_ties()
    yield _ibert("int32 extremes", "extreme wide", [[M31, -(1 << 31), 0]], **SCALE_12)
    yield _ibert("all at the int32 minimum", "extreme degenerate", [[-(1 << 31)] * 3])
    yield _ibert("the largest ln2, b = ln2", "extreme wide", [[0, -1, -65535, -65536, -(1 << 20)]], **FINEST)
    yield _ibert("the largest b and c", "extreme wide", [[0, -1, -127, -128, -300]], **LARGEST)
    yield _ibert("e16 all 0", "degenerate", [[1, 2, 3]], multiplier=1, shift=94)
    yield _ibert("longest row: the smallest quotient", "extreme", np.zeros((1, 1 << 15), np.int32))
    stream = SplitMix64(3)
    for keys in (2, 31, 64):
        mask = stream.integers(0, 1, (2, 3, keys), "int8")
        x = stream.integers(-100, 0, (2, 2, 3, keys), "int32")
        yield _ibert(f"random, {keys} keys", "random mask", x, mask)
        x = stream.integers(-50000, 9999, (2, 2, 3, keys), "int32")
        yield _ibert(f"random, {keys} keys, fine scale", "random mask", x, mask, **SCALE_12)
    yield from asked("softmax_ibert")


def _ibert_masks() -> Iterator[Case]:
    yield _ibert("mask: the maximum is not attended", "mask", [[9, 90, 8, 7]], [[1, 0, 1, 1]])
    yield _ibert(
        "mask per query, one row without a key", "mask degenerate", [[1, 2, 3], [4, 5, 6]], [[[0, 0, 0], [1, 0, 1]]]
    )
    yield _ibert("mask per batch: B = H = 2", "mask axes", np.arange(8).reshape(2, 2, 1, 2), [[0, 1], [1, 0]])
    yield _ibert(
        "mask per batch, unequal lengths",
        "mask axes",
        np.zeros((3, 1, 2, 3), np.int32),
        [[1, 0, 0], [1, 1, 0], [1, 1, 1]],
    )
    yield _ibert("mask across heads", "mask axes", [[[1, 2, 3]], [[9, 9, 1]]], [[1, 1, 0]])
    yield _ibert("mask per query: H = Q = 2", "mask axes", np.zeros((1, 2, 2, 2), np.int32), [[[1, 0], [1, 1]]])
    yield _ibert(
        "int32 minimum attended: e16 = 1, and 0 one below",
        "mask extreme",
        [[-(1 << 31), -(1 << 31)]],
        [[1, 0]],
        multiplier=3,
        shift=40,
    )


def _ibert_ties() -> Iterator[Case]:
    yield _ibert(
        "p = 256: a single e16 that is a power of two", "extreme", [[0, -999]], multiplier=2, shift=62, c=1 << 31
    )
    yield _ibert("e16 saturates", "clip", [[0, -1, -6, -12, -90]], multiplier=M31, shift=50)
    yield _ibert("one key, e16 saturates: 255 and not 256", "clip", [[4]], multiplier=M31, shift=50)
    yield _ibert("only the maximum saturates; its value shows in the other p", "clip", [[0, -5]], multiplier=1768655224)
    yield _ibert("e16 is not 0 at the cut of 30 halvings", "extreme", [[0, -174, -180, -186]], multiplier=M31, shift=31)
    yield _ibert("e16 ties: 89/2 and 89/4", "tie", [[0, -6, -12]], multiplier=1, shift=32)
    yield _ibert("e16 ties: 91/2 and 91/4, the floor is odd", "tie", [[0, -6, -12]], c=182, multiplier=1, shift=32)


def exp2_table() -> list[int]:
    """round(2**(30 - i / 256)) for i = 0..256, exact: 2**(7936 - i) = (2 * 2**(30 - i / 256))**256."""
    doubled = [1 << 31 * 256 - i for i in range(257)]
    for _ in range(8):  # floor of the 256th root: floors of square roots nest
        doubled = [isqrt(v) for v in doubled]
    return [v + 1 >> 1 for v in doubled]


TABLE = exp2_table()


def _exp2(
    why: str, flags: str, x: Any, mask: Any = None, multiplier: Any = 1, shift: Any = 0, table: Any = None
) -> Case:
    """multiplier 1 and shift 0 make u = d; x of two axes is [Q K]."""
    x = np.array(x, np.int32)
    x = x.reshape((1,) * (4 - x.ndim) + x.shape)
    mask = np.ones((x.shape[0], x.shape[3]), np.int8) if mask is None else np.array(mask, np.int8)
    tensors = {"x": x, "mask": mask, "table": np.array(TABLE if table is None else table, np.int32)}
    for name, value, dtype in (("multiplier", multiplier, "int32"), ("shift", shift, "int8")):
        tensors[name] = np.array(np.broadcast_to(np.array(value, dtype), x.shape[1:2]))
    return Case(why, tensors, {}, (*flags.split(),))


def softmax_exp2() -> Iterator[Case]:
    """Every cell of the table, every halving, ties of p, masks, scales per head, ends of the operands."""
    yield _exp2("all equal", "degenerate", [[5, 5, 5, 5]])
    yield _exp2("one key: 255 of 255", "degenerate", [[-9]])
    yield _exp2("one dominant, one at the minimum", "extreme", [[0, 1 << 20, -(1 << 30)]])
    yield _exp2("every cell of the table", "extreme", [[-256 * i for i in range(257)]])
    yield _exp2("either side of a cell and of a halving", "tie", [[0, -1, -255, -256, -257, -65535, -65536, -65537]])
    yield _exp2("each halving, then the cut", "extreme", [[-65536 * n for n in (*range(33), 63, 64, 96)]])
    steep = [0, 1 << 30] * 128 + [0]  # 255 of 256 steps of r show in p
    yield _exp2("every r of the first two cells", "tie", [[-r for r in range(512)]], table=steep)
    rising = [i << 22 for i in range(257)]
    yield _exp2(
        "an index past the cut wraps around the table",
        "extreme",
        [[-(i << 8) for i in range(0, 600, 37)]],
        table=rising,
    )
    for n in (30, 31, 32):
        yield _exp2(f"p of a constant table after {n} halvings", "extreme", [[0, -n << 16]], table=[1 << 30] * 257)
    for k in (1, 2, 128, 255):
        least = -(-((2 * k - 1) << 29) // 255)  # the least e with p = k
        cells = [least, least - 1, least, *[least] * 254]
        yield _exp2(
            f"e either side of the tie below p = {k}", "tie", [[0, -1, -255, -256, -257, -511, -512]], table=cells
        )
    yield from _exp2_masks()
    heads = [[[0, -300, -40000]], [[0, -300, -40000]], [[0, -300, -40000]]]
    yield _exp2("a multiplier and a shift per head", "axes", heads, multiplier=[1, 100, M31], shift=[0, 3, 40])
    yield _exp2("u is rounded down", "tie", [[0, -1, -2, -3, -5, -7]], multiplier=M31, shift=23, table=steep)
    ends = [[1 << 30, -(1 << 30), 0]]
    for shift in (0, 62):
        yield _exp2(f"the largest d and multiplier, shift {shift}", "extreme wide", ends, multiplier=M31, shift=shift)
    yield _exp2("multiplier 0: all equal", "degenerate", ends, multiplier=0)
    yield _exp2("longest row: the largest total", "extreme", np.zeros((1, 1 << 15), np.int32))
    stream = SplitMix64(8)
    for keys in (2, 31, 64):
        x, mask = stream.integers(-9000, 0, (2, 2, 3, keys), "int32"), stream.integers(0, 1, (2, 3, keys), "int8")
        yield _exp2(f"random, {keys} keys", "random mask axes", x, mask, [1 << 30, 3 << 28], [25, 26])
    yield from asked("softmax_exp2")


def _exp2_masks() -> Iterator[Case]:
    far = 1 << 18
    yield _exp2("mask: the maximum is not attended", "mask", [[9, far, 8, 7]], [[1, 0, 1, 1]])
    yield _exp2(
        "mask per query, one row without a key", "mask degenerate", [[0, far, 9], [far, 5, 0]], [[[0] * 3, [1, 0, 1]]]
    )
    yield _exp2("mask per batch: B = H = 2", "mask axes", np.arange(8).reshape(2, 2, 1, 2) << 14, [[0, 1], [1, 0]])
    yield _exp2(
        "mask per batch, unequal lengths",
        "mask axes",
        np.zeros((3, 1, 2, 3), np.int32),
        [[1, 0, 0], [1, 1, 0], [1, 1, 1]],
    )
    yield _exp2("mask per query: H = Q = 2", "mask axes", np.zeros((1, 2, 2, 2), np.int32), [[[1, 0], [1, 1]]])
    yield _exp2("the minimum attended", "mask extreme", [[-(1 << 30), -(1 << 30), 0]], [[1, 1, 0]], 1 << 20)


_BELOW = "any fill at or below every x leaves the maximum alone; a masked key counts for nothing"
_SHIFTED = "only differences of x count"
_ANY_BUT_0 = "where takes its first value for anything but 0"
_ATTEND = "attend = mask[:, None, None] if len(mask.shape) == 2 else mask[:, None]"
_E = "e = where(attend, mantissa >> minimum(u >> 16, 31), 0)"
EQUIVALENT: dict[str, dict[str, str]] = {
    "softmax_ibert": {
        "1 -> 2 in seen = where(attend, x, -(1 << 31))": _BELOW,
        "31 -> 32 in seen = where(attend, x, -(1 << 31))": _BELOW,
        "x -> x + 1 in seen = where(attend, x, -(1 << 31))": _SHIFTED,
        f"mask -> -mask in {_ATTEND}": _ANY_BUT_0,
        f"mask -> -mask in {_ATTEND} #2": _ANY_BUT_0,
        "attend -> -attend in seen = where(attend, x, -(1 << 31))": _ANY_BUT_0,
        "attend -> -attend in e16 = where(attend, minimum(scaled, (1 << 15) - 1), 0)": _ANY_BUT_0,
    },
    "softmax_exp2": {
        "1 -> 2 in seen = where(attend, x, -(1 << 30))": _BELOW,
        "30 -> 31 in seen = where(attend, x, -(1 << 30))": _BELOW,
        "x -> x + 1 in seen = where(attend, x, -(1 << 30))": _SHIFTED,
        f"mask -> -mask in {_ATTEND}": _ANY_BUT_0,
        f"mask -> -mask in {_ATTEND} #2": _ANY_BUT_0,
        "attend -> -attend in seen = where(attend, x, -(1 << 30))": _ANY_BUT_0,
        f"attend -> -attend in {_E}": _ANY_BUT_0,
        f"minimum(u >> 16, 31) -> u >> 16 in {_E}": "NumPy gives 0 for a shift above 63, too; the 31 keeps it defined",
        f"31 -> 32 in {_E}": "mantissa <= 2**30: 0 either way",
        f"31 -> 30 in {_E}": "e <= 1 either way, and p = 0",
        f"0 -> 1 in {_E}": "p = 0 of e = 1, too",
        f"0 -> -1 in {_E}": "p = 0 of e = -1, too",
    },
}


def _masked(why: str, flags: str, x: Any, mask: Any, value: int) -> Case:
    x = np.array(x, np.int32)
    x = x.reshape((1,) * (4 - x.ndim) + x.shape)
    return Case(why, {"x": x, "mask": np.array(mask, np.int8)}, {"value": value}, (*flags.split(),))


def mask_add() -> Iterator[Case]:
    """Masks of both forms, the low clip from both sides."""
    yield _masked("one masked key", "mask", [[5, 6, 7, 8]], [[1, 1, 0, 1]], -100)
    least = -(1 << 31)
    yield _masked(
        "at the clip, one inside, one beyond", "clip mask", [[least + 9, least + 10, least + 8]], [[0] * 3], -9
    )
    yield _masked(
        "int32 extremes and the largest value", "extreme wide mask", [[least, M31, 0, 1 << 30]], [[0] * 4], -(1 << 30)
    )
    yield _masked("int32 extremes attended", "extreme mask", [[least, M31, 0]], [[1] * 3], -1)
    yield _masked("mask per query", "mask axes", [[1, 2, 3], [4, 5, 6]], [[[0, 0, 0], [1, 0, 1]]], -7)
    yield _masked("mask per batch: B = H = 2", "mask axes", np.arange(8).reshape(2, 2, 1, 2), [[0, 1], [1, 0]], -3)


_ATTEND = "attend = mask[:, None, None] if len(mask.shape) == 2 else mask[:, None]"
_SIGNLESS = "0 and -0 are 0; what is not 0 attends"
EQUIVALENT["mask_add"] = {
    f"mask -> -mask in {_ATTEND}": _SIGNLESS,
    f"mask -> -mask in {_ATTEND} #2": _SIGNLESS,
    "attend -> -attend in return {'y': maximum(x + where(attend, 0, value), -(1 << 31))}": _SIGNLESS,
}
CASES: dict[str, Generator] = {"softmax_ibert": softmax_ibert, "softmax_exp2": softmax_exp2, "mask_add": mask_add}
_X, _LONG = np.zeros((1, 1, 1, 4), np.int32), np.zeros((1, 1, 1, (1 << 15) + 1), np.int32)
_MASKS: dict[str, list[Broken]] = {
    "C1": [{"mask": np.ones((1, 4), bool)}, {"x": _X.astype(np.int64)}],
    "C2": [
        {"x": _LONG, "mask": np.ones((1, (1 << 15) + 1), np.int8)},
        {"mask": np.ones((1, 5), np.int8)},
        {"mask": np.ones((2, 4), np.int8)},
        {"mask": np.ones((1, 2, 4), np.int8)},
        {"x": _X[0]},
    ],
    "C3": [{"mask": np.full((1, 4), 2, np.int8)}, {"mask": np.full((1, 4), -1, np.int8)}],
}
REFUSED: dict[str, dict[str, list[Broken]]] = {
    "softmax_ibert": {
        **_MASKS,
        "C4": [{"ln2": 0}, {"ln2": (1 << 23) + 1}, {"c": (1 << 32) + 1}, {"multiplier": 0}, {"shift": 95}],
        "C5": [{"b": 5}, {"c": 125}],
        "C6": [{"shift": 0}],
    },
    "softmax_exp2": {
        **_MASKS,
        "C2": [*_MASKS["C2"], {"multiplier": np.ones(2, np.int32)}],
        "C3": [
            *_MASKS["C3"],
            {"x": _X + (1 << 30) + 1},
            {"multiplier": np.array([-1], np.int32)},
            {"shift": np.array([63], np.int8)},
            {"table": np.full(257, (1 << 30) + 1, np.int32)},
        ],
        "C4": [{"bits": 8}],
        "C5": [{"table": np.zeros(256, np.int32)}],
    },
    "mask_add": {**_MASKS, "C4": [{"value": 0}, {"value": -(1 << 30) - 1}]},
}
