"""Is the integer model close to the float one for every recipe, the same each time, and refused where it cannot be?"""

from pathlib import Path

import numpy as np
import pytest
import threadpoolctl

import hostile
import intref
from intref.errors import IntrefError, SpecError
from intref.model import EXACT
from intref.quantize.calibration import batches_for, drawn, read_batches
from intref.quantize.observe import observe

RECIPES = ("ibert", "ibert-r16", "w8a8-token")
SENTIMENT = Path(__file__).resolve().parent.parent / "golden" / "models" / "sentiment"
F32 = np.float32


def bert(path, edit=None, extra=hostile.CLASSIFIER, seed=0, **config):
    """The float model of a random checkpoint whose norms have gammas about 1."""
    tensors = hostile.encoder_tensors(extra, seed)
    for name in tensors:
        if name.endswith("LayerNorm.weight"):
            tensors[name] = (1 + 0.2 * tensors[name]).astype(F32)
    if edit is not None:
        edit(tensors)
    return intref.load(hostile.write_checkpoint(path, tensors, **config))


def calibration(longest: int = 10) -> list:
    draw = np.random.default_rng(1)
    return [{"input_ids": draw.integers(0, 11, (8, longest))} for _ in range(4)]


def ids(longest: int = 10) -> dict:
    return {"input_ids": np.random.default_rng(2).integers(0, 11, (6, longest))}


def cosine(a, b) -> float:
    a, b = np.ravel(a).astype(float), np.ravel(b).astype(float)
    return a @ b / (np.linalg.norm(a) * np.linalg.norm(b))


def norms(change):
    """An edit of the gammas of every norm."""

    def edit(tensors):
        for name in tensors:
            if name.endswith("LayerNorm.weight"):
                change(tensors[name])

    return edit


def vanishing(gamma):
    gamma[1], gamma[3], gamma[5] = 0, 1e-33, -1.5e-9


def negative(gamma):
    gamma *= -1


def silent(tensors):
    for name in tensors:
        if name.endswith(("query.weight", "intermediate.dense.weight")):
            tensors[name][:] = 0


def void(tensors):
    for name in tensors:
        if tensors[name].ndim == 2:
            tensors[name][:] = 0


KINDS = {
    "random": (None, {}, 10),
    "vanishing gammas": (norms(vanishing), {}, 10),
    "negative gammas": (norms(negative), {}, 10),
    "weights of zero": (silent, {}, 10),
    "every matrix of zeros": (void, {}, 10),
    "no epsilon": (None, {"layer_norm_eps": 0}, 10),
    "a large epsilon": (None, {"layer_norm_eps": 0.1}, 10),
    "one head": (None, {"num_attention_heads": 1}, 10),
    "heads of width 1": (None, {"num_attention_heads": 8}, 10),
    "a single token": (None, {}, 1),
}


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("kind", KINDS)
def test_is_every_output_close_to_the_float_model(tmp_path, kind, recipe):
    edit, config, longest = KINDS[kind]
    if kind == "a large epsilon" and recipe != "w8a8-token":
        pytest.skip("layernorm_ibert has no epsilon")
    fm = bert(tmp_path / "c", edit, **config)
    run, want = fm.quantize(recipe, calib=calibration(longest)).run(ids(longest), "reference"), fm.run(ids(longest))
    assert [*run.outputs] == ["last_hidden_state", "pooler_output", "logits"]
    for name in run.outputs:
        assert run.float(name).shape == want[name].shape
        assert cosine(run.float(name), want[name]) > 0.97, name


@pytest.mark.parametrize("recipe", RECIPES)
def test_are_roberta_positions_and_the_sentence_embedding_close(tmp_path, recipe):
    tensors = hostile.encoder_tensors(hostile.POOLER)
    path = hostile.write_checkpoint(tmp_path / "c", tensors, model_type="roberta", pad_token_id=1)
    hostile.write_modules(path, ("Transformer", "Pooling"), {"pooling_mode_mean_tokens": True})
    fm = intref.load(path, head="sentence")
    model = fm.quantize(recipe, calib=calibration(8))
    mask = np.ones((6, 8), int)
    mask[0, 5:] = mask[1, :3] = mask[2, ::2] = 0
    inputs = {**ids(8), "attention_mask": mask}
    run, want = model.run(inputs, "reference", "emb.positions"), fm.run(inputs)
    assert run.trace["emb.positions"][:3].tolist() == [
        [2, 3, 4, 5, 6, 1, 1, 1],
        [1, 1, 1, 2, 3, 4, 5, 6],
        [1, 2, 1, 3, 1, 4, 1, 5],
    ]
    assert cosine(run.float("sentence_embedding"), want["sentence_embedding"]) > 0.97
    attended = mask == 1
    assert cosine(run.float("last_hidden_state")[attended], want["last_hidden_state"][attended]) > 0.97


