"""One op as a function of C: it checks its arguments, then runs the loops of the way that its attributes choose."""

from collections.abc import Mapping, Sequence, Sized
from typing import Any

from intref.emit.body import Path, paths
from intref.emit.contract import LEAD, Contract
from intref.emit.expressions import number
from intref.emit.loops import Writer, derived, size_text
from intref.emit.nodes import Axis, Tensor, size
from intref.emit.rules import rule, used
from intref.emit.text import INDENT, REFUSE, folded, refused
from intref.emit.vocabulary import vocabulary_names
from intref.errors import SpecError, Unsupported
from intref.ops import Op
from intref.ops.op import Port

KEYWORDS = """auto break case char const continue default do double else enum extern float for goto if inline int long
register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while""".split()
RESERVED = {*KEYWORDS, "in", "out", "given", "row", "rows", "arguments", "fixed", "inner", "along"}


def c_function(op: Op, fixed: Mapping[str, Any]) -> str:
    """The function `op_NAME`, its specification as the comment above it; some attributes fixed.

    Unsupported, naming the op and what of its body has no C, if it cannot be written; SpecError if the fixed attributes
    break a rule of the op. A rule that has no C is named in the comment as not checked.
    """
    try:
        ways = sorted(paths(op, fixed), key=lambda p: [not answer for _, _, answer in p.decisions])
    except Unsupported as error:
        raise Unsupported(f"{op.name}: cannot be written in C: {error}") from None
    spec = "\n".join(f"   {line}".rstrip() for line in op.spec.replace("*/", "* /").splitlines()).strip()
    parts = [_way(way) for way in ways]
    common = [line for line in parts[0][0] if all(line in checks for checks, _ in parts)]
    rules, unchecked = _rules(op, fixed)
    named = {name for name, attr in op.attrs.items() for v in attr.choices if f" {name}_{v}" in "\n".join(rules)}
    lines = [*_entry(op, fixed, _compared(ways) | named), *rules, *common]
    for way, (checks, loops) in zip(ways, parts):
        lines += _under(way, [*(line for line in checks if line not in common), *loops, "return DONE;"])
    body = "\n".join(folded([INDENT + line for line in lines]))
    spec += "".join(f"\n\n   Not checked here: {text}" for text in unchecked)
    return f"/* {spec} */\nstatic int op_{op.name}(const arguments *given) {{\n{body}\n}}\n"


def _compared(ways: Sequence[Path]) -> set[str]:
    """The attributes that decide which way is taken."""
    return {name for way in ways for name, _, _ in way.decisions}


def _under(way: Path, lines: list[str]) -> list[str]:
    """Lines under the condition of their way; what earlier ways have taken is not asked again."""
    if taken := [f"{name} == {name}_{value}" for name, value, answer in way.decisions if answer]:
        return [f"if ({' && '.join(taken)}) {{", *(INDENT + line for line in lines), "}"]
    return lines


def _entry(op: Op, fixed: Mapping[str, Any], compared: set[str]) -> list[str]:
    """Sizes, attributes, and the checks of the inputs."""
    contract = Contract(op, fixed)
    lines = ["const intref_tensor *in = given->in, *out = given->out;"]
    for name in sorted(compared):
        lines.append(f"enum {{ {', '.join(f'{name}_{value}' for value in op.attrs[name].choices)} }};")
    counts: dict[str, Sized] = {"ni": op.inputs, "no": op.outputs, "na": op.attrs}
    lines += refused([" || ".join(f"given->{name} != {len(of)}" for name, of in counts.items())])
    lines += [*_attributes(op, fixed), *_sizes(contract)]
    checks = [f"!{_shaped(contract, i, port)}" for i, port in enumerate(op.inputs)]
    checks += _same_leading(contract)
    for i, port in enumerate(op.inputs):
        if bounds := contract.range(port):
            checks.append(f"!all_within(&in[{i}], {number(bounds[0]).text}, {number(bounds[1]).text})")
    return [*lines, *refused(checks)]


