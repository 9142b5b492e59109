"""Devices: the right ones pass by every adapter, the broken ones cost one case each and leave nothing behind."""

import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

import intref
from hostile_npz import ARCHIVES
from intref.devices import open_device, request_lines
from intref.devices.device import Request
from intref.devices.pipe import parse_answer
from intref.devices.protocol import frame, frame_size, parse_frame, parse_tensor, tensor_text
from intref.errors import FormatError, SpecError, Unsupported
from intref.golden import read_golden, write_op_golden
from intref.tensorfile import write_tensors
from intref.verify import judge
from tiny_models import tiny_model
from verify_packages import COMPILER, DEVICES, cmd, compiled, leftovers, pipe, py

needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C compiler")
DEMO = Path(intref.__file__).parent / "demo"


@pytest.fixture(autouse=True)
def nothing_is_left(monkeypatch, tmp_path):
    """No process, no descriptor and no temporary file outlives a report."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    before = leftovers()
    yield
    assert leftovers() == before
    assert not [*(tmp_path / "temporary").iterdir()]


def verdicts(report):
    return [case.verdict for case in report.cases]


@pytest.mark.parametrize("dut", [py("right", "ops"), pipe("right"), cmd("right"), cmd("right", ".npz")])
def test_does_a_right_device_pass_an_op_package(rescale, dut):
    report = judge(rescale, dut)
    assert (report.verdict, report.exit_code, verdicts(report)) == ("equal", 0, ["equal"] * 3)
    assert "op: 3 cases: 3 equal; 42 elements compared" in report.text()


@pytest.mark.parametrize("dut", [py("right", "ops"), pipe("right"), py("right", "dlpack"), py("right", "noisy")])
def test_does_a_right_device_pass_a_model(tiny, dut):
    report = judge(tiny, dut)
    assert report.verdict == "equal"
    assert verdicts(report) == ["equal"] * 2 * len(tiny_model().nodes)


def test_is_a_module_of_the_path_found_by_name(rescale, monkeypatch):
    monkeypatch.syspath_prepend(str(DEVICES))
    assert judge(rescale, "py:right:ops").verdict == "equal"


@needs_compiler
def test_does_the_demo_device_in_c_pass_and_its_wrong_twin_fail(tmp_path):
    right = compiled(DEMO / "device.c", tmp_path / "right.so")
    wrong = compiled(DEMO / "device.c", tmp_path / "wrong.so", ROUND="HALF_AWAY")
    for op in DEMO_OPS:
        assert judge(golden_op(op, tmp_path), f"so:{right}").verdict == "equal"
    report = judge(golden_op("rescale_token", tmp_path), f"so:{wrong}")
    assert (report.verdict, report.exit_code) == ("differs", 1)
    assert all("rule half_away" in case.rules for case in report.cases if case.verdict == "differs")
    assert "rule half_away explains 100.000 % of" in report.text().split("\n")[1]


def test_does_the_demo_device_in_python_pass_and_its_wrong_twin_fail(tmp_path):
    for op in set(DEMO_OPS) - {"add"}:
        assert judge(golden_op(op, tmp_path), f"py:{DEMO / 'device.py'}:right").verdict == "equal"
    report = judge(golden_op("rescale_token", tmp_path), f"py:{DEMO / 'device.py'}:wrong")
    assert report.verdict == "differs"


DEMO_OPS = ["add", "add_bias", "clamp", "embedding", "gelu_table", "layernorm_fixed", "linear", "matmul", "mean_pool"]
DEMO_OPS += ["merge_heads", "positions", "quantize_token", "rescale_quotient", "rescale_token", "select_token", "table"]
DEMO_OPS += ["rescale_token_residual", "softmax_exp2", "split_heads", "transpose"]


def golden_op(op, tmp_path):
    """The directed vectors of an op, written once a test."""
    path = tmp_path / "ops" / op
    path.parent.mkdir(exist_ok=True)
    return path if path.exists() else write_op_golden(op, path)


@needs_compiler
def test_does_the_demo_device_pass_a_model(tiny, tmp_path):
    assert judge(tiny, f"so:{compiled(DEMO / 'device.c', tmp_path / 'right.so')}").verdict == "equal"


def test_does_a_device_of_the_whole_model_pass_without_any_op(tiny):
    report = judge(tiny, py("right", "tiny"))
    assert (report.verdict, report.exit_code) == ("equal", 0)
    assert [c.verdict for c in report.cases if c.mode == "cumulative"] == ["equal"] * (len(tiny_model().nodes) - 1)
    assert "note: the device runs only the whole model" in report.text()
    assert judge(tiny, py("right", "tiny"), mode="isolated").exit_code == 3


@pytest.mark.parametrize("suffix", ["npz", "safetensors", "npy"])
def test_do_recorded_outputs_pass(tiny, tmp_path, suffix):
    tensors = read_golden(tiny).tensors
    if suffix == "npz":
        np.savez(tmp_path / "run.npz", **tensors)
    elif suffix == "safetensors":
        write_tensors(tmp_path / "run.safetensors", tensors, {})
    else:
        (tmp_path / "run.npy").mkdir()
        for name, tensor in tensors.items():
            np.save(tmp_path / "run.npy" / f"{name}.npy", tensor)
    report = judge(tiny, f"file:{tmp_path / 'run'}.{suffix}")
    assert (report.verdict, verdicts(report)) == ("equal", ["equal"] * len(tiny_model().nodes))
    assert "none is judged in isolation" in report.text()


def test_is_a_recording_with_gaps_not_a_pass(tiny, tmp_path):
    tensors = dict(read_golden(tiny).tensors)
    del tensors["clipped"]
    np.savez(tmp_path / "run.npz", **tensors)
    report = judge(tiny, f"file:{tmp_path / 'run.npz'}")
    assert (report.verdict, report.exit_code) == ("not_run", 3)
    assert "not run: pooled (model): nothing was recorded for this output" in report.text()
    np.savez(tmp_path / "none.npz", other=np.zeros(3, np.int8))
    assert judge(tiny, f"file:{tmp_path / 'none.npz'}").exit_code == 3


def test_is_gen_then_device_then_judge_a_verdict(rescale, tmp_path):
    package = read_golden(rescale)
    asked = [Request(c.id, "rescale", c.inputs, c.attrs, {}) for c in package.cases]
    lines = [*request_lines(asked)]
    assert lines[0] == "intref-pipe 1\n" and lines[1].startswith("rescale-0000 rescale rounding=half_even ")
    answered = [f"{c.id} {tensor_text('y', c.outputs['y'])}\n" for c in package.cases]
    (tmp_path / "answers").write_text("".join(["intref-pipe 1\n", *answered]))
    assert judge(rescale, f"file:{tmp_path / 'answers'}").verdict == "equal"
    (tmp_path / "answers").write_text("".join(["intref-pipe 1\n", *answered[:2], "rescale-0002 unsupported\n"]))
    report = judge(rescale, f"file:{tmp_path / 'answers'}")
    assert verdicts(report) == ["equal", "equal", "unsupported"]
    (tmp_path / "answers").write_text("".join(answered))
    with pytest.raises(FormatError, match="expected 'intref-pipe 1'"):
        judge(rescale, f"file:{tmp_path / 'answers'}")


@pytest.mark.parametrize(
    ("function", "kind", "text"),
    [
        ("nothing", "malformed", "returned outputs [], expected ['y']"),
        ("echo", "malformed", "returned outputs ['x', 'multiplier', 'shift'], expected ['y']"),
        ("echo_as_output", "malformed", "output 'y' is int32 [4], expected int8 [4]"),
        ("masked", "malformed", "output 'y' is MaskedArray, expected an integer array"),
        ("a_list", "malformed", "output 'y' is list, expected an integer array"),
        ("not_a_dict", "malformed", "returned ndarray, expected a dict of arrays or None"),
        ("wider", "malformed", "output 'y' is int64 [4], expected int8 [4]"),
        ("floats", "malformed", "output 'y' is float32 [4], expected int8 [4]"),
        ("flat", "malformed", "output 'y' is int8 [1, 4], expected int8 [4]"),
        ("huge", "malformed", "returned 4194304 bytes, expected at most"),
        ("too_huge", "crashed", "MemoryError"),
        ("mutates", "malformed", "changed its input 'x'"),
        ("raises", "crashed", "ValueError: the firmware said"),
        ("leaves", "crashed", "SystemExit: 3"),
        ("killed", "crashed", "killed by signal 9 (SIGKILL)"),
        ("floods_stdout", "flooded", "printed more than 4194304 bytes during one call"),
        ("floods_stderr", "flooded", "printed more than 4194304 bytes during one call"),
    ],
)
def test_is_a_broken_function_a_crash_of_its_cases_only(rescale, function, kind, text):
    report = judge(rescale, py("broken", function))
    assert (report.verdict, report.exit_code) == ("crashed", 3)
    assert {case.kind for case in report.cases} == {kind}
    assert text in report.cases[0].detail and text in report.text()


@pytest.mark.parametrize("function", ["zeros", "plus_one"])
def test_does_an_always_wrong_device_fail(rescale, tiny, function):
    for package in (rescale, tiny):
        report = judge(package, py("broken", function))
        assert (report.verdict, report.exit_code) == ("differs", 1)
    assert all(case.verdict == "differs" for case in report.cases if case.mode == "isolated")


def test_is_a_device_that_left_its_outputs_alone_said_to(rescale):
    assert "every output of the device is 0: it may not have run" in judge(rescale, py("broken", "zeros")).text()


def test_is_a_device_that_does_nothing_not_a_pass(rescale, tiny):
    for package in (rescale, tiny):
        report = judge(package, py("broken", "none"))
        assert (report.verdict, report.exit_code) == ("unsupported", 3)


def test_does_one_crash_cost_one_case(rescale):
    report = judge(rescale, py("broken", "killed_once"))
    assert verdicts(report) == ["equal", "crashed", "equal"]
    assert report.exit_code == 3
    assert "crashed: rescale-0001: killed by signal 11 (SIGSEGV)" in report.text()


def test_is_a_hanging_device_stopped_with_all_its_children(rescale, tmp_path, monkeypatch):
    monkeypatch.setenv("INTREF_TEST_PID", str(tmp_path / "pids"))
    start = time.monotonic()
    report = judge(rescale, py("broken", "has_children"), timeout=0.4)
    assert time.monotonic() - start < 10
    assert {case.kind for case in report.cases} == {"hung"}
    assert "no answer within 0.4 s" in report.text()
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    for _ in range(100):
        if not any(_alive(pid) for pid in pids):
            return
        time.sleep(0.02)
    pytest.fail("a child of the device is alive")


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] not in "ZX"
    except OSError:
        return False


def test_is_a_device_that_never_answers_not_asked_for_ever(tiny):
    report = judge(tiny, py("broken", "sleeps"), timeout=0.3, mode="isolated")
    assert [case.verdict for case in report.cases] == ["crashed"] * 3 + ["not_run"] * (len(tiny_model().nodes) - 3)
    assert "did not answer 3 times in a row" in report.text()


@needs_compiler
@pytest.mark.parametrize(
    ("how", "verdict", "text"),
    [
        ("NOTHING", "crashed", "did not write 4 of 4 elements of output 'y', first at [0]"),
        ("HALF", "crashed", "did not write 2 of 4 elements of output 'y', first at [2]"),
        ("BEYOND", "crashed", "wrote outside of its output 'y'"),
        ("BEFORE", "crashed", "wrote outside of its output 'y'"),
        ("BEFORE_INPUT", "crashed", "wrote outside of its input 'x'"),
        ("BEYOND_INPUT", "crashed", "wrote outside of its input 'x'"),
        ("INPUTS", "crashed", "changed its input 'x'"),
        ("RANDOM", "crashed", "gave two results for the same call: output 'y' at [0]"),
        ("CRASHES", "crashed", "killed by signal 6 (SIGABRT)"),
        ("FAILS", "crashed", "intref_dut returned 5"),
        ("REFUSES", "unsupported", "unsupported: rescale-0000"),
    ],
)
def test_is_a_broken_library_caught(rescale, tmp_path, how, verdict, text):
    report = judge(rescale, f"so:{compiled(DEVICES / 'broken.c', tmp_path / 'broken.so', HOW=how)}")
    assert (report.verdict, report.exit_code) == (verdict, 3)
    assert text in report.text()


@pytest.mark.parametrize(
    ("how", "kind", "text"),
    [
        ("header", "malformed", "first line 'hello', expected 'intref-pipe 1'"),
        ("leaves", "crashed", "ended with exit status 1; last words: 'out of tokens'"),
        ("garbage", "malformed", "answer 'what?' is not"),
        ("number", "malformed", "answer to '71', expected one to '1'"),
        ("short", "malformed", "hexadecimal digits, expected"),
        ("twice", "malformed", "names an output twice"),
        ("sleeps", "hung", "no answer within 1.5 s"),
        ("floods", "flooded", "answered with more than"),
    ],
)
def test_is_a_broken_program_a_crash(rescale, how, kind, text):
    report = judge(rescale, pipe(how), timeout=1.5)
    assert (report.verdict, report.exit_code) == ("crashed", 3)
    assert report.cases[0].kind == kind and text in report.cases[0].detail


@pytest.mark.parametrize(
    ("how", "verdict", "text"),
    [
        ("fails", "crashed", "ended with exit status 1; last words: 'no such register'"),
        ("silent", "crashed", "ended without an output file"),
        ("garbage", "crashed", "out.safetensors"),
        ("unsupported", "unsupported", "3 unsupported"),
    ],
)
def test_is_a_broken_command_a_crash(rescale, how, verdict, text):
    report = judge(rescale, cmd(how))
    assert (report.verdict, report.exit_code) == (verdict, 3)
    assert text in report.text()


@pytest.mark.parametrize("how", ["bent", "plain", "vast"])
def test_does_a_hostile_archive_cost_one_case(rescale, tmp_path, how):
    report = judge(rescale, cmd(how, ".npz"))
    assert report.exit_code == 3 and {case.kind for case in report.cases} == {"malformed"}
    (tmp_path / "run.npz").write_bytes(ARCHIVES[how])
    try:
        assert judge(rescale, f"file:{tmp_path / 'run.npz'}").exit_code == 3
    except FormatError as error:
        assert "\n" not in str(error)


def test_is_a_command_that_hangs_stopped(rescale):
    report = judge(rescale, "cmd:sh -c 'sleep 60; cp {in} {out}'", timeout=0.2)
    assert {case.kind for case in report.cases} == {"hung"}


@pytest.mark.parametrize(
    ("dut", "error", "text"),
    [
        ("nonsense", Unsupported, "expected py:module:function, so:library"),
        ("py:lonely", Unsupported, "expected py:module:function"),
        ("py:no_such_module_at_all:f", FormatError, "cannot be loaded: ModuleNotFoundError"),
        (py("right", "absent"), FormatError, "cannot be loaded: AttributeError"),
        ("py:absent.py:f", FormatError, "expected a file absent.py, found none"),
        ("so:absent.so", FormatError, "expected a file absent.so, found none"),
        (f"so:{__file__}", FormatError, "cannot be loaded: OSError"),
        ("pipe:no-such-program", FormatError, "expected a program 'no-such-program', found none"),
        ("pipe:'", FormatError, "cannot be read"),
        ("cmd:cat", FormatError, "expected {in} and {out}"),
        ("file:absent", FormatError, "expected a directory or a file absent, found none"),
    ],
)
def test_is_a_missing_device_one_line(rescale, dut, error, text):
    with pytest.raises(error) as caught:
        judge(rescale, dut)
    assert text in str(caught.value) and "\n" not in str(caught.value)


@needs_compiler
def test_is_a_library_without_the_function_one_line(rescale, tmp_path):
    (tmp_path / "empty.c").write_text("int other(void) { return 0; }\n")
    with pytest.raises(FormatError, match="cannot be loaded: AttributeError"):
        judge(rescale, f"so:{compiled(tmp_path / 'empty.c', tmp_path / 'empty.so')}")


def test_is_a_mode_refused(rescale):
    with pytest.raises(SpecError, match="mode must be one of both, isolated, cumulative"):
        judge(rescale, py("right", "ops"), mode="all")


@pytest.mark.skipif(not os.path.exists("/proc/self"), reason="limits need Linux")
def test_is_the_memory_limit_kept(rescale):
    with open_device(py("broken", "too_huge"), memory=2 << 30) as device, pytest.raises(Exception, match="MemoryError"):
        device.call(Request("1", "rescale", read_golden(rescale).cases[0].inputs, {}, {"y": ("int8", (4,))}))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64"])
def test_does_a_tensor_survive_text_and_frame(dtype):
    info = np.iinfo(dtype)
    tensor = np.array([[info.min, info.max, 0], [1, 2, 3]], dtype)
    name, back = parse_tensor(tensor_text("x", tensor))
    assert name == "x" and back.dtype == tensor.dtype and np.array_equal(back, tensor)
    whole = frame({"op": "x"}, {"x": tensor, "one": tensor[0, 0]})
    header, tensors = parse_frame(whole)
    assert frame_size(whole) == len(whole) and header == {"op": "x"}
    assert np.array_equal(tensors["x"], tensor) and tensors["one"].shape == ()


def test_is_the_text_as_the_specification_says():
    assert tensor_text("x", np.array([-2, 3], np.int16)) == "x:int16[2]=feff0300"
    assert parse_answer("4 unsupported") == ("4", None)
    for line in ("", "4", "4 y=00", "4 y:int8[2]=00", "4 y:float32[1]=00000000", "4 y:int8[1]=0g"):
        with pytest.raises(ValueError):
            parse_answer(line)
