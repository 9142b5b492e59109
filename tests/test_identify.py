"""Planted bugs through explain and identify: the rule by name, or no known rule; and the profile that comes out."""

import contextlib
import tomllib

import numpy as np
import pytest

from devices import planted
from intref.devices import Device, DeviceError
from intref.errors import SpecError
from intref.explain.explanation import explain_cases
from intref.explain.findings import UNKNOWN
from intref.explain.hypotheses import Observation
from intref.golden import suite_path
from intref.identify import base_profile, chip_text, identify, write_chip
from intref.identify.findings import AS_REFERENCE, EQUIVALENT, OPEN, REFUSED
from intref.identify.pool import directed
from intref.identify.questions import identified
from intref.ops import OPS
from intref.profiles import load_profile
from intref.quantize.graph import load
from intref.run import call

# Device -> (what explains it, where it goes wrong). Each is an op with one bug: see devices/planted.py.
PLANTED = {
    "rescale_ties_away": ("rule half_away where rounding is half_even", "round"),
    "rescale_truncates": ("rule floor", "round"),
    "rescale_multiplier_16_bits": ("multiplier cut to 16 bits", "scale"),
    "rescale_wraps": ("no saturation (the result wraps)", "clip"),
    "rescale_float32": ("rule fp32_half_even", "round"),
    "rescale_no_zero_point": ("no output_zero_point", "scale"),
    "linear_24_bits": ("accumulator wrapped to 24 bits", "accumulate"),
    "linear_x_signed": ("x read as int8", "operands"),
    "matmul_saturates_every_step": ("accumulator saturated to 16 bits at every step", "accumulate"),
    "rescale_token_ties_away": ("rule half_away", "round"),
    "rescale_token_wraps": ("no saturation (the result wraps)", "clip"),
    "rescale_token_residual_left_out": ("no residual", "operands"),
    "rescale_at_its_full_range": ("saturation to all of the output's range", "clip"),
    "rescale_symmetric": ("saturation to a symmetric range", "clip"),
    "rescale_ties_away_and_wraps": ("rule half_away together with no saturation (the result wraps)", "round and clip"),
    "add_floors_without_a_clip": ("together with no saturation (the result wraps)", "round and clip"),
    "linear_no_bias": ("no bias", "accumulate"),
    "mean_pool_truncates": ("rule toward_zero", "round"),
    "softmax_exp2_ignores_the_mask": ("no mask", "operands"),
    "add_floors": ("rule floor", "round"),
    "table_off_by_one": ("lookup: index one too low, around the ends", "operands"),
    "clamp_without_a_low_side": ("clip: no low side", "clip"),
    "epilogue_fp32_fuses": ("contract fma", "round"),
    "epilogue_fp32_takes_the_channel_first": ("order channel_first", "round"),
    "epilogue_fp32_fuses_after_the_scales": ("order scales_first together with contract fma", "round"),
}
OUTSIDE = ["rescale_dithers", "linear_burnt", "softmax_exp2_halved", "layernorm_fixed_leaks"]
SHARE = {"rescale": 7, "layernorm_fixed": 12, "softmax_exp2": 5, "rescale_token_residual": 4, "add": 2, "mean_pool": 2}


class InProcess(Device):
    def __init__(self, function):
        self.function, self.asked = function, 0

    def call(self, request):
        self.asked += 1
        return self.function(request.op, {k: t.copy() for k, t in request.inputs.items()}, dict(request.attrs))


def op_of(name):
    return max((op for op in OPS if name.startswith(op)), key=len)


def pool(op):
    return directed(op)[:: SHARE.get(op, 1)]


def asked(name):
    """What identify says of a planted device."""
    function, op = getattr(planted, name), op_of(name)
    return identified(op, pool(op), lambda q: function(op, q.tensors, q.attrs), 250)


def right_of(op):
    return lambda q: call(op, q.tensors, q.attrs)


def explained(name):
    """What explain says of a planted device."""
    op, function, seen = op_of(name), getattr(planted, name), []
    for one in pool(op):
        made = function(op, one.tensors, one.attrs)
        if made is not None:
            seen.append(Observation(one.id, OPS[op], one.tensors, one.attrs, one.golden, made))
    return explain_cases(op, seen)


