"""Devices under test behind one method: a request in, arrays or None out, or a DeviceError that costs one case."""

import json
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from intref.devices.child import Child, DeviceError, limit_text, refused_memory
from intref.devices.protocol import Arrays, frame, frame_size, parse_frame
from intref.errors import FormatError, Unsupported
from intref.ops import OPS

__all__ = ["MODEL", "TIMEOUT", "Device", "DeviceError", "HostedDevice", "Request", "Seconds", "checked", "open_device"]

MODEL = "model"  # the op that is the whole model
Seconds = float
TIMEOUT: Seconds = 30.0  # per call
LOAD_TIMEOUT: Seconds = 120.0  # seconds a device may take to load
KINDS = "py:module:function, so:library, pipe:program, cmd:'program {in} {out}', file:path"
KINDS += ", icarus:unit.toml, verilator:unit.toml or ort:[model.onnx]"


@dataclass(frozen=True)
class Request:
    """One call. attrs: complete. outputs: name -> (dtype, shape) expected."""

    id: str
    op: str
    inputs: Arrays
    attrs: dict[str, Any]
    outputs: dict[str, tuple[str, tuple[int, ...]]]
    optional: dict[str, tuple[str, tuple[int, ...]]] = field(default_factory=dict)  # may be answered as well

    def __post_init__(self) -> None:
        # A library knows tensors by their place, and files keep names in another order than the op does.
        if op := OPS.get(self.op):
            for field_name, order in (("inputs", op.inputs), ("attrs", op.attrs), ("outputs", op.outputs)):
                given = getattr(self, field_name)
                object.__setattr__(self, field_name, {name: given[name] for name in order if name in given})

    @property
    def limit(self) -> int:
        """Bytes of an answer that no right device exceeds."""
        expected = (*self.outputs.values(), *self.optional.values())
        return 4 * sum(np.dtype(dtype).itemsize * prod(shape) for dtype, shape in expected) + (1 << 16)


class Device(ABC):
    """A device under test; a context manager: its group of processes ends with the block (setsid leaves the group)."""

    recorded = False  # its outputs were made earlier, by a run of the whole

    @abstractmethod
    def call(self, request: Request) -> Arrays | None:
        """Outputs by name, dtypes and shapes unchecked; None if not supported; DeviceError if the call failed."""

    def refusal(self, request: Request) -> str:
        """Why a call is not supported, in one line; empty where the device does not say."""
        return ""

    @property
    def sha256(self) -> str | None:
        """Of all that the device was made from; None where it does not know."""
        return None

    def close(self) -> None:  # noqa: B027 - most devices hold nothing
        """End whatever runs."""

    def __enter__(self) -> "Device":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_device(spec: str, timeout: Seconds = TIMEOUT, memory: int | None = None) -> Device:
    """The device that a spec names. FormatError if there is no such thing, Unsupported for an unknown kind.

    timeout: seconds per call. memory: bytes of address space for the device's process; None: half of the machine's
    memory; 0: no limit.
    """
    kind, colon, rest = spec.partition(":")
    known = (*TARGETS, "pipe", "cmd", "file", "icarus", "verilator")
    if kind not in known or not colon or not (rest or kind == "ort"):
        raise Unsupported(f"dut {spec!r}: expected {KINDS}")
    if kind in TARGETS:
        return HostedDevice(spec, kind, rest, timeout, memory)
    if kind in ("icarus", "verilator"):
        from intref.devices.rtl import RtlDevice
        from intref.rtl.description import read_unit

        return RtlDevice(spec, kind, read_unit(rest), timeout, memory)
    from intref.devices.files import CommandDevice, RecordedDevice
    from intref.devices.pipe import PipeDevice

    if kind == "file":
        return RecordedDevice(spec, rest)
    return (PipeDevice if kind == "pipe" else CommandDevice)(spec, rest, timeout, memory)


