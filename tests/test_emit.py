"""Does the C that is written from an op's definition have its bits, refuse what its contract refuses, and read well?"""

import ast
import ctypes
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import intref
from intref import OPS, intmath, judge
from intref.cli.main import main
from intref.devices.device import Request, attribute_codes
from intref.emit import c_header, c_model, c_source
from intref.emit.expressions import proved
from intref.emit.function import c_function
from intref.emit.vocabulary import piece
from intref.errors import BoundError, SpecError, Unsupported
from intref.golden import suite_path
from intref.intmath import ROUNDS_UP, shift_half_up
from intref.model import Model, Node, info
from intref.ops.op import Attr, Op, Port
from intref.testing.strategies import calls
from intref.vectors import cases, refused

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
STRICT = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
DRAWN = settings(derandomize=True, database=None, deadline=None, suppress_health_check=[*HealthCheck])
DTYPES = ("int8", "uint8", "int16", "int32", "int64")
SUITE = suite_path()
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C compiler")


def compiled(source, folder, *options, strict=STRICT):
    """A shared library of C source text."""
    folder.mkdir(exist_ok=True)
    (folder / "device.c").write_text(source)
    subprocess.run([COMPILER, *strict, *options, "-o", folder / "device.so", folder / "device.c"], check=True)
    return folder / "device.so"


@pytest.fixture(scope="module")
def source():
    return c_source()


@pytest.fixture(scope="module")
def library(source, tmp_path_factory):
    """Every op, compiled once."""
    if COMPILER is None:
        pytest.skip("no C compiler")
    return compiled(source, tmp_path_factory.mktemp("emitted"), "-O1")


@pytest.fixture(scope="module")
def device(library):
    return Library(library)


class Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("dtype", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("shape", ctypes.c_int64 * 8),
    ]

    @classmethod
    def of(cls, array):
        return cls(array.ctypes.data, DTYPES.index(array.dtype.name), array.ndim, (ctypes.c_int64 * 8)(*array.shape))


class Library:
    """intref_dut called as it is declared, so that its return code is seen."""

    def __init__(self, path):
        self.function = ctypes.CDLL(str(path)).intref_dut

    def raw(self, op, attrs, inputs, outputs):
        """The return code; inputs and outputs are Tensors."""
        names = (ctypes.c_char_p * max(len(attrs), 1))(*(name.encode() for name in attrs))
        values = (ctypes.c_int64 * max(len(attrs), 1))(*attrs.values())
        ins, outs = (Tensor * max(len(inputs), 1))(*inputs), (Tensor * max(len(outputs), 1))(*outputs)
        return self.function(op.encode(), len(attrs), names, values, len(inputs), ins, len(outputs), outs)

    def run(self, op, tensors, attrs, rows):
        """Return code and outputs, attributes completed; rows: output -> (dtype, shape)."""
        return self.run_as_it_is(op, tensors, OPS[op].complete(attrs), rows)

    def run_as_it_is(self, op, tensors, attrs, rows):
        request = Request("", op, tensors, attrs, rows)
        inputs = {k: np.array(v, order="C") for k, v in request.inputs.items()}
        made = {name: np.full(shape, 85, dtype) for name, (dtype, shape) in rows.items()}
        sides = ([Tensor.of(v) for v in arrays.values()] for arrays in (inputs, made))
        return self.raw(op, attribute_codes(request), *sides), made


@pytest.mark.parametrize("op", OPS)
def test_has_the_c_of_an_op_its_bits_on_every_directed_case(library, op):
    report = judge(SUITE / "ops" / op, f"so:{library}")
    cases = intref.golden.read_golden(SUITE / "ops" / op).cases
    assert (report.verdict, len(report.cases)) == ("equal", len(cases))


@pytest.mark.parametrize("op", OPS)
def test_has_it_the_bits_of_the_reference_on_any_legal_call(device, op):
    settings(DRAWN, max_examples=15)(given(calls(op, beyond=True))(lambda drawn: check(device, op, *drawn)))()


def check(device, op, tensors, attrs):
    try:
        expected = intref.call(op, tensors, attrs)
    except BoundError:  # a result that its dtype does not hold
        dtypes = OPS[op].output_dtypes({k: v.dtype.name for k, v in tensors.items()}, OPS[op].complete(attrs))
        values = OPS[op].reference(**{k: v.astype(np.int64) for k, v in tensors.items()}, **OPS[op].complete(attrs))
        assert device.run(op, tensors, attrs, {k: (dtypes[k], v.shape) for k, v in values.items()})[0] == 2
        return
    code, found = device.run(op, tensors, attrs, {k: (v.dtype.name, v.shape) for k, v in expected.items()})
    assert code == 0
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)


