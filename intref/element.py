"""One element of a golden package: the call that made it, every intermediate, every product of a sum of products.

Only the rows that the element depends on are computed, so the answer comes at once however large the tensors are.
"""

# The number types are not typed.
# mypy: allow-untyped-calls

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from intref.errors import FormatError, SpecError, Unsupported
from intref.golden import Package
from intref.golden.package import Arrays
from intref.numbertypes import Tracer
from intref.ops import OPS
from intref.ops.op import Op, Port
from intref.verify import node_ids

# Axes of an output along which no op lets elements meet, unless it says so (`reduces`): one index is computed alone.
SEPARATE = {"B", "H", "Q", "M", "N", "T"}


@dataclass(frozen=True)
class Call:
    """One call as a package stores it. names: port -> tensor. outputs: those that are stored."""

    id: str
    op: str
    attrs: dict[str, Any]
    inputs: Arrays
    outputs: Arrays
    names: dict[str, str]
    port: str


@dataclass(frozen=True)
class Step:
    """One value on the way: one integer, or, where many meet in the element, their shape and range."""

    name: str
    text: str
    dtype: str
    value: int | None
    shape: tuple[int, ...] = ()
    low: int = 0
    high: int = 0


@dataclass(frozen=True)
class Element:
    """What made one element. products: (k, a, b, a * b, running sum); golden: the stored value, None if not stored."""

    call: Call
    index: tuple[int, ...]
    inputs: tuple[Step, ...]
    steps: tuple[Step, ...]
    products: tuple[tuple[int, int, int, int, int], ...]
    dtype: str
    value: int
    golden: int | None


def find(package: Package, name: str, port: str | None = None) -> Call:
    """The call that a case id, a site or a tensor names; Unsupported, with the names there are, if none does."""
    if package.model is None:
        return _case(package, name, port)
    model, ids = package.model, node_ids(package.model)
    made = {tensor: (i, p) for i, node in enumerate(model.nodes) for p, tensor in node.outputs.items()}
    tensor = name if name in made else model.outputs.get(name, "")
    if name not in ids and tensor not in made:
        raise Unsupported(name)
    index, own = (ids.index(name), None) if name in ids else made[tensor]
    node, attrs = model.nodes[index], model.attrs[index]
    inputs = {p: _stored(package, t) for p, t in node.inputs.items()}
    outputs = {p: package.available[t] for p, t in node.outputs.items() if t in package.available}
    chosen = _port(OPS[node.op], port or own)
    return Call(ids[index], node.op, attrs, inputs, outputs, {**node.inputs, **node.outputs}, chosen)


def known_names(package: Package) -> list[str]:
    """All that `find` finds."""
    if package.model is None:
        return [case.id for case in package.cases]
    tensors = [tensor for node in package.model.nodes for tensor in node.outputs.values()]
    return [*dict.fromkeys([*node_ids(package.model), *tensors, *package.model.outputs])]


def _case(package: Package, name: str, port: str | None) -> Call:
    for case in package.cases:
        if case.id == name:
            op = package.manifest["op"]
            return Call(name, op, case.attrs, case.inputs, case.outputs, {}, _port(OPS[op], port))
    raise Unsupported(name)


def _port(op: Op, port: str | None) -> str:
    if port is not None and port not in op.outputs:
        raise SpecError(f"{op.name}: output must be one of {', '.join(op.outputs)}, not {port!r}")
    return port or next(iter(op.outputs))


def _stored(package: Package, tensor: str) -> np.ndarray:
    if tensor not in package.available:
        trace = package.manifest.get("trace")
        raise FormatError(f"{package.path}: expected the tensor {tensor!r}, not stored: the package traces {trace!r}")
    return package.available[tensor]


def element(call: Call, index: tuple[int, ...]) -> Element:
    """Everything that makes one element of the call's chosen output; SpecError if there is no such element."""
    op = OPS[call.op]
    if call.port in call.outputs:
        _check_index(call, index, call.outputs[call.port].shape)
    cut = _along(op, call, index)
    tensors, local = _cut(op, call, index, cut)
    attrs = op.check(tensors, call.attrs)
    values, log = op.trace({port: t.astype(np.int64) for port, t in tensors.items()}, attrs)
    result = values[call.port]
    if call.port not in call.outputs:
        _check_index(call, local, result.shape)
    doubtful = _doubtful(op, call, tensors, cut)
    inputs = [_operand(op, call, port, log[i], tensors[port], local) for i, port in enumerate(tensors)]
    steps = [_step(t, local, result, doubtful) for t in log[len(inputs) :]]
    dtype = op.output_dtypes({p: t.dtype.name for p, t in tensors.items()}, attrs)[call.port]
    golden = int(call.outputs[call.port][index]) if call.port in call.outputs else None
    value = int(np.asarray(result.value)[local])
    return Element(call, index, tuple(inputs), tuple(steps), _products(log), dtype, value, golden)


