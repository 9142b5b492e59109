"""Is an npz archive read whole, or refused in one line that names the file, whatever is in it?"""

import io
import os
import zipfile

import numpy as np
import pytest

from hostile_npz import ARCHIVES
from intref.errors import FormatError
from intref.npzfile import members, read_npy, read_npz


@pytest.mark.parametrize("why", ARCHIVES)
def test_is_a_hostile_archive_refused(why, tmp_path):
    path = tmp_path / "h.npz"
    path.write_bytes(ARCHIVES[why])
    with pytest.raises(FormatError) as caught:
        read_npz(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_is_a_pipe_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "p.npz")
    with pytest.raises(FormatError, match="expected a regular file"):
        read_npz(tmp_path / "p.npz")


def npy_bytes(array) -> bytes:
    held = io.BytesIO()
    np.save(held, array)
    return held.getvalue()


@pytest.mark.parametrize("names", [("x.npy", "x.npy"), ("x", "x.npy")])
@pytest.mark.filterwarnings("ignore:Duplicate name")  # of the writer
def test_is_a_member_given_twice_refused(names, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for i, name in enumerate(names):
            archive.writestr(name, npy_bytes(np.array([i], np.int8)))
    for read in (read_npz, members):
        with pytest.raises(FormatError, match=r"a\.npz: member 'x': expected once, found 2 times"):
            read(tmp_path / "a.npz")


def test_are_bytes_after_the_data_refused(tmp_path):
    data = npy_bytes(np.arange(3, dtype=np.int8)) + b"\0"
    tmp_path.joinpath("a.npy").write_bytes(data)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", data)
    for read, path in ((read_npy, tmp_path / "a.npy"), (read_npz, tmp_path / "a.npz")):
        with pytest.raises(FormatError, match=r"a\.np.: .*expected 3 bytes of int8 \(3,\), found more after them"):
            read(path)


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
