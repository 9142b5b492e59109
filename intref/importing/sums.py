"""ONNX Runtime's sum of two quantized tensors, as its operator of its own computes it on x86."""

from typing import Any

import numpy as np

from intref.importing.graph import Call
from intref.importing.importer import MICROSOFT, Importer, imports
from intref.importing.quantized import Scale, scale_of
from intref.importing.values import Value

FRACTION_BITS = 37  # of the quotients of scales: what qlinear_add has
LOW, HIGH = 2.0**-14, 2.0**7


@imports("QLinearAdd", domains=MICROSOFT)
def qlinear_add(
    net: Importer, call: Call, a: Value, sa: Value, za: Value | None, b: Value, sb: Value, zb: Value | None, sy: Value,
    zy: Value | None = None,
) -> Value:  # fmt: skip
    """Of one dtype of 8 bits, one scale each; what is one number against a run of the other comes second."""
    dtype = str(a.dtype)
    left, right = scale_of(net, call, "a", sa, za, a, dtype), scale_of(net, call, "b", sb, zb, b, str(b.dtype))
    out = scale_of(net, call, "y", sy, zy, usual=dtype)
    if {left.dtype, right.dtype, out.dtype} not in ({"int8"}, {"uint8"}):
        raise net.refuse("a, b and y of int8, or of uint8", f"{left.dtype}, {right.dtype} and {out.dtype}")
    if _runs_over(a.shape, b.shape):
        a, b, left, right = b, a, right, left
    sizes = np.broadcast_shapes(a.shape, b.shape) or (1,)
    terms: dict[str, Any] = {
        port: net.tensor(net.broadcast(value, sizes), dtype) for port, value in (("a", a), ("b", b))
    }
    scales = {"a_scale": _quotient(net, left, out), "b_scale": _quotient(net, right, out)}
    zeros = {"a_zero_point": left.zero, "b_zero_point": right.zero, "y_zero_point": out.zero}
    return net.op("qlinear_add", terms, **scales, **zeros, output=dtype)


def _runs_over(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    """Does each number of a meet several of b, one after another in memory? So it does if both are one number."""
    rank = max(len(a), len(b))
    pairs = zip((1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b)
    inner = [(m, n) for m, n in pairs if (m, n) != (1, 1)]
    return not inner or inner[-1][0] == 1


def _quotient(net: Importer, given: Scale, out: Scale) -> int:
    quotient = float(np.float32(given.scales[0]) / np.float32(out.scales[0]))
    if not LOW <= quotient < HIGH:
        raise net.refuse("scales of a and b of at least 2**-14 and below 2**7 times that of y", f"{quotient:.3g} times")
    return int(quotient * 2**FRACTION_BITS)
