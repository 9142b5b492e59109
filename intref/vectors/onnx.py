"""Directed cases of ops/onnx.py. Float32s are written as integers times powers of two."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref.ops.onnx import INFINITY, ONE, QUANTIZED, TWO_32, fp32_multiply, pack_fp32
from intref.ops.op import dtype_range
from intref.vectors.case import Broken, Case, Generator, SplitMix64
from intref.vectors.float32 import EQUIVALENT, HARMLESS, UNREACHABLE
from intref.vectors.qlinear import LEAST, qlinear_add
from intref.vectors.reach.sweeps import tails

MINUS_ZERO = -(1 << 31)
LARGEST = INFINITY - 1
TENTH = 0x3DCCCCCD
HALVES = range(-9, 10)
KINDS = (0, 1, 2, 0x7FFFFF, 0x800000, 0x800001, 0xFFFFFF, 0x1000000, ONE - 1, ONE, ONE + 1, LARGEST - 1, LARGEST)
ORDERS = ("token_first", "channel_first", "scales_first")


def f32(numbers: Any, exponent: Any = 0) -> np.ndarray:
    """The bit patterns of the float32s nearest numbers * 2**exponent, int32."""
    n = np.asarray(numbers, np.int64)
    return np.asarray(pack_fp32(np.where(n < 0, -1, 1), np.abs(n), np.asarray(exponent, np.int64))).astype(np.int32)


def times(a: Any, b: Any) -> np.ndarray:
    """The float32 products of bit patterns."""
    return np.asarray(fp32_multiply(np.asarray(a, np.int64), np.asarray(b, np.int64))).astype(np.int32)


def negative(pattern: Any) -> np.ndarray:
    return np.asarray(np.asarray(pattern, np.int64) - (1 << 31)).astype(np.int32)


def around(pattern: Any) -> np.ndarray:
    """Each float32 between its neighbours; a zero thrice."""
    p = np.asarray(pattern, np.int64)[..., None]
    return (p + np.arange(-1, 2) * (p % (1 << 31) > 0)).astype(np.int32)


def _vector(values: Any) -> np.ndarray:
    found = np.asarray(values, np.int64).astype(np.int32)
    return found if found.ndim else found.reshape(1)


def _quantize(
    why: str, flags: str, x: Any, scale: Any = ONE, zero: Any = 0, output: str = "int8", **attrs: int
) -> Case:
    tensors = {"x": _vector(x), "scale": _vector(scale), "zero_point": _vector(zero)}
    return Case(why, tensors, {"output": output, **attrs}, (*flags.split(),))


def quantize_fp32() -> Iterator[Case]:
    """Ties of the quotient, exact and made by its rounding; clips; quotients of every exponent; axes."""
    yield _quantize("ties of both signs and parities", "tie", f32(HALVES, -1))
    for scale in (TENTH, 0x3B2AAAAB, ONE + 1, ONE + 0x7FFFFF):
        x = around(times(f32(HALVES, -1), scale))
        yield _quantize(f"ties that only the float32 quotient is, scale {scale:#x}", "tie", x, scale)
    for output in QUANTIZED:
        low, high = dtype_range(output)
        exact = {"int32": ((low, high), 9)}.get(output, ((low, high), 0))
        ends = np.concatenate([around(f32(2 * np.array(exact[0]) + d, -1)).ravel() for d in (-1, 0, 1)])
        yield _quantize(f"either side of each clip of {output}", "clip dtype", ends, ONE, 0, output)
        for zero in (low, high):
            yield _quantize(f"{output}, zero point {zero}", "clip dtype", f32([-3, -1, 0, 1, 3]), ONE, zero, output)
    yield _quantize("a range inside that of the output", "clip", f32(range(-6, 7)), ONE, 1, low=-3, high=4)
    yield _quantize(
        "zero points beyond the output", "extreme", f32([-999, 0, 999]), ONE, [(1 << 31) - 1, 0, -(1 << 31)]
    )
    both = np.concatenate([KINDS, np.array(KINDS) - (1 << 31)])
    for scale in (1, 0x7FFFFF, 0x800000, LARGEST, ONE, TENTH):
        yield _quantize(f"every kind of number by {scale:#x}", "extreme", both, scale, 3, "int16")
    yield _quantize("a negative scale", "extreme", f32(HALVES, -1), negative(ONE), 5)
    yield _quantize("2**38 and its neighbours", "extreme wide", around(f32([1 << 38, -(1 << 38)])), ONE, 0, "int32")
    yield _quantize(
        "a scale per channel", "axes", f32([[3, 5, 7], [-3, -5, -7]]), f32([1, 1, -3], [0, 1, -1]), [0, 9, -9]
    )
    x = f32(np.arange(-12, 12).reshape(2, 3, 4), -1)
    yield _quantize("a scale per middle channel, one zero point", "axes", x, f32([1, 3, 5], -1), 7, axis=1)
    yield _quantize("a zero point per middle channel, one scale", "axes", x, TENTH, [1, 100, 9], "uint8", axis=1)
    stream = SplitMix64(11)
    scales = stream.integers(ONE - (9 << 23), ONE + (2 << 23), 16, "int32")
    x = times(stream.integers(ONE - (2 << 23), ONE + (8 << 23), (4, 16), "int32"), scales)
    yield _quantize("random channels", "random axes", x, scales, stream.integers(-9, 9, 16, "int32"))


def _dequantize(
    why: str, flags: str, x: Any, scale: Any = TENTH, zero: Any = 0, dtype: str = "int8", **attrs: int
) -> Case:
    return Case(
        why, {"x": np.array(x, dtype), "scale": _vector(scale), "zero_point": _vector(zero)}, attrs,
        (*flags.split(),),
    )  # fmt: skip


def dequantize_fp32() -> Iterator[Case]:
    """Every dtype at its ends, sums beyond 24 bits, products of every kind, axes."""
    for dtype in QUANTIZED:
        low, high = dtype_range(dtype)
        yield _dequantize(f"the ends of {dtype}", "dtype extreme", [low, low + 1, 0, 1, high - 1, high], dtype=dtype)
        yield _dequantize(f"{dtype}: zero point at an end", "dtype extreme", [low, 0, high], TENTH, high, dtype)
    odd = [s * ((1 << 24 + k) + (n << k - 1)) for s in (-1, 1) for k in (1, 2, 6) for n in range(8)]
    yield _dequantize("ties of the conversion", "tie wide", odd, ONE, 0, "int32")
    yield _dequantize(
        "sums of 33 bits", "wide", [dtype_range("int32")] * 2, TENTH, [(1 << 31) - 1, -(1 << 31)], "int32"
    )
    yield _dequantize("ties of the product", "tie", range(-9, 10), 0x3F800001, 0)
    yield _dequantize("ties of the product, 25 bits", "tie", range(-127, 128, 2), 0x3FC00001, 0)
    yield _dequantize("a negative scale, and -0", "extreme", [-3, 0, 3], negative(TENTH))
    for scale in (0, 1, 0x7FFFFF, 0x800000):
        yield _dequantize(f"small: scale {scale:#x}", "extreme", [-128, -127, -3, -1, 0, 1, 127], scale, 0)
    yield _dequantize("infinite", "extreme clip", [-2, -1, 0, 1, 2, 127], LARGEST, 0)
    yield _dequantize("the largest that is finite, and one above", "extreme clip", [3, 4, 5], (252 << 23) + 0x555554, 0)
    yield _dequantize("a scale per channel", "axes", [[3, 5, 7], [-3, -5, -7]], f32([1, 1, -3], [0, 1, -1]), [0, 9, -9])
    x = np.arange(-12, 12).reshape(2, 3, 4)
    yield _dequantize("a scale per middle channel, one zero point", "axes", x, f32([1, 3, 5], -1), 7, axis=1)
    yield _dequantize("a zero point per middle channel, one scale", "axes", x, TENTH, [1, 100, 9], axis=1)


def _add(why: str, flags: str, a: Any, b: Any) -> Case:
    left, right = np.broadcast_arrays(_vector(a), _vector(b))
    return Case(why, {"a": left.copy(), "b": right.copy()}, {}, (*flags.split(),))


def add_fp32() -> Iterator[Case]:
    """Every distance of two numbers of both signs, ties, what cancels, zeros, subnormal and infinite sums."""
    distance = np.arange(-30, 31)
    for sign in (1, -1):
        few, full = f32(sign * np.ones(61, np.int64), distance), f32(sign * np.full(61, (1 << 24) - 1), distance - 23)
        yield _add(f"1 and {sign} at each distance", "tie", ONE, few)
        yield _add(f"2**24 - 1 and {sign} at each distance", "tie", f32((1 << 24) - 1), few)
        yield _add(f"1 and {sign} * (2**24 - 1) at each distance", "tie", ONE, full)
        yield _add(f"{sign} * 3 at each distance beside 5", "tie", f32(3 * sign, distance), f32(5))
    near = around(f32([1 << 23, 1 << 24, 3], [0, 0, 20]))
    yield _add("cancelled to the last bits", "tie", negative(near)[:, None], near[..., None])
    zeros = np.array([0, MINUS_ZERO])
    yield _add("both zeros", "degenerate", zeros[:, None], zeros)
    yield _add("x - x is +0", "degenerate", f32([3, -3, 5]), f32([-3, 3, -5]))
    both = np.concatenate([KINDS, np.array(KINDS) - (1 << 31)])
    yield _add("every kind of number and every other: subnormal, and infinite", "extreme clip", both[:, None], both)
    every = 1 << np.arange(31)
    every = np.concatenate([every, every[:24] - (1 << 31), -every[24:]])
    yield _add("x + 0 and 0 + x, x of every bit length", "extreme", np.stack([every, 0 * every]), [0 * every, every])
    half = f32([(1 << 24) - 1, 1 << 24, (1 << 24) + 2, -1], [79, 79, 79, 102])
    yield _add("half of the last place beyond the largest, and less", "extreme tie", LARGEST, half)
    stream = SplitMix64(17)
    for spread_ in (2, 30):
        a, b = (stream.integers(ONE - (spread_ << 23), ONE + (spread_ << 23), (3, 2, 9), "int64") for _ in "ab")
        a, b = (v - (stream.integers(0, 1, v.shape, "int64") << 31) for v in (a, b))
        yield _add(f"random, exponents within {2 * spread_}", "random axes", a, b)


def _dynamic(why: str, flags: str, x: Any) -> Case:
    return Case(why, {"x": _vector(x)}, {}, (*flags.split(),))


def dynamic_quantize() -> Iterator[Case]:
    """Rows of every sign, ties of the zero point and of the quotients, spans of every exponent."""
    yield _dynamic("both signs", "tie", f32([-100, 155, -50, 77, 1, -1, 0]))
    yield _dynamic("quotients at a tie", "tie", f32([-256, 254, *range(-9, 10)], -1))
    yield _dynamic("zero point at a tie to even: 127.5 to 128", "tie", f32([-255, 255, 1, -1, 0, 254], -1))
    yield _dynamic("zero point at a tie to even: 126.5 to 126", "tie", f32([-253, 257, 1, -1, 0, 254], -1))
    yield _dynamic("all positive: the least is 0", "degenerate", f32([3, 5, 7, 255]))
    yield _dynamic("all negative: the greatest is 0, the zero point 255", "degenerate", f32([-3, -5, -7, -255]))
    yield _dynamic("all 0, of both signs", "degenerate", [0, MINUS_ZERO, 0])
    yield _dynamic("one number", "degenerate", f32([[3], [-3], [0]]))
    yield _dynamic("scales that are no power of two", "tie", f32([[-1, 2, 1, 0, -1, 1], [-5, 9, 7, -3, 2, 1]]))
    yield _dynamic(
        "0 beside numbers of one sign, -0 as well", "extreme", [[*f32([7, 9]), MINUS_ZERO], [*f32([-7, -9]), 0]]
    )
    ends = [[0x42A9EE12, 0x43D46996], [0x40FCF17F, 0x43826C86], [0x4390C702, 0x43220B60]]
    yield _dynamic("zero points that bits below float32 decide", "tie", [[negative(a), b] for a, b in ends])
    least, most = 10 << 23, (254 << 23) - 1
    yield _dynamic(
        "the least span: scale is normal", "extreme", [[least, 0, 1], [negative(least), MINUS_ZERO, negative(1)]]
    )
    yield _dynamic("the largest span", "extreme", [[most, negative(most), ONE], [most, 0, LARGEST - (2 << 23)]])
    yield _dynamic(
        "subnormal numbers beside normal ones", "extreme", [1, 0x7FFFFF, ONE, negative(1), negative(0x7FFFFF)]
    )
    yield _dynamic("a row for each magnitude", "axes", f32(np.arange(-6, 9).reshape(3, 1, 5), [[[-20]], [[0]], [[20]]]))
    stream = SplitMix64(12)
    x = stream.integers(ONE - (4 << 23), ONE + (2 << 23), (4, 2, 17), "int32")
    yield _dynamic("random rows", "random axes", x - (stream.integers(0, 1, x.shape, "int64") << 31))


def _token(why: str, flags: str, x: Any, by: str) -> Case:
    return Case(why, {"x": _vector(x)}, {"by": by}, (*flags.split(),))


def quantize_token_fp32() -> Iterator[Case]:
    """Peaks of either sign, ties exact and made by rounding, rows of every magnitude, both ways."""
    stream, most = SplitMix64(14), (165 << 23) - 1
    for by in ("quotient", "reciprocal"):
        yield _token(f"{by}: ties of both signs", "tie", f32([254, *HALVES], -1), by)
        yield _token(f"{by}: a negative peak", "tie", f32([-254, *HALVES], -1), by)
        for scale in (TENTH, 0x3B2AAAAB, ONE + 1):
            x = np.concatenate([f32([127]), around(f32(range(-13, 14, 2), -1)).ravel()])
            yield _token(f"{by}: ties that only float32 has, times {scale:#x}", "tie", times(x, scale), by)
        tie = [0x4327966F, 0x3F28E840]  # times 127 / peak: 0.5 + 2**-25, a tie of float32 that goes down to 0.5 and 0
        yield _token(f"{by}: a product at a tie", "tie", tie, by)
        yield _token(f"{by}: all 0, of both signs", "degenerate", [[0, MINUS_ZERO], [MINUS_ZERO, MINUS_ZERO]], by)
        yield _token(f"{by}: one number", "degenerate", f32([[3], [-3], [0]]), by)
        yield _token(f"{by}: the peaks' ends", "extreme", [[most, 1], [10 << 23, negative(1)], [0, negative(most)]], by)
        rows = f32(np.arange(-6, 9).reshape(3, 1, 5), [[[-20]], [[0]], [[20]]])
        yield _token(f"{by}: a row for each magnitude", "axes", rows, by)
        x = stream.integers(ONE - (4 << 23), ONE + (2 << 23), (4, 17), "int32")
        yield _token(f"{by}: random rows", "random axes", x - (stream.integers(0, 1, x.shape, "int64") << 31), by)


def _epilogue(
    why: str, flags: str, x: Any, token: Any, channel: Any, bias: Any = MINUS_ZERO, order: str = "token_first"
) -> Case:
    x = np.array(x, np.int32)
    tensors = {
        "x": x,
        "token": np.broadcast_to(np.asarray(token), (*x.shape[:-1], 1)).astype(np.int32),
        "channel": np.broadcast_to(np.asarray(channel), x.shape[-1]).astype(np.int32),
        "bias": np.broadcast_to(np.asarray(bias), x.shape[-1]).astype(np.int32),
    }
    return Case(why, tensors, {"order": order}, (*flags.split(),))


def epilogue_fp32() -> Iterator[Case]:
    """Conversions beyond 24 bits, each order of the products, sums of every alignment, products of every exponent."""
    ends = [*dtype_range("int32"), -1, 0, 1]
    odd = [s * ((1 << 24 + k) + (n << k - 1)) for s in (-1, 1) for k in (1, 2, 6) for n in range(8)]
    stream = SplitMix64(13)
    for order in ORDERS:
        yield _epilogue(f"{order}: ends of int32, no bias", "extreme wide", ends, ONE, ONE, MINUS_ZERO, order)
        yield _epilogue(f"{order}: ties of the conversion", "tie wide", odd, ONE, ONE, 0, order)
        x = stream.integers(-(1 << 20), 1 << 20, (3, 16), "int32")
        token = stream.integers(ONE - (12 << 23), ONE - (6 << 23), (3, 1), "int32")
        channel = stream.integers(ONE - (12 << 23), ONE - (6 << 23), 16, "int32")
        bias = stream.integers(ONE - (2 << 23), ONE + (2 << 23), 16, "int32")
        yield _epilogue(f"{order}: random channels", "random axes", x, token, channel, bias, order)
        tiny = [[1, -1, 3, (1 << 24) + 2, -(1 << 31)]] * 3
        yield _epilogue(
            f"{order}: products that are subnormal, and none",
            "extreme",
            tiny,
            [[0x800000], [1], [60 << 23]],
            66 << 23,
            0,
            order,
        )
        yield _epilogue(
            f"{order}: the largest scales", "extreme", ends, TWO_32 - 1, TWO_32 - 1, LARGEST - (1 << 23), order
        )
        yield _epilogue(
            f"{order}: a scale of 0, a negative one",
            "degenerate",
            [[5, -5]] * 2,
            [[0], [ONE]],
            negative([ONE, 0]),
            0,
            order,
        )
    yield from _sums()


def _table(first: int, falls: Any) -> np.ndarray:
    """256 entries: the first, then as many patterns less, from one to the next, as the falls say in turn."""
    steps = np.resize(np.asarray(falls, np.int64), 255)
    return np.maximum(first - np.concatenate([[0], np.cumsum(steps)]), 0).astype(np.int32)


HALVING = _table(ONE + (100 << 23), 1 << 23)


def _softmax(
    why: str, flags: str, x: Any, table: Any = HALVING, mask: Any = None, dtype: str = "uint8", **attrs: int
) -> Case:
    """x of fewer axes is [Q K]; without a mask every key is attended."""
    x = np.array(x, dtype)
    x = x.reshape((1,) * (4 - x.ndim) + x.shape)
    mask = np.ones((x.shape[0], x.shape[3]), np.int8) if mask is None else np.array(mask, np.int8)
    given = {"factor": 256, "zero_point": 0, "output": dtype, **attrs}
    return Case(why, {"x": x, "mask": mask, "table": _vector(table)}, given, (*flags.split(),))


def qlinear_softmax() -> Iterator[Case]:
    """Ties of the quotient, sums whose order shows, rows of one key, every distance, masks."""
    yield _softmax("all equal", "degenerate", [[5] * 4, [255] * 4])
    yield _softmax("one key: 256, which uint8 does not hold", "degenerate clip", [[9], [0], [255]])
    yield _softmax("one key: 256 - 128, which int8 does not hold", "degenerate clip", [[9], [-128], [127]],
                   dtype="int8", zero_point=-128)  # fmt: skip
    yield _softmax("minimum and maximum", "extreme", [[0, 255], [255, 0]])
    yield _softmax("minimum and maximum of int8", "extreme", [[-128, 127], [127, -128]], dtype="int8")
    yield _softmax("every distance", "extreme wide", [[*range(256)]], _table(ONE + (110 << 23), 1 << 19))
    yield _softmax("every distance of int8", "extreme wide", [[*range(127, -129, -1)]],
                   _table(ONE + (110 << 23), 1 << 19), dtype="int8")  # fmt: skip
    for factor in (1, 3, 5, 7, 255, (1 << 16) - 1, 1 << 16):
        yield _softmax(f"halves and quarters of {factor}", "tie", [[9, 9], [9, 8], [9, 7]], factor=factor)
        rows = [[9, 9, 8, 0], [9, 8, 8, 0], [9, 9, 9, 9]]
        yield _softmax(f"quarters and fifths of {factor}", "tie", rows, factor=factor, zero_point=3)
    yield _softmax("each halving: the last that leaves 1, then none", "extreme", [[*range(40, 0, -1)]], factor=1 << 16)
    yield _softmax("scales above 1: nothing is left", "degenerate", [[1, 2, 3]], factor=0, zero_point=7)
    for zero in (0, 1, 127, 128, 254, 255):
        yield _softmax(f"uint8: either side of the clip, zero point {zero}", "clip", [[9, 9, 8], [9, 7, 1]],
                       factor=256 - zero, zero_point=zero)  # fmt: skip
    for zero in (-128, -1, 0, 126, 127):
        yield _softmax(f"int8: either side of the clip, zero point {zero}", "clip", [[9, 9, 8], [9, 7, 1]],
                       dtype="int8", factor=2 * (128 - zero), zero_point=zero)  # fmt: skip
    yield from _softmax_sums()
    yield from _softmax_masks()
    x = SplitMix64(16).integers(200, 255, (35, 67), "uint8")
    yield _softmax("35 rows of 67: no tile of 4, 8, 16 or 32 fits", "axes random", x, _table(ONE + (90 << 23), 1 << 20))
    longest = np.full((1, 1 << 15), 7, np.uint8)
    yield _softmax(
        "the longest row: its sum rounds at every key", "extreme wide", longest, _table(ONE + 1, 1), factor=1 << 16
    )
    yield from tails("qlinear_softmax", "B H Q K")
    stream = SplitMix64(15)
    falling = _table(ONE + (100 << 23), [0x345678, 0x2FFFFF, 0x311111])
    for dtype, low in (("uint8", 0), ("int8", -128)):
        x = stream.integers(low + 200, low + 255, (2, 2, 3, 33), dtype)
        mask = stream.integers(0, 1, (2, 3, 33), "int8")
        yield _softmax(f"random {dtype}", "random axes", x, falling, None, dtype, zero_point=low)
        yield _softmax(f"random {dtype}, masks", "random mask axes", x, falling, mask, dtype, factor=999)


def _softmax_sums() -> Iterator[Case]:
    """A first entry of 2**24 and others so far below that the order, or one rounding alone, makes another sum."""
    first = ONE + (100 << 23)
    for below, what in ((24, "half"), (25, "a quarter")):
        table = _table(first, [below << 23, 1 << 23])
        row = [9] + [8] * 7
        why = f"seven terms of {what} of the last place"
        yield _softmax(f"{why}, the largest first", "tie", [row], table, factor=(1 << 16) - 1)
        yield _softmax(f"{why}, the largest last", "tie", [row[::-1]], table, factor=(1 << 16) - 1)
    # 3 keys at the top and what float32 drops, or not: 3 * (1 + 2**-23) is a tie, 3 / 2 of the quotient is none.
    for last in (0, 1, 2, 3):
        table = _table(first + last, [(1 << 23) + 1, 23 << 23, 1])
        for row in ([9, 9, 9, 8, 7, 6], [6, 7, 8, 9, 9, 9], [7, 9, 7, 9, 7, 9], [9, 8, 8, 7, 7, 7]):
            why = f"significands of the last bits {last}, {row}"
            yield _softmax(why, "tie", [row], table, factor=7)
    near = np.concatenate([[(150 << 23) + 1, (142 << 23) + (4305 << 8)], np.zeros(254, np.int64)])
    why = "e = 2**23 + 1 and 37073: 1250 * e is 1 above 1244.5 * total"
    yield _softmax(why, "tie", [[9, 8]], near, factor=1250)
    yield _softmax("the least first entry", "extreme", [[9, 9, 8, 7]], _table(ONE, 1))
    yield _softmax("the largest entry of one key", "extreme", [[9]], _table(253 << 23, [0, 1]))
    yield _softmax("the largest of 32 keys", "extreme", [[9] * 32], _table((249 << 23) - 1, 0))
    zeros = _table(ONE, ONE)
    yield _softmax("all but the first are 0", "degenerate", [[9, 9, 8, 7]], zeros)
    tiny = np.concatenate([[ONE], [1, 0x7FFFFF, 0x800000, 2, 3], np.zeros(250, np.int64)])
    yield _softmax("entries that are subnormal", "extreme", [[9, 8, 7, 6, 5, 4]], tiny, factor=1 << 16)
    rising = _table(ONE, -(1 << 21))
    lengths = [ONE, *(1 << n for n in range(23)), *((1 << n) - 1 for n in range(2, 24))]
    yield _softmax("entries of every number of bits", "extreme", [[*range(45, 0, -1)]], np.resize(lengths, 256))
    yield _softmax("a first entry below 1, which is no exponential: the sum is held at 1", "clip", [[9, 8], [9, 9]],
                   np.full(256, ONE - (2 << 23)))  # fmt: skip
    yield _softmax("a table that rises: the largest share is far from the top", "extreme", [[9, 5, 1, 8, 7]], rising)


def _softmax_masks() -> Iterator[Case]:
    yield _softmax("mask: the maximum is not attended", "mask", [[9, 90, 8, 7]], mask=[[1, 0, 1, 1]])
    yield _softmax("mask per query, one row without a key", "mask degenerate", [[1, 2, 3], [4, 5, 6]],
                   mask=[[[0, 0, 0], [1, 0, 1]]], zero_point=5)  # fmt: skip
    yield _softmax("mask per batch: B = H = 2", "mask axes", np.arange(8).reshape(2, 2, 1, 2), mask=[[0, 1], [1, 0]])
    lengths = [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    yield _softmax("mask per batch, unequal lengths", "mask axes", np.zeros((3, 1, 2, 3), np.int64), mask=lengths)
    yield _softmax("mask per query: H = Q = 2", "mask axes", np.zeros((1, 2, 2, 2), np.int64), mask=[[[1, 0], [1, 1]]])
    for dtype, low in (("uint8", 0), ("int8", -128)):
        yield _softmax(f"{dtype}: attended at the minimum, masked as well, and above", "mask extreme",
                       [[low] * 3, [low, low, low + 255]], mask=[[1, 1, 0]], dtype=dtype)  # fmt: skip
        yield _softmax(f"{dtype}: the maximum attended is the minimum, all below it is 0", "mask extreme",
                       [[low, low]], _table(ONE, ONE), [[1, 0]], dtype)  # fmt: skip


def _sums() -> Iterator[Case]:
    """The sum alone: a product that is exact, and a bias at every distance."""
    signs, last = [ONE, ONE, negative(ONE), ONE], [*f32([-3, 3]), MINUS_ZERO, MINUS_ZERO]
    yield _epilogue("x - x is +0, -0 stays with a bias of -0", "degenerate", [3, -3, 0, 0], ONE, signs, last)
    distance = np.arange(-30, 31)
    for sign in (1, -1):
        bias = f32(sign * np.ones(61, np.int64), distance)
        yield _epilogue(f"1 and {sign} at each distance", "tie", np.ones(61, np.int32), ONE, ONE, bias)
        yield _epilogue(f"2**24 - 1 and {sign} at each distance", "tie", np.full(61, (1 << 24) - 1), ONE, ONE, bias)
        full = f32(sign * np.full(61, (1 << 24) - 1), distance - 23)
        yield _epilogue(f"1 and {sign} * (2**24 - 1) at each distance", "tie", np.ones(61, np.int32), ONE, ONE, full)
    near = around(f32([-(1 << 23), 1 << 24, -3], [0, 0, 20])).ravel()
    yield _epilogue(
        "cancelled to the last bits", "tie", [[1 << 23] * 9, [-(1 << 24)] * 9, [3 << 20] * 9], ONE, ONE, near
    )


__all__ = ["CASES", "EQUIVALENT", "HARMLESS", "REFUSED", "UNREACHABLE"]

CASES: dict[str, Generator] = {
    "quantize_fp32": quantize_fp32,
    "dequantize_fp32": dequantize_fp32,
    "add_fp32": add_fp32,
    "dynamic_quantize": dynamic_quantize,
    "quantize_token_fp32": quantize_token_fp32,
    "epilogue_fp32": epilogue_fp32,
    "qlinear_softmax": qlinear_softmax,
    "qlinear_add": qlinear_add,
}
_NAN = INFINITY + 1
_NOT_FINITE = [_vector(v) for v in (INFINITY, _NAN, negative(INFINITY), -1)]
_ONES = np.ones(2, np.int32)
REFUSED: dict[str, dict[str, list[Broken]]] = {
    "quantize_fp32": {
        "C1": [{"x": np.zeros(19, np.int64)}, {"scale": np.zeros(1, np.int16)}],
        "C2": [{"scale": np.array(ONE, np.int32)}, {"zero_point": np.zeros((1, 1), np.int32)}],
        "C4": [{"output": "int64"}, {"axis": 8}],
        "C5": [{"scale": ONE * _ONES}, {"zero_point": 0 * _ONES}, {"axis": 1}],
        "C6": [{"low": 1, "high": 0}, {"low": -129}, {"high": 128}],
        "C7": [{"x": v} for v in _NOT_FINITE],
        "C8": [{"scale": v} for v in (*_NOT_FINITE, _vector(0), _vector(MINUS_ZERO))],
    },
    "dequantize_fp32": {
        "C1": [{"x": np.zeros(6, np.int64)}, {"scale": np.zeros(1, np.int64)}],
        "C2": [{"scale": np.array(ONE, np.int32)}, {"zero_point": np.zeros((1, 1), np.int32)}],
        "C4": [{"axis": -9}],
        "C5": [{"scale": ONE * _ONES}, {"zero_point": 0 * _ONES}, {"axis": 1}],
        "C6": [{"scale": v} for v in _NOT_FINITE],
    },
    "add_fp32": {
        "C1": [{"a": np.zeros(61, np.int64)}, {"b": np.zeros(61, np.uint8)}],
        "C2": [{"a": np.zeros(60, np.int32)}, {"b": np.zeros((1, 61), np.int32)}],
        "C4": [{"order": "a_first"}],
        "C5": [{"a": np.full(61, v[0], np.int32)} for v in _NOT_FINITE],
        "C6": [{"b": np.full(61, v[0], np.int32)} for v in _NOT_FINITE],
    },
    "dynamic_quantize": {
        "C1": [{"x": np.zeros(3, np.int64)}, {"x": np.zeros(3, np.uint8)}],
        "C2": [{"x": np.zeros((2, 0), np.int32)}],
        "C4": [{"axis": 1}],
        "C5": [{"x": _vector([v, 0])} for v in (254 << 23, INFINITY, _NAN, -1)],
        "C6": [{"x": _vector([v, 0])} for v in (1, (10 << 23) - 1, negative(0x800000))],
    },
    "quantize_token_fp32": {
        "C1": [{"x": np.zeros(3, np.int64)}, {"x": np.zeros(3, np.uint8)}],
        "C2": [{"x": np.zeros((2, 0), np.int32)}],
        "C4": [{"by": "shift"}],
        "C5": [{"x": _vector([v, 0])} for v in (165 << 23, INFINITY, _NAN, -1)],
        "C6": [{"x": _vector([v, 0])} for v in (1, (10 << 23) - 1, negative(0x800000))],
    },
    "epilogue_fp32": {
        "C1": [{"x": np.zeros(5, np.int64)}, {"bias": np.zeros(5, np.uint8)}],
        "C2": [
            {"token": np.zeros(2, np.int32)},
            {"channel": np.zeros(4, np.int32)},
            {"token": np.zeros((1, 1), np.int32)},
        ],
        "C3": [{"token": _vector(v)} for v in (TWO_32, -1, MINUS_ZERO)],
        "C4": [{"order": "bias_first"}],
        "C5": [{"channel": np.full(5, v, np.int64).astype(np.int32)} for v in (TWO_32, TWO_32 - (1 << 31), INFINITY)],
        "C6": [{"bias": np.full(5, v, np.int64).astype(np.int32)} for v in (254 << 23, INFINITY, -1)],
    },
    "qlinear_softmax": {
        "C1": [{"x": np.zeros((1, 1, 2, 4), np.int16)}, {"table": np.zeros(256, np.int64)}],
        "C2": [{"x": np.zeros((2, 4), np.uint8)}, {"mask": np.ones((1, 3), np.int8)}, {"table": HALVING[None]}],
        "C3": [{"mask": np.full((1, 4), 2, np.int8)}, {"table": HALVING - (1 << 30)}, {"table": HALVING + (30 << 23)}],
        "C4": [{"factor": -1}, {"factor": (1 << 16) + 1}, {"zero_point": 256}, {"output": "int16"}],
        "C5": [{"output": "int8"}],
        "C6": [{"zero_point": -1}],
        "C7": [{"table": HALVING[:255]}],
        "C8": [{"table": _table(252 << 23, 0)}, {"table": _table((252 << 23) - 1, -1)}],
    },
    "qlinear_add": {
        "C1": [{"a": np.zeros((19, 19), np.int16)}, {"b": np.zeros((19, 19), np.int32)}],
        "C2": [{"a": np.zeros((18, 19), np.int8)}, {"b": np.zeros(19, np.int8)}],
        "C4": [{"a_scale": LEAST - 1}, {"b_scale": 1 << 44}, {"a_zero_point": 256}, {"output": "int16"}],
        "C5": [{"a": np.zeros((19, 19), np.uint8)}],
        "C6": [{"b": np.zeros((19, 19), np.uint8)}],
        "C7": [{"a_zero_point": 128}, {"b_zero_point": 128}, {"y_zero_point": 128}],
    },
}
