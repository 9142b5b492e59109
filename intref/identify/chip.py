"""What was found out about a device as a profile: what its sites can say there, all else as comments above."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from intref.atomic import StrPath, write_atomically
from intref.errors import SpecError
from intref.faults.variants import FULL, SYMMETRIC
from intref.identify.device import Identified
from intref.identify.findings import AS_REFERENCE, Found, OpIdentified
from intref.ops import OPS
from intref.ops.rescale import RULES
from intref.profiles import SITES, Profile, load_profile, names, reads

RULE = re.compile(r"rule (\w+)")
OTHER = re.compile(r"op (\w+)")
ROUNDING = "rounding"
CLAMP = "clamp"
FORMS = {"full": FULL, "symmetric": SYMMETRIC}  # a site's clamp -> the clip that knows no other
WIDTH = 116
Key = tuple[str, str]  # site, key


def base_profile(found: Identified) -> Profile:
    """The profile that the device supports most of, and needs fewest changes of."""
    profiles = [load_profile(name) for name in names()]
    stable = [one for one in profiles if one.status == "stable"] or profiles
    return min(stable, key=lambda one: (_lacking(found, one), len(_changes(found, one)), one.name))


def _lacking(found: Identified, profile: Profile) -> int:
    """Ops of a profile that the device was asked for and has not."""
    absent = {one.op for one in found.ops if not one.usable}
    return len({str(site["op"]) for site in profile.sites.values()} & absent)


def effective(one: OpIdentified) -> dict[str, str]:
    """Rounding asked for -> the rule that the device rounds by, of an op with that attribute; of what is known."""
    rules: dict[str, str] = {}
    refused = {value for name, value in one.refused if name == ROUNDING}
    for asked in RULES:
        for found in one.found:
            if asked not in refused and found.where.holds(ROUNDING, asked):
                rule = asked if found.words[0] == AS_REFERENCE else _rule(found)
                if rule:
                    rules[asked] = rule
    return rules


def _rule(found: Found) -> str:
    """The rule of RULES that a finding names; empty if it names another thing."""
    named = (RULE.fullmatch(words) for words in found.words)
    return next((match[1] for match in named if match and match[1] in RULES), "")


def _rounding_op(op: str) -> str:
    """The op that a site's rounding is for: its own, else the rescale that stands before or after it."""
    return op if ROUNDING in OPS[op].attrs else "rescale"


def _clamp(one: OpIdentified) -> str:
    """The range that an op clips to whatever it is asked for, as a site names it; empty if to what it is asked for."""
    rules = [found.words for found in one.found if found.words[0] != AS_REFERENCE]
    return next((form for form, words in FORMS.items() if rules and all(words in rule for rule in rules)), "")


def _changes(found: Identified, profile: Profile) -> dict[Key, str]:
    """(site, key) -> the value by which a site of the profile does what the device does."""
    ops = {one.op: one for one in found.ops if one.usable}
    changed = {(site, ROUNDING): rule for site, rule in _roundings(found, profile).items()}
    for site, table in profile.sites.items():
        if other := _other_op(ops.get(str(table["op"])), site):
            changed[site, "op"] = other
        if CLAMP in table and (one := ops.get(_rounding_op(str(table["op"])))):
            form = _clamp(one)
            if form and form != table[CLAMP]:
                changed[site, CLAMP] = form
        for key, allowed in SITES[site].items():
            for value in _supported(ops.get(str(table["op"])), key, table, allowed):
                changed[site, key] = value
    return changed


def _other_op(one: OpIdentified | None, site: str) -> str:
    """The op of another dialect that a device computes in one's place, if some profile has it at this site."""
    named = {_op(found.words[0]) for found in one.found} if one else set()
    other = named.pop() if len(named) == 1 else ""
    known = (load_profile(name).sites.get(site, {}).get("op") for name in names())
    return other if other in known else ""


def _op(words: str) -> str:
    """The op that a finding names; empty if it names a rule or a slip."""
    match = OTHER.match(words)
    return match[1] if match else ""


def agreeing(found: Identified) -> dict[str, list[str]]:
    """Profile of intref's own -> the sites at which the device was seen to do what it says; those with no other sites.

    A site counts if the device supports its op, or the rescale that its rounding is for; one that would have to be
    changed takes the profile out, unless the dialect borrowed it. The profile with most sites comes first.
    """
    usable = {one.op for one in found.ops if one.usable and one.known}
    fits: dict[str, list[str]] = {}
    for profile in map(_own, map(load_profile, names())):
        seen = [site for site, table in profile.sites.items() if _shown_by(site, table) & usable]
        if seen and not _changes(found, profile):
            fits[profile.name] = seen
    return dict(sorted(fits.items(), key=lambda item: (-len(item[1]), item[0])))


def _own(profile: Profile) -> Profile:
    """A profile without what its dialect borrowed from another."""
    return replace(profile, sites={site: table for site, table in profile.sites.items() if not table.get("borrowed")})


def _shown_by(site: str, table: Mapping[str, Any]) -> set[str]:
    """The ops that show what a site does."""
    op = str(table["op"])
    return {op, _rounding_op(op)} if ROUNDING in table else {op}


