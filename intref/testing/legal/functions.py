"""Softmaxes, activations and tables: legal constants of a polynomial, entries of a table."""

from math import isqrt

import numpy as np
from hypothesis import strategies as st

from intref.ops import OPS
from intref.ops.op import dtype_range
from intref.testing.integers import Draw, filled
from intref.testing.legal.shared import LARGEST, Attrs, Fit, Fixed, Tensors, narrowed


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


def _softmax_deeploy(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    """The product of a and b**2 in 31 bits."""
    if "a" not in fixed:
        attrs["a"] = min(attrs["a"], ((1 << 31) - 1) // max(attrs["b"], 255) ** 2)
    elif "b" not in fixed:
        attrs["b"] = min(attrs["b"], 255)


def _softmax_itamax_partial(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    keys = tensors["x"].shape[-1]
    if "group" not in fixed:
        attrs["group"] = draw(st.sampled_from([n for n in range(1, keys + 1) if keys % n == 0]))


def _softmax_gemmini(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    most = LARGEST // tensors["x"].shape[-1]  # of one exponential
    if "ln2" not in fixed:
        attrs["ln2"] = draw(st.integers(1, min(1 << 16, isqrt(most) // 2)))
    if "b" not in fixed:
        attrs["b"] = draw(st.integers(0, isqrt(most - 1)))
    if "c" not in fixed:
        attrs["c"] = draw(st.integers(1, max(min(most - max(attrs["b"], attrs["ln2"]) ** 2, 1 << 30), 1)))
    narrowed("softmax_gemmini", tensors, attrs)


def _gelu_ibert(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    shape = (draw(st.sampled_from([1, tensors["x"].shape[-1]])),)
    for k in ("b", "c", "one"):
        tensors[k] = filled(draw, shape, *OPS["gelu_ibert"].inputs[k].range("int64"), "int64")
    holds = OPS["gelu_ibert"].constraints["C6"][1]
    while not holds(tensors, attrs):
        tensors["x"] >>= 1


def _gelu_gemmini(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    left = LARGEST
    for name in ("b", "c", "one"):
        if name not in fixed:
            low, high = (-isqrt(left), 0) if name == "b" else (-left, left)
            attrs[name] = draw(st.integers(low, high))
        left -= attrs[name] ** 2 if name == "b" else abs(attrs[name])
    narrowed("gelu_gemmini", tensors, attrs)


def _table_tosa(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    """No two neighbours further apart than an int16, which no two of half the size are."""
    if draw(st.booleans()):
        tensors["entries"] >>= 1
    low, high = dtype_range("int16")
    entries = tensors["entries"]
    for i in range(1, len(entries)):
        before = int(entries[i - 1])
        entries[i] = min(max(int(entries[i]), before + low), before + high)


def _table_int16(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    """Neighbours no further apart than an int16."""
    entries = tensors["entries"]
    for i in range(1, len(entries)):
        before = int(entries[i - 1])
        entries[i] = min(max(int(entries[i]), before - (1 << 15)), before + (1 << 15) - 1)


def _rsqrt_gemmlowp(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    if "input_zero_point" not in fixed:
        attrs["input_zero_point"] = min(attrs["input_zero_point"], int(tensors["x"].min()))


FIT: dict[str, Fit] = {
    "gelu_gemmini": _gelu_gemmini,
    "gelu_ibert": _gelu_ibert,
    "gelu_ivit": _exponential_ivit,
    "rsqrt_gemmlowp": _rsqrt_gemmlowp,
    "softmax_deeploy": _softmax_deeploy,
    "softmax_gemmini": _softmax_gemmini,
    "softmax_ibert": _softmax_ibert,
    "softmax_itamax_partial": _softmax_itamax_partial,
    "softmax_ivit": _exponential_ivit,
    "softmax_log2_fqvit": _softmax_log2_fqvit,
    "table_int16": _table_int16,
    "table_tosa": _table_tosa,
}
MADE: dict[str, set[str]] = {"gelu_ibert": {"b", "c", "one"}}
