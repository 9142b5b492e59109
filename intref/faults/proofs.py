"""Which faults change nothing in any call that a contract allows, proved by running the body on intervals.

A sum that stays within 32 bits loses nothing in 32 bits; a shift by at most 31 needs no more than five bits of its
amount. Every table of faults says beside a fault what must hold of the operands and the result for it to be harmless.
"""

# The vocabulary of op bodies is not typed.
# mypy: allow-untyped-calls

import itertools
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from intref.faults.bodies import ROUNDINGS
from intref.intmath import ROUNDS_UP
from intref.numbertypes import Interval
from intref.ops.op import Op, parts

Ends = tuple[Any, ...]  # the operands' intervals
Harmless = Callable[[Ends, Any], bool]  # (operands, right result) -> whether the fault changes no value of them
FLOORS = (np.floor_divide, np.right_shift)
TRUNCATED = "half_up by a division toward zero"
# Rules that agree on values of at least 0.
ALIKE = ({"half_up", "half_away", TRUNCATED}, {"half_down", "half_to_zero"}, {"floor", "toward_zero"})


class Wrong(NamedTuple):
    """One way to get a word or an operator wrong."""

    words: str
    change: Callable[..., Any]
    harmless: Harmless | None = None


class Use(NamedTuple):
    """One use of a word (its name) or an operator (its ufunc), over all that a contract allows."""

    what: Any
    operands: Ends
    result: Any


def fits(bits: int) -> Harmless:
    """The result is a two's complement number of so many bits."""
    return lambda operands, made: -(1 << bits - 1) <= made.min() and made.max() < 1 << bits - 1


def operand(place: int, low: int, high: int | None = None) -> Harmless:
    """One operand lies in [low, high]."""

    def holds(operands: Ends, made: Any) -> bool:
        x = Interval.of(operands[place])
        return x.min() >= low and (high is None or x.max() <= high)

    return holds


def every(*conditions: Harmless) -> Harmless:
    return lambda operands, made: all(condition(operands, made) for condition in conditions)


class _Recorded(NDArrayOperatorsMixin):
    """An interval that notes down what is done with it; what is made of attributes alone is not noted."""

    def __init__(self, value: Interval, uses: list[Use], constant: bool = False):
        self.value, self.uses, self.constant = value, uses, constant

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.value.shape)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> "_Recorded":
        return _Recorded(self.value[index], self.uses, self.constant)

    def reshape(self, shape: Any) -> "_Recorded":
        return _Recorded(self.value.reshape(shape), self.uses, self.constant)

    def transpose(self, order: Any) -> "_Recorded":
        return _Recorded(self.value.transpose(order), self.uses, self.constant)

    def within(self, low: Any, high: Any) -> "_Recorded":
        return _Recorded(self.value.within(_plain(low), _plain(high)), self.uses, self.constant)

    def taken_from(self, table: Any) -> "_Recorded":
        return _Recorded(self.value.taken_from(_plain(table)), self.uses)

    def __array_ufunc__(self, ufunc: Any, method: str, *given: Any, **options: Any) -> "_Recorded":
        plain = tuple(map(_plain, given))
        made = getattr(ufunc, method)(*plain, **options)
        constant = all(x.constant if isinstance(x, _Recorded) else not np.shape(x) for x in given)
        if method == "__call__" and not constant:
            self.uses.append(Use(ufunc, plain, made))
        return _Recorded(made, self.uses, constant)


def _plain(x: Any) -> Any:
    return x.value if isinstance(x, _Recorded) else x


def _word(name: str, function: Callable[..., Any], uses: list[Use]) -> Callable[..., Any]:
    """A word that computes on intervals, what is inside it not noted."""

    def noted(*args: Any) -> Any:
        plain = tuple(map(_plain, args))
        made = function(*plain)
        if isinstance(made, tuple):  # of a word that takes a number apart
            return tuple(_Recorded(Interval.of(part), uses) for part in made)
        if not isinstance(made, Interval):
            return made
        uses.append(Use(name, plain, made))
        return _Recorded(made, uses)

    return noted


def recorded(op: Op) -> Iterator[list[Use]]:
    """Every use of a body's words and operators, for each choice of the attributes that have choices."""
    options = [[(name, c) for c in attr.choices] for name, attr in op.attrs.items() if attr.choices]
    return (_uses(op, dict(chosen)) for chosen in itertools.product(*options))


def _uses(op: Op, choices: dict[str, str]) -> list[Use]:
    uses: list[Use] = []
    body = op.reference
    log = op.bounds(None, **choices)
    ends = {t.text: Interval.of(t.value) for t in log[: len(op.inputs) + len(op.attrs)]}
    given: dict[str, Any] = {port: _Recorded(ends[port], uses) for port in op.inputs}
    for name, attr in op.attrs.items():
        plain = choices.get(name, attr.low) if attr.choices or attr.structural else None
        given[name] = _Recorded(ends[name], uses, constant=True) if plain is None else plain
    own = {body.__name__: body, **parts(body)}  # run as the body is; any other function is a word
    names = dict(body.__globals__)
    for name, value in names.items():
        if isinstance(value, types.FunctionType) and name != "within" and name not in own:
            names[name] = _word(name, value, uses)
    for name, function in own.items():
        assert isinstance(function, types.FunctionType)
        copy = types.FunctionType(function.__code__, names, name, function.__defaults__, function.__closure__)
        copy.__kwdefaults__ = function.__kwdefaults__
        names[name] = copy
    names[body.__name__](**given)
    return uses


Tables = Mapping[Any, tuple[str, tuple[Wrong, ...]]]  # word or ufunc -> (its name in words, what may be wrong)


def harmless(op: Op, tables: Tables) -> set[str]:
    """The faults of these tables, in words, that change nothing in any call of the op."""
    held: dict[str, bool] = {}
    for uses in recorded(op):
        for words, holds in (*_held(uses, tables), *_held_floors(uses), *_held_rules(uses)):
            held[words] = held.get(words, True) and holds
    return {words for words, holds in held.items() if holds}


def _held(uses: list[Use], tables: Tables) -> Iterator[tuple[str, bool]]:
    for what, (name, wrongs) in tables.items():
        found = [use for use in uses if use.what == what or (what == "absolute" and use.what is np.absolute)]
        for i, use in enumerate(found):
            place = f" {i + 1} of {len(found)}" if len(found) > 1 else ""
            for wrong in wrongs:
                holds = wrong.harmless is not None and wrong.harmless(use.operands, use.result)
                yield f"{name}{place}: {wrong.words}", bool(holds)


def _held_floors(uses: list[Use]) -> Iterator[tuple[str, bool]]:
    """A division toward zero of what is never negative."""
    positive = [Interval.of(use.operands[0]).min() >= 0 for use in uses if use.what in FLOORS]
    for i, holds in enumerate(positive):
        yield f"toward_zero at floor {f'{i + 1} of {len(positive)}' if len(positive) > 1 else ''}".strip(), holds
    if len(positive) > 1:
        yield "toward_zero at every floor", all(positive)


def _held_rules(uses: list[Use]) -> Iterator[tuple[str, bool]]:
    """One rule for another that differs from it below zero only, where a body rounds once, and nothing negative."""
    steps = [ROUNDINGS[use.what](*use.operands) for use in uses if use.what in ROUNDINGS]
    if len(steps) != 1 or steps[0].rule not in {*ROUNDS_UP}:
        return
    positive = all(Interval.of(x).min() >= 0 for x in steps[0].numerator)
    for group in ALIKE:
        for rule in group - {steps[0].rule} if steps[0].rule in group else ():
            yield f"rule {rule}", positive
