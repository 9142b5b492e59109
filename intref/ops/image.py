"""Ops of convolution and pooling, and the plain sums and products that stand between them in a graph."""

from typing import Any

import numpy as np

from intref.intmath import matmul as product
from intref.intmath import max_along, maximum, saturate, spread, sum_along, swap, where, wrap_int32
from intref.ops.op import INTS, Attr, Op, Port, Tensors

ANY = " ".join((*INTS, "uint8"))
NARROW = "int8 uint8 int16 int32"
MAX_CHANNELS, MAX_KERNEL, MAX_ROWS = 1 << 12, 1 << 4, 1 << 20


def conv2d(x, weight, bias, *, zero_point, stride_y, stride_x, dilation_y, dilation_x, top, bottom, left, right):
    """y[b, o, p, r] = sum of (x - zero_point) * weight over a window, + bias[o]: a convolution, grouped or not.

    Inputs      x int8, uint8 or int16 [B C Y X]; weight int8 [O I U V], C <= 2**12 and U, V <= 2**4: G = C / I groups
                of I channels and O / G filters each; bias int32 [O], at the scale of y.
    Attributes  zero_point in [-128, 255], default 0; stride_y, stride_x, dilation_y, dilation_x in [1, 2**12], default
                1; top, bottom, left, right in [0, 2**12], default 0: rows and columns around x that hold zero_point.
    Output      y int32 [B O P R], P = floor((top + Y + bottom - dilation_y * (U - 1) - 1) / stride_y) + 1, R as well.

    Exact       g = floor(o * G / O)
                y[b, o, p, r] = bias[o] + sum over i < I, u < U, v < V of weight[o, i, u, v] *
                (x[b, g*I + i, p * stride_y + u * dilation_y - top, r * stride_x + v * dilation_x - left] - zero_point)
                where a place outside of x counts 0
    Rounding    none.
    Saturates   nothing.
    Overflow    a y beyond int32 is refused (BoundError): a model is proved free of it, a call is checked.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes; C5 I divides C and G divides O;
                C6 the window fits: P and R are at least 1. BoundError: y.
    Source      ONNX Conv and ConvInteger.
    """
    batch, channels, tall, wide = x.shape
    filters, depth, height, width = weight.shape
    groups, share, length = channels // depth, filters * depth // channels, depth * height * width
    down = _windows(
        swap(x - zero_point, -1, -2), _places(tall, height, stride_y, dilation_y, top, bottom)
    )  # [B C X P U]
    taps = _windows(swap(down, -3, -1), _places(wide, width, stride_x, dilation_x, left, right))  # [B C U P R V]
    rows, columns = taps.shape[3], taps.shape[4]
    apart = taps.reshape((batch, groups, depth, height, rows, columns, width))
    windows = swap(swap(apart, 2, 4), 3, 5).reshape((batch, groups, rows * columns, length))
    kernels = weight.reshape((groups, share, length))
    sums = swap(product(windows, swap(kernels, -1, -2)), -1, -2)  # [B G O/G P*R]
    return {"y": sums.reshape((batch, filters, rows, columns)) + spread(bias, 1, 4)}


def _places(span, length, stride, dilation, before, after):
    """Where the elements [P K] of windows of length K lie along an axis: some of them outside of it."""
    count = maximum(before + span + after - dilation * (length - 1) - 1, 0) // stride + 1
    return np.arange(count)[:, None] * stride + np.arange(length) * dilation - before


def _windows(x, at):
    """The elements [... P K] of x [... S] at some places; 0 where they lie outside."""
    last = x.shape[-1] - 1
    return where((at >= 0) & (at <= last), x[..., saturate(at, 0, last)], 0)


def _groups_divide(tensors: Tensors, attrs: dict[str, Any]) -> bool:
    channels, depth = tensors["x"].shape[1], tensors["weight"].shape[1]
    return channels % depth == 0 and tensors["weight"].shape[0] * depth % channels == 0


def _kernel_fits(tensors: Tensors, attrs: dict[str, Any]) -> bool:
    height, width = tensors["x"].shape[2], tensors["x"].shape[3]
    down = attrs["dilation_y"] * (tensors["weight"].shape[2] - 1) + 1
    across = attrs["dilation_x"] * (tensors["weight"].shape[3] - 1) + 1
    return down <= attrs["top"] + height + attrs["bottom"] and across <= attrs["left"] + width + attrs["right"]


def _plain(low: int, high: int, usual: int) -> Attr:
    return Attr(low, high, default=lambda attrs: usual, structural=True)


_STEP, _EDGE = _plain(1, 1 << 12, 1), _plain(0, 1 << 12, 0)
CONV2D = Op(
    conv2d,
    inputs={
        "x": Port("int8 uint8 int16", "B C Y X"),
        "weight": Port("int8", "O I U V"),
        "bias": Port("int32", "O"),
    },
    attrs={
        "zero_point": Attr(-128, 255, default=lambda attrs: 0),
        **{name: _STEP for name in ("stride_y", "stride_x", "dilation_y", "dilation_x")},
        **{name: _EDGE for name in ("top", "bottom", "left", "right")},
    },
    outputs={"y": Port("int32", "B O P R")},
    limits={"C": MAX_CHANNELS, "I": MAX_CHANNELS, "U": MAX_KERNEL, "V": MAX_KERNEL},
    constraints={
        "C5": ("sizes must satisfy: I divides C, and C / I divides O", _groups_divide),
        "C6": ("the window must fit into x and what is around it", _kernel_fits),
    },
    reduces=("C", "Y", "X", "I", "U", "V"),
)


