"""Do the sample units pass under every simulator, and do units with one planted bug fail and say why?"""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from intref.cli.main import main
from intref.devices import open_device
from intref.errors import FormatError
from intref.golden import suite_path, write_op_golden
from intref.rtl.description import read_unit
from intref.verify import judge
from rtl_units import CLAMP, DEMO, OPS, SUPPORTED, changed, family, needs_icarus, needs_verilator, package, supported
from verify_packages import case, leftovers


def verdicts(report):
    return {verdict: [c for c in report.cases if c.verdict == verdict] for verdict in {c.verdict for c in report.cases}}


@needs_icarus
@pytest.mark.parametrize("name", [*OPS, "requantizer64", "clamp"])
def test_does_a_sample_unit_pass_every_case_it_is_built_for(name):
    path = CLAMP if name == "clamp" else DEMO / f"{name}.toml"
    before = leftovers()
    found = verdicts(judge(package(read_unit(path).op.name), f"icarus:{path}"))
    assert {*found} == {"equal", "unsupported"}
    assert len(found["equal"]) >= SUPPORTED[name]
    assert leftovers() == before


@needs_icarus
@pytest.mark.parametrize(("name", "nodes"), [("softmax", 2), ("layernorm", 5), ("requantizer64", 17)])
def test_does_a_unit_compute_the_nodes_of_a_whole_model(name, nodes):
    op = read_unit(DEMO / f"{name}.toml").op.name
    model = suite_path() / "models" / "sentiment" / "ibert"
    report = judge(model, f"icarus:{DEMO / name}.toml", mode="isolated", require=op)
    assert (report.exit_code, len(verdicts(report)["equal"])) == (0, nodes)


@needs_verilator
def test_does_verilator_find_what_depends_on_an_uninitialised_register_and_pass_the_rest(tmp_path):
    unit = changed(tmp_path, "softmax", ("      any   <= 1'b0;\n    end else", "    end else"))
    found = verdicts(judge(family("softmax_ibert"), f"verilator:{unit}"))
    details = [c.detail for c in found["crashed"]]
    assert details[0].startswith("gave two results for the same call: output 'p' at [0, 0, 0, 0] is ")
    assert details[0].endswith(", by what registers held at the start")
    # A row whose first key is masked sets the register right, for good.
    assert {*found} == {"crashed", "equal", "unsupported"} and len(found["equal"]) > len(details)


BUGS = {
    "half_even rounds up": (
        "requantizer",
        "default:      up = guard && (sticky || odd);",
        "default:      up = guard;",
        r"rule half_up explains 100\.000 %|rule ceil or rule half_up or rule",
    ),
    "no upper clip": (
        "requantizer",
        "else if (moved > 64'(high)) y <= high;",
        "",
        r"where the result is clipped to high = 127",
    ),
    "e16 does not saturate": (
        "softmax",
        "scaled > 95'd32767 ? 15'd32767 : scaled[14:0]",
        "scaled[14:0]",
        r"first at \[0, 0, 0, 0\]: dut 13 \(0x000d\) golden 63 \(0x003f\)",
    ),
    "softmax ties round up": (
        "softmax",
        "up = dropped[93] && (|dropped[92:0] || whole[0])",
        "up = dropped[93]",
        r"rule half_up",
    ),
    "the maximum of the row before": (
        "softmax",
        "            any   <= 1'b0;\n",
        "",
        r"first at",
    ),
    "mean ties round down": (
        "layernorm",
        "&& quotient[0]",
        "&& 1'b0",
        r"rule half_down",
    ),
    "no guard against no variance": ("layernorm", "root != 0 && ", "", r"first at \[0, 6\]"),
    "the sum of the row before": (
        "layernorm",
        "          total <= '0;\n          if (index",
        "          if (index",
        r"first at",
    ),
}


@needs_icarus
@pytest.mark.parametrize("bug", BUGS)
def test_does_a_unit_with_one_bug_differ_and_the_report_say_how(tmp_path, bug):
    name, old, new, says = BUGS[bug]
    report = judge(family(OPS[name]), f"icarus:{changed(tmp_path, name, (old, new))}")
    assert (report.verdict, report.exit_code) == ("differs", 1)
    assert re.search(says, report.text()), report.text()


