"""How many wrong units do an op's directed vectors find, and how many as many random ones?

    python tools/mutate_rtl.py intref/demo/rtl/requantizer.toml [-n 200] [--seed 1] [--package DIR] [--no-proof]

yosys mutates the unit's RTL: one bit of one port of one cell inverted, held, or mixed with another (`mutate`). Each
mutant runs, under Icarus, the calls of the op's suite (or of another package) that the unit
supports until one is not equal, then twins of the same shapes and attributes with random operands: uniform over what
the unit takes, and of random lengths in bits. What no directed call kills is listed; where yosys proves it equivalent
to the unit (`equiv_induct`, for any operands), it counts as no mutant. Deterministic for a seed. Exit code 1 if a
random twin kills what the directed calls do not.
"""

import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from intref.devices.device import DeviceError, Request, checked  # noqa: E402 (the path above makes it importable)
from intref.devices.rtl import RtlDevice  # noqa: E402
from intref.errors import FormatError, IntrefError, SpecError  # noqa: E402
from intref.golden import read_golden, suite_path  # noqa: E402
from intref.rtl.description import read_unit  # noqa: E402
from intref.rtl.simulators import require  # noqa: E402
from intref.rtl.unit import Unit  # noqa: E402
from intref.vectors import SplitMix64  # noqa: E402
from intref.verify.bench import rows  # noqa: E402

PATIENCE = 2000  # clocks: no sample unit needs a quarter of it
PROOF_TIMEOUT = 15  # seconds for each survivor
TRIES = 60  # draws of operands until one keeps the op's contract


@dataclass(frozen=True)
class Call:
    """A request and its golden outputs. why: what it shows."""

    request: Request
    golden: dict[str, np.ndarray]
    why: str


def directed(unit: Unit, package: str | None = None) -> list[Call]:
    """The calls of a golden package, by default the op's suite, that the unit supports."""
    name = unit.op.name
    found = read_golden(package or suite_path() / "ops" / name).cases
    return [
        Call(Request(case.id, name, case.inputs, case.attrs, rows(case.outputs)), case.outputs, case.why)
        for case in found
        if not unit.refusal(name, case.inputs, case.attrs)
    ]


def twins(unit: Unit, calls: Sequence[Call], seed: int, uniform: bool) -> list[Call]:
    """Calls of the same shapes and attributes with random operands."""
    stream = SplitMix64(seed)
    return [_twin(unit, call, stream, uniform) for call in calls]


def _twin(unit: Unit, call: Call, stream: SplitMix64, uniform: bool) -> Call:
    request = call.request
    for attempt in range(TRIES):
        inputs = {n: _drawn(unit, n, t, stream, uniform, attempt) for n, t in request.inputs.items()}
        try:
            unit.op.check(inputs, request.attrs)
        except SpecError:
            continue
        golden = unit.op.run(inputs, request.attrs)
        return Call(replace(request, inputs=inputs), golden, "random")
    raise FormatError(f"{unit.path}: found no random operands for case {request.id}")


