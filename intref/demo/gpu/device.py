"""A GPU as a device under test: linear, matmul, rescale and softmax_exp2 by Triton kernels.

    intref verify suite:linear suite:matmul suite:rescale suite:softmax_exp2 --dut py:intref.demo.gpu.device:device

Needs torch and triton, and a CUDA device; with TRITON_INTERPRET=1 in the environment the same kernels run in Triton's
interpreter, on any machine. Without either this file cannot be loaded, and says so.
"""

import os
from math import prod
from typing import Any

import numpy as np

try:
    import torch

    from intref.demo.gpu.kernels import MAX_K, ROUNDINGS, product, rescaled, softmax
except ImportError as missing:
    raise ImportError(f"the GPU device needs torch and triton, {missing.name} is not installed") from missing

Arrays = dict[str, np.ndarray]
TILE, ELEMENTS = 32, 1024  # of a product's output and depth; of a rescale's program
WHERE = "cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda"
if WHERE == "cuda" and not torch.cuda.is_available():
    raise ImportError("no CUDA device: TRITON_INTERPRET=1 runs the kernels in Triton's interpreter")


def device(op: str, inputs: Arrays, attrs: dict[str, Any]) -> dict[str, Any] | None:
    """One call; torch tensors by output name, or None for what the kernels do not do."""
    answer = {"linear": linear, "matmul": matmul, "rescale": rescale, "softmax_exp2": softmax_exp2}.get(op)
    return answer(inputs, attrs) if answer else None


def _moved(array: np.ndarray) -> Any:
    return torch.from_numpy(np.ascontiguousarray(array)).to(WHERE)


def _made(shape: tuple[int, ...], dtype: str) -> Any:
    return torch.empty(shape, dtype=getattr(torch, dtype), device=WHERE)


def _plain(attrs: dict[str, Any]) -> bool:
    """Whether a product is what the kernels do: no zero points, 32 bits, nothing that wraps or saturates."""
    zeros = any(value for name, value in attrs.items() if name.endswith("_zero_point"))
    return not zeros and (attrs["accumulator"], attrs["overflow"], attrs["output"]) == (32, "refuse", "int32")


def linear(t: Arrays, attrs: dict[str, Any]) -> dict[str, Any] | None:
    """x [... K] by weight [N K], with its strides exchanged, plus bias."""
    x, weight = t["x"], t["weight"]
    if x.shape[-1] > MAX_K or not _plain(attrs):
        return None
    n, k = weight.shape
    y = _made((*x.shape[:-1], n), "int32")
    _multiply(x, weight, y, (1, prod(x.shape[:-1]), n, k), (1, k), (0, 0), _moved(t["bias"]))
    return {"y": y}


def matmul(t: Arrays, attrs: dict[str, Any]) -> dict[str, Any] | None:
    """a [... M K] by b [... K N], one group of programs for each of the leading indices."""
    a, b = t["a"], t["b"]
    if a.shape[-1] > MAX_K or b.dtype != np.int8 or not _plain(attrs):
        return None
    *lead, m, k = a.shape
    n = b.shape[-1]
    y = _made((*lead, m, n), "int32")
    _multiply(a, b, y, (prod(lead), m, n, k), (n, 1), (m * k, k * n))
    return {"y": y}


def linear_rescale(t: Arrays, attrs: dict[str, Any]) -> dict[str, Any] | None:
    """linear and rescale in one kernel: x, weight, bias, multiplier, shift (of length 1 or N); attrs of rescale."""
    x, weight, m, s = t["x"], t["weight"], t["multiplier"], t["shift"]
    if attrs["rounding"] not in ROUNDINGS or attrs["input_zero_point"] or x.shape[-1] > MAX_K:
        return None
    n, k = weight.shape
    channels = max(len(m), len(s))
    scale = (_moved(np.resize(m, channels)), _moved(np.resize(s, channels)))
    y = _made((*x.shape[:-1], n), attrs["output"])
    ends = (attrs["output_zero_point"], attrs["low"], attrs["high"])
    sizes = (1, prod(x.shape[:-1]), n, k)
    _multiply(x, weight, y, sizes, (1, k), (0, 0), _moved(t["bias"]), scale, ends, ROUNDINGS.index(attrs["rounding"]))
    return {"y": y}


def _multiply(
    a: np.ndarray,
    b: np.ndarray,
    y: Any,
    sizes: tuple[int, int, int, int],
    strides: tuple[int, int],
    batches: tuple[int, int],
    bias: Any = None,
    scale: tuple[Any, Any] | None = None,
    ends: tuple[int, int, int] = (0, 0, 0),
    rounding: int = 0,
) -> None:
    """Start the product's kernel; sizes are groups, M, N, K."""
    groups, m, n, k = sizes
    multiplier, shift = scale or (y, y)
    channels = len(multiplier) if scale else 1
    grid = (-(-m // TILE), -(-n // TILE), groups)
    product[grid](
        *(
            _moved(a),
            _moved(b),
            y if bias is None else bias,
            multiplier,
            shift,
            y,
            m,
            n,
            k,
            *strides,
            *batches,
            channels,
        ),
        *ends,
        BIASED=bias is not None,
        FUSED=scale is not None,
        ROUNDING=rounding,
        **{"BM": TILE, "BN": TILE, "BK": TILE},
    )


def rescale(t: Arrays, attrs: dict[str, Any]) -> dict[str, Any] | None:
    """One element in each lane; rules that round twice, or in float32, are not supported."""
    x, m, s, zero = t["x"], t["multiplier"], t["shift"], attrs["input_zero_point"]
    if attrs["rounding"] not in ROUNDINGS:
        return None
    y = _made(x.shape, attrs["output"])
    inner = prod(x.shape[attrs["axis"] % x.ndim + 1 :])
    length = x.shape[attrs["axis"]]
    channels, shifts = (np.resize(v, length) for v in (m, s))
    rescaled[(-(-x.size // ELEMENTS),)](
        *(_moved(x), _moved(channels), _moved(shifts), y, x.size, inner, length, length),
        *(zero, attrs["output_zero_point"], attrs["low"], attrs["high"]),
        ROUNDING=ROUNDINGS.index(attrs["rounding"]),
        BLOCK=ELEMENTS,
    )
    return {"y": y}


def softmax_exp2(t: Arrays, attrs: dict[str, Any]) -> dict[str, Any] | None:
    """One row in each program."""
    x, mask = t["x"], t["mask"]
    batch, heads, queries, keys = x.shape
    p, total = _made(x.shape, "uint8"), _made((*x.shape[:-1], 1), "int32")
    strides = (keys, 0) if mask.ndim == 2 else (queries * keys, keys)
    constants = (_moved(t[k]) for k in ("multiplier", "shift", "table"))
    softmax[(batch * heads * queries,)](
        *(_moved(x), _moved(mask), *constants, p, total, heads, queries, keys, *strides),
        BLOCK=1 << (keys - 1).bit_length(),
    )
    return {"p": p, "total": total}
