"""Pages: is what is drawn what was judged, does a page load and run nothing foreign, and does it stay small?"""

import hashlib
import json
import re
import struct
import sys
import time
import zlib
from base64 import b64decode, b64encode
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

pytest.importorskip("jinja2")

from intref.errors import FormatError
from intref.golden import suite_path
from intref.pages import coverage_page, page
from intref.pages.pictures import histogram, mismatch_map
from intref.report.picture import picture
from intref.verify import Case, Report, Reports, judge
from verify_packages import py, write_tiny

VOID = {"meta", "img"}
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7 * 7 }}\x00\x1b[31m\u202e\ud800\n</style>"


class Page(HTMLParser):
    """The elements of a page: (tag, attributes, text directly inside); every one is closed."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.text = [], [], text
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append([tag, dict(attrs), ""])
        if tag not in VOID:
            self.open.append(self.elements[-1])

    def handle_startendtag(self, tag, attrs):
        self.elements.append([tag, dict(attrs), ""])

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        if self.open:
            self.open[-1][2] += data

    def all(self, tag, **attrs):
        return [e for e in self.elements if e[0] == tag and all(e[1].get(k) == v for k, v in attrs.items())]

    @property
    def words(self):
        """What a reader sees."""
        return " ".join(text for tag, _, text in self.elements if tag not in ("style", "script"))


@pytest.fixture(scope="module")
def wrong_model(tmp_path_factory):
    return judge(write_tiny(tmp_path_factory.mktemp("golden") / "tiny"), py("flipped", "some"))


def pixels(source):
    """Rows of (red, green, blue, alpha) of a PNG in a data URI, read as the format says."""
    data = b64decode(source.removeprefix("data:image/png;base64,"))
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, {}
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        name, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        assert struct.unpack(">I", data[at + 8 + size : at + 12 + size])[0] == zlib.crc32(name + content)
        chunks[name], at = content, at + 12 + size
    width, height, depth, kind = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, 1 + 4 * width)
    assert (depth, kind) == (8, 6) and not rows[:, 0].any() and b"IEND" in chunks
    return rows[:, 1:].reshape(height, width, 4)


def check_self_contained(text):
    """No foreign byte is asked for, no foreign line runs, no character commands."""
    found = Page(text)
    for _, attrs, _ in found.elements:
        assert not any(name.startswith("on") for name in attrs)
        assert attrs.get("src", "data:image/png;").startswith("data:image/png;")
        assert attrs.get("href", "#").startswith("#")
        assert not re.search(r"url\(|@import|https?:", " ".join(str(value) for value in attrs.values()))
    assert "url(" not in text and "@import" not in text and not re.search("https?://", text)
    ((_, _, script),) = found.all("script")
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = found.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy[1]["content"].startswith("default-src 'none'; img-src data:;")
    assert f"script-src 'sha256-{digest}'" in policy[1]["content"]
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e\ud800]", text)
    return found


def test_is_a_page_complete_in_itself(rescale, wrong_model):
    reports = [judge(rescale, py("right", "half_away")), judge(rescale, py("broken", "killed_once")), wrong_model]
    for report in reports:
        check_self_contained(page(report.receipt()))
    check_self_contained(page(Reports(reports).receipt()))


def test_does_a_page_say_what_was_found(rescale):
    report = judge(rescale, py("right", "half_away"))
    found = check_self_contained(page(report.receipt()))
    assert found.all("title")[0][2] == f"differs: {report.dut}"
    assert "exit code 1" in found.words and "rule half_away explains 100.000 %" in found.words
    assert "intref step rescale --op rescale-0001 --at 1" in found.words
    assert json.loads(report.json())["self"] in found.words and report.receipt()["machine"]["numpy"] in found.words
    assert len(found.all("img")) == 1 and len(found.all("article")) == 1
    assert page(report.receipt()) == page(json.loads(report.json()))


def test_is_nothing_drawn_where_nothing_differs(rescale):
    found = check_self_contained(page(judge(rescale, py("right", "ops")).receipt()))
    assert not found.all("img") and not found.all("svg") and found.all("title")[0][2].startswith("equal")


def test_does_the_chart_mark_where_a_model_goes_wrong(wrong_model):
    found = check_self_contained(page(wrong_model.receipt()))
    isolated, cumulative = (
        [c for c in wrong_model.cases if c.mode == mode and c.verdict == "differs"]
        for mode in ("isolated", "cumulative")
    )
    titles = [text for tag, _, text in found.elements if tag == "title"]
    assert sum("isolated:" in text for text in titles) == len(isolated) > 0
    assert sum("cumulative:" in text for text in titles) == len(cumulative) > 0
    assert f"first difference: {wrong_model.first_divergence().id}" in found.words
    flips = wrong_model.flips["pooled"]
    assert "What it does to the answer" in found.words and f"{flips['differing']:,}" in found.words


def test_is_the_map_the_mismatches(rescale):
    golden = np.zeros((5, 40, 33), np.int16)
    dut = golden.copy()
    dut[2:, ::3, 7], dut[0, 0, 0] = 1, -4
    found = picture(dut, golden, None, {})
    drawn = pixels(mismatch_map(found)["src"])
    high, wide = found["cell"]
    sheet = (dut != golden).reshape(200, 33)
    padded = np.zeros((drawn.shape[0] * high, drawn.shape[1] * wide), bool)
    padded[:200, :33] = sheet
    shares = padded.reshape(drawn.shape[0], high, drawn.shape[1], wide).sum((1, 3))
    assert np.array_equal(drawn[..., 3] > 0, shares > 0) and (high, wide) == (4, 1)
    fuller = np.argsort(shares[shares > 0], kind="stable")
    assert (np.diff(drawn[..., 3][shares > 0].astype(int)[fuller]) >= 0).all()


def test_are_the_bars_the_counts():
    drawn = histogram([["-3", "-3", 5], ["1", "1", 10], ["8", "15", 1]])
    heights = [bar["height"] for bar in drawn["bars"]]
    assert heights[1] == pytest.approx(2 * heights[0]) and heights[2] == pytest.approx(heights[1] / 10)
    assert [bar["label"] for bar in drawn["bars"]] == ["-3", "1", "2^3"] and drawn["binned"]
    assert [bar["title"] for bar in drawn["bars"]] == ["d = -3: 5", "d = 1: 10", "8 <= d <= 15: 1"]
    wide = histogram([[str(d), str(d), 1] for d in range(-33, 33)])
    assert sum(bool(bar["label"]) for bar in wide["bars"]) <= 8
    assert all(0 <= bar["x"] and bar["x"] + bar["width"] <= wide["width"] for bar in wide["bars"])


def hostile_report():
    cells = picture(np.array([[1, 2]]), np.array([[1, 3]]), None, {})
    texts = {key: HOSTILE for key in ("id", "op", "detail", "kind", "port", "replay")}
    case = Case(**texts, mode=HOSTILE, verdict="differs", compared=2, differing=1, rules=(HOSTILE,), picture=cells)
    case = replace(case, lines=(HOSTILE, HOSTILE), first=(0, 1), dut=2, golden=3)
    node = replace(case, mode="isolated", picture={})
    nodes = (node, replace(node, id=f"{HOSTILE}2"), replace(node, mode="cumulative"))
    about = {"name": HOSTILE, "machine": {"cpu": HOSTILE, "features": [HOSTILE]}, "profile": HOSTILE, "model": HOSTILE}
    about["vectors"] = {"cases": HOSTILE, "mutants": {"killed": 1, "total": 2}, "faults": HOSTILE}
    flips = {HOSTILE: {"rows": 1, "flipped": 1, "differing": 1, HOSTILE: HOSTILE}}
    lines = {"lines": [HOSTILE], "sentence": HOSTILE, "op": HOSTILE, "stage": HOSTILE, "known": True}
    explained = ({**lines, "differing_cases": 1, "ties": {HOSTILE: {"wrong": 1, "of": 2}, "x": HOSTILE}},)
    notes = (HOSTILE,)
    return Report(HOSTILE, HOSTILE, (case, *nodes), about, flips, notes, (), notes, explained)


def test_are_hostile_words_only_words():
    report = hostile_report()
    coverage = {"ops": {HOSTILE: {"bins": {HOSTILE: 0, "x": 1}, "unreachable": {HOSTILE: HOSTILE}}}}
    for receipt in (report.receipt(), Reports([report, report]).receipt()):
        found = check_self_contained(page(receipt, coverage))
        assert "<script>alert(1)</script>" in found.words and "{{ 7 * 7 }}" in found.words
        assert "alert(2)" not in "".join(str(attrs) for tag, attrs, _ in found.elements if tag == "img")
    check_self_contained(coverage_page(coverage))


def test_does_the_page_of_many_cases_stay_small():
    drawn = picture(np.ones((64, 64), np.int8), np.zeros((64, 64), np.int8), None, {})
    row = {"op": "clamp", "mode": "op", "verdict": "differs", "compared": 8, "differing": 1, "lines": ("it differs",)}
    cases = tuple(Case(f"c{i}", **row, picture=drawn if i < 12 else {}) for i in range(10_000))
    start = time.process_time()
    text = page(Report("d", "p", cases).receipt())
    assert time.process_time() - start < 8 and len(text) < 1_000_000
    assert "12 of 10,000 differing cases are drawn" in text and "9,700 more cases are in the receipt" in text
    assert len(page(Reports([Report("d", f"p{i}", cases[:300]) for i in range(10)]).receipt())) < 2_000_000


def test_are_many_nodes_named_by_group():
    row = {"op": "clamp", "verdict": "differs", "compared": 8, "differing": 1, "lines": ("it differs",)}
    cases = [Case(f"L{i // 20}.n{i}", mode=mode, **row) for mode in ("isolated", "cumulative") for i in range(400)]
    found = check_self_contained(page(Report("d", "p", tuple(cases)).receipt()))
    labels = [text for tag, _, text in found.elements if tag == "text"]
    assert {f"L{i}" for i in range(20)} <= set(labels) and "L0.n0" not in labels


COVERAGE = {
    "ops": {
        "rescale": {"bins": {"tie + even": 3, "tie - odd": 0, "clip low": 1}, "unreachable": {"shift 95": "over 94"}},
        "clamp": {"bins": {"low": 2}, "unreachable": {}},
    }
}


def test_does_a_coverage_page_name_what_is_missing():
    found = check_self_contained(coverage_page(COVERAGE))
    assert found.all("title")[0][2] == "Coverage: 3 of 4 bins"
    assert "tie - odd" in found.words and "over 94" in found.words and "66.6 %" in found.words
    assert len(found.all("div", **{"class": "bar full"})) == 1
    report = Report("d", "p", (Case("a", "clamp", "op", "equal", compared=1),))
    assert "Arithmetic coverage" in check_self_contained(page(report.receipt(), COVERAGE)).words


@pytest.mark.parametrize("wrong", [{}, {"ops": 3}, {"ops": {"x": 3}}, {"ops": {"x": {"bins": {"a": -1}}}}])
def test_is_what_is_no_coverage_refused(wrong):
    with pytest.raises(FormatError, match=r"^coverage: [^\n]*$"):
        coverage_page(wrong)


def test_do_the_commands_write_pages(rescale, tmp_path, call):
    dut = ("--dut", py("right", "half_away"))
    assert call("verify", rescale, *dut, "--html", tmp_path / "a.html", "--report", tmp_path / "r.json").code == 1
    assert call("report", tmp_path / "r.json", "--html", tmp_path / "b.html").code == 0
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    check_self_contained((tmp_path / "a.html").read_text("utf-8"))
    (tmp_path / "c.json").write_text(json.dumps(COVERAGE))
    words = ("report", tmp_path / "r.json", "--html", tmp_path / "c.html", "--coverage", tmp_path / "c.json")
    assert call(*words).code == 0 and "tie - odd" in (tmp_path / "c.html").read_text("utf-8")
    assert call("verify", rescale, "--html", tmp_path / "d.html").code == 2  # nothing is judged without a device
    assert call("report", tmp_path / "r.json", "--coverage", tmp_path / "none.json").code == 2


def test_is_one_line_said_where_pages_cannot_be_made(rescale, tmp_path, call, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    result = call("verify", rescale, "--dut", "py:no.such:device", "--html", tmp_path / "a.html")
    assert result.code == 2 and result.err == "intref: error: HTML needs jinja2: pip install 'intref[report]'\n"


def test_is_a_suite_drawn_in_no_time():
    paths = [suite_path() / "ops" / op for op in ("clamp", "rescale_token", "rescale_token_residual", "transpose")]
    reports = Reports([judge(path, "py:intref.demo.device:wrong") for path in paths])
    start = time.process_time()
    found = check_self_contained(page(reports.receipt()))
    assert time.process_time() - start < 3
    assert "suite:rescale_token" in found.words and len(found.all("section")) == 2
    assert len(found.all("details", **{"class": "package"})) == 2


def test_is_the_strength_of_the_vectors_drawn():
    row = {
        "cases": 7,
        "mutants": {"killed": 3, "total": 4},
        "faults": {"killed": 9, "total": 9},
        "coverage": {"hit": 1},
    }
    case = Case("a", "clamp", "op", "equal", compared=1)
    reports = [Report("d", f"p{i}", (case,), {"vectors": vectors}) for i, vectors in enumerate((row, None, {"x": 1}))]
    found = check_self_contained(page(Reports(reports).receipt()))
    assert "How strong these vectors are" in found.words and "3 of 4" in found.words and "9 of 9" in found.words
    assert len(found.all("div", role="img")) == 2
