"""ONNX operators on float tensors, and the float32 epilogue of GPU kernels: float32 as bit patterns, in integers.

A float32 is carried as its bit pattern, an int32. fl32(v) is the float32 nearest to v, ties to the even significand,
with subnormal numbers, both zeros, and infinity beyond the largest: IEEE 754 binary32, round to nearest even.
"""

from typing import Any

from intref.intmath import (
    absolute,
    bitlen,
    divide,
    max_along,
    maximum,
    minimum,
    mul_shift,
    saturate,
    split_fp32,
    spread,
    sum_fp32,
    take,
    where,
    within,
)
from intref.ops.op import CLIP_FITS, HIGH, LOW, Attr, Op, Port, Tensors, dtype_range, known

MAGNITUDE = (1 << 31) - 1  # all but the sign bit
INFINITY = 255 << 23
TWO_32 = 159 << 23  # the float32 2**32
LEAST_PEAK = 10 << 23  # 2**-117: over 255 it is still a normal number
P127 = 0x42FE0000  # 127 as a float32
P255 = 0x437F0000
ONE = 127 << 23
QUANTIZED = ("int8", "uint8", "int16", "int32")


def pack_fp32(sign, size, exponent):
    """fl32(size * 2**exponent), 0 <= size < 2**50, negative where sign is; a size of 0 is the zero of that sign."""
    up = 50 - bitlen(size)
    drop = maximum(up - exponent - 149, 26)  # of 50 bits; a subnormal number keeps fewer than 24
    kept = within(mul_shift(within(size << up, 0, (1 << 50) - 1), 1, minimum(drop, 51), "half_even"), 0, 1 << 24)
    # Significand and exponent side by side: a carry out of the one raises the other.
    pattern = kept + where(size > 0, exponent - up + drop + 149 << 23, 0)
    pattern = within(minimum(pattern, INFINITY), 0, INFINITY)
    return where(sign < 0, pattern - (1 << 31), pattern)


def fp32_from_int(x):
    """fl32(x), |x| < 2**50; 0 is +0."""
    return pack_fp32(x, absolute(x), 0)


def fp32_to_int(x):
    """x rounded half to even; beyond 2**39, any number of that sign and no less."""
    sign, size, exponent = split_fp32(x)
    return sign * mul_shift(size << 16, 1, saturate(16 - exponent, 0, 41), "half_even")


def fp32_multiply(a, b):
    """fl32(a * b)."""
    a_sign, a_size, a_exponent = split_fp32(a)
    b_sign, b_size, b_exponent = split_fp32(b)
    return pack_fp32(a_sign * b_sign, a_size * b_size, a_exponent + b_exponent)


def fp32_divide(a, b):
    """fl32(a / b), b not 0: 26 bits of the quotient and, by rounding to odd, whether any bit is below them."""
    a_sign, a_size, a_exponent = split_fp32(a)
    b_sign, b_size, b_exponent = split_fp32(b)
    up = 50 - bitlen(a_size)
    quotient = divide(within(a_size << up, 0, (1 << 50) - 1), within(b_size, 1, (1 << 24) - 1), "odd")
    return pack_fp32(a_sign * b_sign, quotient, a_exponent - b_exponent - up)


def fp32_add(a, b):
    """fl32(a + b): the smaller is rounded to odd at 3 bits below the larger's last, the sum of both to nearest."""
    larger = a & MAGNITUDE >= b & MAGNITUDE
    sign, size, exponent = split_fp32(where(larger, a, b))
    b_sign, b_size, b_exponent = split_fp32(where(larger, b, a))
    below = mul_shift(b_size << 3, 1, within(minimum(exponent - b_exponent, 26), 0, 26), "odd")
    total = within((size << 3) + sign * b_sign * below, 0, (1 << 28) - 1)
    return pack_fp32(where(total > 0, sign, maximum(sign, b_sign)), total, exponent - 3)  # x - x is +0


