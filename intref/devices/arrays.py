"""Arrays of other libraries as NumPy arrays, without a change of type."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np


def as_array(value: Any) -> np.ndarray:
    """The same elements in the same dtype, native byte order; TypeError, saying what it is, for anything else.

    NumPy arrays and scalars are taken as they are (strides and byte order are layout, no value); anything else by
    DLPack, moved to the host where it lies on a device (torch: .cpu(), CuPy: .get(), JAX: __array__), and believed
    only if the dtype is the one that the object names: torch hands its int4 over as int8. Lists, Python numbers and
    whatever else NumPy would have to find a dtype for are refused, and so are masked arrays: what is hidden is no
    answer.
    """
    if isinstance(value, np.ndarray) and hasattr(value, "mask"):
        raise TypeError(type(value).__name__)
    if isinstance(value, (np.ndarray, np.generic)):
        return _native(np.asarray(value))
    for attempt in _ways(value):
        with suppress(Exception):  # a stranger's code: whatever it raises, the next way is tried
            made = attempt()
            if isinstance(made, np.ndarray) and made.dtype.name == _dtype_name(value, made):
                return _native(made)
    raise TypeError(described(value))


def described(value: Any) -> str:
    """What a thing is, for a message: the dtype it names, else its type."""
    kind = type(value).__name__
    return f"{kind} of {value.dtype}" if hasattr(value, "dtype") else kind


def _dtype_name(value: Any, made: np.ndarray) -> str:
    """The name of the dtype that an object says it has; that of what was made of it, if it does not say."""
    dtype = getattr(value, "dtype", made.dtype)
    return str(getattr(dtype, "name", dtype)).rpartition(".")[2]


def _native(array: np.ndarray) -> np.ndarray:
    native = array.dtype.newbyteorder("=")
    return array if array.dtype == native else array.astype(native)


def _ways(value: Any) -> Iterator[Callable[[], Any]]:
    if not hasattr(value, "__dlpack__"):
        return
    yield lambda: np.from_dlpack(value)
    if hasattr(value, "cpu"):
        yield lambda: np.from_dlpack(value.cpu())
    if hasattr(value, "get"):
        yield value.get
    yield lambda: np.asarray(value)
