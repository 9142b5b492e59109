"""Ops of Gemmini."""

from intref.ops.op import Op

OPS: tuple[Op, ...] = ()
