"""A small accelerator, in Python: the ops of a token-wise int8 encoder, written from their specification alone.

`right` rounds as specified. `wrong` rounds the ties of rescale_token away from zero: a mistake that one output in
some hundreds shows. This file needs NumPy and nothing else.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]
RoundShift = Callable[[Any, Any], Any]


def half_up(x: Any, s: Any) -> Any:
    """x / 2**s, ties toward +infinity."""
    return (x + (np.left_shift(1, s) >> 1)) >> s


def half_away(x: Any, s: Any) -> Any:
    """x / 2**s, ties away from zero."""
    return np.sign(x) * half_up(np.abs(x), s)


def half_even(x: Any, s: Any) -> Any:
    """x / 2**s, ties to even."""
    q = x >> s
    twice, one = 2 * (x - (q << s)), np.left_shift(1, s)
    return q + ((twice > one) | ((twice == one) & (q % 2 == 1)))


def floor(x: Any, s: Any) -> Any:
    """x / 2**s, down."""
    return x >> s


ROUNDINGS: dict[str, RoundShift] = {"half_up": half_up, "half_away": half_away, "half_even": half_even, "floor": floor}


def positions(t: Arrays, form: str, start: int) -> Any:
    mask = t["mask"]
    if form == "count":
        return np.where(mask == 1, np.cumsum(mask, -1) - 1, -1) + start
    return np.maximum(np.cumsum(np.maximum.accumulate(mask, -1), -1) - 1, 0) + start


def mean_pool(t: Arrays) -> Any:
    mask = t["mask"][..., None]
    n = np.maximum(mask.sum(-2), 1)
    return (2 * (t["x"] * mask).sum(-2) + n) // (2 * n)


def split_heads(t: Arrays, heads: int) -> Any:
    *lead, tokens, width = t["x"].shape
    return t["x"].reshape(*lead, tokens, heads, width // heads).swapaxes(-2, -3)


def merge_heads(t: Arrays) -> Any:
    x = t["x"].swapaxes(-2, -3)
    return x.reshape(*x.shape[:-2], -1)


def linear(t: Arrays, x_zero_point: int, weight_zero_point: int, **register: Any) -> Any:
    return product(t["x"] - x_zero_point, (t["weight"] - weight_zero_point).T, t["bias"], **register)


def matmul(t: Arrays, a_zero_point: int, b_zero_point: int, **register: Any) -> Any:
    return product(t["a"] - a_zero_point, t["b"] - b_zero_point, 0, **register)


def product(a: Any, b: Any, sum: Any, accumulator: int, overflow: str, every: int, output: str) -> Any:
    """A register of so many bits that starts as `sum`; one that saturates does so after every few terms."""
    end, terms = 1 << min(accumulator, 62) - 1, a.shape[-1]
    if overflow == "saturate":
        for k in range(0, terms, every or terms):
            block = slice(k, k + (every or terms))
            sum = np.clip(sum + a[..., block] @ b[..., block, :], -end, end - 1)
        return sum
    sum = a @ b + sum
    return (sum + end) % (2 * end) - end if overflow == "wrap" else sum


def rescale(
    t: Arrays, rounding: str, input_zero_point: int, output_zero_point: int, low: int, high: int, axis: int, output: str
) -> Any:
    laid = [1] * t["x"].ndim
    laid[axis] = -1
    multiplier, shift = t["multiplier"].reshape(laid), t["shift"].reshape(laid)
    x = t["x"] - input_zero_point
    if rounding not in ROUNDINGS or np.abs(x).max() >= 1 << 31 or shift.max() > 62:
        return None
    return np.clip(ROUNDINGS[rounding](x * multiplier, shift) + output_zero_point, low, high)


def add(t: Arrays, rounding: str, low: int, high: int, output: str) -> Any:
    if rounding not in ROUNDINGS or max(t["a_shift"].max(), t["b_shift"].max()) > 62:
        return None
    terms = (ROUNDINGS[rounding](t[p] * t[f"{p}_multiplier"], t[f"{p}_shift"]) for p in "ab")
    return np.clip(sum(terms), low, high)


def rescale_quotient(t: Arrays, low: int, high: int, output: str) -> Any:
    multiplier, shift = t["multiplier"][:, None, None], t["shift"][:, None, None]
    den = np.maximum(t["total"], 1)
    return np.clip((t["x"] * multiplier + (den << (shift - 1))) // (den << shift), low, high)


def bits(x: Any) -> Any:
    """The length of x >= 0 in bits."""
    return sum((x >> k > 0).astype(np.int64) for k in range(63))


def quantize_token(t: Arrays) -> Arrays:
    peak = np.maximum(np.abs(t["x"]).max(-1, keepdims=True), 1)
    e = np.maximum(bits(peak) - 15, 0)
    a = (peak + (1 << e) - 1) >> e
    a, e = np.where(a == 1 << 15, 1 << 14, a), np.where(a == 1 << 15, e + 1, e)
    scale = a << e
    return {"q": (127 * t["x"] + scale // 2) // scale, "mantissa": a, "exponent": e}


def rescale_token(t: Arrays, low: int, high: int, output: str, round_shift: RoundShift) -> Any:
    y = (t["x"] * t["mantissa"] * t["multiplier"] >> (t["shift"] - t["exponent"])) + t["bias"]
    if "residual" in t:
        y = y + (t["residual"] * t["residual_multiplier"] >> t["residual_shift"])
    return np.clip(round_shift(y, 8), low, high)


def softmax_exp2(t: Arrays) -> Arrays:
    x, mask = t["x"], t["mask"]
    mask = np.broadcast_to(mask[:, None, None] if mask.ndim == 2 else mask[:, None], x.shape) == 1
    most = np.where(mask, x, -(1 << 40)).max(-1, keepdims=True)
    u = np.where(mask, most - x, 0) * t["multiplier"][:, None, None] >> t["shift"][:, None, None]
    i, r = u >> 8 & 255, u & 255
    e = ((t["table"][i] * (256 - r) + t["table"][i + 1] * r) >> 8) >> np.minimum(u >> 16, 31)
    p = np.where(mask, half_up(255 * e, 30), 0)
    return {"p": p, "total": p.sum(-1, keepdims=True)}


def square_root(v: Any) -> Any:
    """floor(sqrt(v)) for v < 2**62, bit by bit."""
    root = np.zeros_like(v)
    for bit in range(30, -1, -1):
        trial = root + (1 << bit)
        root = np.where(trial * trial <= v, trial, root)
    return root


def layernorm_fixed(t: Arrays, eps: int, shift: int, low: int, high: int) -> Any:
    x = t["x"]
    n = x.shape[-1]
    c = x - (2 * x.sum(-1, keepdims=True) + n) // (2 * n)
    v = np.maximum((c * c).sum(-1, keepdims=True) + eps, 1)
    k = (62 - bits(v)) // 2
    z = half_up((c << k) * ((1 << 61) // square_root(v << 2 * k)), 31)
    return np.clip(half_up(z * t["gain"] + t["bias"], shift), low, high)


def gelu_table(t: Arrays, fraction: int) -> Any:
    k, x = fraction - 6, t["x"]
    a = np.abs(x)
    inside = a < 8 << fraction
    cell = np.where(inside, a >> k, 0)
    r = a & ((1 << k) - 1)
    g = half_up(t["table"][cell] * ((1 << k) - r) + t["table"][cell + 1] * r, 18)
    return np.maximum(x, 0) - np.where(inside, g, 0)


def clamp(t: Arrays, low: int, high: int, output: str = "") -> Any:
    return np.clip(t["x"] + t.get("bias", 0), low, high)


Run = Callable[..., Any]
OPS: dict[str, Run] = {
    "embedding": lambda t: t["table"][t["ids"]],
    "positions": positions,
    "mean_pool": mean_pool,
    "split_heads": split_heads,
    "merge_heads": merge_heads,
    "transpose": lambda t: t["x"].swapaxes(-1, -2),
    "select_token": lambda t, index: t["x"][..., index, :],
    "linear": linear,
    "matmul": matmul,
    "rescale": rescale,
    "rescale_quotient": rescale_quotient,
    "add": add,
    "add_bias": clamp,
    "clamp": clamp,
    "quantize_token": quantize_token,
    "softmax_exp2": softmax_exp2,
    "layernorm_fixed": layernorm_fixed,
    "gelu_table": gelu_table,
    "table": lambda t: t["entries"][t["x"] + 128],
}
# output -> dtype, or the input or attribute that gives it
DTYPES = {
    **{"embedding": {"y": "table"}, "positions": {"positions": "int32"}},
    **{"table": {"y": "entries"}, "softmax_exp2": {"p": "uint8", "total": "int32"}},
    **{"quantize_token": {"q": "int8", "mantissa": "int16", "exponent": "int8"}},
    **{"layernorm_fixed": {"y": "int32"}, "gelu_table": {"y": "int32"}},
    **{op: {"y": "x"} for op in ("mean_pool", "split_heads", "merge_heads", "transpose", "select_token", "clamp")},
}


def device(op: str, inputs: Arrays, attrs: dict[str, Any], token_rounding: RoundShift) -> Arrays | None:
    """One op; None for those that this accelerator does not have."""
    token = partial(rescale_token, round_shift=token_rounding)
    ops: dict[str, Run] = {**OPS, "rescale_token": token, "rescale_token_residual": token}
    if op not in ops:
        return None
    made = ops[op]({name: t.astype(np.int64) for name, t in inputs.items()}, **attrs)
    if made is None:
        return None
    outputs = made if isinstance(made, dict) else {next(iter(DTYPES.get(op, {"y": ""}))): made}
    dtypes = {name: DTYPES.get(op, {}).get(name, attrs.get("output", "")) for name in outputs}
    return {n: np.asarray(v).astype(inputs[d].dtype if (d := dtypes[n]) in inputs else d) for n, v in outputs.items()}


def right(op: str, inputs: Arrays, attrs: dict[str, Any]) -> Arrays | None:
    """The device as it should be."""
    return device(op, inputs, attrs, half_up)


def wrong(op: str, inputs: Arrays, attrs: dict[str, Any]) -> Arrays | None:
    """The device with one rounding rule mistaken."""
    return device(op, inputs, attrs, half_away)
