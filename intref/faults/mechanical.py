"""Every small bug that an op's body, or a word of its vocabulary, could have, made from its syntax tree.

A mutant changes one operator, constant, name, comparison, primitive, clip side, axis, index, argument order or
statement. Lemmas (`within`) are off in all of them: a device has none.
"""

# The vocabulary of op bodies is not typed.
# mypy: allow-untyped-calls

import ast
import inspect
import textwrap
import types
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from intref import intmath
from intref.faults.changes import changes, words
from intref.ops.op import parts

Body = Callable[..., Any]
Mutant = tuple[str, Body]
# Words that an int64 run never enters, that only check, or that choose between two equal ways.
NOT_RUN = {"within", "narrow", "_is_int64", "_round_to_24_bits", "_scale_fp32", "_add_fp32", "_bitlen", "_where"}
NOT_RUN |= {"_mul_shift_ufunc", "_divide_ufunc"}


def mutants(body: Body, texts: set[str]) -> Iterator[Mutant]:
    """(what changed, mutated function) for every replacement of every expression and every statement left out.

    texts: the arguments that are strings, which no arithmetic changes. The functions of the body's own file that it is
    made of are changed as it is.
    """
    for name, function in {"": body, **parts(body)}.items():
        where = f"{name}: " if name else ""
        for change, tree in changes(_parsed(textwrap.dedent(inspect.getsource(function))), {*texts, "rule"}):
            yield where + change, _assembled(body, tree)


def _assembled(body: Body, tree: ast.FunctionDef) -> Body:
    """A body, or a function that it is made of, by the tree; lemmas are off."""
    space = vars(intmath) | body.__globals__ | {"within": lambda x, low, high: x}
    _copy_parts(body, space)
    original = body.__globals__[tree.name] if tree.name in space else body
    space[tree.name] = _compiled(tree, space)
    space[tree.name].__defaults__ = original.__defaults__
    if tree.name == body.__name__:
        return space[tree.name]
    return types.FunctionType(body.__code__, space, body.__name__)


def _copy_parts(body: Body, space: dict[str, Any]) -> None:
    """The functions of a body's own file, made to see another vocabulary."""
    for name, part in parts(body).items():
        assert isinstance(part, types.FunctionType)
        space[name] = types.FunctionType(part.__code__, space, name, part.__defaults__)
        space[name].__kwdefaults__ = part.__kwdefaults__


def vocabulary_mutants() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(word, what changed, the whole vocabulary with that change) for every word that computes.

    A vocabulary is {name: function}, as `vars(intmath)`; the table of rounding rules is part of it.
    """
    tree = ast.parse(inspect.getsource(intmath))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name not in NOT_RUN:
            function = _parsed(ast.unparse(node))
            for name, changed in changes(function, {"rule", "axis", "other", "ndim"}):
                yield node.name, name, _vocabulary({node.name: changed})
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ROUNDS_UP":
            yield from _rule_mutants(node.value)


def _rule_mutants(table: ast.expr) -> Iterator[tuple[str, str, dict[str, Any]]]:
    assert isinstance(table, ast.Dict)
    for key, value in zip(table.keys, table.values):
        assert isinstance(key, ast.Constant) and isinstance(key.value, str) and isinstance(value, ast.Lambda)
        function = _parsed(f"def rounds_up({ast.unparse(value.args)}):\n    return {ast.unparse(value.body)}")
        for name, changed in changes(function, set()):
            space = _vocabulary({})
            space["ROUNDS_UP"][key.value] = _compiled(changed, space)
            yield f"ROUNDS_UP[{key.value}]", name, space


def _vocabulary(changed: dict[str, ast.FunctionDef]) -> dict[str, Any]:
    """intmath over again, its functions calling one another's copies, some of them changed."""
    space: dict[str, Any] = dict(vars(intmath))
    for name, value in vars(intmath).items():
        if isinstance(value, types.FunctionType) and value.__module__ == intmath.__name__:
            space[name] = types.FunctionType(value.__code__, space, name, value.__defaults__)
    space["ROUNDS_UP"] = dict(intmath.ROUNDS_UP)
    space["within"] = lambda x, low, high: x
    for name, tree in changed.items():
        space[name] = _compiled(tree, space)
    return space


def rebound(body: Body, vocabulary: dict[str, Any]) -> Body:
    """A body that computes with another vocabulary."""
    known = {id(value): name for name, value in vars(intmath).items() if callable(value)}
    space = {k: vocabulary[known[id(v)]] if id(v) in known else v for k, v in body.__globals__.items()}
    _copy_parts(body, space)
    assert isinstance(body, types.FunctionType)
    return types.FunctionType(body.__code__, space, body.__name__)


@cache
def reached(body: Body) -> frozenset[str]:
    """The names of the vocabulary that a body uses, or that what it uses is made of."""
    known = {id(value): name for name, value in vars(intmath).items() if callable(value)}
    used = set().union(*map(_names, (body, *parts(body).values())))
    found, new = set[str](), {known[id(v)] for k, v in body.__globals__.items() if id(v) in known and k in used}
    while new:
        found |= new
        functions = [vars(intmath)[name] for name in new]
        new = set().union(*(_names(f) for f in functions if isinstance(f, types.FunctionType)))
        new = (new & vars(intmath).keys()) - found
    return frozenset(found)


def _names(function: Body) -> set[str]:
    return {*function.__code__.co_names}


def _parsed(source: str) -> ast.FunctionDef:
    """A function's tree without its docstring."""
    function = ast.parse(source).body[0]
    assert isinstance(function, ast.FunctionDef)
    if ast.get_docstring(function) is not None:
        del function.body[0]
    return function


def _compiled(function: ast.FunctionDef, space: dict[str, Any]) -> Body:
    """The function of a tree, which sees `space`."""
    module = ast.fix_missing_locations(ast.Module([function], []))
    code = next(c for c in compile(module, "mutant", "exec").co_consts if isinstance(c, types.CodeType))
    return types.FunctionType(code, space, function.name)


def computing_words(body: Body) -> set[str]:
    """The names that a body, or a function it is made of, reads outside of lemmas and of what serves lemmas alone."""
    return set().union(*map(_computing_words, (body, *parts(body).values())))


def _computing_words(body: Body) -> set[str]:
    function = _parsed(textwrap.dedent(inspect.getsource(body)))
    used = words(function)
    return set().union(
        *(
            words(statement)
            for statement in function.body
            if not isinstance(statement, ast.Assign) or words(*statement.targets, context=ast.Store) & used
        )
    )
