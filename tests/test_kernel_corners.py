"""Are the kernels exact where drawn calls seldom go: ties, reciprocals, tile edges, ends of tables and accumulators?"""

import numpy as np
import pytest

from intref.intmath import MAX_SHIFT, ROUNDS_UP
from intref.intmath import mul_shift as exact_mul_shift
from intref.kernels import intmath
from intref.kernels.gemm import LONGEST
from twins import assert_same, outcome, worth_threads


def assert_twins(name, tensors, attrs=None):
    assert_same(*(outcome(name, tensors, attrs or {}, backend) for backend in ("reference", "fast")))


@pytest.mark.parametrize("rule", ROUNDS_UP)
def test_mul_shift_rounds_every_shift_like_the_reference(rule):
    x, m, shift = mul_shift_corners()
    terms = intmath.wide_terms(rule, m, shift)
    found = [intmath.mul_shift(int(v), *(int(t[i]) for t in terms)) for i, v in enumerate(x)]
    np.testing.assert_array_equal(found, exact_mul_shift(x, m, shift, rule))
    narrow = np.abs(x) < 1 << 31
    x, terms = x[narrow], intmath.narrow_terms(rule, m[narrow], shift[narrow])
    found = [intmath.mul_shift_narrow(int(v), *(int(t[i]) for t in terms)) for i, v in enumerate(x)]
    np.testing.assert_array_equal(found, exact_mul_shift(x, m[narrow], shift[narrow], rule))


