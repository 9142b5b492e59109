"""A $readmemh file for each tensor."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from intref.golden.forms.index import identifiers, row
from intref.golden.forms.words import text, words
from intref.golden.package import Arrays


def mem(folder: Path, group: str, tensors: Arrays, **layout: Any) -> Iterator[dict[str, Any]]:
    """GROUP/NAME.mem"""
    return _files(folder, group, tensors, ".mem", layout)


def hexadecimal(folder: Path, group: str, tensors: Arrays, **layout: Any) -> Iterator[dict[str, Any]]:
    """GROUP/NAME.hex: the same text, for tools that go by the suffix."""
    return _files(folder, group, tensors, ".hex", layout)


def _files(folder: Path, group: str, tensors: Arrays, suffix: str, layout: dict[str, Any]) -> Iterator[dict[str, Any]]:
    folder.joinpath(group).mkdir()
    for name, identifier in identifiers(tensors).items():
        tensor, file = tensors[name], f"{group}/{identifier}{suffix}"
        laid = words(tensor.dtype.name, **layout)
        with folder.joinpath(file).open("w", encoding="ascii") as out:
            out.writelines(text(tensor, laid, name))
        own = {"bits": laid.bits, "lanes": laid.lanes, "first": laid.first, "width": laid.width, "rows": laid.rows}
        needed = laid.needed(tensor.shape)
        yield {**row(name, group, file, tensor), **own, "depth": laid.depth or needed, "words": needed}
