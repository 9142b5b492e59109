"""Answers of the float32 ops worked out by hand from their docstrings; patterns are written in hexadecimal."""

import numpy as np

from intref import call


def f32(*values: float) -> np.ndarray:
    """Bit patterns of numbers that float32 holds."""
    pattern = np.array(values, np.float32)
    assert pattern.tolist() == [*values]
    return pattern.view(np.int32)


def quantize(x, scale, output="int8", zero=0):
    tensors = {"x": x, "scale": scale, "zero_point": np.array([zero], np.int32)}
    return call("quantize_fp32", tensors, {"output": output})["y"].tolist()


def test_quantize_rounds_ties_to_even_then_adds_the_zero_point_then_clips():
    # 0.5 -> 0, 1.5 -> 2, 2.5 -> 2, -0.5 -> 0, -1.5 -> -2; + 3; 124.5 -> 124 + 3 = 127, 125.5 -> 126 + 3 > 127
    x = f32(0.5, 1.5, 2.5, -0.5, -1.5, 124.5, 125.5)
    assert quantize(x, f32(1.0), zero=3) == [3, 5, 5, 3, 1, 127, 127]


def test_quantize_rounds_the_quotient_to_float32_first():
    # 10.5 / 3 = 3.5 -> 4. The float32 before 10.5 is 10.5 - 2**-20: a third of 2**-20 below 3.5 is 1.33 of the steps of
    # 2**-22 that float32 has there, so the quotient is 3.5 - 2**-22 -> 3.
    assert quantize(np.array([0x41280000, 0x41280000 - 1], np.int32), f32(3.0)) == [4, 3]
    # 4194305.5 / (1 + 2**-23) = 4194305.5 - 0.5000001 + ..: in steps of 1/2 that is 4194305.0, but the same over
    # 1 - 2**-24 is 4194305.5 + 0.25 + ..., which float32 takes to the even one of 4194305.5 and 4194306: -> 4194306.
    x = f32(4194305.5, 4194305.5)
    tensors = {"x": x, "scale": np.array([0x3F800001, 0x3F7FFFFF], np.int32), "zero_point": np.zeros(1, np.int32)}
    assert call("quantize_fp32", tensors, {"output": "int32"})["y"].tolist() == [4194305, 4194306]


def test_quantize_by_a_scale_per_channel_and_an_infinite_quotient():
    x = np.array([[0x3F800000, 0x3F800000, 0x7F7FFFFF]], np.int32)  # 1, 1, the largest
    tensors = {"x": x, "scale": f32(0.5, -0.25, 2.0**-126), "zero_point": np.array([0, 1, -5], np.int32)}
    assert call("quantize_fp32", tensors, {"output": "int8"})["y"].tolist() == [[2, -3, 127]]


def test_dequantize_rounds_before_and_after_the_product():
    # 16777217 -> 16777216 in float32; * 3 = 50331648 = 3 * 2**24: 0x4C400000. 5 * 0.75 = 3.75 = 0x40700000.
    tensors = {"x": np.array([16777217, 5], np.int32), "scale": f32(3.0, 0.75), "zero_point": np.zeros(1, np.int32)}
    assert call("dequantize_fp32", tensors, {})["y"].tolist() == [0x4C400000, 0x40700000]
    # (7 - 9) * 2**-149 = -2 * 2**-149, subnormal: pattern 2 with the sign. (9 - 9) * -1 = -0.
    scale, nine = np.array([1, -0x40800000], np.int32), np.array([9], np.int32)
    tensors = {"x": np.array([7, 9], np.int8), "scale": scale, "zero_point": nine}
    assert call("dequantize_fp32", tensors, {})["y"].tolist() == [2 - (1 << 31), -(1 << 31)]


def test_a_sum_of_float32s_rounds_once_to_even():
    # 2**24 + 1: a tie of 2**24 and 2**24 + 2 -> 2**24; + 3 -> + 4, the even one of + 2 and + 4; + 2 is a float32.
    # 2**24 - 0.5 is a tie of 2**24 - 1 and 2**24, of which 2**24 is the even one. 3 - 3 = +0; -0 + -0 = -0 = -2**31.
    a, b = f32(2.0**24, 2.0**24, 2.0**24, 2.0**24, 3.0, -0.0), f32(1.0, 3.0, 2.0, -0.5, -3.0, -0.0)
    y = call("add_fp32", {"a": a, "b": b}, {})["y"]
    assert y.tolist() == [*f32(2.0**24, 2.0**24 + 4, 2.0**24 + 2, 2.0**24).tolist(), 0, -(1 << 31)]


