"""Reaching cases of rescale from int32 to int8, as in a requantizer behind a matmul: shifts, bits, clips."""

from collections.abc import Iterator, Sequence

from intref.ops.rescale import RULES
from intref.vectors.case import Case, SplitMix64
from intref.vectors.operands import M31, rescale_case

EXACT = RULES[:-3]
LOWEST = -(1 << 31)
SHIFTS = (0, 1, 2, 31, 32, *range(52, 65), 80, 94)
ZEROS = ((-77, 9), (0x2AAAAAAA, -0x2AAAAAAB), (-0x55555556, 0x55555555))
RANGES = ((-8, 127), (-8, 7), (0, 127), (0, 6), (-128, 0), (-128, 9), (-100, -3), (5, 90), (-1, 0), (64, 64))
Factors = list[tuple[int, int, int]]  # x, multiplier, shift


def _case(why: str, flags: str, factors: Factors, rule: str = "half_even", **how: object) -> Case:
    """An element for each of the factors."""
    x, multipliers, shifts = zip(*dict.fromkeys(factors))
    return rescale_case(why, flags, [*x], [*multipliers], [*shifts], rule, **how)  # type: ignore[arg-type]


def requantize() -> Iterator[Case]:
    for rule in EXACT:
        why = f"{rule}, int32 to int8: ties and their neighbours at the ends of the shift"
        yield _case(why, "tie extreme", _ties(), rule)
    for rule in ("ceil", "odd", "half_down", "half_even"):
        yield _case(f"{rule}, int32 to int8: one dropped bit at every place", "tie extreme", _dropped(), rule)
    yield _case("int32 to int8: a result of every bit length", "clip wide", _results())
    yield _case("int32 to int8: every bit of x and of the multiplier", "extreme", _bits())
    for i, (low, high) in enumerate(RANGES):
        for zero in ((0, 0), ZEROS[i % len(ZEROS)]):
            why = f"int32 to int8, zero points {zero[0]} and {zero[1]}: either side of [{low}, {high}], near and far"
            yield _case(why, "clip", _around(low, high, zero), zero=zero, low=low, high=high)
    for rule in EXACT:
        seed = 7000 + EXACT.index(rule)
        yield _case(f"{rule}, int32 to int8: random at every shift", "random", _random(seed), rule)


def _ties() -> Factors:
    """Products that are odd multiples of half a unit, and those one x to either side, as far as int32 reaches."""
    found: Factors = []
    for shift in SHIFTS:
        for k in (-5, -3, -1, 1, 3, 5):
            for multiplier in (1 << min(max(shift - 1, 0), 30), LOWEST):
                power = multiplier & -multiplier
                x = (k << max(shift - 1, 0)) // power
                near = [(v, multiplier, shift) for v in (x - 1, x, x + 1) if x * power == k << max(shift - 1, 0)]
                found += [row for row in near if LOWEST <= row[0] <= M31]
        found += [(end, factor, shift) for end in (LOWEST, M31) for factor in (LOWEST, M31) if shift]
    return [row for row in found if abs(row[0] * row[1]) >> row[2] < 1 << 62]


def _dropped() -> Factors:
    """A product of one bit below the unit; then half a unit and one bit below that."""
    single = [(s << max(q - 30, 0), 1 << min(q, 30), 94 - d) for q in range(61) for d in (0, q % 31) for s in (1, -1)]
    pairs = [(s * ((1 << p) + 1), 1 << q, p + q + 1) for p in range(1, 31) for q in (0, 1, p % 31, 30) for s in (1, -1)]
    return [*single, *pairs]


def _results() -> Factors:
    ends = [(s << min(j, 30), 1 << max(j - 30, 0), 0) for j in range(61) for s in (1, -1)]
    return [*ends, *((s << 30, 1 << 30, 60 - j) for j in range(61) for s in (1, -1)), (LOWEST, LOWEST, 1)]


def _bits() -> Factors:
    multiplied = [(v, s << j, j) for j in range(31) for v in (77, -77) for s in (1, -1)]
    return [*multiplied, *((s << j, v, j) for j in range(31) for v in (101, -101) for s in (1, -1)), (1, LOWEST, 30)]


def _around(low: int, high: int, zero: tuple[int, int]) -> Factors:
    """x that give results one off and on both ends, and beyond them by every power of two that x reaches."""
    goals = [end + d for end in (low, high) for d in (-1, 0, 1)]
    goals += [end + d for end, s in ((low, -1), (high, 1)) for d in (s << j for j in range(1, 33))]
    found: Factors = []
    for i, goal in enumerate(goals):
        factor = -1 if i % 3 else 1
        x = (goal - zero[1]) * factor + zero[0]
        if LOWEST <= x <= M31:
            found.append((x, factor, 0))
    return found


def _random(seed: int) -> Factors:
    """Operands of random bits with results in and around the range, both signs, twice at every shift."""
    stream = SplitMix64(seed)
    return [_drawn(stream, shift) for shift in range(95) for _ in range(2)]


def _drawn(stream: SplitMix64, shift: int) -> tuple[int, int, int]:
    length = min(shift + 8, 62)  # of the product, in bits
    least = max(length - 31, 0)
    bits = least + int(stream.integers(0, 31 - max(31 - length, 0) - least, 1, "int64")[0])
    x, multiplier = (_signed(stream, n) for n in (bits, length - bits))
    return x, multiplier, shift


def _signed(stream: SplitMix64, bits: int) -> int:
    values: Sequence[int] = stream.integers(-(1 << bits), (1 << bits) - 1, 1, "int64").tolist()
    return values[0]
