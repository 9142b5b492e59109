"""Is a checkpoint directory read exactly, or refused with one line that says what is wrong where?"""

import json

import numpy as np
import pytest

import hostile
from intref import checkpoint
from intref.errors import FormatError, IntrefError, Unsupported

MEAN = {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}


def refusal(kind: type[IntrefError], path, head=None) -> str:
    with pytest.raises(kind) as caught:
        checkpoint.read(path, head)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 600 and str(path) in message
    return message


def with_tensor(name, array):
    return {**hostile.encoder_tensors(), name: array}


def test_are_tensors_renamed_and_unchanged(tmp_path):
    tensors = hostile.encoder_tensors(hostile.CLASSIFIER)
    read = checkpoint.read(hostile.write_checkpoint(tmp_path / "c", tensors))
    assert read.family == "bert" and read.heads == ("pooler", "classifier") and not read.ignored
    assert len(read.weights) == len(tensors)
    for ours, theirs in (
        ("emb.word", "embeddings.word_embeddings.weight"),
        ("emb.position", "embeddings.position_embeddings.weight"),
        ("emb.type", "embeddings.token_type_embeddings.weight"),
        ("emb.norm.bias", "embeddings.LayerNorm.bias"),
        ("L1.k.weight", "encoder.layer.1.attention.self.key.weight"),
        ("L0.attn.out.bias", "encoder.layer.0.attention.output.dense.bias"),
        ("L0.attn.norm.weight", "encoder.layer.0.attention.output.LayerNorm.weight"),
        ("L1.ffn.up.weight", "encoder.layer.1.intermediate.dense.weight"),
        ("L1.ffn.down.weight", "encoder.layer.1.output.dense.weight"),
        ("L1.ffn.norm.bias", "encoder.layer.1.output.LayerNorm.bias"),
        ("pooler.weight", "pooler.dense.weight"),
        ("classifier.weight", "classifier.weight"),
    ):
        assert np.array_equal(read.weights[ours], tensors[theirs]), ours
    config = read.config
    assert (config.layers, config.heads, config.width, config.ffn_width) == (2, 2, 8, 12)
    assert (config.vocab, config.max_positions, config.type_vocab, config.norm_eps) == (11, 10, 2, 1e-12)
    assert (config.position_form, config.position_offset, config.max_tokens) == ("offset", 0, 10)
    assert config.labels == {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}


def test_is_the_family_prefix_optional_and_are_old_norm_names_read(tmp_path):
    tensors = hostile.encoder_tensors()
    renamed = {"bert." + name: array for name, array in tensors.items()}
    for name in [name for name in renamed if "LayerNorm" in name]:
        old = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        renamed[old] = renamed.pop(name)
    plain = checkpoint.read(hostile.write_checkpoint(tmp_path / "plain", tensors))
    prefixed = checkpoint.read(hostile.write_checkpoint(tmp_path / "prefixed", renamed))
    assert set(plain.weights) == set(prefixed.weights)
    assert all(np.array_equal(plain.weights[name], prefixed.weights[name]) for name in plain.weights)


def test_are_buffers_and_pretraining_heads_ignored_by_name(tmp_path):
    extra = {
        "bert.embeddings.position_ids": np.arange(10),
        "cls.predictions.bias": np.zeros(11, np.float32),
        "cls.seq_relationship.weight": np.zeros((2, 8), np.float32),
    }
    read = checkpoint.read(hostile.write_checkpoint(tmp_path / "c", {**hostile.encoder_tensors(), **extra}))
    assert read.ignored == tuple(sorted(extra))


def test_are_roberta_positions_and_heads_its_own(tmp_path):
    tensors = hostile.encoder_tensors({"pooler.dense.weight": (8, 8), "pooler.dense.bias": (8,)})
    own = hostile.encoder_tensors(hostile.CLASSIFIER, seed=1)
    heads = {
        "classifier.dense.weight": own["pooler.dense.weight"],
        "classifier.dense.bias": own["pooler.dense.bias"],
        "classifier.out_proj.weight": own["classifier.weight"],
        "classifier.out_proj.bias": own["classifier.bias"],
    }
    named = {**{"roberta." + name: array for name, array in tensors.items()}, **heads}
    path = hostile.write_checkpoint(tmp_path / "c", named, model_type="roberta", pad_token_id=None)
    read = checkpoint.read(path)
    assert (read.config.position_form, read.config.position_offset, read.config.max_tokens) == ("count", 1, 8)
    assert np.array_equal(read.weights["pooler.weight"], heads["classifier.dense.weight"])
    assert np.array_equal(read.weights["classifier.weight"], heads["classifier.out_proj.weight"])
    assert read.ignored == ("roberta.pooler.dense.bias", "roberta.pooler.dense.weight")


