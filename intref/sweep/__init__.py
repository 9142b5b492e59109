"""A device, or the fast kernels, over a whole level of cases: in chunks, resumable, with one digest over everything.

The state after each chunk is a small file; a sweep that was killed goes on from it and ends in the same digest as one
that was not. A failing case is known by its number: it is made again when it is wanted as a golden package.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

from intref.atomic import StrPath
from intref.devices.device import Request, Seconds, open_device
from intref.errors import FormatError, SpecError
from intref.golden import write_op_golden
from intref.ops import OPS
from intref.sweep.chunks import kernels, patient, recorded, run_chunks
from intref.sweep.record import KERNELS, Failure, Sweep, Tally, Task, begun
from intref.vectors.case import Case
from intref.vectors.levels import numbered

__all__ = ["KERNELS", "Failure", "Sweep", "Tally", "Task", "judge_answers", "requests", "sweep", "write_failures"]

Progress = Callable[[str, int, int], None]  # op, cases done, cases in all


def sweep(
    task: Task,
    state: StrPath | None = None,
    max_failures: int = 10,
    timeout: Seconds = 30,
    memory: int | None = None,
    progress: Progress | None = None,
) -> Sweep:
    """Run a task from where its state stands; without a device the kernels are compared with the reference.

    state: a file that is read if it is there and written after each chunk. It stops after the chunk with the
    max_failures-th failure. FormatError for a state of another task, and for a device that there is not.
    """
    found = begun(task, state)
    with nullcontext() if task.dut == KERNELS else open_device(task.dut, timeout, memory) as device:
        answers = kernels if device is None else patient(device)
        for _ in run_chunks(found, answers, max_failures, progress):
            if state is not None:
                found.save(state)
    return found


def judge_answers(
    task: Task, lines: Iterable[bytes], max_failures: int = 10, progress: Progress | None = None
) -> Sweep:
    """Judge answer lines (of a pipe, a file) to the requests of one op, in order. FormatError for a bad header."""
    if len(task.ops) != 1:
        raise SpecError(f"answers are to one op, not to {len(task.ops)}")
    found = begun(task, None)
    rest = iter(lines)
    for _ in run_chunks(found, recorded(rest), max_failures, progress):
        pass
    if found.complete and next(rest, None) is not None:
        raise FormatError(f"answers: expected {found.cases}, found more: are level, seed and count the same?")
    return found


def write_failures(found: Sweep, folder: StrPath) -> list[str]:
    """A golden package for each op that failed, with the failing cases alone, in folder; the paths of them."""
    paths = []
    for op in dict.fromkeys(failure.op for failure in found.failures):
        Path(folder).mkdir(parents=True, exist_ok=True)
        numbers = [f.number for f in found.failures if f.op == op]
        paths.append(write_op_golden(op, Path(folder).joinpath(op), _again(found.task, op, numbers)))
    return paths


def requests(task: Task) -> Iterator[Request]:
    """The requests of a task, whose outputs the asker does not know."""
    for op in task.ops:
        for number in range(task.size(op)):
            identity, case = numbered(op, task.level, number, task.seed)
            yield Request(identity, op, case.tensors, OPS[op].complete(case.attrs), {})


def _again(task: Task, op: str, numbers: Sequence[int]) -> Iterator[Case]:
    for number in numbers:
        identity, case = numbered(op, task.level, number, task.seed)
        yield case._replace(why=f"{identity}: {case.why}")
