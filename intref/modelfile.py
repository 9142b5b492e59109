"""The model file: one safetensors file, one metadata key, canonical JSON. Integers only, checked before use."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from intref.errors import BoundError, FormatError, Unsupported
from intref.model import EXACT, SCHEMA, SPEC_VERSION, Model, Node, TensorInfo, check_declared, check_scale
from intref.tensorfile import open_tensors, parse_json, shown, write_tensors

KEY = "intref"
MAX_DIM = 1 << 20  # what a symbolic dimension may reach
KEYS = ("about", "dims", "inputs", "nodes", "outputs", "scales", "schema", "spec", "states", "tensors")
NODE_KEYS = ("attrs", "group", "inputs", "op", "outputs", "site", "version")
TENSOR_KEYS = ("axes", "bits", "dtype", "high", "low", "signed")


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def header(model: Model) -> dict[str, Any]:
    """Everything of the model but its constants, as plain JSON values."""
    return {
        "schema": SCHEMA,
        "spec": SPEC_VERSION,
        "nodes": [{k: getattr(node, k) for k in NODE_KEYS} for node in model.nodes],
        "tensors": {n: {k: getattr(t, k) for k in TENSOR_KEYS} for n, t in model.tensors.items()},
        "inputs": model.inputs,
        "outputs": model.outputs,
        "dims": model.dims,
        "scales": model.scales,
        "states": list(model.states),
        "about": model.about,
    }


def save(model: Model, path: str | os.PathLike[str]) -> None:
    """Write the model file, atomically."""
    write_tensors(path, _stored(model), {KEY: canonical(header(model))})


def file_hash(model: Model) -> str:
    """SHA-256, in hex, of the canonical header, then of every constant's little-endian bytes in the order of names."""
    whole = hashlib.sha256(canonical(header(model)).encode())
    for _, value in sorted(model.constants.items()):
        whole.update(np.ascontiguousarray(value, value.dtype.newbyteorder("<")).tobytes())
    return whole.hexdigest()


def _stored(model: Model) -> dict[str, np.ndarray]:
    return {n: pack_int4(v) if _packed(model.tensors[n]) else v for n, v in model.constants.items()}


def _packed(declared: TensorInfo) -> bool:
    return declared.dtype == "int8" and declared.bits <= 4 and len(declared.axes) >= 1


def pack_int4(x: np.ndarray) -> np.ndarray:
    """int8 [... K] in [-8, 7] -> uint8 [... ceil(K / 2)]: two's complement, even k in the low nibble, padded with 0."""
    padded = np.concatenate([x, np.zeros((*x.shape[:-1], x.shape[-1] % 2), np.int8)], axis=-1).view(np.uint8) & 15
    return padded[..., ::2] | padded[..., 1::2] << 4


def unpack_int4(packed: np.ndarray, length: int) -> np.ndarray:
    """The inverse of pack_int4: uint8 [... ceil(length / 2)] -> int8 [... length]."""
    nibbles = np.stack([packed & 15, packed >> 4], axis=-1).reshape((*packed.shape[:-1], -1))[..., :length]
    return (nibbles ^ 8).view(np.int8) - np.int8(8)


def open_model(path: str | os.PathLike[str]) -> Model:
    """Read, check and prove a model file; FormatError, Unsupported or BoundError otherwise."""
    file = open_tensors(path)
    where = str(path)
    if set(file.metadata) != {KEY}:
        raise FormatError(f"{where}: metadata must have the one key {KEY!r}, not {shown(sorted(file.metadata))}")
    table = parse_json(Path(path), file.metadata[KEY].encode(), "metadata 'intref'")
    _check_version(where, table)
    if canonical(table) != file.metadata[KEY]:
        raise FormatError(f"{where}: metadata 'intref' must be canonical JSON (sorted keys, no spaces, ASCII)")
    model = _parsed(where, table, {})
    declared = _declared_constants(model)
    missing, extra = declared - file.entries.keys(), file.entries.keys() - declared
    if missing or extra:
        state = f"missing tensor {shown(min(missing))}" if missing else f"unknown tensor {shown(min(extra))}"
        raise FormatError(f"{where}: {state}")
    for name in file.entries:
        model.constants[name] = _constant(where, name, file.integers(name), model.tensors[name])
    model.validate(where)
    try:
        model.proof()
    except BoundError as error:
        raise BoundError(f"{where}: {error}") from None
    return model


def _check_version(where: str, table: Any) -> None:
    if type(table.get("schema")) is not int or table["schema"] != SCHEMA:
        raise Unsupported(f"{where}: model schema {shown(table.get('schema'))} is not supported, only {SCHEMA}")
    _keys(where, "metadata 'intref'", table, KEYS)
    if table["spec"] != SPEC_VERSION:
        raise Unsupported(f"{where}: spec version {shown(table['spec'])} is not supported, only {SPEC_VERSION}")


