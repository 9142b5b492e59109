"""Seek random calls that show what an op's cases do not: bugs that survive, corners that nothing reaches.

    python tools/seek_cases.py OP [OP ..]         enter what is found in intref/vectors/sought/OP.toml, say what is left
    python tools/seek_cases.py OP --calls 20000   how many of the frozen random calls to try

Calls are tried in their order. One is kept if it kills a surviving mutant or fault, or reaches a new bin; in the end
those that the later ones made superfluous are dropped. Entries that are there already stay, in their order.
"""

import json
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from intref.atomic import write_atomically  # noqa: E402
from intref.coverage.ledger import plan, reached  # noqa: E402
from intref.faults.mechanical import mutants  # noqa: E402
from intref.faults.variants import tried  # noqa: E402
from intref.ops import OPS  # noqa: E402
from intref.selftest.scoring import _Bench, named_faults, score  # noqa: E402
from intref.vectors import cases  # noqa: E402
from intref.vectors.case import Case  # noqa: E402
from intref.vectors.drawn import drawn  # noqa: E402
from intref.vectors.sought import FOLDER, entries  # noqa: E402

LARGEST = 4096  # elements of a call that is worth storing


class Goals:
    """What an op's cases leave undone."""

    def __init__(self, op_name: str):
        self.op = OPS[op_name]
        texts = {name for name, attr in self.op.attrs.items() if attr.choices}
        left = score(op_name).survivors
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


def seek(op_name: str, calls: int, seconds: int) -> tuple[list[tuple[int, str]], list[str]]:
    """(new entries, the goals that are left)."""
    goals = Goals(op_name)
    known = {number for number, _ in entries(op_name)}
    found: dict[int, set[str]] = {}
    end = time.monotonic() + seconds
    for number in range(calls):
        if not len(goals) or time.monotonic() > end:
            break
        if number in known:
            continue
        case = drawn(op_name, number)
        if sum(t.size for t in case.tensors.values()) > LARGEST:
            continue
        if met := goals.met_by(case):
            found[number] = met
            goals.drop(met)
            print(f"{op_name}: call {number}: {len(met)} more, {len(goals)} left", flush=True)
    return [(number, _why(met)) for number, met in _needed(op_name, found).items()], [*goals.left()]


def _needed(op_name: str, found: dict[int, set[str]]) -> dict[int, set[str]]:
    """Without the calls whose goals the others meet together: the call that meets most comes first."""
    every = Goals(op_name)
    meets = {number: every.met_by(drawn(op_name, number)) for number in found}
    wanted: set[str] = set().union(*meets.values()) if meets else set()
    kept: dict[int, set[str]] = {}
    while wanted:
        best = max(meets, key=lambda number: (len(meets[number] & wanted), -number))
        kept[best] = meets[best] & wanted
        wanted -= meets[best]
    return kept


def _why(met: set[str]) -> str:
    """The first of what a call is needed for, and how many more."""
    kind, name = min(met).split(": ", 1)
    said = {"bin": "reaches", "mutant": "kills", "fault": "kills"}[kind]
    more = f", and {len(met) - 1} more" if len(met) > 1 else ""
    return f"{said} {name[:90]}{more}"


def save(op_name: str, new: list[tuple[int, str]]) -> None:
    lines = [f"  [{number}, {json.dumps(why)}],\n" for number, why in [*entries(op_name), *new]]
    FOLDER.mkdir(exist_ok=True)
    write_atomically(FOLDER / f"{op_name}.toml", ("calls = [\n" + "".join(lines) + "]\n").encode())


@click.command(help=__doc__)
@click.argument("ops", nargs=-1, required=True)
@click.option("--calls", type=int, default=5000, show_default=True)
@click.option("--seconds", type=int, default=120, show_default=True, help="For each op.")
def main(ops: tuple[str, ...], calls: int, seconds: int) -> None:
    for op_name in ops:
        with np.errstate(all="ignore"):
            new, left = seek(op_name, calls, seconds)
        if new:
            save(op_name, new)
        print(*(f"{op_name}: left: {goal}" for goal in left), sep="\n", end="\n" * bool(left))
        print(f"{op_name}: {len(new)} calls entered, {len(left)} goals left")


if __name__ == "__main__":
    main()
