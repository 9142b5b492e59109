"""Every small change of a function's syntax tree: what a mechanical mutant is made of."""

import ast
from collections import Counter
from collections.abc import Iterator
from typing import Any

from intref import intmath

OPERATORS: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Add,),
    ast.FloorDiv: (ast.Mult,),
    ast.LShift: (ast.RShift,),
    ast.RShift: (ast.LShift,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
    ast.BitXor: (ast.BitOr,),
    ast.Mod: (ast.FloorDiv,),
    ast.Pow: (ast.Mult,),
}
ORDERED = (ast.Sub, ast.FloorDiv, ast.Mod, ast.LShift, ast.RShift, ast.Pow)
COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
}
PRIMITIVES = {
    "maximum": "minimum",
    "minimum": "maximum",
    "sum_along": "max_along",
    "sum_fp32": "max_along",
    "max_along": "sum_along",
    "running_sum": "running_max",
    "running_max": "running_sum",
    "square": "absolute",
    "isqrt": "bitlen",
}
ROUNDED: dict[str, type[ast.operator]] = {"div_half_up": ast.FloorDiv, "shift_half_up": ast.RShift}
# The arguments that may stand for the whole call; the first one, for a word not listed.
PASSED = {"maximum": (0, 1), "minimum": (0, 1), "where": (1, 2), "within": ()}
EXCHANGED = {"where": (1, 2), "saturate": (1, 2), "take": (0, 1), "mul_shift": (1, 2), "swap": (), "divide": (0, 1)}
EXCHANGED |= {"div_half_up": (0, 1), "shift_half_up": (0, 1)}
WAY = {"_is_int": "body", "hasattr": "orelse"}  # which side of such a choice an int64 run takes


def changes(function: ast.FunctionDef, texts: set[str]) -> Iterator[tuple[str, ast.FunctionDef]]:
    """(what changed, the changed tree: valid until the next one is asked for) of every change."""
    used, seen = words(function), Counter[str]()
    function.body = [s for s in function.body if not chooses_a_way(s)]
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
                yield f"{name} #{seen[name]}" if seen[name] > 1 else name, function
            holder[key] = old
    yield from _left_out(function)


def chooses_a_way(node: ast.AST) -> bool:
    """Whether a number type is asked for, where both ways give the same bits."""
    test = getattr(node, "test", None)
    return test is not None and any(word in ast.unparse(test) for word in ("_is_int64", "hasattr"))


def _left_out(function: ast.FunctionDef) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Every assignment to names that were bound before, left out."""
    bound = {a.arg for a in (*function.args.args, *function.args.kwonlyargs)}
    for block in [n for n in ast.walk(function) if isinstance(n, ast.FunctionDef | ast.If | ast.For)]:
        for i, statement in enumerate(block.body):
            if not isinstance(statement, ast.Assign):
                continue
            stored = words(*statement.targets, context=ast.Store)
            if stored <= bound and not lemma_ends(statement.value):
                block.body[i] = ast.Pass()
                yield f"left out: {ast.unparse(statement)}", function
                block.body[i] = statement
            bound |= stored


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
        if isinstance(node, ast.IfExp) and chooses_a_way(node) and field != WAY[ast.unparse(node.test)[:7]]:
            continue
        places: list[tuple[Any, Any]] = [(vars(node), field)]
        if isinstance(value, list):
            places = [(value, i) for i in range(len(value))]
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
        case ast.Constant():
            yield from _other_constants(node)
        case ast.BinOp(left, op, right):
            yield from (ast.BinOp(left, other(), right) for other in OPERATORS.get(type(op), ()))
            yield from (left, right)
            if isinstance(op, ORDERED):
                yield ast.BinOp(right, op, left)
        case ast.UnaryOp(_, operand):
            yield operand
        case ast.Compare(left, ops, comparators):
            yield from (ast.Compare(left, changed, comparators) for changed in _compared(ops))
        case ast.BoolOp(op, values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
            yield from values
        case ast.IfExp(_, one, other) if not chooses_a_way(node):
            yield from (one, other)
        case ast.Name(word) if word not in texts:
            yield from (ast.BinOp(node, op(), ast.Constant(1)) for op in (ast.Add, ast.Sub))
            yield ast.UnaryOp(ast.USub(), node)
        case ast.Subscript(value):
            yield value
        case ast.Dict(keys, values) if len(values) > 1:
            yield from (ast.Dict(keys, [*values[i:], *values[:i]]) for i in range(1, len(values)))
        case ast.Call(ast.Name(word), args):
            yield from of_call(word, args)


def _other_constants(node: ast.Constant) -> Iterator[ast.expr]:
    match node.value:
        case bool(value):
            yield ast.Constant(not value)
        case int(value):
            yield from (ast.Constant(value + 1), ast.Constant(value - 1))
        case str(rule) if rule in intmath.ROUNDS_UP:
            yield from (ast.Constant(other) for other in intmath.ROUNDS_UP if other != rule)


def _compared(ops: list[ast.cmpop]) -> Iterator[list[ast.cmpop]]:
    """Every comparison of a chain by another one, the rest as they are."""
    for i, op in enumerate(ops):
        yield from ([*ops[:i], other(), *ops[i + 1 :]] for other in COMPARISONS.get(type(op), ()))


def of_call(word: str, args: list[ast.expr]) -> Iterator[ast.expr]:
    """Another primitive, one argument alone, one clip side alone, two arguments exchanged."""
    if word in PRIMITIVES:
        yield called(PRIMITIVES[word], args)
    if word in ROUNDED:
        yield ast.BinOp(args[0], ROUNDED[word](), args[1])
    if word == "saturate":
        yield called("maximum", args[:2])
        yield called("minimum", args[::2])
    yield from (args[i] for i in PASSED.get(word, (0,)) if i < len(args))
    if len(pair := EXCHANGED.get(word, ())) == 2:
        one, two = pair
        order = [*args]
        order[one], order[two] = args[two], args[one]
        yield called(word, order)


def called(word: str, args: list[ast.expr]) -> ast.expr:
    return ast.Call(ast.Name(word, ast.Load()), args, [])
