"""Do units, their words and their beats mean what the description says?"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intref.errors import FormatError, Unsupported
from intref.golden import read_golden
from intref.ops import OPS
from intref.rtl.beats import encode, expected, layout, width
from intref.rtl.bits import UnknownBits, as_integers, pack, unpack
from intref.rtl.description import read_unit
from intref.rtl.simulators import require
from intref.vectors import cases
from rtl_units import CLAMP, DEMO, package

SAMPLES = ["requantizer", "requantizer64", "softmax", "layernorm"]


@given(st.data(), st.integers(1, 70), st.integers(1, 5), st.sampled_from(["lsb", "msb"]), st.booleans())
def test_does_unpack_undo_pack(data, bits, lanes, first, signed):
    low = -(1 << bits - 1) if signed else 0
    value = st.integers(low, low + (1 << bits) - 1)
    rows = data.draw(st.lists(st.lists(value, min_size=lanes, max_size=lanes), min_size=1, max_size=4))
    words = pack(np.array(rows, object), bits, first)
    assert [unpack(word, bits, lanes, signed, first) for word in words] == rows
    assert [unpack(f"{w:0{bits * lanes}b}", bits, lanes, signed, first) for w in words] == rows


def test_is_the_first_lane_lowest_or_highest():
    assert pack(np.array([[1, 2, -1]]), 4) == [0xF21]
    assert pack(np.array([[1, 2, -1]]), 4, "msb") == [0x12F]
    assert as_integers(["111100100001", "000000000111"], 4, 3).tolist() == [[1, 2, -1], [7, 0, 0]]


def test_is_x_in_one_lane_no_number_and_the_others_still_numbers():
    with pytest.raises(UnknownBits, match="x or z in lane 1: 0b0x10") as caught:
        unpack("1111" + "0x10" + "0011", 4, 3)
    assert (caught.value.lane, caught.value.bits) == (1, "0x10")
    assert unpack("0z100011"[4:], 4) == [3]


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (lambda: pack(np.array([[16]]), 4), r"a value of 4 bits must lie in \[-8, 15\]"),
        (lambda: pack(np.array([[-9]]), 4), r"a value of 4 bits"),
        (lambda: pack(np.array([[1]]), 4, "left"), "lsb or msb, not 'left'"),
        (lambda: unpack("010", 4), "a word of 3 bits, expected 1 lanes of 4"),
        (lambda: unpack(0x1FF, 8), r"a word of 8 bits must lie in \[-128, 255\], not 511"),
        (lambda: unpack(-1, 8, signed=False), r"a word of 8 bits must lie in \[0, 255\], not -1"),
        (lambda: unpack(-1, 8, 2), r"a word of 16 bits must lie in \[0, 65535\], not -1"),
        (lambda: unpack(1.0, 8), r"a word must be an integer or bits, not 1\.0"),
        (lambda: unpack(None, 4), "a word must be an integer or bits, not None"),
        (lambda: pack(np.array([[1.5]]), 4), r"expected integers \[n, lanes\] and a width, not float64 \[1, 1\], 4"),
        (lambda: pack(np.array([1]), 4), r"expected integers \[n, lanes\] and a width, not int64 \[1\], 4"),
        (lambda: as_integers([(1 << 64) - 1], 64, signed=False), "does not fit int64"),
    ],
)
def test_is_a_word_that_cannot_be_refused(wrong, match):
    with pytest.raises(ValueError, match=match):
        wrong()


@pytest.mark.parametrize("name", SAMPLES)
def test_do_the_words_that_a_right_unit_gives_mean_the_golden_outputs(name):
    unit = read_unit(DEMO / f"{name}.toml")
    bits = width(layout(unit).result)
    supported = 0
    for case in read_golden(package(unit.op.name)).cases:
        if unit.refusal(unit.op.name, case.inputs, case.attrs):
            continue
        supported += 1
        call = encode(unit, case.inputs, case.attrs)
        words = [f"{word:0{bits}b}" for word in expected(call, case.outputs)[0]]
        made = call.outputs(words, {k: (v.dtype.name, v.shape) for k, v in case.outputs.items()})
        assert all(np.array_equal(made[port], case.outputs[port]) for port in case.outputs)
    assert supported >= {"requantizer": 50, "requantizer64": 200}.get(name, 29)


QUANTIZE = """
op = "quantize_token"
top = "q"
sources = ["clamp.sv"]
clock = "clk"
in = { valid = "v", last = "l", length = { signal = "n", width = 8, signed = false } }
out = { valid = "w", last = "m" }
lanes = 3
[inputs]
x = { signal = "x", width = 32 }
[outputs]
q = { signal = "q", width = 8 }
mantissa = { signal = "mantissa", width = 32 }
exponent = { signal = "exponent", width = 8 }
"""


def described(tmp_path, text):
    """The unit of a description beside a source file."""
    (tmp_path / "clamp.sv").write_text("")
    (tmp_path / "unit.toml").write_text(text)
    return read_unit(tmp_path / "unit.toml")


def test_is_an_output_of_a_whole_row_read_with_its_last_beat(tmp_path):
    attributes = "".join(f"{n} = {{ signal = '{n}', width = 64 }}\n" for n in OPS["quantize_token"].attrs)
    unit = described(tmp_path, QUANTIZE + "[attributes]\n" + attributes)
    seen = 0
    for case in cases("quantize_token"):
        attrs = unit.op.check(case.tensors, case.attrs)
        if unit.refusal("quantize_token", case.tensors, attrs):
            continue
        seen += 1
        golden = unit.op.run(case.tensors, attrs)
        call = encode(unit, case.tensors, attrs)
        rows, elements = call.row
        assert call.results == rows * -(-elements // 3)
        wanted, counts, _ = expected(call, golden)
        field = next(f for f in layout(unit).result if f.name == "mantissa")
        last = [count >> field.offset & 0xFFFFFFFF for count in counts]
        assert [i for i, c in enumerate(last) if c] == [(r + 1) * call.beats_per_row - 1 for r in range(rows)], (
            "one lane counts, of each row's last beat"
        )
        bits = width(layout(unit).result)
        made = call.outputs([f"{w:0{bits}b}" for w in wanted], {k: (v.dtype.name, v.shape) for k, v in golden.items()})
        assert all(np.array_equal(made[port], golden[port]) for port in golden)
    assert seen > 3


def test_is_a_value_that_does_not_fit_the_dtype_named_by_element():
    unit = read_unit(DEMO / "requantizer64.toml")
    case = read_golden(package("rescale")).cases[0]
    call = encode(unit, case.inputs, case.attrs)
    words = [f"{0:064b}", f"{128:064b}", *[f"{0:064b}"] * (call.results - 2)]
    with pytest.raises(ValueError, match=r"output 'y' at \[1\] is 128, beyond its dtype's -128..127"):
        call.outputs(words, {"y": ("int8", call.shape)})
    words[1] = "x" * 64
    with pytest.raises(ValueError, match=r"x or z in output 'y' at \[1\]: 0bxx"):
        call.outputs(words, {"y": ("int8", call.shape)})


def test_is_the_reason_told_for_a_call_outside_of_the_unit():
    unit = read_unit(DEMO / "softmax.toml")
    good = read_golden(package("softmax_ibert")).cases[0]
    assert unit.refusal("softmax_ibert", good.inputs, good.attrs) == ""
    assert unit.refusal("rescale", good.inputs, good.attrs) == "the unit computes softmax_ibert"
    long = {name: np.repeat(t, 20, axis=-1) for name, t in good.inputs.items()}
    assert unit.refusal("softmax_ibert", long, good.attrs) == "axis K is 1..64, not 80"
    requantizer = read_unit(DEMO / "requantizer.toml")
    case = read_golden(package("rescale")).cases[0]
    for attrs, reason in (
        ({"rounding": "tosa_double"}, "rounding tosa_double is not one of floor, ceil, "),
        ({"output": "int16"}, "output int16 is not int8"),
        ({"low": -129}, "low takes -128..127, not -129"),
    ):
        assert requantizer.refusal("rescale", case.inputs, {**case.attrs, **attrs}).startswith(reason)
    wide = {**case.inputs, "x": np.array([1 << 40])}
    assert requantizer.refusal("rescale", wide, case.attrs) == "x takes -2147483648..2147483647, not 1099511627776"


BAD = [
    ('op = "clamp"', 'op = "clam"', "op: expected the name of an op"),
    ('op = "clamp"', 'op = "linear"', "op linear: input 'weight' has axes [N K], which cannot run beside 'x'"),
    ('op = "clamp"', 'op = "table"', "input 'entries' has axes [L], which cannot run beside 'x'"),
    ('op = "clamp"', 'op = "transpose"', "output 'y' has axes [... N M], which cannot run beside 'x'"),
    ('top = "clamp_lanes"', "", "expected the key top, found "),
    ('top = "clamp_lanes"', 'top = "a b"', "top: expected a Verilog identifier, found 'a b'"),
    ('sources = ["clamp.sv"]', 'sources = ["absent.sv"]', "absent.sv, found none"),
    ('sources = ["clamp.sv"]', "sources = []", "sources: expected a list of paths"),
    ("latency = 3", "", "out: expected either valid or a latency, found neither"),
    ("latency = 3", 'latency = 3\nout = { valid = "v" }', "out: expected either valid or a latency, found both"),
    ("latency = 3", "latency = -1", "latency: expected an integer in 0..4096, found -1"),
    ("latency = 3", 'latency = 3\nout = { ready = "r" }', "out: expected no ready beside a latency"),
    ("clamp.sv", "a$(b).sv", "a$(b).sv, found none"),
    ('signal = "y"', 'signal = "x"', "outputs.y: expected a signal of its own, found x, which is inputs.x"),
    ('top = "clamp_lanes"', 'top = "intref_tb"', "top: expected another name than the bench's own"),
    ('signal = "y", width = 12', 'signal = "y", width = 12, low = 1, high = 0', "outputs.y: expected a smallest value"),
    ("[inputs]", "[limits]\n'T' = [3, 2]\n[inputs]", "limits"),
    ("lanes = 4", "lanes = 0", "lanes: expected an integer in 1..1024, found 0"),
    ("lanes = 4", "lines = 4", "lines: unknown key; there are op, top"),
    ('first = "msb"', 'first = "left"', "first: expected lsb or msb, found 'left'"),
    ('y = { signal = "y", width = 12 }', "", "outputs: expected the outputs y, found 'y' missing or in excess"),
    ('signal = "y", width = 12', 'signal = "y"', "outputs.y: expected a table with signal, width and perhaps"),
    ('signal = "y", width = 12', 'signal = "y", width = 0', "outputs.y.width: expected an integer in 1..4096, found 0"),
    ('signal = "y", width = 12', 'signal = "y", width = true', "outputs.y.width: expected an integer"),
    ('low = { signal = "low", width = 12 }', "", "attributes: expected a value or a wire for each of low, high"),
    ('low = { signal = "low", width = 12 }', 'low = "much"', "attributes.low: expected integers in"),
    ('low = { signal = "low", width = 12 }', "low = []", "attributes.low: expected integers in"),
    ("[inputs]", "[limits]\nQ = 3\n[inputs]", "limits: expected axes of"),
    ("[inputs]", "[constants]\nt = { signal = 't', width = 1 }\n[inputs]", "constants.t.value: expected an integer in"),
    ("[inputs]", "in = { valid = 'v', vaild = 'w' }\n[inputs]", "in: expected the keys valid, ready, last, length"),
    ("[inputs]", "in = 3\n[inputs]", "in: expected a table, found 3"),
    ("[inputs]", "stalls = 1\n[inputs]", "stalls: expected true or false, found 1"),
    ("[inputs]", "[inputs", "unit.toml"),
]


@pytest.mark.parametrize(("old", "new", "match"), BAD)
def test_is_a_bad_description_one_line_that_names_the_place(tmp_path, old, new, match):
    text = CLAMP.read_text()
    assert text.count(old) == 1
    with pytest.raises((FormatError, Unsupported)) as caught:
        described(tmp_path, text.replace(old, new))
    assert match in str(caught.value)
    assert "unit.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_are_codes_checked_against_the_choices(tmp_path):
    text = (DEMO / "requantizer.toml").read_text().replace("requantizer.sv", "clamp.sv")
    for old, new, match in (
        ('"half_even"]', '"half_odd"]', "attributes.rounding.codes: expected a list of floor"),
        (
            "width = 4\ncodes",
            "width = 3\ncodes",
            "attributes.rounding.codes: expected at most 8 codes of 3 bits, found 9",
        ),
        (
            'output = "int8"',
            'output = "int9"',
            "attributes.output: expected int8, int16, int32, int64, uint8, found 'int9'",
        ),
    ):
        assert text.count(old) == 1
        with pytest.raises(FormatError, match=match):
            described(tmp_path, text.replace(old, new))


def test_is_a_missing_simulator_named_with_its_package(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unsupported, match="needs vvp, which is not installed: apt install iverilog"):
        require("vvp")
