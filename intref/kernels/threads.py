"""One thread pool for all kernels: a kernel is a function of a range of rows, and rows are independent.

The compiled functions release the GIL. The pool belongs to the process that made it, so a forked child makes its own,
and callers on several Python threads share it: a task never submits another.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

GRAIN = 1 << 16  # elementary steps that are worth a thread: some tens of microseconds

Result = TypeVar("Result")
_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}
_chosen: list[int] = []


def set_threads(count: int) -> None:
    """Use this many threads, counting the caller's, from the next call on."""
    if count < 1:
        raise ValueError(f"threads must be at least 1, not {count}")
    _chosen[:] = [count]


def get_threads() -> int:
    """The threads in use: set_threads, else INTREF_THREADS, else the CPUs this process may run on."""
    if _chosen:
        return _chosen[0]
    asked = os.environ.get("INTREF_THREADS", "")
    if not asked:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not asked.isdecimal() or int(asked) < 1:
        raise ValueError(f"INTREF_THREADS must be a positive integer, not {asked!r}")
    return int(asked)


def _pool(workers: int) -> ThreadPoolExecutor:
    key = os.getpid(), workers
    pool = _pools.get(key)
    if pool is None:
        for stale in [*_pools]:
            _pools.pop(stale, None)  # its threads end once no caller holds it
        pool = _pools[key] = ThreadPoolExecutor(workers, thread_name_prefix="intref")
    return pool


def over_rows(task: Callable[[int, int], Result], rows: int, steps: int) -> list[Result]:
    """task(start, stop) over blocks that cover range(rows), at once; steps estimates the work of all rows together."""
    threads = get_threads()
    count = max(min(threads, rows, steps // GRAIN), 1)
    first, *others = [(rows * i // count, rows * (i + 1) // count) for i in range(count)]
    if not others:
        return [task(*first)]
    pool = _pool(threads - 1)
    waiting = [pool.submit(task, *block) for block in others]
    return [task(*first), *(result.result() for result in waiting)]
