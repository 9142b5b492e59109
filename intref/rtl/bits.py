"""Integers on wires: lanes packed into words and taken apart again, with x and z as a finding of their own."""

from collections.abc import Sequence
from typing import Any

import numpy as np

FIRST = ("lsb", "msb")  # where a word has the first of its lanes
LOGIC = set("01xXzZuUwWlLhH-")  # all that a bit can be


class UnknownBits(ValueError):
    """A lane is not a number: some of its bits are x or z. lane: which; bits: all of them, msb first."""

    def __init__(self, lane: int, bits: str):
        super().__init__(f"x or z in lane {lane}: 0b{bits}")
        self.lane, self.bits = lane, bits


def pack(values: np.ndarray, width: int, first: str = "lsb") -> list[int]:
    """One word for each row of values [n, lanes], every lane as `width` bits of two's complement.

    ValueError if values are not rows of integers, one fits `width` bits neither with nor without a sign, or first is
    not lsb or msb.
    """
    rows = np.asarray(values)
    if rows.ndim != 2 or width < 1 or not all(isinstance(v, int) for v in rows.ravel().tolist()):
        raise ValueError(f"expected integers [n, lanes] and a width, not {rows.dtype} {list(rows.shape)}, {width}")
    lanes = _ordered(rows.astype(object).T, first)
    for lane in lanes:
        if any(not -(1 << width - 1) <= int(v) < 1 << width for v in lane):
            raise ValueError(f"a value of {width} bits must lie in [{-(1 << width - 1)}, {(1 << width) - 1}]")
    mask = (1 << width) - 1
    return [int(w) for w in sum((lane & mask) << width * i for i, lane in enumerate(lanes))]


def unpack(word: Any, width: int, lanes: int = 1, signed: bool = True, first: str = "lsb") -> list[int]:
    """The lanes of one word: an integer, a string of bits (msb first), or what prints as one, such as a LogicArray.

    UnknownBits for the first lane that holds anything but 0 and 1; ValueError if the word is not lanes * width bits, or
    an integer that does not fit them: nothing is cut off. One lane with a sign may be a negative integer.
    """
    return [unpack_lane(word, lane, width, lanes, signed, first) for lane in range(lanes)]


def unpack_lane(word: Any, lane: int, width: int, lanes: int = 1, signed: bool = True, first: str = "lsb") -> int:
    """One lane of a word, as `unpack` has them."""
    total = width * lanes
    bits = _binary(word, total, signed and lanes == 1) if isinstance(word, int | np.integer) else str(word)
    if {*bits} - LOGIC:
        raise ValueError(f"a word must be an integer or bits, not {word!r}")
    if len(bits) != total:
        raise ValueError(f"a word of {len(bits)} bits, expected {lanes} lanes of {width}")
    end = total - width * _ordered(range(lanes), first)[lane]
    found = bits[end - width : end]
    if {*found} - {"0", "1"}:
        raise UnknownBits(lane, found)
    return int(found, 2) - (int(found[0]) << width if signed else 0)


def _binary(word: Any, total: int, signed: bool) -> str:
    word, low = int(word), -(1 << total - 1) if signed else 0
    if not low <= word < 1 << total:
        raise ValueError(f"a word of {total} bits must lie in [{low}, {(1 << total) - 1}], not {word}")
    return f"{word & (1 << total) - 1:0{total}b}"


def _ordered(lanes: Any, first: str) -> Any:
    if first not in FIRST:
        raise ValueError(f"first must be lsb or msb, not {first!r}")
    return lanes if first == "lsb" else lanes[::-1]


def as_integers(words: Sequence[Any], width: int, lanes: int = 1, signed: bool = True, first: str = "lsb") -> Any:
    """int64 [n, lanes] of n words; see unpack. Values of 64 bits without a sign do not fit and are a ValueError."""
    rows = [unpack(word, width, lanes, signed, first) for word in words]
    try:
        return np.array(rows, np.int64).reshape(-1, lanes)
    except OverflowError:
        raise ValueError("a value of 64 bits without a sign does not fit int64") from None
