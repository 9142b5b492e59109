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


KERNELS = (split_heads, merge_heads, transpose, select_token)
