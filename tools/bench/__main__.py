"""Our kernels beside onnxruntime's and torch's, on the same work, in one process: a table of ratios.

    python tools/bench [-t THREADS]... [-k WORD] [--seconds S] [--json FILE]

A ratio is the peer's time over ours: above 1 we are faster. Needs the extra `bench`.
"""

import json
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent)]

import click  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402
from timing import Time, measure  # noqa: E402

OURS = "intref"


@click.command()
@click.option("-t", "--threads", multiple=True, type=click.IntRange(1), default=(1, 2), help="once or more; 1 and 2")
@click.option("-k", "word", default="", help="only rows whose name holds this")
@click.option("--seconds", default=1.0, help="for each candidate of a row")
@click.option("--json", "output", type=click.Path(path_type=Path), help="all times, to this file")
def main(threads: tuple[int, ...], word: str, seconds: float, output: Path | None) -> None:
    """Our kernels beside those of onnxruntime and torch."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, str(max(threads)))
    from work import rows

    console, about, found = Console(), machine(), []
    console.print(*(f"{key}: {value}" for key, value in about.items()), sep="\n")
    for count in threads:
        table = Table(*("work", "ours", "GOP/s", "best peer", "its time", "ratio", "goal"), title=f"{count} thread(s)")
        for row in rows(count, lambda name: word in name):
            times = measure({OURS: row.ours, **row.peers}, count, seconds)
            found.append({"threads": count, "work": row.name, "goal": row.goal, **told(times)})
            table.add_row(*cells(row, times))
        console.print(table)
    if output:
        from intref.atomic import write_atomically

        write_atomically(output, (json.dumps({**about, "rows": found}, indent=1) + "\n").encode())


def told(times: Mapping[str, Time]) -> dict[str, Any]:
    return {"seconds": {name: vars(taken) for name, taken in times.items()}}


def cells(row: Any, times: Mapping[str, Time]) -> list[str]:
    """By the best times; a median ratio that says otherwise is for the JSON."""
    ours = times[OURS].best
    peer, theirs = min(((name, times[name].best) for name in row.peers), key=lambda pair: pair[1])
    speed = f"{row.operations / ours / 1e9:.0f}" if row.operations else ""
    return [row.name, in_units(ours), speed, peer, in_units(theirs), f"{theirs / ours:.2f}", f"{row.goal:g}"]


def in_units(seconds: float) -> str:
    return f"{seconds * 1e6:.1f} us" if seconds < 1e-3 else f"{seconds * 1e3:.2f} ms"


def machine() -> dict[str, str]:
    """What a ratio depends on."""
    import numpy
    import onnxruntime
    import torch

    from intref.kernels.isa import ISA, available

    model = ""
    if (cpuinfo := Path("/proc/cpuinfo")).exists():
        model = next(
            (line.split(":")[1].strip() for line in cpuinfo.read_text().split("\n") if "model name" in line), ""
        )
    return {
        "CPU": f"{model or platform.processor()}, {os.cpu_count()} in sight",
        "intref": f"by {ISA}, of {', '.join(available())}",
        "numpy": numpy.__version__,
        "onnxruntime": onnxruntime.__version__,
        "torch": f"{torch.__version__}, {torch.backends.cpu.get_cpu_capability()}",
    }


if __name__ == "__main__":
    main()
