"""Change of scale by a multiplier and a shift: of one term, of a sum of two, of a quotient."""

from fractions import Fraction
from typing import Any

from intref.intmath import (
    MAX_SHIFT,
    ROUNDS_UP,
    divide,
    maximum,
    mul_shift,
    saturate,
    scale_fp32,
    shift_half_up,
    split_fp32,
    spread,
    where,
    within,
    wrap_int32,
)
from intref.ops.op import CLIP_FITS, HIGH, INT32, INTS, LOW, OUTPUT, Attr, Op, Port, Tensors, known

RULES = (*ROUNDS_UP, "gemmlowp_double", "tosa_double", "fp32_half_even")
LIMIT = 1 << 62


def rescale(x, multiplier, shift, *, rounding, input_zero_point, output_zero_point, output, low, high, axis):
    """y = clamp(round((x - input_zero_point) * multiplier / 2**shift) + output_zero_point, low, high).

    Inputs      x int8, uint8, int16, int32 or int64 [...], |x| <= 2**62; multiplier int32 [C], either sign;
                shift int8 [S] in [0, 94].
    Attributes  rounding: one of the rules below. output: int8, int16, int32, int64 or uint8.
                input_zero_point, output_zero_point int32, default 0. low, high: default to the range of output.
                axis in [-8, 7], default -1: the axis of x that C and S run along.
    Output      y [...] of dtype output.

    Exact       v = (x - input_zero_point) * multiplier / 2**shift, a rational
                y = clamp(rounding(v) + output_zero_point, low, high)
                gemmlowp_double: a = int32 wrap of (x - input_zero_point) * 2**max(31 - shift, 0);
                rounding(v) = half_away(half_up(a * multiplier / 2**31) / 2**max(shift - 31, 0))
                tosa_double: shift <= 31: half_up(v); shift > 31: half_up of v + 2**(30 - shift) where
                x >= input_zero_point, of v - 2**(30 - shift) where not
                fp32_half_even: multiplier is the bit pattern of a float32 s and shift is 0;
                rounding(v) = half_even(fl32(fl32(x - input_zero_point) * s)), fl32 rounding half_even to 24 bits
    Rounding    floor, ceil, toward_zero, odd (inexact -> the odd neighbour); to nearest with ties half_up
                (toward +infinity), half_down, half_away (from zero), half_to_zero, half_even.
    Saturates   y to [low, high].
    Overflow    (x - input_zero_point) * multiplier < 2**94 in two limbs; the quotient by C7.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes;
                C5 axis exists, C and S are 1 or its size; C6 low <= high inside output's range;
                C7 |x - input_zero_point| * |multiplier| / 2**shift < 2**62 (fp32_half_even: times |s|);
                C8 gemmlowp_double, tosa_double: x at most int32 and multiplier >= 0;
                C9 tosa_double: shift in [2, 62], |x - input_zero_point| <= 2**31;
                C10 fp32_half_even: shift 0, s finite.
    Source      ours; rules as IEEE 754, RISC-V vxrm, gemmlowp fixedpoint.h (SRDHM then RoundingDivideByPOT),
                TOSA 1.0 apply_scale_32 (its 16-bit multipliers on 48-bit values are half_up), RISC-V V 1.0 vnclip
                (multiplier 1) and vsmul (shift one less than the width), ONNX QLinearMatMul as ONNX Runtime computes.
    """
    ndim = len(x.shape)
    multiplier, shift = spread(multiplier, axis, ndim), spread(shift, axis, ndim)
    centered = x - input_zero_point
    if rounding == "gemmlowp_double":
        doubled = wrap_int32(wrap_int32(centered) << maximum(31 - shift, 0))
        scaled = mul_shift(mul_shift(doubled, multiplier, 31, "half_up"), 1, maximum(shift, 31) - 31, "half_away")
    elif rounding == "tosa_double":
        shift = within(shift, 2, 62)
        nudge = where(shift > 31, where(centered >= 0, 1 << 30, -(1 << 30)), 0)
        scaled = shift_half_up(within(centered, -(1 << 31), 1 << 31) * multiplier + nudge, shift)
    elif rounding == "fp32_half_even":
        scaled = within(scale_fp32(centered, multiplier), -(1 << 62), 1 << 62)
    else:
        scaled = within(mul_shift(centered, multiplier, shift, rounding), -(1 << 62), 1 << 62)
    return {"y": saturate(scaled + output_zero_point, low, high)}


def _channels_fit(tensors: Tensors, attrs: dict[str, Any]) -> bool:
    shape, axis = tensors["x"].shape, attrs["axis"]
    return -len(shape) <= axis < len(shape) and {len(tensors["multiplier"]), len(tensors["shift"])} <= {1, shape[axis]}


def _peak(x: Any, zero: int = 0) -> int:
    return max(abs(int(x.min()) - zero), abs(int(x.max()) - zero))


def _fp32(pattern: int) -> Fraction:
    sign, significand, exponent = (int(v) for v in split_fp32(pattern))
    return sign * significand * Fraction(2) ** exponent


