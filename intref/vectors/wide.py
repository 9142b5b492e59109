"""Directed cases of ops/wide.py, and calls that it must refuse."""

import numpy as np

from intref.ops.wide import WIDE
from intref.vectors.case import Broken, Generator
from intref.vectors.wide_argued import EQUIVALENT, HARMLESS, UNREACHABLE
from intref.vectors.wide_functions import gelu_wide, tanh_wide
from intref.vectors.wide_products import add_wide, linear_wide, matmul_wide
from intref.vectors.wide_rows import l2_normalize_wide, layernorm_wide, mean_pool_wide, softmax_wide

__all__ = ["CASES", "EQUIVALENT", "HARMLESS", "REFUSED", "UNREACHABLE"]

CASES: dict[str, Generator] = {
    f.__name__: f
    for f in (
        linear_wide,
        matmul_wide,
        add_wide,
        softmax_wide,
        layernorm_wide,
        gelu_wide,
        tanh_wide,
        mean_pool_wide,
        l2_normalize_wide,
    )
}
_FAR, _SHORT = np.array([WIDE + 1]), np.ones((1, 7), np.int32)
_J6 = np.zeros((1, 6), np.int64)


def _long(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.int64)


_FUNCTION: dict[str, list[Broken]] = {
    "C1": [{"x": np.zeros(3, np.int32)}, {"coefficients": _SHORT}],
    "C2": [{"x": np.array(5)}, {"coefficients": _long(1025, 7)}, {"coefficients": _long(7)}],
    "C3": [{"x": _FAR}, {"coefficients": np.full((1, 7), (1 << 48) + 1)}],
    "C4": [{"fraction": 5}, {"fraction": 48}, {"fraction": None}],
    "C5": [{"coefficients": _J6}],
}
_SHIFTS: list[Broken] = [{"shift": 47}, {"shift": 65}, {"shift": None}]
REFUSED: dict[str, dict[str, list[Broken]]] = {
    "linear_wide": {
        "C1": [{"x": np.zeros((1, 1), np.int32)}],
        "C2": [
            {"x": _long(1, 2)},
            {"bias": _long(2)},
            {"x": _long(1, (1 << 12) + 1), "weight": _long(1, (1 << 12) + 1)},
        ],
        "C3": [{"x": _FAR[None]}, {"weight": -_FAR[None]}, {"bias": _FAR}],
        "C4": _SHIFTS,
    },
    "matmul_wide": {
        "C1": [{"a": np.zeros((1, 1), np.int32)}],
        "C2": [{"a": _long(1, 2)}, {"a": _long(1, (1 << 12) + 1), "b": _long((1 << 12) + 1, 1)}, {"b": _long(1, 1, 1)}],
        "C3": [{"a": _FAR[None]}, {"b": -_FAR[None]}],
        "C4": _SHIFTS,
    },
    "add_wide": {
        "C1": [{"a": np.zeros(7, np.int32)}],
        "C2": [{"a": _long(2)}],
        "C3": [{"a": np.repeat(_FAR, 7)}, {"b": -np.repeat(_FAR, 7)}],
        "C4": [{"a_shift": 15}, {"a_shift": -1}, {"b_shift": 15}, {"b_shift": -1}, {"shift": 29}, {"shift": -1}],
    },
    "softmax_wide": {
        "C1": [{"x": np.zeros((1, 1, 1, 19), np.int32)}, {"mask": np.ones((1, 19), bool)}, {"coefficients": _SHORT}],
        "C2": [
            {"x": _long(1, 1, 19)},
            {"mask": np.ones((1, 18), np.int8)},
            {"x": _long(1, 1, 1, 4097), "mask": np.ones((1, 4097), np.int8)},
            {"coefficients": _long(33, 7)},
        ],
        "C3": [
            {"x": np.full((1, 1, 1, 19), WIDE + 1)},
            {"mask": np.full((1, 19), 2, np.int8)},
            {"coefficients": np.full((1, 7), (1 << 48) + 1)},
        ],
        "C4": [*_SHIFTS, {"multiplier": -1}, {"multiplier": 1 << 47}, {"fraction": 23}, {"fraction": 45}],
        "C5": [{"coefficients": _J6}],
    },
    "layernorm_wide": {
        "C1": [{"x": np.zeros((1, 2), np.int32)}],
        "C2": [{"gain": _long(3)}, {"bias": _long(3)}, {"x": _long(1, 4097), "gain": _long(4097), "bias": _long(4097)}],
        "C3": [{"x": np.repeat(_FAR, 2)}, {"gain": np.repeat(_FAR, 2)}, {"bias": -np.repeat(_FAR, 2)}],
        "C4": [*_SHIFTS, {"eps": -1}, {"eps": (1 << 52) + 1}, {"most": -1}, {"most": 49}],
    },
    "gelu_wide": _FUNCTION,
    "tanh_wide": _FUNCTION,
    "mean_pool_wide": {
        "C1": [{"x": np.zeros((3, 4, 3), np.int32)}],
        "C2": [{"mask": np.ones((3, 3), np.int8)}, {"x": _long(4097, 1), "mask": np.ones(4097, np.int8)}],
        "C3": [{"x": np.full((3, 4, 3), WIDE + 1)}, {"mask": np.full((3, 4), 2, np.int8)}],
        "C4": [{"fraction": 1}],
    },
    "l2_normalize_wide": {
        "C1": [{"x": np.zeros(3, np.int32)}],
        "C2": [{"x": np.array(5)}, {"x": _long(4097)}],
        "C3": [{"x": _FAR}],
        "C4": [{"fraction": 1}],
    },
}
