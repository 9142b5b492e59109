"""Are multipliers, weights and constants what their formulas say, and I-BERT's ops what its published modules do?"""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import intref
from intref.errors import BoundError
from intref.intmath import MAX_SHIFT
from intref.quantize import scales
from intref.quantize.scales import dyadic, fitted, norm_shift, rounded

F32 = np.float32


def exact_dyadic(ratio: float, bits: int, max_shift: int) -> tuple[int, int]:
    """The definition, in rationals: the mantissa half away from zero, then bits lost half up at the largest shift."""
    r = abs(Fraction(ratio))
    if not r:
        return 0, 0
    shift = 0
    while r * 2**shift < 2 ** (bits - 1):
        shift += 1
    multiplier = int(r * 2**shift + Fraction(1, 2))
    if multiplier == 2**bits:
        multiplier, shift = multiplier // 2, shift - 1
    if shift > max_shift:
        multiplier, shift = int(Fraction(multiplier, 2 ** min(shift - max_shift, 62)) + Fraction(1, 2)), max_shift
    return (multiplier if ratio > 0 else -multiplier), shift


RATIOS = st.one_of(
    st.floats(2.0**-120, 2.0**30, exclude_max=True),
    st.builds(lambda m, e: m * 2.0**e, st.integers(1, 1 << 53), st.integers(-150, -24)),
    st.builds(lambda k, e: (1 - k * 2.0**-33) * 2.0**e, st.integers(0, 8), st.integers(-99, 30)),  # rounds to 2**31
    st.builds(lambda k, e: (2**31 + k + 0.5) * 2.0**e, st.integers(0, 99), st.integers(-120, -2)),  # a tie
)


@given(ratio=RATIOS, sign=st.sampled_from([1, -1]))
def test_is_dyadic_the_definition(ratio, sign):
    multiplier, shift = dyadic(sign * ratio)
    assert (int(multiplier[0]), int(shift[0])) == exact_dyadic(sign * ratio, 31, MAX_SHIFT)
    assert multiplier.dtype == np.int32 and shift.dtype == np.int8


@given(ratio=st.floats(2.0**-90, 2.0**15), bits=st.sampled_from([16, 24]), most=st.sampled_from([38, 62, 70]))
def test_is_dyadic_the_definition_for_fewer_bits(ratio, bits, most):
    multiplier, shift = dyadic(ratio, bits, most)
    assert (int(multiplier[0]), int(shift[0])) == exact_dyadic(ratio, bits, most)


@pytest.mark.parametrize(
    "ratio, want",
    [
        (0.0, (0, 0)),
        (-0.0, (0, 0)),
        (1.0, (1 << 30, 30)),
        (-1.0, (-(1 << 30), 30)),
        (0.5, (1 << 30, 31)),
        (2.0**31 - 1, (2**31 - 1, 0)),
        (1 - 2.0**-32, (1 << 30, 30)),  # 2**31 - 1/2 rounds to 2**31
        (1 - 2.0**-31, (2**31 - 1, 31)),
        (2.0**-64, (1 << 30, 94)),
        (2.0**-65, (1 << 29, 94)),
        (2.0**-94, (1, 94)),
        (2.0**-95, (1, 94)),  # half of the last step: up
        (2.0**-96, (0, 94)),
        (-(2.0**-95), (-1, 94)),
        (1e-300, (0, 94)),
        (5e-324, (0, 94)),
    ],
)
def test_where_are_the_edges_of_dyadic(ratio, want):
    multiplier, shift = dyadic(ratio)
    assert (int(multiplier[0]), int(shift[0])) == want


@pytest.mark.parametrize("ratio", [2.0**31, -(2.0**31), 2.0**31 - 0.5, np.inf, -np.inf, np.nan, 1e300])
def test_is_a_ratio_that_no_multiplier_holds_refused(ratio):
    with pytest.raises(BoundError, match="does not fit a 31-bit multiplier"):
        dyadic([1.0, ratio])


