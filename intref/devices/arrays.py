"""Arrays of other libraries as NumPy arrays, without a change of type."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np

TRACED = ("Tracer", "FakeTensor", "FunctionalTensor")  # classes of JAX and of torch


def as_array(value: Any) -> np.ndarray:
    """The same elements in the same dtype, native byte order; TypeError, saying what it is, for anything else.

    NumPy arrays and scalars are taken as they are (strides and byte order are layout, no value); anything else by
    DLPack, moved to the host where it lies on a device (torch: .cpu(), CuPy: .get(), JAX: __array__), and believed
    only if the dtype is the one that the object names: torch hands its int4 over as int8. Lists, Python numbers and
    whatever else NumPy would have to find a dtype for are refused, and so are masked arrays: what is hidden is no
    answer. What has no elements to read, as sparse, meta and traced tensors, is refused with the reason.
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
    """What a thing is, for a message: its type, the dtype it names, and why its elements cannot be read."""
    kind, why = type(value).__name__, _unreadable(value)
    return f"{f'{kind} of {value.dtype}' if hasattr(value, 'dtype') else kind}{why and f', which {why}'}"


def _unreadable(value: Any) -> str:
    """Why a tensor of torch or JAX has no elements in memory, of which DLPack would give whatever lies there."""
    if any(kind.__name__ in TRACED for kind in type(value).__mro__):
        return "is traced and has no elements yet"
    if getattr(value, "is_meta", False) is True:
        return "is a meta tensor without elements"
    return "is sparse, not dense" if str(getattr(value, "layout", "")).startswith("torch.sparse") else ""


def _dtype_name(value: Any, made: np.ndarray) -> str:
    """The name of the dtype that an object says it has; that of what was made of it, if it does not say."""
    dtype = getattr(value, "dtype", made.dtype)
    return str(getattr(dtype, "name", dtype)).rpartition(".")[2]


def _native(array: np.ndarray) -> np.ndarray:
    native = array.dtype.newbyteorder("=")
    return array if array.dtype == native else array.astype(native)


def _ways(value: Any) -> Iterator[Callable[[], Any]]:
    if not hasattr(value, "__dlpack__") or _unreadable(value):
        return
    if callable(getattr(value, "is_neg", None)) and value.is_neg():
        value = value.resolve_neg()  # a view of torch whose memory holds the negated elements
    yield lambda: np.from_dlpack(value)
    if hasattr(value, "cpu"):
        yield lambda: np.from_dlpack(value.cpu())
    if hasattr(value, "get"):
        yield value.get
    yield lambda: np.asarray(value)
