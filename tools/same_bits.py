"""The same digest everywhere: both backends, 1 and 2 threads, cold and warm cache, two processes, AVX-512 off.

    python tools/same_bits.py MODEL.safetensors...

Every row is a child process of its own. Exit 1 unless all rows of a model agree.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

CHILD = """
import json, sys, numpy as np, intref
model, backend = intref.open(sys.argv[1]), sys.argv[2]
length = min(model.dims["T"], 40)
ids = (np.arange(6 * length).reshape(6, length) * 7919 + 13) % (model.tensors["input_ids"].range[1] + 1)
mask = (np.arange(length) < np.array([[length], [1], [2], [7], [length // 2], [length - 1]])).astype(np.int8)
result = model.run({"input_ids": ids, "attention_mask": mask}, backend=backend, trace="all")
print(json.dumps([result.digest, result.trace_digest]))
"""
PLAIN_CPU = {"NUMBA_CPU_NAME": "x86-64-v3", "NUMBA_CPU_FEATURES": "+avx2,+avx,+sse4.2,-avx512f"}
ROWS = [
    ("reference", "reference", {}),
    ("fast, cold cache", "fast", {}),
    ("fast, warm cache, another process", "fast", {}),
    ("fast, 1 thread", "fast", {"INTREF_THREADS": "1"}),
    ("fast, 2 threads", "fast", {"INTREF_THREADS": "2"}),
    ("fast, no AVX-512, 2 threads", "fast", {**PLAIN_CPU, "INTREF_THREADS": "2"}),
    ("fast, generic CPU", "fast", {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}),
]


def digests(model: Path, backend: str, setting: dict[str, str], cache: str) -> tuple[str, str]:
    """(digest, trace digest) of a fixed batch of unequal lengths, from a child process."""
    env = {**os.environ, "NUMBA_CACHE_DIR": cache, **setting}
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(model), backend], env=env, capture_output=True, text=True, check=False
    )
    if child.returncode:
        raise click.ClickException(child.stderr.strip().splitlines()[-1])
    first, second = json.loads(child.stdout)
    return first, second


@click.command(help=__doc__)
@click.argument("models", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(models: tuple[Path, ...]) -> None:
    same = True
    for model in models:
        table = Table("how", "digest", "trace digest", title=str(model))
        with tempfile.TemporaryDirectory() as cache:
            found = [digests(model, backend, setting, cache) for _, backend, setting in ROWS]
        for (how, _, _), (first, second) in zip(ROWS, found):
            table.add_row(how, first[:16], second[:16])
        Console(width=100).print(table)
        same &= len(set(found)) == 1
    sys.exit(not same)


if __name__ == "__main__":
    main()
