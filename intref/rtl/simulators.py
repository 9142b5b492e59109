"""Icarus Verilog and Verilator: found, and given a bench and a unit to build, once; runs are the caller's."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from intref.errors import FormatError, Unsupported
from intref.rtl.unit import Unit

BUILD_TIMEOUT = 900  # seconds
PACKAGES = {"iverilog": "iverilog", "vvp": "iverilog", "verilator": "verilator", "yosys": "yosys", "make": "make"}
# How the two say it, of the bench's own lines: the port, the bits it has, the bits it is given.
WIDTH = re.compile(
    r"bench\.sv:[\d:]+ .*?\bport.* [('](\w+)[)'] .*?expects (\d+) bits.*?(\d+)(?: bits)?\.$", re.M | re.I
)
FLOATING = re.compile(r"bench\.sv:[\d:]+ warning: Instantiating module \w+ with dangling input port \d+ \((\w+)\)")
SEEDS = (1, 2)  # what Verilator fills registers with before a reset: results may not depend on it


@dataclass(frozen=True)
class Simulator:
    """name: its kind of device. programs: what it needs. values: 4, 0 1 x z; or 2, so that it runs once a seed."""

    name: str
    programs: tuple[str, ...]
    values: int


KINDS = {
    "icarus": Simulator("icarus", ("iverilog", "vvp"), 4),
    "verilator": Simulator("verilator", ("verilator", "make"), 2),
}


def require(*programs: str) -> None:
    """Unsupported, naming the Debian package, if a program is not there."""
    for program in programs:
        if shutil.which(program) is None:
            raise Unsupported(f"needs {program}, which is not installed: apt install {PACKAGES.get(program, program)}")


def build(kind: str, unit: Unit, bench: str, top: str, folder: Path) -> list[list[str]]:
    """Compile a bench (its text and top module) around a unit inside a folder: the command lines that run it, plusargs
    yet to come, one for each filling of the registers. FormatError with the compiler's first error."""
    simulator = KINDS[kind]
    require(*simulator.programs)
    source = folder / "bench.sv"
    source.write_text(bench, "ascii")
    return _icarus(unit, source, top, folder) if kind == "icarus" else _verilator(unit, source, top, folder)


def _icarus(unit: Unit, source: Path, top: str, folder: Path) -> list[list[str]]:
    program = str(folder / "bench.vvp")
    includes = [word for place in unit.include for word in ("-I", str(place))]
    words = [
        "iverilog",
        "-g2012",
        "-Wportbind",
        "-s",
        top,
        "-o",
        program,
        *includes,
        *map(str, unit.sources),
        str(source),
    ]
    _compile(unit, words, folder)
    return [["vvp", "-n", program]]


def _verilator(unit: Unit, source: Path, top: str, folder: Path) -> list[list[str]]:
    given = ["--top-module", top, *(f"+incdir+{place}" for place in unit.include), *map(str, unit.sources), str(source)]
    given = ["--timing", "-Wno-fatal", "-Wno-lint", "-Wno-style", "-Wwarn-WIDTH", *given]
    _compile(unit, ["verilator", "--lint-only", *given], folder)  # errors before a C++ compiler is kept busy
    unknown = ["--x-initial", "unique", "--x-assign", "unique"]
    built = ["--Mdir", str(folder / "built"), "-o", "bench", "-MAKEFLAGS", "OPT_FAST=-O1"]
    _compile(unit, ["verilator", "--binary", *unknown, *built, *given], folder)
    program = str(folder / "built" / "bench")
    return [[program, "+verilator+rand+reset+2", f"+verilator+seed+{seed}"] for seed in SEEDS]


def _compile(unit: Unit, words: Sequence[str], folder: Path) -> None:
    try:
        done = subprocess.run(
            words, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=BUILD_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        raise FormatError(f"{unit.path}: {words[0]} did not end within {BUILD_TIMEOUT} s") from None
    if done.returncode != 0:
        lines = (done.stderr + b"\n" + done.stdout).decode("utf-8", "replace").splitlines()
        said = [line.strip() for line in lines if "rror" in line] or [line.strip() for line in lines if line.strip()]
        raise FormatError(f"{unit.path}: does not compile under {words[0]}: {(said or ['no message'])[0][:300]}")
    _check_ports(unit, done.stderr.decode("utf-8", "replace"))


def _check_ports(unit: Unit, said: str) -> None:
    """FormatError if a wire is of another width than its port, or an input floats: no more than warnings to them."""
    if found := WIDTH.search(said):
        raise FormatError(f"{unit.path}: wire {found[1]}: {found[3]} bits in the description, {found[2]} in {unit.top}")
    if found := FLOATING.search(said):
        raise FormatError(
            f"{unit.path}: input {found[1]} of {unit.top} is not in the description; [constants] holds one at a value"
        )
