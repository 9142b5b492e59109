"""The verdict on a device: every case of a golden package, each by itself, whatever the device does."""

import fnmatch
import hashlib
import shlex
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from intref.atomic import StrPath
from intref.errors import SpecError
from intref.golden import Package, read_golden
from intref.model import SPEC_VERSION
from intref.verify.bench import Bench, Progress, rows
from intref.verify.devices import TIMEOUT, Device, Request, Seconds, open_device
from intref.verify.graph import GraphJudge, node_ids
from intref.verify.report import Case, Report
from intref.verify.tapmap import read_map

__all__ = ["MODES", "judge", "node_ids"]

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
) -> Report:
    """Judge a device against a golden package.

    dut: py:module:function, so:library, pipe:program, cmd:'program {in} {out}', file:path, or an open Device,
    which this closes.
    mode, for a model: isolated (every node on golden inputs), cumulative (on what the device made itself) or both.
    require: patterns of case ids or op names that must run, comma separated; None: all. map: a map file (TOML).
    timeout: seconds per call. memory: see open_device. progress(done, total, case id).
    FormatError, Unsupported or SpecError for a bad package, device or argument; what a device does wrong is a result.
    """
    if mode not in MODES:
        raise SpecError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
    package, taps = read_golden(path), read_map(map)
    opened = open_device(dut, timeout, memory) if isinstance(dut, str) else dut
    spec = dut if isinstance(dut, str) else type(dut).__name__
    with opened as device:
        bench = Bench(device, str(path), package, progress)
        if package.model is None:
            _judge_op(bench)
        else:
            GraphJudge(bench, package.model, taps).run(mode)
    cases = tuple(_required(case, patterns(require)) for case in bench.cases)
    about = _about(package, spec, mode)
    return Report(spec, str(path), cases, about, bench.flips, tuple(bench.notes))


def _judge_op(bench: Bench) -> None:
    cases, op = bench.package.cases, bench.package.manifest["op"]
    bench.total = len(cases)
    for case in cases:
        bench.judge(Request(case.id, op, case.inputs, case.attrs, rows(case.outputs)), "op", case.outputs)


def patterns(require: str | Iterable[str] | None) -> list[str]:
    if require is None:
        return ["*"]
    parts = require.split(",") if isinstance(require, str) else [*require]
    return [part.strip() for part in parts if part.strip()]


def _required(case: Case, wanted: list[str]) -> Case:
    asked = any(fnmatch.fnmatchcase(name, pattern) for pattern in wanted for name in (case.id, case.op))
    return case if asked else replace(case, required=False)


def _about(package: Package, spec: str, mode: str) -> dict[str, Any]:
    from intref import __version__

    manifest = package.manifest
    about = {
        "intref": __version__,
        "spec": SPEC_VERSION,
        "kind": package.kind,
        "package": manifest["self"],
        "mode": mode if package.model else "op",
        "dut_sha256": _file_hash(spec),
    }
    return about | {key: manifest[key] for key in ("model", "profile", "recipe", "digest") if key in manifest}


def _file_hash(spec: str) -> str | None:
    """SHA-256 of the file that a device is, where it is one."""
    kind, _, rest = spec.partition(":")
    if kind == "py":
        rest = rest.rpartition(":")[0]
    elif kind in ("pipe", "cmd"):
        rest = shutil.which(shlex.split(rest)[0]) or ""
    return hashlib.sha256(Path(rest).read_bytes()).hexdigest() if rest and Path(rest).is_file() else None
