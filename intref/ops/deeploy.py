"""Ops of Deeploy (pulp-platform)."""

from intref.ops.op import Op

OPS: tuple[Op, ...] = ()