UNKNOWN = {
    "a register that nothing writes": (
        "requantizer",
        "      shift_1      <= shift;\n",
        "",
        "x or z in output 'y' at [0]: 0bxxxxxxxx",
    ),
    "valid without a reset": (
        "requantizer",
        "if (!rst_n) {valid_1, valid_2, valid_3, out_valid} <= 4'b0;\n    else if (move)",
        "if (move)",
        "x or z on valid or ready: 1 of 24 beats taken, 0 of 24 results given",
    ),
    "an output of one undriven bit": (
        "layernorm",
        "  assign y = 64'(halved) + offset[index];",
        "  assign y[63:1] = 63'((64'(halved) + offset[index]) >> 1);",
        "x or z in output 'y' at [0, 0]: 0b",
    ),
    "a unit that never ends": (
        "layernorm",
        "if (step == 6'd31) state <= SEND;",
        "",
        "no progress in 10000 clocks: 2 of 16 beats taken, 0 of 16 results given",
    ),
    "a last beat that is not said to be": (
        "softmax",
        "assign out_last = index == last;",
        "assign out_last = index + 1 == last;",
        "out_last is 1 with result beat 2, expected 0",
    ),
    "a result too many": (
        "softmax",
        "if (index == last) begin\n            state <= LOAD;",
        "if (index == last && peak[31]) begin\n            state <= LOAD;",
        "gave more results than beats: 4 of 4 beats taken, ",
    ),
}


@needs_icarus
@pytest.mark.parametrize("bug", UNKNOWN)
def test_is_what_is_no_number_a_finding_of_its_own(tmp_path, bug):
    name, old, new, says = UNKNOWN[bug]
    with open_device(f"icarus:{changed(tmp_path, name, (old, new))}", 20) as device:
        report = judge(family(OPS[name], 20), device)
    failed = [c for c in report.cases if c.kind]
    assert report.exit_code == 3
    assert failed[0].detail.startswith(says), failed[0].detail
    assert not [c for c in report.cases if c.verdict == "differs"]


@needs_icarus
def test_does_a_unit_go_on_after_a_case_that_stopped_it(tmp_path):
    stops = ("assign in_ready = move;", "assign in_ready = move && x != 32'd77;")
    waits = ("{in_valid, valid_1, valid_2, valid_3};", "{in_valid && in_ready, valid_1, valid_2, valid_3};")
    unit = changed(tmp_path, "requantizer", stops, waits, toml=[('op = "rescale"', 'op = "rescale"\npatience = 100')])
    golden = write_op_golden("rescale", tmp_path / "golden", [case([1, 2]), case([77, 3]), case([4, 5])])
    report = judge(golden, f"icarus:{unit}")
    assert [c.verdict for c in report.cases] == ["equal", "crashed", "equal"]
    assert (report.cases[1].kind, report.cases[1].detail) == (
        "hung",
        "no progress in 100 clocks: 0 of 2 beats taken, 0 of 2 results given",
    )


@needs_icarus
@pytest.mark.parametrize(
    ("does", "kind", "detail"),
    [
        ("$finish;", "crashed", "ended with exit status 0"),
        ("forever #0;", "hung", "no answer within 2 s"),
        ('$display("chatter");', "", ""),
    ],
)
def test_does_what_a_unit_does_to_its_simulator_cost_one_case(tmp_path, does, kind, detail):
    at_77 = f"  always @(posedge clk) if (in_valid && x == 77) begin {does} end\n"
    unit = changed(tmp_path, "requantizer", ("  // 1: centre\n", at_77))
    golden = write_op_golden("rescale", tmp_path / "golden", [case([1, 2]), case([77, 3]), case([4, 5])])
    before = leftovers()
    report = judge(golden, f"icarus:{unit}", timeout=2)
    assert [c.kind for c in report.cases] == ["", kind, ""]
    assert report.cases[1].detail == detail
    assert leftovers() == before


@needs_icarus
def test_is_a_row_length_on_a_wire_as_good_as_a_last_beat(tmp_path):
    source = (
        ("    input  logic               in_last,\n", "    input  logic        [6:0]  keys,\n"),
        (
            "  assign in_ready = state == LOAD;",
            "  wire in_last = 7'(index) == keys - 7'd1;\n  assign in_ready = state == LOAD;",
        ),
    )
    lengths = ('last = "in_last"', 'length = { signal = "keys", width = 7, signed = false }')
    unit = changed(tmp_path, "softmax", *source, toml=[lengths])
    found = verdicts(judge(family("softmax_ibert"), f"icarus:{unit}"))
    cases = supported(read_unit(DEMO / "softmax.toml"), family("softmax_ibert"))
    assert ({c.id for c in found["equal"]}, {*found}) == ({c.id for c in cases}, {"equal", "unsupported"})


