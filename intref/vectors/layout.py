"""Directed cases of the ops that only move elements."""

from collections.abc import Iterator

import numpy as np

from intref.ops.op import dtype_range
from intref.vectors.asked import asked
from intref.vectors.case import Broken, Case, Generator

DTYPES = ("int8", "uint8", "int16", "int32", "int64")
_FOUND = "NumPy takes any negative size for the one that it is to find"
_SPLIT = "return {'y': swap(x.reshape((*x.shape[:-1], heads, x.shape[-1] // heads)), -2, -3)}"
_MERGE = "return {'y': swap(x, -2, -3).reshape((*lead, rows, heads * width))}"
_WIDTH = "y is as wide as what was read: modulo that width the two readings agree"
HARMLESS: dict[str, dict[str, str]] = {
    **{name: {"x read as *": _WIDTH} for name in ("reshape", "swap_axes", "slice_rows")},
    "concat_rows": {"? read as *": _WIDTH},
}
EQUIVALENT: dict[str, dict[str, str]] = {
    "reshape": {
        f"d{i} -> -d{i} in return {{'y': x.reshape(({', '.join(f'd{k}' for k in range(n))}{',' * (n == 1)}))}}": _FOUND
        for n in range(1, 7)
        for i in range(n)
    },
    "concat_rows": {
        "0 -> -1 in before, after = (a[..., minimum(i, split - 1), :], b[..., maximum(i - split, 0), :])": "before "
        "the split, what is read of b is not taken",
    },
    "split_heads": {f"heads -> -heads in {_SPLIT}": _FOUND, f"heads -> -heads in {_SPLIT} #2": _FOUND},
    "merge_heads": {f"{name} -> -{name} in {_MERGE}": _FOUND for name in ("rows", "heads", "width")},
}


def _numbered(shape: tuple[int, ...], dtype: str = "int8", high: int = 127) -> np.ndarray:
    """All elements different, counted down from high."""
    return (high - np.arange(np.prod(shape), dtype=np.int64)).astype(dtype).reshape(shape)


def _case(why: str, flags: str, x: np.ndarray, **attrs: int) -> Case:
    return Case(why, {"x": x}, attrs, (*flags.split(),))


def _each_dtype(*shape: int, **attrs: int) -> Iterator[Case]:
    for dtype in DTYPES:
        low, high = (0, 255) if dtype == "uint8" else dtype_range(dtype)
        x = _numbered(shape, dtype, high)
        x.flat[-1] = low
        yield _case(f"extremes of {dtype}", "dtype extreme", x, **attrs)


def split_heads() -> Iterator[Case]:
    """Unequal T, H and D; one of each; leading axes."""
    yield _case("T, H and D differ", "axes", _numbered((2, 12)), heads=3)
    yield _case("one head", "degenerate axes", _numbered((3, 4)), heads=1)
    yield _case("heads of one element", "degenerate axes", _numbered((3, 4)), heads=4)
    yield _case("one token", "degenerate axes", _numbered((1, 6)), heads=2)
    yield _case("two leading axes", "axes", _numbered((2, 3, 2, 8)), heads=4)
    yield from _each_dtype(2, 6, heads=2)
    yield from asked("split_heads")


def merge_heads() -> Iterator[Case]:
    """The inverse of split_heads on the same shapes."""
    yield _case("T, H and D differ", "axes", _numbered((3, 2, 4)))
    yield _case("one head", "degenerate axes", _numbered((1, 3, 4)))
    yield _case("heads of one element", "degenerate axes", _numbered((4, 3, 1)))
    yield _case("one token", "degenerate axes", _numbered((2, 1, 3)))
    yield _case("two leading axes", "axes", _numbered((2, 3, 4, 2, 2)))
    yield from _each_dtype(2, 2, 3)
    yield from asked("merge_heads")


def transpose() -> Iterator[Case]:
    """Rectangles, rows and columns, leading axes."""
    yield _case("a rectangle", "axes", _numbered((2, 3)))
    yield _case("one row", "degenerate axes", _numbered((1, 4)))
    yield _case("one column", "degenerate axes", _numbered((4, 1)))
    yield _case("two leading axes", "axes", _numbered((2, 3, 4, 5)))
    yield from _each_dtype(3, 2)
    yield from asked("transpose")


