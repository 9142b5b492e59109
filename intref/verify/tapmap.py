"""What a device calls our tensors, and how it lays them out.

[tensors."L0.ffn.up.y"]         # our tensor, or public output
name = "ffn_up"                 # the device's name for it; default: ours
transpose = [0, 2, 1]           # our axis i is the device's axis transpose[i]
packing = "int4"                # uint8, two elements to a byte along the device's last axis, even one low

[groups]
ffn = ["L0.ffn.up", "L0.gelu"]  # nodes that the device fuses: judged only at what leaves the group
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from intref.atomic import StrPath
from intref.errors import FormatError
from intref.modelfile import unpack_int4
from intref.profiles import read_toml
from intref.tensorfile import shown

Row = tuple[str, tuple[int, ...]]  # dtype, shape
KEYS = ("name", "transpose", "packing")


@dataclass(frozen=True)
class Tap:
    """One tensor as the device has it."""

    name: str
    transpose: tuple[int, ...] | None = None
    packed: bool = False

    def device_row(self, row: Row) -> Row:
        """dtype and shape of the device's array for a tensor of this dtype and shape."""
        dtype, shape = row
        if self.transpose is not None:
            if len(self.transpose) != len(shape):
                raise FormatError(f"map: tensor {self.name!r}: transpose must have {len(shape)} axes")
            laid = [0] * len(shape)
            for ours, theirs in enumerate(self.transpose):
                laid[theirs] = shape[ours]
            shape = tuple(laid)
        return ("uint8", (*shape[:-1], -(-shape[-1] // 2))) if self.packed else (dtype, shape)

    def ours(self, array: np.ndarray, row: Row) -> np.ndarray:
        """The device's array as our tensor of this dtype and shape."""
        if self.packed:
            last = row[1][-1 if self.transpose is None else self.transpose.index(array.ndim - 1)]
            array = unpack_int4(array, last)
        return array if self.transpose is None else np.ascontiguousarray(array.transpose(self.transpose))


@dataclass(frozen=True)
class TapMap:
    taps: Mapping[str, Tap] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def tap(self, name: str) -> Tap:
        return self.taps.get(name) or Tap(name)

    def group(self, *names: str) -> str:
        """The group that a node, known by any of these names, belongs to; empty for none."""
        return next((group for group, members in self.groups.items() if {*names} & {*members}), "")


def read_map(path: StrPath | None) -> TapMap:
    """Read a map file; FormatError names the file, the tensor and what was expected."""
    if path is None:
        return TapMap()
    table = read_toml(Path(path))
    if extra := table.keys() - {"tensors", "groups"}:
        raise FormatError(f"{path}: expected the tables tensors and groups, found {shown(min(extra))}")
    for key in table:
        if not isinstance(table[key], dict):
            raise FormatError(f"{path}: {key}: expected a table, found {shown(table[key])}")
    taps = {name: _tap(f"{path}: tensor {shown(name)}", name, row) for name, row in table.get("tensors", {}).items()}
    groups = {name: _members(f"{path}: group {shown(name)}", value) for name, value in table.get("groups", {}).items()}
    return TapMap(taps, groups)


def _tap(at: str, name: str, row: Any) -> Tap:
    if not isinstance(row, dict) or row.keys() - {*KEYS}:
        raise FormatError(f"{at}: expected the keys {', '.join(KEYS)}, found {shown(row)}")
    order, packing = row.get("transpose"), row.get("packing")
    if order is not None and (not isinstance(order, list) or sorted(map(str, order)) != [*map(str, range(len(order)))]):
        raise FormatError(f"{at}: transpose: expected an order of axes from 0, found {shown(order)}")
    if packing not in (None, "int4"):
        raise FormatError(f"{at}: packing: expected int4, found {shown(packing)}")
    if not isinstance(row.get("name", name), str):
        raise FormatError(f"{at}: name: expected text, found {shown(row['name'])}")
    return Tap(row.get("name", name), None if order is None else tuple(map(int, order)), packing == "int4")


def _members(at: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(member, str) for member in value):
        raise FormatError(f"{at}: expected a list of nodes, found {shown(value)}")
    return tuple(value)
