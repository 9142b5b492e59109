"""Do our products and the float32 epilogue give ONNX Runtime's bits? An oracle that no one here wrote."""

import platform
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from intref import call

ort = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")
helper, TYPES = onnx.helper, onnx.TensorProto

CODES = {"int8": TYPES.INT8, "uint8": TYPES.UINT8, "int32": TYPES.INT32, "float32": TYPES.FLOAT}
EXTREME = {"int8": (-128, 127), "uint8": (0, 255)}


def machine() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    model = next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
    return f"onnxruntime {ort.__version__}, onnx {onnx.__version__}, {platform.machine()} {model}"


WHERE = machine()


def ort_run(op: str, inputs: dict[str, np.ndarray], output: str) -> np.ndarray:
    """The output of a graph of one node."""
    named = [helper.make_tensor_value_info(k, CODES[v.dtype.name], v.shape) for k, v in inputs.items()]
    result = helper.make_tensor_value_info("y", CODES[output], [None] * inputs["a"].ndim)
    graph = helper.make_graph([helper.make_node(op, [*inputs], ["y"])], "g", named, [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(["y"], inputs)[0]


def drawn(seed: int, shape, dtype: str, kind: str) -> np.ndarray:
    low, high = EXTREME[dtype]
    draw = np.random.default_rng(seed)
    if kind == "ends":
        return draw.choice([low, high], shape).astype(dtype)
    if kind in ("highest", "lowest"):
        return np.full(shape, high if kind == "highest" else low, dtype)
    return draw.integers(low, high, shape, endpoint=True).astype(dtype)


@pytest.mark.parametrize("kind", ["random", "ends", "highest", "lowest"])
@pytest.mark.parametrize("m, k, n", [(1, 1, 1), (3, 7, 5), (5, 64, 16), (4, 129, 33), (2, 5000, 3)])
def test_is_linear_matmulinteger_with_signed_operands(m, k, n, kind):
    a, b = drawn(1, (m, k), "int8", kind), drawn(2, (k, n), "int8", kind)
    want = ort_run("MatMulInteger", {"a": a, "b": b}, "int32")
    none = np.zeros(n, np.int32)
    assert np.array_equal(call("linear", {"x": a, "weight": b.T.copy(), "bias": none}, {})["y"], want), WHERE
    assert np.array_equal(call("matmul", {"a": a, "b": b}, {})["y"], want), WHERE


@pytest.mark.parametrize("k", [1, 7, 64, 700])
def test_is_matmul_matmulinteger_with_unsigned_operands(k):
    # Where a machine has no VNNI, ORT adds pairs of u8 x s8 products in saturating int16: operands whose pairs stay
    # below 2**15 give exact sums on every machine.
    a = drawn(3, (6, k), "uint8", "random")
    b = np.random.default_rng(4).integers(-64, 64, (k, 9)).astype(np.int8)
    want = ort_run("MatMulInteger", {"a": a, "b": b}, "int32")
    assert np.array_equal(call("matmul", {"a": a, "b": b}, {})["y"], want), WHERE
    assert np.array_equal(
        call("linear", {"x": a, "weight": b.T.copy(), "bias": np.zeros(9, np.int32)}, {})["y"], want
    ), WHERE


def test_is_a_batched_product_the_same():
    a, b = drawn(5, (2, 3, 4, 8), "uint8", "random"), drawn(6, (2, 3, 8, 5), "int8", "random") // 2
    want = ort_run("MatMulInteger", {"a": a, "b": b}, "int32")
    assert np.array_equal(call("matmul", {"a": a, "b": b}, {})["y"], want), WHERE


@pytest.mark.parametrize("backend", ["reference", "fast"])
def test_are_accumulators_above_24_bits_exact(backend):
    if backend == "fast":
        pytest.importorskip("numba")
    a, b = np.full((1, 130_000), 127, np.int8), np.full((130_000, 2), 127, np.int8)
    a[0, 0] = b[1, 1] = 126  # an odd sum, which no float32 holds
    want = ort_run("MatMulInteger", {"a": a, "b": b}, "int32")
    got = call("matmul", {"a": a, "b": b}, {}, backend=backend)["y"]
    assert want.max() > 1 << 30 and np.array_equal(got, want), WHERE


def epilogue(acc: np.ndarray, scale: np.ndarray, zero: int, backend: str = "reference") -> np.ndarray:
    inputs = {"x": acc, "multiplier": scale.astype(np.float32).view(np.int32), "shift": np.zeros(1, np.int8)}
    attrs = {"rounding": "fp32_half_even", "output_zero_point": zero, "output": "int8"}
    return call("rescale", inputs, attrs, backend=backend)["y"]


def qlinear(a, b, sa, sb, sy, zero: int) -> np.ndarray:
    """QLinearMatMul with one scale for each operand and zero points 0 but for the output's."""
    f32 = lambda v: np.array(v, np.float32)  # noqa: E731
    inputs = {"a": a, "sa": f32(sa), "za": np.zeros((), a.dtype), "b": b, "sb": f32(sb), "zb": np.zeros((), b.dtype)}
    return ort_run("QLinearMatMul", {**inputs, "sy": f32(sy), "zy": np.array(zero, np.int8)}, "int8")


def product_scale(sa, sb, sy) -> np.ndarray:
    """fl32(fl32(sa * sb) / sy): [1]."""
    return np.atleast_1d(np.float32(np.float32(sa) * np.float32(sb)) / np.float32(sy)).astype(np.float32)


@pytest.mark.parametrize("backend", ["reference", "fast"])
@pytest.mark.parametrize("seed", range(6))
def test_is_a_rescaled_product_qlinearmatmul_on_random_data(seed, backend):
    if backend == "fast":
        pytest.importorskip("numba")
    draw = np.random.default_rng(seed)
    a, b = drawn(seed, (24, 96), "int8", "random"), drawn(seed + 99, (96, 40), "int8", "random")
    sa, sb, sy = draw.uniform(0.001, 0.1, 3) * [1, 1, 20]
    zero = int(draw.integers(-100, 100))
    want = qlinear(a, b, sa, sb, sy, zero)
    acc = call("matmul", {"a": a, "b": b}, {})["y"]
    assert np.array_equal(epilogue(acc, product_scale(sa, sb, sy), zero, backend), want), WHERE


def products(targets) -> tuple[np.ndarray, np.ndarray]:
    """int8 operands [N K], [K 1] whose products are the targets: their digits, each in several terms."""
    targets = np.asarray(targets, np.int64)
    count = int(np.abs(targets).max()) // 127**2 + 3
    b = np.full((count, 1), 127, np.int8)
    b[-1] = 1
    a = np.zeros((len(targets), count), np.int8)
    for row, target in enumerate(targets.tolist()):
        sign, (rest, last) = (1 if target >= 0 else -1), divmod(abs(target), 127)
        full, part = divmod(rest, 127)
        a[row, :full] = 127 * sign
        a[row, full], a[row, -1] = part * sign, last * sign
    return a, b


@pytest.mark.parametrize("scale", [0.5, 0.25, 2.0**-7])
def test_are_ties_rounded_to_even(scale):
    steps = np.arange(-130, 131)
    targets = np.unique(np.concatenate([(2 * steps + 1) * (0.5 / scale), (2 * steps + 1) * (0.5 / scale) + 1])).astype(
        np.int64
    )
    a, b = products(targets)
    acc = call("matmul", {"a": a, "b": b}, {})["y"]
    assert np.array_equal(acc[:, 0], targets)
    want = qlinear(a, b, scale, 1, 1, 0)
    assert np.array_equal(epilogue(acc, product_scale(scale, 1, 1), 0), want), WHERE
    assert {*np.unique(want)} >= {-128, 0, 127}


def test_where_does_the_float_product_differ_from_the_exact_one():
    """Accumulators above 2**24 and products that float32 moves onto a tie: exact rounding gives other bits."""
    ties = (2 * np.arange(64, 127) + 1) * 2**17  # between 2**24 and 2**25, where float32 holds even numbers only
    targets = np.concatenate([sign * ties + one for sign in (1, -1) for one in (-1, 0, 1)])
    scale, differing = np.float32(2.0**-18), 0
    for s in (scale, np.nextafter(scale, np.float32(0)), np.nextafter(scale, np.float32(1))):
        a, b = products(targets)
        acc = call("matmul", {"a": a, "b": b}, {})["y"]
        assert np.array_equal(acc[:, 0], targets)
        want = qlinear(a, b, s, 1, 1, 0)
        assert np.array_equal(epilogue(acc, product_scale(s, 1, 1), 0), want), WHERE
        exact = [min(max(round(int(t) * Fraction(float(s))), -128), 127) for t in targets]  # Python rounds half to even
        differing += sum(int(w) != e for w, e in zip(want[:, 0], exact))
    assert differing > 10, WHERE


@pytest.mark.parametrize("scale", [2.0**-40, 1e-30, 1e-39, 1.0, 1e9])
@pytest.mark.parametrize("zero", [-128, 0, 127])
def test_are_extreme_scales_and_zero_points_the_same(scale, zero):
    if np.float32(scale) < np.finfo(np.float32).tiny:
        scale = float(np.finfo(np.float32).tiny)  # a subnormal scale may be flushed to 0 by a machine's setting
    a, b = products([-(10**6), -1, 0, 1, 10**6])
    acc = call("matmul", {"a": a, "b": b}, {})["y"]
    assert np.array_equal(epilogue(acc, product_scale(scale, 1, 1), zero), qlinear(a, b, scale, 1, 1, zero)), WHERE


def test_does_the_oracle_tell_other_rules_apart():
    """A check that cannot fail is worse than none: half_up in place of half_even must differ here."""
    a, b = products(np.arange(-99, 100))
    acc = call("matmul", {"a": a, "b": b}, {})["y"]
    attrs = {"rounding": "half_up", "output": "int8"}
    other = call("rescale", {"x": acc, "multiplier": np.array([1], np.int32), "shift": np.array([1], np.int8)}, attrs)[
        "y"
    ]
    assert (other != qlinear(a, b, 0.5, 1, 1, 0)).sum() == 50, WHERE
