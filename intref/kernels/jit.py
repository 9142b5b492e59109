"""njit with a disk cache that no stale constant survives.

numba's cache sees only the file of the function itself; ours lives in a directory named by the hash of all kernel
sources and by the instructions that `isa.py` chose, below NUMBA_CACHE_DIR or ~/.cache/intref. numba.config is put back:
the user's own functions keep their cache. Where that directory cannot be written, functions are compiled anew in every
process.
"""

# numba is typed in part.
# mypy: allow-untyped-calls

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache

from intref.kernels.isa import ISA


def _cache_directory() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    root = os.environ.get("NUMBA_CACHE_DIR") or os.path.expanduser("~/.cache/intref")
    return os.path.join(root, f"{digest.hexdigest()[:16]}-{ISA}")


def _writable(directory: str) -> bool:
    if directory.startswith("~"):  # there is no home
        return False
    try:
        os.makedirs(directory, exist_ok=True)
    except OSError:
        return False
    return os.access(directory, os.W_OK | os.X_OK)


class _Cache(FunctionCache):
    """A cache that a full disk or a damaged file does not turn into an error: the function is compiled instead."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # whatever unpickling a damaged file raises
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except Exception:
            self.disable()


DIRECTORY = _cache_directory()
ENABLED = _writable(DIRECTORY)


def jit(fn: Callable[..., Any]) -> Any:
    """fn, compiled on first use for each combination of argument types; releases the GIL; // does not check for 0."""
    dispatcher: Any = numba.njit(nogil=True, error_model="numpy")(fn)
    config: Any = numba.config
    if ENABLED:
        before, config.CACHE_DIR = config.CACHE_DIR, DIRECTORY
        try:
            dispatcher._cache = _Cache(fn)
        finally:
            config.CACHE_DIR = before
    return dispatcher
