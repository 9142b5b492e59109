"""The epilogue of a Triton kernel, run by Triton's interpreter: its tl.fma rounds a product and a sum once.

TRITON_INTERPRET=1 must be set before this file is imported. Triton itself may have been imported without it, so the
kernel calls none of the functions that Triton writes in its own language.
"""

import numpy as np
import torch
import triton
import triton.language as tl

BLOCK = 1024
CODES = {"token_first": 0, "channel_first": 1, "scales_first": 2}


@triton.jit
def kernel(x, token, channel, bias, y, width, order: tl.constexpr, fused: tl.constexpr, block: tl.constexpr):
    row, n = tl.program_id(0), tl.program_id(1) * block + tl.arange(0, block)
    inside = n < width
    a = tl.load(x + row * width + n, inside, other=0).to(tl.float32)
    t, c, b = tl.load(token + row + 0 * n), tl.load(channel + n, inside, other=0), tl.load(bias + n, inside, other=0)
    if order == 0:
        p, q = a * t, c
    elif order == 1:
        p, q = a * c, t
    else:
        p, q = a, t * c
    made = tl.fma(p, q, b) if fused else p * q + b
    tl.store(y + row * width + n, made, inside)


def epilogue(tensors: dict[str, np.ndarray], order: str, contract: str) -> np.ndarray:
    """y as bit patterns."""
    width = tensors["x"].shape[-1]
    x = np.ascontiguousarray(tensors["x"]).reshape(-1, width)
    floats = [torch.from_numpy(np.array(tensors[k]).reshape(-1).view(np.float32)) for k in ("token", "channel", "bias")]
    y = torch.empty(x.shape)
    grid = (len(x), -(-width // BLOCK))
    kernel[grid](torch.from_numpy(x), *floats, y, width, CODES[order], contract == "fma", BLOCK)
    return y.numpy().view(np.int32).reshape(tensors["x"].shape)
