"""Pictures of mismatches: is each counted once, in the right place, and all of it small however large the tensor?"""

import json

import numpy as np
import pytest

from intref.modelfile import canonical
from intref.report.picture import BARS, SIDE, picture, sound

SHAPES = [(), (1,), (64,), (65,), (1000,), (3, 5), (64, 64), (200, 7), (5, 130), (2, 3, 70), (9, 8, 7)]


@pytest.mark.parametrize("shape", SHAPES)
def test_does_a_map_count_every_mismatch_once(shape):
    rng = np.random.default_rng(len(shape))
    golden = rng.integers(-9, 9, shape, np.int16)
    dut = np.where(rng.random(shape) < 0.3, golden + 1, golden).astype(np.int16)
    dut.flat[-1], valid = golden.flat[-1] - 2, rng.random(shape) < 0.8
    valid.flat[-1] = True
    for mask in (None, valid):
        counted = np.ones(shape, bool) if mask is None else mask
        found = picture(dut, golden, mask, {})
        cells = np.array(found["cells"]).reshape(-1, 4)
        assert cells[:, 2].sum() == ((dut != golden) & counted).sum() == sum(n for *_, n in found["histogram"])
        assert (cells[:, 2] <= cells[:, 3]).all() and cells[:, 3].sum() <= counted.sum()
        assert max(-(-size // step) for size, step in zip(found["sheet"], found["cell"])) <= SIDE
        assert np.prod(found["sheet"]) >= golden.size and sound(json.loads(canonical(found)))


def test_does_a_map_point_at_the_place():
    dut, golden = np.zeros((2, 100, 70), np.int8), np.zeros((2, 100, 70), np.int8)
    dut[1, 99, 68] = 3
    assert picture(dut, golden, None, {}) == {
        "shape": [2, 100, 70],
        "sheet": [200, 70],
        "cell": [4, 2],
        "cells": [49, 34, 1, 8],
        "histogram": [["3", "3", 1]],
    }


def test_does_a_histogram_hold_the_widest_errors_and_stay_small():
    low, high = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    found = picture(np.array([high, low]), np.array([low, high]), None, {})
    widest = str(2**64 - 1)
    assert found["histogram"] == [[f"-{widest}", f"-{widest}", 1], [widest, widest, 1]] and sound(found)
    golden = np.zeros(20_000, np.int64)
    dut = np.arange(-10_000, 10_000) * 7
    bars = [(int(a), int(b), n) for a, b, n in picture(dut, golden, None, {})["histogram"]]
    wrong = dut[dut != 0]
    assert len(bars) <= BARS and bars == sorted(bars)
    assert bars == [(a, b, int(((wrong >= a) & (wrong <= b)).sum())) for a, b, _ in bars]
    assert sum(n for *_, n in bars) == len(wrong)


def test_are_errors_at_a_clip_counted_by_side():
    golden, dut = np.array([-5, 5, 5, 0], np.int8), np.array([-6, 4, 6, 1], np.int8)
    assert picture(dut, golden, None, {"low": -5, "high": 5})["clips"] == {
        **{"low": "-5", "high": "5", "golden": [1, 2], "dut": [0, 0]},
    }
    assert "clips" not in picture(np.array([1, 2]), np.array([2, 1]), None, {})
