"""Explanations: the exact numbers of the first mismatch, the right rule at 100 %, and none where none is right."""

from fractions import Fraction

import numpy as np
import pytest

from intref import intmath
from intref.comparison import compare
from intref.explain.exact import decimal, exact_values
from intref.explain.explanation import explain, explain_cases
from intref.explain.hypotheses import Observation
from intref.faults.bodies import observed
from intref.faults.variants import rules as rules_of_the_catalogue
from intref.faults.variants import variants
from intref.ops import OPS
from intref.vectors import cases
from intref.verify import judge
from intref.verify.answers import flips
from verify_packages import case, py, write_rescale

RULES = [*intmath.ROUNDS_UP]


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return write_rescale(tmp_path_factory.mktemp("golden") / "rescale")


def explained(op, tensors, attrs, dut, valid=None):
    full = OPS[op].check(tensors, attrs)
    return explain(op, tensors, full, OPS[op].run(tensors, full), dut, valid)


def acc(values, shift=7, multiplier=1 << 30, **attrs):
    made = case(values, multiplier=multiplier, shift=shift, **{"rounding": "half_up", **attrs})
    return made.tensors, made.attrs


def test_does_an_explanation_read_as_promised():
    tensors, attrs = acc([5, -85, 86, 1, -87], shift=31)
    full = OPS["rescale"].check(tensors, attrs)
    dut = OPS["rescale"].run(tensors, {**full, "rounding": "half_away"})
    found = explained("rescale", tensors, attrs, dut)
    assert found.lines == (
        "2 / 5 differ (40.00 %), all |d| = 1",
        "first at [1]: dut -43 (0xd5) golden -42 (0xd6) xor 0x03   acc -85  scaled -42.500000  unclipped -42",
        "all on exact ties with acc < 0; rule half_away explains 100.000 % of 5 outputs",
    )


def test_does_the_report_name_the_rule_of_a_device(package):
    report = judge(package, py("right", "half_away"))
    assert (report.verdict, report.exit_code) == ("differs", 1)
    wrong = [c for c in report.cases if c.verdict == "differs"]
    assert [c.id for c in wrong] == ["rescale-0001"] and wrong[0].rules == ("rule half_away",)
    text = report.text()
    assert "rescale-0001 (op rescale): 16 / 32 differ (50.00 %), all |d| = 1" in text
    assert "first at [1]: dut -15 (0xf1) golden -14 (0xf2) xor 0x03   acc -58  scaled -14.500000  unclipped -14" in text
    assert "all on exact ties with acc of both signs" in text
    assert "rule half_away explains 100.000 % of 32 outputs" in text
    assert f"replay: intref step {package} --op rescale-0001 --at 1\n" in text


def test_is_a_device_outside_the_catalogue_not_explained(package):
    report = judge(package, py("right", "off_catalogue"))
    assert report.verdict == "differs" and all(c.rules == () for c in report.cases)
    assert "no known rule reproduces it" in report.text() and "explains" not in report.text()


@pytest.mark.parametrize("op", ["rescale_token", "mean_pool", "rescale_quotient", "quantize_token", "layernorm_fixed"])
def test_is_every_rule_at_a_last_rounding_found(op):
    """By the outputs of one case, the first on which the rule differs from the op's own."""
    left = {*RULES} - {"half_up"}
    for given in sorted(cases(op), key=lambda case: sum(t.size for t in case.tensors.values())):
        attrs = OPS[op].check(given.tensors, given.attrs)
        golden, steps = OPS[op].run(given.tensors, attrs), observed(OPS[op], given.tensors, attrs)[0]
        place = "" if len(steps) == 1 else f" at rounding {len(steps)} of {len(steps)}"
        made = dict(variants(OPS[op], given.tensors, attrs, [rules_of_the_catalogue]))
        for rule in sorted(left):
            words = f"rule {rule}{place}"
            if words in made and any((made[words][p] != golden[p]).any() for p in golden):
                assert words in explain(op, given.tensors, attrs, golden, made[words]).rules
                left.remove(rule)
    assert not left


