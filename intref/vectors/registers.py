"""Directed cases of accumulators: zero points, every width, refusal at the edge, wrapping, saturation on the way."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from intref.ops.op import dtype_range
from intref.vectors.case import Case
from intref.vectors.reach.sweeps import digits

Attrs = dict[str, Any]
Make = Callable[..., Case]  # (why, flags, rows, columns, start, dtype of the rows, attributes)
LOWEST, HIGHEST = -(1 << 15), (1 << 15) - 1


def _linear(why: str, flags: str, x: Any, w: Any, start: Any = 0, dtype: str = "int8", **attrs: Any) -> Case:
    weight = np.array(w, np.int8)
    bias = np.broadcast_to(np.array(start, np.int32), len(weight)).copy()
    return Case(why, {"x": np.array(x, dtype), "weight": weight, "bias": bias}, attrs, (*flags.split(),))


def _matmul(why: str, flags: str, x: Any, w: Any, start: Any = 0, dtype: str = "int8", **attrs: Any) -> Case:
    """The start becomes a first term: start * 1 where it is a byte, 256 * its high byte before that."""
    names = {"x_zero_point": "a_zero_point", "weight_zero_point": "b_zero_point"}
    tensors = {"a": np.array(x, dtype), "b": np.array(w, np.int8).T.copy()}
    return Case(why, tensors, {names.get(k, k): v for k, v in attrs.items()}, (*flags.split(),))


def linear() -> Iterator[Case]:
    """What a bias starts, beside the cases of both ops."""
    yield from _shared(_linear)
    zeros: Attrs = {"x_zero_point": 9, "weight_zero_point": -7}
    yield _linear("zero points and a bias", "axes", [[1, 2, 3], [4, 5, 6]], [[1, 1, 2], [7, 5, 3]], [5, -7], **zeros)
    at: Attrs = {"overflow": "saturate", "accumulator": 9}
    yield _linear(
        "the bias is the first content", "clip", [[100, -100]], [[2, 1], [-2, -1]], [100, -101], every=1, **at
    )
    yield _linear(
        "the bias at both ends", "clip extreme", [[0, 1], [0, -1]], [[1, 1], [1, 1]], [255, -256], every=1, **at
    )
    yield _linear("a bias that sums to the edges", "clip", [[1]], [[5]] * 4, [250, 251, -260 + 4, -100], **at)
    wide: Attrs = {"accumulator": 40, "output": "int64"}
    ends = [-(1 << 31), (1 << 31) - 1]
    yield _linear("a bias of 32 bits and a wider sum", "wide extreme", [[-1], [1]], [[1], [1]], ends, **wide)
    wrapped: Attrs = {"accumulator": 32, "overflow": "wrap"}
    yield _linear("a bias at either end of 32 bits wraps", "clip extreme", [[-1], [1]], [[1], [1]], ends, **wrapped)


def matmul() -> Iterator[Case]:
    """Both operands of 16 bits, beside the cases of both ops."""
    yield from _shared(_matmul)
    ends = np.array([[LOWEST, HIGHEST], [HIGHEST, LOWEST]], np.int16)
    yield Case("int16 by int16", {"a": ends, "b": ends}, {"accumulator": 48}, ("extreme", "wide", "dtype"))
    every = {"a": ends, "b": np.array([[1, 10], [100, 1000]], np.int16)}
    yield Case("every b of int16 has its own a", every, {}, ("axes", "dtype"))
    zeros = {"a_zero_point": HIGHEST, "b_zero_point": LOWEST, "accumulator": 64}
    yield Case("int16 by int16, zero points at their ends", {"a": ends, "b": ends}, zeros, ("extreme", "wide"))
    yield from (_long(k, zeros) for k in (256, 4096))


def _long(k: int, attrs: Attrs) -> Case:
    counts = [1 << j for j in range(13) if (k == 256) == (j < 9)]
    rows = np.stack([np.where(np.arange(k) < count, HIGHEST, LOWEST) for count in counts]).astype(np.int16)
    attrs = {**attrs, "a_zero_point": LOWEST}
    b = np.stack([np.full(k, HIGHEST), np.full(k, LOWEST)], 1).astype(np.int16)
    why = f"sums of up to {32 + max(counts).bit_length()} bits"
    return Case(why, {"a": rows, "b": b}, {**attrs, "b_zero_point": 0}, ("wide",))


def _shared(make: Make) -> Iterator[Case]:
    yield from _zero_points(make)
    yield from _widths(make)
    yield from _refused_beyond(make)
    yield from _wrapped(make)
    yield from _saturated(make)
    yield from _sums(make)


def _zero_points(make: Make) -> Iterator[Case]:
    for dtype in ("int8", "uint8", "int16"):
        low, high = dtype_range(dtype)
        x, w = [[low, high, 1], [high, low, 0]], [[-128, 127, 1], [127, -128, -1]]
        for zero in (low, high):
            attrs = {"x_zero_point": zero, "weight_zero_point": -128 if zero == high else 127}
            yield make(
                f"{dtype}, zero points {zero} and {attrs['weight_zero_point']}",
                "dtype extreme",
                x,
                w,
                0,
                dtype,
                **attrs,
            )
    x, w = [[-128, 127, 5]], [[-128, 127, 9], [3, -3, 1]]
    yield make("a zero point of x alone", "axes", x, w, x_zero_point=-3)
    yield make("a zero point of weights alone", "axes", x, w, weight_zero_point=11)
    for zeros in ((LOWEST, HIGHEST), (HIGHEST, LOWEST)):
        attrs = {"x_zero_point": zeros[0], "weight_zero_point": zeros[1], "accumulator": 64}
        yield make(f"zero points at their ends, {zeros}", "extreme wide", x, w, **attrs)
    for dtype in ("int8", "uint8", "int16"):
        yield make(f"{dtype} to int64", "dtype", [dtype_range(dtype)], [[3, -5]], 0, dtype, output="int64")


def _widths(make: Make) -> Iterator[Case]:
    x, w = [[HIGHEST] * 5 + [-9, 3, 1]], [[127] * 8, [-128] * 8, [1, -1] * 4]
    for bits in range(8, 65):
        attrs: Attrs = {"accumulator": bits, "overflow": "saturate", "every": bits % 5}
        yield make(f"saturated to {bits} bits, every {bits % 5}", "clip extreme", x, w, 0, "int16", **attrs)
    for bits in (8, 9, 15, 16, 17, 23, 24, 25, 31, 32, 33, 48, 61, 62, 63, 64):
        yield make(f"wrapped to {bits} bits", "clip extreme", x, w, 0, "int16", accumulator=bits, overflow="wrap")


def _refused_beyond(make: Make) -> Iterator[Case]:
    for bits in (8, 16, 24):
        columns = _reaching([(1 << bits - 1) - 1, -(1 << bits - 1)])
        yield make(f"both ends of {bits} bits", "clip extreme", *columns, 0, "int16", accumulator=bits)


def _reaching(goals: list[int]) -> tuple[Any, Any]:
    """One row, and a column for each goal that its sum is to be."""
    row = [1, 100, 10000, *[30000] * 9]
    return [row], digits(goals, row, 127)


def _wrapped(make: Make) -> Iterator[Case]:
    for bits in (8, 12, 24):
        end = 1 << bits - 1
        goals = [end - 1, end, end + 1, -end, -end - 1, -end - 2, 2 * end, -2 * end, 0, 3 * end]
        attrs = {"accumulator": bits, "overflow": "wrap"}
        yield make(f"either side of both ends of {bits} bits, wrapped", "clip", *_reaching(goals), 0, "int16", **attrs)


def _saturated(make: Make) -> Iterator[Case]:
    for bits in (8, 12, 24):
        end = 1 << bits - 1
        goals = [end - 2, end - 1, end, end + 1, -end + 1, -end, -end - 1, -end - 2, 5 * end // 2, -3 * end, 0]
        attrs = {"accumulator": bits, "overflow": "saturate"}
        yield make(
            f"either side of both ends of {bits} bits, saturated", "clip", *_reaching(goals), 0, "int16", **attrs
        )
    x = [[100, 100, -100, -100, 50, -1, 2, 7, -90], [-100, -100, -100, 100, 100, 100, -1, -1, 3]]
    w = [[1] * 9, [-1] * 9, [2] * 9, [1, -1, 1, -1, 1, -1, 1, -1, 1], [1, 2, 1, 2, 1, 2, 1, 2, 1]]
    for every in (0, 1, 2, 3, 4, 8, 9, 10, 300):
        attrs = {"accumulator": 8, "overflow": "saturate", "every": every}
        yield make(f"up and down again, blocks of {every}", "clip", x, w, **attrs)
    x = [[127, 1, -1, -128, -1, 1, 0]]
    w = [[1] * 7, [-1] * 7, [1, 1, 1, 2, 1, 1, 1]]
    yield make("at the ends without leaving them", "clip extreme", x, w, accumulator=8, overflow="saturate", every=1)
    long = np.tile([[127, -128, 64, 127, 3]], (1, 13))
    weights = np.tile([[127, 127, -128, 127, 1], [-128, 3, 127, 127, -7]], (1, 13))
    for every in (1, 2, 4, 8, 16, 32):
        attrs = {"accumulator": 16, "overflow": "saturate", "every": every}
        yield make(f"65 terms in blocks of {every}, 16 bits", "clip wide", long, weights, **attrs)


def _sums(make: Make) -> Iterator[Case]:
    """Sums of 32 to 44 bits, of either sign."""
    for zero, rest in ((LOWEST, HIGHEST), (HIGHEST, LOWEST)):
        attrs = {"x_zero_point": zero, "weight_zero_point": LOWEST, "accumulator": 48}
        for k, first in ((256, 0), (4096, 9)):
            counts = [1 << j for j in range(first, 9 if k == 256 else 13)]
            x = [np.where(np.arange(k) < count, rest, zero) for count in counts]
            why = f"sums of up to {31 + max(counts).bit_length()} bits, {'positive' if rest > 0 else 'negative'}"
            yield make(why, "wide", x, [[127] * k], 0, "int16", **attrs)
