"""Write golden/score.json and SCORE.md: how many planted bugs the directed vectors find, how many corners they reach.

    python tools/make_score.py            score every op and write the files
    python tools/make_score.py --check    exit 1 if a file would change, a bug survives, or a bin is not reached

{"schema": 1, "spec": .., "ops": {op: {"cases", "mutants": {"killed", "total", "equivalent"}, "faults": {..},
"coverage": {"hit", "total", "unreachable", "beyond"}}}, "vocabulary": the same for the words that bodies are made of};
total leaves out what is equivalent or unreachable, or beyond: takes a call too large to store.
"""

import json
import sys
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from intref.atomic import write_atomically  # noqa: E402
from intref.coverage import level1  # noqa: E402
from intref.model import SPEC_VERSION  # noqa: E402
from intref.ops import OPS  # noqa: E402
from intref.selftest import SCORE, OpScore  # noqa: E402
from intref.selftest.exhaustive import SPACES, exhausted  # noqa: E402
from intref.selftest.workers import cores, done, work_of  # noqa: E402
from intref.vectors import still_open  # noqa: E402

SCHEMA = 1


SHOWN = "SCORE.md"
NONE = {"hit": 0, "total": 0, "unreachable": 0, "beyond": 0}
HEAD = """# What the directed vectors find

Killed of all that are not equivalent: mutants (every small change of an op's body) and faults (what devices really
get wrong). Bins: arithmetic corners reached, of all that are reachable. `intref selftest` and `intref coverage` count
again. What is neither found nor shown to be impossible is open: `intref/vectors/sought/` names it.

| op | cases | mutants | faults | equivalent | bins | unreachable | too large to store | open |
|---|---|---|---|---|---|---|---|---|
"""


def table(scores: list[OpScore], vocabulary: OpScore) -> dict[str, Any]:
    """What score.json holds."""
    ops = {one.op: {**one.json(), "coverage": level1(one.op).counts(one.op)} for one in scores}
    return {"schema": SCHEMA, "spec": SPEC_VERSION, "ops": ops, "vocabulary": vocabulary.json()}


def _open_bins(op: str) -> int:
    return sum(goal.startswith("bin: ") for goal in still_open(op))


def shown(found: dict[str, Any]) -> str:
    """SCORE.md: a row for every op, for the words of the bodies, and the sums (a case of the words is one of an op)."""
    rows = {name: _numbers(row) for name, row in sorted(found["ops"].items())}
    words = _numbers(found["vocabulary"])
    sums = [sum(column) for column in zip(*rows.values(), [0, *words[1:]])]
    return HEAD + "".join(_line(*row) for row in ({**rows, "words of the bodies": words, "all": sums}).items())


def _numbers(row: dict[str, Any]) -> list[int]:
    mutants, faults, bins = row["mutants"], row["faults"], row.get("coverage", NONE)
    equivalent = mutants["equivalent"] + faults["equivalent"]
    killed = [mutants["killed"], mutants["total"], faults["killed"], faults["total"]]
    left = row["open"] + bins["total"] - bins["hit"]
    return [row["cases"], *killed, equivalent, *(bins[key] for key in NONE), left]


def _line(name: str, n: list[int]) -> str:
    return f"| {name} | {n[0]} | {n[1]}/{n[2]} | {n[3]}/{n[4]} | {n[5]} | {n[6]}/{n[7]} | {n[8]} | {n[9]} | {n[10]} |\n"


@click.command(help=__doc__)
@click.option("--check", is_flag=True, help="Compare only.")
@click.option("--golden", type=click.Path(path_type=Path), default=ROOT / "golden", show_default="golden/")
@click.option("-j", "--jobs", type=click.IntRange(1), default=cores, show_default="every core", help="Processes.")
def main(check: bool, golden: Path, jobs: int) -> None:
    found_of = dict(done(work_of([*OPS], vocabulary=True), jobs))
    scores, vocabulary = [found_of[name].score for name in OPS], found_of[""].score
    survivors = [f"{one.op}: {what}" for one in (*scores, vocabulary) for what in (*one.survivors, *one.stale)]
    print(*survivors, sep="\n", end="\n" * bool(survivors))
    for name in SPACES:
        print(*(f"{name}: {what}: {how}" for what, how in exhausted(name).items()), sep="\n")
    found = table(scores, vocabulary)
    files = {SCORE: json.dumps(found, sort_keys=True, separators=(",", ":")) + "\n", SHOWN: shown(found)}
    changed = [golden / name for name, text in files.items() if _text(golden / name) != text]
    if check:
        print(*(f"{path}: would change" for path in changed), sep="\n", end="\n" * bool(changed))
    else:
        for name, text in files.items():
            write_atomically(golden / name, text.encode())
    missed = any(row["coverage"]["hit"] + _open_bins(op) < row["coverage"]["total"] for op, row in found["ops"].items())
    sys.exit(bool(survivors) or missed or (check and bool(changed)))


def _text(path: Path) -> str:
    return path.read_text("utf-8") if path.is_file() else ""


if __name__ == "__main__":
    main()
