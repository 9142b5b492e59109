"""intref report: a saved receipt, shown again."""

from typing import Any

import click

from intref.cli import options


@click.command(short_help="Show a saved receipt again: text, JUnit, HTML.")
@click.argument("receipt", metavar="FILE.json")
@click.option("--junit", metavar="FILE", help="Write the cases as JUnit XML.")
@click.option("--html", metavar="FILE", help="Write one self-contained page with pictures.")
@click.option("--coverage", metavar="FILE", help="Coverage of the vectors, as intref coverage wrote it, for the page.")
@options.as_json
def report(receipt: str, junit: str | None, html: str | None, coverage: str | None, as_json: bool) -> int:
    """Check the receipt that `intref verify --report FILE.json` wrote, and show what it says.

    A receipt that is not byte for byte what was sealed is refused: exit code 2. Otherwise 0, whatever the verdict.
    """
    from intref.cli import judging
    from intref.verify import read_reports

    judging.check_reports(junit, html=html)
    measured = None if coverage is None else _coverage(coverage)
    reports = read_reports(receipt)
    judging.write_reports(reports, junit, None, html, measured)
    judging.print_reports(reports, as_json)
    return 0


def _coverage(path: str) -> dict[str, Any]:
    from pathlib import Path

    from intref.atomic import os_error
    from intref.tensorfile import parse_json

    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise os_error(path, "read", error) from error
    found: dict[str, Any] = parse_json(Path(path), data, "coverage")
    return found
