"""A unit that is built for a part of an op: what is said of the rest, what is required, what its receipt names."""

import json

import pytest

import intref
from intref.cli.main import main
from intref.devices import Device, open_device
from intref.golden import read_golden, suite_path
from intref.identify import identify
from intref.report.reports import read_reports
from intref.rtl.description import read_unit
from intref.verify import judge
from rtl_units import CLAMP, DEMO, changed, family, needs_icarus, package

REQUANTIZER = DEMO / "requantizer.toml"


class Half(Device):
    """Answers as the reference does where the last axis is short, and says why not elsewhere."""

    def __init__(self, longest):
        self.longest = longest

    def refusal(self, request):
        size = (1, *request.inputs["x"].shape)[-1]
        return f"axis C is 1..{self.longest}, not {size}" if size > self.longest else ""

    def call(self, request):
        return None if self.refusal(request) else intref.call(request.op, request.inputs, request.attrs)


def test_is_what_a_device_refuses_required_unless_it_is_spared():
    for supported_only, verdict, code in ((False, "unsupported", 3), (True, "equal", 0)):
        report = judge(package("clamp"), Half(7), supported_only=supported_only)
        assert (report.verdict, report.exit_code) == (verdict, code)
        refused = [c for c in report.cases if c.verdict == "unsupported"]
        assert refused and {c.required for c in refused} == {not supported_only}
        assert all(c.detail.startswith("axis C is 1..7, not ") for c in refused)
        assert report.refusals == {"axis C is 1..7": len(refused)}
        assert f"  unsupported: {len(refused)} cases: axis C is 1..7\n" in report.text()
        assert (", of what the device supports (exit code 0)" in report.text()) == supported_only
        assert report.receipt()["refusals"] == {"axis C is 1..7": len(refused)}
        assert report.junit().count("<skipped") == supported_only * len(refused)


@pytest.mark.parametrize("require", [None, "clamp"])
def test_is_a_device_that_supports_nothing_a_pass_where_refusals_are_spared(require):
    report = judge(package("clamp"), Half(0), require=require, supported_only=True)
    assert (report.verdict, report.exit_code) == ("not_run", 3)


def test_is_a_difference_spared():
    class Wrong(Half):
        def call(self, request):
            made = super().call(request)
            return None if made is None else {"y": made["y"] + 1}

    assert judge(package("clamp"), Wrong(7), supported_only=True).exit_code == 1


def test_are_the_values_that_were_refused_one_reason():
    report = judge(package("clamp"), Half(1), supported_only=True)
    details = {c.detail for c in report.cases if c.verdict == "unsupported"}
    assert len(details) > 2 and [*report.refusals] == ["axis C is 1..1"]


@needs_icarus
def test_must_something_of_every_package_have_run(tmp_path, capsys):
    words = ["--dut", f"icarus:{CLAMP}", "--supported-only"]
    assert main(["verify", "suite:clamp", *words]) == 0
    assert "verdict: equal, of what the device supports (exit code 0)" in capsys.readouterr().out
    assert main(["verify", "suite:clamp", "suite:table", *words, "--report", str(tmp_path / "r.json")]) == 3
    said = capsys.readouterr().out
    assert "unsupported: " in said and "the unit computes clamp" in said
    assert said.endswith("overall: 2 packages: 1 equal, 1 not run (exit code 3)\n")
    assert read_reports(tmp_path / "r.json").exit_code == 3
    assert main(["verify", "suite:clamp", "suite:table", *words, "--require", "clamp"]) == 0
    assert main(["verify", "suite:clamp", "--dut", f"icarus:{CLAMP}"]) == 3


@needs_icarus
def test_does_a_unit_pass_the_nodes_of_a_model_that_it_computes():
    model = suite_path() / "models" / "sentiment" / "ibert"
    report = judge(model, f"icarus:{DEMO / 'softmax.toml'}", supported_only=True)
    assert report.exit_code == 0
    assert {*report.refusals} == {"the unit computes softmax_ibert"}
    assert {c.op for c in report.cases if c.required} == {"softmax_ibert"}


@needs_icarus
def test_does_the_receipt_name_the_sources(tmp_path):
    def sha(path):
        with open_device(f"icarus:{path}") as device:
            return device.sha256

    before = sha(changed(tmp_path, "requantizer"))
    assert before == sha(REQUANTIZER)  # by names and content, wherever they lie
    assert before != sha(changed(tmp_path, "requantizer", ("// 1: centre", "// 1: center")))
    assert before != sha(changed(tmp_path, "requantizer", toml=[('op = "rescale"', 'op = "rescale"\npatience = 9')]))
    report = judge(family("rescale"), f"icarus:{REQUANTIZER}", supported_only=True)
    assert json.loads(report.json())["dut_sha256"] == before == read_unit(REQUANTIZER).sha256()


@needs_icarus
def test_does_identify_ask_on_when_the_first_call_is_refused(tmp_path):
    (tmp_path / "clamp.sv").write_text((CLAMP.parent / "clamp.sv").read_text())
    narrow = CLAMP.read_text().replace('"x", width = 12', '"x", width = 12, low = -8')
    (tmp_path / "clamp.toml").write_text(narrow)
    unit, first = read_unit(tmp_path / "clamp.toml"), read_golden(package("clamp")).cases[0]
    assert unit.refusal("clamp", first.inputs, first.attrs).startswith("x takes -8..2047, not -9")
    one = identify(f"icarus:{tmp_path / 'clamp.toml'}", ["clamp"], limit=24).ops[0]
    assert one.found and one.found[0].words[0] == "as the reference"