def fp32_multiply_add(a, b, c):
    """fl32(a * b + c), rounded once: both have 49 bits, the last of them 0, where the lower one is rounded to odd.

    What cancels is exact. A subnormal c has fewer bits: its last place is 2**-174, far below that of any float32.
    """
    a_sign, a_size, a_exponent = split_fp32(a)
    b_sign, b_size, b_exponent = split_fp32(b)
    c_sign, c_size, c_exponent = split_fp32(c)
    sign, size, exponent = a_sign * b_sign, a_size * b_size, c_exponent - 25
    up = 49 - bitlen(size)
    product, addend = sign * within(size << up, 0, (1 << 49) - 1), c_sign * (c_size << 25)
    above = where(size > 0, a_exponent + b_exponent - up - exponent, 0)  # from c's last place to the product's
    lower = mul_shift(where(above > 0, addend, product), 1, minimum(absolute(above), 49), "odd")
    total = where(above > 0, product, addend) + lower
    left = absolute(total)
    # x - x is +0
    return pack_fp32(where(left > 0, total, maximum(sign, c_sign)), left, exponent + maximum(above, 0))


def nearest_fp32(x):
    """The integer nearest x that has 24 bits and zeros: fl32(x) where x is a multiple of a power of two."""
    drop = maximum(bitlen(absolute(x)) - 24, 0)
    return within(mul_shift(x, 1, drop, "half_even"), -(1 << 24), 1 << 24) << drop


def fp32_span(a, b):
    """fl32(a + b) of two that are not negative, whose patterns are in their order: 2 bits below suffice."""
    _, size, exponent = split_fp32(maximum(a, b))
    _, b_size, b_exponent = split_fp32(minimum(a, b))
    below = mul_shift(b_size << 2, 1, within(minimum(exponent - b_exponent, 25), 0, 25), "odd")
    return pack_fp32(1, (size << 2) + below, exponent - 2)


def fp32_ordered(x):
    """The integer at the place of x among all float32s, 0 for both zeros; of that integer, the pattern again."""
    return where(x < 0, -(1 << 31) - x, x)


def quantize_fp32(x, scale, zero_point, *, output, low, high, axis):
    """y = clamp(half_even(fl32(x / scale)) + zero_point, low, high), x and scale float32.

    Inputs      x int32 [...], the bit patterns of finite float32s; scale int32 [C], those of finite float32s of either
                sign, none 0; zero_point int32 [Z].
    Attributes  output: int8, uint8, int16 or int32. low, high: default to the range of output.
                axis in [-8, 7], default -1: the axis of x that C and Z run along.
    Output      y [...] of dtype output.

    Exact       q = fl32(x / scale), a float32 that may be subnormal or infinite
                y = clamp(half_even(q) + zero_point, low, high)
    Rounding    half_even twice: to a float32, then to an integer.
    Saturates   y to [low, high]; an infinite q to its side.
    Overflow    none: where |q| >= 2**39, y is low or high whatever the zero point.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes;
                C5 axis exists, C and Z are 1 or its size; C6 low <= high inside output's range;
                C7 x is finite; C8 scale is finite and not 0.
    Source      ONNX QuantizeLinear as ONNX Runtime computes it; a cast to int8 of a GPU kernel is that by a scale of 1.
    """
    ndim = len(x.shape)
    whole = fp32_to_int(fp32_divide(x, spread(scale, axis, ndim)))
    return {"y": saturate(whole + spread(zero_point, axis, ndim), low, high)}


def _channels_fit(tensors: Tensors, attrs: dict[str, Any]) -> bool:
    shape, axis = tensors["x"].shape, attrs["axis"]
    return -len(shape) <= axis < len(shape) and {len(tensors["scale"]), len(tensors["zero_point"])} <= {1, shape[axis]}


def _x_is_finite(tensors: Tensors, attrs: dict[str, Any]) -> bool:
    return all(int(v) >> 23 & 255 < 255 for v in known(tensors["x"]).ravel())


def _scale_is_finite(tensors: Tensors, attrs: dict[str, Any]) -> bool:
    return all(int(v) >> 23 & 255 < 255 for v in known(tensors["scale"]).ravel())


def _scale_divides(tensors: Tensors, attrs: dict[str, Any]) -> bool:
    return all(0 < int(v) & MAGNITUDE < INFINITY for v in known(tensors["scale"]).ravel())


