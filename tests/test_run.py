"""Does a run take what a model declares and nothing else, and give the same bits on every path?"""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import hostile
import intref
from intref.digest import digest, tensor_hash
from intref.errors import SpecError
from intref.model import info
from intref.run import BACKENDS, prepare, traced
from tiny_models import tiny_inputs, tiny_model

SENTIMENT = Path(__file__).resolve().parent.parent / "golden" / "models" / "sentiment"
RECIPES = ("ibert", "ibert-r16", "w8a8-token")
IDS = np.array([[1, 2, 3]])


@pytest.fixture(scope="module")
def tiny_bert(tmp_path_factory):
    """Recipe -> an integer model of a random BERT with pooler and classifier, and one with a sentence embedding."""
    tensors = hostile.encoder_tensors(hostile.CLASSIFIER)
    fm = intref.load(hostile.write_checkpoint(tmp_path_factory.mktemp("bert") / "c", tensors))
    draw = np.random.default_rng(1)
    calib = [{"input_ids": draw.integers(0, 11, (8, 10))} for _ in range(4)]
    return {recipe: fm.quantize(recipe, calib=calib) for recipe in RECIPES}


@pytest.fixture(scope="module")
def sentiment():
    fm = intref.load(SENTIMENT)
    return {recipe: fm.quantize(recipe) for recipe in RECIPES}


BAD = {
    "no ids": ({}, "input 'input_ids' must be given"),
    "an unknown input": ({"input_ids": IDS, "colour": IDS}, "input 'colour' is unknown, inputs are input_ids"),
    "float ids": ({"input_ids": IDS * 1.0}, "'input_ids' must be integers, not float64"),
    "text": ({"input_ids": "abc"}, "'input_ids' must be integers, not <U3"),
    "ragged rows": ({"input_ids": [[1], [1, 2]]}, "'input_ids' must be an array of integers, not list"),
    "objects": ({"input_ids": [[None]]}, "'input_ids' must be integers, not object"),
    "a huge number": ({"input_ids": [[1 << 70]]}, "'input_ids' must be integers, not object"),
    "one axis": ({"input_ids": IDS[0]}, "must have axes ['B', 'T'], each at least 1, not shape (3,)"),
    "three axes": ({"input_ids": IDS[None]}, "must have axes ['B', 'T'], each at least 1, not shape (1, 1, 3)"),
    "a scalar": ({"input_ids": 3}, "each at least 1, not shape ()"),
    "no rows": ({"input_ids": IDS[:0]}, "each at least 1, not shape (0, 3)"),
    "no tokens": ({"input_ids": IDS[:, :0]}, "each at least 1, not shape (1, 0)"),
    "too many tokens": ({"input_ids": np.zeros((1, 17), int)}, "'input_ids' must have T <= 16, not 17"),
    "too many rows": ({"input_ids": np.zeros((5, 1), int)}, "'input_ids' must have B <= 4, not 5"),
    "an id too large": ({"input_ids": [[0, 1], [2, 11]]}, "'input_ids' must lie in [0, 10], not 11 at [1, 1]"),
    "a negative id": ({"input_ids": [[-1]]}, "'input_ids' must lie in [0, 10], not -1 at [0, 0]"),
    "an id beyond int64": ({"input_ids": np.array([[2**64 - 1]], np.uint64)}, "not 18446744073709551615 at [0, 0]"),
    "a mask of 2": ({"input_ids": IDS, "attention_mask": IDS}, "must lie in [0, 1], not 2 at [0, 1]"),
    "a mask of other length": ({"input_ids": IDS, "attention_mask": [[1, 1]]}, "must have T = 3, not 2"),
    "a mask of other rows": ({"input_ids": IDS, "attention_mask": IDS[[0, 0]] > 0}, "must have B = 1, not 2"),
}


