"""What a device may have done instead: the op with one of its rules changed, from the op's own body.

A body names its roundings (`shift_half_up`, `div_half_up`, `mul_shift`, `divide`) and its clip (`saturate`). Each of
them can be listened to, which gives the exact value that was rounded, or replaced, which gives a wrong device.
"""

# The vocabulary of op bodies is not typed.
# mypy: allow-untyped-calls

import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from intref import intmath
from intref.errors import BoundError, SpecError
from intref.intmath import (
    ROUNDS_UP,
    absolute,
    bitlen,
    div_half_up,
    divide,
    max_along,
    maximum,
    saturate,
    spread,
    within,
)
from intref.ops.op import Op, dtype_range

Arrays = dict[str, np.ndarray]
# Without these a call means something: the constant stands for "left out".
NEUTRAL = {"bias": 0, "mask": 1, "residual": 0, "input_zero_point": 0, "output_zero_point": 0}


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


def _rounded(step: Rounding, rule: str) -> Any:
    if step.shifted:
        x, m = (*step.numerator, 1)[:2]
        return intmath.mul_shift(x, m, step.denominator, rule)
    return divide(step.numerator[0], step.denominator, rule)


def _rescale_quotient(x: Any, total: Any, multiplier: Any, shift: Any, *, output: str, low: int, high: int) -> Any:
    multiplier, shift = spread(multiplier, -3, x.ndim), spread(shift, -3, x.ndim)
    return {"y": saturate(divide(x * multiplier, maximum(total, 1) << shift, "half_up"), low, high)}


def _quantize_token(x: Any) -> Any:
    peak = maximum(max_along(absolute(x), -1), 1)
    e = maximum(bitlen(peak) - 15, 0)
    a = within(-(-peak >> e), 1, 1 << 15)
    mantissa, exponent = a >> (a >> 15), e + (a >> 15)
    return {"q": div_half_up(127 * x, mantissa << exponent), "mantissa": mantissa, "exponent": exponent}


# Bodies that round without naming it, with the name: the same bits.
NAMED: dict[str, Callable[..., Any]] = {"rescale_quotient": _rescale_quotient, "quantize_token": _quantize_token}


def _run(op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any], swaps: dict[str, Any]) -> Arrays:
    """The op's body with some of its vocabulary replaced; outputs wrap to their dtypes, as a device's would."""
    body = NAMED.get(op.name, op.reference)
    # Functions of the body's own file must see the replacements too.
    names: dict[str, Any] = dict(body.__globals__)
    for name, value in body.__globals__.items():
        if isinstance(value, types.FunctionType) and value.__module__ == body.__module__:
            names[name] = types.FunctionType(value.__code__, names, name, value.__defaults__, value.__closure__)
            names[name].__kwdefaults__ = value.__kwdefaults__
    names.update({name: swap for name, swap in swaps.items() if name in names})
    copy = types.FunctionType(body.__code__, names, body.__name__, body.__defaults__, body.__closure__)
    made = copy(**{port: t.astype(np.int64) for port, t in tensors.items()}, **attrs)
    dtypes = op.output_dtypes({port: t.dtype.name for port, t in tensors.items()}, attrs)
    return {port: np.asarray(made[port]).astype(dtypes[port]) for port in op.outputs}


def observed(op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any]) -> tuple[list[Rounding], list[Any]]:
    """Every rounding of a call, and every value before it was clipped, in the body's order."""
    roundings: list[Rounding] = []
    unclipped: list[Any] = []

    def listen(name: str) -> Callable[..., Any]:
        def heard(*args: Any) -> Any:
            roundings.append(ROUNDINGS[name](*args))
            return getattr(intmath, name)(*args)

        return heard

    def clip(x: Any, low: Any, high: Any) -> Any:
        unclipped.append(x)
        return saturate(x, low, high)

    _run(op, tensors, attrs, {**{name: listen(name) for name in ROUNDINGS}, "saturate": clip})
    return roundings, unclipped


def variants(op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any]) -> Iterator[tuple[str, Arrays]]:
    """(what was done instead, the outputs that it gives), for everything in the catalogue that applies to the call."""
    for words, runs in (*_rules(op, tensors, attrs), *_clips(op, tensors, attrs), *_left_out(op, tensors, attrs)):
        try:
            yield words, runs()
        except (SpecError, BoundError, OverflowError):
            continue  # a rule that this call does not allow


Lazy = tuple[str, Callable[[], Arrays]]


def _rules(op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any]) -> Iterator[Lazy]:
    if "rounding" in op.attrs:
        for rule in op.attrs["rounding"].choices:
            if rule != attrs["rounding"]:
                changed = {**attrs, "rounding": rule}
                yield f"rule {rule}", lambda changed=changed: op.run(tensors, op.check(tensors, changed))  # type: ignore[misc]
        return
    steps = observed(op, tensors, attrs)[0]
    places: list[tuple[str, set[int]]] = [("", {0})] if len(steps) == 1 else []
    if len(steps) > 1:
        places = [(f" at rounding {i + 1} of {len(steps)}", {i}) for i in range(len(steps))]
        places.append((" at every rounding", {*range(len(steps))}))
    for place, which in places:
        for rule in ROUNDS_UP:
            if {steps[i].rule for i in which} != {rule}:
                swaps = _swapped(rule, which)
                yield f"rule {rule}{place}", lambda swaps=swaps: _run(op, tensors, attrs, swaps)  # type: ignore[misc]


def _swapped(rule: str, which: set[int]) -> dict[str, Any]:
    """The roundings of a body, counted from 0 over one run, those in `which` by another rule; no lemma is checked."""
    calls = iter(range(1 << 30))

    def swap(name: str) -> Callable[..., Any]:
        def rounded(*args: Any) -> Any:
            step = ROUNDINGS[name](*args)
            return _rounded(step, rule if next(calls) in which else step.rule)

        return rounded

    return {**{name: swap(name) for name in ROUNDINGS}, "within": lambda x, low, high: x}


def _clips(op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any]) -> Iterator[Lazy]:
    if "saturate" not in op.reference.__code__.co_names:
        return
    dtypes = op.output_dtypes({port: t.dtype.name for port, t in tensors.items()}, attrs)
    low, high = dtype_range(next(iter(dtypes.values())))
    yield "no saturation (the result wraps)", lambda: _run(op, tensors, attrs, {"saturate": lambda x, low, high: x})
    if (attrs.get("low", low), attrs.get("high", high)) != (low, high):
        wide = {"saturate": lambda x, *_: saturate(x, low, high)}
        yield f"saturation to [{low}, {high}]", lambda: _run(op, tensors, attrs, wide)


def _left_out(op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any]) -> Iterator[Lazy]:
    for name, neutral in NEUTRAL.items():
        if name in tensors and (tensors[name] != neutral).any():
            changed = {**tensors, name: np.full_like(tensors[name], neutral)}
            yield f"no {name}", lambda changed=changed: op.run(changed, op.check(changed, attrs))  # type: ignore[misc]
        elif name in op.attrs and attrs[name] != neutral:
            other = {**attrs, name: neutral}
            yield f"no {name}", lambda other=other: op.run(tensors, op.check(tensors, other))  # type: ignore[misc]
