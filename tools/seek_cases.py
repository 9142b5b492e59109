"""Seek random calls that show what an op's cases do not: bugs that survive, corners that nothing reaches.

    python tools/seek_cases.py OP [OP ..]         enter what is found in intref/vectors/sought/OP.toml, say what is left
    python tools/seek_cases.py OP --calls 20000   how many of the frozen random calls to try
    python tools/seek_cases.py OP --leave-open    enter what is left as open: counted in the score, and no failure

Calls are tried in their order. One is kept if it kills a surviving mutant or fault, or reaches a new bin; in the end
those that the later ones made superfluous are dropped. Entries that are there already stay, in their order.
"""

import json
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from intref.atomic import write_atomically  # noqa: E402
from intref.coverage.ledger import plan, reached  # noqa: E402
from intref.errors import SpecError  # noqa: E402
from intref.faults.mechanical import mutants  # noqa: E402
from intref.faults.variants import tried  # noqa: E402
from intref.ops import OPS  # noqa: E402
from intref.selftest.scoring import _Bench, named_faults, score  # noqa: E402
from intref.vectors import cases  # noqa: E402
from intref.vectors.case import Case  # noqa: E402
from intref.vectors.drawn import drawn  # noqa: E402
from intref.vectors.sought import FOLDER, Entry, entries, still_open  # noqa: E402

LARGEST = 4096  # elements of a call that is worth storing
LONGEST = 1 << 17  # of one that is there for the size of an axis
SIZES = (2, 3, 4, 8, 16, 32, 33, 65, 6, 12, 24)
TRIES = 4  # calls of each size
Key = tuple[Any, ...]  # number of a call, then (axis, size) of those that are not drawn


class Goals:
    """What an op's cases leave undone."""

    def __init__(self, op_name: str):
        self.op = OPS[op_name]
        texts = {name for name, attr in self.op.attrs.items() if attr.choices}
        found = score(op_name)
        left = (*found.survivors, *found.open)
        self.faults = {words.removeprefix("fault: ") for words in left if words.startswith("fault: ")}
        names = {words.removeprefix("mutant: ") for words in left if words.startswith("mutant: ")}
        self.mutants = {name: body for name, body in mutants(self.op.reference, texts) if name in names}
        hit = {name for case in cases(op_name) for name in reached(op_name, case.tensors, case.attrs)}
        self.bins = {*plan(op_name).reachable} - hit

    def met_by(self, case: Case) -> set[str]:
        """The goals that a call meets."""
        met = {f"bin: {name}" for name in reached(self.op.name, case.tensors, case.attrs) if name in self.bins}
        bench = _Bench(self.op, [case])
        met |= {f"mutant: {name}" for name, body in self.mutants.items() if bench.verdict(body) == "bits"}
        for words, runs in named_faults(self.op, *bench.cases[0]) if self.faults else ():
            if words in self.faults and (made := tried(runs)) is not None and bench.differs(0, made):
                met.add(f"fault: {words}")
        return met

    def drop(self, met: Iterable[str]) -> None:
        for kind, name in (goal.split(": ", 1) for goal in met):
            if kind == "mutant":
                self.mutants.pop(name, None)
            else:
                (self.bins if kind == "bin" else self.faults).discard(name)

    def __len__(self) -> int:
        return len(self.mutants) + len(self.faults) + len(self.bins)

    def left(self) -> Iterator[str]:
        yield from (f"mutant: {name}" for name in self.mutants)
        yield from (f"fault: {name}" for name in sorted(self.faults))
        yield from (f"bin: {name}" for name in sorted(self.bins))


def seek(op_name: str, calls: int, seconds: int) -> tuple[list[Entry], list[str]]:
    """(new entries, the goals that are left)."""
    goals = Goals(op_name)
    known = {(entry.number, *entry.sizes.items()) for entry in entries(op_name)}
    found: dict[Key, set[str]] = {}
    end = time.monotonic() + seconds
    for key in _keys(op_name, goals, calls):
        if not len(goals) or time.monotonic() > end:
            break
        case = None if key in known else _drawn(op_name, key)
        if case is not None and (met := goals.met_by(case)):
            found[key] = met
            goals.drop(met)
            print(f"{op_name}: call {key[0]} {dict(key[1:]) or ''}: {len(met)} more, {len(goals)} left", flush=True)
    needed = _needed(op_name, found)
    return [Entry(key[0], _why(met), dict(key[1:])) for key, met in needed.items()], [*goals.left()]


