"""Are safetensors files read only when every claim of theirs holds, and written whole or not at all?"""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors import SafetensorError
from safetensors import numpy as library

import hostile
from intref.atomic import write_atomically, write_directory_atomically
from intref.errors import FormatError
from intref.tensorfile import INTEGERS, open_tensors, parse_json, read_integers, read_json, write_tensors

DTYPES = sorted(INTEGERS.values())
ROOT = Path(__file__).resolve().parent.parent


@st.composite
def tensor_tables(draw):
    names = draw(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=5, unique=True))
    shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
    return {name: draw(hnp.arrays(draw(st.sampled_from(DTYPES)), shapes)) for name in names}


def refusal(call, *args) -> str:
    with pytest.raises(FormatError) as caught:
        call(*args)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 600
    return message


@pytest.mark.parametrize("reason", hostile.HOSTILE)
def test_is_a_file_that_lies_refused_in_one_line(reason, tmp_path):
    data, said = hostile.HOSTILE[reason]
    path = tmp_path / "lies.safetensors"
    path.write_bytes(data)
    message = refusal(open_tensors, path)
    assert message.startswith(f"{path}: ") and said in message


def test_is_the_honest_file_beside_the_liars_read(tmp_path):
    path = tmp_path / "good.safetensors"
    path.write_bytes(hostile.GOOD)
    assert open_tensors(path).raw("t").tolist() == [0, 0, 0, 0]


def test_what_is_not_a_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "found a directory" in refusal(open_tensors, tmp_path)
    assert "No such file" in refusal(open_tensors, tmp_path / "absent")
    assert "found a device, pipe or socket" in refusal(open_tensors, tmp_path / "pipe")
    assert "found a device, pipe or socket" in refusal(open_tensors, "/dev/zero")
    assert "null byte" in refusal(open_tensors, "a\0b")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_does_a_damaged_file_ever_raise_anything_else(tmp_path_factory, data):
    whole = library.save({"a": np.arange(6, dtype=np.int32).reshape(2, 3), "b": np.ones(3, np.int8)}, {"k": "v"})
    position = data.draw(st.integers(0, len(whole) - 1))
    damaged = whole[:position] + data.draw(st.binary(max_size=3)) + whole[position + data.draw(st.integers(0, 3)) :]
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(damaged)
    try:
        read_integers(path)
    except FormatError as error:
        assert "\n" not in str(error)
    else:
        library.load(damaged)  # what is accepted, the format's own library accepts


@settings(max_examples=60, deadline=None)
@given(tensor_tables(), st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.text('ab[{"\\é\n')))
def test_do_tensors_and_metadata_survive_a_round_trip(tmp_path_factory, tensors, metadata):
    path = tmp_path_factory.mktemp("trip") / "t.safetensors"
    write_tensors(path, tensors, metadata)
    read, text = read_integers(path)
    by_library = library.load_file(path)
    assert text == metadata and set(read) == set(by_library) == set(tensors)
    for name, array in tensors.items():
        for other in (read[name], by_library[name]):
            assert other.dtype == array.dtype and other.shape == array.shape and np.array_equal(other, array)
        assert not read[name].flags.writeable


def test_are_the_bytes_those_of_the_library_and_the_same_every_time(tmp_path):
    tensors = {f"t{i}": np.ones((i, 2), dtype) for i, dtype in enumerate(DTYPES)}
    write_tensors(tmp_path / "a", tensors, {"intref": '{"nodes":[]}'})
    write_tensors(tmp_path / "b", dict(reversed(tensors.items())), {"intref": '{"nodes":[]}'})
    expected = library.save(tensors, {"intref": '{"nodes":[]}'})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == expected


def test_does_metadata_of_several_keys_have_one_order(tmp_path):
    keys = [f"k{i}" for i in range(20)]
    write_tensors(tmp_path / "a", {}, {key: "v" for key in keys})
    write_tensors(tmp_path / "b", {}, {key: "v" for key in reversed(keys)})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_are_strided_arrays_written_in_c_order(tmp_path):
    base = np.arange(24, dtype=np.int16).reshape(4, 6)
    write_tensors(tmp_path / "t", {"t": base.T[::2], "zero_d": np.array(-5, np.int32)}, {})
    read, _ = read_integers(tmp_path / "t")
    assert read["t"].tolist() == base.T[::2].tolist() and read["zero_d"].shape == () and read["zero_d"] == -5


def test_are_unaligned_tensors_read(tmp_path):
    values = np.array([1, -2, 3], "<i4")
    header = {"a": hostile.row(shape=(1,), end=1), "b": hostile.row("I32", (3,), 1, 13)}
    (tmp_path / "t").write_bytes(hostile.safetensors_bytes(header, b"\7" + values.tobytes()))
    read, _ = read_integers(tmp_path / "t")
    assert read["b"].tolist() == [1, -2, 3] and read["b"].flags.aligned and not read["b"].flags.writeable


def test_is_a_float_tensor_no_tensor_of_integers(tmp_path):
    library.save_file({"scale": np.ones(2, np.float32)}, tmp_path / "t")
    assert refusal(read_integers, tmp_path / "t").endswith("tensor 'scale': expected an integer dtype, found F32")
    message = refusal(write_tensors, tmp_path / "u", {"scale": np.ones(2, np.float32)}, {})
    assert "tensor 'scale'" in message and "found float32" in message and not (tmp_path / "u").exists()


