"""Two four-bit weights in a byte, scaled by groups: nibbles swapped or without their sign, a group one off."""

# The vocabulary of op bodies is not typed.
# mypy: allow-untyped-calls

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from intref.faults.bodies import Arrays, size
from intref.ops.op import Op

Lazy = tuple[str, Callable[[], Arrays]]
PORTS = {"x", "weight", "scale", "bias"}
LARGEST = 1 << 22  # elements of a call


def faults(op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any]) -> Iterator[Lazy]:
    """(what was done instead, a function that makes the outputs), for ops with packed weights scaled by groups."""
    if not tensors.keys() >= PORTS or "group_size" not in attrs or size(tensors) > LARGEST:
        return
    terms = tensors["x"].shape[-1]
    weight, scale = (tensors[k].astype(np.int64) for k in ("weight", "scale"))
    group = np.arange(terms) // attrs["group_size"]
    signed = _laid(weight, terms)
    for words, w in _nibbles(weight, terms):
        yield words, partial(_linear, op, tensors, w, scale[:, group])
    last = scale.shape[-1] - 1
    for words, index in _groups(np.arange(terms), attrs["group_size"], last):
        yield words, partial(_linear, op, tensors, signed, scale[:, np.minimum(np.maximum(index, 0), last)])
    for words, step in (("n - 1", 1), ("n + 1", -1)):
        yield f"scale of channel {words}", partial(_linear, op, tensors, signed, np.roll(scale, step, 0)[:, group])
        yield f"nibbles of channel {words}", partial(_linear, op, tensors, np.roll(signed, step, 0), scale[:, group])
    first = np.repeat(scale[:1], len(scale), 0)
    yield "scale of channel 0 for all", partial(_linear, op, tensors, signed, first[:, group])
    yield "no scale", partial(_linear, op, tensors, signed, np.ones_like(signed))
    yield "|scale|", partial(_linear, op, tensors, signed, np.absolute(scale[:, group]))


def _linear(op: Op, tensors: Mapping[str, np.ndarray], w: np.ndarray, scale: np.ndarray) -> Arrays:
    y = np.matmul(tensors["x"].astype(np.int64), (w * scale).swapaxes(-1, -2)) + tensors["bias"]
    return {next(iter(op.outputs)): y.astype(np.int32)}


def _laid(weight: np.ndarray, terms: int, sign: bool = True) -> np.ndarray:
    """[N P] bytes -> [N K], even k in the low nibble."""
    nibbles = np.stack([weight & 15, weight >> 4 & 15], -1).reshape(len(weight), -1)[:, :terms]
    return (nibbles ^ 8) - 8 if sign else nibbles


def _nibbles(weight: np.ndarray, terms: int) -> Iterator[tuple[str, np.ndarray]]:
    swapped = weight >> 4 | (weight & 15) << 4
    yield "nibbles swapped", _laid(swapped, terms)
    plain = _laid(weight, terms, sign=False)
    yield "nibbles without a sign", plain
    yield "nibbles read as offset by 8", plain - 8
    yield "nibbles as sign and magnitude", np.where(plain > 7, 8 - plain, plain)
    odd = np.arange(terms) % 2 == 1
    yield "low nibbles without a sign", np.where(odd, _laid(weight, terms), plain)
    yield "high nibbles without a sign", np.where(odd, plain, _laid(weight, terms))
    yield "low nibbles for both", _laid(weight & 15 | (weight & 15) << 4, terms)
    yield "high nibbles for both", _laid(weight >> 4 | weight & 240, terms)
    nibbles = _laid(weight, 2 * weight.shape[-1])
    if terms % 2:
        yield "rows packed without padding", nibbles.reshape(-1)[: len(weight) * terms].reshape(len(weight), terms)
        yield "last nibble of an odd row dropped", np.where(np.arange(terms) < terms - 1, nibbles[:, :terms], 0)
    yield "halves of a row in low and high nibbles", _halves(nibbles, terms)


def _halves(nibbles: np.ndarray, terms: int) -> np.ndarray:
    """The first half of k in the low nibbles, the second in the high ones."""
    return np.concatenate([nibbles[:, ::2], nibbles[:, 1::2]], -1)[:, :terms]


def _groups(k: np.ndarray, group_size: int, last: int) -> Iterator[tuple[str, np.ndarray]]:
    yield "group index one too high", k // group_size + 1
    yield "group index one too low", k // group_size - 1
    yield "group begins one k early", (k + 1) // group_size
    yield "group begins one k late", (k - 1) // group_size
    yield "groups of twice the size", k // (2 * group_size)
    yield "groups of half the size", k // (group_size // 2)
    yield "group 0 for all", 0 * k
    yield "last group takes the scale before it", np.minimum(k // group_size, max(last - 1, 0))
