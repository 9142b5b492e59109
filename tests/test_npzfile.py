"""Is an npz archive read whole, or refused in one line that names the file, whatever is in it?"""

import io
import os
import zipfile

import numpy as np
import pytest

from intref.errors import FormatError
from intref.npzfile import read_npz


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


HOSTILE = {
    "nothing": b"",
    "text": b"hello",
    "cut off behind its first bytes": b"PK\x03\x04" + bytes(100),
    "a damaged stream": damaged(),
    "a member that is no array": archive(x=b"plain"),
    "a shape larger than the file": archive(x=header((10**12, 10))),
    "a negative shape": archive(x=header((-1,))),
    "data cut off": archive(x=header((8,)) + bytes(9)),
    "objects": archive(x=header((1,), "|O") + bytes(8)),
}


@pytest.mark.parametrize("why", HOSTILE)
def test_is_a_hostile_archive_refused(why, tmp_path):
    path = tmp_path / "h.npz"
    path.write_bytes(HOSTILE[why])
    with pytest.raises(FormatError) as caught:
        read_npz(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_is_a_pipe_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "p.npz")
    with pytest.raises(FormatError, match="expected a regular file"):
        read_npz(tmp_path / "p.npz")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_is_every_array_read_as_it_was_written(save, tmp_path):
    arrays = {
        "rows": np.arange(6, dtype=np.int8).reshape(2, 3),
        "columns": np.asfortranarray(np.arange(6, dtype=np.int64).reshape(3, 2)),
        "scalar": np.array(7, np.uint16),
        "empty": np.zeros((0, 3), np.int32),
        "real": np.array([0.5, -1.0]),
    }
    save(tmp_path / "a.npz", **arrays)
    found = read_npz(tmp_path / "a.npz")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype and np.array_equal(found[name], array)
