"""hypothesis strategies of integers and integer arrays: the ends of a range, powers of two, ties, odd layouts.

A small array repeats a short list of drawn numbers, so that an example shrinks to one element if one element fails:
the list loses the others, and the shape, which is drawn on its own, follows. Large arrays begin with that list and go
on from a drawn seed, so that they stay cheap.
"""

from collections.abc import Callable
from functools import cache
from math import prod
from typing import Any

import numpy as np
from hypothesis import strategies as st

from intref.errors import SpecError
from intref.ops.op import dtype_range
from intref.vectors import SplitMix64

Draw = Callable[[st.SearchStrategy[Any]], Any]
Shape = tuple[int, ...]
DRAWN = 16  # numbers that are drawn one by one, at most
SMALL = 64  # elements of an array that has no others
KINDS = ("repeated", "equal", "ends", "magnitudes", "uniform")
LAYOUTS = ("C", "F", "every other", "reversed", "read-only", "misaligned")
DTYPES = ("int8", "uint8", "int16", "int32", "int64")


@cache
def elements(low: int, high: int) -> st.SearchStrategy[int]:
    """Integers in [low, high], the ends, their neighbours and powers of two more often than others."""
    if low == high:
        return st.just(low)
    ends = {v: v for v in (0, 1, -1, high, low, high - 1, low + 1) if low <= v <= high}
    powers = [v for k in range(64) for v in (1 << k, -(1 << k)) if low <= v <= high]
    # Hypothesis draws nothing to choose one of one, and takes the example with fewer draws for the smaller one.
    several = [st.sampled_from([*given]) for given in (ends, powers) if len(given) > 1]
    return st.one_of(st.integers(low, high), *several)


def shapes(max_ndim: int = 3, max_size: int = 9) -> st.SearchStrategy[Shape]:
    """Shapes of 0 to max_ndim axes, each of 1 to max_size."""
    return st.lists(st.integers(1, max_size), max_size=max_ndim).map(tuple)


def integer_arrays(
    dtype: str | st.SearchStrategy[str] | None = None,
    shape: Shape | st.SearchStrategy[Shape] | None = None,
    low: int | None = None,
    high: int | None = None,
) -> st.SearchStrategy[np.ndarray]:
    """Integer arrays with elements in [low, high], by default the dtype's range.

    dtype: one of int8, uint8, int16, int32, int64, or a strategy of these; None: any. shape: a tuple or a strategy;
    None: `shapes()`. SpecError for another dtype, a shape that is none, and a range that is empty or wider than the
    dtype; when an example is drawn, if it is a strategy that gives them.
    """
    dtypes = dtype if isinstance(dtype, st.SearchStrategy) else st.sampled_from([_known(dtype)] if dtype else DTYPES)
    sizes = shape if isinstance(shape, st.SearchStrategy) else shapes() if shape is None else st.just(_sizes(shape))
    if isinstance(dtype, str):
        _range(dtype, low, high)
    return _arrays(dtypes, sizes, low, high)


@st.composite
def _arrays(
    draw: Draw, dtypes: st.SearchStrategy[str], shapes: st.SearchStrategy[Shape], low: int | None, high: int | None
) -> np.ndarray:
    dtype, shape = _known(draw(dtypes)), _sizes(draw(shapes))
    return filled(draw, shape, *_range(dtype, low, high), dtype)


def _known(dtype: Any) -> str:
    name = getattr(dtype, "__name__", str(dtype))  # np.int8 as well
    if name not in DTYPES:
        raise SpecError(f"integer_arrays: dtype must be one of {', '.join(DTYPES)}, not {name!r}")
    return str(name)


def _sizes(shape: Any) -> Shape:
    if not isinstance(shape, (tuple, list)) or not all(isinstance(n, (int, np.integer)) and n >= 0 for n in shape):
        raise SpecError(f"integer_arrays: shape must be a tuple of sizes of at least 0, not {shape!r}")
    return tuple(map(int, shape))