EXACT = ["rescale", "rescale_token", "rescale_token_residual", "rescale_quotient", "mean_pool", "layernorm_fixed"]


@pytest.mark.parametrize("op", EXACT)
def test_is_the_scaled_value_what_the_op_rounds(op):
    for given in cases(op):
        attrs = OPS[op].check(given.tensors, given.attrs)
        rule = attrs.get("rounding", "half_up")
        if rule not in intmath.ROUNDS_UP:
            continue
        golden = OPS[op].run(given.tensors, attrs)["y"]
        ((num, den),) = exact_values(OPS[op], given.tensors, attrs, np.ones(golden.shape, bool))
        info, offset = np.iinfo(golden.dtype), attrs.get("output_zero_point", 0)
        low, high = attrs.get("low", info.min), attrs.get("high", info.max)
        rounded = [min(max(int(intmath.DIVIDE[rule](n, d)) + offset, low), high) for n, d in zip(num, den)]
        assert rounded == golden.ravel().tolist()


def test_are_rules_scored_on_all_outputs():
    """floor agrees with half_away on these mismatches, not on the rest."""
    tensors, attrs = acc([-85, -85, 86, 87, 3], shift=31)
    full = OPS["rescale"].check(tensors, attrs)
    away = OPS["rescale"].run(tensors, {**full, "rounding": "half_away"})["y"]
    assert "rule floor" not in explained("rescale", tensors, attrs, {"y": away}).rules
    few = {"y": away.copy()}
    few["y"][4] = 0
    found = explained("rescale", tensors, attrs, few)
    assert found.rules == () and "no known rule reproduces it" in found.lines[2]


def test_is_a_missing_saturation_named():
    tensors, attrs = acc([1000, -2000, 3], multiplier=1, shift=2)
    dut = {"y": (np.array([250, -500, 1]) & 255).astype(np.uint8).view(np.int8)}
    found = explained("rescale", tensors, {**attrs, "output": "int8"}, dut)
    assert found.rules == ("no saturation (the result wraps)",)
    assert "all where the result is clipped" in found.lines[2]


def test_is_a_wider_clip_named():
    tensors, attrs = acc([1000, -2000, 3], multiplier=1, shift=2)
    dut = {"y": np.array([127, -128, 1], np.int8)}
    found = explained("rescale", tensors, {**attrs, "low": -127, "high": 127}, dut)
    assert found.rules == ("saturation to all of the output's range",)
    assert "all where the result is clipped to low = -127" in found.lines[2]


def test_is_what_was_left_out_named():
    given = cases("linear")[0]
    dut = {
        "y": OPS["linear"].run({**given.tensors, "bias": given.tensors["bias"] * 0}, OPS["linear"].complete({}))["y"]
    }
    assert explained("linear", given.tensors, {}, dut).rules == ("no bias",)


def test_are_differences_outside_the_valid_region_ignored():
    golden = np.array([[1, 2], [3, 4]], np.int8)
    dut, valid = np.array([[1, 9], [3, 5]], np.int8), np.array([[1, 0], [1, 1]], bool)
    found = compare(dut, golden, valid)
    assert (found.compared, found.differing, found.first) == (3, 1, (1, 1))
    assert compare(dut, golden).differing == 2


def test_are_sizes_of_differences_exact_at_the_ends_of_int64():
    ends = np.array([-(1 << 63), (1 << 63) - 1, 0, 5], np.int64)
    found = compare(ends, np.array([(1 << 63) - 1, -(1 << 63), 0, 4], np.int64))
    assert (found.max_abs, found.bins) == ((1 << 64) - 1, ((0, 1), (63, 2)))
    assert found.place.endswith("xor 0xffffffffffffffff")


def test_is_the_place_of_all_differences_named():
    tensors, attrs = acc([[4, 8, 12], [16, 20, 24]], multiplier=1, shift=2)
    dut = {"y": np.array([[1, 9, 3], [4, 9, 6]], np.int8)}
    assert "all at index 1 of axis 1" in explained("rescale", tensors, attrs, dut).lines[2]