def _keys(op_name: str, goals: Goals, calls: int) -> Iterator[Key]:
    """The random calls in their order; then, for every size that is still wanted, calls with that one axis long."""
    yield from ((number,) for number in range(calls))
    axes = dict.fromkeys(a for p in OPS[op_name].inputs.values() for form in p.forms() for a in form if a.isalpha())
    for axis in axes:
        limit = OPS[op_name].limits.get(axis, 0)
        for size in (*SIZES, limit):
            if any(name.startswith(f"axis {axis}: ") for name in goals.bins):
                rest = [(other, 1) for other in axes if other != axis]
                yield from ((number, (axis, size), *rest) for number in range(TRIES) if size)


def _drawn(op_name: str, key: Key) -> Case | None:
    """The call, if it is worth storing and the op can take it."""
    number, *sizes = key
    try:
        case = drawn(op_name, number, fixed=dict(sizes) or None)
        OPS[op_name].check(case.tensors, case.attrs)
    except (SpecError, ValueError, IndexError):  # sizes that do not go together
        return None
    most = LONGEST if sizes else LARGEST
    return case if sum(t.size for t in case.tensors.values()) <= most else None


def _needed(op_name: str, found: dict[Key, set[str]]) -> dict[Key, set[str]]:
    """Without the calls whose goals the others meet together: the call that meets most comes first."""
    every = Goals(op_name)
    drawn_again = {key: _drawn(op_name, key) for key in found}
    meets = {key: every.met_by(case) for key, case in drawn_again.items() if case is not None}
    wanted: set[str] = set().union(*meets.values()) if meets else set()
    kept: dict[Key, set[str]] = {}
    while wanted:
        best = max(meets, key=lambda key: len(meets[key] & wanted))
        kept[best] = meets[best] & wanted
        wanted -= meets[best]
    return kept


def _why(met: set[str]) -> str:
    """The first of what a call is needed for, and how many more."""
    kind, name = min(met).split(": ", 1)
    said = {"bin": "reaches", "mutant": "kills", "fault": "kills"}[kind]
    more = f", and {len(met) - 1} more" if len(met) > 1 else ""
    return f"{said} {name[:90]}{more}"


def save(op_name: str, new: list[Entry], left: list[str]) -> None:
    lines = [
        f"  [{entry.number}, {json.dumps(entry.why)}, {{{', '.join(f'{a} = {n}' for a, n in entry.sizes.items())}}}],\n"
        for entry in [*entries(op_name), *new]
    ]
    FOLDER.mkdir(exist_ok=True)
    text = "calls = [\n" + "".join(lines) + "]\n"
    if left:
        text += "open = [\n" + "".join(f"  {json.dumps(goal)},\n" for goal in left) + "]\n"
    write_atomically(FOLDER / f"{op_name}.toml", text.encode())


@click.command(help=__doc__)
@click.argument("ops", nargs=-1, required=True)
@click.option("--calls", type=int, default=5000, show_default=True)
@click.option("--seconds", type=int, default=120, show_default=True, help="For each op.")
@click.option("--leave-open", is_flag=True)
def main(ops: tuple[str, ...], calls: int, seconds: int, leave_open: bool) -> None:
    for op_name in ops:
        with np.errstate(all="ignore"):
            new, left = seek(op_name, calls, seconds)
        if new or leave_open or still_open(op_name):
            save(op_name, new, left if leave_open else [])
        print(*(f"{op_name}: left: {goal}" for goal in left), sep="\n", end="\n" * bool(left))
        print(f"{op_name}: {len(new)} calls entered, {len(left)} goals left")


if __name__ == "__main__":
    main()
