"""The child's side: loads a Python function or a shared library and answers one frame after another.

    python -c "from intref.devices.worker import main; main()" KIND TARGET... READ_FD WRITE_FD

It knows no op. Requests carry the attributes as the device wants them; answers are ok, unsupported, malformed or
crashed, with a detail.
"""

import ctypes
import importlib
import importlib.util
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from math import prod
from typing import Any

import numpy as np

from intref.devices.arrays import as_array
from intref.devices.protocol import DTYPES, Arrays, frame, frame_size, parse_frame

Answer = tuple[dict[str, Any], Arrays]  # {"status": ..., "detail": ...} and the outputs
Serve = Callable[[dict[str, Any], Arrays], Answer]
GUARD = 256  # bytes on either side of every tensor; a multiple of ALIGN
ALIGN = 64
GUARD_BYTE = 0xC3
PREFILLS = (0xA5, 0x5A)


def main() -> None:
    """Load, report, and answer until the parent closes its end."""
    kind, *target, read_fd, write_fd = sys.argv[1:]
    _die_with_parent()
    with os.fdopen(int(read_fd), "rb") as requests, os.fdopen(int(write_fd), "wb") as answers:
        try:
            serve = LOADERS[kind](*target)
            _send(answers, {"status": "ok"}, {})
        except BaseException as error:
            _send(answers, {"status": "failed", "detail": _one_line(error)}, {})
            return
        while len(head := requests.read(16)) == 16:
            header, tensors = parse_frame(head + requests.read((frame_size(head) or 16) - 16))
            _send(answers, *_answered(serve, header, tensors))


def _answered(serve: Serve, header: dict[str, Any], tensors: Arrays) -> Answer:
    given = {name: t.copy() for name, t in tensors.items()}
    try:
        status, outputs = serve(header, given)
    except BaseException as error:
        return {"status": "crashed", "detail": _one_line(error)}, {}
    if changed := [n for n, t in tensors.items() if n not in given or not np.array_equal(given[n], t)]:
        return {"status": "malformed", "detail": f"changed its input {changed[0]!r}"}, {}
    size = sum(t.nbytes for t in outputs.values())
    if size > header["limit"]:
        return {"status": "malformed", "detail": f"returned {size} bytes, expected at most {header['limit']}"}, {}
    return status, outputs


def _send(answers: Any, status: dict[str, Any], tensors: Arrays) -> None:
    answers.write(frame(status, tensors))
    answers.flush()


def _one_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:300]}" if text else type(error).__name__


def _die_with_parent() -> None:
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, where there is such a thing


def _python(module: str, name: str) -> Serve:
    """A function of a module, or of a .py file."""
    return _served(getattr(_module_file(module) if module.endswith(".py") else importlib.import_module(module), name))


def _made(module: str, name: str, *given: str) -> Serve:
    """What a function of our own makes of its arguments."""
    return _served(getattr(importlib.import_module(module), name)(*given))


def _served(function: Callable[..., Any]) -> Serve:
    """A Python function behind the frames."""

    def serve(header: dict[str, Any], tensors: Arrays) -> Answer:
        made = function(header["op"], dict(tensors), header["attrs"])
        if made is None:
            return {"status": "unsupported"}, {}
        if not isinstance(made, dict):
            detail = f"returned {type(made).__name__}, expected a dict of arrays or None"
            return {"status": "malformed", "detail": detail}, {}
        outputs: Arrays = {}
        for key, value in made.items():
            try:
                array = as_array(value)
                if array.dtype.kind not in "iufb":
                    raise TypeError(f"an array of {array.dtype}")
            except TypeError as error:
                return {"status": "malformed", "detail": f"output {key!r} is {error}, expected an integer array"}, {}
            outputs[str(key)] = array
        return {"status": "ok"}, outputs

    return serve


