"""C99 of a whole integer model: its constants, its nodes in order, and the ops they call."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from intref.emit.expressions import number
from intref.emit.text import INDENT, WIDTH, folded
from intref.errors import Unsupported
from intref.model import Model, Node
from intref.ops import OPS

Progress = Callable[[str, int, int], None]  # what, done, total
_TENSOR_ROW = """\
static const struct {
    int dtype, ndim;
    int64_t axes[8];
    const void *constant;
    int made, last;
} TENSORS[] = {""".splitlines()
_INPUT_ROW = """\
static const struct {
    int tensor;
    int64_t low, high;
} INPUTS[] = {""".splitlines()
_STEP_ROW = """\
static const struct {
    int (*run)(const arguments *given);
    int na;
    const char *names[MOST_ATTRIBUTES];
    int64_t values[MOST_ATTRIBUTES];
    int ni, in[MOST_INPUTS], no, out[MOST_OUTPUTS];
} STEPS[] = {""".splitlines()


def model_tables(model: Model, progress: Progress) -> str:
    """The model as C: constants, and tables of its tensors, inputs, outputs and steps.

    progress(what, done, total) is told of the constants.
    """
    if model.states:
        raise Unsupported("a model with states cannot be written in C yet")
    names = _names(model)
    symbols = sorted(model.dims)
    counts = {
        **{"SYMBOLS": max(len(symbols), 1), "TENSOR_COUNT": len(names), "STEP_COUNT": len(model.nodes)},
        **{"INPUT_COUNT": len(model.inputs), "OUTPUT_COUNT": len(model.outputs), "OUT_OF_MEMORY": 3},
        **{"MOST_INPUTS": _most(model, "inputs"), "MOST_OUTPUTS": _most(model, "outputs")},
        "MOST_ATTRIBUTES": max((len(attrs) for attrs in model.attrs), default=0) or 1,
    }
    lines = [*(f"enum {{ {name} = {value} }};" for name, value in counts.items()), ""]
    lines += [f"static const int64_t LIMITS[] = {{{', '.join(str(model.dims[s]) for s in symbols) or 1}}};"]
    lines[-1] += f" /* of {', '.join(symbols)} */" if symbols else ""
    constants = [name for name in names if name in model.constants]
    for done, name in enumerate(constants, 1):
        lines += ["", *_constant(names[name], name, model.constants[name])]
        progress("constants", done, len(constants))
    lines += ["", *_tensors(model, names, symbols), "", *_inputs(model, names), ""]
    outputs = ", ".join(str(names[model.outputs[public]]) for public in sorted(model.outputs))
    lines += [f"static const int OUTPUTS[] = {{{outputs}}};"]
    return "\n".join([*lines, "", *_steps(model, names)])


def _names(model: Model) -> dict[str, int]:
    """Every tensor that is an input, is computed or is read, with its place in the table."""
    used = [*model.inputs]
    for node in model.nodes:
        used += [*node.inputs.values(), *node.outputs.values()]
    return {name: i for i, name in enumerate(dict.fromkeys([*used, *model.outputs.values()]))}


def _most(model: Model, side: str) -> int:
    return max((len(getattr(node, side)) for node in model.nodes), default=1)


def _constant(place: int, name: str, value: np.ndarray) -> Iterator[str]:
    """One array, as many numbers to a line as surely fit."""
    dtype, items = value.dtype.name, value.ravel()
    low, high = int(items.min()), int(items.max())
    literal = str if -(1 << 31) < low and high < 1 << 31 else _literal
    width = max(len(literal(low)), len(literal(high)), len("INT32_MIN") if literal is _literal else 1) + 2
    per_line = (WIDTH - len(INDENT)) // width
    yield f"/* {_comment(name)} */"
    yield f"static const {dtype}_t constant_{place}[{items.size}] = {{"
    for start in range(0, items.size, per_line):
        yield f"{INDENT}{', '.join(map(literal, items[start : start + per_line].tolist()))},"
    yield "};"


def _literal(value: int) -> str:
    """An initialiser: the lowest int32 and what is wider than it is no plain number in C."""
    if value == -(1 << 31):
        return "INT32_MIN"
    if abs(value) < 1 << 31:
        return str(value)
    return "INT64_MIN" if value == -(1 << 63) else f"INT64_C({value})" if value > 0 else f"-INT64_C({-value})"


def _comment(text: str) -> str:
    """Any name as the text of a comment."""
    plain = "".join(c if c.isascii() and c.isprintable() else "?" for c in text)
    return plain.replace("*/", "* /").replace("/*", "/ *")


def _tensors(model: Model, names: dict[str, int], symbols: list[str]) -> Iterator[str]:
    yield "/* Every tensor of the graph. An axis of -1, -2, .. has the length that the first, second, .. symbolic"
    yield "   dimension has in a call. made: a node computes it. last: the last step that reads it. */"
    yield from _TENSOR_ROW
    made = {tensor for node in model.nodes for tensor in node.outputs.values()}
    touched = [(i, {*node.outputs.values(), *node.inputs.values()}) for i, node in enumerate(model.nodes)]
    last = {tensor: i for i, tensors in touched for tensor in tensors}
    kept = {*model.outputs.values()}
    for name, place in names.items():
        declared = model.tensors[name]
        axes = [-1 - symbols.index(a) if isinstance(a, str) else a for a in declared.axes] or [0]
        constant = f"constant_{place}" if name in model.constants else "0"
        end = len(model.nodes) if name in kept else last.get(name, 0)
        row = f"{declared.dtype.upper()}, {len(declared.axes)}, {{{', '.join(map(str, axes))}}}, {constant}"
        yield f"{INDENT}{{{row}, {int(name in made)}, {end}}}, /* {place}: {_comment(name)} */"
    yield "};"


def _inputs(model: Model, names: dict[str, int]) -> Iterator[str]:
    yield from _INPUT_ROW
    for name in sorted(model.inputs):
        low, high = (number(end).text for end in model.tensors[name].range)
        yield f"{INDENT}{{{names[name]}, {low}, {high}}}, /* {_comment(name)} */"
    yield "};"


def _steps(model: Model, names: dict[str, int]) -> Iterator[str]:
    yield "/* The nodes, in order: op, attributes, inputs and outputs by their places in TENSORS. */"
    yield from _STEP_ROW
    for node, attrs in zip(model.nodes, model.attrs):
        yield f"{INDENT}/* {_comment(node.site)} */"
        yield from folded([f"{INDENT}{{{_step(node, attrs, names)}}},"])
    yield "};"


def _step(node: Node, attrs: dict[str, Any], names: dict[str, int]) -> str:
    op = OPS[node.op]
    codes = {n: op.attrs[n].choices.index(v) if op.attrs[n].choices else v for n, v in attrs.items()}
    words = ", ".join(f'"{name}"' for name in codes) or "0"
    values = ", ".join(number(value).text for value in codes.values()) or "0"
    ins = [names[node.inputs[port]] for port in op.inputs]
    outs = [names[node.outputs[port]] for port in op.outputs]
    sides = ", ".join(f"{len(side)}, {{{', '.join(map(str, side))}}}" for side in (ins, outs))
    return f"op_{node.op}, {len(codes)}, {{{words}}}, {{{values}}}, {sides}"
