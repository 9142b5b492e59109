"""Profiles: which op, with which attributes, stands at each site of a model. Plain data, read strictly."""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intref.errors import FormatError, Unsupported, near
from intref.ops import OPS
from intref.profiles.keys import ACROSS, SITES, faults, in_words
from intref.tensorfile import opened

HERE = Path(__file__).parent
HEAD = ("name", "about", "source", "status")
STATUSES = ("stable", "experimental")
OPTIONAL = ("softmax_input", "activation_input")  # where there is none, the accumulator goes on as it is


@dataclass(frozen=True)
class Profile:
    """name, where it comes from, and sites: site -> {op, attributes}. borrowed: the dialect itself has no such op."""

    name: str
    about: str
    source: str
    status: str
    sites: Mapping[str, Mapping[str, Any]]


def names() -> list[str]:
    """The profiles that come with intref."""
    return sorted(path.stem for path in HERE.glob("*.toml"))


def marked(name: str) -> str:
    """A profile's name, with a mark unless oracles stand behind it: it is one of intref's own, and stable."""
    stable = name in names() and load_profile(name).status == STATUSES[0]
    return name if stable else f"{name} ({STATUSES[1]})"


def load_profile(name: str | os.PathLike[str]) -> Profile:
    """A profile by name, or from a TOML file by path; one of another name is experimental: no oracle has run on it.

    FormatError or Unsupported, one line, if it is none.
    """
    path = HERE / f"{name}.toml" if str(name) in names() else Path(name)
    if not path.is_file():
        raise Unsupported(f"profile {str(name)!r}: there is no such file, and no profile but {', '.join(names())}")
    table = read_toml(path)
    if unknown := table.keys() - {*HEAD, *SITES}:  # before what is missing, for a misspelt site is both
        raise FormatError(f"{path}: key {min(unknown)!r} is unknown, {_meant(min(unknown))}")
    if missing := [key for key in (*HEAD, *SITES) if key not in table and key not in OPTIONAL]:
        kind = "table" if missing[0] in SITES else "key"
        raise FormatError(f"{path}: profile must have {missing[0]!r}: the {kind} is missing")
    for key in HEAD:
        if not isinstance(table[key], str):
            raise FormatError(f"{path}: {key} must be text, not {in_words(table[key])}")
    if table["status"] not in STATUSES:
        raise FormatError(f"{path}: status must be one of {', '.join(STATUSES)}, not {in_words(table['status'])}")
    if not re.fullmatch(r"[\w.+-]{1,64}", table["name"]):
        must = "1 to 64 letters, digits and signs of . _ + -"
        raise FormatError(f"{path}: name must be {must}, not {in_words(table['name'])}")
    given = [site for site in SITES if site in table]
    for site in given:
        _check_site(path, site, table[site])
    for why in (why for why, clash in ACROSS.items() if clash(table)):
        raise FormatError(f"{path}: {why}")
    head = {key: table[key] for key in HEAD}
    if table["name"] not in names():  # no oracle has run on it
        head["status"] = "experimental"
    found = Profile(**head, sites={site: table[site] for site in given})
    _check_name(path, found)
    return found


def _check_name(path: Path, found: Profile) -> None:
    """A model bears its profile's name: one of intref's own must not stand for other sites."""
    if path.parent != HERE and found.name in names() and found.sites != load_profile(found.name).sites:
        raise FormatError(f"{path}: name {found.name!r} is that of intref's own profile, whose sites differ: rename it")


def _meant(name: str) -> str:
    close = near(name, (*HEAD, *SITES))
    return close if close.startswith("near") else f"sites are {', '.join(SITES)}"


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file as a dict; FormatError with the line if it is not TOML."""
    with opened(path) as file:
        data = file.read()
    try:
        return tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # bad syntax, bad UTF-8, a number or a nesting without end
        raise FormatError(f"{path}: not TOML: {' '.join(str(error).split())[:120]}") from None


def _check_site(path: Path, site: str, table: Any) -> None:
    if not isinstance(table, dict) or "op" not in table:
        raise FormatError(f"{path}: site {site!r} must be a table with the key 'op'")
    if not isinstance(table["op"], str) or table["op"] not in OPS:
        asked = repr(table["op"])[:60]
        raise Unsupported(f"{path}: site {site!r}: there is no op {asked}, {near(str(table['op'])[:60], OPS)}")
    for fault in faults(site, table):
        raise FormatError(f"{path}: site {site!r}: {fault}")
