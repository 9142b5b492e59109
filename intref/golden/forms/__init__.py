"""A golden package in the forms that testbenches read: $readmemh text, C headers, npz, raw bytes, ONNX test folders."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from intref.atomic import StrPath, write_directory_atomically
from intref.errors import FormatError, SpecError
from intref.golden.forms import binary, header, memory
from intref.golden.forms.index import INDEX, files, identifiers
from intref.golden.package import Arrays, Package
from intref.golden.read import read_golden
from intref.modelfile import canonical
from intref.run import Progress
from intref.tensorfile import read_json, shown

__all__ = ["FORMS", "INDEX", "export", "identifiers"]

MAX_INDEX = 1 << 30  # bytes
GROUPS = ("constants", "inputs", "tensors")
SIDES = ("inputs", "outputs")
WORDS = ("bits", "width", "lanes", "first", "depth", "rows")

Rows = Iterable[dict[str, Any]]


class Form(NamedTuple):
    """write(folder, group, tensors, **options) -> a row of the index for each tensor. options: those it knows."""

    write: Callable[..., Rows]
    options: tuple[str, ...] = ()


FORMS = {
    "npz": Form(binary.npz),
    "mem": Form(memory.mem, WORDS),
    "c": Form(header.c),
    "hex": Form(memory.hexadecimal, WORDS),
    "raw": Form(binary.raw, ("endian",)),
    "onnx": Form(lambda folder, group, tensors: []),
}


def export(
    path: StrPath,
    out: StrPath,
    form: str,
    tensors: str | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> str:
    """Write the tensors of a golden package into a new directory in another form; the path of it.

    form: npz (constants.npz, inputs.npz, tensors.npz); mem or hex (a $readmemh file per tensor; options bits of an
    element, lanes elements to a word, width bits of a word, first lsb or msb, depth in words, rows: see words.py);
    c (a header per group, for C99, in the manner of CMSIS-NN's test data); raw (a file of bytes per tensor; option
    endian little or big); onnx (backend test folders of standard ops: see intref.golden.onnx).
    tensors: a pattern of names, comma separated; None: all. progress(what, done, total) is called after every tensor or
    folder. export.json tells which file holds which tensor, its dtype,
    shape and layout. SpecError for an unknown form or an option that does not fit, FormatError if the package is not
    sound or out cannot be written, Unsupported if a package needed for the form is absent.
    """
    _check_options(form, options)
    package = read_golden(path)
    groups = _groups(package, tensors)
    _check_ours(out)
    with write_directory_atomically(out, INDEX) as folder:
        found = (row for group in groups for row in FORMS[form].write(folder, group, groups[group], **options))
        rows = [*_told(found, sum(map(len, groups.values())), progress)]
        calls = _calls(package, form, folder, {name for group in groups.values() for name in group})
        if form == "c":
            header.whole(folder)
        index = {"form": form, "package": package.manifest["self"], "tensors": rows, **calls}
        if form == "onnx":
            index.update(_onnx(folder, package, groups, progress))
        folder.joinpath(INDEX).write_text(canonical({**index, **_said(options)}) + "\n", "ascii")
    return str(out)


def _told(rows: Rows, total: int, progress: Progress | None) -> Iterator[dict[str, Any]]:
    for i, row in enumerate(rows):
        yield row
        if progress is not None:
            progress("export", i + 1, total)


def _check_options(form: str, options: Mapping[str, Any]) -> None:
    if form not in FORMS:
        raise SpecError(f"export: form must be one of {', '.join(FORMS)}, not {form!r}")
    for name in options:
        if name not in FORMS[form].options:
            homes = " and ".join(f for f, known in FORMS.items() if name in known.options)
            raise SpecError(f"export: option {name!r} is for {homes or 'no form'}, not for {form}")


def _said(options: Mapping[str, Any]) -> dict[str, Any]:
    return {"options": dict(options)} if options else {}


def _groups(package: Package, pattern: str | None) -> dict[str, Arrays]:
    """group -> its tensors, those that the pattern asks for; SpecError if it asks for none."""
    constants = package.model.constants if package.model else {}
    groups = dict(zip(GROUPS, (constants, package.inputs, package.tensors)))
    if pattern is not None:
        patterns = [part.strip() for part in pattern.split(",")]
        groups = {
            group: {name: t for name, t in tensors.items() if any(fnmatchcase(name, p) for p in patterns)}
            for group, tensors in groups.items()
        }
        if not any(groups.values()):
            raise SpecError(f"export: tensors {pattern!r} matches no tensor of {package.path}")
    return {group: tensors for group, tensors in groups.items() if tensors}


def _check_ours(out: StrPath) -> None:
    """FormatError unless every file of a directory is one that the index of an earlier export lists."""
    folder = Path(out)
    index = folder / INDEX
    ours = files(read_json(index, limit=MAX_INDEX)) if index.is_file() else set()
    if ours is None:
        raise FormatError(f"{out}: cannot be replaced: expected an earlier export, found another's {INDEX}")
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_symlink() or not p.is_dir()}
    if found - ours:
        raise FormatError(
            f"{out}: cannot be replaced: expected an earlier export, found also {shown(min(found - ours))}"
        )


def _calls(package: Package, form: str, folder: Path, wanted: Container[str]) -> Mapping[str, Any]:
    """What an op package says beside its tensors: the attributes of each case, for C as macros as well."""
    if package.kind == "model":
        return {}
    rows = [row for row in package.manifest["cases"] if any(k in wanted for s in SIDES for k in row[s].values())]
    if form == "c":
        kept = {row["id"] for row in rows}
        header.attributes(folder, [(case.id, case.attrs) for case in package.cases if case.id in kept])
    return {"op": package.manifest["op"], "cases": rows}


def _onnx(folder: Path, package: Package, groups: Mapping[str, Arrays], progress: Progress | None) -> dict[str, Any]:
    from intref.golden.onnx.folder import folders

    wanted = {name for tensors in groups.values() for name in tensors}
    rows = [*_told(folders(folder, package, wanted), max(len(package.cases), 1), progress)]
    return {
        "folders": [row for row in rows if "folder" in row],
        "not_expressible": [row for row in rows if "folder" not in row],
    }
