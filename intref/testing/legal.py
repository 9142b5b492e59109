"""What makes a drawn call of an op legal where ports and attributes alone do not: relations between them.

Each function changes tensors and attributes in place, and leaves alone the attributes that the caller fixed.
"""

from collections.abc import Callable, Container
from fractions import Fraction
from math import isqrt
from typing import Any

import numpy as np
from hypothesis import strategies as st

from intref.intmath import split_fp32
from intref.ops import OPS
from intref.ops.op import dtype_range
from intref.testing.integers import Draw, filled, multipliers, near_shifts

Tensors = dict[str, np.ndarray]
Attrs = dict[str, Any]
Fixed = Container[str]
LARGEST = (1 << 31) - 1
GROUP_SIZES = (2, 4, 32, 128, 1 << 20)


def clip(draw: Draw, attrs: Attrs, fixed: Fixed, low: int, high: int) -> None:
    """low and high inside [low, high], in order."""
    first, last = (attrs[k] if k in fixed else default for k, default in (("low", low), ("high", high)))
    if "low" not in fixed:
        attrs["low"] = draw(st.integers(low, last))
    if "high" not in fixed:
        attrs["high"] = draw(st.integers(attrs["low"] if "low" not in fixed else first, high))


def _clamp(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    clip(draw, attrs, fixed, *OPS["clamp"].inputs["x"].range(str(tensors["x"].dtype)))


def _layernorm_fixed(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    clip(draw, attrs, fixed, *dtype_range("int32"))


def _layernorm_ibert(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    tensors["x"] >>= 1 if tensors["x"].shape[-1] <= 256 else 3


def _split_heads(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    if "heads" not in fixed:
        attrs["heads"] = draw(st.integers(1, 5))
    tensors["x"] = np.repeat(tensors["x"], attrs["heads"], axis=-1)


def _select_token(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    if "index" not in fixed:
        attrs["index"] = draw(st.integers(0, tensors["x"].shape[-2] - 1))


def _embedding(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    tensors["ids"] %= len(tensors["table"])


def _positions(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    if "start" not in fixed:
        attrs["start"] = max(attrs["start"], 1)


def _linear_int4(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    n, k = len(tensors["weight"]), tensors["x"].shape[-1]
    if "group_size" not in fixed:
        attrs["group_size"] = draw(
            st.one_of(st.integers(1, 40).map(lambda half: 2 * half), st.sampled_from(GROUP_SIZES))
        )
    tensors["weight"] = filled(draw, (n, -(-k // 2)), 0, 255, "uint8")
    if k % 2:
        tensors["weight"][:, -1] &= 15
    tensors["scale"] = filled(draw, (n, -(-k // attrs["group_size"])), *dtype_range("int16"), "int16")


def _rescale_token(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    exponent = tensors["exponent"]
    low, high = int(exponent.max()), min(62 + int(exponent.min()), 71)
    tensors["shift"] = filled(draw, tensors["shift"].shape, low, high, "int8")


def _softmax_ibert(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    if "ln2" not in fixed:
        attrs["ln2"] = draw(st.integers(1, 1 << 16))
    ln2 = attrs["ln2"]
    if "b" not in fixed:
        attrs["b"] = draw(st.integers(ln2, min((1 << 32) // ln2, 1 << 25)))
    if "c" not in fixed:
        attrs["c"] = draw(st.integers(attrs["b"] * ln2, 1 << 32))
    least = max((((attrs["c"] * attrs["multiplier"]) << 30) - 1).bit_length() - 62, 0)
    if "shift" not in fixed:
        attrs["shift"] = draw(st.integers(least, 94))


def _exponential_ivit(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    """one * 2**halvings below 2**31, of a whole row in tvm; distances that this exponential tells apart."""
    keys = tensors["x"].shape[-1] if "mask" in tensors and attrs["form"] == "tvm" else 1
    if "halvings" not in fixed:
        least = attrs["one"] if "one" in fixed else 1
        attrs["halvings"] = draw(st.integers(1, max((LARGEST // (keys * least)).bit_length() - 1, 1)))
    if "one" not in fixed:
        attrs["one"] = draw(st.integers(1, min(max(LARGEST // keys >> attrs["halvings"], 1), 1 << 24)))
    if draw(st.booleans()):
        tensors["x"] %= min(2 * attrs["one"] * attrs["halvings"], np.iinfo(tensors["x"].dtype).max)


def _layernorm_ivit(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    tensors["x"] >>= draw(st.integers(2, 24)) if attrs["form"] == "torch" else draw(st.integers(9, 24))


def _softmax_log2_fqvit(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    most = min((1 << 32) // tensors["x"].shape[-1], (1 << 32) - 1)
    if "ln2" not in fixed:
        attrs["ln2"] = draw(st.integers(1, isqrt(most)))
    if "b" not in fixed:
        attrs["b"] = draw(st.integers(attrs["ln2"], max(min(most // attrs["ln2"], 1 << 25), attrs["ln2"])))
    if "c" not in fixed:
        least = attrs["b"] * attrs["ln2"]
        attrs["c"] = draw(st.integers(least, max(most, least)))
    if draw(st.booleans()):
        tensors["x"] %= min(33 * attrs["ln2"], np.iinfo(tensors["x"].dtype).max)


def _gelu_ibert(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    shape = (draw(st.sampled_from([1, tensors["x"].shape[-1]])),)
    for k in ("b", "c", "one"):
        tensors[k] = filled(draw, shape, *OPS["gelu_ibert"].inputs[k].range("int64"), "int64")
    holds = OPS["gelu_ibert"].constraints["C6"][1]
    while not holds(tensors, attrs):
        tensors["x"] >>= 1


def _rescale(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    rule = attrs["rounding"]
    if not tensors["x"].ndim:
        tensors["x"] = tensors["x"].reshape(1)
    if rule.endswith("_double") and tensors["x"].dtype == np.int64:
        tensors["x"] = filled(draw, tensors["x"].shape, *dtype_range("int32"), "int32")
    beyond = rule == "tosa_double" and _peak(tensors["x"], attrs["input_zero_point"]) > 1 << 31
    for k in ("input_zero_point", "output_zero_point"):
        if k not in fixed and (draw(st.booleans()) or (beyond and k == "input_zero_point")):
            attrs[k] = 0
    shape = tensors["x"].shape
    if "axis" not in fixed:
        attrs["axis"] = draw(st.integers(-len(shape), len(shape) - 1))
    if -len(shape) <= attrs["axis"] < len(shape):
        _rescale_pairs(draw, rule, draw(st.sampled_from([1, shape[attrs["axis"]]])), tensors, attrs)


def _rescale_pairs(draw: Draw, rule: str, length: int, tensors: Tensors, attrs: Attrs) -> None:
    """A few pairs drawn, and repeated: every shift brings x times its multiplier below 2**62."""
    zero = attrs["input_zero_point"]
    peak, first = _peak(tensors["x"], zero), int(tensors["x"].flat[0]) - zero
    low, high = (2, 62) if rule == "tosa_double" else (0, 94)

    def pair(m: int) -> st.SearchStrategy[tuple[int, int]]:
        if rule == "fp32_half_even":
            return st.just((_finite(m, peak), 0))
        least = max((peak * abs(m)).bit_length() - 62, low)
        return near_shifts(m, least, high, first).map(lambda s: (m, s))

    drawn = multipliers(0 if rule.endswith("_double") else -(1 << 31)).flatmap(pair)
    m, s = zip(*draw(st.lists(drawn, min_size=1, max_size=8)))
    tensors["multiplier"] = np.resize(np.array(m, np.int32), length)
    tensors["shift"] = np.resize(np.array(s, np.int8), length)


def _peak(x: np.ndarray, zero: int) -> int:
    return max(abs(int(x.min()) - zero), abs(int(x.max()) - zero))


def _finite(pattern: int, peak: int) -> int:
    """The float32 pattern with the exponent lowered until peak times it is below 2**62."""
    if pattern >> 23 & 255 == 255:
        pattern &= ~(1 << 30)
    while True:
        _, significand, exponent = (int(v) for v in split_fp32(pattern))
        if peak * significand * Fraction(2) ** exponent < 1 << 62:
            return pattern
        pattern -= 1 << 23


# The inputs that these functions make, so that nothing is drawn for them before.
MADE = {
    "gelu_ibert": {"b", "c", "one"},
    "linear_int4": {"weight", "scale"},
    "rescale": {"multiplier", "shift"},
    "rescale_token": {"shift"},
    "rescale_token_residual": {"shift"},
}
Fit = Callable[[Draw, Tensors, Attrs, Fixed], None]
FIT: dict[str, Fit] = {
    "clamp": _clamp,
    "embedding": _embedding,
    "gelu_ibert": _gelu_ibert,
    "gelu_ivit": _exponential_ivit,
    "layernorm_fixed": _layernorm_fixed,
    "layernorm_ibert": _layernorm_ibert,
    "layernorm_ivit": _layernorm_ivit,
    "linear_int4": _linear_int4,
    "positions": _positions,
    "rescale": _rescale,
    "rescale_token": _rescale_token,
    "rescale_token_residual": _rescale_token,
    "select_token": _select_token,
    "softmax_ibert": _softmax_ibert,
    "softmax_ivit": _exponential_ivit,
    "softmax_log2_fqvit": _softmax_log2_fqvit,
    "split_heads": _split_heads,
}
