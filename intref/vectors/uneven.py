"""One case of every op of sizes that no tile divides."""

from collections.abc import Callable
from typing import Any

import numpy as np

from intref.vectors.case import Case, SplitMix64

ROWS, WIDTH = 35, 67  # 3 more than a multiple of 4, 8, 16 and 32
WHY = "35 rows of 67: no tile of 4, 8, 16 or 32 fits"
M31 = (1 << 31) - 1
STEEP = [0, 1 << 30] * 128 + [0]  # a table of softmax_exp2 in which every step of the interpolation shows
Arrays = dict[str, np.ndarray]
Drawn = tuple[Arrays, dict[str, Any]]  # tensors, attributes


def uneven(op_name: str) -> Case:
    """The case of one op."""
    return Case(WHY, *_UNEVEN[op_name](SplitMix64(90)), ("axes", "random"))


def _x(stream: SplitMix64, peak: int, dtype: str = "int32", shape: tuple[int, ...] = (ROWS, WIDTH)) -> np.ndarray:
    return stream.integers(-peak, peak, shape, dtype)


def _embedding(s: SplitMix64) -> Drawn:
    return {"ids": s.integers(0, 4, ROWS, "int32"), "table": _x(s, 127, "int8", (5, WIDTH))}, {}


def _positions(s: SplitMix64) -> Drawn:
    return {"mask": np.minimum(s.integers(0, 5, (ROWS, 163), "int8"), 1).astype(np.int8)}, {"form": "count", "start": 2}


def _mean_pool(s: SplitMix64) -> Drawn:
    shape = (3, WIDTH, WIDTH)
    return {"x": _x(s, 127, "int8", shape), "mask": np.ones(shape[:2], np.int8)}, {}


def _heads(s: SplitMix64) -> Drawn:
    return {"x": _x(s, 127, "int8", (ROWS, 3 * WIDTH))}, {"heads": 3}


def _linear(s: SplitMix64) -> Drawn:
    x, weight = _x(s, 127, "int8"), _x(s, 127, "int8", (WIDTH, WIDTH))
    return {"x": x, "weight": weight, "bias": _x(s, 9999, "int32", (WIDTH,))}, {}


def _linear_int4(s: SplitMix64) -> Drawn:
    weight = s.integers(0, 255, (WIDTH, 34), "uint8")
    weight[:, -1] &= 15
    tensors = {"x": _x(s, 127, "int8"), "weight": weight, "scale": _x(s, 999, "int16", (WIDTH, 9))}
    return {**tensors, "bias": _x(s, 9999, "int32", (WIDTH,))}, {"group_size": 8}


def _rescale(s: SplitMix64) -> Drawn:
    multiplier, shift = s.integers(1 << 30, M31, WIDTH, "int32"), s.integers(38, 41, WIDTH, "int8")
    attrs = {"rounding": "half_even", "input_zero_point": 3, "output_zero_point": -5, "output": "int16"}
    return {"x": _x(s, 1 << 20), "multiplier": multiplier, "shift": shift}, attrs


def _quotient(s: SplitMix64) -> Drawn:
    tensors = {"x": _x(s, 1 << 28, shape=(3, ROWS, WIDTH)), "total": s.integers(1, 9999, (3, ROWS, 1), "int32")}
    multiplier, shift = np.array([(1 << 24) - 1, (1 << 23) + 5, 9999991], np.int32), np.array([18, 17, 16], np.int8)
    return {**tensors, "multiplier": multiplier, "shift": shift}, {"output": "int32"}


def _add(s: SplitMix64) -> Drawn:
    tensors = {"a": _x(s, 1 << 20), "b": _x(s, 1 << 24)}
    for name, shift in (("a", 38), ("b", 36)):
        tensors[f"{name}_multiplier"] = s.integers(1 << 30, M31, WIDTH, "int32")
        tensors[f"{name}_shift"] = np.full(WIDTH, shift, np.int8)
    return tensors, {"rounding": "half_up", "output": "int32"}


def _bias(s: SplitMix64) -> Drawn:
    return {"x": _x(s, 9999), "bias": _x(s, 9999, "int32", (WIDTH,))}, {"output": "int16"}


def _clamp(s: SplitMix64) -> Drawn:
    return {"x": _x(s, 127, "int8")}, {"low": -100, "high": 90}


def _token(s: SplitMix64) -> Drawn:
    tensors = {"x": _x(s, 1 << 20), "mantissa": s.integers(1 << 13, (1 << 15) - 1, (ROWS, 1), "int16")}
    tensors |= {"exponent": s.integers(0, 3, (ROWS, 1), "int8"), "multiplier": s.integers(1, 65535, WIDTH, "int32")}
    tensors |= {"shift": s.integers(36, 38, WIDTH, "int8"), "bias": _x(s, 1 << 16, "int64", (WIDTH,))}
    return tensors, {"output": "int16"}