_CHANNELS = ("inputs 'scale' and 'zero_point' must have length 1 or the size of axis", _channels_fit)
_AXIS = Attr(-8, 7, default=lambda attrs: -1, structural=True)
QUANTIZE_FP32 = Op(
    quantize_fp32,
    inputs={"x": Port("int32", "..."), "scale": Port("int32", "C"), "zero_point": Port("int32", "Z")},
    attrs={"output": Attr(choices=QUANTIZED), "low": LOW, "high": HIGH, "axis": _AXIS},
    outputs={"y": Port("output", "...")},
    constraints={
        "C5": _CHANNELS,
        "C6": CLIP_FITS,
        "C7": ("input 'x' must be finite float32s", _x_is_finite),
        "C8": ("input 'scale' must be finite float32s and not 0", _scale_divides),
    },
    watched={"C7": "x"},
)


def dequantize_fp32(x, scale, zero_point, *, axis):
    """y = fl32(fl32(x - zero_point) * scale), scale and y float32.

    Inputs      x int8, uint8, int16 or int32 [...]; scale int32 [C], the bit patterns of finite float32s;
                zero_point int32 [Z].
    Attributes  axis in [-8, 7], default -1: the axis of x that C and Z run along.
    Output      y int32 [...], bit patterns.

    Exact       y = fl32(fl32(x - zero_point) * scale)
    Rounding    half_even to a float32, twice; the first is exact below 2**24.
    Saturates   nothing: y may be subnormal, and infinite. x = zero_point gives the zero of scale's sign.
    Overflow    none: |x - zero_point| < 2**32.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes;
                C5 axis exists, C and Z are 1 or its size; C6 scale is finite.
    Source      ONNX DequantizeLinear as ONNX Runtime computes it.
    """
    ndim = len(x.shape)
    return {"y": fp32_multiply(fp32_from_int(x - spread(zero_point, axis, ndim)), spread(scale, axis, ndim))}


DEQUANTIZE_FP32 = Op(
    dequantize_fp32,
    inputs={"x": Port(" ".join(QUANTIZED), "..."), "scale": Port("int32", "C"), "zero_point": Port("int32", "Z")},
    attrs={"axis": _AXIS},
    outputs={"y": Port("int32", "...")},
    constraints={"C5": _CHANNELS, "C6": ("input 'scale' must be finite float32s", _scale_is_finite)},
)


def add_fp32(a, b):
    """y = fl32(a + b), all three float32.

    Inputs      a, b int32 [... D], the bit patterns of finite float32s.
    Attributes  none.
    Output      y int32 [... D], bit patterns.

    Exact       y = fl32(a + b)
    Rounding    half_even to a float32.
    Saturates   nothing: y may be infinite. x - x is +0; -0 is the sum of -0 and -0 alone.
    Overflow    none: |a + b| < 2**129.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes; C5 a is finite; C6 b is finite.
    Source      ONNX Add of float32s: of two tensors from DequantizeLinear, the residual of a QDQ graph.
    """
    return {"y": fp32_add(a, b)}


def _a_is_finite(tensors: Tensors, attrs: dict[str, Any]) -> bool:
    return all(int(v) >> 23 & 255 < 255 for v in known(tensors["a"]).ravel())


def _b_is_finite(tensors: Tensors, attrs: dict[str, Any]) -> bool:
    return all(int(v) >> 23 & 255 < 255 for v in known(tensors["b"]).ravel())


ADD_FP32 = Op(
    add_fp32,
    inputs={"a": Port("int32", "... D"), "b": Port("int32", "... D")},
    attrs={},
    outputs={"y": Port("int32", "... D")},
    constraints={
        "C5": ("input 'a' must be finite float32s", _a_is_finite),
        "C6": ("input 'b' must be finite float32s", _b_is_finite),
    },
    watched={"C5": "a", "C6": "b"},
)


