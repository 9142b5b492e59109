"""Directed cases of the token-wise scales."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref.ops.op import INTS
from intref.vectors.asked import asked
from intref.vectors.case import Broken, Case, Generator, SplitMix64

EQUIVALENT: dict[str, dict[str, str]] = {
    "quantize_token": {
        "x -> -x in peak = maximum(max_along(absolute(x), -1), 1)": "|-x| is |x|",
        "peak -> peak - 1 in e = maximum(bitlen(peak) - 15, 0)": (
            "they part at peaks of 2**15 and above that are powers of two: mantissa 2**14, and over gives the exponent"
        ),
    },
}
M31 = (1 << 31) - 1
PEAKS = (
    *(1, 2, 3, 127, 128, 254, 255, (1 << 15) - 2, (1 << 15) - 1, 1 << 15, (1 << 15) + 1),
    *((1 << 16) - 3, (1 << 16) - 2, (1 << 16) - 1, 1 << 16, (1 << 16) + 1, (1 << 17) - 3, (1 << 17) - 2, (1 << 17) + 1),
    *(3 << 20, (1 << 22) - 1, (1 << 22) + 1, (1 << 23) - 256, (1 << 23) - 255, (1 << 23) - 1, 1 << 23),
)


def _tokens(why: str, flags: str, x: Any, dtype: str = "int32") -> Case:
    return Case(why, {"x": np.array(x, dtype)}, {}, (*flags.split(),))


def _scale(peak: int) -> int:
    bits = max(peak.bit_length() - 15, 0)
    return -(-peak >> bits) << bits


def _near_tie(peak: int) -> list[int]:
    """Elements of a row with this peak whose quotient lies on a tie (an even scale) or just at it, and neighbours."""
    scale = _scale(peak)
    x = -(scale // 2) * pow(127, -1, scale) % scale  # 127 * x + floor(scale / 2) is a multiple of scale
    return [min(max(v + d, -peak), peak) for v in (x, x - scale) for d in (-1, 0, 1)]


def quantize_token() -> Iterator[Case]:
    """Peaks either side of every step of mantissa and exponent; ties of the quotient."""
    rows = [[peak, -peak, 0, 1, -1] for peak in PEAKS]
    yield _tokens("peaks at every step of mantissa and exponent", "extreme clip", rows)
    yield _tokens("the peak is negative", "extreme", [[1 - peak, -peak] for peak in PEAKS])
    yield _tokens(
        "ties at the largest even and odd scales", "tie", [[p, *_near_tie(p)] for p in PEAKS if _scale(p) % 127]
    )
    yield _tokens("scale 254: x is twice the result", "tie", [[254, *range(-9, 10)]])
    yield _tokens("a zero row, a row of ones", "degenerate", [[0, 0], [1, -1]])
    yield _tokens("one element", "degenerate", [[-8], [5], [0]])
    yield _tokens("no leading axis", "axes", [300, -70, 5])
    yield _tokens("int16 extremes", "dtype extreme", [[-(1 << 15), 77], [(1 << 15) - 1, -77]], "int16")
    yield _tokens("each row has its own scale", "axes", [[[100, 50]], [[100000, -50]]])
    stream = SplitMix64(30)
    yield _tokens("random", "random", stream.integers(-(1 << 23), 1 << 23, (2, 3, 17), "int32"))
    yield _tokens("random, int16", "random", stream.integers(-(1 << 15), (1 << 15) - 1, (9, 5), "int16"), "int16")
    yield from asked("quantize_token")


def _scaled(
    why: str,
    flags: str,
    x: Any,
    mantissa: Any = 1,
    exponent: Any = 0,
    multiplier: Any = 1,
    shift: Any = 0,
    bias: Any = 0,
    output: str = "int32",
    residual: Any = None,
    by: tuple[int, int] = (1, 0),
    **attrs: int,
) -> Case:
    """Constants of one value are repeated to the size of x's last axis, scales to its rows."""
    x = np.array(x, np.int32)
    rows, width = (*x.shape[:-1], 1), x.shape[-1:]
    tensors = {"x": x}
    for name, value, dtype, shape in (
        *(("mantissa", mantissa, "int16", rows), ("exponent", exponent, "int8", rows)),
        *(("multiplier", multiplier, "int32", width), ("shift", shift, "int8", width), ("bias", bias, "int64", width)),
    ):
        tensors[name] = np.array(np.broadcast_to(np.array(value, dtype), shape))
    if residual is not None:
        tensors["residual"] = np.array(np.broadcast_to(np.array(residual, np.int32), x.shape))
        tensors["residual_multiplier"] = np.array(by[:1], np.int32)
        tensors["residual_shift"] = np.array(by[1:], np.int8)
    return Case(why, tensors, {"output": output, **attrs}, (*flags.split(),))


