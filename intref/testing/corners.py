"""The corner cases of an op: its directed vectors, with the ids that they have in the conformance suite, and more."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from intref.errors import SpecError, near
from intref.ops import OPS
from intref.ops.op import Op
from intref.vectors import stream

LEVELS = (1, 2)


class CornerCase(NamedTuple):
    """One call. id: as in golden/ops; why: what it shows; attrs: complete; flags: the bugs it would catch."""

    id: str
    why: str
    tensors: dict[str, np.ndarray]
    attrs: dict[str, Any]
    flags: tuple[str, ...] = ()


def known_op(op: str) -> Op:
    """The op of a name; SpecError if there is no such op."""
    if not isinstance(op, str) or op not in OPS:
        raise SpecError(f"{op}: there is no such op, {near(op, OPS)} (C1)")
    return OPS[op]


def corner_cases(
    op: str, level: int = 1, dtypes: Mapping[str, str] | None = None, **attrs: Any
) -> tuple[CornerCase, ...]:
    """The corner cases of an op that have these attributes and input dtypes: all, if none are given.

    level: 1 the directed vectors, 2 also two thousand seeded random calls (more than that is `intref sweep`'s). Arrays
    are the caller's own. SpecError for an op, a level or an attribute that there is not, and if there is no such case.
    """
    if unknown := attrs.keys() - known_op(op).attrs.keys():
        raise SpecError(f"{op}: attributes must be {[*OPS[op].attrs]}, not {sorted(unknown)} (C4)")
    if level not in LEVELS:
        raise SpecError(f"{op}: level must be one of {', '.join(map(str, LEVELS))}, not {level!r}")
    wanted = {} if dtypes is None else dtypes
    if not isinstance(wanted, Mapping):
        raise SpecError(f"{op}: dtypes must be a dtype for each input, as {{'x': 'int8'}}, not {dtypes!r}")
    if others := wanted.keys() - OPS[op].inputs.keys():
        raise SpecError(f"{op}: inputs must be {[*OPS[op].inputs]}, not {sorted(others)} (C1)")
    complete = ((name, case, OPS[op].complete(case.attrs)) for name, case in stream(op, level))
    chosen = tuple(
        CornerCase(name, case.why, {k: t.copy() for k, t in case.tensors.items()}, full, case.flags)
        for name, case, full in complete
        if attrs.items() <= full.items() and all(case.tensors[k].dtype.name == d for k, d in wanted.items())
    )
    if not chosen:
        raise SpecError(f"{op}: expected attributes and dtypes that some corner case has, found {attrs} {dict(wanted)}")
    return chosen
