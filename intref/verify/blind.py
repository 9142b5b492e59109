"""What equal bits on a model's golden package do not show: rules and operands that its values never separate."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from intref.comparison import mismatches
from intref.faults.bodies import Arrays
from intref.faults.variants import NEAREST, rules, tried
from intref.golden import Package
from intref.model import Model
from intref.ops import OPS

LARGEST = 1 << 20  # output elements of one op that are looked at; with more of them, nothing is claimed
CONSTANTS = ("bias", "residual")


@dataclass(frozen=True)
class _Call:
    """One node of a package with its golden tensors. valid: port -> where an output counts, None: everywhere."""

    inputs: Arrays
    attrs: dict[str, Any]
    outputs: Arrays
    valid: dict[str, np.ndarray | None]

    def gives(self, made: Arrays) -> bool:
        """Whether these outputs are golden's."""
        return not any(mismatches(made[port], t, self.valid[port]).any() for port, t in self.outputs.items())


def blind_spots(package: Package, equal: Iterable[str]) -> tuple[str, ...]:
    """What the package does not separate, in words; equal: the ops whose every case is equal."""
    model = package.model
    if model is None:
        return ()
    ops: dict[str, list[str]] = {}
    for op in sorted(equal):
        nodes = [i for i in package.judgeable() if model.nodes[i].op == op]
        if calls := [_call(package, model, i) for i in nodes]:
            for words in (*_zeros(op, calls), *_clips(op, calls), *_ties(op, calls)):
                ops.setdefault(words, []).append(op)
    return tuple(f"{words} in {', '.join(found)}" for words, found in ops.items())


def _call(package: Package, model: Model, index: int) -> _Call:
    node, known = model.nodes[index], package.available
    return _Call(
        {port: known[name] for port, name in node.inputs.items()},
        model.attrs[index],
        {port: known[name] for port, name in node.outputs.items()},
        {port: package.valid(name) for port, name in node.outputs.items()},
    )


def _zeros(op: str, calls: list[_Call]) -> Iterator[str]:
    for port in CONSTANTS:
        if port in OPS[op].inputs and not any(call.inputs[port].any() for call in calls):
            yield f"{port} is 0 everywhere"
    if "mask" in OPS[op].inputs and all(call.inputs["mask"].all() for call in calls):
        yield "mask is 1 everywhere"


def _clips(op: str, calls: list[_Call]) -> Iterator[str]:
    """A clip narrower than the dtype, at or beyond which no output lies."""
    reached = [
        bool(((t == call.attrs["low"]) | (t == call.attrs["high"])).any())
        for call in calls
        for t in call.outputs.values()
        if {"low", "high"} <= call.attrs.keys()
    ]
    if reached and not any(reached):
        yield "no output reaches its clip"


def _ties(op: str, calls: list[_Call]) -> Iterator[str]:
    """Rules to the nearest that give the same bits as the op's own on all of these calls: those that meet no tie."""
    if sum(t.size for call in calls for t in call.outputs.values()) > LARGEST:
        return
    same: set[str] | None = None
    for call in calls:
        others = dict(_last_roundings(op, call))
        # Once a call has told a rule apart, later calls need not be run by it.
        same = {rule for rule in (others if same is None else same & others.keys()) if _unseen(call, others[rule])}
        if not same:
            return
    if same and len(same) >= len(NEAREST) - 1:
        yield "no exact tie is rounded"
    elif same:
        yield f"no tie tells the rule from {' or '.join(r for r in NEAREST if r in same)}"


def _last_roundings(op: str, call: _Call) -> Iterator[tuple[str, Callable[[], Arrays]]]:
    """(rule, outputs by it) for the other rules to the nearest at an op's last rounding, if it rounds so itself."""
    if call.attrs.get("rounding", NEAREST[0]) not in NEAREST:
        return
    for words, runs in rules(OPS[op], call.inputs, call.attrs):
        name, _, place = words.removeprefix("rule ").partition(" at rounding ")
        number, _, count = place.partition(" of ")
        if name in NEAREST and number == count:
            yield name, runs


def _unseen(call: _Call, runs: Callable[[], Arrays]) -> bool:
    made = tried(runs)
    return made is not None and call.gives(made)
