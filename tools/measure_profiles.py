"""The embedded model and MiniLM in every profile: accuracy, nearness and digest, in golden/profiles.json and README.md.

    python tools/measure_profiles.py --stsb DIR [PROFILE ..]   # DIR holds stsb-en-train.csv; without it no MiniLM
    python tools/measure_profiles.py --stsb DIR --missing      only those that have no row yet
    python tools/measure_profiles.py --check                   exit 1 if README's table is not that of profiles.json

A row is stored as soon as it is measured: what is cut short goes on with --missing. Each profile has the recipe that it
is made for. The embedded model is asked for its 1,000 held-out phrases; MiniLM is calibrated on 50 sentences and asked
for 100 others, each beside the float model. The digest is that of the first two inputs of the embedded model, and of
the first of MiniLM; both backends must agree on it.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from measure_minilm import embed, minilm, read

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import intref  # noqa: E402
from intref.atomic import write_atomically  # noqa: E402
from intref.errors import IntrefError  # noqa: E402
from intref.profiles import load_profile, names  # noqa: E402
from intref.quantize.calibration import encoder  # noqa: E402
from intref.quantize.recipe import made_for  # noqa: E402
from intref.tensorfile import read_integers  # noqa: E402

STORED, README = ROOT / "golden" / "profiles.json", ROOT / "README.md"
EMBEDDED = ROOT / "golden" / "models" / "sentiment"
BEGIN, END = "<!-- profiles: written by tools/measure_profiles.py -->\n", "<!-- end of profiles -->\n"
COLUMNS = ("profile", "recipe", "right of 1,000", "digest", "MiniLM: cosine, mean", "min", "digest")
HEAD = f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|\n"
BATCH = 100
Row = dict[str, Any]


def digest(model: Any, inputs: dict[str, Any]) -> str:
    """The one digest of both backends; an error where they part."""
    fast, reference = (model.run(inputs, backend).digest for backend in ("fast", "reference"))
    assert fast == reference, "the backends give different bits"
    return str(fast)


def of_embedded(exact: Any, recipe: str, profile: str) -> Row:
    """Right answers on the held-out phrases."""
    model = exact.quantize(recipe, profile=profile)
    held, _ = read_integers(EMBEDDED / "dev.safetensors")
    right = 0
    for start in range(0, len(held["labels"]), BATCH):
        part = slice(start, start + BATCH)
        batch = {"input_ids": held["input_ids"][part], "attention_mask": held["attention_mask"][part]}
        right += int((model.run(batch).outputs["logits"].argmax(1) == held["labels"][part]).sum())
    two = {key: held[key][:2] for key in ("input_ids", "attention_mask")}
    return {"right": right, "digest": digest(model, two)}


class MiniLM:
    """The float model, its calibration sentences and those it is asked for."""

    def __init__(self, stsb: Path):
        encode = encoder(minilm() / "tokenizer.json")
        train = read(stsb / "stsb-en-train.csv")
        self.calib = [{"input_ids": np.array([encode(r[0])])} for r in train[:2000:40]]
        self.held = [encode(r[0]) for r in train[3000:3200:2]]
        self.exact = intref.load(minilm())
        self.want = embed(self.exact, self.held)

    def __call__(self, recipe: str, profile: str) -> Row:
        model = self.exact.quantize(recipe, profile=profile, calib=self.calib)
        cosines = (embed(model, self.held) * self.want).sum(axis=1)
        mean, least = (f"{v:.7f}" for v in (cosines.mean(), cosines.min()))
        return {"mean": mean, "min": least, "digest": digest(model, {"input_ids": np.array([self.held[0]])})}


def measure(profile: str, exact: Any, large: MiniLM | None) -> Row:
    """One row; what refuses says why."""
    found = load_profile(profile)
    row: Row = {"status": found.status, "recipe": made_for(found).name}
    for name, run in (("embedded", lambda *given: of_embedded(exact, *given)), ("minilm", large)):
        if run is not None:
            try:
                row[name] = run(row["recipe"], profile)
            except IntrefError as error:
                row[name] = {"refused": str(error)}
    return row


def table(stored: dict[str, Row]) -> str:
    """README's table."""
    return HEAD + "".join(_line(name, row) for name, row in stored.items())


def _line(name: str, row: Row) -> str:
    shown = f"`{name}`" + (" (experimental)" if row["status"] == "experimental" else "")
    cells = [
        shown,
        f"`{row['recipe']}`",
        *_cells(row.get("embedded"), "right"),
        *_cells(row.get("minilm"), "mean", "min"),
    ]
    return f"| {' | '.join(cells)} |\n"


def _cells(found: Row | None, *keys: str) -> Iterator[str]:
    for key in keys:
        yield "" if found is None else "refused" if "refused" in found else str(found[key])
    yield f"`{found['digest'][:8]}`" if found and "digest" in found else ""


def readme(stored: dict[str, Row]) -> str:
    text = README.read_text("utf-8")
    before, rest = text.split(BEGIN)
    return before + BEGIN + table(stored) + rest[rest.index(END) :]


@click.command(help=__doc__)
@click.argument("profiles", nargs=-1)
@click.option("--stsb", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--missing", is_flag=True)
@click.option("--check", is_flag=True)
def main(profiles: tuple[str, ...], stsb: Path | None, missing: bool, check: bool) -> None:
    stored = json.loads(STORED.read_text("utf-8")) if STORED.is_file() else {}
    if check:
        sys.exit(readme(stored) != README.read_text("utf-8"))
    wanted = {"embedded", "minilm"} if stsb else {"embedded"}
    chosen = [name for name in profiles or names() if not (missing and wanted <= stored.get(name, {}).keys())]
    exact, large = intref.load(EMBEDDED), MiniLM(stsb) if stsb and chosen else None
    for name in chosen:
        stored[name] = {**stored.get(name, {}), **measure(name, exact, large)}
        print(_line(name, stored[name]), end="", flush=True)
        store({name: stored[name] for name in names() if name in stored})


def store(rows: dict[str, Row]) -> None:
    write_atomically(STORED, (json.dumps(rows, indent=1) + "\n").encode())
    write_atomically(README, readme(rows).encode())


if __name__ == "__main__":
    main()
