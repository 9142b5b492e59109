"""Does a sweep find what is wrong, end in one digest however it got there, and refuse a state that is not its own?"""

import io
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from intref import judge
from intref.cli.main import main
from intref.digest import digest
from intref.errors import FormatError, SpecError, Unsupported
from intref.golden import read_golden
from intref.run import execute
from intref.sweep import KERNELS, Task, judge_answers, requests, sweep, write_failures
from intref.sweep import chunks as module
from intref.vectors import cases

pytest.importorskip("numba")
PIPED = os.path.join(os.path.dirname(__file__), "devices", "piped.py")
DEVICE = """
import intref

def right(op, inputs, attrs):
    return intref.call(op, inputs, attrs)

def rounds_half_up(op, inputs, attrs):
    rules = {"half_even": "half_up"}
    return intref.call(op, inputs, {**attrs, **({"rounding": rules.get(attrs["rounding"], attrs["rounding"])})})

def no_table(op, inputs, attrs):
    return None if op == "table" else intref.call(op, inputs, attrs)

def dies(op, inputs, attrs):
    raise SystemExit(3)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "swept_device.py").write_text(DEVICE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def device(name):
    return f"py:swept_device.py:{name}"


def test_kernels_and_a_right_device_end_in_the_same_digest(place):
    found = sweep(Task(("clamp", "table"), 2, count=70))
    assert found.exit_code == 0 and found.complete and found.cases == 140
    beside = sweep(Task(("clamp", "table"), 2, dut=device("right"), count=70))
    assert beside.exit_code == 0 and beside.digest == found.digest


def test_another_seed_has_another_digest():
    one, two = (sweep(Task(("table",), 2, seed=seed, count=40)) for seed in (0, 1))
    assert one.digest != two.digest


def test_a_wrong_device_is_found_and_its_failures_can_be_replayed(place):
    found = sweep(Task(("rescale",), 1, dut=device("rounds_half_up")), max_failures=3)
    assert found.exit_code == 1 and not found.complete and len(found.failures) >= 3
    assert all(f.kind == "differs" and f.op == "rescale" for f in found.failures)
    (path,) = write_failures(found, place / "failing")
    package = read_golden(path)
    assert len(package.cases) == len(found.failures)
    for case, failure in zip(package.cases, found.failures):
        assert case.why.startswith(f"{failure.id}: ") and np.array_equal(
            case.inputs["x"], cases("rescale")[failure.number].tensors["x"]
        )
    assert judge(path, device("rounds_half_up")).verdict == "differs"
    assert judge(path, device("right")).verdict == "equal"


def test_what_is_not_supported_did_not_run(place):
    found = sweep(Task(("clamp", "table"), 1, dut=device("no_table")))
    assert found.exit_code == 3 and found.ops["table"].unsupported == len(cases("table"))
    assert found.ops["clamp"].equal == len(cases("clamp"))


def test_a_device_that_dies_fails_its_cases(place):
    found = sweep(Task(("table",), 1, dut=device("dies"), count=3))
    assert found.exit_code == 1 and [f.kind for f in found.failures] == ["crashed"] * 3


def test_a_wrong_kernel_is_told_from_a_wrong_device(place, monkeypatch):
    def broken(op, tensors, attrs, backend):
        made = execute(op, tensors, attrs, backend)
        return {k: v ^ 1 for k, v in made.items()} if backend == "fast" else made

    monkeypatch.setattr(module, "execute", broken)
    assert [f.kind for f in sweep(Task(("clamp",), 1, dut=device("right"), count=2)).failures] == ["kernel"] * 2
    assert {f.kind for f in sweep(Task(("clamp",), 1, count=2)).failures} == {"differs"}


def test_a_sweep_in_parts_ends_as_one_in_one_go(place):
    task = Task(("clamp", "table"), 2, count=150)
    whole = sweep(task)

    class Stop(Exception):
        pass

    def stop_at(limit):
        def progress(op, done, size):
            limit.append(op)
            if len(limit) == 2:
                raise Stop

        return progress

    for _ in range(2):
        with pytest.raises(Stop):
            sweep(task, place / "state.json", progress=stop_at([]))
    found = sweep(task, place / "state.json")
    assert found.json() == whole.json() == sweep(task, place / "state.json").json()


def test_a_sweep_that_is_killed_goes_on(place):
    words = ["sweep", "table", "clamp", "--level", "2", "--count", "700", "--json"]
    line = [sys.executable, "-m", "intref", *words, "--state", "state.json"]
    child = subprocess.Popen(line, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": ":".join(sys.path)})
    deadline = time.monotonic() + 60
    while not (place / "state.json").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    kept = json.loads((place / "state.json").read_text())
    assert 0 < sum(t["done"] for t in kept["ops"].values()) < 1400, "it was not killed in the middle"
    found = sweep(Task(("table", "clamp"), 2, count=700), place / "state.json")
    assert found.complete and found.json() == sweep(Task(("table", "clamp"), 2, count=700)).json()


@pytest.mark.parametrize(
    "other",
    [{"seed": 1}, {"level": 1}, {"ops": ("table", "clamp")}, {"count": 9}, {"dut": "py:swept_device.py:right"}],
    ids=lambda change: next(iter(change)),
)
def test_a_state_of_another_sweep_is_refused(place, other):
    given = {"ops": ("clamp",), "level": 2, "count": 3}
    sweep(Task(**given), place / "state.json")
    before = (place / "state.json").read_bytes()
    with pytest.raises(FormatError, match=r"state\.json: the state of another sweep: expected"):
        sweep(Task(**{**given, **other}), place / "state.json")
    assert (place / "state.json").read_bytes() == before


@pytest.mark.parametrize(
    "harm",
    [
        lambda s: s.update(kind="coverage"),
        lambda s: s.update(task=3),
        lambda s: s["task"].update(spec="0"),
        lambda s: s["ops"]["clamp"].update(done=99),
        lambda s: s["ops"]["clamp"].update(more=1),
        lambda s: s.update(digest="xyz"),
        lambda s: s.update(failures=[{}]),
        lambda s: s["ops"]["clamp"].update(elements="many"),
        lambda s: s.update(failures=[{"op": "clamp", "number": 77, "id": "", "kind": "", "detail": ""}]),
        lambda s: s.update(failures=[{"op": ["clamp"], "number": 0, "id": "", "kind": "", "detail": ""}]),
        lambda s: s.update(failures=7),
    ],
)
def test_a_damaged_state_is_refused_in_one_line(place, harm):
    sweep(Task(("clamp",), 2, count=3), place / "state.json")
    state = json.loads((place / "state.json").read_text())
    harm(state)
    (place / "state.json").write_text(json.dumps(state))
    with pytest.raises(FormatError) as caught:
        sweep(Task(("clamp",), 2, count=3), place / "state.json")
    assert "\n" not in str(caught.value) and "state.json" in str(caught.value)


def test_a_device_that_was_rebuilt_is_another_device(place):
    sweep(Task(("clamp",), 1, dut=device("right"), count=2), place / "state.json")
    (place / "swept_device.py").write_text(DEVICE + "# rebuilt\n")
    with pytest.raises(FormatError, match="dut_sha256"):
        sweep(Task(("clamp",), 1, dut=device("right"), count=2), place / "state.json")


def test_an_unknown_op_level_or_device_is_refused_before_anything_runs(place):
    for task, error in (
        (Task(("softmax",), 2), SpecError),
        (Task(("clamp",), 7), SpecError),
        (Task(("clamp",), 1, dut="bus:0"), Unsupported),
    ):
        with pytest.raises(error):
            sweep(task, place / "state.json")
        assert not (place / "state.json").exists()


def answer_lines(task, change=lambda lines: lines):
    from intref.devices.protocol import tensor_text
    from intref.ops import OPS

    lines = ["intref-pipe 1"]
    for request in requests(task):
        made = execute(OPS[request.op], request.inputs, request.attrs, "reference")
        lines.append(" ".join([request.id, *(tensor_text(n, t) for n, t in made.items())]))
    return [f"{line}\n".encode() for line in change(lines)]


def test_answers_are_judged_in_order():
    task = Task(("table",), 2, dut="recorded answers", count=30)
    found = judge_answers(task, answer_lines(task))
    assert found.exit_code == 0 and found.digest == sweep(Task(("table",), 2, count=30)).digest


@pytest.mark.parametrize(
    ("change", "kind", "code"),
    [
        (lambda lines: lines[:-2], "not_run", 3),
        (lambda lines: [*lines[:3], lines[3][:-1] + "0", *lines[4:]], "differs", 1),
        (lambda lines: [*lines[:3], lines[4], *lines[4:]], "malformed", 1),
        (lambda lines: [*lines[:3], "nonsense", *lines[4:]], "malformed", 1),
        (lambda lines: [*lines[:3], lines[3].split(" ")[0] + " y:int8[1]=00", *lines[4:]], "malformed", 1),
    ],
    ids=["too few", "a wrong digit", "another id", "no answer", "another shape"],
)
def test_wrong_answers_are_told_apart(change, kind, code):
    task = Task(("table",), 1, count=6)
    found = judge_answers(task, answer_lines(task, change), max_failures=9)
    assert found.exit_code == code and {f.kind for f in found.failures} == {kind}


def test_an_unsupported_answer_did_not_run():
    task = Task(("table",), 1, count=3)
    found = judge_answers(task, answer_lines(task, lambda lines: [*lines[:3], "table-0002 unsupported"]))
    assert found.exit_code == 3 and found.ops["table"].unsupported == 1


def test_answers_to_more_than_was_asked_are_refused():
    task = Task(("table",), 1, count=3)
    with pytest.raises(FormatError, match="expected 3, found more"):
        judge_answers(task, answer_lines(Task(("table",), 1, count=4)))


def test_answers_without_their_header_are_refused():
    for lines in ([], [b"hello\n"]):
        with pytest.raises(FormatError, match="first line"):
            judge_answers(Task(("table",), 1), lines)


def test_gen_device_and_sweep_make_a_pipeline(place):
    python = f"{sys.executable} -m intref"
    line = (
        f"{python} gen table --level 2 --count 20 | {sys.executable} {PIPED} right "
        f"| {python} sweep table --level 2 --count 20 --answers - --json"
    )
    env = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    words = ["bash", "-o", "pipefail", "-c", line]
    done = subprocess.run(words, check=False, capture_output=True, env=env, timeout=120)
    answer = json.loads(done.stdout)
    assert done.returncode == 0 and answer["complete"] and answer["ops"]["table"]["equal"] == 20
    assert answer["digest"] == sweep(Task(("table",), 2, count=20)).digest


def test_gen_writes_lines_and_packages(place, capsys):
    assert main(["gen", "clamp", "--count", "2"]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header == "intref-pipe 1" and [line.split(" ")[:2] for line in lines] == [
        ["clamp-0000", "clamp"],
        ["clamp-0001", "clamp"],
    ]
    assert main(["gen", "clamp", "--count", "2", "-o", "lines.txt"]) == 0
    assert (place / "lines.txt").read_text().splitlines() == [header, *lines]
    assert main(["gen", "clamp", "--level", "2", "--count", "25", "--form", "dir", "-o", "gold", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["cases"] == 25
    made = read_golden(place / "gold").cases[24]
    assert digest(made.inputs) == digest([*requests(Task(("clamp",), 2, count=25))][24].inputs)


@pytest.mark.parametrize(
    "words",
    [
        ["gen", "softmax"],
        ["gen", "clamp", "--form", "dir"],
        ["gen", "clamp", "--json"],
        ["gen", "clamp", "-o", "nowhere/at/all"],
        ["gen", "clamp", "--level", "4"],
        ["sweep", "softmax"],
        ["sweep", "clamp", "--answers", "missing.txt"],
        ["sweep", "clamp", "--answers", "-", "--dut", "py:a:b"],
        ["sweep", "clamp", "table", "--answers", "-"],
        ["sweep", "clamp", "--dut", "py:swept_device.py:nothing"],
        ["sweep", "clamp", "--state", "nowhere/state.json"],
        ["sweep", "clamp", "--count", "0"],
    ],
    ids=" ".join,
)
def test_bad_arguments_are_one_line_and_exit_code_2(place, capsys, monkeypatch, words):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"intref-pipe 1\n")))
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1


def test_the_command_prints_a_table_a_digest_and_how_to_replay(place, capsys):
    words = ["sweep", "rescale", "--level", "1", "--dut", device("rounds_half_up"), "--failures", "failing"]
    assert main(words) == 1
    text = capsys.readouterr().out
    assert "replay: intref verify failing/rescale --dut py:swept_device.py:rounds_half_up" in text
    assert f"digest {sweep(Task(('rescale',), 1, dut=device('rounds_half_up'))).digest}" in text
    assert main(["sweep", "clamp", "--level", "1", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["task"]["dut"] == KERNELS and answer["exit_code"] == 0 and answer["packages"] == []
