"""What a device may have done instead: the op with one of its rules changed, from the op's own body.

The simplest come first: another rounding, another clip, something left out; then slips, and what devices get wrong.
"""

# The vocabulary of op bodies is not typed.
# mypy: allow-untyped-calls

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from intref import intmath
from intref.errors import BoundError, SpecError
from intref.faults import fp32, kin, lanes, masks, operators, packed, primitives, sites, widths
from intref.faults.bodies import (
    ROUNDINGS,
    Arrays,
    Rounding,
    count_floors,
    floored,
    observed,
    run_body,
    run_changed,
    vocabulary,
)
from intref.faults.slips import Lazy, slips
from intref.intmath import (
    MAX_SHIFT,
    ROUNDS_UP,
    absolute,
    divide,
    maximum,
    minimum,
    saturate,
    scale_fp32,
    split_fp32,
    wrap_int32,
)
from intref.ops.op import Op, dtype_range

Part = Callable[[Op, Mapping[str, np.ndarray], dict[str, Any]], Iterator[Lazy]]
# Without these a call means something: the constant stands for "left out".
NEUTRAL = {"bias": 0, "mask": 1, "residual": 0, "eps": 0}
ZERO_POINTS = tuple(f"{of}_zero_point" for of in ("input", "output", "x", "weight", "a", "b"))
NEUTRAL |= dict.fromkeys(ZERO_POINTS, 0)
NEAREST = ("half_up", "half_down", "half_away", "half_to_zero", "half_even")
TRUNCATED = "half_up by a division toward zero"
OF_PRODUCTS = (fp32.RULE, "gemmlowp_double")  # rules of x * multiplier / 2**shift, beside those of a value
DOUBLE = ("gemmlowp_double", "tosa_double")  # rules that are made for multipliers of at least 0
UNCLIPPED = "no saturation (the result wraps)"
FULL = "saturation to all of the output's range"
SYMMETRIC = "saturation to a symmetric range"
FLOORS = ("toward_zero", "half_up", "half_even")  # what else a >> or // may be
WAYS = ("order", "contract", "by")  # attributes that say in which way the same operands are worked out
NOT_ALLOWED = (SpecError, BoundError, OverflowError, IndexError, ValueError, ZeroDivisionError)


def variants(
    op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any], parts: Sequence[Part] | None = None
) -> Iterator[tuple[str, Arrays]]:
    """(what was done instead, the outputs that it gives), for everything in the catalogue that applies to the call.

    parts: of the catalogue; None: CHOICES, SLOW_CHOICES, SLIPS, in this order.
    """
    for words, runs in lazily(op, tensors, attrs, parts):
        made = tried(runs)
        if made is not None:
            yield words, made


def lazily(
    op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any], parts: Sequence[Part] | None = None
) -> Iterator[Lazy]:
    """`variants`, none of them run yet: a call that one of them does not allow raises one of NOT_ALLOWED."""
    for part in (*CHOICES, *SLOW_CHOICES, *SLIPS) if parts is None else parts:
        yield from part(op, tensors, attrs)


