"""What README promises in numbers is what is committed."""

import json
import re
from pathlib import Path

import pytest

from intref.golden import suite_path

README = Path(__file__).resolve().parent.parent / "README.md"


def sums() -> dict[str, int]:
    found = json.loads(suite_path().joinpath("score.json").read_text("utf-8"))
    rows = [*found["ops"].values(), found["vocabulary"]]
    total = {kind: sum(row[kind]["killed"] for row in rows) for kind in ("mutants", "faults")}
    total["equivalent"] = sum(row[kind]["equivalent"] for row in rows for kind in ("mutants", "faults"))
    total["cases"] = sum(row["cases"] for row in found["ops"].values())
    total["bins"] = sum(row["coverage"]["hit"] for row in found["ops"].values())
    for key in ("unreachable", "beyond"):
        total[key] = sum(row["coverage"][key] for row in found["ops"].values())
    return total


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("cases", r"85 ops, ([\d,]+) cases"),
        ("mutants", r"\| mutants .* \| ([\d,]+) of [\d,]+ \|"),
        ("faults", r"\| faults .* \| ([\d,]+) of [\d,]+ \|"),
        ("equivalent", r"\| equivalent, .* \| ([\d,]+) \|"),
        ("bins", r"\| arithmetic corners \| ([\d,]+) of [\d,]+;"),
        ("unreachable", r"; ([\d,]+) more are unreachable"),
        ("beyond", r"and ([\d,]+) take calls too large to store"),
    ],
)
def test_does_readme_say_what_the_published_scores_do(what, pattern):
    (told,) = re.findall(pattern, README.read_text("utf-8"))
    assert int(told.replace(",", "")) == sums()[what]