@pytest.mark.parametrize("code", ["F16", "BF16", "F64"])
def test_are_other_float_types_widened_or_rounded(tmp_path, code):
    name, values = "pooler.dense.bias", np.array([0, -1.5, 2.0**-20, 3, 255, -0.0, 1e-3, 7], np.float32)
    exact = np.array([0, -1.5, 2.0**-20, 3, 255, -0.0, 0, 7], np.float32)
    bits = values.view(np.uint32)
    stored = {"F16": exact.astype(np.float16), "BF16": (exact.view(np.uint32) >> 16).astype("<u2"), "F64": values}[code]
    stored = stored.astype(np.float64) if code == "F64" else stored
    directory = hostile.write_checkpoint(tmp_path / "c")
    data = hostile.stored_bytes(with_tensor(name, stored), {name: code})
    (directory / "model.safetensors").write_bytes(data)
    read = checkpoint.read(directory).weights["pooler.bias"]
    assert read.dtype == np.float32
    assert np.array_equal(read.view(np.uint32), bits if code == "F64" else exact.view(np.uint32))


def test_is_an_f64_weight_beyond_float32_refused(tmp_path):
    big = np.array([1e300, *[0] * 7])
    path = hostile.write_checkpoint(tmp_path / "c", with_tensor("pooler.dense.bias", big))
    assert "'pooler.dense.bias': expected finite weights, found inf at [0]" in refusal(FormatError, path)


def write_shards(path, names_to_files=None):
    """Split a written checkpoint into two shards and an index."""
    tensors = hostile.encoder_tensors()
    names = list(tensors)
    shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, members in shards.items():
        (path / file).write_bytes(hostile.stored_bytes({name: tensors[name] for name in members}))
    places = {name: file for file, members in shards.items() for name in members}
    index = {"metadata": {"total_size": 1}, "weight_map": places if names_to_files is None else names_to_files(places)}
    (path / "model.safetensors").unlink()
    (path / "model.safetensors.index.json").write_text(json.dumps(index))


def test_is_a_sharded_checkpoint_the_same(tmp_path):
    whole = checkpoint.read(hostile.write_checkpoint(tmp_path / "whole"))
    path = hostile.write_checkpoint(tmp_path / "sharded")
    write_shards(path)
    sharded = checkpoint.read(path)
    assert all(np.array_equal(whole.weights[name], sharded.weights[name]) for name in whole.weights)


@pytest.mark.parametrize(
    ("places", "said"),
    [
        (lambda places: None, "weight_map: expected tensor names"),
        (lambda places: dict.fromkeys(places, "../a.safetensors"), "weight_map: expected tensor names"),
        (lambda places: dict.fromkeys(places, 3), "weight_map: expected tensor names"),
        (
            lambda places: dict.fromkeys(places, "absent.safetensors"),
            "absent.safetensors: cannot be read: No such file",
        ),
        (lambda places: dict.fromkeys(places, "a.safetensors"), "a.safetensors: expected the tensor"),
        (lambda places: {}, "expected a tensor 'embeddings.word_embeddings.weight', found none"),
    ],
)
def test_is_a_bad_index_refused(tmp_path, places, said):
    path = hostile.write_checkpoint(tmp_path / "c")
    write_shards(path, places)
    assert said in refusal(FormatError, path)


def test_which_heads_are_there_and_which_can_be_asked_for(tmp_path):
    bare = hostile.write_checkpoint(tmp_path / "bare", hostile.encoder_tensors({}))
    pooled = hostile.write_checkpoint(tmp_path / "pooled")
    classifier = hostile.write_checkpoint(tmp_path / "classifier", hostile.encoder_tensors(hostile.CLASSIFIER))
    heads = {path.name: checkpoint.read(path).heads for path in (bare, pooled, classifier)}
    assert heads == {"bare": ("sentence",), "pooled": ("pooler", "sentence"), "classifier": ("pooler", "classifier")}
    sentence = checkpoint.read(classifier, "sentence")
    assert sentence.heads == ("sentence",) and not {"pooler.weight", "classifier.weight"} & set(sentence.weights)
    assert checkpoint.read(classifier, "classifier").heads == ("pooler", "classifier")
    assert checkpoint.read(pooled, "pooler").heads == ("pooler",)
    assert "expected a classifier head, found pooler" in refusal(FormatError, pooled, "classifier")
    assert "expected a pooler head, found no head" in refusal(FormatError, bare, "pooler")
    assert "supported are pooler, classifier, sentence" in refusal(Unsupported, bare, "lm")


