"""What README promises in numbers is what is committed."""

import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from intref.golden import suite_path
from intref.ops import OPS
from intref.selftest import published

README = Path(__file__).resolve().parent.parent / "README.md"


def sums() -> dict[str, int]:
    found = published()
    rows = [*found["ops"].values(), found["vocabulary"]]
    total = {kind: sum(row[kind]["killed"] for row in rows) for kind in ("mutants", "faults")}
    total["equivalent"] = sum(row[kind]["equivalent"] for row in rows for kind in ("mutants", "faults"))
    total["cases"] = sum(row["cases"] for row in found["ops"].values())
    total["bins"] = sum(row["coverage"]["hit"] for row in found["ops"].values())
    for key in ("unreachable", "beyond"):
        total[key] = sum(row["coverage"][key] for row in found["ops"].values())
    return total


def test_does_the_table_of_scores_say_what_their_json_does():
    spec = spec_from_file_location("make_score", README.parent / "tools" / "make_score.py")
    tool = module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert suite_path().joinpath("SCORE.md").read_text("utf-8") == tool.shown(published())


@pytest.mark.parametrize("tool", ["make_oracles", "measure_profiles", "make_budgets"])
def test_are_the_tables_those_of_what_was_measured(tool):
    command = [sys.executable, README.parent / "tools" / f"{tool}.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("cases", rf"{len(OPS)} ops, ([\d,]+) cases"),
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
