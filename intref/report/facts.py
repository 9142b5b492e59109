"""What a verdict depends on: the package, the device, the software, the machine, and how good the vectors are."""

import hashlib
import shlex
import shutil
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from intref.atomic import StrPath
from intref.golden import Package, suite_path
from intref.golden.package import MANIFEST
from intref.model import SPEC_VERSION
from intref.report.machine import machine, package_version
from intref.tensorfile import parse_json

SUITE = "suite:"
SCORES = "score.json"
MAX_SCORES = 10_000_000  # bytes
ENGINES = {"ort": ("onnxruntime", "onnx")}  # kind of device -> the packages whose versions its results depend on
COPIED = ("model", "profile", "recipe", "digest", "seed", "level")


def about(
    package: Package, path: StrPath, spec: str, mode: str, wanted: Sequence[str], built_from: str | None = None
) -> dict[str, Any]:
    """The part of a receipt that is known before the device is asked.

    name: of the package: suite:NAME in the conformance suite, else its directory's. level: of its vectors. backend:
    what runs the nodes that a device does not support. dut_sha256: built_from, the hash of all that the device was made
    from, where it knows, else of the file that it is, if it is one.
    vectors: what is published of the vectors' strength, None for others than the suite's own.
    """
    from intref import __version__

    manifest, name = package.manifest, package_name(path)
    own = name.startswith(SUITE) and package.kind == "op"
    facts = {
        "intref": __version__,
        "spec": SPEC_VERSION,
        "kind": package.kind,
        "name": name,
        "package": manifest["self"],
        "mode": mode if package.model else "op",
        "required": list(wanted),
        "backend": "fast" if find_spec("numba") else "reference",
        "dut_sha256": built_from or file_hash(spec),
        "machine": machine(),
        "level": 1 if own else None,
        "seed": None,
        "vectors": _strength(package) if own else None,
    }
    if engine := ENGINES.get(spec.partition(":")[0]):
        facts["dut_versions"] = {name: package_version(name) for name in engine}
    return facts | {key: manifest[key] for key in COPIED if key in manifest}


def package_name(path: StrPath) -> str:
    """suite:NAME for a package of the conformance suite, else the name of its directory."""
    place, home = Path(path).resolve(), suite_path().resolve()
    if place.is_relative_to(home) and place.joinpath(MANIFEST).is_file():
        parts = place.relative_to(home).parts
        if len(parts) > 1:
            return SUITE + "/".join(parts[1:])
    return place.name


def _strength(package: Package) -> Any:
    """What the suite's score.json says of an op's vectors; None where it says nothing of just these.

    `intref.selftest`, which writes it, stands above verdicts and uses them.
    """
    path = suite_path() / SCORES
    if not path.is_file():
        return None
    with path.open("rb") as file:
        table: dict[str, Any] = parse_json(path, file.read(MAX_SCORES))
    ops = table.get("ops")
    found = ops.get(package.manifest["op"]) if isinstance(ops, dict) and table.get("spec") == SPEC_VERSION else None
    return found if isinstance(found, dict) and found.get("cases") == len(package.cases) else None


def file_hash(spec: str) -> str | None:
    """SHA-256 of the file that a device is, where it is one."""
    kind, _, rest = spec.partition(":")
    if kind == "py":
        rest = _module_file(rest.rpartition(":")[0])
    elif kind in ("pipe", "cmd"):
        rest = shutil.which(shlex.split(rest)[0]) or ""
    if not rest or not Path(rest).is_file():
        return None
    return file_sha256(rest)


def _module_file(module: str) -> str:
    """The file of a Python module, found as the device's process finds it, and without running it."""
    if module.endswith(".py"):
        return module
    parts = Path(*module.split("."))
    places = (Path(folder, parts) for folder in [".", *sys.path])
    files = (file for place in places for file in (place.with_suffix(".py"), place / "__init__.py"))
    return str(next(filter(Path.is_file, files), ""))


def file_sha256(path: StrPath) -> str:
    """In hex, of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
