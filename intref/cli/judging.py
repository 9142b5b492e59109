"""Verdicts over one package or several: what is required of them together, what is printed, what is written."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from intref.atomic import kind
from intref.cli.output import Told, check_place, nearest, print_text
from intref.errors import FormatError, SpecError
from intref.verify import Report, Reports, judge


def judged(paths: Sequence[str], dut: str, told: Told, taps: str | None, memory: int | None, **how: Any) -> Reports:
    """A report for each package; SpecError if a required pattern matches no case of any of them."""
    limit, several = None if memory is None else memory << 20, len(paths) > 1
    reports = [_judged(path, dut, told, map=taps, memory=limit, lenient=several, **how) for path in paths]
    unmatched = set.intersection(*({*report.unmatched} for report in reports))
    if several and unmatched:
        names = dict.fromkeys(name for report in reports for case in report.cases for name in (case.op, case.id))
        raise SpecError(f"--require: {nearest('case or op', min(unmatched), names)}")
    return Reports(reports)


def _judged(path: str, dut: str, told: Told, **how: Any) -> Report:
    return judge(path, dut, progress=lambda done, total, case: told(path, done, total), **how)


def check_reports(*places: str | None, html: str | None = None) -> None:
    """FormatError or Unsupported if a report cannot be made or written, found out before a device is asked."""
    given = [place for place in (*places, html) if place is not None]
    for place in given:
        check_place(place)
        if Path(place).exists() and not Path(place).is_file():
            raise FormatError(f"{place}: cannot be written: expected a file, found {kind(Path(place))}")
    if len({*map(Path, given)}) < len(given):
        raise FormatError(f"{', '.join(given)}: cannot be written: expected different files, found one twice")
    if html is not None:
        from intref.pages import check_installed

        check_installed()


def write_reports(
    reports: Reports, junit: str | None, report: str | None, html: str | None, coverage: dict[str, Any] | None = None
) -> None:
    """JUnit XML, the report as a receipt (.json) or as text, and an HTML page, where they are asked for.

    coverage: for the page, see `intref.pages.page`.
    """
    from intref.atomic import write_atomically

    if junit is not None:
        write_atomically(junit, reports.junit().encode())
    if report is not None:
        content = reports.json() if report.endswith(".json") else reports.text()
        write_atomically(report, f"{content}\n".encode())
    if html is not None:
        from intref.pages import page

        write_atomically(html, page(reports.receipt(), coverage).encode())


def print_reports(reports: Reports, as_json: bool) -> None:
    """The receipt, or the report as text."""
    if as_json:
        click.echo(reports.json())
    else:
        print_text(reports.text())