@pytest.mark.parametrize("rule", OPS["rescale"].attrs["rounding"].choices)
def test_are_all_rounding_rules_right_on_any_legal_call(device, rule):
    for op in ("rescale", "add"):
        if rule in OPS[op].attrs["rounding"].choices:
            legal = calls(op, rounding=rule).map(lambda drawn, op=op: (op, *drawn))
            settings(DRAWN, max_examples=15)(given(legal)(lambda drawn: check(device, *drawn)))()


SAMPLE = ("softmax_ibert", "layernorm_fixed", "rescale", "linear_int4", "merge_heads", "gelu_ibert", "positions")


@needs_compiler
@pytest.mark.parametrize("level", ["-O0", "-O3"])
def test_does_optimisation_change_no_bit(tmp_path, level):
    library = compiled(c_source(SAMPLE), tmp_path / level, level)
    for op in SAMPLE:
        assert judge(SUITE / "ops" / op, f"so:{library}").verdict == "equal"


@needs_compiler
def test_finds_a_sanitizer_nothing_undefined_in_it(tmp_path):
    names = ("libasan.so", "libubsan.so")
    found = [subprocess.check_output([COMPILER, f"-print-file-name={name}"], text=True).strip() for name in names]
    if not all(map(os.path.isabs, found)):
        pytest.skip("no sanitizers")
    library = compiled(c_source(SAMPLE), tmp_path, "-fsanitize=undefined,address", "-fno-sanitize-recover=all")
    environment = {**os.environ, "LD_PRELOAD": " ".join(found), "ASAN_OPTIONS": "detect_leaks=0"}
    words = [sys.executable, "-m", "intref", "verify", *(f"suite:{op}" for op in SAMPLE), "--memory", "0", "--json"]
    subprocess.run([*words, "--dut", f"so:{library}"], env=environment, check=True, stdout=subprocess.DEVNULL)


def broken_calls(op="rescale_token"):
    """A legal call, and calls that each break its contract in one way: (what, attrs, inputs, outputs)."""
    case = next(c for c in intref.golden.read_golden(SUITE / "ops" / op).cases if c.inputs["x"].ndim == 2)
    request = Request("", op, case.inputs, case.attrs, {k: (v.dtype.name, v.shape) for k, v in case.outputs.items()})
    attrs, arrays = attribute_codes(request), [np.ascontiguousarray(a) for a in request.inputs.values()]
    out = np.zeros_like(case.outputs["y"])
    yield "nothing", attrs, arrays, [Tensor.of(a) for a in arrays], [Tensor.of(out)], out

    def other(what, change, attrs=attrs):
        inputs, outputs = [Tensor.of(a) for a in arrays], [Tensor.of(out)]
        inputs, outputs = change(inputs, outputs) or (inputs, outputs)
        return what, attrs, arrays, inputs, outputs, out

    def setting(side, at, **fields):
        def change(inputs, outputs):
            for name, value in fields.items():
                setattr((inputs, outputs)[side][at], name, value)

        return change

    for i in range(len(arrays)):
        for field, values in (("dtype", (-1, 1, 5, 1 << 30)), ("ndim", (-1, 0, 3, 9, 1 << 30)), ("data", (None,))):
            for value in values:
                yield other(f"{field} {value} of input {i}", setting(0, i, **{field: value}))
        for size in (-1, 0, 1 << 40, (1 << 63) - 1):
            shape = (ctypes.c_int64 * 8)(*[size] * 8)
            yield other(f"size {size} of input {i}", setting(0, i, shape=shape))
    for field, value in (("dtype", 4), ("ndim", 1), ("data", None), ("shape", (ctypes.c_int64 * 8)(1, 1))):
        yield other(f"{field} of the output", setting(1, 0, **{field: value}))
    yield other("an input less", lambda inputs, outputs: (inputs[:-1], outputs))
    yield other("an output more", lambda inputs, outputs: (inputs, outputs * 2))
    for name in attrs:
        rest = {k: v for k, v in attrs.items() if k != name}
        yield other(f"no attribute {name}", lambda *sides: sides, rest)
    yield other("a choice that is none", lambda *sides: sides, {**attrs, "output": 4})
    wild = np.full_like(arrays[1], -1)  # a mantissa is positive
    arrays.append(wild)
    yield other("a value out of range", setting(0, 1, data=wild.ctypes.data))


