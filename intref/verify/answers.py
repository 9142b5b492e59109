"""What a difference does to a model's answer: rows whose largest element is another one, and by what margin."""

from typing import Any

import numpy as np

from intref.comparison import mismatches

LARGEST = (1 << 53) - 1  # that JSON holds exactly; a larger margin is told as this


def flips(made: np.ndarray, golden: np.ndarray, valid: np.ndarray | None) -> dict[str, Any]:
    """Of one output, [... classes], on its valid region (bool, None: everywhere).

    rows, flipped: rows, and those whose argmax is another one. differing: elements. Margins are golden's largest minus
    its second largest, in integer units; each is absent where there is no such row: margin_least: the smallest of all
    rows; margin_flipped: the largest among the flipped; margin_survived: the smallest among those that differ and keep
    their answer.
    """
    wrong = mismatches(made, golden, valid)
    counted = np.ones(golden.shape[:-1], bool) if valid is None else valid.any(axis=-1)
    flipped = (made.argmax(axis=-1) != golden.argmax(axis=-1)) & counted
    found = {
        "rows": int(np.count_nonzero(counted)),
        "flipped": int(np.count_nonzero(flipped)),
        "differing": int(np.count_nonzero(wrong)),
    }
    if golden.shape[-1] < 2 or not counted.any():
        return found
    margin, kept = _margins(golden), wrong.any(axis=-1) & counted & ~flipped
    told = {"margin_least": margin[counted].min()}
    if flipped.any():
        told["margin_flipped"] = margin[flipped].max()
    if kept.any():
        told["margin_survived"] = margin[kept].min()
    return found | {key: min(int(value), LARGEST) for key, value in told.items()}


def _margins(golden: np.ndarray) -> np.ndarray:
    """The largest minus the second largest of each row, as uint64, which holds every difference of int64."""
    first = golden[..., 0].astype(np.int64)
    second = np.full(first.shape, np.iinfo(np.int64).min, np.int64)
    for i in range(1, golden.shape[-1]):
        value = golden[..., i].astype(np.int64)
        second = np.maximum(second, np.minimum(first, value))
        first = np.maximum(first, value)
    return np.asarray(first, np.int64).view(np.uint64) - second.view(np.uint64)
