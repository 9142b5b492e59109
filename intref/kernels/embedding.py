"""Twins of ops/embedding.py. Small beside a model's products, so plain NumPy."""

import numpy as np

from intref.kernels.arrays import plain


def embedding(ids: np.ndarray, table: np.ndarray) -> dict[str, np.ndarray]:
    return {"y": np.take(table, ids, axis=0)}


def positions(mask: np.ndarray, *, form: str, start: int) -> dict[str, np.ndarray]:
    mask = plain(mask)
    counted = np.maximum.accumulate(mask, axis=-1) if form == "offset" else mask
    place = np.add.accumulate(counted, axis=-1, dtype=np.int32) - 1
    if form == "offset":
        return {"positions": np.maximum(place, 0) + np.int32(start)}
    return {"positions": np.where(mask, place, np.int32(-1)) + np.int32(start)}


def mean_pool(x: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
    total = np.add.reduce(np.where(mask[..., None], plain(x), 0), axis=-2, dtype=np.int64)
    count = np.maximum(np.add.reduce(mask, axis=-1, dtype=np.int64, keepdims=True), 1)
    return {"y": ((2 * total + count) // (2 * count)).astype(x.dtype)}


KERNELS = (embedding, positions, mean_pool)