def test_is_a_broken_call_refused_and_never_a_crash(device):
    (_, attrs, _, inputs, outputs, _), *broken = [*broken_calls()]
    assert device.raw("rescale_token", attrs, inputs, outputs) == 0
    assert len(broken) > 60
    for what, attrs, _, inputs, outputs, _ in broken:
        assert device.raw("rescale_token", attrs, inputs, outputs) == 2, what
    assert device.raw("no_such_op", {}, [], []) == 1


@pytest.mark.parametrize("op", OPS)
def test_are_wrong_axes_and_values_refused(device, op):
    """The rules that every op has, C2 and C3, and every cross constraint."""
    first, count = cases(op)[0], 0
    shapes = {k: v.shape for k, v in intref.call(op, first.tensors, first.attrs).items()}
    assert OPS[op].constraints.keys() <= refused(op).keys()
    labels = sorted({"C2", "C3", *OPS[op].constraints} & refused(op).keys())
    for change in (broken for label in labels for broken in refused(op)[label]):
        tensors = {k: change.get(k, v) for k, v in first.tensors.items()}
        attrs = {**first.attrs, **{k: v for k, v in change.items() if k in OPS[op].attrs}}
        dtypes = OPS[op].output_dtypes({k: v.dtype.name for k, v in tensors.items()}, OPS[op].complete(attrs))
        assert device.run(op, tensors, attrs, {k: (dtypes[k], shape) for k, shape in shapes.items()})[0] == 2, change
        count += 1
    assert count


def call_near_a_limit(op, draw):
    """Tensors and attributes of the first case, drawn close to powers of two and to the ends of what is allowed."""

    def value(low, high):
        wide = int(draw.choice([1, -1])) * ((1 << int(draw.integers(0, 63))) + int(draw.integers(-1, 2)))
        return low if draw.integers(8) == 0 else high if draw.integers(8) == 0 else min(max(wide, low), high)

    first = cases(op)[0]
    tensors, attrs = dict(first.tensors), OPS[op].complete(first.attrs)
    for name in draw.permutation([*tensors, *attrs])[:3]:
        if name in tensors:
            dtype = tensors[name].dtype
            ends = OPS[op].inputs[name].range(dtype.name)
            drawn = [value(*ends) for _ in range(tensors[name].size)]
            tensors[name] = np.array(drawn, dtype).reshape(tensors[name].shape)
        else:
            attr = OPS[op].attrs[name]
            attrs[str(name)] = str(draw.choice(attr.choices)) if attr.choices else value(attr.low, attr.high)
    return tensors, attrs


@pytest.mark.parametrize("op", [name for name in OPS if OPS[name].constraints])
def test_do_the_c_and_the_op_s_own_check_refuse_the_same_calls(device, op):
    draw = np.random.default_rng(7)
    shapes = {k: v.shape for k, v in intref.call(op, cases(op)[0].tensors, cases(op)[0].attrs).items()}
    for _ in range(60):
        tensors, attrs = call_near_a_limit(op, draw)
        dtypes = OPS[op].output_dtypes({k: v.dtype.name for k, v in tensors.items()}, attrs)
        try:
            expected, said = intref.call(op, tensors, attrs), ""
        except (BoundError, SpecError) as error:
            expected, said = None, str(error)
        made = {k: v.shape for k, v in expected.items()} if expected else shapes
        code, found = device.run_as_it_is(op, tensors, attrs, {k: (dtypes[k], shape) for k, shape in made.items()})
        assert code == (0 if expected else 2), (said, tensors, attrs)
        for name, value in (expected or {}).items():
            np.testing.assert_array_equal(found[name], value)


def test_are_outputs_of_another_shape_and_attributes_too_many_refused(device):
    x, y = np.zeros((3, 2), np.int8), np.zeros((2, 3), np.int8)
    attrs = {"low": -5, "high": 5}
    assert device.raw("clamp", attrs, [Tensor.of(x)], [Tensor.of(x.copy())]) == 0
    assert device.raw("clamp", attrs, [Tensor.of(x)], [Tensor.of(y)]) == 2
    assert device.raw("clamp", {**attrs, "axis": 0}, [Tensor.of(x)], [Tensor.of(y.T.copy())]) == 2
    names, values = (ctypes.c_char_p * 3)(b"low", b"high", b"low"), (ctypes.c_int64 * 3)(-5, 5, -5)
    assert device.function(b"clamp", 3, names, values, 1, Tensor.of(x), 1, Tensor.of(x.copy())) == 2


