"""Do exports hold the bits, in every layout, and do results come back as they were made?"""

import itertools
import json
import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intref import errors
from intref.cli import exchange
from intref.cli.main import main
from intref.golden import FORMS, export, read_golden, suite_path
from intref.golden.forms.words import elements, text, words
from intref.golden.importing import import_results, wanted_outputs
from intref.verify import judge

OPS = suite_path() / "ops"
DTYPES = ["int8", "uint8", "int16", "int32", "int64"]
DRAWN = settings(derandomize=True, database=None, deadline=None, max_examples=80)


@st.composite
def laid(draw):
    """A layout and a tensor whose elements fit it, the ends of their range among them."""
    dtype = draw(st.sampled_from(DTYPES))
    bits = draw(st.integers(1, np.dtype(dtype).itemsize * 8))
    lanes = draw(st.integers(1, 9))
    width = draw(st.one_of(st.none(), st.integers(bits * lanes, bits * lanes + 70)))
    shape = tuple(draw(st.lists(st.integers(1, 7), max_size=3)))
    size = int(np.prod(shape, dtype=np.int64))
    low, high = (0, (1 << bits) - 1) if dtype[0] == "u" else (-(1 << bits - 1), (1 << bits - 1) - 1)
    one = st.one_of(st.sampled_from([low, high, 0]), st.integers(low, high))
    tensor = np.array(draw(st.lists(one, min_size=size, max_size=size)), dtype).reshape(shape)
    depth = draw(st.sampled_from([0, size + 3]))
    first, rows = draw(st.sampled_from(["lsb", "msb"])), draw(st.booleans())
    return words(dtype, bits, lanes, width, first, depth, rows), tensor


@DRAWN
@given(laid())
def test_does_every_layout_come_back(drawn):
    layout, tensor = drawn
    found, unknown = elements("".join(text(tensor, layout, "t")), layout, tensor.shape, "t.mem")
    assert unknown == "" and found.dtype == tensor.dtype and found.shape == tensor.shape
    assert np.array_equal(found, tensor)


@DRAWN
@given(laid())
def test_is_every_word_the_sum_of_its_lanes(drawn):
    """Written from the definition, in Python integers, one word at a time."""
    layout, tensor = drawn
    lines = "".join(text(tensor, layout, "t")).splitlines()
    rows = tensor.reshape(-1, tensor.shape[-1]).tolist() if layout.rows and tensor.ndim else [tensor.ravel().tolist()]
    groups = [row[i : i + layout.lanes] for row in rows for i in range(0, len(row), layout.lanes)]
    assert len(lines) == (layout.depth or len(groups))
    for lanes, line in itertools.zip_longest(groups, lines, fillvalue=()):
        last = layout.lanes - 1
        places = [(j if layout.first == "lsb" else last - j) * layout.bits for j in range(len(lanes))]
        expected = sum((v & (1 << layout.bits) - 1) << place for v, place in zip(lanes, places))
        assert line == f"{expected:0{-(-layout.width // 4)}x}"


@pytest.mark.parametrize(
    "layout, lines",
    [
        ({"lanes": 2}, "fe01 0403 0605"),
        ({"lanes": 2, "first": "msb"}, "01fe 0304 0506"),
        ({"bits": 4, "lanes": 4, "first": "msb", "depth": 3}, "1e34 5600 0000"),
        ({"bits": 4, "lanes": 3, "width": 18}, "003e1 00654"),
        ({"lanes": 2, "rows": True}, "fe01 0003 0504 0006"),
        ({"lanes": 2, "rows": True, "first": "msb"}, "01fe 0300 0405 0600"),
    ],
)
def test_where_do_the_lanes_lie(layout, lines):
    tensor = np.array([[1, -2, 3], [4, 5, 6]], np.int8)
    assert "".join(text(tensor, words("int8", **layout), "t")).split() == lines.split()


