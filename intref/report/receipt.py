"""The receipt of a verdict: canonical JSON that names all it depends on, sealed by the SHA-256 of the rest.

The seal shows damage and later edits; it is no signature: who can run this program can seal another receipt.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from intref.atomic import StrPath, os_error
from intref.errors import FormatError, Unsupported
from intref.golden.package import seal_hash
from intref.report.cases import DIFFERS, UNSUPPORTED, VERDICTS, Case, Report
from intref.report.picture import sound
from intref.tensorfile import opened, parse_json, shown

SCHEMA = 1
MAX_RECEIPT = 1_000_000_000  # bytes
SUITE = "suite"  # the kind of a receipt over several packages
OPTIONAL = ("detail", "kind", "compared", "differing", "max_abs", "port", "rules", "also", "sha256", "lines", "replay")
TEXT, NUMBER, TABLE, LIST, TRUTH = str, int, dict, list, bool
CASE = {
    **{"id": TEXT, "op": TEXT, "mode": TEXT, "verdict": TEXT, "required": TRUTH, "detail": TEXT, "kind": TEXT},
    **{"compared": NUMBER, "differing": NUMBER, "max_abs": NUMBER, "port": TEXT, "rules": LIST, "also": LIST},
    **{"sha256": TEXT, "lines": LIST, "replay": TEXT, "picture": TABLE, "first": TABLE},
}
NEEDED = ("id", "op", "mode", "verdict", "required")
REPORT = {"dut": TEXT, "name": TEXT, "verdict": TEXT, "exit_code": NUMBER, "cases": LIST}
REPORT |= {"argmax_flips": TABLE, "notes": LIST, "unmatched": LIST, "blind": LIST, "explained": LIST}
EXPLAINED = {"op": TEXT, "sentence": TEXT, "stage": TEXT, "known": TRUTH, "lines": LIST, "differing_cases": NUMBER}
EXPLAINED |= {"ties": TABLE}
DERIVED = {*REPORT, "schema", "counts", "kinds", "first_divergence", "unsupported", "refusals", "self"} - {"name"}


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content and, under self, the SHA-256 of its canonical JSON."""
    return {**content, "self": seal_hash(content)}


def receipt(report: Report) -> dict[str, Any]:
    """The receipt of one package.

    Of the whole: dut, dut_sha256, map_sha256, intref, spec, machine, backend, kind, name, package (its seal), model,
    profile, recipe, level, seed, mode, required, supported_only, vectors, verdict, exit_code, counts (by verdict),
    kinds (of crashes), unsupported (ops), refusals (reason -> cases), first_divergence, argmax_flips, explained (by
    op), notes, unmatched, blind, self. Of each case: see `Case`; first's values are text, as JSON numbers are exact
    only below 2**53; picture: see `intref.report.picture`. No times, and of paths only those in dut.
    """
    first = report.first_divergence()
    return sealed(
        {
            "name": report.package,
            **report.about,
            "schema": SCHEMA,
            "dut": report.dut,
            "verdict": report.verdict,
            "exit_code": report.exit_code,
            "counts": {v: sum(case.verdict == v for case in report.cases) for v in VERDICTS},
            "kinds": dict(sorted(Counter(case.kind for case in report.cases if case.kind).items())),
            "unsupported": sorted({case.op for case in report.cases if case.verdict == UNSUPPORTED}),
            "refusals": report.refusals,
            "first_divergence": first.id if first else None,
            "argmax_flips": report.flips,
            "notes": list(report.notes),
            "unmatched": list(report.unmatched),
            "blind": list(report.blind),
            "explained": [dict(found) for found in report.explained],
            "cases": [_row(case) for case in report.cases],
        }
    )


def suite_receipt(reports: Sequence[Report], verdict: str, exit_code: int) -> dict[str, Any]:
    """The receipt over several packages, each with a seal of its own, so that none can be left out unseen."""
    head = {"schema": SCHEMA, "kind": SUITE, "dut": reports[0].dut, "verdict": verdict, "exit_code": exit_code}
    return sealed({**head, "reports": [receipt(report) for report in reports]})


def _row(case: Case) -> dict[str, Any]:
    row: dict[str, Any] = {key: getattr(case, key) for key in NEEDED}
    for key in OPTIONAL:
        if value := getattr(case, key):
            row[key] = list(value) if isinstance(value, tuple) else value
    if case.picture:
        row["picture"] = dict(case.picture)
    if case.verdict == DIFFERS:
        row["first"] = {"index": list(case.first), "dut": str(case.dut), "golden": str(case.golden)}
    return row


