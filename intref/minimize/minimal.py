"""A smallest failing call: what it is, how the device fails it, in words and as a golden package."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from intref.atomic import StrPath
from intref.comparison import compare
from intref.devices.protocol import Arrays
from intref.golden import write_op_golden
from intref.minimize.shrink import Trial
from intref.ops import OPS
from intref.vectors.case import Case

DIFFERS = "differs"
NOT_REPEATABLE = "not repeatable"
SHOWN = 8  # elements of a tensor that the text shows


@dataclass(frozen=True)
class Failure:
    """How a device fails a call: kind "differs", or a DeviceError's. rules: of the catalogue, that explain it."""

    kind: str
    golden: Arrays
    dut: Arrays | None
    detail: str = ""
    rules: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Minimal:
    """The smallest failing call. origin: the case that it was made of. calls: of the device, while it was made smaller;
    limit: at most; finished: nothing smaller fails, as far as was tried. before: elements of the original. repeats: it
    failed alike when it was asked for again."""

    op: str
    origin: str
    trial: Trial
    failure: Failure
    calls: int
    limit: int
    finished: bool
    before: int
    repeats: bool = True

    @property
    def elements(self) -> int:
        return sum(t.size for t in self.failure.golden.values())

    @property
    def lines(self) -> tuple[str, ...]:
        """For people; the first line is the case."""
        count = f"{self.elements} element{'s' * (self.elements != 1)}"
        given = [f"{port} = {_shown(t)}" for port, t in self.trial.tensors.items()]
        odd = [f"{name} = {value}" for name, value in self.trial.odd_attrs(OPS[self.op]).items()]
        how = f"{self.calls} calls of the device (at most {self.limit})"
        ended = "nothing smaller was found to fail" if self.finished else "the limit was reached: run again with more"
        return (
            f"smallest failing case: {', '.join([count, *given, *odd])}",
            self._what,
            f"made of {self.origin} ({self.before} input elements) in {how}; {ended}",
            *([] if self.repeats else [f"{NOT_REPEATABLE}: asked for again, the device did not fail alike"]),
        )

    @property
    def _what(self) -> str:
        if self.failure.dut is None:
            return f"the device {self.failure.kind}: {self.failure.detail}"
        found = {port: compare(t, self.failure.golden[port]) for port, t in self.failure.dut.items()}
        port, first = next((port, one) for port, one in found.items() if one.differing)
        rules = f"; {' or '.join(sorted(self.failure.rules)[:4])} explains it" if self.failure.rules else ""
        return f"{f'output {port!r}: ' if len(found) > 1 else ''}{first.place}{rules}"

    def write(self, path: StrPath) -> str:
        """Write it as a golden package of one case, which `judge` replays; the path."""
        why = f"smallest failing case made of {self.origin}{'' if self.repeats else f', {NOT_REPEATABLE}'}"
        return write_op_golden(self.op, path, [Case(why, self.trial.tensors, self.trial.attrs, ())])

    def plain(self) -> dict[str, Any]:
        """For JSON; integers that may be large as text."""
        return {
            "op": self.op,
            "origin": self.origin,
            "elements": self.elements,
            "kind": self.failure.kind,
            "rules": sorted(self.failure.rules),
            "calls": self.calls,
            "limit": self.limit,
            "finished": self.finished,
            "repeatable": self.repeats,
            "inputs": {p: {"dtype": t.dtype.name, "value": _shown(t)} for p, t in self.trial.tensors.items()},
            "attributes": {name: str(value) for name, value in self.trial.attrs.items()},
            "golden": {p: _shown(t) for p, t in self.failure.golden.items()},
            "dut": {p: _shown(t) for p, t in (self.failure.dut or {}).items()},
            "lines": [*self.lines],
        }


def _shown(t: np.ndarray) -> str:
    if t.size > SHOWN:
        return f"{t.dtype.name} {list(t.shape)}"
    if t.size == 1:
        return _number(int(t.flat[0]))
    return str(t.tolist()).replace(" ", "")


def _number(value: int) -> str:
    """A large power of two as such."""
    large = abs(value)
    return (
        f"{'-' if value < 0 else ''}2^{large.bit_length() - 1}"
        if large >= 1024 and not large & large - 1
        else str(value)
    )
