"""Two profiles, site by site: which ops and attributes differ, and on how many of the ops' vectors that shows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from intref.errors import BoundError, SpecError
from intref.intmath import split_fp32
from intref.ops import OPS, Op
from intref.profiles import PRODUCT, Profile, load_profile, names
from intref.quantize.scales import rescaling
from intref.quantize.sites.lowering import clip, container
from intref.vectors import Case, cases

BITS = 8  # of a site that says a clamp and no width
# Of an op, where it has them.
ATTRIBUTES = ("rounding", "accumulator", "overflow", "every", "form", "halvings", "clip", "by", "order", "contract")
RANGE = ("clamp", "bits")  # of an op with the attributes low and high
# What a site says of the product, the epilogue or the requantizer that its lowering puts beside an op without it.
BESIDE = {
    **dict.fromkeys(PRODUCT, "matmul"),
    **dict.fromkeys(("order", "contract"), "epilogue_fp32"),
    **dict.fromkeys(("rounding", "clamp", "multiplier_bits", "bits"), "rescale"),
}
# What a key that is left out means.
PLAIN = {"clamp": "full", "multiplier_bits": 31, "steps": 1, "spare_bits": 0, "mask": "exclude", "constants": "code"}
PLAIN |= {"order": "token_first", "contract": "off", "by": "quotient"}
TERMS = ("", "a_", "b_")  # of a port's name before multiplier and shift


@dataclass(frozen=True)
class Difference:
    """One site. a, b: its tables, empty where a profile leaves it out.

    vectors: directed cases that both allow, of the op or of what its lowering puts beside it; differ: those at which
    they part. Both 0 where the ops are not the same, or what differs is decided when a model is made. refused: cases
    that one alone allows. witness: the first element at which they part.
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
    def keys(self) -> list[str]:
        """The keys of another value: a key that is left out has its plain one."""
        left, right = ({**PLAIN, **row} for row in (self.a, self.b))
        return [key for key in dict.fromkeys((*left, *right)) if left.get(key) != right.get(key)]

    @property
    def shown(self) -> dict[str, str]:
        """The keys that differ and show on vectors -> the op whose vectors show it."""
        pairs = {key: _shown_by(str(self.a["op"]), key) for key in self.keys} if self.same_op else {}
        return {key: op for key, op in pairs.items() if op}

    @property
    def otherwise(self) -> str:
        """The keys whose difference no vector shows, with both values; empty if there is none."""
        left, right = ({**PLAIN, **row} for row in (self.a, self.b))
        hidden = [key for key in self.keys if key not in self.shown] if self.same_op else []
        return ", ".join(f"{key} {left.get(key, '-')}, {right.get(key, '-')}" for key in hidden)

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
    found = []
    for site in dict.fromkeys((*a.sites, *b.sites)):
        one, two = ({k: v for k, v in p.sites.get(site, {}).items() if k != "borrowed"} for p in (a, b))
        part = Difference(site, one, two)
        if part.keys:
            found.append(_on_vectors(part))
    return found


def alias(profile: Profile) -> str:
    """The profile of intref's own, by another name, that no vector tells from this one; empty if there is none."""
    for name in names():
        known = load_profile(name)
        if known.name != profile.name:
            parts = differences(known, profile)
            if all(part.equal for part in parts):
                return name
    return ""


def _shown_by(op: str, key: str) -> str:
    """The op whose vectors show a key of a site; empty where it is for how constants or tables are made."""
    if op == "add_gemmlowp" and key != "rounding":
        return ""  # the attributes of its terms, which are made together
    attrs, own = OPS[op].attrs, key
    if key == "multiplier_bits":
        own = "rounding" if [*_terms(OPS[op])] else key
    if own in attrs or (key in RANGE and "low" in attrs):
        return op
    if key == "clamp" and op == "epilogue_fp32":
        return "quantize_fp32"
    return BESIDE.get(key, "")


def _on_vectors(found: Difference) -> Difference:
    for name in dict.fromkeys(found.shown.values()):
        found = _on_vectors_of(OPS[name], found)
    return found


def _on_vectors_of(op: Op, found: Difference) -> Difference:
    plain = {key: PLAIN[key] for key in found.keys if key in PLAIN}
    count, parted, refused, witness = found.vectors, found.differ, found.refused, found.witness
    for i, case in enumerate(cases(op.name)):
        made = [_as_at_site(op, case, {**plain, **row}) for row in (found.a, found.b)]
        if made[0] is None or made[1] is None:
            refused += made[0] is not made[1]
            continue
        count += 1
        wrong = {k: np.argwhere(made[0][k] != made[1][k]) for k in made[0] if made[0][k].shape == made[1][k].shape}
        if at := next(((k, where[0]) for k, where in wrong.items() if len(where)), None):
            parted += 1
            name, place = at[0], tuple(int(j) for j in at[1])
            values = [int(arrays[name][place]) for arrays in made if arrays is not None]
            witness = witness or f"{op.name}-{i:04d} {name}{list(place)}: {values[0]}, {values[1]}"
    return Difference(found.site, found.a, found.b, count, parted, witness, refused)


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
