"""What a verdict may not hide: patterns that name nothing, failures by their kind, and what a package does not show."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import intref
from intref.devices.protocol import tensor_text
from intref.errors import FormatError, SpecError
from intref.golden import read_golden, suite_path, write_golden
from intref.tensorfile import write_tensors
from intref.verify import Case, Report, judge, node_ids
from tiny_models import tiny_inputs, tiny_model
from verify_packages import COMPILER, DEVICES, compiled, pipe, py

RIGHT = py("right", "ops")


@pytest.mark.parametrize(
    ("require", "text"),
    [
        ("lienar", "require 'lienar' matches no case or op of .*; near it: linear"),
        ("linear,zzz", "require 'zzz' matches no case or op of .*; it has "),
        (["linear", "Linear"], "require 'Linear' matches no case or op"),
        ("", "found an empty one"),
        ("linear,,matmul", "found an empty one"),
        ([], "found an empty one"),
        (" ", "found an empty one"),
    ],
)
def test_is_a_required_pattern_that_means_nothing_refused(tiny, require, text):
    with pytest.raises(SpecError, match=text) as caught:
        judge(tiny, RIGHT, require=require)
    assert "\n" not in str(caught.value)


def test_is_a_bad_pattern_refused_before_the_device_is_started(rescale):
    with pytest.raises(SpecError, match=r"matches no case or op of .*; near it: rescale"):
        judge(rescale, "so:absent.so", require="rescael")


def test_is_an_unmatched_pattern_reported_where_that_is_allowed(rescale):
    report = judge(rescale, RIGHT, require="linear,rescale-0001", lenient=True)
    assert (report.unmatched, report.verdict) == (("linear",), "equal")
    assert json.loads(report.json())["unmatched"] == ["linear"]
    nothing = judge(rescale, RIGHT, require="linear", lenient=True)
    assert (nothing.unmatched, nothing.verdict, nothing.exit_code) == (("linear",), "not_run", 3)


def test_is_nothing_required_not_equal():
    assert Report("d", "p", (Case("a", "clamp", "op", "equal", compared=1, required=False),)).verdict == "not_run"


def test_is_a_required_node_that_no_case_judges_not_a_pass(tiny, tmp_path):
    (tmp_path / "map.toml").write_text('[groups]\nffn = ["at.linear", "at.rescale_token"]\n')
    report = judge(tiny, RIGHT, require="at.linear,at.matmul", map=tmp_path / "map.toml")
    assert (report.verdict, report.exit_code) == ("not_run", 3)
    assert "at.linear" in report.text() and "no such case was judged" in report.text()


@pytest.mark.parametrize("dut", [print, 7, None, lambda op, inputs, attrs: None])
def test_is_a_device_that_is_no_device_one_line(rescale, dut):
    with pytest.raises(SpecError, match=r"dut must be py:module:function, .* or an open Device, not ") as caught:
        judge(rescale, dut)
    assert "\n" not in str(caught.value)


def test_is_what_failed_without_a_crash_not_called_one(rescale):
    report = judge(rescale, py("broken", "nothing"))
    assert (report.verdict, report.exit_code) == ("crashed", 3)
    text = report.text()
    assert "op: 3 cases: 3 malformed;" in text and "verdict: malformed (exit code 3)" in text and "crash" not in text
    assert json.loads(report.json())["kinds"] == {"malformed": 3}
    once = judge(rescale, py("broken", "killed_once")).text()
    assert "3 cases: 2 equal, 1 crashed;" in once and "verdict: crashed" in once
    assert "3 cases: 3 hung;" in judge(rescale, py("broken", "sleeps"), timeout=0.2).text()


def test_is_a_silent_program_asked_about_flushing(rescale):
    report = judge(rescale, pipe("sleeps"), timeout=0.3)
    assert {c.detail for c in report.cases} == {"no answer within 0.3 s; does it flush after every line?"}


def test_is_a_memory_limit_named_where_it_may_be_the_reason(rescale):
    report = judge(rescale, py("broken", "too_huge"), memory=2 << 30)
    assert "MemoryError" in report.text() and "under a limit of 2048 MB" in report.text()
    assert "SIGKILL) under a limit of 2048 MB" in judge(rescale, py("broken", "killed"), memory=2 << 30).text()
    assert "limit" not in judge(rescale, py("broken", "killed")).text()


@pytest.mark.skipif(COMPILER is None, reason="no C compiler")
def test_is_a_memory_limit_named_for_a_library(rescale, tmp_path):
    library = compiled(DEVICES / "broken.c", tmp_path / "broken.so", HOW="CRASHES")
    assert "under a limit of 2048 MB" in judge(rescale, f"so:{library}", memory=2 << 30).text()


def spoilt(tensors):
    """One tensor of a wrong shape, one of a wrong dtype."""
    bad = {"h": tensors["h"][:1], "clipped": tensors["clipped"].astype(np.int32)}
    assert bad["h"].shape != tensors["h"].shape and tensors["clipped"].dtype != np.int32
    return {**tensors, **bad}


@pytest.mark.parametrize("suffix", ["npz", "safetensors", "npy"])
def test_does_a_bad_tensor_of_a_recording_cost_only_itself(tiny, tmp_path, suffix):
    tensors = spoilt(read_golden(tiny).tensors)
    place = tmp_path / f"run.{suffix}"
    if suffix == "npz":
        np.savez(place, **tensors)
    elif suffix == "safetensors":
        write_tensors(place, tensors, {})
    else:
        place.mkdir()
        for name, tensor in tensors.items():
            np.save(place / f"{name}.npy", tensor)
        (place / "q.npy").write_bytes(b"no array")
    report = judge(tiny, f"file:{place}")
    bad = {"h", "clipped", *(["q"] if suffix == "npy" else [])}
    assert {c.id for c in report.cases if c.kind == "malformed"} == bad
    others = [c for c in report.cases if c.kind != "malformed"]
    assert {c.verdict for c in others} == {"equal"} and len(others) >= len(tiny_model().nodes) - len(bad)
    assert (report.verdict, report.exit_code) == ("crashed", 3)


def test_does_a_bad_line_of_a_recording_cost_only_its_case(rescale, tmp_path):
    package = read_golden(rescale)
    lines = ["intref-pipe 1", *(f"{c.id} {tensor_text('y', c.outputs['y'])}" for c in package.cases)]
    lines[2] = lines[2][:-1]
    (tmp_path / "answers").write_text("\n".join(lines))
    report = judge(rescale, f"file:{tmp_path / 'answers'}")
    assert [c.verdict for c in report.cases] == ["equal", "crashed", "equal"]
    assert report.cases[1].kind == "malformed" and "hexadecimal" in report.cases[1].detail


@pytest.mark.parametrize("content", [b"{}", b"\xff\xfe\x00"])
def test_does_a_recording_of_an_unknown_kind_hear_what_is_known(rescale, tmp_path, content):
    (tmp_path / "bad.st").write_bytes(content)
    with pytest.raises(FormatError, match=r"bad\.st: .*\.npy, a \.npz, a \.safetensors, or a file of answer lines"):
        judge(rescale, f"file:{tmp_path / 'bad.st'}")


def with_bias(path):
    """The tiny model's package with a bias of 3 in its linear."""
    model = tiny_model()
    wide = {name: replace(model.tensors[name], bits=32, low=None, high=None) for name in ("none", "L0.acc")}
    constants = {**model.constants, "none": np.full_like(model.constants["none"], 3)}
    changed = replace(model, tensors={**model.tensors, **wide}, constants=constants)
    return write_golden(changed, tiny_inputs(), path, "all", backend="reference")


