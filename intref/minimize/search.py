"""The smallest call on which a device fails as it did: fewer elements, smaller values, plainer attributes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from intref.atomic import StrPath
from intref.comparison import compare
from intref.devices.device import TIMEOUT, Device, DeviceError, Request, Seconds, checked, open_device
from intref.devices.protocol import Arrays
from intref.errors import BoundError, SpecError, Unsupported
from intref.explain.hypotheses import Observation, explain_op
from intref.faults.variants import CHOICES, SLIPS, SLOW_CHOICES
from intref.golden import Package, read_golden
from intref.minimize.minimal import DIFFERS, Failure, Minimal
from intref.minimize.shrink import PASSES, Trial, size_of
from intref.ops import OPS
from intref.ops.op import Op
from intref.run import call
from intref.verify.bench import rows
from intref.verify.graph import node_ids

MAX_CALLS = 400  # of the device, after the failing case is found
MAX_HANGS = 40  # of them, where each failing one costs a whole timeout
AGAIN = 2  # calls after those, which repeat the smallest
MAX_CRASHES = 3  # failing cases of that kind, after which no more are asked
Progress = Callable[[int, int, str], None]
ALL_PARTS = (*CHOICES, *SLOW_CHOICES, *SLIPS)


@dataclass
class Minimizer:
    """One failing call of one device. limit: calls of the device."""

    device: Device
    op: Op
    limit: int = MAX_CALLS
    progress: Progress | None = None
    calls: int = 0
    known: dict[Any, bool] = field(default_factory=dict)

    def failure(self, trial: Trial) -> Failure | None:
        """How the device fails a call that keeps the contract; None if it answers right, or not at all."""
        golden = call(self.op.name, trial.tensors, trial.attrs)
        request = Request(
            f"minimize-{self.calls}", self.op.name, trial.tensors, self.op.complete(trial.attrs), rows(golden)
        )
        self.calls += 1
        if self.progress is not None:
            self.progress(min(self.calls, self.limit), self.limit, "calls")
        try:
            answer = self.device.call(request)
            made = None if answer is None else checked(request, answer)
        except DeviceError as error:
            return None if error.kind == "not_run" else Failure(error.kind, golden, None, error.detail)
        if made is None or all(np.array_equal(made[p], golden[p]) for p in golden):
            return None
        return Failure(DIFFERS, golden, made)

    def run(self, trial: Trial, first: Failure, origin: str) -> Minimal:
        """Make a failing call smaller until nothing that is tried still fails, or the limit is reached."""
        best, found = trial, first
        limit = min(self.limit, MAX_HANGS) if first.kind == "hung" else self.limit

        def attempt(smaller: Trial) -> bool:
            nonlocal best, found
            if self.calls >= limit or not self._allowed(smaller) or size_of(smaller, self.op) >= size_of(best, self.op):
                return False
            failed = self._same(smaller, first)
            if failed is not None:
                best, found = smaller, failed
            return failed is not None

        while self.calls < limit:
            before = best
            for shrink in PASSES:
                shrink(self.op, lambda: best, lambda: _first_wrong(found), attempt)
            if best is before:
                break
        count = sum(t.size for t in trial.tensors.values())
        finished, calls = self.calls < limit, self.calls
        repeats = all(self._fails_alike(best, found) for _ in range(AGAIN))
        return Minimal(self.op.name, origin, best, found, calls, limit, finished, count, repeats)

    def _fails_alike(self, trial: Trial, found: Failure) -> bool:
        """Whether a call fails as it did, with the same outputs where it gives any."""
        again = self.failure(trial)
        if again is None or again.kind != found.kind:
            return False
        before, now = found.dut or {}, again.dut or {}
        return all(np.array_equal(before[port], now[port]) for port in found.golden if port in before)

    def _predicted(self, trial: Trial, rules: frozenset[str]) -> bool:
        """Whether any of the rules differs from the reference on a call: else there is no need to ask the device."""
        golden = call(self.op.name, trial.tensors, trial.attrs)
        seen = Observation("", self.op, trial.tensors, self.op.complete(trial.attrs), golden, golden)
        seen.score(ALL_PARTS, only={*rules})
        return any(equal is not None and equal < seen.total for equal in seen.scores.values())

    def _allowed(self, trial: Trial) -> bool:
        try:
            self.op.check(trial.tensors, trial.attrs)
        except SpecError:
            return False
        return True

    def _same(self, trial: Trial, first: Failure) -> Failure | None:
        """The failure of a call, if it is of the first one's kind, and by one of its rules where it has any."""
        key = trial.key
        if key in self.known:
            return None  # what failed was taken: only what did not is met again
        self.known[key] = True
        try:
            if first.rules and not self._predicted(trial, first.rules):
                return None
            failed = self.failure(trial)
        except (SpecError, BoundError):
            return None
        if failed is None or failed.kind != first.kind:
            return None
        return explained(self.op, trial, failed, first.rules) if first.rules else failed


def explained(op: Op, trial: Trial, failed: Failure, rules: frozenset[str]) -> Failure | None:
    """The failure with those of the rules that explain it; None if none of them does."""
    seen = Observation("", op, trial.tensors, op.complete(trial.attrs), failed.golden, failed.dut or {})
    seen.score(ALL_PARTS, only={*rules})
    kept = frozenset(seen.reproducing())
    return replace(failed, rules=kept) if kept else None


