"""Ops of FQ-ViT: answers worked out by hand, from the docstrings alone."""

import numpy as np

import intref
from intref.golden import suite_path
from intref.quantize.sites.norm import factors
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


def test_factors_are_the_least_that_hold_a_channel():
    # Reach 127: 127 fits as it is; 128 and 254 need 1 doubling, 255 needs 2, 1016 needs 3, and so does all beyond.
    peaks = np.array([0, 127, 128, 254, 255, 508, 509, 1016, 5000])
    assert factors(peaks, 127, 3).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 3]


def test_a_norm_takes_8_bits_times_a_power_of_two():
    model = intref.load(suite_path() / "models" / "sentiment").quantize("ibert", profile="fqvit")
    trace = model.run({"input_ids": [[101, 7, 5, 9, 102]]}, trace="all").trace
    seen = set()
    for site in ("emb.norm", "L0.attn.norm", "L1.ffn.norm"):
        small, wide = trace[f"{site}.in"], trace[f"{site}.shifted"]
        factor = model.constants[f"{site}.shifted.multiplier"]
        assert small.dtype == np.int8 and np.array_equal(wide, small.astype(np.int64) * factor)
        seen |= {*factor.tolist()}
    assert seen <= {1, 2, 4, 8} and len(seen) > 1
