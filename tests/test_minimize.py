"""The smallest failing case: as small as it can be, of the same failure, within its limit, and replayable."""

import numpy as np
import pytest

from intref.devices import Device, DeviceError
from intref.errors import SpecError
from intref.golden import read_golden, suite_path, write_op_golden
from intref.minimize.search import AGAIN, MAX_HANGS, minimize
from intref.ops import OPS
from intref.run import call
from intref.verify import judge
from verify_packages import case, py


class InProcess(Device):
    """Right but for what `spoil(op, tensors, outputs)` does; every call that it is given must keep the contract."""

    def __init__(self, spoil):
        self.spoil, self.asked = spoil, []

    def call(self, request):
        OPS[request.op].check(request.inputs, request.attrs)
        self.asked.append(request)
        made = call(request.op, request.inputs, request.attrs)
        return self.spoil(request.op, request.inputs, made)


def always_wrong(op, tensors, made):
    name = next(iter(made))
    return {**made, name: made[name] ^ 1}


def wrong_where(holds):
    return lambda op, tensors, made: always_wrong(op, tensors, made) if holds(tensors) else made


def fails_where(kind, holds):
    def spoil(op, tensors, made):
        if holds(tensors):
            raise DeviceError(kind, "said so")
        return made

    return spoil


def test_is_a_wrong_tie_rule_one_tie(rescale):
    found = minimize(rescale, py("right", "half_away"))
    tensors = found.trial.tensors
    assert found.elements == 1 and found.failure.rules == {"rule half_away"}
    x, m, s = (int(tensors[p].flat[0]) for p in ("x", "multiplier", "shift"))
    assert (abs(x), m, s) == (1, 1, 1)
    assert found.lines[0].startswith(f"smallest failing case: 1 element, x = {x}, multiplier = 1, shift = 1")
    assert "rule half_away explains it" in found.lines[1]


def test_does_what_is_written_replay(rescale, tmp_path):
    found = minimize(rescale, py("right", "half_away"))
    path = found.write(tmp_path / "small")
    package = read_golden(path)
    assert len(package.cases) == 1 and "rescale-0001" in package.cases[0].why
    report = judge(path, py("right", "half_away"))
    assert report.exit_code == 1 and report.cases[0].compared == 1
    assert judge(path, py("right", "ops")).exit_code == 0


def test_is_a_right_device_nothing_to_minimize(rescale):
    assert minimize(rescale, InProcess(lambda op, tensors, made: made)) is None


@pytest.mark.parametrize("op", ["linear", "rescale_token", "mean_pool", "linear_int4"])
def test_is_a_device_that_is_always_wrong_shown_on_little(op):
    found = minimize(suite_path() / "ops" / op, InProcess(always_wrong))
    assert found.elements <= 2 and found.trial.elements <= 12 and found.finished
    assert all(set(np.unique(t).tolist()) <= {0, 1} for t in found.trial.tensors.values())


def test_is_the_element_that_matters_kept():
    """One weight of all: its value, and nothing else."""
    device = InProcess(wrong_where(lambda t: (t["weight"] == 100).any()))
    found = minimize(suite_path() / "ops" / "linear", device)
    assert found.trial.tensors["weight"].tolist() == [[100]] and found.trial.tensors["x"].tolist() in ([0], [[0]])


def test_is_a_length_that_matters_kept():
    device = InProcess(wrong_where(lambda t: t["weight"].shape[-1] >= 3))
    found = minimize(suite_path() / "ops" / "linear", device)
    assert found.trial.tensors["weight"].shape == (1, 3)


def test_does_an_attribute_that_matters_stay(tmp_path):
    path = write_op_golden("rescale", tmp_path / "p", [case([9, 1, -7], output_zero_point=5, input_zero_point=3)])

    def spoil(request):
        made = call("rescale", request.inputs, request.attrs)
        return {"y": made["y"] ^ 4} if request.attrs["output_zero_point"] > 2 else made

    device = InProcess(None)
    device.call = spoil
    found = minimize(path, device)
    assert found.trial.attrs["output_zero_point"] == 3 and found.trial.attrs["input_zero_point"] == 0


@pytest.mark.parametrize("kind", ["crashed", "hung", "flooded", "malformed"])
def test_is_how_a_device_fails_kept(rescale, kind):
    device = InProcess(fails_where(kind, lambda t: t["x"].size > 3))
    found = minimize(rescale, device)
    assert found.failure.kind == kind and found.trial.tensors["x"].size == 4
    assert f"the device {kind}: said so" == found.lines[1]
    assert found.calls <= (MAX_HANGS if kind == "hung" else found.limit)


def test_is_a_crash_not_taken_for_a_difference(rescale):
    """Wrong on two elements or more, dead on one: the smallest difference has two."""

    def spoil(op, tensors, made):
        if tensors["x"].size == 1:
            raise DeviceError("crashed", "bus error")
        return always_wrong(op, tensors, made)

    found = minimize(rescale, InProcess(spoil))
    assert found.failure.kind == "differs" and found.trial.tensors["x"].size == 2


@pytest.mark.parametrize("limit", [1, 7])
def test_is_the_limit_kept_and_told(rescale, limit):
    device = InProcess(wrong_where(lambda t: t["x"].size > 2))
    found = minimize(rescale, device, limit=limit)
    assert len(device.asked) <= 3 + limit + AGAIN and found.calls <= limit
    assert not found.finished and "the limit was reached" in found.lines[2]


def test_is_a_failure_that_does_not_repeat_told(rescale, tmp_path):
    """Wrong in every third call."""
    device = InProcess(None)
    device.spoil = lambda op, tensors, made: always_wrong(op, tensors, made) if len(device.asked) % 3 == 0 else made
    found = minimize(rescale, device)
    assert not found.repeats and found.lines[-1].startswith("not repeatable") and found.plain()["repeatable"] is False
    assert read_golden(found.write(tmp_path / "once")).cases[0].why.endswith(", not repeatable")
    assert minimize(rescale, InProcess(always_wrong)).repeats


def test_is_the_same_case_found_again(rescale):
    first, second = (minimize(rescale, InProcess(wrong_where(lambda t: (t["x"] < -5).any()))) for _ in range(2))
    assert first.trial.key == second.trial.key and first.calls == second.calls
    assert first.trial.tensors["x"].tolist() in ([-6], [-8])


def test_is_the_first_wrong_node_of_a_model_made_a_case(tiny, tmp_path):
    def spoil(op, tensors, made):
        return always_wrong(op, tensors, made) if op in ("linear", "matmul") else made

    found = minimize(tiny, InProcess(spoil))
    assert found.op in ("linear", "matmul") and found.elements == 1
    nodes = [c for c in judge(tiny, InProcess(spoil), mode="isolated").cases if c.verdict == "differs"]
    assert found.origin == nodes[0].id
    named = minimize(tiny, InProcess(spoil), op=nodes[-1].op)
    assert named.op == nodes[-1].op
    assert read_golden(named.write(tmp_path / "node")).kind == "op"


def test_is_a_case_that_is_not_there_refused(rescale):
    with pytest.raises(SpecError, match="there is no case or op 'rescale-0009'"):
        minimize(rescale, InProcess(always_wrong), case="rescale-0009")


def test_is_a_named_case_the_one(rescale):
    found = minimize(rescale, InProcess(always_wrong), case="rescale-0002")
    assert found.origin == "rescale-0002" and found.before == 8
