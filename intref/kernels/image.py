"""Twins of ops/image.py."""

# numba infers the types of the compiled functions.
# mypy: allow-untyped-defs, no-check-untyped-defs

from collections.abc import Callable
from typing import Any

import numpy as np

from intref.kernels.arrays import empty, plain
from intref.kernels.jit import jit
from intref.kernels.threads import over_rows

INT32 = (-(1 << 31), (1 << 31) - 1)


def _reach(span: int, length: int, stride: int, before: int, after: int) -> int:
    """How many windows of that length there are along an axis."""
    return (before + span + after - length) // stride + 1


def conv2d(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, *, zero_point: int, stride_y: int, stride_x: int,
    dilation_y: int, dilation_x: int, top: int, bottom: int, left: int, right: int,
) -> dict[str, np.ndarray]:  # fmt: skip
    batch, _, height, width = x.shape
    filters, depth, down, across = weight.shape
    rows = _reach(height, dilation_y * (down - 1) + 1, stride_y, top, bottom)
    columns = _reach(width, dilation_x * (across - 1) + 1, stride_x, left, right)
    image, taps, start = plain(x, np.int16), plain(weight), plain(bias)
    y = empty((batch, filters, rows, columns), np.int32)
    steps = (stride_y, stride_x, dilation_y, dilation_x, top, left)
    work = y.size * depth * down * across
    ends = over_rows(
        lambda i, j: _conv(image, taps, start, zero_point, steps, i, j, y), batch * filters, max(work >> 3, 1)
    )
    _require_int32([end for pair in ends for end in pair])
    return {"y": y}


@jit
def _conv(x, weight, bias, zero_point, steps, start, stop, y):
    """Planes start..stop of all batches and filters; the lowest and highest result."""
    stride_y, stride_x, dilation_y, dilation_x, top, left = steps
    channels, height, width = x.shape[1], x.shape[2], x.shape[3]
    filters, depth, down, across = weight.shape
    share = filters // (channels // depth)
    rows, columns = y.shape[2], y.shape[3]
    low, high = np.int64(1) << 62, -(np.int64(1) << 62)
    total = np.empty((rows, columns), np.int64)
    for plane in range(start, stop):
        b, o = plane // filters, plane % filters
        total[:] = bias[o]
        for i in range(depth):
            c = o // share * depth + i
            for u in range(down):
                for v in range(across):
                    tap = np.int64(weight[o, i, u, v])
                    for p in range(rows):
                        at = p * stride_y + u * dilation_y - top
                        if 0 <= at < height:
                            for r in range(columns):
                                beside = r * stride_x + v * dilation_x - left
                                if 0 <= beside < width:
                                    total[p, r] += tap * (x[b, c, at, beside] - zero_point)
        for p in range(rows):
            for r in range(columns):
                y[b, o, p, r] = total[p, r]
                low, high = min(low, total[p, r]), max(high, total[p, r])
    return low, high


def max_pool(
    x: np.ndarray, *, height: int, width: int, stride_y: int, stride_x: int, top: int, bottom: int, left: int,
    right: int,
) -> dict[str, np.ndarray]:  # fmt: skip
    rows, columns = (
        _reach(x.shape[-2], height, stride_y, top, bottom),
        _reach(x.shape[-1], width, stride_x, left, right),
    )
    planes = plain(x).reshape(-1, *x.shape[-2:])
    y = empty((len(planes), rows, columns), x.dtype)
    steps = (height, width, stride_y, stride_x, top, left)
    over_rows(lambda i, j: _max_pool(planes[i:j], steps, y[i:j]), len(y), y.size * height * width)
    return {"y": y.reshape(*x.shape[:-2], rows, columns)}


@jit
def _max_pool(x, steps, y):
    height, width, stride_y, stride_x, top, left = steps
    for plane in range(y.shape[0]):
        for p in range(y.shape[1]):
            first, last = max(p * stride_y - top, 0), min(p * stride_y - top + height, x.shape[1])
            for r in range(y.shape[2]):
                start, stop = max(r * stride_x - left, 0), min(r * stride_x - left + width, x.shape[2])
                best = x[plane, first, start]
                for i in range(first, last):
                    for j in range(start, stop):
                        best = max(best, x[plane, i, j])
                y[plane, p, r] = best


def sum_rows(x: np.ndarray) -> dict[str, np.ndarray]:
    return {"y": _narrowed(np.add.reduce(x, axis=-2, dtype=np.int64, keepdims=True))}


def elementwise(a: np.ndarray, b: np.ndarray, *, operation: str, overflow: str) -> dict[str, np.ndarray]:
    operations: dict[str, Callable[..., Any]] = {"add": np.add, "subtract": np.subtract, "multiply": np.multiply}
    y = np.asarray(operations[operation](a, b, dtype=np.int64, order="C"))
    return {"y": y.astype(np.int32, "C") if overflow == "wrap" else _narrowed(y)}


def _narrowed(y: np.ndarray) -> np.ndarray:
    _require_int32([y.min(), y.max()])
    return y.astype(np.int32, "C")


def _require_int32(ends: list[Any]) -> None:
    low, high = min(ends), max(ends)
    if low < INT32[0] or high > INT32[1]:
        raise OverflowError(f"values in [{low}, {high}] do not lie in [{INT32[0]}, {INT32[1]}]")


KERNELS: tuple[Callable[..., Any], ...] = (conv2d, max_pool, sum_rows, elementwise)
