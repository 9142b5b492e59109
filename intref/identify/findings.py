"""What came out of asking: of one op, in words and for JSON."""

from dataclasses import dataclass
from typing import Any

from intref.explain.findings import NAMED_RULES, UNKNOWN, Where

AS_REFERENCE = "as the reference"
Value = tuple[str, str]  # attribute or dtype, and one value of it


EQUIVALENT, REFUSED, OPEN = "equivalent", "refused", "open"  # why a hypothesis answered as the reference did


@dataclass(frozen=True)
class Alike:
    """A hypothesis that answered as the reference did. kind: EQUIVALENT, no call shows it; REFUSED, calls show it
    that the device does not support; OPEN, it was not separated."""

    words: str
    kind: str
    why: str


@dataclass(frozen=True)
class Found:
    """What the device does on some calls: words that no question told apart, likeliest first; UNKNOWN alone where
    nothing in the catalogue answers as it does. alike: of words that begin with the reference, the others."""

    where: Where
    words: tuple[str, ...]
    alike: tuple[Alike, ...] = ()

    @property
    def text(self) -> str:
        more = f" (or {len(self.words) - NAMED_RULES} more)" if len(self.words) > NAMED_RULES else ""
        told = self.words[:1] if AS_REFERENCE in self.words[:1] else self.words[:NAMED_RULES]
        if told == (AS_REFERENCE,):
            more = f" ({said})" if (said := self._others) else ""
        return f"{' or '.join(told)}{more}{self.where.text}"

    @property
    def _others(self) -> str:
        """How many hypotheses answered as the reference, by the reason; those that no question separated by name."""
        words = {kind: [one.words for one in self.alike if one.kind == kind] for kind in (EQUIVALENT, REFUSED, OPEN)}
        told = [f"{len(words[EQUIVALENT])} equivalent to it"] * bool(words[EQUIVALENT])
        told += [f"{len(words[REFUSED])} that only refused calls would show"] * bool(words[REFUSED])
        named = ", ".join(words[OPEN][:NAMED_RULES]) + ", .." * (len(words[OPEN]) > NAMED_RULES)
        return ", ".join([*told, *([f"{len(words[OPEN])} not separated: {named}"] if named else [])])

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        alike = [{"rule": one.words, "kind": one.kind, "why": one.why} for one in self.alike]
        return {"where": self.where.text.strip(), "rules": [*self.words], "alike": alike}


@dataclass(frozen=True)
class OpIdentified:
    """One op of a device. hypotheses: how many there were. asked: calls; of them `confirming` came after the last
    split. found: empty if the op is not supported or never answered. refused: values that the device does not support.
    failure: why it was given up, if it was. undecided: the limit was reached before all was told apart.
    stage: of what is unknown, where it goes wrong and why, empty if nothing tells. others: calls refused though every
    value of theirs is supported, for a size, a range or an attribute without choices. checked: calls after all was told
    apart; confirmed: of the `directed` cases, those that were answered as was found. against: of what is unknown, the
    case that showed it. crashes: of calls that failed, how. repeatable: no first case was answered otherwise again."""

    op: str
    hypotheses: int
    asked: int
    confirming: int
    found: tuple[Found, ...]
    refused: tuple[Value, ...] = ()
    failure: str = ""
    undecided: bool = False
    stage: tuple[str, str] = ("", "")
    others: int = 0
    checked: int = 0
    confirmed: int = 0
    directed: int = 0
    against: str = ""
    crashes: tuple[str, ...] = ()
    repeatable: bool = True

    @property
    def usable(self) -> bool:
        """Whether it was answered, and not given up."""
        return bool(self.found) and not self.failure

    @property
    def known(self) -> bool:
        """Whether all that was asked is explained, and nothing more could have been."""
        unknown = any(UNKNOWN in one.words for one in self.found)
        return self.usable and not unknown and not self.undecided and not self.crashes

    @property
    def text(self) -> str:
        """In words, as of one line."""
        stage = f"; stage: {self.stage[0]} ({self.stage[1]})" if self.stage[0] and not self.known else ""
        if self.failure:
            return self.failure
        if not self.found:
            return "not supported"
        refused = f"; does not support {', '.join('='.join(v) for v in self.refused)}" if self.refused else ""
        if self.others:
            refused += f"; refused {self.others} other call{'s' * (self.others > 1)}"
        short = f"; undecided: the limit of {self.asked} queries was reached" if self.undecided else ""
        against = f" ({self.against})" if self.against else ""
        failed = f"; calls that failed: {len(self.crashes)}, the last {self.crashes[-1]}" if self.crashes else ""
        return "; ".join(one.text for one in self.found) + against + stage + refused + failed + short

    @property
    def effort(self) -> str:
        """How much was asked, in words."""
        sure = (
            f"; confirmed on {self.confirmed} of {self.directed} directed cases"
            if self.usable and self.confirmed
            else ""
        )
        return f"({self.asked} queries, {self.hypotheses} hypotheses{sure})"

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "op": self.op,
            "text": self.text,
            "known": self.known,
            "supported": bool(self.found),
            "hypotheses": self.hypotheses,
            "asked": self.asked,
            "confirming": self.confirming,
            "checked": self.checked,
            "confirmed": self.confirmed,
            "directed": self.directed,
            "against": self.against,
            "crashes": [*self.crashes],
            "repeatable": self.repeatable,
            "found": [one.plain() for one in self.found],
            "refused": [[*value] for value in self.refused],
            "refused_others": self.others,
            "failure": self.failure,
            "undecided": self.undecided,
            "stage": self.stage[0],
            "why": self.stage[1],
        }
