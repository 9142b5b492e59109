"""Run by tests in a process of its own: the digest of drawn calls of every op, on the backend argv[1].

Options: --forked computes in a forked child whose parent has used the thread pool; --ir fails if a compiled function's
code names a float type.
"""

import hashlib
import os
import re
import sys

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numba.core.dispatcher import Dispatcher

import intref
from intref.errors import BoundError
from intref.kernels import set_threads
from strategies import calls

FLOAT = re.compile(r"\b(half|bfloat|float|double|fp128)\b")


def outputs_digest(backend: str) -> str:
    """SHA-256 over the outputs of the same calls, in the same order, in every process."""
    digest = hashlib.sha256()

    @settings(max_examples=60, derandomize=True, database=None, deadline=None, suppress_health_check=[*HealthCheck])
    @given(st.sampled_from([*intref.OPS]).flatmap(lambda name: st.tuples(st.just(name), calls(name))))
    def add_outputs(drawn):
        name, (tensors, attrs) = drawn
        try:
            outputs = intref.call(name, tensors, attrs, backend)
        except BoundError:
            outputs = {}
        for key, y in sorted(outputs.items()):
            digest.update(f"{name} {key} {y.dtype} {y.shape}".encode() + np.ascontiguousarray(y).tobytes())

    add_outputs()
    return digest.hexdigest()


def float_code() -> list[str]:
    """Compiled kernels whose code names a float type."""
    modules = [m for name, m in sys.modules.items() if name.startswith("intref.kernels.")]
    functions = {f for m in modules for f in vars(m).values() if isinstance(f, Dispatcher)}
    assert len(functions) > 20
    return [f.__name__ for f in functions for code in f.inspect_llvm().values() if FLOAT.search(code)]


def use_pool() -> None:
    set_threads(2)
    x = np.ones((256, 256), np.int8)
    intref.call("linear", {"x": x, "weight": x, "bias": np.zeros(256, np.int32)}, {}, "fast")


if __name__ == "__main__":
    if "--forked" in sys.argv:
        use_pool()
        if child := os.fork():
            sys.exit(os.waitpid(child, 0)[1])
        use_pool()
    print(outputs_digest(sys.argv[1]), flush=True)
    if "--ir" in sys.argv and (found := float_code()):
        sys.exit(f"float code in {found}")
