"""One call of one op, its explanation, and a whole model: one loop over nodes."""

import fnmatch
import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from types import MappingProxyType
from typing import Any

import numpy as np

from intref.digest import digest
from intref.errors import BoundError, SpecError, Unsupported, near
from intref.model import Model, Node
from intref.ops import OPS, Op

BACKENDS = ("fast", "reference")
Arrays = dict[str, np.ndarray]
Observer = Callable[[Node, Arrays, Arrays], None]  # node, its inputs by port, its outputs by port
Progress = Callable[[str, int, int], None]  # what, done, total


def call(
    name: str, tensors: Mapping[str, np.ndarray], attrs: Mapping[str, Any], backend: str = "reference"
) -> dict[str, np.ndarray]:
    """{output name: integer array} of one op; SpecError if the call breaks its contract, BoundError on overflow."""
    op, full = checked(name, tensors, attrs)
    return execute(op, tensors, full, backend)


def checked(name: str, tensors: Mapping[str, np.ndarray], attrs: Mapping[str, Any]) -> tuple[Op, dict[str, Any]]:
    """The op and its complete attributes; SpecError if the call breaks the op's contract."""
    if name not in OPS:
        raise SpecError(f"{name}: there is no such op, {near(name, OPS)} (C1)")
    return OPS[name], OPS[name].check(tensors, attrs)


def execute(
    op: Op,
    tensors: Mapping[str, np.ndarray],
    attrs: dict[str, Any],
    backend: str,
    prepared: Mapping[str, Any] = MappingProxyType({}),
) -> Arrays:
    """`call` after its checks: tensors and attrs are known to keep the op's contract, attrs is complete.

    prepared: what the kernel takes in place of some of the tensors.
    """
    if backend == "reference":
        return op.run(tensors, attrs)
    try:
        return dict(_kernels(backend)[op.name](**{**tensors, **prepared}, **attrs))
    except OverflowError as error:  # the kernels' word for what the reference calls BoundError
        raise BoundError(f"{op.name}: {error}") from None


def _kernels(backend: str) -> dict[str, Callable[..., Arrays]]:
    if backend != "fast":
        raise SpecError(f"backend must be one of {', '.join(BACKENDS)}, not {backend!r}")
    try:  # imported only here, so that the reference works without numba
        return importlib.import_module("intref.kernels").KERNELS
    except ImportError as error:
        raise Unsupported(f"backend 'fast' needs numba ({error}); backend 'reference' does not") from None


def step(
    name: str, tensors: Mapping[str, np.ndarray], attrs: Mapping[str, Any], index: tuple[int, ...]
) -> list[tuple[str, int | None]]:
    """What produces output element `index`: every intermediate as (text, value), in the body's order.

    The value is None for a tensor laid out otherwise than the output (before a transpose, a sum or a look-up).
    """
    op, full = checked(name, tensors, attrs)
    outputs, log = op.trace({k: t.astype(np.int64) for k, t in tensors.items()}, full)
    shape = next(iter(outputs.values())).shape
    seen = ((t, t.at(index, shape)) for t in log)
    return [(f"%{t.number} = {t.text}", None if value is None else int(value)) for t, value in seen]


@dataclass(frozen=True)
class Result:
    """outputs: public name -> integer array. trace: tensor -> integer array, of the tensors asked for."""

    model: Model
    outputs: Arrays
    trace: Arrays

    def __repr__(self) -> str:
        made = ", ".join(f"{name} {value.dtype.name} {list(value.shape)}" for name, value in self.outputs.items())
        return f"<Result: {made}; {len(self.trace)} tensors traced, digest {self.digest[:16]}..>"

    @cached_property
    def digest(self) -> str:
        """SHA-256 over outputs and states: the same whatever is traced, on every backend and machine."""
        return digest(self.outputs)

    @cached_property
    def trace_digest(self) -> str:
        """SHA-256 over the trace."""
        return digest(self.trace)

    def float(self, name: str) -> np.ndarray:
        """An output or traced tensor in real units, for people: float64, integer * mantissa * 2**exponent."""
        from intref.display import dequantized

        values = self.outputs.get(name, self.trace.get(name))
        if values is None:
            raise SpecError(f"tensor {name!r} is neither an output ({', '.join(self.outputs)}) nor traced")
        scale = self.model.scales.get(self.model.outputs.get(name, name))
        if scale is None:
            raise SpecError(f"tensor {name!r} has no single scale")
        return dequantized(values, *scale)