def _keys(where: str, place: str, table: Any, keys: tuple[str, ...]) -> None:
    if not isinstance(table, dict) or sorted(table) != sorted(keys):
        found = sorted(table) if isinstance(table, dict) else table
        raise FormatError(f"{where}: {place} must have the keys {', '.join(keys)}, not {shown(found)}")


def _constant(where: str, name: str, stored: np.ndarray, declared: TensorInfo) -> np.ndarray:
    if not _packed(declared):
        return stored
    length = declared.axes[-1]
    rows = (*declared.axes[:-1], (length + 1) // 2) if isinstance(length, int) else ()
    if stored.dtype != np.uint8 or stored.shape != rows:
        raise FormatError(f"{where}: packed tensor {shown(name)} must be U8 {list(rows)}, not {list(stored.shape)}")
    x = unpack_int4(stored, int(length))
    if not np.array_equal(pack_int4(x), stored):
        raise FormatError(f"{where}: packed tensor {shown(name)} must have 0 in the last nibble of every row")
    return x


def _declared_constants(model: Model) -> set[str]:
    return set(model.tensors) - set(model.inputs) - {t for node in model.nodes for t in node.outputs.values()}


def _parsed(where: str, table: dict[str, Any], constants: dict[str, np.ndarray]) -> Model:
    _check_kinds(where, table)
    return Model(
        nodes=tuple(_node(where, i, n) for i, n in enumerate(table["nodes"])),
        tensors={name: _tensor(where, name, t) for name, t in table["tensors"].items()},
        constants=constants,
        inputs=table["inputs"],
        outputs=table["outputs"],
        dims=table["dims"],
        scales={name: (m, e) for name, (m, e) in table["scales"].items()},
        about=table["about"],
    )


def _check_kinds(where: str, table: dict[str, Any]) -> None:
    for key in KEYS:
        kind = list if key in ("nodes", "states") else dict
        if key not in ("schema", "spec") and not isinstance(table[key], kind):
            raise FormatError(f"{where}: {key} must be a {kind.__name__}, not {shown(table[key])}")
    if table["states"]:
        raise Unsupported(f"{where}: states are not supported by this release")
    _check_strings(where, "outputs", table["outputs"])
    for name, value in table["dims"].items():
        if not _integer(value) or not 1 <= value <= MAX_DIM:
            raise FormatError(f"{where}: dims {shown(name)} must be in 1..{MAX_DIM}, not {shown(value)}")
    for name, value in table["inputs"].items():
        if value is not None and not _integer(value):
            raise FormatError(f"{where}: inputs {shown(name)} must be a default or null, not {shown(value)}")
    for name, scale in table["scales"].items():
        check_scale(where, name, scale)
    for name, value in table["about"].items():
        if not all(isinstance(v, str) or _integer(v) for v in (value if isinstance(value, list) else [value])):
            must = "text, an integer, or a list of them"
            raise FormatError(f"{where}: about {shown(name)} must be {must}, not {shown(value)}")


def _integer(value: object) -> bool:
    return type(value) is int and abs(value) < EXACT


def _check_strings(where: str, place: str, table: Any) -> None:
    if not isinstance(table, dict) or not all(isinstance(v, str) for v in table.values()):
        raise FormatError(f"{where}: {place} must map names to names, not {shown(table)}")


def _node(where: str, index: int, table: Any) -> Node:
    _keys(where, f"node {index}", table, NODE_KEYS)
    for key in ("inputs", "outputs"):
        _check_strings(where, f"node {index}: {key}", table[key])
    if not all(isinstance(table[k], str) for k in ("op", "site", "group")) or not isinstance(table["attrs"], dict):
        raise FormatError(f"{where}: node {index}: op, site and group must be text, attrs an object")
    for key, value in table["attrs"].items():
        if not isinstance(value, str) and not _integer(value):
            must = "text or an integer below 2**53 in magnitude"
            raise FormatError(f"{where}: node {index}: attribute {shown(key)} must be {must}, not {shown(value)}")
    return Node(**table)


def _tensor(where: str, name: str, table: Any) -> TensorInfo:
    _keys(where, f"tensor {shown(name)}", table, TENSOR_KEYS)
    ranged = all(table[k] is None or _integer(table[k]) for k in ("low", "high"))
    axes = table["axes"]
    if not ranged or not isinstance(axes, list) or not all(isinstance(a, str) or (_integer(a) and a > 0) for a in axes):
        raise FormatError(f"{where}: tensor {shown(name)}: low, high or axes are not what they must be")
    if type(table["bits"]) is not int or type(table["signed"]) is not bool:
        raise FormatError(f"{where}: tensor {shown(name)}: bits must be an integer and signed true or false")
    if not isinstance(table["dtype"], str):
        raise FormatError(f"{where}: tensor {shown(name)}: dtype must be text, not {shown(table['dtype'])}")
    declared = TensorInfo(**{**table, "axes": tuple(axes)})
    check_declared(where, name, declared)
    return declared
