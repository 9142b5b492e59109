"""The ops that imported graphs bring again, written from SPEC.md alone: a part of recompute.py's table.

Exact integers: what may pass 2**60 is Python's own. An attribute that a model leaves out has its default here.
"""

import numpy as np
from words import times, wrap32


def reshape(x, a):
    return x.reshape([a.get(f"d{i}", 1) for i in range(a["rank"])])


def slice_rows(x, a):
    return x[..., a["start"] + a["step"] * np.arange(a["count"]), :]


def places(count, start, stride, size):
    """Where each window reads in an axis: places in it, and whether the ones asked for are."""
    at = start + stride * np.arange(count)
    inside = (at >= 0) & (at < size)
    return np.where(inside, at, 0), inside


def windows(size, window, stride, around):
    return (around + size - window) // stride + 1


def conv2d(x, weight, bias, a):
    a = {"zero_point": 0, "top": 0, "bottom": 0, "left": 0, "right": 0, **a}
    stride_y, stride_x, dilation_y, dilation_x = (
        a.get(f"{of}_{axis}", 1) for of in ("stride", "dilation") for axis in "yx"
    )
    (batch, channels, height, width), (filters, own, tall, wide) = x.shape, weight.shape
    groups = channels // own
    rows = windows(height, dilation_y * (tall - 1) + 1, stride_y, a["top"] + a["bottom"])
    columns = windows(width, dilation_x * (wide - 1) + 1, stride_x, a["left"] + a["right"])
    x = (x - a["zero_point"]).reshape(batch, groups, own, height, width)
    weight = weight.reshape(groups, filters // groups, own, tall, wide)
    y = np.zeros((batch, groups, filters // groups, rows, columns), np.int64)
    for u in range(tall):
        for v in range(wide):
            p, p_inside = places(rows, u * dilation_y - a["top"], stride_y, height)
            r, r_inside = places(columns, v * dilation_x - a["left"], stride_x, width)
            read = np.where(p_inside[:, None] & r_inside, x[..., p[:, None], r], 0)
            y = y + np.einsum("bgipr,goi->bgopr", read, weight[..., u, v])
    return y.reshape(batch, filters, rows, columns) + bias[:, None, None]


def highest(x, window, stride, before, after):
    """The maximum of each window along the last axis."""
    starts = stride * np.arange(windows(x.shape[-1], window, stride, before + after)) - before
    return np.stack([x[..., max(start, 0) : start + window].max(-1) for start in starts], -1)


def max_pool(x, a):
    a = {"stride_y": 1, "stride_x": 1, "top": 0, "bottom": 0, "left": 0, "right": 0, **a}
    across = highest(x, a["width"], a["stride_x"], a["left"], a["right"])
    down = highest(np.swapaxes(across, -1, -2), a["height"], a["stride_y"], a["top"], a["bottom"])
    return np.swapaxes(down, -1, -2)


def elementwise(a, b, attrs):
    y = {"add": lambda: a + b, "subtract": lambda: a - b, "multiply": lambda: times(a, b)}[attrs["operation"]]()
    return wrap32(y) if attrs["overflow"] == "wrap" else y


# op -> its inputs in order, its outputs in order, a function of the inputs (int64) and the attributes
OPS = {
    "reshape": ("x", "y", reshape),
    "swap_axes": ("x", "y", lambda x, a: np.moveaxis(x, -3, -2)),
    "slice_rows": ("x", "y", slice_rows),
    "concat_rows": ("a b", "y", lambda a, b, attrs: np.concatenate([a, b], -2)),
    "conv2d": ("x weight bias", "y", conv2d),
    "max_pool": ("x", "y", max_pool),
    "sum_rows": ("x", "y", lambda x, a: x.sum(-2, keepdims=True)),
    "elementwise": ("a b", "y", elementwise),
}
