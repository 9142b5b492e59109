"""Cases for a device that does only a part of an op: one rounding, one output dtype, so many bits on a wire.

Most directed cases of an op ask for what such a device does not do. Its own are made from them: the attributes that it
has in the place of the others, values cut to what its ports hold. What breaks the op's contract then is left out, and
so is a call that was made before.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from intref.errors import BoundError, SpecError
from intref.ops import OPS
from intref.ops.op import Op, dtype_range
from intref.vectors.case import Case


@dataclass(frozen=True)
class Suit:
    """What a device is built for: attribute -> the values it takes; port -> its dtype; port -> (lowest, highest)."""

    attrs: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    dtypes: Mapping[str, str] = field(default_factory=dict)
    ranges: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def suited(op_name: str, cases: Iterable[Case], suit: Suit) -> Iterator[Case]:
    """The cases as the device can be asked them. SpecError for an attribute, a port or a value that the op has not."""
    op = OPS[op_name]
    _check(op, suit)
    seen: set[tuple[Any, ...]] = set()
    for number, case in enumerate(cases):
        made = _cut(op, case, suit, number)
        key = (
            *sorted(made.attrs.items()),
            *((k, t.dtype, t.shape, t.tobytes()) for k, t in sorted(made.tensors.items())),
        )
        if key not in seen and _legal(op, made):
            seen.add(key)
            yield made


def _check(op: Op, suit: Suit) -> None:
    for name, values in suit.attrs.items():
        if name not in op.attrs:
            raise SpecError(f"{op.name}: attribute must be one of {', '.join(op.attrs) or 'none'}, not {name!r} (C4)")
        if refused := [value for value in values if not op.attrs[name].allows(value)]:
            raise SpecError(f"{op.name}: attribute {name!r} cannot be {refused[0]!r} (C4)")
    for name in (*suit.dtypes, *suit.ranges):
        if name not in op.inputs:
            raise SpecError(f"{op.name}: input must be one of {', '.join(op.inputs)}, not {name!r} (C1)")
    for name, dtype in suit.dtypes.items():
        if dtype not in op.inputs[name].dtype.split():
            raise SpecError(f"{op.name}: input {name!r} must be {op.inputs[name].dtype}, not {dtype} (C1)")


def _cut(op: Op, case: Case, suit: Suit, number: int) -> Case:
    attrs = op.complete(case.attrs)
    for name, values in suit.attrs.items():
        if attrs[name] not in values:
            attrs[name] = values[number % len(values)]
    _refit(attrs, suit)
    return case._replace(tensors={name: _within(name, t, suit) for name, t in case.tensors.items()}, attrs=attrs)


def _refit(attrs: dict[str, Any], suit: Suit) -> None:
    """A clip that was another dtype's becomes the whole range of this one."""
    if "output" not in attrs or not {"low", "high"} <= attrs.keys():
        return
    low, high = dtype_range(attrs["output"])
    for name, end in (("low", low), ("high", high)):
        if name not in suit.attrs and not low <= attrs[name] <= high:
            attrs[name] = end


def _within(name: str, tensor: np.ndarray, suit: Suit) -> np.ndarray:
    dtype = suit.dtypes.get(name, str(tensor.dtype))
    low, high = dtype_range(dtype)
    first, last = suit.ranges.get(name, (low, high))
    # Ends that the dtype cannot hold would not be int64 either way.
    cut = np.clip(tensor.astype(np.int64), max(first, low, -(1 << 63)), min(last, high, (1 << 63) - 1))
    return cut.astype(dtype)


def _legal(op: Op, case: Case) -> bool:
    try:
        op.run(case.tensors, op.check(case.tensors, case.attrs))
    except (SpecError, BoundError):
        return False
    return True
