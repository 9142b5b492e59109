"""ONNX Runtime's ConvInteger and MaxPool beside conv2d and max_pool."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref import call
from oracles import Tally

DRAWS = 60
EDGES = ("top", "left", "bottom", "right")


def tallies() -> Iterator[Tally]:
    import onnx
    import onnxruntime

    rng = np.random.default_rng(40)
    conv = Tally("onnx", "conv2d", "ONNX Runtime ConvInteger", onnxruntime.__version__, "uint8 images, int8 weights")
    for _ in range(DRAWS):
        conv.compare(*_convolution(rng, onnx, onnxruntime))
    yield conv
    pool = Tally("onnx", "max_pool", "ONNX Runtime MaxPool", onnxruntime.__version__, "int8 images")
    for _ in range(DRAWS):
        pool.compare(*_pooling(rng, onnx, onnxruntime))
    yield pool


def _convolution(rng: Any, onnx: Any, runtime: Any) -> tuple[Any, Any, dict[str, Any]]:
    """Neighbours: edges that hold 0, not the zero point; a kernel laid the other way round."""
    groups, depth, share = (int(rng.integers(1, 4)) for _ in range(3))
    x = rng.integers(0, 256, (2, groups * depth, 8, 9), np.uint8)
    weight = rng.integers(-128, 128, (groups * share, depth, 3, 2), np.int8)
    zero, (strides, dilations), edges = int(rng.integers(1, 256)), rng.integers(1, 3, (2, 2)), rng.integers(1, 3, 4)
    attrs = {"strides": strides.tolist(), "dilations": dilations.tolist(), "pads": edges.tolist(), "group": groups}
    theirs = _run(onnx, runtime, "ConvInteger", {"x": x, "w": weight, "z": np.uint8(zero)}, attrs)
    ours = _steps(strides, dilations) | {"zero_point": zero} | dict(zip(EDGES, edges.tolist()))
    bias = np.zeros(groups * share, np.int32)
    padded = np.pad(x, ((0, 0), (0, 0), tuple(edges[[0, 2]]), tuple(edges[[1, 3]])))
    inside = ours | dict.fromkeys(EDGES, 0)
    tensors = {"x": x, "weight": weight, "bias": bias}
    return (
        call("conv2d", tensors, ours)["y"],
        theirs,
        {
            "edges of 0": call("conv2d", tensors | {"x": padded}, inside)["y"],
            "a flipped kernel": call("conv2d", tensors | {"weight": weight[..., ::-1, ::-1]}, ours)["y"],
        },
    )


def _steps(strides: Any, dilations: Any) -> dict[str, int]:
    words = (("stride", strides), ("dilation", dilations))
    return {f"{word}_{axis}": int(n) for word, each in words for axis, n in zip("yx", each)}


def _pooling(rng: Any, onnx: Any, runtime: Any) -> tuple[Any, Any, dict[str, Any]]:
    """Neighbour: edges that hold 0."""
    x = rng.integers(-128, 64, (2, 3, 8, 9), np.int8)
    (height, width), strides, edges = rng.integers(2, 4, 2), rng.integers(1, 4, 2), rng.integers(0, 2, 4)
    kernel = [int(height), int(width)]
    attrs = {"kernel_shape": kernel, "strides": strides.tolist(), "pads": edges.tolist()}
    theirs = _run(onnx, runtime, "MaxPool", {"x": x}, attrs)
    sizes = {"height": kernel[0], "width": kernel[1], "stride_y": int(strides[0]), "stride_x": int(strides[1])}
    ours = call("max_pool", {"x": x}, sizes | dict(zip(EDGES, edges.tolist())))["y"]
    padded = np.pad(x, ((0, 0), (0, 0), tuple(edges[[0, 2]]), tuple(edges[[1, 3]])))
    return ours, theirs, {"edges of 0": call("max_pool", {"x": padded}, sizes)["y"]}


def _run(onnx: Any, runtime: Any, op: str, inputs: dict[str, Any], attrs: dict[str, Any]) -> np.ndarray:
    """The first output of one node."""
    helper, arrays = onnx.helper, {name: np.asarray(value) for name, value in inputs.items()}
    kinds = {name: helper.np_dtype_to_tensor_dtype(value.dtype) for name, value in arrays.items()}
    given = [helper.make_tensor_value_info(name, kinds[name], value.shape) for name, value in arrays.items()]
    made = helper.make_tensor_value_info("y", 6 if op == "ConvInteger" else kinds["x"], None)
    graph = helper.make_graph([helper.make_node(op, [*arrays], ["y"], **attrs)], "one", given, [made])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(None, arrays)[0]
    return found
