"""hypothesis strategies of legal calls of every op: shapes from its ports, values to the ends of what they allow.

`calls(name)` draws (tensors, attrs). Elements come from a drawn seed, so that large arrays stay cheap; `laid_out` gives
an array the strides, order and flags that callers really pass.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import strategies as st

from intref import OPS
from intref.intmath import split_fp32
from intref.ops.op import Attr, Op, Port, dtype_range

Tensors = dict[str, np.ndarray]
Attrs = dict[str, Any]
Draw = Callable[[st.SearchStrategy[Any]], Any]

SIZE = st.one_of(st.integers(1, 9), st.integers(1, 9), st.integers(60, 135))
FEW = st.integers(1, 3)
DEPTH = st.one_of(SIZE, st.integers(500, 1100))  # past the longest int32 accumulation of int16 operands
PRODUCTS = ("linear", "matmul")
CHANNELS = {"add": "AREOS", "gelu_ibert": "C"}  # axes of length 1 or D
EXACT = {"L"}  # axes that have the size of their limit


def values(draw: Draw, shape: tuple[int, ...], low: int, high: int, dtype: str) -> np.ndarray:
    """Integers in [low, high]: the ends and zero, or every magnitude alike, or uniform."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["ends", "magnitudes", "uniform"]))
    uniform = rng.integers(low, high, shape, np.int64, endpoint=True)
    if kind == "magnitudes":
        uniform = np.clip(uniform >> rng.integers(0, 63, shape), low, high)
    if kind == "ends":
        corners = [v for v in (low, low + 1, -1, 0, 1, high - 1, high) if low <= v <= high]
        uniform = rng.choice(np.array(corners, np.int64), shape)
    return np.asarray(uniform, dtype)


def laid_out(draw: Draw, x: np.ndarray) -> np.ndarray:
    """x with other strides, order or flags."""
    kind = draw(st.sampled_from(["C", "F", "every other", "reversed", "read-only", "misaligned"]))
    if kind == "F":
        x = np.asfortranarray(x)
    elif kind == "every other" and x.ndim:
        x = np.repeat(x, 2, axis=-1)[..., ::2]
    elif kind == "reversed" and x.ndim:
        x = np.flip(np.flip(x, 0).copy(), 0)
    elif kind == "misaligned":
        buffer = np.empty(x.nbytes + 1, np.uint8)
        shifted = buffer[1:].view(x.dtype).reshape(x.shape)
        shifted[...] = x
        x = shifted
    elif kind == "read-only":
        x = x.copy()
        x.flags.writeable = False
    return x


def _attribute(draw: Draw, attr: Attr) -> Any:
    if attr.choices:
        return draw(st.sampled_from(attr.choices))
    return draw(st.one_of(st.sampled_from([attr.low, attr.high]), st.integers(attr.low, attr.high)))


def _shape(draw: Draw, op: Op, port: Port, sizes: dict[str, int]) -> tuple[int, ...]:
    shape: list[int] = []
    for axis in draw(st.sampled_from(port.forms())):
        if axis == "...":
            shape += [_leading(draw, port, sizes, i) for i in range(sizes["lead"])]
        elif axis in EXACT:
            shape.append(op.limits[axis])
        elif axis in CHANNELS.get(op.name, ""):
            shape.append(draw(st.sampled_from([1, sizes["D"]])))
        else:
            size = DEPTH if op.name in PRODUCTS and axis == "K" else FEW if axis in "BH" else SIZE
            shape.append(1 if axis == "1" else _size(draw, sizes, axis, size))
    return tuple(shape)


def _leading(draw: Draw, port: Port, sizes: dict[str, int], i: int) -> int:
    return _size(draw, sizes, f".{i}", SIZE if port.axes == "..." and i >= sizes["lead"] - 2 else FEW)


