"""Ops of Gemmini, a systolic-array generator: the functions its accelerator fuses behind a product.

Its requantizer is `rescale` with fp32_half_even (a float32 scale), its integer shift half_even. What its int32
arithmetic would wrap is refused: wrapped exponentials have no sense, and its C code leaves them undefined.
"""

from typing import Any

from intref.intmath import (
    absolute,
    bitlen,
    divide,
    isqrt,
    max_along,
    maximum,
    minimum,
    mul_shift,
    scale_fp32,
    square,
    sum_along,
    where,
    within,
)
from intref.ops.op import Attr, Op, Port, Tensors

MAX_KEYS = 1 << 10  # the buffer of its C code
M31 = (1 << 31) - 1
X = "int8 int16 int32"
ROOT = 46340  # floor(sqrt(2**31 - 1))


def softmax_gemmini(x, mask, *, ln2, b, c):
    """p[k] = exp(S * x[k]) / sum_k exp(S * x[k]) over keys k with mask 1, scale 1 / 127.

    Inputs      x int8, int16 or int32 [B H Q K], K <= 1024, scale S; mask int8 [B K] or [B Q K]: 1 attend,
                0 not.
    Attributes  ln2 in [1, 2**16]: floor(0.693147 / S). b in [0, 46340]: floor(1.353 / S).
                c in [1, 2**30]: floor(0.344 / (0.3585 * S**2)).
    Output      p int8 [B H Q K], in [0, 127].

    Exact       d = max_k x - x, the max over keys with mask 1
                z = floor(d * floor(65536 / ln2) / 65536); r = z * ln2 - d
                e = floor(((r + b)**2 + c) / 2**min(z, 31)), 0 where mask is 0
                s = fl32(127 / fl32(max(sum_k e, 1))), fl32 rounding half_even to 24 bits
                p = half_even(fl32(fl32(e) * s)); a row without a key is all 0
    Rounding    the quotients of z and e down, the others half_even.
    Saturates   nothing: e <= sum_k e, so p is at most 127.
    Overflow    none: what the device would wrap is refused by C5 and C6, r by as much as its reciprocal is too small.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes;
                with range = max x - min x over all of x, of masked keys and other rows too,
                C5 range * floor(65536 / ln2) < 2**31;
                C6 K * (max(b, reach - b)**2 + c) < 2**31, reach = ln2 + floor(range * (65536 mod ln2) / 65536).
    Source      ucb-bar/gemmini-rocc-tests, include/gemmini.h, matmul_cpu; the polynomial of I-BERT (Kim et al. 2021).
                For z >= 32 its C code shifts by more than C defines; the hardware (ucb-bar/gemmini) gives 0, as here.
                The mask is ours.
    """
    attend = mask[:, None, None] if len(mask.shape) == 2 else mask[:, None]
    top = max_along(where(attend, x, -(1 << 31)), -1)
    d = within(where(attend, top, x) - x, 0, M31)
    z = within(d * (65536 // ln2), 0, M31) >> 16
    root = within(within(within(z * ln2, 0, M31) - d, -2 * ROOT, 0) + b, -ROOT, ROOT)
    poly = within(square(root) + c, 1, M31)
    e = where(attend, poly >> minimum(z, 31), 0)
    total = maximum(within(sum_along(e, -1), 0, M31), 1)
    return {"p": within(scale_fp32(e, reciprocal_fp32(total)), 0, 127)}


def reciprocal_fp32(n):
    """The bit pattern of fl32(127 / fl32(n)), 1 <= n < 2**31."""
    drop = maximum(bitlen(n) - 24, 0)
    m = within(mul_shift(n, 1, drop, "half_even"), 1, 1 << 24)
    up = 25 - bitlen(m)
    den = within(m << up, 1 << 24, (1 << 25) - 1)
    more = where(den > 127 << 18, 42, 41)  # such that the quotient has 24 bits
    significand = within(divide(127 << more, den, "half_even"), 1 << 23, (1 << 24) - 1)
    return (up - drop - more + 150 << 23) + significand - (1 << 23)


def _range(x: Any) -> int:
    return int(x.max()) - int(x.min())


def _exponents_fit(t: Tensors, a: dict[str, Any]) -> bool:
    return _range(t["x"]) * (65536 // a["ln2"]) <= M31


def _sum_fits(t: Tensors, a: dict[str, Any]) -> bool:
    reach = a["ln2"] + (_range(t["x"]) * (65536 % a["ln2"]) >> 16)
    return t["x"].shape[-1] * (max(a["b"], reach - a["b"]) ** 2 + a["c"]) <= M31


SOFTMAX_GEMMINI = Op(
    softmax_gemmini,
    inputs={"x": Port(X, "B H Q K"), "mask": Port("int8", "B K | B Q K", 0, 1)},
    attrs={"ln2": Attr(1, 1 << 16), "b": Attr(0, ROOT), "c": Attr(1, 1 << 30)},
    outputs={"p": Port("int8", "B H Q K")},
    limits={"K": MAX_KEYS},
    constraints={
        "C5": ("(max x - min x) * floor(65536 / ln2) must be below 2**31", _exponents_fit),
        "C6": ("K * (max(b, reach - b)**2 + c) must be below 2**31", _sum_fits),
    },
    reduces=("K",),
)


def gelu_gemmini(x, *, b, c, one):
    """y = x * (L(x) + one), L the second-order polynomial of erf: scale -0.2888 * S * k**2 / 2.

    Inputs      x int8, int16 or int32 [... D], scale S.
    Attributes  b in [-46340, 0]: trunc(-1.769 / k), k = S / sqrt(2). c, one in [-(2**31 - 1), 2**31 - 1]:
                trunc(1 / (-0.2888 * k**2)) and trunc(fl32(1 / fl32(-0.2888 * k**2))), which may be one off c.
    Output      y int32 [... D]. Its scale is negative.

    Exact       L = sgn(x) * ((min(|x|, -b) + b)**2 + c)
                y = x * (L + one)
    Rounding    none.
    Saturates   |x| to -b inside the polynomial.
    Overflow    none: what the device would wrap is refused by C5.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes;
                C5 max(max |x|, 1) * (b**2 + |c| + |one|) < 2**31.
    Source      ucb-bar/gemmini-rocc-tests, include/gemmini.h, scale_and_sat; the polynomial of I-BERT (Kim et al. 2021)
                without the shift by 14 of its code.
    """
    sign = maximum(minimum(x, 1), -1)
    poly = sign * (square(minimum(absolute(x), -b) + b) + c)
    return {"y": within(x * (poly + one), -M31, M31)}


def _gelu_fits(t: Tensors, a: dict[str, Any]) -> bool:
    peak = max(1, abs(int(t["x"].min())), abs(int(t["x"].max())))
    return bool(peak * (a["b"] ** 2 + abs(a["c"]) + abs(a["one"])) <= M31)


GELU_GEMMINI = Op(
    gelu_gemmini,
    inputs={"x": Port(X, "... D", -M31)},
    attrs={"b": Attr(-ROOT, 0), "c": Attr(-M31, M31), "one": Attr(-M31, M31)},
    outputs={"y": Port("int32", "... D")},
    constraints={"C5": ("max(max |x|, 1) * (b**2 + |c| + |one|) must be below 2**31", _gelu_fits)},
)


def layernorm_gemmini(x):
    """y[..., d] = (x[..., d] - mean) / standard deviation, to the nearest integer: scale gamma[d].

    Inputs      x int8, int16 or int32 [... D], D <= 1024.
    Attributes  none.
    Output      y int8 [... D], in [-64, 64].

    Exact       mean = trunc(sum_d x[d] / D)
                v = floor(sum_d (x[d] - mean)**2 / D)
                sigma = max(floor(sqrt(v)), 1)
                y[d] = half_even((x[d] - mean) / sigma)
    Rounding    mean toward zero; v and the root down; y half_even.
    Saturates   nothing.
    Overflow    none: what the device would wrap is refused by C5 and C6; |y| <= 64, for |x - mean| <= 32 * sqrt(v + 1).
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes;
                C5 D * max |x| < 2**31; C6 D * (max x - min x)**2 < 2**31.
    Source      ucb-bar/gemmini-rocc-tests, include/gemmini.h, matmul_cpu: a float64 quotient rounded half_even,
                which is the exact one, for no quotient of int32 by int16 lies close to a tie. No epsilon.
    """
    width = x.shape[-1]
    mean = divide(sum_along(x, -1), width, "toward_zero")
    centered = within(x - mean, -ROOT, ROOT)
    v = sum_along(square(centered), -1) // width
    return {"y": within(divide(centered, maximum(isqrt(v), 1), "half_even"), -64, 64)}


LAYERNORM_GEMMINI = Op(
    layernorm_gemmini,
    inputs={"x": Port(X, "... D", -M31)},
    attrs={},
    outputs={"y": Port("int8", "... D")},
    limits={"D": MAX_KEYS},
    constraints={
        "C5": (
            "D * max |x| must be below 2**31",
            lambda t, a: t["x"].shape[-1] * max(abs(int(t["x"].min())), abs(int(t["x"].max()))) <= M31,
        ),
        "C6": (
            "D * (max x - min x)**2 must be below 2**31",
            lambda t, a: t["x"].shape[-1] * _range(t["x"]) ** 2 <= M31,
        ),
    },
    reduces=("D",),
)

OPS: tuple[Op, ...] = (SOFTMAX_GEMMINI, GELU_GEMMINI, LAYERNORM_GEMMINI)
