"""Directed cases of every op, each with a why; what its mutants may survive; calls that it must refuse."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from intref.vectors import (
    activation,
    deeploy,
    embedding,
    fqvit,
    gemm,
    gemmini,
    gemmlowp,
    illm,
    image,
    ita,
    ivit,
    layout,
    norm,
    onnx,
    rescale,
    softmax,
    sums,
    token,
    tosa,
    wide,
)
from intref.vectors.case import FLAGS, Broken, Case, SplitMix64
from intref.vectors.levels import stream
from intref.vectors.reach import REACH
from intref.vectors.solved import SOLVED
from intref.vectors.sought import sought, still_open

__all__ = [
    "FLAGS",
    "MODULES",
    "Case",
    "SplitMix64",
    "cases",
    "equivalent",
    "harmless",
    "refused",
    "still_open",
    "stream",
    "unreachable",
]

FAMILIES: tuple[Any, ...] = (embedding, layout, gemm, rescale, sums, token, softmax, norm, activation)
DIALECTS: tuple[Any, ...] = (gemmlowp, tosa, onnx, ivit, fqvit, illm, ita, gemmini, deeploy, image, wide)
MODULES: dict[str, Any] = {op_name: family for family in (*FAMILIES, *DIALECTS) for op_name in family.CASES}


@cache
def cases(op_name: str) -> tuple[Case, ...]:
    """The directed cases of one op, in their frozen order: those of its family, then those that reach the rest."""
    more = REACH[op_name]() if op_name in REACH else ()
    last = SOLVED[op_name]() if op_name in SOLVED else ()
    return (*MODULES[op_name].CASES[op_name](), *more, *sought(op_name), *last)


def equivalent(op_name: str) -> Mapping[str, str]:
    """Mutant -> why no call can tell it from the op."""
    known: Mapping[str, Mapping[str, str]] = MODULES[op_name].EQUIVALENT
    return known.get(op_name, {})


def harmless(op_name: str) -> Mapping[str, str]:
    """Pattern of faults -> why no call can show them, for the op of a dialect."""
    return _argued("HARMLESS", op_name)


def unreachable(op_name: str) -> Mapping[str, str]:
    """Regular expression of bins -> why no call can reach them, for the op of a dialect."""
    return _argued("UNREACHABLE", op_name)


def _argued(table: str, op_name: str) -> Mapping[str, str]:
    known: Mapping[str, Mapping[str, str]] = getattr(MODULES[op_name], table, {})
    return known.get(op_name, {})


def refused(op_name: str) -> Mapping[str, list[Broken]]:
    """Label -> replacements, each of which makes the op's first case break that rule."""
    known: Mapping[str, Mapping[str, list[Broken]]] = MODULES[op_name].REFUSED
    return known[op_name]
