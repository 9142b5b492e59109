"""Random calls of ops/gemmlowp.py."""

from collections.abc import Callable

import numpy as np

from intref.vectors.drawn.chance import Chance
from intref.vectors.drawn.products import Call

M31 = (1 << 31) - 1
ROUNDINGS = ("half_up", "half_away", "gemmlowp_double")


def _factor(c: Chance) -> int:
    """A multiplier: mostly a mantissa of 31 bits, often a power of two, so that ties are met."""
    return c.pick((1 << 30, 3 << 29, c.number(1 << 30, M31), c.wide(1, M31), M31))


def _scores(c: Chance, dtype: str) -> dict[str, np.ndarray]:
    """x and mask of a softmax."""
    b, h, q, k = c.size("B", 3), c.size("H", 5), c.size("Q", 5), c.size("K", 65)
    return {"x": c.filled(dtype, (b, h, q, k)), "mask": c.mask((b, q, k) if c.word() % 2 else (b, k))}


def softmax_gemmlowp(c: Chance) -> Call:
    """Scales at which a row reaches from its maximum to where nothing counts."""
    tensors = _scores(c, "int8")
    wide = tensors["x"].shape[-1] > 511  # the published kernels stop at 512 equal keys of int8 output
    shift = c.number(15, 31) if c.word() % 4 else c.number(0, 31)
    output = "int16" if wide else c.pick(("int8", "int16"))
    return tensors, {"multiplier": _factor(c), "shift": shift, "output": output}


def _angle(c: Chance) -> Call:
    shift = c.number(16, 30) if c.word() % 4 else c.number(0, 31)
    attrs = {"input_zero_point": c.wide(-128, 127), "multiplier": _factor(c), "shift": shift}
    return {"x": c.filled("int8", (*c.lead(), c.size("T")))}, attrs


def logistic_gemmlowp(c: Chance) -> Call:
    return _angle(c)


def tanh_gemmlowp(c: Chance) -> Call:
    return _angle(c)


def _falling(c: Chance) -> np.ndarray:
    """513 entries: rising, falling, or anything that is not negative."""
    rising = np.arange(513, dtype=np.int64) ** 3 * 32767 // 512**3
    return c.pick((rising, rising[::-1], c.widely(0, 32767, 513), c.widely(0, 1, 513))).astype(np.int16)


def softmax_int16(c: Chance) -> Call:
    """Distances inside the table and beyond."""
    tensors = _scores(c, "int16")
    tensors |= {"exp_table": _falling(c), "inverse_table": _falling(c)}
    shift = c.number(28, 36) if c.word() % 4 else c.number(16, 62)
    return tensors, {"multiplier": _factor(c), "shift": shift, "rounding": c.pick(ROUNDINGS)}


def table_int16(c: Chance) -> Call:
    half = c.pick(((-(1 << 14), (1 << 14) - 1), (0, 32767), (-32768, -1)))
    return {"x": c.filled("int16", (*c.lead(), c.size("T"))), "entries": c.filled("int16", 513, *half)}, {}


def rsqrt_gemmlowp(c: Chance) -> Call:
    zero = c.wide(-128, 127)
    x = c.filled("int8", (*c.lead(), c.size("D")), zero)
    shift = c.number(40, 52) if c.word() % 4 else c.number(21, 62)
    attrs = {"input_zero_point": zero, "output_zero_point": c.wide(-128, 127), "multiplier": _factor(c), "shift": shift}
    return {"x": x}, attrs


def _pair(c: Chance) -> tuple[str, dict[str, np.ndarray]]:
    dtype, shape = c.pick(("int8", "int16")), (*c.lead(), c.size("T"))
    return dtype, {"a": c.filled(dtype, shape), "b": c.filled(dtype, shape)}


def _zeros(c: Chance, dtype: str) -> dict[str, int]:
    names = ("a_zero_point", "b_zero_point", "output_zero_point")
    return {name: c.wide(-128, 127) if dtype == "int8" else 0 for name in names}


def add_gemmlowp(c: Chance) -> Call:
    """Sums that come back to the size of their terms."""
    dtype, tensors = _pair(c)
    most = 20 if dtype == "int8" else 15
    left = most if c.word() % 4 else c.number(0, most)
    output = dtype if c.word() % 4 else c.pick(("int8", "int16"))
    attrs = {"left_shift": left, "a_multiplier": _factor(c), "a_shift": c.number(31, 34)}
    attrs |= {"b_multiplier": _factor(c), "b_shift": c.number(31, 34)}
    attrs |= {"multiplier": _factor(c), "shift": min(31 + max(left + c.number(-3, 3), 0), 62)}
    return tensors, {**attrs, **_zeros(c, dtype), "rounding": c.pick(ROUNDINGS), "output": output, **c.clip(output)}


def mul_gemmlowp(c: Chance) -> Call:
    """Products that come back to the size of their factors."""
    dtype, tensors = _pair(c)
    least = 16 if dtype == "int8" else 31
    shift = c.number(36, 48) if c.word() % 4 else c.number(least, 62)
    output = dtype if c.word() % 4 else c.pick(("int8", "int16"))
    attrs = {"multiplier": _factor(c), "shift": shift, "rounding": c.pick(ROUNDINGS), "output": output}
    return tensors, {**attrs, **_zeros(c, dtype), **c.clip(output)}


DRAWS: dict[str, Callable[[Chance], Call]] = {
    f.__name__: f
    for f in (
        softmax_gemmlowp,
        logistic_gemmlowp,
        tanh_gemmlowp,
        softmax_int16,
        table_int16,
        rsqrt_gemmlowp,
        add_gemmlowp,
        mul_gemmlowp,
    )
}
AXES = {name: "K Q" if name.startswith("softmax") else "T" for name in DRAWS} | {"rsqrt_gemmlowp": "D"}
