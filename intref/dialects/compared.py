"""The effects of every site in which two profiles differ, on one model."""

from collections.abc import Sequence
from pathlib import Path

from intref.dialects.budget import Budget, budget
from intref.dialects.effect import Batches, Effect, Effects
from intref.golden import suite_path
from intref.profiles import Profile
from intref.quantize import FloatModel, load
from intref.quantize.calibration import batches_for, read_batches
from intref.quantize.observe import Progress
from intref.quantize.recipe import load_recipe, made_for

EMBEDDED = ("models", "sentiment")
INPUTS = 4  # batches of the calibration data that a model is asked with


def compared(
    a: Profile,
    b: Profile,
    sites: Sequence[str],
    model: str | None,
    recipe: str | None,
    inputs: str | None,
    told: Progress,
) -> dict[str, Effect]:
    """Site -> what B's way at that site changes in a model of A; "" -> what all of B changes."""
    exact, calib, asked = _asked(model, inputs)
    plan = load_recipe(recipe) if recipe else made_for(a)
    effects, found = Effects(exact, plan, calib, asked, told), {}
    for i, site in enumerate(("", *sites)):
        found[site] = effects.of(a, b, site or None)
        told("compare", i + 1, len(sites) + 1)
    return found


def budgeted(profile: Profile, model: str | None, recipe: str | None, inputs: str | None, told: Progress) -> Budget:
    """The error budget of a profile on one model; told as in `compared`."""
    exact, calib, asked = _asked(model, inputs)
    plan = load_recipe(recipe) if recipe else made_for(profile)
    return budget(exact, profile, plan, asked, calib, told)


def _asked(model: str | None, inputs: str | None) -> tuple[FloatModel, Batches, Batches]:
    """A float model, what it is calibrated with, and what it is asked."""
    exact = load(model or suite_path().joinpath(*EMBEDDED))
    calib, _ = batches_for(exact, None, 0)
    tokenizer = exact.path / "tokenizer.json" if exact.path is not None else None
    return exact, calib, list(read_batches(Path(inputs), tokenizer)) if inputs else calib[:INPUTS]