def dynamic_quantize(x):
    """y = min(half_even(fl32(x / scale)) + zero_point, 255): uint8 by the least and the greatest x of a row.

    Inputs      x int32 [... D], the bit patterns of float32s, |x| < 2**127.
    Attributes  none.
    Output      y uint8 [... D]; scale int32 [... 1], a bit pattern; zero_point uint8 [... 1].

    Exact       a = min(0, min_d x); b = max(0, max_d x)
                scale = fl32(fl32(b - a) / 255), 1 where a = b
                zero_point = half_even(fl32(-a / scale))
                y = min(half_even(fl32(x / scale)) + zero_point, 255)
    Rounding    half_even at every step: of each sum and quotient to a float32, of the last two to an integer.
    Saturates   y to 255, where both a and b are at a tie; it is never below 0, nor zero_point above 255.
    Overflow    none: b - a < 2**128.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes; C5 |x| < 2**127;
                C6 a row is all 0 or holds an x of at least 2**-117, so that scale is normal.
    Source      ONNX DynamicQuantizeLinear as ONNX Runtime computes it: there the whole tensor is one row.
    """
    place = fp32_ordered(x)
    below = absolute(minimum(-max_along(-place, -1), 0))  # -a; what is not negative is its own place
    above = maximum(max_along(place, -1), 0)
    span = fp32_span(above, below)
    scale = where(span > 0, fp32_divide(span, P255), ONE)
    zero_point = within(fp32_to_int(fp32_divide(below, scale)), 0, 255)
    y = within(minimum(fp32_to_int(fp32_divide(x, scale)) + zero_point, 255), 0, 255)
    return {"y": y, "scale": scale, "zero_point": zero_point}


def _x_leaves_room(tensors: Tensors, attrs: dict[str, Any]) -> bool:
    return all(int(v) >> 23 & 255 < 254 for v in known(tensors["x"]).ravel())


def _peaks_fit(tensors: Tensors, attrs: dict[str, Any]) -> bool:
    peaks = (known(tensors["x"]) & MAGNITUDE).max(axis=-1, keepdims=True)
    return all(int(peak) == 0 or int(peak) >= LEAST_PEAK for peak in peaks.ravel())


_PEAKS_FIT = ("rows of input 'x' must be all 0 or hold a magnitude of at least 2**-117", _peaks_fit)
DYNAMIC_QUANTIZE = Op(
    dynamic_quantize,
    inputs={"x": Port("int32", "... D")},
    attrs={},
    outputs={"y": Port("uint8", "... D"), "scale": Port("int32", "... 1"), "zero_point": Port("uint8", "... 1")},
    constraints={
        "C5": ("input 'x' must be float32s below 2**127 in magnitude", _x_leaves_room),
        "C6": _PEAKS_FIT,
    },
    watched={"C5": "x", "C6": "x"},
    reduces=("D",),
)


def quantize_token_fp32(x, *, by):
    """q = half_even(127 * x / max |x|), in float32 in one of two orders; scale = max |x| / 127, one for each row.

    Inputs      x int32 [... D], the bit patterns of float32s, |x| < 2**38.
    Attributes  by: quotient or reciprocal.
    Output      q int8 [... D], |q| <= 127; scale int32 [... 1], the bit pattern of a float32 in [0, 2**32).

    Exact       peak = max_d |x[d]|; scale = fl32(peak / 127)
                quotient: v[d] = fl32(x[d] / scale)
                reciprocal: v[d] = fl32(x[d] * fl32(127 / peak))
                q[d] = half_even(v[d]); a row that is all 0 has scale 0 and q = 0
    Rounding    half_even at every step: to a float32, for q to an integer.
    Saturates   nothing: |v| < 127.5.
    Overflow    none: 127 / peak < 2**125.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes; C5 |x| < 2**38;
                C6 a row is all 0 or holds an x of at least 2**-117, so that scale is normal.
    Source      token-wise int8 activations of GPU kernels; reciprocal: vLLM, int8_quant_kernels.cu.
    """
    peak = max_along(x & MAGNITUDE, -1)
    scale = within(fp32_divide(peak, P127), 0, TWO_32 - 1)
    if by == "quotient":
        v = fp32_divide(x, maximum(scale, 1))  # all 0: by the least float32
    else:
        v = fp32_multiply(x, fp32_divide(P127, maximum(peak, 1)))
    return {"q": within(fp32_to_int(v), -127, 127), "scale": scale}


