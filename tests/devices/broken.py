"""Broken devices for the tests: none of them may pass, and none may cost more than its own case."""

import os
import signal
import subprocess
import sys
import time

import numpy as np

import intref


def _outputs(op, inputs, attrs):
    return intref.call(op, inputs, attrs)


def zeros(op, inputs, attrs):
    return None if op == "model" else {n: np.zeros_like(t) for n, t in _outputs(op, inputs, attrs).items()}


def plus_one(op, inputs, attrs):
    return None if op == "model" else {n: t + t.dtype.type(1) for n, t in _outputs(op, inputs, attrs).items()}


def nothing(op, inputs, attrs):
    return {}


def none(op, inputs, attrs):
    return None


def echo(op, inputs, attrs):
    return dict(inputs)


def echo_as_output(op, inputs, attrs):
    return {n: inputs["x"] for n in _outputs(op, inputs, attrs)}


def masked(op, inputs, attrs):
    return {n: np.ma.masked_array(t, mask=True) for n, t in _outputs(op, inputs, attrs).items()}


def a_list(op, inputs, attrs):
    return {n: t.tolist() for n, t in _outputs(op, inputs, attrs).items()}


def not_a_dict(op, inputs, attrs):
    return next(iter(_outputs(op, inputs, attrs).values()))


def wider(op, inputs, attrs):
    return {n: t.astype(np.int64) for n, t in _outputs(op, inputs, attrs).items()}


def floats(op, inputs, attrs):
    return {n: t.astype(np.float32) for n, t in _outputs(op, inputs, attrs).items()}


def flat(op, inputs, attrs):
    return {n: t.reshape(1, -1) for n, t in _outputs(op, inputs, attrs).items()}


def huge(op, inputs, attrs):
    return {"y": np.zeros(1 << 22, np.int8)}


def too_huge(op, inputs, attrs):
    return {"y": np.ones(1 << 40, np.int8)}


def mutates(op, inputs, attrs):
    made = _outputs(op, inputs, attrs)
    for tensor in inputs.values():
        tensor[...] = 1
    return made


def raises(op, inputs, attrs):
    raise ValueError("the firmware said\nno")


def leaves(op, inputs, attrs):
    sys.exit(3)


def killed(op, inputs, attrs):
    os.kill(os.getpid(), signal.SIGKILL)


def killed_once(op, inputs, attrs):
    """Dies on the largest input only."""
    if inputs["x"].size > 20:
        os.kill(os.getpid(), signal.SIGSEGV)
    return _outputs(op, inputs, attrs)


def sleeps(op, inputs, attrs):
    time.sleep(60)


def floods_stdout(op, inputs, attrs):
    while True:
        os.write(1, b"0123456789abcde\n" * 4096)


def floods_stderr(op, inputs, attrs):
    while True:
        os.write(2, b"0123456789abcde\n" * 4096)


def has_children(op, inputs, attrs):
    """Hangs with a child of its own, whose process id it leaves in a file."""
    child = subprocess.Popen(["sleep", "60"])
    with open(os.environ["INTREF_TEST_PID"], "w") as file:
        file.write(f"{os.getpid()} {child.pid}")
    time.sleep(60)
