"""Ops of FQ-ViT: answers worked out by hand, from the docstrings alone."""

from test_hand import run, y


def test_softmax_log2_fqvit_rounds_half_way_up():
    # c = b = ln2 = 1: e = 2**(30 + d). Equal keys have n = their number: 5 -> 2**2, 6 = 1.5 * 2**2 -> 2**3.
    attrs = {"ln2": 1, "b": 1, "c": 1}
    for keys, want in ((1, 0), (2, 1), (3, 2), (5, 2), (6, 3), (12, 4)):
        got = run("softmax_log2_fqvit", attrs, x=([[[[7] * keys]]], "int8"), mask=([[1] * keys], "int8"))
        assert got["k"] == [[[[want] * keys]]]


def test_softmax_log2_fqvit_of_a_tie_and_of_too_little():
    # The sum is 2**30 + 2**29 + 2**13: over 2**30 it is 1.5.. -> 2; over 2**29 3.. -> 3, which goes up to 2**2;
    # over 2**13 it is 196609, beyond 2**16. Masked: 16. Two of 2**30 and one of 2**29: 5/2 -> 2 and 5 -> 2**2.
    attrs = {"ln2": 1, "b": 1, "c": 1}
    x, mask = ([[[[0, -1, -17, 9], [0, 0, -1, 9]]]], "int8"), ([[[1, 1, 1, 0], [1, 1, 1, 0]]], "int8")
    assert run("softmax_log2_fqvit", attrs, x=x, mask=mask)["k"] == [[[[1, 2, 16, 16], [1, 1, 2, 16]]]]


def test_matmul_shift_fqvit():
    # 3 * 2**15 - 5 * 2**14 + 7 * 2**0; 16 is a probability of 0.
    v = ([[3], [-5], [7], [100]], "int8")
    assert y("matmul_shift_fqvit", k=([[0, 1, 15, 16]], "int8"), v=v) == [[98304 - 81920 + 7]]