def test_a_sum_of_float32s_is_subnormal_exactly_and_infinite_from_half_a_step_beyond_the_largest():
    # (2**23 + 3 - 2**23 - 1) * 2**-149 = 2 * 2**-149: pattern 2. The largest is (2**24 - 1) * 2**104; + 2**103 is a tie
    # with 2**128, which is even: infinite. Half of that rounds down.
    a = np.array([0x800003, 0x7F7FFFFF, 0x7F7FFFFF], np.int32)
    b = np.array([0x800001 - (1 << 31), 230 << 23, 229 << 23], np.int32)
    assert call("add_fp32", {"a": a, "b": b}, {})["y"].tolist() == [2, 0x7F800000, 0x7F7FFFFF]


def test_dynamic_quantize_by_the_span_of_a_row():
    # a = -100, b = 155: scale 255 / 255 = 1, zero point 100; 1.5 -> 2, 2.5 -> 2, -100 -> 0, 155 -> 255.
    # All positive: a = 0; b = 510: scale 2, zero point 0; 3 / 2 = 1.5 -> 2; 1 / 2 -> 0.
    x = np.stack([f32(-100.0, 155.0, 1.5, 2.5), f32(510.0, 3.0, 1.0, 0.0)])
    made = call("dynamic_quantize", {"x": x}, {})
    assert made["y"].tolist() == [[0, 255, 102, 102], [255, 2, 0, 0]]
    assert made["scale"].tolist() == [[0x3F800000], [0x40000000]]
    assert made["zero_point"].tolist() == [[100], [0]]


def test_dynamic_quantize_of_zeros_has_scale_one():
    made = call("dynamic_quantize", {"x": np.array([0, -(1 << 31)], np.int32)}, {})
    assert (made["y"].tolist(), made["scale"].tolist(), made["zero_point"].tolist()) == ([0, 0], [0x3F800000], [0])


def test_token_scale_is_the_peak_over_127():
    # peak 254 / 127 = 2 = 0x40000000: 1 / 2 -> 0, 3 / 2 -> 2, -5 / 2 -> -2, -254 -> -127. By the reciprocal 127 / 254
    # = 1/2 the same. A row of zeros has scale 0.
    x = np.stack([f32(1.0, 3.0, -5.0, -254.0), f32(0.0, 0.0, 0.0, 0.0)])
    for by in ("quotient", "reciprocal"):
        made = call("quantize_token_fp32", {"x": x}, {"by": by})
        assert made["q"].tolist() == [[0, 2, -2, -127], [0, 0, 0, 0]]
        assert made["scale"].tolist() == [[0x40000000], [0]]


def epilogue(order, x, token, channel, bias, **contract):
    given = {k: np.array([v], np.int32) for k, v in {"x": x, "token": token, "channel": channel, "bias": bias}.items()}
    return call("epilogue_fp32", given, {"order": order, **contract})["y"].tolist()


def test_epilogue_rounds_once_for_each_product():
    # u = 2**-23. token = channel = 1 + u. x = 3: 3 * (1 + u) = 3 + 3u, in steps of 2u: a tie between 3 + 2u (odd) and
    # 3 + 4u (even) -> 3 + 4u; times 1 + u = 3 + 7u + ..: in steps of 2u just above the tie -> 3 + 8u: pattern + 4.
    # scales first: (1 + u)**2 = 1 + 2u + u * u -> 1 + 2u; 3 + 6u -> 3 + 6u exactly: pattern + 3.
    one = 0x3F800001
    assert epilogue("token_first", 3, one, one, -(1 << 31)) == [0x40400004]
    assert epilogue("channel_first", 3, one, one, -(1 << 31)) == [0x40400004]
    assert epilogue("scales_first", 3, one, one, -(1 << 31)) == [0x40400003]


