"""Have whole models, and every kind of body, the bits of their C?"""

import re
from itertools import product

import numpy as np
import pytest

import intref
from emitted import DTYPES, Library, Tensor, compiled, needs_compiler
from intref import OPS, judge
from intref.emit import c_model, c_source
from intref.golden import suite_path
from intref.model import Model, Node, info
from intref.ops.op import Attr, Op, Port

SUITE = suite_path()


@needs_compiler
@pytest.mark.parametrize("name", ["w8a8-token", "ibert"])
def test_has_a_whole_model_its_bits(name, tmp_path):
    package = SUITE / "models" / "sentiment" / name
    report = judge(package, f"so:{compiled(c_model(intref.open(package / 'model.safetensors')), tmp_path, '-O0')}")
    assert report.verdict == "equal"
    assert {case.mode for case in report.cases} == {"isolated", "cumulative"}


@needs_compiler
def test_is_a_model_with_one_other_constant_found_out(tmp_path):
    package = SUITE / "models" / "sentiment" / "ibert"
    right = c_model(intref.open(package / "model.safetensors"))
    first = re.compile(r"(/\* classifier\.linear\.bias \*/\n.*\n +)(-?\d+)")
    wrong, count = first.subn(lambda found: f"{found[1]}{int(found[2]) + 4000}", right)
    assert count == 1
    assert judge(package, f"so:{compiled(wrong, tmp_path, '-O0')}").verdict == "differs"


@needs_compiler
def test_is_a_model_written_whose_outputs_are_inputs_and_constants_of_any_name(tmp_path):
    tensors = {"x": info("int8", (2, 3), -9, 9), "y": info("int8", (2, 3), -5, 5)}
    tensors["/* c */ é"] = info("int64", (4,), -(1 << 62), 1 << 62)
    tensors["d"] = info("int32", (2,), -(1 << 31), (1 << 31) - 1)
    constants = {
        "/* c */ é": np.array([-(1 << 62), 1 << 62, -(1 << 31), 7]),
        "d": np.array([-(1 << 31), (1 << 31) - 1], np.int32),
    }
    node = Node("clamp", {"x": "x"}, {"y": "y"}, {"low": -5, "high": 5}, site="*/ at ??/\n")
    public = {"a": "d", "b": "x", "c": "/* c */ é", "d": "y"}
    model = Model((node,), tensors, constants, {"x": None}, public, {})
    model.validate()
    device = Library(compiled(c_model(model), tmp_path))
    x = np.array([[-9, -5, 0], [5, 6, 9]], np.int8)
    made = [np.zeros_like(v) for v in (constants["d"], x, constants["/* c */ é"], x)]
    assert device.raw("model", {}, [Tensor.of(x)], [*map(Tensor.of, made)]) == 0
    for (_, value), found in zip(sorted(model.run({"x": x}, backend="reference").outputs.items()), made):
        np.testing.assert_array_equal(found, value)
    wild = np.full_like(x, 10)  # beyond what the model declares of its input
    assert device.raw("model", {}, [Tensor.of(wild)], [*map(Tensor.of, made)]) == 2


def branching(x, *, first, second, amount):
    if first == "a":
        y = x + amount
    elif first in ("b", "c"):
        y = x - amount if second == "up" else x * 2
    else:
        y = -x
    if second != "up":
        y += 1
    return {"y": y}


@needs_compiler
def test_is_every_way_through_a_body_taken_under_its_own_condition(tmp_path, monkeypatch):
    choices = {"first": ("a", "b", "c", "d"), "second": ("up", "down")}
    attrs = {**{name: Attr(choices=values) for name, values in choices.items()}, "amount": Attr(0, 1 << 40)}
    op = Op(branching, inputs={"x": Port("int32", "... D")}, attrs=attrs, outputs={"y": Port("int64", "... D")})
    monkeypatch.setitem(OPS, "branching", op)
    device = Library(compiled(c_source(["branching"]), tmp_path))
    x = np.array([[-(1 << 31), -1, 0], [1, 5, (1 << 31) - 1]], np.int32)
    for first, second, amount in product(choices["first"], choices["second"], (0, 3, 1 << 40)):
        chosen = {"first": first, "second": second, "amount": amount}
        code, found = device.run("branching", {"x": x}, chosen, {"y": ("int64", x.shape)})
        assert code == 0
        np.testing.assert_array_equal(found["y"], branching(x.astype(np.int64), **chosen)["y"])


def horner(x):
    y = 0 * x
    for power, factor in enumerate((3, -1, 2)):
        for _ in range(power):
            y = 2 * y
        y = y * (x & 15) + factor
    return {"y": y}


@needs_compiler
def test_is_a_loop_over_constants_unrolled(tmp_path, monkeypatch):
    op = Op(horner, inputs={"x": Port("int8", "... D")}, attrs={}, outputs={"y": Port("int64", "... D")})
    monkeypatch.setitem(OPS, "horner", op)
    device = Library(compiled(c_source(["horner"]), tmp_path))
    x = np.arange(-128, 128).astype(np.int8)
    code, found = device.run("horner", {"x": x}, {}, {"y": ("int64", x.shape)})
    assert code == 0
    np.testing.assert_array_equal(found["y"], horner(x.astype(np.int64))["y"])


def one_more(x):
    return {"y": x + 1}


@needs_compiler
@pytest.mark.parametrize("dtype", DTYPES[:4])
def test_is_a_result_that_its_dtype_does_not_hold_refused(dtype, tmp_path, monkeypatch):
    op = Op(one_more, inputs={"x": Port("int64", "...")}, attrs={}, outputs={"y": Port(dtype, "...")})
    monkeypatch.setitem(OPS, "one_more", op)
    device = Library(compiled(c_source(["one_more"]), tmp_path))
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    for value, code in ((low, 0), (high, 0), (low - 1, 2), (high + 1, 2), (-(1 << 63), 2)):
        x = np.array(max(value - 1, -(1 << 63)))
        found, made = device.run("one_more", {"x": x}, {}, {"y": (dtype, ())})
        assert found == code
        assert code or made["y"] == value
