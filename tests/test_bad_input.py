"""Is everything that can be wrong with what a user gives one line on standard error, never a traceback?

Each case goes through the command line: exit code 2 and one line for bad input, 3 or 1 and a report for a bad device.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import intref
from hostile import CLASSIFIER, HOSTILE, encoder_tensors, safetensors_bytes, stored_bytes, write_checkpoint
from intref.golden import write_golden, write_op_golden

BROKEN = f"py:{Path(__file__).parent / 'devices' / 'broken.py'}"
FILES = ("manifest.json", "model.safetensors", "inputs.safetensors", "tensors.safetensors", "SPEC.md")


@pytest.fixture
def refused(call):
    """refused(said, *words): the command is refused in one line that says so."""

    def check(said, *words):
        result = call(*words)
        assert result.code == 2, result
        assert result.out == "" and result.err.count("\n") == 1, result
        assert result.err.startswith("intref: error: ") and "bug in intref" not in result.err, result
        assert said in result.err and len(result.err) < 1000, result

    return check


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Sound things of every kind, to be broken in copies."""
    folder = tmp_path_factory.mktemp("good")
    write_checkpoint(folder / "float", encoder_tensors(CLASSIFIER))
    model = intref.load(folder / "float").quantize()
    model.save(folder / "m.safetensors")
    write_golden(model, {"input_ids": [[1, 2, 3], [4, 5, 6]]}, folder / "gold")
    write_op_golden("clamp", folder / "clamp")
    return folder


# --- files that lie --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data, said", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("use", ["model", "weights", "calibration", "inputs"])
def test_a_hostile_file_of_tensors(refused, good, tmp_path, use, data, said):
    bad = tmp_path / "x.safetensors"
    bad.write_bytes(data)
    if use == "weights":
        write_checkpoint(tmp_path / "c")
        bad = bad.rename(tmp_path / "c" / "model.safetensors")
    words = {
        "model": ("run", bad, "--ids", "1,2"),
        "weights": ("quantize", tmp_path / "c", "-o", tmp_path / "o.safetensors"),
        "calibration": ("quantize", good / "float", "-o", tmp_path / "o.safetensors", "--calib", bad),
        "inputs": ("run", good / "m.safetensors", "--inputs", bad),
    }
    refused(said, *words[use])
    assert not (tmp_path / "o.safetensors").exists()


def test_a_header_of_a_hundred_megabytes(refused, tmp_path):
    bad = tmp_path / "x.safetensors"
    bad.write_bytes(safetensors_bytes(b"[" * 100_000_000))
    refused("at most", "inspect", bad)


@pytest.mark.parametrize("share", [0, 7, 8, 100, 0.5, 0.999])
def test_a_model_file_cut_short(refused, good, tmp_path, share):
    whole = (good / "m.safetensors").read_bytes()
    bad = tmp_path / "m.safetensors"
    bad.write_bytes(whole[: int(share * len(whole)) if share < 1 else share])
    refused("m.safetensors: ", "audit", bad)


@pytest.mark.parametrize(
    "words",
    [("inspect", "{}"), ("run", "{}", "--ids", "1"), ("audit", "{}"), ("golden", "{}", "-o", "{}x", "--ids", "1")],
)
@pytest.mark.parametrize("thing", ["nothing", "a directory", "a pipe"])
def test_no_model_file_at_all(refused, tmp_path, words, thing):
    path = tmp_path / "m.safetensors"
    if thing == "a directory":
        path.mkdir()
    elif thing == "a pipe":
        os.mkfifo(path)
    refused("m.safetensors", *(word.format(path) for word in words))


# --- checkpoints -----------------------------------------------------------------------------------------------------


def _tensors(**changes):
    return {**encoder_tensors(), **changes}


