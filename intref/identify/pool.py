"""The questions that an op may be asked: the directed cases, and others drawn from their shapes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from intref import vectors
from intref.errors import BoundError, SpecError
from intref.ops import OPS
from intref.run import call
from intref.vectors.case import SplitMix64

LARGEST = 1 << 16  # elements of one question
TEMPLATES, DRAWS = 12, 4  # cases that random values are drawn for, and how often
SEED = 61


@dataclass(frozen=True, eq=False)
class Question:
    """One call with the reference's answer. values: the choices and dtypes that it is a call of."""

    id: str
    tensors: dict[str, np.ndarray]
    attrs: dict[str, Any]  # complete
    golden: dict[str, np.ndarray]
    values: tuple[tuple[str, str], ...]

    @property
    def elements(self) -> int:
        return sum(t.size for t in (*self.tensors.values(), *self.golden.values()))


def question(op_name: str, identity: str, tensors: dict[str, np.ndarray], attrs: dict[str, Any]) -> Question:
    """SpecError or BoundError if the reference refuses the call."""
    op = OPS[op_name]
    full = op.complete(attrs)
    chosen = [(name, str(full[name])) for name, attr in op.attrs.items() if attr.choices]
    dtypes = [(f"dtype of {p}", tensors[p].dtype.name) for p in op.inputs if len(op.inputs[p].dtype.split()) > 1]
    given = {port: tensors[port] for port in op.inputs}
    return Question(identity, given, full, call(op_name, given, full), (*chosen, *dtypes))


def directed(op_name: str) -> list[Question]:
    """The directed cases of an op that are not large."""
    found = [
        question(op_name, f"{op_name}-{i:04d}", dict(case.tensors), case.attrs)
        for i, case in enumerate(vectors.cases(op_name))
        if sum(t.size for t in case.tensors.values()) <= LARGEST
    ]
    return found


def drawn(op_name: str, templates: Sequence[Question]) -> Iterator[Question]:
    """Random values in the shapes of some questions, within the ranges that those span; the same ones each time."""
    stream = SplitMix64(SEED)
    by_values = {one.values: one for one in sorted(templates, key=lambda one: one.elements)}
    for number, one in enumerate([*by_values.values()][:TEMPLATES]):
        for draw in range(DRAWS):
            tensors = {p: _redrawn(stream, t) for p, t in one.tensors.items()}
            try:
                yield question(op_name, f"drawn-{number}-{draw}", tensors, one.attrs)
            except (SpecError, BoundError):
                continue


def _redrawn(stream: SplitMix64, t: np.ndarray) -> np.ndarray:
    return stream.integers(int(t.min()), int(t.max()), t.shape, t.dtype.name)