def _drawn(unit: Unit, port: str, like: np.ndarray, stream: SplitMix64, uniform: bool, attempt: int) -> np.ndarray:
    """Integers of a tensor's shape and dtype that its wire takes; the later the attempt, the smaller the range."""
    wire, dtype = unit.inputs[port], like.dtype.name
    low, high = unit.op.inputs[port].range(dtype)
    low, high = (min(max(end, wire.low), wire.high) >> attempt // 2 for end in (low, high))
    values = stream.integers(low, high, like.shape, "int64")
    if not uniform:
        values = values >> stream.integers(0, max(high.bit_length() - 1, 0), like.shape, "int64")
    return values.astype(dtype)


class Mutants:
    """The unit with one bit of its netlist wrong, in many ways, inside a folder."""

    def __init__(self, unit: Unit, count: int, seed: int, folder: Path):
        self.unit, self.folder = unit, folder
        parameters = "".join(f"chparam -set {name} {value} {unit.top}\n" for name, value in unit.parameters.items())
        reads = "".join(f"read_verilog -sv {_includes(unit)} {source}\n" for source in unit.sources)
        self._yosys(
            f"{reads}{parameters}hierarchy -top {unit.top}\nrename -top {unit.top}\nproc\nflatten\nopt -full\n"
            f"opt_clean -purge\nwrite_rtlil base.il\nmutate -list {count} -seed {seed} -o list.ys\n"
        )
        self.commands = (folder / "list.ys").read_text().splitlines()
        rows = ["read_rtlil base.il\ndesign -save base\nwrite_verilog -noattr 0.v\n"]
        rows += [f"design -load base\n{row}\nwrite_verilog -noattr {i + 1}.v\n" for i, row in enumerate(self.commands)]
        self._yosys("".join(rows))

    def _yosys(self, script: str, timeout: int = 600) -> bool:
        """Run a script in the folder; whether it succeeded in time. FormatError with yosys's error, unless it is a
        proof that failed."""
        (self.folder / "run.ys").write_text(script)
        try:
            done = subprocess.run(
                ["yosys", "-q", "run.ys"], cwd=self.folder, capture_output=True, text=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired:
            return False
        if done.returncode and "equiv_status" not in script:
            raise FormatError(f"{self.unit.path}: yosys: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
        return done.returncode == 0

    def mutant(self, number: int) -> Unit:
        """The unit that behaves as one mutant; 0: as none."""
        return replace(self.unit, sources=(self.folder / f"{number}.v",), parameters={}, patience=PATIENCE)

    def text(self, mutant: int) -> str:
        """A mutation in words: its kind, the cell and bit, the source line."""
        words = self.commands[mutant - 1]
        found = {key: re.findall(rf"-{key} (\S+)", words) for key in ("mode", "cell", "port", "portbit", "wire", "src")}
        cell = re.sub(r"\$/.*/", "$", found["cell"][0]).split("$")
        places = [place.rsplit("/", 1)[-1] for place in found["src"] if ":0." not in place]
        wire = f", wire {found['wire'][0]}" if found["wire"] else ""
        where = f"{found['port'][0]}[{found['portbit'][0]}]"
        return f"{found['mode'][0]} of {'$'.join(cell[:2])} {where}{wire} at {places[-1] if places else '?'}"

    def equivalent(self, mutant: int) -> bool:
        """Whether yosys proves that no operands at all can tell the mutant from the unit."""
        top, words = self.unit.top, self.commands[mutant - 1]
        return self._yosys(
            f"read_rtlil base.il\ncopy {top} gold\nrename {top} gate\n"
            f"{words.replace(f'-module {top} ', '-module gate ')}\n"
            "memory -nomap\nopt_clean\nequiv_make gold gate proof\nhierarchy -top proof\nopt_clean\n"
            "equiv_struct -icells\nequiv_simple -undef\nequiv_induct -undef -seq 2\nequiv_status -assert\n",
            PROOF_TIMEOUT,
        )


def _includes(unit: Unit) -> str:
    return " ".join(f"-I{place}" for place in unit.include)


def killers(unit: Unit, sets: dict[str, list[Call]]) -> set[str]:
    """The sets of calls of which one is not answered with golden outputs."""
    with RtlDevice(f"icarus:{unit.path}", "icarus", unit) as device:
        found = set()
        for name, calls in sets.items():
            device.reset()
            if not all(_passes(device, call) for call in calls):
                found.add(name)
        return found


def _passes(device: RtlDevice, call: Call) -> bool:
    try:
        made = checked(call.request, device.call(call.request) or {})
    except DeviceError:
        return False
    return all(np.array_equal(made[name], golden) for name, golden in call.golden.items())


@click.command(help=__doc__)
@click.argument("path", metavar="UNIT.toml")
@click.option("-n", "--mutants", "count", type=click.IntRange(min=1), default=200, show_default=True)
@click.option("--seed", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--package", metavar="DIR", help="A golden package of the op; default: the suite's.")
@click.option("--proof/--no-proof", default=True, help="Let yosys try to prove survivors equivalent.")
def main(path: str, count: int, seed: int, package: str | None, proof: bool) -> int:
    """Print killed/total for each set of calls, then the survivors."""
    require("yosys")
    unit = read_unit(path)
    calls = directed(unit, package)
    if not calls:
        raise FormatError(f"{path}: supports no call of {package or f'suite:{unit.op.name}'}")
    sets = {"directed": calls}
    sets |= {n: twins(unit, calls, seed, n == "uniform") for n in ("uniform", "bit-length")}
    with tempfile.TemporaryDirectory(prefix="intref-") as folder:
        mutants = Mutants(unit, count, seed, Path(folder))
        if failing := killers(mutants.mutant(0), sets):
            raise FormatError(f"{path}: yosys's netlist fails {', '.join(sorted(failing))} without any mutation")
        found: dict[int, set[str]] = {}
        for mutant in range(1, len(mutants.commands) + 1):
            found[mutant] = killers(mutants.mutant(mutant), sets)
            if sys.stderr.isatty():
                click.echo(f"\r{mutant}/{len(mutants.commands)}", err=True, nl=False)
        survivors = [mutant for mutant, by in found.items() if "directed" not in by]
        proved = [m for m in survivors if proof and not found[m] and mutants.equivalent(m)]
        return report(unit, calls, found, proved, mutants)


def report(
    unit: Unit, calls: Sequence[Call], found: dict[int, set[str]], proved: Sequence[int], mutants: Mutants
) -> int:
    elements = sum(t.size for call in calls for t in call.golden.values())
    total, killed = len(found) - len(proved), Counter(name for by in found.values() for name in by)
    print(f"{unit.top} ({unit.op.name}): {len(found)} mutants, {len(proved)} proved equivalent, {total} count")
    print(f"{len(calls)} calls, {elements} outputs in each set")
    for name, what in (("directed", ""), ("uniform", "random operands, "), ("bit-length", "random operands, ")):
        print(f"  {what}{name}: {killed[name]}/{total} killed")
    missed = [mutant for mutant, by in found.items() if by and "directed" not in by]
    for mutant, by in found.items():
        if "directed" not in by and mutant not in proved:
            by_random = f"; killed by {', '.join(sorted(by))}" if by else ""
            print(f"  survivor {mutant}: {mutants.text(mutant)}{by_random}")
    return int(bool(missed))


def run(argv: Sequence[str] | None = None) -> Any:
    """The exit code: 0, 1 if a random set kills what the directed one does not, 2 for bad input."""
    try:
        return main.main(args=argv, standalone_mode=False)
    except (IntrefError, click.ClickException) as error:
        print(f"mutate_rtl: error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(run())
