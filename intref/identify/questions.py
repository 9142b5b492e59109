"""Twenty questions with one op of a device: each next call is the one that splits the remaining hypotheses best."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from intref.explain.findings import EVERYWHERE, UNKNOWN, Where
from intref.explain.hypotheses import Explained
from intref.explain.stages import located
from intref.identify.alike import alike, why_same
from intref.identify.confirm import LIMIT_S, confirmed, contradicted, first_wrong, narrowed, unrepeatable
from intref.identify.findings import AS_REFERENCE, Alike, Found, OpIdentified
from intref.identify.interview import MAX_CRASHES, Ask, Interview
from intref.identify.pool import Question
from intref.ops import OPS

CONFIRM = 24  # questions that what is left must survive
TRIES = 16  # questions, about, that a device may refuse once every value was asked for
GROUP = 6  # of these, for one value of an attribute, one in so many


def identified(op_name: str, pool: Sequence[Question], ask: Ask, limit: int, confirm: int = CONFIRM) -> OpIdentified:
    """Find out what a device does as one op, in at most `limit` calls; confirm: of them, after the last split.

    What is found is then asked for in every case of the pool that is left, for LIMIT_S seconds at most, and the first
    cases once more: what one of these answers contradicts is not said.
    """
    work = Interview(OPS[op_name], [*pool], ask, limit, partial(why_same, op_name))
    hypotheses = len(work.words)
    everything = [*range(len(pool))]
    if not _first_answer(work, everything):
        failure = work.crashes[-1] if work.crashes else ""
        return OpIdentified(op_name, hypotheses, work.asked, 0, (), (), failure)
    work.survey()
    found, against = _confirmed(work, everything, confirm)
    unknown = any(UNKNOWN in one.words for one in found)
    changed = unrepeatable(work)
    failure = work.crashes[-1] if len(work.crashes) >= MAX_CRASHES else changed
    found = tuple(one if failure else replace(one, alike=_others(work, one)) for one in found)
    return OpIdentified(
        op_name,
        hypotheses,
        work.asked,
        work.confirming,
        found,
        tuple(sorted(work.refused())),
        failure,
        undecided=not failure and work.over,
        stage=located(Explained(op_name, 0, 0, 0, 0), work.seen) if unknown else ("", ""),
        others=work.others,
        checked=work.checked,
        confirmed=confirmed(work, found, everything),
        directed=len(pool),
        against=(against or first_wrong(work)) if unknown else "",
        crashes=tuple(work.crashes),
        repeatable=not changed,
    )


def _confirmed(work: Interview, everything: Sequence[int], confirm: int) -> tuple[tuple[Found, ...], str]:
    """(what holds for all cases that are answered, what one of them contradicted last): such a case is one more
    question, and what is found is confirmed anew."""
    until, against = time.monotonic_ns() + LIMIT_S * 10**9, ""
    while True:
        found = _found(work, everything, confirm)
        wrong = "" if work.over else contradicted(work, found, everything, until)
        if not wrong:
            return tuple(narrowed(work, one) for one in found), against
        against = wrong


def _found(work: Interview, everything: Sequence[int], confirm: int) -> tuple[Found, ...]:
    """What holds for all questions asked so far, once those that tell it apart are asked."""
    if work.settle(everything, confirm):
        work.draw(everything)
    found = _everywhere(work) or _somewhere(work, everything, confirm) or (Found(EVERYWHERE, (UNKNOWN,)),)
    if any(UNKNOWN in one.words for one in found) and not work.over:
        found = _together(work, confirm) or found
    return found


def _others(work: Interview, found: Found) -> tuple[Alike, ...]:
    """Of calls that are answered as by the reference, what else would have done so."""
    return alike(work, found.words[1:], found.where) if found.words[0] == AS_REFERENCE else ()


def _first_answer(work: Interview, everything: Sequence[int]) -> bool:
    """Ask for every value of every attribute and dtype until the device answers anything at all."""
    unseen = {value for i in everything for value in work.pool[i].values} or {("", "")}
    first = max(everything, key=lambda i: (len(work.runs[i]), -work.pool[i].elements, -i))
    while not work.over:
        if work.put(first):
            return True
        unseen -= {*work.pool[first].values}
        left = [i for i in everything if i not in work.answers and unseen & {*work.pool[i].values}]
        if not left:
            break
        first = max(left, key=lambda i: (len(unseen & {*work.pool[i].values}), -i))
    return _any_answer(work, everything)


def _any_answer(work: Interview, everything: Sequence[int]) -> bool:
    """Ask what is smallest, then others from every part of the pool: sizes and ranges may be what was refused."""
    left = [i for i in everything if i not in work.answers]
    small = sorted(left, key=lambda i: (work.pool[i].elements, i))[: TRIES // 2]
    others = left[:: max(2 * len(left) // TRIES, 1)]
    return any(work.put(i) for i in dict.fromkeys([*small, *others]) if not work.over)


def _everywhere(work: Interview) -> tuple[Found, ...]:
    """What holds for all questions; of what holds for one value only, that and the reference elsewhere."""
    left = work.survivors(range(len(work.pool)))
    if not left or left[0] not in work.partial:
        return (Found(EVERYWHERE, tuple(w for w in left if w not in work.partial)),) if left else ()
    key, value = work.partial[left[0]][1]
    known = tuple(dict.fromkeys(v for one in work.pool for k, v in one.values if k == key))
    rules = tuple(words for words, of in (work.partial[w] for w in left) if of == (key, value))
    others = tuple(v for v in known if v != value)
    return Found(Where(key, (value,), known), rules), Found(Where(key, others, known), (AS_REFERENCE,))


def _together(work: Interview, confirm: int) -> tuple[Found, ...]:
    """Two choices at once that hold for all questions."""
    work.pair_up()
    left = work.settle([*range(len(work.pool))], confirm)
    return (Found(EVERYWHERE, tuple(left)),) if left else ()


def _somewhere(work: Interview, everything: Sequence[int], confirm: int) -> tuple[Found, ...]:
    """No hypothesis holds everywhere: one for each value of one attribute or dtype, as the reference else."""
    best: tuple[Found, ...] = ()
    for key in dict.fromkeys(name for i in everything for name, _ in work.pool[i].values):
        groups: dict[str, list[int]] = {}
        for i in everything:
            groups.setdefault(dict(work.pool[i].values)[key], []).append(i)
        if not 1 < len(groups) < len(everything):
            continue
        trusted = {AS_REFERENCE}
        found = {value: _in_group(work, group, confirm, trusted) for value, group in groups.items()}
        unknown = [value for value, left in found.items() if left == []]
        wrong = {value: sum(work.differs(i) for i in groups[value]) for value in groups}
        if 2 * sum(wrong[value] for value in unknown) > sum(wrong.values()):
            continue  # what explains the lesser part of a device may do so by chance
        merged = _merged(key, (*groups,), {value: left for value, left in found.items() if left})
        if unknown:
            merged = (*merged, Found(Where(key, tuple(unknown), (*groups,)), (UNKNOWN,)))
        if not best or not unknown:
            best = merged
        if not unknown:
            break
    return best


def _in_group(work: Interview, group: Sequence[int], confirm: int, trusted: set[str]) -> list[str] | None:
    """What is left for the questions of one group; None if none of them was answered.

    trusted: what was confirmed before, in another group, and needs less of it here; grows.
    """
    left = work.split(group)
    if left:
        left = work.settle(group, -(-confirm // GROUP) if trusted & {*left} else confirm)
        trusted.update(left[:1])
    return left if any(work.answers.get(i) is not None for i in group) else None


def _merged(key: str, known: tuple[str, ...], found: Mapping[str, list[str]]) -> tuple[Found, ...]:
    """Values of one key that share what is left, told together, in as few findings as it takes."""
    apart, mixed = (_shared(found, mix) for mix in (False, True))
    kept = mixed if len(mixed) < len(apart) else apart
    ordered = [(tuple(value for value in known if value in values), tuple(words)) for values, words in kept]
    return tuple(Found(Where(key, values, known), words) for values, words in ordered)


def _shared(found: Mapping[str, list[str]], mix: bool) -> list[tuple[list[str], list[str]]]:
    """(values, what is left for all of them), those as the reference last; mix: these may join a rule that changes
    nothing for them."""
    kept: list[tuple[list[str], list[str]]] = []
    for value, left in sorted(found.items(), key=lambda item: AS_REFERENCE in item[1]):
        for i, (values, words) in enumerate(kept):
            common = [w for w in words if w in left]
            if common and (mix or (AS_REFERENCE in words) == (AS_REFERENCE in left)):
                kept[i] = ([*values, value], common)
                break
        else:
            kept.append(([value], left))
    return kept