@pytest.mark.parametrize("why", BAD)
def test_are_bad_inputs_refused_in_one_line(why):
    inputs, said = BAD[why]
    with pytest.raises(SpecError) as caught:
        tiny_model().run(inputs, "reference")
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
def test_does_the_integer_dtype_of_inputs_matter(dtype):
    want = tiny_model().run(tiny_inputs(), "reference")
    given = {name: value.astype(dtype) for name, value in tiny_inputs().items()}
    given["attention_mask"] = given["attention_mask"].astype(bool)
    assert tiny_model().run(given, "reference").digest == want.digest
    as_lists = {name: value.tolist() for name, value in tiny_inputs().items()}
    assert tiny_model().run(as_lists, "reference").digest == want.digest


def test_are_inputs_completed_and_left_alone():
    ids = np.asfortranarray([[1, 2], [3, 4]])
    full = prepare(tiny_model(), {"input_ids": ids})
    assert full["attention_mask"].tolist() == [[1, 1], [1, 1]] and full["attention_mask"].dtype == np.int8
    assert full["input_ids"].dtype == np.int32 and full["input_ids"].flags.c_contiguous
    tiny_model().run({"input_ids": ids}, "reference")
    assert ids.tolist() == [[1, 2], [3, 4]]


def test_are_fixed_axes_and_sizes_that_nothing_gives_refused():
    model = tiny_model()
    fixed = replace(model, tensors={**model.tensors, "input_ids": info("int32", ("B", 3), 0, 10)})
    with pytest.raises(SpecError, match=r"must have axes \['B', 3\], not \[1, 2\]"):
        prepare(fixed, {"input_ids": [[1, 2]], "attention_mask": [[1, 1]]})
    with pytest.raises(SpecError, match="'attention_mask' must be given, no other input says how large T is"):
        prepare(fixed, {"input_ids": [[1, 2, 3]]})


def test_is_an_unknown_backend_refused():
    with pytest.raises(SpecError, match=r"^backend must be one of fast, reference, not 'gpu'$"):
        tiny_model().run(tiny_inputs(), "gpu")


@pytest.mark.parametrize(
    "pattern, names",
    [
        (None, []),
        ("all", None),
        ("*", None),
        ("L0.*", ["L0.acc", "L0.y", "L0.t", "L0.scores", "L0.small"]),
        ("pooled", ["pooled"]),
        ("clipped, h", ["h", "clipped"]),  # in the order they are made
        ("input_ids", ["input_ids"]),
        ("L0.[ty]", ["L0.y", "L0.t"]),
    ],
)
def test_what_does_a_trace_pattern_choose(pattern, names):
    made = ["input_ids", "attention_mask", *(t for node in tiny_model().nodes for t in node.outputs.values())]
    assert traced(tiny_model(), pattern) == (made if names is None else names)
    assert [*tiny_model().run(tiny_inputs(), "reference", pattern).trace] == (made if names is None else names)


@pytest.mark.parametrize("pattern", ["", "L9.*", "l0.y", "weight"])
def test_is_a_pattern_that_matches_nothing_refused(pattern):
    with pytest.raises(SpecError, match="matches no tensor of the model"):
        tiny_model().run(tiny_inputs(), "reference", pattern)


def test_is_the_digest_the_same_whatever_is_traced():
    runs = [tiny_model().run(tiny_inputs(), "reference", trace) for trace in (None, "all", "q", "L0.*")]
    assert len({r.digest for r in runs}) == 1 and len({r.trace_digest for r in runs}) == 4
    for r in runs:
        assert r.digest == digest(r.outputs) and r.trace_digest == digest(r.trace)
    assert runs[0].trace_digest == digest({})


