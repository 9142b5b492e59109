"""Token-wise dynamic int8: every token carries its own scale, an integer mantissa * 2**exponent."""

from intref.intmath import absolute, bitlen, div_half_up, max_along, maximum, saturate, shift_half_up, within
from intref.ops.op import CLIP_FITS, HIGH, LOW, OUTPUT, Op, Port

GUARD = 8  # fraction bits kept until the last rounding


def quantize_token(x):
    """q = round(127 * x / scale), scale = mantissa * 2**exponent >= max |x|, one scale for each row.

    Inputs      x int16 or int32 [... D], |x| <= 2**23.
    Attributes  none.
    Output      q int8 [... D], |q| <= 127; mantissa int16 [... 1] in [1, 2**15 - 1]; exponent int8 [... 1] in [0, 9].

    Exact       A = max(1, max_d |x[d]|); e = max(0, bits of A - 15); a = ceil(A / 2**e)
                a = 2**15: mantissa = 2**14, exponent = e + 1; else mantissa = a, exponent = e
                scale = mantissa * 2**exponent; q[d] = floor((127 * x[d] + floor(scale / 2)) / scale)
    Rounding    mantissa up, so that q needs no clamp; q to nearest, ties toward +infinity.
    Saturates   nothing. A zero row has scale 1 and q = 0.
    Overflow    none: |127 * x| + scale / 2 <= 2**31; |q| <= 127, since |x| <= A <= scale.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes.
    Source      ours; token-wise quantization of ZeroQuant (Yao et al. 2022), its scale an integer.
    """
    peak = maximum(max_along(absolute(x), -1), 1)
    e = maximum(bitlen(peak) - 15, 0)
    a = within(-(-peak >> e), 1, 1 << 15)
    over = a >> 15
    mantissa, exponent = a >> over, e + over
    scale = within(mantissa << exponent, 1, 1 << 24)
    q = within(div_half_up(127 * x, scale), -127, 127)
    return {"q": q, "mantissa": within(mantissa, 1, (1 << 15) - 1), "exponent": exponent}


QUANTIZE_TOKEN = Op(
    quantize_token,
    inputs={"x": Port("int16 int32", "... D", -(1 << 23), 1 << 23)},
    attrs={},
    outputs={"q": Port("int8", "... D"), "mantissa": Port("int16", "... 1"), "exponent": Port("int8", "... 1")},
    reduces=("D",),
)


def rescale_token(x, mantissa, exponent, multiplier, shift, bias, *, output, low, high):
    """y = clamp(half_up(x * scale * multiplier[n] / 2**(shift[n] + 8) + bias[n] / 2**8)), scale the token's.

    Inputs      x int32 [... N]; mantissa int16 [... 1] >= 1, exponent int8 [... 1] in [0, 9]: the token's scale;
                multiplier int32 [N] in [0, 2**16 - 1]; shift int8 [N]; bias int64 [N], |bias| <= 2**40: with 8
                fraction bits.
    Attributes  output: int8, int16, int32 or int64. low, high: default to the range of output.
    Output      y [... N] of dtype output.

    Exact       t = floor(x * mantissa * multiplier[n] / 2**(shift[n] - exponent)) + bias[n]
                y = clamp(floor((t + 2**7) / 2**8), low, high)
    Rounding    to nearest, ties toward +infinity: the two floors are one half_up of the sum.
    Saturates   y to [low, high].
    Overflow    none: |x * mantissa * multiplier| < 2**62 for any int32 x.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes;
                C5 low <= high inside output's range; C6 0 <= shift - exponent <= 62.
    Source      ours.
    """
    t = (x * mantissa * multiplier >> within(shift - exponent, 0, 62)) + bias
    return {"y": saturate(shift_half_up(t, GUARD), low, high)}


def _shift_fits(tensors, attrs) -> bool:
    shift, exponent = tensors["shift"], tensors["exponent"]
    return shift.min() >= exponent.max() and shift.max() - exponent.min() <= 62


_SHIFT_FITS = ("inputs must satisfy 0 <= shift - exponent <= 62", _shift_fits)
_INPUTS = {
    "x": Port("int32", "... N"),
    "mantissa": Port("int16", "... 1", 1),
    "exponent": Port("int8", "... 1", 0, 9),
    "multiplier": Port("int32", "N", 0, (1 << 16) - 1),
    "shift": Port("int8", "N", 0, 71),
    "bias": Port("int64", "N", -(1 << 40), 1 << 40),
}
RESCALE_TOKEN = Op(
    rescale_token,
    inputs=_INPUTS,
    attrs={"output": OUTPUT, "low": LOW, "high": HIGH},
    outputs={"y": Port("output", "... N")},
    constraints={"C5": CLIP_FITS, "C6": _SHIFT_FITS},
)


def rescale_token_residual(
    x, mantissa, exponent, multiplier, shift, bias, residual, residual_multiplier, residual_shift, *, output, low, high
):
    """y = clamp(half_up of rescale_token's sum + residual * residual_multiplier / 2**(residual_shift + 8)).

    Inputs      x, mantissa, exponent, multiplier, shift, bias: as rescale_token; residual int32 [... N], |residual|
                <= 2**23; residual_multiplier int32 [1] >= 0, residual_shift int8 [1] in [0, 62].
    Attributes  output: int8, int16, int32 or int64. low, high: default to the range of output.
    Output      y [... N] of dtype output.

    Exact       t = floor(x * mantissa * multiplier[n] / 2**(shift[n] - exponent)) + bias[n]
                    + floor(residual * residual_multiplier / 2**residual_shift)
                y = clamp(floor((t + 2**7) / 2**8), low, high)
    Rounding    both terms down at 8 fraction bits, the sum to nearest, ties toward +infinity.
    Saturates   y to [low, high].
    Overflow    none: |x * mantissa * multiplier| < 2**62, |residual * residual_multiplier| <= 2**54.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes;
                C5 low <= high inside output's range; C6 0 <= shift - exponent <= 62.
    Source      ours.
    """
    t = (x * mantissa * multiplier >> within(shift - exponent, 0, 62)) + bias
    t = t + (residual * residual_multiplier >> residual_shift)
    return {"y": saturate(shift_half_up(t, GUARD), low, high)}


RESCALE_TOKEN_RESIDUAL = Op(
    rescale_token_residual,
    inputs={
        **_INPUTS,
        "residual": Port("int32", "... N", -(1 << 23), 1 << 23),
        "residual_multiplier": Port("int32", "1", 0),
        "residual_shift": Port("int8", "1", 0, 62),
    },
    attrs={"output": OUTPUT, "low": LOW, "high": HIGH},
    outputs={"y": Port("output", "... N")},
    constraints={"C5": CLIP_FITS, "C6": _SHIFT_FITS},
)

OPS = (QUANTIZE_TOKEN, RESCALE_TOKEN, RESCALE_TOKEN_RESIDUAL)