def test_does_a_report_say_what_the_package_does_not_show(tiny, tmp_path):
    report = judge(tiny, RIGHT)
    assert "bias is 0 everywhere in linear" in report.blind
    assert json.loads(report.json())["blind"] == list(report.blind)
    assert report.text().count("note: not shown by this package: ") == 1 and "judge golden/ops too" in report.text()
    assert not any(words.startswith("bias") for words in judge(with_bias(tmp_path / "other"), RIGHT).blind)


def test_is_a_package_blind_to_a_rounding_just_where_a_device_of_another_is_equal(tiny):
    """The scores of the tiny model, clipped where they are large, meet no tie; the sentiment model's sums do."""
    assert (read_golden(tiny).tensors["L0.scores"] % 64 != 32).all()
    (untied,) = [words for words in judge(tiny, RIGHT).blind if words.startswith("no exact tie is rounded in")]
    assert "rescale" in untied.split(" in ")[1].split(", ")
    package, device = suite_path() / "models/sentiment/w8a8-token", Path(intref.__file__).parent / "demo" / "device.py"
    right, wrong = (judge(package, f"py:{device}:{name}", mode="isolated") for name in ("right", "wrong"))
    seen = {case.op for case in wrong.cases if case.verdict == "differs"}
    named = {
        op for words in right.blind if "tie" in words.split(" in ")[0] for op in words.split(" in ")[1].split(", ")
    }
    assert "rescale_token" in seen and named and not seen & named


def test_are_masks_and_clips_that_nothing_reaches_named(tiny):
    package = suite_path() / "models/sentiment/w8a8-token"
    device = Path(intref.__file__).parent / "demo" / "device.py"
    blind = judge(package, f"py:{device}:right", mode="isolated").blind
    assert any(words.startswith("no output reaches its clip in add, ") for words in blind)
    assert not any("mask" in words for words in blind)  # this package has a padded row, the tiny one below has none
    assert any(words.startswith("mask is 1 everywhere in") for words in judge(tiny, RIGHT).blind) is bool(
        read_golden(tiny).inputs["attention_mask"].all()
    )


def test_is_nothing_said_of_ops_that_differ_or_of_an_op_package(tiny, rescale):
    wrong = judge(tiny, py("broken", "zeros"))
    assert not any("linear" in words for words in wrong.blind)
    assert judge(rescale, RIGHT).blind == ()


def test_is_a_report_short_when_shown(rescale):
    shown = repr(judge(rescale, RIGHT))
    assert "3 cases, equal" in shown and len(shown) < 300


def test_is_a_required_op_judged_at_every_node_or_not_a_pass(tmp_path):
    """A package of a few tensors cannot show the other nodes of an op that is asked for."""
    model = tiny_model()
    write_golden(model, tiny_inputs(), tmp_path / "few", trace="h,q*")
    whole = judge(tmp_path / "few", RIGHT)
    asked = judge(tmp_path / "few", RIGHT, require="*")
    assert whole.exit_code == 0 and asked.exit_code == 3 and asked.verdict == "not_run"
    assert {case.id for case in asked.cases if case.mode == "required"} == {*node_ids(model)} - {
        c.id for c in whole.cases
    }


def test_is_a_device_that_answers_otherwise_each_time_told(tmp_path, rescale):
    device = tmp_path / "dice.py"
    device.write_text(
        "import intref, itertools\n"
        "ticks = itertools.count()\n"
        "def device(op, inputs, attrs):\n"
        "    made = intref.call(op, inputs, attrs)\n"
        "    return {'y': (made['y'] ^ next(ticks)).astype('int8')}\n"
    )
    report = judge(rescale, f"py:{device}:device")
    told = [case.detail for case in report.cases if case.kind == "malformed"]
    assert told[0].startswith("gave two results for the same call: output 'y' at [") and report.exit_code == 3
