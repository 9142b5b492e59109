"""$readmemh text: elements of any width, several to a word, either lane first, as many words as a memory is deep.

A word of `width` bits holds `lanes` elements of `bits` bits each, two's complement. first = lsb puts the first element
of a word into its lowest bits, first = msb into the highest of the lanes * bits that are used; what a word has above
those is 0, and so are the lanes that a last word has left over and the words that fill a memory up to its depth. With
rows, every row of a tensor (its last axis) starts a word of its own.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intref.errors import FormatError, SpecError
from intref.tensorfile import shown

Array = NDArray[Any]
MAX_BITS = 64  # of an element
MAX_WIDTH = 1 << 16  # of a word
MAX_DEPTH = 1 << 28
CHUNK = 1 << 14  # words whose bits are laid out at a time
DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)
UNKNOWN = 16  # what a digit x or z counts as
FIRST = ("lsb", "msb")
_ADDRESS = re.compile(r"@([0-9a-fA-F]{1,16})")
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)


@dataclass(frozen=True)
class Words:
    """One tensor's layout in a memory. bits of an element, width of a word; depth in words, 0: as many as needed."""

    dtype: str
    bits: int
    lanes: int = 1
    width: int = 0
    first: str = "lsb"
    depth: int = 0
    rows: bool = False

    @property
    def signed(self) -> bool:
        return np.dtype(self.dtype).kind == "i"

    @property
    def digits(self) -> int:
        """Hexadecimal digits of a word."""
        return -(-self.width // 4)

    def grid(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """Rows, elements of a row, words of a row."""
        size = prod(shape)
        count = size // shape[-1] if self.rows and shape and size else 1
        return count, size // count, -(-(size // count) // self.lanes)

    def needed(self, shape: tuple[int, ...]) -> int:
        """The words that hold a tensor."""
        count, _, each = self.grid(shape)
        return count * each


def words(
    dtype: str,
    bits: int | None = None,
    lanes: int = 1,
    width: int | None = None,
    first: str = "lsb",
    depth: int = 0,
    rows: bool = False,
) -> Words:
    """A layout, with the dtype's own width and words no wider than their lanes by default; SpecError if impossible."""
    own = np.dtype(dtype).itemsize * 8
    bits = own if bits is None else bits
    sizes = (bits, lanes, depth, bits if width is None else width)
    _require(all(type(v) is int for v in sizes), "bits, lanes, width and depth are integers")
    _require(1 <= bits <= own, f"bits must be in 1..{own} for {dtype}, not {bits}")
    _require(1 <= lanes <= MAX_WIDTH, f"lanes must be in 1..{MAX_WIDTH}, not {lanes}")
    width = bits * lanes if width is None else width
    held = f"{lanes} x {bits} bits" if lanes > 1 else f"{bits} bits of {dtype}"
    _require(bits * lanes <= width <= MAX_WIDTH, f"width must hold {held} and be at most {MAX_WIDTH}, not {width}")
    _require(first in FIRST, f"first must be lsb or msb, not {first!r}")
    _require(0 <= depth <= MAX_DEPTH, f"depth must be in 0..{MAX_DEPTH}, not {depth}")
    return Words(dtype, bits, lanes, width, first, depth, bool(rows))


def _require(condition: bool, text: str) -> None:
    if not condition:
        raise SpecError(f"words: {text}")


def text(tensor: Array, layout: Words, name: str) -> Iterator[str]:
    """The lines of a memory file, some at a time; SpecError, naming the tensor, if it does not fit."""
    low, high = (-(1 << layout.bits - 1), (1 << layout.bits - 1) - 1) if layout.signed else (0, (1 << layout.bits) - 1)
    ends = (int(tensor.min()), int(tensor.max())) if tensor.size else (0, 0)
    fits = ends[0] >= low and ends[1] <= high
    _require(fits, f"tensor {shown(name)} must lie in [{low}, {high}] for {layout.bits} bits, not {[*ends]}")
    check_depth(tensor.shape, layout, name)
    needed = layout.needed(tensor.shape)
    return _pieces(tensor, layout, (layout.depth or needed) - needed)


def check_depth(shape: tuple[int, ...], layout: Words, name: str) -> None:
    """SpecError, naming the tensor, if a memory is too short for it."""
    needed, depth = layout.needed(shape), layout.depth
    _require(needed <= (depth or needed), f"tensor {shown(name)} needs {needed} words, more than the depth {depth}")


def _pieces(tensor: Array, layout: Words, empty: int) -> Iterator[str]:
    """Rows of words, then the empty words at the end: bits take more room than what they are of."""
    count, length, each = layout.grid(tensor.shape)
    padded = np.zeros((count, each * layout.lanes), tensor.dtype)
    padded[:, :length] = tensor.reshape(count, length)
    whole = padded.reshape(-1, layout.lanes)
    for start in range(0, len(whole), CHUNK):
        yield _lines(_word_bits(whole[start : start + CHUNK].astype(np.int64).view(np.uint64), layout))
    yield ("0" * layout.digits + "\n") * empty


def _word_bits(elements: Array, layout: Words) -> Array:
    """uint8 [words, 4 * digits] of uint64 [words, lanes], the highest bit first."""
    shifts = np.arange(layout.bits - 1, -1, -1, dtype=np.uint64)
    lanes = (elements[:, :, None] >> shifts & np.uint64(1)).astype(np.uint8)
    if layout.first == "lsb":  # text starts with the highest lane
        lanes = lanes[:, ::-1]
    used = lanes.reshape(len(lanes), -1)
    whole = np.zeros((len(used), 4 * layout.digits), np.uint8)
    whole[:, whole.shape[1] - used.shape[1] :] = used
    return whole


def _lines(bits: Array) -> str:
    weights = np.array([8, 4, 2, 1], np.uint8)
    digits = DIGITS[(bits.reshape(len(bits), -1, 4) * weights).sum(axis=2, dtype=np.uint8)]
    newlines = np.full((len(digits), 1), ord("\n"), np.uint8)
    return np.concatenate([digits, newlines], axis=1).tobytes().decode("ascii")


def elements(content: str, layout: Words, shape: tuple[int, ...], where: str) -> tuple[Array, str]:
    """The tensor that a memory file holds, and what makes it unknown: empty, or its first word with a digit x or z.

    Comments, underscores and @addresses are as $readmemh reads them; a word with fewer digits is filled up with 0, or
    with x where its first digit is x or z. FormatError, naming where, unless there are as many words as are needed, or
    as the depth says; bits of no element are not looked at.
    """
    count, length, each = layout.grid(shape)
    needed = count * each
    found = _tokens(content, where)
    _check_count(found, needed, layout.depth, where)
    digits = _digits(found[:needed], layout.digits, where)
    unknown = digits == UNKNOWN
    if unknown.any():
        hidden = _by_element(np.repeat(unknown, 4, axis=1), layout).any(axis=1).reshape(count, -1)[:, :length]
        if hidden.any():
            row, column = divmod(int(np.argmax(hidden)), length)
            word = row * each + column // layout.lanes
            return np.zeros(shape, layout.dtype), f"word {word} is {shown(found[word])}"
        digits = np.where(unknown, np.uint8(0), digits)
    bits = (digits[:, :, None] >> np.array([3, 2, 1, 0], np.uint8) & 1).reshape(needed, -1)
    return _values(_by_element(bits, layout), layout).reshape(count, -1)[:, :length].reshape(shape), ""


def _by_element(bits: Array, layout: Words) -> Array:
    """[elements, bits], the highest first, of [words, 4 * digits]."""
    used = bits[:, bits.shape[1] - layout.lanes * layout.bits :].reshape(len(bits), layout.lanes, layout.bits)
    return (used[:, ::-1] if layout.first == "lsb" else used).reshape(-1, layout.bits)


def _values(bits: Array, layout: Words) -> Array:
    room = next(n for n in (8, 16, 32, 64) if n >= layout.bits)
    padded = np.zeros((len(bits), room), np.uint8)
    padded[:, room - layout.bits :] = bits
    raw = np.packbits(padded, axis=1).view(f">u{room // 8}").ravel().astype(np.uint64).view(np.int64)
    if layout.signed and layout.bits < MAX_BITS:
        sign = 1 << layout.bits - 1
        raw = (raw ^ sign) - sign
    return np.asarray(raw).astype(layout.dtype)


def _tokens(content: str, where: str) -> list[str]:
    """The words in the order of their addresses, which must leave no gap."""
    plain = _COMMENT.sub(" ", content)
    if "/*" in plain:
        raise FormatError(f"{where}: expected the end of a comment /*, found none")
    parts = plain.split()
    if not any(part[0] == "@" for part in parts):
        return parts
    table: dict[int, str] = {}
    address = 0
    for part in parts:
        if part[0] == "@":
            address = _address(part, where)
        else:
            table[address] = part
            address += 1
    for expected, found in enumerate(sorted(table)):
        if expected != found:
            raise FormatError(f"{where}: expected a word at address {expected}, found none before address {found}")
    return [table[i] for i in range(len(table))]


def _address(part: str, where: str) -> int:
    found = _ADDRESS.fullmatch(part)
    if found is None:
        raise FormatError(f"{where}: expected an address @HEX, found {shown(part)}")
    return int(found[1], 16)


def _check_count(found: list[str], needed: int, depth: int, where: str) -> None:
    if len(found) not in (needed, depth or needed):
        wanted = f"{needed} or {depth}" if depth > needed else str(needed)
        raise FormatError(f"{where}: expected {wanted} words, found {len(found)}")


_VALUE = np.full(256, 255, np.uint8)
_VALUE[np.frombuffer(b"0123456789", np.uint8)] = np.arange(10, dtype=np.uint8)
_VALUE[np.frombuffer(b"abcdef", np.uint8)] = np.arange(10, 16, dtype=np.uint8)
_VALUE[np.frombuffer(b"xz", np.uint8)] = UNKNOWN


def _digits(found: list[str], count: int, where: str) -> Array:
    """uint8 [words, count]: each digit's value, UNKNOWN for x and z."""
    whole = "".join(found).lower()
    if {*map(len, found)} != {count} or "_" in whole:
        whole = "".join(_filled(token, i, count, where) for i, token in enumerate(found))
    values = _VALUE[np.frombuffer(whole.encode("ascii", "replace"), np.uint8)].reshape(len(found), count)
    wrong = np.flatnonzero((values == 255).any(axis=1))
    if len(wrong):
        word = int(wrong[0])
        raise FormatError(f"{where}: word {word}: expected hexadecimal digits, x or z, found {shown(found[word])}")
    return values


def _filled(token: str, index: int, count: int, where: str) -> str:
    plain = token.replace("_", "").lower()
    if not plain or not plain.isascii() or len(plain) > count:
        raise FormatError(f"{where}: word {index}: expected 1 to {count} hexadecimal digits, found {shown(token)}")
    return plain.rjust(count, plain[0] if plain[0] in "xz" else "0")
