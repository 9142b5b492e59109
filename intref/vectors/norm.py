"""Directed cases of the norms."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref.vectors.asked import asked
from intref.vectors.case import Broken, Case, Generator, SplitMix64

EQUIVALENT: dict[str, dict[str, str]] = {
    "layernorm_fixed": {
        "c -> -c in v = within(maximum(sum_along(square(c), -1) + eps, 1), 1, (1 << 62) - 1)": "a square has no sign",
        "v -> v - 1 in k = 62 - bitlen(v) >> 1": (
            "they part where v is a power of 4: k + 1 halves f and doubles c << k, all exact, so z is the same"
        ),
    },
    "l2_normalize": {
        "x -> -x in v = maximum(sum_along(square(x), -1), 1)": "a square has no sign",
        "v -> v - 1 in k = 62 - bitlen(v) >> 1": (
            "they part where v is a power of 4: k + 1 halves f and doubles x << k, all exact, so unit is the same"
        ),
        "unit -> unit + 1 in return {'y': shift_half_up(unit, 61 - fraction)}": (
            "unit is even: k is 0 only for v = 2**60, where f is 2**31; 1 more never reaches the next tie"
        ),
    },
}
M31 = (1 << 31) - 1
HALVES = [[0, 1], [1, 2], [2, 3], [0, -1], [-1, -2], [-2, -3], [0, 3], [0, -3]]  # means that are ties, both parities
THIRDS = [[0, 0, 1], [0, 1, 1], [0, 0, -1], [0, -1, -1], [1, 1, 2], [-1, -2, -2]]
QUARTERS = [[0, 0, 0, 1], [0, 0, 1, 1], [0, 1, 1, 1], [0, 0, 0, -1], [0, 0, -1, -1], [0, -1, -1, -1]]


def _squares() -> Iterator[tuple[str, list[int]]]:
    """Rows whose sum of squared deviations is n**2 - 1, n**2 or n**2 + 1."""
    for k in (1, 2, 40):
        yield f"({2 * k + 1})**2 - 1", [2 * k, *[-2] * k]  # mean 0, 4 * k**2 + 4 * k
        yield f"({2 * k})**2", [k, -k, k, -k]
        yield f"({2 * k})**2 + 1", [k, -k, k, -k, 1]  # mean 1/5


def _ibert(why: str, flags: str, x: Any, bias: Any = 0, shift: int = 0) -> Case:
    x = np.array(x, np.int32)
    bias = np.array(np.broadcast_to(np.array(bias, np.int64), x.shape[-1:]))
    return Case(why, {"x": x, "bias": bias}, {"shift": shift}, (*flags.split(),))


def layernorm_ibert() -> Iterator[Case]:
    """Means on ties, roots around squares, odd products of both signs, no variance, the ends of the ranges."""
    yield _ibert("ties of the mean", "tie", HALVES)
    yield _ibert("means of thirds", "tie", THIRDS)
    yield _ibert("means of quarters", "tie", QUARTERS)
    for why, row in _squares():
        yield _ibert(f"sum of squares {why}", "square", [row, [-v for v in row]])
    yield _ibert("no variance: the bias", "degenerate", [[7, 7, 7], [0, 0, 0]], [5, -6, 0])
    yield _ibert("D = 1, no leading axis", "degenerate axes", [-5], 9)
    yield _ibert(
        "terms below 2**shift: no variance, though not constant", "degenerate", [[*[0] * 6, 3], [*[0] * 6, 1]], 4, 2
    )
    yield _ibert(
        "the shift rounds negative terms down", "tie", [[1, -1], [3, -3], [4, -4], [5, -5], [1000, -1001]], 0, 2
    )
    for shift in (1, 15, 16):
        rows = [[1 << 16, 1 - (1 << 16)], [(1 << 17) - 1, -(1 << 17)], [3 << 20, -(3 << 20)]]
        yield _ibert(f"shift {shift}", "extreme", rows, 0, shift)
    yield _ibert("one outlier", "extreme", [[1 << 25, *[0] * 63], [-(1 << 25), *[1] * 63]], range(64))
    for shift in (0, 16):
        x = np.tile(np.array([1 << 23, -(1 << 23)], np.int32), (1, 1 << 13))
        yield _ibert(f"alternating extremes, D = 2**14, shift {shift}", "extreme wide", x, 0, shift)
    x = np.tile(np.array([1 << 25, -(1 << 25)], np.int32), (1, 1 << 9))
    yield _ibert("alternating extremes, D = 2**10", "extreme wide", x)
    yield _ibert("all at one end", "extreme degenerate", [[1 << 25] * 5, [-(1 << 25)] * 5], 1)
    yield _ibert("the largest bias", "extreme wide", [[3, -3, 1, 0]], [1 << 60, -(1 << 60), 1, -1])
    yield _ibert("a bias per element, two leading axes", "axes", [[[1, 2, 4], [8, -16, 32]]], [100, -200, 300])
    stream = SplitMix64(40)
    for width in (2, 3, 64):
        x, bias = (
            stream.integers(-(1 << 20), 1 << 20, (2, 2, width), "int32"),
            stream.integers(-(1 << 40), 1 << 40, width, "int64"),
        )
        yield _ibert(f"random, D = {width}", "random", x, bias, 3)
        yield _ibert(f"random small values, D = {width}", "random tie", stream.integers(-3, 3, (8, width), "int32"))
    yield from asked("layernorm_ibert")


def _fixed(
    why: str,
    flags: str,
    x: Any,
    gain: Any = 1 << 20,
    bias: Any = 0,
    eps: int = 0,
    shift: int = 20,
    low: int = -(1 << 31),
    high: int = M31,
) -> Case:
    x = np.array(x, np.int32)
    tensors = {"x": x}
    for name, value, dtype in (("gain", gain, "int32"), ("bias", bias, "int64")):
        tensors[name] = np.array(np.broadcast_to(np.array(value, dtype), x.shape[-1:]))
    return Case(why, tensors, {"eps": eps, "shift": shift, "low": low, "high": high}, (*flags.split(),))


def layernorm_fixed() -> Iterator[Case]:
    """As layernorm_ibert; ties of z and of y, epsilon, the clip."""
    yield _fixed("ties of the mean", "tie", HALVES)
    yield _fixed("means of thirds", "tie", THIRDS)
    yield _fixed("means of quarters", "tie", QUARTERS)
    for why, row in _squares():
        yield _fixed(f"sum of squares {why}", "square", [row, [-v for v in row]], 1, shift=1)
    for eps in (1, 17, 33):  # sums of squares 21, 37 and 53: (c << 28) * f is an odd multiple of 2**30
        for bias in (0, 1):
            yield _fixed(f"ties of z, eps {eps}, bias {bias}", "tie", [[1, -1, 3, -3]], 1, bias, eps, 1)
    ties = [128 * k + d for k in (-5, -3, -1, 1, 3, 5) for d in (-1, 0, 1)]
    yield _fixed("ties of y, by the bias", "tie", [[0] * len(ties)], 0, ties, shift=8)
    clip = [256 * goal + d for goal in (-128, 127) for d in (-385, -129, -128, 127, 128, 384)]
    yield _fixed("either side of each clip", "clip", [[0] * len(clip)], 0, clip, shift=8, low=-128, high=127)
    yield _fixed(
        "no clip within int32, both ways beyond",
        "clip extreme",
        [[0] * 4],
        0,
        [1 << 60, -(1 << 60), 1 << 31, -(1 << 31)],
        shift=1,
    )
    yield _fixed("no variance: the bias", "degenerate", [[7, 7, 7], [0, 0, 0]], 99, [5 << 20, -(6 << 20), 0])
    yield _fixed("D = 1, no leading axis", "degenerate axes", [-5], 99, 9 << 20)
    for v in (1, 2, 3, 4, 7, 8, 255, 256):
        yield _fixed(f"sum of squares and eps {2 + v}: an odd or even length", "extreme", [[1, -1]], M31, 0, v, 31)
    yield _fixed("the largest eps", "extreme wide", [[1 << 20, -(1 << 20)], [3, -3]], M31, 0, 1 << 60, 31)
    yield _fixed("one outlier", "extreme", [[1 << 23, *[0] * 63], [-(1 << 23), *[1] * 63]], M31, range(64), 3, 31)
    x = np.tile(np.array([(1 << 23) - 1, 1 - (1 << 23)], np.int32), (1, 1 << 13))
    yield _fixed("alternating extremes, D = 2**14", "extreme wide", x, M31, 0, 5, 31)
    yield _fixed("all at one end", "extreme degenerate", [[1 << 23] * 5, [-(1 << 23)] * 5], M31, 1, 1, 31)
    yield _fixed(
        "the largest z, gain and bias",
        "extreme wide",
        [[1 << 23, *[0] * 63]],
        [M31, *[-(1 << 31)] * 63],
        1 << 60,
        0,
        60,
    )
    yield _fixed(
        "the same, negative", "extreme wide", [[1 << 23, *[0] * 63]], [-(1 << 31), *[M31] * 63], -(1 << 60), 0, 60
    )
    yield _fixed("shift 1", "extreme", [[5, -5, 1]], [1, -1, 2], [3, -3, 1], 1, 1)
    yield _fixed("gain 0", "degenerate", [[5, -9, 1]], [0, 0, 1 << 20], [3 << 20, -(4 << 20), 0])
    yield _fixed(
        "constants per element, two leading axes",
        "axes",
        [[[1, 2, 4], [8, -16, 32]]],
        [100, -2000, 30000],
        [10, -20, 30],
        7,
    )
    stream = SplitMix64(41)
    for width in (2, 3, 64):
        x, gain = (
            stream.integers(-(1 << 23), 1 << 23, (2, 2, width), "int32"),
            stream.integers(-(1 << 31), M31, width, "int32"),
        )
        yield _fixed(
            f"random, D = {width}", "random", x, gain, stream.integers(-(1 << 40), 1 << 40, width, "int64"), 12345, 38
        )
        yield _fixed(
            f"random small values, D = {width}", "random tie", stream.integers(-3, 3, (8, width), "int32"), 3, 0, 1, 30
        )
    yield from asked("layernorm_fixed")


def _unit(why: str, flags: str, x: Any, fraction: int = 15, dtype: str = "int32") -> Case:
    return Case(why, {"x": np.array(x, dtype)}, {"fraction": fraction}, (*flags.split(),))


def l2_normalize() -> Iterator[Case]:
    """Roots around squares, ties of both signs, zero rows, the ends of the ranges."""
    yield _unit("a zero row", "degenerate", [[0, 0, 0], [0, 1, 0]])
    yield _unit("D = 1, no leading axis", "degenerate axes", [-5], 30)
    for why, row in (
        ("3**2 + 4**2", [3, -4]),
        ("5**2 - 1", [4, 2, 2]),
        ("5**2 + 1", [5, -1, 0]),
        ("4 * 3**2", [3] * 4),
    ):
        for fraction in (1, 2, 7, 30):
            yield _unit(f"sum of squares {why}, fraction {fraction}", "square", [row, [-v for v in row]], fraction)
    for row in ([1, 1, 1, 1], [1, 3, 3, 9], [3, 1, 1, 5], [-1, 1, 7, 7]):  # roots 2, 10, 6 and 10: halves and quarters
        for fraction in (1, 2, 3):
            yield _unit(f"ties of {row}, fraction {fraction}", "tie", [row, [-v for v in row]], fraction)
    for v in range(1, 9):
        yield _unit(f"sum of squares {v}: an odd or even length", "extreme", [[1] * v, [-1] * v], 30)
    yield _unit("int8, alternating extremes", "extreme", [[127, -128, 127, -128]], 15, "int8")
    yield _unit("int16, one outlier", "extreme", [[-(1 << 15), *[1] * 7]], 24, "int16")
    yield _unit("one outlier", "extreme wide", [[1 << 23, *[0] * 63], [-(1 << 23), *[1] * 63]], 30)
    x = np.tile(np.array([1 << 23, -(1 << 23)], np.int32), (1, 1 << 13))
    yield _unit("alternating extremes, D = 2**14", "extreme wide", x, 30)
    stream = SplitMix64(42)
    for width in (2, 3, 64):
        yield _unit(f"random, D = {width}", "random", stream.integers(-(1 << 23), 1 << 23, (2, 2, width), "int32"), 24)
        yield _unit(
            f"random small values, D = {width}", "random tie", stream.integers(-3, 3, (8, width), "int8"), 3, "int8"
        )
    yield from asked("l2_normalize")


CASES: dict[str, Generator] = {
    "layernorm_ibert": layernorm_ibert,
    "layernorm_fixed": layernorm_fixed,
    "l2_normalize": l2_normalize,
}
_WIDE, _PAIR = np.zeros((1, (1 << 14) + 1), np.int32), np.zeros((8, 2), np.int32)
_LONG: list[Broken] = [
    {name: _WIDE[0].astype(dtype) for name, dtype in (("gain", np.int32), ("bias", np.int64))} | {"x": _WIDE}
]
_TENSORS: dict[str, list[Broken]] = {
    "C1": [{"x": _PAIR.astype(np.int16)}, {"bias": _PAIR[0]}],
    "C2": [*_LONG, {"bias": np.zeros(1, np.int64)}, {"x": np.zeros((8, 3), np.int32)}],
}
REFUSED: dict[str, dict[str, list[Broken]]] = {
    "layernorm_ibert": {
        **_TENSORS,
        "C3": [{"x": _PAIR - (1 << 25) - 1}, {"bias": np.full(2, (1 << 60) + 1)}],
        "C4": [{"shift": 17}, {"shift": -1}, {"eps": 1}],
        "C5": [{"x": np.full((1, 1025), 1 << 25, np.int32), "bias": np.zeros(1025, np.int64)}],
    },
    "layernorm_fixed": {
        **_TENSORS,
        "C3": [{"x": _PAIR - (1 << 23) - 1}, {"bias": np.full(2, (1 << 60) + 1)}],
        "C4": [
            {"shift": 0},
            {"shift": 61},
            {"eps": -1},
            {"eps": (1 << 60) + 1},
            {"low": -(1 << 31) - 1},
            {"high": 1 << 31},
        ],
        "C5": [
            {
                "x": np.full((1, 1 << 14), -(1 << 23), np.int32),
                "gain": np.zeros(1 << 14, np.int32),
                "bias": np.zeros(1 << 14, np.int64),
                "eps": 1 << 60,
            },
        ],
        "C6": [{"low": 1, "high": 0}],
    },
    "l2_normalize": {
        "C1": [{"x": _PAIR.astype(np.int64)}],
        "C2": [{"x": _WIDE}],
        "C3": [{"x": _PAIR - (1 << 23) - 1}],
        "C4": [{"fraction": 0}, {"fraction": 31}, {"eps": 1}],
    },
}
