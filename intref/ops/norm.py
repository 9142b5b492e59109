"""Normalizations over the last axis."""

from intref.intmath import (
    bitlen,
    div_half_up,
    divide,
    isqrt,
    maximum,
    saturate,
    shift_half_up,
    square,
    sum_along,
    where,
    within,
)
from intref.ops.op import Attr, Op, Port


def layernorm_ibert(x, bias, *, shift):
    """y[..., d] = (x[..., d] - mean) / sqrt(sum of squares) * 2**30 + bias[d]: scale gamma[d] * sqrt(D) / 2**30.

    Inputs      x int32 [... D], |x| <= 2**25, D <= 2**10, or |x| <= 2**23, D <= 2**14; bias int64 [D], |bias| <= 2**60:
                floor(beta / gamma / (sqrt(D) / 2**30)).
    Attributes  shift in [0, 16]: bits dropped from every term before it is squared.
    Output      y int64 [... D].

    Exact       mu = half_even(sum_d x[d] / D); c[d] = x[d] - mu
                v = sum_d floor(c[d] / 2**shift)**2, not divided by D
                sigma = floor(sqrt(v)) * 2**shift; f = floor(2**31 / sigma), 0 where sigma is 0
                y[d] = floor(c[d] * f / 2) + bias[d]
    Rounding    mean half_even; the shift, the root and both quotients down.
    Saturates   nothing.
    Overflow    none: v <= 2**62; |c * f| <= 2**33, since |c| < (floor(sqrt(v)) + 1) * 2**shift.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes;
                C5 D * (2 * max |x|)**2 <= 2**62.
    Source      I-BERT (Kim et al. 2021), section 3.5 and algorithm 4, as the authors' code computes them: no epsilon.
                sigma = 0 is defined here: y is the bias.
    """
    width = x.shape[-1]
    c = x - divide(sum_along(x, -1), width, "half_even")
    v = within(sum_along(square(c >> shift), -1), 0, 1 << 62)
    sigma = isqrt(v) << shift
    f = where(sigma > 0, (1 << 31) // maximum(sigma, 1), 0)
    return {"y": (within(c * f, -(1 << 33), 1 << 33) >> 1) + bias}


LAYERNORM_IBERT = Op(
    layernorm_ibert,
    inputs={
        "x": Port("int32", "... D", -(1 << 25), 1 << 25),
        "bias": Port("int64", "D", -(1 << 60), 1 << 60),
    },
    attrs={"shift": Attr(0, 16)},
    outputs={"y": Port("int64", "... D")},
    limits={"D": 1 << 14},
    reduces=("D",),
    constraints={
        "C5": (
            "D * (2 * max |x|)**2 must be at most 2**62",
            lambda t, a: t["x"].shape[-1] * max(abs(int(t["x"].min())), abs(int(t["x"].max()))) ** 2 <= 1 << 60,
        ),
    },
)


def layernorm_fixed(x, gain, bias, *, eps, shift, low, high):
    """y[..., d] = (x[..., d] - mean) / sqrt(variance + eps) * gamma[d] + beta[d], in fixed point.

    Inputs      x int32 [... D], |x| <= 2**23, D <= 2**14; gain int32 [D]: gamma * sqrt(D) / 2**30 / scale of y *
                2**shift; bias int64 [D], |bias| <= 2**60: beta / scale of y * 2**shift.
    Attributes  eps in [0, 2**60]: D * epsilon / scale of x squared. shift in [1, 60]. low, high int32.
    Output      y int32 [... D].

    Exact       mu = floor((2 * sum_d x[d] + D) / (2 * D)); c[d] = x[d] - mu
                v = max(1, sum_d c[d]**2 + eps); k = floor((62 - bits of v) / 2)
                sigma = floor(sqrt(v * 4**k)), in [2**30, 2**31); f = floor(2**61 / sigma)
                z[d] = floor((c[d] * 2**k * f + 2**30) / 2**31)
                y[d] = clamp(floor((z[d] * gain[d] + bias[d] + 2**(shift - 1)) / 2**shift), low, high)
    Rounding    mean, z and y to nearest, ties toward +infinity; root and reciprocal down.
    Saturates   y to [low, high].
    Overflow    none: v < 2**62, |c * 2**k| <= sigma, so |c * 2**k * f| <= 2**61, |z| <= 2**30,
                |z * gain + bias| + half <= 2**61 + 2**60 + 2**59.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes;
                C5 D * (2 * max |x|)**2 + eps < 2**62; C6 low <= high.
    Source      ours; LayerNorm of Ba et al. 2016.
    """
    c = x - div_half_up(sum_along(x, -1), x.shape[-1])
    v = within(maximum(sum_along(square(c), -1) + eps, 1), 1, (1 << 62) - 1)
    k = 62 - bitlen(v) >> 1
    sigma = within(isqrt(within(v << 2 * k, 1 << 60, (1 << 62) - 1)), 1 << 30, (1 << 31) - 1)
    f = (1 << 61) // sigma
    z = shift_half_up(within(within(c << k, -sigma, sigma) * f, -(1 << 61), 1 << 61), 31)
    return {"y": saturate(shift_half_up(z * gain + bias, shift), low, high)}


LAYERNORM_FIXED = Op(
    layernorm_fixed,
    inputs={
        "x": Port("int32", "... D", -(1 << 23), 1 << 23),
        "gain": Port("int32", "D"),
        "bias": Port("int64", "D", -(1 << 60), 1 << 60),
    },
    attrs={
        "eps": Attr(0, 1 << 60),
        "shift": Attr(1, 60),
        "low": Attr(-(1 << 31), (1 << 31) - 1),
        "high": Attr(-(1 << 31), (1 << 31) - 1),
    },
    outputs={"y": Port("int32", "... D")},
    limits={"D": 1 << 14},
    reduces=("D",),
    constraints={
        "C5": (
            "D * (2 * max |x|)**2 + eps must be below 2**62",
            lambda t, a: (
                4 * t["x"].shape[-1] * max(abs(int(t["x"].min())), abs(int(t["x"].max()))) ** 2 + a["eps"] < 1 << 62
            ),
        ),
        "C6": ("attributes must satisfy low <= high", lambda t, a: a["low"] <= a["high"]),
    },
)


def l2_normalize(x, *, fraction):
    """y[..., d] = x[..., d] / sqrt(sum_d x[d]**2) * 2**fraction.

    Inputs      x int8, int16 or int32 [... D], |x| <= 2**23, D <= 2**14.
    Attributes  fraction in [1, 30]: fraction bits of y.
    Output      y int32 [... D], |y| <= 2**fraction.

    Exact       v = max(1, sum_d x[d]**2); k = floor((62 - bits of v) / 2)
                sigma = floor(sqrt(v * 4**k)), in [2**30, 2**31); f = floor(2**61 / sigma)
                y[d] = floor(x[d] * 2**k * f / 2**(61 - fraction) + 1/2)
    Rounding    root and reciprocal down; y to nearest, ties toward +infinity.
    Saturates   nothing. A zero row is all 0.
    Overflow    none: v <= 2**60, |x * 2**k| <= sigma, so |x * 2**k * f| <= 2**61.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes.
    Source      ours; the Normalize module of Sentence-BERT (Reimers and Gurevych 2019).
    """
    v = maximum(sum_along(square(x), -1), 1)
    k = 62 - bitlen(v) >> 1
    sigma = within(isqrt(within(v << 2 * k, 1 << 60, (1 << 62) - 1)), 1 << 30, (1 << 31) - 1)
    f = (1 << 61) // sigma
    unit = within(within(x << k, -sigma, sigma) * f, -(1 << 61), 1 << 61)
    return {"y": shift_half_up(unit, 61 - fraction)}


L2_NORMALIZE = Op(
    l2_normalize,
    inputs={"x": Port("int8 int16 int32", "... D", -(1 << 23), 1 << 23)},
    attrs={"fraction": Attr(1, 30)},
    outputs={"y": Port("int32", "... D")},
    limits={"D": 1 << 14},
    reduces=("D",),
)

OPS = (LAYERNORM_IBERT, LAYERNORM_FIXED, L2_NORMALIZE)
