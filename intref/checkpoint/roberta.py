"""RoBERTa: positions count attended tokens from pad_id + 1; a classifier brings its own dense and tanh on token 0.

transformers tells padding from tokens by the id, we by the mask: the same for every batch whose mask is 0 exactly
where its ids are pad_id.
"""

from intref.checkpoint.config import read_config
from intref.checkpoint.directory import Directory
from intref.checkpoint.encoder import Checkpoint, read_encoder

HEADS = {"pooler": "pooler.dense"}
# dense, tanh, out_proj on token 0 is our pooler and classifier under other names.
CLASSIFIER = {"pooler": "classifier.dense", "classifier": "classifier.out_proj"}


def read(directory: Directory, head: str | None) -> Checkpoint:
    """Read a RoBERTa checkpoint: a bare model, one with a language-model head, or a sequence classifier."""
    heads = CLASSIFIER if "classifier.dense.weight" in directory.files else HEADS
    return read_encoder(directory, "roberta", read_config(directory, position_form="count", pad_id=1), heads, head)