def _x_is_small(tensors: Tensors, attrs: dict[str, Any]) -> bool:
    return all(int(v) >> 23 & 255 < 165 for v in known(tensors["x"]).ravel())


QUANTIZE_TOKEN_FP32 = Op(
    quantize_token_fp32,
    inputs={"x": Port("int32", "... D")},
    attrs={"by": Attr(choices=("quotient", "reciprocal"))},
    outputs={"q": Port("int8", "... D"), "scale": Port("int32", "... 1")},
    constraints={"C5": ("input 'x' must be float32s below 2**38 in magnitude", _x_is_small), "C6": _PEAKS_FIT},
    watched={"C5": "x", "C6": "x"},
    reduces=("D",),
)


def epilogue_fp32(x, token, channel, bias, *, order, contract):
    """y = x * token * channel[n] + bias[n] in float32, the last product and the sum each rounded, or fused.

    Inputs      x int32 [... N], an accumulator; as bit patterns of float32s: token int32 [... 1] in [0, 2**32),
                channel int32 [N] of magnitude below 2**32, bias int32 [N] of magnitude below 2**127.
    Attributes  order: token_first, channel_first or scales_first. contract: off or fma, default off.
    Output      y int32 [... N], bit patterns of finite float32s.

    Exact       a = fl32(x)
                token_first: p = fl32(a * token); q = channel[n]
                channel_first: p = fl32(a * channel[n]); q = token
                scales_first: p = a; q = fl32(token * channel[n])
                off: y = fl32(fl32(p * q) + bias[n])
                fma: y = fl32(p * q + bias[n]), the product exact, the exact sum rounded once
                a bias of -0 changes nothing, as if there were none: y = fl32(p * q) either way
                a sum of exactly 0 is +0, but -0 where both its terms are -0
    Rounding    half_even to a float32 at every fl32.
    Saturates   nothing; a product may be subnormal.
    Overflow    none: |p * q| <= 2**95, |y| < 2**128.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes;
                C5 channel is below 2**32; C6 bias is below 2**127.
    Source      the epilogue of int8 products with float32 scales for tokens and channels, as GPU kernels have it.
                off: torch._int_mm followed by two products and a sum, each an operation of its own.
                fma: one kernel whose compiler contracts the last product and the sum, as nvcc does by default
                (-fmad=true) and Triton where enable_fp_fusion is on (the default up to 3.9). So vLLM,
                csrc/cutlass_extensions/epilogue/scaled_mm_epilogues_c3x.hpp: its ScaledEpilogueBias is channel_first
                and ends in CUTLASS's multiply_add (include/cutlass/functional.h), a * b + c.
    """
    a = fp32_from_int(x)
    if order == "token_first":
        p, q = fp32_multiply(a, token), channel
    elif order == "channel_first":
        p, q = fp32_multiply(a, channel), token
    else:
        p, q = a, fp32_multiply(token, channel)
    if contract == "off":
        p, q = fp32_multiply(p, q), ONE
    return {"y": fp32_multiply_add(p, q, bias)}


def _channel_is_small(tensors: Tensors, attrs: dict[str, Any]) -> bool:
    return all(int(v) >> 23 & 255 < 159 for v in known(tensors["channel"]).ravel())


def _bias_leaves_room(tensors: Tensors, attrs: dict[str, Any]) -> bool:
    return all(int(v) >> 23 & 255 < 254 for v in known(tensors["bias"]).ravel())


EPILOGUE_FP32 = Op(
    epilogue_fp32,
    inputs={
        "x": Port("int32", "... N"),
        "token": Port("int32", "... 1", 0, TWO_32 - 1),
        "channel": Port("int32", "N"),
        "bias": Port("int32", "N"),
    },
    attrs={
        "order": Attr(choices=("token_first", "channel_first", "scales_first")),
        "contract": Attr(choices=("off", "fma"), default=lambda attrs: "off"),
    },
    outputs={"y": Port("int32", "... N")},
    constraints={
        "C5": ("input 'channel' must be float32s below 2**32 in magnitude", _channel_is_small),
        "C6": ("input 'bias' must be float32s below 2**127 in magnitude", _bias_leaves_room),
    },
    watched={"C5": "channel", "C6": "bias"},
)