WORD = "embeddings.word_embeddings.weight"
CHECKPOINTS = {
    "a missing tensor": ({n: t for n, t in encoder_tensors().items() if n != WORD}, {}, WORD),
    "a tensor too many": (_tensors(surprise=np.zeros(3, np.float32)), {}, "surprise"),
    "integer weights": (
        _tensors(**{WORD: np.zeros((11, 8), np.int8)}),
        {},
        "expected dtype F32 F16 BF16 F64, found I8",
    ),
    "a wrong shape": (_tensors(**{WORD: np.zeros((11, 7), np.float32)}), {}, "expected shape [11, 8], found [11, 7]"),
    "NaN": (
        _tensors(**{WORD: np.full((11, 8), np.nan, np.float32)}),
        {},
        "expected finite weights, found nan at [0, 0]",
    ),
    "infinity": (_tensors(**{WORD: np.full((11, 8), -np.inf, np.float32)}), {}, "found -inf at [0, 0]"),
    "an unknown family": (None, {"model_type": "gpt9"}, "model_type 'gpt9': supported are bert, roberta"),
    "no family": (None, {"model_type": None}, "model_type None"),
    "a size that is text": (None, {"hidden_size": "8"}, "hidden_size: expected an integer"),
    "a negative size": (None, {"num_hidden_layers": -1}, "num_hidden_layers"),
    "a size beyond all memory": (None, {"num_hidden_layers": 1 << 24}, "expected a tensor"),
    "another activation": (None, {"hidden_act": "relu"}, "hidden_act 'relu': supported is 'gelu'"),
}


@pytest.mark.parametrize("tensors, config, said", CHECKPOINTS.values(), ids=CHECKPOINTS)
@pytest.mark.parametrize("command", ["inspect", "quantize"])
def test_a_checkpoint_that_is_not_what_it_says(refused, tmp_path, command, tensors, config, said):
    bad = write_checkpoint(tmp_path / "c", tensors, **config)
    target = tmp_path / "o.safetensors"
    refused(said, command, bad, *(("-o", target) if command == "quantize" else ()))
    assert not target.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, '{"model_type": NaN}', '{"a":' * 100_000, "\x00"])
def test_a_config_that_is_no_json(refused, tmp_path, text):
    bad = write_checkpoint(tmp_path / "c")
    (bad / "config.json").write_text(text)
    refused("config.json", "quantize", bad, "-o", tmp_path / "o.safetensors")


@pytest.mark.parametrize("gone", ["config.json", "model.safetensors"])
def test_a_checkpoint_without_a_file(refused, tmp_path, gone):
    bad = write_checkpoint(tmp_path / "c")
    (bad / gone).unlink()
    refused(gone, "quantize", bad, "-o", tmp_path / "o.safetensors")


def test_a_pickle_is_never_read(refused, tmp_path):
    bad = write_checkpoint(tmp_path / "c")
    (bad / "model.safetensors").rename(bad / "pytorch_model.bin")
    refused("a pickle is never read", "quantize", bad, "-o", tmp_path / "o.safetensors")


def test_a_directory_of_something_else(refused, tmp_path):
    refused("is neither a checkpoint (config.json), a model file nor a golden package", "inspect", tmp_path)


def test_a_head_that_the_model_has_not(refused, good, tmp_path):
    bad = write_checkpoint(tmp_path / "c", encoder_tensors())
    said = "expected a classifier head, found pooler, and sentence, which any encoder has"
    refused(said, "quantize", bad, "-o", tmp_path / "o.safetensors", "--head", "classifier")


