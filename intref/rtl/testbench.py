"""SystemVerilog around a unit: a bench that serves calls to an adapter, and one that checks itself from files."""

import re
from collections.abc import Mapping
from pathlib import Path

from intref.rtl.beats import Field, layout, width
from intref.rtl.unit import Unit

TEMPLATES = Path(__file__).parent
SILENCE = 8  # clocks after the last result in which no other may come
TOP = "intref_bench"


def server(unit: Unit) -> str:
    """A bench that serves calls until its requests end; see server.sv for what it reads and writes."""
    return filled("server.sv", unit)


def filled(template: str, unit: Unit, more: Mapping[str, str] | None = None) -> str:
    """A template with the marks of a unit, and more, filled in."""
    words = layout(unit)
    values = {
        "BENCH": (TEMPLATES / "bench.sv").read_text("ascii").rstrip(),
        "DUT": _instance(unit),
        "SETTING_W": str(max(width(words.setting), 1)),
        "BEAT_W": str(width(words.beat)),
        "RESULT_W": str(width(words.result)),
        "PATIENCE": str(unit.patience),
        "SILENCE": str(SILENCE),
        "GAPS": "1" if unit.stalls else "0",
        "PAUSES": "1" if unit.stalls and "ready" in unit.leave else "0",
        **_pipe(unit),
        **(more or {}),
    }
    text = (TEMPLATES / template).read_text("ascii")
    while marks := {*re.findall(r"@([A-Z_]+)@", text)}:
        for mark in marks:
            text = text.replace(f"@{mark}@", values[mark])
    return "\n".join(line.rstrip() for line in text.split("\n"))


def _instance(unit: Unit) -> str:
    """The unit with its ports on the bench's words."""
    words = layout(unit)
    ports = [(unit.clock, "clk")]
    if unit.reset:
        ports.append((unit.reset, "!in_reset" if unit.reset_low else "in_reset"))
    for strobes, names in ((unit.enter, ("in_valid", "in_ready")), (unit.leave, ("out_valid", "out_ready"))):
        ports += [(strobes[name.split("_")[1]], name) for name in names if name.split("_")[1] in strobes]
    for word, fields in (("setting", words.setting), ("beat", words.beat), ("result", words.result)):
        ports += [(field.signal, f"{word}[{_span(field)}]") for field in fields]
    parameters = ", ".join(f".{name}({value})" for name, value in unit.parameters.items())
    rows = ",\n".join(f"      .{port}({wire})" for port, wire in ports)
    given = f" #({parameters})" if parameters else ""
    lines = [f"  {unit.top}{given} unit (\n{rows}\n  );"]
    lines += ["  assign in_ready = 1'b1;"] if "ready" not in unit.enter else []
    return "\n".join(lines)


def _span(field: Field) -> str:
    return f"{field.end - 1}:{field.offset}"


def _pipe(unit: Unit) -> dict[str, str]:
    """For a unit without a valid of its own: its latency counted out beside it."""
    if unit.latency is None:
        return {"PIPE": "", "SHIFT": ""}
    top = unit.latency
    text = (
        "\n  // The unit says not when its results are valid: they stand a fixed number of clocks after their beats.\n"
        f"  reg  [{top}:0] earlier = 0;\n"
        f"  wire [{top + 1}:0] flight = {{earlier, in_valid && in_ready === 1'b1}};\n"
        f"  assign out_valid = flight[{top}];\n"
    )
    return {"PIPE": text, "SHIFT": f"\n      earlier = in_reset ? 0 : flight[{top}:0];"}