def _first_wrong(found: Failure) -> tuple[str, tuple[int, ...]]:
    """Output and coordinates of the first mismatch; of the first element where the device gave none."""
    for port, t in (found.dut or {}).items():
        if (first := compare(t, found.golden[port])).differing:
            return port, first.first
    port, t = next(iter(found.golden.items()))
    return port, (0,) * t.ndim


@dataclass(frozen=True)
class _Candidate:
    id: str
    op: str
    trial: Trial
    golden: Mapping[str, np.ndarray]
    valid: Mapping[str, np.ndarray | None]


def minimize(
    path: StrPath,
    dut: str | Device,
    case: str | None = None,
    op: str | None = None,
    limit: int = MAX_CALLS,
    timeout: Seconds = TIMEOUT,
    memory: int | None = None,
    progress: Progress | None = None,
) -> Minimal | None:
    """The smallest call on which a device fails as it does on a case of a golden package; None if it fails none.

    The case: `case` by its id, a node of a model by its site or tensor; else of a model the first node (of `op`) that
    fails on golden inputs, of an op's package the smallest failing case, after all have been asked, so that what
    explains them all goes on holding. limit: calls of the device while shrinking, fewer of one that hangs.
    The smallest is asked for AGAIN times more: `repeats` says whether it always fails alike.
    SpecError if there is no such case; FormatError or Unsupported for a bad package or device.
    """
    package = read_golden(path)
    wanted = _wanted(package, case, op)
    with open_device(dut, timeout, memory) if isinstance(dut, str) else dut as device:
        found = _failing(device, wanted, package.model is not None, progress)
        if found is None:
            return None
        candidate, first = found
        return Minimizer(device, OPS[candidate.op], limit, progress).run(candidate.trial, first, candidate.id)


def _failing(
    device: Device, wanted: Sequence[_Candidate], at_first: bool, progress: Progress | None
) -> tuple[_Candidate, Failure] | None:
    """The case to start from; at_first: the first that fails, not the smallest."""
    failing: list[tuple[_Candidate, Failure]] = []
    seen: list[Observation] = []
    for i, candidate in enumerate(wanted):
        if progress is not None:
            progress(i + 1, len(wanted), "cases")
        work = Minimizer(device, OPS[candidate.op])
        failed = work.failure(candidate.trial)
        if failed is None or failed.dut is not None:
            seen.append(_observation(candidate, failed))
        if failed is not None and (failed.dut is None or seen[-1].differing):
            failing.append((candidate, failed))
        if (failing and at_first) or sum(one.kind != DIFFERS for _, one in failing) == MAX_CRASHES:
            break
    if not failing:
        return None
    candidate, failed = next((pair for pair in failing if pair[1].kind == DIFFERS), failing[0])
    if failed.kind != DIFFERS:
        return candidate, failed
    return candidate, replace(failed, rules=_rules(seen, next(one for one in seen if one.id == candidate.id)))


def _observation(candidate: _Candidate, failed: Failure | None) -> Observation:
    trial, dut = candidate.trial, candidate.golden if failed is None else failed.dut or {}
    return Observation(
        candidate.id, OPS[candidate.op], trial.tensors, trial.attrs, candidate.golden, dut, candidate.valid
    )


def _rules(seen: Sequence[Observation], start: Observation) -> frozenset[str]:
    """What explains all that was asked of the start's op, or a part with the start in it; nothing if nothing does."""
    found = explain_op(start.op.name, [one for one in seen if one.op is start.op])
    return frozenset(w for f in found.findings for w in f.rules if w in start.scores and start.reproduces(w))


def _wanted(package: Package, case: str | None, op: str | None) -> list[_Candidate]:
    """The calls that are asked, in this order."""
    found = [*_candidates(package)]
    if not found:
        raise Unsupported(f"{package.path}: no node's inputs and outputs are stored, so none can be asked by itself")
    named = [one for one in found if (case in (None, one.id)) and (op in (None, one.op, one.id))]
    if not named:
        names = ", ".join(dict.fromkeys(name for one in found for name in (one.op, one.id)))
        raise SpecError(f"{package.path}: there is no case or op {case or op!r}; there are {names[:200]}")
    return named if package.model else sorted(named, key=lambda one: one.trial.elements)


def _candidates(package: Package) -> Iterator[_Candidate]:
    if package.model is None:
        name = package.manifest["op"]
        for one in package.cases:
            yield _Candidate(one.id, name, _trial(name, one.inputs, one.attrs), one.outputs, {})
        return
    model, known, ids = package.model, package.available, node_ids(package.model)
    for i in package.judgeable():
        node = model.nodes[i]
        inputs = {port: known[name] for port, name in node.inputs.items()}
        golden = {port: known[name] for port, name in node.outputs.items()}
        valid = {port: package.valid(name) for port, name in node.outputs.items()}
        yield _Candidate(ids[i], node.op, _trial(node.op, inputs, model.attrs[i]), golden, valid)


def _trial(op: str, inputs: Arrays, attrs: dict[str, Any]) -> Trial:
    """Ports in the order of the op."""
    return Trial({port: inputs[port] for port in OPS[op].inputs}, attrs)
