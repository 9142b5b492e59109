"""A coverage laid out for its page: see `intref.coverage.Coverage.json` for what comes in."""

from collections.abc import Mapping
from typing import Any

from intref.errors import FormatError

LISTED = 400  # sites of one op in its table, and its unreachable bins
NAMED = 100  # bins of one site, those first that were not hit; bins of one op that were not hit


def coverage_view(coverage: Mapping[str, Any]) -> dict[str, Any]:
    """What the templates need; FormatError if it is no coverage."""
    ops = coverage.get("ops")
    if not isinstance(ops, dict):
        raise FormatError("coverage: expected a table of ops, as intref coverage writes it, found none")
    rows = [_op(name, row) for name, row in sorted(ops.items())]
    hit, total = sum(row["hit"] for row in rows), sum(row["total"] for row in rows)
    return {"ops": rows, "hit": hit, "total": total, "percent": _percent(hit, total)}


def _op(name: str, row: Any) -> dict[str, Any]:
    bins, unreachable = (row.get(key) if isinstance(row, dict) else None for key in ("bins", "unreachable"))
    if not isinstance(bins, dict) or not all(type(seen) is int and seen >= 0 for seen in bins.values()):
        raise FormatError(f"coverage: op {name!r}: bins: expected a table of counts, found something else")
    if not isinstance(unreachable, dict) or not all(isinstance(reason, str) for reason in unreachable.values()):
        raise FormatError(f"coverage: op {name!r}: unreachable: expected a table of reasons, found something else")
    missing = [bin_name for bin_name, seen in bins.items() if not seen]
    hit, sites = len(bins) - len(missing), _sites(bins)
    return {
        "name": name,
        "hit": hit,
        "total": len(bins),
        "percent": _percent(hit, len(bins)),
        "missing": missing[:NAMED],
        "missing_left": max(len(missing) - NAMED, 0),
        "sites": sites[:LISTED],
        "sites_left": max(len(sites) - LISTED, 0),
        "unreachable": [*unreachable.items()][:LISTED],
    }


def _sites(bins: Mapping[str, int]) -> list[dict[str, Any]]:
    """Bins by the part of their names before the last bar: where in the op's body they stand."""
    found: dict[str, list[tuple[str, int]]] = {}
    for name, seen in bins.items():
        site, _, what = name.rpartition(" | ")
        found.setdefault(site, []).append((what, seen))
    return [
        {
            "name": site,
            "hit": sum(seen > 0 for _, seen in rows),
            "total": len(rows),
            "bins": sorted(rows, key=lambda row: row[1] > 0)[:NAMED],
            "left": max(len(rows) - NAMED, 0),
        }
        for site, rows in found.items()
    ]


def _percent(part: int, whole: int) -> str:
    """Rounded down, so that 100 means all."""
    tenths = 1000 * part // max(whole, 1)
    return str(tenths // 10) if tenths % 10 == 0 else f"{tenths // 10}.{tenths % 10}"