def _attributes(op: Op, fixed: Mapping[str, Any]) -> list[str]:
    """Every attribute as a variable, in its range; the fixed ones must be what they are fixed to."""
    free, wrong = [], []
    for name, attr in op.attrs.items():
        if name in fixed:
            value = number(attr.choices.index(fixed[name]) if attr.choices else fixed[name]).text
            wrong.append(f'!attribute(given, "{name}", {value}, {value}, &fixed)')
        else:
            ends = (0, len(attr.choices) - 1) if attr.choices else (attr.low, attr.high)
            free.append((name, f'!attribute(given, "{name}", {", ".join(number(e).text for e in ends)}, &{name})'))
    names = [*(name for name, _ in free), *["fixed"] * bool(wrong)]
    declared = [f"int64_t {', '.join(names)};"] if names else []
    return [*declared, *refused(wrong, "return UNSUPPORTED;"), *refused([text for _, text in free])]


def _sizes(contract: Contract) -> list[str]:
    """Each axis of the inputs from the first of them that has it, those of one form before those of several."""
    sizes: dict[Axis, str] = {}
    ports = sorted(enumerate(contract.op.inputs), key=lambda p: len(contract.forms(p[1])))
    for i, port in ports:
        places = max(contract.forms(port).values(), key=lambda t: len(t.places)).places
        for behind, axis in zip(range(len(places), 0, -1), places):
            if axis is not None and axis not in sizes:
                lead = axis.name == LEAD
                sizes[axis] = f"leading(&in[{i}], {behind - 1})" if lead else f"axis_size(&in[{i}], {behind})"
    limits = contract.op.limits
    large = [f"{axis.name} > {number(axis.limit).text}" for axis in sizes if axis.name in limits]
    return [f"const int64_t {axis.name} = {text};" for axis, text in sizes.items()] + refused(large)


def _shaped(contract: Contract, i: int, port: str) -> str:
    dtypes = " | ".join(f"1 << {dtype.upper()}" for dtype in contract.dtypes(port))
    forms = {ndim: _sized(f"&in[{i}], {dtypes}", t) for ndim, t in contract.forms(port).items()}
    text, *others = forms.values()
    for ndim, other in zip(forms, others):
        text = f"(in[{i}].ndim == {ndim} ? {text} : {other})"
    return text


def _same_leading(contract: Contract, side: str = "in") -> list[str]:
    """That the leading axes of all inputs, or outputs, are those of the first input that has some."""
    sides = {"in": contract.op.inputs, "out": contract.op.outputs}
    inputs, behind = (_behind(ports) for ports in (contract.op.inputs, sides[side]))
    if not inputs:
        return []
    first, m = next(iter(inputs.items()))
    tests = {f"&{side}[{i}]": n for i, n in behind.items()}
    return [f"!same_leading(&in[{first}], {m}, {t}, {n})" for t, n in tests.items() if t != f"&in[{first}]"]


def _behind(ports: Mapping[str, Port]) -> dict[int, int]:
    """Which of some ports have leading axes -> how many axes they have behind them."""
    return {i: len(port.axes.split()) - 1 for i, port in enumerate(ports.values()) if "..." in port.axes}


