"""Packages of the conformance suite by name: suite:linear, suite:ops, suite:sentiment/w8a8-token."""

from collections.abc import Iterable

from intref.cli.output import nearest
from intref.errors import Unsupported

PREFIX = "suite:"


def expanded(paths: Iterable[str]) -> list[str]:
    """Directories as they are, names of the suite as the directories they stand for; Unsupported, with near names."""
    return [place for path in paths for place in _places(path)]


def one(path: str) -> str:
    """A directory, or the one package that a name stands for."""
    found = expanded([path])
    if len(found) > 1:
        raise Unsupported(f"{path}: expected one package, found {len(found)}")
    return found[0]


def _places(path: str) -> list[str]:
    if not path.startswith(PREFIX):
        return [path]
    named, name = _named(), path.removeprefix(PREFIX)
    if name not in named:
        raise Unsupported(f"{path}: {nearest('package', name, named)}")
    return named[name]


def _named() -> dict[str, list[str]]:
    """Every name -> the directories it stands for: ops, ops/linear, linear, models, sentiment, sentiment/ibert, .."""
    from intref.golden import suite_path

    home, named = suite_path(), dict[str, list[str]]()
    for manifest in sorted(home.glob("*/**/manifest.json")):
        parts = manifest.parent.relative_to(home).parts
        words = {"/".join(parts[start:end]) for start in (0, 1) for end in range(start + 1, len(parts) + 1)}
        for word in sorted(words):
            named.setdefault(word, []).append(str(manifest.parent))
    return named
