"""The integer graph: nodes, constants, and what is declared of every tensor. Schema 1 of the model file."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from intref.errors import FormatError, SpecError, Unsupported, near
from intref.ops import OPS
from intref.ops.op import dtype_range
from intref.tensorfile import shown

if TYPE_CHECKING:
    import os

    from intref.engine import Engine
    from intref.proof import Proof
    from intref.run import Result

SCHEMA = 1
SPEC_VERSION = "0.1"
EXACT = 1 << 53  # JSON numbers are exact below this
MAX_FIXED = 1 << 24  # elements in the fixed axes of an input: a header must not make us allocate more
DTYPES = ("int8", "uint8", "int16", "int32", "int64")
BIT_PATTERNS = "bit_patterns"  # of about: the inputs and outputs that are float32s, each as the int32 of its bits
BOUNDARY = "boundary"  # of about: `input NAME: ..`, `output NAME: ..`, what is left to the caller there, a line each


@dataclass(frozen=True)
class Node:
    """One call of one op. inputs and outputs: port -> tensor. site: its place in the network. group: fused with."""

    op: str
    inputs: dict[str, str]
    outputs: dict[str, str]
    attrs: dict[str, Any] = field(default_factory=dict)
    site: str = ""
    group: str = ""
    version: int = 1


@dataclass(frozen=True)
class TensorInfo:
    """What is declared of a tensor: storage dtype, bits, range, axes (a size, or the name of a symbolic dimension).

    low and high are None where the range is all that `bits` can hold (numbers beyond 2**53 are never in the header).
    """

    dtype: str
    bits: int
    signed: bool
    axes: tuple[int | str, ...]
    low: int | None = None
    high: int | None = None

    @property
    def range(self) -> tuple[int, int]:
        low, high = (-(1 << self.bits - 1), (1 << self.bits - 1) - 1) if self.signed else (0, (1 << self.bits) - 1)
        return low if self.low is None else self.low, high if self.high is None else self.high


def info(dtype: str, axes: tuple[int | str, ...], low: int, high: int) -> TensorInfo:
    """The tightest declaration of a tensor whose values lie in [low, high]."""
    signed = dtype != "uint8"
    bits = max(1, *(max(v, 0).bit_length() + signed for v in (-low - 1, high)))
    return TensorInfo(dtype, bits, signed, axes, *(v if abs(v) < EXACT else None for v in (low, high)))


@dataclass(frozen=True)
class Model:
    """An integer graph. Every number that affects a bit is in it; run reads nothing else.

    dims: symbolic dimension -> largest size. inputs: tensor -> default fill (None: must be given). outputs: public
    name -> tensor. scales: tensor -> (mantissa, exponent), for people; run never reads it. about: profile, recipe,
    and whatever else tells where the model comes from, as text or integers.
    """

    nodes: tuple[Node, ...]
    tensors: dict[str, TensorInfo]
    constants: dict[str, np.ndarray]
    inputs: dict[str, int | None]
    outputs: dict[str, str]
    dims: dict[str, int]
    scales: dict[str, tuple[int, int]] = field(default_factory=dict)
    states: tuple[dict[str, Any], ...] = ()
    about: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        origin = "".join(f"{key} {self.about[key]}, " for key in ("profile", "recipe") if key in self.about)
        size = f"{len(self.nodes)} nodes, {len(self.constants)} constants of {len(self.tensors)} tensors"
        return f"<Model: {origin}{size}, hash {self.hash[:16]}..>"

    @cached_property
    def attrs(self) -> tuple[dict[str, Any], ...]:
        """The complete attributes of every node."""
        return tuple(OPS[node.op].complete(node.attrs) for node in self.nodes)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of all that the model file says: what tells two models apart."""
        from intref import modelfile

        return modelfile.file_hash(self)

    @cached_property
    def engine(self) -> "Engine":
        """What the fast backend keeps of this model between runs."""
        from intref.engine import Engine

        return Engine(self)

    def validate(self, where: str = "model") -> None:
        """FormatError, naming where and the node or tensor, unless the graph is well formed."""
        for name, declared in self.tensors.items():
            check_declared(where, name, declared)
            for axis in declared.axes:
                if isinstance(axis, str) and axis not in self.dims:
                    raise FormatError(f"{where}: tensor {shown(name)}: axis {shown(axis)} is not among {[*self.dims]}")
        _check_nodes(self, where)
        for name, value in self.constants.items():
            _check_constant(where, name, value, self.tensors[name])
        for name, default in self.inputs.items():
            _check_input(where, name, default, self.tensors[name])
        for name, scale in self.scales.items():
            if name not in self.tensors:
                raise FormatError(f"{where}: scale of tensor {shown(name)}, which is not declared")
            check_scale(where, name, scale)

    def proof(self) -> "Proof":
        """Bounds of every tensor and intermediate; BoundError unless the model is proved free of overflow."""
        from intref.proof import prove

        return prove(self)

    def run(
        self, inputs: Mapping[str, Any], backend: str = "fast", trace: str | None = None, **options: Any
    ) -> "Result":
        """Run with integers only.

        inputs: name -> integer array [B, T] (input_ids; attention_mask and token_type_ids have defaults). Padding
        changes no bit of an attended token; a pooler takes token 0, so pad on the right before one.
        backend: fast or reference, the same bits. trace: None, "all" or a pattern such as "L0.*" (comma separated).
        SpecError if an input does not fit the model.
        """
        from intref.run import run

        return run(self, inputs, backend, trace, **options)

    def save(self, path: "str | os.PathLike[str]") -> None:
        """Write the model file (schema 1), atomically: the same model gives the same bytes."""
        from intref import modelfile

        modelfile.save(self, path)


