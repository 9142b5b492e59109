"""What a kernel's author imports in pytest: exact comparison with an explanation, and the directed vectors of an op.

from intref.testing import assert_op

def test_my_rescale():
    assert_op("rescale", my_rescale)       # my_rescale(x, multiplier, shift, *, rounding, ...) -> {"y": array}
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from intref.comparison import compare
from intref.errors import SpecError
from intref.ops import OPS
from intref.vectors import Case, cases
from intref.verify.explanation import explain

Arrays = Mapping[str, np.ndarray]
Kernel = Callable[..., Mapping[str, Any]]


def assert_bits_equal(actual: Any, expected: Any, name: str = "tensor") -> None:
    """AssertionError unless dtype, shape and every bit agree; it names the first element that differs.

    Anything that NumPy or DLPack can see as an integer array is taken; nothing is cast.
    """
    a, e = (_array(x, f"{name}: {word}") for x, word in ((actual, "actual"), (expected, "expected")))
    if (a.dtype, a.shape) != (e.dtype, e.shape):
        raise AssertionError(f"{name}: {a.dtype} {list(a.shape)}, expected {e.dtype} {list(e.shape)}")
    found = compare(a, e)
    if found.differing:
        raise AssertionError(f"{name}: {found.count}, {found.sizes}\n  {found.place}")


def _array(x: Any, what: str) -> np.ndarray:
    if not isinstance(x, np.ndarray) and hasattr(x, "__dlpack__"):
        x = np.from_dlpack(x)
    if not isinstance(x, (np.ndarray, np.generic)) or x.dtype.kind not in "iu":
        found = x.dtype if hasattr(x, "dtype") else type(x).__name__
        raise AssertionError(f"{what} must be an integer array, not {found}")
    return np.asarray(x)


def assert_call(op: str, kernel: Kernel, tensors: Arrays, attrs: Mapping[str, Any], note: str = "") -> None:
    """AssertionError, with the explanation, unless a kernel gives the reference's bits for one call.

    kernel takes the op's inputs and complete attributes by name and returns its outputs by name. SpecError if the
    call itself breaks the op's contract.
    """
    if op not in OPS:
        raise SpecError(f"{op}: there is no such op, only {', '.join(OPS)} (C1)")
    full = OPS[op].check(tensors, attrs)
    golden = OPS[op].run(tensors, full)
    given = {name: t.copy() for name, t in tensors.items()}
    made = kernel(**given, **full)
    at = f"{op}{f' ({note})' if note else ''}"
    if made is None or sorted(made) != sorted(golden):
        raise AssertionError(f"{at}: returned outputs {sorted(made or ())}, expected {sorted(golden)}")
    for name, tensor in tensors.items():
        assert_bits_equal(given[name], tensor, f"{at}: input {name!r} after the call")
    dut = {name: _array(made[name], f"{at}: output {name!r}") for name in golden}
    for name, value in dut.items():
        if (value.dtype, value.shape) != (golden[name].dtype, golden[name].shape):
            assert_bits_equal(value, golden[name], f"{at}: output {name!r}")
    if any((dut[name] != golden[name]).any() for name in golden):
        lines = explain(op, tensors, full, golden, dut).lines
        raise AssertionError("\n  ".join([f"{at}: {lines[0]}", *lines[1:]]))


def assert_op(op: str, kernel: Kernel) -> None:
    """`assert_call` on every directed vector of an op."""
    for i, case in enumerate(directed(op)):
        assert_call(op, kernel, case.tensors, case.attrs, f"vector {i}: {case.why}")


def directed(op: str) -> tuple[Case, ...]:
    """The directed vectors of an op, for pytest.mark.parametrize: .why .tensors .attrs .flags."""
    if op not in OPS:
        raise SpecError(f"{op}: there is no such op, only {', '.join(OPS)} (C1)")
    return cases(op)
