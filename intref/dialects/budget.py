"""The error budget: what takes a dialect away from the real-number answer, source by source.

The yardstick is the wide model. Each source is put into it alone, in every layer, and the outputs are compared:

weights     the wide model of the weights as the dialect rounds them (linear layers; embedding tables)
rounding    the result of every site of one kind put on the dialect's grid: to nearest, clipped to its range
op          every site of one kind computed by the dialect's own integer nodes, from the wide inputs put on its grids

A distance is the root mean square of the difference, relative to that of the yardstick's output. Were the sources
independent, the dialect's distance would be the root of the sum of their squares; the rest is what they do together.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from intref.errors import SpecError
from intref.model import Model
from intref.ops import OPS
from intref.profiles import Profile, load_profile
from intref.quantize.graph import FloatModel, check_inputs
from intref.quantize.lower import lower_in_steps
from intref.quantize.observe import Progress, Ranges, observe
from intref.quantize.recipe import Recipe, load_recipe
from intref.quantize.sites import Step, Value
from intref.run import execute, prepare

Array = np.ndarray[Any, Any]
Batch = Mapping[str, Any]
Key = tuple[str, str]  # kind and site
YARDSTICK = "wide"
# What may be a function of its own, beside the rounding of its result.
FUNCTIONS = ("norm", "softmax", "activation", "pooler", "pooling", "unit_length")
PRODUCTS = ("embedding", "linear", "scores")  # exact, or rounded with their weights
INTEREST = ("sentence_embedding", "logits", "pooler_output", "last_hidden_state")


@dataclass(frozen=True)
class Row:
    """One source alone. distance: output -> relative root mean square; cosine: output -> 1 - the mean cosine."""

    source: str
    kind: str
    op: str
    distance: dict[str, float]
    cosine: dict[str, float]


@dataclass(frozen=True)
class Budget:
    """rows: a source each. whole: the dialect's own model. outputs: those compared, the nearest to the user first."""

    profile: str
    recipe: str
    outputs: tuple[str, ...]
    rows: tuple[Row, ...]
    whole: Row

    def together(self, output: str) -> float:
        """The root of the sum of the squares of what each source does alone; of an op's two rows, the op's."""
        computed = {row.kind for row in self.rows if row.source == "op"}
        alone = [
            r for r in self.rows if r.source == "op" or (r.source, r.kind) not in {("rounding", k) for k in computed}
        ]
        return float(np.sqrt(sum(row.distance[output] ** 2 for row in alone)))

    def remainder(self, output: str) -> float:
        """The share of the whole's square that the sources do not add up to; negative where they cancel."""
        whole = self.whole.distance[output]
        return 1 - (self.together(output) / whole) ** 2 if whole else 0.0

    def json(self) -> dict[str, Any]:
        """Distances in parts per million million, for JSON holds integers."""
        rows = [
            {
                "source": r.source,
                "site": r.kind,
                "op": r.op,
                "distance": {k: round(v * 1e12) for k, v in r.distance.items()},
            }
            for r in (*self.rows, self.whole)
        ]
        return {"profile": self.profile, "recipe": self.recipe, "unit": "1e-12", "rows": rows}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Budget":
        """What `json` gave; without the cosines, which it leaves out."""
        *rows, whole = (
            Row(row["source"], row["site"], row["op"], {k: v / 1e12 for k, v in row["distance"].items()}, {})
            for row in found["rows"]
        )
        return cls(found["profile"], found["recipe"], tuple(whole.distance), tuple(rows), whole)

    def table(self) -> list[tuple[str, ...]]:
        """source, kind, op, and for each output the distance and its share of the sum of squares."""
        return [
            (r.source, r.kind, r.op, *(f"{r.distance[o]:.3g}" for o in self.outputs)) for r in (*self.rows, self.whole)
        ]