def _supported(one: OpIdentified | None, key: str, table: Mapping[str, Any], allowed: Any) -> Iterator[str]:
    """The value of a site's key that a device takes, where it refuses the one that the profile asks for."""
    refused = {value for name, value in one.refused if name == key} if one and key in OPS[one.op].attrs else set()
    left = [value for value in allowed if value not in refused] if refused and key != ROUNDING else []
    if left and table.get(key) in refused:
        yield left[0]


def _roundings(found: Identified, profile: Profile) -> dict[str, str]:
    """site -> the rounding by which it does what the device does."""
    ops = {one.op: effective(one) for one in found.ops if one.usable}
    changed: dict[str, str] = {}
    for site, table in profile.sites.items():
        asked = table.get(ROUNDING)
        if asked is None or _rounding_op(str(table["op"])) not in ops:
            continue
        does = ops[_rounding_op(str(table["op"]))]
        # Asked by its own name, the rule must be what the device does.
        wanted = next((rule for rule in (does.get(asked), *does) if rule and does.get(rule) == rule), None)
        if wanted and wanted != asked and wanted in SITES[site][ROUNDING]:
            changed[site] = wanted
    return changed


def chip_text(found: Identified, base: str | None = None, name: str = "chip") -> str:
    """The profile as TOML; base: the name of the profile that it starts from, None: the nearest."""
    profile = load_profile(base) if base else base_profile(found)
    changes = _changes(found, profile)
    queries = sum(one.asked + one.checked for one in found.ops)
    about = f"what {found.dut} does, as it answered {queries} queries; from {profile.name}"
    head = {"name": name, "about": about, "source": "intref identify", "status": "experimental"}
    lines = [f"# {line}" for line in _comments(found, profile, changes)]
    lines += [f"{key} = {_quoted(value)}" for key, value in head.items()]
    usable = {one.op for one in found.ops if one.usable}
    for site, table in profile.sites.items():
        told = str(table["op"]) in usable
        lines += [
            "",
            f"[{site}]" if told else f"[{site}]  # as in {profile.name}: the device answered no {table['op']}",
        ]
        op = str(changes.get((site, "op"), table["op"]))
        for key, value in table.items():
            if not reads(site, op, key):
                continue
            new = changes.get((site, key), value)
            note = f"  # {profile.name}: {value}" if new != value else ""
            lines.append(f"{key} = {_toml(new)}{note}")
    return "\n".join(lines) + "\n"


def _comments(found: Identified, profile: Profile, changes: Mapping[Key, str]) -> Iterator[str]:
    yield "What the device does, op by op, and whether the sites below say it."
    used = {str(table["op"]) for table in profile.sites.values()}
    told = {_rounding_op(str(profile.sites[site]["op"])) for site, _ in changes}
    for one in found.ops:
        if not one.found and not one.failure:
            continue
        plain = all(f.words[0] == AS_REFERENCE for f in one.found) and not one.failure
        said = plain or _said(one, profile) or one.op in told
        mark = "" if said else " -- NOT SAID BELOW: the reference differs there" if one.op in used else " -- not used"
        yield _printable(f"{one.op}: {one.text}{mark}")
    absent = [one.op for one in found.ops if not one.found and not one.failure]
    if absent:
        yield f"Not supported: {', '.join(absent)}"
    if lacking := sorted(used & {*absent}):
        yield f"A model of this profile needs these as well: {', '.join(lacking)}"
    if unasked := sorted(used - {one.op for one in found.ops}):
        yield f"Not asked: {', '.join(unasked)}"


def _said(one: OpIdentified, profile: Profile) -> bool:
    """Whether the sites of an op ask for roundings that the device does by their own names."""
    sites = [table for table in profile.sites.values() if ROUNDING in table]
    if form := _clamp(one):
        clips = {str(table[CLAMP]) for table in sites if CLAMP in table and _rounding_op(str(table["op"])) == one.op}
        return clips == {form}
    asked = {str(table[ROUNDING]) for table in sites if _rounding_op(str(table["op"])) == one.op}
    does = effective(one)
    return bool(asked) and ROUNDING in OPS[one.op].attrs and all(does.get(rule) == rule for rule in asked)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)[: 4 * WIDTH]


def _toml(value: Any) -> str:
    """A value of a site: text, a number, or true."""
    return _quoted(value) if isinstance(value, str) else str(value).lower()


def _quoted(text: str) -> str:
    """A TOML string: JSON's escapes are among TOML's, once nothing unprintable is left."""
    return json.dumps(_printable(text), ensure_ascii=False)


def write_chip(found: Identified, path: StrPath, base: str | None = None, name: str = "chip") -> Profile:
    """Write the profile and read it again as `intref quantize --profile` will. SpecError of a device that gave no
    usable answer."""
    if not found.usable:
        raise SpecError(f"{found.dut}: no usable answer, so there is nothing to write a profile of")
    write_atomically(path, chip_text(found, base, name).encode())
    return load_profile(path)
