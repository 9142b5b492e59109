"""What of an op's arithmetic can be reached, and what a call reaches."""

# The vocabulary of op bodies is not typed.
# mypy: allow-untyped-calls

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, partial
from itertools import product
from typing import Any

import numpy as np

from intref.coverage import declared, sites
from intref.coverage.body import Site, body
from intref.coverage.roundings import depends
from intref.coverage.unreachable import argued
from intref.numbertypes import Interval
from intref.ops import OPS, Op


@dataclass(frozen=True)
class Plan:
    """The bins of one op. reachable: in the order of the body; unreachable: bin -> why; numbered: site, word."""

    reachable: tuple[str, ...]
    unreachable: dict[str, str]
    numbered: frozenset[tuple[str, str]]

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset((*self.reachable, *self.unreachable))


@cache
def plan(op_name: str) -> Plan:
    """Every bin of an op: those of what it declares, then those of every expression of its body."""
    op = OPS[op_name]
    reasons: dict[str, str] = dict.fromkeys(declared.declared(op), "")
    numbered: set[tuple[str, str]] = set()
    for choices in _every_choice(op):
        body(op_name).bounds(choices, partial(_think, reasons, numbered, choices.get("output", "")))
    for site in body(op_name).sites.values():
        if site.inner:
            for label, _ in sites.bins(site, _INSIDE, None):
                reasons[f"{site.text} | {label}"] = ""
    reasons = {name: why or argued(op_name, name) for name, why in reasons.items()}
    reachable = tuple(name for name, why in reasons.items() if not why)
    return Plan(reachable, {name: why for name, why in reasons.items() if why}, frozenset(numbered))


_ANY = Interval(np.array([-(1 << 62)]), np.array([1 << 62]))
_INSIDE = (_ANY, _ANY, _ANY, "half_even")  # what a rounding inside a word may be given


def _every_choice(op: Op) -> Iterator[dict[str, str]]:
    named = {k: a.choices for k, a in op.attrs.items() if a.choices}
    yield from (dict(zip(named, chosen)) for chosen in product(*named.values()))


def _label(site: Site, output: str, label: str) -> str:
    """A clip has its own bins for each output dtype."""
    to = f"to {output}: " if site.kind == "clip" and output else ""
    return f"{site.text} | {to}{label}"


def _think(
    reasons: dict[str, str], numbered: set[tuple[str, str]], output: str, site: Site, args: tuple[Any, ...], result: Any
) -> None:
    """Add a site's bins; a bin is reachable if it is for any choice of attributes."""
    if not any(isinstance(arg, Interval) for arg in args):
        return  # a size of the call, no value
    for label, conditions in sites.bins(site, args, result):
        name, why = _label(site, output, label), sites.impossible(conditions)
        reasons[name] = why and reasons.get(name, why)
    for word, value, most in sites.numbers(site, args, result):
        for number in sites.few(value, most):
            numbered.add((site.text, word))
            reasons[_label(site, output, f"{word} {number}")] = ""


def reached(op_name: str, tensors: Mapping[str, np.ndarray], attrs: Mapping[str, Any]) -> Counter[str]:
    """How often one call hits each bin. SpecError if it breaks the op's contract."""
    op, known = OPS[op_name], plan(op_name)
    full = op.check(tensors, attrs)
    counts: Counter[str] = Counter()
    output = full.get("output", "") if "output" in op.attrs else ""

    shifts: list[tuple[str, np.ndarray, np.ndarray]] = []  # label of a site, shift, where a result depends on it

    def listen(site: Site, args: tuple[Any, ...], result: Any) -> None:
        for label, conditions in sites.bins(site, args, result):
            counts[_label(site, output, label)] += sites.holds(conditions)
        if site.kind == "clip":
            shifts[:] = [(text, shift, _unclipped(seen, *args)) for text, shift, seen in shifts]
        for word, value, _ in sites.numbers(site, args, result):
            if (site.text, word) in known.numbered and word == "shift":
                shifts.append((_label(site, output, word), value, depends(site, args)))
            elif (site.text, word) in known.numbered:
                counts.update(_numbers(_label(site, output, word), value))

    body(op_name).listen({name: tensors[name] for name in op.inputs}, full, listen)
    for text, shift, seen in shifts:
        counts.update(_numbers(text, np.broadcast_to(shift, seen.shape)[seen]))
    for label, count in declared.found(op, tensors, full):
        counts[label] += count
    return Counter({name: count for name, count in counts.items() if count and name in known.names})


def _numbers(text: str, values: Any) -> dict[str, int]:
    numbers, found = np.unique(values, return_counts=True)
    return {f"{text} {number}": int(count) for number, count in zip(numbers, found)}


def _unclipped(seen: np.ndarray, x: Any, low: Any, high: Any) -> np.ndarray:
    """Of elements that depend on a shift, those that the clip of the same elements leaves as they are."""
    inside = (x >= low) & (x <= high)
    return seen & inside if seen.shape == inside.shape else seen
