"""Directed cases of every op, each with a why; what its mutants may survive; calls that it must refuse."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from intref.vectors import activation, embedding, gemm, layout, norm, rescale, softmax, sums, token
from intref.vectors.case import FLAGS, Broken, Case, SplitMix64
from intref.vectors.levels import stream
from intref.vectors.reach import REACH

__all__ = ["FLAGS", "MODULES", "Case", "SplitMix64", "cases", "equivalent", "refused", "stream"]

FAMILIES: tuple[Any, ...] = (embedding, layout, gemm, rescale, sums, token, softmax, norm, activation)
MODULES: dict[str, Any] = {op_name: family for family in FAMILIES for op_name in family.CASES}


@cache
def cases(op_name: str) -> tuple[Case, ...]:
    """The directed cases of one op, in their frozen order: those of its family, then those that reach the rest."""
    return (*MODULES[op_name].CASES[op_name](), *REACH[op_name]())


def equivalent(op_name: str) -> Mapping[str, str]:
    """Mutant -> why no call can tell it from the op."""
    known: Mapping[str, Mapping[str, str]] = MODULES[op_name].EQUIVALENT
    return known.get(op_name, {})


def refused(op_name: str) -> Mapping[str, list[Broken]]:
    """Label -> replacements, each of which makes the op's first case break that rule."""
    known: Mapping[str, Mapping[str, list[Broken]]] = MODULES[op_name].REFUSED
    return known[op_name]
