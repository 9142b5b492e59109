"""Are the kernels the reference, bit for bit: any legal call, layout, number of threads, CPU and state of the cache?"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intref import OPS, call, kernels
from intref.kernels import threads
from intref.testing.strategies import calls
from kernel_child import outputs_digest
from twins import assert_same, outcome, worth_threads

CHILD = Path(__file__).with_name("kernel_child.py")
DRAWN = settings(derandomize=True, database=None, deadline=None, suppress_health_check=[*HealthCheck])
CASES = [(name, {}) for name in OPS] + [
    (name, {"rounding": rule}) for name in ("rescale", "add") for rule in OPS[name].attrs["rounding"].choices
]


def test_every_op_has_a_kernel_and_no_kernel_is_without_an_op():
    assert [*kernels.KERNELS] == [*OPS]


@pytest.mark.parametrize("name, fixed", CASES, ids=lambda v: v if isinstance(v, str) else "-".join(v.values()) or "all")
def test_a_kernel_equals_the_reference(name, fixed):
    drawn = given(calls(name, beyond=True, **fixed), st.integers(1, 3))(
        lambda drawn, count: check_call(name, *drawn, count)
    )
    settings(DRAWN, max_examples=40)(drawn)()


def check_call(name, tensors, attrs, count):
    kept = {k: t.copy() for k, t in tensors.items()}
    expected = outcome(name, tensors, attrs, "reference")
    with worth_threads(count):
        found = outcome(name, tensors, attrs, "fast")
    assert_same(expected, found)
    assert all(np.array_equal(tensors[k], kept[k]) for k in tensors)
    assert isinstance(found, str) or all(v.flags.c_contiguous and v.flags.writeable for v in found.values())


def test_calls_from_two_python_threads_do_not_meet():
    rng = np.random.default_rng(0)
    x = rng.integers(-(1 << 20), 1 << 20, (64, 96)).astype(np.int32)
    jobs = [("quantize_token", {"x": x + i}, {}) for i in range(8)]
    jobs += [("matmul", {"a": (x + i).astype(np.int8), "b": x.T.astype(np.int8)}, {}) for i in range(8)]
    with worth_threads(2), ThreadPoolExecutor(2) as callers:
        found = [*callers.map(lambda job: call(*job, "fast"), jobs * 4)]
    for job, outputs in zip(jobs * 4, found):
        assert_same(call(*job), outputs)


def test_threads_come_from_the_call_then_the_environment_then_the_machine(monkeypatch):
    monkeypatch.setattr(threads, "_chosen", [])
    assert kernels.get_threads() >= 1
    monkeypatch.setenv("INTREF_THREADS", "3")
    assert kernels.get_threads() == 3
    kernels.set_threads(5)
    assert kernels.get_threads() == 5
    monkeypatch.setattr(threads, "_chosen", [])
    monkeypatch.setenv("INTREF_THREADS", "many")
    with pytest.raises(ValueError, match="INTREF_THREADS must be a positive integer, not 'many'"):
        kernels.get_threads()
    with pytest.raises(ValueError, match="threads must be at least 1, not 0"):
        kernels.set_threads(0)


def child(*args: str, **environment: str) -> str:
    """What the child prints."""
    command = [sys.executable, "-B", str(CHILD), *args]
    paths = os.pathsep.join([str(CHILD.parents[1]), str(CHILD.parent)])
    environment = {**os.environ, "PYTHONPATH": paths, **environment}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_processes_agree_whatever_the_cpu_the_cache_and_a_fork(tmp_path):
    cache = {"NUMBA_CACHE_DIR": str(tmp_path)}
    with ThreadPoolExecutor(2) as side_by_side:
        cold = side_by_side.submit(child, "fast", "--ir", **cache)
        plain_cpu = side_by_side.submit(child, "fast", NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="", **cache)
    assert cold.result() == plain_cpu.result() == outputs_digest("reference")
    child("fast", **cache)  # two processes that wrote one index at once may have lost an entry: it is written now
    written = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.nbc")}
    assert written
    assert child("fast", "--forked", **cache) == cold.result()
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.nbc")} == written  # the warm run compiled nothing


PROBE = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
import numpy as np, intref
x, entries = np.arange(-128, 128).astype("int8"), np.arange(256, dtype="int32")
y = intref.call("table", {"x": x, "entries": entries}, {}, "fast")["y"]
assert (y == entries).all()
import numba
assert numba.config.CACHE_DIR == (sys.argv[2] if sys.argv[2:] else "")
"""


def look_up_in_a_child(cache: str, limit: int = 1 << 30) -> None:
    command = [sys.executable, "-B", "-c", PROBE, str(limit), cache]
    environment = {**os.environ, "NUMBA_CACHE_DIR": cache, "PYTHONPATH": str(CHILD.parents[1])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_a_cache_directory_that_cannot_be_made_costs_time_only():
    look_up_in_a_child("/dev/null/cache")


def test_a_full_disk_costs_time_only(tmp_path):
    look_up_in_a_child(str(tmp_path), limit=1000)
    assert not [*tmp_path.rglob("*.nbc")]


@pytest.mark.parametrize("suffix", ["nbc", "nbi"])
def test_a_damaged_cache_costs_time_only(tmp_path, suffix):
    look_up_in_a_child(str(tmp_path))
    damaged = [*tmp_path.rglob(f"*.{suffix}")]
    assert damaged
    for path in damaged:
        path.write_bytes(path.read_bytes()[:100])
    look_up_in_a_child(str(tmp_path))
