"""A golden package is believed only when every byte of it is what its manifest sealed."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from intref.atomic import StrPath, os_error
from intref.digest import combined, digest
from intref.errors import FormatError, SpecError, Unsupported
from intref.golden.package import (
    FILES,
    INPUTS,
    MANIFEST,
    MODEL,
    SCHEMA,
    TENSORS,
    Arrays,
    OpCase,
    Package,
    case_digest,
    file_hash,
    row,
    seal,
    seal_hash,
)
from intref.golden.write import valid_entry
from intref.model import Model
from intref.modelfile import open_model
from intref.ops import OPS
from intref.ops.op import Op
from intref.run import prepare, traced
from intref.tensorfile import TensorFile, open_tensors, opened, parse_json, read_integers, shown

TEXT, NUMBER, TABLE, LIST, NONE = str, int, dict, list, type(None)
HEAD = {"schema": NUMBER, "kind": TEXT, "generator": TEXT, "spec": TEXT, "ops": TABLE, "files": TABLE, "self": TEXT}
FIELDS: dict[str, dict[str, Any]] = {
    "op": {**HEAD, "op": TEXT, "cases": LIST},
    "model": {
        **HEAD,
        **{"model": TEXT, "profile": (TEXT, NONE), "recipe": (TEXT, NONE), "seed": (NUMBER, NONE)},
        **{"trace": (TEXT, NONE), "inputs": LIST, "outputs": TABLE, "digest": TEXT, "trace_digest": TEXT},
        **{"tensors": TABLE, "constants": TABLE, "valid": (TABLE, NONE), "saturation": TABLE},
    },
}
CONSTANT = {"sha256": TEXT, "dtype": TEXT, "shape": LIST}
TENSOR = {**CONSTANT, "file": TEXT}
CASE = {"id": TEXT, "why": TEXT, "flags": LIST, "attrs": TABLE, "inputs": TABLE, "outputs": TABLE, "digest": TEXT}
MAX_MANIFEST = 100_000_000  # bytes


def read_golden(path: StrPath) -> Package:
    """Read and verify a golden package, of either kind.

    FormatError names the file, and the tensor where one can be blamed, if a byte of it is not what the manifest
    sealed; Unsupported if it is of a schema, or uses an op version, that this release does not have.
    """
    folder = Path(path)
    manifest = _manifest(folder / MANIFEST)
    for name in FILES[manifest["kind"]]:
        _check_file(folder / name, manifest)
    inputs, tensors = (read_integers(folder / name)[0] for name in (INPUTS, TENSORS))
    if manifest["kind"] == "op":
        return Package(folder, manifest, inputs, tensors, cases=_cases(folder / MANIFEST, manifest, inputs, tensors))
    model = open_model(folder / MODEL)
    package = Package(folder, manifest, inputs, tensors, model)
    _check_model(folder / MANIFEST, package, model)
    return package


def _manifest(path: Path) -> dict[str, Any]:
    try:
        with opened(path) as file:
            data = file.read(MAX_MANIFEST + 1)
        if len(data) > MAX_MANIFEST:
            raise _wrong(path, "manifest", f"at most {MAX_MANIFEST} bytes", "more")
    except OSError as error:
        raise os_error(path, "read", error) from error
    table: dict[str, Any] = parse_json(path, data, "manifest")
    _check_seal(path, data, table)
    if table.get("schema") != SCHEMA:
        raise Unsupported(f"{path}: package schema {shown(table.get('schema'))} is not supported, only {SCHEMA}")
    if table.get("kind") not in FIELDS:
        raise _wrong(path, "kind", " or ".join(FIELDS), shown(table.get("kind")))
    _fields(path, "manifest", table, FIELDS[table["kind"]])
    _check_rows(path, table)
    return table


def _check_seal(path: Path, data: bytes, table: dict[str, Any]) -> None:
    try:
        expected, canonical = seal_hash(table), seal(table)
    except ValueError as error:  # a number beyond all floats
        raise _wrong(path, "manifest", "JSON", error) from error
    if table.get("self") != expected:
        raise _wrong(path, "self", expected, shown(table.get("self")))
    if data != canonical:
        raise _wrong(path, "manifest", "canonical JSON and one newline", "other bytes of the same content")


def _check_rows(path: Path, table: dict[str, Any]) -> None:
    if sorted(table["files"]) != sorted(FILES[table["kind"]]):
        raise _wrong(path, "files", ", ".join(FILES[table["kind"]]), shown(sorted(table["files"])))
    for name, version in table["ops"].items():
        if name not in OPS or OPS[name].version != version:
            has = f"version {OPS[name].version}" if name in OPS else "no such op"
            raise Unsupported(f"{path}: op {shown(name)} version {shown(version)} is not supported: there is {has}")
    for key, fields in (("tensors", TENSOR), ("constants", CONSTANT)):
        for name, entry in table.get(key, {}).items():
            _fields(path, f"{key} {shown(name)}", entry, fields)
    for i, entry in enumerate(table.get("cases", ())):
        _fields(path, f"case {i}", entry, CASE)
        for key in (*entry["inputs"].values(), *entry["outputs"].values()):
            if not isinstance(key, str):
                raise _wrong(path, f"case {i}", "ports with names of tensors", shown(key))


def _fields(path: Path, place: str, table: Any, fields: Mapping[str, Any]) -> None:
    if not isinstance(table, dict) or sorted(table) != sorted(fields):
        found = shown(sorted(table)) if isinstance(table, dict) else shown(table)
        raise _wrong(path, place, f"the keys {', '.join(sorted(fields))}", found)
    for key, kinds in fields.items():
        if not isinstance(table[key], kinds) or isinstance(table[key], bool):
            allowed = kinds if isinstance(kinds, tuple) else (kinds,)
            raise _wrong(path, f"{place}: {key}", " or ".join(k.__name__ for k in allowed), shown(table[key]))


def _wrong(path: Path, place: str, expected: object, found: object) -> FormatError:
    return FormatError(f"{path}: {place}: expected {expected}, found {found}")


def _check_file(path: Path, manifest: dict[str, Any]) -> None:
    try:
        found = file_hash(path)
    except OSError as error:
        raise os_error(path, "read", error) from error
    if found != manifest["files"][path.name]:
        place = _culprit(open_tensors(path), manifest) if path.suffix == ".safetensors" else "file"
        raise _wrong(path, place, f"file SHA-256 {manifest['files'][path.name]}", found)


def _culprit(file: TensorFile, manifest: dict[str, Any]) -> str:
    """The first tensor of a changed file whose hash is not the manifest's; the first case, for an op's package."""
    rows = manifest.get("constants" if file.path.name == MODEL else "tensors", {})
    for name in sorted(file.entries.keys() & rows.keys()):
        tensor = file.integers(name)
        if row(name, tensor) != {k: rows[name][k] for k in CONSTANT}:
            return f"tensor {shown(name)}"
    for case in manifest.get("cases", ()):
        # Half of a case's tensors are in the other file.
        both = {**read_integers(file.path.with_name(INPUTS))[0], **read_integers(file.path.with_name(TENSORS))[0]}
        keys = [*case["inputs"].values(), *case["outputs"].values()]
        if not {*keys} <= both.keys() or case_digest({k: both[k] for k in keys}) != case["digest"]:
            return f"case {shown(case['id'])}"
    return "file"


def _check_model(where: Path, package: Package, model: Model) -> None:
    """Everything the manifest says that can be said again from the model and the tensors."""
    manifest, trace = package.manifest, _traced(where, package, model)
    files = {INPUTS: package.inputs, TENSORS: package.tensors}
    stored = {n: {**row(n, t), "file": file} for file, table in files.items() for n, t in table.items()}
    _same(where, "tensors", stored, manifest["tensors"])
    _same(where, "constants", {n: row(n, t) for n, t in model.constants.items()}, manifest["constants"])
    wanted = {*model.inputs, *trace, *model.outputs.values()} - model.constants.keys()
    _same_names(where, "stored tensors", wanted, stored)
    for name in stored:
        _check_shape(where, package, model, name)
    said = {
        "model": model.hash,
        "inputs": sorted(model.inputs),
        "outputs": model.outputs,
        "ops": {node.op: node.version for node in model.nodes},
        "digest": digest({public: package.available[name] for public, name in model.outputs.items()}),
        "trace_digest": combined({n: manifest["tensors"][n]["sha256"] for n in trace}),
        "valid": valid_entry(model, stored),
    }
    for key, value in said.items():
        if manifest[key] != value:
            raise _wrong(where, key, shown(value), shown(manifest[key]))


def _traced(where: Path, package: Package, model: Model) -> list[str]:
    """The traced names, for inputs that the model takes and a pattern that means something."""
    _same_names(where.with_name(INPUTS), "inputs", model.inputs, package.inputs)
    try:
        prepare(model, package.inputs)
        return traced(model, package.manifest["trace"])
    except SpecError as error:
        raise FormatError(f"{where}: {error}") from None


def _same(where: Path, place: str, found: Mapping[str, Any], rows: Mapping[str, Any]) -> None:
    _same_names(where, place, rows.keys(), found.keys())
    for name, entry in rows.items():
        if entry != found[name]:
            raise _wrong(where, f"{place}: tensor {shown(name)}", entry, found[name])


def _same_names(where: Path, place: str, expected: Iterable[str], found: Iterable[str]) -> None:
    if difference := {*expected} ^ {*found}:
        raise _wrong(where, place, "the model's tensors", f"{shown(min(difference))} missing or in excess")


def _check_shape(where: Path, package: Package, model: Model, name: str) -> None:
    """A stored tensor has its declared dtype and axes; symbolic axes have one size in the whole package."""
    declared, tensor = model.tensors[name], package.available[name]
    axes = {a: s for n in model.inputs for a, s in zip(model.tensors[n].axes, package.inputs[n].shape)}
    shape = tuple(axes.get(a, -1) if isinstance(a, str) else a for a in declared.axes)
    if tensor.dtype.name != declared.dtype or tensor.shape != shape:
        found = f"{tensor.dtype.name} {list(tensor.shape)}"
        raise _wrong(where, f"tensor {shown(name)}", f"{declared.dtype} {list(shape)}", found)


def _cases(where: Path, manifest: dict[str, Any], inputs: Arrays, tensors: Arrays) -> tuple[OpCase, ...]:
    if [*manifest["ops"]] != [manifest["op"]]:
        raise _wrong(where, "ops", f"only {shown(manifest['op'])}", shown([*manifest["ops"]]))
    op = OPS[manifest["op"]]
    return tuple(_case(where, op, entry, inputs, tensors) for entry in manifest["cases"])


def _case(where: Path, op: Op, entry: dict[str, Any], inputs: Arrays, tensors: Arrays) -> OpCase:
    place = f"case {shown(entry['id'])}"
    given, made = (
        _by_port(where, place, entry[key], table) for key, table in (("inputs", inputs), ("outputs", tensors))
    )
    used = {entry[key][port]: t for key, ports in (("inputs", given), ("outputs", made)) for port, t in ports.items()}
    if case_digest(used) != entry["digest"]:
        raise _wrong(where, place, f"digest {entry['digest']}", case_digest(used))
    try:
        attrs = op.check(given, _attrs(op, entry["attrs"]))
    except (SpecError, ValueError) as error:
        raise FormatError(f"{where}: {place}: {error}") from None
    dtypes = op.output_dtypes({port: t.dtype.name for port, t in given.items()}, attrs)
    if dtypes != {port: t.dtype.name for port, t in made.items()}:
        raise _wrong(where, place, f"outputs {dtypes}", shown([*made]))
    return OpCase(entry["id"], entry["why"], tuple(entry["flags"]), attrs, given, made)


def _by_port(where: Path, place: str, keys: Mapping[str, Any], table: Arrays) -> Arrays:
    for key in keys.values():
        if key not in table:
            raise _wrong(where, place, "a tensor of the package", shown(key))
    return {port: table[key] for port, key in keys.items()}


def _attrs(op: Op, attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as they were before `plain`."""
    large = {k: int(v) for k, v in attrs.items() if isinstance(v, str) and k in op.attrs and not op.attrs[k].choices}
    return {**attrs, **large}
