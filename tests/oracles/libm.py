"""glibc's fmaf, which rounds once: the epilogue of a kernel that fuses the last product and the bias.

The products before it are NumPy's, each an operation of its own on float32s, which IEEE 754 defines.
"""

import ctypes
import ctypes.util
import platform
from collections.abc import Iterator

import numpy as np

from intref import call
from intref.vectors import cases
from intref.vectors.drawn import drawn
from oracles import Tally

CALLS = 400
ROWS, WIDTH = 4, 1 << 15
ORDERS = ("token_first", "channel_first", "scales_first")
ONE = 127 << 23


def tallies() -> Iterator[Tally]:
    libm = ctypes.CDLL(ctypes.util.find_library("m"))
    libm.fmaf.restype, libm.fmaf.argtypes = ctypes.c_float, [ctypes.c_float] * 3
    fused = np.frompyfunc(libm.fmaf, 3, 1)
    for order in ORDERS:
        note = "the last product and the bias by one fmaf; the neighbours round twice, or multiply in another order"
        tally = Tally("gpu-w8a8", f"epilogue_fp32 {order}, fma", "glibc fmaf", platform.libc_ver()[1], note)
        stored = [*cases("epilogue_fp32"), *(drawn("epilogue_fp32", n) for n in range(CALLS))]
        own = [case.tensors for case in stored if case.attrs["order"] == order]
        for tensors in (*own, *_batches(np.random.default_rng(ORDERS.index(order)))):
            ways = {o: call("epilogue_fp32", tensors, {"order": o, "contract": "fma"})["y"] for o in ORDERS}
            off = call("epilogue_fp32", tensors, {"order": order})["y"]
            others = {o: y for o, y in ways.items() if o != order} | {"off": off}
            p, q, bias = operands(tensors, order)
            theirs = fused(*(v.astype(np.float64).astype(object) for v in (p, q, bias))).astype(np.float32)
            twice = (p.astype(np.float64) * q + bias).astype(np.float32)  # the sum once to float64, once to float32
            tally.compare(ways[order], theirs.view(np.int32), {**others, "float64": twice.view(np.int32)})
        yield tally


def operands(tensors: dict[str, np.ndarray], order: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """p, q and bias of fl32(p * q + bias), as float32s of the output's shape."""
    x = tensors["x"].astype(np.float32)
    token, channel, bias = (tensors[k].view(np.float32) for k in ("token", "channel", "bias"))
    if order == "scales_first":
        p, q = x, token * channel
    else:
        p, q = (x * token, channel) if order == "token_first" else (x * channel, token)
    p, q, bias = np.broadcast_arrays(p, q, bias)
    return p, q, bias


def _batches(stream: np.random.Generator) -> Iterator[dict[str, np.ndarray]]:
    """Wide rows: biases that cancel a row's products to their last bits, those at every distance, subnormal sums.

    Last, products at a tie of float32s or one beside it: significands solved for modulo 2**24.
    """
    shape = (ROWS, WIDTH)
    for least, most in ((90, 158), (120, 135), (35, 95)):
        token, channel = (
            (stream.integers(least, most, size) << 23) + stream.integers(0, 1 << 23, size)
            for size in ((ROWS, 1), WIDTH)
        )
        channel -= stream.integers(0, 2, WIDTH) << 31
        x = stream.integers(-(1 << 31), 1 << 31, shape) >> stream.integers(0, 31, shape)
        tensors = {"x": x, "token": token, "channel": channel, "bias": np.zeros(WIDTH)}
        p, q, _ = operands({k: v.astype(np.int32) for k, v in tensors.items()}, "token_first")
        near = (-(p[0] * q[0])).view(np.int32) + stream.integers(-2, 3, WIDTH)
        far = (near & ~(255 << 23)) + (np.clip((near >> 23 & 255) + stream.integers(-60, 61, WIDTH), 0, 253) << 23)
        bias = np.where(stream.integers(0, 2, WIDTH), near, far)
        bias = np.where(bias >> 23 & 255 < 254, bias, ONE)
        yield {k: v.astype(np.int32) for k, v in {**tensors, "bias": bias}.items()}
    x, token = np.ones(shape), (ONE + stream.integers(0, 1 << 22, (ROWS, 1)) * 2 + 1).astype(np.int64)
    factor = token[np.arange(WIDTH) % ROWS, 0] & 0x7FFFFF | 1 << 23
    ends = stream.choice([1, 0, (1 << 23) - 1, (1 << 22) - 1, 1 << 22, (1 << 22) + 1], WIDTH)
    solved = [pow(int(f), -1, 1 << 23) * int(end) % (1 << 23) for f, end in zip(factor, ends)]
    channel = ONE + np.array(solved) - (stream.integers(0, 2, WIDTH) << 31)
    bias = stream.integers(0, ONE - (20 << 23), WIDTH) - (stream.integers(0, 2, WIDTH) << 31)
    tensors = {"x": x, "token": token, "channel": channel, "bias": bias}
    yield {k: v.astype(np.int32) for k, v in tensors.items()}
    whole = np.broadcast_to(factor, shape)  # the same products where the accumulator is a factor
    tensors |= {"x": whole, "token": np.full((ROWS, 1), ONE)}
    yield {k: v.astype(np.int32) for k, v in tensors.items()}
