"""The bins of a division: where its exact quotients lie, relative to the integers and to halfway between them."""

# The vocabulary of op bodies is not typed.
# mypy: allow-untyped-calls

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from intref.coverage.body import Site
from intref.intmath import absolute, maximum, minimum, mul_shift
from intref.numbertypes import Interval

FAR = 1 << 128
EXACT, BELOW, TIE, ABOVE = range(4)  # where a quotient lies, relative to halfway between two integers
SIGNS = (("negative", -FAR, -1), ("not negative", 0, FAR))
SHIFTED = {"mul_shift": 2, "shift_half_up": 1, "shift_down": 1, "shift_left": 1}  # kind -> the argument that is a shift
Condition = tuple[Any, int, int]  # a value, and the range that it must lie in
Bin = tuple[str, tuple[Condition, ...]]


def unknown(*args: Any) -> bool:
    return any(isinstance(arg, Interval) for arg in args)


def _sign(x: Any) -> Any:
    return maximum(minimum(x, 1), -1)


def anything(low: int, high: int) -> Interval:
    return Interval(np.array([low]), np.array([high]))


def _shift_place(x: Any, shift: Any) -> tuple[Any, Any]:
    """(quotient rounded down, place) of x / 2**shift."""
    remainder = x & (1 << shift) - 1
    return x >> shift, _place(remainder, 1 << shift)


def _divide_place(x: Any, den: Any) -> tuple[Any, Any]:
    return x // den, _place(x - x // den * den, den)


def _place(remainder: Any, one: Any) -> Any:
    beyond = np.where(2 * remainder > one, ABOVE, np.where(2 * remainder == one, TIE, BELOW))
    return np.where(remainder == 0, EXACT, beyond)


def _product_place(x: Any, m: Any, shift: Any) -> tuple[Any, Any]:
    down, up, half_up, half_down = (mul_shift(x, m, shift, r) for r in ("floor", "ceil", "half_up", "half_down"))
    beyond = np.where(half_up != half_down, TIE, np.where(half_up == down, BELOW, ABOVE))
    return down, np.where(down == up, EXACT, beyond)


def _round_place(remainder: Any, q: Any, one: Any) -> tuple[Any, Any]:
    return q, _place(minimum(maximum(remainder, 0), one - 1), one)


def _divided(site: Site, args: tuple[Any, ...]) -> tuple[Any, Callable[[int], tuple[Any, Any]]]:
    """(a value with the numerator's sign, place of the quotient when the operand is moved by a step)."""
    if site.kind == "round":
        q, remainder, one = args[:3]
        return q, lambda step: _round_place(remainder + step, q, one)
    if site.kind == "mul_shift":
        x, m, shift = args[:3]
        return _sign(x) * _sign(m), lambda step: _product_place(x + step, m, shift)
    x, by = args[:2]
    if site.kind in ("shift_half_up", "shift_down"):
        return x, lambda step: _shift_place(x + step, by)
    return x, lambda step: _divide_place(x + step, by)


def _parts(site: Site, args: tuple[Any, ...]) -> Condition:
    """The condition that a division leaves remainders between 0 and a half."""
    if site.kind == "round":
        return args[2], 3, FAR
    return (args[SHIFTED[site.kind]], 2, FAR) if site.kind in SHIFTED else (args[1], 3, FAR)


def _places(site: Site, args: tuple[Any, ...]) -> tuple[Any, Any, Any, Any, Any]:
    """(sign, place, whether the quotient is odd, place one step up, place one step down)."""
    sign, place = _divided(site, args)
    if unknown(*args):
        return sign, anything(EXACT, ABOVE), anything(0, 1), anything(EXACT, ABOVE), anything(EXACT, ABOVE)
    quotient, here = place(0)
    return sign, here, quotient & 1, place(1)[1], place(-1)[1]


def rounded(site: Site, args: tuple[Any, ...], result: Any) -> Iterator[Bin]:
    """Ties of both signs and parities, one either side of them, and the rest, of a rounding to nearest (or a rule)."""
    sign, place, odd, above, below = _places(site, args)
    rule = f"{args[-1]}: " if isinstance(args[-1], str) else ""
    for word, low, high in SIGNS:
        signed = (sign, low, high)
        for parity, value in (("even", 0), ("odd", 1)):
            yield f"{rule}tie above {parity}, {word}", (signed, (place, TIE, TIE), (odd, value, value))
        yield f"{rule}one below a tie, {word}", (signed, (above, TIE, TIE))
        yield f"{rule}one above a tie, {word}", (signed, (below, TIE, TIE))
        yield f"{rule}exact, {word}", (signed, (place, EXACT, EXACT))
        for name, where in (("below the tie", BELOW), ("above the tie", ABOVE)):
            yield f"{rule}{name}, {word}", (signed, (place, where, where), _parts(site, args))
    if site.kind == "mul_shift":
        yield from limbs(args)


def floored(site: Site, args: tuple[Any, ...], result: Any) -> Iterator[Bin]:
    """Exact quotients of both signs and parities, one either side of them, and both halves of what is dropped."""
    sign, place, odd, above, below = _places(site, args)
    for word, low, high in SIGNS:
        signed = (sign, low, high)
        for parity, value in (("even", 0), ("odd", 1)):
            yield f"exact and {parity}, {word}", (signed, (place, EXACT, EXACT), (odd, value, value))
        yield f"one below exact, {word}", (signed, (place, BELOW, ABOVE), (above, EXACT, EXACT))
        yield f"one above exact, {word}", (signed, (place, BELOW, ABOVE), (below, EXACT, EXACT))
        yield f"less than half is dropped, {word}", (signed, (place, BELOW, BELOW), _parts(site, args))
        yield f"half or more is dropped, {word}", (signed, (place, TIE, ABOVE))


def limbs(args: tuple[Any, ...]) -> Iterator[Bin]:
    """How wide the product of a rescale is: one register of 32 bits, one of 64, or two."""
    x, m = absolute(args[0]), absolute(args[1])
    high = mul_shift(x, m, 62, "floor")
    middle = mul_shift(minimum(x, 1 << 40), m, 31, "floor")  # 0 for the same products, and within int64
    yield f"{args[-1]}: a product below 2**31", ((middle, 0, 0),)
    yield f"{args[-1]}: a product below 2**62", ((middle, 1, FAR), (high, 0, 0))
    yield f"{args[-1]}: a product of 2**62 or more", ((high, 1, FAR),)


def depends(site: Site, args: tuple[Any, ...]) -> Any:
    """Where a result depends on its shift: it is inexact, unless the shift is 0, and at least half a unit."""
    shift = args[SHIFTED[site.kind]]
    if site.kind == "shift_left":
        return np.ones(np.broadcast_shapes(*map(np.shape, args[:2])), bool)
    place = _divided(site, args)[1](0)[1]
    magnitude = (absolute(args[0]), absolute(args[1]) if site.kind == "mul_shift" else 1)
    return ((place != EXACT) & (mul_shift(*magnitude, shift, "half_up") > 0)) | (shift == 0)
