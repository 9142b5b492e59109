"""What each ufunc of the vocabulary is in ONNX nodes on int64.

ONNX Runtime 1.31 compares the low halves of int64 as signed numbers in Max, Min, Clip and ReduceMax, and ReduceSum adds
int64 in float64. Where the interval does not exclude it, a graph says the same with operators that are right.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from intref import intmath
from intref.errors import Unsupported
from intref.golden.onnx.graph import CODES, REAL
from intref.golden.onnx.value import Value, constant

INT64 = CODES["int64"]
POWERS = np.left_shift(1, np.arange(63))
PLAIN = {  # ufunc -> ONNX operator of the same meaning on int64
    **{"add": "Add", "subtract": "Sub", "multiply": "Mul", "negative": "Neg", "absolute": "Abs", "remainder": "Mod"},
    **{"bitwise_and": "BitwiseAnd", "bitwise_or": "BitwiseOr"},
}
COMPARISONS = {
    **{"less": "Less", "less_equal": "LessOrEqual", "greater": "Greater", "greater_equal": "GreaterOrEqual"},
    "equal": "Equal",
}


def node(kind: str, values: list[Value], shape: tuple[int, ...], **attributes: Any) -> Value:
    graph = values[0].graph
    return Value(graph, graph.node(kind, [value.name for value in values], **attributes), shape)


def broadcast(values: list[Value]) -> tuple[int, ...]:
    return np.broadcast_shapes(*(value.shape for value in values))


def called(ufunc: Any, values: list[Value]) -> Value:
    word = ufunc.__name__
    if ufunc is np.matmul:
        return _matmul(*values)
    if word in PLAIN:
        return node(PLAIN[word], values, broadcast(values))
    if word in COMPARISONS:
        return _as_int64(node(COMPARISONS[word], values, broadcast(values)))
    if ufunc not in SPECIAL:
        raise Unsupported(f"ONNX: {word} has no exact form")
    return SPECIAL[ufunc](*values)


def _as_int64(value: Value) -> Value:
    return node("Cast", [value], value.shape, to=INT64)


def _matmul(a: Value, b: Value) -> Value:
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2]) if b.ndim > 1 else a.shape[:-2]
    return node("MatMul", [a, b], (*lead, *a.shape[-2:-1], *b.shape[-1:]))


def reduced(ufunc: Any, method: str, x: Value, axis: int, keepdims: bool = False) -> Value:
    axis %= x.ndim
    if method == "accumulate":
        return _running(ufunc, x, axis)
    made = _sum(x, axis) if ufunc is np.add else _max(x, axis)
    return made if keepdims else made.reshape((*x.shape[:axis], *x.shape[axis + 1 :]))


def _along(kind: str, x: Value, axis: int) -> Value:
    shape = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    return node(kind, [x, constant(x.graph, [axis])], shape, keepdims=1)


def _sum(x: Value, axis: int) -> Value:
    if _peak(x) * x.shape[axis] <= 1 << 53:
        return _along("ReduceSum", x, axis)
    last = intmath.swap(x, axis, -1)
    return intmath.swap(last @ np.full((x.shape[axis], 1), 1), axis, -1)


def _max(x: Value, axis: int) -> Any:
    if _is_short(x):
        return _along("ReduceMax", x, axis)
    high = x // (1 << 31)
    top = _along("ReduceMax", high, axis)
    low = intmath.where(high == top, x - high * (1 << 31), 0)
    return top * (1 << 31) + _along("ReduceMax", low, axis)


def _peak(x: Value) -> int:
    return max(-x.span.min(), x.span.max())


def _is_short(x: Value) -> bool:
    return x.span.min() >= -(1 << 31) and x.span.max() < 1 << 31


def _larger(a: Value, b: Value) -> Any:
    if _is_short(a) and _is_short(b):
        return node("Max", [a, b], broadcast([a, b]))
    return intmath.where(a < b, b, a)


def _smaller(a: Value, b: Value) -> Any:
    if _is_short(a) and _is_short(b):
        return node("Min", [a, b], broadcast([a, b]))
    return intmath.where(b < a, b, a)


def _running(ufunc: Any, x: Value, axis: int) -> Any:
    """CumSum; a maximum, which ONNX has no such operator for, of twice as many elements at each step."""
    if ufunc is np.add:
        return node("CumSum", [x, constant(x.graph, axis)], x.shape)
    made, step = intmath.swap(x, axis, 0), 1
    while step < x.shape[axis]:
        made = intmath.maximum(made, made[np.maximum(np.arange(x.shape[axis]) - step, 0)])
        step *= 2
    return intmath.swap(made, axis, 0)


def _power(shift: Any) -> Value:
    """2**shift for a shift in 0..62."""
    if shift.known is not None:
        return constant(shift.graph, np.take(POWERS, np.minimum(shift.known, 62)))
    return intmath.minimum(shift, 62).taken_from(POWERS)


def _floor_divide(a: Value, b: Value) -> Value:
    """ONNX divides toward zero, and its Mod has the sign of the divisor."""
    exact = a if a.span.min() >= 0 else a - a % b
    return node("Div", [exact, b], broadcast([a, b]))


def _right_shift(a: Value, shift: Any) -> Any:
    if shift.span.max() <= 62:
        return a // _power(shift)
    first = intmath.minimum(shift, 32)
    return a // _power(first) // _power(shift - first)


def _rounded(q: Any, remainder: Any, one: Any, rule: str) -> Any:
    return q + intmath.ROUNDS_UP[rule](q, remainder > 0, 2 * remainder == one, 2 * remainder > one)


def _divide(rule: str) -> Callable[[Value, Value], Any]:
    def divide(num: Value, den: Value) -> Any:
        q = num // den
        return _rounded(q, num - q * den, den, rule)

    return divide


def _mul_shift(rule: str) -> Callable[[Value, Value, Value], Any]:
    def mul_shift(x: Value, m: Value, shift: Value) -> Any:
        product = x.span * m.span
        if max(-product.min(), product.max()) >= 1 << 63 or shift.span.max() > 61:
            return _shifted(*_limbs(x, m), shift, rule)
        scaled, one = x * m, _power(shift)
        q = scaled // one
        return _rounded(q, scaled - q * one, one, rule)

    return mul_shift


def _limbs(x: Value, m: Value) -> tuple[Any, Any, int]:
    """high, low and bits of x * m = high * 2**bits + low, 0 <= low < 2**bits."""
    if _is_short(m):
        low = m * (x & intmath.MASK32)
        return m * (x // (1 << 32)) + low // (1 << 32), low & intmath.MASK32, 32
    if max(_peak(x), _peak(m)) >= 1 << 56:
        raise Unsupported("ONNX: a product of factors of more than 56 bits has no exact form")
    part = 1 << 28
    x_high, x_low, m_high, m_low = x // part, x & part - 1, m // part, m & part - 1
    middle = x_high * m_low + x_low * m_high + x_low * m_low // part
    return x_high * m_high + middle // part, (middle & part - 1) * part + (x_low * m_low & part - 1), 56


def _shifted(high: Any, low: Any, bits: int, shift: Any, rule: str) -> Any:
    """(high * 2**bits + low) / 2**shift, rounded as intmath does it: the dropped bits in two parts."""
    s_low = intmath.minimum(shift, bits)
    s_high = intmath.maximum(shift, bits) - bits
    wide, in_low, in_high = s_high > 0, _power(s_low), _power(s_high)
    q = (high // in_high) * _power(bits - s_low) + low // in_low
    first = intmath.where(wide, high & in_high - 1, low & in_low - 1)
    below = intmath.where(wide, low, 0)
    one = intmath.where(wide, in_high, in_low)
    half = (2 * first == one) & (below == 0)
    above = (2 * first > one) | (2 * first == one) & (below > 0)
    return q + intmath.ROUNDS_UP[rule](q, (first | below) > 0, half, above)


def _where(mask: Value, a: Value, b: Value) -> Value:
    chosen = node("Cast", [mask], mask.shape, to=9)  # BOOL
    return node("Where", [chosen, a, b], broadcast([mask, a, b]))


def _isqrt(x: Value) -> Any:
    """Bit by bit: ONNX has no integer root."""
    root: Any = constant(x.graph, 0)
    for bit in range(30, -1, -1):
        larger = root + (1 << bit)
        root = root + (larger * larger <= x) * (1 << bit)
    return root


def _bitlen(x: Value) -> Any:
    return intmath.sum_along(x[..., None] >= POWERS, -1)[..., 0]


def _wrap_int32(x: Value) -> Any:
    return (x + (1 << 31)) % (1 << 32) - (1 << 31)


def _wrap(x: Value, bits: Value) -> Any:
    end = _power(bits - 1)
    return (x + end) % (end * 2) - end


def _scale_fp32(x: Value, pattern: Value) -> Value:
    """What the rule says in integers, in the floats that it is about: ONNX rounds half to even."""
    known = pattern.known
    scale = _computed_fp32(pattern) if known is None else x.graph.constant_fp32(known.astype(np.int32))
    product = x.graph.node("Mul", [x.graph.node("Cast", [x.name], to=REAL), scale])
    shape = np.broadcast_shapes(x.shape, pattern.shape)
    return Value(x.graph, x.graph.node("Cast", [x.graph.node("Round", [product])], to=INT64), shape)


def _computed_fp32(pattern: Value) -> str:
    """The finite float32 with these bits: its significand over 2**23, times a power of two from a table."""
    graph = pattern.graph
    sign, significand, exponent = intmath.split_fp32(pattern)
    powers = graph.constant_fp32(np.arange(255) << 23)
    power = graph.node("Gather", [powers, (exponent + 150).name], axis=0)
    last_place = graph.constant_fp32(np.array(127 - 23 << 23))
    size = graph.node("Mul", [graph.node("Cast", [(sign * significand).name], to=REAL), last_place])
    return graph.node("Mul", [size, power])


SPECIAL: dict[Any, Callable[..., Any]] = {
    np.square: lambda x: x * x,
    np.maximum: _larger,
    np.minimum: _smaller,
    np.floor_divide: _floor_divide,
    np.left_shift: lambda x, shift: x * _power(shift),
    np.right_shift: _right_shift,
    intmath.WHERE: _where,
    intmath.ISQRT: _isqrt,
    intmath.BITLEN: _bitlen,
    intmath.WRAP_INT32: _wrap_int32,
    intmath.WRAP: _wrap,
    intmath.SCALE_FP32: _scale_fp32,
    **{intmath.DIVIDE[rule]: _divide(rule) for rule in intmath.ROUNDS_UP},
    **{intmath.MUL_SHIFT[rule]: _mul_shift(rule) for rule in intmath.ROUNDS_UP},
}
