"""Ops of FQ-ViT: probabilities that are powers of two, and the product with V that needs shifts only."""

from intref.intmath import bitlen, divide, matmul, max_along, maximum, saturate, sum_along, where, within
from intref.ops.op import Attr, Op, Port

MAX_KEYS = 1 << 15
NONE = 16  # the exponent of a probability that is 0


def softmax_log2_fqvit(x, mask, *, ln2, b, c):
    """k[j] = -log2 of exp(S * x[j]) / sum_j exp(S * x[j]) over keys j with mask 1, to 4 bits: Log-Int-Softmax.

    Inputs      x int8, int16 or int32 [B H Q K], K <= 2**15, scale S; mask int8 [B K] or [B Q K]: 1 attend, 0 not.
    Attributes  ln2 in [1, 2**16 - 1]: -x0 = -floor(-0.6931 / S). b in [1, 2**25], c in [1, 2**32 - 1]: the polynomial.
    Output      k int8 [B H Q K], in [0, 16]: the probability is 2**-k, and 0 where k is 16.

    Exact       d = max(x - max_j x, -30 * ln2), the max over keys with mask 1
                q = floor(-d / ln2); r = d + q * ln2
                e = ((r + b) * r + c) * 2**(30 - q)
                n = min(half_even(sum_j e / e), 2**16), the sum over keys with mask 1
                k = floor(log2 n) + (1 where 2 * n >= 3 * 2**floor(log2 n), else 0); 16 where mask is 0
    Rounding    n half_even; n to the nearest power of two, half way up; q down.
    Saturates   n to 2**16, so that k is 16 and the probability 0.
    Overflow    e <= c * 2**30, by C5 and -ln2 < r <= 0; sum e <= 2**62 by C6.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes;
                C5 b >= ln2 and c >= b * ln2, so that 0 < (r + b) * r + c <= c;
                C6 K * c <= 2**32.
    Source      FQ-ViT (Lin et al. 2022), section 3.3, as the authors' code computes it: megvii-research/FQ-ViT,
                models/ptq/layers.py (QIntSoftmax). Masks are ours.
    """
    attend = mask[:, None, None] if len(mask.shape) == 2 else mask[:, None]
    seen = where(attend, x, -(1 << 31))
    d = maximum(within(seen - max_along(seen, -1), -(1 << 32), 0), -30 * ln2)
    q = within(-d // ln2, 0, 30)
    r = within(d + q * ln2, 1 - ln2, 0)
    e = within((r + b) * r + c, 1, c) << 30 - q
    total = within(sum_along(where(attend, e, 0), -1), 0, 1 << 62)
    n = saturate(divide(total, e, "half_even"), 1, 1 << NONE)
    floor = bitlen(n) - 1
    return {"k": where(attend, within(floor + (2 * n >= 3 << floor), 0, NONE), NONE)}


SOFTMAX_LOG2_FQVIT = Op(
    softmax_log2_fqvit,
    inputs={"x": Port("int8 int16 int32", "B H Q K"), "mask": Port("int8", "B K | B Q K", 0, 1)},
    attrs={"ln2": Attr(1, (1 << 16) - 1), "b": Attr(1, 1 << 25), "c": Attr(1, (1 << 32) - 1)},
    outputs={"k": Port("int8", "B H Q K")},
    limits={"K": MAX_KEYS},
    constraints={
        "C5": (
            "attributes must satisfy b >= ln2 and c >= b * ln2",
            lambda tensors, attrs: attrs["b"] >= attrs["ln2"] and attrs["c"] >= attrs["b"] * attrs["ln2"],
        ),
        "C6": (
            "attributes must satisfy K * c <= 2**32",
            lambda tensors, attrs: tensors["x"].shape[-1] * attrs["c"] <= 1 << 32,
        ),
    },
    reduces=("K",),
)


def matmul_shift_fqvit(k, v):
    """y = sum_j 2**-k[j] * v[j], scale 2**-15: probabilities that are powers of two times V, by shifts.

    Inputs      k int8 [... Q K] in [0, 16], 16 for a probability of 0; v int8 [... K D]; K <= 2**15.
    Attributes  none.
    Output      y int64 [... Q D].

    Exact       y[q, d] = sum_j (v[j, d] * 2**(15 - k[q, j]) where k[q, j] < 16, else 0)
    Rounding    none.
    Saturates   nothing.
    Overflow    none: |y| <= 2**37.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes.
    Source      FQ-ViT (Lin et al. 2022), section 3.3, eq. 13, and megvii-research/FQ-ViT, models/vit_quant.py
                (Attention), which multiplies by 2**-k.
    """
    return {"y": matmul(where(k < NONE, 1 << maximum(NONE - 1 - k, 0), 0), v)}


MATMUL_SHIFT_FQVIT = Op(
    matmul_shift_fqvit,
    inputs={"k": Port("int8", "... Q K", 0, NONE), "v": Port("int8", "... K D")},
    attrs={},
    outputs={"y": Port("int64", "... Q D")},
    limits={"K": MAX_KEYS},
    reduces=("K",),
)

OPS: tuple[Op, ...] = (SOFTMAX_LOG2_FQVIT, MATMUL_SHIFT_FQVIT)
