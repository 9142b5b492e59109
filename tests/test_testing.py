"""What a kernel's author uses: right kernels pass, wrong ones fail with the reason in the message."""

import sys

import numpy as np
import pytest

import intref.testing
from intref.errors import SpecError
from intref.ops import OPS
from intref.testing import BitMismatch, assert_bitexact, assert_call, assert_op, corner_cases
from intref.vectors import cases

EVEN = {"rounding": "half_even", "output": "int8"}


def kernel(op, change=lambda made, attrs: made):
    def run(**arguments):
        tensors = {name: arguments.pop(name) for name in OPS[op].inputs}
        return change(OPS[op].run(tensors, arguments), arguments)

    return run


def half_away(**arguments):
    tensors = {name: arguments.pop(name) for name in OPS["rescale"].inputs}
    return OPS["rescale"].run(tensors, {**arguments, "rounding": "half_away"})["y"]


def counted(function):
    def counting(**arguments):
        counting.calls += 1
        return function(**arguments)

    counting.calls = 0
    return counting


def pair(x, multiplier, shift):
    return {"x": np.array(x, np.int32), "multiplier": np.array([multiplier]), "shift": np.array([shift], np.int8)} | {
        "multiplier": np.array([multiplier], np.int32)
    }


@pytest.mark.parametrize("op", ["clamp", "table", "quantize_token", "mean_pool"])
def test_does_a_right_kernel_pass(op):
    assert_op(op, kernel(op))


def test_may_an_op_with_one_output_return_it_alone():
    assert_op("table", lambda **arguments: kernel("table")(**arguments)["y"])


def test_does_a_failure_say_what_is_needed_to_find_the_bug():
    with pytest.raises(BitMismatch) as caught:
        assert_call("rescale", half_away, pair([64, -192, 64, 7], -(1 << 30), 37), EVEN, "of mine")
    lines = str(caught.value).splitlines()
    assert lines[0] == "rescale (of mine): 2 / 4 differ (50.00 %), all |d| = 1"
    assert lines[1].startswith("  first at [0]: dut -1 (0xff) golden 0 (0x00) xor 0xff   acc 64  scaled -0.500000")
    assert (
        "all on exact ties" in lines[2] and "rule half_away or rule gemmlowp_double explains 100.000 % of 4" in lines[2]
    )
    assert lines[3].startswith("  smallest failing case: 1 element, x = 1, multiplier = ")
    smallest = caught.value.smallest
    assert smallest.tensors["x"].size == 1 and smallest.attrs == caught.value.case.attrs
    with pytest.raises(BitMismatch):
        assert_call("rescale", half_away, smallest.tensors, smallest.attrs)


def test_is_a_failing_case_as_small_as_it_can_be_left_as_it_is():
    with pytest.raises(BitMismatch) as caught:
        assert_call("rescale", half_away, pair([1], 1, 1), EVEN)
    assert caught.value.smallest is None and "smallest" not in str(caught.value)


def test_does_a_failure_of_an_op_count_the_failing_cases_and_explain_the_first():
    with pytest.raises(BitMismatch) as caught:
        assert_op("rescale", half_away, **EVEN)
    head, first, *_ = str(caught.value).splitlines()
    chosen, case = len(corner_cases("rescale", **EVEN)), caught.value.case
    assert head.endswith(f"of {chosen} corner cases fail, the first {case.id} ({case.why})")
    assert first.startswith("  rescale: ") and " differ (" in first
    assert (caught.value.op, caught.value.port) == ("rescale", "y")


def test_does_one_rule_explain_every_failing_case():
    """Of rules that agree on the first failing case, only what gives all cases is named."""
    with pytest.raises(BitMismatch) as caught:
        assert_op("rescale", half_away, **EVEN)
    lines = str(caught.value).splitlines()
    chosen = len(corner_cases("rescale", **EVEN))
    assert f"of {chosen} cases differ: rule half_away explains 100.000 % of" in lines[3]
    assert lines[4] == "  stage: round (by the rule)" and caught.value.rules == ("rule half_away",)


