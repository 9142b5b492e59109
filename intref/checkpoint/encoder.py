"""What BERT-like encoders share: our tensor names, and how a directory's tensors come to have them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from intref.checkpoint.config import BertConfig
from intref.checkpoint.directory import Directory, Floats
from intref.errors import FormatError, Unsupported
from intref.tensorfile import shown

HEADS = ("pooler", "classifier", "sentence")
BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")
# Heads of pretraining: no output here needs them.
PRETRAINING = ("cls.", "lm_head.")
OLD_NORMS = {".LayerNorm.gamma": ".LayerNorm.weight", ".LayerNorm.beta": ".LayerNorm.bias"}


@dataclass(frozen=True)
class Checkpoint:
    """One float model under our names: emb.*, L{i}.*, pooler.*, classifier.*; every weight float32, [out, in].

    heads: which of "pooler", "classifier", "sentence" it has. normalize: the sentence embedding has length 1.
    ignored: tensors of the files that no supported head needs.
    """

    family: str
    config: BertConfig
    weights: dict[str, Floats] = field(repr=False)
    heads: tuple[str, ...]
    path: Path
    normalize: bool = False
    ignored: tuple[str, ...] = ()


def encoder_names(layers: int) -> Iterator[tuple[str, str]]:
    """(our name, their name without prefix) of every encoder tensor, lazily: a hostile layer count costs nothing."""
    yield "emb.word", "embeddings.word_embeddings.weight"
    yield "emb.position", "embeddings.position_embeddings.weight"
    yield "emb.type", "embeddings.token_type_embeddings.weight"
    yield from _pair("emb.norm", "embeddings.LayerNorm")
    for i in range(layers):
        ours, theirs = f"L{i}.", f"encoder.layer.{i}."
        yield from _pair(ours + "q", theirs + "attention.self.query")
        yield from _pair(ours + "k", theirs + "attention.self.key")
        yield from _pair(ours + "v", theirs + "attention.self.value")
        yield from _pair(ours + "attn.out", theirs + "attention.output.dense")
        yield from _pair(ours + "attn.norm", theirs + "attention.output.LayerNorm")
        yield from _pair(ours + "ffn.up", theirs + "intermediate.dense")
        yield from _pair(ours + "ffn.down", theirs + "output.dense")
        yield from _pair(ours + "ffn.norm", theirs + "output.LayerNorm")


def _pair(ours: str, theirs: str) -> Iterator[tuple[str, str]]:
    yield ours + ".weight", theirs + ".weight"
    yield ours + ".bias", theirs + ".bias"


def weight_shape(name: str, config: BertConfig) -> tuple[int, ...]:
    """The shape of one of our tensors; a classifier's first size is the number of labels."""
    tables = {"emb.word": config.vocab, "emb.position": config.max_positions, "emb.type": config.type_vocab}
    if name in tables:
        return tables[name], config.width
    rows, columns = config.width, config.width
    if ".ffn.up." in name:
        rows = config.ffn_width
    if ".ffn.down." in name:
        columns = config.ffn_width
    if name.startswith("classifier."):
        rows = len(config.labels)
    return (rows,) if name.endswith(".bias") or ".norm." in name else (rows, columns)


def read_encoder(
    directory: Directory, family: str, config: BertConfig, tables: Mapping[str, str], head: str | None
) -> Checkpoint:
    """Read the encoder and its heads; tables maps "pooler" and "classifier" to the family's names for them.

    head as in `intref.checkpoint.read`. FormatError for a missing, unknown or misshapen tensor.
    """
    theirs = _unprefixed(directory, family + ".")
    has = [ours for ours, name in tables.items() if {name + ".weight", name + ".bias"} & set(theirs)]
    if "classifier" in has and "pooler" not in has:
        raise Unsupported(f"{directory.path}: a classifier without a pooler: supported is sequence classification")
    heads = _chosen(directory, has, head)
    names = _found(
        directory, theirs, chain(encoder_names(config.layers), *(_pair(h, tables[h]) for h in heads if h in tables))
    )
    _check_spare(directory, family, set(theirs) - set(names.values()), tables)
    if "classifier" in heads:
        config = _with_labels(directory, config, theirs[names["classifier.bias"]])
    weights = {ours: directory.tensor(theirs[name], weight_shape(ours, config)) for ours, name in names.items()}
    ignored = tuple(sorted(stored for name, stored in theirs.items() if name not in set(names.values())))
    normalize = "sentence" in heads and directory.sentence()[1]
    return Checkpoint(family, config, weights, heads, directory.path, normalize, ignored)


def _unprefixed(directory: Directory, prefix: str) -> dict[str, str]:
    """Name without prefix, norms in the newer spelling -> name in the files."""
    theirs: dict[str, str] = {}
    for stored in directory.files:
        name = stored.removeprefix(prefix)
        for old, new in OLD_NORMS.items():
            name = name.removesuffix(old) + new if name.endswith(old) else name
        if name in theirs:
            both = f"{shown(theirs[name])} and {shown(stored)}"
            raise FormatError(f"{directory.path}: expected one tensor for {shown(name)}, found {both}")
        theirs[name] = stored
    return theirs


def _chosen(directory: Directory, has: list[str], head: str | None) -> tuple[str, ...]:
    if head is None:
        embeds = "classifier" not in has or directory.sentence()[0]
        return tuple(h for h in HEADS if h in has or (h == "sentence" and embeds))
    if head not in HEADS:
        raise Unsupported(f"{directory.path}: head {shown(head)}: supported are {', '.join(HEADS)}")
    if head != "sentence" and head not in has:
        found = f"{', '.join(has) or 'no head'}, and sentence, which any encoder has"
        raise FormatError(f"{directory.path}: expected a {head} head, found {found}")
    return ("pooler", "classifier") if head == "classifier" else (head,)


def _found(directory: Directory, theirs: Mapping[str, str], wanted: Iterator[tuple[str, str]]) -> dict[str, str]:
    """Our name -> theirs, once it is known to be there."""
    names = {}
    for ours, name in wanted:
        if name not in theirs:
            raise FormatError(f"{directory.path}: expected a tensor {shown(name)}, found none of that name")
        names[ours] = name
    return names


def _check_spare(directory: Directory, family: str, spare: set[str], tables: Mapping[str, str]) -> None:
    """A tensor nobody here can name means that the model computes something else than we would."""
    # RoBERTa's sequence classifiers of old carry the encoder's own pooler and never use it.
    known = (*PRETRAINING, *BUFFERS, "pooler.dense.", *(name + "." for name in tables.values()))
    unknown = sorted(name for name in spare if not name.startswith(known))
    if unknown:
        raise FormatError(f"{directory.path}: expected the tensors of a {family} model, found also {shown(unknown[0])}")


def _with_labels(directory: Directory, config: BertConfig, bias: str) -> BertConfig:
    """A config.json that names no labels takes their number from the classifier."""
    shape = directory.files[bias].entries[bias].shape
    return (
        config
        if config.labels or len(shape) != 1
        else replace(config, labels={i: f"LABEL_{i}" for i in range(shape[0])})
    )
