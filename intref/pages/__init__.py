"""Receipts and coverage as one self-contained HTML page: no network, no other file, light and dark, printable.

page(receipt) draws what `Report.receipt()` or `Reports.receipt()` holds; coverage_page(coverage) what
`Coverage.json()` holds. Everything in them is taken as hostile text. Needs jinja2 (the extra `report`).
"""

from typing import Any

from intref.errors import Unsupported

__all__ = ["check_installed", "coverage_page", "page"]


def check_installed() -> None:
    """Unsupported, with what to install, if pages cannot be made here."""
    try:
        import jinja2  # noqa: F401
    except ImportError:
        raise Unsupported("HTML needs jinja2: pip install 'intref[report]'") from None


def page(receipt: dict[str, Any], coverage: dict[str, Any] | None = None) -> str:
    """The page of a receipt of one package or of several; coverage: `Coverage.json()` of the vectors, drawn as well."""
    from intref.pages.coverage import coverage_view
    from intref.pages.verdict import view

    check_installed()
    from intref.pages.template import rendered

    return rendered("verdict.html", **view(receipt), coverage=coverage and coverage_view(coverage))


def coverage_page(coverage: dict[str, Any]) -> str:
    """The page of a coverage: a bar for each op, the bins that were not hit, the unreachable ones and their reasons."""
    from intref.pages.coverage import coverage_view

    check_installed()
    from intref.pages.template import rendered

    return rendered("coverage.html", coverage=coverage_view(coverage))
