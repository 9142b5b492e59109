"""Integer square roots as devices get them wrong: too few Newton steps, a first guess too low, a float unit."""

# The vocabulary of op bodies is not typed.
# mypy: allow-untyped-calls

from collections.abc import Callable, Iterator
from functools import partial
from math import isqrt as exact
from typing import Any

import numpy as np

from intref.intmath import bitlen, divide, isqrt, maximum

Root = Callable[[Any], Any]
STEPS = (4, 5, 10)
FIRST = 1 << 16  # the guess that fits roots of 32-bit numbers


def roots() -> Iterator[tuple[str, Root]]:
    """(what is wrong, the root of an int64 array)."""
    for steps in STEPS:
        yield f"{steps} Newton steps from 2**16", partial(_newton, steps=steps)
        yield f"{steps} Newton steps from half of the bits", partial(_newton, steps=steps, fitted=True)
    yield "Newton from 2**16, stopped where it does not fall", _falling
    yield "one Newton step too few", _one_too_few
    yield "one too high", lambda v: isqrt(v) + 1
    yield "rounded up", lambda v: isqrt(maximum(v - 1, 0)) + (v > 0)
    yield "rounded to nearest", _nearest
    yield "without its last bit", lambda v: isqrt(v) >> 1 << 1
    yield "of 32 bits", lambda v: isqrt(v & (1 << 32) - 1)
    for bits in (24, 53):
        yield f"in floats of {bits} bits", partial(_in_floats, bits=bits)


def _guess(v: Any, fitted: bool) -> Any:
    return 1 << (bitlen(v) + 1 >> 1) if fitted else np.full(np.shape(v), FIRST)


def _newton(v: Any, steps: int, fitted: bool = False) -> Any:
    root = _guess(v, fitted)
    for _ in range(steps):
        root = root + v // maximum(root, 1) >> 1
    return root


def _falling(v: Any) -> Any:
    """Right for all roots up to the first guess; above it the first step rises and is taken for the end."""
    root = _guess(v, False)
    for _ in range(40):
        root = np.minimum(root, root + v // maximum(root, 1) >> 1)
    return root


def _one_too_few(v: Any) -> Any:
    root = before = _guess(v, True)
    for _ in range(40):
        step = root + v // maximum(root, 1) >> 1
        before = np.where(step < root, root, before)
        root = np.minimum(root, step)
    return before


def _nearest(v: Any) -> Any:
    root = isqrt(v)
    return root + (v - root * root > root)


def _float_root(v: int, bits: int) -> int:
    """floor of the root of v >= 0, both rounded half to even to `bits` bits."""
    drop = max(v.bit_length() - bits, 0)
    v = int(divide(v, 1 << drop, "half_even")) << drop
    more = max(2 * (bits + 1) - v.bit_length(), 0) + 1 >> 1
    fine = exact(v << 2 * more) << 1
    fine |= exact(v << 2 * more) ** 2 != v << 2 * more  # what follows is not nothing
    cut = max(fine.bit_length() - bits, 0)
    return int(divide(fine, 1 << cut, "half_even")) << cut >> more + 1


def _in_floats(v: Any, bits: int) -> Any:
    return np.frompyfunc(partial(_float_root, bits=bits), 1, 1)(v.astype(object)).astype(np.int64)
