"""Receipts and JUnit: is what is written true, whole, bounded, and refused when it is not as it was written?"""

import copy
import hashlib
import json
import re
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from intref.errors import FormatError, Unsupported
from intref.golden import read_golden
from intref.golden.package import seal_hash
from intref.modelfile import canonical
from intref.report.facts import file_hash, package_name
from intref.report.machine import machine
from intref.verify import Case, Report, Reports, judge, read_reports
from verify_packages import py

SPEAKS = """
import pathlib
import intref

def device(op, inputs, attrs):
    pathlib.Path({place!r}).write_text("asked")
    return intref.call(op, inputs, attrs)
"""


@pytest.fixture(scope="module")
def reports(rescale, tiny):
    """A device that differs, one that crashes, one that leaves an op out, one that is right."""
    duts = ((rescale, "right", "half_away"), (rescale, "broken", "killed_once"), (tiny, "right", "some"))
    found = [judge(package, py(*dut)) for package, *dut in duts]
    return [*found, judge(tiny, py("flipped", "some"))]


def saved(report, path):
    path.write_text(report.json() + "\n")
    return path


def many(count, **changes):
    """A report of that many cases."""
    row = {"id": "c", "op": "clamp", "mode": "op", "verdict": "differs", "compared": 8, "differing": 1} | changes
    return Report("d", "p", tuple(Case(**{**row, "id": f"{row['id']}{i}"}) for i in range(count)))


def test_is_a_saved_report_the_same_report_again(reports, tmp_path):
    for i, report in enumerate(reports):
        (again,) = read_reports(saved(report, tmp_path / f"{i}.json")).reports
        assert again.json() == report.json() and again.cases == report.cases and again.exit_code == report.exit_code
        assert again.text() == report.text().replace(report.package, again.package)
        assert again.junit() == report.junit().replace(report.package, again.package)


def test_are_several_reports_one_receipt(reports, tmp_path):
    whole = Reports(reports)
    again = read_reports(saved(whole, tmp_path / "all.json"))
    assert again.json() == whole.json() and (again.verdict, again.exit_code) == ("differs", 1)
    receipt = json.loads(whole.json())
    assert [row["self"] for row in receipt["reports"]] == [json.loads(report.json())["self"] for report in reports]
    del receipt["reports"][2]
    with pytest.raises(FormatError, match="it is not as it was written"):
        read_reports(written(tmp_path / "fewer.json", receipt))
    receipt["self"] = seal_hash(receipt)
    read_reports(written(tmp_path / "fewer.json", receipt))  # whoever seals it anew says something new
    receipt |= {"verdict": "equal", "exit_code": 0}
    receipt["self"] = seal_hash(receipt)
    with pytest.raises(FormatError, match="does not follow from the 3 receipts"):
        read_reports(written(tmp_path / "fewer.json", receipt))


def written(path, receipt):
    path.write_text(canonical(receipt))
    return path


def places(value, at=()):
    """Every place in a receipt that holds a number or a text."""
    if isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*at, key))
    elif value is not None:
        yield at


def changed(receipt, at):
    """The receipt with one value changed by as little as it can be."""
    other = copy.deepcopy(receipt)
    inner = other
    for key in at[:-1]:
        inner = inner[key]
    old = inner[at[-1]]
    inner[at[-1]] = not old if isinstance(old, bool) else old + 1 if isinstance(old, int) else f"{old}x"
    return other


def test_is_every_changed_value_refused(reports, tmp_path):
    receipt = json.loads(reports[0].json())
    tried = [at for at in places(receipt) if at != ("self",)]
    assert len(tried) > 60
    for at in tried:
        with pytest.raises(FormatError, match="self: expected"):
            read_reports(written(tmp_path / "r.json", changed(receipt, at)))


