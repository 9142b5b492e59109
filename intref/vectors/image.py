"""Directed cases of ops/image.py."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref.vectors.case import Broken, Case, Generator, SplitMix64

_COUNT = "count = maximum(before + span + after - dilation * (length - 1) - 1, 0) // stride + 1"
_FITS = "the window fits: the difference is never negative"
_PLACES = {
    "_places: maximum(before + span + after - dilation * (length - 1) - 1, 0) -> "
    f"before + span + after - dilation * (length - 1) - 1 in {_COUNT}": _FITS,
    f"_places: 0 -> -1 in {_COUNT}": _FITS,
}
_ONE = "a maximum leaves one element along its axis: the first is the last"
_DENSE = "max_pool has no dilation: it is 1"
_NO_ELEMENT = "past the end there is no element that a result could show"
_INT32 = "y is int32: a sum beyond it is refused"
_LOW = "y is int32: the two have the same low 32 bits, and one that does not fit is refused where it is not wrapped"
_WRAP = "return {'y': wrap_int32(y) if overflow == 'wrap' else y}"
_FOUND = "NumPy takes any negative size for the one that it is to find"
_SIZES = "groups, share, length = (channels // depth, filters * depth // channels, depth * height * width)"
_RESHAPES = {
    _SIZES: "channels depth filters depth#2 channels#2 depth#3 height width",
    "apart = taps.reshape((batch, groups, depth, height, rows, columns, width))": "batch groups depth height rows "
    "columns width",
    "windows = swap(swap(apart, 2, 4), 3, 5).reshape((batch, groups, rows * columns, length))": "batch groups rows "
    "columns length",
    "kernels = weight.reshape((groups, share, length))": "groups share length",
    "return {'y': sums.reshape((batch, filters, rows, columns)) + spread(bias, 1, 4)}": "batch filters rows columns",
}
_SHAPES = {
    f"{name} -> -{name} in {line}" + (f" #{again}" if again else ""): _FOUND
    for line, names in _RESHAPES.items()
    for name, _, again in (word.partition("#") for word in names.split())
}
_OUTSIDE = "what is read in place of an element outside is not taken: it counts 0"
_READ = "return where((at >= 0) & (at <= last), x[..., saturate(at, 0, last)], 0)"
_CONV = {
    "-2 -> 2 in down = _windows(swap(x - zero_point, -1, -2), "
    "_places(tall, height, stride_y, dilation_y, top, bottom))": "four axes: -2 is 2",
    "-2 -> 2 in sums = swap(product(windows, swap(kernels, -1, -2)), -1, -2) #2": "four axes: -2 is 2",
    f"_windows: x -> -x in {_READ}": "there are two of them: the signs cancel",
    f"_windows: 0 -> -1 in {_READ} #2": _OUTSIDE,
}
_MODULO = "modulo 2**32 the two agree, and a y that does not fit is refused"
_CLIPS = (
    *("0 beyond either side", "high for every value outside", "high one too high", "low one too low"),
    *("no high side", "no low side", "the wrong side"),
)
EQUIVALENT: dict[str, dict[str, str]] = {
    "elementwise": {
        f"wrap_int32(y) if overflow == 'wrap' else y -> wrap_int32(y) in {_WRAP}": _LOW,
        f"wrap_int32(y) if overflow == 'wrap' else y -> y in {_WRAP}": _LOW,
        f"overflow == 'wrap' -> overflow != 'wrap' in {_WRAP}": _LOW,
        f"wrap_int32(y) -> y in {_WRAP}": _LOW,
    },
    "conv2d": {**_PLACES, **_SHAPES, **_CONV},
    "max_pool": {
        **_PLACES,
        f"_places: dilation * (length - 1) -> length - 1 in {_COUNT}": _DENSE,
        "_places: np.arange(length) * dilation -> np.arange(length) "
        "in return np.arange(count)[:, None] * stride + np.arange(length) * dilation - before": _DENSE,
        "0 -> -1 in down = max_along(swap(x, -1, -2)[..., rows], -1)[..., 0]": _ONE,
        "0 -> -1 in return {'y': max_along(swap(down, -1, -2)[..., columns], -1)[..., 0]}": _ONE,
    },
}
HARMLESS: dict[str, dict[str, str]] = {
    "conv2d": {
        **{f"clip ? of 2: {wrong}": _OUTSIDE for wrong in _CLIPS},
        "accumulator wrapped to 32 bits": _MODULO,
        "bias read as uint32": _MODULO,
        "no saturation (the result wraps)": _MODULO,
    },
    "max_pool": {"clip * of 2: high one too high": _NO_ELEMENT, "clip * of 2: no high side": _NO_ELEMENT},
    "elementwise": {
        **dict.fromkeys(("addition: wrapped to 32 bits", "difference: wrapped to 32 bits"), _LOW),
        **dict.fromkeys(("product: wrapped to 32 bits", "wrap: not done", "? read as uint32"), _LOW),
    },
    "sum_rows": {
        "sum: saturated to 32 bits": _INT32,
        "sum: wrapped to 32 bits": _MODULO,
        "x read as uint32": _MODULO,
    },
}
UNREACHABLE: dict[str, dict[str, str]] = {
    "conv2d": {
        r"axis [UV]: (odd, above 32|a multiple of 32)": "U, V <= 2**4",
        r"product\(windows.* \| (negative|positive), (3[3-9]|4\d|5\d|6\d) bits": "y and the bias are int32",
    },
    "sum_rows": {
        r"sum_along\(x, -2\) \| (negative|positive), (3[3-9]|4\d|5\d) bits": _INT32,
        r"sum_along\(x, -2\) \| positive, 32 bits": _INT32,
    },
}
ENDS = {
    "int8": (-128, 127),
    "uint8": (0, 255),
    "int16": (-(1 << 15), (1 << 15) - 1),
    "int32": (-(1 << 31), (1 << 31) - 1),
}
M31 = (1 << 31) - 1
Attrs = dict[str, Any]


def _conv(why: str, flags: str, x: Any, weight: Any, bias: Any, dtype: str = "int8", **attrs: int) -> Case:
    tensors = {"x": np.array(x, dtype), "weight": np.array(weight, np.int8), "bias": np.array(bias, np.int32)}
    return Case(why, tensors, attrs, (*flags.split(),))


def _image(*shape: int, first: int = 1) -> np.ndarray:
    """All elements different, within int8 as far as they are few."""
    return np.arange(first, first + np.prod(shape)).reshape(shape)


def conv2d() -> Iterator[Case]:
    """Every tap counts: strides, dilations, edges and groups that differ from axis to axis."""
    tap = _image(2, 3, 2, 3, first=-9)
    yield _conv("sizes that differ, all of them", "axes", _image(2, 3, 4, 5, first=-60), tap, [7, -5])
    yield _conv("one pixel, one tap", "degenerate", [[[[-128]]], [[[127]]]], [[[[-128]]]], [1])
    edges: Attrs = {"top": 1, "bottom": 2, "left": 3, "right": 0}
    yield _conv("other edges on every side", "axes", _image(1, 1, 2, 3), _image(1, 1, 2, 2), [0], **edges)
    yield _conv("strides that differ", "axes", _image(1, 1, 7, 8), [[[[1, 2], [3, 4]]]], [0], stride_y=3, stride_x=2)
    far: Attrs = {"dilation_y": 2, "dilation_x": 3, "top": 1, "left": 2, "right": 1}
    yield _conv("dilations that differ", "axes", _image(1, 1, 4, 5), [[[[1, 10], [100, -1]]]], [5], **far)
    yield _conv("two groups of two channels", "axes", _image(1, 4, 2, 2), _image(6, 2, 1, 2, first=-3), range(6))
    yield _conv("one channel each, two filters", "axes", _image(1, 2, 3, 2), _image(4, 1, 2, 1, first=-3), [0, 1, 2, 3])
    around: Attrs = {"top": 1, "bottom": 1, "left": 1, "right": 1}
    point = [[[[1, -2, 3], [4, 5, -6], [7, 8, 9]]]]
    yield _conv("a zero point, also around", "axes", _image(1, 1, 2, 2), point, [0], zero_point=3, **around)
    yield _conv(
        "a zero point of bytes", "dtype", [[[[0, 255], [128, 7]]]], point, [9], "uint8", zero_point=128, **around
    )
    yield _conv("the lowest zero point", "extreme", [[[[127, -128]]]], [[[[127, -128]]]], [0], zero_point=-128)
    yield _conv("the highest zero point", "extreme", [[[[0, 255]]]], [[[[127, -128]]]], [0], "uint8", zero_point=255)
    for axis, sides in (("y", ("top", "bottom")), ("x", ("left", "right"))):
        far = {f"{word}_{axis}": 256 for word in ("stride", "dilation")}
        far |= dict(zip(sides, (300, 257)))
        two = _image(1, 1, 2, 1) if axis == "y" else _image(1, 1, 1, 2)
        yield _conv(f"long steps, wide edges along {axis}", "axes", _image(1, 1, 2, 3), two, [0], **far)
    yield _conv(
        "all zero gives the bias", "degenerate", np.zeros((1, 1, 2, 2), int), [[[[127]]], [[[-128]]]], [-M31 - 1, M31]
    )
    for dtype in ("int8", "uint8", "int16"):
        low, high = ENDS[dtype]
        ends = [[[[low, low, high, high]]]]
        yield _conv(f"extremes of {dtype}", "dtype extreme", ends, [[[[-128, -128]]], [[[127, 127]]]], [-1, 1], dtype)
    full = np.full((1, 1024, 1, 1), -(1 << 15))
    yield _conv("the lowest accumulator, -2**31", "extreme wide", full, np.full((1, 1024, 1, 1), 64), [0], "int16")
    yield _conv("the highest, 2**31 - 1", "extreme wide", full, np.full((1, 1024, 1, 1), -64), [-1], "int16")
    yield _conv(
        "odd accumulators above 2**24", "wide", np.full((1, 1041, 1, 1), 127), np.full((2, 1041, 1, 1), 127), [0, 1]
    )
    tap = np.zeros((12, 512, 1, 1), int)
    for row, (value, count) in enumerate([*((-128, 8 << k) for k in range(6)), *((127, 16 << k) for k in range(6))]):
        tap[row, :count] = value
    x = np.full((1, 512, 1, 1), -(1 << 15))
    yield _conv("sums of 26 to 31 bits", "wide", x, tap, [0] * 11 + [1 << 30], "int16")
    stream = SplitMix64(30)
    for dtype, (groups, depth, share), attrs in (
        ("int8", (1, 3, 4), {"stride_y": 2, "top": 1, "left": 1}),
        ("uint8", (3, 2, 2), {"dilation_x": 2, "right": 2, "zero_point": 117}),
        ("int16", (5, 1, 1), {"stride_x": 2, "bottom": 1}),
    ):
        x = stream.integers(*ENDS[dtype], (2, groups * depth, 6, 7), dtype)
        weight = stream.integers(-128, 127, (groups * share, depth, 3, 2), "int8")
        bias = stream.integers(-9999, 9999, groups * share, "int32")
        yield _conv(f"random, {dtype}, {groups} groups", "random axes", x, weight, bias, dtype, **attrs)


def _pool(why: str, flags: str, x: Any, dtype: str, height: int, width: int, **attrs: int) -> Case:
    return Case(why, {"x": np.array(x, dtype)}, {"height": height, "width": width, **attrs}, (*flags.split(),))


def max_pool() -> Iterator[Case]:
    """The maximum at every place of a window; windows over every edge."""
    peaks = np.zeros((9, 3, 3), int) - 7
    peaks.reshape(9, 9)[range(9), range(9)] = range(1, 10)
    yield _pool("the maximum at each place", "axes", peaks, "int8", 3, 3)
    yield _pool("one before and behind the window", "axes", _image(1, 5, 6), "int8", 2, 3, stride_y=2, stride_x=1)
    yield _pool("falling values", "axes", -_image(2, 4, 5), "int8", 2, 2, stride_y=1, stride_x=3)
    edges = {"top": 1, "bottom": 2, "left": 0, "right": 1}
    yield _pool("edges count for nothing", "axes degenerate", -_image(1, 3, 4), "int8", 3, 2, **edges)
    yield _pool("a left edge", "axes", -_image(1, 3, 4), "int8", 2, 3, left=2, stride_x=2)
    yield _pool("one pixel", "degenerate", [[-128]], "int8", 1, 1)
    yield _pool("windows apart", "axes", _image(7, 8), "int8", 2, 1, stride_y=3, stride_x=4)
    yield _pool("two leading axes", "axes", -_image(2, 3, 2, 2), "int8", 2, 2)
    for dtype, (low, high) in (*ENDS.items(), ("int64", (-(1 << 63), (1 << 63) - 1))):
        yield _pool(f"extremes of {dtype}", "dtype extreme", [[low, high, low, low]], dtype, 1, 2, left=1)
    edges = {"top": 299, "bottom": 298, "stride_y": 256}
    yield _pool("windows beyond both ends, down", "axes", -_image(2, 3), "int8", 300, 1, **edges)
    edges = {"left": 257, "right": 300, "stride_x": 257}
    yield _pool("windows beyond both ends, across", "axes", -_image(2, 3), "int8", 1, 301, **edges)
    yield _pool("2**30", "extreme", [[1 << 30, 5]], "int32", 1, 2)
    x = SplitMix64(31).integers(-128, 127, (3, 9, 8), "int8")
    yield _pool("random", "random axes", x, "int8", 3, 3, stride_y=2, stride_x=2, top=1, bottom=1, left=1, right=1)


def _sum(why: str, flags: str, x: Any, dtype: str = "int8") -> Case:
    return Case(why, {"x": np.array(x, dtype)}, {}, (*flags.split(),))


def sum_rows() -> Iterator[Case]:
    """Rows that each count, sums at the ends of int32."""
    yield _sum("every row counts", "axes", [[1, -2], [10, 20], [100, -100]])
    yield _sum("one row", "degenerate axes", [[-128, 127, 0]])
    yield _sum("one column", "axes", [[5], [6], [-7], [8]])
    yield _sum("leading axes", "axes", _image(2, 3, 2, 2))
    yield _sum("all zero", "degenerate", [[0], [0]])
    for dtype, (low, high) in ENDS.items():
        yield _sum(f"extremes of {dtype}", "dtype extreme", [[low, high, low], [0, 0, high]], dtype)
    yield _sum("the lowest sum", "extreme wide", [[-(1 << 30)], [-(1 << 30)]], "int32")
    yield _sum("the highest sum", "extreme wide", [[1 << 30], [(1 << 30) - 1]], "int32")
    yield _sum("beyond int32 on the way", "wide", [[M31], [M31], [-M31], [-5]], "int32")
    yield _sum("odd sums above 2**24", "wide", [[1 << 24], [1], [2]], "int32")


def _pair(why: str, flags: str, a: Any, b: Any, operation: str, overflow: str = "refuse", dtype: str = "int32") -> Case:
    tensors = {"a": np.array(a, dtype), "b": np.array(b, dtype)}
    return Case(why, tensors, {"operation": operation, "overflow": overflow}, (*flags.split(),))


def elementwise() -> Iterator[Case]:
    """Each operation at the ends of its result, refused or wrapped beyond."""
    for operation in ("add", "subtract", "multiply"):
        yield _pair(f"{operation}: signs", "axes", [[7, -7, 7, -7, 0]], [[3, 3, -3, -3, 5]], operation)
        yield _pair(f"{operation}: leading axes", "axes", _image(2, 3, 2), -_image(2, 3, 2, first=4), operation)
        ends = [-M31 - 1, -M31 - 1, M31, M31, -M31 - 1, M31, 1 << 30, 65536, 65537]
        others = [-M31 - 1, M31, -M31 - 1, M31, 1, 1, 1 << 30, 65536, -65537]
        yield _pair(f"{operation}: ends that wrap", "extreme wide", ends, others, operation, "wrap")
    yield _pair("add: the ends", "extreme", [-(1 << 30), 1 << 30, M31], [-(1 << 30), (1 << 30) - 1, 0], "add")
    yield _pair("subtract: the ends", "extreme", [-(1 << 30), M31, 0, -1], [1 << 30, 0, M31, M31], "subtract")
    yield _pair("multiply: the ends", "extreme", [-(1 << 16), M31, 1 << 30], [1 << 15, 1, -2], "multiply")
    yield _pair("scalars", "degenerate axes", 7, -5, "multiply")
    yield _pair("odd sums above 2**24", "wide", [1 << 24, (1 << 24) + 1], [1, 2], "add")
    for dtype in ("int8", "uint8", "int16"):
        low, high = ENDS[dtype]
        yield _pair(
            f"extremes of {dtype}",
            "dtype extreme",
            [low, low, high, high],
            [low, high, low, high],
            "multiply",
            dtype=dtype,
        )


CASES: dict[str, Generator] = {
    "conv2d": conv2d,
    "max_pool": max_pool,
    "sum_rows": sum_rows,
    "elementwise": elementwise,
}
REFUSED: dict[str, dict[str, list[Broken]]] = {
    "conv2d": {
        "C1": [
            {"x": np.zeros((2, 3, 4, 5), np.int32)},
            {"weight": np.zeros((2, 3, 2, 3), np.uint8)},
            {"bias": np.zeros(2, np.int8)},
        ],
        "C2": [
            {"x": np.zeros((3, 4, 5), np.int8)},
            {"bias": np.zeros(1, np.int32)},
            {"weight": np.zeros((2, 3, 2), np.int8)},
            {"x": np.zeros((1, 3, 4, 50), np.int8), "weight": np.zeros((2, 3, 2, 17), np.int8)},
        ],
        "C4": [
            {"stride_y": 0},
            {"dilation_x": 0},
            {"top": -1},
            {"zero_point": 256},
            {"zero_point": -129},
            {"groups": 1},
        ],
        "C5": [
            {"x": np.zeros((1, 4, 4, 5), np.int8)},
            {"x": np.zeros((1, 9, 4, 5), np.int8)},
        ],
        "C6": [{"dilation_y": 4}, {"dilation_x": 3}, {"x": np.zeros((1, 3, 1, 5), np.int8)}],
        "BoundError": [{"bias": np.array([M31, 0], np.int32)}, {"bias": np.array([0, -M31], np.int32)}],
    },
    "max_pool": {
        "C1": [{"x": np.zeros((3, 3), bool)}],
        "C2": [{"x": np.zeros(3, np.int8)}, {"x": np.zeros((0, 3), np.int8)}],
        "C4": [{"height": 0}, {"stride_x": 0}, {"left": -1}, {"right": 4097}],
        "C5": [{"height": 4}, {"width": 4}, {"x": np.zeros((2, 3), np.int8)}],
        "C6": [{"top": 3}, {"bottom": 3}, {"left": 3}, {"right": 3}],
    },
    "sum_rows": {
        "C1": [{"x": np.zeros((2, 2), np.int64)}],
        "C2": [{"x": np.zeros(2, np.int8)}, {"x": np.zeros(((1 << 20) + 1, 1), np.int8)}],
        "C4": [{"axis": 0}],
        "BoundError": [{"x": np.full((2, 1), M31, np.int32)}, {"x": np.full((2, 1), -M31, np.int32)}],
    },
    "elementwise": {
        "C1": [{"a": np.zeros((1, 5), np.int64)}, {"b": np.zeros((1, 5), bool)}],
        "C2": [{"a": np.zeros((1, 4), np.int8)}, {"b": np.zeros(5, np.int8)}],
        "C4": [{"operation": "divide"}, {"overflow": "clamp"}],
        "BoundError": [
            {"a": np.full((1, 5), M31, np.int32)},
            {"a": np.full((1, 5), -M31 - 1, np.int32), "operation": "subtract"},
            {"a": np.full((1, 5), 1 << 30, np.int32), "operation": "multiply"},
        ],
    },
}
