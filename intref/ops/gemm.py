"""Integer matrix products: how wide an accumulator is, and what it does beyond that, are attributes."""

from typing import Any

import numpy as np

from intref.intmath import accumulate, minimum, swap, wrap
from intref.intmath import matmul as product
from intref.ops.op import Attr, Holds, Op, Port, Tensors, dtype_range

MAX_K = 1 << 20


def linear(x, weight, bias, *, x_zero_point, weight_zero_point, accumulator, overflow, every, output):
    """y[..., n] = sum_k (x[..., k] - x_zero_point) * (weight[n, k] - weight_zero_point) + bias[n].

    Inputs      x int8, uint8 or int16 [... K], 1 <= K <= 2**20; weight int8 [N K]; bias int32 [N], at the scale of y.
    Attributes  x_zero_point, weight_zero_point in [-2**15, 2**15 - 1], default 0. accumulator: its bits, in [8, 64],
                default 32. overflow: refuse (default), wrap or saturate. every: how many terms are added between two
                saturations, in [0, 2**20], default 0: all of them. output: int32 or int64, default int32 for an
                accumulator of up to 32 bits, int64 for a wider one.
    Output      y [... N] of dtype output.

    Exact       t[k] = (x[..., k] - x_zero_point) * (weight[n, k] - weight_zero_point)
                refuse: y = sum_k t[k] + bias[n]
                wrap: y = sum_k t[k] + bias[n] modulo 2**accumulator, in [-2**(accumulator - 1), 2**(accumulator - 1))
                saturate: y = bias[n], then for each block of `every` terms in the order of k (the last block holds
                what is left) y = clamp(y + sum of t[k] over the block, to accumulator bits)
    Rounding    none.
    Saturates   the accumulator, where overflow is saturate.
    Overflow    refuse: a y beyond accumulator bits is refused (BoundError): a model is proved free of it, a call is
                checked. No sum needs more than 54 bits.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes; C5 accumulator is at most as wide as
                output; C6 every = 0 unless overflow is saturate; C7 bias fits accumulator. BoundError: y.
    Source      ours; ONNX MatMulInteger with a bias, TOSA 1.0 MATMUL, TFLite FULLY_CONNECTED.
    """
    right = swap(weight - weight_zero_point, -1, -2)
    return {"y": _accumulated(x - x_zero_point, right, bias, accumulator, overflow, every)}


def _accumulated(a, b, start, accumulator, overflow, every):
    bits = minimum(accumulator, 60)  # more than any sum needs
    if overflow == "saturate":
        return accumulate(a, b, start, -(1 << bits - 1), (1 << bits - 1) - 1, every)
    y = start + product(a, b)
    return wrap(y, bits) if overflow == "wrap" else y


def _fits_output(tensors: Tensors, attrs: dict[str, Any]) -> bool:
    return attrs["accumulator"] <= 32 or attrs["output"] == "int64"


def _blocks_saturate(tensors: Tensors, attrs: dict[str, Any]) -> bool:
    return attrs["every"] == 0 or attrs["overflow"] == "saturate"


def _holds_bias(tensors: Tensors, attrs: dict[str, Any]) -> bool:
    end, bias = 1 << attrs["accumulator"] - 1, tensors["bias"]
    return bool(-end <= bias.min() and bias.max() < end)


_ZERO_POINT = Attr(*dtype_range("int16"), default=lambda attrs: 0)
_REGISTER = {
    "accumulator": Attr(8, 64, default=lambda attrs: 32),
    "overflow": Attr(choices=("saturate", "wrap", "refuse"), default=lambda attrs: "refuse"),
    "every": Attr(0, MAX_K, default=lambda attrs: 0, structural=True),
    "output": Attr(choices=("int64", "int32"), default=lambda a: "int32" if a["accumulator"] <= 32 else "int64"),
}
_REGISTER_FITS: dict[str, tuple[str, Holds]] = {
    "C5": ("attribute 'accumulator' must be at most as wide as output", _fits_output),
    "C6": ("attribute 'every' must be 0 unless overflow is saturate", _blocks_saturate),
}

LINEAR = Op(
    linear,
    inputs={"x": Port("int8 uint8 int16", "... K"), "weight": Port("int8", "N K"), "bias": Port("int32", "N")},
    attrs={"x_zero_point": _ZERO_POINT, "weight_zero_point": _ZERO_POINT, **_REGISTER},
    outputs={"y": Port("output", "... N", bits="accumulator")},
    limits={"K": MAX_K},
    constraints={**_REGISTER_FITS, "C7": ("input 'bias' must fit accumulator", _holds_bias)},
    reduces=("K",),
)


def matmul(a, b, *, a_zero_point, b_zero_point, accumulator, overflow, every, output):
    """y[..., m, n] = sum_k (a[..., m, k] - a_zero_point) * (b[..., k, n] - b_zero_point).

    Inputs      a int8, uint8 or int16 [... M K], 1 <= K <= 2**20; b int8 or int16 [... K N].
    Attributes  a_zero_point, b_zero_point in [-2**15, 2**15 - 1], default 0. accumulator: its bits, in [8, 64], default
                32. overflow: refuse (default), wrap or saturate. every: how many terms are added between two
                saturations, in [0, 2**20], default 0: all of them. output: int32 or int64, default int32 for an
                accumulator of up to 32 bits, int64 for a wider one.
    Output      y [... M N] of dtype output.

    Exact       t[k] = (a[..., m, k] - a_zero_point) * (b[..., k, n] - b_zero_point)
                refuse: y = sum_k t[k]
                wrap: y = sum_k t[k] modulo 2**accumulator, in [-2**(accumulator - 1), 2**(accumulator - 1))
                saturate: y = 0, then for each block of `every` terms in the order of k (the last block holds what is
                left) y = clamp(y + sum of t[k] over the block, to accumulator bits)
    Rounding    none.
    Saturates   the accumulator, where overflow is saturate.
    Overflow    refuse: a y beyond accumulator bits is refused (BoundError): a model is proved free of it, a call is
                checked. No sum needs more than 54 bits.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes; C5 accumulator is at most as wide as
                output; C6 every = 0 unless overflow is saturate. BoundError: y.
    Source      ours; ONNX MatMulInteger, TOSA 1.0 MATMUL (int16 with an accumulator of 48 bits).
    """
    return {"y": _accumulated(a - a_zero_point, b - b_zero_point, 0, accumulator, overflow, every)}


MATMUL = Op(
    matmul,
    inputs={"a": Port("int8 uint8 int16", "... M K"), "b": Port("int8 int16", "... K N")},
    attrs={"a_zero_point": _ZERO_POINT, "b_zero_point": _ZERO_POINT, **_REGISTER},
    outputs={"y": Port("output", "... M N", bits="accumulator")},
    limits={"K": MAX_K},
    constraints=_REGISTER_FITS,
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
