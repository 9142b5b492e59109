"""Ops of ITA."""

from intref.ops.op import Op

OPS: tuple[Op, ...] = ()
