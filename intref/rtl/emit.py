"""A self-checking testbench as files: SystemVerilog, $readmemh vectors, a Makefile for Icarus and Verilator."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from intref.atomic import StrPath, write_directory_atomically
from intref.errors import FormatError, Unsupported
from intref.rtl.beats import Field, encode, expected, layout, width
from intref.rtl.testbench import filled
from intref.rtl.unit import Unit
from intref.tensorfile import shown

BENCH, TOP = "tb.sv", "intref_tb"
MARKER = ".intref-testbench"  # the files that were written, one a line
MADE = ("bench.vvp", "icarus.log", "verilator.log", "built")  # by the Makefile
SAFE = re.compile(r"(?![+-])[\w./+-]+", re.ASCII)
SHOWN = 10  # differing results that a run prints


class Case(Protocol):
    """What is needed of a case of a golden package."""

    @property
    def id(self) -> str: ...
    @property
    def why(self) -> str: ...
    @property
    def attrs(self) -> dict[str, Any]: ...
    @property
    def inputs(self) -> dict[str, np.ndarray]: ...
    @property
    def outputs(self) -> dict[str, np.ndarray]: ...


@dataclass(frozen=True)
class Written:
    """cases, beats, results: how many the testbench has. skipped: case -> why the unit does not support it."""

    cases: int
    beats: int
    results: int
    skipped: Mapping[str, str]


def write_testbench(unit: Unit, op: str, cases: Iterable[Case], out: StrPath) -> Written:
    """Write a testbench for the cases that a unit supports into a directory: a new one, or one of an earlier testbench.

    Unsupported if it supports none. FormatError if an output has a shape that the unit's beats cannot carry, or the
    directory cannot be written, holds anything else, or would be named in a Makefile by other than plain characters.
    """
    target = Path(out).absolute()
    _check_ours(unit, target)
    words = layout(unit)
    files: dict[str, list[str]] = {name: [] for name in ("cases", "beats", "results", "counting", "places", "names")}
    digits = {"cases": -(-(max(width(words.setting), 1) + 64) // 4), "beats": -(-width(words.beat) // 4)}
    digits["results"] = digits["counting"] = -(-width(words.result) // 4)
    skipped: dict[str, str] = {}
    for case in cases:
        if why := unit.refusal(op, case.inputs, case.attrs):
            skipped[case.id] = why
        else:
            _add(files, digits, unit, case)
    if not files["cases"]:
        raise Unsupported(f"{unit.path}: supports no case: {next(iter(skipped.values()), 'there is none')}")
    texts = {f"{name}.mem": _text(files[name]) for name in digits}
    texts |= {"places.txt": _text(files["places"]), "cases.txt": _text(files["names"])}
    texts["skipped.txt"] = _text(_line(f"{name} {why}") for name, why in skipped.items())
    passed = f"PASS: {len(files['cases'])} cases, {len(files['results'])} results, all equal"
    texts["Makefile"] = _makefile(unit, target, passed)
    texts[BENCH] = _bench(unit, files, digits, passed)
    with write_directory_atomically(out, MARKER) as folder:
        for name, text in (*texts.items(), (MARKER, _text(texts))):
            folder.joinpath(name).write_bytes(text.encode())
    return Written(len(files["cases"]), len(files["beats"]), len(files["results"]), skipped)


def _add(files: dict[str, list[str]], digits: Mapping[str, int], unit: Unit, case: Case) -> None:
    call = encode(unit, case.inputs, case.attrs)
    wanted, counting, places = expected(call, case.outputs)
    head = call.setting << 64 | len(call.beats) << 32 | call.results
    for name, words in (("cases", [head]), ("beats", call.beats), ("results", wanted), ("counting", counting)):
        files[name] += [f"{word:0{digits[name]}x}" for word in words]
    files["places"] += [_line(f"{case.id} {place}")[:190] for place in places]
    files["names"].append(_line(f"{case.id} {case.why}"))


def _text(lines: Iterable[str]) -> str:
    return "".join(line + "\n" for line in lines)


def _line(text: str) -> str:
    return " ".join(text.encode("ascii", "replace").decode().split())


def _sum(lines: Iterable[str]) -> str:
    """FNV-1a of a file, as a literal."""
    total = 0x811C9DC5
    for byte in _text(lines).encode():
        total = (total ^ byte) * 0x01000193 & 0xFFFFFFFF
    return f"32'h{total:08x}"


def _bench(unit: Unit, files: Mapping[str, list[str]], digits: Mapping[str, int], passed: str) -> str:
    words = layout(unit)
    values = {
        "TOP": unit.top,
        "OP": unit.op.name,
        "SHOWN": str(SHOWN),
        "SHOW": "\n".join(_show(unit, field) for field in words.result),
        "PASS": passed,
        "CASE_W": str(max(width(words.setting), 1) + 64),
        "CASE_DIGITS": str(digits["cases"]),
        "BEAT_DIGITS": str(digits["beats"]),
        "RESULT_DIGITS": str(digits["results"]),
        **{name.upper(): str(len(files[name])) for name in ("cases", "beats", "results")},
        **{f"{name.upper()}_SUM": _sum(files[name]) for name in (*digits, "places")},
    }
    return filled("check.sv", unit, values)


def _show(unit: Unit, field: Field) -> str:
    """Statements that print every differing lane of one output: expected, got, xor."""
    at = "lane" if unit.first == "lsb" else f"{field.lanes - 1} - lane"
    span = (
        f"[{field.offset} + ({at}) * {field.width} +: {field.width}]"
        if field.lanes > 1
        else f"[{field.end - 1}:{field.offset}]"
    )
    low = f"[{field.offset} + ({at}) * {field.width}]" if field.lanes > 1 else f"[{field.offset}]"
    sign = "$signed" if field.signed else ""
    lane = " + %0d" * (field.lanes > 1)
    numbers = ", ".join(
        (f"{sign}(want{span})", f"want{span}", f"{sign}(got{span})", f"got{span}", f"want{span} ^ got{span}")
    )
    return (
        f"          for (lane = 0; lane < {field.lanes}; lane = lane + 1)\n"
        f"            if (counts{low} && got{span} !== want{span}) begin\n"
        f'              $display("FAIL: %0s{lane} {field.signal}: expected %0d (0x%h), got %0d (0x%h), xor 0x%h",\n'
        f"                       place, {'lane, ' * (field.lanes > 1)}{numbers});\n"
        f'              if (^got{span} === 1\'bx) $display("  x or z in what was got: 0b%b", got{span});\n'
        "            end"
    )


def _makefile(unit: Unit, out: Path, passed: str) -> str:
    sources, includes = ([_path(p, out) for p in places] for places in (unit.sources, unit.include))
    return (
        "# make icarus, make verilator: build, run, and fail unless the simulator ends well, nothing says FAIL, and\n"
        "# the testbench's PASS is the one and last line.\n"
        f"SOURCES = {' '.join(sources)} {BENCH}\n"
        f"PASS = {passed}\n\n"
        ".PHONY: icarus verilator\n"
        "icarus:\n"
        f"\tiverilog -g2012 -Wportbind -s {TOP} -o bench.vvp {' '.join(f'-I {i} ' for i in includes)}$(SOURCES)\n"
        f"{_judged('icarus', 'vvp -n bench.vvp')}"
        "verilator:\n"
        "\tverilator --binary --timing -MAKEFLAGS OPT_FAST=-O1 -Wno-fatal -Wno-lint -Wno-style \\\n"
        f"\t  --x-initial unique --x-assign unique --top-module {TOP} --Mdir built -o bench \\\n"
        f"\t  {' '.join(f'+incdir+{i} ' for i in includes)}$(SOURCES)\n"
        f"{_judged('verilator', 'built/bench +verilator+rand+reset+2 +verilator+seed+1')}"
    )


def _judged(simulator: str, words: str) -> str:
    """Recipe lines that run a simulation and judge its status and what it said; Verilator tells of $finish."""
    log = f"{simulator}.log"
    return (
        f"\t{words} > {log}; status=$$?; cat {log}; exit $$status\n"
        f"\t! grep -q '^FAIL' {log}\n"
        f"\ttest `grep -c '^PASS' {log}` = 1\n"
        f"\ttest \"`grep -v 'Verilog .finish$$' {log} | tail -n 1`\" = '$(PASS)'\n"
    )


def _path(path: Path, out: Path) -> str:
    """A path from the testbench, as make and its shell take it. FormatError where they would take it apart."""
    relative = os.path.relpath(path, out)
    if not SAFE.fullmatch(relative):
        raise FormatError(f"{out}: a Makefile cannot name {relative!r}: expected letters, digits and _ . / + - alone")
    return relative


def _check_ours(unit: Unit, out: Path) -> None:
    """FormatError if something would be lost with the old directory: what a testbench has not, or the unit itself."""
    inside = [p for p in (unit.path, *unit.sources, *unit.include) if p.resolve().is_relative_to(out.resolve())]
    if inside:
        raise FormatError(f"{out}: cannot be replaced: it holds the unit's {inside[0].name}")
    marker = out / MARKER
    if not marker.is_file():
        return
    known = {*marker.read_text("utf-8", "replace").splitlines(), *MADE, MARKER}
    if others := sorted({p.name for p in out.iterdir()} - known):
        raise FormatError(f"{out}: cannot be replaced: expected a testbench alone, found {shown(others[0])} as well")
