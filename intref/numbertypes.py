"""Two number types that op bodies run on beside integers: Interval, for bounds, and Tracer, for explanations.

Each is one `__array_ufunc__` over the ufuncs that `intmath` is made of.
"""

from itertools import product
from math import prod

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from intref import intmath
from intref.errors import BoundError
from intref.intmath import MAX_SHIFT, saturate

_PRIMITIVES = (*intmath.MUL_SHIFT.values(), *intmath.DIVIDE.values(), intmath.ISQRT, intmath.BITLEN, intmath.WHERE)
MAX_TERMS = 1 << 24  # of a product of two unknown matrices, that are multiplied one by one
_SAFE = 1 << 62  # below this, int64 arithmetic on bounds cannot wrap


class Interval(NDArrayOperatorsMixin):
    """All integers from lo to hi, per element. Each ufunc below is monotone in each argument: corners bound it.

    lo and hi are int64 arrays as long as the next operation provably fits, object arrays of Python ints beyond.
    """

    MONOTONE = {
        *(np.add, np.subtract, np.multiply, np.negative, np.maximum, np.minimum, np.floor_divide, np.matmul),
        *(np.left_shift, np.right_shift, intmath.ADD_FP32, *_PRIMITIVES),
        *(np.greater, np.greater_equal, np.less, np.less_equal),  # as 0 or 1
    }
    TURNS_AT_ZERO = {np.square, np.absolute}

    def __init__(self, lo, hi=None, dtype: str = "int64"):
        self.lo = _compact(lo)
        self.hi = self.lo if hi is None or hi is lo else _compact(hi)
        self.shape, self.dtype = self.lo.shape, dtype

    @classmethod
    def of(cls, x) -> "Interval":
        return x if isinstance(x, Interval) else cls(x)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def exact(self) -> bool:
        return self.lo is self.hi

    def min(self) -> int:
        return int(self.lo.min())

    def max(self) -> int:
        return int(self.hi.max())

    def _map(self, f) -> "Interval":
        lo = f(self.lo)
        return Interval(lo, lo if self.exact else f(self.hi), self.dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index):
        return self._map(lambda a: a[index])

    def reshape(self, shape):
        return self._map(lambda a: a.reshape(shape))

    def transpose(self, order):
        return self._map(lambda a: a.transpose(order))

    def broadcast(self, shape) -> "Interval":
        return self._map(lambda a: np.broadcast_to(a, shape))

    def hull(self, axes: tuple[int, ...]) -> "Interval":
        """The interval of all elements along axes, which stay with size 1."""
        if all(self.shape[a] == 1 for a in axes):
            return self
        return Interval(self.lo.min(axis=axes, keepdims=True), self.hi.max(axis=axes, keepdims=True), self.dtype)

    def within(self, low, high):
        low, high = Interval.of(low).lo, Interval.of(high).hi
        return Interval(saturate(self.lo, low, high), saturate(self.hi, low, high))

    def taken_from(self, table):
        """All that table[i] can be for i in self: a minimum and a maximum over a range of rows."""
        table = Interval.of(table)
        lo, hi = self.lo.ravel(), self.hi.ravel()
        _require(lo.min() >= 0 and hi.max() < len(table), f"an index may leave 0..{len(table) - 1}")
        pairs, back = np.unique(np.stack([lo, hi]).astype(np.int64), axis=1, return_inverse=True)
        low = np.stack([table.lo[a : b + 1].min(axis=0) for a, b in pairs.T])
        high = np.stack([table.hi[a : b + 1].max(axis=0) for a, b in pairs.T])
        shape = self.shape + table.shape[1:]
        return Interval(low[back.ravel()].reshape(shape), high[back.ravel()].reshape(shape))

    def __array_ufunc__(self, ufunc, method, *given, **kwargs):
        args = [Interval.of(a) for a in given]
        if (known := self._special(ufunc, args)) is not None:
            return known
        ends = [[a.lo] if a.exact else [a.lo, a.hi] for a in args]
        if ufunc in self.TURNS_AT_ZERO:
            ends = [[args[0].lo, args[0].hi, saturate(args[0].lo * 0, args[0].lo, args[0].hi)]]
        if not _fits(ufunc, method, args):
            ends = [[e.astype(object) for e in pair] for pair in ends]
        corners = [np.asarray(getattr(ufunc, method)(*c, **kwargs)) for c in product(*ends)]
        if len(corners) == 1:
            return Interval(corners[0])
        lo = hi = corners[0]
        for c in corners[1:]:
            lo, hi = np.minimum(lo, c), np.maximum(hi, c)
        return Interval(lo, hi)

    def _special(self, ufunc, args):
        """The rules that are not corners of a monotone function; None where corners do."""
        if all(a.exact for a in args) and ufunc not in (np.floor_divide, np.left_shift, np.right_shift):
            return None
        if ufunc is np.matmul:
            return _matmul(*args)
        if ufunc is intmath.WRAP_INT32:
            return _wrapped(args[0], 32)
        if ufunc is intmath.WRAP:
            return _wrapped(args[0], args[1].max(), args[1].min())
        if ufunc is intmath.SCALE_FP32:
            return None if args[1].exact else Interval(np.full(args[0].shape, -_SAFE), np.full(args[0].shape, _SAFE))
        if ufunc is np.bitwise_and:
            _require(args[1].exact and args[1].min() >= 0, "a mask may be negative or unknown")
            shape = np.broadcast_shapes(args[0].shape, args[1].shape)
            return Interval(np.zeros(shape, np.int64), np.broadcast_to(args[1].hi, shape))
        if ufunc is np.floor_divide or ufunc in intmath.DIVIDE.values():
            _require(args[1].min() > 0, "a divisor may be zero or negative")
        elif ufunc in (np.left_shift, np.right_shift, *intmath.MUL_SHIFT.values()):
            low, high = args[-1].min(), args[-1].max()
            _require(low >= 0 and high <= MAX_SHIFT, f"a shift may leave 0..{MAX_SHIFT}: [{low}, {high}]")
        else:
            _require(ufunc in self.MONOTONE | self.TURNS_AT_ZERO, f"{ufunc.__name__} has no interval rule")
        return None


