"""Every word of a body's vocabulary as a device gets it wrong, one use of it at a time."""

# The vocabulary of op bodies is not typed.
# mypy: allow-untyped-calls

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from typing import Any

import numpy as np

from intref import intmath
from intref.faults.bodies import Arrays, run_body, run_changed, size
from intref.faults.mechanical import computing_words
from intref.faults.proofs import Harmless, Wrong, every, fits, operand
from intref.faults.roots import roots
from intref.faults.widths import HOW, saturated, wrapped
from intref.intmath import maximum, minimum, saturate, where
from intref.numbertypes import Interval
from intref.ops.op import Op

Lazy = tuple[str, Callable[[], Arrays]]
LARGEST = 1 << 20  # elements of a call; every fault here is one more run of its body
TILES = (4, 8, 16, 32)
TWICE = ("half_up", "half_even", "half_away", "floor")


def faults(op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any]) -> Iterator[Lazy]:
    """(what was done instead, a function that makes the outputs), for every use of every word in WRONG."""
    known = [word for word in WRONG if word in computing(op)]
    if not known or size(tensors) > LARGEST:
        return
    counts = _uses(op, tensors, attrs, known)
    for word in known:
        for i in range(counts[word]):
            place = f" {i + 1} of {counts[word]}" if counts[word] > 1 else ""
            name, wrongs = WRONG[word]
            for wrong in wrongs:
                swap = _at(i, _right(word), wrong.change)
                yield f"{name}{place}: {wrong.words}", partial(_run, op, tensors, attrs, word, swap)


def computing(op: Op) -> set[str]:
    """The words of a body that set bits; what serves lemmas alone does not."""
    return _computing(op.reference)


_computing = cache(computing_words)


def _run(
    op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any], word: str, swap: Callable[[], Any]
) -> Arrays:
    return run_changed(op, tensors, attrs, {}, {word: swap()})


def _uses(op: Op, tensors: Mapping[str, np.ndarray], attrs: dict[str, Any], known: list[str]) -> dict[str, int]:
    """How often a call uses each word."""
    counts = dict.fromkeys(known, 0)

    def counted(word: str) -> Callable[..., Any]:
        def heard(*args: Any) -> Any:
            counts[word] += 1
            return _right(word)(*args)

        return heard

    run_body(op, tensors, attrs, {"within": lambda x, low, high: x} | {word: counted(word) for word in known})
    return counts


def _right(word: str) -> Callable[..., Any]:
    made: Callable[..., Any] = getattr(intmath, {"product": "matmul"}.get(word, word))
    return made


def _at(place: int, right: Callable[..., Any], wrong: Callable[..., Any]) -> Callable[[], Callable[..., Any]]:
    """Makes, for one run, a word that is wrong the place-th time it is used."""

    def fresh() -> Callable[..., Any]:
        uses = iter(range(1 << 30))

        def used(*args: Any) -> Any:
            return wrong(*args) if next(uses) == place else right(*args)

        return used

    return fresh


def _sum_to(bits: int, narrow: Callable[[Any, int], Any]) -> Callable[..., Any]:
    return lambda x, axis: narrow(intmath.sum_along(x, axis), bits)


def _whole(x: Any, axis: int, tile: int) -> int:
    return int(x.shape[axis]) // tile * tile or int(x.shape[axis])


def _summed(x: Any, axis: int, terms: int) -> Any:
    return intmath.sum_along(x.take(range(terms), axis), axis)


def _sum_of_tiles(tile: int) -> Callable[..., Any]:
    return lambda x, axis: _summed(x, axis, _whole(x, axis, tile))


def _over_one_less(x: Any, axis: int) -> Any:
    terms = x.shape[axis]
    return intmath.sum_along(x, axis) * terms // max(terms - 1, 1)


def _held_at_the_ends(step: int) -> Callable[..., Any]:
    return lambda table, i: table[np.clip(i + step, 0, len(table) - 1)]


def _around_the_ends(step: int) -> Callable[..., Any]:
    return lambda table, i: table[(i + step) % len(table)]


def _entries_of(bits: int) -> Callable[..., Any]:
    return lambda table, i: wrapped(table[np.asarray(i)], bits)


def _shaped(mask: Any, chosen: Any, other: Any) -> Any:
    return np.broadcast_arrays(mask, chosen, other)[1].astype(np.int64)


def _clipped(down: int, up: int) -> Callable[..., Any]:
    """Ends that are one off; beyond the int64 that bodies compute in there is nothing to clip."""
    return lambda x, low, high: minimum(maximum(x, _held(low + down)), _held(high + up))


def _held(end: int) -> int:
    return min(max(end, -(1 << 63)), (1 << 63) - 1)


