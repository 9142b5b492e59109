"""From real ratios to integers: multipliers and shifts, weights, and I-BERT's constants. Offline float code."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
from scipy.special import ndtr

from intref.errors import BoundError
from intref.intmath import MAX_SHIFT, ROUNDS_UP

Array = np.ndarray[Any, Any]
TINY = np.float32(1e-8)  # the smallest range a site may have, so that no scale is 0
F32 = np.float32


def dyadic(ratio: Any, bits: int = 31, max_shift: int = MAX_SHIFT) -> tuple[Array, Array]:
    """ratio ~ multiplier / 2**shift: (int32 multiplier of `bits` bits and either sign, int8 shift), both 1-D.

    The mantissa is rounded half away from zero. One that rounds to 2**bits becomes 2**(bits - 1) at shift - 1; a ratio
    that needs a shift above max_shift loses multiplier bits by half_up, finally all of them. BoundError if the ratio
    rounds to 2**bits or more, or is not finite.
    """
    ratio = np.atleast_1d(np.asarray(ratio, np.float64))
    if not np.all(np.abs(ratio) < 2.0**bits - 0.5):
        raise BoundError(f"a change of scale by {np.abs(ratio).max()} does not fit a {bits}-bit multiplier")
    mantissa, exponent = np.frexp(np.abs(ratio))
    multiplier = np.floor(mantissa * 2.0**bits + 0.5).astype(np.int64)
    full = multiplier == 1 << bits
    multiplier = np.where(full, 1 << bits - 1, multiplier)
    shift = np.where(multiplier == 0, 0, bits - exponent - full).astype(np.int64)
    lost = np.clip(shift - max_shift, 0, 62)
    multiplier = np.where(lost > 0, (multiplier + (1 << lost >> 1)) >> lost, multiplier)
    signed = multiplier * np.where(ratio < 0, -1, 1)
    return signed.astype(np.int32), np.minimum(shift, max_shift).astype(np.int8)


def rescaling(ratio: Any, rounding: str, bits: int = 31) -> tuple[Array, Array]:
    """multiplier of `bits` bits and shift of the op rescale; for fp32_half_even the bit pattern of a float32."""
    if rounding == "fp32_half_even":
        pattern = np.atleast_1d(np.asarray(ratio, np.float64)).astype(F32).view(np.int32)
        return pattern, np.zeros(len(pattern), np.int8)
    return dyadic(ratio, bits, max_shift=MAX_SHIFT if rounding in ROUNDS_UP else 62)


def two_steps(shift: Array) -> tuple[Array, Array]:
    """A requantizer's shift in two: at most 31 with the multiplier, and what is left of it, int64."""
    return np.minimum(shift, 31), np.maximum(shift.astype(np.int64) - 31, 0)


def rounded(x: Any, low: int, high: int) -> Array:
    """x to the nearest integer, ties upward, clamped to [low, high]: int64."""
    return np.clip(np.floor(np.asarray(x, np.float64) + 0.5), low, high).astype(np.int64)


def fitted(x: Any, bits: int) -> Array:
    """x to the nearest integer, ties upward; BoundError where it leaves [-2**bits + 1, 2**bits - 1]."""
    value = np.floor(np.asarray(x, np.float64) + 0.5)
    if not np.all(np.abs(value) < 2.0**bits):
        raise BoundError(f"a constant of {np.abs(value).max():.4g} does not fit {bits} bits and a sign")
    return value.astype(np.int64)


def symmetric_range(bits: int) -> int:
    """n of the range [-n, n]."""
    return (1 << bits - 1) - 1


def weight_scale(weight: Array, bits: int) -> Array:
    """The scale of each output row [N] of a weight [N K]: max |w| / n, fp32, TINY for a row of zeros.

    At least 2**-90, so that its product with any activation's scale is a normal fp32, and has a reciprocal.
    """
    peak = np.abs(weight).max(axis=-1).astype(F32)
    return np.maximum(np.where(peak > 0, peak / F32(symmetric_range(bits)), TINY), F32(2.0**-90)).astype(F32)


def quantized_weight(weight: Array, scale: Array, bits: int, form: str) -> Array:
    """weight / scale as int8. ibert: RNE(fp32(fp32(1 / S) * w)) in [-n, n - 1]; symmetric: RNE(w / S) in [-n, n]."""
    n = symmetric_range(bits)
    if form == "ibert":
        reciprocal = (F32(1) / np.asarray(scale, F32)).astype(F32)
        return np.clip(np.rint((reciprocal * weight).astype(F32)), -n, n - 1).astype(np.int8)
    return np.clip(np.rint(weight.astype(np.float64) / np.asarray(scale, np.float64)), -n, n).astype(np.int8)


def ibert_bias(bias: Array, scale: Array) -> Array:
    """RNE(fp32(fp32(1 / S) * bias)) in the 32-bit range of I-BERT: int32 [N], S the scale of the accumulator."""
    n = float((1 << 31) - 1)
    value = np.rint(((F32(1) / scale.astype(F32)).astype(F32) * bias.astype(F32)).astype(F32)).astype(np.float64)
    return np.clip(value, -n, n - 1).astype(np.int64).astype(np.int32)


