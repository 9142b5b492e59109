"""Does the audit see what it promises: floats in source, in compiled code, in tensors, and operands too wide?"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numba
import numpy as np
import pytest

import intref.audit
from intref.audit import audit, compiled, float_assembly, float_code, needed_bits
from intref.golden import suite_path
from intref.kernels.isa import ISA
from intref.model import Model, Node, info
from intref.modelfile import canonical, open_model
from intref.proof import Prover
from tiny_models import tiny_inputs, tiny_model

SENTIMENT = suite_path() / "models" / "sentiment"


def beside_source(found) -> list[str]:
    """What was found in this model, whatever state the checkout is in."""
    return [line for line in found.findings if not line.startswith("source: ")]


@pytest.fixture(scope="module", params=["w8a8-token", "ibert"])
def audited(request):
    model = open_model(SENTIMENT / request.param / "model.safetensors")
    return model, audit(model)


def test_does_a_stored_model_pass(audited):
    _, found = audited
    assert found.findings == () and found.ok and found.text().endswith("audit: passed")
    assert len(found.compiled) > 5 and all(lines > 10 for _, lines in found.compiled)


def test_are_all_linear_operands_of_eight_bits_and_the_others_reported(audited):
    model, found = audited
    linears = [node for node in model.nodes if node.op == "linear"]
    rows = [operand for operand in found.operands if operand.op == "linear"]
    assert len(rows) == 2 * len(linears) > 0 and all(operand.bits <= 8 for operand in rows)
    softmax = {operand.bits for operand in found.operands if operand.tensor.endswith("softmax")}
    assert softmax == ({8} if model.about["recipe"] == "w8a8-token" else {9})  # 0..255, and 0..256 of int16


def test_does_every_value_of_a_run_lie_in_the_range_reported(audited):
    model, found = audited
    ranges = {tensor.name: tensor for tensor in found.tensors}
    ids = np.random.default_rng(0).integers(0, 2500, (4, 20))
    trace = model.run({"input_ids": ids}, trace="all").trace
    for name, value in trace.items():
        assert ranges[name].low <= value.min() and value.max() <= ranges[name].high
    assert all(tensor.needed <= tensor.declared for tensor in found.tensors)
    assert all(tensor.dtype.startswith(("int", "uint")) for tensor in found.tensors)
    assert {*ranges} == {*model.tensors}


def test_is_the_widest_intermediate_of_every_node_within_int64(audited):
    model, found = audited
    assert [row.op for row in found.widest] == [node.op for node in model.nodes]
    assert all(1 <= row.bits <= 64 for row in found.widest)


def test_is_the_json_canonical_and_complete(audited):
    model, found = audited
    text = found.json()
    table = json.loads(text)
    assert text == canonical(table) and table["ok"] is found.ok and table["model"] == model.hash
    assert len(table["tensors"]) == len(model.tensors) and len(table["widest"]) == len(model.nodes)


def test_what_is_audited_without_numba(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    found = audit(tiny_model())
    assert beside_source(found) == [] and found.compiled is None and json.loads(found.json())["compiled"] is None
    assert len(found.tensors) == len(tiny_model().tensors)
    assert "compiled: numba is not installed, no kernel to inspect" in found.text()
    assert "compiled: numba is not installed" in replace(found, findings=("planted",)).text()


def _linear(bits: int) -> Model:
    """One linear layer whose input needs this many bits."""
    x = info("int16", ("B", 4), -(1 << bits - 1), (1 << bits - 1) - 1)
    constants = {"w": np.arange(12, dtype=np.int8).reshape(3, 4), "b": np.zeros(3, np.int32)}
    prover = Prover({"B": 8})
    tensors = {"x": x}
    for name, value in constants.items():
        prover.constant(name, value)
        tensors[name] = info(value.dtype.name, value.shape, int(value.min()), int(value.max()))
    prover.given("x", x)
    node = Node("linear", {"x": "x", "weight": "w", "bias": "b"}, {"y": "y"}, site="layer")
    tensors["y"] = prover.node(node, {"y": ("B", 3)})["y"]
    return Model((node,), tensors, constants, {"x": None}, {"y": "y"}, {"B": 8}, about={"recipe": "w8a8-token"})


@pytest.mark.parametrize("bits", [8, 9, 16])
def test_is_an_operand_of_more_than_eight_bits_found(bits):
    found = audit(_linear(bits))
    said = [f"layer: input 'x' (x) needs {bits} bits, not 8"]
    assert beside_source(found) == (said if bits > 8 else [])
    assert ("FAIL layer" in found.text()) == (bits > 8)


def test_is_a_tensor_that_holds_floats_found(monkeypatch):
    model = tiny_model()
    proof = model.proof()
    planted = replace(model, tensors={**model.tensors, "spare": replace(model.tensors["words"], dtype="float32")})
    monkeypatch.setattr(Model, "proof", lambda _: replace(proof, ranges={**proof.ranges, "spare": (0, 0)}))
    assert "tensor 'spare' is float32" in audit(planted).findings


def test_is_a_float_planted_in_the_source_found(monkeypatch, tmp_path):
    package = tmp_path / "intref"
    (package / "ops").mkdir(parents=True)
    (package / "ops" / "bad.py").write_text("def half(x):\n    return x / 2\n")
    real = intref.audit.float_problems
    monkeypatch.setattr(intref.audit, "float_problems", lambda _: real(package))
    found = audit(tiny_model())
    assert [*found.findings] == [f"source: {Path(package / 'ops' / 'bad.py')}:2: true division"]


def _lines(function, *values) -> list[str]:
    dispatcher = numba.njit(function)
    dispatcher(*values)
    return intref.audit.instructions(dispatcher.inspect_llvm(dispatcher.signatures[0]))


@pytest.mark.parametrize(
    "function, value",
    [
        (lambda x: int(x / 3), 5),
        (lambda x: int(x * 0.5), 5),
        (lambda x: int(np.sqrt(x)), 5),
        (lambda x: int(np.float32(x)), 5),
        (lambda x: x[0] > np.sqrt(x[1]), np.zeros(3, np.int64)),
        (lambda x: x[0], np.zeros(3)),
    ],
)
def test_is_a_float_in_compiled_code_seen(function, value):
    assert float_code(_lines(function, value))


@pytest.mark.parametrize("function", [lambda x: x * 3 >> 1, lambda x: x // 3 + x % 5, lambda x: x & 255 | 7 << x])
def test_is_integer_code_left_alone(function):
    lines = _lines(function, 5)
    assert len(lines) > 3 and not float_code(lines)


def test_do_names_comments_and_strings_with_float_in_them_not_count():
    text = """define i64 @"half.double"(i64 %float.1) {
  %half = add i64 %float.1, 1 ; a double
  %fadd.2 = mul i64 %half, 2, !dbg !7
  ret i64 %fadd.2
}
declare double @sqrt(double)
"""
    lines = intref.audit.instructions(text)
    assert len(lines) == 4 and not float_code(lines)
    assert float_code(["%3 = sitofp i64 %2 to double"]) and float_code(["store <4 x float> %v, ptr %p"])


def test_which_assembly_computes_with_floats():
    bad = ["\tvaddps\t%zmm0, %zmm1, %zmm2", "  cvtsi2sd %rax, %xmm0", "\tvfmadd231ss\t(%rax), %xmm1, %xmm2"]
    bad += ["\tscvtf\td0, x0", "\tfmul\tv0.4s, v1.4s, v2.4s", "\tvucomisd %xmm0, %xmm1", "\tfildll (%rsp)"]
    good = [
        "\tvpaddd\t%zmm0, %zmm1, %zmm2",
        "\tvmovaps\t%ymm0, (%rdi)",
        "\tvpdpbusd\t(%rax), %zmm1, %zmm2",
        "\taddq %rax, %rsp",
    ]
    good += [
        "\tvxorps %xmm0, %xmm0, %xmm0",
        "\ttdpbssd\t%tmm0, %tmm1, %tmm2",
        "\tvpmaxsd %zmm0, %zmm1, %zmm2",
        "\tadd x0, x1, x2",
    ]
    assert float_assembly("\n".join([*bad, *good])) == [line.strip() for line in bad]


def test_is_a_kernel_that_computes_with_floats_found(monkeypatch):
    """Planted beside the real ones: the audit looks at what the modules of kernels hold, not at a list."""
    from intref.kernels import residual

    planted = numba.njit(lambda x: int(x * 0.5))
    planted(7)
    monkeypatch.setattr(residual, "_planted", planted, raising=False)
    found = audit(tiny_model())
    assert not found.ok and all(line.startswith("compiled: ") for line in beside_source(found))
    assert any("double" in line for line in beside_source(found))


def test_is_every_kernel_of_the_model_looked_at():
    tiny_model().run(tiny_inputs())
    names = " ".join(name for name, *_ in compiled(lambda *_: None))
    products = {"portable": ["gemm._tiles"], "amx": ["panels._rows", "panels._tiled"]}.get(ISA, ["panels._rows"])
    for kernel in (*products, "token._quantize", "token._rescale", "rescale._"):
        assert kernel in names


@pytest.mark.parametrize(
    "low, high, bits, signed",
    [
        *((0, 0, 1, False), (0, 1, 1, False), (0, 255, 8, False), (0, 256, 9, False), (-1, 0, 1, True)),
        *((-128, 127, 8, True), (-129, 0, 9, True), (-1, 128, 9, True), (-127, 127, 8, True), (5, 7, 3, False)),
    ],
)
def test_how_many_bits_does_a_range_need(low, high, bits, signed):
    assert needed_bits(low, high) == (bits, signed)
