"""Ops of I-ViT: an exponential made of shifts, and a root by ten steps of Newton's method."""

from intref.intmath import (
    MASK32,
    divide,
    max_along,
    maximum,
    minimum,
    square,
    sum_along,
    where,
    within,
    wrap_int32,
)
from intref.ops.op import Attr, Op, Port

MAX31 = (1 << 31) - 1
MAX_KEYS = 1 << 15
STEPS = 10  # of Newton's method, from 2**16: not enough for every sum of squares
FORMS = ("torch", "tvm")


def _log2e(x):
    """x * log2(e), about: x * 1.4375."""
    return x + (x >> 1) - (x >> 4)


def _power(r, k, one, form):
    """2**k * (one + r / 2), rounded down: torch keeps the half of an odd r until then, tvm drops it before."""
    if form == "tvm":
        return (r >> 1) + one << k
    return within(r + 2 * one, 1, 1 << 26) << k >> 1


def softmax_ivit(x, mask, *, one, halvings, bits, form):
    """p[k] = exp(S * x[k]) / sum_k exp(S * x[k]) over keys k with mask 1, scale 2**(1 - bits): Shiftmax.

    Inputs      x int8, int16 or int32 [B H Q K], K <= 2**15, scale S; mask int8 [B K] or [B Q K]: 1 attend, 0 not.
    Attributes  one in [1, 2**24]: 1 / S; torch: ceil(1 / S), tvm: floor(1 / S) + 1. halvings in [1, 30]: bits of an
                exponential below 1; the authors' PyTorch code has 15, their TVM graph 16. bits in [2, 16]: of p, with
                a sign. form: torch or tvm.
    Output      p int16 [B H Q K], in [0, 2**(bits - 1) - 1].

    Exact       d = x - max_k x, the max over keys with mask 1
                t = max(d + floor(d / 2) - floor(d / 16), -halvings * one)
                q = floor(-t / one); r = t + q * one
                torch: e = floor((one + r / 2) * 2**(halvings - q)), 0 where mask is 0
                tvm:   e = (one + floor(r / 2)) * 2**(halvings - q), 0 where mask is 0
                f = floor((2**31 - 1) / max(min(sum_k e, 2**31 - 1), 1))
                p = floor(e * f / 2**(32 - bits)); a row without a key is all 0
    Rounding    every quotient down.
    Saturates   sum_k e to 2**31 - 1.
    Overflow    e <= one * 2**halvings < 2**31 by C5, since r <= 0; e * f < 2**31: e <= sum e, or f = 1.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes;
                C5 one * 2**halvings < 2**31;
                C6 tvm: K * one * 2**halvings < 2**31, for its sum is int32 and does not saturate.
    Source      I-ViT (Li and Gu 2023), algorithm 1, as the authors' code computes it: zkkli/I-ViT, quant_modules.py
                (torch) and TVM_benchmark/models/layers.py (tvm). Both take the two shifts of the same d. Masks are
                ours.
    """
    attend = mask[:, None, None] if len(mask.shape) == 2 else mask[:, None]
    seen = where(attend, x, -(1 << 31))
    d = within(seen - max_along(seen, -1), -(1 << 32), 0)
    t = within(maximum(_log2e(d), -halvings * one), -MAX31, 0)
    q = within(-t // one, 0, halvings)
    r = within(t + q * one, 1 - one, 0)
    e = where(attend, within(_power(r, within(halvings - q, 0, halvings), one, form), 0, MAX31), 0)
    f = MAX31 // maximum(minimum(sum_along(e, -1), MAX31), 1)
    return {"p": within(e * f, 0, MAX31) >> 32 - bits}


def _exponential_fits(tensors, attrs) -> bool:
    return attrs["one"] << attrs["halvings"] < 1 << 31


def _tvm_sum_fits(tensors, attrs) -> bool:
    return attrs["form"] != "tvm" or tensors["x"].shape[-1] * attrs["one"] << attrs["halvings"] < 1 << 31


_EXPONENTIAL = {
    "one": Attr(1, 1 << 24),
    "halvings": Attr(1, 30),
    "bits": Attr(2, 16),
    "form": Attr(choices=FORMS),
}
_FITS = ("attributes must satisfy one * 2**halvings < 2**31", _exponential_fits)
SOFTMAX_IVIT = Op(
    softmax_ivit,
    inputs={"x": Port("int8 int16 int32", "B H Q K"), "mask": Port("int8", "B K | B Q K", 0, 1)},
    attrs=_EXPONENTIAL,
    outputs={"p": Port("int16", "B H Q K")},
    limits={"K": MAX_KEYS},
    constraints={"C5": _FITS, "C6": ("form tvm must have K * one * 2**halvings < 2**31", _tvm_sum_fits)},
    reduces=("K",),
)


def gelu_ivit(x, *, one, halvings, bits, form):
    """y = x * sigmoid(1.702 * S * x), scale S * 2**(1 - bits): ShiftGELU.

    Inputs      x int8 or int16 [... D], D <= 2**16, scale S: D holds all channels of a token, whose maximum is taken.
    Attributes  one in [1, 2**24]: 1 / (1.702 * S); torch: ceil, tvm: floor + 1. halvings in [1, 30]: the authors' code
                has 23. bits in [2, 16]: of the sigmoid, with a sign; theirs has 8. form: torch or tvm.
    Output      y int32 [... D].

    Exact       m = max_d x
                exp(d), d <= 0, and exp(-m), of either sign:
                    t = max(d + floor(d / 2) - floor(d / 16), -halvings * one)
                    torch: q = floor(-t / one); tvm: q = trunc(-t / one); r = t + q * one; k = halvings - q
                    torch: exp = floor((one + r / 2) * 2**k); tvm: exp = (one + floor(r / 2)) * 2**k
                s = min(exp(x - m) + exp(-m), 2**31 - 1)
                y = x * floor(exp(x - m) * floor((2**31 - 1) / s) / 2**(32 - bits))
    Rounding    every quotient down, but q toward zero in tvm.
    Saturates   s to 2**31 - 1.
    Overflow    exp(x - m) <= one * 2**halvings < 2**31 by C5. exp(-m) >= 2**31 where k >= 31: k is cut there, which
                changes no bit. The sigmoid is below 2**15: exp(x - m) <= s, or s saturates and its quotient is 1.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes;
                C5 one * 2**halvings < 2**31.
    Source      I-ViT (Li and Gu 2023), algorithm 2, as the authors' code computes it: zkkli/I-ViT, quant_modules.py
                (torch) and TVM_benchmark/models/layers.py (tvm). Where s reaches 2**31, TVM's int32 is not defined,
                and this is: it saturates as torch does.
    """
    top = max_along(x, -1)
    t = within(maximum(_log2e(within(x - top, -(1 << 16), 0)), -halvings * one), -(1 << 17), 0)
    q = within(-t // one, 0, halvings)
    r = within(t + q * one, 1 - one, 0)
    e = within(_power(r, within(halvings - q, 0, halvings), one, form), 1, MAX31)
    t = maximum(_log2e(-top), -halvings * one)
    q = within(divide(-t, one, "toward_zero" if form == "tvm" else "floor"), -(1 << 16), halvings)
    r = within(t + q * one, 1 - one, one - 1)
    zero = within(_power(r, minimum(within(halvings - q, 0, 1 << 17), 31), one, form), 1, 1 << 56)
    sigmoid = within(e * (MAX31 // minimum(e + zero, MAX31)), 0, MAX31) >> 32 - bits
    return {"y": x * sigmoid}


GELU_IVIT = Op(
    gelu_ivit,
    inputs={"x": Port("int8 int16", "... D")},
    attrs=_EXPONENTIAL,
    outputs={"y": Port("int32", "... D")},
    limits={"D": 1 << 16},
    constraints={"C5": _FITS},
    reduces=("D",),
)


def layernorm_ivit(x, bias, *, form):
    """y[..., d] = (x[..., d] - mean) / sqrt(sum of squares) * 2**30 + bias[d]: scale gamma[d] * sqrt(D) / 2**30.

    Inputs      x int32 [... D], |x| <= 2**25, D <= 2**10, or |x| <= 2**23, D <= 2**14; bias int64 [D], |bias| <= 2**60:
                floor(beta / gamma / (sqrt(D) / 2**30)).
    Attributes  form: torch, exact integers; or tvm, in which every value wraps to 32 bits.
    Output      y int64 [... D].

    Exact       torch: mu = half_even(sum_d x[d] / D); tvm: mu = trunc(sum_d x[d] / D)
                c[d] = x[d] - mu; v = sum_d c[d]**2, not divided by D; tvm: v modulo 2**32
                sigma = 2**16, then ten times sigma = floor((sigma + floor(v / sigma)) / 2)
                f = floor((2**31 - 1) / sigma)
                torch: y[d] = floor(c[d] * f / 2) + bias[d]
                tvm:   y[d] = int32(trunc(int32(c[d] * f) / 2) + bias[d]), int32(v) the int32 with v's low 32 bits
    Rounding    torch: mean half_even, all else down; tvm: mean and half toward zero, all else down.
    Saturates   nothing.
    Overflow    torch: none, v <= 2**62, 64 <= sigma, |c * f| <= 2**51. tvm: wraps as said.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes;
                C5 D * (2 * max |x|)**2 <= 2**62; C6 tvm: D * max |x| < 2**31.
    Source      I-ViT (Li and Gu 2023), section 3.4, as the authors' code computes it: zkkli/I-ViT, quant_modules.py
                (torch) and TVM_benchmark/models/layers.py (tvm). Ten steps do not reach the root of every v: from
                v = 0 they end at 64, and so for 100. No epsilon; sigma is never 0.
    """
    width = x.shape[-1]
    c = x - divide(sum_along(x, -1), width, "toward_zero" if form == "tvm" else "half_even")
    v = within(sum_along(square(c), -1), 0, 1 << 62)
    if form == "tvm":
        v = v & MASK32
    sigma = 1 << 16
    for _ in range(STEPS):
        sigma = sigma + v // sigma >> 1
    scaled = c * (MAX31 // sigma)
    if form == "tvm":
        return {"y": wrap_int32(divide(wrap_int32(scaled), 2, "toward_zero") + bias)}
    return {"y": (scaled >> 1) + bias}


def _peak(x) -> int:
    return max(abs(int(x.min())), abs(int(x.max())))


def _tvm_mean_fits(tensors, attrs) -> bool:
    return attrs["form"] != "tvm" or tensors["x"].shape[-1] * _peak(tensors["x"]) < 1 << 31


LAYERNORM_IVIT = Op(
    layernorm_ivit,
    inputs={
        "x": Port("int32", "... D", -(1 << 25), 1 << 25),
        "bias": Port("int64", "D", -(1 << 60), 1 << 60),
    },
    attrs={"form": Attr(choices=FORMS)},
    outputs={"y": Port("int64", "... D")},
    limits={"D": 1 << 14},
    reduces=("D",),
    constraints={
        "C5": (
            "D * (2 * max |x|)**2 must be at most 2**62",
            lambda t, a: t["x"].shape[-1] * _peak(t["x"]) ** 2 <= 1 << 60,
        ),
        "C6": ("form tvm must have D * max |x| < 2**31", _tvm_mean_fits),
    },
)

OPS: tuple[Op, ...] = (SOFTMAX_IVIT, GELU_IVIT, LAYERNORM_IVIT)
