"""The primitives against exact rationals and against NumPy's float32, at every edge; the stream of random words."""

from fractions import Fraction
from math import ceil, floor
from math import isqrt as root

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intref import intmath
from intref.errors import BoundError
from intref.vectors import SplitMix64
from intref.vectors.softmax import exp2_table

BITS = (0, 1, 2, 15, 23, 24, 25, 30, 31, 32, 33, 47, 48, 61, 62, 63)
EDGES = sorted({s * (2**k + d) for k in BITS for d in (-1, 0, 1) for s in (-1, 1) if 2**k + d < 1 << 63})
MULTIPLIERS = [1, -1, 3, -3, 1 << 30, -(1 << 30), (1 << 31) - 1, -(1 << 31)]
SHIFTS = (0, 1, 31, 32, 33, 61, 62, 63, 64, 93, 94)
RULES = [*intmath.ROUNDS_UP]
INT64 = st.integers(1 - (1 << 63), (1 << 63) - 1)


def exact(v: Fraction, rule: str) -> int:
    """Rounding from its definition: the nearer neighbour, or the one that the rule prefers."""
    down, up = floor(v), ceil(v)
    if down == up:
        return down
    prefer = {"up": up, "down": down, "away": up if v > 0 else down, "to_zero": down if v > 0 else up,
              "even": down if down % 2 == 0 else up, "odd": down if down % 2 else up}  # fmt: skip
    if rule.startswith("half_"):
        return down if v - down < up - v else up if up - v < v - down else prefer[rule[5:]]
    return {"floor": down, "ceil": up, "toward_zero": prefer["to_zero"], "odd": prefer["odd"]}[rule]


def int64(values) -> np.ndarray:
    return np.array(values, np.int64)


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("rule", RULES)
def test_mul_shift_at_every_edge(rule, shift):
    for m in MULTIPLIERS:
        want = {x: exact(Fraction(x * m, 1 << shift), rule) for x in EDGES}
        x = [x for x, y in want.items() if abs(y) < 1 << 63]
        y = [want[v] for v in x]
        assert intmath.mul_shift(int64(x), m, shift, rule).tolist() == y
        assert intmath.mul_shift(int64(x), int64([m]), int64([shift]), rule).tolist() == y
        assert intmath.mul_shift(np.array(x, object), m, shift, rule).tolist() == y


@given(INT64, st.integers(-(1 << 31), (1 << 31) - 1), st.integers(0, 94), st.sampled_from(RULES))
def test_mul_shift_anywhere(x, m, shift, rule):
    want = exact(Fraction(x * m, 1 << shift), rule)
    if abs(want) < 1 << 63:
        assert intmath.mul_shift(int64([x]), m, shift, rule).tolist() == [want]


def test_mul_shift_takes_a_shift_and_a_multiplier_per_element():
    x, m, shift = int64([1 << 62, -5, 7, 1 << 40]), int64([3, -(1 << 31), 1, -1]), int64([94, 32, 0, 41])
    want = [exact(Fraction(int(a) * int(b), 1 << int(s)), "half_even") for a, b, s in zip(x, m, shift)]
    assert intmath.mul_shift(x, m, shift, "half_even").tolist() == want


