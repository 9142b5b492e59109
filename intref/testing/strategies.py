"""hypothesis strategies: legal calls of every op, integer arrays, multipliers and shifts.

    @given(calls("rescale", dtypes={"x": "int32"}, rounding="half_even", output="int8"))
    def test_my_rescale(call):
        assert_call("rescale", my_rescale, *call)

A failing example shrinks to one element where one element fails, else to the smallest shape that does.
"""

from collections.abc import Mapping
from contextlib import suppress
from operator import add
from typing import Any

import numpy as np

try:
    from hypothesis import strategies as st
except ImportError:
    raise ImportError("intref.testing.strategies needs hypothesis: pip install hypothesis") from None

from intref.errors import BoundError, SpecError
from intref.ops.op import Attr, Op, Port, dtype_range
from intref.testing.corners import known_op
from intref.testing.integers import (
    Draw,
    elements,
    filled,
    integer_arrays,
    laid_out,
    multipliers,
    rescale_pairs,
    shapes,
)
from intref.testing.legal import FIT, MADE, Attrs, Tensors, clip

__all__ = ["calls", "elements", "integer_arrays", "multipliers", "rescale_pairs", "shapes"]

# A size is drawn up to a drawn end, so that a large one can shrink to every smaller one.
SIZE = st.sampled_from([9, 9, 9, 135]).flatmap(lambda end: st.integers(1, end))
# Few terms, or more than any int32 accumulator holds: a sum of two draws, so that a long one shrinks to a short one.
FURTHER = st.sampled_from([0, 0, 0, 126, 1091]).flatmap(lambda end: st.integers(0, end))
DEPTH = st.builds(add, st.integers(1, 9), FURTHER)
FEW = st.integers(1, 3)
PRODUCTS = ("linear", "matmul", "linear_int4")
CHANNELS = {"add": "AREOS", "gelu_ibert": "C"}  # axes of length 1 or D
EXACT = {"L", "J"}  # axes that have the size of their limit


@st.composite
def _calls(
    draw: Draw, op: Op, dtypes: Mapping[str, tuple[str, ...]], beyond: bool, fixed: Attrs
) -> tuple[Tensors, Attrs]:
    name = op.name
    sizes = {"lead": draw(st.integers(0, 3 if any(p.axes == "..." for p in op.inputs.values()) else 2))}
    attrs = {
        k: _attribute(draw, a, dtypes.get(k)) for k, a in op.attrs.items() if k not in ("low", "high", *fixed)
    } | fixed
    made = MADE.get(name, ())
    tensors = {k: _tensor(draw, op, p, sizes, dtypes[k], k in made) for k, p in op.inputs.items()}
    if "low" in op.attrs and "output" in attrs and draw(st.booleans()):
        clip(draw, attrs, fixed, *dtype_range(attrs["output"]))
    FIT.get(name, lambda *_: None)(draw, tensors, attrs, fixed)
    if name in PRODUCTS:
        _push(draw, op, tensors) if beyond else _halve(op, tensors, attrs, fixed)
    return {k: laid_out(draw, t) for k, t in tensors.items()}, attrs


def calls(
    op_name: str, *, dtypes: Mapping[str, str] | None = None, beyond: bool = False, **attrs: Any
) -> st.SearchStrategy[tuple[Tensors, Attrs]]:
    """(tensors, attrs) of legal calls of an op, in odd memory layouts too.

    attrs: attributes to keep at one value. dtypes: input -> the one dtype wanted of it. beyond: also calls of
    linear, linear_int4 and matmul whose result leaves the accumulator, which the reference refuses with BoundError.
    SpecError for an op, an input or an attribute that there is not, for a dtype or value that is not allowed, and for
    values that break a constraint whatever else is drawn.
    """
    wanted, op = dict(dtypes or {}), known_op(op_name)
    for port, dtype in wanted.items():
        if port not in op.inputs or dtype not in op.inputs[port].dtype.split():
            allowed = {k: p.dtype for k, p in op.inputs.items()}
            raise SpecError(f"{op_name}: dtypes must be of {allowed}, not {port!r}: {dtype!r} (C1)")
    for name, value in attrs.items():
        if name not in op.attrs or not op.attrs[name].allows(value):
            raise SpecError(f"{op_name}: attribute {name!r} cannot be {value!r} (C4)")
    _together(op, attrs)
    drawn = _calls(op, _dtypes(op, wanted, attrs), beyond, attrs)
    # Without attributes of the caller every drawn call is legal, and one that is not shall be seen.
    return drawn.filter(lambda call: _legal(op, *call)) if attrs or wanted else drawn


