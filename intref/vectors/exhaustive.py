"""All there is, where it is few enough: every operand of small dtypes over a grid of constants, every short row.

Each case of an op's list is made by itself, so that any of them can be run without the others.
"""

from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import product
from typing import Any

import numpy as np

from intref.ops.op import INTS
from intref.ops.rescale import RULES
from intref.vectors.case import Case
from intref.vectors.operands import M31, rescale_case
from intref.vectors.softmax import FINEST, SCALE_3, SCALE_12, TABLE

Maker = Callable[[], Case]
EVERY = {"int8": range(-128, 128), "uint8": range(256), "int16": range(-(1 << 15), 1 << 15)}
FACTORS = (1, 3, 255, 1 << 15, 0x5A5A5A5, 1 << 30, 0x5A5A5A5B, M31)
EXACT = RULES[:-3]
ROW = 21  # values in each place of a short row
SLICE = 3 * ROW * ROW  # rows in a case


@cache
def exhaustive(op_name: str) -> tuple[Maker, ...]:
    """The makers of an op's exhaustive cases; none where the op has no small space."""
    return tuple(MAKERS[op_name]()) if op_name in MAKERS else ()


def _case(why: str, attrs: dict[str, Any], **tensors: tuple[Any, str]) -> Case:
    made = {name: np.array(value, np.int64).astype(dtype) for name, (value, dtype) in tensors.items()}
    return Case(why, made, attrs, ("random",))


def _rescales() -> Iterator[Maker]:
    """Every int8 under every shift, every int16 under some, by every rule."""
    for dtype, step in (("int8", 1), ("uint8", 5), ("int16", 9)):
        for rule, factor, shift in product(RULES[:-1], FACTORS, range(0, 95, step)):
            double = rule in ("gemmlowp_double", "tosa_double")
            if rule != "tosa_double" or 2 <= shift <= 62:
                for sign in (1,) if double else (1, -1):
                    yield partial(_rescale, dtype, rule, sign * factor, shift)


def _rescale(dtype: str, rule: str, multiplier: int, shift: int) -> Case:
    why = f"every {dtype} times {multiplier} over 2**{shift}, {rule}"
    output = INTS[shift % 3]
    return rescale_case(why, "random", EVERY[dtype], multiplier, shift, rule, dtype, output, (shift % 7 - 3, -1))


def _adds() -> Iterator[Maker]:
    for rule, (a, b) in product(EXACT, ((1, 1), (3, -5), (0x5A5A5A5B, 1 << 30))):
        yield partial(_add, rule, a, b)


def _add(rule: str, a: int, b: int) -> Case:
    every = np.array(EVERY["int8"])
    constants = {
        f"{term}_{name}": ([value], dtype)
        for term, factor in (("a", a), ("b", b))
        for name, value, dtype in (("multiplier", factor, "int32"), ("shift", abs(factor).bit_length() + 1, "int8"))
    }
    terms = {"a": (np.repeat(every, 256), "int8"), "b": (np.tile(every, 256), "int8")}
    attrs = {"rounding": rule, "output": "int8"}
    return _case(f"every pair of int8 by {a} and {b}, {rule}", attrs, **terms, **constants)


def _biases() -> Iterator[Maker]:
    for output in INTS:
        yield partial(_bias, output)


def _bias(output: str) -> Case:
    bias, x = np.arange(-(1 << 10), 1 << 10), np.array(EVERY["int8"])[:, None]
    tensors = {"x": (np.broadcast_to(x, (256, len(bias))), "int8"), "bias": (bias, "int32")}
    return _case(f"every int8 with 11 bits of bias, to {output}", {"output": output}, **tensors)


def _clamps() -> Iterator[Maker]:
    ends = (-128, -127, -64, -2, -1, 0, 1, 2, 63, 126, 127)
    for low, high in product(ends, ends):
        if low <= high:
            attrs = {"low": low, "high": high}
            yield partial(_case, f"every int8 to [{low}, {high}]", attrs, x=(EVERY["int8"], "int8"))


