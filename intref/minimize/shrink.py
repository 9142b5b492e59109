"""Ways to make one call smaller. Each pass proposes; whether the smaller call still fails is for `attempt` to say."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from intref.errors import SpecError
from intref.intmath import bitlen
from intref.ops.op import Op

Arrays = Mapping[str, np.ndarray]
Axes = list[tuple[str, int]]  # (port, dimension) that share an axis
VALUES = 48  # elements of a tensor that are made smaller one by one
FEW = 64  # elements of a call that is made anew
STEPS = (32, 16, 8, 4, 2, 1)


@dataclass(frozen=True, eq=False)
class Trial:
    """One call. attrs: complete."""

    tensors: dict[str, np.ndarray]
    attrs: dict[str, Any]

    @property
    def elements(self) -> int:
        return sum(t.size for t in self.tensors.values())

    @cached_property
    def key(self) -> tuple[Any, ...]:
        tensors = tuple((p, t.dtype.name, t.shape, t.tobytes()) for p, t in self.tensors.items())
        return tensors, tuple(self.attrs.items())

    def changed(self, **tensors: np.ndarray) -> "Trial":
        return replace(self, tensors={p: tensors.get(p, t) for p, t in self.tensors.items()})

    def odd_attrs(self, op: Op) -> dict[str, Any]:
        """The attributes that are not their defaults."""
        return {name: value for name, value in self.attrs.items() if self._default(op, name) != value}

    def _default(self, op: Op, name: str) -> Any:
        default = op.attrs[name].default
        return None if default is None else default(self.attrs)


Now = Callable[[], Trial]
Attempt = Callable[[Trial], bool]
Wrong = Callable[[], tuple[str, tuple[int, ...]]]  # output and coordinates of the first mismatch


def size_of(trial: Trial, op: Op) -> tuple[int, ...]:
    """What shrinking makes less of: elements, dimensions, attributes off their defaults and their sum, bits of
    values."""
    odd = trial.odd_attrs(op).values()
    weight = sum(abs(value) if isinstance(value, int) else 0 for value in odd)
    return (
        trial.elements,
        sum(t.ndim for t in trial.tensors.values()),
        len(odd),
        weight,
        sum(_bits(t) for t in trial.tensors.values()),
    )


def _bits(t: np.ndarray) -> int:
    """Bits that the magnitudes need and bits that are set in them, a sign counting for one."""
    wide = t.astype(np.int64)
    size = np.where(wide < 0, -(wide + 1), wide)  # -2**63 has no magnitude in int64
    ones = int(np.count_nonzero(np.unpackbits(np.ascontiguousarray(size).reshape(-1).view(np.uint8))))
    return int(np.asarray(bitlen(size)).sum()) + ones + 2 * int(np.count_nonzero(wide < 0))


def _axes(op: Op, trial: Trial) -> dict[str, Axes]:
    """Axis -> where it is, of all that are longer than 1."""
    found: dict[str, Axes] = {}
    for port, t in trial.tensors.items():
        for dim, axis in enumerate(op.inputs[port].form(t.ndim) or ()):
            if t.shape[dim] > 1:
                found.setdefault(axis, []).append((port, dim))
    return found


def fewer_elements(op: Op, now: Now, wrong: Wrong, attempt: Attempt) -> None:
    """Keep fewer indices of each axis, of axes of one length together, and of lengths that belong together."""
    for axis in [*_axes(op, now())]:
        if place := _axes(op, now()).get(axis):
            _fewer(now, attempt, place, _hint(op, now(), wrong(), axis))
    for length in sorted({t.shape[d] for t in now().tensors.values() for d in range(t.ndim) if t.shape[d] > 1}):
        together = [(p, d) for p, t in now().tensors.items() for d in range(t.ndim) if t.shape[d] == length]
        _fewer(now, attempt, together, 0)
    for axis in [*_axes(op, now())]:
        _in_proportion(op, now, attempt, axis)


def _hint(op: Op, trial: Trial, wrong: tuple[str, tuple[int, ...]], axis: str) -> int:
    """The coordinate of the first mismatch along an axis that the output has too."""
    port, index = wrong
    form = op.outputs[port].form(len(index)) or []
    return index[form.index(axis)] if axis in form and len(form) == len(index) else 0


def _taken(trial: Trial, place: Axes, kept: Sequence[int]) -> Trial:
    tensors = dict(trial.tensors)
    for port, dim in place:
        tensors[port] = np.ascontiguousarray(np.take(tensors[port], kept, axis=dim))
    return replace(trial, tensors=tensors)


def _fewer(now: Now, attempt: Attempt, place: Axes, hint: int) -> None:
    """Delta debugging over the indices of one axis: one index, then each chunk by itself, then without each chunk."""
    trial = now()
    kept = [*range(trial.tensors[place[0][0]].shape[place[0][1]])]
    if len(kept) < 2 or attempt(_taken(trial, place, [min(hint, len(kept) - 1)])):
        return
    pieces = 2
    while len(kept) > 1:
        size = -(-len(kept) // pieces)
        chunks = [kept[i : i + size] for i in range(0, len(kept), size)]
        rests = [[i for i in kept if i not in {*chunk}] for chunk in chunks]
        smaller = next(
            (k for k in (*chunks, *rests) if 0 < len(k) < len(kept) and attempt(_taken(trial, place, k))), None
        )
        if smaller is not None:
            kept, pieces = smaller, 2
        elif size == 1:
            return
        else:
            pieces *= 2


def _in_proportion(op: Op, now: Now, attempt: Attempt, axis: str) -> None:
    """A shorter axis, with another one shortened in proportion: packed bytes, groups of a length."""
    for share in (1, 2):
        places = _axes(op, now())
        if axis not in places:
            return
        trial, (port, dim) = now(), places[axis][0]
        length = trial.tensors[port].shape[dim]
        short = max(share * length // 4, 1)
        for other, place in places.items():
            if other != axis and short < length:
                size = trial.tensors[place[0][0]].shape[place[0][1]]
                both = _taken(_taken(trial, places[axis], [*range(short)]), place, [*range(-(-size * short // length))])
                if attempt(both):
                    return


def fewer_dimensions(op: Op, now: Now, wrong: Wrong, attempt: Attempt) -> None:
    """Leading axes of length 1 dropped from every tensor that has them."""
    while True:
        trial = now()
        leading = [p for p in trial.tensors if op.inputs[p].axes.startswith("...") and trial.tensors[p].ndim > 1]
        if not leading or any(trial.tensors[p].shape[0] != 1 for p in leading):
            return
        if not attempt(trial.changed(**{p: trial.tensors[p][0] for p in leading})):
            return


def plainer_attributes(op: Op, now: Now, wrong: Wrong, attempt: Attempt) -> None:
    """Each attribute by its default, or nearer to 0."""
    for name in op.attrs:
        for value in _plainer(op, now(), name):
            attrs = {**now().attrs, name: value}
            if value != now().attrs[name] and attempt(replace(now(), attrs=attrs)):
                break


def _plainer(op: Op, trial: Trial, name: str) -> Iterator[Any]:
    attr, value = op.attrs[name], trial.attrs[name]
    if attr.default is not None:
        yield attr.default({k: v for k, v in trial.attrs.items() if k != name})
    if not attr.choices and not attr.structural:
        yield from (v for v in dict.fromkeys((0, 1, _halved(value), value - (value > 0))) if attr.allows(v))


def _halved(value: int) -> int:
    return value >> 1 if value >= 0 else -(-value >> 1)


def smaller_values(op: Op, now: Now, wrong: Wrong, attempt: Attempt) -> None:
    """Values nearer to 0: whole tensors, chunks of them, then one by one."""
    for port in [*now().tensors]:
        try:
            low, high = op.inputs[port].range(now().tensors[port].dtype.name)
        except SpecError:
            continue
        zero = min(max(0, low), high)
        if attempt(now().changed(**{port: np.full_like(now().tensors[port], zero)})):
            continue
        _zeroed(now, attempt, port, zero)
        _lessened(now, attempt, port, low, high)


def _zeroed(now: Now, attempt: Attempt, port: str, zero: int) -> None:
    size = now().tensors[port].size
    chunk = -(-size // 2)
    while chunk and size > 1:
        for start in range(0, size, chunk):
            t = now().tensors[port].copy()
            if (t.flat[start : start + chunk] != zero).any():
                t.flat[start : start + chunk] = zero
                attempt(now().changed(**{port: t}))
        chunk = chunk // 2


def _lessened(now: Now, attempt: Attempt, port: str, low: int, high: int) -> None:
    for i in np.flatnonzero(now().tensors[port])[:VALUES]:
        while any(
            _put(now, attempt, port, int(i), v) for v in _nearer(int(now().tensors[port].flat[i])) if low <= v <= high
        ):
            pass


def _put(now: Now, attempt: Attempt, port: str, index: int, value: int) -> bool:
    t = now().tensors[port].copy()
    t.flat[index] = value
    return attempt(now().changed(**{port: t}))


def _nearer(value: int) -> Iterator[int]:
    """Values to try instead: 1, powers of two, the positive, the half, the next."""
    sign, size = (-1 if value < 0 else 1), abs(value)
    bits = size.bit_length()
    yield from (sign * v for v in dict.fromkeys((1, 1 << bits // 2, 1 << max(bits - 1, 0))) if v < size)
    if value < 0:
        yield size
    yield from (sign * v for v in dict.fromkeys((size >> 1, size - (size >> 2), size - 1)) if 0 <= v < size)


def from_scratch(op: Op, now: Now, wrong: Wrong, attempt: Attempt) -> None:
    """A call of few elements made anew: all tensors 0, or all 1, but for one value, a power of two."""
    if now().elements > FEW:
        return
    plain = [{p: _plain(op, p, t, base) for p, t in now().tensors.items()} for base in (0, 1)]
    for bits in range(64):
        for base in plain:
            for port, t in base.items():
                low, high = op.inputs[port].range(t.dtype.name)
                for value in (1 << bits, -(1 << bits)):
                    if low <= value <= high:
                        attempt(now().changed(**{**base, port: np.full_like(t, value)}))


def _plain(op: Op, port: str, t: np.ndarray, value: int) -> np.ndarray:
    low, high = op.inputs[port].range(t.dtype.name)
    return np.full_like(t, min(max(value, low), high))


def smaller_scales(op: Op, now: Now, wrong: Wrong, attempt: Attempt) -> None:
    """A shift and another tensor brought down together, which keeps their quotient."""
    for shift in [p for p in now().tensors if "shift" in p]:
        for port in [p for p in now().tensors if p != shift]:
            for by in STEPS:
                while _lowered(now, attempt, shift, port, by):
                    pass


def _lowered(now: Now, attempt: Attempt, shift: str, port: str, by: int) -> bool:
    shifts, values = now().tensors[shift], now().tensors[port]
    if shifts.min() < by or (abs(values.astype(np.int64)) >> by == 0).all():
        return False
    return attempt(now().changed(**{shift: shifts - shifts.dtype.type(by), port: values >> by}))


PASSES: tuple[Callable[[Op, Now, Wrong, Attempt], None], ...] = (
    fewer_elements,
    fewer_dimensions,
    plainer_attributes,
    from_scratch,
    smaller_scales,
    smaller_values,
)