def select_token() -> Iterator[Case]:
    """The first, an inner and the last token."""
    for index in range(3):
        yield _case(f"token {index} of 3", "axes", _numbered((3, 2)), index=index)
    yield _case("one token", "degenerate", _numbered((1, 2)), index=0)
    yield _case("two leading axes", "axes", _numbered((2, 2, 3, 4)), index=1)
    yield from _each_dtype(2, 3, index=1)
    yield from asked("select_token")


def _reshaped(why: str, flags: str, x: np.ndarray, *sizes: int) -> Case:
    attrs = {"rank": str(len(sizes)), **{f"d{i}": n for i, n in enumerate(sizes)}}
    return Case(why, {"x": x}, attrs, (*flags.split(),))


def reshape() -> Iterator[Case]:
    """To every rank, from others; sizes of 1 anywhere."""
    yield _reshaped("to one axis", "axes", _numbered((2, 3, 4)), 24)
    yield _reshaped("one axis to two", "axes", _numbered((12,)), 3, 4)
    yield _reshaped("two axes to three", "axes", _numbered((6, 4)), 2, 3, 4)
    yield _reshaped("a cut across the old axes", "axes", _numbered((3, 4)), 2, 6)
    yield _reshaped("to four axes", "axes", _numbered((4, 6)), 2, 3, 2, 2)
    yield _reshaped("to five axes", "axes", _numbered((2, 3, 4)), 3, 1, 2, 2, 2)
    yield _reshaped("to six axes", "axes", _numbered((8, 9)), 3, 2, 2, 1, 3, 2)
    yield _reshaped("six axes to one", "axes", _numbered((2, 1, 2, 3, 1, 2)), 24)
    yield _reshaped("one element", "degenerate", _numbered((1, 1)), 1, 1, 1)
    yield _reshaped("a scalar", "degenerate", _numbered(()), 1)
    yield _reshaped("a long last axis of six", "axes", _numbered((512,)), 1, 2, 1, 1, 1, 256)
    yield _reshaped("2**30", "extreme", np.array([1 << 30, -5], np.int32), 2, 1)
    for dtype in DTYPES:
        low, high = (0, 255) if dtype == "uint8" else dtype_range(dtype)
        x = _numbered((2, 3), dtype, high)
        x.flat[-1] = low
        yield _reshaped(f"extremes of {dtype}", "dtype extreme", x, 3, 2)


def swap_axes() -> Iterator[Case]:
    """Unequal M, N and D; one of each; leading axes."""
    yield _case("M, N and D differ", "axes", _numbered((2, 3, 4)))
    yield _case("M = 1", "degenerate axes", _numbered((1, 3, 4)))
    yield _case("N = 1", "degenerate axes", _numbered((4, 1, 2)))
    yield _case("D = 1", "degenerate axes", _numbered((4, 3, 1)))
    yield _case("two leading axes", "axes", _numbered((2, 3, 4, 2, 2)))
    yield _case("2**30", "extreme", np.array([[[1 << 30], [-5]]], np.int32))
    yield from _each_dtype(2, 2, 3)


def slice_rows() -> Iterator[Case]:
    """The first, the last, some and all rows; steps; one row many times."""
    yield _case("two rows in the middle of five", "axes", _numbered((5, 2)), start=1, step=1, count=2)
    yield _case("every third from the second to the last", "axes", _numbered((8, 3)), start=1, step=3, count=3)
    yield _case("the last row alone", "degenerate axes", _numbered((4, 2)), start=3, step=7, count=1)
    yield _case("one row four times", "axes", _numbered((3, 2)), start=1, step=0, count=4)
    yield _case("all rows", "axes", _numbered((3, 1)), start=0, step=1, count=3)
    yield _case("two leading axes", "axes", _numbered((2, 2, 4, 3)), start=0, step=2, count=2)
    yield _case("a long step", "axes", _numbered((600, 1)), start=10, step=300, count=2)
    yield _case("2**30", "extreme", np.array([[1 << 30], [-5]], np.int32), start=0, step=1, count=1)
    yield from _each_dtype(2, 3, start=0, step=1, count=2)


