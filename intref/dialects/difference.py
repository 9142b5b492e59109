"""Two profiles, site by site: which ops and attributes differ, and on how many of the ops' vectors that shows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from intref.errors import BoundError, SpecError
from intref.intmath import split_fp32
from intref.ops import OPS, Op
from intref.profiles import Profile, load_profile, names
from intref.quantize.scales import rescaling
from intref.quantize.sites.lowering import clip, container
from intref.vectors import Case, cases

BITS = 8  # of a site that says a clamp and no width
ATTRIBUTES = ("rounding", "accumulator", "overflow", "every", "form", "halvings")  # of an op, where it has them
COMPARABLE = {"clamp", "multiplier_bits", "bits", *ATTRIBUTES}
TERMS = ("", "a_", "b_")  # of a port's name before multiplier and shift


@dataclass(frozen=True)
class Difference:
    """One site. a, b: its tables, empty where a profile leaves it out.

    vectors: directed cases of the op that both allow; differ: those at which they part. Both 0 where the ops are not
    the same, or what differs is decided when a model is made. witness: the first element at which they part.
    """

    site: str
    a: Mapping[str, Any]
    b: Mapping[str, Any]
    vectors: int = 0
    differ: int = 0
    witness: str = ""

    @property
    def same_op(self) -> bool:
        return self.a.get("op") == self.b.get("op")

    @property
    def comparable(self) -> bool:
        """Whether the op's vectors show all that differs."""
        keys = {key for key in {*self.a, *self.b} if self.a.get(key) != self.b.get(key)}
        return self.same_op and keys <= COMPARABLE

    def json(self) -> dict[str, Any]:
        counts = {"vectors": self.vectors, "differ": self.differ, "witness": self.witness}
        return {"site": self.site, "a": dict(self.a), "b": dict(self.b), **counts}


def differences(a: Profile, b: Profile) -> list[Difference]:
    """The sites whose tables differ in what sets a bit, in the order of a model."""
    found = []
    for site in dict.fromkeys((*a.sites, *b.sites)):
        one, two = ({k: v for k, v in p.sites.get(site, {}).items() if k != "borrowed"} for p in (a, b))
        if one != two:
            found.append(_on_vectors(Difference(site, one, two)))
    return found


def alias(profile: Profile) -> str:
    """The profile of intref's own, by another name, that no vector tells from this one; empty if there is none."""
    for name in names():
        known = load_profile(name)
        if known.name != profile.name:
            parts = differences(known, profile)
            if all(part.comparable and not part.differ for part in parts):
                return name
    return ""


def _on_vectors(found: Difference) -> Difference:
    if not found.comparable:
        return found
    op, count, parted, witness = OPS[found.a["op"]], 0, 0, ""
    for i, case in enumerate(cases(op.name)):
        made = [_as_at_site(op, case, row) for row in (found.a, found.b)]
        if made[0] is None or made[1] is None:
            continue
        count += 1
        wrong = {k: np.argwhere(made[0][k] != made[1][k]) for k in made[0] if made[0][k].shape == made[1][k].shape}
        if at := next(((k, where[0]) for k, where in wrong.items() if len(where)), None):
            parted += 1
            name, place = at[0], tuple(int(j) for j in at[1])
            values = [int(arrays[name][place]) for arrays in made if arrays is not None]
            witness = witness or f"{op.name}-{i:04d} {name}{list(place)}: {values[0]}, {values[1]}"
    return Difference(found.site, found.a, found.b, count, parted, witness)


def _as_at_site(op: Op, case: Case, row: Mapping[str, Any]) -> dict[str, np.ndarray] | None:
    """The outputs of a case whose rounding, clip, multipliers and accumulator are those of a site.

    None where the site's rule does not allow the case's operands.
    """
    tensors, attrs = dict(case.tensors), dict(case.attrs)
    attrs |= {key: row[key] for key in (*ATTRIBUTES, "bits") if key in row and key in op.attrs}
    if "low" in op.attrs and {"clamp", "bits"} & row.keys():
        bits = row.get("bits", BITS)
        attrs |= {"output": container(bits), **clip(bits, row.get("clamp", "full"))}
    try:
        for prefix in _terms(op):
            tensors |= _rescaled(prefix, case, attrs.get("rounding", ""), row.get("multiplier_bits", 31))
        return op.run(tensors, op.check(tensors, attrs))
    except (SpecError, BoundError):
        return None


def _terms(op: Op) -> Iterator[str]:
    if "rounding" in op.attrs:
        yield from (prefix for prefix in TERMS if {f"{prefix}multiplier", f"{prefix}shift"} <= op.inputs.keys())


def _rescaled(prefix: str, case: Case, rounding: str, bits: int) -> dict[str, np.ndarray]:
    """The constants that stand for a case's ratio under another rule, or with a multiplier of fewer bits."""
    multiplier, shift = (case.tensors[f"{prefix}{port}"].astype(np.int64) for port in ("multiplier", "shift"))
    if case.attrs["rounding"] == rounding and bits == 31:
        return {}
    if case.attrs["rounding"] == "fp32_half_even":
        sign, significand, exponent = split_fp32(multiplier)
        ratio = sign * significand * 2.0**exponent
    else:
        ratio = multiplier * 2.0**-shift
    made = rescaling(ratio, rounding, bits)
    return {f"{prefix}multiplier": made[0], f"{prefix}shift": made[1]}
