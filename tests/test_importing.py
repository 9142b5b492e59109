"""Do networks of ONNX come in with the bits that others have for them, and do files that are none cost one line?"""

import json
import re
import time
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import intref
from intref.cli.main import main
from intref.errors import FormatError, IntrefError, SpecError, Unsupported

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402 (what is skipped above is not imported)

from intref.importing import imported_and_checked  # noqa: E402
from intref.importing.graph import read_graph  # noqa: E402

VECTORS = Path(__file__).resolve().parents[2] / "shared" / "vectors" / "deeploy"
NETWORKS = sorted(path.parent for path in VECTORS.glob("**/network.onnx"))
MICROSOFT = "com.microsoft"


def network(path, nodes, inputs, outputs=("y",), **constants):
    """A file of one graph; inputs: name -> (ONNX dtype, sizes)."""
    values = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    given = [helper.make_tensor_value_info(name, *declared) for name, declared in inputs.items()]
    made = [helper.make_tensor_value_info(name, TensorProto.INT32, None) for name in outputs]
    graph = helper.make_graph(nodes, "graph", given, made, values)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)]
    model = helper.make_model(graph, opset_imports=opsets)
    model.ir_version = 8
    onnx.save(model, path)
    return path


def node(op, inputs, output="y", domain="", **attrs):
    return helper.make_node(
        op, inputs.split(), [output], name=f"the_{op}{'' if output == 'y' else output}", domain=domain, **attrs
    )


def both(model, feeds):
    """The outputs, that both backends agree on."""
    slow, fast = model.run(feeds, "reference"), model.run(feeds, "fast")
    assert slow.digest == fast.digest
    return [*slow.outputs.values()]


def numbers(shape, dtype="int8", seed=0, low=None, high=None):
    info = np.iinfo(dtype)
    low, high = info.min if low is None else low, info.max if high is None else high
    return np.random.default_rng(seed).integers(low, high, shape, dtype, endpoint=True)


@pytest.mark.skipif(not NETWORKS, reason="the recorded networks are not here")
@pytest.mark.parametrize("folder", NETWORKS, ids=lambda path: str(path.relative_to(VECTORS)))
def test_a_recorded_network_has_its_recorded_bits(folder):
    found = imported_and_checked(folder / "network.onnx", folder)
    assert (found.mismatches, found.unmatched) == (0, ()) and found.compared > 0
    slow = imported_and_checked(
        folder / "network.onnx", folder, None, found.model.about.get("requant_rounding"), "reference"
    )
    assert slow.mismatches == 0 and slow.model.hash == found.model.hash


X = {"x": (TensorProto.INT32, [2, 3, 4, 5])}
MOVED = {
    "Transpose-0213": (node("Transpose", "x", perm=[0, 2, 1, 3]), {}),
    "Transpose-0132": (node("Transpose", "x", perm=[0, 1, 3, 2]), {}),
    "Transpose-3120": (node("Transpose", "x", perm=[3, 1, 2, 0]), {}),
    "Transpose-2301": (node("Transpose", "x", perm=[2, 3, 0, 1]), {}),
    "Transpose": (node("Transpose", "x"), {}),
    "Reshape": (node("Reshape", "x c"), {"c": np.array([0, -1, 10])}),
    "Flatten": (node("Flatten", "x", axis=-2), {}),
    "Unsqueeze": (node("Unsqueeze", "x c"), {"c": np.array([0, -1])}),
    "Slice": (node("Slice", "x c d e f"), {"c": [1, -4], "d": [99, -1], "e": [2, -1], "f": [2, 1]}),
    "Gather": (node("Gather", "x c", axis=2), {"c": np.array([[3, 0, 1], [2, 2, -1]])}),
    "Gather-one": (node("Gather", "x c", axis=1), {"c": np.array(-1)}),
    "Concat": (node("Concat", "x c x", axis=-1), {"c": numbers((2, 3, 4, 2), "int32")}),
    "Pad": (node("Pad", "x c d"), {"c": [0, 1, 0, 2, 1, 0, 0, 3], "d": np.array(-7, np.int32)}),
    "Expand": (node("Expand", "x c"), {"c": [2, 3, 4, 5]}),
    "ReduceSum": (node("ReduceSum", "x c", keepdims=0), {"c": [1, 3]}),
    "Add": (node("Add", "c x"), {"c": numbers((3, 1, 5), "int32", high=99, low=-99)}),
    "Add-bias": (node("Add", "x c"), {"c": numbers(5, "int32", high=99, low=-99)}),
    "Sub": (node("Sub", "c x"), {"c": numbers((4, 1), "int32", high=99, low=-99)}),
    "Mul": (node("Mul", "x c"), {"c": np.array(-3, np.int32)}),
    "Relu": (node("Relu", "x"), {}),
    "Clip": (node("Clip", "x c d"), {"c": np.array(-5, np.int32), "d": np.array(9, np.int32)}),
}


@pytest.mark.parametrize("name", MOVED)
def test_standard_operators_do_what_the_reference_of_onnx_does(tmp_path, name):
    from onnx.reference import ReferenceEvaluator

    made, constants = MOVED[name]
    inputs = {"x": (TensorProto.INT32, [1, 4, 1] if name == "Expand" else [2, 3, 4, 5])}
    path = network(tmp_path / "n.onnx", [made], inputs, **constants)
    x = numbers(inputs["x"][1], "int32", 3, -1000, 1000)
    (expected,) = ReferenceEvaluator(str(path)).run(None, {"x": x})
    (found,) = both(intref.import_onnx(path, {"x": "int16"}), {"x": x})
    np.testing.assert_array_equal(found, expected)


def test_a_split_has_every_part(tmp_path):
    made = helper.make_node("Split", ["x", "c"], ["a", "b"], axis=2)
    path = network(tmp_path / "n.onnx", [made], X, ("a", "b"), c=[1, 3])
    x = numbers((2, 3, 4, 5), "int32")
    a, b = both(intref.import_onnx(path), {"x": x})
    np.testing.assert_array_equal(np.concatenate([a, b], 2), x)


