"""Train the small BERT sentiment classifier that ships in golden/models/sentiment, from SST-2 phrases.

    python tools/train_tiny.py --data SST2_DIR --out golden/models/sentiment

SST2_DIR holds train.tsv and dev.tsv (header line, then `sentence TAB label`, label 0 or 1) and their LICENSE.
The dev phrases are divided once, by the SHA-256 of their text: 1,000 are the held-out set that is published and only
read after training; the others of at least five words are the tuning set, on which the settings were chosen.

Needs torch, transformers and tokenizers, which intref itself does not. One thread and a fixed seed: two runs on one
machine give the same files; another machine's float kernels may give other weights, of about the same accuracy.
"""

import hashlib
import json
import math
import random
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import BertConfig, BertForSequenceClassification, get_cosine_schedule_with_warmup

VOCABULARY, POSITIONS = 2500, 64
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
UNK, FIRST_WORD = 1, len(SPECIAL)
HELD_OUT, SHORTEST, LONGEST = 1000, 5, 62  # phrases; words; tokens with [CLS] and [SEP]
CALIBRATION, BANDS = 128, ((1, 4), (5, 10), (11, 20), (21, 99))  # phrases; words, inclusive
BATCH, LEARNING_RATE, WEIGHT_DECAY, SMOOTHING, EMA = 128, 1.5e-3, 0.05, 0.1, 0.999
DROPOUT, WORD_DROPOUT = 0.1, 0.1  # a dropped word reads [UNK], which no training phrase contains
CONFIG = {
    "architectures": ["BertForSequenceClassification"],
    "model_type": "bert",
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 256,
    "hidden_act": "gelu",
    "max_position_embeddings": POSITIONS,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
    "initializer_range": 0.05,
    **dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"), DROPOUT),
    "id2label": {"0": "negative", "1": "positive"},
    "label2id": {"negative": 0, "positive": 1},
    "dtype": "float32",  # compute in float32; the file stores float16 values
}


@dataclass(frozen=True)
class Phrase:
    text: str
    label: int
    ids: list[int]  # with [CLS] and [SEP]


@dataclass(frozen=True)
class Data:
    tokenizer: Tokenizer
    train: list[Phrase]
    tuning: list[Phrase]
    held_out: list[Phrase]


def rank(text: str) -> bytes:  # a fixed pseudo-random order that depends on nothing but the text
    return hashlib.sha256(text.encode()).digest()


def read_labels(path: Path) -> dict[str, int]:
    """The rows of one split, text -> label, in file order; of equal texts the last label stands."""
    labels: dict[str, int] = {}
    for number, line in enumerate(path.read_text("utf-8").rstrip("\n").split("\n")[1:], 2):
        text, _, label = line.rpartition("\t")
        if label not in ("0", "1"):
            raise click.ClickException(f"{path}: line {number} must be a sentence, a tab, 0 or 1, not {line[:60]!r}")
        labels[text.strip()] = int(label)
    return labels


def blank_tokenizer(model: models.WordPiece) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def train_tokenizer(texts: list[str]) -> Tokenizer:
    """Lower-case WordPiece over these texts alone; wraps a text as [CLS] text [SEP].

    The trainer numbers the continuation letters in hash order, which differs from run to run and decides ties; given
    as special tokens they are numbered in ours. The second tokenizer then knows them as ordinary pieces again.
    """
    learner = blank_tokenizer(models.WordPiece(unk_token="[UNK]"))
    spans = (learner.pre_tokenizer.pre_tokenize_str(learner.normalizer.normalize_str(text)) for text in texts)
    letters = sorted({letter for words in spans for word, _ in words for letter in word[1:]})
    fixed = SPECIAL + ["##" + letter for letter in letters]
    trainer = trainers.WordPieceTrainer(vocab_size=VOCABULARY, special_tokens=fixed, show_progress=False)
    learner.train_from_iterator(texts, trainer)
    tokenizer = blank_tokenizer(models.WordPiece(learner.get_vocab(), unk_token="[UNK]"))
    tokenizer.add_special_tokens(SPECIAL)
    ends = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def read_data(folder: Path) -> Data:
    """The three sets and the tokenizer; no training row equals a dev phrase, no held-out phrase a row of train.tsv."""
    rows, dev = read_labels(folder / "train.tsv"), read_labels(folder / "dev.tsv")
    train = {text: label for text, label in rows.items() if text not in dev}
    fresh = {text: dev[text] for text in sorted(dev, key=rank) if text not in rows and len(text.split()) >= SHORTEST}
    tokenizer = train_tokenizer(list(train))

    def encode(labels: dict[str, int], longest: int) -> list[Phrase]:
        phrases = [Phrase(text, label, tokenizer.encode(text).ids) for text, label in labels.items()]
        return [phrase for phrase in phrases if len(phrase.ids) <= longest]

    unseen = encode(fresh, LONGEST)
    return Data(tokenizer, encode(train, POSITIONS), unseen[HELD_OUT:], unseen[:HELD_OUT])