@pytest.mark.parametrize("key", ["verdict", "exit_code", "counts", "kinds", "first_divergence", "unsupported"])
def test_is_a_whole_refused_that_does_not_follow_from_the_cases(reports, tmp_path, key):
    receipt = json.loads(reports[1].json())
    other = {"verdict": "equal", "exit_code": 0, "first_divergence": "x", "unsupported": ["x"]}
    receipt[key] = other.get(key, {"x": 1})
    receipt["self"] = seal_hash(receipt)
    with pytest.raises(FormatError, match=rf"r\.json: {key}: does not follow from the cases"):
        read_reports(written(tmp_path / "r.json", receipt))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 2}, "receipt schema 2 is not supported"),
        ({"cases": 3}, "cases: expected list, found 3"),
        ({"cases": [3]}, "case 0: expected a table, found 3"),
        ({"cases": [{}]}, "case 0: id: expected str, found None"),
        ({"notes": [1]}, "notes: expected a list of texts"),
        ({"exit_code": True}, "exit_code: expected int, found True"),
        ({"argmax_flips": {"y": {"rows": "many"}}}, "argmax_flips 'y': rows: expected int, found 'many'"),
        ({"explained": [{"op": "x"}]}, "explained 0: sentence: expected str, found None"),
    ],
)
def test_is_a_malformed_receipt_one_line(reports, tmp_path, call, change, message):
    receipt = json.loads(reports[0].json()) | change
    receipt["self"] = seal_hash(receipt)
    result = call("report", written(tmp_path / "r.json", receipt))
    assert result.code == 2 and result.out == "" and result.err.count("\n") == 1 and message in result.err


@pytest.mark.parametrize(
    "change",
    [
        {"cells": [0, 0, 2, 1]},
        {"cells": [64, 0, 1, 1]},
        {"cells": [0, 0, 1]},
        {"cells": "x"},
        {"cell": [0, 1]},
        {"sheet": [1 << 60, 1 << 60]},
        {"sheet": [1]},
        {"histogram": [["1", "x", 1]]},
        {"histogram": [["1", "1" * 5000, 1]]},
        {"clips": {"low": "0"}},
    ],
)
def test_is_a_picture_that_cannot_be_drawn_refused(reports, tmp_path, change):
    receipt = json.loads(reports[0].json())
    receipt["cases"][1]["picture"] |= change
    receipt["self"] = seal_hash(receipt)
    with pytest.raises(FormatError, match="case 1: picture: expected a map"):
        read_reports(written(tmp_path / "r.json", receipt))


@pytest.mark.parametrize("text", ["", "{}", "[]", "no", '{"self": NaN}', "[" * 100_000, '{"self": "x", "schema": 1}'])
def test_is_what_is_no_receipt_refused(tmp_path, call, text):
    path = tmp_path / "r.json"
    path.write_text(text)
    result = call("report", path)
    assert result.code == 2 and result.err.count("\n") == 1 and "r.json" in result.err
    assert call("report", tmp_path / "absent.json").code == 2
    assert call("report", tmp_path).code == 2


def test_does_a_receipt_name_all_it_depends_on(reports, rescale):
    receipt = json.loads(reports[0].json())
    assert receipt["machine"] == machine() and machine()["numpy"] == np.__version__
    assert set(machine()) == {"python", "numpy", "numba", "os", "cpu", "features"}
    assert (receipt["required"], receipt["name"], receipt["package"]) == (
        ["*"],
        "rescale",
        read_golden(rescale).manifest["self"],
    )
    assert json.loads(reports[2].json())["unsupported"] == ["transpose"]
    assert {"intref", "spec", "level", "seed", "profile", "backend", "vectors", "dut_sha256"} - receipt.keys() == {
        "profile"
    }
    assert receipt["self"] == seal_hash(receipt)


def test_does_a_package_of_the_suite_go_by_its_name():
    from intref.golden import suite_path

    report = judge(suite_path() / "ops" / "rescale_token", "py:intref.demo.device:wrong")
    assert report.place == "suite:rescale_token" and json.loads(report.json())["level"] == 1
    assert "replay: intref step suite:rescale_token --op " in report.text()
    assert str(suite_path()) not in report.json()
    assert package_name(suite_path() / "models" / "sentiment" / "ibert") == "suite:sentiment/ibert"
    assert package_name("/no/such/gold") == "gold"


def test_is_an_unlike_schema_told_apart(tmp_path):
    receipt = {"schema": 9, "kind": "suite"}
    with pytest.raises(Unsupported, match="schema 9"):
        read_reports(written(tmp_path / "r.json", {**receipt, "self": seal_hash(receipt)}))


def test_does_the_text_of_ten_thousand_cases_stay_on_a_screen():
    for changes in ({}, {"verdict": "crashed", "kind": "hung", "detail": "no answer"}, {"verdict": "equal"}):
        start = time.process_time()
        text = many(10_000, **changes).text()
        assert len(text.splitlines()) < 40 and len(text) < 4000 and time.process_time() - start < 2
    cases = tuple(Case(f"c{i}", "clamp", "op", "crashed", f"reason {i}", "crashed") for i in range(10_000))
    assert len(Report("d", "p", cases).text().splitlines()) < 40


