"""C that was emitted, compiled and called as the interface of `so:` devices declares it."""

import ctypes
import shutil
import subprocess

import numpy as np
import pytest

from intref import OPS
from intref.devices.device import Request, attribute_codes

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
STRICT = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
DTYPES = ("int8", "uint8", "int16", "int32", "int64")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C compiler")


def compiled(source, folder, *options, strict=STRICT):
    """A shared library of C source text."""
    folder.mkdir(exist_ok=True)
    (folder / "device.c").write_text(source)
    subprocess.run([COMPILER, *strict, *options, "-o", folder / "device.so", folder / "device.c"], check=True)
    return folder / "device.so"


class Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("dtype", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("shape", ctypes.c_int64 * 8),
    ]

    @classmethod
    def of(cls, array):
        return cls(array.ctypes.data, DTYPES.index(array.dtype.name), array.ndim, (ctypes.c_int64 * 8)(*array.shape))


class Library:
    """intref_dut called as it is declared, so that its return code is seen."""

    def __init__(self, path):
        self.function = ctypes.CDLL(str(path)).intref_dut

    def raw(self, op, attrs, inputs, outputs):
        """The return code; inputs and outputs are Tensors."""
        names = (ctypes.c_char_p * max(len(attrs), 1))(*(name.encode() for name in attrs))
        values = (ctypes.c_int64 * max(len(attrs), 1))(*attrs.values())
        ins, outs = (Tensor * max(len(inputs), 1))(*inputs), (Tensor * max(len(outputs), 1))(*outputs)
        return self.function(op.encode(), len(attrs), names, values, len(inputs), ins, len(outputs), outs)

    def run(self, op, tensors, attrs, rows):
        """Return code and outputs, attributes completed; rows: output -> (dtype, shape)."""
        return self.run_as_it_is(op, tensors, OPS[op].complete(attrs), rows)

    def run_as_it_is(self, op, tensors, attrs, rows):
        request = Request("", op, tensors, attrs, rows)
        inputs = {k: np.array(v, order="C") for k, v in request.inputs.items()}
        made = {name: np.full(shape, 85, dtype) for name, (dtype, shape) in rows.items()}
        sides = ([Tensor.of(v) for v in arrays.values()] for arrays in (inputs, made))
        return self.raw(op, attribute_codes(request), *sides), made
