"""Random calls that were sought out: each finds a bug, or reaches a corner, that no case before it does.

`tools/seek_cases.py` tries the frozen random calls of an op in turn and enters what it finds in sought/OP.toml. An
entry keeps its place, so the ids of cases stay.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from intref.vectors.case import Case
from intref.vectors.drawn import drawn

FOLDER = Path(__file__).with_suffix("")


def sought(op_name: str) -> Iterator[Case]:
    """The cases of one op, in their frozen order."""
    for entry in entries(op_name):
        call = drawn(op_name, entry.number, fixed=entry.sizes or None)
        yield Case(f"random call {entry.number}: {entry.why}", call.tensors, call.attrs, ("random",))


class Entry(NamedTuple):
    """number of the random call; sizes: the axes that are not drawn; why: what the call is the first to show."""

    number: int
    why: str
    sizes: dict[str, int]


def entries(op_name: str) -> list[Entry]:
    """What was found for an op."""
    calls = _table(op_name).get("calls", ())
    return [Entry(int(n), str(why), {k: int(v) for part in sizes for k, v in part.items()}) for n, why, *sizes in calls]


def still_open(op_name: str) -> frozenset[str]:
    """What no case shows yet, and nobody has shown to be impossible: "mutant: ..", "fault: .." or "bin: .."."""
    return frozenset(str(goal) for goal in _table(op_name).get("open", ()))


def _table(op_name: str) -> dict[str, Any]:
    path = FOLDER.joinpath(f"{op_name}.toml")
    return tomllib.loads(path.read_text("utf-8")) if path.is_file() else {}
