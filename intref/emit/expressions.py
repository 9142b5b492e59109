"""Nodes as C expressions, with the parentheses that a reader wants and no compiler warns about."""

from collections.abc import Callable
from typing import NamedTuple

from intref.emit.arithmetic import COMPARISONS
from intref.emit.nodes import INT64, Axis, Node

ATOM, UNARY, PRODUCT, SUM, SHIFT, ORDER, EQUAL, BITS, CHOICE = 10, 9, 8, 7, 6, 5, 4, 3, 0
LEVELS = {"*": PRODUCT, "/": PRODUCT, "%": PRODUCT, "+": SUM, "-": SUM, "<<": SHIFT, ">>": SHIFT}
LEVELS |= {"<": ORDER, "<=": ORDER, ">": ORDER, ">=": ORDER, "==": EQUAL, "!=": EQUAL, "&": BITS, "^": BITS, "|": BITS}
# How tightly the operands of each level must bind to stand without parentheses.
OPERANDS = {PRODUCT: (PRODUCT, UNARY), SUM: (SUM, PRODUCT), SHIFT: (PRODUCT, PRODUCT)}
OPERANDS |= {ORDER: (SUM, SUM), EQUAL: (SUM, SUM), BITS: (UNARY, UNARY)}


class Text(NamedTuple):
    """An expression, how tightly it binds, and whether C takes it for an int64_t rather than an int."""

    text: str
    level: int = ATOM
    wide: bool = True

    def bound(self, least: int) -> str:
        """Itself, in parentheses where it binds less tightly than that."""
        return self.text if self.level >= least else f"({self.text})"

    def widened(self) -> "Text":
        return self if self.wide else Text(f"(int64_t){self.bound(UNARY)}", UNARY)


def loop_variable(axis: Axis) -> str:
    """The C variable that runs along an axis."""
    return "row" if axis.name == "rows" else f"i{axis.name}"


def number(value: int, wide: bool = False) -> Text:
    """An integer constant; a power of two is shown as one. wide: an int64_t however small it is."""
    if value in INT64:
        return Text("INT64_MIN" if value < 0 else "INT64_MAX")
    if value < 0:
        positive = number(-value, wide)
        return Text(f"-{positive.bound(UNARY)}", UNARY, positive.wide)
    bits = value.bit_length()
    if bits > 15 and value == 1 << bits - 1:
        return Text(f"INT64_C(1) << {bits - 1}", SHIFT)
    if 15 < bits < 63 and value == (1 << bits) - 1:
        return Text(f"(INT64_C(1) << {bits}) - 1", SUM)
    wide = wide or bits > 15
    return Text(f"INT64_C({value})" if wide else str(value), ATOM, wide)


def proved(low: int, high: int) -> str:
    """A range, for a comment."""
    return f"{_power(low)} .. {_power(high)}" if low < high else _power(low)


def _power(value: int) -> str:
    """2^31 - 1 for 2147483647, and the like: a sum of few powers of two where there is one."""
    terms: list[tuple[str, str]] = []
    rest = value
    while abs(rest) >= 1024 and len(terms) < 3:
        size = abs(rest)
        power = size.bit_length() - 1
        power += 2 * size > 3 << power  # the nearest
        terms.append(("-" if rest < 0 else "+", f"2^{power}"))
        rest -= (1 << power) * (1 if rest > 0 else -1)
    if not terms or abs(rest) > 1 or len(terms) > 2:
        return str(value)
    terms += [("-" if rest < 0 else "+", str(abs(rest)))] * bool(rest)
    (sign, first), *others = terms
    return ("-" if sign == "-" else "") + first + "".join(f" {s} {t}" for s, t in others)


def written(node: Node, of: Callable[[Node], Text]) -> Text:
    """The expression of an infix, call or ternary; `of` gives those of its arguments."""
    if node.kind == "infix":
        return _infix(node, of)
    if node.kind == "ternary":
        mask, a, b = map(of, node.args)
        return Text(f"{mask.bound(EQUAL)} ? {a.bound(SUM)} : {b.bound(SUM)}", CHOICE, a.wide or b.wide)
    name, last = node.data if isinstance(node.data, tuple) else (node.data, "")
    args = [of(a).text for a in node.args] + [last] * bool(last)
    return Text(f"{name}({', '.join(args)})")


def _infix(node: Node, of: Callable[[Node], Text]) -> Text:
    symbol, (a, b) = str(node.data), node.args
    left, right = _wide_enough(node, of(a), of(b))
    if symbol == "-" and a.kind == "const" and a.data == 0:
        right = right if node.inside(-(1 << 31), (1 << 31) - 1) else right.widened()
        return Text(f"-{right.bound(ATOM)}", UNARY, right.wide)
    level = LEVELS[symbol]
    least_left, least_right = OPERANDS[level]
    if a.kind == "infix" and a.data == symbol and level == BITS:
        least_left = BITS
    if right.text.startswith("-"):
        least_right = ATOM
    wide = symbol not in COMPARISONS and (left.wide or (right.wide and level != SHIFT))
    return Text(
        f"{left.bound(least_left)} {symbol} {right.bound(least_right)}", level, wide and symbol not in COMPARISONS
    )


def _wide_enough(node: Node, left: Text, right: Text) -> tuple[Text, Text]:
    """The operands such that C computes in int64_t wherever an int of 32 bits might not hold the result."""
    fits = node.inside(-(1 << 31), (1 << 31) - 1)
    if fits or left.wide or (right.wide and node.data != "<<"):
        return left, right
    a = node.args[0]
    return number(a.data, wide=True) if a.kind == "const" else left.widened(), right
