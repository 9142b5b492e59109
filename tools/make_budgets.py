"""Where the error of a dialect comes from, source by source: golden/budgets/, and its table in README.md.

    python tools/make_budgets.py --stsb DIR    # DIR holds stsb-en-train.csv; without it the embedded model alone
    python tools/make_budgets.py --redraw      pictures and table anew from golden/budgets/*.json; nothing is measured
    python tools/make_budgets.py --check       exit 1 if README's table is not that of golden/budgets/

The embedded model is what `intref profile diff wide PROFILE` asks; MiniLM is calibrated on 50 sentences and asked for
20 others.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from measure_minilm import minilm, read

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import intref  # noqa: E402
from intref.atomic import write_atomically  # noqa: E402
from intref.dialects.budget import Budget, budget  # noqa: E402
from intref.dialects.compared import budgeted  # noqa: E402
from intref.dialects.picture import draw  # noqa: E402
from intref.profiles import load_profile  # noqa: E402
from intref.quantize.calibration import encoder  # noqa: E402
from intref.quantize.recipe import made_for  # noqa: E402

FOLDER, README = ROOT / "golden" / "budgets", ROOT / "README.md"
BEGIN, END = "<!-- budgets: written by tools/make_budgets.py -->\n", "<!-- end of budgets -->\n"
PROFILES = ("ibert", "intref")
MODELS = {"embedded": "logits", "minilm": "sentence_embedding"}  # and the output that is shown
TOLD = {"embedded": "embedded model", "minilm": "MiniLM"}
LEAST = 1e-4  # of what a row is about


def of_embedded() -> Iterator[Budget]:
    for name in PROFILES:
        yield budgeted(load_profile(name), None, None, None, _silent)


def of_minilm(stsb: Path) -> Iterator[Budget]:
    exact, encode = intref.load(minilm()), encoder(minilm() / "tokenizer.json")
    train = read(stsb / "stsb-en-train.csv")
    calib, asked = (
        [{"input_ids": np.array([encode(row[0])])} for row in rows] for rows in (train[:2000:40], train[3000:3200:10])
    )
    for name in PROFILES:
        yield budget(exact, name, made_for(load_profile(name)), asked, calib, _silent)


def _silent(what: str, done: int, total: int) -> None:
    """No progress is shown."""


def table(stored: dict[str, list[Any]]) -> str:
    """A row for each source and kind of site that moves any output by more than LEAST."""
    columns = [
        (f"{TOLD[model]}, `{found['profile']}`", _distances(found, MODELS[model]))
        for model, budgets in stored.items()
        for found in budgets
    ]
    keys = list(dict.fromkeys(key for _, found in columns for key in found))
    keys.sort(key=lambda key: (key == ("whole", ""), key[0] != "weights"))
    lines = [f"| source | site | {' | '.join(name for name, _ in columns)} |\n", "|---" * (len(columns) + 2) + "|\n"]
    for key in keys:
        values = [found.get(key) for _, found in columns]
        if any(value is not None and value > LEAST for value in values):
            cells = ("" if value is None else f"{100 * value:.2f} %" for value in values)
            lines.append(f"| {' | '.join((*key, *cells))} |\n")
    return "".join(lines)


def _distances(found: dict[str, Any], output: str) -> dict[tuple[str, str], float]:
    return {(row["source"], row["site"]): row["distance"][output] / 1e12 for row in found["rows"]}


def stored() -> dict[str, list[Any]]:
    return {
        model: json.loads((FOLDER / f"{model}.json").read_text("utf-8"))
        for model in MODELS
        if (FOLDER / f"{model}.json").is_file()
    }


def readme() -> str:
    text = README.read_text("utf-8")
    before, rest = text.split(BEGIN)
    return before + BEGIN + table(stored()) + rest[rest.index(END) :]


@click.command(help=__doc__)
@click.option("--stsb", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--redraw", is_flag=True)
@click.option("--check", is_flag=True)
def main(stsb: Path | None, redraw: bool, check: bool) -> None:
    if check:
        sys.exit(readme() != README.read_text("utf-8"))
    if not redraw:
        measure(stsb)
    for model, found in stored().items():
        draw([Budget.from_json(one) for one in found], FOLDER / f"{model}.svg")
    write_atomically(README, readme().encode())


def measure(stsb: Path | None) -> None:
    FOLDER.mkdir(exist_ok=True)
    for model, made in (("embedded", of_embedded()), ("minilm", of_minilm(stsb) if stsb else ())):
        if budgets := list(made):
            text = json.dumps([found.json() for found in budgets], indent=1) + "\n"
            write_atomically(FOLDER / f"{model}.json", text.encode())


if __name__ == "__main__":
    main()
