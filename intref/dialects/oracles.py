"""What oracles said of each profile: the rows of golden/oracles, each written by a run against one of them."""

import json
from typing import Any

from intref.golden import suite_path

FOLDER = "oracles"


def rows() -> list[dict[str, Any]]:
    """Every row, by profile, op and oracle."""
    folder = suite_path() / FOLDER
    files = sorted(folder.glob("*.json")) if folder.is_dir() else []
    found = [row for path in files for row in json.loads(path.read_text("utf-8"))["rows"]]
    return sorted(found, key=lambda row: (row["profile"], row["op"], row["oracle"]))


def by_profile() -> dict[str, list[dict[str, Any]]]:
    """The rows of each profile that has any."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows():
        found.setdefault(row["profile"], []).append(row)
    return found