def unreadable(tensors, attrs):
    return sorted(attrs) == ["low"]


def test_is_a_rule_that_has_no_c_said_to_be_unchecked(source):
    ports = {"inputs": {"x": Port("int8", "...")}, "outputs": {"y": Port("int64", "...")}}
    op = Op(one_more, **ports, attrs={}, constraints={"C5": ("x must be odd", unreadable)})
    assert "Not checked here: C5 x must be odd" in c_function(op, {})
    assert "ot checked here:" not in source  # every rule has one


@needs_compiler
def test_leaves_a_fixed_attribute_only_its_own_calls(tmp_path):
    source = c_source(["rescale"], {"rounding": "half_up", "output": "int8"})
    assert "gemmlowp" not in source.split("static int op_rescale")[1] and "scale_fp32(int64_t" not in source
    device = Library(compiled(source, tmp_path / "fixed"))
    codes = {}
    for case in intref.golden.read_golden(SUITE / "ops" / "rescale").cases:
        rows = {k: (v.dtype.name, v.shape) for k, v in case.outputs.items()}
        code, found = device.run("rescale", case.inputs, case.attrs, rows)
        own = case.attrs["rounding"] == "half_up" and case.attrs["output"] == "int8"
        assert code == (0 if own else 1)
        assert not own or np.array_equal(found["y"], case.outputs["y"])
        codes[own] = codes.get(own, 0) + 1
    assert min(codes.values()) > 5


@needs_compiler
@pytest.mark.parametrize("op", OPS)
def test_is_the_c_of_one_op_alone_complete_and_without_a_spare_part(op, tmp_path):
    compiled(c_source([op]), tmp_path / op, "-fsyntax-only")


def test_is_the_same_definition_the_same_bytes_in_every_process(source):
    code = "import sys; from intref.emit import c_source; sys.stdout.write(c_source())"
    for seed in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        made = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert made.stdout == source


def test_is_every_line_of_c_ascii_and_of_a_page_s_width(source):
    assert source.isascii()
    assert max(map(len, source.splitlines())) <= 240  # the clips of a convolution are long
    assert c_header() in source


def test_is_nothing_in_it_that_c99_lacks_and_no_float(source):
    code = re.sub(r"/\*.*?\*/", "", source, flags=re.S)
    assert not re.search(r"\b(float|double|__\w+|typeof|asm|malloc|long)\b|//|\d\.\d", code)
    assert set(re.findall(r"#include (\S+)", code)) == {"<stdint.h>", "<string.h>"}


@pytest.mark.parametrize("op", OPS)
def test_has_the_c_the_formula_and_the_names_of_the_body(source, op):
    comment, text = source.split(f"static int op_{op}(")
    assert "\n".join(f"   {line}".rstrip() for line in OPS[op].spec.splitlines()).strip() in comment
    text = text.split("\n}\n")[0]
    for name in computed_names(op):
        assert f" {name} = " in text or f"({name}, " in text, name


def computed_names(op):
    """The variables of a body that hold an arithmetic result, rather than a view, a size or a constant."""
    body = ast.parse(textwrap.dedent(inspect.getsource(OPS[op].reference)))
    for node in ast.walk(body):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            arithmetic = isinstance(node.value, ast.BinOp) or ast.unparse(node.value).startswith(("saturate", "isqrt"))
            if arithmetic and node.targets[0].id not in OPS[op].attrs and ast.unparse(node.value) != "fraction - 6":
                yield node.targets[0].id


def test_says_a_range_as_a_sum_of_powers_of_two():
    assert proved(-(1 << 31), (1 << 31) - 1) == "-2^31 .. 2^31 - 1"
    assert proved(0, 255 << 30) == "0 .. 2^38 - 2^30"
    assert proved(7, 7) == "7"
    assert proved(-1023, 123456) == "-1023 .. 123456"


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    """The functions of vocabulary.c, visible."""
    if COMPILER is None:
        pytest.skip("no C compiler")
    source = c_header() + piece("program.c") + piece("vocabulary.c")
    strict = ["-std=c99", "-Dstatic=", "-w", "-shared", "-fPIC"]
    library = ctypes.CDLL(str(compiled(source, tmp_path_factory.mktemp("vocabulary"), strict=strict)))
    return lambda name, *args: signed(library, name)(*map(ctypes.c_int64, args))


