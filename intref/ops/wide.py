"""Ops of the wide fixed point."""

from intref.ops.op import Op

OPS: tuple[Op, ...] = ()