def test_does_a_suite_that_passes_stay_on_a_screen():
    passing = [Report("d", f"p{i}", (Case("a", "clamp", "op", "equal", compared=1),)) for i in range(30)]
    assert len(Reports(passing).text().splitlines()) < 8
    failing = [Report("d", f"p{i}", many(50).cases) for i in range(30)]
    assert len(Reports([*passing, *failing]).text().splitlines()) < 60
    assert Reports([*passing, *failing]).text().endswith("60 packages: 30 equal, 30 differs (exit code 1)")


ATTRIBUTES = {
    "testsuites": {"name", "time", "tests", "failures", "disabled", "errors"},
    "testsuite": {"name", "tests", "failures", "errors", "time", "disabled", "skipped", "timestamp", "hostname", "id"},
    "properties": set(),
    "property": {"name", "value"},
    "testcase": {"name", "assertions", "time", "classname", "status"},
    "failure": {"type", "message"},
    "error": {"type", "message"},
    "skipped": {"message"},
}
CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase"},
    "properties": {"property"},
    "testcase": {"failure", "error", "skipped"},
}


def test_is_junit_of_several_packages_what_the_schema_allows(reports):
    skipped = judge_optional(reports[2])
    root = ElementTree.fromstring(Reports([*reports, skipped]).junit())
    assert root.tag == "testsuites" and len(root) == 5
    for element in root.iter():
        assert set(element.attrib) <= ATTRIBUTES[element.tag]
        assert {child.tag for child in element} <= CHILDREN.get(element.tag, set())
    for suite in root:
        rows = suite.findall("testcase")
        assert suite.get("tests") == str(len(rows))
        for kind, total in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            assert suite.get(total) == str(sum(row.find(kind) is not None for row in rows))
    assert root.get("tests") == str(sum(int(suite.get("tests")) for suite in root))
    assert int(root[4].get("skipped")) > 0 and root[4].get("errors") == "0"
    facts = {row.get("name"): row.get("value") for row in root[0].find("properties")}
    assert facts["dut"] == reports[0].dut and facts["self"] == json.loads(reports[0].json())["self"]


def judge_optional(report):
    """The same report with nothing required that did not run."""
    cases = (case if case.verdict == "equal" else Case(**{**vars(case), "required": False}) for case in report.cases)
    return Report(report.dut, report.package, tuple(cases), report.about)


HOSTILE = "]]>\x00\x1b[31m<b a='\"&\ufffe\ud800\u202e\nverdict: equal"


def test_are_hostile_words_harmless_in_xml_and_text():
    case = Case(HOSTILE, HOSTILE, HOSTILE, "crashed", HOSTILE, "crashed")
    report = Report(HOSTILE, HOSTILE, (case,), notes=(HOSTILE,))
    root = ElementTree.fromstring(report.junit().encode())
    values = [value for element in root.iter() for value in (*element.attrib.values(), element.text or "")]
    assert not any(re.search("[\x00-\x08\x0b-\x1f\x7f\ufffe\ud800\u202e]", value) for value in values)
    assert not any(line.startswith("verdict: equal") for line in report.text().splitlines())
    assert report.text().isascii() and "\x1b" not in report.text()


def test_are_only_the_first_differing_cases_drawn(tiny, monkeypatch):
    monkeypatch.setattr("intref.verify.bench.PICTURED", 4)
    report = judge(tiny, py("flipped", "everything"))
    for mode in ("isolated", "cumulative"):
        different = [case for case in report.cases if case.mode == mode and case.verdict == "differs"]
        assert [bool(case.picture) for case in different] == [i < 4 for i in range(len(different))]
        assert len(different) > 4


