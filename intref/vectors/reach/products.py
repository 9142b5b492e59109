"""Reaching cases of the products, of look-ups, pooling and positions, and of the ops that only move elements."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from intref.vectors.case import Case, Generator
from intref.vectors.reach.sweeps import digits, lengths, tails

LONG = 1 << 12  # elements along an axis of these cases, at most
ODD = [s * ((1 << k) + 1) for k in (24, 27, 30) for s in (1, -1)]  # what float32 does not hold
M31 = (1 << 31) - 1


def _case(why: str, flags: str, attrs: dict[str, Any] | None = None, **tensors: tuple[Any, str]) -> Case:
    made = {name: np.array(value, np.int64).astype(dtype) for name, (value, dtype) in tensors.items()}
    return Case(why, made, attrs or {}, (*flags.split(),))


def linear() -> Iterator[Case]:
    column = np.array(lengths(-(1 << 15), (1 << 15) - 1))
    x = (column[:, None], "int16")
    yield _case("an int16 x of every bit length", "dtype", x=x, weight=([[1]], "int8"), bias=([0], "int32"))
    x = (np.array(lengths(0, 255))[:, None], "uint8")
    yield _case("a uint8 x of every bit length", "dtype", x=x, weight=([[-1]], "int8"), bias=([0], "int32"))
    weights = np.array(lengths(-128, 127))[:, None]
    none = np.zeros(len(weights), np.int64)
    yield _case(
        "a weight of every bit length", "dtype", x=([3], "int8"), weight=(weights, "int8"), bias=(none, "int32")
    )
    bias = lengths(-(1 << 31), M31)
    weight = np.zeros((len(bias), 1), np.int64)
    yield _case("a bias of every bit length", "wide", x=([7], "int8"), weight=(weight, "int8"), bias=(bias, "int32"))
    row = [1, 128, 1 << 14, *[-(1 << 15)] * 520]
    goals = [*lengths(-(1 << 31), 1 << 31), *ODD]
    bias = [-1 if goal == 1 << 31 else 0 for goal in goals]
    yield _case(
        "accumulators of every bit length, and odd ones above 2**24",
        "wide extreme",
        x=(row, "int16"),
        weight=(digits(goals, row, 127), "int8"),
        bias=(bias, "int32"),
    )
    yield from tails("linear", "K N")


def matmul() -> Iterator[Case]:
    column = np.array(lengths(-(1 << 15), (1 << 15) - 1))[:, None]
    yield _case("an int16 a of every bit length", "dtype", a=(column, "int16"), b=([[1]], "int8"))
    column = np.array(lengths(0, 255))[:, None]
    yield _case("a uint8 a of every bit length", "dtype", a=(column, "uint8"), b=([[-1]], "int8"))
    yield _case("a b of every bit length", "dtype", a=([[3]], "int8"), b=([lengths(-128, 127)], "int8"))
    row = [1, 128, 1 << 14, *[-(1 << 15)] * 520]
    goals = [*lengths(-(1 << 31), M31), *ODD]
    yield _case(
        "accumulators of every bit length, and odd ones above 2**24",
        "wide extreme",
        a=([row], "int16"),
        b=(digits(goals, row, 127).T, "int8"),
    )
    yield from tails("matmul", "M K N")


def linear_int4() -> Iterator[Case]:
    every = [*range(256)]
    yield _case(
        "every byte of weights",
        "dtype extreme",
        {"group_size": 2},
        x=([[1, 0], [0, 1], [127, -128]], "int8"),
        weight=(np.array(every)[:, None], "uint8"),
        scale=(np.ones((256, 1), np.int64), "int16"),
        bias=(np.zeros(256, np.int64), "int32"),
    )
    x = np.array(lengths(-128, 127))[:, None]
    one = {"weight": ([[1]], "uint8"), "scale": ([[1]], "int16"), "bias": ([0], "int32")}
    yield _case("an x of every bit length", "dtype", {"group_size": 2}, x=(x, "int8"), **one)
    scales = np.array(lengths(-(1 << 15), (1 << 15) - 1))[:, None]
    many = {"weight": (np.full(scales.shape, 7), "uint8"), "bias": (np.zeros(len(scales), np.int64), "int32")}
    yield _case(
        "a scale of every bit length", "wide", {"group_size": 2}, x=([3], "int8"), scale=(scales, "int16"), **many
    )
    bias = lengths(-(1 << 31), M31)
    none = {
        "weight": (np.zeros((len(bias), 1), np.int64), "uint8"),
        "scale": (np.zeros((len(bias), 1), np.int64), "int16"),
    }
    yield _case("a bias of every bit length", "wide", {"group_size": 2}, x=([7], "int8"), bias=(bias, "int32"), **none)
    goals = [*lengths(-(1 << 31), 1 << 31), *ODD]
    row = [1, *[1024] * 70]  # one times 1, then -128 times -8, in groups of two
    yield _case(
        "accumulators of every bit length, and odd ones above 2**24",
        "wide extreme",
        {"group_size": 2},
        x=([1, 0, *[-128, 0] * 70], "int8"),
        weight=([[1, *[8] * 70]] * len(goals), "uint8"),
        scale=(digits(goals, row, (1 << 15) - 1), "int16"),
        bias=([-1 if goal == 1 << 31 else 0 for goal in goals], "int32"),
    )
    wide = {"weight": (np.full((1, 150), 0x1F), "uint8"), "bias": ([5], "int32")}
    yield _case(
        "a group of more than 255",
        "axes",
        {"group_size": 256},
        x=([*range(-100, 100), *[3] * 100], "int8"),
        scale=([[3, -5]], "int16"),
        **wide,
    )
    yield from tails("linear_int4", "K N")
    for axis in "PG":
        for size in (1, 2, 4, 8, 16, 32, 33):
            yield _grouped(axis, size)


def _grouped(axis: str, size: int) -> Case:
    """P bytes in groups of four, or G groups of one byte."""
    count = 2 * size
    group = 2 if axis == "G" else 4
    place = np.arange(size)
    return _case(
        f"axis {axis} of {size}",
        "axes",
        {"group_size": group},
        x=((np.arange(count) * 37 + 5) % 256 - 128, "int8"),
        weight=([place * 29 % 256, place * 53 % 256], "uint8"),
        scale=([np.arange(-(-count // group)) * 7 - 9, np.arange(-(-count // group)) * -3 + 5], "int16"),
        bias=([11, -12], "int32"),
    )


def embedding() -> Iterator[Case]:
    table = np.array(lengths(-(1 << 31), M31))[:, None]
    yield _case("entries of every bit length", "dtype", ids=(np.arange(len(table)), "int32"), table=(table, "int32"))
    ids = [*lengths(0, LONG - 1)]
    yield _case(
        "ids of every bit length", "extreme", ids=(ids, "int32"), table=(np.arange(LONG)[:, None] % 251, "int16")
    )
    yield from tails("embedding", "V D", T=3)


def positions() -> Iterator[Case]:
    for form in ("offset", "count"):
        for why, mask in (("no padding", np.ones(LONG, np.int64)), ("one hole", np.arange(LONG) != 7)):
            attrs = {"form": form, "start": 1}
            yield _case(f"{form}: {LONG} tokens, {why}", "extreme", attrs, mask=(mask, "int8"))
        for case in tails("positions", "T"):
            yield case._replace(why=f"{form}: {case.why}", attrs={"form": form, "start": 2})
    yield _case("count: one token alone", "mask", {"form": "count", "start": 7}, mask=([[0, 0, 1, 0]], "int8"))


def mean_pool() -> Iterator[Case]:
    row = lengths(-(1 << 31), M31)
    yield _case("means of every bit length", "wide", x=([row], "int32"), mask=([1], "int8"))
    for k in range(1, 11):
        ends = np.full((1 << k, 2), [-(1 << 31), M31])
        mask = np.ones(1 << k, np.int64)
        yield _case(f"sums of {1 << k} tokens at both ends", "wide extreme", x=(ends, "int32"), mask=(mask, "int8"))
    masks = np.array([np.arange(LONG) <= 1 << k for k in range(12)])
    x = np.arange(LONG * 12).reshape(12, LONG, 1) % 127
    yield _case("counts of every bit length", "extreme mask", x=(x, "int8"), mask=(masks, "int8"))
    for k in (12, 13, 14):
        x = np.arange(1 << k)[:, None] % 127
        yield _case(f"the mean of {1 << k} tokens", "extreme", x=(x, "int8"), mask=(np.ones(1 << k, np.int64), "int8"))
    halves = [[s * v for s in (1, -1) for v in (1, 2, 3, 4, 5, 7, 9)]] * 2
    for count in (2, 3, 4):
        tokens = [halves[0], *[[0] * len(halves[0])] * (count - 1)]
        yield _case(f"every remainder of {count} tokens", "tie", x=(tokens, "int16"), mask=([1] * count, "int8"))
    patterns = [[1, 1, 0, 0, 0], [0, 0, 0, 1, 1], [1, 0, 1, 0, 1], [0, 0, 1, 0, 0], [1] * 5, [0] * 5]
    x = np.arange(30).reshape(6, 5, 1) * 17 - 200
    yield _case("a mask of every pattern", "mask", x=(x, "int16"), mask=(patterns, "int8"))
    yield from tails("mean_pool", "T D")


def _moved(op_name: str, axes: str, shape: tuple[int, ...], **attrs: int) -> Iterator[Case]:
    """Elements of every bit length, none of them twice, then axes of every size."""
    for dtype, low, high in (("int64", -(1 << 63), (1 << 63) - 1), ("uint8", 0, 255)):
        values = np.array(lengths(low, high)).astype(np.int64)
        count = -(-len(values) // int(np.prod(shape)))
        x = np.tile(values, 1 + count * int(np.prod(shape)) // len(values))[: count * int(np.prod(shape))]
        x = x.reshape((count, *shape))
        yield _case(f"{dtype} elements of every bit length", "dtype", attrs, x=(x, dtype))
    yield from tails(op_name, axes)


def split_heads() -> Iterator[Case]:
    yield from _moved("split_heads", "T C", (2, 6), heads=2)
    x = np.arange(2 * 300).reshape(2, 300)
    yield _case("300 heads", "axes", {"heads": 300}, x=(x, "int16"))


def select_token() -> Iterator[Case]:
    yield from _moved("select_token", "T D", (2, 6), index=1)
    x = np.arange(2 * 300).reshape(300, 2)
    yield _case("token 299", "axes", {"index": 299}, x=(x, "int16"))


REACH: dict[str, Generator] = {
    "linear": linear,
    "matmul": matmul,
    "linear_int4": linear_int4,
    "embedding": embedding,
    "positions": positions,
    "mean_pool": mean_pool,
    "split_heads": split_heads,
    "merge_heads": partial(_moved, "merge_heads", "H T D", (2, 3, 2)),
    "transpose": partial(_moved, "transpose", "M N", (3, 4)),
    "select_token": select_token,
}