def test_is_a_sentence_pipeline_understood(tmp_path):
    path = hostile.write_checkpoint(tmp_path / "c", hostile.encoder_tensors(hostile.CLASSIFIER))
    hostile.write_modules(path, ("Transformer", "Pooling"), MEAN)
    read = checkpoint.read(path)
    assert read.heads == ("pooler", "classifier", "sentence") and not read.normalize
    hostile.write_modules(path, ("Transformer", "Pooling", "Normalize"), {"pooling_mode": "mean"})
    assert checkpoint.read(path).normalize and checkpoint.read(path, "sentence").normalize
    (path / "modules.json").unlink()
    assert "sentence" in checkpoint.read(path).heads and not checkpoint.read(path).normalize


@pytest.mark.parametrize(
    ("kinds", "pooling", "folder", "said"),
    [
        (("Transformer", "Pooling", "Dense"), MEAN, "1_Pooling", "supported are Transformer, Pooling"),
        (("Transformer", "Pooling"), {"pooling_mode_cls_token": True}, "1_Pooling", "['pooling_mode_cls_token']"),
        (("Transformer", "Pooling"), {"pooling_mode": "max"}, "1_Pooling", "supported is the mean over tokens"),
        (("Transformer", "Pooling"), MEAN, "../c/1_Pooling", "expected the name of a folder"),
        (("Transformer", "Pooling"), MEAN, "2_Pooling", "config.json: cannot be read: No such file"),
    ],
)
def test_is_another_sentence_pipeline_refused(tmp_path, kinds, pooling, folder, said):
    path = hostile.write_modules(hostile.write_checkpoint(tmp_path / "c"), kinds, pooling, folder)
    assert said in refusal(IntrefError, path)
    assert checkpoint.read(path, "pooler").heads == ("pooler",)


CONFIGS = {
    "model_type": [
        ("gpt2", "supported are bert, roberta"),
        (None, "supported are bert, roberta"),
        ([], "supported are"),
    ],
    "hidden_act": [("gelu_new", "supported is 'gelu'"), (None, "expected a name, found none"), (3, "supported is")],
    "position_embedding_type": [("relative_key", "supported is 'absolute'")],
    "is_decoder": [(True, "supported is False")],
    "architectures": [
        (["BertForTokenClassification"], "supported are a bare model"),
        (["BertForQuestionAnswering"], "supported are a bare model"),
    ],
    "hidden_size": [
        (7, "expected a multiple of 2 heads, found 7"),
        (None, "found none"),
        (16, "expected shape [11, 16]"),
    ],
    "num_attention_heads": [(0, "expected an integer in 1..16777216, found 0"), (3, "expected a multiple of 3 heads")],
    "num_hidden_layers": [
        (3, "expected a tensor 'encoder.layer.2.attention.self.query.weight', found none"),
        (16777216, "expected a tensor 'encoder.layer.2.attention.self.query.weight', found none"),
        (1, "found also 'encoder.layer.1.attention.output.LayerNorm.bias'"),
        (10**9, "expected an integer in 1..16777216"),
        (2.0, "expected an integer in 1..16777216, found 2.0"),
        ("2", "expected an integer in 1..16777216, found '2'"),
        (True, "expected an integer in 1..16777216, found True"),
    ],
    "intermediate_size": [
        (13, "expected shape [13, 8], found [12, 8]"),
        (None, "intermediate_size: expected an integer"),
    ],
    "vocab_size": [(12, "expected shape [12, 8], found [11, 8]"), (-1, "found -1")],
    "max_position_embeddings": [(11, "expected shape [11, 8], found [10, 8]"), (0, "found 0")],
    "type_vocab_size": [(1, "expected shape [1, 8], found [2, 8]")],
    "layer_norm_eps": [
        (None, "expected a finite number"),
        ("1e-12", "found '1e-12'"),
        (-1, "found -1"),
        (1e999, "JSON"),
    ],
    "pad_token_id": [(-1, "pad_token_id: expected an integer")],
    "id2label": [
        ({"0": "a", "2": "b"}, "id2label: expected"),
        ([], "id2label: expected"),
        ({"0": 1}, "id2label: expected"),
    ],
}


