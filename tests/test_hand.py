"""Answers worked out by hand, from the docstrings alone: at least one for each op, and the table of rounding rules."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intref import OPS, call
from intref.ops.rescale import RULES

HALVES = {  # of -2.5 -1.5 -.5 .5 1.5 2.5
    "half_up": [-2, -1, 0, 1, 2, 3],
    "half_down": [-3, -2, -1, 0, 1, 2],
    "half_away": [-3, -2, -1, 1, 2, 3],
    "half_to_zero": [-2, -1, 0, 0, 1, 2],
    "half_even": [-2, -2, 0, 0, 2, 2],
    "floor": [-3, -2, -1, 0, 1, 2],
    "ceil": [-2, -1, 0, 1, 2, 3],
    "toward_zero": [-2, -1, 0, 0, 1, 2],
    "odd": [-3, -1, -1, 1, 1, 3],
}


def run(op: str, attrs: dict[str, Any] | None = None, **tensors: tuple[Any, str]) -> dict[str, Any]:
    """Outputs as lists; tensors are given as (values, dtype)."""
    got = call(op, {k: np.array(values, dtype) for k, (values, dtype) in tensors.items()}, attrs or {})
    return {k: v.tolist() for k, v in got.items()}


def y(op: str, attrs: dict[str, Any] | None = None, **tensors: tuple[Any, str]) -> Any:
    return run(op, attrs, **tensors)["y"]


def rescale(x, multiplier, shift, rounding, **attrs):
    attrs = {"rounding": rounding, "output": "int8", **attrs}
    pair = {"multiplier": ([multiplier], "int32"), "shift": ([shift], "int8")}
    return y("rescale", attrs, x=(x, "int32"), **pair)


@pytest.mark.parametrize("rule", HALVES)
def test_rounding_table(rule):
    halves = [-5, -3, -1, 1, 3, 5]
    assert rescale(halves, 1, 1, rule) == HALVES[rule]
    constants = {k: ([1], "int32" if "multiplier" in k else "int8") for k in OPS["add"].inputs if "_" in k}
    got = y("add", {"rounding": rule, "output": "int8"}, a=(halves, "int8"), b=([0] * 6, "int8"), **constants)
    assert got == HALVES[rule]


def test_rounding_table_has_every_single_rule():
    assert {*HALVES} == {*RULES} - {"gemmlowp_double", "tosa_double", "fp32_half_even"}


def test_rescale_gemmlowp_rounds_twice():
    # 2**30 * 2**-33 = 1/8. SRDHM: -5/2 -> -2 (ties up), 5/2 -> 3; then /4: -1/2 -> -1 (ties away), 3/4 -> 1.
    assert rescale([-5, 5, -11, 11], 1 << 30, 33, "gemmlowp_double") == [-1, 1, -1, 2]
    assert rescale([-5, 5, -11, 11], 1 << 30, 33, "half_away") == [-1, 1, -1, 1]


def test_rescale_tosa_nudges_away_from_zero():
    # x / 16. The nudge is 2**30 / 2**34 = 1/16: 7/16 becomes 8/16 -> 1; -8/16 becomes -9/16 -> -1, not 0.
    assert rescale([6, 7, 8, -7, -8, -9], 1 << 30, 34, "tosa_double") == [0, 1, 1, 0, -1, -1]
    assert rescale([6, 7, 8, -7, -8, -9], 1 << 30, 34, "half_up") == [0, 0, 1, 0, 0, -1]


def test_rescale_fp32_loses_bits_above_2_to_the_24():
    # 1.0 is 0x3f800000. 2**24 + 1 ties to 2**24, 2**24 + 3 to 2**24 + 4; 1/2 is 0x3f000000: 5/2 -> 2, 7/2 -> 4.
    big = 1 << 24
    assert rescale([big + 1, big + 3], 0x3F800000, 0, "fp32_half_even", output="int32") == [big, big + 4]
    assert rescale([5, 7, -5, -7], 0x3F000000, 0, "fp32_half_even") == [2, 4, -2, -4]


def test_rescale_zero_points_and_clip():
    # (10 - 4) * 3 / 4 = 4.5 -> 4, + 100 = 104; (60 - 4) * 3 / 4 = 42, + 100 clips at 120.
    attrs = {"input_zero_point": 4, "output_zero_point": 100, "high": 120}
    assert rescale([10, 60], 3, 2, "half_even", **attrs) == [104, 120]


def test_add_rounds_each_term():
    # 5/2 -> 2 and -3/2 -> -2 make 0, though 5/2 - 3/2 = 1; 300 - 50 clips at 127 after the sum.
    one = {"a_multiplier": ([1], "int32"), "b_multiplier": ([1], "int32"), "b_shift": ([1], "int8")}
    attrs = {"rounding": "half_even", "output": "int8"}
    assert y("add", attrs, a=([5], "int8"), b=([-3], "int8"), a_shift=([1], "int8"), **one) == [0]
    assert y("add", attrs, a=([300], "int16"), b=([-100], "int8"), a_shift=([0], "int8"), **one) == [127]


def test_add_bias_and_clamp():
    got = y("add_bias", {"output": "int8"}, x=([[100, -100], [1, 2]], "int8"), bias=([50, -50], "int32"))
    assert got == [[127, -128], [51, -48]]
    assert y("clamp", {"low": 0, "high": 6}, x=([-1, 0, 3, 6, 7], "int8")) == [0, 0, 3, 6, 6]


def test_rescale_quotient():
    # 9 * 2 / (4 * 2) = 2.25 -> 2; 10 -> 2.5 -> 3; -10 -> -2.5 -> -2. A row without a key is divided by 1 * 2.
    attrs, pair = {"output": "int8"}, {"multiplier": ([2], "int32"), "shift": ([1], "int8")}
    got = y("rescale_quotient", attrs, x=([[[9, 10, -10], [0, 0, 0]]], "int32"), total=([[[4], [0]]], "int32"), **pair)
    assert got == [[[2, 3, -2], [0, 0, 0]]]


def test_embedding_positions_and_pooling():
    assert y("embedding", ids=([2, 0], "int32"), table=([[1, 2], [3, 4], [5, 6]], "int16")) == [[5, 6], [1, 2]]
    mask = ([[0, 1, 0, 1], [1, 1, 0, 0]], "int8")
    assert run("positions", {"form": "offset", "start": 0}, mask=mask)["positions"] == [[0, 0, 1, 2], [0, 1, 2, 3]]
    assert run("positions", {"form": "count", "start": 2}, mask=mask)["positions"] == [[1, 2, 1, 3], [2, 3, 1, 1]]
    # Over tokens 0 and 2: (3 + 4) / 2 = 3.5 -> 4, (-3 - 4) / 2 = -3.5 -> -3.
    assert y("mean_pool", x=([[3, -3], [99, 99], [4, -4]], "int8"), mask=([1, 0, 1], "int8")) == [4, -3]


def test_layout():
    x = ([[1, 2, 3, 4], [5, 6, 7, 8]], "int8")
    assert y("split_heads", {"heads": 2}, x=x) == [[[1, 2], [5, 6]], [[3, 4], [7, 8]]]
    assert y("merge_heads", x=([[[1, 2], [5, 6]], [[3, 4], [7, 8]]], "int8")) == x[0]
    assert y("transpose", x=x) == [[1, 5], [2, 6], [3, 7], [4, 8]]
    assert y("select_token", {"index": 1}, x=x) == [5, 6, 7, 8]


def test_matrix_products():
    # (1, 2) . (3, -4) = -5, (1, 2) . (100, 1) = 102.
    assert y("linear", x=([1, 2], "int8"), weight=([[3, -4], [100, 1]], "int8"), bias=([10, -2], "int32")) == [5, 100]
    assert y("matmul", a=([[1, 2]], "uint8"), b=([[3, 100], [-4, 1]], "int8")) == [[-5, 102]]


def test_linear_int4():
    # 0xF2 is w = 2, -1; 0x83 is 3, -8; 0x07 is 7. Groups of 2: 10*2 - 20 = 0; 30*3 - 40*8 = -230; 50*7 = 350.
    # 5 * 0 + 2 * -230 - 1 * 350 + 100 = -710. Groups of 4: 3 * (0 - 230) + 1 * 350 = -340.
    row = {"x": ([10, 20, 30, 40, 50], "int8"), "weight": ([[0xF2, 0x83, 0x07]], "uint8")}
    scale = {"scale": ([[5, 2, -1]], "int16"), "bias": ([100], "int32")}
    assert y("linear_int4", {"group_size": 2}, **row, **scale) == [-710]
    scale = {"scale": ([[3, 1]], "int16"), "bias": ([0], "int32")}
    assert y("linear_int4", {"group_size": 4}, **row, **scale) == [-340]


def test_quantize_token():
    # Scale 254: 254 -> 127, 1 -> 1/2 -> 1, -1 -> -1/2 -> 0, 3 -> 3/2 -> 2. 65535 / 2 -> 32768, so mantissa 2**14,
    # exponent 2: 127 * 258 = 32766 and 127 * 259 = 32893 lie either side of half of 65536.
    got = run("quantize_token", x=([[254, 1, -1, 3], [65535, 0, 258, 259]], "int32"))
    assert got == {"q": [[127, 1, 0, 2], [127, 0, 0, 1]], "mantissa": [[254], [1 << 14]], "exponent": [[0], [2]]}


def test_rescale_token():
    # 10 * 3 * 5 / 2**(4 - 2) = 37.5 -> 37, + 100 = 137, over 256: 1.
    # The residual adds 7 * 100 / 2 = 350: 487 / 256 -> 2.
    scale = {"x": ([10], "int32"), "mantissa": ([3], "int16"), "exponent": ([2], "int8"), "multiplier": ([5], "int32")}
    scale |= {"shift": ([4], "int8"), "bias": ([100], "int64")}
    residual = {"residual": ([7], "int32"), "residual_multiplier": ([100], "int32"), "residual_shift": ([1], "int8")}
    assert y("rescale_token", {"output": "int8"}, **scale) == [1]
    assert y("rescale_token_residual", {"output": "int8"}, **scale, **residual) == [2]


def test_softmax_ibert_of_two_equal_keys():
    # e16 = 32767 twice: f = 2**32 // 65534 = 65538, p = 32767 * 65538 >> 24 = (2**31 - 2) >> 24 = 127; no key, no p.
    attrs = {"ln2": 6, "b": 21, "c": 178, "multiplier": 1544210777, "shift": 53}
    x, mask = ([[[[5, 5, 99], [5, 9, 9]]]], "int32"), ([[[1, 1, 0], [0, 0, 0]]], "int8")
    assert run("softmax_ibert", attrs, x=x, mask=mask)["p"] == [[[[127, 127, 0], [0, 0, 0]]]]


def test_softmax_exp2_of_powers_of_two():
    # One unit of x is a factor 2: 255, 127.5 -> 128, 63.75 -> 64, and the table starts at 2**30.
    constants = {"multiplier": ([1 << 16], "int32"), "shift": ([0], "int8"), "table": ([1 << 30, *[0] * 256], "int32")}
    got = run("softmax_exp2", x=([[[[3, 2, 1, 9]]]], "int32"), mask=([[1, 1, 1, 0]], "int8"), **constants)
    assert got == {"p": [[[[255, 128, 64, 0]]]], "total": [[[[447]]]]}


def test_layernorm_ibert():
    # Mean 2, deviations +-1, v = 4, sigma = 2, f = 2**30: +-2**29 + bias. Without variance only the bias is left.
    got = y("layernorm_ibert", {"shift": 0}, x=([[3, 1, 1, 3], [7, 7, 7, 7]], "int32"), bias=([1, 2, 3, 4], "int64"))
    half = 1 << 29
    assert got == [[half + 1, 2 - half, 3 - half, half + 4], [1, 2, 3, 4]]


def test_layernorm_fixed():
    # Mean 2, deviations +-1, v = 2 + 2 = 4, k = 29, sigma = 2**30, f = 2**31, z = +-2**29. Times 4 over 2**30: +-2.
    # The bias adds a half: 2.5 -> 3, -1.5 -> -1.
    attrs = {"eps": 2, "shift": 30, "low": -8, "high": 7}
    constants = {"gain": ([4, 4], "int32"), "bias": ([1 << 29, 1 << 29], "int64")}
    assert y("layernorm_fixed", attrs, x=([[3, 1], [1, 3]], "int32"), **constants) == [[3, -1], [-1, 3]]
    assert y("layernorm_fixed", {**attrs, "high": 2}, x=([[3, 1]], "int32"), **constants) == [[2, -1]]


def test_l2_normalize():
    # v = 25, k = 28, sigma = 5 * 2**28, f = floor(2**33 / 5) = (2**33 - 2) / 5; 3 * 2**28 * f / 2**57 = 9.59... -> 10.
    assert y("l2_normalize", {"fraction": 4}, x=([[3, -4], [0, 0]], "int8")) == [[10, -13], [0, 0]]


def test_gelu_ibert():
    # (min(3, 10) - 10)**2 = 49, + c = 5 * 2**14: L = 5 or -5, + one = 7 or -3, times 3 or -3.
    constants = {"b": ([-10], "int64"), "c": ([(5 << 14) - 49], "int64"), "one": ([2], "int64")}
    assert y("gelu_ibert", x=([3, -3, 0], "int32"), **constants) == [21, 9, 0]


def test_gelu_table():
    # fraction 8: k = 2, 6 = 1 * 4 + 2, half way from table[1] = 2**18 to table[2] = 2**19: g = 6. Beyond 8: g = 0.
    table = [min(i, 16) << 18 for i in range(513)]
    got = y("gelu_table", {"fraction": 8}, x=([6, -6, 2048, -2048, 4], "int32"), table=(table, "int32"))
    assert got == [0, -6, 2048, 0, 0]


def test_table():
    entries = ([*range(1000, 1256)], "int16")
    assert y("table", x=([-128, -1, 0, 127], "int8"), entries=entries) == [1000, 1127, 1128, 1255]


def test_every_op_has_an_answer():
    files = [path for path in Path(__file__).parent.glob("test_*.py") if "worked out by hand" in path.read_text()]
    text = "".join(path.read_text() for path in files)
    assert [name for name in OPS if f'"{name}"' not in text] == []


def test_mask_add_adds_below_and_stops_at_the_end():
    # 5 stays, 6 - 9 = -3; -2**31 + 8 - 9 would leave int32 and stops at its end.
    x = ([[[[5, 6, -(1 << 31) + 8]]]], "int32")
    assert y("mask_add", {"value": -9}, x=x, mask=([[1, 0, 0]], "int8")) == [[[[5, -3, -(1 << 31)]]]]
