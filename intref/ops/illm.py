"""Ops of I-LLM."""

from intref.ops.op import Op

OPS: tuple[Op, ...] = ()
