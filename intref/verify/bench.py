"""A device on the bench: asked, compared, and every failure turned into one case."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from shlex import quote
from typing import Any

import numpy as np

from intref.comparison import compare
from intref.devices.device import Device, DeviceError, Request, checked
from intref.devices.protocol import Arrays
from intref.digest import digest
from intref.explain.explanation import OpExplanation, explain, explain_cases, outline
from intref.explain.hypotheses import Observation
from intref.golden import Package
from intref.ops import OPS
from intref.report.cases import CRASHED, DIFFERS, EQUAL, NOT_RUN, UNSUPPORTED, Case
from intref.report.picture import picture

MAX_HANGS = 3  # in a row; after that a device is not asked again
ASKED_AGAIN = 12  # wrong answers of a package, the first, that are asked for twice
PICTURED = 12  # differing cases of one mode, the first, that are drawn in a report
Progress = Callable[[int, int, str], None]


def rows(arrays: Mapping[str, np.ndarray]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """name -> (dtype, shape)."""
    return {name: (array.dtype.name, array.shape) for name, array in arrays.items()}


class Bench:
    """A device and what has been found out about it: asks, compares, and turns every failure into a case."""

    def __init__(self, device: Device, package: Package, progress: Progress | None):
        self.device, self.package, self.progress = device, package, progress
        self.cases: list[Case] = []
        self.notes: list[str] = []
        self.flips: dict[str, dict[str, int]] = {}
        self.total = 0
        self.seen: dict[str, dict[str, Observation]] = {}  # op -> id -> what was answered to golden's own inputs
        self._hangs = self._asked_again = 0
        self._pictured: Counter[str] = Counter()

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
            self._check_steady(request, golden, made)
        except DeviceError as error:
            self.failed(request.id, request.op, mode, error)
            return None
        if made is None:
            self.refused(request, mode)
        else:
            self.compared(request, mode, golden, made, valid or {})
        return made

    def _check_steady(self, request: Request, golden: Arrays, made: Arrays | None) -> None:
        """DeviceError if a wrong answer is another one when asked for again: no rule explains it."""
        wrong = made is not None and any((made[port] != golden[port]).any() for port in made)
        if made is None or not wrong or self.device.recorded or self._asked_again >= ASKED_AGAIN:
            return
        self._asked_again += 1
        again = self.ask(request)
        for port, tensor in made.items():
            other = None if again is None else again[port]
            if other is None or (other != tensor).any():
                at = "" if other is None else f" at {[int(i) for i in np.argwhere(other != tensor)[0]]}"
                raise DeviceError("malformed", f"gave two results for the same call: output {port!r}{at}")

    def refused(self, request: Request, mode: str) -> None:
        """Record a case that the device does not support, with its reason if it gives one."""
        self.record(Case(request.id, request.op, mode, UNSUPPORTED, self.device.refusal(request)))

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
        if local and compared and not differing:
            same = {port: golden[port] for port in made}
            known = Observation(request.id, OPS[request.op], request.inputs, request.attrs, golden, same, valid)
            self.seen.setdefault(request.op, {}).setdefault(request.id, known)
        return not differing

    def _likely(self, op: str) -> set[str]:
        """The rules that explained another case of an op."""
        return {words for seen in self.seen.get(op, {}).values() for words in seen.reproducing() if seen.differing}

    def explained(self) -> tuple[OpExplanation, ...]:
        """What explains each op that differs anywhere on golden's own inputs, over all its cases together."""
        found = {op: [*seen.values()] for op, seen in self.seen.items()}
        return tuple(explain_cases(op, seen) for op, seen in found.items() if any(one.differing for one in seen))

    def _different(
        self, case: Case, request: Request, golden: Arrays, made: Arrays, valid: Mapping[str, Any], local: bool
    ) -> Case:
        told = request.op, request.inputs, request.attrs, golden, made, valid
        found = explain(*told, self._likely(request.op)) if local else outline(*told)
        first, (count, *more) = found.difference, found.lines
        if found.seen is not None:
            self.seen.setdefault(request.op, {}).setdefault(request.id, replace(found.seen, id=request.id))
        profile = self.package.manifest.get("profile")
        origin = f"profile {profile}, op {case.op}" if profile else f"op {case.op}"
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
            replay=self._replay(case, found.port, first.first) if local else "",
            picture=self._picture(case.mode, made[found.port], golden[found.port], valid.get(found.port), request),
        )

    def _replay(self, case: Case, port: str, first: tuple[int, ...]) -> str:
        """The arguments of intref step that show one element; the port where the op has several."""
        several = case.op in OPS and len(OPS[case.op].outputs) > 1
        chosen = f" --output {quote(port)}" if several else ""
        return f"--op {quote(case.id)} --at {','.join(map(str, first)) or quote('')}{chosen}"

    def _picture(
        self, mode: str, made: np.ndarray, golden: np.ndarray, valid: np.ndarray | None, request: Request
    ) -> dict[str, Any]:
        """Of the first differing cases of a mode; of the others, an empty one."""
        self._pictured[mode] += 1
        return picture(made, golden, valid, request.attrs) if self._pictured[mode] <= PICTURED else {}

    def record(self, case: Case) -> None:
        self.cases.append(case)
        if self.progress is not None:
            self.progress(len(self.cases), max(self.total, len(self.cases)), case.id)
