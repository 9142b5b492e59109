"""Directed cases of the exponentials of ops/illm.py; those of its norms and ranges are in illm_rows.py."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref.vectors.case import Broken, Case, Generator, SplitMix64
from intref.vectors.illm_equivalent import EQUIVALENT, HARMLESS, UNREACHABLE
from intref.vectors.illm_rows import E16, LOWEST, M16, M31, column, layernorm_illm, requantize_illm, rmsnorm_illm

__all__ = ["CASES", "EQUIVALENT", "HARMLESS", "REFUSED", "UNREACHABLE"]


FINEST: dict[str, Any] = {"m": 11, "k": 36}  # m_f is 16: exp(0) is 2**32


def _slope(m: int) -> int:
    return m + (m >> 1) - (m >> 4)


def _softmax(
    why: str, flags: str, x: Any, mask: Any = None, m: Any = 11, k: Any = 8, clip: int = 15, bits: int = 8
) -> Case:
    """m and k: of every row, or lists, of every head. m = 11, k = 8: m_f is 16 and one is 16 as well."""
    x = np.array(x, np.int32)
    x = x.reshape((1,) * (4 - x.ndim) + x.shape)
    mask = np.ones((x.shape[0], x.shape[3]), np.int8) if mask is None else np.array(mask, np.int8)
    pair = {
        name: np.array(value, dtype) if isinstance(value, list) else column(value, x.shape[:3], dtype)
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
    four: dict[str, Any] = {"m": np.array([3, 11, 40, 7]), "k": np.array([5, 8, 9, 6])}
    yield _softmax("a scale for every row", "axes", [[0, -30]] * 4, **four)
    tiled = np.tile(np.array([[0, -9, -30]], np.int32), (2, 3, 2, 1))
    yield _softmax("a scale for every head", "axes", tiled, m=[11, 40, 300], k=[8, 9, 13])
    yield _softmax("m by head and k by row", "axes", tiled[:, :2], m=[11, 22], k=8)
    yield _softmax("m by row and k by head", "axes", tiled[:, :2], m=11, k=[8, 7])
    for m, exponents in ((1, range(33)), (1 << 16, range(16, 49))):
        rows = [
            [[0, max(-one, LOWEST), max(-one // 2 - 1, LOWEST), -min(9 * one, 1 << 31)]]
            for one in [max((1 << k) // _slope(m), 1) for k in exponents]
        ]
        yield _softmax(f"k from {exponents[0]}, m = {m}", "extreme wide", [rows], m=m, k=[*exponents], bits=15)
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
    many = stream.integers(-3000, 0, (1, 1, 19, 5), "int32")
    yield _softmax("19 rows", "random axes", many, m=stream.integers(M16, M16 + 999, 19, "int32"), k=E16 - 2, bits=15)
    for keys in (2, 31, 64):
        mask = stream.integers(0, 1, (2, 3, keys), "int8")
        wide = stream.integers(-3000, 0, (2, 2, 3, keys), "int32")
        yield _softmax(f"random, {keys} keys", "random mask", wide, mask, m=M16, k=E16 - 2, bits=15)


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
    pair = {"m": column(m, gate.shape[:-1], "int32"), "k": column(k, gate.shape[:-1], "int8")}
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
        cut = np.clip(gates, -(1 << 23), 1 << 23)
        yield _swiglu(f"k from {exponents[0]}, m = {m}", "extreme wide", cut, [1, -1, 5, 1 << 23], m, exponents, 15)
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


CASES: dict[str, Generator] = {
    f.__name__: f for f in (softmax_illm, swiglu_illm, rmsnorm_illm, layernorm_illm, requantize_illm)
}
_X, _LONG = np.zeros((1, 1, 1, 4), np.int32), np.zeros((1, 1, 1, (1 << 15) + 1), np.int32)


def _pair(m: int, k: int) -> dict[str, np.ndarray]:
    return {"m": np.full((1, 1), m, np.int32), "k": np.full((1, 1), k, np.int8)}


_COARSE, _FINE = _pair(4, 1), _pair(10, 36)  # m_f is 6, one 1/3; m_f is 15, one above 2**32
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
