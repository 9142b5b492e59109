"""Do exports hold the bits, and do results come back as they were made?"""

import itertools
import json
import shutil
import subprocess

import numpy as np
import pytest

from intref import errors
from intref.cli import exchange
from intref.cli.main import main
from intref.golden import FORMS, export, read_golden, suite_path
from intref.golden.importing import import_results, wanted_outputs
from intref.verify import judge

OPS = suite_path() / "ops"


def test_is_what_does_not_fit_refused_with_nothing_written(tmp_path):
    cases = {
        "table": ({"bits": 4}, r"must lie in \[-8, 7\] for 4 bits"),
        "add": ({"depth": 1}, "more than the depth 1"),
    }
    for name, (options, said) in cases.items():
        with pytest.raises(errors.SpecError, match=said):
            export(OPS / name, tmp_path / "out", "mem", **options)
    with pytest.raises(errors.SpecError, match="option 'endian' is for raw, not for mem"):
        export(OPS / "add", tmp_path / "out", "mem", endian="big")
    with pytest.raises(errors.SpecError, match="matches no tensor"):
        export(OPS / "add", tmp_path / "out", "mem", tensors="nothing")
    assert [*tmp_path.iterdir()] == []


LAYOUTS = {
    "mem": {"lanes": 3, "first": "msb", "width": 200, "rows": True},
    "hex": {"lanes": 2},
    "npz": {},
    "raw": {"endian": "big"},
}


@pytest.mark.parametrize("form", LAYOUTS)
@pytest.mark.parametrize("name", ["linear_int4", "quantize_token", "table", "transpose"])
def test_do_exported_results_come_back_and_judge_equal(name, form, tmp_path):
    export(OPS / name, tmp_path / "out", form, **LAYOUTS[form])
    results = tmp_path / "out" / ("tensors.npz" if form == "npz" else "tensors")
    for like, layout in ((tmp_path / "out", {}), (OPS / name, LAYOUTS[form])):
        found = import_results([results], like, tmp_path / "back.npz", **layout)
        assert not found.unknown and not found.missing
        report = judge(OPS / name, f"file:{tmp_path / 'back.npz'}")
        assert report.exit_code == 0 and {case.verdict for case in report.cases} == {"equal"}


@pytest.mark.parametrize("results, like", [*itertools.product(["npz", "mem"], ["npz", "c", "mem"])])
def test_does_a_whole_export_come_back_by_the_index_of_any(results, like, tmp_path):
    for form in {results, like}:
        export(OPS / "clamp", tmp_path / form, form)
    found = import_results([tmp_path / results], tmp_path / like, tmp_path / "back.npz")
    golden = read_golden(OPS / "clamp").tensors
    assert found.tensors.keys() == golden.keys() and not found.missing
    assert all(np.array_equal(t, golden[name]) for name, t in found.tensors.items())


@pytest.mark.parametrize("form", ["npz", "mem", "c", "raw", "onnx"])
def test_does_an_export_replace_an_earlier_one_and_nothing_of_the_user(form, tmp_path):
    if form == "onnx":
        pytest.importorskip("onnx")
    export(OPS / "clamp", tmp_path / "e", form)
    export(OPS / "clamp", tmp_path / "e", form, tensors="clamp-0000/*")
    for own in ("sim/results.mem", "mynet.onnx", "weights.bin"):
        path = tmp_path / "e" / own
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
        with pytest.raises(errors.FormatError, match=f"cannot be replaced: .* found also '{own}'"):
            export(OPS / "clamp", tmp_path / "e", form)
        assert path.read_text() == "mine"
        path.unlink()
    export(OPS / "clamp", tmp_path / "e", "mem", tensors="clamp-0000/*")


@pytest.mark.parametrize("index", [{}, {"tensors": []}, {"form": "onnx", "package": "p", "tensors": []}])
def test_is_the_index_of_another_program_left_alone(index, tmp_path):
    tmp_path.joinpath("export.json").write_text(json.dumps(index))
    tmp_path.joinpath("weights.bin").write_bytes(b"mine")
    with pytest.raises(errors.FormatError, match=r"found another's export\.json"):
        export(OPS / "clamp", tmp_path, "mem")
    assert tmp_path.joinpath("weights.bin").read_bytes() == b"mine"


def test_is_a_layout_that_no_file_can_have_said_by_file_and_tensor(tmp_path, capsys):
    path = tmp_path / "table_0000_y.mem"
    path.write_text("00\n")
    tail = ("--like", OPS / "table", "-o", tmp_path / "back.npz")
    place = f"{path}: tensor 'table-0000/y': "
    assert f"{place}words: lanes must be in 1..65536, not -5" in said_of(capsys, "import", path, *tail, "--lanes", "-5")
    assert f"{place}words: tensor 'table-0000/y' needs 256 words" in said_of(
        capsys, "import", path, *tail, "--depth", "1"
    )
    assert f"{place}expected 256 words, found 1" in said_of(capsys, "import", path, *tail)


