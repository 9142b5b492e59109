"""What the rules of ops are about, as C: sizes, extremes and elements of inputs, attributes, and conditions on them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from intref.emit.arithmetic import OPERATORS
from intref.emit.contract import Contract
from intref.emit.expressions import number
from intref.emit.nodes import INT64, MAX_SIZE
from intref.errors import Unsupported

WIDEST = 1 << 510
WIDE = {"+": "wide_add", "-": "wide_subtract", "*": "wide_multiply", "<<": "wide_shift_left"}
NARROW = {"//": "floor_divide", "%": "floor_remainder", "<<": "shift_left", ">>": "shift_right"}
PYTHON: dict[str, Callable[..., Any]] = {**OPERATORS, "maximum": max, "minimum": min, "absolute": lambda x, _: abs(x)}


@dataclass(frozen=True)
class Term:
    """An integer of C in [low, high], times 2**power where that is one; is_wide: of type wide, not int64_t.

    floored: the product with 2**power is rounded down.
    """

    text: str
    low: int
    high: int
    is_wide: bool = False
    power: "Term | None" = None
    floored: bool = False


@dataclass(frozen=True)
class Condition:
    """A condition of C that binds as && does, or more tightly."""

    text: str
    alternatives: bool = False  # whether it is a || b, which needs parentheses beside &&


@dataclass(frozen=True)
class Dtype:
    """The dtype of a tensor."""

    text: str


@dataclass(frozen=True)
class Choice:
    """An attribute that names a rule or, with dtype, that of an output."""

    name: str
    dtype: Dtype | None = None


@dataclass(frozen=True)
class Given:
    """An input; step: every how many elements one of them is meant."""

    contract: Contract
    at: int
    port: str
    step: str = "1"

    def __hash__(self) -> int:
        return self.at

    @property
    def text(self) -> str:
        return f"&in[{self.at}]"

    @property
    def shape(self) -> "Sizes":
        return Sizes(self)

    @property
    def dtype(self) -> Dtype:
        return Dtype(f"in[{self.at}].dtype")

    def ends(self) -> tuple[int, int]:
        declared = self.contract.op.inputs[self.port]
        ranges = [declared.range(dtype) for dtype in self.contract.dtypes(self.port)]
        return min(low for low, _ in ranges), max(high for _, high in ranges)

    def last(self) -> "Given":
        """The last element of every row."""
        return replace(self, step=self.shape[-1].text)

    def extreme(self, name: str, lines: list[str]) -> Term:
        """Its least or greatest element, in a variable."""
        function = "least" if name == "min" else "greatest"
        variable = f"{function}_{'' if self.step == '1' else 'last_'}{self.port}"
        lines.append(f"const int64_t {variable} = {function}({self.text}, {self.step});")
        return Term(variable, *self.ends())


@dataclass(frozen=True)
class Sizes:
    """The shape of an input."""

    of: Given

    def __getitem__(self, at: Any) -> Term:
        if isinstance(at, Term):
            return Term(f"size_along({self.of.text}, {at.text})", 0, MAX_SIZE)
        names, *others = self.of.contract.op.inputs[self.of.port].forms()
        if others or (at >= 0 and names[0] == "...") or names[at] in ("...", "1"):
            raise Unsupported("a size that has no name")
        return Term(names[at], 1, self.of.contract.op.limits.get(names[at], MAX_SIZE))


@dataclass(frozen=True)
class Elements:
    """All elements of inputs, side by side, those with fewer repeated; condition: what is asked of each."""

    of: tuple[Given, ...]
    condition: bool | Condition | None = None

    def count(self) -> str:
        counts = [f"leading({g.text}, 0)" for g in self.of]
        return counts[0] if len(counts) == 1 else f"maximum({', '.join(counts)})"

    def variables(self) -> list[tuple[Term, str]]:
        """What the loop over i asks of, and the C that reads it."""
        return [(Term(f"{g.port}_i", *g.ends()), f"get({g.text}, i % leading({g.text}, 0))") for g in self.of]

    def terms(self) -> Any:
        found = [term for term, _ in self.variables()]
        return found[0] if len(found) == 1 else found

    def whole(self, value: Any) -> "Elements":
        """What a comprehension makes of them: themselves, or a condition on each."""
        if value == self.terms():
            return self
        if isinstance(value, (bool, Condition)):
            return replace(self, condition=value)
        raise Unsupported("a computed list of elements")

    def every(self, lines: list[str]) -> bool | Condition:
        """Whether the condition holds for each of them: a loop, and the variable that it leaves."""
        if not isinstance(self.condition, Condition):
            raise Unsupported("no condition on elements")
        name = f"every_{sum(line.startswith('int every_') for line in lines) + 1}"
        loop = [f"for (int64_t i = 0, n = {self.count()}; i < n && {name}; i++) {{"]
        loop += [f"    const int64_t {term.text} = {read};" for term, read in self.variables()]
        lines += [f"int {name} = 1;", "\n".join([*loop, f"    {name} = {self.condition.text};", "}"])]
        return Condition(name)


class Neighbours(Elements):
    """Every element of one input and the next, in their order."""

    def count(self) -> str:
        return f"leading({self.of[0].text}, 0) - 1"

    def variables(self) -> list[tuple[Term, str]]:
        given = self.of[0]
        return [
            (Term(f"{given.port}_{name}", *given.ends()), f"get({given.text}, {at})")
            for name, at in {"i": "i", "next": "i + 1"}.items()
        ]


@dataclass(frozen=True)
class Peaks(Elements):
    """Of every row of one input along its last axis the greatest element, of which only the bits of mask count."""

    mask: int = 0

    def count(self) -> str:
        return f"leading({self.of[0].text}, 1)"

    def variables(self) -> list[tuple[Term, str]]:
        given = self.of[0]
        return [(Term(f"{given.port}_peak", 0, self.mask), f"greatest_bits({given.text}, i, {self.mask})")]


def size_of(value: Any) -> Any:
    """len of it."""
    if isinstance(value, Sizes):
        return Term(f"in[{value.of.at}].ndim", 0, 8)
    if isinstance(value, Elements) and len(value.of) == 1:
        return Term(f"leading({value.of[0].text}, 0)", 1, MAX_SIZE)
    return value.shape[0] if isinstance(value, Given) else len(value)


def _term(value: Any) -> Term:
    if isinstance(value, Term):
        return value
    if type(value) is not int:
        raise Unsupported(f"arithmetic on {type(value).__name__}")
    if INT64[0] <= value <= INT64[1]:
        text = number(value).text
        return Term(text if text.isalnum() or text.endswith(")") else f"({text})", value, value)
    shift = max(value.bit_length() - 1, 0)
    if value != 1 << shift:
        raise Unsupported(f"the constant {value}")
    return Term(f"wide_shift_left(widen(1), {shift})", value, value, True)


def _wide(x: Term) -> str:
    return x.text if x.is_wide else f"widen({x.text})"


def arithmetic(symbol: str, a: Any, b: Any) -> Any:
    """a symbol b, exact: in int64_t if that holds all that it can be."""
    if isinstance(a, Elements) and symbol == "*":
        return a
    if symbol == "**":
        return _power(a, b)
    if type(a) is int and type(b) is int:
        return PYTHON[symbol](a, b)
    a, b = _term(a), _term(b)
    if a.power or b.power:
        return _scaled(symbol, a, b)
    low, high = _ends(symbol, a, b)
    if not -WIDEST < low <= high < WIDEST:
        raise Unsupported(f"{symbol} beyond 512 bits")
    if a.is_wide or b.is_wide or low < INT64[0] or high > INT64[1]:
        if symbol == ">>":
            return replace(a, power=arithmetic("-", 0, b), floored=True)
        if symbol not in WIDE:
            raise Unsupported(f"{symbol} beyond int64")
        other = b.text if symbol == "<<" else _wide(b)
        return Term(f"{WIDE[symbol]}({_wide(a)}, {other})", low, high, True)
    return Term(_plain(symbol, a, b), low, high)


def _plain(symbol: str, a: Term, b: Term) -> str:
    if symbol == "absolute":
        return f"absolute({a.text})"
    if symbol == "-" and a.low == a.high == 0:
        return f"(-{b.text})"
    if symbol in ("//", "%") and a.low >= 0:
        return f"({a.text} {symbol[0]} {b.text})"
    if symbol in NARROW or symbol.isalpha():
        return f"{NARROW.get(symbol, symbol)}({a.text}, {b.text})"
    return f"({a.text} {symbol} {b.text})"


def _ends(symbol: str, a: Term, b: Term) -> tuple[int, int]:
    if symbol == "&" and b.low == b.high >= 0:
        return 0, b.high
    if (symbol in ("<<", ">>") and b.low < 0) or (symbol in ("//", "%") and b.low < 1) or symbol in ("&", "|", "^"):
        raise Unsupported(f"{symbol} that may be undefined")
    if symbol == "%":
        return 0, b.high - 1
    if symbol == "<<" and b.high > 510:
        raise Unsupported("<< beyond 512 bits")
    found = [PYTHON[symbol](x, y) for x, y in product((a.low, a.high), (b.low, b.high))]
    inside = symbol == "absolute" and a.low < 0 < a.high
    return 0 if inside else min(found), max(found)


def _power(a: Any, b: Any) -> Any:
    """a**2, or a power of two that may be a fraction."""
    if isinstance(b, int) and b == 2:
        square = arithmetic("*", a, a)
        return replace(square, low=max(square.low, 0)) if isinstance(square, Term) else square
    if a == 2 and isinstance(b, int) and b >= 0:
        return 1 << b
    if a == 2 and isinstance(b, Term):
        return Term("1", 1, 1, power=b)
    raise Unsupported("a power")


def _scaled(symbol: str, a: Term, b: Term) -> Term:
    """The product of a * 2**m and b, or the magnitude of one."""
    if symbol not in ("*", "absolute") or (a.power and b.power) or a.floored or b.floored:
        raise Unsupported(f"{symbol} of fractions")
    found: Term = arithmetic(symbol, replace(a, power=None), replace(b, power=None))
    return replace(found, power=a.power or b.power)


def compared(symbol: str, a: Any, b: Any) -> bool | Condition:
    """a symbol b: of numbers, dtypes, or choices and their names."""
    if isinstance(a, Choice) and isinstance(b, str):
        return Condition(f"{a.name} {symbol} {a.name}_{b}")
    if isinstance(a, Dtype) and isinstance(b, (str, Dtype)):
        return Condition(f"{a.text} {symbol} {b.upper() if isinstance(b, str) else b.text}")
    if not isinstance(a, Term) and not isinstance(b, Term):
        return bool(OPERATORS[symbol](a, b))
    x, y = _term(a), _term(b)
    if x.power or y.power:
        if y.floored or (x.floored and symbol not in ("<", ">=")):
            raise Unsupported(f"{symbol} of what is rounded down")
        x, y = _whole(x, x.power or y.power), _whole(y, x.power or y.power)
    if not x.is_wide and not y.is_wide:
        return Condition(f"{x.text} {symbol} {y.text}")
    if symbol in ("==", "!="):
        return Condition(f"{'!' if symbol == '!=' else ''}wide_equal({_wide(x)}, {_wide(y)})")
    if symbol in (">", "<="):
        x, y = y, x
    return Condition(f"{'!' if '=' in symbol else ''}wide_less({_wide(x)}, {_wide(y)})")


def _whole(x: Term, power: Term | None) -> Term:
    """One side of a comparison, both multiplied by as much as makes the fraction whole."""
    if power is None or power.low > 0:
        raise Unsupported("a power of two that is no fraction")
    shift = arithmetic("-", power, power.low) if x.power else -power.low
    found: Term = arithmetic("<<", replace(x, power=None, floored=False), shift)
    return found


def negated(x: bool | Condition) -> bool | Condition:
    return Condition(f"!({x.text})") if isinstance(x, Condition) else not x


def together(parts: Sequence[bool | Condition]) -> bool | Condition:
    """All of them."""
    if False in parts:
        return False
    left = [p for p in parts if isinstance(p, Condition)]
    if len(left) < 2:
        return left[0] if left else True
    return Condition(" && ".join(f"({p.text})" if p.alternatives else p.text for p in left))


def either(parts: Sequence[bool | Condition]) -> bool | Condition:
    """One of them at least."""
    if True in parts:
        return True
    left = [p for p in parts if isinstance(p, Condition)]
    if len(left) < 2:
        return left[0] if left else False
    return Condition(" || ".join(f"({p.text})" if " && " in p.text else p.text for p in left), True)
