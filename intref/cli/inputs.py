"""The inputs of a model, as a command line gives them: token ids, a file of them, or text."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np

from intref.errors import FormatError
from intref.model import Model
from intref.tensorfile import opened, parse_json, shown

MASK = "attention_mask"
GIVEN = ("ids", "inputs", "text")


def read_inputs(
    model: Model, ids: tuple[str, ...], inputs: str | None, text: tuple[str, ...], tokenizer: str | None
) -> dict[str, Any]:
    """One batch: name -> integers [B, T]; FormatError, one line, for anything else."""
    given = [name for name, value in zip(GIVEN, (ids, inputs, text)) if value]
    if len(given) != 1:
        raise click.UsageError(f"expected one of --ids, --inputs and --text, found {' and '.join(given) or 'none'}")
    if ids:
        return _batch(model, [_ids(value) for value in ids])
    if text:
        return _batch(model, _encoded(text, tokenizer))
    path = Path(str(inputs))
    if path.suffix == ".jsonl":
        return _batch(model, _json_rows(path))
    if path.suffix == ".txt":
        return _batch(model, _encoded((line for line in _text(path).splitlines() if line.strip()), tokenizer))
    return _arrays(path)


def _arrays(path: Path) -> dict[str, Any]:
    from intref.quantize.calibration import read_batches

    parts = [*read_batches(path)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


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
            row = value if is_list else value.get("input_ids")
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
    batch: Mapping[str, Any] = {"input_ids": np.asarray(padded, None if longest else np.int64)}
    if min(map(len, rows)) == longest:
        return {**batch}
    if MASK not in model.inputs:
        raise FormatError(
            f"input_ids: expected rows of one length, as the model has no {MASK}, found {longest} and less"
        )
    return {**batch, MASK: np.asarray([[1] * len(row) + [0] * (longest - len(row)) for row in rows], np.int8)}