def test_what_a_simulator_writes_is_read_as_readmemh_reads_it():
    layout = words("int16", lanes=1, depth=6)
    content = "// 0x00000000\n@2 00_03 4 /* two\nlines */ \n@0 ffff 7F\n@4\n5 xxxx // beyond the data\n"
    found, unknown = elements(content, layout, (5,), "y.mem")
    assert unknown == "" and found.tolist() == [-1, 127, 3, 4, 5]


@pytest.mark.parametrize("word", ["xx", "1x", "Z3", "x", "zz"])
def test_is_an_unknown_digit_a_class_of_its_own(word):
    _, unknown = elements(f"01\n{word}\n", words("int8"), (2,), "y.mem")
    assert unknown == f"word 1 is {word!r}"


def test_are_unknown_bits_that_belong_to_no_element_passed_over():
    layout = words("int8", bits=4, lanes=2, width=12)
    found, unknown = elements("x21\nxx3\n", layout, (3,), "y.mem")
    assert unknown == "" and found.tolist() == [1, 2, 3]
    assert elements("x21\nxx3\n", layout, (4,), "y.mem")[1] == "word 1 is 'xx3'"


@pytest.mark.parametrize(
    "content, said",
    [
        ("01\n", "expected 2 words, found 1"),
        ("01\n02\n03\n", "expected 2 words, found 3"),
        ("01\n0g\n", "word 1: expected hexadecimal digits, x or z, found '0g'"),
        ("001\n02\n", "word 0: expected 1 to 2 hexadecimal digits, found '001'"),
        ("01\n_\n", "word 1: expected 1 to 2 hexadecimal digits, found '_'"),
        ("@1 01\n@2 03\n", "expected a word at address 0, found none before address 1"),
        ("@q 01\n", "expected an address @HEX, found '@q'"),
        ("01 /* 02\n", "expected the end of a comment /*, found none"),
        ("-1\n02\n", "word 0: expected hexadecimal digits, x or z, found '-1'"),
    ],
)
def test_is_a_malformed_memory_refused_by_its_word(content, said):
    with pytest.raises(errors.FormatError) as caught:
        elements(content, words("int8"), (2,), "y.mem")
    assert str(caught.value) == f"y.mem: {said}"


@pytest.mark.parametrize(
    "layout, said",
    [
        ({"bits": 9}, "words: bits must be in 1..8 for int8, not 9"),
        ({"bits": 0}, "words: bits must be in 1..8 for int8, not 0"),
        ({"lanes": 0}, "words: lanes must be in 1..65536, not 0"),
        ({"width": 7}, "words: width must hold 8 bits of int8 and be at most 65536, not 7"),
        ({"lanes": 4, "width": 31}, "words: width must hold 4 x 8 bits and be at most 65536, not 31"),
        ({"first": "left"}, "words: first must be lsb or msb, not 'left'"),
        ({"depth": -1}, "words: depth must be in 0..268435456, not -1"),
    ],
)
def test_is_an_impossible_layout_refused(layout, said):
    with pytest.raises(errors.SpecError) as caught:
        words("int8", **layout)
    assert str(caught.value) == said


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
    ],
)
def test_is_a_hostile_index_refused(index, tmp_path):
    tmp_path.joinpath("export.json").write_text(json.dumps(index))
    with pytest.raises(errors.FormatError, match=r"export\.json: .*expected"):
        wanted_outputs(tmp_path)


@pytest.mark.parametrize(
    "layout, file", [({"lanes": "2"}, "y.mem"), ({"lanes": 1, "first": []}, "y.mem"), ({"endian": []}, "y.bin")]
)
def test_is_a_hostile_layout_refused(layout, file, tmp_path):
    row = {"name": "y", "group": "tensors", "file": file, "dtype": "int8", "shape": [1], **layout}
    tmp_path.joinpath("export.json").write_text(json.dumps({"tensors": [row]}))
    tmp_path.joinpath(file).write_text("0")
    with pytest.raises(errors.SpecError):
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
    for command in ("export", "import"):
        assert main([command, "--help"]) == 0
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
