"""RISC-V V 1.0 in QEMU: vnclip, vnclipu, vssra and vsmul in all four rounding modes, each an op rescale.

The instructions are compiled from tests/rvv.c; qemu-user and a compiler for riscv64 must be installed.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from intref import call
from oracles import Tally

SOURCE = Path(__file__).parent.with_name("rvv.c")
MACHINE = "rv64,v=true,vext_spec=v1.0,vlen=128"
MODES = ("half_up", "half_even", "floor", "odd")  # vxrm: rnu, rne, rdn, rod


class Kind(NamedTuple):
    """An instruction on elements of some width: bits of an operand and of a result."""

    name: str
    wide: int
    narrow: int
    unsigned: bool = False


KINDS = (
    *(Kind("vnclip", 2 * bits, bits) for bits in (32, 16, 8)),
    *(Kind("vnclipu", 2 * bits, bits, True) for bits in (16, 8)),
    *(Kind("vssra", bits, bits) for bits in (64, 32, 16, 8)),
    *(Kind("vsmul", bits, bits) for bits in (32, 16, 8)),
)


def program(folder: str) -> Path:
    """tests/rvv.c, compiled; ImportError where no compiler or no QEMU is."""
    for tool in ("riscv64-linux-gnu-gcc", "qemu-riscv64"):
        if shutil.which(tool) is None:
            raise ImportError(f"{tool} is not installed", name=tool)
    made = Path(folder, "rvv")
    command = ["riscv64-linux-gnu-gcc", "-O1", "-static", "-march=rv64gcv", "-mabi=lp64d", "-o", str(made), str(SOURCE)]
    subprocess.run(command, check=True, capture_output=True)
    return made


def _ends(bits: int, unsigned: bool = False) -> tuple[int, int]:
    return (0, (1 << bits) - 1) if unsigned else (-(1 << bits - 1), (1 << bits - 1) - 1)


def operands(rng: Any, kind: Kind, scalar: int) -> Any:
    """Ties of both signs and parities, either side of each clip, both ends, and any others."""
    low, high = _ends(kind.wide, kind.unsigned)
    shift = kind.narrow - 1 if kind.name == "vsmul" else scalar
    m = scalar if kind.name == "vsmul" else 1
    halves = [*range(-9, 10), *(2 * end + d for end in _ends(kind.narrow, kind.unsigned) for d in range(-4, 5))]
    aimed = [(half << shift >> 1) // m + d for half in halves for d in (-1, 0, 1)] if m else []
    bits = rng.integers(1, min(kind.wide, 62), 200)
    random = [int(rng.integers(-(1 << b), 1 << b)) for b in bits]
    ends = [low, high, low + 1, high - 1, 0, -1, 1]
    # rescale takes |x| up to 2**62; a vssra of 64 bits goes on beyond.
    held = (max(low, -(1 << 62)), min(high, 1 << 62))
    return np.array([v for v in (*aimed, *random, *ends) if held[0] <= v <= held[1]], np.int64)


def records() -> Iterator[tuple[int, int, int, Any]]:
    """(instruction, mode, scalar, x)."""
    rng = np.random.default_rng(5)
    for i, kind in enumerate(KINDS):
        low, high = _ends(kind.narrow)
        if kind.name == "vsmul":
            scalars = [low, low + 1, high, high >> 1, -(high >> 1) - 1, 3 << kind.narrow - 4, 1, -1, 0, 77]
        else:
            scalars = [*range(kind.wide)]
        for scalar in scalars:
            for mode in range(4):
                yield i, mode, scalar, operands(rng, kind, scalar)


def ours(kind: Kind, scalar: int, x: Any, rule: str) -> Any:
    multiplier, shift = (scalar, kind.narrow - 1) if kind.name == "vsmul" else (1, scalar)
    low, high = _ends(kind.narrow, kind.unsigned)
    attrs = {"rounding": rule, "output": "int64", "low": low, "high": high}
    tensors = {"x": x, "multiplier": np.array([multiplier], np.int32), "shift": np.array([shift], np.int8)}
    return call("rescale", tensors, attrs, "fast")["y"]


def tallies() -> Iterator[Tally]:
    """One row for each instruction and rounding mode."""
    asked = [*records()]
    given = b"".join(np.array([i, mode, scalar, len(x), *x], np.int64).tobytes() for i, mode, scalar, x in asked)
    with tempfile.TemporaryDirectory() as folder:
        command = ["qemu-riscv64", "-cpu", MACHINE, str(program(folder))]
        answer = subprocess.run(command, check=True, input=given, capture_output=True).stdout
    version = subprocess.run(["qemu-riscv64", "--version"], check=True, capture_output=True, text=True).stdout.split()[
        2
    ]
    theirs = np.split(np.frombuffer(answer, np.int64), np.cumsum([len(x) for *_, x in asked])[:-1])
    rows = {
        (kind.name, mode): Tally("rvv", "rescale", "QEMU, RISC-V V 1.0", version, f"{kind.name}, {MODES[mode]}")
        for kind in KINDS
        for mode in range(4)
    }
    for (i, mode, scalar, x), found in zip(asked, theirs):
        neighbours = {rule: ours(KINDS[i], scalar, x, rule) for rule in MODES if rule != MODES[mode]}
        neighbours["half_away"] = ours(KINDS[i], scalar, x, "half_away")
        if KINDS[i].unsigned and MODES[mode] == "half_up":
            del neighbours["half_away"]  # of what is never negative they are one
        rows[KINDS[i].name, mode].compare(ours(KINDS[i], scalar, x, MODES[mode]), found, neighbours)
    yield from rows.values()