def test_epilogue_tells_the_token_s_order_from_the_channel_s():
    # x = 3, token 1 + u, channel 1.5: token first 3 + 4u, * 1.5 = 4.5 + 6u in steps of 4u: a tie of 4.5 + 4u (odd: 4.5
    # is 9437184 * 4u, even) and 4.5 + 8u -> + 8u: pattern + 2. channel first 4.5, * (1 + u) = 4.5 + 4.5u -> 4.5 + 4u.
    assert epilogue("token_first", 3, 0x3F800001, 0x3FC00000, -(1 << 31)) == [0x40900002]
    assert epilogue("channel_first", 3, 0x3F800001, 0x3FC00000, -(1 << 31)) == [0x40900001]


def test_epilogue_adds_the_bias_last():
    # 2**24 + 1 -> 2**24 as it is converted; + 1 is a tie of 2**24 and 2**24 + 2 -> 2**24: 0x4B800000; + 3 -> + 4.
    one = 0x3F800000
    assert epilogue("token_first", (1 << 24) + 1, one, one, one) == [0x4B800000]
    assert epilogue("token_first", 1 << 24, one, one, 0x40400000) == [0x4B800002]
    assert epilogue("token_first", -3, one, one, 0x40400000) == [0]  # x - x is +0


def test_epilogue_may_fuse_its_last_product_with_the_bias():
    # u = 2**-23: (1 + u) * (1 + u) = 1 + 2u + u * u. As a float32 1 + 2u, and less 1 + 2u nothing is left; fused, u * u
    # = 2**-46 is: 81 << 23. Scales first, (1 + u) * 1 = 1 + u comes to the accumulator 2**23 + 1 = 2**23 * (1 + u).
    one, two, less = 0x3F800001, 0x3F800002, -(1 << 31)
    for order in ("token_first", "channel_first"):
        assert epilogue(order, 1, one, one, two + less) == [0]
        assert epilogue(order, 1, one, one, two + less, contract="off") == [0]
        assert epilogue(order, 1, one, one, two + less, contract="fma") == [81 << 23]
    bias = two + (23 << 23) + less
    assert epilogue("scales_first", (1 << 23) + 1, one, 0x3F800000, bias, contract="fma") == [(81 + 23) << 23]
    # 97 * 172961 = 2**24 + 1, a tie that goes to 2**24; the least float32 beside it takes it to 2**24 + 2.
    factor = (127 + 17 << 23) + ((172961 - (1 << 17)) << 6)
    assert epilogue("token_first", 97, 0x3F800000, factor, 1) == [0x4B800000]
    assert epilogue("token_first", 97, 0x3F800000, factor, 1, contract="fma") == [0x4B800001]
    # Half the least float32, twice: 0 to even; together with it, 2**-149 * 3 / 2 is a tie of 1 and 2, to 2.
    half = 0x3F000000
    assert epilogue("token_first", 1, 1, half, 1) == [1]
    assert epilogue("token_first", 1, 1, half, 1, contract="fma") == [2]
    assert epilogue("token_first", 1, 1, half + less, less, contract="fma") == [less]  # -2**-150, -0 as a float32


def soft(x, entries, factor, zero=0, mask=None, dtype="uint8"):
    """entries: the first of a table, as floats; the rest are 0."""
    table = np.zeros(256, np.int32)
    table[: len(entries)] = f32(*entries)
    x = np.array(x, dtype)[None, None, None]
    mask = np.ones((1, x.shape[-1]), np.int8) if mask is None else np.array([mask], np.int8)
    attrs = {"factor": factor, "zero_point": zero, "output": dtype}
    return call("qlinear_softmax", {"x": x, "mask": mask, "table": table}, attrs)["y"].ravel().tolist()