def _compact(x):
    """int64 where the values fit, Python ints where they do not."""
    x = np.asarray(x)
    if x.dtype != object:  # comparisons give bool
        return x.astype(np.int64, copy=False)
    try:
        return x.astype(np.int64)
    except OverflowError:
        return x


def _peak(x: Interval) -> int:
    return max(abs(int(x.lo.min())), abs(int(x.hi.max())))


def _fits(ufunc, method, args) -> bool:
    """Whether NumPy may compute this on int64 bounds without wrapping."""
    if any(object in (a.lo.dtype, a.hi.dtype) for a in args) or not args[0].lo.size:
        return False
    peaks = [_peak(a) for a in args]
    if method in ("reduce", "accumulate"):
        return ufunc is np.maximum or peaks[0] * max(args[0].shape) < _SAFE
    if ufunc in (np.add, np.subtract, np.negative, np.absolute):
        return sum(peaks) < _SAFE
    if ufunc in (np.multiply, np.square, np.matmul):
        terms = args[0].shape[-1] if ufunc is np.matmul else 1
        return peaks[0] * peaks[-1] * terms < _SAFE
    if ufunc is np.left_shift:
        return peaks[1] < 63 and peaks[0] << peaks[1] < _SAFE
    return ufunc is not np.right_shift or peaks[1] < 63


