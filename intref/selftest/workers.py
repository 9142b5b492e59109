"""The work of many ops on several cores: every op is scored by itself, in processes that share nothing."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from typing import NamedTuple

from intref.errors import FormatError
from intref.selftest.bench import Finding, check_devices
from intref.selftest.scoring import OpScore, score, score_vocabulary
from intref.vectors import Case

Work = Callable[[], "Scored"]


class Scored(NamedTuple):
    """What one op's cases find; nanoseconds: what that took."""

    score: OpScore
    findings: list[Finding]
    nanoseconds: int


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def of_op(name: str, given: Sequence[Case] | None = None, devices: bool = False) -> Scored:
    """The score of an op; given: other cases than its directed ones; devices: judge those that must fail, too."""
    begin = time.monotonic_ns()
    found = score(name, given)
    judged = check_devices(name, given) if devices else []
    return Scored(found, judged, time.monotonic_ns() - begin)


def of_vocabulary() -> Scored:
    """The score of all directed cases on the words that bodies are made of."""
    begin = time.monotonic_ns()
    return Scored(score_vocabulary(), [], time.monotonic_ns() - begin)


def work_of(names: Sequence[str], vocabulary: bool, devices: bool = False) -> dict[str, Work]:
    """The work of each op on its directed cases, and that of the vocabulary under an empty name."""
    work: dict[str, Work] = {name: partial(of_op, name, devices=devices) for name in names}
    return {**work, "": of_vocabulary} if vocabulary else work


def done(work: dict[str, Work], jobs: int) -> Iterator[tuple[str, Scored]]:
    """Each piece of work and what it found, as it ends; with more jobs than one the longest begin first."""
    if jobs <= 1:
        yield from ((name, piece()) for name, piece in work.items())
        return
    longest = _lengths()
    order = sorted(work, key=lambda name: -longest.get(name, 0))
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        running = {pool.submit(work[name]): name for name in order}
        for ended in as_completed(running):
            yield running[ended], ended.result()


def _lengths() -> dict[str, int]:
    """How long each op takes, as its published score has it: what survives runs on every case."""
    from intref.selftest import published

    try:
        rows = published()["ops"]
    except FormatError:
        rows = {}
    equivalent = {op: sum(row[kind]["equivalent"] for kind in ("mutants", "faults")) for op, row in rows.items()}
    return {"": 1 << 62, **{op: rows[op]["cases"] * (few + 99) for op, few in equivalent.items()}}
