"""A device that speaks another dialect: the op of the same kind that takes the same operands, instead of this one."""

# The vocabulary of op bodies is not typed.
# mypy: allow-untyped-calls

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from itertools import product
from typing import Any

import numpy as np

from intref.errors import SpecError
from intref.ops import OPS
from intref.ops.op import Op

Lazy = tuple[str, Callable[[], dict[str, np.ndarray]]]
MOST = 8  # ways of another op's choices that are tried


@cache
def kin(op_name: str) -> tuple[str, ...]:
    """The ops whose name begins with the same kind (softmax, layernorm, ..) and that have the same ports."""
    op, kind = OPS[op_name], op_name.partition("_")[0]
    same = (other for name, other in OPS.items() if name != op_name and name.partition("_")[0] == kind)
    return tuple(o.name for o in same if o.inputs.keys() == op.inputs.keys() and o.outputs.keys() == op.outputs.keys())


def faults(op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any]) -> Iterator[Lazy]:
    """(the other op, a function that makes its outputs), for every op of the same kind that can take the call."""
    told = set[str]()
    for name in kin(op.name):
        for chosen in _ways(OPS[name], attrs):
            try:
                full = OPS[name].check(tensors, chosen)
            except SpecError:
                continue
            own = {k: v for k, v in full.items() if OPS[name].attrs[k].choices and k not in attrs}
            said = "".join(f", {k} = {v}" for k, v in own.items())
            words = f"op {name}{said}"
            if words not in told:  # other attributes, and the same words
                told.add(words)
                yield words, partial(_run, OPS[name], op, tensors, attrs, full)


def _ways(other: Op, attrs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The attributes that another op would be called with: those of the same name, and every choice of its own.

    None where it has a number of its own that nothing says.
    """
    shared = {k: v for k, v in attrs.items() if k in other.attrs and other.attrs[k].allows(v)}
    own = {k: a for k, a in other.attrs.items() if k not in shared}
    if any(not a.choices and a.default is None for a in own.values()):
        return
    choices = {k: a.choices for k, a in own.items() if a.choices}
    for i, chosen in enumerate(product(*choices.values())):
        if i == MOST:
            return
        yield {**shared, **dict(zip(choices, chosen))}


def _run(
    other: Op, op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any], full: dict[str, Any]
) -> dict[str, np.ndarray]:
    made = other.reference(**{k: t.astype(np.int64) for k, t in tensors.items()}, **full)
    dtypes = op.output_dtypes({k: t.dtype.name for k, t in tensors.items()}, attrs)
    return {k: np.asarray(made[k]).astype(dtypes[k]) for k in op.outputs}
