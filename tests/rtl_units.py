"""The sample units, copies of them with one line changed, and the packages they are judged against."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

import pytest

import intref
from intref.golden import read_golden, suite_path, write_op_golden
from intref.vectors import MODULES

DEMO = Path(intref.__file__).parent / "demo" / "rtl"
CLAMP = Path(__file__).parent / "rtl" / "clamp.toml"
OPS = {"requantizer": "rescale", "softmax": "softmax_ibert", "layernorm": "layernorm_ibert"}
SUPPORTED = {
    "requantizer": 50,
    "requantizer64": 220,
    "softmax": 32,
    "layernorm": 29,
    "clamp": 8,
}  # cases of the suite, at least
needs_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="no Icarus Verilog")
needs_verilator = pytest.mark.skipif(shutil.which("verilator") is None, reason="no Verilator")
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="no make")


def package(op):
    """The conformance suite's package of an op."""
    return suite_path() / "ops" / op


@cache
def family(op, count=None):
    """The suite's package without the cases that reach the corners: many fewer, with the same ids.
    count: of the first ones alone."""
    folder = tempfile.mkdtemp(prefix="intref-tests-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return write_op_golden(op, Path(folder) / op, list(MODULES[op].CASES[op]())[:count])


def supported(unit, place):
    """The cases of a package that a unit is built for."""
    return [c for c in read_golden(place).cases if not unit.refusal(unit.op.name, c.inputs, c.attrs)]


def changed(folder, name, *changes, toml=()):
    """A copy of a sample unit, with pieces of its source and description replaced, each of which stands there once."""
    for suffix, pairs in ((".sv", changes), (".toml", toml)):
        text = (DEMO / (name + suffix)).read_text("ascii")
        for old, new in pairs:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        (folder / (name + suffix)).write_text(text, "ascii")
    return folder / f"{name}.toml"