# --- inputs and calibration ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words, said",
    [
        ((), "expected one of --ids, --inputs and --text, found none"),
        (("--ids", "1", "--text", "a"), "found ids and text"),
        (("--ids", ""), "each at least 1, not shape (1, 0)"),
        (("--ids", "1,x"), "expected token ids such as"),
        (("--ids", "1.5"), "expected token ids such as"),
        (("--ids", "9" * 5000), "expected token ids such as"),
        (("--ids", "11"), "must lie in [0, 10], not 11 at [0, 0]"),
        (("--ids", "3,-1"), "must lie in [0, 10], not -1 at [0, 1]"),
        (("--ids", str(1 << 70)), "input_ids"),
        (("--ids", ",".join(["1"] * 11)), "must have T <= 10, not 11"),
        (("--ids", "1", "--trace", "nothing*"), "matches no tensor"),
        (("--ids", "1", "--backend", "slow"), "'slow'"),
        (("--ids", "1", "--backend", "slow\nfast"), "slow"),
        (("--text", "a"), "--tokenizer"),
        (("--inputs", "no.npz"), "no.npz"),
        (("--inputs", "no.csv"), ".npz"),
        (("--frobnicate",), "--frobnicate"),
    ],
)
def test_inputs_on_the_command_line(refused, good, words, said):
    refused(said, "run", good / "m.safetensors", *words)


FILES_OF_IDS = {
    "an empty jsonl": ("x.jsonl", b"\n\n", "found an empty file"),
    "an empty list": ("x.jsonl", b"[]", ""),
    "ids that are text": ("x.jsonl", b'["a"]', "line 1: expected"),
    "ids that are fractions": ("x.jsonl", b"[1.0]", "line 1: expected"),
    "an object without ids": ("x.jsonl", b'{"ids": [1]}', "line 1"),
    "deep nesting": ("x.jsonl", b"[" * 100_000, "line 1"),
    "no JSON": ("x.jsonl", b"[1,2]\n[1,", "line 2"),
    "an integer beyond all": ("x.jsonl", b"[1, " + b"9" * 30 + b"]", ""),
    "bytes that are no text": ("x.jsonl", b"\xff\xfe", "line 1"),
    "an empty npz": ("x.npz", b"", "x.npz"),
    "an npz of nothing": ("x.npz", b"PK\x05\x06" + b"\0" * 18, "expected an array input_ids"),
    "no npz": ("x.npz", b"not a zip file at all", "x.npz"),
    "a pickle": ("x.npz", b"\x80\x04\x95\x05\0\0\0\0\0\0\0]\x94.", "x.npz"),
    "no rows": ("x.safetensors", {"input_ids": np.zeros((0, 4), np.int64)}, "input_ids: expected integers [N T]"),
    "no tokens": ("x.safetensors", {"input_ids": np.zeros((4, 0), np.int64)}, "input_ids: expected integers [N T]"),
    "one axis": ("x.safetensors", {"input_ids": np.zeros(4, np.int64)}, "input_ids: expected integers [N T]"),
    "floats": ("x.safetensors", {"input_ids": np.zeros((2, 4), np.float32)}, "integer dtype, found F32"),
    "another name": ("x.safetensors", {"ids": np.zeros((2, 4), np.int64)}, "expected an array input_ids, found ids"),
    "a mask of another shape": (
        "x.safetensors",
        {"input_ids": np.ones((2, 4), np.int64), "attention_mask": np.ones((2, 3), np.int8)},
        "attention_mask: expected shape [2, 4], found [2, 3]",
    ),
    "an id out of range": ("x.safetensors", {"input_ids": np.full((2, 4), 99, np.int64)}, "99"),
    "a sequence too long": ("x.safetensors", {"input_ids": np.ones((1, 11), np.int64)}, "11"),
    "another kind of file": ("x.bin", b"1,2,3", ".bin"),
}
AXES = "input 'input_ids' must have axes ['B', 'T'], each at least 1, not shape"
SAID_OF_THE_MODEL = {  # where a model says what it takes, and not the file's form
    "no rows": f"x.safetensors: {AXES} (0, 4)",
    "no tokens": f"x.safetensors: {AXES} (4, 0)",
    "one axis": f"x.safetensors: {AXES} (4,)",
    "a mask of another shape": "x.safetensors: input 'attention_mask' must have T = 4, not 3",
}


