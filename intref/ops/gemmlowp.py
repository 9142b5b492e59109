"""Ops of gemmlowp fixed point, as TensorFlow Lite and CMSIS-NN compute."""

from intref.ops.op import Op

OPS: tuple[Op, ...] = ()
