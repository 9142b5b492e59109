"""LiteRT by its resolvers, which compute different bits on one machine.

reference (BUILTIN_REF): one rounding, ties away from zero, where a product of weights is requantized; two, as
gemmlowp's, everywhere else. optimized (without delegates): ruy's two roundings, both with ties up, on x86-64. XNNPACK,
which takes the place of some kernels by default (AUTO): float32 there, and one rounding of a sum. What no op of ours
reproduces has no row: ADD and MUL of int16 and SOFTMAX from int8 to int16 but the reference's; int4 weights in XNNPACK.
"""

import math
import platform
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np

import tflite_calls as calls
from intref import call
from intref.quantize.sites.gemmlowp import factors_once
from oracles import Tally
from oracles.tflite_micro import check, float_softmax, rounded_once

PROFILE = "tflite-single"
DOUBLE, SINGLE, EVEN = "gemmlowp_double", "half_away", "half_even"
# Those whose kernels neither ruy nor XNNPACK replaces: (calls, how many, arguments).
SHARED: tuple[tuple[str, Any, int, tuple[Any, ...]], ...] = (
    ("BATCH_MATMUL int8", calls.product, 24, ()),
    ("SOFTMAX int16", calls.softmax16, 20, (np.float64,)),
)
ROUNDINGS = (DOUBLE, SINGLE, "half_up")
Run = Callable[..., np.ndarray]


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
    if platform.machine() in ("x86_64", "AMD64"):  # kernels of other processors round otherwise
        yield from optimized(partial(run, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES))
        yield from xnnpack(partial(run, OpResolverType.AUTO))


def optimized(run: Run) -> Iterator[Tally]:
    """What ruy requantizes, and what stays as the reference computes it."""
    tally = partial(_tally, "tflite-optimized", "LiteRT optimized, x86-64")
    for weight in ("int8", "int4"):
        made = tally("rescale", f"FULLY_CONNECTED, {weight} weights: half_up, then half_up by a power of two")
        for c in calls.many(calls.linear, 24, weight):
            rules = {rule: _by_rule(c, rule) for rule in (DOUBLE, SINGLE, "half_up", EVEN)}
            made.compare(_twice(c), run(c.model, *c.given), rules)
        yield made
    made = tally("add_gemmlowp", "ADD int8: gemmlowp_double")
    for c in calls.many(calls.pair, 6, "ADD"):
        check(made, c, run(c.model, *c.given), DOUBLE, (SINGLE, "half_up"), None)
    yield made
    made = tally("mul_gemmlowp", "MUL int8: gemmlowp_double; results beyond 16 bits, which wrap there, are kept apart")
    for c in calls.many(calls.pair, 6, "MUL"):
        rules = {rule: call(c.op, c.tensors, {**c.attrs, "rounding": rule}, backend="fast")["y"] for rule in ROUNDINGS}
        product = _product(c)
        wide = call("rescale", product.tensors, {"rounding": DOUBLE, "output": "int32"}, backend="fast")["y"]
        kept = np.abs(wide) < (1 << 15) - 128
        ours = rules.pop(DOUBLE)
        made.compare(ours[kept], run(c.model, *c.given)[kept], {rule: y[kept] for rule, y in rules.items()})
    yield made
    yield from _shared(tally, run)


def xnnpack(run: Run) -> Iterator[Tally]:
    """FULLY_CONNECTED, ADD and MUL of int8 by XNNPACK; the rest as without it."""
    tally = partial(_tally, "tflite-xnnpack", "LiteRT with XNNPACK, x86-64")
    rules = (EVEN, DOUBLE, SINGLE, "half_up")
    made = tally("rescale", "FULLY_CONNECTED int8: fp32_half_even; accumulators beyond 2**24 among them")
    given = [*calls.many(calls.linear, 24), *calls.many(calls.linear, 24, "int8", False), calls.beyond()]
    for c in given:
        made.compare(_in_float(c), run(c.model, *c.given), {rule: _by_rule(c, rule) for rule in rules})
    yield made
    made = tally("add_gemmlowp", "ADD int8: half_up, factors of 21 bits")
    for c in calls.many(calls.pair, 12, "ADD"):
        ours = call(c.op, c.tensors, {**c.attrs, **_factors(c.attrs), "rounding": "half_up"}, backend="fast")["y"]
        neighbours = {
            rule: call(c.op, c.tensors, {**c.attrs, "rounding": rule}, backend="fast")["y"]
            for rule in (DOUBLE, "half_up")
        }
        made.compare(ours, run(c.model, *c.given), neighbours)
    yield made
    made = tally("elementwise + rescale", "MUL int8: fp32_half_even")
    for c in calls.many(calls.pair, 6, "MUL"):
        product = _product(c)
        neighbours = {rule: _by_rule(product, rule) for rule in (DOUBLE, SINGLE)}
        made.compare(_in_float(product), run(c.model, *c.given), neighbours)
    yield made
    yield from _shared(tally, run)


