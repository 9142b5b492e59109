"""Are products the same bits by every instruction set that this CPU has, and is the choice one's own?"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from intref.kernels import isa

CHILD = Path(__file__).with_name("product_child.py")
WITHOUT_VNNI = "+avx,+avx2,+bmi,+bmi2,+cx16,+f16c,+fma,+popcnt,+sse3,+sse4.1,+sse4.2,+ssse3,+xsave"


def child(count: int, **environment: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(CHILD.parents[1]), str(CHILD.parent)])
    environment = {**os.environ, "PYTHONPATH": paths, **environment}
    command = [sys.executable, "-B", str(CHILD), str(count)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize("name", isa.NEEDS)
def test_products_are_the_reference_s_by_every_instruction_set(name):
    if name not in isa.available():
        pytest.skip(f"this CPU has no {name}")
    done = child(120, INTREF_ISA=name)
    assert done.stdout.split("\n") == [name, ""], done.stderr


@pytest.mark.skipif("avx2" not in isa.available(), reason="this CPU has no AVX2")
def test_a_target_without_vnni_gets_avx2(tmp_path):
    """What numba is told to compile for counts, not what the CPU has."""
    target = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": WITHOUT_VNNI, "NUMBA_CACHE_DIR": str(tmp_path)}
    done = child(10, **target)
    assert done.stdout.split("\n") == ["avx2", ""], done.stderr
    done = child(1, INTREF_ISA="vnni", **target)
    assert "ValueError: INTREF_ISA must be one of avx2, portable on this CPU, not 'vnni'" in done.stderr


def test_a_plain_target_gets_loops(tmp_path):
    done = child(10, NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="", NUMBA_CACHE_DIR=str(tmp_path))
    assert done.stdout.split("\n") == ["portable", ""], done.stderr