def test_are_ties_of_rounded_upward():
    assert rounded([-1.5, -0.5, 0.5, 1.5, 2.4], -9, 9).tolist() == [-1, 0, 1, 2, 2]
    assert rounded([-1e300, 1e300], -9, 9).tolist() == [-9, 9]


def test_are_the_ibert_constants_the_stepwise_float32_formulas():
    for s in np.random.default_rng(0).uniform(2.0**-13, 0.5, 500).astype(F32):
        made = scales.softmax_constants(float(s))
        assert made["ln2"] == -int(np.floor(F32(F32(1) / s) * F32(-0.6931)))
        assert made["b"] == int(np.floor(F32(F32(1) / s) * F32(0.96963238 / 0.35815147)))
        assert made["c"] == int(np.floor(F32(F32(1) / F32(s * s)) * F32(1 / 0.35815147)))
        assert (made["multiplier"], made["shift"]) == exact_dyadic(32767 / (made["c"] * 2.0**30), 31, 94)
    s = np.random.default_rng(1).uniform(2.0**-20, 2.0**-5, 500).astype(F32)
    made, out = scales.gelu_constants(s)
    for i, one in enumerate(s):
        k = F32(one / F32(1.4142))
        square = F32(k * k)
        erf = F32(F32(square * F32(-0.2888)) * F32(2**14))
        assert made["b"][i] == np.floor(F32(F32(1) / k) * F32(-1.769))
        assert made["c"][i] == np.floor(F32(F32(1) / square) * F32(1 / -0.2888))
        assert made["one"][i] == np.floor(F32(F32(1) / erf))
        assert out[i] == np.float64(F32(one * erf)) / 2


def test_are_the_papers_constants_its_formula():
    # At 1/8: ln 2 is 5.54; 1.353 is 10.82, so (r + 10)**2 = (r + 20) * r + 100; 0.344 / 0.3585 is 61.41.
    made = scales.softmax_constants(0.125, "paper")
    assert (made["ln2"], made["b"], made["c"]) == (5, 20, 161)


def test_is_a_constant_that_no_integer_holds_refused():
    for scale in (1e-30, 1e-38):
        with pytest.raises(BoundError, match="a constant of a polynomial"):
            scales.softmax_constants(scale)


def test_are_weights_and_biases_the_published_ones():
    w = np.array([[1, -1, 0.5, 0.25], [0, 0, 0, 0], [-3, 1e-9, 2, 1.5]], F32)
    scale = scales.weight_scale(w, 8)
    assert np.array_equal(scale, np.array([F32(1) / F32(127), F32(1e-8), F32(3) / F32(127)], F32))
    assert scales.quantized_weight(w, scale[:, None], 8, "symmetric").tolist() == [
        [127, -127, 64, 32],
        [0] * 4,
        [-127, 0, 85, 64],
    ]
    ibert = scales.quantized_weight(w, scale[:, None], 8, "ibert")
    assert ibert[:, 0].tolist() == [126, 0, -127]  # the largest is one less than in the symmetric form
    assert np.array_equal(ibert, np.clip(np.rint(F32(F32(1) / scale[:, None]) * w), -127, 126))
    assert scales.ibert_bias(np.array([1.0, -1e30, 1e30], F32), np.array([0.25], F32)).tolist() == [
        4,
        1 - 2**31,
        2**31 - 2,
    ]


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_do_weights_of_few_bits_stay_in_their_range(bits):
    w = np.random.default_rng(bits).normal(size=(9, 33)).astype(F32)
    n = scales.symmetric_range(bits)
    for form, top in (("symmetric", n), ("ibert", n - 1)):
        q = scales.quantized_weight(w, scales.weight_scale(w, bits)[:, None], bits, form)
        assert -n <= q.min() and q.max() == top