def test_is_an_output_that_is_an_input_said_to_be():
    tensors = {"x": np.array([1, 200, -200], np.int16)}
    found = explained("clamp", tensors, {"low": -100, "high": 100}, {"y": tensors["x"].copy()})
    assert "the output is the input 'x', unchanged" in found.lines[2]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Fraction(-85, 2), "-42.500000"),
        (Fraction(1, 3), "0.333333.."),
        (Fraction(-1, 8), "-0.125000"),
        (Fraction(0), "0.000000"),
        (Fraction(1, 2) + Fraction(1, 1 << 30), "0.500000000931.."),
        (-(Fraction(1, 1 << 24)), "-0.000000059604.."),
        (Fraction(3 * 10**20), "300000000000000000000.000000"),
    ],
)
def test_is_a_value_told_from_a_tie(value, text):
    assert decimal(value.numerator, value.denominator) == text


@pytest.mark.parametrize("op", OPS)
def test_does_every_op_explain_a_wrong_device(op):
    given = cases(op)[0]
    attrs = OPS[op].check(given.tensors, given.attrs)
    golden = OPS[op].run(given.tensors, attrs)
    dut = {p: t.copy() for p, t in golden.items()}
    last = [*dut][-1]
    dut[last].flat[-1] ^= 1
    found = explain(op, given.tensors, attrs, golden, dut)
    assert (found.port, found.difference.differing) == (last, 1)
    assert found.difference.first == tuple(n - 1 for n in golden[last].shape)


def test_are_margins_of_flipped_and_of_kept_rows_told():
    golden = np.array([[1, 5, 3], [9, 2, 1], [4, 4, 0], [7, 0, 0]], np.int8)
    dut = np.array([[1, 3, 5], [8, 2, 1], [4, 4, 0], [7, 0, 0]], np.int8)
    assert flips(dut, golden, None) == {
        **{"rows": 4, "flipped": 1, "differing": 3},
        **{"margin_least": 0, "margin_flipped": 2, "margin_survived": 7},
    }
    valid = np.array([[0] * 3, [1] * 3, [1] * 3, [0] * 3], bool)
    found = {"rows": 2, "flipped": 0, "differing": 1, "margin_least": 0, "margin_survived": 7}
    assert flips(dut, golden, valid) == found
    assert flips(golden[:, :1], golden[:, :1], None) == {"rows": 4, "flipped": 0, "differing": 0}


def test_are_margins_exact_at_the_ends_of_int64():
    ends = np.array([[-(1 << 63), (1 << 63) - 1]], np.int64)
    assert flips(ends, ends, None)["margin_least"] == (1 << 53) - 1  # told as the largest that JSON holds


WRONG = {
    "scale": ("rescale", lambda y, a: y * 3, "times a factor between"),
    "accumulate": ("linear", lambda y, a: y - 5, "every output is -5 off"),
    "output": ("linear", lambda y, a: y | 1 << 30, "bit 30 of every wrong output is 1"),
    "clip": ("rescale", lambda y, a: np.where(y > a["high"], a["high"] // 2, y), "only where the result is clipped"),
}


def unclipped(op, tensors, attrs):
    """int64, before any clip."""
    free = {"low": -(1 << 62), "high": 1 << 62, "output": "int64"} if "low" in attrs else {}
    return OPS[op].run(tensors, {**attrs, **free})["y"].astype(np.int64)


@pytest.mark.parametrize("stage", WRONG)
def test_is_the_stage_told_without_a_rule(stage):
    op, spoil, why = WRONG[stage]
    seen = []
    for given in cases(op):
        attrs = OPS[op].check(given.tensors, given.attrs)
        if op == "rescale" and (attrs["rounding"], attrs["output_zero_point"]) != ("half_up", 0):
            continue
        golden = OPS[op].run(given.tensors, attrs)
        y = spoil(unclipped(op, given.tensors, attrs), attrs)
        clipped = np.clip(y, attrs["low"], attrs["high"]) if "low" in attrs else y
        dut = {"y": clipped.astype(golden["y"].dtype)}
        seen.append(Observation(given.why, OPS[op], given.tensors, attrs, golden, dut))
    found = explain_cases(op, seen)
    assert (found.stage, found.explained.known) == (stage, False) and why in found.why
