"""The demonstration: float weights, an integer model, a golden package, a right and a wrong device, two verdicts."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np

from intref.demo.build import Built, build, check_folder
from intref.errors import FormatError
from intref.golden import suite_path, write_golden
from intref.model import Model
from intref.modelfile import canonical, open_model
from intref.quantize import FloatModel, load
from intref.tensorfile import read_integers
from intref.verify import Report, judge

RECIPE = "w8a8-token"
WRONG_RULE = "rule half_away"  # what the wrong device does to ties; the verdict must say so
BATCH = 100  # phrases at a time
Say = Callable[[str], None]
Told = Callable[[str, int, int], None]
Batch = dict[str, Any]


@dataclass(frozen=True)
class Demo:
    """What the demonstration found; ok: both backends agree, the right device passes, the wrong one is explained.

    same_digest: None where the fast backend could not run. devices: how they were made; source: what of, in a
    directory of its own; command: that compiled it; right_dut, wrong_dut: as `intref verify --dut` takes them.
    """

    same_model: bool
    same_digest: bool | None
    digest: str
    agreeing: int
    sentences: int
    float_right: int
    integer_right: int
    phrases: int
    package: str
    devices: str
    source: str
    command: str
    right_dut: str
    wrong_dut: str
    right: str
    wrong: str
    rule: str

    @property
    def ok(self) -> bool:
        judged = (self.right, self.wrong) == ("equal", "differs") and WRONG_RULE == self.rule
        return self.same_digest is not False and judged

    def json(self) -> str:
        """Everything, as canonical JSON."""
        return canonical({**asdict(self), "ok": self.ok})


def run(output: str, say: Say, told: Told) -> Demo:
    """Carry the demonstration out, telling it line by line; the golden package is left at output.

    The devices, source and all, are left beside it, in OUTPUT-devices.
    """
    folder = Path(f"{output.rstrip('/')}-devices")
    check_folder(folder)
    home = suite_path() / "models" / "sentiment"
    say(f"1. A float model: {home}")
    float_model = load(home)
    model, same = _quantized(float_model, home, say, told)
    facts = _sentences(float_model, model, home, say)
    counts = _accuracy(float_model, model, home, say, told)
    say(f"4. A golden package: {output}")
    batch, _ = _batch(_read_sentences(home))
    package = write_golden(model, batch, output, backend=_backend())
    say("   model, inputs, every tensor, their hashes and the specification of every op: enough to build from")
    verdicts = _devices(package, build(folder), say, told)
    demo = Demo(**{"same_model": same, "package": package, **facts, **counts, **verdicts})
    _farewell(demo, say)
    return demo


def _quantized(float_model: FloatModel, home: Path, say: Say, told: Told) -> tuple[Model, bool]:
    """The committed integer model, and whether quantizing anew on this machine gives the same."""
    made = float_model.quantize(RECIPE, progress=told)
    model = open_model(home / RECIPE / "model.safetensors")
    same = made.hash == model.hash
    say(f"2. Quantized with {RECIPE}: {len(made.nodes)} nodes, integers only, proved free of overflow")
    word = "the same bits as" if same else "other bits than"
    say(f"   Quantizing is float, and repeats on one machine only: here it gives {word} the stored model,")
    say(f"   which is used from here on (SHA-256 {model.hash[:16]}..): its answers are the same everywhere")
    return model, same


def _read_sentences(home: Path) -> list[dict[str, Any]]:
    path = home / "sentences.json"
    rows = json.loads(path.read_text("utf-8"))
    if not isinstance(rows, list) or not rows:
        raise FormatError(f"{path}: expected a list of sentences, found none")
    return rows


def _batch(rows: list[dict[str, Any]]) -> tuple[Batch, np.ndarray]:
    """Token ids and mask [B, T], padded on the right; labels [B]."""
    ids = [row["input_ids"] for row in rows]
    longest = max(map(len, ids))
    padded = np.array([row + [0] * (longest - len(row)) for row in ids], np.int32)
    mask = np.array([[1] * len(row) + [0] * (longest - len(row)) for row in ids], np.int8)
    return {"input_ids": padded, "attention_mask": mask}, np.array([row["label"] for row in rows])


def _sentences(float_model: FloatModel, model: Model, home: Path, say: Say) -> dict[str, Any]:
    """Run the short texts in float and on both integer backends, and print the answers side by side."""
    rows = _read_sentences(home)
    batch, _ = _batch(rows)
    names = float_model.config.labels
    exact = float_model.run(batch)["logits"]
    reference = model.run(batch, "reference")
    logits = reference.float("logits")
    say("3. Eight texts it has not seen: the answer in float, in integers, and by how much")
    agreeing = 0
    for row, f, q in zip(rows, exact, logits):
        agreeing += int(f.argmax() == q.argmax())
        answers = (f"{names[int(x.argmax())]} {_margin(x):.3f}" for x in (f, q))
        say(f"   {' '.join(f'{answer:15}' for answer in answers)} {row['text'][:72]}")
    same = model.run(batch, "fast").digest == reference.digest if _backend() == "fast" else None
    word = {None: "numba is not installed, only the reference ran", True: "the same digest", False: "DIFFERENT DIGESTS"}
    say(f"   reference and fast backend: {word[same]}, {reference.digest[:16]}..")
    return {"same_digest": same, "digest": reference.digest, "agreeing": agreeing, "sentences": len(rows)}


def _backend() -> str:
    return "fast" if find_spec("numba") else "reference"


def _margin(logits: np.ndarray) -> float:
    ordered = np.sort(logits)
    return float(ordered[-1] - ordered[-2])


def _accuracy(float_model: FloatModel, model: Model, home: Path, say: Say, told: Told) -> dict[str, Any]:
    """Right answers on the held-out phrases, in float and in integers."""
    held_out, _ = read_integers(home / "dev.safetensors")
    labels, right = held_out["labels"], {"float": 0, "integer": 0}
    for start in range(0, len(labels), BATCH):
        part = slice(start, start + BATCH)
        mask = held_out["attention_mask"][part]
        longest = int(mask.sum(1).max())
        batch = {"input_ids": held_out["input_ids"][part, :longest], "attention_mask": mask[:, :longest]}
        answers = {"float": float_model.run(batch)["logits"], "integer": model.run(batch, _backend()).outputs["logits"]}
        for kind, logits in answers.items():
            right[kind] += int((logits.argmax(1) == labels[part]).sum())
        told("1,000 phrases", min(start + BATCH, len(labels)), len(labels))
    say(f"   {len(labels)} held-out phrases: {right['float']} right in float, {right['integer']} in integers")
    return {"float_right": right["float"], "integer_right": right["integer"], "phrases": len(labels)}


def _devices(package: str, built: Built, say: Say, told: Told) -> dict[str, Any]:
    """Judge the two devices of this package."""
    say(f"5. Two devices under test, {built.how}, built from that specification alone")
    right, wrong = (_judged(package, name, dut, told) for name, dut in built.duts.items())
    say(f"   the right one: {right.verdict}, {_counted(right)}")
    say(f"   the wrong one, which rounds ties of rescale_token away from zero: {wrong.verdict}, {_counted(wrong)}")
    found = [case for case in wrong.cases if case.mode == "isolated" and case.verdict == "differs"]
    for case in found[:2]:
        say("\n".join(f"     {line}" for line in wrong.told(case)))
    if len(found) > 2:
        say(f"     and {len(found) - 2} more")
    if (first := wrong.first_divergence()) is not None:
        say(f"   run as a whole, its first difference shows at {first.id}")
    rules = set.intersection(*({*case.rules} for case in found)) if found else set()
    rule = " or ".join(sorted(rules))
    say(f"   what explains every wrong output of all {len(found)}: {rule or 'nothing known'}")
    duts = {f"{name}_dut": dut for name, dut in built.duts.items()}
    verdicts = {"right": right.verdict, "wrong": wrong.verdict, "rule": rule}
    return {"devices": built.how, "source": str(built.source), "command": built.command, **duts, **verdicts}


def _judged(package: str, name: str, dut: str, told: Told) -> Report:
    return judge(package, dut, progress=lambda done, total, _: told(f"judge the {name} device", done, total))


def _counted(report: Report) -> str:
    cases = [case for case in report.cases if case.mode == "isolated"]
    return f"{sum(case.verdict == 'equal' for case in cases)} of {len(cases)} nodes equal on golden inputs"


def _farewell(demo: Demo, say: Say) -> None:
    if not demo.ok:
        say("\nThe demonstration FAILED: see above for what is not as it should be")
        return
    say(f"\nThe source of both devices, a template to start one of your own from: {demo.source}")
    if demo.command:
        say(f"   compiled with: {demo.command}")
    say("Next:")
    package, wrong = quote(str(demo.package)), quote(demo.wrong_dut)
    commands = {
        f"intref verify {package} --dut {wrong}": "the whole verdict on the wrong device",
        f"intref step {package} --op logits --at 0,0": "one element's whole arithmetic",
        "intref quantize CHECKPOINT -o model.safetensors": "a model of your own",
        "intref audit model.safetensors": "proof that no float is left",
    }
    width = max(map(len, commands))
    for command, why in commands.items():
        say(f"   {command:{width}}   {why}")
