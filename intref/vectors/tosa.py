"""Directed cases of ops/tosa.py."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref.vectors.case import Broken, Case, Generator, SplitMix64

LOWEST, HIGHEST = -(1 << 15), (1 << 15) - 1


def _table(why: str, flags: str, x: Any, entries: Any) -> Case:
    tensors = {"x": np.array(x, np.int16), "entries": np.array(entries, np.int16)}
    return Case(why, tensors, {}, (*flags.split(),))


def table_tosa() -> Iterator[Case]:
    """Every entry as the lower and as the upper one, both ends of a slope, every distance between two entries."""
    rising = [i * 127 - (1 << 15) for i in range(513)]
    yield _table("every entry, exactly", "axes", [[v << 7 for v in range(-256, 256)]], rising[::-1])
    yield _table("every distance from an entry, rising", "extreme", [*range(-140, 140)], rising)
    yield _table("no leading axis", "degenerate", -77, rising)
    ends = [LOWEST, LOWEST + 1, LOWEST + 127, LOWEST + 128, HIGHEST, HIGHEST - 1, HIGHEST - 127, HIGHEST - 128]
    yield _table("both ends of x", "extreme", [ends], [LOWEST, -1, *rising[2:511], 0, HIGHEST])
    yield _table("the last entry is never reached alone", "extreme", [HIGHEST], [0] * 512 + [HIGHEST])
    near = [i * 128 + r for i in (-2, -1, 0, 1) for r in (0, 1, 63, 64, 126, 127)]
    steep = [0] * 254 + [-1, HIGHEST - 1, 0, LOWEST, -1] + [0] * 254
    yield _table("the steepest slopes, up and down", "extreme", near, steep)
    for value in (LOWEST, -1, 0, 1, HIGHEST):
        yield _table(f"all entries {value}", "degenerate extreme", [near, [LOWEST] * 24], [value] * 513)
    powers = [s << k for k in range(15) for s in (1, -1)]
    x = [-1, -127, 127, 1, 0, *powers]
    yield _table("an x of every bit length", "dtype", x, [(i * 37) % 1000 - 500 for i in range(513)])
    entries = [e for k in range(15) for e in (1 << k, -(1 << k) if k < 14 else 0)]
    yield _table(
        "an entry of every bit length", "dtype", [(i - 256) * 128 + 5 for i in range(30)], [*entries, *[0] * 483]
    )
    stream = SplitMix64(120)
    for lead in ((2, 3, 9), (64,), (4, 1, 33)):
        table = np.cumsum(stream.integers(-300, 300, 513, "int64")) // 4
        anywhere = stream.integers(LOWEST, HIGHEST, lead, "int16")
        yield _table(f"random, shape {lead}", "random", anywhere, np.clip(table, LOWEST, HIGHEST))


CASES: dict[str, Generator] = {"table_tosa": table_tosa}
REFUSED: dict[str, dict[str, list[Broken]]] = {
    "table_tosa": {
        "C1": [{"x": np.zeros(3, np.int8)}, {"entries": np.zeros(513, np.int32)}],
        "C2": [{"entries": np.zeros(514, np.int16)}, {"x": np.zeros((0, 3), np.int16)}],
        "C4": [{"axis": 0}],
        "C5": [{"entries": np.zeros(512, np.int16)}],
        "C6": [
            {"entries": np.array([0] * 511 + [-1, HIGHEST], np.int16)},
            {"entries": np.array([1, LOWEST] + [0] * 511, np.int16)},
        ],
    },
}
EQUIVALENT: dict[str, dict[str, str]] = {}
_BEYOND = "below 0 it looks beyond the table, where there is nothing to answer with; elsewhere nothing changes"
HARMLESS: dict[str, dict[str, str]] = {
    "table_tosa": {"x read as uint16": _BEYOND, "right shift: logical, of 32 bits": _BEYOND},
}
UNREACHABLE: dict[str, dict[str, str]] = {}
