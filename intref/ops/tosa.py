"""Ops of TOSA."""

from intref.ops.op import Op

OPS: tuple[Op, ...] = ()