def test_is_a_failure_explained_only_when_it_is_read():
    wrong = counted(half_away)
    with pytest.raises(BitMismatch) as caught:
        assert_call("rescale", wrong, pair([5, 6, 7], 1, 1), EVEN)
    assert wrong.calls == 1
    text = str(caught.value)
    asked = wrong.calls
    assert asked > 1
    assert str(caught.value) == text and wrong.calls == asked


@pytest.mark.parametrize("attribute", [{"low": -100}, {"output_zero_point": 9}])
def test_does_the_smallest_case_keep_the_attributes_that_a_kernel_knows(attribute):
    seen = []

    def of_one_site(**arguments):
        seen.append({k: v for k, v in arguments.items() if k in attribute})
        return half_away(**arguments)

    with pytest.raises(BitMismatch) as caught:
        assert_call("rescale", of_one_site, pair([5, 6, 7], 1, 1), {**EVEN, **attribute})
    assert "smallest failing case" in str(caught.value)
    assert all(one == attribute for one in seen)


def test_does_a_kernel_that_breaks_on_smaller_cases_still_get_its_explanation():
    def fragile(**arguments):
        if arguments["x"].size < 3:
            raise ValueError("too small for my tiles")
        return half_away(**arguments)

    with pytest.raises(BitMismatch, match="smallest failing case: 3 elements"):
        assert_call("rescale", fragile, pair([5, 6, 7, 9], 1, 1), EVEN)


@pytest.mark.parametrize("end", [lambda: pytest.skip("small sizes"), lambda: sys.exit(7), lambda: 1 // 0])
def test_does_the_first_failure_stand_whatever_the_kernel_does_on_smaller_cases(end):
    def fragile(**arguments):
        return half_away(**arguments) if arguments["x"].size == 4 else end()

    with pytest.raises(BitMismatch, match="2 / 4 differ") as caught:
        assert_call("rescale", fragile, pair([5, -6, 7, 9], -1, 1), EVEN)
    assert caught.value.smallest is None or caught.value.smallest.tensors["x"].size == 4


def test_does_a_user_who_interrupts_the_search_end_it():
    def interrupted(**arguments):
        if arguments["x"].size < 4:
            raise KeyboardInterrupt
        return half_away(**arguments)

    with pytest.raises(BitMismatch) as caught:
        assert_call("rescale", interrupted, pair([5, -6, 7, 9], -1, 1), EVEN)
    with pytest.raises(KeyboardInterrupt):
        _ = caught.value.smallest


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda made, attrs: {1: made["y"], "y": made["y"]}, r"returned outputs \[1, 'y'\], expected \['y'\]"),
        (lambda made, attrs: {}, r"returned outputs \[\], expected \['y'\]"),
        (lambda made, attrs: None, r"returned outputs \[\], expected \['y'\]"),
        (lambda made, attrs: {"y": made["y"].astype(np.int64)}, "int64 .*, expected int8"),
        (lambda made, attrs: {"y": made["y"].astype(np.float32)}, "must be an integer array, not float32"),
        (lambda made, attrs: {"y": made["y"].tolist()}, "must be an integer array, not list"),
        (lambda made, attrs: {"y": made["y"] ^ np.int8(1)}, "differ"),
    ],
)
def test_does_a_wrong_kernel_fail(change, text):
    with pytest.raises(BitMismatch, match=text) as caught:
        assert_op("table", kernel("table", change))
    assert caught.value.op == "table" and caught.value.case.id == "table-0000"


def test_does_a_kernel_that_spoils_its_inputs_fail():
    def spoils(x, **attrs):
        made = OPS["clamp"].run({"x": x}, attrs)
        x[...] = 0
        return made

    with pytest.raises(AssertionError, match="input 'x' after the call"):
        assert_op("clamp", spoils)
    assert all(
        (case.tensors["x"] == stored.tensors["x"]).all() for case, stored in zip(corner_cases("clamp"), cases("clamp"))
    )


