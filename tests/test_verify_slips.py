"""The catalogue: what a device did instead is found by name, on all outputs, the simplest first."""

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from intref.explain.explanation import explain
from intref.faults.bodies import count_floors, elementwise, floored, run_body
from intref.faults.fp32 import pattern, token_rescale
from intref.faults.variants import TRUNCATED, variants
from intref.intmath import split_fp32
from intref.ops import OPS
from intref.vectors import cases
from intref.verify import judge
from verify_packages import case, py, write_rescale


def found(op, tensors, attrs, dut):
    full = OPS[op].check(tensors, attrs)
    return explain(op, tensors, full, OPS[op].run(tensors, full), dut)


def named(explanation):
    return {*explanation.rules, *explanation.also}


def spread_rescale(**attrs):
    """rescale of 400 values by 4 channels' 31-bit multipliers, ties and both signs among them, to int16."""
    values = (np.arange(-200, 200, dtype=np.int32) * 12_345).reshape(100, 4)
    given = case(values, "half_up", output="int16", **attrs)
    given.tensors["multiplier"] = np.array([1_518_500_249, 1 << 30, 2_147_000_001, 1_100_000_007], np.int32)
    given.tensors["shift"] = np.array([38, 31, 37, 36], np.int8)
    return given


def exact(values, multiplier, shift):
    """Each value times the float nearest multiplier / 2**shift, with NumPy's own float32."""
    scale = np.array([np.float32(int(m)) * np.float32(2.0) ** -int(s) for m, s in zip(multiplier, shift)], np.float32)
    return np.rint(values.astype(np.float32) * scale)


def test_is_a_rescale_in_float32_found():
    given = spread_rescale()
    x, m, s = (given.tensors[k] for k in ("x", "multiplier", "shift"))
    dut = {"y": np.clip(exact(x, m, s), -32768, 32767).astype(np.int16)}
    assert "rule fp32_half_even" in found("rescale", given.tensors, given.attrs, dut).rules


def test_is_an_integer_rescale_found_where_float32_is_meant():
    scales = np.array([0.0123, 0.5, 0.7, 0.25], np.float32)
    given = spread_rescale(low=-30_000)
    given.tensors["multiplier"], given.tensors["shift"] = scales.view(np.int32), np.zeros(1, np.int8)
    given.attrs["rounding"] = "fp32_half_even"
    x = given.tensors["x"]
    rounded = [[int(np.floor(Fraction(int(v)) * Fraction(float(s)))) for v, s in zip(row, scales)] for row in x]
    dut = {"y": np.clip(rounded, -30_000, 32_767).astype(np.int16)}
    assert found("rescale", given.tensors, given.attrs, dut).rules == ("rule floor",)


@pytest.mark.parametrize("multiplier", [1, 3, (1 << 24) + 1, (1 << 31) - 1, -(1 << 31), -7, 0, (1 << 25) - 1])
@pytest.mark.parametrize("shift", [0, 31, 94])
def test_is_the_pattern_that_of_the_nearest_float32(multiplier, shift):
    made = int(pattern(np.array([multiplier]), np.array([shift]))[0])
    sign, significand, exponent = (int(v) for v in split_fp32(made))
    nearest = Fraction(float(np.float32(multiplier))) / (1 << shift)
    assert sign * significand * Fraction(2) ** exponent == nearest


@pytest.mark.parametrize("op", ["rescale_token", "rescale_token_residual"])
@pytest.mark.parametrize("first", [False, True])
def test_is_a_token_rescale_in_float32_what_numpy_makes(op, first):
    for given in cases(op):
        t = {k: v.astype(np.float32) for k, v in given.tensors.items()}
        token, channel = t["mantissa"] * 2 ** t["exponent"], t["multiplier"] * 2 ** (-t["shift"] - 8)
        value = t["x"] * (token * channel) if first else t["x"] * token * channel
        value = value + t["bias"] / np.float32(256)
        if "residual" in t:
            value = value + t["residual"] * (t["residual_multiplier"] * 2 ** (-t["residual_shift"] - 8))
        attrs = OPS[op].check(given.tensors, given.attrs)
        wanted = [min(max(int(v), attrs["low"]), attrs["high"]) for v in np.rint(value).ravel()]
        assert token_rescale(given.tensors, attrs, first).ravel().tolist() == wanted


