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
from intref.errors import BoundError, FormatError, IntrefError, Unsupported
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


def changed(place: str, value=..., drop: bool = False):
    """A change of the header at a dotted place: value set, or the key dropped."""

    def change(table):
        *path, last = [int(p) if p.isdigit() else p for p in place.split("/")]
        for key in path:
            table = table[key]
        if drop:
            del table[last]
        else:
            table[last] = value

    return change


# Change of the header -> (error, what the message says).
HOSTILE = {
    **{f"no {key}": (changed(key, drop=True), FormatError, "must have the keys") for key in tuple("about dims inputs nodes outputs scales spec states tensors".split())},
    **{f"node without {key}": (changed(f"nodes/2/{key}", drop=True), FormatError, "node 2 must have the keys") for key in "attrs group inputs op outputs site version".split()},
    **{f"tensor without {key}": (changed(f"tensors/h/{key}", drop=True), FormatError, "tensor 'h' must have the keys") for key in "axes bits dtype high low signed".split()},
    **{f"{key} of a wrong kind": (changed(key, 7), FormatError, f"{key} must be a ") for key in "about dims inputs nodes outputs scales states tensors".split()},
    "no schema": (changed("schema", drop=True), Unsupported, "schema None is not supported, only 1"),
    "a later schema": (changed("schema", 2), Unsupported, "schema 2 is not supported"),
    "schema true": (changed("schema", True), Unsupported, "schema True is not supported"),
    "a fractional schema": (changed("schema", 1.0), Unsupported, "schema 1.0 is not supported"),
    "a later spec": (changed("spec", "9.9"), Unsupported, "spec version '9.9' is not supported"),
    "spec of a wrong kind": (changed("spec", [1]), Unsupported, "spec version [1] is not supported"),
    "states": (changed("states", [{"name": "kv"}]), Unsupported, "states are not supported"),
    "an unknown key": (changed("extra", 1), FormatError, "must have the keys"),
    "a node that is no object": (changed("nodes/1", []), FormatError, "node 1 must have the keys"),
    "an unknown op": (changed("nodes/1/op", "conv"), Unsupported, "op 'conv'): there is no such op"),
    "an op that is no text": (changed("nodes/1/op", 3), FormatError, "node 1: op, site and group must be text"),
    "a later op version": (changed("nodes/1/version", 2), Unsupported, "version 2 is not supported, this release has 1"),
    "a true op version": (changed("nodes/1/version", True), Unsupported, "version True is not supported"),
    "attrs that are no object": (changed("nodes/1/attrs", []), FormatError, "attrs an object"),
    "an unknown attribute": (changed("nodes/3/attrs/colour", 1), FormatError, "attributes must be"),
    "an attribute dropped": (changed("nodes/6/attrs/rounding", drop=True), FormatError, "'rounding' must be given (C4)"),
    "an attribute out of its choices": (changed("nodes/6/attrs/rounding", "nearest"), FormatError, "(C4)"),
    "a fractional attribute": (changed("nodes/8/attrs/low", -5.0), FormatError, "attribute 'low' must be text or an integer"),
    "a boolean attribute": (changed("nodes/8/attrs/low", True), FormatError, "attribute 'low' must be text or an integer"),
    "an attribute beyond 2**53": (changed("nodes/8/attrs/high", 1 << 53), FormatError, "below 2**53"),
    "an attribute that is a list": (changed("nodes/8/attrs/low", [1]), FormatError, "attribute 'low' must be text or an integer"),
    "low above high": (changed("nodes/8/attrs/low", 6), BoundError, "low <= high"),
    "inputs that are no names": (changed("nodes/0/inputs", {"ids": 1, "table": 2}), FormatError, "must map names to names"),
    "a port missing": (changed("nodes/0/inputs", {"ids": "input_ids"}), FormatError, "inputs must be ['ids', 'table']"),
    "a port too many": (changed("nodes/4/inputs/y", "L0.y"), FormatError, "inputs must be ['x']"),
    "an output port missing": (changed("nodes/1/outputs", {"q": "q"}), FormatError, "missing tensor 'exponent'"),
    "an input nobody makes": (changed("nodes/1/inputs/x", "ghost"), FormatError, "'ghost' is not made by an earlier node"),
    "a forward reference": (changed("nodes/1/inputs/x", "pooled"), FormatError, "'pooled' is not made by an earlier node"),
    "a cycle": (changed("nodes/4/inputs/x", "L0.t"), FormatError, "'L0.t' is not made by an earlier node"),
    "an output made twice": (changed("nodes/5/outputs/y", "L0.t"), FormatError, "missing tensor 'L0.scores'"),
    "an output that is an input": (changed("nodes/5/outputs/y", "input_ids"), FormatError, "missing tensor 'L0.scores'"),
    "an output that is a constant": (changed("nodes/5/outputs/y", "weight"), FormatError, "missing tensor 'L0.scores'"),
    "an output not declared": (changed("nodes/5/outputs/y", "new"), FormatError, "missing tensor 'L0.scores'"),
    "a public output nobody makes": (changed("outputs/pooled", "ghost"), FormatError, "output 'pooled' names tensor 'ghost'"),
    "no public output": (changed("outputs", {}), FormatError, "at least one output"),
    "a tensor nobody makes": (changed("tensors/ghost", {"axes": [1], "bits": 8, "dtype": "int8", "high": None, "low": None, "signed": True}), FormatError, "missing tensor 'ghost'"),
    "a tensor not declared": (changed("tensors/h", drop=True), FormatError, "'h' is not declared"),
    "an input not declared": (changed("tensors/input_ids", drop=True), FormatError, "'input_ids' must be declared"),
    "a constant not declared": (changed("tensors/bias", drop=True), FormatError, "unknown tensor 'bias'"),
    "an unknown dtype": (changed("tensors/h/dtype", "float32"), FormatError, "dtype must be one of"),
    "a dtype that is no text": (changed("tensors/h/dtype", ["int8"]), FormatError, "dtype must be text"),
    "a dtype the op does not make": (changed("tensors/h", {"axes": ["B", "T", 8], "bits": 21, "dtype": "int64", "high": None, "low": None, "signed": True}), FormatError, "'h' must be int32, not int64"),
    "a dtype of another constant": (changed("tensors/bias/dtype", "int32"), FormatError, "constant 'bias' must be int32"),
    "bits 0": (changed("tensors/h/bits", 0), FormatError, "do not fit int32"),
    "bits 65": (changed("tensors/h/bits", 65), FormatError, "do not fit int32"),
    "bits that are no integer": (changed("tensors/h/bits", 21.0), FormatError, "bits must be an integer"),
    "bits that do not hold the range": (changed("tensors/h/bits", 8), FormatError, "do not fit int32"),
    "bits beyond the dtype": (changed("tensors/q/bits", 9), FormatError, "do not fit int8"),
    "a wrong sign": (changed("tensors/h/signed", False), FormatError, "do not fit int32"),
    "signed 1": (changed("tensors/h/signed", 1), FormatError, "signed true or false"),
    "low above high of a tensor": (changed("tensors/h/low", 1 << 21), FormatError, "do not fit int32"),
    "a bound beyond 2**53": (changed("tensors/h/high", 1 << 53), FormatError, "low, high or axes"),
    "a huge number": (changed("tensors/h/high", 10**400), FormatError, "low, high or axes"),
    "a fractional bound": (changed("tensors/h/high", 3.5), FormatError, "low, high or axes"),
    "a narrower range than is proved": (changed("tensors/q/high", 126), BoundError, "[-127, 127] is what can be proved"),
    "a range narrower than a constant": (changed("tensors/weight/high", 3), FormatError, "constant 'weight' must lie in [-8, 3]"),
    "an axis nobody knows": (changed("tensors/h/axes", ["B", "S", 8]), FormatError, "axis 'S' is not among"),
    "an axis of 0": (changed("tensors/h/axes", ["B", "T", 0]), FormatError, "low, high or axes"),
    "a negative axis": (changed("tensors/h/axes", ["B", "T", -8]), FormatError, "low, high or axes"),
    "a boolean axis": (changed("tensors/h/axes", ["B", "T", True]), FormatError, "low, high or axes"),
    "axes that are text": (changed("tensors/h/axes", "BT"), FormatError, "low, high or axes"),
    "another size than the op makes": (changed("tensors/h/axes", ["B", "T", 9]), BoundError, "'h' is declared with axes"),
    "another number of axes than the op makes": (changed("tensors/h/axes", ["B", 8]), BoundError, "'h' is declared with axes"),
    "symbols exchanged": (changed("tensors/h/axes", ["T", "B", 8]), BoundError, "'h' is declared with axes ['T', 'B', 8]"),
    "a symbol said to be 1": (changed("tensors/L0.t/axes", ["B", 6, 1]), BoundError, "'L0.t' is declared with axes ['B', 6, 1]"),
    "a 1 said to be a symbol": (changed("tensors/mantissa/axes", ["B", "T", "T"]), BoundError, "'mantissa' is declared with axes"),
    "another size of a constant": (changed("tensors/bias/axes", [7]), FormatError, "constant 'bias' must be int64 [7]"),
    "another size of a packed constant": (changed("tensors/weight/axes", [6, 9]), FormatError, "packed tensor 'weight' must be U8 [6, 5]"),
    "no size of a packed constant": (changed("tensors/weight/axes", ["B"]), FormatError, "packed tensor 'weight' must be U8"),
    "an input of absurd size": (changed("tensors/input_ids/axes", [1 << 30, 1 << 20]), FormatError, "at most 16777216 elements"),
    "an input of two axes alike": (changed("tensors/attention_mask/axes", ["B", "B"]), BoundError, "must have T = 16, not 4 (C2)"),
    "a dimension of 0": (changed("dims/T", 0), FormatError, "dims 'T' must be in 1..1048576"),
    "a negative dimension": (changed("dims/T", -1), FormatError, "dims 'T' must be in"),
    "a huge dimension": (changed("dims/T", 1 << 52), FormatError, "dims 'T' must be in"),
    "a dimension that is no integer": (changed("dims/T", "512"), FormatError, "dims 'T' must be in"),
    "a boolean dimension": (changed("dims/T", True), FormatError, "dims 'T' must be in"),
    "a dimension dropped": (changed("dims/T", drop=True), FormatError, "axis 'T' is not among ['B']"),
    "a default out of range": (changed("inputs/attention_mask", 2), FormatError, "default must lie in [0, 1], not 2"),
    "a huge default": (changed("inputs/attention_mask", 10**30), FormatError, "must be a default or null"),
    "a default that is text": (changed("inputs/attention_mask", "1"), FormatError, "must be a default or null"),
    "an input that is a constant": (changed("inputs/words", 1), FormatError, "unknown tensor 'words'"),
    "a scale of nothing": (changed("scales/ghost", [1, 0]), FormatError, "scale of tensor 'ghost'"),
    "an even mantissa": (changed("scales/h", [2, 0]), FormatError, "scale of 'h' must be [mantissa, exponent]"),
    "a mantissa of 0": (changed("scales/h", [0, 0]), FormatError, "scale of 'h' must be"),
    "a mantissa beyond 2**53": (changed("scales/h", [(1 << 53) + 1, 0]), FormatError, "scale of 'h' must be"),
    "a huge exponent": (changed("scales/h", [1, 10**6]), FormatError, "scale of 'h' must be"),
    "a fractional scale": (changed("scales/h", [1.5, 0]), FormatError, "scale of 'h' must be"),
    "a scale that is no pair": (changed("scales/h", [1, 0, 0]), FormatError, "scale of 'h' must be"),
    "a scale that is a number": (changed("scales/h", 3), FormatError, "scale of 'h' must be"),
    "a fraction about": (changed("about/seed", 0.5), FormatError, "about 'seed' must be text, an integer"),
    "a list of fractions about": (changed("about/seed", [1, 0.5]), FormatError, "about 'seed' must be text, an integer"),
    "an object about": (changed("about/seed", {}), FormatError, "about 'seed' must be text, an integer"),
}  # fmt: skip


