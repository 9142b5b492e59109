"""Float32 arithmetic on bit patterns against NumPy's float32, at every kind of number."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intref.ops import onnx

LARGEST = 0x7F7FFFFF
ENDS = [0, 1, 2, 3, 0x7FFFFE, 0x7FFFFF, 0x800000, 0x800001, 0xFFFFFF, 0x1000000, LARGEST - 1, LARGEST]
EXPONENTS = (-30, -25, -24, -23, -1, 0, 1, 8, 23, 24, 30, 31)
FRACTIONS = (0, 1, 0x3FFFFF, 0x400000, 0x7FFFFF)
KINDS = np.array([*ENDS, *((127 + e) << 23 | f for e in EXPONENTS for f in FRACTIONS)])
PATTERNS = np.concatenate([KINDS, KINDS - (1 << 31)]).astype(np.int64)
OPERATIONS = {
    "multiply": (onnx.fp32_multiply, np.multiply),
    "add": (lambda a, b: onnx.fp32_multiply_add(a, np.full_like(a, onnx.ONE), b), np.add),
    "divide": (onnx.fp32_divide, np.divide),
}


def floats(pattern) -> np.ndarray:
    return np.asarray(pattern).astype(np.int32).view(np.float32)


def patterns(value) -> np.ndarray:
    return np.asarray(value, np.float32).view(np.int32).astype(np.int64)


def finite(stream, count: int) -> np.ndarray:
    found = stream.integers(-(1 << 31), 1 << 31, count)
    return np.where(found >> 23 & 255 == 255, found ^ 1 << 30, found)


def agrees(name: str, a: np.ndarray, b: np.ndarray, kind: type = np.int64):
    ours, theirs = OPERATIONS[name]
    if name == "divide":
        a, b = a[b & onnx.MAGNITUDE > 0], b[b & onnx.MAGNITUDE > 0]
    with np.errstate(all="ignore"):
        want = patterns(theirs(floats(a), floats(b)))
    assert np.array_equal(ours(a.astype(kind), b.astype(kind)), want)


@pytest.mark.parametrize("kind", [np.int64, object])
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_pair_of_kinds(name, kind):
    a, b = np.meshgrid(PATTERNS, PATTERNS)
    agrees(name, a.ravel(), b.ravel(), kind)


@pytest.mark.parametrize("name", OPERATIONS)
def test_random_patterns_and_near_ones(name):
    stream = np.random.default_rng(0)
    a, b = finite(stream, 200_000), finite(stream, 200_000)
    agrees(name, a, b)
    near = (a & ~(255 << 23)) + (stream.integers(1, 254, len(a)) << 23)
    exponent = np.clip((near >> 23 & 255) + stream.integers(-30, 31, len(a)), 0, 254)
    agrees(name, near, (b & ~(255 << 23)) + (exponent << 23))  # sums that align
    few = stream.integers(0, 1 << 6, (2, len(a))) << 17  # significands of a few bits: ties
    agrees(name, near & ~0x7FFFFF | few[0], (near & ~0x7FFFFF | few[1]) ^ (stream.integers(0, 2, len(a)) << 31))


@pytest.mark.parametrize("name", ["multiply", "divide"])
def test_results_that_are_subnormal_or_infinite(name):
    stream = np.random.default_rng(1)
    a, b = finite(stream, 200_000), finite(stream, 200_000)
    target = np.where(stream.integers(0, 2, len(a)), stream.integers(-27, 4, len(a)), stream.integers(250, 260, len(a)))
    exponent = target - (a >> 23 & 255) + 127 if name == "multiply" else (a >> 23 & 255) - target + 127
    keep = (exponent >= 0) & (exponent < 255)
    b = np.where(keep, b & ~(255 << 23) | np.clip(exponent, 0, 254) << 23, b)
    agrees(name, a, b)


def test_conversion_from_integers():
    stream = np.random.default_rng(2)
    x = stream.integers(-(1 << 49), 1 << 49, 100_000) >> stream.integers(0, 49, 100_000)
    ties = np.concatenate([(1 << 24 + k) + (np.arange(64) << k) + d for k in range(1, 8) for d in (-1, 0, 1)])
    x = np.concatenate([x, ties, -ties, [0, 1, -1, (1 << 31) - 1, -(1 << 31)]])
    assert np.array_equal(onnx.fp32_from_int(x), patterns(x.astype(np.float32)))


def test_conversion_to_integers():
    halves = np.arange(-4001, 4002, dtype=np.float32) / 2
    stream = np.random.default_rng(3)
    near = patterns(np.ldexp(stream.uniform(-1, 1, 100_000), stream.integers(-40, 39, 100_000)))
    pattern = np.concatenate([patterns(halves), patterns(halves) + 1, patterns(halves) - 1, near])
    pattern = pattern[pattern >> 23 & 255 < 127 + 38]
    assert np.array_equal(onnx.fp32_to_int(pattern), np.rint(floats(pattern)).astype(np.int64))
    assert onnx.fp32_to_int(np.array([LARGEST, onnx.INFINITY])).min() > 1 << 38
    assert onnx.fp32_to_int(np.array([-1, onnx.INFINITY - (1 << 31)])).max() < -(1 << 38)


def exactly(a, b, c) -> int:
    """fl32(a * b + c) of finite patterns, by exact fractions: the nearest of two float32s, ties to the even pattern."""
    one, other, last = (Fraction(float(v)) for v in floats([a, b, c]))
    total = one * other + last
    if total == 0:
        with np.errstate(all="ignore"):
            return int(patterns(floats([a]) * floats([b]) + floats([c]))[0]) if last == 0 else 0
    sign, size = total < 0, abs(total)
    exponent = max((size.numerator.bit_length() - size.denominator.bit_length()) - 24, -149)
    while size >= Fraction(2) ** (exponent + 24):
        exponent += 1
    kept = round(size / Fraction(2) ** exponent)  # half to even
    return min(kept + ((exponent + 149) << 23), onnx.INFINITY) - (sign << 31)


@pytest.mark.parametrize("kind", [np.int64, object])
def test_fused_products_and_sums_are_rounded_once(kind):
    stream = np.random.default_rng(6)
    a, b, c = (stream.choice(PATTERNS, 3000) for _ in range(3))
    near = onnx.fp32_multiply(a, b) ^ (1 << 31)
    near = np.where(near >> 23 & 255 < 255, near, 0).astype(np.int32).astype(np.int64)
    for last in (c, near, np.where(near & onnx.MAGNITUDE > 0, near - 1, 1)):
        made = onnx.fp32_multiply_add(a.astype(kind), b.astype(kind), last.astype(kind))
        assert made.tolist() == [exactly(*v) for v in zip(a.tolist(), b.tolist(), last.tolist())]


def test_order():
    a, b = (v.ravel() for v in np.meshgrid(PATTERNS, PATTERNS))
    assert np.array_equal(onnx.fp32_ordered(a) < onnx.fp32_ordered(b), floats(a) < floats(b))
    assert np.array_equal(floats(onnx.fp32_ordered(onnx.fp32_ordered(a))), floats(a))


@given(st.integers(-(1 << 31), (1 << 31) - 1), st.integers(-(1 << 31), (1 << 31) - 1))
def test_any_two_finite_patterns(a, b):
    a, b = (np.array([v ^ 1 << 30 if v >> 23 & 255 == 255 else v]) for v in (a, b))
    for name in OPERATIONS:
        agrees(name, a, b)


def test_sums_of_two_that_are_not_negative():
    stream = np.random.default_rng(4)
    a = stream.integers(0, 254 << 23, 200_000)
    near = np.clip(a - (stream.integers(0, 30, len(a)) << 23) + stream.integers(-9, 9, len(a)), 0, (254 << 23) - 1)
    for b in (stream.integers(0, 254 << 23, len(a)), near):
        assert np.array_equal(onnx.fp32_span(a, b), patterns(floats(a) + floats(b)))
