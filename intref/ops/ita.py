"""Ops of ITA, an integer transformer accelerator: a streaming softmax to the base 2, and GELU by a polynomial.

Its requantizer is `rescale` with half_up: an unsigned multiplier of 8 bits, an accumulator of 26, a shift up to 35, the
zero point added behind the rounding, then the clip. A shift of 0 drops nothing, so there is nothing to round.
"""

import numpy as np

from intref.intmath import absolute, max_along, maximum, minimum, running_max, square, sum_along, where, within
from intref.ops.op import Attr, Op, Port

MAX_KEYS = 2047  # 256 * K fills the 19 bits of the sum


def softmax_ita(x, mask, *, group):
    """p[k] = 2**x[k] / sum_k 2**x[k] over keys k with mask 1, scale 2**-8, keys coming in groups.

    Inputs      x int8 [B H Q K], K <= 2047, scale ln 2; mask int8 [B K] or [B Q K]: 1 attend, 0 not.
    Attributes  group in [1, 64], default 16: how many keys come at a time.
    Output      p uint8 [B H Q K].

    Exact       seen = x, -128 where mask is 0
                top[k] = the maximum of seen over keys 0 to the last one of k's group
                e = floor(256 / 2**(top - seen)), 0 where mask is 0
                total = floor(sum_k e[k] / 2**(max_k seen - top[k])): one floor, of the exact sum
                inverse = floor(65280 / max(total, 256))
                p = floor(inverse / 2**(max_k seen - seen)), 0 where mask is 0; a row without a key is all 0
                A device keeps a running total: each group shifts it right by as much as it raises the maximum, then
                adds its e. Floors of floors over powers of two are one floor, so it gets the same total.
    Rounding    every quotient down.
    Saturates   nothing; what is 9 and more below its group's top adds 0.
    Overflow    none: total <= 256 * K < 2**19, the width of the device's sum.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes.
    Source      ITA (Islamoglu et al. 2023), section IV; pulp-platform/ITA, src/ita_softmax.sv. The mask is ours: the
                device attends to every key.
    """
    attend = mask[:, None, None] if len(mask.shape) == 2 else mask[:, None]
    seen = where(attend, x, -128)
    k = np.arange(x.shape[-1])
    last = minimum(k - k % group + group - 1, x.shape[-1] - 1)
    ahead = seen  # the maximum from k on, inside its group
    for step in (1, 2, 4, 8, 16, 32):
        ahead = maximum(ahead, ahead[..., minimum(k + step, last)])
    top = maximum(running_max(seen, -1), ahead)
    e = where(attend, 256 >> minimum(within(top - seen, 0, 255), 9), 0)
    below = within(max_along(seen, -1) - top, 0, 255)
    total, left = 0, e
    for least in (224, 192, 160, 128, 96, 64, 32):  # 32 shifts at a time, the longest first: 255 do not fit a word
        part = where(below >= least, left << 32 - (below & 31), 0)
        total = total + sum_along(part, -1) >> 32
        left = where(below >= least, 0, left)
    total = total + sum_along(left << 32 - (below & 31), -1) >> 32
    inverse = 65280 // maximum(total, 256)
    return {"p": where(attend, inverse >> minimum(within(max_along(seen, -1) - seen, 0, 255), 8), 0)}


SOFTMAX_ITA = Op(
    softmax_ita,
    inputs={"x": Port("int8", "B H Q K"), "mask": Port("int8", "B K | B Q K", 0, 1)},
    attrs={"group": Attr(1, 64, default=lambda attrs: 16, structural=True)},
    outputs={"p": Port("uint8", "B H Q K")},
    limits={"K": MAX_KEYS},
    reduces=("K",),
)


def gelu_ita(x, *, b, c, lowest):
    """y = v * (L(v) + c), v = max(x, lowest), L the second-order polynomial of erf: scale -0.2888 * S * k**2 / 2.

    Inputs      x int8 [... D], scale S.
    Attributes  b in [-443, 0]: round(-1.769 / k), k = S / sqrt(2). c int16: round(1 / (-0.2888 * k**2)).
                lowest in [-128, -127], default -128: -127 in the Python model that comes with the device.
    Output      y int32 [... D]. Its scale is negative.

    Exact       v = max(x, lowest)
                L = sgn(v) * ((min(|v|, -b) + b)**2 + c)
                y = v * (L + c)
    Rounding    none.
    Saturates   |v| to -b inside the polynomial.
    Overflow    none: |y| <= 128 * (b**2 + 2**16) < 2**25, the device's 26 bits.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes.
    Source      pulp-platform/ITA, src/ita_gelu.sv and PyITA/gelu.py; the polynomial of I-BERT (Kim et al. 2021).
    """
    v = maximum(x, lowest)
    sign = maximum(minimum(v, 1), -1)
    poly = sign * (square(minimum(absolute(v), -b) + b) + c)
    return {"y": v * (poly + c)}


GELU_ITA = Op(
    gelu_ita,
    inputs={"x": Port("int8", "... D")},
    attrs={
        "b": Attr(-443, 0),
        "c": Attr(-(1 << 15), (1 << 15) - 1),
        "lowest": Attr(-128, -127, default=lambda attrs: -128),
    },
    outputs={"y": Port("int32", "... D")},
)

OPS: tuple[Op, ...] = (SOFTMAX_ITA, GELU_ITA)
