"""Axes longer than a tile, a lane's counter or a byte: 129, 384, 769, 1025 and more."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref.vectors.case import Case, Generator, SplitMix64
from intref.vectors.drawn import drawn

M31 = (1 << 31) - 1
WIDTHS = (129, 384, 769, 1025)


def _case(why: str, flags: str, attrs: dict[str, Any] | None = None, **tensors: tuple[Any, str]) -> Case:
    made = {name: np.array(value, np.int64).astype(dtype) for name, (value, dtype) in tensors.items()}
    return Case(why, made, attrs or {}, (*flags.split(),))


def _long(op_name: str, number: int, **fixed: int) -> Case:
    """A random call of these sizes."""
    case = drawn(op_name, 100_000 + number, fixed=fixed)
    words = ", ".join(f"{axis} of {size}" for axis, size in fixed.items())
    return case._replace(why=f"{words}: longer than a tile", flags=("axes", "random"))


def _values(seed: int, low: int, high: int, *shape: int) -> np.ndarray:
    return SplitMix64(seed).integers(low, high, shape, "int64")


def embedding() -> Iterator[Case]:
    count = (1 << 16) + 5
    i = np.arange(count)
    ids = [s + d for k in range(7, 17) for s in (1 << k,) for d in (-1, 0, 1)] + [0, 40000, count - 1]
    why = "ids above 2**15 and 2**16"
    yield _case(why, "extreme", ids=(ids, "int32"), table=((i * 31 + (i >> 7) * 7)[:, None] % 251 - 125, "int8"))
    for width in WIDTHS:
        yield _long("embedding", width, V=3, T=2, D=width)


def mean_pool() -> Iterator[Case]:
    for width in (*WIDTHS, 513):
        yield _long("mean_pool", width, T=2, D=width)
    for bits in (10, 11, 12, 13):
        ends = np.full(((1 << bits) + 1, 2), [-(1 << 31), M31])
        mask = np.ones(len(ends), np.int64)
        yield _case(f"{len(ends)} tokens at both ends", "wide extreme", x=(ends, "int32"), mask=(mask, "int8"))


def linear() -> Iterator[Case]:
    for rows, k, n in ((2, 2049, 3), (1, 4097, 2), (65, 5, 129)):
        x, weight, bias = (_values(k, -128, 127, *shape) for shape in ((rows, k), (n, k), (n,)))
        why = f"{rows} rows of {k} to {n}: longer than a tile"
        yield _case(why, "axes random", x=(x, "int8"), weight=(weight, "int8"), bias=(bias, "int32"))


def matmul() -> Iterator[Case]:
    for rows, k, n in ((2, 2049, 3), (1, 4097, 2), (65, 5, 129)):
        a, b = _values(k, -128, 127, rows, k), _values(n, -128, 127, k, n)
        yield _case(f"{rows} rows of {k} by {n}: longer than a tile", "axes random", a=(a, "int8"), b=(b, "int8"))


def linear_int4() -> Iterator[Case]:
    for rows, k, n, group in ((2, 1025, 3, 32), (1, 2049, 2, 64), (1, 4097, 2, 128), (65, 5, 129, 2)):
        x, weight = _values(k, -128, 127, rows, k), _values(n, 0, 255, n, k + 1 >> 1)
        weight[:, -1] &= 15
        scale, bias = _values(k + n, -999, 999, n, -(-k // group)), _values(9, -999, 999, n)
        why = f"{rows} rows of {k} to {n}: longer than a tile"
        given = {"scale": (scale, "int16"), "bias": (bias, "int32")}
        yield _case(why, "axes random", {"group_size": group}, x=(x, "int8"), weight=(weight, "uint8"), **given)
    for bits in (10, 12, 14):
        x = np.full((2, 1 << bits), [[-128], [127]])
        yield _case(
            f"one group of {1 << bits}, its sum 2**{bits + 10}",
            "extreme wide",
            {"group_size": 1 << bits},
            x=(x, "int8"),
            weight=(np.full((1, 1 << bits - 1), 0x88), "uint8"),
            scale=([[1]], "int16"),
            bias=([0], "int32"),
        )
    yield _case(
        "groups far beyond int32 that cancel",
        "extreme wide",
        {"group_size": 256},
        x=([[-128] * 512], "int8"),
        weight=([[0x88] * 256], "uint8"),
        scale=([[M31 >> 16, -(M31 >> 16)]], "int16"),
        bias=([7], "int32"),
    )


def quantize_token() -> Iterator[Case]:
    for width in (*WIDTHS, 8193):
        x = _values(width, -30000, 30000, 1 + (width < 999), width)
        yield _case(f"rows of {width}", "axes random", x=(x, "int16"))
    peaks = ((1 << 23) - 5, 5_000_011, (1 << 22) + 12345, 3_333_333)
    rows = [[*_around_ties(peak), peak, -peak] for peak in peaks]
    yield _case("every tie of q, and one either side of it", "tie wide", x=(rows, "int32"))


def _around_ties(peak: int) -> list[int]:
    """x on either side of every tie of 127 * x / scale, the scale being that of this peak."""
    e = max(peak.bit_length() - 15, 0)
    scale = -(-peak >> e) << e
    inside = [(2 * n + 1) * scale // 254 + d for n in range(-127, 127) for d in (0, 1)]
    return [min(max(v, -peak), peak) for v in inside]


def _means(width: int) -> list[list[int]]:
    """Rows whose mean is a tie, or one off it for an odd width, above and below zero."""
    half = width // 2
    return [[v + 1] * half + [v] * (width - half) for v in (-2, 0, 1)]


def layernorm_ibert() -> Iterator[Case]:
    for width in (*WIDTHS, 130):
        x, bias = _means(width), _values(width, -999, 999, width)
        yield _case(f"ties of the mean of {width}", "tie axes", {"shift": 0}, x=(x, "int32"), bias=(bias, "int64"))


def _full(width: int) -> np.ndarray:
    """Values between half of the range and all of it, of both signs in turn."""
    return _values(width, 1 << 22, 1 << 23, width) * (1 - 2 * (np.arange(width) % 2))


def layernorm_fixed() -> Iterator[Case]:
    ends = {"low": -(1 << 31), "high": M31}
    for width in (*WIDTHS, 130):
        given = {"gain": (np.full(width, 1 << 20), "int32"), "bias": (_values(width, -999, 999, width), "int64")}
        attrs = {"eps": 0, "shift": 10, **ends}
        yield _case(f"ties of the mean of {width}", "tie axes", attrs, x=(_means(width), "int32"), **given)
    for width in (7552, 2048, 513, 512, 129, 128, 33):
        given = {"gain": (np.full(width, 1 << 20), "int32"), "bias": (np.zeros(width, np.int64), "int64")}
        attrs = {"eps": 0, "shift": 20, **ends}
        yield _case(f"all bits of z, a row of {width}", "wide random", attrs, x=([_full(width)], "int32"), **given)
    x = _values(25, -40, 40, 16, 6)
    given = {"gain": (np.full(6, 1 << 20), "int32"), "bias": (np.zeros(6, np.int64), "int64")}
    yield _case("all bits of z, small rows", "random", {"eps": 0, "shift": 20, **ends}, x=(x, "int32"), **given)


def l2_normalize() -> Iterator[Case]:
    for width in WIDTHS:
        yield _long("l2_normalize", width, D=width)
    for width in (8192, 2048, 512, 128, 33):
        x = [_full(width)]
        yield _case(f"all bits of y, a row of {width}", "wide random", {"fraction": 30}, x=(x, "int32"))


def softmax_ibert() -> Iterator[Case]:
    for bits in (11, 13, 14):
        k = (1 << bits) + 1
        given: dict[str, tuple[Any, str]] = {
            "x": (np.zeros((1, 1, 1, k), np.int64), "int32"),
            "mask": (np.ones((1, k), np.int64), "int8"),
        }
        attrs = {"ln2": 1, "b": 1, "c": 32767, "multiplier": 1, "shift": 30}
        yield _case(f"a sum just above 2**{bits + 15}", "extreme wide", attrs, **given)


_MADE = (embedding, mean_pool, linear, matmul, linear_int4, quantize_token, layernorm_ibert, layernorm_fixed)
REACH: dict[str, Generator] = {f.__name__: f for f in (*_MADE, l2_normalize, softmax_ibert)}
