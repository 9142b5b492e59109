"""Reports as JUnit XML, as Jenkins and GitLab read it: testsuites > testsuite > properties, testcase > failure."""

from collections.abc import Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from intref.report.cases import CRASHED, DIFFERS, EQUAL, Case, Report
from intref.report.summary import printable

KINDS = ("failure", "error", "skipped")
TOTALS = {"failure": "failures", "error": "errors", "skipped": "skipped"}
LONGEST = 500  # characters of an attribute
PROPERTIES = (
    *("intref", "spec", "name", "package", "kind", "mode", "profile", "recipe", "level", "seed", "backend"),
    *("dut_sha256", "verdict", "exit_code", "self"),
)


def junit(reports: Sequence[Report]) -> str:
    """One XML document: a test suite for each package, a test case for each comparison."""
    root = Element("testsuites", name="intref")
    suites = [_suite(report) for report in reports]
    for key in ("tests", "failures", "errors"):  # the schema knows no other here
        root.set(key, str(sum(int(suite.get(key, "0")) for suite in suites)))
    root.extend(suites)
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def kind(case: Case) -> str:
    """failure, error, skipped or nothing. A required case that did not run is an error: it must not pass for a skip."""
    if case.verdict == EQUAL:
        return ""
    bad = {CRASHED: "error", DIFFERS: "failure"}
    return bad.get(case.verdict, "error" if case.required else "skipped")


def _suite(report: Report) -> Element:
    suite = Element("testsuite", name=_attribute(report.place), tests=str(len(report.cases)))
    for word in KINDS:
        suite.set(TOTALS[word], str(sum(kind(case) == word for case in report.cases)))
    facts, rows = report.receipt(), SubElement(suite, "properties")
    for name in ("dut", *PROPERTIES):
        if facts.get(name) is not None:
            SubElement(rows, "property", name=name, value=_attribute(str(facts[name])))
    for case in report.cases:
        _case(suite, report, case)
    return suite


def _case(suite: Element, report: Report, case: Case) -> None:
    row = SubElement(suite, "testcase", classname=_attribute(f"{case.mode}.{case.op}"), name=_attribute(case.id))
    if word := kind(case):
        result = SubElement(row, word, message=_attribute(case.detail or case.outcome))
        if word != "skipped":
            result.set("type", case.outcome)
        result.text = "\n".join(map(printable, report.told(case)))


def _attribute(text: str) -> str:
    """One printable line of bounded length."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}..."
