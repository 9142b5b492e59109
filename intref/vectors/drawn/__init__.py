"""Random calls of every op, from a frozen stream: call n of a seed can be drawn without those before it."""

from collections.abc import Callable, Mapping
from typing import Any

from intref.vectors.case import Case, SplitMix64
from intref.vectors.drawn import (
    deeploy,
    fqvit,
    gemmini,
    gemmlowp,
    illm,
    image,
    ita,
    ivit,
    onnx,
    products,
    rows,
    scales,
    tosa,
    wide,
)
from intref.vectors.drawn.chance import Chance
from intref.vectors.drawn.products import Call

__all__ = ["DRAWS", "Chance", "drawn"]

DIALECTS: tuple[Any, ...] = (gemmlowp, tosa, onnx, ivit, fqvit, illm, ita, gemmini, deeploy, image, wide)
DRAWS: dict[str, Callable[[Chance], Call]] = {
    **{k: v for family in (products, scales, rows, *DIALECTS) for k, v in family.DRAWS.items()}
}
WORD = 1 << 64
EVERY = 16  # one call in so many has an axis longer than a tile
LONG = (129, 160, 255, 256, 257, 384, 513, 769, 1025, 2049)
AXES = {
    **dict.fromkeys(("linear", "linear_int4"), "K N"),
    "matmul": "M K N",
    "embedding": "D V",
    "positions": "T",
    "mean_pool": "T D",
    "split_heads": "T",
    "transpose": "M N",
    "merge_heads": "D H T",
    "select_token": "T D",
    "reshape": "C",
    "swap_axes": "M N D",
    "slice_rows": "T D",
    "concat_rows": "T U D",
    "rescale": "C",
    **dict.fromkeys(("add", "add_bias", "clamp", "gelu_ibert", "quantize_token"), "D"),
    "rescale_quotient": "D Q",
    **dict.fromkeys(("rescale_token", "rescale_token_residual"), "N"),
    **dict.fromkeys(("softmax_ibert", "softmax_exp2", "mask_add"), "K Q"),
    **dict.fromkeys(("layernorm_ibert", "layernorm_fixed", "l2_normalize"), "D"),
    **dict.fromkeys(("gelu_table", "table"), "T"),
    **{k: v for family in DIALECTS for k, v in family.AXES.items()},
}  # op -> the axes that are long in turn


def drawn(op_name: str, number: int, seed: int = 0, fixed: Mapping[str, int] | None = None) -> Case:
    """Random call `number` of an op. fixed: axis -> size; without it one call in sixteen has a long axis.

    The state of its stream is the first output of SplitMix64(base + number), base being folded from the seed over
    the letters of the op's name: base = first output of SplitMix64(base + letter).
    """
    if fixed is None and number % EVERY == EVERY - 1:
        fixed = _long(op_name, number // EVERY)
    base = seed
    for letter in op_name.encode():
        base = _mixed(base + letter)
    tensors, attrs = DRAWS[op_name](Chance(_mixed(base + number), fixed))
    return Case(f"random call {number} of seed {seed}", tensors, attrs, ("random",))


def _long(op_name: str, turn: int) -> dict[str, int]:
    """One axis of the op, and its size; a vocabulary is of 2**17 and more, of one column."""
    axes = AXES[op_name].split()
    axis, size = axes[turn % len(axes)], LONG[turn // len(axes) % len(LONG)]
    return {"V": (1 << 17) + size, "D": 1} if axis == "V" else {axis: size}


def _mixed(state: int) -> int:
    return int(SplitMix64(state % WORD).words(1)[0])
