"""A self-checking testbench as files: SystemVerilog, $readmemh vectors, a Makefile for Icarus and Verilator."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from intref.atomic import StrPath, write_directory_atomically
from intref.errors import Unsupported
from intref.rtl.beats import Field, encode, expected, layout, width
from intref.rtl.testbench import filled
from intref.rtl.unit import Unit

BENCH, TOP = "tb.sv", "intref_tb"
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
    """Write a testbench for the cases that a unit supports into a new directory.

    Unsupported if it supports none. FormatError if an output has a shape that the unit's beats cannot carry, or the
    directory cannot be written.
    """
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
    with write_directory_atomically(out, BENCH) as folder:
        for name in digits:
            _write(folder / f"{name}.mem", files[name])
        _write(folder / "places.txt", files["places"])
        _write(folder / "cases.txt", files["names"])
        _write(folder / "skipped.txt", [f"{name} {why}" for name, why in skipped.items()])
        folder.joinpath("Makefile").write_text(_makefile(unit, Path(out).absolute()), "utf-8")
        folder.joinpath(BENCH).write_text(_bench(unit, files, digits), "ascii")
    return Written(len(files["cases"]), len(files["beats"]), len(files["results"]), skipped)


def _add(files: dict[str, list[str]], digits: Mapping[str, int], unit: Unit, case: Case) -> None:
    call = encode(unit, case.inputs, case.attrs)
    wanted, counting, places = expected(call, case.outputs)
    head = call.setting << 64 | len(call.beats) << 32 | call.results
    for name, words in (("cases", [head]), ("beats", call.beats), ("results", wanted), ("counting", counting)):
        files[name] += [f"{word:0{digits[name]}x}" for word in words]
    files["places"] += [f"{case.id} {place}"[:190] for place in places]
    files["names"].append(f"{case.id} {case.why}")


def _write(path: Path, lines: list[str]) -> None:
    path.write_text("".join(line + "\n" for line in lines), "utf-8")


def _bench(unit: Unit, files: Mapping[str, list[str]], digits: Mapping[str, int]) -> str:
    words = layout(unit)
    values = {
        "TOP": unit.top,
        "OP": unit.op.name,
        "SHOWN": str(SHOWN),
        "SHOW": "\n".join(_show(unit, field) for field in words.result),
        "LINE": str(max(digits.values()) + 3),
        "CASE_W": str(max(width(words.setting), 1) + 64),
        "CASE_DIGITS": str(digits["cases"]),
        "BEAT_DIGITS": str(digits["beats"]),
        "RESULT_DIGITS": str(digits["results"]),
        **{name.upper(): str(len(files[name])) for name in ("cases", "beats", "results")},
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


def _makefile(unit: Unit, out: Path) -> str:
    sources, includes = ([os.path.relpath(p, out) for p in places] for places in (unit.sources, unit.include))
    return (
        "# make icarus, make verilator: build, run, and fail unless the testbench says PASS.\n"
        f"SOURCES = {' '.join(sources)} {BENCH}\n\n"
        ".PHONY: icarus verilator\n"
        "icarus:\n"
        f"\tiverilog -g2012 -Wportbind -s {TOP} -o bench.vvp {' '.join(f'-I {i} ' for i in includes)}$(SOURCES)\n"
        "\tvvp -n bench.vvp > icarus.log; cat icarus.log\n"
        "\tgrep -q '^PASS' icarus.log\n"
        "verilator:\n"
        "\tverilator --binary --timing -MAKEFLAGS OPT_FAST=-O1 -Wno-fatal -Wno-lint -Wno-style \\\n"
        f"\t  --x-initial unique --x-assign unique --top-module {TOP} --Mdir built -o bench \\\n"
        f"\t  {' '.join(f'+incdir+{i} ' for i in includes)}$(SOURCES)\n"
        "\tbuilt/bench +verilator+rand+reset+2 +verilator+seed+1 > verilator.log; cat verilator.log\n"
        "\tgrep -q '^PASS' verilator.log\n"
    )
