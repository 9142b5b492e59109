"""Recipes: the quantization method as data, and `quantize`, which carries one out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_limits

from intref.errors import BoundError, FormatError, SpecError, Unsupported
from intref.profiles import Profile, load_profile, read_toml
from intref.profiles.keys import in_words

if TYPE_CHECKING:
    from intref.model import Model
    from intref.quantize.graph import FloatModel
    from intref.quantize.observe import Progress, Ranges

RECIPES = Path(__file__).parent / "recipes"
DEFAULT = "w8a8-token"
FORMS = ("symmetric", "ibert")
OBSERVERS = ("minmax", "percentile", "mse")
# table -> key -> what it must be: a tuple of choices, or (low, high) of a number.
TABLES: dict[str, dict[str, Any]] = {
    "weights": {"bits": (2, 48), "form": FORMS},
    "activations": {"bits": (2, 48), "observer": OBSERVERS, "percentile": (50.0, 100.0)},
    "wide": {
        "observer": ("minmax",),
        "headroom": (1.0, 16.0),
        "embedding_bits": (8, 48),
        "sum_bits": (8, 48),
        "residual_bits": (8, 48),
        "output_bits": (8, 48),
    },
}


@dataclass(frozen=True)
class Recipe:
    """Bit widths, observers and headroom; the profile says with which ops."""

    name: str
    about: str
    profile: str
    weight_bits: int
    weight_form: str
    activation_bits: int
    observer: str
    percentile: float
    headroom: float
    embedding_bits: int
    sum_bits: int
    residual_bits: int
    output_bits: int

    def clip(self, ranges: "Ranges", site: str) -> float:
        """The range [-clip, clip] of an activation of few bits."""
        return ranges.clip(site, self.observer, self.percentile, self.activation_bits)


def names() -> list[str]:
    """The recipes that come with intref."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def load_recipe(name: str) -> Recipe:
    """A recipe by name, or from a TOML file by path; FormatError or Unsupported, one line, if it is not one."""
    path = RECIPES / f"{name}.toml" if name in names() else Path(name)
    if not path.is_file():
        raise Unsupported(f"recipe {name!r}: there is no such file, and no recipe but {', '.join(names())}")
    table = read_toml(path)
    for key in ("name", "about", "profile"):
        if key not in table:
            raise FormatError(f"{path}: recipe must have {key!r}: the key is missing")
        if not isinstance(table[key], str):
            raise FormatError(f"{path}: {key} must be text, not {in_words(table[key])}")
    if unknown := table.keys() - {"name", "about", "profile", *TABLES}:
        raise FormatError(f"{path}: key {min(unknown)!r} is unknown, tables are {', '.join(TABLES)}")
    weights, activations, wide = (_checked(path, key, table.get(key)) for key in TABLES)
    return Recipe(
        table["name"],
        table["about"],
        table["profile"],
        *weights.values(),
        *activations.values(),
        **{key: value for key, value in wide.items() if key != "observer"},
    )


def _checked(path: Path, name: str, table: Any) -> dict[str, Any]:
    keys = TABLES[name]
    if isinstance(table, dict) and name == "activations" and table.get("observer") != "percentile":
        table = {"percentile": 100.0, **table}  # read by that observer only
    if not isinstance(table, dict):
        said = "is missing" if table is None else f"must be a table, not {in_words(table)}"
        raise FormatError(f"{path}: recipe must have a table [{name}]: it {said}")
    if missing := [key for key in keys if key not in table]:
        raise FormatError(f"{path}: table [{name}] must have {missing[0]!r}: the key is missing")
    for key, value in table.items():
        if key not in keys:
            raise FormatError(f"{path}: table [{name}]: key {key!r} is unknown, keys are {', '.join(keys)}")
        _check_value(f"{path}: {name}.{key}", value, keys[key])
    return {key: table[key] for key in keys}  # in the order of Recipe's fields


def _check_value(place: str, value: Any, allowed: tuple[Any, ...]) -> None:
    if isinstance(allowed[0], str):
        fits, choices = value in allowed, f"one of {', '.join(allowed)}"
    else:
        low, high = allowed
        kind = "an integer" if type(low) is int else "a number"
        fits, choices = type(value) in (int, type(low)) and low <= value <= high, f"{kind} in {low:g}..{high:g}"
    if not fits:
        raise FormatError(f"{place} must be {choices}, not {in_words(value)}")


def quantize(
    model: "FloatModel",
    recipe: str | None = None,
    profile: str | None = None,
    calib: Iterable[Mapping[str, Any]] | None = None,
    seed: int = 0,
    progress: "Progress | None" = None,
) -> "Model":
    """The integer model that a recipe makes of a float one, proved free of overflow.

    recipe, profile: a name or the path of a TOML file; each defaults to the one made for the other, both to DEFAULT and
    its profile. calib: batches of inputs
    (input_ids [B, T], optionally attention_mask, token_type_ids); None: the model's own calibration set, or token ids
    drawn from `seed`, and about["calibration"] says which. progress(what, done, total) is called as work goes on.
    """
    if type(seed) is not int or not 0 <= seed < 1 << 32:
        raise SpecError(f"seed must be an integer in [0, 2**32 - 1], not {seed!r}")
    from intref.quantize.calibration import batches_for
    from intref.quantize.lower import lower
    from intref.quantize.observe import observe

    plan, dialect, fits = _chosen(recipe, profile)
    told = progress or _silent
    batches, source = batches_for(model, calib, seed)
    with threadpool_limits(1, user_api="blas"):  # BLAS sums in another order on more threads: other bytes
        ranges = observe(model, batches, plan.observer != "minmax", told)
    about = {"calibration": source, "seed": seed, "checkpoint": model.path.name if model.path else ""}
    try:
        return lower(model, ranges, plan, dialect, about, told)
    except (BoundError, Unsupported) as error:
        if fits:
            raise
        made = f"recipe {plan.name} is made for profile {plan.profile}"
        raise type(error)(f"{error} ({made}; {made_for(dialect).name} is the recipe for {dialect.name})") from None


def made_for(profile: Profile) -> Recipe:
    """The recipe that names a profile, else the first whose profile has its op before linear layers, or DEFAULT."""
    known = [load_recipe(name) for name in names()]
    op = profile.sites["linear_input"]["op"]
    alike = (one for one in known if load_profile(one.profile).sites["linear_input"]["op"] == op)
    named = {one.profile: one for one in reversed(known)}
    return named.get(profile.name) or next(alike, load_recipe(DEFAULT))


def _chosen(recipe: str | None, profile: str | None) -> tuple[Recipe, Profile, bool]:
    """Recipe, profile, and whether one is made for the other, as far as intref knows."""
    if recipe is None and profile is not None:
        dialect = load_profile(profile)
        return made_for(dialect), dialect, True
    plan = load_recipe(recipe or DEFAULT)
    dialect = load_profile(profile or plan.profile)
    return plan, dialect, plan.profile in (dialect.name, made_for(dialect).profile)


def _silent(what: str, done: int, total: int) -> None:
    pass
