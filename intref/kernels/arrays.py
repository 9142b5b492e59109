"""Arrays as the compiled functions take them: C order, aligned, writable, of few dtypes, so few are compiled."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np


class _Alias:
    """The memory of a read-only array, for numba, which would otherwise compile every function again for it."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        address = array.__array_interface__["data"][0]
        self.__array_interface__ = {**array.__array_interface__, "data": (address, False)}


def plain(x: Any, dtype: Any = None) -> np.ndarray:
    """x in C order, copied only where it must be. Kernels do not write into their inputs."""
    y = np.require(x, dtype, ["C", "A"])
    return y if y.flags.writeable else np.asarray(_Alias(y))


def rows(x: Any, dtype: Any = None) -> np.ndarray:
    """`plain` x as [rows, size of the last axis]."""
    y = plain(x, dtype)
    return y.reshape(-1, y.shape[-1]) if y.ndim else y.reshape(1, 1)


def along(v: Any, size: int, dtype: Any = np.int64) -> np.ndarray:
    """A vector of length 1 or size, as one of length size."""
    return plain(np.broadcast_to(v, (size,)), dtype)


class Buffers:
    """Memory for results, used again once no array looks at it any more.

    A result is a view of a buffer, so as long as it lives, in the hands of whoever, the buffer has one reference more
    than this list holds, and is left alone.
    """

    def __init__(self) -> None:
        self._by_size: dict[int, list[np.ndarray]] = {}

    def empty(self, shape: Any, dtype: Any) -> np.ndarray:
        """An array of any content, like np.empty."""
        shape = shape if isinstance(shape, tuple) else (shape,)
        dtype = np.dtype(dtype)
        size = prod(shape) * dtype.itemsize
        held = self._by_size.setdefault(1 << (size - 1).bit_length() if size else 0, [])
        room = next((i for i in range(len(held)) if _references(held, i) == _UNUSED), len(held))
        if room == len(held):
            held.append(np.empty(1 << (size - 1).bit_length() if size else 0, np.uint8))
        return held[room][:size].view(dtype).reshape(shape)

    @property
    def count(self) -> int:
        """Of the buffers that were ever needed at once."""
        return sum(map(len, self._by_size.values()))


def _references(held: list[Any], i: int) -> int:
    return sys.getrefcount(held[i])


_UNUSED = _references([np.empty(1, np.uint8)], 0)
_active = threading.local()


@contextmanager
def reusing(buffers: Buffers) -> Iterator[None]:
    """Results of this thread's kernels lie in these buffers."""
    _active.buffers = buffers
    try:
        yield
    finally:
        _active.buffers = None


def empty(shape: Any, dtype: Any) -> np.ndarray:
    """An array of any content for a result."""
    buffers = getattr(_active, "buffers", None)
    return np.empty(shape, dtype) if buffers is None else buffers.empty(shape, dtype)
