"""Ops of I-ViT: answers worked out by hand, from the docstrings alone."""

import pytest

from test_hand import run, y

HALVES = {"torch": [68, 59], "tvm": [73, 54]}


@pytest.mark.parametrize("form", HALVES)
def test_softmax_ivit_of_an_odd_remainder(form):
    # d = -1: t = -1 - 1 + 1 = -1, q = 0, r = -1. torch: e = 3.5 * 2**15, tvm: e = 3 * 2**15; the largest: 4 * 2**15.
    # torch: the sum is 245760, f = 8738; p = 1145307136 >> 24 = 68 and 1002143744 >> 24 = 59.
    # tvm:   the sum is 229376, f = 9362; p = 1227096064 >> 24 = 73 and 920322048 >> 24 = 54.
    attrs = {"one": 4, "halvings": 15, "bits": 8, "form": form}
    x, mask = ([[[[7, 6, 9], [7, 9, 9]]]], "int8"), ([[[1, 1, 0], [0, 0, 0]]], "int8")
    assert run("softmax_ivit", attrs, x=x, mask=mask)["p"] == [[[[*HALVES[form], 0], [0, 0, 0]]]]


def test_softmax_ivit_whose_sum_saturates():
    # Two e of 2**30 make 2**31: cut to 2**31 - 1, so f = 1 and p = 2**30 >> 16; unsaturated it would be 0.
    attrs = {"one": 1 << 15, "halvings": 15, "bits": 16, "form": "torch"}
    got = run("softmax_ivit", attrs, x=([[[[3, 3]]]], "int8"), mask=([[1, 1]], "int8"))
    assert got["p"] == [[[[1 << 14, 1 << 14]]]]


@pytest.mark.parametrize("form, want", [("torch", [728, 0, -248]), ("tvm", [744, 0, -288])])
def test_gelu_ivit_of_either_sign(form, want):
    # m = 8: exp(-8) has t = -8 - 4 + 1 = -11, q = 1, r = -3, k = 1: 6.5 * 2 = 13, in tvm 6 * 2 = 12; exp(0) = 32.
    # 32 * floor(M / 45) >> 24 = 91, in tvm 32 * floor(M / 44) >> 24 = 93; times 8. M = 2**31 - 1.
    # m = -8: exp(8) has t = 8 + 4 - 0 = 12. torch: q = -2, r = -4, k = 4: 6 * 16 = 96; 32 * floor(M / 128) >> 24 = 31.
    # tvm: q = -1, r = 4, k = 3: 10 * 8 = 80; 32 * floor(M / 112) >> 24 = 36. Times -8.
    attrs = {"one": 8, "halvings": 2, "bits": 8, "form": form}
    first = y("gelu_ivit", attrs, x=([[8, 0]], "int8"))
    assert [*first[0], *y("gelu_ivit", attrs, x=([-8], "int8"))] == want


def test_layernorm_ivit_of_a_root_that_is_not_reached():
    # Mean 2, deviations +-1, v = 4: ten steps halve 2**16 to 64. f = 2**25 - 1; f / 2 is 2**24 - 1/2.
    x, bias, half = ([[3, 1, 1, 3]], "int32"), ([1, 2, 3, 4], "int64"), 1 << 24
    assert y("layernorm_ivit", {"form": "torch"}, x=x, bias=bias) == [[half, 2 - half, 3 - half, half + 3]]
    assert y("layernorm_ivit", {"form": "tvm"}, x=x, bias=bias) == [[half, 3 - half, 4 - half, half + 3]]


def test_layernorm_ivit_wraps_in_tvm():
    # c = +-2**16: v = 2**33 is 0 modulo 2**32, sigma 64 and f 2**25 - 1. c * f = +-(2**41 - 2**16) wraps to -+2**16.
    got = y("layernorm_ivit", {"form": "tvm"}, x=([[1 << 16, -(1 << 16)]], "int32"), bias=([0, (1 << 31) - 1], "int64"))
    assert got == [[-(1 << 15), (1 << 15) - 1 - (1 << 31)]]
