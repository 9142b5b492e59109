"""Hashes of tensors: one per tensor, one over a set of named tensors."""

import hashlib
from collections.abc import Mapping

import numpy as np


def tensor_hash(name: str, tensor: np.ndarray) -> str:
    """SHA-256, in hex, of name, dtype, shape (decimal, commas) and C-order little-endian bytes, zero bytes between."""
    data = np.ascontiguousarray(tensor, tensor.dtype.newbyteorder("<"))
    head = f"{name}\0{tensor.dtype.name}\0{','.join(map(str, tensor.shape))}\0"
    return hashlib.sha256(head.encode() + data.tobytes()).hexdigest()


def digest(tensors: Mapping[str, np.ndarray]) -> str:
    """SHA-256, in hex, over the tensor hashes in the order of their names."""
    return combined({name: tensor_hash(name, t) for name, t in tensors.items()})


def combined(hashes: Mapping[str, str]) -> str:
    """The digest of tensors whose hashes are known."""
    return hashlib.sha256(b"".join(bytes.fromhex(hashes[name]) for name in sorted(hashes))).hexdigest()
