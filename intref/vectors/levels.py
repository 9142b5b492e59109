"""The cases of an op at each level, numbered: any of them can be made without those before it.

Level 1 is the directed cases. Level 2 adds random calls, level 3 the exhaustive cases and then many more random calls;
a random call has the same number and the same operands at every level.
"""

from collections.abc import Iterator

from intref.errors import SpecError
from intref.vectors.case import Case
from intref.vectors.drawn import DRAWS, drawn
from intref.vectors.exhaustive import exhaustive

LEVELS = (1, 2, 3)
RANDOM = {1: 0, 2: 2000, 3: 200_000}  # random calls at each level
Numbered = tuple[str, Case]


def count(op_name: str, level: int) -> int:
    """How many cases an op has at a level. SpecError for an op or a level that does not exist."""
    _check(op_name, level)
    return len(_directed(op_name)) + _exhaustive_count(op_name, level) + RANDOM[level]


def numbered(op_name: str, level: int, number: int, seed: int = 0) -> Numbered:
    """(id, case) of case `number`, from 0."""
    directed, few = _directed(op_name), _exhaustive_count(op_name, level)
    if number < len(directed):
        return f"{op_name}-{number:04d}", directed[number]
    number -= len(directed)
    if number < few:
        return f"{op_name}-x{number:05d}", exhaustive(op_name)[number]()
    return f"{op_name}-r{seed}-{number - few:06d}", drawn(op_name, number - few, seed)


def stream(op_name: str, level: int = 1, seed: int = 0, start: int = 0, stop: int | None = None) -> Iterator[Numbered]:
    """(id, case) of the cases start .. stop - 1 of a level, in order; by default all of them."""
    last = count(op_name, level)
    for number in range(start, last if stop is None else min(stop, last)):
        yield numbered(op_name, level, number, seed)


def _exhaustive_count(op_name: str, level: int) -> int:
    return len(exhaustive(op_name)) if level == 3 else 0


def _directed(op_name: str) -> tuple[Case, ...]:
    from intref.vectors import cases

    return cases(op_name)


def _check(op_name: str, level: int) -> None:
    if op_name not in DRAWS:
        raise SpecError(f"{op_name}: there is no such op, only {', '.join(DRAWS)} (C1)")
    if level not in LEVELS:
        raise SpecError(f"level must be one of {', '.join(map(str, LEVELS))}, not {level}")
