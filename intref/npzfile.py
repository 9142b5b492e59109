"""Reading npz archives that may be anything: arrays without pickles, or one line that says why not."""

import math
import zipfile
import zlib
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from intref.atomic import StrPath
from intref.errors import FormatError
from intref.tensorfile import opened, shown

MAX_BYTES = 1 << 33  # of one array: beyond it a header is not believed
BAD_ARCHIVE = (OSError, ValueError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error)


def read_npz(path: StrPath) -> dict[str, NDArray[Any]]:
    """Every array of an npz archive; FormatError, naming the file and the member, if one cannot be read.

    A member's size is taken from its own header and checked against what the archive says it holds before anything is
    allocated. Dtypes are the caller's to check; object arrays are refused.
    """
    arrays = {}
    with opened(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                for member in archive.infolist():
                    arrays[member.filename.removesuffix(".npy")] = _array(path, archive, member)
        except BAD_ARCHIVE as error:
            raise FormatError(f"{path}: expected an npz archive of arrays, found {shown(str(error))}") from None
    return arrays


def _array(path: StrPath, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    at = f"{path}: member {shown(member.filename)}"
    with archive.open(member) as stream:
        major, _ = npy.read_magic(stream)
        shape, fortran, dtype = (npy.read_array_header_1_0 if major == 1 else npy.read_array_header_2_0)(stream)
        size = math.prod(shape) * dtype.itemsize
        if dtype.hasobject or size > min(MAX_BYTES, member.file_size):
            raise FormatError(f"{at}: expected an array of at most {member.file_size} bytes, found {dtype} {shape}")
        data = stream.read(size)
    if len(data) != size:
        raise FormatError(f"{at}: expected {size} bytes, found {len(data)}")
    array = np.frombuffer(bytearray(data), dtype)
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)
