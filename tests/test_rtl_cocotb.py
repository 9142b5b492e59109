"""Does the scoreboard say what is wrong, and does a real cocotb test pass the unit and fail its wrong twin?"""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from intref.errors import Unsupported
from intref.rtl.cocotb import Bench, Scoreboard, pack
from intref.rtl.description import read_unit
from rtl_units import CLAMP, DEMO, changed, family, supported

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = np.array([[1, -2, 3], [4, 5, -128]], np.int8)
needs_cocotb = pytest.mark.skipif(
    find_spec("cocotb") is None or shutil.which("iverilog") is None, reason="no cocotb or no Icarus Verilog"
)


def observed(*words, **how):
    board = Scoreboard("y", GOLDEN, **how)
    board.observe(*words)
    return board


def test_is_what_is_identical_without_a_word():
    board = observed(*pack(GOLDEN.reshape(-1, 1), 8))
    assert board.text == ""
    board.check()


@pytest.mark.parametrize("first", ["lsb", "msb"])
def test_do_lanes_end_with_the_row(first):
    padded = np.pad(GOLDEN, ((0, 0), (0, 1)), constant_values=99).reshape(4, 2)
    assert observed(*pack(padded, 8, first), lanes=2, first=first, row=3).text == ""
    assert "differ" in observed(*pack(padded, 8, first), lanes=2, first=first).text


def test_is_the_first_mismatch_told_with_place_numbers_and_bits():
    board = observed(1, "11111110", 3, 4, 6, 128)
    assert board.text == (
        "y: 1 / 6 differ (16.67 %), all |d| = 1\n  first at [1, 1]: dut 6 (0x06) golden 5 (0x05) xor 0x03"
    )
    with pytest.raises(AssertionError, match=r"first at \[1, 1\]: dut 6"):
        board.check()


def test_are_x_and_z_a_mismatch_of_their_own():
    board = observed(1, "1111111x", "zzzzzzzz", 4, 5, 128)
    assert board.unknown == {1: "1111111x", 2: "zzzzzzzz"}
    assert board.text == (
        "y: not equal\n  x or z at [0, 1]: dut 0b1111111x golden -2\n  x or z at [0, 2]: dut 0bzzzzzzzz golden 3"
    )
    assert "4 elements are x or z" in observed(*["x" * 8] * 4, 5, 128).text


def test_are_words_that_never_came_and_too_many_words_told():
    assert observed(1, -2 & 255, 3).text == "y: not equal\n  3 of 6 elements never came"
    assert observed(*pack(GOLDEN.reshape(-1, 1), 8), 7, 7).text == "y: not equal\n  2 words came after the last element"
    assert observed().text == "y: not equal\n  6 of 6 elements never came"


def test_is_a_value_wider_than_the_golden_dtype_not_cut_to_fit():
    board = Scoreboard("y", np.array([1], np.int8), width=16)
    board.observe(0x0101)
    assert board.text.startswith("y: 1 / 1 differ (100.00 %)")
    assert "dut 257" in board.text


def test_is_a_word_of_another_width_refused():
    with pytest.raises(ValueError, match="a word of 3 bits, expected 1 lanes of 8"):
        observed("010")
    with pytest.raises(ValueError, match=r"a word of 8 bits must lie in \[-128, 255\], not 257"):
        observed(257)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_do_lanes_have_a_sign_as_golden_does(dtype):
    golden = np.array([1, 200], np.uint8).astype(dtype)
    board = Scoreboard("y", golden)
    board.observe(*golden)
    board.check()
    assert board.signed == (dtype == np.int8)


@pytest.mark.parametrize(
    ("golden", "how", "says"),
    [
        ([1], {}, "golden must be an array of integers that is not empty, not list"),
        (np.array([1.5]), {}, r"not float64 \[1\]"),
        (np.zeros(0, np.int8), {}, r"not int8 \[0\]"),
        (np.array([1], np.uint64), {}, "a lane of 64 bits, expected at most 63, or 64 with a sign"),
        (np.array([-9]), {"width": 4}, r"golden has -9\.\.-9, beyond the lane's -8\.\.7"),
    ],
)
def test_is_a_golden_that_no_lane_can_hold_refused(golden, how, says):
    with pytest.raises(ValueError, match=says):
        Scoreboard("y", golden, **how)


def test_is_a_unit_without_valid_refused_by_the_bench():
    with pytest.raises(Unsupported, match=r"needs out\.valid"):
        Bench(None, read_unit(CLAMP))


RUNNER = """
import os, sys
from cocotb_tools.runner import get_runner
runner = get_runner("icarus")
runner.build(sources=[sys.argv[1]], hdl_toplevel="requantizer", build_dir="built", timescale=("1ns", "1ps"))
runner.test(test_module="cocotb_requantizer", hdl_toplevel="requantizer", build_dir="built",
            extra_env={"UNIT": sys.argv[2]}, results_xml=os.path.abspath("built/results.xml"))
"""


def simulated(folder, unit):
    """What a cocotb run of the unit printed, and its results file."""
    path = f"import sys; sys.path[:0] = {[str(ROOT), str(ROOT / 'tests')]!r}\n"
    words = [sys.executable, "-c", path + RUNNER, str(unit.with_suffix(".sv")), str(unit)]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert (folder / "built" / "results.xml").is_file(), done.stdout + done.stderr
    return done.stdout, (folder / "built" / "results.xml").read_text()


@needs_cocotb
def test_does_cocotb_pass_the_requantizer(tmp_path):
    said, results = simulated(tmp_path, DEMO / "requantizer.toml")
    cases = supported(read_unit(DEMO / "requantizer.toml"), family("rescale"))
    assert f"judged {len(cases)} cases\n" in said
    assert "<failure" not in results and "<error" not in results and "every_supported_case" in results


@needs_cocotb
@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "default:      up = guard && (sticky || odd);",
            "default:      up = guard;",
            "first at [1]: dut -3 (0xfd) golden -4 (0xfc) xor 0x01",
        ),
        ("      shift_1      <= shift;\n", "", "x or z at [0]: dut 0bxxxxxxxx golden"),
    ],
)
def test_does_cocotb_fail_a_wrong_requantizer(tmp_path, old, new, says):
    said, results = simulated(tmp_path, changed(tmp_path, "requantizer", (old, new)))
    assert says.lower() in said.lower(), said
    assert "<failure" in results