@pytest.mark.parametrize("case", FILES_OF_IDS)
@pytest.mark.parametrize("command", ["run", "golden", "quantize"])
def test_a_file_of_ids(refused, good, tmp_path, command, case):
    name, content, said = FILES_OF_IDS[case]
    said = said if command == "quantize" else SAID_OF_THE_MODEL.get(case, said)
    bad, target = tmp_path / name, tmp_path / "o"
    bad.write_bytes(content if isinstance(content, bytes) else stored_bytes(content))
    words = {
        "run": ("run", good / "m.safetensors", "-o", target, "--inputs", bad),
        "golden": ("golden", good / "m.safetensors", "-o", target, "--inputs", bad),
        "quantize": ("quantize", good / "float", "-o", target, "--calib", bad),
    }
    refused(said, *words[command])
    assert not target.exists()


def test_floats_in_an_npz(refused, good, tmp_path):
    np.savez(tmp_path / "x.npz", input_ids=np.ones((2, 3)))
    refused(
        "x.npz: input 'input_ids' must be integers, not float64",
        "run",
        good / "m.safetensors",
        "--inputs",
        tmp_path / "x.npz",
    )


def test_objects_in_an_npz(refused, good, tmp_path):
    np.savez(tmp_path / "x.npz", input_ids=np.array([[1, None]], object))
    refused("x.npz", "run", good / "m.safetensors", "--inputs", tmp_path / "x.npz")


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 100_000, b"\xff"])
def test_a_tokenizer_that_is_none(refused, good, tmp_path, content):
    pytest.importorskip("tokenizers")
    (tmp_path / "t.json").write_bytes(content)
    refused("t.json", "run", good / "m.safetensors", "--text", "a", "--tokenizer", tmp_path / "t.json")


@pytest.mark.parametrize(
    "words, said",
    [
        (("--recipe", "w4a4"), "there is no recipe 'w4a4'"),
        (("--profile", "tosca"), "there is no profile 'tosca'"),
        (("--head", "tail"), "head 'tail': supported are pooler, classifier, sentence"),
        (("--eval", "no.npz"), "no.npz"),
        (("--seed", "x"), "'x' is not a valid integer"),
        (("--calib", "no.jsonl"), "no.jsonl"),
    ],
)
def test_settings_of_quantize(refused, good, tmp_path, words, said):
    refused(said, "quantize", good / "float", "-o", tmp_path / "o.safetensors", *words)


@pytest.mark.parametrize("option", ["--recipe", "--profile"])
@pytest.mark.parametrize("text", ["", "name = ", "name = 3", "\x00", 'name = "x"\nunknown = 1', "a = [" * 10_000])
def test_a_recipe_or_profile_file(refused, good, tmp_path, option, text):
    (tmp_path / "r.toml").write_text(text)
    refused("r.toml", "quantize", good / "float", "-o", tmp_path / "o.safetensors", option, tmp_path / "r.toml")


# --- places to write to ----------------------------------------------------------------------------------------------


def _writers(good, target):
    ids = ("--ids", "1,2")
    return {
        "quantize": ("quantize", good / "float", "-o", target),
        "run": ("run", good / "m.safetensors", *ids, "--trace", "all", "-o", target),
        "golden": ("golden", good / "m.safetensors", *ids, "-o", target),
    }


@pytest.mark.parametrize("command", ["quantize", "run", "golden"])
@pytest.mark.parametrize("below", ["a file", "nothing"])
def test_a_place_that_cannot_be_written(refused, good, tmp_path, command, below):
    folder = tmp_path / "folder"
    if below == "a file":
        folder.write_text("here")
    refused("cannot be written", *_writers(good, folder / "o")[command])


@pytest.mark.parametrize("command", ["quantize", "run", "golden"])
def test_a_place_where_something_else_stands(refused, good, tmp_path, command):
    target = tmp_path / "o"
    if command == "golden":
        target.mkdir()
        (target / "thesis.txt").write_text("mine")
        refused("cannot be replaced", *_writers(good, target)[command])
        assert (target / "thesis.txt").read_text() == "mine"
    else:
        target.mkdir()
        refused("cannot be written", *_writers(good, target)[command])


