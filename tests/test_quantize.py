"""Are the integers that quantization makes the ones its formulas say, and is the model they make close to the float one?"""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hostile
import intref
from intref.errors import BoundError, FormatError, IntrefError, SpecError, Unsupported
from intref.intmath import MAX_SHIFT
from intref.model import EXACT
from intref.quantize import scales
from intref.quantize.calibration import batches_for, drawn, read_batches
from intref.quantize.observe import BINS, Ranges, Site, observe
from intref.quantize.recipe import RECIPES as FOLDER
from intref.quantize.recipe import load_recipe, names
from intref.quantize.scales import dyadic, rounded

RECIPES = ("ibert", "ibert-r16", "w8a8-token")
SENTIMENT = Path(__file__).resolve().parent.parent / "golden" / "models" / "sentiment"
F32 = np.float32


def exact_dyadic(ratio: float, bits: int, max_shift: int) -> tuple[int, int]:
    """The definition, in rationals: the mantissa half away from zero, then bits lost half up at the largest shift."""
    r = abs(Fraction(ratio))
    if not r:
        return 0, 0
    shift = 0
    while r * 2**shift < 2 ** (bits - 1):
        shift += 1
    multiplier = int(r * 2**shift + Fraction(1, 2))
    if multiplier == 2**bits:
        multiplier, shift = multiplier // 2, shift - 1
    if shift > max_shift:
        multiplier, shift = int(Fraction(multiplier, 2 ** min(shift - max_shift, 62)) + Fraction(1, 2)), max_shift
    return (multiplier if ratio > 0 else -multiplier), shift


RATIOS = st.one_of(
    st.floats(2.0**-120, 2.0**30, exclude_max=True),
    st.builds(lambda m, e: m * 2.0**e, st.integers(1, 1 << 53), st.integers(-150, -24)),
    st.builds(lambda k, e: (1 - k * 2.0**-33) * 2.0**e, st.integers(0, 8), st.integers(-99, 30)),  # rounds to 2**31
    st.builds(lambda k, e: (2**31 + k + 0.5) * 2.0**e, st.integers(0, 99), st.integers(-120, -2)),  # a tie
)


@given(ratio=RATIOS, sign=st.sampled_from([1, -1]))
def test_is_dyadic_the_definition(ratio, sign):
    multiplier, shift = dyadic(sign * ratio)
    assert (int(multiplier[0]), int(shift[0])) == exact_dyadic(sign * ratio, 31, MAX_SHIFT)
    assert multiplier.dtype == np.int32 and shift.dtype == np.int8


@given(ratio=st.floats(2.0**-90, 2.0**15), bits=st.sampled_from([16, 24]), most=st.sampled_from([38, 62, 70]))
def test_is_dyadic_the_definition_for_fewer_bits(ratio, bits, most):
    multiplier, shift = dyadic(ratio, bits, most)
    assert (int(multiplier[0]), int(shift[0])) == exact_dyadic(ratio, bits, most)


@pytest.mark.parametrize(
    "ratio, want",
    [
        (0.0, (0, 0)),
        (-0.0, (0, 0)),
        (1.0, (1 << 30, 30)),
        (-1.0, (-(1 << 30), 30)),
        (0.5, (1 << 30, 31)),
        (2.0**31 - 1, (2**31 - 1, 0)),
        (1 - 2.0**-32, (1 << 30, 30)),  # 2**31 - 1/2 rounds to 2**31
        (1 - 2.0**-31, (2**31 - 1, 31)),
        (2.0**-64, (1 << 30, 94)),
        (2.0**-65, (1 << 29, 94)),
        (2.0**-94, (1, 94)),
        (2.0**-95, (1, 94)),  # half of the last step: up
        (2.0**-96, (0, 94)),
        (-(2.0**-95), (-1, 94)),
        (1e-300, (0, 94)),
        (5e-324, (0, 94)),
    ],
)
def test_where_are_the_edges_of_dyadic(ratio, want):
    multiplier, shift = dyadic(ratio)
    assert (int(multiplier[0]), int(shift[0])) == want


