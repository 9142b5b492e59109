"""The registers of linear and matmul: answers worked out by hand, and models proved, or not, within their width."""

from pathlib import Path

import numpy as np
import pytest

import intref
from intref import OPS, call
from intref.errors import BoundError
from intref.golden import suite_path
from intref.model import Model, Node, info

SENTIMENT = suite_path() / "models" / "sentiment"


def linear(x, weight, bias=0, **attrs):
    tensors = {"x": np.array(x, np.int8), "weight": np.array(weight, np.int8)}
    tensors["bias"] = np.full(len(weight), bias, np.int32)
    answers = {backend: call("linear", tensors, attrs, backend)["y"] for backend in ("reference", "fast")}
    assert np.array_equal(*answers.values()) and answers["fast"].dtype == answers["reference"].dtype
    return answers["reference"].tolist()


def matmul(a, b, dtype="int8", **attrs):
    return call("matmul", {"a": np.array(a, dtype), "b": np.array(b, dtype)}, attrs)["y"].tolist()


def test_zero_points():
    # (5 - 3) * (7 + 1) + (2 - 3) * (-4 + 1) + 100 = 16 + 3 + 100
    assert linear([5, 2], [[7, -4]], 100, x_zero_point=3, weight_zero_point=-1) == [119]
    assert matmul([[5, 2]], [[7], [-4]], a_zero_point=3, b_zero_point=-1) == [[19]]


def test_wraps_modulo_its_width():
    # 100 + 100 = 200, and 200 - 256 = -56 in 8 bits; in 9 bits it fits. -129 + 256 = 127.
    x, ones = [100, 100, -128, -1], [[1, 1, 0, 0], [0, 0, 1, 1]]
    assert linear(x, ones, accumulator=8, overflow="wrap") == [-56, 127]
    assert linear(x, ones, accumulator=9, overflow="wrap") == [200, -129]


def test_saturates_at_the_end_at_every_term_or_after_blocks():
    # The sums on the way are 100, 200, 100, 0.
    x, ones = [100, 100, -100, -100], [[1, 1, 1, 1]]
    saturated = {"accumulator": 8, "overflow": "saturate"}
    assert linear(x, ones, **saturated) == [0]
    assert linear(x, ones, every=1, **saturated) == [-73]  # 100, 127, 27, -73
    assert linear(x, ones, every=2, **saturated) == [-73]  # 127, 127 - 200
    assert linear(x, ones, every=3, **saturated) == [0]  # 100, then 0
    assert linear(x, ones, every=4, **saturated) == [0]
    assert linear(x, ones, -128, every=1, **saturated) == [-128]  # -28, 72, -28, -128


def test_the_bias_is_the_first_content():
    # 100 + 50 saturates before -60 comes: 127 - 60. At the end alone: 90.
    saturated = {"accumulator": 8, "overflow": "saturate"}
    assert linear([50, -60], [[1, 1]], 100, every=1, **saturated) == [67]
    assert linear([50, -60], [[1, 1]], 100, **saturated) == [90]


def test_a_wider_accumulator_has_int64_outputs():
    # 4 * 2**30 is 2**32.
    lowest = -(1 << 15)
    assert matmul([[lowest] * 4], [[lowest]] * 4, "int16", accumulator=48) == [[1 << 32]]
    assert matmul([[lowest] * 4], [[lowest]] * 4, "int16", accumulator=32, overflow="wrap") == [[0]]
    with pytest.raises(BoundError, match=r"do not lie in \[-2147483648, 2147483647\]"):
        matmul([[lowest] * 4], [[lowest]] * 4, "int16")


@pytest.mark.parametrize(("bits", "fits"), [(8, False), (9, True)])
def test_a_narrow_accumulator_refuses(bits, fits):
    if fits:
        assert linear([127, 1], [[1, 1]], accumulator=bits) == [128]
    else:
        with pytest.raises(BoundError, match=r"do not lie in \[-128, 127\]"):
            linear([127, 1], [[1, 1]], accumulator=bits)


def model(**attrs):
    """y = 8 products of int8 and 100."""
    dtype = OPS["linear"].output_dtypes({}, OPS["linear"].complete(attrs))["y"]
    tensors = {"x": info("int8", ("B", 8), -128, 127), "w": info("int8", (1, 8), 100, 100)}
    ends = {"saturate": -(1 << 15), "wrap": -(1 << 15)}.get(attrs.get("overflow", ""), -128 * 800)
    tensors |= {
        "b": info("int32", (1,), 0, 0),
        "y": info(dtype, ("B", 1), ends, -1 - ends if ends > -102400 else 127 * 800),
    }
    constants = {"w": np.full((1, 8), 100, np.int8), "b": np.zeros(1, np.int32)}
    nodes = (Node("linear", {"x": "x", "weight": "w", "bias": "b"}, {"y": "y"}, attrs, site="layer"),)
    return Model(nodes, tensors, constants, {"x": None}, {"y": "y"}, {"B": 4})


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
def test_a_model_is_proved_within_the_declared_width(overflow):
    made = model(accumulator=16, overflow=overflow)
    assert made.proof().ranges["y"] == (-(1 << 15), (1 << 15) - 1)
    x = np.array([[127] * 8, [-128] * 8, [10] * 8], np.int8)
    results = [made.run({"x": x}, backend=backend) for backend in ("fast", "reference")]
    assert results[0].digest == results[1].digest
    # 101600 - 65536 - 65536 = -29472; -102400 + 131072 = 28672.
    want = {"wrap": [[-29472], [28672], [8000]], "saturate": [[32767], [-32768], [8000]]}[overflow]
    assert results[0].outputs["y"].tolist() == want


def test_a_model_that_may_leave_its_width_is_refused():
    model(accumulator=18).proof()
    with pytest.raises(BoundError, match=r"node layer \(op linear\): tensor 'y' is of 17 bits, but may reach"):
        model(accumulator=17).proof()


def test_a_profile_names_registers(tmp_path):
    text = Path(intref.__file__).with_name("profiles").joinpath("ibert.toml").read_text("utf-8")
    for site, keys in (
        ("linear", 'accumulator = 20\noverflow = "saturate"\nevery = 4'),
        ("scores", "accumulator = 24"),
    ):
        text = text.replace(f"[{site}]\n", f"[{site}]\n{keys}\n")
    text = text.replace('name = "ibert"', 'name = "narrow"')
    path = tmp_path / "narrow.toml"
    path.write_text(text, "utf-8")
    made = intref.load(SENTIMENT).quantize(recipe="ibert", profile=path)
    attrs = [node.attrs for node in made.nodes if node.op == "linear"]
    assert attrs and all(given == {"accumulator": 20, "overflow": "saturate", "every": 4} for given in attrs)
    assert max(made.tensors[n.outputs["y"]].bits for n in made.nodes if n.op in ("linear", "matmul")) <= 24
    ids = {"input_ids": np.arange(5, 17, dtype=np.int32)[None]}
    assert made.run(ids, backend="fast").digest == made.run(ids, backend="reference").digest
