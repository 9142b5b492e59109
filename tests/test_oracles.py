"""Every oracle that is installed gives our bits, on operands that tell the dialect from its neighbours."""

import importlib
import pkgutil

import numpy as np
import pytest

import oracles
from oracles import Tally

ORACLES = sorted(module.name for module in pkgutil.iter_modules(oracles.__path__))


@pytest.mark.parametrize("name", ORACLES)
def test_does_an_oracle_give_our_bits(name):
    try:
        found = [*importlib.import_module(f"oracles.{name}").tallies()]
    except ImportError as error:
        pytest.skip(f"no {error.name}")
    assert found
    for row in found:
        assert row.cases and not row.mismatches, f"{row.profile}: {row.op}: {row.first}"
        assert all(row.apart.values()), f"{row.profile}: {row.op}: nothing tells it from {row.apart}"


def test_does_a_tally_count_what_differs_and_what_separates():
    row = Tally("p", "op", "oracle", "1")
    row.compare([1, 2, 3], [1, 2, 4], {"a": [1, 0, 3], "b": [1, 0, 0]})
    assert (row.cases, row.separating, row.mismatches, row.apart) == (3, 2, 1, {"a": 1, "b": 2})
    assert row.first == "at (2,): ours 3, theirs 4"
    with pytest.raises(AssertionError, match="shape"):
        row.compare(np.zeros(2), np.zeros((2, 1)))
