"""Write golden/score.json: how many planted bugs the directed vectors of each op find.

    python tools/make_score.py            score every op and write the file
    python tools/make_score.py --check    exit 1 if the file would change, or if a bug survives

{"schema": 1, "spec": .., "ops": {op: {"cases", "mutants": {"killed", "total", "equivalent"}, "faults": {..}}},
"vocabulary": the same for the words that bodies are made of}; total leaves out what is equivalent.
"""

import json
import sys
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from intref.atomic import write_atomically  # noqa: E402
from intref.model import SPEC_VERSION  # noqa: E402
from intref.ops import OPS  # noqa: E402
from intref.selftest import SCORE, OpScore, score, score_vocabulary  # noqa: E402
from intref.selftest.exhaustive import SPACES, exhausted  # noqa: E402

SCHEMA = 1


def made(scores: list[OpScore], vocabulary: OpScore) -> bytes:
    """The file's bytes: canonical JSON and a newline."""
    ops = {one.op: one.json() for one in scores}
    table = {"schema": SCHEMA, "spec": SPEC_VERSION, "ops": ops, "vocabulary": vocabulary.json()}
    return (json.dumps(table, sort_keys=True, separators=(",", ":")) + "\n").encode()


@click.command(help=__doc__)
@click.option("--check", is_flag=True, help="Compare only.")
@click.option("--golden", type=click.Path(path_type=Path), default=ROOT / "golden", show_default="golden/")
def main(check: bool, golden: Path) -> None:
    scores, vocabulary = [score(name) for name in OPS], score_vocabulary()
    survivors = [f"{one.op}: {what}" for one in (*scores, vocabulary) for what in (*one.survivors, *one.stale)]
    print(*survivors, sep="\n", end="\n" * bool(survivors))
    for name in SPACES:
        print(*(f"{name}: {what}: {how}" for what, how in exhausted(name).items()), sep="\n")
    path, data = golden / SCORE, made(scores, vocabulary)
    if not check:
        write_atomically(path, data)
    elif not path.is_file() or path.read_bytes() != data:
        print(f"{path}: would change")
        sys.exit(1)
    sys.exit(bool(survivors))


if __name__ == "__main__":
    main()
