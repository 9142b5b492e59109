"""intref golden, verify, step: commands on golden packages."""

from typing import TYPE_CHECKING, Any

import click

from intref.cli import options
from intref.cli.output import check_place, nearest, print_facts, print_json, print_table, print_text, progress
from intref.errors import SpecError, Unsupported

if TYPE_CHECKING:
    from intref.element import Element
    from intref.verify import Report


@click.command(short_help="Write the golden package of a run.")
@click.argument("path", metavar="MODEL")
@click.option("-o", "--output", required=True, metavar="DIR", help="The directory to write.")
@options.inputs
@options.backend
@click.option(
    "--trace", default="all", show_default=True, metavar="PATTERN", help="Tensors to store, as in intref run."
)
@options.as_json
def golden(path: str, output: str, backend: str, trace: str, as_json: bool, **given: Any) -> None:
    """Run a MODEL file on one batch and write the golden package that a device is judged against."""
    from intref.cli.inputs import read_inputs
    from intref.golden import read_golden, write_golden
    from intref.modelfile import open_model

    check_place(output)
    model = open_model(path)
    with progress() as told:
        write_golden(model, read_inputs(model, **given), output, trace, backend, progress=told)
    package = read_golden(output)  # as its reader will
    facts = {
        "package": output,
        "self": package.manifest["self"],
        "digest": package.manifest["digest"],
        "trace_digest": package.manifest["trace_digest"],
        "tensors": len(package.tensors),
        "nodes": len(model.nodes),
        "judgeable": len(package.judgeable()),
    }
    if as_json:
        print_json(facts)
        return
    print_facts(facts.items())
    print_text(f"judge a device: intref verify {output} --dut so:./device.so")


@click.command(short_help="Judge a device, or check packages.")
@click.argument("paths", metavar="DIR...", nargs=-1, required=True)
@click.option(
    "--dut", metavar="SPEC", help="py:module:function, so:lib.so, pipe:program, cmd:'prog {in} {out}', file:dir."
)
@click.option("--mode", type=click.Choice(["both", "isolated", "cumulative"]), default="both", show_default=True)
@click.option("--require", metavar="PATTERNS", help="Cases or ops that must run, comma separated; default: all.")
@click.option("--map", "taps", metavar="FILE", help="TOML: the device's names, layouts and fused groups.")
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), default=30.0, show_default=True, help="Seconds a call."
)
@click.option("--memory", type=click.IntRange(min=0), metavar="MB", help="Of the device's process; 0: no limit.")
@click.option("--junit", metavar="FILE", help="Write the cases as JUnit XML.")
@click.option("--report", metavar="FILE", help="Write the report: .json the receipt, else the text.")
@options.as_json
def verify(
    paths: tuple[str, ...], dut: str | None, junit: str | None, report: str | None, as_json: bool, **how: Any
) -> int:
    """Judge a device against golden packages; without --dut, check that every byte of them is as it was sealed.

    Exit codes: 0 every required case ran and is equal, 1 something differs, 2 bad input, 3 something did not run.
    """
    for place in (junit, report):
        check_place(place)
    if dut is None:
        return _checked(paths, as_json, [name for name, value in (("--junit", junit), ("--report", report)) if value])
    with progress() as told:
        reports = [_judged(path, dut, told, **how) for path in paths]
    _write_reports(reports, junit, report)
    if as_json:
        click.echo(_receipts(reports))
    else:
        print_text("\n\n".join(r.text() for r in reports))
    codes = {r.exit_code for r in reports}
    return next(code for code in (1, 3, 0) if code in codes)


def _judged(path: str, dut: str, told: Any, taps: str | None, memory: int | None, **how: Any) -> "Report":
    from intref.verify import judge

    limit = None if memory is None else memory << 20
    return judge(path, dut, map=taps, memory=limit, progress=lambda done, total, case: told(path, done, total), **how)


def _receipts(reports: "list[Report]") -> str:
    """The receipt of one package as it is, of several as a list."""
    texts = [report.json() for report in reports]
    return texts[0] if len(texts) == 1 else f"[{','.join(texts)}]"


def _write_reports(reports: "list[Report]", junit: str | None, report: str | None) -> None:
    from xml.etree import ElementTree

    from intref.atomic import write_atomically

    if junit is not None:
        suites = ElementTree.Element("testsuites")
        suites.extend([ElementTree.fromstring(r.junit()) for r in reports])
        write_atomically(junit, ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True))
    if report is not None:
        text = _receipts(reports) if report.endswith(".json") else "\n\n".join(r.text() for r in reports)
        write_atomically(report, f"{text}\n".encode())


def _checked(paths: tuple[str, ...], as_json: bool, needing: list[str]) -> int:
    """No device: the packages by themselves."""
    from intref.golden import read_golden

    if needing:
        raise click.UsageError(f"{needing[0]} needs --dut")
    rows = []
    with progress() as told:
        for i, path in enumerate(paths):
            package = read_golden(path)
            rows.append({"package": path, "kind": package.kind, "self": package.manifest["self"], "check": "sound"})
            told("check", i + 1, len(paths))
    if as_json:
        print_json(rows[0] if len(rows) == 1 else rows)
    else:
        print_table(("package", "kind", "check"), [(r["package"], r["kind"], r["check"]) for r in rows])
        print_text("every hash is right; nothing was judged, as there is no --dut")
    return 0


@click.command(short_help="Show the whole arithmetic of one element.")
@click.argument("path", metavar="DIR")
@click.option("--op", "name", required=True, metavar="NAME", help="A site or tensor of a model, a case of an op.")
@click.option("--at", required=True, metavar="I,J,..", help="Index of the output element.")
@click.option("--output", "port", metavar="PORT", help="The op's output, where it has several.")
@click.option("--all", "whole", is_flag=True, help="List all products of a sum, not the first and last eight.")
@options.as_json
def step(path: str, name: str, at: str, port: str | None, whole: bool, as_json: bool) -> int:
    """Show the whole arithmetic of one output element of a golden package: inputs, products, every intermediate.

    Exit code 1 if what is computed here is not what the package holds.
    """
    from intref.cli.stepping import described, printed
    from intref.element import element, find, known_names
    from intref.golden import read_golden

    index = _index(at)
    package = read_golden(path)
    try:
        found: Element = element(find(package, name, port), index)
    except Unsupported as error:
        raise Unsupported(f"{path}: {nearest('site, tensor or case', name, known_names(package))}") from error
    if as_json:
        print_json(described(found, path))
    else:
        printed(found, path, whole)
    return 0 if found.golden in (None, found.value) else 1


def _index(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.strip("[]() ").replace(",", " ").split())
    except ValueError:
        raise SpecError(f"--at: expected an index such as 0,3,17, found {text!r}") from None