def _tally(profile: str, oracle: str, op: str, note: str) -> Tally:
    return Tally(profile, op, oracle, version("ai_edge_litert"), note)


def _shared(tally: Callable[[str, str], Tally], run: Run) -> Iterator[Tally]:
    for note, make, count, args in SHARED:
        given = [*calls.many(make, count, *args)]
        made = tally(given[0].op, f"{note}: gemmlowp_double")
        for c in given:
            check(made, c, run(c.model, *c.given), DOUBLE, ("half_up", SINGLE), None)
        yield made
    made = tally("softmax_gemmlowp", "SOFTMAX int8 to int8")
    for c in calls.many(calls.softmax, 20, "int8"):
        check(made, c, run(c.model, *c.given), "", (), float_softmax)
    yield made
    for kind in ("LOGISTIC", "TANH"):
        made = tally("table", f"{kind} int8: entries made in fp32")
        for c in calls.many(calls.angle_table, 300, kind):
            check(made, c, run(c.model, *c.given), "", (), partial(_fixed_point, f"{kind.lower()}_gemmlowp"), "fixed")
        yield made


def _by_rule(c: Any, rule: str) -> np.ndarray:
    return call("rescale", c.tensors, {**c.attrs, "rounding": rule}, backend="fast")["y"]


def _twice(c: Any) -> np.ndarray:
    """Rounded at 2**-31, then by what is left of the shift."""
    shift = c.tensors["shift"].astype(np.int64)
    first = {**c.tensors, "shift": np.minimum(shift, 31).astype(np.int8)}
    x = call("rescale", first, {"rounding": "half_up", "output": "int32"}, backend="fast")["y"]
    rest = np.maximum(shift - 31, 0).astype(np.int8)
    tensors = {"x": x, "multiplier": np.ones(len(rest), np.int32), "shift": rest}
    return call("rescale", tensors, {**c.attrs, "rounding": "half_up"}, backend="fast")["y"]


def _in_float(c: Any) -> np.ndarray:
    """The multiplier as the float32 that it was made of."""
    real = c.tensors["multiplier"] * 2.0 ** -c.tensors["shift"].astype(np.float64)
    pattern = real.astype(np.float32).view(np.int32)
    tensors = {"x": c.tensors["x"], "multiplier": pattern, "shift": np.zeros(len(pattern), np.int8)}
    return call("rescale", tensors, {**c.attrs, "rounding": "fp32_half_even"}, backend="fast")["y"]


def _product(c: Any) -> Any:
    """MUL as a rescale of exact products."""
    a, b = (c.tensors[n].astype(np.int32) - c.attrs[f"{n}_zero_point"] for n in "ab")
    x = call("elementwise", {"a": a, "b": b}, {"operation": "multiply", "overflow": "refuse"})["y"]
    tensors = {"x": x, "multiplier": np.array([c.attrs["multiplier"]], np.int32)}
    tensors["shift"] = np.array([c.attrs["shift"]], np.int8)
    attrs = {name: c.attrs[name] for name in ("output", "output_zero_point")}
    return calls.Call("rescale", tensors, attrs, c.model, c.given)


def _factors(attrs: dict[str, Any]) -> dict[str, int]:
    """The scales of an ADD by the reference's constants, as XNNPACK makes factors of them."""
    a, b, y = (attrs[f"{n}multiplier"] * 2.0 ** -attrs[f"{n}shift"] for n in ("a_", "b_", ""))
    return factors_once(a, b, 1 / math.ldexp(y, attrs["left_shift"]))


def _fixed_point(op: str, c: Any) -> np.ndarray:
    """The function as gemmlowp computes it."""
    return call(op, {"x": c.tensors["x"]}, c.attrs_beside or {})["y"]


def _floored(c: Any) -> np.ndarray:
    """The line between two entries rounded down."""
    x, entries = c.tensors["x"].astype(np.int64), c.tensors["entries"].astype(np.int64)
    cell = (x >> 7) + 256
    return entries[cell] + ((entries[cell + 1] - entries[cell]) * (x & 127) >> 7)
