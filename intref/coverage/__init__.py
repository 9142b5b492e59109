"""Arithmetic coverage: which of an op's corners a set of calls reaches.

A bin is one thing that may happen in one expression of an op's body (a tie of a negative value at an odd quotient, a
value one below its clip, an index of a table), or one value of something that the op declares. Bins are taken from
the body and the declaration themselves, and those that bounds prove impossible are set apart with the reason.

    c = coverage.Coverage()
    c.add("rescale", tensors, attrs)
    c.hit("rescale"), c.total("rescale"), c.missing("rescale")
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from intref import vectors
from intref.coverage.ledger import plan, reached
from intref.coverage.unreachable import BEYOND
from intref.errors import FormatError
from intref.golden import Package
from intref.model import SPEC_VERSION, Model
from intref.ops import OPS
from intref.run import Observer, checked

__all__ = ["Coverage", "level1", "of_package"]

SCHEMA, KIND = 1, "coverage"


class Coverage:
    """How often each bin of each op was hit, over any number of calls."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}
        self._calls: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<Coverage: {', '.join(f'{op} {self.hit(op)}/{self.total(op)}' for op in self.ops)}>"

    @property
    def ops(self) -> list[str]:
        """The ops that were called, in the order of the op table."""
        return [op for op in OPS if op in self._counts]

    def add(self, op_name: str, tensors: Mapping[str, np.ndarray], attrs: Mapping[str, Any]) -> None:
        """Run one call on the reference, listening. SpecError if it breaks the op's contract."""
        checked(op_name, tensors, attrs)
        self._counts.setdefault(op_name, Counter()).update(reached(op_name, tensors, attrs))
        self._calls[op_name] += 1

    def observer(self, model: Model) -> Observer:
        """An observer for `model.run(inputs, observers=[...])`: adds every node's call."""
        attrs = {id(node): given for node, given in zip(model.nodes, model.attrs)}
        return lambda node, tensors, made: self.add(node.op, tensors, attrs[id(node)])

    def merge(self, other: "Coverage") -> None:
        """Add what another one has seen."""
        for op_name, counts in other._counts.items():
            self._counts.setdefault(op_name, Counter()).update(counts)
        self._calls.update(other._calls)

    def calls(self, op_name: str) -> int:
        """How many calls of an op were seen."""
        return self._calls[op_name]

    def bins(self, op_name: str) -> dict[str, int]:
        """Every bin that can be hit -> how many elements (or calls) hit it, zero included."""
        counts = self._counts.get(op_name, Counter())
        return {name: counts[name] for name in plan(op_name).reachable}

    def unreachable(self, op_name: str) -> dict[str, str]:
        """Every bin that no call can hit -> why."""
        return dict(plan(op_name).unreachable)

    def beyond(self, op_name: str) -> list[str]:
        """The unreachable bins that only size forbids: a call can hit them, but it would be too large to store."""
        return [name for name, why in plan(op_name).unreachable.items() if why.startswith(BEYOND)]

    def missing(self, op_name: str) -> list[str]:
        """The bins that can be hit and were not."""
        return [name for name, count in self.bins(op_name).items() if not count]

    def refuted(self, op_name: str) -> list[str]:
        """Bins that were hit though they are listed as unreachable: there are none, or a reason is wrong."""
        return [name for name in plan(op_name).unreachable if self._counts.get(op_name, Counter())[name]]

    def hit(self, op_name: str) -> int:
        """How many bins were hit."""
        return sum(map(bool, self.bins(op_name).values()))

    def total(self, op_name: str) -> int:
        """How many bins can be hit."""
        return len(plan(op_name).reachable)

    def counts(self, op_name: str) -> dict[str, int]:
        """As golden/score.json has it. total: bins that a call can hit; beyond: only one too large to store."""
        beyond = len(self.beyond(op_name))
        never = len(self.unreachable(op_name)) - beyond
        return {"hit": self.hit(op_name), "total": self.total(op_name), "unreachable": never, "beyond": beyond}

    def json(self) -> dict[str, Any]:
        """Plain data: schema, kind, spec, ops -> {version, calls, hit, total, bins, unreachable, beyond}."""
        return {"schema": SCHEMA, "kind": KIND, "spec": SPEC_VERSION, "ops": {op: self._row(op) for op in self.ops}}

    def _row(self, op: str) -> dict[str, Any]:
        return {
            "version": OPS[op].version,
            "calls": self.calls(op),
            "hit": self.hit(op),
            "total": self.total(op),
            "bins": self.bins(op),
            "unreachable": self.unreachable(op),
            "beyond": self.beyond(op),
        }

    @staticmethod
    def from_json(data: Any, where: str = "coverage") -> "Coverage":
        """What `json` gave; FormatError, naming `where`, if it is something else or of another version of the ops."""
        made = Coverage()
        if not isinstance(data, dict) or (data.get("schema"), data.get("kind")) != (SCHEMA, KIND):
            raise FormatError(f"{where}: expected coverage of schema {SCHEMA}, found something else")
        if not isinstance(data.get("ops"), dict):
            raise FormatError(f"{where}: expected a table of ops, found {type(data.get('ops')).__name__}")
        for op, row in data["ops"].items():
            made._counts[op], made._calls[op] = _counts(where, op, row), row["calls"]
        return made


def _counts(where: str, op: str, row: Any) -> "Counter[str]":
    if op not in OPS or not isinstance(row, dict) or row.get("version") != OPS[op].version:
        raise FormatError(f"{where}: op {op!r}: expected an op of this release in its version, found another")
    bins, calls = row.get("bins"), row.get("calls")
    if not isinstance(bins, dict) or type(calls) is not int or calls < 0:
        raise FormatError(f"{where}: op {op!r}: expected a table of bins and a number of calls, found something else")
    if unknown := bins.keys() - {*plan(op).reachable}:
        raise FormatError(f"{where}: op {op!r}: expected bins of this release, found {min(unknown)!r}")
    if wrong := [name for name, count in bins.items() if type(count) is not int or count < 0]:
        raise FormatError(f"{where}: op {op!r}: bin {wrong[0]!r}: expected a count, found {bins[wrong[0]]!r}")
    return Counter(bins)


def of_package(package: Package) -> Coverage:
    """What a golden package reaches: every case of an op, every node of a model whose inputs are stored."""
    made = Coverage()
    if package.model is None:
        for case in package.cases:
            made.add(package.manifest["op"], case.inputs, case.attrs)
        return made
    for index in package.judgeable():
        node = package.model.nodes[index]
        tensors = {port: package.available[name] for port, name in node.inputs.items()}
        made.add(node.op, tensors, package.model.attrs[index])
    return made


def level1(op_name: str, cases: Iterable[Any] | None = None) -> Coverage:
    """What the directed cases of an op reach; cases: others, with tensors and attrs."""
    made = Coverage()
    for case in vectors.cases(op_name) if cases is None else cases:
        made.add(op_name, case.tensors, case.attrs)
    return made