def tried(runs: Callable[[], Arrays]) -> Arrays | None:
    """The outputs; None for a rule that the call does not allow."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a wrong device may divide by 0
        try:
            return runs()
        except NOT_ALLOWED:
            return None


def rules(
    op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any], beside: Mapping[str, Any] | None = None
) -> Iterator[Lazy]:
    """Every rounding of the op by another rule; beside: what else of the vocabulary is replaced."""
    swaps = dict(beside or {})
    if "rounding" in op.attrs:
        for rule in op.attrs["rounding"].choices:
            if rule != attrs["rounding"]:
                yield f"rule {rule}", partial(_by_attribute, op, tensors, attrs, rule, swaps)
    steps = observed(op, tensors, attrs)[0]
    places: list[tuple[str, set[int]]] = [("", {0})] if len(steps) == 1 else []
    if len(steps) > 1:
        places = [(f" at rounding {i + 1} of {len(steps)}", {i}) for i in range(len(steps))]
        places.append((" at every rounding", {*range(len(steps))}))
    known = op.attrs["rounding"].choices if "rounding" in op.attrs else ()
    for place, which in places:
        products = all(len(steps[i].numerator) > 1 for i in which)
        for rule in (*ROUNDS_UP, TRUNCATED, *(OF_PRODUCTS if products else ())):
            if {steps[i].rule for i in which} != {rule} and (rule not in known or len(which) < len(steps)):
                yield f"rule {rule}{place}", partial(_by_swaps, op, tensors, attrs, rule, which, swaps)


def _by_attribute(
    op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any], rule: str, swaps: dict[str, Any]
) -> Arrays:
    """rescale's fp32_half_even has its scale as a bit pattern, the other rules as a multiplier and a shift.

    SpecError where the rule has no meaning; a multiplier below 0 and a result that does not fit have one for a device.
    """
    changed, scale = {**attrs, "rounding": rule}, dict(tensors)
    if attrs["rounding"] == fp32.RULE:
        sign, significand, exponent = split_fp32(tensors["multiplier"].astype(np.int64))
        gone = -exponent > MAX_SHIFT
        if (exponent > 0).any():
            raise SpecError("a scale of 2**24 or more has no shift")
        scale["multiplier"] = np.where(gone, 0, sign * significand).astype(np.int32)
        scale["shift"] = minimum(-exponent, MAX_SHIFT).astype(np.int8)
    elif rule == fp32.RULE:
        size = max(len(tensors["multiplier"]), len(tensors["shift"]))
        m, s = (np.broadcast_to(tensors[k].astype(np.int64), size) for k in ("multiplier", "shift"))
        scale["multiplier"], scale["shift"] = fp32.pattern(m, s).astype(np.int32), np.zeros(1, np.int8)
    positive = {port: absolute(t) if port == "multiplier" and rule in DOUBLE else t for port, t in scale.items()}
    return run_changed(op, scale, op.check(positive, changed), {}, swaps)


def _by_swaps(
    op: Op,
    tensors: Mapping[str, np.ndarray],
    attrs: dict[str, Any],
    rule: str,
    which: set[int],
    beside: dict[str, Any],
) -> Arrays:
    """The roundings of a body, counted from 0 over one run, those in `which` by another rule; no lemma is checked."""
    calls = iter(range(1 << 30))

    def swap(name: str) -> Callable[..., Any]:
        def rounded(*args: Any) -> Any:
            step = ROUNDINGS[name](*args)
            return by_rule(step, rule if next(calls) in which else step.rule)

        return rounded

    return run_changed(op, tensors, attrs, {}, {**{name: swap(name) for name in ROUNDINGS}, **beside})


def by_rule(step: Rounding, rule: str) -> Any:
    """A value rounded by one of the rules of ROUNDS_UP, TRUNCATED or OF_PRODUCTS."""
    if rule == TRUNCATED:
        if not step.shifted:  # C's (x + d / 2) / d, whose half of an odd d is rounded down
            return divide(step.numerator[0] + step.denominator // 2, step.denominator, "toward_zero")
        # Adding a half and cutting: one too high below zero, unless the sum is an integer, which it is at a tie.
        up, down = by_rule(step, "half_up"), by_rule(step, "half_down")
        return up + ((up < 0) & (up == down))
    if not step.shifted:
        return divide(step.numerator[0], step.denominator, rule)
    x, m = (*step.numerator, 1)[:2]
    if rule == fp32.RULE:
        m, s = np.broadcast_arrays(np.asarray(m, np.int64), np.asarray(step.denominator, np.int64))
        return scale_fp32(x, fp32.pattern(m, s))
    if rule == "gemmlowp_double":
        doubled = wrap_int32(wrap_int32(x) << maximum(31 - step.denominator, 0))
        high = intmath.mul_shift(doubled, m, 31, "half_up")
        return intmath.mul_shift(high, 1, maximum(step.denominator, 31) - 31, "half_away")
    return intmath.mul_shift(x, m, step.denominator, rule)


def _in_fp32(op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any]) -> Iterator[Lazy]:
    if {*fp32.TOKEN} <= tensors.keys() and tensors["x"].size <= fp32.LARGEST:
        for first, words in ((False, ""), (True, ", the two scales multiplied first")):
            yield f"rule {fp32.RULE}{words}", partial(_token_in_fp32, op, tensors, attrs, first)


def _token_in_fp32(op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any], first: bool) -> Arrays:
    return {"y": fp32.token_rescale(tensors, attrs, first).astype(attrs["output"])}


def _floors(op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any]) -> Iterator[Lazy]:
    """Every >> and // by another rule, of which a division toward zero is what C does."""
    if "product" in vocabulary(op):
        return  # no product of matrices rounds, and one more of them takes long
    count = tried(lambda: {"": np.asarray(count_floors(op, tensors, attrs))})
    total = int(count[""]) if count else 0
    places = [(f"{i + 1} of {total}" if total > 1 else "", {i}) for i in range(total)]
    for rule in FLOORS:
        for place, which in places:
            yield f"{rule} at floor {place}".strip(), partial(_unfloored, op, tensors, attrs, rule, which)
        if total > 1:
            every = {*range(total)}
            yield f"{rule} at every floor", partial(_unfloored, op, tensors, attrs, rule, every)


