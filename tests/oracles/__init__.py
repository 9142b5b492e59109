"""What others compute, beside what we compute: one row for each op of a profile and each oracle.

A module of this package has `tallies()`, which runs one oracle, and imports it inside: where the oracle is absent, the
ImportError says so. `tests/test_oracles.py` asks that nothing differs; `tools/make_oracles.py` writes the table.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Tally:
    """Elements compared with an oracle.

    apart: neighbouring dialect -> elements at which it would have given another value. Agreement on elements that no
    neighbour computes otherwise proves nothing, so `separating` counts those at which any does.
    """

    profile: str
    op: str
    oracle: str
    version: str
    note: str = ""
    cases: int = 0
    separating: int = 0
    mismatches: int = 0
    apart: dict[str, int] = field(default_factory=dict)
    first: str = ""  # the first mismatch

    def compare(self, ours: Any, theirs: Any, neighbours: Mapping[str, Any] | None = None) -> None:
        """Add one batch: equal shapes, integers. neighbours: dialect -> what it gives for the same operands."""
        mine, other = np.asarray(ours).astype(np.int64), np.asarray(theirs).astype(np.int64)
        assert mine.shape == other.shape, f"{self.op}: shape {mine.shape} is not {other.shape}"
        wrong = mine != other
        if wrong.any() and not self.first:
            at = tuple(int(i) for i in np.argwhere(wrong)[0])
            self.first = f"at {at}: ours {mine[at]}, theirs {other[at]}"
        parts = np.zeros(mine.shape, bool)
        for name, given in (neighbours or {}).items():
            there = np.broadcast_to(np.asarray(given).astype(np.int64), mine.shape) != mine
            self.apart[name] = self.apart.get(name, 0) + int(there.sum())
            parts |= there
        self.cases += mine.size
        self.separating += int(parts.sum())
        self.mismatches += int(wrong.sum())

    def json(self) -> dict[str, Any]:
        """A row of golden/oracles/*.json."""
        keys = ("profile", "op", "oracle", "version", "cases", "separating", "mismatches", "note")
        return {**{key: getattr(self, key) for key in keys}, "apart": self.apart}