def qlinear_softmax(x, mask, table, *, factor, zero_point, output):
    """y[k] = factor * exp(S * x[k]) / sum_k exp(S * x[k]) + zero_point over keys k with mask 1, summed in float32.

    Inputs      x int8 or uint8 [B H Q K], K <= 2**15, scale S; mask int8 [B K] or [B Q K]: 1 attend, 0 not;
                table int32 [256], the bit patterns of float32s in [0, 2**126]: exp(S * (a - d)) for d = 0 to 255, a the
                same for all. ONNX Runtime's: S * a = max(0, log(L) - 5), L = the largest float32 / K, that logarithm
                a float32, each entry rounded from a
                float64 exponential: the first is at least 1, and so is total.
    Attributes  factor in [0, 2**16]: floor(1 / scale of y), 1 / scale a float32. zero_point in [-128, 255].
                output: int8 or uint8, the dtype of x.
    Output      y [B H Q K] of dtype output.

    Exact       d = max_k x - x, the max over keys with mask 1; e = table[d], 0 where mask is 0
                total = max(fl32(.. fl32(fl32(e[0] + e[1]) + e[2]) .. + e[K - 1]), 1), summed in that order
                y = min(half_even(e * factor / total) + zero_point, the largest of output)
                a row without a key is all zero_point
    Rounding    half_even: each sum to a float32, the quotient to an integer. ONNX Runtime divides in float64, which
                moves no quotient to a tie or off one.
    Saturates   y to the largest of output; it is never below zero_point.
    Overflow    none: total < 2**128, by C8.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes; C5 output is the dtype of
                x; C6 zero_point lies in its range; C7 table has 256 entries;
                C8 K times the power of two above each of them is at most 2**127.
    Source      ONNX Runtime 1.32, com.microsoft QLinearSoftmax: contrib_ops/cpu/quantization/qlinear_softmax.cc. Before
                its quotient was one of float64, releases had fl32(fl32(e * factor) / total). The mask is ours.
    """
    attend = mask[:, None, None] if len(mask.shape) == 2 else mask[:, None]
    lowest, highest = (-128, 127) if output == "int8" else (0, 255)
    seen = where(attend, x, lowest)
    d = within(max_along(seen, -1) - seen, 0, 255)
    e = where(attend, take(table, d), 0)
    total = maximum(within(sum_fp32(e, -1), 0, INFINITY - 1), ONE)
    _, size, exponent = split_fp32(e)
    _, total_size, total_exponent = split_fp32(total)
    below = within(minimum(total_exponent - exponent, 18), 0, 18)  # further below: less than 1/2
    q = divide(size * factor, within(total_size, 1 << 23, (1 << 24) - 1) << below, "half_even")
    return {"y": minimum(q + zero_point, highest)}


def _exponentials_fit(tensors: Tensors, attrs: dict[str, Any]) -> bool:
    keys = tensors["x"].shape[-1]
    return all(int(keys) << max((int(v) >> 23) - 238, 0) <= 1 << 15 for v in known(tensors["table"]).ravel())


QLINEAR_SOFTMAX = Op(
    qlinear_softmax,
    inputs={
        "x": Port("int8 uint8", "B H Q K"),
        "mask": Port("int8", "B K | B Q K", 0, 1),
        "table": Port("int32", "L", 0, 253 << 23),
    },
    attrs={
        "factor": Attr(0, 1 << 16),
        "zero_point": Attr(-128, 255),
        "output": Attr(choices=("int8", "uint8")),
    },
    outputs={"y": Port("output", "B H Q K")},
    limits={"K": 1 << 15, "L": 256},
    constraints={
        "C5": (
            "attribute 'output' must be the dtype of input 'x'",
            lambda t, a: dtype_range(str(t["x"].dtype)) == dtype_range(a["output"]),
        ),
        "C6": (
            "attribute 'zero_point' must lie in the range of output",
            lambda t, a: dtype_range(a["output"])[0] <= a["zero_point"] <= dtype_range(a["output"])[1],
        ),
        "C7": ("input 'table' must have 256 entries", lambda t, a: len(t["table"]) == 256),
        "C8": ("the power of two above each entry of 'table', times K, must be at most 2**127", _exponentials_fit),
    },
    reduces=("K",),
)


