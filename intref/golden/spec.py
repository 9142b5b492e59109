"""The normative text of a set of ops: their docstrings, their ports and attributes, and the format around them."""

import textwrap
from collections.abc import Iterable
from importlib.resources import files

from intref.errors import SpecError, near
from intref.model import SPEC_VERSION
from intref.ops import OPS
from intref.ops.op import INTS, Attr, Op, Port

CHAPTERS = ("format.md", "devices.md")


def spec_text(ops: Iterable[str] | None = None) -> str:
    """SPEC.md for some ops, by name (default all): enough to implement them, and to read and judge a package."""
    names = [*OPS] if ops is None else sorted(ops)
    if unknown := [name for name in names if name not in OPS]:
        raise SpecError(f"{unknown[0]}: there is no such op, {near(unknown[0], OPS)} (C1)")
    chapters = [files("intref.golden").joinpath(name).read_text("utf-8").strip() for name in CHAPTERS]
    title = f"# Integer transformers: specification {SPEC_VERSION}"
    return "\n\n".join([title, *chapters, "## Ops", *(_section(OPS[name]) for name in names)]) + "\n"


def _section(op: Op) -> str:
    head = f"### {op.name}, version {op.version}\n\n{textwrap.indent(op.spec, '    ')}"
    limits = ", ".join(f"{axis} <= {size}" for axis, size in op.limits.items())
    tables = [_ports("input", op.inputs), _attrs(op), _ports("output", op.outputs)]
    return "\n\n".join([head, *filter(None, tables), *([f"Largest sizes: {limits}."] if limits else [])])


def _table(*rows: Iterable[str]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * lines[0].count(" | ") + "---|", *lines[1:]])


def _ports(word: str, ports: dict[str, Port]) -> str:
    rows = [(name, _dtype(port), f"[{port.axes}]".replace("|", "or"), _range(port)) for name, port in ports.items()]
    return _table((word, "dtype", "axes", "values"), *rows)


def _dtype(port: Port) -> str:
    return f"that of {port.dtype[1:]}" if port.dtype.startswith("=") else port.dtype


def _range(port: Port) -> str:
    ends = [f">= {port.low}" if port.low is not None else "", f"<= {port.high}" if port.high is not None else ""]
    return f"of {port.bits} bits" if port.bits else " and ".join(filter(None, ends)) or "all of the dtype"


def _attrs(op: Op) -> str:
    if not op.attrs:
        return ""
    rows = [(name, _values(attr), _default(attr)) for name, attr in op.attrs.items()]
    return _table(("attribute", "values", "default"), *rows)


def _values(attr: Attr) -> str:
    return ", ".join(attr.choices) if attr.choices else f"{attr.low} .. {attr.high}"


def _default(attr: Attr) -> str:
    if attr.default is None:
        return "must be given"
    try:
        defaults = [attr.default({"output": dtype}) for dtype in INTS]
    except KeyError as other:  # it depends on another attribute
        return f"by {other.args[0]}, as above"
    if len({*defaults}) == 1:
        return str(defaults[0])
    return f"the {'lowest' if defaults[0] < 0 else 'highest'} value of output"