@pytest.mark.parametrize("ratio", [2.0**31, -(2.0**31), 2.0**31 - 0.5, np.inf, -np.inf, np.nan, 1e300])
def test_is_a_ratio_that_no_multiplier_holds_refused(ratio):
    with pytest.raises(BoundError, match="does not fit a 31-bit multiplier"):
        dyadic([1.0, ratio])


def test_are_ties_of_rounded_upward():
    assert rounded([-1.5, -0.5, 0.5, 1.5, 2.4], -9, 9).tolist() == [-1, 0, 1, 2, 2]
    assert rounded([-1e300, 1e300], -9, 9).tolist() == [-9, 9]


def test_are_the_ibert_constants_the_stepwise_float32_formulas():
    for s in np.random.default_rng(0).uniform(2.0**-13, 0.5, 500).astype(F32):
        made = scales.softmax_constants(float(s))
        assert made["ln2"] == -int(np.floor(F32(F32(1) / s) * F32(-0.6931)))
        assert made["b"] == int(np.floor(F32(F32(1) / s) * F32(0.96963238 / 0.35815147)))
        assert made["c"] == int(np.floor(F32(F32(1) / F32(s * s)) * F32(1 / 0.35815147)))
        assert (made["multiplier"], made["shift"]) == exact_dyadic(32767 / (made["c"] * 2.0**30), 31, 94)
    s = np.random.default_rng(1).uniform(2.0**-20, 2.0**-5, 500).astype(F32)
    made, out = scales.gelu_constants(s)
    for i, one in enumerate(s):
        k = F32(one / F32(1.4142))
        square = F32(k * k)
        erf = F32(F32(square * F32(-0.2888)) * F32(2**14))
        assert made["b"][i] == np.floor(F32(F32(1) / k) * F32(-1.769))
        assert made["c"][i] == np.floor(F32(F32(1) / square) * F32(1 / -0.2888))
        assert made["one"][i] == np.floor(F32(F32(1) / erf))
        assert out[i] == np.float64(F32(one * erf)) / 2


def test_is_a_constant_that_no_integer_holds_refused():
    for scale in (1e-30, 1e-38):
        with pytest.raises(BoundError, match="a constant of a polynomial"):
            scales.softmax_constants(scale)


def test_are_weights_and_biases_the_published_ones():
    w = np.array([[1, -1, 0.5, 0.25], [0, 0, 0, 0], [-3, 1e-9, 2, 1.5]], F32)
    scale = scales.weight_scale(w, 8)
    assert np.array_equal(scale, np.array([F32(1) / F32(127), 1, F32(3) / F32(127)], F32))
    assert scales.quantized_weight(w, scale[:, None], 8, "symmetric").tolist() == [
        [127, -127, 64, 32],
        [0] * 4,
        [-127, 0, 85, 64],
    ]
    ibert = scales.quantized_weight(w, scale[:, None], 8, "ibert")
    assert ibert[:, 0].tolist() == [126, 0, -127]  # the largest is one less than in the symmetric form
    assert np.array_equal(ibert, np.clip(np.rint(F32(F32(1) / scale[:, None]) * w), -127, 126))
    assert scales.ibert_bias(np.array([1.0, -1e30, 1e30], F32), np.array([0.25], F32)).tolist() == [
        4,
        1 - 2**31,
        2**31 - 2,
    ]


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_do_weights_of_few_bits_stay_in_their_range(bits):
    w = np.random.default_rng(bits).normal(size=(9, 33)).astype(F32)
    n = scales.symmetric_range(bits)
    for form, top in (("symmetric", n), ("ibert", n - 1)):
        q = scales.quantized_weight(w, scales.weight_scale(w, bits)[:, None], bits, form)
        assert -n <= q.min() and q.max() == top