def test_is_a_bool_byte_of_two_refused(tmp_path):
    (tmp_path / "t").write_bytes(hostile.safetensors_bytes({"t": hostile.row("BOOL")}, b"\0\1\2\1"))
    assert "expected BOOL bytes 0 or 1, found 2" in refusal(read_integers, tmp_path / "t")


def test_is_an_unknown_name_told(tmp_path):
    (tmp_path / "t").write_bytes(hostile.GOOD)
    assert "expected a tensor 'u', found none" in refusal(open_tensors(tmp_path / "t").raw, "u")


def test_do_json_files_keep_their_bounds(tmp_path):
    path = tmp_path / "f.json"
    for text, said in ((b"[1]", "a JSON dict, found a JSON list"), (b"[" * 100_000, "at most 64 deep"), (b"", "JSON")):
        path.write_bytes(text)
        assert said in refusal(read_json, path)
    path.write_bytes(b'{"a": [1, {}]}')
    assert read_json(path) == {"a": [1, {}]}
    assert "at most 5 bytes, found more" in refusal(read_json, path, dict, 5)
    assert parse_json(path, b"[1]", kind=list) == [1]


def test_is_a_file_replaced_and_nothing_left_beside_it(tmp_path):
    path, link = tmp_path / "f", tmp_path / "link"
    link.symlink_to(path)
    write_atomically(path, b"old")
    write_atomically(link, iter([b"ne", memoryview(b"w")]))
    assert path.read_bytes() == b"new" and link.is_symlink() and len(list(tmp_path.iterdir())) == 2


def test_is_an_unwritable_place_told_in_one_line(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    assert "cannot be written: No such file" in refusal(write_atomically, tmp_path / "no" / "f", b"")
    assert "cannot be written: Not a directory" in refusal(write_atomically, tmp_path / "file" / "f", b"")
    assert "expected a regular file, found a directory" in refusal(write_atomically, tmp_path, b"")
    assert "expected a regular file, found a device" in refusal(write_atomically, "/dev/null", b"")
    assert "cannot be written" in refusal(write_atomically, tmp_path / ("n" * 300), b"")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["file"]


def test_does_an_interrupted_write_leave_the_old_file(tmp_path):
    def pieces():
        yield b"half"
        raise KeyboardInterrupt

    (tmp_path / "f").write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "f", pieces())
    assert [item.read_bytes() for item in tmp_path.iterdir()] == [b"old"]


def test_does_a_full_disk_leave_the_old_files(tmp_path):
    """A file-size limit makes the operating system itself refuse the bytes, for root too."""
    (tmp_path / "f").write_bytes(b"old")
    (tmp_path / "d").mkdir()
    script = """
        import resource, sys
        from pathlib import Path
        from intref.atomic import write_atomically, write_directory_atomically
        from intref.errors import FormatError

        def fill(path):
            with write_directory_atomically(path) as folder:
                (folder / "small").write_bytes(b"fits")
                (folder / "large").write_bytes(bytes(1 << 20))

        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        for call in (lambda: write_atomically("f", bytes(1 << 20)), lambda: fill(Path("d"))):
            try:
                call()
            except FormatError as error:
                print(error)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [f"{name}: cannot be written: File too large" for name in "fd"]
    assert (tmp_path / "f").read_bytes() == b"old" and not list((tmp_path / "d").iterdir())
    assert sorted(item.name for item in tmp_path.iterdir()) == ["d", "f"]


def test_does_a_directory_appear_only_when_complete(tmp_path):
    target = tmp_path / "pack"
    with write_directory_atomically(target) as folder:
        (folder / "manifest.json").write_bytes(b"1")
        assert not target.exists()
    with write_directory_atomically(target, marker="manifest.json") as folder:
        (folder / "manifest.json").write_bytes(b"2")
        assert (target / "manifest.json").read_bytes() == b"1"
    assert (target / "manifest.json").read_bytes() == b"2"
    assert [item.name for item in tmp_path.iterdir()] == ["pack"]


def test_does_a_failing_body_leave_the_old_directory(tmp_path):
    target = tmp_path / "pack"
    target.mkdir()
    (target / "manifest.json").write_bytes(b"1")
    with pytest.raises(ZeroDivisionError), write_directory_atomically(target, "manifest.json") as folder:
        (folder / "manifest.json").write_bytes(b"2")
        raise ZeroDivisionError
    assert (target / "manifest.json").read_bytes() == b"1" and len(list(tmp_path.iterdir())) == 1


def test_are_other_peoples_files_never_replaced(tmp_path):
    (tmp_path / "thesis.tex").write_bytes(b"years")

    def replace(path, marker):
        with write_directory_atomically(path, marker):
            pytest.fail("the body ran")

    assert "expected an empty directory, found other files" in refusal(replace, tmp_path, None)
    assert "one that holds manifest.json, found other files" in refusal(replace, tmp_path, "manifest.json")
    assert "expected a directory, found a regular file" in refusal(replace, tmp_path / "thesis.tex", None)
    assert "cannot be" in refusal(replace, "/", "manifest.json")
    assert (tmp_path / "thesis.tex").read_bytes() == b"years"


def test_does_the_library_agree_on_what_is_refused():
    """Where the library accepts what we refuse, the stricter rule is deliberate and listed here."""
    ours_alone = {"too many axes", "a tensor twice", "a field twice", "metadata that is no string"}
    accepted = set()
    for reason, (data, _) in hostile.HOSTILE.items():
        try:
            library.load(data)
            accepted.add(reason)
        except (SafetensorError, ValueError, KeyError, TypeError, OverflowError):
            continue
    assert accepted <= ours_alone
