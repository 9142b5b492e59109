"""Run by tests in a process of its own, which INTREF_ISA or numba's variables may bind to other instructions.

Prints what was chosen, and every product of test_products.py that differs from the reference.
"""

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from intref import call
from intref.kernels import set_threads
from intref.kernels.isa import ISA

SIZES = (1, 2, 3, 5, 6, 7, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 129, 200)
EXTREME = 0.25  # of the operands, that are at an end of their dtype


def products(count: int) -> Iterator[tuple[str, dict[str, np.ndarray], dict[str, Any]]]:
    """Calls of every dtype, of sizes about those of tiles and panels, with rows of extremes, views and zero points."""
    rng = np.random.default_rng(8)
    for _ in range(count):
        batch, m, n, k = int(rng.integers(1, 4)), *(int(rng.choice(SIZES)) for _ in range(3))
        x = _drawn(rng, str(rng.choice(["int8", "uint8", "int16"])), (batch, m, 2 * k))
        x = x[..., ::2] if rng.integers(2) else x[..., k:]
        if rng.integers(2):
            yield "matmul", {"a": x, "b": _drawn(rng, "int8", (batch, k, n))}, {}
        else:
            bias = rng.integers(-(1 << 20), 1 << 20, n).astype(np.int32)
            attrs = {"x_zero_point": int(rng.choice([0, 0, -128, 127, 255]))}
            yield "linear", {"x": x, "weight": _drawn(rng, "int8", (n, k)), "bias": bias}, attrs


def _drawn(rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    ends = np.iinfo(dtype)
    x = rng.integers(ends.min, ends.max + 1, shape)
    at_end = np.where(rng.integers(2, size=shape), ends.min, ends.max)
    return np.where(rng.random((*shape[:-1], 1)) < EXTREME, at_end, x).astype(dtype)


def mismatches(count: int) -> Iterator[str]:
    for i, (op, tensors, attrs) in enumerate(products(count)):
        set_threads(1 + i % 2)
        shapes = {name: (v.dtype.name, v.shape) for name, v in tensors.items()}
        if not np.array_equal(call(op, tensors, attrs, "fast")["y"], call(op, tensors, attrs)["y"]):
            yield f"{op} {shapes} {attrs}"


if __name__ == "__main__":
    print(ISA, *mismatches(int(sys.argv[1])), sep="\n")
