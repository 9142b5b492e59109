"""The sample units, copies of them with one line changed, and the packages they are judged against."""

import shutil
from pathlib import Path

import pytest

import intref
from intref.golden import suite_path

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


def changed(folder, name, *changes, toml=()):
    """A copy of a sample unit, with pieces of its source and description replaced, each of which stands there once."""
    for suffix, pairs in ((".sv", changes), (".toml", toml)):
        text = (DEMO / (name + suffix)).read_text("ascii")
        for old, new in pairs:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        (folder / (name + suffix)).write_text(text, "ascii")
    return folder / f"{name}.toml"
