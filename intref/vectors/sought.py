"""Random calls that were sought out: each finds a bug, or reaches a corner, that no case before it does.

`tools/seek_cases.py` tries the frozen random calls of an op in turn and enters what it finds in sought/OP.toml. An
entry keeps its place, so the ids of cases stay.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

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
    path = FOLDER.joinpath(f"{op_name}.toml")
    table = tomllib.loads(path.read_text("utf-8")) if path.is_file() else {}
    calls = table.get("calls", ())
    return [Entry(int(n), str(why), {k: int(v) for part in sizes for k, v in part.items()}) for n, why, *sizes in calls]
