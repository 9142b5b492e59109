"""Is the sample GPU device bit-equal where it can be run here: in Triton's interpreter? Is its machine code integer?

No test needs a GPU: the kernels are compiled for one, and run in the interpreter.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from intref.errors import FormatError
from intref.golden import write_op_golden
from intref.ops import OPS
from intref.testing import corner_cases
from intref.verify import judge

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

ROOT = Path(__file__).resolve().parents[1]
DUT = "py:intref.demo.gpu.device:device"
TWICE_ROUNDED = {"gemmlowp_double", "tosa_double", "fp32_half_even"}
WRONG = """
from intref.demo.gpu.device import device as right

def device(op, inputs, attrs):
    return right(op, inputs, {**attrs, "rounding": "half_up"} if attrs.get("rounding") == "half_even" else attrs)
"""
FUSED = """
import numpy as np
from intref.demo.gpu.device import linear_rescale
from intref.ops import OPS
from intref.testing import assert_bitexact
from intref.vectors import SplitMix64

stream = SplitMix64(7)
for x_type, tokens, k, n, rule in (("int8", 5, 70, 33, "half_even"), ("uint8", 1, 3, 1, "half_away"),
                                   ("int16", 40, 33, 40, "floor"), ("int8", 2, 1, 65, "odd")):
    info = np.iinfo(x_type)
    t = {"x": stream.integers(info.min, info.max, (tokens, k), x_type),
         "weight": stream.integers(-128, 127, (n, k), "int8"),
         "bias": stream.integers(-1000, 1000, n, "int32")}
    of = {"multiplier": stream.integers(-(1 << 31), (1 << 31) - 1, n, "int32"),
          "shift": stream.integers(30, 45, n, "int8")}
    y = OPS["linear"].run(t, OPS["linear"].complete({}))["y"]
    attrs = OPS["rescale"].complete({"rounding": rule, "output": "int8", "output_zero_point": 3, "low": -100})
    golden = OPS["rescale"].run({"x": y, **of}, attrs)["y"]
    assert len(np.unique(golden)) > 1 or n == 1
    assert_bitexact(linear_rescale({**t, **of}, attrs)["y"], golden, rule)
    print(rule)
"""
COMPILED = """
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from intref.demo.gpu import kernels

def ptx(kernel, types, **constants):
    names = kernel.arg_names
    signature = dict(zip(names, [*types, *["constexpr"] * (len(names) - len(types))]))
    print(compile(ASTSource(kernel, signature, constants), target=GPUTarget("cuda", 90, 32)).asm["ptx"])

tile = {"BM": 32, "BN": 32, "BK": 32}
for of in ("*i8", "*u8", "*i16"):
    ptx(kernels.product, [of, "*i8", "*i32", "*i32", "*i8", "*i8", *["i32"] * 11],
        BIASED=True, FUSED=True, ROUNDING=8, **tile)
for rule in range(len(kernels.ROUNDINGS)):
    ptx(kernels.rescaled, ["*i64", "*i32", "*i8", "*i8", *["i32"] * 8], ROUNDING=rule, BLOCK=1024)
ptx(kernels.softmax, ["*i32", "*i8", "*i32", "*i8", "*i32", "*u8", "*i32", *["i32"] * 5], BLOCK=128)
"""

EPILOGUE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton_epilogue import kernel

types = ["*i32", *["*fp32"] * 4, "i32", *["constexpr"] * 3]
source = ASTSource(kernel, dict(zip(kernel.arg_names, types)), {"order": 0, "fused": False, "block": 128})
for fused in (True, False):
    made = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"enable_fp_fusion": fused})
    print(made.asm["ptx"], "// next")
"""


def child(program, **environment):
    """What a program prints."""
    given = {**os.environ, "PYTHONPATH": str(ROOT), "TRITON_DEFAULT_FP_FUSION": "1", **environment}
    command = [sys.executable, "-B", "-c", program]
    done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def asks_more(op, case):
    """Whether a product has zero points, an accumulator that is not 32 bits which are not left, or b of 16 bits."""
    if "b" in case.tensors and case.tensors["b"].dtype != "int8":
        return True
    full = OPS[op].complete(case.attrs)
    plain = {"accumulator": 32, "overflow": "refuse", "output": "int32"}
    zeros = any(value for name, value in full.items() if name.endswith("zero_point"))
    return "accumulator" in full and (zeros or any(full[k] != v for k, v in plain.items()))


@pytest.mark.parametrize("op", ["linear", "matmul", "rescale", "softmax_exp2"])
def test_is_every_case_that_it_supports_equal(op, monkeypatch, tmp_path):
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    report = judge(write_op_golden(op, tmp_path / op), DUT)
    left_out = {case.id for case in corner_cases(op) if case.attrs.get("rounding") in TWICE_ROUNDED}
    left_out |= {case.id for case in corner_cases(op) if asks_more(op, case)}
    assert {case.id for case in report.cases if case.verdict == "unsupported"} == left_out
    assert {case.verdict for case in report.cases if case.id not in left_out} == {"equal"}


def test_does_a_wrong_rule_show(monkeypatch, tmp_path):
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    (tmp_path / "wrong.py").write_text(WRONG)
    ties = [case for case in corner_cases("rescale", rounding="half_even") if case.why == "half_even: ties"]
    package = write_op_golden("rescale", tmp_path / "gold", ties)
    assert [case.verdict for case in judge(package, f"py:{tmp_path / 'wrong.py'}:device").cases] == ["differs"]


def test_is_the_fused_kernel_the_two_ops_in_a_row():
    assert child(FUSED, TRITON_INTERPRET="1").split() == ["half_even", "half_away", "floor", "odd"]


def test_is_the_machine_code_integer_and_on_the_tensor_cores(tmp_path):
    code = child(COMPILED, TRITON_CACHE_DIR=str(tmp_path), TRITON_INTERPRET="0")
    assert "mma.sync.aligned.m16n8k32.row.col.satfinite.s32.s8.s8.s32" in code
    assert code.count(".visible .entry") == 13
    assert not re.findall(r"\.(?:b?f16|tf32|f32|f64|e4m3|e5m2)\w*", code)


def test_does_a_compiler_fuse_a_product_and_a_sum_that_are_written_apart(tmp_path):
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    made = child(EPILOGUE, TRITON_CACHE_DIR=str(tmp_path), TRITON_INTERPRET="0", PYTHONPATH=path).split("// next")
    steps = [set(re.findall(r"\b(?:fma|mul|add)[.\w]*f32", code)) for code in made[:2]]
    assert steps == [{"mul.f32", "fma.rn.f32"}, {"mul.rn.f32", "add.rn.f32"}]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_does_a_machine_without_a_gpu_say_so(monkeypatch, tmp_path):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(FormatError, match="cannot be loaded: ImportError: no CUDA device: TRITON_INTERPRET=1 runs"):
        judge(write_op_golden("matmul", tmp_path / "gold"), DUT)
