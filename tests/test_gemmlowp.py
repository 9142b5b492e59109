"""Answers of the ops of gemmlowp fixed point, worked out by hand from their docstrings, and proofs by trying all."""

from typing import Any

import numpy as np
import pytest

import intref
from intref import call
from intref.golden import suite_path
from intref.kernels import gemmlowp as gemmlowp_kernels
from intref.ops import gemmlowp
from intref.quantize.sites.gemmlowp import factors_once

M31 = (1 << 31) - 1
HALF = 1 << 30


def run(op: str, attrs: dict[str, Any], **tensors: tuple[Any, str]) -> list[Any]:
    """The output as a list; tensors are given as (values, dtype)."""
    got = call(op, {k: np.array(values, dtype) for k, (values, dtype) in tensors.items()}, attrs)
    return next(iter(got.values())).tolist()


def softmax(x: list[int], output: str, mask: list[int] | None = None, multiplier: int = HALF, shift: int = 27) -> Any:
    attrs = {"multiplier": multiplier, "shift": shift, "output": output}
    return run("softmax_gemmlowp", attrs, x=([[[x]]], "int8"), mask=([mask or [1] * len(x)], "int8"))[0][0][0]


def test_softmax_of_one_and_of_equal_keys():
    # One key: e = 2**31 - 1, total = 2**19 (half_away), n = 20, v = 1/2: inverse = min(2 * 2**30, 2**31 - 1).
    # (2**31 - 1) . (2**31 - 1) = 2**31 - 2; / 2**(20 + 11 - 8) = 256 -> 128 -> 127, and / 2**15 = 65536 -> 32767.
    assert softmax([5], "int8") == [127]
    assert softmax([5], "int16") == [32767]
    # Two: n = 21, so one bit less: 128 - 128 and 32768 - 32768; four: 64 - 128.
    assert softmax([5, 5], "int8") == [0, 0]
    assert softmax([5, 5], "int16") == [0, 0]
    assert softmax([-3] * 4, "int8") == [-64] * 4


def test_softmax_counts_nothing_far_below_the_maximum():
    # shift 27, multiplier 1/2: S = 1, far = floor(31 * 2**26 / 2**27) = 15; 2 * S * 2**26 / 2**27: each step is 1.
    # exp(-15) * 2**16 = 0.02 -> 0: the zero point either way; but d = -15 adds exp(-15) * 2**19 = 0.16 -> 0 to total.
    assert softmax([15, 0, -1], "int16") == [32767, -32768, -32768]
    # A masked key takes no part, whatever it is; a row without a key is all zero point.
    assert softmax([5, 100, 5], "int8", [1, 0, 1]) == [0, -128, 0]
    assert softmax([5, 100], "int8", [0, 0]) == [-128, -128]


def test_softmax_of_two_keys_one_apart():
    # S = 1: p = 1 / (1 + exp(-1)) = .731059 and .268941: 187.15 and 68.85 of 256; 47911 and 17625 of 65536.
    assert softmax([1, 0], "int8") == [187 - 128, 69 - 128]
    assert softmax([1, 0], "int16") == [47911 - 32768, 17625 - 32768]


def test_logistic():
    # S = 2**-4 (shift 24): 0 -> 2**30 / 2**23 = 128 - 128; x = 16: 1 / (1 + exp(-1)) * 256 = 187.15; -16: 68.85.
    attrs = {"input_zero_point": 0, "multiplier": HALF, "shift": 24}
    assert run("logistic_gemmlowp", attrs, x=([0, 16, -16], "int8")) == [0, 59, -59]
    # far = floor(15 * 2**27 / 2**28) = 7: -7 and below give -128, 7 and above 127; S = 1: 6 gives 255.37, -6 .63.
    attrs["shift"] = 28
    assert run("logistic_gemmlowp", attrs, x=([-8, -7, -6, 6, 7, 8], "int8")) == [-128, -128, -127, 127, 127, 127]
    # shift 31: far = 0, and 0 <= -0 comes first.
    attrs["shift"] = 31
    assert run("logistic_gemmlowp", attrs, x=([-1, 0, 1], "int8")) == [-128, -128, 127]


def test_tanh():
    # S = 2**-4: tanh(1) * 128 = 97.48 -> 97, tanh(-1) -97; tanh(1/16) * 128 = 7.99 -> 8; 0 is exact.
    attrs = {"input_zero_point": 3, "multiplier": HALF, "shift": 24}
    assert run("tanh_gemmlowp", attrs, x=([3, 19, -13, 4, 2], "int8")) == [0, 97, -97, 8, -8]
    # tanh(6) * 128 = 127.998 -> 128 clips to 127; -128 does not.
    assert run("tanh_gemmlowp", attrs, x=([99, -93], "int8")) == [127, -128]