def _rules(op: Op, fixed: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The checks of the op's cross constraints, and those that have no C."""
    lines, unchecked = [], []
    for label, (text, holds) in op.constraints.items():
        try:
            before, condition = rule(Contract(op, fixed), holds)
        except Unsupported as error:
            unchecked.append(f"{label} {text}: {error}")
            continue
        if condition is False:
            raise SpecError(f"{op.name}: {text} ({label})")
        if condition is not True:
            lines += _block(label, before, condition.text)
    return lines, unchecked


def _block(label: str, before: Sequence[str], condition: str) -> list[str]:
    test = f"if (!({condition})) {REFUSE} /* {label} */"
    return ["{", *(INDENT + line for text in (*before, test) for line in text.split("\n")), "}"] if before else [test]


def _sized(tensor: str, laid: Tensor) -> str:
    """A call of shaped() for a tensor that is laid out like that."""
    names = ["1" if axis is None else axis.name for axis in laid.places]
    lead = names.pop(0) if names and names[0] == LEAD else "0"
    sizes = f"(const int64_t[]){{{', '.join(names)}}}" if names else "0"
    return f"shaped({tensor}, {lead}, {len(names)}, {sizes})"


def _way(way: Path) -> tuple[list[str], list[str]]:
    """The checks and pointers, and the loops, of one way through the body."""
    contract, op = way.contract, way.contract.op
    enums = {f"{n}_{v}" for n, a in op.attrs.items() for v in a.choices}
    ports = {*op.inputs, *op.attrs, *(f"out_{name}" for name in op.outputs)}
    axes = {*contract.axes, *(f"i{name}" for name in contract.axes)}
    writer = Writer(contract, RESERVED | vocabulary_names() | enums | ports | axes)
    checks = [*_checks(contract, writer), *_outputs(way)]
    loops = writer.outputs(way.outputs)
    return used([*checks, *_pointers(contract, writer)], "\n".join(loops)), loops


def _checks(contract: Contract, writer: Writer) -> list[str]:
    """What the body itself asks of sizes, and the sizes it makes."""
    lines = []
    for axis in derived([*contract.axes.values()]):
        lines.append(f"const int64_t {axis.name} = {size_text(writer, size(axis))};")
        writer.lengths.setdefault(id(size(axis)), axis.name)
    for _, node in contract.lengths.values():
        lines += refused([f"{size_text(writer, node)} < 1"])
    for along, port in {id(n): (n, p) for n, p in contract.spread.values()}.values():
        of = f"(&in[{[*contract.op.inputs].index(port)}], {size_text(writer, along)})"
        lines += [f"const int64_t inner = inner_size{of}, along = size_along{of};", *refused(["inner < 1"])]
    for axis, main in sorted(contract.joined.items(), key=lambda pair: pair[0].name):
        length = "along" if axis in contract.spread else main.name
        lines += refused([f"{axis.name} != 1 && {axis.name} != {length}"])
    for a, b in contract.splits:
        lines += refused([f"{size_text(writer, a)} != {size_text(writer, b)}"])
    for at, end in contract.reaches:
        lines += refused([f"{size_text(writer, at)} >= {size_text(writer, end)}"])
    return [*dict.fromkeys(lines)]


def _outputs(way: Path) -> list[str]:
    """The checks of what the caller gives to be written."""
    contract, lines = way.contract, []
    for i, (name, tensor) in enumerate(way.outputs.items()):
        declared = contract.op.outputs[name].dtype
        if declared in contract.op.attrs and declared not in contract.fixed:
            codes = ", ".join(dtype.upper() for dtype in contract.op.attrs[declared].choices)
            lines.append(f"static const int {name}_dtypes[] = {{{codes}}};")
            dtypes = f"1 << {name}_dtypes[{declared}]"
        elif declared.startswith("="):
            dtypes = f"1 << in[{[*contract.op.inputs].index(declared[1:])}].dtype"
        else:
            dtypes = f"1 << {contract.dtypes(name, 'output')[0].upper()}"
        lines += refused([f"!{_sized(f'&out[{i}], {dtypes}', tensor)}"])
    return [*lines, *refused(_same_leading(contract, "out"))]


def _pointers(contract: Contract, writer: Writer) -> list[str]:
    """Typed pointers to what has one dtype."""
    lines = []
    for i, port in enumerate(contract.op.inputs):
        if port in writer.loaded:
            lines.append(f"const {contract.dtypes(port)[0]}_t *{port} = in[{i}].data;")
    for i, port in enumerate(contract.op.outputs):
        if len(dtypes := contract.dtypes(port, "output")) == 1:
            lines.append(f"{dtypes[0]}_t *out_{port} = out[{i}].data;")
    return lines
