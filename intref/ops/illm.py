"""Ops of I-LLM: exponentials by shifts and ranges found row by row; a scale m / 2**k is two integers of its row."""

from typing import Any

from intref.intmath import (
    absolute,
    bitlen,
    div_half_up,
    divide,
    isqrt,
    max_along,
    maximum,
    minimum,
    shift_half_up,
    square,
    sum_along,
    where,
    within,
)
from intref.ops.op import Attr, Op, Port

MAX_KEYS = 1 << 15
MAX_T = 1 << 32  # the largest integer that stands for exp(0)
M = Port("int32", "... 1", 1, 1 << 16)  # a scale m / 2**k: the product of two 8-bit mantissas fits
K = Port("int8", "... 1", 0, 48)
C5 = (
    "1 <= round(2**k / m_f) <= 2**32 must hold for the extreme m and k: 2**(min k + 1) >= m_f(max m) and "
    "2**max k <= 2**32 * m_f(min m)",
    lambda tensors, attrs: (
        2 << int(tensors["k"].min()) >= _log2e(int(tensors["m"].max()))
        and 1 << int(tensors["k"].max()) <= MAX_T * _log2e(int(tensors["m"].min()))
    ),
)


def _log2e(m):
    """m * log2(e), as 1 + 1/2 - 1/16 = 1.4375 of it."""
    return m + (m >> 1) - (m >> 4)


def _one(m, k):
    """The integer that stands for exp(0) where the scale is m / 2**k, and how far down a halving is."""
    return within(divide(1 << k, within(_log2e(m), 1, 1 << 17), "half_up"), 1, MAX_T)


def _exp(x, t):
    """DI-Exp: e with e / t = exp(S * x), x <= 0, where t stands for exp(0)."""
    q = -x // t
    r = within(x + within(q * t, 0, 1 << 32), 1 - t, 0)
    return within((r >> 1) + t, 1, t) >> minimum(q, 31)  # at 31 nothing is left, since q * t <= 2**32


def softmax_illm(x, mask, m, k, *, clip, bits):
    """p[j] = exp(S * x[j]) / sum_j exp(S * x[j]) over keys j with mask 1, S = m / 2**k, scale 2**(1 - bits), by shifts.

    Inputs      x int32 [B H Q K], K <= 2**15; mask int8 [B K] or [B Q K]: 1 attend, 0 not; m int32 in [1, 2**16] and
                k int8 in [0, 48], each [B H Q 1], its own for every row, or [H], for every head.
    Attributes  clip in [1, 63]: how far below its maximum a row is looked at, as a real number; 15 in the paper.
                bits in [2, 15]: of p with a sign; 8 in the paper.
    Output      p int16 [B H Q K], in [0, 2**(bits - 1)].

    Exact       d = max(x - max_j x, -half_up(clip * 2**k / m)), the max over keys with mask 1
                m_f = m + floor(m / 2) - floor(m / 16); t = half_up(2**k / m_f)
                q = floor(-d / t); r = d + q * t
                e = floor((floor(r / 2) + t) / 2**min(q, 31)), 0 where mask is 0
                p = half_up(e * 2**(bits - 1) / max(sum_j e, 1)); a row without a key is all 0
    Rounding    the clip, t and p to nearest, ties up; every other quotient down.
    Saturates   d at the clip.
    Overflow    none: t <= 2**32, so sum_j e <= 2**47 and e * 2**(bits - 1) <= 2**46.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes;
                C5 1 <= t <= 2**32 for the smallest and the largest m and k together.
    Source      I-LLM (Hu et al. 2024, arXiv 2405.17849), DI-ClippedSoftmax (eq. 10) and algorithms 1 and 2. The paper
                leaves open how quotients are rounded: as in DetLLM (rishabh135/idempotent_llm,
                src/detllm/ops/di_softmax.py), which also takes the clip of x as it is, before any rounding to 8 bits.
    """
    attend = mask[:, None, None] if len(mask.shape) == 2 else mask[:, None]
    m = m[:, None, None] if len(m.shape) == 1 else m[:, :]
    k = k[:, None, None] if len(k.shape) == 1 else k[:, :]
    seen = where(attend, x, -(1 << 31))
    d = maximum(within(seen - max_along(seen, -1), -(1 << 32), 0), -divide(clip << k, m, "half_up"))
    e = where(attend, _exp(d, _one(m, k)), 0)
    return {"p": within(div_half_up(e << bits - 1, maximum(sum_along(e, -1), 1)), 0, 1 << 14)}


SOFTMAX_ILLM = Op(
    softmax_illm,
    inputs={
        "x": Port("int32", "B H Q K"),
        "mask": Port("int8", "B K | B Q K", 0, 1),
        "m": Port("int32", "B H Q 1 | H", M.low, M.high),
        "k": Port("int8", "B H Q 1 | H", K.low, K.high),
    },
    attrs={"clip": Attr(1, 63), "bits": Attr(2, 15)},
    outputs={"p": Port("int16", "B H Q K")},
    limits={"K": MAX_KEYS},
    constraints={"C5": C5},
    reduces=("K",),
)


