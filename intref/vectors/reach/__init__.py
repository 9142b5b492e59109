"""Directed cases that reach what the first ones of an op leave: every bit length, shift, size, clip and quotient."""

from intref.vectors.case import Generator
from intref.vectors.reach import norms, products, scales, softmaxes, tables

__all__ = ["REACH"]

REACH: dict[str, Generator] = {**products.REACH, **scales.REACH, **softmaxes.REACH, **norms.REACH, **tables.REACH}
