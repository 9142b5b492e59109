"""The verdict on a device: every case of a golden package, each by itself, whatever the device does."""

import difflib
import fnmatch
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from intref.atomic import StrPath
from intref.devices.device import KINDS, MODEL, TIMEOUT, Device, Request, Seconds, open_device
from intref.errors import SpecError
from intref.golden import Package, read_golden
from intref.report.cases import EQUAL, NOT_RUN, UNSUPPORTED, Case, Report
from intref.report.facts import about, file_sha256
from intref.verify.bench import Bench, Progress, rows
from intref.verify.blind import blind_spots
from intref.verify.graph import GraphJudge, node_ids
from intref.verify.tapmap import read_map

__all__ = ["MODES", "judge", "node_ids"]

NAMED = 8  # cases or ops of a package that an error names
MODES = ("both", "isolated", "cumulative")


def judge(
    path: StrPath,
    dut: str | Device,
    mode: str = "both",
    require: str | Iterable[str] | None = None,
    map: StrPath | None = None,
    timeout: Seconds = TIMEOUT,
    memory: int | None = None,
    progress: Progress | None = None,
    lenient: bool = False,
    supported_only: bool = False,
) -> Report:
    """Judge a device against a golden package.

    dut: py:module:function, so:library, pipe:program, cmd:'program {in} {out}', file:path, or an open Device,
    which this closes.
    mode, for a model: isolated (every node on golden inputs), cumulative (on what the device made itself) or both.
    require: patterns of case ids or op names that must run, comma separated; None: all. map: a map file (TOML).
    timeout: seconds per call. memory: see open_device. progress(done, total, case id).
    supported_only: what the device does not support is not required; something of the package must have run.
    lenient: a pattern that names nothing in this package is no error, but one of the report's `unmatched`.
    FormatError, Unsupported or SpecError for a bad package, device or argument; what a device does wrong is a result.
    """
    if mode not in MODES:
        raise SpecError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
    if not isinstance(dut, (str, Device)):
        raise SpecError(f"dut must be {KINDS}, or an open Device, not {type(dut).__name__}")
    wanted, package, taps = patterns(require), read_golden(path), read_map(map)
    unmatched = _unmatched(wanted, package, lenient)
    opened = open_device(dut, timeout, memory) if isinstance(dut, str) else dut
    spec = dut if isinstance(dut, str) else type(dut).__name__
    with opened as device:
        bench = Bench(device, package, progress)
        if package.model is None:
            _judge_op(bench)
        else:
            GraphJudge(bench, package.model, taps).run(mode)
        built_from = device.sha256
    cases = tuple(_required(case, wanted, supported_only) for case in bench.cases)
    if require is not None:
        cases += tuple(_never_judged(cases, [p for p in wanted if p not in unmatched], package))
    return Report(
        spec,
        str(path),
        cases,
        {
            **about(package, path, spec, mode, wanted, built_from),
            "map_sha256": None if map is None else file_sha256(map),
            "supported_only": supported_only,
        },
        bench.flips,
        tuple(bench.notes),
        unmatched,
        blind_spots(package, _equal_ops(cases)),
        tuple(found.plain() for found in bench.explained()),
    )


def _judge_op(bench: Bench) -> None:
    cases, op = bench.package.cases, bench.package.manifest["op"]
    bench.total = len(cases)
    for case in cases:
        bench.judge(Request(case.id, op, case.inputs, case.attrs, rows(case.outputs)), "op", case.outputs)


def patterns(require: str | Iterable[str] | None) -> list[str]:
    """The patterns of a require argument; SpecError if there is none, or one is empty."""
    if require is None:
        return ["*"]
    parts = [part.strip() for part in (require.split(",") if isinstance(require, str) else require)]
    if not parts or not all(parts):
        raise SpecError(f"require {require!r}: expected patterns of cases or ops, comma separated, found an empty one")
    return parts


def _matches(pattern: str, names: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for name in names)


def _unmatched(wanted: Sequence[str], package: Package, lenient: bool) -> tuple[str, ...]:
    """The patterns that name nothing in a package; SpecError, with near names, if that is not allowed."""
    names = dict.fromkeys(_names(package))
    missing = tuple(pattern for pattern in wanted if not _matches(pattern, names))
    if missing and not lenient:
        near = difflib.get_close_matches(missing[0], names, n=4) or [*names][:NAMED]
        found = f"near it: {', '.join(near)}" if near != [*names][:NAMED] else f"it has {', '.join(near)}, ..."
        raise SpecError(f"require {missing[0]!r} matches no case or op of {package.path}; {found}")
    return missing


def _names(package: Package) -> list[str]:
    """What a package's cases and ops are called."""
    if package.model is None:
        return [package.manifest["op"], *(case.id for case in package.cases)]
    ops = [node.op for node in package.model.nodes]
    return [*ops, *node_ids(package.model), *package.model.outputs, MODEL]


def _required(case: Case, wanted: list[str], supported_only: bool) -> Case:
    spared = supported_only and case.verdict == UNSUPPORTED
    return case if _matches_case(wanted, case) and not spared else replace(case, required=False)


def _matches_case(wanted: Iterable[str], case: Case) -> bool:
    return any(_matches(pattern, (case.id, case.op)) for pattern in wanted)


def _never_judged(cases: Sequence[Case], wanted: Sequence[str], package: Package) -> list[Case]:
    """A case that did not run for each node that is asked for by name or op and was never judged, and for each
    pattern that names anything else which was not."""
    why = "required, but no such case was judged (not in the trace, inside a fused group, or of another mode)"
    judged = {case.id for case in cases}
    named = (
        [(name, node.op) for name, node in zip(node_ids(package.model), package.model.nodes)] if package.model else []
    )
    missing = [(name, op) for name, op in named if name not in judged and any(_matches(p, (name, op)) for p in wanted)]
    asked = [*((case.id, case.op) for case in cases), *missing]
    lost = [pattern for pattern in wanted if not any(_matches(pattern, names) for names in asked)]
    return [Case(name, op, "required", NOT_RUN, why) for name, op in [*missing, *((pattern, "") for pattern in lost)]]


def _equal_ops(cases: Iterable[Case]) -> list[str]:
    """The ops whose every case is equal."""
    found: dict[str, set[str]] = defaultdict(set)
    for case in cases:
        found[case.op].add(case.verdict)
    return [op for op, verdicts in found.items() if verdicts == {EQUAL}]
