"""Every small bug that an op's body could have, made from its syntax tree."""

import ast
import inspect
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from intref import intmath

OPERATORS: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
}
COMPARISONS: dict[type, tuple[type, ...]] = {
    ast.Eq: (ast.NotEq,),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Lt: (ast.LtE, ast.Gt),
}
PRIMITIVES = {
    "maximum": "minimum",
    "minimum": "maximum",
    "sum_along": "max_along",
    "max_along": "sum_along",
    "running_sum": "running_max",
    "running_max": "running_sum",
    "square": "absolute",
    "isqrt": "bitlen",
}
ROUNDED = {"div_half_up": ast.FloorDiv, "shift_half_up": ast.RShift}
# The arguments that may stand for the whole call; the first one, for a word not listed.
PASSED = {"maximum": (0, 1), "minimum": (0, 1), "where": (1, 2), "within": ()}
Mutant = tuple[str, Callable[..., Any]]


def mutants(body: Callable[..., Any], texts: set[str]) -> Iterator[Mutant]:
    """(what changed, mutated function) for every replacement of every expression. Lemmas are off: a device has none.

    texts: the arguments that are strings, which no arithmetic changes.
    """
    tree = ast.parse(textwrap.dedent(inspect.getsource(body)))
    function = tree.body[0]
    assert isinstance(function, ast.FunctionDef)
    del function.body[0]  # the docstring
    used = words(function)
    seen: Counter[str] = Counter()
    for statement in [n for n in ast.walk(function) if isinstance(n, ast.stmt) and n is not function]:
        if isinstance(statement, ast.Assign) and not words(*statement.targets, context=ast.Store) & used:
            continue  # it serves lemmas alone
        line = ast.unparse(statement).splitlines()[0]
        for holder, key in list(slots(statement)):
            old = holder[key]
            for new in replacements(old, texts):
                holder[key] = new
                name = f"{ast.unparse(old)} -> {ast.unparse(new)} in {line}"
                seen[name] += 1
                space = vars(intmath) | body.__globals__ | {"within": lambda x, low, high: x}
                exec(compile(ast.fix_missing_locations(tree), "mutant", "exec"), space)
                yield f"{name} #{seen[name]}" if seen[name] > 1 else name, space[body.__name__]
            holder[key] = old


def words(*nodes: ast.AST, context: type = ast.Load) -> set[str]:
    """The names that these trees read (or store), lemmas' ends left out."""
    ends = {id(n) for node in nodes for call in ast.walk(node) for end in lemma_ends(call) for n in ast.walk(end)}
    found = (n for node in nodes for n in ast.walk(node) if isinstance(n, ast.Name) and id(n) not in ends)
    return {n.id for n in found if isinstance(n.ctx, context)}


def lemma_ends(node: ast.AST) -> list[ast.expr]:
    """The ends of `within`: they set no bit."""
    match node:
        case ast.Call(ast.Name("within"), [_, *ends]):
            return ends
    return []


def slots(node: ast.AST) -> Iterator[tuple[Any, Any]]:
    """Where the expressions below node are held: a list or a node's fields, and the key."""
    for field, value in ast.iter_fields(node):
        if isinstance(node, ast.Attribute) and isinstance(value, ast.Name):
            continue  # an element more or less has the same shape
        places = [(value, i) for i in range(len(value))] if isinstance(value, list) else [(vars(node), field)]
        for holder, key in places:
            child = holder[key]
            if isinstance(child, (ast.stmt, ast.expr_context)) or isinstance(getattr(child, "ctx", None), ast.Store):
                continue
            if isinstance(child, ast.AST) and child not in lemma_ends(node):
                if isinstance(child, ast.expr) and field not in ("keys", "func"):
                    yield holder, key
                yield from slots(child)


def replacements(node: ast.AST, texts: set[str]) -> Iterator[ast.expr]:
    """What may stand in an expression's place."""
    match node:
        case ast.BinOp(left, op, right):
            if swapped := OPERATORS.get(type(op)):
                yield ast.BinOp(left, swapped(), right)
            yield from (left, right)
        case ast.UnaryOp(ast.USub(), operand):
            yield operand
        case ast.Compare(left, [op], right):
            yield from (ast.Compare(left, [other()], right) for other in COMPARISONS[type(op)])
        case ast.IfExp(_, one, other):
            yield from (one, other)
        case ast.Constant(int(value)):
            yield from (ast.Constant(value + 1), ast.Constant(value - 1))
        case ast.Constant(str(rule)) if rule in intmath.ROUNDS_UP:
            yield from (ast.Constant(other) for other in intmath.ROUNDS_UP if other != rule)
        case ast.Name(word) if word not in texts:
            yield from (ast.BinOp(node, op(), ast.Constant(1)) for op in (ast.Add, ast.Sub))
        case ast.Call(ast.Name(word), args):
            yield from of_call(word, args)


def of_call(word: str, args: list[ast.expr]) -> Iterator[ast.expr]:
    """Another primitive, one argument alone, one clip side alone."""
    if word in PRIMITIVES:
        yield called(PRIMITIVES[word], args)
    if word in ROUNDED:
        yield ast.BinOp(args[0], ROUNDED[word](), args[1])
    if word == "saturate":
        yield called("maximum", args[:2])
        yield called("minimum", args[::2])
    yield from (args[i] for i in PASSED.get(word, (0,)))


def called(word: str, args: list[ast.expr]) -> ast.expr:
    return ast.Call(ast.Name(word, ast.Load()), args, [])
