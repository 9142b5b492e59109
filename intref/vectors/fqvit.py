"""Directed cases of ops/fqvit.py."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref.vectors.case import Broken, Case, Generator, SplitMix64

M31 = (1 << 31) - 1
SCALE_3: dict[str, Any] = {
    "ln2": 6,
    "b": 21,
    "c": 178,
}  # S = 2**-3 and 2**-6, by the formulas of softmax_log2_fqvit's docstring
SCALE_6: dict[str, Any] = {"ln2": 45, "b": 173, "c": 11436}
PLAIN: dict[str, Any] = {"ln2": 1, "b": 1, "c": 1}  # e = 2**(30 + d)


def _softmax(why: str, flags: str, x: Any, mask: Any = None, dtype: str = "int32", **attrs: Any) -> Case:
    x = np.array(x, dtype)
    x = x.reshape((1,) * (4 - x.ndim) + x.shape)
    mask = np.ones((x.shape[0], x.shape[3]), np.int8) if mask is None else np.array(mask, np.int8)
    return Case(why, {"x": x, "mask": mask}, {**SCALE_3, **attrs}, (*flags.split(),))


def softmax_log2_fqvit() -> Iterator[Case]:
    """n of every value around powers of two and halfway between, ties of n, masks, the ends of the constants."""
    yield _softmax("all equal", "degenerate", [[5, 5, 5, 5]])
    yield _softmax("one key: 2**0", "degenerate", [[-9]])
    for keys in (*range(2, 14), 23, 24, 25, 47, 48, 49):
        yield _softmax(f"{keys} equal keys: n = {keys}", "tie", np.zeros((1, keys), np.int32))
    yield _softmax("every halving", "extreme", [[-6 * k for k in range(33)]])
    yield _softmax("every distance", "tie", [[0, -d] for d in range(120)])
    yield _softmax("powers of two alone: n on ties, both parities", "tie", [[0, 0, 0, -1], [0, 0, -1, -1]], **PLAIN)
    rows = [[0] * k + [-1] * (6 - k) for k in range(1, 7)]
    yield _softmax("sums of halves: ties of n", "tie", rows, **PLAIN)
    yield _softmax("n around 2**15.5 and 2**16", "clip", [[0, -14, -15, -16, -17, -18]], **PLAIN)
    rows = [[0, *[0] * k, *[-16] * m] for k, m in ((0, 5), (1, 4), (2, 3), (3, 2))]
    yield _softmax("n beyond 2**16", "clip", rows, **PLAIN)
    yield _softmax("n beyond 2**32", "clip wide", [[0, -30, -31, -99]], **PLAIN)
    for ln2 in (SCALE_3["ln2"], SCALE_6["ln2"]):
        scale = SCALE_3 if ln2 == SCALE_3["ln2"] else SCALE_6
        steps = [[0, 1 - ln2, -ln2, -1 - ln2, -15 * ln2, -16 * ln2, 1 - 17 * ln2], [0, -1, -2, -3, -4, -5, -7]]
        yield _softmax(f"either side of a halving, ln2 = {ln2}", "tie", steps, **scale)
    yield _softmax("int8, one dominant", "extreme dtype", [[127, -128, 126, 0]], dtype="int8")
    yield _softmax("int16 extremes", "extreme dtype", [[32767, -32768, 32766]], dtype="int16")
    yield _softmax("int32 extremes", "extreme wide", [[M31, -(1 << 31), 0, 1 << 30]], **SCALE_6)
    yield _softmax("all at the int32 minimum", "extreme degenerate", [[-(1 << 31)] * 3])
    yield _softmax(
        "the largest ln2 and c", "extreme wide", [[0, -1, -65535, -65536]], ln2=1 << 15, b=1 << 15, c=1 << 30
    )
    yield _softmax("one key, the largest c", "extreme wide", [[3]], ln2=(1 << 16) - 1, b=1 << 16, c=(1 << 32) - 1)
    yield _softmax("two keys, the largest c: a sum of 2**62", "extreme wide", [[3, 3], [3, 2]], ln2=1, b=1, c=1 << 31)
    yield _softmax("the largest b", "extreme wide", [[0, -1], [0, -5]], ln2=1, b=1 << 25, c=1 << 31)
    # (406746 - 1531) * 1531 = 2**31 - (2**36 - 1) / 45: n is 1 + 22.5 and a bit, and 24 goes up to 2**5.
    yield _softmax("a c of 2**31 - 1 is not enough", "wide", [[0, -7931]], ln2=1600, b=406746, c=1 << 31)
    yield _softmax("longest row", "extreme", np.zeros((1, 1 << 15), np.int8), None, "int8", **PLAIN)
    yield from _masks()
    stream = SplitMix64(71)
    for keys in (2, 31, 64):
        mask = stream.integers(0, 1, (2, 3, keys), "int8")
        x = stream.integers(-100, 0, (2, 2, 3, keys), "int32")
        yield _softmax(f"random, {keys} keys", "random mask", x, mask)
        yield _softmax(f"random, {keys} keys, finer", "random mask", x * 5, mask, **SCALE_6)


def _masks() -> Iterator[Case]:
    yield _softmax("mask: the maximum is not attended", "mask", [[9, 90, 8, 7]], [[1, 0, 1, 1]])
    yield _softmax(
        "mask per query, one row without a key", "mask degenerate", [[1, 2, 3], [4, 5, 6]], [[[0, 0, 0], [1, 0, 1]]]
    )
    yield _softmax("mask per batch: B = H = 2", "mask axes", np.arange(8).reshape(2, 2, 1, 2), [[0, 1], [1, 0]])
    square = np.zeros((1, 2, 2, 2), np.int32)
    yield _softmax("mask per query: H = Q = 2", "mask axes", square, [[[1, 0], [1, 1]]])
    yield _softmax("int32 minimum attended", "mask extreme", [[-(1 << 31), -(1 << 31), 5]], [[1, 0, 0]])


def _matmul(why: str, flags: str, k: Any, v: Any) -> Case:
    return Case(why, {"k": np.array(k, np.int8), "v": np.array(v, np.int8)}, {}, (*flags.split(),))


def matmul_shift_fqvit() -> Iterator[Case]:
    """Every power with values of both signs, the probability 0, batches."""
    powers = [*range(17)]
    yield _matmul("every power, alone", "extreme", [[p] for p in powers], [[-128, 127, 1, -1, 0]])
    yield _matmul("every power, together", "extreme", [powers, powers[::-1]], [[p - 8, 8 - p] for p in powers])
    for keys in (20, 40, 80, 160, 320, 600, 1100, 2100, 4200, 8300, 17000, 1 << 15):
        yield _matmul(f"the largest sums of {keys} keys", "extreme wide", [[0] * keys], [[-128, 127]] * keys)
    yield _matmul("nothing attended", "degenerate", [[16, 16]], [[5, -5], [6, 7]])
    yield _matmul(
        "a product for every leading index", "axes", [[[0, 1]], [[15, 16]]], [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]
    )
    stream = SplitMix64(72)
    for q, j, d in ((3, 7, 5), (2, 33, 9), (5, 64, 3), (35, 5, 67)):
        k, v = stream.integers(0, 16, (2, q, j), "int8"), stream.integers(-128, 127, (2, j, d), "int8")
        yield _matmul(f"random, {j} keys, {d} channels", "random", k, v)


_BELOW = "any fill at or below every x leaves the maximum alone; a masked key counts for nothing"
_ANY_BUT_0 = "where takes its first value for anything but 0"
_ATTEND = "attend = mask[:, None, None] if len(mask.shape) == 2 else mask[:, None]"
_SEEN = "seen = where(attend, x, -(1 << 31))"
_N = "n = saturate(divide(total, e, 'half_even'), 1, 1 << NONE)"
_ALIKE = "every e is shifted by one less alike, and only their quotients count"
_NEVER_0 = "n is 0 for masked keys alone, whose k is 16"
_FULL = "an n of 2**16 - 1, of 2**16 or above gives 16 either way"
_Y = "return {'y': matmul(where(k < NONE, 1 << maximum(NONE - 1 - k, 0), 0), v)}"
_NOT_TAKEN = "the power of k = 16 is not taken"
EQUIVALENT: dict[str, dict[str, str]] = {
    "softmax_log2_fqvit": {
        f"mask -> -mask in {_ATTEND}": _ANY_BUT_0,
        f"mask -> -mask in {_ATTEND} #2": _ANY_BUT_0,
        f"attend -> -attend in {_SEEN}": _ANY_BUT_0,
        "attend -> -attend in total = within(sum_along(where(attend, e, 0), -1), 0, 1 << 62)": _ANY_BUT_0,
        "attend -> -attend in "
        "return {'k': where(attend, within(floor + (2 * n >= 3 << floor), 0, NONE), NONE)}": _ANY_BUT_0,
        f"x -> x + 1 in {_SEEN}": "only differences of x count",
        f"x -> x - 1 in {_SEEN}": "only differences of x count",
        f"1 -> 2 in {_SEEN}": _BELOW,
        f"31 -> 32 in {_SEEN}": _BELOW,
        "30 -> 29 in d = maximum(within(seen - max_along(seen, -1), -(1 << 32), 0), -30 * ln2)": (
            "29 halvings away n is beyond 2**16, as it is after 30"
        ),
        f"saturate(divide(total, e, 'half_even'), 1, 1 << NONE) -> minimum(divide(total, e, 'half_even'), 1 << NONE) "
        f"in {_N}": _NEVER_0,
        f"1 -> 0 in {_N}": _NEVER_0,
        "n -> n - 1 in floor = bitlen(n) - 1": (
            "they part where n is a power of two: floor is one less there, and 2 * n >= 3 * 2**floor gives it back"
        ),
    },
    "matmul_shift_fqvit": {
        f"maximum(NONE - 1 - k, 0) -> NONE - 1 - k in {_Y}": _NOT_TAKEN,
        f"0 -> -1 in {_Y}": _NOT_TAKEN,
    },
}
_FAR = "what is below -2**31 is below -30 * ln2 > -2**21, and cut there"
HARMLESS: dict[str, dict[str, str]] = {
    "softmax_log2_fqvit": {
        "clip: high *": _FULL,
        "clip: low one too low": _NEVER_0,
        "clip: no low side": _NEVER_0,
        "difference 1 of 3: saturated to 32 bits": _FAR,
        "left shift 1 of 2: by one less": _ALIKE,
        "product 2 of 3: * to 32 bits": "with two keys or more c <= 2**31 and |(r + b) * r| < c; one key has r = 0",
        "quotient: saturated to 16 bits": "q <= 30",
    },
}
UNREACHABLE: dict[str, dict[str, str]] = {
    "softmax_log2_fqvit": {
        r"\(r \+ b\) \* r \| positive, .*": "r <= 0 and r + b > 0, by C5",
        r"\(r \+ b\) \* r \| negative, 32 to 53 bits": "below c, at most 2**31 for two keys; one key has r = 0",
        r"2 \* n >= 3 << floor \| left is one more": "both are even, but for n = 1, where 2 is less than 3",
        r"sum_along\(where.* \| positive, ([1-9]|[12]\d|30) bits": "the largest key has e = c * 2**30",
        r"within\(.*\) << 30 - q \| shift (\d|1[0-4])": "n is beyond 2**15.5 at every such shift: k is 16",
    },
}
CASES: dict[str, Generator] = {"softmax_log2_fqvit": softmax_log2_fqvit, "matmul_shift_fqvit": matmul_shift_fqvit}
_X, _LONG = np.zeros((1, 1, 1, 4), np.int32), np.zeros((1, 1, 1, (1 << 15) + 1), np.int8)
REFUSED: dict[str, dict[str, list[Broken]]] = {
    "softmax_log2_fqvit": {
        "C1": [{"mask": np.ones((1, 4), bool)}, {"x": _X.astype(np.int64)}],
        "C2": [{"x": _LONG, "mask": np.ones((1, (1 << 15) + 1), np.int8)}, {"mask": np.ones((1, 5), np.int8)}],
        "C3": [{"mask": np.full((1, 4), 2, np.int8)}, {"mask": np.full((1, 4), -1, np.int8)}],
        "C4": [{"ln2": 0}, {"ln2": (1 << 16) + 1}, {"b": (1 << 25) + 1}, {"c": 1 << 32}],
        "C5": [{"b": 5}, {"c": 125}],
        "C6": [{"c": (1 << 30) + 1}],
    },
    "matmul_shift_fqvit": {
        "C1": [{"k": np.zeros((17, 1), np.uint8)}, {"v": np.zeros((1, 5), np.int16)}],
        "C2": [
            {"v": np.zeros((2, 5), np.int8)},
            {"k": np.zeros((1, (1 << 15) + 1), np.int8), "v": np.zeros(((1 << 15) + 1, 1), np.int8)},
        ],
        "C3": [{"k": np.full((17, 1), 17, np.int8)}, {"k": np.full((17, 1), -1, np.int8)}],
        "C4": [{"shift": 0}],
    },
}