def _range(dtype: str, low: int | None, high: int | None) -> tuple[int, int]:
    ends = dtype_range(dtype)
    low, high = ends[0] if low is None else low, ends[1] if high is None else high
    if not ends[0] <= low <= high <= ends[1]:
        raise SpecError(f"integer_arrays: expected low <= high inside the range of {dtype}, found [{low}, {high}]")
    return low, high


def filled(draw: Draw, shape: Shape, low: int, high: int, dtype: str) -> np.ndarray:
    """An array of the shape: a list of drawn numbers, repeated, or where it is large, followed by others."""
    size = prod(shape)
    first = np.array(draw(_some(low, high)), np.int64)
    flat = np.resize(first, size)
    if size > SMALL:
        flat[len(first) :] = _rest(draw, flat[len(first) :], low, high)
    return flat.astype(dtype).reshape(shape)


@cache
def _some(low: int, high: int) -> st.SearchStrategy[list[int]]:
    return st.lists(elements(low, high), min_size=1, max_size=DRAWN)


def _rest(draw: Draw, repeated: np.ndarray, low: int, high: int) -> Any:
    kind = draw(st.sampled_from(KINDS))
    if kind in ("repeated", "equal"):
        return repeated if kind == "repeated" else repeated[0]
    stream, count = SplitMix64(draw(st.integers(0, (1 << 32) - 1))), len(repeated)
    if kind == "ends":
        corners = np.array([v for v in (low, low + 1, -1, 0, 1, high - 1, high) if low <= v <= high], np.int64)
        return corners[stream.integers(0, len(corners) - 1, count, "int64")]
    uniform = stream.integers(low, high, count, "int64")
    if kind == "magnitudes":
        uniform = np.clip(uniform >> stream.integers(0, 62, count, "int64"), low, high)
    return uniform


@cache
def multipliers(low: int = -(1 << 31), high: int = (1 << 31) - 1) -> st.SearchStrategy[int]:
    """Multipliers in [low, high]: small ones and powers of two, which make exact ties, normalized ones, the ends."""
    normalized = st.integers(max(low, 1 << 30), high) if high >= 1 << 30 else st.integers(low, high)
    return st.one_of(elements(low, high), st.integers(max(low, -16), min(high, 16)), normalized)


@st.composite
def rescale_pairs(
    draw: Draw, length: int | None = None, shifts: tuple[int, int] = (0, 62), signed: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """(multiplier int32 [length], shift int8 [length]) of a rescale; length None: 1 to 9.

    Many shifts are such that the multiplier itself, and so every odd input, gives an exact tie.
    """
    count = draw(st.integers(1, 9)) if length is None else length
    m = [draw(multipliers(low=-(1 << 31) if signed else 0)) for _ in range(count)]
    s = [draw(near_shifts(v, *shifts)) for v in m]
    return np.array(m, np.int32), np.array(s, np.int8)


def near_shifts(multiplier: int, low: int, high: int, x: int = 1) -> st.SearchStrategy[int]:
    """Shifts in [low, high], a third of them the one that makes x * multiplier an exact tie, many that leave a few
    bits of it, some about 32 and at the ends."""
    product = abs(x * multiplier)
    bits, tie = product.bit_length(), (product & -product).bit_length()
    near = [tie, *range(bits - 8, bits + 2), 31, 32, 62, 63, low, high]
    legal = st.sampled_from([s for s in near if low <= s <= high])
    return st.one_of(st.integers(low, high), legal, st.just(tie) if low <= tie <= high else legal)


def laid_out(draw: Draw, x: np.ndarray) -> np.ndarray:
    """The same elements with other strides, order, alignment or flags."""
    kind = draw(st.sampled_from(LAYOUTS))
    if kind == "F":
        x = x.T.copy().T
    elif kind == "every other" and x.ndim:
        x = np.repeat(x, 2, axis=-1)[..., ::2]
    elif kind == "reversed" and x.ndim:
        x = x[::-1].copy()[::-1]
    elif kind == "misaligned":
        buffer = np.empty(x.nbytes + 1, np.uint8)
        shifted = buffer[1:].view(x.dtype).reshape(x.shape)
        shifted[...] = x
        x = shifted
    elif kind == "read-only":
        x = x.copy()
        x.flags.writeable = False
    return x
