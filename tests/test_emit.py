"""Does the C that is written from an op's definition have its bits, and refuse what its contract refuses?"""

import ctypes
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import intref
from emitted import COMPILER, Library, Tensor, compiled, needs_compiler
from intref import OPS, judge
from intref.devices.device import Request, attribute_codes
from intref.emit import c_source
from intref.errors import BoundError, SpecError
from intref.golden import suite_path
from intref.testing.strategies import calls
from intref.vectors import cases, refused

DRAWN = settings(derandomize=True, database=None, deadline=None, suppress_health_check=[*HealthCheck])
SUITE = suite_path()


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