def signed(library, name):
    function = getattr(library, name)
    function.restype = ctypes.c_int64
    return function


WIDE = st.one_of(
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.builds(lambda k, d: max(min((1 << k) + d, (1 << 63) - 1), 0), st.integers(0, 63), st.integers(-3, 3)),
    st.builds(lambda k, d: max(-(1 << k) + d, -(1 << 63)), st.integers(0, 63), st.integers(-3, 3)),
)
INT32 = WIDE.map(lambda x: (x & intmath.MASK32) - (1 << 31))
RULES = st.sampled_from([*ROUNDS_UP])
FITS = range(-(1 << 63), 1 << 63)


def agrees(vocabulary, name, args, expected):
    if expected in FITS:
        assert vocabulary(name, *args) == expected


@settings(DRAWN, max_examples=400)
@given(x=WIDE, m=INT32, shift=st.integers(0, 94), d=WIDE, rule=RULES)
def test_are_the_rounded_functions_exact_on_any_operands(vocabulary, x, m, shift, d, rule):
    code, divisor = [*ROUNDS_UP].index(rule), min(abs(d), (1 << 62) - 1) or 1
    agrees(vocabulary, "mul_shift", (x, m, shift, code), intmath.MUL_SHIFT[rule](x, m, shift))
    agrees(vocabulary, "divide", (x, divisor, code), intmath.DIVIDE[rule](x, divisor))
    agrees(vocabulary, "div_half_up", (x, divisor), (2 * x + divisor) // (2 * divisor))
    agrees(vocabulary, "shift_half_up", (x, min(shift, 63)), shift_half_up(x, min(shift, 63)))


@settings(DRAWN, max_examples=400)
@given(x=WIDE, y=WIDE, s=st.integers(0, 63), pattern=INT32)
def test_are_the_plain_functions_exact_on_any_operands(vocabulary, x, y, s, pattern):
    wrapped = lambda v: (v + (1 << 63)) % (1 << 64) - (1 << 63)  # noqa: E731
    agrees(vocabulary, "wrap_add", (x, y), wrapped(x + y))
    agrees(vocabulary, "wrap_subtract", (x, y), wrapped(x - y))
    agrees(vocabulary, "wrap_multiply", (x, y), wrapped(x * y))
    agrees(vocabulary, "shift_left", (x, s), wrapped(x << s))
    agrees(vocabulary, "shift_right", (x, s), x >> s)
    agrees(vocabulary, "floor_divide", (x, abs(y) or 1), x // (abs(y) or 1))
    agrees(vocabulary, "floor_remainder", (x, abs(y) or 1), x % (abs(y) or 1))
    agrees(vocabulary, "wrap_int32", (x,), intmath.WRAP_INT32(x))
    agrees(vocabulary, "absolute", (x,), abs(x))
    agrees(vocabulary, "square", (s - 32,), (s - 32) ** 2)
    if x >= 0:
        agrees(vocabulary, "isqrt", (x,), intmath.ISQRT(x))
        agrees(vocabulary, "bitlen", (x,), x.bit_length())
    if x > FITS[0] and pattern >> 23 & 255 < 255 and abs(expected := intmath.SCALE_FP32(x, pattern)) <= 1 << 62:
        agrees(vocabulary, "scale_fp32", (x, pattern), expected)


@needs_compiler
@pytest.mark.parametrize("name", ["w8a8-token", "ibert"])
def test_has_a_whole_model_its_bits(name, tmp_path):
    package = SUITE / "models" / "sentiment" / name
    report = judge(package, f"so:{compiled(c_model(intref.open(package / 'model.safetensors')), tmp_path, '-O0')}")
    assert report.verdict == "equal"
    assert {case.mode for case in report.cases} == {"isolated", "cumulative"}


@needs_compiler
def test_is_a_model_with_one_other_constant_found_out(tmp_path):
    package = SUITE / "models" / "sentiment" / "ibert"
    right = c_model(intref.open(package / "model.safetensors"))
    first = re.compile(r"(/\* classifier\.linear\.bias \*/\n.*\n +)(-?\d+)")
    wrong, count = first.subn(lambda found: f"{found[1]}{int(found[2]) + 4000}", right)
    assert count == 1
    assert judge(package, f"so:{compiled(wrong, tmp_path, '-O0')}").verdict == "differs"


@needs_compiler
def test_is_a_model_written_whose_outputs_are_inputs_and_constants_of_any_name(tmp_path):
    tensors = {"x": info("int8", (2, 3), -9, 9), "y": info("int8", (2, 3), -5, 5)}
    tensors["/* c */ é"] = info("int64", (4,), -(1 << 62), 1 << 62)
    tensors["d"] = info("int32", (2,), -(1 << 31), (1 << 31) - 1)
    constants = {
        "/* c */ é": np.array([-(1 << 62), 1 << 62, -(1 << 31), 7]),
        "d": np.array([-(1 << 31), (1 << 31) - 1], np.int32),
    }
    node = Node("clamp", {"x": "x"}, {"y": "y"}, {"low": -5, "high": 5}, site="*/ at ??/\n")
    public = {"a": "d", "b": "x", "c": "/* c */ é", "d": "y"}
    model = Model((node,), tensors, constants, {"x": None}, public, {})
    model.validate()
    device = Library(compiled(c_model(model), tmp_path))
    x = np.array([[-9, -5, 0], [5, 6, 9]], np.int8)
    made = [np.zeros_like(v) for v in (constants["d"], x, constants["/* c */ é"], x)]
    assert device.raw("model", {}, [Tensor.of(x)], [*map(Tensor.of, made)]) == 0
    for (_, value), found in zip(sorted(model.run({"x": x}, backend="reference").outputs.items()), made):
        np.testing.assert_array_equal(found, value)
    wild = np.full_like(x, 10)  # beyond what the model declares of its input
    assert device.raw("model", {}, [Tensor.of(wild)], [*map(Tensor.of, made)]) == 2


def to_a_power(x):
    return {"y": x**2 + 1}


def in_a_loop(x):
    while x is not None:
        x = x + 1
    return {"y": x}


def doubled(x):
    return x + x


def with_a_function(x):
    twice = doubled(x)
    return {"y": twice}


def branching(x, *, first, second, amount):
    if first == "a":
        y = x + amount
    elif first in ("b", "c"):
        y = x - amount if second == "up" else x * 2
    else:
        y = -x
    if second != "up":
        y += 1
    return {"y": y}


@needs_compiler
def test_is_every_way_through_a_body_taken_under_its_own_condition(tmp_path, monkeypatch):
    choices = {"first": ("a", "b", "c", "d"), "second": ("up", "down")}
    attrs = {**{name: Attr(choices=values) for name, values in choices.items()}, "amount": Attr(0, 1 << 40)}
    op = Op(branching, inputs={"x": Port("int32", "... D")}, attrs=attrs, outputs={"y": Port("int64", "... D")})
    monkeypatch.setitem(OPS, "branching", op)
    device = Library(compiled(c_source(["branching"]), tmp_path))
    x = np.array([[-(1 << 31), -1, 0], [1, 5, (1 << 31) - 1]], np.int32)
    for first, second, amount in product(choices["first"], choices["second"], (0, 3, 1 << 40)):
        chosen = {"first": first, "second": second, "amount": amount}
        code, found = device.run("branching", {"x": x}, chosen, {"y": ("int64", x.shape)})
        assert code == 0
        np.testing.assert_array_equal(found["y"], branching(x.astype(np.int64), **chosen)["y"])


def horner(x):
    y = 0 * x
    for power, factor in enumerate((3, -1, 2)):
        for _ in range(power):
            y = 2 * y
        y = y * (x & 15) + factor
    return {"y": y}


@needs_compiler
def test_is_a_loop_over_constants_unrolled(tmp_path, monkeypatch):
    op = Op(horner, inputs={"x": Port("int8", "... D")}, attrs={}, outputs={"y": Port("int64", "... D")})
    monkeypatch.setitem(OPS, "horner", op)
    device = Library(compiled(c_source(["horner"]), tmp_path))
    x = np.arange(-128, 128).astype(np.int8)
    code, found = device.run("horner", {"x": x}, {}, {"y": ("int64", x.shape)})
    assert code == 0
    np.testing.assert_array_equal(found["y"], horner(x.astype(np.int64))["y"])


def one_more(x):
    return {"y": x + 1}


@needs_compiler
@pytest.mark.parametrize("dtype", DTYPES[:4])
def test_is_a_result_that_its_dtype_does_not_hold_refused(dtype, tmp_path, monkeypatch):
    op = Op(one_more, inputs={"x": Port("int64", "...")}, attrs={}, outputs={"y": Port(dtype, "...")})
    monkeypatch.setitem(OPS, "one_more", op)
    device = Library(compiled(c_source(["one_more"]), tmp_path))
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    for value, code in ((low, 0), (high, 0), (low - 1, 2), (high + 1, 2), (-(1 << 63), 2)):
        x = np.array(max(value - 1, -(1 << 63)))
        found, made = device.run("one_more", {"x": x}, {}, {"y": (dtype, ())})
        assert found == code
        assert code or made["y"] == value


def wide(body):
    return Op(body, inputs={"x": Port("int64", "... D")}, attrs={}, outputs={"y": Port("int64", "... D")})


@pytest.mark.parametrize("body, said", [(to_a_power, "no C for Pow"), (in_a_loop, "`while x is not None")])
def test_is_a_body_that_cannot_be_written_refused_by_its_line(body, said):
    with pytest.raises(Unsupported, match=f"{body.__name__}: cannot be written in C: .*{said}"):
        c_function(wide(body), {})


def test_is_a_sum_that_no_range_proves_written_so_that_it_is_defined():
    assert "const int64_t twice = wrap_add(x[row * D + iD], x[row * D + iD]);" in c_function(wide(with_a_function), {})


def test_are_unknown_ops_and_attributes_refused():
    for names, attrs, said in (
        (["nothing"], {}, "there is no such op"),
        (["linear"], {"rounding": "half_up"}, "'rounding'"),
        (["rescale"], {"rounding": "up"}, "must be in"),
        (["rescale"], {"axis": 8}, "must be in"),
        (["clamp"], {"low": 5, "high": -5}, "low <= high"),
        (["add"], {"output": "int8", "low": -129}, "low <= high"),
        (["softmax_ibert"], {"b": 2, "ln2": 3}, "b >= ln2"),
    ):
        with pytest.raises(SpecError, match=said):
            c_source(names, attrs)


def run(capsys, *words):
    code = main(["emit", "c", *map(str, words)])
    return code, *capsys.readouterr()


def test_does_the_command_write_the_c_and_its_header(tmp_path, capsys):
    code, out, _ = run(capsys, "linear", "rescale", "--attr", "rounding=half_even", "-o", tmp_path / "two.c", "--json")
    assert (code, json.loads(out)["ops"]) == (0, ["linear", "rescale"])
    assert (tmp_path / "two.c").read_text() == c_source(["linear", "rescale"], {"rounding": "half_even"})
    assert (tmp_path / "two.h").read_text() == c_header()
    code, out, _ = run(capsys, "--all", "-o", tmp_path)
    assert code == 0 and "intref verify suite:ops --dut so:" in out
    assert (tmp_path / "ops.c").read_text() == c_source()
    spaced = tmp_path / "a place"
    code, out, _ = run(capsys, "clamp", "-o", spaced)
    assert code == 0 and f"'{spaced}/ops.c'" in out and f"--dut 'so:{spaced}/ops.so'" in out
    code, out, _ = run(capsys, "clamp")
    assert (code, out) == (0, c_source(["clamp"]))
    model = SUITE / "models" / "sentiment" / "ibert" / "model.safetensors"
    assert run(capsys, model, "-o", tmp_path / "model.c")[0] == 0
    assert (tmp_path / "model.c").read_text() == c_model(intref.open(model))


@pytest.mark.parametrize(
    "words, said",
    [
        ([], "give the names of ops"),
        (["linear", "--all"], "give the names of ops"),
        (["linea"], "near: linear"),
        (["absent.safetensors"], "cannot be read"),
        (["absent.safetensors", "linear"], "stands alone"),
        (["rescale", "--attr", "low"], "expected NAME=VALUE"),
        (["rescale", "--attr", "low=x"], "must be in"),
        (["rescale", "--attr", "lo=1"], "'lo'"),
        (["rescale", "-o", "absent/x.c"], "is not a directory"),
        (["rescale", "-o", "taken"], "ends in .c"),
    ],
)
def test_is_a_wrong_command_one_line(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("mine")
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert said in err and err.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]
