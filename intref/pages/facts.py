"""What a verdict depends on, as words and values for its page."""

from collections.abc import Mapping
from typing import Any

from intref.report.cases import Report

STRENGTHS = ("mutants", "faults", "coverage")
RUN = {
    **{"intref": "intref", "spec": "specification", "backend": "backend of the reference"},
    **{"dut_sha256": "device's file, SHA-256", "dut_versions": "device's software", "map_sha256": "map file, SHA-256"},
    "required": "required",
}
MACHINE = {
    **{"cpu": "CPU", "os": "operating system", "features": "instruction sets"},
    **{"python": "Python", "numpy": "NumPy", "numba": "numba"},
}
PACKAGE = {
    **{"package": "package, SHA-256", "model": "model, SHA-256", "profile": "profile", "recipe": "recipe"},
    **{"level": "level of the vectors", "seed": "seed", "mode": "mode", "unsupported": "not supported"},
    "self": "receipt of this package, SHA-256",
}


def of_run(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(word, value) of the software, the device and the machine."""
    machine = row.get("machine")
    return [*_facts(row, RUN), *(_facts(machine, MACHINE) if isinstance(machine, dict) else ())]


def of_package(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(word, value) of one package's own receipt."""
    return _facts(row, PACKAGE)


def _facts(table: Mapping[str, Any], words: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(word, plain(table[key])) for key, word in words.items() if table.get(key) not in (None, [], "")]


def plain(value: Any) -> str:
    """A value of a receipt on one short line."""
    if isinstance(value, dict):
        value = [f"{key} {inner}" for key, inner in value.items()]
    return (", ".join(map(str, value)) if isinstance(value, list) else str(value))[:300]


def strengths(report: Report) -> dict[str, Any] | None:
    """Published strength of a package's vectors: bars of what they kill and cover; None where nothing is known."""
    found = report.about.get("vectors")
    if not isinstance(found, dict):
        return None
    bars = [_strength(found.get(key)) for key in STRENGTHS]
    return {"name": report.place, "cases": found.get("cases"), "bars": bars} if any(bars) else None


def _strength(row: Any) -> dict[str, Any] | None:
    if not isinstance(row, dict):
        return None
    part, total = row.get("killed", row.get("hit")), row.get("total")
    if not (type(part) is int and type(total) is int and 0 <= part <= total and total):
        return None
    return {"part": part, "total": total, "percent": 100 * part // total, "full": part == total}
