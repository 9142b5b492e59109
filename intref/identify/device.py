"""All ops of one device, one after the other."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from intref.devices.device import TIMEOUT, Device, DeviceError, Request, Seconds, checked, open_device
from intref.errors import SpecError, near
from intref.identify.findings import AS_REFERENCE, OpIdentified
from intref.identify.interview import Answer
from intref.identify.pool import Question, directed
from intref.identify.questions import CONFIRM, identified
from intref.ops import OPS

MAX_CALLS = 250  # of one op
CALLS = "calls of the op"  # what progress counts within one
MAX_HANGS = 3  # in a row; after that a device is not asked again
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Identified:
    """What a device is. dut: its spec. ops: in the order of the op table."""

    dut: str
    ops: tuple[OpIdentified, ...]

    @property
    def known(self) -> bool:
        """Whether every op that it supports does what is known."""
        return all(one.known for one in self.ops if one.found or one.failure)

    @property
    def usable(self) -> bool:
        """Whether any op was answered, and not given up: without one there is nothing to make a profile of."""
        return any(one.usable for one in self.ops)

    @property
    def different(self) -> tuple[OpIdentified, ...]:
        """The ops that do not do as the reference."""
        return tuple(one for one in self.ops if any(found.words[0] != AS_REFERENCE for found in one.found))

    @property
    def lines(self) -> tuple[str, ...]:
        """For people: a line per op that was answered, then one for all that were not."""
        told = [one for one in self.ops if one.found or one.failure]
        lines = [f"{one.op}: {one.text} {one.effort}" for one in told]
        absent = [one.op for one in self.ops if not one.found and not one.failure]
        return (*lines, *([f"not supported: {', '.join(absent)}"] if absent else []))

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "dut": self.dut,
            "known": self.known,
            "queries": sum(one.asked + one.checked for one in self.ops),
            "unsupported": [one.op for one in self.ops if not one.found and not one.failure],
            "different": [one.op for one in self.different],
            "ops": [one.plain() for one in self.ops],
        }


def identify(
    dut: str | Device,
    ops: Iterable[str] | None = None,
    limit: int = MAX_CALLS,
    confirm: int = CONFIRM,
    timeout: Seconds = TIMEOUT,
    memory: int | None = None,
    progress: Progress | None = None,
) -> Identified:
    """Ask a device what it is: of each op, which hypothesis of the catalogue answers as it does.

    ops: names, None: all. limit: calls per op, to find out. confirm: of them, after the last that split anything; all
    directed cases come after those, to confirm what was found. timeout: seconds per call. progress(done, total, op),
    and within an op (calls, at most, CALLS). SpecError for an unknown op; FormatError or Unsupported for a bad device.
    """
    names = list(OPS) if ops is None else list(dict.fromkeys(ops))
    for name in names:
        if name not in OPS:
            raise SpecError(f"{name}: there is no such op, {near(name, OPS)} (C1)")
    found = []
    spec = dut if isinstance(dut, str) else type(dut).__name__
    with open_device(dut, timeout, memory) if isinstance(dut, str) else dut as device:
        asked = _Asked(device, progress)
        for i, name in enumerate(names):
            if progress is not None:
                progress(i, len(names), name)
            pool = directed(name)
            found.append(identified(name, pool, asked.of(name, limit + len(pool)), limit, confirm))
    if progress is not None:
        progress(len(names), len(names), "")
    return Identified(spec, tuple(found))


class _Asked:
    """A device that is not asked again once it hangs."""

    def __init__(self, device: Device, progress: Progress | None):
        self.device, self.progress, self.hangs = device, progress, 0

    def of(self, op: str, most: int) -> Callable[[Question], Answer]:
        """What asks for one op; most: calls, about."""
        calls = 0

        def ask(question: Question) -> Answer:
            nonlocal calls
            calls += 1
            if self.progress is not None:
                self.progress(min(calls, most), most, CALLS)
            rows = {port: (t.dtype.name, t.shape) for port, t in question.golden.items()}
            return self._answer(Request(question.id, op, question.tensors, question.attrs, rows))

        return ask

    def _answer(self, request: Request) -> Answer:
        if self.hangs >= MAX_HANGS:
            raise DeviceError("not_run", f"the device hung {MAX_HANGS} times in a row and was not asked again")
        try:
            made = self.device.call(request)
        except DeviceError as error:
            self.hangs = self.hangs + 1 if error.kind == "hung" else 0
            raise
        self.hangs = 0
        return None if made is None else checked(request, made)
