"""Run every oracle that is installed, write golden/oracles/, and the table of all oracles into README.md.

    python tools/make_oracles.py [ORACLE ..]     run these (all), write their rows, renew README's table
    python tools/make_oracles.py --table         renew README's table only
    python tools/make_oracles.py --check         exit 1 if README's table is not that of golden/oracles/

An oracle is a module of tests/oracles. The rows of one that can only be had as source, and was run beside the project,
are in golden/oracles/ by hand; they say so.
"""

import importlib
import json
import pkgutil
import platform
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import oracles  # noqa: E402
from intref.atomic import write_atomically  # noqa: E402
from intref.dialects.oracles import by_profile, rows  # noqa: E402
from intref.profiles import load_profile  # noqa: E402

FOLDER = ROOT / "golden" / "oracles"
README = ROOT / "README.md"
NUMBERS = ("cases", "separating", "mismatches")
COMMIT = re.compile(r"\b[0-9a-f]{40}\b")
BEGIN, END = "<!-- oracles: written by tools/make_oracles.py -->\n", "<!-- end of oracles -->\n"
SUMS = "| profile | ops | oracles | cases | separating | mismatches |\n|---|---|---|---|---|---|\n"
HEAD = "| profile | op | oracle | cases | separating | mismatches | |\n|---|---|---|---|---|---|---|\n"
FOLDED = "\n<details><summary>Every op and oracle</summary>\n\n{}\n</details>\n"


def run(name: str) -> bool:
    """Write the rows of one oracle; False where it is not installed."""
    try:
        found = [tally.json() for tally in importlib.import_module(f"oracles.{name}").tallies()]
    except ImportError as error:
        print(f"{name}: not run, there is no {error.name}")
        return False
    cpu = f"{platform.machine()} {_cpu()}".strip()
    text = json.dumps({"cpu": cpu, "rows": found}, indent=1, sort_keys=True) + "\n"
    FOLDER.mkdir(exist_ok=True)
    write_atomically(FOLDER / f"{name}.json", text.encode())
    print(f"{name}: {len(found)} rows, {sum(row['mismatches'] for row in found)} mismatches")
    return True


def _cpu() -> str:
    """The processor's name; what an oracle computes may depend on it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def table() -> str:
    """README's tables: a row for each profile, and folded, one for each profile, op and oracle."""
    sums = (_sum(profile, found) for profile, found in by_profile().items())
    return SUMS + "".join(sums) + FOLDED.format(HEAD + "".join(map(_line, rows())))


def _sum(profile: str, found: list[dict[str, Any]]) -> str:
    heads = Counter(_head(name) for name in {row["oracle"] for row in found})
    names = [_head(row["oracle"]) if heads[_head(row["oracle"])] > 1 else row["oracle"] for row in found]
    oracles = ", ".join(dict.fromkeys(names))
    numbers = " | ".join(f"{sum(row[key] for row in found):,}" for key in NUMBERS)
    status = "" if load_profile(profile).status == "stable" else " (experimental)"
    return f"| `{profile}`{status} | {len({row['op'] for row in found})} | {oracles} | {numbers} |\n"


def _head(oracle: str) -> str:
    """Its first two words: ONNX Runtime, whichever of its operators."""
    return " ".join(oracle.split()[:2])


def _line(row: dict[str, Any]) -> str:
    beside = "beside the project" if row.get("where") else ""
    note = "; ".join(text for text in (beside, row.get("note", "")) if text)
    numbers = " | ".join(f"{row[key]:,}" for key in NUMBERS)
    version = COMMIT.sub(lambda found: found[0][:12], row["version"])
    return f"| {row['profile']} | {row['op']} | {row['oracle']} {version} | {numbers} | {note} |\n"


def readme() -> str:
    """README.md with its table as it should be."""
    text = README.read_text("utf-8")
    before, rest = text.split(BEGIN)
    return before + BEGIN + table() + rest[rest.index(END) :]


def _all() -> Iterator[str]:
    yield from sorted(module.name for module in pkgutil.iter_modules(oracles.__path__))


@click.command(help=__doc__)
@click.argument("names", nargs=-1)
@click.option("--table", "only_table", is_flag=True)
@click.option("--check", is_flag=True)
def main(names: tuple[str, ...], only_table: bool, check: bool) -> None:
    if check:
        if readme() != README.read_text("utf-8"):
            print("README.md: its table of oracles would change")
            sys.exit(1)
        return
    for name in () if only_table else names or _all():
        run(name)
    write_atomically(README, readme().encode())


if __name__ == "__main__":
    main()
