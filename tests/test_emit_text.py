"""Does emitted C read well, say what it leaves out, and does the command write it?"""

import ast
import inspect
import json
import os
import re
import subprocess
import sys
import textwrap

import pytest

import intref
from intref import OPS
from intref.cli.main import main
from intref.emit import c_header, c_model, c_source
from intref.emit.expressions import proved
from intref.emit.function import c_function
from intref.errors import SpecError, Unsupported
from intref.golden import suite_path
from intref.ops.op import Op, Port

SUITE = suite_path()


@pytest.fixture(scope="module")
def source():
    return c_source()


def unreadable(tensors, attrs):
    return sorted(attrs) == ["low"]


def test_is_a_rule_that_has_no_c_said_to_be_unchecked(source):
    ports = {"inputs": {"x": Port("int8", "...")}, "outputs": {"y": Port("int64", "...")}}
    op = Op(one_more, **ports, attrs={}, constraints={"C5": ("x must be odd", unreadable)})
    assert "Not checked here: C5 x must be odd" in c_function(op, {})
    assert "ot checked here:" not in source  # every rule has one


def test_is_the_same_definition_the_same_bytes_in_every_process(source):
    code = "import sys; from intref.emit import c_source; sys.stdout.write(c_source())"
    for seed in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        made = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert made.stdout == source


def test_is_every_line_of_c_ascii_and_of_a_page_s_width(source):
    assert source.isascii()
    assert max(map(len, source.splitlines())) <= 240  # the clips of a convolution are long
    assert c_header() in source


def test_is_nothing_in_it_that_c99_lacks_and_no_float(source):
    code = re.sub(r"/\*.*?\*/", "", source, flags=re.S)
    assert not re.search(r"\b(float|double|__\w+|typeof|asm|malloc|long)\b|//|\d\.\d", code)
    assert set(re.findall(r"#include (\S+)", code)) == {"<stdint.h>", "<string.h>"}


@pytest.mark.parametrize("op", OPS)
def test_has_the_c_the_formula_and_the_names_of_the_body(source, op):
    comment, text = source.split(f"static int op_{op}(")
    assert "\n".join(f"   {line}".rstrip() for line in OPS[op].spec.splitlines()).strip() in comment
    text = text.split("\n}\n")[0]
    for name in computed_names(op):
        assert f" {name} = " in text or f"({name}, " in text, name


def computed_names(op):
    """The variables of a body that hold an arithmetic result, rather than a view, a size or a constant."""
    body = ast.parse(textwrap.dedent(inspect.getsource(OPS[op].reference)))
    for node in ast.walk(body):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            arithmetic = isinstance(node.value, ast.BinOp) or ast.unparse(node.value).startswith(("saturate", "isqrt"))
            if arithmetic and node.targets[0].id not in OPS[op].attrs and ast.unparse(node.value) != "fraction - 6":
                yield node.targets[0].id


def test_says_a_range_as_a_sum_of_powers_of_two():
    assert proved(-(1 << 31), (1 << 31) - 1) == "-2^31 .. 2^31 - 1"
    assert proved(0, 255 << 30) == "0 .. 2^38 - 2^30"
    assert proved(7, 7) == "7"
    assert proved(-1023, 123456) == "-1023 .. 123456"


def to_a_power(x):
    return {"y": x**2 + 1}


def in_a_loop(x):
    while x is not None:
        x = x + 1
    return {"y": x}


def doubled(x):
    return x + x


def with_a_function(x):
    twice = doubled(x)
    return {"y": twice}


def one_more(x):
    return {"y": x + 1}


def wide(body):
    return Op(body, inputs={"x": Port("int64", "... D")}, attrs={}, outputs={"y": Port("int64", "... D")})


@pytest.mark.parametrize("body, said", [(to_a_power, "no C for Pow"), (in_a_loop, "`while x is not None")])
def test_is_a_body_that_cannot_be_written_refused_by_its_line(body, said):
    with pytest.raises(Unsupported, match=f"{body.__name__}: cannot be written in C: .*{said}"):
        c_function(wide(body), {})


def test_is_a_sum_that_no_range_proves_written_so_that_it_is_defined():
    assert "const int64_t twice = wrap_add(x[row * D + iD], x[row * D + iD]);" in c_function(wide(with_a_function), {})


def test_are_unknown_ops_and_attributes_refused():
    for names, attrs, said in (
        (["nothing"], {}, "there is no such op"),
        (["linear"], {"rounding": "half_up"}, "'rounding'"),
        (["rescale"], {"rounding": "up"}, "must be in"),
        (["rescale"], {"axis": 8}, "must be in"),
        (["clamp"], {"low": 5, "high": -5}, "low <= high"),
        (["add"], {"output": "int8", "low": -129}, "low <= high"),
        (["softmax_ibert"], {"b": 2, "ln2": 3}, "b >= ln2"),
    ):
        with pytest.raises(SpecError, match=said):
            c_source(names, attrs)


def run(capsys, *words):
    code = main(["emit", "c", *map(str, words)])
    return code, *capsys.readouterr()


def test_does_the_command_write_the_c_and_its_header(tmp_path, capsys):
    code, out, _ = run(capsys, "linear", "rescale", "--attr", "rounding=half_even", "-o", tmp_path / "two.c", "--json")
    assert (code, json.loads(out)["ops"]) == (0, ["linear", "rescale"])
    assert (tmp_path / "two.c").read_text() == c_source(["linear", "rescale"], {"rounding": "half_even"})
    assert (tmp_path / "two.h").read_text() == c_header()
    code, out, _ = run(capsys, "--all", "-o", tmp_path)
    assert code == 0 and "intref verify suite:ops --dut so:" in out
    assert (tmp_path / "ops.c").read_text() == c_source()
    spaced = tmp_path / "a place"
    code, out, _ = run(capsys, "clamp", "-o", spaced)
    assert code == 0 and f"'{spaced}/ops.c'" in out and f"--dut 'so:{spaced}/ops.so'" in out
    code, out, _ = run(capsys, "clamp")
    assert (code, out) == (0, c_source(["clamp"]))
    model = SUITE / "models" / "sentiment" / "ibert" / "model.safetensors"
    assert run(capsys, model, "-o", tmp_path / "model.c")[0] == 0
    assert (tmp_path / "model.c").read_text() == c_model(intref.open(model))


@pytest.mark.parametrize(
    "words, said",
    [
        ([], "give the names of ops"),
        (["linear", "--all"], "give the names of ops"),
        (["linea"], "near: linear"),
        (["absent.safetensors"], "cannot be read"),
        (["absent.safetensors", "linear"], "stands alone"),
        (["rescale", "--attr", "low"], "expected NAME=VALUE"),
        (["rescale", "--attr", "low=x"], "must be in"),
        (["rescale", "--attr", "lo=1"], "'lo'"),
        (["rescale", "-o", "absent/x.c"], "is not a directory"),
        (["rescale", "-o", "taken"], "ends in .c"),
    ],
)
def test_is_a_wrong_command_one_line(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("mine")
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert said in err and err.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]
