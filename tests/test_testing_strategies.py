"""Are drawn calls legal and varied, and does a failing one shrink to the least that fails?"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from intref.errors import BoundError, SpecError
from intref.ops import OPS
from intref.testing.strategies import calls, elements, integer_arrays, multipliers, rescale_pairs, shapes

ROOT = Path(__file__).resolve().parents[1]
FEW = settings(max_examples=30)
SEARCH = settings(max_examples=3000, database=None, derandomize=True, deadline=None)
SEEN = settings(SEARCH, phases=[Phase.generate])


@pytest.mark.parametrize("op", OPS)
def test_is_every_drawn_call_one_that_the_reference_runs(op):
    @FEW
    @given(calls(op))
    def check(call):
        tensors, attrs = call
        made = OPS[op].run(tensors, OPS[op].check(tensors, attrs))
        assert all(made[name].size for name in OPS[op].outputs)

    check()


@pytest.mark.parametrize("op", ["linear", "matmul", "linear_int4"])
def test_are_sums_beyond_int32_drawn_only_where_asked_for(op):
    def refused(call):
        try:
            OPS[op].run(call[0], OPS[op].check(*call))
        except BoundError:
            return True
        return False

    assert refused(find(calls(op, beyond=True), refused, settings=SEEN))


@FEW
@given(
    calls("rescale", dtypes={"x": "int16"}, rounding="half_even", output="int8", low=-127, axis=0),
    calls("layernorm_deeploy", overflow="wrap"),
)
def test_does_what_the_caller_fixed_stay(call, wrapped):
    tensors, attrs = call
    assert wrapped[1]["overflow"] == "wrap"
    assert tensors["x"].dtype == np.int16
    assert attrs.items() >= {"rounding": "half_even", "output": "int8", "low": -127, "axis": 0}.items()


@pytest.mark.parametrize(
    "op, given, text",
    [
        ("relu", {}, "relu: there is no such op"),
        ("rescale", {"rounding": "nearest"}, "attribute 'rounding' cannot be 'nearest'"),
        ("rescale", {"shape": 3}, "attribute 'shape' cannot be 3"),
        ("rescale", {"dtypes": {"x": "float32"}}, "not 'x': 'float32'"),
        ("rescale", {"dtypes": {"y": "int8"}}, "not 'y': 'int8'"),
        ("clamp", {"low": 5, "high": -5}, r"low <= high inside the range of .*, found {'low': 5, 'high': -5}"),
        ("rescale", {"high": -500, "output": "int8"}, "low <= high inside the range of int8, found {'high': -500}"),
        ("layernorm_fixed", {"low": 7, "high": 6}, r"low <= high, found {'low': 7, 'high': 6} \(C6\)"),
        ("softmax_ibert", {"ln2": 100, "b": 5}, r"must satisfy b >= ln2 .*, found {'ln2': 100, 'b': 5} \(C5\)"),
    ],
)
def test_is_a_wrong_wish_refused(op, given, text):
    with pytest.raises(SpecError, match=text):
        calls(op, **given)


@FEW
@given(integer_arrays(st.sampled_from(["int8", "int64"]), shapes(2, 5)), integer_arrays("int16", (3, 4), -5, 9))
def test_do_arrays_have_the_dtype_shape_and_range_asked_for(any_range, small):
    assert any_range.dtype in (np.int8, np.int64) and any_range.ndim <= 2 and max(any_range.shape, default=0) <= 5
    assert (small.dtype, small.shape) == (np.int16, (3, 4))
    assert -5 <= small.min() and small.max() <= 9


@FEW
@given(calls("rescale", low=500), calls("clamp", high=-500))
def test_are_only_dtypes_drawn_that_hold_the_callers_clip(rescaled, clamped):
    assert rescaled[1]["output"] != "int8" and clamped[0]["x"].dtype.itemsize > 1


@pytest.mark.parametrize(
    "given, text",
    [
        (("float32",), "dtype must be one of int8, .*, not 'float32'"),
        (("uint64",), "dtype must be one of int8, .*, not 'uint64'"),
        (("int8", (-1,)), r"shape must be a tuple of sizes of at least 0, not \(-1,\)"),
        (("int8", 3), "shape must be a tuple of sizes of at least 0, not 3"),
        (("int8", (3,), 5, 4), r"range of int8, found \[5, 4\]"),
    ],
)
def test_is_an_array_that_there_cannot_be_refused(given, text):
    with pytest.raises(SpecError, match=text):
        integer_arrays(*given)


def test_is_an_empty_range_refused():
    with pytest.raises(SpecError, match=r"range of int8, found \[0, 200\]"):
        find(integer_arrays("int8", (1,), 0, 200), lambda x: True)


@FEW
@given(rescale_pairs(5, (2, 40)), rescale_pairs(signed=False))
def test_do_pairs_have_the_length_and_the_ranges_asked_for(pairs, unsigned):
    (m, s), (positive, shifts) = pairs, unsigned
    assert (m.dtype, s.dtype, m.shape, s.shape) == (np.int32, np.int8, (5,), (5,))
    assert 2 <= s.min() and s.max() <= 40
    assert positive.min() >= 0 and len(positive) == len(shifts) <= 9


@pytest.mark.parametrize("end", [-(1 << 63), (1 << 63) - 1, -1, 0, 1 << 40, -(1 << 62)])
def test_are_ends_and_powers_of_two_drawn(end):
    assert find(elements(-(1 << 63), (1 << 63) - 1), lambda v: v == end, settings=SEARCH) == end


def test_are_multipliers_of_both_kinds_drawn():
    assert find(multipliers(), lambda m: m > 1 << 30 and m % 2, settings=SEARCH) == (1 << 30) + 1
    assert find(multipliers(), lambda m: abs(m) > 2 and abs(m) & (abs(m) - 1) == 0, settings=SEARCH) == 4


def test_is_missing_hypothesis_one_line():
    program = "import sys; sys.modules['hypothesis'] = None; import intref.testing.strategies"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert last == "ImportError: intref.testing.strategies needs hypothesis: pip install hypothesis"


def smallest(op, broken, **fixed):
    """The least call on which a broken kernel differs from the reference: tensors, attrs."""

    def differs(call):
        tensors, full = call[0], OPS[op].check(*call)
        golden = OPS[op].run(tensors, full)
        return any((np.asarray(broken(tensors, full, golden)) != y).any() for y in list(golden.values())[:1])

    return find(calls(op, **fixed), differs, settings=SEARCH)


def rounded(rule):
    return lambda tensors, attrs, golden: OPS["rescale"].run(tensors, {**attrs, "rounding": rule})["y"]


ELEMENTWISE = {
    "clamp": lambda t, a, y: np.maximum(t["x"], a["low"]),
    "add_bias": lambda t, a, y: np.clip(t["x"].astype(np.int64) + t["bias"] + 1, a["low"], a["high"]),
    "add": lambda t, a, y: np.where(y["y"] == a["low"], a["low"] + 1, y["y"]),
    "table": lambda t, a, y: np.where(t["x"] == -128, t["entries"][1], y["y"]),
}


@pytest.mark.parametrize("op", ELEMENTWISE)
def test_does_a_wrong_element_shrink_to_one_element(op):
    tensors, _ = smallest(op, ELEMENTWISE[op])
    assert {t.size for name, t in tensors.items() if name != "entries"} == {1}


def test_does_a_wrong_tie_shrink_to_the_smallest_tie():
    fixed = {"rounding": "half_even", "input_zero_point": 0, "output_zero_point": 0, "axis": -1}
    tensors, _ = smallest("rescale", rounded("half_away"), dtypes={"x": "int32"}, **fixed)
    assert {name: np.abs(t).ravel().tolist() for name, t in tensors.items()} == {
        "x": [1],
        "multiplier": [1],
        "shift": [1],
    }


def tail_dropped(tensors, attrs, golden):
    """A tile of 8 along K, the last one left out where it is not whole, of a plain int32 product."""
    k = tensors["a"].shape[-1] // 8 * 8 or tensors["a"].shape[-1]
    return tensors["a"][..., :k].astype(np.int64) @ tensors["b"][..., :k, :]


def test_does_a_dropped_tile_shrink_to_one_term_beyond_a_whole_tile():
    """9, or 65: arrays of more than 64 elements are drawn otherwise, and need not shrink to those of fewer."""
    plain = {"a_zero_point": 0, "b_zero_point": 0, "accumulator": 32, "overflow": "refuse", "output": "int32"}
    tensors, _ = smallest("matmul", tail_dropped, **plain)
    k = tensors["a"].shape[-1]
    assert k in (9, 65) and tensors["a"].shape[-2:] == (1, k) and tensors["b"].shape[-2:] == (k, 1)


def test_does_a_leaking_mask_shrink_to_one_row_of_two_keys():
    def leaks(tensors, attrs, golden):
        return OPS["softmax_exp2"].run({**tensors, "mask": np.ones_like(tensors["mask"])}, attrs)["p"]

    tensors, _ = smallest("softmax_exp2", leaks)
    assert tensors["x"].size <= 2


@pytest.mark.parametrize("op", ["softmax_ibert", "softmax_exp2", "embedding"])
def test_does_a_call_of_which_all_is_wrong_shrink_to_the_smallest_shape(op):
    tensors, _ = smallest(op, lambda tensors, attrs, golden: next(iter(golden.values())) ^ 1)
    assert {t.size for name, t in tensors.items() if not (op == "softmax_exp2" and name == "table")} == {1}


def test_does_a_short_row_shrink_to_its_first_size():
    def wrong_from_four(tensors, attrs, golden):
        return golden["q"] + (tensors["x"].shape[-1] >= 4)

    tensors, _ = smallest("quantize_token", wrong_from_four)
    assert tensors["x"].shape[-1] == tensors["x"].size == 4