def swiglu_illm(gate, up, m, k, *, bits):
    """y = gate * sigmoid(S * gate) * up, S = m / 2**k the scale of gate: scale of gate * scale of up * 2**(1 - bits).

    Inputs      gate, up int8, int16 or int32 [... D], at most 2**23 either way; m int32 [... 1] in [1, 2**16] and
                k int8 [... 1] in [0, 48]: a scale for every row.
    Attributes  bits in [2, 15]: of the sigmoid with a sign; 8 in the paper.
    Output      y int64 [... D].

    Exact       m_f = m + floor(m / 2) - floor(m / 16); t = half_up(2**k / m_f)
                q = floor(|gate| / t); r = q * t - |gate|
                e = floor((floor(r / 2) + t) / 2**min(q, 31))
                s = half_up((t where gate >= 0, else e) * 2**(bits - 1) / (t + e))
                y = gate * s * up
    Rounding    t and s to nearest, ties up; every other quotient down.
    Saturates   nothing.
    Overflow    none: |y| <= 2**60.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes;
                C5 1 <= t <= 2**32 for the smallest and the largest m and k together.
    Source      I-LLM (Hu et al. 2024, arXiv 2405.17849), DI-SwiGLU (algorithm 3), without its smoothing factors, which
                go into m. The paper takes both exponentials relative to the row's maximum, where they vanish in rows
                with a large one; here the larger of the two is 1, as in DetLLM (rishabh135/idempotent_llm,
                src/detllm/ops/di_swiglu.py).
    """
    t = _one(m, k)
    e = _exp(-absolute(gate), t)
    s = within(div_half_up(where(gate >= 0, t, e) << bits - 1, t + e), 0, 1 << bits - 1)
    return {"y": gate * s * up}


SWIGLU_ILLM = Op(
    swiglu_illm,
    inputs={
        "gate": Port("int8 int16 int32", "... D", -(1 << 23), 1 << 23),
        "up": Port("int8 int16 int32", "... D", -(1 << 23), 1 << 23),
        "m": M,
        "k": K,
    },
    attrs={"bits": Attr(2, 15)},
    outputs={"y": Port("int64", "... D")},
    constraints={"C5": C5},
)


def _over_rms(c, top, fraction):
    """c / sqrt(mean of c**2) * 2**fraction, once the highest bit of the row's largest |c| is bit `top`."""
    lift = top + 1 - bitlen(max_along(absolute(c), -1))
    up = within(c << maximum(lift, 0), -(1 << 47), 1 << 47)
    s = within(shift_half_up(up, maximum(-lift, 0)), -(2 << top), 2 << top)
    width = c.shape[-1]
    # The sum of the squares is high * 2**26 + low: it may pass 2**63.
    high, low = sum_along(square(s) >> 26, -1), sum_along(square(s) & (1 << 26) - 1, -1)
    whole = high // width
    rest = (within(high - whole * width, 0, width - 1) << 26) + low
    mean = (whole << 26) + divide(rest, width, "half_up")
    return divide(s << fraction, maximum(isqrt(mean), 1), "half_away")


def rmsnorm_illm(x, *, top, fraction):
    """y[..., d] = x[..., d] / sqrt(mean of x**2), scale 2**-fraction: the scale of x cancels, gamma is left out.

    Inputs      x int32 [... D], D <= 2**14.
    Attributes  top in [0, 25]: the highest bit of a row's largest |x| once it is shifted. fraction in [0, 30].
    Output      y int64 [... D].

    Exact       l = top + 1 - (bits of max_d |x[d]|)
                s[d] = x[d] * 2**l where l >= 0, else floor(x[d] / 2**-l + 1/2)
                v = half_up(sum_d s[d]**2 / D); rms = max(floor(sqrt(v)), 1)
                y[d] = half_away(s[d] * 2**fraction / rms)
    Rounding    s and v to nearest, ties toward +infinity; y to nearest, ties away from zero; the root down.
    Saturates   nothing. A zero row is all 0.
    Overflow    none: |s| <= 2**(top + 1); the squares are summed in two parts, below 2**26 and above.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes.
    Source      I-LLM (Hu et al. 2024, arXiv 2405.17849), DI-Norm (algorithm 4). The paper leaves open how far a row is
                shifted and how its quotients are rounded: as in DetLLM (rishabh135/idempotent_llm,
                src/detllm/ops/di_rmsnorm.py), where top is 25 and fraction 20. No epsilon.
    """
    return {"y": _over_rms(x, top, fraction)}


