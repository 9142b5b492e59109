"""An op's own body with an ear at every expression: what each word of the vocabulary and each operator was given.

The body's syntax tree is taken as it stands and every such expression becomes a call of `heard`, which computes the
same thing and then tells a listener. Nothing is computed a second way, so what is listened to is the reference.
"""

# The vocabulary of op bodies is not typed.
# mypy: allow-untyped-calls

import ast
import inspect
import operator
import textwrap
import types
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np

from intref import intmath
from intref.ops import OPS, Op
from intref.ops.op import parts

Arrays = dict[str, Any]
Listener = Callable[["Site", tuple[Any, ...], Any], None]

# Each word, by the kind of bins that it has; by identity, because a body may import a word under another name.
WORDS: dict[Callable[..., Any], str] = {
    intmath.mul_shift: "mul_shift",
    intmath.divide: "divide",
    intmath.shift_half_up: "shift_half_up",
    intmath.div_half_up: "div_half_up",
    intmath._round: "round",
    intmath.saturate: "clip",
    intmath.maximum: "order",
    intmath.minimum: "order",
    intmath.square: "product",
    intmath.matmul: "sum",
    intmath.accumulate: "register",
    intmath.sum_along: "sum",
    intmath.running_sum: "sum",
    intmath.sum_fp32: "value",
    intmath.max_along: "peak",
    intmath.running_max: "scan",
    intmath.absolute: "sign",
    intmath.isqrt: "root",
    intmath.bitlen: "value",
    intmath.wrap_int32: "wrap",
    intmath.wrap: "wrap",
    intmath.where: "choice",
    intmath.take: "index",
    intmath.within: "lemma",
}
INNER = (intmath.scale_fp32, intmath._significand24)  # words with roundings of their own inside
OPERATORS: dict[type, tuple[Callable[..., Any], str]] = {
    ast.RShift: (operator.rshift, "shift_down"),
    ast.FloorDiv: (operator.floordiv, "divide_down"),
    ast.LShift: (operator.lshift, "shift_left"),
    ast.Mult: (operator.mul, "product"),
    ast.BitAnd: (operator.and_, "value"),
}
COMPARISONS: dict[type, Callable[..., Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
}


@dataclass(frozen=True, eq=False)
class Site:
    """One expression of a body: its source text, unique in the op, and the kind of bins it has."""

    text: str
    kind: str
    inner: bool = False  # inside a word, where bounds do not look


@dataclass(eq=False)
class _Ear(ast.NodeTransformer):
    """Turns every expression that has bins into heard(site, function, *arguments)."""

    names: Mapping[str, Any]  # what the body's names stand for
    prefix: str
    hidden: bool  # a word's own inside, where bounds do not look
    parts: Collection[Callable[..., Any]]  # functions of the body's own file
    sites: dict[str, Site] = field(default_factory=dict)
    functions: dict[str, Callable[..., Any]] = field(default_factory=dict)
    inner: list[Callable[..., Any]] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)

    def _hear(self, node: ast.expr, kind: str, function: Callable[..., Any], args: list[ast.expr]) -> ast.expr:
        text = self.prefix + ast.unparse(node)
        self.seen[text] += 1
        if self.seen[text] > 1:
            text += f" #{self.seen[text]}"
        self.sites[text] = Site(text, kind, self.hidden)
        self.functions[text] = function
        heard: list[ast.expr] = [self.visit(arg) for arg in (args[:1] if kind == "lemma" else args)]
        call = ast.Call(ast.Name("heard", ast.Load()), [ast.Constant(text), *heard, *args[len(heard) :]], [])
        return ast.copy_location(call, node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        named = self.names.get(node.func.id) if isinstance(node.func, ast.Name) else None
        if callable(named) and named in WORDS:
            return self._hear(node, WORDS[named], named, node.args)
        if callable(named) and (named in INNER or named in self.parts):
            self.inner.append(named)
        return self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        if type(node.op) not in OPERATORS:
            return self.generic_visit(node)
        function, kind = OPERATORS[type(node.op)]
        return self._hear(node, kind, function, [node.left, node.right])

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        if len(node.ops) != 1 or type(node.ops[0]) not in COMPARISONS:
            return self.generic_visit(node)
        return self._hear(node, "compare", COMPARISONS[type(node.ops[0])], [node.left, *node.comparators])


@dataclass(frozen=True, eq=False)
class Body:
    """A body with ears. sites: by text, in the order of the source."""

    op: Op
    sites: dict[str, Site]
    build: Callable[[Listener], Callable[..., Any]]

    def listen(self, tensors: Mapping[str, np.ndarray], attrs: Mapping[str, Any], listener: Listener) -> Arrays:
        """Run one call on int64, telling the listener; {output: value}, uncast. attrs complete."""
        plain = {k for k, a in self.op.attrs.items() if a.structural or a.choices}
        given = {k: v if k in plain else np.array(v, np.int64) for k, v in attrs.items()}
        body = self.build(listener)
        return dict(body(**{k: t.astype(np.int64) for k, t in tensors.items()}, **given))

    def bounds(self, choices: Mapping[str, Any], listener: Listener) -> None:
        """Run on intervals, over all that ports and attributes allow: the listener is told of Intervals."""
        replace(self.op, reference=self.build(listener)).bounds(**choices)


@cache
def body(op_name: str) -> Body:
    """The body of an op with ears."""
    op = OPS[op_name]
    sites: dict[str, Site] = {}
    functions: dict[str, Callable[..., Any]] = {}
    waiting: list[Callable[..., Any]] = [op.reference]
    codes: list[tuple[Callable[..., Any], types.CodeType]] = []
    own = {*parts(op.reference).values()}
    while waiting:  # the body, then its own functions and the words it uses that round inside
        function = waiting.pop()
        hidden = function is not op.reference and function not in own
        prefix = "" if function is op.reference else f"{function.__name__}: "
        ear = _Ear(function.__globals__, prefix, hidden, own)
        codes.append((function, _with_ears(function, ear)))
        sites.update(ear.sites)
        functions.update(ear.functions)
        waiting.extend(
            word for word in ear.inner if all(word is not known for known in (*waiting, *(f for f, _ in codes)))
        )

    def build(listener: Listener) -> Callable[..., Any]:
        space: dict[str, Any] = {"heard": _heard(sites, functions, listener)}
        spaces = [{**function.__globals__} for function, _ in codes]
        for (function, code), seen in zip(codes, spaces):
            exec(code, seen)
            space[function.__name__] = seen[function.__name__]
        for seen in spaces:  # each sees the others as they are with ears
            seen.update(space)
        result: Callable[..., Any] = space[op.name]
        return result

    return Body(op, sites, build)


def _with_ears(function: Callable[..., Any], ear: _Ear) -> types.CodeType:
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return compile(ast.fix_missing_locations(ear.visit(tree)), f"<{function.__name__} with ears>", "exec")


def _heard(
    sites: Mapping[str, Site], functions: Mapping[str, Callable[..., Any]], listener: Listener
) -> Callable[..., Any]:
    def heard(text: str, *args: Any) -> Any:
        result = functions[text](*args)
        if any(hasattr(arg, "shape") for arg in args):
            listener(sites[text], tuple(getattr(arg, "value", arg) for arg in args), getattr(result, "value", result))
        return result

    return heard
