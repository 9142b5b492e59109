"""What a kernel's author uses: right kernels pass, wrong ones fail with the reason in the message."""

import numpy as np
import pytest

from intref.errors import SpecError
from intref.ops import OPS
from intref.testing import assert_bits_equal, assert_call, assert_op, directed


def kernel(op, change=lambda made, attrs: made):
    def run(**arguments):
        tensors = {name: arguments.pop(name) for name in OPS[op].inputs}
        return change(OPS[op].run(tensors, arguments), arguments)

    return run


@pytest.mark.parametrize("op", ["clamp", "table", "quantize_token", "mean_pool"])
def test_does_a_right_kernel_pass(op):
    assert_op(op, kernel(op))
    assert len(directed(op)) > 1


def test_does_a_wrong_rule_fail_by_its_name():
    def floored(**arguments):
        return OPS["rescale"].run(
            {n: arguments.pop(n) for n in OPS["rescale"].inputs}, {**arguments, "rounding": "floor"}
        )

    tensors = {
        "x": np.array([6, -6, 7], np.int32),
        "multiplier": np.array([1], np.int32),
        "shift": np.array([2], np.int8),
    }
    with pytest.raises(AssertionError, match="; rule floor explains"):
        assert_call("rescale", floored, tensors, {"rounding": "half_up", "output": "int8"})


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda made, attrs: {}, r"returned outputs \[\], expected \['y'\]"),
        (lambda made, attrs: None, r"returned outputs \[\], expected \['y'\]"),
        (lambda made, attrs: {"y": made["y"].astype(np.int64)}, "int64 .*, expected int8"),
        (lambda made, attrs: {"y": made["y"].astype(np.float32)}, "must be an integer array, not float32"),
        (lambda made, attrs: {"y": made["y"].tolist()}, "must be an integer array, not list"),
        (lambda made, attrs: {"y": made["y"] ^ np.int8(1)}, "differ"),
    ],
)
def test_does_a_wrong_kernel_fail(change, text):
    with pytest.raises(AssertionError, match=text):
        assert_op("table", kernel("table", change))


def test_does_a_kernel_that_spoils_its_inputs_fail():
    def spoils(x, **attrs):
        made = OPS["clamp"].run({"x": x}, attrs)
        x[...] = 0
        return made

    with pytest.raises(AssertionError, match="input 'x' after the call"):
        assert_op("clamp", spoils)


def test_are_bits_compared_without_a_cast():
    assert_bits_equal(np.int8(3), np.array(3, np.int8))
    with pytest.raises(AssertionError, match=r"y: int8 \[1\], expected int16 \[1\]"):
        assert_bits_equal(np.zeros(1, np.int8), np.zeros(1, np.int16), "y")
    with pytest.raises(AssertionError, match=r"first at \[1\]: dut 2 \(0x02\) golden 3 \(0x03\) xor 0x01"):
        assert_bits_equal(np.array([1, 2], np.int8), np.array([1, 3], np.int8))


def test_is_an_unknown_op_refused():
    for call in (lambda: assert_op("relu", None), lambda: assert_call("relu", None, {}, {})):
        with pytest.raises(SpecError, match="relu: there is no such op"):
            call()
