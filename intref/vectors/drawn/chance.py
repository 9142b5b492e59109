"""Frozen chance: numbers that lie where arithmetic breaks more often than uniform ones would."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from intref.ops.op import dtype_range
from intref.vectors.case import SplitMix64

Picked = TypeVar("Picked")
SIZES = (1, 2, 3, 4, 5, 7, 8, 11, 13, 16, 17, 23, 31, 32, 33, 37, 48, 63, 64, 65, 97)  # primes and vector tails


class Chance:
    """A stream of choices. fixed: axis -> size, where the caller wants one."""

    def __init__(self, state: int, fixed: Mapping[str, int] | None = None):
        self.stream, self.fixed = SplitMix64(state), dict(fixed or {})

    def word(self) -> int:
        return int(self.stream.words(1)[0])

    def pick(self, choices: Sequence[Picked]) -> Picked:
        return choices[self.word() % len(choices)]

    def shuffled(self, items: Sequence[Picked]) -> list[Picked]:
        """All of them, in any order."""
        left = list(items)
        return [left.pop(self.word() % len(left)) for _ in items]

    def number(self, low: int, high: int) -> int:
        """An integer in [low, high], uniform."""
        return low + self.word() % (high - low + 1)

    def wide(self, low: int, high: int) -> int:
        """One of `widely`."""
        return int(self.widely(low, high, 1)[0])

    def size(self, axis: str, most: int = 97) -> int:
        """The size of an axis."""
        return self.fixed.get(axis) or self.pick([n for n in SIZES if n <= most])

    def lead(self) -> tuple[int, ...]:
        """Leading axes: none, one, several."""
        return self.pick(((), (1,), (2,), (3,), (2, 2), (1, 3)))

    def uniform(self, low: int, high: int, shape: Any, dtype: str = "int64") -> np.ndarray:
        return self.stream.integers(low, high, shape, dtype)

    def widely(self, low: int, high: int, shape: Any, dtype: str = "int64") -> np.ndarray:
        """Uniform over bit lengths, then over signs and values; an eighth are the ends and their neighbours."""
        count = int(np.prod(shape))
        words, lengths, kinds = self.stream.words(count), self.stream.words(count), self.stream.words(count)
        most = max(abs(low), abs(high)).bit_length()
        bits = (lengths % np.uint64(most + 1)).astype(np.int64)
        size = np.where(bits > 0, words >> np.uint64(1) >> (63 - np.maximum(bits, 1)).astype(np.uint64), 0)
        value = size.astype(np.int64) * np.where(kinds & np.uint64(8), 1, -1)
        ends = np.array([low, high, low + 1 if low < high else low, high - 1 if low < high else high], np.int64)
        value = np.where(kinds % np.uint64(8) > 0, value, ends[(kinds >> np.uint64(4) & np.uint64(3)).astype(np.int64)])
        outside = (value < low) | (value > high)
        value = np.where(outside, self.stream.integers(low, high, count, "int64"), value)
        return value.astype(dtype).reshape(shape)

    def filled(self, dtype: str, shape: Any, low: int | None = None, high: int | None = None) -> np.ndarray:
        """A tensor of a dtype: one in four uniform, the others by bit lengths."""
        least, most = dtype_range(dtype)
        least, most = least if low is None else max(low, least), most if high is None else min(high, most)
        draw = self.uniform if self.word() % 4 == 0 else self.widely
        return draw(least, most, shape, dtype)

    def mask(self, shape: tuple[int, ...]) -> np.ndarray:
        """Rows of every pattern: all, padding on either side, none, anything."""
        width = shape[-1]
        place, kept = np.arange(width), self.uniform(0, width, shape[:-1])[..., None]
        kinds = self.uniform(0, 4, shape[:-1])[..., None]
        anything = self.uniform(0, 1, shape)
        rows = np.where(
            kinds == 0, 1, np.where(kinds == 1, place < kept, np.where(kinds == 2, place >= kept, anything))
        )
        return rows.astype(np.int8)

    def clip(self, output: str) -> dict[str, int]:
        """low and high: the dtype's own, or a narrower range."""
        low, high = dtype_range(output)
        if self.word() % 2:
            return {}
        ends = sorted(int(v) for v in self.widely(low, high, 2))
        return {"low": ends[0], "high": ends[1]}
