"""Token ids to calibrate with: from files, from text, from the checkpoint's directory, or drawn from a seed."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from intref.errors import FormatError, SpecError, Unsupported
from intref.intmath import MASK32
from intref.npzfile import read_npz
from intref.quantize.graph import INPUTS, FloatModel, check_inputs
from intref.tensorfile import parse_json, read_integers

Batch = dict[str, Any]
BUILT_IN = "calibration.safetensors"
ROWS = 16  # of one batch
DRAWN = 32  # sequences made from a seed
SUFFIXES = (".safetensors", ".npz", ".jsonl", ".txt")


def batches_for(
    model: FloatModel, calib: Iterable[Mapping[str, Any]] | None, seed: int
) -> tuple[list[Mapping[str, Any]], str]:
    """The batches to calibrate with, and where they come from, in words."""
    if calib is not None:
        batches = list(calib)
        if not batches:
            raise SpecError("calibration: expected at least one batch of token ids, found none")
        return batches, f"given, {amount(model, batches)}"
    built_in = model.path / BUILT_IN if model.path is not None else None
    if built_in is not None and built_in.is_file():
        return list(read_batches(built_in)), f"built-in {BUILT_IN}"
    return list(drawn(model, seed)), f"{DRAWN} sequences of random token ids, seed {seed}"


def amount(model: FloatModel, batches: Iterable[Mapping[str, Any]]) -> str:
    """How many sequences, and how many attended tokens, in words; SpecError for a batch that the model cannot take."""
    masks = [check_inputs(model.config, batch)[1] for batch in batches]
    return f"{sum(map(len, masks))} sequences of {sum(int(mask.sum()) for mask in masks)} tokens"


def drawn(model: FloatModel, seed: int) -> Iterator[Batch]:
    """Random token ids of growing lengths: better than nothing, worse than text."""
    config, random = model.config, np.random.default_rng(seed & MASK32)
    for i in range(DRAWN):
        length = max(1, min(config.max_tokens, 8 * (i // 4 + 1)))
        yield {"input_ids": random.integers(0, config.vocab, (1, length))}


def read_batches(path: str | os.PathLike[str], tokenizer: Path | None = None) -> Iterator[Batch]:
    """Batches from a file of token ids (.safetensors, .npz, .jsonl) or of text (.txt, one sequence a line).

    Arrays: input_ids [N T] and, if it is there, attention_mask and token_type_ids. JSON lines: a list of ids, or an
    object with input_ids, on each line. Text needs tokenizer, a tokenizer.json, and the package tokenizers.
    FormatError or Unsupported, one line, otherwise.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise Unsupported(f"{path}: calibration files are {', '.join(SUFFIXES)}, not {path.suffix or 'without suffix'}")
    if not path.is_file():
        raise FormatError(f"{path}: expected a file of token ids, found none")
    if path.suffix == ".jsonl":
        yield from _of_rows(path, _json_rows(path))
    elif path.suffix == ".txt":
        yield from _of_rows(path, _text_rows(path, tokenizer))
    else:
        yield from _of_arrays(path, read_integers(path)[0] if path.suffix == ".safetensors" else read_npz(path))


def _of_arrays(path: Path, arrays: Batch) -> Iterator[Batch]:
    ids = arrays.get("input_ids")
    if ids is None:
        raise FormatError(f"{path}: expected an array input_ids, found {', '.join(arrays) or 'none'}")
    if ids.dtype.kind not in "iu" or ids.ndim != 2 or not ids.size:
        raise FormatError(f"{path}: input_ids: expected integers [N T], found {ids.dtype} {list(ids.shape)}")
    known = {name: arrays[name] for name in INPUTS if name in arrays}
    for name, array in known.items():
        if array.shape != ids.shape:
            raise FormatError(f"{path}: {name}: expected shape {list(ids.shape)}, found {list(array.shape)}")
    for start in range(0, len(ids), ROWS):
        yield {name: array[start : start + ROWS] for name, array in known.items()}


def _of_rows(path: Path, rows: Iterable[list[int]]) -> Iterator[Batch]:
    """Rows of equal length share a batch, so that nothing is padded."""
    by_length: dict[int, list[list[int]]] = {}
    for row in rows:
        by_length.setdefault(len(row), []).append(row)
    if not by_length:
        raise FormatError(f"{path}: expected at least one sequence of token ids, found an empty file")
    for _, group in sorted(by_length.items()):
        for start in range(0, len(group), ROWS):
            yield {"input_ids": np.array(group[start : start + ROWS])}


def _json_rows(path: Path) -> Iterator[list[int]]:
    for i, line in enumerate(path.read_bytes().splitlines()):
        if not line.strip():
            continue
        try:
            listed = line.strip()[:1] == b"["
            value = json.loads(line) if listed else parse_json(path, line, f"line {i + 1}")["input_ids"]
        except (ValueError, KeyError, RecursionError, UnicodeDecodeError):
            raise FormatError(f"{path}: line {i + 1}: expected token ids as JSON, found {line[:60]!r}") from None
        if not isinstance(value, list) or not value or not all(type(v) is int and 0 <= v <= MASK32 for v in value):
            raise FormatError(f"{path}: line {i + 1}: expected a list of token ids, found {line[:60]!r}")
        yield value


def _text_rows(path: Path, tokenizer: Path | None) -> Iterator[list[int]]:
    encode = encoder(tokenizer)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: expected UTF-8 text, found {error}") from None
    yield from (encode(line) for line in lines if line.strip())


def encoder(tokenizer: Path | None) -> Any:
    """text -> token ids, by a tokenizer.json; Unsupported without the package tokenizers."""
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise Unsupported("text needs the package tokenizers: pip install tokenizers") from None
    if tokenizer is None or not tokenizer.is_file():
        raise FormatError(f"{tokenizer or 'checkpoint'}: expected a tokenizer.json to encode text with, found none")
    try:
        made = Tokenizer.from_file(str(tokenizer))
    except Exception as error:  # the library raises plain Exception
        raise FormatError(f"{tokenizer}: expected a tokenizer.json, found {str(error)[:80]}") from None
    made.no_padding()
    made.no_truncation()
    return lambda text: list(made.encode(text).ids)
