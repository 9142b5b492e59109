"""Is every kind of fault asked for by some case; two faults at once."""

import numpy as np

from intref.faults import kinds, pairs, variants
from intref.ops import OPS
from intref.vectors import cases


def calls_of(op):
    return [(case.tensors, OPS[op].check(case.tensors, case.attrs)) for case in cases(op)]


def test_does_every_kind_of_fault_apply_to_some_case():
    every = set().union(*(kinds.applying(OPS[op], calls_of(op)) for op in OPS))
    assert kinds.idle(every) == []
    left = every - {"last tile of 32 rows in reverse"}
    assert kinds.idle(left) == ["^last\\ tile\\ of\\ 32\\ rows\\ in\\ reverse$"]
    assert len(kinds.declared()) == len(kinds.idle({"nothing"})) > 200


def test_is_a_kind_missed_that_only_a_larger_call_has():
    small = [call for call in calls_of("linear") if max(map(max, (t.shape for t in call[0].values()))) < 33]
    missed = kinds.unseen(OPS["linear"], small)
    assert "last tile of 32 rows in reverse" in missed and "no bias" not in missed
    assert "last tile of 32 rows in reverse" not in kinds.unseen(OPS["linear"], calls_of("linear"))


def test_are_two_choices_at_once_what_they_say():
    """125 * 5 / 2 = 312.5: 313 half up, 57 as int8; the clip gives 127, and half to even 312."""
    tensors = {
        "x": np.array([125, 1], np.int32),
        "multiplier": np.array([5], np.int32),
        "shift": np.array([1], np.int8),
    }
    attrs = OPS["rescale"].check(tensors, {"rounding": "half_even", "output": "int8", "output_zero_point": 2})
    tried = {words: variants.tried(runs) for words, runs in pairs.faults(OPS["rescale"], tensors, attrs)}
    found = {words: outputs["y"].tolist() for words, outputs in tried.items() if outputs}
    assert found[f"rule half_up{pairs.AND}{variants.UNCLIPPED}"] == [313 + 2 - 256, 3 + 2]
    assert found[f"rule half_up{pairs.AND}no output_zero_point"] == [127, 3]
    assert found[f"no output_zero_point{pairs.AND}{variants.UNCLIPPED}"] == [312 - 256, 2]
    assert pairs.applying("a together with b", {"b": 1}) == "b" and pairs.applying("a together with b", {}) == ""