def _residual(s: SplitMix64) -> Drawn:
    tensors, attrs = _token(s)
    scale: Arrays = {"residual_multiplier": np.array([M31], np.int32), "residual_shift": np.array([33], np.int8)}
    return {**tensors, "residual": _x(s, 1 << 18), **scale}, attrs


def _rows(peak: int, dtype: str = "int32", **attrs: Any) -> Callable[[SplitMix64], Drawn]:
    return lambda s: ({"x": _x(s, peak, dtype)}, attrs)


def _attended(s: SplitMix64) -> np.ndarray:
    """Most keys attended, the last ones in every row."""
    mask = np.minimum(s.integers(0, 9, (1, ROWS, WIDTH), "int8"), 1).astype(np.int8)
    mask[..., -5:] = 1
    return mask


def _softmax_ibert(s: SplitMix64) -> Drawn:
    attrs = {"ln2": 2839, "b": 11089, "c": 46843912, "multiplier": 3004301, "shift": 62}
    return {"x": _x(s, 6000, shape=(1, 1, ROWS, WIDTH)), "mask": _attended(s)}, attrs


def _softmax_exp2(s: SplitMix64) -> Drawn:
    tensors = {"x": _x(s, 90000, shape=(1, 1, ROWS, WIDTH)), "mask": _attended(s)}
    return {**tensors, **exp2(0x5A5A5A5B, 31, STEEP)}, {}


def _layernorm(peak: int, **attrs: Any) -> Callable[[SplitMix64], Drawn]:
    return lambda s: ({"x": _x(s, peak), "bias": _x(s, 1 << 20, "int64", (WIDTH,))}, attrs)


def _fixed(s: SplitMix64) -> Drawn:
    tensors = {"x": _x(s, 1 << 16), "gain": s.integers(1 << 22, 1 << 24, WIDTH, "int32")}
    attrs = {"eps": 12345, "shift": 20, "low": -(1 << 31), "high": M31}
    return {**tensors, "bias": _x(s, 1 << 20, "int64", (WIDTH,))}, attrs


def _gelu(s: SplitMix64) -> Drawn:
    constants = {"b": (-5000, -2000), "c": (-9000000, -5000000), "one": (-600, -300)}
    drawn = {k: s.integers(low, high, WIDTH, "int64") for k, (low, high) in constants.items()}
    return {"x": _x(s, 4000), **drawn}, {}


def _gelu_table(s: SplitMix64) -> Drawn:
    return {"x": _x(s, 9 << 16), "table": s.integers(0, 1 << 22, 513, "int32")}, {"fraction": 16}


def _table(s: SplitMix64) -> Drawn:
    return {"x": _x(s, 127, "int8"), "entries": _x(s, 30000, "int16", (256,))}, {}


def exp2(multiplier: int, shift: int, table: Any) -> Arrays:
    constants: Arrays = {"multiplier": np.array([multiplier], np.int32), "shift": np.array([shift], np.int8)}
    return {**constants, "table": np.array(table, np.int32)}


_UNEVEN: dict[str, Callable[[SplitMix64], Drawn]] = {
    "embedding": _embedding,
    "positions": _positions,
    "mean_pool": _mean_pool,
    "split_heads": _heads,
    "merge_heads": lambda s: ({"x": _x(s, 127, "int8", (5, ROWS, WIDTH))}, {}),
    "transpose": lambda s: ({"x": _x(s, 127, "int8", (WIDTH, ROWS))}, {}),
    "select_token": lambda s: ({"x": _x(s, 127, "int8", (ROWS, 3, WIDTH))}, {"index": 1}),
    "linear": _linear,
    "matmul": lambda s: ({"a": _x(s, 127, "int8"), "b": _x(s, 127, "int8", (WIDTH, WIDTH))}, {}),
    "linear_int4": _linear_int4,
    "rescale": _rescale,
    "rescale_quotient": _quotient,
    "add": _add,
    "add_bias": _bias,
    "clamp": _clamp,
    "quantize_token": _rows(1 << 20),
    "rescale_token": _token,
    "rescale_token_residual": _residual,
    "softmax_ibert": _softmax_ibert,
    "softmax_exp2": _softmax_exp2,
    "layernorm_ibert": _layernorm(1 << 20, shift=2),
    "layernorm_fixed": _fixed,
    "l2_normalize": _rows(127, "int8", fraction=30),
    "gelu_ibert": _gelu,
    "gelu_table": _gelu_table,
    "table": _table,
}