def quotient_fits(x: Any, multiplier: Any, shift: Any, zero: int = 0) -> bool:
    """|x - zero| * |multiplier| / 2**shift < 2**62 for the largest multiplier over each shift."""
    peak = _peak(x, zero)
    m, s = ([int(i) for i in known(v).ravel()] for v in (multiplier, shift))
    pairs = zip(m * len(s) if len(m) == 1 else m, s * len(m) if len(s) == 1 else s)
    return all(peak * abs(a) >> b < LIMIT for a, b in set(pairs))


def _rescale_fits(tensors: Tensors, attrs: dict[str, Any]) -> bool:
    x, zero = tensors["x"], attrs["input_zero_point"]
    if attrs["rounding"] != "fp32_half_even":
        return quotient_fits(x, tensors["multiplier"], tensors["shift"], zero)
    return all(_peak(x, zero) * abs(_fp32(int(m))) < LIMIT for m in known(tensors["multiplier"]).ravel())


def _double_fits(tensors: Tensors, attrs: dict[str, Any]) -> bool:
    fits = str(tensors["x"].dtype) != "int64" and tensors["multiplier"].min() >= 0
    return attrs["rounding"] not in ("gemmlowp_double", "tosa_double") or fits


def _tosa_fits(tensors: Tensors, attrs: dict[str, Any]) -> bool:
    if attrs["rounding"] != "tosa_double":
        return True
    fits = _peak(tensors["x"], attrs["input_zero_point"]) <= 1 << 31
    return fits and 2 <= tensors["shift"].min() <= tensors["shift"].max() <= 62


def _fp32_fits(tensors: Tensors, attrs: dict[str, Any]) -> bool:
    if attrs["rounding"] != "fp32_half_even":
        return True
    finite = all(int(m) >> 23 & 255 != 255 for m in known(tensors["multiplier"]).ravel())
    return finite and tensors["shift"].max() == 0


RESCALE = Op(
    rescale,
    inputs={
        "x": Port(" ".join((*INTS, "uint8")), "...", -LIMIT, LIMIT),
        "multiplier": Port("int32", "C"),
        "shift": Port("int8", "S", 0, MAX_SHIFT),
    },
    attrs={
        "rounding": Attr(choices=RULES),
        "input_zero_point": Attr(INT32.low, INT32.high, default=lambda attrs: 0),
        "output_zero_point": Attr(INT32.low, INT32.high, default=lambda attrs: 0),
        "output": Attr(choices=(*INTS, "uint8")),
        "low": LOW,
        "high": HIGH,
        "axis": Attr(-8, 7, default=lambda attrs: -1, structural=True),
    },
    outputs={"y": Port("output", "...")},
    constraints={
        "C5": ("inputs 'multiplier' and 'shift' must have length 1 or the size of axis", _channels_fit),
        "C6": CLIP_FITS,
        "C7": ("|x - input_zero_point| * |multiplier| / 2**shift must be below 2**62", _rescale_fits),
        "C8": ("gemmlowp_double and tosa_double must have x at most int32 and multiplier >= 0", _double_fits),
        "C9": ("tosa_double must have shift in [2, 62] and |x - input_zero_point| <= 2**31", _tosa_fits),
        "C10": ("fp32_half_even must have shift 0 and finite scales", _fp32_fits),
    },
)


def add(a, b, a_multiplier, a_shift, b_multiplier, b_shift, *, rounding, output, low, high):
    """y = clamp(round(a * a_multiplier / 2**a_shift) + round(b * b_multiplier / 2**b_shift), low, high).

    Inputs      a, b int8, int16 or int32 [... D]; a_multiplier, b_multiplier int32 [C], C = 1 or D, either sign;
                a_shift, b_shift int8 of the same lengths, in [0, 94].
    Attributes  rounding: floor, ceil, toward_zero, odd, half_up, half_down, half_away, half_to_zero, half_even.
                output: int8, int16, int32 or int64. low, high: default to the range of output.
    Output      y [... D] of dtype output.

    Exact       y = clamp(rounding(a * a_multiplier / 2**a_shift) + rounding(b * b_multiplier / 2**b_shift), low, high)
    Rounding    each term by itself, by the named rule; the sum is exact.
    Saturates   y to [low, high], once, after the sum.
    Overflow    none: each product < 2**62, each term <= 2**62, the sum <= 2**63 - 1 (Op.bounds computes them).
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes;
                C5 multipliers and shifts have length 1 or D; C6 low <= high inside output's range.
    Source      the residual add of I-BERT (Kim et al. 2021), as the authors' code computes it.
    """
    left = mul_shift(a, a_multiplier, a_shift, rounding)
    right = mul_shift(b, b_multiplier, b_shift, rounding)
    return {"y": saturate(left + right, low, high)}


def _terms_fit(tensors: Tensors, attrs: dict[str, Any]) -> bool:
    width = tensors["a"].shape[-1]
    return all(len(tensors[f"{t}_{k}"]) in (1, width) for t in "ab" for k in ("multiplier", "shift"))