def test_are_tables_the_functions_they_name():
    table = scales.exp2_table()
    assert (len(table), table[0], table[128], table[256]) == (257, 1 << 30, 759250125, 1 << 29)
    gelu = scales.gelu_entries()
    assert (len(gelu), gelu[0], gelu[64]) == (513, 0, 2661793)  # Phi(-1) = 0.15865525393145705
    entries, scale = scales.tanh_entries(0.25, "int8")
    assert (entries[128], entries[132], scale) == (0, 97, 1 / 127)  # tanh(1) = 0.76159


# --- an oracle that no one here wrote: I-BERT's modules in Hugging Face's port, in float64 with power-of-two scales


@pytest.fixture
def ibert():
    torch = pytest.importorskip("torch")
    modules = pytest.importorskip("transformers.models.ibert.quant_modules")
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    with torch.no_grad():
        yield torch, modules
    torch.set_default_dtype(before)


def integers(value) -> np.ndarray:
    return np.rint(value.numpy()).astype(np.int64)


@pytest.mark.parametrize("k", [3, 5, 8, 10, 12])
def test_is_softmax_ibert_the_published_module(ibert, k):
    torch, modules = ibert
    module = modules.IntSoftmax(8, quant_mode=True).eval()
    s = torch.tensor(2.0**-k)
    ln2, b, c = (int(torch.floor(v / d)) for v, d in ((module.x0, s), (module.coef[1], s), (module.coef[2], s**2)))
    made = scales.softmax_constants(2.0**-k)
    assert (made["ln2"], made["b"], made["c"]) == (-ln2, b, c)
    out = float(F32(c * 2.0**30 / 32767))  # the module's own scale is a float32
    module.act.x_max = torch.tensor(out * 32767)
    x = np.random.default_rng(k).integers(-(1 << k + 3), 1 << k + 3, (8, 2, 16, 24))
    x[0] = 0
    x[1, ..., 1:] = x[1].min() - (40 << k)
    x[2] >>= 3
    want, scale = module(torch.tensor(x) * s, s)
    multiplier, shift = dyadic(1 / out)
    attrs = {"ln2": -ln2, "b": b, "c": c, "multiplier": int(multiplier[0]), "shift": int(shift[0])}
    got = intref.call("softmax_ibert", {"x": x.astype(np.int32), "mask": np.ones((8, 24), np.int8)}, attrs)["p"]
    assert np.array_equal(got, integers(want / scale))


@pytest.mark.parametrize("k", [6, 9, 12, 15])
def test_is_gelu_ibert_the_published_module(ibert, k):
    torch, modules = ibert
    module = modules.IntGELU(quant_mode=True)
    s = torch.tensor(2.0**-k)
    inner = s / module.k
    constants = {
        "b": torch.floor(module.coeff[1] / inner),
        "c": torch.floor(module.coeff[2] / inner**2),
        "one": 1.0 // (inner**2 * module.coeff[0] * 2**14),
    }
    top = 6 << k
    x = np.concatenate([np.arange(-300, 301), np.random.default_rng(k).integers(-top, top, 4000), [top, -top, 0]])
    want, scale = module(torch.tensor(x) * s, s)
    given = {name: integers(value).reshape(1) for name, value in constants.items()}
    got = intref.call("gelu_ibert", {"x": x.astype(np.int32), **given}, {})["y"]
    assert np.array_equal(got, integers(want / scale))


@pytest.mark.parametrize("width, shift", [(16, 0), (64, 0), (384, 0), (256, 5)])
def test_is_layernorm_ibert_the_published_module(ibert, width, shift):
    torch, modules = ibert
    draw = np.random.default_rng(width)
    module = modules.IntLayerNorm(width, 1e-5, quant_mode=True).eval()
    module.weight.data = torch.tensor(draw.normal(size=width))
    module.bias.data = torch.tensor(draw.normal(size=width))
    module.shift = torch.tensor(float(shift))
    x = draw.integers(-(1 << 12 + shift), 1 << 12 + shift, (20, 7, width))
    x[0] >>= 8 + shift // 2
    x[1] = 1 << shift + 3  # a constant row but for one outlier
    x[1, :, 0] = -(1 << 12 + shift)
    s = torch.tensor(2.0**-7)
    want, scale = module(torch.tensor(x) * s, s)
    bias = torch.floor(module.bias / module.weight / (module.dim_sqrt / 2**30))
    got = intref.call("layernorm_ibert", {"x": x.astype(np.int32), "bias": integers(bias.data)}, {"shift": shift})["y"]
    assert np.array_equal(got, integers(want.data / scale.data))