def max_pool(x, *, height, width, stride_y, stride_x, top, bottom, left, right):
    """y[..., p, r] = the largest element of a window of x.

    Inputs      x int8, uint8, int16, int32 or int64 [... Y X].
    Attributes  height, width in [1, 2**12]; stride_y, stride_x in [1, 2**12], default 1; top, bottom, left, right in
                [0, 2**12], default 0: rows and columns around x that are in no maximum.
    Output      y [... P R] of the dtype of x, P = floor((top + Y + bottom - height) / stride_y) + 1, R as well.

    Exact       y[..., p, r] = max of x[..., p * stride_y + u - top, r * stride_x + v - left] over u < height and
                v < width, of the places that are in x
    Rounding    none.
    Saturates   nothing. By C6 a window that reaches outside of x holds the nearest place inside as well.
    Overflow    none.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes;
                C5 the window fits: P and R are at least 1; C6 top and bottom < height, left and right < width.
    Source      ONNX MaxPool.
    """
    tall, wide = x.shape[-2], x.shape[-1]
    rows = saturate(_places(tall, height, stride_y, 1, top, bottom), 0, tall - 1)
    columns = saturate(_places(wide, width, stride_x, 1, left, right), 0, wide - 1)
    down = max_along(swap(x, -1, -2)[..., rows], -1)[..., 0]  # [... X P]
    return {"y": max_along(swap(down, -1, -2)[..., columns], -1)[..., 0]}


def _pool_fits(tensors: Tensors, attrs: dict[str, Any]) -> bool:
    height, width = tensors["x"].shape[-2], tensors["x"].shape[-1]
    down, across = attrs["top"] + height + attrs["bottom"], attrs["left"] + width + attrs["right"]
    return attrs["height"] <= down and attrs["width"] <= across


def _pads_are_short(tensors: Tensors, attrs: dict[str, Any]) -> bool:
    down = attrs["top"] < attrs["height"] and attrs["bottom"] < attrs["height"]
    return down and attrs["left"] < attrs["width"] and attrs["right"] < attrs["width"]


_WINDOW = Attr(1, 1 << 12, structural=True)
MAX_POOL = Op(
    max_pool,
    inputs={"x": Port(ANY, "... Y X")},
    attrs={
        "height": _WINDOW,
        "width": _WINDOW,
        **{name: _STEP for name in ("stride_y", "stride_x")},
        **{name: _EDGE for name in ("top", "bottom", "left", "right")},
    },
    outputs={"y": Port("=x", "... P R")},
    constraints={
        "C5": ("the window must fit into x and what is around it", _pool_fits),
        "C6": ("what is around x must be less than the window is long", _pads_are_short),
    },
    reduces=("Y", "X"),
)


def sum_rows(x):
    """y[..., 0, d] = sum_t x[..., t, d].

    Inputs      x int8, uint8, int16 or int32 [... T D], T <= 2**20.
    Attributes  none.
    Output      y int32 [... 1 D].

    Exact       y[..., 0, d] = sum_t x[..., t, d]
    Rounding    none.
    Saturates   nothing.
    Overflow    a y beyond int32 is refused (BoundError): a model is proved free of it, a call is checked. The sum stays
                within 2**51.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes. BoundError: y.
    Source      ONNX ReduceSum along one axis.
    """
    return {"y": sum_along(x, -2)}


SUM_ROWS = Op(
    sum_rows,
    inputs={"x": Port(NARROW, "... T D")},
    attrs={},
    outputs={"y": Port("int32", "... 1 D")},
    limits={"T": MAX_ROWS},
    reduces=("T",),
)


def elementwise(a, b, *, operation, overflow):
    """y = a + b, a - b or a * b, element by element.

    Inputs      a, b int8, uint8, int16 or int32 [...], of one shape.
    Attributes  operation: add, subtract, multiply. overflow: refuse, wrap.
    Output      y int32 [...].

    Exact       y = a + b, a - b or a * b; wrap: the int32 with its low 32 bits
    Rounding    none.
    Saturates   nothing.
    Overflow    refuse: a y beyond int32 is refused (BoundError): a model is proved free of it, a call is checked.
                wrap: none.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes. BoundError: y.
    Source      ONNX Add, Sub and Mul of int32.
    """
    if operation == "add":
        y = a + b
    elif operation == "subtract":
        y = a - b
    else:
        y = a * b
    return {"y": wrap_int32(y) if overflow == "wrap" else y}


ELEMENTWISE = Op(
    elementwise,
    inputs={"a": Port(NARROW, "..."), "b": Port(NARROW, "...")},
    attrs={
        "operation": Attr(choices=("add", "subtract", "multiply")),
        "overflow": Attr(choices=("refuse", "wrap")),
    },
    outputs={"y": Port("int32", "...")},
)

OPS: tuple[Op, ...] = (CONV2D, MAX_POOL, SUM_ROWS, ELEMENTWISE)
