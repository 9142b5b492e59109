"""How a call travels to a device and its answer back: dtype codes, the text line, the frame between processes.

The normative text for whoever builds a device is `intref/golden/devices.md`, a part of every golden package.
"""

import json
import re
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

DTYPES = ("int8", "uint8", "int16", "int32", "int64")  # a dtype's code in the C structure is its place here
Arrays = dict[str, np.ndarray]
PIPE_HEADER = "intref-pipe 1"
NOT_SUPPORTED = 77  # the exit status with which a command says so


def frame(header: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> bytes:
    """One message between processes: two lengths, a JSON header that lists the tensors, the tensors' bytes."""
    rows = [[name, t.dtype.name, list(t.shape)] for name, t in tensors.items()]
    head = json.dumps({**header, "tensors": rows}).encode()
    body = b"".join(np.ascontiguousarray(t, t.dtype.newbyteorder("=")).tobytes() for t in tensors.values())
    return len(head).to_bytes(8, "little") + len(body).to_bytes(8, "little") + head + body


def frame_size(data: bytes | bytearray) -> int | None:
    """The length of the frame that begins with these bytes; None while they are too few to tell."""
    if len(data) < 16:
        return None
    return 16 + int.from_bytes(data[:8], "little") + int.from_bytes(data[8:16], "little")


def parse_frame(data: bytes) -> tuple[dict[str, Any], Arrays]:
    """Header and tensors (writable) of a whole frame; ValueError or KeyError if it is not one."""
    start = 16 + int.from_bytes(data[:8], "little")
    header, tensors = json.loads(data[16:start]), {}
    for name, dtype, shape in header.pop("tensors"):
        count = prod(shape)
        tensors[name] = np.frombuffer(data, dtype, count, start).reshape(shape).copy()
        start += tensors[name].nbytes
    return header, tensors


_TENSOR = re.compile(r"([^\s:=]+):(\w+)\[([0-9,]*)\]=([0-9a-fA-F]*)")


def tensor_text(name: str, tensor: np.ndarray) -> str:
    """`name:dtype[shape]=hex`, as devices.md says."""
    data = np.ascontiguousarray(tensor, tensor.dtype.newbyteorder("<")).tobytes()
    return f"{name}:{tensor.dtype.name}[{','.join(map(str, tensor.shape))}]={data.hex()}"


def parse_tensor(field: str) -> tuple[str, np.ndarray]:
    """The inverse of tensor_text; ValueError, saying why, if the field is not one."""
    match = _TENSOR.fullmatch(field)
    if match is None or match[2] not in DTYPES:
        raise ValueError(f"{field[:60]!r} is not name:dtype[shape]=hex with a dtype of {', '.join(DTYPES)}")
    shape = tuple(int(size) for size in match[3].split(",") if size)
    dtype = np.dtype(match[2]).newbyteorder("<")
    if len(match[4]) != 2 * prod(shape) * dtype.itemsize:
        needed = 2 * prod(shape) * dtype.itemsize
        raise ValueError(f"{match[1]!r} has {len(match[4])} hexadecimal digits, expected {needed}")
    return match[1], np.frombuffer(bytes.fromhex(match[4]), dtype).astype(match[2]).reshape(shape)


def attribute_text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