def test_softmax_of_16_bits():
    # Flat tables of 2**14: two keys, total = 2**15, n = 16, w = (2**15 * 2**15 + 2**13) / 2**14 = 2**16: the first
    # cell, r = 2**14; p = (2**14 * 2**14 + 2**14) / 2**15 = 2**13 + 1/2 -> 2**13.
    flat = ([1 << 14] * 513, "int16")
    attrs = {"multiplier": HALF, "shift": 30, "rounding": "half_up"}
    tensors = {"x": ([[[[0, 9]]]], "int16"), "exp_table": flat, "inverse_table": flat}
    assert run("softmax_int16", attrs, **tensors, mask=([[1, 1]], "int8")) == [[[[1 << 13, 1 << 13]]]]
    # One key: total = 2**14, n = 15: p = (2**28 + 2**13) / 2**14 = 2**14.
    assert run("softmax_int16", attrs, **tensors, mask=([[0, 1]], "int8")) == [[[[0, 1 << 14]]]]
    assert run("softmax_int16", attrs, **tensors, mask=([[0, 0]], "int8")) == [[[[0, 0]]]]


def test_table_of_16_bits():
    # Between 0 and 3: 3 * 21 / 128 = .49 -> 0; 3 * 22 / 128 = .52 -> 1; 64 -> 1.5 -> 2. From 3 to 0: -1.5 -> -1: 2.
    entries = ([0, 3] * 256 + [0], "int16")
    assert run("table_int16", {}, x=([0, 21, 22, 64, 127, 128, 192], "int16"), entries=entries) == [0, 0, 1, 2, 3, 3, 2]
    assert run("table_int16", {}, x=([-32768, 32767], "int16"), entries=entries) == [0, 0]


def test_rsqrt():
    # multiplier 2**30, shift 43: 2**20 / sqrt(c) * 2**-13 = 128 / sqrt(c): 128 -> clips at 127, 64, 90.51 -> 91 - 5.
    attrs = {"input_zero_point": 0, "output_zero_point": 0, "multiplier": HALF, "shift": 43}
    assert run("rsqrt_gemmlowp", attrs, x=([0, 1, 4, 16, 64], "int8")) == [127, 127, 64, 32, 16]
    attrs["output_zero_point"] = -5
    assert run("rsqrt_gemmlowp", attrs, x=([0, 2, 100], "int8")) == [127, 91 - 5, 13 - 5]


@pytest.mark.parametrize(
    "rounding, answer", [("half_up", [2, -1]), ("half_away", [2, -2]), ("gemmlowp_double", [2, -2])]
)
def test_add(rounding, answer):
    # (3 + 0) and (-3 + 0), each term halved exactly by 2**20, the sum over 2**20: 1.5 and -1.5.
    attrs = dict.fromkeys(("a_zero_point", "b_zero_point", "output_zero_point"), 0)
    attrs |= {"a_multiplier": HALF, "a_shift": 31, "b_multiplier": HALF, "b_shift": 31, "multiplier": HALF}
    attrs |= {"shift": 50, "left_shift": 20, "rounding": rounding, "output": "int8"}
    assert run("add_gemmlowp", attrs, a=([3, -3], "int8"), b=([0, 0], "int8")) == answer


def test_add_zero_points():
    # (5 - 1) / 2 + (7 - 2) / 2 = 4.5, over 1/2 * 2**... : shift 49 gives 9; + 10 = 19.
    attrs = {"a_zero_point": 1, "b_zero_point": 2, "output_zero_point": 10, "left_shift": 20, "rounding": "half_up"}
    attrs |= {"a_multiplier": HALF, "a_shift": 31, "b_multiplier": HALF, "b_shift": 31, "multiplier": HALF, "shift": 49}
    assert run("add_gemmlowp", {**attrs, "output": "int8"}, a=([5], "int8"), b=([7], "int8")) == [19]


def test_add_rounds_once_as_xnnpack():
    # a' = 5 * 2**21 * 2**30 / 2**31 = 5 * 2**20 and b' = 3 * 2**21 * 3 * 2**29 / 2**31 = 9 * 2**19: 19 * 2**19 over
    # 2**20 is 9.5 -> 10; with -5 and -3 it is -9.5 -> -9.
    attrs = dict.fromkeys(("a_zero_point", "b_zero_point", "output_zero_point"), 0)
    attrs |= {"left_shift": 21, "a_multiplier": 1 << 30, "a_shift": 31, "b_multiplier": 3 << 29, "b_shift": 31}
    attrs |= {"multiplier": 1 << 11, "shift": 31, "rounding": "half_up", "output": "int8"}
    assert run("add_gemmlowp", attrs, a=([5, -5], "int8"), b=([3, -3], "int8")) == [10, -9]


