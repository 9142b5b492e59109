"""Lines of C that fit a page."""

import re
from collections.abc import Sequence

WIDTH = 120
INDENT = "    "
REFUSE = "return CONTRACT_BROKEN;"


def refused(conditions: Sequence[str], answer: str = REFUSE) -> list[str]:
    """Leave the function if one of the conditions holds."""
    if len(conditions) < 2:
        return [f"if ({text}) {answer}" for text in conditions]
    first, *rest = conditions
    lines = [f"if ({first}", *(f"{INDENT}{text}" for text in rest)]
    return [*(f"{line} ||" for line in lines[:-1]), f"{lines[-1]})", INDENT + answer]


def folded(lines: Sequence[str]) -> list[str]:
    """The lines, long ones broken after a comma or before an operator, a comment that does not fit put above."""
    return [part for line in lines for part in _folded(line)]


def _folded(line: str) -> list[str]:
    if len(line) <= WIDTH:
        return [line]
    if match := re.fullmatch(r"( *)(.*?) (/\* .* \*/)", line):
        name = re.search(r"(\w+) \+?= ", match[2])
        above = match[3].replace("/* ", f"/* {name[1]}: " if name else "/* ", 1)
        return [match[1] + above, *_folded(match[1] + match[2])]
    indent = line[: len(line) - len(line.lstrip())]
    parts, rest = [], line
    while len(rest) > WIDTH and (place := _break(rest)):
        parts.append(rest[:place].rstrip())
        rest = f"{indent}{INDENT * 2}{rest[place:].strip()}"
    return [*parts, rest]


def _break(line: str) -> int:
    """Where a line is best broken: outside of as many parentheses as can be, late; 0 for nowhere."""
    places = [m.end() for m in re.finditer(r",(?= )| (?=[?:+|-] )| (?=&& |\|\| )", line[:WIDTH])]
    late = [p for p in places if p > WIDTH // 2]
    return min(late, key=lambda p: (_depth(line[:p]), -p), default=0)


def _depth(text: str) -> int:
    return sum(text.count(c) for c in "([{") - sum(text.count(c) for c in ")]}")
