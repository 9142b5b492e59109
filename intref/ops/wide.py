"""Wide fixed point: 48-bit integers, products of 96 bits rounded once, functions with a proved error.

So wide that it stands for real numbers, and gives the same bits on every machine: the yardstick of the dialects.
Every tensor has |x| < 2**47 and a scale that is a power of two. The product of two such numbers does not fit int64:
mul_shift is exact on it. A sum of such products is taken limb by limb of 24 bits.
"""

from intref.intmath import (
    absolute,
    bitlen,
    div_half_up,
    divide,
    isqrt,
    max_along,
    maximum,
    minimum,
    mul_shift,
    saturate,
    shift_half_up,
    square,
    sum_along,
    swap,
    take,
    where,
    within,
)
from intref.intmath import matmul as product
from intref.ops.op import Attr, Op, Port

BITS = 24  # of a limb
LOW = (1 << BITS) - 1
WIDE = (1 << 47) - 1
MAX_TERMS = 1 << 12
DEGREE = 6  # of the polynomial of a cell; 32 cells to the unit


def _numbers(axes: str) -> Port:
    return Port("int64", axes, -WIDE, WIDE)


def _dot(a, b, shift):
    """half_up(a @ b / 2**shift), exact, for shift >= 48, |a|, |b| < 2**47 and at most 2**12 terms.

    The sum is high * 2**48 + middle * 2**24 + low, and its floor by 2**47 decides how it rounds by 2**48 and more.
    """
    a_high, a_low, b_high, b_low = a >> BITS, a & LOW, b >> BITS, b & LOW
    middle = product(a_high, b_low) + product(a_low, b_high) + (product(a_low, b_low) >> BITS)
    return shift_half_up(2 * product(a_high, b_high) + (middle >> BITS - 1), shift - 47)


def _piecewise(x, coefficients, fraction):
    """The polynomial of x's cell, for x >= 0 with `fraction` fraction bits; 0 beyond the last cell.

    Cell i holds i <= 32 * x < i + 1; its polynomial is in t, -1/2 <= t < 1/2, with 48 fraction bits.
    """
    width = fraction - 5
    cells = coefficients.shape[0]
    cell = x >> width
    rest = within(x - within(cell << width, 0, 1 << 47), 0, (1 << 42) - 1)
    t = within(rest << 48 - width, 0, (1 << 48) - 1) - (1 << 47)
    row = take(coefficients, within(minimum(cell, cells - 1), 0, cells - 1))
    y = row[..., DEGREE]
    for power in (5, 4, 3, 2, 1, 0):
        y = mul_shift(y, t, 48, "half_up") + row[..., power]
    return where(cell < cells, y, 0)


def _reciprocal(v):
    """2**95 / v for 2**47 <= v < 2**48, relative error below 2**-46: a quotient of 32 bits and one Newton step."""
    g = (1 << 62) // (v >> 17)
    miss = within((1 << 47) - mul_shift(v, g << 16, 48, "floor"), -(1 << 18), 1 << 18)
    return (g << 16) + (g * miss >> 31)


def _inverse_root(v):
    """2**78 / sqrt(v) for 2**60 <= v < 2**62, relative error below 2**-45: a root of 31 bits and one Newton step."""
    g = (1 << 61) // within(isqrt(v), 1 << 30, (1 << 31) - 1)
    h = g << 17
    miss = within((1 << 46) - mul_shift(v >> 14, mul_shift(h, h, 48, "floor"), 48, "floor"), -(1 << 18), 1 << 18)
    return h + (g * miss >> 30)


def _room(c):
    """The bits by which a row of |c| < 2**48 may be shifted left."""
    return 48 - bitlen(max_along(absolute(c), -1))


def _squares(n):
    """floor(sum n**2 / 2**48) along the last axis, |n| < 2**48."""
    high, low = n >> BITS, n & LOW
    middle = 2 * sum_along(high * low, -1) + (sum_along(square(low), -1) >> BITS)
    return within(sum_along(square(high), -1) + (middle >> BITS), 0, 1 << 60)


def _over_root(n, v):
    """half_up(2**22 * n / sqrt(v)) for |n| < 2**48 and 2**46 <= v < 2**62, as far as the root is exact."""
    j = 62 - bitlen(v) >> 1
    r = _inverse_root(within(v << 2 * j, 1 << 60, (1 << 62) - 1))
    return mul_shift(n, r, 56 - j, "half_up")


