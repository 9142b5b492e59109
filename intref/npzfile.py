"""Reading npz and npy files that may be anything: arrays without pickles, or one line that says why not."""

import math
import zipfile
from collections import Counter
from collections.abc import Container, Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from intref.atomic import StrPath
from intref.errors import FormatError
from intref.tensorfile import opened, shown

MAX_BYTES = 1 << 33  # of one array: beyond it a header is not believed
# A header is evaluated as a Python literal and a stream is inflated: hostile bytes raise nearly anything.
BAD = (Exception,)
UNKNOWN = "__unknown__"  # of a recording: JSON, as bytes, that says which tensors have digits x or z, and where
Array = NDArray[Any]


def members(path: StrPath) -> dict[str, int]:
    """Every array of an npz archive, and the bytes that the archive says it takes; FormatError if it is not one."""
    with _archive(path) as archive:
        return {name: entry.file_size for name, entry in _entries(path, archive).items()}


def read_npz(path: StrPath, only: Container[str] | None = None) -> dict[str, Array]:
    """The arrays of an npz archive, all or only some; FormatError, naming file and member, if one cannot be read.

    A member's size is taken from its own header and checked against what the archive says it holds before anything is
    allocated. Dtypes are the caller's to check; object arrays are refused.
    """
    arrays = {}
    with _archive(path) as archive:
        for name, entry in _entries(path, archive).items():
            if only is None or name in only:
                with archive.open(entry) as stream:
                    arrays[name] = _array(f"{path}: member {shown(entry.filename)}", stream, entry.file_size)
    return arrays


def read_npy(path: StrPath) -> Array:
    """The array of an npy file; FormatError, naming it, if it is not one."""
    with opened(path) as file:
        size = file.seek(0, 2)
        file.seek(0)
        try:
            return _array(str(path), file, size)
        except FormatError:
            raise
        except BAD as error:
            raise FormatError(f"{path}: expected an npy array, found {shown(str(error))}") from None


@contextmanager
def _archive(path: StrPath) -> Iterator[zipfile.ZipFile]:
    with opened(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                yield archive
        except FormatError:
            raise
        except BAD as error:
            raise FormatError(f"{path}: expected an npz archive of arrays, found {shown(str(error))}") from None


def _entries(path: StrPath, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The members by the names of their arrays; FormatError for a name that two have."""
    named = [(entry.filename.removesuffix(".npy"), entry) for entry in archive.infolist()]
    table = dict(named)
    if len(table) < len(named):
        ((name, count),) = Counter(name for name, _ in named).most_common(1)
        raise FormatError(f"{path}: member {shown(name)}: expected once, found {count} times")
    return table


def _array(at: str, stream: IO[bytes], held: int) -> Array:
    major, _ = npy.read_magic(stream)
    shape, fortran, dtype = (npy.read_array_header_1_0 if major == 1 else npy.read_array_header_2_0)(stream)
    size = math.prod(shape) * dtype.itemsize
    if dtype.hasobject or not 0 <= size <= min(MAX_BYTES, held):
        raise FormatError(f"{at}: expected an array of at most {held} bytes, found {dtype} {shape}")
    data = stream.read(size)
    if len(data) != size:
        raise FormatError(f"{at}: expected {size} bytes, found {len(data)}")
    if stream.read(1):
        raise FormatError(f"{at}: expected {size} bytes of {dtype} {shape}, found more after them")
    array: Array = np.frombuffer(bytearray(data), dtype)
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)
