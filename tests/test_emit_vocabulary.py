"""Is every function of the emitted vocabulary that of intref.intmath?"""

import ctypes

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emitted import COMPILER, compiled
from intref import intmath
from intref.emit import c_header
from intref.emit.vocabulary import piece
from intref.intmath import ROUNDS_UP, shift_half_up

DRAWN = settings(derandomize=True, database=None, deadline=None, suppress_health_check=[*HealthCheck])


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    """The functions of vocabulary.c, visible."""
    if COMPILER is None:
        pytest.skip("no C compiler")
    source = c_header() + piece("program.c") + piece("vocabulary.c")
    strict = ["-std=c99", "-Dstatic=", "-w", "-shared", "-fPIC"]
    library = ctypes.CDLL(str(compiled(source, tmp_path_factory.mktemp("vocabulary"), strict=strict)))
    return lambda name, *args: signed(library, name)(*map(ctypes.c_int64, args))


def signed(library, name):
    function = getattr(library, name)
    function.restype = ctypes.c_int64
    return function


WIDE = st.one_of(
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.builds(lambda k, d: max(min((1 << k) + d, (1 << 63) - 1), 0), st.integers(0, 63), st.integers(-3, 3)),
    st.builds(lambda k, d: max(-(1 << k) + d, -(1 << 63)), st.integers(0, 63), st.integers(-3, 3)),
)
INT32 = WIDE.map(lambda x: (x & intmath.MASK32) - (1 << 31))
RULES = st.sampled_from([*ROUNDS_UP])
FITS = range(-(1 << 63), 1 << 63)


def agrees(vocabulary, name, args, expected):
    if expected in FITS:
        assert vocabulary(name, *args) == expected


@settings(DRAWN, max_examples=400)
@given(x=WIDE, m=INT32, shift=st.integers(0, 94), d=WIDE, rule=RULES)
def test_are_the_rounded_functions_exact_on_any_operands(vocabulary, x, m, shift, d, rule):
    code, divisor = [*ROUNDS_UP].index(rule), min(abs(d), (1 << 62) - 1) or 1
    agrees(vocabulary, "mul_shift", (x, m, shift, code), intmath.MUL_SHIFT[rule](x, m, shift))
    agrees(vocabulary, "divide", (x, divisor, code), intmath.DIVIDE[rule](x, divisor))
    agrees(vocabulary, "div_half_up", (x, divisor), (2 * x + divisor) // (2 * divisor))
    agrees(vocabulary, "shift_half_up", (x, min(shift, 63)), shift_half_up(x, min(shift, 63)))


@settings(DRAWN, max_examples=400)
@given(x=WIDE, y=WIDE, s=st.integers(0, 63), pattern=INT32)
def test_are_the_plain_functions_exact_on_any_operands(vocabulary, x, y, s, pattern):
    wrapped = lambda v: (v + (1 << 63)) % (1 << 64) - (1 << 63)  # noqa: E731
    agrees(vocabulary, "wrap_add", (x, y), wrapped(x + y))
    agrees(vocabulary, "wrap_subtract", (x, y), wrapped(x - y))
    agrees(vocabulary, "wrap_multiply", (x, y), wrapped(x * y))
    agrees(vocabulary, "shift_left", (x, s), wrapped(x << s))
    agrees(vocabulary, "shift_right", (x, s), x >> s)
    agrees(vocabulary, "floor_divide", (x, abs(y) or 1), x // (abs(y) or 1))
    agrees(vocabulary, "floor_remainder", (x, abs(y) or 1), x % (abs(y) or 1))
    agrees(vocabulary, "wrap_int32", (x,), intmath.WRAP_INT32(x))
    agrees(vocabulary, "absolute", (x,), abs(x))
    agrees(vocabulary, "square", (s - 32,), (s - 32) ** 2)
    if x >= 0:
        agrees(vocabulary, "isqrt", (x,), intmath.ISQRT(x))
        agrees(vocabulary, "bitlen", (x,), x.bit_length())
    if x > FITS[0] and pattern >> 23 & 255 < 255 and abs(expected := intmath.SCALE_FP32(x, pattern)) <= 1 << 62:
        agrees(vocabulary, "scale_fp32", (x, pattern), expected)