def test_are_tables_the_functions_they_name():
    table = scales.exp2_table()
    assert (len(table), table[0], table[128], table[256]) == (257, 1 << 30, 759250125, 1 << 29)
    gelu = scales.gelu_entries()
    assert (len(gelu), gelu[0], gelu[64]) == (513, 0, 2661793)  # Phi(-1) = 0.15865525393145705
    entries, scale = scales.tanh_entries(0.25, "int8")
    assert (entries[128], entries[132], scale) == (0, 97, 1 / 127)  # tanh(1) = 0.76159


@pytest.fixture
def ibert():
    """An oracle that no one here wrote: I-BERT's modules in float64, exact where scales are powers of two."""
    torch = pytest.importorskip("torch")
    modules = pytest.importorskip("transformers.models.ibert.quant_modules")
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    with torch.no_grad():
        yield torch, modules
    torch.set_default_dtype(before)


def integers(value) -> np.ndarray:
    return np.rint(value.numpy()).astype(np.int64)


@pytest.mark.parametrize("k", [3, 5, 8, 10, 12])
def test_is_softmax_ibert_the_published_module(ibert, k):
    torch, modules = ibert
    module = modules.IntSoftmax(8, quant_mode=True).eval()
    s = torch.tensor(2.0**-k)
    ln2, b, c = (int(torch.floor(v / d)) for v, d in ((module.x0, s), (module.coef[1], s), (module.coef[2], s**2)))
    made = scales.softmax_constants(2.0**-k)
    assert (made["ln2"], made["b"], made["c"]) == (-ln2, b, c)
    out = float(F32(c * 2.0**30 / 32767))  # the module's own scale is a float32
    module.act.x_max = torch.tensor(out * 32767)
    x = np.random.default_rng(k).integers(-(1 << k + 3), 1 << k + 3, (8, 2, 16, 24))
    x[0] = 0
    x[1, ..., 1:] = x[1].min() - (40 << k)
    x[2] >>= 3
    want, scale = module(torch.tensor(x) * s, s)
    multiplier, shift = dyadic(1 / out)
    attrs = {"ln2": -ln2, "b": b, "c": c, "multiplier": int(multiplier[0]), "shift": int(shift[0])}
    got = intref.call("softmax_ibert", {"x": x.astype(np.int32), "mask": np.ones((8, 24), np.int8)}, attrs)["p"]
    assert np.array_equal(got, integers(want / scale))


@pytest.mark.parametrize("k", [6, 9, 12, 15])
def test_is_gelu_ibert_the_published_module(ibert, k):
    torch, modules = ibert
    module = modules.IntGELU(quant_mode=True)
    s = torch.tensor(2.0**-k)
    inner = s / module.k
    constants = {
        "b": torch.floor(module.coeff[1] / inner),
        "c": torch.floor(module.coeff[2] / inner**2),
        "one": 1.0 // (inner**2 * module.coeff[0] * 2**14),
    }
    top = 6 << k
    x = np.concatenate([np.arange(-300, 301), np.random.default_rng(k).integers(-top, top, 4000), [top, -top, 0]])
    want, scale = module(torch.tensor(x) * s, s)
    given = {name: integers(value).reshape(1) for name, value in constants.items()}
    got = intref.call("gelu_ibert", {"x": x.astype(np.int32), **given}, {})["y"]
    assert np.array_equal(got, integers(want / scale))


@pytest.mark.parametrize("width, shift", [(16, 0), (64, 0), (384, 0), (256, 5)])
def test_is_layernorm_ibert_the_published_module(ibert, width, shift):
    torch, modules = ibert
    draw = np.random.default_rng(width)
    module = modules.IntLayerNorm(width, 1e-5, quant_mode=True).eval()
    module.weight.data = torch.tensor(draw.normal(size=width))
    module.bias.data = torch.tensor(draw.normal(size=width))
    module.shift = torch.tensor(float(shift))
    x = draw.integers(-(1 << 12 + shift), 1 << 12 + shift, (20, 7, width))
    x[0] >>= 8 + shift // 2
    x[1] = 1 << shift + 3  # a constant row but for one outlier
    x[1, :, 0] = -(1 << 12 + shift)
    s = torch.tensor(2.0**-7)
    want, scale = module(torch.tensor(x) * s, s)
    bias = torch.floor(module.bias / module.weight / (module.dim_sqrt / 2**30))
    got = intref.call("layernorm_ibert", {"x": x.astype(np.int32), "bias": integers(bias.data)}, {"shift": shift})["y"]
    assert np.array_equal(got, integers(want.data / scale.data))