def padded(phrases: list[Phrase]) -> dict[str, np.ndarray]:
    """input_ids int16 [N, T] padded with 0, attention_mask int8 [N, T], labels int8 [N]; T is the longest phrase."""
    ids = np.zeros((len(phrases), max(len(phrase.ids) for phrase in phrases)), np.int16)
    for row, phrase in zip(ids, phrases, strict=True):
        row[: len(phrase.ids)] = phrase.ids
    mask, labels = (ids != 0).astype(np.int8), np.array([phrase.label for phrase in phrases], np.int8)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def batches(phrases: list[Phrase], shuffle: random.Random) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Every phrase once, as (ids [N, T], labels [N]): similar lengths together (little padding), in random order."""
    ordered = sorted(phrases, key=lambda phrase: len(phrase.ids) + 3 * shuffle.random())
    groups = [ordered[i : i + BATCH] for i in range(0, len(ordered), BATCH)]
    shuffle.shuffle(groups)
    for group in groups:
        arrays = padded(group)
        yield torch.from_numpy(arrays["input_ids"]).long(), torch.from_numpy(arrays["labels"]).long()


def parameter_groups(model: torch.nn.Module) -> list[dict[str, object]]:
    """Weight decay on matrices only; biases and LayerNorm are left free."""
    vectors, matrices = ([p for p in model.parameters() if p.ndim == ndim] for ndim in (1, 2))
    return [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": vectors, "weight_decay": 0.0}]


@torch.no_grad()
def accuracy(model: torch.nn.Module, phrases: list[Phrase]) -> float:
    model.eval()
    tensors = {name: torch.from_numpy(array).long() for name, array in padded(phrases).items()}
    logits = model(tensors["input_ids"], attention_mask=tensors["attention_mask"]).logits
    return float((logits.argmax(1) == tensors["labels"]).double().mean())


def train_model(data: Data, epochs: int, seed: int) -> torch.nn.Module:
    """Train in float32 and return the exponential moving average of the weights, rounded to float16 values."""
    torch.manual_seed(seed)
    shuffle = random.Random(seed)
    model = BertForSequenceClassification(BertConfig.from_dict(CONFIG))
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(EMA))
    optimizer = torch.optim.AdamW(parameter_groups(model), lr=LEARNING_RATE)
    steps = epochs * math.ceil(len(data.train) / BATCH)
    schedule = get_cosine_schedule_with_warmup(optimizer, steps // 20, steps)
    for number in range(1, epochs + 1):
        model.train()
        for ids, labels in batches(data.train, shuffle):
            optimizer.zero_grad()
            hidden = (torch.rand(ids.shape) < WORD_DROPOUT) & (ids >= FIRST_WORD)
            logits = model(ids.masked_fill(hidden, UNK), attention_mask=(ids != 0).long()).logits
            torch.nn.functional.cross_entropy(logits, labels, label_smoothing=SMOOTHING).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            average.update_parameters(model)
        if number % 5 == 0 or number == epochs:
            click.echo(f"epoch {number}: {accuracy(average.module, data.tuning):.4f} of the tuning phrases")
    return average.module.half().float()


def calibration_phrases(train: list[Phrase]) -> list[Phrase]:
    """As many phrases of each length band, drawn by hash."""
    ranked = sorted(train, key=lambda phrase: rank(phrase.text))
    bands = [[phrase for phrase in ranked if low <= len(phrase.text.split()) <= high] for low, high in BANDS]
    return [phrase for band in bands for phrase in band[: CALIBRATION // len(BANDS)]]


def demo_sentences(held_out: list[Phrase]) -> str:
    """Four held-out texts of each label that read as a sentence, as a JSON list, one text a line."""
    whole = [p for p in held_out if len(p.text.split()) <= 12 and p.text.endswith(" .") and p.text[0].isalpha()]
    chosen = [phrase for label in (1, 0) for phrase in [p for p in whole if p.label == label][:4]]
    lines = [json.dumps({"text": p.text, "input_ids": p.ids, "label": p.label}) for p in chosen]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def summary(data: Data, model: torch.nn.Module) -> str:
    """Accuracy on the held-out phrases, on those that are not part of a longer training phrase, and their classes."""
    corpus = "\n".join(f" {phrase.text} " for phrase in data.train)
    fresh = [phrase for phrase in data.held_out if f" {phrase.text} " not in corpus]
    sets = {"held-out phrases": data.held_out, "of these inside no training phrase": fresh}
    lines = [f"{accuracy(model, rows):.4f} of {len(rows)} {name}" for name, rows in sets.items()]
    return "\n".join([*lines, f"{sum(phrase.label for phrase in data.held_out)} held-out phrases are positive"])


def write_files(folder: Path, data: Data, model: torch.nn.Module) -> None:
    weights = {name: tensor.half().numpy() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    save_file(padded(data.held_out), folder / "dev.safetensors")
    calibration = padded(calibration_phrases(data.train))
    save_file({name: calibration[name] for name in ("input_ids", "attention_mask")}, folder / "calibration.safetensors")
    data.tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n", "utf-8")
    (folder / "sentences.json").write_text(demo_sentences(data.held_out), "utf-8")


@click.command()
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True, help="SST-2.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to write.")
@click.option("--epochs", type=click.IntRange(1), default=24, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
def main(data: Path, out: Path, epochs: int, seed: int) -> None:
    """Train the small sentiment model and write it with its data; prints what its README quotes."""
    for name in ("train.tsv", "dev.tsv", "LICENSE"):
        if not (data / name).is_file():
            raise click.ClickException(f"{data}: {name} must be in this folder")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    phrases = read_data(data)
    model = train_model(phrases, epochs, seed)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as staged:
        write_files(Path(staged), phrases, model)
        shutil.copyfile(data / "LICENSE", Path(staged) / "LICENSE")
        for path in sorted(Path(staged).iterdir()):  # other files of the folder, the integer models, stay
            path.chmod(0o644)
            path.replace(out / path.name)
    click.echo(summary(phrases, model))


if __name__ == "__main__":
    main()
