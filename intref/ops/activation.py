"""Functions of one element: polynomials and tables."""

from intref.intmath import absolute, maximum, minimum, shift_half_up, square, take, where, within
from intref.ops.op import Attr, Op, Port


def gelu_ibert(x, b, c, one):
    """y = x * (L(x) + one), L the second-order polynomial of erf: scale S * S_L / 2.

    Inputs      x int32 [... D], scale S of the raw accumulator, per tensor or per channel; b int64 [C] in
                [-2**24, 0]: floor(-1.769 / k), k = S / 1.4142; c int64 [C], |c| <= 2**44: floor(1 / (-0.2888 * k**2));
                one int64 [C], |one| <= 2**30: floor(1 / S_L), S_L = -0.2888 * k**2 * 2**14. C = 1 or D.
    Attributes  none.
    Output      y int64 [... D].

    Exact       L = floor(sgn(x) * ((min(|x|, -b) + b)**2 + c) / 2**14)
                y = x * (L + one)
    Rounding    L down.
    Saturates   |x| to -b inside the polynomial.
    Overflow    none: |L| <= 2**35, |x * (L + one)| <= 2**62 (C6).
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes;
                C5 b, c and one have the same length, 1 or D;
                C6 max |x| * (max |c| + max b**2 + 2**14 * (max |one| + 1)) <= 2**76.
    Source      I-BERT (Kim et al. 2021), algorithm 1 and eq. 8, as the authors' code computes them.
    """
    sign = maximum(minimum(x, 1), -1)
    poly = sign * (square(minimum(absolute(x), -b) + b) + c) >> 14
    return {"y": within(x * (poly + one), -(1 << 62), 1 << 62)}


def _gelu_fits(t, a) -> bool:
    peak = {k: max(abs(int(v.min())), abs(int(v.max()))) for k, v in t.items()}
    return peak["x"] * (peak["c"] + peak["b"] ** 2 + (peak["one"] + 1 << 14)) <= 1 << 76


GELU_IBERT = Op(
    gelu_ibert,
    inputs={
        "x": Port("int32", "... D", -(1 << 31) + 1),
        "b": Port("int64", "C", -(1 << 24), 0),
        "c": Port("int64", "C", -(1 << 44), 1 << 44),
        "one": Port("int64", "C", -(1 << 30), 1 << 30),
    },
    attrs={},
    outputs={"y": Port("int64", "... D")},
    constraints={
        "C5": ("inputs 'b', 'c' and 'one' must have length 1 or D", lambda t, a: len(t["b"]) in (1, t["x"].shape[-1])),
        "C6": ("max |x| * (max |c| + b**2 + 2**14 * (|one| + 1)) must be at most 2**76", _gelu_fits),
    },
)


def gelu_table(x, table, *, fraction):
    """y = max(x, 0) - Dt(|x|), Dt(v) = v * Phi(-v) by a table with linear interpolation: scale 2**-fraction.

    Inputs      x int32 [...], |x| <= 2**23, scale 2**-fraction; table int32 [513] in [0, 2**22]:
                round(Dt(i / 64) * 2**24).
    Attributes  fraction in [6, 23].
    Output      y int32 [...], scale 2**-fraction.

    Exact       k = fraction - 6; a = |x|; i = floor(a / 2**k); r = a mod 2**k
                g = floor((table[i] * (2**k - r) + table[i + 1] * r + 2**17) / 2**18), 0 where a >= 2**(fraction + 3)
                y = max(x, 0) - g
    Rounding    to nearest, ties toward +infinity.
    Saturates   nothing.
    Overflow    none: table * 2**k <= 2**39.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C3 values; C4 attributes;
                C5 the table has 513 entries.
    Source      ours; GELU of Hendrycks and Gimpel 2016, exact form.
    """
    k = fraction - 6
    a = absolute(x)
    inside = a < (8 << fraction)
    cell = within(where(inside, a >> k, 0), 0, 511)
    r = within(a - (a >> k << k), 0, (1 << k) - 1)
    g = shift_half_up(take(table, cell) * ((1 << k) - r) + take(table, cell + 1) * r, 18)
    return {"y": maximum(x, 0) - where(inside, g, 0)}


GELU_TABLE = Op(
    gelu_table,
    inputs={"x": Port("int32", "...", -(1 << 23), 1 << 23), "table": Port("int32", "L", 0, 1 << 22)},
    attrs={"fraction": Attr(6, 23)},
    outputs={"y": Port("int32", "...")},
    limits={"L": 513},
    constraints={"C5": ("input 'table' must have 513 entries", lambda t, a: len(t["table"]) == 513)},
)


def table(x, entries):
    """y = entries[x + 128].

    Inputs      x int8 [...]; entries int8, int16 or int32 [256].
    Attributes  none.
    Output      y [...] of the dtype of entries.

    Exact       y = entries[x + 128]
    Rounding    none: it is in the entries.
    Saturates   nothing.
    Overflow    none.
    Errors      SpecError: C1 names and dtypes; C2 axes and sizes; C4 attributes; C5 256 entries.
    Source      ours; TOSA TABLE and TFLite's 256-entry tables for int8.
    """
    return {"y": take(entries, x + 128)}


TABLE = Op(
    table,
    inputs={"x": Port("int8", "..."), "entries": Port("int8 int16 int32", "L")},
    attrs={},
    outputs={"y": Port("=entries", "...")},
    limits={"L": 256},
    constraints={"C5": ("input 'entries' must have 256 entries", lambda t, a: len(t["entries"]) == 256)},
)

OPS = (GELU_IBERT, GELU_TABLE, TABLE)
