"""LiteRT's reference resolver: one rounding, ties away from zero, where a product of weights is requantized; two, as
gemmlowp's, everywhere else. And XNNPACK, which takes the place of some kernels by default: float32 there."""

from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np

import tflite_calls as calls
from intref import call
from oracles import Tally
from oracles.tflite_micro import check, float_softmax, rounded_once

PROFILE = "tflite-single"
DOUBLE, SINGLE, EVEN = "gemmlowp_double", "half_away", "half_even"


def tallies() -> Iterator[Tally]:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    def run(resolver: Any, model: bytes, *inputs: np.ndarray) -> np.ndarray:
        interpreter = Interpreter(model_content=model, experimental_op_resolver_type=resolver, num_threads=1)
        interpreter.allocate_tensors()
        for detail, x in zip(interpreter.get_input_details(), inputs):
            interpreter.set_tensor(detail["index"], x)
        interpreter.invoke()
        return np.array(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))

    def row(
        op: str, note: str, given: Any, rule: str = "", others: Any = (), neighbour: Any = None, name: str = "float"
    ) -> Tally:
        made = Tally(PROFILE, op, "LiteRT reference", version("ai_edge_litert"), note)
        for c in given:
            check(made, c, run(OpResolverType.BUILTIN_REF, c.model, *c.given), rule, others, neighbour, name)
        return made

    single = (DOUBLE, "half_up", EVEN)
    yield row("rescale", "FULLY_CONNECTED int8: half_away", calls.many(calls.linear, 24), SINGLE, single)
    four = calls.many(calls.linear, 12, "int4")
    yield row("rescale", "FULLY_CONNECTED, int4 weights: half_away", four, SINGLE, single)
    double = ("half_up", SINGLE)
    yield row("rescale", "BATCH_MATMUL int8: gemmlowp_double", calls.many(calls.product, 24), DOUBLE, double)
    for output in ("int8", "int16"):
        given = calls.many(calls.softmax, 20, output)
        yield row("softmax_gemmlowp", f"SOFTMAX int8 to {output}", given, neighbour=float_softmax)
    yield row(
        "softmax_int16", "SOFTMAX int16: gemmlowp_double", calls.many(calls.softmax16, 20, np.float64), DOUBLE, double
    )
    for kind in ("LOGISTIC", "TANH"):
        given, fixed = calls.many(calls.angle_table, 300, kind), partial(_fixed_point, f"{kind.lower()}_gemmlowp")
        yield row("table", f"{kind} int8: entries made in fp32", given, neighbour=fixed, name="fixed point")
    yield row("table_int16", "EXP int16", calls.many(calls.exponential16, 6), neighbour=_floored, name="rounded down")
    given = calls.many(calls.inverse_root, 60)
    yield row("rsqrt_gemmlowp", "RSQRT int8", given, neighbour=rounded_once, name="half_up")
    for kind in ("ADD", "MUL"):
        given = calls.many(calls.pair, 6, kind)
        yield row(f"{kind.lower()}_gemmlowp", f"{kind} int8: gemmlowp_double", given, DOUBLE, double)


def _fixed_point(op: str, c: Any) -> np.ndarray:
    """The function as gemmlowp computes it."""
    return call(op, {"x": c.tensors["x"]}, c.attrs_beside or {})["y"]


def _floored(c: Any) -> np.ndarray:
    """The line between two entries rounded down."""
    x, entries = c.tensors["x"].astype(np.int64), c.tensors["entries"].astype(np.int64)
    cell = (x >> 7) + 256
    return entries[cell] + ((entries[cell + 1] - entries[cell]) * (x & 127) >> 7)