@pytest.mark.parametrize("bits", [8, 16, 22])
def test_are_rescale_and_add_the_published_fixed_point_product(ibert, bits):
    torch, modules = ibert
    draw = np.random.default_rng(bits)
    x, y = (draw.integers(-(1 << 21), 1 << 21, (1, 50, 64)) for _ in range(2))
    sx, sy = (2.0 ** draw.integers(-12, -4, 64) for _ in range(2))
    out = torch.tensor([float(F32(0.0173))])
    n = (1 << bits - 1) - 1
    tensors = [torch.tensor(v) for v in (x * sx, sx, y * sy, sy)]
    want = modules.FixedPointMul.apply(tensors[0], tensors[1], bits, out)
    multiplier, shift = dyadic(sx / float(out))
    attrs = {"rounding": "half_even", "output": "int32", "low": -n - 1, "high": n}
    inputs = {"x": x.astype(np.int32), "multiplier": multiplier, "shift": shift}
    assert np.array_equal(intref.call("rescale", inputs, attrs)["y"], integers(want))
    want = modules.FixedPointMul.apply(tensors[0], tensors[1], bits, out, tensors[2], tensors[3])
    inputs = {"a": x.astype(np.int32), "a_multiplier": multiplier, "a_shift": shift, "b": y.astype(np.int32)}
    inputs["b_multiplier"], inputs["b_shift"] = dyadic(sy / float(out))
    assert np.array_equal(intref.call("add", inputs, attrs)["y"], integers(want))


def test_are_constants_the_ones_that_torch_makes_in_float32(ibert):
    torch, modules = ibert
    s = torch.tensor(np.random.default_rng(3).uniform(2.0**-13, 2.0**-3, 5000).astype(F32))
    softmax, gelu = modules.IntSoftmax(8, quant_mode=True), modules.IntGELU()
    want = [torch.floor(v / d) for v, d in ((softmax.x0, s), (softmax.coef[1], s), (softmax.coef[2], s**2))]
    for i, one in enumerate(s.tolist()):
        made = scales.softmax_constants(one)
        assert [-made["ln2"], made["b"], made["c"]] == [int(w[i]) for w in want]
    inner = s / gelu.k
    made, _ = scales.gelu_constants(s.numpy())
    assert np.array_equal(made["b"], integers(torch.floor(gelu.coeff[1] / inner)))
    assert np.array_equal(made["c"], integers(torch.floor(gelu.coeff[2] / inner**2)))
    assert np.array_equal(made["one"], integers(torch.floor(1 / (inner**2 * gelu.coeff[0] * 2**14))))


# --- whole models


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


