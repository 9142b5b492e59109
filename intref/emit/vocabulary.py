"""The C that is no op's own: interface, includes, and the functions that stand for the vocabulary of op bodies."""

import re
from functools import cache
from importlib.resources import files


@cache
def piece(name: str) -> str:
    """A file of C beside this one."""
    return files("intref.emit").joinpath(name).read_text("utf-8")


def vocabulary(text: str) -> str:
    """The functions of vocabulary.c that the text uses, and what they use, in that file's order."""
    chunks = re.split(r"\n\n(?=/\*|static|enum)", piece("vocabulary.c").strip())
    wanted, used = _words(text), set[int]()
    while found := {i for i, chunk in enumerate(chunks) if _defined(chunk) & wanted} - used:
        used |= found
        wanted = wanted.union(*(_words(chunks[i]) for i in found))
    return "\n\n".join(chunks[i] for i in sorted(used))


def _words(text: str) -> set[str]:
    """Every word outside of comments."""
    return set(re.findall(r"\w+", re.sub(r"/\*.*?\*/", "", text, flags=re.S)))


def _defined(chunk: str) -> set[str]:
    """What a piece of vocabulary.c defines: one function, or an enumeration."""
    return set(re.findall(r"^static [\w ]+?(\w+)\(", chunk, re.M)) or _words(chunk) - {"enum"}


@cache
def vocabulary_names() -> frozenset[str]:
    """Every function of vocabulary.c."""
    return frozenset(re.findall(r"^static [\w ]+?(\w+)\(", piece("vocabulary.c"), re.M))
