"""Numbers that the cases of ops/wide.py are made of: full limbs, ties, anything, and the cells of a function."""

from typing import Any

import numpy as np

from intref.ops.wide import WIDE
from intref.vectors.case import Case, SplitMix64

LIMB = 1 << 24
ONE = np.array([[1, 0, 0, 0, 0, 0, 0]])  # a cell of a constant
# Both ends, limbs of all ones and all zeros of either sign, and the neighbours of a limb's edge.
CORNERS = (WIDE, -WIDE, LIMB - 1, LIMB, LIMB + 1, 1 - LIMB, -LIMB, -LIMB - 1, WIDE - LIMB + 1, 1, -1, 0)


def case(why: str, flags: str, attrs: dict[str, Any], **tensors: Any) -> Case:
    dtypes = {"mask": "int8"}
    made = {k: np.array(v, dtypes.get(k, "int64")) for k, v in tensors.items()}
    return Case(why, made, attrs, (*flags.split(),))


def random(state: int, shape: Any, bits: int = 47) -> np.ndarray:
    return SplitMix64(state).integers(-(1 << bits) + 1, (1 << bits) - 1, shape, "int64")


def ties(shift: int) -> list[int]:
    """Numbers at, above and below halves of 2**shift, of both signs and parities."""
    half = 1 << shift - 1
    return [sign * (odd * half + near) for sign in (1, -1) for odd in (1, 3) for near in (-1, 0, 1)]


def _falling(cells: int) -> np.ndarray:
    """Something like 2**-v: every cell a little lower, every power 2**-8 of the one before, signs alternating."""
    start = (1 << 48) - np.arange(cells)[:, None] * (1 << 48 - max(cells, 64).bit_length())
    return start >> 8 * np.arange(7)


def signed(cells: int) -> np.ndarray:
    return _falling(cells) * np.array([1, -1] * 3 + [1])
