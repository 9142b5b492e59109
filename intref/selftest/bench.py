"""Devices that must fail, one that must pass, and golden answers with a bit flipped: does the verdict bite?"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from intref.devices import Device, DeviceError, Request
from intref.errors import FormatError
from intref.golden import read_golden, suite_path, write_op_golden
from intref.golden.package import MANIFEST, TENSORS, case_digest, file_hash, seal, seal_hash
from intref.run import call
from intref.tensorfile import read_integers, write_tensors
from intref.vectors import Case, SplitMix64
from intref.vectors import cases as directed
from intref.verify import judge

Arrays = dict[str, np.ndarray]
Answer = Callable[[Request, Arrays], Arrays | None]  # (what is asked, the right outputs) -> what is answered
RIGHT = "right"
FLIPS = 8  # bits flipped in one package, one at a time
SEED = 95
PREFILL = 0xA5


@dataclass(frozen=True)
class Finding:
    """One check of the checker. bites: it came out as it must."""

    op: str
    device: str
    expected: str
    found: str

    @property
    def bites(self) -> bool:
        return self.expected == self.found

    def json(self) -> dict[str, Any]:
        return {"device": self.device, "expected": self.expected, "found": self.found, "bites": self.bites}


def _crash(request: Request, right: Arrays) -> Arrays | None:
    raise DeviceError("crashed", "the device crashed")


def _filled(right: Arrays, byte: int) -> Arrays:
    return {k: np.full(y.nbytes, byte, np.uint8).view(y.dtype).reshape(y.shape) for k, y in right.items()}


def _echo(request: Request, right: Arrays) -> Arrays:
    """The first input's bits in the outputs' dtypes and shapes."""
    given = next(iter(request.inputs.values()))
    return {k: np.resize(given.astype(y.dtype), y.shape) for k, y in right.items()}


DEVICES: dict[str, Answer] = {
    "always wrong": lambda request, right: {k: y ^ y.dtype.type(1) for k, y in right.items()},
    "does nothing": lambda request, right: _filled(right, PREFILL),
    "echo": _echo,
    "zeros": lambda request, right: _filled(right, 0),
    "crashes": _crash,
    "answers nothing": lambda request, right: {},
    "supports nothing": lambda request, right: None,
    RIGHT: lambda request, right: right,
}
# What is wrong in its answers, not in its manners: it must be wrong in some case of every package.
WRONG = ("always wrong", "does nothing", "echo", "zeros")
EXPECTED = {**dict.fromkeys(DEVICES, "fails"), RIGHT: "passes"}
NO_MORE = ("reshape",)  # ops that do no more than an echo does: for them it is right


class Planted(Device):
    """A device that knows the right answer and gives the one it was made for."""

    def __init__(self, answer: Answer):
        self.answer = answer

    def call(self, request: Request) -> Arrays | None:
        return self.answer(request, call(request.op, request.inputs, request.attrs))


def check_devices(op_name: str, given: Sequence[Case] | None = None) -> list[Finding]:
    """Everything that must fail, and what must pass, on one op; given: other cases than its directed ones.

    Devices wrong everywhere are judged on the smallest cases that show them all, a device wrong in one bit of one case
    and the right one on those as well; flipped bits are refused by read_golden, and, where every hash is made to agree
    with them, found by judge and by the suite's check.py.
    """
    few = telling(op_name, directed(op_name) if given is None else given)
    with tempfile.TemporaryDirectory() as folder:
        package = Path(write_op_golden(op_name, Path(folder) / "right", few))
        devices = [name for name in DEVICES if name != "echo" or op_name not in NO_MORE]
        found = [Finding(op_name, name, EXPECTED[name], _judged(package, Planted(DEVICES[name]))) for name in devices]
        last = read_golden(package).cases[-1].id
        found.append(Finding(op_name, "one bit of one case", "fails", _judged(package, Planted(_one_bit(last)))))
        found += _flips(op_name, package)
        found += _forged(op_name, package)
    return found


def telling(op_name: str, given: Sequence[Case]) -> list[Case]:
    """The smallest cases that show, together, every device of WRONG."""
    chosen: list[Case] = []
    unseen = {*WRONG}
    for case in sorted(given, key=lambda case: sum(t.size for t in case.tensors.values())):
        right = call(op_name, case.tensors, case.attrs)
        request = Request("", op_name, case.tensors, {}, {})
        shown = {name for name in unseen if _differs(DEVICES[name](request, right), right)}
        if shown:
            chosen.append(case)
            unseen -= shown
    return chosen or list(given[:1])


def _differs(made: Mapping[str, np.ndarray] | None, right: Arrays) -> bool:
    return made is not None and any((made[k] != y).any() for k, y in right.items())


def _one_bit(case_id: str) -> Answer:
    def answer(request: Request, right: Arrays) -> Arrays:
        if request.id != case_id:
            return right
        name, y = next(iter(right.items()))
        changed = np.array(y)
        changed.flat[-1] ^= 1
        return {**right, name: changed}

    return answer


def _judged(package: Path, device: Device) -> str:
    return "passes" if judge(package, device).exit_code == 0 else "fails"


def _flips(op_name: str, package: Path) -> Iterator[Finding]:
    """Single bits of the stored tensors: read_golden must refuse each."""
    stream = SplitMix64(SEED)
    for path in sorted(package.glob("*.safetensors")):
        data = path.read_bytes()
        places = stream.integers(0, 8 * len(data) - 1, FLIPS, "int64")
        refused = 0
        for place in map(int, places):
            flipped = bytearray(data)
            flipped[place >> 3] ^= 1 << (place & 7)
            path.write_bytes(flipped)
            refused += _refuses(package)
        path.write_bytes(data)
        yield Finding(op_name, f"a flipped bit of {path.name}", f"{FLIPS} refused", f"{refused} refused")


def _refuses(package: Path) -> bool:
    try:
        read_golden(package)
    except FormatError:
        return True
    return False


def _forged(op_name: str, package: Path) -> Iterator[Finding]:
    """A golden answer with one bit flipped and every hash renewed: only who computes it again can tell."""
    folder = package.with_name("forged")
    shutil.copytree(package, folder)
    tensors = {name: t.copy() for name, t in read_integers(folder / TENSORS)[0].items()}
    name = sorted(tensors)[-1]
    tensors[name].flat[-1] ^= 1
    write_tensors(folder / TENSORS, tensors, {})
    _reseal(folder, tensors)
    yield Finding(op_name, "a forged answer, judged", "fails", _judged(folder, Planted(DEVICES[RIGHT])))
    codes = [_check_py(place) for place in (package, folder)]
    yield Finding(op_name, "check.py on what is right", "exit 0", f"exit {codes[0]}")
    yield Finding(op_name, "check.py on a forged answer", "exit 1", f"exit {codes[1]}")


def _reseal(folder: Path, tensors: Arrays) -> None:
    manifest = json.loads(folder.joinpath(MANIFEST).read_bytes())
    known = {**read_integers(folder / "inputs.safetensors")[0], **tensors}
    for case in manifest["cases"]:
        keys = [*case["inputs"].values(), *case["outputs"].values()]
        case["digest"] = case_digest({key: known[key] for key in keys})
    manifest["files"][TENSORS] = file_hash(folder / TENSORS)
    manifest["self"] = seal_hash(manifest)
    folder.joinpath(MANIFEST).write_bytes(seal(manifest))


def _check_py(package: Path) -> int:
    command = [sys.executable, "-E", "-s", str(suite_path() / "check.py"), str(package)]
    return subprocess.run(command, check=False, capture_output=True).returncode