def _scaled_floor(scale: Any, coefficient: float) -> Array:
    """floor(fp32(fp32(1 / scale) * fp32(coefficient))): torch evaluates a scalar over a tensor in this order."""
    with np.errstate(divide="ignore", over="ignore"):
        value = np.floor(((F32(1) / np.asarray(scale, F32)).astype(F32) * F32(coefficient)).astype(F32))
    if not np.all(np.abs(value) < 2.0**62):
        raise BoundError(f"a constant of a polynomial, {coefficient:.4g} / {np.min(np.abs(scale)):.4g}, is too large")
    return value.astype(np.int64)


def softmax_constants(scale: float, constants: str = "code") -> dict[str, int]:
    """Attributes of softmax_ibert for scores of this scale (fp32).

    code: the polynomial of the authors' code, by its steps in fp32. paper: 0.3585 * (p + 1.353)**2 + 0.344 and ln 2, as
    they are printed; (r + m)**2 + n is (r + 2 * m) * r + m**2 + n.
    """
    if constants == "paper":
        inverse = 1 / Fraction(scale)
        ln2 = math.floor(Fraction(math.log(2)) * inverse)
        shift = math.floor(Fraction("1.353") * inverse)
        b, c = 2 * shift, shift**2 + math.floor(Fraction("0.344") / Fraction("0.3585") * inverse**2)
    else:
        s = F32(scale)
        ln2 = -int(_scaled_floor(s, -0.6931))
        b = int(_scaled_floor(s, 0.96963238 / 0.35815147))
        c = int(_scaled_floor(F32(s * s), 1 / 0.35815147))
    multiplier, bits = dyadic(32767.0 / (max(c, 1) * 2.0**30))
    return {"ln2": ln2, "b": b, "c": c, "multiplier": int(multiplier[0]), "shift": int(bits[0])}


def norm_shift(squares: float) -> int:
    """shift of layernorm_ibert, for the largest sum of squares seen: what keeps the shifted sum within 2**32."""
    return 0 if squares < 2.0**32 else math.ceil(math.log2(math.sqrt(squares / 2.0**32)))


def gelu_constants(scale: Array, constants: str = "code") -> tuple[dict[str, Array], Array]:
    """Inputs b, c, one [C] of gelu_ibert for an accumulator of this scale [C], and its output's scale (float64).

    exact: `one` is the floor of the quotient itself, not of its fp32, as in Hugging Face's modules below 2**24.
    """
    s = scale.astype(F32)
    k = (s / F32(1.4142)).astype(F32)
    square = (k * k).astype(F32)
    erf = ((square * F32(-0.2888)).astype(F32) * F32(2**14)).astype(F32)
    made = {"b": _scaled_floor(k, -1.769), "c": _scaled_floor(square, 1 / -0.2888), "one": _scaled_floor(erf, 1.0)}
    if constants == "exact":
        made["one"] = np.array([math.floor(1 / Fraction(float(v))) for v in erf.ravel()], np.int64).reshape(erf.shape)
    return made, (s * erf).astype(F32).astype(np.float64) / 2


def exp2_table() -> Array:
    """round(2**(30 - i / 256)), i = 0..256: int32 [257]."""
    return np.rint(2.0 ** (30 - np.arange(257) / 256)).astype(np.int32)


def softmax_entries(scale: float, keys: int) -> Array:
    """exp(S * (a - d)), d = 0..255, the float32 patterns that ONNX Runtime has for rows of so many keys: int32 [256].

    a leaves room for the sum: S * a = log(the largest float32 / keys) - 5.
    """
    largest = np.finfo(np.float32).max
    room = max(float(np.log(np.float32(largest / np.float32(keys)))) - 5.0, 0.0) / float(np.float32(scale))
    return np.exp((room - np.arange(256)) * float(np.float32(scale))).astype(np.float32).view(np.int32)


def gelu_entries() -> Array:
    """round(v * Phi(-v) * 2**24), v = i / 64, i = 0..512: int32 [513]."""
    v = np.arange(513) / 64
    return np.rint(v * ndtr(-v) * 2.0**24).astype(np.int32)


def tanh_entries(scale: float, dtype: str) -> tuple[Array, float]:
    """Entries [256] of tanh for an int8 input of this scale, and the output's scale: 1 / the largest of dtype."""
    top = int(np.iinfo(dtype).max)
    return np.rint(np.tanh(np.arange(-128, 128) * scale) * top).astype(dtype), 1 / top


def power_of_two(peak: float, bits: int) -> float:
    """The smallest power of two s with peak <= s * (2**(bits - 1) - 1)."""
    return 2.0 ** math.ceil(math.log2(max(peak, float(TINY)) / symmetric_range(bits)))
