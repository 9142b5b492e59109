"""Ops that only move or pick elements, and convolution: legal sizes, places and windows."""

import numpy as np
from hypothesis import strategies as st

from intref.ops import OPS
from intref.testing.integers import Draw, filled
from intref.testing.legal.shared import Attrs, Fit, Fixed, Tensors, clip


def _clamp(draw: Draw, tensors: Tensors, attrs: Attrs, fixed: Fixed) -> None:
    clip(draw, attrs, fixed, *OPS["clamp"].inputs["x"].range(str(tensors["x"].dtype)))


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


FIT: dict[str, Fit] = {
    "clamp": _clamp,
    "concat_rows": _concat_rows,
    "conv2d": _conv2d,
    "embedding": _embedding,
    "max_pool": _max_pool,
    "positions": _positions,
    "reshape": _reshape,
    "select_token": _select_token,
    "slice_rows": _slice_rows,
    "split_heads": _split_heads,
}
MADE: dict[str, set[str]] = {"concat_rows": {"b"}, "conv2d": {"x", "weight", "bias"}}