@pytest.mark.parametrize("bits", [8, 16, 22])
def test_are_rescale_and_add_the_published_fixed_point_product(ibert, bits):
    torch, modules = ibert
    draw = np.random.default_rng(bits)
    x, y = (draw.integers(-(1 << 21), 1 << 21, (1, 50, 64)) for _ in range(2))
    sx, sy = (2.0 ** draw.integers(-12, -4, 64) for _ in range(2))
    out = torch.tensor([float(F32(0.0173))])
    n = (1 << bits - 1) - 1
    tensors = [torch.tensor(v) for v in (x * sx, sx, y * sy, sy)]
    want = modules.FixedPointMul.apply(tensors[0], tensors[1], bits, out)
    multiplier, shift = dyadic(sx / float(out))
    attrs = {"rounding": "half_even", "output": "int32", "low": -n - 1, "high": n}
    inputs = {"x": x.astype(np.int32), "multiplier": multiplier, "shift": shift}
    assert np.array_equal(intref.call("rescale", inputs, attrs)["y"], integers(want))
    want = modules.FixedPointMul.apply(tensors[0], tensors[1], bits, out, tensors[2], tensors[3])
    inputs = {"a": x.astype(np.int32), "a_multiplier": multiplier, "a_shift": shift, "b": y.astype(np.int32)}
    inputs["b_multiplier"], inputs["b_shift"] = dyadic(sy / float(out))
    assert np.array_equal(intref.call("add", inputs, attrs)["y"], integers(want))


def test_are_constants_the_ones_that_torch_makes_in_float32(ibert):
    torch, modules = ibert
    s = torch.tensor(np.random.default_rng(3).uniform(2.0**-13, 2.0**-3, 5000).astype(F32))
    softmax, gelu = modules.IntSoftmax(8, quant_mode=True), modules.IntGELU()
    want = [torch.floor(v / d) for v, d in ((softmax.x0, s), (softmax.coef[1], s), (softmax.coef[2], s**2))]
    for i, one in enumerate(s.tolist()):
        made = scales.softmax_constants(one)
        assert [-made["ln2"], made["b"], made["c"]] == [int(w[i]) for w in want]
    inner = s / gelu.k
    made, _ = scales.gelu_constants(s.numpy())
    assert np.array_equal(made["b"], integers(torch.floor(gelu.coeff[1] / inner)))
    assert np.array_equal(made["c"], integers(torch.floor(gelu.coeff[2] / inner**2)))
    assert np.array_equal(made["one"], integers(torch.floor(1 / (inner**2 * gelu.coeff[0] * 2**14))))


def test_how_far_is_a_norm_shifted():
    # The smallest s with squares / 4**s <= 2**32.
    edges = {0: 0, 2**32 - 1: 0, 2**32: 0, 2**32 * 1.01: 1, 2**34: 1, 2**34 * 1.01: 2, 2**40: 4, 2**40 * 1.5: 5}
    assert {v: norm_shift(v) for v in edges} == edges


def test_is_a_constant_that_does_not_fit_refused():
    assert fitted([2.5, -2.5, 7.4], 3).tolist() == [3, -2, 7]
    for value in (7.5, -7.6, np.nan, np.inf):
        with pytest.raises(BoundError, match="does not fit 3 bits and a sign"):
            fitted(value, 3)
