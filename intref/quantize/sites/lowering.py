"""What every lowering of a site works with: the Value it takes and gives, and the Lowering that finds it.

A Value is an integer tensor and what it stands for. Two styles meet: static scales of few bits (I-BERT), and fixed
point with token-wise inputs (ours). Which one a model gets is the profile's choice, site by site.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from intref.builder import Builder
from intref.errors import BoundError, Unsupported
from intref.profiles import Profile
from intref.quantize import scales
from intref.quantize.observe import Ranges
from intref.quantize.recipe import Recipe
from intref.quantize.scales import Array, symmetric_range

FIXED_BITS = 24
FIXED = symmetric_range(FIXED_BITS)
MAX_EPSILON = 1 << 52  # an attribute stays below 2**53
SPREAD = 20  # an accumulator feeding gelu_ibert has a scale of at least 2**-20, so that its constants fit


@dataclass(frozen=True)
class Value:
    """An integer tensor. scale: real value of 1, a number or per last-axis channel [D] (of either sign).

    offset: real values [D] still to be added where scale cannot carry them. bias: likewise, of a product. token: the
    tensors that the scale is multiplied by, row by row: (mantissa, exponent), or a float32's bit pattern alone. heads:
    scale per head [H]. zero_point: the integer that stands for 0. total: the tensor of row sums that probabilities are
    still to be divided by.
    """

    tensor: str
    scale: Any
    offset: Array | None = None
    bias: Array | None = None
    token: tuple[str, ...] | None = None
    heads: Array | None = None
    total: str | None = None
    zero_point: int = 0


@dataclass(frozen=True)
class Step:
    """The lowering of one site: what it read, which of the graph's nodes it made (first up to last), what it gave."""

    kind: str
    site: str
    args: tuple[Value, ...]
    first: int
    last: int
    result: Value