W, IMAGE = numbers((12, 6), seed=1), numbers((6, 2, 3, 2), seed=2)
SCALES = {"sa": np.float32(0.02), "sb": np.float32(0.013), "sy": np.float32(0.07)}
ZEROS = {"za": np.uint8(117), "zb": np.int8(0), "zy": np.uint8(100)}
START = numbers(6, "int32", 4, -999, 999)
QUANTIZED = {
    "MatMulInteger": ("x w za", [5, 12], {}, ""),
    "QLinearMatMul": ("x sa za w sb zb sy zy", [5, 12], {}, ""),
    "QGemm": ("x sa za w sb zb c sy zy", [5, 12], {}, MICROSOFT),
    "ConvInteger": ("x i za", [1, 4, 7, 6], {"group": 2, "strides": [2, 1], "pads": [1, 0, 2, 1]}, ""),
    "QLinearConv": (
        "x sa za i sb zb sy zy c",
        [1, 4, 7, 6],
        {"group": 2, "strides": [2, 3], "auto_pad": "SAME_UPPER"},
        "",
    ),
}


LEVELS = ("ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL")


def judged_by_onnxruntime(path, given, ours=None, levels=LEVELS[3:]):
    """Both backends' outputs are those of ONNX Runtime; of float32s, the bit patterns."""
    runtime = pytest.importorskip("onnxruntime")
    made = both(intref.import_onnx(path), ours or given)
    for level in levels:
        options = runtime.SessionOptions()
        options.graph_optimization_level = getattr(runtime.GraphOptimizationLevel, level)
        options.log_severity_level = 4
        options.add_session_config_entry("session.qdqisint8allowed", "1")  # as elsewhere than on x86
        session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        for found, want in zip(made, session.run(None, given)):
            bits = want.view(np.int32) if want.dtype == np.float32 else want
            assert found.dtype == bits.dtype
            np.testing.assert_array_equal(found, bits, level)


def giving(path, dtype):
    """The file, its first output of an ONNX dtype."""
    model = onnx.load(path)
    model.graph.output[0].type.tensor_type.elem_type = dtype
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("op", QUANTIZED)
def test_quantized_operators_have_the_bits_of_onnxruntime(tmp_path, op):
    inputs, sizes, attrs, domain = QUANTIZED[op]
    used = {k: v for k, v in {"w": W, "i": IMAGE, "c": START, **SCALES, **ZEROS}.items() if k in inputs.split()}
    path = network(
        tmp_path / "n.onnx", [node(op, inputs, domain=domain, **attrs)], {"x": (TensorProto.UINT8, sizes)}, **used
    )
    model = onnx.load(path)
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT32 if "Integer" in op else TensorProto.UINT8
    onnx.save(model, path)
    judged_by_onnxruntime(path, {"x": numbers(sizes, "uint8", 5)})


def test_dequantize_product_quantize_is_a_product_and_a_rescale(tmp_path):
    nodes = [
        node("QuantizeLinear", "f sa za", "q"),
        node("DequantizeLinear", "q sa za", "qf"),
        node("DequantizeLinear", "w sb zb", "wf"),
        node("MatMul", "qf wf", "p"),
        node("QuantizeLinear", "p sy zy", "y"),
    ]
    path = network(tmp_path / "n.onnx", nodes, {"f": (TensorProto.FLOAT, [5, 12])}, w=W, **SCALES, **ZEROS)
    model = onnx.load(path)
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.UINT8
    onnx.save(model, path)
    x = numbers((5, 12), "uint8", 6)
    real = (x.astype(np.float32) - 117) * SCALES["sa"]
    judged_by_onnxruntime(path, {"f": real}, {"f": x})


@pytest.mark.parametrize("axis, opset", [(-1, 13), (1, 13), (0, 13), (1, 12), (2, 12)])
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_a_softmax_of_integers_has_the_bits_of_onnxruntime(tmp_path, dtype, axis, opset):
    code, zero = (TensorProto.UINT8, 3) if dtype == "uint8" else (TensorProto.INT8, -128)
    made = node("QLinearSoftmax", "x sx zx sy zy", domain=MICROSOFT, axis=axis, opset=opset)
    zeros = {"zx": np.array(9, dtype), "zy": np.array(zero, dtype)}
    scales = {"sx": np.float32(0.1), "sy": np.float32(1 / 255)}
    x = numbers((2, 3, 5), dtype, 2)
    for values in (x, np.where(x % 3 > 0, np.iinfo(dtype).max, x)):
        path = giving(network(tmp_path / "n.onnx", [made], {"x": (code, [2, 3, 5])}, **zeros, **scales), code)
        judged_by_onnxruntime(path, {"x": values.astype(dtype)}, levels=LEVELS)


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("order", ["scales_first", "token_first"])
def test_a_product_quantized_at_run_time_has_the_bits_of_onnxruntime(tmp_path, order, biased):
    last = "p" if biased else "y"
    split = helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"], name="quantized")
    nodes = [split, node("MatMulInteger", "q w z zb", "acc"), node("Cast", "acc", "f", to=TensorProto.FLOAT)]
    both_first = [node("Mul", "s sw", "t"), node("Mul", "f t", last)]
    nodes += both_first if order == "scales_first" else [node("Mul", "s f", "t"), node("Mul", "sw t", last)]
    nodes += [node("Add", "b p", "y")] if biased else []
    stream = np.random.default_rng(1)
    constants = {"w": numbers((64, 24), seed=1), "zb": np.int8(0), "sw": stream.uniform(0.001, 0.1, 24)}
    constants["sw"] = constants["sw"].astype(np.float32)
    constants |= {"b": stream.normal(size=24).astype(np.float32)} if biased else {}
    path = network(tmp_path / "n.onnx", nodes, {"x": (TensorProto.FLOAT, [3, 7, 64])}, **constants)
    giving(path, TensorProto.FLOAT)
    assert intref.import_onnx(path).nodes[-1].attrs["order"] == order
    for magnitude in (1e-20, 0.1, 300.0, 0.0):
        x = (stream.normal(size=(3, 7, 64)) * magnitude).astype(np.float32)
        judged_by_onnxruntime(path, {"x": x}, {"x": x.view(np.int32)}, LEVELS)