def qlinear_add(a, b, *, a_scale, b_scale, a_zero_point, b_zero_point, y_zero_point, output):
    """y = a_scale * (a - za) + b_scale * (b - zb) + zy, in float32 sums of products that are rounded together.

    Inputs      a, b int8 or uint8 [... D].
    Attributes  a_scale, b_scale in [2**23, 2**44): 2**37 times the float32 quotients sa / sy and sb / sy of the scales,
                which lie in [2**-14, 2**7). a_zero_point za, b_zero_point zb, y_zero_point zy, in the range of output.
                output: int8 or uint8, the dtype of a and b.
    Output      y [... D] of dtype output.

    Exact       offset = fl32(2**37 * zy - fl32(a_scale * za + fl32(b_scale * zb)))
                v = fl32(a_scale * a + fl32(b_scale * b + offset))
                y = clamp(half_even(v / 2**37), the range of output)
    Rounding    half_even at every step: to a float32, for y to an integer. No number here is below a normal float32.
    Saturates   y to the range of output.
    Overflow    none: every sum is below 2**53.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes; C5 output is the dtype of a;
                C6 it is that of b; C7 za, zb and zy lie in its range.
    Source      ONNX Runtime, com.microsoft QLinearAdd on x86 with AVX2: core/mlas/lib/intrinsics/avx2/qladd_avx2.cpp,
                with the offset as its builds for Linux contract it. With NEON it rounds in integers, elsewhere each
                product apart. Where one element of a meets several of b, ONNX Runtime exchanges the two.
    """
    offset = nearest_fp32(a_scale * a_zero_point + nearest_fp32(b_scale * b_zero_point))
    offset = nearest_fp32((y_zero_point << 37) - offset)
    v = nearest_fp32(a_scale * a + nearest_fp32(b_scale * b + offset))
    low, high = (-128, 127) if output == "int8" else (0, 255)
    return {"y": saturate(mul_shift(v, 1, 37, "half_even"), low, high)}


def _zero_points_fit(tensors: Tensors, attrs: dict[str, Any]) -> bool:
    low, high = dtype_range(attrs["output"])
    return (
        low <= attrs["a_zero_point"] <= high
        and low <= attrs["b_zero_point"] <= high
        and low <= attrs["y_zero_point"] <= high
    )


_RATIO, _BYTE = Attr(1 << 23, (1 << 44) - 1), Attr(-128, 255)
QLINEAR_ADD = Op(
    qlinear_add,
    inputs={"a": Port("int8 uint8", "... D"), "b": Port("int8 uint8", "... D")},
    attrs={
        "a_scale": _RATIO,
        "b_scale": _RATIO,
        "a_zero_point": _BYTE,
        "b_zero_point": _BYTE,
        "y_zero_point": _BYTE,
        "output": Attr(choices=("int8", "uint8")),
    },
    outputs={"y": Port("output", "... D")},
    constraints={
        "C5": (
            "attribute 'output' must be the dtype of input 'a'",
            lambda t, a: dtype_range(str(t["a"].dtype)) == dtype_range(a["output"]),
        ),
        "C6": (
            "attribute 'output' must be the dtype of input 'b'",
            lambda t, a: dtype_range(str(t["b"].dtype)) == dtype_range(a["output"]),
        ),
        "C7": ("the zero points must lie in the range of output", _zero_points_fit),
    },
)

OPS = (
    QUANTIZE_FP32,
    DEQUANTIZE_FP32,
    ADD_FP32,
    DYNAMIC_QUANTIZE,
    QUANTIZE_TOKEN_FP32,
    EPILOGUE_FP32,
    QLINEAR_SOFTMAX,
    QLINEAR_ADD,
)
