"""Ops of Deeploy (pulp-platform), as its integer ONNX dialect and its generic C kernels compute them.

A C kernel works in int32 and stores int8: where its values may leave these, the wrap is part of the op, and where the
networks that it ships with expect a clamp or another rounding, an attribute says which. What would be undefined in C (a
signed overflow other than of a requantization's product, a division by 0) is refused or defined here.
"""

from typing import Any

import numpy as np

from intref.intmath import (
    absolute,
    divide,
    isqrt,
    max_along,
    maximum,
    minimum,
    running_max,
    running_sum,
    saturate,
    spread,
    square,
    sum_along,
    where,
    within,
    wrap_int32,
)
from intref.ops.op import CLIP_FITS, HIGH, INT32, LOW, Attr, Op, Port, Tensors

MASKED_OUT = -129
MOST = 1 << 13  # keys, or elements of a row
WIDE_OFFSET = Attr(-(1 << 15), 1 << 15, default=lambda attrs: 0)
SHIFT = Attr(0, 31)
BYTE = Port("int8 uint8", "... D")
MASKED = {"x": Port("int8", "B H Q K"), "mask": Port("int8", "B K | B Q K", 0, 1)}
LEVELS = Attr(2, 256, default=lambda attrs: 256)
EIGHT = Attr(choices=("int8", "uint8"))


def requant_shift(x, mul, add, *, input_offset, shift, rounding, output_offset, output, low, high, axis):
    """y = clamp((((x + input_offset) * mul + add) >> shift) + output_offset, low, high), every step in int32.

    Inputs      x int8, uint8, int16 or int32 [...]; mul int32 [C], add int32 [A].
    Attributes  input_offset, output_offset in [-2**15, 2**15], default 0. shift in [0, 31]. rounding: half_up or floor.
                output: int8, uint8, int16 or int32. low, high int32: default to the range of output.
                axis in [-4, 3], default -1: the axis of x that C and A run along.
    Output      y [...] of dtype output.

    Exact       wrap(v): the int32 with v's low 32 bits
                p = wrap((x + input_offset) * mul + add)
                half_up: q = floor(wrap(p + floor(2**shift / 2)) / 2**shift); floor: q = floor(p / 2**shift)
                y = clamp(wrap(q + output_offset), low, high)
    Rounding    to nearest, ties toward +infinity; or down.
    Saturates   y to [low, high].
    Overflow    the product with its sum, the half and the output offset wrap to int32; the product stays below 2**63.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes;
                C5 axis exists, C and A are 1 or its size; C6 low <= high inside output's range.
    Source      Deeploy, TargetLibraries/Generic/src/RequantShift_s8.c; floor: the same without its flag `rounding`.
    """
    ndim = len(x.shape)
    mul, add = spread(mul, axis, ndim), spread(add, axis, ndim)
    p = wrap_int32((x + input_offset) * mul + add)
    if rounding == "half_up":
        q = wrap_int32(p + (1 << shift >> 1)) >> shift  # the half is added in int32: near 2**31 it wraps
    else:
        q = p >> shift
    return {"y": saturate(wrap_int32(q + output_offset), low, high)}


def _channels_fit(tensors: Tensors, attrs: dict[str, Any]) -> bool:
    shape, axis = tensors["x"].shape, attrs["axis"]
    return -len(shape) <= axis < len(shape) and {len(tensors["mul"]), len(tensors["add"])} <= {1, shape[axis]}


REQUANT_SHIFT = Op(
    requant_shift,
    inputs={"x": Port("int8 uint8 int16 int32", "..."), "mul": Port("int32", "C"), "add": Port("int32", "A")},
    attrs={
        "input_offset": WIDE_OFFSET,
        "shift": SHIFT,
        "rounding": Attr(choices=("half_up", "floor")),
        "output_offset": WIDE_OFFSET,
        "output": Attr(choices=("int8", "uint8", "int16", "int32")),
        "low": Attr(INT32.low, INT32.high, default=LOW.default),
        "high": Attr(INT32.low, INT32.high, default=HIGH.default),
        "axis": Attr(-4, 3, default=lambda attrs: -1, structural=True),
    },
    outputs={"y": Port("output", "...")},
    constraints={
        "C5": ("attribute 'axis' must name an axis of x, and mul and add have length 1 or its size", _channels_fit),
        "C6": CLIP_FITS,
    },
)


