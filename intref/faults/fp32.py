"""Float32 arithmetic on integers: what a device does that rescales in float32, rounding half to even at every step.

A value is (m, e) for m * 2**e, m of at most 24 bits. No overflow and no subnormal numbers: a scale has neither.
"""

# The vocabulary of op bodies is not typed.
# mypy: allow-untyped-calls

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from intref.intmath import DIVIDE, absolute, bitlen, divide, maximum

Value = tuple[int, int]
RULE = "fp32_half_even"
LARGEST = 1 << 18  # elements; Python integers are slow
TOKEN = ("x", "mantissa", "exponent", "multiplier", "shift", "bias")
RESIDUAL = ("residual", "residual_multiplier", "residual_shift")


def pattern(multiplier: Any, shift: Any) -> np.ndarray:
    """The bit pattern, as int32 in int64, of the float32 nearest multiplier / 2**shift; both int64 arrays."""
    size = absolute(multiplier)
    drop = maximum(bitlen(size) - 24, 0)
    significand = divide(size, 1 << drop, "half_even")
    bits = bitlen(significand)
    fraction = np.where(bits > 24, 0, (significand << maximum(24 - bits, 0)) & (1 << 23) - 1)
    biased = bits - 1 + drop - shift + 127
    made = np.where(size > 0, biased << 23 | fraction, 0) | (multiplier < 0).astype(np.int64) << 31
    return np.asarray(made).astype(np.int32).astype(np.int64)


def _rounded(m: int, e: int) -> Value:
    drop = max(abs(m).bit_length() - 24, 0)
    return int(DIVIDE["half_even"](m, 1 << drop)), e + drop


def _times(a: Value, b: Value) -> Value:
    return _rounded(a[0] * b[0], a[1] + b[1])


def _plus(a: Value, b: Value) -> Value:
    low = min(a[1], b[1])
    return _rounded((a[0] << a[1] - low) + (b[0] << b[1] - low), low)


def _integer(a: Value) -> int:
    return int(DIVIDE["half_even"](a[0] << max(a[1], 0), 1 << max(-a[1], 0)))


def _token(first: bool) -> Callable[..., int]:
    """x * scale of the token * scale of the channel + bias (+ residual * its scale), the scales multiplied first?"""

    def scaled(x: int, mantissa: int, exponent: int, multiplier: int, shift: int, bias: int, *residual: int) -> int:
        token, channel = (mantissa, exponent), _rounded(multiplier, -shift - 8)
        value = _rounded(x, 0)
        value = _times(value, _times(token, channel)) if first else _times(_times(value, token), channel)
        value = _plus(value, _rounded(bias, -8))
        if residual:
            r, m, s = residual
            value = _plus(value, _times(_rounded(r, 0), _rounded(m, -s - 8)))
        return min(max(_integer(value), -(1 << 62)), 1 << 62)

    return scaled


def token_rescale(tensors: Mapping[str, np.ndarray], attrs: Mapping[str, Any], first: bool) -> np.ndarray:
    """y of rescale_token or rescale_token_residual with every step in float32, int64."""
    ports = (*TOKEN, *RESIDUAL) if "residual" in tensors else TOKEN
    values = np.frompyfunc(_token(first), len(ports), 1)(*(tensors[port].astype(object) for port in ports))
    return np.clip(values.astype(np.int64), attrs["low"], attrs["high"])