def test_mul_rounds_once_or_twice():
    # -5 * 1 / 8 by multiplier 2**30 and shift 33: SRDHM -5/2 -> -2, then / 4: -1/2 -> -1. Once: -.625 -> -1.
    # -11 / 8: SRDHM -5.5 -> -5, / 4 = -1.25 -> -1; once -1.375 -> -1. 11: 6 / 4 = 1.5 -> 2; once 1.375 -> 1.
    attrs = {"a_zero_point": 0, "b_zero_point": 0, "output_zero_point": 0, "multiplier": HALF, "shift": 33}
    attrs |= {"output": "int8", "rounding": "gemmlowp_double"}
    given = {"a": ([-5, -11, 11, 4, -4], "int8"), "b": ([1] * 5, "int8")}
    assert run("mul_gemmlowp", attrs, **given) == [-1, -1, 2, 1, -1]
    assert run("mul_gemmlowp", {**attrs, "rounding": "half_up"}, **given) == [-1, -1, 1, 1, 0]
    assert run("mul_gemmlowp", {**attrs, "rounding": "half_away"}, **given) == [-1, -1, 1, 1, -1]


def test_newton_steps_stay_where_the_body_says():
    """Every 2**10th d of [2**30, 2**31), and those at either end: within() raises where a step leaves."""
    middle = np.arange(0, 1 << 31, 1 << 11)
    ends = np.concatenate([np.arange(1 << 12), M31 - np.arange(1 << 12)])
    for a in (middle, ends):
        x = gemmlowp._inverse(a)
        exact = (1 << 61) / ((1 << 31) + a.astype(np.float64))
        assert np.abs(x - exact).max() <= 8


def test_the_root_is_what_newton_steps_come_to():
    """The kernel takes gemmlowp's five steps: its 255 results, each shifted to see it whole, are the body's."""
    x = np.arange(-127, 128).astype(np.int8)
    attrs = {"input_zero_point": -128, "output_zero_point": 0}
    for shift in range(38, 52):
        for multiplier in (HALF, HALF + 12345, M31):
            given = {**attrs, "multiplier": multiplier, "shift": shift}
            want, got = (call("rsqrt_gemmlowp", {"x": x}, given, backend)["y"] for backend in ("reference", "fast"))
            np.testing.assert_array_equal(want, got)
    assert gemmlowp_kernels.root(2) == round(2**20 / 2**0.5) - 1
    exact = [round(2**20 / c**0.5) - (c in (2, 8, 131)) for c in range(1, 256)]
    assert [gemmlowp_kernels.root(c) for c in range(1, 256)] == exact


def test_factors_of_xnnpack():
    # Ratios 1.5 and 0.3 to the sum's scale: the larger has 21 bits at shift 20: 1.5 * 2**20 = 1572864 and, rounded,
    # fl32(0.3) * 2**20 = 314572.8.. -> 314573. Moved by 2**10 for the left shift of 21; 2**-20 is 2**11 / 2**31.
    attrs = factors_once(3.0, np.float32(0.3) * 2, 2.0)
    assert (attrs["a_multiplier"], attrs["b_multiplier"]) == (1572864 << 10, 314573 << 10)
    assert (attrs["left_shift"], attrs["multiplier"], attrs["shift"]) == (21, 1 << 11, 31)
    # Ratios 2**-11 and less: shift 31, and beyond it the shift itself grows.
    assert factors_once(2.0**-11, 0.0, 1.0)["multiplier"] == 1 and factors_once(2.0**-13, 0.0, 1.0)["shift"] == 33


@pytest.mark.parametrize("profile", ["tflite-optimized", "tflite-xnnpack"])
def test_lowered_requantizers_and_sums(profile):
    model = intref.load(suite_path() / "models" / "sentiment").quantize("ibert", profile=profile)
    ops = {node.outputs["y"]: node for node in model.nodes if "y" in node.outputs}
    if profile == "tflite-xnnpack":
        node = ops["L0.ffn.sum.int8"]
        assert node.attrs["left_shift"] == 21 and node.attrs["rounding"] == "half_up"
        assert {model.tensors[node.inputs[port]].dtype for port in "ab"} == {"int8"}
    else:
        first, last = ops["L0.q.first"], ops["L0.q"]
        shifts = model.constants[first.inputs["shift"]], model.constants[last.inputs["shift"]]
        assert first.attrs["output"] == "int32" and shifts[0].max() <= 31 and (shifts[1] > 0).any()
        assert {*model.constants[last.inputs["multiplier"]]} == {1} and last.inputs["x"] == "L0.q.first"
    inputs = {"input_ids": [[101, 7, 5, 9, 102]]}
    fast, reference = (model.run(inputs, backend, trace="all") for backend in ("fast", "reference"))
    assert fast.trace_digest == reference.trace_digest
