"""A device on the bench: asked, compared, and every failure turned into one case."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from intref.comparison import compare
from intref.devices.device import Device, DeviceError, Request, checked
from intref.devices.protocol import Arrays
from intref.digest import digest
from intref.golden import Package
from intref.verify.explanation import explain, outline
from intref.verify.report import CRASHED, DIFFERS, EQUAL, NOT_RUN, UNSUPPORTED, Case

MAX_HANGS = 3  # in a row; after that a device is not asked again
Progress = Callable[[int, int, str], None]


def rows(arrays: Mapping[str, np.ndarray]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """name -> (dtype, shape)."""
    return {name: (array.dtype.name, array.shape) for name, array in arrays.items()}


class Bench:
    """A device and what has been found out about it: asks, compares, and turns every failure into a case."""

    def __init__(self, device: Device, path: str, package: Package, progress: Progress | None):
        self.device, self.path, self.package, self.progress = device, path, package, progress
        self.cases: list[Case] = []
        self.notes: list[str] = []
        self.flips: dict[str, dict[str, int]] = {}
        self.total = 0
        self._hangs = 0

    def ask(self, request: Request) -> Arrays | None:
        """The device's outputs, right in names, dtypes and shapes; None if unsupported; DeviceError if it failed."""
        if self._hangs >= MAX_HANGS:
            raise DeviceError(NOT_RUN, f"the device did not answer {MAX_HANGS} times in a row and was not asked again")
        try:
            made = self.device.call(request)
        except DeviceError as error:
            self._hangs = self._hangs + 1 if error.kind == "hung" else 0
            raise
        self._hangs = 0
        return None if made is None else checked(request, made)

    def judge(
        self, request: Request, mode: str, golden: Arrays, valid: Mapping[str, Any] | None = None
    ) -> Arrays | None:
        """Ask and record the case; the device's outputs if there are any."""
        try:
            made = self.ask(request)
        except DeviceError as error:
            self.failed(request.id, request.op, mode, error)
            return None
        if made is None:
            self.record(Case(request.id, request.op, mode, UNSUPPORTED))
        else:
            self.compared(request, mode, golden, made, valid or {})
        return made

    def failed(self, identity: str, op: str, mode: str, error: DeviceError) -> None:
        verdict = NOT_RUN if error.kind == NOT_RUN else CRASHED
        self.record(Case(identity, op, mode, verdict, error.detail, "" if verdict == NOT_RUN else error.kind))

    def compared(
        self, request: Request, mode: str, golden: Arrays, made: Arrays, valid: Mapping[str, Any], local: bool = True
    ) -> bool:
        """Record the comparison of a device's outputs; whether they are equal.

        local: the request's inputs are golden's, so that a difference is the op's own and can be explained.
        """
        counts = {p: compare(t, golden[p], valid.get(p)) for p, t in made.items()}
        compared, differing = (sum(getattr(d, k) for d in counts.values()) for k in ("compared", "differing"))
        case = Case(request.id, request.op, mode, EQUAL, compared=compared, differing=differing, sha256=digest(made))
        if differing:
            self.record(self._different(case, request, golden, made, valid, local))
        elif not compared:
            self.record(replace(case, verdict=NOT_RUN, detail="no element of the outputs is in the valid region"))
        else:
            self.record(case)
        return not differing

    def _different(
        self, case: Case, request: Request, golden: Arrays, made: Arrays, valid: Mapping[str, Any], local: bool
    ) -> Case:
        describe = explain if local else outline
        found = describe(request.op, request.inputs, request.attrs, golden, made, valid)
        first, (count, *more) = found.difference, found.lines
        profile = self.package.manifest.get("profile")
        origin = f"profile {profile}, op {case.op}" if profile else f"op {case.op}"
        if local:
            more.append(f"replay: intref step {self.path} --op {case.id} --at {','.join(map(str, first.first))}")
        return replace(
            case,
            verdict=DIFFERS,
            detail=count,
            lines=(f"{case.id} ({origin}): {count}", *more),
            max_abs=first.max_abs,
            port=found.port,
            rules=found.rules,
            also=found.also,
            first=first.first,
            dut=first.dut,
            golden=first.golden,
        )

    def record(self, case: Case) -> None:
        self.cases.append(case)
        if self.progress is not None:
            self.progress(len(self.cases), max(self.total, len(self.cases)), case.id)
