"""Two integer tensors, element by element: how many differ, by how much, and where first."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Difference:
    """compared: elements of the valid region. first: coordinates of the first that differs. |d|: log2 bin -> count."""

    compared: int
    differing: int
    bits: int
    first: tuple[int, ...] = ()
    dut: int = 0
    golden: int = 0
    max_abs: int = 0
    bins: tuple[tuple[int, int], ...] = ()

    @property
    def sizes(self) -> str:
        """How large the differences are, in words."""
        if self.max_abs and len(self.bins) == 1 and self.max_abs == 1:
            return "all |d| = 1"
        spans = (f"{1 << b}: {n}" if b == 0 else f"{1 << b}-{(2 << b) - 1}: {n}" for b, n in self.bins[:6])
        return f"|d| {', '.join(spans)}{', ...' if len(self.bins) > 6 else ''}, largest {self.max_abs}"

    @property
    def count(self) -> str:
        hundredths = (20_000 * self.differing + self.compared) // (2 * max(self.compared, 1))
        share = f"{hundredths // 100}.{hundredths % 100:02d}"
        return f"{self.differing} / {self.compared} differ ({share} %)"

    @property
    def place(self) -> str:
        """The first mismatch, in decimal and in hexadecimal of the tensor's width."""
        d, g = (f"{v} ({self._hex(v)})" for v in (self.dut, self.golden))
        at = ", ".join(map(str, self.first))
        return f"first at [{at}]: dut {d} golden {g} xor {self._hex(self.dut ^ self.golden)}"

    def _hex(self, value: int) -> str:
        return f"0x{value & (1 << self.bits) - 1:0{self.bits // 4}x}"


def mismatches(dut: np.ndarray, golden: np.ndarray, valid: np.ndarray | None) -> np.ndarray:
    """bool: where two tensors of one shape differ and count."""
    wrong = np.asarray(dut != golden)
    return wrong if valid is None else wrong & valid


def compare(dut: np.ndarray, golden: np.ndarray, valid: np.ndarray | None = None) -> Difference:
    """Compare two tensors of the same dtype and shape on the valid region (bool, None: everywhere)."""
    compared = golden.size if valid is None else int(np.count_nonzero(valid))
    wrong = mismatches(dut, golden, valid)
    count, bits = int(np.count_nonzero(wrong)), 8 * golden.dtype.itemsize
    if not count:
        return Difference(compared, 0, bits)
    first = tuple(int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape))
    a, b = dut[wrong], golden[wrong]
    # Modulo 2**64 the larger minus the smaller is right even where int64 would wrap.
    size = np.maximum(a, b).astype(np.uint64) - np.minimum(a, b).astype(np.uint64)
    logs = sum((size >> np.uint64(k) > 0).astype(np.int64) for k in range(1, 64))
    bins = tuple((int(b), int(n)) for b, n in zip(*np.unique(logs, return_counts=True)))
    return Difference(compared, count, bits, first, int(dut[first]), int(golden[first]), int(size.max()), bins)
