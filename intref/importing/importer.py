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
from intref.importing.values import (
    Array,
    Dequantized,
    Floats,
    Quantized,
    Real,
    Tensor,
    Value,
    Values,
    integers,
    is_float32,
    narrowest,
)
from intref.model import BIT_PATTERNS, BOUNDARY, Model
from intref.tensorfile import shown

Handler = Callable[..., Any]
HANDLERS: dict[str, Handler] = {}
SIGNATURES: dict[str, Signature] = {}
FLOAT32: set[str] = set()  # of them those that take what stands for float32s
ROUNDED, ROUNDINGS = "RequantShift", ("half_up", "floor")
WRONG = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, AssertionError)
DTYPES = ("int8", "uint8", "int16", "int32")


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
        self.values: dict[str, Any] = {}
        self.patterns: list[str] = []  # inputs and outputs that are float32s, as bit patterns
        self.asked: dict[str, str] = {}  # input -> the dtype that the user declared
        self.boundary: list[str] = []  # what of the graph is left to the caller, a line each

    def integers(self, call: Call, value: Value) -> Value:
        """A constant as integers; a tensor as it is."""
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
            self.builder.outputs[name] = self._output(name, self.values[name]).name
        return self.builder.model(self._about())

    def _output(self, name: str, value: Any) -> Tensor:
        if isinstance(value, Dequantized):
            return self._noted(name, value)
        if isinstance(value, (Floats, Real)):
            self.patterns.append(name)
            return self.epilogue(value)
        if is_float32(value):
            raise self.refuse("integers, or products by scales found at run time", "the scales alone")
        return self.tensor(value)

    def _about(self) -> dict[str, Any]:
        about: dict[str, Any] = {"source": "onnx", "producer": self.graph.producer}
        if any(call.op == ROUNDED for call in self.graph.calls):
            about["requant_rounding"] = self.requant_rounding
        if self.patterns:
            about[BIT_PATTERNS] = self.patterns
        if self.boundary:
            about[BOUNDARY] = self.boundary
        return about

    def _noted(self, name: str, value: Dequantized) -> Tensor:
        """The integers of an output, their scale noted for people where it is one and its zero point 0."""
        tensor, scale = self.tensor(value.value, value.scale.dtype), value.scale
        if scale.scales.size == 1 and scale.zero == 0:
            self.builder.scale(tensor.name, float(scale.scales[0]))
        line = f"output {name}: {tensor.dtype}, {scale}; the float DequantizeLinear behind it is left to the caller"
        self.boundary.append(line)
        return tensor

    def quantized_before(self, x: Tensor | Quantized, scale: Any) -> Tensor:
        """An input that the graph quantizes first: the quantized values are given instead."""
        name = x.value.name if isinstance(x, Quantized) else x.name
        line = f"input {name}: {scale.dtype}, {scale}; the float QuantizeLinear before it is left to the caller"
        if isinstance(x, Quantized):
            if line != x.line:
                raise self.quantized_alone(x)
            return x.value
        self.boundary.append(line)
        given = self._given_as(x, scale.dtype)
        self.values[name] = Quantized(given, line)
        return given

    def quantized_alone(self, x: Tensor | Quantized) -> IntrefError:
        """The error for an input that is taken in two ways."""
        name = x.value.name if isinstance(x, Quantized) else x.name
        return self.refuse(f"input {shown(name)} quantized alone", "another use")

    def as_patterns(self, x: Tensor) -> Tensor:
        """An input of float32s: their bit patterns are given instead, and are float32s wherever else it is used."""
        given = self._given_as(x, "int32")
        self.patterns.append(x.name)
        self.values[x.name] = Floats(given)
        return given

    def _given_as(self, x: Tensor, dtype: str) -> Tensor:
        """An input given otherwise than as the integers that it was taken for."""
        if any(x.name in node.inputs.values() for node in self.builder.nodes):
            raise self.quantized_alone(x)
        if self.asked.get(x.name, dtype) != dtype:
            must = f"input {shown(x.name)} declared as {dtype}, which the graph makes of it"
            raise self.refuse(must, self.asked[x.name])
        return x if x.dtype == dtype else self.input(x.name, dtype, x.shape)

    def _input(self, name: str, declared: Given, given: Given) -> Value:
        shape = declared.shape or given.shape
        at = f"{self.graph.path}: input {shown(name)}"
        if shape is None or None in shape:
            example = f"{shown_word(name)}=uint8[{','.join(str(n or 1) for n in shape or [1])}]"
            found = [*shape] if shape else "none"
            raise FormatError(f"{at}: expected its sizes, found {found}: declare them, as in --input '{example}'")
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
        values: list[Any] = [self._value(name) for name in call.inputs]
        if call.op != "QuantizeLinear" and (given := next((v for v in values if isinstance(v, Quantized)), None)):
            raise self.quantized_alone(given)
        if any(map(is_float32, values)) and call.op not in FLOAT32:
            raise not_of_float32(call, values)
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


def not_of_float32(call: Call, values: Sequence[Any]) -> Unsupported:
    """The error for a node whose float32s no op here takes; where they come from tells what they are."""
    dequantized = any(isinstance(v, Dequantized) for v in values)
    made = "DequantizeLinear" if dequantized else "a product quantized at run time"
    return Unsupported(f"{call.at}: float32 {call.op} behind {made} is not supported")


def shown_word(name: str) -> str:
    """A name as it is, if it is one."""
    return name if name.isidentifier() else shown(name)


def unknown(call: Call) -> str:
    """What is not supported, and what is perhaps meant: what has the word in its name, else what is spelt alike."""
    holding = [name for name in sorted(HANDLERS) if call.op.lower() in name.lower()][:3]
    near = holding or difflib.get_close_matches(call.op, HANDLERS, n=1, cutoff=0.0)
    attrs = f" with attributes {', '.join(map(shown_word, sorted(call.attrs)))}" if call.attrs else ""
    domain = f" of domain {shown(call.domain)}" if call.domain else ""
    return f"{call.at}: op {shown(call.op)}{domain}{attrs} is not supported; the nearest that is: {' or '.join(near)}"


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
    from intref.importing import (  # noqa: F401 (each enters itself)
        arithmetic,
        deeploy,
        dynamic,
        layout,
        quantized,
        sums,
        windows,
    )

    if requant_rounding not in ROUNDINGS:
        raise SpecError(f"requant_rounding must be one of {', '.join(ROUNDINGS)}, not {requant_rounding!r}")
    graph = read_graph(path)
    declared = {name: _measured(value) for name, value in (values or {}).items()}
    asked = {name: _declared(name, text) for name, text in (inputs or {}).items()}
    declared |= asked
    if extra := declared.keys() - graph.inputs.keys():
        raise SpecError(f"{graph.path}: input {min(extra)!r} is unknown, inputs are {', '.join(graph.inputs)}")
    importer = Importer(graph, requant_rounding)
    importer.asked = {name: given.dtype for name, given in asked.items() if given.dtype}
    return importer.model(declared)


def _measured(value: Array) -> Given:
    """What holds an array of integers; real numbers, of an input that the graph quantizes, say their sizes alone."""
    try:
        return Given(narrowest(integers("", value)), value.shape)
    except FormatError:
        return Given(None, value.shape)


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