def _both(residual: Any = None) -> Iterator[Case]:
    """What rescale_token and rescale_token_residual share."""
    near = [128 * k + d for k in (-5, -3, -1, 1, 3, 5) for d in (-1, 0, 1)]
    yield _scaled("ties", "tie", [near], residual=residual)
    yield _scaled(
        "a product just below and on a tie", "tie", [[-257, -256, -255, 255, 256, 257]], shift=1, residual=residual
    )
    yield _scaled("ties of the bias", "tie", [[0] * len(near)], bias=near, residual=residual)
    clip = [[256 * goal + d for goal in (-128, 127) for d in (-385, -129, -128, 127, 128, 384)]]
    yield _scaled("either side of each clip", "clip", clip, output="int8", residual=residual)
    yield _scaled("a clip of the site's own", "clip", clip, output="int8", low=-127, high=126, residual=residual)
    ends = [[M31, -(1 << 31), -1, 1, 0]]
    for output in INTS:
        yield _scaled(
            f"the largest product, to {output}",
            "extreme wide dtype",
            ends,
            (1 << 15) - 1,
            0,
            (1 << 16) - 1,
            15,
            output=output,
            residual=residual,
        )
    for shift, exponent in ((0, 0), (9, 9), (62, 0), (71, 9)):
        yield _scaled(
            f"shift {shift}, exponent {exponent}",
            "extreme",
            ends,
            (1 << 15) - 1,
            exponent,
            (1 << 16) - 1,
            shift,
            output="int64",
            residual=residual,
        )
    yield _scaled(
        "bias at its ends",
        "extreme wide",
        [[0, 0, 7, -7]],
        bias=[1 << 40, -(1 << 40)] * 2,
        output="int64",
        residual=residual,
    )
    yield _scaled(
        "multiplier 0: the rounded bias", "degenerate", [[9, -9]], multiplier=0, bias=[384, -384], residual=residual
    )
    rows = [[[1000, -2000, 3000], [1000, -2000, 3000]]]
    yield _scaled(
        "a scale per token, constants per channel",
        "axes",
        rows,
        [[[5], [700]]],
        [[[0], [3]]],
        [3, 50, 700],
        [4, 5, 6],
        [100, -200, 300],
        residual=residual,
    )
    yield _scaled("no leading axis, one channel", "degenerate axes", [77777], 3, 1, 5, 2, 9, residual=residual)
    stream = SplitMix64(31)
    drawn = (
        stream.integers(-(1 << 31), M31, (2, 3, 8), "int32"),
        stream.integers(1, (1 << 15) - 1, (2, 3, 1), "int16"),
        stream.integers(0, 9, (2, 3, 1), "int8"),
        stream.integers(1 << 15, (1 << 16) - 1, 8, "int32"),
        stream.integers(40, 50, 8, "int8"),
        stream.integers(-(1 << 20), 1 << 20, 8, "int64"),
    )
    yield _scaled("random", "random axes", *drawn, residual=residual)


def rescale_token() -> Iterator[Case]:
    """Ties at the last rounding, floors before it, scales per token, constants per channel."""
    yield from _both()
    yield from asked("rescale_token")


