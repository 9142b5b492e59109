"""The cross constraints of ops as C: the functions that say whether they hold are read, as the bodies of ops are.

Numbers stay int64_t where their proved range allows it, else they are `wide` (vocabulary.c), so that every rule is
decided exactly. A rule whose function uses anything else is Unsupported: c_function then says that it is not checked.
"""

import ast
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from functools import cache
from itertools import pairwise
from math import prod
from typing import Any

from intref.emit.contract import Contract
from intref.emit.nodes import MAX_SIZE
from intref.emit.quantities import (
    Choice,
    Condition,
    Dtype,
    Elements,
    Given,
    Neighbours,
    Peaks,
    Sizes,
    Term,
    arithmetic,
    compared,
    either,
    negated,
    size_of,
    together,
)
from intref.errors import Unsupported
from intref.intmath import maximum, minimum
from intref.ops.op import Port, dtype_range

SYMBOLS: dict[type[ast.AST], str] = {
    **{ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.FloorDiv: "//", ast.Mod: "%", ast.LShift: "<<"},
    **{ast.RShift: ">>", ast.BitAnd: "&", ast.Pow: "**", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="},
    **{ast.Eq: "==", ast.NotEq: "!="},
}


def rule(contract: Contract, holds: Callable[..., Any]) -> tuple[list[str], bool | Condition]:
    """Lines of C that prepare for it, and the condition under which the rule of an op holds, or what it always is."""
    lines: list[str] = []
    tensors = {port: Given(contract, i, port) for i, port in enumerate(contract.op.inputs)}
    attrs = {name: _attribute(contract, name) for name in contract.op.attrs}
    node, globals_ = _parsed(holds), holds.__globals__
    names = [a.arg for a in node.args.args]
    found = _Reader(dict(zip(names, (tensors, attrs))), globals_, lines).result(node)
    condition = truth(found)
    return used([*dict.fromkeys(lines)], condition.text if isinstance(condition, Condition) else ""), condition


def used(lines: list[str], text: str) -> list[str]:
    """The lines without variables that nothing reads."""
    kept: list[str] = []
    for line in reversed(lines):
        name = re.match(r"(?:const int64_t|int) (\w+) =", line)
        if name is None or re.search(rf"\b{name[1]}\b", "\n".join([*kept, text])):
            kept.insert(0, line)
    return kept


def truth(value: Any) -> bool | Condition:
    if isinstance(value, (bool, Condition)):
        return value
    raise Unsupported(f"a condition of type {type(value).__name__}")


def _attribute(contract: Contract, name: str) -> Any:
    attr = contract.op.attrs[name]
    if name in contract.fixed:
        return contract.fixed[name]
    outputs = [i for i, port in enumerate(contract.op.outputs.values()) if port.dtype == name]
    if attr.choices:
        return Choice(name, Dtype(f"out[{outputs[0]}].dtype") if outputs else None)
    return Term(name, attr.low, attr.high)


@cache
def _module(filename: str) -> ast.Module:
    with open(filename, encoding="utf-8") as file:
        return ast.parse(file.read())


def _parsed(function: Callable[..., Any]) -> ast.FunctionDef | ast.Lambda:
    """The source of a function or lambda: found by its line, where no other begins."""
    line = function.__code__.co_firstlineno
    nodes = ast.walk(_module(inspect.getsourcefile(function) or ""))
    found = [n for n in nodes if isinstance(n, (ast.FunctionDef, ast.Lambda)) and n.lineno == line]
    if len(found) != 1:
        raise Unsupported("several functions on one line")
    return found[0]


class _Reader:
    """The variables of one function while it is read; lines: the C that must stand before its result."""

    def __init__(self, variables: dict[str, Any], globals_: Mapping[str, Any], lines: list[str]):
        self.variables, self.globals, self.lines = variables, globals_, lines

    def result(self, node: ast.FunctionDef | ast.Lambda) -> Any:
        return self.value(node.body) if isinstance(node, ast.Lambda) else self._statements(node.body)

    def _statements(self, statements: list[ast.stmt]) -> Any:
        for i, statement in enumerate(statements):
            if isinstance(statement, ast.Return) and statement.value:
                return self.value(statement.value)
            if isinstance(statement, ast.If):
                return self._branch(statement, statements[i + 1 :])
            if isinstance(statement, ast.Assign):
                self._assign(statement.targets[0], self.value(statement.value))
            elif not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
                self.refuse(statement)
        raise Unsupported("a function without a result")

    def _branch(self, statement: ast.If, rest: list[ast.stmt]) -> Any:
        test = truth(self.value(statement.test))
        if isinstance(test, bool):
            return self._statements([*(statement.body if test else statement.orelse), *rest])
        yes, no = (truth(self._statements([*part, *rest])) for part in (statement.body, statement.orelse))
        return together([either([negated(test), yes]), either([test, no])])

    def _assign(self, target: ast.expr, value: Any) -> None:
        if isinstance(target, ast.Name):
            self.variables[target.id] = value
        elif isinstance(target, ast.Tuple):
            for part, item in zip(target.elts, value, strict=True):
                self._assign(part, item)
        else:
            self.refuse(target)

    def refuse(self, node: ast.AST) -> Any:
        raise Unsupported(f"no C for `{' '.join(ast.unparse(node).split())}`")

    def value(self, e: ast.expr) -> Any:
        method = getattr(self, f"_{type(e).__name__.lower()}", None)
        return self.refuse(e) if method is None else method(e)

    def _constant(self, e: ast.Constant) -> Any:
        return e.value

    def _name(self, e: ast.Name) -> Any:
        known = {**_BUILTINS, **self.globals, **self.variables}
        return known[e.id] if e.id in known else self.refuse(e)

    def _tuple(self, e: ast.Tuple | ast.List) -> list[Any]:
        return [self.value(part) for part in e.elts]

    _list = _tuple

    def _set(self, e: ast.Set) -> tuple[Any, ...]:
        return tuple(dict.fromkeys(self.value(part) for part in e.elts))  # in order, so that the C is always the same

    def _joinedstr(self, e: ast.JoinedStr) -> str:
        return "".join(self.value(p.value if isinstance(p, ast.FormattedValue) else p) for p in e.values)

    def _boolop(self, e: ast.BoolOp) -> bool | Condition:
        parts = [truth(self.value(part)) for part in e.values]
        return together(parts) if isinstance(e.op, ast.And) else either(parts)

    def _unaryop(self, e: ast.UnaryOp) -> Any:
        value = self.value(e.operand)
        if isinstance(e.op, ast.Not):
            return negated(truth(value))
        return arithmetic("-", 0, value) if isinstance(e.op, ast.USub) else self.refuse(e)

    def _binop(self, e: ast.BinOp) -> Any:
        symbol, left, right = SYMBOLS.get(type(e.op)) or self.refuse(e), self.value(e.left), self.value(e.right)
        if isinstance(left, Given) and symbol == "&" and type(right) is int:
            return Peaks((left,), mask=right)
        return arithmetic(symbol, left, right)

    def _compare(self, e: ast.Compare) -> bool | Condition:
        values = [self.value(part) for part in (e.left, *e.comparators)]
        return together([self._pair(op, a, b, e) for op, a, b in zip(e.ops, values, values[1:])])

    def _pair(self, op: ast.cmpop, a: Any, b: Any, e: ast.expr) -> bool | Condition:
        if isinstance(op, (ast.In, ast.NotIn)):
            found = either([compared("==", a, item) for item in b])
            return found if isinstance(op, ast.In) else negated(found)
        if isinstance(a, tuple) and isinstance(op, ast.LtE):
            return together([either([compared("==", item, other) for other in b]) for item in a])
        if isinstance(a, list) and isinstance(op, ast.Eq):
            return together([compared("==", x, y) for x, y in zip(a, b, strict=True)])
        return compared(SYMBOLS.get(type(op)) or self.refuse(e), a, b)

    def _ifexp(self, e: ast.IfExp) -> Any:
        test = truth(self.value(e.test))
        if isinstance(test, bool):
            return self.value(e.body if test else e.orelse)
        yes, no = self.value(e.body), self.value(e.orelse)
        return yes if isinstance(yes, Elements) and yes == no else self.refuse(e)

    def _generatorexp(self, e: ast.GeneratorExp | ast.ListComp) -> Any:
        loop = e.generators[0]
        items = self.value(loop.iter)
        if isinstance(items, Elements):
            return items.whole(self._inside(loop.target, items.terms(), e.elt))
        if len(e.generators) > 1:
            rest = ast.GeneratorExp(e.elt, e.generators[1:])
            return [v for item in items for v in self._inside(loop.target, item, rest)]
        return [self._inside(loop.target, item, e.elt) for item in items]

    _listcomp = _generatorexp

    def _dictcomp(self, e: ast.DictComp) -> dict[Any, Any]:
        loop = e.generators[0]
        items = self.value(loop.iter)
        return {self._inside(loop.target, i, e.key): self._inside(loop.target, i, e.value) for i in items}

    def _inside(self, target: ast.expr, item: Any, e: ast.expr) -> Any:
        inner = _Reader({**self.variables}, self.globals, self.lines)
        inner._assign(target, item)
        return inner.value(e)

    def _attribute(self, e: ast.Attribute) -> Any:
        value = self.value(e.value)
        if e.attr in ("shape", "dtype") and isinstance(value, Given):
            return getattr(value, e.attr)
        return self.refuse(e)

    def _subscript(self, e: ast.Subscript) -> Any:
        value = self.value(e.value)
        if isinstance(value, Given):
            return value.last() if ast.unparse(e.slice) == "(:, -1)" else self.refuse(e)
        return value[self.value(e.slice)]

    def _call(self, e: ast.Call) -> Any:
        if isinstance(e.func, ast.Attribute):
            return self._method(e, e.func.attr, self.value(e.func.value))
        function = self.value(e.func)
        args = [self.value(a) for a in e.args]
        if function is hasattr:
            return False  # the C is given arrays, and nothing else
        if function in _KNOWN:
            return _KNOWN[function](self.lines, *args)
        return self._called(function, args) if inspect.isfunction(function) and not e.keywords else self.refuse(e)

    def _called(self, function: Any, args: list[Any]) -> Any:
        bound = inspect.signature(function).bind(*args)
        bound.apply_defaults()
        return _Reader(dict(bound.arguments), function.__globals__, self.lines).result(_parsed(function))

    def _method(self, e: ast.Call, name: str, value: Any) -> Any:
        if isinstance(value, Given) and name in ("min", "max"):
            return value.extreme(name, self.lines)
        if isinstance(value, Given) and name == "ravel":
            return Elements((value,))
        if isinstance(value, Peaks) and (name == "ravel" or ast.unparse(e).endswith(".max(axis=-1, keepdims=True)")):
            return value
        if isinstance(value, dict) and name == "items":
            return [[*pair] for pair in value.items()]
        if isinstance(value, Port) and name == "range":
            return _dtype_ends([], self.value(e.args[0]))
        return self.refuse(e)


def _dtype_ends(lines: list[str], dtype: Any) -> list[Any]:
    """dtype_range of a dtype that only the call tells."""
    if isinstance(dtype, str):
        return [*dtype_range(dtype)]
    found = dtype.dtype if isinstance(dtype, Choice) else dtype
    if not isinstance(found, Dtype):
        raise Unsupported("the range of what is no dtype")
    low, high = dtype_range("int64")
    return [Term(f"{end}({found.text})", low, high) for end in ("lowest", "highest")]


def _all(lines: list[str], values: Any) -> bool | Condition:
    if isinstance(values, Elements):
        return values.every(lines)
    return together([truth(v) for v in values])


def _extreme(name: str) -> Callable[..., Any]:
    def found(lines: list[str], first: Any, *others: Any) -> Any:
        for other in others:
            first = arithmetic(name, first, other)
        return first

    return found


def _same(lines: list[str], value: Any) -> Any:
    return value


def _pairwise(lines: list[str], value: Any) -> Neighbours:
    if not isinstance(value, Given):
        raise Unsupported("neighbours of what is no input")
    return Neighbours((value,))


def _prod(lines: list[str], value: Any) -> Term:
    if not isinstance(value, Sizes):
        raise Unsupported("the product of what are no sizes")
    return Term(f"leading({value.of.text}, 0)", 1, MAX_SIZE)


def _zip(lines: list[str], *items: Iterable[Any]) -> Any:
    if all(isinstance(item, Elements) for item in items):
        return Elements(tuple(g for item in items if isinstance(item, Elements) for g in item.of))
    return [[*pair] for pair in zip(*items, strict=True)]


# `lines` first, which most of them leave alone.
_KNOWN: dict[Any, Callable[..., Any]] = {
    **{max: _extreme("maximum"), min: _extreme("minimum"), maximum: _extreme("maximum")},
    **{minimum: _extreme("minimum"), abs: lambda lines, x: arithmetic("absolute", x, 0)},
    **{len: lambda lines, x: size_of(x), int: _same, str: _same, bool: _same, set: _same, all: _all, zip: _zip},
    **{pairwise: _pairwise, prod: _prod},
    Fraction: _same,
    **{dtype_range: _dtype_ends, Port: lambda lines, dtype, axes: Port("int64", "")},
}
_BUILTINS = {f.__name__: f for f in (max, min, abs, len, int, str, bool, set, all, zip, hasattr)}