def _products(op_name: str) -> Iterator[Maker]:
    for dtype in ("int8", "uint8"):
        x, w = np.array(EVERY[dtype])[:, None], np.array(EVERY["int8"])[:, None]
        why = f"every {dtype} times every int8"
        if op_name == "linear":
            yield partial(_case, why, {}, x=(x, dtype), weight=(w, "int8"), bias=(np.zeros(256, np.int64), "int32"))
        else:
            yield partial(_case, why, {}, a=(x, dtype), b=(w.T, "int8"))


def _int4() -> Iterator[Maker]:
    for scale in (1, -1, 77, -(1 << 15), (1 << 15) - 1):
        yield partial(_bytes, scale)


def _bytes(scale: int) -> Case:
    every, none = np.array(EVERY["int8"]), np.zeros(256, np.int64)
    x = np.concatenate([np.stack([every, none], 1), np.stack([none, every], 1)])
    weight, scales = np.arange(256)[:, None], np.full((256, 1), scale)
    tensors = {"x": (x, "int8"), "weight": (weight, "uint8"), "scale": (scales, "int16"), "bias": (none, "int32")}
    return _case(f"every x in either lane times every byte, scale {scale}", {"group_size": 2}, **tensors)


def _positions() -> Iterator[Maker]:
    bits = np.arange(1 << 12)[:, None] >> np.arange(12) & 1
    for form in ("offset", "count"):
        yield partial(_case, f"{form}: every mask of 12 tokens", {"form": form, "start": 1}, mask=(bits, "int8"))


def _pools() -> Iterator[Maker]:
    every = np.array(EVERY["int8"])
    for third in (-128, -1, 0, 1, 127):
        x = np.stack([np.repeat(every, 256), np.tile(every, 256), np.full(1 << 16, third)])
        for mask in ([1, 1, 0], [1, 1, 1]):
            why = f"every pair of int8 beside {third}, mask {mask}"
            yield partial(_case, why, {}, x=(x, "int8"), mask=(mask, "int8"))


def short_rows(width: int = 3) -> np.ndarray:
    """Every row of `width` values below ROW, [rows width]."""
    rows = np.zeros((1, 0), np.int64)
    for _ in range(width):
        values = np.tile(np.arange(ROW), len(rows))[:, None]
        rows = np.concatenate([np.repeat(rows, ROW, axis=0), values], axis=1)
    return rows


def _rows(make: Callable[[str, np.ndarray], Case]) -> Iterator[Maker]:
    rows = short_rows() - ROW // 2
    for start in range(0, len(rows), SLICE):
        yield partial(make, f"every row of 3 in [{-(ROW // 2)}, {ROW // 2}], from {start}", rows[start : start + SLICE])


def _norms(op_name: str) -> Iterator[Maker]:
    settings: dict[str, list[dict[str, int]]] = {
        "layernorm_ibert": [{"shift": shift} for shift in range(4)],
        "layernorm_fixed": [
            {"eps": eps, "shift": 30, "low": -(1 << 31), "high": M31} for eps in (0, 1, 2, 3, 1 << 20, 1 << 60)
        ],
        "l2_normalize": [{"fraction": fraction} for fraction in range(1, 31)],
    }
    for attrs in settings[op_name]:
        yield from _rows(partial(_norm, op_name, attrs))


def _norm(op_name: str, attrs: dict[str, int], why: str, rows: np.ndarray) -> Case:
    tensors: dict[str, tuple[Any, str]] = {"x": (rows, "int32")}
    if op_name != "l2_normalize":
        tensors["bias"] = ([5, -3, 0], "int64")
    if op_name == "layernorm_fixed":
        tensors["gain"] = ([1 << 30, -(1 << 29), 12345], "int32")
    return _case(f"{why}; {', '.join(f'{k} {v}' for k, v in attrs.items())}", attrs, **tensors)


def _softmaxes() -> Iterator[Maker]:
    for scale, step in ((SCALE_3, 1), (SCALE_12, 577), (FINEST, 20011)):
        yield from _rows(partial(_softmax, scale, step))


def _softmax(scale: dict[str, int], step: int, why: str, rows: np.ndarray) -> Case:
    mask = np.ones((1, 3), np.int64)
    return _case(
        f"{why}, times {step}, ln2 {scale['ln2']}", scale, x=(rows[None, None] * step, "int32"), mask=(mask, "int8")
    )