@needs_icarus
@pytest.mark.parametrize("kind", ["icarus", pytest.param("verilator", marks=needs_verilator)])
def test_is_a_unit_that_does_not_compile_one_line(tmp_path, kind, capsys):
    unit = changed(tmp_path, "requantizer", ("assign move =", "assign move +"))
    assert main(["verify", "suite:rescale", "--dut", f"{kind}:{unit}"]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert f"requantizer.toml: does not compile under {'iverilog' if kind == 'icarus' else kind}: " in captured.err


@needs_verilator
@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"shift", width = 7,', '"shift", width = 6,', "wire shift: 6 bits in the description, 7 in requantizer"),
        ('low = { signal = "low", width = 8 }', "low = -128", "input low of requantizer is not in the description"),
        ('signal = "low"', 'signal = "lo"', "signal lo: Pin not found: 'lo'"),
    ],
)
def test_is_what_does_not_fit_refused_by_verilator(tmp_path, old, new, says):
    with pytest.raises(FormatError, match=says):
        open_device(f"verilator:{changed(tmp_path, 'requantizer', toml=[(old, new)])}")


@needs_icarus
def test_has_a_build_only_so_much_time(monkeypatch):
    monkeypatch.setattr("intref.rtl.simulators.BUILD_TIMEOUT", 0)
    before = leftovers()
    with pytest.raises(FormatError, match="iverilog did not end within 0 s; a larger --timeout gives it more"):
        open_device(f"icarus:{DEMO / 'requantizer.toml'}", 0.5)
    assert leftovers() == before


KILLED = """
import os, signal, sys, threading
from intref.devices import open_device
from intref.devices.device import Request
import numpy as np
device = open_device(sys.argv[1])
threading.Timer(0.5, os.kill, (os.getpid(), int(sys.argv[2]))).start()
print(device._place.folder, flush=True)
case = Request("", "clamp", {"x": np.array([1])}, {"low": 0, "high": 9}, {"y": ("int64", (1,))})
device.call(case)
"""


@needs_icarus
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_is_nothing_left_of_a_run_that_is_killed(tmp_path, number):
    for name in ("clamp.toml", "clamp.sv"):
        text = (CLAMP.parent / name).read_text()
        (tmp_path / name).write_text(text.replace("endmodule", "  always @(posedge clk) forever #0;\nendmodule"))
    words = [sys.executable, "-c", KILLED, f"icarus:{tmp_path / 'clamp.toml'}", str(int(number))]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, cwd=DEMO.parents[2])
    folder = Path(done.stdout.strip())
    assert done.returncode == -number and folder.name.startswith("intref-"), done.stderr
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and (folder.exists() or _processes(folder)):
        time.sleep(0.05)
    assert not folder.exists() and not _processes(folder)


def _processes(folder):
    said = subprocess.run(["ps", "-eo", "args="], capture_output=True, text=True, check=True).stdout
    return [line for line in said.splitlines() if str(folder) in line]


PORTS = [
    (
        'shift = { signal = "shift", width = 7,',
        'shift = { signal = "shift", width = 6,',
        "wire shift: 6 bits in the description, 7",
    ),
    ('y = { signal = "y", width = 8 }', 'y = { signal = "y", width = 9 }', "wire y: 9 bits in the description, 8"),
    ('low = { signal = "low", width = 8 }', "low = -128", "input low of requantizer is not in the description"),
    ('low = { signal = "low", width = 8 }', 'low = { signal = "lo", width = 8 }', "port ``lo'' is not a port"),
    (
        'top = "requantizer"',
        'top = "requantizer"\nparameters = { NOPE = 3 }',
        "parameters.NOPE: requantizer has no such",
    ),
    ('signal = "low"', 'signal = "begin"', "does not compile under iverilog: signal begin: syntax error"),
]


@needs_icarus
@pytest.mark.parametrize(("old", "new", "says"), PORTS)
def test_are_wires_that_do_not_fit_the_ports_refused(tmp_path, old, new, says):
    with pytest.raises(FormatError) as caught:
        open_device(f"icarus:{changed(tmp_path, 'requantizer', toml=[(old, new)])}")
    assert says in str(caught.value)


@needs_icarus
def test_does_a_constant_hold_a_wire(tmp_path):
    fixed = ('low = { signal = "low", width = 8 }', "low = -128")
    held = ("[inputs]", '[constants]\nfloor = { signal = "low", width = 8, value = -128 }\n[inputs]')
    unit = changed(tmp_path, "requantizer", toml=[fixed, held])
    found = verdicts(judge(family("rescale"), f"icarus:{unit}"))
    assert {*found} == {"equal", "unsupported"} and len(found["equal"]) >= 45


def test_is_a_description_that_is_not_there_one_line(tmp_path):
    with pytest.raises(FormatError, match=r"unit\.toml"):
        open_device(f"icarus:{tmp_path / 'unit.toml'}")
