"""Do networks with residuals come in with the bits that ONNX Runtime has for their sums?"""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import intref
from intref.report.machine import machine

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402 (what is skipped above is not imported)

from test_importing import (  # noqa: E402
    LEVELS,
    MICROSOFT,
    both,
    giving,
    judged_by_onnxruntime,
    network,
    node,
    numbers,
    refused,
)

CODES = {"int8": TensorProto.INT8, "uint8": TensorProto.UINT8, "int16": TensorProto.INT16}
fused = pytest.mark.skipif("avx2" not in machine()["features"], reason="QLinearAdd rounds otherwise without AVX2")


def mlp(stream):
    """A block of two products around a Relu, its input added, Relu; a head with a bias of its own."""
    sizes = {"up": (12, 16), "u": 16, "down": (16, 12), "d": 12, "head": (12, 5), "h": 5}
    weights = {k: (stream.normal(size=n) / 4).astype(np.float32) for k, n in sizes.items()}
    nodes = [
        node("Gemm", "x up u", "a"), node("Relu", "a", "b"), node("Gemm", "b down d", "c"), node("Add", "c x", "s"),
        node("Relu", "s", "t"), node("MatMul", "t head", "m"), node("Add", "m h", "y"),
    ]  # fmt: skip
    return nodes, weights, [40, 12]


def convolutional(stream):
    """A stem, then two branches of convolutions that are added, Relu, MaxPool."""
    sizes = {"stem": (4, 3, 3, 3), "i": 4, "main": (4, 4, 3, 3), "j": 4, "short": (4, 4, 1, 1)}
    weights = {k: (stream.normal(size=n) / 3).astype(np.float32) for k, n in sizes.items()}
    nodes = [
        node("Conv", "x stem i", "a", pads=[1] * 4), node("Relu", "a", "b"),
        node("Conv", "b main j", "c", pads=[1] * 4), node("Conv", "b short", "d"), node("Add", "c d", "s"),
        node("Relu", "s", "t"), node("MaxPool", "t", "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", "p", "y"),
    ]  # fmt: skip
    return nodes, weights, [4, 3, 8, 6]


