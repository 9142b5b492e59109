"""mpmath's real numbers, 40 digits: an element agrees if the wide op errs by less than its bound; float32 does not."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from intref import call
from intref.quantize import cells
from oracles import Tally

COUNT = 400
Real = Callable[[Any], Any]


def tallies() -> Iterator[Tally]:
    import mpmath

    mpmath.mp.dps = 40
    for run in (_gelu, _tanh, _softmax, _unit_length):
        yield run(mpmath.mp, Tally("wide", "", "mpmath", mpmath.__version__))


def _points(limit: float, fraction: int) -> np.ndarray:
    """Integers that stand for numbers in (-limit, limit): zero, edges of cells, their neighbours, anything."""
    draw, most = np.random.default_rng(11), int(limit * 2**fraction) - 1
    edges = draw.integers(-most >> fraction - 5, most >> fraction - 5, COUNT) << fraction - 5
    return np.concatenate([[0, 1, -1, most, -most], edges, edges + 1, edges - 1, draw.integers(-most, most, COUNT)])


def _near(found: Any, exact: list[Any], unit: float, bound: float) -> np.ndarray:
    """1 where |found * unit - exact| < bound: unit and bound are powers of two."""
    return np.array([abs(int(a) * b.context.mpf(unit) - b) < bound for a, b in zip(np.ravel(found), exact)], np.int8)


def _agree(row: Tally, op: str, found: Any, exact: list[Any], log_unit: int, log_bound: int) -> Tally:
    """One batch; float32's values are the exact ones, rounded to its 24 bits."""
    unit, bound = 2.0**log_unit, 2.0**log_bound
    row.op, row.note = op, f"an error below 2**{log_bound}"
    single = [int(np.rint(float(np.float32(float(value))) / unit)) for value in exact]
    row.compare(_near(found, exact, unit, bound), np.ones(len(exact)), {"float32": _near(single, exact, unit, bound)})
    return row


def _gelu(mp: Any, row: Tally) -> Tally:
    x = _points(9, 43)
    got = call("gelu_wide", {"x": x, "coefficients": cells.gelu()}, {"fraction": 43})["y"]
    real = [mp.mpf(int(v)) / 2**43 for v in x]
    return _agree(row, "gelu_wide", got, [v * mp.ncdf(v) for v in real], -43, -43)


def _tanh(mp: Any, row: Tally) -> Tally:
    x = _points(20, 42)
    got = call("tanh_wide", {"x": x, "coefficients": cells.tanh()}, {"fraction": 42})["y"]
    return _agree(row, "tanh_wide", got, [mp.tanh(mp.mpf(int(v)) / 2**42) for v in x], -46, -44)


def _softmax(mp: Any, row: Tally) -> Tally:
    """Rows of 8 keys within 30 octaves, some masked; the scores' scale is ln 2 / 2**40."""
    draw = np.random.default_rng(12)
    x = draw.integers(-30 << 40, 1, (COUNT, 1, 1, 8)) >> draw.integers(0, 40, (COUNT, 1, 1, 1))
    mask = (draw.random((COUNT, 8)) < 0.8).astype(np.int8)
    mask[:, 0] = 1
    attrs = {"multiplier": 1 << 46, "shift": 48, "fraction": 38}
    got = call("softmax_wide", {"x": x, "mask": mask, "coefficients": cells.exp2()}, attrs)["p"]
    exact: list[Any] = []
    for scores, kept in zip(x[:, 0, 0], mask):
        powers = [mp.mpf(2) ** (mp.mpf(int(v)) / 2**40) * int(m) for v, m in zip(scores, kept)]
        exact += [power / sum(powers) for power in powers]
    return _agree(row, "softmax_wide", got, exact, -46, -38)


def _unit_length(mp: Any, row: Tally) -> Tally:
    draw = np.random.default_rng(13)
    x = draw.integers(-(1 << 46), 1 << 46, (COUNT, 7)) >> draw.integers(0, 46, (COUNT, 1))
    x[:, 0] += x[:, 0] == 0
    got = call("l2_normalize_wide", {"x": x}, {})["y"]
    exact = [mp.mpf(int(v)) / mp.sqrt(sum(int(w) ** 2 for w in values)) for values in x for v in values]
    return _agree(row, "l2_normalize_wide", got, exact, -46, -43)
