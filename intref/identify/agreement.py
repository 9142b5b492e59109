"""What a site of a profile asks for, beside what was found out about a device: does it do that, or something else?"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from intref.faults.variants import FULL, SYMMETRIC
from intref.identify.device import Identified
from intref.identify.findings import AS_REFERENCE, Found, OpIdentified
from intref.ops import OPS
from intref.ops.rescale import RULES
from intref.profiles import Profile, load_profile, names

RULE = re.compile(r"rule (\w+)")
ROUNDING = "rounding"
CLAMP = "clamp"
FORMS = {"full": FULL, "symmetric": SYMMETRIC}  # a site's clamp -> the clip that knows no other
Site = Mapping[str, Any]


def agreeing(found: Identified) -> dict[str, list[str]]:
    """Profile of intref's own -> the sites at which the device was seen to do what it says; those with no other sites.

    A site counts if the device supports its op, or the rescale that its rounding is for, and does it as the reference,
    or rounds as the site asks. One that is contradicted takes the profile out, unless the dialect borrowed it. The
    profile with most sites comes first.
    """
    fits: dict[str, list[str]] = {}
    for profile in map(_own, map(load_profile, names())):
        known = {one.op for one in found.ops if one.known}
        seen = [site for site, table in profile.sites.items() if known & {*_shown_by(table)}]
        if seen and not contradicted(found, profile):
            fits[profile.name] = seen
    return dict(sorted(fits.items(), key=lambda item: (-len(item[1]), item[0])))


def _own(profile: Profile) -> Profile:
    """A profile without what its dialect borrowed from another."""
    return replace(profile, sites={site: table for site, table in profile.sites.items() if not table.get("borrowed")})


def contradicted(found: Identified, profile: Profile) -> list[str]:
    """The sites of a profile whose op, or whose rounding, the device was seen to do otherwise."""
    ops = {one.op: one for one in found.ops if one.usable}
    parts = {site: [ops[op] for op in _shown_by(table) if op in ops] for site, table in profile.sites.items()}
    return [site for site, table in profile.sites.items() if not all(_does(one, table) for one in parts[site])]


def _shown_by(table: Site) -> Iterator[str]:
    """The ops that show what a site does: its own, and the one that its rounding is for."""
    op = str(table["op"])
    yield op
    if ROUNDING in table and rounding_op(op) != op:
        yield rounding_op(op)


def rounding_op(op: str) -> str:
    """The op that a site's rounding is for: its own, else the rescale that stands before or after it."""
    return op if ROUNDING in OPS[op].attrs else "rescale"


def _does(one: OpIdentified, table: Site) -> bool:
    """Whether an op of the device does what a site says of it."""
    if ROUNDING in table and one.op == rounding_op(str(table["op"])):
        form = clamp_of(one)
        return form == table.get(CLAMP, form) if form else rounds(one, str(table[ROUNDING]))
    asked = _asked(one.op, table)
    there = [found for found in one.found if all(found.where.holds(*value) for value in asked.items())]
    return not {*asked.items()} & {*one.refused} and all(found.words[0] == AS_REFERENCE for found in there)


def _asked(op: str, table: Site) -> dict[str, str]:
    """The attributes of an op's calls at a site: what the site says, else what is usual; the rest is not known."""
    made: dict[str, Any] = {}
    for key, attr in OPS[op].attrs.items():
        if key in table:
            made[key] = table[key]
        elif attr.default is not None:
            with suppress(KeyError):  # it follows from another attribute, of which the site says nothing
                made[key] = attr.default(made)
    return {key: str(value) for key, value in made.items()}


def rounds(one: OpIdentified, rule: str) -> bool:
    """Whether an op rounds by a rule: asked for it by name, or, where it does not know the name, asked for another."""
    if (ROUNDING, rule) in one.refused:
        return rule in effective(one).values()
    there = [found for found in one.found if found.where.holds(ROUNDING, rule)]
    return all(found.words[0] == AS_REFERENCE or rule_of(found) == rule for found in there)


def effective(one: OpIdentified) -> dict[str, str]:
    """Rounding asked for -> the rule that the device rounds by, of an op with that attribute; of what is known."""
    rules: dict[str, str] = {}
    refused = {value for name, value in one.refused if name == ROUNDING}
    for asked in RULES:
        for found in one.found:
            if asked not in refused and found.where.holds(ROUNDING, asked):
                rule = asked if found.words[0] == AS_REFERENCE else rule_of(found)
                if rule:
                    rules[asked] = rule
    return rules


def rule_of(found: Found) -> str:
    """The rule of RULES that a finding names; empty if it names another thing."""
    named = (RULE.fullmatch(words) for words in found.words)
    return next((match[1] for match in named if match and match[1] in RULES), "")


def clamp_of(one: OpIdentified) -> str:
    """The range that an op clips to whatever it is asked for, as a site names it; empty if to what it is asked for."""
    rules = [found.words for found in one.found if found.words[0] != AS_REFERENCE]
    return next((form for form, words in FORMS.items() if rules and all(words in rule for rule in rules)), "")
