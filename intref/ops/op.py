"""What an op declares about itself, the check of a call against it, and its bounds."""

import dis
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from intref.errors import SpecError
from intref.intmath import narrow
from intref.numbertypes import Interval, Tracer

INTS = ("int8", "int16", "int32", "int64")


def dtype_range(dtype: str) -> tuple[int, int]:
    """The lowest and highest value of an integer dtype."""
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


@dataclass(frozen=True)
class Port:
    """One tensor of an op.

    dtype: allowed dtypes, the attribute that names it, or "=port" for that of another port.
    axes:  names of axes, forms separated by |; "..." stands for any leading axes, the same for all ports that have it.
    low, high: the values allowed, where narrower than the dtype.
    bits:  of an output: the attribute that says how many bits it has, if fewer than its dtype; more are refused.
    """

    dtype: str
    axes: str
    low: int | None = None
    high: int | None = None
    bits: str = ""

    def forms(self) -> list[list[str]]:
        return [form.split() for form in self.axes.split("|")]

    def form(self, ndim: int) -> list[str] | None:
        """The axes of a tensor with ndim dimensions, leading ones named .0, .1, ...; None if no form fits."""
        for form in self.forms():
            lead = ndim - len(form) + 1
            if form and form[0] == "..." and lead >= 0:
                return [f".{i}" for i in range(lead)] + form[1:]
            if len(form) == ndim:
                return form
        return None

    def range(self, dtype: str) -> tuple[int, int]:
        low, high = dtype_range(dtype)
        return low if self.low is None else max(low, self.low), high if self.high is None else min(high, self.high)


@dataclass(frozen=True)
class Attr:
    """One attribute: an integer in [low, high], or one of choices. Without a default it must be given."""

    low: int = 0
    high: int = 0
    choices: tuple[str, ...] = ()
    default: Callable[[dict[str, Any]], Any] | None = None
    structural: bool = False  # selects axes or sizes, so it stays a plain int under every number type

    def allows(self, value: object) -> bool:
        return value in self.choices if self.choices else type(value) is int and self.low <= value <= self.high


INT32 = Attr(*dtype_range("int32"))
OUTPUT = Attr(choices=INTS)
LOW = Attr(*dtype_range("int64"), default=lambda attrs: dtype_range(attrs["output"])[0])
HIGH = Attr(*dtype_range("int64"), default=lambda attrs: dtype_range(attrs["output"])[1])

Tensors = Mapping[str, Any]  # integer arrays, or values of another number type with dtype, shape, min() and max()
Holds = Callable[[Tensors, dict[str, Any]], bool]


def clip_fits(tensors: Tensors, attrs: dict[str, Any]) -> bool:
    """The constraint of every op with the attributes output, low and high."""
    low, high = dtype_range(attrs["output"])
    return low <= attrs["low"] <= attrs["high"] <= high


def known(x: Any) -> Any:
    """The values of x; of a range, its low end: what else it holds is checked when it is known."""
    return x.lo if hasattr(x, "lo") else x


CLIP_FITS = ("attributes must satisfy low <= high inside the range of output", clip_fits)