def _matmul(a: Interval, b: Interval) -> Interval:
    """Sum over k of the product intervals; one exact side is split by sign, so no [M K N] array is made."""
    if a.exact or b.exact:
        fits = _peak(a) * _peak(b) * a.shape[-1] < _SAFE
        al, ah, bl, bh = (v if fits else v.astype(object) for v in (a.lo, a.hi, b.lo, b.hi))
        if b.exact:
            up, down = np.maximum(bl, 0), np.minimum(bl, 0)
            return Interval(al @ up + ah @ down, ah @ up + al @ down)
        up, down = np.maximum(al, 0), np.minimum(al, 0)
        return Interval(up @ bl + down @ bh, up @ bh + down @ bl)
    if a.ndim == 1:
        return _matmul(a[None], b)[..., 0, :]
    terms = prod(np.broadcast_shapes(a.shape[:-2], b.shape[:-2])) * a.shape[-2] * a.shape[-1] * b.shape[-1]
    _require(terms <= MAX_TERMS, f"a product of {terms} terms, neither side constant, is too large to be proved")
    return np.add.reduce(a[..., :, :, None] * b[..., None, :, :], axis=-2)


def _wrapped(x: Interval, bits: int, fewest: int | None = None) -> Interval:
    """x modulo 2**bits, signed: itself where the fewest bits hold it."""
    end, least = 1 << bits - 1, 1 << (fewest or bits) - 1
    fits = (x.lo >= -least) & (x.hi < least)
    return Interval(np.where(fits, x.lo, -end), np.where(fits, x.hi, end - 1))


def _require(condition, message: str):
    if not condition:
        raise BoundError(message)


class Tracer(NDArrayOperatorsMixin):
    """A value that appends itself, and everything computed from it, to a log, in the body's order."""

    def __init__(self, value, text: str, log: "list[Tracer]"):
        self.value = value if isinstance(value, Interval) else np.asarray(value)
        self.text, self.log, self.number = text, log, len(log)
        log.append(self)

    @property
    def shape(self):
        return self.value.shape

    def _next(self, value, word: str) -> "Tracer":
        return Tracer(value, word, self.log)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index):
        return self._next(self.value[index], f"element(%{self.number})")

    def reshape(self, shape):
        return self._next(self.value.reshape(shape), f"reshape(%{self.number})")

    def transpose(self, order):
        return self._next(self.value.transpose(order), f"transpose(%{self.number})")

    def within(self, low, high):
        self.value = intmath.within(self.value, _plain(low), _plain(high))
        return self

    def taken_from(self, table):
        value = intmath.take(_plain(table), self.value)
        return self._next(value, f"take({_name(table)}, %{self.number})")

    def accumulate(self, b, start, low, high, every):
        value = intmath.accumulate(self.value, _plain(b), _plain(start), _plain(low), _plain(high), every)
        return self._next(value, f"accumulate(%{self.number}, {', '.join(map(_name, (b, start, low, high, every)))})")

    def __array_ufunc__(self, ufunc, method, *args, **kwargs):
        word = _word(ufunc) + ("" if method == "__call__" else f".{method}")
        value = getattr(ufunc, method)(*map(_plain, args), **kwargs)
        return self._next(value, f"{word}({', '.join(map(_name, args))})")

    def at(self, index, shape):
        """What element `index` of an output of this shape sees (axes of size 1 are shared); None where axes differ."""
        lead = len(shape) - len(self.shape)
        if lead < 0 or any(n not in (1, m) for n, m in zip(self.shape, shape[lead:])):
            return None
        return self.value[tuple(i if n > 1 else 0 for i, n in zip(index[lead:], self.shape))]


_WORDS = {id(u): f"mul_shift[{rule}]" for rule, u in intmath.MUL_SHIFT.items()}
_WORDS |= {id(u): f"divide[{rule}]" for rule, u in intmath.DIVIDE.items()}


def _word(ufunc) -> str:
    return _WORDS.get(id(ufunc)) or ufunc.__name__.split()[0].strip("_<>")


def _plain(x):
    return x.value if isinstance(x, Tracer) else x


def _name(x) -> str:
    return f"%{x.number}" if isinstance(x, Tracer) else str(x)
