"""Cases that single bugs of devices asked for: uneven sizes, roots just below an integer, registers too narrow.

Each op's generator ends with its cases from here.
"""

from collections.abc import Callable, Iterator
from math import isqrt
from typing import Any

import numpy as np

from intref.vectors.case import Case, SplitMix64
from intref.vectors.uneven import M31, STEEP, Arrays, exp2, uneven


def asked(op_name: str) -> Iterator[Case]:
    """The cases of one op, in their frozen order."""
    yield uneven(op_name)
    yield from _MORE.get(op_name, _none)()


def _none() -> Iterator[Case]:
    return iter(())


def _keys(why: str, flags: str, x: Any, multiplier: int = 1, shift: int = 0, table: Any = None) -> Case:
    """One row of softmax_exp2, all of it attended."""
    row = np.array(x, np.int32).reshape(1, 1, 1, -1)
    entries = [1 << 30] * 257 if table is None else table
    tensors: Arrays = {"x": row, "mask": np.ones((1, row.size), np.int8), **exp2(multiplier, shift, entries)}
    return Case(why, tensors, {}, (*flags.split(),))


def _softmax_exp2_more() -> Iterator[Case]:
    falling = [(1 << 30) - (i << 20) for i in range(257)]
    for high in (20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30):
        ends = (1 << high) - (high < 30)
        x = [ends, ends - 20000, ends - 40000, 1 - ends]
        yield _keys(f"differences at the end of {high + 1} bits", "wide", x, table=falling)
        x = [-ends, 20000 - ends, 40000 - ends]
        yield _keys(f"differences at the low end of {high + 1} bits", "wide", x, table=falling)
    yield _keys("the largest difference, 2**31", "extreme wide", [1 << 30, -(1 << 30)], shift=16, table=STEEP)
    yield _keys("u of 33 bits: n is 31 and not 0", "extreme wide", [1 << 30, -(1 << 30)], multiplier=2)
    for k in (3, 4, 5, 6):
        least = -(-((2 * k - 1) << 29) // 255)  # the least e with p = k
        cells = [2 * least - 1] * 257
        yield _keys(f"one halving of an odd mantissa below the tie of p = {k}", "tie", [0, -1 << 16], table=cells)


def _softmax_ibert_more() -> Iterator[Case]:
    attrs = {"ln2": 6, "b": 21, "c": 224, "multiplier": 1, "shift": 35}
    tensors: Arrays = {"x": np.full((1, 1, 1, 1), 3, np.int32), "mask": np.ones((1, 1), np.int8)}
    yield Case("one key, e16 = 7: 2**32 / 7 is rounded down, 255 and not 256", tensors, attrs, ("tie",))


def _greedy(total: int, largest: int) -> list[int]:
    """Numbers up to `largest` whose squares have this sum."""
    found: list[int] = []
    while total:
        found.append(min(isqrt(total), largest))
        total -= found[-1] ** 2
    return found


def _padded(rows: list[list[int]]) -> np.ndarray:
    width = max(map(len, rows))
    return np.array([row + [0] * (width - len(row)) for row in rows], np.int32)


def _mirrored(total: int, largest: int) -> list[int]:
    """A row of mean 0 whose squares have this even sum."""
    return [v for half in _greedy(total // 2, largest) for v in (half, -half)]


def _below_squares() -> Iterator[int]:
    """v with v * 4**k = n**2 - 1, 2**30 <= n < 2**31, for the k that normalizes v."""
    for k in (8, 10, 12):
        for j in (1 << 31 - 2 * k) + 2, (3 << 30 - 2 * k) - 2, (1 << 32 - 2 * k) - 2:
            yield from ((j * j << 2 * k - 2) + sign * j for sign in (-1, 1))


def _layernorm_ibert_more() -> Iterator[Case]:
    rows = [_mirrored(n * n - 1, 1 << 25) for n in (8193, 16385, 143165577)]  # 2**31 / n and 2**31 / (n - 1) part
    tensors = {"x": _padded(rows), "bias": np.zeros(max(map(len, rows)), np.int64)}
    yield Case("roots just below an integer that floats round up", tensors, {"shift": 0}, ("square", "wide"))
    x = SplitMix64(91).integers(31 << 20, 1 << 25, (2, 259), "int32")
    tensors = {"x": x * np.array([[1], [-1]], np.int32), "bias": np.zeros(259, np.int64)}
    yield Case("a sum beyond 32 bits", tensors, {"shift": 0}, ("wide",))


def _layernorm_fixed_more() -> Iterator[Case]:
    attrs = {"eps": 0, "shift": 1, "low": -(1 << 31), "high": M31}
    x = _padded([_mirrored(v, 1 << 23) for v in _below_squares()])
    constants: Arrays = {"gain": np.full(x.shape[1], 2, np.int32), "bias": np.zeros(x.shape[1], np.int64)}
    yield Case("roots just below an integer", {"x": x, **constants}, attrs, ("square", "wide"))
    x = SplitMix64(92).integers(7 << 20, 1 << 23, (2, 515), "int32") * np.array([[1], [-1]], np.int32)
    constants = {"gain": np.full(515, 1 << 20, np.int32), "bias": np.zeros(515, np.int64)}
    yield Case("a sum beyond 32 bits", {"x": x, **constants}, {**attrs, "shift": 20}, ("wide",))


def _l2_normalize_more() -> Iterator[Case]:
    x = _padded([_greedy(v, 1 << 23) for v in _below_squares()])
    yield Case("roots just below an integer", {"x": x}, {"fraction": 30}, ("square", "wide"))
    rows = [[1 << j, other, 3] for j in range(24) for other in (0, 1 << j)]
    yield Case("a sum of squares of every bit length", {"x": np.array(rows, np.int32)}, {"fraction": 30}, ("extreme",))
    x = SplitMix64(94).integers(-(1 << 16), 1 << 16, (64, 3), "int32")
    yield Case("sums of squares of 32 and 33 bits", {"x": x}, {"fraction": 30}, ("wide", "random"))


def _mean_pool_more() -> Iterator[Case]:
    x = np.full((1 << 15, 1), 30000, np.int16)
    yield Case("2**15 tokens", {"x": x, "mask": np.ones(1 << 15, np.int8)}, {}, ("wide",))


def _rescale_more() -> Iterator[Case]:
    for why, x, multiplier, shift, attrs in (
        ("gemmlowp_double: shift 63, 0 and not 1", [M31, -M31], M31, 63, {"rounding": "gemmlowp_double"}),
        ("tosa_double: beyond int32 with the zero point", [M31, -M31], M31, 31, {"rounding": "tosa_double"}),
    ):
        tensors: Arrays = {"x": np.array(x, np.int32), "multiplier": np.array([multiplier], np.int32)}
        zero = {"output_zero_point": 9, "output": "int64"}
        yield Case(why, {**tensors, "shift": np.array([shift], np.int8)}, {**attrs, **zero}, ("extreme", "wide"))
    near = [s * ((1 << 31) + d) for d in (129, 127, 385, (1 << 31) - 129) for s in (-1, 1)]
    tensors = {"x": np.array(near), "multiplier": np.array([127 << 23], np.int32), "shift": np.zeros(1, np.int8)}
    attrs = {"rounding": "fp32_half_even", "output": "int64"}
    yield Case("fp32_half_even: 32 bits are rounded to 24, the scale is 1", tensors, attrs, ("wide", "tie"))
    cube = {"x": np.arange(45, dtype=np.int32).reshape(3, 3, 5), "multiplier": np.array([3], np.int32)}
    attrs = {"rounding": "half_up", "output": "int8"}
    yield Case("as many outer rows as rows", {**cube, "shift": np.array([1], np.int8)}, attrs, ("axes",))


def _gelu_ibert_more() -> Iterator[Case]:
    constants = {"b": [-(1 << 23) - 77], "c": [-(1 << 40)], "one": [5]}
    tensors = {"x": np.array([1, -1, 99999, -99999], np.int32)}
    tensors |= {k: np.array(v, np.int64) for k, v in constants.items()}
    yield Case("b of 25 bits", tensors, {}, ("extreme", "wide"))


def _table_more() -> Iterator[Case]:
    tensors = {"x": np.arange(9, dtype=np.int8).reshape(3, 3) * 7 - 30, "entries": np.arange(-128, 128).astype(np.int8)}
    yield Case("as many rows as columns", {**tensors, "x": tensors["x"].astype(np.int8)}, {}, ("axes",))


_MORE: dict[str, Callable[[], Iterator[Case]]] = {
    "mean_pool": _mean_pool_more,
    "rescale": _rescale_more,
    "softmax_ibert": _softmax_ibert_more,
    "softmax_exp2": _softmax_exp2_more,
    "layernorm_ibert": _layernorm_ibert_more,
    "layernorm_fixed": _layernorm_fixed_more,
    "l2_normalize": _l2_normalize_more,
    "gelu_ibert": _gelu_ibert_more,
    "table": _table_more,
}