def _module_file(path: str) -> Any:
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    spec = importlib.util.spec_from_file_location("intref_device", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("dtype", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("shape", ctypes.c_int64 * 8),
    ]


def _library(path: str) -> Serve:
    """The function intref_dut of a shared library."""
    function = ctypes.CDLL(path).intref_dut
    function.restype = ctypes.c_int

    def serve(header: dict[str, Any], tensors: Arrays) -> Answer:
        held = {name: _aligned(t) for name, t in tensors.items()}
        inputs = {name: _view(held[name], t.dtype.name, t.shape) for name, t in tensors.items()}
        results = []
        for prefill in PREFILLS:
            code, buffers = _call(function, header, inputs, prefill)
            tensors.update(inputs)  # so that a changed input is seen
            for word, kept in (("input", held), ("output", buffers)):
                if broken := [name for name, buffer in kept.items() if not _guarded(buffer)]:
                    return {"status": "malformed", "detail": f"wrote outside of its {word} {broken[0]!r}"}, {}
            if code != 0:
                status = "unsupported" if code == 1 else "crashed"
                return {"status": status, "detail": f"intref_dut returned {code}"}, {}
            results.append({n: _view(b, *header["outputs"][n]) for n, b in buffers.items()})
        if detail := _unsteady(*results):
            return {"status": "malformed", "detail": detail}, {}
        return {"status": "ok"}, results[0]

    return serve


def _call(function: Any, header: dict[str, Any], inputs: Arrays, prefill: int) -> tuple[int, Arrays]:
    """The return code, and each output's whole buffer, guards included."""
    buffers = {name: _buffer(dtype, shape, prefill) for name, (dtype, shape) in header["outputs"].items()}
    ins = (_Tensor * max(len(inputs), 1))(*(_tensor(t.ctypes.data, t.dtype.name, t.shape) for t in inputs.values()))
    outs = (_Tensor * max(len(buffers), 1))(
        *(_tensor(b.ctypes.data + GUARD, *header["outputs"][n]) for n, b in buffers.items())
    )
    attrs = header["attrs"]
    names = (ctypes.c_char_p * max(len(attrs), 1))(*(name.encode() for name in attrs))
    values = (ctypes.c_int64 * max(len(attrs), 1))(*attrs.values())
    code = function(header["op"].encode(), len(attrs), names, values, len(inputs), ins, len(buffers), outs)
    return int(code), buffers


def _tensor(address: int, dtype: str, shape: Any) -> _Tensor:
    return _Tensor(address, DTYPES.index(dtype), len(shape), (ctypes.c_int64 * 8)(*shape))


def _raw(size: int) -> np.ndarray:
    """uint8 [size] at an address that is a multiple of ALIGN."""
    whole = np.empty(size + ALIGN, np.uint8)
    start = -whole.ctypes.data % ALIGN
    return whole[start : start + size]


def _aligned(tensor: np.ndarray) -> np.ndarray:
    """A guarded buffer that holds a copy of the tensor."""
    buffer = _buffer(tensor.dtype.name, tensor.shape, 0)
    _view(buffer, tensor.dtype.name, tensor.shape)[...] = tensor
    return buffer


def _buffer(dtype: str, shape: Any, prefill: int) -> np.ndarray:
    buffer = _raw(2 * GUARD + prod(shape) * np.dtype(dtype).itemsize)
    buffer[...] = GUARD_BYTE
    buffer[GUARD:-GUARD] = prefill
    return buffer


def _guarded(buffer: np.ndarray) -> bool:
    return bool((buffer[:GUARD] == GUARD_BYTE).all() and (buffer[-GUARD:] == GUARD_BYTE).all())


def _view(buffer: np.ndarray, dtype: str, shape: Any) -> np.ndarray:
    return buffer[GUARD:-GUARD].view(dtype).reshape(shape)


def _unsteady(first: Arrays, second: Arrays) -> str:
    """What is wrong with an output that depends on what its buffer held before; empty if nothing is."""
    for name, a in first.items():
        where = np.argwhere(a != second[name])
        if len(where):
            at, untouched = [int(i) for i in where[0]], [np.full(1, p, np.uint8).repeat(a.itemsize) for p in PREFILLS]
            kept = all(r[name][tuple(at)] == u.view(a.dtype)[0] for r, u in zip((first, second), untouched))
            if kept:
                return f"did not write {len(where)} of {a.size} elements of output {name!r}, first at {at}"
            return f"gave two results for the same call: output {name!r} at {at}"
    return ""


LOADERS: dict[str, Callable[..., Serve]] = {"py": _python, "so": _library, "ort": _made}
