"""Random calls of ops/tosa.py."""

from collections.abc import Callable

from intref.vectors.drawn.chance import Chance
from intref.vectors.drawn.products import Call

LOWEST, HIGHEST = -(1 << 15), (1 << 15) - 1


def table_tosa(c: Chance) -> Call:
    """Smooth tables and steep ones: a neighbour too far away is drawn nearer."""
    x = c.filled("int16", (*c.lead(), c.size("T")))
    entries = c.filled("int16", 513, *c.pick(((LOWEST, HIGHEST), (-300, 300), (0, HIGHEST))))
    for i in range(512):
        entries[i + 1] = max(min(int(entries[i + 1]), int(entries[i]) + HIGHEST), int(entries[i]) + LOWEST)
    return {"x": x, "entries": entries}, {}


DRAWS: dict[str, Callable[[Chance], Call]] = {"table_tosa": table_tosa}
AXES: dict[str, str] = {"table_tosa": "T"}
