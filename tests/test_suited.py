"""Cases for a device that does a part of an op."""

import numpy as np
import pytest

from intref.cli.main import main
from intref.errors import SpecError
from intref.golden import read_golden
from intref.ops import OPS
from intref.vectors import cases
from intref.vectors.suited import Suit, suited
from intref.verify import judge

PLAIN = {"rounding": ["half_up"], "output": ["int8"], "input_zero_point": [0], "output_zero_point": [0]}
ONE_ROUNDING = """
import intref
def device(op, inputs, attrs):
    if attrs["rounding"] != "half_up" or attrs["output"] != "int8":
        return None
    high = {high}
    return intref.call(op, inputs, {{**attrs, "high": min(attrs["high"], high)}})
"""


@pytest.mark.parametrize("op", ["rescale", "add", "linear", "clamp", "softmax_ibert"])
def test_are_cases_that_suit_already_left_alone(op):
    made = [*suited(op, cases(op), Suit())]
    plain = {case.why: case for case in cases(op)}
    assert len(made) > 0.9 * len(plain)
    for case in made:
        assert all(np.array_equal(t, plain[case.why].tensors[k]) for k, t in case.tensors.items())
        assert case.attrs == OPS[op].complete(plain[case.why].attrs)


def test_is_every_case_what_the_device_takes_and_legal():
    suit = Suit(PLAIN, {"x": "int32"}, {"shift": (0, 31), "multiplier": (0, 32767)})
    made = [*suited("rescale", cases("rescale"), suit)]
    direct = [c for c in cases("rescale") if c.attrs["rounding"] == "half_up" and c.tensors["x"].dtype == np.int32]
    assert len(made) > 3 * len(direct)
    for case in made:
        OPS["rescale"].run(case.tensors, OPS["rescale"].check(case.tensors, case.attrs))
        assert all(case.attrs[name] in values for name, values in PLAIN.items())
        assert case.tensors["x"].dtype == np.int32
        assert 0 <= case.tensors["shift"].min() <= case.tensors["shift"].max() <= 31
        assert 0 <= case.tensors["multiplier"].min() <= case.tensors["multiplier"].max() <= 32767


def test_is_no_call_made_twice():
    made = [*suited("add", cases("add"), Suit({"rounding": ["floor"], "output": ["int8"]}))]
    keys = {
        (*sorted(c.attrs.items()), *((k, t.dtype.name, t.shape, t.tobytes()) for k, t in c.tensors.items()))
        for c in made
    }
    assert len(keys) == len(made)


@pytest.mark.parametrize(
    ("suit", "text"),
    [
        (Suit({"colour": [1]}), "'colour'"),
        (Suit({"rounding": ["up"]}), "'up'"),
        (Suit(dtypes={"x": "float32"}), "float32"),
        (Suit(ranges={"colour": (0, 1)}), "'colour'"),
    ],
)
def test_is_what_the_op_has_not_refused(suit, text):
    with pytest.raises(SpecError, match=text):
        [*suited("rescale", cases("rescale"), suit)]


@pytest.mark.parametrize(("high", "verdict"), [(127, "equal"), (126, "differs")])
def test_does_gen_find_a_bug_in_a_device_with_one_rounding(tmp_path, capsys, high, verdict):
    mine, device = tmp_path / "mine", tmp_path / "one.py"
    device.write_text(ONE_ROUNDING.format(high=high))
    assert main(["gen", "rescale", "--attr", "rounding=half_up", "--attr", "output=int8", "-o", str(mine)]) == 0
    report = judge(mine, f"py:{device}:device")
    assert (report.verdict, len(report.cases)) == (verdict, len(read_golden(mine).cases))
    assert str(len(report.cases)) in capsys.readouterr().out


def test_does_the_report_say_that_most_cases_were_not_asked(tmp_path):
    device = tmp_path / "one.py"
    device.write_text(ONE_ROUNDING.format(high=127))
    from intref.golden import suite_path

    assert "intref gen rescale --attr" in judge(suite_path() / "ops" / "rescale", f"py:{device}:device").text()
