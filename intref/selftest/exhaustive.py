"""Equivalence by trying everything: of the ops whose whole space, or all of it that matters, runs in seconds.

quantize_token: a row's scale depends on its peak alone, so rows of one element, of every peak, show every scale.
table: every index, on entries that are all different.
"""

# The vocabulary of op bodies is not typed.
# mypy: allow-untyped-calls

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from intref.errors import BoundError
from intref.faults.mechanical import mutants
from intref.ops import OPS
from intref.selftest.scoring import PROVED, named_faults, score

Arrays = dict[str, np.ndarray]
CHUNK = 1 << 20
PEAKS = 1 << 23
WHY = "equal on {} elements, which are all that there is to try"


def _peaks() -> Iterator[Arrays]:
    for start in range(1, PEAKS, CHUNK):
        peaks = np.arange(start, min(start + CHUNK, PEAKS + 1), dtype=np.int32).reshape(-1, 1)
        yield {"x": peaks}
    yield {"x": np.array([[0], [PEAKS], [-PEAKS]], np.int32)}


def _indices() -> Iterator[Arrays]:
    for dtype in ("int8", "int16", "int32"):
        entries = (np.arange(256) - 128).astype(dtype)
        yield {"x": np.arange(-128, 128).astype(np.int8), "entries": entries}


SPACES: dict[str, Callable[[], Iterator[Arrays]]] = {"quantize_token": _peaks, "table": _indices}


def exhausted(op_name: str) -> dict[str, str]:
    """Mutant or fault -> how it was tried, of those that count as equivalent by an argument in an op of SPACES.

    BoundError if one of them differs anywhere: then it is no equivalent.
    """
    op, tried, seen = OPS[op_name], 0, set[str]()
    found = score(op_name)
    wanted = {name for t in (found.mutants, found.faults) for name, why in t.equivalents.items() if why != PROVED}
    bodies = {name: body for name, body in mutants(op.reference, set()) if name in wanted}
    for tensors in SPACES[op_name]():
        golden = op.run(tensors, op.check(tensors, {}))
        tried += tensors["x"].size
        for name, made in _answers(op_name, tensors, bodies, wanted):
            seen.add(name)
            if any((np.asarray(made[port]).astype(y.dtype) != y).any() for port, y in golden.items()):
                raise BoundError(f"{op_name}: {name}: listed as equivalent, but it differs from the op")
    return dict.fromkeys(seen, WHY.format(tried))


def _answers(op_name: str, tensors: Arrays, bodies: dict[str, Any], wanted: set[str]) -> Iterator[tuple[str, Any]]:
    wide = {port: t.astype(np.int64) for port, t in tensors.items()}
    for name, body in bodies.items():
        yield name, body(**wide)
    for words, runs in named_faults(OPS[op_name], tensors, {}):
        if words in wanted:
            yield words, runs()