def rescale_token_residual() -> Iterator[Case]:
    """The cases of rescale_token with a residual that vanishes, then those of the residual."""
    yield from _both(0)
    near = [128 * k + d for k in (-3, -1, 1, 3) for d in (-1, 0, 1)]
    yield _scaled("ties of the residual", "tie", [[0] * 12], residual=[near])
    yield _scaled(
        "the residual is rounded down at its guard bits", "tie", [[128] * 4], residual=[[-3, -1, 1, 3]], by=(1, 1)
    )
    yield _scaled(
        "both terms are rounded down apart",
        "tie",
        [[255, 257, -255, -257]],
        shift=1,
        residual=[[1, 1, -1, -1]],
        by=(1, 1),
    )
    for shift in (0, 31, 62):
        yield _scaled(
            f"the largest residual over 2**{shift}",
            "extreme wide",
            [[0, 0, 1]],
            output="int64",
            residual=[[1 << 23, -(1 << 23), -1]],
            by=(M31, shift),
        )
    yield _scaled("a residual without weight", "degenerate", [[500, -500]], residual=[[999, -999]], by=(0, 0))
    yield _scaled(
        "a residual per element", "axes", [[[0, 0], [0, 0]]], residual=[[[256, 512], [1024, 2048]]], by=(3, 1)
    )
    stream = SplitMix64(32)
    x = stream.integers(-(1 << 24), 1 << 24, (2, 3, 8), "int32")
    residual = stream.integers(-(1 << 23), 1 << 23, (2, 3, 8), "int32")
    yield _scaled("random residual", "random", x, 29000, 2, 40000, 35, -1234, residual=residual, by=(1234567891, 29))
    yield from asked("rescale_token_residual")


CASES: dict[str, Generator] = {
    "quantize_token": quantize_token,
    "rescale_token": rescale_token,
    "rescale_token_residual": rescale_token_residual,
}
_SCALED: dict[str, list[Broken]] = {
    "C1": [
        {"x": np.zeros((1, 18), np.int64)},
        {"mantissa": np.ones((1, 1), np.int32)},
        {"bias": np.zeros(18, np.int32)},
    ],
    "C2": [
        {"mantissa": np.ones((1, 18), np.int16)},
        {"multiplier": np.ones(1, np.int32)},
        {"exponent": np.ones((2, 1), np.int8)},
        {"exponent": np.ones(1, np.int8)},
    ],
    "C3": [
        {"mantissa": np.zeros((1, 1), np.int16)},
        {"exponent": np.full((1, 1), 10, np.int8)},
        {"multiplier": np.full(18, 1 << 16, np.int32)},
        {"shift": np.full(18, 72, np.int8)},
        {"bias": np.full(18, (1 << 40) + 1)},
    ],
    "C4": [{"output": "uint8"}, {"rounding": "floor"}],
    "C5": [{"low": 1, "high": 0}, {"output": "int8", "high": 128}],
    "C6": [{"exponent": np.ones((1, 1), np.int8)}, {"shift": np.full(18, 63, np.int8)}],
}
REFUSED: dict[str, dict[str, list[Broken]]] = {
    "quantize_token": {
        "C1": [{"x": np.zeros((1, 3), np.int8)}],
        "C2": [{"x": np.array(3, np.int32)}, {"x": np.zeros((1, 0), np.int32)}],
        "C3": [{"x": np.array([(1 << 23) + 1], np.int32)}, {"x": np.array([-(1 << 23) - 1], np.int32)}],
        "C4": [{"bits": 8}],
    },
    "rescale_token": _SCALED,
    "rescale_token_residual": {
        **_SCALED,
        "C2": [*_SCALED["C2"], {"residual_shift": np.zeros(2, np.int8)}, {"residual": np.zeros((1, 1), np.int32)}],
        "C3": [
            *_SCALED["C3"],
            {"residual": np.full((1, 18), (1 << 23) + 1, np.int32)},
            {"residual_multiplier": np.array([-1], np.int32)},
            {"residual_shift": np.array([63], np.int8)},
        ],
    },
}
