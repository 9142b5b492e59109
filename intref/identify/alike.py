"""Hypotheses that answered every question as the reference does: which of them no call can tell from it, and why."""

from collections.abc import Collection, Sequence
from functools import cache

from intref.explain.findings import EVERYWHERE, Where
from intref.faults.equivalent import FAULTS, why_equivalent
from intref.faults.operators import WRONG as OPERATORS
from intref.faults.primitives import WRONG as PRIMITIVES
from intref.faults.proofs import harmless
from intref.identify.findings import EQUIVALENT, OPEN, REFUSED, Alike
from intref.identify.interview import Interview
from intref.ops import OPS
from intref.vectors import harmless as argued

PROVED = "changes no value in any call that the contract allows"


@cache
def _proved(op_name: str) -> frozenset[str]:
    """What the body on intervals proves to change nothing."""
    return frozenset(harmless(OPS[op_name], {**OPERATORS, **PRIMITIVES}))


def why_same(op_name: str, words: str, roundings: Collection[str] = ()) -> str:
    """Why no call of an op shows a hypothesis; empty if one should. roundings: of the calls that it applies to."""
    known = {**FAULTS, op_name: {**FAULTS.get(op_name, {}), **argued(op_name)}}
    if why := why_equivalent(op_name, words, known):
        return why
    if words in _proved(op_name):
        return PROVED
    reasons = [why_equivalent(op_name, f"{rounding} -> {words}", known) for rounding in roundings]
    return (reasons and all(reasons) and reasons[0]) or ""


def alike(work: Interview, left: Sequence[str], where: Where = EVERYWHERE) -> tuple[Alike, ...]:
    """Of each hypothesis left for some calls, the reference aside, why it answered as that."""
    among = [i for i, one in enumerate(work.pool) if all(where.holds(*value) for value in one.values)]
    return tuple(_one(work, words, among) for words in left)


def _one(work: Interview, words: str, among: Sequence[int]) -> Alike:
    if why := work.why_same(words):
        return Alike(words, EQUIVALENT, why)
    applied = [i for i in among if work.applies(words, i)]
    shown = [i for i in applied if work.prediction(words, i) not in (None, work.right[i])]
    if shown and all(work.answers.get(i) is None for i in shown) and not work.open(shown):
        refused = work.refused()
        values = sorted({v for i in shown for v in work.pool[i].values if v in refused})
        named = ", ".join("=".join(value) for value in values) or "some sizes or ranges"
        return Alike(words, REFUSED, f"only calls that the device does not support show it: {named}")
    if work.open(shown):
        return Alike(words, OPEN, f"a directed case shows it that was not asked in {work.asked} queries: allow more")
    return Alike(words, OPEN, f"it applies to {len(applied)} calls and shows in none: intref sweep may find one")
