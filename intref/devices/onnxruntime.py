"""ONNX Runtime as a device: `ort:` runs each op as the graph that intref writes of it, `ort:model.onnx` a graph given.

Both run on one thread of the CPU, in the process that hosts devices. A graph given is called with the inputs of an op,
or of a whole model, under its own input names: what lacks one of them is not supported.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from intref.devices.protocol import DTYPES, Arrays
from intref.errors import FormatError, Unsupported

CODES = dict(zip(("tensor(int8)", "tensor(uint8)", "tensor(int16)", "tensor(int32)", "tensor(int64)"), DTYPES))
MODEL = "model"


def session(model: bytes | str) -> Any:
    """A session on one thread, from a graph's bytes or path; Unsupported if ONNX Runtime is absent."""
    try:
        import onnxruntime
    except ImportError as error:
        raise Unsupported("ort: needs onnxruntime: pip install 'intref[onnx]'") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def every_op() -> Any:
    """The device `ort:`: a function as py: devices are. An op without an exact graph is not supported."""
    session(_nothing())  # so that what is absent is said at once
    from intref.golden.onnx import lower_call

    def call(op: str, inputs: Arrays, attrs: dict[str, Any]) -> Arrays | None:
        if op == MODEL:
            return None
        try:
            lowered = lower_call(op, inputs, attrs)
        except Unsupported:
            return None
        made = session(lowered.model.SerializeToString()).run(
            list(lowered.outputs), {name: inputs[name] for name in lowered.inputs}
        )
        return dict(zip(lowered.outputs, made))

    return call


def _nothing() -> bytes:
    from intref.golden.onnx import lower_call

    return bytes(lower_call("transpose", {"x": np.zeros((1, 1), np.int8)}, {}).model.SerializeToString())


def of_file(path: str) -> Any:
    """The device `ort:PATH`; FormatError if it is no graph that ONNX Runtime takes, or has other than integer ports."""
    try:
        opened = session(path)
    except Unsupported:
        raise
    except Exception as error:  # whatever ONNX Runtime raises of a bad file
        raise FormatError(f"{path}: expected an ONNX graph, found {str(error).splitlines()[0][:200]}") from None
    ports = {port.name: port for port in opened.get_inputs()}
    for port in (*ports.values(), *opened.get_outputs()):
        if port.type not in CODES:
            raise FormatError(f"{path}: port {port.name!r}: expected {', '.join(CODES)}, found {port.type}")
    outputs = [port.name for port in opened.get_outputs()]

    def call(op: str, inputs: Arrays, attrs: dict[str, Any]) -> Arrays | None:
        if not _takes(ports, inputs):
            return None
        return dict(zip(outputs, opened.run(outputs, {name: inputs[name] for name in ports})))

    return call


def _takes(ports: Mapping[str, Any], inputs: Arrays) -> bool:
    """Whether the graph's inputs are among these, of its dtypes and of sizes that it does not exclude."""
    for name, port in ports.items():
        tensor = inputs.get(name)
        if tensor is None or tensor.dtype.name != CODES[port.type] or len(port.shape) != tensor.ndim:
            return False
        if any(isinstance(size, int) and size != found for size, found in zip(port.shape, tensor.shape)):
            return False
    return True
