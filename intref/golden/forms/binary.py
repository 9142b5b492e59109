"""npz archives and raw bytes."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from intref.errors import SpecError
from intref.golden.forms.index import identifiers, row
from intref.golden.package import Arrays

ORDERS = {"little": "<", "big": ">"}


def npz(folder: Path, group: str, tensors: Arrays) -> Iterator[dict[str, Any]]:
    """GROUP.npz, the same bytes each time."""
    folder.joinpath(f"{group}.npz").write_bytes(npz_bytes(tensors))
    for name in sorted(tensors):
        yield row(name, group, f"{group}.npz", tensors[name])


def npz_bytes(tensors: Arrays) -> bytes:
    """An archive of arrays, in the order of their names."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name in sorted(tensors):
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:  # no clock in the bytes
                np.lib.format.write_array(file, np.asarray(tensors[name], order="C"), allow_pickle=False)
    return whole.getvalue()


def raw(folder: Path, group: str, tensors: Arrays, endian: str = "little") -> Iterator[dict[str, Any]]:
    """GROUP/NAME.bin: the elements in C order, nothing else."""
    order = byte_order(endian)
    folder.joinpath(group).mkdir()
    for name, identifier in identifiers(tensors).items():
        tensor, file = tensors[name], f"{group}/{identifier}.bin"
        folder.joinpath(file).write_bytes(np.ascontiguousarray(tensor, tensor.dtype.newbyteorder(order)).tobytes())
        yield {**row(name, group, file, tensor), "endian": endian}


def byte_order(endian: str) -> Any:
    """NumPy's sign for a byte order; SpecError for another word."""
    if not isinstance(endian, str) or endian not in ORDERS:
        raise SpecError(f"raw: endian must be little or big, not {endian!r}")
    return ORDERS[endian]
