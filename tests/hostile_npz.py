"""npz archives that are not what they claim to be."""

import io
import zipfile

import numpy as np


def header(shape, dtype="<i8") -> bytes:
    held = io.BytesIO()
    np.lib.format.write_array_header_1_0(held, {"descr": dtype, "fortran_order": False, "shape": shape})
    return held.getvalue()


def archive(**members: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in members.items():
            made.writestr(f"{name}.npy", data)
    return held.getvalue()


def damaged() -> bytes:
    """A deflate stream that breaks off in the middle."""
    whole = bytearray(archive(x=header((64,)) + np.random.default_rng(0).bytes(512)))
    whole[200:260] = b"\xff" * 60
    return bytes(whole)


def raw_header(text: str) -> bytes:
    """An npy header of any text."""
    padded = text.encode().ljust(118)
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded


ARCHIVES = {
    "nothing": b"",
    "text": b"hello",
    "cut off behind its first bytes": b"PK\x03\x04" + bytes(100),
    "bent": damaged(),
    "plain": archive(x=b"plain"),
    "vast": archive(x=header((10**12, 10))),
    "a negative shape": archive(x=header((-1,))),
    "data cut off": archive(x=header((8,)) + bytes(9)),
    "objects": archive(x=header((1,), "|O") + bytes(8)),
    "an open bracket": archive(x=raw_header("{'descr': '<i4', 'fortran_order': False, 'shape': (")),
    "an empty descr": archive(x=raw_header("{'descr': (), 'fortran_order': False, 'shape': (1,)}")),
    "a shape of truths": archive(x=raw_header("{'descr': '<i4', 'fortran_order': False, 'shape': (True,)}")),
    "an unhashable key": archive(x=raw_header("{[]: 1}")),
    "brackets without end": archive(x=raw_header("(" * 110)),
}
