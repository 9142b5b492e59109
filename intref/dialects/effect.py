"""What another dialect, or one site of it, does to the output of a model."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from intref.errors import IntrefError
from intref.model import Model
from intref.profiles import Profile
from intref.quantize.graph import FloatModel
from intref.quantize.lower import lower
from intref.quantize.observe import Progress, observe
from intref.quantize.recipe import Recipe

PREPARED = {"softmax": "softmax_input", "activation": "activation_input"}  # an op, and what narrows its input for it
Batches = list[Mapping[str, Any]]


@dataclass(frozen=True)
class Effect:
    """elements: of the model's outputs on all inputs; differ: those of another real value; largest: the largest change
    of a row, relative to the row's length; labels: rows whose largest logit is another. refused: why there is no model.
    """

    elements: int = 0
    differ: int = 0
    largest: float = 0.0
    labels: int = 0
    rows: int = 0
    refused: str = ""

    def json(self) -> dict[str, Any]:
        """largest in parts per million, for JSON holds integers."""
        counts = {"elements": self.elements, "differ": self.differ, "labels": self.labels, "rows": self.rows}
        return {**counts, "largest_ppm": round(self.largest * 1_000_000), "refused": self.refused}


class Effects:
    """A float model, calibrated once, lowered to one profile and another."""

    def __init__(
        self, model: FloatModel, recipe: Recipe, calib: Batches, inputs: Iterable[Mapping[str, Any]], told: Progress
    ):
        self.model, self.recipe, self.inputs, self.told = model, recipe, list(inputs), told
        with threadpool_limits(1, user_api="blas"):
            self.ranges = observe(model, calib, recipe.observer != "minmax", told)

    def lowered(self, profile: Profile) -> Model:
        """The integer model; BoundError or Unsupported where the profile cannot carry it."""
        return lower(self.model, self.ranges, self.recipe, profile, {}, lambda what, done, total: None)

    def outputs(self, profile: Profile) -> list[dict[str, np.ndarray]]:
        """Every output in real units, input by input."""
        model = self.lowered(profile)
        scaled = [name for name, tensor in model.outputs.items() if tensor in model.scales]
        return [{name: result.float(name) for name in scaled} for result in map(model.run, self.inputs)]

    def of(self, a: Profile, b: Profile, site: str | None = None) -> Effect:
        """What B, or B at one site alone, changes in a model of A."""
        other = b if site is None else _with_site(a, b, site)
        try:
            mine, theirs = self.outputs(a), self.outputs(other)
        except IntrefError as error:
            return Effect(refused=str(error))
        pairs = [(x[name], y[name]) for x, y in zip(mine, theirs) for name in x]
        changes = [np.linalg.norm(x - y, axis=-1) / np.maximum(np.linalg.norm(x, axis=-1), 1e-30) for x, y in pairs]
        logits = [(x["logits"], y["logits"]) for x, y in zip(mine, theirs) if "logits" in x]
        return Effect(
            sum(x.size for x, _ in pairs),
            sum(int((x != y).sum()) for x, y in pairs),
            max((float(change.max()) for change in changes), default=0.0),
            sum(int((x.argmax(-1) != y.argmax(-1)).sum()) for x, y in logits),
            sum(len(x) for x, _ in logits),
        )


def _with_site(a: Profile, b: Profile, site: str) -> Profile:
    """A with one site as B has it, and with what B does to prepare that site's input."""
    changed = {site, PREPARED.get(site, site)}
    sites = {name: row for name, row in a.sites.items() if name not in changed}
    sites |= {name: row for name, row in b.sites.items() if name in changed}
    return replace(a, name=f"{a.name} with {site} of {b.name}", sites=sites)
