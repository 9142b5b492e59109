"""A model of ten nodes, made by hand: every kind of axis, a packed constant, two clamps, a mask."""

from functools import cache

import numpy as np

from intref.model import Model, Node, info
from intref.proof import Prover
from intref.vectors import SplitMix64

WIDTH, ROWS, VOCABULARY = 8, 6, 11
TOKENS = ("B", "T")


def _constants() -> dict[str, np.ndarray]:
    stream = SplitMix64(5)
    return {
        "words": stream.integers(-(1 << 20), 1 << 20, (VOCABULARY, WIDTH), "int32"),
        "weight": stream.integers(-8, 7, (ROWS, WIDTH), "int8"),
        "none": np.zeros(ROWS, np.int32),
        "multiplier": stream.integers(1 << 15, (1 << 16) - 1, ROWS, "int32"),
        "shift": np.full(ROWS, 24, np.int8),
        "bias": stream.integers(-(1 << 12), 1 << 12, ROWS, "int64"),
        "score_multiplier": np.array([1 << 30], np.int32),
        "score_shift": np.array([36], np.int8),
    }


# op, inputs, outputs, attributes, axes of the outputs
NODES = [
    ("embedding", {"ids": "input_ids", "table": "words"}, {"y": "h"}, {}, [(*TOKENS, WIDTH)]),
    (
        "quantize_token",
        {"x": "h"},
        {"q": "q", "mantissa": "mantissa", "exponent": "exponent"},
        {},
        [(*TOKENS, WIDTH), (*TOKENS, 1), (*TOKENS, 1)],
    ),
    ("linear", {"x": "q", "weight": "weight", "bias": "none"}, {"y": "L0.acc"}, {}, [(*TOKENS, ROWS)]),
    (
        "rescale_token",
        {
            **{"x": "L0.acc", "mantissa": "mantissa", "exponent": "exponent"},
            **{"multiplier": "multiplier", "shift": "shift", "bias": "bias"},
        },
        {"y": "L0.y"},
        {"output": "int8", "low": -127, "high": 127},
        [(*TOKENS, ROWS)],
    ),
    ("transpose", {"x": "L0.y"}, {"y": "L0.t"}, {}, [("B", ROWS, "T")]),
    ("matmul", {"a": "L0.y", "b": "L0.t"}, {"y": "L0.scores"}, {}, [("B", "T", "T")]),
    (
        "rescale",
        {"x": "L0.scores", "multiplier": "score_multiplier", "shift": "score_shift"},
        {"y": "L0.small"},
        {"rounding": "half_even", "output": "int8"},
        [("B", "T", "T")],
    ),
    ("mean_pool", {"x": "L0.y", "mask": "attention_mask"}, {"y": "pooled"}, {}, [("B", ROWS)]),
    ("clamp", {"x": "pooled"}, {"y": "clipped"}, {"low": -5, "high": 5}, [("B", ROWS)]),
]


@cache
def tiny_model() -> Model:
    prover = Prover({"B": 4, "T": 16})
    constants = _constants()
    tensors = {name: info(c.dtype.name, c.shape, int(c.min()), int(c.max())) for name, c in constants.items()}
    tensors["input_ids"] = info("int32", TOKENS, 0, VOCABULARY - 1)
    tensors["attention_mask"] = info("int8", TOKENS, 0, 1)
    for name, value in constants.items():
        prover.constant(name, value)
    for name in ("input_ids", "attention_mask"):
        prover.given(name, tensors[name])
    nodes = []
    for op, inputs, outputs, attrs, axes in NODES:
        nodes.append(Node(op, inputs, outputs, attrs, site=f"at.{op}"))
        made = prover.node(nodes[-1], dict(zip(outputs, axes)))
        tensors.update({outputs[port]: declared for port, declared in made.items()})
    outputs = {"scores": "L0.small", "pooled": "clipped"}
    inputs = {"input_ids": None, "attention_mask": 1}
    about = {"profile": "by-hand", "recipe": "none"}
    model = Model(tuple(nodes), tensors, constants, inputs, outputs, prover.dims, about=about)
    model.validate()
    return model


def tiny_inputs() -> dict[str, np.ndarray]:
    mask = np.array([[1, 1, 1, 0, 0], [0, 1, 1, 1, 1], [1, 1, 1, 1, 1]])
    return {"input_ids": SplitMix64(9).integers(0, VOCABULARY - 1, mask.shape, "int64"), "attention_mask": mask}
