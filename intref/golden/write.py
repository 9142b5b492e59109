"""Golden packages are written whole or not at all, and the same content gives the same bytes."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from intref import __version__, vectors
from intref.atomic import StrPath, write_atomically, write_directory_atomically
from intref.errors import FormatError, SpecError, near
from intref.golden.package import (
    FILES,
    INPUTS,
    MANIFEST,
    MASK,
    MODEL,
    SCHEMA,
    SPEC,
    TENSORS,
    Arrays,
    attended,
    case_digest,
    file_hash,
    masked_axes,
    plain,
    row,
    seal,
)
from intref.golden.spec import spec_text
from intref.model import SPEC_VERSION, Model, Node
from intref.ops import OPS
from intref.run import Observer, Progress, Result, call, prepare, teller
from intref.tensorfile import shown, write_tensors


def write_golden(
    model: Model,
    inputs: Mapping[str, Any],
    path: StrPath,
    trace: str | None = "all",
    backend: str = "fast",
    seed: int | None = None,
    progress: Progress | None = None,
) -> str:
    """Run the model and write a golden package of kind "model"; the path of it.

    inputs: as Model.run takes them. trace: which node outputs are stored beside the model's own outputs, "all" or a
    pattern; a node can be judged in isolation where its inputs and outputs are stored. seed: only recorded.
    progress(what, done, total) is called after every node.
    SpecError if an input does not fit the model, FormatError if the package cannot be written.
    """
    full = prepare(model, inputs)
    saturation: dict[str, dict[str, int]] = {}
    observers = [_saturation_counter(model, full, saturation), *([teller(model, progress)] if progress else [])]
    result = model.run(full, backend, trace, observers=observers)
    made = {**result.trace, **{name: result.outputs[public] for public, name in model.outputs.items()}}
    stored = {n: t for n, t in made.items() if n not in full and n not in model.constants}
    manifest = _model_manifest(model, result, full, stored)
    manifest.update(seed=seed, trace=trace, saturation=saturation)
    _check_ours(path)
    with write_directory_atomically(path, MANIFEST) as folder:
        model.save(folder / MODEL)
        _finish(folder, manifest, full, stored)
    return str(path)


def write_op_golden(op_name: str, path: StrPath, cases: Iterable[Any] | None = None) -> str:
    """Write a golden package of kind "op" with the reference's answers; the path of it.

    cases: things with why, tensors {port: array}, attrs and flags; by default the directed vectors of the op.
    SpecError if a case breaks the op's contract, FormatError if the package cannot be written.
    """
    if op_name not in OPS:
        raise SpecError(f"{op_name}: there is no such op, {near(op_name, OPS)} (C1)")
    inputs: Arrays = {}
    tensors: Arrays = {}
    directed = vectors.cases(op_name) if cases is None else cases
    rows = [_op_case(op_name, i, case, inputs, tensors) for i, case in enumerate(directed)]
    manifest = {**_head("op", {op_name}), "op": op_name, "cases": rows}
    _check_ours(path)
    with write_directory_atomically(path, MANIFEST) as folder:
        _finish(folder, manifest, inputs, tensors)
    return str(path)


def _op_case(op_name: str, index: int, case: Any, inputs: Arrays, tensors: Arrays) -> dict[str, Any]:
    """The manifest's row of one case; its arrays are added to inputs and tensors."""
    identity = f"{op_name}-{index:04d}"
    given = {f"{identity}/{port}": t for port, t in case.tensors.items()}
    made = {f"{identity}/{port}": t for port, t in call(op_name, case.tensors, case.attrs).items()}
    inputs.update(given)
    tensors.update(made)
    return {
        "id": identity,
        "why": case.why,
        "flags": list(case.flags),
        "attrs": plain(OPS[op_name].complete(case.attrs)),
        "inputs": {port: f"{identity}/{port}" for port in case.tensors},
        "outputs": {port: f"{identity}/{port}" for port in OPS[op_name].outputs},
        "digest": case_digest({**given, **made}),
    }


def _head(kind: str, ops: Iterable[str]) -> dict[str, Any]:
    versions = {name: OPS[name].version for name in ops}
    return {
        "schema": SCHEMA,
        "kind": kind,
        "generator": f"intref {__version__}",
        "spec": SPEC_VERSION,
        "ops": versions,
    }


def _model_manifest(model: Model, result: Result, inputs: Arrays, stored: Arrays) -> dict[str, Any]:
    files = {INPUTS: inputs, TENSORS: stored}
    return {
        **_head("model", {node.op for node in model.nodes}),
        "model": model.hash,
        "profile": model.about.get("profile"),
        "recipe": model.about.get("recipe"),
        "inputs": sorted(model.inputs),
        "outputs": model.outputs,
        "digest": result.digest,
        "trace_digest": result.trace_digest,
        "tensors": {n: {**row(n, t), "file": file} for file, table in files.items() for n, t in table.items()},
        "constants": {n: row(n, t) for n, t in model.constants.items()},
        "valid": valid_entry(model, (*inputs, *stored)),
    }


def valid_entry(model: Model, names: Iterable[str]) -> dict[str, Any] | None:
    """The manifest's word on valid regions; None for a model without a mask."""
    return {"mask": MASK, "tensors": masked_axes(model, names)} if MASK in model.inputs else None


def _saturation_counter(model: Model, inputs: Arrays, counts: dict[str, dict[str, int]]) -> Observer:
    """An observer that counts, for every clamping node, the valid outputs that lie on an end of its clamp."""
    attrs = {id(node): a for node, a in zip(model.nodes, model.attrs)}

    def count(node: Node, _: Arrays, made: Arrays) -> None:
        clip = attrs[id(node)]
        if not {"low", "high"} <= clip.keys():
            return
        for port, name in node.outputs.items():
            region = masked_axes(model, [name]).get(name)
            values = made[port][attended(inputs[MASK], region, made[port].shape)] if region else made[port]
            at = {end: int(np.count_nonzero(values == clip[end])) for end in ("low", "high")}
            counts[name] = {**at, "of": int(values.size)}

    return count


def _finish(folder: Path, manifest: dict[str, Any], inputs: Arrays, tensors: Arrays) -> None:
    """The files that both kinds have, and the manifest, which seals them all."""
    write_tensors(folder / INPUTS, inputs, {})
    write_tensors(folder / TENSORS, tensors, {})
    write_atomically(folder / SPEC, spec_text(manifest["ops"]).encode())
    files = {name: file_hash(folder / name) for name in FILES[manifest["kind"]]}
    write_atomically(folder / MANIFEST, seal({**manifest, "files": files}))


def _check_ours(path: StrPath) -> None:
    """Many things have a manifest.json: only a directory with nothing but a package's files is replaced."""
    folder = Path(path)
    others = {p.name for p in folder.iterdir()} - {MANIFEST, *FILES["model"]} if folder.is_dir() else None
    if others:
        raise FormatError(f"{path}: cannot be replaced: expected a golden package, found also {shown(min(others))}")
