"""Reaching cases of the softmaxes."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref.vectors.case import Case, Generator
from intref.vectors.reach.sweeps import fill, lengths, tails
from intref.vectors.reach.thresholds import thresholds

M31 = (1 << 31) - 1
UNIT = {"ln2": 1, "b": 1, "c": 1}  # e is a power of two


def _ibert(why: str, flags: str, x: Any, mask: Any = None, **attrs: int) -> Case:
    """x of two axes is [Q K]; by default e16 of the maximum is c, and ln2 is 1."""
    x = np.array(x, np.int32)
    x = x.reshape((1,) * (4 - x.ndim) + x.shape)
    mask = np.ones((x.shape[0], x.shape[3]), np.int8) if mask is None else np.array(mask, np.int8)
    given = {"ln2": 1, "b": 1, "multiplier": 1, "shift": 30, **attrs}
    return Case(why, {"x": x, "mask": mask}, given, (*flags.split(),))


def softmax_ibert() -> Iterator[Case]:
    ends = lengths(-(1 << 31), M31)
    yield _ibert("an x of every bit length", "wide", [ends], c=30000)
    for shift in range(95):  # e16 of the maximum: 2**(shift % 15), as far as the multiplier reaches
        factor = min(max(shift + shift % 15 - 30, 0), 30)
        yield _ibert(f"shift {shift}", "extreme", [[0, -1, -2, -3]], **UNIT, shift=shift, multiplier=1 << factor)
    row = [0, *(-29 * 5 - r for r in range(5)), -150]
    yield _ibert("either side of a tie of e16", "tie", [row], ln2=5, b=7, c=141, shift=1)
    for top in (32766, 32767, 32768):
        yield _ibert(f"e16 of {top}, one off its limit", "clip", [[0, -1]], c=top)
    for k in range(15):
        yield _ibert(f"a sum of {1 << k}", "extreme", [[0]], c=1 << k)
        yield _ibert(f"a sum of {3 << k}", "extreme", [[0, -1]], c=2 << k)
    for k in range(1, 15):
        yield _ibert(f"{1 << k} equal keys, e16 at its limit", "extreme wide", np.zeros((1, 1 << k), np.int32), c=32767)
    yield _ibert("an odd sum above 2**24", "wide", np.zeros((1, 515), np.int32), c=32767)
    yield _ibert("a sum of 0 and of 1", "degenerate", [[0]], c=1, shift=31)
    yield _ibert("641, a divisor of 2**32 + 1", "tie", [[0]], c=641)
    yield _ibert("3, a divisor of 2**32 - 1", "tie", [[0]], c=3)
    halvings = [*range(0, -8, -1), -7]
    yield _ibert("exact odd probabilities", "tie", [halvings], c=128)
    yield _ibert("e16 * f one above a multiple of 2**24", "tie", [[0, 0, 0, -1, -1]], c=17173)
    patterns = [[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 0, 1], [0, 1, 0, 0], [1] * 4, [0] * 4]
    yield _ibert("a mask of every pattern", "mask", fill([5, 1, 4, 3], (6, 1, 1, 4), "int32"), patterns, c=999)
    yield _ibert("maxima at every place", "extreme", [[9, 1, 1], [1, 9, 1], [1, 1, 9], [9, 9, 1]], c=999)
    yield from tails("softmax_ibert", "B H Q K")
    yield from thresholds()


def _exp2(why: str, flags: str, x: Any, table: Any, mask: Any = None, multiplier: Any = 1, shift: Any = 0) -> Case:
    x = np.array(x, np.int32)
    x = x.reshape((1,) * (4 - x.ndim) + x.shape)
    mask = np.ones((x.shape[0], x.shape[3]), np.int8) if mask is None else np.array(mask, np.int8)
    tensors = {"x": x, "mask": mask, "table": fill(table, 257, "int32")}
    for name, value, dtype in (("multiplier", multiplier, "int32"), ("shift", shift, "int8")):
        tensors[name] = fill(value, x.shape[1:2], dtype)
    return Case(why, tensors, {}, (*flags.split(),))


def softmax_exp2() -> Iterator[Case]:
    top = 1 << 30
    yield _exp2("an x of every bit length", "wide", [lengths(-(1 << 30), 1 << 30)], top)
    table = [*lengths(0, 1 << 30), *[1 << 29] * 257][:257]
    yield _exp2("entries of every bit length", "extreme", [[-256 * i for i in range(64)]], table)
    heads = fill([0, -1, -2, -77777, -(1 << 30)], (1, 63, 1, 5), "int32")
    yield _exp2(
        "every shift",
        "extreme",
        heads,
        range(257),
        multiplier=[(1 << min(s // 2, 30)) - 1 for s in range(63)],
        shift=range(63),
    )
    factors = lengths(0, M31)
    heads = fill([0, -1, -77777], (1, len(factors), 1, 3), "int32")
    yield _exp2("a multiplier of every bit length", "wide", heads, range(257), multiplier=factors, shift=7)
    yield _exp2("every quarter of u", "tie", [[-d for d in range(9)]], range(0, 257 << 20, 1 << 20), shift=2)
    for why, entry in (("below", 553713921), ("above", 520027903)):
        yield _exp2(f"255 * e + 2**29 one {why} a multiple of 2**30", "tie", [[0, -65536]], entry)
    for k in range(8):
        least = ((2 << k) - 1 << 29) // 255 + 1  # the least e with p = 2**k
        yield _exp2(f"a total of {1 << k}", "extreme", [[0]], least)
        yield _exp2(f"a total of {3 << k}", "extreme", [[0, 0, 0]], least)
    for k in range(1, 15):
        yield _exp2(f"{1 << k} equal keys", "extreme wide", np.zeros((1, 1 << k), np.int32), top)
    patterns = [[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 0, 1], [0, 1, 0, 0], [1] * 4, [0] * 4]
    yield _exp2("a mask of every pattern", "mask", fill([5, 1, 4, 3], (6, 1, 1, 4), "int32"), top, patterns)
    yield _exp2("maxima at every place", "extreme", [[9, 1, 1], [1, 9, 1], [1, 1, 9], [9, 9, 1]], top)
    yield from tails("softmax_exp2", "B H Q K")


REACH: dict[str, Generator] = {"softmax_ibert": softmax_ibert, "softmax_exp2": softmax_exp2}
