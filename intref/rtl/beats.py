"""A call of an op as the beats that go into a unit, and the beats that come out of it as the op's outputs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from intref.errors import FormatError
from intref.ops.op import dtype_range
from intref.rtl.bits import UnknownBits, pack, unpack_lane
from intref.rtl.unit import Arrays, Unit, Wire

Rows = Mapping[str, tuple[str, tuple[int, ...]]]  # output -> (dtype, shape)


@dataclass(frozen=True)
class Field:
    """Neighbouring bits of a word that one signal carries: lanes of `width` bits from bit `offset` on."""

    name: str
    signal: str
    width: int
    lanes: int
    offset: int
    signed: bool

    @property
    def bits(self) -> int:
        return self.width * self.lanes

    @property
    def end(self) -> int:
        return self.offset + self.bits


@dataclass(frozen=True)
class Layout:
    """The three words between a testbench and a unit: what holds still during a call, a beat in, a beat out."""

    setting: tuple[Field, ...]
    beat: tuple[Field, ...]
    result: tuple[Field, ...]


def layout(unit: Unit) -> Layout:
    """Where each signal of a unit stands in the testbench's words; the first named stands lowest."""
    held = [*unit.settings.items(), *((name, wire) for name, (wire, _) in unit.constants.items())]
    held += [("length", unit.length)] if unit.length else []
    return Layout(
        _fields([(name, wire, 1) for name, wire in held]),
        _fields([*((n, w, unit.lanes) for n, w in unit.inputs.items()), *_last(unit.enter)]),
        _fields([*((n, w, unit.lanes) for n, w in unit.outputs.items()), *_last(unit.leave)]),
    )


def _last(strobes: Mapping[str, str]) -> list[tuple[str, Wire, int]]:
    return [("last", Wire(strobes["last"], 1, False, 0, 1), 1)] if "last" in strobes else []


def _fields(rows: Sequence[tuple[str, Wire, int]]) -> tuple[Field, ...]:
    fields: list[Field] = []
    for name, wire, lanes in rows:
        fields.append(Field(name, wire.signal, wire.width, lanes, fields[-1].end if fields else 0, wire.signed))
    return tuple(fields)


def width(fields: Sequence[Field]) -> int:
    """The bits of a word with these fields."""
    return fields[-1].end if fields else 0