def _exp2s() -> Iterator[Maker]:
    for step in (1, 255, 257, 6553, 65537):
        yield from _rows(partial(_exp2, step))


def _exp2(step: int, why: str, rows: np.ndarray) -> Case:
    constants = {"multiplier": ([3], "int32"), "shift": ([1], "int8"), "table": (TABLE, "int32")}
    mask = ([[1, 1, 1]], "int8")
    return _case(f"{why}, times {step}", {}, x=(rows[None, None] * step, "int32"), mask=mask, **constants)


def _peaks() -> Iterator[Maker]:
    for peak in range(1, 513):
        yield partial(_peak, peak)
    for peak in range((1 << 15) - 40, (1 << 15) + 41):
        yield partial(_peak, peak)


def _peak(peak: int) -> Case:
    return _case(f"every x up to a peak of {peak}", {}, x=(np.arange(-peak, peak + 1), "int32"))


def _quotients() -> Iterator[Maker]:
    for total in (*range(0, 65), 255, 256, (1 << 24) - 1, 1 << 24):
        yield partial(_quotient, total)


def _quotient(total: int) -> Case:
    x = np.array(EVERY["int16"]).reshape(1, 1, -1)
    constants = {"total": ([[[total]]], "int32"), "multiplier": ([max(total, 1)], "int32"), "shift": ([3], "int8")}
    return _case(f"every int16 over a total of {total}", {"output": "int16"}, x=(x, "int32"), **constants)


def _gelu_tables() -> Iterator[Maker]:
    falling = [(512 - i) ** 2 << 4 for i in range(513)]
    for fraction, slice_ in product((6, 7, 12, 16), range(4)):
        x = np.arange(slice_ << 16, slice_ + 1 << 16) - (1 << 17)
        why = f"every x of 18 bits from {x[0]}, fraction {fraction}"
        yield partial(_case, why, {"fraction": fraction}, x=(x, "int32"), table=(falling, "int32"))


def _gelus() -> Iterator[Maker]:
    x = np.arange(-(1 << 15), 1 << 15)
    for b, c, one in ((-2562, -7261451, -444), (-20, -777, 5), (0, 1 << 14, 3)):
        constants = {"b": ([b], "int64"), "c": ([c], "int64"), "one": ([one], "int64")}
        yield partial(_case, f"every x of 16 bits, b {b}", {}, x=(x, "int32"), **constants)


def _tables() -> Iterator[Maker]:
    for dtype, factor in (("int8", 77), ("int16", 9973), ("int32", 987654321)):
        entries = np.arange(256) * factor
        yield partial(_case, f"every index, {dtype}", {}, x=(EVERY["int8"], "int8"), entries=(entries, dtype))


def _tokens() -> Iterator[Maker]:
    for shift, factor in product(range(21), (1, 3, 32768, 65535)):
        yield partial(_token, shift, factor)


def _token(shift: int, factor: int) -> Case:
    x = np.array(EVERY["int16"])[:, None]
    rows = {"mantissa": (np.full(x.shape, 3), "int16"), "exponent": (np.zeros(x.shape, np.int64), "int8")}
    constants = {"multiplier": ([factor], "int32"), "shift": ([shift], "int8"), "bias": ([-77], "int64")}
    why = f"every int16 times {factor} over 2**{shift}"
    return _case(why, {"output": INTS[shift % 3]}, x=(x, "int32"), **rows, **constants)


MAKERS: dict[str, Callable[[], Iterator[Maker]]] = {
    "rescale": _rescales,
    "add": _adds,
    "add_bias": _biases,
    "clamp": _clamps,
    "linear": partial(_products, "linear"),
    "matmul": partial(_products, "matmul"),
    "linear_int4": _int4,
    "positions": _positions,
    "mean_pool": _pools,
    **{name: partial(_norms, name) for name in ("layernorm_ibert", "layernorm_fixed", "l2_normalize")},
    "softmax_ibert": _softmaxes,
    "softmax_exp2": _exp2s,
    "quantize_token": _peaks,
    "rescale_quotient": _quotients,
    "rescale_token": _tokens,
    "gelu_table": _gelu_tables,
    "gelu_ibert": _gelus,
    "table": _tables,
}
