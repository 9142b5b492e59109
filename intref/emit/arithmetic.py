"""The vocabulary of op bodies as nodes: which C each function of intmath and each operator becomes.

Plain C where the proved ranges allow it; else a function of vocabulary.c that is defined for every argument. The
range of each result is what the same function gives on intervals.
"""

# The number types are not typed.
# mypy: allow-untyped-calls

import operator
from collections.abc import Callable
from typing import Any

from intref import intmath
from intref.emit.nodes import INT64, Axis, Node, const, interval
from intref.errors import BoundError, Unsupported
from intref.numbertypes import Interval

Operation = Callable[..., Any]

OPERATORS: dict[str, Operation] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": operator.floordiv,
    "%": operator.mod,
    "<<": operator.lshift,
    ">>": operator.rshift,
    "&": operator.and_,
    "|": operator.or_,
    "^": operator.xor,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
COMPARISONS = {"<", "<=", ">", ">=", "==", "!="}
WRAPPING = {"+": "wrap_add", "-": "wrap_subtract", "*": "wrap_multiply"}
# Functions of intmath that vocabulary.c has under the same name and with the same arguments.
SHARED = {"maximum", "minimum", "square", "absolute", "scale_fp32", "shift_half_up", "div_half_up", "isqrt", "bitlen"}
SHARED |= {"wrap_int32", "wrap", "saturate"}
RULED = {"mul_shift", "divide"}  # their last argument names a rounding rule
RULES = tuple(intmath.ROUNDS_UP)


def infix(symbol: str, a: Node, b: Node) -> Node:
    """a symbol b, exact on all that is proved."""
    if a.kind == b.kind == "const":
        return const(OPERATORS[symbol](a.data, b.data))
    if symbol in ("+", "-") and _is_zero(b):
        return a
    if symbol == "+" and _is_zero(a):
        return b
    known = _shared(symbol, a, b) or _range(symbol, OPERATORS[symbol], a, b)
    fits = INT64[0] <= known.min() and known.max() <= INT64[1]
    node = _written(symbol, a, b, fits, known if fits else interval(*INT64))
    node.share = _share(symbol, a, b)
    return node


def _is_zero(node: Node) -> bool:
    return node.kind == "const" and node.data == 0


def _share(symbol: str, a: Node, b: Node) -> tuple[Axis, int, int] | None:
    """What is known of a symbol b divided by the length of an axis."""
    if symbol == "*" and a.kind == "const" and b.share:
        ends = (a.data * b.share[1], a.data * b.share[2])
        return b.share[0], min(ends), max(ends)
    if symbol in ("+", "-") and a.share and b.share and a.share[0] is b.share[0]:
        (axis, low, high), (_, *other) = a.share, b.share
        first, last = other if symbol == "+" else (-other[1], -other[0])
        return axis, low + first, high + last
    return None


def _shared(symbol: str, a: Node, b: Node, up: int = 0) -> Interval | None:
    """The range of a sum along an axis divided by a multiple of the axis's length; up: 1 if it may round up."""
    if symbol != "//" or not a.share or not b.share or a.share[0] is not b.share[0]:
        return None
    (_, low, high), (_, times, most) = a.share, b.share
    return interval(low // times, (high + up * (times - 1)) // times) if 0 < times == most else None


def _written(symbol: str, a: Node, b: Node, fits: bool, known: Interval) -> Node:
    if symbol in WRAPPING and not fits:
        return Node("call", (a, b), WRAPPING[symbol], known)
    if symbol in ("<<", ">>"):
        plain = fits and a.low >= 0 and b.inside(0, 62)
        return Node("infix" if plain else "call", (a, b), symbol if plain else _SHIFTS[symbol], known)
    if symbol in ("//", "%") and not (a.low >= 0 and b.low > 0):
        return Node("call", (a, b), _DIVISIONS[symbol], known)
    return Node("infix", (a, b), "/" if symbol == "//" else symbol, known)


_SHIFTS = {"<<": "shift_left", ">>": "shift_right"}
_DIVISIONS = {"//": "floor_divide", "%": "floor_remainder"}


def negative(x: Node) -> Node:
    return const(-x.data) if x.kind == "const" else infix("-", const(0), x)


def function(name: str, *args: Node) -> Node:
    """A function of intmath on nodes."""
    if name == "where":
        return where(*args)
    known = _range(name, getattr(intmath, name), *args)
    fits = INT64[0] <= known.min() and known.max() <= INT64[1]
    if name == "square" and not fits:
        return Node("call", (args[0], args[0]), "wrap_multiply", interval(*INT64))
    return Node("call", args, name, known if fits else interval(*INT64))


def where(mask: Node, a: Node, b: Node) -> Node:
    return Node("ternary", (mask, a, b), None, _hull(a.range, b.range))


def rounded(name: str, args: tuple[Node, ...], rules: tuple[str, ...], written: str) -> Node:
    """mul_shift or divide by one of some rules; written: the rule in C."""
    if name == "divide" and (mean := _shared("//", args[0], args[1], up=1)):
        return Node("call", args, (name, written), mean)
    known = _range(name, lambda *x: getattr(intmath, name)(*x, rules[0]), *args)
    for rule in rules[1:]:
        known = _hull(known, _range(name, lambda *x, r=rule: getattr(intmath, name)(*x, r), *args))
    fits = INT64[0] <= known.min() and known.max() <= INT64[1]
    if name == "mul_shift" and not args[1].inside(-(1 << 31), 1 << 31):
        name = "mul_shift_wide"
    return Node("call", args, (name, written), known if fits else interval(*INT64))


def _range(name: str, operation: Operation, *args: Node) -> Interval:
    """What the operation can give on all that its arguments can be; Unsupported where it is not defined for some."""
    if name in ("==", "!="):
        return interval(0, 1)
    if name in ("%", "|", "^") or (name == "&" and args[1].kind != "const"):
        return _bits(name, *args)
    try:
        found = operation(*(a.range for a in args))
    except BoundError as error:
        raise Unsupported(f"{name}: {error}") from None
    return Interval.of(found)


def _bits(name: str, a: Node, b: Node) -> Interval:
    if name == "%":
        if b.low <= 0:
            raise Unsupported("%: a divisor may be zero or negative")
        return interval(0, b.high - 1)
    if a.low < 0 or b.low < 0:
        return interval(*INT64)
    return interval(0, (1 << max(a.high, b.high).bit_length()) - 1)


def _hull(a: Interval, b: Interval) -> Interval:
    return interval(min(a.min(), b.min()), max(a.max(), b.max()))
