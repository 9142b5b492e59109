"""Ops of gemmlowp fixed point, as TensorFlow Lite and CMSIS-NN compute.

Fractions are of 2**31 where nothing else is said.
"""

from itertools import pairwise
from typing import Any

from intref.intmath import (
    absolute,
    bitlen,
    isqrt,
    max_along,
    maximum,
    minimum,
    mul_shift,
    saturate,
    shift_half_up,
    sum_along,
    take,
    where,
    within,
)
from intref.ops.op import CLIP_FITS, HIGH, LOW, Attr, Op, Port, Tensors, known

MOST = (1 << 31) - 1
ONE_EIGHTH = 1895147668  # exp(-1/8)
ONE_THIRD = 715827883
HALVINGS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)  # exp(-1/4), exp(-1/2) .. exp(-16)
ROUNDINGS = ("half_up", "half_away", "gemmlowp_double")
MAX_KEYS = 4095  # each key adds at most 2**19 to a sum of 31 bits


def _product(a, b):
    """SaturatingRoundingDoublingHighMul, without the one product that saturates: of -2**31 and itself."""
    return shift_half_up(a * b, 31)


def _divided(x, bits):
    """RoundingDivideByPOT."""
    return mul_shift(x, 1, bits, "half_away")


def _scaled_twice(x, multiplier, shift):
    """x * multiplier / 2**shift, rounded twice; what is shifted left stays within 32 bits."""
    doubled = within(x << maximum(31 - shift, 0), -(1 << 31), MOST)
    return _divided(_product(doubled, multiplier), maximum(shift, 31) - 31)


def _scaled(x, multiplier, shift, rounding):
    """x * multiplier / 2**shift, rounded as a device does."""
    if rounding == "gemmlowp_double":
        return _scaled_twice(x, multiplier, shift)
    if rounding == "half_away":
        return mul_shift(x, multiplier, shift, "half_away")
    return mul_shift(x, multiplier, shift, "half_up")


def _exp(a, whole):
    """exp(a) for a <= 0 of `whole` integer bits: a polynomial of its part in [-1/4, 0), a factor for each other bit."""
    quarter = 1 << 29 - whole
    part = (a & quarter - 1) - quarter
    x = (part << whole) + (1 << 28)
    x2 = _product(x, x)
    x3 = _product(x2, x)
    x4 = _product(x2, x2)
    tail = _product(_divided(x4, 2) + x3, ONE_THIRD) + x2
    y = ONE_EIGHTH + _product(ONE_EIGHTH, x + _divided(tail, 1))
    rest = part - a
    for bit in range(whole + 2):
        y = where(rest >> 29 - whole + bit & 1, _product(y, HALVINGS[bit]), y)
    return where(a < 0, y, MOST)


def _inverse(a):
    """2**30 / (1 + a) for a in [0, 1): three Newton steps from 48/17 - 32/17 * d, d = (1 + a) / 2."""
    d = a + (1 << 31) >> 1
    x = 1515870810 + _product(d, -1010580540)
    for _ in range(3):
        # For each of the 2**30 d the steps stay in here: tried one by one.
        x = within(x + (_product(x, (1 << 29) - _product(d, x)) << 2), 1 << 28, 1 << 30)
    return x


