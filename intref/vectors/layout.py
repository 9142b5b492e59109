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
EQUIVALENT: dict[str, dict[str, str]] = {
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


CASES: dict[str, Generator] = {
    "split_heads": split_heads,
    "merge_heads": merge_heads,
    "transpose": transpose,
    "select_token": select_token,
}
_WRONG: list[Broken] = [{"x": np.zeros((3, 4), bool)}, {"x": np.zeros((3, 4), np.uint16)}]
_FLAT: list[Broken] = [{"x": np.zeros(4, np.int8)}, {"x": np.zeros((0, 4), np.int8)}]
REFUSED: dict[str, dict[str, list[Broken]]] = {
    "split_heads": {"C1": _WRONG, "C2": _FLAT, "C4": [{"heads": 0}, {"heads": 4097}], "C5": [{"heads": 5}]},
    "merge_heads": {"C1": _WRONG, "C2": [*_FLAT, {"x": np.zeros((3, 4), np.int8)}], "C4": [{"heads": 1}]},
    "transpose": {"C1": _WRONG, "C2": _FLAT, "C4": [{"axis": 0}]},
    "select_token": {"C1": _WRONG, "C2": _FLAT, "C4": [{"index": -1}, {"index": (1 << 20) + 1}], "C5": [{"index": 3}]},
}
