"""Does the tool that mutates RTL find what it should, the same each time?"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rtl_units import DEMO, changed, family, needs_icarus

TOOL = Path(__file__).resolve().parent.parent / "tools" / "mutate_rtl.py"
needs_yosys = pytest.mark.skipif(shutil.which("yosys") is None, reason="no yosys")


def mutated(*words):
    done = subprocess.run(
        [sys.executable, TOOL, *map(str, words)], capture_output=True, text=True, timeout=300, check=False
    )
    return done.returncode, done.stdout, done.stderr


@needs_icarus
@needs_yosys
def test_are_most_mutants_of_the_requantizer_killed_and_the_same_ones_each_time():
    first, second = (
        mutated(DEMO / "requantizer.toml", "-n", 2, "--no-proof", "--package", family("rescale")) for _ in range(2)
    )
    assert first == second
    code, said, _ = first
    assert code in (0, 1) and said.startswith("requantizer (rescale): 2 mutants, 0 proved equivalent, 2 count\n")
    killed, total = map(int, re.search(r"directed: (\d+)/(\d+) killed", said).groups())
    assert (total, killed + said.count("  survivor ")) == (2, 2) and killed >= 1


@needs_icarus
@needs_yosys
def test_is_a_unit_that_fails_without_a_mutation_refused(tmp_path):
    unit = changed(tmp_path, "layernorm", ("&& quotient[0]", "&& 1'b0"))
    code, said, error = mutated(unit, "-n", 2, "--package", family("layernorm_ibert"))
    assert (code, said) == (2, "")
    assert re.search("yosys's netlist fails .*directed.* without any mutation", error) and error.count("\n") == 1


@needs_yosys
def test_is_a_unit_that_no_call_reaches_refused(tmp_path):
    unit = changed(tmp_path, "layernorm", toml=[("D = 64", "D = [1000000, 1000001]")])
    code, said, error = mutated(unit, "-n", 2, "--package", family("layernorm_ibert"))
    assert (code, said) == (2, "") and "supports no call of " in error and error.count("\n") == 1


def test_is_a_bad_description_one_line(tmp_path):
    code, said, error = mutated(tmp_path / "none.toml")
    assert (code, said) == (2, "") and error.count("\n") == 1