KINDS = {
    "random": (None, {}, 10),
    "vanishing gammas": (norms(vanishing), {}, 10),
    "negative gammas": (norms(negative), {}, 10),
    "weights of zero": (silent, {}, 10),
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


def test_does_a_width_of_one_end_in_a_model_or_in_one_line(tmp_path):
    shapes = {**hostile.encoder_shapes(), **hostile.CLASSIFIER}
    draw = np.random.default_rng(3)
    narrow = {n: draw.normal(0, 0.5, [{8: 1, 12: 3}.get(v, v) for v in s]).astype(F32) for n, s in shapes.items()}
    config = {"hidden_size": 1, "num_attention_heads": 1, "intermediate_size": 3}
    fm = intref.load(hostile.write_checkpoint(tmp_path / "c", narrow, **config))
    run, want = fm.quantize("w8a8-token", calib=calibration()).run(ids(), "reference"), fm.run(ids())
    assert all(cosine(run.float(name), want[name]) > 0.9999 for name in run.outputs)
    with pytest.raises(BoundError, match=r"node L0\.softmax .*attribute 'ln2' must be in \[1, 65536\]"):
        fm.quantize("ibert", calib=calibration())  # scores that hardly differ need a finer exponential than it has


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
        with pytest.raises(SpecError, match="^seed must be an integer in"):
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
    with pytest.raises(SpecError, match="'input_ids' must be in 0..10"):
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


def test_what_range_does_an_observer_take():
    counts = np.zeros(BINS, np.int64)
    counts[: BINS // 2], counts[-1] = 10, 1  # uniform up to a half, and one outlier at 1
    ranges = Ranges({"x": Site(np.array([1.0, 0.25]), 3.0, counts)})
    assert ranges.peak("x") == 1 and ranges.squares("x") == 3
    assert ranges.heads("x", 2).tolist() == [1, 0.25]
    assert ranges.clip("x", "minmax", 50, 8) == 1
    assert ranges.clip("x", "percentile", 100, 8) == 1
    assert abs(ranges.clip("x", "percentile", 50, 8) - 0.25) < 1e-3
    assert 0.4 < ranges.clip("x", "mse", 0, 4) < 0.6 < ranges.clip("x", "mse", 0, 8) < 0.8
    empty = Ranges({"x": Site(np.zeros(2))})
    assert empty.clip("x", "percentile", 99, 8) == 0 == empty.clip("x", "mse", 99, 8)


# --- files of recipes and of calibration data


def test_are_the_recipes_whole():
    assert {*RECIPES} <= {*names()}
    for name in names():
        recipe = load_recipe(name)
        assert recipe.name == name and load_recipe(str(FOLDER / f"{name}.toml")) == recipe


TEXT = (FOLDER / "ibert.toml").read_text(encoding="utf-8")
BROKEN = {
    "no name": (TEXT.replace('name = "ibert"', ""), "name must be text, not None"),
    "no TOML": ("[", "not TOML"),
    "an unknown table": (TEXT + "\n[colour]\nred = 1", "key 'colour' is unknown"),
    "no table": (TEXT.split("[wide]")[0], "table 'wide' must have the keys"),
    "an unknown key": (TEXT.replace("headroom = 1.0", "headroom = 1.0\ncolour = 1"), "table 'wide' must have the keys"),
    "a key missing": (TEXT.replace("headroom = 1.0", ""), "table 'wide' must have the keys"),
    "too many bits": (
        TEXT.replace("[weights]\nbits = 8", "[weights]\nbits = 9"),
        "weights.bits must be in (2, 8), not 9",
    ),
    "fractional bits": (
        TEXT.replace("[weights]\nbits = 8", "[weights]\nbits = 7.5"),
        "weights.bits must be in (2, 8), not 7.5",
    ),
    "true bits": (
        TEXT.replace("[weights]\nbits = 8", "[weights]\nbits = true"),
        "weights.bits must be in (2, 8), not True",
    ),
    "an unknown form": (TEXT.replace('form = "ibert"', 'form = "other"'), "weights.form must be in"),
    "headroom that is no number": (TEXT.replace("headroom = 1.0", "headroom = nan"), "wide.headroom must be in"),
}


@pytest.mark.parametrize("why", BROKEN)
def test_is_a_recipe_that_is_none_refused(tmp_path, why):
    text, said = BROKEN[why]
    path = tmp_path / "r.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FormatError) as caught:
        load_recipe(str(path))
    message = str(caught.value)
    assert said in message and str(path) in message and "\n" not in message


def test_is_an_unknown_recipe_refused():
    with pytest.raises(Unsupported, match="recipe 'w9a9': there is no such file, and no recipe but ibert"):
        load_recipe("w9a9")


def rows(batches) -> list:
    return [row for batch in batches for row in np.asarray(batch["input_ids"]).tolist()]


def test_are_calibration_files_read(tmp_path):
    ids = np.arange(40).reshape(20, 2)
    np.savez(tmp_path / "c.npz", input_ids=ids, attention_mask=np.ones_like(ids))
    batches = [*read_batches(tmp_path / "c.npz")]
    assert [len(b["input_ids"]) for b in batches] == [16, 4] and rows(batches) == ids.tolist()
    assert all(b.keys() == {"input_ids", "attention_mask"} for b in batches)
    (tmp_path / "c.jsonl").write_text('[1, 2, 3]\n\n{"input_ids": [4, 5]}\n[6, 7]\n')
    assert rows(read_batches(tmp_path / "c.jsonl")) == [[4, 5], [6, 7], [1, 2, 3]]  # equal lengths share a batch


BAD_FILES = {
    "c.bin": (b"", Unsupported, "calibration files are"),
    "c": (b"", Unsupported, "not without suffix"),
    "absent.npz": (None, FormatError, "found none"),
    "empty.npz": (b"", FormatError, "npz archive"),
    "text.npz": (b"hello", FormatError, "npz archive"),
    "empty.jsonl": (b"\n\n", FormatError, "found an empty file"),
    "text.jsonl": (b"hello\n", FormatError, "line 1: expected"),
    "float.jsonl": (b"[1]\n[1.5]\n", FormatError, "line 2: expected"),
    "negative.jsonl": (b"[-1]\n", FormatError, "line 1: expected"),
    "none.jsonl": (b"[]\n", FormatError, "line 1: expected"),
    "nested.jsonl": (b"[" * 100_000 + b"\n", FormatError, "line 1: expected"),
    "object.jsonl": (b'{"ids": [1]}\n', FormatError, "line 1: expected"),
    "bytes.jsonl": (b"[\xff]\n", FormatError, "line 1: expected"),
    "text.safetensors": (b"hello", FormatError, "text.safetensors"),
    "text.txt": (b"hello", FormatError, "expected a tokenizer.json"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_are_bad_calibration_files_refused(tmp_path, name):
    content, error, said = BAD_FILES[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(error) as caught:
        [*read_batches(tmp_path / name)]
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "arrays, said",
    [
        ({"ids": np.ones((1, 2), int)}, "expected an array input_ids, found ids"),
        ({"input_ids": np.ones((1, 2))}, "expected integers [N T], found float64 [1, 2]"),
        ({"input_ids": np.ones(2, int)}, "expected integers [N T], found int64 [2]"),
        ({"input_ids": np.ones((0, 2), int)}, "expected integers [N T], found int64 [0, 2]"),
        (
            {"input_ids": np.ones((1, 2), int), "attention_mask": np.ones((1, 3), int)},
            "expected shape [1, 2], found [1, 3]",
        ),
        ({"input_ids": np.array([[None]])}, "npz archive"),
    ],
)
def test_are_arrays_of_other_shapes_refused(tmp_path, arrays, said):
    np.savez(tmp_path / "c.npz", **arrays)
    with pytest.raises(FormatError) as caught:
        [*read_batches(tmp_path / "c.npz")]
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_does_text_go_through_a_tokenizer(tmp_path):
    pytest.importorskip("tokenizers")
    (tmp_path / "c.txt").write_text("a fine film\n\na fine film\nbad\n")
    batches = [*read_batches(tmp_path / "c.txt", SENTIMENT / "tokenizer.json")]
    lengths = [np.asarray(b["input_ids"]).shape for b in batches]
    assert len(lengths) == 2 and lengths[1][0] == 2
    (tmp_path / "t.json").write_text(json.dumps({"no": "tokenizer"}))
    with pytest.raises(FormatError, match=r"t\.json: expected a tokenizer\.json, found"):
        [*read_batches(tmp_path / "c.txt", tmp_path / "t.json")]
    (tmp_path / "c.txt").write_bytes(b"\xff\n")
    with pytest.raises(FormatError, match="expected UTF-8 text"):
        [*read_batches(tmp_path / "c.txt", SENTIMENT / "tokenizer.json")]


def test_which_calibration_is_used_when_none_is_given(tmp_path):
    assert batches_for(intref.load(SENTIMENT), None, 0)[1] == "built-in calibration.safetensors"
    batches, source = batches_for(bert(tmp_path / "c"), None, 7)
    assert len(batches) == 32 and source.endswith("seed 7")
