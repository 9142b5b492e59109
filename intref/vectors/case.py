"""A case, the bugs that cases are there to catch, and the frozen random stream that fills the undirected ones."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

FLAGS = {
    "tie": "a wrong tie rule, or none",
    "clip": "a clip that is missing or one off",
    "extreme": "a register too narrow for an operand, a shift or a multiplier at the end of its range",
    "wide": "float arithmetic on an accumulator above 2**24, or one limb where a product needs two",
    "square": "a root one off",
    "degenerate": "a row of one element, all zero or all equal: a division by zero",
    "mask": "a masked key or token that leaks, a row without any",
    "axes": "a constant laid along a wrong axis, rows or leading axes mixed up",
    "dtype": "a sign extension or a width of the wrong dtype",
    "random": "whatever nobody thought of",
}


class Case(NamedTuple):
    """One call of an op. why: what it shows, unique in its op; flags: the bugs it would catch, of FLAGS."""

    why: str
    tensors: dict[str, np.ndarray]
    attrs: dict[str, Any]
    flags: tuple[str, ...] = ()


Generator = Callable[[], Iterator[Case]]
Broken = Mapping[str, Any]  # inputs and attributes that replace those of an op's first case


class SplitMix64:
    """Steele, Lea and Flood 2014: the state grows by a constant, the output is the mixed state."""

    def __init__(self, seed: int):
        self.state = seed

    def words(self, count: int) -> np.ndarray:
        """The next `count` outputs, uint64."""
        z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(self.state)
        self.state = (self.state + count * 0x9E3779B97F4A7C15) % (1 << 64)
        z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        return z ^ z >> np.uint64(31)

    def integers(self, low: int, high: int, shape: Any, dtype: str) -> np.ndarray:
        """low + output % (high - low + 1), in C order; low and high int64."""
        words = self.words(int(np.prod(shape)))
        span = high - low + 1
        offsets = words % np.uint64(span) if span < 1 << 64 else words
        return (offsets.astype(np.int64) + low).astype(dtype).reshape(shape)