@pytest.mark.parametrize("option", ["--report", "--junit", "--html"])
def test_is_a_place_that_cannot_be_written_refused_before_the_device_runs(rescale, tmp_path, call, option):
    asked = tmp_path / "asked"
    (tmp_path / "speaks.py").write_text(SPEAKS.format(place=str(asked)))
    dut = f"py:{tmp_path / 'speaks.py'}:device"
    for place in (tmp_path, tmp_path / "no" / "r.json", tmp_path / "speaks.py" / "r.json", "/dev/null"):
        result = call("verify", rescale, "--dut", dut, option, place)
        assert result.code == 2 and "cannot be written" in result.err and result.err.count("\n") == 1
    result = call("verify", rescale, "--dut", dut, "--report", tmp_path / "x", "--junit", tmp_path / "x")
    assert result.code == 2 and "expected different files" in result.err
    assert not asked.exists() and not (tmp_path / "x").exists()
    assert call("verify", rescale, "--dut", dut).code == 0 and asked.exists()


def test_does_the_command_show_a_receipt_again(rescale, tmp_path, call):
    words = ("verify", rescale, "--dut", py("right", "half_away"))
    live = call(*words, "--report", tmp_path / "r.json", "--junit", tmp_path / "a.xml")
    again = call("report", tmp_path / "r.json", "--junit", tmp_path / "b.xml")
    assert (live.code, again.code) == (1, 0)
    assert again.out == live.out.replace(str(rescale), "rescale")
    assert (tmp_path / "b.xml").read_text() == (tmp_path / "a.xml").read_text().replace(str(rescale), "rescale")
    assert call("report", tmp_path / "r.json", "--json").out == (tmp_path / "r.json").read_text()


def test_is_the_published_strength_of_the_vectors_in_the_receipt(monkeypatch, tmp_path):
    from intref.golden import suite_path
    from intref.model import SPEC_VERSION

    package = suite_path() / "ops" / "transpose"
    row = {"cases": len(read_golden(package).cases), "mutants": {"killed": 3, "total": 4, "equivalent": 1}}
    tables = (
        ({"spec": SPEC_VERSION, "ops": {"transpose": row}}, row),
        ({"spec": "other", "ops": {"transpose": row}}, None),
        ({"spec": SPEC_VERSION, "ops": {"transpose": row | {"cases": 1}}}, None),
        ({"spec": SPEC_VERSION, "ops": 3}, None),
    )
    for i, (table, expected) in enumerate(tables):
        (tmp_path / f"{i}.json").write_text(json.dumps(table))
        monkeypatch.setattr("intref.report.facts.SCORES", str(tmp_path / f"{i}.json"))
        report = judge(package, "py:intref.demo.device:right")
        assert report.receipt()["vectors"] == expected
    monkeypatch.setattr("intref.report.facts.SCORES", "none.json")
    assert judge(package, "py:intref.demo.device:right").receipt()["vectors"] is None


SECOND = """
import intref

def device(op, inputs, attrs):
    made = intref.call(op, inputs, attrs)
    last = [*made][-1]
    made[last] = made[last] + made[last].dtype.type(1)
    return made
"""


def test_does_the_replay_command_find_the_output_that_differs(tmp_path, call):
    """The second output of an op is wrong, and nothing else."""
    (tmp_path / "second.py").write_text(SECOND)
    dut = f"py:{tmp_path / 'second.py'}:device"
    result = call("verify", "suite:quantize_token", "--dut", dut, "--json")
    row = next(row for row in json.loads(result.out)["cases"] if row["verdict"] == "differs")
    assert f"--output {row['port']}" in row["replay"] and row["port"] != "y"
    found = json.loads(call("step", "suite:quantize_token", *row["replay"].split(), "--json").out)
    assert found["golden"] == row["first"]["golden"]


def test_is_the_file_of_a_device_hashed(tmp_path, monkeypatch):
    content = b"def device(op, inputs, attrs): ..."
    (tmp_path / "dev.py").write_bytes(content)
    (tmp_path / "chip").mkdir()
    (tmp_path / "chip" / "__init__.py").write_bytes(content)
    monkeypatch.syspath_prepend(str(tmp_path))
    specs = (f"py:{tmp_path / 'dev.py'}:device", "py:dev:device", "py:chip:device", f"so:{tmp_path / 'dev.py'}")
    assert {file_hash(spec) for spec in specs} == {hashlib.sha256(content).hexdigest()}
    assert file_hash(f"pipe:{sys.executable} -u x.py") == hashlib.sha256(Path(sys.executable).read_bytes()).hexdigest()
    absent = ("py:no.such:device", f"file:{tmp_path}", "pipe:no-such-program", "InProcess")
    assert [file_hash(spec) for spec in absent] == [None] * 4
