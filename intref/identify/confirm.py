"""Does a finding hold? Every directed case of the op is asked, and at the end the first cases once more."""

import time
from collections.abc import Sequence
from dataclasses import replace

from intref.explain.findings import UNKNOWN
from intref.identify.findings import AS_REFERENCE, Found
from intref.identify.interview import MAX_CRASHES, Interview
from intref.identify.pool import Question

LIMIT_S = 60  # seconds that are spent on confirming one op
AGAIN, AGAIN_S = 64, 15  # first cases that are asked once more, and seconds that are spent on it
WRONG_AGAIN = 8  # and of those that are not answered as by the reference


def contradicted(work: Interview, found: Sequence[Found], among: Sequence[int], until: int) -> str:
    """Ask the cases not asked so far, and say the first answer that is not what was found; empty if all are.

    The answer is one more question of the interview. until: time.monotonic_ns() after which nothing is asked.
    """
    for i in sorted(work.open(among), key=lambda i: (-len(work.runs[i]), work.pool[i].elements, i)):
        if time.monotonic_ns() > until or len(work.crashes) >= MAX_CRASHES:
            break
        one = covering(found, work.pool[i])
        if (one is None or UNKNOWN not in one.words) and not {*work.pool[i].values} & work.refused():
            work.put(i, confirming=True)
            if work.answers[i] is not None and (one is None or not work.agrees(one.words[0], i)):
                said = "nothing was known of" if one is None else f"{one.words[0]!r} does not give"
                return f"{said} {work.pool[i].id}"
    return ""


def covering(found: Sequence[Found], question: Question) -> Found | None:
    """The finding that speaks of a question."""
    return next((one for one in found if all(one.where.holds(*value) for value in question.values)), None)


def narrowed(work: Interview, one: Found) -> Found:
    """A finding without the words that a confirming answer has ruled out; never its first."""
    told = [i for i in work.answers if work.answers[i] is not None and covering([one], work.pool[i])]
    same = one.words[0] == AS_REFERENCE
    rest = (w for w in one.words[1:] if (same and work.why_same(w)) or all(work.agrees(w, i) for i in told))
    return replace(one, words=(one.words[0], *rest))


def confirmed(work: Interview, found: Sequence[Found], among: Sequence[int]) -> int:
    """How many of some cases were answered as was found."""
    told = [(i, covering(found, work.pool[i])) for i in among if work.answers.get(i) is not None]
    return sum(one is not None and UNKNOWN not in one.words and work.agrees(one.words[0], i) for i, one in told)


def unrepeatable(work: Interview) -> str:
    """Ask the first cases again, and the first wrong ones: which was answered otherwise than before; empty if none."""
    first = [i for i, answer in work.answers.items() if answer is not None][:AGAIN]
    wrong = [i for i in work.answers if work.differs(i)][:WRONG_AGAIN]
    until = time.monotonic_ns() + AGAIN_S * 10**9
    for i in dict.fromkeys([*wrong, *first]):  # the wrong ones in a row: what fails now and then does not fail in all
        if time.monotonic_ns() > until or len(work.crashes) >= MAX_CRASHES:
            break
        before = work.answers[i]
        if work.again(i) != before:
            return f"not repeatable: {work.pool[i].id} was answered otherwise when it was asked again"
    return ""


def first_wrong(work: Interview) -> str:
    """The first case that the device does not answer as the reference does; empty if there is none."""
    wrong = next((i for i in work.answers if work.differs(i)), None)
    return "" if wrong is None else f"{AS_REFERENCE!r} does not give {work.pool[wrong].id}"
