"""Chunk after chunk of cases: asked, compared with the fast kernels, counted, and added to the digest."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np

from intref.comparison import compare
from intref.devices.device import Device, DeviceError, Request, checked
from intref.devices.pipe import parse_answer
from intref.devices.protocol import PIPE_HEADER
from intref.digest import digest
from intref.errors import FormatError
from intref.ops import OPS
from intref.run import execute
from intref.sweep.record import NOT_RUN, Failure, Sweep, Tally
from intref.tensorfile import shown
from intref.vectors.levels import numbered

CHUNK = 64  # cases between two states
EQUAL, DIFFERS, UNSUPPORTED, KERNEL = "equal", "differs", "unsupported", "kernel"
MAX_HANGS = 3  # in a row; after that a device is not asked again

Arrays = dict[str, np.ndarray]
Answers = Callable[[Request], Arrays | None]
Progress = Callable[[str, int, int], None]  # op, cases done, cases in all


def run_chunks(found: Sweep, answers: Answers, max_failures: int, progress: Progress | None) -> Iterator[None]:
    """Run chunk after chunk; each yield is a state worth keeping."""
    for op, tally in found.ops.items():
        size = found.task.size(op)
        while tally.done < size and len(found.failures) < max_failures:
            for number in range(tally.done, min(tally.done + CHUNK, size)):
                _case(found, tally, op, number, answers)
            tally.done = min(tally.done + CHUNK, size)
            if progress is not None:
                progress(op, tally.done, size)
            yield


def _case(found: Sweep, tally: Tally, op: str, number: int, answers: Answers) -> None:
    """Run one case, and add what came of it to the tally and to the digest."""
    identity, case = numbered(op, found.task.level, number, found.task.seed)
    attrs = OPS[op].check(case.tensors, case.attrs)
    golden = _expected(op, case.tensors, attrs, answers is kernels)
    request = Request(identity, op, case.tensors, attrs, {n: (t.dtype.name, t.shape) for n, t in golden.items()})
    kind, detail, made = _asked(request, golden, answers)
    if answers is not kernels and (kind == DIFFERS or number % CHUNK == 0):
        reference = execute(OPS[op], case.tensors, attrs, "reference")
        if digest(reference) != digest(golden):  # then it is the kernel that is wrong
            kind, detail = KERNEL, f"the fast kernel differs from the reference: {_outline(golden, reference)}"
    tally.elements += sum(t.size for t in golden.values())
    tally.equal += kind == EQUAL
    tally.unsupported += kind == UNSUPPORTED
    if kind not in (EQUAL, UNSUPPORTED):
        found.failures.append(Failure(op, number, identity, kind, detail))
    said = f"{found.digest} {identity} {digest(made) if made is not None else kind}"
    found.digest = hashlib.sha256(said.encode()).hexdigest()


def _expected(op: str, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any], by_reference: bool) -> Arrays:
    fast = not by_reference and find_spec("numba") is not None
    return execute(OPS[op], tensors, attrs, "fast" if fast else "reference")


def _asked(request: Request, golden: Arrays, answers: Answers) -> tuple[str, str, Arrays | None]:
    try:
        made = answers(request)
        made = None if made is None else checked(request, made)
    except DeviceError as error:
        return error.kind, error.detail, None
    if made is None:
        return UNSUPPORTED, "", None
    outline = _outline(made, golden)
    return (DIFFERS, outline, made) if outline else (EQUAL, "", made)


def _outline(made: Arrays, golden: Arrays) -> str:
    """Every output that differs, in words."""
    found = {port: compare(made[port], t) for port, t in golden.items()}
    return "; ".join(f"{port}: {d.count}, {d.sizes}, {d.place}" for port, d in found.items() if d.differing)


def kernels(request: Request) -> Arrays:
    """The fast kernels, as if they were a device."""
    return execute(OPS[request.op], request.inputs, request.attrs, "fast")


def patient(device: Device) -> Answers:
    """A device that is not asked again once it has hung several times in a row."""
    hangs = 0

    def answers(request: Request) -> Arrays | None:
        nonlocal hangs
        if hangs >= MAX_HANGS:
            raise DeviceError(NOT_RUN, f"the device did not answer {MAX_HANGS} times in a row and was not asked again")
        try:
            made = device.call(request)
        except DeviceError as error:
            hangs = hangs + 1 if error.kind == "hung" else 0
            raise
        hangs = 0
        return made

    return answers


def recorded(lines: Iterator[bytes]) -> Answers:
    """Answers read from lines, one for each request, behind the header."""
    first = next(lines, b"").decode("ascii", "backslashreplace").rstrip("\r\n")
    if first != PIPE_HEADER:
        raise FormatError(f"answers: expected a first line {PIPE_HEADER!r}, found {shown(first)}")

    def answers(request: Request) -> Arrays | None:
        line = next(lines, None)
        if line is None:
            raise DeviceError(NOT_RUN, "the answers ended before")
        try:
            identity, made = parse_answer(line.decode("ascii", "backslashreplace").rstrip("\r\n"))
        except ValueError as error:
            raise DeviceError("malformed", str(error)) from None
        if identity != request.id:
            raise DeviceError("malformed", f"answer to {shown(identity)}, expected one to {request.id!r}")
        return made

    return answers
