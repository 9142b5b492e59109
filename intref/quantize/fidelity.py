"""How near an integer model is to the float one that it was made of, output by output."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from intref.errors import SpecError
from intref.model import Model
from intref.quantize.graph import FloatModel, check_inputs

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Fidelity:
    """Of one output: mean cosine of its vectors (last axis); argmax: share of rows with the same largest logit."""

    output: str
    vectors: int
    cosine: float
    argmax: float | None


def fidelity(
    exact: FloatModel, model: Model, batches: Iterable[Mapping[str, Any]], backend: str = "fast"
) -> list[Fidelity]:
    """Run both models on the batches and compare every output, in real units; padding does not count.

    batches: as `FloatModel.run` takes them. SpecError for no batch at all, or inputs that do not fit the models.
    """
    cosines: dict[str, list[Array]] = {n: [] for n, tensor in model.outputs.items() if tensor in model.scales}
    agreeing: list[Array] = []
    for batch in batches:
        _, mask, _ = check_inputs(exact.config, batch)
        expected, result = exact.run(batch), model.run(batch, backend)
        for name, found in cosines.items():
            pair = [_vectors(values, mask) for values in (expected[name], result.float(name))]
            found.append(_cosines(*pair))
            if name == "logits":
                agreeing.append(pair[0].argmax(-1) == pair[1].argmax(-1))
    return [_of_output(name, found, agreeing if name == "logits" else None) for name, found in cosines.items()]


def _vectors(values: Array, mask: Array) -> Array:
    """[N, D] in float64: those of attended tokens where there is one for each token."""
    return np.asarray(values[mask == 1] if values.ndim == 3 else values, np.float64)


def _cosines(a: Array, b: Array) -> Array:
    """Of each pair of rows; two rows of zeros are alike, one is not like anything else."""
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    alike = ~a.any(-1) & ~b.any(-1)
    return np.where(alike, 1.0, (a * b).sum(-1) / np.where(lengths > 0, lengths, 1.0))


def _of_output(name: str, cosines: list[Array], agreeing: list[Array] | None) -> Fidelity:
    if not cosines or not (vectors := np.concatenate(cosines)).size:
        raise SpecError("fidelity: expected at least one attended token, found none")
    argmax = float(np.concatenate(agreeing).mean()) if agreeing else None
    return Fidelity(name, vectors.size, float(vectors.mean()), argmax)
