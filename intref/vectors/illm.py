"""Directed cases of ops/illm.py."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref.vectors.case import Broken, Case, Generator, SplitMix64

M31 = (1 << 31) - 1
LOWEST = -(1 << 31)
M16, E16 = 40000, 26  # a scale of 2**-10.7, and a mantissa of 16 bits: one is 1167
FINEST: dict[str, Any] = {"m": 11, "k": 36}  # m_f is 16: exp(0) is 2**32


def _slope(m: int) -> int:
    return m + (m >> 1) - (m >> 4)


def _column(value: Any, rows: tuple[int, ...], dtype: str) -> np.ndarray:
    """One number for each row."""
    return np.array(np.broadcast_to(np.array(value, dtype), rows)).reshape(*rows, 1)


def _softmax(
    why: str, flags: str, x: Any, mask: Any = None, m: Any = 11, k: Any = 8, clip: int = 15, bits: int = 8
) -> Case:
    """m and k: of every row, or lists, of every head. m = 11, k = 8: m_f is 16 and one is 16 as well."""
    x = np.array(x, np.int32)
    x = x.reshape((1,) * (4 - x.ndim) + x.shape)
    mask = np.ones((x.shape[0], x.shape[3]), np.int8) if mask is None else np.array(mask, np.int8)
    pair = {
        name: np.array(value, dtype) if isinstance(value, list) else _column(value, x.shape[:3], dtype)
        for name, value, dtype in (("m", m, "int32"), ("k", k, "int8"))
    }
    return Case(why, {"x": x, "mask": mask, **pair}, {"clip": clip, "bits": bits}, (*flags.split(),))


def softmax_illm() -> Iterator[Case]:
    """Every distance, sums that make ties, the clip, ties of t, scales by row and by head, masks."""
    yield _softmax("every distance to beyond the clip", "tie clip", [[0, -d] for d in range(400)])
    yield _softmax("every distance, 15 bits", "tie clip", [[0, -d] for d in range(400)], bits=15)
    yield _softmax("all equal", "degenerate", [[5, 5, 5, 5]])
    yield _softmax("one key", "degenerate", [[-9]])
    for bits in (2, 8, 15):
        for keys in (3, 5, 6, 7, 48):
            yield _softmax(f"{keys} equal keys, {bits} bits", "tie", np.zeros((1, keys), np.int32), bits=bits)
    for keys in (256, 768):  # 128 / keys is 1/2, then a sixth; 3 * 128 / 768 is 1/2
        yield _softmax(f"{keys} equal keys: p is a tie, or nearly", "tie", np.zeros((1, keys), np.int32))
    for m, k in ((3, 1), (7, 3), (5, 2), (12, 4), (24, 5), (23, 5), (92, 7), (17, 4), (1, 0), (2, 2), (16, 7)):
        x = [[0, -1, -2, -3, -5, -8], [0, 0, -1, -1, -7, -90]]
        yield _softmax(f"one of m = {m}, k = {k}", "tie", x, m=m, k=k, bits=15)
    for clip, m, k in ((1, 16, 4), (1, 3, 1), (3, 8, 3), (5, 4, 2), (63, 11, 8), (15, 6, 3), (2, 7, 3), (1, 9, 3)):
        x = [[0, *range(-at - 2, -at + 3)] for at in [(2 * clip * (1 << k) + m) // (2 * m)]]
        yield _softmax(f"either side of the clip {clip}, m = {m}, k = {k}", "clip tie", x, m=m, k=k, clip=clip, bits=15)
    m, k = np.array([3, 11, 40, 7]), np.array([5, 8, 9, 6])
    yield _softmax("a scale for every row", "axes", [[0, -30]] * 4, m=m, k=k)
    x = np.tile(np.array([[0, -9, -30]], np.int32), (2, 3, 2, 1))
    yield _softmax("a scale for every head", "axes", x, m=[11, 40, 300], k=[8, 9, 13])
    yield _softmax("m by head and k by row", "axes", x[:, :2], m=[11, 22], k=8)
    yield _softmax("m by row and k by head", "axes", x[:, :2], m=11, k=[8, 7])
    for m, exponents in ((1, range(33)), (1 << 16, range(16, 49))):
        x = [
            [[0, max(-one, LOWEST), max(-one // 2 - 1, LOWEST), -min(9 * one, 1 << 31)]]
            for one in [max((1 << k) // _slope(m), 1) for k in exponents]
        ]
        yield _softmax(f"k from {exponents[0]}, m = {m}", "extreme wide", [x], m=m, k=[*exponents], bits=15)
    for m in (15, 16, 31, 32, 33, 47, 48, 49, 240, 4080, 65520):
        yield _softmax(f"the slope of m = {m}", "tie", [[0, -(1 << 20), -12345]], m=m, k=20 + m.bit_length(), bits=15)
    far = [[M31, *(M31 - (q << 27) for q in range(23, 32)), LOWEST]]
    yield _softmax("the most halvings that leave something", "extreme wide", far, m=1, k=27, clip=63, bits=15)
    far = [[M31, *(M31 - q * 89478485 for q in range(1, 32))]]  # t = 2**28 / 3
    yield _softmax("halvings of an odd one", "extreme wide", far, m=2, k=28, clip=63, bits=15)
    for clip in range(1, 64):
        yield _softmax(
            f"clip {clip}", "clip", [[0, 1 - 2 * clip, -2 * clip, -2 * clip - 1]], m=2, k=2, clip=clip, bits=15
        )
    for k in range(6, 15):
        yield _softmax(f"the finest scale, 2**{k} keys", "extreme wide", [[1 << 30] * (1 << k)], **FINEST)
    yield _softmax("the finest scale: one is 2**32", "extreme wide", [[M31, LOWEST, 0]], **FINEST, bits=15)
    yield _softmax("the finest scale, equal keys", "extreme wide", [[M31] * 33], **FINEST, bits=15)
    yield _softmax("the largest m and k", "extreme wide", [[0, -(1 << 20), -(1 << 31)]], m=1 << 16, k=48, bits=15)
    yield _softmax("mantissas of 16 bits", "wide", [[0, -700, -809, -1619, -25000]], m=M16, k=E16)
    yield _softmax("the coarsest scale: one is 1", "extreme", [[0, -1, -2, -40], [0, 0, 0, -1]], m=3, k=1, bits=15)
    yield _softmax("a scale of 1", "extreme", [[M31, M31 - 1, LOWEST]], m=1, k=0, bits=15)
    yield _softmax("int32 extremes", "extreme wide", [[M31, LOWEST], [LOWEST, LOWEST]], m=65536, k=45)
    yield _softmax("longest row", "extreme", np.zeros((1, 1 << 15), np.int32), **FINEST, bits=15)
    yield from _masks()
    stream = SplitMix64(81)
    x = stream.integers(-3000, 0, (1, 1, 19, 5), "int32")
    yield _softmax("19 rows", "random axes", x, m=stream.integers(M16, M16 + 999, 19, "int32"), k=E16 - 2, bits=15)
    for keys in (2, 31, 64):
        mask = stream.integers(0, 1, (2, 3, keys), "int8")
        x = stream.integers(-3000, 0, (2, 2, 3, keys), "int32")
        yield _softmax(f"random, {keys} keys", "random mask", x, mask, m=M16, k=E16 - 2, bits=15)


def _masks() -> Iterator[Case]:
    yield _softmax("mask: the maximum is not attended", "mask", [[9, 90, 8, 7]], [[1, 0, 1, 1]])
    yield _softmax(
        "mask per query, one row without a key", "mask degenerate", [[1, 2, 3], [4, 5, 6]], [[[0, 0, 0], [1, 0, 1]]]
    )
    yield _softmax("mask per batch: B = H = 2", "mask axes", np.arange(8).reshape(2, 2, 1, 2), [[0, 1], [1, 0]])
    square = np.zeros((1, 2, 2, 2), np.int32)
    yield _softmax("mask per query: H = Q = 2", "mask axes", square, [[[1, 0], [1, 1]]])
    yield _softmax("int32 minimum attended", "mask extreme", [[LOWEST, LOWEST, 5]], [[1, 0, 0]])


def _swiglu(
    why: str, flags: str, gate: Any, up: Any, m: Any = 11, k: Any = 8, bits: int = 8, dtype: str = "int32"
) -> Case:
    gate = np.array(gate, dtype)
    up = np.array(np.broadcast_to(np.array(up, dtype), gate.shape))
    pair = {"m": _column(m, gate.shape[:-1], "int32"), "k": _column(k, gate.shape[:-1], "int8")}
    return Case(why, {"gate": gate, "up": up, **pair}, {"bits": bits}, (*flags.split(),))


def swiglu_illm() -> Iterator[Case]:
    """Every gate of both signs, ties of the sigmoid, the ends of the ranges."""
    for bits in (2, 8, 15):
        yield _swiglu(f"every gate, {bits} bits", "tie", [range(-120, 121)], [1], bits=bits)
    yield _swiglu("every gate, coarse: one is 1", "tie extreme", [range(-40, 41)], [1], m=3, k=1)
    yield _swiglu("every gate, one is 3: ties", "tie", [range(-20, 21)], [7], m=3, k=3, bits=3)
    yield _swiglu("gates by themselves, one is 2", "tie", [range(-20, 21)], [-3], m=2, k=2, bits=2)
    ends = [-(1 << 23), (1 << 23), -(1 << 23), 1 << 23, 0]
    for m, exponents in ((1, range(33)), (1 << 16, range(16, 49))):
        gates = [[-one, one // 2 + 1, -3 * one, one] for one in [max((1 << k) // _slope(m), 1) for k in exponents]]
        gates = np.clip(gates, -(1 << 23), 1 << 23)
        yield _swiglu(f"k from {exponents[0]}, m = {m}", "extreme wide", gates, [1, -1, 5, 1 << 23], m, exponents, 15)
    for m in (15, 16, 31, 32, 33, 47, 48, 49, 240, 4080, 65520):
        gates = [[1 << 20, -(1 << 20), 12345]]
        yield _swiglu(f"the slope of m = {m}", "tie", gates, [1], m, 20 + m.bit_length(), 15)
    for m, k in ((11, 16), (7, 17), (3, 14), (1, 12)):
        one = ((2 << k) + _slope(m)) // (2 * _slope(m))
        last = (1 << 23) // one * one
        yield _swiglu(
            f"about the last multiple of {one}, k = {k}", "wide", [[last, last - 1, 1 - last, one - 1]], [1], m, k, 15
        )
    # t = 8134408 is a little above 2**32 / 528: by floor(2**32 / t) a quotient is too low well beyond t.
    yield _swiglu(
        "just beyond one, 8134408", "wide", [[8134408 + j for j in (0, 1, 4000, 8000, 15000)]], [1], 23, 28, 15
    )
    for k, one in ((18, 87381), (19, 174763)):
        halvings = [[side * q * one for q in range(15, 32) for side in (-1, 1) if q * one <= 1 << 23]]
        yield _swiglu(f"halvings of an odd one, {one}", "wide", halvings, [1], 2, k, 15)
    halvings = [[side * q << 18 for q in range(17, 32) for side in (-1, 1)]]
    yield _swiglu("the most halvings that leave something", "wide", halvings, [1], 1, 18, 15)
    yield _swiglu("the ends of gate and up", "extreme wide", [ends], ends[1:4] + ends[:2], bits=15)
    yield _swiglu("the finest scale", "extreme wide", [ends, [1, -1, 1 << 22, -1 << 20, 3]], [5], 11, 36, 15)
    yield _swiglu("the largest m and k", "extreme wide", [ends], [1 << 23], 1 << 16, 48, 15)
    yield _swiglu("a scale of 1", "extreme", [[0, 1, -1, 70, -70]], [9], 1, 0)
    yield _swiglu("int8 extremes", "extreme dtype", [[-128, 127, -1, 0]], [[-128, -128, 127, 127]], dtype="int8")
    yield _swiglu("int16 extremes", "extreme dtype", [[-32768, 32767]], [[-32768, -32768]], m=1000, k=22, dtype="int16")
    yield _swiglu("a scale for every row", "axes", [[9, -9], [9, -9], [9, -9]], [[3, 5]], [3, 11, 40], [5, 8, 9])
    yield _swiglu("no leading axis, D = 1", "axes degenerate", [5], [-7])
    yield _swiglu("two leading axes", "axes", [[[1, 2], [3, 4]], [[5, 6], [7, 8]]], [1], [[3, 11], [40, 9]], 8)
    stream = SplitMix64(82)
    for width in (3, 64):
        gate, up = (stream.integers(-5000, 5000, (4, width), "int32") for _ in range(2))
        yield _swiglu(f"random, D = {width}", "random", gate, up, M16, E16, 8)


def _norm(why: str, flags: str, x: Any, top: int = 25, fraction: int = 20) -> Case:
    return Case(why, {"x": np.array(x, np.int32)}, {"top": top, "fraction": fraction}, (*flags.split(),))


def _near_squares(length: int) -> list[list[int]]:
    """Pairs whose mean square is n**2, n**2 + 1 and n**2 - 1, for roots n of that many bits."""
    # (n + u)**2 + (n - u - 2)**2 = 2 * n**2 + 2 for 2 * n = (u + 1)**2, and 2 * n**2 - 2 for 2 * n = (u + 1)**2 + 2.
    pairs = [[(3 << length) // 4] * 2]
    for more in (0, 1):
        odd = range(1, 1 << 14, 2)
        known = (((u + 1) ** 2 // 2 + more, u) for u in odd)
        fits = ([n + u, n - u - 2] for n, u in known if n.bit_length() == (n + u).bit_length() == length)
        pairs += [*fits][:1]
    return pairs


def _norms(centred: bool) -> Iterator[Case]:
    """Rows of either norm: ties of s, of the mean square and of y, roots around squares, every shift."""
    both = [[3, -1, 1, -5], [1, 2, 4, 8], [-7, 7, 7, -7], [5, -3, 0, 0]]
    for top in (0, 1, 2, 3, 10, 24, 25):
        for fraction in (0, 1, 5, 20, 30):
            yield _norm(f"small rows, top {top}, fraction {fraction}", "tie", both, top, fraction)
    for drop in (1, 2, 3, 6):
        rows = [[1 << drop + 2, d, -d, 0, 3 * d, -(1 << drop + 2)] for d in range(1, 1 << drop)]
        yield _norm(f"ties of a shift down by {drop}", "tie", rows, 2, 8)
    yield _norm(
        "a peak that rounds up to the next power of two", "clip tie", [[127, -127, 1, 0], [-127, 1, 0, 126]], 2, 3
    )
    yield _norm(
        "ties of y, both signs", "tie", [[3, -3, 1, -1, 1, -1, 3, -3, 5, -5], [1, 1, 1, 1, 1, -1, -1, 1, 1, 9]], 2, 0
    )
    yield _norm("a row of zeros", "degenerate", [[0, 0, 0], [0, 1, 0]])
    yield _norm("D = 1, no leading axis", "degenerate axes", [-5])
    yield _norm("a row that is constant", "degenerate", [[7, 7, 7], [-9, -9, -9], [1, 1, 1]], 25, 30)
    yield _norm("int32 extremes", "extreme wide", [[M31, LOWEST, 0], [LOWEST, LOWEST, M31], [LOWEST, 1, -1]], 25, 30)
    yield _norm("one outlier", "extreme", [[M31, *[0] * 63], [LOWEST, *[1] * 63]], 25, 30)
    yield _norm("largest sum of squares", "extreme wide", [[LOWEST, M31] * (1 << 9)], 25, 30)
    for u in (0, 1, 2, 3, 12, 88):  # (n + u)**2 + (n - u - 1)**2 = 2 * n**2 - 1 for n = u**2 + u + 1
        n = u * u + u + 1
        top = (n + u).bit_length() - 1
        row = [n + u, -(n - u - 1)]
        yield _norm(
            f"mean square {n}**2 - 1/2",
            "square tie",
            [[*row, *row] if not centred else [*row, *(-v for v in row)]],
            top,
            30,
        )
    for length in range(2, 27):
        rows = [[*pair, *(-v for v in pair)] for pair in _near_squares(length)]
        yield _norm(f"mean squares about one of a root of {length} bits", "square", rows, length - 1, length + 3)
    for k in range(7, 15):
        yield _norm(f"extremes, D = 2**{k}", "extreme wide", [[M31, -M31] * (1 << k - 1)])
        yield _norm(f"low parts of squares, D = 2**{k}", "extreme wide", [[8191, -8191] * (1 << k - 1)], 12)
    for peak in (8192, 11586, 16383, 32768):
        yield _norm(f"a square of {peak}", "extreme", [[peak, -peak]], peak.bit_length() - 1)
    for k in (29, 30):
        yield _norm(f"2**{k}", "extreme", [[1 << k, -5, 3]])
    for top in range(26):
        yield _norm(f"top {top}", "extreme", [[5, -3, 77], [1 << 30, 9, -(1 << 20)]], top, top)
    for k in (1, 2, 5, 40):  # sums of four squares around four squares
        rows = [[k, k, -k, -k], [k + 1, k, -k, -k - 1], [k + 1, k - 1, -k, -k]]
        yield _norm(f"mean squares around {k}**2", "square", rows, (k + 1).bit_length() - 1, 12)
    yield _norm("two leading axes", "axes", [[[1, 2, 4], [8, -16, 32]], [[3, 3, -3], [0, 5, 9]]])
    stream = SplitMix64(83 + centred)
    yield _norm("19 rows", "random axes", stream.integers(-(1 << 20), 1 << 20, (19, 3), "int32"))
    for width in (2, 3, 64):
        x = stream.integers(-(1 << 20), 1 << 20, (2, 2, width), "int32")
        yield _norm(f"random, D = {width}", "random", x)
        yield _norm(f"random, D = {width}, shifted down", "random tie", x, 6, 9)
        yield _norm(
            f"random small values, D = {width}", "random tie", stream.integers(-3, 3, (8, width), "int32"), 4, 2
        )


def rmsnorm_illm() -> Iterator[Case]:
    """Ties of every quotient, roots around squares, every shift, the ends of the ranges."""
    yield from _norms(False)
    # Each root is 2**25, and the second element 16 * an odd number: 2**20 / 2**25 of it is a tie.
    rows = [[47453132, 16], [47453132, -16], [47453132, 48], [47453132, -48], [47453132, 80]]
    yield _norm("ties of y at the published constants", "tie wide", rows)


def layernorm_illm() -> Iterator[Case]:
    """As rmsnorm_illm, for the rows less their mean; means that are no integers; sums of one sign."""
    yield from _norms(True)
    yield _norm(
        "means of halves and thirds", "tie", [[0, 1, 1, 4, 0, 0], [0, 0, 1, 0, 0, 1], [-1, 0, 0, -1, -1, 0]], 9, 9
    )
    for k in range(7, 15):
        rows = [[M31] * (1 << k), [LOWEST] * (1 << k), [LOWEST, *[M31] * ((1 << k) - 1)]]
        yield _norm(f"the largest sums, D = 2**{k}", "extreme wide", rows, 25 - k)
    for top in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9):
        yield _norm(f"shifts down to top {top}", "extreme wide", [[LOWEST, *[M31] * ((1 << 14) - 1)]], top)
    yield _norm("neighbours", "extreme", [[1, 0], [0, 1]])
    yield _norm("far from 0", "extreme wide", [[M31, M31, M31 - 1], [LOWEST, LOWEST + 1, LOWEST]])


def _requantize(why: str, flags: str, x: Any, bits: int = 8, m: Any = 255, k: Any = 20) -> Case:
    x = np.array(x, np.int32)
    pair = {"m": _column(m, x.shape[:-1], "int32"), "k": _column(k, x.shape[:-1], "int8")}
    return Case(why, {"x": x, **pair}, {"bits": bits}, (*flags.split(),))


def requantize_illm() -> Iterator[Case]:
    """Ties of y and of the zero point, mantissas around every power of two, constant rows, the ends of the ranges."""
    for bits in (2, 4, 8):
        n = (1 << bits) - 1
        yield _requantize(f"ties of y, {bits} bits", "tie", [[0, *range(1, 2 * n), 2 * n]], bits)
        yield _requantize(f"ties of y, {bits} bits, from below 0", "tie", [[-n, *range(1 - n, n), n]], bits)
        rows = [[low, low + 2 * n, low + 1] for low in (-5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5)]
        yield _requantize(f"ties of the zero point, {bits} bits", "tie", rows, bits)
    for bits in range(2, 9):
        yield _requantize(f"{bits} bits", "extreme", [[-300, 5, 77, 1000], [3, 3, 4, 900]], bits, 77, 9)
    spans = [*range(1, 40), 63, 64, 65, 127, 128, 129, 254, 255, 256, 257, 510, 511, 512, 65535, 65536, M31]
    for bits, m in ((2, 1), (3, 5), (8, 1), (8, 255), (7, 128), (5, 21)):
        yield _requantize(f"every short span, {bits} bits, m = {m}", "tie", [[0, s] for s in spans], bits, m)
    near = [(128 * 255 + d) for d in range(-130, 131, 5)]
    yield _requantize("mantissas about 128", "tie", [[0, s] for s in near], 8, 1)
    rows = [[v, v + 510, v + 1] for v in range(-12, 13)] + [[1 << 30, 1 << 29]]
    yield _requantize("ties of the zero point of both signs", "tie extreme", [[*row[:2], row[-1]] for row in rows], 8)
    yield _requantize("mantissas of halves", "tie", [[0, s] for s in range(1027, 2046, 2)], 2, 3)
    yield _requantize("constant rows", "degenerate", [[7, 7], [0, 0], [-9, -9], [M31, M31], [LOWEST, LOWEST]], 8)
    yield _requantize("a zero point one above a tie, negative", "tie", [[1, 3], [3, 5], [128, 130], [129, 131]], 2)
    yield _requantize("D = 1, no leading axis", "degenerate axes", [5], 4)
    rows = [[LOWEST, M31, 0, -1], [M31, M31 - 1, M31, M31], [LOWEST, LOWEST + 1, LOWEST, LOWEST], [0, M31, 1, 2]]
    for m, k in ((1, 0), (1 << 16, 0), (1 << 16, 48), (1, 48)):
        yield _requantize(f"int32 extremes, m = {m}, k = {k}", "extreme wide", rows, 8, m, k)
    yield _requantize("the shortest span, finest scale", "extreme", [[0, 1], [0, 0]], 8, 1, 48)
    yield _requantize("a scale for every row", "axes", [[0, 9], [0, 9], [0, 9]], 8, [3, 11, 40], [5, 8, 9])
    yield _requantize("two leading axes", "axes", [[[1, 2], [3, 5]], [[5, 9], [7, 15]]], 8, [[3, 11], [40, 9]], 8)
    stream = SplitMix64(85)
    for width in (3, 64):
        x = stream.integers(-(1 << 20), 1 << 20, (4, width), "int32")
        yield _requantize(f"random, D = {width}", "random", x, 8, [200, 3000, 41, 1 << 15], [10, 20, 0, 33])


_ANY_BUT_0 = "where takes its first value for anything but 0"
_BELOW = "any fill at or below every x leaves the maximum alone; a masked key counts for nothing"
_ATTEND = "attend = mask[:, None, None] if len(mask.shape) == 2 else mask[:, None]"
_SEEN = "seen = where(attend, x, -(1 << 31))"
_D = "d = maximum(within(seen - max_along(seen, -1), -(1 << 32), 0), -divide(clip << k, m, 'half_up'))"
_NO_TIE = "half a unit needs m = clip * 2**(k + 1) / n for an odd n that divides clip: m >= 2**(k + 1), refused by C5"
_POSITIVE = "what is rounded is never negative"
_HALVED = "return within((r >> 1) + t, 1, t) >> minimum(q, 31)"
_NOTHING_LEFT = "q * t <= 2**32: from q = 29 on t is below 2**q"
_ONE = "return within(divide(1 << k, within(_log2e(m), 1, 1 << 17), 'half_up'), 1, MAX_T)"
_EXP: dict[str, str] = {
    f"_exp: minimum(q, 31) -> q in {_HALVED}": _NOTHING_LEFT,
    f"_exp: 31 -> 32 in {_HALVED}": _NOTHING_LEFT,
    f"_exp: 31 -> 30 in {_HALVED}": _NOTHING_LEFT,
    f"_one: 'half_up' -> 'half_away' in {_ONE}": _POSITIVE,
}
_S = "s = within(div_half_up(where(gate >= 0, t, e) << bits - 1, t + e), 0, 1 << bits - 1)"
_TIMES_0 = "they part where gate is 0, and y with it"
_LIFT = "lift = top + 1 - bitlen(max_along(absolute(c), -1))"
_PARTS = "high, low = (sum_along(square(s) >> 26, -1), sum_along(square(s) & (1 << 26) - 1, -1))"
_WHOLE = "whole = high // width"
_MADE_GOOD = "rest takes what whole leaves, so their sum is the same quotient"
_NO_SIGN = "a square has no sign"
_NORM = {
    f"_over_rms: c -> -c in {_LIFT}": "the absolute value has no sign",
    f"_over_rms: s -> -s in {_PARTS}": _NO_SIGN,
    f"_over_rms: s -> -s in {_PARTS} #2": _NO_SIGN,
    f"_over_rms: high -> high + 1 in {_WHOLE}": _MADE_GOOD,
    f"_over_rms: high -> high - 1 in {_WHOLE}": _MADE_GOOD,
    f"_over_rms: width -> width + 1 in {_WHOLE}": _MADE_GOOD,
    "_over_rms: 'half_up' -> 'half_away' in mean = (whole << 26) + divide(rest, width, 'half_up')": _POSITIVE,
}
EQUIVALENT: dict[str, dict[str, str]] = {
    "softmax_illm": {
        f"mask -> -mask in {_ATTEND}": _ANY_BUT_0,
        f"mask -> -mask in {_ATTEND} #2": _ANY_BUT_0,
        "m[:, :] -> m in m = m[:, None, None] if len(m.shape) == 1 else m[:, :]": "all of m is m",
        "k[:, :] -> k in k = k[:, None, None] if len(k.shape) == 1 else k[:, :]": "all of k is k",
        f"attend -> -attend in {_SEEN}": _ANY_BUT_0,
        f"x -> x + 1 in {_SEEN}": "only differences of x count",
        f"x -> x - 1 in {_SEEN}": "only differences of x count",
        f"1 -> 2 in {_SEEN}": _BELOW,
        f"31 -> 32 in {_SEEN}": _BELOW,
        **{f"'half_up' -> '{rule}' in {_D}": _NO_TIE for rule in ("half_down", "half_to_zero", "half_even")},
        f"'half_up' -> 'half_away' in {_D}": _POSITIVE,
        "attend -> -attend in e = where(attend, _exp(d, _one(m, k)), 0)": _ANY_BUT_0,
        **_EXP,
    },
    "swiglu_illm": {
        "gate -> -gate in e = _exp(-absolute(gate), t)": "the absolute value has no sign",
        f"gate >= 0 -> gate > 0 in {_S}": _TIMES_0,
        f"gate -> gate - 1 in {_S}": _TIMES_0,
        f"0 -> 1 in {_S}": _TIMES_0,
        "_exp: x -> x + 1 in q = -x // t": (
            "they part at multiples of t, where q is one less and r is -t: half of t, by one halving less; at 0 y is 0"
        ),
        **_EXP,
    },
    "rmsnorm_illm": _NORM,
    "layernorm_illm": _NORM,
    "requantize_illm": {
        "_scaled: 'half_up' -> 'half_away' in "
        "return divide(within(num << maximum(e, 0), 0, 1 << 48), den << maximum(-e, 0), 'half_up')": _POSITIVE,
    },
}
_LEMMA = "the end of a lemma, 1 - t, that no device computes"
_SHORT = "a multiple of t no larger than |gate|, and what is left of it"
_QUOTIENT = (
    *("half_even at floor 2 of 2", "half_up at floor 2 of 2", "quotient: by a reciprocal of 32 bits"),
    *("quotient: one too *", "quotient: rounded up"),
)
_NORM_FAULTS = {
    **dict.fromkeys(_QUOTIENT, _MADE_GOOD),
    "root: in floats of 53 bits": "the mean is at most 2**52",
    "rule half_away at rounding 2 of 3": _POSITIVE,
    "rule half_up by a division toward zero at rounding 2 of 3": _POSITIVE,
    "square 2 of 2: wrapped to 32 bits": "its low 26 bits are kept",
}
_REST = "a rest of a division by D"
HARMLESS: dict[str, dict[str, str]] = {
    "softmax_illm": {
        "difference 3 of 3: * to 32 bits": _LEMMA,
        "quotient: saturated to 16 bits": _NOTHING_LEFT,
        "rule half_away at *": _POSITIVE,
        "rule half_up by a division toward zero at *": _POSITIVE,
        **{f"rule {rule} at rounding 1 of 3": _NO_TIE for rule in ("half_down", "half_even", "half_to_zero")},
    },
    "swiglu_illm": {
        "addition 2 of 4: * to 32 bits": _SHORT,
        "product 1 of 3: * to 32 bits": _SHORT,
        "difference 2 of 2: * to 32 bits": _LEMMA,
        "right shift 4 of 4: logical, of 32 bits": "it is 2**32 where gate is 0 alone, and y with it",
        "rule half_away at *": _POSITIVE,
        "rule half_up by a division toward zero at *": _POSITIVE,
    },
    "rmsnorm_illm": {
        "difference 2 of 2: * to 32 bits": _REST,
        "left shift 1 of 4: * to 32 bits": "an x that is shifted stays below 2**26",
        **_NORM_FAULTS,
    },
    "layernorm_illm": {
        "0 for a row of equal elements": "it is 0",
        "difference 3 of 3: * to 32 bits": _REST,
        **_NORM_FAULTS,
    },
    "requantize_illm": {
        "rule half_away at *": "the zero point is rounded so itself; what else is rounded is never negative",
        "rule half_up by a division toward zero at rounding [123] of 4": _POSITIVE,
        "rule half_even at rounding 2 of 4": "only 127.5 would count, and 128 is even",
    },
}
_AT_MOST_0 = {r"_exp: r >> 1 \| (exact and odd|half or more.*|one .* exact), not negative": "r <= 0"}
_ONLY_TIE = {r"_one: divide\(.* \| half_up: tie above odd, .*": "t >= 1, and 2**(k + 1) / m_f is odd for t = 1/2 alone"}
_NO_SQUARE = {
    r"_over_rms: isqrt\(mean\) \| one .* a square, root of 27 bits": "the mean is at most 2**52",
    r"_over_rms: square\(s\) >> 26 \| one below exact, .*": "no square is 3 modulo 4",
}
_SHIFT = r"_exp: within\(\(r >> 1\) \+ t, 1, t\) >> minimum\(q, 31\) \| shift "
UNREACHABLE: dict[str, dict[str, str]] = {
    "softmax_illm": {
        r"_exp: q \* t \| positive, 54 bits or more": "q * t <= 2**32",
        _SHIFT + "(29|3[01])": "2**(q - 1) * q > 2**32 >= q * t: less than half is left",
        r"divide\(clip << k, .* \| half_up: tie .*": _NO_TIE,
        **_AT_MOST_0,
        **_ONLY_TIE,
    },
    "swiglu_illm": {
        r"_exp: q \* t \| positive, (25 to 31|32 to 53|54) bits.*": "q * t <= |gate| <= 2**23",
        _SHIFT + r"(2\d|3[01])": "2**(q - 1) * q > 2**23 >= q * t: less than half is left",
        **_AT_MOST_0,
        **_ONLY_TIE,
    },
    "rmsnorm_illm": _NO_SQUARE,
    "layernorm_illm": _NO_SQUARE,
    "requantize_illm": {
        r"maximum\(max_along\(x, -1\) - low, 1\) \| left is less by more": "no row's maximum is below its minimum",
    },
}
CASES: dict[str, Generator] = {
    f.__name__: f for f in (softmax_illm, swiglu_illm, rmsnorm_illm, layernorm_illm, requantize_illm)
}
_X, _LONG = np.zeros((1, 1, 1, 4), np.int32), np.zeros((1, 1, 1, (1 << 15) + 1), np.int32)
_COARSE = {"m": np.full((1, 1), 4, np.int32), "k": np.full((1, 1), 1, np.int8)}  # m_f is 6, one 1/3
_FINE = {"m": np.full((1, 1), 10, np.int32), "k": np.full((1, 1), 36, np.int8)}  # m_f is 15, one above 2**32


REFUSED: dict[str, dict[str, list[Broken]]] = {
    "softmax_illm": {
        "C1": [{"mask": np.ones((400, 2), bool)}, {"x": _X.astype(np.int16)}, {"m": np.ones(1, np.int8)}],
        "C2": [
            {"x": _LONG, "mask": np.ones((1, (1 << 15) + 1), np.int8)},
            {"mask": np.ones((1, 5), np.int8)},
            {"m": np.ones(2, np.int32)},
            {"k": np.ones((1, 1, 400, 2), np.int8)},
        ],
        "C3": [
            {"mask": np.full((1, 2), 2, np.int8)},
            {"m": np.zeros(1, np.int32)},
            {"m": np.full(1, (1 << 16) + 1, np.int32)},
            {"k": np.full(1, -1, np.int8)},
            {"k": np.full(1, 49, np.int8)},
        ],
        "C4": [{"clip": 0}, {"clip": 64}, {"bits": 1}, {"bits": 16}],
        "C5": [{name: v[0] for name, v in _COARSE.items()}, {name: v[0] for name, v in _FINE.items()}],
    },
    "swiglu_illm": {
        "C1": [{"gate": np.zeros((1, 241), np.int64)}, {"up": np.zeros((1, 241), np.uint8)}],
        "C2": [{"up": np.zeros((1, 240), np.int32)}, {"m": np.ones((1, 2), np.int32)}, {"k": np.ones(1, np.int8)}],
        "C3": [
            {"gate": np.full((1, 241), (1 << 23) + 1, np.int32)},
            {"up": np.full((1, 241), -(1 << 23) - 1, np.int32)},
            {"m": np.zeros((1, 1), np.int32)},
            {"k": np.full((1, 1), 49, np.int8)},
        ],
        "C4": [{"bits": 1}, {"bits": 16}],
        "C5": [_COARSE, _FINE],
    },
    **{
        norm: {
            "C1": [{"x": np.zeros((4, 4), np.int16)}],
            "C2": [{"x": np.zeros((1, (1 << 14) + 1), np.int32)}, {"x": np.zeros((1, 0), np.int32)}],
            "C4": [{"top": -1}, {"top": 26}, {"fraction": -1}, {"fraction": 31}],
        }
        for norm in ("rmsnorm_illm", "layernorm_illm")
    },
    "requantize_illm": {
        "C1": [{"x": np.zeros((1, 7), np.int16)}, {"k": np.zeros((1, 1), np.int32)}],
        "C2": [{"m": np.ones((1, 2), np.int32)}, {"m": np.ones((2, 1), np.int32)}],
        "C3": [
            {"m": np.zeros((1, 1), np.int32)},
            {"m": np.full((1, 1), (1 << 16) + 1, np.int32)},
            {"k": np.full((1, 1), -1, np.int8)},
            {"k": np.full((1, 1), 49, np.int8)},
        ],
        "C4": [{"bits": 1}, {"bits": 9}],
    },
}
