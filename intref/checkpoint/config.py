"""The configuration of BERT-like encoders, read from config.json in Hugging Face's keys."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intref.checkpoint.directory import Directory
from intref.errors import FormatError, Unsupported
from intref.tensorfile import shown

MAX_SIZE = 1 << 24
# Their heads share tensor names with those we read, and compute something else.
OTHER_HEADS = ("ForTokenClassification", "ForMultipleChoice", "ForQuestionAnswering")


@dataclass(frozen=True)
class BertConfig:
    """Sizes and constants of a post-norm encoder.

    position_form "offset": row t - (index of the first attended token), at least 0, plus position_offset.
    position_form "count": row (number of attended tokens up to t, itself included) plus position_offset where
    t is attended, position_offset where it is not.
    """

    layers: int
    heads: int
    width: int  # D
    ffn_width: int
    vocab: int  # V
    max_positions: int  # P, rows of the position table
    type_vocab: int  # S
    norm_eps: float
    activation: str
    position_form: str
    position_offset: int
    pad_id: int
    labels: dict[int, str]  # {} when config.json names none

    @property
    def head_width(self) -> int:
        """Width of one attention head."""
        return self.width // self.heads

    @property
    def max_tokens(self) -> int:
        """The longest sequence that the position table serves."""
        first = self.position_offset + (1 if self.position_form == "count" else 0)
        return self.max_positions - first


def read_config(directory: Directory, *, position_form: str, pad_id: int) -> BertConfig:
    """BertConfig of a config.json in Hugging Face's keys; pad_id is the family's default."""
    table, path = directory.config, directory.path / "config.json"
    _refuse_variants(path, table)
    pad = _integer(path, table, "pad_token_id", 0) if table.get("pad_token_id") is not None else pad_id
    config = BertConfig(
        layers=_integer(path, table, "num_hidden_layers", 1),
        heads=_integer(path, table, "num_attention_heads", 1),
        width=_integer(path, table, "hidden_size", 1),
        ffn_width=_integer(path, table, "intermediate_size", 1),
        vocab=_integer(path, table, "vocab_size", 1),
        max_positions=_integer(path, table, "max_position_embeddings", 1),
        type_vocab=_integer(path, table, "type_vocab_size", 1),
        norm_eps=_epsilon(path, table.get("layer_norm_eps")),
        activation=table["hidden_act"],
        position_form=position_form,
        position_offset=pad if position_form == "count" else 0,
        pad_id=pad,
        labels=_labels(path, table),
    )
    if config.width % config.heads:
        raise FormatError(f"{path}: hidden_size: expected a multiple of {config.heads} heads, found {config.width}")
    if config.max_tokens < 1:
        found = f"{config.max_positions} with pad_token_id {pad}"
        raise FormatError(f"{path}: max_position_embeddings: expected room for one token, found {found}")
    return config


def _refuse_variants(path: Path, table: Mapping[str, Any]) -> None:
    """Settings that change the function computed; an absent position form or decoder flag means the plain one."""
    plain = (
        ("hidden_act", "gelu", table.get("hidden_act")),
        ("position_embedding_type", "absolute", table.get("position_embedding_type") or "absolute"),
        ("is_decoder", False, table.get("is_decoder") or False),
        ("add_cross_attention", False, table.get("add_cross_attention") or False),
    )
    for key, supported, found in plain:
        if key == "hidden_act" and key not in table:
            raise FormatError(f"{path}: {key}: expected a name, found none")
        if found != supported:
            raise Unsupported(f"{path}: {key} {shown(found)}: supported is {shown(supported)}")
    architectures = table.get("architectures")
    for name in architectures if isinstance(architectures, list) else ():
        if str(name).endswith(OTHER_HEADS):
            supported = "a bare model, pretraining heads, and ForSequenceClassification"
            raise Unsupported(f"{path}: architecture {shown(name)}: supported are {supported}")


def _integer(path: Path, table: Mapping[str, Any], key: str, low: int) -> int:
    value = table.get(key)
    if type(value) is not int or not low <= value <= MAX_SIZE:
        found = shown(value) if key in table else "none"
        raise FormatError(f"{path}: {key}: expected an integer in {low}..{MAX_SIZE}, found {found}")
    return value


def _epsilon(path: Path, value: object) -> float:
    if type(value) not in (int, float) or not (math.isfinite(value) and value >= 0):  # type: ignore[arg-type,operator]
        raise FormatError(f"{path}: layer_norm_eps: expected a finite number >= 0, found {shown(value)}")
    return float(value)  # type: ignore[arg-type]


def _labels(path: Path, table: Mapping[str, Any]) -> dict[int, str]:
    names = table.get("id2label")
    if names is None:
        count = _integer(path, table, "num_labels", 1) if table.get("num_labels") is not None else 0
        return {i: f"LABEL_{i}" for i in range(count)}
    ids = [str(i) for i in range(len(names))] if isinstance(names, dict) else []
    if not ids or set(names) != set(ids) or not all(isinstance(label, str) for label in names.values()):
        raise FormatError(f'{path}: id2label: expected an object "0", "1", .. to strings, found {shown(names)}')
    return {int(i): names[i] for i in ids}
