"""Every error intref raises on purpose; anything else that escapes is a bug in intref."""

from collections.abc import Iterable
from difflib import get_close_matches


class IntrefError(Exception):
    """Base of all expected errors. The message is one line: what, where, expected and found."""


class SpecError(IntrefError):
    """A call breaks an op's contract; the message ends with the constraint's label."""


class FormatError(IntrefError):
    """A file is not what it claims to be; the message names the file, the place, expected and found."""


class BoundError(IntrefError):
    """A value is not proved, or not found, inside the range declared for it."""


class Unsupported(IntrefError):
    """A thing intref knows of and does not do; the message says what is supported."""


def near(name: object, known: Iterable[str]) -> str:
    """What may have been meant by a name that is not known, in words for the end of a message."""
    names = [*known]
    found = get_close_matches(str(name), names, n=3)
    return f"near it: {', '.join(found)}" if found else f"there are {len(names)}, from {names[0]} to {names[-1]}"
