"""Are the cases of every level what they say: solved, frozen, addressable, and calls that the op takes?"""

import hashlib
from fractions import Fraction
from math import isqrt

import numpy as np
import pytest

from intref import call
from intref.digest import digest
from intref.errors import SpecError
from intref.intmath import mul_shift, spread
from intref.ops import OPS
from intref.ops.rescale import RULES
from intref.vectors import FLAGS, cases, stream
from intref.vectors.drawn import AXES, DRAWS, LONG, drawn
from intref.vectors.drawn.chance import Chance
from intref.vectors.exhaustive import MAKERS, exhaustive, short_rows
from intref.vectors.levels import LEVELS, RANDOM, count, numbered
from intref.vectors.reach.norms import squares
from intref.vectors.reach.sweeps import digits, lengths


@pytest.fixture(params=OPS)
def op_name(request):
    return request.param


def fingerprint(named):
    text = "".join(f"{identity} {digest(case.tensors)} {sorted(case.attrs.items())}\n" for identity, case in named)
    return hashlib.sha256(text.encode()).hexdigest()


def test_every_op_has_random_calls():
    assert DRAWS.keys() == OPS.keys() and MAKERS.keys() <= OPS.keys()


def test_level_1_is_the_directed_cases(op_name):
    named = [*stream(op_name)]
    assert [case.why for _, case in named] == [case.why for case in cases(op_name)]
    assert [identity for identity, _ in named][:2] == [f"{op_name}-0000", f"{op_name}-0001"]


def test_random_calls_keep_the_contract(op_name):
    for number in range(40):
        case = drawn(op_name, number, seed=7)
        assert {*case.flags} <= FLAGS.keys()
        made = call(op_name, case.tensors, case.attrs)
        assert made.keys() == OPS[op_name].outputs.keys()


def test_random_calls_keep_the_contract_at_every_long_size(op_name):
    for turn in range(len(AXES[op_name].split()) * len(LONG)):
        case = drawn(op_name, 15 + 16 * turn)
        OPS[op_name].run(case.tensors, OPS[op_name].check(case.tensors, case.attrs))


def test_a_case_does_not_depend_on_those_before_it(op_name):
    size = len(cases(op_name))
    part = [*stream(op_name, 2, seed=3, start=size, stop=size + 4)]
    alone = [numbered(op_name, 2, size + i, seed=3) for i in (3, 2, 1, 0)]
    assert fingerprint(part) == fingerprint(reversed(alone))
    assert fingerprint(part) != fingerprint(stream(op_name, 2, seed=4, start=size, stop=size + 4))


def test_a_random_call_is_the_same_at_levels_2_and_3():
    first, few = len(cases("table")), len(exhaustive("table"))
    low, high = numbered("table", 2, first + 5, 9), numbered("table", 3, first + few + 5, 9)
    assert low[0] == high[0] == "table-r9-000005" and fingerprint([low]) == fingerprint([high])


def test_the_random_stream_is_frozen():
    named = [(f"{op}-{n}", drawn(op, n, seed=1)) for op in FIRST for n in range(3)]
    assert fingerprint(named) == FROZEN


FIRST = ("linear", "rescale", "softmax_ibert", "layernorm_fixed")  # how numbers are drawn shows in any
FROZEN = "a5948c96732d32ca32febe78f7b15b9188ac9cdd05b3b7c2dcd3d5ee1bbe3b56"


def test_ids_are_unique(op_name):
    for level in LEVELS:
        last = min(count(op_name, level), len(cases(op_name)) + 50)
        names = [identity for identity, _ in stream(op_name, level, stop=last)]
        assert len({*names}) == len(names) == last


def test_levels_grow():
    for op_name in OPS:
        sizes = [count(op_name, level) for level in LEVELS]
        assert sizes == sorted(sizes) and sizes[1] == sizes[0] + RANDOM[2] and sizes[2] >= sizes[0] + RANDOM[3]


def test_an_unknown_op_or_level_is_refused():
    with pytest.raises(SpecError, match=r"no such op.*\(C1\)"):
        next(stream("softmax"))
    with pytest.raises(SpecError, match="level must be one of 1, 2, 3"):
        next(stream("table", 4))


