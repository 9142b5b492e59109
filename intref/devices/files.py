"""Devices that are files: a command that reads one and writes another, and outputs recorded earlier."""

import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from intref.devices.child import Child, DeviceError, status_text
from intref.devices.device import MODEL, Device, Request
from intref.devices.pipe import parse_answer, program
from intref.devices.protocol import NOT_SUPPORTED, PIPE_HEADER, Arrays
from intref.errors import FormatError
from intref.modelfile import canonical
from intref.npzfile import UNKNOWN, members, read_npy, read_npz
from intref.tensorfile import open_tensors, parse_json, read_integers, write_tensors

CALL = "__call__"
ACCEPTED = "a recording is a directory of .npy, a .npz, a .safetensors, or a file of answer lines"


class CommandDevice(Device):
    """A program run once per call, between two files of a directory that lives as long as the device."""

    def __init__(self, spec: str, command: str, timeout: float, memory: int | None):
        self.spec, self.timeout, self.memory = spec, timeout, memory
        if "{in}" not in command or "{out}" not in command:
            raise FormatError(f"dut {spec}: expected {{in}} and {{out}} in the command, found {command!r}")
        self._words = program(spec, command)
        self._folder = tempfile.TemporaryDirectory(prefix="intref-")

    def call(self, request: Request) -> Arrays | None:
        places = {mark: self._place(mark) for mark in ("{in}", "{out}")}
        places["{out}"].unlink(missing_ok=True)
        _write(places["{in}"], request)
        words = [self._filled(word, places) for word in self._words]
        child = Child(words, self.memory, "none")
        try:
            status = child.wait(self.timeout)
        finally:
            death = child.death() if child.process.poll() is not None else None
            child.close()
        if status == NOT_SUPPORTED:
            return None
        if status != 0:
            raise death or DeviceError("crashed", status_text(status))
        if not places["{out}"].is_file():
            raise DeviceError("malformed", "ended without an output file")
        if places["{out}"].stat().st_size > request.limit + (1 << 20):
            raise DeviceError("flooded", f"wrote {places['{out}'].stat().st_size} bytes, expected {request.limit}")
        return read_arrays(places["{out}"], request.limit)

    def _place(self, mark: str) -> Path:
        npz = any(mark + ".npz" in word for word in self._words)
        return Path(self._folder.name) / (mark.strip("{}") + (".npz" if npz else ".safetensors"))

    def _filled(self, word: str, places: Mapping[str, Path]) -> str:
        for mark, path in places.items():
            word = word.replace(mark + path.suffix, str(path)).replace(mark, str(path))
        return word

    def close(self) -> None:
        self._folder.cleanup()


def _write(path: Path, request: Request) -> None:
    call = canonical({"op": request.op, "attrs": request.attrs})
    if path.suffix == ".npz":
        arrays: dict[str, Any] = {**request.inputs, CALL: np.frombuffer(call.encode(), np.uint8)}
        np.savez(path, **arrays)
    else:
        write_tensors(path, request.inputs, {"intref": call})


def read_arrays(path: Path, limit: int | None = None) -> Arrays:
    """All arrays of an npz or safetensors file; DeviceError (malformed) if it is not one, or is beyond the limit."""
    try:
        if path.suffix != ".npz":
            return read_integers(path)[0]
        size = sum(members(path).values())
        if limit is not None and size > limit + (1 << 20):
            raise DeviceError("flooded", f"wrote {size} bytes, expected {limit}")
        return read_npz(path)
    except FormatError as error:
        raise DeviceError("malformed", f"{path.name}: {_line(error)}") from None


class RecordedDevice(Device):
    """Outputs that a device wrote earlier. What was not recorded was not run."""

    recorded = True

    def __init__(self, spec: str, path: str):
        self.spec = spec
        self._names, self._load, self._refused = _recording(spec, path)

    def call(self, request: Request) -> Arrays | None:
        if request.op == MODEL:
            return {tap: self._load(tap) for tap in request.attrs["taps"] if tap in self._names}
        if request.id in self._refused:
            if self._refused[request.id] is None:
                return None
            raise DeviceError("malformed", f"{self._refused[request.id]}")
        keys = {port: self._key(request, port) for port in request.outputs}
        if absent := [key for key in keys.values() if key not in self._names]:
            raise DeviceError("not_run", f"nothing was recorded for {absent[0]!r}")
        return {port: self._load(key) for port, key in keys.items()}

    def _key(self, request: Request, port: str) -> str:
        """CASE/OUTPUT, or the case alone if it has one output."""
        whole = f"{request.id}/{port}"
        return request.id if len(request.outputs) == 1 and whole not in self._names else whole


Load = Callable[[str], np.ndarray]
Refused = dict[str, str | None]  # case -> what is wrong with its answer; None: not supported
Recording = tuple[set[str], Load, Refused]


def _recording(spec: str, path: str) -> Recording:
    """The recorded names, how to get one (DeviceError if it cannot be read), and the cases that have none."""
    place = Path(path)
    if place.is_dir():
        files = {str(f.relative_to(place).with_suffix("").as_posix()): f for f in place.rglob("*.npy")}
        return set(files), lambda name: _one(files[name].name, lambda: read_npy(files[name])), {}
    if path == "-" or (place.is_file() and place.suffix not in (".npz", ".safetensors")):
        return _answers(spec, path)
    if not place.is_file():
        raise FormatError(f"dut {spec}: expected a directory or a file {path}, found none")
    try:
        if place.suffix == ".npz":
            names, load = {*members(place)}, lambda name: read_npz(place, {name})[name]
            if UNKNOWN in names:
                return _with_unknown(place, names, load)
        else:
            tensors = open_tensors(place)
            names, load = {*tensors.entries}, tensors.integers
    except FormatError as error:
        raise FormatError(f"dut {spec}: {_line(error)}") from None
    return names, lambda name: _one(place.name, lambda: load(name)), {}


def _with_unknown(place: Path, names: set[str], load: Load) -> Recording:
    """A recording some of whose tensors have digits x or z: each of those fails by itself."""
    unknown = parse_json(place, load(UNKNOWN).tobytes(), UNKNOWN)

    def known(name: str) -> np.ndarray:
        if name in unknown:
            raise DeviceError("unknown", str(unknown[name]))
        return _one(place.name, lambda: load(name))

    return {*names, *unknown} - {UNKNOWN}, known, {}


def _one(file: str, load: Callable[[], Any]) -> np.ndarray:
    """One recorded tensor; DeviceError (malformed) if it cannot be read."""
    try:
        return np.asarray(load())
    except FormatError as error:
        raise DeviceError("malformed", f"{file}: {_line(error)}") from None


def _line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else "unreadable"


def _answers(spec: str, path: str) -> Recording:
    """Answer lines, tensors as "ID/output". A line that is not as it should be costs the case that it names."""
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text("ascii")
    except (OSError, ValueError) as error:
        raise FormatError(f"dut {spec}: {error}; {ACCEPTED}") from None
    first, *lines = text.split("\n")
    if first.rstrip("\r") != PIPE_HEADER:
        raise FormatError(f"dut {spec}: first line {first[:60]!r}, expected {PIPE_HEADER!r}; {ACCEPTED}")
    found: Arrays = {}
    refused: Refused = {}
    for line in (line.rstrip("\r") for line in lines if line.strip()):
        try:
            identity, outputs = parse_answer(line)
        except ValueError as error:
            refused[line.split(" ")[0]] = str(error)
            continue
        found.update({f"{identity}/{name}": tensor for name, tensor in (outputs or {}).items()})
        if outputs is None:
            refused[identity] = None
    return {*found}, found.__getitem__, refused
