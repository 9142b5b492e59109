"""An op's own body, listened to or run with a part of its vocabulary replaced.

A body names its roundings (`shift_half_up`, `div_half_up`, `mul_shift`, `divide`) and its clip (`saturate`), and
rounds down by the operators >> and //. Each of them can be listened to, which gives the exact value that was rounded,
or replaced, which gives a wrong device.
"""

# The vocabulary of op bodies is not typed.
# mypy: allow-untyped-calls

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from intref import intmath
from intref.intmath import (
    saturate,
)
from intref.ops.op import Op, parts

Arrays = dict[str, np.ndarray]
# These mix elements.
ACROSS = {"sum_along", "sum_fp32", "max_along", "running_sum", "running_max", "product", "accumulate", "swap"}


@dataclass(frozen=True)
class Rounding:
    """One rounding of a body: the exact values numerator / denominator, element by element, and the rule."""

    numerator: tuple[Any, ...]  # factors
    denominator: Any
    shifted: bool  # the denominator is 2**denominator
    rule: str


def _shift_half_up(x: Any, shift: Any) -> Rounding:
    return Rounding((x,), shift, True, "half_up")


def _div_half_up(num: Any, den: Any) -> Rounding:
    return Rounding((num,), den, False, "half_up")


def _mul_shift(x: Any, m: Any, shift: Any, rule: str) -> Rounding:
    return Rounding((x, m), shift, True, rule)


def _divide(num: Any, den: Any, rule: str) -> Rounding:
    return Rounding((num,), den, False, rule)


ROUNDINGS: dict[str, Callable[..., Rounding]] = {
    "shift_half_up": _shift_half_up,
    "div_half_up": _div_half_up,
    "mul_shift": _mul_shift,
    "divide": _divide,
}


def vocabulary(op: Op) -> set[str]:
    """The names that a body uses, or a function of its own file that it is made of."""
    body = op.reference
    return set().union(*(f.__code__.co_names for f in (body, *parts(body).values())))


def elementwise(op: Op, port: str) -> bool:
    """Whether each element of the op's first output is made from the element of `port` at the same place."""
    same = op.inputs[port].axes == next(iter(op.outputs.values())).axes
    return same and not op.reduces and not vocabulary(op) & ACROSS


def run_body(
    op: Op,
    tensors: Mapping[str, np.ndarray],
    attrs: dict[str, Any],
    swaps: Mapping[str, Any],
    changed: Mapping[str, np.ndarray] | None = None,
    kind: type = np.ndarray,
) -> Arrays:
    """The op's body with some of its vocabulary replaced; outputs wrap to their dtypes, as a device's would.

    changed: port -> int64 array that stands for the tensor, whatever its dtype allows. kind: the class of array that
    the body computes with.
    """
    body = op.reference
    # Functions of the body's own file must see the replacements too.
    names: dict[str, Any] = dict(body.__globals__)
    for name, value in body.__globals__.items():
        if isinstance(value, types.FunctionType) and value.__module__ == body.__module__:
            names[name] = types.FunctionType(value.__code__, names, name, value.__defaults__, value.__closure__)
            names[name].__kwdefaults__ = value.__kwdefaults__
        elif isinstance(value, types.FunctionType) and kind is not np.ndarray:
            names[name] = _among_plain(value, kind)
    names.update({name: swap for name, swap in swaps.items() if name in names})
    copy = types.FunctionType(body.__code__, names, body.__name__, body.__defaults__, body.__closure__)
    values = {port: t.astype(np.int64) for port, t in tensors.items()} | dict(changed or {})
    made: Any = copy(**{port: t.view(kind) for port, t in values.items()}, **attrs)
    dtypes = op.output_dtypes({port: t.dtype.name for port, t in tensors.items()}, attrs)
    return {port: np.asarray(made[port]).astype(dtypes[port]) for port in op.outputs}


def _among_plain(function: Callable[..., Any], kind: type) -> Callable[..., Any]:
    """A word of the vocabulary that computes on plain arrays and answers in the body's kind."""

    def word(*args: Any) -> Any:
        return np.asarray(function(*map(_plain, args))).view(kind)

    return word


def _plain(x: Any) -> Any:
    return x.view(np.ndarray) if isinstance(x, np.ndarray) else x


def floored(divided: Callable[[Any, Any, bool], Any]) -> type:
    """A class of array whose >> and // are divided(numerator, denominator or shift, whether it is a shift)."""

    class Floored(np.ndarray):
        def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
            plain = [_plain(x) for x in inputs]
            if method == "__call__" and ufunc in (np.floor_divide, np.right_shift):
                return np.asarray(divided(plain[0], plain[1], ufunc is np.right_shift)).view(Floored)
            return np.asarray(getattr(ufunc, method)(*plain, **options)).view(Floored)

    return Floored


def watched(answer: Callable[[Any, tuple[Any, ...], Any], Any]) -> type:
    """A class of array whose operators answer(ufunc, operands, their right result)."""

    class Watched(np.ndarray):
        def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
            plain = tuple(_plain(x) for x in inputs)
            made = getattr(ufunc, method)(*plain, **options)
            return np.asarray(answer(ufunc, plain, made) if method == "__call__" else made).view(Watched)

    return Watched


def run_changed(
    op: Op,
    tensors: Mapping[str, np.ndarray],
    attrs: dict[str, Any],
    changed: Mapping[str, Any],
    swaps: Mapping[str, Any],
    kind: type = np.ndarray,
) -> Arrays:
    """`run_body` with tensors and attributes changed by name, and no lemma checked: a device has none."""
    ports = {k: v for k, v in changed.items() if k in tensors}
    given = {**attrs, **{k: v for k, v in changed.items() if k not in tensors}}
    return run_body(op, tensors, given, {"within": lambda x, low, high: x, **swaps}, ports, kind)


def kept_product(op: Op) -> dict[str, Any]:
    """For a body that multiplies matrices: the product computed once, on the first use, in the product's place."""
    kept: list[np.ndarray] = []

    def product(a: Any, b: Any) -> Any:
        if not kept:
            kept.append(np.matmul(a, b))
        return kept[0]

    return {"product": product} if "product" in vocabulary(op) else {}


def size(tensors: Mapping[str, np.ndarray]) -> int:
    """Elements of a call's inputs."""
    return sum(t.size for t in tensors.values())


def count_floors(op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any]) -> int:
    """How often a body rounds down by an operator."""
    count = 0

    def counted(a: Any, b: Any, shifted: bool) -> Any:
        nonlocal count
        count += 1
        return a >> b if shifted else a // b

    run_body(op, tensors, attrs, {}, kind=floored(counted))
    return count


def observed(op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any]) -> tuple[list[Rounding], list[Any]]:
    """Every rounding of a call, and every value before it was clipped, in the body's order."""
    roundings: list[Rounding] = []
    unclipped: list[Any] = []
    if not vocabulary(op) & {*ROUNDINGS, "saturate"}:
        return roundings, unclipped

    def listen(name: str) -> Callable[..., Any]:
        def heard(*args: Any) -> Any:
            roundings.append(ROUNDINGS[name](*args))
            return getattr(intmath, name)(*args)

        return heard

    def clip(x: Any, low: Any, high: Any) -> Any:
        unclipped.append(x)
        return saturate(x, low, high)

    run_body(op, tensors, attrs, {**{name: listen(name) for name in ROUNDINGS}, "saturate": clip})
    return roundings, unclipped