_TERM = Port("int8 int16 int32", "... D", -(1 << 31) + 1)
ADD = Op(
    add,
    inputs={
        "a": _TERM,
        "b": _TERM,
        "a_multiplier": Port("int32", "A"),
        "a_shift": Port("int8", "R", 0, MAX_SHIFT),
        "b_multiplier": Port("int32", "E"),
        "b_shift": Port("int8", "S", 0, MAX_SHIFT),
    },
    attrs={"rounding": Attr(choices=tuple(ROUNDS_UP)), "output": OUTPUT, "low": LOW, "high": HIGH},
    outputs={"y": Port("output", "... D")},
    constraints={"C5": ("multipliers and shifts must have length 1 or D", _terms_fit), "C6": CLIP_FITS},
)


def add_bias(x, bias, *, output, low, high):
    """y = clamp(x + bias[d], low, high).

    Inputs      x int8, int16 or int32 [... D]; bias int32 [D], at the scale of x.
    Attributes  output: int8, int16, int32 or int64. low, high: default to the range of output.
    Output      y [... D] of dtype output.

    Exact       y[..., d] = clamp(x[..., d] + bias[d], low, high)
    Rounding    none.
    Saturates   y to [low, high].
    Overflow    none: |x + bias| <= 2**32.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes;
                C5 low <= high inside output's range.
    Source      ours.
    """
    return {"y": saturate(x + bias, low, high)}


ADD_BIAS = Op(
    add_bias,
    inputs={"x": Port("int8 int16 int32", "... D"), "bias": Port("int32", "D")},
    attrs={"output": OUTPUT, "low": LOW, "high": HIGH},
    outputs={"y": Port("output", "... D")},
    constraints={"C5": CLIP_FITS},
)


def clamp(x, *, low, high):
    """y = min(max(x, low), high).

    Inputs      x int8, uint8, int16, int32 or int64 [...].
    Attributes  low, high int64.
    Output      y [...] of the dtype of x.

    Exact       y = min(max(x, low), high)
    Rounding    none.
    Saturates   y to [low, high].
    Overflow    none.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes;
                C5 low <= high inside the range of x's dtype.
    Source      ours.
    """
    return {"y": saturate(x, low, high)}


def _clamp_fits(tensors: Tensors, attrs: dict[str, Any]) -> bool:
    low, high = Port(str(tensors["x"].dtype), "").range(str(tensors["x"].dtype))
    return low <= attrs["low"] <= attrs["high"] <= high


CLAMP = Op(
    clamp,
    inputs={"x": Port(" ".join((*INTS, "uint8")), "...", -LIMIT, LIMIT)},
    attrs={"low": Attr(-LIMIT, LIMIT), "high": Attr(-LIMIT, LIMIT)},
    outputs={"y": Port("=x", "...")},
    constraints={"C5": ("attributes must satisfy low <= high inside the range of x's dtype", _clamp_fits)},
)


def rescale_quotient(x, total, multiplier, shift, *, output, low, high):
    """y = clamp(half_up(x * multiplier[h] / (total * 2**shift[h])), low, high): a weighted mean, divided late.

    Inputs      x int32 [... H Q D], |x| <= 2**30; total int32 [... H Q 1] in [0, 2**24]; multiplier int32 [H] in
                [0, 2**24]; shift int8 [H] in [1, 38].
    Attributes  output: int8, int16, int32 or int64. low, high: default to the range of output.
    Output      y [... H Q D] of dtype output.

    Exact       den = max(total, 1)
                y = clamp(floor((x * multiplier[h] + den * 2**(shift[h] - 1)) / (den * 2**shift[h])), low, high)
    Rounding    to nearest, ties toward +infinity; a row without a key (total 0, x 0) is all 0.
    Saturates   y to [low, high].
    Overflow    none: |x| * multiplier <= 2**54, den * 2**shift <= 2**62.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes;
                C5 low <= high inside output's range.
    Source      ours: softmax's normalisation, deferred past the product with V.
    """
    multiplier, shift = spread(multiplier, -3, len(x.shape)), spread(shift, -3, len(x.shape))
    return {"y": saturate(divide(x * multiplier, maximum(total, 1) << shift, "half_up"), low, high)}


RESCALE_QUOTIENT = Op(
    rescale_quotient,
    inputs={
        "x": Port("int32", "... H Q D", -(1 << 30), 1 << 30),
        "total": Port("int32", "... H Q 1", 0, 1 << 24),
        "multiplier": Port("int32", "H", 0, 1 << 24),
        "shift": Port("int8", "H", 1, 38),
    },
    attrs={"output": OUTPUT, "low": LOW, "high": HIGH},
    outputs={"y": Port("output", "... H Q D")},
    constraints={"C5": CLIP_FITS},
)

OPS = (RESCALE, RESCALE_QUOTIENT, ADD, ADD_BIAS, CLAMP)
