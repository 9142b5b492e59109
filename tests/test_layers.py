"""Do imports point one way, and can no integer-only module make a float?"""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from intref.audit_floats import STRICTNESS, strictness
from intref.audit_source import LAYERS, float_problems, layer, problems, scan

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "intref"

# Module -> source of one violation in it -> what the line must say.
PLANTED = [
    *(
        ("ops.x", f"import numpy as np\n{text}", "float dtype")
        for text in (
            "x.astype('d')",
            "x.astype(dtype='F')",
            "np.zeros(3, 'd')",
            "np.array([1], 'f')",
            "np.asarray(x, 'g')",
            "np.frombuffer(b, 'd')",
            "np.matmul(x, x, dtype='d')",
            "np.add.reduce(x, dtype='e')",
        )
    ),
    ("ops.x", "import numpy as np\ny = np.array([])", "an empty list without a dtype makes floats"),
    ("ops.x", "(3).__truediv__(2)", "float name __truediv__"),
    ("ops.x", "Fraction(1, 2).__float__()", "float name __float__"),
    ("ops.x", "import numpy as np\ny = np.log2(8)", "float name np.log2"),
    ("ops.x", "import numpy as np\ny = np.average([1, 2])", "float name np.average"),
    ("ops.x", "import numpy as np\ny = np.divide(1, 2)", "float name np.divide"),
    ("ops.x", "import numpy as np\ny = np.mean([1, 2])", "float name np.mean"),
    ("ops.x", "import numpy as np\ny = np.random.default_rng(0)", "float name np.random"),
    ("ops.x", "import numpy as np\ny = np.linalg.norm(x)", "float name np.linalg"),
    ("ops.x", "import numpy as np\ny = np.float32(3)", "float name np.float32"),
    ("ops.x", "import numpy as np\ny = np.zeros(3)", "np.zeros without a dtype"),
    ("ops.x", "import numpy as np\ny = np.ones((3, 4), order='C')", "np.ones without a dtype"),
    ("ops.x", "import numpy as np\ny = getattr(np, 'log' + '2')(8)", "getattr of np"),
    ("ops.x", "import numpy as xp\ny = xp.exp(8)", "float name xp.exp"),
    ("ops.x", "from numpy import log2 as f", "float name numpy.log2"),
    ("ops.x", "from numpy.random import default_rng", "float name numpy.random.default_rng"),
    ("ops.x", "import math\ny = math.sqrt(4)", "float name math.sqrt"),
    ("ops.x", "from math import sqrt", "float name math.sqrt"),
    ("ops.x", "y = x.mean()", "float name mean"),
    ("ops.x", "y = x.astype('f4')", "float dtype 'f4'"),
    ("ops.x", "y = x.astype('<f8')", "float dtype '<f8'"),
    ("ops.x", "y = x.astype('d')", "float dtype 'd'"),
    ("ops.x", "y = x.astype(dtype='half')", "float dtype 'half'"),
    ("ops.x", "y = x.astype('float32')", "float dtype 'float32'"),
    ("ops.x", "import numpy as np\ny = np.array([1], 'double')", "float dtype 'double'"),
    ("ops.x", "dtype = 'float64'", "float dtype 'float64'"),
    ("ops.x", "y = float(3)", "float name float"),
    ("ops.x", "y = x.astype(float)", "float name float"),
    ("ops.x", "y = complex(3)", "float name complex"),
    ("ops.x", "y = x * 0.5", "float literal 0.5"),
    ("ops.x", "y = x * 1e3", "float literal 1000.0"),
    ("ops.x", "y = x * 2j", "float literal 2j"),
    ("ops.x", "y = x ** 0.5", "a power that may be no integer"),
    ("ops.x", "y = 2 ** -3", "a power that may be no integer"),
    ("ops.x", "y = 2 ** k", "a power that may be no integer"),
    ("ops.x", "y = pow(2, -k)", "a power that may be no integer"),
    ("ops.x", "y = x / 2", "true division"),
    ("ops.x", "y = a / b", "true division"),
    ("ops.x", "x /= 2", "true division"),
    ("ops.x", "import statistics", "ops may not import statistics"),
    ("ops.x", "import torch", "ops may not import torch"),
    ("ops.x", "import random", "ops may not import random"),
    ("ops.x", "from ..quantize import scales", "ops may not import quantize"),
    ("ops.x", "from .. import run", "ops may not import run"),
    ("ops.x", "from .. import OPS", "ops may not import intref.OPS"),
    ("ops.x", "import intref", "ops may not import intref"),
    ("ops.x", "import intref.kernels.gemm", "ops may not import kernels"),
    ("ops.x", "def f():\n    from intref.vectors import cases", "ops may not import vectors"),
    ("ops.x", "import importlib\nimportlib.import_module('intref.run')", "ops may not import run"),
    ("ops.x", "import importlib\nimportlib.import_module(name)", "an import that cannot be resolved"),
    ("ops.x", "import importlib\nimportlib.import_module('.run', 'intref')", "an import that cannot be resolved"),
    ("ops.x", "__import__('intref.run')", "ops may not import run"),
    ("ops.x", "exec(text)", "an import that cannot be resolved"),
    ("errors", "from intref import atomic", "errors may not import atomic"),
    ("intmath", "from intref.ops import OPS", "intmath may not import ops"),
    ("kernels.x", "from intref.errors import BoundError", "kernels may not import errors"),
    ("kernels.x", "@numba.njit(fastmath=True)\ndef f(x): return x", "float name fastmath"),
    ("kernels.x", "@numba.njit('f8(i8)')\ndef f(x): return x", "float dtype 'f8(i8)'"),
    ("kernels.x", "@numba.njit('float64(int64)')\ndef f(x): return x", "float dtype 'float64(int64)'"),
    ("kernels.x", "y = numba.float64(x)", "float name float64"),
    ("model", "from intref.proof import prove", "model may not import proof at its top"),
    ("model", "def f():\n    from intref.golden import write_golden", "model may not import golden"),
    ("run", "from intref.kernels import KERNELS", "run may not import kernels at its top"),
    ("run", "def f():\n    from intref.quantize import load", "run may not import quantize"),
    ("golden.x", "from intref.quantize import load", "golden may not import quantize"),
    ("golden.x", "from intref.verify import judge", "golden may not import verify"),
    ("golden.x", "y = 100 * a / b", "true division"),
    ("verify.x", "def f():\n    import intref.quantize.graph", "verify may not import quantize"),
    ("verify.x", "def f():\n    import intref\n    return intref.load('x')", "verify may not import intref"),
    ("verify.x", "y = 0.5", "float literal 0.5"),
    ("devices.child", "import numpy as np\ny = np.log(2)", "float name np.log"),
    ("checkpoint.x", "from intref.quantize import load", "checkpoint may not import quantize"),
    ("checkpoint.x", "import torch", "checkpoint may not import torch"),
    ("quantize.x", "from intref.verify import judge", "quantize may not import verify"),
    ("run", "if not TYPE_CHECKING:\n    from intref.display import x", "run may not import display at its top"),
    ("run", "if TYPE_CHECKING:\n    pass\nelse:\n    import intref.display", "run may not import display at its top"),
    ("display", "from intref.model import Model", "display may not import model"),
    ("demo.device", "import intref.ops", "demo.device may not import ops"),
    ("demo.device", "y = x / 2", "true division"),
]
INNOCENT = [
    ("ops.x", '"""0.5 / 2 as float32."""\nx = 7 // 2'),
    ("ops.x", "from fractions import Fraction\ny = Fraction(2) ** k * 3**2"),
    ("ops.x", "import numpy as np\ny = np.zeros(3, np.int64) + np.ones(2, dtype='int8')"),
    ("ops.x", "mean = half = 3\ny = divide(mean, half)"),
    ("model", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from intref.proof import Proof"),
    ("model", "def f():\n    from intref.run import run\n    return run"),
    ("run", "import importlib\ndef f():\n    return importlib.import_module('intref.kernels')"),
    ("run", "def float(self): ..."),
    ("golden.x", "path = folder / name / 'x'"),
    ("golden.x", "from intref import __version__"),
    ("devices.child", "NAP: float = 0.2 / 20"),
    ("quantize.x", "import numpy as np\ny = np.log2(0.5) / 2"),
    ("kernels.x", "rule = 'half'"),
]


@pytest.mark.parametrize("module, source, said", PLANTED, ids=[f"{m}: {s!r}" for m, s, _ in PLANTED])
def test_is_a_planted_violation_found(module, source, said):
    assert any(said in line for line in scan(source, module)), scan(source, module)


@pytest.mark.parametrize("module, source", INNOCENT, ids=[f"{m}: {s!r}" for m, s in INNOCENT])
def test_is_innocent_code_left_alone(module, source):
    assert scan(source, module) == []


def test_does_the_tree_keep_its_own_rules():
    assert [*problems(PACKAGE)] == []


def test_does_the_check_fail_with_lines_on_a_broken_tree(tmp_path):
    (tmp_path / "intref" / "ops").mkdir(parents=True)
    (tmp_path / "golden").mkdir()
    (tmp_path / "intref" / "utils.py").write_text("")
    (tmp_path / "intref" / "ops" / "x.py").write_text("import math\n\ny = math.sqrt(4) / 2\n")
    (tmp_path / "golden" / "check.py").write_text("import intref\nimport recompute\n")
    (tmp_path / "golden" / "recompute.py").write_text("import numpy\n")
    command = [sys.executable, str(ROOT / "tools" / "check_layers.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and not done.stderr
    assert done.stdout.splitlines() == [
        f"{tmp_path}/intref/ops/x.py:3: float name math.sqrt",
        f"{tmp_path}/intref/ops/x.py:3: true division",
        f"{tmp_path}/intref/utils.py: unlisted module utils",
        f"{tmp_path}/golden/check.py:1: the suite may not import intref",
    ]


def test_does_the_check_pass_on_this_tree():
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "check_layers.py")], capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_do_all_rows_of_the_table_name_each_other():
    rows = {**LAYERS}
    assert all(target in rows for targets in rows.values() for target in targets)
    assert all(layer(module) is not None for module in STRICTNESS)
    order = list(rows)
    for module, targets in rows.items():
        for target in targets - {module, "__init__"}:
            assert order.index(target) < order.index(module) or module == "__init__", (module, target)


def test_which_modules_are_scanned_for_floats():
    exempt = {module for module in LAYERS if strictness(module) == "float"}
    assert exempt == {
        "display",
        "pages",
        "checkpoint",
        "quantize",
        "builder",
        "dialects",
        "importing",
        "audit_floats",
        "audit_source",
        "audit",
        "demo",
        "cli",
    }
    assert [*float_problems(PACKAGE)] == []


def test_does_importing_the_facade_load_neither_numba_nor_float_code():
    code = "import json, sys, intref; intref.OPS, intref.Model, intref.open, intref.call"
    code += "; print(json.dumps([*sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    loaded = set(json.loads(done.stdout))
    assert "intref.run" in loaded and not loaded & {
        "numba",
        "scipy",
        "intref.quantize",
        "intref.checkpoint",
        "intref.verify",
    }
    assert importlib.util.find_spec("numba")