def test_is_adding_a_half_and_dividing_toward_zero_found():
    tensors = {
        "x": np.arange(-40, 40, dtype=np.int32),
        "multiplier": np.array([3], np.int32),
        "shift": np.array([3], np.int8),
    }
    sums = tensors["x"].astype(int) * 3 + 4
    dut = {"y": np.array([int(Fraction(int(v), 8)) for v in sums], np.int8)}
    assert f"rule {TRUNCATED}" in found("rescale", tensors, {"rounding": "half_up", "output": "int8"}, dut).rules


@pytest.mark.parametrize("rule", ["half_down", "half_to_zero", "floor", "toward_zero", "gemmlowp_double"])
def test_is_another_rule_of_an_add_found(rule):
    tensors = {k: np.array([1 << 30 if "multiplier" in k else 31], np.int32) for k in ("a_multiplier", "b_multiplier")}
    tensors |= {k: np.array([33], np.int8) for k in ("a_shift", "b_shift")}
    tensors |= {"a": np.arange(-60, 60, dtype=np.int32), "b": np.arange(60, -60, -1, dtype=np.int32) * 3}
    given = OPS["add"].check(tensors, {"rounding": "half_even", "output": "int8"})
    made = dict(variants(OPS["add"], tensors, given))
    words = f"rule {rule}" if f"rule {rule}" in made else f"rule {rule} at every rounding"
    assert words in found("add", tensors, {"rounding": "half_even", "output": "int8"}, made[words]).rules


LINEAR = SimpleNamespace(
    x=((np.arange(15 * 16).reshape(15, 16) * 37) % 255 - 127).astype(np.int8),
    weight=((np.arange(16 * 16).reshape(16, 16) * 91) % 255 - 127).astype(np.int8),
    bias=(np.arange(16) * 1001 - 5000).astype(np.int32),
)


def linear(x=LINEAR.x, weight=LINEAR.weight, bias=LINEAR.bias):
    return x.astype(np.int64) @ weight.T.astype(np.int64) + bias


def wrapped(x, bits):
    return (x + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)


BROKEN_LINEAR = {
    "no bias": linear(bias=0),
    "bias added twice": linear(bias=2 * LINEAR.bias),
    "bias of channel n - 1": linear(bias=np.roll(LINEAR.bias, 1)),
    "bias of channel n + 1": linear(bias=np.roll(LINEAR.bias, -1)),
    "weight of channel n - 1": linear(weight=np.roll(LINEAR.weight, 1, axis=0)),
    "constants of channel n + 1": np.roll(linear(), -1, axis=-1),
    "weight transposed": linear(weight=LINEAR.weight.T),
    "x read as uint8": linear(x=LINEAR.x.view(np.uint8)),
    "accumulator wrapped to 16 bits": wrapped(linear(bias=0), 16) + LINEAR.bias,
    "accumulator saturated to 16 bits": np.clip(linear(bias=0), -32768, 32767) + LINEAR.bias,
    "output saturated to int8": np.clip(linear(), -128, 127),
    "output wrapped to int16": wrapped(linear(), 16),
}


@pytest.mark.parametrize("words", BROKEN_LINEAR)
def test_is_a_broken_linear_found(words):
    dut = {"y": BROKEN_LINEAR[words].astype(np.int32)}
    explanation = found("linear", vars(LINEAR), {}, dut)
    assert explanation.rules[0] == words
    assert len(explanation.rules) > 1 or f"{words} explains 100.000 % of 240 outputs" in explanation.lines[2]


def test_does_a_linear_show_its_sum_and_not_an_input_of_its_shape():
    dut = {"y": linear().astype(np.int32)}
    dut["y"][3, 5] += 1
    text = found("linear", vars(LINEAR), {}, dut).lines[1]
    total, bias = int(linear(bias=0)[3, 5]), int(LINEAR.bias[5])
    assert text.endswith(f"16 terms  sum {total}  bias {bias}") and "acc" not in text


def test_is_only_an_operand_of_the_same_element_shown():
    assert elementwise(OPS["rescale"], "x") and elementwise(OPS["clamp"], "x")
    assert not any(elementwise(OPS[op], "x") for op in ("linear", "layernorm_fixed", "l2_normalize", "transpose"))