def budget(
    model: FloatModel,
    profile: str | Profile,
    recipe: str | Recipe,
    batches: Iterable[Batch],
    calib: Iterable[Batch] | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Budget:
    """The budget of a profile, as a recipe makes models of it, on batches; calib: what it calibrates with, or these.

    A batch is regrouped, so that nothing is padded. SpecError for no batch at all.
    """
    dialect = load_profile(profile) if isinstance(profile, str) else profile
    plan = load_recipe(recipe) if isinstance(recipe, str) else recipe
    inputs = unpadded(model, batches)
    bench = _Bench(model, dialect, plan, inputs, list(calib) if calib is not None else inputs, progress)
    return bench.budget()


def unpadded(model: FloatModel, batches: Iterable[Batch]) -> list[Batch]:
    """The attended tokens of every row, rows of one length together."""
    rows: dict[int, list[tuple[Array, Array]]] = {}
    for batch in batches:
        ids, mask, types = check_inputs(model.config, batch)
        for i, kept in enumerate(mask == 1):
            if kept.any():
                rows.setdefault(int(kept.sum()), []).append((ids[i, kept], types[i, kept]))
    if not rows:
        raise SpecError("budget: expected at least one attended token, found none")
    return [
        {"input_ids": np.stack([ids for ids, _ in group]), "token_type_ids": np.stack([types for _, types in group])}
        for _, group in sorted(rows.items())
    ]


@dataclass(frozen=True)
class _Made:
    """A model and how it was lowered."""

    model: Model
    steps: list[Step]

    def by_key(self) -> dict[Key, Step]:
        return {(s.kind, s.site): s for s in self.steps}

    def nodes(self, first: int, last: int, values: dict[str, Array]) -> None:
        """Run some nodes, in place."""
        for node, attrs in zip(self.model.nodes[first:last], self.model.attrs[first:last]):
            tensors = {port: values[name] for port, name in node.inputs.items()}
            made = execute(OPS[node.op], tensors, attrs, "fast")
            values.update({node.outputs[port]: value for port, value in made.items()})


Change = Callable[[Step, list[Array], Array], Array | None]  # (step, its real inputs, its real result) -> another one


def walk(made: _Made, inputs: Batch, change: Change | None = None) -> dict[str, Array]:
    """The real outputs of a model whose sites' results are changed on the way, each seen by those who read it."""
    values: dict[str, Array] = {**made.model.constants, **prepare(made.model, inputs)}
    changed: dict[int, Array] = {}  # the results that are not their tensor's own, by their Value
    done = 0

    def read(value: Value) -> Array:
        return changed.get(id(value), values[value.tensor])

    for step in made.steps:
        made.nodes(done, step.first, values)
        local = {**values, **{arg.tensor: read(arg) for arg in step.args}}
        made.nodes(step.first, step.last, local)
        names = {name for node in made.model.nodes[step.first : step.last] for name in node.outputs.values()}
        values.update({name: local[name] for name in names})
        result, done = local[step.result.tensor], step.last
        if change is not None:
            real = [as_real(arg, {arg.tensor: read(arg)}) for arg in step.args]
            other = change(step, real, as_real(step.result, {step.result.tensor: result}))
            result = result if other is None else as_integers(step.result, other, made.model)
        if step.result.tensor in names:
            values[step.result.tensor] = result
        changed[id(step.result)] = result
    made.nodes(done, len(made.model.nodes), values)
    last = {step.result.tensor: step.result for step in made.steps}  # the latest of those that share a tensor
    outputs = {name: last[tensor] for name, tensor in made.model.outputs.items() if tensor in last}
    return {name: as_real(value, {value.tensor: read(value)}) for name, value in outputs.items()}


def _scale(value: Value, ndim: int) -> Array:
    heads = value.heads is not None and ndim == 4
    return np.asarray(value.heads, np.float64)[:, None, None] if heads else np.asarray(value.scale, np.float64)


def as_real(value: Value, tensors: Mapping[str, Array]) -> Array:
    """The real numbers that a Value's integers stand for: float64."""
    integers = tensors[value.tensor]
    real = integers.astype(np.float64) * _scale(value, integers.ndim)
    if value.token is not None:
        mantissa, exponent = (tensors[name].astype(np.float64) for name in value.token)
        real = real * mantissa * 2.0**exponent
    if value.total is not None:
        real = real / np.maximum(tensors[value.total], 1)
    for added in (value.bias, value.offset):
        real = real if added is None else real + added
    return real


def as_integers(value: Value, real: Array, model: Model, token: float = 1.0) -> Array:
    """The integers of a Value nearest to real numbers, clipped to its declared range. token: the scale of all rows."""
    for added in (value.bias, value.offset):
        real = real if added is None else real - added
    scale, declared = _scale(value, real.ndim) * token, model.tensors[value.tensor]
    low, high = declared.range
    nearest = np.rint(np.divide(real, scale, out=np.zeros_like(real), where=scale != 0))
    return np.clip(nearest, max(low, -(1 << 62)), min(high, 1 << 62)).astype(declared.dtype)


class _Bench:
    """A float model and its two integer ones: the yardstick, and the dialect under test."""

    def __init__(
        self,
        model: FloatModel,
        profile: Profile,
        recipe: Recipe,
        inputs: list[Batch],
        calib: list[Batch],
        told: Progress,
    ):
        self.float, self.profile, self.recipe, self.inputs, self.told = model, profile, recipe, inputs, told
        self.plan = load_recipe(YARDSTICK)
        with threadpool_limits(1, user_api="blas"):
            self.ranges = observe(model, calib, recipe.observer != "minmax", told)
            self.wide_ranges = self.ranges if recipe.observer == "minmax" else observe(model, calib, False, told)
        self.wide = self._lowered(model, self.wide_ranges, self.plan, load_profile(self.plan.profile))
        self.other = self._lowered(model, self.ranges, recipe, profile)
        mine = {(s.kind, s.site) for s in self.wide.steps}
        given = {s.result.tensor for s in self.other.steps if (s.kind, s.site) in mine and s.first < s.last}
        # A site that takes what another gave, as it is, rounds nothing anew.
        again = [s for s in self.other.steps if s.first == s.last and any(a.tensor == s.result.tensor for a in s.args)]
        passed = {(s.kind, s.site) for s in again if s.result.tensor in given}
        self.theirs = {k: s for k, s in self.other.by_key().items() if k in mine and k not in passed}
        self.exact = [walk(self.wide, batch) for batch in inputs]

    def _lowered(self, model: FloatModel, ranges: Ranges, recipe: Recipe, profile: Profile) -> _Made:
        return _Made(*lower_in_steps(model, ranges, recipe, profile, {}, lambda what, done, total: None))

    def budget(self) -> Budget:
        kinds = [*dict.fromkeys(kind for kind, _ in self.theirs)]
        jobs: list[tuple[str, str, Callable[[], list[dict[str, Array]]]]] = [
            ("weights", kind, partial(self._with_weights, kind)) for kind in ("embedding", "linear")
        ]
        for kind in kinds:
            if kind not in PRODUCTS and self._static(kind):
                jobs.append(("rounding", kind, partial(self._changed, kind, self._rounded)))
            if kind in FUNCTIONS or (kind not in PRODUCTS and not self._static(kind)):
                jobs.append(("op", kind, partial(self._changed, kind, self._computed)))
        rows = []
        for i, (source, kind, job) in enumerate(jobs):
            rows.append(self._row(source, kind, job()))
            self.told("budget", i + 1, len(jobs))
        whole = self._row("whole", "", [walk(self.other, batch) for batch in self.inputs])
        return Budget(self.profile.name, self.recipe.name, tuple(rows[0].distance), tuple(rows), whole)

    def _row(self, source: str, kind: str, found: list[dict[str, Array]]) -> Row:
        distance, cosine = {}, {}
        for name in (name for name in INTEREST if name in self.exact[0]):
            pairs = [(_vectors(x[name]), _vectors(y[name])) for x, y in zip(self.exact, found)]
            x, y = (np.concatenate(side) for side in zip(*pairs))
            distance[name] = float(np.linalg.norm(x - y) / np.linalg.norm(x))
            lengths = np.linalg.norm(x, axis=-1) * np.linalg.norm(y, axis=-1)
            cosine[name] = float(np.mean(1 - (x * y).sum(-1) / np.where(lengths > 0, lengths, 1.0)))
        op = str(self.profile.sites.get(kind, {}).get("op", ""))
        return Row(source, kind, op if source == "op" else "", distance, cosine)

    def _static(self, kind: str) -> bool:
        """Whether its results have a grid that is known before the run."""
        return all(s.result.token is None and s.result.total is None for k, s in self.theirs.items() if k[0] == kind)

    def _with_weights(self, kind: str) -> list[dict[str, Array]]:
        weights = dict(self.float.weights)
        for step in self.other.steps:
            if step.kind == kind:
                weights.update(self._rounded_weights(step))
        made = self._lowered(replace(self.float, weights=weights), self.wide_ranges, self.plan, load_profile(YARDSTICK))
        return [walk(made, batch) for batch in self.inputs]

    def _rounded_weights(self, step: Step) -> dict[str, Array]:
        """The weights of a step as its constants hold them, in real units."""
        constants, scale = self.other.model.constants, np.asarray(step.result.scale, np.float64)
        node = next(n for n in self.other.model.nodes[step.first : step.last] if {"weight", "table"} & n.inputs.keys())
        if step.kind == "embedding":
            return {step.site: constants[node.inputs["table"]] * scale}
        per_row = scale / np.asarray(step.args[0].scale, np.float64) / 2.0 ** node.attrs.get("shift", 0)
        bias = constants[node.inputs["bias"]] * scale if step.result.bias is None else step.result.bias
        rounded = constants[node.inputs["weight"]] * np.reshape(per_row, (-1, 1))
        return {f"{step.site}.weight": rounded, f"{step.site}.bias": bias}

    def _changed(self, kind: str, change: Callable[..., Array]) -> list[dict[str, Array]]:
        def at_kind(batch: Batch, step: Step, real: list[Array], result: Array) -> Array | None:
            known = step.kind == kind and (step.kind, step.site) in self.theirs
            return change(batch, step, real, result) if known else None

        return [walk(self.wide, batch, partial(at_kind, batch)) for batch in self.inputs]

    def _rounded(self, batch: Batch, step: Step, real: list[Array], result: Array) -> Array:
        theirs = self.theirs[step.kind, step.site].result
        return as_real(theirs, {theirs.tensor: as_integers(theirs, result, self.other.model)})

    def _computed(self, batch: Batch, step: Step, real: list[Array], result: Array) -> Array:
        """The dialect's nodes on the real inputs; a token-wise input has one fine scale for all rows."""
        theirs, model = self.theirs[step.kind, step.site], self.other.model
        values: dict[str, Array] = {**model.constants, **prepare(model, batch)}
        for arg, numbers in zip(theirs.args, real):
            values[arg.tensor] = self._on_grid(arg, numbers, values)
        self.other.nodes(theirs.first, theirs.last, values)
        return as_real(theirs.result, values)

    def _on_grid(self, arg: Value, numbers: Array, values: dict[str, Array]) -> Array:
        if arg.token is None:
            return as_integers(arg, numbers, self.other.model)
        low, high = self.other.model.tensors[arg.tensor].range
        rest = numbers if arg.bias is None else numbers - arg.bias
        needed = float(np.abs(rest / arg.scale).max()) / min(-low, high)
        mantissa, exponent = math.frexp(max(needed, 0.5))
        bits, twos = min(math.ceil(mantissa * 2.0 ** min(exponent, 15)), (1 << 15) - 1), max(exponent - 15, 0)
        one = (*numbers.shape[:-1], 1)
        values[arg.token[0]], values[arg.token[1]] = np.full(one, bits, np.int16), np.full(one, twos, np.int8)
        return as_integers(arg, numbers, self.other.model, bits * 2.0**twos)


def _vectors(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1])
