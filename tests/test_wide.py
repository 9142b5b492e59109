"""Are the wide ops worked out by hand, within their proved errors, and a yardstick that stands for real numbers?"""

import math
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest

import intref
from intref import call
from intref.dialects.budget import budget, unpadded
from intref.intmath import mul_shift
from intref.ops.wide import WIDE
from intref.quantize import cells
from intref.quantize.calibration import batches_for

UNIT = 1 << 46
PI = Decimal("3.14159265358979323846264338327950288419716939937510582")


def wide(op, attrs=None, **tensors):
    dtypes = {"mask": "int8"}
    made = {k: np.array(v, dtypes.get(k, "int64")) for k, v in tensors.items()}
    return next(iter(call(op, made, attrs or {}).values())).tolist()


def test_products_round_once_and_half_up():
    # 3 * 2**47 / 2**48 = 1.5 -> 2; -1.5 -> -1; 5 * 2**46 / 2**48 = 1.25 -> 1; and the bias after it
    x = [[3 << 45, 0], [-(3 << 45), 0], [5 << 44, 1]]
    assert wide("linear_wide", {"shift": 48}, x=x, weight=[[4, 1]], bias=[10]) == [[12], [9], [11]]
    # (2**24 - 1) * (2**24 + 1) = 2**48 - 1: half_up by 48 is 1, by 49 is 0; one more term of 1 is a tie at 49
    a = [[(1 << 24) - 1, 1]]
    assert wide("matmul_wide", {"shift": 48}, a=a, b=[[(1 << 24) + 1], [0]]) == [[1]]
    assert wide("matmul_wide", {"shift": 49}, a=a, b=[[(1 << 24) + 1], [0]]) == [[0]]
    assert wide("matmul_wide", {"shift": 49}, a=a, b=[[(1 << 24) + 1], [1]]) == [[1]]
    # 8 * 2**46 * 2**46 / 2**48 = 2**47 is clipped
    assert wide("matmul_wide", {"shift": 48}, a=[[1 << 46] * 8], b=[[1 << 46]] * 8) == [[WIDE]]