def linear_wide(x, weight, bias, *, shift):
    """y[..., n] = half_up(sum_k x[..., k] * weight[n, k] / 2**shift) + bias[n].

    Inputs      x int64 [... K], |x| < 2**47, K <= 2**12; weight int64 [N K], |weight| < 2**47; bias int64 [N], |bias|
                < 2**47, at the scale of y.
    Attributes  shift in [48, 64].
    Output      y int64 [... N], |y| < 2**47.

    Exact       z[n] = floor((sum_k x[k] * weight[n, k] + 2**(shift - 1)) / 2**shift)
                y[n] = clamp(z[n] + bias[n], -(2**47 - 1), 2**47 - 1)
    Rounding    once, to nearest, ties toward +infinity.
    Saturates   y to 48 bits, symmetric.
    Overflow    none: limbs of 24 bits, v = floor(v / 2**24) * 2**24 + (v mod 2**24); their products are summed one by
                one, each sum below 2**61, and sum x * weight = high * 2**48 + middle * 2**24 + low.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes.
    Source      ours.
    """
    return {"y": saturate(_dot(x, swap(weight, -1, -2), shift) + bias, -WIDE, WIDE)}


_SHIFT = Attr(48, 64)
LINEAR_WIDE = Op(
    linear_wide,
    inputs={
        "x": _numbers("... K"),
        "weight": _numbers("N K"),
        "bias": _numbers("N"),
    },
    attrs={"shift": _SHIFT},
    outputs={"y": Port("int64", "... N")},
    limits={"K": MAX_TERMS},
    reduces=("K",),
)


def matmul_wide(a, b, *, shift):
    """y[..., m, n] = half_up(sum_k a[..., m, k] * b[..., k, n] / 2**shift).

    Inputs      a int64 [... M K], |a| < 2**47, K <= 2**12; b int64 [... K N], |b| < 2**47.
    Attributes  shift in [48, 64].
    Output      y int64 [... M N], |y| < 2**47.

    Exact       y[m, n] = clamp(floor((sum_k a[m, k] * b[k, n] + 2**(shift - 1)) / 2**shift), -(2**47 - 1), 2**47 - 1)
    Rounding    once, to nearest, ties toward +infinity.
    Saturates   y to 48 bits, symmetric.
    Overflow    none: as linear_wide.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes.
    Source      ours.
    """
    return {"y": saturate(_dot(a, b, shift), -WIDE, WIDE)}


MATMUL_WIDE = Op(
    matmul_wide,
    inputs={"a": _numbers("... M K"), "b": _numbers("... K N")},
    attrs={"shift": _SHIFT},
    outputs={"y": Port("int64", "... M N")},
    limits={"K": MAX_TERMS},
    reduces=("K",),
)


def add_wide(a, b, *, a_shift, b_shift, shift):
    """y = half_up((a * 2**a_shift + b * 2**b_shift) / 2**shift).

    Inputs      a int64 [... D], |a| < 2**47; b int64 [... D], |b| < 2**47.
    Attributes  a_shift, b_shift in [0, 14]; shift in [0, 28].
    Output      y int64 [... D], |y| < 2**47.

    Exact       y = clamp(half_up((a * 2**a_shift + b * 2**b_shift) / 2**shift), -(2**47 - 1), 2**47 - 1)
    Rounding    once, to nearest, ties toward +infinity.
    Saturates   y to 48 bits, symmetric.
    Overflow    none: the sum of both and the half is below 2**62 + 2**27.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes.
    Source      ours.
    """
    return {"y": saturate(shift_half_up((a << a_shift) + (b << b_shift), shift), -WIDE, WIDE)}


ADD_WIDE = Op(
    add_wide,
    inputs={"a": _numbers("... D"), "b": _numbers("... D")},
    attrs={"a_shift": Attr(0, 14), "b_shift": Attr(0, 14), "shift": Attr(0, 28)},
    outputs={"y": Port("int64", "... D")},
)


