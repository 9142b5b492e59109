"""ITA: answers worked out by hand from the docstrings, and what its requantizer is in our words."""

import numpy as np
import pytest

import intref
from intref import call
from intref.builder import Builder
from intref.errors import Unsupported
from intref.golden import suite_path
from intref.profiles import HERE, load_profile
from intref.quantize.recipe import load_recipe
from intref.quantize.sites.ita import gelu_constants
from intref.quantize.sites.lowering import Lowering, Value


def softmax(rows, mask=None, **attrs):
    x = np.array(rows, np.int8)[None, None]
    mask = np.ones((1, x.shape[-1]), np.int8) if mask is None else np.array(mask, np.int8)
    return call("softmax_ita", {"x": x, "mask": mask}, attrs)["p"][0, 0].tolist()


def test_softmax_of_powers_of_two():
    # e = 256, 256, 128, 64: total 704, inverse = floor(65280 / 704) = 92, then halved and quartered.
    assert softmax([[5, 5, 4, 3]]) == [[92, 92, 46, 23]]
    # Differences 8 and 9: e = 1 and 0, total 257, and 65280 / 257 = 254.007.., which a shift by 8 brings to 0.
    assert softmax([[7, -1, -2]]) == [[254, 0, 0]]


def test_a_row_without_a_key_is_0():
    assert softmax([[1, 2], [3, 3]], [[[0, 0], [1, 0]]]) == [[0, 0], [255, 0]]


def test_groups_decide_what_a_small_key_adds():
    # 9 below its group's top a key adds 0: total 256. In a group before, its own e is 256, later 256 / 2**9 = 1/2,
    # and two of them make 1: total 257, inverse 254.
    assert softmax([[0, 0, 9]], group=3)[0][2] == 255
    assert softmax([[0, 0, 9]], group=2)[0][2] == 254
    assert softmax([[0, 9, 0]], group=2)[0][1] == 255


def test_the_running_total_is_floored_once():
    # Groups of 1. 0: total 256. 9: 256 >> 9 = 0 and 1/2 lost, + 256. 9: + 256 = 512. The exact sum is 512.5.
    assert softmax([[0, 9, 9]], group=1) == [[0, 127, 127]]


def test_gelu():
    # v = 3: L = (min(3, 25) - 25)**2 - 692 = 484 - 692 = -208; y = 3 * (-208 - 692) = -2700.
    # v = -3: y = -3 * (208 - 692) = 1452. Beyond the cut L = +-(-692): y = 30 * -1384, and -30 * 0.
    got = call("gelu_ita", {"x": np.array([3, -3, 0, 30, -30], np.int8)}, {"b": -25, "c": -692})["y"]
    assert got.tolist() == [-2700, 1452, 0, -41520, 0]
    # x = -128 with a cut above it: the device computes it, its Python model raises it to -127.
    x = {"x": np.array([-128], np.int8)}
    assert call("gelu_ita", x, {"b": -130, "c": -5})["y"].tolist() == [-128 * (-(4 - 5) - 5)]
    assert call("gelu_ita", x, {"b": -130, "c": -5, "lowest": -127})["y"].tolist() == [-127 * (-(9 - 5) - 5)]


def test_constants_are_rounded():
    # k = 0.1 / sqrt(2) = 0.070710..: -1.769 / k = -25.017.., 1 / (-0.2888 * k**2) = -692.52.. of which a floor is -693.
    constants, scale = gelu_constants(0.1)
    assert constants == {"b": -25, "c": -693}
    assert abs(scale + 0.1 * 0.2888 * 0.005 / 2) < 1e-12


def test_its_requantizer_is_rescale_by_half_up():
    # (5 * 3) / 2 = 7.5 -> 8, -7.5 -> -7; + 120 = 128 clips at 127 behind the sum. Shift 0: 5 * 3, as it is.
    x, attrs = np.array([5, -5], np.int32), {"rounding": "half_up", "output": "int8"}
    for shift, zero, want in ((1, 0, [8, -7]), (1, 120, [127, 113]), (0, 0, [15, -15])):
        constants = {"multiplier": np.array([3], np.int32), "shift": np.array([shift], np.int8)}
        got = call("rescale", {"x": x, **constants}, {**attrs, "output_zero_point": zero})
        assert got["y"].tolist() == want


@pytest.fixture(scope="module")
def sentiment():
    return intref.load(suite_path() / "models" / "sentiment")


INPUTS = {"input_ids": [[101, 7, 5, 9, 102], [101, 8, 102, 0, 0]], "attention_mask": [[1] * 5, [1, 1, 1, 0, 0]]}


def test_products_wrap_at_26_bits_and_biases_have_24(sentiment):
    model = sentiment.quantize("ibert", profile="ita")
    products = [node for node in model.nodes if node.op in ("linear", "matmul")]
    assert {(node.attrs["accumulator"], node.attrs["overflow"]) for node in products} == {(26, "wrap")}
    biases = [model.constants[node.inputs["bias"]] for node in products if node.op == "linear"]
    assert max(int(np.abs(bias).max()) for bias in biases) < 1 << 23


def test_a_profile_may_name_itamax(sentiment, tmp_path):
    text = (HERE / "ita.toml").read_text(encoding="utf-8").replace('"softmax_ita"', '"softmax_itamax"')
    text = text.replace('name = "ita"', 'name = "mine"')
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(Unsupported, match="softmax_itamax needs int8 at the scale ln 2 / 32: site 'softmax_input'"):
        sentiment.quantize("ibert", profile=str(path))
    path.write_text(text.replace('"ln 2"', '"ln 2 / 32"'), encoding="utf-8")
    model = sentiment.quantize("ibert", profile=str(path))
    fast, reference = (model.run(INPUTS, backend, trace="all") for backend in ("fast", "reference"))
    assert fast.trace_digest == reference.trace_digest
    rows = fast.trace["L0.softmax"].sum(-1)
    assert rows.min() > 200 and rows.max() <= 255


def test_is_the_activation_stored_negated_at_a_positive_scale(sentiment):
    """The requantizer's multiplier has no sign and the polynomial's scale is negative: a name and a scale say so."""
    seen = {}
    sentiment.run(INPUTS, lambda name, value, *rest: seen.setdefault(name, value))
    model = sentiment.quantize("ibert", profile="ita", calib=[INPUTS])
    made = model.run(INPUTS, trace="L0.ffn.act*").float("L0.ffn.act.negated")
    error = np.abs(made + seen["L0.ffn.act"])[np.array(INPUTS["attention_mask"]) == 1]
    assert error.max() < 0.1 * np.abs(seen["L0.ffn.act"]).max()
    assert all(0 < mantissa for mantissa, _ in model.scales.values())


def test_does_an_input_of_negative_scale_keep_biases_to_their_bits(sentiment):
    """The scale of an accumulator is coarse enough for its bias, of whichever sign it is."""
    profile, recipe = load_profile("ita"), load_recipe("ibert")
    weight, bias = np.full((2, 3), 1e-6, np.float32), np.array([0.5, -2.0], np.float32)
    for scale in (0.01, -0.01):
        build = Builder({"B": 8, "T": 8})
        build.input("x", "int8", -128, 127, None, ("B", "T", 3))
        low = Lowering(build, None, recipe, profile, 1, 0.0)
        low("linear", Value("x", np.float64(scale)), "up", weight, bias)
        assert np.abs(build.constants["up.linear.bias"]).max() <= 1 << 22
