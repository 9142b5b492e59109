"""Reaching cases of GELU and of tables."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref.vectors.case import Case, Generator
from intref.vectors.reach.sweeps import fill, lengths, tails

M31 = (1 << 31) - 1


def _ibert(why: str, flags: str, x: Any, b: Any = 0, c: Any = 0, one: Any = 0) -> Case:
    tensors = {"x": np.array(x, np.int32)}
    many = max(np.array(v).size for v in (b, c, one))
    tensors |= {name: fill(value, many, "int64") for name, value in (("b", b), ("c", c), ("one", one))}
    return Case(why, tensors, {}, (*flags.split(),))


def gelu_ibert() -> Iterator[Case]:
    yield _ibert("an x of every bit length", "wide", [lengths(-M31, M31)], one=3)
    b = lengths(-(1 << 24), 0)
    yield _ibert("a cut of every bit length", "wide", [[5] * len(b), [-5] * len(b), [-v for v in b], b], b, one=-7)
    c = lengths(-(1 << 44), 1 << 44)
    yield _ibert("a c of every bit length", "wide", [[1] * len(c), [-1] * len(c), [2] * len(c)], c=c)
    one = lengths(-(1 << 30), 1 << 30)
    yield _ibert("a one of every bit length", "wide", [[3] * len(one), [-3] * len(one)], one=one)
    yield _ibert("either side of the cut, by one", "clip", [[99, 100, 101, 98, -99, -100, -101]], -100, 1 << 15, 9)
    products = [s << k for k in range(30) for s in (1, -1)]
    yield _ibert("products of every length", "wide", [products], -(1 << 10), 1 << 20, 1 << 12)
    yield from tails("gelu_ibert", "D")


def _table(why: str, flags: str, x: Any, fraction: int, table: Any) -> Case:
    tensors = {"x": np.array(x, np.int32), "table": fill(table, 513, "int32")}
    return Case(why, tensors, {"fraction": fraction}, (*flags.split(),))


def gelu_table() -> Iterator[Case]:
    falling = [(512 - i) ** 2 << 4 for i in range(513)]
    for fraction in range(6, 24):
        cut = min(8 << fraction, 1 << 23)
        x = [s * v for v in (0, 1, 77, cut - 1, cut, cut // 3) for s in (1, -1)]
        yield _table(f"{fraction} fraction bits", "extreme", x, fraction, falling)
    yield _table("an x of every bit length", "wide", lengths(-(1 << 23), 1 << 23), 20, falling)
    entries = [*lengths(0, 1 << 22), *[1 << 21] * 513][:513]
    yield _table("entries of every bit length", "extreme", [*range(64)], 6, entries)


def table() -> Iterator[Case]:
    for dtype, low, high in (("int32", -(1 << 31), M31), ("int16", -(1 << 15), (1 << 15) - 1), ("int8", -128, 127)):
        entries = [*lengths(low, high), *[3] * 256][:256]
        tensors = {"x": np.arange(-128, 128).astype(np.int8), "entries": np.array(entries, np.int64).astype(dtype)}
        yield Case(f"{dtype} entries of every bit length", tensors, {}, ("dtype",))


REACH: dict[str, Generator] = {"gelu_ibert": gelu_ibert, "gelu_table": gelu_table, "table": table}