def test_does_a_kernel_that_raises_say_in_which_case():
    def broken(**arguments):
        raise ZeroDivisionError("my own")

    with pytest.raises(ZeroDivisionError) as caught:
        assert_op("clamp", broken)
    assert caught.value.__notes__ == [f"  in clamp, clamp-0000 ({cases('clamp')[0].why})"]


def test_are_bits_compared_without_a_cast():
    assert_bitexact(np.int8(3), np.array(3, np.int8))
    with pytest.raises(AssertionError, match=r"y: int8 \[1\], expected int16 \[1\]"):
        assert_bitexact(np.zeros(1, np.int8), np.zeros(1, np.int16), "y")
    with pytest.raises(AssertionError, match=r"first at \[1\]: dut 2 \(0x02\) golden 3 \(0x03\) xor 0x01"):
        assert_bitexact(np.array([1, 2], np.int8), np.array([1, 3], np.int8))


@pytest.mark.parametrize("op", OPS)
def test_are_the_corner_cases_the_suites(op):
    found = corner_cases(op)
    assert [case.id for case in found] == [f"{op}-{i:04d}" for i in range(len(found))]
    assert [(case.why, case.flags) for case in found] == [(case.why, case.flags) for case in cases(op)]


def test_are_corner_cases_chosen_by_dtypes():
    chosen = corner_cases("rescale", dtypes={"x": "int16"})
    assert {case.tensors["x"].dtype.name for case in chosen} == {"int16"}
    for dtypes, text in (
        ({"y": "int8"}, r"inputs must be .*, not \['y'\]"),
        ({"x": "int4"}, r"found {} {'x': 'int4'}"),
    ):
        with pytest.raises(SpecError, match=text):
            corner_cases("rescale", dtypes=dtypes)


def test_does_level_2_add_random_calls():
    more = corner_cases("add_bias", 2, output="int8")
    few = corner_cases("add_bias", output="int8")
    assert [case.id for case in more[: len(few)]] == [case.id for case in few]
    assert len(more) > len(few) + 100 and len({case.id for case in more}) == len(more)
    with pytest.raises(BitMismatch, match=f"of {len(more)} corner cases fail"):
        assert_op("add_bias", kernel("add_bias", lambda made, attrs: {"y": made["y"] ^ np.int8(1)}), 2, output="int8")


def test_are_corner_cases_chosen_by_attributes_defaults_included():
    chosen = corner_cases("rescale", rounding="half_even", input_zero_point=0)
    assert 1 < len(chosen) < len(corner_cases("rescale", rounding="half_even"))
    assert all(case.attrs["input_zero_point"] == 0 and case.attrs["rounding"] == "half_even" for case in chosen)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: assert_op("relu", None), "relu: there is no such op"),
        (lambda: assert_call("relu", None, {}, {}), "relu: there is no such op"),
        (lambda: corner_cases("rescale", 3), "rescale: level must be one of 1, 2, not 3"),
        (lambda: corner_cases(["add"]), r"\['add'\]: there is no such op"),
        (lambda: corner_cases("rescale", dtypes="int8"), r"dtypes must be .* as {'x': 'int8'}, not 'int8'"),
        (
            lambda: assert_call("clamp", None, {"x": np.zeros((2, 0), np.int8)}, {"low": 0, "high": 3}),
            r"input 'x' must have \.1 at least 1, not 0",
        ),
        (lambda: corner_cases("rescale", shape=3), r"attributes must be .*, not \['shape'\]"),
        (
            lambda: corner_cases("rescale", rounding="nearest"),
            "some corner case has, found {'rounding': 'nearest'} {}$",
        ),
        (lambda: assert_call("clamp", None, {}, {}), r"inputs must be \['x'\], not \[\]"),
    ],
)
def test_is_a_wrong_question_refused(call, text):
    with pytest.raises(SpecError, match=text):
        call()


def test_are_only_the_names_of_the_door_given_out():
    assert sorted(intref.testing.__all__) == [*intref.testing.__all__]
    assert all(hasattr(intref.testing, name) for name in intref.testing.__all__)
    with pytest.raises(AttributeError, match=r"module 'intref.testing' has no attribute 'directed'"):
        _ = intref.testing.directed
