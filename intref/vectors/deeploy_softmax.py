"""Directed cases of Deeploy's softmaxes."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref.vectors.case import Broken, Case, Generator, SplitMix64

M31 = (1 << 31) - 1
SCALE_4 = {"a": 1, "b": 20, "c": 210, "ln2": 15}  # constants of microLlama's first block, of its Softmax test
COARSE = {"a": 1, "b": 345, "c": 62395, "ln2": 255}


def _case(why: str, flags: str, x: Any, mask: Any = None, output: str = "uint8", **attrs: int) -> Case:
    """x of two axes is [Q K]."""
    x = np.array(x, np.int8)
    x = x.reshape((1,) * (4 - x.ndim) + x.shape)
    mask = np.ones((x.shape[0], x.shape[3]), np.int8) if mask is None else np.array(mask, np.int8)
    return Case(why, {"x": x, "mask": mask}, {**attrs, "output": output}, (*flags.split(),))


def _shared(**attrs: int) -> Iterator[Case]:
    """What every softmax of 8 bits must be shown, in rows of four keys or eight."""
    yield _case("all equal", "degenerate", [[5, 5, 5, 5]], **attrs)
    yield _case("all equal, around the middle level", "degenerate", [[5, 5, 5, 5]], output="int8", **attrs)
    yield _case("one dominant", "extreme", [[127, -128, -100, 3]], output="int8", **attrs)
    yield _case("all at the minimum", "extreme degenerate", [[-128] * 4], **attrs)
    yield _case("minimum and maximum, 255 apart", "extreme", [[-128, 127, 127, 126]], output="int8", **attrs)
    yield _case("an odd number of levels", "extreme", [[3, 2, 1, -60]], output="int8", **{**attrs, "levels": 255})
    yield _case("two levels", "extreme degenerate", [[3, 2, 1, -60]], output="int8", **{**attrs, "levels": 2})
    yield _case("mask: the maximum is not attended", "mask", [[9, 90, 8, 7]], [[1, 0, 1, 1]], **attrs)
    yield _case("mask: one key is left", "mask degenerate", [[9, 90, 8, 7]], [[0, 0, 1, 0]], output="int8", **attrs)
    rows = [[1, 2, 3, 4], [4, 5, 6, 7]]
    yield _case(
        "mask per query, one row without a key", "mask degenerate", rows, [[[0] * 4, [1, 0, 1, 1]]], "int8", **attrs
    )
    blocks = np.arange(64).reshape(2, 2, 2, 8) * 13 % 101
    yield _case("mask per batch: B = H = Q = 2", "mask axes", blocks, [[0, 1] * 4, [1, 1, 1, 0] * 2], **attrs)
    per_query = np.arange(32).reshape(2, 2, 8) % 3 > 0
    yield _case("mask per query: B = H = Q = 2", "mask axes", blocks, per_query, "int8", **attrs)
    yield _case("the minimum attended, the rest not", "mask extreme", [[-128, 0, 1, 2]], [[1, 0, 0, 0]], **attrs)
    stream = SplitMix64(21)
    for keys, output in ((16, "int8"), (48, "uint8")):
        x, mask = stream.integers(-128, 127, (2, 2, 3, keys), "int8"), stream.integers(0, 1, (2, 3, keys), "int8")
        yield _case(f"random, {keys} keys", "random mask axes", x, mask, output, **attrs)


def softmax_deeploy() -> Iterator[Case]:
    """Rows of every kind; halvings to the cut at 31; products and sums that leave 32 bits; ends of the constants."""
    yield from _shared(**SCALE_4)
    distances = [[127 - d for d in (0, 1, 14, 15, 16, 29, 30, 31, 44, 45, 46, 120, 255)]]
    yield _case("either side of a halving", "tie", distances, **SCALE_4)
    yield _case("no halving at all", "extreme", distances, **COARSE)
    steps = [[127 - d for d in (0, 1, 59, 60, 61, 62, 63, 64, 65, 127, 128, 255)]]
    yield _case("the cut at 31 halvings: the remainder grows beyond ln2", "extreme", steps, a=1, b=300, c=0, ln2=2)
    far = {"a": 1, "b": 1, "c": M31, "ln2": 2}
    yield _case("a sum of 2**32 and what 31 halvings leave", "extreme wide", [[0, 0, -128]], **far)
    yield _case(
        "a sum of 2**32 and nothing more counts as 1", "extreme wide degenerate", [[0, 0]], output="int8", **far
    )
    yield _case("a sum of 2**33 + 1", "extreme wide", [[127] * 4 + [-128]], output="int8", **far)
    yield _case("products that leave 32 bits", "extreme wide", [[0, -1, -2, -3]], a=1, b=1 << 15, c=M31, ln2=1 << 15)
    yield _case("the steepest polynomial", "extreme wide", [[0, -1, -90, -128]], a=1 << 15, b=0, c=0, ln2=1 << 15)
    yield _case("every constant 0 or least", "degenerate", [[0, -1, -2, -3]], a=1, b=0, c=0, ln2=2)
    for bits in range(7, 14):
        yield _case(f"a row of 2**{bits} keys", "extreme wide", np.zeros((1, 1 << bits)), **COARSE)


def softmax_itamax() -> Iterator[Case]:
    """Rows of every kind; each distance either side of a rounding; rows whose sums step the inverse."""
    yield from _shared()
    halves = [[127 - d for d in (0, 15, 16, 17, 47, 48, 79, 80, 111, 112, 143, 144, 175, 176, 207, 208, 239, 240, 255)]]
    yield _case("either side of each halving", "tie", halves)
    yield _case("either side of each halving, around the middle level", "tie", halves, output="int8")
    for keys in (3, 17, 255, 256):
        yield _case(f"{keys} equal keys", "extreme", np.full((1, keys), -7))
    for bits in range(9, 14):
        yield _case(f"a row of 2**{bits} keys", "extreme wide", np.zeros((1, 1 << bits)))


def softmax_itamax_partial() -> Iterator[Case]:
    """As itamax, in groups: maxima that climb, fall and stay, by every amount either side of a rounding."""
    yield from _shared(group=4)
    yield _case("one group", "axes", [[1, 90, -90, 40]], group=4)
    yield _case("groups of one key", "axes", [[-128, -100, -60, -1, 50, 120]], group=1)
    yield _case("the maximum falls from group to group", "extreme", [[120, 100, 60, 0, -50, -128]], group=2)
    for climb in (15, 16, 17, 47, 48, 255):
        yield _case(f"a climb of {climb}", "tie", [[-128, -128, -128 + climb, -128]], group=2)
    yield _case("sums that lose bits at each climb", "tie", [[-128, -112, -96, -95, -79, -78, -46, 127]], group=1)
    yield _case("fifteen climbs of one halving each", "extreme", [[16 * i - 128 for i in range(16)]], group=1)
    yield _case("a climb by a masked key does not count", "mask", [[0, 100, 20, 5]], [[1, 0, 1, 1]], group=2)
    yield _case("a group without a key", "mask degenerate", [[0, 9, 90, 80, 3, 2]], [[1, 1, 0, 0, 1, 1]], group=2)
    yield _case("the first group without a key", "mask degenerate", [[90, 80, 3, -30]], [[0, 0, 1, 1]], group=2)
    for bits in range(7, 14):
        x = np.arange(1 << bits).reshape(1, -1) * 3 % 256 - 128
        yield _case(f"a row of 2**{bits} keys", "extreme wide", x, group=16)


CASES: dict[str, Generator] = {f.__name__: f for f in (softmax_deeploy, softmax_itamax, softmax_itamax_partial)}
_X, _LONG = np.zeros((1, 1, 1, 4), np.int8), np.zeros((1, 1, 1, (1 << 13) + 4), np.int8)
_REFUSED: dict[str, list[Broken]] = {
    "C1": [{"mask": np.ones((1, 4), bool)}, {"x": _X.astype(np.uint8)}],
    "C2": [
        {"x": _LONG, "mask": np.ones((1, (1 << 13) + 4), np.int8)},
        {"mask": np.ones((1, 5), np.int8)},
        {"mask": np.ones((2, 4), np.int8)},
        {"x": _X[0]},
    ],
    "C3": [{"mask": np.full((1, 4), 2, np.int8)}, {"mask": np.full((1, 4), -1, np.int8)}],
    "C4": [{"levels": 257}, {"levels": 1}, {"output": "int16"}],
}
REFUSED: dict[str, dict[str, list[Broken]]] = {
    "softmax_deeploy": {
        **_REFUSED,
        "C4": [*_REFUSED["C4"], {"ln2": 1}, {"c": 1 << 31}, {"b": -1}, {"a": 0}],
        "C5": [{"a": 1 << 15, "b": 256}],
    },
    "softmax_itamax": _REFUSED,
    "softmax_itamax_partial": {**_REFUSED, "C4": [*_REFUSED["C4"], {"group": 0}], "C5": [{"group": 3}, {"group": 8}]},
}
