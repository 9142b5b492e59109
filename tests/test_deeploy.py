"""Deeploy's ops: answers worked out by hand, and the networks that come with it, where they are at hand."""

from pathlib import Path

import numpy as np
import pytest

from test_hand import run, y

SHARED = Path(__file__).resolve().parents[2] / "shared" / "vectors" / "deeploy"


def requant(x, mul, add, shift, rounding="half_up", **attrs):
    attrs = {"shift": shift, "rounding": rounding, "output": "int8", **attrs}
    return y("requant_shift", attrs, x=(x, "int32"), mul=([mul], "int32"), add=([add], "int32"))


def softmax(op, rows, mask=None, **attrs):
    mask = [[1] * len(rows[0])] if mask is None else mask
    return run(op, attrs, x=([[rows]], "int8"), mask=(mask, "int8"))["p"][0][0]


def test_requant_shift():
    # (3x + 2) / 4: 5/4, 11/4, -7/4, and -1/4 of x = -1; 14/4 = 7/2 is a tie.
    assert requant([1, 3, -3, -1, 4], 3, 2, 2) == [1, 3, -2, 0, 4]
    assert requant([1, 3, -3, -1, 4], 3, 2, 2, "floor") == [1, 2, -2, -1, 3]
    # (100 + 128) * 2 / 4 - 128 = -14; (0 + 128) * 2 / 4 - 128 = -64.
    assert requant([100, 0], 2, 0, 2, input_offset=128, output_offset=-128) == [-14, -64]
    # 2**31 - 1 with its half of 8 wraps to -2**31 + 7, which is -2**27 over 16; without the half it is 2**27 - 1.
    top = (1 << 31) - 1
    assert requant([top], 1, 0, 4, output="int32") == [-(1 << 27)]
    assert requant([top], 1, 0, 4, "floor", output="int32") == [(1 << 27) - 1]


def test_softmax_deeploy():
    # ln2 = 2, b = 3, c = 5: d = 0, 1, 2, 5 -> z = 0, 0, 1, 2; r = 0, -1, 0, -1; e = 14, 9, 14 >> 1 = 7, 9 >> 2 = 2.
    # The sum is 32: 255 * 14 / 32 = 111.5, 255 * 9 / 32 = 71.7, 55.7, 15.9.
    constants = {"a": 1, "b": 3, "c": 5, "ln2": 2}
    assert softmax("softmax_deeploy", [[10, 9, 8, 5]], **constants, output="uint8") == [[111, 71, 55, 15]]
    assert softmax("softmax_deeploy", [[10, 9, 8, 5]], **constants, output="int8") == [[-17, -57, -73, -113]]
    # Two maxima of 2**31 sum to 2**32, which wraps to 0; what is 127 below leaves 1 after 31 halvings: the sum is 1.
    # 2**31 * 255 mod 2**32 = 2**31, whose low 8 bits are 0; 1 * 255 is 255.
    far = {"a": 1, "b": 1, "c": (1 << 31) - 1, "ln2": 2, "output": "uint8"}
    assert softmax("softmax_deeploy", [[0, 0, -127]], **far) == [[0, 0, 255]]


def test_softmax_itamax():
    # Distances 0, 16, 48, 111: 0, 1, 2, 3 halvings (111 + 16 = 127). 256 + 128 + 64 + 32 = 480; 65280 // 480 = 136.
    assert softmax("softmax_itamax", [[100, 84, 52, -11]], output="uint8") == [[136, 68, 34, 17]]
    assert softmax("softmax_itamax", [[100, 84, 52, -11]], output="int8") == [[8, -60, -94, -111]]
    # Without the first key, distances 0, 32, 95: 0, 1, 3 halvings (95 + 16 = 111).
    # 256 + 128 + 32 = 416; 65280 // 416 = 156.
    assert softmax("softmax_itamax", [[100, 84, 52, -11]], [[0, 1, 1, 1]], output="uint8") == [[0, 156, 78, 19]]


