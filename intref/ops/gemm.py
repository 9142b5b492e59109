"""Integer matrix products with an int32 accumulator."""

from intref.intmath import matmul as product
from intref.intmath import swap
from intref.ops.op import Op, Port

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
