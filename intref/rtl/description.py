"""The description of an RTL unit: a TOML file that says which op it computes and which wire carries what.

    op = "rescale"                  # the op it computes
    top = "requantizer"             # its module
    sources = ["requantizer.sv"]    # beside the description
    clock = "clk"
    reset = "!rst_n"                # ! where it is active low; left out: no reset
    in = { valid = "in_valid", ready = "in_ready" }      # also last, a wire that is 1 with a row's last beat,
    out = { valid = "out_valid", ready = "out_ready" }   # and length = { signal, width }: elements of a row
    latency = 4                     # instead of out.valid: result n stands 4 clocks after beat n

    [inputs]                        # every input of the op; smaller ones are repeated beside every element
    x = { signal = "x", width = 32 }
    [outputs]
    y = { signal = "y", width = 8 }
    [attributes]                    # every attribute: one value, a list of values, or a wire
    output = "int8"
    rounding = { signal = "rounding", width = 2, codes = ["half_up", "half_even", "half_away"] }
    low = { signal = "low", width = 8 }

A wire is signed unless signed = false, and low and high narrow what it takes. More keys: parameters (module
parameters), include (directories), lanes = 4 with first = "lsb" or "msb" (elements a beat), [limits] (axis = the
largest size, or [smallest, largest]), [constants] (wires held at a value), stalls = false (no gaps and no
back-pressure from the testbench), patience = 10000 (clocks without progress after which a unit counts as hung).
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from intref.atomic import StrPath
from intref.errors import FormatError, Unsupported
from intref.ops import OPS
from intref.ops.op import Op
from intref.profiles import read_toml
from intref.rtl.bits import FIRST
from intref.rtl.unit import Unit, Wire
from intref.tensorfile import shown

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
UNSAFE = re.compile(r"[\x00-\x1f\x7f\"$`\\]")  # in a path: what one simulator or the other takes apart
OURS = ("intref_bench", "intref_tb")  # modules around the unit
MAX_WIDTH = 4096
KEYS: tuple[str, ...] = ("op", "top", "sources", "clock", "inputs", "outputs")
OPTIONAL: tuple[str, ...] = (
    "parameters",
    "include",
    "reset",
    "in",
    "out",
    "latency",
    "lanes",
    "first",
    "attributes",
    "limits",
)
OPTIONAL += ("constants", "stalls", "patience")


def read_unit(path: StrPath) -> Unit:
    """Read a description; FormatError names the file, the key, expected and found; Unsupported for an op that no
    stream of elements feeds."""
    table = read_toml(Path(path))
    for key in KEYS:
        if key not in table:
            raise FormatError(f"{path}: expected the key {key}, found {', '.join(table) or 'nothing'}")
    if extra := table.keys() - {*KEYS, *OPTIONAL}:
        raise FormatError(f"{path}: {min(extra)}: unknown key; there are {', '.join((*KEYS, *OPTIONAL))}")
    return _Reader(Path(path), table).unit()


class _Reader:
    """Takes a table apart; every wrong value is one line that names its place."""

    def __init__(self, path: Path, table: dict[str, Any]):
        self.path, self.table = path, table

    def unit(self) -> Unit:
        op, reset = self._op(), self._text("reset", "")
        enter, leave = self._table("in"), self._table("out")
        length = self._wire("in.length", enter.pop("length")) if "length" in enter else None
        settings, fixed = self._attributes(op)
        unit = Unit(
            self.path,
            op,
            self._name("top", self.table["top"]),
            self._files("sources", Path.is_file),
            self._files("include", Path.is_dir),
            {
                self._name("parameters", k): self._integer(f"parameters.{k}", v)
                for k, v in self._table("parameters").items()
            },
            self._name("clock", self.table["clock"]),
            self._name("reset", reset.lstrip("!")) if reset else "",
            reset.startswith("!"),
            self._strobes("in", enter),
            self._strobes("out", leave),
            length,
            self._integer("latency", self.table["latency"], 0, 4096) if "latency" in self.table else None,
            self._integer("lanes", self.table.get("lanes", 1), 1, 1024),
            self._first(),
            self._ports("inputs", op.inputs),
            self._ports("outputs", op.outputs),
            settings,
            fixed,
            {axis: self._limit(axis, value) for axis, value in self._table("limits").items()},
            {name: self._constant(name, row) for name, row in self._table("constants").items()},
            self._boolean("stalls", self.table.get("stalls", True)),
            self._integer("patience", self.table.get("patience", 10_000), 1, 1 << 30),
        )
        if ("valid" in unit.leave) == (unit.latency is not None):
            raise self._wrong("out", "either valid or a latency", "both" if "valid" in unit.leave else "neither")
        if "ready" in unit.leave and unit.latency is not None:
            raise self._wrong("out", "no ready beside a latency, which nothing can stretch", "ready")
        if unit.top in OURS:
            raise self._wrong("top", f"another name than the bench's own {' and '.join(OURS)}", unit.top)
        self._check_distinct(unit)
        return unit

    def _check_distinct(self, unit: Unit) -> None:
        """Every signal is bound once."""
        places = {"clock": unit.clock} | ({"reset": unit.reset} if unit.reset else {})
        places |= {f"in.{name}": signal for name, signal in unit.enter.items()}
        places |= {"in.length": unit.length.signal} if unit.length else {}
        places |= {f"out.{name}": signal for name, signal in unit.leave.items()}
        held = {name: wire for name, (wire, _) in unit.constants.items()}
        tables = {"inputs": unit.inputs, "outputs": unit.outputs, "attributes": unit.settings, "constants": held}
        for key, wires in tables.items():
            places |= {f"{key}.{name}": wire.signal for name, wire in wires.items()}
        first: dict[str, str] = {}
        for place, signal in places.items():
            if (earlier := first.setdefault(signal, place)) != place:
                raise self._wrong(place, "a signal of its own", f"{signal}, which is {earlier}")

    def _wrong(self, at: str, expected: str, found: Any) -> FormatError:
        return FormatError(
            f"{self.path}: {at}: expected {expected}, found {found if isinstance(found, str) else shown(found)}"
        )

    def _op(self) -> Op:
        name = self.table["op"]
        if not isinstance(name, str) or name not in OPS:
            raise self._wrong("op", "the name of an op (intref ops lists them)", shown(name))
        op = OPS[name]
        stream = op.inputs[next(iter(op.inputs))]
        for port in op.inputs:
            if not _beside(op, port):
                raise self._unstreamed(op, f"input {port!r}", op.inputs[port].axes)
        rows = [[*form[:-1], "1"] for form in stream.forms()]
        for port, out in op.outputs.items():
            if not all(form in (*stream.forms(), *rows) for form in out.forms()):
                raise self._unstreamed(op, f"output {port!r}", out.axes)
        return op

    def _unstreamed(self, op: Op, port: str, axes: str) -> Unsupported:
        stream = next(iter(op.inputs))
        return Unsupported(
            f"{self.path}: op {op.name}: {port} has axes [{axes}], which cannot run beside {stream!r} "
            f"[{op.inputs[stream].axes}]; a unit takes and gives element by element of it"
        )

    def _text(self, key: str, default: str) -> str:
        value = self.table.get(key, default)
        if not isinstance(value, str):
            raise self._wrong(key, "text", value)
        return value

    def _name(self, at: str, value: Any) -> str:
        if not isinstance(value, str) or not NAME.fullmatch(value):
            raise self._wrong(at, "a Verilog identifier", shown(value))
        return value

    def _integer(self, at: str, value: Any, low: int = -(1 << 63), high: int = 1 << 63) -> int:
        if type(value) is not int or not low <= value <= high:
            raise self._wrong(at, f"an integer in {low}..{high}", shown(value))
        return value

    def _boolean(self, at: str, value: Any) -> bool:
        if type(value) is not bool:
            raise self._wrong(at, "true or false", shown(value))
        return value

    def _first(self) -> str:
        value = self._text("first", "lsb")
        if value not in FIRST:
            raise self._wrong("first", "lsb or msb", shown(value))
        return value

    def _table(self, key: str) -> dict[str, Any]:
        value = self.table.get(key, {})
        if not isinstance(value, dict):
            raise self._wrong(key, "a table", shown(value))
        return dict(value)

    def _files(self, key: str, right: Any) -> tuple[Path, ...]:
        value = self.table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value) or (key in KEYS and not value):
            raise self._wrong(key, "a list of paths", shown(value))
        places = tuple(self.path.absolute().parent / v for v in value)
        if absent := [p for p in places if not right(p)]:
            raise self._wrong(key, f"a path {absent[0]}", "none")
        if unsafe := [p for p in places if UNSAFE.search(str(p))]:
            raise self._wrong(key, 'a path without control characters and any of "$`\\', repr(str(unsafe[0])))
        return places

    def _strobes(self, key: str, table: dict[str, Any]) -> dict[str, str]:
        if extra := table.keys() - {"valid", "ready", "last"}:
            raise self._wrong(key, f"the keys valid, ready, last{', length' * (key == 'in')}", shown(min(extra)))
        return {name: self._name(f"{key}.{name}", signal) for name, signal in table.items()}

    def _ports(self, key: str, ports: Mapping[str, Any]) -> dict[str, Wire]:
        table = self._table(key)
        if difference := table.keys() ^ ports.keys():
            raise self._wrong(key, f"the {key} {', '.join(ports)}", f"{shown(min(difference))} missing or in excess")
        return {name: self._wire(f"{key}.{name}", table[name]) for name in ports}

    def _wire(self, at: str, row: Any, choices: tuple[str, ...] = (), more: tuple[str, ...] = ()) -> Wire:
        allowed = {"signal", "width", "signed", "low", "high", *(("codes",) if choices else ()), *more}
        if not isinstance(row, dict) or not {"signal", "width"} <= row.keys() or row.keys() - allowed:
            raise self._wrong(
                at,
                f"a table with signal, width and perhaps {', '.join(sorted(allowed - {'signal', 'width'}))}",
                shown(row),
            )
        width = self._integer(f"{at}.width", row["width"], 1, MAX_WIDTH)
        codes = self._codes(at, row, width, choices) if choices else ()
        signed = self._boolean(f"{at}.signed", row.get("signed", not codes))
        ends = (-(1 << width - 1), (1 << width - 1) - 1) if signed else (0, (1 << width) - 1)
        low, high = (self._integer(f"{at}.{k}", row.get(k, end), *ends) for k, end in zip(("low", "high"), ends))
        self._check_range(at, low, high)
        return Wire(self._name(f"{at}.signal", row["signal"]), width, signed, low, high, codes)

    def _codes(self, at: str, row: dict[str, Any], width: int, choices: tuple[str, ...]) -> tuple[str, ...]:
        codes = row.get("codes")
        if not isinstance(codes, list) or not codes or any(code not in ("", *choices) for code in codes):
            raise self._wrong(f"{at}.codes", f'a list of {", ".join(choices)} ("" for an unused number)', shown(codes))
        if len(codes) > 1 << width:
            raise self._wrong(f"{at}.codes", f"at most {1 << width} codes of {width} bits", f"{len(codes)}")
        return tuple(codes)

    def _attributes(self, op: Op) -> tuple[dict[str, Wire], dict[str, tuple[Any, ...]]]:
        table = self._table("attributes")
        named = {name: attr for name, attr in op.attrs.items() if not attr.structural}
        if difference := table.keys() ^ named.keys():
            found = f"{shown(min(difference))} missing or in excess"
            raise self._wrong("attributes", f"a value or a wire for each of {', '.join(named) or 'none'}", found)
        wires = {
            n: self._wire(f"attributes.{n}", table[n], named[n].choices) for n in named if isinstance(table[n], dict)
        }
        fixed = {n: tuple(v if isinstance(v := table[n], list) else [v]) for n in named if n not in wires}
        for name, values in fixed.items():
            if not values or not all(named[name].allows(value) for value in values):
                attr = named[name]
                allowed = ", ".join(attr.choices) if attr.choices else f"integers in {attr.low}..{attr.high}"
                raise self._wrong(f"attributes.{name}", allowed, shown(table[name]))
        return wires, fixed

    def _limit(self, axis: str, value: Any) -> tuple[int, int]:
        axes = {a for port in self._op().inputs.values() for form in port.forms() for a in form} - {"...", "1"}
        if axis not in axes:
            raise self._wrong("limits", f"axes of {', '.join(sorted(axes)) or 'none'}", shown(axis))
        low, high = value if isinstance(value, list) and len(value) == 2 else (1, value)
        ends = self._integer(f"limits.{axis}", low, 1), self._integer(f"limits.{axis}", high, 1)
        self._check_range(f"limits.{axis}", *ends)
        return ends

    def _check_range(self, at: str, low: int, high: int) -> None:
        if low > high:
            raise self._wrong(at, "a smallest value that is not above the largest", f"{low}..{high}")

    def _constant(self, name: str, row: Any) -> tuple[Wire, int]:
        wire = self._wire(f"constants.{name}", row, more=("value",))
        return wire, self._integer(f"constants.{name}.value", row.get("value"), wire.low, wire.high)


def _beside(op: Op, port: str) -> bool:
    """Whether an input can be repeated beside every element of the first one: by its axes, or as a vector along one.
    What is limited in length and is no such vector is a table."""
    carried = {axis for form in op.inputs[next(iter(op.inputs))].forms() for axis in form}
    axes = {axis for form in op.inputs[port].forms() for axis in form} - {"1"}
    return axes <= carried or (len(axes) == 1 and not axes & op.limits.keys())
