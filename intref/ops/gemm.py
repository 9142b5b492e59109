"""Integer matrix products with an int32 accumulator."""

from typing import Any

import numpy as np

from intref.intmath import matmul as product
from intref.intmath import swap
from intref.ops.op import Attr, Op, Port, Tensors

MAX_K = 1 << 20


def linear(x, weight, bias):
    """y[..., n] = sum_k x[..., k] * weight[n, k] + bias[n].

    Inputs      x int8, uint8 or int16 [... K], 1 <= K <= 2**20; weight int8 [N K]; bias int32 [N], at the scale of y.
    Attributes  none.
    Output      y int32 [... N].

    Exact       y[..., n] = sum_k x[..., k] * weight[n, k] + bias[n]
    Rounding    none.
    Saturates   nothing.
    Overflow    a y beyond int32 is refused (BoundError): a model is proved free of it, a call is checked.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes. BoundError: y.
    Source      ours; ONNX MatMulInteger with zero points 0 and a bias.
    """
    return {"y": product(x, swap(weight, -1, -2)) + bias}


LINEAR = Op(
    linear,
    inputs={"x": Port("int8 uint8 int16", "... K"), "weight": Port("int8", "N K"), "bias": Port("int32", "N")},
    attrs={},
    outputs={"y": Port("int32", "... N")},
    limits={"K": MAX_K},
    reduces=("K",),
)


def matmul(a, b):
    """y[..., m, n] = sum_k a[..., m, k] * b[..., k, n].

    Inputs      a int8, uint8 or int16 [... M K], 1 <= K <= 2**20; b int8 [... K N].
    Attributes  none.
    Output      y int32 [... M N].

    Exact       y[..., m, n] = sum_k a[..., m, k] * b[..., k, n]
    Rounding    none.
    Saturates   nothing.
    Overflow    a y beyond int32 is refused (BoundError): a model is proved free of it, a call is checked.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes. BoundError: y.
    Source      ours; ONNX MatMulInteger with zero points 0.
    """
    return {"y": product(a, b)}


MATMUL = Op(
    matmul,
    inputs={"a": Port("int8 uint8 int16", "... M K"), "b": Port("int8", "... K N")},
    attrs={},
    outputs={"y": Port("int32", "... M N")},
    limits={"K": MAX_K},
    reduces=("K",),
)


def linear_int4(x, weight, scale, bias, *, group_size):
    """y[..., n] = sum_g scale[n, g] * (sum over k of group g of x[..., k] * w[n, k]) + bias[n], w of 4 bits.

    Inputs      x int8 [... K], 1 <= K <= 2**20; weight uint8 [N P], P = ceil(K / 2): two w in each byte; scale int16
                [N G], G = ceil(K / group_size), of either sign; bias int32 [N], at the scale of y.
    Attributes  group_size in [2, 2**20], even: group g holds k from g * group_size up to the next group's first; the
                last group holds what is left.
    Output      y int32 [... N].

    Exact       w[n, k] = the nibble of weight[n, floor(k / 2)], the low one (bits 0..3) for even k, the high one
                (bits 4..7) for odd k, as two's complement: 0..7 as they are, 8..15 are -8..-1
                y[..., n] = sum_k x[..., k] * w[n, k] * scale[n, floor(k / group_size)] + bias[n]
    Rounding    none, so neither the order of the sums nor where the scale is multiplied in sets a bit.
    Saturates   nothing.
    Overflow    a y beyond int32 is refused (BoundError): a model is proved free of it, a call is checked. The sum of a
                group stays within 2**30, the whole sum within 2**45.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes; C5 group_size is even; C6 P and G are
                those of K; C7 K odd: the high nibble of every row's last byte is 0. BoundError: y.
    Source      ours; group-wise int4 weights as in GPTQ (Frantar et al. 2022), the group's scale an integer.
    """
    k = np.arange(x.shape[-1])
    w = ((weight[:, k // 2] >> k % 2 * 4) + 8 & 15) - 8
    return {"y": product(x, swap(w * scale[:, k // group_size], -1, -2)) + bias}


def _sizes_follow(tensors: Tensors, attrs: dict[str, Any]) -> bool:
    k = tensors["x"].shape[-1]
    groups = -(-k // attrs["group_size"])
    return (tensors["weight"].shape[-1], tensors["scale"].shape[-1]) == (-(-k // 2), groups)


def _padding_is_zero(tensors: Tensors, attrs: dict[str, Any]) -> bool:
    return tensors["x"].shape[-1] % 2 == 0 or bool(tensors["weight"][:, -1].max() < 16)


LINEAR_INT4 = Op(
    linear_int4,
    inputs={
        "x": Port("int8", "... K"),
        "weight": Port("uint8", "N P"),
        "scale": Port("int16", "N G"),
        "bias": Port("int32", "N"),
    },
    attrs={"group_size": Attr(2, MAX_K, structural=True)},
    outputs={"y": Port("int32", "... N")},
    limits={"K": MAX_K, "P": MAX_K // 2, "G": MAX_K // 2},
    constraints={
        "C5": ("attribute 'group_size' must be even", lambda t, a: a["group_size"] % 2 == 0),
        "C6": ("sizes must be P = ceil(K / 2) and G = ceil(K / group_size)", _sizes_follow),
        "C7": (
            "input 'weight' must have 0 in the high nibble of the last byte of a row, where K is odd",
            _padding_is_zero,
        ),
    },
    reduces=("K", "P", "G"),
)

OPS = (LINEAR, MATMUL, LINEAR_INT4)