def test_what_does_a_digest_depend_on():
    x = np.array([[1, 2], [3, 4]], np.int32)
    other = [x.astype(np.int64), x.reshape(4), x.T, x + 1]
    assert len({tensor_hash("x", x), tensor_hash("y", x), *(tensor_hash("x", t) for t in other)}) == 6
    same = [np.asfortranarray(x), x.astype(">i4"), np.repeat(x, 2, axis=1)[:, ::2]]
    assert {tensor_hash("x", t) for t in same} == {tensor_hash("x", x)}
    assert digest({"a": x, "b": x + 1}) == digest({"b": x + 1, "a": x}) != digest({"b": x, "a": x + 1})
    said = b"x\x00int32\x002,2\x00" + bytes([1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0])
    assert tensor_hash("x", x) == hashlib.sha256(said).hexdigest()
    assert digest({"x": x}) == hashlib.sha256(hashlib.sha256(said).digest()).hexdigest()


@pytest.mark.parametrize("backend", BACKENDS)
def test_do_observers_see_every_node_in_order(backend):
    seen = []

    def observe(node, tensors, made):
        assert tensors.keys() == node.inputs.keys() and made.keys() == node.outputs.keys()
        seen.append((node.site, {node.outputs[port]: value for port, value in made.items()}))

    result = tiny_model().run(tiny_inputs(), backend, "all", observers=[observe, observe])
    assert [site for site, _ in seen[::2]] == [node.site for node in tiny_model().nodes]
    assert seen[::2][0][0] == seen[1::2][0][0] and len(seen) == 2 * len(tiny_model().nodes)
    values = {name: value for _, made in seen for name, value in made.items()}
    assert all(np.array_equal(values[name], result.trace[name]) for name in values)


def test_are_outputs_of_the_declared_dtypes_and_axes():
    result = tiny_model().run(tiny_inputs(), "reference", "all")
    assert {name: (value.dtype.name, value.shape) for name, value in result.outputs.items()} == {
        "scores": ("int8", (3, 5, 5)),
        "pooled": ("int8", (3, 6)),
    }
    for name, value in result.trace.items():
        assert value.dtype.name == tiny_model().tensors[name].dtype, name


def test_are_real_units_given_only_where_there_is_a_scale():
    scaled = replace(tiny_model(), scales={"clipped": (3, -4)})
    result = scaled.run(tiny_inputs(), "reference", "h")
    assert np.array_equal(result.float("pooled"), result.outputs["pooled"] * 3 / 16)
    for name in ("scores", "h"):
        with pytest.raises(SpecError, match=f"tensor '{name}' has no single scale"):
            result.float(name)
    with pytest.raises(SpecError, match="tensor 'q' is neither an output"):
        result.float("q")


@pytest.mark.parametrize("recipe", RECIPES)
def test_do_both_backends_give_the_same_bits(tiny_bert, sentiment, recipe):
    pytest.importorskip("numba")
    draw = np.random.default_rng(2)
    for model, vocabulary, longest in ((tiny_bert[recipe], 11, 10), (sentiment[recipe], 2500, 64)):
        for rows, length in ((1, 1), (3, longest), (2, 7)):
            inputs = {"input_ids": draw.integers(0, vocabulary, (rows, length))}
            inputs["attention_mask"] = draw.integers(0, 2, (rows, length))
            inputs["token_type_ids"] = draw.integers(0, 2, (rows, length))
            slow, fast = (model.run(inputs, backend, "all") for backend in ("reference", "fast"))
            different = [name for name in slow.trace if not np.array_equal(slow.trace[name], fast.trace[name])]
            assert not different
            assert (slow.digest, slow.trace_digest) == (fast.digest, fast.trace_digest)
            assert model.run(inputs).digest == slow.digest


def valid(model, name, value, mask):
    """The elements of one row's tensor [1, ...] that belong to attended tokens on every token axis."""
    for axis, symbol in enumerate(model.tensors[name].axes):
        if symbol == "T":
            value = value[(slice(None),) * axis + (mask.astype(bool),)]
    return value


