"""From token ids and a mask to rows of tables, and back to one row per sequence."""

from intref.intmath import (
    absolute,
    div_half_up,
    max_along,
    maximum,
    running_max,
    running_sum,
    sum_along,
    take,
    where,
    within,
)
from intref.ops.op import Attr, Op, Port


def embedding(ids, table):
    """y[..., d] = table[ids[...], d].

    Inputs      ids int32 [...], 0 <= ids < V; table int8, int16, int32 or int64 [V D].
    Attributes  none.
    Output      y [... D] of the dtype of table.

    Exact       y[..., d] = table[ids[...], d]
    Rounding    none.
    Saturates   nothing.
    Overflow    none.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes; C5 ids < V.
    Source      ours.
    """
    return {"y": take(table, within(ids, 0, table.shape[0] - 1))}


EMBEDDING = Op(
    embedding,
    inputs={"ids": Port("int32", "...", 0), "table": Port("int8 int16 int32 int64", "V D")},
    attrs={},
    outputs={"y": Port("=table", "... D")},
    constraints={"C5": ("input 'ids' must be below V", lambda t, a: t["ids"].max() < t["table"].shape[0])},
)


def positions(mask, *, form, start):
    """The position of every token, counted from the first that is attended.

    Inputs      mask int8 [... T], 0 or 1, T <= 2**20.
    Attributes  form: offset (every token after the first attended one counts) or count (only attended ones do).
                start in [0, 2**20]: the position of the first attended token.
    Output      positions int32 [... T].

    Exact       counts[t] = mask[t] for count, max of mask[0..t] for offset
                offset: positions[t] = max(sum of counts[0..t] - 1, 0) + start
                count:  positions[t] = (sum of counts[0..t] - 1 where mask[t] is 1, -1 where it is 0) + start
    Rounding    none.
    Saturates   offset: at start, before the first attended token.
    Overflow    none: at most 2**21.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes;
                C5 count: start >= 1.
    Source      ours. For padding on the right, offset is BERT's arange and count is RoBERTa's (start = pad id + 1);
                both give a token the same position wherever the padding is.
    """
    if form == "offset":
        return {"positions": maximum(running_sum(running_max(mask, -1), -1) - 1, 0) + start}
    return {"positions": where(mask, running_sum(mask, -1) - 1, -1) + start}


POSITIONS = Op(
    positions,
    inputs={"mask": Port("int8", "... T", 0, 1)},
    attrs={"form": Attr(choices=("offset", "count")), "start": Attr(0, 1 << 20)},
    outputs={"positions": Port("int32", "... T")},
    limits={"T": 1 << 20},
    constraints={"C5": ("form count must have start >= 1", lambda t, a: a["form"] != "count" or a["start"] >= 1)},
    reduces=("T",),
)


def mean_pool(x, mask):
    """y[..., d] = half_up(mean of x[..., t, d] over the tokens t with mask 1).

    Inputs      x int8, int16 or int32 [... T D]; mask int8 [... T], 0 or 1, T <= 2**20.
    Attributes  none.
    Output      y [... D] of the dtype of x.

    Exact       n = max(sum_t mask[t], 1); y[d] = floor(sum_t mask[t] * x[t, d] / n + 1/2)
    Rounding    to nearest, ties toward +infinity; without an attended token y is 0.
    Saturates   nothing: a mean lies between its terms.
    Overflow    none: 2 * sum + n <= 2**53.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes.
    Source      ours; the mean pooling of Sentence-BERT (Reimers and Gurevych 2019).
    """
    seen = mask[..., None]
    total = sum_along(where(seen, x, 0), -2)
    peak = max_along(absolute(x), -2)
    mean = within(div_half_up(total, maximum(sum_along(seen, -2), 1)), -peak, peak)
    return {"y": mean[..., 0, :]}


MEAN_POOL = Op(
    mean_pool,
    inputs={"x": Port("int8 int16 int32", "... T D"), "mask": Port("int8", "... T", 0, 1)},
    attrs={},
    outputs={"y": Port("=x", "... D")},
    limits={"T": 1 << 20},
    reduces=("T",),
)

OPS = (EMBEDDING, POSITIONS, MEAN_POOL)
