"""What an export's index says of one tensor, and the names that its files and symbols have."""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from intref.digest import tensor_hash

INDEX = "export.json"


def row(name: str, group: str, file: str, tensor: np.ndarray) -> dict[str, Any]:
    """width in bits, depth in elements: a memory has its own."""
    return {
        "name": name,
        "group": group,
        "file": file,
        "dtype": tensor.dtype.name,
        "width": tensor.dtype.itemsize * 8,
        "depth": tensor.size,
        "shape": list(tensor.shape),
        "sha256": tensor_hash(name, tensor),
    }


def identifiers(names: Iterable[str]) -> dict[str, str]:
    """A C identifier and file name for each tensor: unlike names stay unlike, also where case does not count."""
    table: dict[str, str] = {}
    taken: set[str] = set()
    for name in sorted(names):
        stem = identifier = re.sub(r"[^A-Za-z0-9_]", "_", name)[:150]
        count = 1
        while identifier.lower() in taken:
            count += 1
            identifier = f"{stem}_{count}"
        taken.add(identifier.lower())
        table[name] = identifier
    return table
