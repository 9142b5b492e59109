"""Ops and whole models as ONNX graphs of standard operators that give the same bits.

A graph has an idiomatic form where ONNX has one that is exact (MatMulInteger, DequantizeLinear and QuantizeLinear for
the float32 epilogue, Gather, Clip, Transpose); any other op is its own body run on a number type whose operators append
int64 nodes, so a graph and the specification cannot drift apart.
"""

from intref.errors import Unsupported

try:
    import onnx
except ImportError as error:
    raise Unsupported("ONNX needs onnx: pip install 'intref[onnx]'") from error

from intref.golden.onnx.lower import Lowered, lower_call, lower_model

__all__ = ["Lowered", "lower_call", "lower_model", "onnx"]
