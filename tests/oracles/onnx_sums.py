"""ONNX Runtime's sums of two tensors: of float32s, between DequantizeLinear and QuantizeLinear, and its QLinearAdd."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref import call
from intref.vectors import cases
from intref.vectors.drawn import drawn
from oracles import Tally
from oracles.onnxruntime import floats, patterns

CALLS = 400  # random calls of each op
Sites = tuple[np.float32, int, np.float32, int, np.float32, int]  # scales and zero points of a, b and y


def tallies() -> Iterator[Tally]:
    import onnx
    import onnxruntime

    from oracles.onnxruntime import _isa

    version = f"onnxruntime {onnxruntime.__version__}, onnx {onnx.__version__}, {_isa()}"
    yield _of_floats(onnx, onnxruntime, version)
    yield _between(onnx, onnxruntime, version)
    if "avx2" in _isa():
        yield _qlinear(onnx, onnxruntime, version)


def _ran(onnx: Any, runtime: Any, nodes: list[Any], given: dict[str, np.ndarray], dtype: str, **constants: Any) -> Any:
    """The output y of a graph that is left as it is."""
    code = onnx.helper.np_dtype_to_tensor_dtype
    named = [onnx.helper.make_tensor_value_info(k, code(v.dtype), v.shape) for k, v in given.items()]
    made = [onnx.helper.make_tensor_value_info("y", code(np.dtype(dtype)), None)]
    values = [onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("com.microsoft", 1)]
    graph = onnx.helper.make_graph(nodes, "sum", named, made, values)
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, given)[0]


def _of_floats(onnx: Any, runtime: Any, version: str) -> Tally:
    note = "y as bit patterns; the neighbours cut what is below the last place, or flush subnormals"
    tally = Tally("onnx", "add_fp32", "ONNX Runtime Add", version, note)
    nodes = [onnx.helper.make_node("Add", ["a", "b"], ["y"])]
    for case in (*cases("add_fp32"), *(drawn("add_fp32", n) for n in range(CALLS))):
        a, b = (floats(case.tensors[name]) for name in "ab")
        ours = call("add_fp32", case.tensors, {})["y"]
        wide = a.astype(np.float64) + b
        with np.errstate(over="ignore"):
            near = wide.astype(np.float32)
        cut = np.where(np.abs(near.astype(np.float64)) > np.abs(wide), np.nextafter(near, np.float32(0)), near)
        flushed = np.where(ours & 0x7FFFFFFF < 1 << 23, ours & -(1 << 31), ours)
        theirs = _ran(onnx, runtime, nodes, {"a": a, "b": b}, "float32")
        tally.compare(ours, patterns(theirs), {"cut": patterns(cut), "subnormals flushed": flushed})
    return tally


def _pairs(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """All 65,536."""
    every = np.arange(np.iinfo(dtype).min, np.iinfo(dtype).max + 1).astype(dtype)
    a, b = np.meshgrid(every, every)
    return a.ravel(), b.ravel()


def _sites() -> Iterator[tuple[str, Sites]]:
    """Scales whose quotients meet at ties, exact and made by rounding, and others; zero points anywhere."""
    stream = np.random.default_rng(6)
    for n in range(24):
        dtype = ("int8", "uint8")[n % 2]
        ends = np.iinfo(dtype)
        za, zb, zy = (int(z) for z in stream.integers(ends.min, ends.max, 3, endpoint=True) * (n % 4 < 3))
        sa, sb = np.exp(stream.uniform(-5, 0, 2)).astype(np.float32)
        sy = np.float32((sa + sb) * stream.uniform(0.3, 1.3))
        if n % 3 < 2:
            sa, sb, sy = (np.float32(v * (n + 1)) for v in ((0.1, 0.3, 0.2) if n % 3 else (0.5, 0.25, 1)))
        yield dtype, (sa, za, sb, zb, sy, zy)


def _standard(a: np.ndarray, b: np.ndarray, sites: Sites, backend: str = "fast") -> np.ndarray:
    """By dequantize_fp32, add_fp32 and quantize_fp32."""
    sa, za, sb, zb, sy, zy = sites

    def one(scale: np.float32, zero: int) -> dict[str, np.ndarray]:
        return {"scale": patterns(np.atleast_1d(scale)), "zero_point": np.array([zero], np.int32)}

    real = {
        name: call("dequantize_fp32", {"x": x, **one(s, z)}, {}, backend=backend)["y"]
        for name, x, s, z in (("a", a, sa, za), ("b", b, sb, zb))
    }
    total = call("add_fp32", real, {}, backend=backend)["y"]
    return call("quantize_fp32", {"x": total, **one(sy, zy)}, {"output": a.dtype.name}, backend=backend)["y"]


def _fused(a: np.ndarray, b: np.ndarray, sites: Sites, **changed: int) -> np.ndarray:
    sa, za, sb, zb, sy, zy = sites
    scales = {k: int(float(s / sy) * 2**37) for k, s in (("a_scale", sa), ("b_scale", sb))}
    zeros = {"a_zero_point": za, "b_zero_point": zb, "y_zero_point": zy}
    attrs = {**scales, **zeros, **changed, "output": a.dtype.name}
    return call("qlinear_add", {"a": a, "b": b}, attrs, backend="fast")["y"]


def _exchanged(a: np.ndarray, b: np.ndarray, sites: Sites) -> np.ndarray:
    return _fused(b, a, (*sites[2:4], *sites[:2], *sites[4:]))


def _apart(a: np.ndarray, b: np.ndarray, sites: Sites) -> np.ndarray:
    """The fused sum, but each product rounded by itself."""
    sa, za, sb, zb, sy, zy = sites
    ra, rb, ends = sa / sy, sb / sy, np.iinfo(a.dtype)
    offset = np.float32(zy) - (ra * np.float32(za) + rb * np.float32(zb))
    v = ra * a.astype(np.float32) + (rb * b.astype(np.float32) + offset)
    return np.clip(np.rint(v), ends.min, ends.max)


def _between(onnx: Any, runtime: Any, version: str) -> Tally:
    note = "graph optimizations disabled; int8 and uint8, all 65,536 pairs for 24 triples of scales; else QLinearAdd"
    tally = Tally("onnx", "dequantize_fp32, add_fp32, quantize_fp32",
                  "ONNX Runtime DequantizeLinear, Add, QuantizeLinear", version, note)  # fmt: skip
    node = onnx.helper.make_node
    nodes = [node("DequantizeLinear", ["a", "sa", "za"], ["p"]), node("DequantizeLinear", ["b", "sb", "zb"], ["q"])]
    nodes += [node("Add", ["p", "q"], ["r"]), node("QuantizeLinear", ["r", "sy", "zy"], ["y"])]
    for dtype, sites in _sites():
        a, b = _pairs(dtype)
        theirs = _ran(onnx, runtime, nodes, {"a": a, "b": b}, dtype, **_constants(sites, dtype))
        tally.compare(_standard(a, b, sites), theirs, {"QLinearAdd": _fused(a, b, sites)})
    return tally


def _qlinear(onnx: Any, runtime: Any, version: str) -> Tally:
    note = "x86 with AVX2, a Linux build; int8 and uint8, all 65,536 pairs for 24 triples of scales"
    tally = Tally("onnx", "qlinear_add", "ONNX Runtime QLinearAdd", version, note)
    nodes = [onnx.helper.make_node("QLinearAdd", [*"a sa za b sb zb sy zy".split()], ["y"], domain="com.microsoft")]
    for dtype, sites in _sites():
        a, b = _pairs(dtype)
        theirs = _ran(onnx, runtime, nodes, {"a": a, "b": b}, dtype, **_constants(sites, dtype))
        others = {"every step rounded": _standard(a, b, sites), "exchanged": _exchanged(a, b, sites)}
        tally.compare(_fused(a, b, sites), theirs, others | {"products rounded": _apart(a, b, sites)})
    return tally


def _constants(sites: Sites, dtype: str) -> dict[str, Any]:
    names = ("sa", "za", "sb", "zb", "sy", "zy")
    return {k: np.array(v, dtype) if k[0] == "z" else v for k, v in zip(names, sites)}
