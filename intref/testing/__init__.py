"""What a kernel's author imports in pytest: exact comparison with an explanation, and the corner cases of an op.

    from intref.testing import assert_op

    def test_my_rescale():
        assert_op("rescale", my_rescale, rounding="half_even")     # my_rescale(x, multiplier, shift, **attrs) -> array

    assert_bitexact(actual, expected)       two integer tensors: NumPy, or any by DLPack
    assert_call(op, kernel, tensors, attrs) one call of an op; a failure says where, on which values and by which rule
    assert_op(op, kernel, **attrs)          every corner case of an op with these attributes
    corner_cases(op, **attrs)               these cases, for pytest.mark.parametrize

`intref.testing.strategies` has hypothesis strategies; `intref.testing.plugin` the pytest plugin, which needs no import.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from intref.testing.assertions import assert_bitexact, assert_call, assert_op
    from intref.testing.corners import CornerCase, corner_cases
    from intref.testing.failure import BitMismatch

_HOME = {
    **dict.fromkeys(("assert_bitexact", "assert_call", "assert_op"), "intref.testing.assertions"),
    **dict.fromkeys(("CornerCase", "corner_cases"), "intref.testing.corners"),
    "BitMismatch": "intref.testing.failure",
}
__all__ = ["BitMismatch", "CornerCase", "assert_bitexact", "assert_call", "assert_op", "corner_cases"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'intref.testing' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
