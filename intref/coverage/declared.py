"""The bins of what an op declares: every port's dtypes, ends and bit lengths, every axis's sizes, every attribute."""

from collections.abc import Iterator, Mapping
from itertools import pairwise, product
from typing import Any

import numpy as np

from intref.coverage.roundings import Bin, Condition
from intref.coverage.sites import SHIFTS, holds, magnitudes
from intref.ops.op import Attr, Op, Port, dtype_range

LARGEST = 1 << 15  # a declared limit of a size up to this has a bin of its own
Found = tuple[str, int]  # label, how often
# A tail of a vector of 4, 8, 16 or 32 lanes: name, modulus, remainder, smallest size.
TAILS = (
    ("odd, at least 3", 2, 1, 3),
    ("odd, above 32", 2, 1, 33),
    ("2 modulo 4", 4, 2, 2),
    ("4 modulo 8", 8, 4, 4),
    ("8 modulo 16", 16, 8, 8),
    ("16 modulo 32", 32, 16, 16),
    ("a multiple of 32", 32, 0, 32),
)
MASKS = ("all", "none", "the first ones", "the last ones", "with a hole", "one alone")


def declared(op: Op) -> Iterator[str]:
    """Every label that `found` may give."""
    for name, port in op.inputs.items():
        dtypes = [port.dtype] if port.dtype.startswith("=") else port.dtype.split()
        for dtype in dtypes:
            yield f"{name}: {dtype}"
            yield from (f"{name}: {dtype} at its {end} end" for end in ("low", "high"))
            yield from (f"{name}: {dtype} to {output}" for output in _outputs(op))
        yield from (f"{name}: {label}" for label in _port_labels(port))
        yield from (f"{name}: axes {form}" for form in _forms(port))
        if (port.low, port.high) == (0, 1):
            yield from (f"{name}: attends {pattern}" for pattern in MASKS)
    for axis in _axes(op):
        yield from (f"axis {axis}: {label}" for label, _ in _size_bins(op, axis, 1))
    for name, attr in op.attrs.items():
        yield from (f"{name}: {label}" for label in _attr_labels(attr))
    yield from _pair_labels(op)


def found(op: Op, tensors: Mapping[str, np.ndarray], attrs: Mapping[str, Any]) -> Iterator[Found]:
    """(label, count) of what one call has; attrs complete."""
    for name, port in op.inputs.items():
        yield from ((f"{name}: {label}", count) for label, count in _port_found(op, port, tensors[name], attrs))
    for axis, size in sizes(op, tensors).items():
        yield from ((f"axis {axis}: {label}", int(hit)) for label, hit in _size_bins(op, axis, size))
    for name, attr in op.attrs.items():
        yield from ((f"{name}: {label}", 1) for label in _attr_found(attr, attrs[name], attrs))
    yield from _pairs_found(op, tensors)


def sizes(op: Op, tensors: Mapping[str, np.ndarray]) -> dict[str, int]:
    """The size of every named axis of a call."""
    forms = {name: op.inputs[name].form(t.ndim) or [] for name, t in tensors.items()}
    return {a: n for name, form in forms.items() for a, n in zip(form, tensors[name].shape) if a[0] not in ".1"}


def _outputs(op: Op) -> tuple[str, ...]:
    return op.attrs["output"].choices if "output" in op.attrs else ()


def _axes(op: Op) -> list[str]:
    """Axes of free size: not those of tables, which have one."""
    names = (a for port in op.inputs.values() for form in port.forms() for a in form)
    return [*dict.fromkeys(a for a in names if a not in ("...", "1", "L"))]


def _forms(port: Port) -> list[str]:
    whole = [" ".join(form) for form in port.forms()]
    if "..." in port.axes:
        return [f"[{form}], {lead} leading" for form in whole for lead in ("none", "one", "several")]
    return [f"[{form}]" for form in whole] if len(whole) > 1 else []


def _form(port: Port, ndim: int) -> str:
    form = next(f for f in port.forms() if len(f) == ndim or f[0] == "...")
    lead = ndim - len(form) + 1
    words = f", {('none', 'one', 'several')[min(lead, 2)]} leading" if form[0] == "..." else ""
    return f"[{' '.join(form)}]{words}"


def _ends(port: Port) -> tuple[int, int]:
    """The widest range over all dtypes."""
    ranges = [port.range(dtype) for dtype in port.dtype.split()]
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def _each_value(port: Port) -> bool:
    low, high = _ends(port)
    narrow = (port.low is not None or port.high is not None) and high - low < SHIFTS
    return narrow or port.dtype == "uint8"  # of bytes alone: they are packed, and each is two values