class HostedDevice(Device):
    """A Python function or a shared library in a child process, which is started again after a call that killed it."""

    def __init__(self, spec: str, kind: str, rest: str, timeout: float, memory: int | None):
        self.spec, self.kind, self.timeout, self.memory = spec, kind, timeout, memory
        self.target = TARGETS[kind](spec, rest)
        self._child: Child | None = self._start()

    def _start(self) -> Child:
        code = (
            "import sys, json; sys.path[:] = json.loads(sys.argv.pop(1));from intref.devices.worker import main; main()"
        )
        # The child finds what this process finds, the current directory included.
        path = json.dumps([os.getcwd(), *(p for p in sys.path if p)])
        child = Child([sys.executable, "-c", code, path, self.kind, *self.target], self.memory, "own")
        try:
            header, _ = self._answer(child, b"", max(self.timeout, LOAD_TIMEOUT), 1 << 20)
        except DeviceError as error:
            child.close()
            raise FormatError(f"dut {self.spec}: cannot be loaded: {error.detail}") from None
        except BaseException:
            child.close()
            raise
        if header["status"] != "ok":
            child.close()
            raise FormatError(f"dut {self.spec}: cannot be loaded: {self._said(header['detail'])}")
        return child

    def _answer(self, child: Child, data: bytes, timeout: float, limit: int) -> tuple[dict[str, Any], Arrays]:
        whole = child.exchange(data, lambda got: len(got) >= (frame_size(got) or 1 << 62), timeout, limit)
        try:
            return parse_frame(bytes(whole))
        except (ValueError, KeyError, TypeError) as error:
            raise DeviceError("malformed", f"broke its channel: {error}") from None

    def call(self, request: Request) -> Arrays | None:
        if self._child is None:
            self._child = self._start()
        header = {
            "op": request.op,
            "attrs": attribute_codes(request) if self.kind == "so" else request.attrs,
            "outputs": request.outputs,
            "limit": request.limit,
        }
        try:
            status, outputs = self._answer(
                self._child, frame(header, request.inputs), self.timeout, request.limit + (1 << 20)
            )
        except DeviceError:
            self.close()
            raise
        if status["status"] in ("crashed", "malformed"):
            if self.kind == "so":  # what wrote out of bounds once may have hit anything
                self.close()
            raise DeviceError(status["status"], self._said(status["detail"]))
        return outputs if status["status"] == "ok" else None

    def _said(self, detail: str) -> str:
        return detail + limit_text(self.memory) if refused_memory(detail) else detail

    def close(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None


def attribute_codes(request: Request) -> dict[str, int]:
    """Attributes as the C structure carries them: integers, a choice as its index."""
    if request.op == MODEL:
        return {}
    choices = {name: attr.choices for name, attr in OPS[request.op].attrs.items()}
    return {n: choices[n].index(v) if choices[n] else int(v) for n, v in request.attrs.items()}


def _python_target(spec: str, rest: str) -> list[str]:
    module, _, function = rest.rpartition(":")
    if not module or not function:
        raise Unsupported(f"dut {spec!r}: expected py:module:function or py:path/file.py:function")
    if module.endswith(".py"):
        return [_existing(spec, module), function]
    return [module, function]


def _library_target(spec: str, rest: str) -> list[str]:
    return [_existing(spec, rest)]


def _onnx_target(spec: str, rest: str) -> list[str]:
    module = "intref.devices.onnxruntime"
    return [module, "of_file", _existing(spec, rest)] if rest else [module, "every_op"]


def _existing(spec: str, path: str) -> str:
    if not Path(path).is_file():
        raise FormatError(f"dut {spec}: expected a file {path}, found none")
    return os.path.abspath(path)


TARGETS = {"py": _python_target, "so": _library_target, "ort": _onnx_target}


def checked(request: Request, outputs: Mapping[str, np.ndarray]) -> Arrays:
    """The outputs, those asked for in their dtypes and shapes; DeviceError (malformed) otherwise."""
    known = {**request.optional, **request.outputs}
    missing, extra = request.outputs.keys() - outputs.keys(), outputs.keys() - known.keys()
    if missing or extra:
        found = [str(name)[:60] for name in [*outputs][:8]]
        raise DeviceError("malformed", f"returned outputs {found}, expected {[*request.outputs]}")
    for name, array in outputs.items():
        dtype, shape = known[name]
        if array.dtype.name != dtype or array.shape != tuple(shape):
            found_row = f"{array.dtype.name} {list(array.shape)}"
            raise DeviceError("malformed", f"output {name!r} is {found_row}, expected {dtype} {list(shape)}")
    return dict(outputs)
