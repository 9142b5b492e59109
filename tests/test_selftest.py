"""Does the self-test count what vectors find, name what survives, and fail devices that must fail?"""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import intref
from intref.cli.scoring import selftest
from intref.devices import Device
from intref.errors import BoundError
from intref.golden import write_op_golden
from intref.ops import OPS
from intref.selftest import check_devices, exhaustive, published, score, score_vocabulary
from intref.selftest.bench import DEVICES, NO_MORE, RIGHT, Planted, telling
from intref.vectors import Case, cases

QUICK = ("clamp", "table", "select_token")


def run(*arguments):
    """(exit code, standard output)."""
    done = CliRunner().invoke(selftest, [*arguments], standalone_mode=False)
    if done.exception:
        raise done.exception
    return done.return_value, done.output


@pytest.mark.parametrize("op", QUICK)
def test_do_all_mutants_and_faults_die(op):
    found = score(op)
    assert found.passed and found.cases == len(cases(op))
    assert found.mutants.killed == found.mutants.total > 5 and found.faults.killed == found.faults.total > 40


def test_does_every_mutant_of_the_vocabulary_die():
    found = score_vocabulary()
    assert found.passed and found.mutants.killed == found.mutants.total > 900, (found.survivors, found.stale)
    assert published()["vocabulary"] == found.json()


def test_do_poor_vectors_score_poorly_and_are_told_what_survives():
    found = score("clamp", [Case("one value inside", {"x": np.array([3], np.int8)}, {"low": -8, "high": 7})])
    assert not found.passed and found.mutants.killed < found.mutants.total
    assert "fault: clip: no low side" in found.survivors
    assert any(what.startswith("mutant: saturate(x, low, high) -> maximum") for what in found.survivors)


def test_do_few_vectors_count_against_every_fault_of_the_directed_ones():
    few, whole = score("clamp", cases("clamp")[2:3]), score("clamp")
    assert few.faults.total == whole.faults.total and few.faults.killed < few.faults.total
    assert "fault: x read as int8 (applies to no case)" in few.survivors
    assert len([what for what in few.survivors if what.startswith("fault: ")]) == few.faults.total - few.faults.killed


def test_is_a_reason_refused_for_what_a_vector_shows(monkeypatch):
    reasons = {"saturate(x, low, high) -> x in return {'y': saturate(x, low, high)}": "of course"}
    monkeypatch.setattr("intref.selftest.scoring.equivalent", lambda op: reasons)
    found = score("clamp")
    assert not found.passed and found.stale[0].startswith("listed as equivalent, but killed")


@pytest.mark.parametrize("op", ["clamp", "softmax_exp2", "quantize_token"])
def test_do_devices_that_are_wrong_on_purpose_fail(op):
    findings = check_devices(op)
    assert [f for f in findings if not f.bites] == []
    assert {*DEVICES} <= {f.device for f in findings} and len(findings) == 14


@pytest.mark.parametrize("op", OPS)
def test_does_every_wrong_device_show_in_every_op(op):
    few = telling(op, cases(op))
    for name in ("always wrong", "does nothing", "echo", "zeros"):
        shown = False
        for case in few:
            right = intref.call(op, case.tensors, case.attrs)
            request = intref.devices.Request("", op, case.tensors, {}, {})
            shown |= any((DEVICES[name](request, right)[k] != y).any() for k, y in right.items())
        assert shown or (name == "echo" and op in NO_MORE), name


def test_is_a_verdict_that_passes_everything_found_out(monkeypatch):
    class Report:
        exit_code = 0

    monkeypatch.setattr("intref.selftest.bench.judge", lambda package, device: Report)
    toothless = {f.device for f in check_devices("clamp") if not f.bites}
    assert toothless == {*DEVICES, "one bit of one case", "a forged answer, judged"} - {RIGHT}


def test_is_a_planted_device_a_device():
    assert isinstance(Planted(DEVICES[RIGHT]), Device)


def test_does_the_command_print_a_table_and_exit_0():
    code, text = run(*QUICK, "--no-devices")
    assert code == 0
    lines = text.splitlines()
    assert lines[0].split() == ["op", "cases", "mutants", "faults", "equivalent", "devices", "seconds"]
    assert [line.split()[0] for line in lines[1:4]] == [*QUICK] and lines[4].startswith("killed ")


def test_does_the_command_name_survivors_of_a_package_and_exit_1(tmp_path):
    write_op_golden("clamp", tmp_path / "few", cases("clamp")[2:3])
    code, text = run("--vectors", str(tmp_path), "--no-devices")
    assert code == 1 and "clamp: survives: " in text
    code, text = run("--vectors", str(tmp_path), "--no-devices", "--json")
    found = json.loads(text)
    assert code == 1 and not found["passed"] and found["ops"]["clamp"]["cases"] == 1
    assert (
        found["ops"]["clamp"]["survivors"] and text == json.dumps(found, sort_keys=True, separators=(",", ":")) + "\n"
    )


def test_are_reasons_printed():
    code, text = run("table", "--no-devices", "--equivalents")
    assert code == 0 and "NumPy counts an index below 0 from the end" in text and "proves it" in text


@pytest.mark.parametrize("arguments", [["softmax"], ["--vectors", "/nonexistent"], ["add", "--vectors", "{}"]])
def test_is_bad_input_one_error(arguments, tmp_path):
    write_op_golden("clamp", tmp_path / "clamp", cases("clamp")[:1])
    with pytest.raises(intref.errors.IntrefError):
        run(*(a.format(tmp_path) for a in arguments))


def test_are_the_published_scores_those_of_the_suite():
    found = published()
    assert found["schema"] == 1 and found["ops"].keys() == OPS.keys()
    for one in (*found["ops"].values(), found["vocabulary"]):
        assert sum(one[k]["total"] - one[k]["killed"] for k in ("mutants", "faults")) == one["open"]


def test_is_what_can_be_tried_in_full_equal_everywhere(monkeypatch):
    assert [len(exhaustive.exhausted(name)) for name in ("table", "quantize_token")] == [4, 5]
    monkeypatch.setattr(exhaustive, "SPACES", {"quantize_token": lambda: [{"x": np.array([[5], [1 << 15]], np.int32)}]})
    assert len(exhaustive.exhausted("quantize_token")) == 5


def test_is_an_argument_that_is_wrong_found_by_trying(monkeypatch):
    reasons = {"table": {"lookup: entry 0 always": "surely"}}
    few = [Case("entry 0", {"x": np.array([-128], np.int8), "entries": np.arange(256, dtype=np.int16)}, {})]
    monkeypatch.setattr("intref.selftest.scoring.FAULTS", reasons)
    monkeypatch.setattr("intref.selftest.scoring.cases", lambda op: few)
    with pytest.raises(BoundError, match="lookup: entry 0 always: listed as equivalent, but it differs"):
        exhaustive.exhausted("table")
