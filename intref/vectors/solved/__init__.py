"""Directed cases that were solved for: the goals that neither the first cases nor random calls meet, worked out."""

from intref.vectors.case import Generator
from intref.vectors.solved import float32, gemmlowp, wide

__all__ = ["SOLVED"]

SOLVED: dict[str, Generator] = {**float32.SOLVED, **gemmlowp.SOLVED, **wide.SOLVED}