def _check_nodes(model: Model, where: str) -> None:
    known = {*model.constants, *model.inputs}
    if both := model.constants.keys() & model.inputs.keys():
        raise FormatError(f"{where}: tensor {shown(min(both))} is both an input and a constant")
    for name in sorted(known):
        if name not in model.tensors:
            raise FormatError(f"{where}: tensor {shown(name)} must be declared, it is not")
    for i, node in enumerate(model.nodes):
        _check_node(model, node, f"{where}: node {i} ({shown(node.site)}, op {shown(node.op)})", known)
    for public, name in model.outputs.items():
        if name not in known:
            raise FormatError(f"{where}: output {shown(public)} names tensor {shown(name)}, which no node makes")
    if not model.outputs:
        raise FormatError(f"{where}: there must be at least one output")
    if extra := model.tensors.keys() - known:
        raise FormatError(f"{where}: tensor {shown(min(extra))} is declared, but no input, constant or node makes it")


def _check_node(model: Model, node: Node, at: str, known: set[str]) -> None:
    if node.op not in OPS:
        raise Unsupported(f"{at}: there is no such op, {near(node.op, OPS)}")
    op = OPS[node.op]
    if type(node.version) is not int or node.version != op.version:
        raise Unsupported(f"{at}: version {shown(node.version)} is not supported, this release has {op.version}")
    for ports, declared, word in ((node.inputs, op.inputs, "inputs"), (node.outputs, op.outputs, "outputs")):
        if ports.keys() != declared.keys():
            raise FormatError(f"{at}: {word} must be {[*declared]}, not {shown([*ports])}")
    for name in node.inputs.values():
        if name not in known:
            raise FormatError(f"{at}: input tensor {shown(name)} is not made by an earlier node")
    for name in node.outputs.values():
        if name in known or name not in model.tensors:
            state = "made twice" if name in known else "not declared"
            raise FormatError(f"{at}: output tensor {shown(name)} is {state}")
        known.add(name)
    _check_call(model, node, at)


def _check_call(model: Model, node: Node, at: str) -> None:
    """Attributes and dtypes, as the op of a node whose ports are known to be right wants them."""
    op = OPS[node.op]
    try:
        attrs = op.complete(node.attrs)
    except SpecError as error:
        raise FormatError(f"{at}: {error}") from None
    for key, value in attrs.items():
        if key in node.attrs and type(value) is int and abs(value) >= EXACT:
            raise FormatError(f"{at}: attribute {shown(key)} must be below 2**53 in magnitude, not {value}")
    dtypes = op.output_dtypes({p: model.tensors[t].dtype for p, t in node.inputs.items()}, attrs)
    for port, name in node.outputs.items():
        if dtypes[port] != model.tensors[name].dtype:
            raise FormatError(f"{at}: tensor {shown(name)} must be {dtypes[port]}, not {model.tensors[name].dtype}")


def _check_input(where: str, name: str, default: int | None, declared: TensorInfo) -> None:
    low, high = declared.range
    if default is not None and not low <= default <= high:
        raise FormatError(f"{where}: input {shown(name)}: default must lie in [{low}, {high}], not {default}")
    if prod(axis for axis in declared.axes if isinstance(axis, int)) > MAX_FIXED:
        raise FormatError(f"{where}: input {shown(name)} must have at most {MAX_FIXED} elements in its fixed axes")


def _check_constant(where: str, name: str, value: np.ndarray, declared: TensorInfo) -> None:
    at = f"{where}: constant {shown(name)}"
    if value.dtype.name != declared.dtype or value.shape != declared.axes:
        raise FormatError(
            f"{at} must be {declared.dtype} {list(declared.axes)}, not {value.dtype.name} {list(value.shape)}"
        )
    low, high = declared.range
    if value.size and (value.min() < low or value.max() > high):
        raise FormatError(f"{at} must lie in [{low}, {high}], not [{value.min()}, {value.max()}]")


def check_scale(where: str, name: str, scale: Any) -> None:
    """FormatError unless a scale is a positive number of the model file: [mantissa, exponent]."""
    pair = isinstance(scale, list | tuple) and len(scale) == 2
    whole = pair and all(type(value) is int and abs(value) < EXACT for value in scale)
    if not whole or scale[0] <= 0 or scale[0] % 2 == 0 or not -1100 < scale[1] < 1024:
        must = "[mantissa, exponent], the mantissa positive and odd, the exponent in -1099..1023"
        raise FormatError(f"{where}: scale of {shown(name)} must be {must}, not {shown(scale)}")


def check_declared(where: str, name: str, declared: TensorInfo) -> None:
    """FormatError unless dtype, bits, sign and range agree with one another."""
    if declared.dtype not in DTYPES:
        raise FormatError(f"{where}: tensor {shown(name)}: dtype must be one of {DTYPES}, not {shown(declared.dtype)}")
    low, high = dtype_range(declared.dtype)
    fits = 1 <= declared.bits <= high.bit_length() + (low < 0) and declared.signed == (low < 0)
    if fits:
        least, most = replace(declared, low=None, high=None).range
        fits = least <= declared.range[0] <= declared.range[1] <= most
    if not fits:
        raise FormatError(f"{where}: tensor {shown(name)}: bits, signed, low and high do not fit {declared.dtype}")
