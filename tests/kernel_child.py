"""Run by tests in a process of its own: the digest of every op's directed cases, on the backend argv[1].

Options: --forked computes in a forked child whose parent has used the thread pool; --ir fails if a compiled function's
code names a float type.
"""

import hashlib
import os
import re
import sys

import numpy as np
from numba.core.dispatcher import Dispatcher

import intref
from intref.kernels import set_threads
from intref.vectors import cases

FLOAT = re.compile(r"\b(half|bfloat|float|double|fp128)\b")


def outputs_digest(backend: str) -> str:
    """SHA-256 over the outputs of every directed case, in order."""
    digest = hashlib.sha256()
    for name in intref.OPS:
        for case in cases(name):
            for key, y in sorted(intref.call(name, case.tensors, case.attrs, backend).items()):
                digest.update(f"{name} {key} {y.dtype} {y.shape}".encode() + np.ascontiguousarray(y).tobytes())
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
