"""Models of one op as .tflite files, and the constants that TensorFlow Lite makes of their scales: for oracles."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np


class Quantized(NamedTuple):
    """A tensor of a model: scales and zero points, one or per channel of an axis; data where it is a constant."""

    shape: tuple[int, ...]
    dtype: str
    scale: Sequence[float]
    zero_point: Sequence[int] = (0,)
    data: np.ndarray | None = None
    axis: int = 0


def one_op(kind: str, inputs: Sequence[Quantized | None], output: Quantized, **options: Any) -> bytes:
    """The model of one op of the built-in operators: FULLY_CONNECTED, SOFTMAX, ..., with its options' fields."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.subgraphs, model.buffers = 3, [graph], [schema.BufferT()]
    graph.tensors, places = [], []
    for tensor in (*inputs, output):
        places.append(-1 if tensor is None else _tensor(schema, model, graph, tensor))
    code, op = schema.OperatorCodeT(), schema.OperatorT()
    code.builtinCode = getattr(schema.BuiltinOperator, kind)
    code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 1
    op.opcodeIndex, op.inputs, op.outputs = 0, places[:-1], places[-1:]
    _options(schema, op, kind, options)
    graph.operators, model.operatorCodes = [op], [code]
    graph.inputs = [p for p, t in zip(places, inputs) if t is not None and t.data is None]
    graph.outputs = places[-1:]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


NAMES = {"FULLY_CONNECTED": "FullyConnected", "SOFTMAX": "Softmax", "ADD": "Add", "MUL": "Mul", "GELU": "Gelu"}
NAMES |= {"BATCH_MATMUL": "BatchMatMul"}


def _options(schema: Any, op: Any, kind: str, fields: Mapping[str, Any]) -> None:
    if kind not in NAMES:
        return
    op.builtinOptionsType = getattr(schema.BuiltinOptions, f"{NAMES[kind]}Options")
    op.builtinOptions = getattr(schema, f"{NAMES[kind]}OptionsT")()
    for name, value in fields.items():
        assert hasattr(op.builtinOptions, name), name
        setattr(op.builtinOptions, name, value)


def _tensor(schema: Any, model: Any, graph: Any, given: Quantized) -> int:
    made, quantization, buffer = schema.TensorT(), schema.QuantizationParametersT(), schema.BufferT()
    made.shape, made.type = [*given.shape], getattr(schema.TensorType, given.dtype.upper())
    quantization.scale, quantization.zeroPoint = [float(s) for s in given.scale], [int(z) for z in given.zero_point]
    quantization.quantizedDimension = given.axis
    if given.data is not None:
        packed = _int4(given.data) if given.dtype == "int4" else given.data.astype(given.dtype)
        buffer.data = np.frombuffer(packed.tobytes(), np.uint8)
    made.buffer, made.quantization, made.name = len(model.buffers), quantization, f"t{len(graph.tensors)}"
    model.buffers.append(buffer)
    graph.tensors.append(made)
    return len(graph.tensors) - 1


def _int4(values: np.ndarray) -> np.ndarray:
    """Two's complement nibbles, the earlier of two in the low half."""
    flat = np.append(values.reshape(-1), [0] * (values.size % 2)).astype(np.int64) & 15
    return (flat[0::2] | flat[1::2] << 4).astype(np.uint8)


def multiplier(real: float) -> tuple[int, int]:
    """(multiplier of 31 bits, shift): real is multiplier / 2**shift, as QuantizeMultiplier makes them."""
    mantissa, exponent = math.frexp(real)
    rounded = math.floor(mantissa * 2**31 + 0.5)
    if rounded == 1 << 31:
        rounded, exponent = 1 << 30, exponent + 1
    return (rounded, 31 - exponent) if rounded and exponent >= -31 else (0, 31)


def float32(value: float) -> float:
    """A scale as a model holds it."""
    return float(np.float32(value))


def table16(function: Any, scale: float, zero_point: int, output_scale: float, real: Any = np.float32) -> np.ndarray:
    """The 513 entries that TensorFlow Lite makes of a function, step by step (common.h, LUTPopulateInt16).

    real: the float type it computes in.
    """
    first, last = real(scale) * real(-32768 - zero_point), real(scale) * real(32767 - zero_point)
    step = real((last - first) / real(512))
    inverse = real(real(65536) / real(real(output_scale) * real(32767) - real(output_scale) * real(-32768)))
    x = first + np.arange(513, dtype=real) * step
    value = function(x[:512]).astype(real)
    middle, following = function(x[:512] + real(step / real(2))).astype(real), function(x[1:]).astype(real)
    line = _away((following * inverse + _away(value * inverse)) / real(2))
    bent = _away((line - _away(middle * inverse)) / real(2))
    entries = [*(_away(value * inverse) - bent), *_away(function(np.array([last])).astype(real) * inverse)]
    return np.clip(entries, -32768, 32767).astype(np.int16)


def _away(x: np.ndarray) -> np.ndarray:
    """To the nearest integer, ties away from zero."""
    return np.trunc(x.astype(np.float64) + np.copysign(0.5, x)).astype(x.dtype)


def exp_table(real: Any = np.float32) -> np.ndarray:
    """exp over [-10, 0], of the softmax of 16 bits."""
    return table16(np.exp, real(10) / real(65535), 32767, real(2) / real(65535), real)


def inverse_table(real: Any = np.float32) -> np.ndarray:
    """1 / (1 + x) over [0, 1], of the softmax of 16 bits."""
    return table16(lambda x: real(1) / (real(1) + x), real(1) / real(65535), -32768, real(2) / real(65535), real)


def table8(function: Any, scale: float, zero_point: int, output_scale: float, output_zero_point: int) -> np.ndarray:
    """The 256 entries that TensorFlow Lite makes of a function in fp32 (common.h, LUTPopulateInt8)."""
    f = np.float32
    x = f(scale) * (np.arange(-128, 128) - zero_point).astype(f)
    y = _away(function(x).astype(f) * (f(1) / f(output_scale))) + f(output_zero_point)
    return np.clip(y, -128, 127).astype(np.int8)
