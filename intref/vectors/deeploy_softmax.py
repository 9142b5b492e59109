"""Directed cases of Deeploy's softmaxes."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref.vectors.case import Broken, Case, Generator, SplitMix64

M31 = (1 << 31) - 1
SCALE_4: dict[str, Any] = {
    "a": 1,
    "b": 20,
    "c": 210,
    "ln2": 15,
}  # constants of microLlama's first block, of its Softmax test
COARSE: dict[str, Any] = {"a": 1, "b": 345, "c": 62395, "ln2": 255}


def _case(why: str, flags: str, x: Any, mask: Any = None, output: str = "uint8", **attrs: Any) -> Case:
    """x of two axes is [Q K]."""
    x = np.array(x, np.int8)
    x = x.reshape((1,) * (4 - x.ndim) + x.shape)
    mask = np.ones((x.shape[0], x.shape[3]), np.int8) if mask is None else np.array(mask, np.int8)
    return Case(why, {"x": x, "mask": mask}, {**attrs, "output": output}, (*flags.split(),))


def _shared(**attrs: Any) -> Iterator[Case]:
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
    far: dict[str, Any] = {"a": 1, "b": 1, "c": M31, "ln2": 2}
    yield _case("a sum of 2**32 and what 31 halvings leave", "extreme wide", [[0, 0, -128]], **far)
    for output in ("uint8", "int8"):
        yield _case(
            f"a sum of 2**32 counts as 1, and shows in {output}",
            "extreme wide degenerate",
            [[0, -1]],
            output=output,
            **{"a": 2, "b": 0, "c": M31, "ln2": 1 << 15},
        )
    yield _case(
        "a sum of 2**32 and nothing more counts as 1", "extreme wide degenerate", [[0, 0]], output="int8", **far
    )
    yield _case("a sum of 2**33 + 1", "extreme wide", [[127] * 4 + [-128]], output="int8", **far)
    yield _case("products that leave 32 bits", "extreme wide", [[0, -1, -2, -3]], a=1, b=1 << 15, c=M31, ln2=1 << 15)
    yield _case("the steepest polynomial", "extreme wide", [[0, -1, -90, -128]], a=1 << 15, b=0, c=0, ln2=1 << 15)
    yield _case("every constant 0 or least", "degenerate", [[0, -1, -2, -3]], a=1, b=0, c=0, ln2=2)
    stream = SplitMix64(22)
    for rows in (13, 37):
        x = stream.integers(-128, 127, (1, 1, rows, 3), "int8")
        yield _case(f"{rows} rows", "random axes", x, **SCALE_4)
    three: dict[str, Any] = {"a": 1100, "b": 1000, "c": 2121225472, "ln2": 2, "levels": 254}
    yield _case("a sum of 3 * 2**32 + 1: quotients of 32 bits", "wide", [[127] * 4 + [-128]], output="int8", **three)
    yield _case("the minimum alone, e beyond 2**31", "mask wide", [[-128, 0, 1, 2]], [[1, 0, 0, 0]], **far)
    for bits in range(7, 14):
        yield _case(f"a row of 2**{bits} keys", "extreme wide", np.zeros((1, 1 << bits), np.int8), **far)


def softmax_itamax() -> Iterator[Case]:
    """Rows of every kind; each distance either side of a rounding; rows whose sums step the inverse."""
    yield from _shared()
    halves = [[127 - d for d in (0, 15, 16, 17, 47, 48, 79, 80, 111, 112, 143, 144, 175, 176, 207, 208, 239, 240, 255)]]
    yield _case("either side of each halving", "tie", halves)
    yield _case("either side of each halving, around the middle level", "tie", halves, output="int8")
    every = [[127 - d for d in (0, 32, 64, 96, 128, 160, 192, 224, 255)]]
    yield _case("2 * 2**8 is one more than the sum", "tie", every, levels=3)
    for keys in (3, 17, 255, 256):
        yield _case(f"{keys} equal keys", "extreme", np.full((1, keys), -7))
    for bits in range(9, 14):
        yield _case(f"a row of 2**{bits} keys", "extreme wide", np.zeros((1, 1 << bits), np.int8))


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
    yield _case("a masked key beside the minimum", "mask", [[-128, 0, -112, -112]], [[1, 0, 1, 1]], group=2)
    for group in (1, 37):
        yield _case(
            f"the last five of 37 count most, groups of {group}", "axes", [[-128] * 32 + [127] * 5], group=group
        )
    late = [[0, *range(-113, 128, 16), -49, -81]]
    yield _case("16 climbs, the first from no key", "mask tie", late, [[0] + [1] * 18], group=1, levels=176)
    x = np.minimum(16 * np.arange(1 << 13) - 129, 127)[None]
    yield _case(
        "16 climbs and as many keys as there may be", "mask wide", np.maximum(x, -128), np.minimum(x + 129, 1), group=1
    )
    yield _case("a group of 512", "axes", np.arange(1024).reshape(1, -1) % 199 - 99, group=512)
    every = [[127 - d for d in (0, 32, 64, 96, 128, 160, 192, 224, 255)]]
    yield _case("2 * 2**8 is one more than the sum", "tie", every, group=9, levels=6)
    yield _case("2 * 2**8 is one less than the sum", "tie", [[127, 127, -128]], group=3, levels=6)
    for climbs, top, levels in (
        (2, 80, 28),
        (3, 48, 60),
        (4, 48, 124),
        (6, 16, 176),
    ):  # a sum whose lost part decides the quotient
        row = [[top, -128, *(top + 16 * i for i in range(1, climbs + 1) for _ in range(2))]]
        yield _case(f"{climbs} climbs lose a part that decides", "tie", row, group=2, levels=levels)
    yield _case("14 climbs lose a part that decides", "tie", [[*range(-128, 97, 16), -128, -80]], group=1, levels=176)
    for keys in (17, 24, *(1 << bits for bits in range(5, 14)), 534):
        x = 16 * np.minimum(np.arange(keys), 15).reshape(1, -1) - 128
        yield _case(f"fifteen climbs, {keys} keys", "extreme wide", x, group=1)


_ATTENDED = "_attended: mask -> -mask in return mask[:, None, None] if len(mask.shape) == 2 else mask[:, None]"
_STORED = "in return _wrap_int8(p - (levels >> 1)) if output == 'int8' else p & 255"
_ANY_BUT_0 = "where takes its first value for anything but 0"
_BELOW = "a fill below every x leaves the maximum alone; a masked key counts for nothing"
_BYTE = "p is stored in 8 bits: modulo 2**8 the two agree"
_SEEN = "in seen = where(attend, x, -128)"
_ANY_SOFTMAX = {
    _ATTENDED: _ANY_BUT_0,
    f"{_ATTENDED} #2": _ANY_BUT_0,
    f"_stored: _wrap_int8(p - (levels >> 1)) -> p - (levels >> 1) {_STORED}": _BYTE,
    f"_stored: p & 255 -> p {_STORED}": _BYTE,
    "_wrap_int8: (x + 128 & 255) - 128 -> (x + 128 & 255) + 128 in return (x + 128 & 255) - 128": _BYTE,
    "_wrap_int8: x + 128 & 255 -> x + 128 in return (x + 128 & 255) - 128": _BYTE,
    "_wrap_int8: x + 128 -> x - 128 in return (x + 128 & 255) - 128": _BYTE,
}
_SHARED = {
    **_ANY_SOFTMAX,
    "mask -> -mask in attend = _attended(mask)": _ANY_BUT_0,
    f"attend -> -attend {_SEEN}": _ANY_BUT_0,
    f"x -> x + 1 {_SEEN}": "only differences of x count",
    f"128 -> 129 {_SEEN}": _BELOW,
}
_GROUPED = "in seen = where(_attended(mask), x, MASKED_OUT)"
_SUM = "in total = sum_along(sum_along(terms, -2), -1)[..., 0] >> max_along(climbed, -2)[..., 0]"
_CUT = "in groups = seen.reshape((*lead, keys // group, group))"
_FOUND = "a reshape finds a single size that is given as -1, and refuses any other below 0"
_ONE_LONG = "the axis summed along has size 1"
_E = "in e = where(attend, within(a * square(r + b) + c, 0, (1 << 32) - 1) >> z, 0)"
_TOTAL = "in total = sum_along(where(attend, 1 << 8 - s, 0), -1)"
_P = "in return {'p': _stored(where(attend, inverse >> s, 0), levels, output)}"
_KEYLESS = "a row without a key has a sum of 0, and p = 0 whatever the quotient"
_ONE = "a row whose maximum is -128 has no other x: one apart or none, its distances are of no halving"
EQUIVALENT: dict[str, dict[str, str]] = {
    "softmax_deeploy": {**_SHARED, f"attend -> -attend {_E}": _ANY_BUT_0},
    "softmax_itamax": {
        **_SHARED,
        f"128 -> 127 {_SEEN}": _ONE,
        f"x -> x - 1 {_SEEN}": _ONE,
        f"attend -> -attend {_TOTAL}": _ANY_BUT_0,
        f"attend -> -attend {_P}": _ANY_BUT_0,
        "256 -> 255 in inverse = (levels - 1 << 8) // maximum(total, 256)": _KEYLESS,
    },
    "softmax_itamax_partial": {
        **_ANY_SOFTMAX,
        f"mask -> -mask {_GROUPED}": _ANY_BUT_0,
        f"x -> x + 1 {_GROUPED}": "only differences count, and a climb before the first key shifts nothing",
        f"MASKED_OUT -> MASKED_OUT - 1 {_GROUPED}": _BELOW,
        f"0 -> -1 {_SUM}": _ONE_LONG,
        f"0 -> -1 {_SUM} #2": _ONE_LONG,
        **{f"{size} -> -{size} {_CUT}": _FOUND for size in ("keys", "group")},
        f"group -> -group {_CUT} #2": _FOUND,
        "256 -> 255 in inverse = ((levels >> 1) - 1 << 8) // maximum(total, 256)": _KEYLESS,
    },
}
_STORES = {
    "difference * of 4: wrapped to 32 bits": _BYTE,
    "addition 3 of 3: wrapped to 32 bits": _BYTE,
}
_C5 = "C5: it is below 2**31"
HARMLESS: dict[str, dict[str, str]] = {
    "softmax_deeploy": {
        **_STORES,
        "product 2 of 3: * to 32 bits": _C5,
        "product 3 of 3: wrapped to 32 bits": "the wrap to uint32 leaves the low 32 bits, which both have",
        "sum: wrapped to 32 bits": "the wrap to uint32 leaves the low 32 bits, which both have",
    },
    "softmax_itamax_partial": {
        "sum * of 2: saturated to 32 bits": "beyond 2**31 it is beyond 2**15 after its shift, and the quotient 0",
        "running sum: wrapped to 8 bits": "the climbs are 16 at most",
        "maximum 2 of 3: without the first element": "the climbs never fall: their maximum is the last",
    },
}
_CLIMBS = "each halving takes a climb of 16, and 256 is the largest"
_EVEN = "a term of 1 takes a distance of 240, which leaves no climb: where a sum is shifted, it is even"
_SUMS = r"sum_along\(where\(attend, 1 << 8 - .*\) \|"
_LEAST = "a row with a key has its maximum's own 2**8 in the sum"
UNREACHABLE: dict[str, dict[str, str]] = {
    "softmax_deeploy": {r"a \* square\(r \+ b\) \| positive, 32 to 53 bits": _C5},
    "softmax_itamax": {
        r"maximum\(total, 256\) \| left is one less": _LEAST,
        rf"{_SUMS} positive, [1-8] bits": _LEAST,
    },
    "softmax_itamax_partial": {
        r"maximum\(total, 256\) \| left is one less": _LEAST,
        r"sum_along\(sum_along.* \| positive, [1-8] bits": _LEAST,
        r"sum_along\(.* \| (odd above .*|one (above|below) exact, .*)": _EVEN,
        r"sum_along\(.* \| shift 1": "after one climb only terms of 2 and more are before it: nothing is lost",
        r"inverse >> .* \| shift 8": "inverse <= 127 is less than half of 2**8",
        r"max_along\(climbed, -2\) \| one maximum, (inside|the first)": "the climbs never fall",
        r"running_sum\(.* \| positive, ([6-9]|1[0-8]) bits": _CLIMBS,
    },
}
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
