"""Devices that are programs reading and writing lines of text; the format is in `golden/devices.md`."""

import shlex
import shutil
from collections.abc import Iterable, Iterator

from intref.devices.child import Child, DeviceError
from intref.devices.device import Device, Request
from intref.devices.protocol import PIPE_HEADER, Arrays, attribute_text, parse_tensor, tensor_text
from intref.errors import FormatError


def request_line(request: Request, identity: str) -> str:
    """A request as one line, without its end."""
    attrs = [f"{name}={attribute_text(value)}" for name, value in request.attrs.items()]
    return " ".join([identity, request.op, *attrs, *(tensor_text(n, t) for n, t in request.inputs.items())])


def request_lines(requests: Iterable[Request]) -> Iterator[str]:
    """The request side of `requests | device | answers`: header and lines, each with its end."""
    yield PIPE_HEADER + "\n"
    for request in requests:
        yield request_line(request, request.id) + "\n"


def parse_answer(line: str) -> tuple[str, Arrays | None]:
    """(id, outputs by name, or None for unsupported); ValueError, saying why, for any other line."""
    identity, *fields = line.split(" ")
    if not identity or not fields:
        raise ValueError(f"answer {line[:60]!r} is not 'ID output=...' or 'ID unsupported'")
    if fields == ["unsupported"]:
        return identity, None
    tensors = [parse_tensor(field) for field in fields]
    if len(dict(tensors)) < len(tensors):
        raise ValueError(f"answer {line[:60]!r} names an output twice")
    return identity, dict(tensors)


def program(spec: str, command: str) -> list[str]:
    """A command line as its words; FormatError if its program does not exist."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise FormatError(f"dut {spec}: cannot be read: {error}") from None
    if not words or shutil.which(words[0]) is None:
        raise FormatError(f"dut {spec}: expected a program {words[0] if words else ''!r}, found none")
    return words


class PipeDevice(Device):
    """One process for all calls, started again after a call that killed it."""

    def __init__(self, spec: str, command: str, timeout: float, memory: int | None):
        self.spec, self.timeout, self.memory = spec, timeout, memory
        self._words = program(spec, command)
        self._child: Child | None = None
        self._calls = 0

    def call(self, request: Request) -> Arrays | None:
        self._calls += 1
        identity = str(self._calls)
        line = request_line(request, identity) + "\n"
        try:
            answer = self._exchange(line.encode("ascii", "backslashreplace"), 2 * request.limit)
            found, outputs = parse_answer(answer)
            if found != identity:
                raise ValueError(f"answer to {found[:60]!r}, expected one to {identity!r}")
        except DeviceError as error:
            self.close()
            if error.kind == "hung":
                raise DeviceError("hung", f"{error.detail}; does it flush after every line?") from None
            raise
        except ValueError as error:
            self.close()
            raise DeviceError("malformed", str(error)) from None
        return outputs

    def _exchange(self, line: bytes, limit: int) -> str:
        lines = 1
        if self._child is None:
            self._child = Child(self._words, self.memory)
            line, lines = PIPE_HEADER.encode() + b"\n" + line, 2
        got = self._child.exchange(line, lambda reply: reply.count(b"\n") >= lines, self.timeout, limit)
        *answers, rest = got.decode("ascii", "backslashreplace").split("\n")
        answers = [answer.rstrip("\r") for answer in answers]
        if lines == 2 and answers[0] != PIPE_HEADER:
            raise ValueError(f"first line {answers[0][:60]!r}, expected {PIPE_HEADER!r}")
        if rest or len(answers) != lines:
            raise ValueError(f"more than one line in answer to one request: {(rest or answers[-1])[:60]!r}")
        return answers[-1]

    def close(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None