def softmax_wide(x, mask, coefficients, *, multiplier, shift, fraction):
    """p[k] = exp(S * x[k]) / sum_k exp(S * x[k]) over keys k with mask 1, scale 2**-46.

    Inputs      x int64 [B H Q K], |x| < 2**47, K <= 2**12, scale S; mask int8 [B K] or [B Q K]: 1 attend, 0 not;
                coefficients int64 [C 7], |coefficients| <= 2**48, C <= 32: 2**-v at scale 2**-48, by cells
                of 1/32, v in [0, 1).
    Attributes  multiplier in [0, 2**47 - 1], shift in [48, 64]: S * log2(e) * 2**fraction.
                fraction in [24, 44]: the fraction bits of an exponent.
    Output      p int64 [B H Q K], in [0, 2**46 + 1].

    Exact       d = max_k x - x, the max over keys with mask 1
                u = floor(d * multiplier / 2**shift); n = floor(u / 2**fraction); f = u - n * 2**fraction
                w = 2**(fraction - 5); i = floor(f / w); t = (f - i * w) * 2**48 / w - 2**47
                m = coefficients[i, 6]; for power = 5, 4, .. 0: m = half_up(m * t / 2**48) + coefficients[i, power]
                (m = 0 for i >= C); e = half_up(min(max(m, 0), 2**48) / 2**min(n, 62)), 0 where mask is 0
                T = max(sum_k e, 2**47); s = bits of T - 48; v = floor(T / 2**s)
                g = floor(2**62 / floor(v / 2**17)); miss = 2**47 - floor(v * g * 2**16 / 2**48)
                r = g * 2**16 + floor(g * miss / 2**31), which is 2**95 / v
                p = half_up(e * r / 2**(49 + s)); a row without a key is all 0
    Rounding    m, e and p to nearest, ties toward +infinity; all else down.
    Saturates   e to [0, 2**48], n to 62.
    Overflow    none: every product of more than 63 bits is exact, and rounded to fewer; sum e <= 2**60.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes; C5 J = 7.
    Source      ours. With Taylor's coefficients e errs by less than 2**-45 of its value and 2**-48, beside what u's
                rounding to 2**-fraction does.
    """
    attend = mask[:, None, None] if len(mask.shape) == 2 else mask[:, None]
    seen = where(attend, x, -WIDE)
    u = mul_shift(within(max_along(seen, -1) - seen, 0, 2 * WIDE), multiplier, shift, "floor")
    n = u >> fraction
    whole = within(n << fraction, 0, (1 << 47) - 1)
    mantissa = saturate(_piecewise(within(u - whole, 0, (1 << 44) - 1), coefficients, fraction), 0, 1 << 48)
    e = where(attend, within(shift_half_up(mantissa, minimum(n, 62)), 0, 1 << 48), 0)
    total = maximum(sum_along(e, -1), 1 << 47)
    s = within(bitlen(total) - 48, 0, 13)
    r = _reciprocal(within(total >> s, 1 << 47, (1 << 48) - 1))
    return {"p": within(mul_shift(e, r, 49 + s, "half_up"), 0, WIDE)}


_COEFFICIENTS = Port("int64", "C J", -(1 << 48), 1 << 48)
_SEVEN = ("input 'coefficients' must have J = 7", lambda t, a: t["coefficients"].shape[-1] == DEGREE + 1)
SOFTMAX_WIDE = Op(
    softmax_wide,
    inputs={
        "x": _numbers("B H Q K"),
        "mask": Port("int8", "B K | B Q K", 0, 1),
        "coefficients": _COEFFICIENTS,
    },
    attrs={"multiplier": Attr(0, WIDE), "shift": _SHIFT, "fraction": Attr(24, 44)},
    outputs={"p": Port("int64", "B H Q K")},
    limits={"K": 1 << 12, "C": 32, "J": DEGREE + 1},
    constraints={"C5": _SEVEN},
    reduces=("K",),
)


