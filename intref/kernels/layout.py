"""Twins of ops/layout.py: copies in C order, never views."""

import numpy as np


def split_heads(x: np.ndarray, *, heads: int) -> dict[str, np.ndarray]:
    parts = x.reshape((*x.shape[:-1], heads, x.shape[-1] // heads))
    return {"y": np.swapaxes(parts, -2, -3).copy()}


def merge_heads(x: np.ndarray) -> dict[str, np.ndarray]:
    *lead, heads, rows, width = x.shape
    return {"y": np.swapaxes(x, -2, -3).copy().reshape((*lead, rows, heads * width))}


def transpose(x: np.ndarray) -> dict[str, np.ndarray]:
    return {"y": np.swapaxes(x, -1, -2).copy()}


def select_token(x: np.ndarray, *, index: int) -> dict[str, np.ndarray]:
    return {"y": x[..., index, :].copy()}


def reshape(x: np.ndarray, *, rank: str, d0: int, d1: int, d2: int, d3: int, d4: int, d5: int) -> dict[str, np.ndarray]:
    return {"y": np.array(x, order="C").reshape((d0, d1, d2, d3, d4, d5)[: int(rank)])}


def swap_axes(x: np.ndarray) -> dict[str, np.ndarray]:
    return {"y": np.swapaxes(x, -2, -3).copy()}


def slice_rows(x: np.ndarray, *, start: int, step: int, count: int) -> dict[str, np.ndarray]:
    return {"y": np.take(x, start + step * np.arange(count), axis=-2)}


def concat_rows(a: np.ndarray, b: np.ndarray) -> dict[str, np.ndarray]:
    return {"y": np.ascontiguousarray(np.concatenate([a, b], axis=-2))}


KERNELS = (split_heads, merge_heads, transpose, select_token, reshape, swap_axes, slice_rows, concat_rows)
