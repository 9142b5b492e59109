"""Times that a noisy machine does not spoil: what is compared runs in turn, in one process, and the best counts.

One thread: CPU time of the calling thread, which another process cannot take. More threads: wall time, in blocks that
begin only while the rest of the machine is quiet (thread pools of the last candidate spin for some milliseconds).
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

QUIET = 0.06  # of all CPUs busy, above which a block waits
BLOCK = 0.05  # seconds of a block
PATIENCE = 25  # blocks of waiting for quiet, after which it is measured all the same


@dataclass(frozen=True)
class Time:
    """Seconds of one call: the best, and the median of all; noisy: how many blocks began in noise."""

    best: float
    median: float
    calls: int
    noisy: int = 0


def measure(candidates: Mapping[str, Callable[[], object]], threads: int, seconds: float) -> dict[str, Time]:
    """Name -> time of a call, from about so many seconds for each."""
    for call in candidates.values():
        call()
        call()
    taken: dict[str, list[float]] = {name: [] for name in candidates}
    noisy = dict.fromkeys(candidates, 0)
    clock = time.thread_time if threads == 1 else time.perf_counter
    end = time.perf_counter() + seconds * len(candidates)
    while time.perf_counter() < end or min(map(len, taken.values())) < 5:
        for name, call in candidates.items():
            noisy[name] += threads > 1 and not any(busy() < QUIET for _ in range(PATIENCE))
            taken[name] += _block(call, clock)
    return {name: _summary(values, noisy[name]) for name, values in taken.items()}


def _block(call: Callable[[], object], clock: Callable[[], float]) -> Iterator[float]:
    """Times of calls, one after the other, for a block."""
    end = time.perf_counter() + BLOCK
    call()
    while True:
        begin = clock()
        call()
        yield clock() - begin
        if time.perf_counter() >= end:
            return


def _summary(values: list[float], noisy: int) -> Time:
    ordered = sorted(values)
    return Time(ordered[0], ordered[len(ordered) // 2], len(ordered), noisy)


def busy(seconds: float = 0.04) -> float:
    """The part of all CPUs that anything ran on while this process slept; 0 where the system does not say."""
    if not Path("/proc/stat").exists():
        time.sleep(seconds)
        return 0.0
    before = _ticks()
    time.sleep(seconds)
    used, total = (after - first for after, first in zip(_ticks(), before))
    return used / max(total, 1)


def _ticks() -> tuple[int, int]:
    fields = [int(v) for v in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    idle = fields[3] + fields[4]
    return sum(fields) - idle, sum(fields)