def layernorm_wide(x, gain, bias, *, eps, most, shift):
    """y[..., d] = (x[..., d] - mean) / sqrt(variance + epsilon) * gamma[d] + beta[d].

    Inputs      x int64 [... D], |x| < 2**47, D <= 2**12; gain int64 [D], |gain| < 2**47: gamma * sqrt(D) / 2**46 /
                scale of y * 2**shift; bias int64 [D], |bias| < 2**47: beta / scale of y.
    Attributes  eps in [0, 2**52], most in [0, 48]: D * epsilon / scale of x squared is eps * 2**48 / 4**most.
                shift in [48, 64].
    Output      y int64 [... D], |y| < 2**47.

    Exact       c[d] = x[d] - floor((2 * sum_d x[d] + D) / (2 * D)); k = min(48 - bits of max_d |c[d]|, most)
                n[d] = c[d] * 2**k; v = floor(sum_d n[d]**2 / 2**48) + half_up(eps / 2**min(2 * (most - k), 62))
                V = max(v, 2**46); j = floor((62 - bits of V) / 2); R = V * 4**j
                g = floor(2**61 / floor(sqrt(R))); h = g * 2**17
                miss = 2**46 - floor(floor(R / 2**14) * floor(h * h / 2**48) / 2**48)
                r = h + floor(g * miss / 2**30), which is 2**78 / sqrt(R)
                unit[d] = half_up(n[d] * r / 2**(56 - j))
                y[d] = clamp(half_up(unit[d] * gain[d] / 2**shift) + bias[d], -(2**47 - 1), 2**47 - 1)
    Rounding    mean, epsilon, unit and y to nearest, ties toward +infinity; all else down.
    Saturates   y to 48 bits, symmetric.
    Overflow    none: every product of more than 63 bits is exact, and rounded to fewer; v <= 2**61.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes.
    Source      ours; LayerNorm of Ba et al. 2016. r errs by less than 2**-44 of its value.
    """
    c = x - divide(sum_along(x, -1), x.shape[-1], "half_up")
    k = minimum(_room(c), most)
    n = within(c << k, 1 - (1 << 48), (1 << 48) - 1)
    epsilon = within(shift_half_up(eps, minimum(2 * within(most - k, 0, 48), 62)), 0, 1 << 52)
    unit = _over_root(n, maximum(_squares(n) + epsilon, 1 << 46))
    return {"y": saturate(mul_shift(unit, gain, shift, "half_up") + bias, -WIDE, WIDE)}


LAYERNORM_WIDE = Op(
    layernorm_wide,
    inputs={
        "x": _numbers("... D"),
        "gain": _numbers("D"),
        "bias": _numbers("D"),
    },
    attrs={"eps": Attr(0, 1 << 52), "most": Attr(0, 48), "shift": _SHIFT},
    outputs={"y": Port("int64", "... D")},
    limits={"D": 1 << 12},
    reduces=("D",),
)


def gelu_wide(x, coefficients, *, fraction):
    """y = x * Phi(x) = max(x, 0) - D(|x|), D(v) = v * Phi(-v) by cells: scale 2**-fraction.

    Inputs      x int64 [... D], |x| < 2**47, scale 2**-fraction; coefficients int64 [C 7], |coefficients| <= 2**48,
                C <= 1024: D at scale 2**-48, by cells of 1/32.
    Attributes  fraction in [6, 47].
    Output      y int64 [... D], |y| < 2**47, scale 2**-fraction.

    Exact       w = 2**(fraction - 5); i = floor(|x| / w); t = (|x| - i * w) * 2**48 / w - 2**47
                m = coefficients[i, 6]; for power = 5, 4, .. 0: m = half_up(m * t / 2**48) + coefficients[i, power]
                (m = 0 for i >= C)
                y = clamp(max(x, 0) - half_up(m / 2**(48 - fraction)), -(2**47 - 1), 2**47 - 1)
    Rounding    to nearest, ties toward +infinity; i down.
    Saturates   y to 48 bits, symmetric.
    Overflow    none: m * t, of more than 63 bits, is exact; |m| <= 2**49.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes; C5 J = 7.
    Source      ours; GELU of Hendrycks and Gimpel 2016, exact form.
    """
    tail = shift_half_up(_piecewise(absolute(x), coefficients, fraction), 48 - fraction)
    return {"y": saturate(maximum(x, 0) - tail, -WIDE, WIDE)}


GELU_WIDE = Op(
    gelu_wide,
    inputs={"x": _numbers("... D"), "coefficients": _COEFFICIENTS},
    attrs={"fraction": Attr(6, 47)},
    outputs={"y": Port("int64", "... D")},
    limits={"C": 1 << 10, "J": DEGREE + 1},
    constraints={"C5": _SEVEN},
)


