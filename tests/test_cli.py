"""Does every command do what it says, answer in JSON when asked, and keep standard output for the answer?"""

import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console

import intref
from hostile import CLASSIFIER, encoder_tensors, write_checkpoint
from intref.cli import output, suite
from intref.cli.main import cli, main
from intref.cli.running import package_bytes
from intref.cli.stepping import hexadecimal
from intref.errors import SpecError
from intref.golden import read_golden, suite_path, write_op_golden
from intref.modelfile import canonical
from intref.ops import OPS
from intref.quantize.fidelity import fidelity
from intref.tensorfile import read_integers

DEVICE = "py:intref.demo.device"
ROWS = [[1, 2, 3, 4], [5, 6], [7, 8, 9]]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A float checkpoint, its integer model, a golden package of it, and one of an op."""
    folder = tmp_path_factory.mktemp("cli")
    write_checkpoint(folder / "float", encoder_tensors(CLASSIFIER))
    intref.load(folder / "float").quantize().save(folder / "m.safetensors")
    words = ["golden", folder / "m.safetensors", "-o", folder / "gold", "--ids", "1,2,3", "--ids", "4,5"]
    assert main([str(word) for word in words]) == 0
    write_op_golden("clamp", folder / "clamp")
    return folder


def answered(result):
    """The JSON that a command printed: one canonical line, and nothing beside it but the progress of a slow machine."""
    assert result.out.count("\n") == 1
    assert all(re.fullmatch(r"[\w,: ]+ \d+/\d+", line) for line in result.err.splitlines())
    value = json.loads(result.out)
    assert result.out == canonical(value) + "\n"
    return value


@pytest.mark.parametrize("words", [[], *([name] for name in cli.commands), ["profile", "show"], ["recipe", "list"]])
def test_does_every_command_explain_itself(call, words):
    result = call(*words, "--help")
    assert result.code == 0 and result.err == "" and result.out.startswith("Usage: intref")


def test_does_the_bare_command_explain_itself(call):
    assert call().out == call("--help").out


@pytest.mark.parametrize(
    "words, absent",
    [(["--help"], "numpy numba scipy rich"), (["--version"], "numpy numba scipy rich"), (["ops"], "numba scipy")],
)
def test_does_it_answer_at_once(words, absent):
    """What is slow to import stays out of the commands that need none of it."""
    code = f"import sys; from intref.cli.main import main; code = main({words}); print(code, *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    status, *modules = done.stdout.splitlines()[-1].split()
    assert status == "0" and not {*modules} & {*absent.split()}


def test_are_all_ops_listed(call):
    assert [row["op"] for row in answered(call("ops", "--json"))] == [*OPS]
    lines = call("ops").out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [*OPS] and max(map(len, lines)) < 400


@pytest.mark.parametrize("name", ["linear", "rescale", "softmax_exp2"])
def test_is_an_op_specified_with_its_bounds(call, name):
    text = call("ops", name).out
    assert OPS[name].spec in text and "bits" in text
    table = answered(call("ops", name, "--json"))
    expected = [(str(int(t.value.min())), str(int(t.value.max()))) for t in OPS[name].bounds()]
    assert [(row["low"], row["high"]) for row in table["bounds"]] == expected


@pytest.mark.parametrize(
    "words, near",
    [
        (["ops", "rescail"], "near: rescale,"),
        (["profile", "show", "inref"], "near: intref"),
        (["recipe", "show", "w8a8-tokn"], "near: w8a8-token"),
        (["profile", "show", "absent/inref.toml"], "profile 'absent/inref.toml': there is no such file"),
        (["recipe", "show", "ibret.toml"], "recipe 'ibret.toml': there is no such file"),
        (["quantise"], "near: quantize"),
    ],
)
def test_is_the_near_name_proposed(call, words, near):
    result = call(*words)
    assert result.code == 2 and result.out == "" and near in result.err and result.err.count("\n") == 1


def test_is_the_near_site_proposed(call, place):
    result = call("step", place / "gold", "--op", "L0.qq", "--at", "0,0,0")
    assert result.code == 2 and "near: L0.q" in result.err


def test_are_profiles_and_recipes_shown(call):
    names = [row["name"] for row in answered(call("profile", "list", "--json"))]
    assert {"ibert", "intref"} <= {*names}
    for name in names:
        assert (
            answered(call("profile", "show", name, "--json"))["sites"]["linear"]["op"]
            in call("profile", "show", name).out
        )
    for row in answered(call("recipe", "list", "--json")):
        assert answered(call("recipe", "show", row["name"], "--json"))["profile"] == row["profile"]
        assert row["profile"] in call("recipe", "show", row["name"]).out


def test_is_the_list_of_profiles_short_and_names_each_maker_of_oracles_once(call):
    lines = {line.split()[0]: line for line in call("profile", "list").out.splitlines()}
    assert re.search(r"^onnx +stable +ONNX Runtime +14  ONNX's static", lines["onnx"])
    assert re.search(r"^deeploy +stable +Deeploy +19  ", lines["deeploy"])
    assert re.search(r"^intref +stable +defined by intref itself +Fixed-point", lines["intref"])
    assert lines["profile"].index("about") < 90


def test_are_tables_folded_at_the_width_of_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(output, "_console", lambda: Console(width=30, force_terminal=False))
    output.print_table(("name", "about"), [("first", "A_WORD_THAT_IS_WIDER_THAN_THE_COLUMN, and more")])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 30 and "…" not in "".join(lines)
    assert "A_WORD_THAT_IS_WIDER_THAN_THE_COLUMN," in "".join(line[7:] for line in lines)


@pytest.mark.parametrize("kind, name", [("profile", "ibert"), ("recipe", "w8a8-token")])
def test_is_the_file_printed_ready_to_edit(call, place, tmp_path, kind, name):
    text = call(kind, "show", name, "--toml").out
    (tmp_path / "own.toml").write_text(text)
    shown = [answered(call(kind, "show", which, "--json")) for which in (name, tmp_path / "own.toml")]
    assert shown[0] == shown[1] and call(kind, "show", tmp_path / "own.toml", "--toml").out == text
    target = tmp_path / "m.safetensors"
    assert call("quantize", place / "float", "-o", target, f"--{kind}", tmp_path / "own.toml").code == 0


def test_what_is_said_of_a_checkpoint(call, place):
    found = answered(call("inspect", place / "float", "--json"))
    assert found["kind"] == "checkpoint" and found["family"] == "bert" and found["heads"] == ["pooler", "classifier"]
    assert found["tensors"]["L0.ffn.up.weight"] == [12, 8]
    assert "L0.ffn.up.weight" in call("inspect", place / "float").out


def test_what_is_said_of_a_model(call, place):
    model = intref.open(place / "m.safetensors")
    found = answered(call("inspect", place / "m.safetensors", "--json"))
    assert found["hash"] == model.hash and found["nodes"] == len(model.nodes) and found["about"] == model.about
    assert sum(row["tensors"] for row in found["constants"].values()) == len(model.constants)
    assert sum(found["ops"].values()) == len(model.nodes)
    assert model.hash in call("inspect", place / "m.safetensors").out


@pytest.mark.parametrize("name", ["gold", "clamp"])
def test_what_is_said_of_a_package(call, place, name):
    found = answered(call("inspect", place / name, "--json"))
    assert found["kind"] == "golden" and found["self"] == read_golden(place / name).manifest["self"]
    lines = call("inspect", place / name).out.splitlines()
    assert any("every hash is right" in line for line in lines)
    assert lines[lines.index("ops") + 1].split() == ["op", "version"]


def test_are_objects_short_when_printed(place):
    model = intref.open(place / "m.safetensors")
    result = model.run({"input_ids": [[1, 2, 3]]}, trace="L0.*")
    assert f"{len(model.nodes)} nodes" in repr(model) and f"hash {model.hash[:16]}.." in repr(model)
    assert "logits int32 [1, 3]" in repr(result) and f"digest {result.digest[:16]}.." in repr(result)
    assert max(len(repr(model)), len(repr(result))) < 300


def test_does_the_package_list_its_names():
    assert {*intref.__all__} <= {*dir(intref)} and all(name in intref.__doc__ for name in intref.__all__)


def test_does_quantize_give_the_same_bytes_again(call, place, tmp_path):
    words = ("quantize", place / "float", "--recipe", "ibert", "--seed", "7", "-o")
    result = call(*words, tmp_path / "a.safetensors", "--json")
    facts = json.loads(result.out)
    assert result.err == f"note: calibrated with {facts['calibration']}; for trained models give --calib\n"
    assert call(*words, tmp_path / "b.safetensors").code == 0
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert facts["hash"] == intref.open(tmp_path / "a.safetensors").hash and "seed 7" in facts["calibration"]


def test_does_quantize_take_a_calibration_file_and_a_head(call, place, tmp_path):
    calib = tmp_path / "c.jsonl"
    calib.write_text("\n".join(json.dumps(row) for row in ROWS))
    target = tmp_path / "m.safetensors"
    assert call("quantize", place / "float", "-o", target, "--calib", calib, "--head", "sentence").code == 0
    made = intref.open(target)
    assert [*made.outputs] == ["last_hidden_state", "sentence_embedding"]
    batches = [{"input_ids": np.array([row])} for row in ROWS]
    assert made.hash == intref.load(place / "float", "sentence").quantize(calib=sorted(batches, key=_length)).hash


def test_how_near_is_the_model_to_the_float_one(call, place, tmp_path):
    for name, rows in (("c", ROWS), ("e", [[3, 2, 1, 5, 5], [9]])):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    words = ("quantize", place / "float", "-o", tmp_path / "m.safetensors", "--calib", tmp_path / "c.jsonl")
    found = answered(call(*words, "--json"))
    assert found["calibration"] == f"{tmp_path / 'c.jsonl'}: 3 sequences of 9 tokens"
    assert found["fidelity"]["on"] == "calibration data"
    assert found["fidelity"]["outputs"]["last_hidden_state"]["vectors"] == 9
    exact, model, agreeing = intref.load(place / "float"), intref.open(tmp_path / "m.safetensors"), 0
    for row in ROWS:
        logits = exact.run({"input_ids": [row]})["logits"], model.run({"input_ids": [row]}).float("logits")
        agreeing += int(logits[0].argmax() == logits[1].argmax())
    assert found["fidelity"]["outputs"]["logits"]["argmax"] == agreeing / 3
    other = answered(call(*words, "--eval", tmp_path / "e.jsonl", "--json"))
    assert other["hash"] == found["hash"] and other["fidelity"]["on"] == str(tmp_path / "e.jsonl")
    assert other["fidelity"]["outputs"]["last_hidden_state"]["vectors"] == 6
    result = call(*words)
    assert "nearness to the float model, on calibration data" in result.out and result.err == ""


def test_is_padding_left_out_of_the_comparison_with_float(place):
    exact, model = intref.load(place / "float"), intref.open(place / "m.safetensors")
    plain = fidelity(exact, model, [{"input_ids": [[1, 2, 3]]}])
    padded = fidelity(exact, model, [{"input_ids": [[1, 2, 3, 9]], "attention_mask": [[1, 1, 1, 0]]}])
    assert [(f.output, f.vectors, f.argmax) for f in plain] == [(f.output, f.vectors, f.argmax) for f in padded]
    assert [f.vectors for f in plain] == [3, 1, 1] and all(0 < f.cosine <= 1 + 1e-12 for f in plain)
    with pytest.raises(SpecError, match="at least one attended token"):
        fidelity(exact, model, [{"input_ids": [[1]], "attention_mask": [[0]]}])


def _length(batch):
    return batch["input_ids"].shape[1]


def _given(tmp_path, kind):
    """The same three sequences on the command line and in files of each kind."""
    ids = np.array([row + [0] * (4 - len(row)) for row in ROWS])
    mask = np.array([[1] * len(row) + [0] * (4 - len(row)) for row in ROWS], np.int8)
    if kind == "ids":
        return [word for row in ROWS for word in ("--ids", ",".join(map(str, row)))]
    path = tmp_path / f"in.{kind}"
    if kind == "npz":
        np.savez(path, input_ids=ids, attention_mask=mask)
    elif kind == "safetensors":
        from intref.tensorfile import write_tensors

        write_tensors(path, {"input_ids": ids, "attention_mask": mask}, {})
    else:
        rows = [json.dumps({"input_ids": row} if i % 2 else row) for i, row in enumerate(ROWS)]
        path.write_text("\n".join(rows) + "\n\n")
    return ["--inputs", path]


@pytest.mark.parametrize("kind", ["ids", "npz", "safetensors", "jsonl"])
@pytest.mark.parametrize("backend", ["fast", "reference"])
def test_do_all_ways_to_give_inputs_give_the_same_digest(call, place, tmp_path, kind, backend):
    model = intref.open(place / "m.safetensors")
    ids = np.array([row + [0] * (4 - len(row)) for row in ROWS])
    mask = np.array([[1] * len(row) + [0] * (4 - len(row)) for row in ROWS])
    expected = model.run({"input_ids": ids, "attention_mask": mask}, trace="L0.*")
    words = ["run", place / "m.safetensors", *_given(tmp_path, kind), "--backend", backend]
    found = answered(call(*words, "--trace", "L0.*", "--json"))
    assert found["digest"] == expected.digest and found["trace_digest"] == expected.trace_digest
    assert found["outputs"]["logits"]["values"] == expected.outputs["logits"].tolist()
    assert [row["index"] for row in found["labels"]] == expected.outputs["logits"].argmax(1).tolist()
    text = call(*words).out
    assert expected.digest in text and "logits" in text


def test_is_text_encoded_with_the_tokenizer(call):
    pytest.importorskip("tokenizers")
    home = suite_path() / "models" / "sentiment"
    sentence = json.loads((home / "sentences.json").read_text())[0]
    words = ("run", home / "w8a8-token" / "model.safetensors", "--json")
    by_text = answered(call(*words, "--text", sentence["text"], "--tokenizer", home / "tokenizer.json"))
    by_ids = answered(call(*words, "--ids", ",".join(map(str, sentence["input_ids"]))))
    assert by_text == by_ids and by_text["labels"][0]["index"] == sentence["label"]


def test_is_the_tokenizer_found_in_a_checkpoint_directory(call):
    pytest.importorskip("tokenizers")
    home = suite_path() / "models" / "sentiment"
    words = ("run", home / "w8a8-token" / "model.safetensors", "--json", "--text", "so good", "--tokenizer")
    assert answered(call(*words, home)) == answered(call(*words, home / "tokenizer.json"))


def test_are_outputs_and_trace_written(call, place, tmp_path):
    target = tmp_path / "out.safetensors"
    words = ("run", place / "m.safetensors", "--ids", "1,2,3", "--trace", "L0.q,L1.q", "-o", target)
    assert call(*words).code == 0
    tensors, metadata = read_integers(target)
    result = intref.open(place / "m.safetensors").run({"input_ids": [[1, 2, 3]]}, trace="L0.q,L1.q")
    assert metadata["digest"] == result.digest and metadata["trace_digest"] == result.trace_digest
    assert {*tensors} == {*result.outputs, *result.trace}
    assert all(np.array_equal(tensors[n], t) for n, t in {**result.outputs, **result.trace}.items())


def test_are_real_units_shown(call, place):
    found = answered(call("run", place / "m.safetensors", "--ids", "1,2,3", "--float", "--json"))
    result = intref.open(place / "m.safetensors").run({"input_ids": [[1, 2, 3]]})
    assert found["outputs"]["logits"]["values"] == result.float("logits").tolist()


def test_is_a_package_written_that_reads_again(call, place, tmp_path):
    words = ("golden", place / "m.safetensors", "-o", tmp_path / "g", "--ids", "1,2", "--trace", "L0.*")
    facts = answered(call(*words, "--json"))
    package = read_golden(tmp_path / "g")
    assert facts["self"] == package.manifest["self"] and package.manifest["trace"] == "L0.*"
    assert call(*words).code == 0 and read_golden(tmp_path / "g").manifest == package.manifest


def test_is_a_large_package_announced(call, place, tmp_path, monkeypatch):
    words = ("golden", place / "m.safetensors", "--ids", "1,2", "-o", tmp_path / "g")
    assert call(*words).err == ""
    monkeypatch.setattr("intref.cli.package.LARGE", 1000)
    assert call(*words).err.startswith("note: the package will take ")
    package = read_golden(tmp_path / "g")
    tables = package.inputs, package.tensors, package.model.constants
    expected = sum(tensor.nbytes for table in tables for tensor in table.values())
    assert package_bytes(package.model, {"input_ids": [[1, 2]]}, "all") == expected
    assert package_bytes(package.model, {"input_ids": [[1, 2]]}, "L0.q") < expected


@pytest.mark.parametrize(
    "name, folders",
    [
        *((name, ["linear"]) for name in ("linear", "ops/linear")),
        *((name, ["sentiment/ibert", "sentiment/w8a8-token"]) for name in ("sentiment", "models", "models/sentiment")),
        *(("sentiment/w8a8-token", ["sentiment/w8a8-token"]), ("ops", [*OPS])),
    ],
)
def test_are_packages_of_the_suite_found_by_name(call, name, folders):
    found = suite.expanded([f"suite:{name}"])
    assert sorted(found) == sorted(map(str, (next(suite_path().glob(f"*/{folder}")) for folder in folders)))
    if len(found) == 1:
        assert answered(call("verify", f"suite:{name}", "--json"))["check"] == "sound"
        assert call("inspect", f"suite:{name}").out.startswith(found[0])


def test_is_one_line_said_over_several_packages(call, place):
    words = ("verify", "suite:clamp", "suite:rescale_token", place / "clamp", "--dut", f"{DEVICE}:wrong")
    last = "overall: 3 packages: 2 equal, 1 differs (exit code 1)"
    assert call(*words).out.splitlines()[-1] == last
    assert "overall" not in call("verify", "suite:clamp", "--dut", f"{DEVICE}:wrong").out
    result = call(*words, "--require", "clamp*")
    assert result.out.splitlines()[-1] == last and result.code == 1
    result = call("verify", "suite:clamp", "suite:transpose", "--require", "clamp", "--dut", f"{DEVICE}:right")
    last = "overall: 2 packages: 1 equal, 1 without a required case (exit code 0)"
    assert result.out.splitlines()[-1] == last and result.code == 0


def test_is_a_package_checked_without_a_device(call, place):
    assert [row["check"] for row in answered(call("verify", place / "gold", place / "clamp", "--json"))] == [
        "sound"
    ] * 2
    assert "nothing was judged" in call("verify", place / "gold").out


def test_are_devices_judged(call, place, tmp_path):
    junit, report = tmp_path / "j.xml", tmp_path / "r.json"
    words = ("verify", place / "gold", "--mode", "isolated", "--junit", junit, "--report", report)
    right = call(*words, "--dut", f"{DEVICE}:right")
    assert right.code == 0 and "verdict: equal (exit code 0)" in right.out
    assert json.loads(report.read_text())["verdict"] == "equal"
    assert next(ElementTree.fromstring(junit.read_text()).iter("testsuite")).get("failures") == "0"
    found = answered(call(*words, "--dut", f"{DEVICE}:right", "--json"))
    assert found == json.loads(report.read_text()) and found["counts"]["equal"] == len(found["cases"])


@pytest.mark.parametrize("device, code", [("right", 0), ("wrong", 0), ("device", 3)])
def test_what_is_the_exit_code_of_a_verdict(call, place, device, code):
    """The wrong device is right in clamp; a function of other arguments crashes on every case."""
    result = call("verify", place / "clamp", "--dut", f"{DEVICE}:{device}")
    assert result.code == code and f"(exit code {code})" in result.out and result.err == ""


def test_does_the_worst_of_several_packages_count(call, place, tmp_path):
    write_op_golden("rescale_token", tmp_path / "token")
    words = ("verify", place / "clamp", tmp_path / "token", "--dut", f"{DEVICE}:wrong")
    result = call(*words)
    assert result.code == 1 and "rule half_away explains 100.000 %" in result.out
    assert [row["verdict"] for row in answered(call(*words, "--json"))["reports"]] == ["equal", "differs"]
    assert "first at" in call(*words, "--report", tmp_path / "r.txt").out
    assert "half_away" in (tmp_path / "r.txt").read_text()


def test_is_the_command_that_a_report_names_the_one_that_explains(call, tmp_path):
    write_op_golden("rescale_token", tmp_path / "token")
    text = call("verify", tmp_path / "token", "--dut", f"{DEVICE}:wrong").out
    line = next(line for line in text.splitlines() if "replay: intref " in line)
    result = call(*line.partition("intref ")[2].split())
    assert result.code == 0 and "as stored" in result.out


def test_is_every_product_shown_when_asked(call, place):
    words = ("step", place / "gold", "--op", "L1.ffn.down.linear", "--at", "1,0,7")
    found = answered(call(*words, "--json"))
    package = read_golden(place / "gold")
    assert found["value"] == found["golden"] == str(package.tensors["L1.ffn.down.linear"][1, 0, 7])
    assert len(found["products"]) == package.model.constants["L1.ffn.down.linear.weight"].shape[1] == 12
    rows = [line.split() for line in call(*words).out.splitlines()]
    assert all([str(value) for value in row.values()] in rows for row in _in_order(found["products"]))


def _in_order(products):
    return [{key: row[key] for key in ("k", "a", "b", "product", "sum")} for row in products]


def test_are_long_sums_cut_in_the_middle(call, tmp_path):
    k = 40
    tensors = {
        "x": np.arange(k, dtype=np.int8)[None],
        "weight": np.ones((1, k), np.int8),
        "bias": np.zeros(1, np.int32),
    }
    case = SimpleNamespace(why="long", tensors=tensors, attrs={}, flags=())
    write_op_golden("linear", tmp_path / "g", [case])
    words = ("step", tmp_path / "g", "--op", "linear-0000", "--at", "0,0")
    short, whole = call(*words).out.splitlines(), call(*words, "--all").out.splitlines()
    assert len(whole) - len(short) == k - 16 - 1 and str(sum(range(k))) in short[-1]


def test_does_step_say_that_a_package_is_wrong(call, place, monkeypatch):
    """A package with right hashes and a wrong value, as a hand-made one may be."""
    package = read_golden(place / "gold")
    wrong = replace(package, tensors={**package.tensors, "L0.q": package.tensors["L0.q"] + np.int8(1)})
    monkeypatch.setattr("intref.golden.read_golden", lambda _: wrong)
    result = call("step", place / "gold", "--op", "L0.q", "--at", "0,0,0")
    assert result.code == 1 and "the package is wrong" in result.out


@pytest.mark.parametrize(
    "value, dtype, text",
    [
        *((-1, "int8", "0xff"), (-128, "", "0x80"), (128, "", "0x0080"), (-5, "int32", "0xfffffffb")),
        *((1 << 63, "", "0x00000000000000008000000000000000"), (255, "uint8", "0xff")),
    ],
)
def test_how_is_a_number_written_in_hexadecimal(value, dtype, text):
    assert hexadecimal(value, dtype) == text


def test_does_the_demonstration_end_well(call, tmp_path):
    result = call("demo", "-o", tmp_path / "demo", "--json")
    found = answered(result)
    assert result.code == 0 and found["ok"] and found["same_digest"]
    assert (found["right"], found["wrong"], found["rule"]) == ("equal", "differs", "rule half_away")
    assert found["agreeing"] >= found["sentences"] - 1 and abs(found["float_right"] - found["integer_right"]) <= 20
    assert read_golden(tmp_path / "demo").model is not None
    assert found["source"].startswith(str(tmp_path / "demo-devices" / "device."))
    codes = [call("verify", tmp_path / "demo", "--dut", found[dut]).code for dut in ("right_dut", "wrong_dut")]
    assert codes == [0, 1]


def test_does_the_demonstration_need_no_compiler_and_no_numba(call, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setitem(sys.modules, "numba", None)
    result = call("demo", "-o", tmp_path / "demo")
    text = result.out
    assert result.code == 0 and "numba is not installed, only the reference ran" in text
    assert "no C compiler" in text and "rule half_away explains 100.000 %" in text
    assert f"--dut py:{tmp_path / 'demo-devices' / 'device.py'}:wrong" in text
    step = next(line for line in text.splitlines() if line.startswith("   intref step"))
    assert call(*step.split("   ")[1].split()[1:]).code == 0


def test_is_a_device_of_ones_own_never_overwritten(call, tmp_path):
    mine = tmp_path / "demo-devices" / "device.c"
    mine.parent.mkdir()
    mine.write_text("mine")
    result = call("demo", "-o", tmp_path / "demo")
    assert result.code == 2 and "it is not overwritten" in result.err and mine.read_text() == "mine"
    assert not (tmp_path / "demo").exists()


def test_what_runs_without_numba(call, place):
    hidden = "import sys; sys.modules['numba'] = None; from intref.cli.main import main; sys.exit(main(sys.argv[1:]))"
    words = ["run", str(place / "m.safetensors"), "--ids", "1,2", "--json"]
    found, refused = (
        subprocess.run([sys.executable, "-c", hidden, *words, *more], capture_output=True, text=True, check=False)
        for more in ((), ("--backend", "fast"))
    )
    expected = answered(call(*words))
    assert json.loads(found.stdout) == expected | {"backend": "reference"} and expected["backend"] == "fast"
    assert refused.returncode == 2 and refused.stdout == "" and refused.stderr.count("\n") == 1
    assert "backend 'fast' needs numba" in refused.stderr


class _Terminal(io.StringIO):
    def isatty(self):
        return True


def test_is_progress_drawn_on_a_terminal_only(monkeypatch, capsys):
    with output.progress() as told:
        told("work", 1, 2)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys, "stderr", _Terminal())
    with output.progress() as told:
        told("work", 1, 2)
        told("work", 2, 2)
    assert "work" in sys.stderr.getvalue() and "2/2" in sys.stderr.getvalue()


def test_is_there_colour_on_a_terminal_only(monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    output.print_table(("a", "b>"), [("x", 1)])
    assert "\x1b" not in capsys.readouterr().out
    monkeypatch.setattr(sys, "stdout", _Terminal())
    output.print_table(("a", "b>"), [("x", 1)])
    assert "\x1b[1m" in sys.stdout.getvalue()


def test_can_text_from_a_file_command_the_terminal(capsys):
    output.print_table(("a", "b"), [("\x1b[31mred", "[bold]no markup[/bold]")])
    output.print_text("\x1b[2J\r\x00")
    out = capsys.readouterr().out
    assert (
        "\x1b" not in out and "\\x1b[31mred" in out and "[bold]no markup[/bold]" in out and "\\x1b[2J\\x0d\\x00" in out
    )


def test_does_a_terminal_that_knows_no_such_letter_get_an_escape(monkeypatch):
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, "ascii"))
    output.print_text("Größe")
    output.print_table(("a",), [("Größe",)])
    sys.stdout.flush()
    assert buffer.getvalue() == b"Gr\\xf6\\xdfe\na\nGr\\xf6\\xdfe\n"


def test_does_a_reader_that_leaves_cost_a_traceback():
    command = [sys.executable, "-m", "intref", "ops", "softmax_exp2"]
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(write)
    assert done.returncode == 141 and done.stderr == ""


@pytest.mark.parametrize("error, code", [(KeyboardInterrupt(), 130), (MemoryError(), 2), (RuntimeError("a\nb"), 70)])
def test_what_is_said_of_an_interruption_and_of_a_bug(call, monkeypatch, error, code):
    def fails(*_):
        raise error

    monkeypatch.setattr("intref.modelfile.open_model", fails)
    result = call("audit", "m.safetensors")
    assert result.code == code and result.out == "" and result.err.count("\n") == (code != 130)
    assert code != 70 or result.err.startswith("intref: error: bug in intref: RuntimeError: a b (")


def test_does_a_long_job_say_in_a_log_how_far_it_is(capsys, monkeypatch):
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr("intref.cli.output.monotonic", lambda: next(clock))
    with output.progress() as told:
        for done in range(1, 5):
            told("cases", done, 4)
    assert capsys.readouterr().err == "cases 2/4\ncases 4/4\n"
