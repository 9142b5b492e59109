"""Fast twins of intref.ops: same names, same arguments, same bits, on any number of threads. Never normative.

A kernel trusts its caller: intref.run has checked the call. Where the reference refuses a result (BoundError), a kernel
raises OverflowError with the same text.
"""

from collections.abc import Callable
from typing import Any

from intref.kernels import (
    activation,
    deeploy,
    embedding,
    fqvit,
    gemm,
    gemmini,
    gemmlowp,
    illm,
    image,
    ita,
    ivit,
    layout,
    norm,
    onnx,
    rescale,
    residual,
    softmax,
    token,
    tosa,
    wide,
)
from intref.kernels.arrays import Buffers, reusing
from intref.kernels.gemm import PREPARE
from intref.kernels.threads import get_threads, set_threads

FAMILIES: tuple[Any, ...] = (
    embedding,
    layout,
    gemm,
    rescale,
    residual,
    token,
    softmax,
    norm,
    activation,
    gemmlowp,
    tosa,
    onnx,
    ivit,
    fqvit,
    illm,
    ita,
    gemmini,
    deeploy,
    image,
    wide,
)
KERNELS: dict[str, Callable[..., Any]] = {kernel.__name__: kernel for family in FAMILIES for kernel in family.KERNELS}

__all__ = ["KERNELS", "PREPARE", "Buffers", "get_threads", "reusing", "set_threads"]
