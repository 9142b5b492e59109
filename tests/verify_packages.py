"""Small golden packages for the tests of devices and verdicts."""

import gc
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from intref.golden import write_golden, write_op_golden
from tiny_models import tiny_inputs, tiny_model

DEVICES = Path(__file__).parent / "devices"
COMPILER = shutil.which("cc") or shutil.which("gcc")


def case(x, rounding="half_even", multiplier=1, shift=2, **attrs):
    """rescale of x to int8 by one multiplier."""
    tensors = {
        "x": np.asarray(x, np.int32),
        "multiplier": np.array([multiplier], np.int32),
        "shift": np.array([shift], np.int8),
    }
    return SimpleNamespace(
        why="for a test", tensors=tensors, attrs={"rounding": rounding, "output": "int8", **attrs}, flags=()
    )


def write_rescale(path):
    """Three cases of rescale: of 4, 32 and 6 elements, ties of both signs and parities in the second."""
    return write_op_golden(
        "rescale", path, [case([0, 4, 8, -8]), case(np.arange(-64, 64, 4) + 2), case([[9, 1, -7]] * 2)]
    )


def write_tiny(path, trace="all"):
    return write_golden(tiny_model(), tiny_inputs(), path, trace, backend="reference")


def py(file, function):
    return f"py:{DEVICES / file}.py:{function}"


def pipe(how):
    return f"pipe:{python()} {DEVICES / 'piped.py'} {how}"


def cmd(how, suffix=""):
    return f"cmd:{python()} {DEVICES / 'command.py'} {{in}}{suffix} {{out}}{suffix} {how}"


def python():
    return shlex.quote(sys.executable)


def compiled(source, target, **macros):
    """The path of a shared library made from C."""
    flags = [f"-D{name}={value}" for name, value in macros.items()]
    subprocess.run([COMPILER, "-O1", "-shared", "-fPIC", *flags, "-o", target, source], check=True)
    return str(target)


def leftovers():
    """Open descriptors and child processes of this process."""
    gc.collect()
    asked = ["ps", "--ppid", str(os.getpid()), "-o", "args="]
    children = subprocess.run(asked, check=False, capture_output=True, text=True).stdout
    return len(os.listdir("/proc/self/fd")), [line for line in children.splitlines() if not line.startswith("ps ")]