def _twice(then: str) -> Callable[..., Any]:
    def scaled(x: Any, m: Any, shift: Any, rule: str) -> Any:
        whole = np.asarray(shift)
        high = intmath.mul_shift(x, m, minimum(whole, 31), "half_up")
        once = intmath.mul_shift(x, m, whole, rule)
        return np.where(whole > 31, intmath.mul_shift(high, 1, maximum(whole - 31, 0), then), once)

    return scaled


def _product_to(bits: int) -> Callable[..., Any]:
    def scaled(x: Any, m: Any, shift: Any, rule: str) -> Any:
        product = np.multiply(x, m)
        return intmath.mul_shift(product if bits == 64 else wrapped(product, bits), 1, shift, rule)

    return scaled


def _product_fits(bits: int) -> Harmless:
    def holds(operands: tuple[Any, ...], made: Any) -> bool:
        x, m = (max(abs(end.min()), abs(end.max())) for end in map(Interval.of, operands[:2]))
        return x * m < 1 << bits - 1

    return holds


def _by_shift(amount: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda x, m, shift, rule: intmath.mul_shift(x, m, amount(shift), rule)


def _some_of(x: Any, axis: int, kept: slice) -> Any:
    """x with 0 in place of the other terms."""
    taken = np.zeros(x.shape[axis], np.int64)
    taken[kept] = 1
    return x * taken.reshape([-1 if i == axis % x.ndim else 1 for i in range(x.ndim)])


def _rounded_once(x: Any, axis: int) -> Any:
    _, size, exponent = intmath.split_fp32(x.astype(object))
    total = (size << exponent + 149).sum(axis=axis, keepdims=True)
    return np.frompyfunc(_nearest_fp32, 1, 1)(total).astype(np.int64)


def _nearest_fp32(total: int) -> int:
    """The pattern of the float32 nearest total * 2**-149."""
    drop = max(total.bit_length() - 24, 0)
    return min(int(intmath.divide(np.array(total, object), 1 << drop, "half_even")) + (drop << 23), 255 << 23)


def _in_pairs(x: Any, axis: int) -> Any:
    """Neighbours first, then neighbouring sums."""
    x = np.moveaxis(x, axis, -1)
    while x.shape[-1] > 1:
        last = x[..., -1:] if x.shape[-1] % 2 else x[..., :0]
        made = intmath.ADD_FP32(x[..., : x.shape[-1] // 2 * 2 : 2], x[..., 1::2]).astype(np.int64)
        x = np.concatenate([made, last], axis=-1)
    return np.moveaxis(x, -1, axis)


def _in_lanes(lanes: int) -> Callable[..., Any]:
    def laned(x: Any, axis: int) -> Any:
        parts = [intmath.sum_fp32(_some_of(x, axis, slice(n, None, lanes)), axis) for n in range(lanes)]
        return intmath.sum_fp32(np.concatenate(parts, axis=axis), axis)

    return laned


def _by_magnitude(x: Any, m: Any, shift: Any, rule: str) -> Any:
    sign = np.sign(x) * np.sign(m)
    return sign * intmath.mul_shift(np.absolute(x), np.absolute(m), shift, rule)


def _product_of(tile: int) -> Callable[..., Any]:
    def cut(a: Any, b: Any) -> Any:
        terms = _whole(a, -1, tile)
        return intmath.matmul(a[..., :terms], b[..., :terms, :])

    return cut


def _register(a: Any, b: Any, start: Any, low: Any, high: Any, every: int = 0) -> Any:
    """What is left of a sum without terms is its start."""
    return intmath.accumulate(a, b, start, low, high, every) if a.shape[-1] else start + intmath.matmul(a, b)


def _saturated_every(block: int) -> Callable[..., Any]:
    return lambda a, b, start, low, high, every: _register(a, b, start, low, high, block)


def _wrapping(a: Any, b: Any, start: Any, low: Any, high: Any, every: int) -> Any:
    return (start + intmath.matmul(a, b) - low) % (high - low + 1) + low


def _started_late(a: Any, b: Any, start: Any, low: Any, high: Any, every: int) -> Any:
    return saturate(start + _register(a, b, 0, low, high, every), low, high)


def _paired(a: Any) -> Any:
    order = np.arange(a.shape[-1]) ^ 1
    return a[..., np.minimum(order, a.shape[-1] - 1)]


_NEVER_NEGATIVE = operand(0, 0)
_LENGTHS = (
    Wrong("one more", lambda x: intmath.bitlen(x) + 1),
    Wrong("one less", lambda x: intmath.bitlen(x) - 1),
    Wrong("of the low 32 bits", lambda x: intmath.bitlen(x & (1 << 32) - 1), operand(0, 0, (1 << 32) - 1)),
    Wrong("at most 31", lambda x: minimum(intmath.bitlen(x), 31), operand(0, 0, (1 << 31) - 1)),
)
_SUMS = (
    *(
        Wrong(f"{how} to {bits} bits", _sum_to(bits, narrow), fits(bits))
        for bits in (16, 24, 32)
        for how, narrow in HOW
    ),
    Wrong("without the last term", lambda x, axis: _summed(x, axis, x.shape[axis] - 1)),
    Wrong("without the first term", lambda x, axis: intmath.sum_along(x, axis) - x.take([0], axis)),
    *(Wrong(f"without the terms past the last whole {tile}", _sum_of_tiles(tile)) for tile in TILES),
    Wrong("divided by one less than the number of terms", _over_one_less),
)
_FLOAT_SUMS = (
    Wrong("rounded once, at the end", _rounded_once),
    Wrong("from the last term on", lambda x, axis: intmath.sum_fp32(np.flip(x, axis), axis)),
    Wrong("in pairs", _in_pairs),
    *(Wrong(f"in {lanes} lanes", _in_lanes(lanes)) for lanes in (4, 8, 16)),
    Wrong("without the last term", lambda x, axis: intmath.sum_fp32(_some_of(x, axis, slice(-1)), axis)),
    Wrong("without the first term", lambda x, axis: intmath.sum_fp32(_some_of(x, axis, slice(1, None)), axis)),
)
_MAXIMA = (
    Wrong("0: it is not taken", lambda x, axis: 0 * intmath.max_along(x, axis)),
    Wrong("at least 0", lambda x, axis: maximum(intmath.max_along(x, axis), 0), _NEVER_NEGATIVE),
    Wrong("the first element", lambda x, axis: x.take([0], axis)),
    Wrong("without the last element", lambda x, axis: intmath.max_along(x.take(range(x.shape[axis] - 1), axis), axis)),
    Wrong("without the first element", lambda x, axis: intmath.max_along(x.take(range(1, x.shape[axis]), axis), axis)),
    Wrong("of all rows together", lambda x, axis: 0 * intmath.max_along(x, axis) + x.max()),
    Wrong("of absolute values", lambda x, axis: intmath.max_along(np.absolute(x), axis), _NEVER_NEGATIVE),
)
_RUNNING_SUMS = (
    Wrong("without the element itself", lambda x, axis: intmath.running_sum(x, axis) - x),
    Wrong("from the other end", lambda x, axis: np.flip(intmath.running_sum(np.flip(x, axis), axis), axis)),
    Wrong("wrapped to 8 bits", lambda x, axis: wrapped(intmath.running_sum(x, axis), 8)),
)
_RUNNING_MAXIMA = (
    Wrong("the element itself", lambda x, axis: x),
    Wrong("from the other end", lambda x, axis: np.flip(intmath.running_max(np.flip(x, axis), axis), axis)),
)
_LOOKUPS = (
    Wrong("index one too high, held at the ends", _held_at_the_ends(1)),
    Wrong("index one too low, held at the ends", _held_at_the_ends(-1)),
    Wrong("index one too high, around the ends", _around_the_ends(1)),
    Wrong("index one too low, around the ends", _around_the_ends(-1)),
    Wrong("entry 0 always", lambda table, i: table[0 * np.asarray(i)]),
    Wrong("the table upside down", lambda table, i: table[len(table) - 1 - np.asarray(i)]),
    Wrong("the sign of the index misread", lambda table, i: table[(i + len(table) // 2) % len(table)]),
    *(Wrong(f"entries of {bits} bits", _entries_of(bits), fits(bits)) for bits in (16, 24)),
)
_CHOICES = (
    Wrong("the first value everywhere", _shaped),
    Wrong("the second value everywhere", lambda mask, a, b: _shaped(mask, b, a)),
    Wrong("the two values exchanged", lambda mask, a, b: where(mask, b, a)),
)
_CLIPS = (
    Wrong("no low side", lambda x, low, high: minimum(x, high)),
    Wrong("no high side", lambda x, low, high: maximum(x, low)),
    Wrong("low one too high", _clipped(1, 0)),
    Wrong("low one too low", _clipped(-1, 0)),
    Wrong("high one too low", _clipped(0, -1)),
    Wrong("high one too high", _clipped(0, 1)),
    Wrong("the wrong side", lambda x, low, high: np.where(x < low, high, np.where(x > high, low, x))),
    Wrong("0 beyond either side", lambda x, low, high: np.where((x < low) | (x > high), 0, x)),
    Wrong("high for every value outside", lambda x, low, high: np.where((x < low) | (x > high), high, x)),
)
_SCALINGS = (
    *(
        Wrong(f"rounded twice, half_up at 31 bits and {rule} after it", _twice(rule), operand(2, 0, 31))
        for rule in TWICE
    ),
    *(Wrong(f"the product wrapped to {bits} bits", _product_to(bits), _product_fits(bits)) for bits in (32, 48, 64)),
    Wrong("|multiplier|", lambda x, m, s, rule: intmath.mul_shift(x, np.absolute(m), s, rule), operand(1, 0)),
    Wrong("shift at most 62", _by_shift(lambda shift: minimum(shift, 62)), operand(2, 0, 62)),
    Wrong("shift at most 31", _by_shift(lambda shift: minimum(shift, 31)), operand(2, 0, 31)),
    Wrong("the low 5 bits of shift", _by_shift(lambda shift: shift & 31), operand(2, 0, 31)),
    Wrong("the low 6 bits of shift", _by_shift(lambda shift: shift & 63), operand(2, 0, 63)),
    Wrong("of a magnitude, the sign put back", _by_magnitude, every(operand(0, 0), operand(1, 0))),
)
_PRODUCTS = (
    Wrong("without the last term", lambda a, b: intmath.matmul(a[..., :-1], b[..., :-1, :])),
    Wrong("without the first term", lambda a, b: intmath.matmul(a[..., 1:], b[..., 1:, :])),
    Wrong("the last term twice", lambda a, b: intmath.matmul(a, b) + intmath.matmul(a[..., -1:], b[..., -1:, :])),
    *(Wrong(f"without the terms past the last whole {tile}", _product_of(tile)) for tile in TILES),
    Wrong("the terms of one operand in reverse", lambda a, b: intmath.matmul(a[..., ::-1], b)),
    Wrong("the terms of one operand one late", lambda a, b: intmath.matmul(np.roll(a, 1, -1), b)),
    Wrong("of even terms with their odd neighbours", lambda a, b: intmath.matmul(_paired(a), b)),
)
_ACCUMULATIONS = (
    Wrong(
        "saturated after the last term alone", lambda a, b, start, low, high, every: _register(a, b, start, low, high)
    ),
    *(
        Wrong(f"saturated after {words}", _saturated_every(block))
        for words, block in (("every term", 1), *((f"every {n} terms", n) for n in (2, 4, 8, 16, 32)))
    ),
    Wrong("wrapped, not saturated", _wrapping),
    Wrong(
        "of one bit more", lambda a, b, start, low, high, every: _register(a, b, start, 2 * low, 2 * high + 1, every)
    ),
    Wrong("of one bit less", lambda a, b, start, low, high, every: _register(a, b, start, low >> 1, high >> 1, every)),
    Wrong(
        "saturated to a symmetric range",
        lambda a, b, start, low, high, every: _register(a, b, start, -high, high, every),
    ),
    Wrong("from 0 on, the start added last", _started_late, operand(2, 0, 0)),
    Wrong("the terms in reverse order", lambda a, b, *rest: _register(a[..., ::-1], b[..., ::-1, :], *rest)),
    Wrong("without the last term", lambda a, b, *rest: _register(a[..., :-1], b[..., :-1, :], *rest)),
    Wrong("without the first term", lambda a, b, *rest: _register(a[..., 1:], b[..., 1:, :], *rest)),
)
_WRAPPED = (
    Wrong("saturated", saturated),
    Wrong("not done", lambda x, bits: x),
    Wrong("one bit more", lambda x, bits: intmath.wrap(x, minimum(bits + 1, 62))),
    Wrong("one bit less", lambda x, bits: intmath.wrap(x, bits - 1)),
)
_WRAPS = (Wrong("saturated", lambda x: saturated(x, 32)), Wrong("not done", lambda x: x))
_MAGNITUDES = (
    Wrong("by complement, one too low below 0", lambda x: np.where(x < 0, -1 - x, x), _NEVER_NEGATIVE),
    Wrong("not taken", lambda x: x, _NEVER_NEGATIVE),
)
WRONG: dict[str, tuple[str, tuple[Wrong, ...]]] = {
    "isqrt": ("root", tuple(Wrong(words, root) for words, root in roots())),
    "bitlen": ("bit length", _LENGTHS),
    "sum_along": ("sum", _SUMS),
    "sum_fp32": ("float32 sum", _FLOAT_SUMS),
    "max_along": ("maximum", _MAXIMA),
    "running_sum": ("running sum", _RUNNING_SUMS),
    "running_max": ("running maximum", _RUNNING_MAXIMA),
    "take": ("lookup", _LOOKUPS),
    "where": ("choice", _CHOICES),
    "saturate": ("clip", _CLIPS),
    "mul_shift": ("scaling", _SCALINGS),
    "product": ("accumulation", _PRODUCTS),
    "accumulate": ("register", _ACCUMULATIONS),
    "wrap": ("wrap", _WRAPPED),
    "wrap_int32": ("wrap", _WRAPS),
    "absolute": ("magnitude", _MAGNITUDES),
}