def softmax_gemmlowp(x, mask, *, multiplier, shift, output):
    """p[k] = exp(S * x[k]) / sum_k exp(S * x[k]) over keys k with mask 1, in gemmlowp fixed point.

    Inputs      x int8 [B H Q K], K <= 4095, scale S; mask int8 [B K] or [B Q K]: 1 attend, 0 not.
    Attributes  multiplier in [1, 2**31 - 1], shift in [0, 31]: S * 2**26 = multiplier * 2**(shift - 31).
                output: int8 or int16.
    Output      p [B H Q K] of dtype output: scale 2**-8 and zero point -128, or 2**-16 and -2**15.

    Exact       a . b is half_up(a * b / 2**31), before + and -; down(a, n) is half_away(a / 2**n)
                far = floor(31 * 2**26 / 2**shift); d = x - max_k x, the max over keys with mask 1
                e = exp((d * 2**shift) . multiplier) for keys with mask 1 and d >= -far, 0 for others
                exp(a), 26 bits of fraction: 2**31 - 1 for a = 0; for a < 0 with part = (a mod 2**24) - 2**24,
                t = part * 2**5 + 2**28, u = t . t and tail = (down(u . u, 2) + u . t) . 715827883 + u,
                y = K + K . (t + down(tail, 1)), K = 1895147668; then, for i = 0 .. 6 in this order,
                y = y . F[i] where bit 24 + i of part - a is 1; F = 1672461947, 1302514674, 790015084, 290630308,
                39332535, 720401, 242
                total = max(sum_k down(e[k], 12), 2**19), each term rounded; n = bits of total
                v = total * 2**(31 - n); r = 1515870810 + v . (-1010580540), then 3 times
                r = r + 4 * (r . (2**29 - v . r)); inverse = min(2 * r, 2**31 - 1)
                p = clamp(down(inverse . e, n + 11 - bits of output) + zero point); bits of output: 8 or 16
                so p is the zero point where mask is 0
    Rounding    products half_up, down half_away: gemmlowp's RoundingDivideByPOT.
    Saturates   inverse to 2**31 - 1, p to its dtype; no other value of 32 bits ever does.
    Overflow    none: total <= 4095 * 2**19 < 2**31, |r . ..| < 2**31 (Op.bounds computes them).
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes.
    Source      TensorFlow Lite, kernels/internal/reference/softmax.h; gemmlowp, fixedpoint/fixedpoint.h. The mask is
                ours. For int8 output they stop where total >= 2**28, which takes 512 keys; here the formula goes on.
    """
    bits = 8 if output == "int8" else 16
    attend = mask[:, None, None] if len(mask.shape) == 2 else mask[:, None]
    far = (31 << 26) >> shift
    seen = where(attend, x, -128)
    d = within(seen - max_along(seen, -1), -255, 0)
    a = _product(within(maximum(d, -far) << shift, -(31 << 26), 0), multiplier)
    e = where(attend, where(d >= -far, _exp(a, 5), 0), 0)
    total = within(maximum(sum_along(_divided(e, 12), -1), 1 << 19), 1 << 19, MOST)
    length = bitlen(total)
    inverse = minimum(2 * _inverse(within((total << 32 - length) - (1 << 31), 0, MOST)), MOST)
    p = _divided(_product(inverse, e), length + 11 - bits)
    return {"p": minimum(p - (1 << bits - 1), (1 << bits - 1) - 1)}


SOFTMAX_GEMMLOWP = Op(
    softmax_gemmlowp,
    inputs={"x": Port("int8", "B H Q K"), "mask": Port("int8", "B K | B Q K", 0, 1)},
    attrs={"multiplier": Attr(1, MOST), "shift": Attr(0, 31), "output": Attr(choices=("int8", "int16"))},
    outputs={"p": Port("output", "B H Q K")},
    limits={"K": MAX_KEYS},
    reduces=("K",),
)


def logistic_gemmlowp(x, *, input_zero_point, multiplier, shift):
    """y = 1 / (1 + exp(-S * (x - input_zero_point))), scale 2**-8, zero point -128, in gemmlowp fixed point.

    Inputs      x int8 [...], scale S.
    Attributes  input_zero_point int8. multiplier in [1, 2**31 - 1], shift in [0, 31]:
                S * 2**27 = multiplier * 2**(shift - 31).
    Output      y int8 [...].

    Exact       a . b and down(a, n) as in softmax_gemmlowp
                far = floor(15 * 2**27 / 2**shift); c = x - input_zero_point
                y = -128 where c <= -far, else 127 where c >= far; else with a = (c * 2**shift) . multiplier
                u = inverse(exp(-|a|)); v = u where a > 0, 2**31 - 1 - u where a < 0, 2**30 where a = 0
                y = min(down(v, 23) - 128, 127)
                exp as in softmax_gemmlowp, with 27 bits of fraction: part = (a mod 2**25) - 2**25,
                t = part * 2**4 + 2**28, and bit 25 + i of part - a for i = 0 .. 5
                inverse(e) = min(2 * r, 2**31 - 1), r as there, from floor((e + 2**31) / 2) for v
    Rounding    products half_up, down half_away; far and v down.
    Saturates   inverse to 2**31 - 1; y to [-128, 127].
    Overflow    none: |c * 2**shift| <= 15 * 2**27 (Op.bounds computes them).
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes.
    Source      TensorFlow Lite, kernels/internal/reference/integer_ops/logistic.h; gemmlowp, fixedpoint/fixedpoint.h.
    """
    far = (15 << 27) >> shift
    c = x - input_zero_point
    a = _product(within(saturate(c, -far, far) << shift, -(15 << 27), 15 << 27), multiplier)
    upper = minimum(2 * _inverse(_exp(-absolute(a), 4)), MOST)
    v = where(a > 0, upper, where(a < 0, MOST - upper, 1 << 30))
    y = minimum(_divided(v, 23) - 128, 127)
    return {"y": where(c <= -far, -128, where(c >= far, 127, y))}


