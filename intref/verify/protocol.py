"""How a call travels to a device and its answer back: the C structure, the text line, the frame between processes.

DEVICES is the normative text for whoever builds a device; the rest of this file is what it says.
"""

import json
import re
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

DTYPES = ("int8", "uint8", "int16", "int32", "int64")  # a dtype's code in the C structure is its place here
Arrays = dict[str, np.ndarray]
Shapes = Mapping[str, tuple[str, tuple[int, ...]]]  # name -> (dtype, shape)
PIPE_HEADER = "intref-pipe 1"
NOT_SUPPORTED = 77  # the exit status with which a command says so

DEVICES = """\
## Devices

A device is asked for one op at a time: the op's name, its complete attributes and its inputs. It answers with the op's
outputs, in the dtypes and shapes the op's specification gives, or that it does not support the call. The op `model`
asks for the whole model of the package: inputs and outputs by their public names, and `taps`, the names of inner
tensors that the device may add to its answer.

### Python function: `py:module:function` or `py:path/file.py:function`

`function(op, inputs, attrs)` gets a str, a dict of NumPy arrays and a dict of attributes (int; str for a choice; for
`model` the list `taps`), and returns a dict of arrays (NumPy, or anything with DLPack), or None for not supported.

### Shared library: `so:path/lib.so`

    typedef struct { void *data; int32_t dtype; int32_t ndim; int64_t shape[8]; } intref_tensor;
    int intref_dut(const char *op, int na, const char **names, const int64_t *values,
                   int ni, const intref_tensor *in, int no, intref_tensor *out);

| dtype | int8 | uint8 | int16 | int32 | int64 |
|---|---|---|---|---|---|
| code | 0 | 1 | 2 | 3 | 4 |

`names` and `values` are the `na` attributes; a choice is passed as its index in the op's list of choices, from 0.
`in` and `out` are in the order of the op's Inputs and Outputs (of `model`: the package's inputs and outputs, by name).
Data are C-contiguous, little-endian, aligned to 64 bytes. The device writes every element of `out[i].data` and nothing
else. It returns 0 for done, 1 for not supported, any other number for failure. Every call is made twice, with outputs
filled differently beforehand: the results must be the same.

### Program: `pipe:program arguments`

Lines of ASCII text on standard input and output; the first line of both streams is `intref-pipe 1`.

    ID OP attr=value ... name:dtype[d0,d1,...]=hex ...        a request
    ID name:dtype[d0,d1,...]=hex ...                          its answer
    ID unsupported                                            the other answer

Fields are separated by one space. An attribute is a decimal integer, or a choice by its name; `taps` is a list of
names with commas. Elements follow one another in C order; each is the two's complement of its width, its bytes in
little-endian order, two hexadecimal digits to a byte: int16 -2, 3 is `feff0300`. Answers come in the order of requests.

### Command: `cmd:program {in} {out}`

Run once per call. `{in}` is a file with the inputs by name, `{out}` the file to write the outputs to: safetensors, or
npz where the command says `{in}.npz` and `{out}.npz`. Op and attributes are JSON, `{"attrs": {...}, "op": "..."}`: in
the safetensors metadata under the key `intref`, in npz as the bytes of the array `__call__`. Exit status 77: not
supported.

### Recorded outputs: `file:path`

A directory of npy files, or one npz or safetensors file, or a file of answer lines as above. Names: the tensor of a
model, or CASE/OUTPUT for a case of an op.
"""


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
    """`name:dtype[shape]=hex`, as in DEVICES."""
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
