"""Is the ONNX form of every op the op, bit for bit, by an engine that no one here wrote?"""

import json
import platform

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intref import OPS, call, errors
from intref.golden import export, read_golden, suite_path

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

from intref.devices.onnxruntime import session  # noqa: E402
from intref.golden.onnx import lower_call, lower_model  # noqa: E402
from intref.report.machine import machine  # noqa: E402
from intref.testing.strategies import calls  # noqa: E402
from twins import outcome  # noqa: E402

SUITE = suite_path()
DRAWN = settings(derandomize=True, database=None, deadline=None, suppress_health_check=[*HealthCheck])
MODELS = sorted(p.parent.name for p in SUITE.joinpath("models", "sentiment").glob("*/manifest.json"))


# Without these instructions ONNX Runtime adds pairs of uint8 x int8 products in 16 bits, which saturate.
EXACT = platform.machine() not in ("x86_64", "AMD64") or {"avx_vnni", "avx512_vnni"} & {*machine()["features"]}


def is_unsigned_product(inputs) -> bool:
    return any(inputs[port].dtype == np.uint8 for port in ("x", "a") if port in inputs) and {*inputs} & {"weight", "b"}


def ran(lowered, inputs):
    """What ONNX Runtime makes of a lowered call, by output."""
    given_ports = {name: np.array(inputs[name], order="C") for name in lowered.inputs}
    return dict(zip(lowered.outputs, session(lowered.model.SerializeToString()).run([*lowered.outputs], given_ports)))


def assert_equal(found, golden):
    assert found.keys() == golden.keys()
    for port, want in golden.items():
        assert (found[port].dtype, found[port].shape) == (want.dtype, want.shape)
        assert np.array_equal(found[port], want)


@pytest.mark.parametrize("name", OPS)
def test_is_every_case_of_the_suite_the_same(name):
    cases = [case for case in read_golden(SUITE / "ops" / name).cases if EXACT or not is_unsigned_product(case.inputs)]
    for case in cases[:: 1 + len(cases) // 12]:
        assert_equal(ran(lower_call(name, case.inputs, case.attrs), case.inputs), case.outputs)


@pytest.mark.parametrize("name", OPS)
def test_is_any_legal_call_the_same(name):
    def check(drawn):
        tensors, attrs = drawn
        golden = outcome(name, tensors, attrs, "reference")
        if not isinstance(golden, str) and (EXACT or not is_unsigned_product(tensors)):
            assert_equal(ran(lower_call(name, tensors, OPS[name].complete(attrs)), tensors), golden)

    settings(DRAWN, max_examples=4)(given(calls(name))(check))()


@st.composite
def epilogues(draw):
    """The float32 epilogue to int8: zero points, scales of one or of each channel, accumulators above 2**24."""
    dtype = draw(st.sampled_from(["int8", "uint8", "int32"]))
    ends = np.iinfo(dtype)
    shape = draw(st.sampled_from([(7,), (3, 5), (2, 3, 4)]))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    count = draw(st.sampled_from([1, shape[axis]]))
    x = rng.integers(ends.min, ends.max, shape, endpoint=True) >> draw(st.sampled_from([0, 0, 7, 20]))
    scale = np.ldexp(rng.uniform(0.5, 1, count), int(rng.integers(-34, 2))).astype(np.float32)
    zero = 0 if dtype == "int32" else draw(st.integers(int(ends.min), int(ends.max)))
    tensors = {"x": x.astype(dtype), "multiplier": scale.view(np.int32), "shift": np.zeros(1, np.int8)}
    attrs = {"rounding": "fp32_half_even", "output": "int8", "axis": axis, "input_zero_point": zero}
    return tensors, {**attrs, "output_zero_point": draw(st.integers(-128, 127))}


@settings(DRAWN, max_examples=60)
@given(epilogues())
def test_is_the_float_epilogue_a_quantize_chain(drawn):
    tensors, attrs = drawn
    lowered = lower_call("rescale", tensors, OPS["rescale"].complete(attrs))
    assert lowered.kinds == ("DequantizeLinear", "QuantizeLinear")
    assert_equal(ran(lowered, tensors), call("rescale", tensors, attrs))


IDIOMATIC = {
    "linear": ("Add", "MatMulInteger"),
    "matmul": ("MatMulInteger",),
    "embedding": ("Gather",),
    "transpose": ("Transpose",),
    "split_heads": ("Reshape", "Transpose"),
    "clamp": ("Clip",),
    "select_token": ("Gather",),
}


@pytest.mark.parametrize("name", IDIOMATIC)
def test_has_a_standard_op_its_standard_form(name):
    found = {lower_call(name, c.inputs, c.attrs).kinds for c in read_golden(SUITE / "ops" / name).cases}
    assert IDIOMATIC[name] in found


@pytest.mark.parametrize("name", MODELS)
def test_is_a_whole_model_the_same(name, tmp_path):
    package = read_golden(SUITE / "models" / "sentiment" / name)
    lowered = lower_model(package.model, package.inputs, [*package.tensors])
    found = ran(lowered, package.inputs)
    public = {key: package.available[tensor] for key, tensor in package.model.outputs.items()}
    inner = {key: t for key, t in package.tensors.items() if key not in package.model.outputs.values()}
    assert_equal(found, {**inner, **public})


def test_is_a_model_right_on_inputs_that_it_was_not_lowered_for():
    """Ranges come from the model's proof, not from the data of one package."""
    package = read_golden(SUITE / "models" / "sentiment" / "ibert")
    lowered = lower_model(package.model, package.inputs)
    ids, mask = package.inputs["input_ids"], package.inputs["attention_mask"]
    other = {"input_ids": (ids * 7 + 3) % package.model.constants["emb.word.table"].shape[0], "attention_mask": mask}
    other = {name: other.get(name, t).astype(t.dtype) for name, t in package.inputs.items()}
    assert_equal(ran(lowered, other), package.model.run(other, backend="reference").outputs)


def used(graph) -> set[str]:
    return {name for node in graph.node for name in node.input} | {output.name for output in graph.output}


@pytest.mark.parametrize("name", OPS)
def test_has_a_graph_only_what_its_outputs_need(name):
    for case in read_golden(SUITE / "ops" / name).cases[:3]:
        graph = lower_call(name, case.inputs, case.attrs).model.graph
        made = {constant.name for constant in graph.initializer} | {n for node in graph.node for n in node.output}
        assert made <= used(graph)


def loaded(path):
    """name -> array of every file of a data set, in the order of their numbers."""
    found = {}
    for kind in ("input", "output"):
        for i in range(len([*path.glob(f"{kind}_*.pb")])):
            proto = onnx.TensorProto.FromString(path.joinpath(f"{kind}_{i}.pb").read_bytes())
            found[proto.name] = onnx.numpy_helper.to_array(proto)
    return found


@pytest.mark.parametrize("name", ["linear", "softmax_ibert", "quantize_token"])
def test_is_a_backend_test_folder_what_it_should_be(name, tmp_path):
    for copy in ("a", "b"):
        export(SUITE / "ops" / name, tmp_path / copy, "onnx", tensors=f"{name}-000[0-5]/*")
    index = json.loads(tmp_path.joinpath("a", "export.json").read_text())
    cases = {case.id: case for case in read_golden(SUITE / "ops" / name).cases[:6]}
    assert {row["name"] for row in index["folders"]} == cases.keys() and index["not_expressible"] == []
    for row in index["folders"]:
        folder, case = tmp_path / "a" / row["folder"], cases[row["name"]]
        model = onnx.load(folder / "model.onnx")
        onnx.checker.check_model(model, full_check=True)
        assert {o.domain for o in model.opset_import} == {""} and case.id in model.graph.doc_string
        data = loaded(folder / "test_data_set_0")
        assert [i.name for i in model.graph.input] == row["inputs"] and [o.name for o in model.graph.output]
        made = session(str(folder / "model.onnx")).run(row["outputs"], {k: data[k] for k in row["inputs"]})
        assert_equal(dict(zip(row["outputs"], made)), case.outputs)
        assert all(np.array_equal(data[k], v) for k, v in {**case.inputs, **case.outputs}.items() if k in data)
    files = [p.relative_to(tmp_path / "a") for p in tmp_path.joinpath("a").rglob("*") if p.is_file()]
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)


