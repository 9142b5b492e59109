"""Arrays as the compiled functions take them: C order, aligned, writable, of few dtypes, so few are compiled."""

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
