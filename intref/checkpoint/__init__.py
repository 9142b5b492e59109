"""Float checkpoints of known families, checked and renamed to one set of tensor names.

One file per family says what its tensors are called; `directory` reads any checkpoint directory, `encoder` holds
what families of encoders share. Everything here is float and offline.
"""

from intref.atomic import StrPath
from intref.checkpoint import bert, roberta
from intref.checkpoint.config import BertConfig
from intref.checkpoint.directory import Directory
from intref.checkpoint.encoder import Checkpoint
from intref.errors import Unsupported
from intref.tensorfile import shown

__all__ = ["FAMILIES", "BertConfig", "Checkpoint", "read"]

# config.json's model_type -> the reader of that family.
FAMILIES = {"bert": bert.read, "roberta": roberta.read}


def read(path: StrPath, head: str | None = None) -> Checkpoint:
    """Read a checkpoint directory: config.json, and model.safetensors whole or in shards.

    head = None keeps every head the checkpoint has; "pooler", "classifier" or "sentence" keeps that one only, and
    "sentence" (the mean over attended tokens) can be asked of any encoder.
    FormatError for a directory that is not what config.json says; Unsupported for a model we do not read.
    """
    directory = Directory(path)
    family = directory.config.get("model_type")
    if not isinstance(family, str) or family not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise Unsupported(f"{directory.path / 'config.json'}: model_type {shown(family)}: supported are {known}")
    return FAMILIES[family](directory, head)
