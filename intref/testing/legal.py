"""What makes a drawn call of an op legal where ports and attributes alone do not: relations between them.

Each function changes tensors and attributes in place, and leaves alone the attributes that the caller fixed.
"""

from collections.abc import Callable, Container
from fractions import Fraction
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


def _reshape(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    if not tensors["x"].ndim:
        tensors["x"] = tensors["x"].reshape(1)
    left, rank = tensors["x"].size, int(attrs["rank"])
    for i in range(6):
        divisors = [n for n in range(1, 40) if left % n == 0] if i + 1 < rank else [left]
        attrs[f"d{i}"] = draw(st.sampled_from(divisors)) if i < rank else 1
        left //= attrs[f"d{i}"]


def _slice_rows(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    rows = tensors["x"].shape[-2]
    start, step = draw(st.integers(0, rows - 1)), draw(st.sampled_from([0, 1, 1, 2, 3]))
    most = (rows - 1 - start) // step if step else 5
    attrs |= {"start": start, "step": step, "count": 1 + draw(st.integers(0, most))}


def _concat_rows(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    dtype = str(tensors["a"].dtype)
    tensors["b"] = filled(draw, tensors["b"].shape, *OPS["concat_rows"].inputs["b"].range(dtype), dtype)


def _conv2d(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    few, dtype = st.integers(1, 3), str(tensors["x"].dtype)
    groups, depth, share, batch = (draw(few) for _ in range(4))
    span, taps = ([draw(st.integers(1, n)) for _ in "yx"] for n in (9, 3))
    low, high = OPS["conv2d"].inputs["x"].range(dtype)
    tensors["x"] = filled(draw, (batch, groups * depth, *span), low, high, dtype)
    tensors["weight"] = filled(draw, (groups * share, depth, *taps), -128, 127, "int8")
    tensors["bias"] = filled(draw, (groups * share,), -(1 << 29), 1 << 29, "int32")
    for axis, size, count, ends in zip("yx", span, taps, (("top", "bottom"), ("left", "right"))):
        attrs[f"dilation_{axis}"], attrs[f"stride_{axis}"] = draw(few), draw(few)
        _around(draw, attrs, size, attrs[f"dilation_{axis}"] * (count - 1) + 1, ends, 3)


def _max_pool(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    for axis, name, size, ends in zip(
        "yx", ("height", "width"), tensors["x"].shape[-2:], (("top", "bottom"), ("left", "right"))
    ):
        attrs[name], attrs[f"stride_{axis}"] = draw(st.integers(1, min(5, 2 * size - 1))), draw(st.integers(1, 4))
        _around(draw, attrs, size, attrs[name], ends, attrs[name] - 1)


def _around(draw: Draw, attrs: Attrs, size: int, window: int, ends: tuple[str, str], most: int) -> None:
    """What is before and behind an axis of that size, at least so much that a window fits."""
    first = draw(st.integers(max(window - size - most, 0), max(most, window - size - most)))
    least = max(window - size - first, 0)
    attrs |= {ends[0]: first, ends[1]: draw(st.integers(least, max(most, least)))}


def _halved(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    """No sum, and no product, of what is left leaves int32."""
    for name in tensors:
        tensors[name] >>= 16 if tensors[name].dtype == np.int32 else 0


# The inputs that these functions make, so that nothing is drawn for them before.
MADE = {
    "concat_rows": {"b"},
    "conv2d": {"x", "weight", "bias"},
    "gelu_ibert": {"b", "c", "one"},
    "linear_int4": {"weight", "scale"},
    "rescale": {"multiplier", "shift"},
    "rescale_token": {"shift"},
    "rescale_token_residual": {"shift"},
}
Fit = Callable[[Draw, Tensors, Attrs, Fixed], None]
FIT: dict[str, Fit] = {
    "clamp": _clamp,
    "concat_rows": _concat_rows,
    "conv2d": _conv2d,
    "elementwise": _halved,
    "embedding": _embedding,
    "gelu_ibert": _gelu_ibert,
    "layernorm_fixed": _layernorm_fixed,
    "layernorm_ibert": _layernorm_ibert,
    "linear_int4": _linear_int4,
    "max_pool": _max_pool,
    "positions": _positions,
    "reshape": _reshape,
    "rescale": _rescale,
    "rescale_token": _rescale_token,
    "rescale_token_residual": _rescale_token,
    "select_token": _select_token,
    "slice_rows": _slice_rows,
    "softmax_ibert": _softmax_ibert,
    "split_heads": _split_heads,
    "sum_rows": _halved,
}
