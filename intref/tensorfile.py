"""Safetensors files, read with suspicion and written reproducibly.

A safetensors file is an 8-byte little-endian header length, a JSON header, and the tensors' bytes back to back.
Every claim of the header is checked against the file before memory is spent on it, so a hostile file costs one
`FormatError` line. The data is mapped, never copied: reading a 4 GB model costs what is touched of it.
"""

import json
import mmap
import os
import re
import reprlib
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BufferedReader
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from intref.atomic import StrPath, kind, os_error, write_atomically, write_directory_atomically
from intref.errors import FormatError

Array = NDArray[Any]

__all__ = ["BITS", "INTEGERS", "Entry", "TensorFile", "open_tensors", "parse_json", "read_integers", "read_json"]
__all__ += ["shown", "write_atomically", "write_directory_atomically", "write_tensors"]

MAX_HEADER = 100_000_000  # bytes; the format's own limit
MAX_BRACKETS = 3_000_000  # a million tensors; bounds the memory that parsing the header can take
HEADER_DEPTH = 3  # file -> tensor -> shape
MAX_AXES = 8
MAX_ELEMENTS = 1 << 47  # what an address space holds

# Bits per element of every dtype the format names; those of INTEGERS can be read as arrays here.
BITS = {
    **{"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8},
    **{"F8_E5M2FNUZ": 8, "BOOL": 8, "I8": 8, "U8": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32},
    **{"U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64, "C64": 64},
}
INTEGERS = {
    **{"U64": "uint64", "I64": "int64", "U32": "uint32", "I32": "int32", "U16": "uint16", "I16": "int16"},
    **{"I8": "int8", "U8": "uint8", "BOOL": "bool"},
}
_CODES = {name: code for code, name in INTEGERS.items()}
_ORDER = {name: order for order, name in enumerate(_CODES)}  # of dtypes in a file, as the library has it

# Possessive repeats: linear in time and memory however long the string.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")

_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = 80


def shown(value: object) -> str:
    """A value of a file as one short printable piece of an error line."""
    return _short.repr(value)


@dataclass(frozen=True)
class Entry:
    """One tensor's row in the header: dtype code, shape, and its bytes [begin, end) after the header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class TensorFile:
    """A checked safetensors file, its data mapped read-only for as long as an array of it is alive."""

    path: Path
    metadata: dict[str, str]
    entries: dict[str, Entry]
    _data: NDArray[np.uint8] = field(repr=False, compare=False)

    def raw(self, name: str) -> NDArray[np.uint8]:
        """The bytes of one tensor, uint8 [size]; FormatError if there is no such tensor."""
        entry = self.entries.get(name)
        if entry is None:
            raise FormatError(f"{self.path}: expected a tensor {shown(name)}, found none of that name")
        return self._data[entry.begin : entry.end]

    def integers(self, name: str) -> Array:
        """One integer tensor, read-only: a view of the file, or a copy where the file does not align it.

        FormatError if the tensor is absent or not of an integer dtype, or a BOOL byte is neither 0 nor 1.
        """
        raw, entry = self.raw(name), self.entries[name]
        if entry.dtype not in INTEGERS:
            raise _wrong(self.path, f"tensor {shown(name)}", "an integer dtype", entry.dtype)
        if entry.dtype == "BOOL" and raw.size and int(raw.max()) > 1:
            raise _wrong(self.path, f"tensor {shown(name)}", "BOOL bytes 0 or 1", str(int(raw.max())))
        stored = np.dtype(INTEGERS[entry.dtype]).newbyteorder("<")
        array = raw.view(stored).reshape(entry.shape)
        if not (array.flags.aligned and stored.isnative):
            array = array.astype(stored.newbyteorder("="))
        array.flags.writeable = False
        return array


def _wrong(path: Path, place: str, expected: str, found: str) -> FormatError:
    return FormatError(f"{path}: {place}: expected {expected}, found {found}")


def open_tensors(path: StrPath) -> TensorFile:
    """Check a safetensors file's header and map its data.

    FormatError, one line, for a file that cannot be read or whose header lies in any way.
    """
    path = Path(path)
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        header = _header_bytes(path, file, size)
        start = 8 + len(header)
        parsed = parse_json(path, header, "header", HEADER_DEPTH)
        metadata = _metadata(path, parsed.pop("__metadata__", {}))
        entries = {name: _entry(path, name, row) for name, row in parsed.items()}
        _check_layout(path, entries, size - start)
        whole = np.frombuffer(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ), np.uint8)
    return TensorFile(path, metadata, entries, whole[start:])


def read_integers(path: StrPath) -> tuple[dict[str, Array], dict[str, str]]:
    """Every tensor of a file of integers, read-only, and the metadata; a tensor of another dtype is a FormatError."""
    file = open_tensors(path)
    return {name: file.integers(name) for name in file.entries}, file.metadata


@contextmanager
def opened(path: StrPath) -> Iterator[BufferedReader]:
    """A regular file, open to be read; FormatError, naming it, if it is another thing or cannot be read."""
    try:
        # A pipe would block at open, a device has no end: neither is a file of tensors.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise FormatError(f"{path}: expected a regular file, found {kind(Path(path))}")
        with open(path, "rb") as file:
            yield file
    except (OSError, ValueError) as error:
        raise os_error(path, "read", error) from error


def _header_bytes(path: Path, file: BinaryIO, size: int) -> bytes:
    if size < 8:
        raise _wrong(path, "header", "a safetensors file of at least 8 bytes", f"{size} bytes")
    length = int.from_bytes(file.read(8), "little")
    if length > MAX_HEADER:
        raise _wrong(path, "header", f"a length of at most {MAX_HEADER} bytes", f"{length} (not a safetensors file?)")
    if length > size - 8:
        raise _wrong(path, "header", f"{length} bytes", f"{size - 8} (the file is cut short)")
    return file.read(length)


def read_json(path: StrPath, kind: type = dict, limit: int = 10_000_000) -> Any:
    """The object (or, kind = list, the list) in a JSON file of at most limit bytes; FormatError for anything else."""
    path = Path(path)
    with opened(path) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise _wrong(path, "JSON", f"at most {limit} bytes", "more")
    return parse_json(path, data, kind=kind)


def parse_json(path: Path, data: bytes, place: str = "JSON", depth: int = 64, kind: type = dict) -> Any:
    """The object (or, kind = list, the list) written in data, nested at most depth deep.

    FormatError, one line naming path and place, for anything else, NaN, infinities and duplicate keys included.
    """
    _check_brackets(path, data, place, depth)
    try:
        parsed = json.loads(data.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except ValueError as error:
        raise _wrong(path, place, "JSON", str(error).splitlines()[0]) from error
    if not isinstance(parsed, kind):
        raise _wrong(path, place, f"a JSON {kind.__name__}", f"a JSON {type(parsed).__name__}")
    return parsed


def _check_brackets(path: Path, data: bytes, place: str, limit: int) -> None:
    """Count brackets before a parser recurses or allocates."""
    bare, depth = _STRING.sub(b"", data), 0
    if bare.count(b"[") + bare.count(b"{") > MAX_BRACKETS:
        raise _wrong(path, place, f"at most {MAX_BRACKETS} JSON lists and objects", "more")
    for bracket in _BRACKET.finditer(bare):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > limit:
            raise _wrong(path, place, f"JSON nested at most {limit} deep", "deeper nesting")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    "".join(table).encode("utf-8")  # half a surrogate pair could be neither printed nor written again
    if len(table) < len(pairs):
        seen: set[str] = set()
        again = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {shown(again)} twice")
    return table


def _no_constant(name: str) -> None:
    raise ValueError(f"the number {name}")


def _metadata(path: Path, table: object) -> dict[str, str]:
    if not isinstance(table, dict):
        raise _wrong(path, "__metadata__", "an object of strings", shown(table))
    for key, value in table.items():
        if not isinstance(value, str):
            raise _wrong(path, f"__metadata__ {shown(key)}", "a string", shown(value))
    return table


def _entry(path: Path, name: str, row: object) -> Entry:
    place = f"tensor {shown(name)}"
    if not isinstance(row, dict) or set(row) != {"dtype", "shape", "data_offsets"}:
        raise _wrong(path, place, "an object of dtype, shape and data_offsets", shown(row))
    dtype, shape, offsets = row["dtype"], row["shape"], row["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BITS:
        raise _wrong(path, place, f"a dtype of {' '.join(BITS)}", shown(dtype))
    if not _naturals(shape) or len(shape) > MAX_AXES:
        raise _wrong(path, place, f"a shape of at most {MAX_AXES} sizes >= 0", shown(shape))
    # An empty axis must not excuse an absurd one beside it: NumPy could not make the array.
    if prod(max(size, 1) for size in shape) > MAX_ELEMENTS:
        raise _wrong(path, place, f"at most {MAX_ELEMENTS} elements", f"shape {shown(shape)}")
    if not _naturals(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise _wrong(path, place, "data_offsets [begin, end] with 0 <= begin <= end", shown(offsets))
    bits, (begin, end) = prod(shape) * BITS[dtype], offsets
    if bits != 8 * (end - begin):
        raise _wrong(path, place, f"{-(-bits // 8)} bytes for {dtype} {shown(shape)}", f"{end - begin}")
    return Entry(dtype, tuple(shape), begin, end)


def _naturals(value: object) -> bool:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _check_layout(path: Path, entries: dict[str, Entry], size: int) -> None:
    """The tensors must tile the data exactly: no overlap, no hole, no byte beyond."""
    reached = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.end > size:
            raise _wrong(path, f"tensor {shown(name)}", f"an end within {size} bytes of data", f"end {entry.end}")
        if entry.begin != reached:
            problem = "overlaps its neighbour" if entry.begin < reached else "leaves a hole"
            raise _wrong(path, f"tensor {shown(name)}", f"begin {reached}", f"begin {entry.begin} ({problem})")
        reached = entry.end
    if reached != size:
        raise _wrong(path, "data", f"{reached} bytes, the sum of the tensors", f"{size}")


def write_tensors(path: StrPath, tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> None:
    """Write integer or bool arrays and metadata as a safetensors file, atomically; equal input gives equal bytes.

    The bytes are the safetensors library's own (widest dtype first, then by name), except that metadata is sorted:
    the library writes two metadata keys in an order that changes from process to process.
    FormatError for an array of another dtype, a reserved name, or a path that cannot be written.
    """
    for name, array in tensors.items():
        if array.dtype.name not in _CODES or name == "__metadata__":
            raise _wrong(Path(path), f"tensor {shown(name)}", "an integer dtype and a free name", array.dtype.name)
    order = sorted(tensors, key=lambda name: (_ORDER[tensors[name].dtype.name], name.encode()))
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    offset = 0
    for name in order:
        array = tensors[name]
        row = {"dtype": _CODES[array.dtype.name], "shape": list(array.shape)}
        header[name] = {**row, "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    write_atomically(path, _file_pieces(header, (tensors[name] for name in order)))


def _file_pieces(header: dict[str, Any], arrays: Iterable[Array]) -> Iterator[bytes | memoryview]:
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for array in arrays:
        flat = np.asarray(array, order="C").reshape(-1)
        yield (flat if sys.byteorder == "little" else flat.astype(flat.dtype.newbyteorder("<"))).view(np.uint8).data
