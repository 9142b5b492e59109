"""Results of a device or a simulator, read from memory files, npz or raw bytes into a recording that can be judged."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from intref.atomic import StrPath, write_atomically
from intref.errors import FormatError, SpecError
from intref.golden.forms.binary import byte_order, npz_bytes
from intref.golden.forms.index import INDEX, identifiers
from intref.golden.forms.words import check_depth, elements, words
from intref.golden.package import Arrays
from intref.golden.read import read_golden
from intref.model import DTYPES
from intref.npzfile import UNKNOWN, members, read_npy, read_npz
from intref.tensorfile import MAX_AXES, opened, read_json, shown

MAX_INDEX = 100_000_000  # bytes of an index
MAX_FILE = 1 << 31
SUFFIXES = {".mem": "mem", ".hex": "mem", ".txt": "mem", ".dat": "mem", ".npz": "npz", ".npy": "npy", ".bin": "raw"}
IMPORTS = ("mem", "npz", "npy", "raw")
KNOWN = {"mem": ("bits", "width", "lanes", "first", "depth", "rows"), "raw": ("endian",)}


@dataclass(frozen=True)
class Wanted:
    """An output of a golden package, and how its file is laid out where an export says so."""

    name: str
    identifier: str
    dtype: str
    shape: tuple[int, ...]
    layout: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Imported:
    """tensors: those read. sources: tensor -> file. unknown: tensor -> its first x or z. missing: no file had them."""

    tensors: Arrays
    sources: dict[str, str]
    unknown: dict[str, str]
    missing: tuple[str, ...]


def import_results(
    files: Sequence[StrPath], like: StrPath, out: StrPath, form: str | None = None, **options: Any
) -> Imported:
    """Read results and write a recording (npz) for the device `file:OUT`.

    files: directories, npz archives, or files each named after its tensor as an export names it; NAME=FILE names it
    itself. like: the golden package, or an export of it, whose layout then holds. form: mem, npz, npy or raw; None:
    by the suffix. options: of the layout, as `export` has them, in place of what an export says.
    A tensor with a digit x or z is no tensor: the recording says where, and the device of it answers so.
    FormatError, with nothing written, for a file that is not what it should be.
    """
    if form is not None and form not in IMPORTS:
        raise SpecError(f"import: form must be one of {', '.join(IMPORTS)}, not {form!r}")
    if Path(out).suffix != ".npz":
        raise SpecError(f"import: a recording must be named .npz, not {Path(out).name!r}")
    wanted = wanted_outputs(like)
    tensors, sources, unknown = Arrays(), dict[str, str](), dict[str, str]()
    for name, path in _sources(files, wanted, form):
        for row, tensor, hidden in _read(path, wanted if name is None else {name: wanted[name]}, form, options):
            if row.name in sources:
                raise FormatError(f"{path}: tensor {shown(row.name)} is given twice, first by {sources[row.name]}")
            sources[row.name] = str(path)
            if hidden:
                unknown[row.name] = f"{path.name}: {hidden}"
            else:
                tensors[row.name] = tensor
    if not sources:
        raise FormatError(f"import: expected results of {like}, found none in {', '.join(map(str, files))}")
    note = {UNKNOWN: np.frombuffer(json.dumps(unknown, sort_keys=True).encode(), np.uint8)} if unknown else {}
    write_atomically(out, npz_bytes({**tensors, **note}))
    return Imported(tensors, sources, unknown, tuple(name for name in wanted if name not in sources))


def wanted_outputs(like: StrPath) -> dict[str, Wanted]:
    """The outputs that a golden package holds, or an export of one, by name."""
    index = Path(like) / INDEX
    if index.is_file():
        return _exported(index)
    tensors = read_golden(like).tensors
    named = identifiers(tensors)
    return {name: Wanted(name, named[name], t.dtype.name, t.shape) for name, t in tensors.items()}


def _exported(index: Path) -> dict[str, Wanted]:
    rows = [*_outputs(index)]
    named = identifiers(row["name"] for row in rows)  # as the forms name files: one file may hold all of a group
    wanted: dict[str, Wanted] = {}
    for row in rows:
        name, layout = row["name"], _listed(row)
        if name in wanted:
            raise FormatError(f"{index}: tensor {shown(name)}: expected one row, found another")
        wanted[name] = Wanted(name, named[name], row["dtype"], tuple(row["shape"]), layout)
        _check_layout(f"{index}: tensor {shown(name)}", wanted[name])
    return wanted


def _outputs(index: Path) -> Iterator[dict[str, Any]]:
    """The rows of an export's index that are of outputs."""
    rows = read_json(index, limit=MAX_INDEX).get("tensors")
    if not isinstance(rows, list):
        raise FormatError(f"{index}: tensors: expected a list, found {shown(rows)}")
    for row in rows:
        if not isinstance(row, dict) or not _sound(row):
            raise FormatError(f"{index}: expected rows with name, group, file, dtype and shape, found {shown(row)}")
        if row["group"] == "tensors":
            yield row


