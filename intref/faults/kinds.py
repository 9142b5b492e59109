"""Kinds of fault: which of them no case of an op makes applicable, though its ports allow them.

A fault that applies to no case is not scored, so that it cannot survive either: a tile of 32 rows needs 33 of them.
"""

# The vocabulary of op bodies is not typed.
# mypy: allow-untyped-calls

import ast
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from intref.errors import IntrefError
from intref.faults import lanes, masks, operators, packed, primitives, sites, slips, variants, widths
from intref.ops.op import Op

Call = tuple[Mapping[str, np.ndarray], dict[str, Any]]  # tensors, complete attributes
MODULES = (variants, slips, widths, sites, masks, packed, primitives, operators, lanes)
PLACE = re.compile(r" \d+ of \d+")
SIZE = 47  # of an enlarged axis: its last tile of 4, 8, 16 or 32 is partial, and long enough to be out of order
AXES = ((-1,), (-2,), (-1, -2))
LARGEST = 1 << 14  # elements of a call that is enlarged


def kind(words: str) -> str:
    """A fault without the place that it is at."""
    return PLACE.sub("", words)


def applying(op: Op, calls: Iterable[Call]) -> set[str]:
    """The kinds that apply to any of these calls."""
    return {kind(words) for tensors, attrs in calls for words, _ in variants.lazily(op, tensors, attrs)}


def unseen(op: Op, calls: Sequence[Call], seen: set[str] | None = None) -> list[str]:
    """The kinds that apply to a larger call of the op, and to none of these. seen: those that apply, if known."""
    known = applying(op, calls) if seen is None else seen
    return sorted(applying(op, _enlarged(op, calls)) - known)


def _enlarged(op: Op, calls: Sequence[Call]) -> Iterator[Call]:
    """The smallest call with each choice of attributes, one of its last two axes enlarged, or both."""
    least: dict[tuple[str, ...], Call] = {}
    for tensors, attrs in sorted(calls, key=lambda call: sum(t.size for t in call[0].values())):
        if sum(t.size for t in tensors.values()) <= LARGEST:
            ranks = [str(t.ndim) for t in tensors.values()]
            choices = [str(attrs[name]) for name, attr in op.attrs.items() if attr.choices]
            least.setdefault((*ranks, *choices), (tensors, attrs))
    for tensors, attrs in least.values():
        for axes in AXES:
            larger = _larger(op, tensors, axes)
            try:
                yield larger, op.check(larger, attrs)
            except IntrefError:
                continue  # heads that do not divide it, say


def _larger(op: Op, tensors: Mapping[str, np.ndarray], axes: Sequence[int]) -> dict[str, np.ndarray]:
    """Some axes of the first input SIZE long, its elements repeated, and all other axes of the same names with them."""
    first = next(iter(tensors))
    names = _names(op, first, tensors[first])
    wanted = {names[axis] for axis in axes if -axis <= len(names)}
    made = {}
    for port, t in tensors.items():
        made[port] = t
        for axis, name in enumerate(_names(op, port, t)):
            if name in wanted:
                made[port] = made[port].take(np.arange(SIZE) % t.shape[axis], axis)
    return made


def _names(op: Op, port: str, t: np.ndarray) -> list[str]:
    """The axes of a tensor by name, leading ones counted from the last."""
    form = op.inputs[port].form(t.ndim) or ()
    lead = sum(axis.startswith(".") for axis in form)
    return [f"lead {lead - i}" if axis.startswith(".") else axis for i, axis in enumerate(form)]


def idle(applied: set[str]) -> list[str]:
    """What the catalogue declares, as patterns, and no kind of these is: a fault that nothing is ever asked for."""
    texts = "\n".join(sorted(applied))
    return sorted(pattern for pattern in declared() if not re.search(pattern, texts, re.MULTILINE))


def declared() -> set[str]:
    """Every fault of the catalogue as a pattern of its words: rows of tables, and what its sources yield."""
    rows = {f"^{re.escape(f'{name}: {wrong.words}')}$" for _, name, wrong in _rows()}
    moves = {f"^{re.escape(words)}$" for words, *_ in lanes.moves()}
    return rows | moves | {pattern for module in MODULES for pattern in _yielded(module)}


def _rows() -> Iterator[tuple[Any, str, Any]]:
    tables: Mapping[Any, Any] = {**primitives.WRONG, **operators.WRONG}
    for word, (name, wrongs) in tables.items():
        for wrong in wrongs:
            yield word, name, wrong


def _yielded(module: ModuleType) -> Iterator[str]:
    """The texts that a module yields first in a tuple; what is filled in may be anything."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Yield) and isinstance(node.value, ast.Tuple):
            text = node.value.elts[0]
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                yield re.escape(text.value)
            elif isinstance(text, ast.JoinedStr):
                parts = [re.escape(str(p.value)) if isinstance(p, ast.Constant) else ".*" for p in text.values]
                yield kind("".join(parts))