def tanh_wide(x, coefficients, *, fraction):
    """y = tanh(x) = sgn(x) * (1 - E(|x|)), E(v) = 2 / (exp(2 * v) + 1) by cells: scale 2**-46.

    Inputs      x int64 [... D], |x| < 2**47, scale 2**-fraction; coefficients int64 [C 7], |coefficients| <= 2**48,
                C <= 1024: E at scale 2**-48, by cells of 1/32.
    Attributes  fraction in [6, 47].
    Output      y int64 [... D], |y| <= 2**46 + 2**47, scale 2**-46.

    Exact       w = 2**(fraction - 5); i = floor(|x| / w); t = (|x| - i * w) * 2**48 / w - 2**47
                m = coefficients[i, 6]; for power = 5, 4, .. 0: m = half_up(m * t / 2**48) + coefficients[i, power]
                (m = 0 for i >= C)
                y = 2**46 - half_up(m / 4), and its negative where x < 0
    Rounding    to nearest, ties toward +infinity; i down; of a negative x, that of -x.
    Saturates   nothing.
    Overflow    none: m * t, of more than 63 bits, is exact; |m| <= 2**49.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes; C5 J = 7.
    Source      ours.
    """
    y = (1 << 46) - shift_half_up(_piecewise(absolute(x), coefficients, fraction), 2)
    return {"y": where(x < 0, -y, y)}


TANH_WIDE = Op(
    tanh_wide,
    inputs={"x": _numbers("... D"), "coefficients": _COEFFICIENTS},
    attrs={"fraction": Attr(6, 47)},
    outputs={"y": Port("int64", "... D")},
    limits={"C": 1 << 10, "J": DEGREE + 1},
    constraints={"C5": _SEVEN},
)


def mean_pool_wide(x, mask):
    """y[..., d] = half_up(mean of x[..., t, d] over the tokens t with mask 1).

    Inputs      x int64 [... T D], |x| < 2**47; mask int8 [... T], 0 or 1, T <= 2**12.
    Attributes  none.
    Output      y int64 [... D], |y| < 2**47.

    Exact       n = max(sum_t mask[t], 1); y[d] = floor((2 * sum_t mask[t] * x[t, d] + n) / (2 * n))
    Rounding    to nearest, ties toward +infinity; without an attended token y is 0.
    Saturates   nothing: a mean lies between its terms.
    Overflow    none: 2 * sum + n < 2**61.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes.
    Source      ours; the mean pooling of Sentence-BERT (Reimers and Gurevych 2019).
    """
    seen = mask[..., None]
    mean = div_half_up(sum_along(where(seen, x, 0), -2), maximum(sum_along(seen, -2), 1))
    return {"y": within(mean, -WIDE, WIDE)[..., 0, :]}


MEAN_POOL_WIDE = Op(
    mean_pool_wide,
    inputs={"x": _numbers("... T D"), "mask": Port("int8", "... T", 0, 1)},
    attrs={},
    outputs={"y": Port("int64", "... D")},
    limits={"T": 1 << 12},
    reduces=("T",),
)


def l2_normalize_wide(x):
    """y[..., d] = x[..., d] / sqrt(sum_d x[..., d]**2), scale 2**-46.

    Inputs      x int64 [... D], |x| < 2**47, D <= 2**12, of any scale.
    Attributes  none.
    Output      y int64 [... D], |y| < 2**47, scale 2**-46.

    Exact       n[d] = x[d] * 2**(48 - bits of max_d |x[d]|); V = max(floor(sum_d n[d]**2 / 2**48), 2**46)
                j = floor((62 - bits of V) / 2); R = V * 4**j; g = floor(2**61 / floor(sqrt(R))); h = g * 2**17
                miss = 2**46 - floor(floor(R / 2**14) * floor(h * h / 2**48) / 2**48)
                r = h + floor(g * miss / 2**30), which is 2**78 / sqrt(R)
                y[d] = half_up(n[d] * r / 2**(56 - j)); a row of zeros stays one
    Rounding    y to nearest, ties toward +infinity; all else down.
    Saturates   nothing.
    Overflow    none: every product of more than 63 bits is exact, and rounded to fewer.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes.
    Source      ours.
    """
    n = within(x << _room(x), 1 - (1 << 48), (1 << 48) - 1)
    return {"y": _over_root(n, maximum(_squares(n), 1 << 46))}


L2_NORMALIZE_WIDE = Op(
    l2_normalize_wide,
    inputs={"x": _numbers("... D")},
    attrs={},
    outputs={"y": Port("int64", "... D")},
    limits={"D": 1 << 12},
    reduces=("D",),
)

OPS = (
    LINEAR_WIDE,
    MATMUL_WIDE,
    ADD_WIDE,
    SOFTMAX_WIDE,
    LAYERNORM_WIDE,
    GELU_WIDE,
    TANH_WIDE,
    MEAN_POOL_WIDE,
    L2_NORMALIZE_WIDE,
)
