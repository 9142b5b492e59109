"""Directed cases that reach what the first ones of an op leave: every bit length, shift, size, clip and quotient."""

from collections.abc import Iterator
from functools import partial

from intref.vectors.case import Case, Generator
from intref.vectors.reach import edges, norms, products, scales, shifts, sizes, softmaxes, tables

__all__ = ["REACH"]

FIRST: dict[str, Generator] = {**products.REACH, **scales.REACH, **softmaxes.REACH, **norms.REACH, **tables.REACH}


def _none() -> Iterator[Case]:
    return iter(())


def _all(op_name: str) -> Iterator[Case]:
    """In their frozen order: what is new comes last."""
    yield from FIRST[op_name]()
    for more in (shifts.REACH, sizes.REACH, edges.REACH):
        yield from more.get(op_name, _none)()


REACH: dict[str, Generator] = {op_name: partial(_all, op_name) for op_name in FIRST}
