"""Ops of TOSA. Its RESCALE is the op rescale, its MATMUL the op matmul, its TABLE of 256 entries the op table."""

from itertools import pairwise
from typing import Any

from intref.intmath import take, within
from intref.ops.op import Op, Port, Tensors, known


def table_tosa(x, entries):
    """y = entries[i] * 2**7 + (entries[i + 1] - entries[i]) * r: x = (i - 256) * 2**7 + r, between two entries.

    Inputs      x int16 [...]; entries int16 [513], neighbours at most 2**15 - 1 apart upwards, 2**15 downwards.
    Attributes  none.
    Output      y int32 [...], at entries' scale * 2**-7.

    Exact       i = floor(x / 2**7) + 256; r = x mod 2**7
                y = entries[i] * 2**7 + (entries[i + 1] - entries[i]) * r
    Rounding    none: y has 7 bits more than the entries.
    Saturates   nothing.
    Overflow    none: |y| <= 2**22.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes; C5 513 entries; C6 differences of
                neighbours fit int16.
    Source      TOSA 1.0 TABLE on int16, as the TOSA reference model computes it.
    """
    i = (x >> 7) + 256
    base = take(entries, i)
    slope = within(take(entries, i + 1) - base, -(1 << 15), (1 << 15) - 1)
    return {"y": (base << 7) + slope * (x & 127)}


def _slopes_fit(tensors: Tensors, attrs: dict[str, Any]) -> bool:
    return all(-(1 << 15) <= int(b) - int(a) < 1 << 15 for a, b in pairwise(known(tensors["entries"])))


TABLE_TOSA = Op(
    table_tosa,
    inputs={"x": Port("int16", "..."), "entries": Port("int16", "L")},
    attrs={},
    outputs={"y": Port("int32", "...")},
    limits={"L": 513},
    constraints={
        "C5": ("input 'entries' must have 513 entries", lambda t, a: len(t["entries"]) == 513),
        "C6": ("neighbours among 'entries' must differ by an int16", _slopes_fit),
    },
)

OPS = (TABLE_TOSA,)