@pytest.mark.parametrize("command", ["quantize", "run", "golden"])
@pytest.mark.parametrize("before", [None, "as it was"])
def test_a_disk_that_is_full(call, good, tmp_path, command, before):
    """A limit on the size of files stands for the disk: the same error at the same moment, in the middle of a write."""
    target = tmp_path / "o"
    if before and command != "golden":
        target.write_text(before)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        result = call(*_writers(good, target)[command])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert result.code == 2 and "File too large" in result.err and result.err.count("\n") == 1 and result.out == ""
    assert [p.name for p in tmp_path.iterdir()] == (["o"] if before and command != "golden" else [])
    assert not target.exists() or target.read_text() == before


def test_a_full_disk_under_standard_output(good):
    command = [sys.executable, "-m", "intref", "ops", "linear"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2 and done.stderr == "intref: error: No space left on device\n"


# --- golden packages -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("where", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("command", ["verify", "inspect", "step", "judge"])
def test_a_byte_that_flipped_in_a_package(refused, good, tmp_path, command, name, where):
    shutil.copytree(good / "gold", tmp_path / "g")
    data = bytearray((tmp_path / "g" / name).read_bytes())
    data[int(where * (len(data) - 1))] ^= 0x10
    (tmp_path / "g" / name).write_bytes(data)
    words = {
        "verify": ("verify", tmp_path / "g"),
        "inspect": ("inspect", tmp_path / "g"),
        "step": ("step", tmp_path / "g", "--op", "L0.q", "--at", "0,0,0"),
        "judge": ("verify", tmp_path / "g", "--dut", "py:intref.demo.device:right"),
    }
    refused(name, *words[command])


@pytest.mark.parametrize("name", FILES)
def test_a_package_without_a_file(refused, good, tmp_path, name):
    shutil.copytree(good / "gold", tmp_path / "g")
    (tmp_path / "g" / name).unlink()
    refused(name, "verify", tmp_path / "g")


@pytest.mark.parametrize("manifest", [b"", b"{}", b"[]", b"[" * 100_000, b'{"schema":2}', b'{"self":1}', b"\xff"])
def test_a_manifest_that_is_none(refused, good, tmp_path, manifest):
    shutil.copytree(good / "gold", tmp_path / "g")
    (tmp_path / "g" / "manifest.json").write_bytes(manifest)
    refused("manifest.json", "verify", tmp_path / "g")


@pytest.mark.parametrize(
    "words, said",
    [
        (("--op", "L0.nothing", "--at", "0"), "there is no site, tensor or case 'L0.nothing'"),
        (("--op", "L0.q", "--at", "0,0"), "of shape [2, 3, 8]"),
        (("--op", "L0.q", "--at", "0,0,8"), "of shape [2, 3, 8]"),
        (("--op", "L0.q", "--at", "0,0,-1"), "of shape [2, 3, 8]"),
        (("--op", "L0.q", "--at", ""), "of shape [2, 3, 8]"),
        (("--op", "L0.q", "--at", "0,zero,0"), "expected an index such as"),
        (("--op", "L0.q", "--at", "0,0,0", "--output", "z"), "output must be one of y, not 'z'"),
        (("--at", "0"), "Missing option '--op'"),
    ],
)
def test_an_element_that_is_none(refused, good, words, said):
    refused(said, "step", good / "gold", *words)


# --- devices ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dut, said",
    [
        ("so:no.so", "expected a file no.so, found none"),
        ("py:no.py:run", "expected a file no.py, found none"),
        ("py:no_such_module:run", "cannot be loaded"),
        ("py:intref.demo.device:no_such_function", "cannot be loaded"),
        ("py:json", "expected py:module:function"),
        ("pipe:no-such-program", "no-such-program"),
        ("cmd:no-such-program {in} {out}", "no-such-program"),
        ("file:no-such-directory", "no-such-directory"),
        ("usb:0", "expected py:module:function, so:library"),
        ("", "expected py:module:function, so:library"),
    ],
)
def test_a_device_that_is_not_there(refused, good, dut, said):
    refused(said, "verify", good / "clamp", "--dut", dut)


