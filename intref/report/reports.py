"""The verdicts on a device against several packages, as one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from intref.atomic import StrPath
from intref.errors import FormatError
from intref.modelfile import canonical
from intref.report.cases import EQUAL, EXIT_CODES, NOT_RUN, Report
from intref.report.junit import junit
from intref.report.receipt import SUITE, check_fields, read_receipt, report_of, suite_receipt
from intref.report.summary import SEVEREST, overall_text


@dataclass(frozen=True)
class Reports:
    """One report or more, in the order in which the packages were given; of one, everything is that one's own."""

    reports: Sequence[Report]

    @property
    def exit_code(self) -> int:
        """Of all packages: 1 if one differs, 3 if something required did not run, else 0.

        A package without a required case counts only where it differs.
        """
        return EXIT_CODES[self.verdict]

    @property
    def verdict(self) -> str:
        """The worst of those that count; not_run where none does."""
        found = {report.verdict for report in self.reports if report.counts}
        return next((word for word in (*SEVEREST, EQUAL) if word in found), NOT_RUN)

    def receipt(self) -> dict[str, Any]:
        """See `intref.report.receipt`."""
        if len(self.reports) == 1:
            return self.reports[0].receipt()
        return suite_receipt(self.reports, self.verdict, self.exit_code)

    def json(self) -> str:
        """The receipt as canonical JSON."""
        return canonical(self.receipt())

    def text(self) -> str:
        """For a terminal."""
        return self.reports[0].text() if len(self.reports) == 1 else overall_text(self.reports, self.exit_code)

    def junit(self) -> str:
        """For a CI server."""
        return junit(self.reports)


def read_reports(path: StrPath) -> Reports:
    """What a receipt file tells of.

    FormatError if it is no receipt, a byte of it is not what was sealed, or what it says of the whole does not follow
    from its cases; Unsupported for another schema.
    """
    table = read_receipt(path)
    if table.get("kind") != SUITE:
        return Reports([report_of(str(path), table)])
    check_fields(str(path), table, {"reports": list})
    reports = Reports([report_of(f"{path}: report {i}", row) for i, row in enumerate(table["reports"])])
    if len(reports.reports) < 2 or reports.receipt() != table:
        raise FormatError(f"{path}: receipt: does not follow from the {len(reports.reports)} receipts in it")
    return reports
