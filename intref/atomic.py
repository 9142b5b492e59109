"""Files and directories written whole or not at all."""

import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from intref.errors import FormatError

StrPath = str | os.PathLike[str]


def os_error(path: StrPath, failed: str, error: Exception) -> FormatError:
    """The operating system's refusal of a path as one line: `path: cannot be <failed>: reason`."""
    reason = getattr(error, "strerror", None) or str(error)
    return FormatError(f"{os.fspath(path)}: cannot be {failed}: {reason}")


def kind(path: Path) -> str:
    """What stands at a path, in words."""
    if path.is_dir():
        return "a directory"
    return "a regular file" if path.is_file() else "a device, pipe or socket"


def write_atomically(path: StrPath, data: bytes | Iterable[bytes | memoryview]) -> None:
    """Write a file that is at every moment either as it was or complete: temporary file, fsync, rename, fsync.

    data is the content, or its pieces in order. FormatError, and nothing left behind, if it cannot be written.
    """
    pieces = (data,) if isinstance(data, bytes) else data
    target, temporary = _places(path, stat.S_ISREG, "a regular file")
    with _discarded_on_failure(path, temporary):
        with open(temporary, "xb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
        _sync(target.parent)


@contextmanager
def write_directory_atomically(path: StrPath, marker: str | None = None) -> Iterator[Path]:
    """Fill a temporary sibling directory; it takes the name `path` only when the body ends without an exception.

    An existing directory is replaced if it is empty or, being of the same kind, holds a file named marker; any
    other is refused before the body runs, so that a mistyped path never costs anyone's files. The old directory
    stays until the new one is complete; between the two renames, an instant, the name is absent.
    FormatError, and nothing left behind, if it cannot be written.
    """
    target, temporary = _places(path, stat.S_ISDIR, "a directory")
    with _discarded_on_failure(path, temporary):
        _check_replaceable(path, target, marker)
        os.mkdir(temporary)
        yield temporary
        for folder, _, names in os.walk(temporary):
            for name in (*names, ""):
                _sync(Path(folder).joinpath(name))
        _swap(temporary, target)
        _sync(target.parent)


def _places(path: StrPath, right_kind: Callable[[int], bool], wanted: str) -> tuple[Path, Path]:
    """Where a path leads, links followed, and a free temporary name beside it."""
    try:
        target = Path(os.path.realpath(path))
        if target.exists() and not right_kind(target.stat().st_mode):
            raise FormatError(f"{os.fspath(path)}: cannot be written: expected {wanted}, found {kind(target)}")
        return target, target.with_name(f".intref-{secrets.token_hex(8)}.tmp")
    except (OSError, ValueError) as error:
        raise os_error(path, "written", error) from error


def _check_replaceable(path: StrPath, target: Path, marker: str | None) -> None:
    if not target.is_dir() or (marker and target.joinpath(marker).is_file()):
        return
    if any(target.iterdir()):
        wanted = f"an empty directory or one that holds {marker}" if marker else "an empty directory"
        raise FormatError(f"{os.fspath(path)}: cannot be replaced: expected {wanted}, found other files")


@contextmanager
def _discarded_on_failure(path: StrPath, temporary: Path) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise os_error(path, "written", error) from error
        if isinstance(error, FormatError) and str(temporary) in str(error):  # of a file within: its lasting name
            raise FormatError(str(error).replace(str(temporary), os.fspath(path))) from error
        raise


def _swap(temporary: Path, target: Path) -> None:
    if not target.exists():
        os.rename(temporary, target)
        return
    old = temporary.with_suffix(".old")
    os.rename(target, old)
    try:
        os.rename(temporary, target)
    except OSError:
        os.rename(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
