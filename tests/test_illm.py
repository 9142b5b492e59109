"""Ops of I-LLM: answers worked out by hand, from the docstrings alone, and how far they are from the real functions."""

import numpy as np

from intref import call
from test_hand import run, y

# m = 11, k = 8: m_f = 11 + 5 - 0 = 16, so one is t = 256 / 16 = 16.
M, K = ([[[[11]]]], "int32"), ([[[[8]]]], "int8")


def softmax(x, mask, m=M, k=K, **attrs):
    return run("softmax_illm", {"clip": 15, "bits": 8, **attrs}, x=(x, "int32"), mask=(mask, "int8"), m=m, k=k)["p"]


def test_softmax_illm_halves():
    # e of 0, -1, -16, -17: 16; (-1 >> 1) + 16 = 15; 16 >> 1 = 8; 15 >> 1 = 7. Sum 46:
    # 2048 / 46 = 44.52 -> 45; 1920 / 46 = 41.74 -> 42; 1024 / 46 = 22.26 -> 22; 896 / 46 = 19.48 -> 19.
    assert softmax([[[[0, -1, -16, -17]]]], [[1, 1, 1, 1]]) == [[[[45, 42, 22, 19]]]]


def test_softmax_illm_clips():
    # clip 1: 256 / 11 = 23.27 -> 23, so that -24 and -1000 are -23: q = 1, r = -7, (-4 + 16) >> 1 = 6. Sum 28:
    # 16 * 128 / 28 = 73.1 -> 73; 6 * 128 / 28 = 27.4 -> 27. Masked: 0, whatever it is.
    assert softmax([[[[0, -24, -1000, 99]]]], [[1, 1, 1, 0]], clip=1) == [[[[73, 27, 27, 0]]]]


def test_softmax_illm_with_scales_by_head():
    # Head 0 as above: -16 is a half, 16 / 24 and 8 / 24 of 128 are 85.3 and 42.7. Head 1: m_f = 8 + 4 - 0 = 12,
    # t = 2**8 / 12 = 21.33 -> 21: e = (-16 >> 1) + 21 = 13; 21 * 128 / 34 = 79.06; 13 * 128 / 34 = 48.94.
    x = [[[[0, -16]], [[0, -16]]]]
    got = softmax(x, [[1, 1]], ([11, 8], "int32"), ([8, 8], "int8"))
    assert got == [[[[85, 43]], [[79, 49]]]]


def test_softmax_illm_without_a_key_is_0():
    assert softmax([[[[5, 6]]]], [[0, 0]]) == [[[[0, 0]]]]


def test_swiglu_illm():
    # t = 16. gate 16: e = 8, 16 * 128 / 24 = 85.3 -> 85; 16 * 85 * 3 = 4080. gate -16: 8 * 128 / 24 = 42.7 -> 43;
    # -16 * 43 * 3 = -2064. gate 0: e = t, 64; times 0.
    pair = {"m": ([[11]], "int32"), "k": ([[8]], "int8")}
    got = y("swiglu_illm", {"bits": 8}, gate=([[16, -16, 0]], "int8"), up=([[3, 3, 3]], "int8"), **pair)
    assert got == [[4080, -2064, 0]]


def test_rmsnorm_illm():
    # 3, -4 with top = 3: up by 1 to 6, -8. (36 + 64) / 2 = 50, root 7: 24 / 7 = 3.43 -> 3, -32 / 7 = -4.57 -> -5.
    assert y("rmsnorm_illm", {"top": 3, "fraction": 2}, x=([[3, -4]], "int32")) == [[3, -5]]


def test_rmsnorm_illm_rounds_ties_of_the_shift_up_and_of_y_away():
    # Down by 1 to top = 1: 2 -> 1, -3 / 2 -> -1, 1 / 2 -> 1, -1 / 2 -> 0. v = 3 / 4 -> 1, root 1.
    assert y("rmsnorm_illm", {"top": 0, "fraction": 0}, x=([[2, -3, 1, -1]], "int32")) == [[1, -1, 1, 0]]
    # 3, -3, 1, -1 at top = 1 stay: v = 20 / 4 = 5, root 2: 1.5 -> 2, -1.5 -> -2, 0.5 -> 1, -0.5 -> -1.
    assert y("rmsnorm_illm", {"top": 1, "fraction": 0}, x=([[3, -3, 1, -1]], "int32")) == [[2, -2, 1, -1]]


def test_layernorm_illm():
    # 1, 2, 6: c = 3 * x - 9 = -6, -3, 9; top = 3 leaves them. v = (36 + 9 + 81) / 3 = 42, root 6:
    # 4 * c / 6 = -4, -2, 6.
    assert y("layernorm_illm", {"top": 3, "fraction": 2}, x=([[1, 2, 6]], "int32")) == [[-4, -2, 6]]


