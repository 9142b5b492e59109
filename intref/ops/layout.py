"""Ops that only move elements."""

from intref.intmath import swap
from intref.ops.op import INTS, Attr, Op, Port

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

OPS = (SPLIT_HEADS, MERGE_HEADS, TRANSPOSE, SELECT_TOKEN)
