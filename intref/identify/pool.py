"""The questions that an op may be asked: the directed cases, and others drawn from their shapes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from intref import vectors
from intref.errors import BoundError, SpecError
from intref.ops import OPS
from intref.ops.op import dtype_range
from intref.run import call
from intref.vectors.case import SplitMix64

LARGEST = 1 << 16  # elements of one question
TEMPLATES, DRAWS = 12, 4  # cases that random values are drawn for, and how often
SEED = 61
RANDOM = 200  # random calls of level 2, at most


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


def others(op_name: str, templates: Sequence[Question]) -> Iterator[Question]:
    """Questions that are not in the pool: redrawn ones, the large directed cases, the first random calls of level 2."""
    yield from drawn(op_name, templates)
    directed_count = len(vectors.cases(op_name))
    for number, (identity, case) in enumerate(vectors.stream(op_name, 2, stop=directed_count + RANDOM)):
        large = sum(t.size for t in case.tensors.values()) > LARGEST
        if large == (number < directed_count):
            yield question(op_name, identity, dict(case.tensors), case.attrs)


def with_value(op_name: str, answered: Sequence[Question], value: tuple[str, str]) -> Iterator[Question]:
    """Calls with one choice or dtype changed to this one and all else as it was, as far as the contract allows."""
    key, wanted = value
    for one in answered:
        tensors, attrs = dict(one.tensors), dict(one.attrs)
        port = key.removeprefix("dtype of ")
        if port != key:
            low, high = dtype_range(wanted)
            if tensors[port].min() < low or tensors[port].max() > high:
                continue
            tensors[port] = tensors[port].astype(wanted)
        else:
            if key == "output" and (attrs.get("low"), attrs.get("high")) == dtype_range(attrs[key]):
                del attrs["low"], attrs["high"]  # which are output's own
            attrs[key] = wanted
        try:
            yield question(op_name, f"{one.id} {key} {wanted}", tensors, attrs)
        except (SpecError, BoundError):
            continue


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