def test_requantize_illm():
    # span 6, n = 3: (x + 2) * 3 / 6 = 0, 0.5 -> 1, 1.5 -> 2, 3. zero_point 2 * 3 / 6 = 1. span * m = 30, of 5 bits:
    # a = 7 + 2 - 5 = 4, 30 * 16 / 3 = 160. k_y = 6 + 4: 160 / 2**10 = (5 / 2**6) * 6 / 3.
    pair = {"m": ([[5]], "int32"), "k": ([[6]], "int8")}
    got = run("requantize_illm", {"bits": 2}, x=([[-2, -1, 1, 4]], "int32"), **pair)
    assert got == {"y": [[0, 1, 2, 3]], "zero_point": [[1]], "m_y": [[160]], "k_y": [[10]]}


def test_requantize_illm_of_a_constant_row():
    # span 1, n = 3: zero_point -(5 * 3); span * m = 1: a = 8, 256 / 3 = 85.3 < 128, so b = 9: 512 / 3 = 170.7.
    pair = {"m": ([[1]], "int32"), "k": ([[0]], "int8")}
    got = run("requantize_illm", {"bits": 2}, x=([[5, 5]], "int32"), **pair)
    assert got == {"y": [[0, 0]], "zero_point": [[-15]], "m_y": [[171]], "k_y": [[9]]}


def scaled(rng, shape, k):
    """m of 16 bits as the published mantissas have, k; S = m / 2**k."""
    m = rng.integers(1 << 15, 1 << 16, shape).astype(np.int32)
    return m, np.full(shape, k, np.int8), m / 2.0**k


def test_is_softmax_illm_near_the_real_softmax():
    # 2**r as 1 + r / 2 errs by up to 6.2 % (at r = -0.53); 1.4375 for log2(e) by 0.37 % of the distance, 5.5 % at 15.
    rng = np.random.default_rng(1)
    m, k, scale = scaled(rng, (4, 3, 5, 1), 26)
    x = (rng.uniform(-12, 0, (4, 3, 5, 40)) / scale).astype(np.int32)
    tensors = {"x": x, "mask": np.ones((4, 40), np.int8), "m": m, "k": k}
    p = call("softmax_illm", tensors, {"clip": 15, "bits": 15})["p"] / 2.0**14
    e = np.exp(x * scale - (x * scale).max(-1, keepdims=True))
    assert np.abs(p * e.sum(-1, keepdims=True) / e - 1)[p > 2.0**-7].max() < 0.12
    assert np.abs(p.sum(-1) - 1).max() < 40 * 2.0**-14


def test_is_swiglu_illm_near_the_real_function():
    rng = np.random.default_rng(2)
    m, k, scale = scaled(rng, (20, 1), 26)
    gate, up = ((rng.uniform(-8, 8, (20, 50)) / scale).astype(np.int32) for _ in range(2))
    got = call("swiglu_illm", {"gate": gate, "up": up, "m": m, "k": k}, {"bits": 15})["y"] * scale**2 / 2.0**14
    real = gate * scale
    assert (
        np.abs(got - real / (1 + np.exp(-real)) * up * scale).max() < 8 * 8 * 0.016
    )  # 6.2 % of e moves e / (1 + e) so


def test_are_the_norms_near_the_real_ones():
    rng = np.random.default_rng(3)
    for drop in (0, 12, 24):
        x = (rng.integers(-(1 << 31), 1 << 31, (8, 384)) >> drop).astype(np.int32)
        for op, real in (("rmsnorm_illm", x + 0.0), ("layernorm_illm", x - x.mean(-1, keepdims=True))):
            got = call(op, {"x": x}, {"top": 25, "fraction": 20})["y"] / 2.0**20
            assert np.abs(got - real / np.sqrt((real**2).mean(-1, keepdims=True))).max() < 2.0**-19


def test_does_requantize_illm_keep_what_it_is_given():
    rng = np.random.default_rng(4)
    m, k, scale = scaled(rng, (9, 1), 30)
    x = rng.integers(-(1 << 20), 1 << 20, (9, 100)).astype(np.int32)
    made = call("requantize_illm", {"x": x, "m": m, "k": k}, {"bits": 8})
    step = made["m_y"] / 2.0 ** made["k_y"]
    assert np.abs(step * (made["y"] - made["zero_point"].astype(float)) / scale - x).max() < (1 << 21) / 255 * 1.6
    assert np.abs(step / (np.ptp(x, axis=-1, keepdims=True) * scale / 255) - 1).max() <= 2.0**-8
