"""BERT: positions from the first attended token, a tanh pooler on token 0, a classifier on the pooler."""

from intref.checkpoint.config import read_config
from intref.checkpoint.directory import Directory
from intref.checkpoint.encoder import Checkpoint, read_encoder

HEADS = {"pooler": "pooler.dense", "classifier": "classifier"}


def read(directory: Directory, head: str | None) -> Checkpoint:
    """Read a BERT checkpoint: a bare model, one with pretraining heads, or a sequence classifier."""
    return read_encoder(directory, "bert", read_config(directory, position_form="offset", pad_id=0), HEADS, head)
