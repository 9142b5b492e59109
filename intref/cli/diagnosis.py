"""intref explain, minimize, identify: what is wrong with a device, on how little, and what the device is."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from intref.cli import options
from intref.cli.output import check_place, print_json, print_text, progress
from intref.errors import FormatError, SpecError

if TYPE_CHECKING:
    from intref.verify import Report

DIFFERS, NOTHING_RAN = 1, 3
RECORDED = "file:"

_TIMEOUT = click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), default=30.0, show_default=True, help="Seconds a call."
)
_MEMORY = click.option(
    "--memory", type=click.IntRange(min=0), metavar="MB", help="Limit on the device's address space; 0: no limit."
)


@click.command(short_help="Name the rule by which a device differs.")
@click.argument("paths", metavar="DIR...", nargs=-1, required=True)
@click.option("--dut", metavar="SPEC", help="The device, as in intref verify.")
@click.option("--outputs", metavar="FILE", help="What a device answered, recorded: .npz, .safetensors, a directory.")
@click.option("--op", "name", metavar="PATTERNS", help="Only these ops, cases or nodes; comma separated.")
@click.option("--map", "taps", metavar="FILE", help="TOML: the device's names, layouts and fused groups.")
@_TIMEOUT
@_MEMORY
@options.as_json
def explain(
    paths: tuple[str, ...], dut: str | None, outputs: str | None, name: str | None, as_json: bool, **how: Any
) -> int:
    """Say by which rule a device's outputs come about: one rule for all cases of an op together, scored on every
    output, or "no known rule". And where in the op it goes wrong: operands, accumulate, scale, round, clip.

    DIR as in intref verify, suite:NAME too. Exit codes: 0 nothing differs, 1 something does, 3 nothing ran, or calls
    failed (crashed, hung) and of what was answered nothing differs.
    """
    from intref.cli import suite

    if (dut is None) == (outputs is None):
        raise click.UsageError("expected --dut or --outputs, one of them")
    spec = dut or (outputs if str(outputs).startswith(RECORDED) else f"{RECORDED}{outputs}")
    places = suite.expanded(paths)
    with progress() as told:
        reports = [_judged(place, str(spec), name, told, several=len(places) > 1, **how) for place in places]
    if as_json:
        rows = [_explained(report, name) for report in reports]
        print_json(rows[0] if len(rows) == 1 else rows)
    else:
        shown = [report for report in reports if report.explained or len(reports) == 1]
        parts = ["\n".join(_lines(report, name)) for report in shown]
        print_text("\n\n".join([*parts, *_others([report for report in reports if report not in shown])]))
    if any(report.verdict == "differs" for report in reports):
        return DIFFERS
    compared = any(case.compared for report in reports for case in report.cases)
    return 0 if compared and not any(_silent(report) for report in reports) else NOTHING_RAN


def _silent(report: "Report") -> list[Any]:
    """The cases asked for that failed, or were not asked any more, so that nothing is known of them."""
    return [case for case in report.cases if case.required and case.verdict in ("crashed", "not_run")]


def _unanswered(report: "Report") -> list[str]:
    """A line that counts these cases by how they failed, with the first reason."""
    if not (lost := _silent(report)):
        return []
    counts = ", ".join(f"{n} {outcome}" for outcome, n in Counter(case.outcome for case in lost).items())
    return [f"without an answer: {counts} of {len(report.cases)} cases; first {lost[0].id}: {lost[0].detail}"]


def _judged(place: str, dut: str, name: str | None, told: Any, several: bool, **how: Any) -> "Report":
    from intref.verify import judge

    limit = None if how["memory"] is None else how["memory"] << 20
    return judge(
        place,
        dut,
        require=name,
        map=how["taps"],
        timeout=how["timeout"],
        memory=limit,
        lenient=several,
        progress=lambda done, total, case: told(place, done, total),
    )


def _wanted(report: "Report", name: str | None) -> list[Any]:
    """The explanations of the ops that were asked for."""
    asked = {case.op for case in report.cases if case.required}
    return [found for found in report.explained if name is None or found["op"] in asked]


def _explained(report: "Report", name: str | None) -> dict[str, Any]:
    cases = [case for case in report.cases if case.verdict == "differs" and (name is None or case.required)]
    return {
        "package": report.package,
        "dut": report.dut,
        "verdict": report.verdict,
        "ops": [dict(found) for found in _wanted(report, name)],
        "cases": [{"id": c.id, "op": c.op, "mode": c.mode, "rules": [*c.rules], "lines": [*c.lines]} for c in cases],
        "argmax_flips": report.flips,
        "unanswered": dict(Counter(case.outcome for case in _silent(report))),
    }


def _lines(report: "Report", name: str | None) -> list[str]:
    lines = [f"{report.dut} against {report.package}"]
    for found in _wanted(report, name):
        lines += [("  " if i else "") + line for i, line in enumerate(found["lines"])]
        cases = [case for case in report.cases if case.op == found["op"] and case.verdict == "differs" and case.lines]
        shown = [case for case in cases if case.required][:1]
        lines += [f"  {line}" for case in shown for line in case.lines]
    lines += _unanswered(report)
    if not report.explained:
        words = "differs where nothing can be explained" if report.verdict == "differs" else report.outcome
        lines.append(f"nothing to explain: {words.replace('_', ' ')}")
    return lines


def _others(reports: Sequence["Report"]) -> list[str]:
    """A line for each verdict of the packages of which there is nothing to explain."""
    verdicts: dict[str, list[str]] = {}
    for report in reports:
        verdicts.setdefault(report.outcome.replace("_", " "), []).append(report.package.rpartition("/")[2])
    return [f"nothing to explain: {words}: {', '.join(names)}" for words, names in verdicts.items()]


@click.command(short_help="Find the smallest case that a device fails.")
@click.argument("path", metavar="DIR")
@click.option("--dut", required=True, metavar="SPEC", help="The device, as in intref verify.")
@click.option("--op", "op", metavar="NAME", help="An op of the package, or a node by its site or tensor.")
@click.option("--case", "case", metavar="ID", help="The failing case to start from; default: found out.")
@click.option("-o", "--output", required=True, metavar="OUT", help="The golden package to write: one case.")
@click.option("--calls", type=click.IntRange(min=1), metavar="N", help="Calls of the device at most; default 400.")
@_TIMEOUT
@_MEMORY
@options.as_json
def minimize(
    path: str,
    dut: str,
    op: str | None,
    case: str | None,
    output: str,
    calls: int | None,
    timeout: float,
    memory: int | None,
    as_json: bool,
) -> int:
    """Make a failing case as small as it goes on failing: fewer elements, smaller values, plainer attributes; and
    write it as a golden package, which intref verify replays. Of a model, the first node that is wrong by itself.

    The case is asked for twice again; "not repeatable" says that the device did not fail alike.

    Exit codes: 1 the device fails, and the case is written; 0 it fails nothing, and nothing is written.
    """
    from intref.cli.suite import one
    from intref.minimize.search import MAX_CALLS
    from intref.minimize.search import minimize as minimized

    check_place(output)
    with progress() as told:
        found = minimized(
            one(path),
            dut,
            case,
            op,
            calls or MAX_CALLS,
            timeout,
            None if memory is None else memory << 20,
            progress=lambda done, total, what: told(what, done, total),
        )
    if found is not None:
        found.write(output)
    replay = f"intref verify {output} --dut {_quoted(dut)}"
    if as_json:
        print_json({"package": output, "replay": replay, **found.plain()} if found else {"package": None})
    elif found is None:
        print_text("the device fails no case that was asked: nothing to minimize")
    else:
        print_text("\n".join([*found.lines, f"written: {output}", f"replay: {replay}"]))
    return DIFFERS if found else 0


def _quoted(text: str) -> str:
    from shlex import quote

    return quote(text)


@click.command(short_help="Ask a device what it does.")
@click.argument("dut", metavar="DEVICE")
@click.option("--op", "ops", multiple=True, metavar="NAME", help="Only this op; may be repeated. Default: all.")
@click.option("-o", "--output", metavar="FILE", help="Write the chip's profile (TOML), for intref quantize --profile.")
@click.option("--base", metavar="PROFILE", help="The profile to start from; default: the one that needs least changes.")
@click.option("--queries", type=click.IntRange(min=1), metavar="N", help="Calls per op to find out; default 250.")
@click.option("--confirm", type=click.IntRange(min=0), metavar="N", help="Of them, to try what is left; default 24.")
@_TIMEOUT
@_MEMORY
@options.as_json
def identify(
    dut: str,
    ops: Sequence[str],
    output: str | None,
    base: str | None,
    queries: int | None,
    confirm: int | None,
    timeout: float,
    memory: int | None,
    as_json: bool,
) -> int:
    """Find out what a DEVICE (as --dut of intref verify) does as each op: by queries that split best what it may be,
    rounding, widths, clips, accumulators and slips, among all that the catalogue of faults knows. What is found is
    confirmed on the op's directed cases, all that a minute allows, and the first cases are asked again at the end.

    Exit codes: 0 every op that it supports does what is known, 1 one does not ("no known rule", "not repeatable"), 3 it
    answered none usably, and no profile is written.
    """
    from intref.identify import agreeing, base_profile, chip_text, write_chip
    from intref.identify import identify as identified
    from intref.identify.device import CALLS, MAX_CALLS
    from intref.identify.questions import CONFIRM
    from intref.profiles import load_profile

    check_place(output)
    if output is not None and not output.endswith(".toml"):
        raise FormatError(f"{output}: expected a name that ends in .toml")
    if dut.startswith(RECORDED):
        raise SpecError(f"{dut}: a recording cannot be asked; intref explain DIR --outputs says what made it")
    if base is not None:
        load_profile(base)
    with progress() as told:
        found = identified(
            dut,
            ops or None,
            queries or MAX_CALLS,
            CONFIRM if confirm is None else confirm,
            timeout,
            None if memory is None else memory << 20,
            lambda done, total, what: told(what if what == CALLS else "ops", done, total),
        )
    written = output if found.usable else None
    if written is not None:
        write_chip(found, written, base)
    if as_json:
        toml = chip_text(found, base) if found.usable else None
        print_json({"profile": written, "toml": toml, "agreeing": agreeing(found), **found.plain()})
    else:
        print_text("\n".join(found.lines))
        for name, sites in agreeing(found).items():
            print_text(f"as profile {name} says: {', '.join(sites)}")
        if written is not None:
            start = base or base_profile(found).name
            print_text(f"profile: {written}, from {start}: intref quantize CKPT -o FILE --profile {written}")
        elif output is not None:
            print_text(f"profile: {output} is not written: the device gave no usable answer")
    if not found.usable and all(one.repeatable for one in found.ops):
        return NOTHING_RAN
    return 0 if found.known else DIFFERS
