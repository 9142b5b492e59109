"""Activations of few bits with a zero point: does a profile's site give one, and does a product take it?"""

import numpy as np
import pytest

import intref
from intref.errors import FormatError
from intref.golden import suite_path
from intref.profiles import HERE, load_profile
from intref.quantize.calibration import batches_for

SITES = ("linear_input", "attention_input", "context", "activation")


@pytest.fixture(scope="module")
def sentiment():
    return intref.load(suite_path() / "models" / "sentiment")


@pytest.fixture(scope="module")
def calib(sentiment):
    return batches_for(sentiment, None, 0)[0][:2]


def moved(tmp_path, base):
    """A profile with zero points at every site that may have one."""
    text = (HERE / f"{base}.toml").read_text("utf-8").replace(f'name = "{base}"', 'name = "moved"')
    for site in SITES:
        text = text.replace(f"[{site}]\n", f'[{site}]\nzero_point = "calibrated"\n')
    path = tmp_path / "moved.toml"
    path.write_text(text, "utf-8")
    return str(path)


@pytest.mark.parametrize("base", ["ibert", "onnx", "tflite-single", "tosa", "ivit"])
def test_both_backends_give_the_same_bits_with_zero_points(sentiment, calib, tmp_path, base):
    model = sentiment.quantize("ibert", profile=moved(tmp_path, base), calib=calib)
    inner = [node.attrs["x_zero_point"] for node in model.nodes if node.op == "linear" and ".ffn.down" in node.site]
    assert inner and max(inner) < -100  # GELU is hardly ever negative: nearly all codes stand for what is above 0
    assert {p for n in model.nodes if n.op == "matmul" for p in n.attrs} >= {"a_zero_point", "b_zero_point"}
    assert model.run(calib[0], "reference").digest == model.run(calib[0], "fast").digest


def test_is_a_model_with_zero_points_nearer_to_the_real_one(sentiment, calib, tmp_path):
    right = sentiment.run(calib[0])["logits"]
    made = {p: sentiment.quantize("ibert", profile=p, calib=calib) for p in ("ibert", moved(tmp_path, "ibert"))}
    plain, with_zero_points = (np.abs(m.run(calib[0]).float("logits") - right).mean() for m in made.values())
    assert with_zero_points < plain


def test_has_zero_a_code_of_its_own(sentiment, calib, tmp_path):
    """Jacob et al. 2018: 0 must be exact, for padding and masks are 0."""
    model = sentiment.quantize("ibert", profile=moved(tmp_path, "ibert"), calib=calib)
    zeros = [node.attrs["x_zero_point"] for node in model.nodes if node.op == "linear" and "x_zero_point" in node.attrs]
    assert zeros and all(-128 <= zero <= 127 for zero in zeros)


def test_is_a_zero_point_refused_where_no_op_takes_it(tmp_path):
    text = (HERE / "intref.toml").read_text("utf-8").replace('name = "intref"', 'name = "mine"')
    path = tmp_path / "mine.toml"
    path.write_text(text.replace("[linear_input]\n", '[linear_input]\nzero_point = "calibrated"\n'), "utf-8")
    with pytest.raises(
        FormatError, match="site 'linear_input': key 'zero_point' is for rescale, not for quantize_token"
    ):
        load_profile(path)