def _check_index(call: Call, index: tuple[int, ...], shape: tuple[int, ...]) -> None:
    if len(index) != len(shape) or not all(0 <= i < n for i, n in zip(index, shape)):
        raise SpecError(f"{call.id}: index must lie in output {call.port!r} of shape {list(shape)}, not {list(index)}")


def _along(op: Op, call: Call, index: tuple[int, ...]) -> dict[str, int]:
    """Axis -> the one index of it that the element depends on."""
    form = op.outputs[call.port].form(len(index)) or []
    separate = {a for port in op.inputs.values() for form in port.forms() for a in form} & SEPARATE - {*op.reduces}
    return {axis: i for axis, i in zip(form, index) if axis[0] == "." or axis in separate}


def _cut(op: Op, call: Call, index: tuple[int, ...], cut: Mapping[str, int]) -> tuple[Arrays, tuple[int, ...]]:
    """The inputs, each cut to what the element depends on, and the element's index in the smaller output."""
    tensors = {}
    for port in op.inputs:
        tensor = call.inputs[port]
        form = _form(op.inputs[port], tensor)
        keep = [slice(cut[a], cut[a] + 1) if a in cut and n > 1 else slice(None) for a, n in zip(form, tensor.shape)]
        if "axis" in op.attrs and tensor.ndim == 1 and op.inputs[port].axes != "..." and len(tensor) > 1:
            own = index[call.attrs["axis"]]  # a constant laid along one axis of the others, which is cut as well
            keep = [slice(own, own + 1)]
        tensors[port] = tensor[tuple(keep)]
    out = op.outputs[call.port].form(len(index)) or []
    return tensors, tuple(0 if a in cut else i for a, i in zip(out, index))


def _form(port: Port, tensor: np.ndarray) -> list[str]:
    return port.form(tensor.ndim) or []


def _doubtful(op: Op, call: Call, tensors: Arrays, cut: Mapping[str, int]) -> set[int]:
    """Sizes by which an axis that elements meet along could be taken for one of the output's."""
    out = {a for form in op.outputs[call.port].forms() for a in form}
    sizes = [(a, n) for port, t in tensors.items() for a, n in zip(_form(op.inputs[port], t), t.shape) if a not in cut]
    return {n for a, n in sizes if a not in out} & {n for a, n in sizes if a in out} - {1}


def _operand(op: Op, call: Call, port: str, traced: Tracer, tensor: np.ndarray, local: tuple[int, ...]) -> Step:
    """An input: its element if each of its axes is one of the output's, else its row."""
    form, out = _form(op.inputs[port], tensor), op.outputs[call.port].form(len(local)) or []
    name, dtype = f"%{traced.number}", tensor.dtype.name
    own = [a for a, n in zip(form, tensor.shape) if n > 1]
    if all(a in out for a in own):
        at = tuple(local[out.index(a)] if n > 1 else 0 for a, n in zip(form, tensor.shape))
        return Step(name, port, dtype, int(tensor[at]))
    return _row(name, port, dtype, tensor)


def _row(name: str, text: str, dtype: str, values: np.ndarray) -> Step:
    return Step(name, text, dtype, None, values.shape, int(values.min()), int(values.max()))


def _step(traced: Tracer, local: tuple[int, ...], result: Tracer, doubtful: set[int]) -> Step:
    name, seen = f"%{traced.number}", traced.at(local, result.shape)
    if seen is not None and (traced is result or not {*traced.shape} & doubtful):
        return Step(name, traced.text, "", int(seen))
    return _row(name, traced.text, "", np.asarray(traced.value))


def _products(log: list[Tracer]) -> tuple[tuple[int, int, int, int, int], ...]:
    """The products of the one matrix product in the log, if there is one: its rows are cut to a single one."""
    made = [t for t in log if t.text.startswith("matmul(")]
    if not made:
        return ()
    numbers = made[0].text.removeprefix("matmul(%").removesuffix(")").split(", %")
    a, b = (np.ravel(np.asarray(log[int(number)].value)).tolist() for number in numbers)
    rows, total = [], 0
    for k, (x, y) in enumerate(zip(a, b)):
        total += x * y
        rows.append((k, x, y, x * y, total))
    return tuple(rows)
