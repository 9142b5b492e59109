"""TensorFlow Lite Micro, its reference kernels: gemmlowp's double rounding everywhere."""

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import numpy as np

import tflite_calls as calls
from intref import call
from intref.kernels.gemmlowp import root
from oracles import Tally

PROFILE = "tflite-reference"
SINGLE = ("half_up", "half_away")


def tallies() -> Iterator[Tally]:
    from tflite_micro.python.tflite_micro import runtime

    def run(model: bytes, *inputs: np.ndarray) -> np.ndarray:
        interpreter = runtime.Interpreter.from_bytes(model, arena_size=1 << 22)
        for i, x in enumerate(inputs):
            interpreter.set_input(x, i)
        interpreter.invoke()
        return np.array(interpreter.get_output(0))

    def row(
        op: str, note: str, *given: Any, rules: tuple[str, ...] = (), neighbour: Any = None, name: str = "float"
    ) -> Tally:
        made = Tally(PROFILE, op, "tflite-micro", version("tflite_micro"), note)
        for c in given:
            check(made, c, run(c.model, *c.given), "gemmlowp_double" if rules else "", rules, neighbour, name)
        return made

    yield row("rescale", "FULLY_CONNECTED int8", *calls.many(calls.linear, 24), rules=(*SINGLE, "half_even"))
    four = calls.many(calls.linear, 12, "int4", False)
    yield row("rescale", "FULLY_CONNECTED, int4 weights", *four, rules=(*SINGLE, "half_even"))
    yield row("rescale", "BATCH_MATMUL int8", *calls.many(calls.product, 24), rules=SINGLE)
    for output in ("int8", "int16"):
        given = calls.many(calls.softmax, 20, output)
        yield row("softmax_gemmlowp", f"SOFTMAX int8 to {output}", *given, neighbour=float_softmax)
    yield row("softmax_int16", "SOFTMAX int16", *calls.many(calls.softmax16, 20), rules=SINGLE)
    for kind, neighbour in (("LOGISTIC", float_logistic), ("TANH", float_tanh)):
        op, given = f"{kind.lower()}_gemmlowp", calls.many(calls.angle, 300, kind)
        yield row(op, f"{kind} int8", *given, neighbour=neighbour)
    yield row(
        "rsqrt_gemmlowp", "RSQRT int8", *calls.many(calls.inverse_root, 60), neighbour=rounded_once, name="half_up"
    )
    for kind in ("ADD", "MUL"):
        for dtype in ("int8", "int16"):
            given = calls.many(calls.pair, 6, kind, dtype)
            yield row(f"{kind.lower()}_gemmlowp", f"{kind} {dtype}", *given, rules=SINGLE)


def check(made: Tally, c: Any, theirs: np.ndarray, rule: str, others: Any, neighbour: Any, name: str = "float") -> None:
    """Add one call to a row: ours by `rule`, the neighbours by the other rules, or by a function of the call."""

    def ours(rounding: str) -> np.ndarray:
        attrs = {**c.attrs, "rounding": rounding} if rounding else c.attrs
        (found,) = call(c.op, c.tensors, attrs, backend="fast").values()
        return found.reshape(theirs.shape)

    apart = {name: ours(name) for name in others}
    if neighbour is not None:
        apart[name] = neighbour(c).reshape(theirs.shape)
    made.compare(ours(rule), theirs, apart)


def rounded_once(c: Any) -> np.ndarray:
    """RSQRT whose result is rounded once."""
    roots = np.array([0, *map(root, range(1, 256))], np.int32)
    distance = c.tensors["x"].astype(np.int64) - c.attrs["input_zero_point"]
    tensors = {"x": roots[distance], "multiplier": np.array([c.attrs["multiplier"]], np.int32)}
    attrs = {"rounding": "half_up", "output": "int8", "output_zero_point": c.attrs["output_zero_point"]}
    y = call("rescale", {**tensors, "shift": np.array([c.attrs["shift"]], np.int8)}, attrs)["y"]
    return np.where(distance > 0, y, 127)


def float_softmax(c: Any) -> np.ndarray:
    """Softmax in float64, its result rounded once."""
    bits = 8 if c.attrs["output"] == "int8" else 16
    scale = c.attrs["multiplier"] * 2.0 ** (c.attrs["shift"] - 31 - 26)
    x = c.tensors["x"].astype(np.float64) * scale
    e = np.exp(x - x.max(-1, keepdims=True))
    half = 1 << bits - 1
    return np.clip(np.floor(e / e.sum(-1, keepdims=True) * 2**bits + 0.5) - half, -half, half - 1).astype(np.int64)


def _centred(c: Any) -> np.ndarray:
    scale = c.attrs["multiplier"] * 2.0 ** (c.attrs["shift"] - 31 - 27)
    return scale * (c.tensors["x"].astype(np.float64) - c.attrs["input_zero_point"])


def float_logistic(c: Any) -> np.ndarray:
    return np.clip(np.floor(256 / (1 + np.exp(-_centred(c))) + 0.5) - 128, -128, 127).astype(np.int64)


def float_tanh(c: Any) -> np.ndarray:
    y = 128 * np.tanh(_centred(c))
    return np.clip(np.trunc(y + np.copysign(0.5, y)), -128, 127).astype(np.int64)
