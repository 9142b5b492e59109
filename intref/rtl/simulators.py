"""Icarus Verilog and Verilator: found, and given a bench and a unit to build, once; runs are the caller's."""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from intref.errors import FormatError, Unsupported
from intref.rtl.processes import Workplace
from intref.rtl.unit import Unit

BUILD_TIMEOUT = 60  # seconds
PACKAGES = {"iverilog": "iverilog", "vvp": "iverilog", "verilator": "verilator", "yosys": "yosys", "make": "make"}
# How the two say it, of the bench's own lines: the port, the bits it has, the bits it is given.
WIDTH = re.compile(
    r"bench\.sv:[\d:]+ .*?\bport.* [('](\w+)[)'] .*?expects (\d+) bits.*?(\d+)(?: bits)?\.$", re.M | re.I
)
FLOATING = re.compile(
    r"bench\.sv:[\d:]+ warning: Instantiating module \w+ with dangling input port \d+ \((\w+)\)"
    r"|PINMISSING: \S*bench\.sv:[\d:]+ Cell has missing pin: '(\w+)'"
)
PARAMETER = re.compile(r"bench\.sv:[\d:]+ (?:warning: parameter (\w+) not found|Parameter pin not found: '(\w+)')")
PLACE = re.compile(r"\S*\bbench\.sv:(\d+)(?::\d+)?: *")
PORT = re.compile(r"^ +\.(\w+)\(")  # a line of the bench that binds a port
COMMENTS = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)
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


def build(
    kind: str, unit: Unit, bench: str, top: str, place: Workplace, seconds: int = BUILD_TIMEOUT
) -> list[list[str]]:
    """Compile a bench (its text and top module) around a unit: the command lines that run it, plusargs yet to come,
    one for each filling of the registers. FormatError with the compiler's first error, or after that many seconds."""
    simulator = KINDS[kind]
    require(*simulator.programs)
    source = place.folder / "bench.sv"
    source.write_text(bench, "ascii")
    compiler = _Compiler(unit, bench.splitlines(), place, seconds)
    return _icarus(compiler, source, top) if kind == "icarus" else _verilator(compiler, source, top)


def _icarus(compiler: "_Compiler", source: Path, top: str) -> list[list[str]]:
    unit, program = compiler.unit, str(source.with_name("bench.vvp"))
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
    compiler.run(words)
    return [["vvp", "-n", program]]


def _verilator(compiler: "_Compiler", source: Path, top: str) -> list[list[str]]:
    unit, folder = compiler.unit, source.parent
    given = ["--top-module", top, *(f"+incdir+{place}" for place in unit.include), *map(str, unit.sources), str(source)]
    given = ["--timing", "-Wno-fatal", "-Wno-lint", "-Wno-style", "-Wwarn-WIDTH", "-Wwarn-PINMISSING", *given]
    compiler.run(["verilator", "--lint-only", *given])  # errors before a C++ compiler is kept busy
    unknown = ["--x-initial", "unique", "--x-assign", "unique"]
    built = ["--Mdir", str(folder / "built"), "-o", "bench", "-MAKEFLAGS", "OPT_FAST=-O1"]
    compiler.run(["verilator", "--binary", *unknown, *built, *given])
    program = str(folder / "built" / "bench")
    return [[program, "+verilator+rand+reset+2", f"+verilator+seed+{seed}"] for seed in SEEDS]


@dataclass(frozen=True)
class _Compiler:
    """Runs compilers on a bench (its lines) around a unit, and puts what they say in terms of the description."""

    unit: Unit
    bench: Sequence[str]
    place: Workplace
    seconds: int

    def run(self, words: Sequence[str]) -> None:
        """FormatError unless it succeeds, in time, with every port bound as the description says."""
        status, said = self.place.run(words, self.seconds)
        if status is None:
            raise FormatError(
                f"{self.unit.path}: {words[0]} did not end within {self.seconds} s; a larger --timeout gives it more"
            )
        if found := PARAMETER.search(said):
            name = found[1] or found[2]
            raise FormatError(f"{self.unit.path}: parameters.{name}: {self.unit.top} has no such parameter")
        if status != 0:
            lines = [line.strip() for line in said.splitlines() if line.strip()]
            first = [line for line in lines if "rror" in line] or lines or [f"no message, exit status {status}"]
            raise FormatError(f"{self.unit.path}: does not compile under {words[0]}: {self._placed(first[0])[:300]}")
        self._check_bindings(said)

    def _check_bindings(self, said: str) -> None:
        """FormatError if a wire is of another width than its port, or an input floats: warnings to compilers."""
        path, top = self.unit.path, self.unit.top
        if found := WIDTH.search(said):
            raise FormatError(f"{path}: wire {found[1]}: {found[3]} bits in the description, {found[2]} in {top}")
        for found in FLOATING.finditer(said):
            name = found[1] or found[2]
            if found[1] or self._is_input(name):
                raise FormatError(
                    f"{path}: input {name} of {top} is not in the description; [constants] holds one at a value"
                )

    def _is_input(self, port: str) -> bool:
        """Whether the sources declare a port that way: Verilator does not say."""
        text = "\n".join(source.read_text("utf-8", "replace") for source in self.unit.sources)
        _, _, module = COMMENTS.sub("", text).partition(f"module {self.unit.top}")
        head = re.split(rf"\b{port}\b", module, maxsplit=1)[0]
        directions = re.findall(r"\b(input|output|inout)\b", head)
        return not directions or directions[-1] != "output"

    def _placed(self, line: str) -> str:
        """A compiler's message about the bench as one about the signal that its line binds."""
        found = PLACE.search(line)
        if not found:
            return line.replace(f"{self.place.folder}/", "")
        port = PORT.match(self.bench[min(int(found[1]), len(self.bench)) - 1])
        at = f"signal {port[1]}: " if port else f"{self.unit.top}, as described: "
        return PLACE.sub(at, line, count=1)