@pytest.mark.parametrize("rule", RULES)
def test_divide_at_every_edge(rule):
    for den in [1, 2, 3, 4, 5, 6, 7, 127, 1 << 31, (1 << 62) - 1, (1 << 62) - 2]:
        nums = sorted({*(k * den // 2 + d for k in range(-7, 8) for d in (-1, 0, 1)), *EDGES})
        nums = [n for n in nums if abs(n) < 1 << 63]
        want = [exact(Fraction(n, den), rule) for n in nums]
        assert intmath.divide(int64(nums), den, rule).tolist() == want
        assert intmath.divide(np.array(nums, object), den, rule).tolist() == want


def test_half_up_divisions_and_shifts():
    nums = [n for n in EDGES if abs(n) < 1 << 60]
    for k in (0, 1, 2, 31, 60):
        want = [floor(Fraction(n, 1 << k) + Fraction(1, 2)) for n in nums]
        assert intmath.shift_half_up(int64(nums), k).tolist() == want
        assert intmath.div_half_up(int64(nums), 1 << k).tolist() == want
    for den in (3, 7, (1 << 31) - 1):
        assert intmath.div_half_up(int64(nums), den).tolist() == [exact(Fraction(n, den), "half_up") for n in nums]


def float32(x: list[int], pattern: int) -> list[int]:
    """What float32 hardware gives: convert, multiply, round to an integer."""
    scale = np.array([pattern], np.int64).astype(np.uint32).view(np.float32)
    return [int(v) for v in np.rint(int64(x).astype(np.float32) * scale)]


def pattern_of(value: float) -> int:
    return int(np.array([value], np.float32).view(np.int32)[0])


def rational(pattern: int) -> Fraction:
    sign, significand, exponent = (int(v) for v in intmath.split_fp32(pattern))
    return sign * significand * Fraction(2) ** exponent


def fits(x: list[int], pattern: int) -> list[int]:
    return [v for v in x if abs(v * rational(pattern)) < 1 << 62]


SCALES = [0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 3.0, 0.1, 1 - 2.0**-24, 1 + 2.0**-23, *(2.0**-k for k in (24, 31, 126, 149))]


@pytest.mark.parametrize("value", SCALES)
def test_scale_fp32_is_float32(value):
    pattern = pattern_of(value)
    odd = [s * ((1 << k) + d) for k in (23, 24, 25, 26, 30) for d in range(-9, 10) for s in (-1, 1)]
    x = fits([v for v in sorted({*EDGES, *odd}) if abs(v) < 1 << 62], pattern)
    want = float32(x, pattern)
    assert intmath.scale_fp32(int64(x), pattern).tolist() == want
    assert intmath.scale_fp32(np.array(x, object), pattern).tolist() == want


@given(st.integers(1 - (1 << 62), (1 << 62) - 1), st.integers(-(1 << 31), (1 << 31) - 1))
def test_scale_fp32_is_float32_anywhere(x, pattern):
    if pattern >> 23 & 255 != 255 and fits([x], pattern):
        assert intmath.scale_fp32(int64([x]), pattern).tolist() == float32([x], pattern)
        assert intmath.scale_fp32(np.array([x], object), pattern).tolist() == float32([x], pattern)


def test_scale_fp32_is_float32_on_accumulators():
    stream = SplitMix64(60)
    x = stream.integers(-(1 << 31), (1 << 31) - 1, 20000, "int64")
    patterns = stream.integers(pattern_of(2.0**-40), pattern_of(2.0**-8), 20000, "int64")
    scale = patterns.astype(np.uint32).view(np.float32)
    want = np.rint(x.astype(np.float32) * scale).astype(np.int64)
    assert np.array_equal(intmath.scale_fp32(x, patterns), want)


def test_split_fp32_of_all_kinds():
    for value in (1.0, -0.75, 2.0**-126, 2.0**-149, 0.0, 3.0e38):
        assert rational(pattern_of(value)) == Fraction(float(np.float32(value)))


def test_bitlen_at_every_edge():
    x = [v for v in EDGES if v >= 0]
    want = [v.bit_length() for v in x]
    assert intmath.bitlen(int64(x)).tolist() == want == intmath.bitlen(np.array(x, object)).tolist()


def test_isqrt_around_squares():
    squares = [r * r + d for r in (*range(1, 300), *EDGES) if 0 < r < 1 << 31 for d in (-1, 0, 1)]
    top = [(1 << 62) - 1, (1 << 62), ((1 << 31) + 3) ** 2 - 1, (1 << 63) - 1]
    x = [0, *squares, *top]
    want = [root(v) for v in x]
    assert all(r * r <= v < (r + 1) ** 2 for r, v in zip(want, x))
    assert intmath.isqrt(int64(x)).tolist() == want == intmath.isqrt(np.array(x, object)).tolist()


def test_wrap_int32_keeps_the_low_bits():
    want = [(v + (1 << 31)) % (1 << 32) - (1 << 31) for v in EDGES]
    assert intmath.wrap_int32(int64(EDGES)).tolist() == want
    assert intmath.wrap_int32(np.array(EDGES, object)).tolist() == want
    assert want != EDGES


def test_where_take_spread_and_swap():
    a, b = int64([1, 2, 3]), int64([-1, -2, -3])
    assert intmath.where(int64([1, 0, 1]), a, b).tolist() == [1, -2, 3]
    assert intmath.where(np.array([1, 0, 1], object), a.astype(object), 0).tolist() == [1, 0, 3]
    assert intmath.take(int64([[1, 2], [3, 4]]), int64([[1, 0]])).tolist() == [[[3, 4], [1, 2]]]
    assert intmath.spread(a, -2, 3).shape == (1, 3, 1) == intmath.spread(a, 1, 3).shape
    assert intmath.swap(np.arange(6).reshape(1, 2, 3), -1, -2).tolist() == [[[0, 3], [1, 4], [2, 5]]]


def test_saturate_clamps_and_narrow_raises():
    x = int64([-129, -128, 127, 128])
    assert intmath.saturate(x, -128, 127).tolist() == [-128, -128, 127, 127]
    assert intmath.narrow(x, "int16").dtype == np.int16
    for value in (-129, 128):
        with pytest.raises(BoundError, match="do not lie in"):
            intmath.narrow(int64([value]), "int8")


def test_splitmix64_is_the_published_stream():
    stream = SplitMix64(1234567)
    assert stream.words(1).tolist() + stream.words(1).tolist() == [6457827717110365317, 3203168211198807973]
    assert SplitMix64(1234567).words(2).tolist() == [6457827717110365317, 3203168211198807973]


@pytest.mark.parametrize("low, high", [(-3, 5), (0, 0), (-(1 << 63), (1 << 63) - 1), (-(1 << 63), 5)])
def test_splitmix64_integers_are_low_plus_a_remainder(low, high):
    words = [int(w) for w in SplitMix64(9).words(6)]
    got = SplitMix64(9).integers(low, high, (2, 3), "int64")
    assert got.shape == (2, 3)
    assert got.ravel().tolist() == [low + w % (high - low + 1) for w in words]


def test_exp2_table_is_exactly_rounded():
    # round(v) = t if t - 1/2 < v < t + 1/2, v = 2**(30 - i / 256): raise both sides to the 256th power.
    for i, t in enumerate(exp2_table()):
        assert (2 * t - 1) ** 256 < 2 ** (31 * 256 - i) < (2 * t + 1) ** 256
