"""Assertions on bits. A failure says how many differ, where, on which values, by which rule, and the smallest case."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from intref.comparison import compare
from intref.devices.arrays import as_array
from intref.ops import OPS
from intref.testing.corners import CornerCase, corner_cases, known_op
from intref.testing.failure import Arrays, BitMismatch, Kernel, WrongAnswer, ask


def assert_bitexact(actual: Any, expected: Any, name: str = "tensor") -> None:
    """AssertionError unless dtype, shape and every bit agree; it names the first element that differs.

    Anything that NumPy or DLPack can see as an integer array is taken; nothing is cast.
    """
    __tracebackhide__ = True
    a, e = (_integers(x, f"{name}: {word}") for x, word in ((actual, "actual"), (expected, "expected")))
    if (a.dtype, a.shape) != (e.dtype, e.shape):
        raise BitMismatch(f"{name}: {a.dtype} {list(a.shape)}, expected {e.dtype} {list(e.shape)}")
    found = compare(a, e)
    if found.differing:
        raise BitMismatch(f"{name}: {found.count}, {found.sizes}\n  {found.place}", index=found.first)


def _integers(x: Any, what: str) -> np.ndarray:
    __tracebackhide__ = True
    try:
        array = as_array(x)
    except TypeError as error:
        raise BitMismatch(f"{what} must be an integer array, not {error}") from None
    if array.dtype.kind not in "iu":
        raise BitMismatch(f"{what} must be an integer array, not {array.dtype}")
    return array


def assert_call(op: str, kernel: Kernel, tensors: Arrays, attrs: Mapping[str, Any], note: str = "") -> None:
    """AssertionError, with the explanation, unless a kernel gives the reference's bits for one call.

    kernel takes the op's inputs and complete attributes by name and returns its outputs by name, or the one output of
    an op that has one; integer arrays, or whatever has DLPack. It gets copies, and must leave them as they are. On a
    failure it is called again, to find the smallest case that fails alike.
    SpecError if the call itself breaks the op's contract.
    """
    __tracebackhide__ = True
    case = CornerCase("", note, dict(tensors), known_op(op).check(tensors, attrs))
    if fault := _fault(op, kernel, case):
        raise _mismatch(f"{op}{f' ({note})' if note else ''}", fault, op, case)


def assert_op(op: str, kernel: Kernel, level: int = 1, dtypes: Mapping[str, str] | None = None, **attrs: Any) -> None:
    """`assert_call` on every corner case of an op that has these attributes and input dtypes.

    The message counts the failing ones, shows the first, and names the one rule that gives every answer. level and
    SpecError as of `corner_cases`.
    """
    __tracebackhide__ = True
    chosen = corner_cases(op, level, dtypes, **attrs)
    faults = [(case, _fault(op, kernel, case)) for case in chosen]
    failing = [(case, fault) for case, fault in faults if fault]
    if failing:
        case, fault = failing[0]
        if isinstance(fault, WrongAnswer):
            fault.others = _answers(op, [found for found in faults if found[0] is not case])
        head = f"{op}: {len(failing)} of {len(chosen)} corner cases fail, the first {case.id} ({case.why})"
        raise _mismatch(f"{head}\n  {op}", fault, op, case)


def _mismatch(head: str, fault: str | WrongAnswer, op: str, case: CornerCase) -> BitMismatch:
    return BitMismatch(head, fault) if isinstance(fault, WrongAnswer) else BitMismatch(f"{head}: {fault}").of(op, case)


def _answers(
    op: str, faults: Sequence[tuple[CornerCase, str | WrongAnswer | None]]
) -> list[tuple[CornerCase, Arrays, Arrays]]:
    """(case, golden, the kernel's answer) of all that have the outputs of the op, right or wrong."""
    found = []
    for case, fault in faults:
        if isinstance(fault, WrongAnswer):
            found.append((case, fault.golden, fault.dut))
        elif fault is None:
            golden = OPS[op].run(case.tensors, case.attrs)
            found.append((case, golden, golden))
    return found


def _fault(op: str, kernel: Kernel, case: CornerCase) -> str | WrongAnswer | None:
    """What is wrong with the kernel's answer to one legal call; None if nothing is."""
    golden = OPS[op].run(case.tensors, case.attrs)
    try:
        made, given = ask(kernel, case, op)
    except Exception as error:
        error.add_note(f"  in {op}{f', {case.id}' if case.id else ''}{f' ({case.why})' if case.why else ''}")
        raise
    names = sorted(made, key=str) if isinstance(made, Mapping) else []
    if names != sorted(golden):
        return f"returned outputs {names}, expected {sorted(golden)}"
    try:
        for name, tensor in case.tensors.items():
            assert_bitexact(given[name], tensor, f"input {name!r} after the call")
        dut = {name: _integers(made[name], f"output {name!r}") for name in golden}
        for name, value in dut.items():
            if (value.dtype, value.shape) != (golden[name].dtype, golden[name].shape):
                assert_bitexact(value, golden[name], f"output {name!r}")
    except BitMismatch as error:
        return str(error)
    wrong = any((dut[name] != golden[name]).any() for name in golden)
    return WrongAnswer(op, kernel, case, golden, dut) if wrong else None