def _size(draw: Draw, sizes: dict[str, int], axis: str, size: st.SearchStrategy[int]) -> int:
    if axis not in sizes:
        sizes[axis] = draw(size)
    return sizes[axis]


def _tensor(draw: Draw, op: Op, port: Port, sizes: dict[str, int]) -> np.ndarray:
    dtype = draw(st.sampled_from(port.dtype.split()))
    return values(draw, _shape(draw, op, port, sizes), *port.range(dtype), dtype)


@st.composite
def calls(draw: Draw, name: str, **fixed: Any) -> tuple[Tensors, Attrs]:
    """A legal call of the op, some attributes fixed."""
    op = OPS[name]
    sizes = {"lead": draw(st.integers(0, 3 if any(p.axes == "..." for p in op.inputs.values()) else 2))}
    attrs = {k: _attribute(draw, a) for k, a in op.attrs.items() if k not in ("low", "high")} | fixed
    tensors = {k: _tensor(draw, op, p, sizes) for k, p in op.inputs.items()}
    if "output" in attrs and draw(st.booleans()):
        _clip(draw, tensors, attrs, attrs["output"])
    FIT.get(name, lambda *_: None)(draw, tensors, attrs)
    return {k: laid_out(draw, t) for k, t in tensors.items()}, attrs


def _clip(draw: Draw, tensors: Tensors, attrs: Attrs, dtype: str) -> None:
    ends = st.integers(*dtype_range(dtype))
    attrs["low"], attrs["high"] = sorted([draw(ends), draw(ends)])


def _clamp(draw: Draw, tensors: Tensors, attrs: Attrs) -> None:
    low, high = OPS["clamp"].inputs["x"].range(str(tensors["x"].dtype))
    attrs["low"], attrs["high"] = sorted([draw(st.integers(low, high)), draw(st.integers(low, high))])


def _layernorm_fixed(draw: Draw, tensors: Tensors, attrs: Attrs) -> None:
    _clip(draw, tensors, attrs, "int32")


def _layernorm_ibert(draw: Draw, tensors: Tensors, attrs: Attrs) -> None:
    tensors["x"] >>= 1 if tensors["x"].shape[-1] <= 256 else 3


def _split_heads(draw: Draw, tensors: Tensors, attrs: Attrs) -> None:
    attrs["heads"] = draw(st.integers(1, 5))
    tensors["x"] = np.repeat(tensors["x"], attrs["heads"], axis=-1)


def _select_token(draw: Draw, tensors: Tensors, attrs: Attrs) -> None:
    attrs["index"] = draw(st.integers(0, tensors["x"].shape[-2] - 1))


def _embedding(draw: Draw, tensors: Tensors, attrs: Attrs) -> None:
    tensors["ids"] %= len(tensors["table"])


def _positions(draw: Draw, tensors: Tensors, attrs: Attrs) -> None:
    attrs["start"] = max(attrs["start"], 1)


def _rescale_token(draw: Draw, tensors: Tensors, attrs: Attrs) -> None:
    exponent = tensors["exponent"]
    low, high = int(exponent.max()), min(62 + int(exponent.min()), 71)
    tensors["shift"] = values(draw, tensors["shift"].shape, low, high, "int8")


