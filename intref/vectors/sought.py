"""Random calls that were sought out: each finds a bug, or reaches a corner, that no case before it does.

`tools/seek_cases.py` tries the frozen random calls of an op in turn and enters what it finds in sought/OP.toml. An
entry keeps its place, so the ids of cases stay.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path

from intref.vectors.case import Case
from intref.vectors.drawn import drawn

FOLDER = Path(__file__).with_suffix("")


def sought(op_name: str) -> Iterator[Case]:
    """The cases of one op, in their frozen order."""
    for number, why in entries(op_name):
        call = drawn(op_name, number)
        yield Case(f"random call {number}: {why}", call.tensors, call.attrs, ("random",))


def entries(op_name: str) -> list[tuple[int, str]]:
    """(number of the call, what it is the first to show)."""
    path = FOLDER.joinpath(f"{op_name}.toml")
    table = tomllib.loads(path.read_text("utf-8")) if path.is_file() else {}
    return [(int(number), str(why)) for number, why in table.get("calls", ())]
