"""A receipt laid out for its page: what is drawn, what is listed, and how much of it."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from intref.modelfile import canonical
from intref.pages.facts import STRENGTHS, of_package, of_run, plain, strengths
from intref.pages.pictures import chart, histogram, mismatch_map
from intref.report.cases import CRASHED, DIFFERS, EQUAL, NOT_RUN, UNSUPPORTED, VERDICTS, Case, Report
from intref.report.receipt import SUITE, report_of
from intref.report.reports import Reports
from intref.report.summary import MARGINS, common, printable

CARDS = 60  # differing cases that are drawn, of all packages together
CARDS_LATER = 4  # of what the device made of its own wrong values
CARDS_EACH = 4  # of one package among several, and of one mode
OPS = 12  # ops of one package whose explanation is given
LISTED = 300  # cases of one package in its table
LISTED_ALL = 3000  # of all packages
LONGEST = 20_000  # characters of a text
ORDER = {verdict: i for i, verdict in enumerate((DIFFERS, CRASHED, NOT_RUN, UNSUPPORTED, EQUAL))}


def view(receipt: dict[str, Any]) -> dict[str, Any]:
    """What templates/verdict.html needs; the receipt is one that `intref.verify.read_reports` accepts."""
    receipt = json.loads(canonical(receipt))  # as it is read from a file, so that the page is the same
    rows: list[dict[str, Any]] = receipt["reports"] if receipt.get("kind") == SUITE else [receipt]
    reports = [report_of("receipt", row) for row in rows]
    whole = Reports(reports)
    cards = CARDS if len(reports) == 1 else CARDS_EACH
    budget = _Budget()
    packages = [_package(i, report, row, cards, budget) for i, (report, row) in enumerate(zip(reports, rows))]
    return {
        "dut": reports[0].dut,
        "verdict": whole.verdict,
        "outcome": reports[0].outcome if len(reports) == 1 else whole.verdict.replace("_", " "),
        "exit_code": whole.exit_code,
        "tiles": _tiles(reports),
        "packages": packages,
        "told": sorted((p for p in packages if p["verdict"] != EQUAL or len(packages) == 1), key=_severity),
        "equal": [p for p in packages if p["verdict"] == EQUAL and len(packages) > 1],
        "strengths": STRENGTHS,
        "vectors": [row for report in reports if (row := strengths(report))],
        "rows": of_run(rows[0]),
        "self_hash": receipt["self"],
    }


def _severity(package: Mapping[str, Any]) -> int:
    return ORDER[package["verdict"]]


class _Budget:
    """How much may still be drawn and listed on the page."""

    def __init__(self) -> None:
        self.cards, self.rows = CARDS, LISTED_ALL

    def of_cards(self, wanted: int) -> int:
        taken = min(wanted, self.cards)
        self.cards -= taken
        return taken

    def of_rows(self, wanted: int) -> int:
        taken = min(wanted, LISTED, self.rows)
        self.rows -= taken
        return taken


def _tiles(reports: Sequence[Report]) -> list[tuple[str, str]]:
    """The numbers at the top, as (number, what it counts)."""
    cases = [case for report in reports for case in report.cases]
    counts = Counter(case.verdict for case in cases)
    rows = [(len(cases), "cases"), *((counts[v], v.replace("_", " ")) for v in VERDICTS if counts[v])]
    if len(reports) > 1:
        rows.insert(0, (len(reports), "packages"))
    compared, differing = sum(case.compared for case in cases), sum(case.differing for case in cases)
    rows += [(compared, "elements compared"), *([(differing, "elements differ")] if differing else [])]
    return [(f"{number:,}", what) for number, what in rows]


def _package(index: int, report: Report, row: Mapping[str, Any], most: int, budget: _Budget) -> dict[str, Any]:
    different = [case for case in report.cases if case.verdict == DIFFERS]
    modes = dict.fromkeys(case.mode for case in report.cases)
    counts = Counter(case.verdict for case in report.cases)
    return {
        "anchor": f"p{index}",
        "name": report.place,
        "verdict": report.verdict,
        "outcome": report.outcome,
        "counted": report.counts,
        "cases": len(report.cases),
        "counts": [counts[verdict] for verdict in VERDICTS],
        "compared": sum(case.compared for case in report.cases),
        "differing": sum(case.differing for case in different),
        "why": _why(report, different),
        **_explained(report),
        "findings": _findings(report, modes),
        "chart": _chart(report, modes),
        "flips": (flips := _flips(report)),
        "margins": any(flip["more"] for flip in flips),
        "cards": [card for mode in modes for card in _cards(report, mode, most, budget)],
        "undrawn": len(different),
        **_listed(report, budget),
        "notes": [*report.notes, *(f"not shown by this package: {words}" for words in report.blind)],
        "facts": of_package(row),
    }


def _why(report: Report, different: Sequence[Case]) -> str:
    """What is said of a package in one cell."""
    if report.explained:
        return "; ".join(one["sentence"] for one in report.explained[:2])[:300]
    if different:
        rules = common(different)
        return f"{' or '.join(rules[:2])} explains all" if rules else "no one rule explains all"
    return next((case.detail for case in report.cases if case.verdict == report.verdict and case.detail), "")[:300]


def _explained(report: Report) -> dict[str, Any]:
    """What explains each op over all its cases, those first that differ most."""
    found = sorted(report.explained, key=lambda one: -one["differing_cases"])
    return {"explained": [_op(one) for one in found[:OPS]], "explained_left": max(len(found) - OPS, 0)}


def _op(one: Mapping[str, Any]) -> dict[str, Any]:
    ties = sorted((kind.startswith("between"), kind, row) for kind, row in one["ties"].items() if isinstance(row, dict))
    rows = [(kind, row.get("wrong"), row.get("of")) for _, kind, row in ties]
    sound = [(k, wrong, of) for k, wrong, of in rows if type(wrong) is int and type(of) is int and 0 <= wrong <= of]
    lines = [line for line in one["lines"] if not (sound and line.startswith("wrong: "))]
    return {
        "lines": lines or [one["sentence"]],
        "ties": [(kind, wrong, of, 100 * wrong // of) for kind, wrong, of in sound if of],
    }


def _findings(report: Report, modes: Mapping[str, None]) -> list[str]:
    """Sentences over all cases of a package."""
    found = []
    for mode in modes:
        cases = [case for case in report.cases if case.mode == mode]
        different = [case for case in cases if case.verdict == DIFFERS]
        if not different or (mode == "op" and report.explained):
            continue
        words = f"{mode}: {len(different)} of {len(cases)} cases differ"
        if len(different) > 1 and not report.explained and (rules := common(different)):
            words += f"; {' or '.join(rules[:4])} explains 100.000 % of the outputs of all {len(different)}"
        if mode == "cumulative":
            words += f"; the difference first shows at {different[0].id}"
        found.append(words)
    return found


def _chart(report: Report, modes: Mapping[str, None]) -> dict[str, Any] | None:
    """Isolated beside cumulative, of a model's nodes; None for an op's package or where there is but one node."""
    first = report.first_divergence()
    nodes: dict[str, dict[str, Any]] = {}
    for case in report.cases:
        if case.mode in ("isolated", "cumulative"):
            node = nodes.setdefault(case.id, {"name": case.id, "op": case.op, "starts": False})
            node[case.mode] = {"share": case.differing / max(case.compared, 1), "verdict": case.verdict}
            node[case.mode]["words"] = _words(case)
            node["starts"] = node["starts"] or case is first
    if len(nodes) < 2 or not any(case.differing for case in report.cases):
        return None
    return {**chart([*nodes.values()]), "modes": [mode for mode in ("isolated", "cumulative") if mode in modes]}


def _words(case: Case) -> str:
    return f"{case.differing:,} of {case.compared:,} differ ({_share(case)})" if case.compared else case.outcome


def _share(case: Case) -> str:
    """A percentage that is 0 and 100 only where it is exactly so."""
    if case.differing in (0, case.compared):
        return f"{100 if case.differing else 0} %"
    share = 100 * case.differing / case.compared
    if share > 99.99:
        return "> 99.99 %"
    return f"{share:.2f} %" if share >= 0.01 else "< 0.01 %"


def _flips(report: Report) -> list[dict[str, Any]]:
    """A row for each output of a model, and what is known of it beyond the three counts."""
    known = ("rows", "flipped", "differing")
    return [
        {
            "name": name,
            **{key: flip[key] for key in known},
            "more": [
                (MARGINS.get(key, key.replace("_", " ")), plain(v)) for key, v in flip.items() if key not in known
            ],
        }
        for name, flip in report.flips.items()
    ]


def _cards(report: Report, mode: str, most: int, budget: _Budget) -> list[dict[str, Any]]:
    """The differing cases of a mode that are drawn; of cumulative ones, those that differ as when isolated are not."""
    alone = {(case.id, case.sha256) for case in report.cases if case.mode == "isolated"} if mode == "cumulative" else ()
    found = [case for case in report.cases if case.mode == mode and case.verdict == DIFFERS and case.picture]
    found = [case for case in found if (case.id, case.sha256) not in alone]
    most = min(most, CARDS_LATER) if mode == "cumulative" else most
    return [_card(report, case) for case in found[: budget.of_cards(min(most, len(found)))]]


def _card(report: Report, case: Case) -> dict[str, Any]:
    head, *lines = case.lines or (case.detail,)
    return {
        "id": case.id,
        "mode": case.mode,
        "head": head,
        "text": "\n".join(_shown(line) for line in lines),
        "port": case.port,
        "map": mismatch_map(case.picture),
        "histogram": histogram(case.picture["histogram"]),
        "clips": case.picture.get("clips"),
        "differing": case.differing,
        "replay": report.replay(case),
    }


def _shown(line: str) -> str:
    """One line of text that may be joined to others by line ends of our own."""
    return printable(line[:LONGEST])


def _listed(report: Report, budget: _Budget) -> dict[str, Any]:
    """The table of cases, those first that are not equal, and how many are left out of it."""
    ordered = sorted(report.cases, key=lambda case: ORDER[case.verdict])
    taken = budget.of_rows(len(ordered))
    rows = [
        {
            "id": case.id,
            "op": case.op,
            "mode": case.mode,
            "verdict": case.verdict,
            "outcome": case.outcome,
            "required": case.required,
            "compared": case.compared,
            "differing": case.differing,
            "share": _share(case) if case.compared else "",
            "max_abs": case.max_abs,
            "why": (case.rule if case.verdict == DIFFERS else case.detail)[:300],
        }
        for case in ordered[:taken]
    ]
    return {"rows": rows, "left": len(ordered) - taken}