def test_a_library_that_is_none(refused, good, tmp_path):
    (tmp_path / "dev.so").write_bytes(b"\x7fELF and nothing more")
    refused("cannot be loaded", "verify", good / "clamp", "--dut", f"so:{tmp_path / 'dev.so'}")


@pytest.mark.parametrize(
    "words, said",
    [
        (("--timeout", "0"), "--timeout"),
        (("--memory", "-1"), "--memory"),
        (("--mode", "all"), "--mode"),
        (("--map", "no.toml"), "no.toml"),
        (("--junit", "no/such/place.xml"), "cannot be written"),
    ],
)
def test_settings_of_verify(refused, good, words, said):
    refused(said, "verify", good / "clamp", "--dut", "py:intref.demo.device:right", *words)


@pytest.mark.parametrize("packages", [("clamp",), ("clamp", "gold")])
@pytest.mark.parametrize("pattern, near", [("clmap", "clamp"), ("clamp,lienar", "lienar"), ("", "")])
def test_a_requirement_that_nothing_meets(refused, good, packages, pattern, near):
    """A typo must never pass a device."""
    paths = [good / name for name in packages]
    refused(near, "verify", *paths, "--dut", "py:intref.demo.device:right", "--require", pattern)


@pytest.mark.parametrize(
    "name, said",
    [
        *(("suite:lienar", "near: linear"), ("suite:sentiment/w8a8", "near: sentiment/w8a8-token")),
        *(("suite:", "there is no package ''"), ("suite:../..", "there is no package '../..'")),
    ],
)
def test_a_package_that_the_suite_has_not(refused, name, said):
    refused(said, "verify", name)


def test_several_packages_where_one_is_wanted(refused):
    refused("suite:ops: expected one package, found 87", "inspect", "suite:ops")


@pytest.fixture(scope="module")
def one_case(tmp_path_factory):
    """One call of rescale, so that a device which hangs costs one timeout."""
    constants = {"multiplier": np.array([1], np.int32), "shift": np.array([2], np.int8)}
    case = SimpleNamespace(
        why="one", tensors={"x": np.arange(-9, 9, dtype=np.int32), **constants},
        attrs={"rounding": "half_even", "output": "int8"}, flags=(),
    )  # fmt: skip
    return write_op_golden("rescale", tmp_path_factory.mktemp("one") / "g", [case])


@pytest.mark.parametrize(
    "device, code, said",
    [
        *(("flat", 3, "malformed"), ("wider", 3, "malformed"), ("floats", 3, "malformed"), ("nothing", 3, "malformed")),
        *(("not_a_dict", 3, "malformed"), ("a_list", 3, "malformed"), ("echo", 3, "malformed")),
        *(("none", 3, "unsupported"), ("killed", 3, "crashed"), ("leaves", 3, "crashed"), ("raises", 3, "crashed")),
        *(("floods_stdout", 3, "flooded"), ("floods_stderr", 3, "flooded"), ("huge", 3, "malformed")),
        *(("mutates", 3, "malformed"), ("zeros", 1, "differ"), ("plus_one", 1, "differ")),
    ],
)
def test_a_device_that_misbehaves(call, one_case, device, code, said):
    result = call("verify", one_case, "--dut", f"{BROKEN}:{device}", "--timeout", "20")
    assert result.code == code and result.err == "" and said in result.out
    assert result.out.rstrip().endswith(f"(exit code {code})") and "Traceback" not in result.out


def test_a_device_that_hangs(call, one_case):
    result = call("verify", one_case, "--dut", f"{BROKEN}:sleeps", "--timeout", "0.5", "--json")
    assert result.code == 3 and result.err == ""
    assert json.loads(result.out)["cases"][0]["kind"] == "hung"
