"""Ops of ONNX operators and float32 epilogues."""

from intref.ops.op import Op

OPS: tuple[Op, ...] = ()