def test_is_a_vanishing_channel_its_beta(tmp_path):
    fm = bert(tmp_path / "c", norms(vanishing))
    for recipe in RECIPES:
        run, want = fm.quantize(recipe, calib=calibration()).run(ids(), "reference"), fm.run(ids())
        got = run.float("last_hidden_state")
        mantissa, exponent = run.model.scales[run.model.outputs["last_hidden_state"]]
        scale = mantissa * 2.0**exponent
        beta = fm.weights["L1.ffn.norm.bias"][[1, 3]]
        top = np.abs(want["last_hidden_state"]).max()
        for channel, b in zip((1, 3), beta):
            values = got[..., channel]
            assert np.ptp(values) == 0 and abs(values.flat[0] - b) <= max(scale, abs(b) - top), (recipe, channel)


@pytest.mark.parametrize("recipe", RECIPES)
def test_is_the_logits_sign_of_the_sentiment_model_kept(recipe):
    fm = intref.load(SENTIMENT)
    model = fm.quantize(recipe)
    rows = [row["input_ids"] for row in batches_of_sentiment()][:3]
    inputs = {"input_ids": np.concatenate(rows)}
    run, want = model.run(inputs, "reference"), fm.run(inputs)
    agreed = (run.float("logits").argmax(1) == want["logits"].argmax(1)).mean()
    assert agreed >= 0.95 and cosine(run.float("logits"), want["logits"]) > 0.99
    assert model.about["calibration"] == "built-in calibration.safetensors"


def batches_of_sentiment() -> list:
    return [*read_batches(SENTIMENT / "calibration.safetensors")]


@pytest.mark.parametrize("recipe", RECIPES)
def test_is_a_width_of_one_no_special_case(tmp_path, recipe):
    shapes = {**hostile.encoder_shapes(), **hostile.CLASSIFIER}
    draw = np.random.default_rng(3)
    narrow = {n: draw.normal(0, 0.5, [{8: 1, 12: 3}.get(v, v) for v in s]).astype(F32) for n, s in shapes.items()}
    config = {"hidden_size": 1, "num_attention_heads": 1, "intermediate_size": 3}
    fm = intref.load(hostile.write_checkpoint(tmp_path / "c", narrow, **config))
    run, want = fm.quantize(recipe, calib=calibration()).run(ids(), "reference"), fm.run(ids())
    assert all(cosine(run.float(name), want[name]) > 0.999 for name in run.outputs)


def times(factor):
    def edit(tensors):
        for name in tensors:
            tensors[name] = tensors[name] * F32(factor)

    return edit


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("factor", [0, 1e-30, 1e-12, 1e4, 1e12])
def test_do_weights_of_absurd_size_end_in_a_model_or_in_one_line(tmp_path, factor, recipe):
    try:
        fm = bert(tmp_path / "c", times(factor))
        fm.quantize(recipe, calib=calibration()).run(ids(), "reference", "all")
    except IntrefError as error:
        assert "\n" not in str(error) and ("node " in str(error) or "calibration" in str(error))


def test_is_epsilon_an_attribute_that_json_holds(tmp_path):
    fm = bert(tmp_path / "c", times(1e-12), layer_norm_eps=1e-5)
    model = fm.quantize("w8a8-token", calib=calibration())
    eps = [node.attrs["eps"] for node in model.nodes if node.op == "layernorm_fixed"]
    assert EXACT // 8 < eps[0] < EXACT
    run, want = model.run(ids(), "reference"), fm.run(ids())
    assert cosine(run.float("last_hidden_state"), want["last_hidden_state"]) > 0.99


