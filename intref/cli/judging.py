"""Verdicts over one package or several: what is required of them together, what is printed, what is written."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from intref.cli.output import Told, nearest
from intref.errors import SpecError
from intref.verify import Report, judge

NOTHING_RAN = 3
UNASKED = "without a required case"


def judged(
    paths: Sequence[str], dut: str, told: Told, taps: str | None, memory: int | None, **how: Any
) -> list[Report]:
    """A report for each package; SpecError if a required pattern matches no case of any of them."""
    limit, several = None if memory is None else memory << 20, len(paths) > 1
    reports = [_judged(path, dut, told, map=taps, memory=limit, lenient=several, **how) for path in paths]
    unmatched = set.intersection(*({*report.unmatched} for report in reports))
    if several and unmatched:
        names = dict.fromkeys(name for report in reports for case in report.cases for name in (case.op, case.id))
        raise SpecError(f"--require: {nearest('case or op', min(unmatched), names)}")
    return reports


def _judged(path: str, dut: str, told: Told, **how: Any) -> Report:
    return judge(path, dut, progress=lambda done, total, case: told(path, done, total), **how)


def overall(reports: Sequence[Report]) -> int:
    """The exit code of all packages: 1 if one differs, 3 if something required did not run, else 0.

    A package without a required case counts only where it differs.
    """
    codes = {r.exit_code for r in reports if _asked(r) or r.exit_code == 1} or {NOTHING_RAN}
    return next(code for code in (1, 3, 0) if code in codes)


def text(reports: Sequence[Report]) -> str:
    """Every report, and one line over all where there are several."""
    parts = [report.text() for report in reports]
    if len(reports) > 1:
        words = Counter(r.verdict.replace("_", " ") if _asked(r) or r.exit_code == 1 else UNASKED for r in reports)
        counts = ", ".join(f"{count} {word}" for word, count in words.most_common())
        parts.append(f"overall: {len(reports)} packages: {counts} (exit code {overall(reports)})")
    return "\n\n".join(parts)


def _asked(report: Report) -> bool:
    return any(case.required for case in report.cases)


def receipts(reports: Sequence[Report]) -> str:
    """The receipt of one package as it is, of several as a list."""
    texts = [report.json() for report in reports]
    return texts[0] if len(texts) == 1 else f"[{','.join(texts)}]"


def write_reports(reports: Sequence[Report], junit: str | None, report: str | None) -> None:
    """JUnit XML, and the report as a receipt (.json) or as text, where they are asked for."""
    from xml.etree import ElementTree

    from intref.atomic import write_atomically

    if junit is not None:
        suites = ElementTree.Element("testsuites")
        suites.extend([ElementTree.fromstring(r.junit()) for r in reports])
        write_atomically(junit, ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True))
    if report is not None:
        content = receipts(reports) if report.endswith(".json") else text(reports)
        write_atomically(report, f"{content}\n".encode())
