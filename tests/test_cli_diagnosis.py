"""explain, minimize and identify as commands: what is printed, exit codes, bad input in one line."""

import json

import numpy as np
import pytest

from intref.cli.main import main
from intref.golden import read_golden
from intref.profiles import load_profile
from verify_packages import DEVICES, py

AWAY = py("right", "half_away")


@pytest.fixture
def ran(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*argv):
        code = main([str(a) for a in argv])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_does_explain_state_the_answer_of_the_op_first(ran, rescale):
    code, out, _ = ran("explain", rescale, "--dut", AWAY)
    lines = out.splitlines()
    assert code == 1
    assert lines[1] == ("rescale: 1 of 3 cases differ: rule half_away explains 100.000 % of 42 outputs of all cases")
    assert "stage: round" in lines[2] and "ties < 0 above an even integer" in lines[3]


def test_is_explain_the_same_from_recorded_outputs(ran, rescale, tmp_path):
    answers = {}
    for one in read_golden(rescale).cases:
        x = one.inputs["x"].astype(np.int64)
        y = np.sign(x) * ((np.abs(x) + 2) >> 2)  # ties away from zero, of x / 4
        answers[f"{one.id}/y"] = np.clip(y, -128, 127).astype(np.int8)
    np.savez(tmp_path / "answers.npz", **answers)
    code, out, _ = ran("explain", rescale, "--outputs", "answers.npz", "--json")
    (found,) = json.loads(out)["ops"]
    assert code == 1 and found["findings"] == [{"where": "", "rules": ["rule half_away"], "also": []}]
    assert (found["known"], found["stage"], found["outputs"]) == (True, "round", 42)


def test_does_explain_say_no_known_rule(ran, rescale):
    code, out, _ = ran("explain", rescale, "--dut", py("right", "off_catalogue"))
    assert code == 1 and "no known rule reproduces all 42 outputs" in out and "100.000" not in out


def test_does_explain_of_a_right_device_say_that_there_is_nothing(ran, rescale):
    code, out, _ = ran("explain", rescale, "--dut", py("right", "ops"))
    assert code == 0 and out.splitlines()[1] == "nothing to explain: equal"
    assert ran("explain", rescale, "--dut", py("broken", "none"))[0] == 3


def test_does_explain_say_of_a_device_that_fails_how(ran, rescale):
    code, out, _ = ran("explain", rescale, "--dut", py("broken", "sleeps"), "--timeout", "0.2")
    assert code == 3 and "without an answer: 3 hung of 3 cases; first rescale-" in out
    code, out, _ = ran("explain", rescale, "--dut", py("broken", "killed_once"), "--json")
    assert code == 3 and json.loads(out)["unanswered"] == {"crashed": 1}


def test_does_explain_a_model_by_its_ops(ran, tiny):
    code, out, _ = ran("explain", tiny, "--dut", py("broken", "plus_one"), "--op", "linear")
    assert code == 1 and "linear: 1 of 1 cases differ: no known rule" in out and "matmul: " not in out
    assert "stage: accumulate (every output is +1 off)" in out and "at.linear (profile by-hand, op linear)" in out


def test_are_explain_s_arguments_checked(ran, rescale):
    for argv in (
        [],
        ["--dut", AWAY, "--outputs", "x.npz"],
        ["--dut", AWAY, "--op", "nothing"],
        ["--outputs", "no.npz"],
    ):
        code, out, err = ran("explain", rescale, *argv)
        assert code == 2 and not out and len(err.splitlines()) == 1


def test_does_minimize_write_a_case_that_verify_replays(ran, rescale):
    code, out, _ = ran("minimize", rescale, "--dut", AWAY, "-o", "small")
    assert code == 1 and out.startswith("smallest failing case: 1 element, x = ")
    assert "replay: intref verify small --dut" in out
    assert ran("verify", "small", "--dut", AWAY)[0] == 1
    assert ran("verify", "small", "--dut", py("right", "ops"))[0] == 0


def test_does_minimize_of_a_right_device_write_nothing(ran, rescale, tmp_path):
    code, out, _ = ran("minimize", rescale, "--dut", py("right", "ops"), "-o", "small", "--json")
    assert code == 0 and json.loads(out) == {"package": None} and not (tmp_path / "small").exists()


def test_is_minimize_s_json_whole(ran, rescale):
    code, out, _ = ran("minimize", rescale, "--dut", AWAY, "-o", "small", "--calls", "50", "--json")
    found = json.loads(out)
    assert code == 1 and found["elements"] == 1 and found["calls"] <= 50 and found["rules"] == ["rule half_away"]


def test_are_minimize_s_arguments_checked(ran, rescale):
    for argv in (["--op", "linear", "-o", "o"], ["-o", "no/such/o"], ["--case", "x", "-o", "o"], []):
        code, out, err = ran("minimize", rescale, "--dut", AWAY, *argv)
        assert code == 2 and not out and len(err.splitlines()) == 1


def test_does_identify_write_a_profile_that_loads(ran, tmp_path):
    code, out, _ = ran("identify", py("right", "half_away"), "--op", "add_bias", "--op", "clamp", "-o", "chip.toml")
    assert code == 0 and "add_bias: as the reference" in out and "profile: chip.toml, from " in out
    assert load_profile(tmp_path / "chip.toml").name == "chip"


def test_does_identify_name_a_planted_bug(ran):
    code, out, _ = ran("identify", f"py:{DEVICES / 'planted.py'}:table_off_by_one", "--op", "table", "--json")
    found = json.loads(out)
    assert code == 0 and found["different"] == ["table"]
    assert found["ops"][0]["found"][0]["rules"] == ["lookup: index one too low, around the ends"]
    code, out, _ = ran("identify", f"py:{DEVICES / 'planted.py'}:linear_burnt", "--op", "linear")
    assert code == 1 and "no known rule" in out


def test_does_identify_of_a_device_without_ops_say_so(ran):
    code, out, _ = ran("identify", py("broken", "none"), "--op", "linear", "--op", "clamp")
    assert code == 3 and out == "not supported: linear, clamp\n"


def test_does_identify_write_no_profile_of_a_device_that_fails(ran, tmp_path):
    code, out, _ = ran("identify", py("broken", "killed"), "--op", "clamp", "-o", "chip.toml")
    assert code == 3 and not (tmp_path / "chip.toml").exists()
    assert out.splitlines()[1:] == ["profile: chip.toml is not written: the device gave no usable answer"]


def test_are_identify_s_arguments_checked(ran, rescale):
    for argv in (
        ["file:answers.npz"],
        [AWAY, "--op", "convolution"],
        [AWAY, "-o", "chip.json"],
        [AWAY, "-o", "no/chip.toml"],
        [AWAY, "--base", "nothing"],
    ):
        code, out, err = ran("identify", *argv)
        assert code == 2 and not out and len(err.splitlines()) == 1
