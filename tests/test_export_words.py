"""Is every layout of words in a memory file what its options say, and is it read back?"""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intref import errors
from intref.golden.forms.words import elements, text, words

DTYPES = ["int8", "uint8", "int16", "int32", "int64"]
DRAWN = settings(derandomize=True, database=None, deadline=None, max_examples=80)


@st.composite
def laid(draw):
    """A layout and a tensor whose elements fit it, the ends of their range among them."""
    dtype = draw(st.sampled_from(DTYPES))
    bits = draw(st.integers(1, np.dtype(dtype).itemsize * 8))
    lanes = draw(st.integers(1, 9))
    width = draw(st.one_of(st.none(), st.integers(bits * lanes, bits * lanes + 70)))
    shape = tuple(draw(st.lists(st.integers(1, 7), max_size=3)))
    size = int(np.prod(shape, dtype=np.int64))
    low, high = (0, (1 << bits) - 1) if dtype[0] == "u" else (-(1 << bits - 1), (1 << bits - 1) - 1)
    one = st.one_of(st.sampled_from([low, high, 0]), st.integers(low, high))
    tensor = np.array(draw(st.lists(one, min_size=size, max_size=size)), dtype).reshape(shape)
    depth = draw(st.sampled_from([0, size + 3]))
    first, rows = draw(st.sampled_from(["lsb", "msb"])), draw(st.booleans())
    return words(dtype, bits, lanes, width, first, depth, rows), tensor


@DRAWN
@given(laid())
def test_does_every_layout_come_back(drawn):
    layout, tensor = drawn
    found, unknown = elements("".join(text(tensor, layout, "t")), layout, tensor.shape, "t.mem")
    assert unknown == "" and found.dtype == tensor.dtype and found.shape == tensor.shape
    assert np.array_equal(found, tensor)


@DRAWN
@given(laid())
def test_is_every_word_the_sum_of_its_lanes(drawn):
    """Written from the definition, in Python integers, one word at a time."""
    layout, tensor = drawn
    lines = "".join(text(tensor, layout, "t")).splitlines()
    rows = tensor.reshape(-1, tensor.shape[-1]).tolist() if layout.rows and tensor.ndim else [tensor.ravel().tolist()]
    groups = [row[i : i + layout.lanes] for row in rows for i in range(0, len(row), layout.lanes)]
    assert len(lines) == (layout.depth or len(groups))
    for lanes, line in itertools.zip_longest(groups, lines, fillvalue=()):
        last = layout.lanes - 1
        places = [(j if layout.first == "lsb" else last - j) * layout.bits for j in range(len(lanes))]
        expected = sum((v & (1 << layout.bits) - 1) << place for v, place in zip(lanes, places))
        assert line == f"{expected:0{-(-layout.width // 4)}x}"


@pytest.mark.parametrize(
    "layout, lines",
    [
        ({"lanes": 2}, "fe01 0403 0605"),
        ({"lanes": 2, "first": "msb"}, "01fe 0304 0506"),
        ({"bits": 4, "lanes": 4, "first": "msb", "depth": 3}, "1e34 5600 0000"),
        ({"bits": 4, "lanes": 3, "width": 18}, "003e1 00654"),
        ({"lanes": 2, "rows": True}, "fe01 0003 0504 0006"),
        ({"lanes": 2, "rows": True, "first": "msb"}, "01fe 0300 0405 0600"),
    ],
)
def test_where_do_the_lanes_lie(layout, lines):
    tensor = np.array([[1, -2, 3], [4, 5, 6]], np.int8)
    assert "".join(text(tensor, words("int8", **layout), "t")).split() == lines.split()


def test_what_a_simulator_writes_is_read_as_readmemh_reads_it():
    layout = words("int16", lanes=1, depth=6)
    content = "// 0x00000000\n@2 00_03 4 /* two\nlines */ \n@0 ffff 7F\n@4\n5 xxxx // beyond the data\n"
    found, unknown = elements(content, layout, (5,), "y.mem")
    assert unknown == "" and found.tolist() == [-1, 127, 3, 4, 5]


@pytest.mark.parametrize("word", ["xx", "1x", "Z3", "x", "zz"])
def test_is_an_unknown_digit_a_class_of_its_own(word):
    _, unknown = elements(f"01\n{word}\n", words("int8"), (2,), "y.mem")
    assert unknown == f"word 1 is {word!r}"


def test_are_unknown_bits_that_belong_to_no_element_passed_over():
    layout = words("int8", bits=4, lanes=2, width=12)
    found, unknown = elements("x21\nxx3\n", layout, (3,), "y.mem")
    assert unknown == "" and found.tolist() == [1, 2, 3]
    assert elements("x21\nxx3\n", layout, (4,), "y.mem")[1] == "word 1 is 'xx3'"


@pytest.mark.parametrize(
    "content, said",
    [
        ("01\n", "expected 2 words, found 1"),
        ("01\n02\n03\n", "expected 2 words, found 3"),
        ("01\n0g\n", "word 1: expected hexadecimal digits, x or z, found '0g'"),
        ("001\n02\n", "word 0: expected 1 to 2 hexadecimal digits, found '001'"),
        ("01\n_\n", "word 1: expected 1 to 2 hexadecimal digits, found '_'"),
        ("@1 01\n@2 03\n", "expected a word at address 0, found none before address 1"),
        ("@q 01\n", "expected an address @HEX, found '@q'"),
        ("@0x0 01 02\n", "expected an address @HEX, found '@0x0'"),
        ("@0_0 01 02\n", "expected an address @HEX, found '@0_0'"),
        ("@-1 01 02\n", "expected an address @HEX, found '@-1'"),
        ("01 /* 02\n", "expected the end of a comment /*, found none"),
        ("-1\n02\n", "word 0: expected hexadecimal digits, x or z, found '-1'"),
    ],
)
def test_is_a_malformed_memory_refused_by_its_word(content, said):
    with pytest.raises(errors.FormatError) as caught:
        elements(content, words("int8"), (2,), "y.mem")
    assert str(caught.value) == f"y.mem: {said}"


@pytest.mark.parametrize(
    "layout, said",
    [
        ({"bits": 9}, "words: bits must be in 1..8 for int8, not 9"),
        ({"bits": 0}, "words: bits must be in 1..8 for int8, not 0"),
        ({"lanes": 0}, "words: lanes must be in 1..65536, not 0"),
        ({"width": 7}, "words: width must hold 8 bits of int8 and be at most 65536, not 7"),
        ({"lanes": 4, "width": 31}, "words: width must hold 4 x 8 bits and be at most 65536, not 31"),
        ({"first": "left"}, "words: first must be lsb or msb, not 'left'"),
        ({"depth": -1}, "words: depth must be in 0..268435456, not -1"),
        ({"width": ""}, "words: bits, lanes, width and depth are integers"),
    ],
)
def test_is_an_impossible_layout_refused(layout, said):
    with pytest.raises(errors.SpecError) as caught:
        words("int8", **layout)
    assert str(caught.value) == said
