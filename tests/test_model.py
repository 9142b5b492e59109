"""Is a graph that is not well formed refused by name, and is what is declared of a tensor the tightest?"""

from dataclasses import replace

import numpy as np
import pytest

from intref.errors import FormatError, Unsupported
from intref.model import EXACT, Model, Node, TensorInfo, check_declared, info
from tiny_models import tiny_model


def refusal(model: Model, error=FormatError) -> str:
    with pytest.raises(error) as caught:
        model.validate("here")
    message = str(caught.value)
    assert message.startswith("here: ") and "\n" not in message
    return message


def rewired(index: int, **changes) -> Model:
    model = tiny_model()
    nodes = [*model.nodes]
    nodes[index] = replace(nodes[index], **changes)
    return replace(model, nodes=tuple(nodes))


def test_is_a_model_made_by_hand_valid():
    tiny_model().validate()


@pytest.mark.parametrize(
    "low, high, dtype, bits",
    [
        (0, 0, "int8", 1),
        (-1, 0, "int8", 1),
        (0, 1, "int8", 2),
        (-8, 7, "int8", 4),
        (-9, 7, "int8", 5),
        (-8, 8, "int8", 5),
        (-8, -8, "int8", 4),
        (-5, -1, "int32", 4),
        (-128, 127, "int8", 8),
        (0, 255, "uint8", 8),
        (0, 1, "uint8", 1),
        (-(1 << 63), (1 << 63) - 1, "int64", 64),
    ],
)
def test_how_many_bits_does_a_range_need(low, high, dtype, bits):
    declared = info(dtype, (2,), low, high)
    assert declared.bits == bits and declared.signed == (dtype != "uint8")
    assert declared.range == (low, high)
    check_declared("here", "t", declared)


def test_are_bounds_that_json_cannot_hold_left_to_the_bits():
    declared = info("int64", (), -EXACT, EXACT - 1)
    assert (declared.low, declared.high) == (None, EXACT - 1)
    assert declared.range == (-(1 << declared.bits - 1), EXACT - 1)


@pytest.mark.parametrize(
    "declared",
    [
        TensorInfo("float32", 8, True, ()),
        TensorInfo("uint16", 8, False, ()),
        TensorInfo("int8", 0, True, ()),
        TensorInfo("int8", 9, True, ()),
        TensorInfo("int64", 65, True, ()),
        TensorInfo("int8", 8, False, ()),
        TensorInfo("uint8", 8, True, ()),
        TensorInfo("int8", 8, True, (), -129, 0),
        TensorInfo("int8", 8, True, (), 3, 2),
        TensorInfo("int8", 4, True, (), -8, 8),
        TensorInfo("uint8", 4, False, (), 0, 16),
        TensorInfo("uint8", 4, False, (), -1, 15),
    ],
)
def test_are_declarations_that_contradict_themselves_refused(declared):
    with pytest.raises(FormatError, match=r"^here: tensor 't': "):
        check_declared("here", "t", declared)


def test_is_an_unknown_op_or_version_refused_by_name():
    assert "node 1 ('at.quantize_token', op 'conv'): there is no such op, near it: conv2d" in refusal(
        rewired(1, op="conv"), Unsupported
    )
    assert "version 2 is not supported, this release has 1" in refusal(rewired(1, version=2), Unsupported)


