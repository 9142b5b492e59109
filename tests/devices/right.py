"""Right devices for the tests: intref's own reference, op by op, and as a whole model."""

import os

import numpy as np

import intref
from tiny_models import tiny_model


def ops(op, inputs, attrs):
    return None if op == "model" else intref.call(op, inputs, attrs)


def tiny(op, inputs, attrs):
    """The whole model, with every inner tensor that is asked for; no op by itself."""
    if op != "model":
        return None
    result = tiny_model().run(inputs, "reference", "all")
    return {**result.outputs, **{tap: result.trace[tap] for tap in attrs["taps"]}}


class Tensor:
    """What a framework's tensor looks like from outside: DLPack, on another device until .cpu()."""

    def __init__(self, array, here=False):
        self.array, self.here = array, here

    def cpu(self):
        return Tensor(self.array, here=True)

    def __dlpack__(self, **options):
        if not self.here:
            raise BufferError("not on this device")
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def dlpack(op, inputs, attrs):
    made = ops(op, inputs, attrs)
    return made and {name: Tensor(np.ascontiguousarray(value)) for name, value in made.items()}


def noisy(op, inputs, attrs):
    """Prints a little, on both streams: a device may."""
    print("layer done", flush=True)
    os.write(2, b"a warning\n")
    return ops(op, inputs, attrs)


def half_away(op, inputs, attrs):
    """Right but for one rule of one op."""
    if op == "rescale":
        attrs = {**attrs, "rounding": "half_away"}
    return ops(op, inputs, attrs)


def off_catalogue(op, inputs, attrs):
    """Wrong in a way that no rule describes: one added where the index is a multiple of three."""
    made = ops(op, inputs, attrs)
    if op == "rescale":
        y = made["y"]
        made["y"] = np.where(np.arange(y.size).reshape(y.shape) % 3 == 0, y ^ 1, y)
    return made


def some(op, inputs, attrs):
    """Has no transpose."""
    return None if op == "transpose" else ops(op, inputs, attrs)
