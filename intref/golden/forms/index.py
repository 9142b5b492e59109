"""What an export's index says of one tensor, and the names that its files and symbols have."""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from intref.digest import tensor_hash

INDEX = "export.json"
WHOLE = {"c": ("attributes.h", "test_data.h")}  # files of a form that are of no one tensor
_SELF = re.compile("[0-9a-f]{64}")


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


def files(index: Any) -> set[str] | None:
    """The files of an export by what its index says, itself among them; None for what is no index of an export."""
    try:
        if not _SELF.fullmatch(index["package"]):
            return None
        listed = {INDEX, *WHOLE.get(index["form"], ()), *(row["file"] for row in index["tensors"])}
        for row in index.get("folders", ()):
            data = f"{row['folder']}/test_data_set_0"
            listed |= {f"{row['folder']}/model.onnx"}
            listed |= {f"{data}/{kind}_{i}.pb" for kind in ("input", "output") for i in range(len(row[f"{kind}s"]))}
        return listed
    except (KeyError, TypeError):
        return None


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
