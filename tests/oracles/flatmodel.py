"""Writes a .tflite model of one op, for the oracles that run such models."""

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
