"""A device that gets one bit of some ops wrong, and a device that gets one bit of everything wrong."""

import intref

WRONG = ("linear", "rescale", "matmul")


def some(op, inputs, attrs):
    return everything(op, inputs, attrs) if op in WRONG else _right(op, inputs, attrs)


def everything(op, inputs, attrs):
    made = _right(op, inputs, attrs)
    for value in (made or {}).values():
        value.flat[-1] ^= 1
    return made


def _right(op, inputs, attrs):
    return None if op == "model" else intref.call(op, inputs, attrs)