def with_scale(change):
    given = spread_rescale()
    full = OPS["rescale"].check(given.tensors, given.attrs)
    tensors = {k: v.astype(np.int64) for k, v in given.tensors.items()}
    return given, {"y": OPS["rescale"].reference(**{**tensors, **change(tensors)}, **full)["y"].astype(np.int16)}


BROKEN_SCALES = {
    "shift + 1": lambda t: {"shift": t["shift"] + 1},
    "shift - 1": lambda t: {"shift": t["shift"] - 1},
    "multiplier cut to 16 bits": lambda t: {"multiplier": t["multiplier"] >> 15 << 15},
    "multiplier of channel n - 1": lambda t: {"multiplier": np.roll(t["multiplier"], 1)},
    "constants of channel n + 1": lambda t: {k: np.roll(t[k], -1) for k in ("multiplier", "shift")},
    "accumulator wrapped to 16 bits": lambda t: {"x": wrapped(t["x"], 16)},
    "accumulator saturated to 16 bits": lambda t: {"x": np.clip(t["x"], -32768, 32767)},
}


@pytest.mark.parametrize("words", BROKEN_SCALES)
def test_is_a_broken_scale_found(words):
    given, dut = with_scale(BROKEN_SCALES[words])
    assert words in named(found("rescale", given.tensors, given.attrs, dut))


def test_is_a_multiplier_off_by_one_found():
    given = case(np.arange(-100, 100) * 7, "half_up", multiplier=5, shift=5)
    full = OPS["rescale"].check(given.tensors, given.attrs)
    dut = OPS["rescale"].run({**given.tensors, "multiplier": np.array([6], np.int32)}, full)
    assert "multiplier + 1" in named(found("rescale", given.tensors, given.attrs, dut))


@pytest.mark.parametrize("op", ["layernorm_ibert", "gelu_ibert", "rescale_token"])
def test_are_divisions_toward_zero_found_wherever_a_body_floors(op):
    told = set()
    for given in cases(op):
        attrs = OPS[op].check(given.tensors, given.attrs)
        golden = OPS[op].run(given.tensors, attrs)
        for words, made in variants(OPS[op], given.tensors, attrs):
            if words.startswith("toward_zero at") and any((made[p] != golden[p]).any() for p in golden):
                assert words in named(explain(op, given.tensors, attrs, golden, made))
                told.add(words)
        if told:
            return
    raise AssertionError("no division toward zero shows in any case")


@pytest.mark.parametrize("op", OPS)
def test_does_a_body_floor_as_ever_while_it_is_listened_to(op):
    given = cases(op)[0]
    attrs = OPS[op].check(given.tensors, given.attrs)
    kind = floored(lambda a, b, shifted: a >> b if shifted else a // b)
    golden, again = OPS[op].run(given.tensors, attrs), run_body(OPS[op], given.tensors, attrs, {}, kind=kind)
    assert all(np.array_equal(golden[p], again[p]) for p in golden)


def test_are_the_floors_of_a_body_counted():
    counts = {"rescale_token": 1, "rescale_token_residual": 2, "clamp": 0, "layernorm_fixed": 2, "gelu_ibert": 1}
    for op, count in counts.items():
        given = cases(op)[0]
        assert count_floors(OPS[op], given.tensors, OPS[op].check(given.tensors, given.attrs)) == count


def test_is_a_rule_named_before_a_slip_that_fits_as_well():
    """A multiplier one too large moves the same few ties."""
    given = case([5, -85, 86, 1, -87], "half_up", multiplier=1 << 30, shift=31)
    full = OPS["rescale"].check(given.tensors, given.attrs)
    dut = OPS["rescale"].run(given.tensors, {**full, "rounding": "half_away"})
    explanation = found("rescale", given.tensors, given.attrs, dut)
    assert explanation.rules == ("rule half_away",) and "multiplier + 1" in explanation.also


def test_are_at_most_four_named(tmp_path):
    report = judge(write_rescale(tmp_path / "rescale"), py("broken", "zeros"))
    assert all(line.count(" or ") < 4 for line in report.text().splitlines())