def _port_bins(port: Port, x: Any) -> Iterator[Bin]:
    """Zero, one, minus one, every bit length of both signs, the power of two that a multiplier lies above."""
    low, high = _ends(port)
    if _each_value(port):
        yield from ((str(value), ((x, value, value),)) for value in range(low, high + 1))
        return
    wanted: list[Bin] = [("1", ((x, 1, 1),)), ("-1", ((x, -1, -1),)), ("2**30", ((x, 1 << 30, 1 << 30),))]
    wanted += magnitudes(x, tuple((bits, bits) for bits in range(1, 64)))
    yield from ((label, conditions) for label, conditions in wanted if _inside(conditions[0], low, high))


def _inside(condition: Condition, low: int, high: int) -> bool:
    return condition[1] <= high and condition[2] >= low


def _port_labels(port: Port) -> list[str]:
    return [label for label, _ in _port_bins(port, np.zeros(1, np.int64))]


def _port_found(op: Op, port: Port, x: np.ndarray, attrs: Mapping[str, Any]) -> Iterator[Found]:
    dtype = x.dtype.name
    low, high = port.range(dtype)
    yield dtype, 1
    yield f"{dtype} at its low end", int(np.count_nonzero(x == low))
    yield f"{dtype} at its high end", int(np.count_nonzero(x == high))
    if "output" in op.attrs:
        yield f"{dtype} to {attrs['output']}", 1
    wide = x.astype(np.int64)
    yield from ((label, holds(conditions)) for label, conditions in _port_bins(port, wide))
    if _forms(port):
        yield f"axes {_form(port, x.ndim)}", 1
    if (port.low, port.high) == (0, 1):
        yield from ((f"attends {pattern}", count) for pattern, count in _masks(wide).items())


def _masks(mask: np.ndarray) -> dict[str, int]:
    """How many rows of a mask have each pattern."""
    rows = mask.reshape(-1, mask.shape[-1])
    total, width = np.add.reduce(rows, axis=1), rows.shape[1]
    first = rows.argmax(axis=1)
    last = width - 1 - rows[:, ::-1].argmax(axis=1)
    some = (total > 0) & (total < width)
    whole = some & (last - first + 1 == total)
    patterns = (total == width, total == 0, whole & (first == 0), whole & (last == width - 1), some & ~whole)
    return dict(zip(MASKS, (int(np.count_nonzero(p)) for p in (*patterns, (total == 1) & (width > 1)))))


def _size_bins(op: Op, axis: str, size: int) -> Iterator[tuple[str, bool]]:
    yield "1", size == 1
    yield from ((name, size % modulus == left and size >= least) for name, modulus, left, least in TAILS)
    if op.limits.get(axis, LARGEST + 1) <= LARGEST:
        yield f"the largest, {op.limits[axis]}", size == op.limits[axis]


def _attr_labels(attr: Attr) -> list[str]:
    if attr.choices:
        return [*attr.choices]
    if attr.high - attr.low < SHIFTS:
        return [str(value) for value in range(attr.low, attr.high + 1)]
    ends = ["at its low end", "between its ends"]
    if attr.structural:
        return [*ends, "above 255"]
    narrower = ["the dtype's own", "narrower than the dtype"] if _is_clip(attr) else []
    return [*ends, "at its high end", *narrower, *(w for w, v in _SIGNED if attr.low < v < attr.high)]


_SIGNED = (("negative", -2), ("zero", 0), ("positive", 2))


def _is_clip(attr: Attr) -> bool:
    return attr.default is not None and attr.default({"output": "int8"}) != attr.default({"output": "int16"})


def _attr_found(attr: Attr, value: Any, attrs: Mapping[str, Any]) -> Iterator[str]:
    if attr.choices or attr.high - attr.low < SHIFTS:
        yield str(value)
        return
    if value in (attr.low, attr.high):
        yield f"at its {'low' if value == attr.low else 'high'} end"
    else:
        yield "between its ends"
    if attr.structural and value > 255:
        yield "above 255"
    if _is_clip(attr):
        yield "the dtype's own" if value in dtype_range(attrs["output"]) else "narrower than the dtype"
    yield "negative" if value < 0 else "zero" if value == 0 else "positive"


def _pairs(op: Op) -> list[tuple[str, str]]:
    """Constants of a channel, in pairs that may differ in length: one of each, or one for all channels."""
    free = [name for name, port in op.inputs.items() if port.axes in ("A", "C", "E", "R", "S")]
    return [(a, b) for a, b in pairwise(free) if op.inputs[a].axes != op.inputs[b].axes]


def _pair_labels(op: Op) -> Iterator[str]:
    for (a, b), (many, more) in product(_pairs(op), product(("one", "many"), repeat=2)):
        yield f"{a}, {b}: {many}, {more}"


def _pairs_found(op: Op, tensors: Mapping[str, np.ndarray]) -> Iterator[Found]:
    for a, b in _pairs(op):
        many, more = ("one" if len(tensors[name]) == 1 else "many" for name in (a, b))
        yield f"{a}, {b}: {many}, {more}", 1
