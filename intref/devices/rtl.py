"""Devices that are RTL: a unit of SystemVerilog under Icarus or Verilator, behind a bench that serves calls.

The unit is compiled once, into a directory that lives as long as the device, however this process ends. The simulation
runs on from call to call, without a reset between, so that what a call leaves behind in the unit meets the next one;
after a call that went wrong it is started anew.
"""

import shlex

import numpy as np

from intref.devices.child import Child, DeviceError
from intref.devices.device import TIMEOUT, Device, Request, Seconds
from intref.devices.protocol import Arrays
from intref.errors import IntrefError
from intref.rtl import simulators
from intref.rtl.beats import Call, encode, layout, width
from intref.rtl.processes import Workplace, tied
from intref.rtl.testbench import TOP, server
from intref.rtl.unit import Unit

ENDS = (b"done ", b"stuck ", b"unknown ")


class RtlDevice(Device):
    """A unit description (see `intref.rtl.description`) under a simulator; the op and cases it is not built for are not
    supported. An output that is x or z is malformed; under Verilator, which knows neither, so is one that depends on
    what the registers held at the start."""

    def __init__(self, spec: str, kind: str, unit: Unit, timeout: Seconds = TIMEOUT, memory: int | None = None):
        self.spec, self.unit, self.timeout, self.memory = spec, unit, timeout, memory
        self._place = Workplace()
        try:
            self._sha256 = unit.sha256()
            seconds = max(simulators.BUILD_TIMEOUT, int(timeout))
            self._commands = simulators.build(kind, unit, server(unit), TOP, self._place, seconds)
        except BaseException as error:
            self._place.close()
            if isinstance(error, IntrefError):
                raise type(error)(f"dut {spec}: {error}") from None
            raise
        self._children: list[Child] = []
        self._restart = True

    def reset(self) -> None:
        """Reset the unit before the next call."""
        self._restart = True

    def refusal(self, request: Request) -> str:
        return self.unit.refusal(request.op, request.inputs, request.attrs)

    @property
    def sha256(self) -> str:
        return self._sha256

    def call(self, request: Request) -> Arrays | None:
        if self.refusal(request):
            return None
        call = encode(self.unit, request.inputs, request.attrs)
        head = f"{call.setting:x} {int(self._restart)} {len(call.beats)} {call.results}\n"
        text = head + "".join(f"{beat:x}\n" for beat in call.beats)
        try:
            if not self._children:
                self._children = [self._start(command) for command in self._commands]
            made = [self._outputs(child, text.encode(), call, request) for child in self._children]
            _check_steady(made)
        except DeviceError:
            self._stop()
            raise
        self._restart = False
        return made[0]

    def _start(self, command: list[str]) -> Child:
        # The numbers of the channel's descriptors come last in argv.
        script = f'exec {shlex.join(command)} "+requests=/dev/fd/$1" "+answers=/dev/fd/$2"'
        return Child(tied(["sh", "-c", script, "sh"]), self.memory, "own")

    def _outputs(self, child: Child, data: bytes, call: Call, request: Request) -> Arrays:
        limit = (call.results + 2) * (width(layout(self.unit).result) + 1) + (1 << 16)
        text = child.exchange(data, _ended, self.timeout, limit).decode("ascii", "replace")
        *words, last = text.splitlines()
        status, sent, came = last.split()
        beats = f"{sent} of {len(call.beats)} beats taken, {came} of {call.results} results given"
        if status == "unknown":
            raise DeviceError("malformed", f"x or z on valid or ready: {beats}")
        if int(came) > call.results:
            raise DeviceError("malformed", f"gave more results than beats: {beats}")
        if status == "stuck":
            raise DeviceError("hung", f"no progress in {self.unit.patience} clocks: {beats}")
        try:
            return call.outputs(words, request.outputs)
        except ValueError as error:
            raise DeviceError("malformed", str(error)) from None

    def _stop(self) -> None:
        for child in self._children:
            child.close()
        self._children, self._restart = [], True

    def close(self) -> None:
        self._stop()
        self._place.close()


def _ended(reply: bytearray) -> bool:
    """Whether the last line is there, whole."""
    return reply.endswith(b"\n") and reply[reply.rfind(b"\n", 0, -1) + 1 :].startswith(ENDS)


def _check_steady(made: list[Arrays]) -> None:
    for other in made[1:]:
        for name, first in made[0].items():
            where = np.argwhere(first != other[name])
            if len(where):
                at = tuple(int(i) for i in where[0])
                raise DeviceError(
                    "malformed",
                    f"gave two results for the same call: output {name!r} at {list(at)} is {int(first[at])} or "
                    f"{int(other[name][at])}, by what registers held at the start",
                )