def _attended(mask):
    """The mask laid over [B H Q K]."""
    return mask[:, None, None] if len(mask.shape) == 2 else mask[:, None]


def _wrap_int8(x):
    """The int8 with x's low 8 bits."""
    return (x + 128 & 255) - 128


def _stored(p, levels, output):
    """A probability of so many levels in 8 bits: as it is, or around the middle level."""
    return _wrap_int8(p - (levels >> 1)) if output == "int8" else p & 255


def softmax_deeploy(x, mask, *, a, b, c, ln2, levels, output):
    """p[k] = exp(S * x[k]) / sum_k exp(S * x[k]) over keys k with mask 1, in `levels` levels: iSoftmax.

    Inputs      x int8 [B H Q K], K <= 2**13, scale S; mask int8 [B K] or [B Q K]: 1 attend, 0 not.
    Attributes  ln2 in [2, 2**15]: log(2) / S. a in [1, 2**15], b in [0, 2**15], c in [0, 2**31 - 1]: the polynomial.
                levels in [2, 256], default 256. output: int8 or uint8.
    Output      p [B H Q K] of dtype output.

    Exact       d = max_k x - x, the max over keys with mask 1
                z = min(floor(d / ln2), 31); r = z * ln2 - d
                e = floor((a * (r + b)**2 + c) / 2**z), 0 where mask is 0
                total = max((sum_k e) mod 2**32, 1)
                u = floor(((e * (levels - 1)) mod 2**32) / total)
                uint8: p = u mod 2**8; int8: p = the int8 with the low 8 bits of u - floor(levels / 2)
    Rounding    every quotient down.
    Saturates   z to 31.
    Overflow    e < 2**32 by C5; its product and its sum wrap to uint32, p to 8 bits. A sum that wraps to 0 counts as 1.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes;
                C5 a * max(b, 255)**2 < 2**31, as the C kernel's int32 needs.
    Source      Deeploy, TargetLibraries/Generic/src/Softmax_s8.c, Softmax_s8_s8, without a mask (all 1); the uint8 form
                is that of its networks. Polynomial of I-BERT (Kim et al. 2021).
    """
    attend = _attended(mask)
    seen = where(attend, x, -128)
    d = within(max_along(seen, -1) - seen, 0, 255)
    z = minimum(d // ln2, 31)
    r = within(z * ln2 - d, -255, 0)
    e = where(attend, within(a * square(r + b) + c, 0, (1 << 32) - 1) >> z, 0)
    total = maximum(sum_along(e, -1) & (1 << 32) - 1, 1)
    u = (e * (levels - 1) & (1 << 32) - 1) // total
    return {"p": _stored(u, levels, output)}


SOFTMAX_DEEPLOY = Op(
    softmax_deeploy,
    inputs=MASKED,
    attrs={
        "a": Attr(1, 1 << 15),
        "b": Attr(0, 1 << 15),
        "c": Attr(0, INT32.high),
        "ln2": Attr(2, 1 << 15),
        "levels": LEVELS,
        "output": EIGHT,
    },
    outputs={"p": Port("output", "B H Q K")},
    limits={"K": MOST},
    constraints={
        "C5": (
            "attributes must satisfy a * max(b, 255)**2 < 2**31",
            lambda tensors, attrs: attrs["a"] * max(attrs["b"], 255) ** 2 < 1 << 31,
        ),
    },
    reduces=("K",),
)


def softmax_itamax(x, mask, *, levels, output):
    """p[k] = 2**(x[k] / 32) / sum_k 2**(x[k] / 32) over keys k with mask 1, by shifts: ITAMax.

    Inputs      x int8 [B H Q K], K <= 2**13, scale log(2) / 32; mask int8 [B K] or [B Q K]: 1 attend, 0 not.
    Attributes  levels in [2, 256], default 256. output: int8 or uint8.
    Output      p [B H Q K] of dtype output.

    Exact       s = floor((max_k x - x + 16) / 32), the max over keys with mask 1
                inverse = floor((levels - 1) * 2**8 / max(sum_k 2**(8 - s), 2**8)), the sum over keys with mask 1
                u = floor(inverse / 2**s), 0 where mask is 0
                uint8: p = u; int8: p = u - floor(levels / 2)
    Rounding    s to nearest, ties toward +infinity; every other quotient down.
    Saturates   nothing.
    Overflow    none: 2**8 <= sum_k <= 2**21 in a row with a key, so inverse < levels.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes.
    Source      Deeploy, TargetLibraries/Generic/src/Softmax_s8.c, ITAMax_s8, without a mask (all 1); the uint8 form is
                that of its networks. ITA (Islamoglu et al. 2023).
    """
    attend = _attended(mask)
    seen = where(attend, x, -128)
    s = _halvings(max_along(seen, -1) - seen)
    total = sum_along(where(attend, 1 << 8 - s, 0), -1)
    inverse = (levels - 1 << 8) // maximum(total, 256)
    return {"p": _stored(where(attend, inverse >> s, 0), levels, output)}


def _halvings(d):
    """d / 32 to nearest, for a distance d."""
    return within(d, 0, 256) + 16 >> 5


SOFTMAX_ITAMAX = Op(
    softmax_itamax,
    inputs=MASKED,
    attrs={"levels": LEVELS, "output": EIGHT},
    outputs={"p": Port("output", "B H Q K")},
    limits={"K": MOST},
    reduces=("K",),
)


def softmax_itamax_partial(x, mask, *, group, levels, output):
    """p[k] = 2**(x[k] / 32) / sum_k 2**(x[k] / 32) over keys k with mask 1, the sum by groups: ITAPartialMax.

    The sum is shifted right as the maximum of the groups rises: it is not always that of softmax_itamax.

    Inputs      x int8 [B H Q K], K <= 2**13, scale log(2) / 32; mask int8 [B K] or [B Q K]: 1 attend, 0 not.
    Attributes  group in [1, 2**13]: keys that are summed at once. levels in [2, 256], default 256.
                output: int8 or uint8.
    Output      p [B H Q K] of dtype output.

    Exact       group g holds the keys g * group .. g * group + group - 1, g = 0 .. G - 1, G = K / group
                m[g] = the maximum of x over the keys with mask 1 of the groups 0 .. g, -129 where there is none
                t[g] = floor((m[g] - m[g - 1] + 16) / 32), t[0] = 0
                own[g] = sum_k 2**(8 - floor((m[g] - x[k] + 16) / 32)) over the keys with mask 1 of group g
                total[g] = floor(total[g - 1] / 2**t[g]) + own[g], total[0] = own[0]
                inverse = floor((floor(levels / 2) - 1) * 2**8 / max(total[G - 1], 2**8))
                u = floor(inverse / 2**floor((m[G - 1] - x + 16) / 32)), 0 where mask is 0
                uint8: p = u; int8: p = u - floor(levels / 2)
    Rounding    t and the other distances to nearest, ties toward +infinity; every other quotient down.
    Saturates   nothing.
    Overflow    none: m climbs 256 in all and 16 for each 1 of t, so the t sum to T <= 16, and total[G - 1] is one
                floor, of sum_g own[g] * 2**(t[0] + .. + t[g]) / 2**T. It is 2**8 or more in a row with a key.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes;
                C5 K is a multiple of group.
    Source      Deeploy, TargetLibraries/Generic/src/Softmax_s8.c, ITAPartialMax_s8, without a mask (all 1); the uint8
                form is that of its networks. ITA (Islamoglu et al. 2023).
    """
    *lead, keys = x.shape
    seen = where(_attended(mask), x, MASKED_OUT)
    groups = seen.reshape((*lead, keys // group, group))
    own = max_along(groups, -1)
    before = own[..., maximum(np.arange(groups.shape[-2]) - 1, 0), :]
    m = running_max(own, -2)
    climbed = within(running_sum(_halvings(m - running_max(before, -2)), -2), 0, 16)
    terms = where(groups > MASKED_OUT, 1 << 8 - _halvings(m - groups), 0) << climbed
    total = sum_along(sum_along(terms, -2), -1)[..., 0] >> max_along(climbed, -2)[..., 0]
    inverse = ((levels >> 1) - 1 << 8) // maximum(total, 256)
    shifted = inverse >> _halvings(max_along(seen, -1) - seen)
    return {"p": _stored(where(seen > MASKED_OUT, shifted, 0), levels, output)}


SOFTMAX_ITAMAX_PARTIAL = Op(
    softmax_itamax_partial,
    inputs=MASKED,
    attrs={"group": Attr(1, MOST, structural=True), "levels": LEVELS, "output": EIGHT},
    outputs={"p": Port("output", "B H Q K")},
    limits={"K": MOST},
    constraints={"C5": ("axis K must be a multiple of group", lambda t, a: t["x"].shape[-1] % a["group"] == 0)},
    reduces=("K",),
)


def layernorm_deeploy(x, weight, bias, *, input_offset, shift, overflow):
    """y[..., d] = (trunc((v[d] - mean) * weight[d] / deviation) + bias[d]) >> shift, v = x + input_offset: iLayerNorm.

    Inputs      x int8 or uint8 [... D], D <= 2**13; weight int32 [D], bias int32 [D].
    Attributes  input_offset in [-128, 128], default 0. shift in [0, 31]. overflow: clamp or wrap.
    Output      y int8 [... D].

    Exact       v[d] = x[d] + input_offset; c[d] = v[d] - trunc(sum_d v[d] / D)
                sigma = floor(sqrt(floor(sum_d c[d]**2 / D) + 1))
                z[d] = floor((trunc(c[d] * weight[d] / sigma) + bias[d]) / 2**shift)
                clamp: y[d] = clamp(z[d], -128, 127); wrap: y[d] = the int8 with z[d]'s low 8 bits
    Rounding    mean and quotient toward zero; variance, root and shift down.
    Saturates   clamp: y to [-128, 127].
    Overflow    wrap: y to int8. Nothing else: the v span at most 255, so |c| <= 255, |c * weight| < 2**39, the
                squares' sum < 2**29 and their mean < 127.5**2 + 1, for trunc moves the mean of v by less than 1.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes;
                C5 every x + input_offset lies in [-128, 255].
    Source      Deeploy, TargetLibraries/Generic/src/Layernorm_s8.c, Layernorm_s8_s8, that wraps; its networks clamp.
    """
    width, v = x.shape[-1], within(x + input_offset, -128, 255)
    c = within(v - divide(sum_along(v, -1), width, "toward_zero"), -255, 255)
    sigma = isqrt(within(sum_along(square(c), -1) // width + 1, 1, (1 << 14) - 1))
    z = divide(c * weight, sigma, "toward_zero") + bias >> shift
    return {"y": _narrowed(z, overflow)}


def _narrowed(z, overflow):
    """z as an int8."""
    return _wrap_int8(z) if overflow == "wrap" else saturate(z, -128, 127)


def _offset_fits(tensors: Tensors, attrs: dict[str, Any]) -> bool:
    x, offset = tensors["x"], attrs["input_offset"]
    return int(x.min()) + offset >= -128 and int(x.max()) + offset <= 255


OFFSET = Attr(-128, 128, default=lambda attrs: 0)
OFFSET_FITS = ("x + input_offset must lie in [-128, 255]", _offset_fits)
OVERFLOW = Attr(choices=("clamp", "wrap"))
LAYERNORM_DEEPLOY = Op(
    layernorm_deeploy,
    inputs={"x": BYTE, "weight": Port("int32", "D"), "bias": Port("int32", "D")},
    attrs={"input_offset": OFFSET, "shift": SHIFT, "overflow": OVERFLOW},
    outputs={"y": Port("int8", "... D")},
    limits={"D": MOST},
    constraints={"C5": OFFSET_FITS},
    reduces=("D",),
)


def rmsnorm_deeploy(x, weight, *, input_offset, shift):
    """y[..., d] = clamp(trunc(v[d] * weight[d] / rms) >> shift, -128, 127), v = x + input_offset: iRMSNorm.

    Inputs      x int8 or uint8 [... D], D <= 2**13; weight int32 [D].
    Attributes  input_offset in [-128, 128], default 0. shift in [0, 31].
    Output      y int8 [... D].

    Exact       v[d] = x[d] + input_offset; sigma = floor(sqrt(floor(sum_d v[d]**2 / D) + 1))
                product[d] = the int32 with the low 32 bits of v[d] * weight[d]
                y[d] = clamp(floor(trunc(product[d] / sigma) / 2**shift), -128, 127)
    Rounding    quotient toward zero; mean, root and shift down.
    Saturates   y to [-128, 127].
    Overflow    the product wraps to int32. Nothing else: the squares' sum < 2**29 by C5.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes;
                C5 every x + input_offset lies in [-128, 255].
    Source      Deeploy, TargetLibraries/Generic/src/iRMSNorm_s8.c.
    """
    v = within(x + input_offset, -128, 255)
    sigma = isqrt(sum_along(square(v), -1) // x.shape[-1] + 1)
    return {"y": saturate(divide(wrap_int32(v * weight), sigma, "toward_zero") >> shift, -128, 127)}


RMSNORM_DEEPLOY = Op(
    rmsnorm_deeploy,
    inputs={"x": BYTE, "weight": Port("int32", "D")},
    attrs={"input_offset": OFFSET, "shift": SHIFT},
    outputs={"y": Port("int8", "... D")},
    limits={"D": MOST},
    constraints={"C5": OFFSET_FITS},
    reduces=("D",),
)


def nonorm_deeploy(x, weight, bias, *, mul, shift, overflow):
    """y = ((x * weight + bias) * mul) >> shift: iNoNorm, a norm without statistics.

    Inputs      x int8 [... T D]; weight int8 [D] or [T D]; bias int32 [D].
    Attributes  mul int32. shift in [0, 31]. overflow: clamp or wrap.
    Output      y int8 [... T D].

    Exact       wrap(v): the int32 with v's low 32 bits
                z = floor(wrap((x * weight + bias) * mul) / 2**shift)
                clamp: y = clamp(z, -128, 127); wrap: y = the int8 with z's low 8 bits
    Rounding    down.
    Saturates   clamp: y to [-128, 127].
    Overflow    the product wraps to int32; wrap: y to int8.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes.
    Source      Deeploy, TargetLibraries/Snitch/src/iNoNorm.c, that wraps; NoNorm of MobileBERT (Sun et al. 2020).
    """
    weight = weight[None] if len(weight.shape) == 1 else weight[:, :]
    z = wrap_int32((x * weight + bias) * mul) >> shift
    return {"y": _narrowed(z, overflow)}


NONORM_DEEPLOY = Op(
    nonorm_deeploy,
    inputs={"x": Port("int8", "... T D"), "weight": Port("int8", "D | T D"), "bias": Port("int32", "D")},
    attrs={"mul": INT32, "shift": SHIFT, "overflow": OVERFLOW},
    outputs={"y": Port("int8", "... T D")},
)


def gelu_deeploy(x, *, b, one, input_offset):
    """y = v * ((one + sgn(v) * (one - (min(|v|, -b) + b)**2)) >> 1), v = x + input_offset: iGELU.

    Inputs      x int8 or uint8 [... D], scale S.
    Attributes  b in [-128, 0]: -1.769 * sqrt(2) / S. one in [-2**15, 2**15 - 1]: sqrt(2)**2 / (0.2888 * S**2).
                input_offset in [-128, 128], default 0.
    Output      y int32 [... D].

    Exact       v = x + input_offset
                L = sgn(v) * (one - (min(|v|, -b) + b)**2)
                y = v * floor((one + L) / 2)
    Rounding    the half down.
    Saturates   |v| to -b inside the polynomial.
    Overflow    none: |y| <= 384 * 2**15.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes.
    Source      Deeploy, TargetLibraries/Generic/src/GELU_s8.c, GELU_s8_s32; polynomial of I-BERT (Kim et al. 2021).
    """
    v = x + input_offset
    sign = maximum(minimum(v, 1), -1)
    poly = sign * (one - square(minimum(absolute(v), -b) + b))
    return {"y": v * (one + poly >> 1)}


GELU_DEEPLOY = Op(
    gelu_deeploy,
    inputs={"x": BYTE},
    attrs={"b": Attr(-128, 0), "one": Attr(-(1 << 15), (1 << 15) - 1), "input_offset": OFFSET},
    outputs={"y": Port("int32", "... D")},
)


def hardswish_deeploy(x, *, one_over_six, three, six, input_offset):
    """y = x * (clamp(x + input_offset + three, 0, six) * one_over_six): iHardswish.

    Inputs      x int8 or uint8 [... D], scale S.
    Attributes  one_over_six in [0, 2**16]: 1 / 6 in its own scale. three, six in [0, 2**16]: 3 / S and 6 / S.
                input_offset in [-128, 128], default 0: the factor x does without it, as in the C kernel.
    Output      y int32 [... D].

    Exact       y = the int32 with the low 32 bits of x * clamp(x + input_offset + three, 0, six) * one_over_six
    Rounding    none.
    Saturates   the sum to [0, six].
    Overflow    y wraps to int32.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes.
    Source      Deeploy, TargetLibraries/Generic/src/Hardswish_s8.c; Howard et al. 2019.
    """
    return {"y": wrap_int32(x * saturate(x + input_offset + three, 0, six) * one_over_six)}


HARDSWISH_DEEPLOY = Op(
    hardswish_deeploy,
    inputs={"x": BYTE},
    attrs={k: Attr(0, 1 << 16) for k in ("one_over_six", "three", "six")} | {"input_offset": OFFSET},
    outputs={"y": Port("int32", "... D")},
)


def divide_deeploy(x, den, *, delta, eta, eps, rounding):
    """y = delta * eta * x / (eta * den + eps), rounded: IntegerDiv, and TrueIntegerDiv where den is a constant.

    Inputs      x int32 [... D]; den int32 [... 1] >= 0.
    Attributes  delta, eta in [1, 2**24]. eps in [1, 2**31 - 1]. rounding: half_away or floor.
    Output      y int32 [... D].

    Exact       y = the int32 with the low 32 bits of rounding(delta * eta * x / (eta * den + eps))
    Rounding    to nearest, ties away from zero; or down.
    Saturates   nothing.
    Overflow    y wraps to int32. |delta * eta * x| < 2**63 by C5.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes; C5 delta * eta < 2**32.
    Source      Deeploy, TargetLibraries/Generic/src/Div_s32.c, that rounds to nearest; its networks' TrueIntegerDiv is
                rounded down. The C kernel's delta * eta is an int32, that of its networks is not.
    """
    num, total = within(delta * eta, 1, (1 << 32) - 1) * x, eta * den + eps
    y = divide(num, total, "half_away") if rounding == "half_away" else divide(num, total, "floor")
    return {"y": wrap_int32(y)}


DIVIDE_DEEPLOY = Op(
    divide_deeploy,
    inputs={"x": Port("int32", "... D"), "den": Port("int32", "... 1", 0)},
    attrs={
        "delta": Attr(1, 1 << 24),
        "eta": Attr(1, 1 << 24),
        "eps": Attr(1, INT32.high),
        "rounding": Attr(choices=("half_away", "floor")),
    },
    outputs={"y": Port("int32", "... D")},
    constraints={"C5": ("attributes must satisfy delta * eta < 2**32", lambda t, a: a["delta"] * a["eta"] < 1 << 32)},
)


def mean_deeploy(x, *, rounding):
    """y[..., d] = the mean over n of x[..., n, d], rounded: IntegerMean.

    Inputs      x int8, uint8 or int16 [... N D], N <= 2**13.
    Attributes  rounding: half_up or half_away.
    Output      y [... D] of the dtype of x.

    Exact       y[d] = rounding(sum_n x[n, d] / N)
    Rounding    to nearest, ties toward +infinity or away from zero.
    Saturates   nothing.
    Overflow    none: the sum stays within 2**28, the mean among the x.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes.
    Source      Deeploy, Targets/Generic/Templates/ReduceMeanTemplate.py: half_up where N is a power of two, half_away
                where not; its networks: half_up.
    """
    total, count = sum_along(x, -2)[..., 0, :], x.shape[-2]
    y = divide(total, count, "half_up") if rounding == "half_up" else divide(total, count, "half_away")
    return {"y": y}


MEAN_DEEPLOY = Op(
    mean_deeploy,
    inputs={"x": Port("int8 uint8 int16", "... N D")},
    attrs={"rounding": Attr(choices=("half_up", "half_away"))},
    outputs={"y": Port("=x", "... D")},
    limits={"N": MOST},
    reduces=("N",),
)

OPS = (
    REQUANT_SHIFT,
    SOFTMAX_DEEPLOY,
    SOFTMAX_ITAMAX,
    SOFTMAX_ITAMAX_PARTIAL,
    LAYERNORM_DEEPLOY,
    RMSNORM_DEEPLOY,
    NONORM_DEEPLOY,
    GELU_DEEPLOY,
    HARDSWISH_DEEPLOY,
    DIVIDE_DEEPLOY,
    MEAN_DEEPLOY,
)