def _unfloored(op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any], rule: str, which: set[int]) -> Arrays:
    calls = iter(range(1 << 30))

    def divided(a: Any, b: Any, shifted: bool) -> Any:
        if next(calls) not in which:
            return a >> b if shifted else a // b
        return intmath.mul_shift(a, 1, b, rule) if shifted else divide(a, b, rule)

    return run_body(op, tensors, attrs, {"within": lambda x, low, high: x}, kind=floored(divided))


def _clips(op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any]) -> Iterator[Lazy]:
    for words, swaps in clipped(op, tensors, attrs):
        yield words, partial(run_changed, op, tensors, attrs, {}, swaps)


def clipped(
    op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any]
) -> Iterator[tuple[str, dict[str, Callable[..., Any]]]]:
    """(what the clip does instead, what stands for it)."""
    if "saturate" not in vocabulary(op):
        return
    dtypes = op.output_dtypes({port: t.dtype.name for port, t in tensors.items()}, attrs)
    low, high = dtype_range(next(iter(dtypes.values())))
    yield UNCLIPPED, {"saturate": lambda x, low, high: x}
    if (attrs.get("low", low), attrs.get("high", high)) != (low, high):
        yield FULL, {"saturate": lambda x, *_: saturate(x, low, high)}
    if attrs.get("low", 0) == low < 0:
        yield SYMMETRIC, {"saturate": lambda x, least, most: saturate(x, max(least, -high), most)}


def _left_out(op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any]) -> Iterator[Lazy]:
    for words, changed in left_out(op, tensors, attrs):
        yield words, partial(run_changed, op, tensors, attrs, changed, {})


def left_out(op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(what is left out, the int64 tensor or the attribute that says so)."""
    for name, neutral in NEUTRAL.items():
        if name in tensors and (tensors[name] != neutral).any():
            yield f"no {name}", {name: np.full(tensors[name].shape, neutral, np.int64)}
        elif name in op.attrs and attrs[name] != neutral:
            yield f"no {name}", {name: neutral}


def _other_ways(op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any]) -> Iterator[Lazy]:
    for words, changed in other_ways(op, attrs):
        yield words, partial(run_changed, op, tensors, attrs, changed, {})


def other_ways(op: Op, attrs: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(the way in which a device works, the attribute that says so), for every other way that the op itself has."""
    for name in WAYS:
        for value in op.attrs[name].choices if name in op.attrs else ():
            if value != attrs[name]:
                yield f"{name} {value}", {name: value}


# What a designer may have chosen, and what only a mistake explains: where a choice explains a device, a slip that does
# so as well is most likely a coincidence.
CHOICES: tuple[Part, ...] = (rules, _other_ways, _clips, _left_out, kin.faults)
SLOW_CHOICES: tuple[Part, ...] = (_in_fp32,)
SLIPS: tuple[Part, ...] = (
    *(_floors, slips, widths.faults, sites.faults, masks.faults, packed.faults),
    *(primitives.faults, operators.faults, lanes.faults),
)
