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
from intref.testing import patterns
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


def _register(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    """A width that output has, blocks where they saturate, a bias that fits; half of the calls are plain."""
    if draw(st.booleans()):
        defaults = OPS["matmul" if "a" in tensors else "linear"].complete({})
        attrs.update({name: value for name, value in defaults.items() if name not in fixed})
    if "output" not in fixed and attrs["accumulator"] > 32:
        attrs["output"] = "int64"
    if "accumulator" not in fixed and attrs["output"] == "int32":
        attrs["accumulator"] = min(attrs["accumulator"], 32)
    if "every" not in fixed:
        attrs["every"] = draw(st.integers(0, 40)) if attrs["overflow"] == "saturate" else 0
    if "bias" in tensors:
        tensors["bias"] >>= max(32 - attrs["accumulator"], 0)


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


def _table_tosa(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    """No two neighbours further apart than an int16, which no two of half the size are."""
    if draw(st.booleans()):
        tensors["entries"] >>= 1
    low, high = dtype_range("int16")
    entries = tensors["entries"]
    for i in range(1, len(entries)):
        before = int(entries[i - 1])
        entries[i] = min(max(int(entries[i]), before + low), before + high)


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


def _table_int16(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    """Neighbours no further apart than an int16."""
    entries = tensors["entries"]
    for i in range(1, len(entries)):
        before = int(entries[i - 1])
        entries[i] = min(max(int(entries[i]), before - (1 << 15)), before + (1 << 15) - 1)


def _rsqrt_gemmlowp(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    if "input_zero_point" not in fixed:
        attrs["input_zero_point"] = min(attrs["input_zero_point"], int(tensors["x"].min()))


def _add_gemmlowp(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    holds = OPS["add_gemmlowp"].constraints["C5"][1]
    while "left_shift" not in fixed and attrs["left_shift"] and not holds(tensors, attrs):
        attrs["left_shift"] -= 1


def _mul_gemmlowp(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    holds = OPS["mul_gemmlowp"].constraints["C5"][1]
    while "shift" not in fixed and attrs["shift"] < 31 and not holds(tensors, attrs):
        attrs["shift"] += 1


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


def _requant_shift(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    """mul and add of length 1, or of that of an axis."""
    if not tensors["x"].ndim:
        tensors["x"] = tensors["x"].reshape(1)
    shape = tensors["x"].shape
    if "axis" not in fixed:
        attrs["axis"] = draw(st.integers(-len(shape), len(shape) - 1))
    for name in ("mul", "add"):
        length = draw(st.sampled_from([1, shape[attrs["axis"]] if -len(shape) <= attrs["axis"] < len(shape) else 1]))
        tensors[name] = filled(draw, (length,), *dtype_range("int32"), "int32")


def _softmax_deeploy(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    """The product of a and b**2 in 31 bits."""
    if "a" not in fixed:
        attrs["a"] = min(attrs["a"], ((1 << 31) - 1) // max(attrs["b"], 255) ** 2)
    elif "b" not in fixed:
        attrs["b"] = min(attrs["b"], 255)


def _qlinear_softmax(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    """output as x has it, a zero point that it holds, entries that may be summed."""
    if "output" not in fixed:
        attrs["output"] = str(tensors["x"].dtype)
    tensors["x"] = tensors["x"].astype(attrs["output"])
    low, high = dtype_range(attrs["output"])
    if "zero_point" not in fixed:
        attrs["zero_point"] = draw(st.integers(low, high))
    most = (254 - (tensors["x"].shape[-1] - 1).bit_length() << 23) - 1
    tensors["table"] = filled(draw, (256,), 0, min(most, 253 << 23), "int32")


def _softmax_itamax_partial(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    keys = tensors["x"].shape[-1]
    if "group" not in fixed:
        attrs["group"] = draw(st.sampled_from([n for n in range(1, keys + 1) if keys % n == 0]))


def _byte_offset(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    """x and its offset in [-128, 255]."""
    low, high = -128 - int(tensors["x"].min()), 255 - int(tensors["x"].max())
    if "input_offset" not in fixed:
        attrs["input_offset"] = min(max(attrs["input_offset"], low), high)


def _divide_deeploy(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    for name, other in (("delta", "eta"), ("eta", "delta")):
        if name not in fixed:
            attrs[name] = min(attrs[name], ((1 << 32) - 1) // attrs[other])


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


def _narrowed(op: str, tensors: Tensors, attrs: Attrs) -> None:
    """x halved until the op's constraints hold."""
    holds = [test for _, test in OPS[op].constraints.values()]
    for _ in range(32):
        if all(test(tensors, attrs) for test in holds):
            break
        tensors["x"] >>= 1


def _layernorm_gemmini(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    _narrowed("layernorm_gemmini", tensors, attrs)


def _softmax_gemmini(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    most = LARGEST // tensors["x"].shape[-1]  # of one exponential
    if "ln2" not in fixed:
        attrs["ln2"] = draw(st.integers(1, min(1 << 16, isqrt(most) // 2)))
    if "b" not in fixed:
        attrs["b"] = draw(st.integers(0, isqrt(most - 1)))
    if "c" not in fixed:
        attrs["c"] = draw(st.integers(1, max(min(most - max(attrs["b"], attrs["ln2"]) ** 2, 1 << 30), 1)))
    _narrowed("softmax_gemmini", tensors, attrs)


def _gelu_gemmini(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    left = LARGEST
    for name in ("b", "c", "one"):
        if name not in fixed:
            low, high = (-isqrt(left), 0) if name == "b" else (-left, left)
            attrs[name] = draw(st.integers(low, high))
        left -= attrs[name] ** 2 if name == "b" else abs(attrs[name])
    _narrowed("gelu_gemmini", tensors, attrs)


def _halved(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    """No sum, and no product, of what is left leaves int32."""
    for name in tensors:
        tensors[name] >>= 16 if tensors[name].dtype == np.int32 else 0


# The inputs that these functions make, so that nothing is drawn for them before.
MADE = {
    **patterns.MADE,
    "concat_rows": {"b"},
    "conv2d": {"x", "weight", "bias"},
    "gelu_ibert": {"b", "c", "one"},
    "linear_int4": {"weight", "scale"},
    "requant_shift": {"mul", "add"},
    "rescale": {"multiplier", "shift"},
    "rescale_token": {"shift"},
    "rescale_token_residual": {"shift"},
}
Fit = Callable[[Draw, Tensors, Attrs, Fixed], None]
FIT: dict[str, Fit] = {
    **patterns.FIT,
    "add_gemmlowp": _add_gemmlowp,
    "clamp": _clamp,
    "divide_deeploy": _divide_deeploy,
    "concat_rows": _concat_rows,
    "conv2d": _conv2d,
    "elementwise": _halved,
    "embedding": _embedding,
    "gelu_gemmini": _gelu_gemmini,
    "gelu_ibert": _gelu_ibert,
    "gelu_ivit": _exponential_ivit,
    "layernorm_deeploy": _byte_offset,
    "layernorm_fixed": _layernorm_fixed,
    "layernorm_gemmini": _layernorm_gemmini,
    "layernorm_ibert": _layernorm_ibert,
    "layernorm_ivit": _layernorm_ivit,
    "linear": _register,
    "linear_int4": _linear_int4,
    "matmul": _register,
    "mul_gemmlowp": _mul_gemmlowp,
    "requant_shift": _requant_shift,
    "max_pool": _max_pool,
    "positions": _positions,
    "reshape": _reshape,
    "rescale": _rescale,
    "rescale_token": _rescale_token,
    "rescale_token_residual": _rescale_token,
    "rsqrt_gemmlowp": _rsqrt_gemmlowp,
    "rmsnorm_deeploy": _byte_offset,
    "select_token": _select_token,
    "softmax_deeploy": _softmax_deeploy,
    "softmax_gemmini": _softmax_gemmini,
    "slice_rows": _slice_rows,
    "softmax_ibert": _softmax_ibert,
    "softmax_itamax_partial": _softmax_itamax_partial,
    "qlinear_softmax": _qlinear_softmax,
    "softmax_ivit": _exponential_ivit,
    "softmax_log2_fqvit": _softmax_log2_fqvit,
    "split_heads": _split_heads,
    "table_tosa": _table_tosa,
    "table_int16": _table_int16,
    "sum_rows": _halved,
}
