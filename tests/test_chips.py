"""Chips that speak a dialect, whatever they are asked for: do explain and identify tell them apart by outputs alone?"""

import tomllib

import pytest

from devices import planted
from intref.errors import SpecError
from intref.explain.explanation import explain_cases
from intref.explain.findings import EVERYWHERE, Where
from intref.explain.hypotheses import Observation
from intref.faults.variants import FULL, UNCLIPPED
from intref.identify import Identified, OpIdentified, agreeing, chip_text, identify
from intref.identify.findings import AS_REFERENCE, Found
from intref.identify.pool import directed
from intref.ops import OPS
from intref.profiles import SITES, load_profile, names
from intref.run import call
from test_identify import InProcess

CHIPS = ("deeploy", "ita", "tosa")
SHOWS = ("rescale", "table_tosa")  # and the softmax and the activation of the dialect


def chip(profile):
    """A device with one requantizer, of this dialect, and the ops that the dialect has itself; and those ops."""
    own = {site: table for site, table in load_profile(profile).sites.items() if not table.get("borrowed")}
    ops = {str(table["op"]) for table in own.values()} | {"rescale"}

    def run(op, tensors, attrs):
        if op not in ops:
            return None
        try:
            return call(op, tensors, attrs | {"rounding": own["context"]["rounding"]} if op == "rescale" else attrs)
        except SpecError:
            return None

    asked = [op for op in OPS if op in ops and (op in SHOWS or op.startswith(("softmax_", "gelu_")))]
    return run, asked


@pytest.mark.parametrize("profile", CHIPS)
def test_is_a_chip_known_by_its_answers(profile):
    run, asked = chip(profile)
    fits = agreeing(identify(InProcess(run), asked))
    most = len(fits[profile])
    assert [name for name, sites in fits.items() if len(sites) == most] == [profile]


# What is asked, and what the chip computes instead.
SPOKEN = {
    "softmax_ibert": ("softmax_gemmini", {}),
    "softmax_gemmlowp": ("softmax_ita", {}),
    "softmax_ita": ("softmax_itamax_partial", {"output": "int8"}),
    "softmax_deeploy": ("softmax_itamax", {"output": "int8"}),
    "layernorm_ibert": ("layernorm_ivit", {"form": "torch"}),
    "table_int16": ("table_tosa", {}),
}


@pytest.mark.parametrize("asked", SPOKEN)
def test_does_explain_name_the_op_of_another_dialect(asked):
    op, (spoken, own), seen = OPS[asked], SPOKEN[asked], []
    for one in directed(asked)[::4]:
        try:
            given = call(spoken, one.tensors, own | {k: v for k, v in one.attrs.items() if k in OPS[spoken].attrs})
        except SpecError:
            continue
        made = {port: values.astype(one.golden[port].dtype) for port, values in given.items()}
        seen.append(Observation(one.id, op, one.tensors, one.attrs, one.golden, made))
    found = explain_cases(asked, seen)
    assert found.explained.known and f"op {spoken}" in found.explained.sentence


def told(op, *words, where=EVERYWHERE, refused=()):
    """What identify says of a device of one op that does as one finding says."""
    return Identified("chip", (OpIdentified(op, 9, 9, 0, (Found(where, words),), refused),))


def test_is_a_requantizer_that_rounds_otherwise_than_by_name_no_chip_of_that_name():
    """It takes half_even alone, and does that in float32: not what I-BERT asks for."""
    found = identify(InProcess(planted.rescale_float32), ["rescale"])
    assert "rescale: rule fp32_half_even;" in found.lines[0] and agreeing(found).keys() == {"gemmini", "onnx"}
    sites = tomllib.loads(chip_text(found, "ibert"))
    asked = {table["rounding"] for site, table in sites.items() if site in SITES and table["op"] == "rescale"}
    assert asked == {sites["pooler"]["rounding"]} == {sites["logits"]["rounding"]} == {"fp32_half_even"}
    assert "NOT SAID BELOW" not in chip_text(found) and '[logits]\nop = "rescale"\nrounding = "fp32' in chip_text(found)


def test_does_an_op_found_otherwise_contradict_its_profiles():
    right, floors = told("softmax_gemmlowp", AS_REFERENCE), told("softmax_gemmlowp", "rule floor at rounding 9 of 9")
    assert {"cmsis-nn", "tflite-reference"} <= agreeing(right).keys() and agreeing(floors) == {}
    assert load_profile("cmsis-nn").sites["softmax"]["op"] == "softmax_gemmlowp"
    assert "-- NOT SAID BELOW" in chip_text(floors, "cmsis-nn") and "NOT SAID" not in chip_text(right, "cmsis-nn")
    assert tomllib.loads(chip_text(floors))["softmax"]["op"] != "softmax_gemmlowp"


def test_does_what_only_some_calls_show_contradict_those_who_make_them():
    """ITA's sums wrap at 26 bits, I-BERT's never need to."""
    wraps = told("linear", "no bias", where=Where("overflow", ("wrap",), ("refuse", "wrap", "saturate")))
    unlike = {name for name in names() if load_profile(name).sites["linear"].get("overflow") == "wrap"}
    assert "ita" in unlike and not unlike & agreeing(wraps).keys() and "ibert" in agreeing(wraps)
    refuses = told("linear", AS_REFERENCE, refused=(("overflow", "wrap"),))
    assert "ibert" in agreeing(refuses) and not unlike & agreeing(refuses).keys()


def test_does_a_rescale_that_wraps_contradict_and_one_of_full_range_agree():
    assert agreeing(told("rescale", UNCLIPPED)) == {}
    forms = {load_profile(name).sites["context"].get("clamp") for name in agreeing(told("rescale", FULL))}
    assert forms == {"full"}
