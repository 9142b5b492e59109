"""The inputs of a model, as a command line gives them: token ids, a file of them, text, or the arrays it names."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np

from intref.errors import FormatError, SpecError, Unsupported
from intref.model import BIT_PATTERNS, BOUNDARY, Model
from intref.npzfile import members, read_npz
from intref.run import prepare
from intref.tensorfile import open_tensors, opened, parse_json, shown

IDS, MASK = "input_ids", "attention_mask"
ARRAYS = (".safetensors", ".npz")
SUFFIXES = (*ARRAYS, ".jsonl", ".txt")
GIVEN = ("ids", "inputs", "text")


def read_inputs(
    model: Model, ids: tuple[str, ...], inputs: str | None, text: tuple[str, ...], tokenizer: str | None
) -> dict[str, Any]:
    """One batch: name -> integers, as the model declares them; FormatError, one line, for anything else."""
    given = [name for name, value in zip(GIVEN, (ids, inputs, text)) if value]
    if len(given) != 1:
        raise click.UsageError(f"expected one of --ids, --inputs and --text, found {' and '.join(given) or 'none'}")
    if inputs:
        return _of_file(model, Path(inputs), tokenizer)
    _check_takes_ids(model, f"--{given[0]}")
    return _batch(model, [_ids(value) for value in ids] if ids else _encoded(text, tokenizer))


def _of_file(model: Model, path: Path, tokenizer: str | None) -> dict[str, Any]:
    if path.suffix not in SUFFIXES:
        raise Unsupported(f"{path}: files of inputs are {', '.join(SUFFIXES)}, not {path.suffix or 'without suffix'}")
    if path.suffix in ARRAYS:
        return _arrays(model, path)
    _check_takes_ids(model, str(path))
    if path.suffix == ".jsonl":
        return _batch(model, _json_rows(path))
    return _batch(model, _encoded((line for line in _text(path).splitlines() if line.strip()), tokenizer))


def _check_takes_ids(model: Model, given: str) -> None:
    if IDS not in model.inputs:
        names = ", ".join(f"{name} {model.tensors[name].dtype}" for name in model.inputs)
        raise SpecError(f"{given}: expected a model with an input {IDS}, found {names}: give --inputs FILE.npz")


def _arrays(model: Model, path: Path) -> dict[str, Any]:
    """Those arrays of the file that the model names; others in it are left."""
    needed_first = sorted(model.inputs, key=lambda name: model.inputs[name] is not None)
    stored = _stored(model, path)
    found = {name: stored[name] for name in needed_first if name in stored}  # in the order in which sizes are said
    for name, default in model.inputs.items():
        if default is None and name not in found:
            held = ", ".join(members(path) if path.suffix == ".npz" else open_tensors(path).entries)
            raise FormatError(f"{path}: expected an array {name}, found {held or 'none'}")
    try:
        prepare(model, found)
    except SpecError as error:
        said = str(error).removeprefix("model: ")
        left = [line for line in _noted(model, BOUNDARY) if said.startswith(f"input {line.split(':')[0][6:]!r} ")]
        raise FormatError("; ".join([f"{path}: {said}", *left])) from None
    return found


def _noted(model: Model, key: str) -> list[Any]:
    """A list of what a model file says about itself, which no run reads; none if it says another thing."""
    value = model.about.get(key)
    return value if isinstance(value, list) and all(isinstance(v, str) for v in value) else []


def _stored(model: Model, path: Path) -> dict[str, Any]:
    """Of an input that is float32s as bit patterns, float32s are taken too, bit by bit."""
    patterns = _noted(model, BIT_PATTERNS)
    if path.suffix == ".npz":
        arrays = read_npz(path, model.inputs)
        return {k: v.view(np.int32) if k in patterns and v.dtype == np.float32 else v for k, v in arrays.items()}
    file = open_tensors(path)
    taken = [name for name in model.inputs if name in file.entries]
    real = {name for name in taken if name in patterns and file.entries[name].dtype == "F32"}
    bits = {name: np.array(file.raw(name)).view("<i4").reshape(file.entries[name].shape) for name in real}
    return {name: bits[name] if name in real else file.integers(name) for name in taken}


def _ids(text: str) -> list[int]:
    try:
        return [int(word) for word in text.replace(",", " ").split()]
    except ValueError:
        raise FormatError(f"--ids: expected token ids such as 101,2023,102, found {shown(text)}") from None


def _encoded(texts: Iterable[str], tokenizer: str | None) -> list[list[int]]:
    from intref.quantize.calibration import encoder

    if tokenizer is None:
        raise click.UsageError("text needs --tokenizer PATH, the model's tokenizer.json or checkpoint directory")
    path = Path(tokenizer)
    encode = encoder(path / "tokenizer.json" if path.is_dir() else path)
    return [encode(text) for text in texts]


def _bytes(path: Path) -> bytes:
    with opened(path) as file:
        return file.read()


def _text(path: Path) -> str:
    try:
        return _bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: expected UTF-8 text, found {error.reason}") from None


def _json_rows(path: Path) -> list[list[int]]:
    """A list of ids, or an object with input_ids, on each line."""
    rows = []
    for number, line in enumerate(_bytes(path).splitlines(), 1):
        if line.strip():
            place = f"line {number}"
            is_list = line.lstrip()[:1] == b"["
            value = parse_json(path, line, place, kind=list if is_list else dict)
            row = value if is_list else value.get(IDS)
            if not isinstance(row, list) or not all(type(v) is int for v in row):
                raise FormatError(f"{path}: {place}: expected a list of token ids, found {shown(value)}")
            rows.append(row)
    if not rows:
        raise FormatError(f"{path}: expected at least one sequence of token ids, found an empty file")
    return rows


def _batch(model: Model, rows: list[list[int]]) -> dict[str, Any]:
    """Rows [B, T], shorter ones padded with 0 on the right and masked there."""
    longest = max(map(len, rows))
    padded = [row + [0] * (longest - len(row)) for row in rows]
    batch: Mapping[str, Any] = {IDS: np.asarray(padded, None if longest else np.int64)}
    if min(map(len, rows)) == longest:
        return {**batch}
    if MASK not in model.inputs:
        raise FormatError(f"{IDS}: expected rows of one length, as the model has no {MASK}, found {longest} and less")
    return {**batch, MASK: np.asarray([[1] * len(row) + [0] * (longest - len(row)) for row in rows], np.int8)}
