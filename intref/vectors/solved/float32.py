"""Solved cases of ops/onnx.py: a float32 of every bit length, every distance between the ends of a row."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref.ops.onnx import LEAST_PEAK, ONE, TWO_32, fp32_from_int, fp32_multiply
from intref.vectors.case import Case, Generator

SUBNORMAL = 1 << np.arange(23)  # one pattern of each bit length
NORMAL = np.array([*(3 << 23 + k for k in range(6)), 119 << 23])  # of 25 bits to 30
MOST_AXES = 8
# Two significands, the low 24 bits of their product, and where that leaves it; what is kept is even above, odd below.
BESIDE_TIES = ((0xB504F3, 0xBFB43B, 0x800001, "above"), (0x9E2FEB, 0xDB7F3D, 0x7FFFFF, "below"))
FAR_AXES = (*range(-MOST_AXES, -3), *range(3, MOST_AXES))


def _int32(values: Any) -> np.ndarray:
    return np.asarray(values, np.int64).astype(np.int32)


def _negative(pattern: Any) -> np.ndarray:
    return np.asarray(pattern, np.int64) - (1 << 31)


def _far_axes(x_at: Any, attrs: dict[str, Any]) -> Iterator[Case]:
    """Eight axes, a scale for each of two places of one that lies far from the last."""
    for axis in FAR_AXES:
        shape = [1] * MOST_AXES
        shape[axis], shape[(axis + 1) % MOST_AXES] = 2, 2
        tensors = {"x": x_at(shape), "scale": _int32([ONE, ONE - (1 << 23)]), "zero_point": _int32([1, 0])}
        yield Case(f"eight axes, a scale along axis {axis}", tensors, {**attrs, "axis": axis}, ("axes",))


def quantize_fp32() -> Iterator[Case]:
    """Scales of every bit length of their patterns, axes far from the last, the zero point 2**30."""
    numbers = _int32([0, ONE, ONE + (1 << 23), ONE + (3 << 22)])  # 0 to 3
    yield from _far_axes(numbers.reshape, {"output": "int8"})
    scale = _int32([*SUBNORMAL, *NORMAL])
    x = _int32([*(3 * SUBNORMAL[:22]), SUBNORMAL[22], *(NORMAL + (1 << 22))])
    tensors = {"x": x, "scale": scale, "zero_point": _int32([1])}
    yield Case("a scale of every bit length, quotients of 1 to 3", tensors, {"output": "int8"}, ("extreme",))
    scale = _int32(-(1 << np.arange(24, 31)))
    tensors = {"x": scale, "scale": scale, "zero_point": _int32([1])}
    yield Case("a negative scale of every bit length over itself", tensors, {"output": "int8"}, ("extreme",))
    tensors = {"x": _int32([0, ONE]), "scale": _int32([ONE]), "zero_point": _int32([1 << 30])}
    yield Case("zero point 2**30", tensors, {"output": "int32"}, ("extreme",))


def dequantize_fp32() -> Iterator[Case]:
    """Scales whose patterns have 29 bits, axes far from the last, the zero point 2**30."""
    yield from _far_axes(lambda shape: np.arange(4, dtype=np.int8).reshape(shape), {})
    tensors = {"x": np.array([1, -3], np.int8), "scale": _int32([1 << 28]), "zero_point": _int32([1 << 30])}
    yield Case("a scale whose pattern is 2**28, zero point 2**30", tensors, {}, ("extreme",))


def dynamic_quantize() -> Iterator[Case]:
    """The ends of a row at every distance, numbers of every length beside the least and a larger peak."""
    distance = np.arange(26, 0, -1)
    above = ONE - (distance << 23) | 0x555555
    rows = np.stack([np.full(len(distance), _negative(ONE)), above], -1)
    yield Case("both ends of a row, the greatest at each distance", {"x": _int32(rows)}, {}, ("tie",))
    row = [*SUBNORMAL, (1 << 23) - 1, LEAST_PEAK]
    rows = np.stack([_int32(row), _int32(_negative(row))])
    yield Case("subnormal numbers of every length under the least peak", {"x": _int32(rows)}, {}, ("extreme",))
    row = [*NORMAL, *-(1 << np.arange(25, 31))]
    yield Case("normal numbers of every length", {"x": _int32(row)}, {}, ("extreme",))
    ends = [[_negative(ONE), _negative(1)], [_negative(ONE), 1], [ONE, 1], [ONE, _negative(1)]]
    yield Case("the least number as an end of a row", {"x": _int32(ends)}, {}, ("extreme",))


def quantize_token_fp32() -> Iterator[Case]:
    """Numbers of every length beside peaks of several: products and quotients of each size, both ways."""
    for by in ("quotient", "reciprocal"):
        row = [*SUBNORMAL, (1 << 23) - 1, 1 << 23]
        rows = [[*row, peak] for peak in (LEAST_PEAK, 127 + 20 << 23, 127 + 37 << 23)]
        rows += [[_negative(v) for v in row] for row in rows]
        yield Case(f"{by}: subnormal numbers of every length", {"x": _int32(rows)}, {"by": by}, ("extreme",))
        row = [*NORMAL, *_negative(NORMAL)]
        yield Case(f"{by}: normal numbers of every length", {"x": _int32(row)}, {"by": by}, ("extreme",))


def epilogue_fp32() -> Iterator[Case]:
    """Scales of a token of every bit length, scales of a channel and a bias of those that are left."""
    token = _int32([*SUBNORMAL, *NORMAL])[:, None]
    tensors = {
        "x": np.full((len(token), 2), 1 << 24, np.int32),
        "token": token,
        "channel": _int32([1 << 27, _negative(ONE)]),
        "bias": _int32([1, -(1 << 24) - 1]),
    }
    yield Case("a token's scale of every bit length", tensors, {"order": "token_first"}, ("extreme",))
    yield from _fused()
    yield from _fused_apart()


def _fused() -> Iterator[Case]:
    """Products and biases that a fused sum rounds otherwise: what cancels, and ties."""
    factors = ONE + np.array([1, 2, 0x7FFFFF])
    squares = np.asarray(fp32_multiply(factors, factors))[:, None] + np.arange(-1, 2)
    for order in ("token_first", "channel_first"):
        yield _products(f"{order}: squares less their float32s", 1, factors, factors, _negative(squares), order)
    whole, squares = (1 << 23) + factors - ONE, squares + (23 << 23)
    yield _products("scales_first: the same", whole[:, None], [ONE], factors, _negative(squares), "scales_first")
    small = [1, _negative(1), 0, _negative(0), ONE - (9 << 23), _negative(ONE - (9 << 23))]
    for a, b in ((97, 172961), (1549, 10831)):  # float64 does not hold the least biases beside these
        why, other = f"{a * b - (1 << 24)} beyond 2**24, a tie that the bias decides", fp32_from_int(np.array([b]))
        yield _products(f"token_first: {why}", a, [ONE], other, small)
        for order in ("channel_first", "scales_first"):
            yield _products(f"{order}: {why}", a, other, [ONE], small, order)
    least = [1, _negative(1), 0, ONE - (60 << 23), _negative(ONE - (60 << 23))]
    for a, b, odd, where in BESIDE_TIES:
        assert (a * b & 0xFFFFFF, a * b >> 24 & 1) == (odd, odd < 1 << 23)
        token, channel = ([ONE + (v & 0x7FFFFF)] for v in (a, b))
        yield _products(f"a product one {where} a tie, and biases that leave it there", 1, token, channel, least)


def _fused_apart() -> Iterator[Case]:
    """A bias at every distance from a product; products below the least number, and 0; subnormal factors."""
    factors, distance = ONE + np.array([0x7FFFFF, 1, 0x3504F3]), ONE + (np.arange(-51, 54) << 23)
    for sign, bias in (("", distance), ("negative ", _negative(distance))):
        biases = [*bias, *(bias + 0x7FFFFF)]
        yield _products(f"a {sign}bias at each distance", 1, factors, factors[2:], biases)
    half = ONE - (1 << 23)
    near = np.array([half - 1, half, half + 1, 1])
    biases = [0, _negative(0), 1, _negative(1), 0x7FFFFF, 1 << 23, _negative(ONE)]
    channels = [*near, *_negative(near)]
    yield _products("products near half the least number, and 0", 1, [1, 3, 0], channels, biases)
    yield _products("both scales subnormal", 1, SUBNORMAL, [1, 1 << 22, 0x7FFFFF], [0, 1, _negative(1)])
    large = TWO_32 - 1
    product = np.asarray(fp32_multiply(np.array([1]), np.array([large])))
    yield _products("0 times the largest scales", 0, [large], [large, _negative(large)], biases)
    yield _products(
        "a subnormal scale by a large one, cancelled", 1, [1], [large], _negative(product + np.arange(-2, 3))
    )


def _products(why: str, x: Any, token: Any, channel: Any, bias: Any, order: str = "token_first") -> Case:
    """A row for each token's scale or accumulator, a column for each channel's scale with each bias."""
    rows, channel = max(len(token), np.asarray(x).size), np.asarray(channel)
    bias = np.broadcast_to(np.asarray(bias), (len(channel), np.shape(bias)[-1]))
    tensors = {
        "x": _int32(np.broadcast_to(x, (rows, bias.size))),
        "token": _int32(np.broadcast_to(np.asarray(token)[:, None], (rows, 1))),
        "channel": _int32(np.repeat(channel, bias.shape[-1])),
        "bias": _int32(bias.ravel()),
    }
    return Case(why, tensors, {"order": order, "contract": "fma"}, ("tie",))


SOLVED: dict[str, Generator] = {
    f.__name__: f for f in (quantize_fp32, dequantize_fp32, dynamic_quantize, quantize_token_fp32, epilogue_fp32)
}
