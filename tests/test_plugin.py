"""The pytest plugin, run as its users run it: in a pytest of its own, in an empty directory."""

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from intref.golden import read_golden
from intref.testing import corner_cases

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parents[1]
EVEN = 'rounding="half_even", output="int8", input_zero_point=0, output_zero_point=0, low=-128, axis=-1'
KERNEL = """
import numpy as np
import pytest
from intref.testing import assert_bitexact, assert_call, assert_op

def away(x, multiplier, shift, **_):
    product = x.astype(np.int64) * multiplier
    half = np.left_shift(1, shift, dtype=np.int64) >> 1
    return np.clip(np.sign(product) * (np.abs(product) + half >> shift), -128, 127).astype(np.int8)
"""


@pytest.fixture
def user(pytester, monkeypatch):
    """run(test file's text, options): pytest in a directory that has only that."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    installed = entry_points(group="pytest11", name="intref")

    def run(text, *options):
        pytester.makepyfile(test_mine=KERNEL + text)
        given = () if installed else ("-p", "intref.testing.plugin")
        return pytester.runpytest_subprocess(*given, "-p", "no:cacheprovider", *options)

    run.path = pytester.path
    return run


def intref(user, *words):
    command = [sys.executable, "-m", "intref", *words]
    return subprocess.run(command, cwd=user.path, capture_output=True, text=True, timeout=120, check=False)


CHOSEN = {"rounding": "half_even", "output": "int8", "input_zero_point": 0, "output_zero_point": 0, "low": -128}
MARKED = f"""
@pytest.mark.intref_op("rescale", {EVEN})
def test_rescale(intref_check):
    intref_check(away)
"""


def test_does_a_mark_run_a_test_for_each_corner_case(user):
    cases = corner_cases("rescale", **CHOSEN, axis=-1)
    result = user(MARKED.replace("intref_check(away)", "pass"), "--strict-markers", "-v")
    result.assert_outcomes(passed=len(cases))
    result.stdout.fnmatch_lines([f"test_mine.py::test_rescale?{case.id}? PASSED*" for case in cases])


def test_does_a_level_add_cases(user):
    marked = '@pytest.mark.intref_op("add_bias", output="int8")\ndef test_it(intref_case): pass'
    count = len(corner_cases("add_bias", 2, output="int8"))
    user(marked, "--intref-level", "2", "--collect-only", "-q").stdout.fnmatch_lines([f"{count} tests collected in *"])


def test_does_a_failure_name_rule_smallest_case_and_replay(user):
    result = user(MARKED, "--intref-save-failures", "failures", "-k", "rescale-0072")
    result.assert_outcomes(failed=1, deselected=len(corner_cases("rescale", **CHOSEN, axis=-1)) - 1)
    result.stdout.fnmatch_lines(
        [
            "E * rescale (half_even: ties): 4 / 24 differ (16.67 %), all |d| = 1",
            "E * first at [[]4]: dut -3 (0xfd) golden -2 (0xfe) xor 0x03   acc -5  scaled -2.500000*",
            "E * all on exact ties *half_away explains 100.000 % of 24 outputs",
            "E * smallest failing case: 1 element, x = 1, multiplier = 1, shift = 1, *",
            "E * replay: intref step failures/test_mine.py-test_rescale-rescale-0072 --op rescale-0000 --at 4",
            "intref: 1 failing call saved as golden packages under failures",
        ]
    )


def test_can_a_saved_failure_be_replayed_and_judged(user):
    user(MARKED, "--intref-save-failures", "failures", "-k", "rescale-0072")
    saved = "failures/test_mine.py-test_rescale-rescale-0072"
    found, smallest = read_golden(user.path / saved).cases
    assert (found.why, smallest.why) == ("half_even: ties", "the smallest failing case")
    assert smallest.inputs["x"].size == 1
    step = intref(user, "step", saved, "--op", "rescale-0000", "--at", "4")
    assert step.returncode == 0 and "result -2 (0xfe), int8, as stored" in step.stdout
    (user.path / "device.py").write_text(
        "from test_mine import away\ndef device(op, t, a):\n    return {'y': away(**t, **a)}\n"
    )
    judged = intref(user, "verify", saved, "--dut", "py:device.py:device")
    assert judged.returncode == 1 and "2 differ" in judged.stdout


@pytest.mark.parametrize(
    "body",
    [
        f'def test_it():\n    assert_op("rescale", away, {EVEN})',
        f"""
from hypothesis import Phase, given, settings
from intref.testing.strategies import calls
@settings(database=None, derandomize=True, max_examples=1000, phases=[Phase.generate])
@given(calls("rescale", dtypes={{"x": "int8"}}, {EVEN}, high=127))
def test_it(call):
    if call[0]["shift"].max() < 62:
        assert_call("rescale", away, *call)
""",
        f"""
@pytest.mark.intref_op("rescale", {EVEN})
def test_it(intref_case, intref_reference):
    intref_case.tensors["x"] = intref_case.tensors["x"] + 0
    assert_bitexact(away(**intref_case.tensors), intref_reference["y"])
""",
        f"""
@pytest.mark.intref_op("rescale", {EVEN})
def test_it(intref_case):
    raise ValueError("in the kernel")