def read_receipt(path: StrPath) -> dict[str, Any]:
    """The receipt in a file: whole, sealed and of this schema, its content not yet looked at.

    FormatError if it is no receipt or a byte of it is not what was sealed; Unsupported for another schema.
    """
    place = Path(path)
    try:
        with opened(place) as file:
            data = file.read(MAX_RECEIPT + 1)
    except OSError as error:
        raise os_error(place, "read", error) from error
    if len(data) > MAX_RECEIPT:
        raise FormatError(f"{place}: expected a receipt of at most {MAX_RECEIPT} bytes, found more")
    table: dict[str, Any] = parse_json(place, data, "receipt")
    check_head(str(place), table)
    return table


def report_of(place: str, table: dict[str, Any]) -> Report:
    """The report that one package's receipt tells of; place is what an error names.

    FormatError if it is not what was sealed, or what it says of the whole does not follow from its cases.
    """
    check_head(place, table)
    check_fields(place, table, REPORT)
    cases = tuple(_case(f"{place}: case {i}", row) for i, row in enumerate(table["cases"]))
    about = {key: value for key, value in table.items() if key not in DERIVED}
    lists = (_texts(place, key, table[key]) for key in ("notes", "unmatched", "blind"))
    flips = table["argmax_flips"]
    for name, flip in flips.items():
        check_fields(f"{place}: argmax_flips {shown(name)}", flip, dict.fromkeys(("rows", "flipped", "differing"), int))
    notes, unmatched, blind = lists
    for i, found in enumerate(table["explained"]):
        check_fields(f"{place}: explained {i}", found, EXPLAINED)
        _texts(f"{place}: explained {i}", "lines", found["lines"])
    explained = tuple(table["explained"])
    report = Report(table["dut"], table["name"], cases, about, flips, notes, unmatched, blind, explained)
    if receipt(report) != table:
        different = [key for key, value in receipt(report).items() if table.get(key) != value and key != "self"]
        raise FormatError(f"{place}: {', '.join(different) or 'receipt'}: does not follow from the cases")
    return report


def check_head(place: str, table: Mapping[str, Any]) -> None:
    """FormatError or Unsupported unless a table is a sealed receipt of this schema."""
    if "self" not in table or "schema" not in table:
        raise FormatError(f"{place}: expected a receipt of intref verify, found other JSON")
    try:
        expected = seal_hash(table)
    except ValueError as error:  # a number beyond all floats
        raise FormatError(f"{place}: expected a receipt of intref verify, found {error}") from error
    if table["self"] != expected:
        raise FormatError(
            f"{place}: self: expected {expected}, found {shown(table['self'])}: it is not as it was written"
        )
    if table["schema"] != SCHEMA:
        raise Unsupported(f"{place}: receipt schema {shown(table['schema'])} is not supported, only {SCHEMA}")


def check_fields(place: str, table: Any, fields: Mapping[str, type], needed: Sequence[str] | None = None) -> None:
    """FormatError unless a table has fields of these types; needed: those that may not be absent, None: all."""
    if not isinstance(table, dict):
        raise FormatError(f"{place}: expected a table, found {shown(table)}")
    for key, kind in fields.items():
        if key not in table and needed is not None and key not in needed:
            continue
        value = table.get(key)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise FormatError(f"{place}: {key}: expected {kind.__name__}, found {shown(value)}")


def _texts(place: str, key: str, value: list[Any]) -> tuple[str, ...]:
    if not all(isinstance(text, str) for text in value):
        raise FormatError(f"{place}: {key}: expected a list of texts, found {shown(value)}")
    return tuple(value)


def _case(place: str, row: Any) -> Case:
    check_fields(place, row, CASE, NEEDED)
    if row["verdict"] not in VERDICTS:
        raise FormatError(f"{place}: verdict: expected one of {', '.join(VERDICTS)}, found {shown(row['verdict'])}")
    known = {key: value for key, value in row.items() if key in CASE}
    given: dict[str, Any] = {key: _texts(place, key, v) if isinstance(v, list) else v for key, v in known.items()}
    if not sound(given.get("picture", {})):
        raise FormatError(f"{place}: picture: expected a map and a histogram, found {shown(row['picture'])}")
    first = given.pop("first", None)
    if first is not None:
        given |= _first(place, first)
    return Case(**given)


def _first(place: str, first: Mapping[str, Any]) -> dict[str, Any]:
    index = first.get("index")
    try:
        if not isinstance(index, list) or not all(type(i) is int for i in index):
            raise ValueError
        return {"first": tuple(index), **{key: _value(first[key]) for key in ("dut", "golden")}}
    except (KeyError, TypeError, ValueError):
        raise FormatError(f"{place}: first: expected index, dut and golden, found {shown(first)}") from None


def _value(text: str) -> int | None:
    return None if text == "None" else int(text)