@pytest.mark.parametrize("op_name", MAKERS)
def test_exhaustive_cases_keep_the_contract(op_name):
    makers = exhaustive(op_name)
    for maker in makers[:: max(len(makers) // 4, 1)]:
        case = maker()
        OPS[op_name].check(case.tensors, case.attrs)
        assert case.why


def test_exhaustive_rescales_hold_every_operand():
    every = {t.dtype.name: {*map(int, t)} for t in (exhaustive("rescale")[i]().tensors["x"] for i in (0, -1))}
    assert every == {"int8": {*range(-128, 128)}, "int16": {*range(-(1 << 15), 1 << 15)}}


def test_short_rows_are_all_there():
    rows = short_rows(3)
    assert rows.shape == (21**3, 3) and len({*map(tuple, rows.tolist())}) == 21**3 and rows.max() == 20


def test_int4_weights_meet_every_byte_in_both_lanes():
    case = exhaustive("linear_int4")[0]()
    assert {*case.tensors["weight"].ravel().tolist()} == {*range(256)}
    y = call("linear_int4", case.tensors, case.attrs)["y"]
    nibbles = np.arange(256)
    low, high = ((n + 8) % 16 - 8 for n in (nibbles % 16, nibbles // 16))
    assert np.array_equal(y[:256], np.arange(-128, 128)[:, None] * low)
    assert np.array_equal(y[256:], np.arange(-128, 128)[:, None] * high)


def test_lengths_hold_both_signs_of_every_bit_length():
    found = {(v.bit_length(), v < 0) for v in lengths(-(1 << 31), (1 << 31) - 1) if v}
    assert found == {(bits, sign) for bits in range(1, 32) for sign in (True, False)} | {(32, True)}


EXACT = RULES[:-3]


@pytest.mark.parametrize("rule", EXACT)
def test_another_rule_or_shift_shows_in_rescale_at_every_shift(rule):
    left = {(k, other) for k in range(2, 93) for other in (*EXACT, "one more", "one less") if other != rule}
    for case in cases("rescale"):
        attrs = OPS["rescale"].complete(case.attrs)
        if attrs["rounding"] == rule:
            left -= shown_by(case.tensors, attrs)
    assert left == set()


def shown_by(tensors, attrs):
    """(shift, what else is done there) that this call tells from the right thing."""
    x = tensors["x"].astype(np.int64) - attrs["input_zero_point"]
    m, shift = (spread(tensors[k].astype(np.int64), attrs["axis"], x.ndim) for k in ("multiplier", "shift"))
    wrong = {rule: (rule, shift) for rule in EXACT}
    wrong |= {word: (attrs["rounding"], np.clip(shift + d, 0, 94)) for word, d in (("one more", 1), ("one less", -1))}
    with np.errstate(over="ignore"):
        made = {name: mul_shift(x, m, s, rule) + attrs["output_zero_point"] for name, (rule, s) in wrong.items()}
    made = {name: np.clip(y, attrs["low"], attrs["high"]) for name, y in made.items()}
    right = made[attrs["rounding"]]
    each = np.broadcast_to(shift, right.shape)
    return {(int(k), name) for name, y in made.items() for k in np.unique(each[y != right])}


def test_one_random_call_in_sixteen_has_a_long_axis(op_name):
    sizes = [max(max(t.shape) for t in drawn(op_name, 15 + 16 * turn).tensors.values()) for turn in range(6)]
    assert min(sizes) >= 129


def test_ids_are_drawn_above_2_to_the_16():
    ids = [drawn("embedding", 15 + 16 * turn).tensors["ids"] for turn in range(4)]
    assert max(int(t.max()) for t in ids) > 1 << 16


def test_digits_solve_rows_from_their_sums():
    weights, goals = [1, 128, 1 << 14, *[-(1 << 15)] * 520], [0, 1, -1, 77777, (1 << 31) - 1, -(1 << 31)]
    rows = digits(goals, weights, 127)
    assert (rows @ np.array(weights)).tolist() == goals and rows.min() >= -128 and rows.max() <= 127


@pytest.mark.parametrize("total", [1, 3, 24, (1 << 30) - 1, 1 << 40, (1 << 52) + 1])
def test_squares_sum_to_their_total(total):
    row = squares(total, 25)
    assert sum(v * v for v in row) == total and max(map(abs, row)) <= 1 << 25


def test_layernorm_meets_every_root_at_and_beside_its_square():
    met = set()
    for case in cases("layernorm_ibert"):
        rows = case.tensors["x"].reshape(-1, case.tensors["x"].shape[-1]).tolist()
        for row in rows if not case.attrs["shift"] else []:
            mean = round(Fraction(sum(row), len(row)))  # ties to even
            v = sum((x - mean) ** 2 for x in row)
            root = isqrt(v)
            beside = {0: root * root, 1: root * root + 1, -1: (root + 1) ** 2 - 1}
            met |= {(root.bit_length(), off) for off, square in beside.items() if v == square}
    assert met >= {(bits, off) for bits in range(1, 31) for off in (-1, 0, 1)}


def test_chance_draws_ends_signs_and_every_length():
    values = Chance(5).widely(-(1 << 31), (1 << 31) - 1, 4000)
    assert {int(v).bit_length() for v in values} == {*range(33)}
    assert {-(1 << 31), (1 << 31) - 1, 0, 1, -1} <= {*map(int, values)}
    masks = Chance(6).mask((400, 7))
    assert {int(row.sum()) for row in masks} == {*range(8)}


def test_chance_stays_inside():
    for low, high in ((0, 0), (-1, 0), (3, 9), (-(1 << 62), 1 << 62), (-(1 << 63), (1 << 63) - 1)):
        values = Chance(8).widely(low, high, 300)
        assert values.min() >= low and values.max() <= high