@pytest.mark.parametrize("name", PLANTED)
def test_do_explain_and_identify_name_a_planted_bug(name):
    words, stage = PLANTED[name]
    by_outputs, by_queries = explained(name), asked(name)
    print(f"{name} | {by_outputs.explained.sentence} | {by_outputs.stage} | {by_queries.text} | {by_queries.asked}")
    assert by_outputs.explained.known and by_queries.known
    rules = [finding.words for finding in by_outputs.explained.findings]
    assert any(words in rule for rule in rules) and by_outputs.stage == stage
    assert words in by_queries.found[0].text
    assert by_queries.asked < max(len(pool(op_of(name))), 100 if "together" in words else 60)


@pytest.mark.parametrize("name", OUTSIDE)
def test_is_a_device_outside_the_catalogue_no_known_rule(name):
    by_outputs, by_queries = explained(name), asked(name)
    print(f"{name} | {by_outputs.explained.sentence} | {by_outputs.stage} | {by_queries.text} | {by_queries.asked}")
    assert not by_outputs.explained.known and UNKNOWN in by_outputs.explained.sentence
    assert not by_queries.known and UNKNOWN in by_queries.text


def test_does_a_device_with_one_rule_do_as_the_reference_and_say_what_it_lacks():
    found = asked("rescale_one_rule")
    assert found.found[0].words[0] == AS_REFERENCE and found.known
    assert ("rounding", "half_up") in found.refused and ("rounding", "half_even") not in found.refused


def test_is_what_answered_alike_told_apart_by_the_reason():
    (right,) = identified("quantize_token", directed("quantize_token"), right_of("quantize_token"), 250).found
    assert {one.kind for one in right.alike} == {EQUIVALENT} and all(one.why for one in right.alike)
    assert right.text == f"as the reference ({len(right.alike)} equivalent to it)"
    (few,) = asked("rescale_of_int8_only").found
    assert {one.kind for one in few.alike} >= {EQUIVALENT, REFUSED}
    whys = {one.words: one.why for one in few.alike}
    assert whys["output wrapped to int16"].endswith("output=int32, output=int64")


def test_is_a_hypothesis_that_nothing_separates_named():
    """One question only: what it does not show stays open."""
    found = identified("clamp", directed("clamp"), right_of("clamp"), 1)
    named = [one.words for one in found.found[0].alike if one.kind == OPEN]
    assert named and f"{len(named)} not separated: {named[0]}" in found.text


def test_is_the_attribute_blamed_that_alone_was_refused():
    """The device has no axis but the last: that is no fault of the values beside it."""

    def last_axis(q):
        return call("rescale", q.tensors, q.attrs) if q.attrs["axis"] == -1 else None

    found = identified("rescale", pool("rescale")[::2], last_axis, 250)
    assert found.refused == () and found.others > 0 and "other call" in found.text
    few = asked("rescale_of_int8_only")
    assert few.refused == tuple(("output", name) for name in ("int16", "int32", "int64", "uint8"))


