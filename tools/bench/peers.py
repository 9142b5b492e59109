"""The peers: onnxruntime and torch on the same operands, weights packed beforehand, with what each calls its best."""

from collections.abc import Callable
from typing import Any

import numpy as np

Call = Callable[[], Any]


def torch_with(threads: int) -> Any:
    import torch

    torch.set_num_threads(threads)
    return torch


def session(model: bytes, threads: int) -> Any:
    """An onnxruntime session on so many threads, with all its optimizations."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def one_node(
    op: str, inputs: dict[str, np.ndarray], constants: dict[str, np.ndarray], output: np.ndarray, **more: Any
) -> bytes:
    """A model of one node. more: domain, and the node's attributes."""
    from onnx import helper, numpy_helper

    kind = helper.np_dtype_to_tensor_dtype
    node = helper.make_node(op, [*inputs, *constants], ["y"], **more)
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info(name, kind(v.dtype), v.shape) for name, v in inputs.items()],
        [helper.make_tensor_value_info("y", kind(output.dtype), output.shape)],
        [numpy_helper.from_array(v, name) for name, v in constants.items()],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return bytes(model.SerializeToString())


def bound(run: Any, inputs: dict[str, np.ndarray], output: np.ndarray) -> tuple[Call, np.ndarray]:
    """A call without copies, and the array that it leaves its result in."""
    import onnxruntime

    binding = run.io_binding()
    for name, value in inputs.items():
        binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(value))
    made = onnxruntime.OrtValue.ortvalue_from_numpy(output)
    binding.bind_ortvalue_output("y", made)
    run.run_with_iobinding(binding)
    return lambda: run.run_with_iobinding(binding), made.numpy()


def integer_products(x: np.ndarray, weight: np.ndarray, threads: int) -> dict[str, tuple[Call, np.ndarray]]:
    """name -> (call, its result) of int8 x [m, k] times int8 weight [k, n], by everything that multiplies integers.

    u8s8 is given x + 128: its result is another, its work the same.
    """
    torch = torch_with(threads)
    y = np.zeros((len(x), weight.shape[1]), np.int32)
    found = {}
    for name, a in (("ort u8s8", (x.astype(np.int16) + 128).astype(np.uint8)), ("ort s8s8", x)):
        run = session(one_node("MatMulInteger", {"a": a}, {"b": weight}, y), threads)
        call, made = bound(run, {"a": a}, y.copy())
        found[name] = (call, made if a is x else made - 128 * weight.sum(0, dtype=np.int32))
    a, b = torch.from_numpy(x), torch.from_numpy(weight)
    column_major = torch.from_numpy(np.ascontiguousarray(weight.T)).t()
    if len(x) > 16:
        for name, right in (("torch._int_mm", b), ("torch._int_mm, columns", column_major)):
            found[name] = (lambda right=right: torch._int_mm(a, right)), torch._int_mm(a, right).numpy()
    return found


def quantized_linear(x: np.ndarray, weight: np.ndarray, threads: int) -> dict[str, Call]:
    """torch's quantized linear layers, weights packed, result requantized to uint8: name -> call."""
    torch = torch_with(threads)
    calls = {}
    for engine in ("x86", "onednn", "fbgemm"):
        if engine not in torch.backends.quantized.supported_engines:
            continue
        torch.backends.quantized.engine = engine
        w = torch.quantize_per_tensor(torch.from_numpy(weight.T.astype(np.float32).copy()), 1.0, 0, torch.qint8)
        packed = torch.ops.quantized.linear_prepack(w, None)
        a = torch.quantize_per_tensor(torch.from_numpy(x.astype(np.float32)), 1.0, 128, torch.quint8)
        calls[f"torch {engine}"] = lambda a=a, packed=packed: torch.ops.quantized.linear(a, packed, 1000.0, 128)
    return calls
