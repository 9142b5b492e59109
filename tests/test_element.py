"""Is the arithmetic that `step` shows the arithmetic of the op, at every element of every op?"""

import random

import numpy as np
import pytest

from intref.element import Call, element, find, known_names
from intref.errors import FormatError, SpecError, Unsupported
from intref.golden import read_golden, write_golden, write_op_golden
from intref.ops import OPS
from intref.run import call
from intref.vectors import cases
from tiny_models import tiny_inputs, tiny_model

DRAWS = 3


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return read_golden(write_golden(tiny_model(), tiny_inputs(), tmp_path_factory.mktemp("element") / "gold"))


@pytest.mark.parametrize("name", OPS)
def test_does_every_element_of_every_case_come_out_of_its_own_rows(name):
    """The rows that one element is computed from are a cut of the inputs: the whole op must give the same there."""
    draw = random.Random(name)
    for i, case in enumerate(cases(name)):
        made = call(name, case.tensors, case.attrs)
        for port, tensor in made.items():
            whole = Call(f"{name}-{i}", name, OPS[name].complete(case.attrs), case.tensors, made, {}, port)
            for _ in range(DRAWS):
                index = tuple(draw.randrange(size) for size in tensor.shape)
                found = element(whole, index)
                assert found.value == found.golden == int(tensor[index]), (case.why, port, index)
                assert found.dtype == tensor.dtype.name


def test_do_the_products_of_a_linear_add_up(package):
    x, weight = package.tensors["q"], package.model.constants["weight"]
    found = element(find(package, "at.linear"), (1, 2, 3))
    ks, a, b, products, sums = zip(*found.products)
    assert [*a] == x[1, 2].tolist() and [*b] == weight[3].tolist() and [*ks] == [*range(len(a))]
    assert [*products] == (x[1, 2].astype(int) * weight[3]).tolist()
    assert sums[-1] + package.model.constants["none"][3] == found.value == package.tensors["L0.acc"][1, 2, 3]


def test_are_intermediates_of_one_element_its_own(package):
    found = element(find(package, "L0.y"), (2, 1, 4))
    values = {step.text: step.value for step in (*found.inputs, *found.steps)}
    assert values["x"] == package.tensors["L0.acc"][2, 1, 4]
    assert values["multiplier"] == package.model.constants["multiplier"][4]
    assert values["mantissa"] == package.tensors["mantissa"][2, 1, 0]
    product = values["x"] * values["mantissa"] * values["multiplier"]
    assert product in values.values() and product >> values["shift"] - values["exponent"] in values.values()


def test_is_an_axis_that_meets_never_taken_for_one_of_the_output():
    """Mean over T tokens of D channels, T = D: no intermediate along T may pass for one along D."""
    tensors = {"x": np.arange(9, dtype=np.int32).reshape(3, 3), "mask": np.array([1, 0, 1], np.int8)}
    made = call("mean_pool", tensors, {})
    found = element(Call("m", "mean_pool", {}, tensors, made, {}, "y"), (1,))
    assert {step.text: step.value for step in found.inputs} == {"x": None, "mask": None}
    assert all(step.value is None for step in found.steps if 3 in step.shape)
    assert found.value == made["y"][1] == 4


def test_is_a_tensor_a_site_and_an_output_found_by_name(package):
    assert find(package, "at.linear") == find(package, "L0.acc") and find(package, "scores").names["y"] == "L0.small"
    assert find(package, "mantissa").port == "mantissa" and find(package, "q", "exponent").port == "exponent"
    assert {"at.linear", "L0.acc", "scores", "mantissa"} <= {*known_names(package)}
    with pytest.raises(Unsupported):
        find(package, "at.nothing")
    with pytest.raises(SpecError, match="output must be one of y, not 'z'"):
        find(package, "at.linear", "z")


@pytest.mark.parametrize("index", [(0, 0), (0, 0, 0, 0), (0, 0, 6), (-1, 0, 0), ()])
def test_is_an_index_outside_of_the_output_refused(package, index):
    with pytest.raises(SpecError, match=r"index must lie in output 'y' of shape \[3, 5, 6\]"):
        element(find(package, "at.linear"), index)


def test_is_a_tensor_that_was_not_traced_named(tmp_path):
    package = read_golden(write_golden(tiny_model(), tiny_inputs(), tmp_path / "gold", trace="L0.y,L0.t"))
    with pytest.raises(FormatError, match=r"expected the tensor 'q', not stored: the package traces 'L0\.y,L0\.t'"):
        find(package, "at.linear")


def test_is_an_output_that_was_not_traced_computed_from_its_inputs(tmp_path, package):
    part = read_golden(write_golden(tiny_model(), tiny_inputs(), tmp_path / "gold", trace="L0.y,L0.t"))
    found = element(find(part, "L0.scores"), (0, 1, 2))
    assert found.golden is None and found.value == package.tensors["L0.scores"][0, 1, 2]
    with pytest.raises(SpecError, match="index must lie in output 'y'"):
        element(find(part, "L0.scores"), (0, 1))


def test_is_a_stored_value_that_is_wrong_shown_beside_the_right_one(tmp_path):
    package = read_golden(write_op_golden("clamp", tmp_path / "gold"))
    case = package.cases[0]
    wrong = {"y": case.outputs["y"] + case.outputs["y"].dtype.type(1)}
    index = (0,) * wrong["y"].ndim
    found = element(Call(case.id, "clamp", case.attrs, case.inputs, wrong, {}, "y"), index)
    assert found.value == case.outputs["y"][index] != found.golden
