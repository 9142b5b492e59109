"""Right values in wrong places: channels out of order in the last tile, a tile that is stale, rows mixed up."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from intref.faults.bodies import Arrays, run_changed, size
from intref.ops.op import Op

Lazy = tuple[str, Callable[[], Arrays]]
Move = Callable[[np.ndarray, int], np.ndarray]
TILES = (4, 8, 16, 32)
LARGEST = 1 << 22  # elements of a call


def faults(op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any]) -> Iterator[Lazy]:
    """(what was done instead, a function that makes the outputs). A move that an output's shape does not show is left
    out."""
    if size(tensors) > LARGEST:
        return
    kept: list[Arrays] = []

    def golden() -> Arrays:
        if not kept:
            kept.append(run_changed(op, tensors, attrs, {}, {}))
        return kept[0]

    shapes = [y.shape for y in golden().values()]
    for words, axis, least, move in moves():
        if any(len(shape) >= -axis and shape[axis] >= least for shape in shapes):
            if "tile" not in words or any(_partial(shape, axis, least) for shape in shapes):
                yield words, partial(_moved, golden, axis, least, move)
    for words, one, two in (("the last two axes", -1, -2), ("the two axes before the last", -2, -3)):
        if any(len(shape) >= -two and shape[one] == shape[two] > 1 for shape in shapes):
            yield f"outputs with {words} exchanged", partial(_exchanged, golden, one, two)


def moves() -> Iterator[tuple[str, int, int, Move]]:
    """(words, axis, the least size that shows it, move)."""
    for axis, name in ((-1, "channels"), (-2, "rows"), (-3, "outer rows")):
        yield f"outputs with {name} one late", axis, 2, lambda y, axis: np.roll(y, 1, axis)
        yield f"outputs with {name} one early", axis, 2, lambda y, axis: np.roll(y, -1, axis)
        yield f"outputs with {name} in reverse", axis, 2, np.flip
        yield f"outputs with the first of the {name} everywhere", axis, 2, _first
        yield f"outputs with the last of the {name} not written", axis, 2, _unwritten
    for axis, name in ((-1, "channels"), (-2, "rows")):
        for tile in TILES:
            where = f"last tile of {tile} {name}"
            yield f"{where} in reverse", axis, tile + 2, partial(_tail, tile=tile, change=np.flip)
            yield f"{where} rotated by one", axis, tile + 2, partial(_tail, tile=tile, change=_rotated)
            yield f"{where} stale: values of the tile before", axis, tile + 1, partial(_stale, tile=tile)
            yield f"{where} not written", axis, tile + 1, partial(_tail, tile=tile, change=np.zeros_like)
            yield f"{where} taken from the end", axis, tile + 1, partial(_aligned, tile=tile)


def _partial(shape: tuple[int, ...], axis: int, least: int) -> bool:
    """Whether the last tile of an axis is partial and long enough to show its order."""
    if len(shape) < -axis:
        return False
    tile = max(t for t in TILES if t < least)
    return shape[axis] > tile and shape[axis] % tile >= least - tile


def _moved(golden: Callable[[], Arrays], axis: int, least: int, move: Move) -> Arrays:
    fits = {p: y.ndim >= -axis and y.shape[axis] >= least for p, y in golden().items()}
    return {p: move(y, axis) if fits[p] else y for p, y in golden().items()}


def _exchanged(golden: Callable[[], Arrays], one: int, two: int) -> Arrays:
    fits = {p: y.ndim >= -two and y.shape[one] == y.shape[two] for p, y in golden().items()}
    return {p: y.swapaxes(one, two) if fits[p] else y for p, y in golden().items()}


def _first(y: np.ndarray, axis: int) -> np.ndarray:
    return np.repeat(y.take([0], axis), y.shape[axis], axis)


def _unwritten(y: np.ndarray, axis: int) -> np.ndarray:
    return np.concatenate([y.take(range(y.shape[axis] - 1), axis), np.zeros_like(y.take([0], axis))], axis)


def _tail(y: np.ndarray, axis: int, tile: int, change: Callable[..., np.ndarray]) -> np.ndarray:
    start = y.shape[axis] // tile * tile
    head, last = y.take(range(start), axis), y.take(range(start, y.shape[axis]), axis)
    if not last.size:
        return y
    changed = change(last) if change is np.zeros_like else change(last, axis)
    return np.concatenate([head, changed], axis)


def _rotated(last: np.ndarray, axis: int) -> np.ndarray:
    return np.roll(last, 1, axis)


def _stale(y: np.ndarray, axis: int, tile: int) -> np.ndarray:
    start, end = y.shape[axis] // tile * tile, y.shape[axis]
    order = [*range(start), *(i - tile for i in range(start, end))]
    return y.take(order, axis)


def _aligned(y: np.ndarray, axis: int, tile: int) -> np.ndarray:
    """The last tile computed for the last whole tile's worth of channels, and written where the partial one begins."""
    start, end = y.shape[axis] // tile * tile, y.shape[axis]
    order = [*range(start), *range(end - tile, end - tile + end - start)]
    return y.take(order, axis)
