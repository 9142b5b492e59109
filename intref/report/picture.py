"""Where a tensor is wrong and by how much, small enough for a receipt however large the tensor is. Integers only."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from intref.comparison import mismatches

SIDE = 64  # rows and columns of a map, at most
BARS = 33  # different errors that are counted one by one; more of them are counted by powers of two
SAMPLE = 4096  # errors that tell whether it is worth sorting them all


def picture(dut: np.ndarray, golden: np.ndarray, valid: np.ndarray | None, attrs: Mapping[str, Any]) -> dict[str, Any]:
    """A mismatch map, a histogram of d = dut - golden and the clips of a pair that differs, as plain JSON values.

    shape: the tensor's. sheet: its rows and columns when the leading axes are laid out as rows (a vector is wrapped).
    cell: the rows and columns of the sheet that one cell of the map stands for. cells: row, column, elements that
    differ, elements compared, four numbers for each cell in which anything differs. histogram: [low, high, count]
    with low <= d <= high, ascending, low and high as text. clips: see `_clips`; left out where nothing is clipped.
    """
    wrong = mismatches(dut, golden, valid)
    found = {"shape": list(golden.shape), **_map(wrong, valid), "histogram": _histogram(dut[wrong], golden[wrong])}
    clips = _clips(dut[wrong], golden[wrong], attrs)
    return {**found, "clips": clips} if clips else found


def sound(found: Mapping[str, Any]) -> bool:
    """Whether plain values out of a file are a picture, or none at all."""
    return not found or (_sound_map(found) and _sound_bars(found.get("histogram")) and _sound_clips(found))


def _sound_map(found: Mapping[str, Any]) -> bool:
    lists: list[Any] = [found.get(key) for key in ("shape", "sheet", "cell", "cells")]
    if not all(isinstance(t, list) and all(type(n) is int and n >= 0 for n in t) for t in lists):
        return False
    _, sheet, cell, cells = lists
    if len(sheet) != 2 or len(cell) != 2 or 0 in cell or len(cells) % 4:
        return False
    grid = [-(-size // step) for size, step in zip(sheet, cell)]
    rows, columns, wrong, compared = (cells[k::4] for k in range(4))
    inside = all(max(places, default=0) < size <= SIDE for places, size in zip((rows, columns), grid))
    return inside and all(0 < n <= of for n, of in zip(wrong, compared))


def _sound_bars(bars: Any) -> bool:
    if not isinstance(bars, list) or not all(isinstance(bar, list) and len(bar) == 3 for bar in bars):
        return False
    return all(_is_integer(low) and _is_integer(high) and type(n) is int and n > 0 for low, high, n in bars)


def _sound_clips(found: Mapping[str, Any]) -> bool:
    clips = found.get("clips")
    if clips is None:
        return True
    if not isinstance(clips, dict) or not all(_is_integer(clips.get(key)) for key in ("low", "high")):
        return False
    pairs = [clips.get(key) for key in ("golden", "dut")]
    return all(isinstance(pair, list) and len(pair) == 2 and all(type(n) is int for n in pair) for pair in pairs)


def _is_integer(text: Any) -> bool:
    """Decimal text of an int64 or of a difference of two."""
    return isinstance(text, str) and len(text) <= 21 and text.removeprefix("-").isdecimal() and text.isascii()


def _map(wrong: np.ndarray, valid: np.ndarray | None) -> dict[str, Any]:
    sheet = _sheet(wrong)
    compared = _sheet(np.ones(wrong.shape, bool) if valid is None else valid)
    cell = [-(-size // SIDE) for size in sheet.shape]
    counts, totals = _folded(sheet, cell), _folded(compared, cell)
    rows, columns = np.argwhere(counts).T
    cells = np.stack([rows, columns, counts[rows, columns], totals[rows, columns]], 1)
    return {"sheet": list(sheet.shape), "cell": cell, "cells": [int(n) for n in cells.reshape(-1)]}


def _sheet(t: np.ndarray) -> np.ndarray:
    """[..., C] -> [R, C]; a long vector in rows of SIDE, the last one filled up with nothing."""
    flat = t.reshape(1, 1) if t.ndim == 0 else t.reshape(-1, t.shape[-1])
    if flat.shape[0] > 1 or flat.shape[1] <= SIDE:
        return flat
    whole = np.zeros(-(-flat.size // SIDE) * SIDE, bool)
    whole[: flat.size] = flat.reshape(-1)
    return whole.reshape(-1, SIDE)


def _folded(sheet: np.ndarray, cell: list[int]) -> np.ndarray:
    """bool [R, C] -> how many are set in each cell, int64, at most [SIDE, SIDE]."""
    rows, columns = (np.arange(0, size, step) for size, step in zip(sheet.shape, cell))
    by_rows = np.add.reduceat(sheet, rows, axis=0, dtype=np.int64)
    return np.asarray(np.add.reduceat(by_rows, columns, axis=1))


def _histogram(dut: np.ndarray, golden: np.ndarray) -> list[list[Any]]:
    a, b = dut.astype(np.int64), golden.astype(np.int64)
    # Modulo 2**64 the larger minus the smaller is right even where int64 would wrap.
    size, above = np.maximum(a, b).view(np.uint64) - np.minimum(a, b).view(np.uint64), a > b
    bars = [bar for sign, side in ((-1, ~above), (1, above)) for bar in _bars(sign, size[side], size[:SAMPLE])]
    return [[str(low), str(high), count] for low, high, count in sorted(bars)]


def _bars(sign: int, size: np.ndarray, sample: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """The errors of one sign, one by one, or where the sample has too many kinds, those of one bit length together."""
    if len(np.unique(sample)) <= BARS:
        sizes, counts = np.unique(size, return_counts=True)
        if len(sizes) <= BARS:
            yield from ((sign * int(s), sign * int(s), int(n)) for s, n in zip(sizes, counts))
            return
    while size.size:
        k = int(size.max()).bit_length() - 1
        longest = size >> np.uint64(k) > 0
        low, high = sorted((sign << k, sign * ((2 << k) - 1)))
        yield low, high, int(np.count_nonzero(longest))
        size = size[~longest]


def _clips(dut: np.ndarray, golden: np.ndarray, attrs: Mapping[str, Any]) -> dict[str, Any]:
    """low and high, as text, and of the elements that differ how many golden and how many the device has at each."""
    info = np.iinfo(golden.dtype)
    low, high = int(attrs.get("low", info.min)), int(attrs.get("high", info.max))
    counts = {
        side: [int(np.count_nonzero(t == limit)) for limit in (low, high)]
        for side, t in (("golden", golden), ("dut", dut))
    }
    return {"low": str(low), "high": str(high), **counts} if any(map(any, counts.values())) else {}