def _dtypes(op: Op, wanted: Mapping[str, str], attrs: Attrs) -> dict[str, tuple[str, ...]]:
    """The dtypes to draw from, of each input and of the output: those whose range holds the caller's low and high."""
    found = {k: (wanted[k],) if k in wanted else tuple(p.dtype.split()) for k, p in op.inputs.items()}
    if "output" in op.attrs:
        found["output"] = (attrs["output"],) if "output" in attrs else op.attrs["output"].choices
    clipped = "x" if op.name == "clamp" else "output"
    if "low" in op.attrs and clipped in found:
        held = tuple(dtype for dtype in found[clipped] if _holds(dtype, attrs))
        if not held:
            given = {k: attrs[k] for k in ("low", "high") if k in attrs}
            within = " or ".join(found[clipped])
            raise SpecError(f"{op.name}: expected low <= high inside the range of {within}, found {given}")
        found[clipped] = held
    return found


def _holds(dtype: str, attrs: Attrs) -> bool:
    low, high = dtype_range(dtype)
    return bool(low <= attrs.get("low", low) <= attrs.get("high", high) <= high)


def _together(op: Op, attrs: Attrs) -> None:
    """SpecError if attributes of the caller contradict each other, whatever the tensors are."""
    for label, (text, holds) in op.constraints.items():
        with suppress(KeyError):  # it asks for what is still to be drawn
            if not holds({}, attrs):
                raise SpecError(f"{op.name}: {text}, found {attrs} ({label})")


def _legal(op: Op, tensors: Tensors, attrs: Attrs) -> bool:
    try:
        op.check(tensors, attrs)
    except SpecError:
        return False
    return True


def _push(draw: Draw, op: Op, tensors: Tensors) -> None:
    """In half of the calls, as long sums are rare, all operands at their most negative: the largest sums."""
    if draw(st.booleans()):
        for port in tensors.keys() - {"bias"}:
            tensors[port][...] = (
                0x88 if op.name == "linear_int4" and port == "weight" else np.iinfo(tensors[port].dtype).min
            )
        if op.name == "linear_int4" and tensors["x"].shape[-1] % 2:
            tensors["weight"][:, -1] &= 15


def _halve(op: Op, tensors: Tensors, attrs: Attrs, fixed: Attrs) -> None:
    """Halve the operands until the sums fit: toward zero, so that it ends."""
    for _ in range(2 * 64):  # a caller's zero points may keep a sum too large for a caller's accumulator
        try:
            op.run(tensors, op.check(tensors, attrs))
            return
        except BoundError:
            for port in tensors.keys() - {"weight"}:
                t = tensors[port]
                tensors[port] = (np.sign(t) * (np.abs(t.astype(np.int64)) >> 1)).astype(t.dtype)
            for name in attrs:
                if name.endswith("_zero_point") and name not in fixed:
                    attrs[name] = abs(attrs[name]) // 2


def _attribute(draw: Draw, attr: Attr, narrowed: tuple[str, ...] | None) -> Any:
    if attr.choices:
        return draw(st.sampled_from(narrowed or attr.choices))
    return draw(st.one_of(st.integers(attr.low, attr.high), st.sampled_from([attr.low, attr.high])))


def _shape(draw: Draw, op: Op, port: Port, sizes: dict[str, int]) -> tuple[int, ...]:
    shape: list[int] = []
    for axis in draw(st.sampled_from(port.forms())):
        if axis == "...":
            shape += [_leading(draw, port, sizes, i) for i in range(sizes["lead"])]
        elif axis in EXACT:
            shape.append(op.limits[axis])
        elif axis in CHANNELS.get(op.name, ""):
            shape.append(draw(st.sampled_from([1, sizes["D"]])))
        else:
            size = DEPTH if op.name in PRODUCTS and axis == "K" else FEW if axis in "BH" else SIZE
            drawn = 1 if axis == "1" else _size(draw, sizes, axis, size)
            shape.append(min(drawn, op.limits.get(axis, drawn)))
    return tuple(shape)


def _leading(draw: Draw, port: Port, sizes: dict[str, int], i: int) -> int:
    return _size(draw, sizes, f".{i}", SIZE if port.axes == "..." and i >= sizes["lead"] - 2 else FEW)


def _size(draw: Draw, sizes: dict[str, int], axis: str, size: st.SearchStrategy[int]) -> int:
    if axis not in sizes:
        sizes[axis] = draw(size)
    return sizes[axis]


def _tensor(draw: Draw, op: Op, port: Port, sizes: dict[str, int], dtypes: tuple[str, ...], made: bool) -> np.ndarray:
    chosen = draw(st.sampled_from(dtypes))
    shape, (low, high) = _shape(draw, op, port, sizes), port.range(chosen)
    return np.zeros(shape, chosen) if made else filled(draw, shape, low, high, chosen)
