"""intref golden, verify, step: commands on golden packages."""

from typing import TYPE_CHECKING, Any

import click

from intref.cli import options
from intref.cli.output import (
    check_place,
    nearest,
    print_facts,
    print_json,
    print_note,
    print_table,
    print_text,
    progress,
)
from intref.errors import SpecError, Unsupported

if TYPE_CHECKING:
    from intref.element import Element

LARGE = 100_000_000  # bytes of a package that are worth a word before they are written


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
    from intref.cli.running import package_bytes
    from intref.golden import read_golden, write_golden
    from intref.modelfile import open_model

    check_place(output)
    model = open_model(path)
    inputs = read_inputs(model, **given)
    if (size := package_bytes(model, inputs, trace)) > LARGE:
        print_note(f"the package will take {size // 1_000_000} MB; --trace 'L0.*' and the like store fewer tensors")
    with progress() as told:
        write_golden(model, inputs, output, trace, backend, progress=told)
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
    "--dut",
    metavar="SPEC",
    help="py:module:function, so:lib.so, pipe:program, cmd:'prog {in} {out}', file:dir, icarus:unit.toml, "
    "verilator:unit.toml, ort:[model.onnx].",
)
@click.option("--mode", type=click.Choice(["both", "isolated", "cumulative"]), default="both", show_default=True)
@click.option("--require", metavar="PATTERNS", help="Cases or ops that must run, comma separated; default: all.")
@click.option(
    "--supported-only",
    is_flag=True,
    help="Require what the device supports, and that this is something of every package, not what it refuses.",
)
@click.option("--map", "taps", metavar="FILE", help="TOML: the device's names, layouts and fused groups.")
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), default=30.0, show_default=True, help="Seconds a call."
)
@click.option(
    "--memory",
    type=click.IntRange(min=0),
    metavar="MB",
    help="Limit on the device's address space: past it, allocations fail and the case counts as crashed. "
    "Default: half of the machine's memory, as private memory; 0: no limit.",
)
@click.option("--junit", metavar="FILE", help="Write the cases as JUnit XML.")
@click.option("--report", metavar="FILE", help="Write the report: .json the receipt, else the text.")
@click.option("--html", metavar="FILE", help="Write one self-contained page with pictures.")
@options.as_json
def verify(
    paths: tuple[str, ...],
    dut: str | None,
    junit: str | None,
    report: str | None,
    html: str | None,
    as_json: bool,
    **how: Any,
) -> int:
    """Judge a device against golden packages; without --dut, check that every byte of them is as it was sealed.

    DIR may be a name of the suite that comes with intref: suite:linear, suite:ops (all packages of ops),
    suite:sentiment/w8a8-token, suite:models.

    Exit codes: 0 every required case ran and is equal, 1 something differs, 2 bad input, 3 something did not run.
    A package that is damaged is bad input: 2. (The suite's own check.py, which has no device to judge, says 1.)
    """
    from intref.cli import judging, suite

    judging.check_reports(junit, report, html=html)
    places = suite.expanded(paths)
    if dut is None:
        given = (("--junit", junit), ("--report", report), ("--html", html))
        return _checked(places, as_json, [name for name, value in given if value])
    with progress() as told:
        reports = judging.judged(places, dut, told, **how)
    judging.write_reports(reports, junit, report, html)
    judging.print_reports(reports, as_json)
    return reports.exit_code


def _checked(paths: list[str], as_json: bool, needing: list[str]) -> int:
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

    DIR may be a name of the suite, as in intref verify. Exit code 1 if what is computed here is not what the package
    holds.
    """
    from intref.cli.stepping import described, printed
    from intref.cli.suite import one
    from intref.element import element, find, known_names
    from intref.golden import read_golden

    index, path = _index(at), one(path)
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