""",
    ],
    ids=["assert_op", "hypothesis", "plain tensors", "a crash"],
)
def test_is_a_failure_saved_whatever_finds_it(user, body):
    result = user(body, "--intref-save-failures", "a dir/deep", "-x")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E * replay: intref step 'a dir/deep/test_mine.py-test_it*' --op rescale-0000 --at *"])
    (saved,) = (user.path / "a dir" / "deep").iterdir()
    assert read_golden(saved).cases[0].attrs["rounding"] == "half_even"


CLAMP = """
def wrong(x, low, high):
    return x
X = {"x": np.array([[-9, 0, 9], [4, 5, 6]], np.int8)}
"""


def test_has_every_failing_test_a_directory_of_its_own(user):
    text = """
@pytest.mark.parametrize("p", ["a/b", "a-b", "a:b", "a b", "A-b"])
def test_clash(p):
    assert_call("clamp", wrong, X, {"low": -5, "high": 5})
"""
    result = user(CLAMP + text, "--intref-save-failures", "failures")
    result.assert_outcomes(failed=5)
    result.stdout.fnmatch_lines(["intref: 5 failing calls saved as golden packages under failures"])
    names = {path.name.lower() for path in (user.path / "failures").iterdir()}
    assert len(names) == 5 and "test_mine.py-test_clash-a-b" in names


def test_is_a_kernel_that_skips_or_exits_on_small_shapes_a_failure(user):
    text = """
@pytest.mark.parametrize("end", [lambda: pytest.skip("small"), lambda: exit(7)], ids=["skip", "exit"])
def test_it(end):
    assert_call("clamp", lambda x, low, high: x if x.size == 6 else end(), X, {"low": -5, "high": 5})
"""
    result = user(CLAMP + text, "--intref-save-failures", "failures")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["E * clamp: 3 / 6 differ *"] * 2)


def test_do_workers_of_xdist_say_what_they_saved(user):
    pytest.importorskip("xdist")
    text = 'def test_it():\n    assert_call("clamp", wrong, X, {"low": -5, "high": 5})\n'
    result = user(CLAMP + text, "-n", "1", "--intref-save-failures", "failures")
    result.stdout.fnmatch_lines(["intref: 1 failing call saved as golden packages under failures"])


def test_is_an_empty_name_of_a_directory_refused(user):
    result = user(CLAMP, "--intref-save-failures=")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--intref-save-failures: expected a directory, found an empty name"])


def test_is_nothing_written_unless_asked(user):
    result = user(MARKED, "-x")
    result.stdout.fnmatch_lines(["E * replay: intref step, after pytest --intref-save-failures DIR"])
    assert not [*user.path.rglob("manifest.json")]


def test_is_a_directory_of_others_left_alone(user):
    taken = user.path / "failures" / "test_mine.py-test_rescale-rescale-0072"
    taken.mkdir(parents=True)
    (taken / "thesis.txt").write_text("mine")
    result = user(MARKED, "--intref-save-failures", "failures", "-k", "rescale-0072")
    result.stdout.fnmatch_lines(["E * replay: not possible: the case could not be saved: *found also *thesis.txt*"])
    assert [p.name for p in taken.iterdir()] == ["thesis.txt"]


def test_are_other_failures_left_as_they_are(user):
    result = user("def test_other():\n    assert 1 == 2\ndef test_skipped():\n    pytest.skip('no')\n")
    result.assert_outcomes(failed=1, skipped=1)
    result.stdout.no_fnmatch_line("*replay*")


WRONG_MARKS = {
    '@pytest.mark.intref_op("relu")\ndef test_it(intref_case): pass': "*mark intref_op: relu: there is no such op*",
    '@pytest.mark.intref_op("add", rounding="x")\ndef test_it(intref_case): pass': "*mark intref_op: add: expected *",
    '@pytest.mark.intref_op("add", level=9)\ndef test_it(intref_case): pass': "*add: level must be one of 1, 2, not 9*",
    '@pytest.mark.intref_op(["x"])\ndef test_it(intref_case): pass': "*there is no such op*",
    "@pytest.mark.intref_op\ndef test_it(intref_case): pass": "*mark intref_op: *missing 1 required*",
    "def test_it(intref_case): pass": "*test_it: expected the mark intref_op(op), found none*",
    '@pytest.mark.intref_op("add")\ndef test_it(): pass': "*test_it: expected a fixture of intref_case, *",
}


def test_is_a_wrong_mark_one_line(user, pytester):
    for i, text in enumerate(WRONG_MARKS):
        pytester.makepyfile(**{f"test_wrong_{i}": f"import pytest\n{text}\n"})
    result = user("")
    result.assert_outcomes(errors=len(WRONG_MARKS))
    for message in WRONG_MARKS.values():
        result.stdout.fnmatch_lines([message])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*During handling*")


def test_is_nothing_heavy_loaded_with_the_plugin():
    heavy = "numpy numba scipy hypothesis intref.ops intref.vectors"
    program = f"import sys, intref.testing.plugin; print([m for m in {heavy.split()} if m in sys.modules])"
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout == "[]\n"
