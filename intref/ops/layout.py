"""Ops that only move elements."""

from math import prod
from typing import Any

import numpy as np

from intref.intmath import maximum, minimum, swap, where
from intref.ops.op import INTS, Attr, Op, Port, Tensors

ANY = " ".join((*INTS, "uint8"))


def split_heads(x, *, heads):
    """y[..., h, t, d] = x[..., t, h * D + d].

    Inputs      x int8, uint8, int16, int32 or int64 [... T C].
    Attributes  heads in [1, 4096].
    Output      y [... H T D] of the dtype of x, H = heads, D = C / heads.

    Exact       y[..., h, t, d] = x[..., t, h * D + d]
    Rounding    none.
    Saturates   nothing.
    Overflow    none.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes; C5 heads divides C.
    Source      Vaswani et al. 2017, section 3.2.2.
    """
    return {"y": swap(x.reshape((*x.shape[:-1], heads, x.shape[-1] // heads)), -2, -3)}


SPLIT_HEADS = Op(
    split_heads,
    inputs={"x": Port(ANY, "... T C")},
    attrs={"heads": Attr(1, 4096, structural=True)},
    outputs={"y": Port("=x", "... H T D")},
    constraints={"C5": ("attribute 'heads' must divide C", lambda t, a: t["x"].shape[-1] % a["heads"] == 0)},
)


def merge_heads(x):
    """y[..., t, h * D + d] = x[..., h, t, d].

    Inputs      x int8, uint8, int16, int32 or int64 [... H T D].
    Attributes  none.
    Output      y [... T C] of the dtype of x, C = H * D.

    Exact       y[..., t, h * D + d] = x[..., h, t, d]
    Rounding    none.
    Saturates   nothing.
    Overflow    none.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes.
    Source      Vaswani et al. 2017, section 3.2.2.
    """
    *lead, heads, rows, width = x.shape
    return {"y": swap(x, -2, -3).reshape((*lead, rows, heads * width))}


MERGE_HEADS = Op(merge_heads, inputs={"x": Port(ANY, "... H T D")}, attrs={}, outputs={"y": Port("=x", "... T C")})


def transpose(x):
    """y[..., n, m] = x[..., m, n].

    Inputs      x int8, uint8, int16, int32 or int64 [... M N].
    Attributes  none.
    Output      y [... N M] of the dtype of x.

    Exact       y[..., n, m] = x[..., m, n]
    Rounding    none.
    Saturates   nothing.
    Overflow    none.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes.
    Source      ours.
    """
    return {"y": swap(x, -1, -2)}


TRANSPOSE = Op(transpose, inputs={"x": Port(ANY, "... M N")}, attrs={}, outputs={"y": Port("=x", "... N M")})


def select_token(x, *, index):
    """y[..., d] = x[..., index, d].

    Inputs      x int8, uint8, int16, int32 or int64 [... T D].
    Attributes  index in [0, 2**20].
    Output      y [... D] of the dtype of x.

    Exact       y[..., d] = x[..., index, d]
    Rounding    none.
    Saturates   nothing.
    Overflow    none.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes; C5 index < T.
    Source      the pooler of BERT (Devlin et al. 2018) takes token 0, attended or not: pad on the right before it.
    """
    return {"y": x[..., index, :]}


SELECT_TOKEN = Op(
    select_token,
    inputs={"x": Port(ANY, "... T D")},
    attrs={"index": Attr(0, 1 << 20, structural=True)},
    outputs={"y": Port("=x", "... D")},
    constraints={"C5": ("attribute 'index' must be below T", lambda t, a: a["index"] < t["x"].shape[-2])},
)

MAX_RANK, MAX_SIZE = 6, 1 << 24


def reshape(x, *, rank, d0, d1, d2, d3, d4, d5):
    """y has the elements of x, in their order (the last axis runs fastest), and axes of other sizes.

    Inputs      x int8, uint8, int16, int32 or int64 [...].
    Attributes  rank: a choice, named 1, 2, 3, 4, 5 or 6: the number of axes of y. d0 in [1, 2**24] and d1 .. d5 in
                [1, 2**24], default 1: their sizes, of which the first `rank` are used.
    Output      y [d0], [d0 d1] .. or [d0 d1 d2 d3 d4 d5], by rank, of the dtype of x.

    Exact       y[i] = x[j] wherever i and j are the same element, counted in C order
    Rounding    none.
    Saturates   nothing.
    Overflow    none.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes;
                C5 d0 * d1 * d2 * d3 * d4 * d5 is the number of elements of x; C6 d<i> is 1 for every i >= rank.
    Source      ONNX Reshape, all sizes known.
    """
    if rank == "1":
        return {"y": x.reshape((d0,))}
    if rank == "2":
        return {"y": x.reshape((d0, d1))}
    if rank == "3":
        return {"y": x.reshape((d0, d1, d2))}
    if rank == "4":
        return {"y": x.reshape((d0, d1, d2, d3))}
    if rank == "5":
        return {"y": x.reshape((d0, d1, d2, d3, d4))}
    return {"y": x.reshape((d0, d1, d2, d3, d4, d5))}


RANKS = ("1", "2", "3", "4", "5", "6")
LONGER = tuple((f"d{i}", RANKS[i:]) for i in range(1, MAX_RANK))  # a size -> the ranks that have it


def _same_count(tensors: Tensors, attrs: dict[str, Any]) -> bool:
    return prod(tensors["x"].shape) == attrs["d0"] * attrs["d1"] * attrs["d2"] * attrs["d3"] * attrs["d4"] * attrs["d5"]


def _rest_is_one(tensors: Tensors, attrs: dict[str, Any]) -> bool:
    return all(attrs["rank"] in longer or attrs[name] == 1 for name, longer in LONGER)


_SIZE = Attr(1, MAX_SIZE, structural=True)
_SIZE_OR_ONE = Attr(1, MAX_SIZE, default=lambda attrs: 1, structural=True)
RESHAPE = Op(
    reshape,
    inputs={"x": Port(ANY, "...")},
    attrs={
        "rank": Attr(choices=RANKS),
        "d0": _SIZE,
        **{f"d{i}": _SIZE_OR_ONE for i in range(1, MAX_RANK)},
    },
    outputs={"y": Port("=x", "I | I J | I J K | I J K L | I J K L P | I J K L P R")},
    constraints={
        "C5": ("sizes d0 .. d5 must have the product of those of x", _same_count),
        "C6": ("sizes from d<rank> on must be 1", _rest_is_one),
    },
)


def swap_axes(x):
    """y[..., n, m, d] = x[..., m, n, d].

    Inputs      x int8, uint8, int16, int32 or int64 [... M N D].
    Attributes  none.
    Output      y [... N M D] of the dtype of x.

    Exact       y[..., n, m, d] = x[..., m, n, d]
    Rounding    none.
    Saturates   nothing.
    Overflow    none.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes.
    Source      ours: with transpose and reshape it makes every permutation of axes.
    """
    return {"y": swap(x, -2, -3)}


SWAP_AXES = Op(swap_axes, inputs={"x": Port(ANY, "... M N D")}, attrs={}, outputs={"y": Port("=x", "... N M D")})


def slice_rows(x, *, start, step, count):
    """y[..., i, d] = x[..., start + step * i, d], i < count.

    Inputs      x int8, uint8, int16, int32 or int64 [... T D].
    Attributes  start, step in [0, 2**24]; count in [1, 2**24]. A step of 0 repeats one row.
    Output      y [... S D] of the dtype of x, S = count.

    Exact       y[..., i, d] = x[..., start + step * i, d]
    Rounding    none.
    Saturates   nothing.
    Overflow    none.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes;
                C5 start + step * (count - 1) < T.
    Source      ONNX Slice along one axis, forwards; with step 0 ONNX Expand.
    """
    return {"y": x[..., start + step * np.arange(count), :]}


SLICE_ROWS = Op(
    slice_rows,
    inputs={"x": Port(ANY, "... T D")},
    attrs={
        "start": Attr(0, MAX_SIZE, structural=True),
        "step": Attr(0, MAX_SIZE, structural=True),
        "count": Attr(1, MAX_SIZE, structural=True),
    },
    outputs={"y": Port("=x", "... S D")},
    constraints={
        "C5": (
            "attributes must satisfy start + step * (count - 1) < T",
            lambda t, a: a["start"] + a["step"] * (a["count"] - 1) < t["x"].shape[-2],
        )
    },
)


def concat_rows(a, b):
    """y is a and then b, along the last axis but one.

    Inputs      a, b int8, uint8, int16, int32 or int64 [... T D] and [... U D], of one dtype.
    Attributes  none.
    Output      y [... S D] of the dtype of a, S = T + U.

    Exact       y[..., i, d] = a[..., i, d] for i < T, b[..., i - T, d] for i >= T
    Rounding    none.
    Saturates   nothing.
    Overflow    none.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes; C5 a and b have one dtype.
    Source      ONNX Concat of two tensors.
    """
    split = a.shape[-2]
    i = np.arange(split + b.shape[-2])
    before, after = a[..., minimum(i, split - 1), :], b[..., maximum(i - split, 0), :]
    return {"y": where((i < split)[:, None], before, after)}


CONCAT_ROWS = Op(
    concat_rows,
    inputs={"a": Port(ANY, "... T D"), "b": Port(ANY, "... U D")},
    attrs={},
    outputs={"y": Port("=a", "... S D")},
    constraints={"C5": ("inputs 'a' and 'b' must have one dtype", lambda t, a: t["a"].dtype == t["b"].dtype)},
)

OPS = (SPLIT_HEADS, MERGE_HEADS, TRANSPOSE, SELECT_TOKEN, RESHAPE, SWAP_AXES, SLICE_ROWS, CONCAT_ROWS)
