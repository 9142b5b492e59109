"""ONNX Runtime on a CPU: products of integers, float32 rescaling, quantization at run time and by given scales."""

import itertools
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from intref import call
from intref.quantize.scales import softmax_entries
from intref.vectors import cases
from intref.vectors.drawn import drawn
from oracles import Tally

CALLS = 400  # random calls of each op
ISA = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8")
Run = Callable[..., list[np.ndarray]]


def tallies() -> Iterator[Tally]:
    import onnx
    import onnxruntime

    version = f"onnxruntime {onnxruntime.__version__}, onnx {onnx.__version__}, {_isa()}"
    run = _runner(onnx, onnxruntime)
    fills = (_matmulinteger, _matmulnbits, _qlinearmatmul, _qgemm, _quantizelinear, _dequantizelinear)
    for fill in (*fills, _dynamicquantizelinear, _qlinearsoftmax):
        yield from fill(run, version)


def _isa() -> str:
    """What of this machine the products of uint8 and int8 depend on."""
    info = Path("/proc/cpuinfo")
    flags = info.read_text(encoding="utf-8").split() if info.exists() else []
    return " ".join(f for f in ISA if f in flags)


def _runner(onnx: Any, runtime: Any) -> Run:
    """run(operator, inputs, outputs, domain, **attributes): the outputs of a graph of one node."""

    def run(
        operator: str, inputs: dict[str, Any], outputs: dict[str, str], domain: str = "", **attrs: Any
    ) -> list[np.ndarray]:
        arrays = {k: np.asarray(v) for k, v in inputs.items()}
        helper, code = onnx.helper, onnx.helper.np_dtype_to_tensor_dtype
        given = [helper.make_tensor_value_info(k, code(v.dtype), v.shape) for k, v in arrays.items()]
        made = [helper.make_tensor_value_info(k, code(np.dtype(d)), None) for k, d in outputs.items()]
        node = helper.make_node(operator, [*inputs], [*outputs], domain=domain, **attrs)
        opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(helper.make_graph([node], "one", given, made), opset_imports=opsets, ir_version=10)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return list(session.run(None, arrays))

    return run


def floats(pattern: Any) -> np.ndarray:
    return np.ascontiguousarray(pattern, np.int32).view(np.float32)


def patterns(value: Any) -> np.ndarray:
    return np.ascontiguousarray(value, np.float32).view(np.int32)


def _calls(op: str) -> Iterator[tuple[dict[str, np.ndarray], dict[str, Any]]]:
    """The directed cases of an op, then random calls."""
    for case in (*cases(op), *(drawn(op, n) for n in range(CALLS))):
        yield case.tensors, case.attrs


def _matmulinteger(run: Run, version: str) -> Iterator[Tally]:
    for op in ("linear", "matmul"):
        tally = Tally("onnx", op, "ONNX Runtime MatMulInteger", version)
        stream = np.random.default_rng(0)
        for m, k, n in ((1, 1, 1), (3, 7, 5), (5, 64, 16), (4, 129, 33), (2, 5000, 3)):
            for values in (np.arange(-128, 128), [-128, 127]):
                a, b = (stream.choice(values, shape).astype(np.int8) for shape in ((m, k), (k, n)))
                theirs = run("MatMulInteger", {"a": a, "b": b}, {"y": "int32"})[0]
                given = (
                    {"a": a, "b": b}
                    if op == "matmul"
                    else {"x": a, "weight": b.T.copy(), "bias": np.zeros(n, np.int32)}
                )
                wide = a.astype(np.int64) @ b.astype(np.int64)
                saturated = {"int16 accumulators": np.clip(wide, -(1 << 15), (1 << 15) - 1)}
                tally.compare(call(op, given, {})["y"], theirs, saturated)
        yield tally


