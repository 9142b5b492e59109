"""What a sweep is asked, what it has found, and the file in which it keeps both between chunks."""

import hashlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from intref import __version__
from intref.atomic import StrPath, write_atomically
from intref.errors import FormatError
from intref.model import SPEC_VERSION
from intref.modelfile import canonical
from intref.ops import OPS
from intref.report.facts import file_hash
from intref.tensorfile import opened, parse_json, shown
from intref.vectors.levels import count as level_size

SCHEMA, KIND = 1, "sweep"
NOT_RUN = "not_run"
KERNELS = "the fast kernels"


@dataclass(frozen=True)
class Failure:
    """A case that went wrong. number: of its level. kind: differs, kernel, not_run, or how the device failed."""

    op: str
    number: int
    id: str
    kind: str
    detail: str


@dataclass
class Tally:
    """What has happened to the cases of one op."""

    done: int = 0
    elements: int = 0
    equal: int = 0
    unsupported: int = 0


@dataclass(frozen=True)
class Task:
    """What is swept: all that a state must agree with. count: cases of each op at most, None: the whole level."""

    ops: tuple[str, ...]
    level: int
    seed: int = 0
    dut: str = KERNELS
    count: int | None = None

    def size(self, op_name: str) -> int:
        """How many cases of an op are run."""
        whole = level_size(op_name, self.level)
        return whole if self.count is None else min(whole, self.count)

    def facts(self) -> dict[str, Any]:
        """The task and what it depends on, as plain data."""
        versions = {op: OPS[op].version for op in self.ops}
        made_by = {"intref": __version__, "spec": SPEC_VERSION, "versions": versions, "dut_sha256": file_hash(self.dut)}
        return {**asdict(self), "ops": [*self.ops], **made_by}


@dataclass
class Sweep:
    """What a sweep has found so far. digest: a chain over the ids and outputs of all cases, in order."""

    task: Task
    ops: dict[str, Tally]
    failures: list[Failure] = field(default_factory=list)
    digest: str = hashlib.sha256(b"").hexdigest()

    @property
    def cases(self) -> int:
        return sum(tally.done for tally in self.ops.values())

    @property
    def complete(self) -> bool:
        """Whether every case was run."""
        return all(tally.done == self.task.size(op) for op, tally in self.ops.items())

    @property
    def exit_code(self) -> int:
        """1 if a case went wrong, 3 if one did not run or is not supported, else 0."""
        if any(failure.kind != NOT_RUN for failure in self.failures):
            return 1
        everything = self.complete and self.cases and not self.failures
        return 0 if everything and not any(tally.unsupported for tally in self.ops.values()) else 3

    def json(self) -> dict[str, Any]:
        """Plain data; the same bytes in canonical JSON, however often the sweep was interrupted."""
        return {
            "schema": SCHEMA,
            "kind": KIND,
            "task": self.task.facts(),
            "ops": {op: asdict(tally) for op, tally in self.ops.items()},
            "failures": [asdict(failure) for failure in self.failures],
            "digest": self.digest,
        }

    def save(self, path: StrPath) -> None:
        """Write the state, whole or not at all."""
        write_atomically(path, (canonical(self.json()) + "\n").encode())


def begun(task: Task, state: StrPath | None) -> Sweep:
    """A sweep of the task, from where its state stands. FormatError for a state of another task."""
    found = Sweep(task, {op: Tally() for op in task.ops})
    for op in task.ops:
        task.size(op)  # SpecError before anything runs
    if state is None or not Path(state).exists():
        return found
    with opened(state) as file:
        read = parse_json(Path(state), file.read(), "state")
    _check(state, read, found.json())
    try:
        found.ops = {op: Tally(**read["ops"][op]) for op in task.ops}
        found.failures = [Failure(**row) for row in read["failures"]]
        found.digest = bytes.fromhex(read["digest"]).hex()
    except (KeyError, TypeError, ValueError):
        raise FormatError(f"{state}: expected the state of a sweep, found something else in its place") from None
    if not all(_plausible(tally, task.size(op)) for op, tally in found.ops.items()):
        raise FormatError(f"{state}: expected counts of at most the task's cases, found others")
    if not all(_known(failure, task) for failure in found.failures):
        raise FormatError(f"{state}: expected failures of the task's cases, found others")
    return found


def _plausible(tally: Tally, size: int) -> bool:
    counts = [*asdict(tally).values()]
    return all(type(count) is int and count >= 0 for count in counts) and tally.done <= size


def _known(failure: Failure, task: Task) -> bool:
    texts = (failure.op, failure.id, failure.kind, failure.detail)
    if not all(isinstance(text, str) for text in texts) or failure.op not in task.ops:
        return False
    return type(failure.number) is int and 0 <= failure.number < task.size(failure.op)


def _check(state: StrPath, read: dict[str, Any], wanted: dict[str, Any]) -> None:
    if (read.get("schema"), read.get("kind")) != (SCHEMA, KIND) or not isinstance(read.get("task"), dict):
        raise FormatError(f"{state}: expected the state of a sweep, schema {SCHEMA}, found something else")
    for key, value in wanted["task"].items():
        if read["task"].get(key) != value:
            raise FormatError(
                f"{state}: the state of another sweep: expected {key} {shown(value)}, found "
                f"{shown(read['task'].get(key))}; another --state, or none, starts anew"
            )
