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
    """A process with a byte channel: its standard streams, or, with own_channel, two more descriptors in its argv.

    Everything else that it prints is read, counted and dropped, but for the last line. FormatError if it cannot start.
    """

    def __init__(self, argv: Sequence[str], memory: int | None = None, own_channel: bool = False):
        ours: list[int] = []
        theirs: list[int] = []
        if own_channel:
            (child_in, out), (back, child_out) = os.pipe(), os.pipe()
            ours, theirs = [out, back], [child_in, child_out]
        try:
            self.process = subprocess.Popen(
                [*argv, *map(str, theirs)],
                stdin=subprocess.DEVNULL if own_channel else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if own_channel else subprocess.PIPE,
                pass_fds=theirs,
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            for descriptor in ours:
                os.close(descriptor)
            raise FormatError(f"{argv[0]}: cannot be started: {error.strerror or error}") from error
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        self._ours = ours
        self._noise_count, self._last_line = 0, b""
        stdin, stdout, stderr = self.process.stdin, self.process.stdout, self.process.stderr
        assert stdout is not None
        if own_channel:
            self._out, self._back, self._noise = ours[0], ours[1], stdout.fileno()
        else:
            assert stdin is not None and stderr is not None
            self._out, self._back, self._noise = stdin.fileno(), stdout.fileno(), stderr.fileno()
        self._open = {self._out, self._back, self._noise}
        for descriptor in self._open:
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
            if not ready and self.process.poll() is not None or self._back not in self._open and not enough(reply):
                raise self.death()
        return reply

    def wait(self, timeout: float) -> int:
        """The exit status of a child without a conversation, its output read meanwhile."""
        deadline = time.monotonic() + timeout
        self._noise_count = 0
        while self.process.poll() is None or self._ready(False, 0):
            if time.monotonic() > deadline:
                raise DeviceError("hung", f"did not end within {timeout:g} s")
            ready = self._ready(False, 0.005 if self._open == {self._out} else NAP / 10)
            if self._noise in ready:
                self._listen()
            if self._back in ready:
                self._listen(self._back)
        return self.process.returncode

    def close(self) -> None:
        """Kill the whole process group and reap; nothing of it is left afterwards."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        for descriptor in self._ours:
            os.close(descriptor)
        self._ours, self._open = [], set()

    def death(self) -> DeviceError:
        """How the child ended, with its last words."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE)
        with suppress(OSError, DeviceError):
            self._listen()
        words = self._last_line.decode("utf-8", "replace").strip()
        said = f"; last words: {words[:200]!r}" if words else ""
        return DeviceError("crashed", status_text(self.process.poll()) + said)

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

    def _listen(self, descriptor: int | None = None) -> None:
        descriptor = self._noise if descriptor is None else descriptor
        chunk = _some(descriptor)
        if not chunk:
            self._open.discard(descriptor)
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


def _limit_memory(pid: int, memory: int | None) -> None:
    """memory None: private memory up to half the machine's; a number: that many bytes of address space; 0: no limit."""
    if memory == 0:
        return
    if sys.platform != "linux":
        if memory is not None:
            raise Unsupported("a memory limit needs Linux, give memory=0 for none")
        return
    import resource  # noqa: PLC0415

    kind = resource.RLIMIT_DATA if memory is None else resource.RLIMIT_AS
    size = memory or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    with suppress(ProcessLookupError, PermissionError):
        resource.prlimit(pid, kind, (size, size))
