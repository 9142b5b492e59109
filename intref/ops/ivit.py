"""Ops of I-ViT."""

from intref.ops.op import Op

OPS: tuple[Op, ...] = ()
