"""Intervals hold every value that their elements can take; tracers log what a body does."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intref import intmath
from intref.errors import BoundError
from intref.numbertypes import Interval, Tracer

RULES = [*intmath.ROUNDS_UP]
TABLE = np.array([[7, -3], [0, 0], [-(1 << 40), 5], [9, 1 << 40]])
WEIGHT = np.array([[2, -1], [-3, 4], [1 << 20, -5]])
ENDS = [0, 1, 2, 3, 127, 128, *((1 << k) - d for k in (15, 31, 61, 62) for d in (0, 1)), (1 << 63) - 1]


def small(x, high):
    return intmath.saturate(x, 0, high)


UNARY = {
    "negative": lambda x: -x,
    "square": intmath.square,
    "absolute": intmath.absolute,
    "isqrt": lambda x: intmath.isqrt(intmath.absolute(x)),
    "bitlen": lambda x: intmath.bitlen(intmath.absolute(x)),
    "wrap_int32": intmath.wrap_int32,
    "mask": lambda x: x & 255,
    "sum_along": lambda x: intmath.sum_along(x, -1),
    "max_along": lambda x: intmath.max_along(x, -1),
    "running_sum": lambda x: intmath.running_sum(x, -1),
    "running_max": lambda x: intmath.running_max(x, -1),
    "take": lambda x: intmath.take(TABLE, small(x, 3))[..., 1],
    "matmul": lambda x: intmath.matmul(x[..., :1], np.array([[3, -2, 1]])),
    "scale_fp32": lambda x: intmath.scale_fp32(x, 0x3FC00001),
    "scale_fp32 by a negative": lambda x: intmath.scale_fp32(x, -0x40C00001),
}
BINARY = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "maximum": intmath.maximum,
    "minimum": intmath.minimum,
    "floor_divide": lambda a, b: a // intmath.maximum(b, 1),
    "div_half_up": lambda a, b: intmath.div_half_up(a, intmath.maximum(b, 1)),
    "left_shift": lambda a, b: a << small(b, 31),
    "right_shift": lambda a, b: a >> small(b, 94),
    "shift_half_up": lambda a, b: intmath.shift_half_up(a, small(b, 70)),
    "greater": lambda a, b: intmath.where(a > b, a, b),
    "greater_equal": lambda a, b: intmath.where(a >= 0, b, a),
    "less": lambda a, b: intmath.where(a < b, 1, 0),
    **{f"mul_shift {r}": lambda a, b, r=r: intmath.mul_shift(a, b, small(b, 94), r) for r in RULES},
    **{f"divide {r}": lambda a, b, r=r: intmath.divide(a, intmath.maximum(b, 1), r) for r in RULES},
}


@dataclass
class Inputs:
    """Three elements each: intervals, and a member of each."""

    intervals: list[Interval]
    members: list[np.ndarray]


@st.composite
def inputs(draw, peak: int) -> Inputs:
    value = st.integers(-peak, peak) | st.sampled_from([v for e in ENDS if e <= peak for v in (-e, e)])
    intervals, members = [], []
    for _ in range(2):
        pairs = [sorted(draw(st.tuples(value, value))) for _ in range(3)]
        lo, hi = (np.array(side, object) for side in zip(*pairs))
        intervals.append(Interval(lo, hi))
        members.append(np.array([draw(st.integers(a, b) | st.sampled_from([a, b])) for a, b in pairs], object))
    return Inputs(intervals, members)


def holds(interval: Any, value: Any) -> bool:
    interval, value = Interval.of(interval), np.asarray(value, object)
    return interval.shape == value.shape and bool(np.all(interval.lo <= value) and np.all(value <= interval.hi))


@pytest.mark.parametrize("word", UNARY)
@settings(max_examples=25)
@given(data=st.data())
def test_one_primitive_stays_inside(word, data):
    given_ = data.draw(inputs((1 << 63) - 1 if word != "square" else 1 << 40))
    assert holds(UNARY[word](given_.intervals[0]), UNARY[word](given_.members[0]))


@pytest.mark.parametrize("word", BINARY)
@settings(max_examples=25)
@given(data=st.data())
def test_two_operands_stay_inside(word, data):
    given_ = data.draw(inputs((1 << 63) - 1))
    assert holds(BINARY[word](*given_.intervals), BINARY[word](*given_.members))


EXPRESSIONS = st.recursive(
    st.sampled_from([0, 1]) | st.tuples(st.just("constant"), st.integers(-(1 << 31), 1 << 31)),
    lambda x: st.tuples(st.sampled_from([*UNARY]), x) | st.tuples(st.sampled_from([*BINARY]), x, x),
    max_leaves=6,
)


def value_of(expression: Any, leaves: list[Any]) -> Any:
    match expression:
        case int(leaf):
            return leaves[leaf]
        case ("constant", value):
            return leaves[0] * 0 + value
        case (word, a):
            return UNARY[word](value_of(a, leaves))
        case (word, a, b):
            return BINARY[word](value_of(a, leaves), value_of(b, leaves))


@given(EXPRESSIONS, inputs(1 << 24))
def test_expressions_stay_inside(expression, given_):
    interval, value = value_of(expression, given_.intervals), value_of(expression, given_.members)
    assert holds(interval, value)


@settings(max_examples=50)
@given(inputs(1 << 40))
def test_within_cuts_and_stays_inside(given_):
    x, member = given_.intervals[0], given_.members[0]
    inside = np.all((member >= -5) & (member <= 1000))
    assert not inside or holds(intmath.within(x, -5, 1000), member)
    assert -5 <= intmath.within(x, -5, 1000).min() and intmath.within(x, -5, 1000).max() <= 1000


@settings(max_examples=50)
@given(inputs(1 << 62))
def test_matmul_stays_inside_whichever_side_is_exact(given_):
    (a, b), (x, y) = given_.intervals, given_.members
    weight = WEIGHT.astype(object)
    assert holds(intmath.matmul(a.reshape((1, 3)), WEIGHT), x[None] @ weight)
    assert holds(intmath.matmul(WEIGHT.T, a.reshape((3, 1))), weight.T @ x[:, None])
    assert holds(intmath.matmul(a, b.reshape((3, 1))), x @ y[:, None])
    assert holds(intmath.matmul(a.reshape((1, 3)), b.reshape((3, 1))), x[None] @ y[:, None])


def ends(x: Any) -> tuple[int, int]:
    return x.min(), x.max()


TOP = Interval(np.full(4, (1 << 62) - 1), np.full(4, 1 << 62))
BOTTOM = Interval(np.full(4, -(1 << 63)), np.full(4, -(1 << 63) + 1))


@pytest.mark.parametrize(
    "made, want",
    {
        "add": (lambda: TOP + TOP, ((1 << 63) - 2, 1 << 63)),
        "subtract": (lambda: BOTTOM - TOP, (-(1 << 63) - (1 << 62), -(1 << 63) - (1 << 62) + 2)),
        "multiply": (lambda: TOP * TOP, (((1 << 62) - 1) ** 2, 1 << 124)),
        "square": (lambda: intmath.square(BOTTOM), (((1 << 63) - 1) ** 2, 1 << 126)),
        "negative": (lambda: -BOTTOM, ((1 << 63) - 1, 1 << 63)),
        "absolute": (lambda: intmath.absolute(BOTTOM), ((1 << 63) - 1, 1 << 63)),
        "sum": (lambda: intmath.sum_along(TOP, -1), ((1 << 64) - 4, 1 << 64)),
        "running sum": (lambda: intmath.running_sum(TOP, -1), ((1 << 62) - 1, 1 << 64)),
        "left shift": (lambda: TOP << 94, ((1 << 156) - (1 << 94), 1 << 156)),
        "right shift": (lambda: TOP >> 94, (0, 0)),
        "right shift, negative": (lambda: BOTTOM >> 94, (-1, -1)),
        "back to int64": (lambda: (TOP + TOP) - (TOP + TOP), (-2, 2)),
    }.values(),
)
def test_bounds_are_exact_where_int64_ends(made, want):
    assert ends(made()) == want


def test_exact_values_beside_the_switch_do_not_wrap():
    low = Interval(np.array([-(1 << 63)]))
    assert (-low).max() == 1 << 63 and intmath.absolute(low).max() == 1 << 63
    assert (low // 1).min() == -(1 << 63) and (low + low).min() == -(1 << 64)


@pytest.mark.parametrize(
    "made, message",
    {
        "divisor": (lambda x: 1 // x, "divisor"),
        "shift": (lambda x: 1 << x, "shift"),
        "long shift": (lambda x: x >> 95, "shift"),
        "mask": (lambda x: x & -1, "mask"),
        "index": (lambda x: intmath.take(TABLE, x), "index"),
        "no rule": (lambda x: x ^ x, "no interval rule"),
    }.values(),
)
def test_what_intervals_cannot_bound_is_refused(made, message):
    with pytest.raises(BoundError, match=message):
        made(Interval(np.array([-1]), np.array([1])))


def test_hull_broadcast_and_layout_move_both_ends():
    x = Interval(np.arange(6).reshape(2, 3), np.arange(6).reshape(2, 3) * 10)
    assert ends(x.hull((0, 1))) == (0, 50) and x.hull((0,)).shape == (1, 3)
    assert x.hull((1,)).hi.tolist() == [[20], [50]]
    assert intmath.swap(x, 0, 1).hi.tolist() == [[0, 30], [10, 40], [20, 50]]
    assert x[1].broadcast((4, 3)).lo.tolist() == [[3, 4, 5]] * 4
    assert x.reshape((6,)).lo.tolist() == [*range(6)] and len(x) == 2 and x.ndim == 2


def test_a_tracer_logs_every_intermediate_in_order():
    log: list[Tracer] = []
    x, shift = Tracer(np.array([5, -7]), "x", log), Tracer(1, "shift", log)
    y = intmath.mul_shift(intmath.saturate(x - 1, -6, 6), 3, shift, "half_even")
    assert y.value.tolist() == [6, -9]
    assert [t.text for t in log] == [
        "x", "shift", "subtract(%0, 1)", "maximum(%2, -6)", "minimum(%3, 6)", "mul_shift[half_even](%4, 3, %1)",
    ]  # fmt: skip
