"""An RTL unit: which op it computes, which wire carries what, and which calls it has been built for."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from intref.ops.op import Op

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Wire:
    """A signal of the unit. low, high: the values it takes; codes: the choices of an attribute, by their number."""

    signal: str
    width: int
    signed: bool = True
    low: int = 0
    high: int = 0
    codes: tuple[str, ...] = ()

    def refusal(self, low: int, high: int) -> str:
        """Why values from low to high cannot be put on it; empty if they can."""
        if self.low <= low and high <= self.high:
            return ""
        return f"{self.signal} takes {self.low}..{self.high}, not {low if low < self.low else high}"


@dataclass(frozen=True)
class Unit:
    """A unit as its description says it is. `intref.rtl.description.read_unit` reads it."""

    path: Path
    op: Op
    top: str
    sources: tuple[Path, ...]
    include: tuple[Path, ...]
    parameters: Mapping[str, int]
    clock: str
    reset: str
    reset_low: bool
    enter: Mapping[str, str]  # valid, ready, last -> signal
    leave: Mapping[str, str]
    length: Wire | None
    latency: int | None
    lanes: int
    first: str
    inputs: Mapping[str, Wire]
    outputs: Mapping[str, Wire]
    settings: Mapping[str, Wire]  # attributes on wires
    fixed: Mapping[str, tuple[Any, ...]]  # attributes not on wires -> the values the unit has been built for
    limits: Mapping[str, tuple[int, int]]
    constants: Mapping[str, tuple[Wire, int]] = field(default_factory=dict)
    stalls: bool = True
    patience: int = 10_000

    @property
    def stream(self) -> str:
        """The input whose elements are the beats."""
        return next(iter(self.op.inputs))

    @property
    def by_row(self) -> bool:
        """Whether the last axis is a row: beats do not run over its end."""
        return bool(self.op.reduces or self.length or "last" in self.enter or "last" in self.leave)

    def sha256(self) -> str:
        """Of the description and all sources, by name, content and order; of include directories, every file in
        them."""
        whole = hashlib.sha256()
        for file in self._files():
            content = file.read_bytes()
            whole.update(f"{file.name}\0{len(content)}\0".encode() + content)
        return whole.hexdigest()

    def _files(self) -> Iterator[Path]:
        yield from (self.path, *self.sources)
        for folder in self.include:
            yield from sorted(file for file in folder.iterdir() if file.is_file())

    def refusal(self, op: str, inputs: Arrays, attrs: Mapping[str, Any]) -> str:
        """Why the unit does not support a call; empty if it does. attrs: complete."""
        if op != self.op.name:
            return f"the unit computes {self.op.name}"
        for name, allowed in self.fixed.items():
            if attrs[name] not in allowed:
                return f"{name} {attrs[name]} is not {' or '.join(map(str, allowed))}"
        for name, wire in self.settings.items():
            if wire.codes and attrs[name] not in wire.codes:
                return f"{name} {attrs[name]} is not one of {', '.join(wire.codes)}"
            if not wire.codes and (why := wire.refusal(attrs[name], attrs[name])):
                return why
        for name, wire in self.inputs.items():
            if why := wire.refusal(int(inputs[name].min()), int(inputs[name].max())):
                return why
        return self._size_refusal(inputs)

    def _size_refusal(self, inputs: Arrays) -> str:
        for port, tensor in inputs.items():
            for axis, size in zip(self.op.inputs[port].form(tensor.ndim) or (), tensor.shape):
                low, high = self.limits.get(axis, (size, size))
                if not low <= size <= high:
                    return f"axis {axis} is {low}..{high}, not {size}"
        size = (1, *inputs[self.stream].shape)[-1]
        return self.length.refusal(size, size) if self.length else ""