def mul_shift_corners() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, m, shift for every shift: exact, tie, just beside both, odd and even quotients, both signs, the ends."""
    found = [
        (x, m, shift)
        for shift in range(MAX_SHIFT + 1)
        for m in (1, -3, 1 << 30, (1 << 31) - 1, -(1 << 31))
        for q in (-3, -2, -1, 0, 1, 2, 3, (1 << 31) - 1, 1 << 62, -(1 << 62))
        for offset in (-1, 0, 1)
        for x in ((q << shift >> 1) // m + offset,)
        if abs(x) <= 1 << 62 and abs(x * m) >> shift < 1 << 62
    ]
    return tuple(np.array(found, np.int64).T)


def test_a_product_beyond_int32_is_refused_like_the_reference_refuses_it():
    x, weight = np.full((3, 70000), -32768, np.int16), np.full((2, 70000), -128, np.int8)
    x[:2], weight[1] = 1, 127
    tensors = {"x": x, "weight": weight, "bias": np.zeros(2, np.int32)}
    expected = outcome("linear", tensors, {}, "reference")
    assert "do not lie in" in expected
    assert outcome("linear", tensors, {}, "fast") == expected


@pytest.mark.parametrize("dtype, depth", [("int8", 131072), ("uint8", 65794), ("int16", 512)])
def test_an_accumulator_block_is_as_long_as_int32_allows_and_no_longer(dtype, depth):
    info = np.iinfo(dtype)
    peak = max(-int(info.min), int(info.max)) * 128
    assert peak * LONGEST[dtype] < 1 << 31 <= peak * (LONGEST[dtype] + 1)
    for extreme in (info.min, info.max):
        a, b = np.full((1, depth), extreme, dtype), np.full((depth, 1), -128, np.int8)
        assert_same(*(outcome("matmul", {"a": a, "b": b}, {}, backend) for backend in ("reference", "fast")))


@pytest.mark.parametrize("m, n, k", [(1, 1, 1), (2, 4, 2), (3, 5, 7), (129, 65, 3), (257, 130, 33), (1, 200, 64)])
def test_every_tile_of_a_product_lands_in_its_place(m, n, k):
    rng = np.random.default_rng(m)
    a, b = (rng.integers(-128, 128, shape).astype(np.int8) for shape in ((2, m, k), (2, k, n)))
    for count in (1, 3):
        with worth_threads(count):
            assert_twins("matmul", {"a": a, "b": b})


@pytest.mark.parametrize("exponent", range(10))
def test_token_scales_divide_exactly_beside_every_tie(exponent):
    mantissa = np.arange(1 << 14 if exponent else 1, (1 << 15) if exponent < 9 else (1 << 14) + 1)
    scale = mantissa << exponent
    # 127 * x + scale // 2 is a multiple of scale: x is where the quotient steps.
    coprime = scale % 127 > 0
    scale = scale[coprime]
    inverse = np.array([pow(127, -1, int(s)) if s > 1 else 0 for s in scale])
    step = -(scale >> 1) * inverse % scale
    step -= np.where(step > scale >> 1, scale, 0)
    x = np.stack([scale, -scale, step - 1, step, step + 1], axis=-1).clip(-scale[:, None], scale[:, None])
    assert_twins("quantize_token", {"x": x.astype(np.int32)})


@pytest.mark.parametrize("fraction", range(6, 24))
def test_the_gelu_table_is_cut_where_it_ends(fraction):
    rng = np.random.default_rng(fraction)
    edges = np.arange(0, (8 << fraction) + 1, 1 << fraction - 6)[:, None] + [-1, 0, 1]
    x = np.unique(np.clip([edges, -edges], -(1 << 23), 1 << 23)).astype(np.int32)
    table = rng.integers(1 << 21, 1 << 22, 513).astype(np.int32)
    assert_twins("gelu_table", {"x": x, "table": table}, {"fraction": fraction})


def test_ibert_exponents_divide_exactly_at_every_multiple_of_ln2():
    mask = np.ones((1, 93), np.int8)
    for ln2 in (1, 3, 7, 45425, 65535, 65536):
        below = np.arange(31)[:, None] * ln2 + [-1, 0, 1]
        x = np.concatenate([-below.reshape(1, -1), 2**30 - below.reshape(1, -1)]).astype(np.int32)[None, None]
        attrs = {"ln2": ln2, "b": ln2, "c": 1 << 32, "multiplier": (1 << 31) - 1, "shift": 78}
        assert_twins("softmax_ibert", {"x": x, "mask": mask}, attrs)


@pytest.mark.parametrize("eps", [0, 1, 1 << 60])
def test_a_layernorm_of_equal_or_nearly_equal_elements_is_the_reference(eps):
    x = np.array([[0, 0], [5, 5], [0, 1], [1, 0], [-1, 0], [-(1 << 23), 1 << 23]], np.int32)
    gain, bias = np.array([(1 << 31) - 1, -(1 << 31)], np.int32), np.array([-(1 << 60), 1 << 60])
    for shift in (1, 31, 60):
        attrs = {"eps": eps, "shift": shift, "low": -(1 << 31), "high": (1 << 31) - 1}
        assert_twins("layernorm_fixed", {"x": x, "gain": gain, "bias": bias}, attrs)


@pytest.mark.parametrize("shift", [31, 32, 33, 50, 62, 63, 71, 72, 94])
@pytest.mark.parametrize("rounding", ["gemmlowp_double", "tosa_double"])
def test_double_roundings_are_the_reference_at_ties_of_both_signs(rounding, shift):
    x = np.concatenate([np.arange(-600, 600), [-(1 << 31), (1 << 31) - 1, 1 << 30, -(1 << 30)]]).astype(np.int32)
    for multiplier in (0, 1, 1 << 30, (1 << 30) + 1, (1 << 31) - 1):
        tensors = {"x": x, "multiplier": np.array([multiplier], np.int32), "shift": np.array([shift], np.int8)}
        if rounding == "gemmlowp_double" or shift <= 62:
            assert_twins("rescale", tensors, {"rounding": rounding, "output": "int32"})


@pytest.mark.parametrize("shift", [2, 40, 62, 63])
@pytest.mark.parametrize("rounding", ["half_even", "ceil"])
def test_a_centred_int32_times_any_multiplier_is_exact(rounding, shift):
    x = np.array([-(1 << 31), -1, 0, 1, (1 << 31) - 1], np.int32)
    for zero in (-(1 << 31), (1 << 31) - 1):
        for multiplier in (-(1 << 31), (1 << 31) - 1):
            tensors = {"x": x, "multiplier": np.array([multiplier], np.int32), "shift": np.array([shift], np.int8)}
            assert_twins("rescale", tensors, {"rounding": rounding, "input_zero_point": zero, "output": "int64"})


def test_float32_scales_are_exact_from_subnormal_to_the_largest_result():
    x = np.array([0, 1, -1, (1 << 24) + 1, (1 << 24) + 3, -(1 << 31), (1 << 31) - 1, (1 << 53) + 1])
    for biased in range(0, 135):
        for fraction in (0, 1, (1 << 22) + 1, (1 << 23) - 1):
            pattern = np.array([biased << 23 | fraction], np.int32)
            tensors = {"x": x, "multiplier": pattern, "shift": np.zeros(1, np.int8)}
            assert_twins("rescale", tensors, {"rounding": "fp32_half_even", "output": "int64"})
