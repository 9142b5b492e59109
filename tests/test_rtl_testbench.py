"""Do generated testbenches pass the sample units, fail wrong ones with place and numbers, and refuse damaged files?"""

import subprocess
from types import SimpleNamespace

import numpy as np
import pytest

from intref.cli.main import main
from intref.errors import FormatError, Unsupported
from intref.golden import read_golden
from intref.ops import OPS as OPS_TABLE
from intref.rtl.description import read_unit
from intref.rtl.emit import write_testbench
from rtl_units import (
    CLAMP,
    DEMO,
    OPS,
    SUPPORTED,
    changed,
    family,
    needs_icarus,
    needs_make,
    needs_verilator,
    package,
    supported,
)

BENCHED = {name: OPS[name] for name in ("requantizer", "layernorm")}  # softmax is the slowest, and judged elsewhere


@pytest.fixture(scope="module")
def testbenches(tmp_path_factory):
    """Testbenches of sample units over the suite."""
    folder = tmp_path_factory.mktemp("testbenches")
    for name, op in BENCHED.items():
        write_testbench(read_unit(DEMO / f"{name}.toml"), op, read_golden(package(op)).cases, folder / name)
    return folder


def made(folder, simulator="icarus"):
    """Exit status and output of a testbench's Makefile."""
    done = subprocess.run(["make", "-s", "-C", folder, simulator], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


@needs_icarus
@needs_make
@pytest.mark.parametrize("name", BENCHED)
def test_does_a_testbench_pass_its_unit(testbenches, name):
    code, said = made(testbenches / name)
    assert (code, said.splitlines()[-1].startswith("PASS: ")) == (0, True), said
    cases = len((testbenches / name / "cases.txt").read_text().splitlines())
    assert f"PASS: {cases} cases, " in said
    assert cases >= SUPPORTED[name]


@needs_verilator
@needs_make
def test_does_verilator_run_the_same_testbench(small):
    assert made(small, "verilator")[0] == 0


DAMAGES = {
    "a short file": ("beats.mem", lambda lines: lines[:-1], "beats.mem has {less} lines, expected {right}"),
    "a line too many": ("results.mem", lambda lines: [*lines, "00"], "results.mem has {more} lines, expected {right}"),
    "excess digits": (
        "beats.mem",
        lambda lines: ["0" + lines[0], *lines[1:]],
        "beats.mem line 1 has 19 digits, expected 18",
    ),
    "missing digits": (
        "counting.mem",
        lambda lines: [lines[0][1:], *lines[1:]],
        "counting.mem line 1 has 1 digits, expected 2",
    ),
    "another golden": (
        "results.mem",
        lambda lines: [f"{int(lines[0], 16) ^ 1:02x}", *lines[1:]],
        "results.mem is not as it was written",
    ),
    "x in the golden": (
        "results.mem",
        lambda lines: ["xx", *lines[1:]],
        "results.mem line 1: expected digits 0-9 a-f, found 'x'",
    ),
    "nothing counts": ("counting.mem", lambda lines: ["00"] * len(lines), "counting.mem is not as it was written"),
    "an address": ("beats.mem", lambda lines: ["@" + lines[0][1:], *lines[1:]], "expected digits 0-9 a-f, found '@'"),
    "other places": ("places.txt", lambda lines: [*lines[1:], lines[0]], "places.txt is not as it was written"),
}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A testbench of a few cases."""
    unit, folder = read_unit(DEMO / "requantizer.toml"), tmp_path_factory.mktemp("small")
    write_testbench(unit, "rescale", supported(unit, family("rescale"))[:3], folder)
    return folder


@needs_icarus
@needs_make
@pytest.mark.parametrize("damage", DAMAGES)
def test_does_a_testbench_refuse_files_that_are_not_as_they_were_written(small, damage):
    name, damaged, says = DAMAGES[damage]
    place = small / name
    whole = place.read_text()
    right = whole.count("\n")
    says = says.format(less=right - 1, right=right, more=right + 1)
    place.write_text("".join(line + "\n" for line in damaged(whole.splitlines())))
    try:
        code, said = made(small)
    finally:
        place.write_text(whole)
    assert code != 0 and says in said and "PASS" not in said, said


@needs_icarus
@needs_make
def test_does_a_testbench_fail_a_wrong_unit_with_place_and_numbers(tmp_path):
    old, new = "default:      up = guard && (sticky || odd);", "default:      up = guard;"
    unit = read_unit(changed(tmp_path, "requantizer", (old, new)))
    cases = supported(unit, family("rescale"))
    write_testbench(unit, "rescale", cases, tmp_path / "tb")
    code, said = made(tmp_path / "tb")
    assert code != 0
    assert said.splitlines()[0] == "FAIL: rescale-0072 [1] y: expected -4 (0xfc), got -3 (0xfd), xor 0x01"
    wrong = [differing for case in cases if (differing := _rounded_up(case))]
    total = sum(case.outputs["y"].size for case in cases)
    counts = f"{sum(wrong)} of {total} results differ, in {len(wrong)} of {len(cases)} cases"
    assert f"FAIL: {counts}; 0 were not reached" in said.splitlines()


def _rounded_up(case):
    """How many results of a case half_up changes where half_even is asked for."""
    if case.attrs["rounding"] != "half_even":
        return 0
    made = OPS_TABLE["rescale"].run(case.inputs, {**case.attrs, "rounding": "half_up"})
    return np.count_nonzero(made["y"] != case.outputs["y"])


@needs_icarus
@needs_make
@pytest.mark.parametrize(
    "does",
    [
        'initial $display("FAIL: of the unit");',
        'initial $display("PASS: 50 cases, 8 results, all equal");',
        'always @(posedge clk) if (out_valid) begin $display("@PASS@"); $finish; end',
        "initial #50 $finish;",
    ],
)
def test_does_nothing_that_a_unit_prints_make_it_pass(tmp_path, does):
    unit = changed(tmp_path, "requantizer", ("  // 1: centre\n", f"  {does}\n"))
    few = supported(read_unit(unit), family("rescale"))[:2]
    write_testbench(read_unit(unit), "rescale", few, tmp_path / "tb")
    says = (tmp_path / "tb" / "Makefile").read_text().split("PASS = ")[1].splitlines()[0]
    source = tmp_path / "requantizer.sv"
    source.write_text(source.read_text().replace("@PASS@", says))
    assert made(tmp_path / "tb")[0] != 0


def test_is_nobodys_file_lost_to_a_testbench(tmp_path):
    unit = read_unit(changed(tmp_path, "requantizer"))
    few = supported(unit, family("rescale"))[:2]
    out = tmp_path / "tb"
    write_testbench(unit, "rescale", few, out)
    (out / "icarus.log").write_text("")
    write_testbench(unit, "rescale", few, out)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(FormatError, match=r"expected a testbench alone, found 'notes\.txt' as well"):
        write_testbench(unit, "rescale", few, out)
    (tmp_path / "tb.sv").write_text("mine")
    for marked in ("", "requantizer.sv\nrequantizer.toml\ntb.sv\ntb\n"):
        with pytest.raises(FormatError, match="cannot be replaced: it holds the unit's requantizer"):
            write_testbench(unit, "rescale", few, tmp_path)
        (tmp_path / ".intref-testbench").write_text(marked)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "tb.sv").write_text("mine")
    with pytest.raises(FormatError, match="cannot be replaced"):
        write_testbench(unit, "rescale", few, tmp_path / "mine")
    assert (out / "notes.txt").read_text() == (tmp_path / "mine" / "tb.sv").read_text() == "mine"


@pytest.mark.parametrize("name", ["a;touch b;#.sv", "a b.sv", "it's.sv", "a%b.sv"])
def test_is_a_source_that_a_makefile_would_take_apart_refused(tmp_path, name):
    changed(tmp_path, "requantizer")
    (tmp_path / name).write_text("")
    path = changed(tmp_path, "requantizer", toml=[('"requantizer.sv"', f'"requantizer.sv", "{name}"')])
    unit = read_unit(path)
    with pytest.raises(FormatError, match="a Makefile cannot name"):
        write_testbench(unit, "rescale", supported(unit, family("rescale"))[:1], tmp_path / "tb")
    assert not (tmp_path / "tb").exists()


@needs_icarus
@needs_make
def test_does_a_testbench_with_lanes_name_the_lane(tmp_path):
    unit = read_unit(CLAMP)
    x = np.array([[5, -5, 9], [100, 7, 2000]])
    golden = [
        SimpleNamespace(
            id="one", why="lanes", inputs={"x": x}, attrs={"low": -4, "high": 99}, outputs={"y": np.clip(x, -4, 99)}
        )
    ]
    assert write_testbench(unit, "clamp", golden, tmp_path / "tb").beats == 2
    assert made(tmp_path / "tb")[0] == 0
    golden[0].outputs["y"][1, 2] = 98
    write_testbench(unit, "clamp", golden, tmp_path / "tb")
    code, said = made(tmp_path / "tb")
    assert code != 0
    assert said.splitlines()[0] == "FAIL: one [1,1] + 1 y: expected 98 (0x062), got 99 (0x063), xor 0x001"


def test_is_a_package_of_another_op_refused(tmp_path):
    cases = read_golden(package("clamp")).cases
    with pytest.raises(Unsupported, match="supports no case: the unit computes rescale"):
        write_testbench(read_unit(DEMO / "requantizer.toml"), "clamp", cases, tmp_path / "tb")
    assert not (tmp_path / "tb").exists()


def test_does_the_command_write_a_testbench_and_say_what_was_left_out(tmp_path, capsys):
    out = tmp_path / "tb"
    assert main(["emit", "testbench", str(DEMO / "softmax.toml"), "suite:softmax_ibert", "-o", str(out)]) == 0
    assert "  1 cases: axis K is 1..64, not 32768" in capsys.readouterr().out
    cases = supported(read_unit(DEMO / "softmax.toml"), package("softmax_ibert"))
    assert {p.name for p in out.iterdir()} >= {
        "tb.sv",
        "Makefile",
        "beats.mem",
        "results.mem",
        "counting.mem",
        "skipped.txt",
    }
    assert main(["emit", "testbench", str(DEMO / "softmax.toml"), "suite:softmax_ibert", "-o", str(out), "--json"]) == 0
    assert f'"cases":{len(cases)},' in capsys.readouterr().out
    for words, says in (
        ([str(DEMO / "softmax.toml"), "suite:rescale"], "expected a package of op softmax_ibert, found rescale"),
        ([str(tmp_path / "none.toml"), "suite:rescale"], "none.toml"),
    ):
        assert main(["emit", "testbench", *words, "-o", str(out)]) == 2
        captured = capsys.readouterr()
        assert says in captured.err and captured.err.count("\n") == 1
