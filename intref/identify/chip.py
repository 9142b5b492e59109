"""What was found out about a device as a profile: what its sites can say there, all else as comments above."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from intref.atomic import StrPath, write_atomically
from intref.errors import SpecError
from intref.identify.agreement import CLAMP, ROUNDING, clamp_of, contradicted, effective, rounding_op, rounds
from intref.identify.device import Identified
from intref.identify.findings import AS_REFERENCE, OpIdentified
from intref.ops import OPS
from intref.profiles import Profile, load_profile, names
from intref.profiles.keys import PRODUCT, SITES, faults, needs, reads

OTHER = re.compile(r"op (\w+)")
REGISTER = re.compile(
    r"accumulator (saturated|wrapped) to (\d+) bits(?: at (every) step| after every (\d+) terms)?"
    r"(, the bias in it|, from the bias on)?"
)
WIDTH = 116
Key = tuple[str, str]  # site, key


def base_profile(found: Identified) -> Profile:
    """The profile that has an op of the device, lacks fewest, is contradicted at fewest sites, needs fewest changes."""
    profiles = [load_profile(name) for name in names()]
    stable = [one for one in profiles if one.status == "stable"] or profiles
    return min(stable, key=lambda one: (*_distance(found, one), one.name))


def _distance(found: Identified, profile: Profile) -> tuple[bool, int, int, int]:
    """How far a device is from a profile: whether that says nothing of it, ops that the device lacks, sites that it
    contradicts, keys that would be changed."""
    against, changes = contradicted(found, profile), _changes(found, profile)
    usable = {one.op for one in found.ops if one.usable}
    says = (
        (site not in against or any(where == site for where, _ in changes))
        and usable & {str(row["op"]), *([rounding_op(str(row["op"]))] if ROUNDING in row else [])}
        for site, row in profile.sites.items()
    )
    return not any(says), _lacking(found, profile), len(against), len(changes)


def _lacking(found: Identified, profile: Profile) -> int:
    """Ops of a profile that the device was asked for and has not."""
    absent = {one.op for one in found.ops if not one.usable}
    return len({str(site["op"]) for site in profile.sites.values()} & absent)


def _changes(found: Identified, profile: Profile) -> dict[Key, Any]:
    """(site, key) -> the value by which a site of the profile does what the device does."""
    ops = {one.op: one for one in found.ops if one.usable}
    changed: dict[Key, Any] = {(site, ROUNDING): rule for site, rule in _roundings(found, profile).items()}
    for site, table in profile.sites.items():
        if other := _other_op(ops.get(str(table["op"])), site):
            changed[site, "op"] = other
        if CLAMP in table and (one := ops.get(rounding_op(str(table["op"])))):
            form = clamp_of(one)
            if form and form != table[CLAMP]:
                changed[site, CLAMP] = form
        if {*PRODUCT} <= SITES[site].keys():
            changed |= {(site, key): value for key, value in _register(ops.get(_product_of(table))).items()}
        for key, allowed in SITES[site].items():
            for value in _supported(ops.get(str(table["op"])), key, table, allowed):
                changed[site, key] = value
    return {at: new for at, new in changed.items() if not any(faults(at[0], _alone(profile, at, changed)))}


def _alone(profile: Profile, at: Key, changed: Mapping[Key, Any]) -> dict[str, Any]:
    """A site with one of its changes, or with all that say what its accumulator does."""
    kept = PRODUCT if at[1] in PRODUCT else (at[1],)
    return _row(
        at[0], profile.sites[at[0]], {(s, k): new for (s, k), new in changed.items() if s == at[0] and k in kept}
    )


def _row(site: str, table: Mapping[str, Any], changes: Mapping[Key, Any]) -> dict[str, Any]:
    """A site's table with its changes, and no more and no less than its op then reads."""
    op = str(changes.get((site, "op"), table["op"]))
    given = {**table, **{key: value for (where, key), value in changes.items() if where == site}}
    row = {key: value for key, value in given.items() if key == "op" or reads(site, op, key)}
    if row.get(ROUNDING) == "fp32_half_even":
        row = {key: value for key, value in row.items() if key not in ("steps", "multiplier_bits")}
    known = (load_profile(name).sites.get(site, {}) for name in names())
    there: Mapping[str, Any] = next((other for other in known if other.get("op") == op), {})
    return row | {key: there[key] for key in needs(site, op) if key not in row and key in there}


def _other_op(one: OpIdentified | None, site: str) -> str:
    """The op of another dialect that a device computes in one's place, if some profile has it at this site."""
    named = {_op(found.words[0]) for found in one.found} if one else set()
    other = named.pop() if len(named) == 1 else ""
    if not other:
        return ""
    known = (load_profile(name).sites.get(site, {}).get("op") for name in names())
    return other if other in known else ""


def _product_of(table: Mapping[str, Any]) -> str:
    """The op of a site that a model's products go through: its own, or the matmul before a requantizer."""
    return str(table["op"]) if str(table["op"]) in ("linear", "matmul") else "matmul"


def _register(one: OpIdentified | None) -> dict[str, Any]:
    """The keys of a product whose accumulator does what a device's does, whatever the calls; none if it is not one.

    That of linear begins with the bias, and that of matmul has none.
    """
    if one is None or len(one.found) != 1:
        return {}
    named = [match for words in one.found[0].words if (match := REGISTER.fullmatch(words))]
    for how, bits, every, block, bias in (match.groups() for match in named):
        if bool(bias) == (one.op == "linear"):
            overflow = {"saturated": "saturate", "wrapped": "wrap"}[how]
            terms = int(block or 1) if every or block else 0
            return {"accumulator": int(bits), "overflow": overflow} | ({"every": terms} if terms else {})
    return {}


def _op(words: str) -> str:
    """The op that a finding names; empty if it names a rule or a slip."""
    match = OTHER.match(words)
    return match[1] if match else ""


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
        if asked is None or rounding_op(str(table["op"])) not in ops:
            continue
        does = ops[rounding_op(str(table["op"]))]
        # Best a rule that the device does when asked for it by name; else what it does under another name.
        by_name = [rule for rule in (does.get(asked), *does) if rule and does.get(rule) == rule]
        wanted = next((rule for rule in (*by_name, does.get(asked), *does.values()) if rule), None)
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
        for key, value in _row(site, table, changes).items():
            note = f"  # {profile.name}: {table[key]}" if key in table and table[key] != value else ""
            lines.append(f"{key} = {_toml(value)}{note}")
    return "\n".join(lines) + "\n"


def _comments(found: Identified, profile: Profile, changes: Mapping[Key, Any]) -> Iterator[str]:
    yield "What the device does, op by op, and whether the sites below say it."
    used = {str(table["op"]) for table in profile.sites.values()}
    told = {rounding_op(str(profile.sites[site]["op"])) for site, _ in changes}
    told |= {_product_of(profile.sites[site]) for site, key in changes if key in PRODUCT}
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
    """Whether the sites of an op ask for what the device does."""
    sites = [table for table in profile.sites.values() if ROUNDING in table]
    if form := clamp_of(one):
        clips = {str(table[CLAMP]) for table in sites if CLAMP in table and rounding_op(str(table["op"])) == one.op}
        return clips == {form}
    asked = {str(table[ROUNDING]) for table in sites if rounding_op(str(table["op"])) == one.op}
    return bool(asked) and ROUNDING in OPS[one.op].attrs and all(rounds(one, rule) for rule in asked)


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
