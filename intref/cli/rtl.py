"""intref emit testbench: the vectors of a golden package as a SystemVerilog testbench that checks itself."""

from collections import Counter
from shlex import quote

import click

from intref.cli import options
from intref.cli.output import check_place, print_facts, print_json, print_text

SHOWN = 8  # reasons for which cases were skipped


@click.command(short_help="A self-checking SystemVerilog testbench.")
@click.argument("unit", metavar="UNIT.toml")
@click.argument("package", metavar="DIR")
@click.option("-o", "--output", required=True, metavar="DIR", help="The directory to write.")
@options.as_json
def testbench(unit: str, package: str, output: str, as_json: bool) -> None:
    """Write a testbench for an RTL unit from the golden package of its op (DIR, or suite:NAME).

    The directory holds tb.sv, its $readmemh files and a Makefile: `make icarus` or `make verilator` builds, runs and
    fails unless every result is identical. Cases that the unit is not built for are listed in skipped.txt.
    """
    from intref.cli.suite import one
    from intref.errors import FormatError
    from intref.golden import read_golden
    from intref.rtl.description import read_unit
    from intref.rtl.emit import write_testbench

    check_place(output)
    described, found = read_unit(unit), read_golden(one(package))
    op = found.manifest.get("op")
    if op != described.op.name:
        raise FormatError(f"{package}: expected a package of op {described.op.name}, found {op or 'one of a model'}")
    written = write_testbench(described, op, found.cases, output)
    facts = {"testbench": output, "cases": written.cases, "beats": written.beats, "results": written.results}
    if as_json:
        print_json({**facts, "skipped": dict(written.skipped)})
        return
    print_facts([*facts.items(), ("skipped", len(written.skipped))])
    reasons = Counter(written.skipped.values()).most_common()
    for reason, count in reasons[:SHOWN]:
        print_text(f"  {count} cases: {reason}")
    if len(reasons) > SHOWN:
        print_text(f"  and {len(reasons) - SHOWN} more reasons, in {output}/skipped.txt")
    print_text(f"run it: make -C {quote(output)} icarus")
