"""The op table: every op a model may contain. An op is entered in OPS of its family's file."""

from typing import Any

from intref.ops import (
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
    softmax,
    token,
    tosa,
    wide,
)
from intref.ops.op import Op

__all__ = ["FAMILIES", "OPS", "Op"]

# Those that every dialect shares, then one file for each dialect.
FAMILIES: tuple[Any, ...] = (
    embedding,
    layout,
    gemm,
    rescale,
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
OPS: dict[str, Op] = {op.name: op for family in FAMILIES for op in family.OPS}
