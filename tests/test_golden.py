"""Is a golden package reproducible to the byte, complete, and believed only when whole?"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intref import errors, vectors
from intref.digest import digest
from intref.golden import export, read_golden, spec_text, suite_path, write_golden, write_op_golden
from intref.golden.forms import identifiers
from intref.golden.package import seal
from intref.model import Model
from intref.ops import OPS
from intref.run import call
from intref.tensorfile import read_integers
from tiny_models import ROWS, tiny_inputs, tiny_model

ROOT = Path(__file__).resolve().parent.parent
CHILD = """
import sys
from tiny_models import tiny_inputs, tiny_model
from intref.golden import write_golden, write_op_golden
write_golden(tiny_model(), tiny_inputs(), sys.argv[1], backend="reference", seed=5)
write_op_golden("add", sys.argv[2])
"""


def refusal(call, *args, error=errors.FormatError) -> str:
    with pytest.raises(error) as caught:
        call(*args)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 900
    return message


def contents(folder) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in Path(folder).iterdir()}


def write(path, **options) -> str:
    return write_golden(tiny_model(), tiny_inputs(), path, **{"backend": "reference", "seed": 5, **options})


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    """One package of each kind, never changed."""
    folder = tmp_path_factory.mktemp("golden")
    return {"model": Path(write(folder / "model")), "op": Path(write_op_golden("add", folder / "op"))}


def test_are_the_bytes_the_same_again_and_in_another_process(packages, tmp_path):
    write(tmp_path / "again")
    paths = [str(ROOT), str(ROOT / "tests")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONHASHSEED": "77"}
    subprocess.run([sys.executable, "-c", CHILD, tmp_path / "child", tmp_path / "op"], check=True, env=env)
    assert contents(packages["model"]) == contents(tmp_path / "again") == contents(tmp_path / "child")
    assert contents(packages["op"]) == contents(tmp_path / "op")


def test_are_the_bytes_the_same_from_the_saved_model_and_the_fast_backend(packages, tmp_path):
    pytest.importorskip("numba")
    package = read_golden(packages["model"])
    write_golden(package.model, package.inputs, tmp_path / "again", backend="fast", seed=5)
    assert contents(tmp_path / "again") == contents(packages["model"])


def test_does_a_package_hold_what_the_run_gave(packages):
    package = read_golden(packages["model"])
    result = tiny_model().run(tiny_inputs(), "reference", "all")
    assert package.kind == "model" and package.manifest["model"] == tiny_model().hash
    assert (package.manifest["digest"], package.manifest["trace_digest"]) == (result.digest, result.trace_digest)
    assert {**package.inputs, **package.tensors}.keys() == result.trace.keys()
    for name, value in result.trace.items():
        assert np.array_equal(package.available[name], value) and package.available[name].dtype == value.dtype
    assert package.judgeable() == [*range(len(tiny_model().nodes))]
    assert (package.manifest["profile"], package.manifest["recipe"]) == ("by-hand", "none")


def test_does_an_op_package_hold_the_reference_answers(packages):
    package = read_golden(packages["op"])
    directed = vectors.cases("add")
    assert package.kind == "op" and len(package.cases) == len(directed) and package.model is None
    for case, source in zip(package.cases, directed):
        assert case.why == source.why and case.flags == source.flags
        assert case.attrs == OPS["add"].complete(source.attrs)
        made = call("add", case.inputs, case.attrs)
        assert digest(made) == digest(case.outputs) and digest(case.inputs) == digest(source.tensors)


def test_does_an_attribute_beyond_a_double_survive(tmp_path):
    x, gain, bias = np.array([[-5, 7, 90]], np.int32), np.ones(3, np.int32), np.zeros(3, np.int64)
    attrs = {"eps": (1 << 60) - 1, "shift": 1, "low": -9, "high": 9}
    case = SimpleNamespace(why="", tensors={"x": x, "gain": gain, "bias": bias}, attrs=attrs, flags=())
    package = read_golden(write_op_golden("layernorm_fixed", tmp_path / "op", [case]))
    assert package.cases[0].attrs == attrs
    assert package.manifest["cases"][0]["attrs"]["eps"] == "1152921504606846975"


@pytest.mark.parametrize("trace", [None, "L0.*", "h, L0.acc", "input_ids"])
def test_does_a_pattern_store_only_what_it_names_and_the_outputs(trace, tmp_path):
    package = read_golden(write(tmp_path / "part", trace=trace))
    result = tiny_model().run(tiny_inputs(), "reference", trace)
    assert package.tensors.keys() == (result.trace.keys() - tiny_model().inputs.keys()) | {"L0.small", "clipped"}
    assert package.manifest["trace_digest"] == result.trace_digest
    nodes = tiny_model().nodes
    assert [nodes[i].op for i in package.judgeable()] == {
        None: [],
        "L0.*": ["transpose", "matmul", "rescale"],
        "h, L0.acc": ["embedding"],
        "input_ids": [],
    }[trace]


def test_which_elements_count_under_a_mask(packages):
    package = read_golden(packages["model"])
    mask = tiny_inputs()["attention_mask"] == 1
    assert np.array_equal(package.valid("L0.y"), np.repeat(mask[..., None], ROWS, 2))
    assert np.array_equal(package.valid("L0.t"), np.repeat(mask[:, None], ROWS, 1))
    assert np.array_equal(package.valid("L0.scores"), mask[:, :, None] & mask[:, None, :])
    assert np.array_equal(package.valid("input_ids"), mask)
    assert package.valid("pooled") is None and package.valid("words") is None
    assert "expected a tensor 'nowhere'" in refusal(package.valid, "nowhere")


def test_does_padding_change_no_element_that_counts(packages, tmp_path):
    padded = {name: np.pad(value, ((0, 0), (0, 3))) for name, value in tiny_inputs().items()}
    wide = read_golden(write_golden(tiny_model(), padded, tmp_path / "wide", backend="reference"))
    package = read_golden(packages["model"])
    for name, tensor in package.tensors.items():
        region, wider = package.valid(name), wide.valid(name)
        if region is None:
            assert np.array_equal(tensor, wide.tensors[name])
        else:
            assert np.array_equal(tensor[region], wide.tensors[name][wider])


def test_are_saturations_counted_where_elements_count(packages):
    package = read_golden(packages["model"])
    counts = package.manifest["saturation"]
    assert counts.keys() == {"L0.y", "L0.small", "clipped"}
    values = package.tensors["L0.y"][package.valid("L0.y")]
    assert counts["L0.y"] == {"low": int((values == -127).sum()), "high": int((values == 127).sum()), "of": values.size}
    clipped = package.tensors["clipped"]
    assert counts["clipped"] == {"low": int((clipped == -5).sum()), "high": int((clipped == 5).sum()), "of": 18}
    assert counts["clipped"]["low"] + counts["clipped"]["high"] > 0


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(["model", "op"]), data=st.data())
def test_is_a_flipped_bit_anywhere_noticed(packages, tmp_path, kind, data):
    files = contents(packages[kind])
    name = data.draw(st.sampled_from(sorted(files)))
    at = data.draw(st.integers(0, len(files[name]) - 1))
    flipped = bytearray(files[name])
    flipped[at] ^= 1 << data.draw(st.integers(0, 7))
    folder = tmp_path / "flipped"
    shutil.copytree(packages[kind], folder, dirs_exist_ok=True)
    folder.joinpath(name).write_bytes(flipped)
    assert name in refusal(read_golden, folder)


def test_is_the_changed_tensor_named(packages, tmp_path):
    for kind, file, said in [
        ("model", "tensors.safetensors", "tensor '"),
        ("model", "inputs.safetensors", "tensor '"),
        ("model", "model.safetensors", "tensor '"),
        ("op", "tensors.safetensors", "case 'add-"),
        ("op", "inputs.safetensors", "case 'add-"),
    ]:
        folder = tmp_path / kind / file
        shutil.copytree(packages[kind], folder)
        data = bytearray(folder.joinpath(file).read_bytes())
        data[8 + int.from_bytes(data[:8], "little")] ^= 1  # the first byte of the first tensor
        folder.joinpath(file).write_bytes(data)
        assert f"{file}: {said}" in refusal(read_golden, folder)


@pytest.mark.parametrize("name", ["manifest.json", "model.safetensors", "SPEC.md"])
def test_is_a_missing_or_cut_file_refused(packages, tmp_path, name):
    folder = tmp_path / "cut"
    shutil.copytree(packages["model"], folder)
    whole = folder.joinpath(name).read_bytes()
    folder.joinpath(name).write_bytes(whole[: len(whole) // 2])
    assert name in refusal(read_golden, folder)
    folder.joinpath(name).unlink()
    assert re.search(f"{name}: cannot be read: No such file", refusal(read_golden, folder))


MANIFESTS = {
    "another schema": (lambda m: m.update(schema=2), errors.Unsupported, "schema 2 is not supported"),
    "no kind": (lambda m: m.pop("kind"), errors.FormatError, "kind: expected op or model"),
    "an unknown key": (lambda m: m.update(extra=1), errors.FormatError, "the keys"),
    "a list for a table": (lambda m: m.update(tensors=[]), errors.FormatError, "tensors: expected dict"),
    "a path in files": (lambda m: m["files"].update({"../x": ""}), errors.FormatError, "files: expected"),
    "an op of tomorrow": (lambda m: m["ops"].update(linear=2), errors.Unsupported, "'linear' version 2"),
    "no such op": (lambda m: m["ops"].update(sorcery=1), errors.Unsupported, "'sorcery'"),
    "another model": (lambda m: m.update(model="00"), errors.FormatError, "model: expected"),
    "another digest": (lambda m: m.update(digest="00"), errors.FormatError, "digest: expected"),
    "another trace": (lambda m: m.update(trace="L0.*"), errors.FormatError, "stored tensors: expected"),
    "a trace of nothing": (lambda m: m.update(trace="zzz"), errors.FormatError, "trace 'zzz' matches no tensor"),
    "another region": (lambda m: m["valid"]["tensors"].clear(), errors.FormatError, "valid: expected"),
    "a tensor less": (lambda m: m["tensors"].pop("h"), errors.FormatError, "'h' missing or in excess"),
    "a wrong row": (lambda m: m["tensors"]["h"].update(shape=[1]), errors.FormatError, "tensor 'h': expected"),
    "a wrong constant": (lambda m: m["constants"]["words"].update(sha256="0"), errors.FormatError, "tensor 'words'"),
    "true for a number": (lambda m: m.update(seed=True), errors.FormatError, "seed: expected int"),
}


@pytest.mark.parametrize("reason", MANIFESTS)
def test_is_a_well_sealed_lie_refused(reason, packages, tmp_path):
    change, error, said = MANIFESTS[reason]
    folder = tmp_path / "lie"
    shutil.copytree(packages["model"], folder)
    manifest = json.loads(folder.joinpath("manifest.json").read_bytes())
    change(manifest)
    folder.joinpath("manifest.json").write_bytes(seal(manifest))
    assert said in refusal(read_golden, folder, error=error)


@pytest.mark.parametrize("text", ["", "[]", "{}", "nonsense", '{"schema":1e999}', '{"self":1}', "[" * 99999])
def test_is_a_manifest_that_is_none_refused(text, tmp_path):
    tmp_path.joinpath("manifest.json").write_text(text)
    assert "manifest.json: " in refusal(read_golden, tmp_path)


def test_does_a_failed_write_leave_nothing_behind(tmp_path, monkeypatch):
    write(tmp_path / "kept")
    before = contents(tmp_path / "kept")
    monkeypatch.setattr("intref.golden.write.spec_text", lambda ops: 1 // 0)
    for name in ("kept", "fresh"):
        with pytest.raises(ZeroDivisionError):
            write(tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == ["kept"] and contents(tmp_path / "kept") == before


def test_is_an_old_package_replaced_and_nothing_else(tmp_path):
    write(tmp_path / "gold", trace=None)
    write(tmp_path / "gold")
    assert len(read_golden(tmp_path / "gold").tensors) == 11
    mine = tmp_path / "gold" / "notes.txt"
    mine.write_text("mine")
    assert "found also 'notes.txt'" in refusal(write, tmp_path / "gold")
    assert mine.read_text() == "mine"


def test_are_wrong_inputs_refused_before_anything_is_written(tmp_path):
    bad = {"input_ids": np.array([[99]])}
    assert "input_ids" in refusal(write_golden, tiny_model(), bad, tmp_path / "g", error=errors.SpecError)
    assert "no such op" in refusal(write_op_golden, "sorcery", tmp_path / "g", error=errors.SpecError)
    assert not [*tmp_path.iterdir()]


def test_does_a_model_without_a_mask_count_everything(tmp_path):
    whole = tiny_model()
    made = {"h", "q", "mantissa", "exponent"}
    tensors = {n: t for n, t in whole.tensors.items() if n in {"input_ids", "words", *made}}
    words = {"words": whole.constants["words"]}
    model = Model(whole.nodes[:2], tensors, words, {"input_ids": None}, {"y": "q"}, whole.dims)
    package = read_golden(write_golden(model, {"input_ids": [[1, 2]]}, tmp_path / "g", backend="reference"))
    assert package.manifest["valid"] is None and package.valid("q") is None


def test_does_the_specification_hold_every_op_and_every_attribute():
    text = spec_text()
    for name, op in OPS.items():
        section = text.split(f"### {name}, version {op.version}\n")[1].split("\n### ")[0]
        assert all(line.strip() in section for line in op.spec.splitlines())
        assert all(f"| {word} |" in section for word in (*op.inputs, *op.attrs, *op.outputs))
    assert refusal(spec_text, ["sorcery"], error=errors.SpecError)


def test_is_a_package_specification_that_of_its_ops(packages):
    text = packages["op"].joinpath("SPEC.md").read_text()
    assert text == spec_text(["add"]) and "### add, version 1" in text and "### linear" not in text


def test_do_no_inputs_and_outputs_of_an_op_share_a_name():
    assert not [name for name, op in OPS.items() if op.inputs.keys() & op.outputs.keys()]


def test_are_the_codes_that_devices_are_told_the_ones_that_are_sent():
    protocol = pytest.importorskip("intref.devices.protocol")
    text = spec_text([])
    assert f"| dtype | {' | '.join(protocol.DTYPES)} |" in text
    assert f"| code | {' | '.join(map(str, range(len(protocol.DTYPES))))} |" in text
    assert protocol.PIPE_HEADER in text and f"status {protocol.NOT_SUPPORTED}" in text


@pytest.mark.parametrize("kind", ["model", "op"])
def test_does_an_npz_export_hold_the_arrays(kind, packages, tmp_path):
    export(packages[kind], tmp_path / "a", "npz")
    export(packages[kind], tmp_path / "b", "npz")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    package = read_golden(packages[kind])
    with np.load(tmp_path / "a" / "tensors.npz") as found:
        assert digest(dict(found)) == digest(package.tensors)
    assert {"inputs.npz", "tensors.npz"} <= contents(tmp_path / "a").keys()


@pytest.mark.parametrize("kind", ["model", "op"])
def test_does_a_memory_file_read_back(kind, packages, tmp_path):
    export(packages[kind], tmp_path / "mem", "mem")
    available = read_golden(packages[kind]).available
    index = json.loads(tmp_path.joinpath("mem", "export.json").read_text())
    assert len(index["tensors"]) == len(available)
    for row in index["tensors"]:
        words = tmp_path.joinpath("mem", row["file"]).read_text().split("\n")
        assert words.pop() == "" and {len(w) for w in words} == {row["width"] // 4} and len(words) == row["depth"]
        values = [int(w, 16) for w in words]
        signed = row["dtype"][0] == "i"
        values = [v - (1 << row["width"]) if signed and v >> row["width"] - 1 else v for v in values]
        assert values == available[row["name"]].ravel().tolist()


def test_does_a_c_header_compile_and_give_the_numbers(packages, tmp_path):
    compiler = shutil.which("cc") or pytest.skip("needs a C compiler")
    export(packages["op"], tmp_path / "c", "c")
    index = json.loads(tmp_path.joinpath("c", "export.json").read_text())
    headers = {row["file"] for row in index["tensors"]} | {"attributes.h"}
    loops = "".join(
        f'for (i = 0; i < {r["symbol"].upper()}_SIZE; i++) printf("%" PRId64 "\\n", (int64_t){r["symbol"]}[i]);\n'
        for r in index["tensors"]
    )
    includes = "".join(f'#include "{h}"\n' for h in sorted(headers))
    low = 'printf("%" PRId64 "\\n", (int64_t)ADD_0000_LOW);'
    main = f"#include <inttypes.h>\n#include <stdio.h>\n{includes}int main(void) {{ int i; {loops}{low} return 0; }}\n"
    tmp_path.joinpath("c", "main.c").write_text(main)
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-Wno-unused-const-variable"]
    subprocess.run([compiler, *flags, "-o", "main", "main.c"], cwd=tmp_path / "c", check=True)
    printed = subprocess.run([tmp_path / "c" / "main"], capture_output=True, check=True).stdout.split()
    package = read_golden(packages["op"])
    expected = [v for r in index["tensors"] for v in package.available[r["name"]].ravel().tolist()]
    assert [int(v) for v in printed] == [*expected, package.cases[0].attrs["low"]]


def test_do_names_that_differ_only_in_odd_characters_stay_apart(tmp_path):
    table = np.arange(256).astype(np.int8)
    case = SimpleNamespace(why="", tensors={"x": table, "entries": table}, attrs={}, flags=())
    path = write_op_golden("table", tmp_path / "op", [case, case])
    assert {"table-0000/x", "table-0001/x"} <= read_golden(path).inputs.keys()
    assert identifiers(["a.b", "a_b", "A/b", "a_b_2"]) == {
        "A/b": "A_b",
        "a.b": "a_b_2",
        "a_b": "a_b_3",
        "a_b_2": "a_b_2_2",
    }


def test_are_unknown_forms_and_foreign_directories_refused(packages, tmp_path):
    assert "npz, mem, c" in refusal(export, packages["op"], tmp_path / "x", "vhdl", error=errors.SpecError)
    tmp_path.joinpath("mine").mkdir()
    tmp_path.joinpath("mine", "thesis.tex").write_text("mine")
    assert "thesis.tex" in refusal(export, packages["op"], tmp_path / "mine", "npz")
    assert [p.name for p in tmp_path.joinpath("mine").iterdir()] == ["thesis.tex"]


def test_is_the_conformance_suite_whole():
    suite = suite_path()
    assert {p.name for p in suite.joinpath("ops").iterdir()} == OPS.keys()
    for name in OPS:
        package = read_golden(suite / "ops" / name)
        assert package.manifest["op"] == name and package.cases
    assert read_integers(suite / "ops" / "add" / "inputs.safetensors")[1] == {}


def test_would_regeneration_change_the_suite():
    tool = [sys.executable, str(ROOT / "tools" / "make_golden.py"), "--backend", "reference"]
    done = subprocess.run([*tool, "--check"], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_does_the_regeneration_check_name_what_changed(tmp_path):
    tool = [sys.executable, str(ROOT / "tools" / "make_golden.py"), "--golden", tmp_path / "golden"]
    subprocess.run(tool, check=True)
    tmp_path.joinpath("golden", "SPEC.md").write_text("worse")
    tmp_path.joinpath("golden", "ops", "add", "manifest.json").unlink()
    tmp_path.joinpath("golden", "ops", "add", "stray").write_text("")
    done = subprocess.run([*tool, "--check"], check=False, capture_output=True, text=True)
    names = [line.rsplit("golden/", 1)[1] for line in done.stdout.splitlines()]
    assert names == ["SPEC.md: would change", "ops/add/manifest.json: would appear", "ops/add/stray: would vanish"]
    assert done.returncode == 1
