"""An imported network against what was recorded of it: inputs.npz, outputs.npz, activations.npz in one directory."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from intref.atomic import StrPath
from intref.errors import FormatError
from intref.importing.graph import Graph, read_graph
from intref.importing.importer import ROUNDED, ROUNDINGS, import_onnx
from intref.importing.values import integers
from intref.model import BIT_PATTERNS, BOUNDARY, Model
from intref.npzfile import read_npz
from intref.run import run

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Check:
    """What came of the comparison. rows: (recorded name, tensor, elements, mismatches). unmatched: recorded names that
    no tensor has. roundings: those of RequantShift that were tried, and the mismatches of each; none without any.
    """

    model: Model
    rows: tuple[tuple[str, str, int, int], ...]
    unmatched: tuple[str, ...] = ()
    roundings: Mapping[str, int] = field(default_factory=dict)

    @property
    def compared(self) -> int:
        return sum(elements for _, _, elements, _ in self.rows)

    @property
    def mismatches(self) -> int:
        return sum(wrong for *_, wrong in self.rows)


def imported_and_checked(
    path: StrPath, directory: StrPath, inputs: Mapping[str, str] | None = None, requant_rounding: str | None = None,
    backend: str = "fast",
) -> Check:  # fmt: skip
    """Import a network, run it on its recorded inputs, compare. Without a rounding, the first that reproduces them."""
    graph = read_graph(path)
    recorded = recorded_inputs(graph, directory)
    best: Check | None = None
    tried: dict[str, int] = {}
    rounds = any(call.op == ROUNDED for call in graph.calls)
    for rounding in [requant_rounding] if requant_rounding else ROUNDINGS if rounds else ROUNDINGS[:1]:
        model = import_onnx(path, inputs, rounding, recorded)
        found = compared(model, graph, recorded, Path(directory), backend)
        if rounds:
            tried[rounding] = found.mismatches
        if best is None or found.mismatches < best.mismatches:
            best = found
    assert best is not None
    return Check(best.model, best.rows, best.unmatched, tried)


def recorded_inputs(graph: Graph, directory: StrPath) -> dict[str, Array]:
    """The inputs of a graph as they are stored, by their names, or in their order where the archive has other names."""
    path = Path(directory) / "inputs.npz"
    arrays = read_npz(path)
    if not graph.inputs.keys() <= arrays.keys():
        if len(arrays) < len(graph.inputs):
            raise FormatError(f"{path}: expected arrays for {', '.join(graph.inputs)}, found {', '.join(arrays)}")
        arrays = dict(zip(graph.inputs, arrays.values()))
    return {name: arrays[name] for name in graph.inputs}


def _as_in_model(model: Model, word: str, name: str, at: str, values: Array) -> Array:
    """A recorded input or output as the model has it: float32s as their bits, or the integers that floats hold."""
    if name in model.about.get(BIT_PATTERNS, ()):
        return values.view(np.int32) if values.dtype == np.float32 else values
    try:
        return integers(f"{at}: {name}", values)
    except FormatError as error:
        lines = (line for line in model.about.get(BOUNDARY, ()) if line.startswith(f"{word} {name}: "))
        raise FormatError(" as ".join([str(error), *lines])) from None


def compared(model: Model, graph: Graph, recorded: Mapping[str, Array], directory: Path, backend: str) -> Check:
    """The outputs by name or order, the activations by the names of modules, else by their values.

    An activation whose name tells no tensor is looked for among those with as many elements: one that equals it is it.
    """
    place = str(directory / "inputs.npz")
    taken = {k: _as_in_model(model, "input", k, place, v) for k, v in recorded.items() if k in model.inputs}
    result = run(model, taken, backend, "all")
    expected = read_npz(directory / "outputs.npz")
    names = [*graph.outputs] if {*graph.outputs} <= expected.keys() else [*expected]
    if len(names) < len(graph.outputs):
        raise FormatError(f"{directory / 'outputs.npz'}: expected {len(graph.outputs)} arrays, found {len(names)}")
    place = str(directory / "outputs.npz")
    rows = []
    for name, stored in zip(graph.outputs, names):
        values = _as_in_model(model, "output", name, place, expected[stored])
        rows.append(_row(stored, name, result.outputs[name], values))
    unmatched = []
    path = directory / "activations.npz"
    homes = _homes(graph)
    for stored, array in (read_npz(path) if path.is_file() else {}).items():
        home, values = _home(stored, homes), _bits_unless_whole(array)
        if home not in result.trace or result.trace[home].size != values.size:
            home = next((k for k, v in result.trace.items() if np.array_equal(v.ravel(), values.ravel())), None)
        if home is None:
            unmatched.append(stored)
        else:
            rows.append(_row(stored, home, result.trace[home], values))
    return Check(model, tuple(rows), tuple(unmatched))


def _bits_unless_whole(values: Array) -> Array:
    """Float32s that are no integers can be those of a tensor of bit patterns alone."""
    real = values.dtype == np.float32 and not np.array_equal(values, np.rint(values))
    return values.view(np.int32) if real else values


def _row(recorded: str, name: str, found: Array, expected: Array) -> tuple[str, str, int, int]:
    if found.size != expected.size:
        return recorded, name, expected.size, expected.size
    return recorded, name, expected.size, int(np.count_nonzero(found.ravel() != expected.ravel()))


def _homes(graph: Graph) -> dict[str, str]:
    """Name of a module, in the letters of a recording -> the tensor that its last node makes.

    A node is named after its module and its op. A constant of one node alone is named after the node's module.
    """
    homes: dict[str, str] = {}
    users = Counter(name for call in graph.calls for name in call.inputs)
    for call in graph.calls:
        owners = [c.rpartition(".")[0] for c in call.inputs if c in graph.constants and users[c] == 1 and "." in c]
        homes |= {_letters(owner): call.outputs[0] for owner in owners}
    for call in graph.calls:
        node = re.match(r".*: node '(.*)' \(\w+\)$", call.at)
        if node and node[1].endswith(f"_{call.op}"):
            homes[_letters(node[1].removesuffix(f"_{call.op}"))] = call.outputs[0]
    return homes


def _letters(name: str) -> str:
    return re.sub(r"\W", "_", name).lower()


def _home(recorded: str, homes: Mapping[str, str]) -> str | None:
    """The tensor of the module whose name the recorded one ends with."""
    fits = [name for name in homes if recorded.endswith(name.lstrip("_")) and len(name) > 2]
    return homes[max(fits, key=len)] if fits else None