@pytest.mark.parametrize("why", HOSTILE)
def test_is_a_header_that_lies_refused(saved, tmp_path, why):
    change, error, said = HOSTILE[why]
    table = copy.deepcopy(saved.table)
    change(table)
    assert said in refusal(tmp_path / "m.safetensors", table, saved.stored, error=error)


STORED = {
    "a tensor missing": (lambda s: s.pop("bias"), "missing tensor 'bias'"),
    "a tensor too many": (lambda s: s.update(ghost=np.zeros(2, np.int8)), "unknown tensor 'ghost'"),
    "a tensor of an input's name": (lambda s: s.update(input_ids=np.zeros((1, 1), np.int32)), "unknown tensor 'input_ids'"),
    "a tensor that a node makes": (lambda s: s.update(h=np.zeros((1, 1, 8), np.int32)), "unknown tensor 'h'"),
    "another dtype": (lambda s: s.update(bias=s["bias"].astype(np.int32)), "constant 'bias' must be int64 [6], not int32"),
    "another shape": (lambda s: s.update(bias=s["bias"][:5]), "constant 'bias' must be int64 [6], not int64 [5]"),
    "another number of axes": (lambda s: s.update(bias=s["bias"][None]), "constant 'bias' must be int64 [6]"),
    "a value out of its range": (lambda s: s.update(shift=s["shift"] + 1), "constant 'shift' must lie in [24, 24]"),
    "int4 not packed": (lambda s: s.update(weight=unpack_int4(s["weight"], 8)), "packed tensor 'weight' must be U8 [6, 4]"),
    "int4 of another size": (lambda s: s.update(weight=s["weight"][:, :3]), "packed tensor 'weight' must be U8 [6, 4]"),
}  # fmt: skip


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


TEXTS = {
    "spaces": (lambda t: json.dumps(t, sort_keys=True), "must be canonical JSON"),
    "keys unsorted": (lambda t: json.dumps(dict(reversed(t.items())), separators=(",", ":")), "must be canonical JSON"),
    "no JSON": (lambda t: "{", "expected JSON"),
    "NaN": (lambda t: canonical(t).replace('"schema":1', '"schema":NaN'), "found the number NaN"),
    "a key twice": (lambda t: canonical(t).replace('"schema":1', '"schema":1,"schema":1'), "the key 'schema' twice"),
    "deep nesting": (lambda t: "[" * 100_000, "nested at most"),
    "a list": (lambda t: "[]", "expected a JSON dict"),
}


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
    st.none(), st.booleans(), st.integers(-(1 << 70), 1 << 70), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5),
    st.sampled_from(["B", "T", "h", "L0.y", "q", "int8", "uint8", "int64", "linear", "half_up", 8, 6, 1, [], {}, ["B", "T", 8]]),
)  # fmt: skip


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
