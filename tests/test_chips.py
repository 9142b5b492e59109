"""Chips that speak a dialect, whatever they are asked for: do explain and identify tell them apart by outputs alone?"""

import pytest

from intref.errors import SpecError
from intref.explain.explanation import explain_cases
from intref.explain.hypotheses import Observation
from intref.identify import agreeing, identify
from intref.identify.pool import directed
from intref.ops import OPS
from intref.profiles import load_profile
from intref.run import call
from test_identify import InProcess

# Profile -> those that say the same of all that its chip is asked.
CHIPS = {"deeploy": (), "ita": (), "tosa": ()}
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
    assert [name for name, sites in fits.items() if len(sites) == most] == sorted((profile, *CHIPS[profile]))


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