def of_first_token(model) -> set[str]:
    """Tensors that hang on token 0, which with padding on the left is padding."""
    found = {"pooler.token"}
    for node in model.nodes:
        if found & {*node.inputs.values()}:
            found |= {*node.outputs.values()}
    return found


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("which", ["tiny_bert", "sentiment"])
def test_does_padding_change_a_bit_of_any_attended_token(request, which, recipe):
    model = request.getfixturevalue(which)[recipe]
    draw, longest = np.random.default_rng(3), 10
    first = of_first_token(model)
    assert first == {"pooler.token"} or {"pooler.token", "logits"} <= first
    for length in (1, 2, 7):
        ids = draw.integers(1, 11, (1, length))
        alone = model.run({"input_ids": ids}, "reference", "all").trace
        for left in (0, 1, longest - length):
            mask = np.zeros(longest, int)
            mask[left : left + length] = 1
            padded = draw.integers(0, 11, (1, longest))  # whatever the padding's ids are
            padded[0, mask == 1] = ids[0]
            run = model.run({"input_ids": padded, "attention_mask": mask[None]}, "reference", "all").trace
            for name in alone:
                if not (left and name in first):
                    assert np.array_equal(valid(model, name, run[name], mask), alone[name]), (length, left, name)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("which", ["tiny_bert", "sentiment"])
def test_does_a_batch_of_unequal_lengths_change_a_bit(request, which, recipe):
    model = request.getfixturevalue(which)[recipe]
    draw = np.random.default_rng(4)
    ids, mask = draw.integers(0, 11, (4, 10)), np.ones((4, 10), int)
    mask[0, 3:] = 0
    mask[1, :6] = 0
    mask[2, :] = 0  # nothing is attended
    together = model.run({"input_ids": ids, "attention_mask": mask}, "reference", "all").trace
    for row in range(4):
        one = slice(row, row + 1)
        alone = model.run({"input_ids": ids[one], "attention_mask": mask[one]}, "reference", "all").trace
        assert all(np.array_equal(alone[name], together[name][one]) for name in alone)


@pytest.mark.parametrize("recipe", RECIPES)
def test_does_a_row_without_tokens_attend_to_nothing(tiny_bert, recipe):
    model = tiny_bert[recipe]
    inputs = {"input_ids": [[1, 2, 3], [4, 5, 6]], "attention_mask": [[0, 0, 0], [1, 1, 1]]}
    trace = model.run(inputs, "reference", "all").trace
    for layer in ("L0", "L1"):
        assert not trace[f"{layer}.softmax"][0].any() and trace[f"{layer}.softmax"][1].any()
        assert not trace[f"{layer}.context"][0].any() and trace[f"{layer}.context"][1].any()


@pytest.mark.parametrize("recipe", RECIPES)
def test_is_a_single_token_all_of_its_own_attention(tiny_bert, recipe):
    trace = tiny_bert[recipe].run({"input_ids": [[5]]}, "reference", "all").trace
    p = trace["L0.softmax"]
    assert p.shape == (1, 2, 1, 1) and (p >= 255).all()
    if recipe == "w8a8-token":
        assert (p == 255).all() and (trace["L0.softmax.total"] == 255).all()


@pytest.mark.parametrize("recipe", RECIPES)
def test_are_masked_keys_exactly_zero(tiny_bert, recipe):
    inputs = {"input_ids": [[1, 2, 3, 4]], "attention_mask": [[1, 0, 1, 0]]}
    p = tiny_bert[recipe].run(inputs, "reference", "L0.softmax").trace["L0.softmax"]
    assert not p[..., [1, 3]].any() and p[..., [0, 2]].any()


@pytest.mark.parametrize("recipe", RECIPES)
def test_do_runs_stay_inside_the_proved_ranges(tiny_bert, sentiment, recipe):
    draw = np.random.default_rng(5)
    for model, vocabulary in ((tiny_bert[recipe], 11), (sentiment[recipe], 2500)):
        ranges = model.proof().ranges
        ids = draw.integers(0, vocabulary, (6, 10))
        trace = model.run(
            {"input_ids": ids, "attention_mask": draw.integers(0, 2, ids.shape)}, "reference", "all"
        ).trace
        assert all(ranges[n][0] <= v.min() and v.max() <= ranges[n][1] for n, v in trace.items())