def test_softmax_itamax_partial_forgets_what_a_shift_drops():
    # Groups of 2. [0, -40]: 256 + 2**7 = 384 (40 + 16 = 56: one halving). [20, 20]: a climb of 20 is one halving:
    # 384 >> 1 = 192, + 512 = 704. 127 * 256 // 704 = 46. Distances from 20: 20 -> 1, 60 -> 2, 0, 0.
    assert softmax("softmax_itamax_partial", [[0, -40, 20, 20]], group=2, output="uint8") == [[23, 11, 46, 46]]
    # In one group: 256 * 2 + 128 + 64 = 704 as well; but 16 above 16 is 2 halvings in steps, 32 at once is 1:
    # 256 >> 1 = 128, + 256 = 384, >> 1 = 192, + 256 = 448: 32512 // 448 = 72. At once: 2**7 + 2**7 + 2**8 = 512: 63.
    assert softmax("softmax_itamax_partial", [[0, 16, 32]], group=1, output="uint8") == [[36, 36, 72]]
    assert softmax("softmax_itamax_partial", [[0, 16, 32]], group=3, output="uint8") == [[31, 31, 63]]


def norm(op, x, weight, **attrs):
    bias = {"bias": (attrs.pop("bias"), "int32")} if "bias" in attrs else {}
    return y(op, attrs, x=(x, "int8"), weight=(weight, "int32"), **bias)


def test_layernorm_deeploy():
    # The mean of -1, -2, -2, -2 is -7/4, toward zero -1: c = 0, -1, -1, -1. 3 // 4 + 1 = 1: sigma 1.
    # 10 * c + 7 = 7, -3, -3, -3, halved down: 3, -2.
    assert norm("layernorm_deeploy", [-1, -2, -2, -2], [10] * 4, bias=[7] * 4, shift=1, overflow="clamp") == [
        3,
        -2,
        -2,
        -2,
    ]
    # c = 4, -4: 16 + 1 = 17, sigma 4. 4 * 35 / 4 = 35; -4 * 35 / 4 + 300 = 265: clamped 127, wrapped 9.
    given = {"bias": [0, 300], "shift": 0}
    assert norm("layernorm_deeploy", [4, -4], [35, 35], **given, overflow="clamp") == [35, 127]
    assert norm("layernorm_deeploy", [4, -4], [35, 35], **given, overflow="wrap") == [35, 9]


def test_rmsnorm_deeploy():
    # (9 + 16) // 2 + 1 = 13, sigma 3: 3 * 11 / 3 = 11, -4 * 11 / 3 = -14.67 -> -14; halved down 5, -7.
    assert norm("rmsnorm_deeploy", [3, -4], [11, 11], shift=1) == [5, -7]
    # 4 * 2**30 wraps to 0, and so does the other's 4 * -2**30; 16 + 1, sigma 4.
    assert norm("rmsnorm_deeploy", [4, 4], [1 << 30, -(1 << 30)], shift=0) == [0, 0]


def test_nonorm_deeploy():
    # (2 * 3 + 4) * 5 = 50, (-2 * 3 + 4) * 5 = -10, over 4 down: 12, -3. 100 * 3 + 4 = 304, * 5 / 4 = 380: 127, or 124.
    tensors = {"x": ([[2, -2, 100]], "int8"), "weight": ([3, 3, 3], "int8"), "bias": ([4, 4, 4], "int32")}
    assert y("nonorm_deeploy", {"mul": 5, "shift": 2, "overflow": "clamp"}, **tensors) == [[12, -3, 127]]
    assert y("nonorm_deeploy", {"mul": 5, "shift": 2, "overflow": "wrap"}, **tensors) == [[12, -3, 124]]


def test_gelu_deeploy():
    # b = -4, one = 20. x = 3: 20 - 1 = 19, (20 + 19) >> 1 = 19: 57. x = -3: (20 - 19) >> 1 = 0. x = 9: 20: 180.
    # x = -9: 0. x = -2: 20 - 4 = 16, (20 - 16) >> 1 = 2: -4.
    assert y("gelu_deeploy", {"b": -4, "one": 20}, x=([3, -3, 9, -9, -2, 0], "int8")) == [57, 0, 180, 0, -4, 0]