def _matmulnbits(run: Run, version: str) -> Iterator[Tally]:
    """Weights of 4 bits in blocks of 32: every product and sum below 2**24, where float32 is exact in any order."""
    note = "accuracy_level 0 and 1, integer scales, |y| < 2**24; elsewhere the order of its float32 sums decides"
    tally = Tally("onnx", "linear_int4", "ONNX Runtime MatMulNBits", version, note)
    stream = np.random.default_rng(3)
    for level, (m, k, n) in itertools.product((0, 1), ((1, 32, 8), (5, 64, 16), (7, 256, 24))):
        x, weight = stream.integers(-128, 128, (m, k)).astype(np.int8), stream.integers(-8, 8, (n, k))
        scale = stream.integers(1, 100, (n, k // 32)).astype(np.int16)
        unsigned = (weight + 8).astype(np.uint8)
        packed = (unsigned[:, 0::2] | unsigned[:, 1::2] << 4).reshape(n, k // 32, 16)
        given = {"a": x.astype(np.float32), "b": packed, "s": scale.astype(np.float32).ravel()}
        sizes = {"K": k, "N": n, "bits": 4, "block_size": 32, "accuracy_level": level}
        theirs = run("MatMulNBits", given, {"y": "float32"}, "com.microsoft", **sizes)[0]
        halves = weight.astype(np.uint8) & 15
        weights = {"weight": halves[:, 0::2] | halves[:, 1::2] << 4, "swapped": halves[:, 1::2] | halves[:, 0::2] << 4}
        ours, swapped = (
            call(
                "linear_int4", {"x": x, "weight": w, "scale": scale, "bias": np.zeros(n, np.int32)}, {"group_size": 32}
            )["y"]
            for w in weights.values()
        )
        assert np.abs(ours).max() < 1 << 24
        tally.compare(ours, theirs, {"high nibble first": swapped})
    yield tally


def _rescaled(acc: np.ndarray, scale: Any, zero: int, output: str, rounding: str = "fp32_half_even") -> np.ndarray:
    """An accumulator by one float32 scale, or a scale per column."""
    x = acc.astype(np.int64) if output == "uint8" else acc
    multiplier, zeros = patterns(np.atleast_1d(scale)), np.zeros(1, np.int8)
    low, high = (0, 255) if output == "uint8" else (-128, 127)
    attrs = {"rounding": rounding, "output_zero_point": zero, "output": "int16", "low": low, "high": high}
    return call("rescale", {"x": x, "multiplier": multiplier, "shift": zeros}, attrs)["y"]


def _neighbours(acc: np.ndarray, scale: Any, zero: int, low: int, high: int) -> dict[str, np.ndarray]:
    """The same by exact products: ties to even, and away from zero."""
    scales = [Fraction(float(s)) for s in np.broadcast_to(scale, acc.shape[-1:])]
    exact = [[int(a) * s for a, s in zip(row, scales)] for row in acc]
    away = [[int(abs(v) + Fraction(1, 2)) * (1 if v > 0 else -1) for v in row] for row in exact]
    even = [[round(v) for v in row] for row in exact]
    return {name: np.clip(np.array(v) + zero, low, high) for name, v in (("half_even", even), ("half_away", away))}


def _operands(targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int8 [N K] and [K 1] whose products are the targets."""
    b = np.full((int(np.abs(targets).max()) // 127**2 + 3, 1), 127, np.int8)
    b[-1] = 1
    a = np.zeros((len(targets), len(b)), np.int8)
    for row, target in enumerate(targets.tolist()):
        sign, (rest, last) = (1 if target >= 0 else -1), divmod(abs(target), 127)
        full, part = divmod(rest, 127)
        a[row, :full], a[row, full], a[row, -1] = 127 * sign, part * sign, last * sign
    return a, b


def _directed() -> Iterator[tuple[np.ndarray, np.float32]]:
    """Accumulators at ties, at clips, and above 2**24 where the conversion or the product moves them; scales."""
    steps = 2 * np.arange(-130, 131) + 1
    for e in (1, 2, 7):
        yield np.concatenate([steps * (1 << e - 1), steps * (1 << e - 1) + 1]), np.float32(2.0**-e)
    ties = (2 * np.arange(64, 127) + 1) * 2**17
    near = np.concatenate([sign * ties + one for sign in (1, -1) for one in (-1, 0, 1)])
    for s in (np.float32(2.0**-18), *np.nextafter(np.float32(2.0**-18), np.float32([0, 1]))):
        yield near, np.float32(s)
    for s in np.float32([0.1, 1 / 3, 0.0021]):
        at = (np.arange(-130, 130) + 0.5) / np.float64(s)
        yield np.unique(np.concatenate([np.floor(at), np.ceil(at)])).astype(np.int64), s


def _qlinearmatmul(run: Run, version: str) -> Iterator[Tally]:
    tally = Tally("onnx", "rescale fp32_half_even", "ONNX Runtime QLinearMatMul", version)
    one, none = np.float32(1), np.int8(0)
    for targets, scale in _directed():
        a, b = _operands(targets)
        for zero in (0, -7):
            given = {"a": a, "sa": scale, "za": none, "b": b, "sb": one, "zb": none, "sy": one, "zy": np.int8(zero)}
            theirs = run("QLinearMatMul", given, {"y": "int8"})[0]
            acc = call("matmul", {"a": a, "b": b}, {})["y"]
            tally.compare(_rescaled(acc, scale, zero, "int8"), theirs, _neighbours(acc, scale, zero, -128, 127))
    stream = np.random.default_rng(1)
    for _ in range(12):
        a, b = (stream.integers(-128, 128, s).astype(np.int8) for s in ((24, 96), (96, 40)))
        sa, sy, zero = (
            np.float32(stream.uniform(0.001, 0.1)),
            np.float32(stream.uniform(0.02, 2)),
            stream.integers(-99, 99),
        )
        sb = stream.uniform(0.001, 0.1, 40).astype(np.float32)
        given = {
            "a": a,
            "sa": sa,
            "za": none,
            "b": b,
            "sb": sb,
            "zb": np.zeros(40, np.int8),
            "sy": sy,
            "zy": np.int8(zero),
        }
        theirs = run("QLinearMatMul", given, {"y": "int8"})[0]
        acc, scale = call("matmul", {"a": a, "b": b}, {})["y"], (sa * sb).astype(np.float32) / sy
        tally.compare(_rescaled(acc, scale, int(zero), "int8"), theirs, _neighbours(acc, scale, int(zero), -128, 127))
    yield tally


def _qgemm(run: Run, version: str) -> Iterator[Tally]:
    tally = Tally("onnx", "linear + rescale fp32_half_even", "ONNX Runtime QGemm", version)
    stream = np.random.default_rng(2)
    one, none = np.float32(1), np.int8(0)
    for targets, scale in _directed():
        a, b = _operands(targets)
        bias = np.array([3], np.int32)
        given = {"a": a, "sa": scale, "za": none, "b": b, "sb": one, "zb": none, "c": bias, "sy": one, "zy": none}
        theirs = run("QGemm", given, {"y": "int8"}, "com.microsoft", alpha=1.0)[0]
        acc = call("linear", {"x": a, "weight": b.T.copy(), "bias": bias}, {})["y"]
        tally.compare(_rescaled(acc, scale, 0, "int8"), theirs, _neighbours(acc, scale, 0, -128, 127))
    for _ in range(12):
        a, b = (
            stream.integers(-128, 128, (24, 96)).astype(np.int8),
            stream.integers(-128, 128, (96, 40)).astype(np.int8),
        )
        sa, sy, zero = (
            np.float32(stream.uniform(0.001, 0.1)),
            np.float32(stream.uniform(0.02, 2)),
            stream.integers(-99, 99),
        )
        sb = stream.uniform(0.001, 0.1, 40).astype(np.float32)
        bias = stream.integers(-(1 << 14), 1 << 14, 40).astype(np.int32)
        given = {
            "a": a,
            "sa": sa,
            "za": none,
            "b": b,
            "sb": sb,
            "zb": np.zeros(40, np.int8),
            "c": bias,
            "sy": sy,
            "zy": np.int8(zero),
        }
        theirs = run("QGemm", given, {"y": "int8"}, "com.microsoft", alpha=1.0)[0]
        acc = call("linear", {"x": a, "weight": b.T.copy(), "bias": bias}, {})["y"]
        scale = (sa * sb).astype(np.float32) / sy
        tally.compare(_rescaled(acc, scale, int(zero), "int8"), theirs, _neighbours(acc, scale, int(zero), -128, 127))
    yield tally


def _quantizelinear(run: Run, version: str) -> Iterator[Tally]:
    note = "outputs int8, uint8 and int16; the neighbours divide exactly, or multiply by the reciprocal"
    tally = Tally("onnx", "quantize_fp32", "ONNX Runtime QuantizeLinear", version, note)
    for tensors, attrs in _calls("quantize_fp32"):
        x, scale, zero = floats(tensors["x"]), floats(tensors["scale"]), tensors["zero_point"]
        output, axis = attrs["output"], attrs.get("axis", -1)
        info = np.iinfo(output)
        if output == "int32" or zero.min() < info.min or zero.max() > info.max:
            continue
        width = x.shape[axis]
        if len(scale) == len(zero) == 1:
            given, layout = {"s": scale[0], "z": zero[0].astype(output)}, {}
        else:
            given = {"s": np.broadcast_to(scale, width).copy(), "z": np.broadcast_to(zero, width).astype(output)}
            layout = {"axis": axis}
        theirs = run("QuantizeLinear", {"x": x, **given}, {"y": output}, **layout)[0]
        ours = call("quantize_fp32", tensors, {"output": output, "axis": axis})["y"]
        tally.compare(ours, theirs, _other_quotients(x, scale, zero, axis, int(info.min), int(info.max)))
    yield tally


def _other_quotients(x: np.ndarray, scale: Any, zero: Any, axis: int, low: int, high: int) -> dict[str, np.ndarray]:
    s, z = (
        np.moveaxis(np.broadcast_to(v, (*np.moveaxis(x, axis, -1).shape[:-1], x.shape[axis])), -1, axis)
        for v in (scale, zero)
    )
    with np.errstate(all="ignore"):
        reciprocal = np.rint(np.clip(x * (np.float32(1) / s), -1e9, 1e9)).astype(np.int64)
    exact = [Fraction(float(a)) / Fraction(float(b)) for a, b in zip(x.ravel(), s.ravel())]
    even = np.array([round(min(max(v, -(10**9)), 10**9)) for v in exact], np.int64).reshape(x.shape)
    return {"exact quotient": np.clip(even + z, low, high), "reciprocal": np.clip(reciprocal + z, low, high)}


def _dequantizelinear(run: Run, version: str) -> Iterator[Tally]:
    note = "y as bit patterns; the neighbour multiplies without rounding x - zero_point first, or flushes subnormals"
    tally = Tally("onnx", "dequantize_fp32", "ONNX Runtime DequantizeLinear", version, note)
    for tensors, attrs in _calls("dequantize_fp32"):
        x, scale, zero = tensors["x"], floats(tensors["scale"]), tensors["zero_point"]
        info, axis = np.iinfo(x.dtype), attrs.get("axis", -1)
        if zero.min() < info.min or zero.max() > info.max or (x.dtype == np.int32 and zero.any()):
            continue
        width = x.shape[axis]
        if len(scale) == len(zero) == 1:
            given, layout = {"s": scale[0], "z": zero[0].astype(x.dtype)}, {}
        else:
            given = {"s": np.broadcast_to(scale, width).copy(), "z": np.broadcast_to(zero, width).astype(x.dtype)}
            layout = {"axis": axis}
        theirs = run("DequantizeLinear", {"x": x, **given}, {"y": "float32"}, **layout)[0]
        ours = call("dequantize_fp32", tensors, {"axis": axis})["y"]
        s, z = (
            np.moveaxis(np.broadcast_to(v, (*np.moveaxis(x, axis, -1).shape[:-1], width)), -1, axis)
            for v in (scale, zero)
        )
        with np.errstate(all="ignore"):
            once = patterns(((x.astype(np.float64) - z) * s).astype(np.float32))
        flushed = np.where(ours & 0x7FFFFFFF < 1 << 23, ours & -(1 << 31), ours)
        tally.compare(ours, patterns(theirs), {"rounded once": once, "subnormals flushed": flushed})
    yield tally


def _dynamicquantizelinear(run: Run, version: str) -> Iterator[Tally]:
    tally = Tally(
        "onnx", "dynamic_quantize", "ONNX Runtime DynamicQuantizeLinear", version, "every row a tensor of its own"
    )
    outputs = {"y": "uint8", "scale": "float32", "zero": "uint8"}
    for tensors, _ in _calls("dynamic_quantize"):
        ours = call("dynamic_quantize", tensors, {})
        rows = tensors["x"].reshape(-1, tensors["x"].shape[-1])
        for i, row in enumerate(floats(rows)):
            y, scale, zero = run("DynamicQuantizeLinear", {"x": row}, outputs)
            got = [ours[k].reshape(len(rows), -1)[i] for k in ("y", "scale", "zero_point")]
            span = max(float(row.max()), 0.0) - min(float(row.min()), 0.0)
            shared = np.clip(
                [round(Fraction(float(v)) * 255 / Fraction(span)) if span else 0 for v in row] + got[2], 0, 255
            )
            theirs = np.concatenate([y, patterns(scale).ravel(), zero.ravel()])
            tally.compare(np.concatenate(got), theirs, {"exact quotient": np.concatenate([shared, *got[1:]])})
    yield tally


def _qlinearsoftmax(run: Run, version: str) -> Iterator[Tally]:
    """Both dtypes, rows of 1 to 1000 keys, factors that are no power of two; opset 12, where later axes are one row."""
    note = "the neighbours sum in another order, or divide in float32 as once; D = 1 saturates"
    tally = Tally("onnx", "qlinear_softmax", "ONNX Runtime QLinearSoftmax", version, note)
    stream = np.random.default_rng(5)
    rows = ((1, 60), (2, 900), (3, 3000), (5, 3000), (17, 900), (100, 300), (1000, 40))
    spans = itertools.cycle((255, 40, 5, 1))
    for (keys, count), factor, dtype in itertools.product(rows, (256, 7, 255, 3000, 1 << 16), ("uint8", "int8")):
        low, high = (int(end) for end in (np.iinfo(dtype).min, np.iinfo(dtype).max))
        x = high - stream.integers(0, next(spans) + 1, (count, keys))
        np.put_along_axis(x, stream.integers(0, keys, (count, 2)), high, 1)  # two tops: ties of an odd factor
        x = x.astype(dtype)
        scale, zero = np.float32(stream.choice([0.002, 0.1, 0.2, 0.7, 3])), stream.choice([low, high, low + 9])
        out = np.float32(1 / factor)
        out = out if np.floor(np.float32(1) / out) == factor else np.nextafter(out, np.float32(0))
        wide = x.reshape(count, keys) if keys != 100 else x.reshape(count, 4, 25)
        form = {"axis": 1, "opset": 12} if wide.ndim == 3 else {"axis": -1, "opset": 13}
        given = {"x": wide, "xs": scale, "xz": np.array(0, dtype), "ys": out, "yz": np.array(zero, dtype)}
        theirs = run("QLinearSoftmax", given, {"y": dtype}, "com.microsoft", **form)[0].reshape(x.shape)
        attrs = {"factor": factor, "zero_point": int(zero), "output": dtype}
        table = softmax_entries(float(scale), keys)
        tensors = {"x": x[None, None], "mask": np.ones((1, keys), np.int8), "table": table}
        e = floats(table)[x.max(-1, keepdims=True).astype(int) - x]
        tally.compare(
            call("qlinear_softmax", tensors, attrs)["y"][0, 0], theirs, _other_shares(e, factor, int(zero), high)
        )
    yield tally


def _other_shares(e: np.ndarray, factor: int, zero: int, high: int) -> dict[str, np.ndarray]:
    """By a sum of float64, by one from the last key on, and by float32 products and quotients."""
    backward = np.add.accumulate(e[:, ::-1], axis=-1, dtype=np.float32)[:, -1:]
    total = np.add.accumulate(e, axis=-1, dtype=np.float32)[:, -1:]
    wide = e.astype(np.float64) * factor
    with np.errstate(over="ignore"):
        single = np.minimum(e * np.float32(factor) / total, np.float32(1 << 20))
    shares = {"exact sum": wide / e.sum(-1, keepdims=True, dtype=np.float64), "backward": wide / backward}
    return {k: np.minimum(np.rint(v) + zero, high) for k, v in (shares | {"float32 quotient": single}).items()}