def test_does_a_model_come_back(tmp_path):
    package = suite_path() / "models" / "sentiment" / "ibert"
    export(package, tmp_path / "out", "mem", tensors="L1.*", lanes=8)
    found = import_results([tmp_path / "out" / "tensors"], tmp_path / "out", tmp_path / "back.npz")
    golden = read_golden(package).tensors
    assert found.tensors.keys() == {name for name in golden if name.startswith("L1.")}
    assert all(np.array_equal(t, golden[name]) for name, t in found.tensors.items())


def test_does_an_unknown_digit_fail_its_own_case_only(tmp_path, capsys):
    assert main(["export", str(OPS / "linear"), "-o", str(tmp_path / "e"), "--form", "mem", "--lanes", "2"]) == 0
    results = tmp_path / "e" / "tensors" / "linear_0003_y.mem"
    results.write_text(results.read_text().replace("8", "x", 1))
    back = str(tmp_path / "back.npz")
    assert main(["import", str(tmp_path / "e" / "tensors"), "--like", str(tmp_path / "e"), "-o", back]) == 1
    assert "linear-0003/y  linear_0003_y.mem: word 0 is '00000000x0000000'" in capsys.readouterr().out
    report = judge(OPS / "linear", f"file:{back}")
    kinds = {case.id: (case.verdict, case.kind, case.detail) for case in report.cases if case.verdict != "equal"}
    assert kinds == {"linear-0003": ("crashed", "unknown", "linear_0003_y.mem: word 0 is '00000000x0000000'")}


def test_is_one_wrong_element_seen_after_the_way_back(tmp_path):
    export(OPS / "linear", tmp_path / "e", "raw")
    results = tmp_path / "e" / "tensors" / "linear_0000_y.bin"
    data = bytearray(results.read_bytes())
    data[0] ^= 1
    results.write_bytes(data)
    import_results([tmp_path / "e"], tmp_path / "e", tmp_path / "back.npz")
    wrong = [case for case in judge(OPS / "linear", f"file:{tmp_path / 'back.npz'}").cases if case.verdict == "differs"]
    assert [(case.id, case.differing) for case in wrong] == [("linear-0000", 1)]


