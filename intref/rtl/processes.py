"""Processes that do not outlive this one: simulators, compilers under limits, and the folder they share."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from intref.rtl import launch
from intref.rtl.launch import kill_group

LAUNCH = (sys.executable, "-I", "-S", launch.__file__)
SHOWN = 1 << 20  # bytes of what a compiler says


def tied(words: Sequence[str]) -> list[str]:
    """The command line that runs a command until it ends or its parent dies."""
    return [*LAUNCH, "tied", *words]


class Workplace:
    """A temporary folder, and the compilers that run in it. However this process ends, a guard of its own then ends
    them and removes the folder."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="intref-"))
        self._guard = subprocess.Popen(
            [*LAUNCH, "guard", str(self.folder)],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def run(self, words: Sequence[str], seconds: int) -> tuple[int | None, str]:
        """Run a compiler in the folder: its exit status, None if it did not end in time, and what it said."""
        with open(self.folder / "said.txt", "w+b") as said:
            child = subprocess.Popen(
                [*LAUNCH, "limited", *words],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._tell_guard(child.pid)
            try:
                status: int | None = child.wait(seconds)
            except subprocess.TimeoutExpired:
                status = None
            finally:
                kill_group(child.pid)
                child.wait()
                self._tell_guard(0)
            said.seek(0)
            return status, said.read(SHOWN).decode("utf-8", "replace")

    def _tell_guard(self, group: int) -> None:
        with suppress(BrokenPipeError):
            self._guard.stdin.write(b"%d\n" % group)  # type: ignore[union-attr]

    def close(self) -> None:
        """Remove the folder."""
        self._guard.stdin.close()  # type: ignore[union-attr]
        self._guard.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