def test_softmax_shares_are_rounded_half_to_even_then_moved_then_clipped():
    # e = 4, 4, 2, 1 of 11: times 11 is itself. e = 4, 2, 2 of 8: times 20 / 8 is 10, 5, 5; times 5 / 8 is 2.5 -> 2 and
    # 1.25 -> 1; times 14 / 8 is 7 and 3.5 -> 4. One key: 256 > 255; 256 - 128 > 127.
    assert soft([9, 9, 8, 7], [4.0, 2.0, 1.0], 11) == [4, 4, 2, 1]
    assert soft([9, 8, 8], [4.0, 2.0], 20, 3) == [13, 8, 8]
    assert soft([9, 8, 8], [4.0, 2.0], 5) == [2, 1, 1]
    assert soft([9, 8, 8], [4.0, 2.0], 14) == [7, 4, 4]
    assert (soft([5], [4.0], 256), soft([5], [4.0], 256, -128, dtype="int8")) == ([255], [127])


def test_softmax_sums_in_the_order_of_the_keys():
    # 2**24 twice and 1 thrice. 2**25 first: a 1 is less than half of its last place, 4; 7 * 2**24 / 2**25 = 3.5 -> 4.
    # The 1s first: 3 + 2**24 is a tie of + 2 and + 4 -> + 4; 2**25 + 4 is a float32, and 7 / 2 less a little -> 3.
    assert soft([9, 9, 8, 8, 8], [2.0**24, 1.0], 7) == [4, 4, 0, 0, 0]
    assert soft([8, 8, 8, 9, 9], [2.0**24, 1.0], 7) == [0, 0, 0, 3, 3]


def test_softmax_leaves_a_masked_key_the_zero_point():
    # Without the 200 the top is 9: e = 4, 2 of 6, times 6.
    assert soft([9, 200, 8], [4.0, 2.0], 6, 5, [1, 0, 1]) == [9, 5, 7]
    assert soft([9, 200, 8], [4.0, 2.0], 6, 5, [0, 0, 0]) == [5, 5, 5]


def added(a, b, a_scale, b_scale, zeros=(0, 0, 0), dtype="int8"):
    """Scales: 2**37 times the quotients."""
    tensors = {"a": np.array([a], dtype), "b": np.array([b], dtype)}
    given = dict(zip(("a_zero_point", "b_zero_point", "y_zero_point"), zeros))
    given |= {"a_scale": int(a_scale * 2**37), "b_scale": int(b_scale * 2**37), "output": dtype}
    return call("qlinear_add", tensors, given)["y"].tolist()


def test_a_sum_of_integers_rounds_to_even_and_clips():
    # halves: 1/2 + 2/2 = 1.5 -> 2; 1/2 + 4/2 = 2.5 -> 2; -3/2 -> -2. 100 + 30 - 2 = 128 > 127.
    assert (added(1, 2, 0.5, 0.5), added(1, 4, 0.5, 0.5), added(-3, 0, 0.5, 0.5)) == ([2], [2], [-2])
    assert added(100, 30, 1, 1, (0, 2, 0)) == [127]
    # (200 - 10) / 2 + (57 - 20) / 2 + 3 = 116.5 -> 116; (255 - 0) * 1.5 > 255; (0 - 255) + 0 + 9 < 0.
    assert added(200, 57, 0.5, 0.5, (10, 20, 3), "uint8") == [116]
    assert (added(255, 0, 1.5, 1, dtype="uint8"), added(0, 0, 1, 1, (255, 0, 9), "uint8")) == ([255], [0])


def test_a_sum_of_integers_adds_b_first_and_rounds_a_product_with_its_sum():
    # u = 2**-23; the last place of numbers in [2, 4) is 2u. b: 3 * (1 + u) = 3 + 3u is a tie -> 3 + 4u, the even one.
    # a: 0.5 - 5u more is 3.5 - u, a tie -> 3.5, the even one -> 4. Exchanged, 0.5 - 5u + 3 + 3u = 3.5 - 2u -> 3.
    u = 2.0**-23
    assert added(1, 3, 0.5 - 5 * u, 1 + u) == [4]
    assert added(3, 1, 1 + u, 0.5 - 5 * u) == [3]
    # The zero point 3 of b makes the offset -(3 + 4u), its product rounded. 3 + 3u less that is -u, this product being
    # exact; 0.5 + u more is 0.5 -> 0. Had both been rounded, 0.5 + u -> 1.
    assert added(1, 3, 0.5 + u, 1 + u, (0, 3, 0)) == [0]