def test_sums_and_means():
    # (3 * 2 + 1) / 4 = 1.75 -> 2; (-3 * 2 + 0) / 4 = -1.5 -> -1
    attrs = {"a_shift": 1, "b_shift": 0, "shift": 2}
    assert wide("add_wide", attrs, a=[3, -3, WIDE], b=[1, 0, WIDE]) == [2, -1, (3 * WIDE + 2) // 4]
    # (1 + 2) / 2 = 1.5 -> 2; (-1 - 2) / 2 = -1.5 -> -1; the third token is padding
    assert wide("mean_pool_wide", x=[[1, -1], [2, -2], [9, 9]], mask=[1, 1, 0]) == [2, -1]


def test_norms_of_rows_whose_roots_are_whole():
    # 3, 4 of length 5: 0.6 and 0.8, to 2**-45
    got = wide("l2_normalize_wide", x=[3 << 20, -(4 << 20)])
    assert [abs(v - UNIT * f) < 2 for v, f in zip(got, (0.6, -0.8))] == [True, True]
    assert wide("l2_normalize_wide", x=[0, 0]) == [0, 0]
    # mean 2, deviations -1 and 1, length sqrt(2); gain 2**47 / 2**48 = 1/2 of 2**46 / sqrt(2), and the bias
    got = wide("layernorm_wide", {"eps": 0, "most": 48, "shift": 48}, x=[1, 3], gain=[1 << 46] * 2, bias=[5, 5])
    assert [abs(v - 5 - sign * UNIT / 4 / math.sqrt(2)) < 2 for v, sign in zip(got, (-1, 1))] == [True, True]


def test_functions_of_a_table_of_one_cell():
    # 1/32 is a cell: x = 1 at 6 fraction bits is its middle, t = 0, where the polynomial is its constant, 2**47
    table = [[1 << 47, 9, 9, 9, 9, 9, 9]]
    assert wide("gelu_wide", {"fraction": 6}, x=[1, -1, 2, -2], coefficients=table) == [1 - 32, -32, 2, 0]
    assert wide("tanh_wide", {"fraction": 6}, x=[1, -1, 2], coefficients=table) == [UNIT // 2, -UNIT // 2, UNIT]
    # two keys of e = 2**47 and one that is masked: a half each
    attrs = {"multiplier": 0, "shift": 48, "fraction": 24}
    flat = [[1 << 47, 0, 0, 0, 0, 0, 0]]
    assert wide("softmax_wide", attrs, x=[[[[5, 9, 7]]]], mask=[[1, 1, 0]], coefficients=flat) == [
        [[[UNIT // 2, UNIT // 2, 0]]]
    ]


def test_mul_shift_by_a_wide_multiplier_is_exact():
    random = np.random.default_rng(3)
    x, m = (random.integers(-(1 << 62), 1 << 62, 500) >> random.integers(0, 40, 500) for _ in range(2))
    for shift in (63, 64, 65, 80, 94):
        for rule in ("floor", "half_up", "half_even", "half_away"):
            exact = [Fraction(int(a) * int(b), 1 << shift) for a, b in zip(x, m)]
            want = {
                "floor": [math.floor(v) for v in exact],
                "half_up": [math.floor(v + Fraction(1, 2)) for v in exact],
                "half_even": [round(v) for v in exact],
                "half_away": [math.floor(abs(v) + Fraction(1, 2)) * (1 if v >= 0 else -1) for v in exact],
            }[rule]
            kept = [abs(v) < 1 << 62 for v in exact]
            got = mul_shift(x[kept], m[kept], shift, rule)
            assert got.tolist() == [v for v, keep in zip(want, kept) if keep], (shift, rule)


def points(limit, fraction, count=1500):
    """Integers that stand for numbers in [0, limit): edges of cells, their neighbours, and anything."""
    random, most = np.random.default_rng(7), int(limit * 2**fraction)
    edges = np.arange(0, most, 1 << fraction - 5)[:count]
    near = np.concatenate([edges, edges + 1, np.maximum(edges - 1, 0), random.integers(0, most, count)])
    return np.minimum(near, most - 1)


def exp2_exactly(v):
    return (-v * Decimal(2).ln()).exp()


def tail_exactly(v):
    """v * Phi(-v), by the series of all positive terms."""
    return cells._gelu(v)[0]


def tanh_exactly(v):
    return 1 - 2 / ((2 * v).exp() + 1)


def errors(found, exact, x, fraction, unit):
    """The largest |found * unit - exact(x / 2**fraction)|."""
    with localcontext() as context:
        context.prec = 40
        return max(abs(Decimal(int(a)) * unit - exact(Decimal(int(b)) / 2**fraction)) for a, b in zip(found, x))


def test_gelu_errs_by_less_than_its_bound():
    """Taylor leaves out less than 2**-48, roundings on the way add 2**-46, and then comes one of 2**-44."""
    x = points(9, 43)
    got = wide("gelu_wide", {"fraction": 43}, x=x, coefficients=cells.gelu())
    assert errors([int(a) - g for a, g in zip(x, got)], tail_exactly, x, 43, Decimal(2) ** -43) < Decimal(2) ** -43
    got = wide("gelu_wide", {"fraction": 43}, x=-x, coefficients=cells.gelu())
    assert errors([-g for g in got], tail_exactly, x, 43, Decimal(2) ** -43) < Decimal(2) ** -43


def test_tanh_errs_by_less_than_its_bound():
    x = points(20, 42)
    got = wide("tanh_wide", {"fraction": 42}, x=x, coefficients=cells.tanh())
    assert errors(got, tanh_exactly, x, 42, Decimal(2) ** -46) < Decimal(2) ** -44


def test_probabilities_err_by_less_than_their_bound():
    """Two keys, one at the maximum: p = 1 / (1 + 2**v). The exponent has 40 fraction bits."""
    x = points(30, 40, 960)
    rows = np.stack([np.zeros_like(x), -x], -1).reshape(-1, 1, 1, 2)
    attrs = {"multiplier": 1 << 46, "shift": 48, "fraction": 38}  # u = d / 4
    got = wide("softmax_wide", attrs, x=rows, mask=np.ones((len(x), 2)), coefficients=cells.exp2())
    exact = [lambda v: 1 / (1 + exp2_exactly(v)), lambda v: 1 - 1 / (1 + exp2_exactly(v))]
    for key in (0, 1):
        column = [row[0][0][key] for row in got]
        assert errors(column, exact[key], x, 40, Decimal(2) ** -46) < Decimal(2) ** -38


def test_every_cell_s_remainder_is_below_its_bound():
    """Against the function's own values: at the ends of a cell, where a remainder is largest, and inside."""
    with localcontext() as context:
        context.prec = 40
        for taylor, limit, bits in ((cells._exp2, 1, 57), (cells._gelu, 8, 48), (cells._tanh, 18, 46)):
            for i in range(0, 32 * limit, 3):
                middle, half = Decimal(2 * i + 1) / 64, Decimal(1) / 64
                row = taylor(middle)
                for t in (-half, half / 2, half):
                    exact = taylor(middle + t)[0]
                    found = sum(c * t**power for power, c in enumerate(row))
                    assert abs(exact - found) < Decimal(2) ** -bits


@pytest.fixture(scope="module")
def sentiment():
    model = intref.load("golden/models/sentiment")
    return model, batches_for(model, None, 0)[0]


@pytest.fixture(scope="module")
def yardstick(sentiment):
    model, calib = sentiment
    return model.quantize("wide", calib=calib)


def test_stands_for_the_float_model_and_is_the_same_on_both_backends(sentiment, yardstick):
    model, calib = sentiment
    batch = {name: values[:4] for name, values in calib[0].items()}
    fast, slow, floats = yardstick.run(batch), yardstick.run(batch, backend="reference"), model.run(batch)
    assert fast.digest == slow.digest
    mask = np.asarray(batch.get("attention_mask", np.ones_like(batch["input_ids"]))) == 1
    for name in fast.outputs:
        a, b = fast.float(name), np.asarray(floats[name], np.float64)
        a, b = (v[mask] if v.ndim == 3 else v for v in (a, b))
        cosine = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
        assert cosine.min() > 1 - 1e-7, name


def test_nothing_saturates_in_the_yardstick(sentiment, yardstick):
    made = yardstick.run({k: v[:2] for k, v in sentiment[1][0].items()}, trace="all").trace
    assert all(np.abs(v).max() < WIDE for v in made.values() if v.dtype == np.int64)


@pytest.mark.parametrize(("profile", "recipe"), [("ibert", "ibert"), ("intref", "w8a8-token")])
def test_does_a_budget_name_what_a_dialect_loses(sentiment, profile, recipe):
    model, calib = sentiment
    found = budget(model, profile, recipe, [{k: v[:4] for k, v in calib[0].items()}], calib)
    rows = {(row.source, row.kind): row.distance["logits"] for row in found.rows}
    assert ("weights", "linear") in rows and ("op", "softmax") in rows and ("op", "activation") in rows
    assert all(0 <= distance < 1 for distance in rows.values())
    whole, together = found.whole.distance["last_hidden_state"], found.together("last_hidden_state")
    assert 0.5 < together / whole < 2  # the sources, as if independent, explain it to a factor


def test_the_budget_of_the_yardstick_itself_is_nothing(sentiment):
    model, calib = sentiment
    found = budget(model, "wide", "wide", [{k: v[:2] for k, v in calib[0].items()}], calib)
    assert max(row.distance["logits"] for row in (*found.rows, found.whole)) < 1e-9


def test_batches_are_regrouped_without_padding(sentiment):
    model, _ = sentiment
    ids, mask = [[5, 6, 0], [7, 8, 9], [3, 4, 0]], [[1, 1, 0], [1, 1, 1], [1, 1, 0]]
    made = unpadded(model, [{"input_ids": ids, "attention_mask": mask}])
    assert [batch["input_ids"].tolist() for batch in made] == [[[5, 6], [3, 4]], [[7, 8, 9]]]