def test_what_float32_would_add_in_another_way_is_refused(tmp_path):
    split = helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"], name="quantized")
    nodes = [split, node("Mul", "s c", "t"), node("Mul", "t c", "y")]
    line = refused(tmp_path, nodes, {"x": (TensorProto.FLOAT, [2, 3])}, c=np.float32([0.5]))
    assert line.endswith("expected one constant scale, found two")


def packed(k, n, scale):
    """Weights of 4 bits, as MatMulNBits has them in blocks of 32, and scales."""
    codes = numbers((n, k), "uint8", 1, 0, 15)
    return {"w": (codes[:, 0::2] | codes[:, 1::2] << 4).reshape(n, k // 32, 16), "s": scale(n * (k // 32))}


@pytest.mark.parametrize("exponent", [0, -9])
def test_weights_of_4_bits_have_the_bits_of_onnxruntime_where_float32_is_exact(tmp_path, exponent):
    runtime = pytest.importorskip("onnxruntime")
    sizes = {"K": 64, "N": 16, "bits": 4, "block_size": 32}
    constants = packed(64, 16, lambda n: numbers(n, "int32", 3, 1, 99).astype(np.float32) * np.float32(2.0**exponent))
    made = node("MatMulNBits", "x w s", domain=MICROSOFT, **sizes)
    path = giving(network(tmp_path / "n.onnx", [made], {"x": (TensorProto.FLOAT, [5, 64])}, **constants), 1)
    x, model = numbers((5, 64)), intref.import_onnx(path)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(
        both(model, {"x": x})[0] * 2.0**exponent, session.run(None, {"x": x.astype(np.float32)})[0]
    )


def test_weights_of_4_bits_are_refused_where_the_order_of_float32_sums_decides(tmp_path):
    made = node("MatMulNBits", "x w s", domain=MICROSOFT, K=64, N=16, bits=4, block_size=32)
    inputs = {"x": (TensorProto.FLOAT, [5, 64])}
    third = packed(64, 16, lambda n: np.full(n, 1 / 3, np.float32))
    assert "int16 integers times one power of two" in refused(tmp_path, [made], inputs, **third)
    large = packed(64, 16, lambda n: np.full(n, 999, np.float32))
    assert "sums below 2**24" in refused(tmp_path, [made], inputs, **large)
    worse = node("MatMulNBits", "x w s", domain=MICROSOFT, K=64, N=16, bits=4, block_size=32, accuracy_level=4)
    assert "accuracy_level 0 or 1" in refused(tmp_path, [worse], inputs, **large)


@pytest.mark.parametrize("each", [False, True], ids=["one scale", "a scale per channel"])
@pytest.mark.parametrize("op", ["Gemm", "Gemm-turned", "Conv"])
def test_gemm_and_conv_between_dequantize_and_quantize_are_the_integer_kernels(tmp_path, op, each):
    """From ORT_ENABLE_EXTENDED on, where ONNX Runtime has QGemm and QLinearConv."""
    conv, turned = op == "Conv", op == "Gemm-turned"
    sizes, w = ([2, 4, 9, 8], numbers((12, 4, 3, 2))) if conv else ([50, 64], numbers((12, 64) if turned else (64, 12)))
    sb = np.random.default_rng(1).uniform(0.001, 0.1, 12).astype(np.float32) if each else np.float32(0.013)
    like, sa = np.zeros(np.shape(sb), np.int8), np.float32(0.02)
    nodes = [
        node("DequantizeLinear", "x sa za", "xf"),
        node("DequantizeLinear", "w sb zb", "wf", axis=0 if conv or turned else 1),
        node("DequantizeLinear", "c sc zc", "cf", axis=0),
        node(op.split("-")[0], "xf wf cf", "p", **({"strides": [2, 1]} if conv else {"transB": int(turned)})),
        node("QuantizeLinear", "p sy zy", "y"),
    ]
    constants = {"w": w, "c": numbers(12, "int32", 4, -9999, 9999), "sa": sa, "sb": sb, "sc": sa * sb, "zb": like}
    constants |= {"za": ZEROS["za"], "zy": ZEROS["zy"], "zc": like.astype(np.int32), "sy": np.float32(0.7)}
    path = network(tmp_path / "n.onnx", nodes, {"x": (TensorProto.UINT8, sizes)}, **constants)
    judged_by_onnxruntime(giving(path, TensorProto.UINT8), {"x": numbers(sizes, "uint8", 5)}, levels=LEVELS[2:])


def test_a_constant_is_added_in_float32_as_in_a_graph_that_is_left_as_it_is(tmp_path):
    nodes = [
        node("DequantizeLinear", "x sa za", "xf"),
        node("DequantizeLinear", "c sb zb", "cf"),
        node("Add", "cf xf", "p"),
        node("QuantizeLinear", "p sy zy", "y"),
    ]
    c, x = numbers((256, 1)), np.arange(256, dtype=np.uint8)
    path = network(tmp_path / "n.onnx", nodes, {"x": (TensorProto.UINT8, [256])}, c=c, **SCALES, **ZEROS)
    judged_by_onnxruntime(giving(path, TensorProto.UINT8), {"x": x}, levels=LEVELS[:2])


def test_a_change_of_scale_rounds_twice_in_float32(tmp_path):
    nodes = [node("DequantizeLinear", "x sa za", "xf"), node("QuantizeLinear", "xf sy zy", "y")]
    used = {k: v for k, v in {**SCALES, **ZEROS}.items() if k not in ("sb", "zb")}
    for scale in (0.07, 0.04, 0.02):
        used["sy"] = np.float32(scale)
        path = network(tmp_path / "n.onnx", nodes, {"x": (TensorProto.UINT8, [256])}, **used)
        judged_by_onnxruntime(giving(path, TensorProto.UINT8), {"x": np.arange(256, dtype=np.uint8)}, levels=LEVELS)


def test_inputs_are_declared_measured_or_int8(tmp_path):
    path = network(tmp_path / "n.onnx", [node("Relu", "x")], {"x": (TensorProto.FLOAT, [2, 3])})
    assert intref.import_onnx(path).tensors["x"].dtype == "int8"
    assert intref.import_onnx(path, {"x": "uint8[1,4]"}).tensors["x"].axes == (1, 4)
    measured = intref.import_onnx(path, values={"x": np.full((2, 3), 255)})
    assert measured.tensors["x"].dtype == "uint8"
    with pytest.raises(SpecError, match="input 'x': expected one of int8"):
        intref.import_onnx(path, {"x": "float32"})
    with pytest.raises(SpecError, match="input 'z' is unknown, inputs are x"):
        intref.import_onnx(path, {"z": "int8"})


def test_a_sum_that_may_leave_int32_wraps_and_one_that_may_not_does_not(tmp_path):
    path = network(tmp_path / "n.onnx", [node("Add", "x z")], {"x": (1, [4]), "z": (1, [4])})
    wide = intref.import_onnx(path, {"x": "int32", "z": "int32"})
    assert wide.nodes[0].attrs["overflow"] == "wrap"
    assert intref.import_onnx(path, {"x": "int32", "z": "int32"}).hash == wide.hash
    assert intref.import_onnx(path).nodes[0].attrs["overflow"] == "refuse"


def requant(div, **constants):
    rounds = node("RequantShift", "x m a", div=numpy_helper.from_array(np.float32([div])), n_levels=256, signed=1)
    return [rounds], {"m": np.float32([1.0]), "a": np.float32([0.0]), **constants}


def test_the_rounding_is_the_one_that_was_recorded(tmp_path, capsys):
    nodes, constants = requant(2.0)
    path = network(tmp_path / "n.onnx", nodes, {"x": (1, [4])}, **constants)
    np.savez(tmp_path / "inputs.npz", x=np.array([-3, -1, 1, 3]))
    np.savez(tmp_path / "outputs.npz", y=np.array([-2, -1, 0, 1]))
    assert main(["import", "onnx", str(path), "--check", str(tmp_path), "-o", str(tmp_path / "m.safetensors")]) == 0
    said = capsys.readouterr().out
    assert "half_up 4, floor 0" in said and "equal" in said
    assert intref.open(tmp_path / "m.safetensors").about["requant_rounding"] == "floor"
    assert main(["import", "onnx", str(path), "--check", str(tmp_path), "--requant-rounding", "half_up"]) == 1


def refused(tmp_path, nodes, inputs=None, kind=(FormatError, Unsupported), **constants):
    """The one line that an import is refused with."""
    path = network(tmp_path / "n.onnx", nodes, inputs or {"x": (1, [2, 3])}, **constants)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(kind) as caught:
            intref.import_onnx(path)
    line = str(caught.value)
    assert "\n" not in line and line.startswith(str(path))
    return line


def test_an_unknown_op_is_named_with_the_nearest_there_is(tmp_path, capsys):
    line = refused(tmp_path, [node("iLayerNrm", "x", D=4)])
    assert line.endswith("node 'the_iLayerNrm' (iLayerNrm): op 'iLayerNrm' with attributes D is not supported; "
                         "the nearest that is: iLayerNorm")  # fmt: skip
    assert main(["import", "onnx", str(tmp_path / "n.onnx")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


BROKEN = {
    "NaN": ([node("Add", "x c")], {"c": np.float32([1, np.nan, 0])}, "expected integers of at most 32 bits, found nan"),
    "fractions": ([node("Add", "x c")], {"c": np.float32([0.5])}, "expected integers of at most 32 bits, found 0.5"),
    "a cycle": ([node("Add", "x z", "y"), node("Relu", "y", "z")], {}, "expected an earlier tensor, found a cycle"),
    "no such input": ([node("Relu", "nothing")], {}, "expected an earlier tensor, found nothing that makes it"),
    "a wrong rank": ([node("MatMul", "x c")], {"c": np.float32([1, 2])}, "expected matrices"),
    "a wrong size": ([node("MatMul", "x c")], {"c": np.ones((4, 4), np.float32)}, "expected matrices"),
    "sizes that do not meet": ([node("Add", "x c")], {"c": np.ones((5, 4), np.float32)}, "cannot be broadcast"),
    "no attribute": ([node("iGELU", "x", one=3)], {}, "expected attribute 'b', found one"),
    "no input": ([node("RequantShift", "x", div=2)], {}, "expected what RequantShift takes"),
    "no power of two": (
        [node("RequantShift", "x c c", div=3)],
        {"c": np.float32([1])},
        "expected a power of two, found 3",
    ),
    "weights too wide": (
        [node("MatMul", "x c")],
        {"c": np.full((3, 3), 300.0, np.float32)},
        "expected a constant that int8",
    ),
    "an axis": ([node("Concat", "x x", axis=9)], {}, "expected inputs alike but for axis 9"),
    "made twice": ([node("Relu", "x"), node("Relu", "x")], {}, "expected a new name, found one made already"),
    "a bad perm": ([node("Transpose", "x", perm=[0, 0])], {}, "perm: expected each of 0..1 once"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_graph_costs_one_line(tmp_path, name):
    nodes, constants, expected = BROKEN[name]
    assert expected in refused(tmp_path, nodes, kind=IntrefError, **constants)


def test_a_broken_file_costs_one_line(tmp_path):
    path = network(tmp_path / "n.onnx", [node("Relu", "x")], {"x": (1, [2])}, c=np.ones(500, np.float32))
    whole = path.read_bytes()
    for data in (b"", b"\0" * 100, whole[:40], whole[: len(whole) // 2], b"PK\3\4" + whole):
        path.write_bytes(data)
        with pytest.raises(FormatError) as caught:
            intref.import_onnx(path)
        assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)
    with pytest.raises(FormatError, match="regular file"):
        intref.import_onnx(tmp_path)


def test_external_data_and_false_sizes_are_refused(tmp_path):
    path = network(tmp_path / "n.onnx", [node("Add", "x c")], {"x": (1, [2])}, c=np.ones(2, np.float32))
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    tensor.dims[:] = [1 << 40]
    path.write_bytes(model.SerializeToString())
    with pytest.raises(FormatError, match=r"constant 'c': expected \[1099511627776\] values, found \d+ bytes"):
        intref.import_onnx(path)
    tensor.dims[:] = [2]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(FormatError, match="expected its values in the file, found external data in '/etc/passwd'"):
        intref.import_onnx(path)


MATRIX = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90]], np.int8)
EACH = {"sb": np.float32([0.01, 0.02, 0.05]), "zb": np.zeros(3, np.int8)}
SIGNED = {"sa": np.float32(0.1), "za": np.int8(0), "sb": np.float32(0.01), "zb": np.int8(0)}
SIGNED |= {"sy": np.float32(0.5), "zy": np.int8(0), "w": MATRIX}


def between(x=None, w=None, y=None, op="MatMul", zero=" zy", **attrs):
    """Nodes of a product from DequantizeLinear to QuantizeLinear; x, w, y: attributes of these."""
    return [
        node("DequantizeLinear", "x sa za", "xf", **(x or {})),
        node("DequantizeLinear", "w sb zb", "wf", **(w or {})),
        node(op, "xf wf", "p", **attrs),
        node("QuantizeLinear", f"p sy{zero}", "y", **(y or {})),
    ]


def of_opset(path, opset):
    model = onnx.load(path)
    model.opset_import[0].version = opset
    model.ir_version = 10
    onnx.save(model, path)
    return path


def written(tmp_path, nodes, constants, opset=21, sizes=(3, 3)):
    path = network(tmp_path / "n.onnx", nodes, {"x": (TensorProto.INT8, sizes)}, **constants)
    return giving(of_opset(path, opset), TensorProto.INT8)


HONOURED = {
    "axis 1": (between(w={"axis": 1}), SIGNED | EACH),
    "axis -1": (between(w={"axis": -1}), SIGNED | EACH),
    "transB": (between(w={"axis": 0}, op="Gemm", transB=1), SIGNED | EACH),
    "zero points": (between(w={"axis": 1}), SIGNED | EACH | {"zb": np.int8([1, -2, 3])}),
    "defaults": (between({"block_size": 0}, {"axis": 1}, {"saturate": 1, "axis": 0}), SIGNED | EACH),
    "weights of 9 bits": (between(), SIGNED | {"zb": np.int8(-100)}),
    "output_dtype": (
        [between()[0], node("QuantizeLinear", "xf sy", output_dtype=TensorProto.INT8)],
        {name: SIGNED[name] for name in ("sa", "za", "sy")},
    ),
}


@pytest.mark.parametrize("name", HONOURED)
def test_attributes_of_quantizing_have_the_bits_of_onnxruntime(tmp_path, name):
    judged_by_onnxruntime(written(tmp_path, *HONOURED[name]), {"x": numbers((3, 3), "int8", 7)}, levels=LEVELS[2:])


@pytest.mark.parametrize(
    "dtype, zero", [("uint8", 10), ("uint8", 128), ("uint8", 250), ("int8", -100), ("int8", 128 - 1)]
)
def test_weights_that_int8_does_not_hold_without_their_zero_point_keep_it(tmp_path, dtype, zero):
    made, w = node("MatMulInteger", "x w za zb"), numbers((12, 6), dtype, 3)
    constants = {"w": w, "za": np.uint8(117), "zb": np.array(zero, dtype)}
    path = network(tmp_path / "n.onnx", [made], {"x": (TensorProto.UINT8, [5, 12])}, **constants)
    judged_by_onnxruntime(path, {"x": numbers((5, 12), "uint8", 6)}, levels=LEVELS)


ROWS = {"sa": np.float32([0.1, 0.2, 0.5]), "za": np.zeros(3, np.int8)}
OUT = {"sy": np.float32([0.5, 1, 2]), "zy": np.int8([0, 10, 20])}
BLOCKS = {"sb": np.float32([[0.01, 0.02, 0.05]]), "zb": np.zeros((1, 3), np.int8)}
PASSED_OVER = {
    "weights along the terms": (between(w={"axis": 0}), EACH, "constant weights, axis 1, found 3 along axis 0"),
    "weights along -2": (between(w={"axis": -2}), EACH, "constant weights, axis 1, found 3 along axis 0"),
    "one column": (between(w={"axis": 0}), EACH | {"w": MATRIX[:, :1]}, "axis 1, found 3 along axis 0 of [3, 1]"),
    "transB": (between(w={"axis": 1}, op="Gemm", transB=1), EACH, "constant weights, axis 0, found 3 along axis 1"),
    "blocks": (between(w={"axis": 0, "block_size": 3}), BLOCKS, "attribute 'block_size': expected 0, found 3"),
    "activations along 1": (between(x={"axis": 1}), ROWS, "one scale of the left side, found 3 along axis 1"),
    "activations along 0": (between(x={"axis": 0}), ROWS, "one scale of the left side, found 3 along axis 0"),
    "an output axis": (between(y={"axis": 0}), {"sy": OUT["sy"]}, "scales of y: one, and as many zero points"),
    "zero points of y": (between(y={"axis": 1}), OUT, "zero points of y: one, found [3]"),
    "an axis there is not": (between(w={"axis": 2}), EACH, "expected an axis in [-2, 1], found 2"),
    "scales that are too few": (
        between(w={"axis": 1}),
        EACH | {"sb": np.float32([1, 2])},
        "scales of x: one or 3, and as many zero points, found [2]",
    ),
    "a dtype beside a zero point": (
        between(y={"output_dtype": TensorProto.UINT8}),
        {},
        "expected output_dtype int8, found 2 (uint8)",
    ),
    "int4": (between(y={"output_dtype": TensorProto.INT4}, zero=""), {}, "found 22 (another)"),
    "saturate": (between(y={"saturate": 0}), {}, "attribute 'saturate': expected 1, found 0"),
    "precision": (between(y={"precision": 1}), {}, "attribute 'precision' is not supported"),
    "a zero point of another dtype": (between(), {"za": np.uint8(0)}, "of its dtype, int8, found uint8"),
    "a scale of float16": (between(), {"sa": np.float16(1)}, "a scale of x of float32, found float16"),
    "a bias of one column": (
        [*between()[:2], node("DequantizeLinear", "c sc", "cf"), node("Gemm", "xf wf cf", "p"), *between()[3:]],
        {"c": np.int32([[1], [2], [3]]), "sc": SIGNED["sa"] * SIGNED["sb"]},
        "a bias of one row, found [3, 1]",
    ),
    "a product of float32s": (
        [*between()[:2], node("Mul", "xf wf", "p"), *between()[3:]],
        {},
        "no op here has the float32 Mul of two",
    ),
    "a clip of float32s": (
        [*between()[:3], node("Clip", "p", "c"), node("QuantizeLinear", "c sy zy")],
        {},
        "the_Clipc' (Clip): float32 Clip behind DequantizeLinear is not supported",
    ),
    "an attribute that is not ONNX's": ([node("Relu", "x", alpha=2)], {}, "attribute 'alpha' is not supported"),
    "a part of a shape": ([node("Shape", "x", start=1)], {}, "attribute 'start': expected 0, found 1"),
    "levels": (
        [node("iLayerNorm", "x c c", D=4, n_levels=16)],
        {"c": np.float32([1, 1, 1])},
        "attribute 'n_levels': expected 256, found 16",
    ),
    "a cast to float16": ([node("Cast", "x", to=10)], {}, "found ONNX's dtype 10"),
    "an embedding along 1": ([node("Gather", "w x", axis=1)], {}, "expected axis 0 for indices that are computed"),
    "a dropout that trains": ([node("Dropout", "x r t")], {"r": np.float32(0), "t": np.bool_(1)}, "training_mode"),
}


@pytest.mark.parametrize("name", PASSED_OVER)
def test_nothing_that_a_node_says_is_passed_over(tmp_path, name):
    nodes, constants, expected = PASSED_OVER[name]
    path = written(tmp_path, nodes, SIGNED | constants)
    with pytest.raises(IntrefError) as caught:
        intref.import_onnx(path)
    assert expected in str(caught.value) and "\n" not in str(caught.value)


OPERANDS = "x sa za w sb zb sy zy"
WRONG_CONSTANTS = {
    "MatMulInteger: rows": (node("MatMulInteger", "x w za"), {"za": np.zeros(3, np.int8)}, "zero points of a: one"),
    "MatMulInteger: columns": (node("MatMulInteger", "x w za zb"), {"zb": np.zeros(2, np.int8)}, "of b: one or 3"),
    "MatMulInteger: a dtype": (node("MatMulInteger", "x w za"), {"za": np.uint8(1)}, "of a of its dtype, int8"),
    "MatMulInteger: b's": (node("MatMulInteger", "x w za zb"), {"zb": np.uint8(1)}, "of b of its dtype, int8"),
    "QLinearMatMul: rows": (node("QLinearMatMul", OPERANDS), {"za": np.zeros(3, np.int8)}, "zero points of a: one"),
    "QLinearMatMul: scales": (node("QLinearMatMul", OPERANDS), {"sy": OUT["sy"]}, "scales of y: one"),
    "QLinearMatMul: zeros": (node("QLinearMatMul", OPERANDS), {"zy": OUT["zy"]}, "zero points of y: one"),
    "QLinearMatMul: a dtype": (node("QLinearMatMul", OPERANDS), {"za": np.uint8(3)}, "of a of its dtype, int8"),
    "a domain": (node("Relu", "x", domain="evil.corp"), {}, "op 'Relu' of domain 'evil.corp' is not supported"),
    "a domain of integers": (
        node("MatMulInteger", "x w", domain="evil.corp"),
        {},
        "op 'MatMulInteger' of domain 'evil.corp' is not supported",
    ),
    "no domain": (node("QGemm", OPERANDS), {}, "op 'QGemm' of domain '' is not supported"),
    "another's domain": (node("iGELU", "x", domain=MICROSOFT, b=1, one=1), {}, "of domain 'com.microsoft'"),
}


@pytest.mark.parametrize("name", WRONG_CONSTANTS)
def test_constants_and_domains_that_an_operator_does_not_have_are_refused(tmp_path, name):
    made, constants, expected = WRONG_CONSTANTS[name]
    line = refused(tmp_path, [made], {"x": (TensorProto.INT8, [3, 3])}, **SIGNED | constants)
    assert expected in line


def test_a_size_that_no_model_has_costs_one_line(tmp_path, capsys):
    for sizes, expected in (([-1, 4], "sizes of at least 0, found [-1, 4]"), ([1 << 24, 4], "at most 33554432")):
        line = refused(tmp_path, [node("Relu", "x")], {"x": (TensorProto.INT8, sizes)})
        assert "input 'x'" in line and expected in line
        assert main(["import", "onnx", str(tmp_path / "n.onnx")]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    makes = {"Expand": [1 << 40, 1], "Gather": [0] * 64, "Pad": [0, 1 << 40, 0, 1 << 40]}
    for op, c in makes.items():
        axis = {"axis": 0} if op == "Gather" else {}
        line = refused(tmp_path, [node(op, "x c", **axis)], {"x": (3, [1, 1 << 20])}, c=np.array(c))
        assert f"the_{op}" in line and "a tensor 'y' of at most 33554432 elements" in line


def test_the_order_of_nodes_costs_no_more_than_their_number(tmp_path):
    names = [f"t{i}" for i in range(30000)]
    nodes = [helper.make_node("Relu", [a], [b]) for a, b in pairwise(names)]
    path = network(tmp_path / "n.onnx", nodes[::-1], {"t0": (TensorProto.INT8, [4])}, names[-1:])
    began = time.process_time()
    graph = read_graph(path)
    assert [call.inputs for call in graph.calls] == [(a,) for a in names[:-1]]
    assert time.process_time() - began < 20


@pytest.mark.parametrize("domain", ["", "ai.onnx", "PACTOps", "ai.onnx.contrib"])
def test_operators_of_deeploy_have_the_domains_that_its_networks_have(tmp_path, domain):
    nodes, constants = requant(2.0)
    nodes[0].domain = domain
    intref.import_onnx(network(tmp_path / "n.onnx", nodes, {"x": (TensorProto.INT8, [4])}, **constants))


def test_one_number_of_a_constant_is_an_integer(tmp_path):
    nodes = [node("Gather", "w i", "c"), node("Gather", "c i", "d"), node("Add", "x d")]
    path = network(tmp_path / "n.onnx", nodes, {"x": (TensorProto.INT8, [2])}, w=MATRIX, i=np.array(1))
    np.testing.assert_array_equal(both(intref.import_onnx(path), {"x": np.int8([1, 2])})[0], [51, 52])


def test_of_a_graph_without_a_tensor_the_node_that_lacks_it_is_named(tmp_path):
    line = refused(tmp_path, [node("Relu", "z"), node("Neg", "nothing", "z")])
    assert line.endswith("(Neg): input 'nothing': expected an earlier tensor, found nothing that makes it")


def test_an_import_can_be_packed_and_judged(tmp_path):
    nodes, constants = requant(4.0)
    path = network(
        tmp_path / "n.onnx",
        [node("MatMul", "q w", "x"), *nodes],
        {"q": (1, [2, 12])},
        w=W.astype(np.float32),
        **constants,
    )
    model = intref.import_onnx(path)
    intref.write_golden(model, {"q": numbers((2, 12))}, tmp_path / "gold")
    assert model.proof().ranges["y"] == (-128, 127)


@pytest.fixture
def told(capsys):
    """A command's exit code and what it said, on both streams."""

    def call(*words):
        code = main([str(word) for word in words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def stored(path, **arrays):
    """A file of arrays, npz or safetensors by its suffix."""
    from safetensors.numpy import save_file

    np.savez(path, **arrays) if path.suffix == ".npz" else save_file(arrays, path)
    return path


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_an_import_runs_and_is_packed_on_arrays_of_its_own_names(tmp_path, told, suffix):
    constants = {"w": W.astype(np.float32)}
    made = [node("MatMul", "x w", "p"), node("Add", "p more")]
    path = network(tmp_path / "n.onnx", made, {"x": (1, [2, 12]), "more": (1, [2, 6])}, **constants)
    model = tmp_path / "m.safetensors"
    assert told("import", "onnx", path, "-o", model)[0] == 0
    arrays = {"x": numbers((2, 12)), "more": numbers((2, 6), seed=3)}
    given = stored(tmp_path / f"i.{suffix}", others=numbers((3,)), **arrays)
    code, out, _ = told("run", model, "--inputs", given, "--json")
    assert code == 0 and json.loads(out)["digest"] == intref.open(model).run(arrays).digest
    assert told("golden", model, "-o", tmp_path / "gold", "--inputs", given)[0] == 0
    assert told("inspect", tmp_path / "gold")[0] == told("inspect", model)[0] == told("audit", model)[0] == 0
    code, _, err = told("run", model, "--ids", "1,2")
    assert code == 2 and "--ids: expected a model with an input input_ids, found more int8, x int8" in err
    for arrays, line in (
        ({"x": numbers((2, 12))}, "expected an array more, found x"),
        ({"x": numbers((2, 11)), "more": numbers((2, 6))}, "input 'x' must have axes [2, 12], not [2, 11]"),
    ):
        wrong = stored(tmp_path / f"w.{suffix}", **arrays)
        code, _, err = told("golden", model, "-o", tmp_path / "none", "--inputs", wrong)
        assert (code, err) == (2, f"intref: error: {wrong}: {line}\n") and not (tmp_path / "none").exists()


def dynamic(tmp_path, *behind, output="p"):
    """A product quantized at run time, and what is behind it."""
    nodes = [helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"], name="quantized")]
    nodes += [node("MatMulInteger", "q w z", "acc"), node("Cast", "acc", "f", to=TensorProto.FLOAT)]
    nodes += [node("Mul", "s sw", "t"), node("Mul", "f t", output), *behind]
    constants = {"w": W, "sw": np.linspace(0.01, 0.1, 6).astype(np.float32)}
    return network(tmp_path / "n.onnx", nodes, {"x": (TensorProto.FLOAT, [5, 12])}, **constants)


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_float32s_are_taken_where_a_model_has_their_bits(tmp_path, told, suffix):
    runtime = pytest.importorskip("onnxruntime")
    path = giving(dynamic(tmp_path, output="y"), TensorProto.FLOAT)
    x = np.random.default_rng(1).normal(size=(5, 12)).astype(np.float32)
    np.savez(tmp_path / "activations.npz", input=x)
    (y,) = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"x": x})
    np.savez(tmp_path / "inputs.npz", x=x)
    np.savez(tmp_path / "outputs.npz", y=y)
    model = tmp_path / "m.safetensors"
    code, out, _ = told("import", "onnx", path, "--check", tmp_path, "-o", model)
    assert code == 0 and "equal" in out and re.search("not found +0", out)
    assert "\ninput x: int32, the bit patterns of float32s\noutput y: int32, the bit patterns of float32s\n" in out
    digests = set()
    for name, given in (("f", x), ("b", x.view(np.int32))):
        code, out, _ = told("run", model, "--inputs", stored(tmp_path / f"{name}.{suffix}", x=given), "--json")
        digests.add(json.loads(out)["digest"])
    assert len(digests) == 1
    np.savez(tmp_path / "outputs.npz", y=np.nextafter(y, np.float32(9)))
    assert told("import", "onnx", path, "--check", tmp_path)[0] == 1


def test_what_is_left_to_the_caller_is_said(tmp_path, told):
    nodes = [
        node("QuantizeLinear", "f sa za", "q"), node("DequantizeLinear", "q sa za", "r"), node("Relu", "r", "p"),
        node("QuantizeLinear", "p sy zy", "o"), node("DequantizeLinear", "o sy zy", "y"),
    ]  # fmt: skip
    used = {k: v for k, v in {**SCALES, **ZEROS}.items() if k not in ("sb", "zb")}
    path = network(tmp_path / "n.onnx", nodes, {"f": (TensorProto.FLOAT, [5, 12])}, **used)
    lines = [
        "input f: uint8, scale 0.02, zero point 117; the float QuantizeLinear before it is left to the caller",
        "output y: uint8, scale 0.07, zero point 100; the float DequantizeLinear behind it is left to the caller",
    ]
    code, out, _ = told("import", "onnx", path, "-o", tmp_path / "m.safetensors")
    assert code == 0 and all(line in out.splitlines() for line in lines)
    assert json.loads(told("import", "onnx", path, "--json")[1])["boundary"] == lines
    np.savez(tmp_path / "inputs.npz", f=np.full((5, 12), 0.5, np.float32))
    np.savez(tmp_path / "outputs.npz", y=np.zeros((5, 12), np.float32))
    code, _, err = told("import", "onnx", path, "--check", tmp_path)
    assert code == 2 and err.endswith(f"inputs.npz: f: expected integers of at most 32 bits, found 0.5 as {lines[0]}\n")
    code, _, err = told("run", tmp_path / "m.safetensors", "--inputs", tmp_path / "inputs.npz")
    assert code == 2 and err.endswith(f"inputs.npz: input 'f' must be integers, not float32; {lines[0]}\n")


def test_no_rounding_is_named_where_nothing_is_rounded_so(tmp_path, told):
    path = network(tmp_path / "n.onnx", [node("Relu", "x")], {"x": (1, [3])})
    np.savez(tmp_path / "inputs.npz", x=np.array([-1, 0, 5]))
    np.savez(tmp_path / "outputs.npz", y=np.array([0, 0, 5]))
    code, out, _ = told("import", "onnx", path, "--check", tmp_path, "-o", tmp_path / "m.safetensors")
    assert code == 0 and "requant rounding" not in out and "by rounding" not in out and "differ" not in out
    assert "requant_rounding" not in told("inspect", tmp_path / "m.safetensors")[1]


@pytest.mark.parametrize("op", ["MaxPool", "Clip", "Gemm", "Cast"])
def test_float32_operators_behind_a_dynamic_product_are_named(tmp_path, op):
    attrs = {"MaxPool": {"kernel_shape": [1]}, "Cast": {"to": TensorProto.INT8}}.get(op, {})
    with pytest.raises(Unsupported, match=f"float32 {op} behind a product quantized at run time is not"):
        intref.import_onnx(dynamic(tmp_path, node(op, "p w" if op == "Gemm" else "p", **attrs)))


def test_float32s_are_moved_as_their_bits(tmp_path):
    path = giving(dynamic(tmp_path, node("Transpose", "p", perm=[1, 0])), TensorProto.FLOAT)
    x = np.random.default_rng(1).normal(size=(5, 12)).astype(np.float32)
    judged_by_onnxruntime(path, {"x": x}, {"x": x.view(np.int32)}, LEVELS)


@pytest.mark.parametrize("same", [True, False])
def test_relu_keeps_what_is_above_the_zero_point(tmp_path, same):
    nodes = [node("DequantizeLinear", "x sa za", "r"), node("Relu", "r", "p"), node("QuantizeLinear", "p sy zy")]
    used = {k: v for k, v in {**SCALES, **ZEROS}.items() if k not in ("sb", "zb")}
    used |= {"sy": used["sa"], "zy": used["za"]} if same else {}
    path = network(tmp_path / "n.onnx", nodes, {"x": (TensorProto.UINT8, [256])}, **used)
    judged_by_onnxruntime(giving(path, TensorProto.UINT8), {"x": np.arange(256, dtype=np.uint8)}, levels=LEVELS)
    assert len(intref.import_onnx(path).nodes) == (1 if same else 3)


@pytest.mark.parametrize(
    "left, dtype, zero",
    [("uint8", "uint8", z) for z in (0, 2, 128)] + [(a, "int8", z) for a in ("uint8", "int8") for z in (-7, 0)],
)
def test_both_sides_of_a_product_may_be_computed(tmp_path, left, dtype, zero):
    codes = {"uint8": TensorProto.UINT8, "int8": TensorProto.INT8}
    constants = SCALES | {"za": np.array(3, left), "zb": np.array(zero, dtype), "zy": np.array(100, left)}
    inputs = {"x": (codes[left], [2, 5, 12]), "v": (codes[dtype], [2, 12, 6])}
    path = network(tmp_path / "n.onnx", [node("QLinearMatMul", "x sa za v sb zb sy zy")], inputs, **constants)
    given = {"x": numbers((2, 5, 12), left, 5), "v": numbers((2, 12, 6), dtype, 6)}
    judged_by_onnxruntime(giving(path, codes[left]), given)


def test_an_operator_that_has_the_unknown_one_in_its_name_is_nearer_than_one_spelt_alike(tmp_path):
    line = refused(tmp_path, [node("Softmax", "x")])
    assert line.endswith("the nearest that is: QLinearSoftmax or iSoftmax")


def test_relu_is_behind_a_product_of_a_scale_for_each_column(tmp_path):
    nodes = [
        node("DequantizeLinear", "x sa za", "xf"), node("DequantizeLinear", "w sb zb", "wf", axis=1),
        node("MatMul", "xf wf", "p"), node("Relu", "p", "r"), node("QuantizeLinear", "r sy zy"),
    ]  # fmt: skip
    used = {**SCALES, **ZEROS, "sb": np.linspace(0.01, 0.1, 6).astype(np.float32), "zb": np.zeros(6, np.int8)}
    used["zy"] = np.uint8(0)  # where ONNX Runtime drops Relu and has the integer kernel
    path = giving(network(tmp_path / "n.onnx", nodes, {"x": (TensorProto.UINT8, [5, 12])}, w=W, **used), 2)
    judged_by_onnxruntime(path, {"x": numbers((5, 12), "uint8", 5)})