def test_hardswish_deeploy():
    # three = 3, six = 6, a sixth = 10: x = -4, -1, 2, 5: the sums -1, 2, 5, 8 clamp to 0, 2, 5, 6.
    attrs = {"one_over_six": 10, "three": 3, "six": 6}
    assert y("hardswish_deeploy", attrs, x=([-4, -1, 2, 5], "int8")) == [0, -20, 100, 300]
    # Moved by 3 the sums are 2, 5, 6, 6; the factor x is as it was.
    assert y("hardswish_deeploy", {**attrs, "input_offset": 3}, x=([-4, -1, 2, 5], "int8")) == [-80, -50, 120, 300]


def test_divide_deeploy():
    # 2 * 3 * x / (3 * 1 + 1) = 3x / 2: 1.5, -1.5, 3, 7.5.
    given, attrs = {"x": ([1, -1, 2, 5], "int32"), "den": ([1], "int32")}, {"delta": 2, "eta": 3, "eps": 1}
    assert y("divide_deeploy", {**attrs, "rounding": "half_away"}, **given) == [2, -2, 3, 8]
    assert y("divide_deeploy", {**attrs, "rounding": "floor"}, **given) == [1, -2, 3, 7]


def test_mean_deeploy():
    # Column sums 5 and -5 of two rows: 2.5 and -2.5.
    x = [[2, -2], [3, -3]]
    assert y("mean_deeploy", {"rounding": "half_up"}, x=(x, "int8")) == [3, -2]
    assert y("mean_deeploy", {"rounding": "half_away"}, x=(x, "int8")) == [3, -3]


def attribute(node, name):
    onnx = pytest.importorskip("onnx")
    found = next(a for a in node.attribute if a.name == name)
    value = onnx.helper.get_attribute_value(found)
    return int(np.ravel(onnx.numpy_helper.to_array(value) if hasattr(value, "dims") else value)[0])


def network(folder):
    """(its only node, its constants, inputs, the wanted output) of a test network of Deeploy's."""
    onnx = pytest.importorskip("onnx")
    if not (SHARED / folder).is_dir():
        pytest.skip("the networks are not at hand")
    graph = onnx.load(SHARED / folder / "network.onnx").graph
    constants = [onnx.numpy_helper.to_array(i).astype(np.int64) for i in graph.initializer]
    x, want = (next(iter(np.load(SHARED / folder / f"{name}.npz").values())) for name in ("inputs", "outputs"))
    return graph.node[0], constants, x.astype(np.int64), want.astype(np.int64)


def test_the_softmax_network():
    node, _, x, want = network("Kernels/Integer/Softmax/Regular")
    constants = {"a": "coeffA", "b": "coeffB", "c": "coeffC", "ln2": "log2", "levels": "n_levels"}
    attrs = {ours: attribute(node, theirs) for ours, theirs in constants.items()}
    mask = np.ones((x.shape[0], x.shape[-1]), int)
    assert (
        run("softmax_deeploy", {**attrs, "output": "uint8"}, x=(x, "int8"), mask=(mask, "int8"))["p"] == want.tolist()
    )


def test_the_rmsnorm_network():
    node, (weight,), x, want = network("Kernels/Integer/RMSNorm")
    attrs = {"shift": attribute(node, "D").bit_length() - 1}
    assert y("rmsnorm_deeploy", attrs, x=(x, "int8"), weight=(weight, "int32")) == want.tolist()


def test_the_nonorm_network():
    node, constants, x, want = network("Kernels/Integer/iNoNorm")
    weight, bias = sorted(constants, key=np.ndim, reverse=True)
    attrs = {"mul": attribute(node, "mul"), "shift": attribute(node, "D").bit_length() - 1, "overflow": "wrap"}
    tensors = {"x": (x, "int8"), "weight": (weight, "int8"), "bias": (bias, "int32")}
    assert y("nonorm_deeploy", attrs, **tensors) == want.tolist()
