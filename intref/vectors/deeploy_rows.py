"""Directed cases of Deeploy's norms, mean, activations and division."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref.vectors.case import Broken, Case, Generator, SplitMix64
from intref.vectors.deeploy_rows_argued import EQUIVALENT, HARMLESS, UNREACHABLE

__all__ = ["CASES", "EQUIVALENT", "HARMLESS", "REFUSED", "UNREACHABLE"]

M31 = (1 << 31) - 1
ALL = np.arange(-128, 128).astype(np.int8)


def _norm(
    why: str, flags: str, x: Any, weight: Any, bias: Any = None, shift: int = 0, dtype: str = "int8", **attrs: Any
) -> Case:
    """weight and bias of one number stand for all; without bias: of an op that has none."""
    x = np.array(x, dtype)
    tensors = {"x": x, "weight": np.array(np.broadcast_to(np.array(weight, np.int32), x.shape[-1:]))}
    if bias is not None:
        tensors["bias"] = np.array(np.broadcast_to(np.array(bias, np.int32), x.shape[-1:]))
    return Case(why, tensors, {"shift": shift, **attrs}, (*flags.split(),))


def _roots(numbers: tuple[int, ...], most: int = 127) -> list[list[int]]:
    """Rows [v, -v, w, -w] whose (v**2 + w**2) // 2 + 1 is n**2 - 1, n**2 and n**2 + 1."""
    pairs = {(v * v + w * w) // 2 + 1: (v, w) for v in range(most + 1) for w in range(v + 1)}
    return [[v, -v, w, -w] for n in numbers for near in (-1, 0, 1) for v, w in [pairs.get(n * n + near, (0, 0))]]


def _long_rows() -> Iterator[tuple[str, int, int, int]]:
    """dtype, its ends, and widths up to the widest: odd ones, whose sums are odd."""
    for bits in range(8, 14):
        yield "int8", -128, 127, (1 << bits) - (bits < 13)
        yield "uint8", 0, 255, (1 << bits) - (bits < 13)


def layernorm_deeploy() -> Iterator[Case]:
    """Rows of every kind, roots at squares, every truncation on both sides of 0, results at and past the clips."""
    one: dict[str, Any] = {"bias": 0, "overflow": "clamp"}
    yield _norm("all equal: the bias", "degenerate", [[7, 7, 7, 7]], 1 << 14, [-3, 5, 200, -200], overflow="clamp")
    for overflow in ("clamp", "wrap"):
        rows = [[1, -1, 3, -3], [127, -128, 127, -128], [-128, 0, 0, 0], [5, 6, 6, 8]]
        yield _norm(f"{overflow}: rows of every kind", "extreme", rows, [1000, -1000, 99, 7], 3, 2, overflow=overflow)
        yield _norm(f"{overflow}: one element", "degenerate", [[9], [-9]], 77, -5, overflow=overflow)
        rows = [[0, 1, 0, -1]]  # sigma 1: y = bias + c * weight
        for bias in (127, -128):
            yield _norm(f"{overflow}: either side of {bias}", "clip", rows, 1, bias, overflow=overflow)
            yield _norm(
                f"{overflow}: either side of {bias}, shifted", "clip", rows, 3, 4 * bias + 1, 2, overflow=overflow
            )
        ends = [M31, -(1 << 31), M31, -(1 << 31)]
        yield _norm(f"{overflow}: the ends", "extreme wide", rows, ends, ends[::-1], overflow=overflow)
        yield _norm(f"{overflow}: the ends, shift 31", "extreme wide", rows, ends, ends, 31, overflow=overflow)
    yield _norm("the mean is rounded toward zero", "tie", [[-1, -2, -2, -2], [1, 2, 2, 2], [-1, 0, 0, 0]], 64, **one)
    yield _norm("the mean of x and its offset", "tie", [[-1, -2, -2, -2], [1, 2, 2, 2]], 64, input_offset=3, **one)
    yield _norm("quotients of either sign, inexact", "tie", [[5, -5, 4, -4], [2, -2, 9, -9]], [7, 7, -7, -7], **one)
    yield _norm(
        "roots either side of a square",
        "square",
        _roots((2, 3, 7, 11, 16, 25, 60, 64, 68, 100, 125)),
        9000,
        shift=3,
        **one,
    )
    yield _norm(
        "unsigned", "dtype extreme", [[255, 0, 128, 127], [200, 255, 255, 255]], 300, 9, 3, "uint8", overflow="wrap"
    )
    yield _norm("int8 moved to unsigned", "extreme", [[-128, 127, 0, -1]], 300, 9, 3, overflow="wrap", input_offset=128)
    yield _norm(
        "unsigned moved to int8",
        "dtype extreme",
        [[255, 0, 9]],
        300,
        9,
        3,
        "uint8",
        overflow="clamp",
        input_offset=-128,
    )
    for dtype, low, high, width in _long_rows():
        kinds = ([low], [high], [high, low], [high] * 3 + [low])
        long = np.array([np.resize(kind, width) for kind in kinds])
        why = f"{width} elements of {dtype}: ends, and both in turn"
        yield _norm(why, "extreme wide", long, 1 << 30, 1 << 30, 14, dtype, overflow="wrap")
    yield _norm(
        "a sum of squares beyond 24 bits", "wide", np.resize([127, 127, 127, -128], 2047), 1 << 20, 0, overflow="wrap"
    )
    yield _norm("a long row of the minimum", "wide", np.full(5000, -128), 9, 5, overflow="clamp")
    x = SplitMix64(31).integers(-128, 127, (2, 3, 16), "int8")
    gains = SplitMix64(32).integers(200000, 300000, 16, "int32")
    offsets = SplitMix64(33).integers(-40000, 40000, 16, "int32")
    for count in (7, 37):
        few = SplitMix64(44).integers(-128, 127, (count, 3), "int8")
        yield _norm(f"{count} rows", "random axes", few, 1 << 14, 1 << 17, 13, overflow="wrap")
    yield _norm("random, as CCT's", "random axes", x, gains, offsets, 14, overflow="clamp")


def rmsnorm_deeploy() -> Iterator[Case]:
    """Rows of every kind, roots at squares, truncation on both sides of 0, products that wrap, clips."""
    yield _norm("all 0", "degenerate", [[0, 0, 0, 0]], 1 << 14)
    rows = [[1, -1, 3, -3], [127, -128, 127, -128], [-128, 0, 0, 0], [5, 6, 6, 8]]
    yield _norm("rows of every kind", "extreme", rows, [1000, -1000, 99, 7], shift=2)
    yield _norm("one element", "degenerate", [[9], [-9], [0]], 77)
    yield _norm("a mean of squares that is exact, over 3", "square", [[3, 0, 0], [9, 9, -9], [8, 4, 2]], 99)
    yield _norm("either side of the clips", "clip", [[1, 1, 1, -1, -1, -1, 0, 0]], [126, 127, 128, 127, 128, 129, 9, 9])
    yield _norm("products that wrap", "wide extreme", rows, [M31, -(1 << 31), 1 << 24, 1 << 25], shift=20)
    yield _norm("products that wrap, shift 31", "wide extreme", rows, [M31, -(1 << 31), 1 << 24, 1 << 25], shift=31)
    yield _norm(
        "products either side of 2**31",
        "wide",
        [[127, 64, 64, -128]],
        [16909320, 1 << 25, (1 << 25) - 1, 1 << 24],
        shift=18,
    )
    yield _norm("quotients of either sign, inexact", "tie", [[5, -5, 4, -4], [2, -2, 9, -9]], [7, 7, -7, -7])
    yield _norm(
        "roots either side of a square", "square", _roots((2, 3, 7, 11, 16, 25, 60, 64, 68, 100, 125)), 9000, shift=3
    )
    large = np.abs(_roots((127, 128, 129, 200, 201, 202, 253), 255))
    yield _norm("roots of 8 bits either side of a square", "square", large, 99999, shift=3, dtype="uint8")
    yield _norm("unsigned", "dtype extreme", [[255, 0, 128, 127]], 300, shift=3, dtype="uint8")
    yield _norm("int8 moved to unsigned", "extreme", [[-128, 127, 0, -1]], 300, shift=3, input_offset=128)
    for dtype, low, high, width in _long_rows():
        why = f"{width} elements of {dtype}: ends in turn"
        long = np.array([np.resize(kind, width) for kind in ([high, low], [high])])
        yield _norm(why, "extreme wide", long, 1 << 30, shift=14, dtype=dtype)
    for count in (7, 37):
        few = SplitMix64(45).integers(-128, 127, (count, 3), "int8")
        yield _norm(f"{count} rows", "random axes", few, 1 << 20, shift=14)
    x = SplitMix64(34).integers(-128, 127, (2, 3, 16), "int8")
    yield _norm(
        "random, as microLlama's", "random axes", x, SplitMix64(35).integers(3 << 20, 4 << 20, 16, "int32"), shift=16
    )


def _nonorm(why: str, flags: str, x: Any, weight: Any, bias: Any, mul: int, shift: int, overflow: str) -> Case:
    tensors: dict[str, Any] = {"x": np.array(x, np.int8), "weight": np.array(weight, np.int8)}
    tensors["bias"] = np.array(bias, np.int32)
    return Case(why, tensors, {"mul": mul, "shift": shift, "overflow": overflow}, (*flags.split(),))


def nonorm_deeploy() -> Iterator[Case]:
    """Sums and products either side of their wraps, clips of both kinds, weights per channel and per element."""
    x: Any = [[1, -1, 3], [-128, 127, 0]]
    weight: Any = [5, -7, 127]
    bias: Any = [100, -100, 9]
    for overflow in ("clamp", "wrap"):
        yield _nonorm(f"{overflow}: weights per channel", "axes", x, weight, bias, 425, 10, overflow)
        yield _nonorm(f"{overflow}: weights per element", "axes", x, [weight, [1, 2, -3]], bias, 425, 10, overflow)
        near = [[0] * 6], [0] * 6
        yield _nonorm(
            f"{overflow}: either side of the ends", "clip", *near, [126, 127, 128, -127, -128, -129], 1, 0, overflow
        )
        halves = [253, 254, 255, 256, -257, -258]
        yield _nonorm(f"{overflow}: either side of the ends, halved", "clip tie", *near, halves, 1, 1, overflow)
        ends = [[127, -128, 1, -1]], [127, 127, 1, 1], [M31, -(1 << 31), M31, -(1 << 31)]
        yield _nonorm(
            f"{overflow}: the largest sum",
            "wide extreme",
            [[0] * 3],
            [0] * 3,
            [M31, M31 - 127, 1 << 30],
            1,
            0,
            overflow,
        )
        yield _nonorm(f"{overflow}: sums that wrap", "wide extreme", *ends, 1, 24, overflow)
        yield _nonorm(f"{overflow}: the largest product", "wide extreme", *ends, -(1 << 31), 31, overflow)
        yield _nonorm(f"{overflow}: products that wrap", "wide extreme", *ends, M31, 28, overflow)
    stream = SplitMix64(36)
    x, weight = (stream.integers(-128, 127, shape, "int8") for shape in ((2, 2, 3, 5), (3, 5)))
    bias = stream.integers(-5000, 5000, 5, "int32")
    yield _nonorm("random, leading axes", "random axes", x, weight, bias, 425, 16, "wrap")
    yield _nonorm("random, a square", "random axes", x[..., :3], weight[:, :3], bias[:3], 425, 16, "clamp")


def _eight(why: str, flags: str, x: Any = ALL, dtype: str = "int8", **attrs: int) -> Case:
    return Case(why, {"x": np.array(x, dtype)}, attrs, (*flags.split(),))


def gelu_deeploy() -> Iterator[Case]:
    """Every x at the constants of a network and at the ends of theirs."""
    yield _eight("constants of CCT", "extreme", b=-40, one=1743)
    yield _eight("an odd constant", "tie extreme", b=-24, one=633)
    yield _eight("unsigned", "dtype extreme", np.arange(256), "uint8", b=-40, one=1743)
    yield _eight("moved", "extreme", b=-40, one=1743, input_offset=128)
    yield _eight("moved down", "extreme", b=-40, one=1743, input_offset=-128)
    for b, one in ((-128, (1 << 15) - 1), (-128, -(1 << 15)), (0, 0), (-1, 1), (0, -3)):
        yield _eight(f"b = {b}, one = {one}", "extreme degenerate", b=b, one=one)
    yield _eight("rows", "axes", ALL.reshape(2, 8, 16), b=-72, one=5683)


def hardswish_deeploy() -> Iterator[Case]:
    """Every x at the constants of a network and at the ends of theirs; products that wrap."""
    yield _eight("constants of microLlama", "clip extreme", one_over_six=42, three=122, six=244)
    yield _eight("constants of the kernel's test", "extreme", one_over_six=33, three=765, six=1530)
    yield _eight(
        "inside, at both clips and beyond", "clip", [-11, -10, -9, 9, 10, 11], one_over_six=1, three=10, six=20
    )
    yield _eight("unsigned", "dtype extreme", np.arange(256), "uint8", one_over_six=42, three=0, six=244)
    yield _eight("moved: the factor x is not", "extreme", one_over_six=42, three=122, six=244, input_offset=-128)
    yield _eight("products that wrap", "wide extreme", one_over_six=1 << 16, three=1 << 16, six=1 << 16)
    yield _eight(
        "products either side of 2**31", "wide", [127, -128, 128 - 1, 1], one_over_six=16909, three=1000, six=1000
    )
    yield _eight("all constants 0", "degenerate", one_over_six=0, three=0, six=0)
    yield _eight("rows", "axes", ALL.reshape(2, 8, 16), one_over_six=42, three=213, six=426, input_offset=128)


def _divide(why: str, flags: str, x: Any, den: Any, rounding: str = "half_away", **attrs: int) -> Case:
    x = np.array(x, np.int32)
    tensors = {"x": x, "den": np.array(den, np.int32).reshape(*x.shape[:-1], 1)}
    return Case(why, tensors, {"delta": 1, "eta": 1, "eps": 1, **attrs, "rounding": rounding}, (*flags.split(),))


def divide_deeploy() -> Iterator[Case]:
    """Ties of both signs over even and odd divisors, wraps, the largest products, a zero divisor."""
    near = [*range(-9, 10)]
    ends = [M31, -(1 << 31), -M31, 1, -1, 0, 1 << 30]
    for rounding in ("half_away", "floor"):
        yield _divide(f"{rounding}: halves, quarters and thirds", "tie", [near] * 4, [1, 2, 3, 5], rounding)
        yield _divide(f"{rounding}: a divisor of 0", "degenerate", [near], [0], rounding)
        yield _divide(f"{rounding}: constants of microLlama", "wide", [near], [2], rounding, delta=16384, eta=200000)
        yield _divide(f"{rounding}: quotients that wrap", "wide extreme", [ends], [0], rounding, delta=3)
        largest = {"delta": (1 << 24) - 1, "eta": 256}
        yield _divide(
            f"{rounding}: the largest numerators", "wide extreme", [ends] * 3, [0, M31, 1 << 30], rounding, **largest
        )
        largest = {"delta": 255, "eta": 1 << 24, "eps": M31}
        yield _divide(f"{rounding}: the largest divisor", "wide extreme", [ends] * 2, [M31, 5], rounding, **largest)
        x = SplitMix64(37).integers(-40000, 40000, (2, 3, 4), "int32")
        den = SplitMix64(38).integers(0, 60000, (2, 3, 1), "int32")
        yield _divide(f"{rounding}: random, as WaveFormer's", "random axes", x, den, rounding, delta=65536, eta=7)


def mean_deeploy() -> Iterator[Case]:
    """Ties of both signs over even and odd counts, and the ends of every dtype."""
    columns = [[-3, -1, 0, 1, 3, 5], [0] * 6]
    for rounding in ("half_up", "half_away"):
        attrs = {"rounding": rounding}
        yield Case(f"{rounding}: halves", {"x": np.array(columns, np.int8)}, attrs, ("tie",))
        quarters = np.array([[*range(-9, 10)]] + [[0] * 19] * 3, np.int8)
        yield Case(f"{rounding}: quarters", {"x": quarters}, attrs, ("tie",))
        yield Case(f"{rounding}: thirds", {"x": quarters[:3]}, attrs, ("tie",))
        yield Case(f"{rounding}: one row", {"x": ALL[None]}, attrs, ("degenerate",))
        for dtype in ("int8", "uint8", "int16"):
            info = np.iinfo(dtype)
            rows = np.array([[info.min, info.max, info.max], [info.min, info.max, info.min]], dtype)
            yield Case(f"{rounding}: ends of {dtype}", {"x": rows}, attrs, ("extreme", "dtype"))
        x = SplitMix64(39).integers(-128, 127, (2, 3, 5, 4), "int8")
        yield Case(f"{rounding}: random, leading axes", {"x": x}, attrs, ("random", "axes"))
    for value, bits in ((v, bits) for v in (-(1 << 15), (1 << 15) - 1) for bits in range(3, 14)):
        x = np.full((1 << bits, 1), value, np.int16)
        yield Case(f"{1 << bits} times {value}", {"x": x}, {"rounding": "half_away"}, ("wide", "extreme"))
    for value in (1 - (1 << 15), (1 << 15) - 1):
        x = np.full((1025, 1), value, np.int16)
        yield Case(f"1025 times {value}: an odd sum", {"x": x}, {"rounding": "half_up"}, ("wide",))


CASES: dict[str, Generator] = {
    f.__name__: f
    for f in (
        layernorm_deeploy,
        rmsnorm_deeploy,
        nonorm_deeploy,
        gelu_deeploy,
        hardswish_deeploy,
        divide_deeploy,
        mean_deeploy,
    )
}
_LONG = np.zeros((1, (1 << 13) + 1), np.int8)
_OFFSETS: list[Broken] = [{"input_offset": -129}, {"input_offset": 129}]
_X: list[Broken] = [{"x": np.zeros((1, 4), np.int16)}]
_NORM: dict[str, list[Broken]] = {
    "C1": _X,
    "C2": [{"weight": np.zeros(5, np.int32)}, {"x": _LONG, "weight": np.zeros((1 << 13) + 1, np.int32)}],
    "C4": [*_OFFSETS, {"shift": 32}, {"shift": -1}],
    "C5": [
        {"x": np.full((1, 4), -1, np.int8), "input_offset": -128},
        {"x": np.full((1, 4), 128, np.uint8), "input_offset": 128},
    ],
}
REFUSED: dict[str, dict[str, list[Broken]]] = {
    "layernorm_deeploy": {**_NORM, "C4": [*_NORM["C4"], {"overflow": "saturate"}]},
    "rmsnorm_deeploy": _NORM,
    "nonorm_deeploy": {
        "C1": [*_X, {"weight": np.zeros(3, np.int16)}],
        "C2": [{"weight": np.zeros(4, np.int8)}, {"bias": np.zeros((2, 3), np.int32)}],
        "C4": [{"shift": 32}, {"mul": 1 << 31}, {"overflow": "saturate"}],
    },
    "gelu_deeploy": {
        "C1": _X,
        "C2": [{"x": np.zeros((0,), np.int8)}],
        "C4": [*_OFFSETS, {"b": 1}, {"one": 1 << 15}],
    },
    "hardswish_deeploy": {
        "C1": _X,
        "C2": [{"x": np.zeros((0,), np.int8)}],
        "C4": [*_OFFSETS, {"three": -1}, {"six": (1 << 16) + 1}, {"one_over_six": -1}],
    },
    "divide_deeploy": {
        "C1": _X,
        "C2": [{"den": np.ones((4, 2), np.int32)}, {"den": np.ones(4, np.int32)}],
        "C3": [{"den": np.full((4, 1), -1, np.int32)}],
        "C4": [{"delta": 0}, {"eta": 0}, {"eps": 0}, {"rounding": "half_up"}],
        "C5": [{"delta": 1 << 16, "eta": 1 << 16}],
    },
    "mean_deeploy": {
        "C1": [{"x": np.zeros((2, 2), np.int32)}],
        "C2": [{"x": np.zeros(4, np.int8)}, {"x": np.zeros(((1 << 13) + 1, 1), np.int8)}],
        "C4": [{"rounding": "floor"}],
    },
}
