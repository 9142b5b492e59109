"""intref selftest: how many wrong devices the vectors find, and whether the verdict itself bites."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from intref.cli import options
from intref.cli.output import nearest, print_json, print_table, print_text, progress
from intref.errors import FormatError, Unsupported

if TYPE_CHECKING:
    from intref.selftest import Finding, OpScore
    from intref.selftest.workers import Scored
    from intref.vectors import Case

SHOWN = 20  # survivors of one op that are printed


@click.command(short_help="Plant bugs and count those that the vectors find.")
@click.argument("names", metavar="[OP]...", nargs=-1)
@click.option("--vectors", metavar="DIR", help="Score the op packages under DIR, not the directed vectors.")
@click.option("--equivalents", is_flag=True, help="List what no vector can find, with the reason of each.")
@click.option("--no-devices", is_flag=True, help="Score the vectors only; judge no device that must fail.")
@click.option("-j", "--jobs", type=click.IntRange(1), help="Processes.  [default: 1 an op, every core for all ops]")
@options.as_json
def selftest(
    names: tuple[str, ...], vectors: str | None, equivalents: bool, no_devices: bool, jobs: int | None, as_json: bool
) -> int:
    """Would a wrong device be found? Bugs planted in every op, counted as found by its vectors, level 1.

    Mutants are every small change of an op's body; faults are the bugs that devices really have. Both must all be
    killed, but for those that are equivalent: no call of the op can show them. With all ops, mutants of the words that
    bodies are made of are scored, too. Then devices that are wrong on purpose and golden answers with a flipped bit
    must fail, and the right device must pass. Exit 1 if anything survives, or if a kind of fault applies to no case.
    """
    from intref.selftest import asked_for
    from intref.selftest.workers import cores, done, of_op, work_of

    given, every = _given(vectors, names), not names and vectors is None
    work = work_of([*given], every, not no_devices)
    if vectors is not None:
        work = {name: partial(of_op, name, given[name], not no_devices) for name in given}
    found: dict[str, Scored | None] = dict.fromkeys(work)
    with progress() as told:
        for i, (name, scored) in enumerate(done(work, jobs or (cores() if every else 1))):
            found[name] = scored
            told("ops", i + 1, len(work))
    rows = [scored for scored in found.values() if scored is not None]
    scores = [row.score for row in rows]
    findings = {row.score.op: row.findings for row in rows}
    seconds = {row.score.op: row.nanoseconds / 1e9 for row in rows}
    asked = None if names or vectors is not None else asked_for(given)
    good = all(s.passed for s in scores) and all(f.bites for found in findings.values() for f in found)
    good = good and not (asked and asked.idle)
    if as_json:
        catalogue = {"catalogue": asked.json()} if asked else {}
        print_json({**_json(scores, findings, equivalents, good), **catalogue})
    else:
        _print(scores, findings, seconds, equivalents)
        for line in asked.lines if asked else ():
            print_text(line)
    return 0 if good else 1


def _given(folder: str | None, names: Sequence[str]) -> "dict[str, Sequence[Case]]":
    """Op -> its cases, of the ops asked for, or of all."""
    from intref.ops import OPS
    from intref.vectors import cases

    if unknown := [name for name in names if name not in OPS]:
        raise Unsupported(nearest("op", unknown[0], OPS))
    if folder is None:
        return {name: cases(name) for name in names or OPS}
    found = _packages(folder)
    if missing := [name for name in names if name not in found]:
        raise FormatError(f"{folder}: expected a golden package of op {missing[0]}, found none")
    return {name: found[name] for name in names or found}


def _packages(folder: str) -> "dict[str, Sequence[Case]]":
    """The cases of every op package under a directory, once read and verified."""
    from intref.golden import read_golden
    from intref.vectors import Case

    found: dict[str, Sequence[Case]] = {}
    for manifest in sorted(Path(folder).rglob("manifest.json")):
        package = read_golden(manifest.parent)
        if package.kind == "op":
            made = [Case(case.why, case.inputs, case.attrs, case.flags) for case in package.cases]
            op_name = str(package.manifest["op"])
            found[op_name] = [*found.get(op_name, ()), *made]
    if not found:
        raise FormatError(f"{folder}: expected golden packages of ops, found none")
    return found


def _json(
    scores: "Sequence[OpScore]", findings: "dict[str, list[Finding]]", equivalents: bool, good: bool
) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    for s in scores:
        rows[s.op] = {
            **s.json(),
            "survivors": [*s.survivors],
            "stale": [*s.stale],
            "devices": [f.json() for f in findings.get(s.op, ())],
        }
        if equivalents:
            rows[s.op]["equivalents"] = {**s.mutants.equivalents, **s.faults.equivalents}
    return {"ops": rows, "passed": good}


def _print(
    scores: "Sequence[OpScore]",
    findings: "dict[str, list[Finding]]",
    seconds: dict[str, float],
    equivalents: bool,
) -> None:
    columns = ("op", "cases>", "mutants>", "faults>", "equivalent>", "devices>", "seconds>")
    print_table(columns, (_row(s, findings.get(s.op, []), seconds[s.op]) for s in scores))
    kinds = ("mutants", "faults")
    totals = {k: [sum(getattr(getattr(s, k), part) for s in scores) for part in ("killed", "total")] for k in kinds}
    counts = ", ".join(f"{killed} of {total} {kind}" for kind, (killed, total) in totals.items())
    same = sum(s.mutants.equivalent + s.faults.equivalent for s in scores)
    every = [f for found in findings.values() for f in found]
    bite = f", {sum(f.bites for f in every)} of {len(every)} device checks bite" if every else ""
    took = sum(seconds.values())
    print_text(f"killed {counts}{bite}; {same} are equivalent (--equivalents says why); {took:.1f} s")
    for line in (*(line for s in scores for line in _survivors(s)), *_toothless(every)):
        print_text(line)
    if equivalents:
        for s in scores:
            for what, why in {**s.mutants.equivalents, **s.faults.equivalents}.items():
                print_text(f"{s.op}: {what}\n    {why}")


def _row(s: "OpScore", found: "list[Finding]", took: float) -> tuple[object, ...]:
    faults = f"{s.faults.killed}/{s.faults.total}" if s.faults.total else ""
    bite = f"{sum(f.bites for f in found)}/{len(found)}" if found else ""
    same = s.mutants.equivalent + s.faults.equivalent
    return s.op, s.cases, f"{s.mutants.killed}/{s.mutants.total}", faults, same, bite, f"{took:.1f}"


def _survivors(s: "OpScore") -> list[str]:
    lines = [f"{s.op}: survives: {what}" for what in s.survivors] + [f"{s.op}: {what}" for what in s.stale]
    more = len(lines) - SHOWN
    return [*lines[:SHOWN], f"{s.op}: and {more} more (--json lists all)"] if more > 0 else lines


def _toothless(findings: "Sequence[Finding]") -> list[str]:
    return [f"{f.op}: {f.device}: expected {f.expected}, found {f.found}" for f in findings if not f.bites]
