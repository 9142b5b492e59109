"""Does a model file hold a model to the byte, and is a file that lies refused with one line?"""

import copy
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import intref
from hostile import safetensors_bytes
from hostile_models import HOSTILE, STORED, TEXTS
from intref.errors import FormatError, IntrefError
from intref.model import TensorInfo
from intref.modelfile import KEY, canonical, pack_int4, unpack_int4
from intref.tensorfile import open_tensors, write_tensors
from tiny_models import tiny_inputs, tiny_model


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A saved model: its path, its header, and its stored tensors."""
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    tiny_model().save(path)
    file = open_tensors(path)
    stored = {name: file.integers(name).copy() for name in file.entries}
    return SimpleNamespace(path=path, table=json.loads(file.metadata[KEY]), stored=stored)


def refusal(path, table=None, stored=None, text=None, error=FormatError) -> str:
    write_tensors(path, stored, {KEY: canonical(table) if text is None else text})
    with pytest.raises(IntrefError) as caught:
        intref.open(path)
    message = str(caught.value)
    assert isinstance(caught.value, error), f"{type(caught.value).__name__}: {message}"
    assert "\n" not in message and len(message) < 900
    assert str(path) in message
    return message


def test_is_a_model_the_same_after_save_and_open(saved, tmp_path):
    model, again = tiny_model(), intref.open(saved.path)
    again.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == saved.path.read_bytes()
    assert again.hash == model.hash
    assert (again.nodes, again.tensors, again.inputs, again.outputs) == (
        model.nodes,
        model.tensors,
        model.inputs,
        model.outputs,
    )
    assert all(
        np.array_equal(again.constants[n], v) and again.constants[n].dtype == v.dtype
        for n, v in model.constants.items()
    )
    assert (
        again.run(tiny_inputs(), "reference", "all").trace_digest
        == model.run(tiny_inputs(), "reference", "all").trace_digest
    )


def test_does_the_file_follow_its_schema(saved):
    file = open_tensors(saved.path)
    assert [*file.metadata] == [KEY] and file.metadata[KEY] == canonical(saved.table)
    assert saved.table["schema"] == 1 and saved.table["states"] == []
    packed = saved.table["tensors"]["weight"]
    assert (packed["bits"], packed["axes"], file.entries["weight"].dtype) == (4, [6, 8], "U8")
    assert saved.stored["weight"].shape == (6, 4)


def test_does_any_change_change_the_hash(saved):
    model = tiny_model()
    changed = {**model.constants, "bias": model.constants["bias"] + 1}
    others = [
        replace(model, constants=changed),
        replace(model, about={**model.about, "recipe": "other"}),
        replace(model, dims={**model.dims, "T": 15}),
        replace(model, scales={"pooled": (3, -4)}),
        replace(model, nodes=(replace(model.nodes[0], site="elsewhere"), *model.nodes[1:])),
    ]
    assert len({model.hash, *(other.hash for other in others)}) == 6


def test_are_int4_nibbles_packed_as_stated():
    x = np.array([[-8, 7, -1, 0, 1]], np.int8)
    assert pack_int4(x).tolist() == [[0x78, 0x0F, 0x01]]  # even k in the low nibble, the last one padded with 0
    assert unpack_int4(pack_int4(x), 5).tolist() == x.tolist()


@pytest.mark.parametrize("shape", [(1,), (2,), (16,), (17,), (3, 1), (4, 5), (2, 3, 8), (2, 3, 9)])
def test_does_every_nibble_survive_at_every_place(shape):
    for start in range(16):
        x = ((np.arange(np.prod(shape)) + start) % 16 - 8).astype(np.int8).reshape(shape)
        packed = pack_int4(x)
        assert packed.dtype == np.uint8 and packed.shape == (*shape[:-1], (shape[-1] + 1) // 2)
        assert np.array_equal(unpack_int4(packed, shape[-1]), x)


@pytest.mark.parametrize("why", HOSTILE)
def test_is_a_header_that_lies_refused(saved, tmp_path, why):
    change, error, said = HOSTILE[why]
    table = copy.deepcopy(saved.table)
    change(table)
    assert said in refusal(tmp_path / "m.safetensors", table, saved.stored, error=error)


@pytest.mark.parametrize("why", STORED)
def test_are_tensors_that_do_not_fit_the_header_refused(saved, tmp_path, why):
    change, said = STORED[why]
    stored = dict(saved.stored)
    change(stored)
    assert said in refusal(tmp_path / "m.safetensors", saved.table, stored)


def test_must_the_last_nibble_of_a_row_be_zero(saved, tmp_path):
    table, stored = copy.deepcopy(saved.table), dict(saved.stored)
    stored["shift"] = np.array([1 + 16 * 2, 3 + 16 * 4, 5 + 16 * 1], np.uint8)
    table["tensors"]["shift"] |= {"axes": [5], "bits": 4, "low": 1, "high": 5}
    assert "'shift' must have 0 in the last nibble" in refusal(tmp_path / "m.safetensors", table, stored)


@pytest.mark.parametrize("why", TEXTS)
def test_is_metadata_that_is_not_canonical_refused(saved, tmp_path, why):
    text, said = TEXTS[why]
    assert said in refusal(tmp_path / "m.safetensors", stored=saved.stored, text=text(saved.table))


def test_must_there_be_one_metadata_key(saved, tmp_path):
    path = tmp_path / "m.safetensors"
    for metadata in ({}, {"format": "pt"}, {KEY: canonical(saved.table), "format": "pt"}):
        write_tensors(path, saved.stored, metadata)
        with pytest.raises(FormatError, match="metadata must have the one key 'intref'"):
            intref.open(path)


def test_are_float_tensors_and_other_files_refused(saved, tmp_path):
    path = tmp_path / "m.safetensors"
    row = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    path.write_bytes(safetensors_bytes({"__metadata__": {KEY: canonical(saved.table)}, "bias": row}, b"\0" * 4))
    with pytest.raises(FormatError, match="missing tensor"):
        intref.open(path)
    path.write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(FormatError):
        intref.open(path)
    with pytest.raises(FormatError):
        intref.open(tmp_path / "absent.safetensors")


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 70), 1 << 70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.sampled_from(["B", "T", "h", "L0.y", "q", "int8", "uint8", "int64", "linear", "half_up"]),
    st.sampled_from([8, 6, 1, [], {}, ["B", "T", 8]]),
)


def places(value, path=()):
    """Every place of a header."""
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_does_a_random_change_end_in_a_model_or_in_one_line(saved, tmp_path, data):
    table = copy.deepcopy(saved.table)
    for _ in range(data.draw(st.integers(1, 2))):
        path = data.draw(st.sampled_from([p for p in places(table) if p]))
        inner = table
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = data.draw(JUNK)
    file = tmp_path / "m.safetensors"
    write_tensors(file, saved.stored, {KEY: canonical(table)})
    try:
        model = intref.open(file)
        model.run(tiny_inputs(), "reference", "all")
    except IntrefError as error:
        assert "\n" not in str(error) and len(str(error)) < 2000


def test_do_bits_bound_what_is_packed():
    with pytest.raises(FormatError, match="do not fit int8"):
        model = tiny_model()
        wide = {**model.tensors, "weight": TensorInfo("int8", 4, True, (6, 8), -9, 7)}
        replace(model, tensors=wide).validate()
