"""From the nodes of an ONNX graph to ours: each is made by the function that its op type names.

@imports("Relu")
def relu(net: Importer, call: Call, x: Value) -> Value: ...
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from intref.atomic import StrPath
from intref.errors import BoundError, FormatError, IntrefError, SpecError, Unsupported
from intref.importing.graph import Call, Given, Graph, read_graph
from intref.importing.signature import MICROSOFT, STANDARD, Signature
from intref.importing.values import Array, Dequantized, Floats, Real, Tensor, Value, Values, narrowest
from intref.model import Model
from intref.tensorfile import shown

Handler = Callable[..., Any]
HANDLERS: dict[str, Handler] = {}
SIGNATURES: dict[str, Signature] = {}
ROUNDINGS = ("half_up", "floor")
WRONG = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, AssertionError)
DTYPES = ("int8", "uint8", "int16", "int32")
INTEGERS = (Tensor, np.ndarray, np.generic, type(None))
TAKE_REALS = frozenset(  # what others are given is integers
    "Add Conv DynamicQuantizeLinear Flatten Gemm Identity MatMul MaxPool Mul QuantizeLinear Relu Reshape Shape "
    "Squeeze Transpose Unsqueeze".split()
)


def imports(*op_types: str, attrs: str = "", domains: tuple[str, ...] = STANDARD) -> Callable[[Handler], Handler]:
    """Enter the function that makes nodes of these types. attrs: those it reads, see Signature."""

    def enter(handler: Handler) -> Handler:
        SIGNATURES.update(dict.fromkeys(op_types, Signature(attrs, domains)))
        HANDLERS.update(dict.fromkeys(op_types, handler))
        return handler

    return enter


class Importer(Values):
    """A graph being imported. requant_rounding: what RequantShift does, which no graph says."""

    def __init__(self, graph: Graph, requant_rounding: str):
        super().__init__()
        self.graph, self.requant_rounding = graph, requant_rounding
        self.values: dict[str, Value] = {}

    def integers(self, call: Call, value: Value) -> Value:
        """A constant as integers; a tensor as it is."""
        from intref.importing.values import integers

        return value if isinstance(value, Tensor) else integers(f"{call.at}: constant", value)

    def model(self, declared: Mapping[str, Given]) -> Model:
        """The whole graph, node by node."""
        for name, given in self.graph.inputs.items():
            self.values[name] = self._input(name, declared.get(name, given), given)
        for call in self.graph.calls:
            self._node(call)
        for name in self.graph.outputs:
            if name not in self.values:
                raise FormatError(f"{self.graph.path}: output {shown(name)}: expected a node that makes it, found none")
            self.begin(name, f"{self.graph.path}: output {shown(name)}")
            value: Any = self.values[name]
            if isinstance(value, Dequantized):
                value = self._noted(value)
            elif isinstance(value, (Floats, Real)):
                value = self.epilogue(value)
            self.builder.outputs[name] = self.tensor(value).name
        about = {"source": "onnx", "producer": self.graph.producer, "requant_rounding": self.requant_rounding}
        return self.builder.model(about)

    def _noted(self, value: Dequantized) -> Value:
        """The integers of an output, their scale noted for people where it is one and its zero point 0."""
        tensor = self.tensor(value.value)
        if value.scale.scales.size == 1 and value.scale.zero == 0:
            self.builder.scale(tensor.name, float(value.scale.scales[0]))
        return tensor

    def given_as(self, x: Tensor, dtype: str) -> Tensor:
        """An input that the graph quantizes first: the quantized values are given instead."""
        if any(x.name in node.inputs.values() for node in self.builder.nodes):
            raise self.refuse(f"input {shown(x.name)} used by QuantizeLinear alone", "another use")
        self.values[x.name] = self.input(x.name, dtype, x.shape)
        return Tensor(x.name, x.shape, dtype)

    def _input(self, name: str, declared: Given, given: Given) -> Value:
        shape = declared.shape or given.shape
        at = f"{self.graph.path}: input {shown(name)}"
        if shape is None or None in shape:
            raise FormatError(f"{at}: expected its sizes, found {[*shape] if shape else 'none'}: declare them")
        sizes = tuple(int(n or 0) for n in shape)
        if min(sizes, default=0) < 0:
            raise FormatError(f"{at}: expected sizes of at least 0, found {[*sizes]}")
        self.begin(name, at)
        self.hold(name, sizes)
        if 0 in sizes:  # an empty cache: nothing to be given
            return np.zeros(sizes, np.int64)
        return self.input(name, declared.dtype or given.dtype or "int8", sizes or (1,))

    def _node(self, call: Call) -> None:
        handler = HANDLERS.get(call.op)
        if handler is None:
            raise Unsupported(unknown(call))
        SIGNATURES[call.op].check(call, self.graph.opset)
        self.begin(next(name for name in call.outputs if name), call.at)
        values = [self._value(name) for name in call.inputs]
        if call.op not in TAKE_REALS and any(not isinstance(v, INTEGERS) for v in values):
            raise self.refuse("integers", f"float32s, of which {call.op} takes none here")
        try:
            made = handler(self, call, *values)
        except (FormatError, Unsupported):
            raise
        except (BoundError, SpecError) as error:
            raise type(error)(f"{call.at}: {error}") from None
        except WRONG as error:  # ranks, axes, missing inputs or attributes
            shapes = [list(v.shape) if v is not None else None for v in values]
            text = " ".join(str(error).split()) if isinstance(error, (ValueError, IndexError)) else type(error).__name__
            raise FormatError(f"{call.at}: expected what {call.op} takes, found inputs {shapes} ({text})") from None
        for name, value in zip(call.outputs, made if isinstance(made, list) else [self.named(made)]):
            if name:
                self.values[name] = value

    def _value(self, name: str) -> Value | None:
        if not name:
            return None
        return self.graph.constants[name] if name in self.graph.constants else self.values[name]


def shown_word(name: str) -> str:
    """A name as it is, if it is one."""
    return name if name.isidentifier() else shown(name)


def unknown(call: Call) -> str:
    """What is not supported, and what is perhaps meant."""
    near = difflib.get_close_matches(call.op, HANDLERS, n=1, cutoff=0.0)
    attrs = f" with attributes {', '.join(map(shown_word, sorted(call.attrs)))}" if call.attrs else ""
    domain = f" of domain {shown(call.domain)}" if call.domain else ""
    return f"{call.at}: op {shown(call.op)}{domain}{attrs} is not supported; the nearest that is: {near[0]}"


def import_onnx(
    path: StrPath,
    inputs: Mapping[str, str] | None = None,
    requant_rounding: str = "half_up",
    values: Mapping[str, Array] | None = None,
) -> Model:
    """The model of an ONNX file of integer arithmetic, proved free of overflow; one line, of file and node, if not.

    Values may travel as float tensors that hold integers (Deeploy's networks): what they are follows from the data
    flow. An input is what `inputs` declares (name -> "uint8" or "uint8[1,3,32,32]"), else the narrowest of int8, uint8,
    int16 and int32 that holds its array in `values`, else what the graph says if that is one of them, else int8; it may
    hold all that its dtype does. RequantShift and its like make the dtype that their attributes say, sums and products
    int32, and what moves elements keeps theirs.

    requant_rounding: half_up or floor, of every RequantShift.
    """
    from intref.importing import arithmetic, deeploy, dynamic, layout, quantized, windows  # noqa: F401 (each enters itself)

    if requant_rounding not in ROUNDINGS:
        raise SpecError(f"requant_rounding must be one of {', '.join(ROUNDINGS)}, not {requant_rounding!r}")
    graph = read_graph(path)
    declared = {name: _measured(value) for name, value in (values or {}).items()}
    declared |= {name: _declared(name, text) for name, text in (inputs or {}).items()}
    if extra := declared.keys() - graph.inputs.keys():
        raise SpecError(f"{graph.path}: input {min(extra)!r} is unknown, inputs are {', '.join(graph.inputs)}")
    return Importer(graph, requant_rounding).model(declared)


def _measured(value: Array) -> Given:
    return Given(narrowest(value), value.shape)


def _declared(name: str, text: str) -> Given:
    """dtype or dtype[sizes]."""
    dtype, bracket, sizes = text.removesuffix("]").partition("[")
    numbers = sizes.split(",") if bracket else []
    if dtype not in DTYPES or not all(n.strip().isdecimal() for n in numbers):
        raise SpecError(
            f"input {name!r}: expected one of {', '.join(DTYPES)}, or with sizes int8[1,16], found {text!r}"
        )
    return Given(dtype, tuple(int(n) for n in numbers) if bracket else None)


def axes_of(call: Call, value: Value | None, rank: int) -> list[int]:
    """The axes that a node names, by an attribute or by a constant input, from 0."""
    given: Any = call.attrs.get("axes", value)
    if given is None:
        return [*range(rank)]
    listed: Sequence[int] = np.asarray(given).ravel().tolist()
    if not all(-rank <= int(axis) < rank for axis in listed):
        raise FormatError(f"{call.at}: axes: expected each in [{-rank}, {rank - 1}], found {listed}")
    return sorted({int(axis) % rank for axis in listed})


def constant(call: Call, value: Value | None, what: str) -> Array:
    """An input that must be a constant."""
    if value is None or isinstance(value, Tensor):
        raise FormatError(f"{call.at}: {what}: expected a constant, found {getattr(value, 'name', 'none')}")
    return value


__all__ = [
    "HANDLERS",
    "MICROSOFT",
    "STANDARD",
    "Importer",
    "IntrefError",
    "axes_of",
    "constant",
    "import_onnx",
    "imports",
]
