"""What a model is calibrated with, and how near it comes to the float one, as values and as a table."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from intref.cli.output import Told
from intref.model import Model
from intref.quantize import FloatModel
from intref.quantize.calibration import amount, batches_for, read_batches
from intref.quantize.fidelity import fidelity

FEW = 8  # calibration batches that are enough to see a model go wrong
Batches = list[Mapping[str, Any]]


def calibration(float_model: FloatModel, path: str | None, seed: int) -> tuple[Batches, str]:
    """The batches of a file, named with their amount; else those that quantize finds by itself."""
    if path is None:
        return batches_for(float_model, None, seed)
    batches = _read(float_model, path)
    return batches, f"{path}: {amount(float_model, batches)}"


def evaluation(float_model: FloatModel, path: str | None) -> Batches:
    """The batches of a file, checked before any work is done; none without a file."""
    batches = _read(float_model, path) if path else []
    amount(float_model, batches)
    return batches


def _read(float_model: FloatModel, path: str) -> Batches:
    tokenizer = float_model.path / "tokenizer.json" if float_model.path else None
    return [*read_batches(path, tokenizer)]


def nearness(float_model: FloatModel, model: Model, batches: Batches, told: Told) -> dict[str, dict[str, Any]]:
    """Output -> vectors compared, mean cosine, and for logits the share of rows with the same argmax."""
    from intref.cli.options import best_backend

    found = fidelity(float_model, model, _counted(batches, told), best_backend())
    return {f.output: {"vectors": f.vectors, "cosine": f.cosine, "argmax": f.argmax} for f in found}


def _counted(batches: Batches, told: Told) -> Iterable[Mapping[str, Any]]:
    for i, batch in enumerate(batches):
        yield batch
        told("compare with float", i + 1, len(batches))


def table(near: Mapping[str, Mapping[str, Any]]) -> tuple[Sequence[str], Iterable[Sequence[object]]]:
    """For people."""
    columns = ("output", "vectors>", "mean cosine>", "same argmax>")
    rows = [
        (name, r["vectors"], f"{r['cosine']:.6f}", "" if r["argmax"] is None else f"{100 * r['argmax']:.2f} %")
        for name, r in near.items()
    ]
    return columns, rows