_ANGLE = {"input_zero_point": Attr(-128, 127), "multiplier": Attr(1, MOST), "shift": Attr(0, 31)}
LOGISTIC_GEMMLOWP = Op(
    logistic_gemmlowp, inputs={"x": Port("int8", "...")}, attrs=_ANGLE, outputs={"y": Port("int8", "...")}
)


def tanh_gemmlowp(x, *, input_zero_point, multiplier, shift):
    """y = tanh(S * (x - input_zero_point)), scale 2**-7, zero point 0, in gemmlowp fixed point.

    Inputs      x int8 [...], scale S.
    Attributes  input_zero_point int8. multiplier in [1, 2**31 - 1], shift in [0, 31]:
                S * 2**27 = multiplier * 2**(shift - 31).
    Output      y int8 [...].

    Exact       a . b and down(a, n) as in softmax_gemmlowp
                far = floor(15 * 2**27 / 2**shift); c = x - input_zero_point
                y = -128 where c <= -far, else 127 where c >= far; else with a = (c * 2**shift) . multiplier
                u = min(4 * (r - 2**29), 2**31 - 1), r as in softmax_gemmlowp, from floor((exp(-|a|) + 2**31) / 2)
                for v, and exp as there: a, S * c with 27 bits of fraction, is 2 * S * c with the 26 that exp takes
                v = u where a > 0, -u where a < 0, 0 where a = 0; y = clamp(down(v, 24), -128, 127)
    Rounding    products half_up, down half_away; far and v down.
    Saturates   u to 2**31 - 1; y to [-128, 127].
    Overflow    none: |c * 2**shift| <= 15 * 2**27 (Op.bounds computes them).
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes.
    Source      TensorFlow Lite, kernels/internal/reference/integer_ops/tanh.h; gemmlowp, fixedpoint/fixedpoint.h.
    """
    far = (15 << 27) >> shift
    c = x - input_zero_point
    a = _product(within(saturate(c, -far, far) << shift, -(15 << 27), 15 << 27), multiplier)
    size = minimum(_inverse(_exp(-absolute(a), 5)) - (1 << 29) << 2, MOST)
    v = where(a > 0, size, where(a < 0, -size, 0))
    y = minimum(_divided(v, 24), 127)
    return {"y": where(c <= -far, -128, where(c >= far, 127, y))}


TANH_GEMMLOWP = Op(tanh_gemmlowp, inputs={"x": Port("int8", "...")}, attrs=_ANGLE, outputs={"y": Port("int8", "...")})


def _interpolated(x, table):
    """The table at x / 2**7 + 256, between its entries on a line."""
    cell = (x >> 7) + 256
    base = take(table, cell)
    # Neighbours lie less than 2**15 apart, and a value on the line between them.
    slope = within(take(table, cell + 1) - base, -(1 << 15), (1 << 15) - 1)
    return within(base + shift_half_up(slope * (x & 127), 7), -(1 << 15), (1 << 15) - 1)