@pytest.mark.parametrize(("key", "value", "said"), [(key, *case) for key, cases in CONFIGS.items() for case in cases])
def test_is_a_bad_config_refused(tmp_path, key, value, said):
    message = refusal(IntrefError, hostile.write_checkpoint(tmp_path / "c", **{key: value}))
    assert said in message


def test_is_a_roberta_without_room_for_a_token_refused(tmp_path):
    path = hostile.write_checkpoint(tmp_path / "c", model_type="roberta", pad_token_id=9)
    assert "expected room for one token, found 10 with pad_token_id 9" in refusal(FormatError, path)


TENSORS = {
    "missing": ("pooler.dense.bias", None, "expected a tensor 'pooler.dense.bias', found none"),
    "missing in the encoder": (
        "encoder.layer.1.output.dense.bias",
        None,
        "'encoder.layer.1.output.dense.bias', found none",
    ),
    "unknown": ("encoder.layer.0.lora.weight", np.ones(3, np.float32), "found also 'encoder.layer.0.lora.weight'"),
    "another shape": ("pooler.dense.weight", np.ones((8, 9), np.float32), "expected shape [8, 8], found [8, 9]"),
    "integers": ("pooler.dense.bias", np.ones(8, np.int64), "expected dtype F32 F16 BF16 F64, found I64"),
    "a NaN": ("pooler.dense.bias", np.array([0, 0, np.nan, *[0] * 5], np.float32), "found nan at [2]"),
    "an infinity": ("embeddings.LayerNorm.weight", np.array([-np.inf] * 8, np.float32), "found -inf at [0]"),
    "a tensor under two names": ("bert.pooler.dense.bias", np.ones(8, np.float32), "expected one tensor for"),
}


@pytest.mark.parametrize("reason", TENSORS)
def test_is_a_bad_tensor_refused(tmp_path, reason):
    name, array, said = TENSORS[reason]
    tensors = {key: value for key, value in with_tensor(name, array).items() if value is not None}
    assert said in refusal(FormatError, hostile.write_checkpoint(tmp_path / "c", tensors))


def test_does_a_classifier_have_the_labels_of_its_config(tmp_path):
    tensors = hostile.encoder_tensors(hostile.CLASSIFIER)
    named = hostile.write_checkpoint(tmp_path / "c", tensors, id2label={"1": "b", "0": "a", "2": "c"})
    assert checkpoint.read(named).config.labels == {0: "a", 1: "b", 2: "c"}
    two = hostile.write_checkpoint(tmp_path / "d", tensors, id2label={"0": "a", "1": "b"})
    assert "'classifier.weight': expected shape [2, 8], found [3, 8]" in refusal(FormatError, two)
    alone = {name: array for name, array in tensors.items() if not name.startswith("pooler")}
    token_wise = hostile.write_checkpoint(tmp_path / "e", alone)
    assert "supported is sequence classification" in refusal(Unsupported, token_wise)


def test_is_a_directory_without_a_model_refused(tmp_path):
    assert "expected a checkpoint directory, found nothing" in refusal(FormatError, tmp_path / "absent")
    (tmp_path / "file").write_bytes(b"")
    assert "expected a checkpoint directory, found a file" in refusal(FormatError, tmp_path / "file")
    (tmp_path / "empty").mkdir()
    assert "config.json: cannot be read: No such file" in refusal(FormatError, tmp_path / "empty")
    path = hostile.write_checkpoint(tmp_path / "c")
    (path / "model.safetensors").unlink()
    assert "expected model.safetensors or model.safetensors.index.json, found neither" in refusal(FormatError, path)
    (path / "pytorch_model.bin").write_bytes(b"")
    assert "found pytorch_model.bin (a pickle is never read)" in refusal(FormatError, path)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"model_type": NaN}', "[" * 100_000, '{"a": 1, "a": 1}'])
def test_is_a_config_that_is_no_json_object_refused(tmp_path, text):
    path = hostile.write_checkpoint(tmp_path / "c")
    (path / "config.json").write_text(text)
    assert "config.json: JSON: expected" in refusal(FormatError, path)


@pytest.mark.parametrize("reason", hostile.HOSTILE)
def test_is_a_hostile_model_file_refused(tmp_path, reason):
    data, said = hostile.HOSTILE[reason]
    path = hostile.write_checkpoint(tmp_path / "c")
    (path / "model.safetensors").write_bytes(data)
    assert said in refusal(FormatError, path)
