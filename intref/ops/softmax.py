"""Softmax dialects over the last axis."""

from intref.intmath import max_along, maximum, minimum, mul_shift, shift_half_up, spread, sum_along, take, where, within
from intref.ops.op import Attr, Op, Port

MAX_KEYS = 1 << 15


def softmax_ibert(x, mask, *, ln2, b, c, multiplier, shift):
    """p[k] = exp(S * x[k]) / sum_k exp(S * x[k]) over keys k with mask 1, scale 2**-8, in integers.

    Inputs      x int32 [B H Q K], K <= 2**15, scale S; mask int8 [B K] or [B Q K]: 1 attend, 0 not.
    Attributes  ln2 in [1, 2**16]: -x0 = -floor(-0.6931 / S). b in [1, 2**25], c in [1, 2**32]: the polynomial.
                multiplier in [1, 2**31 - 1], shift in [0, 94]: 32767 / (c * 2**30).
    Output      p int16 [B H Q K], in [0, 256].

    Exact       d = max(x - max_k x, -30 * ln2), the max over keys with mask 1
                q = floor(-d / ln2); r = d + q * ln2
                e = ((r + b) * r + c) * 2**(30 - q)
                e16 = min(half_even(e * multiplier / 2**shift), 2**15 - 1), 0 where mask is 0
                f = floor(2**32 / max(sum_k e16, 1))
                p = floor(e16 * f / 2**24); a row without a key is all 0
    Rounding    e16 half_even; every other quotient down.
    Saturates   e16 to 2**15 - 1; it is never negative.
    Overflow    e <= c * 2**30 <= 2**62, by C5 and -ln2 < r <= 0; e16 * f <= 2**32, since e16 <= sum e16.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes;
                C5 b >= ln2 and c >= b * ln2, so that 0 <= (r + b) * r + c <= c;
                C6 c * 2**30 * multiplier / 2**shift <= 2**62.
    Source      I-BERT (Kim et al. 2021), algorithms 2 and 3, as the authors' code computes them.
    """
    attend = mask[:, None, None] if len(mask.shape) == 2 else mask[:, None]
    seen = where(attend, x, -(1 << 31))
    d = maximum(within(seen - max_along(seen, -1), -(1 << 32), 0), -30 * ln2)
    q = within(-d // ln2, 0, 30)
    r = within(d + q * ln2, 1 - ln2, 0)
    e = within((r + b) * r + c, 0, c) << 30 - q
    scaled = within(mul_shift(e, multiplier, shift, "half_even"), 0, 1 << 62)
    e16 = where(attend, minimum(scaled, (1 << 15) - 1), 0)
    f = (1 << 32) // maximum(sum_along(e16, -1), 1)
    return {"p": within(e16 * f, 0, 1 << 32) >> 24}


SOFTMAX_IBERT = Op(
    softmax_ibert,
    inputs={"x": Port("int32", "B H Q K"), "mask": Port("int8", "B K | B Q K", 0, 1)},
    attrs={
        "ln2": Attr(1, 1 << 16),
        "b": Attr(1, 1 << 25),
        "c": Attr(1, 1 << 32),
        "multiplier": Attr(1, (1 << 31) - 1),
        "shift": Attr(0, 94),
    },
    outputs={"p": Port("int16", "B H Q K")},
    limits={"K": MAX_KEYS},
    constraints={
        "C5": (
            "attributes must satisfy b >= ln2 and c >= b * ln2",
            lambda tensors, attrs: attrs["b"] >= attrs["ln2"] and attrs["c"] >= attrs["b"] * attrs["ln2"],
        ),
        "C6": (
            "attributes must satisfy c * 2**30 * multiplier / 2**shift <= 2**62",
            lambda tensors, attrs: attrs["c"] * attrs["multiplier"] << 30 <= 1 << 62 + attrs["shift"],
        ),
    },
    reduces=("K",),
)


def softmax_exp2(x, mask, multiplier, shift, table):
    """p[k] = round(255 * 2**(u[k] / 2**16) relative to the row's maximum), and their sum: softmax, not yet divided.

    Inputs      x int32 [B H Q K], |x| <= 2**30, K <= 2**15; mask int8 [B K] or [B Q K]: 1 attend, 0 not;
                multiplier int32 [H] >= 0 and shift int8 [H] in [0, 62]: log2(e) * scale of x * 2**16;
                table int32 [257] in [0, 2**30]: round(2**(30 - i / 256)).
    Attributes  none.
    Output      p uint8 [B H Q K]; total int32 [B H Q 1]: the probability is p / total.

    Exact       d = max_k x - x, the max over keys with mask 1
                u = floor(d * multiplier[h] / 2**shift[h]); n = min(floor(u / 2**16), 31)
                i = floor(u / 2**8) mod 2**8; r = u mod 2**8
                e = floor(floor((table[i] * (256 - r) + table[i + 1] * r) / 2**8) / 2**n), 0 where mask is 0
                p = floor((255 * e + 2**29) / 2**30); total = sum_k p; a row without a key is all 0
    Rounding    p to nearest, ties toward +infinity; every other quotient down.
    Saturates   n to 31.
    Overflow    none: d * multiplier <= 2**62, table * 256 <= 2**38 (Op.bounds computes them).
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes;
                C5 the table has 257 entries.
    Source      ours; 2**x by a table of 256 steps and linear interpolation.
    """
    ndim = len(x.shape)
    attend = mask[:, None, None] if len(mask.shape) == 2 else mask[:, None]
    seen = where(attend, x, -(1 << 30))
    d = within(max_along(seen, -1) - seen, 0, 1 << 31)
    u = d * spread(multiplier, 1, ndim) >> spread(shift, 1, ndim)
    i, r = u >> 8 & 255, u & 255
    mantissa = within(take(table, i) * (256 - r) + take(table, i + 1) * r >> 8, 0, 1 << 30)
    e = where(attend, mantissa >> minimum(u >> 16, 31), 0)
    p = shift_half_up(255 * e, 30)
    return {"p": p, "total": sum_along(p, -1)}


SOFTMAX_EXP2 = Op(
    softmax_exp2,
    inputs={
        "x": Port("int32", "B H Q K", -(1 << 30), 1 << 30),
        "mask": Port("int8", "B K | B Q K", 0, 1),
        "multiplier": Port("int32", "H", 0),
        "shift": Port("int8", "H", 0, 62),
        "table": Port("int32", "L", 0, 1 << 30),
    },
    attrs={},
    outputs={"p": Port("uint8", "B H Q K"), "total": Port("int32", "B H Q 1")},
    limits={"K": MAX_KEYS, "L": 257},
    constraints={"C5": ("input 'table' must have 257 entries", lambda t, a: len(t["table"]) == 257)},
    reduces=("K",),
)


def mask_add(x, mask, *, value):
    """y[k] = x[k] where mask is 1, max(x[k] + value, -2**31) where it is 0: scores for a softmax that knows no mask.

    Inputs      x int32 [B H Q K], K <= 2**15; mask int8 [B K] or [B Q K]: 1 attend, 0 not.
    Attributes  value in [-2**30, -1], at the scale of x.
    Output      y int32 [B H Q K].

    Exact       y = max(x + (0 where mask is 1, value where it is 0), -2**31)
    Rounding    none.
    Saturates   y to -2**31.
    Overflow    none: |x + value| <= 2**31 + 2**30.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes.
    Source      the additive mask of BERT's published graph (Devlin et al. 2018), in integers: a masked key keeps a
                probability where the other scores of its row are as low.
    """
    attend = mask[:, None, None] if len(mask.shape) == 2 else mask[:, None]
    return {"y": maximum(x + where(attend, 0, value), -(1 << 31))}


MASK_ADD = Op(
    mask_add,
    inputs={"x": Port("int32", "B H Q K"), "mask": Port("int8", "B K | B Q K", 0, 1)},
    attrs={"value": Attr(-(1 << 30), -1)},
    outputs={"y": Port("int32", "B H Q K")},
    limits={"K": MAX_KEYS},
)

OPS = (SOFTMAX_IBERT, SOFTMAX_EXP2, MASK_ADD)
