"""Ops of FQ-ViT."""

from intref.ops.op import Op

OPS: tuple[Op, ...] = ()
