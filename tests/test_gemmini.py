"""Gemmini: answers worked out by hand from the docstrings, and its constants as its C code computes them."""

import numpy as np

from intref import call
from intref.ops.gemmini import reciprocal_fp32
from intref.quantize.sites.gemmini import gelu_constants, softmax_constants

COARSE = {"ln2": 13, "b": 27, "c": 383}


def softmax(rows, mask=None, **attrs):
    x = np.array(rows, np.int32)[None, None]
    mask = np.ones((1, x.shape[-1]), np.int8) if mask is None else np.array(mask, np.int8)
    return call("softmax_gemmini", {"x": x, "mask": mask}, {**COARSE, **attrs})["p"][0, 0].tolist()


def test_softmax():
    # 0: 27**2 + 383 = 1112. -13: z = 13 * 5041 >> 16 = 0, for 65533 < 65536: r = -13, (14**2 + 383) = 579.
    # -14: z = 1, r = -1, (26**2 + 383) >> 1 = 529. Sum 2220: 127 * 1112 / 2220 = 63.6.., 33.1.., 30.2..
    assert softmax([[0, -13, -14]]) == [[64, 33, 30]]
    # Two equal keys: 63.5 is a tie, and 64 is even.
    assert softmax([[5, 5, 99]], [[1, 1, 0]]) == [[64, 64, 0]]
    assert softmax([[1, 2]], [[0, 0]]) == [[0, 0]]
    # z = 40 halvings leave nothing.
    assert softmax([[0, -13 * 41]]) == [[127, 0]]


def test_the_reciprocal_is_that_of_float32():
    n = np.unique(
        np.concatenate([2 ** np.arange(31), 2 ** np.arange(1, 31) - 1, 2 ** np.arange(30) + 1, 127 << np.arange(24)])
    )
    n = np.concatenate([n, (np.arange(5000) * 429479 + 1) % ((1 << 31) - 1)])
    want = (np.float32(127) / n[n > 0].astype(np.float32)).view(np.int32)
    assert reciprocal_fp32(n[n > 0]).tolist() == want.tolist()


def test_gelu():
    # x = 3: L = (3 - 50)**2 - 2770 = -561, y = 3 * (-561 - 2770) = -9993. x = -3: y = -3 * (561 - 2770) = 6627.
    # Beyond the cut: L = +-(-2770): 60 * -5540, and -60 * 0.
    got = call("gelu_gemmini", {"x": np.array([3, -3, 0, 60, -60], np.int32)}, {"b": -50, "c": -2770, "one": -2770})
    assert got["y"].tolist() == [-9993, 6627, 0, -332400, 0]


def test_layernorm():
    # Mean 6 / 4 = 1.5, toward zero 1: -3, -1, 1, 5, squares 36 / 4 = 9, root 3: -1, -1/3, 1/3, 5/3. Then mirrored.
    x = np.array([[-2, 0, 2, 6], [2, 0, -2, -6]], np.int32)
    assert call("layernorm_gemmini", {"x": x}, {})["y"].tolist() == [[-1, 0, 0, 2], [1, 0, 0, -2]]
    # Squares 20 / 5 = 4, root 2: 1/2 and 3/2 are ties.
    x = np.array([[1, -1, 3, -3, 0]], np.int16)
    assert call("layernorm_gemmini", {"x": x}, {})["y"].tolist() == [[0, 0, 2, -2, 0]]
    x = np.array([[7, 7]], np.int8)
    assert call("layernorm_gemmini", {"x": x}, {})["y"].tolist() == [[0, 0]]


def test_constants():
    # 0.693147 / 0.05 = 13.8, 1.353 / 0.05 = 27.06, 0.344 / (0.3585 * 0.0025) = 383.8.
    assert softmax_constants(0.05) == COARSE
    # k = 0.05 / sqrt(2): -1.769 / k = -50.03, 1 / (-0.2888 * 0.00125) = -2770.08.
    constants, scale = gelu_constants(0.05)
    assert constants == {"b": -50, "c": -2770, "one": -2770} and -0.05 * 0.2888 * 0.000626 < scale < 0