def _joined(why: str, flags: str, a: np.ndarray, b: np.ndarray) -> Case:
    return Case(why, {"a": a, "b": b}, {}, (*flags.split(),))


def concat_rows() -> Iterator[Case]:
    """Sides of different lengths, of one row, with leading axes."""
    yield _joined("T and U differ", "axes", _numbered((2, 3)), -_numbered((3, 3)))
    yield _joined("one row each", "degenerate axes", _numbered((1, 2)), -_numbered((1, 2)))
    yield _joined("one row before three", "axes", _numbered((1, 1)), -_numbered((3, 1)))
    yield _joined("three rows before one", "axes", _numbered((3, 2)), -_numbered((1, 2)))
    yield _joined("2**30", "extreme", np.array([[1 << 30, 1]], np.int32), np.array([[2, 1 << 30]], np.int32))
    yield _joined("two leading axes", "axes", _numbered((2, 2, 1, 3)), -_numbered((2, 2, 2, 3)))
    for dtype in DTYPES:
        low, high = (0, 255) if dtype == "uint8" else dtype_range(dtype)
        a, b = np.array([[low, 1], [2, high]], dtype), np.array([[high, 3], [low, 4], [5, 6]], dtype)
        yield _joined(f"extremes of {dtype}", "dtype extreme", a, b)


CASES: dict[str, Generator] = {
    "split_heads": split_heads,
    "merge_heads": merge_heads,
    "transpose": transpose,
    "select_token": select_token,
    "reshape": reshape,
    "swap_axes": swap_axes,
    "slice_rows": slice_rows,
    "concat_rows": concat_rows,
}
_WRONG: list[Broken] = [{"x": np.zeros((3, 4), bool)}, {"x": np.zeros((3, 4), np.uint16)}]
_FLAT: list[Broken] = [{"x": np.zeros(4, np.int8)}, {"x": np.zeros((0, 4), np.int8)}]
REFUSED: dict[str, dict[str, list[Broken]]] = {
    "split_heads": {"C1": _WRONG, "C2": _FLAT, "C4": [{"heads": 0}, {"heads": 4097}], "C5": [{"heads": 5}]},
    "merge_heads": {"C1": _WRONG, "C2": [*_FLAT, {"x": np.zeros((3, 4), np.int8)}], "C4": [{"heads": 1}]},
    "transpose": {"C1": _WRONG, "C2": _FLAT, "C4": [{"axis": 0}]},
    "select_token": {"C1": _WRONG, "C2": _FLAT, "C4": [{"index": -1}, {"index": (1 << 20) + 1}], "C5": [{"index": 3}]},
    "reshape": {
        "C1": _WRONG,
        "C2": [{"x": np.zeros((0, 4), np.int8)}],
        "C4": [{"rank": "7"}, {"d0": 0}, {"d0": (1 << 24) + 1}, {"d5": 0}],
        "C5": [{"d0": 25}, {"d0": 12}, {"x": np.zeros((23, 1), np.int8)}],
        "C6": [{"d0": 12, "d1": 2}, {"d0": 8, "d5": 3}],
    },
    "swap_axes": {"C1": _WRONG, "C2": [*_FLAT, {"x": np.zeros((3, 4), np.int8)}], "C4": [{"axis": 1}]},
    "slice_rows": {
        "C1": _WRONG,
        "C2": _FLAT,
        "C4": [{"start": -1}, {"step": -1}, {"count": 0}, {"count": (1 << 24) + 1}],
        "C5": [{"start": 4}, {"step": 4}, {"count": 5}],
    },
    "concat_rows": {
        "C1": [{"a": np.zeros((2, 3), bool)}, {"b": np.zeros((2, 3), np.uint16)}],
        "C2": [
            {"b": np.zeros((3, 2), np.int8)},
            {"a": np.zeros(3, np.int8)},
            {"b": np.zeros((0, 3), np.int8)},
            {"a": np.zeros((2, 2, 3), np.int8)},
        ],
        "C4": [{"axis": 1}],
        "C5": [{"b": np.zeros((3, 3), np.uint8)}],
    },
}