def test_is_the_reference_evaluator_of_the_standard_of_one_mind():
    """ONNX's own evaluator, in Python: a second reader of the same graphs."""
    from onnx.reference import ReferenceEvaluator

    for name in ("linear", "table", "rescale_token", "positions"):
        for case in read_golden(SUITE / "ops" / name).cases[:4]:
            lowered = lower_call(name, case.inputs, case.attrs)
            inputs = {port: case.inputs[port] for port in lowered.inputs}
            made = ReferenceEvaluator(lowered.model).run([*lowered.outputs], inputs)
            assert_equal(dict(zip(lowered.outputs, made)), case.outputs)


def test_is_a_scale_that_is_computed_the_float32_with_its_bits():
    from intref.golden.onnx.graph import Graph
    from intref.golden.onnx.lower import Tensor, lower_op

    rng = np.random.default_rng(3)
    x = rng.integers(-(1 << 31), 1 << 31, 4000)
    scale = (rng.integers(97, 126, x.shape) << 23 | rng.integers(0, 1 << 23, x.shape)) - (x % 2 << 31)
    x, scale = x.astype(np.int32), scale.astype(np.int32)
    scale[:5] = [0, 1, 1 << 23, -(1 << 31), (1 << 23) - 1]
    attrs = OPS["rescale"].complete({"rounding": "fp32_half_even", "output": "int32"})
    graph = Graph("g")
    operands = {n: Tensor(graph.input(n, "int32", x.shape), "int32", x.shape, -(1 << 31), (1 << 31) - 1) for n in "xm"}
    operands = {"x": operands["x"], "multiplier": operands["m"], "shift": np.zeros(1, np.int8)}
    y = lower_op(graph, OPS["rescale"], operands, attrs)["y"]
    graph.output("y", y.name, y.dtype, y.shape)
    (made,) = session(graph.model("").SerializeToString()).run(["y"], {"x": x, "m": scale})
    want = call("rescale", {"x": x, "multiplier": scale, "shift": np.zeros(1, np.int8)}, attrs)["y"]
    assert_equal({"y": made}, {"y": want})


def test_are_factors_of_more_than_56_bits_refused_with_the_reason():
    from intref.golden.onnx.graph import Graph
    from intref.golden.onnx.value import Value, whole
    from intref.intmath import mul_shift

    graph = Graph("g")
    x, m = (Value(graph, graph.input(n, "int64", (3,)), (3,), whole(-1, 1 << 56)) for n in "xm")
    with pytest.raises(errors.Unsupported, match="more than 56 bits"):
        mul_shift(x, m, 94, "floor")
