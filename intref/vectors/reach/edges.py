"""Where floats and registers come close to integers: conversions of 25 bits, quotients just below an integer, squares
of tokens and channels."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref.vectors.case import Case, Generator
from intref.vectors.operands import fp32, rescale_case
from intref.vectors.reach.norms import squares
from intref.vectors.uneven import STEEP

M31 = (1 << 31) - 1
SIGMAS = (1824726041, 1263665316, 2063085124, 1117667411)  # times a whole number: 4 or 12 above 2**61
CLOSE = ((1896545085, 1325416569), (1479241433, 1726630881), (2134923207, 1850583257))  # 43 to 81 below u * 2**46


def _case(why: str, flags: str, attrs: dict[str, Any] | None = None, **tensors: tuple[Any, str]) -> Case:
    made = {name: np.array(value, np.int64).astype(dtype) for name, (value, dtype) in tensors.items()}
    return Case(why, made, attrs or {}, (*flags.split(),))


def rescale() -> Iterator[Case]:
    scales = [fp32(3 << 22, -24), fp32(1 << 23, -23), fp32((1 << 24) - 1, -24), fp32((1 << 23) + 1, -23, 1)]
    scales += [fp32((5 << 21) + 1, e) for e in (-23, -25, -26, -31, -40)]
    x = [s * ((1 << k) + d) for k in (24, 25, 27, 30) for d in (-3, -1, 1, 3, 5, 7, 129, 1025) for s in (1, -1)]
    grid = np.repeat(np.array(x)[:, None], len(scales), axis=1)
    for output, zero in (("int32", (0, 0)), ("int32", (3, -7)), ("int64", (-5, 1))):
        why = (
            f"fp32_half_even: x of 25 bits and more is rounded first, zero points {zero[0]} and {zero[1]}, to {output}"
        )
        yield rescale_case(why, "wide tie", grid, scales, 0, "fp32_half_even", output=output, zero=zero)
    x = [-(1 << 26) - 8, -(1 << 26), -(1 << 26) + 4, -(1 << 25), -(1 << 25) - 4]
    for offset in ((1 << 26) + 5, (1 << 25) + 3):
        why = f"fp32_half_even: a zero point of {offset}, which float32 does not hold"
        yield rescale_case(why, "wide clip", x, fp32(1 << 23, -23), 0, "fp32_half_even", zero=(0, offset))


def positions() -> Iterator[Case]:
    mask = [[[1, 1, 0], [0, 1, 1], [1, 0, 1]], [[0, 0, 1], [1, 1, 1], [0, 0, 0]]]
    for form in ("offset", "count"):
        attrs = {"form": form, "start": 2}
        yield _case(f"{form}: as many sequences as tokens", "axes mask", attrs, mask=(mask, "int8"))


def _square(low: int, step: int) -> np.ndarray:
    return np.arange(18).reshape(2, 3, 3) * step + low


def add_bias() -> Iterator[Case]:
    why = "as many rows as channels"
    yield _case(why, "axes", {"output": "int16"}, x=(_square(-70, 9), "int32"), bias=([1000, -2000, 5], "int32"))


def clamp() -> Iterator[Case]:
    yield _case("as many rows as channels", "axes", {"low": -40, "high": 50}, x=(_square(-70, 9), "int8"))


def gelu_ibert() -> Iterator[Case]:
    given: dict[str, tuple[Any, str]] = {
        "b": ([-50, -7, -90], "int64"),
        "c": ([9999, -70000, 123456], "int64"),
        "one": ([3, -4, 5], "int64"),
    }
    yield _case("as many rows as channels", "axes", {}, x=(_square(-70, 9), "int32"), **given)
    ends = [s * v for v in (M31, 1 << 30, M31 - 12345) for s in (1, -1)]
    for c, one in (((1 << 44) - (1 << 20), 1 << 29), (1 << 43, (1 << 30) - 2), (-(1 << 43), 2 - (1 << 30))):
        why = f"products of 62 and 63 bits, c = {c}"
        yield _case(why, "wide extreme", x=(ends, "int32"), b=([0], "int64"), c=([c], "int64"), one=([one], "int64"))


def gelu_table() -> Iterator[Case]:
    table = [(512 - i) ** 2 << 4 for i in range(513)]
    x = _square(-70, 9)
    yield _case("as many rows as channels", "axes", {"fraction": 6}, x=(x, "int32"), table=(table, "int32"))


def softmax_exp2() -> Iterator[Case]:
    for d, multiplier in CLOSE:
        yield _case(
            f"d * multiplier just below a multiple of 2**46: {d} * {multiplier}",
            "wide tie",
            x=([[[[d - (1 << 30), -(1 << 30)]]]], "int32"),
            mask=([[1, 1]], "int8"),
            multiplier=([multiplier], "int32"),
            shift=([46], "int8"),
            table=(STEEP, "int32"),
        )


def _fourfold(sigma: int, k: int) -> int:
    """v with floor(sqrt(v * 4**k)) = sigma."""
    return -(-sigma * sigma >> 2 * k)


def layernorm_fixed() -> Iterator[Case]:
    attrs = {"shift": 20, "low": -(1 << 31), "high": M31}
    for sigma in SIGMAS:
        v = _fourfold(sigma, 9)
        c = [v_ for part in (2, 3, 5, 9) for v_ in (sigma // part >> 9, -(sigma // part >> 9))]
        eps = v - sum(i * i for i in c)
        given = {"gain": ([1 << 20] * len(c), "int32"), "bias": ([0] * len(c), "int64")}
        yield _case(f"2**61 / {sigma} just below an integer", "wide", {"eps": eps, **attrs}, x=([c], "int32"), **given)


def l2_normalize() -> Iterator[Case]:
    for sigma in SIGMAS:
        row = squares(_fourfold(sigma, 9), 23)
        yield _case(f"2**61 / {sigma} just below an integer", "wide", {"fraction": 30}, x=([row], "int32"))


_MADE = (rescale, positions, add_bias, clamp, gelu_ibert, gelu_table, softmax_exp2, layernorm_fixed, l2_normalize)
REACH: dict[str, Generator] = {f.__name__: f for f in _MADE}
