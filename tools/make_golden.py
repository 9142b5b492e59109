"""Write golden/: SPEC.md and a package of directed cases for every op; with --check, change nothing and compare.

    python tools/make_golden.py            write golden/SPEC.md, golden/ops/ and, from their integers, models/
    python tools/make_golden.py --check    exit 1, naming each file that would change, appear or vanish
    python tools/make_golden.py --models   quantize golden/models/ again and write their packages

The integer models are committed, inside their packages, because another machine's floats may calibrate to other
integers. --check starts from those integers: each package is run again from its own model and inputs, and must come
out byte for byte.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import intref  # noqa: E402
from intref.atomic import write_atomically  # noqa: E402
from intref.golden import read_golden, spec_text, write_golden, write_op_golden  # noqa: E402
from intref.ops import OPS  # noqa: E402

PACKAGED = ("w8a8-token", "ibert")  # the recipes whose integer models are committed
SENTENCES = 2  # of sentences.json, in a package: a short one and a longer one, padded


def make(golden: Path) -> None:
    """The generated part of golden/: SPEC.md and ops/."""
    golden.joinpath("ops").mkdir(parents=True, exist_ok=True)
    for name in OPS:
        write_op_golden(name, golden / "ops" / name)
    write_atomically(golden / "SPEC.md", spec_text().encode())


def quantize_models(golden: Path) -> None:
    """A package for every recipe of PACKAGED beside every float model: its calibration set, its first sentences."""
    for config in sorted(golden.joinpath("models").glob("*/config.json")):
        folder = config.parent
        sentences = json.loads(folder.joinpath("sentences.json").read_text(encoding="utf-8"))[:SENTENCES]
        longest = max(len(s["input_ids"]) for s in sentences)
        ids = np.array([s["input_ids"] + [0] * (longest - len(s["input_ids"])) for s in sentences])
        mask = np.array([[1] * len(s["input_ids"]) + [0] * (longest - len(s["input_ids"])) for s in sentences])
        for recipe in PACKAGED:
            model = intref.load(folder).quantize(recipe)
            write_golden(model, {"input_ids": ids, "attention_mask": mask}, folder / recipe)


def rerun_models(golden: Path, out: Path, backend: str) -> None:
    """Every model package of golden/, run again from its own model and inputs, at the same place under out."""
    for manifest in sorted(golden.joinpath("models").rglob("manifest.json")):
        old = read_golden(manifest.parent)
        if old.model is None:
            continue
        target = out / manifest.parent.relative_to(golden)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_golden(old.model, old.inputs, target, old.manifest["trace"], backend, old.manifest["seed"])


def generated(golden: Path) -> Iterator[Path]:
    """The files of golden/ that are made by a program, relative to it."""
    yield Path("SPEC.md")
    folders = [golden / "ops", *(path.parent for path in golden.joinpath("models").rglob("manifest.json"))]
    yield from (path.relative_to(golden) for folder in folders for path in folder.rglob("*") if path.is_file())


def differences(old: Path, new: Path) -> Iterator[str]:
    for name in sorted({*generated(old), *generated(new)}):
        kept, made = old / name, new / name
        if not (kept.is_file() and made.is_file()):
            yield f"{kept}: {'would vanish' if kept.is_file() else 'would appear'}"
        elif kept.read_bytes() != made.read_bytes():
            yield f"{kept}: would change"


@click.command(help=__doc__)
@click.option("--check", is_flag=True, help="Compare only.")
@click.option("--models", is_flag=True, help="Quantize the float models again, too.")
@click.option("--golden", type=click.Path(path_type=Path), default=ROOT / "golden", show_default="golden/")
@click.option("--backend", type=click.Choice(["reference", "fast"]), default="fast", help="To run models again with.")
def main(check: bool, models: bool, golden: Path, backend: str) -> None:
    if not check:
        make(golden)
        if models:
            quantize_models(golden)
        else:
            rerun_models(golden, golden, backend)
        return
    with tempfile.TemporaryDirectory() as folder:
        new = Path(folder)
        make(new)
        rerun_models(golden, new, backend)
        found = list(differences(golden, new))
    print(*found, sep="\n", end="\n" * bool(found))
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
