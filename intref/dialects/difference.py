"""Two profiles, site by site: which ops and attributes differ, and on how many of the ops' vectors that shows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from intref.dialects.at_site import LOWERED, at_site, shown_by
from intref.ops import OPS, Op
from intref.profiles import Profile, load_profile, names
from intref.profiles.keys import PRODUCT, plain
from intref.vectors import cases

# A key -> those that say one thing with it: a profile that leaves them out means their plain values, not a case's own.
TOGETHER: dict[str, tuple[str, ...]] = {"spare_bits": ("bits",), **dict.fromkeys(PRODUCT, (*PRODUCT,))}


@dataclass(frozen=True)
class Difference:
    """One site. a, b: its tables, empty where a profile leaves it out.

    vectors: directed cases that both allow, of the op or of what its lowering puts beside it; differ: those at which
    they part. Both 0 where the ops are not the same, or no op is given what differs. refused: cases that one alone
    allows. witness: the first element at which they part.
    """

    site: str
    a: Mapping[str, Any]
    b: Mapping[str, Any]
    vectors: int = 0
    differ: int = 0
    witness: str = ""
    refused: int = 0

    @property
    def same_op(self) -> bool:
        return self.a.get("op") == self.b.get("op")

    @property
    def whole(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Both tables, with the plain values of the keys that they leave out."""
        left, right = ({**plain(self.site, str(row.get("op"))), **row} for row in (self.a, self.b))
        return left, right

    @property
    def keys(self) -> list[str]:
        """The keys of another value."""
        left, right = self.whole
        return [key for key in dict.fromkeys((*left, *right)) if left.get(key) != right.get(key)]

    @property
    def shown(self) -> dict[str, str]:
        """The keys that differ and show on vectors -> the op whose vectors show it."""
        pairs = {key: shown_by(str(self.a["op"]), key) for key in self.keys} if self.same_op else {}
        return {key: op for key, op in pairs.items() if op}

    @property
    def otherwise(self) -> str:
        """The keys that differ and that no op is given: both values, and what they decide; empty if there is none."""
        left, right = self.whole
        hidden = [key for key in self.keys if key not in self.shown] if self.same_op else []
        return "; ".join(f"{key} {left.get(key, '-')}, {right.get(key, '-')}: {LOWERED[key]}" for key in hidden)

    @property
    def comparable(self) -> bool:
        """Whether vectors show all that differs."""
        return self.same_op and not self.otherwise

    @property
    def equal(self) -> bool:
        """Whether nothing parts the two: every vector that either allows gives the same."""
        return self.comparable and not self.differ and not self.refused and (self.vectors > 0 or not self.keys)

    def json(self) -> dict[str, Any]:
        counts = {"vectors": self.vectors, "differ": self.differ, "refused": self.refused, "witness": self.witness}
        counts |= {"otherwise": self.otherwise}
        return {"site": self.site, "a": dict(self.a), "b": dict(self.b), **counts}


def differences(a: Profile, b: Profile) -> list[Difference]:
    """The sites whose tables differ in what sets a bit, in the order of a model."""
    return [*_parts(a, b)]


def _parts(a: Profile, b: Profile) -> Iterator[Difference]:
    for site in dict.fromkeys((*a.sites, *b.sites)):
        one, two = ({k: v for k, v in p.sites.get(site, {}).items() if k != "borrowed"} for p in (a, b))
        part = Difference(site, one, two)
        if part.keys:
            yield _on_vectors(part)


def alias(profile: Profile) -> str:
    """The profile of intref's own, by another name, that no vector tells from this one; empty if there is none."""
    for name in names():
        known = load_profile(name)
        if known.name != profile.name and all(part.equal for part in _parts(known, profile)):  # up to the first
            return name
    return ""


def _on_vectors(found: Difference) -> Difference:
    for name in dict.fromkeys(found.shown.values()):
        found = _on_vectors_of(OPS[name], found)
    return found


def _on_vectors_of(op: Op, found: Difference) -> Difference:
    pairs = zip(found.whole, (found.a, found.b))
    compared = {*found.keys, *(other for key in found.keys for other in TOGETHER.get(key, ()))}
    rows = [{k: v for k, v in row.items() if k in compared or k in given} for row, given in pairs]
    count, parted, refused, witness = found.vectors, found.differ, found.refused, found.witness
    for i, case in enumerate(cases(op.name)):
        made = [at_site(op, case, row) for row in rows]
        if made[0] is None or made[1] is None:
            refused += made[0] is not made[1]
            continue
        count += 1
        wrong = {k: np.argwhere(made[0][k] != made[1][k]) for k in made[0] if made[0][k].shape == made[1][k].shape}
        if at := next(((k, where[0]) for k, where in wrong.items() if len(where)), None):
            parted += 1
            name, place = at[0], tuple(int(j) for j in at[1])
            values = [str(arrays[name][place].item()) for arrays in made if arrays is not None]
            witness = witness or f"{op.name}-{i:04d} {name}{list(place)}: {', '.join(values)}"
    return Difference(found.site, found.a, found.b, count, parted, witness, refused)