def test_is_the_same_model_made_twice(tmp_path):
    fm = bert(tmp_path / "c")
    for recipe in RECIPES:
        for i in (1, 2):
            fm.quantize(recipe, calib=calibration()).save(tmp_path / f"{i}")
        assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_do_models_survive_their_file(tmp_path):
    fm = bert(tmp_path / "c")
    for recipe in RECIPES:
        model = fm.quantize(recipe, calib=calibration())
        model.save(tmp_path / "m")
        again = intref.open(tmp_path / "m")
        assert again.hash == model.hash and again.about == model.about and again.scales == model.scales
        assert again.run(ids(), "reference").digest == model.run(ids(), "reference").digest


def test_does_the_seed_choose_the_ids_that_are_drawn(tmp_path):
    fm = bert(tmp_path / "c")
    one, same, other = (fm.quantize(seed=seed) for seed in (0, 0, 1))
    assert one.hash == same.hash != other.hash
    assert other.about["calibration"] == "32 sequences of random token ids, seed 1" and other.about["seed"] == 1
    assert [b["input_ids"].shape[1] for b in drawn(fm, 0)] == [min(10, 8 * (i // 4 + 1)) for i in range(32)]
    for seed in (-1, 1 << 32, 0.5, "0", None, True):
        with pytest.raises(SpecError, match=r"^seed must be an integer in"):
            fm.quantize(seed=seed)


def test_what_does_progress_say(tmp_path):
    said = []
    fm = bert(tmp_path / "c")
    fm.quantize("ibert", calib=calibration(), progress=lambda *row: said.append(row))
    assert said[0] == ("calibrate: ranges", 1, 4) and said[-1] == ("lower", 2, 2)
    assert ("calibrate: histograms", 4, 4) in said


def test_is_calibration_without_tokens_refused(tmp_path):
    fm = bert(tmp_path / "c")
    with pytest.raises(SpecError, match="expected at least one batch"):
        fm.quantize(calib=[])
    nothing = {"input_ids": np.array([[1, 2]]), "attention_mask": np.array([[0, 0]])}
    with pytest.raises(SpecError, match="expected at least one attended token, found none"):
        fm.quantize(calib=[nothing])
    fm.quantize(calib=[nothing, *calibration()])
    with pytest.raises(SpecError, match=r"'input_ids' must be in 0\.\.10"):
        fm.quantize(calib=[{"input_ids": [[99]]}])


def test_does_padding_reach_the_ranges(tmp_path):
    fm = bert(tmp_path / "c")
    plain = {"input_ids": np.array([[1, 2, 3]])}
    padded = {"input_ids": np.array([[1, 2, 3, 9, 9]]), "attention_mask": np.array([[1, 1, 1, 0, 0]])}
    one, other = (observe(fm, [batch], True, lambda *_: None) for batch in (plain, padded))
    assert one.sites.keys() == other.sites.keys()
    for name, site in one.sites.items():
        assert np.allclose(site.channels, other.sites[name].channels, rtol=1e-5), name
        assert site.counts.sum() == other.sites[name].counts.sum(), name


def test_which_calibration_is_used_when_none_is_given(tmp_path):
    assert batches_for(intref.load(SENTIMENT), None, 0)[1] == "built-in calibration.safetensors"
    batches, source = batches_for(bert(tmp_path / "c"), None, 7)
    assert len(batches) == 32 and source.endswith("seed 7")


def test_is_a_row_that_calibration_never_met_kept(tmp_path):
    """Token 9 stands far outside the calibrated range: the scale must hold it, for a weight is never clipped."""

    def edit(tensors):
        tensors["embeddings.word_embeddings.weight"][9] *= 100

    fm = bert(tmp_path / "c", edit)
    model = fm.quantize("w8a8-token", calib=[{"input_ids": [[1, 2, 3, 4]]}])
    mantissa, exponent = model.scales["emb.sum"]
    real = model.constants["emb.word.table"] * (mantissa * 2.0**exponent)
    assert np.abs(real - fm.weights["emb.word"]).max() <= mantissa * 2.0 ** (exponent - 1)


def test_does_the_number_of_blas_threads_change_no_byte(tmp_path):
    """At sizes where a BLAS does split its sums."""
    fm = bert(tmp_path / "c")
    seen = []

    def observe(*_):
        seen.append({pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"})

    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        fm.quantize("ibert", calib=calibration(), progress=observe)
    assert {1} in seen and set().union(*seen) <= {1, 2}
