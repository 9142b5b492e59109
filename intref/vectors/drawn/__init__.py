"""Random calls of every op, from a frozen stream: call n of a seed can be drawn without those before it."""

from collections.abc import Callable, Mapping

from intref.vectors.case import Case, SplitMix64
from intref.vectors.drawn import products, rows, scales
from intref.vectors.drawn.chance import Chance
from intref.vectors.drawn.products import Call

__all__ = ["DRAWS", "Chance", "drawn"]

DRAWS: dict[str, Callable[[Chance], Call]] = {**products.DRAWS, **scales.DRAWS, **rows.DRAWS}
WORD = 1 << 64


def drawn(op_name: str, number: int, seed: int = 0, fixed: Mapping[str, int] | None = None) -> Case:
    """Random call `number` of an op. fixed: axis -> size.

    The state of its stream is the first output of SplitMix64(base + number), base being folded from the seed over
    the letters of the op's name: base = first output of SplitMix64(base + letter).
    """
    base = seed
    for letter in op_name.encode():
        base = _mixed(base + letter)
    tensors, attrs = DRAWS[op_name](Chance(_mixed(base + number), fixed))
    return Case(f"random call {number} of seed {seed}", tensors, attrs, ("random",))


def _mixed(state: int) -> int:
    return int(SplitMix64(state % WORD).words(1)[0])
