"""Is ONNX Runtime judged as any other device is: right where it is, wrong where it is, absent where it is?"""

import json
import platform
import sys

import pytest

from intref import OPS, errors
from intref.cli.main import main
from intref.golden import export, read_golden, suite_path
from intref.report.machine import machine
from intref.verify import judge

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

SUITE = suite_path()


@pytest.mark.parametrize("name", ["linear_int4", "rescale_quotient", "quantize_token", "positions", "table"])
def test_does_it_pass_the_suite(name):
    report = judge(SUITE / "ops" / name, "ort:")
    assert report.exit_code == 0 and {case.verdict for case in report.cases} == {"equal"}


def test_does_linear_pass_where_the_processor_adds_products_in_32_bits():
    report = judge(SUITE / "ops" / "linear", "ort:")
    inputs = {case.id: case.inputs["x"].dtype for case in read_golden(SUITE / "ops" / "linear").cases}
    wide = platform.machine() != "x86_64" or {"avx_vnni", "avx512_vnni"} & {*machine()["features"]}
    kept = [case for case in report.cases if wide or inputs[case.id] != "uint8"]
    assert len(kept) > 10 and {case.verdict for case in kept} == {"equal"}


REFUSED = ("qlinear_softmax",)  # a float32 sum whose order counts


def test_is_every_op_supported():
    from intref.golden.onnx import lower_call

    for name in OPS:
        if name in REFUSED:
            continue
        case = read_golden(SUITE / "ops" / name).cases[0]
        assert lower_call(name, case.inputs, case.attrs).outputs == tuple(OPS[name].outputs)


def test_does_a_receipt_name_the_engine_and_the_machine():
    about = json.loads(judge(SUITE / "ops" / "transpose", "ort:").json())
    text = json.dumps(about)
    import onnxruntime

    assert f'"onnxruntime": "{onnxruntime.__version__}"' in text and f'"onnx": "{onnx.__version__}"' in text


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    for name in ("linear", "softmax_exp2"):
        export(SUITE / "ops" / name, folder / name, "onnx")
    export(SUITE / "models" / "sentiment" / "ibert", folder / "ibert", "onnx")
    return folder


def test_is_a_graph_file_a_device_for_its_own_sizes(exported):
    report = judge(SUITE / "ops" / "softmax_exp2", f"ort:{exported}/softmax_exp2/softmax_exp2_0000/model.onnx")
    first, *others = report.cases
    assert first.verdict == "equal" and {c.verdict for c in others} <= {"unsupported", "equal", "differs"}


def test_is_a_whole_model_one_graph(exported):
    report = judge(SUITE / "models" / "sentiment" / "ibert", f"ort:{exported}/ibert/model/model.onnx")
    assert report.exit_code == 0
    whole = [case for case in report.cases if case.mode == "cumulative"]
    assert len(whole) == 66 and {case.verdict for case in whole} == {"equal"}


def test_does_a_wrong_constant_in_a_graph_show(exported, tmp_path):
    model = onnx.load(exported / "linear" / "linear_0000" / "model.onnx")
    bias = next(t for t in model.graph.initializer if t.data_type == onnx.TensorProto.INT32)
    changed = onnx.numpy_helper.to_array(bias).copy()
    changed[0] += 1
    bias.CopyFrom(onnx.numpy_helper.from_array(changed, bias.name))
    onnx.save(model, tmp_path / "wrong.onnx")
    first = judge(SUITE / "ops" / "linear", f"ort:{tmp_path}/wrong.onnx", require="linear-0000").cases[0]
    assert (first.verdict, first.max_abs) == ("differs", 1)


def float_graph(path):
    ports = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1]) for n in "xy"]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Neg", ["x"], ["y"])], "g", ports[:1], ports[1:])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8), path)


def test_is_a_bad_graph_one_line(tmp_path, capsys):
    tmp_path.joinpath("bad.onnx").write_bytes(b"no graph")
    float_graph(tmp_path / "float.onnx")
    for name, said in {
        "bad.onnx": "expected an ONNX graph",
        "float.onnx": "port 'x': expected tensor(int8)",
        "none.onnx": "expected a file",
    }.items():
        assert main(["verify", "suite:linear", "--dut", f"ort:{tmp_path}/{name}"]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1 and said in lines[0]


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_is_a_missing_package_named(package, monkeypatch):
    for module in [m for m in sys.modules if m.split(".")[0] == package or m.startswith("intref.golden.onnx")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    from intref.devices import onnxruntime as device

    with pytest.raises(errors.Unsupported, match=rf"needs {package}: pip install 'intref\[onnx\]'"):
        device.every_op()


def test_can_the_device_fail(tmp_path):
    """Always zero, in the place of the right answer: the verdict must be that it differs."""
    zeros = tmp_path / "zeros.py"
    zeros.write_text(
        "import numpy as np\ndef device(op, inputs, attrs):\n"
        "    return {'y': np.zeros((*inputs['x'].shape[:-1], len(inputs['weight'])), np.int32)}\n"
    )
    assert judge(SUITE / "ops" / "linear_int4", f"py:{zeros}:device").exit_code == 1