@pytest.mark.parametrize(
    "model, said",
    [
        (
            lambda: rewired(5, outputs={"y": "L0.t"}),
            "node 5 ('at.matmul', op 'matmul'): output tensor 'L0.t' is made twice",
        ),
        (lambda: rewired(5, outputs={"y": "input_ids"}), "output tensor 'input_ids' is made twice"),
        (lambda: rewired(5, outputs={"y": "weight"}), "output tensor 'weight' is made twice"),
        (lambda: rewired(5, outputs={"y": "new"}), "output tensor 'new' is not declared"),
        (lambda: rewired(5, outputs={}), "outputs must be ['y'], not []"),
        (lambda: rewired(5, inputs={"a": "L0.y"}), "inputs must be ['a', 'b'], not ['a']"),
        (
            lambda: rewired(5, inputs={"a": "L0.y", "b": "clipped"}),
            "input tensor 'clipped' is not made by an earlier node",
        ),
        (lambda: rewired(8, attrs={"low": 0}), "clamp: attribute 'high' must be given (C4)"),
        (lambda: rewired(8, attrs={"low": 0, "high": EXACT}), "attribute 'high' must be below 2**53 in magnitude"),
        (lambda: rewired(8, attrs={"low": 0, "high": 2.0}), "attribute 'high' must be in"),
        (lambda: replace(tiny_model(), outputs={}), "there must be at least one output"),
        (lambda: replace(tiny_model(), outputs={"y": "ghost"}), "output 'y' names tensor 'ghost', which no node makes"),
        (lambda: replace(tiny_model(), dims={"B": 4}), "axis 'T' is not among ['B']"),
        (
            lambda: replace(tiny_model(), inputs={"input_ids": None, "attention_mask": 2}),
            "default must lie in [0, 1], not 2",
        ),
        (
            lambda: replace(tiny_model(), inputs={**tiny_model().inputs, "bias": None}),
            "'bias' is both an input and a constant",
        ),
        (lambda: replace(tiny_model(), inputs={**tiny_model().inputs, "more": None}), "tensor 'more' must be declared"),
        (lambda: replace(tiny_model(), scales={"ghost": (1, 0)}), "scale of tensor 'ghost'"),
        (lambda: replace(tiny_model(), nodes=tiny_model().nodes[:-1]), "output 'pooled' names tensor 'clipped'"),
    ],
)
def test_is_a_graph_that_is_not_one_refused(model, said):
    assert said in refusal(model())


@pytest.mark.parametrize(
    "name, value, said",
    [
        ("bias", np.zeros(5, np.int64), "constant 'bias' must be int64 [6], not int64 [5]"),
        ("bias", np.zeros(6, np.int32), "constant 'bias' must be int64 [6], not int32 [6]"),
        ("bias", np.zeros(6), "constant 'bias' must be int64 [6], not float64 [6]"),
        ("shift", np.full(6, 25, np.int8), "constant 'shift' must lie in [24, 24], not [25, 25]"),
    ],
)
def test_is_a_constant_that_is_not_what_is_declared_refused(name, value, said):
    model = tiny_model()
    assert said in refusal(replace(model, constants={**model.constants, name: value}))


def test_is_a_tensor_that_nothing_makes_refused():
    model = tiny_model()
    more = {**model.tensors, "ghost": info("int8", (1,), 0, 1)}
    assert "tensor 'ghost' is declared, but no input, constant or node makes it" in refusal(
        replace(model, tensors=more)
    )


def test_are_dtypes_of_node_and_declaration_compared():
    model = tiny_model()
    wrong = {**model.tensors, "q": info("int16", ("B", "T", 8), -127, 127)}
    assert "tensor 'q' must be int8, not int16" in refusal(replace(model, tensors=wrong))


def test_are_attributes_completed_by_their_defaults():
    model = tiny_model()
    rescale = next(i for i, node in enumerate(model.nodes) if node.op == "rescale")
    assert model.nodes[rescale].attrs == {"rounding": "half_even", "output": "int8"}
    assert model.attrs[rescale] == {
        "rounding": "half_even",
        "output": "int8",
        "input_zero_point": 0,
        "output_zero_point": 0,
        "low": -128,
        "high": 127,
        "axis": -1,
    }


def test_are_nodes_and_models_values_that_do_not_change():
    with pytest.raises(AttributeError):
        tiny_model().dims = {}
    with pytest.raises(AttributeError):
        Node("clamp", {}, {}).op = "add"