NORM: dict[str, Any] = {
    "inputs": {"x": Port("int32", "... D")},
    "attrs": {"top": Attr(0, 25), "fraction": Attr(0, 30)},
    "outputs": {"y": Port("int64", "... D")},
    "limits": {"D": 1 << 14},
    "reduces": ("D",),
}
RMSNORM_ILLM = Op(rmsnorm_illm, **NORM)


def layernorm_illm(x, *, top, fraction):
    """y[..., d] = (x[..., d] - mean) / sqrt(variance), scale 2**-fraction: the scale of x cancels, gamma is left out.

    Inputs      x int32 [... D], D <= 2**14.
    Attributes  top in [0, 25]: the highest bit of a row's largest |c| once it is shifted. fraction in [0, 30].
    Output      y int64 [... D].

    Exact       c[d] = D * x[d] - sum_d x[d]
                l = top + 1 - (bits of max_d |c[d]|)
                s[d] = c[d] * 2**l where l >= 0, else floor(c[d] / 2**-l + 1/2)
                v = half_up(sum_d s[d]**2 / D); rms = max(floor(sqrt(v)), 1)
                y[d] = half_away(s[d] * 2**fraction / rms)
    Rounding    s and v to nearest, ties toward +infinity; y to nearest, ties away from zero; the root down.
    Saturates   nothing. A constant row is all 0.
    Overflow    none: |c| <= 2**46; |s| <= 2**(top + 1); the squares are summed in two parts, below 2**26 and above.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes.
    Source      I-LLM (Hu et al. 2024, arXiv 2405.17849), DI-Norm, of which algorithm 4 gives the RMSNorm. The paper
                leaves the mean open: here the row is taken times D, which cancels, so that nothing is rounded; the rest
                is rmsnorm_illm. No epsilon.
    """
    return {"y": _over_rms(x.shape[-1] * x - sum_along(x, -1), top, fraction)}


LAYERNORM_ILLM = Op(layernorm_illm, **NORM)


def _scaled(num, den, e):
    """num * 2**e / den to the nearest integer, e of either sign."""
    return divide(within(num << maximum(e, 0), 0, 1 << 48), den << maximum(-e, 0), "half_up")


def requantize_illm(x, m, k, *, bits):
    """S * x[..., d] = m_y / 2**k_y * (y[..., d] - zero_point), S = m / 2**k: a range for every row, found as it comes.

    Inputs      x int32 [... D]; m int32 [... 1] in [1, 2**16] and k int8 [... 1] in [0, 48]: the scale of x.
    Attributes  bits in [2, 8]: of y.
    Output      y uint8 [... D], in [0, 2**bits - 1]; zero_point int64 [... 1]; m_y int32 [... 1], in [128, 255];
                k_y int8 [... 1]: negative where the scale is above 2**8.

    Exact       low = min_d x; span = max(max_d x - low, 1); n = 2**bits - 1
                y[d] = half_up((x[d] - low) * n / span); zero_point = half_away(-low * n / span)
                a = 7 + bits - (bits of span * m); b = a + 1 where half_up(span * m * 2**a / n) < 128, else a
                m_y = half_up(span * m * 2**b / n); k_y = k + b
    Rounding    all to nearest: zero_point away from zero where half way, the others up.
    Saturates   nothing; the span of a constant row is 1, and y 0.
    Overflow    none: (x - low) * n < 2**40; span * m <= 2**48.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes.
    Source      I-LLM (Hu et al. 2024, arXiv 2405.17849), DI-MatMul (eqs. 4 to 8), after the product: m is the product
                of the factors' m, k the sum of their k. The paper leaves open a constant row and the ties; m_y has 8
                bits and is the nearest, found as fit_dyadic_ratio of DetLLM does (rishabh135/idempotent_llm,
                src/detllm/dyadic.py), whose own activations have no zero point.
    """
    low, n = -max_along(-x, -1), (1 << bits) - 1
    span = within(maximum(max_along(x, -1) - low, 1), 1, (1 << 32) - 1)
    y = within(div_half_up(within(x - low, 0, span) * n, span), 0, n)
    a = 7 + bits - bitlen(span * m)
    b = a + (_scaled(span * m, n, a) < 128)
    m_y = within(_scaled(span * m, n, b), 128, 255)
    return {"y": y, "zero_point": divide(-low * n, span, "half_away"), "m_y": m_y, "k_y": k + b}


REQUANTIZE_ILLM = Op(
    requantize_illm,
    inputs={"x": Port("int32", "... D"), "m": M, "k": K},
    attrs={"bits": Attr(2, 8)},
    outputs={
        "y": Port("uint8", "... D"),
        "zero_point": Port("int64", "... 1"),
        "m_y": Port("int32", "... 1"),
        "k_y": Port("int8", "... 1"),
    },
    reduces=("D",),
)

OPS: tuple[Op, ...] = (SOFTMAX_ILLM, SWIGLU_ILLM, RMSNORM_ILLM, LAYERNORM_ILLM, REQUANTIZE_ILLM)