@dataclass(frozen=True)
class Op:
    """The contract of one op. `reference` is normative and returns {output name: value}, uncast."""

    reference: Callable[..., dict[str, Any]]
    inputs: dict[str, Port]
    attrs: dict[str, Attr]
    outputs: dict[str, Port]
    limits: dict[str, int] = field(default_factory=dict)  # the largest size of a named axis
    constraints: dict[str, tuple[str, Holds]] = field(default_factory=dict)  # label -> (text, holds)
    # Constraint on magnitudes of float32s -> its input. No range of patterns proves it: every run of a model checks it.
    watched: dict[str, str] = field(default_factory=dict)
    reduces: tuple[str, ...] = ()  # axes whose elements meet in one result: bounds need their largest size
    version: int = 1

    @property
    def name(self) -> str:
        return self.reference.__name__

    @property
    def spec(self) -> str:
        """The normative text."""
        return inspect.getdoc(self.reference) or ""

    def check(self, tensors: Tensors, attrs: Mapping[str, Any]) -> dict[str, Any]:
        """The attributes with defaults filled in; SpecError if the call breaks the contract."""
        if tensors.keys() != self.inputs.keys():
            raise SpecError(f"{self.name}: inputs must be {[*self.inputs]}, not {[*tensors]} (C1)")
        sizes: dict[str, int] = {}
        for name, port in self.inputs.items():
            self._check_tensor(f"{self.name}: input {name!r} must", port, tensors[name], sizes)
        full = self.complete(attrs)
        for label, (text, holds) in self.constraints.items():
            if not holds(tensors, full):
                raise SpecError(f"{self.name}: {text} ({label})")
        return full

    def watch(self, tensors: Tensors, attrs: dict[str, Any]) -> None:
        """SpecError if values in a model's run break a constraint that its proof leaves open.

        The largest magnitude of every row tells: no such constraint asks for a sign.
        """
        for label, name in self.watched.items():
            text, holds = self.constraints[label]
            magnitudes = tensors[name] & 0x7FFFFFFF
            peaks = magnitudes.max(axis=-1, keepdims=True) if magnitudes.ndim else magnitudes
            if not holds({**tensors, name: peaks}, attrs):
                raise SpecError(f"{self.name}: {text} ({label})")

    def _check_tensor(self, must: str, port: Port, t: Any, sizes: dict[str, int]) -> None:
        dtype = str(getattr(t, "dtype", type(t).__name__))
        if dtype not in port.dtype.split():
            raise SpecError(f"{must} be {port.dtype}, not {dtype} (C1)")
        form = port.form(len(t.shape))
        if form is None:
            raise SpecError(f"{must} have axes [{port.axes}], not shape {tuple(t.shape)} (C2)")
        lead = sum(axis[0] == "." for axis in form)
        if port.axes.startswith("...") and sizes.setdefault("...", lead) != lead:
            raise SpecError(f"{must} have {sizes['...']} leading axes, not {lead} (C2)")
        for axis, size in zip(form, t.shape):
            limit = self.limits.get(axis, size)
            if size < 1 or size > limit:
                allowed = f"in 1..{limit}" if axis in self.limits else "at least 1"
                raise SpecError(f"{must} have {axis} {allowed}, not {size} (C2)")
            if size != (1 if axis == "1" else sizes.setdefault(axis, size)):
                raise SpecError(f"{must} have {axis} = {sizes.get(axis, 1)}, not {size} (C2)")
        low, high = port.range(dtype)
        if t.min() < low or t.max() > high:
            raise SpecError(f"{must} lie in [{low}, {high}], not [{t.min()}, {t.max()}] (C3)")

    def complete(self, attrs: Mapping[str, Any]) -> dict[str, Any]:
        """attrs with defaults filled in; SpecError (C4) if one is unknown, missing or not allowed."""
        if unknown := attrs.keys() - self.attrs.keys():
            raise SpecError(f"{self.name}: attributes must be {[*self.attrs]}, not {sorted(unknown)} (C4)")
        full: dict[str, Any] = {}
        for name, attr in self.attrs.items():
            if name in attrs:
                full[name] = attrs[name]
            elif attr.default is not None:
                full[name] = attr.default(full)
            else:
                raise SpecError(f"{self.name}: attribute {name!r} must be given (C4)")
            if not attr.allows(full[name]):
                allowed: list[Any] = [*attr.choices] or [attr.low, attr.high]
                raise SpecError(f"{self.name}: attribute {name!r} must be in {allowed}, not {full[name]!r} (C4)")
        return full

    def output_dtypes(self, dtypes: Mapping[str, str], attrs: Mapping[str, Any]) -> dict[str, str]:
        """The dtype of each output, given those of the inputs."""
        named = {f"={port}": dtype for port, dtype in dtypes.items()}
        return {k: named.get(p.dtype) or str(attrs.get(p.dtype, p.dtype)) for k, p in self.outputs.items()}

    def output_range(self, name: str, dtype: str, attrs: Mapping[str, Any]) -> tuple[int, int]:
        """What an output of that dtype holds."""
        low, high = dtype_range(dtype)
        if bits := self.outputs[name].bits:
            end = 1 << attrs[bits] - 1
            return max(low, -end), min(high, end - 1)
        return low, high

    def run(self, tensors: Tensors, attrs: dict[str, Any]) -> dict[str, np.ndarray]:
        """The reference on int64, outputs narrowed; BoundError if one does not fit. attrs complete."""
        values = self.reference(**{k: t.astype(np.int64) for k, t in tensors.items()}, **attrs)
        dtypes = self.output_dtypes({k: str(t.dtype) for k, t in tensors.items()}, attrs)
        return {k: narrow(values[k], dtype, self.output_range(k, dtype, attrs)) for k, dtype in dtypes.items()}

    def trace(self, tensors: Tensors, attrs: dict[str, Any]) -> tuple[dict[str, Any], list[Tracer]]:
        """Outputs and the log of every intermediate, for tensors of any number type."""
        log: list[Tracer] = []
        traced = {k: Tracer(v, k, log) for k, v in tensors.items()}
        plain = {k for k, a in self.attrs.items() if a.structural or a.choices}
        attrs = {k: v if k in plain else Tracer(v, k, log) for k, v in attrs.items()}
        return self.reference(**traced, **attrs), log

    def bounds(self, sizes: Mapping[str, int] | None = None, **choices: Any) -> list[Tracer]:
        """Every intermediate as an Interval, over all that the ports and attributes allow, at the largest sizes.

        Axes that no sum or maximum runs along are uniform, so one element stands for them all.
        """
        sizes = {**self.limits, **(sizes or {})}
        attrs: dict[str, Any] = {}
        for name, attr in self.attrs.items():
            if name in choices or attr.choices or attr.structural:
                attrs[name] = choices.get(name, attr.choices[-1] if attr.choices else attr.low)
            else:
                attrs[name] = Interval(np.asarray(attr.low, object), np.asarray(attr.high, object))
        return self.trace({k: _whole(p, sizes, attrs) for k, p in self.inputs.items()}, attrs)[1]


def parts(body: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    """The functions of a body's own file that it calls, and those that they call, by name."""
    return dict(_parts(body))


@lru_cache(maxsize=256)
def _parts(body: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    found: dict[str, Callable[..., Any]] = {}
    waiting = [body]
    while waiting:
        function: Any = waiting.pop()
        for name in (step.argval for step in dis.get_instructions(function) if step.opname == "LOAD_GLOBAL"):
            called = function.__globals__.get(name)
            own = inspect.isfunction(called) and called.__module__ == body.__module__
            if own and called is not body and name not in found:
                found[name] = called
                waiting.append(called)
    return found


def _whole(port: Port, sizes: Mapping[str, int], attrs: Mapping[str, Any]) -> Interval:
    """All that a port allows, of its widest dtype."""
    low, high = port.range(max(port.dtype.split(), key=lambda d: dtype_range(d)[1]))
    low = min(low, *(port.range(d)[0] for d in port.dtype.split()))
    shape = [sizes.get(a, 1) for a in port.forms()[0] if a != "..."] or [1]
    return Interval(np.full(shape, low, object), np.full(shape, high, object))