def _listed(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a row says of its file's layout."""
    keys = KNOWN["raw"] if "endian" in row else KNOWN["mem"] if "lanes" in row else ()
    return {key: row[key] for key in keys if key in row}


def _sound(row: Mapping[str, Any]) -> bool:
    texts = all(isinstance(row.get(key), str) for key in ("name", "group", "file", "dtype"))
    shape = row.get("shape")
    if not isinstance(shape, list) or len(shape) > MAX_AXES:
        return False
    sizes = all(type(n) is int and 1 <= n < 1 << 31 for n in shape)
    return texts and sizes and row["dtype"] in DTYPES and prod(shape) < 1 << 31


def _check_layout(where: str, row: Wanted) -> None:
    """FormatError, naming where, for a layout of an index that no file can have."""
    try:
        if "endian" in row.layout:
            byte_order(row.layout["endian"])
        elif row.layout:
            check_depth(row.shape, words(row.dtype, **row.layout), row.name)
    except SpecError as error:
        raise FormatError(f"{where}: {error}") from None


def _sources(
    files: Iterable[StrPath], wanted: Mapping[str, Wanted], form: str | None
) -> Iterator[tuple[str | None, Path]]:
    """(the tensor that a file holds, or None for an archive of several, the file)."""
    by_stem = {row.identifier: row.name for row in wanted.values()}
    for given in map(str, files):
        named, equals, rest = given.partition("=")
        if equals and not Path(given).exists():
            if named not in wanted:
                raise FormatError(f"{given}: expected the name of an output before =, found {shown(named)}")
            yield named, Path(rest)
        elif Path(given).is_dir():
            yield from _inside(Path(given), by_stem, form)
        elif _form(Path(given), form) == "npz":
            yield None, Path(given)
        elif Path(given).stem in by_stem:
            yield by_stem[Path(given).stem], Path(given)
        else:
            near = next(iter(by_stem))
            raise FormatError(f"{given}: expected a file named after an output, such as {near}, or NAME=FILE")


def _inside(folder: Path, by_stem: Mapping[str, str], form: str | None) -> Iterator[tuple[str | None, Path]]:
    """The files of a directory that are named after an output; its archives that hold one, as inputs.npz does not."""
    known = {*by_stem, *by_stem.values()}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in SUFFIXES:
            if path.stem in by_stem:
                yield by_stem[path.stem], path
            elif _form(path, form) == "npz" and known & {*members(path)}:
                yield None, path


def _form(path: Path, form: str | None) -> str:
    return form or SUFFIXES.get(path.suffix, "mem")


Results = Iterator[tuple[Wanted, np.ndarray, str]]


def _read(path: Path, wanted: Mapping[str, Wanted], form: str | None, options: Mapping[str, Any]) -> Results:
    """(output, its values, where it is unknown) for each that a file holds."""
    found = _form(path, form)
    for option in options:
        if option not in KNOWN.get(found, ()):
            raise SpecError(f"import: option {option!r} is not for {found}, which {path} is")
    if found == "npz":
        yield from _of_archive(path, wanted)
        return
    (row,) = wanted.values()
    readers: dict[str, Callable[[], tuple[np.ndarray, str]]] = {
        "npy": lambda: (_checked(str(path), row, read_npy(path)), ""),
        "raw": lambda: (_raw(path, row, options), ""),
        "mem": lambda: _mem(path, row, options),
    }
    yield row, *readers[found]()


def _of_archive(path: Path, wanted: Mapping[str, Wanted]) -> Results:
    by_key = {key: row for row in wanted.values() for key in (row.identifier, row.name)}
    for key, array in read_npz(path).items():
        if key not in by_key:
            raise FormatError(
                f"{path}: member {shown(key)}: expected the name of an output, such as {next(iter(by_key))}"
            )
        yield by_key[key], _checked(f"{path}: member {shown(key)}", by_key[key], array), ""


def _checked(where: str, row: Wanted, array: np.ndarray) -> np.ndarray:
    """Never a cast: what a device made is judged as it is."""
    if array.dtype.newbyteorder("=").name != row.dtype or array.shape != row.shape:
        found = f"{array.dtype.name} {list(array.shape)}"
        raise FormatError(f"{where}: expected {row.dtype} {list(row.shape)} of {shown(row.name)}, found {found}")
    return np.asarray(array, row.dtype, order="C")


def _layout(form: str, row: Wanted, options: Mapping[str, Any]) -> dict[str, Any]:
    """What is asked for, in place of what an export of the same form says."""
    return {key: value for key, value in {**row.layout, **options}.items() if key in KNOWN[form]}


def _raw(path: Path, row: Wanted, options: Mapping[str, Any]) -> np.ndarray:
    order = byte_order(**{"endian": "little", **_layout("raw", row, options)})
    data, dtype = _bytes(path), np.dtype(row.dtype).newbyteorder(order)
    size = prod(row.shape) * dtype.itemsize
    if len(data) != size:
        raise FormatError(f"{path}: expected {size} bytes of {shown(row.name)}, found {len(data)}")
    return np.frombuffer(data, dtype).astype(row.dtype).reshape(row.shape)


def _mem(path: Path, row: Wanted, options: Mapping[str, Any]) -> tuple[np.ndarray, str]:
    try:
        content = _bytes(path).decode("ascii")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: expected ASCII text, found another byte at {error.start}") from None
    try:
        layout = words(row.dtype, **_layout("mem", row, options))
        check_depth(row.shape, layout, row.name)
    except SpecError as error:
        raise SpecError(f"{path}: tensor {shown(row.name)}: {error}") from None
    return elements(content, layout, row.shape, f"{path}: tensor {shown(row.name)}")


def _bytes(path: Path) -> bytes:
    with opened(path) as file:
        return file.read(MAX_FILE)