def test_is_one_hypothesis_needed_for_all_cases():
    """Two cases, each explained by a rule, and no rule that explains both."""
    op, seen = OPS["mean_pool"], []
    for one, rule in zip([q for q in directed("mean_pool") if (q.golden["y"] < 0).any()], ("away", "zero")):
        x, mask = one.tensors["x"].astype(np.int64), one.tensors["mask"][..., None].astype(np.int64)
        total, n = (x * mask).sum(-2), np.maximum(mask.sum(-2), 1)
        size = -(-np.abs(total) // n) if rule == "away" else np.abs(total) // n
        made = {"y": (np.sign(total) * size).astype(one.golden["y"].dtype)}
        seen.append(Observation(one.id, op, one.tensors, one.attrs, one.golden, made))
    assert len(seen) == 2 and all(one.differing for one in seen)
    alone, together = explain_cases("mean_pool", seen[1:]), explain_cases("mean_pool", seen)
    assert "rule toward_zero" in alone.explained.findings[0].rules
    assert not together.explained.known and UNKNOWN in together.explained.sentence


def test_are_exact_ties_counted_by_sign_and_parity():
    found = explained("rescale_token_ties_away")
    wrong = {kind: count for kind, (count, _) in found.ties.items()}
    assert wrong["between ties"] == 0 and wrong["ties > 0 above an even integer"] == 0
    assert wrong["ties < 0 above an even integer"] + wrong["ties < 0 above an odd integer"] > 0


def test_is_a_right_device_as_the_reference_and_what_it_lacks_listed():
    device = InProcess(lambda op, t, a: call(op, t, a) if op == "add_bias" else None)
    found = identify(device, ["add_bias", "clamp"])
    assert found.known and found.different == ()
    assert found.ops[0].found[0].words[0] == AS_REFERENCE and not found.ops[1].found
    assert found.lines[-1] == "not supported: clamp"
    assert device.asked == sum(one.asked + one.checked for one in found.ops)
    assert found.ops[0].confirmed == found.ops[0].directed == len(directed("add_bias"))
    assert f"confirmed on {found.ops[0].confirmed} of {found.ops[0].directed} directed cases" in found.lines[0]


def test_is_a_device_that_crashes_given_up_soon():
    def crash(op, tensors, attrs):
        raise DeviceError("crashed", "bus error")

    device = InProcess(crash)
    (found,) = identify(device, ["linear"]).ops
    assert found.text == "crashed: bus error" and device.asked == 3 and not found.known


def test_is_the_limit_of_queries_kept():
    device = InProcess(planted.rescale_token_ties_away)
    (found,) = identify(device, ["rescale_token"], limit=2).ops
    assert found.asked == 2 and device.asked == 4 and found.undecided and not found.known


def test_is_a_wrong_case_that_no_query_showed_found_by_confirming():
    """Right but for long rows: no hypothesis asks for these, the directed cases do."""

    def long_rows(op, tensors, attrs):
        made = call(op, tensors, attrs)
        return {"y": made["y"] + 1} if tensors["x"].shape[-1] > 64 else made

    (found,) = identify(InProcess(long_rows), ["linear"]).ops
    assert not found.known and found.found[0].words == (UNKNOWN,)
    assert "no known rule ('as the reference' does not give linear-" in found.text


@pytest.mark.parametrize("after", [3, 30])
def test_is_a_device_that_changes_its_mind_not_repeatable(after):
    def latch(op, tensors, attrs):
        made = call(op, tensors, attrs)
        return {"y": made["y"] ^ 1} if device.asked > after else made

    device = InProcess(latch)
    found = identify(device, ["clamp"])
    assert "not repeatable: clamp-" in found.lines[0] and not found.known and not found.usable


def test_is_a_device_that_hangs_not_asked_again():
    def hang(op, tensors, attrs):
        raise DeviceError("hung", "no answer within 1 s")

    device = InProcess(hang)
    found = identify(device, ["clamp", "add_bias", "table"])
    assert device.asked == 3 and "hung: no answer" in found.lines[0] and "was not asked again" in found.lines[2]


def test_is_a_device_with_a_call_that_crashes_not_known():
    def crash(op, tensors, attrs):
        if tensors["x"].ndim == 0:
            raise DeviceError("crashed", "bus error")
        return call(op, tensors, attrs)

    (found,) = identify(InProcess(crash), ["clamp"]).ops
    assert not found.known and found.found[0].words[0] == AS_REFERENCE
    assert "calls that failed: 1, the last crashed: bus error" in found.text


def test_is_an_unknown_op_refused():
    with pytest.raises(SpecError, match="there is no such op"):
        identify(InProcess(planted.right), ["convolution"])


def test_does_the_chip_profile_ask_for_what_the_chip_does(tmp_path):
    """A chip whose add rounds ties away whatever it is asked for: the profile asks for that."""

    def chip(op, tensors, attrs):
        return call(op, tensors, {**attrs, "rounding": "half_away"} if op == "add" else attrs)

    found = identify(InProcess(chip), ["add", "linear"])
    profile = write_chip(found, tmp_path / "chip.toml", base="ibert")
    assert profile.sites["residual"]["rounding"] == profile.sites["embedding_sum"]["rounding"] == "half_away"
    assert profile.sites["context"]["rounding"] == load_profile("ibert").sites["context"]["rounding"]
    text = (tmp_path / "chip.toml").read_text()
    assert "add: rule half_away" in text and "Not asked" in text and tomllib.loads(text)["status"] == "experimental"


def test_is_no_profile_made_of_what_was_not_answered(tmp_path):
    def crash(op, tensors, attrs):
        if op == "add":
            raise DeviceError("crashed", "bus error")
        return call(op, tensors, {**attrs, "rounding": "half_away"} if op == "rescale" else attrs)

    with pytest.raises(SpecError, match="no usable answer"):
        write_chip(identify(InProcess(crash), ["add"]), tmp_path / "chip.toml")
    assert not (tmp_path / "chip.toml").exists()
    text = chip_text(identify(InProcess(crash), ["add", "clamp"]), "ibert")
    assert "[residual]  # as in ibert: the device answered no add" in text


def test_does_the_profile_say_what_it_cannot_say(tmp_path):
    found = identify(InProcess(planted.linear_24_bits), ["linear"])
    text = chip_text(found, "intref")
    (line,) = [line for line in text.splitlines() if line.startswith("# linear: ")]
    assert "accumulator wrapped to 24 bits" in line and line.endswith("-- NOT SAID BELOW: the reference differs there")
    assert tomllib.loads(text)["linear"] == {"op": "linear"}


@pytest.mark.parametrize(
    ("device", "form"), [("rescale_at_its_full_range", "full"), ("rescale_symmetric", "symmetric")]
)
def test_does_the_profile_clamp_as_the_chip_does(tmp_path, device, form):
    found = identify(InProcess(getattr(planted, device)), ["rescale"])
    for base in ("ibert", "intref"):
        sites = write_chip(found, tmp_path / "chip.toml", base).sites
        by_rescale = [site["clamp"] for site in sites.values() if site["op"] == "rescale" and "clamp" in site]
        assert {*by_rescale} <= {form}
        assert "NOT SAID BELOW" not in (tmp_path / "chip.toml").read_text()


def test_is_a_hostile_name_of_a_device_only_text(tmp_path):
    found = identify(InProcess(planted.right), ["clamp"])
    hostile = type(found)('py:x"\n[linear]\nop = "matmul"\x1b[0m:f', found.ops)
    assert write_chip(hostile, tmp_path / "chip.toml", "intref").sites["linear"]["op"] == "linear"


def test_does_quantize_run_with_the_profile_of_a_chip(tmp_path):
    """A checkpoint lowered for a chip that rounds ties away: its add and rescale are the chip's."""
    sites = load_profile("ibert").sites
    found = identify(InProcess(planted.rescale_ties_away), ["rescale"])
    write_chip(found, tmp_path / "chip.toml", base="ibert")
    calib = [{"input_ids": np.array([[1, 2, 3, 4]]), "attention_mask": np.ones((1, 4), np.int64)}]
    model = load(suite_path() / "models" / "sentiment").quantize("ibert", profile=tmp_path / "chip.toml", calib=calib)
    asked = {node.attrs["rounding"] for node in model.nodes if node.op == "rescale" and "rounding" in node.attrs}
    assert asked == {"half_away"} and sites["context"]["rounding"] == "half_even"


def test_does_a_profile_start_from_one_that_has_the_op():
    """Of a device with one op: a profile that has nothing of it needs the fewest changes, and says nothing."""

    def doubling(op, tensors, attrs):
        if attrs["rounding"] not in ("gemmlowp_double", "half_up"):
            return None
        with contextlib.suppress(SpecError):  # another rule's operands
            return call(op, tensors, attrs | {"rounding": "gemmlowp_double"})
        return None

    found = identify(InProcess(doubling), ["rescale"])
    base = base_profile(found)
    assert base.name == "tflite-reference"
    assert not any(line.startswith("# rescale") and "not used" in line for line in chip_text(found).splitlines())
    linear = identify(InProcess(call), ["linear"])
    assert base_profile(linear).sites["linear"]["op"] == "linear"


def register(every, bits, narrow):
    """A linear layer whose sum, from the bias on, is narrowed after every so many terms; at the end if 0."""

    def run(op, tensors, attrs):
        plain = (attrs["accumulator"], attrs["overflow"], attrs["every"]) == (32, "refuse", 0)
        bias, end = tensors["bias"].astype(np.int64), 1 << bits - 1
        if not plain or abs(bias).max() >= end:
            return None
        x, w = (tensors[name].astype(np.int64) - attrs[f"{name}_zero_point"] for name in ("x", "weight"))
        y, step = np.broadcast_to(bias, (*x.shape[:-1], len(bias))), every or x.shape[-1]
        for k in range(0, x.shape[-1], step):
            y = narrow(y + x[..., k : k + step] @ w[:, k : k + step].T, end)
        return {"y": y.astype(attrs["output"])}

    return InProcess(run)


@pytest.mark.parametrize(
    "every, bits, overflow",
    [(1, 16, "saturate"), (16, 16, "saturate"), (0, 24, "wrap")],
)
def test_is_a_register_written_as_the_keys_of_a_product(tmp_path, every, bits, overflow):
    def narrow(y, end):
        return np.clip(y, -end, end - 1) if overflow == "saturate" else (y + end) % (2 * end) - end

    found = identify(register(every, bits, narrow), ["linear"])
    made = write_chip(found, tmp_path / "chip.toml", "ibert").sites["linear"]
    assert {key: made.get(key, 0) for key in ("accumulator", "overflow", "every")} == {
        "accumulator": bits,
        "overflow": overflow,
        "every": every,
    }
    assert "NOT SAID" not in (tmp_path / "chip.toml").read_text()
