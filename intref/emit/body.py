"""Reads the body of an op, statement by statement, into nodes: one result for each way through its conditions.

It takes what op bodies are made of: assignments, operators, indexing, functions of intmath, other functions of the
house, and conditions on named rules or on the number of an input's axes. Anything else is Unsupported, by its line.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType
from typing import Any

from intref.emit import arithmetic, calls, layout
from intref.emit.contract import Contract
from intref.emit.nodes import Node, Tensor, aligned, const, interval
from intref.emit.values import Choice, Forms, Rank, hold, tensor
from intref.errors import Unsupported

SYMBOLS: dict[type[ast.AST], str] = {
    **{ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.FloorDiv: "//", ast.Mod: "%", ast.LShift: "<<"},
    **{ast.RShift: ">>", ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.Lt: "<", ast.LtE: "<="},
    **{ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="},
}


@dataclass(frozen=True)
class Path:
    """One way through a body: what was decided, as (attribute, value, whether it is that), and the outputs."""

    decisions: tuple[tuple[str, str, bool], ...]
    outputs: dict[str, Tensor]
    contract: Contract


def paths(op: Any, fixed: Mapping[str, Any]) -> list[Path]:
    """Every way through the body of an op, some attributes fixed."""
    found: list[Path] = []
    todo: list[tuple[bool, ...]] = [()]
    while todo:
        reader = _Reader(Contract(op, fixed), todo.pop())
        outputs = reader.run()
        found.append(Path(tuple(reader.decided), outputs, reader.contract))
        taken = tuple(answer for _, _, answer in reader.decided)
        todo += [(*taken[:i], False) for i in range(len(reader.answers), len(taken))]
    return found


@dataclass
class _Reader:
    """One run through a body; answers: what the first conditions on attributes are, true beyond them."""

    contract: Contract
    answers: tuple[bool, ...]
    decided: list[tuple[str, str, bool]] = field(default_factory=list)
    assumed: dict[str, int] = field(default_factory=dict)  # port -> the number of dimensions it is read with

    def run(self) -> dict[str, Tensor]:
        op, fixed = self.contract.op, self.contract.fixed
        given: dict[str, Any] = {port: self._input(port) for port in op.inputs}
        for name, attr in op.attrs.items():
            if attr.choices:
                given[name] = fixed.get(name) or Choice(name, attr.choices)
            else:
                given[name] = Tensor(self.contract.attribute(name))
        returned = self.called(op.reference, [], given)
        return {name: tensor(value) for name, value in returned.items()}

    def _input(self, port: str) -> Any:
        forms = self.contract.forms(port)
        return Forms(port, forms) if len(forms) > 1 else next(iter(forms.values()))

    def called(self, function: Any, args: list[Any], named: dict[str, Any]) -> Any:
        """What a Python function returns on nodes."""
        bound = inspect.signature(function).bind(*args, **named)
        bound.apply_defaults()
        return _Frame(self, dict(bound.arguments), function).body(_parsed(function).body)

    def decide(self, choice: Choice, value: str) -> bool:
        """Whether an attribute is a value: as known, or as this run is to take it."""
        left = self.left(choice)
        if value not in left or left == (value,):
            return value in left
        answer = self.answers[len(self.decided)] if len(self.decided) < len(self.answers) else True
        self.decided.append((choice.name, value, answer))
        return answer

    def left(self, choice: Choice) -> tuple[str, ...]:
        """What an attribute may still be."""
        known = tuple(v for name, v, answer in self.decided if name == choice.name and answer)
        denied = {v for name, v, answer in self.decided if name == choice.name and not answer}
        return known or tuple(v for v in choice.values if v not in denied)


@cache
def _parsed(function: Callable[..., Any]) -> ast.FunctionDef:
    found = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    if not isinstance(found, ast.FunctionDef):
        raise Unsupported(f"{function.__name__}: expected a function")
    return found


class _Frame:
    """The variables of one function while its statements are read."""

    def __init__(self, reader: _Reader, variables: dict[str, Any], function: Any):
        self.reader, self.variables = reader, variables
        self.contract, self.function = reader.contract, function

    def body(self, statements: list[ast.stmt]) -> Any:
        """What the statements return; None if they only go on."""
        for statement in statements:
            if isinstance(statement, ast.Return):
                return self.value(statement.value) if statement.value else None
            if isinstance(statement, ast.If):
                taken = statement.body if self._condition(statement.test) else statement.orelse
                if (returned := self.body(taken)) is not None:
                    return returned
            elif isinstance(statement, ast.For) and not statement.orelse:
                if (returned := self._unrolled(statement)) is not None:
                    return returned
            else:
                self._plain(statement)
        return None

    def _unrolled(self, statement: ast.For) -> Any:
        """A loop over constants, turn after turn."""
        for item in self.value(statement.iter):
            self._assign(statement.target, item)
            if (returned := self.body(statement.body)) is not None:
                return returned
        return None

    def _plain(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            self._assign(statement.targets[0], self.value(statement.value))
        elif isinstance(statement, ast.AugAssign) and isinstance(statement.target, ast.Name):
            old = self.variables[statement.target.id]
            self._assign(statement.target, self.infix(statement.op, old, self.value(statement.value)))
        elif not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
            self.refuse(statement)

    def refuse(self, node: ast.AST) -> Any:
        text = " ".join(ast.unparse(node).split())
        raise Unsupported(f"{self.function.__name__}: no C for `{text}`")

    def _assign(self, target: ast.expr, value: Any) -> None:
        if isinstance(target, ast.Tuple):
            self._unpack(target.elts, [*value])
        elif isinstance(target, ast.Name):
            if isinstance(value, Tensor):
                hold(value.node, target.id)
            self.variables[target.id] = value
        else:
            self.refuse(target)

    def _unpack(self, targets: list[ast.expr], values: list[Any]) -> None:
        starred = [i for i, t in enumerate(targets) if isinstance(t, ast.Starred)]
        if starred:
            at, rest = starred[0], len(targets) - starred[0] - 1
            values = [*values[:at], values[at : len(values) - rest], *values[len(values) - rest :]]
        for target, value in zip(targets, values, strict=True):
            self._assign(target.value if isinstance(target, ast.Starred) else target, value)

    def _condition(self, test: ast.expr) -> bool:
        if isinstance(test, ast.Compare) and len(test.ops) == 1:
            choice, other = self.value(test.left), self.value(test.comparators[0])
            if isinstance(choice, (Choice, str)) and isinstance(test.ops[0], (ast.Eq, ast.NotEq)):
                same = self._is(choice, other)
                return same if isinstance(test.ops[0], ast.Eq) else not same
            if isinstance(choice, (Choice, str)) and isinstance(test.ops[0], (ast.In, ast.NotIn)):
                same = any(self._is(choice, value) for value in other)
                return same if isinstance(test.ops[0], ast.In) else not same
        value = self.value(test)
        return bool(value) if isinstance(value, (bool, int)) else self.refuse(test)

    def _is(self, choice: Choice | str, value: str) -> bool:
        return choice == value if isinstance(choice, str) else self.reader.decide(choice, value)

    def value(self, e: ast.expr) -> Any:
        """What an expression is: a Tensor, or a Python value."""
        method = getattr(self, f"_{type(e).__name__.lower()}", None)
        return self.refuse(e) if method is None else method(e)

    def _constant(self, e: ast.Constant) -> Any:
        return e.value

    def _name(self, e: ast.Name) -> Any:
        if e.id in self.variables:
            value = self.variables[e.id]
            if isinstance(value, Forms) and value.port in self.reader.assumed:
                return value.tensors[self.reader.assumed[value.port]]
            return value
        known = {**_BUILTINS, **self.function.__globals__}
        return known[e.id] if e.id in known else self.refuse(e)

    def _tuple(self, e: ast.Tuple) -> list[Any]:
        found: list[Any] = []
        for item in e.elts:
            value = self.value(item.value if isinstance(item, ast.Starred) else item)
            found += value if isinstance(item, ast.Starred) else [value]
        return found

    _list = _tuple

    def _dict(self, e: ast.Dict) -> dict[str, Any]:
        return {self.value(key): self.value(value) for key, value in zip(e.keys, e.values) if key is not None}

    def _slice(self, e: ast.Slice) -> slice:
        parts = (None if part is None else self.value(part) for part in (e.lower, e.upper, e.step))
        return slice(*parts)

    def _ifexp(self, e: ast.IfExp) -> Any:
        test = e.test
        if isinstance(test, ast.Compare) and isinstance(rank := self.value(test.left), Rank):
            ndim = self.value(test.comparators[0])
            if isinstance(rank.of, Forms) and isinstance(test.ops[0], ast.Eq) and len(rank.of.tensors) == 2:
                return self._by_rank(rank.of, ndim, e)
        return self.value(e.body if self._condition(test) else e.orelse)

    def _by_rank(self, forms: Forms, ndim: int, e: ast.IfExp) -> Tensor:
        other = next(n for n in forms.tensors if n != ndim)
        values = []
        for assumed, branch in ((ndim, e.body), (other, e.orelse)):
            self.reader.assumed[forms.port] = assumed
            values.append(tensor(self.value(branch)))
        del self.reader.assumed[forms.port]
        (a, b), places = aligned(*self.contract.align(*values))
        rank = Node("size", (), ("rank", forms.port), interval(1, 8))
        test = arithmetic.infix("==", rank, const(ndim))
        return Tensor(arithmetic.where(test, a, b), places)

    def _unaryop(self, e: ast.UnaryOp) -> Any:
        value = self.value(e.operand)
        if not isinstance(e.op, ast.USub):
            return self.refuse(e)
        return -value if isinstance(value, int) else Tensor(arithmetic.negative(value.node), value.places)

    def _binop(self, e: ast.BinOp) -> Any:
        return self.infix(e.op, self.value(e.left), self.value(e.right))

    def _compare(self, e: ast.Compare) -> Any:
        if len(e.ops) != 1:
            return self.refuse(e)
        return self.infix(e.ops[0], self.value(e.left), self.value(e.comparators[0]))

    def infix(self, op: ast.AST, a: Any, b: Any) -> Any:
        """a op b, of Python values or of tensors."""
        symbol = SYMBOLS.get(type(op))
        if symbol is None:
            raise Unsupported(f"{self.function.__name__}: no C for {type(op).__name__}")
        if not isinstance(a, Tensor) and not isinstance(b, Tensor):
            return arithmetic.OPERATORS[symbol](a, b)
        (x, y), places = self._aligned(a, b)
        return Tensor(arithmetic.infix(symbol, x, y), places)

    def _aligned(self, *values: Any) -> tuple[list[Node], tuple[Any, ...]]:
        return aligned(*self.contract.align(*map(tensor, values)))

    def _attribute(self, e: ast.Attribute) -> Any:
        value = self.value(e.value)
        if isinstance(value, (Tensor, Forms)) and e.attr == "shape":
            return Rank(value) if isinstance(value, Forms) else layout.shape(value)
        if isinstance(value, Tensor) and e.attr == "ndim":
            return self._rank(layout.shape(value))
        return getattr(value, e.attr) if isinstance(value, ModuleType) else self.refuse(e)

    def _subscript(self, e: ast.Subscript) -> Any:
        value, key = self.value(e.value), self.value(e.slice)
        if not isinstance(value, Tensor):
            return value[key]
        return layout.element(value, key if isinstance(e.slice, ast.Tuple) else [key], self.contract)

    def _rank(self, shape: Any) -> Any:
        if isinstance(shape, Rank):
            return shape
        return Rank(shape.of) if isinstance(shape, layout.Shape) and shape.leads else len(shape)

    def _call(self, e: ast.Call) -> Any:
        args = self._tuple(ast.Tuple(e.args))
        named = {k.arg: self.value(k.value) for k in e.keywords if k.arg}
        if isinstance(e.func, ast.Attribute) and isinstance(x := self.value(e.func.value), Tensor):
            return self._method(e, e.func.attr, x, args)
        function = self.value(e.func)
        if function is len:
            return self._rank(args[0])
        if function in _BUILTINS.values():
            return [*function(*args, **named)]
        if function is layout.ARANGE:
            return layout.indices(self.contract, args[0])
        if calls.word(function) is not None:
            known = calls.called(self.contract, self.reader.left, function, args, named)
            return self.reader.called(function, args, named) if known is None else known
        return self.reader.called(function, args, named) if inspect.isfunction(function) else self.refuse(e)

    def _method(self, e: ast.Call, name: str, x: Tensor, args: list[Any]) -> Tensor:
        if name != "reshape":
            return self.refuse(e)
        return layout.reshape(x, args[0] if isinstance(args[0], list) else args, self.contract)


_BUILTINS: dict[str, Any] = {"len": len, "range": range, "zip": zip, "enumerate": enumerate, "reversed": reversed}
