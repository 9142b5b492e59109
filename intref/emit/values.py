"""What a variable of a body may hold besides tensors and plain Python values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from intref.emit.nodes import Node, Tensor, const
from intref.errors import Unsupported


@dataclass(frozen=True)
class Choice:
    """An attribute that names a rule, one of some."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Forms:
    """An input that may have several numbers of dimensions: each -> the input so laid out."""

    port: str
    tensors: Mapping[int, Tensor]


@dataclass(frozen=True)
class Rank:
    """The number of dimensions of something with leading axes, or of several forms."""

    of: Tensor | Forms


def tensor(value: Any) -> Tensor:
    """A value as a tensor; Unsupported for what is none."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, int):
        return Tensor(const(value))
    raise Unsupported(f"a value of type {type(value).__name__}")


def hold(node: Node, word: str) -> None:
    """The variable that holds a node names it, and what it is a checked form of."""
    if node.kind not in ("const", "attr", "size", "index") and node.name is None:
        node.name = word
        if node.kind == "within":
            hold(node.args[0], word)
