"""Calls of the vocabulary in op bodies."""

import inspect
from collections.abc import Callable
from typing import Any

from intref import intmath
from intref.emit import arithmetic, layout
from intref.emit.contract import Contract
from intref.emit.nodes import Tensor, aligned, within
from intref.emit.values import Choice, tensor
from intref.errors import Unsupported

FOLDS = {
    "sum_along": ("reduce", "sum"),
    "sum_fp32": ("reduce", "add_fp32"),
    "max_along": ("reduce", "maximum"),
    "running_sum": ("scan", "sum"),
    "running_max": ("scan", "maximum"),
}
VIEWS: dict[str, Callable[..., Tensor]] = {
    "matmul": layout.matmul,
    "accumulate": layout.accumulate,
    "swap": layout.swap,
    "spread": layout.spread,
    "take": layout.take,
}
UFUNCS = {getattr(intmath, name): name for name in ("maximum", "minimum", "square", "absolute")}


def word(function: Any) -> str | None:
    """The name of a function of the vocabulary; None for any other."""
    if function in UFUNCS:
        return UFUNCS[function]
    return str(function.__name__) if getattr(function, "__module__", "") == intmath.__name__ else None


def called(
    contract: Contract, left: Callable[[Choice], tuple[str, ...]], function: Any, args: list[Any], named: dict[str, Any]
) -> Tensor | None:
    """What a function of the vocabulary gives; None if vocabulary.c has none of it, so that its body is to be read.

    left: what a choice may still be.
    """
    name = word(function)
    if named:
        args = [*inspect.signature(function).bind(*args, **named).args]
    if name in FOLDS:
        return layout.folded(*FOLDS[name], tensor(args[0]), args[1])
    if name in VIEWS:
        return VIEWS[name](contract, *args)
    if name in arithmetic.RULED:
        return _rounded(contract, left, name, args)
    if name not in arithmetic.SHARED and name not in ("where", "within"):
        return None
    nodes, places = aligned(*contract.align(*map(tensor, args)))
    return Tensor(within(*nodes) if name == "within" else arithmetic.function(name, *nodes), places)


def _rounded(contract: Contract, left: Callable[[Choice], tuple[str, ...]], name: str, args: list[Any]) -> Tensor:
    *numbers, rule = args
    nodes, places = aligned(*contract.align(*map(tensor, numbers)))
    if isinstance(rule, str):
        return Tensor(arithmetic.rounded(name, tuple(nodes), (rule,), rule.upper()), places)
    rules = left(rule)
    if any(rule.values.index(r) != arithmetic.RULES.index(r) for r in rules):
        raise Unsupported(f"attribute {rule.name!r}, which does not list the rounding rules first and in their order")
    return Tensor(arithmetic.rounded(name, tuple(nodes), rules, rule.name), places)
