"""Ops of convolution and pooling."""

from intref.ops.op import Op

OPS: tuple[Op, ...] = ()