@dataclass(frozen=True)
class Call:
    """One call as words. results: how many beats are to come out."""

    unit: Unit
    shape: tuple[int, ...]  # of the stream
    setting: int
    beats: list[int]
    results: int

    @property
    def row(self) -> tuple[int, int]:
        """(rows, elements of a row)."""
        size = int(np.prod(self.shape))
        elements = (1, *self.shape)[-1] if self.unit.by_row else size
        return size // elements, elements

    @property
    def beats_per_row(self) -> int:
        return -(-self.row[1] // self.unit.lanes)

    def outputs(self, words: Sequence[str], expected: Rows) -> dict[str, np.ndarray]:
        """The op's outputs out of result words, strings of bits. ValueError names the element that is not a number,
        or does not fit its dtype, or the beat whose last is wrong."""
        fields = {field.name: field for field in layout(self.unit).result}
        if "last" in self.unit.leave and "last" not in expected:
            self._check_last(fields["last"], words)
        return {port: self._output(fields[port], words, *row) for port, row in expected.items()}

    def _check_last(self, field: Field, words: Sequence[str]) -> None:
        for beat, word in enumerate(words):
            found, wanted = word[len(word) - field.end], "01"[self.is_last(beat)]
            if found != wanted:
                raise ValueError(f"{field.signal} is {found} with result beat {beat}, expected {wanted}")

    def is_last(self, beat: int) -> bool:
        """Whether a beat ends a row."""
        return beat % self.beats_per_row == self.beats_per_row - 1

    def _output(self, field: Field, words: Sequence[str], dtype: str, shape: tuple[int, ...]) -> np.ndarray:
        low, high = dtype_range(dtype)
        flat = np.zeros(int(np.prod(shape)), np.int64)
        for place, beat, lane in self.places(field.name, shape):
            flat[place] = self._value(field, words[beat], lane, np.unravel_index(place, shape), low, high)
        return flat.astype(dtype).reshape(shape)

    def _value(self, field: Field, word: str, lane: int, index: Any, low: int, high: int) -> int:
        where = f"output {field.name!r} at [{', '.join(str(int(i)) for i in index)}]"
        own = word[len(word) - field.end : len(word) - field.offset]
        try:
            value = unpack_lane(own, lane, field.width, field.lanes, field.signed, self.unit.first)
        except UnknownBits as error:
            raise ValueError(f"x or z in {where}: 0b{error.bits}") from None
        if not low <= value <= high:
            raise ValueError(f"{where} is {value}, beyond its dtype's {low}..{high}")
        return value

    def places(self, port: str, shape: tuple[int, ...]) -> Iterator[tuple[int, int, int]]:
        """(element, result beat, lane) for each element of an output; one of a whole row is read with its last beat."""
        (rows, elements), per_row, lanes = self.row, self.beats_per_row, self.unit.lanes
        if shape == self.shape:
            for row in range(rows):
                for i in range(elements):
                    yield row * elements + i, row * per_row + i // lanes, i % lanes
        elif int(np.prod(shape)) == rows and self.unit.by_row:
            for row in range(rows):
                yield row, (row + 1) * per_row - 1, 0
        else:
            raise FormatError(
                f"{self.unit.path}: output {port!r} has shape {list(shape)}, expected {list(self.shape)} or one a row"
            )


def encode(unit: Unit, inputs: Arrays, attrs: Mapping[str, Any]) -> Call:
    """A supported call as words; attrs complete."""
    shape = inputs[unit.stream].shape
    call = Call(unit, shape, _setting(unit, attrs, shape), [], 0)
    (rows, elements), per_row = call.row, call.beats_per_row
    words: list[int] = [0] * (rows * per_row)
    for field in layout(unit).beat:
        if field.name == "last" and "last" not in unit.inputs:
            values = np.arange(rows * per_row).reshape(-1, 1) % per_row == per_row - 1
        else:
            laid = np.zeros((rows, per_row * unit.lanes), np.int64)
            laid[:, :elements] = _spread(unit, field.name, inputs, attrs).reshape(rows, elements)
            values = laid.reshape(-1, unit.lanes)
        packed = pack(values.astype(np.int64), field.width, unit.first)
        words = [word | part << field.offset for word, part in zip(words, packed)]
    return Call(unit, shape, call.setting, words, rows * per_row)


def _setting(unit: Unit, attrs: Mapping[str, Any], shape: tuple[int, ...]) -> int:
    held: dict[str, int] = {name: value for name, (_, value) in unit.constants.items()}
    held |= {n: wire.codes.index(attrs[n]) if wire.codes else int(attrs[n]) for n, wire in unit.settings.items()}
    held |= {"length": (1, *shape)[-1]} if unit.length else {}
    return sum((held[f.name] & (1 << f.width) - 1) << f.offset for f in layout(unit).setting)


def _spread(unit: Unit, port: str, inputs: Arrays, attrs: Mapping[str, Any]) -> np.ndarray:
    """An input laid beside every element of the stream: by the names of its axes; a vector of another name along the
    attribute axis, or the last."""
    stream, tensor = inputs[unit.stream], inputs[port]
    axes = unit.op.inputs[unit.stream].form(stream.ndim) or []
    own = unit.op.inputs[port].form(tensor.ndim) or []
    shape = [1] * stream.ndim
    for axis, size in zip(own, tensor.shape):
        if axis != "1":
            shape[axes.index(axis) if axis in axes else attrs.get("axis", -1)] = size
    return np.broadcast_to(tensor.reshape(shape), stream.shape)


def expected(call: Call, outputs: Arrays) -> tuple[list[int], list[int], list[str]]:
    """For each result beat: the word that a right unit gives, the bits of it that count, and what stands in it."""
    wanted, counts, places = [0] * call.results, [0] * call.results, [""] * call.results
    for field in layout(call.unit).result:
        if field.name == "last" and "last" not in outputs:
            for beat in range(call.results):
                wanted[beat] |= int(call.is_last(beat)) << field.offset
                counts[beat] |= 1 << field.offset
            continue
        flat, shape = outputs[field.name].ravel().tolist(), outputs[field.name].shape
        mask = (1 << field.width) - 1
        for place, beat, lane in call.places(field.name, shape):
            at = lane if call.unit.first == "lsb" else field.lanes - 1 - lane
            shift = field.offset + at * field.width
            wanted[beat] |= (flat[place] & mask) << shift
            counts[beat] |= mask << shift
            if lane == 0 and not places[beat]:
                places[beat] = f"[{','.join(str(int(i)) for i in np.unravel_index(place, shape))}]"
    return wanted, counts, places
