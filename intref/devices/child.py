"""One child process in its own group: bytes in, bytes out, limits on time, memory and noise, and a certain end.

A single loop both writes and reads, so that a child which answers before it has read everything, or prints while it
reads, blocks no one.
"""

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from intref.errors import FormatError, IntrefError, Unsupported

CHUNK = 1 << 16
NOISE_LIMIT = 4 << 20  # bytes a device may print during one call
NAP = 0.2  # seconds between looks at a silent child
GRACE = 2.0  # seconds a child that closed its channel has left to end by itself


class DeviceError(IntrefError):
    """A device failed one call. kind: crashed, hung, flooded, malformed or not_run."""

    def __init__(self, kind: str, detail: str):
        super().__init__(f"{kind}: {detail}")
        self.kind, self.detail = kind, detail


class Child:
    """A process with three pipes: bytes to it, bytes back, and the noise it makes: read, counted, and dropped.

    channel streams: its standard input and output. channel own: two more descriptors, numbered at the end of its
    argv, beside standard output, which is noise. channel none: nothing goes to it, all that comes is noise.
    FormatError if it cannot be started.
    """

    def __init__(self, argv: Sequence[str], memory: int | None = None, channel: str = "streams"):
        self._memory = memory
        pipes = {"in": os.pipe(), "back": os.pipe(), "noise": os.pipe()}
        theirs = [pipes["in"][0], pipes["back"][1], pipes["noise"][1]]
        self._out, self._back, self._noise = pipes["in"][1], pipes["back"][0], pipes["noise"][0]
        self._pipes = {self._out, self._back, self._noise}
        self._open = {self._noise} if channel == "none" else set(self._pipes)
        self._noise_count, self._last_line = 0, b""
        streams = channel == "streams"
        try:
            self.process = subprocess.Popen(
                [*argv, *(map(str, theirs[:2]) if channel == "own" else ())],
                stdin=theirs[0] if streams else subprocess.DEVNULL,
                stdout=theirs[1] if streams else theirs[2],
                stderr=theirs[2],
                pass_fds=theirs[:2] if channel == "own" else (),
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            self._close_pipes()
            raise FormatError(f"{argv[0]}: cannot be started: {getattr(error, 'strerror', None) or error}") from error
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        for descriptor in self._pipes:
            os.set_blocking(descriptor, False)
        try:
            _limit_memory(self.process.pid, memory)
        except BaseException:
            self.close()
            raise

    def exchange(
        self, data: bytes, enough: Callable[[bytearray], bool], timeout: float, limit: int = 1 << 30
    ) -> bytearray:
        """Send data; what comes back until `enough` says so. DeviceError if the child ends, hangs or floods."""
        reply, pending, deadline = bytearray(), memoryview(data), time.monotonic() + timeout
        self._noise_count = 0
        while pending or not enough(reply):
            left = deadline - time.monotonic()
            if left <= 0:
                raise DeviceError("hung", f"no answer within {timeout:g} s")
            ready = self._ready(bool(pending), min(left, NAP))
            if self._out in ready:
                pending = self._write(pending)
            if self._noise in ready:
                self._listen()
            if self._back in ready:
                self._read(reply, limit)
            ended = not ready and self.process.poll() is not None
            if ended or (self._back not in self._open and not enough(reply)):
                raise self.death()
        return reply

    def wait(self, timeout: float) -> int:
        """The exit status of a child without a conversation, its output read meanwhile."""
        deadline = time.monotonic() + timeout
        self._noise_count = 0
        while self.process.poll() is None or self._ready(False, 0):
            if time.monotonic() > deadline:
                raise DeviceError("hung", f"did not end within {timeout:g} s")
            if self._noise in self._ready(False, NAP / 20):
                self._listen()
        return self.process.returncode

    def close(self) -> None:
        """Kill the whole process group and reap; nothing of it is left afterwards."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._close_pipes()

    def _close_pipes(self) -> None:
        for descriptor in self._pipes:
            os.close(descriptor)
        self._pipes, self._open = set(), set()

    def death(self) -> DeviceError:
        """How the child ended, with its last words."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE)
        with suppress(OSError, DeviceError):
            self._listen()
        words = self._last_line.decode("utf-8", "replace").strip()
        said = f"; last words: {words[:200]!r}" if words else ""
        status = self.process.poll()
        # A signal under the limit that no one asked for is more likely a bug of the device.
        refused = refused_memory(words) or (self._memory and status is not None and status < 0)
        return DeviceError("crashed", status_text(status) + (limit_text(self._memory) if refused else "") + said)

    def _ready(self, writing: bool, timeout: float) -> set[int]:
        """Which descriptors can move bytes now."""
        with selectors.DefaultSelector() as selector:
            for descriptor in self._open - {self._out}:
                selector.register(descriptor, selectors.EVENT_READ)
            if writing and self._out in self._open:
                selector.register(self._out, selectors.EVENT_WRITE)
            return {key.fd for key, _ in selector.select(timeout)}

    def _write(self, pending: memoryview) -> memoryview:
        try:
            return pending[os.write(self._out, pending[: 16 * CHUNK]) :]
        except BlockingIOError:
            return pending
        except BrokenPipeError:
            raise self.death() from None

    def _read(self, reply: bytearray, limit: int) -> None:
        chunk = _some(self._back)
        if not chunk:
            self._open.discard(self._back)
        reply += chunk
        if len(reply) > limit:
            raise DeviceError("flooded", f"answered with more than {limit} bytes")

    def _listen(self) -> None:
        chunk = _some(self._noise)
        if not chunk:
            self._open.discard(self._noise)
        self._noise_count += len(chunk)
        lines = [line for line in (self._last_line + chunk).split(b"\n") if line.strip()]
        self._last_line = lines[-1][-1000:] + (b"\n" if chunk.endswith(b"\n") else b"") if lines else b""
        if self._noise_count > NOISE_LIMIT:
            raise DeviceError("flooded", f"printed more than {NOISE_LIMIT} bytes during one call")


def _some(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 16 * CHUNK)
    except BlockingIOError:
        return b""


def status_text(status: int | None) -> str:
    """An exit status in words."""
    if status is None:
        return "closed its channel"
    if status >= 0:
        return f"ended with exit status {status}"
    try:
        return f"killed by signal {-status} ({signal.Signals(-status).name})"
    except ValueError:
        return f"killed by signal {-status}"


def refused_memory(words: str) -> bool:
    """Whether a child's words say that it was given no memory."""
    return any(sign in words for sign in ("MemoryError", "bad_alloc", "allocate memory", "Unable to allocate"))


def memory_limit(memory: int | None) -> int:
    """The limit in bytes that a memory argument means; 0: none."""
    if memory is None and sys.platform == "linux":
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return memory or 0


def limit_text(memory: int | None) -> str:
    """The limit in words, to be added to what happened under it."""
    size = memory_limit(memory)
    return f" under a limit of {size >> 20} MB" if size else ""


def _limit_memory(pid: int, memory: int | None) -> None:
    """memory None: private memory up to half the machine's; a number: that many bytes of address space; 0: no limit."""
    if memory == 0:
        return
    if sys.platform != "linux":
        if memory is not None:
            raise Unsupported("a memory limit needs Linux, give memory=0 for none")
        return
    import resource

    kind = resource.RLIMIT_DATA if memory is None else resource.RLIMIT_AS
    size = memory_limit(memory)
    with suppress(ProcessLookupError, PermissionError):
        resource.prlimit(pid, kind, (size, size))
