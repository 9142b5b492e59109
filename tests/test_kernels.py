"""Are the kernels the reference, bit for bit: any legal call, layout, number of threads, CPU and state of the cache?"""

import contextlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import calls

from intref import OPS, call
from intref.errors import BoundError
from intref.intmath import MAX_SHIFT, ROUNDS_UP
from intref.intmath import mul_shift as exact_mul_shift

kernels = pytest.importorskip("intref.kernels")
from intref.kernels import intmath, threads  # noqa: E402

CHILD = Path(__file__).with_name("kernel_child.py")
DRAWN = settings(max_examples=40, derandomize=True, database=None, deadline=None, suppress_health_check=[*HealthCheck])


@contextlib.contextmanager
def worth_threads(count: int):
    """Any work at all is given to this many threads."""
    before = threads.GRAIN, threads._chosen[:]
    threads.GRAIN = 1
    kernels.set_threads(count)
    try:
        yield
    finally:
        threads.GRAIN, threads._chosen[:] = before


def outcome(name, tensors, attrs, backend):
    try:
        return call(name, tensors, attrs, backend)
    except BoundError as error:
        return str(error).removeprefix(f"{name}: ")


def assert_same(expected, found):
    if isinstance(expected, str) or isinstance(found, str):
        assert found == expected
        return
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key].dtype == value.dtype and found[key].shape == value.shape
        np.testing.assert_array_equal(found[key], value)


def test_every_op_has_a_kernel_and_no_kernel_is_without_an_op():
    assert [*kernels.KERNELS] == [*OPS]


@pytest.mark.parametrize("name", OPS)
@DRAWN
@given(st.data())
def test_a_kernel_equals_the_reference(name, data):
    tensors, attrs = data.draw(calls(name))
    kept = {k: t.copy() for k, t in tensors.items()}
    expected = outcome(name, tensors, attrs, "reference")
    with worth_threads(data.draw(st.integers(1, 3))):
        found = outcome(name, tensors, attrs, "fast")
    assert_same(expected, found)
    assert all(np.array_equal(tensors[k], kept[k]) for k in tensors)
    assert isinstance(found, str) or all(v.flags.c_contiguous and v.flags.writeable for v in found.values())


@pytest.mark.parametrize("rule", ROUNDS_UP)
def test_mul_shift_rounds_every_shift_like_the_reference(rule):
    x, m, shift = mul_shift_corners()
    terms = intmath.wide_terms(rule, m, shift)
    found = [intmath.mul_shift(int(v), *(int(t[i]) for t in terms)) for i, v in enumerate(x)]
    np.testing.assert_array_equal(found, exact_mul_shift(x, m, shift, rule))
    narrow = np.abs(x) < 1 << 31
    x, terms = x[narrow], intmath.narrow_terms(rule, m[narrow], shift[narrow])
    found = [intmath.mul_shift_narrow(int(v), *(int(t[i]) for t in terms)) for i, v in enumerate(x)]
    np.testing.assert_array_equal(found, exact_mul_shift(x, m[narrow], shift[narrow], rule))


def mul_shift_corners() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, m, shift for every shift: exact, tie, just beside both, odd and even quotients, both signs, the ends."""
    found = [
        (x, m, shift)
        for shift in range(MAX_SHIFT + 1)
        for m in (1, -3, 1 << 30, (1 << 31) - 1, -(1 << 31))
        for q in (-3, -2, -1, 0, 1, 2, 3, (1 << 31) - 1, 1 << 62, -(1 << 62))
        for offset in (-1, 0, 1)
        for x in ((q << shift >> 1) // m + offset,)
        if abs(x) <= 1 << 62 and abs(x * m) >> shift < 1 << 62
    ]
    return tuple(np.array(found, np.int64).T)


def test_a_product_beyond_int32_is_refused_like_the_reference_refuses_it():
    x, weight = np.full((3, 70000), -32768, np.int16), np.full((2, 70000), -128, np.int8)
    x[:2], weight[1] = 1, 127
    tensors = {"x": x, "weight": weight, "bias": np.zeros(2, np.int32)}
    expected = outcome("linear", tensors, {}, "reference")
    assert "do not lie in" in expected
    assert outcome("linear", tensors, {}, "fast") == expected


@pytest.mark.parametrize("dtype, depth", [("int8", 131072), ("uint8", 65794), ("int16", 512)])
def test_an_accumulator_block_is_as_long_as_int32_allows_and_no_longer(dtype, depth):
    from intref.kernels.gemm import LONGEST

    info = np.iinfo(dtype)
    peak = max(-int(info.min), int(info.max)) * 128
    assert peak * LONGEST[dtype] < 1 << 31 <= peak * (LONGEST[dtype] + 1)
    for extreme in (info.min, info.max):
        a, b = np.full((1, depth), extreme, dtype), np.full((depth, 1), -128, np.int8)
        assert_same(*(outcome("matmul", {"a": a, "b": b}, {}, backend) for backend in ("reference", "fast")))


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
    environment = {**os.environ, **environment}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_processes_agree_whatever_the_cpu_the_cache_and_a_fork(tmp_path):
    from kernel_child import outputs_digest

    cache = {"NUMBA_CACHE_DIR": str(tmp_path)}
    with ThreadPoolExecutor(2) as side_by_side:
        cold = side_by_side.submit(child, "fast", "--ir", **cache)
        plain_cpu = side_by_side.submit(child, "fast", NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="", **cache)
    assert cold.result() == plain_cpu.result() == outputs_digest("reference")
    written = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.nbc")}
    assert written
    assert child("fast", "--forked", **cache) == cold.result()
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.nbc")} == written  # the warm run compiled nothing


PROBE = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
import numpy as np, intref
y = intref.call("table", {"x": np.arange(-128, 128).astype("int8"), "entries": np.arange(256, dtype="int32")}, {}, "fast")
assert (y["y"] == np.arange(256)).all()
import numba
assert numba.config.CACHE_DIR == (sys.argv[2] if sys.argv[2:] else "")
"""


@pytest.mark.parametrize("directory, limit", [("/dev/null/cache", 1 << 30), (None, 1000)])
def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path, directory, limit):
    root = directory or str(tmp_path)
    command = [sys.executable, "-B", "-c", PROBE, str(limit), root]
    environment = {**os.environ, "NUMBA_CACHE_DIR": root, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert not [*tmp_path.rglob("*.nbc")]
