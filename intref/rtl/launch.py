"""A program between this process and another one; it starts quickly, with little of the standard library.

python launch.py tied PROGRAM [ARGUMENT...]     runs it, to be killed when the parent dies
python launch.py limited PROGRAM [ARGUMENT...]  runs it within half of the machine's memory
python launch.py guard FOLDER                   waits for the end of its input, a group of processes on each line;
                                                then kills the last of them and removes the folder
"""

import os
import signal
import sys


def kill_group(group: int) -> None:
    """Kill a group of processes, if it is still there."""
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def _run_tied(*words: str) -> None:
    import ctypes

    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    except (OSError, AttributeError):
        pass  # there is no such thing here
    os.execvp(words[0], words)


def _run_limited(*words: str) -> None:
    if sys.platform == "linux":
        import resource

        half = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
        resource.setrlimit(resource.RLIMIT_DATA, (half, half))
    os.execvp(words[0], words)


def _guard(folder: str) -> None:
    import shutil

    groups = sys.stdin.buffer.read().split()
    if groups and (last := int(groups[-1])):
        kill_group(last)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    if sys.argv[1] == "guard":
        _guard(sys.argv[2])
    else:
        (_run_tied if sys.argv[1] == "tied" else _run_limited)(*sys.argv[2:])