def quantized(tmp_path, made, form, dtype, each):
    """A float network as ONNX Runtime's own tool quantizes it, and a batch for it."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Batches(CalibrationDataReader):
        def __init__(self, batches):
            self.left = iter(batches)

        def get_next(self):
            return next(self.left, None)

    stream = np.random.default_rng(0)
    nodes, weights, sizes = made(stream)
    path = giving(network(tmp_path / "f.onnx", nodes, {"x": (TensorProto.FLOAT, sizes)}, **weights), TensorProto.FLOAT)
    x = stream.normal(size=sizes).astype(np.float32)
    kinds = {"activation_type": QuantType[f"Q{dtype}"], "weight_type": QuantType.QInt8, "per_channel": each}
    quantize_static(path, tmp_path / "q.onnx", Batches([{"x": x}]), QuantFormat[form], **kinds)
    return tmp_path / "q.onnx", np.float32(1.2) * x


def ends(path):
    """(scale, zero point) of the input and of the output of a quantized network."""
    graph = onnx.load(path).graph
    constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    first = next(n for n in graph.node if n.op_type == "QuantizeLinear" and n.input[0] == "x")
    last = next(n for n in graph.node if n.op_type == "DequantizeLinear" and n.output[0] == "y")
    return [[constants[name] for name in n.input[1:3]] for n in (first, last)]


@pytest.mark.parametrize("made", [mlp, convolutional])
@pytest.mark.parametrize("form", ["QDQ", pytest.param("QOperator", marks=fused)])
@pytest.mark.parametrize("dtype, each", [("UInt8", False), ("UInt8", True), ("Int8", False)])
def test_a_network_with_a_residual_has_the_bits_of_onnxruntime(tmp_path, made, form, dtype, each):
    """Left as it is by ONNX Runtime; with its optimizations as well, where no sum of these meets a tie."""
    path, x = quantized(tmp_path, made, form, dtype, each)
    model = intref.import_onnx(path)
    assert sum(n.op == {"QDQ": "add_fp32", "QOperator": "qlinear_add"}[form] for n in model.nodes) >= 1
    (scale, zero), (out, offset) = ends(path)
    low, high = np.iinfo(zero.dtype).min, np.iinfo(zero.dtype).max
    (y,) = both(model, {"x": np.clip(np.rint(x / scale) + zero, low, high).astype(zero.dtype)})
    real = (y.astype(np.int32) - offset).astype(np.float32) * out
    for level in LEVELS if form == "QOperator" else (LEVELS[0], LEVELS[3]):
        options = runtime.SessionOptions()
        options.graph_optimization_level = getattr(runtime.GraphOptimizationLevel, level)
        options.log_severity_level = 4
        options.add_session_config_entry("session.qdqisint8allowed", "1")
        session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        np.testing.assert_array_equal(real, session.run(None, {"x": x})[0], level)


SCALES = {"sa": np.float32(0.1), "sb": np.float32(0.3), "sy": np.float32(0.2)}  # most sums are close to a tie


def zeros(dtype):
    low = np.iinfo(dtype).min
    return {name: np.array(low + n, dtype) for name, n in (("za", 117), ("zb", 140), ("zy", 100))}


def pairs(dtype):
    every = np.arange(np.iinfo(dtype).min, np.iinfo(dtype).max + 1).astype(dtype)
    return [v.ravel() for v in np.meshgrid(every, every)]


def between(*middle):
    """Nodes from DequantizeLinear of x and z to QuantizeLinear; middle: from xf and zf to p."""
    return [node("DequantizeLinear", "x sa za", "xf"), node("DequantizeLinear", "z sb zb", "zf"), *middle,
            node("QuantizeLinear", "p sy zy")]  # fmt: skip


SUMS = {
    "Add": [node("Add", "xf zf", "p")],
    "Add, Relu": [node("Add", "xf zf", "s"), node("Relu", "s", "p")],
    "Relu, Add": [node("Relu", "zf", "r"), node("Add", "xf r", "p")],
    "twice": [node("Add", "xf zf", "s"), node("Add", "s xf", "p")],
    "a constant": [node("Add", "xf zf", "s"), node("Add", "c s", "p")],
}


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("name", SUMS)
def test_a_sum_of_what_was_dequantized_is_that_of_float32(tmp_path, name, dtype):
    x, z = pairs(dtype)
    inputs = {k: (CODES[dtype], [65536]) for k in "xz"}
    constants = {**SCALES, **zeros(dtype)} | ({"c": np.float32([0.7])} if name == "a constant" else {})
    path = giving(network(tmp_path / "n.onnx", between(*SUMS[name]), inputs, **constants), CODES[dtype])
    judged_by_onnxruntime(path, {"x": x, "z": z}, levels=LEVELS[:2])


def qlinear(tmp_path, dtype, left, right, **constants):
    made = node("QLinearAdd", "x sa za z sb zb sy zy", domain=MICROSOFT)
    used = {**SCALES, **zeros(dtype), **constants}
    inputs = {k: (CODES[dtype], sizes) for k, sizes in (("x", left), ("z", right)) if sizes}
    return giving(network(tmp_path / "n.onnx", [made], inputs, **used), CODES[dtype])


@fused
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_optimized_a_sum_is_qlinearadd(tmp_path, dtype):
    x, z = pairs(dtype)
    path = qlinear(tmp_path, dtype, [65536], [65536])
    judged_by_onnxruntime(path, {"x": x, "z": z}, levels=LEVELS)
    (ours,) = both(intref.import_onnx(path), {"x": x, "z": z})
    inputs = {k: (CODES[dtype], [65536]) for k in "xz"}
    path = giving(network(tmp_path / "n.onnx", between(*SUMS["Add"]), inputs, **SCALES, **zeros(dtype)), CODES[dtype])
    options = runtime.SessionOptions()
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (theirs,) = session.run(None, {"x": x, "z": z})
    np.testing.assert_array_equal(ours, theirs)
    assert (theirs != both(intref.import_onnx(path), {"x": x, "z": z})[0]).mean() > 0.01


SHAPES = [
    ([5, 64], [5, 64]), ([64, 1], [1, 64]), ([1, 64], [64, 1]), ([1], [9, 64]), ([9, 64], [1]), ([64], [9, 64]),
    ([9, 1], [9, 64]), ([9, 64], [9, 1]), ([1, 8, 1, 1], [2, 8, 4, 9]), ([2, 8, 4, 9], [8, 1, 1]), ([1], [1]),
    ([4, 1, 8], [4, 5, 8]), ([5, 1, 3, 1], [1, 4, 1, 7]), ([9, 1], [1, 1]), ([1, 1], [9, 1]),
]  # fmt: skip


@fused
@pytest.mark.parametrize("x, z", SHAPES, ids=str)
def test_qlinearadd_takes_what_can_be_broadcast(tmp_path, x, z):
    for seed, scale in enumerate((0.1, 0.7, 1.1)):
        scales = {k: np.float32(v * np.float32(scale)) for k, v in SCALES.items()}
        path = qlinear(tmp_path, "uint8", x, z, **scales)
        judged_by_onnxruntime(path, {"x": numbers(x, "uint8", seed), "z": numbers(z, "uint8", seed + 9)}, levels=LEVELS)


@fused
def test_qlinearadd_takes_a_constant(tmp_path):
    path = qlinear(tmp_path, "int8", [5, 64], None, z=numbers((64,), "int8", 1))
    judged_by_onnxruntime(path, {"x": numbers((5, 64), "int8", 2)}, levels=LEVELS)


WRONG = {
    "another dtype of b": ({"zb": np.uint8(0), "z": np.zeros(4, np.uint8)}, "int8, uint8 and int8"),
    "a zero point of another dtype": ({"za": np.uint8(0)}, "a zero point of a of its dtype, int8, found uint8"),
    "a scale for each": ({"sb": np.float32([1, 2])}, "scales of b: one"),
    "a scale far above that of y": ({"sa": np.float32(25.6)}, "at least 2**-14 and below 2**7 times that of y"),
    "a scale far below that of y": ({"sb": np.float32(1e-5)}, "at least 2**-14 and below 2**7 times that of y"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_qlinearadd_does_not_have_is_refused(tmp_path, name):
    constants, expected = WRONG[name]
    made = node("QLinearAdd", "x sa za z sb zb sy zy", domain=MICROSOFT)
    used = {**SCALES, **zeros("int8"), "z": np.zeros(4, np.int8), **constants}
    assert expected in refused(tmp_path, [made], {"x": (TensorProto.INT8, [4])}, **used)


def test_qlinearadd_of_16_bits_is_refused(tmp_path):
    path = qlinear(tmp_path, "int16", [4], [4])
    with pytest.raises(
        intref.errors.Unsupported, match="a, b and y of int8, or of uint8, found int16, int16 and int16"
    ):
        intref.import_onnx(path)


@pytest.mark.parametrize("op", ["Sub", "Mul"])
def test_other_float32_operators_of_two_are_refused(tmp_path, op):
    inputs = {k: (TensorProto.INT8, [4]) for k in "xz"}
    line = refused(tmp_path, between(node(op, "xf zf", "p")), inputs, **SCALES, **zeros("int8"))
    assert f"the_{op}" in line and ("float32 Sub" in line or "float32 Mul of two" in line)


def test_float32s_and_integers_are_not_added(tmp_path):
    inputs = {k: (TensorProto.INT8, [4]) for k in "xz"}
    nodes = [node("DequantizeLinear", "x sa za", "xf"), node("Relu", "z", "r"), node("Add", "xf r")]
    used = {"sa": SCALES["sa"], "za": np.int8(0)}
    assert "expected float32s: an input of the graph, what DequantizeLinear made" in refused(
        tmp_path, nodes, inputs, **used
    )


BOTH_WAYS = [node("QuantizeLinear", "x sa za", "q"), node("DequantizeLinear", "q sa za", "f")]


@pytest.mark.parametrize("sum_of", ["x f", "f x"])
def test_an_input_is_not_quantized_and_added_as_it_is(tmp_path, sum_of):
    nodes = [*BOTH_WAYS, node("Add", sum_of, "p"), node("QuantizeLinear", "p sy zy")]
    line = refused(tmp_path, nodes, {"x": (TensorProto.FLOAT, [4])}, **SCALES, **zeros("uint8"))
    assert "input 'x' quantized alone, found another use" in line


@pytest.mark.parametrize("op, given", [("Relu", "x"), ("Add", "x x"), ("Reshape", "x shape")])
def test_a_quantized_input_is_no_tensor_of_integers_elsewhere(tmp_path, op, given):
    nodes = [node("QuantizeLinear", "x sa za"), node(op, given, "other")]
    used = {"sa": SCALES["sa"], "za": np.uint8(117), "shape": np.array([2, 2])}
    line = refused(tmp_path, nodes, {"x": (TensorProto.FLOAT, [4])}, **used)
    assert "input 'x' quantized alone, found another use" in line


def test_an_input_of_float32s_is_one_in_every_use(tmp_path):
    """Of bit patterns an integer sum would mean nothing."""
    nodes = [helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]), node("Add", "x x")]
    model = intref.import_onnx(
        giving(network(tmp_path / "n.onnx", nodes, {"x": (TensorProto.FLOAT, [4])}), TensorProto.FLOAT)
    )
    x = np.float32([1.5, -2.25, 3e-39, -0.0])
    for backend in ("fast", "reference"):
        made = model.run({"x": x.view(np.int32)}, backend).outputs["y"]
        np.testing.assert_array_equal(made, (x + x).view(np.int32), strict=True)


def test_an_input_is_not_quantized_by_two_scales(tmp_path):
    again = [node("QuantizeLinear", "x sb zb", "r"), node("DequantizeLinear", "r sb zb", "g")]
    nodes = [*BOTH_WAYS, *again, node("Add", "f g", "p"), node("QuantizeLinear", "p sy zy")]
    line = refused(tmp_path, nodes, {"x": (TensorProto.FLOAT, [4])}, **SCALES, **zeros("uint8"))
    assert "input 'x' quantized alone, found another use" in line


def test_an_input_declared_otherwise_than_the_graph_makes_it_is_refused(tmp_path):
    nodes = [*BOTH_WAYS, node("Relu", "f", "p"), node("QuantizeLinear", "p sy zy")]
    path = network(tmp_path / "n.onnx", nodes, {"x": (TensorProto.FLOAT, [None, 4])}, **SCALES, **zeros("uint8"))
    assert intref.import_onnx(path, {"x": "uint8[2,4]"}).tensors["x"].dtype == "uint8"
    with pytest.raises(intref.errors.IntrefError, match="input 'x' declared as uint8, which the graph makes of it"):
        intref.import_onnx(path, {"x": "int8[2,4]"})
    with pytest.raises(intref.errors.FormatError, match=r"declare them, as in --input 'x=uint8\[1,4\]'"):
        intref.import_onnx(path)


@pytest.mark.parametrize("backend", ["fast", "reference"])
def test_a_sum_that_leaves_float32_is_refused_when_it_is_made(tmp_path, backend):
    """No range proves sums finite: a run looks at them, and at inputs of float32s."""
    nodes = [node("DequantizeLinear", "x sa za", "f"), node("Add", "f f", "p"), node("QuantizeLinear", "p sa zy")]
    used = {"sa": np.float32(3e38), "za": np.uint8(117), "zy": np.uint8(100)}
    path = giving(network(tmp_path / "n.onnx", nodes, {"x": (TensorProto.UINT8, [2])}, **used), TensorProto.UINT8)
    model = intref.import_onnx(path)
    model.run({"x": np.uint8([117, 117])}, backend)
    with pytest.raises(intref.errors.SpecError, match=r"node .*: add_fp32: input 'a' must be finite float32s \(C5\)"):
        model.run({"x": np.uint8([117, 119])}, backend)


@pytest.mark.parametrize("relu", [False, True])
def test_the_input_is_added_to_a_product_quantized_at_run_time(tmp_path, relu):
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"], name="quantized"),
        node("MatMulInteger", "q w z", "acc"), node("Cast", "acc", "f", to=TensorProto.FLOAT), node("Mul", "s sw", "t"),
        node("Mul", "f t", "p"), node("Add", "p x", "r" if relu else "y"), *[node("Relu", "r", "y")] * relu,
    ]  # fmt: skip
    constants = {"w": numbers((12, 12), seed=1), "sw": np.linspace(0.01, 0.1, 12).astype(np.float32)}
    path = network(tmp_path / "n.onnx", nodes, {"x": (TensorProto.FLOAT, [50, 12])}, **constants)
    x = np.random.default_rng(1).normal(size=(50, 12)).astype(np.float32)
    judged_by_onnxruntime(giving(path, TensorProto.FLOAT), {"x": x}, {"x": x.view(np.int32)}, LEVELS)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL")
def test_a_killed_import_leaves_a_whole_model_or_none(tmp_path):
    constants = {"w": numbers((512, 512)), "za": np.uint8(3)}
    path = network(tmp_path / "n.onnx", [node("MatMulInteger", "x w za")], {"x": (TensorProto.UINT8, [4, 512])},
                   **constants)  # fmt: skip
    target, old = tmp_path / "m.safetensors", b"what was there before"
    command = [sys.executable, "-m", "intref", "import", "onnx", str(path), "-o", str(target)]
    began = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    whole, spent = target.read_bytes(), time.monotonic() - began
    seen = set()
    for share in (0.6, 0.9, 1.0):
        target.write_bytes(old)
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(share * spent)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        seen.add(target.read_bytes())
    assert seen <= {old, whole}