def said_of(capsys, *words_given) -> str:
    """The one line of an error, exit code 2."""
    assert main([*map(str, words_given)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return lines[0]


def test_is_a_bad_result_one_line(tmp_path, capsys):
    back = tmp_path / "back.npz"
    tail = ("--like", OPS / "table", "-o", back)
    np.savez(tmp_path / "f.npz", **{"table-0000/y": np.zeros(256)})
    assert "expected int8 [1, 256] of 'table-0000/y', found float64 [256]" in said_of(
        capsys, "import", tmp_path / "f.npz", *tail
    )
    np.savez(tmp_path / "g.npz", colour=np.zeros(1, np.int8))
    assert "member 'colour': expected the name of an output" in said_of(capsys, "import", tmp_path / "g.npz", *tail)
    tmp_path.joinpath("y.bin").write_bytes(b"123")
    assert "expected 256 bytes" in said_of(capsys, "import", f"table-0000/y={tmp_path / 'y.bin'}", *tail)
    assert "NAME=FILE" in said_of(capsys, "import", tmp_path / "y.bin", *tail)
    assert "before =" in said_of(capsys, "import", f"colour={tmp_path / 'y.bin'}", *tail)
    tmp_path.joinpath("y.mem").write_bytes(b"\xff\n")
    assert "expected ASCII text" in said_of(capsys, "import", f"table-0000/y={tmp_path / 'y.mem'}", *tail)
    tmp_path.joinpath("empty").mkdir()
    assert "found none in" in said_of(capsys, "import", tmp_path / "empty", *tail)
    np.save(tmp_path / "table_0002_y.npy", read_golden(OPS / "table").tensors["table-0002/y"])
    again = tmp_path / "table_0002_y.npy"
    assert "given twice" in said_of(capsys, "import", again, again, *tail)
    assert "option 'endian' is not for mem" in said_of(
        capsys, "import", f"table-0000/y={tmp_path / 'y.mem'}", *tail, "--endian", "big"
    )
    assert "must be named .npz" in said_of(
        capsys, "import", tmp_path, "--like", OPS / "table", "-o", tmp_path / "r.mem"
    )
    assert not back.exists()


@pytest.mark.parametrize(
    "index",
    [
        {},
        {"tensors": 3},
        {"tensors": [3]},
        {"tensors": [{"name": "y"}]},
        {"tensors": [{"name": "y", "group": "tensors", "file": "y.mem", "dtype": "float32", "shape": [1]}]},
        {"tensors": [{"name": "y", "group": "tensors", "file": "y.mem", "dtype": "int8", "shape": [1 << 40]}]},
        {"tensors": [{"name": "y", "group": "tensors", "file": "y.mem", "dtype": "int8", "shape": [-1]}]},
        {"tensors": [{"name": "y", "group": "tensors", "file": "y.mem", "dtype": "int8", "shape": [0]}]},
        {"tensors": [{"name": "y", "group": "tensors", "file": "y.mem", "dtype": "int8", "shape": [2147483647, 0]}]},
        {"tensors": [{"name": "y", "group": "tensors", "file": "y.mem", "dtype": "int8", "shape": [1] * 70}]},
        {"tensors": [{"name": "y", "group": "tensors", "file": "y.mem", "dtype": "int8", "shape": [1]}] * 2},
    ],
)
def test_is_a_hostile_index_refused(index, tmp_path):
    tmp_path.joinpath("export.json").write_text(json.dumps(index))
    with pytest.raises(errors.FormatError, match=r"export\.json: .*expected"):
        wanted_outputs(tmp_path)


@pytest.mark.parametrize(
    "layout, file",
    [
        ({"lanes": "2"}, "y.mem"),
        ({"lanes": -5}, "y.mem"),
        ({"lanes": 1, "width": ""}, "y.mem"),
        ({"lanes": 1, "depth": 1}, "y.mem"),
        ({"lanes": 1, "first": []}, "y.mem"),
        ({"endian": []}, "y.bin"),
    ],
)
def test_is_a_hostile_layout_refused(layout, file, tmp_path):
    row = {"name": "y", "group": "tensors", "file": file, "dtype": "int8", "shape": [2], **layout}
    tmp_path.joinpath("export.json").write_text(json.dumps({"tensors": [row]}))
    tmp_path.joinpath(file).write_text("0")
    with pytest.raises(errors.FormatError, match=r"export\.json: tensor 'y': (words|raw): "):
        import_results([tmp_path / file], tmp_path, tmp_path / "back.npz")


def test_does_icarus_read_the_words_and_write_them_back(tmp_path):
    """The real $readmemh and $writememh, on words of lanes that no dtype has."""
    if not shutil.which("iverilog"):
        pytest.skip("needs iverilog")
    export(OPS / "matmul", tmp_path / "e", "mem", tensors="matmul-0000/y", lanes=3, first="msb", width=101, depth=7)
    (row,) = json.loads(tmp_path.joinpath("e", "export.json").read_text())["tensors"]
    assert (row["width"], row["depth"], row["words"]) == (101, 7, 3)
    source = tmp_path / "e" / row["file"]
    tmp_path.joinpath("copy.v").write_text(
        f"module copy; reg [100:0] memory [0:6]; reg [100:0] other [0:6]; integer i; initial begin\n"
        f'$readmemh("{source}", memory); for (i = 0; i < 7; i = i + 1) other[i] = memory[i];\n'
        f'other[6] = 101\'bx; $writememh("{tmp_path}/matmul_0000_y.mem", other); end endmodule\n'
    )
    subprocess.run(["iverilog", "-o", tmp_path / "copy", tmp_path / "copy.v"], check=True)
    subprocess.run([tmp_path / "copy"], check=True, capture_output=True)
    found = import_results([tmp_path / "matmul_0000_y.mem"], tmp_path / "e", tmp_path / "back.npz")
    assert np.array_equal(found.tensors["matmul-0000/y"], read_golden(OPS / "matmul").tensors["matmul-0000/y"])


@pytest.mark.parametrize("name", ["ops/linear_int4", "models/sentiment/ibert"])
def test_is_one_header_enough_for_c(name, tmp_path):
    compiler = shutil.which("cc") or pytest.skip("needs a C compiler")
    export(suite_path() / name, tmp_path / "c", "c")
    tmp_path.joinpath("main.c").write_text('#include "c/test_data.h"\nint main(void) { return 0; }\n')
    flags = ["-std=c99", "-pedantic", "-Wall", "-Werror", "-Wno-unused-const-variable", "-fsyntax-only"]
    subprocess.run([compiler, *flags, "main.c"], cwd=tmp_path, check=True)


def test_does_the_command_know_every_form(capsys):
    assert exchange.FORMS == tuple(FORMS)
    for command in (["export"], ["import", "results"]):
        assert main([*command, "--help"]) == 0
        assert "--lanes" in capsys.readouterr().out


def test_does_the_command_say_what_it_wrote(tmp_path, capsys):
    words_given = ["export", "suite:linear_int4", "-o", str(tmp_path / "e"), "--form", "hex", "--lanes", "4", "--rows"]
    assert main([*words_given, "--tensors", "linear_int4-0000/weight", "--json"]) == 0
    index = json.loads(capsys.readouterr().out)
    assert index == json.loads((tmp_path / "e" / "export.json").read_text())
    (row,) = index["tensors"]
    assert (row["words"], row["width"], row["rows"]) == (2, 32, True)  # [2 3] bytes, a word for each row
    assert [case["id"] for case in index["cases"]] == ["linear_int4-0000"]
    assert (tmp_path / "e" / row["file"]).read_text() == "000783f2\n000b4d21\n"


def test_does_the_same_export_have_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        export(OPS / "linear_int4", tmp_path / name, "mem", bits=32, lanes=2, tensors="*/y")
    files = {p.relative_to(tmp_path / "a") for p in tmp_path.joinpath("a").rglob("*") if p.is_file()}
    assert len(files) == 1 + len(read_golden(OPS / "linear_int4").cases)
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)
