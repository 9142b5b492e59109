"""Two choices of a designer at once: another rounding, way or clip, a constant left out, each with each other.

A pair is named `A together with B`. A call that only one of them applies to is answered by that one alone.
"""

# The vocabulary of op bodies is not typed.
# mypy: allow-untyped-calls

from collections.abc import Container, Iterator, Mapping
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np

from intref.errors import IntrefError
from intref.faults.bodies import run_changed, size
from intref.faults.slips import Lazy
from intref.faults.variants import clipped, left_out, other_ways, rules
from intref.ops.op import Op

AND = " together with "
LARGEST = 1 << 22  # elements of a call


def faults(op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any]) -> Iterator[Lazy]:
    """(what was done instead, a function that makes the outputs), for every two choices that apply to the call."""
    if size(tensors) > LARGEST:
        return
    ways, clips = list(other_ways(op, attrs)), list(clipped(op, tensors, attrs))
    absent = list(left_out(op, tensors, attrs))
    for clip, swaps in clips:
        for rule, runs in rules(op, tensors, attrs, swaps):
            yield f"{rule}{AND}{clip}", runs
        for words, changed in absent:
            yield f"{words}{AND}{clip}", partial(run_changed, op, tensors, attrs, changed, swaps)
    for words, changed in absent:
        yield from _rules_without(op, tensors, attrs, words, changed)
    for (first, one), (second, other) in combinations((*ways, *absent), 2):
        if one.keys() != other.keys():
            yield f"{first}{AND}{second}", partial(run_changed, op, tensors, attrs, one | other, {})


def _rules_without(
    op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any], words: str, changed: dict[str, Any]
) -> Iterator[Lazy]:
    """Every other rule of a call that lacks something; none where the op cannot be listened to without it."""
    ports = {k: np.asarray(v).astype(tensors[k].dtype) for k, v in changed.items() if k in tensors}
    given = {**attrs, **{k: v for k, v in changed.items() if k not in tensors}}
    try:
        for rule, runs in rules(op, {**tensors, **ports}, given):
            yield f"{rule}{AND}{words}", runs
    except IntrefError:
        return


def parts(words: str) -> list[str]:
    """The choices that a pair is made of; of another hypothesis, that one."""
    return words.split(AND)


def applying(words: str, listed: Container[str]) -> str:
    """What stands for a hypothesis in a call that `listed` applies to: itself, or the one part of a pair that applies;
    empty if nothing does. Itself, too, if the call does not allow the two parts together."""
    found = [part for part in parts(words) if part in listed]
    if words in listed or len(found) > 1:
        return words
    return found[0] if found else ""
