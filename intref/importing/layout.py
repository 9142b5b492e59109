"""The standard operators of ONNX that only move elements, or say where they are."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from intref.errors import FormatError
from intref.importing.graph import Call
from intref.importing.importer import FLOAT32, Importer, axes_of, constant, imports, not_of_float32
from intref.importing.values import Tensor, Value, is_float32

FLOAT = 1  # of TensorProto's dtypes
FLOAT32.update(("Identity", "Dropout", "Cast", "Shape"))


@imports("Identity", "Dropout", attrs="ratio seed")
def identity(net: Importer, call: Call, x: Value, ratio: Value | None = None, training: Value | None = None) -> Value:
    if training is not None and np.any(constant(call, training, "training_mode")):
        raise net.refuse("training_mode false", "true")
    return x


@imports("Cast", attrs="to")
def cast(net: Importer, call: Call, x: Value) -> Value:
    """To float and back is nothing; an integer dtype must hold the values."""
    kinds = {1: "", 2: "uint8", 3: "int8", 5: "int16", 6: "int32", 7: "", 11: ""}
    dtype = kinds.get(call.attrs["to"])
    if is_float32(x) and call.attrs["to"] != FLOAT:
        raise not_of_float32(call, [x])
    if dtype is None:
        raise net.refuse("to int8, uint8, int16, int32, int64, float or double", f"ONNX's dtype {call.attrs['to']}")
    return net.cast(x, dtype) if dtype and isinstance(x, Tensor) else x


@imports("Constant", attrs="value value_int value_ints value_float value_floats")
def constant_node(net: Importer, call: Call) -> Value:
    """The value, whichever attribute holds it."""
    return np.asarray(next(iter(call.attrs.values())))


@imports("Shape")
def shape(net: Importer, call: Call, x: Value) -> Value:
    return np.asarray(x.shape, np.int64)


@imports("Reshape", attrs="shape allowzero")
def reshape(net: Importer, call: Call, x: Value, sizes: Value | None = None) -> Value:
    """0 keeps a size, -1 is what is left."""
    wanted = constant(call, np.asarray(call.attrs["shape"]) if sizes is None else sizes, "shape").ravel().tolist()
    if not call.attrs.get("allowzero"):
        wanted = [x.shape[i] if n == 0 else n for i, n in enumerate(wanted)]
    known = prod(n for n in wanted if n != -1)
    return net.reshape(x, [prod(x.shape) // max(known, 1) if n == -1 else n for n in wanted])


@imports("Flatten", attrs="axis")
def flatten(net: Importer, call: Call, x: Value) -> Value:
    axis = call.attrs.get("axis", 1)
    axis += len(x.shape) * (axis < 0)
    return net.reshape(x, (prod(x.shape[:axis]), prod(x.shape[axis:])))


@imports("Squeeze", attrs="axes")
def squeeze(net: Importer, call: Call, x: Value, axes: Value | None = None) -> Value:
    named = "axes" in call.attrs or axes is not None
    out = axes_of(call, axes, len(x.shape)) if named else [i for i, n in enumerate(x.shape) if n == 1]
    if any(x.shape[i] != 1 for i in out):
        raise FormatError(f"{call.at}: axes: expected sizes of 1, found {[x.shape[i] for i in out]}")
    return net.reshape(x, [n for i, n in enumerate(x.shape) if i not in out] or [1])


@imports("Unsqueeze", attrs="axes")
def unsqueeze(net: Importer, call: Call, x: Value, axes: Value | None = None) -> Value:
    listed = np.asarray(call.attrs.get("axes", axes)).ravel()
    sizes = list(x.shape)
    for axis in sorted(int(a) % (len(x.shape) + len(listed)) for a in listed):
        sizes.insert(axis, 1)
    return net.reshape(x, sizes)


@imports("Transpose", attrs="perm")
def transpose(net: Importer, call: Call, x: Value) -> Value:
    order = call.attrs.get("perm") or [*range(len(x.shape))][::-1]
    if sorted(order) != [*range(len(x.shape))]:
        raise FormatError(f"{call.at}: perm: expected each of 0..{len(x.shape) - 1} once, found {order}")
    return net.permute(x, order)


@imports("Concat", attrs="axis")
def concat(net: Importer, call: Call, *parts: Value) -> Value:
    rank = len(parts[0].shape)
    axis = call.attrs["axis"]
    sizes = {tuple(n for i, n in enumerate(p.shape) if i != axis % rank) for p in parts}
    if not -rank <= axis < rank or len({len(p.shape) for p in parts}) > 1 or len(sizes) > 1:
        raise FormatError(f"{call.at}: expected inputs alike but for axis {axis}, found {[[*p.shape] for p in parts]}")
    return net.concat([net.integers(call, p) for p in parts], axis % rank)


@imports("Slice", attrs="starts ends axes")
def slice_(net: Importer, call: Call, x: Value, *given: Value | None) -> Value:
    """One axis after another; bounds are cut as ONNX cuts them."""
    starts, ends, axes, steps = (
        _listed(call, name, given, i) for i, name in enumerate(("starts", "ends", "axes", "steps"))
    )
    if starts is None or ends is None:
        raise net.refuse("starts and ends", "none")
    every = [*range(len(starts))] if axes is None else axes
    for start, end, axis, step in zip(starts, ends, every, steps or [1] * len(starts)):
        if step < 1:
            raise net.refuse("steps of at least 1", step)
        first, last, _ = slice(start, end, step).indices(x.shape[axis])
        x = net.slice(x, axis % len(x.shape), first, step, max(-(-(last - first) // step), 0))
    return x


def _listed(call: Call, name: str, given: Sequence[Value | None], at: int) -> list[int] | None:
    value: Any = call.attrs.get(name, given[at] if at < len(given) else None)
    return (
        None
        if value is None
        else [int(v) for v in constant(call, np.asarray(value) if isinstance(value, list) else value, name).ravel()]
    )


@imports("Split", attrs="axis split num_outputs")
def split(net: Importer, call: Call, x: Value, sizes: Value | None = None) -> list[Value]:
    """Parts of the given sizes, or as many equal ones as there are outputs, the last one smaller."""
    axis = call.attrs.get("axis", 0) % len(x.shape)
    if call.attrs.get("num_outputs", len(call.outputs)) != len(call.outputs):
        raise net.refuse(f"num_outputs of {len(call.outputs)}", call.attrs["num_outputs"])
    each = -(-x.shape[axis] // len(call.outputs))
    parts = _listed(call, "split", (sizes,), 0) or [each] * len(call.outputs)
    made, start = [], 0
    for name, wanted in zip(call.outputs, parts):
        size = min(wanted, x.shape[axis] - start)
        net.begin(name, call.at)
        made.append(net.named(net.slice(x, axis, start, 1, size)))
        start += size
    return made


@imports("Gather", attrs="axis")
def gather(net: Importer, call: Call, x: Value, indices: Value) -> Value:
    """By constant indices: runs of equal steps are slices. Of a constant table by computed ones: embedding."""
    axis = call.attrs.get("axis", 0) % len(x.shape)
    if isinstance(indices, Tensor):
        table = net.integers(call, constant(call, x, "data"))
        if axis != 0:
            raise net.refuse("axis 0 for indices that are computed", axis)
        return net.op("embedding", {"ids": net.cast(indices, "int32"), "table": table})
    at = np.where(indices < 0, indices + x.shape[axis], indices).astype(np.int64)
    if at.size == 0 or at.min() < 0 or at.max() >= x.shape[axis]:
        raise FormatError(f"{call.at}: indices: expected each below {x.shape[axis]}, found {at.ravel()[:8].tolist()}")
    net.hold(call.outputs[0], (*x.shape[:axis], *at.shape, *x.shape[axis + 1 :]))
    if not isinstance(x, Tensor):
        return np.take(x, at, axis)
    if at.ndim == 0:
        rows, before, behind = net.by_rows(x, axis)
        picked = net.op("select_token", {"x": rows}, index=int(at))
        return net.reshape(picked, (*before, *behind) or (1,))
    parts = [net.slice(x, axis, start, step, count) for start, step, count in _runs(at.ravel().tolist())]
    return net.reshape(net.concat(parts, axis), (*x.shape[:axis], *at.shape, *x.shape[axis + 1 :]))


def _runs(indices: list[int]) -> list[tuple[int, int, int]]:
    """(start, step, count) of runs that follow one another."""
    runs: list[tuple[int, int, int]] = []
    for index in indices:
        if runs:
            start, step, count = runs[-1]
            if (count == 1 and index >= start) or (count > 1 and index == start + step * count):
                runs[-1] = start, index - start if count == 1 else step, count + 1
                continue
        runs.append((index, 1, 1))
    return runs


@imports("Expand")
def expand(net: Importer, call: Call, x: Value, sizes: Value) -> Value:
    wanted = tuple(int(n) for n in constant(call, sizes, "shape").ravel())
    return net.broadcast(x, np.broadcast_shapes(x.shape, wanted))


@imports("Pad", attrs="mode pads value")
def pad(
    net: Importer, call: Call, x: Value, pads: Value | None = None, value: Value | None = None, *axes: Value
) -> Value:
    """With a constant: it is set on either side."""
    if call.attrs.get("mode", "constant") != "constant" or axes:
        raise net.refuse("mode constant on all axes", call.attrs.get("mode", "axes"))
    sizes = _listed(call, "pads", (pads,), 0) or []
    filling = call.attrs.get("value", 0) if value is None else constant(call, value, "constant_value").ravel()[0]
    fill = int(np.asarray(net.integers(call, np.asarray(filling))))
    for axis, (before, after) in enumerate(zip(sizes, sizes[len(x.shape) :])):
        if min(before, after) < 0:
            raise net.refuse("pads of at least 0", sizes)
        net.hold(call.outputs[0], (*x.shape[:axis], before + x.shape[axis] + after, *x.shape[axis + 1 :]))
        edges = [np.full((*x.shape[:axis], n, *x.shape[axis + 1 :]), fill, np.int64) for n in (before, after)]
        if before or after:
            x = net.concat([edges[0], x, edges[1]], axis)
    return x