def softmax_int16(x, mask, exp_table, inverse_table, *, multiplier, shift, rounding):
    """p[k] = exp(S * x[k]) / sum_k exp(S * x[k]) over keys k with mask 1, by two tables: scale 2**-15.

    Inputs      x int16 [B H Q K], K <= 2**15, scale S; mask int8 [B K] or [B Q K]: 1 attend, 0 not;
                exp_table int16 [513] >= 0: exp over [-10, 0]; inverse_table int16 [513] >= 0: 1 / (1 + x) over [0, 1].
    Attributes  multiplier in [0, 2**31 - 1], shift in [16, 62]: S * 6553.5 = multiplier / 2**shift.
                rounding: half_up, half_away or gemmlowp_double.
    Output      p int16 [B H Q K], in [0, 2**15 - 1].

    Exact       d = x - max_k x, the max over keys with mask 1; line(v, T) with i = floor(v / 2**7) + 256 is
                T[i] + floor(((T[i + 1] - T[i]) * (v mod 2**7) + 2**6) / 2**7)
                s = round(d * multiplier / 2**shift) by rounding, gemmlowp_double as in rescale
                e = line(max(s + 32767, -2**15), exp_table), 0 where mask is 0
                total = max(sum_k e, 1); n = bits of total
                w = floor((total * 2**(31 - n) + 2**13) / 2**14); r = line(min(w - 3 * 2**15, 2**15 - 1), inverse_table)
                p = min(floor((e * r + floor(2**(n - 2))) / 2**(n - 1)), 2**15 - 1); a row without a key is all 0
    Rounding    line, w and p half_up; s by the attribute.
    Saturates   s + 32767 to -2**15, w - 3 * 2**15 and p to 2**15 - 1.
    Overflow    none: |d| * 2**15 <= 2**31, total <= 2**30 (Op.bounds computes them).
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes;
                C5 the tables have 513 entries.
    Source      TensorFlow Lite, kernels/internal/reference/softmax.h, SoftmaxInt16. The mask is ours.
    """
    attend = mask[:, None, None] if len(mask.shape) == 2 else mask[:, None]
    seen = where(attend, x, -(1 << 15))
    d = within(seen - max_along(seen, -1), 1 - (1 << 16), 0)
    s = _scaled(d, multiplier, shift, rounding)
    line = _interpolated(maximum(within(s, -(1 << 31), 0) + 32767, -(1 << 15)), exp_table)
    e = where(attend, within(line, 0, (1 << 15) - 1), 0)
    total = maximum(sum_along(e, -1), 1)
    length = bitlen(total)
    w = within(shift_half_up(total << 31 - length, 14), 1 << 16, 1 << 17)
    r = within(_interpolated(minimum(w - 3 * (1 << 15), (1 << 15) - 1), inverse_table), 0, (1 << 15) - 1)
    return {"p": minimum(shift_half_up(e * r, length - 1), (1 << 15) - 1)}


def _tables_fit(tensors: Tensors, attrs: dict[str, Any]) -> bool:
    return len(tensors["exp_table"]) == 513


SOFTMAX_INT16 = Op(
    softmax_int16,
    inputs={
        "x": Port("int16", "B H Q K"),
        "mask": Port("int8", "B K | B Q K", 0, 1),
        "exp_table": Port("int16", "L", 0),
        "inverse_table": Port("int16", "L", 0),
    },
    attrs={"multiplier": Attr(0, MOST), "shift": Attr(16, 62), "rounding": Attr(choices=ROUNDINGS)},
    outputs={"p": Port("int16", "B H Q K")},
    limits={"K": 1 << 15, "L": 513},
    constraints={"C5": ("inputs 'exp_table' and 'inverse_table' must have 513 entries", _tables_fit)},
    reduces=("K",),
)


def table_int16(x, entries):
    """y = entries at x / 2**7 + 256, between entries on a line: any function of 16 bits.

    Inputs      x int16 [...]; entries int16 [513].
    Attributes  none.
    Output      y int16 [...].

    Exact       i = floor(x / 2**7) + 256
                y = entries[i] + floor(((entries[i + 1] - entries[i]) * (x mod 2**7) + 2**6) / 2**7)
    Rounding    to nearest, ties toward +infinity.
    Saturates   nothing: y lies between two entries.
    Overflow    none: the difference of neighbours fits int16 by C6.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes; C5 513 entries;
                C6 neighbouring entries differ by a number of 16 bits.
    Source      TensorFlow Lite, kernels/internal/common.h, LUTLookup.
    """
    return {"y": _interpolated(x, entries)}


def _neighbours_fit(tensors: Tensors, attrs: dict[str, Any]) -> bool:
    return all(-(1 << 15) <= int(b) - int(a) < 1 << 15 for a, b in pairwise(known(tensors["entries"])))


TABLE_INT16 = Op(
    table_int16,
    inputs={"x": Port("int16", "..."), "entries": Port("int16", "L")},
    attrs={},
    outputs={"y": Port("int16", "...")},
    limits={"L": 513},
    constraints={
        "C5": ("input 'entries' must have 513 entries", lambda t, a: len(t["entries"]) == 513),
        "C6": ("input 'entries' must have neighbours that differ by a number of 16 bits", _neighbours_fit),
    },
)