def run(
    model: Model,
    inputs: Mapping[str, Any],
    backend: str = "fast",
    trace: str | None = None,
    observers: Iterable[Observer] = (),
) -> Result:
    """Every node in order; a tensor is dropped after its last use unless it is traced. See Model.run."""
    observers, wanted = tuple(observers), traced(model, trace)
    values = {**model.constants, **prepare(model, inputs)}
    last = {name: i for i, node in enumerate(model.nodes) for name in node.inputs.values()}
    keep = {*wanted, *model.outputs.values()}
    prepared, memory = _engine(model, backend)
    with memory:
        for i, (node, attrs) in enumerate(zip(model.nodes, model.attrs)):
            tensors = {port: values[name] for port, name in node.inputs.items()}
            _watch(node, tensors, attrs)
            made = execute(OPS[node.op], tensors, attrs, backend, prepared[i])
            for observe in observers:
                observe(node, tensors, made)
            values.update({node.outputs[port]: value for port, value in made.items()})
            del tensors, made
            for name in {*node.inputs.values(), *node.outputs.values()}:
                if last.get(name, -1) <= i and name not in keep:
                    del values[name]
    return Result(model, {k: values[t] for k, t in model.outputs.items()}, {t: values[t] for t in wanted})


def _engine(model: Model, backend: str) -> tuple[Sequence[Mapping[str, Any]], AbstractContextManager[None]]:
    """Prepared constants of every node, and the memory that results may use."""
    if backend == "reference":
        return [{}] * len(model.nodes), nullcontext()
    _kernels(backend)
    return model.engine.arguments, model.engine.memory()


def _watch(node: Node, tensors: Arrays, attrs: dict[str, Any]) -> None:
    try:
        OPS[node.op].watch(tensors, attrs)
    except SpecError as error:
        raise SpecError(f"node {node.site}: {error}") from None


def teller(model: Model, progress: Progress) -> Observer:
    """An observer that tells how far a run has come, node by node."""
    done = count(1)
    return lambda node, tensors, made: progress("run", next(done), len(model.nodes))


def traced(model: Model, trace: str | None) -> list[str]:
    """The tensors a trace pattern asks for, in the order they are made; SpecError if it matches none."""
    if trace is None:
        return []
    made = [*model.inputs, *(name for node in model.nodes for name in node.outputs.values())]
    patterns = ["*"] if trace == "all" else [p.strip() for p in trace.split(",")]
    found = [name for name in made if any(fnmatch.fnmatchcase(name, p) for p in patterns)]
    if not found:
        raise SpecError(f"trace {trace!r} matches no tensor of the model")
    return found


def prepare(model: Model, inputs: Mapping[str, Any]) -> Arrays:
    """The model's inputs, complete and in their declared dtypes; SpecError names the input, expected and found."""
    if unknown := inputs.keys() - model.inputs.keys():
        raise SpecError(f"model: input {min(unknown)!r} is unknown, inputs are {', '.join(model.inputs)}")
    arrays = {name: _array(name, value) for name, value in inputs.items()}
    for name, default in model.inputs.items():
        if name not in arrays and default is None:
            raise SpecError(f"model: input {name!r} must be given")
    for name, value in arrays.items():
        _check_input(model, name, value)
    sizes = _sizes(model, arrays)
    full = {}
    for name, default in model.inputs.items():
        declared = model.tensors[name]
        if name in arrays:
            full[name] = np.ascontiguousarray(arrays[name], declared.dtype)
        else:
            full[name] = np.full(_shape(name, declared.axes, sizes), default, declared.dtype)
    return full


def _array(name: str, value: Any) -> np.ndarray:
    try:
        return np.asarray(value)
    except (TypeError, ValueError, OverflowError):
        raise SpecError(f"model: input {name!r} must be an array of integers, not {type(value).__name__}") from None


def _shape(name: str, axes: tuple[int | str, ...], sizes: dict[str, int]) -> list[int]:
    for axis in axes:
        if isinstance(axis, str) and axis not in sizes:
            raise SpecError(f"model: input {name!r} must be given, no other input says how large {axis} is")
    return [sizes[axis] if isinstance(axis, str) else axis for axis in axes]


def _check_input(model: Model, name: str, value: np.ndarray) -> None:
    declared = model.tensors[name]
    must = f"model: input {name!r} must"
    if value.dtype.kind not in "iub":
        raise SpecError(f"{must} be integers, not {value.dtype}")
    if value.ndim != len(declared.axes) or value.size == 0:
        raise SpecError(f"{must} have axes {list(declared.axes)}, each at least 1, not shape {value.shape}")
    low, high = declared.range
    wrong = np.argwhere((value < low) | (value > high))
    if len(wrong):
        at = [int(i) for i in wrong[0]]
        raise SpecError(f"{must} lie in [{low}, {high}], not {int(value[tuple(at)])} at {at}")


def _sizes(model: Model, arrays: Arrays) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for name, value in arrays.items():
        axes = model.tensors[name].axes
        for axis, size in zip(axes, value.shape):
            if isinstance(axis, int):
                if size != axis:
                    raise SpecError(f"model: input {name!r} must have axes {list(axes)}, not {list(value.shape)}")
            elif size > model.dims[axis]:
                raise SpecError(f"model: input {name!r} must have {axis} <= {model.dims[axis]}, not {size}")
            elif sizes.setdefault(axis, size) != size:
                raise SpecError(f"model: input {name!r} must have {axis} = {sizes[axis]}, not {size}")
    return sizes