@dataclass(frozen=True)
class Lowering:
    """All that a site's lowering may look at."""

    build: Builder
    ranges: Ranges
    recipe: Recipe
    profile: Profile
    heads: int
    epsilon: float  # of a norm, times its width
    made: dict[str, Value] = field(default_factory=dict)  # static inputs that more than one site reads
    steps: list[Step] = field(default_factory=list)  # in order; one that is made inside of another is not told of
    inside: list[str] = field(default_factory=list)

    def site(self, kind: str) -> Mapping[str, Any]:
        """What the profile says of a site; of an optional one that it leaves out, nothing."""
        return self.profile.sites.get(kind, {})

    def __call__(self, kind: str, *args: Any, **kwargs: Any) -> Value:
        """Lower one site of this kind with the op that the profile names."""
        op = str(self.site(kind)["op"])
        if (kind, op) not in SITES:
            known = ", ".join(o for k, o in SITES if k == kind)
            raise Unsupported(
                f"profile {self.profile.name}: site {kind!r} cannot be lowered to {op!r}, only to {known}"
            )
        site = [arg for arg in args if isinstance(arg, str)][-1]  # the last text of every site's arguments
        moved = any(isinstance(arg, Value) and arg.zero_point for arg in args)
        self.require(not moved or (kind, op) in AFFINE, site, f"{op} takes no zero point at {kind!r}")
        try:
            return self.step(kind, site, args, lambda: SITES[kind, op](self, *args, **kwargs))
        except BoundError as error:
            if str(error).startswith("node "):
                raise
            raise BoundError(f"node {site} (op {op}): {error}") from None

    def step(self, kind: str, site: str, args: tuple[Any, ...], lowered: Callable[[], Value]) -> Value:
        """What `lowered` gives, told in steps: a Value of its own, so that it is known from what it was made of."""
        first = len(self.build.nodes)
        self.inside.append(site)
        result = replace(lowered())
        self.inside.pop()
        if not self.inside:
            values = tuple(arg for arg in args if isinstance(arg, Value))
            self.steps.append(Step(kind, site, values, first, len(self.build.nodes), result))
        return result

    def require(self, holds: bool, site: str, needs: str) -> None:
        """Unsupported where a profile joins sites that do not understand each other: never a model that is wrong."""
        if not holds:
            raise Unsupported(f"profile {self.profile.name}: node {site}: {needs}")

    def int8_scale(self, site: str) -> np.float32:
        """fp32 scale of an activation of few bits."""
        return self._scale(self.recipe.clip(self.ranges, site), self.recipe.activation_bits)

    def affine(self, site: str) -> tuple[np.float32, int]:
        """fp32 scale of an activation of few bits from its least to its greatest value, and its zero point.

        Source: Jacob et al. 2018, Quantization and Training of Neural Networks (arXiv 1712.05877), section 2.1.
        """
        most, bits = self.recipe.clip(self.ranges, site), self.recipe.activation_bits
        low, high = (min(max(end, -most), most) for end in self.ranges.span(site))
        scale = np.float32(max(np.float32(high - low), scales.TINY) / np.float32((1 << bits) - 1))
        return scale, int(np.clip(np.rint(-low / np.float64(scale)), 0, (1 << bits) - 1)) - (1 << bits - 1)

    def at_few_bits(self, site: str, at: Mapping[str, Any]) -> tuple[np.float32, int]:
        """fp32 scale and zero point of an activation of few bits, as its site in the profile says."""
        calibrated = at.get("zero_point", "zero") == "calibrated"
        return self.affine(site) if calibrated else (self.int8_scale(site), 0)

    def told(self, value: Value) -> Value:
        """The value; its scale is noted for people if it has no zero point, without which a scale misleads."""
        if np.ndim(value.scale) == 0 and not value.zero_point:
            self.build.scale(value.tensor, float(value.scale))
        return value

    def scale_of(self, site: str, bits: int) -> np.float32:
        """fp32 scale of an activation of `bits` bits, clipped as those of few bits are."""
        return self._scale(self.recipe.clip(self.ranges, site), bits)

    def wide_scale(self, site: str, bits: int) -> np.float32:
        """fp32 scale of an activation of many bits."""
        return self._scale(self.ranges.peak(site) * self.recipe.headroom, bits)

    def fixed_scale(self, site: str, least: float = 0.0) -> float:
        """A power of two that gives a fixed-point site its headroom, and holds least.

        A norm's input has room for epsilon as well.
        """
        scale = scales.power_of_two(max(self.ranges.peak(site) * self.recipe.headroom, least), FIXED_BITS)
        while site.endswith(".sum") and self.epsilon / scale**2 > MAX_EPSILON:
            scale *= 2
        return scale

    @staticmethod
    def _scale(peak: float, bits: int) -> np.float32:
        return np.float32(max(np.float32(peak), scales.TINY) / np.float32(symmetric_range(bits)))


SITES: dict[tuple[str, str], Callable[..., Value]] = {}
# What takes a value with a zero point.
AFFINE = {("linear_input", "rescale"), ("linear", "linear"), ("scores", "matmul"), ("context", "rescale")}


def moved(**values: Value) -> dict[str, int]:
    """The attributes of an op that reads these values from their zero points; none for 0, which is the default."""
    return {f"{name}_zero_point": value.zero_point for name, value in values.items() if value.zero_point}


def lowers(kind: str, op: str) -> Callable[[Callable[..., Value]], Callable[..., Value]]:
    """Enter a function into SITES."""

    def enter(function: Callable[..., Value]) -> Callable[..., Value]:
        SITES[kind, op] = function
        return function

    return enter


def register(at: Mapping[str, Any]) -> dict[str, Any]:
    """What a site says of its accumulator."""
    return {name: at[name] for name in ("accumulator", "overflow", "every") if name in at}


def container(bits: int) -> str:
    """The smallest signed dtype of at least `bits` bits."""
    return next(f"int{n}" for n in (8, 16, 32, 64) if bits <= n)


def clip(bits: int, form: str) -> dict[str, int]:
    """low and high of a site: all of `bits` bits, or the symmetric range."""
    n = symmetric_range(bits)
    return {"low": -n - (form == "full"), "high": n}