def rsqrt_gemmlowp(x, *, input_zero_point, output_zero_point, multiplier, shift):
    """y = output_zero_point + 1 / sqrt(S * (x - input_zero_point)) / output scale.

    Inputs      x int8 [... D], scale S, x >= input_zero_point.
    Attributes  input_zero_point, output_zero_point int8. multiplier in [0, 2**31 - 1], shift in [21, 62]:
                1 / (sqrt(S) * output scale) = multiplier * 2**(20 - shift).
    Output      y int8 [... D].

    Exact       c = x - input_zero_point; y = 127 where c = 0, else
                u = half_up(2**20 / sqrt(c)), less 1 for c = 2, 8 and 131: for each of the 255 c, where five Newton
                steps in fixed point end
                y = min(round(u * multiplier / 2**shift) + output_zero_point, 127), gemmlowp_double as in rescale
    Rounding    u to nearest, but for those three; y twice, gemmlowp_double.
    Saturates   y to 127.
    Overflow    none: u * 2**(31 - shift) <= 2**30 where shift < 31 (Op.bounds computes them).
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes; C5 x >= input_zero_point.
    Source      TensorFlow Lite, micro/kernels/elementwise.cc and kernels/internal/common.h,
                GetInvSqrtQuantizedMultiplierExp.
    """
    c = within(x - input_zero_point, 0, 255)
    nearest = isqrt((1 << 42) // maximum(c, 1)) + 1 >> 1
    exact = minimum(absolute(c - 2), 1) * minimum(absolute(c - 8), 1) * minimum(absolute(c - 131), 1)
    y = _scaled_twice(nearest - 1 + exact, multiplier, shift) + output_zero_point
    return {"y": where(c > 0, minimum(y, 127), 127)}


RSQRT_GEMMLOWP = Op(
    rsqrt_gemmlowp,
    inputs={"x": Port("int8", "... D")},
    attrs={
        "input_zero_point": Attr(-128, 127),
        "output_zero_point": Attr(-128, 127),
        "multiplier": Attr(0, MOST),
        "shift": Attr(21, 62),
    },
    outputs={"y": Port("int8", "... D")},
    constraints={
        "C5": ("input 'x' must be at least input_zero_point", lambda t, a: t["x"].min() >= a["input_zero_point"])
    },
)


def add_gemmlowp(
    a, b, *, a_zero_point, b_zero_point, left_shift, a_multiplier, a_shift, b_multiplier, b_shift,
    multiplier, shift, rounding, output_zero_point, output, low, high,
):  # fmt: skip
    """y = clamp(round((a' + b') * multiplier / 2**shift) + output_zero_point), a' and b' at a common scale.

    Inputs      a, b int8 or int16 [...].
    Attributes  a_zero_point, b_zero_point, output_zero_point int8. left_shift in [0, 20].
                a_multiplier, b_multiplier, multiplier in [0, 2**31 - 1], a_shift, b_shift, shift in [31, 62].
                rounding: half_up, half_away or gemmlowp_double. output: int8 or int16. low, high: default to its range.
    Output      y [...] of dtype output.

    Exact       a' = round((a - a_zero_point) * 2**left_shift * a_multiplier / 2**a_shift), b' likewise of b
                y = clamp(round((a' + b') * multiplier / 2**shift) + output_zero_point, low, high)
                gemmlowp_double as in rescale
    Rounding    three times, each by the attribute.
    Saturates   y to [low, high].
    Overflow    none: -2**31 <= a' + b' < 2**31 by C5 (Op.bounds computes them).
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes;
                C5 -2**30 <= (a - a_zero_point) * 2**left_shift < 2**30, and b likewise;
                C6 low <= high inside output's range.
    Source      TensorFlow Lite, kernels/internal/reference/integer_ops/add.h (left shift 20), and add.h for int16 (15).
    """
    left = within(a - a_zero_point << left_shift, -(1 << 30), (1 << 30) - 1)
    right = within(b - b_zero_point << left_shift, -(1 << 30), (1 << 30) - 1)
    total = _scaled(left, a_multiplier, a_shift, rounding) + _scaled(right, b_multiplier, b_shift, rounding)
    return {"y": saturate(_scaled(total, multiplier, shift, rounding) + output_zero_point, low, high)}


def _shifted_fit(t: Tensors, a: dict[str, Any]) -> bool:
    low = min(int(t["a"].min()) - a["a_zero_point"], int(t["b"].min()) - a["b_zero_point"])
    high = max(int(t["a"].max()) - a["a_zero_point"], int(t["b"].max()) - a["b_zero_point"])
    return -(1 << 30) <= low << a["left_shift"] and high << a["left_shift"] < 1 << 30


_TERMS = {"a": Port("int8 int16", "..."), "b": Port("int8 int16", "...")}
_INT8 = Attr(-128, 127)
_FACTOR, _DOWN = Attr(0, MOST), Attr(31, 62)
_NARROW = Attr(choices=("int8", "int16"))
ADD_GEMMLOWP = Op(
    add_gemmlowp,
    inputs=_TERMS,
    attrs={
        "a_zero_point": _INT8,
        "b_zero_point": _INT8,
        "left_shift": Attr(0, 20),
        "a_multiplier": _FACTOR,
        "a_shift": _DOWN,
        "b_multiplier": _FACTOR,
        "b_shift": _DOWN,
        "multiplier": _FACTOR,
        "shift": _DOWN,
        "rounding": Attr(choices=ROUNDINGS),
        "output_zero_point": _INT8,
        "output": _NARROW,
        "low": LOW,
        "high": HIGH,
    },
    outputs={"y": Port("output", "...")},
    constraints={
        "C5": ("inputs less their zero points must lie in [-2**30, 2**30) * 2**-left_shift", _shifted_fit),
        "C6": CLIP_FITS,
    },
)


def mul_gemmlowp(
    a, b, *, a_zero_point, b_zero_point, multiplier, shift, rounding, output_zero_point, output, low, high
):  # fmt: skip
    """y = clamp(round((a - a_zero_point) * (b - b_zero_point) * multiplier / 2**shift) + output_zero_point).

    Inputs      a, b int8 or int16 [...].
    Attributes  a_zero_point, b_zero_point, output_zero_point int8. multiplier in [0, 2**31 - 1], shift in [16, 62].
                rounding: half_up, half_away or gemmlowp_double. output: int8 or int16. low, high: default to its range.
    Output      y [...] of dtype output.

    Exact       v = (a - a_zero_point) * (b - b_zero_point) * multiplier / 2**shift
                y = clamp(round(v) + output_zero_point, low, high), gemmlowp_double as in rescale
    Rounding    by the attribute.
    Saturates   y to [low, high].
    Overflow    none: the product, times 2**(31 - shift) where that is more, is below 2**31 by C5.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes;
                C5 max |a - a_zero_point| * max |b - b_zero_point| < 2**min(31, shift);
                C6 low <= high inside output's range.
    Source      TensorFlow Lite, kernels/internal/reference/integer_ops/mul.h.
    """
    product = within((a - a_zero_point) * (b - b_zero_point), -MOST, MOST)
    return {"y": saturate(_scaled(product, multiplier, shift, rounding) + output_zero_point, low, high)}


def _product_fits(t: Tensors, a: dict[str, Any]) -> bool:
    left = max(abs(int(t["a"].min()) - a["a_zero_point"]), abs(int(t["a"].max()) - a["a_zero_point"]))
    right = max(abs(int(t["b"].min()) - a["b_zero_point"]), abs(int(t["b"].max()) - a["b_zero_point"]))
    return left * right < 1 << min(31, a["shift"])


MUL_GEMMLOWP = Op(
    mul_gemmlowp,
    inputs=_TERMS,
    attrs={
        "a_zero_point": _INT8,
        "b_zero_point": _INT8,
        "multiplier": _FACTOR,
        "shift": Attr(16, 62),
        "rounding": Attr(choices=ROUNDINGS),
        "output_zero_point": _INT8,
        "output": _NARROW,
        "low": LOW,
        "high": HIGH,
    },
    outputs={"y": Port("output", "...")},
    constraints={
        "C5": ("max |a - a_zero_point| * max |b - b_zero_point| must be below 2**min(31, shift)", _product_fits),
        "C6": CLIP_FITS,
    },
)

OPS = (
    SOFTMAX_GEMMLOWP,
    LOGISTIC_GEMMLOWP,
    TANH_GEMMLOWP,
    SOFTMAX_INT16,
    TABLE_INT16,
    RSQRT_GEMMLOWP,
    ADD_GEMMLOWP,
    MUL_GEMMLOWP,
)