def _softmax_ibert(draw: Draw, tensors: Tensors, attrs: Attrs) -> None:
    ln2 = attrs["ln2"] = draw(st.integers(1, 1 << 16))
    b = attrs["b"] = draw(st.integers(ln2, min((1 << 32) // ln2, 1 << 25)))
    c = attrs["c"] = draw(st.integers(b * ln2, 1 << 32))
    least = max((((c * attrs["multiplier"]) << 30) - 1).bit_length() - 62, 0)
    attrs["shift"] = draw(st.integers(least, 94))


def _gelu_ibert(draw: Draw, tensors: Tensors, attrs: Attrs) -> None:
    shape = (draw(st.sampled_from([1, tensors["x"].shape[-1]])),)
    for k in ("b", "c", "one"):
        tensors[k] = values(draw, shape, *OPS["gelu_ibert"].inputs[k].range("int64"), "int64")
    holds = OPS["gelu_ibert"].constraints["C6"][1]
    while not holds(tensors, attrs):
        tensors["x"] >>= 1


def _shift_of(draw: Draw, peak: int, multiplier: int, low: int, high: int) -> int:
    """A shift in [low, high] that brings peak * |multiplier| below 2**62."""
    least = max((peak * abs(multiplier)).bit_length() - 62, low)
    near = [s for s in (least, *range(30, 37), 62, 63, high) if least <= s <= high]
    return draw(st.one_of(st.sampled_from(near), st.integers(least, high)))


def _peak(x: np.ndarray, zero: int) -> int:
    return max(abs(int(x.min()) - zero), abs(int(x.max()) - zero))


def _rescale(draw: Draw, tensors: Tensors, attrs: Attrs) -> None:
    rule = attrs["rounding"]
    if not tensors["x"].ndim:
        tensors["x"] = tensors["x"].reshape(1)
    if rule.endswith("_double"):
        dtype = draw(st.sampled_from(["int8", "uint8", "int16", "int32"]))
        tensors["x"] = values(draw, tensors["x"].shape, *dtype_range(dtype), dtype)
    if rule == "tosa_double" and _peak(tensors["x"], attrs["input_zero_point"]) > 1 << 31:
        attrs["input_zero_point"] = 0
    if draw(st.booleans()):
        attrs["input_zero_point"] = attrs["output_zero_point"] = 0
    shape = tensors["x"].shape
    attrs["axis"] = draw(st.integers(-len(shape), len(shape) - 1))
    length = draw(st.sampled_from([1, shape[attrs["axis"]]]))
    low = 0 if rule.endswith("_double") else dtype_range("int32")[0]
    tensors["multiplier"] = values(draw, (length,), low, dtype_range("int32")[1], "int32")
    _rescale_shift(draw, rule, length, _peak(tensors["x"], attrs["input_zero_point"]), tensors)


def _rescale_shift(draw: Draw, rule: str, length: int, peak: int, tensors: Tensors) -> None:
    if rule == "fp32_half_even":
        tensors["shift"] = np.zeros(length, np.int8)
        tensors["multiplier"] = np.array([_finite(int(m), peak) for m in tensors["multiplier"]], np.int32)
        return
    ends = (2, 62) if rule == "tosa_double" else (0, 94)
    shifts = [_shift_of(draw, peak, int(m), *ends) for m in tensors["multiplier"][:4]]
    least = max((peak * (1 << 31)).bit_length() - 62, ends[0])
    tensors["shift"] = np.resize(np.array(shifts, np.int8), length)
    if length > 4:
        tensors["shift"][4:] = values(draw, (length - 4,), min(least, ends[1]), ends[1], "int8")


def _finite(pattern: int, peak: int) -> int:
    """The float32 pattern with the exponent lowered until peak times it is below 2**62."""
    if pattern >> 23 & 255 == 255:
        pattern &= ~(1 << 30)
    while True:
        _, significand, exponent = (int(v) for v in split_fp32(pattern))
        if peak * significand * Fraction(2) ** exponent < 1 << 62:
            return pattern
        pattern -= 1 << 23


FIT: dict[str, Callable[[Draw, Tensors, Attrs], None]] = {
    "clamp": _clamp,
    "embedding": _embedding,
    "gelu_ibert": _gelu_ibert,
    "layernorm_fixed": _layernorm_fixed,
    "layernorm_ibert": _layernorm_ibert,
    "positions": _positions,
    "rescale": _rescale,
    "rescale_token": _rescale_token,
    "rescale_token_residual": _rescale_token,
    "select_token": _select_token,
    "softmax_ibert": _softmax_ibert,
    "split_heads": _split_heads,
}
