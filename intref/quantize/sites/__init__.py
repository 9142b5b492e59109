"""One lowering for each op that a profile may put at a site: real scales in, nodes and integer constants out."""

# Each module enters its lowerings into SITES.
from intref.quantize.sites import (
    activation,
    attention,
    deeploy,
    embedding,
    fqvit,
    gemmini,
    gemmlowp,
    head,
    illm,
    ita,
    ivit,
    linear,
    norm,
    onnx,
    tosa,
    wide,
)
from intref.quantize.sites.linear import from_zero, rescaled
from intref.quantize.sites.lowering import SITES, SPREAD, Lowering, Step, Value

__all__ = [
    "SITES",
    "SPREAD",
    "Lowering",
    "Step",
    "Value",
    "activation",
    "attention",
    "deeploy",
    "embedding",
    "fqvit",
    "from_zero",
    "gemmini",
    "gemmlowp",
    "head",
    "illm",
    "ita",
    "ivit",
    "linear",
    "norm",
    "onnx",
    "rescaled",
    "tosa",
    "wide",
]
